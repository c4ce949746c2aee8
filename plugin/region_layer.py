"""The region of most influence on the map: its outline and a thin hatch, so that what lies below stays readable."""

from __future__ import annotations

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFillSymbol,
    QgsLinePatternFillSymbolLayer,
    QgsLineSymbol,
    QgsRasterLayer,
    QgsSimpleFillSymbolLayer,
    QgsSingleSymbolRenderer,
    QgsVectorLayer,
)
from qgis.PyQt.QtGui import QColor

from ..core.contracts import Artifact, DataError, RunFolder

# Neither is a colour of the ramps below it.
_LINE, _HALO, _HATCH = "#c2185b", "#ffffff", "#c2185b"
_TIP = (
    '<b>[% "cells" %]</b> cells with <b>[% round(100 * "share", 1) %] %</b> of all contributions, by their sizes; the '
    'whole region holds [% round(100 * "top_share", 1) %] %.'
)


def make_region_layer(run: RunFolder, artifact: Artifact) -> QgsVectorLayer:
    """A styled polygon layer of a "region" artifact, not yet in a project. DataError where it cannot be opened."""
    path = run.resolve(artifact)
    layer = QgsVectorLayer(str(path), artifact.title or path.stem, "ogr")
    if not layer.isValid():
        raise DataError(
            "The region of most influence cannot be opened",
            got=str(path),
            remedy="Run the job again; the file may have been removed",
        )
    dress_region_layer(layer, artifact, run)
    return layer


def dress_region_layer(layer: QgsVectorLayer, artifact: Artifact, run: RunFolder) -> None:
    """Outline and hatch, map tips, and the CRS of the run's maps."""
    layer.setRenderer(QgsSingleSymbolRenderer(region_symbol()))
    layer.setDisplayExpression("round(100 * \"share\", 1) || ' %'")
    layer.setMapTipTemplate(_TIP)
    layer.setAbstract(artifact.note)
    crs = _crs_of_maps(run)
    # GeoJSON names a CRS by its code alone; without one QGIS would take metres for degrees.
    if crs.isValid() and crs != layer.crs():
        layer.setCrs(crs)


def region_symbol() -> QgsFillSymbol:
    """An outline that stands out from light and dark cells, over a thin hatch; no filling."""
    halo = {"style": "no", "outline_color": _HALO, "outline_width": "1.1", "joinstyle": "miter"}
    line = {"style": "no", "outline_color": _LINE, "outline_width": "0.5", "joinstyle": "miter"}
    hatch = QgsLinePatternFillSymbolLayer()
    hatch.setLineAngle(45.0)
    hatch.setDistance(2.4)
    hatch.setSubSymbol(QgsLineSymbol.createSimple({"line_color": _HATCH, "line_width": "0.12"}))
    symbol = QgsFillSymbol()
    symbol.changeSymbolLayer(0, hatch)
    for properties in (halo, line):
        symbol.appendSymbolLayer(QgsSimpleFillSymbolLayer.create(properties))
    symbol.setColor(QColor(_LINE))
    return symbol


def _crs_of_maps(run: RunFolder) -> QgsCoordinateReferenceSystem:
    paths = [run.resolve(item) for item in run.artifacts() if item.path.endswith(".tif")]
    found = next((path for path in paths if path.is_file()), None)
    return QgsRasterLayer(str(found)).crs() if found is not None else QgsCoordinateReferenceSystem()
