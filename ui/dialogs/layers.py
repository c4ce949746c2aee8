"""Dialog: choose layers of the project that can be sources."""

from __future__ import annotations

from typing import Optional

from qgis.core import QgsMapLayer, QgsProject, QgsRasterLayer, QgsVectorLayer, QgsWkbTypes
from qgis.PyQt.QtWidgets import QDialog, QVBoxLayout, QWidget

from ..picks import Picks
from ..text import tr
from ..widgets import Notice, button, row

_FROM_FILES = ("ogr", "delimitedtext")


class LayerChooser(QDialog):
    """Lists raster layers, point layers and tables of the project to tick; ``layers()`` are those ticked."""

    def __init__(self, project: Optional[QgsProject] = None, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName("freshetLayerChooser")
        self.setWindowTitle(tr("Layers of the project"))
        self._project = project or QgsProject.instance()
        column = QVBoxLayout(self)
        self.notice = Notice("freshetLayerChooserNotice")
        column.addWidget(self.notice)
        self.list = Picks("freshetLayerChooserList", tr("Tick the layers to take."))
        found = [*raster_layers(self._project), *gauge_layers(self._project)]
        self.list.fill([(layer.id(), layer_words(layer), False) for layer in found])
        self.list.setMinimumSize(320, 120)
        self.list.setMaximumHeight(600)
        column.addWidget(self.list, 1)
        if not found:
            words = tr("The project has no raster layer, point layer or table: add one in QGIS, or choose Add files.")
            self.notice.say(words)
        add = button(tr("Add"), "freshetLayerChooserAdd", self.accept)
        add.setDefault(True)
        column.addLayout(row(None, button(tr("Cancel"), "freshetLayerChooserCancel", self.reject), add, stretch=False))

    def layers(self) -> list[QgsMapLayer]:
        """The ticked layers."""
        return [self._project.mapLayer(key) for key in self.list.ticked()]


def raster_layers(project: QgsProject) -> list[QgsRasterLayer]:
    """Raster layers from files, in the order of the layer tree."""
    return [layer for layer in _layers(project) if isinstance(layer, QgsRasterLayer) and layer.providerType() == "gdal"]


def gauge_layers(project: QgsProject) -> list[QgsVectorLayer]:
    """Point layers and tables from files, in the order of the layer tree."""
    # QgsWkbTypes.PointGeometry and NullGeometry have these names in all versions from 3.22 on.
    wanted = (QgsWkbTypes.PointGeometry, QgsWkbTypes.NullGeometry)
    return [
        layer
        for layer in _layers(project)
        if isinstance(layer, QgsVectorLayer) and layer.providerType() in _FROM_FILES and layer.geometryType() in wanted
    ]


def layer_words(layer: QgsMapLayer) -> str:
    """Name of a layer, and what it is where it is no raster."""
    if isinstance(layer, QgsRasterLayer):
        return layer.name()
    kind = tr("points") if layer.geometryType() == QgsWkbTypes.PointGeometry else tr("table")
    return f"{layer.name()} ({kind})"


def _layers(project: QgsProject) -> list[QgsMapLayer]:
    return [node.layer() for node in project.layerTreeRoot().findLayers()]
