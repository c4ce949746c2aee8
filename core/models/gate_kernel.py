"""The gates of an LSTM, activated and differentiated in place: what all families with LSTM gates share.

.. math:: C' = \\sigma(i) \\circ \\tanh(g) + \\sigma(f) \\circ C, \\quad H' = \\sigma(o) \\circ \\tanh(C')

Computed with :math:`\\tanh(x) = 1 - 2 \\sigma(-2x)`, since processors compute the logistic function several times as
fast; the error of an activation is then 1e-7 at most in float32. Gates come with g multiplied by -2 already
(:func:`scaled` does it to the weights), so that one pass over memory activates all four; s is σ(-2g).
"""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor

GATES = 4
SCALE, BACK = -2.0, 4.0  # of the rows of g: before the activation, and for what comes out of :func:`differentiate`
_CANDIDATE = 2  # place of g among i, f, g, o
_slope = torch.ops.aten.sigmoid_backward.grad_input


def memory_type(kind: torch.dtype) -> torch.dtype:
    """The type of a memory beside gates of type ``kind``: small increments would be lost in 16 bits."""
    return torch.float32 if kind in (torch.bfloat16, torch.float16) else kind


def scaled(rows: Tensor, factor: float) -> Tensor:
    """A copy of ``rows`` (4 m, ...) whose rows of g are multiplied."""
    rows = rows.clone()
    rows.unflatten(0, (GATES, -1))[_CANDIDATE].mul_(factor)
    return rows


def split(gates: Tensor) -> tuple[Tensor, ...]:
    """Views of i, f, g, o in (..., 4 m)."""
    return gates.unflatten(-1, (GATES, -1)).unbind(-2)


def activated(gates: Tensor, kind: torch.dtype) -> Tensor:
    """Gates after the logistic function in the type ``kind``: in place where they have it already."""
    return (gates if gates.dtype is kind else gates.to(kind)).sigmoid_()


def advance(gates: tuple[Tensor, ...], before: Optional[Tensor], c: Tensor, h: Tensor, room: Tensor) -> Tensor:
    """One step from activated gates i, f, s, o: writes the memory ``c`` and the output ``h`` and gives ``h``.

    ``before`` is the memory before, None for zeros; ``room`` is overwritten. All are of the type of ``c`` but ``h``.
    """
    i, f, s, o = gates
    remember(i, f, s, before, c)
    torch.mul(c, -2.0, out=room).sigmoid_()
    if h.dtype is c.dtype:
        return torch.addcmul(o, o, room, value=-2.0, out=h)
    return h.copy_(torch.addcmul(o, o, room, value=-2.0, out=room))


def remember(i: Tensor, f: Tensor, s: Tensor, before: Optional[Tensor], c: Tensor) -> Tensor:
    """Write the memory ``c`` from activated gates and the memory before."""
    torch.addcmul(i, i, s, value=-2.0, out=c)
    return c if before is None else c.addcmul_(f, before)


def differentiate(
    gates: tuple[Tensor, ...], before: Optional[Tensor], c: Tensor, grad_h: Tensor, grad_c: Optional[Tensor]
) -> Tensor:
    """The way back through one step. Activated ``gates`` i, f, s, o are overwritten by their gradients before
    activation, that of g a quarter of itself (:data:`BACK`). Gives the gradient of the memory before; without one, of
    no meaning.

    All are of one type; ``grad_h`` and ``grad_c`` are overwritten.
    """
    o = gates[3]
    room = torch.mul(c, -2.0).sigmoid_()
    through = torch.mul(grad_h, o)
    _slope(through, room, grad_input=through)
    grad_c = through.mul_(4.0) if grad_c is None else grad_c.add_(through, alpha=4.0)
    torch.addcmul(grad_h, grad_h, room, value=-2.0, out=room)
    _slope(room, o, grad_input=o)
    return forget(gates[:3], before, grad_c, (room, grad_h))


def forget(gates: tuple[Tensor, ...], before: Optional[Tensor], grad_c: Tensor, rooms: tuple[Tensor, Tensor]) -> Tensor:
    """The way back through :func:`remember`, as :func:`differentiate` says; ``rooms`` are overwritten."""
    (i, f, s), (room, other) = gates, rooms
    torch.addcmul(grad_c, grad_c, s, value=-2.0, out=room)
    torch.mul(grad_c, i, out=other)
    _slope(room, i, grad_input=i)
    _slope(other, s, grad_input=s)
    if before is None:
        f.zero_()
        return grad_c
    torch.mul(grad_c, before, out=room)
    grad_c.mul_(f)
    _slope(room, f, grad_input=f)
    return grad_c
