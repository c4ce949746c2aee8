"""Which inputs matter? What is shuffled, how often, over which dates."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtWidgets import QCheckBox, QGridLayout, QVBoxLayout, QWidget

from ...core.contracts import ConfigError, DataError, ImportanceJob, RunFolder
from ...core.contracts.question_checks import check_lags
from ..forms import Form, config_fields
from ..text import tr
from ..widgets import heading
from .context import Asked, WhyContext
from .group_rows import GroupRows
from .importance_answer import ImportanceAnswer
from .period_choice import PeriodChoice
from .question_panel import QuestionPanel

COMMON, MORE = ("repeats", "dates"), ("lags", "seed", "batch")
SEASON = "season"


class ImportancePanel(QuestionPanel):
    """Works for every model, also for those without gradients."""

    verb = "importance"
    name = "Importance"

    def __init__(self, context: WhyContext, parent: Optional[QWidget] = None) -> None:
        super().__init__(context, parent)
        self.layers_text = tr("Show the maps of loss")
        self.of = self._build_of()
        self.period = PeriodChoice(context, f"{self.prefix}Period", tr("to judge"), tr("test period"))
        self.form = Form(config_fields(ImportanceJob, COMMON), f"{self.prefix}Form")
        self.more = Form(config_fields(ImportanceJob, MORE), f"{self.prefix}More")
        self.groups = GroupRows(f"{self.prefix}Groups")
        self.add_row(tr("Period"), self.period)
        self.column.addWidget(self.form)
        inner = QWidget()
        part = QVBoxLayout(inner)
        part.setContentsMargins(0, 0, 0, 0)
        part.addWidget(self.more)
        part.addWidget(heading(tr("Groups that are shuffled together"), f"{self.prefix}GroupsHeading"))
        part.addWidget(self.groups)
        self.add_fold(tr("Groups, blocks, seed"), inner)
        self._answer = ImportanceAnswer(self.prefix)
        for part_ in (self.period, self.form, self.more, self.groups):
            part_.changed.connect(lambda *_: self.changed.emit())
        self.follow()

    @classmethod
    def title(cls) -> str:
        return tr("Which inputs matter?")

    def button_text(self) -> str:
        return tr("Shuffle and judge")

    def button_tip(self) -> str:
        return tr("Shuffles one input after the other, and measures how much worse the model gets.")

    def job(self) -> ImportanceJob:
        asked = self.context.asked()
        chosen = tuple(name for name, box in self.of.items() if box.isChecked())
        groups = self.groups.groups(names_read(asked))
        if not chosen and not groups:
            raise ConfigError(
                tr("Nothing is chosen to be shuffled"), remedy=tr("Tick what to shuffle, or name a group of variables")
            )
        more = self.more.values()
        if asked.card is not None:
            check_lags(more["lags"], asked.card.lead if asked.lead is None else asked.lead, asked.card.window)
        return ImportanceJob(
            period=self.period.period(), of=chosen, groups=groups, **self.form.values(), **more, **self.common()
        )

    def run_title(self, job: Any) -> str:
        return tr("Importance, {repeats} repeats").format(repeats=job.repeats)

    def check(self, asked: Asked) -> None:
        """Observed values of the target, against which a shuffled input can do worse."""
        super().check(asked)
        target = self.context.target_card()
        if asked.summary is None or target is None:
            return
        if target.name not in {item.name for item in asked.summary.variables}:
            raise DataError(
                tr("The dataset '{name}' has no '{target}', which the model predicts").format(
                    name=asked.summary.name, target=target.name
                ),
                expected=tr("observed values, against which a shuffled input can do worse"),
                remedy=tr("Choose a dataset with the target"),
            )

    def follow(self) -> None:
        """Static maps can be shuffled where the model has some."""
        card = self.context.asked().card
        box = self.of["static"]
        box.setEnabled(card is None or bool(card.static))
        box.setToolTip(
            tr("Each static map by itself, inside the basin, and all of them together.")
            if box.isEnabled()
            else tr("The model reads no static maps.")
        )

    def answer(self) -> QWidget:
        return self._answer

    def show_result(self, run: Optional[RunFolder]) -> None:
        self._answer.show_result(run)

    def _build_of(self) -> dict[str, QCheckBox]:
        words = {
            "variables": (tr("each input"), tr("Each input in all steps of the window.")),
            "static": (tr("static maps"), ""),
            "lags": (tr("steps back"), tr("All inputs together, in blocks of steps back.")),
            "variables by lag": (
                tr("inputs × steps"),
                tr("Each input in each block of steps back: gives a table, and takes longer."),
            ),
        }  # fmt: skip
        holder = QWidget()
        holder.setObjectName(f"{self.prefix}Of")
        grid = QGridLayout(holder)
        grid.setContentsMargins(0, 0, 0, 0)
        boxes = {}
        default = ImportanceJob(model="-", dataset="-").of
        for place, (name, (text, tip)) in enumerate(words.items()):
            box = boxes[name] = QCheckBox(text)
            box.setObjectName(f"{self.prefix}Of_{name.replace(' ', '_')}")
            box.setToolTip(tip)
            box.setChecked(name in default)
            box.toggled.connect(lambda *_: self.changed.emit())
            grid.addWidget(box, place // 2, place % 2)
        grid.setColumnStretch(1, 1)
        self.add_row(tr("Shuffle"), holder)
        return boxes


def names_read(asked: Asked) -> Optional[list[str]]:
    """What a group can hold: inputs, static maps, what is known ahead, the season; None without a model."""
    card = asked.card
    if card is None:
        return None
    names = [item.name for item in (*card.inputs, *card.static, *card.ahead)]
    return list(dict.fromkeys(names + ([SEASON] if card.season else [])))
