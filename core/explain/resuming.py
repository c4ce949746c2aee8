"""A recurrent model goes on from where it was: steps of a window that are as before need not be read once more.

A change at step p of a window leaves the states after the p steps before it as they were. They are read from the
model's own layers, so that what comes out is what a pass through the whole window gives.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Optional

import numpy as np
from torch import Tensor, nn

from ..data.windows import Batch
from ..models.cells import State
from ..models.convlstm import ConvLSTM
from ..models.convlstm_ed import ConvLSTMEncoderDecoder
from ..models.convlstm_gauge import ConvLSTMGauge
from ..models.stacked import StackedMaps

States = tuple[tuple[Tensor, ...], ...]  # of each layer
MOST_BYTES = 512 * 1024 * 1024


def cells_of(module: nn.Module) -> Optional[Sequence[nn.Module]]:
    """The layers that carry a state from step to step, or None where a model does more than that."""
    if type(module) in (ConvLSTM, ConvLSTMEncoderDecoder):
        return module.encoder
    plain = isinstance(module, StackedMaps) and type(module).forward is StackedMaps.forward
    return module.layers if plain or type(module) is ConvLSTMGauge else None


@contextlib.contextmanager
def going_on(cells: Sequence[nn.Module], states: Optional[Sequence[Any]] = None) -> Iterator[list[Any]]:
    """Within it the first step of each layer begins with ``states`` in place of none; the list holds the last state of
    each layer afterwards.
    """
    last: list[Any] = [None] * len(cells)

    def begin(number: int) -> Any:
        def hook(_: nn.Module, arguments: tuple) -> Optional[tuple]:
            frame, state, *more = arguments
            return None if state is not None or states is None else (frame, states[number], *more)

        return hook

    def keep(number: int) -> Any:
        def hook(_: nn.Module, arguments: tuple, output: Any) -> None:
            last[number] = output if isinstance(output, State) else output[1]

        return hook

    handles = []
    for number, cell in enumerate(cells):
        handles += [cell.register_forward_pre_hook(begin(number)), cell.register_forward_hook(keep(number))]
    try:
        yield last
    finally:
        for handle in handles:
            handle.remove()


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
