"""Map tools: pick a cell, draw a polygon. Each gives the map back to the tool that was there before. And what is
painted over the map.
"""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import QgsGeometry, QgsPointXY, QgsWkbTypes
from qgis.gui import QgsMapCanvas, QgsMapCanvasItem, QgsMapTool, QgsRubberBand
from qgis.PyQt.QtCore import QRectF, Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor, QPainter
from qgis.PyQt.QtWidgets import QWidget

_RED = QColor("#c0392b")


class MapOverlay(QgsMapCanvasItem):
    """What is painted over the whole map, in pixels from its upper left corner."""

    def __init__(self, canvas: QgsMapCanvas, height: float) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self.setZValue(height)

    def draw(self, painter: QPainter) -> None:
        """Paint all of it."""
        raise NotImplementedError

    def paint(self, painter: QPainter, _option: Any = None, _widget: Optional[QWidget] = None) -> None:
        """Paint where the map lies."""
        painter.translate(-self.pos())
        self.draw(painter)

    def remove(self) -> None:
        """Take it off the map for good."""
        if self.scene() is not None:
            self.scene().removeItem(self)

    def updatePosition(self) -> None:  # noqa: N802 (QGIS's name)
        """The map moved; the item always covers all of it."""
        self.prepareGeometryChange()
        self.update()

    def boundingRect(self) -> QRectF:  # noqa: N802 (Qt's name)
        """The whole map."""
        return QRectF(-self.pos().x(), -self.pos().y(), self._canvas.width(), self._canvas.height())


class PointTool(QgsMapTool):
    """Emits ``picked`` with the point of each click, in the CRS of the map; a ring marks the last one."""

    picked = pyqtSignal(QgsPointXY)

    def __init__(self, canvas: QgsMapCanvas) -> None:
        super().__init__(canvas)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self._mark: Optional[QgsRubberBand] = None

    def canvasReleaseEvent(self, event: Any) -> None:  # noqa: N802 (QGIS's name)
        """Take the point."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.pick(event.mapPoint())

    def pick(self, point: QgsPointXY) -> None:
        """Mark ``point`` and tell of it."""
        self.mark(point)
        self.picked.emit(point)

    def mark(self, point: QgsPointXY) -> None:
        """Put the ring at ``point``."""
        if self._mark is None:
            self._mark = QgsRubberBand(self.canvas(), QgsWkbTypes.GeometryType.PointGeometry)
            self._mark.setIcon(QgsRubberBand.IconType.ICON_CIRCLE)
            self._mark.setIconSize(13)
            self._mark.setWidth(2)
            self._mark.setColor(_RED)
            self._mark.setFillColor(QColor(0, 0, 0, 0))
        self._mark.reset(QgsWkbTypes.GeometryType.PointGeometry)
        self._mark.addPoint(point)

    def clear(self) -> None:
        """Take the ring away."""
        _remove(self.canvas(), self._mark)
        self._mark = None


class PolygonTool(QgsMapTool):
    """Left clicks set corners, a right click or double click ends.

    ``drawn`` is emitted with the polygon in the CRS of the map.
    """

    drawn = pyqtSignal(QgsGeometry)

    def __init__(self, canvas: QgsMapCanvas) -> None:
        super().__init__(canvas)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self._points: list[QgsPointXY] = []
        self._band: Optional[QgsRubberBand] = None

    def canvasReleaseEvent(self, event: Any) -> None:  # noqa: N802 (QGIS's name)
        """Set a corner, or end."""
        if event.button() == Qt.MouseButton.RightButton:
            self.finish()
        elif event.button() == Qt.MouseButton.LeftButton:
            self.add(event.mapPoint())

    def canvasDoubleClickEvent(self, event: Any) -> None:  # noqa: N802 (QGIS's name)
        """End."""
        self.finish()

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802 (QGIS's name)
        """Escape throws the corners away."""
        if event.key() == Qt.Key.Key_Escape:
            self.clear()

    def add(self, point: QgsPointXY) -> None:
        """Set a corner at ``point``; the first one begins a new polygon."""
        if not self._points:
            self.clear()
        if not self._points or self._points[-1] != point:
            self._points.append(point)
        self._draw()

    def finish(self) -> None:
        """Tell of the polygon, if it has three corners."""
        points, self._points = self._points, []
        if len(points) >= 3:
            self.drawn.emit(QgsGeometry.fromPolygonXY([[*points, points[0]]]))

    def clear(self) -> None:
        """Take the drawing away."""
        self._points = []
        _remove(self.canvas(), self._band)
        self._band = None

    def _draw(self) -> None:
        if self._band is None:
            self._band = QgsRubberBand(self.canvas(), QgsWkbTypes.GeometryType.PolygonGeometry)
            self._band.setStrokeColor(_RED)
            self._band.setWidth(2)
            self._band.setFillColor(QColor(192, 57, 43, 40))
        self._band.setToGeometry(QgsGeometry.fromPolygonXY([self._points]), None)


class ToolSwitch:
    """Sets a tool on the map and gives the map back to the tool before it."""

    def __init__(self, canvas: QgsMapCanvas) -> None:
        self._canvas = canvas
        self._before: Any = None

    def use(self, tool: QgsMapTool) -> None:
        """Make ``tool`` the map's tool."""
        if self._canvas.mapTool() is not tool:
            self._before = self._canvas.mapTool()
            self._canvas.setMapTool(tool)

    def leave(self, tool: QgsMapTool) -> None:
        """Give the map back, if ``tool`` is still its tool."""
        if self._canvas.mapTool() is tool:
            self._canvas.unsetMapTool(tool)
            if self._before is not None:
                self._canvas.setMapTool(self._before)
        self._before = None


def _remove(canvas: QgsMapCanvas, item: Optional[QgsRubberBand]) -> None:
    if item is not None and canvas is not None:
        canvas.scene().removeItem(item)
