"""Results of a run as a group of styled layers on one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, Union

from qgis.core import (
    QgsCoordinateTransform,
    QgsCsException,
    QgsLayerTreeGroup,
    QgsLayerTreeLayer,
    QgsMapLayer,
    QgsMapLayerLegendUtils,
    QgsProject,
    QgsRasterLayer,
    QgsSingleBandPseudoColorRenderer,
)

from ..core.contracts import Artifact, DataError, RunFolder
from .gauge_results import make_gauge_layer
from .styling import style_raster
from .temporal import TemporalBands, layer_dates, set_temporal

RASTER_KINDS = ("predicted", "filled", "observed", "delta", "score-map", "attribution")
RUN_PROPERTY, KIND_PROPERTY, NOTE_PROPERTY = "freshet/run", "freshet/kind", "freshet/note"


def add_run_results(
    run: RunFolder, project: Optional[QgsProject] = None, iface: Any = None, temporal: Optional[TemporalBands] = None
) -> QgsLayerTreeGroup:
    """Add the maps and gauges of a run as one group on top, titled by the run; a group that the run already has is
    replaced.

    ``temporal`` plays the period of the results from its first frame. Main thread only. DataError where the run has
    nothing for the map.
    """
    project = project or QgsProject.instance()
    artifacts = run.artifacts()
    pairs = [(item, _layer(run, item)) for item in artifacts if item.kind in (*RASTER_KINDS, "gauges")]
    if not pairs:
        raise _nothing_to_show(run, artifacts)
    root = project.layerTreeRoot()
    _remove_group(root, run, project)
    group = root.insertGroup(0, str(run.header().get("title") or run.path.name))
    group.setCustomProperty(RUN_PROPERTY, str(run.path))
    first_in_project = not project.mapLayers()
    for number, (artifact, layer) in enumerate(pairs):
        project.addMapLayer(layer, False)
        node = _node(layer)
        _parent(group, artifact).addChildNode(node)
        node.setExpanded(number < 3)
        # Opaque maps hide each other: only the topmost is switched on.
        node.setItemVisibilityChecked(number == 0)
    series = [(list(item.dates), item.step_seconds) for item in artifacts if item.kind == "series"]
    _play(temporal, [layer for _, layer in pairs], series)
    _look_at(pairs[0][1], project, iface, first_in_project)
    return group


def _layer(run: RunFolder, artifact: Artifact) -> QgsMapLayer:
    if artifact.kind != "gauges":
        return make_layer(run.resolve(artifact), artifact, run)
    layer = make_gauge_layer(run, artifact)
    layer.setCustomProperty(KIND_PROPERTY, artifact.kind)
    layer.setCustomProperty(RUN_PROPERTY, str(run.path))
    return layer


def _nothing_to_show(run: RunFolder, artifacts: list[Artifact]) -> DataError:
    if any(item.kind == "series" for item in artifacts):
        return DataError(
            "The gauges of this run have no place on the map",
            got=str(run.path),
            remedy="Look at their series on the page Maps, or prepare the dataset with the places of its gauges",
        )
    return DataError(
        "This run has no maps", got=str(run.path), remedy="Choose a run of predict, evaluate, compare or explain"
    )


def make_layer(path: Union[str, Path], artifact: Artifact, run: Optional[RunFolder] = None) -> QgsRasterLayer:
    """A styled layer of one artifact, not yet in a project. DataError where it cannot be opened."""
    layer = QgsRasterLayer(str(path), artifact.title or Path(path).stem, "gdal")
    if not layer.isValid():
        raise DataError(
            "The map cannot be opened", got=str(path), remedy="Run the job again; the file may have been removed"
        )
    dress_layer(layer, artifact, run)
    return layer


def dress_layer(layer: QgsRasterLayer, artifact: Artifact, run: Optional[RunFolder] = None) -> None:
    """Style, dates and origin of a layer that shows ``artifact``."""
    style_raster(layer, artifact)
    set_temporal(layer, list(artifact.dates), artifact.step_seconds)
    layer.setCustomProperty(KIND_PROPERTY, artifact.kind)
    if artifact.note:
        layer.setCustomProperty(NOTE_PROPERTY, artifact.note)
        layer.setAbstract(artifact.note)
    if run is not None:
        layer.setCustomProperty(RUN_PROPERTY, str(run.path))


def _node(layer: QgsMapLayer) -> QgsLayerTreeLayer:
    """The layer's place in the tree, with the ramp alone, or its classes, in its legend.

    QGIS would put the name of the band above it, and leaves the name of the first date there while others are shown.
    """
    node = QgsLayerTreeLayer(layer)
    if not isinstance(layer, QgsRasterLayer) or not isinstance(layer.renderer(), QgsSingleBandPseudoColorRenderer):
        return node
    function = layer.renderer().shader().rasterShaderFunction()
    bar = function.legendSettings() is None or function.legendSettings().useContinuousLegend()
    count = 1 if bar else len(function.colorRampItemList())
    QgsMapLayerLegendUtils.setLegendNodeOrder(node, list(range(1, count + 1)))
    return node


def _remove_group(root: QgsLayerTreeGroup, run: RunFolder, project: QgsProject) -> None:
    for group in root.findGroups(True):
        if group.customProperty(RUN_PROPERTY) == str(run.path):
            project.removeMapLayers([node.layerId() for node in group.findLayers()])
            group.parent().removeChildNode(group)
            return


def _parent(group: QgsLayerTreeGroup, artifact: Artifact) -> QgsLayerTreeGroup:
    if not artifact.group:
        return group
    return group.findGroup(artifact.group) or group.addGroup(artifact.group)


def _play(temporal: Optional[TemporalBands], layers: list[QgsMapLayer], more: Sequence[tuple] = ()) -> None:
    """Play the period of ``layers``, and of the dates and steps of ``more``, in their finest step."""
    series = [*(layer_dates(layer) for layer in layers), *more]
    dated = [(dates, step) for dates, step in series if dates]
    if temporal is None or not dated:
        return
    begin, end = min(dates[0] for dates, _ in dated), max(dates[-1] for dates, _ in dated)
    temporal.set_range(begin, end, min(step for _, step in dated))


def _look_at(layer: QgsMapLayer, project: QgsProject, iface: Any, first: bool) -> None:
    """Show the whole layer where it would lie outside the view; in an empty project its CRS becomes the map's."""
    if first and layer.crs().isValid():
        project.setCrs(layer.crs())
    if iface is None:
        return
    canvas = iface.mapCanvas()
    transform = QgsCoordinateTransform(layer.crs(), canvas.mapSettings().destinationCrs(), project)
    if not transform.isValid():  # without a CRS it would hand the extent back as it is
        return
    try:
        extent = transform.transformBoundingBox(layer.extent())
    except QgsCsException:
        return
    if first or not canvas.extent().intersects(extent):
        if extent.isEmpty():  # a single gauge has no extent to show
            extent.grow(0.05 if canvas.mapSettings().destinationCrs().isGeographic() else 5000.0)
        # Points at the very edge would be cut, and their names.
        extent.scale(1.05 if isinstance(layer, QgsRasterLayer) else 1.3)
        canvas.setExtent(extent)
        canvas.refresh()
