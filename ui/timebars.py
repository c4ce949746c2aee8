"""Spans of time drawn to scale: the periods of a training, the dates of sources and their gaps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Optional

from qgis.PyQt.QtCore import QEvent, QRectF, QSize, Qt
from qgis.PyQt.QtGui import QColor, QPainter, QPalette
from qgis.PyQt.QtWidgets import QSizePolicy, QToolTip, QWidget

from ..core.contracts.dates import format_date
from .text import tr

COLOURS = {"train": "#2b7bba", "validation": "#7fb8d8", "test": "#d9853b", "data": "#2b7bba", "gap": "#d9853b"}
_LEAST = 2.0  # a gap of one day in thirty years has to be seen
_CURSOR = "#c0392b"


@dataclass(frozen=True)
class Span:
    """One span; ``kind`` names its colour, ``text`` stands in it where there is room."""

    start: datetime
    end: datetime
    kind: str = "data"
    text: str = ""


class TimeBars(QWidget):
    """Rows of spans on one time axis with its first and last date below. Spans of kind "gap" lie above the others."""

    def __init__(self, name: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.rows: list[tuple[str, list[Span]]] = []
        self.cursor_at: Optional[datetime] = None
        self._first = self._last = datetime(1970, 1, 1)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_rows(self, rows: list[tuple[str, list[Span]]]) -> None:
        """Draw ``rows``: a label (may be empty) and its spans each."""
        self.rows = [(label, spans) for label, spans in rows if spans]
        spans = [span for _, row in self.rows for span in row]
        if spans:
            self._first, self._last = min(span.start for span in spans), max(span.end for span in spans)
        self.setAccessibleDescription("; ".join(_row_words(label, spans) for label, spans in self.rows))
        self.setVisible(bool(self.rows))
        self.updateGeometry()
        self.update()

    def show_cursor(self, moment: Optional[datetime]) -> None:
        """Mark a date with a line through all rows; None takes it away."""
        self.cursor_at = moment
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """A row each, and one for the dates."""
        return QSize(200, self._row_height() * len(self.rows) + self.fontMetrics().height() + 2)

    minimumSizeHint = sizeHint

    def event(self, event: Any) -> bool:
        """Under the pointer, a tip says which dates a span has."""
        if event.type() == QEvent.Type.ToolTip and self.rows:
            words = self.words_at(event.pos().x(), event.pos().y())
            if words:
                QToolTip.showText(event.globalPos(), words, self)
                return True
        return bool(super().event(event))

    def words_at(self, x: float, y: float) -> str:
        """The span at a place of the widget in words, or empty; a gap before what lies under it."""
        line = int(y // self._row_height())
        if not 0 <= line < len(self.rows):
            return ""
        label, spans = self.rows[line]
        scale = self._scale()
        for span in sorted(spans, key=lambda item: item.kind != "gap"):
            area = self._area(line, span, scale)
            if area.left() <= x <= area.right():
                missing = tr("missing") if span.kind == "gap" else span.text
                ends = f"{format_date(span.start)} .. {format_date(span.end)}"
                return ": ".join(part for part in (label, f"{ends} {missing}".strip()) if part)
        return ""

    def paintEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        """Draw."""
        if not self.rows:
            return
        painter = QPainter(self)
        scale, height = self._scale(), self._row_height()
        left, text = scale[0], self.palette().color(QPalette.ColorRole.Text)
        for i, (label, row) in enumerate(self.rows):
            painter.setPen(text)
            shown = self.fontMetrics().elidedText(label, Qt.TextElideMode.ElideRight, max(0, left - 4))
            painter.drawText(QRectF(0, i * height, left, height - 2), int(Qt.AlignmentFlag.AlignVCenter), shown)
            for span in sorted(row, key=lambda item: item.kind == "gap"):
                self._bar(painter, self._area(i, span, scale), span)
        painter.setPen(text)
        below = QRectF(left, height * len(self.rows), self.width() - left - 1, self.fontMetrics().height())
        painter.drawText(below, int(Qt.AlignmentFlag.AlignLeft), self._date_words(self._first))
        painter.drawText(below, int(Qt.AlignmentFlag.AlignRight), self._date_words(self._last))
        if self.cursor_at is not None and self._first <= self.cursor_at <= self._last:
            x = left + scale[1] * (self.cursor_at - self._first).total_seconds()
            painter.fillRect(QRectF(x - 1, 0, 2, height * len(self.rows)), QColor(_CURSOR))
        painter.end()

    def _date_words(self, moment: datetime) -> str:
        if (self._last - self._first).days > 2:
            return f"{moment:%Y-%m-%d}"
        room = self.width() - self._left() > 2.2 * self.fontMetrics().horizontalAdvance("2000-01-01 00:00")
        return f"{moment:%Y-%m-%d %H:%M}" if room else f"{moment:%m-%d %H:%M}"

    def _row_height(self) -> int:
        return max(18, self.fontMetrics().height() + 3)

    def _left(self) -> int:
        labels = max((self.fontMetrics().horizontalAdvance(label) for label, _ in self.rows), default=0)
        return min(labels + 6 if labels else 0, self.width() // 3)

    def _scale(self) -> tuple[int, float]:
        """Left end of the bars and pixels a second."""
        left = self._left()
        return left, (self.width() - left - 1) / max((self._last - self._first).total_seconds(), 1.0)

    def _area(self, line: int, span: Span, scale: tuple[int, float]) -> QRectF:
        left, pixels = scale
        start = left + pixels * (span.start - self._first).total_seconds()
        size = max(_LEAST, pixels * (span.end - span.start).total_seconds())
        return QRectF(start, line * self._row_height(), size, self._row_height() - 3)

    def _bar(self, painter: QPainter, area: QRectF, span: Span) -> None:
        painter.fillRect(area, QColor(COLOURS[span.kind]))
        if span.text and self.fontMetrics().horizontalAdvance(span.text) < area.width() - 4:
            painter.setPen(QColor("#ffffff" if span.kind == "train" else "#222222"))
            painter.drawText(area, int(Qt.AlignmentFlag.AlignCenter), span.text)


def _row_words(label: str, spans: list[Span]) -> str:
    ends = f"{format_date(min(s.start for s in spans))} .. {format_date(max(s.end for s in spans))}"
    gaps = sum(span.kind == "gap" for span in spans)
    words = tr("{ends}, {count} gaps").format(ends=ends, count=gaps) if gaps else ends
    return f"{label}: {words}" if label else words
