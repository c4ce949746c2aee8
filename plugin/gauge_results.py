"""Results of models of gauges: the table of series, the scores of each gauge, and its place on the map."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Optional

from qgis.core import (
    QgsGraduatedSymbolRenderer,
    QgsMapLayer,
    QgsMarkerSymbol,
    QgsPalLayerSettings,
    QgsRendererRange,
    QgsTextBufferSettings,
    QgsTextFormat,
    QgsVectorLayer,
    QgsVectorLayerSimpleLabeling,
)
from qgis.PyQt.QtGui import QColor

from ..core.contracts import Artifact, DataError, RunFolder
from ..core.contracts.dates import parse_date
from .ramps import stops

RESULT_PROPERTY = "freshet/gauge_result"
POINTS_CRS = "EPSG:4326"
# Edges of the classes of NSE: 0 stands between brown and green, all that is worse than -0.5 is one class.
_EDGES = (-0.5, 0.0, 0.25, 0.5, 0.75, 1.0)
_WORST, _UNKNOWN = -1e30, -2e30
_GREY = "#b9b9b9"
_SCORES = (
    ("nse", "NSE", ""),
    ("nse_persistence", "NSE of persistence", ""),
    ("nse_climatology", "NSE of climatology", ""),
    ("kge", "KGE", ""),
    ("rmse", "RMSE", "units"),
    ("bias", "Bias (predicted - observed)", "units"),
)


@dataclass(frozen=True)
class Hydrograph:
    """Predicted and observed values of one gauge at one lead, by date; None is missing."""

    dates: tuple[datetime, ...]
    predicted: tuple[Optional[float], ...]
    observed: tuple[Optional[float], ...]


@dataclass(frozen=True)
class GaugeResult:
    """Where the series of one target of a run lie. ``points`` is empty where no gauge has a place; ``part`` names the
    basin or the further target that they are of, empty for those of the run itself.
    """

    table: str
    points: str
    label: str
    units: str
    step_seconds: float
    run: str
    part: str = ""

    def series(self) -> Mapping[tuple[str, int], Hydrograph]:
        """By gauge and lead (steps ahead). DataError where the table cannot be read."""
        return _series(self.table, _stamp(self.table))

    def gauges(self) -> list[str]:
        """Ids of the gauges in the order of the table."""
        return list(dict.fromkeys(gauge for gauge, _ in self.series()))

    def leads(self) -> list[int]:
        """Steps ahead, the first lead first."""
        return sorted({lead for _, lead in self.series()})

    def scores(self) -> dict[str, dict[str, Any]]:
        """Scores by gauge, empty where there are none."""
        return {name: values for name, (values, _) in self._points().items()}

    def place(self, gauge: str) -> Optional[tuple[float, float]]:
        """Longitude and latitude of a gauge (WGS 84), or None."""
        return self._points().get(gauge, ({}, None))[1]

    def places(self) -> dict[str, tuple[float, float]]:
        """Longitude and latitude of all gauges that have a place."""
        return {name: place for name, (_, place) in self._points().items()}

    def _points(self) -> Mapping[str, tuple[dict[str, Any], tuple[float, float]]]:
        return _points(self.points, _stamp(self.points)) if self.points else {}


def gauge_results(run: RunFolder) -> list[GaugeResult]:
    """The series that a run has given, one entry a target and basin."""
    artifacts = run.artifacts()
    points = {run.resolve(item).parent: run.resolve(item) for item in artifacts if item.kind == "gauges"}
    found: dict[str, GaugeResult] = {}
    for item in artifacts:
        if item.kind == "series":
            path = run.resolve(item)
            part = "" if path.parent == run.results else path.parent.relative_to(run.results).as_posix()
            place = str(points.get(path.parent, ""))
            label = item.group or item.variable
            found[str(path)] = GaugeResult(
                str(path), place, label, item.units, item.step_seconds, str(run.path), part
            )  # a run that was taken up again tells of a file twice
    return list(found.values())


def result_of(layer: QgsMapLayer) -> Optional[GaugeResult]:
    """Where the series of a layer of results come from; None for any other layer."""
    text = layer.customProperty(RESULT_PROPERTY)
    try:
        return GaugeResult(**json.loads(text)) if text else None
    except (TypeError, ValueError):
        return None


def make_gauge_layer(run: RunFolder, artifact: Artifact) -> QgsVectorLayer:
    """A styled point layer of a "gauges" artifact, not yet in a project. DataError where it cannot be opened."""
    path = run.resolve(artifact)
    layer = QgsVectorLayer(str(path), artifact.title or path.stem, "ogr")
    if not layer.isValid():
        raise DataError(
            "The layer of gauges cannot be opened",
            got=str(path),
            remedy="Run the job again; the file may have been removed",
        )
    dress_gauge_layer(layer, artifact, run)
    return layer


def dress_gauge_layer(layer: QgsVectorLayer, artifact: Artifact, run: RunFolder) -> None:
    """Colours by NSE, names, map tips, and where the series lie."""
    _style(layer, artifact)
    _label(layer)
    layer.setDisplayExpression('"id"')
    layer.setMapTipTemplate(_tip(layer))
    layer.setAbstract(artifact.note)
    folder = run.resolve(artifact).parent
    result = next((item for item in gauge_results(run) if Path(item.table).parent == folder), None)
    if result is not None:
        layer.setCustomProperty(RESULT_PROPERTY, json.dumps(asdict(result)))


def _style(layer: QgsVectorLayer, artifact: Artifact) -> None:
    """Classes of NSE in a diverging ramp whose middle is 0; grey where a gauge could not be judged."""
    if layer.fields().indexFromName("nse") < 0:
        layer.renderer().setSymbol(_symbol(QColor("#2b7bba")))
        return
    colours = stops(artifact.ramp or "BrBG")
    ranges, lower = [], _WORST
    for upper in _EDGES:
        middle = (max(lower, -1.0) + upper) / 2.0
        colour = min(colours, key=lambda stop, at=(middle + 1.0) / 2.0: abs(stop[0] - at))[1]
        words = f"{lower:g} to {upper:g}" if lower > _WORST else f"below {upper:g}"
        ranges.append(QgsRendererRange(lower, upper, _symbol(colour), words))
        lower = upper
    if any(feature["nse"] in (None, "") or not _is_number(feature["nse"]) for feature in layer.getFeatures()):
        ranges.append(QgsRendererRange(1.5 * _UNKNOWN, 0.9 * _UNKNOWN, _symbol(QColor(_GREY)), "not judged"))
    layer.setRenderer(QgsGraduatedSymbolRenderer(f'coalesce(to_real("nse"), {_UNKNOWN})', ranges))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and value == value


def _symbol(colour: QColor) -> QgsMarkerSymbol:
    made = QgsMarkerSymbol.createSimple({"name": "circle", "size": "3.6", "outline_color": "#222222"})
    made.setColor(colour)
    return made


def _label(layer: QgsVectorLayer) -> None:
    settings, text, halo = QgsPalLayerSettings(), QgsTextFormat(), QgsTextBufferSettings()
    halo.setEnabled(True)
    halo.setSize(0.8)
    text.setSize(8)
    text.setBuffer(halo)
    settings.fieldName = "id"
    settings.dist = 2.0  # beside the symbol, so that the halo does not cut it
    settings.setFormat(text)
    layer.setLabeling(QgsVectorLayerSimpleLabeling(settings))
    layer.setLabelsEnabled(True)


def _tip(layer: QgsVectorLayer) -> str:
    """HTML of the map tip: the gauge and its scores with their units."""
    rows = []
    for name, words, unit in _SCORES:
        if layer.fields().indexFromName(name) >= 0:
            value = f"[% coalesce(round(to_real(\"{name}\"), 3), '-') %]"
            rows.append(f"<tr><td>{words}</td><td>{value}{' [% units %]' if unit else ''}</td></tr>")
    return f'<b>[% "id" %]</b><table>{"".join(rows)}</table>'


@lru_cache(maxsize=8)
def _series(path: str, _stamp: float) -> Mapping[tuple[str, int], Hydrograph]:
    columns: dict[tuple[str, int], tuple[list, list, list]] = {}
    moments: dict[str, datetime] = {}
    try:
        with open(path, encoding="utf-8", newline="") as handle:
            for row in csv.DictReader(handle):
                text = row["date"]
                moment = moments[text] if text in moments else moments.setdefault(text, parse_date(text))
                dates, predicted, observed = columns.setdefault((row["gauge"], int(row["lead_steps"])), ([], [], []))
                dates.append(moment)
                predicted.append(float(row["predicted"]) if row["predicted"] else None)
                observed.append(float(row["observed"]) if row["observed"] else None)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            "The series at gauges cannot be read",
            got=f"{path} ({error})",
            remedy="Run the job again; the file may have been removed or changed",
        ) from error
    return {key: Hydrograph(*(tuple(part) for part in parts)) for key, parts in columns.items()}


@lru_cache(maxsize=8)
def _points(path: str, _stamp: float) -> Mapping[str, tuple[dict[str, Any], tuple[float, float]]]:
    try:
        features = json.loads(Path(path).read_text(encoding="utf-8"))["features"]
        return {
            str(item["properties"]["id"]): (
                dict(item["properties"]),
                (float(item["geometry"]["coordinates"][0]), float(item["geometry"]["coordinates"][1])),
            )
            for item in features
        }
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return {}  # the series are there all the same; only scores and places are not


def _stamp(path: str) -> float:
    try:
        return os.path.getmtime(path)
    except OSError:
        return -1.0
