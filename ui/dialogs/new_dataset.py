"""Dialog: a new dataset from layers, files and folders. One page; what is wrong stands in it as sentences."""

from __future__ import annotations

import os
import time
from typing import Any, Optional

from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import (
    QApplication,
    QCheckBox,
    QDialog,
    QLabel,
    QProgressBar,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from ...core.contracts import ConfigError, EventKind, FreshetError, PrepareJob, RunState
from ...plugin.inspection import SourceReport
from ...plugin.mask_file import with_readable_mask
from ...plugin.runs import Runs
from ...plugin.source_report import gdal_name
from ..text import tr
from ..widgets import Notice, button, heading, row
from .basin_outline import outline
from .checks import coverage, hints, in_order, sequences_of, shared_period
from .dataset_fields import DatasetFields, SequenceFields, scrolled
from .estimate import Estimate, estimate, facts, grid_size, learn, output_hints
from .mend import MendList
from .preview import Look, forget
from .preview_panel import PreviewPanel
from .source_buttons import SourceButtons
from .source_details import SourceDetails
from .source_table import SourceTable
from .terrain_fields import TerrainFields

_SIZE = (1340, 720)


class NewDatasetDialog(QDialog):
    """Builds a :class:`PrepareJob` and submits it; the dataset joins the project when it is there.

    ``submitted`` tells the folder of the run, and whether its dataset shall be put on the map.
    """

    submitted = pyqtSignal(str, bool)

    def __init__(
        self, runs: Runs, iface: Any = None, parent: Optional[QWidget] = None, temporal: Optional[Any] = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName("freshetNewDialog")
        self.setWindowTitle(tr("New dataset"))
        self._runs, self._iface, self._temporal = runs, iface, temporal
        self._run, self._begun = "", 0.0
        self._refusals: list[str] = []
        self._estimate: Optional[Estimate] = None
        self._make_parts()
        self._lay_out()
        self._connect()
        room = QApplication.primaryScreen().availableGeometry()
        self.resize(min(_SIZE[0], room.width() - 20), min(_SIZE[1], room.height() - 40))
        self._follow()

    # -- what the dialog gives

    def job(self) -> PrepareJob:
        """The dataset as asked for; raises :class:`FreshetError` with the sentence to show."""
        if not self.name.text().strip():
            raise ConfigError(tr("The dataset has no name"), remedy=tr("Type a name for it"))
        place = self.mask.place()
        if self.mask.by_outlet and place is None:
            raise ConfigError(
                tr("The outlet of the basin is not chosen"), remedy=tr("Pick it on the map, or choose another mask")
            )
        return PrepareJob(
            name=self.name.text().strip(),
            sources=self.table.sources(),
            output=self.output.path(),
            grid=self.grid.config(),
            step_hours=self.clock.step.currentData(),
            start=self.clock.start.iso(),
            end=self.clock.end.iso(),
            mask=self.mask.path(),
            sequences=self.sequences.chosen() if self._with_sequences() else (),
            terrain=self.terrain.config(place),
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
        self._run, self._begun = str(run.path), time.monotonic()
        self.notice.clear_text()
        self.progress.setVisible(True)
        self.progress.setValue(0)
        self.build_button.setText(tr("Stop"))
        self.submitted.emit(self._run, self.to_map.isChecked())

    def done(self, result: int) -> None:
        """Closing lets a build go on; its dataset joins the project all the same."""
        self.table.release()
        self.details.release()
        self.fields.release()
        forget()
        super().done(result)

    # -- building the dialog

    def _make_parts(self) -> None:
        self.table = SourceTable()
        self.buttons = SourceButtons(self.table, self._iface, self._temporal)
        self.details = SourceDetails(self._iface)
        self.fields = DatasetFields(self._iface)
        self.clock, self.grid, self.mask = self.fields.clock, self.fields.grid, self.fields.mask
        self.name, self.output = self.fields.name, self.fields.output
        self.terrain, self.sequences = TerrainFields(), SequenceFields()
        self.looks = PreviewPanel()
        self.preview, self.slider = self.looks.chart, self.looks.slider
        self.mend, self.notice = MendList("freshetNewMend"), Notice("freshetNewNotice")
        self.tabs = QTabWidget()
        self.tabs.setObjectName("freshetNewTabs")
        self.tabs.addTab(scrolled(self.fields, "freshetNewFieldsArea"), tr("Clock, grid and name"))
        self.tabs.addTab(scrolled(self.details, "freshetNewDetailsArea"), tr("Selected variable"))
        self.tabs.addTab(scrolled(self.terrain, "freshetNewTerrainArea"), tr("Terrain"))
        self._sequences_area = scrolled(self.sequences, "freshetNewSequencesArea")

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        words = tr("Variables: add layers, files, folders of dated maps or gauges, or drag them here")
        column.addWidget(heading(words, "freshetNewHeading"))
        upper, lower = QWidget(), QSplitter(Qt.Orientation.Horizontal)
        above = QVBoxLayout(upper)
        above.setContentsMargins(0, 0, 0, 0)
        above.addWidget(self.table, 1)
        above.addWidget(self.buttons)
        lower.setObjectName("freshetNewLower")
        lower.addWidget(self.tabs)
        lower.addWidget(self.looks)
        lower.setStretchFactor(0, 3)
        lower.setStretchFactor(1, 2)
        self.split = QSplitter(Qt.Orientation.Vertical)
        self.split.setObjectName("freshetNewSplit")
        for part, share in ((upper, 3), (lower, 5), (self.mend, 2)):
            self.split.addWidget(part)
            self.split.setStretchFactor(self.split.count() - 1, share)
            self.split.setCollapsible(self.split.count() - 1, False)
        self.split.setSizes([215, 330, 95])
        lower.setSizes([760, 460])
        column.addWidget(self.split, 1)
        column.addWidget(self.notice)
        column.addLayout(self._bottom())

    def _bottom(self) -> Any:
        self.facts = QLabel()
        self.facts.setObjectName("freshetNewFacts")
        self.facts.setWordWrap(True)
        self.progress = QProgressBar()
        self.progress.setObjectName("freshetNewProgress")
        self.progress.setVisible(False)
        self.to_map = QCheckBox(tr("Add to the map"))
        self.to_map.setObjectName("freshetNewToMap")
        self.to_map.setToolTip(tr("Put the variables of the dataset on the map as one group when it is built."))
        self.close_button = button(tr("Close"), "freshetNewClose", self.reject)
        self.build_button = button(
            tr("Build"), "freshetNewBuild", self.build, tr("Build the dataset in the background.")
        )
        self.build_button.setDefault(True)
        layout = row(self.facts, self.progress, self.to_map, self.close_button, self.build_button, stretch=False)
        layout.setStretch(0, 1)
        layout.setStretch(1, 1)
        return layout

    def _connect(self) -> None:
        self.table.changed.connect(self._follow)
        self.table.refused.connect(self._refuse)
        self.table.detailsWanted.connect(self._open_details)
        self.table.itemSelectionChanged.connect(self._look)
        self.table.itemSelectionChanged.connect(self._show_details)
        self.table.looker.began.connect(self._forget_refusals)
        self.buttons.refused.connect(self._on_temporal)
        self.details.changed.connect(self._take_details)
        self.mend.picked.connect(self._go_to)
        self.mask.changed.connect(self._on_mask)
        for part in (self.fields, self.terrain, self.sequences):
            part.changed.connect(self._check)
        self._runs.events.connect(self._on_events)
        self._runs.ended.connect(self._on_ended)

    def _refuse(self, sentences: list) -> None:
        self._refusals += [text for text in sentences if text not in self._refusals]
        self._check()

    def _on_temporal(self, sentences: list) -> None:
        self._refusals = []
        self._refuse(sentences)

    def _forget_refusals(self) -> None:
        self._refusals = []

    # -- following

    def _follow(self) -> None:
        reports = self._reports()
        moving = [self.table.name(i) for i, report in enumerate(reports) if self.table.role(i) != "static"]
        targets = [name for name in moving if self.table.role(self.table.row_of(name)) == "target"]
        fixed = [self.table.name(i) for i in range(len(reports)) if self.table.role(i) == "static"]
        dated = [r for i, r in enumerate(reports) if r.dates and self.table.role(i) != "static"]
        named = {self.table.name(i): report for i, report in enumerate(reports)}
        self.fields.set_reports(named, [*targets, *(name for name in moving if name not in targets), *fixed])
        self.clock.show_period(shared_period(dated) if dated else None)
        self.clock.bars.show_rows([(self.table.name(i), coverage(r)) for i, r in enumerate(reports) if r.dates])
        inputs = [name for name in moving if name not in targets and named[name].form != "table"]
        self.terrain.set_sources(self._dems(), inputs)
        self._follow_sequences()
        if reports and not self.table.selectedIndexes():
            self.table.selectRow(0)
        self._follow_selected()
        if not reports:
            self.looks.show_look(None)
        self.buttons.temporal.setEnabled(bool(reports))
        self._check()

    def _follow_sequences(self) -> None:
        names = sequences_of(self._reports())
        self.sequences.set_names(names)
        at = self.tabs.indexOf(self._sequences_area)
        if names and at < 0:
            self.tabs.addTab(self._sequences_area, tr("Sequences"))
        elif not names and at >= 0:
            self.tabs.removeTab(at)

    def _dems(self) -> list[tuple[str, str]]:
        found = []
        for i, report in enumerate(self._reports()):
            if self.table.quantity(i) == "elevation" and report.form != "table" and not report.sequences:
                found.append((self.table.name(i), gdal_name(report.path, report.layer)))
        return found

    def _with_sequences(self) -> bool:
        return any(report.sequences for report in self._reports())

    def _reports(self) -> list[SourceReport]:
        return [entry.report for entry in self.table.entries]

    def _on_mask(self) -> None:
        if self.mask.by_outlet:
            self.terrain.choose_dem()
        self._look()

    def _check(self, *_: Any) -> None:
        roles = [(self.table.name(i), self.table.role(i), self.table.report(i)) for i in range(len(self._reports()))]
        if not roles:
            words = tr("Nothing chosen yet: choose Add layers, Add files, Add folder or Add gauges.")
            self.mend.say(words if not self.table.busy else tr("Looking into the sources ..."))
            self.facts.setText("")
            self._say("")
            return
        typed = (self.clock.start.moment(), self.clock.end.moment())
        count = len(self.sequences.chosen()) if self._with_sequences() else 1
        at = self.tabs.indexOf(self._sequences_area)
        if at >= 0:
            every = self.sequences.list.count()
            self.tabs.setTabText(at, tr("Sequences ({count} of {every})").format(count=count, every=every))
        fault = ""
        try:
            size = grid_size(self.grid.config(), self.fields.like())
            self._estimate = estimate(roles, size, typed, self.clock.step.currentData(), count)
            self.job()
        except FreshetError as error:
            fault = str(error)
        self.facts.setText(facts(self._estimate))
        self.mend.show_hints(in_order([*hints(roles, *typed), *output_hints(self._estimate, self.output.path())]))
        self._say(fault)

    def _say(self, fault: str) -> None:
        """What was refused, and what the job still lacks."""
        self.notice.say("\n".join([*self._refusals, *([fault] if fault else [])]), "error")

    # -- details and preview

    def _selected(self) -> list[int]:
        return sorted({index.row() for index in self.table.selectedIndexes()})

    def _go_to(self, variable: str) -> None:
        """Select a variable and open its details."""
        line = self.table.row_of(variable)
        if line >= 0:
            self.table.selectRow(line)
            self.table.scrollToItem(self.table.item(line, 1))
            self.tabs.setCurrentIndex(1)

    def _open_details(self, field: str) -> None:
        self.tabs.setCurrentIndex(1)
        self.details.focus_on(field)

    def _show_details(self) -> None:
        line = next(iter(self._selected()), None)
        entry = self.table.entries[line] if line is not None else None
        self.details.show_source(entry.found if entry else None, entry.more if entry else {})
        name = self.table.name(line) if line is not None else ""
        self.tabs.setTabText(1, tr("Details of {name}").format(name=name) if name else tr("Selected variable"))

    def _take_details(self) -> None:
        """What is typed holds for the selected variable once it can be read; until then the reason stands there."""
        for line in self._selected()[:1]:
            try:
                self.table.set_details(line, self.details.values())
            except FreshetError as error:
                self.notice.fail(error)
            else:
                self._look()

    def _follow_selected(self) -> None:
        """The selected source may be known better by now; what is being typed stays."""
        line = next(iter(self._selected()), None)
        if line is not None and self.details.shown is not self.table.entries[line].found:
            self.details.renew(self.table.entries[line].found)
            self._look()

    def _look(self) -> None:
        line = next(iter(self._selected()), None)
        if line is None:
            self.looks.show_look(None)
            return
        entry = self.table.entries[line]
        report, rings, outlet = entry.report, (), None
        if report.form != "table" and report.crs:
            rings = outline(self.mask.path(), report.crs)
            outlet = self._outlet_in(report)
        unit = self.table.unit(line)
        look = Look(report, 0, report.nodata, self.table.quantity(line), unit, rings, outlet)
        self.looks.show_look(look)

    def _outlet_in(self, report: SourceReport) -> Optional[tuple[float, float]]:
        try:
            place = self.mask.place()
        except FreshetError:
            return None
        model = self.fields.like()
        return place if model is not None and model.crs == report.crs else None

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
            learn(self._estimate.seconds if self._estimate else 0.0, time.monotonic() - self._begun)
            self.accept()
            return
        self._check()
        if state is RunState.CANCELLED:
            kept = os.path.exists(f"{self.output.path()}.parts")
            words = tr("Stopped; Build goes on from what is written.") if kept else tr("Stopped; nothing was written.")
            self.notice.say(words)
        else:
            error = self._runs.error(path)
            self.notice.say(str(error) if error else tr("The build failed: see the page Runs."), "error")
