"""What some losses know of the targets in the training period: their range, and how rare each value is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .setup import TrainingSet

_BINS = 512
_MOST_VALUES = 2_000_000  # that density and range are taken from
_OUTER = 0.1  # % of the values below and above the range
_LEAST_WEIGHT = 1e-6


@dataclass(frozen=True)
class TargetFacts:
    """Of K targets, scaled: ``low`` and ``high`` (K,), which 99.8 % of the values lie between; ``weight (K, bins)`` at
    even distances from ``first (K,)`` to ``last (K,)``.
    """

    low: Tensor
    high: Tensor
    first: Tensor
    last: Tensor
    weight: Tensor

    def bounds(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """``low`` and ``high`` as (K, 1, 1) on the device of ``like``."""
        return self.low.to(like)[:, None, None], self.high.to(like)[:, None, None]

    def weights(self, values: Tensor) -> Tensor:
        """The weight of each value (..., K, H, W), linear between the bins, beyond the ends that of the end."""
        first, last, table = (part.to(values) for part in (self.first, self.last, self.weight))
        last = torch.maximum(last, first + 1e-12)
        bins = table.shape[1]
        place = (values - first[:, None, None]) / (last - first)[:, None, None] * (bins - 1)
        place = place.clamp(0, bins - 1)
        lower = place.floor().clamp(max=bins - 2)
        start = (torch.arange(len(table), device=values.device) * bins)[:, None, None]
        index, flat = start + lower.long(), table.reshape(-1)
        return torch.lerp(flat[index], flat[index + 1], place - lower)


def facts_of(sets: Sequence[TrainingSet], emphasis: float) -> TargetFacts:
    """The facts of the training period of all datasets together."""
    found = [_facts(values, emphasis) for values in _values(sets)]
    parts = [torch.tensor(np.array(part), dtype=torch.float32) for part in zip(*found)]
    return TargetFacts(*parts)


def rarity_weights(values: np.ndarray, emphasis: float) -> tuple[np.ndarray, float, float]:
    """Weights at even distances from the least to the largest of ``values`` (n,), with both.

    As Steininger et al. 2021 (DenseWeight, DOI 10.1007/s10994-021-06023-5): 1 less ``emphasis`` times the density
    brought to 0..1, at least 1e-6, then divided by the mean over the values, so that a training keeps its pace. The
    density is a histogram smoothed by a Gaussian of Silverman's width.
    """
    first, last = float(values.min()), float(values.max())
    if not last > first:
        return np.ones(_BINS), first, last
    step = (last - first) / (_BINS - 1)
    places = np.rint((values - first) / step).astype(np.int64)
    count = np.bincount(places, minlength=_BINS).astype(np.float64)
    width = max(1.06 * float(values.std()) * len(values) ** -0.2, 0.5 * step)
    away = np.arange(_BINS)[:, None] - np.arange(_BINS)[None, :]
    kernel = np.exp(-0.5 * (away * step / width) ** 2)
    density = kernel @ count / kernel.sum(axis=1)  # what of a kernel lies beyond the ends holds no values
    density = (density - density.min()) / max(float(np.ptp(density)), 1e-300)
    weight = np.maximum(1.0 - emphasis * density, _LEAST_WEIGHT)
    return weight / max(float((weight * count).sum() / count.sum()), _LEAST_WEIGHT), first, last


def _facts(values: np.ndarray, emphasis: float) -> tuple:
    low, high = np.percentile(values, [_OUTER, 100.0 - _OUTER])
    weight, first, last = rarity_weights(values, emphasis)
    return low, max(high, low + 1e-6), first, last, weight


def _values(sets: Sequence[TrainingSet]) -> list[np.ndarray]:
    """Observed scaled values of each target in training, float64, of long records every n-th step."""
    parts: list[list[np.ndarray]] = [[] for _ in range(sets[0].data.y.shape[1])]
    for item in sets:
        role = item.split.train_steps if item.split.train_steps.any() else item.split.validation_steps
        steps = np.flatnonzero(role)
        cells = item.data.y[0, 0].size
        every = max(1, len(steps) * cells * len(sets) // _MOST_VALUES)
        values = item.data.y[steps[::every]]
        for target, found in enumerate(parts):
            found.append(values[:, target][np.isfinite(values[:, target])].astype(np.float64))
    return [np.concatenate(found) if sum(map(len, found)) else np.zeros(1) for found in parts]
