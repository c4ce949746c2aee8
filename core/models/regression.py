"""Ridge regression on lagged values, solved at once from sums."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional

import torch
from torch import Tensor

from ..contracts.errors import ConfigError
from .base import WHOLE_FRAME_PX
from .lagged import LaggedModel
from .learning import Samples

_ROWS = 65536  # rows in float64 at once
_SUMS_BYTES = 256 * 2**20  # sums held at once; more cells take further passes over the data
_CONSTANT = 1e-12  # variance, as a share of 1 + mean^2, below which a feature tells nothing
_NEGLIGIBLE = 1e-12  # eigenvalue, as a share of the greatest, that counts as none


class Ridge(LaggedModel):
    r"""Linear regression with an L2 penalty (Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634).

    .. math::
        \hat y = b + \sum_j w_j z_j, \quad z_j = \frac{f_j - \bar f_j}{s_j}, \qquad
        \min_{b, w} \sum_n (y_n - \hat y_n)^2 + \lambda N \sum_j w_j^2

    with features f of :class:`LaggedModel`, their means and standard deviations over the N samples, and ``penalty``
    :math:`\lambda`. One set of weights for all cells, or with ``per_cell`` one for each. Each output is fitted on the
    samples at which it was observed. Solved in float64 by the eigenvalues of :math:`Z'Z / N + \lambda I` from sums
    gathered batch by batch, so that features that repeat each other do no harm: without a penalty the least weights
    are taken. Features that never vary get none. A cell that was never observed predicts 0, the mean. Shapes, units
    and NaN policy: :mod:`core.models.base`.
    """

    name = "ridge"

    def __init__(self, *sizes: Any, **options: Any) -> None:
        super().__init__(*sizes, **options)
        if self.options["per_cell"] and self.gauges:
            raise ConfigError(
                "ridge.per_cell is for maps",
                expected="one regression for each gauge, which it is without it",
                remedy="Leave out ridge.per_cell",
            )
        self.register_buffer("weight", torch.zeros(self.outputs, self.inputs, 1, 1))
        self.register_buffer("bias", torch.zeros(self.outputs, 1, 1))
        self.register_buffer("centre", torch.zeros(self.inputs, 1, 1))
        self.grows = {"weight": 2, "bias": 1, "centre": 1} if self.options["per_cell"] else {}

    @property
    def bound_to_grid(self) -> bool:
        """Whether there is a weight for every cell."""
        return self.options["per_cell"]

    def predict(self, features: Tensor) -> Tensor:
        """(B, F, H, W) -> (B, outputs, H, W); raises ConfigError on a grid other than that of the weights."""
        rows, columns = self.weight.shape[2:]
        if (rows, columns) == (1, 1):
            return torch.einsum("bfhw,of->bohw", features - self.centre, self.weight[:, :, 0, 0]) + self.bias
        if (rows, columns) != tuple(features.shape[2:]):
            raise ConfigError(
                "This model is bound to its grid: it has a weight for every cell",
                expected=f"{rows} x {columns} cells",
                got=f"{features.shape[2]} x {features.shape[3]} cells",
                remedy="Give maps of that grid, train a model for this one, or leave out ridge.per_cell",
            )
        return torch.einsum("bfhw,ofhw->bohw", features - self.centre, self.weight) + self.bias

    def halo_px(self, window: int) -> int:
        """A cell knows nothing of its neighbours, but a tile is not the grid that the weights are bound to."""
        return WHOLE_FRAME_PX if self.bound_to_grid else super().halo_px(window)

    @torch.no_grad()
    def learn(self, samples: Samples, seed: int) -> Iterator[float]:
        """Gather sums and solve; one pass, or several where every cell has weights and the grid is large."""
        if not self.options["per_cell"]:
            sums = _Sums(self.inputs, self.outputs, 1)
            for number, sample in enumerate(samples, start=1):
                for features, y in _pooled(*self.rows(sample)):
                    sums.add(features, y)
                yield number / len(samples)
            centre, weight, bias = sums.solve(self.options["penalty"])
            self.keep(centre=centre.mT[..., None], weight=weight[0, ..., None, None], bias=bias.mT[..., None])
            return
        yield from self._learn_cells(samples)

    def _learn_cells(self, samples: Samples) -> Iterator[float]:
        rows, columns = next(iter(samples)).x.shape[3:]
        cells = rows * columns
        at_once = max(1, _SUMS_BYTES // (8 * self.outputs * self.inputs * (self.inputs + 1)))
        blocks = [(first, min(first + at_once, cells)) for first in range(0, cells, at_once)]
        parts = []
        for done, (first, stop) in enumerate(blocks):
            sums = _Sums(self.inputs, self.outputs, stop - first)
            for number, sample in enumerate(samples, start=1):
                features, y = (maps.flatten(2)[..., first:stop].permute(2, 0, 1) for maps in self.rows(sample))
                sums.add(features.to("cpu", torch.float64), y.to("cpu", torch.float64))
                yield (done + number / len(samples)) / len(blocks)
            parts.append(sums.solve(self.options["penalty"]))
        centre, weight, bias = (torch.cat(values) for values in zip(*parts))
        self.keep(
            centre=centre.mT.unflatten(1, (rows, columns)),
            weight=weight.permute(1, 2, 0).unflatten(2, (rows, columns)),
            bias=bias.mT.unflatten(1, (rows, columns)),
        )


def _pooled(features: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """All cells as rows of one place: (1, n, F) and (1, n, outputs) in float64 with a target at least, some at once."""
    y = y.permute(0, 2, 3, 1).flatten(0, 2)
    used = torch.isfinite(y).any(dim=1)
    y, features = y[used], features.permute(0, 2, 3, 1).flatten(0, 2)[used]
    for part_f, part_y in zip(features.split(_ROWS), y.split(_ROWS)):
        yield part_f.to("cpu", torch.float64)[None], part_y.to("cpu", torch.float64)[None]


class _Sums:
    """Sums over samples at P places, from which their regressions are solved; float64.

    Outputs that were always observed together share the sums of their features: the size S is 1 until some sample
    tells them apart, and then the number of outputs O.
    """

    def __init__(self, inputs: int, outputs: int, places: int) -> None:
        self.outputs = outputs
        self.shift: Optional[Tensor] = None  # (P, 1, F), near the means, so that squares do not swamp the variances
        zeros = {"dtype": torch.float64}
        self.count = torch.zeros(places, 1, **zeros)
        self.x = torch.zeros(places, 1, inputs, **zeros)
        self.xx = torch.zeros(places, 1, inputs, inputs, **zeros)
        self.y = torch.zeros(places, outputs, **zeros)
        self.xy = torch.zeros(places, outputs, inputs, **zeros)

    def add(self, features: Tensor, y: Tensor) -> None:
        """Add n samples at each place: (P, n, F) and (P, n, O), NaN where missing."""
        if not features.shape[1]:
            return
        if self.shift is None:
            self.shift = features.mean(dim=1, keepdim=True)
        features = features - self.shift
        seen = torch.isfinite(y).to(y.dtype)
        if self.count.shape[1] == 1 and not bool((seen == seen[..., :1]).all()):
            for name in ("count", "x", "xx"):
                held = getattr(self, name)
                setattr(self, name, held.repeat(1, self.outputs, *(1,) * (held.dim() - 2)))
        y = torch.nan_to_num(y)
        self.y += y.sum(dim=1)
        self.xy += y.mT @ features
        for group in range(self.count.shape[1]):
            weighed = features * seen[..., group, None]
            self.count[:, group] += seen[..., group].sum(dim=1)
            self.x[:, group] += weighed.sum(dim=1)
            self.xx[:, group] += weighed.mT @ features

    def solve(self, penalty: float) -> tuple[Tensor, Tensor, Tensor]:
        """Centre (P, F), weights (P, O, F) and bias (P, O): y = bias + weights (features - centre)."""
        count = self.count.clamp(min=1.0)[..., None]
        mean, mean_y = self.x / count, self.y / count[..., 0]
        covariance = self.xx / count[..., None] - mean.unsqueeze(-1) * mean.unsqueeze(-2)
        moment = self.xy / count - mean * mean_y.unsqueeze(-1)
        variance = covariance.diagonal(dim1=-2, dim2=-1)
        centre = mean.mean(dim=1) + (0.0 if self.shift is None else self.shift[:, 0])
        varies = variance > _CONSTANT * (1.0 + centre.square().unsqueeze(1))
        scale = torch.where(varies, variance.clamp(min=0.0), 1.0).rsqrt() * varies
        normal = covariance * scale.unsqueeze(-1) * scale.unsqueeze(-2)
        values, vectors = torch.linalg.eigh(normal)
        values = values.clamp(min=0.0)
        known = values > _NEGLIGIBLE * values.amax(dim=-1, keepdim=True)
        inverse = torch.where(known, 1.0 / (values + penalty).clamp(min=1e-300), 0.0)
        turned = (vectors.mT @ (moment * scale).unsqueeze(-1)) * inverse.unsqueeze(-1)
        weight = (vectors @ turned).squeeze(-1) * scale
        bias = mean_y - (weight * (mean - mean.mean(dim=1, keepdim=True))).sum(dim=-1)
        return centre, weight, bias
