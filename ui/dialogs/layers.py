"""Dialog: choose raster layers of the project."""

from __future__ import annotations

from typing import Optional

from qgis.core import QgsProject, QgsRasterLayer
from qgis.PyQt.QtWidgets import QDialog, QVBoxLayout, QWidget

from ..picks import Picks
from ..text import tr
from ..widgets import Notice, button, row


class LayerChooser(QDialog):
    """Lists the raster layers of the project to tick; ``layers()`` are those ticked."""

    def __init__(self, project: Optional[QgsProject] = None, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName("freshetLayerChooser")
        self.setWindowTitle(tr("Raster layers of the project"))
        self._project = project or QgsProject.instance()
        column = QVBoxLayout(self)
        self.notice = Notice("freshetLayerChooserNotice")
        column.addWidget(self.notice)
        self.list = Picks("freshetLayerChooserList", tr("Tick the layers to take."))
        found = raster_layers(self._project)
        self.list.fill([(layer.id(), layer.name(), False) for layer in found])
        self.list.setMinimumSize(320, 120)
        self.list.setMaximumHeight(600)
        column.addWidget(self.list, 1)
        if not found:
            self.notice.say(tr("The project has no raster layer: add one in QGIS, or choose Add files."))
        add = button(tr("Add"), "freshetLayerChooserAdd", self.accept)
        add.setDefault(True)
        column.addLayout(row(None, button(tr("Cancel"), "freshetLayerChooserCancel", self.reject), add, stretch=False))

    def layers(self) -> list[QgsRasterLayer]:
        """The ticked layers."""
        return [self._project.mapLayer(key) for key in self.list.ticked()]


def raster_layers(project: QgsProject) -> list[QgsRasterLayer]:
    """Raster layers from files, in the order of the layer tree."""
    nodes = [node.layer() for node in project.layerTreeRoot().findLayers()]
    return [layer for layer in nodes if isinstance(layer, QgsRasterLayer) and layer.providerType() == "gdal"]
