"""The update of an LSTM memory, for families that make the gates in their own way."""

from __future__ import annotations

from typing import Any, Optional

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .gate_kernel import BACK, SCALE, advance, differentiate, forget, remember
from .sequence import usable

_TYPES = (torch.float32, torch.float64)


def lstm_update(gates: Tensor, c: Optional[Tensor]) -> tuple[Tensor, Tensor]:
    r"""New output and memory (B, hidden, ...) from gates (B, 4 hidden, ...) before their activations, and the memory.

    .. math:: C' = \sigma(f) \circ C + \sigma(i) \circ \tanh(g), \quad H' = \sigma(o) \circ \tanh(C')

    The gates lie side by side as i, f, g, o; ``c`` None stands for zeros. A new memory is at least float32, or small
    increments would be lost in 16 bits. ``gates`` are used up: nobody else may read them.
    """
    # In 16 bits torch's own functions, which read and write half as much, are as fast.
    if gates.dtype in _TYPES and (c is None or c.dtype is gates.dtype) and usable(gates, c):
        return _Update.apply(gates.clone() if gates._is_view() else gates, c)[:2]
    i, f, g, o = gates.chunk(4, dim=1)
    new = torch.sigmoid(i) * torch.tanh(g)
    if c is not None:
        new = new + torch.sigmoid(f) * c
    elif new.dtype in (torch.bfloat16, torch.float16):
        new = new.float()
    return torch.sigmoid(o) * torch.tanh(new), new


def memory_update(gates: Tensor, c: Tensor, forget_bias: float, order: str = "ifg") -> Tensor:
    r"""New memory (B, hidden, ...) from gates (B, 3 hidden, ...) before their activations, and the memory.

    .. math:: C' = \sigma(f + b) \circ C + \sigma(i) \circ \tanh(g)

    The gates lie side by side in the ``order`` of the letters; they are used up: nobody else may read them.
    """
    places = tuple(order.index(letter) for letter in "ifg")
    if gates.dtype in _TYPES and c.dtype is gates.dtype and usable(gates, c):
        return _Memory.apply(gates.clone() if gates._is_view() else gates, c, forget_bias, places)[0]
    parts = gates.chunk(3, dim=1)
    i, f, g = (parts[place] for place in places)
    return torch.sigmoid(f + forget_bias) * c + torch.sigmoid(i) * torch.tanh(g)


def start_gates(weight: Tensor, bias: Tensor, forget_bias: float = 1.0) -> None:
    """Start values of weights (4 hidden, ...) and bias (4 hidden,): Glorot, zero, and ``forget_bias`` for f."""
    nn.init.xavier_uniform_(weight)
    nn.init.zeros_(bias)
    nn.init.constant_(bias.view(4, -1)[1], forget_bias)


class _Update(torch.autograd.Function):
    """:func:`lstm_update`, in the memory of the gates: they are activated in place, and overwritten by their gradients
    on the way back, which can be gone once.
    """

    @staticmethod
    def forward(ctx: Any, gates: Tensor, before: Optional[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        places = gates.chunk(4, dim=1)
        places[2].mul_(SCALE)
        gates.sigmoid_()
        c, h, spare = (torch.empty_like(places[0]) for _ in range(3))
        advance(places, before, c, h, spare)
        ctx.mark_dirty(gates)
        ctx.save_for_backward(gates, before, c)
        ctx.set_materialize_grads(False)
        return h, c, gates

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Optional[Tensor], grad_c: Optional[Tensor], _: Any) -> tuple[Optional[Tensor], ...]:
        gates, before, c = ctx.saved_tensors
        places = gates.chunk(4, dim=1)
        grad_h = torch.zeros_like(c) if grad_h is None else torch.empty_like(c).copy_(grad_h)
        grad_c = None if grad_c is None else torch.empty_like(c).copy_(grad_c)
        grad_c = differentiate(places, before, c, grad_h, grad_c)
        places[2].mul_(BACK)
        return gates, None if before is None else grad_c


class _Memory(torch.autograd.Function):
    """:func:`memory_update`, as :class:`_Update` does it."""

    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, before: Tensor, forget_bias: float, places: tuple[int, ...]
    ) -> tuple[Tensor, Tensor]:
        parts = gates.chunk(3, dim=1)
        i, f, s = (parts[place] for place in places)
        f.add_(forget_bias)
        s.mul_(SCALE)
        gates.sigmoid_()
        c = remember(i, f, s, before, torch.empty_like(i))
        ctx.places = places
        ctx.mark_dirty(gates)
        ctx.save_for_backward(gates, before)
        ctx.set_materialize_grads(False)
        return c, gates

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_c: Optional[Tensor], _: Any) -> tuple[Optional[Tensor], ...]:
        if grad_c is None:
            return None, None, None, None
        gates, before = ctx.saved_tensors
        parts = gates.chunk(3, dim=1)
        i, f, s = (parts[place] for place in ctx.places)
        grad_c, *rooms = torch.empty_like(i).copy_(grad_c), torch.empty_like(i), torch.empty_like(i)
        grad_c = forget((i, f, s), before, grad_c, (rooms[0], rooms[1]))
        s.mul_(BACK)
        return gates, grad_c, None, None
