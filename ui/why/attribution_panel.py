"""Why this prediction? Which variable, where and how many steps back drove it, by a click on the map."""

from __future__ import annotations

from typing import Optional

from qgis.core import QgsProject
from qgis.PyQt.QtWidgets import QCheckBox, QFormLayout, QWidget

from ...core.contracts import Artifact, Event, EventKind, ExplainJob, FreshetError, RunFolder, RunState
from ...core.contracts.config import rule_of
from ...core.contracts.ensemble_file import is_ensemble
from ...core.contracts.explain_checks import check_explainable
from ...core.contracts.explain_methods import METHOD_WORDS
from ...core.contracts.models import family
from ...plugin.layers import DRAFT_KIND, remove_draft, show_draft
from ..picks import Picks
from ..text import date_words, tr
from ..widgets import Fold, Notice, button, row
from .attribution_answer import AttributionAnswer
from .context import WhyContext
from .date_choice import DateChoice
from .earlier import remove_layers
from .method_choice import MethodChoice
from .panel import Panel
from .place_choice import PlaceChoice
from .subject import trained_models


class AttributionPanel(Panel):
    """Builds an :class:`ExplainJob`. While the map tool is on, each click asks at once, and its heatmaps take the place
    of those of the click before.
    """

    verb = "explain"
    name = "Attribution"
    stays = True

    def __init__(self, context: WhyContext, parent: Optional[QWidget] = None) -> None:
        super().__init__(context, parent)
        self._answer = AttributionAnswer()
        self._by_click = False  # the next question comes from a click
        self._cost_only = False
        self._clicked: set[str] = set()  # paths of runs that a click asked for
        self._on_map: list[str] = []  # of them those whose layers were added
        self._methods: dict[str, str] = {}  # of the runs that were asked for here
        self._build()
        self._connect()
        self.follow()

    @classmethod
    def title(cls) -> str:
        """The question."""
        return tr("Why this prediction?")

    @property
    def layers_text(self) -> str:
        """The button that adds the maps."""
        return tr("Show heatmaps")

    def button_text(self) -> str:
        """The button that asks."""
        return tr("Explain")

    def button_tip(self) -> str:
        """Its help."""
        return tr("Find which variable, where and how many steps back drove it.")

    def job(self) -> ExplainJob:
        """The explanation as asked for."""
        common = self.common()
        date = self.date.iso()
        fields = {**common, **self.place.values(), **self.method.values()}
        return ExplainJob(**fields, date=date, members=self.members.ticked(), estimate=self._cost_only)

    def run_title(self, job: ExplainJob) -> str:
        """'Why, 1993-07-04, cell 4215200, 2750000'."""
        text = tr("What it costs, {date}, {place}") if job.estimate else tr("Why, {date}, {place}")
        return text.format(place=self.place.words(), date=date_words(job.date))

    def refusal(self) -> Optional[FreshetError]:
        """A method that needs gradients, and a model that has none."""
        card = self.context.asked().card
        if card is None:
            return None
        try:
            check_explainable(card, self.method.method.name, at_gauge=self.place.kind() in ("gauge", "basin"))
        except FreshetError as error:
            return error
        return None

    def follow(self) -> None:
        """Another model or dataset: other gauges, a date of its test period; the worker loads them while the tool is
        on.
        """
        self.place.follow()
        self.date.propose()
        known = trained_models(self.context.runs)
        others = [(path, title, False) for title, path in known if not is_ensemble(path)]
        self.members.fill([entry for entry in others if entry[0] != self.context.asked().model])
        self._members_fold.setVisible(self.members.count() > 0)
        self._follow_refusal()
        if self.place.tool_is_on():
            self.warm()

    # -- what the page hands over

    def on_submitted(self, run: RunFolder, job: ExplainJob) -> None:
        """Remember the method, and what came from a click."""
        self._methods[str(run.path)] = job.method
        if self._by_click:
            self._clicked.add(str(run.path))
        self._by_click = self._cost_only = False
        self.cost.clear_text()

    def on_events(self, run: RunFolder, events: list[Event]) -> None:
        """The cost, and pictures while the answer is refined."""
        drafts, so_far = [], None
        for event in events:
            if event.kind is EventKind.MESSAGE and "cost" in event.values:
                self.cost.say(str(event.values.get("text", "")))
            elif event.kind is EventKind.PROGRESS and isinstance(event.values.get("so_far"), dict):
                so_far = event.values["so_far"]
            elif event.kind is EventKind.ARTIFACT and event.values.get("kind") == DRAFT_KIND:
                drafts.append(Artifact.from_dict(event.values))
            elif event.kind is EventKind.ARTIFACT and str(event.values.get("path")) == "results/attribution.json":
                self._answer.show_run(run)  # charts and report are still being drawn
                so_far, drafts = None, []
        over = any(event.kind is EventKind.DONE for event in events)
        if so_far is not None and not over:
            apart = METHOD_WORDS[self._methods[str(run.path)]].variables
            self._answer.show_draft(so_far, self.context.asked().card, self.context.target_card(), apart)
        if drafts and not over and str(run.path) in self._clicked:
            self._clear_map(run)
            show_draft(run, drafts, QgsProject.instance(), self.context.iface, self.context.temporal)
            self._on_map.append(str(run.path))

    def on_ended(self, run: RunFolder, state: RunState) -> None:
        """A draft on the map goes with a question that was given up."""
        if state is not RunState.DONE:
            remove_draft(run, QgsProject.instance())

    def answered(self, run: RunFolder) -> bool:
        """A run that only told the cost is no answer."""
        return (run.results / "attribution.json").is_file()

    def answer(self) -> QWidget:
        """Sentences and charts."""
        return self._answer

    def show_result(self, run: Optional[RunFolder]) -> None:
        """Show the answer of a run."""
        self._answer.show_run(run)

    def layers_at_once(self, run: RunFolder) -> bool:
        """What a click asked for is shown on the map; the heatmaps of the click before give way."""
        if str(run.path) not in self._clicked or not _has_maps(run):
            return False
        self._clear_map(run)
        self._on_map.append(str(run.path))
        return True

    def leave(self) -> None:
        """Give the map back."""
        self.place.leave_map()

    def release(self) -> None:
        """Give the map back, take marks away."""
        self.place.release()

    # -- building

    def _build(self) -> None:
        self.place = PlaceChoice(self.context, "freshetWhy")
        self.each_click = QCheckBox(tr("Explain at each click"))
        self.each_click.setObjectName("freshetWhyEachClick")
        self.each_click.setToolTip(
            tr("While the map tool is on, each click asks at once and shows its heatmaps; the model stays loaded.")
        )
        self.each_click.setChecked(True)
        self.keep = QCheckBox(tr("Keep earlier heatmaps"))
        self.keep.setObjectName("freshetWhyKeep")
        self.keep.setToolTip(tr("Those of the click before stay on the map; else the new ones take their place."))
        self.date = DateChoice(self.context, "freshetWhyDate", tr("Date of the prediction to explain"))
        self.method = MethodChoice("freshetWhyMethod")
        self.cost_button = button(
            tr("What would it cost?"),
            "freshetWhyCost",
            self._ask_cost,
            tr("Time one pass of the model and count how many the method takes; nothing else is computed."),
        )
        self.cost = Notice("freshetWhyCostWords")
        rule = rule_of(ExplainJob, "members")
        self.members = Picks("freshetWhyMembers", tr(rule.help))
        self._members_fold = Fold(tr("Mean of several models"), self.members, "freshetWhyMembersFold")
        self.other_method = button(
            tr("Take steps away instead"),
            "freshetWhyOtherMethod",
            lambda: self.method.choose("occlusion-time"),
            tr("Occlusion in time needs no gradients."),
        )
        self.other_question = button(
            tr("Which inputs matter?"),
            "freshetWhyOtherQuestion",
            lambda: self.questionWanted.emit("Importance"),
            tr("Permutation importance works for every model, also for those without gradients."),
        )
        self._instead = QWidget()
        self._instead.setObjectName("freshetWhyInstead")
        self._instead.setLayout(row(self.other_method, self.other_question))
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(tr("Date"), self.date)
        self.column.addWidget(self._instead)
        self.column.addWidget(self.place)
        self.column.addWidget(self.each_click)
        self.column.addWidget(self.keep)
        self.column.addLayout(form)
        self.column.addWidget(self.method)
        self.column.addWidget(self._members_fold)
        self.column.addLayout(row(self.cost_button))
        self.column.addWidget(self.cost)
        for box in (self.each_click, self.keep):
            box.setVisible(self.context.iface is not None)

    def _connect(self) -> None:
        self.place.changed.connect(self._on_changed)
        self.place.picked.connect(self._on_picked)
        self.place.toolSwitched.connect(self._on_tool)
        self.each_click.toggled.connect(self._on_each_click)
        self.date.changed.connect(self.changed)
        self.method.changed.connect(self._on_changed)
        self.members.itemChanged.connect(lambda *_: self._on_changed())
        self._on_each_click(self.each_click.isChecked())

    # -- click and see

    def _on_each_click(self, on: bool) -> None:
        self.place.keeps_tool = on
        self.keep.setEnabled(on)

    def _on_tool(self, on: bool) -> None:
        if on:
            self.warm()

    def _on_picked(self) -> None:
        if self.each_click.isChecked() and self.place.tool_is_on():
            self._by_click = True
            self.wanted.emit()
            self._by_click = False  # where it could not be asked

    def _on_changed(self) -> None:
        self.cost.clear_text()
        self._follow_refusal()
        self.changed.emit()

    def _ask_cost(self) -> None:
        self._cost_only = True
        self.wanted.emit()
        self._cost_only = False

    def _follow_refusal(self) -> None:
        card = self.context.asked().card
        blind = card is not None and not family(card.family).differentiable
        self._instead.setVisible(blind and self.method.method.gradients)

    def _clear_map(self, run: RunFolder) -> None:
        """The layers of earlier clicks go, unless they are to stay."""
        path = str(run.path)
        if not self.keep.isChecked():
            for earlier in self._on_map:
                if earlier != path:
                    remove_layers(earlier)
        self._on_map = [item for item in self._on_map if item != path and self.keep.isChecked()]


def _has_maps(run: RunFolder) -> bool:
    return any(item.kind == "attribution" for item in run.artifacts())
