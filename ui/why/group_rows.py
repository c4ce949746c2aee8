"""A small table of groups: a name, and the variables that are shuffled together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from ...core.contracts import ConfigError
from ..text import tr
from ..widgets import button, row

_LINES = 3


class GroupRows(QWidget):
    """Rows that a person adds and takes away; empty ones do not count. Variables stand between commas or spaces."""

    changed = pyqtSignal()

    def __init__(self, name: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.table = QTableWidget(0, 2)
        self.table.setObjectName(f"{name}Table")
        self.table.setHorizontalHeaderLabels([tr("Group"), tr("Variables")])
        self.table.setToolTip(
            tr("Variables that are shuffled together, such as: weather | pre, pet. Shows what they tell jointly.")
        )
        self.table.verticalHeader().setVisible(False)
        self.table.setMinimumWidth(80)
        self.table.setColumnWidth(0, 100)
        self.table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.table.setFixedHeight((self.table.fontMetrics().height() + 12) * (_LINES + 1))
        self.add_button = button(tr("Add a group"), f"{name}Add", self.add)
        self.remove_button = button(tr("Remove"), f"{name}Remove", self.remove, tr("Remove the current row."))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.table)
        column.addLayout(row(self.add_button, self.remove_button))
        self.table.itemChanged.connect(lambda *_: self.changed.emit())

    def add(self, name: str = "", variables: Sequence[str] = ()) -> None:
        """Add a row, empty for the person to fill."""
        place = self.table.rowCount()
        self.table.insertRow(place)
        for column, text in enumerate((name, ", ".join(variables))):
            self.table.setItem(place, column, QTableWidgetItem(text))
        self.table.setCurrentCell(place, 0)

    def remove(self) -> None:
        """Remove the current row."""
        if self.table.currentRow() >= 0:
            self.table.removeRow(self.table.currentRow())
            self.changed.emit()

    def groups(self, known: Optional[Sequence[str]] = None) -> dict[str, Any]:
        """Name and variables of each group; with ``known`` only these may be named. Raises :class:`ConfigError`."""
        found: dict[str, Any] = {}
        for place in range(self.table.rowCount()):
            name, members = self._text(place, 0), self._text(place, 1).replace(";", " ").replace(",", " ").split()
            if not name and not members:
                continue
            self._check(name, members, found, known)
            found[name] = members
        return found

    def _check(self, name: str, members: list[str], found: dict[str, Any], known: Optional[Sequence[str]]) -> None:
        if not name:
            raise ConfigError(
                tr("A group of {members} has no name").format(members=", ".join(members)), remedy=tr("Give it a name")
            )
        if name in found or name in (known or ()):
            raise ConfigError(
                tr("The name '{name}' of a group is taken").format(name=name), remedy=tr("Give it another name")
            )
        if not members:
            raise ConfigError(
                tr("The group '{name}' names no variable").format(name=name),
                expected=", ".join(known) if known else "",
                remedy=tr("Name its variables, or remove the row"),
            )
        missing = [member for member in members if known is not None and member not in known]
        if missing:
            raise ConfigError(
                tr("The group '{name}' names '{missing}', which the model does not read").format(
                    name=name, missing=missing[0]
                ),
                expected=", ".join(known or ()),
                remedy=tr("Correct the group"),
            )

    def _text(self, place: int, column: int) -> str:
        item = self.table.item(place, column)
        return item.text().strip() if item is not None else ""
