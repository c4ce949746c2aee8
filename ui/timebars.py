"""Spans of time drawn to scale: the periods of a training, the coverage of sources."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Optional

from qgis.PyQt.QtCore import QRectF, QSize, Qt
from qgis.PyQt.QtGui import QColor, QPainter, QPalette
from qgis.PyQt.QtWidgets import QSizePolicy, QWidget

COLOURS = {"train": "#2b7bba", "validation": "#7fb8d8", "test": "#d9853b", "data": "#2b7bba", "gap": "#ffffff"}
_ROW = 18


@dataclass(frozen=True)
class Span:
    """One span; ``kind`` names its colour, ``text`` stands in it where there is room."""

    start: datetime
    end: datetime
    kind: str = "data"
    text: str = ""


class TimeBars(QWidget):
    """Rows of spans on one time axis with its first and last date below."""

    def __init__(self, name: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.rows: list[tuple[str, list[Span]]] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_rows(self, rows: list[tuple[str, list[Span]]]) -> None:
        """Draw ``rows``: a label (may be empty) and its spans each."""
        self.rows = [(label, spans) for label, spans in rows if spans]
        self.setVisible(bool(self.rows))
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """A row each, and one for the dates."""
        return QSize(200, _ROW * len(self.rows) + self.fontMetrics().height() + 2)

    minimumSizeHint = sizeHint

    def paintEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        """Draw."""
        spans = [span for _, row in self.rows for span in row]
        if not spans:
            return
        first, last = min(s.start for s in spans), max(s.end for s in spans)
        whole = max((last - first).total_seconds(), 1.0)
        painter = QPainter(self)
        labels = max((self.fontMetrics().horizontalAdvance(label) for label, _ in self.rows), default=0)
        left = min(labels + 6 if labels else 0, self.width() // 3)
        width = self.width() - left - 1
        text = self.palette().color(QPalette.ColorRole.Text)
        for i, (label, row) in enumerate(self.rows):
            painter.setPen(text)
            shown = self.fontMetrics().elidedText(label, Qt.TextElideMode.ElideRight, left - 4)
            painter.drawText(QRectF(0, i * _ROW, left, _ROW - 2), int(Qt.AlignmentFlag.AlignVCenter), shown)
            for span in row:
                x = left + width * (span.start - first).total_seconds() / whole
                size = max(2.0, width * (span.end - span.start).total_seconds() / whole)
                self._bar(painter, QRectF(x, i * _ROW, size, _ROW - 3), span)
        painter.setPen(text)
        below = QRectF(left, _ROW * len(self.rows), width, self.fontMetrics().height())
        painter.drawText(below, int(Qt.AlignmentFlag.AlignLeft), f"{first:%Y-%m-%d}")
        painter.drawText(below, int(Qt.AlignmentFlag.AlignRight), f"{last:%Y-%m-%d}")
        painter.end()

    def _bar(self, painter: QPainter, area: QRectF, span: Span) -> None:
        painter.fillRect(area, QColor(COLOURS[span.kind]))
        if span.text and self.fontMetrics().horizontalAdvance(span.text) < area.width() - 4:
            painter.setPen(QColor("#ffffff" if span.kind == "train" else "#222222"))
            painter.drawText(area, int(Qt.AlignmentFlag.AlignCenter), span.text)
