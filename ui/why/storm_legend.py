"""The legend of painted rain: a ramp from nothing to the strongest, in mm."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtCore import QPointF, QRect, QRectF, QSize, Qt
from qgis.PyQt.QtGui import QLinearGradient, QPainter, QPalette
from qgis.PyQt.QtWidgets import QSizePolicy, QWidget

from ..text import number, tr
from .storm_tool import rain_colour

_BAR, _GAP, _STOPS = 9, 2, 8


class StormLegend(QWidget):
    """A bar of colours over its numbers; ``top`` is the mm of its end."""

    def __init__(self, name: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.top = 1.0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(100)
        self.setToolTip(tr("Painted rain in mm, over the whole step of its date."))

    def set_top(self, top: float) -> None:
        """Let the ramp end at ``top`` mm."""
        self.top = top
        self.setAccessibleName(tr("0 to {top} mm of painted rain").format(top=number(top)))
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """The bar and a line of numbers."""
        return QSize(200, _BAR + _GAP + self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """As high as it is wide enough to be read."""
        return QSize(100, self.sizeHint().height())

    def paintEvent(self, _event: Any) -> None:  # noqa: N802 (Qt's name)
        """Draw bar and numbers."""
        painter = QPainter(self)
        ramp = QLinearGradient(QPointF(0, 0), QPointF(self.width(), 0))
        for stop in range(_STOPS + 1):
            ramp.setColorAt(stop / _STOPS, rain_colour(stop / _STOPS))
        painter.fillRect(QRectF(0, 0, self.width(), _BAR), ramp)
        painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
        line = QRect(0, _BAR + _GAP, self.width(), self.fontMetrics().height())
        for share, side in (
            (0.0, Qt.AlignmentFlag.AlignLeft), (0.5, Qt.AlignmentFlag.AlignHCenter), (1.0, Qt.AlignmentFlag.AlignRight),
        ):  # fmt: skip
            words = number(share * self.top)
            painter.drawText(line, int(side), tr("{value} mm").format(value=words) if share == 1.0 else words)
        painter.end()
