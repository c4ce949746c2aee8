"""The order in which the windows of an epoch are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..contracts.errors import RunError
from ..contracts.training_config import TrainingConfig
from .setup import TrainingSet


@dataclass(frozen=True)
class Piece:
    """Windows that are computed at once: those of dataset ``index`` that end at ``ends``.

    ``step`` counts the steps of the optimizer in this epoch; a piece may be the ``first`` and the ``last`` of its step.
    ``begin`` is the share of the epoch that has passed when its step begins, ``length`` that of the step.
    """

    index: int
    ends: np.ndarray
    step: int
    first: bool
    last: bool
    begin: float
    length: float


def pieces_of(sets: Sequence[TrainingSet], config: TrainingConfig, rng: np.random.Generator) -> list[Piece]:
    """The epoch in pieces of ``batch`` windows, ``accumulate`` of which make a step, in the order of one that takes the
    whole step at once.
    """
    steps = batches_of(sets, config.replace(batch=config.batch * config.accumulate, accumulate=1), rng)
    pieces = []
    for number, (index, ends) in enumerate(steps):
        starts = range(0, len(ends), config.batch)
        for start in starts:
            part, last = ends[start : start + config.batch], start == starts[-1]
            pieces.append(Piece(index, part, number, start == 0, last, number / len(steps), 1.0 / len(steps)))
    return pieces


def batches_of(
    sets: Sequence[TrainingSet], config: TrainingConfig, rng: np.random.Generator
) -> list[tuple[int, np.ndarray]]:
    """Shuffled batches of one epoch; each holds windows of one dataset, since grids may differ in size."""
    batches = []
    for index, item in enumerate(sets):
        ends = with_target(item, item.split.train, config.supervised_steps)
        offset = int(rng.integers(config.window_stride))
        chosen = ends[offset :: config.window_stride] if len(ends) > offset else ends
        chosen = rng.permutation(chosen)
        batches += [(index, chosen[i : i + config.batch]) for i in range(0, len(chosen), config.batch)]
    if not batches:
        raise RunError("No training window has an observed target", remedy="Choose another training period or target")
    return [batches[i] for i in rng.permutation(len(batches))]


def with_target(item: TrainingSet, ends: np.ndarray, supervised_steps: int = 1) -> np.ndarray:
    """Those windows whose targets hold at least one observation."""
    count = np.concatenate([[0], np.cumsum(item.data.target_steps)])
    first = np.clip(ends + item.data.lead - supervised_steps + 1, 0, None)
    last = ends + item.data.lead + item.data.leads - 1
    return ends[count[last + 1] > count[first]]
