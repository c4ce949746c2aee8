"""Dialog: predict with a saved model, on a dataset of the project."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtWidgets import QComboBox, QDialog, QFormLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from ...core.contracts import FreshetError, PeriodConfig, PredictJob
from ...core.contracts.jobs import DEVICES
from ...core.contracts.model_card import ModelCard, read_card
from ...core.contracts.models import FAMILIES
from ...plugin.datasets import Datasets, DatasetSummary, check_length
from ...plugin.fitting import check_gauges
from ...plugin.runs import Runs
from ..choice import Choice
from ..forms import Form, config_fields
from ..text import format_step, number, tr
from ..widgets import DateField, Fold, Notice, PathField, button, narrow, row

_MOST = 5  # gauges that are named
MORE_FIELDS = ("batch", "tile", "carry")


class PredictDialog(QDialog):
    """Shows what the model needs, matches it to the dataset, and submits a :class:`PredictJob`."""

    def __init__(self, datasets: Datasets, runs: Runs, choice: Choice, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName("freshetPredictDialog")
        self.setWindowTitle(tr("Predict with a saved model"))
        self.setMinimumWidth(420)
        self._datasets, self._runs, self._choice = datasets, runs, choice
        self._build()

    def begin(self, model: str = "") -> None:
        """Fill in the datasets of the project and, if given, a model file."""
        self.dataset.clear()
        for item in self._datasets.each():
            self.dataset.addItem(item.name, item)
        for i in range(self.dataset.count()):
            if self.dataset.itemData(i).path == self._choice.dataset:
                self.dataset.setCurrentIndex(i)
        if model:
            self.model.set_path(model)
        self._check()

    def job(self) -> PredictJob:
        """The job as it stands; raises :class:`FreshetError` with the sentence to show."""
        summary: Optional[DatasetSummary] = self.dataset.currentData()
        return PredictJob(
            model=self.model.path(),
            dataset=summary.path if summary else "",
            period=PeriodConfig(self.start.iso(), self.end.iso()),
            device=self.device.currentData(),
            title=self.title.text().strip(),
            sequence=summary.sequence if summary else "",
            **self.more.values(),
        )

    def predict(self) -> None:
        """Submit, show the run, close."""
        try:
            job = self.job()
            card = read_card(job.model)
            check_length(self.dataset.currentData(), card.window)
            check_gauges(card, self.dataset.currentData())
            run = self._runs.submit(
                "predict", job, job.title or tr("Prediction, {name}").format(name=self.dataset.currentText())
            )
        except FreshetError as error:
            self.notice.fail(error)
            return
        self._choice.set_run(str(run.path))
        self._choice.want_page("runs")
        self.accept()

    def _build(self) -> None:
        column = QVBoxLayout(self)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        column.addLayout(form)
        self.model = PathField(
            "freshetPredictModel",
            tr("Saved model"),
            "open",
            tr("Freshet models (*.safetensors ensemble.json)"),
        )
        self.about = QLabel()
        self.about.setObjectName("freshetPredictAbout")
        self.about.setWordWrap(True)
        self.dataset = narrow(QComboBox())
        self.dataset.setObjectName("freshetPredictDataset")
        self.dataset.setToolTip(tr("Dataset of this project with the variables that the model needs."))
        self.start = DateField("freshetPredictStart", tr("First date to predict"))
        self.end = DateField("freshetPredictEnd", tr("Last date to predict"))
        for field in (self.start, self.end):
            field.setPlaceholderText(tr("test period"))
        self.device = narrow(QComboBox())
        self.device.setObjectName("freshetPredictDevice")
        self.device.setToolTip(tr("Where to compute; auto takes a working GPU, else the CPU."))
        for device in DEVICES:
            self.device.addItem(device, device)
        self.title = QLineEdit()
        self.title.setObjectName("freshetPredictTitle")
        form.addRow(tr("Model"), self.model)
        form.addRow("", self.about)
        form.addRow(tr("Dataset"), self.dataset)
        form.addRow(tr("Period"), row(self.start, QLabel("–"), self.end, stretch=False))
        form.addRow(tr("Device"), self.device)
        form.addRow(tr("Title"), self.title)
        self.more = Form(config_fields(PredictJob, MORE_FIELDS), "freshetPredictMore")
        column.addWidget(Fold(tr("More"), self.more, "freshetPredictMoreFold"))
        self.notice = Notice("freshetPredictNotice")
        column.addWidget(self.notice)
        self.go = button(tr("Predict"), "freshetPredictGo", self.predict, tr("Predict in the background."))
        self.go.setDefault(True)
        close = button(tr("Close"), "freshetPredictClose", self.reject)
        column.addLayout(row(None, close, self.go, stretch=False))
        self.model.changed.connect(self._check)
        self.dataset.currentIndexChanged.connect(self._check)

    def _check(self, *_: Any) -> None:
        self.about.setText("")
        if self.dataset.count() == 0:
            self.notice.say(tr("No dataset yet: build or add one on the page Data."), "warning")
            return
        if not self.model.path():
            self.notice.say(
                tr(
                    "Choose a saved model file (.safetensors), or the ensemble.json of an ensemble; every training "
                    "writes one into its run folder."
                )
            )
            return
        try:
            card = read_card(self.model.path())
            self.about.setText(card_words(card))
            check_length(self.dataset.currentData(), card.window)
            others = check_gauges(card, self.dataset.currentData())
        except FreshetError as error:
            self.notice.fail(error)
            return
        problems = [*mismatches(card, self.dataset.currentData()), *([others] if others else [])]
        self.notice.say("\n".join(problems), "warning")


def card_words(card: ModelCard) -> str:
    """What a model is and what it needs, in a few lines."""
    labels = {item.name: item.label for item in FAMILIES}
    lines = [
        tr("{family}: {target}, {lead} steps ahead, from the last {window} steps of {step}").format(
            family=labels.get(card.family, card.family),
            target=target_words(card),
            lead=f"{card.lead}"
            if card.leads == 1
            else tr("{first} to {last}").format(first=card.lead, last=card.lead + card.leads - 1),
            window=card.window,
            step=format_step(card.step_seconds),
        ),
        tr("Needs: ") + ", ".join(f"{item.name} ({item.units})" for item in (*card.inputs, *card.static)),
    ]
    if card.hidden_share:
        lines[0] = tr("{family}: fills what is missing of {target}, from {window} steps of {step}").format(
            family=labels.get(card.family, card.family),
            target=target_words(card),
            window=card.window,
            step=format_step(card.step_seconds),
        )
    if card.ahead:
        known = ", ".join(f"{item.name} ({item.units})" for item in card.ahead)
        lines.append(tr("Known ahead, for the predicted steps too: {names}").format(names=known))
    if card.run_through:
        lines.append(tr("Runs through the dates in one pass that carries its memory on."))
    return "\n".join(lines)


def target_words(card: ModelCard) -> str:
    """'maps of Soil moisture (-)', 'Discharge (m3/s) and Evaporation (mm/d) at 2 gauges (Cochem, Trier)'."""
    names = [f"{item.label or item.name} ({item.units})" for item in card.targets]
    told = tr("{first} and {last}").format(first=", ".join(names[:-1]), last=names[-1]) if names[1:] else names[0]
    if not card.gauges:
        return tr("maps of {targets}").format(targets=told)
    listed = ", ".join(card.gauges[:_MOST]) + (", ..." if len(card.gauges) > _MOST else "")
    where = tr("1 gauge") if len(card.gauges) == 1 else tr("{count} gauges").format(count=len(card.gauges))
    return tr("{targets} at {where} ({gauges})").format(targets=told, where=where, gauges=listed)


def mismatches(card: ModelCard, summary: DatasetSummary) -> list[str]:
    """Sentences on what the dataset lacks, or holds beyond what the model has seen."""
    held = {item.name: item for item in summary.variables}
    found = []
    for need in {item.name: item for item in (*card.inputs, *card.static, *card.ahead)}.values():
        have = held.get(need.name)
        if have is None:
            found.append(tr("The dataset has no variable '{name}', which the model needs.").format(name=need.name))
        elif need.maximum > need.minimum and have.maximum > have.minimum:
            slack = 0.1 * (need.maximum - need.minimum)
            if have.maximum > need.maximum + slack or have.minimum < need.minimum - slack:
                found.append(
                    tr(
                        "{name} goes from {low} to {high} {units} here; the model has seen {seen_low} to {seen_high}."
                    ).format(
                        name=need.name,
                        low=number(have.minimum),
                        high=number(have.maximum),
                        units=need.units,
                        seen_low=number(need.minimum),
                        seen_high=number(need.maximum),
                    )
                )
    if abs(card.step_seconds - summary.step_seconds) > 1:
        found.append(
            tr("The model was trained on steps of {model}, the dataset has steps of {data}.").format(
                model=format_step(card.step_seconds), data=format_step(summary.step_seconds)
            )
        )
    return found
