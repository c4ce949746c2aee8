"""What a family that learns at once is given, and how it keeps what it learned.

``learn(samples, seed) -> Iterator[float]`` learns from the training period anew and yields the share that is done, so
that whoever watches can follow and stop it in between. All that is learned lies in buffers, whose sizes may follow
from the data: a model file holds them like any weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional, Protocol

import numpy as np
import torch
from torch import Tensor

from .base import ForecastModel


@dataclass(frozen=True)
class Sample:
    """A batch of training windows: what ``forward`` reads (see :mod:`core.models.base`), and the scaled target ``y``
    (B, L, K, H, W), or (B, L, K, G) of gauges, NaN where missing.
    """

    x: Tensor
    static: Optional[Tensor]
    observed: Optional[Tensor]
    mask: Optional[Tensor]
    y: Tensor


@dataclass(frozen=True)
class Targets:
    """Scaled targets of some steps of the training period, without windows: ``y`` (n, K, H, W), or (n, K, 1, G) of
    gauges, NaN where missing; ``time_of_year`` (n,), and ``days`` (n,) since 1970.
    """

    y: np.ndarray
    time_of_year: np.ndarray
    days: np.ndarray


class Samples(Protocol):
    """The training period. Every pass gives the same samples in the same order."""

    def __len__(self) -> int:
        """Samples of a pass."""

    def __iter__(self) -> Iterator[Sample]:
        """One pass over all samples."""

    def targets(self) -> Iterator[Targets]:
        """All steps of the training period, some at a time; of one dataset after the other."""


class LearnedModel(ForecastModel):
    """Base of models whose buffers grow with what they learn.

    ``grows``: buffer -> how many of its leading sizes follow from the options; the others are learned.
    """

    several_steps = False
    learns_at_once = True
    grows: dict[str, int] = {}

    def learn(self, samples: Samples, seed: int) -> Iterator[float]:
        """Learn from ``samples`` and yield the share that is done; see the head of this module."""
        raise NotImplementedError

    def keep(self, **values: Tensor) -> None:
        """Put learned values into their buffers, on the device and in the type that these have."""
        for name, value in values.items():
            held = getattr(self, name)
            setattr(self, name, value.to(held.device, held.dtype).contiguous())

    def adopt_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Make room for what a model file holds. As views of one number: a header that lies takes no memory."""
        for name, fixed in self.grows.items():
            held, shape = getattr(self, name), tuple(shapes.get(name, ()))
            if len(shape) == held.dim() and shape[:fixed] == tuple(held.shape[:fixed]):
                setattr(self, name, held.new_zeros((1,) * len(shape)).expand(shape))

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        shapes = {name: state_dict[prefix + name].shape for name in self.grows if prefix + name in state_dict}
        self.adopt_shapes(shapes)
        for name in shapes:
            setattr(self, name, getattr(self, name).clone(memory_format=torch.contiguous_format))
        super()._load_from_state_dict(state_dict, prefix, *args)
