"""A short list of variables to tick."""

from __future__ import annotations

from typing import Optional

from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import QListWidget, QListWidgetItem, QWidget

_LINES = 5


class Picks(QListWidget):
    """Items with a tick; ``itemChanged`` tells of a change."""

    def __init__(self, name: str, help_text: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setToolTip(help_text)
        self.setMinimumWidth(80)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)

    def fill(self, entries: list[tuple[str, str, bool]]) -> None:
        """Show ``entries`` (key, text, ticked); keys that were there keep their tick."""
        before = {self._key(i): self._ticked(i) for i in range(self.count())}
        self.blockSignals(True)
        self.clear()
        for key, text, ticked in entries:
            item = QListWidgetItem(text, self)
            item.setData(Qt.ItemDataRole.UserRole, key)
            item.setToolTip(text)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if before.get(key, ticked) else Qt.CheckState.Unchecked)
        self.blockSignals(False)
        lines = min(max(1, self.count()), _LINES)
        self.setFixedHeight(
            lines * max(self.sizeHintForRow(0), self.fontMetrics().height()) + 2 * self.frameWidth() + 2
        )

    def ticked(self) -> tuple[str, ...]:
        """Keys of the ticked items, in order."""
        return tuple(self._key(i) for i in range(self.count()) if self._ticked(i))

    def tick(self, keys: tuple[str, ...]) -> None:
        """Tick exactly ``keys``."""
        for i in range(self.count()):
            self.item(i).setCheckState(Qt.CheckState.Checked if self._key(i) in keys else Qt.CheckState.Unchecked)

    def _key(self, i: int) -> str:
        return self.item(i).data(Qt.ItemDataRole.UserRole)

    def _ticked(self, i: int) -> bool:
        return self.item(i).checkState() == Qt.CheckState.Checked
