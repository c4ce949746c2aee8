"""Losses over observed values only: NaN in a target is left out of value and gradient.

Means are taken over what was observed, so the share of the mask does not change a loss. Each loss is a sum and a count,
so that batches can be gathered: sums and counts add up to those of the larger batch (KGE apart).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import torch
from torch import Tensor

from ..contracts.errors import ConfigError
from ..contracts.training_config import LOSSES, TrainingConfig
from .kge import group_moments, one_minus_kge
from .setup import TrainingSet
from .ssim import similarity
from .target_facts import TargetFacts, facts_of

_DAMPING = 0.01  # variance that is added to that of each cell
_NEEDS_FACTS = ("rare", "ssim")


@dataclass(frozen=True)
class Loss:
    """A loss with its settings; see :class:`core.contracts.training_config.TrainingConfig`.

    ``facts``: what 'rare' and 'ssim' know of the target in training. ``by_cell``: KGE for each cell of a frame
    (gauges), else for each target over all cells.
    """

    kind: str = "mse"
    huber_delta: float = 1.0
    quantile: float = 0.5
    ssim_share: float = 0.5
    facts: Optional[TargetFacts] = None
    by_cell: bool = False

    def __post_init__(self) -> None:
        if self.kind not in LOSSES:
            raise ConfigError(
                f"There is no loss '{self.kind}'", expected=", ".join(LOSSES), remedy="Choose one of these"
            )
        if self.kind in _NEEDS_FACTS and self.facts is None:
            raise ConfigError(
                f"The loss '{self.kind}' needs the target's values in training", remedy="Pass the facts of the target"
            )

    @property
    def of_whole(self) -> bool:
        """Whether the loss of a whole is no mean of its parts."""
        return self.kind == "kge"

    def __call__(self, predicted: Tensor, target: Tensor, variance: Optional[Tensor] = None) -> Tensor:
        """Scalar loss of ``predicted`` against ``target`` (B, N, L, K, H, W), scaled; NaN in the target are left out.

        ``variance (K, H, W)`` over the training period is needed by 'nse' alone. 0 with a zero gradient where nothing
        is observed.
        """
        total, count = self.parts(predicted, target, variance)
        return total / count.clamp(min=1)

    def parts(self, predicted: Tensor, target: Tensor, variance: Optional[Tensor] = None) -> tuple[Tensor, Tensor]:
        """Sum and count whose ratio is the loss; the count is of the observed values, for KGE of the groups."""
        if self.kind == "kge":
            return one_minus_kge(self.moments(predicted, target))
        observed = torch.isfinite(target)
        error = torch.where(observed, predicted - torch.nan_to_num(target), torch.zeros_like(predicted))
        return self._each(error, predicted, target, observed, variance).sum(), observed.sum()

    def moments(self, predicted: Tensor, target: Tensor) -> Tensor:
        """What KGE is made of; see :func:`core.training.kge.group_moments`."""
        return group_moments(predicted, target, (0, 1, 2) if self.by_cell else (0, 1, 2, 4, 5))

    def _each(
        self, error: Tensor, predicted: Tensor, target: Tensor, observed: Tensor, variance: Optional[Tensor]
    ) -> Tensor:
        """The loss of each value, 0 where it was not observed; ``error`` is predicted less observed, 0 there too."""
        if self.kind == "mae":
            return error.abs()
        if self.kind == "huber":
            size, delta = error.abs(), self.huber_delta
            return torch.where(size <= delta, 0.5 * error.square(), delta * (size - 0.5 * delta))
        if self.kind == "quantile":
            return torch.maximum(-self.quantile * error, (1.0 - self.quantile) * error)
        squared = error.square()
        if self.kind == "nse":
            if variance is None:
                raise ConfigError(
                    "The loss 'nse' needs the variance of each cell", remedy="Pass the variance of the training period"
                )
            return squared / (variance + _DAMPING)
        if self.kind == "rare":
            return squared * self.facts.weights(torch.nan_to_num(target))
        if self.kind == "ssim":
            low, high = self.facts.bounds(target)
            unlike = 1.0 - similarity(predicted - low, torch.nan_to_num(target) - low, observed, high - low)
            mixed = self.ssim_share * unlike + (1.0 - self.ssim_share) * squared
            return torch.where(observed, mixed, torch.zeros_like(mixed))
        return squared


def loss_of(config: TrainingConfig, sets: Sequence[TrainingSet]) -> Loss:
    """The loss of a training, with what it has to know of the targets in the training period.

    Raises :class:`ConfigError` where it does not fit the data.
    """
    gauges = any(item.data.gauges for item in sets)
    if config.loss == "ssim" and gauges:
        raise ConfigError(
            "The loss 'ssim' compares patterns on maps, and the target is a series at gauges",
            remedy="Choose another loss, such as nse",
        )
    facts = facts_of(sets, config.rare_emphasis) if config.loss in _NEEDS_FACTS else None
    return Loss(config.loss, config.huber_delta, config.quantile, config.ssim_share, facts, gauges)


def masked_loss(kind: str, predicted: Tensor, target: Tensor, variance: Optional[Tensor] = None) -> Tensor:
    """Scalar loss of ``predicted`` against ``target`` of the same shape (..., H, W); NaN in the target are left out.

    ``mse``, ``mae``; ``huber`` (Huber 1964, DOI 10.1214/aoms/1177703732), with delta 1; ``quantile``, the median;
    ``nse``: 1 - NSE averaged over the cells, each squared error divided by its cell's ``variance (H, W)`` over the
    training period plus 0.01 (as Kratzert et al. 2019, DOI 10.5194/hess-23-5089-2019, who damp basins that hardly
    vary). Where nothing is observed the loss is 0 with a zero gradient.
    """
    return Loss(kind)(predicted, target, variance)
