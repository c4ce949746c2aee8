"""Page Model: what to predict from what, with which model and how to train it."""

from __future__ import annotations

import re
from typing import Any, Optional

from qgis.PyQt.QtWidgets import QCheckBox, QComboBox, QFormLayout, QHBoxLayout, QLabel, QLineEdit, QWidget

from ...core.contracts import FreshetError, ModelConfig, TrainingConfig, TrainJob
from ...core.contracts.config import rule_of
from ...core.contracts.dates import parse_date
from ...core.contracts.models import FAMILIES, Family, family, resolve
from ...core.contracts.variables import SCALERS
from ...plugin.datasets import Datasets, DatasetSummary
from ...plugin.runs import Runs
from ..choice import Choice
from ..cost import cost_words, seconds_of_an_epoch
from ..dialogs.predict import PredictDialog
from ..forms import Form, config_fields, family_fields
from ..periods import Periods, shares
from ..picks import Picks
from ..text import tr
from ..widgets import Fold, Notice, button, heading, narrow, row
from .model_checks import check_against_data, read_scalers, static_words
from .page import Page

SHAPE_FIELDS = ("window", "warm_up", "lead", "leads")
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
        job = TrainJob(
            datasets=self.datasets.ticked(),
            target=self.target.currentData() or "",
            inputs=self.inputs.ticked(),
            static=self.static.ticked(),
            season=self.season.isChecked(),
            split=self.periods.split(),
            scalers=read_scalers(self.scalers.text()),
            model=ModelConfig(self.family.currentData(), {**self.options.values(), **self.options_more.values()}),
            training=TrainingConfig(**self.training.values(), **self.training_more.values()),
            title=self.title.text().strip(),
            **self.shape.values(),
        )
        check_against_data(job, self._summaries)
        return job

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
        self.preset.setCurrentIndex(0)
        chosen, options = resolve(job.model.family, job.model.options)
        self.family.setCurrentIndex(self.family.findData(chosen))
        for form in (self.options, self.options_more):
            form.set_values(options)
        self.target.setCurrentIndex(self.target.findData(job.target))
        self.inputs.tick(job.inputs)
        self.static.tick(job.static)
        self.season.setChecked(job.season)
        self.shape.set_values(vars(job))
        for form in (self.training, self.training_more):
            form.set_values(vars(job.training))
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
            "" if known else tr("No dataset yet: build one on the page Data, or predict with a saved model (Load ...).")
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
        self.preset = narrow(QComboBox())
        self.preset.setObjectName("freshetModelPreset")
        self.preset.setToolTip(tr("A model with options from a published work; every option can still be changed."))
        self.preset.addItem(tr("No preset"), "")
        for item in FAMILIES:
            for preset in item.presets:
                self.preset.addItem(preset.label, preset.name)
                self.preset.setItemData(self.preset.count() - 1, preset.help, 3)
        self.load_button = button(
            tr("Load ..."), "freshetModelLoad", self.open_predict, tr("Take a saved model file and predict with it.")
        )
        label = QLabel(tr("Preset"))
        label.setBuddy(self.preset)
        self.body.addLayout(row(label, self.preset, self.load_button, stretch=False))

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
        for widget in (self._task, self.shape, self._period_heading, self.periods):
            self.body.addWidget(widget)

    def _build_model(self) -> None:
        self._model_heading = heading(tr("Model"), "freshetModelModelHeading")
        self.family = narrow(QComboBox())
        self.family.setObjectName("freshetModelFamily")
        for item in FAMILIES:
            self.family.addItem(item.label, item.name)
        self.about = QLabel()
        self.about.setObjectName("freshetModelAbout")
        self.about.setWordWrap(True)
        self._options_place = QWidget()
        self._options_column = QHBoxLayout(self._options_place)
        self._options_column.setContentsMargins(0, 0, 0, 0)
        self._options_fold: Optional[Fold] = None
        for widget in (self._model_heading, self.family, self.about, self._options_place):
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
        self._training_fold = Fold(tr("More about training"), self.training_more, "freshetModelTrainingFold")
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
        for widget in (
            self._training_heading,
            self.training,
            self._training_fold,
            self.cost,
            self.notice,
            self._title_row,
        ):
            self.body.addWidget(widget)
        self.close_column()
        self._parts = (
            self._task,
            self.shape,
            self._period_heading,
            self.periods,
            self._model_heading,
            self.family,
            self.about,
            self._options_place,
            self._training_heading,
            self.training,
            self._training_fold,
            self.cost,
            self._title_row,
        )

    def _connect(self) -> None:
        self._datasets.changed.connect(self.refresh)
        self._choice.datasetChanged.connect(self._follow_choice)
        self._choice.jobWanted.connect(self.take_job)
        self._runs.changed.connect(self._forget_past)
        self.datasets.itemChanged.connect(self._follow_data)
        self.family.currentIndexChanged.connect(self._show_family)
        self.preset.currentIndexChanged.connect(self._take_preset)
        for signal in (
            self.target.currentIndexChanged,
            self.inputs.itemChanged,
            self.static.itemChanged,
            self.season.toggled,
            self.shape.changed,
            self.periods.changed,
            self.training.changed,
            self.training_more.changed,
            self.scalers.textChanged,
        ):
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
        moving.sort(key=lambda item: item.role != "target")
        before = self.target.currentData()
        self.target.blockSignals(True)
        self.target.clear()
        for item in moving:
            self.target.addItem(f"{item.label or item.name} ({item.units})", item.name)
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
        self._check()

    def _show_family(self, *_: Any) -> None:
        found: Family = family(self.family.currentData())
        self.about.setText(f"{found.summary} <a href='https://doi.org/{found.doi}'>{short_citation(found.paper)}</a>")
        self.about.setToolTip(found.paper)
        self.about.setOpenExternalLinks(True)
        if self._options_fold is not None:
            self._options_column.removeWidget(self._options_fold)
            self._options_fold.deleteLater()
        self.options = Form(family_fields(found), "freshetModelOptions", "common")
        self.options_more = Form(family_fields(found), "freshetModelOptions", "advanced")
        self.options_more.setObjectName("freshetModelOptionsMore")
        inner = QWidget()
        column = QFormLayout(inner)
        column.setContentsMargins(0, 0, 0, 0)
        column.addRow(self.options)
        column.addRow(self.options_more)
        self._options_fold = Fold(tr("Options of the model"), inner, "freshetModelOptionsFold")
        self._options_column.addWidget(self._options_fold)
        self.options.changed.connect(self._check)
        self.options_more.changed.connect(self._check)
        self._check()

    def _take_preset(self, *_: Any) -> None:
        name = self.preset.currentData()
        chosen, options = resolve(name or self.family.currentData())
        self.family.setCurrentIndex(self.family.findData(chosen))
        self.options.set_values(options)
        self.options_more.set_values(options)

    # -- checking

    def _check(self, *_: Any) -> None:
        if not self._summaries:
            self.notice.clear_text()
            return
        try:
            job = self.job()
        except FreshetError as error:
            self.notice.fail(error)
            self.cost.setText("")
            return
        self.notice.clear_text()
        seconds = seconds_of_an_epoch(job, self._past_runs(), self._measured)
        self.cost.setText(cost_words(job, self._summaries, seconds))

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


def short_citation(paper: str) -> str:
    """'Shi et al. (2015)' from the whole reference."""
    year = re.search(r"\(\d{4}\)", paper)
    authors = paper[: year.start()] if year else paper
    several = authors.count(",") > 1
    return f"{paper.split(',')[0]}{' et al.' if several else ''} {year.group(0) if year else ''}".strip()
