"""Recurrent models whose number of steps stays open in a graph: the loop over the steps becomes one Scan. Plain loops
are written out when a graph is traced, once for each step, and then hold for that number alone.

Symbols: :mod:`core.models.base`; maps inside ConvLSTM are channels-last, (B, H, W, C).
"""

from __future__ import annotations

import copy
from types import MethodType
from typing import Any, Optional

import torch
from torch import Tensor, nn

from ...models.cells import ConvLSTMCell, State
from ...models.convlstm import ConvLSTM
from ...models.stacked import StackedMaps, head_predictions


def with_open_steps(module: nn.Module) -> Optional[nn.Module]:
    """A copy of ``module`` for tracing, with the same outputs and any number of steps; None where its family is written
    in another way.
    """
    if isinstance(module, ConvLSTM):
        opened = copy.deepcopy(module)
        opened._encode = MethodType(_encode, opened)
        return opened
    if isinstance(module, StackedMaps) and type(module).forward is StackedMaps.forward:
        opened = copy.deepcopy(module)
        opened.forward = MethodType(_forward_stack, opened)
        return opened
    return None


def _encode(
    self: ConvLSTM, frames: Tensor, static: Optional[Tensor], last_steps: int, warm_up: int
) -> tuple[Optional[Tensor], list[State]]:
    """As the method of :class:`ConvLSTM` in evaluation mode, for one prediction (``last_steps`` 0 or 1)."""
    states = []
    for number, cell in enumerate(self.encoder):
        outputs, state = _through(cell, frames, static if number == 0 else None)
        states.append(state)
        top = number == len(self.encoder) - 1
        if top and last_steps == 0:
            return None, states
        frames = _normalised(self.encoder_norms[number], outputs[-1:] if top else outputs)
    return frames, states


def _through(cell: ConvLSTMCell, frames: Tensor, static: Optional[Tensor]) -> tuple[Tensor, State]:
    """All outputs (T, B, H, W, hidden) of a layer, and its final state."""
    context = cell.begin(frames[0], static)
    zeros = frames.new_zeros((*frames.shape[1:4], cell.hidden))

    def step(carried: list[Tensor], frame: Tensor) -> tuple[list[Tensor], Tensor]:
        state = cell(frame, State(*carried), context)
        return [state.h, state.c], state.h.clone()

    (h, c), outputs = _scan()(step, [zeros, zeros.clone()], frames, dim=0)
    return outputs, State(h, c)


def _normalised(norm: nn.Module, maps: Tensor) -> Tensor:
    if isinstance(norm, nn.Identity):
        return maps
    planes = norm(maps.flatten(0, 1).permute(0, 3, 1, 2))
    return planes.permute(0, 2, 3, 1).unflatten(0, maps.shape[:2])


def _forward_stack(
    self: StackedMaps,
    x: Tensor,
    static: Optional[Tensor] = None,
    observed: Optional[Tensor] = None,
    last_steps: int = 1,
    warm_up: int = 0,
) -> dict[str, Tensor]:
    """As the method of :class:`StackedMaps` in evaluation mode, for one prediction."""
    parts = [x]
    if self.uses_observed:
        parts.append(torch.ones_like(x) if observed is None else observed.to(x.dtype))
    if self.uses_static and static is not None:
        parts.append(static.to(x.dtype).unsqueeze(1).expand(-1, x.shape[1], -1, -1, -1))
    frames = torch.cat(parts, dim=2).transpose(0, 1)
    for cell in self.layers:
        frames = _unrolled(cell, frames)
    return head_predictions([self.head(frames[-1])], self.leads, self.out_channels)


def _unrolled(cell: nn.Module, frames: Tensor) -> Tensor:
    """Outputs (T, B, hidden, H, W) of a layer. The first step, which has no state before it, stands alone."""
    output, state = cell(frames[0], None)

    def step(carried: Any, frame: Tensor) -> tuple[Any, Tensor]:
        given, after = cell(frame, carried)
        return torch.utils._pytree.tree_map(torch.clone, after), given.clone()

    _, outputs = _scan()(step, state, frames[1:], dim=0)
    return torch.cat((output.unsqueeze(0), outputs), dim=0)


def _scan() -> Any:
    from torch._higher_order_ops.scan import scan  # in PyTorch from 2.6 on, not yet under a public name

    return scan
