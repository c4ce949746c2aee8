"""The structural similarity of maps with missing cells."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_RADIUS, _SIGMA = 5, 1.5  # of the Gaussian window, cells
_K1, _K2 = 0.01, 0.03


def similarity(one: Tensor, two: Tensor, observed: Tensor, reach: Tensor) -> Tensor:
    """SSIM of each cell (Wang et al. 2004, DOI 10.1109/TIP.2003.819861), of the shape of the maps (..., H, W).

    Means, variances and the covariance are weighted by a Gaussian of 1.5 cells within 11 x 11 cells, of which only
    those ``observed`` (bool) count; ``two`` is finite everywhere. ``reach``, which broadcasts, is the range of the
    values. Windows are cut at the edge of the map. 0 where no cell of a window was observed.
    """
    frame = one.shape[-2:]
    weight = observed.to(one.dtype).reshape(-1, 1, *frame)
    a, b = (torch.where(observed, values, 0.0).reshape(-1, 1, *frame) for values in (one, two))
    share = _blurred(weight)
    there = share > 0
    share = torch.where(there, share, 1.0)
    mean_a, mean_b = _blurred(a) / share, _blurred(b) / share
    variance_a = _blurred(a * a) / share - mean_a * mean_a
    variance_b = _blurred(b * b) / share - mean_b * mean_b
    covariance = _blurred(a * b) / share - mean_a * mean_b
    reach = reach.expand(one.shape).reshape(-1, 1, *frame)
    c1, c2 = (_K1 * reach) ** 2, (_K2 * reach) ** 2
    above = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    below = (mean_a * mean_a + mean_b * mean_b + c1) * (variance_a + variance_b + c2)
    return torch.where(there, above / below, 0.0).reshape(one.shape)


def _blurred(maps: Tensor) -> Tensor:
    """Sums weighted by the Gaussian window, of (n, 1, H, W); what lies outside counts as 0."""
    away = torch.arange(-_RADIUS, _RADIUS + 1, dtype=maps.dtype, device=maps.device)
    window = torch.exp(-0.5 * (away / _SIGMA).square())
    window = window / window.sum()
    down = functional.conv2d(maps, window.reshape(1, 1, -1, 1), padding=(_RADIUS, 0))
    return functional.conv2d(down, window.reshape(1, 1, 1, -1), padding=(0, _RADIUS))
