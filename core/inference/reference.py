"""The observed target of a dataset and its baselines, of the whole frame or of a part of it.

Symbols: T steps of the record, n dates, H rows, W columns. Values are in the target's unit, NaN is missing or outside
the mask.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from ..contracts.errors import DataError
from ..contracts.model_card import ModelCard
from ..contracts.training_job import PeriodConfig
from ..data.splits import period_steps
from ..data.store import Dataset
from ..data.timeline import index_of
from ..data.windows import check_is_map, target_values
from ..metrics.baselines import Climatology, Interpolation, Persistence, climatology, clock
from .selection import periods_of, steps_at_once
from .tiles import Tile, runs_of
from .training_mean import MeanOfTraining

_PART_BYTES = 192 * 2**20  # of observed values and baselines that are in memory at once
_STEP_BYTES, _FIXED_BYTES = 8, 11_000  # of a cell: for each step of the record; for the days of the year
Part = tuple[slice, slice]


@dataclass(frozen=True)
class Reference:
    """The observed target (T, *frame) of a dataset, NaN outside the mask, and its baselines; gauges stand side by side
    in a frame of one row.
    """

    observed: np.ndarray
    times: np.ndarray
    positions: np.ndarray
    step_seconds: float
    persistence: Persistence
    climatology: Climatology
    interpolation: Optional[Interpolation] = None

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        card: ModelCard,
        judged: np.ndarray,
        known: Optional[MeanOfTraining] = None,
        part: Optional[Part] = None,
    ) -> Reference:
        """``judged`` (m,): the dates to be judged, from which no climatology is taken if it can be helped. ``known``
        gives the mean of the sequences that the model was trained on, for a sequence that holds no training steps.
        ``part``: rows and columns of a frame of maps.
        """
        if card.target.name not in dataset.variables:
            raise DataError(
                f"The dataset '{dataset.name}' does not hold the observed target '{card.target.name}'",
                expected=f"{card.target.name} ({card.target.units})",
                got=", ".join(dataset.variables),
                remedy="Prepare a dataset that holds it, or predict without judging",
            )
        observed = (
            target_values(dataset, card, card.target) if part is None else _maps(dataset, card, slice(None), part)
        )
        periods = periods_of(card, dataset)
        apart = dataset.sequence and "train" not in periods and not card.gauges
        mean = known.on(dataset.grid) if known is not None and apart else None
        if mean is not None and part is not None:
            mean = dataclasses.replace(mean, maps=mean.maps[(slice(None), *part)])
        if mean is None:
            steps, words = climatology_steps(dataset.times, periods, judged)
            mean = climatology(observed, dataset.times, steps, words=words, step_seconds=dataset.step_seconds)
        positions = clock(dataset.times, dataset.step_seconds)
        return cls(
            observed,
            dataset.times,
            positions,
            dataset.step_seconds,
            Persistence(observed, positions),
            mean,
            Interpolation(observed, positions) if card.hidden_share else None,
        )

    def at(self, dates: np.ndarray) -> np.ndarray:
        """Observed maps (n, H, W) of ``dates``; NaN where the record has no such step."""
        index = np.minimum(np.searchsorted(self.times, dates), len(self.times) - 1)
        maps = self.observed[index]
        maps[self.times[index] != dates] = np.nan
        return maps

    def holds_any(self, dates: np.ndarray) -> bool:
        """Whether any of ``dates`` has an observed value."""
        return any(np.isfinite(self.observed[step]).any() for step in np.flatnonzero(np.isin(self.times, dates)))

    def position(self, dates: np.ndarray) -> np.ndarray:
        """Clock positions of ``dates``, also past the end of the record."""
        return index_of(dates, self.times[0], self.step_seconds)


def climatology_steps(
    times: np.ndarray, periods: Mapping[str, Any], judged: np.ndarray
) -> tuple[np.ndarray, str]:  # fmt: skip
    """bool (T,): the steps that a climatology is taken from, and words for them. ``periods`` of the model's card.

    Training and validation period, since the model was chosen by both; the judged dates are left out. Another basin may
    hold neither: then all dates that are not judged, and if there are none the judged ones.
    """
    outside = ~np.isin(times, judged)
    known = np.zeros(len(times), dtype=bool)
    for name in ("train", "validation"):
        if name in periods:
            known |= period_steps(times, PeriodConfig(*periods[name]))
    if (known & outside).any():
        return known & outside, "training and validation period"
    if outside.any():
        return outside, "record outside the judged period, as it holds none of the training period"
    return ~outside, "judged period itself, as there is no other, which flatters it"


class Observed:
    """The observed target of a dataset, read in parts where it is too large to lie in memory with its baselines; the
    dataset has to hold it. ``judged`` and ``known``: see :meth:`Reference.of`.
    """

    def __init__(
        self, dataset: Dataset, card: ModelCard, judged: np.ndarray, known: Optional[MeanOfTraining] = None
    ) -> None:
        self._dataset, self._card, self._known = dataset, card, known
        self._judged = judged
        self.times = dataset.times
        self._whole: Optional[Reference] = None
        if self._cells_at_once() >= dataset.grid.rows * dataset.grid.columns:
            self._whole = Reference.of(dataset, card, judged, known)
        else:
            check_is_map(dataset, card.target.name)

    @property
    def parted(self) -> bool:
        """Whether it is read in parts."""
        return self._whole is None

    def reference(self, part: Part) -> Reference:
        """Rows and columns of it, with their baselines."""
        if self._whole is None:
            return Reference.of(self._dataset, self._card, self._judged, self._known, part)
        if (part[0].stop - part[0].start, part[1].stop - part[1].start) == self._whole.observed.shape[1:]:
            return self._whole
        return Reference.of(self._dataset, self._card, self._judged, self._known, part)

    def parts(self, tile: Tile) -> Iterator[Part]:
        """A tile in parts of whole rows that fit in memory with their baselines."""
        rows, columns = tile.inner
        height = max(1, self._cells_at_once() // (columns.stop - columns.start))
        for top in range(rows.start, rows.stop, height):
            yield slice(top, min(rows.stop, top + height)), columns

    def at(self, dates: np.ndarray, part: Part) -> np.ndarray:
        """Observed maps (n, h, w) of ``dates`` on a part of the frame; NaN where the record has no such step."""
        if self._whole is not None:
            return self._whole.at(dates)[(slice(None), *part)]
        index = np.minimum(np.searchsorted(self.times, dates), len(self.times) - 1)
        steps, place = np.unique(index, return_inverse=True)
        maps = np.concatenate([self._steps(run, part) for run in runs_of(steps, len(steps))])[place]
        maps[self.times[index] != dates] = np.nan
        return maps

    def holds_any(self, dates: np.ndarray) -> bool:
        """Whether any of ``dates`` has an observed value."""
        if self._whole is not None:
            return self._whole.holds_any(dates)
        steps = np.flatnonzero(np.isin(self.times, dates))
        return any(
            np.isfinite(self._steps(run, self._frame)).any() for run in runs_of(steps, steps_at_once(self._dataset))
        )

    def counts(self) -> np.ndarray:
        """int32 (H, W): how often each cell was observed."""
        if self._whole is not None:
            return np.isfinite(self._whole.observed).sum(axis=0, dtype=np.int32)
        blocks = runs_of(np.arange(len(self.times)), steps_at_once(self._dataset))
        counts = np.zeros((self._dataset.grid.rows, self._dataset.grid.columns), dtype=np.int32)
        for block in blocks:
            counts += np.isfinite(self._steps(block, self._frame)).sum(axis=0, dtype=np.int32)
        return counts

    @property
    def _frame(self) -> Part:
        return slice(0, self._dataset.grid.rows), slice(0, self._dataset.grid.columns)

    def _steps(self, run: np.ndarray, part: Part) -> np.ndarray:
        return _maps(self._dataset, self._card, slice(int(run[0]), int(run[-1]) + 1), part)

    def _cells_at_once(self) -> int:
        return max(1, _PART_BYTES // (_STEP_BYTES * len(self.times) + _FIXED_BYTES))


def _maps(dataset: Dataset, card: ModelCard, steps: slice, part: Part) -> np.ndarray:
    """Observed values (t, h, w) of the target, NaN outside the mask."""
    maps = dataset.window(card.target.name, steps, *part, observed=True)
    maps[:, ~dataset.mask[part]] = np.nan
    return maps
