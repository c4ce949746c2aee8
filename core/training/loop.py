"""The training loop: a generator of events, so that whoever watches can follow and stop it between two batches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from torch import nn

from ..contracts.errors import RunError
from ..contracts.events import Event, EventKind
from ..contracts.files import whole_file
from ..contracts.training_job import TrainingConfig
from ..data.windows import Batch
from .checkpoint import load_checkpoint, save_checkpoint
from .device import choose_device, choose_precision, choose_threads
from .losses import masked_loss
from .setup import TrainingSet

_LEAST_RATE = 0.02  # share of the learning rate that the cosine schedule keeps at its end
_FEWEST_VALIDATION_WINDOWS = (
    48  # a dataset; beyond that a quarter of those trained on, evenly spaced, so that judging stays cheap
)


@dataclass
class _Course:
    """Where a training stands; what a checkpoint keeps beside the weights."""

    epoch: int = 0
    best_loss: float = math.inf
    best_epoch: int = 0
    history: list[dict] = field(default_factory=list)


@dataclass(frozen=True)
class Work:
    """What a training works with: model, data, how, where."""

    module: nn.Module
    sets: Sequence[TrainingSet]
    config: TrainingConfig
    device: str
    precision: torch.dtype
    warm_up: int
    begin: float
    clock: Callable[[], float]

    @property
    def seconds(self) -> float:
        """Since the begin, by the clock."""
        return self.clock() - self.begin

    def predict(self, batch: Batch, last_steps: int = 1, sampling: float = 0.0) -> torch.Tensor:
        """Scaled prediction (B, N, L, K, *frame) on the device."""
        return predict_batch(self.module, batch, self.device, self.precision, last_steps, self.warm_up, sampling)

    def to_device(self, array: np.ndarray) -> torch.Tensor:
        """A tensor of ``array`` on the device."""
        return torch.from_numpy(array).to(self.device)


def fit(
    module: nn.Module,
    sets: Sequence[TrainingSet],
    config: TrainingConfig,
    checkpoints: Path,
    warm_up: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Event]:
    """Train ``module`` in place; at the end it holds the weights of the best epoch by validation loss.

    ``warm_up``: first steps of each window through which no gradient goes. ``clock`` gives the seconds that the time
    limit and the schedule count (``time.process_time`` for processor time). Yields METRIC after each epoch (``epoch,
    train_loss, validation_loss, validation_nse, best_epoch, learning_rate, seconds``) and PROGRESS after each batch.
    Losses are in units of the scaled target. An existing ``checkpoints/last`` is continued: every
    epoch draws its order and dropout from seed and epoch, so a resumed training equals an uninterrupted one.
    Raises :class:`RunError` where the loss is no longer finite; the best checkpoint stays.
    """
    device, why_device = choose_device(config.device)
    precision, why_precision = choose_precision(config.precision, device)
    torch.set_num_threads(choose_threads(config.threads))
    yield Event(EventKind.MESSAGE, {"level": "info", "text": f"Device {why_device}. Precision {why_precision}."})
    module.to(device)
    optimizer = torch.optim.Adam(module.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    course, last, best = _Course(), checkpoints / "last.safetensors", checkpoints / "best.safetensors"
    if last.exists():
        course = _Course(**load_checkpoint(last, module, optimizer))
        yield Event(EventKind.MESSAGE, {"level": "info", "text": f"Continued after epoch {course.epoch}."})
    else:
        _learn_links(module, sets)
        save_checkpoint(best, module, optimizer, vars(course))
    work = Work(module, sets, config, device, precision, warm_up, clock(), clock)
    while course.epoch < config.epochs and course.epoch - course.best_epoch < config.patience:
        losses = []
        for loss, share, text in _train_epoch(work, optimizer, course):
            losses.append(loss)
            yield Event(EventKind.PROGRESS, {"fraction": _fraction(work, course.epoch + share), "text": text})
        validation_loss, validation_nse = yield from validate(work)
        course.epoch += 1
        if validation_loss < course.best_loss:
            course.best_loss, course.best_epoch = validation_loss, course.epoch
        course.history.append(
            {
                "epoch": course.epoch,
                "train_loss": float(np.mean(losses)),
                "validation_loss": validation_loss,
                "validation_nse": validation_nse,
                "best_epoch": course.best_epoch,
                "learning_rate": optimizer.param_groups[0]["lr"],
                "seconds": round(work.seconds, 1),
            }
        )
        if course.best_epoch == course.epoch:
            save_checkpoint(best, module, optimizer, vars(course))
        save_checkpoint(last, module, optimizer, vars(course))
        write_live_maps(checkpoints / "live.npz", work)
        yield Event(EventKind.METRIC, course.history[-1])
        if _out_of_time(work):
            yield Event(EventKind.MESSAGE, {"level": "info", "text": "Stopped at the time limit."})
            break
    load_checkpoint(best, module)
    module.eval()


def _learn_links(module: nn.Module, sets: Sequence[TrainingSet]) -> None:
    """What a family takes from the training period once, such as the links of a graph; its checkpoints keep it."""
    if hasattr(module, "prepare_from"):
        first = sets[0]
        module.prepare_from(torch.from_numpy(first.data.x[first.split.train_steps]), torch.from_numpy(first.data.mask))


def predict_batch(
    module: nn.Module,
    batch: Batch,
    device: str,
    precision: torch.dtype,
    last_steps: int = 1,
    warm_up: int = 0,
    sampling: float = 0.0,
) -> torch.Tensor:
    """Scaled prediction (B, N, L, K, *frame) in float32 for the last ``last_steps`` steps of each window.

    ``sampling``: share of leads at which a decoder in training reads the truth.
    """
    x, static, observed = (tensor_of(a, device) for a in (batch.x, batch.static, batch.observed))
    more: dict[str, Any] = {
        name: tensor_of(getattr(batch, name), device)
        for name in ("mask", "ahead", "time_of_year")
        if getattr(module, f"uses_{name}", False)
    }
    if sampling > 0.0 and module.training and getattr(module, "uses_truth", False):
        more.update(truth=tensor_of(batch.y[:, -1], device), sampling=sampling)
    with torch.autocast(device_type=device.split(":")[0], dtype=torch.bfloat16, enabled=precision is torch.bfloat16):
        result = module(x, static, observed, last_steps=last_steps, warm_up=warm_up, **more)
    found = (result["y_hat_steps"] if last_steps > 1 else result["y_hat"][:, None]).float()
    # Gauges stand side by side in a frame of one row, so that what follows treats them as cells.
    return found.unsqueeze(-2) if getattr(module, "gauges", 0) else found


def tensor_of(array: Optional[np.ndarray], device: str) -> Optional[torch.Tensor]:
    return None if array is None else torch.from_numpy(np.require(array, requirements="CW")).to(device)


def _train_epoch(work: Work, optimizer: torch.optim.Optimizer, course: _Course) -> Iterator[tuple[float, float, str]]:
    module, sets, config = work.module, work.sets, work.config
    seed = (config.seed * 1_000_003 + course.epoch) % (2**31)
    torch.manual_seed(seed)
    batches = batches_of(sets, config, np.random.default_rng(seed))
    module.train()
    for number, (index, ends) in enumerate(batches, start=1):
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(work, course.epoch + (number - 1) / len(batches))
        batch = sets[index].data.batch(ends, config.supervised_steps, seed)
        sampling = config.sampling * (1.0 - _fraction(work, course.epoch + (number - 1) / len(batches)))
        predicted = work.predict(batch, config.supervised_steps, sampling)
        loss = masked_loss(config.loss, predicted, work.to_device(batch.y), work.to_device(sets[index].variance))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(module.parameters(), config.clip_norm)
        value = loss.item()
        if not (math.isfinite(value) and torch.isfinite(norm)):
            dates = sets[index].data.times[ends]
            raise RunError(
                "The training left the finite numbers",
                got=f"a loss of {value:g} in epoch {course.epoch + 1}, windows of '{sets[index].data.name}' that end "
                f"{dates.min()} to {dates.max()}",
                remedy="Lower the learning rate, or look for extreme values at these dates; the best model is kept",
            )
        optimizer.step()
        yield (
            value,
            number / len(batches),
            f"Epoch {course.epoch + 1} of {config.epochs}, batch {number} of {len(batches)}, loss {value:.4g}",
        )


def batches_of(
    sets: Sequence[TrainingSet], config: TrainingConfig, rng: np.random.Generator
) -> list[tuple[int, np.ndarray]]:
    """Shuffled batches of one epoch; each holds windows of one dataset, since grids may differ in size."""
    batches = []
    for index, item in enumerate(sets):
        ends = _with_target(item, item.split.train, config.supervised_steps)
        offset = int(rng.integers(config.window_stride))
        chosen = ends[offset :: config.window_stride] if len(ends) > offset else ends
        chosen = rng.permutation(chosen)
        batches += [(index, chosen[i : i + config.batch]) for i in range(0, len(chosen), config.batch)]
    if not batches:
        raise RunError("No training window has an observed target", remedy="Choose another training period or target")
    return [batches[i] for i in rng.permutation(len(batches))]


def _with_target(item: TrainingSet, ends: np.ndarray, supervised_steps: int = 1) -> np.ndarray:
    """Those windows whose targets hold at least one observation."""
    count = np.concatenate([[0], np.cumsum(np.isfinite(item.data.y).any(axis=(1, 2, 3)))])
    first = np.clip(ends + item.data.lead - supervised_steps + 1, 0, None)
    last = ends + item.data.lead + item.data.leads - 1
    return ends[count[last + 1] > count[first]]


def validate(work: Work) -> Generator[Event, None, tuple[float, float]]:
    """(loss, NSE in scaled units) over the validation windows; the training windows judge where no dataset has any."""
    config = work.config
    work.module.eval()
    total, weight, squared, spread = 0.0, 0, 0.0, 0.0
    for item, ends in _judging(work.sets):
        most = max(_FEWEST_VALIDATION_WINDOWS, len(item.split.train) // config.window_stride // 4)
        ends = ends[:: max(1, math.ceil(len(ends) / most))]
        steps = item.split.train_steps if item.split.train_steps.any() else item.split.validation_steps
        mean = work.to_device(np.nanmean(item.data.y[steps], axis=(0, 2, 3)))[:, None, None]
        variance = work.to_device(item.variance)
        for start in range(0, len(ends), config.batch * 2):
            batch = item.data.batch(ends[start : start + config.batch * 2])
            with torch.inference_mode():
                predicted, target = work.predict(batch), work.to_device(batch.y)
                count = int(torch.isfinite(target).sum())
                total += float(masked_loss(config.loss, predicted, target, variance)) * count
                squared += float(torch.nansum((predicted - target) ** 2))
                spread += float(torch.nansum((target - mean) ** 2))
                weight += count
            yield Event(EventKind.MESSAGE, {"level": "tick", "text": ""})
    return total / max(weight, 1), 1.0 - squared / max(spread, 1e-12)


def _judging(sets: Sequence[TrainingSet]) -> list[tuple[TrainingSet, np.ndarray]]:
    """The validation windows of each dataset that has some; where none has, all training windows."""
    for name in ("validation", "train"):
        found = [(item, _with_target(item, getattr(item.split, name))) for item in sets]
        found = [(item, ends) for item, ends in found if len(ends)]
        if found:
            return found
    return []


def _learning_rate(work: Work, epoch: float) -> float:
    config = work.config
    if config.schedule == "constant":
        return config.learning_rate
    wave = 0.5 * (1 + math.cos(math.pi * _fraction(work, epoch)))
    return config.learning_rate * (_LEAST_RATE + (1 - _LEAST_RATE) * wave)


def _fraction(work: Work, epoch: float) -> float:
    """Share of the training that is done at most: by epochs, or by the time limit where that comes sooner."""
    share = epoch / work.config.epochs
    if work.config.time_limit_minutes:
        share = max(share, work.seconds / 60.0 / work.config.time_limit_minutes)
    return min(share, 1.0)


def _out_of_time(work: Work) -> bool:
    limit = work.config.time_limit_minutes
    return limit is not None and work.seconds >= 60.0 * limit


def write_live_maps(path: Path, work: Work) -> None:
    """Scaled maps of one validation date, predicted and observed, so that a person sees them sharpen."""
    judging = _judging(work.sets)
    if not judging or judging[0][0].data.gauges:
        return
    item, ends = judging[0]
    chosen = ends[len(ends) // 2 : len(ends) // 2 + 1]
    batch = item.data.batch(chosen)
    with torch.inference_mode():
        predicted = work.predict(batch).cpu().numpy()[0, 0, 0, 0]
    predicted = np.where(item.data.mask, predicted, np.nan)
    with whole_file(path) as temporary:
        date = str(item.data.target_times(chosen)[0, 0])
        np.savez(temporary, predicted=predicted, observed=batch.y[0, 0, 0, 0], date=np.array(date))
