"""The Kling-Gupta efficiency as a loss, from moments that add up over batches."""

from __future__ import annotations

import torch
from torch import Tensor

_DAMPING = 1e-6  # variance that is added, so that a prediction that does not vary has a gradient
_LEAST_VARIANCE = 1e-4  # of scaled observations; a group that varies less has no KGE to speak of
_FEWEST = 2  # observed values of a group


def group_moments(predicted: Tensor, target: Tensor, axes: tuple[int, ...]) -> Tensor:
    """(6, ...) of each group: count, mean of prediction and of observation, sums of squared deviations of both, sum of
    their products. ``axes`` are pooled; NaN in the target are left out.
    """
    observed = torch.isfinite(target)
    count = observed.sum(axes, keepdim=True).to(predicted.dtype)
    pair = [torch.where(observed, values, 0.0) for values in (predicted, torch.nan_to_num(target))]
    means = [values.sum(axes, keepdim=True) / count.clamp(min=1) for values in pair]
    away = [torch.where(observed, values - mean, 0.0) for values, mean in zip(pair, means)]
    sums = [(a * b).sum(axes) for a, b in ((away[0], away[0]), (away[1], away[1]), (away[0], away[1]))]
    rest = tuple(size for axis, size in enumerate(target.shape) if axis not in axes)
    return torch.stack([part.reshape(rest) for part in (count, *means, *sums)])


def merged_moments(one: Tensor, two: Tensor) -> Tensor:
    """The moments of both together (Chan, Golub and LeVeque 1983, DOI 10.1080/00031305.1983.10483115)."""
    count = one[0] + two[0]
    share = two[0] / count.clamp(min=1)
    apart = two[1:3] - one[1:3]
    between = torch.stack([apart[0] * apart[0], apart[1] * apart[1], apart[0] * apart[1]]) * one[0] * share
    return torch.cat([count[None], one[1:3] + apart * share, one[3:] + two[3:] + between])


def one_minus_kge(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Sum over the groups of 1 - KGE, and their number. Groups with fewer than two observed values, or that hardly
    vary, are left out.

    KGE = 1 - sqrt((r - 1)^2 + (alpha - 1)^2 + b^2) with the correlation r, the ratio alpha of the standard deviations
    (Gupta et al. 2009, DOI 10.1016/j.jhydrol.2009.08.003), and in place of the ratio of the means their difference in
    standard deviations of the observation, b (Tang et al. 2021, DOI 10.1175/JCLI-D-21-0067.1): scaled values have a
    mean near 0, by which nothing can be divided.
    """
    count, mean_predicted, mean_observed, square_predicted, square_observed, product = moments
    size = count.clamp(min=1)
    spread_predicted = (square_predicted / size + _DAMPING).sqrt()
    spread_observed = (square_observed / size + _DAMPING).sqrt()
    correlation = product / size / (spread_predicted * spread_observed)
    ratio = spread_predicted / spread_observed
    bias = (mean_predicted - mean_observed) / spread_observed
    distance = ((correlation - 1).square() + (ratio - 1).square() + bias.square() + 1e-12).sqrt()
    telling = (count >= _FEWEST) & (square_observed / size > _LEAST_VARIANCE)
    return torch.where(telling, distance, 0.0).sum(), telling.sum()
