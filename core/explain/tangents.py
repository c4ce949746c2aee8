"""How much each cell of a prediction moves where one variable moves: a derivative along a direction, all cells at once.

A gradient goes from one cell back to all inputs: a map of drivers would take one for each cell. A tangent goes the
other way, from one variable forward to all cells, and costs about two passes of the model for any number of cells.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..data.scaling import Scaler
from .explained import Explained, Reduce, Surroundings, unscale

_STEP = 1e-6  # of central differences in float64, where a layer has no tangent of its own
_CONV_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_CONV_DEFAULTS = {"bias": None, "stride": 1, "padding": 0, "dilation": 1, "groups": 1}
Parts = Sequence[Tensor]


class CellValues:
    """Turns ``y_hat`` (1, L, K, H, W) in scaled units into float64 (cells,) in the target's unit."""

    def __init__(self, cells: np.ndarray, scaler: Scaler, lead: int, target: int) -> None:
        self._cells = torch.from_numpy(np.flatnonzero(cells))
        self._scaler, self._lead, self._target = scaler, lead, target

    def __call__(self, y_hat: Tensor) -> Tensor:
        frame = y_hat[0, self._lead, self._target].cpu().double()
        return unscale(self._scaler, frame.flatten()[self._cells])


class Tangents:
    """Values and derivatives of what ``reduce`` takes from a model, in float32 by forward-mode differentiation, or
    where a layer of the model has none by central differences in float64. ``names`` and ``around`` are those of
    :class:`Explained`.
    """

    def __init__(self, module: nn.Module, reduce: Reduce, names: Sequence[str], around: Surroundings) -> None:
        self._function = Explained(module, reduce, names, around)
        self._asked = (reduce, names, around)
        self._double: Any = None
        self._together = True

    @property
    def exact(self) -> bool:
        """Whether derivatives come from differentiation, not from differences."""
        return self._double is None

    def value(self, point: Parts) -> Tensor:
        """The values (cells,) at a point."""
        with torch.no_grad():
            return self._function(*point)

    def along_all(self, point: Parts, directions: Sequence[Parts]) -> Tensor:
        """The derivatives (n, cells) at a point along n directions. Together they cost less than one by one: what does
        not depend on the direction is computed once.
        """
        if self._together and self._double is None and len(directions) > 1:
            try:
                return self._forward_together(point, directions)
            except (NotImplementedError, RuntimeError):  # a layer that cannot do it; one by one it may
                self._together = False
        return torch.stack([self.along(point, direction) for direction in directions])

    def along(self, point: Parts, direction: Parts) -> Tensor:
        """The derivative (cells,) at a point along a direction."""
        if self._double is None:
            try:
                return self._forward(point, direction)
            except NotImplementedError:  # what torch says of a layer that cannot do it
                self._double = self._in_double()
        return self._differences(point, direction)

    def _forward_together(self, point: Parts, directions: Sequence[Parts]) -> Tensor:
        from torch.func import jvp, vmap

        # A copy, since a layer that keeps something of its last call would keep a value of this way of computing.
        function = self._function.of(copy.deepcopy(self._function.module))

        def derivative(*direction: Tensor) -> Tensor:
            return jvp(function, tuple(point), direction)[1]

        with torch.no_grad(), plain_recurrence(function.module), _LeanConvolutions():
            return vmap(derivative)(*(torch.stack(parts) for parts in zip(*directions)))

    def _forward(self, point: Parts, direction: Parts) -> Tensor:
        from torch.autograd import forward_ad

        with torch.no_grad(), plain_recurrence(self._function.module), forward_ad.dual_level():
            duals = [forward_ad.make_dual(p, d) for p, d in zip(point, direction)]
            found = self._function(*duals)
            tangent = forward_ad.unpack_dual(found).tangent
            return torch.zeros_like(found) if tangent is None else tangent.detach().clone()

    def _in_double(self) -> Explained:
        reduce, names, around = self._asked
        fields = {field.name: getattr(around, field.name) for field in dataclasses.fields(around)}
        wide = {name: None if value is None else value.double() for name, value in fields.items()}
        return Explained(copy.deepcopy(self._function.module).double(), reduce, names, Surroundings(**wide))

    def _differences(self, point: Parts, direction: Parts) -> Tensor:
        with torch.no_grad():
            ends = [
                self._double(*(p.double() + sign * _STEP * d.double() for p, d in zip(point, direction)))
                for sign in (1.0, -1.0)
            ]
        return (ends[0] - ends[1]) / (2 * _STEP)


class _Convolution(torch.autograd.Function):
    """conv2d, whose tangent torch would take as two convolutions, of the weights' tangent too: mostly that is zero."""

    generate_vmap_rule = True

    @staticmethod
    def forward(maps: Tensor, weight: Tensor, bias: Any, *how: Any) -> Tensor:
        return torch.conv2d(maps, weight, bias, *how)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        maps, weight, _, *ctx.how = inputs
        ctx.save_for_forward(maps, weight)

    @staticmethod
    def jvp(ctx: Any, maps_t: Any, weight_t: Any, bias_t: Any, *_: Any) -> Any:
        maps, weight = ctx.saved_tensors
        found = None if maps_t is None else torch.conv2d(maps_t, weight, None, *ctx.how)
        if weight_t is not None or bias_t is not None:
            through = torch.zeros_like(weight) if weight_t is None else weight_t
            more = torch.conv2d(maps, through, bias_t, *ctx.how)
            found = more if found is None else found + more
        return found


class _LeanConvolutions(TorchFunctionMode):
    """Within it every conv2d is a :class:`_Convolution`."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        if func is not torch.conv2d:
            return func(*args, **(kwargs or {}))
        named = {**_CONV_DEFAULTS, **dict(zip(_CONV_ARGUMENTS, args)), **(kwargs or {})}
        return _Convolution.apply(*(named[name] for name in _CONV_ARGUMENTS))


@contextlib.contextmanager
def plain_recurrence(module: nn.Module) -> Any:
    """Fused recurrent layers have no forward-mode derivative; torch's own steps have."""
    if any(isinstance(part, nn.RNNBase) for part in module.modules()):
        with torch.backends.mkldnn.flags(enabled=False):
            yield
    else:
        yield


def nodes(steps: int) -> list[tuple[float, float]]:
    """(place, weight) of the Gauss-Legendre points on 0 to 1."""
    places, weights = np.polynomial.legendre.leggauss(steps)
    return [(float((place + 1) / 2), float(weight / 2)) for place, weight in zip(places, weights)]
