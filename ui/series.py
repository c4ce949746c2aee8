"""Series at a point: the values of every band of a layer, read through QGIS's own raster provider, those of the nearest
gauges, and all of them as a table.
"""

from __future__ import annotations

import csv
import io
import math
import re
from datetime import datetime
from typing import Any, Optional

from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsMapLayer,
    QgsPointXY,
    QgsProject,
    QgsRaster,
    QgsRasterLayer,
    QgsVectorLayer,
)

from ..core.contracts import FreshetError, RunFolder
from ..core.contracts.dates import format_date, parse_date
from ..core.contracts.files import write_text
from ..plugin.dataset_values import series_at
from ..plugin.datasets import read_summary
from ..plugin.gauge_layers import gauges_of
from ..plugin.temporal import layer_dates
from .charts import Line

# Titles of layers end with the unit: "Soil moisture, predicted (-)".
_UNIT = re.compile(r"\(([^()]*)\)\s*$")


def crs_from(text: str) -> QgsCoordinateReferenceSystem:
    """The CRS of an authority code or WKT; invalid where it is neither."""
    crs = QgsCoordinateReferenceSystem()
    crs.createFromUserInput(text)
    return crs


def point_in(
    point: QgsPointXY, source: QgsCoordinateReferenceSystem, target: QgsCoordinateReferenceSystem, project: QgsProject
) -> Optional[QgsPointXY]:
    """``point`` in another CRS; None where a CRS is missing or the point cannot be brought there."""
    if source == target:
        return point
    transform = QgsCoordinateTransform(source, target, project)
    if not transform.isValid():  # QGIS would give the point back unchanged and say nothing
        return None
    try:
        return transform.transform(point)
    except QgsCsException:
        return None


def line_at(layer: QgsRasterLayer, point: QgsPointXY) -> Optional[Line]:
    """The series of a layer with dates at ``point`` (in the layer's CRS), None outside it or without any value."""
    dates, step = layer_dates(layer)
    if not dates or not layer.extent().contains(point):
        return None
    found = layer.dataProvider().identify(point, _value_format())
    if not found.isValid():
        return None
    bands = found.results()
    values = [_value(bands.get(band)) for band in range(1, len(dates) + 1)]
    if all(value is None for value in values):
        return None
    kind, units = words_of(layer)
    moments: list[datetime] = [parse_date(date) for date in dates]
    return Line(moments, values, layer.name(), kind, units, step)


def gauge_line(layer: QgsMapLayer, point: QgsPointXY, tolerance: float) -> Optional[Line]:
    """The series of the gauge of a layer that is nearest to ``point`` (in the layer's CRS), None where none lies within
    ``tolerance`` (in units of that CRS), or it has no value.
    """
    source = gauges_of(layer)
    if source is None:
        return None
    try:
        gauges = source.read()
    except (FreshetError, OSError):
        return None
    away = [
        (math.hypot(x - point.x(), y - point.y()), number)
        for number, (x, y) in enumerate(zip(gauges.x, gauges.y))
        if x is not None and y is not None
    ]
    distance, number = min(away, default=(math.inf, 0))
    if distance > tolerance:
        return None
    values = [value if value is not None and value > source.least else None for value in gauges.values[number]]
    if all(value is None for value in values):
        return None
    label = f"{source.label}, {gauges.ids[number]} ({source.units})"
    return Line(list(gauges.dates[number]), values, label, "gauge", source.units)


def gauge_layers(project: QgsProject) -> list[QgsVectorLayer]:
    """The layers of gauges of the project, in the order of the layer tree."""
    nodes = project.layerTreeRoot().findLayers()
    return [node.layer() for node in nodes if isinstance(node.layer(), QgsVectorLayer) and gauges_of(node.layer())]


def table_text(lines: list[Line]) -> str:
    """Series as CSV: one row a date that any of them has, one column each with its unit; empty where there is none."""
    columns = [dict(zip(line.dates, line.values)) for line in lines]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["date", *_headers(lines)])
    for date in sorted({date for column in columns for date in column}):
        cells = [column.get(date) for column in columns]
        writer.writerow([format_date(date), *("" if cell is None or cell != cell else repr(cell) for cell in cells)])
    return out.getvalue()


def write_table(path: str, lines: list[Line]) -> None:
    """Write series as a CSV file, whole or not at all. OSError where that cannot be."""
    write_text(path, table_text(lines))


def _headers(lines: list[Line]) -> list[str]:
    """A name a column, no two alike, that ends with the unit."""
    found: list[str] = []
    for line in lines:
        plain = line.label.rsplit(" (", 1)[0] if line.label.endswith(")") else line.label
        name = f"{plain} [{line.units}]" if line.units else plain
        count = 2
        while name in found:
            name, count = f"{plain} {count} [{line.units}]" if line.units else f"{plain} {count}", count + 1
        found.append(name)
    return found


def rain_at(run_path: str, point: QgsPointXY, crs: QgsCoordinateReferenceSystem, project: QgsProject) -> Optional[Line]:
    """Precipitation at ``point`` (in ``crs``) from the dataset of a run; None where the run or the place has none."""
    try:
        job = RunFolder(run_path).job()
        path = str(getattr(job, "dataset", "") or next(iter(getattr(job, "datasets", ())), ""))
        summary = read_summary(path)
        sequence = str(getattr(job, "sequence", ""))
        if len(summary.sequences) > 1 and not sequence:
            return None  # maps of several sequences: which of them these are is not known here
        maps = [item for item in summary.variables if not (item.static or item.gauges)]
        rain = next((item for item in maps if item.quantity == "precipitation"), None)
        inside = point_in(point, crs, crs_from(str(summary.grid.get("crs", ""))), project)
        if rain is None or inside is None:
            return None
        dates, values = series_at(path, rain.name, inside.x(), inside.y(), sequence)
    except FreshetError:
        return None
    if not any(value is not None for value in values):
        return None
    return Line(dates, values, rain.label or rain.name, "rain", rain.units)


def words_of(layer: QgsRasterLayer) -> tuple[str, str]:
    """Kind (observed, predicted, delta ...) and unit of a layer of Freshet."""
    kind = str(layer.customProperty("freshet/kind", "") or "")
    found = _UNIT.search(layer.name())
    return kind, found.group(1) if found else ""


def series_layers(project: QgsProject) -> list[QgsRasterLayer]:
    """The layers of the project that have a date for each band, in the order of the layer tree."""
    nodes = project.layerTreeRoot().findLayers()
    layers = [node.layer() for node in nodes if isinstance(node.layer(), QgsRasterLayer)]
    return [layer for layer in layers if layer_dates(layer)[0]]


def _value(value: Any) -> Optional[float]:
    return float(value) if isinstance(value, (int, float)) else None


def _value_format() -> Any:
    scoped = getattr(Qgis, "RasterIdentifyFormat", None)  # QGIS 3.36 and newer
    return scoped.Value if scoped is not None else QgsRaster.IdentifyFormat.IdentifyFormatValue
