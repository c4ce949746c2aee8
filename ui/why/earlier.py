"""Layers of earlier answers that give way to newer ones."""

from __future__ import annotations

from typing import Optional

from qgis.core import QgsProject

from ...plugin.layers import RUN_PROPERTY


def remove_layers(run_path: str, project: Optional[QgsProject] = None) -> None:
    """Take the group of a run and its layers out of the project; nothing happens where there is none."""
    project = project or QgsProject.instance()
    for group in project.layerTreeRoot().findGroups(True):
        if group.customProperty(RUN_PROPERTY) == str(run_path):
            project.removeMapLayers([node.layerId() for node in group.findLayers()])
            group.parent().removeChildNode(group)
            return
