"""A place: x and y to type, or a click on the map."""

from __future__ import annotations

from typing import Any, Callable, Optional

from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransform, QgsCsException, QgsPointXY, QgsProject
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QWidget

from ...core.contracts import ConfigError
from ...core.contracts.config import Rule
from ..maptools import PointTool, ToolSwitch
from ..numbers import NumberEdit
from ..text import number, tr
from ..widgets import button, row

_DIGITS = 9


class EscapablePointTool(PointTool):
    """Picks a point; the Escape key gives up."""

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802 (QGIS's name)
        """Give the map back."""
        if event.key() == Qt.Key.Key_Escape:
            self.canvas().unsetMapTool(self)


class PlaceField(QWidget):
    """x and y in the CRS that ``crs`` gives. While a place is being picked, the window of the field makes room."""

    changed = pyqtSignal()

    def __init__(
        self,
        name: str,
        what: str,
        crs: Callable[[], QgsCoordinateReferenceSystem],
        iface: Any = None,
        parent: Optional[QWidget] = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self._what, self._crs, self._iface = what, crs, iface
        self._tool: Optional[EscapablePointTool] = None
        self._switch: Optional[ToolSwitch] = None
        help_text = tr("{what}: x and y in the coordinate reference system of the grid.").format(what=what)
        self.x, self.y = (self._edit(axis, f"{name}_{axis}", help_text) for axis in ("x", "y"))
        self.pick_button = button(
            tr("Pick on the map"),
            f"{name}_pick",
            self.start_picking,
            tr("Click the place on the map; Escape gives up."),
        )
        self.pick_button.setEnabled(iface is not None)
        self.setLayout(row(self.x, self.y, self.pick_button, stretch=False))

    def value(self) -> Optional[tuple[float, float]]:
        """The place, or None where both are empty; raises ConfigError where one is missing or no number."""
        x, y = self.x.value(), self.y.value()
        if (x is None) != (y is None):
            raise ConfigError(
                tr("{what}: a place has x and y").format(what=self._what), remedy=tr("Type both, or pick it on the map")
            )
        return None if x is None else (x, y)

    def set_value(self, place: Optional[tuple[float, float]]) -> None:
        """Show a place; None empties both fields."""
        self.blockSignals(True)
        for edit, value in zip((self.x, self.y), place or (None, None)):
            edit.set_value(value)
        self.blockSignals(False)
        self.changed.emit()

    def start_picking(self) -> None:
        """Wait for a click on the map; the window hides until then."""
        canvas = self._iface.mapCanvas()
        if self._tool is None:
            self._tool, self._switch = EscapablePointTool(canvas), ToolSwitch(canvas)
            self._tool.picked.connect(self._take)
            self._tool.deactivated.connect(self._come_back)
        self._switch.use(self._tool)
        self.window().hide()
        canvas.setFocus()

    def release(self) -> None:
        """Give the map back and take the mark away."""
        if self._tool is not None:
            self._tool.deactivated.disconnect(self._come_back)
            self._switch.leave(self._tool)
            self._tool.clear()
            self._tool = None

    def _take(self, point: QgsPointXY) -> None:
        canvas, target = self._iface.mapCanvas(), self._crs()
        source = canvas.mapSettings().destinationCrs()
        try:
            if target.isValid() and source.isValid():
                point = QgsCoordinateTransform(source, target, QgsProject.instance()).transform(point)
        except QgsCsException:  # outside of what the CRS knows: the fields stay as they are
            point = None
        if point is not None:
            self.set_value(tuple(float(number(value, _DIGITS)) for value in (point.x(), point.y())))
        self._switch.leave(self._tool)
        self._come_back()

    def _come_back(self) -> None:
        self.window().show()
        self.window().raise_()
        self.window().activateWindow()

    def _edit(self, axis: str, name: str, help_text: str) -> NumberEdit:
        edit = NumberEdit(Rule(f"{self._what}, {axis}", help_text), optional=True)
        edit.setObjectName(name)
        edit.setPlaceholderText(axis)
        edit.setToolTip(help_text)
        edit.setAccessibleName(f"{self._what}, {axis}")
        edit.setMinimumWidth(60)
        edit.valueChanged.connect(self.changed)
        return edit
