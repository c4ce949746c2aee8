"""What is to mend in a new dataset, as a list of sentences; each says how serious it is, and leads to its row."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtCore import QSize, Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QAbstractItemView, QLabel, QListWidget, QListWidgetItem, QStyle, QVBoxLayout, QWidget

from ..text import tr
from ..widgets import heading
from .checks import ERROR, NOTE, WARNING, Hint

_ICONS = {
    ERROR: QStyle.StandardPixmap.SP_MessageBoxCritical,
    WARNING: QStyle.StandardPixmap.SP_MessageBoxWarning,
    NOTE: QStyle.StandardPixmap.SP_MessageBoxInformation,
}
_WORDS = {ERROR: "To mend", WARNING: "To check", NOTE: "Guessed or to know"}


class _List(QListWidget):
    """Enter chooses a sentence; it must not reach the default button of the dialog as well."""

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        """Keep Enter."""
        super().keyPressEvent(event)
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            event.accept()


class MendList(QWidget):
    """A heading with counts and the sentences. ``picked`` tells the variable of the one that was chosen."""

    picked = pyqtSignal(str)

    def __init__(self, name: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.heading: QLabel = heading("", f"{name}Heading")
        self.list = _List()
        self.list.setObjectName(f"{name}List")
        self.list.setWordWrap(True)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.list.setResizeMode(QListWidget.ResizeMode.Adjust)
        self.list.setIconSize(QSize(16, 16))
        self.list.setToolTip(tr("Choose a sentence to go to its variable."))
        self.list.setAccessibleName(tr("What is to mend"))
        self.list.setMinimumHeight(3 * self.fontMetrics().height())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.heading)
        column.addWidget(self.list, 1)
        self.list.itemClicked.connect(self._pick)
        self.list.itemActivated.connect(self._pick)

    def show_hints(self, hints: list[Hint]) -> None:
        """Show the sentences in their order."""
        shown = [self.list.item(i).data(Qt.ItemDataRole.UserRole) for i in range(self.list.count())]
        if shown == hints and hints:
            return
        self.list.clear()
        for hint in hints:
            icon = self.style().standardIcon(_ICONS[hint.level])
            item = QListWidgetItem(icon, hint.text, self.list)
            item.setData(Qt.ItemDataRole.UserRole, hint)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{tr(_WORDS[hint.level])}: {hint.text}")
            item.setToolTip(f"{tr(_WORDS[hint.level])}: {hint.text}")
        counts = [(level, sum(hint.level == level for hint in hints)) for level in _WORDS]
        words = [f"{tr(_WORDS[level])} ({count})" for level, count in counts if count]
        self.heading.setText(", ".join(words) or tr("Nothing to mend"))

    def say(self, text: str) -> None:
        """One sentence in place of the list."""
        self.list.clear()
        self.heading.setText(text)

    def text(self) -> str:
        """All that is shown, line by line."""
        return "\n".join([self.heading.text(), *(self.list.item(i).text() for i in range(self.list.count()))])

    def _pick(self, item: QListWidgetItem) -> None:
        hint = item.data(Qt.ItemDataRole.UserRole)
        if hint.variable:
            self.picked.emit(hint.variable)
