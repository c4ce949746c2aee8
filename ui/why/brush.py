"""The brush on the map: strokes of the mouse become rain on the dataset's grid, shown at once."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import QgsPointXY, QgsProject
from qgis.PyQt.QtCore import QObject, pyqtSignal

from ...core.contracts import FreshetError
from ..maptools import ToolSwitch
from ..series import point_in
from .context import WhyContext
from .painted import Painted
from .storm_form import StormForm
from .storm_tool import StormOverlay, StormTool


class Brush(QObject):
    """Holds map tool and overlay for ``form``. ``painted`` tells that the rain is another, ``lifted`` that a stroke
    ended which changed something, ``toolSwitched`` that the tool came or went, ``failed`` what is wrong (a sentence).
    """

    painted = pyqtSignal()
    lifted = pyqtSignal()
    toolSwitched = pyqtSignal(bool)
    failed = pyqtSignal(str)

    def __init__(self, context: WhyContext, form: StormForm, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self._context, self._form = context, form
        self._rain: Optional[Painted] = None
        self._good = True  # the brush of the stroke can be read, and met the grid
        self._canvas = context.iface.mapCanvas() if context.iface is not None else None
        self.tool: Any = None
        self.overlay: Optional[StormOverlay] = None
        if self._canvas is None:
            return
        self._switch = ToolSwitch(self._canvas)
        self.tool = StormTool(self._canvas)
        self.tool.begun.connect(self._begin)
        self.tool.moved.connect(self._move)
        self.tool.lifted.connect(self._lift)
        self.tool.hovered.connect(self._hover)
        self.tool.given_up.connect(self._give_up)
        self.tool.left.connect(lambda: self.paint(False))
        self.tool.undone.connect(self.undo)
        self.tool.deactivated.connect(self._on_tool_left)
        self._canvas.destinationCrsChanged.connect(self._on_crs)

    @property
    def rain(self) -> Optional[Painted]:
        """What is painted; None without a dataset."""
        return self._rain

    def use(self, rain: Optional[Painted]) -> None:
        """Paint on another grid."""
        self._rain = rain
        self._show()

    def paint(self, on: bool) -> None:
        """Take the map, or give it back."""
        if self._canvas is None:
            return
        if on:
            self._switch.use(self.tool)
            self._canvas.setFocus()
        else:
            self._switch.leave(self.tool)
            if self.overlay is not None:
                self.overlay.show_ring(None)
        self._show()
        self.toolSwitched.emit(on)

    def undo(self) -> None:
        """Take the last stroke back; that is a stroke too, where rain is left."""
        if self._rain is not None and self._rain.undo():
            self._show()
            self.painted.emit()
            if self._rain.rain.any():
                self.lifted.emit()

    def clear(self) -> None:
        """Take all rain away."""
        if self._rain is not None and self._rain.clear():
            self._show()
            self.painted.emit()

    def show_rain(self, shown: bool) -> None:
        """Show the rain over the map, or not; it stays what it is."""
        if self.overlay is not None:
            self.overlay.setVisible(shown)

    def release(self) -> None:
        """Give the map back and take the rain away from it."""
        if self._canvas is None:
            return
        self.paint(False)
        self._canvas.destinationCrsChanged.disconnect(self._on_crs)
        if self.overlay is not None:
            self.overlay.remove()
            self.overlay = None
        self.tool.deleteLater()
        self._canvas = None

    # -- strokes

    def _begin(self) -> None:
        self._good = True
        if self._rain is not None:
            self._rain.begin()

    def _move(self, point: QgsPointXY, erase: bool) -> None:
        if self._rain is None or not self._good:
            return
        inside = self._context.to_dataset(point)
        try:
            brush = self._form.brush()
        except FreshetError as error:
            self._stop(str(error))
            return
        if inside is None:
            self._stop(self._form.no_crs())
            return
        self._rain.to(
            inside.x(), inside.y(), brush.size, brush.mm, soft=brush.soft, erase=erase or brush.erase, add=brush.add
        )
        self._show()
        self.painted.emit()

    def _stop(self, sentence: str) -> None:
        self._good = False
        self._rain.give_up()
        self._show()
        self.failed.emit(sentence)

    def _lift(self) -> None:
        if self._rain is None or not self._good:
            return
        changed = self._rain.end()
        self.painted.emit()
        if changed:
            self.lifted.emit()
        elif not self._rain.rain.any():
            self.failed.emit(self._form.outside())

    def _give_up(self) -> None:
        if self._rain is not None:
            self._rain.give_up()
            self._show()
            self.painted.emit()

    def _hover(self, point: QgsPointXY) -> None:
        if self.overlay is None or self._rain is None:
            return
        self.overlay.show_ring(point, self._radius_px(point))

    def _radius_px(self, point: QgsPointXY) -> float:
        """Half the brush in pixels of the map at ``point``; 0 where that is not known."""
        inside = self._context.to_dataset(point)
        try:
            size = self._form.brush().size
        except FreshetError:
            return 0.0
        if inside is None:
            return 0.0
        edge = self._to_map(QgsPointXY(inside.x() + 0.5 * size * self._rain.grid.cell_x, inside.y()))
        if edge is None:
            return 0.0
        return edge.distance(point) / self._canvas.mapUnitsPerPixel()

    # -- the picture

    def _show(self) -> None:
        if self._canvas is None:
            return
        if self.overlay is None:
            self.overlay = StormOverlay(self._canvas, self._to_map)
        self.overlay.show_rain(self._rain if self._rain is not None and self._rain.rain.any() else None)
        if self._rain is not None and not self._rain.rain.any():
            self.overlay.top_mm = 1.0

    def _to_map(self, point: QgsPointXY) -> Optional[QgsPointXY]:
        return point_in(point, self._context.dataset_crs(), self._context.map_crs(), QgsProject.instance())

    def _on_crs(self) -> None:
        if self.overlay is not None:
            self.overlay.forget_places()

    def _on_tool_left(self) -> None:
        if self.overlay is not None:
            self.overlay.show_ring(None)
        self.toolSwitched.emit(False)
