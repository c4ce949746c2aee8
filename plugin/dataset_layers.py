"""The variables of a dataset on the map, as one group; needs no engine."""

from __future__ import annotations

from typing import Any, Optional

from osgeo import gdal
from qgis.core import QgsLayerTreeGroup, QgsProject, QgsRasterLayer

from ..core.contracts import DataError
from ..core.contracts.dates import format_date
from .cf_time import decode_times
from .datasets import DatasetSummary, VariableSummary
from .gdal_errors import quiet_gdal
from .layers import _look_at, _node, _play, make_layer
from .raster_probe import netcdf_uri
from .styling import artifact_for

DATASET_PROPERTY = "freshet/dataset"


def add_dataset(
    summary: DatasetSummary,
    project: Optional[QgsProject] = None,
    iface: Any = None,
    temporal: Any = None,
    sequence: str = "",
) -> QgsLayerTreeGroup:
    """Add the maps of a dataset as one group on top; one that the dataset already has is replaced.

    ``sequence`` (empty: the first) is the one that is shown of a dataset of several. Series at gauges are no maps and
    are left out. Main thread only. DataError where a map cannot be opened, or where there is none.
    """
    project = project or QgsProject.instance()
    layers = [variable_layer(summary, item, sequence) for item in summary.variables if not item.gauges]
    if not layers:
        raise DataError(
            f"The dataset '{summary.name}' has no maps", got=summary.path, remedy="Choose a dataset that has maps"
        )
    root, first = project.layerTreeRoot(), not project.mapLayers()
    for group in root.findGroups(True):
        if group.customProperty(DATASET_PROPERTY) == summary.path:
            project.removeMapLayers([node.layerId() for node in group.findLayers()])
            group.parent().removeChildNode(group)
            break
    group = root.insertGroup(0, _title(summary, sequence))
    group.setCustomProperty(DATASET_PROPERTY, summary.path)
    for number, layer in enumerate(layers):
        project.addMapLayer(layer, False)
        node = _node(layer)
        group.addChildNode(node)
        node.setExpanded(number < 3)
        # Opaque maps hide each other: only the topmost is switched on.
        node.setItemVisibilityChecked(number == 0)
    _play(temporal, layers)
    _look_at(layers[0], project, iface, first)
    return group


def add_variable(
    summary: DatasetSummary,
    item: VariableSummary,
    project: Optional[QgsProject] = None,
    iface: Any = None,
    temporal: Any = None,
    sequence: str = "",
) -> QgsRasterLayer:
    """Add one variable of a dataset as a layer on top. Main thread only. DataError where it cannot be opened."""
    project = project or QgsProject.instance()
    layer, first = variable_layer(summary, item, sequence), not project.mapLayers()
    project.addMapLayer(layer, False)
    project.layerTreeRoot().insertChildNode(0, _node(layer))
    _play(temporal, [layer])
    _look_at(layer, project, iface, first)
    return layer


def variable_layer(summary: DatasetSummary, item: VariableSummary, sequence: str = "") -> QgsRasterLayer:
    """A styled layer of one variable, with its dates, not yet in a project. DataError where it cannot be opened."""
    group = group_of(summary, sequence)
    dates = () if item.static else dates_of(summary.path, group)
    title = f"{_title(summary, sequence)}: {item.label or item.name}"
    artifact = artifact_for(item.quantity, title, item.units, item.minimum, item.maximum, dates, summary.step_seconds)
    return make_layer(netcdf_uri(summary.path, f"/{group}/{item.name}" if group else item.name), artifact)


def group_of(summary: DatasetSummary, sequence: str = "") -> str:
    """The group of a sequence (empty: the first) inside the file; empty for a plain dataset. DataError for an unknown
    one.
    """
    if not summary.sequences:
        return ""
    if sequence and sequence not in summary.sequences:
        raise DataError(
            f"The dataset '{summary.name}' has no sequence '{sequence}'",
            expected=", ".join(summary.sequences[:5]),
            remedy="Choose one of these",
        )
    return summary.groups[summary.sequences.index(sequence) if sequence else 0]


def dates_of(path: str, group: str = "") -> tuple[str, ...]:
    """The dates of a dataset, or of one of its groups, as ISO texts. DataError where they cannot be read."""
    with quiet_gdal():
        source = gdal.OpenEx(path, gdal.OF_MULTIDIM_RASTER | gdal.OF_READONLY)
        root = source.GetRootGroup() if source is not None else None
        part = root.OpenGroup(group) if root is not None and group else root
        axis = part.OpenMDArray("time") if part is not None else None
        found = decode_times([float(v) for v in axis.ReadAsArray()], axis.GetUnit(), "standard") if axis else None
        reason = gdal.GetLastErrorMsg()
    if found is None:
        got = f"{path} ({reason})" if reason else path
        raise DataError("The dates of the dataset cannot be read", got=got, remedy="Prepare it anew")
    return tuple(format_date(date) for date in found)


def _title(summary: DatasetSummary, sequence: str) -> str:
    return f"{summary.name}, {sequence or summary.sequences[0]}" if summary.sequences else summary.name
