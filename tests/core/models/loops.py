"""Convolution and gates in plain NumPy, for transcriptions of equations that use nothing of torch."""

from __future__ import annotations

from typing import Optional

import numpy as np


def convolve(maps: np.ndarray, weight: np.ndarray, bias: Optional[np.ndarray] = None) -> np.ndarray:
    """(C, H, W) by (O, C, k, k): cross-correlation with zeros beyond the edge, cell by cell; (O, H, W)."""
    radius = weight.shape[-1] // 2
    padded = np.pad(maps, ((0, 0), (radius, radius), (radius, radius)))
    out = np.empty((len(weight), *maps.shape[1:]))
    for row in range(maps.shape[1]):
        for column in range(maps.shape[2]):
            patch = padded[:, row : row + weight.shape[-1], column : column + weight.shape[-1]]
            out[:, row, column] = (weight * patch).sum(axis=(1, 2, 3))
    return out if bias is None else out + bias[:, None, None]


def sigmoid(values: np.ndarray) -> np.ndarray:
    """The logistic function."""
    return 1.0 / (1.0 + np.exp(-values))


def weights_of(module) -> dict[str, np.ndarray]:
    """All parameters of a module as arrays, by name."""
    return {name: value.detach().numpy() for name, value in module.named_parameters()}
