"""Local spatial autocorrelation of maps."""

from __future__ import annotations

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor

_FLAT = 1e-6  # a variance below this share of the squared mean is rounding, not variation


def local_moran(values: Tensor, known: Optional[Tensor] = None, reach: int = 0) -> Tensor:
    r"""Local Moran's index of each map (Anselin 1995, doi:10.1111/j.1538-4632.1995.tb00338.x).

    .. math:: I_i = \frac{z_i}{m_2} \frac{1}{n_i} \sum_{j \in N(i)} z_j, \quad z = x - \bar x, \quad
        m_2 = \overline{z^2}

    ``N(i)`` are the ``n_i`` known cells among the eight neighbours. Positive in clusters of high or of low values,
    negative at outliers.

    Parameters
    ----------
    values : Tensor
        Maps (..., H, W).
    known : Tensor, optional
        Like ``values``, 1 where a value counts and 0 elsewhere; None for everywhere.
    reach : int
        Mean and variance are those of the whole map with 0, else of the square around a cell that reaches so many cells
        to each side.

    Returns
    -------
    Tensor
        Like ``values``; 0 where a value is not known, where no neighbour is, and on flat maps.
    """
    known = torch.ones_like(values) if known is None else known
    values = values * known
    if reach == 0:
        count = known.sum(dim=(-2, -1), keepdim=True).clamp(min=1.0)
        mean = values.sum(dim=(-2, -1), keepdim=True) / count
        spread = ((values - mean) * known).square().sum(dim=(-2, -1), keepdim=True) / count
    else:
        count = _square_mean(known, reach)
        count = torch.where(count > 0.0, count, 1.0)
        mean = _square_mean(values, reach) / count
        spread = _square_mean(values.square(), reach) / count - mean.square()
    neighbours = _around(known)
    lag = (_around(values) - mean * neighbours) / neighbours.clamp(min=1.0)
    varies = spread > _FLAT * mean.square() + torch.finfo(values.dtype).tiny
    index = (values - mean) * lag / torch.where(varies, spread, 1.0)
    return torch.where(varies & (known > 0.0), index, 0.0)


def damped(index: Tensor) -> Tensor:
    """``sign(I) log(1 + |I|)``: the index has no bounds, a single wet cell on a dry map gives hundreds."""
    return torch.sign(index) * torch.log1p(index.abs())


def _around(maps: Tensor) -> Tensor:
    """Sum over the eight neighbours, 0 beyond the edge."""
    height, width = maps.shape[-2:]
    padded = F.pad(maps, (1, 1, 1, 1))
    places = [(row, column) for row in range(3) for column in range(3) if (row, column) != (1, 1)]
    parts = [padded[..., row : row + height, column : column + width] for row, column in places]
    return torch.stack(parts).sum(dim=0)


def _square_mean(maps: Tensor, reach: int) -> Tensor:
    """Mean over the square of 2 reach + 1 cells, 0 beyond the edge."""
    flat = maps.reshape(-1, 1, *maps.shape[-2:])
    return F.avg_pool2d(flat, 2 * reach + 1, stride=1, padding=reach).view(maps.shape)
