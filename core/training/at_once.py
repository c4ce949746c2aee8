"""Learning without epochs: one pass over the training period, or nothing to learn, told by the events of the loop."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

import numpy as np
from torch import nn

from ..contracts.errors import ConfigError
from ..contracts.events import Event, EventKind
from ..contracts.training_job import TrainingConfig
from ..data.windows import time_of_year
from ..models.learning import Sample, Targets
from .batches import batches_of
from .checkpoint import load_checkpoint, save_checkpoint
from .choices import plain_choices, set_threads
from .device import choose_device, choose_precision
from .judging import validate, write_live_maps
from .losses import loss_of
from .setup import TrainingSet
from .work import Work, tensor_of

_MOST_ROWS = 50_000_000  # cells times windows that are learned from
_FEWEST_WINDOWS = 300
_STEPS = 64  # of targets without windows, at once
_LEARNING = 0.9  # of the progress; judging takes the rest
_DAY_SECONDS = 86400.0


class TrainingSamples:
    """The training period for :meth:`core.models.learning.LearnedModel.learn`: its windows in batches, in one random
    order that follows from the seed, and its targets without windows.

    ``windows`` of ``all_windows`` are used: of large data so many, drawn at random, that cells times windows stay
    below 50 million. Raises :class:`RunError` where no window has an observed target.
    """

    def __init__(self, module: nn.Module, sets: Sequence[TrainingSet], config: TrainingConfig, device: str) -> None:
        self._sets, self._device, self._seed = sets, device, config.seed
        self._gauges = bool(getattr(module, "gauges", 0))
        every = batches_of(sets, config.replace(supervised_steps=1), np.random.default_rng(config.seed))
        self.all_windows = sum(len(ends) for _, ends in every)
        self._batches, self.windows, rows = [], 0, 0
        for index, ends in every:
            if rows >= _MOST_ROWS and self.windows >= _FEWEST_WINDOWS:
                break
            self._batches.append((index, ends))
            self.windows += len(ends)
            rows += len(ends) * sets[index].data.mask.size

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Sample]:
        for index, ends in self._batches:
            batch = self._sets[index].data.batch(ends, 1, self._seed)
            y = batch.y[:, 0, :, :, 0] if self._gauges else batch.y[:, 0]
            yield Sample(*(tensor_of(a, self._device) for a in (batch.x, batch.static, batch.observed, batch.mask, y)))

    def targets(self) -> Iterator[Targets]:
        """All steps of the training period, some at a time."""
        for item in self._sets:
            steps = np.flatnonzero(item.split.train_steps)
            for start in range(0, len(steps), _STEPS):
                part = steps[start : start + _STEPS]
                times = item.data.times[part].astype("datetime64[s]")
                days = times.astype(np.int64) / _DAY_SECONDS
                yield Targets(item.data.y[part], time_of_year(times), days)


def fit_at_once(
    module: nn.Module,
    sets: Sequence[TrainingSet],
    config: TrainingConfig,
    checkpoints: Path,
    warm_up: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Event]:
    """Let ``module`` learn at once if it learns at all, judge it, and keep it as the loop does.

    Yields PROGRESS while it learns, and at the end one METRIC with the keys of :func:`core.training.loop.fit`: epoch
    1, learning rate 0. An existing ``checkpoints/last`` is a finished training and is taken as it is; one that was
    stopped begins anew. Raises :class:`ConfigError` where a model that is bound to its grid is given several, and
    :class:`RunError` where there is nothing to learn from.
    """
    device, why_device = choose_device(config.device)
    precision, why_precision = choose_precision(config.precision, device)
    config, threads = plain_choices(config).config(config), set_threads(config)
    yield _message(f"Device {why_device}. Precision {why_precision}. {threads.sentence}")
    module.to(device).eval()
    last, best = checkpoints / "last.safetensors", checkpoints / "best.safetensors"
    if last.exists():
        load_checkpoint(last, module)
        yield _message("Learned already.")
        return
    _check_grids(module, sets)
    if config.crop:
        raise ConfigError(
            "This model learns at once, from whole maps, so they cannot be cropped", remedy="Set the crop to 0"
        )
    work = Work(module, sets, config, device, precision, warm_up, clock(), clock, loss_of(config, sets))
    if getattr(module, "learns_at_once", False):
        yield from _learn(work)
    # The loop's own way of judging, asked once of the training windows and once of the validation windows.
    as_validation = [dataclasses.replace(s, split=dataclasses.replace(s.split, validation=s.split.train)) for s in sets]
    train_loss, _ = yield from _judged(dataclasses.replace(work, sets=as_validation), 0.0)
    validation_loss, validation_nse = yield from _judged(work, 0.5)
    found = {
        "epoch": 1,
        "train_loss": train_loss,
        "validation_loss": validation_loss,
        "validation_nse": validation_nse,
        "best_epoch": 1,
        "learning_rate": 0.0,
        "seconds": round(work.seconds, 1),
    }
    course = {"epoch": 1, "best_loss": validation_loss, "best_epoch": 1, "history": [found]}
    for path in (best, last):
        save_checkpoint(path, module, None, course)
    write_live_maps(checkpoints / "live.npz", work)
    yield Event(EventKind.PROGRESS, {"fraction": 1.0, "text": "Learned"})
    yield Event(EventKind.METRIC, found)


def _learn(work: Work) -> Iterator[Event]:
    samples = TrainingSamples(work.module, work.sets, work.config, work.device)
    if samples.windows < samples.all_windows:
        yield _message(
            f"Learns from {samples.windows:,} of {samples.all_windows:,} training windows, drawn at random, since the "
            "grid is large."
        )
    for share in work.module.learn(samples, work.config.seed):
        text = f"Learning from {samples.windows:,} windows"
        yield Event(EventKind.PROGRESS, {"fraction": _LEARNING * share, "text": text})


def _judged(work: Work, done: float) -> Generator[Event, None, tuple[float, float]]:
    fraction = _LEARNING + (1.0 - _LEARNING) * done
    yield Event(EventKind.PROGRESS, {"fraction": fraction, "text": "Judging"})
    return (yield from validate(work))


def _check_grids(module: nn.Module, sets: Sequence[TrainingSet]) -> None:
    """ConfigError where a model with a value for every cell or gauge would learn from several grids."""
    first = sets[0].data
    for item in sets[1:]:
        same = item.data.grid == first.grid and item.data.gauges == first.gauges
        if getattr(module, "bound_to_grid", False) and not same:
            raise ConfigError(
                "This model is bound to its grid, and the datasets have several",
                expected=f"datasets on the grid of '{first.name}'",
                got=f"another grid in '{item.data.name}'",
                remedy="Train one model for each dataset, or choose a family that is not bound, such as ridge",
            )


def _message(text: str) -> Event:
    return Event(EventKind.MESSAGE, {"level": "info", "text": text})
