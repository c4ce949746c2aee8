"""The job that searches for better options: trials, how they are drawn, and where the search is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .config import Config, setting
from .errors import ConfigError
from .training_job import TrainJob
from .uses import with_use

SAMPLERS = ("tpe", "random", "grid")
PRUNINGS = ("none", "median", "halving")


@dataclass(frozen=True)
class TuneJob(Config):
    """Search for better options: trainings with options drawn from ranges, judged by the validation loss."""

    train: TrainJob = setting(label="Training", help="The training to start from.")
    trials: int = setting(
        10, label="Trials", help="How many trainings, of all processes together.", minimum=1, maximum=100000
    )
    space: dict[str, Any] = setting(
        {},
        label="Search space",
        help="Key such as 'training.learning_rate' or 'model.hidden', and a list of values or {'low':, 'high':}, with "
        "'log': true for a range over powers of ten, and 'steps': 5 for so many values of it.",
    )
    sampler: str = setting(
        "tpe",
        label="How to search",
        help="'tpe' tries near what did well so far, 'random' anywhere, 'grid' every combination of lists and steps.",
        choices=SAMPLERS,
    )
    pruning: str = setting(
        "none",
        label="Give up",
        help="Ends trials early by the validation loss of their epochs: 'median' those behind the middle of the "
        "others, 'halving' all but the best quarter at every fourfold number of epochs.",
        choices=PRUNINGS,
    )
    pruning_epochs: int = setting(
        3,
        label="Epochs before giving up",
        help="Epochs that every trial is given.",
        unit="epochs",
        minimum=1,
        maximum=100000,
        advanced=True,
    )
    storage: str = setting(
        "",
        label="Shared file",
        help="A file on a disc that several searches see: each started with it joins in, on this machine or another. "
        "Empty keeps the search in its own run folder.",
        advanced=True,
        empty="the run folder",
    )
    seed: int = setting(1, label="Seed", help="Seed of the search.", minimum=0, maximum=2**31 - 1)
    title: str = setting("", label="Title", help="A name for the run.")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TuneJob:
        """As every configuration; a training may name a ``use``."""
        if isinstance(values, dict) and "train" in values:
            values = {**values, "train": with_use(values["train"])}
        return super().from_dict(values)

    def check(self) -> None:
        """There is something to search, and a trial is one model."""
        if not self.space:
            raise ConfigError(
                "The search space is empty", remedy="Give at least one key, such as 'training.learning_rate'"
            )
        if self.train.members > 1:
            raise ConfigError(
                "A search trains one model a trial",
                got=f"a training of {self.train.members} members",
                remedy="Search with one member, then train the best options with several",
            )
