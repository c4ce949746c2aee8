r"""All steps of a ConvLSTM layer in one function, with a backward pass through time of its own.

Symbols: T steps, B windows, H rows, W columns, n input channels, m state channels. Maps are channels-last. Computed is
what :class:`core.models.cells.ConvLSTMCell` computes with logistic gates, tanh, zeros beyond the edge and no peepholes:

.. math::
    (i, f, g, o)_t = W * [X_t, H_{t-1}] + b

    C_t = \sigma(i) \circ \tanh(g) + \sigma(f) \circ C_{t-1}, \quad H_t = \sigma(o) \circ \tanh(C_t)

How the gates are activated and differentiated: :mod:`core.models.gate_kernel`.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Optional, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from .gate_kernel import SCALE, activated, advance, memory_type, scaled, split
from .side_by_side import side_by_side


class Plan(NamedTuple):
    """How a layer is computed: type of the maps ``kind``, ``radius`` of the kernel, first steps ``warm_up`` without a
    gradient, how many of the ``last`` outputs are given, whether gates are computed anew in the backward pass
    (``recompute``), whether the input of all steps is convolved beforehand (``hoist``), and how many steps share one
    gradient of the weights (``group``); ``parts`` are the windows of a batch that are computed side by side. With
    ``use_up`` the gradient of the input takes the room of the input, which is nobody else's.
    """

    kind: torch.dtype
    radius: int
    warm_up: int = 0
    last: int = 1
    recompute: bool = False
    hoist: bool = False
    group: int = 1
    parts: tuple[slice, ...] = (slice(None),)
    use_up: bool = False


class Weights(NamedTuple):
    """Of one layer, in the layout of the maps: ``both`` (4 m, n + m, k, k) for input and state side by side, of which
    the first ``inputs`` channels read the input; ``bias`` (4 m,) and ``base`` (B, H, W, 4 m) are added at each step.
    """

    both: Tensor
    inputs: int
    bias: Optional[Tensor] = None
    base: Optional[Tensor] = None

    @property
    def x(self) -> Tensor:
        """For the input alone."""
        return self.both[:, : self.inputs].contiguous(memory_format=torch.channels_last)

    @property
    def h(self) -> Tensor:
        """For the state alone."""
        return self.both[:, self.inputs :].contiguous(memory_format=torch.channels_last)


class Start(NamedTuple):
    """The state before the first step, (B, H, W, m); None for zeros."""

    h: Optional[Tensor] = None
    c: Optional[Tensor] = None


def prepare(
    weight_x: Tensor,
    weight_h: Tensor,
    kind: torch.dtype,
    factor: float,
    bias: Optional[Tensor] = None,
    base: Optional[Tensor] = None,
) -> Weights:
    """Weights of type ``kind`` in the layout of the maps, the rows of g multiplied by ``factor``."""
    both = scaled(torch.cat((weight_x, weight_h), dim=1), factor).to(kind, memory_format=torch.channels_last)
    bias = None if bias is None else scaled(bias, factor).to(kind)
    base = None if base is None else scaled(base.movedim(-1, 0), factor).movedim(0, -1).to(kind).contiguous()
    return Weights(both, weight_x.shape[1], bias, base)


_Given = TypeVar("_Given", Weights, Start)


class Pair:
    """What the convolution of a step reads: input and state side by side (B, H, W, n + m), in one room for all steps of
    one pass over ``x`` (T, B, H, W, n).
    """

    def __init__(self, x: Tensor) -> None:
        self._x = x
        self._room: Optional[Tensor] = None
        self._step = -1

    def of(self, step: int, h: Tensor) -> Tensor:
        """That of a step with the state ``h`` before it; it stands until another step is asked for."""
        if self._room is None:
            self._room = h.new_empty((*h.shape[:3], self._x.shape[-1] + h.shape[-1]))
        if self._step != step:
            torch.cat((self._x[step], h), dim=-1, out=self._room)
            self._step = step
        return self._room


class Steps:
    """The gates of a layer before activation, step by step.

    ``x`` (T, B, H, W, n) of the type of the plan, each step of it contiguous.
    """

    def __init__(self, plan: Plan, weights: Weights, x: Tensor) -> None:
        self._plan, self._weights, self._x = plan, weights, x
        self.pair = Pair(x)
        self._weight_h = weights.h if plan.hoist else None
        self._hoisted: Optional[tuple[Tensor, ...]] = None
        if plan.hoist:
            self._hoisted = self._convolve(x.flatten(0, 1), weights.x, True).unflatten(0, x.shape[:2]).unbind(0)

    def gates(self, step: int, h: Optional[Tensor]) -> Tensor:
        """(B, H, W, 4 m) of a step, from the output of the step before; the caller may write into it."""
        if self._hoisted is not None:
            gates = self._hoisted[step]
            if h is not None:
                gates.add_(self._convolve(h, self._weight_h, False))
        elif h is None:
            gates = self._convolve(self._x[step], self._weights.x, True)
        else:
            gates = self._convolve(self.pair.of(step, h), self._weights.both, True)
        return gates if self._weights.base is None else gates.add_(self._weights.base)

    def _convolve(self, maps: Tensor, weight: Tensor, with_bias: bool) -> Tensor:
        bias = self._weights.bias if with_bias else None
        planes = F.conv2d(maps.permute(0, 3, 1, 2), weight, bias, padding=self._plan.radius)
        return planes.permute(0, 2, 3, 1).contiguous()


def run(plan: Plan, weights: Weights, x: Tensor, start: Start, outputs: Tensor, memories: Tensor) -> dict[int, Tensor]:
    """All steps. Writes ``outputs`` (T, B, H, W, m) and, from the step before the first with a gradient on,
    ``memories`` (at most T, B, H, W, m); gives the gates that a backward pass needs, by step.
    """
    first = len(x) - len(memories)
    steps, room = Steps(plan, weights, x), torch.empty_like(memories[0])
    spare = [torch.empty_like(room) for _ in range(min(2, first))]
    h, c, kept = start.h, start.c, {}
    # Where the last output alone is given, the way back begins here soon: those gates are never in the way.
    keeps_from = (len(x) - 1 if plan.last < len(x) else len(x)) if plan.recompute else 0
    for step in range(len(x)):
        gates, new = steps.gates(step, h), spare[step % 2] if step < first else memories[step - first]
        h = advance(split(activated(gates, room.dtype)), c, new, outputs[step], room)
        c = new
        if step >= max(plan.warm_up, keeps_from):
            kept[step] = gates
    return kept


def infer(plan: Plan, weights: Weights, x: Tensor, start: Start, outputs: Tensor) -> tuple[Tensor, Tensor]:
    """All steps, of which ``outputs`` (last, B, H, W, m) takes the last ones; gives the final state."""
    steps, shape = Steps(plan, weights, x), outputs.shape[1:]
    room, *memories = (x.new_empty(shape, dtype=memory_type(plan.kind)) for _ in range(min(2, len(x)) + 1))
    spare = x.new_empty(shape) if len(outputs) < len(x) else outputs[0]
    h, c = start.h, start.c
    for step in range(len(x)):
        place, new = step - (len(x) - len(outputs)), memories[step % 2]
        gates = split(activated(steps.gates(step, h), room.dtype))
        h = advance(gates, c, new, spare if place < 0 else outputs[place], room)
        c = new
    return h, c


def started(plan: Plan, h: Optional[Tensor], c: Optional[Tensor]) -> Start:
    """A state before the first step in the types of the plan."""
    return Start(
        None if h is None else h.to(plan.kind).contiguous(),
        None if c is None else c.to(memory_type(plan.kind)).contiguous(),
    )


def part_of(given: _Given, windows: slice) -> _Given:
    """What belongs to some windows of a batch."""
    if isinstance(given, Weights):
        return given._replace(base=None if given.base is None else given.base[windows])
    return Start(*(None if item is None else item[windows] for item in given))


class Sequence(torch.autograd.Function):
    """The steps of a layer with their backward pass; the arguments are those of :func:`core.models.sequence.run_layer`.

    Gives outputs (last, B, H, W, m) and the final state h, c. Gradients overwrite the gates that were kept; a second
    backward pass computes them anew, but where the plan uses the input up. Raises RuntimeError for that, and where a
    gradient is to be differentiated again.
    """

    @staticmethod
    def forward(
        ctx: Any,
        plan: Plan,
        x: Tensor,
        weight_x: Tensor,
        weight_h: Tensor,
        bias: Optional[Tensor],
        base: Optional[Tensor],
        h: Optional[Tensor],
        c: Optional[Tensor],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        with torch.autocast(x.device.type, enabled=False):
            maps, start = x.to(plan.kind).contiguous(), started(plan, h, c)
            weights = prepare(weight_x, weight_h, plan.kind, SCALE, bias, base)
            shape = (*x.shape[1:4], weight_h.shape[1])
            outputs = maps.new_empty((len(x), *shape))
            memories = maps.new_empty((len(x) - max(0, plan.warm_up - 1), *shape), dtype=memory_type(plan.kind))
            tasks = [
                (plan, part_of(weights, p), maps[:, p], part_of(start, p), outputs[:, p], memories[:, p])
                for p in plan.parts
            ]
            ctx.gates = side_by_side(run, tasks)
        ctx.plan, ctx.used_up = plan, False
        ctx.types = [None if item is None else item.dtype for item in (x, weight_x, weight_h, bias, base, h, c)]
        ctx.save_for_backward(maps, weight_x, weight_h, bias, base, start.h, start.c, outputs, memories)
        ctx.set_materialize_grads(False)
        return outputs[len(x) - plan.last :], outputs[-1], memories[-1]

    @staticmethod
    def backward(ctx: Any, *grads: Optional[Tensor]) -> tuple[Optional[Tensor], ...]:
        """Gradients of all arguments."""
        from .sequence_backward import backward

        if ctx.used_up:
            raise RuntimeError(
                "A layer that computes its gates anew goes back once: the gradient has taken the room of its input. "
                "Compute the forward pass again, or within core.models.engine.using(recompute=False)."
            )
        ctx.used_up = ctx.plan.use_up
        with torch.no_grad(), torch.autocast(ctx.saved_tensors[0].device.type, enabled=False):
            found = backward(ctx.plan, ctx.saved_tensors, ctx.gates, ctx.needs_input_grad[1:], grads)
        found = [g if g is None else g.to(kind) for g, kind in zip(found, ctx.types)]
        if torch.is_grad_enabled():
            found = [g if g is None else _Once.apply(g, *(o for o in grads if o is not None)) for g in found]
        return (None, *found)


class _Once(torch.autograd.Function):
    """A gradient that cannot be differentiated, said when it is tried."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *of: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise RuntimeError(
            "The sequence kernel of ConvLSTM layers gives first derivatives only. For second ones, compute the forward "
            "pass within core.models.engine.using(kernel='steps')."
        )
