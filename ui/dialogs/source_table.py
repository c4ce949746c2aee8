"""The table of a new dataset: one row a variable, filled from the sources, every guess open to correction."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

from qgis.core import QgsApplication, QgsMimeDataUtils, QgsTask
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QAbstractItemView, QComboBox, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from ...core.contracts import ConfigError, FreshetError, SourceConfig
from ...core.contracts.dataset_job import ROLES
from ...core.contracts.variables import CATALOGUE
from ...plugin.inspection import SourceReport, inspect_source
from ..text import percent, tr, value_range
from .source_details import as_detailed

ROLE, VARIABLE, QUANTITY, SOURCE, TIME, UNIT, RANGE, CHECK = range(8)
HEADS = ("Role", "Variable", "Quantity", "Source", "Time", "Unit", "Range", "Check")
_WIDTHS = (84, 110, 190, 170, 165, 70, 110, 0)
_WIDEST = 230
_TIPS = (
    "input, target, or a static map",
    "Short name in the dataset",
    "What it is; sets unit, range, aggregation and colours",
    "",
    "",
    "Unit of the source, such as mm/d, K or m3/s",
    "Least and greatest value of a sample",
    "What was noticed",
)


@dataclass
class Entry:
    """What the table knows of one row: the report, and the fields of its SourceConfig that were set by hand.

    ``report`` is ``found`` as it is with these fields.
    """

    report: SourceReport
    more: dict = field(default_factory=dict)
    found: Optional[SourceReport] = None

    def __post_init__(self) -> None:
        self.found = self.found or self.report


class SourceTable(QTableWidget):
    """Rows of sources. Files and folders are looked into in the background; ``busy`` is True meanwhile."""

    changed = pyqtSignal()
    refused = pyqtSignal(list)

    def __init__(self, parent: Optional[QWidget] = None) -> None:
        super().__init__(0, len(HEADS), parent)
        self.setObjectName("freshetNewTable")
        self.setHorizontalHeaderLabels([tr(head) for head in HEADS])
        for i, tip in enumerate(_TIPS):
            self.horizontalHeaderItem(i).setToolTip(tr(tip))
        self.verticalHeader().setVisible(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setAcceptDrops(True)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        header = self.horizontalHeader()
        for i, width in enumerate(_WIDTHS):
            if width:
                self.setColumnWidth(i, width)
        header.setSectionResizeMode(CHECK, QHeaderView.ResizeMode.Stretch)
        self.setMinimumHeight(140)
        self.entries: list[Entry] = []
        self._tasks: list[QgsTask] = []
        self.itemChanged.connect(self._on_item)

    @property
    def busy(self) -> bool:
        """Whether sources are being looked into."""
        return bool(self._tasks)

    def add_paths(self, paths: list[str]) -> None:
        """Look into files and folders in the background and add what they hold."""
        wanted = [path for path in paths if path]
        if not wanted:
            return
        task = QgsTask.fromFunction(
            tr("Freshet: looking into sources"), look_into, on_finished=self._on_looked(wanted), paths=wanted
        )
        self._tasks.append(task)
        self.changed.emit()
        QgsApplication.taskManager().addTask(task)

    def add_layers(self, layers: list[Any]) -> None:
        """Add raster layers of the project; a layer that cannot be a source is refused with a sentence."""
        faults = []
        for layer in layers:
            try:
                self.add_reports(inspect_source(layer))
            except FreshetError as error:
                faults.append(str(error))
        if faults:
            self.refused.emit(faults)

    def add_reports(self, reports: list[SourceReport]) -> None:
        """Add a row for each report; a name that is taken gets a number."""
        self.blockSignals(True)
        for report in reports:
            if any(e.report.path == report.path and e.report.layer == report.layer for e in self.entries):
                continue
            self._add_row(report)
        self.blockSignals(False)
        for column in (VARIABLE, SOURCE, TIME, UNIT, RANGE):
            self.resizeColumnToContents(column)
            self.setColumnWidth(column, min(_WIDEST, self.columnWidth(column) + 4))
        self.changed.emit()

    def remove_selected(self) -> None:
        """Remove the selected rows."""
        for row in sorted({index.row() for index in self.selectedIndexes()}, reverse=True):
            del self.entries[row]
            self.removeRow(row)
        self.changed.emit()

    def set_details(self, row: int, details: dict[str, Any]) -> None:
        """Take the fields of a row's SourceConfig that the table has no column for; raises FreshetError."""
        entry = self.entries[row]
        entry.report, entry.more = as_detailed(entry.found, details), dict(details)
        self.blockSignals(True)
        for column, text in ((TIME, time_words(entry.report)), (CHECK, check_words(entry.report))):
            self.item(row, column).setText(text)
        self.item(row, CHECK).setToolTip("\n".join(entry.report.problems))
        self.blockSignals(False)
        self.changed.emit()

    def source(self, row: int) -> SourceConfig:
        """The SourceConfig of a row as it stands; raises ConfigError."""
        entry = self.entries[row]
        unit = self.item(row, UNIT).text().strip()
        changes = {
            "variable": self.item(row, VARIABLE).text().strip(),
            "quantity": self.cellWidget(row, QUANTITY).currentData(),
            "units": "" if unit == "-" and not entry.report.units_declared else unit,
            **entry.more,
        }
        return entry.report.as_source_config(self.role(row), **changes)

    def sources(self) -> tuple[SourceConfig, ...]:
        """All rows; raises ConfigError for the first that cannot be."""
        if not self.entries:
            raise ConfigError(tr("No variable is chosen"), remedy=tr("Add layers, files or folders"))
        return tuple(self.source(row) for row in range(len(self.entries)))

    def role(self, row: int) -> str:
        """Role of a row."""
        return self.cellWidget(row, ROLE).currentData()

    def name(self, row: int) -> str:
        """Variable name of a row as typed."""
        return self.item(row, VARIABLE).text().strip()

    def set_role(self, variable: str, role: str) -> None:
        """Set the role of a variable by its name."""
        for row in range(len(self.entries)):
            if self.name(row) == variable:
                combo = self.cellWidget(row, ROLE)
                combo.setCurrentIndex(combo.findData(role))

    def release(self) -> None:
        """Let go of what is being looked into."""
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    # -- dropping

    def dragEnterEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        """Files, folders and layers are welcome."""
        if event.mimeData().hasUrls() or QgsMimeDataUtils.isUriList(event.mimeData()):
            event.acceptProposedAction()

    dragMoveEvent = dragEnterEvent

    def dropEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        """Take what was dropped."""
        mime = event.mimeData()
        if QgsMimeDataUtils.isUriList(mime):
            paths = [uri.uri.split("|")[0] for uri in QgsMimeDataUtils.decodeUriList(mime) if uri.layerType == "raster"]
        else:
            paths = [url.toLocalFile() for url in mime.urls() if url.isLocalFile()]
        event.acceptProposedAction()
        self.add_paths(paths)

    # -- rows

    def _add_row(self, report: SourceReport) -> None:
        row = self.rowCount()
        self.entries.append(Entry(report))
        self.insertRow(row)
        self.setCellWidget(
            row, ROLE, self._combo([(role, tr(role)) for role in ROLES], report.role, f"freshetNewRole_{row}")
        )
        quantities = [(item.name, item.label) for item in CATALOGUE]
        self.setCellWidget(row, QUANTITY, self._combo(quantities, report.quantity, f"freshetNewQuantity_{row}"))
        name = os.path.basename(report.path.rstrip("/\\"))
        source = f"{name} : {report.layer}" if report.layer else name
        if report.files:
            source = tr("{name}/ ({count} files)").format(name=name, count=len(report.files))
        unit = report.units or "-"
        texts = {
            VARIABLE: self._free_name(report.variable),
            SOURCE: source,
            TIME: time_words(report),
            UNIT: unit,
            RANGE: value_range(report.minimum, report.maximum),
            CHECK: check_words(report),
        }
        tips = {SOURCE: report.path, CHECK: "\n".join(report.problems), UNIT: self._unit_tip(report)}
        for column, text in texts.items():
            item = QTableWidgetItem(text)
            if column not in (VARIABLE, UNIT):
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
            item.setToolTip(tips.get(column) or text)
            self.setItem(row, column, item)
        if not report.units_declared:
            font = self.item(row, UNIT).font()
            font.setItalic(True)
            self.item(row, UNIT).setFont(font)

    def _combo(self, entries: list[tuple[str, str]], current: str, name: str) -> QComboBox:
        combo = QComboBox()
        combo.setObjectName(name)
        for data, text in entries:
            combo.addItem(text, data)
        combo.setCurrentIndex(max(0, combo.findData(current)))
        combo.currentIndexChanged.connect(lambda *_: self.changed.emit())
        return combo

    def _unit_tip(self, report: SourceReport) -> str:
        return (
            ""
            if report.units_declared
            else tr("The file names no unit: this is the usual one. Correct it where it is another.")
        )

    def _free_name(self, wanted: str) -> str:
        taken = {self.name(row) for row in range(self.rowCount()) if self.item(row, VARIABLE)}
        found, count = wanted, 2
        while found in taken:
            found, count = f"{wanted}_{count}", count + 1
        return found

    def _on_item(self, item: QTableWidgetItem) -> None:
        if item.column() in (VARIABLE, UNIT):
            self.changed.emit()

    def _on_looked(self, paths: list[str]) -> Callable:
        def finished(error: Optional[Exception], result: Any = None) -> None:
            mine = [
                task
                for task in self._tasks
                if task.status() in (QgsTask.TaskStatus.Complete, QgsTask.TaskStatus.Terminated)
            ]
            self._tasks = [task for task in self._tasks if task not in mine]
            reports, faults = result or ([], [])
            if error is not None:
                faults = [f"{', '.join(paths)}: {error}"]
            self.add_reports(reports)
            if faults:
                self.refused.emit(faults)

        return finished


def look_into(task: QgsTask, paths: list[str]) -> tuple[list[SourceReport], list[str]]:
    """Reports and sentences of refusal; runs in the background, touches no layer and no widget."""
    reports, faults = [], []
    for path in expand(paths):
        if task.isCanceled():
            break
        try:
            reports += inspect_source(path)
        except FreshetError as error:
            faults.append(str(error))
    return reports, faults


def expand(paths: list[str]) -> list[str]:
    """A folder that holds only folders stands for these."""
    found = []
    for path in paths:
        inside = sorted(os.scandir(path), key=lambda entry: entry.name) if os.path.isdir(path) else []
        only_folders = inside and all(entry.is_dir() for entry in inside if not entry.name.startswith("."))
        found += [entry.path for entry in inside if entry.is_dir()] if only_folders else [path]
    return found


def time_words(report: SourceReport) -> str:
    """First and last date, or a dash for a static map."""
    return f"{report.dates[0][:10]} .. {report.dates[-1][:10]}" if report.dates else "-"


def check_words(report: SourceReport) -> str:
    """'ok', the share of missing values, or the first sentence."""
    if report.problems:
        return report.problems[0]
    if report.missing_share > 0.0005:
        return tr("{share} missing").format(share=percent(report.missing_share))
    return tr("ok")
