"""The algorithms that start from datasets and models: parameters in, job out."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingParameterRasterLayer,
)

from ...core.contracts import (
    CompareJob,
    Config,
    DataError,
    EvaluateJob,
    FinetuneJob,
    ModelConfig,
    PeriodConfig,
    PredictJob,
    SplitConfig,
    TrainingConfig,
    TrainJob,
    TuneJob,
)
from ...core.contracts.model_card import read_card
from ...core.contracts.models import model_names
from ..datasets import check_length, read_summary, sequence_of
from ..fitting import check_gauges, check_task
from .base import JobAlgorithm
from .parameters import Entry, absolute, entries, entry, finish, take_period

_SPLIT = ("validation_share", "test_share", "validation_sequences", "test_sequences")
_PERIODS = ("train", "validation", "test")
_TRAINING = tuple(entries(TrainingConfig, time_limit_minutes="TIME_LIMIT"))
_SPLITTING = (
    *entries(SplitConfig, _SPLIT),
    *(entry(SplitConfig, name, f"{name.upper()}_PERIOD", "text", default="") for name in _PERIODS),
)
_TITLE = (entry(TrainJob, "title"),)
_SCORES = ("NSE", "KGE", "RMSE")
_GAUGES = ("SERIES", "GAUGES")
_TASK = (
    "use", "target", "inputs", "static", "season", "window", "warm_up", "lead", "leads", "also", "ahead",
    "run_through", "hidden_share", "hiding", "scalers",
)  # fmt: skip
_MEMBERS = tuple(entries(TrainJob, ("members", "bootstrap")))
_SEARCH = ("trials", "sampler", "pruning", "pruning_epochs", "storage")
_PERIOD = tuple(entries(PeriodConfig))


class TrainAlgorithm(JobAlgorithm):
    """Train one model on one dataset or on several."""

    verb, title, icon_name = "train", "Train a model", "train"
    summary = "Trains one model on one prepared dataset or on several, tests it on the held-out period, and saves it."
    outputs = ("MODEL", "REPORT", "PREDICTED", "FILLED", "OBSERVED", "DELTA", "MAPS", *_GAUGES, *_SCORES)
    own = (
        entry(TrainJob, "datasets", kind="datasets"),
        *entries(TrainJob, _TASK),
        entry(ModelConfig, "family", kind="choice", choices=model_names()),
        entry(ModelConfig, "options"),
    )
    entries = (*own, *_MEMBERS, *_SPLITTING, *_TRAINING, *_TITLE)

    def job(self, values: dict[str, Any], context: QgsProcessingContext) -> TrainJob:
        """The training; the variables that it names must be in every dataset."""
        made = train_job(self.read(values, context))
        _check_variables(made)
        return made


class TuneAlgorithm(TrainAlgorithm):
    """Search for better options."""

    verb, title, icon_name = "tune", "Search for better options", "train"
    summary = "Trains with options drawn from ranges, judges each by the validation loss, and saves the best model."
    outputs = ("MODEL", "REPORT", *_SCORES)
    own = (*TrainAlgorithm.own, entry(TuneJob, "space", optional=False), *entries(TuneJob, _SEARCH))
    entries = (*own, *_SPLITTING, *_TRAINING, *_TITLE)

    def job(self, values: dict[str, Any], context: QgsProcessingContext) -> TuneJob:
        """The search around a training; its seed is that of the training."""
        fields = self.read(values, context)
        search = {name: fields.pop(name) for name in ("space", *_SEARCH)}
        search["storage"] = absolute(search["storage"])
        title, train = fields["title"], train_job(fields)
        _check_variables(train)
        return TuneJob(train=train, **search, seed=train.training.seed, title=title)


class FinetuneAlgorithm(JobAlgorithm):
    """Train a saved model further."""

    verb, title, icon_name = "finetune", "Train a saved model further", "train"
    summary = "Trains a saved model further on the data of another basin; its variables, scalers and window are kept."
    outputs = ("MODEL", "REPORT", "PREDICTED", "OBSERVED", "DELTA", "MAPS", *_GAUGES, *_SCORES)
    entries = (
        entry(FinetuneJob, "model", kind="model"),
        entry(FinetuneJob, "datasets", kind="datasets"),
        *_SPLITTING,
        *_TRAINING,
        *_TITLE,
    )

    def job(self, values: dict[str, Any], context: QgsProcessingContext) -> FinetuneJob:
        """The training of a saved model."""
        fields = self.read(values, context)
        split, training = take_split(fields), take_training(fields)
        for path in fields["datasets"]:
            check_model(fields["model"], path)
        return FinetuneJob(split=split, training=training, **fields)


class PredictAlgorithm(JobAlgorithm):
    """Maps, or series at gauges, of a saved model."""

    verb, title, icon_name = "predict", "Predict maps or series at gauges", "predict"
    summary = (
        "Maps of a saved model for a period, or its series at gauges, beside the observed ones and their difference "
        "where there are any."
    )
    outputs = ("PREDICTED", "FILLED", "OBSERVED", "DELTA", "MAPS", "REPORT", *_GAUGES, *_SCORES)
    config: type[Config] = PredictJob
    entries: tuple[Entry, ...] = (
        entry(PredictJob, "model", kind="model"),
        entry(PredictJob, "dataset", kind="dataset"),
        *_PERIOD,
        *entries(PredictJob, ("sequence", "device", "batch", "tile", "carry", "title")),
    )

    def job(self, values: dict[str, Any], context: QgsProcessingContext) -> Config:
        """Model, dataset and period."""
        fields = self.read(values, context)
        made = self.config(period=take_period(fields), **fields)
        check_model(made.model, made.dataset, made.sequence)
        return made


class EvaluateAlgorithm(PredictAlgorithm):
    """Scores of a saved model."""

    verb, title, icon_name = "evaluate", "Evaluate a model", "compare"
    summary = "RMSE, MAE, NSE and KGE of a saved model, pooled and per cell, beside persistence and climatology."
    outputs = ("MAPS", "REPORT", *_GAUGES, *_SCORES)
    config = EvaluateJob
    entries = (*PredictAlgorithm.entries, entry(EvaluateJob, "against"))


class CompareAlgorithm(JobAlgorithm):
    """Difference and scores of two series of maps."""

    verb, title, icon_name = "compare", "Compare two series of maps", "compare"
    summary = (
        "Difference (predicted - observed) and scores of two multi-band rasters with dates per band on the same grid."
    )
    outputs = ("DELTA", "MAPS", "REPORT", *_SCORES)
    entries = tuple(entries(CompareJob, ("label", "units", "title")))
    _maps = (("predicted", "PREDICTED_MAPS"), ("observed", "OBSERVED_MAPS"))

    def add_more(self) -> None:
        """The two rasters: layers of the project or files."""
        for field, name in self._maps:
            rule = entry(CompareJob, field).rule
            self.addParameter(finish(QgsProcessingParameterRasterLayer(name, rule.label), rule.help))

    def job(self, values: dict[str, Any], context: QgsProcessingContext) -> CompareJob:
        """The two rasters by their files."""
        paths = {field: self._source(values, name, field, context) for field, name in self._maps}
        return CompareJob(**paths, **self.read(values, context))

    def _source(self, values: dict[str, Any], name: str, field: str, context: QgsProcessingContext) -> str:
        layer = self.parameterAsRasterLayer(values, name, context)
        if layer is None or not layer.isValid():
            raise DataError(
                f"The {field} raster cannot be opened",
                got=str(values.get(name)),
                remedy="Choose a multi-band raster with dates per band",
            )
        return layer.source()


def train_job(fields: dict[str, Any]) -> TrainJob:
    """A training from the flat fields of its parameters; a use sets what is left at its default."""
    split, training = take_split(fields), take_training(fields)
    if fields["use"]:
        return TrainJob.from_dict({**_given(fields, training), "split": split.to_dict()})
    model = ModelConfig(fields.pop("family"), fields.pop("options"))
    return TrainJob(split=split, training=training, model=model, **fields)


def _given(fields: dict[str, Any], training: TrainingConfig) -> dict[str, Any]:
    """The fields of a training that differ from their defaults, as a job's JSON has them."""
    defaults = {item.field: item.default for item in TrainAlgorithm.own}
    given = {name: value for name, value in fields.items() if value != defaults.get(name)}
    model = {name: given.pop(name) for name in ("family", "options") if name in given}
    usual = TrainingConfig().to_dict()
    changed = {name: value for name, value in training.to_dict().items() if value != usual[name]}
    return {**given, "datasets": fields["datasets"], "model": model, "training": changed}


def take_training(fields: dict[str, Any]) -> TrainingConfig:
    """The training settings among ``fields``, removed from them."""
    return TrainingConfig(**{item.field: fields.pop(item.field) for item in _TRAINING})


def take_split(fields: dict[str, Any]) -> SplitConfig:
    """The periods among ``fields``, removed from them; a period is a text 'from/to'."""
    shares = {name: fields.pop(name) for name in _SPLIT}
    periods = {name: _period(fields.pop(name), name) for name in _PERIODS}
    return SplitConfig(**shares, **periods)


def _period(text: str, name: str) -> Optional[PeriodConfig]:
    if not text:
        return None
    parts = [part.strip() for part in text.split("/")]
    if len(parts) != 2:
        raise DataError(
            f"The {name} period is not clear",
            expected="from/to, such as 1990-01-01/1992-12-31",
            got=text,
            remedy="Correct it",
        )
    return PeriodConfig(*parts)


def check_model(model: str, dataset: str, sequence: str = "") -> None:
    """Both are there and ours, as far as a header tells, and the dataset is long enough for the model and has its
    gauges.
    """
    if model:  # what is not given at all is the job's own fault to tell
        card = read_card(model)
    if dataset:
        summary = read_summary(dataset)
    if model and dataset:
        check_length(summary, card.window)
        check_gauges(card, sequence_of(summary, sequence))


def _check_variables(job: TrainJob) -> None:
    """Each dataset is ours and has the variables, before anything is computed."""
    for path in job.datasets:
        summary = read_summary(path)
        check_task(job, summary)
        if job.window + (job.warm_up or 0) + max(0, job.lead + job.leads - 1) > summary.steps:
            raise DataError(
                f"The window is longer than the series of '{summary.name}'",
                expected=f"at most {summary.steps} steps for window and steps ahead together",
                got=f"window {job.window}, steps ahead {job.lead}, leads {job.leads}",
                remedy="Shorten the window, or prepare a longer dataset",
            )
