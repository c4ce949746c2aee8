"""The date pattern of a source: presets or an own one, and what it makes of the first file names."""

from __future__ import annotations

from typing import Optional

from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QComboBox, QWidget

from ...core.contracts import SourceConfig
from ...core.contracts.config import rule_of
from ...core.contracts.dates import format_date
from ...plugin.inspection import SourceReport
from ..text import tr
from ..widgets import narrow
from .source_dates import PATTERNS, named_dates

_SHOWN = 5
_LONGEST = 44


class PatternField(QComboBox):
    """An editable list of patterns; empty finds the dates."""

    changed = pyqtSignal()

    def __init__(self, name: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setEditable(True)
        narrow(self)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.setToolTip(rule_of(SourceConfig, "date_pattern").help)
        self.addItem("")
        for pattern, example in PATTERNS:
            self.addItem(pattern)
            tip = tr("for names such as {example}").format(example=example)
            self.setItemData(self.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.lineEdit().setObjectName(f"{name}_edit")
        self.lineEdit().setPlaceholderText(tr("found, or e.g. %Y%m%d"))
        self.setAccessibleName(tr("Date pattern"))
        self.editTextChanged.connect(lambda *_: self.changed.emit())

    def text(self) -> str:
        """The pattern as typed."""
        return self.currentText().strip()

    def show_found(self, pattern: str) -> None:
        """Write the pattern that was found into the empty field."""
        words = tr("found: {pattern}").format(pattern=pattern) if pattern else tr("found, or e.g. %Y%m%d")
        self.lineEdit().setPlaceholderText(words)

    def set_text(self, text: str) -> None:
        """Show a pattern."""
        self.setEditText(text)


def names_words(report: SourceReport, pattern: str) -> str:
    """What ``pattern`` (empty: what Freshet finds) makes of the first five names of a source of files, and how many of
    all have a date; empty for one file. DataError for a pattern that is not usable.
    """
    if not report.files:
        return ""
    named, guess = named_dates(report, pattern)
    lines = [f"{_short(name)}:  {format_date(date) if date else '-'}" for name, date in named[:_SHOWN]]
    fitting = sum(date is not None for _, date in named)
    lines.append(tr("{fitting} of {count} names have a date").format(fitting=fitting, count=len(named)))
    return "\n".join([*lines, guess] if guess else lines)


def _short(name: str) -> str:
    half = (_LONGEST - 3) // 2
    return name if len(name) <= _LONGEST else f"{name[:half]}...{name[-half:]}"
