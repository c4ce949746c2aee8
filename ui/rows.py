"""A list whose items are two lines: a name, and what there is to say of it; a thin bar shows how far a run is."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtCore import QRect, QSize, Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor, QFont, QPalette
from qgis.PyQt.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem, QStyle, QStyledItemDelegate, QWidget

SECOND = int(Qt.ItemDataRole.UserRole) + 1
FRACTION = int(Qt.ItemDataRole.UserRole) + 2
COLOUR = int(Qt.ItemDataRole.UserRole) + 3
_GAP = 4


class _TwoLines(QStyledItemDelegate):
    def sizeHint(self, option: Any, index: Any) -> QSize:  # noqa: N802 (Qt's name)
        """Two lines; the second wraps to as many as it needs."""
        width = max(80, self.parent().viewport().width() - 4 * _GAP)
        second = option.fontMetrics.boundingRect(
            QRect(0, 0, width, 1000), int(Qt.TextFlag.TextWordWrap), index.data(SECOND) or ""
        )
        return QSize(80, option.fontMetrics.height() + second.height() + 3 * _GAP)

    def paint(self, painter: Any, option: Any, index: Any) -> None:
        """Draw name, second line and bar."""
        painter.save()
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        if chosen:
            painter.fillRect(option.rect, option.palette.highlight())
        role = QPalette.ColorRole.HighlightedText if chosen else QPalette.ColorRole.Text
        painter.setPen(option.palette.color(role))
        area = option.rect.adjusted(2 * _GAP, _GAP, -2 * _GAP, -_GAP)
        bold = QFont(option.font)
        bold.setBold(True)
        painter.setFont(bold)
        name = painter.fontMetrics().elidedText(index.data() or "", Qt.TextElideMode.ElideMiddle, area.width())
        painter.drawText(area, int(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft), name)
        painter.setFont(option.font)
        below = area.adjusted(0, option.fontMetrics.height() + 1, 0, 0)
        colour = index.data(COLOUR)
        if colour and not chosen:
            painter.setPen(QColor(colour))
        painter.drawText(below, int(Qt.TextFlag.TextWordWrap), index.data(SECOND) or "")
        fraction = index.data(FRACTION)
        if fraction is not None:
            base = QRect(option.rect.left(), option.rect.bottom() - 2, option.rect.width(), 2)
            painter.fillRect(base, option.palette.color(QPalette.ColorRole.Midlight))
            base.setWidth(int(base.width() * min(1.0, max(0.0, float(fraction)))))
            painter.fillRect(base, QColor("#2b7bba"))
        painter.restore()


class Rows(QListWidget):
    """The list. Each item is known by a key (a path); ``chosen`` is emitted when another becomes current."""

    chosen = pyqtSignal(str)

    def __init__(self, name: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setItemDelegate(_TwoLines(self))
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumSize(80, 90)
        self.currentItemChanged.connect(self._tell)

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Two or three items; more where there is room."""
        return QSize(200, max(150, self.minimumHeight()))

    def key(self) -> str:
        """Key of the current item, or empty."""
        item = self.currentItem()
        return item.data(Qt.ItemDataRole.UserRole) if item is not None else ""

    def keys(self) -> list[str]:
        """Keys of all items, in order."""
        return [self.item(i).data(Qt.ItemDataRole.UserRole) for i in range(self.count())]

    def fill(self, rows: list[dict]) -> None:
        """Show ``rows`` (key, name, text, tip, fraction, colour); the current key stays where it is still there."""
        before = self.key()
        same = self.keys() == [entry["key"] for entry in rows]
        self.blockSignals(True)
        if not same:
            self.clear()
        for i, entry in enumerate(rows):
            item = self.item(i) if same else QListWidgetItem(self)
            _set(item, entry)
        if not same:
            self.choose(before)
        self.blockSignals(False)
        if not same and self.key() != before:
            self.chosen.emit(self.key())

    def choose(self, key: str) -> None:
        """Make the item with ``key`` current; nothing where there is none."""
        for i, known in enumerate(self.keys()):
            if known == key:
                self.setCurrentRow(i)

    def resizeEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        """Wrapped lines need another height at another width."""
        super().resizeEvent(event)
        self.scheduleDelayedItemsLayout()

    def _tell(self, *_: Any) -> None:
        self.chosen.emit(self.key())


def _set(item: QListWidgetItem, entry: dict) -> None:
    values = {
        int(Qt.ItemDataRole.UserRole): entry["key"],
        int(Qt.ItemDataRole.DisplayRole): entry["name"],
        SECOND: entry.get("text", ""),
        FRACTION: entry.get("fraction"),
        COLOUR: entry.get("colour"),
        int(Qt.ItemDataRole.ToolTipRole): entry.get("tip", entry["key"]),
    }
    for role, value in values.items():
        if item.data(role) != value:
            item.setData(role, value)
