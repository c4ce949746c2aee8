"""A recurrent model goes on from where it was: steps of a window that are as before need not be read once more.

A change at step p of a window leaves the states after the p steps before it as they were. They are read from the
model's own layers (:mod:`core.models.carry`), so that what comes out is what a pass through the whole window gives.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Optional

import numpy as np
from torch import Tensor

from ..data.windows import Batch

MOST_BYTES = 512 * 1024 * 1024


def steps_of_batch(batch: Batch, part: slice) -> Batch:
    """The same windows with the steps ``part`` of each only, without targets."""
    observed = None if batch.observed is None else batch.observed[:, part]
    return dataclasses.replace(batch, x=batch.x[:, part], observed=observed, y=None)


def bytes_of(states: Any) -> int:
    """Memory of the tensors in nested tuples and lists."""
    if isinstance(states, Tensor):
        return states.numel() * states.element_size()
    return sum(bytes_of(part) for part in states) if isinstance(states, (tuple, list)) else 0


class Kept:
    """What a model says as it is, and its states before a step, for the next question; the oldest go first."""

    def __init__(self, predictions: int = 400, most_bytes: int = MOST_BYTES) -> None:
        self.plain: dict[int, np.ndarray] = {}
        self._states: dict[tuple[int, int], list[Any]] = {}
        self._predictions, self._most, self._bytes = predictions, most_bytes, 0

    def states(self, end: int, step: int) -> tuple[int, Optional[list[Any]]]:
        """The latest step up to ``step`` of the window that ends at ``end`` whose states are kept, and these; 0 and
        None where there are none.
        """
        known = [(at, states) for (last, at), states in self._states.items() if last == end and at <= step]
        return max(known, key=lambda item: item[0], default=(0, None))

    def keep(self, end: int, step: int, states: list[Any]) -> None:
        """Keep states as long as there is room."""
        self._bytes -= bytes_of(self._states.pop((end, step), None))
        self._states[end, step] = states
        self._bytes += bytes_of(states)
        while self._bytes > self._most and self._states:
            self._bytes -= bytes_of(self._states.pop(next(iter(self._states))))

    def trim(self) -> None:
        """Forget the oldest predictions beyond what is kept."""
        while len(self.plain) > self._predictions:
            self.plain.pop(next(iter(self.plain)))
