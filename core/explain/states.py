"""What a model remembers: the states of its layers at the end of a window, taken by hooks while it predicts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Callable

import torch
from torch import Tensor, nn

from ..contracts.question_checks import no_states
from ..models.cells import ConvLSTMCell
from ..models.cnn import CNN, CNNLSTM
from ..models.convgru import ConvGRUCell
from ..models.cubic import CubicCell
from ..models.deformable import DeformableUnit
from ..models.gccl import GraphUnit
from ..models.mim import MIMCell
from ..models.partial import PartialUnit
from ..models.predrnn import CausalCell, SpatioTemporalCell
from ..models.stacked import ConvLSTMUnit

HIDDEN, CELL, MEMORY, STORAGES, CNN_OUTPUT = "hidden", "cell", "memory", "storages", "cnn output"
Found = dict[str, Tensor]


@contextlib.contextmanager
def captured(module: nn.Module) -> Iterator[Found]:
    """Within it, each prediction of ``module`` leaves its states here by name, such as "encoder.0 hidden", as they are
    after the last step of the window: (B, channels, rows, columns), or (B, channels) where a layer has no map.

    Hidden and cell states come from every recurrent layer (and the second memory M of PredRNN, PredRNN++ and MIM; both
    branches' outputs of CubicRNN count as its temporal one), "cnn output" from what a CNN hands on, "storages" from
    models that hold water. A layer that runs backwards in time ends at the first step. A family without any of these
    leaves nothing; :func:`need_states` says so.
    """
    found: Found = {}
    batch: list[int] = []

    def begin(_: nn.Module, given: tuple) -> None:
        found.clear()
        batch[:] = [len(given[0]), *given[0].shape[3:]]

    def end(_: nn.Module, __: tuple, result: Any) -> None:
        if isinstance(result, dict) and "storage" in result:
            found[STORAGES] = result["storage"].detach()

    handles = [module.register_forward_pre_hook(begin), module.register_forward_hook(end)]
    for name, part in module.named_modules():
        handles += _hooks(name, part, found, batch)
    if isinstance(module, CNN):
        handles.append(module.head.register_forward_pre_hook(_keep_input(found)))
    if isinstance(module, CNNLSTM):
        handles.append(module.lstm.register_forward_pre_hook(_keep_last_input(found)))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def need_states(found: Found, family: str) -> None:
    """Raise :class:`ModelFileError` where a prediction of a model of ``family`` has left no state."""
    if not found:
        raise no_states(family)


def _hooks(name: str, part: nn.Module, found: Found, batch: list[int]) -> list[Any]:
    if isinstance(part, nn.LSTM):
        return [part.register_forward_hook(_read_lstm(name, found, batch))]
    for kind, read in _READERS:
        if isinstance(part, kind):
            return [part.register_forward_hook(_keep(name, read, found))]
    return []


def _keep(name: str, read: Callable[[Any], Found], found: Found) -> Callable:
    def hook(_: nn.Module, __: tuple, result: Any) -> None:
        for kind, value in read(result).items():
            found[f"{name} {kind}"] = value.detach()

    return hook


def _keep_input(found: Found) -> Callable:
    def hook(_: nn.Module, given: tuple) -> None:
        found[CNN_OUTPUT] = given[0].detach()

    return hook


def _keep_last_input(found: Found) -> Callable:
    def hook(_: nn.Module, given: tuple) -> None:
        if given[0].shape[1]:
            found[CNN_OUTPUT] = given[0][:, -1].detach()

    return hook


def _read_lstm(name: str, found: Found, batch: list[int]) -> Callable:
    def hook(_: nn.Module, __: tuple, result: Any) -> None:
        for kind, states in zip((HIDDEN, CELL), result[1]):
            for layer, state in enumerate(states.detach()):
                if len(state) != batch[0]:  # every cell is a sequence of its own
                    state = state.unflatten(0, tuple(batch)).permute(0, 3, 1, 2)
                found[f"{name}.{layer} {kind}"] = state

    return hook


def _channels_first(state: Any) -> Found:
    return {HIDDEN: state.h.permute(0, 3, 1, 2), CELL: state.c.permute(0, 3, 1, 2)}


def _pair(result: Any) -> Found:
    return dict(zip((HIDDEN, CELL), result[1]))


def _zigzag(result: Any) -> Found:
    return {HIDDEN: result[0].h, CELL: result[0].c, MEMORY: result[1]}


_READERS: tuple[tuple[Any, Callable[[Any], Found]], ...] = (
    (ConvLSTMCell, _channels_first),
    ((ConvLSTMUnit, GraphUnit, DeformableUnit), _pair),
    (ConvGRUCell, lambda result: {HIDDEN: result[1]}),
    (PartialUnit, lambda result: {HIDDEN: result[1].h, CELL: result[1].c}),
    ((SpatioTemporalCell, CausalCell, MIMCell), _zigzag),
    (CubicCell, lambda result: {HIDDEN: result[1].h, CELL: result[1].c}),
)


def on_grid(state: Tensor, rows: int, columns: int) -> Tensor:
    """A state (B, channels, rows, columns) of a coarser level on the grid of the input: each value over its block,
    blocks counted from the upper left corner.
    """
    height = state.shape[2]
    factor = 1
    while height * factor < rows or state.shape[3] * factor < columns:
        factor *= 2
    if factor > 1:
        state = state.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)
    return state[:, :, :rows, :columns]


def basin_mean(state: Tensor, mask: Tensor) -> Tensor:
    """(B, channels): the mean of a state (B, channels, H, W) over the cells of ``mask`` bool (H, W)."""
    return state[:, :, mask].mean(dim=2) if bool(mask.any()) else torch.zeros_like(state[:, :, 0, 0])
