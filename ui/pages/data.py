"""Page Data: the datasets of this project, what each holds, and the way to a new one."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import QgsProject
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

from ...core.contracts.errors import FreshetError
from ...plugin.datasets import Datasets, DatasetSummary
from ...plugin.layers import add_temporal_series, make_layer
from ...plugin.raster_probe import netcdf_uri
from ...plugin.runs import Runs
from ...plugin.styling import artifact_for
from ..choice import Choice
from ..dialogs.new_dataset import NewDatasetDialog
from ..rows import Rows
from ..series import crs_from
from ..text import date_words, format_step, number, percent, tr, value_range
from ..widgets import Notice, button, heading, narrow, row
from .page import Page

_HEADS = ("Variable", "Role", "Range", "Missing")


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
        self._build()
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
            self._dialog = NewDatasetDialog(self._runs, self._iface, self.window())
            self._dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            self._dialog.destroyed.connect(self._forget_dialog)
        self._dialog.show()
        self._dialog.raise_()
        return self._dialog

    def release(self) -> None:
        """Close the dialog."""
        if self._dialog is not None:
            self._dialog.close()
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
        for widget in (self._details, self._facts, self.table, self.variable, self.map_button):
            widget.setVisible(summary is not None)
        self.remove_button.setEnabled(bool(key))
        if summary is None:
            return
        self._details.setText(summary.name)
        self._facts.setText(facts_of(summary))
        self.table.setRowCount(len(summary.variables))
        for i, item in enumerate(summary.variables):
            cells = (
                item.name,
                item.role,
                f"{value_range(item.minimum, item.maximum)} {item.units if item.units != '-' else ''}".strip(),
                percent(item.missing_share),
            )
            for j, text in enumerate(cells):
                cell = QTableWidgetItem(text)
                cell.setToolTip(f"{item.label or item.name}: {text}")
                self.table.setItem(i, j, cell)
        before = self.variable.currentData()
        self.variable.clear()
        for item in summary.variables:
            self.variable.addItem(f"{item.label or item.name} ({item.units})", item.name)
        self.variable.setCurrentIndex(max(0, self.variable.findData(before)))

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
        summary = self._summaries[self.list.key()]
        item = summary.variable(self.variable.currentData())
        title = f"{summary.name}: {item.label or item.name}"
        try:
            if item.static:
                artifact = artifact_for(
                    item.quantity, title, item.units, item.minimum, item.maximum, (), summary.step_seconds
                )
                QgsProject.instance().addMapLayer(make_layer(netcdf_uri(summary.path, item.name), artifact))
            else:
                add_temporal_series(
                    summary.path, iface=self._iface, temporal=self._temporal, layer=item.name, title=title
                )
        except FreshetError as error:
            self.notice.fail(error)
            return
        self.notice.clear_text()

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
    if summary.gaps:
        lines.append(tr("{count} gaps in time, kept as gaps").format(count=len(summary.gaps)))
    return "\n".join(lines)


def _crs_name(text: str) -> str:
    crs = crs_from(text)
    return (crs.authid() or crs.description()) if crs.isValid() else tr("own CRS")


def _second_line(summary: DatasetSummary) -> str:
    step = format_step(summary.step_seconds)
    names = ", ".join(item.name for item in summary.variables)
    cells = f"{summary.grid.get('columns')} x {summary.grid.get('rows')}"
    return f"{summary.start[:10]} .. {summary.end[:10]}, {step}, {cells}\n{names}"


def _table() -> QTableWidget:
    table = QTableWidget(0, len(_HEADS))
    table.setObjectName("freshetDataTable")
    table.setHorizontalHeaderLabels([tr(head) for head in _HEADS])
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
