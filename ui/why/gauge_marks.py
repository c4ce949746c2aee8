"""Gauges over the map while a question asks about one of them: where they lie, their names, the one a click means."""

from __future__ import annotations

import math

from qgis.core import QgsPointXY
from qgis.gui import QgsMapCanvas
from qgis.PyQt.QtCore import QPointF
from qgis.PyQt.QtGui import QColor, QPainter, QPainterPath, QPen

from ..maptools import MapOverlay

_RED, _WHITE, _INK = QColor("#c0392b"), QColor("#ffffff"), QColor("#222222")
_RADIUS_PX, _CHOSEN_PX = 4.5, 6.5
_HALO_PX = 3.0
_HEIGHT = 70.0  # above painted rain


class GaugeMarks(MapOverlay):
    """A dot and the name at each gauge; the chosen one is red and larger. Places are points of the map's CRS."""

    def __init__(self, canvas: QgsMapCanvas) -> None:
        super().__init__(canvas, _HEIGHT)
        self._places: dict[str, QgsPointXY] = {}
        self._chosen = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the gauges that are drawn."""
        return tuple(self._places)

    @property
    def chosen(self) -> str:
        """The name of the one that stands out."""
        return self._chosen

    def show_places(self, places: dict[str, QgsPointXY], chosen: str = "") -> None:
        """Draw these in place of those before."""
        self._places, self._chosen = dict(places), chosen
        self.update()

    def nearest(self, point: QgsPointXY) -> tuple[str, float]:
        """Name of the gauge nearest to a point of the map, and how many pixels it is away; '' and infinity without."""
        here = self.toCanvasCoordinates(point)
        away = [(_length(self.toCanvasCoordinates(place) - here), name) for name, place in self._places.items()]
        distance, name = min(away, default=(math.inf, ""))
        return name, distance

    def draw(self, painter: QPainter) -> None:
        """Dots and names, the chosen one last so that nothing covers it."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        for name in sorted(self._places, key=lambda name: name == self._chosen):
            self._paint_gauge(painter, name, self.toCanvasCoordinates(self._places[name]))

    def _paint_gauge(self, painter: QPainter, name: str, place: QPointF) -> None:
        chosen = name == self._chosen
        radius = _CHOSEN_PX if chosen else _RADIUS_PX
        painter.setPen(QPen(_WHITE, 1.6))
        painter.setBrush(_RED if chosen else _INK)
        painter.drawEllipse(place, radius, radius)
        words = QPainterPath()
        font = painter.font()
        font.setBold(chosen)
        wide = painter.fontMetrics().horizontalAdvance(name)
        room = self._canvas.width() - place.x() - radius - _HALO_PX
        left = place.x() + radius + _HALO_PX if wide < room else place.x() - radius - _HALO_PX - wide
        words.addText(left, place.y() + radius, font, name)
        painter.strokePath(words, QPen(_WHITE, _HALO_PX))  # names are read on dark and on light maps
        painter.fillPath(words, _RED if chosen else _INK)


def _length(way: QPointF) -> float:
    return math.hypot(way.x(), way.y())
