"""What a search varies: for each key of the training job a list of values, or a range."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Optional, Union

from ..contracts.config import rule_of
from ..contracts.errors import ConfigError
from ..contracts.models import family
from ..contracts.search_job import TuneJob
from ..contracts.training_job import TrainingConfig, TrainJob

if TYPE_CHECKING:
    import optuna

_KEYS = {"low", "high", "log", "steps"}
_JUDGED_BY = (  # trials that differ in these have validation losses that cannot be compared
    "target", "also", "lead", "leads", "hidden_share", "hiding", "scalers", "split", "use", "datasets", "training.loss",
    "training.huber_delta", "training.quantile", "training.rare_emphasis", "training.ssim_share",
)  # fmt: skip
Number = Union[int, float]


@dataclass(frozen=True)
class Dimension:
    """One key: its ``choices``, or a range from ``low`` to ``high`` of whole numbers or not; ``label`` in words."""

    key: str
    choices: Optional[list] = None
    low: Number = 0
    high: Number = 1
    log: bool = False
    label: str = ""

    @property
    def words(self) -> str:
        """How people are told of it."""
        return self.label or self.key

    @property
    def whole(self) -> bool:
        """Whether the range is one of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def first(self) -> Any:
        """A value that the key takes: the first, or the lowest."""
        return self.low if self.choices is None else self.choices[0]

    def drawn(self, trial: optuna.trial.Trial) -> Any:
        """The value of one trial. Choices are drawn by index, since a value may be a list."""
        if self.choices is not None:
            return self.choices[trial.suggest_categorical(self.key, list(range(len(self.choices))))]
        draw = trial.suggest_int if self.whole else trial.suggest_float
        return draw(self.key, self.low, self.high, log=self.log)

    def place(self, value: Any) -> tuple[float, bool]:
        """Where ``value`` lies on an axis, and whether that is the value itself; else its place in the list."""
        numbers = self.choices is None or all(_is_number(item) for item in self.choices)
        return (float(value), True) if numbers else (float(self.choices.index(value)), False)


def dimensions(job: TuneJob) -> list[Dimension]:
    """The search space of a job, every key and range checked before the first hour is spent.

    Raises :class:`ConfigError` where a key names nothing, a range is none, or a grid is asked of an endless range.
    """
    found = [_dimension(key, space) for key, space in job.space.items()]
    endless = [item.key for item in found if item.choices is None]
    if job.sampler == "grid" and endless:
        raise ConfigError(
            f"A grid cannot be made of the range of '{endless[0]}'",
            expected="a list of values, or 'steps' beside 'low' and 'high'",
            remedy="Add \"steps\": 5 to the range, or choose the search 'tpe' or 'random'",
        )
    with_options(job.train, {item.key: item.first for item in found})
    unlike = [item.key for item in found if item.key in _JUDGED_BY]
    if unlike:
        raise ConfigError(
            f"A search cannot vary '{unlike[0]}': trials are compared by their validation loss, and it changes that",
            remedy="Take it out of the search space, and make a search for each of its values",
        )
    return [replace(item, label=_label(item.key, job.train)) for item in found]


def option_words(space: Sequence[Dimension], options: Mapping[str, Any]) -> str:
    """The options of a trial for people: 'Learning rate 0.000682, Channels per layer [16]'."""
    return ", ".join(f"{item.words} {_short(options[item.key])}" for item in space)


def _label(key: str, job: TrainJob) -> str:
    """What the dialogs call a key that :func:`with_options` has taken."""
    group, _, name = key.rpartition(".")
    if group == "model":
        found = [option.rule.label for option in family(job.model.family).options if option.name == name]
        return found[0] if found else key
    rule = rule_of(TrainingConfig if group else TrainJob, name)
    return rule.label if rule is not None else key


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else json.dumps(value).strip('"')


def grid_size(space: list[Dimension]) -> int:
    """How many combinations a grid has."""
    return math.prod(len(item.choices or [0]) for item in space)


def with_options(job: TrainJob, options: dict[str, Any]) -> TrainJob:
    """A training job with some keys changed: ``window``, ``training.learning_rate``, ``model.hidden`` ..."""
    values = job.to_dict()
    for key, value in options.items():
        group, _, name = key.rpartition(".")
        if group == "model":
            values["model"]["options"][name] = value
        elif group == "training" or (not group and name in values):
            (values["training"] if group else values)[name] = value
        else:
            raise ConfigError(
                f"The search space has the key '{key}', which names nothing",
                expected="a key of the training job, 'training.…' or 'model.…'",
                remedy="Correct the key",
            )
    return TrainJob.from_dict(values)


def _dimension(key: str, space: Any) -> Dimension:
    if isinstance(space, list) and space:
        return Dimension(key, choices=space)
    if not (
        isinstance(space, dict)
        and {"low", "high"} <= set(space) <= _KEYS
        and _is_number(space["low"])
        and _is_number(space["high"])
        and space["low"] < space["high"]
        and not (space.get("log") and space["low"] <= 0)
    ):
        raise ConfigError(
            f"The search space of '{key}' is not usable",
            expected="a list of values, or {'low': a, 'high': b} with a < b, with 'log': true only above 0",
            got=json.dumps(space),
            remedy="Correct it",
        )
    known = Dimension(key, None, space["low"], space["high"], bool(space.get("log", False)))
    return known if space.get("steps") is None else Dimension(key, choices=_stepped(known, space["steps"]))


def _stepped(space: Dimension, steps: Any) -> list:
    """``steps`` values from low to high, evenly or over powers of ten; fewer where whole numbers fall together."""
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
        raise ConfigError(
            f"The steps of '{space.key}' are not usable",
            expected="a whole number of at least 2",
            got=json.dumps(steps),
            remedy="Correct it",
        )
    shares = [number / (steps - 1) for number in range(steps)]
    if space.log:
        values = [space.low * (space.high / space.low) ** share for share in shares]
    else:
        values = [space.low + (space.high - space.low) * share for share in shares]
    if space.whole:
        return sorted({round(value) for value in values})
    return [*values[:-1], float(space.high)]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
