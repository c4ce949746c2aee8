"""The climatology of a sequence that was kept out of training: what the model could know from the other sequences."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Optional, Union

import numpy as np

from ..contracts.grid import Grid
from ..contracts.model_card import ModelCard
from ..contracts.training_job import PeriodConfig
from ..data.splits import period_steps
from ..data.store import Dataset, open_datasets
from ..metrics.baselines import Climatology
from .selection import steps_at_once

_BLOCK_STEPS = 64


class MeanOfTraining:
    """Mean per cell of the observed target over the training and validation steps of all sequences that a model was
    made from. Read when first asked for, once a grid.

    ``datasets`` are open ones; without them the sequences of the file ``path`` are opened and closed.
    """

    def __init__(
        self, card: ModelCard, datasets: Sequence[Dataset] = (), path: Union[str, Path, None] = None
    ) -> None:  # fmt: skip
        self._card, self._datasets, self._path = card, datasets, path
        self._means: dict[Grid, Optional[Climatology]] = {}

    def on(self, grid: Grid) -> Optional[Climatology]:
        """The mean on ``grid``; None where no sequence on this grid was trained on."""
        if grid not in self._means:
            with contextlib.ExitStack() as stack:
                datasets = self._datasets
                if not datasets and self._path is not None:
                    datasets = [stack.enter_context(dataset) for dataset in open_datasets(self._path)]
                self._means[grid] = self._mean([dataset for dataset in datasets if dataset.grid == grid])
        return self._means[grid]

    def _mean(self, datasets: Sequence[Dataset]) -> Optional[Climatology]:
        total = count = None
        used = 0
        for dataset in datasets:
            steps = self._known_steps(dataset)
            if not steps.any():
                continue
            used += 1
            size = min(_BLOCK_STEPS, steps_at_once(dataset))
            for start in range(0, len(steps), size):
                if not steps[start : start + size].any():
                    continue
                maps = dataset.observed(self._card.target.name, start, start + size).astype(np.float64)
                maps = maps[steps[start : start + size]]
                finite = np.isfinite(maps) & dataset.mask
                sums, counts = np.where(finite, maps, 0.0).sum(axis=0), finite.sum(axis=0)
                total, count = (sums, counts) if total is None else (total + sums, count + counts)
        if total is None:
            return None
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
        return Climatology(mean[None], f"mean per cell of the {used} sequences that the model was trained on")

    def _known_steps(self, dataset: Dataset) -> np.ndarray:
        periods = self._card.periods_by_dataset.get(dataset.fingerprint(), {})
        steps = np.zeros(len(dataset.times), dtype=bool)
        if self._card.target.name in dataset.variables:
            for name in ("train", "validation"):
                if name in periods:
                    steps |= period_steps(dataset.times, PeriodConfig(*periods[name]))
        return steps
