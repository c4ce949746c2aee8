"""What does its memory know? A variable that the model was never trained on, looked for in its states."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtWidgets import QComboBox, QLineEdit, QVBoxLayout, QWidget

from ...core.contracts import ConfigError, DataError, ProbeJob, RunFolder
from ...core.contracts.question_checks import check_states
from ..forms import Form, config_fields
from ..text import tr
from ..widgets import narrow, refill
from .context import Asked, WhyContext
from .period_choice import PeriodChoice
from .probe_answer import ProbeAnswer
from .question_panel import QuestionPanel

MORE = ("ridge", "shuffles", "dates", "seed", "batch")


class ProbePanel(QuestionPanel):
    """A variable of the dataset, the layers to look in, dates to fit and to judge on."""

    verb = "probe"
    name = "Probe"

    def __init__(self, context: WhyContext, parent: Optional[QWidget] = None) -> None:
        super().__init__(context, parent)
        self.layers_text = tr("Show what the probe reads")
        self.variable = narrow(QComboBox())
        self.variable.setObjectName(f"{self.prefix}Variable")
        self.layers = QLineEdit()
        self.layers.setObjectName(f"{self.prefix}Layers")
        self.layers.setPlaceholderText(tr("all that have states"))
        self.layers.setMinimumWidth(60)
        self.fit = PeriodChoice(context, f"{self.prefix}Fit", tr("to fit on"), tr("training"))
        self.judge = PeriodChoice(context, f"{self.prefix}Judge", tr("to judge on"), tr("test period"))
        inner = QWidget()
        part = QVBoxLayout(inner)
        part.setContentsMargins(0, 0, 0, 0)
        self.form = Form(config_fields(ProbeJob, MORE), f"{self.prefix}Form")
        part.addWidget(self.form)
        self.add_row(
            tr("Variable"),
            self.variable,
            tr("A variable of the dataset that varies in time; best one that the model neither reads nor predicts."),
        )
        self.add_row(
            tr("Layers"),
            self.layers,
            tr("Names of layers with commas between them, such as encoder.0; empty takes all that have states."),
        )
        self.add_row(tr("Fitted on"), self.fit)
        self.add_row(tr("Judged on"), self.judge)
        self.add_fold(tr("Penalty, control, dates"), inner)
        self._answer = ProbeAnswer(self.prefix)
        self.variable.currentIndexChanged.connect(lambda *_: self.changed.emit())
        self.layers.textChanged.connect(lambda *_: self.changed.emit())
        for part_ in (self.fit, self.judge, self.form):
            part_.changed.connect(lambda *_: self.changed.emit())
        self.follow()

    @classmethod
    def title(cls) -> str:
        return tr("What does its memory know?")

    def button_text(self) -> str:
        return tr("Probe its memory")

    def button_tip(self) -> str:
        return tr("Fits a linear regression from the model's states to the variable, and judges it on other dates.")

    def job(self) -> ProbeJob:
        name = self.variable.currentData()
        if not name:
            raise ConfigError(
                tr("No variable is chosen to probe for"), remedy=tr("Choose a dataset with a variable in time")
            )
        fit, judge = self.fit.period(), self.judge.period()
        if any((fit.start, fit.end)) and (fit.start, fit.end) == (judge.start, judge.end):
            raise ConfigError(
                tr("The probe would be judged on the dates that it was fitted on"),
                expected=tr("two periods that lie apart"),
                remedy=tr("Change one of the periods, or leave both empty"),
            )
        layers = tuple(part.strip() for part in self.layers.text().replace(";", ",").split(",") if part.strip())
        return ProbeJob(
            variable=name, layers=layers, fit_period=fit, period=judge, **self.form.values(), **self.common()
        )

    def run_title(self, job: Any) -> str:
        return tr("Probe for {variable}").format(variable=job.variable)

    def check(self, asked: Asked) -> None:
        """A model with states, a dataset with a variable in time."""
        if asked.card is not None:
            check_states(asked.card.family)
        super().check(asked)
        if asked.summary is not None and all(item.static for item in asked.summary.variables):
            raise DataError(
                tr("The dataset '{name}' has no variable that varies in time").format(name=asked.summary.name),
                remedy=tr("Choose another dataset"),
            )

    def follow(self) -> None:
        """The variables of the dataset, those that are new to the model first."""
        asked = self.context.asked()
        refill(self.variable, variables_of(asked))

    def answer(self) -> QWidget:
        return self._answer

    def show_result(self, run: Optional[RunFolder]) -> None:
        self._answer.show_result(run)
        if self._answer.layers:
            self.layers.setPlaceholderText(tr("all: {layers}").format(layers=", ".join(self._answer.layers)))
        else:
            self.layers.setPlaceholderText(tr("all that have states"))


def variables_of(asked: Asked) -> list[tuple[str, str]]:
    """Words and name of what can be probed for; what the model reads or predicts comes last and says so."""
    if asked.summary is None:
        return []
    card = asked.card
    read = {item.name for item in (*card.inputs, *card.ahead)} if card else set()
    predicted = {item.name for item in card.targets} if card else set()
    entries = []
    for item in asked.summary.variables:
        if item.static:
            continue
        known = tr("the model reads it") if item.name in read else ""
        known = tr("the model predicts it") if item.name in predicted else known
        words = f"{item.label or item.name} ({item.units})" + (f": {known}" if known else "")
        entries.append((bool(known), words, item.name))
    return [(words, name) for _, words, name in sorted(entries, key=lambda entry: entry[0])]
