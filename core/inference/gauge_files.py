"""What a model of gauges leaves: a table of its series, its gauges as points with their scores, panels for the report.

Symbols: n dates, L leads, G gauges. Values are in the target's unit, NaN is missing.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from ..contracts.events import Artifact, Event
from ..contracts.files import write_text
from ..contracts.model_card import ModelCard
from ..contracts.run_folder import RunFolder
from ..data.store import Dataset
from ..data.windows import gauge_places
from .artifacts import artifact_event, display_units, relative
from .ensemble_maps import KINDS
from .figures import Look
from .geotiff import iso
from .judge import Judge

COLUMNS = ("date", "gauge", "lead_steps", "predicted", "observed", "delta")
PANELS = 6  # gauges that the report draws
Panel = tuple[str, np.ndarray, Optional[np.ndarray], Optional[np.ndarray]]


@dataclass(frozen=True)
class GaugeSeries:
    """Predicted series. ``targets`` datetime64 (n, L); ``predicted`` and ``observed`` (n, L, G); ``judge`` of the first
    lead. The last two are None where nothing could be judged. ``members``: of an ensemble the standard deviation and
    the quantiles of its members, each (n, L, G) under a name of :data:`~.ensemble_maps.KINDS`.
    """

    card: ModelCard
    dataset: Dataset
    targets: np.ndarray
    predicted: np.ndarray
    observed: Optional[np.ndarray] = None
    judge: Optional[Judge] = None
    members: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def judged(
        cls,
        card: ModelCard,
        dataset: Dataset,
        targets: np.ndarray,
        judges: Sequence[Judge],
        members: Mapping[str, np.ndarray],
    ) -> GaugeSeries:
        """What judges that keep their maps have seen, one of them a lead."""
        predicted = np.stack([np.concatenate(judge.kept)[:, 0] for judge in judges], axis=1)
        observed = np.stack([judge.reference.at(targets[:, lead])[:, 0] for lead, judge in enumerate(judges)], axis=1)
        return cls(card, dataset, targets, predicted, observed, judges[0], members)

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the gauges: those of the dataset where it has some, else those of the model."""
        if self.dataset.gauges is None:
            return self.card.gauges
        return tuple(self.dataset.gauges.ids[place] for place in gauge_places(self.dataset, self.card))

    def panels(self, rain: Optional[np.ndarray]) -> list[Panel]:
        """Panels of the report, first lead: all gauges, or of many those from the best to the worst NSE. ``rain (n,)``
        is drawn at the first.
        """
        scores = np.full(len(self.ids), np.nan) if self.judge is None else self.judge.model.maps()["nse"][0]
        order = np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable")
        if len(order) > PANELS:
            order = order[np.unique(np.linspace(0, len(order) - 1, PANELS).round().astype(int))]
        found: list[Panel] = []
        for gauge in order:
            words = "" if not np.isfinite(scores[gauge]) else f" (NSE {scores[gauge]:.3f})"
            truth = None if self.observed is None else self.observed[:, 0, gauge]
            title = f"Gauge {self.ids[gauge]}{words}"
            found.append((title, self.predicted[:, 0, gauge], truth, None if found else rain))
        return found

    def write(self, run: RunFolder, look: Look) -> Iterator[Event]:
        """Write ``results/series.csv`` (one row a date, gauge and lead; what is missing stays empty) and, where a gauge
        has a place, ``results/gauges.geojson``; tell of both.
        """
        run.results.mkdir(parents=True, exist_ok=True)
        path = run.results / "series.csv"
        write_text(path, self._table())
        yield artifact_event(
            Artifact(
                kind="series",
                path=relative(run, path),
                title=f"{look.label} at gauges, predicted and observed ({look.units})",
                variable=self.card.target.name,
                units=look.units,
                minimum=look.minimum,
                maximum=look.maximum,
                dates=(iso(self.targets.min()), iso(self.targets.max())),
                step_seconds=self.card.step_seconds,
                note="One row for each date, gauge and lead; delta is predicted - observed." + _words(self.members),
                group=look.label,
            )
        )
        yield from self._write_places(run, look)

    def _table(self) -> str:
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        further = [name for name in KINDS if name in self.members]
        writer.writerow((*COLUMNS, *further))
        observed = np.full_like(self.predicted, np.nan) if self.observed is None else self.observed
        for step, lead in np.ndindex(*self.targets.shape):
            date = iso(self.targets[step, lead])
            for gauge, name in enumerate(self.ids):
                value, truth = float(self.predicted[step, lead, gauge]), float(observed[step, lead, gauge])
                row = (date, name, self.card.lead + lead, _text(value), _text(truth), _text(value - truth))
                writer.writerow((*row, *(_text(float(self.members[key][step, lead, gauge])) for key in further)))
        return table.getvalue()

    def _write_places(self, run: RunFolder, look: Look) -> Iterator[Event]:
        points = self._points()
        if not points:
            return
        path = run.results / "gauges.geojson"
        document = {"type": "FeatureCollection", "features": points}
        write_text(path, json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))
        yield artifact_event(
            Artifact(
                kind="gauges",
                path=relative(run, path),
                title=f"NSE of {look.label} at the gauges (-)" if self.judge else f"Gauges of {look.label}",
                variable=self.card.target.name,
                units="-",
                ramp="BrBG",
                minimum=-1.0,
                maximum=1.0,
                step_seconds=self.card.step_seconds,
                note="1 is perfect, 0 no better than the mean of the gauge's observations.",
                group="Scores per gauge",
            )
        )

    def _points(self) -> list[dict[str, Any]]:
        if self.dataset.gauges is None:
            return []
        features = []
        for gauge, (name, x, y) in enumerate(zip(self.ids, *self._degrees())):
            if not (np.isfinite(x) and np.isfinite(y)):
                continue
            values: dict[str, Any] = {"id": name, "units": display_units(self.card.target.units)}
            if self.judge is not None:
                values.update(_scores(self.judge, gauge))
            point = {"type": "Point", "coordinates": [round(float(x), 7), round(float(y), 7)]}
            features.append({"type": "Feature", "properties": values, "geometry": point})
        return features

    def _degrees(self) -> tuple[np.ndarray, np.ndarray]:
        """Longitude and latitude (WGS 84) of each gauge; NaN where unknown."""
        from rasterio.warp import transform

        places = gauge_places(self.dataset, self.card)
        x, y = self.dataset.gauges.x[places], self.dataset.gauges.y[places]
        known = np.isfinite(x) & np.isfinite(y)
        east, north = np.full(len(x), np.nan), np.full(len(x), np.nan)
        if known.any():
            moved = transform(self.dataset.grid.crs, "EPSG:4326", x[known].tolist(), y[known].tolist())
            east[known], north[known] = moved[0], moved[1]
        return east, north


def _scores(judge: Judge, gauge: int) -> dict[str, Any]:
    maps = judge.model.maps()
    values = {name: float(maps[name][0, gauge]) for name in ("nse", "kge", "rmse", "bias")}
    for name in ("persistence", "climatology"):
        values[f"nse_{name}"] = float(getattr(judge, name).maps()["nse"][0, gauge])
    return {name: round(value, 6) if np.isfinite(value) else None for name, value in values.items()}


def _words(members: Mapping[str, np.ndarray]) -> str:
    if not members:
        return ""
    return " Of the ensemble's members: spread is the standard deviation, lower and upper the 5 % and 95 % quantiles."


def _text(value: float) -> str:
    return f"{value:.6g}" if np.isfinite(value) else ""
