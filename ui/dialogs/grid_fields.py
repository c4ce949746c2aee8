"""Grid, clock and mask of a new dataset, as fields."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import QgsCoordinateReferenceSystem, QgsMapLayer, QgsProject, QgsVectorLayer, QgsWkbTypes
from qgis.gui import QgsProjectionSelectionWidget
from qgis.PyQt.QtCore import QLocale, pyqtSignal
from qgis.PyQt.QtWidgets import QComboBox, QFormLayout, QLabel, QLineEdit, QWidget

from ...core.contracts import ConfigError, GridConfig, PrepareJob
from ...core.contracts.config import rule_of
from ...core.contracts.dates import format_step
from ..numbers import NumberEdit, parse_number
from ..text import tr
from ..timebars import TimeBars
from ..widgets import DateField, PathField, narrow, row
from .layers import raster_layers

STEPS_HOURS = (1, 3, 6, 12, 24, 24 * 5, 24 * 8, 24 * 10)
OWN, FILE = "<own>", "<file>"


class ClockFields(QWidget):
    """Step, first and last date; the coverage of the sources drawn above them."""

    changed = pyqtSignal()

    def __init__(self, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.step = narrow(QComboBox())
        self.step.setObjectName("freshetNewStep")
        self.step.setToolTip(rule_of(PrepareJob, "step_hours").help)
        self.step.addItem(tr("coarsest of the sources"), None)
        for hours in STEPS_HOURS:
            self.step.addItem(format_step(hours * 3600.0), float(hours))
        self.start = DateField("freshetNewStart", tr("First date of the dataset"))
        self.end = DateField("freshetNewEnd", tr("Last date of the dataset"))
        self.bars = TimeBars("freshetNewCoverage")
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(tr("Step"), self.step)
        form.addRow(tr("From, to"), row(self.start, QLabel("–"), self.end, stretch=False))
        form.addRow(tr("Coverage"), self.bars)
        self.step.currentIndexChanged.connect(lambda *_: self.changed.emit())
        for field in (self.start, self.end):
            field.textChanged.connect(lambda *_: self.changed.emit())


class GridFields(QWidget):
    """The common grid: like a variable (perhaps with another cell size), or an own one."""

    changed = pyqtSignal()

    def __init__(self, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.like = narrow(QComboBox())
        self.like.setObjectName("freshetNewGridLike")
        self.like.setToolTip(rule_of(GridConfig, "like").help)
        self.crs = QgsProjectionSelectionWidget()
        self.crs.setObjectName("freshetNewGridCrs")
        self.crs.setMinimumWidth(80)
        self.resolution = NumberEdit(rule_of(GridConfig, "resolution"), optional=True)
        self.resolution.setObjectName("freshetNewGridResolution")
        self.resolution.setPlaceholderText(tr("as the source"))
        self.resolution.setToolTip(tr("Cell size in units of the CRS; empty keeps that of the source."))
        self.extent = QLineEdit()
        self.extent.setObjectName("freshetNewGridExtent")
        self.extent.setPlaceholderText(tr("west  south  east  north"))
        self.extent.setToolTip(
            tr("West, south, east and north in units of the CRS, with spaces or semicolons between them.")
        )
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._labels = {}
        self._chosen = False
        for text, widget in (
            (tr("Like"), self.like),
            (tr("CRS"), self.crs),
            (tr("Extent"), self.extent),
            (tr("Cell size"), self.resolution),
        ):
            self._labels[widget] = QLabel(text)
            self._labels[widget].setBuddy(widget)
            self._form.addRow(self._labels[widget], widget)
        self.like.currentIndexChanged.connect(self._choose)
        self.resolution.valueChanged.connect(self.changed)
        self.extent.textChanged.connect(lambda *_: self.changed.emit())
        self.crs.crsChanged.connect(lambda *_: self.changed.emit())
        self.set_names([])

    def set_names(self, names: list[str]) -> None:
        """The variables whose grid may be taken."""
        before = self.like.currentData() if self._chosen else None
        self.like.blockSignals(True)
        self.like.clear()
        for name in names:
            self.like.addItem(name, name)
        self.like.addItem(tr("an own grid ..."), OWN)
        self.like.setCurrentIndex(max(0, self.like.findData(before)))
        self.like.blockSignals(False)
        self._follow()

    def config(self) -> GridConfig:
        """The grid as it stands; raises ConfigError."""
        if self.like.currentData() != OWN:
            return GridConfig(like=self.like.currentData() or "", resolution=self.resolution.value())
        return GridConfig(crs=self.crs.crs().authid(), resolution=self.resolution.value(), extent=self._extent())

    def _extent(self) -> Optional[tuple]:
        parts = self.extent.text().replace(";", " ").split()
        if not parts:
            return None
        if len(parts) != 4:
            raise ConfigError(
                tr("The extent is not clear"),
                expected=tr("four numbers: west south east north"),
                got=self.extent.text(),
            )
        return tuple(parse_number(part, str(QLocale().groupSeparator())) for part in parts)

    def _choose(self, *_: Any) -> None:
        self._chosen = True
        self._follow()

    def _follow(self, *_: Any) -> None:
        own = self.like.currentData() == OWN
        for widget in (self.crs, self.extent):
            widget.setVisible(own)
            self._labels[widget].setVisible(own)
        if own and not self.crs.crs().isValid():
            self.crs.setCrs(QgsCoordinateReferenceSystem(QgsProject.instance().crs()))
        self.changed.emit()


class MaskField(QWidget):
    """Which cells belong to the basin: the target's own, a polygon layer, a raster layer, or a file."""

    changed = pyqtSignal()

    def __init__(self, project: Optional[QgsProject] = None, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.combo = narrow(QComboBox())
        self.combo.setObjectName("freshetNewMask")
        self.combo.setToolTip(rule_of(PrepareJob, "mask").help)
        self.combo.addItem(tr("the target's own cells"), "")
        for layer in mask_layers(project or QgsProject.instance()):
            self.combo.addItem(layer.name(), layer.source())
        self.combo.addItem(tr("a file ..."), FILE)
        self.file = PathField("freshetNewMaskFile", tr("Polygon or raster file of the basin"))
        self.file.setVisible(False)
        self.setLayout(row(self.combo, self.file, stretch=False))
        self.combo.currentIndexChanged.connect(self._follow)
        self.file.changed.connect(lambda *_: self.changed.emit())

    def path(self) -> str:
        """The mask's path, or empty."""
        return self.file.path() if self.combo.currentData() == FILE else self.combo.currentData()

    def _follow(self, *_: Any) -> None:
        self.file.setVisible(self.combo.currentData() == FILE)
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
