"""Gauges on the map: points with the latest value and the mean of each, and their series for a click."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Optional

from osgeo import ogr, osr
from qgis.core import QgsGraduatedSymbolRenderer, QgsMapLayer, QgsMarkerSymbol, QgsRendererRange, QgsVectorLayer

from ..core.contracts import DataError
from ..core.contracts.dates import format_date
from ..core.contracts.files import whole_file
from ..core.contracts.variables import quantity
from .gdal_errors import quiet_gdal
from .ramps import stops
from .source_report import SourceReport
from .styling import short_number
from .table_reader import Gauges, read_gauges

GAUGES_PROPERTY = "freshet/gauges"
_CLASSES = 5


@dataclass(frozen=True)
class GaugeSource:
    """Where the series of a layer of gauges come from; kept with the layer in the project. Values of ``least`` and
    less are missing.
    """

    path: str
    layer: str
    stations: str
    units: str
    label: str
    least: float

    def read(self) -> Gauges:
        """The series. DataError where the table cannot be read."""
        stamps = [os.path.getmtime(part) for part in (_file(self.path), _file(self.stations)) if os.path.exists(part)]
        return read_gauges(self.path, self.layer, self.stations, sum(stamps))


def gauge_layer(report: SourceReport, title: str, folder: Path) -> QgsVectorLayer:
    """A point layer of the gauges of a report, in a file in ``folder``; not yet in a project.

    DataError where no place is known, or the file cannot be written.
    """
    entry = quantity(report.quantity)
    label = title or report.label or entry.label
    least = -9000.0 if entry.minimum < -999 else -998.0
    source = GaugeSource(report.path, report.layer, report.points.stations, report.units, label, least)
    gauges = source.read()
    rows = [row for row in (_row(gauges, number, least) for number in range(len(gauges.ids))) if row is not None]
    if not rows:
        raise DataError(
            "The places of the gauges are not known",
            got=report.path,
            remedy="Choose the table or point layer of its stations, or give the place of the gauge",
        )
    name = hashlib.sha256(f"{report.path}|{report.layer}|{report.points.stations}".encode()).hexdigest()[:8]
    path = folder / f"{report.variable}_gauges_{name}.fgb"
    _write(path, rows, report.crs or gauges.crs)
    layer = QgsVectorLayer(str(path), f"{label} ({report.units})", "ogr")
    if not layer.isValid():
        raise DataError("The layer of gauges cannot be opened", got=str(path), remedy="Choose another folder")
    _style(layer, [row[4] for row in rows if row[4] is not None], entry.ramp, report.units)
    layer.setCustomProperty(GAUGES_PROPERTY, json.dumps(asdict(source)))
    return layer


def gauges_of(layer: QgsMapLayer) -> Optional[GaugeSource]:
    """Where the series of a layer come from; None for any other layer."""
    text = layer.customProperty(GAUGES_PROPERTY)
    try:
        return GaugeSource(**json.loads(text)) if text else None
    except (TypeError, ValueError):
        return None


Row = tuple[str, float, float, Optional[float], Optional[float], str, int]


def _row(gauges: Gauges, number: int, least: float) -> Optional[Row]:
    """Name, x, y, latest value, mean, date of the latest value and count of one gauge; None without a place."""
    x, y = gauges.x[number], gauges.y[number]
    if x is None or y is None:
        return None
    known: list[tuple[datetime, float]] = [
        (date, value)
        for date, value in zip(gauges.dates[number], gauges.values[number])
        if value is not None and value > least
    ]
    latest = known[-1] if known else (None, None)
    mean = sum(value for _, value in known) / len(known) if known else None
    date = format_date(latest[0]) if latest[0] is not None else ""
    return gauges.ids[number], x, y, latest[1], mean, date, len(known)


def _write(path: Path, rows: list[Row], crs: str) -> None:
    reference = osr.SpatialReference()
    known = bool(crs) and reference.SetFromUserInput(crs) == 0
    reference.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    with quiet_gdal(), whole_file(path) as temporary:
        made = ogr.GetDriverByName("FlatGeobuf").CreateDataSource(str(temporary))
        layer = made.CreateLayer("gauges", reference if known else None, ogr.wkbPoint) if made is not None else None
        if layer is None:
            raise DataError("The layer of gauges cannot be written", got=str(path), remedy="Choose another folder")
        fields = (("gauge", ogr.OFTString), ("latest", ogr.OFTReal), ("mean", ogr.OFTReal), ("date", ogr.OFTString),
                  ("values", ogr.OFTInteger))  # fmt: skip
        for name, kind in fields:
            layer.CreateField(ogr.FieldDefn(name, kind))
        for gauge, x, y, *values in rows:
            feature = ogr.Feature(layer.GetLayerDefn())
            for (name, _), value in zip(fields, (gauge, *values)):
                if value is not None:
                    feature.SetField(name, value)
            point = ogr.Geometry(ogr.wkbPoint)
            point.AddPoint_2D(x, y)
            feature.SetGeometry(point)
            layer.CreateFeature(feature)
        del layer, made


def _style(layer: QgsVectorLayer, means: list[float], ramp: str, units: str) -> None:
    """Points in the colours of the catalogue by their mean."""
    colours = [colour for _, colour in stops(ramp)]
    low, high = (min(means), max(means)) if means else (0.0, 0.0)
    if not high > low:
        symbol = QgsMarkerSymbol.createSimple({"name": "circle", "size": "2.6", "outline_color": "#222222"})
        symbol.setColor(colours[-1])
        layer.renderer().setSymbol(symbol)
        return
    ranges = []
    suffix = f" {units}" if units and units != "-" else ""
    for number in range(_CLASSES):
        start, end = (low + (high - low) * part / _CLASSES for part in (number, number + 1))
        symbol = QgsMarkerSymbol.createSimple({"name": "circle", "size": "2.6", "outline_color": "#222222"})
        symbol.setColor(colours[round(number * (len(colours) - 1) / (_CLASSES - 1))])
        words = f"{short_number(start)} - {short_number(end)}{suffix}"
        ranges.append(QgsRendererRange(start, high if number == _CLASSES - 1 else end, symbol, words))
    layer.setRenderer(QgsGraduatedSymbolRenderer("mean", ranges))


def _file(path: str) -> str:
    return path.split("|")[0]
