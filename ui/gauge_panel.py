"""The gauges of a run with their scores; a click on one asks for its hydrograph."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ..core.contracts import FreshetError, RunFolder
from ..plugin.gauge_results import GaugeResult, gauge_results
from .hydrographs import lead_words
from .text import number, tr
from .widgets import Notice, narrow, row

_LINES = 6
# Field, heading, tip; the unit of the target stands behind the last.
_COLUMNS = (
    ("nse", "NSE", "Nash-Sutcliffe efficiency of the model at this gauge: 1 is perfect, 0 no better than the mean."),
    ("nse_persistence", "pers.", "NSE of persistence: the last observed value goes on."),
    ("nse_climatology", "clim.", "NSE of climatology: the mean of the time of the year."),
    ("kge", "KGE", "Kling-Gupta efficiency."),
    ("rmse", "RMSE", "Root mean square error"),
)


class GaugePanel(QWidget):
    """Lists the gauges of a run; hidden where it has no series at gauges. ``picked`` tells the result and the gauge,
    ``leadChanged`` that another lead is wanted.
    """

    picked = pyqtSignal(object, str)
    leadChanged = pyqtSignal()

    def __init__(self, name: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.result = narrow(QComboBox())
        self.result.setObjectName(f"{name}Result")
        self.result.setToolTip(tr("Which target of the run, or which basin."))
        self.lead = narrow(QComboBox())
        self.lead.setObjectName(f"{name}Lead")
        self.lead.setToolTip(tr("How many steps ahead the drawn prediction looks; the scores are of the first lead."))
        self._lead_label = QLabel(tr("Lead"))
        self._lead_label.setBuddy(self.lead)
        self.table = QTableWidget(0, 1 + len(_COLUMNS))
        self.table.setObjectName(f"{name}Table")
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.verticalHeader().setVisible(False)
        self.table.horizontalHeader().setMinimumSectionSize(36)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.setMinimumWidth(80)
        self.notice = Notice(f"{name}Notice")
        for part in (self.result, self.table, self.notice):
            column.addWidget(part)
        column.addLayout(row(self._lead_label, self.lead, stretch=False))
        self._results: list[GaugeResult] = []
        self.result.currentIndexChanged.connect(self._fill)
        self.lead.currentIndexChanged.connect(lambda *_: self.leadChanged.emit())
        self.table.itemSelectionChanged.connect(self._tell)
        self.setVisible(False)

    @property
    def steps_ahead(self) -> Optional[int]:
        """The chosen lead, or None where there is nothing to choose."""
        return self.lead.currentData()

    def show_run(self, run: Optional[RunFolder]) -> None:
        """List the gauges of ``run``; nothing for None or a run of maps."""
        try:
            self._results = gauge_results(run) if run is not None else []
        except FreshetError:
            self._results = []
        self.setVisible(bool(self._results))
        self.result.blockSignals(True)
        self.result.clear()
        for item in self._results:
            words = f"{item.label} ({item.units})"
            self.result.addItem(words if not item.part else f"{words}, {item.part}")
        self.result.blockSignals(False)
        self.result.setVisible(len(self._results) > 1)
        self._fill()

    def mark(self, result: GaugeResult, gauge: str) -> None:
        """Show which gauge was clicked on the map, without asking for it again."""
        if result not in self._results:
            return
        self.result.setCurrentIndex(self._results.index(result))
        self.table.blockSignals(True)
        for number_ in range(self.table.rowCount()):
            if self.table.item(number_, 0).text() == gauge:
                self.table.selectRow(number_)
        self.table.blockSignals(False)

    def _chosen(self) -> Optional[GaugeResult]:
        index = self.result.currentIndex()
        return self._results[index] if 0 <= index < len(self._results) else None

    def _fill(self, *_: Any) -> None:
        result, gauges, leads = self._chosen(), [], []
        self.notice.clear_text()
        if result is not None:
            try:
                gauges, leads = result.gauges(), result.leads()
            except FreshetError as error:
                self.notice.fail(error)
        self.table.blockSignals(True)
        self.table.setRowCount(len(gauges))
        self._head(result)
        scores = result.scores() if result is not None else {}
        for line, gauge in enumerate(gauges):
            self.table.setItem(line, 0, QTableWidgetItem(gauge))
            for place, (field, _, _) in enumerate(_COLUMNS, start=1):
                item = QTableWidgetItem(number(scores.get(gauge, {}).get(field), 3))
                item.setTextAlignment(int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter))
                self.table.setItem(line, place, item)
        self.table.clearSelection()
        self.table.blockSignals(False)
        height = self.table.horizontalHeader().sizeHint().height() + 4
        lines = min(max(1, len(gauges)), _LINES)
        self.table.setFixedHeight(height + lines * self.table.verticalHeader().defaultSectionSize())
        if gauges and not scores:
            self.notice.say(tr("No scores for each gauge: it was not observed, or the gauges have no known place."))
        self._fill_leads(leads)

    def _fill_leads(self, leads: list[int]) -> None:
        before = self.lead.currentData()
        self.lead.blockSignals(True)
        self.lead.clear()
        for lead in leads:
            self.lead.addItem(lead_words(lead), lead)
        self.lead.setCurrentIndex(max(0, self.lead.findData(before)))
        self.lead.blockSignals(False)
        self.lead.setVisible(len(leads) > 1)
        self._lead_label.setVisible(len(leads) > 1)

    def _head(self, result: Optional[GaugeResult]) -> None:
        self.table.setHorizontalHeaderItem(0, QTableWidgetItem(tr("Gauge")))
        for place, (field, heading, tip) in enumerate(_COLUMNS, start=1):
            item = QTableWidgetItem(tr(heading))
            unit = f" ({result.units})." if field == "rmse" and result is not None else ""
            item.setToolTip(tr(tip) + unit)
            self.table.setHorizontalHeaderItem(place, item)

    def _tell(self) -> None:
        items, result = self.table.selectedItems(), self._chosen()
        if items and result is not None:
            self.picked.emit(result, self.table.item(items[0].row(), 0).text())
