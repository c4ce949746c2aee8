"""The jobs that make a model, train and finetune, and the parts that they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

from .config import Config, setting
from .dataset_job import check_dates
from .errors import ConfigError
from .models import resolve
from .training_checks import check_train_job
from .training_config import DEVICES, LOSSES, PRECISIONS, TrainingConfig
from .uses import USE_NAMES, with_use
from .variables import SCALERS

__all__ = [
    "DEVICES",
    "HIDINGS",
    "LOSSES",
    "PRECISIONS",
    "FinetuneJob",
    "ModelConfig",
    "PeriodConfig",
    "SplitConfig",
    "TrainJob",
    "TrainingConfig",
    "check_named",
]

HIDINGS = ("blocks", "cells", "frames")


@dataclass(frozen=True)
class PeriodConfig(Config):
    """A period that holds both its ends; empty ends are open."""

    start: str = setting("", label="From", help="First date of the period.")
    end: str = setting("", label="To", help="Last date of the period.")

    def check(self) -> None:
        """Both are dates, in order."""
        check_dates(self.start, self.end, "The period")


@dataclass(frozen=True)
class SplitConfig(Config):
    """Training, validation and test period. Without dates the shares are cut from the end of the record, test last."""

    validation_share: float = setting(
        0.15, label="Validation", help="Share of the time kept to decide when to stop.", minimum=0.0, maximum=0.8
    )
    test_share: float = setting(
        0.2, label="Test", help="Share of the time never seen in training.", minimum=0.0, maximum=0.8
    )
    train: Optional[PeriodConfig] = setting(None, label="Training period", help="Dates of the targets to train on.")
    validation: Optional[PeriodConfig] = setting(
        None, label="Validation period", help="Dates of the targets to validate on."
    )
    test: Optional[PeriodConfig] = setting(None, label="Test period", help="Dates of the targets to test on.")
    validation_sequences: tuple[str, ...] = setting(
        (), label="Validation sequences", help="Names, or patterns such as test*, of whole sequences to validate on."
    )
    test_sequences: tuple[str, ...] = setting(
        (), label="Test sequences", help="Names, or patterns such as test*, of whole sequences never seen in training."
    )

    def check(self) -> None:
        """Dates for all three or for none; something is left to train on."""
        given = [self.train is not None, self.validation is not None, self.test is not None]
        if any(given) and not all(given):
            raise ConfigError(
                "Only some of the periods are given",
                expected="training, validation and test, or none of them",
                remedy="Give all three",
            )
        if any(given) and (self.validation_sequences or self.test_sequences):
            raise ConfigError(
                "Both periods and whole sequences are given to split by",
                remedy="Give the dates or the sequences, not both",
            )
        if not any(given) and self.validation_share + self.test_share > 0.9:
            raise ConfigError(
                "Less than 10 % of the time is left for training", remedy="Lower the shares of validation and test"
            )


@dataclass(frozen=True)
class ModelConfig(Config):
    """A family of the model catalogue, or one of its presets, and its options."""

    family: str = setting("convlstm", label="Family", help="Model family or preset; 'freshet models' lists them.")
    options: dict[str, Any] = setting(
        {}, label="Options", help="Options of the family; those not given take its defaults."
    )

    def check(self) -> None:
        """The family exists and takes these options."""
        resolve(self.family, self.options)


@dataclass(frozen=True)
class TrainJob(Config):
    """Train one model on one dataset or on several at once."""

    datasets: tuple[str, ...] = setting(
        label="Datasets", help="Prepared datasets (.nc); several basins give one model."
    )
    target: str = setting(label="Predict", help="The variable to predict.")
    inputs: tuple[str, ...] = setting(label="Inputs", help="Variables whose last steps the model watches.")
    static: tuple[str, ...] = setting((), label="Static maps", help="Maps that do not change in time.")
    season: bool = setting(
        False,
        label="Season",
        help="Tell the model the day of the year. With few years a network may learn them by heart.",
    )
    window: int = setting(
        30,
        label="Window",
        help="Steps that the model looks back and learns through.",
        unit="steps",
        minimum=1,
        maximum=10000,
    )
    warm_up: Optional[int] = setting(
        None,
        label="Warm-up",
        help="Steps before the window that fill the model's memory, as the spin-up of a hydrological model. "
        "Empty chooses: twice the window where the record is long enough and the past target is no input.",
        unit="steps",
        minimum=0,
        maximum=10000,
        empty="chosen for you",
    )
    lead: int = setting(
        0,
        label="Steps ahead",
        help="0 predicts the last step of the window, 1 the step after it; -3 the third before it, with which gaps are "
        "filled that later maps know of too.",
        unit="steps",
        minimum=-10000,
        maximum=10000,
    )
    leads: int = setting(
        1,
        label="Number of leads",
        help="How many steps in a row are predicted, from 'steps ahead' on.",
        minimum=1,
        maximum=1000,
    )
    also: tuple[str, ...] = setting(
        (),
        label="Also predict",
        help="Further variables that one model learns at the same time, such as evaporation beside discharge.",
        advanced=True,
    )
    ahead: tuple[str, ...] = setting(
        (),
        label="Known ahead",
        help="Variables that are known for the predicted steps too, such as a weather forecast. The values of the "
        "dataset on those dates stand for it.",
        advanced=True,
    )
    run_through: bool = setting(
        False,
        label="Run through",
        help="Predict all dates in one pass that carries the memory on, instead of a fresh window for each date: "
        "faster by the length of the window, and with a longer memory than in training.",
        advanced=True,
    )
    hidden_share: float = setting(
        0.0,
        label="Hidden share",
        help="For filling gaps: share of what was observed on the predicted step that is hidden from the model, which "
        "has to fill it and is judged there alone. 0 makes an ordinary model.",
        minimum=0.0,
        maximum=0.95,
        advanced=True,
    )
    hiding: str = setting(
        "blocks",
        label="What is hidden",
        help="'blocks': patches, as under clouds; 'cells': single cells; 'frames': the whole predicted map, and the "
        "share of the other maps of the window.",
        choices=HIDINGS,
        advanced=True,
    )
    split: SplitConfig = setting(SplitConfig, label="Periods", help="Training, validation and test period.")
    scalers: dict[str, str] = setting(
        {}, label="Scalers", help="Scaler of a variable, if not the catalogue's.", choices=SCALERS
    )
    model: ModelConfig = setting(ModelConfig, label="Model", help="Family and options.")
    training: TrainingConfig = setting(TrainingConfig, label="Training", help="How to train.")
    members: int = setting(
        1,
        label="Members",
        help="How many models of the same kind are trained, each from another seed: their mean predicts better than "
        "one, and how far they lie apart says how sure it is.",
        minimum=1,
        maximum=1000,
        advanced=True,
    )
    bootstrap: int = setting(
        0,
        label="Bootstrap",
        help="Each member learns from blocks of so many steps that are drawn from the training period with repetition. "
        "0: all learn from all of it.",
        unit="steps",
        minimum=0,
        maximum=100000,
        advanced=True,
    )
    title: str = setting("", label="Title", help="A name for the run.")
    use: str = setting(
        "",
        label="What for",
        help="A use, such as filling gaps, whose settings stand in for what is not given, or is left at its default in "
        "a form; 'freshet uses' explains them.",
        choices=("", *USE_NAMES),
    )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainJob:
        """As every configuration; what a ``use`` sets stands in for the keys that are not given."""
        return super().from_dict(with_use(values))

    @property
    def targets(self) -> tuple[str, ...]:
        """The variable to predict, and those learned beside it."""
        return (self.target, *self.also)

    def check(self) -> None:
        """Contradictions that would leak the answer or leave nothing to learn from."""
        check_train_job(self)
        if self.bootstrap and self.members == 1:
            raise ConfigError(
                "A bootstrap is for the members of an ensemble",
                got=f"blocks of {self.bootstrap} steps for one model",
                remedy="Train several members, or set the bootstrap to 0",
            )


@dataclass(frozen=True)
class FinetuneJob(Config):
    """Train a saved model further on the data of another basin; its scalers and variables are kept."""

    model: str = setting(label="Model", help="Saved model file (.safetensors).")
    datasets: tuple[str, ...] = setting(
        label="Datasets", help="Prepared datasets (.nc) with the variables that the model needs."
    )
    split: SplitConfig = setting(SplitConfig, label="Periods", help="Training, validation and test period.")
    training: TrainingConfig = setting(TrainingConfig, label="Training", help="How to train.")
    title: str = setting("", label="Title", help="A name for the run.")

    def check(self) -> None:
        """A model and a dataset are named."""
        check_named(self.model, "model", "Choose a saved model file (.safetensors)")
        if not self.datasets:
            raise ConfigError("No dataset is chosen", remedy="Choose at least one prepared dataset (.nc)")


def check_named(path: str, what: str, remedy: str) -> None:
    """A job names what it works on."""
    if not path:
        raise ConfigError(f"No {what} is chosen", remedy=remedy)
