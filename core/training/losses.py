"""Losses over observed cells only: the mean is taken over what was observed, so the share of the mask does not
change its value.
"""

from __future__ import annotations

from typing import Optional

import torch

from ..contracts.errors import ConfigError
from ..contracts.training_job import LOSSES


def masked_loss(
    kind: str, predicted: torch.Tensor, target: torch.Tensor, variance: Optional[torch.Tensor] = None
) -> torch.Tensor:
    """Scalar loss of ``predicted`` against ``target`` of the same shape (..., H, W); NaN in the target are left out.

    ``mse``, ``mae``; ``nse``: 1 - NSE averaged over the cells, each squared error divided by its cell's ``variance
    (H, W)`` over the training period plus 0.01 (as Kratzert et al. 2019, DOI 10.5194/hess-23-5089-2019, who damp
    basins that hardly vary). Where nothing is observed the loss is 0 with a zero gradient.
    """
    observed = torch.isfinite(target)
    error = torch.where(observed, predicted - torch.nan_to_num(target), torch.zeros_like(predicted))
    if kind == "mse":
        total = error.square()
    elif kind == "mae":
        total = error.abs()
    elif kind == "nse":
        if variance is None:
            raise ConfigError(
                "The loss 'nse' needs the variance of each cell", remedy="Pass the variance of the training period"
            )
        total = error.square() / (variance + 0.01)
    else:
        raise ConfigError(f"There is no loss '{kind}'", expected=", ".join(LOSSES), remedy="Choose one of these")
    return total.sum() / observed.sum().clamp(min=1)
