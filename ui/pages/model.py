"""Page Model: what to predict from what, with which model and how to train it."""

from __future__ import annotations

import re
from typing import Any, Optional

from qgis.PyQt.QtWidgets import QCheckBox, QComboBox, QFormLayout, QHBoxLayout, QLabel, QLineEdit, QWidget

from ...core.contracts import ConfigError, FreshetError, ModelConfig, TrainingConfig, TrainJob
from ...core.contracts.dates import parse_date
from ...core.contracts.models import FAMILIES, Family, family, resolve
from ...plugin.datasets import Datasets, DatasetSummary
from ...plugin.runs import Runs
from ..choice import Choice
from ..cost import parameters
from ..dialogs.predict import PredictDialog
from ..forms import Form, config_fields, family_fields
from ..periods import Periods, shares
from ..picks import Picks
from ..text import format_step, tr
from ..widgets import Fold, Notice, button, heading, narrow, row
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
            model=ModelConfig(self.family.currentData(), {**self.options.values(), **self.options_more.values()}),
            training=TrainingConfig(**self.training.values(), **self.training_more.values()),
            title=self.title.text().strip(),
            **self.shape.values(),
        )
        self._check_against_data(job)
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
        self.season.setToolTip(tr("Tell the model the day of the year, as sine and cosine."))
        self.season.setChecked(True)
        for text, widget in (
            (tr("Datasets"), self.datasets),
            (tr("Predict"), self.target),
            (tr("From"), self.inputs),
            (tr("Static maps"), self.static),
            (tr("Season"), self.season),
        ):
            form.addRow(text, widget)
        self.shape = Form(config_fields(TrainJob, SHAPE_FIELDS), "freshetModelShape")
        self.periods = Periods("freshetModelPeriods")
        self._period_heading = heading(tr("Periods"), "freshetModelPeriodsHeading")
        for widget in (self._task, self.shape, self._period_heading, self.periods):
            self.body.addWidget(widget)

    def _build_model(self) -> None:
        self._model_heading = heading(tr("Model"), "freshetModelModelHeading")
        self.family = narrow(QComboBox())
        self.family.setObjectName("freshetModelFamily")
        for item in FAMILIES:
            if item.trainable:
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
        moving = [item for item in first.variables if not item.static]
        moving.sort(key=lambda item: item.role != "target")
        before = self.target.currentData()
        self.target.blockSignals(True)
        self.target.clear()
        for item in moving:
            self.target.addItem(f"{item.label or item.name} ({item.units})", item.name)
        self.target.setCurrentIndex(max(0, self.target.findData(before)))
        self.target.blockSignals(False)
        self.inputs.fill(
            [(v.name, f"{v.label or v.name} ({v.units})", v.role == "input") for v in first.variables if not v.static]
        )
        self.static.fill([(v.name, f"{v.label or v.name} ({v.units})", True) for v in first.variables if v.static])
        if first.path != self._leading:
            self._leading = first.path
            several = len(self.datasets.ticked()) > 1
            dates = (
                {} if several or first.steps < 3 else shares(parse_date(first.start), first.steps, first.step_seconds)
            )
            self.periods.set_dates(dates)
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
        self.cost.setText(self._cost_words(job))

    def _check_against_data(self, job: TrainJob) -> None:
        for path in job.datasets:
            summary = self._summaries[path]
            names = set(summary.names())
            lacking = [name for name in (job.target, *job.inputs, *job.static) if name not in names]
            if lacking:
                raise ConfigError(
                    tr("The dataset '{name}' has no variable '{variable}'").format(
                        name=summary.name, variable=lacking[0]
                    ),
                    expected=", ".join(sorted(names)),
                    remedy=tr("Leave the variable out, or take a dataset that has it"),
                )
            needed = job.window + job.lead + job.leads
            if needed > summary.steps:
                raise ConfigError(
                    tr("The window is longer than the series of '{name}'").format(name=summary.name),
                    expected=tr("window and steps ahead below {steps} steps").format(steps=summary.steps),
                    got=tr("{needed} steps").format(needed=needed),
                    remedy=tr("Shorten the window"),
                )

    def _cost_words(self, job: TrainJob) -> str:
        name, options = resolve(job.model.family, job.model.options)
        dynamic = len(job.inputs) + (2 if job.season else 0)
        count = parameters(name, options, dynamic, len(job.static), job.leads)
        first = self._summaries[job.datasets[0]]
        back = format_step(first.step_seconds * job.window)
        looks = tr("Looks back {time} on {columns} x {rows} cells.").format(
            time=back, columns=first.grid.get("columns"), rows=first.grid.get("rows")
        )
        return (tr("{count:,} parameters. ").format(count=count) if count is not None else "") + looks

    def _suggested_title(self) -> str:
        first = self._summaries[self.datasets.ticked()[0]]
        return f"{self.target.currentText().split(' (')[0]}, {first.name}"


def short_citation(paper: str) -> str:
    """'Shi et al. (2015)' from the whole reference."""
    year = re.search(r"\(\d{4}\)", paper)
    authors = paper[: year.start()] if year else paper
    several = authors.count(",") > 1
    return f"{paper.split(',')[0]}{' et al.' if several else ''} {year.group(0) if year else ''}".strip()
