"""What a training works with, and one pass of a model over a batch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional, Union

import numpy as np
import torch
from torch import nn

from ..contracts.training_config import TrainingConfig
from ..data.windows import Batch
from ..models import engine as recurrent
from .distributed import Ranks
from .losses import Loss
from .setup import TrainingSet


@dataclass(frozen=True)
class Work:
    """What a training works with: model, data, how, where. ``begin`` on the clock, less what an earlier try took.
    ``engine`` says how recurrent layers are computed.
    """

    module: nn.Module
    sets: Sequence[TrainingSet]
    config: TrainingConfig
    device: str
    precision: torch.dtype
    warm_up: int
    begin: float
    clock: Callable[[], float]
    loss: Loss
    ranks: Ranks = field(default_factory=Ranks)
    engine: recurrent.Engine = field(default_factory=recurrent.Engine)

    @property
    def judged_at_once(self) -> int:
        """Windows of a batch in validation."""
        return judged_at_once(self.config.batch, self.engine.recompute)

    @property
    def seconds(self) -> float:
        """Since the begin, by the clock."""
        return self.clock() - self.begin

    def predict(self, batch: Batch, last_steps: int = 1, sampling: float = 0.0) -> torch.Tensor:
        """Scaled prediction (B, N, L, K, *frame) on the device."""
        module = self.ranks.learner(self.module)
        how = (self.device, self.precision, last_steps, self.warm_up, sampling, self.engine)
        return predict_batch(module, batch, *how)

    def to_device(self, array: Union[np.ndarray, torch.Tensor]) -> torch.Tensor:
        """A tensor of ``array`` on the device."""
        return tensor_of(array, self.device)

    def fraction(self, epoch: float) -> float:
        """Share of the training that is done at most: by epochs, or by the time limit where that comes sooner."""
        share = epoch / self.config.epochs
        if self.config.time_limit_minutes:
            share = max(share, self.seconds / 60.0 / self.config.time_limit_minutes)
        return min(share, 1.0)

    def out_of_time(self) -> bool:
        """Whether the time limit has passed."""
        limit = self.config.time_limit_minutes
        return limit is not None and self.seconds >= 60.0 * limit


def judged_at_once(batch: int, recompute: bool) -> int:
    """Windows that are judged at once where ``batch`` are learned from: twice as many, since no gradient keeps
    anything, but where memory is short.
    """
    return batch if recompute else 2 * batch


def predict_batch(
    module: nn.Module,
    batch: Batch,
    device: str,
    precision: torch.dtype,
    last_steps: int = 1,
    warm_up: int = 0,
    sampling: float = 0.0,
    engine: Optional[recurrent.Engine] = None,
) -> torch.Tensor:
    """Scaled prediction (B, N, L, K, *frame) in float32 for the last ``last_steps`` steps of each window.

    ``sampling``: share of leads at which a decoder in training reads the truth. ``engine``: how recurrent layers are
    computed, if not as it is set around.
    """
    x, static, observed = (tensor_of(a, device) for a in (batch.x, batch.static, batch.observed))
    more: dict[str, Any] = {
        name: tensor_of(getattr(batch, name), device)
        for name in ("mask", "ahead", "time_of_year")
        if getattr(module, f"uses_{name}", False)
    }
    if sampling > 0.0 and module.training and getattr(module, "uses_truth", False):
        more.update(truth=tensor_of(batch.y[:, -1], device), sampling=sampling)
    narrow = torch.autocast(device.split(":")[0], dtype=torch.bfloat16, enabled=precision is torch.bfloat16)
    way = recurrent.using(**vars(engine)) if engine is not None else contextlib.nullcontext()
    with narrow, way:
        result = module(x, static, observed, last_steps=last_steps, warm_up=warm_up, **more)
    found = (result["y_hat_steps"] if last_steps > 1 else result["y_hat"][:, None]).float()
    # Gauges stand side by side in a frame of one row, so that what follows treats them as cells.
    return found.unsqueeze(-2) if getattr(module, "gauges", 0) else found


def tensor_of(array: Union[np.ndarray, torch.Tensor, None], device: str) -> Optional[torch.Tensor]:
    """On the device; a tensor is there already."""
    if array is None or isinstance(array, torch.Tensor):
        return array
    return torch.from_numpy(np.require(array, requirements="CW")).to(device)
