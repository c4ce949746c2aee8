"""How the learning rate changes over a training, and the optimizer that takes it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from ..contracts.training_config import TrainingConfig

_LEAST_RATE = 0.02  # share of the learning rate that the cosine schedule keeps at its end
_RISE = 0.3  # share of the training in which one-cycle rises
_CYCLE_BEGIN, _CYCLE_END = 1.0 / 25.0, 1.0 / 250_000.0  # shares of the highest rate (Smith and Topin, as in torch)


@dataclass
class Plateau:
    """The falls of the schedule 'plateau' so far: ``best`` validation loss, epochs ``waited`` since, ``falls``."""

    best: float = math.inf
    waited: int = 0
    falls: int = 0

    def see(self, loss: float, patience: int) -> None:
        """Note the validation ``loss`` of an epoch; a fall after more than ``patience`` epochs without a better one."""
        self.waited = 0 if loss < self.best else self.waited + 1
        self.best = min(self.best, loss)
        if self.waited > patience:
            self.falls, self.waited = self.falls + 1, 0


def make_optimizer(module: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba 2015, arXiv 1412.6980), or with decoupled weight decay (Loshchilov and Hutter 2019, arXiv
    1711.05101).
    """
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    parameters = list(module.parameters())
    # One kernel for all of a step in place of a dozen a tensor; on processors since PyTorch 2.4.
    fused = all(p.device.type in ("cpu", "cuda") for p in parameters) and hasattr(torch, "get_autocast_dtype")
    return kind(parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=fused)


def learning_rate(config: TrainingConfig, epochs: float, share: float, falls: int = 0, step: float = 0.0) -> float:
    """The rate at a place in the training.

    ``epochs`` have passed, of which the ``share`` (0..1) of the whole training; ``falls`` of a plateau; ``step`` is the
    length of a batch in epochs, at whose end a warm-up is read, so that the first batch has a rate above 0.
    """
    rate = config.learning_rate
    if config.schedule == "cosine":
        rate *= _LEAST_RATE + (1 - _LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * share))
    elif config.schedule == "step":
        rate *= config.schedule_factor ** math.floor(epochs / config.schedule_epochs)
    elif config.schedule == "plateau":
        rate *= config.schedule_factor**falls
    elif config.schedule == "one-cycle":
        rate *= _one_cycle(share)
    if epochs < config.rate_warm_up:
        rate *= min(1.0, (epochs + step) / config.rate_warm_up)
    return rate


def _one_cycle(share: float) -> float:
    """Share of the highest rate (Smith and Topin 2018, arXiv 1708.07120), along cosines."""
    if share < _RISE:
        return _between(_CYCLE_BEGIN, 1.0, share / _RISE)
    return _between(1.0, _CYCLE_END, (share - _RISE) / (1.0 - _RISE))


def _between(begin: float, end: float, share: float) -> float:
    return end + (begin - end) * 0.5 * (1 + math.cos(math.pi * share))
