"""The algorithm that changes the weather of a model, by factors, amounts or a storm, and maps what comes of it."""

from __future__ import annotations

import dataclasses
from typing import Any, Optional

from qgis.core import QgsProcessingContext

from ...core.contracts import ChangeConfig, ConfigError, PeriodConfig, StormConfig, WhatIfJob
from ...core.contracts.model_card import ModelCard
from ..datasets import DatasetSummary
from .parameters import Entry, absolute, entries, entry, period_entries, take_period
from .places import MapEntry, cells_of, polygon_of, raster_path, wkt_of
from .questions import LAST, PLACE, QuestionAlgorithm, asked_of

_MM = dataclasses.replace(
    entry(ChangeConfig, "amount", "STORM_MM"), field="storm_mm", default=None,
    rule=dataclasses.replace(
        entry(ChangeConfig, "amount").rule, label="Rain in the polygon", unit="mm",
        help="Added on the date to every cell of the polygon of the storm.",
    ),
)  # fmt: skip
_CHANGE = (
    entry(ChangeConfig, "variable", optional=True, default=""),
    *entries(ChangeConfig, ("factor", "amount")),
    MapEntry(
        "CHANGE_POLYGON", "geometry", "Changed in: polygon",
        "WKT in the CRS of the dataset, or such as 'CRS=EPSG:4326;POLYGON((...))'; without polygon, layer and extent "
        "every cell is changed.",
    ),
    MapEntry("CHANGE_LAYER", "polygons", "Changed in: polygons of a layer", "All features, or the selected ones."),
    MapEntry("CHANGE_EXTENT", "extent", "Changed in: extent", "A rectangle, such as that of the map."),
    *period_entries(ChangeConfig, "period", "change"),
    dataclasses.replace(
        entry(WhatIfJob, "changes", kind="json"),
        rule=dataclasses.replace(
            entry(WhatIfJob, "changes", kind="json").rule,
            label="Further changes",
            help="A list of changes, or a file that holds it, each with variable, factor, amount, polygon, period.",
            advanced=True,
        ),
    ),
)  # fmt: skip
_STORM = (
    MapEntry(
        "STORM_RASTER", "raster", "Storm: raster",
        "Rain in mm on the grid of the dataset, one band a date, or one band and the date of the storm.",
    ),
    MapEntry("STORM_POLYGON", "geometry", "Storm: polygon", "WKT, as for the change."),
    MapEntry("STORM_LAYER", "polygons", "Storm: polygons of a layer", "All features, or the selected ones."),
    _MM,
    dataclasses.replace(entry(StormConfig, "date", "STORM_DATE"), field="storm_date"),
    dataclasses.replace(entry(StormConfig, "variable", "STORM_VARIABLE"), field="storm_variable"),
    dataclasses.replace(
        entry(WhatIfJob, "storms", kind="json"),
        rule=dataclasses.replace(
            entry(WhatIfJob, "storms", kind="json").rule,
            label="Further storms",
            help="A list of storms, or a file that holds it, each with date, cells (x, y, mm) or raster, variable.",
            advanced=True,
        ),
    ),
)  # fmt: skip


class WhatIfAlgorithm(QuestionAlgorithm):
    """Other weather, and what the model says to it."""

    verb, id_name, title = "what-if", "whatif", "What if the weather were another?"
    summary = (
        "Multiplies an input or adds to it in a polygon and a period, or lets a storm rain on the map, and gives the "
        "change of the prediction as maps and hydrographs."
    )
    assumes = (
        "The model answers, not the basin: it carries what it has learnt over to weather that it may never have seen.",
        "Only the input that is named changes. Warmer air with the same rain and radiation is weather that seldom "
        "comes.",
    )
    outputs = ("CHANGE", "PREDICTED", "MAPS", "TABLE", "REPORT")
    entries: tuple[Entry, ...] = (
        *asked_of(WhatIfJob),
        *_CHANGE,
        *_STORM,
        *entries(PeriodConfig),
        *(dataclasses.replace(item, label=f"Hydrograph: {item.label[0].lower()}{item.label[1:]}") for item in PLACE),
        *entries(WhatIfJob, ("gauge", "batch", *LAST)),
    )

    def job(self, values: dict[str, Any], context: QgsProcessingContext) -> WhatIfJob:
        """The changes and storms that are given, and where hydrographs are wanted."""
        self._values, self._context = values, context
        return super().job(values, context)

    def question(
        self, fields: dict[str, Any], card: Optional[ModelCard], summary: Optional[DatasetSummary], place: Any
    ) -> WhatIfJob:
        """One change and one storm by parameters of their own, others by JSON."""
        changes = [*self._change(fields, summary), *_listed(ChangeConfig, fields.pop("changes"))]
        storms = [*self._storm(fields, summary), *_listed(StormConfig, fields.pop("storms"))]
        storms = [item.replace(raster=absolute(item.raster)) if item.raster else item for item in storms]
        return WhatIfJob(
            changes=tuple(changes), storms=tuple(storms), period=take_period(fields), **place(), **fields
        )  # fmt: skip

    def _change(self, fields: dict[str, Any], summary: Optional[DatasetSummary]) -> list[ChangeConfig]:
        period = take_period(fields, "change")
        own = {name: fields.pop(name) for name in ("variable", "factor", "amount")}
        polygon = self._polygon(summary, "CHANGE_POLYGON", "CHANGE_LAYER", "CHANGE_EXTENT")
        if own == {"variable": "", "factor": 1.0, "amount": 0.0} and not polygon and period == PeriodConfig():
            return []
        return [ChangeConfig(polygon=polygon and wkt_of(polygon) or "", period=period, **own)]

    def _storm(self, fields: dict[str, Any], summary: Optional[DatasetSummary]) -> list[StormConfig]:
        millimetres, date, variable = (fields.pop(f"storm_{name}") for name in ("mm", "date", "variable"))
        raster = raster_path(self, self._values, "STORM_RASTER", self._context)
        polygon = self._polygon(summary, "STORM_POLYGON", "STORM_LAYER")
        if not (raster or polygon or millimetres is not None or date):
            return []
        if raster and polygon:
            raise ConfigError(
                "The storm is given twice", got="a raster and a polygon", remedy="Give one of these, the other as JSON"
            )
        cells: tuple = ()
        if polygon:
            if not millimetres:
                raise ConfigError(
                    "The storm has no rain", expected="mm of rain in its polygon", remedy="Give STORM_MM, such as 40"
                )
            cells = tuple((x, y, float(millimetres)) for x, y in cells_of(polygon, summary))
        return [StormConfig(date=date, cells=cells, raster=raster, variable=variable)]

    def _polygon(self, summary: Optional[DatasetSummary], *names: str) -> Any:
        return polygon_of(self, self._values, self._context, summary, names) if summary is not None else None


def _listed(cls: Any, found: Any) -> list[Any]:
    """Configurations from JSON: a list of objects, or one object."""
    return [cls.from_dict(item) for item in ([found] if isinstance(found, dict) and found else found or [])]
