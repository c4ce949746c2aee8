"""Page Runs: what runs, what ran, how it goes and what came of it."""

from __future__ import annotations

import os
from typing import Any, Optional

from qgis.PyQt.QtCore import QTimer, QUrl
from qgis.PyQt.QtGui import QDesktopServices
from qgis.PyQt.QtWidgets import (
    QLabel,
    QMenu,
    QPlainTextEdit,
    QProgressBar,
    QSizePolicy,
    QSpacerItem,
    QVBoxLayout,
    QWidget,
)

from ...core.contracts import Event, EventKind, EventTail, FreshetError, RunFolder, RunState
from ...plugin.runs import Runs, RunSummary
from ..charts import LossChart, LossData
from ..choice import Choice
from ..live_map import FILE_NAME, LiveChart, read_live
from ..rows import Rows
from ..text import number, tr
from ..widgets import Notice, button, heading, row
from .page import Page

VERBS = {
    "prepare": "dataset",
    "terrain": "terrain maps",
    "train": "training",
    "finetune": "fine-tuning",
    "predict": "prediction",
    "compare": "comparison",
    "evaluate": "evaluation",
    "explain": "explanation",
    "importance": "importance of inputs",
    "probe": "probe",
    "what-if": "what-if",
    "drivers": "dominant drivers",
    "shares": "shares of contribution",
    "tune": "search",
    "import-model": "imported model",
    "export-model": "exported model",
    "cache": "cache",
    "doctor": "engine check",
}
_COLOURS = {RunState.FAILED: "#b2182b", RunState.LOST: "#b2182b", RunState.CANCELLED: "#777777"}
_REFRESH_MS = 250
WITH_MAPS = ("predicted", "filled", "observed", "delta", "score-map", "attribution")
WITH_GAUGES = ("series", "gauges")


class RunsPage(Page):
    """Lists the runs, newest first, and follows the selected one while it works."""

    name = "runs"

    def __init__(self, runs: Runs, choice: Choice, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self._runs, self._choice = runs, choice
        self._summaries: dict[str, RunSummary] = {}
        self._tail: Optional[EventTail] = None
        self._loss = LossData()
        self._kinds: set[str] = set()
        self._live_stamp: Optional[tuple] = None
        self._stale: set[str] = set()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_REFRESH_MS)
        self._timer.timeout.connect(self._catch_up)
        self._build()
        runs.events.connect(self._on_events)
        runs.ended.connect(self._on_ended)
        runs.changed.connect(self.refresh)
        choice.runChanged.connect(self._follow)
        self.refresh()

    def refresh(self) -> None:
        """Read the list of runs anew."""
        self._summaries = {item.path: item for item in self._runs.runs()}
        self._fill()
        empty = tr("No run yet: build a dataset on the page Data, then train on the page Model.")
        self.empty.say("" if self._summaries else empty)
        self.list.setVisible(bool(self._summaries))
        if self._summaries and not self.list.key():
            self.list.choose(self._choice.run or next(iter(self._summaries)))
        self._show_state()

    def release(self) -> None:
        """Let go of the runs."""
        self._timer.stop()
        for signal, slot in (
            (self._runs.events, self._on_events),
            (self._runs.ended, self._on_ended),
            (self._runs.changed, self.refresh),
        ):
            signal.disconnect(slot)

    # -- building

    def _build(self) -> None:
        self.list = Rows("freshetRunsList")
        self.list.chosen.connect(self._pick)
        self.list.setMinimumHeight(150)
        self.body.addWidget(self.list, 1)
        self._details = QWidget()
        self._details.setObjectName("freshetRunsDetails")
        self.body.addWidget(self._details, 2)
        self.close_column()
        column = QVBoxLayout(self._details)
        column.setContentsMargins(0, 0, 0, 0)
        self.title = heading("", "freshetRunsTitle")
        self.progress = QProgressBar()
        self.progress.setObjectName("freshetRunsProgress")
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(8)
        self.state = QLabel()
        self.state.setObjectName("freshetRunsState")
        self.state.setWordWrap(True)
        self.notice = Notice("freshetRunsNotice")
        self.chart = LossChart("freshetRunsLoss", 190)
        self.live = LiveChart("freshetRunsLive", 170)
        self.live.setToolTip(tr("One date of the validation period after each epoch, in the units of training."))
        self.log = QPlainTextEdit()
        self.log.setObjectName("freshetRunsLog")
        self.log.setReadOnly(True)
        self.log.setMinimumSize(80, 80)
        self.log.setMaximumBlockCount(2000)
        self.log.setMaximumHeight(130)
        for widget in (self.title, self.progress, self.state, self.notice):
            column.addWidget(widget)
        column.addLayout(self._buttons())
        column.addLayout(self._more_buttons())
        column.addWidget(self.chart, 2)
        column.addWidget(self.live, 2)
        column.addWidget(self.log, 1)
        # What is left over goes below, not between the lines, while there is no chart.
        column.addItem(QSpacerItem(0, 0, QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Expanding))

    def _buttons(self) -> Any:
        self.cancel_button = button(
            tr("Cancel"), "freshetRunsCancel", self._cancel, tr("Ask this run to stop; what is finished stays.")
        )
        self.maps_button = button(
            tr("Maps"), "freshetRunsMaps", self._to_maps, tr("Put the maps of this run into the project.")
        )
        self.why_button = button(
            tr("Why"), "freshetRunsWhy", lambda: self._choice.want_page("why"), tr("Show what drove a prediction.")
        )
        self.report_button = button(
            tr("Report"), "freshetRunsReport", self._open_report, tr("Open the report of this run.")
        )
        self.reports = QMenu(self)
        self.reports.setObjectName("freshetRunsReports")
        self.folder_button = button(
            tr("Folder"), "freshetRunsFolder", self._open_folder, tr("Open the folder of this run.")
        )
        return row(self.cancel_button, self.maps_button, self.why_button, self.report_button, self.folder_button)

    def _more_buttons(self) -> Any:
        self.resume_button = button(
            tr("Resume"), "freshetRunsResume", self._resume, tr("Go on in the same folder after the last whole epoch.")
        )
        self.duplicate_button = button(
            tr("Duplicate and change"),
            "freshetRunsDuplicate",
            self._duplicate,
            tr("Open the page Model filled with what this run was asked."),
        )
        return row(self.resume_button, self.duplicate_button)

    # -- the list

    def _fill(self) -> None:
        self.list.fill([_entry(item) for item in self._summaries.values() if item.verb != "doctor"])

    def _follow(self, path: str) -> None:
        if path and path not in self._summaries:
            self.refresh()
        self.list.choose(path)

    def _pick(self, path: str) -> None:
        self._choice.set_run(path)
        self._tail = EventTail(RunFolder(path).events_file) if path else None
        self._loss, self._kinds, self._live_stamp = LossData(), set(), None
        self.log.clear()
        self.notice.clear_text()
        self.chart.setVisible(False)
        self.live.setVisible(False)
        self._read()
        self._show_state()

    # -- the selected run

    def _on_events(self, path: str, batch: list) -> None:
        self._stale.add(path)
        if not self._timer.isActive():
            self._timer.start()

    def _on_ended(self, path: str, state: RunState) -> None:
        self._stale.add(path)
        self._catch_up()

    def _catch_up(self) -> None:
        for path in self._stale:
            try:
                self._summaries[path] = self._runs.summary(path)
            except FreshetError:
                self._summaries.pop(path, None)
        self._fill()
        if self.list.key() in self._stale:
            self._read()
            self._show_state()
        self._stale.clear()

    def _read(self) -> None:
        events = self._tail.read() if self._tail else []
        for event in events:
            self._take(event)
        if self._loss.epochs:
            self.chart.setVisible(True)
            self.chart.show_data(self._loss)
            self._show_live()

    def _show_live(self) -> None:
        """Read the map of the last epoch where it changed."""
        path = RunFolder(self.list.key()).checkpoints / FILE_NAME
        try:
            status = path.stat()
        except OSError:
            return
        stamp = (status.st_mtime_ns, status.st_size)
        maps = read_live(path) if stamp != self._live_stamp else None
        if maps is not None:
            self._live_stamp = stamp
            self.live.setVisible(True)
            self.live.show_data((maps, self._loss.epochs[-1]))

    def _take(self, event: Event) -> None:
        values = event.values
        if event.kind is EventKind.METRIC and "epoch" in values:
            self._loss.add(values["epoch"], values.get("train_loss"), values.get("validation_loss"))
            self._loss.loss = tr("loss (scaled)")
            self.log.appendPlainText(_epoch_words(values))
        elif event.kind is EventKind.MESSAGE:
            self.log.appendPlainText(str(values.get("text", "")))
        elif event.kind is EventKind.ARTIFACT:
            self._kinds.add(str(values.get("kind")))

    def _show_state(self) -> None:
        summary = self._summaries.get(self.list.key())
        self._details.setVisible(summary is not None)
        if summary is None:
            return
        folder = RunFolder(summary.path)
        self.title.setText(summary.title)
        running = not summary.state.final
        self.progress.setVisible(running)
        self.progress.setValue(int(1000 * summary.fraction))
        self.state.setText(state_words(summary))
        if summary.state in (RunState.FAILED, RunState.LOST):
            error = self._runs.error(summary.path)
            self.notice.say(str(error) if error else summary.text, "error")
        else:
            self.notice.clear_text()
        training = summary.verb in ("train", "finetune")
        self.resume_button.setVisible(training and not running and summary.state is not RunState.DONE)
        self.duplicate_button.setVisible(summary.verb == "train")
        self.cancel_button.setVisible(running)
        self.cancel_button.setEnabled(running and not folder.cancel_requested())
        if running and folder.cancel_requested():
            self.state.setText(tr("stopping ..."))
        self.maps_button.setVisible(bool(self._kinds & {*WITH_MAPS, *WITH_GAUGES}))
        self.why_button.setVisible(summary.verb == "explain" and summary.state is RunState.DONE)
        self.report_button.setVisible(folder.report_file.is_file() or bool(reports_of(folder)))

    # -- buttons

    def _cancel(self) -> None:
        self._runs.cancel(self.list.key())
        self._show_state()

    def _resume(self) -> None:
        try:
            self._runs.resume(self.list.key())
        except FreshetError as error:
            self.notice.fail(error)
            return
        self._show_state()

    def _duplicate(self) -> None:
        try:
            job = RunFolder(self.list.key()).job()
        except FreshetError as error:
            self.notice.fail(error)
            return
        self._choice.want_job(job)
        self._choice.want_page("model")

    def _to_maps(self) -> None:
        self._choice.set_run(self.list.key())
        self._choice.want_page("maps")

    def _open_folder(self) -> None:
        _open(self.list.key())

    def _open_report(self) -> None:
        run = RunFolder(self.list.key())
        reports = reports_of(run) or [("", str(run.report_file))]
        if len(reports) == 1:
            _open(reports[0][1])
            return
        self.reports.clear()
        for words, path in reports:
            self.reports.addAction(words).triggered.connect(lambda *_, path=path: _open(path))
        self.reports.popup(self.report_button.mapToGlobal(self.report_button.rect().bottomLeft()))


def reports_of(run: RunFolder) -> list[tuple[str, str]]:
    """Name and path of each report of a run: its own, and those of further targets and basins."""
    try:
        artifacts = run.artifacts()
    except FreshetError:
        return []
    found: dict[str, str] = {}
    for item in artifacts:
        path = run.resolve(item)
        if item.kind == "report" and path.is_file():
            own = path == run.report_file
            # The maps and series of a part lie beside its report; they say what it is of.
            folder = run.results if own else path.parent
            beside = (a for a in artifacts if a.kind in ("predicted", "series") and run.resolve(a).parent == folder)
            label = next((a.group for a in beside if a.group), path.parent.name)
            part = "" if own else f" ({path.parent.relative_to(run.results).as_posix()})"
            found[str(path)] = tr("Report: {label}").format(label=label + part)
    return [(words, path) for path, words in found.items()]


def state_words(summary: RunSummary) -> str:
    """State, what is being done, and the score beside the two simple forecasts."""
    parts = [tr(summary.state.value)]
    if summary.state is RunState.RUNNING:
        parts = [tr("running {percent} %").format(percent=int(100 * summary.fraction)), summary.text]
    score = score_words(summary)
    return ", ".join(part for part in (*parts, score) if part)


def score_words(summary: RunSummary) -> str:
    """'NSE 0.96 (persistence 0.94, climatology 0.59)', as far as it is known."""
    values = {name: part.get("nse") for name, part in summary.scores.items()}
    if values.get("model") is None:
        return ""
    others = ", ".join(
        f"{tr(n)} {number(values[n], 2)}" for n in ("persistence", "climatology") if values.get(n) is not None
    )
    return f"NSE {number(values['model'], 3)}" + (f" ({others})" if others else "")


def _entry(summary: RunSummary) -> dict:
    when = summary.created.replace("T", " ")[:16]
    line = f"{tr(VERBS.get(summary.verb, summary.verb))}, {state_words(summary)}"
    return {
        "key": summary.path,
        "name": summary.title,
        "text": f"{line}\n{when}",
        "colour": _COLOURS.get(summary.state),
        "fraction": summary.fraction if not summary.state.final else None,
        "tip": summary.text or os.path.basename(summary.path),
    }


def _epoch_words(values: dict) -> str:
    words = tr("Epoch {epoch}: training {train}, validation {validation}").format(
        epoch=values["epoch"],
        train=number(values.get("train_loss"), 3),
        validation=number(values.get("validation_loss"), 3),
    )
    if values.get("validation_nse") is not None:
        words += f", NSE {number(values['validation_nse'], 3)}"
    return words + (f", {number(values['seconds'], 3)} s" if values.get("seconds") is not None else "")


def _open(path: str) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(path))
