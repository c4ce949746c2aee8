"""Series at a point: the values of every band of a layer, read through QGIS's own raster provider."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Optional

from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsPointXY,
    QgsProject,
    QgsRaster,
    QgsRasterLayer,
)

from ..core.contracts import FreshetError, RunFolder
from ..core.contracts.dates import parse_date
from ..plugin.dataset_values import series_at
from ..plugin.datasets import read_summary
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
    dates, _ = layer_dates(layer)
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
    return Line(moments, values, layer.name(), kind, units)


def rain_at(run_path: str, point: QgsPointXY, crs: QgsCoordinateReferenceSystem, project: QgsProject) -> Optional[Line]:
    """Precipitation at ``point`` (in ``crs``) from the dataset of a run; None where the run or the place has none."""
    try:
        job = RunFolder(run_path).job()
        path = str(getattr(job, "dataset", "") or next(iter(getattr(job, "datasets", ())), ""))
        summary = read_summary(path)
        rain = next((item for item in summary.variables if item.quantity == "precipitation" and not item.static), None)
        inside = point_in(point, crs, crs_from(str(summary.grid.get("crs", ""))), project)
        if rain is None or inside is None:
            return None
        dates, values = series_at(path, rain.name, inside.x(), inside.y())
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
