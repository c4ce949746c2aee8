"""The table of a new dataset: one row a variable, filled from the sources, every guess open to correction."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import QgsMimeDataUtils
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QAbstractItemView, QComboBox, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from ...core.contracts import ConfigError, FreshetError, SourceConfig
from ...core.contracts.dataset_job import ROLES
from ...core.contracts.variables import CATALOGUE
from ...plugin.inspection import SourceReport, inspect_source
from ..text import tr
from .looking import Looker
from .source_dates import as_detailed
from .source_entry import (
    CHECK,
    DETAIL_OF,
    GRID,
    HEADS,
    QUANTITY,
    ROLE,
    SOURCE,
    TIME,
    TIPS,
    UNIT,
    VARIABLE,
    Entry,
    as_chosen,
    cells_of,
    guesses_by_column,
)

# Widths in letters, so that large letters have the same room.
_WIDTHS = {ROLE: 10, QUANTITY: 22}
_WIDEST = {VARIABLE: 18, SOURCE: 26, TIME: 34, GRID: 34}
_TIGHT = {VARIABLE: 14, SOURCE: 20, TIME: 28, GRID: 24, QUANTITY: 18}
_LEAST_CHECK = 14


class SourceTable(QTableWidget):
    """Rows of sources. Files and folders are looked into in the background; ``busy`` is True meanwhile.

    ``detailsWanted`` names the detail that corrects the cell that was activated.
    """

    changed = pyqtSignal()
    refused = pyqtSignal(list)
    detailsWanted = pyqtSignal(str)

    def __init__(self, parent: Optional[QWidget] = None) -> None:
        super().__init__(0, len(HEADS), parent)
        self.setObjectName("freshetNewTable")
        self.setAccessibleName(tr("Variables and their sources"))
        self.setHorizontalHeaderLabels([tr(head) for head in HEADS])
        for i, tip in enumerate(TIPS):
            self.horizontalHeaderItem(i).setToolTip(tr(tip))
        self.verticalHeader().setVisible(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        # Tab leaves the table; inside it the arrows go from cell to cell, and Enter opens what is in a cell.
        self.setTabKeyNavigation(False)
        self.setAcceptDrops(True)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        header = self.horizontalHeader()
        header.setMinimumSectionSize(40)
        for column, letters in _WIDTHS.items():
            self.setColumnWidth(column, self._letters(letters))
        header.setSectionResizeMode(CHECK, QHeaderView.ResizeMode.Stretch)
        self.setMinimumHeight(5 * self.fontMetrics().height())
        self.entries: list[Entry] = []
        self.looker = Looker(self)
        self.looker.found.connect(self.add_reports)
        self.looker.refused.connect(self.refused)
        self.looker.began.connect(self.changed)
        self.looker.ended.connect(self.changed)
        self._removed: set[tuple[str, str]] = set()
        self.itemChanged.connect(self._on_item)
        self.cellActivated.connect(self._on_activated)

    @property
    def busy(self) -> bool:
        """Whether sources are being looked into."""
        return self.looker.busy

    def add_paths(self, paths: list[str]) -> None:
        """Look into files and folders in the background and add what they hold."""
        wanted = [path for path in paths if path]
        if wanted:
            self._removed.clear()
            self.looker.look_into(wanted)

    def add_layers(self, layers: list[Any]) -> None:
        """Add layers of the project; a layer that cannot be a source is refused with a sentence."""
        faults = []
        for layer in layers:
            try:
                self.add_reports(inspect_source(layer))
            except FreshetError as error:
                faults.append(str(error))
        if faults:
            self.refused.emit(faults)

    def add_reports(self, reports: list[SourceReport]) -> None:
        """Add a row for each report, or bring the row of the same source up to date; a name that is taken gets a
        number.
        """
        self.blockSignals(True)
        rows = {entry.key: row for row, entry in enumerate(self.entries)}
        for report in reports:
            key = report.path, report.layer
            if key in rows:
                self._renew(rows[key], report)
            elif key not in self._removed:
                rows[key] = len(self.entries)
                self._add_row(report)
        self.blockSignals(False)
        self._fit_columns()
        self.changed.emit()

    def remove_selected(self) -> None:
        """Remove the selected rows."""
        for row in sorted({index.row() for index in self.selectedIndexes()}, reverse=True):
            self._removed.add(self.entries[row].key)
            del self.entries[row]
            self.removeRow(row)
        self.changed.emit()

    def set_details(self, row: int, details: dict[str, Any]) -> None:
        """Take the fields of a row's SourceConfig that the table has no column for; raises FreshetError."""
        entry = self.entries[row]
        entry.report, entry.more = as_detailed(entry.found, details), dict(details)
        self._fill_row(row)
        self.changed.emit()

    def source(self, row: int) -> SourceConfig:
        """The SourceConfig of a row as it stands; raises ConfigError."""
        entry = self.entries[row]
        unit = self.unit(row)
        changes = {
            "variable": self.name(row),
            "quantity": self.quantity(row),
            "units": "" if unit == "-" and not entry.report.units_declared else unit,
            **entry.more,
        }
        return entry.report.as_source_config(self.role(row), **changes)

    def sources(self) -> tuple[SourceConfig, ...]:
        """All rows; raises ConfigError for the first that cannot be."""
        if not self.entries:
            raise ConfigError(tr("No variable is chosen"), remedy=tr("Add layers, files or folders"))
        return tuple(self.source(row) for row in range(len(self.entries)))

    def report(self, row: int) -> SourceReport:
        """What is known of a row's source, judged by the quantity and unit that the row has."""
        return as_chosen(self.entries[row], self.quantity(row), self.unit(row))

    def role(self, row: int) -> str:
        """Role of a row."""
        return self.cellWidget(row, ROLE).currentData()

    def quantity(self, row: int) -> str:
        """Name of the quantity of a row."""
        return self.cellWidget(row, QUANTITY).currentData()

    def name(self, row: int) -> str:
        """Variable name of a row as typed."""
        return self.item(row, VARIABLE).text().strip()

    def unit(self, row: int) -> str:
        """Unit of a row as shown."""
        return self.item(row, UNIT).text().strip()

    def row_of(self, variable: str) -> int:
        """Row of a variable, -1 where there is none of this name."""
        return next((row for row in range(len(self.entries)) if self.name(row) == variable), -1)

    def set_role(self, variable: str, role: str) -> None:
        """Set the role of a variable by its name."""
        for row in range(len(self.entries)):
            if self.name(row) == variable:
                combo = self.cellWidget(row, ROLE)
                combo.setCurrentIndex(combo.findData(role))

    def release(self) -> None:
        """Let go of what is being looked into."""
        self.looker.cancel()

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
            uris = QgsMimeDataUtils.decodeUriList(mime)
            paths = [uri.uri.split("|")[0] for uri in uris if uri.layerType in ("raster", "vector")]
        else:
            paths = [url.toLocalFile() for url in mime.urls() if url.isLocalFile()]
        event.acceptProposedAction()
        self.add_paths(paths)

    # -- rows

    def _add_row(self, report: SourceReport) -> None:
        row = self.rowCount()
        self.entries.append(Entry(report))
        self.insertRow(row)
        roles = [(role, tr(role)) for role in ROLES]
        self.setCellWidget(row, ROLE, self._combo(roles, report.role, f"freshetNewRole_{row}", ROLE))
        quantities = [(item.name, item.label) for item in CATALOGUE]
        combo = self._combo(quantities, report.quantity, f"freshetNewQuantity_{row}", QUANTITY)
        self.setCellWidget(row, QUANTITY, combo)
        self._fill_row(row, self._free_name(report.variable))

    def _renew(self, row: int, report: SourceReport) -> None:
        """Take over a report of the same source that knows more; what a person set stays."""
        entry = self.entries[row]
        entry.found = report
        try:
            entry.report = as_detailed(report, entry.more)
        except FreshetError:  # the details do not fit what was found since: they are shown with their fault
            entry.report = report
        for column, value in ((ROLE, report.role), (QUANTITY, report.quantity)):
            if column not in entry.touched:
                combo = self.cellWidget(row, column)
                combo.blockSignals(True)
                combo.setCurrentIndex(max(0, combo.findData(value)))
                combo.blockSignals(False)
        self._fill_row(row)

    def _fill_row(self, row: int, name: str = "") -> None:
        """Write the cells of a row; those that a person wrote into keep their text."""
        entry = self.entries[row]
        self.blockSignals(True)
        unit = self.unit(row) if self.item(row, UNIT) else ""
        for column, cell in cells_of(entry, name or self.name(row), self.quantity(row), unit).items():
            item = self.item(row, column) or QTableWidgetItem()
            if self.item(row, column) is None:
                self.setItem(row, column, item)
                if column not in (VARIABLE, UNIT):
                    item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
            if column not in entry.touched or column not in (VARIABLE, UNIT):
                item.setText(cell.text)
            item.setToolTip(cell.tip)
            font = item.font()
            font.setItalic(cell.guessed)
            item.setFont(font)
        guesses = guesses_by_column(entry)
        for column in (ROLE, QUANTITY):
            combo, sentences = self.cellWidget(row, column), guesses.get(column, [])
            font = combo.font()
            font.setItalic(bool(sentences))
            combo.setFont(font)
            combo.setToolTip("\n".join([tr(TIPS[column]), *(tr("Guessed: {why}").format(why=w) for w in sentences)]))
        self.blockSignals(False)

    def _fit_columns(self) -> None:
        """As wide as their words; where that is too much for the last column, tighter; else the table scrolls."""
        for widest in (_WIDEST, _TIGHT):
            for column in range(CHECK):
                if column not in (ROLE, QUANTITY):
                    self.resizeColumnToContents(column)
                    most = self._letters(widest.get(column, 18))
                    self.setColumnWidth(column, min(most, self.columnWidth(column) + 4))
            self.setColumnWidth(QUANTITY, self._letters(widest.get(QUANTITY, _WIDTHS[QUANTITY])))
            used = sum(self.columnWidth(column) for column in range(CHECK))
            roomy = self.viewport().width() - used >= self._letters(_LEAST_CHECK)
            if roomy:
                break
        mode = QHeaderView.ResizeMode.Stretch if roomy else QHeaderView.ResizeMode.Interactive
        self.horizontalHeader().setSectionResizeMode(CHECK, mode)
        if not roomy:
            self.setColumnWidth(CHECK, self._letters(2 * _LEAST_CHECK))

    def _letters(self, count: int) -> int:
        return count * self.fontMetrics().averageCharWidth()

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        """Enter opens a cell or its details; it must not reach the default button of the dialog as well."""
        super().keyPressEvent(event)
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            event.accept()

    def resizeEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        """Another width may have room for the last column."""
        super().resizeEvent(event)
        self._fit_columns()

    def _combo(self, entries: list[tuple[str, str]], current: str, name: str, column: int) -> QComboBox:
        combo = _Combo()
        combo.setObjectName(name)
        combo.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        combo.setAccessibleName(tr(HEADS[column]))
        for data, text in entries:
            combo.addItem(text, data)
        combo.setCurrentIndex(max(0, combo.findData(current)))
        combo.currentIndexChanged.connect(lambda *_: self._on_chosen(combo, column))
        return combo

    def _on_chosen(self, combo: QComboBox, column: int) -> None:
        """A person chose a role or a quantity: it is no guess any more; a guessed unit follows the quantity."""
        row = next((i for i in range(len(self.entries)) if self.cellWidget(i, column) is combo), -1)
        if row >= 0:
            self.entries[row].touched.add(column)
            self._fill_row(row)
        self.changed.emit()

    def _free_name(self, wanted: str) -> str:
        taken = {self.name(row) for row in range(self.rowCount()) if self.item(row, VARIABLE)}
        found, count = wanted, 2
        while found in taken:
            found, count = f"{wanted}_{count}", count + 1
        return found

    def _on_item(self, item: QTableWidgetItem) -> None:
        if item.column() in (VARIABLE, UNIT):
            self.entries[item.row()].touched.add(item.column())
            self._fill_row(item.row())
            self.changed.emit()

    def _on_activated(self, row: int, column: int) -> None:
        if column in (ROLE, QUANTITY):
            self.cellWidget(row, column).showPopup()
        elif column in DETAIL_OF:
            self.detailsWanted.emit(DETAIL_OF[column])


class _Combo(QComboBox):
    """Turning the wheel over a row scrolls the table; it does not change what a source is."""

    def wheelEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        """Left to the table."""
        event.ignore()
