"""Small widgets that every page uses: headings, notices, narrow combo boxes, fields for dates and files."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Callable, Optional

from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor, QPainter
from qgis.PyQt.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ..core.contracts.dates import parse_date
from ..core.contracts.errors import DataError, FreshetError
from .text import tr

_COLOURS = {"plain": "#9a9a9a", "warning": "#d9853b", "error": "#b2182b"}


def narrow(combo: QComboBox, length: int = 8) -> QComboBox:
    """A combo box that shrinks with the dock instead of widening it."""
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(length)
    combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return combo


def heading(text: str, name: str) -> QLabel:
    """A heading inside a page."""
    label = QLabel(text)
    label.setObjectName(name)
    font = label.font()
    font.setBold(True)
    label.setFont(font)
    label.setWordWrap(True)
    return label


def button(
    text: str, name: str, clicked: Callable[[], Any], tip: str = "", parent: Optional[QWidget] = None
) -> QPushButton:
    """A push button with its name and its help."""
    made = QPushButton(text, parent)
    made.setObjectName(name)
    made.setToolTip(tip)
    made.setAutoDefault(False)
    made.clicked.connect(lambda *_: clicked())
    return made


def row(*widgets: Any, stretch: bool = True) -> QHBoxLayout:
    """Widgets side by side; None is a stretch."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        if widget is None:
            layout.addStretch(1)
        else:
            layout.addWidget(widget)
    if stretch:
        layout.addStretch(1)
    return layout


def stacked(*widgets: QWidget) -> QWidget:
    """One widget of several, one below the other, without margins."""
    whole = QWidget()
    column = QVBoxLayout(whole)
    column.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        column.addWidget(widget)
    return whole


def refill(combo: QComboBox, entries: list, wanted: Any = None) -> None:
    """Show ``entries`` (text, data) without a signal; what was chosen stays, else the one of key ``wanted``, else the
    first. A key is the path of the data, or the data itself.
    """
    before = combo.currentData()
    combo.blockSignals(True)
    combo.clear()
    for text, data in entries:
        combo.addItem(text, data)
    known, keys = [data for _, data in entries], [getattr(data, "path", data) for _, data in entries]
    near = [keys.index(key) for key in (getattr(before, "path", before), wanted) if key in keys]
    found = [known.index(before)] if before in known else near
    combo.setCurrentIndex(found[0] if found else combo.currentIndex())
    combo.blockSignals(False)


class Notice(QLabel):
    """A sentence in the page: what is missing, what went wrong and what to do. Hidden while there is nothing to say."""

    def __init__(self, name: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setWordWrap(True)
        self.setContentsMargins(10, 2, 2, 2)
        self._colour = QColor(_COLOURS["plain"])
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.clear_text()

    def say(self, text: str, level: str = "plain") -> None:
        """Show ``text``; ``level`` is plain, warning or error."""
        self.setText(text)
        self._colour = QColor(_COLOURS[level])
        self.update()
        self.setVisible(bool(text))

    def paintEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        """The text, and a bar beside it whose colour says how serious it is."""
        super().paintEvent(event)
        painter = QPainter(self)
        painter.fillRect(0, 1, 3, self.height() - 2, self._colour)
        painter.end()

    def fail(self, error: FreshetError) -> None:
        """Show what a person can mend."""
        self.say(str(error), "error")

    def clear_text(self) -> None:
        """Nothing to say."""
        self.setText("")
        self.setVisible(False)


class Fold(QWidget):
    """A part of a page that opens under its heading."""

    def __init__(
        self, title: str, inner: QWidget, name: str, open_: bool = False, parent: Optional[QWidget] = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.inner = inner
        self.toggle = QToolButton()
        self.toggle.setObjectName(f"{name}_toggle")
        self.toggle.setText(title)
        self.toggle.setCheckable(True)
        self.toggle.setAutoRaise(True)
        self.toggle.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.toggle)
        layout.addWidget(inner)
        self.toggle.toggled.connect(self._show)
        self.toggle.setChecked(open_)
        self._show(open_)

    def _show(self, shown: bool) -> None:
        self.inner.setVisible(shown)
        self.toggle.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)


class DateField(QLineEdit):
    """A date as ISO text, such as 1993-07-04 or 1993-07-04T06:00; empty is open."""

    def __init__(self, name: str, what: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self._what = what
        self.setAccessibleName(what)
        self.setPlaceholderText(tr("YYYY-MM-DD"))
        self.setMinimumWidth(60)
        self.setToolTip(tr("{what}: a date such as 1993-07-04 or 1993-07-04T06:00, in UTC.").format(what=what))
        self.textChanged.connect(self._mark)

    def iso(self) -> str:
        """The text, checked; raises :class:`DataError` where it is no date."""
        text = self.text().strip()
        if text:
            parse_date(text, self._what)
        return text

    def moment(self) -> Optional[datetime]:
        """The date, or None while there is none."""
        try:
            return parse_date(self.text(), self._what)
        except DataError:
            return None

    def _mark(self, text: str) -> None:
        wrong = bool(text.strip()) and self.moment() is None
        self.setStyleSheet("border: 1px solid #b2182b;" if wrong else "")


class PathField(QWidget):
    """A path and a button that opens a file dialog. ``mode`` is open, save or folder."""

    changed = pyqtSignal(str)

    def __init__(
        self, name: str, title: str, mode: str = "open", pattern: str = "", parent: Optional[QWidget] = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self._title, self._mode, self._pattern = title, mode, pattern
        self.edit = QLineEdit()
        self.edit.setObjectName(f"{name}_edit")
        self.edit.setAccessibleName(title)
        self.edit.setMinimumWidth(60)
        self.edit.textChanged.connect(self.changed)
        browse = QToolButton()
        browse.setObjectName(f"{name}_browse")
        browse.setText("…")
        browse.setToolTip(title)
        browse.clicked.connect(self._browse)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.edit, 1)
        layout.addWidget(browse)
        self.setFocusProxy(self.edit)

    def path(self) -> str:
        """The path as typed."""
        return self.edit.text().strip()

    def set_path(self, path: str) -> None:
        """Show ``path``."""
        self.edit.setText(path)

    def _browse(self) -> None:
        if self._mode == "folder":
            found = QFileDialog.getExistingDirectory(self, self._title, self.path())
        elif self._mode == "save":
            found = QFileDialog.getSaveFileName(self, self._title, self.path(), self._pattern)[0]
        else:
            found = QFileDialog.getOpenFileName(self, self._title, self.path(), self._pattern)[0]
        if found:
            self.set_path(found)
