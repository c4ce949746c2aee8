"""Page Why: questions to a model, one at a time, about what drove its predictions."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import QgsProject
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import QComboBox, QFormLayout, QVBoxLayout, QWidget

from ...core.contracts import Event, EventKind, FreshetError, RunFolder, RunState
from ...plugin.datasets import Datasets
from ...plugin.layers import add_run_results
from ...plugin.runs import Runs
from ..choice import Choice
from ..text import tr
from ..why.attribution_panel import AttributionPanel
from ..why.context import WhyContext
from ..why.drivers_panel import DriversPanel
from ..why.importance_panel import ImportancePanel
from ..why.panel import Panel
from ..why.probe_panel import ProbePanel
from ..why.shares_panel import SharesPanel
from ..why.storm_panel import StormPanel
from ..why.subject import Subject
from ..why.what_if_panel import WhatIfPanel
from ..widgets import Notice, button, heading, narrow, refill, row
from .page import Page

PANELS: tuple[type[Panel], ...] = (
    AttributionPanel,
    DriversPanel,
    ImportancePanel,
    SharesPanel,
    ProbePanel,
    WhatIfPanel,
    StormPanel,
)


class WhyPage(Page):
    """The chosen question's panel below what all share; submits its job and shows what came of it."""

    name = "why"

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
        self.context = WhyContext(datasets, runs, choice, iface, temporal, self)
        self.panels: dict[str, Panel] = {}
        self._waiting: dict[str, Panel] = {}  # path of a run that was asked for here, and who asked
        self._given_up: set[str] = set()
        self._shown: dict[str, str] = {}  # name of a panel and the path of the answer that it shows
        self._build_question()
        self._build_answer()
        self._connect()
        self.choose(PANELS[0].name)
        self.refresh()

    # -- what the page does

    def choose(self, name: str) -> Panel:
        """Bring a question to the front by the name of its panel; it is made when it is first wanted."""
        index = self.question.findData(name)
        if index >= 0 and index != self.question.currentIndex():
            self.question.setCurrentIndex(index)
        return self.panel

    @property
    def panel(self) -> Panel:
        """The panel of the chosen question."""
        return self._made(self.question.currentData())

    def ask(self) -> Optional[RunFolder]:
        """Submit the question as put; its answer appears below once it is there. None where it cannot be asked."""
        panel = self.panel
        try:
            refused = panel.refusal()
            if refused is not None:
                raise refused
            job = panel.job()
            run = self.context.runs.submit(panel.verb, job, panel.run_title(job), stay=panel.stays)
        except FreshetError as error:
            self.notice.fail(error)
            return None
        self._waiting[str(run.path)] = panel
        panel.on_submitted(run, job)
        self.notice.say(tr("Working ... the page Runs shows how far it is."))
        self._show_buttons()
        return run

    def ask_instead(self) -> None:
        """Give up what this panel asked and has not been answered, and ask anew."""
        self._give_up(self.panel)
        self.ask()

    def stop(self) -> None:
        """Cancel what this panel asked."""
        for path in [path for path, panel in self._waiting.items() if panel is self.panel]:
            self.context.runs.cancel(path)

    def refresh(self) -> None:
        """Follow runs and datasets."""
        self.subject.refresh()
        known = self.subject.dataset.count() > 0
        self.empty.say(
            "" if known else tr("Nothing to explain yet: train a model first, or add a dataset on the page Data.")
        )
        for widget in (self._question_part, self._panel_part, self._ask_part):
            widget.setVisible(known)
        self._list_results()
        self._follow_context()

    def release(self) -> None:
        """Give the map back, take marks away."""
        self.context.runs.changed.disconnect(self.refresh)
        self.context.runs.events.disconnect(self._on_events)
        self.context.runs.ended.disconnect(self._on_ended)
        self.context.datasets.changed.disconnect(self.refresh)
        for panel in self.panels.values():
            panel.release()

    # -- building

    def _build_question(self) -> None:
        self.question = narrow(QComboBox())
        self.question.setObjectName("freshetWhyQuestion")
        self.question.setToolTip(tr("What to ask the model."))
        for panel in PANELS:
            self.question.addItem(panel.title(), panel.name)
        self.subject = Subject(self.context)
        self._question_part = QWidget()
        column = QVBoxLayout(self._question_part)
        column.setContentsMargins(0, 0, 0, 0)
        form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(tr("Question"), self.question)
        column.addLayout(form)
        column.addWidget(self.subject)
        self._panel_part = QWidget()
        # Not a stack: that would be as high as its highest panel, and leave a gap below the others.
        self._panel_column = QVBoxLayout(self._panel_part)
        self._panel_column.setContentsMargins(0, 0, 0, 0)
        self._ask_part = QWidget()
        self.explain_button = button(tr("Ask"), "freshetWhyExplain", self.ask)
        self.stop_button = button(tr("Cancel"), "freshetWhyCancel", self.stop, tr("Stop the work on this question."))
        self._ask_part.setLayout(row(self.explain_button, self.stop_button))
        self.notice = Notice("freshetWhyNotice")
        for part in (self._question_part, self._panel_part, self.notice, self._ask_part):
            self.body.addWidget(part)

    def _build_answer(self) -> None:
        self._result_heading = heading(tr("Result"), "freshetWhyResultHeading")
        self.result = narrow(QComboBox())
        self.result.setObjectName("freshetWhyResult")
        self.result.setToolTip(tr("Answers to this question so far, the newest first."))
        self.maps_button = button(
            tr("Show layers"), "freshetWhyMaps", self.add_layers, tr("Add what the answer holds for the map.")
        )
        self.body.addWidget(self._result_heading)
        self.body.addLayout(row(self.result, self.maps_button, stretch=False))
        self._answer_part = QWidget()
        self._answer_column = QVBoxLayout(self._answer_part)
        self._answer_column.setContentsMargins(0, 0, 0, 0)
        self.body.addWidget(self._answer_part)
        self.close_column()

    def _connect(self) -> None:
        context = self.context
        context.runs.changed.connect(self.refresh)
        context.runs.events.connect(self._on_events)
        context.runs.ended.connect(self._on_ended)
        context.datasets.changed.connect(self.refresh)
        context.choice.datasetChanged.connect(self.subject.follow_dataset)
        context.changed.connect(self._follow_context)
        self.question.currentIndexChanged.connect(self._show_panel)
        self.result.currentIndexChanged.connect(self._show_result)
        self._show_panel()

    def _made(self, name: str) -> Panel:
        if name not in self.panels:
            kind = next(panel for panel in PANELS if panel.name == name)
            panel = self.panels[name] = kind(self.context)
            self._panel_column.addWidget(panel)
            self._answer_column.addWidget(panel.answer())
            panel.wanted.connect(self.ask_instead)
            panel.said.connect(self.notice.say)
            panel.changed.connect(self._on_changed)
            panel.questionWanted.connect(self.choose)
            self._order_keys(panel)
        return self.panels[name]

    def _order_keys(self, panel: Panel) -> None:
        """The key Tab goes from top to bottom, also through a panel that was made last."""
        parts = (self._question_part, panel, self._ask_part, self.result, self.maps_button, panel.answer())
        each = [widget for part in parts for widget in (part, *part.findChildren(QWidget))]
        window = self.window()  # the list that a combo box opens is a window of its own
        stops = [item for item in each if item.focusPolicy() & Qt.FocusPolicy.TabFocus and item.window() is window]
        for before, after in zip(stops, stops[1:]):
            QWidget.setTabOrder(before, after)

    # -- following

    def _show_panel(self, *_: Any) -> None:
        chosen = self.panel
        for panel in self.panels.values():
            if panel is not chosen:
                panel.leave()
            panel.setVisible(panel is chosen)
            panel.answer().setVisible(panel is chosen)
        self.explain_button.setText(chosen.button_text())
        self.explain_button.setToolTip(chosen.button_tip())
        self.maps_button.setText(chosen.layers_text)
        self.notice.clear_text()
        self._follow_context()
        self._list_results()
        self._show_buttons()

    def _follow_context(self) -> None:
        self.panel.follow()
        self._follow_panel()

    def _on_changed(self) -> None:
        if self.panel not in self._waiting.values():
            self.notice.clear_text()  # it spoke of the question before
        self._follow_panel()

    def _follow_panel(self) -> None:
        refused = self.panel.refusal() if self.context.asked().card is not None else None
        self.subject.notice.say("" if refused is None else str(refused), "error")
        self.explain_button.setText(self.panel.button_text())  # a question may be asked in two steps

    def _show_buttons(self) -> None:
        self.stop_button.setVisible(self.panel in self._waiting.values())

    def _on_events(self, path: str, batch: list[Event]) -> None:
        panel = self._waiting.get(path)
        if panel is None or path in self._given_up:
            return
        if panel is self.panel:
            self._tell_progress(batch)
        panel.on_events(RunFolder(path), batch)

    def _tell_progress(self, batch: list[Event]) -> None:
        """The cost stands in front as soon as it is known, then how far the work is."""
        for event in batch:
            text = str(event.values.get("text", ""))
            if event.kind is EventKind.MESSAGE and "cost" in event.values:
                self.notice.say(text)
            elif event.kind is EventKind.PROGRESS and text:
                share = float(event.values.get("fraction") or 0.0)
                self.notice.say(tr("{share:.0f} %: {text}").format(share=100 * share, text=text))

    def _on_ended(self, path: str, state: RunState) -> None:
        panel = self._waiting.pop(path, None)
        if panel is None:
            return
        panel.on_ended(RunFolder(path), state)
        self._show_buttons()
        if path in self._given_up:
            self._given_up.discard(path)
            return
        if panel is not self.panel:
            return  # its list of results has it when it comes to the front
        if state is RunState.DONE:
            self._show_answer(path)
            return
        if state is RunState.CANCELLED:
            self.notice.say(tr("The question was cancelled."))
        else:
            error = self.context.runs.error(path)
            self.notice.say(str(error) if error else tr("No answer came: see the page Runs."), "error")
        self._shown.pop(panel.name, None)  # a draft may stand where an answer was
        self._show_result()

    def _show_answer(self, path: str) -> None:
        run, panel = RunFolder(path), self.panel
        self.notice.clear_text()
        self._list_results()
        if not panel.answered(run):
            return
        self._shown.pop(panel.name, None)
        self.result.setCurrentIndex(max(0, self.result.findData(path)))
        self._show_result()
        if panel.layers_at_once(run):
            self.add_layers()

    def _give_up(self, panel: Panel) -> None:
        for path in [path for path, other in self._waiting.items() if other is panel]:
            self._given_up.add(path)
            self.context.runs.cancel(path)

    # -- answers

    def add_layers(self) -> None:
        """Put the layers of the chosen answer onto the map."""
        run, context = RunFolder(self.result.currentData()), self.context
        try:
            add_run_results(run, QgsProject.instance(), context.iface, context.temporal)
        except FreshetError as error:
            self.notice.fail(error)

    def _list_results(self) -> None:
        panel = self.panel
        runs = [item for item in self.context.runs.runs() if item.verb == panel.verb and item.state is RunState.DONE]
        done = [(item.title, item.path) for item in runs if panel.answered(RunFolder(item.path))]
        refill(self.result, done, self.context.choice.run)
        for widget in (self._result_heading, self.result):
            widget.setVisible(bool(done))
        self.maps_button.setVisible(bool(done and panel.layers_text))
        self._show_result()

    def _show_result(self, *_: Any) -> None:
        panel, path = self.panel, self.result.currentData() or ""
        if panel.name in self._shown and self._shown[panel.name] == path:
            return
        self._shown[panel.name] = path
        panel.show_result(RunFolder(path) if path else None)
