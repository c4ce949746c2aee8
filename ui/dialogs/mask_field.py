"""Which cells of a new dataset belong to the basin."""

from __future__ import annotations

from typing import Any, Callable, Optional

from qgis.core import QgsCoordinateReferenceSystem, QgsMapLayer, QgsProject, QgsVectorLayer, QgsWkbTypes
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QComboBox, QVBoxLayout, QWidget

from ...core.contracts import PrepareJob
from ...core.contracts.config import rule_of
from ..text import tr
from ..widgets import PathField, narrow
from .layers import raster_layers
from .place_field import PlaceField

FILE, OUTLET = "<file>", "<outlet>"


class MaskField(QWidget):
    """The target's own cells, a polygon layer, a raster layer, the basin above an outlet, or a file."""

    changed = pyqtSignal()

    def __init__(
        self,
        crs: Callable[[], QgsCoordinateReferenceSystem] = QgsCoordinateReferenceSystem,
        iface: Any = None,
        project: Optional[QgsProject] = None,
        parent: Optional[QWidget] = None,
    ) -> None:
        super().__init__(parent)
        self.combo = narrow(QComboBox())
        self.combo.setObjectName("freshetNewMask")
        self.combo.setToolTip(rule_of(PrepareJob, "mask").help)
        self.combo.addItem(tr("the target's own cells"), "")
        for layer in mask_layers(project or QgsProject.instance()):
            self.combo.addItem(layer.name(), layer.source())
        self.combo.addItem(tr("the basin above an outlet ..."), OUTLET)
        self.combo.addItem(tr("a file ..."), FILE)
        self.file = PathField("freshetNewMaskFile", tr("Polygon or raster file of the basin"))
        self.outlet = PlaceField("freshetNewOutlet", tr("Outlet"), crs, iface)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        for widget in (self.combo, self.file, self.outlet):
            column.addWidget(widget)
        self.file.setVisible(False)
        self.outlet.setVisible(False)
        self.combo.currentIndexChanged.connect(self._follow)
        self.file.changed.connect(lambda *_: self.changed.emit())
        self.outlet.changed.connect(self.changed)

    @property
    def by_outlet(self) -> bool:
        """Whether the basin above an outlet is the mask."""
        return self.combo.currentData() == OUTLET

    def path(self) -> str:
        """The mask's path, or empty where the target's cells or the basin above the outlet are meant."""
        if self.by_outlet:
            return ""
        return self.file.path() if self.combo.currentData() == FILE else self.combo.currentData()

    def place(self) -> Optional[tuple[float, float]]:
        """The outlet in the CRS of the grid, where the basin above it is the mask; raises ConfigError."""
        return self.outlet.value() if self.by_outlet else None

    def _follow(self, *_: Any) -> None:
        self.file.setVisible(self.combo.currentData() == FILE)
        self.outlet.setVisible(self.by_outlet)
        self.changed.emit()


def mask_layers(project: QgsProject) -> list[QgsMapLayer]:
    """Polygon layers from files, then raster layers."""
    nodes = [node.layer() for node in project.layerTreeRoot().findLayers()]
    # QgsWkbTypes.PolygonGeometry has this one name in all versions from 3.22 on.
    polygons = [
        layer
        for layer in nodes
        if isinstance(layer, QgsVectorLayer)
        and layer.providerType() == "ogr"
        and layer.geometryType() == QgsWkbTypes.PolygonGeometry
    ]
    return [*polygons, *raster_layers(project)]
