"""A slow, plain transcription of equations (9)-(14), with the peepholes of Shi et al.

(2015), in double precision NumPy.
"""

from __future__ import annotations

import numpy as np


def convolve(maps: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(B, C, H, W) with weight (O, C, k, k), zeros beyond the edge.

    (B, O, H, W), one kernel offset after the other.
    """
    size = weight.shape[-1]
    radius = size // 2
    height, width = maps.shape[-2:]
    padded = np.pad(maps, ((0, 0), (0, 0), (radius, radius), (radius, radius)))
    out = np.zeros((maps.shape[0], weight.shape[0], height, width))
    for row in range(size):
        for column in range(size):
            seen = padded[:, :, row : row + height, column : column + width]
            out += np.einsum("bchw,oc->bohw", seen, weight[:, :, row, column])
    return out


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def hard_sigmoid(x: np.ndarray) -> np.ndarray:
    return np.clip(0.2 * x + 0.5, 0.0, 1.0)


def gate_input(maps: np.ndarray, weights: list, masks, gate: int) -> np.ndarray:
    """Convolution for one gate, which reads its own masked copy of ``maps``; ``masks`` (4, B, C, H, W) or None."""
    return convolve(maps if masks is None else maps * masks[gate], weights[gate])


def layer(inputs: np.ndarray, parameters: dict, sigma=sigmoid, input_masks=None, state_masks=None) -> tuple:
    """One ConvLSTM layer over ``inputs`` (T, B, C, H, W): hidden states of all steps, and the last memory."""
    wx, wh, bias = (np.split(parameters[key], 4) for key in ("weight_x", "weight_h", "bias"))
    peephole = parameters.get("peephole")
    steps, batch, _, height, width = inputs.shape
    hidden = parameters["weight_h"].shape[1]
    h = parameters.get("h0", np.zeros((batch, hidden, height, width)))
    c = parameters.get("c0", np.zeros((batch, hidden, height, width)))
    w_i, w_f, w_o = np.zeros((3, hidden, 1, 1)) if peephole is None else peephole[:, :, None, None]
    outputs = []
    for t in range(steps):
        summed = [
            gate_input(inputs[t], wx, input_masks, k) + gate_input(h, wh, state_masks, k) + bias[k][:, None, None]
            for k in range(4)
        ]
        i = sigma(summed[0] + w_i * c)
        f = sigma(summed[1] + w_f * c)
        g = np.tanh(summed[2])
        c = i * g + f * c
        o = sigma(summed[3] + w_o * c)
        h = o * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs), c


def cell_parameters(cell) -> dict:
    """The parameters of a ConvLSTMCell as double precision arrays."""
    return {name: value.detach().double().numpy() for name, value in cell.named_parameters()}


def head(model, maps: np.ndarray) -> np.ndarray:
    """The output convolution of a model on (B, hidden, H, W)."""
    bias = model.head_bias.detach().double().numpy()
    return convolve(maps, model.head_weight.detach().double().numpy()) + bias[:, None, None]
