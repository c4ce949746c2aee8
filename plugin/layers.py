"""Results of a run as a group of styled layers on one time axis, and series that need no engine."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, Optional, Union

from osgeo import gdal
from qgis.core import (
    QgsCoordinateTransform,
    QgsCsException,
    QgsLayerTreeGroup,
    QgsLayerTreeLayer,
    QgsMapLayerLegendUtils,
    QgsProject,
    QgsRasterLayer,
    QgsSingleBandPseudoColorRenderer,
)

from ..core.contracts import Artifact, DataError, RunFolder
from ..core.contracts.files import whole_file
from .gdal_errors import quiet_gdal
from .inspection import SourceReport, catalogue_entry, inspect_source
from .raster_probe import netcdf_uri
from .styling import artifact_for, style_raster
from .temporal import TemporalBands, layer_dates, set_temporal

RASTER_KINDS = ("predicted", "observed", "delta", "score-map", "attribution")
RUN_PROPERTY, KIND_PROPERTY, NOTE_PROPERTY = "freshet/run", "freshet/kind", "freshet/note"


def add_run_results(
    run: RunFolder, project: Optional[QgsProject] = None, iface: Any = None, temporal: Optional[TemporalBands] = None
) -> QgsLayerTreeGroup:
    """Add the maps of a run as one group on top, titled by the run; a group that the run already has is replaced.

    ``temporal`` plays the period of the maps from its first frame. Main thread only. DataError where the run has no
    maps.
    """
    project = project or QgsProject.instance()
    pairs = [(item, make_layer(run.resolve(item), item, run)) for item in run.artifacts() if item.kind in RASTER_KINDS]
    if not pairs:
        raise DataError(
            "This run has no maps", got=str(run.path), remedy="Choose a run of predict, evaluate, compare or explain"
        )
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
    _play(temporal, [layer for _, layer in pairs])
    _look_at(pairs[0][1], project, iface, first_in_project)
    return group


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


def add_temporal_series(
    path: Union[str, Path],
    project: Optional[QgsProject] = None,
    iface: Any = None,
    temporal: Optional[TemporalBands] = None,
    layer: str = "",
    title: str = "",
) -> QgsRasterLayer:
    """Add a multi-band raster, a NetCDF variable (``layer``) or a folder of dated rasters as one animated layer; needs
    no engine.

    DataError where it has no dates, or where a file has several variables and none is named.
    """
    project = project or QgsProject.instance()
    report = _choose(inspect_source(path), layer, str(path))
    if not report.dates:
        raise DataError(
            "The source has no dates",
            got=str(path),
            remedy=" ".join(report.problems) or "Choose a series of dated maps",
        )
    uri = _one_raster(report, project)
    label = title or report.label or catalogue_entry(report).label
    low, high = (report.minimum, report.maximum) if report.minimum == report.minimum else (0.0, 1.0)
    artifact = artifact_for(
        report.quantity, label, report.units, low, high, report.dates, report.step_seconds or 86400.0
    )
    first_in_project = not project.mapLayers()
    made = make_layer(uri, artifact)
    project.addMapLayer(made, False)
    project.layerTreeRoot().insertChildNode(0, _node(made))
    _play(temporal, [made])
    _look_at(made, project, iface, first_in_project)
    return made


def _choose(reports: list[SourceReport], layer: str, path: str) -> SourceReport:
    named = [item for item in reports if item.layer == layer] if layer else [item for item in reports if item.dates]
    if len(named) == 1 or (len(reports) == 1 and not layer):
        return (named or reports)[0]
    raise DataError(
        f"The source has no variable '{layer}'" if layer else "It is not clear which variable of the source to show",
        expected=", ".join(item.layer for item in reports),
        got=path,
        remedy="Name one of these variables",
    )


def _one_raster(report: SourceReport, project: QgsProject) -> str:
    """GDAL's name of one raster with a band per date; for a folder, a small file that refers to its rasters."""
    if not report.files:
        return netcdf_uri(report.path, report.layer) if report.layer else report.path
    home = project.homePath()
    folder = Path(home) if home and os.access(home, os.W_OK) else Path(tempfile.mkdtemp(prefix="freshet-"))
    target = folder / f"{report.variable}_series.vrt"
    # Written in place: the relative paths inside depend on where the file lies, not on its name.
    with whole_file(target) as temporary, quiet_gdal():
        mosaic = gdal.BuildVRT(str(temporary), list(report.files), separate=True)
        if mosaic is None:
            raise DataError(
                "The folder could not be joined to one series", got=gdal.GetLastErrorMsg(), remedy="Check its files"
            )
        for number, date in enumerate(report.dates, start=1):
            mosaic.GetRasterBand(number).SetDescription(date)
        mosaic.FlushCache()
        del mosaic
    return str(target)


def _node(layer: QgsRasterLayer) -> QgsLayerTreeLayer:
    """The layer's place in the tree, with the ramp alone in its legend.

    QGIS would put the name of the band above it, and leaves the name of the first date there while others are shown.
    """
    node = QgsLayerTreeLayer(layer)
    if not isinstance(layer.renderer(), QgsSingleBandPseudoColorRenderer):
        return node
    QgsMapLayerLegendUtils.setLegendNodeOrder(node, [1])
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


def _play(temporal: Optional[TemporalBands], layers: list[QgsRasterLayer]) -> None:
    series = [layer_dates(layer) for layer in layers]
    dated = [(dates, step) for dates, step in series if dates]
    if temporal is None or not dated:
        return
    begin, end = min(dates[0] for dates, _ in dated), max(dates[-1] for dates, _ in dated)
    temporal.set_range(begin, end, min(step for _, step in dated))


def _look_at(layer: QgsRasterLayer, project: QgsProject, iface: Any, first: bool) -> None:
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
        extent.scale(1.05)
        canvas.setExtent(extent)
        canvas.refresh()
