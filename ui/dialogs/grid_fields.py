"""Grid and clock of a new dataset, as fields."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, Optional

from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransform, QgsCsException, QgsProject
from qgis.gui import QgsProjectionSelectionWidget
from qgis.PyQt.QtCore import QLocale, pyqtSignal
from qgis.PyQt.QtWidgets import QComboBox, QFormLayout, QLabel, QLineEdit, QWidget

from ...core.contracts import ConfigError, GridConfig, PrepareJob
from ...core.contracts.config import rule_of
from ...core.contracts.dates import format_date, format_step
from ...core.contracts.steps import MONTH
from ..numbers import NumberEdit, format_number, parse_number
from ..text import tr
from ..timebars import TimeBars
from ..widgets import DateField, button, narrow, row

_MONTH_HOURS = MONTH / 3600.0
STEPS_HOURS = (
    *(minutes / 60.0 for minutes in (5, 10, 15, 30)),
    *(1, 3, 6, 12, 24, 24 * 5, 24 * 8, 24 * 10),
    *(_MONTH_HOURS, 12 * _MONTH_HOURS),
)
OWN, ONE_CELL = "<own>", ""


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

    def show_period(self, period: Optional[tuple[datetime, datetime]]) -> None:
        """Write the period that the sources share into the empty fields, as what is taken where nothing is typed."""
        for field, moment in zip((self.start, self.end), period or (None, None)):
            field.setPlaceholderText(format_date(moment) if moment else tr("YYYY-MM-DD"))


class GridFields(QWidget):
    """The common grid: like a variable (perhaps with another cell size), or an own one."""

    changed = pyqtSignal()

    def __init__(self, iface: Any = None, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self._iface = iface
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
        self.from_map = button(
            tr("As the map"), "freshetNewGridExtentMap", self._take_map, tr("The extent that the map shows now.")
        )
        self.from_map.setEnabled(iface is not None)
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
            line = row(self.extent, self.from_map, stretch=False) if widget is self.extent else widget
            self._form.addRow(self._labels[widget], line)
        self.like.currentIndexChanged.connect(self._choose)
        self.resolution.valueChanged.connect(self.changed)
        self.extent.textChanged.connect(lambda *_: self.changed.emit())
        self.crs.crsChanged.connect(lambda *_: self.changed.emit())
        self.set_names([])

    def set_names(self, names: list[str], one_cell: bool = False) -> None:
        """The variables whose grid may be taken; ``one_cell`` where all are tables: basin averages on one cell."""
        before = self.like.currentData() if self._chosen else None
        self.like.blockSignals(True)
        self.like.clear()
        for name in names:
            self.like.addItem(name, name)
        if one_cell:
            self.like.addItem(tr("no map: one cell for the basin"), ONE_CELL)
        self.like.addItem(tr("an own grid ..."), OWN)
        self.like.setCurrentIndex(max(0, self.like.findData(before)))
        self.like.blockSignals(False)
        self._follow()

    def config(self) -> GridConfig:
        """The grid as it stands; raises ConfigError."""
        if self.like.currentData() != OWN:
            like = self.like.currentData() or ""
            return GridConfig(like=like, resolution=self.resolution.value() if like else None)
        given = (crs_text(self.crs.crs()), self.resolution.value(), self._extent())
        if not all(given):
            raise ConfigError(
                tr("The grid is not defined"),
                expected=tr("CRS, extent and cell size"),
                remedy=tr("Give all three, or take the grid of a variable"),
            )
        return GridConfig(crs=given[0], resolution=given[1], extent=given[2])

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

    def _take_map(self) -> None:
        """The extent of the map view in the CRS of the grid, rounded outwards to whole cells where these are known."""
        canvas, target = self._iface.mapCanvas(), self.crs.crs()
        box, source = canvas.extent(), canvas.mapSettings().destinationCrs()
        try:
            if source.isValid() and target.isValid():
                box = QgsCoordinateTransform(source, target, QgsProject.instance()).transformBoundingBox(box)
        except QgsCsException:  # outside of what the CRS knows: the field stays as it is
            return
        cell = 0.0 if self.resolution.problem() else self.resolution.value() or 0.0
        ends = [box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum()]
        if cell:
            ends = [(math.floor if i < 2 else math.ceil)(value / cell) * cell for i, value in enumerate(ends)]
        sign = str(QLocale().decimalPoint())
        self.extent.setText("  ".join(format_number(float(f"{value:.10g}"), sign) for value in ends))

    def _choose(self, *_: Any) -> None:
        self._chosen = True
        self._follow()

    def _follow(self, *_: Any) -> None:
        own = self.like.currentData() == OWN
        for widget in (self.crs, self.extent):
            widget.setVisible(own)
            self._labels[widget].setVisible(own)
        self.from_map.setVisible(own)
        self.resolution.setEnabled(self.like.currentData() != ONE_CELL)
        if own and not self.crs.crs().isValid():
            self.crs.setCrs(QgsCoordinateReferenceSystem(QgsProject.instance().crs()))
        self.changed.emit()


def crs_text(crs: QgsCoordinateReferenceSystem) -> str:
    """A CRS as the engine reads it: its code, or WKT where it has none that others know."""
    code = crs.authid()
    return code if code and not code.startswith("USER:") else crs.toWkt()
