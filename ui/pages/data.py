"""Page Data: the datasets of this project, what each holds, and the way to a new one."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from ...core.contracts import FreshetError, RunFolder, RunState
from ...plugin.dataset_layers import add_dataset, add_variable
from ...plugin.datasets import Datasets, DatasetSummary, VariableSummary, read_summary
from ...plugin.runs import Runs
from ..choice import Choice
from ..dialogs.new_dataset import NewDatasetDialog
from ..rows import Rows
from ..series import crs_from
from ..text import date_words, format_step, number, percent, tr, value_range
from ..widgets import Notice, button, heading, narrow, row
from .page import Page

_HEADS = ("Variable", "Role", "Range", "Missing", "Filled", "Error")
_TIPS = (
    "",
    "input, target, or a static map",
    "Least and greatest value",
    "Share of cells and steps without a value",
    "Share of cells and steps that were filled and not observed",
    "Root mean square error that the way onto the grid brings",
)
# How gaps were filled, and how values came onto the grid, as words.
_FILLS = {
    "linear": "linear in time",
    "space": "inverse distance in space",
    "climatology": "mean of the time of the year",
}
_WAYS = {"idw": "inverse distance", "everywhere": "one value everywhere", "gauges": "series at gauges"}
ALL = "<all>"


class DataPage(Page):
    """Lists the datasets, opens the dialog for a new one, puts a variable on the map."""

    name = "data"

    def __init__(
        self,
        datasets: Datasets,
        runs: Runs,
        choice: Choice,
        iface: Any = None,
        temporal: Any = None,
        parent: Optional[QWidget] = None,
    ) -> None:
        super().__init__(parent)
        self._datasets, self._runs, self._choice, self._iface, self._temporal = datasets, runs, choice, iface, temporal
        self._dialog: Optional[NewDatasetDialog] = None
        self._to_show: set[str] = set()
        self._build()
        runs.ended.connect(self._on_ended)
        datasets.changed.connect(self.refresh)
        choice.datasetChanged.connect(self._follow)
        self.refresh()

    def refresh(self) -> None:
        """Read the datasets of the project anew."""
        summaries = {item.path: item for item in self._datasets.list()}
        broken = self._datasets.broken()
        rows = [{"key": item.path, "name": item.name, "text": _second_line(item)} for item in summaries.values()]
        rows += [
            {"key": path, "name": path, "text": sentence, "colour": "#b2182b"} for path, sentence in broken.items()
        ]
        self._summaries = summaries
        self.list.fill(rows)
        self.list.setVisible(bool(rows))
        empty = tr("No dataset yet: choose New dataset ... to lay layers and files on one grid and one clock.")
        self.empty.say("" if rows else empty)
        if rows and not self.list.key():
            self.list.choose(self._choice.dataset or rows[0]["key"])
        self._show(self.list.key())

    def new_dataset(self) -> NewDatasetDialog:
        """Open the dialog for a new dataset; it does not block QGIS."""
        if self._dialog is None:
            self._dialog = NewDatasetDialog(self._runs, self._iface, self.window(), self._temporal)
            self._dialog.submitted.connect(self._on_submitted)
            self._dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            self._dialog.destroyed.connect(self._forget_dialog)
        self._dialog.show()
        self._dialog.raise_()
        return self._dialog

    def release(self) -> None:
        """Close the dialog."""
        if self._dialog is not None:
            self._dialog.close()
        self._runs.ended.disconnect(self._on_ended)
        self._datasets.changed.disconnect(self.refresh)

    def _build(self) -> None:
        self.new_button = button(
            tr("New dataset ..."),
            "freshetDataNew",
            self.new_dataset,
            tr("Choose layers and files and build a dataset."),
        )
        self.add_button = button(
            tr("Add ..."), "freshetDataAdd", self._add_existing, tr("Add a dataset that was built before (.nc).")
        )
        self.remove_button = button(
            tr("Remove"), "freshetDataRemove", self._remove, tr("Take the dataset out of this project; its file stays.")
        )
        self.body.addLayout(row(self.new_button, self.add_button, self.remove_button))
        self.notice = Notice("freshetDataNotice")
        self.body.addWidget(self.notice)
        self.list = Rows("freshetDataList")
        self.list.chosen.connect(self._pick)
        self.body.addWidget(self.list, 1)
        self._details = heading("", "freshetDataDetails")
        self.body.addWidget(self._details)
        self._facts = QLabel()
        self._facts.setObjectName("freshetDataFacts")
        self._facts.setWordWrap(True)
        self.body.addWidget(self._facts)
        self.table = _table()
        self.body.addWidget(self.table, 2)
        self.variable = narrow(QComboBox())
        self.variable.setObjectName("freshetDataVariable")
        self.variable.setToolTip(tr("The variable to put on the map."))
        self.map_button = button(
            tr("Show on the map"),
            "freshetDataShow",
            self._to_map,
            tr("Add the maps of this variable as one layer with time."),
        )
        self.sequence = narrow(QComboBox())
        self.sequence.setObjectName("freshetDataSequence")
        self.sequence.setToolTip(tr("The sequence (event, simulation) to put on the map."))
        self.body.addWidget(self.sequence)
        self.body.addLayout(row(self.variable, self.map_button, stretch=False))
        self.close_column()

    def _follow(self, path: str) -> None:
        self.list.choose(path)

    def _pick(self, key: str) -> None:
        if key in self._summaries:
            self._choice.set_dataset(key)
        self._show(key)

    def _show(self, key: str) -> None:
        summary = self._summaries.get(key)
        for widget in (self._details, self._facts, self.table, self.variable, self.map_button, self.sequence):
            widget.setVisible(summary is not None)
        self.remove_button.setEnabled(bool(key))
        if summary is None:
            return
        self._details.setText(summary.name)
        self._facts.setText(facts_of(summary))
        self.table.setRowCount(len(summary.variables))
        for i, item in enumerate(summary.variables):
            for j, (text, tip) in enumerate(_cells(item)):
                cell = QTableWidgetItem(text)
                cell.setToolTip(f"{item.label or item.name}: {tip or text}")
                self.table.setItem(i, j, cell)
        before, sequence = self.variable.currentData(), self.sequence.currentData()
        self.variable.clear()
        for item in summary.variables:
            if not item.gauges:
                self.variable.addItem(f"{item.label or item.name} ({item.units})", item.name)
        self.variable.addItem(tr("all variables, as a group"), ALL)
        self.variable.setCurrentIndex(max(0, self.variable.findData(before)))
        self.sequence.clear()
        for name in summary.sequences:
            self.sequence.addItem(name, name)
        self.sequence.setCurrentIndex(max(0, self.sequence.findData(sequence)))
        self.sequence.setVisible(bool(summary.sequences))

    def _add_existing(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, tr("Add a dataset"), "", tr("Freshet datasets (*.nc)"))
        if path:
            self.add_path(path)

    def add_path(self, path: str) -> None:
        """Add a dataset that exists; what is wrong with it is said in the page."""
        try:
            summary = self._datasets.add(path)
        except FreshetError as error:
            self.notice.fail(error)
            return
        self.notice.clear_text()
        self.refresh()
        self._choice.set_dataset(summary.path)

    def _remove(self) -> None:
        self._datasets.remove(self.list.key())
        self.refresh()
        if self._choice.dataset not in self._summaries:
            self._choice.set_dataset(next(iter(self._summaries), ""))

    def _to_map(self) -> None:
        summary, wanted = self._summaries[self.list.key()], self.variable.currentData()
        more = {"iface": self._iface, "temporal": self._temporal, "sequence": self.sequence.currentData() or ""}
        try:
            if wanted == ALL:
                add_dataset(summary, **more)
            else:
                add_variable(summary, summary.variable(wanted), **more)
        except FreshetError as error:
            self.notice.fail(error)
            return
        self.notice.clear_text()

    def _on_submitted(self, run: str, to_map: bool) -> None:
        if to_map:
            self._to_show.add(run)

    def _on_ended(self, path: str, state: RunState) -> None:
        """A dataset that shall be on the map when it is built comes there, also where its dialog is closed by now."""
        if path not in self._to_show:
            return
        self._to_show.discard(path)
        if state is not RunState.DONE:
            return
        try:
            run = RunFolder(path)
            for artifact in run.artifacts():
                if artifact.kind == "dataset":
                    summary = read_summary(str(run.resolve(artifact)))
                    add_dataset(summary, iface=self._iface, temporal=self._temporal)
        except FreshetError as error:
            self.notice.fail(error)

    def _forget_dialog(self, *_: Any) -> None:
        self._dialog = None


def facts_of(summary: DatasetSummary) -> str:
    """Period, step, grid and gaps in words."""
    grid = summary.grid
    crs = str(grid.get("crs", ""))
    shown = crs if len(crs) < 24 else _crs_name(crs)
    cell = f"{number(grid.get('cell_x'))} x {number(grid.get('cell_y'))}"
    lines = [
        tr("{start} to {end}, step {step}, {steps} maps").format(
            start=date_words(summary.start),
            end=date_words(summary.end),
            step=format_step(summary.step_seconds),
            steps=summary.steps,
        ),
        tr("{columns} x {rows} cells of {cell}, {crs}").format(
            columns=grid.get("columns"), rows=grid.get("rows"), cell=cell, crs=shown
        ),
    ]
    if summary.sequences:
        shown = ", ".join(summary.sequences[:3]) + (", ..." if len(summary.sequences) > 3 else "")
        lines.append(tr("{count} sequences: {names}").format(count=len(summary.sequences), names=shown))
    if summary.gauges:
        lines.append(tr("1 gauge") if summary.gauges == 1 else tr("{count} gauges").format(count=summary.gauges))
    if summary.gaps:
        lines.append(tr("{count} gaps in time, kept as gaps").format(count=len(summary.gaps)))
    return "\n".join(lines)


def _cells(item: VariableSummary) -> list[tuple[str, str]]:
    """Text and help of each cell of a variable's row."""
    unit = item.units if item.units != "-" else ""
    fill = tr(_FILLS.get(item.fill, item.fill)) if item.filled_share else ""
    way = tr(_WAYS.get(item.resampling, item.resampling))
    error = "-" if item.error is None else f"{number(item.error, 3)} {unit}".strip()
    known = tr("{error}, by {way}").format(error=error, way=way) if item.error is not None and way else way
    return [
        (item.name, tr("series at gauges") if item.gauges else ""),
        (item.role, ""),
        (f"{value_range(item.minimum, item.maximum)} {unit}".strip(), ""),
        (percent(item.missing_share), ""),
        (percent(item.filled_share), f"{percent(item.filled_share)} {fill}".strip()),
        (error, known),
    ]


def _crs_name(text: str) -> str:
    crs = crs_from(text)
    return (crs.authid() or crs.description()) if crs.isValid() else tr("own CRS")


def _second_line(summary: DatasetSummary) -> str:
    step = format_step(summary.step_seconds)
    names = ", ".join(item.name for item in summary.variables)
    cells = f"{summary.grid.get('columns')} x {summary.grid.get('rows')}"
    if summary.sequences:
        cells += tr(", {count} sequences").format(count=len(summary.sequences))
    return f"{summary.start[:10]} .. {summary.end[:10]}, {step}, {cells}\n{names}"


def _table() -> QTableWidget:
    table = QTableWidget(0, len(_HEADS))
    table.setObjectName("freshetDataTable")
    table.setHorizontalHeaderLabels([tr(head) for head in _HEADS])
    for i, tip in enumerate(_TIPS):
        table.horizontalHeaderItem(i).setToolTip(tr(tip))
    table.verticalHeader().setVisible(False)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
    header = table.horizontalHeader()
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setStretchLastSection(True)
    header.setMinimumSectionSize(36)
    table.setMinimumSize(80, 110)
    table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
    return table
