"""Places on the map as parameters: points, polygons, layers and extents, brought into the CRS of the dataset."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Optional

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCsException,
    QgsFeatureRequest,
    QgsGeometry,
    QgsPoint,
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterGeometry,
    QgsProcessingParameterPoint,
    QgsProcessingParameterRasterLayer,
    QgsWkbTypes,
)

from ...core.contracts import ConfigError, DataError, Grid
from ..dataset_values import inside_basin
from ..datasets import DatasetSummary
from .parameters import absolute, finish

_GRID = ("crs", "west", "north", "cell_x", "cell_y", "columns", "rows")


@dataclass(frozen=True)
class MapEntry:
    """A parameter that QGIS can pick on the map; it is no field of a job by itself, so ``field`` is empty.

    ``kind``: point, geometry, polygons (a layer), extent, raster.
    """

    name: str
    kind: str
    label: str
    help: str
    field: str = ""
    choices: tuple[str, ...] = ()

    def definition(self) -> QgsProcessingParameterDefinition:
        """The parameter for QGIS; all of them may be left empty."""
        return finish(_MAKERS[self.kind](self), self.help)


POINT = MapEntry(
    "POINT", "point", "Cell", "A point such as '4045369,2843847 [EPSG:3035]'; else in the CRS of the dataset."
)


def polygon_entries(use: str) -> tuple[MapEntry, MapEntry]:
    """A polygon as text, or as a layer; ``use`` says what becomes of it."""
    text = f"WKT in the CRS of the dataset, or such as 'CRS=EPSG:4326;POLYGON((...))'. {use}"
    layer = f"A polygon layer in place of the text: all its features together, or the selected ones. {use}"
    return (
        MapEntry("POLYGON", "geometry", "Polygon", text),
        MapEntry("POLYGON_LAYER", "polygons", "Polygons of a layer", layer),
    )


def dataset_crs(summary: DatasetSummary) -> QgsCoordinateReferenceSystem:
    """The CRS of a dataset's grid. DataError where QGIS does not know it."""
    crs = QgsCoordinateReferenceSystem()
    if not crs.createFromUserInput(str(summary.grid.get("crs", ""))):
        # With an invalid CRS QGIS would hand a place over as it is, and another one would be taken.
        raise DataError(
            "The dataset's CRS is not understood",
            got=summary.path,
            remedy="Prepare the dataset anew with a CRS that QGIS knows",
        )
    return crs


def grid_of(summary: DatasetSummary) -> Grid:
    """The grid of a dataset."""
    return Grid(**{name: summary.grid[name] for name in _GRID})


def point_of(
    algorithm: QgsProcessingAlgorithm, values: dict[str, Any], context: QgsProcessingContext, summary: DatasetSummary
) -> tuple[Optional[float], Optional[float]]:
    """The point in the CRS of the dataset; (None, None) where none is given. DataError outside grid or basin."""
    if not values.get(POINT.name):
        return None, None
    point = algorithm.parameterAsPoint(values, POINT.name, context, dataset_crs(summary))
    x, y = float(point.x()), float(point.y())
    grid_of(summary).cell_at(x, y)
    if inside_basin(summary.path, x, y, summary.sequence) is False:
        raise DataError(
            "The point lies outside the basin",
            expected="a cell inside the basin mask of the dataset",
            got=f"x {x:.10g}, y {y:.10g}",
            remedy="Pick a cell that has a prediction",
        )
    return x, y


def polygon_of(
    algorithm: QgsProcessingAlgorithm,
    values: dict[str, Any],
    context: QgsProcessingContext,
    summary: DatasetSummary,
    names: tuple[str, ...] = ("POLYGON", "POLYGON_LAYER"),
) -> Optional[QgsGeometry]:
    """The polygon that one of the parameters ``names`` gives, in the CRS of the dataset; None where none is given.

    ConfigError where several are given or a text is no polygon, DataError where a layer has none.
    """
    given = [name for name in names if values.get(name)]
    if len(given) > 1:
        raise ConfigError("The polygon is given twice", got=", ".join(given), remedy="Give one of these")
    if not given:
        return None
    crs, name = dataset_crs(summary), given[0]
    kind = algorithm.parameterDefinition(name).type()
    if kind == "source":
        found = _of_layer(algorithm, values, name, context, crs)
    elif kind == "extent":
        found = algorithm.parameterAsExtentGeometry(values, name, context, crs)
    else:
        found = algorithm.parameterAsGeometry(values, name, context, crs)
    # QgsWkbTypes.PolygonGeometry has this one name in all versions from 3.22 on.
    if found.isNull() or found.isEmpty() or found.type() != QgsWkbTypes.PolygonGeometry:
        raise ConfigError(
            "The polygon is not understood",
            expected="WKT such as POLYGON((0 0, 10 0, 10 10, 0 0)) in the CRS of the dataset",
            got=str(values[name])[:80],
            remedy="Correct it, or choose a polygon layer",
        )
    return found


def wkt_of(polygon: Optional[QgsGeometry]) -> str:
    """As jobs have it; empty where there is none."""
    return polygon.asWkt(8) if polygon is not None else ""


def cells_of(polygon: QgsGeometry, summary: DatasetSummary) -> list[tuple[float, float]]:
    """Centres (x, y) of the cells of the dataset's grid that lie in ``polygon``. DataError where there is none."""
    box = polygon.boundingBox()
    xs, ys = grid_of(summary).centres()
    xs = [x for x in xs if box.xMinimum() <= x <= box.xMaximum()]
    ys = [y for y in ys if box.yMinimum() <= y <= box.yMaximum()]
    engine = QgsGeometry.createGeometryEngine(polygon.constGet())
    engine.prepareGeometry()
    found = [(x, y) for y in ys for x in xs if engine.contains(QgsPoint(x, y))]
    if not found:
        west, south, east, north = grid_of(summary).extent
        raise DataError(
            "The polygon holds the centre of no cell",
            expected=f"a polygon within x {west:.10g} to {east:.10g}, y {south:.10g} to {north:.10g}",
            remedy="Draw a larger polygon, or check its CRS",
        )
    return found


def raster_path(
    algorithm: QgsProcessingAlgorithm, values: dict[str, Any], name: str, context: QgsProcessingContext
) -> str:
    """File of a raster layer or path; empty where none is given. DataError where it cannot be opened."""
    if not values.get(name):
        return ""
    layer = algorithm.parameterAsRasterLayer(values, name, context)
    if layer is None or not layer.isValid():
        raise DataError(
            "The raster cannot be opened", got=str(values[name]), remedy="Choose a raster layer or an existing file"
        )
    return absolute(layer.source()) if os.path.exists(layer.source()) else layer.source()


def _of_layer(
    algorithm: QgsProcessingAlgorithm,
    values: dict[str, Any],
    name: str,
    context: QgsProcessingContext,
    crs: QgsCoordinateReferenceSystem,
) -> QgsGeometry:
    source = algorithm.parameterAsSource(values, name, context)
    if source is None:
        raise DataError(
            "The polygon layer cannot be opened", got=str(values[name]), remedy="Choose a layer or an existing file"
        )
    if not source.sourceCrs().isValid():
        raise DataError(
            "The polygon layer has no coordinate reference system",
            got=source.sourceName(),
            remedy="Assign its CRS first (in QGIS: right click, Layer CRS)",
        )
    request = QgsFeatureRequest().setDestinationCrs(crs, context.transformContext())
    try:
        parts = [feature.geometry() for feature in source.getFeatures(request) if feature.hasGeometry()]
    except QgsCsException as error:
        raise DataError(
            "The polygons cannot be brought into the CRS of the dataset",
            got=str(error),
            remedy="Check the CRS of the layer",
        ) from error
    if not parts:
        raise DataError(
            "The polygon layer has no polygon", got=source.sourceName(), remedy="Choose another layer, or select one"
        )
    return QgsGeometry.unaryUnion(parts)


def _polygons(item: MapEntry) -> QgsProcessingParameterFeatureSource:
    types = QgsProcessing.SourceType if hasattr(QgsProcessing, "SourceType") else QgsProcessing
    return QgsProcessingParameterFeatureSource(item.name, item.label, [types.TypeVectorPolygon], None, True)


_MAKERS = {
    "point": lambda item: QgsProcessingParameterPoint(item.name, item.label, None, True),
    "geometry": lambda item: QgsProcessingParameterGeometry(item.name, item.label, None, True),
    "polygons": _polygons,
    "extent": lambda item: QgsProcessingParameterExtent(item.name, item.label, None, True),
    "raster": lambda item: QgsProcessingParameterRasterLayer(item.name, item.label, None, True),
}
