"""The brush that puts rain on the map, and the picture of the rain over the map."""

from __future__ import annotations

import math
from typing import Any, Callable, Optional

from qgis.core import QgsPointXY
from qgis.gui import QgsMapCanvas, QgsMapTool
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor, QPainter, QPen, QPolygonF

from ..maptools import MapOverlay
from .painted import Painted

# YlGnBu, as water has everywhere in Freshet, without its palest end: rain has to be seen on a white map.
_STOPS = ((0.0, "#c7e9b4"), (0.25, "#7fcdbb"), (0.5, "#41b6c4"), (0.75, "#225ea8"), (1.0, "#081d58"))
_OPACITY = 175
_HEIGHT = 60.0
_FINEST_STEP = 24  # colours of the ramp; equal ones are drawn at once

ToMap = Callable[[QgsPointXY], Optional[QgsPointXY]]


def rain_colour(share: float) -> QColor:
    """The colour of rain at a share (0 to 1) of the strongest."""
    share = min(1.0, max(0.0, share))
    for (low, first), (high, second) in zip(_STOPS, _STOPS[1:]):
        if share <= high:
            part = (share - low) / (high - low)
            a, b = QColor(first), QColor(second)
            mixed = (round(one + part * (two - one)) for one, two in zip(a.getRgb()[:3], b.getRgb()[:3]))
            return QColor(*mixed, _OPACITY)
    return QColor(_STOPS[-1][1])


def round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 ... that is not below ``value``; 1 for nothing."""
    if value <= 0:
        return 1.0
    base = 10.0 ** math.floor(math.log10(value))
    return next(base * step for step in (1.0, 2.0, 5.0, 10.0) if base * step >= value * (1 - 1e-9))


class StormOverlay(MapOverlay):
    """Painted rain over the map, cell by cell, and the ring of the brush. ``to_map`` brings a point of the grid's CRS
    into that of the map; cells for which it gives None are left out.
    """

    def __init__(self, canvas: QgsMapCanvas, to_map: ToMap) -> None:
        super().__init__(canvas, _HEIGHT)
        self._to_map = to_map
        self._painted: Optional[Painted] = None
        self._corners: dict[tuple[int, int], Optional[QgsPointXY]] = {}
        self._ring: Optional[tuple[QgsPointXY, float]] = None
        self.top_mm = 1.0

    def show_rain(self, painted: Optional[Painted]) -> None:
        """Show rain, or none."""
        if painted is not self._painted:
            self._corners.clear()
        self._painted = painted
        self.top_mm = round_up(float(painted.rain.max())) if painted is not None else 1.0
        self.update()

    def show_ring(self, point: Optional[QgsPointXY], radius_px: float = 0.0) -> None:
        """Show the ring of the brush around a point of the map, or none."""
        self._ring = None if point is None else (point, radius_px)
        self.update()

    def forget_places(self) -> None:
        """The map has another CRS."""
        self._corners.clear()
        self.update()

    def shown_cells(self) -> int:
        """Number of cells with rain that are drawn."""
        return 0 if self._painted is None else int((self._painted.rain > 0).sum())

    def draw(self, painter: QPainter) -> None:
        """Cells and ring."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(Qt.PenStyle.NoPen)
        if self._painted is not None:
            self._paint_cells(painter)
        if self._ring is not None:
            point, radius = self._ring
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor("#222222"), 1.2))
            painter.drawEllipse(self.toCanvasCoordinates(point), radius, radius)

    def _paint_cells(self, painter: QPainter) -> None:
        rain = self._painted.rain
        for row, column in zip(*(places.tolist() for places in rain.nonzero())):
            corners = [self._corner(row + i, column + j) for i, j in ((0, 0), (0, 1), (1, 1), (1, 0))]
            if any(corner is None for corner in corners):
                continue
            share = rain[row, column] / self.top_mm
            painter.setBrush(rain_colour(round(share * _FINEST_STEP) / _FINEST_STEP))
            painter.drawPolygon(QPolygonF([self.toCanvasCoordinates(corner) for corner in corners]))

    def _corner(self, row: int, column: int) -> Optional[QgsPointXY]:
        key = (row, column)
        if key not in self._corners:
            grid = self._painted.grid
            self._corners[key] = self._to_map(
                QgsPointXY(grid.west + column * grid.cell_x, grid.north - row * grid.cell_y)
            )
        return self._corners[key]


class StormTool(QgsMapTool):
    """Emits ``begun``, ``moved`` (point of the map, whether it erases) and ``lifted`` of each stroke, ``hovered``
    wherever the mouse is, ``given_up`` where another tool takes the map
    within a stroke, ``left`` for Escape and ``undone`` for Ctrl+Z. The right button erases.
    """

    begun = pyqtSignal()
    moved = pyqtSignal(QgsPointXY, bool)
    lifted = pyqtSignal()
    hovered = pyqtSignal(QgsPointXY)
    given_up = pyqtSignal()
    left = pyqtSignal()
    undone = pyqtSignal()

    def __init__(self, canvas: QgsMapCanvas) -> None:
        super().__init__(canvas)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self._down: Optional[Any] = None

    def canvasPressEvent(self, event: Any) -> None:  # noqa: N802 (QGIS's name)
        """The brush touches the map."""
        if self._down is None and event.button() in (Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton):
            self._down = event.button()
            self.begun.emit()
            self._tell(event)

    def canvasMoveEvent(self, event: Any) -> None:  # noqa: N802 (QGIS's name)
        """The brush moves."""
        self.hovered.emit(event.mapPoint())
        if self._down is not None:
            self._tell(event)

    def canvasReleaseEvent(self, event: Any) -> None:  # noqa: N802 (QGIS's name)
        """The brush is lifted."""
        if self._down is not None and event.button() == self._down:
            self._tell(event)
            self._down = None
            self.lifted.emit()

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802 (QGIS's name)
        """Escape lays the brush aside, Ctrl+Z takes the last stroke back. No key comes while a button is down."""
        if event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        elif event.key() == Qt.Key.Key_Z and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.undone.emit()
            event.ignore()

    def deactivate(self) -> None:
        """Another tool takes the map: a stroke that was not lifted is thrown away."""
        if self._down is not None:
            self._down = None
            self.given_up.emit()
        super().deactivate()

    def _tell(self, event: Any) -> None:
        self.moved.emit(event.mapPoint(), self._down == Qt.MouseButton.RightButton)
