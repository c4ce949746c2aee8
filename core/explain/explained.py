"""The number that is explained, as a function of everything that the model reads.

Symbols: N points at once, T window, L leads, C dynamic channels, S static channels, A channels known ahead, K targets,
G gauges, H rows, W columns; ``frame`` is (H, W), or (1, G) where gauges are predicted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

import numpy as np
import torch
from torch import Tensor, nn

from ..data.scaling import Scaler
from ..models.near import Region, narrows, predict_near

_MARGIN = 0.5  # curved scalers leave the fitted range by this share of its width, as Scaler.inverse clips

Reduce = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Attribution:
    """Contributions in the unit of what is explained, float64: ``x`` (T, C, H, W), ``static`` (S, H, W) or None,
    ``ahead`` (L, A, H, W) or None.

    A method that does not tell steps or cells apart leaves that axis at length 1. ``heat`` (T or 1, H or 1, W or 1) is
    given in place of all others by the methods that do not tell variables apart. ``prediction`` and
    ``baseline_prediction`` are the explained number with the input and with the baseline. ``passes`` is what was spent,
    ``facts`` are plain JSON values on how it was computed. ``slopes`` are the mean gradients of the methods that have
    some, by the names of the parts: the response to a scaled unit of an input, whatever the weather was.
    """

    x: Optional[np.ndarray]
    static: Optional[np.ndarray]
    prediction: float
    baseline_prediction: float
    ahead: Optional[np.ndarray] = None
    heat: Optional[np.ndarray] = None
    passes: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    slopes: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def parts(self) -> list[np.ndarray]:
        """The arrays that are there."""
        return [part for part in (self.x, self.static, self.ahead, self.heat) if part is not None]

    @property
    def total(self) -> float:
        """Sum of all contributions."""
        return float(sum(part.sum() for part in self.parts))

    @property
    def residual(self) -> float:
        """What the contributions leave unexplained: (prediction - baseline prediction) - their sum."""
        return float(self.prediction - self.baseline_prediction - self.total)


class PlaceMean:
    """Turns ``y_hat`` (N, L, K, *frame) in scaled units into the mean over a place, (N,) in the target's unit.

    The inverse of the target's scaler is part of the function, so contributions are in the target's unit. Float64 on
    the CPU, since not every device has it. ``weights`` of the frame sum to 1; ``lead`` and ``target`` are places in the
    output.
    """

    def __init__(self, weights: np.ndarray, scaler: Scaler, lead: int = 0, target: int = 0) -> None:
        rows, columns = np.nonzero(weights)
        self._cells = (torch.from_numpy(rows), torch.from_numpy(columns))
        self._weights = torch.from_numpy(np.ascontiguousarray(weights[rows, columns], dtype=np.float64))
        self._scaler, self._lead, self._target = scaler, lead, target

    def __call__(self, y_hat: Tensor) -> Tensor:
        frame = y_hat[:, self._lead, self._target].cpu().double()
        frame = frame.unsqueeze(1) if frame.dim() == 2 else frame
        return unscale(self._scaler, frame[:, self._cells[0], self._cells[1]]) @ self._weights


@dataclass(frozen=True)
class Surroundings:
    """What the model reads and nobody varies: ``observed`` (T, C, H, W), ``mask`` (1, 1, H, W), ``time_of_year`` (L,);
    and ``static``, ``ahead`` where they are not among the inputs that are varied.
    """

    observed: Optional[Tensor] = None
    mask: Optional[Tensor] = None
    time_of_year: Optional[Tensor] = None
    static: Optional[Tensor] = None
    ahead: Optional[Tensor] = None


class Explained:
    """``function(*parts) -> (N,)``: the explained number of N inputs. ``names`` say what the parts are, in their order:
    "x" (N, T, C, H, W), "static" (N, S, H, W), "ahead" (N, L, A, H, W), scaled. ``box`` are the rows and columns of
    maps that it depends on, None where that is not known.
    """

    def __init__(
        self,
        module: nn.Module,
        reduce: Reduce,
        names: Sequence[str],
        around: Surroundings,
        box: Optional[Region] = None,
    ) -> None:
        self.module, self.names = module, tuple(names)
        self._reduce, self._around, self._box = reduce, around, box

    def near(self, *parts: Tensor) -> Tensor:
        """The same number; where the model's structure allows it, computed only from the cells that it depends on."""
        if self._box is None or not narrows(self.module):
            return self(*parts)
        given = dict(zip(self.names, parts))
        count = len(given["x"])
        static = given.get("static", _repeated(self._around.static, count))
        observed = _repeated(self._around.observed, count)
        return self._reduce(predict_near(self.module, given["x"], static, observed, self._box))

    def __call__(self, *parts: Tensor) -> Tensor:
        given = dict(zip(self.names, parts))
        x, around = given["x"], self._around
        count = len(x)
        more: dict[str, Any] = {}
        if getattr(self.module, "uses_mask", False):
            more["mask"] = around.mask
        if getattr(self.module, "uses_ahead", False):
            more["ahead"] = given.get("ahead", _repeated(around.ahead, count))
        if getattr(self.module, "uses_time_of_year", False):
            more["time_of_year"] = _repeated(around.time_of_year, count)
        static = given.get("static", _repeated(around.static, count))
        with _without_cudnn_recurrence(self.module):
            found = self.module(x, static, _repeated(around.observed, count), **more)["y_hat"]
        return self._reduce(found)

    def of(self, module: nn.Module) -> Explained:
        """The same question to another model."""
        return Explained(module, self._reduce, self.names, self._around, self._box)


def unscale(scaler: Scaler, scaled: Tensor) -> Tensor:
    """:meth:`Scaler.inverse` on a float64 tensor of any shape, differentiable, with the same clipping."""
    if scaler.kind == "none":
        return scaled
    if scaler.kind == "amount":
        return scaled * scaler.width
    curved = scaler.kind in ("yeo-johnson", "log1p")
    if curved:
        reach = _MARGIN * (scaler.high - scaler.low)
        scaled = scaled.clamp(scaler.low - reach, scaler.high + reach)
    moved = scaled * scaler.width + scaler.shift
    if not curved:
        return moved
    # Both branches are 0 at 0. Each sees only its own side: the gradient of a branch not taken could be NaN.
    zero = torch.zeros_like(moved)
    up, down = torch.where(moved >= 0, moved, zero), torch.where(moved < 0, -moved, zero)
    if scaler.kind == "log1p":
        return torch.expm1(up) - torch.expm1(down)
    return _power(up, scaler.exponent) - _power(down, 2.0 - scaler.exponent)


def _power(values: Tensor, exponent: float) -> Tensor:
    """Inverse of one side of Yeo-Johnson for values of at least 0."""
    if abs(exponent) < 1e-9:
        return torch.expm1(values)
    return torch.expm1(torch.log1p((exponent * values).clamp(min=-1 + 1e-9)) / exponent)


def _repeated(tensor: Optional[Tensor], count: int) -> Optional[Tensor]:
    return None if tensor is None else tensor[None].expand(count, *tensor.shape)


def _without_cudnn_recurrence(module: nn.Module) -> Any:
    """cuDNN's recurrent layers have no backward pass in evaluation mode; convolutional cells do not need this."""
    if any(isinstance(part, nn.RNNBase) for part in module.modules()):
        return torch.backends.cudnn.flags(enabled=False)
    return contextlib.nullcontext()
