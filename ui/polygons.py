"""Polygons for a question: the selected features of a polygon layer, and geometries brought into another CRS."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsGeometry,
    QgsProject,
    QgsVectorLayer,
    QgsWkbTypes,
)


def selected_layer(project: QgsProject, active: Any = None) -> Optional[QgsVectorLayer]:
    """The active layer where it is a polygon layer with a selection, else the first such layer of the project."""
    nodes = [node.layer() for node in project.layerTreeRoot().findLayers()]
    # QgsWkbTypes.PolygonGeometry has this one name in all versions from 3.22 on.
    found = [
        layer
        for layer in [active, *nodes]
        if isinstance(layer, QgsVectorLayer)
        and layer.geometryType() == QgsWkbTypes.PolygonGeometry
        and layer.selectedFeatureCount()
    ]
    return found[0] if found else None


def selected_polygon(layer: QgsVectorLayer) -> QgsGeometry:
    """The selected features of a layer as one polygon, in the layer's CRS; empty where none has a geometry."""
    parts = [feature.geometry() for feature in layer.selectedFeatures() if feature.hasGeometry()]
    return QgsGeometry.unaryUnion(parts) if parts else QgsGeometry()


def polygon_in(
    polygon: QgsGeometry,
    source: QgsCoordinateReferenceSystem,
    target: QgsCoordinateReferenceSystem,
    project: QgsProject,
) -> Optional[QgsGeometry]:
    """A copy of ``polygon`` in another CRS; None where a CRS is missing or it cannot be brought there."""
    moved = QgsGeometry(polygon)
    if source == target:
        return moved
    transform = QgsCoordinateTransform(source, target, project)
    if not transform.isValid():  # QGIS would give the polygon back unchanged and say nothing
        return None
    try:
        done = moved.transform(transform)
    except QgsCsException:
        return None
    return moved if int(done) == 0 else None
