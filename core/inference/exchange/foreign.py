"""A ConvLSTM of another library as plain arrays, whatever file it came from, and its own equations.

Symbols: F state channels, C input channels, k side of the kernel, M maps of the output layer, T steps, H rows, W
columns. Kernels are (out, in, k, k) and are laid over the map without a flip (cross-correlation), as all three
libraries do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...contracts.errors import ModelFileError

GATES = ("input", "forget", "candidate", "output")
HARD_SIXTH = "hard-sigmoid of Keras 3"
_GATE_FUNCTIONS = {
    "sigmoid": torch.sigmoid,
    "hard-sigmoid": lambda x: (0.2 * x + 0.5).clamp(0.0, 1.0),
    HARD_SIXTH: lambda x: (x / 6.0 + 0.5).clamp(0.0, 1.0),
}
_STATE_FUNCTIONS = {"tanh": torch.tanh, "relu": torch.relu}
_HEAD_FUNCTIONS = {"none": lambda x: x, "relu": torch.relu, "sigmoid": torch.sigmoid}


@dataclass(frozen=True)
class ForeignNorm:
    """A batch normalisation in use: scale, shift, mean and variance, each (F,), and what is added to the variance."""

    scale: np.ndarray
    shift: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    epsilon: float


@dataclass(frozen=True)
class ForeignLayer:
    """One ConvLSTM layer: by gate (:data:`GATES`) the kernel on the input (F, C, k, k), that on the state (F, F, k, k)
    and the bias (F,); activations by Freshet's names; the normalisation that follows it, if any.
    """

    name: str
    on_input: Mapping[str, np.ndarray]
    on_state: Mapping[str, np.ndarray]
    bias: Mapping[str, np.ndarray]
    gate: str = "sigmoid"
    activation: str = "tanh"
    norm: Optional[ForeignNorm] = None
    dropout: float = 0.0
    recurrent_dropout: float = 0.0

    @property
    def hidden(self) -> int:
        """State channels F."""
        return len(self.bias["input"])

    @property
    def inputs(self) -> int:
        """Input channels C."""
        return self.on_input["input"].shape[1]

    @property
    def kernel(self) -> int:
        """Side of the kernel."""
        return self.on_input["input"].shape[-1]


@dataclass(frozen=True)
class ForeignModel:
    """ConvLSTM layers, bottom first, and one output convolution on the last step of the top one.

    ``head`` (M, F, k, k), or None where the top layer's output is the prediction; ``window`` and ``grid`` (rows,
    columns) where the file fixes them; ``notes`` are sentences on what was read how.
    """

    origin: str
    layers: tuple[ForeignLayer, ...]
    head: Optional[np.ndarray] = None
    head_bias: Optional[np.ndarray] = None
    head_activation: str = "none"
    window: Optional[int] = None
    grid: Optional[tuple[int, int]] = None
    notes: tuple[str, ...] = field(default=())

    @property
    def inputs(self) -> int:
        """Input channels of the first layer."""
        return self.layers[0].inputs

    @property
    def maps(self) -> int:
        """Maps that it predicts."""
        return self.layers[-1].hidden if self.head is None else len(self.head)

    def head_or_identity(self) -> tuple[np.ndarray, np.ndarray]:
        """Kernel (M, F, k, k) and bias (M,) of the output; where there is none, those that change nothing."""
        if self.head is None or self.head_bias is None:
            size = self.layers[-1].hidden
            return np.eye(size, dtype=np.float32)[:, :, None, None], np.zeros(size, dtype=np.float32)
        return self.head, self.head_bias

    def predict(self, frames: np.ndarray) -> np.ndarray:
        """Its own equations, step by step in float64: (T, C, H, W) to the maps (M, H, W) of the last step."""
        steps = [torch.from_numpy(np.asarray(frame, dtype=np.float64))[None] for frame in frames]
        for layer in self.layers:
            steps = _run(layer, steps)
        head, bias = self.head_or_identity()
        maps = _convolve(steps[-1], head) + _channels(bias)
        return _HEAD_FUNCTIONS[self.head_activation](maps)[0].numpy()


def _run(layer: ForeignLayer, steps: list[Tensor]) -> list[Tensor]:
    squash, gate = _STATE_FUNCTIONS[layer.activation], _GATE_FUNCTIONS[layer.gate]
    shape = (1, layer.hidden, *steps[0].shape[2:])
    h = c = torch.zeros(shape, dtype=torch.float64)
    found = []
    for frame in steps:
        before = {
            name: _convolve(frame, layer.on_input[name]) + _convolve(h, layer.on_state[name])
            + _channels(layer.bias[name])
            for name in GATES
        }  # fmt: skip
        c = gate(before["forget"]) * c + gate(before["input"]) * squash(before["candidate"])
        h = gate(before["output"]) * squash(c)
        found.append(h if layer.norm is None else _normalised(h, layer.norm))
    return found


def _normalised(maps: Tensor, norm: ForeignNorm) -> Tensor:
    width = (_channels(norm.variance) + norm.epsilon).sqrt()
    return (maps - _channels(norm.mean)) / width * _channels(norm.scale) + _channels(norm.shift)


def _convolve(maps: Tensor, kernel: np.ndarray) -> Tensor:
    weight = torch.from_numpy(np.array(kernel, dtype=np.float64))
    return F.conv2d(maps, weight, padding=weight.shape[-1] // 2)


def _channels(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float64))[None, :, None, None]


def refused(origin: str, why: str, remedy: str, **more: str) -> ModelFileError:
    """The sentence for a model that has something which Freshet's ConvLSTM has not."""
    return ModelFileError(f"{origin} cannot be imported: {why}", remedy=remedy, **more)
