"""What a new dataset is as a whole: clock, grid, mask, name and file; and its sequences."""

from __future__ import annotations

import os
from typing import Any, Optional

from qgis.core import QgsCoordinateReferenceSystem, QgsProject
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QFormLayout, QFrame, QHBoxLayout, QLabel, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from ...core.contracts.config import rule_of
from ...core.contracts.dataset_job import PrepareJob
from ...plugin.inspection import SourceReport
from ...plugin.settings import data_folder
from ..picks import Picks
from ..series import crs_from
from ..text import tr
from ..widgets import PathField, button, heading, row
from .grid_fields import OWN, ClockFields, GridFields
from .mask_field import MaskField


class DatasetFields(QWidget):
    """Clock on the left, grid, mask, name and file on the right."""

    changed = pyqtSignal()

    def __init__(self, iface: Any = None, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self._typed_output = False
        self._reports: dict[str, SourceReport] = {}
        self.clock, self.grid = ClockFields(), GridFields(iface)
        self.mask = MaskField(self.crs, iface)
        self.name = QLineEdit()
        self.name.setObjectName("freshetNewName")
        self.name.setToolTip(rule_of(PrepareJob, "name").help)
        self.output = PathField(
            "freshetNewOutput", tr("The NetCDF file to write"), "save", tr("Freshet datasets (*.nc)")
        )
        left, right = QVBoxLayout(), QVBoxLayout()
        left.addWidget(heading(tr("Clock"), "freshetNewClockHeading"))
        left.addWidget(self.clock)
        left.addStretch(1)
        right.addWidget(heading(tr("Grid"), "freshetNewGridHeading"))
        right.addWidget(self.grid)
        right.addLayout(self._named(("Mask", self.mask), ("Name", self.name), ("Write to", self.output)))
        right.addStretch(1)
        columns = QHBoxLayout(self)
        columns.setContentsMargins(0, 0, 0, 0)
        columns.setSpacing(14)
        columns.addLayout(left, 1)
        columns.addLayout(right, 1)
        for part in (self.clock, self.grid, self.mask):
            part.changed.connect(self.changed)
        self.name.textChanged.connect(self._suggest_output)
        self.output.edit.textEdited.connect(self._on_output_typed)
        self.output.changed.connect(lambda *_: self.changed.emit())

    def set_reports(self, reports: dict[str, SourceReport], order: list[str]) -> None:
        """The sources by the names of their variables; ``order`` is that of the grids to take."""
        self._reports = reports
        maps = [name for name in order if reports[name].form != "table"]
        self.grid.set_names(maps, one_cell=bool(reports) and not maps)

    def like(self) -> Optional[SourceReport]:
        """The source whose grid is taken, or None."""
        return self._reports.get(self.grid.like.currentData() or "")

    def crs(self) -> QgsCoordinateReferenceSystem:
        """The CRS of the grid, invalid while it is not known."""
        if self.grid.like.currentData() == OWN:
            return self.grid.crs.crs()
        model = self.like()
        return crs_from(model.crs) if model is not None and model.crs else QgsCoordinateReferenceSystem()

    def release(self) -> None:
        """Give the map back."""
        self.mask.outlet.release()

    def _named(self, *rows: tuple[str, QWidget]) -> QFormLayout:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setHorizontalSpacing(8)
        for text, widget in rows:
            label = QLabel(tr(text))
            label.setBuddy(widget)
            form.addRow(label, widget)
        return form

    def _suggest_output(self, name: str) -> None:
        if not self._typed_output:
            safe = "".join(char if char.isalnum() or char in "-_" else "_" for char in name.strip()).lower()
            home = QgsProject.instance().homePath() or str(data_folder() / "datasets")
            self.output.set_path(os.path.join(home, f"{safe}.nc") if safe else "")
        self.changed.emit()

    def _on_output_typed(self, *_: Any) -> None:
        self._typed_output = True


class SequenceFields(QWidget):
    """The sequences (events, simulations) to take, all at first."""

    changed = pyqtSignal()

    def __init__(self, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.list = Picks("freshetNewSequences", rule_of(PrepareJob, "sequences").help)
        self.list.setAccessibleName(tr("Sequences"))
        self.words = QLabel(
            tr("Each sequence (event, simulation) keeps dates of its own; no window of a model bridges two of them.")
        )
        self.words.setObjectName("freshetNewSequencesHelp")
        self.words.setWordWrap(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.words)
        column.addLayout(
            row(
                button(tr("All"), "freshetNewSequencesAll", lambda: self.list.tick(self._names)),
                button(tr("None"), "freshetNewSequencesNone", lambda: self.list.tick(())),
            )
        )
        column.addWidget(self.list, 1)
        self._names: tuple[str, ...] = ()
        self.list.itemChanged.connect(lambda *_: self.changed.emit())

    def set_names(self, names: tuple[str, ...]) -> None:
        """The sequences that there are; those that were unticked stay so."""
        if names == self._names:
            return
        self._names = names
        self.list.fill([(name, name, True) for name in names])
        self.list.setMinimumHeight(4 * self.fontMetrics().height())
        self.list.setMaximumHeight(16_777_215)

    def chosen(self) -> tuple[str, ...]:
        """The names of those to take."""
        return self.list.ticked()


def scrolled(inner: QWidget, name: str) -> QScrollArea:
    """What does not fit scrolls, so that the dialog fits a small screen and large letters."""
    area = QScrollArea()
    area.setObjectName(name)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidget(inner)
    inner.layout().setContentsMargins(8, 8, 8, 8)
    area.setMinimumHeight(6 * inner.fontMetrics().height())
    return area
