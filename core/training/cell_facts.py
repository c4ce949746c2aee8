"""What is known of the targets and variables in a training, gathered block by block, so that any record fits.

Symbols: T steps, K targets; ``frame`` is (H, W), or (1, G) for gauges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..data.lazy import blocks
from ..data.splits import Split
from ..data.store import Dataset
from ..data.windows import WindowData

_MOST_VALUES = 2**24  # of a variable that fit its scaler; of more, every n-th cell, and the extremes


@dataclass(frozen=True)
class CellFacts:
    """``count`` and ``variance`` (K, *frame) of the scaled target of each cell over some steps; ``mean`` (K,) over all
    cells, NaN without a value.
    """

    count: np.ndarray
    variance: np.ndarray
    mean: np.ndarray

    @property
    def cells(self) -> np.ndarray:
        """bool (*frame): where some target was observed."""
        return (self.count > 0).any(axis=0)


def cell_facts(data: WindowData, steps: np.ndarray) -> CellFacts:
    """Of the steps where ``steps`` bool (T,) is True. The variance is float32, 0 where there are no values."""
    frame = data.y.shape[1:]
    count, total, square = np.zeros(frame, dtype=np.int64), np.zeros(frame), np.zeros(frame)
    for part in blocks(len(steps), frame):
        values = data.y[part][steps[part]]
        count += np.isfinite(values).sum(axis=0)
        total += np.nansum(values, axis=0, dtype=np.float64)
    mean = total / np.maximum(count, 1)
    for part in blocks(len(steps), frame):
        values = data.y[part][steps[part]]
        square += np.nansum((values - mean) ** 2, axis=0, dtype=np.float64)
    seen = count.sum(axis=(1, 2))
    whole = np.where(seen > 0, total.sum(axis=(1, 2)) / np.maximum(seen, 1), np.nan)
    return CellFacts(count, (square / np.maximum(count, 1)).astype(np.float32), whole.astype(np.float32))


def training_values(name: str, datasets: Sequence[Dataset], splits: Sequence[Split]) -> np.ndarray:
    """Observed values of a variable inside the masks: of the training period, or of the map where it is static. Filled
    ones are left out. Of more than 16 million values an even share, with the least and the largest of all.
    """
    parts = []
    for dataset, split in zip(datasets, splits):
        if not split.train_steps.any():
            continue
        if dataset.variables[name].static:
            parts.append(dataset.static_map(name)[dataset.mask])
        elif dataset.variables[name].gauges:
            parts.append(dataset.observed(name)[split.train_steps].ravel())
        else:
            parts += _of_maps(name, dataset, split.train_steps, _every(datasets, splits))
    return np.concatenate(parts)


def _every(datasets: Sequence[Dataset], splits: Sequence[Split]) -> int:
    """Of how many cells one is taken."""
    values = sum(int(s.train_steps.sum()) * int(d.mask.sum()) for d, s in zip(datasets, splits))
    return -(-values // _MOST_VALUES)


def _of_maps(name: str, dataset: Dataset, steps: np.ndarray, every: int) -> list[np.ndarray]:
    found, low, high = [], np.inf, -np.inf
    whole = bool(dataset.mask.all())
    for part in blocks(len(steps), dataset.grid.shape, dataset.chunk_steps(name)):
        if not steps[part].any():
            continue
        maps = dataset.window(name, part, observed=True)
        maps = maps if steps[part].all() else maps[steps[part]]
        values = maps.ravel() if whole else maps[:, dataset.mask].ravel()
        if every > 1:
            low, high = np.fmin(low, np.fmin.reduce(values)), np.fmax(high, np.fmax.reduce(values))
            values = values[part.start % every :: every].copy()  # each block begins elsewhere
        found.append(values)
    return [*found, np.array([low, high], dtype=np.float32)] if low <= high else found
