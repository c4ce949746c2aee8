"""How a model is judged while it trains: loss and NSE of the validation windows, and a map of one date."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np
import torch

from ..contracts.errors import RunError
from ..contracts.events import Event, EventKind
from ..contracts.files import whole_file
from ..data.windows import Batch, Buffers
from .batches import with_target
from .crops import Crop, crop_side, judging_crops, training_crop
from .feeding import Feeder, Waiting
from .finite import first_culprit
from .kge import merged_moments, one_minus_kge
from .setup import TrainingSet
from .work import Work

_FEWEST_VALIDATION_WINDOWS = (
    48  # a dataset; beyond that a quarter of those trained on, evenly spaced, so that judging stays cheap
)
_CROPS_OF_A_WINDOW = 4  # of maps that are cropped


class _Score:
    """Loss and NSE over many batches."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._shared = not work.loss.of_whole
        self._total, self._weight, self._squared, self._spread = 0.0, 0, 0.0, 0.0
        self._wholes: list[float] = []
        self._sound = True

    def add(
        self, predicted: torch.Tensor, target: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor
    ) -> Optional[torch.Tensor]:
        """Take in a batch; gives its moments where the loss is made of those of the whole."""
        loss = self._work.loss
        count = int(torch.isfinite(target).sum())
        if not loss.of_whole:
            self._total += float(loss(predicted, target, variance)) * count
        self._squared += float(torch.nansum((predicted - target) ** 2))
        self._spread += float(torch.nansum((target - mean) ** 2))
        self._weight += count
        if not loss.of_whole:
            return None
        moments = loss.moments(predicted, target)
        self._sound = bool(torch.isfinite(moments).all())
        return moments

    def close(self, moments: Optional[torch.Tensor]) -> None:
        """A dataset is through; ``moments`` of all its batches."""
        if moments is not None:
            total, count = one_minus_kge(moments)
            if int(count):
                self._wholes.append(float(total) / int(count))

    def mine(self, jobs: Sequence[_Job]) -> Sequence[_Job]:
        """The batches that this process judges."""
        return self._work.ranks.share(jobs) if self._shared else jobs

    @property
    def finite(self) -> bool:
        """Whether the loss so far is a number."""
        return math.isfinite(self._total) and self._sound

    def result(self) -> tuple[float, float]:
        """Loss, and NSE in scaled units. Raises :class:`RunError` where there is no KGE to judge by."""
        if self._shared:
            sums = self._work.ranks.sums(self._total, self._weight, self._squared, self._spread)
            self._total, self._weight, self._squared, self._spread = sums
        if self._work.loss.of_whole and not self._wholes:
            raise RunError(
                "The target does not vary in the validation period, so it has no KGE",
                remedy="Choose another loss, such as nse, or another validation period",
            )
        loss = float(np.mean(self._wholes)) if self._wholes else self._total / max(self._weight, 1)
        return loss, 1.0 - self._squared / max(self._spread, 1e-12)


def validate(work: Work, waiting: Optional[Waiting] = None) -> Generator[Event, None, tuple[float, float]]:
    """(loss, NSE in scaled units) over the validation windows; the training windows judge where no dataset has any.
    The time that was waited for data is added to ``waiting``.

    Raises :class:`RunError` that names variable, cell and date where the loss is no finite number.
    """
    score = _Score(work)
    work.module.eval()
    for item, ends in judging_windows(work.sets):
        mean, moments = work.to_device(item.target_mean)[:, None, None], None
        jobs = score.mine(_jobs(work, item, ends))
        with Feeder(jobs, lambda job, buffers: job.make(buffers), waiting or Waiting(), work.device) as feeder:
            for job, batch in zip(jobs, feeder):
                with torch.inference_mode():
                    predicted, target = work.predict(batch), work.to_device(batch.y)
                    found = score.add(predicted, target, mean, work.to_device(job.variance))
                    if found is not None:
                        moments = found if moments is None else merged_moments(moments, found)
                if not score.finite:
                    raise RunError(
                        "The validation left the finite numbers",
                        got=first_culprit(job.part, job.ends, job.make(None), predicted),
                        remedy="Correct or mask this value, or lower the learning rate; the best model is kept",
                    )
                yield Event(EventKind.MESSAGE, {"level": "tick", "text": ""})
        score.close(moments)
    return score.result()


@dataclass(frozen=True)
class _Job:
    """Windows of a dataset that are judged at once, of the whole frame or of a part of it."""

    item: TrainingSet
    ends: np.ndarray
    crop: Optional[Crop] = None

    @property
    def part(self) -> TrainingSet:
        """What is looked at."""
        return self.item if self.crop is None else self.crop.of(self.item)

    @property
    def variance(self) -> np.ndarray:
        """Of the cells that are looked at."""
        return self.item.variance if self.crop is None else self.crop.maps(self.item.variance)

    def make(self, buffers: Optional[Buffers]) -> Batch:
        """The batch."""
        batch = self.part.data.batch(self.ends, buffers=buffers)
        if self.crop is not None:
            self.crop.leave_out(batch.y)
        return batch


def _jobs(work: Work, item: TrainingSet, ends: np.ndarray) -> list[_Job]:
    """The batches by which a dataset is judged: at most a quarter of what an epoch shows, the same in each epoch. Of
    cropped maps the crops lie side by side over the whole frame; of too many some are drawn.
    """
    config = work.config
    most = max(_FEWEST_VALIDATION_WINDOWS, len(item.split.train) // config.window_stride // 4)
    ends = ends[:: max(1, math.ceil(len(ends) / most))]
    chunks = [ends[start : start + work.judged_at_once] for start in range(0, len(ends), work.judged_at_once)]
    side = crop_side(config, item.data)
    if not side:
        return [_Job(item, chunk) for chunk in chunks]
    jobs = [_Job(item, chunk, crop) for chunk in chunks for crop in judging_crops(work.module, item, side)]
    few = max(1, _CROPS_OF_A_WINDOW * most // work.judged_at_once)
    if len(jobs) <= few:
        return jobs
    chosen = np.random.default_rng(config.seed).permutation(len(jobs))[:few]
    return [jobs[number] for number in np.sort(chosen)]


def judging_windows(sets: Sequence[TrainingSet]) -> list[tuple[TrainingSet, np.ndarray]]:
    """The validation windows of each dataset that has some; where none has, all training windows."""
    for name in ("validation", "train"):
        found = [(item, with_target(item, getattr(item.split, name))) for item in sets]
        found = [(item, ends) for item, ends in found if len(ends)]
        if found:
            return found
    return []


def write_live_maps(path: Path, work: Work) -> None:
    """Scaled maps of one validation date, predicted and observed, so that a person sees them sharpen; a part of maps
    that are cropped.
    """
    judging = judging_windows(work.sets)
    if not judging or judging[0][0].data.gauges:
        return
    item, ends = judging[0]
    chosen = ends[len(ends) // 2 : len(ends) // 2 + 1]
    side = crop_side(work.config, item.data)
    if side:
        item = training_crop(work.module, item, chosen, side, 0, 1).of(item)
    batch = item.data.batch(chosen)
    with torch.inference_mode():
        predicted = work.predict(batch).cpu().numpy()[0, 0, 0, 0]
    predicted = np.where(item.data.mask, predicted, np.nan)
    with whole_file(path) as temporary:
        date = str(item.data.target_times(chosen)[0, 0])
        np.savez(temporary, predicted=predicted, observed=batch.y[0, 0, 0, 0], date=np.array(date))
