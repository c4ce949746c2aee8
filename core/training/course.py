"""Where a training stands, and the checkpoints that keep it, so that one that is taken up again equals one that never
stopped.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch

from ..contracts.errors import RunError
from ..contracts.files import remove_leftovers
from .averaging import Average
from .checkpoint import load_whole_checkpoint, save_checkpoint
from .schedules import Plateau
from .setup import TrainingSet
from .work import Work

_SAMPLE = 8  # steps of a record by which its values are known again
_CLOSE = 1e-3


@dataclass
class Course:
    """Where a training stands; what a checkpoint keeps beside the tensors.

    ``epoch`` epochs are whole; of the next one ``pieces`` batches have been computed, whose steps had the ``losses``.
    ``gathered`` is the sum and the count of a step that has begun, ``rate`` the learning rate. ``seconds`` were spent
    by earlier tries and this one. ``order`` and ``data`` tell whether the batches that follow are those of the begin;
    ``choices`` are those of :class:`core.training.choices.Choices`.
    """

    epoch: int = 0
    best_loss: float = math.inf
    best_epoch: int = 0
    history: list[dict] = field(default_factory=list)
    pieces: int = 0
    losses: list[float] = field(default_factory=list)
    gathered: list[float] = field(default_factory=lambda: [0.0, 0.0])
    rate: float = 0.0
    plateau: Plateau = field(default_factory=Plateau)
    seconds: float = 0.0
    average_steps: int = 0
    order: list = field(default_factory=list)
    data: list = field(default_factory=list)
    choices: dict = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the losses of the steps are kept as a tensor."""
        values = dataclasses.asdict(self)
        del values["losses"]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Course:
        """From what a checkpoint kept; older ones lack some."""
        return cls(**{**values, "plateau": Plateau(**values.get("plateau", {}))})


class Keeper:
    """Writes and reads the checkpoints ``last`` and ``best`` of a training.

    ``last`` holds the raw weights, the averaged ones, the optimizer's moments, random states, and the gradients of a
    step that has begun; ``best`` the weights that were judged best. Both are whole or absent. The numbers that draw the
    order of an epoch, its hidden cells and its turns follow from seed, epoch and place, so they need no state.
    """

    def __init__(self, folder: Path, work: Work, optimizer: torch.optim.Optimizer) -> None:
        self.last, self.best = last_of(folder), folder / "best.safetensors"
        self.work, self.average = work, None
        self._optimizer, self._kept = optimizer, 0.0
        if work.ranks.first:  # it alone writes; another one would remove what it has just begun
            for path in (self.last, self.best):
                remove_leftovers(path)

    def begin(self) -> Course:
        """The course of a new training; its first weights are the best so far."""
        self.average = self._new_average()
        course = Course(order=_order(self.work), data=data_facts(self.work.sets))
        self.keep_best(course)
        return course

    def resume(self) -> Course:
        """Load ``last`` into module, optimizer, average and random states; the clock of ``work`` goes on from there.

        Raises :class:`RunError` where it was made with other data, or with other batches in the middle of an epoch.
        """
        state, beside = load_whole_checkpoint(self.last, self.work.module, self._optimizer)
        course = Course.from_dict(state)
        self._check(course)
        course.losses = beside["losses"].tolist() if "losses" in beside else []
        averaged = {name[len("average.") :]: v for name, v in beside.items() if name.startswith("average.")}
        self.average = self._new_average()
        if self.average is not None and averaged:
            self.average.restore(averaged, course.average_steps)
        if course.pieces:
            for group in self._optimizer.param_groups:
                group["lr"] = course.rate
            _restore_gradients(self.work.module, beside)
            _restore_random(beside, self.work.device)
        self._kept = course.seconds
        self.work = dataclasses.replace(self.work, begin=self.work.begin - course.seconds)
        return course

    def keep_last(self, course: Course) -> None:
        """Write where the training stands."""
        course.seconds = self._kept = self.work.seconds
        if not self.work.ranks.first:
            return
        course.average_steps = self.average.steps if self.average else 0
        beside = {"losses": torch.tensor(course.losses, dtype=torch.float64), **_random(self.work.device)}
        if course.gathered[1] or course.gathered[0]:
            beside.update(_gradients(self.work.module))
        if self.average is not None:
            beside.update({f"average.{name}": value for name, value in self.average.tensors.items()})
        save_checkpoint(self.last, self.work.module, self._optimizer, course.to_dict(), beside)

    def keep_best(self, course: Course) -> None:
        """Write the weights that the module has now, as the best so far."""
        course.seconds = self.work.seconds
        if self.work.ranks.first:
            save_checkpoint(self.best, self.work.module, self._optimizer, course.to_dict())

    def _new_average(self) -> Optional[Average]:
        keep = self.work.config.averaging
        return Average(self.work.module, keep) if keep else None

    def due(self) -> bool:
        """Whether the place within an epoch shall be kept again."""
        return self.work.seconds - self._kept >= 60.0 * self.work.config.checkpoint_minutes

    def _check(self, course: Course) -> None:
        if course.data and not _alike(course.data, data_facts(self.work.sets)):
            raise RunError(
                f"The checkpoint {self.last} was made with other data",
                expected="the datasets as they were when this run began",
                remedy="Restore them, or start a new run",
            )
        if course.pieces and course.order != _order(self.work):
            raise RunError(
                f"The checkpoint {self.last} lies in the middle of an epoch whose batches were other ones",
                expected=_order_words(course.order),
                got=_order_words(_order(self.work)),
                remedy="Set these back, or start a new run",
            )


def last_of(folder: Path) -> Path:
    """Where a training that is broken off is taken up."""
    return folder / "last.safetensors"


def data_facts(sets: Sequence[TrainingSet]) -> list:
    """By what the scaled data of a training are known again: sizes, and means of some steps, whose last digits another
    machine may give otherwise.
    """
    facts: list = []
    for item in sets:
        data, some = item.data, np.unique(np.linspace(0, len(item.data.times) - 1, _SAMPLE).astype(int))
        sizes = [*data.x.shape, data.window, data.lead, data.leads, len(item.split.train), len(item.split.validation)]
        x = data.x[some].astype(np.float64)
        means = [x.mean(axis=(0, 2, 3)), np.abs(x).mean(axis=(0, 2, 3))]
        if data.static is not None:
            means.append(data.static.mean(axis=(1, 2), dtype=np.float64))
        y = data.y[some]
        means.append([float(np.nansum(y, dtype=np.float64)) / max(1, int(np.isfinite(y).sum()))])
        values = [float(np.clip(v, -1e30, 1e30)) for v in np.concatenate(means)]
        facts.append([data.name, str(data.times[0]), [int(n) for n in sizes], values])
    return facts


def _alike(one: list, two: list) -> bool:
    if len(one) != len(two):
        return False
    same = all(a[:3] == b[:3] and len(a[3]) == len(b[3]) for a, b in zip(one, two))
    return same and all(np.allclose(a[3], b[3], rtol=_CLOSE, atol=_CLOSE) for a, b in zip(one, two))


def _order(work: Work) -> list:
    config = work.config
    order = [
        config.seed,
        config.batch,
        config.accumulate,
        config.window_stride,
        config.supervised_steps,
        config.augment,
    ]
    return [*order, config.crop] if config.crop else order


def _order_words(order: list) -> str:
    names = ("seed", "batch", "batches a step", "stride", "supervised steps", "augmentation", "crop")
    return ", ".join(f"{name} {value}" for name, value in zip(names, order))


def _random(device: str) -> dict[str, torch.Tensor]:
    states = {"random.cpu": torch.get_rng_state()}
    if device.startswith("cuda"):
        states["random.device"] = torch.cuda.get_rng_state(device)
    elif device == "mps":
        states["random.device"] = torch.mps.get_rng_state()
    return states


def _restore_random(states: dict[str, torch.Tensor], device: str) -> None:
    torch.set_rng_state(states["random.cpu"])
    if "random.device" not in states:
        return
    if device.startswith("cuda"):
        torch.cuda.set_rng_state(states["random.device"], device)
    elif device == "mps":
        torch.mps.set_rng_state(states["random.device"])


def _gradients(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {f"gradient.{name}": p.grad for name, p in module.named_parameters() if p.grad is not None}


def _restore_gradients(module: torch.nn.Module, beside: dict[str, torch.Tensor]) -> None:
    for name, parameter in module.named_parameters():
        gradient = beside.get(f"gradient.{name}")
        if gradient is not None:
            parameter.grad = gradient.to(parameter)
