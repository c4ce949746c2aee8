"""Integrated gradients of one number of a prediction (Sundararajan, Taly and Yan 2017, doi:10.48550/arXiv.1703.01365).

The contribution of an input is its distance from the baseline times the mean gradient along the straight path between
the two. Contributions add up to prediction - baseline prediction (completeness); what is missing is the residual.

Symbols: N points of the path at once, T window, L leads, C dynamic channels, S static channels, K targets, H rows, W
columns.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Callable, Optional

import numpy as np
import torch
from torch import Tensor, nn

from ..data.scaling import Scaler

_MARGIN = 0.5  # curved scalers leave the fitted range by this share of its width, as Scaler.inverse clips

Reduce = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Attribution:
    """Contributions in the unit of what is explained: ``x`` float64 (T, C, H, W), ``static`` float64 (S, H, W) or None.

    ``prediction`` and ``baseline_prediction`` are the explained number at both ends of the path.
    """

    x: np.ndarray
    static: Optional[np.ndarray]
    prediction: float
    baseline_prediction: float

    @property
    def residual(self) -> float:
        """What the contributions leave unexplained: (prediction - baseline prediction) - their sum."""
        total = self.x.sum() + (0.0 if self.static is None else self.static.sum())
        return float(self.prediction - self.baseline_prediction - total)


class PlaceMean:
    """Turns ``y_hat`` (N, L, K, H, W) in scaled units into the mean over a place, (N,) in the target's unit.

    The inverse of the target's scaler is part of the function, so contributions are in the target's unit. Float64 on
    the CPU, since not every device has it. ``weights`` (H, W) sum to 1; the first lead and target are taken.
    """

    def __init__(self, weights: np.ndarray, scaler: Scaler) -> None:
        rows, columns = np.nonzero(weights)
        self._cells = (torch.from_numpy(rows), torch.from_numpy(columns))
        self._weights = torch.from_numpy(np.ascontiguousarray(weights[rows, columns], dtype=np.float64))
        self._scaler = scaler

    def __call__(self, y_hat: Tensor) -> Tensor:
        cells = y_hat[:, 0, 0].cpu().double()[:, self._cells[0], self._cells[1]]
        return unscale(self._scaler, cells) @ self._weights


def unscale(scaler: Scaler, scaled: Tensor) -> Tensor:
    """:meth:`Scaler.inverse` on a float64 tensor of any shape, differentiable, with the same clipping."""
    if scaler.kind == "none":
        return scaled
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


def attribute(
    module: nn.Module,
    x: Tensor,
    static: Optional[Tensor],
    observed: Optional[Tensor],
    reduce: Reduce,
    baseline_x: Tensor,
    baseline_static: Optional[Tensor],
    steps: int,
    internal_batch: int = 1,
    mask: Optional[Tensor] = None,
) -> Generator[float, None, Attribution]:
    """Integrate along the path in pieces; yields the share done after each, and returns the :class:`Attribution`.

    Parameters
    ----------
    module : a model in evaluation mode, with the contract of :mod:`core.models.base`.
    x, baseline_x : float32 (T, C, H, W), scaled, without NaN.
    static, baseline_static : float32 (S, H, W) or None; not attributed where the model does not read them.
    observed : (T, C, H, W) or None; kept as it is along the whole path.
    reduce : ``y_hat`` (N, L, K, H, W) -> (N,), for instance :class:`PlaceMean`.
    mask : (1, 1, H, W), 1 inside the basin, for the models that read it.
    steps : points of the path in all; ``internal_batch`` of them are computed at once, which bounds memory.

    The path is cut into pieces of ``internal_batch`` points, each integrated by Gauss-Legendre: integrals of pieces add
    up to that of the whole, and between two of them a run can be cancelled.
    """
    from captum.attr import IntegratedGradients

    whole = _explained(module, observed, reduce, mask)
    with_static = static is not None and getattr(module, "uses_static", True)
    ends = [x[None], static[None]] if with_static else [x[None]]
    starts = [baseline_x[None], baseline_static[None]] if with_static else [baseline_x[None]]
    totals = [np.zeros(tuple(end.shape[1:])) for end in ends]
    with torch.no_grad():
        prediction, baseline_prediction = (float(whole(*point)[0]) for point in (ends, starts))
    engine = IntegratedGradients(whole)
    for first, last, points in _pieces(steps, internal_batch):
        near, far = (tuple(a + share * (b - a) for a, b in zip(starts, ends)) for share in (first, last))
        with _without_cudnn_recurrence(module):
            parts = engine.attribute(far, baselines=near, n_steps=points, method="gausslegendre")
        for total, part in zip(totals, parts):
            total += part[0].detach().cpu().double().numpy()
        yield last
    return Attribution(totals[0], totals[1] if with_static else None, prediction, baseline_prediction)


def _explained(
    module: nn.Module, observed: Optional[Tensor], reduce: Reduce, mask: Optional[Tensor]
) -> Callable[..., Tensor]:
    """x (N, T, C, H, W)[, static (N, S, H, W)] -> (N,): the number to explain."""
    more = {"mask": mask} if getattr(module, "uses_mask", False) else {}

    def forward(x: Tensor, static: Optional[Tensor] = None) -> Tensor:
        seen = None if observed is None else observed[None].expand(x.shape[0], *observed.shape)
        return reduce(module(x, static, seen, **more)["y_hat"])

    return forward


def _pieces(steps: int, internal_batch: int) -> list[tuple[float, float, int]]:
    """(start, end, points) of the pieces of the path from 0 to 1, each as long as its share of the points."""
    edges = [*range(0, steps, max(1, internal_batch)), steps]
    return [(a / steps, b / steps, b - a) for a, b in zip(edges, edges[1:])]


def _power(values: Tensor, exponent: float) -> Tensor:
    """Inverse of one side of Yeo-Johnson for values of at least 0."""
    if abs(exponent) < 1e-9:
        return torch.expm1(values)
    return torch.expm1(torch.log1p((exponent * values).clamp(min=-1 + 1e-9)) / exponent)


def _without_cudnn_recurrence(module: nn.Module) -> Any:
    """cuDNN's recurrent layers have no backward pass in evaluation mode; convolutional cells do not need this."""
    if any(isinstance(part, nn.RNNBase) for part in module.modules()):
        return torch.backends.cudnn.flags(enabled=False)
    return contextlib.nullcontext()
