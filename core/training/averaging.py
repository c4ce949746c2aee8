"""The moving average of the weights of a training."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Optional

import torch
from torch import Tensor, nn


class Average:
    """An exponential moving average of the weights and of what a module learned beside them (batch statistics).

    ``keep``: share that a step keeps; in the first steps less, ``(1 + n) / (10 + n)`` at step n, so that the random
    weights of the begin are soon forgotten. Whole numbers, such as counters, are taken as they are.
    """

    def __init__(self, module: nn.Module, keep: float) -> None:
        self._keep, self.steps = keep, 0
        self.tensors = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take in the weights after a step of the optimizer."""
        self.steps += 1
        share = 1.0 - min(self._keep, (1 + self.steps) / (10 + self.steps))
        for name, value in module.state_dict().items():
            held = self.tensors[name]
            if held.is_floating_point():
                held.lerp_(value, share)
            else:
                held.copy_(value)

    def restore(self, tensors: Mapping[str, Tensor], steps: int) -> None:
        """Go on from what a checkpoint kept."""
        self.steps = steps
        for name, value in tensors.items():
            self.tensors[name].copy_(value)


@contextlib.contextmanager
def averaged(module: nn.Module, average: Optional[Average]) -> Iterator[None]:
    """``module`` with the averaged weights inside, and its own again after; as it is without an ``average``."""
    if average is None:
        yield
        return
    own = {name: value.detach().clone() for name, value in module.state_dict().items()}
    module.load_state_dict(average.tensors)
    try:
        yield
    finally:
        module.load_state_dict(own)
