"""The answer to a question about a whole model: words, charts, numbers to save, report to open."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from qgis.PyQt.QtCore import Qt, QUrl
from qgis.PyQt.QtGui import QDesktopServices
from qgis.PyQt.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ...core.contracts import RunFolder
from ..text import number, tr
from ..widgets import Fold, Notice, button, narrow, refill, row

_LINES = 8
_LONGEST_LABEL = 20
_MOST_ROWS = 2000


def read_facts(run: Optional[RunFolder], name: str, needed: Sequence[str] = ()) -> Optional[dict[str, Any]]:
    """``results/<name>`` of a run; None where it is missing, broken, or lacks one of ``needed``."""
    if run is None:
        return None
    try:
        found = json.loads((run.results / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and all(key in found for key in needed) else None


def in_units(units: Optional[str]) -> str:
    """A unit behind a number; nothing for what has none."""
    return "" if units in (None, "", "-") else f" {units}"


def small(label: str) -> str:
    """A label within a sentence: 'Soil moisture' becomes 'soil moisture', 'PET' stays."""
    return label[:1].lower() + label[1:] if label[1:2].islower() else label


def brief(label: str, name: str) -> str:
    """What a bar is called: the label, or the variable's own name where that is too long beside a bar."""
    return label if len(label) <= _LONGEST_LABEL else name


class QuestionAnswer(QWidget):
    """Words and doubts on top, then what :meth:`add` was given, then numbers and report. Hidden without an answer.

    ``tables`` names the CSV files of a run and what they hold.
    """

    def __init__(self, name: str, tables: Sequence[tuple[str, str]], parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(f"{name}Answer")
        self._tables = tuple(tables)
        self._run: Optional[RunFolder] = None
        self.words = QLabel()
        self.words.setObjectName(f"{name}Words")
        self.words.setWordWrap(True)
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.doubts = Notice(f"{name}Doubts")
        self.numbers = NumbersTable(f"{name}Numbers")
        self.fold = Fold(tr("Numbers"), self.numbers, f"{name}NumbersFold")
        self.save_button = button(
            tr("Save as CSV ..."), f"{name}Save", self.save, tr("Save the chosen table of numbers as a CSV file.")
        )
        self.report_button = button(
            tr("Report"), f"{name}Report", self.open_report, tr("Open the report of this answer.")
        )
        self.notice = Notice(f"{name}SaveNotice")
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(0, 0, 0, 0)
        self._part = QWidget()
        part = QVBoxLayout(self._part)
        part.setContentsMargins(0, 0, 0, 0)
        for widget in (self.words, self.doubts):
            part.addWidget(widget)
        self._middle = QVBoxLayout()
        part.addLayout(self._middle)
        part.addLayout(row(self.save_button, self.report_button))
        part.addWidget(self.notice)
        part.addWidget(self.fold)
        self.column.addWidget(self._part)
        self._part.setVisible(False)

    def add(self, *widgets: QWidget) -> None:
        """Put charts below the words."""
        for widget in widgets:
            self._middle.addWidget(widget)

    def show_run(self, run: Optional[RunFolder], words: str = "", doubts: Sequence[str] = ()) -> None:
        """Show words, numbers and report of a run; None hides all."""
        self._run = run
        self._part.setVisible(run is not None)
        self.words.setText(words)
        self.doubts.say("\n".join(doubts), "warning")
        self.notice.clear_text()
        if run is None:
            return
        known = [(tr(words), run.results / name) for name, words in self._tables if (run.results / name).is_file()]
        self.numbers.show_tables(known)
        self.fold.setVisible(bool(known))
        self.save_button.setVisible(bool(known))
        self.report_button.setVisible(run.report_file.is_file())

    def save(self, path: str = "") -> None:
        """Save the chosen table; ``path`` is asked for where it is empty."""
        source = self.numbers.path()
        if source is None:
            return
        path = path or QFileDialog.getSaveFileName(self, tr("Save the table"), source.name, tr("Tables (*.csv)"))[0]
        if not path:
            return
        try:
            shutil.copyfile(source, path)
        except OSError as error:
            words = tr("The table could not be saved: {reason}. Choose another folder.")
            self.notice.say(words.format(reason=error), "error")
            return
        self.notice.say(tr("Saved as {path}.").format(path=path))

    def open_report(self) -> None:
        """Open the report in the browser."""
        if self._run is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._run.report_file)))


class NumbersTable(QWidget):
    """CSV files of a run, one at a time."""

    def __init__(self, name: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.choice = narrow(QComboBox())
        self.choice.setObjectName(f"{name}Choice")
        self.choice.setToolTip(tr("Which table of the answer."))
        self.table = QTableWidget(0, 0)
        self.table.setObjectName(f"{name}Table")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setMinimumWidth(80)
        self.table.verticalHeader().setVisible(False)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.choice)
        column.addWidget(self.table)
        self.choice.currentIndexChanged.connect(self._fill)

    def path(self) -> Optional[Path]:
        """The chosen file."""
        found = self.choice.currentData()
        return Path(found) if found else None

    def show_tables(self, tables: Sequence[tuple[str, Path]]) -> None:
        """Offer the files by what they hold."""
        place = max(0, self.choice.currentIndex())
        refill(self.choice, [(words, str(path)) for words, path in tables])
        self.choice.setCurrentIndex(min(place, len(tables) - 1))
        self.choice.setVisible(len(tables) > 1)
        self._fill()

    def _fill(self, *_: Any) -> None:
        path = self.path()
        head, lines = _rows(path) if path is not None else ([], [])
        self.table.setColumnCount(len(head))
        self.table.setHorizontalHeaderLabels([word.replace("_", " ") for word in head])
        self.table.setRowCount(len(lines))
        for place, cells in enumerate(lines):
            for column, cell in enumerate(cells[: len(head)]):
                self.table.setItem(place, column, _item(cell))
        height = self.table.fontMetrics().height() + 10
        self.table.setFixedHeight(height * (min(len(lines), _LINES) + 2))


def _rows(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with open(path, encoding="utf-8", newline="") as handle:
            lines = [line for _, line in zip(range(_MOST_ROWS + 1), csv.reader(handle))]
    except (OSError, ValueError, csv.Error):
        return [], []
    return (lines[0], lines[1:]) if lines else ([], [])


def _item(cell: str) -> QTableWidgetItem:
    item = QTableWidgetItem(cell)
    try:
        value = float(cell)
    except ValueError:
        return item
    item.setText(number(value, 4))
    item.setToolTip(cell)
    item.setTextAlignment(int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter))
    return item
