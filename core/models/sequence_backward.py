"""The way back through time of :mod:`core.models.sequence_kernel`, whose symbols are used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Optional

import torch
from torch import Tensor

from .gate_kernel import BACK, SCALE, differentiate, memory_type, scaled, split
from .sequence_kernel import Pair, Plan, Start, Steps, Weights, part_of, prepare
from .side_by_side import side_by_side

_BACKWARD = torch.ops.aten.convolution_backward


class Needed(NamedTuple):
    """Of which arguments of a layer a gradient is wanted."""

    x: bool
    weight_x: bool
    weight_h: bool
    bias: bool
    base: bool
    h: bool
    c: bool


class Slopes(NamedTuple):
    """Gradients from one part of the windows: of the weights for input and state side by side, bias, base and state
    before the first step.
    """

    weight: Tensor
    bias: Tensor
    base: Optional[Tensor]
    h: Optional[Tensor]
    c: Optional[Tensor]


def backward(
    plan: Plan,
    saved: Sequence[Tensor],
    gates: list[dict[int, Tensor]],
    needed: Sequence[bool],
    grads: Sequence[Optional[Tensor]],
) -> list[Optional[Tensor]]:
    """Gradients of the tensors of a layer, in the order of :class:`Needed`, from ``grads``, those of outputs and
    final state. ``saved``: x, weight_x, weight_h, bias, base, state before the first step, outputs of all
    steps, and memories; ``gates`` what the forward pass kept of each part of the windows, which is used up.
    """
    x, weight_x, weight_h, bias, base, h, c, outputs, memories = saved
    wanted = Needed(*needed)
    back = prepare(weight_x, weight_h, plan.kind, BACK)
    forward = None
    if any(len(kept) < len(x) - plan.warm_up for kept in gates):
        forward = prepare(weight_x, weight_h, plan.kind, SCALE, bias, base)
    grad_x = (x if plan.use_up else torch.empty_like(x)) if wanted.x else None
    tasks = []
    for part, kept in zip(plan.parts, gates):
        own, start = (None if forward is None else part_of(forward, part)), part_of(Start(h, c), part)
        way = Backward(plan, wanted, (own, back), x[:, part], start, outputs[:, part], memories[:, part], kept)
        out, *last = (None if g is None else g[..., part, :, :, :] for g in grads)
        tasks.append((way, out, *last, None if grad_x is None else grad_x[:, part]))
    return [grad_x, *_joined(wanted, side_by_side(Backward.run, tasks), x.shape[-1])]


def _joined(needed: Needed, parts: Sequence[Slopes], inputs: int) -> list[Optional[Tensor]]:
    """The gradients from all parts together."""
    weight = bias = None
    if needed.weight_x or needed.weight_h:
        weight = scaled(sum(part.weight for part in parts), BACK)
    if needed.bias:
        bias = scaled(sum(part.bias for part in parts), BACK)
    base, h, c = (_side(column) for column in list(zip(*parts))[2:])
    if base is not None:
        base = scaled(base.movedim(-1, 0), BACK).movedim(0, -1)
    if weight is None:
        return [None, None, bias, base, h, c]
    return [weight[:, :inputs], weight[:, inputs:], bias, base, h, c]


def _side(parts: Sequence[Optional[Tensor]]) -> Optional[Tensor]:
    return parts[0] if len(parts) == 1 or parts[0] is None else torch.cat(parts)


class Backward:
    """The way back of some windows, whose tensors are given: ``weights`` as the forward pass has them, where gates are
    to be computed anew, and as the gradients want them.
    """

    def __init__(
        self,
        plan: Plan,
        needed: Needed,
        weights: tuple[Optional[Weights], Weights],
        x: Tensor,
        start: Start,
        outputs: Tensor,
        memories: Tensor,
        gates: dict[int, Tensor],
    ) -> None:
        self._plan, self._needed, self._x, self._start, self._gates = plan, needed, x, start, gates
        self._h, self._c, self._first = outputs, memories, len(outputs) - len(memories)
        forward, self._weights = weights
        self._kind = memory_type(plan.kind)
        self._steps = None if forward is None else Steps(plan._replace(hoist=False), forward, x)
        self._weight = x.new_zeros(self._weights.both.shape, dtype=self._kind)
        self._bias = x.new_zeros(len(self._weight), dtype=self._kind)
        self._base = x.new_zeros((*x.shape[1:4], len(self._weight)), dtype=self._kind) if needed.base else None
        self._weight_h = None if needed.x else self._weights.h
        self._waiting: list[tuple[int, Tensor]] = []
        self._room: Optional[Tensor] = None
        self._pair = Pair(x) if self._steps is None else self._steps.pair

    def run(
        self, outputs: Optional[Tensor], grad_h: Optional[Tensor], grad_c: Optional[Tensor], grad_x: Optional[Tensor]
    ) -> Slopes:
        """From the gradients of outputs and final state; that of the input is written into ``grad_x``."""
        plan, needed = self._plan, self._needed
        if grad_c is not None:
            grad_c = grad_c.to(self._kind, copy=True, memory_format=torch.contiguous_format)
        if grad_x is not None:
            grad_x[: plan.warm_up].zero_()
        for step in range(len(self._x) - 1, plan.warm_up - 1, -1):
            place = step - (len(self._x) - plan.last)
            # In place of the gradient of the state, which would else live on as a part of a larger array.
            grad_h = self._sum(grad_h, None if outputs is None or place < 0 else outputs[place])
            slopes, grad_c = self._through_gates(step, grad_h, grad_c)
            del grad_h
            if needed.weight_x or needed.weight_h:
                self._gather(step, slopes)  # first, since the gradient of the input may take the room of the input
            grad_h = self._through_convolution(step, slopes, grad_x)
        self._add_weight()
        start = plan.warm_up == 0
        return Slopes(
            self._weight,
            self._bias,
            self._base,
            grad_h if start and needed.h else None,
            grad_c if start and needed.c else None,
        )

    def _sum(self, one: Optional[Tensor], other: Optional[Tensor]) -> Tensor:
        """Of two gradients of an output in any layout, contiguous."""
        total = self._c.new_empty(self._c.shape[1:])
        if one is None or other is None:
            given = one if other is None else other
            return total.zero_() if given is None else total.copy_(given)
        return torch.add(one, other, out=total)

    def _before(self, step: int) -> tuple[Optional[Tensor], Optional[Tensor]]:
        """The state before a step."""
        if step == 0:
            return self._start
        return self._h[step - 1], self._c[step - 1 - self._first]

    def _through_gates(self, step: int, grad_h: Tensor, grad_c: Optional[Tensor]) -> tuple[Tensor, Tensor]:
        """Gradients of the gates of a step (B, H, W, 4 m), in the type of the maps, and of the memory before it."""
        before_h, before_c = self._before(step)
        gates = self._gates.pop(step, None)
        if gates is None:
            gates = self._steps.gates(step, before_h)
            work = self._activated(gates)
        else:
            # Gates of the type of the memory were activated in place on the way forward.
            work = gates if gates.dtype is self._kind else self._activated(gates)
        grad_c = differentiate(split(work), before_c, self._c[step - self._first], grad_h, grad_c)
        if self._needed.bias:
            self._bias += work.flatten(0, 2).sum(0)
        if self._base is not None:
            self._base += work
        return (work if work is gates else gates.copy_(work)), grad_c

    def _activated(self, gates: Tensor) -> Tensor:
        if gates.dtype is self._kind:
            return gates.sigmoid_()
        if self._room is None:
            self._room = torch.empty_like(gates, dtype=self._kind)
        return self._room.copy_(gates).sigmoid_()

    def _through_convolution(self, step: int, slopes: Tensor, grad_x: Optional[Tensor]) -> Optional[Tensor]:
        """The gradient of the output before the step, None where none goes on; that of the input into ``grad_x``."""
        before = self._before(step)[0]
        onward = step > self._plan.warm_up or (step == 0 and self._needed.h)
        onward = onward and before is not None
        if grad_x is None:
            return self._transposed(slopes, before, self._weight_h) if onward else None
        if not onward:
            grad_x[step].copy_(self._transposed(slopes, self._x[step], self._weights.x))
            return None
        both = self._weights.both
        like = self._x.new_empty(1).expand(*self._x.shape[1:4], both.shape[1])
        found = self._transposed(slopes, like, both)
        grad_x[step].copy_(found[..., : self._x.shape[-1]])
        return found[..., self._x.shape[-1] :]

    def _gather(self, step: int, slopes: Tensor) -> None:
        """Keep gradients of gates for the gradient of the weights, which several steps share. A step that reads no
        state stands alone.
        """
        if self._before(step)[0] is None:
            self._add_weight()
        self._waiting.append((step, slopes))
        if len(self._waiting) >= self._plan.group:
            self._add_weight()

    def _add_weight(self) -> None:
        if not self._waiting:
            return
        before = [self._before(step)[0] for step, _ in self._waiting]
        read = [self._read(step, h) for (step, _), h in zip(self._waiting, before)]
        slopes = [item for _, item in self._waiting]
        maps, found = (parts[0] if len(parts) == 1 else torch.cat(parts) for parts in (read, slopes))
        weight = self._weights.x if before[0] is None else self._weights.both
        self._weight[:, : weight.shape[1]] += self._convolution(found, maps, weight, 1)
        self._waiting = []

    def _read(self, step: int, h: Optional[Tensor]) -> Tensor:
        """What the convolution of a step read."""
        if h is None:
            return self._x[step]
        return self._pair.of(step, h) if self._plan.group == 1 else torch.cat((self._x[step], h), dim=-1)

    def _transposed(self, slopes: Tensor, like: Tensor, weight: Tensor) -> Tensor:
        """(B, H, W, 4 m) -> (B, H, W, channels) of what a convolution read, which is of the shape of ``like``."""
        return self._convolution(slopes, like, weight, 0).permute(0, 2, 3, 1)

    def _convolution(self, slopes: Tensor, maps: Tensor, weight: Tensor, which: int) -> Tensor:
        """Gradient of the maps (0) or of the weight (1)."""
        planes, radius = (part.permute(0, 3, 1, 2) for part in (slopes, maps)), self._plan.radius
        mask = [which == 0, which == 1, False]
        return _BACKWARD(*planes, weight, None, [1, 1], [radius, radius], [1, 1], False, [0, 0], 1, mask)[which]
