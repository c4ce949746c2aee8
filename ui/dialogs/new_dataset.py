"""Dialog: a new dataset from layers, files and folders. One page; what is wrong stands in it as sentences."""

from __future__ import annotations

import os
from typing import Any, Optional

from qgis.core import QgsProject
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import (
    QDialog,
    QFileDialog,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QScrollArea,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from ...core.contracts import ConfigError, EventKind, FreshetError, PrepareJob, RunState
from ...plugin.inspection import SourceReport
from ...plugin.mask_file import with_readable_mask
from ...plugin.runs import Runs
from ...plugin.settings import data_folder
from ..text import tr
from ..widgets import Fold, Notice, PathField, button, heading, row
from .checks import coverage, facts, hints
from .grid_fields import ClockFields, GridFields, MaskField
from .layers import LayerChooser
from .preview import Preview
from .source_details import SourceDetails
from .source_table import SourceTable

_FILES = "Rasters (*.tif *.tiff *.nc *.img *.asc *.vrt *.map)"


class NewDatasetDialog(QDialog):
    """Builds a :class:`PrepareJob` and submits it; the dataset joins the project when it is there."""

    def __init__(self, runs: Runs, iface: Any = None, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName("freshetNewDialog")
        self.setWindowTitle(tr("New dataset"))
        self._runs, self._iface = runs, iface
        self._run = ""
        self._typed_output = False
        column = QVBoxLayout(self)
        column.addWidget(
            heading(tr("Variables: add layers, files or folders of dated maps, or drag them here"), "freshetNewHeading")
        )
        self.table = SourceTable()
        column.addWidget(self.table, 4)
        column.addLayout(self._source_buttons())
        self.details = SourceDetails()
        self.details_fold = Fold(tr("Details of the selected variable"), self.details, "freshetNewDetails")
        column.addWidget(self.details_fold)
        middle = QHBoxLayout()
        middle.setSpacing(14)
        for place in (self._time_fields(), self._space_fields(), self._looks()):
            middle.addWidget(place, 1)
        column.addLayout(middle, 4)
        self.mend = Notice("freshetNewMend")
        self.mend.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.notice = Notice("freshetNewNotice")
        column.addWidget(_scrolled(self.mend, "freshetNewMendArea"))
        column.addWidget(self.notice)
        column.addLayout(self._bottom())
        self._connect()
        self.resize(1240, 690)
        self._follow()

    # -- what the dialog gives

    def job(self) -> PrepareJob:
        """The dataset as asked for; raises :class:`FreshetError` with the sentence to show."""
        if not self.name.text().strip():
            raise ConfigError(tr("The dataset has no name"), remedy=tr("Type a name for it"))
        return PrepareJob(
            name=self.name.text().strip(),
            sources=self.table.sources(),
            output=self.output.path(),
            grid=self.grid.config(),
            step_hours=self.clock.step.currentData(),
            start=self.clock.start.iso(),
            end=self.clock.end.iso(),
            mask=self.mask.path(),
        )

    def build(self) -> None:
        """Submit the job; a second press asks it to stop."""
        if self._run:
            self._runs.cancel(self._run)
            return
        try:
            job = with_readable_mask(self.job())
            run = self._runs.submit("prepare", job, job.name)
        except FreshetError as error:
            self.notice.fail(error)
            return
        self._run = str(run.path)
        self.notice.clear_text()
        self.progress.setVisible(True)
        self.progress.setValue(0)
        self.build_button.setText(tr("Stop"))

    def done(self, result: int) -> None:
        """Closing lets a build go on; its dataset joins the project all the same."""
        self.table.release()
        super().done(result)

    # -- building the dialog

    def _source_buttons(self) -> Any:
        self.layers_button = button(
            tr("Add layers ..."), "freshetNewAddLayers", self.choose_layers, tr("Raster layers of this project.")
        )
        self.files_button = button(
            tr("Add files ..."), "freshetNewAddFiles", self._choose_files, tr("GeoTIFF, NetCDF and other rasters.")
        )
        self.folder_button = button(
            tr("Add folder ..."),
            "freshetNewAddFolder",
            self._choose_folder,
            tr("A folder of dated maps, or one that holds such folders."),
        )
        self.remove_button = button(
            tr("Remove"), "freshetNewRemove", self.table.remove_selected, tr("Remove the selected rows.")
        )
        self.busy = QLabel(tr("looking into the sources ..."))
        self.busy.setObjectName("freshetNewBusy")
        return row(self.layers_button, self.files_button, self.folder_button, self.remove_button, self.busy)

    def _time_fields(self) -> QWidget:
        place = QWidget()
        column = QVBoxLayout(place)
        column.setContentsMargins(0, 0, 0, 0)
        self.clock = ClockFields()
        column.addWidget(heading(tr("Clock"), "freshetNewClockHeading"))
        column.addWidget(self.clock)
        column.addStretch(1)
        return place

    def _space_fields(self) -> QWidget:
        place = QWidget()
        column = QVBoxLayout(place)
        column.setContentsMargins(0, 0, 0, 0)
        self.grid, self.mask = GridFields(), MaskField()
        self.name = QLineEdit()
        self.name.setObjectName("freshetNewName")
        self.name.setToolTip(tr("Name of the dataset, shown on every page."))
        self.output = PathField(
            "freshetNewOutput", tr("The NetCDF file to write"), "save", tr("Freshet datasets (*.nc)")
        )
        column.addWidget(heading(tr("Grid"), "freshetNewGridHeading"))
        column.addWidget(self.grid)
        form = QFormLayout()
        form.addRow(tr("Mask"), self.mask)
        form.addRow(tr("Name"), self.name)
        form.addRow(tr("Write to"), self.output)
        column.addLayout(form)
        column.addStretch(1)
        return place

    def _looks(self) -> QWidget:
        place = QWidget()
        column = QVBoxLayout(place)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(heading(tr("Preview of the selected variable"), "freshetNewPreviewHeading"))
        self.preview = Preview("freshetNewPreview", 170)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setObjectName("freshetNewDate")
        self.slider.setToolTip(tr("The date to look at."))
        self.preview.setMaximumHeight(290)
        column.addWidget(self.preview, 1)
        column.addWidget(self.slider)
        return place

    def _bottom(self) -> Any:
        self.facts = QLabel()
        self.facts.setObjectName("freshetNewFacts")
        self.progress = QProgressBar()
        self.progress.setObjectName("freshetNewProgress")
        self.progress.setVisible(False)
        self.close_button = button(tr("Close"), "freshetNewClose", self.reject)
        self.build_button = button(
            tr("Build"), "freshetNewBuild", self.build, tr("Build the dataset in the background.")
        )
        self.build_button.setDefault(True)
        layout = row(self.facts, self.progress, self.close_button, self.build_button, stretch=False)
        layout.setStretch(0, 1)
        layout.setStretch(1, 1)
        return layout

    def _connect(self) -> None:
        self.table.changed.connect(self._follow)
        self.table.refused.connect(self._refuse)
        self.table.itemSelectionChanged.connect(self._look)
        self.table.itemSelectionChanged.connect(self._show_details)
        self.details.changed.connect(self._take_details)
        self.slider.valueChanged.connect(self._look_at_date)
        for part in (self.clock, self.grid, self.mask):
            part.changed.connect(self._check)
        self.name.textChanged.connect(self._suggest_output)
        self.output.edit.textEdited.connect(self._on_output_typed)
        self.output.changed.connect(self._check)
        self._runs.events.connect(self._on_events)
        self._runs.ended.connect(self._on_ended)

    # -- sources

    def choose_layers(self) -> LayerChooser:
        """Open the chooser of the project's raster layers."""
        chooser = LayerChooser(QgsProject.instance(), self)
        chooser.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        chooser.accepted.connect(lambda: self.table.add_layers(chooser.layers()))
        chooser.open()
        return chooser

    def _choose_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, tr("Add files"), "", tr(_FILES) + ";;" + tr("All files (*)"))
        self.table.add_paths(paths)

    def _choose_folder(self) -> None:
        self.table.add_paths([QFileDialog.getExistingDirectory(self, tr("Add a folder of dated maps"))])

    def _refuse(self, sentences: list) -> None:
        self.notice.say("\n".join(sentences), "error")

    # -- following

    def _follow(self) -> None:
        self.busy.setVisible(self.table.busy)
        reports = self._reports()
        moving = [self.table.name(i) for i, report in enumerate(reports) if self.table.role(i) != "static"]
        targets = [name for name in moving if self.table.role(self._row_of(name)) == "target"]
        fixed = [self.table.name(i) for i in range(len(reports)) if self.table.role(i) == "static"]
        self.grid.set_names([*targets, *(name for name in moving if name not in targets), *fixed])
        self.clock.bars.show_rows([(self.table.name(i), coverage(r)) for i, r in enumerate(reports) if r.dates])
        if reports and not self.table.selectedIndexes():
            self.table.selectRow(0)
        if not reports:
            self.preview.setVisible(False)
        self._check()

    def _row_of(self, name: str) -> int:
        return next(i for i in range(len(self.table.entries)) if self.table.name(i) == name)

    def _reports(self) -> list[SourceReport]:
        return [entry.report for entry in self.table.entries]

    def _check(self, *_: Any) -> None:
        roles = [(self.table.name(i), self.table.role(i), report) for i, report in enumerate(self._reports())]
        typed = (self.clock.start.moment(), self.clock.end.moment())
        sentences = hints(roles, *typed)
        if not roles:
            self.mend.say(tr("Nothing chosen yet: choose Add layers, Add files or Add folder."))
            self.facts.setText("")
            return
        count = tr("To mend ({count})").format(count=len(sentences))
        self.mend.say("\n".join([count, *sentences]) if sentences else "", "warning")
        self.facts.setText(facts(roles, self.grid.like.currentData(), typed))
        try:
            self.job()
        except FreshetError as error:
            self.notice.fail(error)
        else:
            self.notice.clear_text()

    def _suggest_output(self, name: str) -> None:
        if not self._typed_output:
            safe = "".join(char if char.isalnum() or char in "-_" else "_" for char in name.strip()).lower()
            home = QgsProject.instance().homePath() or str(data_folder() / "datasets")
            self.output.set_path(os.path.join(home, f"{safe}.nc") if safe else "")
        self._check()

    def _on_output_typed(self, *_: Any) -> None:
        self._typed_output = True

    # -- details and preview

    def _selected(self) -> list[int]:
        return sorted({index.row() for index in self.table.selectedIndexes()})

    def _show_details(self) -> None:
        entry = next((self.table.entries[row] for row in self._selected()), None)
        self.details.show_source(entry.found if entry else None, entry.more if entry else {})

    def _take_details(self) -> None:
        """What is typed holds for the selected variable once it can be read; until then the reason stands there."""
        for line in self._selected()[:1]:
            try:
                self.table.set_details(line, self.details.values())
            except FreshetError as error:
                self.notice.fail(error)
            else:
                self._look()

    def _look(self) -> None:
        rows = self._selected()
        self.preview.setVisible(bool(rows))
        self.slider.setVisible(bool(rows))
        if rows:
            report = self.table.entries[rows[0]].report
            self.slider.blockSignals(True)
            self.slider.setRange(0, max(0, len(report.dates) - 1))
            self.slider.setValue(min(self.slider.value(), self.slider.maximum()))
            self.slider.setEnabled(len(report.dates) > 1)
            self.slider.blockSignals(False)
            self.preview.show_data((report, self.slider.value(), self.table.entries[rows[0]].more.get("nodata")))

    def _look_at_date(self, *_: Any) -> None:
        self._look()

    # -- the run

    def _on_events(self, path: str, batch: list) -> None:
        if path != self._run:
            return
        for event in batch:
            if event.kind is EventKind.PROGRESS:
                self.progress.setValue(int(100 * float(event.values.get("fraction") or 0.0)))
                self.progress.setFormat(f"{event.values.get('text', '')} (%p %)")

    def _on_ended(self, path: str, state: RunState) -> None:
        if path != self._run:
            return
        self._run = ""
        self.progress.setVisible(False)
        self.build_button.setText(tr("Build"))
        if state is RunState.DONE:
            self.accept()
        elif state is RunState.CANCELLED:
            self.notice.say(tr("Stopped; nothing was written."))
        else:
            error = self._runs.error(path)
            self.notice.say(str(error) if error else tr("The build failed: see the page Runs."), "error")


def _scrolled(inner: QWidget, name: str) -> QScrollArea:
    """Many sentences scroll, so that the dialog fits a small screen."""
    area = QScrollArea()
    area.setObjectName(name)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidget(inner)
    area.setFixedHeight(84)
    return area
