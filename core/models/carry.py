"""A recurrent model goes on from where it was: it begins with the states that an earlier pass left.

What comes out is what one pass through all the steps gives, since the states are those of the model's own layers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Callable, Optional

from torch import Tensor, nn

from .cells import State
from .cellwise import LSTM
from .convlstm import ConvLSTM
from .convlstm_ed import ConvLSTMEncoderDecoder
from .convlstm_gauge import ConvLSTMGauge
from .stacked import StackedMaps


def cells_of(module: nn.Module) -> Optional[Sequence[nn.Module]]:
    """The layers that carry a state from step to step, or None where a model does more than that."""
    if type(module) in (ConvLSTM, ConvLSTMEncoderDecoder):
        return module.encoder
    return module.layers if _is_stack(module) or type(module) is ConvLSTMGauge else None


def carrying_layers(module: nn.Module) -> Optional[Sequence[nn.Module]]:
    """The layers of a model of maps that can predict at every step and whose states, all maps or vectors of cells, are
    all that it remembers; None for any other.
    """
    if not getattr(module, "several_steps", False) or getattr(module, "gauges", 0):
        return None
    if type(module) is LSTM:
        return [module.lstm]
    return cells_of(module) if type(module) is ConvLSTM or _is_stack(module) else None


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


def tensors_of(states: Any) -> list[Tensor]:
    """The tensors of nested states, in a fixed order."""
    if isinstance(states, Tensor):
        return [states]
    return [tensor for part in states for tensor in tensors_of(part)] if isinstance(states, (tuple, list)) else []


def with_tensors(states: Any, tensors: Iterator[Tensor]) -> Any:
    """Nested states like ``states`` that hold ``tensors``, in the order of :func:`tensors_of`."""
    if isinstance(states, Tensor):
        return next(tensors)
    if not isinstance(states, (tuple, list)):
        return states
    parts = [with_tensors(part, tensors) for part in states]
    return type(states)(*parts) if hasattr(states, "_fields") else type(states)(parts)


def to_maps(module: nn.Module) -> Callable[[Tensor, int, int], Tensor]:
    """How a tensor of the model's states of B windows on h x w cells becomes maps (..., h, w), a view."""
    if isinstance(module, LSTM):  # (layers, B h w, hidden)
        return lambda state, h, w: state.unflatten(1, (-1, h, w)).permute(0, 1, 4, 2, 3)
    if isinstance(module, ConvLSTM):  # (B, h, w, hidden)
        return lambda state, h, w: state.permute(0, 3, 1, 2)
    return lambda state, h, w: state


def from_maps(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """The way back from :func:`to_maps`, contiguous."""
    if isinstance(module, LSTM):
        return lambda maps: maps.permute(0, 1, 3, 4, 2).flatten(1, 3).contiguous()
    if isinstance(module, ConvLSTM):
        return lambda maps: maps.permute(0, 2, 3, 1).contiguous()
    return lambda maps: maps.contiguous()


def _is_stack(module: nn.Module) -> bool:
    return isinstance(module, StackedMaps) and type(module).forward is StackedMaps.forward
