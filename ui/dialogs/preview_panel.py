"""The picture of the selected source: its map at a date, the date to choose, its dates with their gaps."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QLabel, QSlider, QVBoxLayout, QWidget

from ...core.contracts.dates import parse_date
from ..text import date_words, tr
from ..timebars import TimeBars
from ..widgets import heading, row
from .checks import coverage
from .preview import Look, Preview

_PAGE = 20  # steps of the slider's own arrows and pages: a twentieth of the record


class PreviewPanel(QWidget):
    """Shows a :class:`Look`; ``dateChanged`` when another date is chosen."""

    dateChanged = pyqtSignal(int)

    def __init__(self, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName("freshetNewLooks")
        self.heading = heading(tr("Preview"), "freshetNewPreviewHeading")
        self.chart = Preview("freshetNewPreview", 150)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setObjectName("freshetNewDate")
        self.slider.setToolTip(tr("The date to look at."))
        self.slider.setAccessibleName(tr("Date"))
        self.date = QLabel()
        self.date.setObjectName("freshetNewDateShown")
        self.bar = TimeBars("freshetNewDates")
        self.bar.setAccessibleName(tr("Dates of the selected variable"))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.heading)
        column.addWidget(self.chart, 1)
        column.addLayout(row(self.slider, self.date, stretch=False))
        column.addWidget(self.bar)
        column.addStretch(0)
        self._look: Optional[Look] = None
        self._spans: tuple[Any, list] = (None, [])
        self.slider.valueChanged.connect(self._on_slider)
        self.show_look(None)

    def show_look(self, look: Optional[Look]) -> None:
        """Show a source (its ``index`` is where the slider is kept where it can be), or nothing."""
        self._look = look
        dated = look is not None and len(look.report.dates) > 1
        self.chart.setVisible(look is not None)
        for widget in (self.slider, self.date):
            widget.setVisible(dated)
        if look is None:
            self.bar.show_rows([])
            return
        report = look.report
        self.slider.blockSignals(True)
        self.slider.setRange(0, max(0, len(report.dates) - 1))
        self.slider.setPageStep(max(1, len(report.dates) // _PAGE))
        self.slider.blockSignals(False)
        if self._spans[0] is not report:
            self._spans = (report, coverage(report))
        self.bar.show_rows([("", self._spans[1])] if dated else [])
        self._draw()

    def _on_slider(self, index: int) -> None:
        self.dateChanged.emit(index)
        self._draw()

    def _draw(self) -> None:
        look = self._look
        if look is None:
            return
        index = self.slider.value()
        if look.report.dates:
            self.date.setText(date_words(look.report.dates[index]))
            self.bar.show_cursor(parse_date(look.report.dates[index]))
        self.chart.show_data(look.at(index))
