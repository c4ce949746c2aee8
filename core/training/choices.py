"""What a training chooses for itself, each with its reason: what is told, what is kept, what a person asked for.

The choices of a new training are made in :mod:`core.training.choosing`; one that is taken up again takes those of its
begin, which its checkpoint keeps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional, Union

import torch

from ..contracts.events import Event, EventKind
from ..contracts.training_config import TrainingConfig
from ..models import engine as recurrent
from .device import choose_threads, dtype_of

ASKED, MEASURED, RULE, MEMORY, KEPT = "asked", "measured", "rule", "memory", "kept"
_LABELS = {
    "threads": "Threads",
    "precision": "Precision",
    "memory": "Memory",
    "hoisting": "Inputs at once",
    "batch": "Batch",
    "crop": "Crop",
    "capture": "Captured graphs",
}
_ASKED = ("batch", "accumulate", "precision", "memory", "hoisting", "crop", "capture")
_DEFAULT_BATCH = 4


@dataclass(frozen=True)
class Choice:
    """One choice: ``value`` of ``name``, and ``why`` in words; ``by`` is asked, measured, rule, memory or kept."""

    name: str
    value: Union[str, int]
    why: str
    by: str = RULE

    @property
    def sentence(self) -> str:
        """For the log."""
        return f"{_LABELS[self.name]} {self.value}: {self.why}."


@dataclass(frozen=True)
class Choices:
    """All choices of a training. ``batch`` windows are computed at once, ``accumulate`` times for a step; ``asked``
    keeps the settings that they answer; ``figures`` what was measured (seconds, bytes).
    """

    items: tuple[Choice, ...]
    batch: int
    accumulate: int
    crop: int = 0
    asked: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)

    def value(self, name: str, default: Union[str, int] = "") -> Union[str, int]:
        """The value of a choice; ``default`` where it was not made."""
        return next((item.value for item in self.items if item.name == name), default)

    @property
    def precision(self) -> torch.dtype:
        """What convolutions are computed in."""
        return dtype_of(str(self.value("precision", "float32")))

    @property
    def engine(self) -> recurrent.Engine:
        """How recurrent layers are computed; what is set around this call holds for the rest."""
        hoist, recompute = str(self.value("hoisting", "auto")), self.value("memory") == "recompute"
        return dataclasses.replace(recurrent.current(), recompute=recompute, hoist=hoist)

    def config(self, config: TrainingConfig) -> TrainingConfig:
        """``config`` with what was chosen in place of what was left open."""
        return config.replace(batch=self.batch, accumulate=self.accumulate, crop=self.crop)

    def sentences(self) -> list[str]:
        """One a choice."""
        return [item.sentence for item in self.items]

    def with_choice(self, choice: Choice) -> Choices:
        """The same with one choice more, or another one in its place."""
        items = tuple(item for item in self.items if item.name != choice.name)
        return dataclasses.replace(self, items=(*items, choice))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "choices": [{**dataclasses.asdict(item), "sentence": item.sentence} for item in self.items],
            "batch": self.batch,
            "accumulate": self.accumulate,
            "crop": self.crop,
            "asked": dict(self.asked),
            "figures": dict(self.figures),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Choices:
        """From what :meth:`to_dict` gave."""
        names = [item.name for item in dataclasses.fields(Choice)]
        items = tuple(Choice(**{name: item[name] for name in names}) for item in values["choices"])
        rest = {name: values[name] for name in ("batch", "accumulate", "crop", "asked", "figures")}
        return cls(items, **rest)


def asked_of(config: TrainingConfig) -> dict[str, Any]:
    """The settings that choices answer."""
    values = config.to_dict()
    return {name: values[name] for name in _ASKED if name in values}


def plain_choices(config: TrainingConfig) -> Choices:
    """What was asked for, and the defaults for the rest: nothing is measured."""
    precision = "float32" if config.precision == "auto" else config.precision
    items = [
        Choice(
            "precision", precision, "asked for" if config.precision != "auto" else "the default", _by(config.precision)
        ),
        Choice("memory", "recompute" if config.memory == "recompute" else "plain", "asked for", ASKED),
        Choice("hoisting", config.hoisting, "asked for" if config.hoisting != "auto" else "the default", RULE),
    ]
    batch = config.batch or _DEFAULT_BATCH
    return Choices(tuple(items), batch, config.accumulate, config.crop, asked_of(config))


def kept_choices(kept: Optional[Mapping[str, Any]], config: TrainingConfig) -> Choices:
    """Those of the begin of a training that is taken up again. What a person asks for otherwise now is taken as asked;
    where the checkpoint is older than choices, so is everything.
    """
    asked = plain_choices(config)
    if not kept:
        return asked
    known, changes = Choices.from_dict(kept), {}
    items = {item.name: item for item in known.items}
    for name, value in asked_of(config).items():
        if known.asked.get(name, value) == value:
            continue
        if name in ("batch", "accumulate", "crop"):
            changes.update(batch=asked.batch, accumulate=asked.accumulate, crop=asked.crop)
        else:
            found = next((item for item in asked.items if item.name == name), None)
            items.pop(name, None)
            items.update({name: found} if found else {})
    return dataclasses.replace(known, items=tuple(items.values()), asked=asked_of(config), **changes)


def set_threads(config: TrainingConfig, known: Optional[Choices] = None) -> Choice:
    """The threads of torch, set; those of ``known`` where the machine has as many."""
    number, why = choose_threads(config.threads)
    by = ASKED if config.threads else RULE
    if known is not None and not config.threads:
        before = int(known.value("threads", number))
        if before < number:
            number, why, by = before, "as at the begin", KEPT
    torch.set_num_threads(number)
    return Choice("threads", number, why, by)


def told(choices: Choices, taken_up: bool = False) -> Event:
    """The choices as a message; its ``choices`` are kept in the run folder."""
    text = " ".join(choices.sentences())
    if taken_up:
        text = f"Computed as at the begin. {text}"
    return Event(EventKind.MESSAGE, {"level": "info", "text": text, "choices": choices.to_dict()})


def _by(asked: str) -> str:
    return RULE if asked == "auto" else ASKED
