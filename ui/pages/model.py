"""Page Model: what to predict from what, with which model and how to train it."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtWidgets import QCheckBox, QComboBox, QFormLayout, QLabel, QLineEdit, QWidget

from ...core.contracts import FreshetError, ModelConfig, TrainingConfig, TrainJob
from ...core.contracts.config import rule_of
from ...core.contracts.dates import parse_date
from ...core.contracts.models import resolve
from ...core.contracts.variables import SCALERS
from ...plugin.datasets import Datasets, DatasetSummary
from ...plugin.runs import Runs
from ..choice import Choice
from ..cost import cost_words, seconds_of_an_epoch
from ..dialogs.predict import PredictDialog
from ..family_choice import FamilyCombo, about_words, fault_words, fit_words
from ..family_options import FamilyOptions
from ..forms import Form, config_fields
from ..further import FurtherTask, target_words
from ..periods import Periods, shares
from ..picks import Picks
from ..text import tr
from ..what_for import WhatFor
from ..widgets import Fold, Notice, button, heading, narrow, row, stacked
from .model_checks import check_against_data, field_at_fault, read_scalers, static_words
from .page import Page

SHAPE_FIELDS = ("window", "warm_up", "lead", "leads")
MEMBER_FIELDS = ("members", "bootstrap")
COMMON_TRAINING = ("epochs", "patience", "batch", "learning_rate", "seed", "loss", "device")


class ModelPage(Page):
    """Builds a :class:`TrainJob`; contradictions stand in the page as a sentence before anything runs."""

    name = "model"

    def __init__(self, datasets: Datasets, runs: Runs, choice: Choice, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self._datasets, self._runs, self._choice = datasets, runs, choice
        self._summaries: dict[str, DatasetSummary] = {}
        self._leading = ""
        self._measured: dict[str, Any] = {}
        self._past: Optional[list] = None
        self._dialog: Optional[PredictDialog] = None
        self._build_top()
        self._build_task()
        self._build_model()
        self._build_training()
        self._connect()
        self._show_family()
        self.refresh()

    # -- what the page gives

    def job(self) -> TrainJob:
        """The training as it stands on the page; raises :class:`FreshetError` with the sentence to show."""
        job = TrainJob(**self._fields())
        check_against_data(job, self._summaries)
        return job

    def _fields(self) -> dict[str, Any]:
        options = {**self.options.values(), **self.options_more.values()}
        return {
            "datasets": self.datasets.ticked(),
            "target": self.target.currentData() or "",
            "inputs": self.inputs.ticked(),
            "static": self.static.ticked(),
            "season": self.season.isChecked(),
            "split": self.periods.split(),
            "scalers": read_scalers(self.scalers.text()),
            "model": ModelConfig(self.family.family.name, options),
            "training": TrainingConfig(**self.training.values(), **self.training_more.values()),
            "title": self.title.text().strip(),
            **self.shape.values(),
            **self.members.values(),
            **self.further.values(),
            **self.what_for.values(),
        }

    def train(self) -> None:
        """Submit the training and show its run."""
        try:
            job = self.job()
            run = self._runs.submit("train", job, job.title or self._suggested_title())
        except FreshetError as error:
            self.notice.fail(error)
            return
        self.notice.clear_text()
        self._choice.set_run(str(run.path))
        self._choice.want_page("runs")

    def open_predict(self, model: str = "") -> PredictDialog:
        """Open the dialog that predicts with a saved model."""
        if self._dialog is None:
            self._dialog = PredictDialog(self._datasets, self._runs, self._choice, self.window())
        self._dialog.begin(model)
        self._dialog.show()
        self._dialog.raise_()
        return self._dialog

    def take_job(self, job: TrainJob) -> None:
        """Fill the page from a training job; datasets that the project lacks are added to it."""
        faults = []
        for path in job.datasets:
            if path not in self._summaries:
                try:
                    self._datasets.add(path)
                except FreshetError as error:
                    faults.append(str(error))
        self.datasets.tick(job.datasets)
        self._leading = next(iter(self.datasets.ticked()), "")
        self._follow_data()
        chosen, options = resolve(job.model.family, job.model.options)
        self.family.choose(chosen)
        for form in (self.options, self.options_more):
            form.set_values(options)
        self.target.setCurrentIndex(self.target.findData(job.target))
        self.inputs.tick(job.inputs)
        self.static.tick(job.static)
        self.season.setChecked(job.season)
        self.shape.set_values(vars(job))
        self.further.set_values(job)
        self.what_for.set_values(job)
        for form in (self.training, self.training_more):
            form.set_values(vars(job.training))
        self.members.set_values(vars(job))
        self.scalers.setText(", ".join(f"{name}: {kind}" for name, kind in job.scalers.items()))
        self.periods.set_split(job.split)
        self.title.setText(job.title)
        if faults:
            self.notice.say(" ".join(faults), "error")

    def refresh(self) -> None:
        """Follow the datasets of the project."""
        self._summaries = {item.path: item for item in self._datasets.list()}
        self.datasets.fill(
            [(item.path, item.name, item.path == self._choice.dataset) for item in self._summaries.values()]
        )
        if self._summaries and not self.datasets.ticked():
            self.datasets.tick((self._choice.dataset or next(iter(self._summaries)),))
        known = bool(self._summaries)
        self.empty.say(
            "" if known else tr("No dataset yet: build one on the page Data, or predict with a saved model.")
        )
        for part in self._parts:
            part.setVisible(known)
        self._follow_data()

    def release(self) -> None:
        """Let go of the datasets and the dialog."""
        self._datasets.changed.disconnect(self.refresh)
        self._choice.jobWanted.disconnect(self.take_job)
        self._runs.changed.disconnect(self._forget_past)
        if self._dialog is not None:
            self._dialog.close()
            self._dialog.deleteLater()

    # -- building

    def _build_top(self) -> None:
        self.load_button = button(
            tr("Load a saved model ..."),
            "freshetModelLoad",
            self.open_predict,
            tr("Take a saved model file and predict with it."),
        )
        self.body.addLayout(row(self.load_button))
        self.what_for = WhatFor("freshetModelUse")
        self.body.addWidget(self.what_for)

    def _build_task(self) -> None:
        self._task = QWidget()
        form = QFormLayout(self._task)
        form.setContentsMargins(0, 0, 0, 0)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.datasets = Picks("freshetModelDatasets", tr("Datasets to train on; several basins give one model."))
        self.target = narrow(QComboBox())
        self.target.setObjectName("freshetModelTarget")
        self.target.setToolTip(tr("The variable to predict."))
        self.inputs = Picks("freshetModelInputs", tr("Variables whose last steps the model watches."))
        self.static = Picks("freshetModelStatic", tr("Maps that do not change in time."))
        self.season = QCheckBox(tr("day of the year"))
        self.season.setObjectName("freshetModelSeason")
        self.season.setToolTip(tr(rule_of(TrainJob, "season").help))
        self.season.setChecked(bool(TrainJob.season))
        for text, widget in (
            (tr("Datasets"), self.datasets),
            (tr("Predict"), self.target),
            (tr("From"), self.inputs),
            (tr("Static maps"), self.static),
            (tr("Season"), self.season),
        ):
            form.addRow(text, widget)
        self.shape = Form(config_fields(TrainJob, SHAPE_FIELDS), "freshetModelShape")
        self.shape.editors["warm_up"].setPlaceholderText(tr("chosen by itself"))
        self.periods = Periods("freshetModelPeriods")
        self._period_heading = heading(tr("Periods"), "freshetModelPeriodsHeading")
        self.further = FurtherTask("freshetModelFurther")
        self._further_fold = Fold(tr("More about the task"), self.further, "freshetModelFurtherFold")
        for widget in (self._task, self.shape, self._further_fold, self._period_heading, self.periods):
            self.body.addWidget(widget)

    def _build_model(self) -> None:
        self._model_heading = heading(tr("Model"), "freshetModelModelHeading")
        self.family = FamilyCombo("freshetModelFamily")
        self.fit = Notice("freshetModelFit")
        self.about = QLabel()
        self.about.setObjectName("freshetModelAbout")
        self.about.setWordWrap(True)
        self.about.setOpenExternalLinks(True)
        self._options_place = FamilyOptions()
        for widget in (self._model_heading, self.family, self.fit, self.about, self._options_place):
            self.body.addWidget(widget)

    def _build_training(self) -> None:
        self._training_heading = heading(tr("Training"), "freshetModelTrainingHeading")
        fields = config_fields(TrainingConfig)
        common = [item for item in fields if item.name in COMMON_TRAINING]
        self.training = Form(common, "freshetModelTraining")
        self.training_more = Form([item for item in fields if item not in common], "freshetModelTrainingMore")
        self.scalers = QLineEdit()
        self.scalers.setObjectName("freshetModelScalers")
        self.scalers.setPlaceholderText(tr("as the catalogue says"))
        self.scalers.setToolTip(
            tr("Scaler of a variable, such as pre: log1p, soil: one-hot. Known are {names}.").format(
                names=", ".join(SCALERS)
            )
        )
        scalers_label = QLabel(tr("Scalers"))
        scalers_label.setBuddy(self.scalers)
        self.training_more.layout().addRow(scalers_label, self.scalers)
        self.members = Form(config_fields(TrainJob, MEMBER_FIELDS), "freshetModelMembers")
        more = stacked(self.training_more, self.members)
        self._training_fold = Fold(tr("More about training"), more, "freshetModelTrainingFold")
        self.title = QLineEdit()
        self.title.setObjectName("freshetModelTitle")
        self.title.setToolTip(tr("A name for the run."))
        self.cost = QLabel()
        self.cost.setObjectName("freshetModelCost")
        self.cost.setWordWrap(True)
        self.notice = Notice("freshetModelNotice")
        self.train_button = button(
            tr("Train"), "freshetModelTrain", self.train, tr("Train in the background; QGIS stays free.")
        )
        name = QLabel(tr("Title"))
        name.setBuddy(self.title)
        self._title_row = QWidget()
        self._title_row.setLayout(row(name, self.title, self.train_button, stretch=False))
        training = (self._training_heading, self.training, self._training_fold, self.cost)
        for widget in (*training, self.notice, self._title_row):
            self.body.addWidget(widget)
        self.close_column()
        self._parts = (
            self.what_for, self._task, self.shape, self._further_fold, self._period_heading, self.periods,
            self._model_heading, self.family, self.about, self._options_place, *training, self._title_row,
        )  # fmt: skip

    def _connect(self) -> None:
        self._datasets.changed.connect(self.refresh)
        self._choice.datasetChanged.connect(self._follow_choice)
        self._choice.jobWanted.connect(self.take_job)
        self._runs.changed.connect(self._forget_past)
        self.datasets.itemChanged.connect(self._follow_data)
        self.family.currentIndexChanged.connect(self._show_family)
        self.target.currentIndexChanged.connect(self._follow_target)
        self.what_for.chosen.connect(self._take_use)
        for signal in (
            self.what_for.changed,
            self._options_place.changed, self.further.changed, self.inputs.itemChanged, self.static.itemChanged,
            self.season.toggled, self.shape.changed, self.periods.changed, self.training.changed,
            self.training_more.changed, self.members.changed, self.scalers.textChanged,
        ):  # fmt: skip
            signal.connect(self._check)

    # -- following

    def _follow_choice(self, path: str) -> None:
        if path in self._summaries and path not in self.datasets.ticked():
            self.datasets.tick((path,))

    def _follow_data(self, *_: Any) -> None:
        first = next((self._summaries[path] for path in self.datasets.ticked() if path in self._summaries), None)
        if first is None:
            self._check()
            return
        moving = [item for item in first.variables if not (item.static or item.gauges)]
        before = self.target.currentData()
        self.target.blockSignals(True)
        self.target.clear()
        for item in sorted(first.variables, key=lambda item: item.role != "target"):
            if not item.static:
                self.target.addItem(target_words(item, first), item.name)
        self.target.setCurrentIndex(max(0, self.target.findData(before)))
        self.target.blockSignals(False)
        self.inputs.fill(
            [(v.name, f"{v.label or v.name} ({v.units})", v.role == "input") for v in first.variables if v in moving]
        )
        self.static.fill([(v.name, static_words(first.path, v), True) for v in first.variables if v.static])
        if first.path != self._leading:
            self._leading = first.path
            several = len(self.datasets.ticked()) > 1 or bool(first.sequences)
            dates = (
                {} if several or first.steps < 3 else shares(parse_date(first.start), first.steps, first.step_seconds)
            )
            self.periods.set_dates(dates)
        ticked = [self._summaries[path] for path in self.datasets.ticked() if path in self._summaries]
        self.periods.set_sequences([name for item in ticked for name in item.sequences])
        self._follow_target()

    def _take_use(self) -> None:
        first = next((self._summaries[path] for path in self.datasets.ticked() if path in self._summaries), None)
        self.what_for.fill(self, first)
        self._check()

    def _follow_target(self, *_: Any) -> None:
        """Offer what fits target and family, and say what does not."""
        first = next((self._summaries[path] for path in self.datasets.ticked() if path in self._summaries), None)
        if first is not None and self.target.currentData():
            target, found = first.variable(self.target.currentData()), self.family.family
            self.family.follow(target.gauges)
            label = target.label or target.name
            fault = fault_words(found, label, target.gauges)
            self.fit.say(fault or fit_words(label, target.gauges), "error" if fault else "plain")
            self.further.follow(first.variables, target.name, found)
            self._further_fold.setVisible(not self.further.empty)
            self.training_more.show_row("sampling", found.uses_truth)
        self._check()

    def _show_family(self, *_: Any) -> None:
        found = self.family.family
        self.about.setToolTip(found.paper)
        self.options, self.options_more = self._options_place.show_family(found)
        if self.family.preset is not None:
            chosen = resolve(self.family.preset.name)[1]
            self.options.set_values(chosen)
            self.options_more.set_values(chosen)
        self._follow_target()

    # -- checking

    def _check(self, *_: Any) -> None:
        self.training_more.follow({**self.training.chosen(), **self.training_more.chosen()})
        if not self._summaries:
            for notice in (self.notice, self.fit):
                notice.clear_text()
            return
        try:
            job = self.job()
        except FreshetError as error:
            self.notice.fail(error)
            self.cost.setText("")
            self._tell_beside(str(error))
            return
        self.notice.clear_text()
        self._tell_beside("")
        seconds = seconds_of_an_epoch(job, self._past_runs(), self._measured)
        self.cost.setText(cost_words(job, self._summaries, seconds))

    def _tell_beside(self, sentence: str) -> None:
        """Put the sentence also beside the field that is at fault, where it is one that can be told."""
        try:
            fields = self._fields()
            field = field_at_fault(fields) if sentence else ""
        except FreshetError:
            fields, field = {}, ""
        self.about.setText(about_words(self.family.family, self.family.preset, fields and fields["model"].options))
        for form in (self.shape, self.training, self.training_more, self.members, self.further):
            form.tell(field, sentence)
        if self.further.has(field):
            self._further_fold.toggle.setChecked(True)
        if field in self.training_more.editors or field in MEMBER_FIELDS:
            self._training_fold.toggle.setChecked(True)

    def _past_runs(self) -> list:
        """The runs, read once after each change: checking at every keystroke must stay cheap."""
        if self._past is None:
            self._past = self._runs.runs()
        return self._past

    def _forget_past(self) -> None:
        self._past = None

    def _suggested_title(self) -> str:
        first = self._summaries[self.datasets.ticked()[0]]
        return f"{self.target.currentText().split(' (')[0]}, {first.name}"
