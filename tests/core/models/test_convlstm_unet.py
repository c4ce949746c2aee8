"""ConvLSTM U-Net against its equations written with loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.contracts.errors import ConfigError
from freshet.core.models import build_model
from freshet.core.models.base import WHOLE_FRAME_PX

from .loops import convolve, sigmoid, weights_of

tanh = np.tanh


def convlstm(w: dict, prefix: str, frames: list) -> list:
    size = len(w[prefix + "gates.bias"]) // 4
    h = c = np.zeros((size, *frames[0].shape[1:]))
    outputs = []
    for frame in frames:
        raw = convolve(np.concatenate([frame, h]), w[prefix + "gates.weight"], w[prefix + "gates.bias"])
        i, f, g, o = np.split(raw, 4)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)
        outputs.append(h)
    return outputs


def halved(maps: np.ndarray) -> np.ndarray:
    corners = [maps[:, row::2, column::2] for row in (0, 1) for column in (0, 1)]
    return np.max(corners, axis=0)


def doubled(maps: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    out = np.zeros((weight.shape[1], 2 * maps.shape[1], 2 * maps.shape[2]))
    for row in range(out.shape[1]):
        for column in range(out.shape[2]):
            out[:, row, column] = maps[:, row // 2, column // 2] @ weight[:, :, row % 2, column % 2] + bias
    return out


def by_loops(model, x: np.ndarray) -> np.ndarray:
    w, depth = weights_of(model), len(model.down)
    height, width = x.shape[2:]
    multiple = 2 ** (depth - 1)
    pad = ((0, 0), (0, -height % multiple), (0, -width % multiple))
    frames, levels = [np.pad(frame, pad, mode="edge") for frame in x], []
    for level in range(depth):
        frames = [halved(frame) for frame in frames] if level else frames
        frames = convlstm(w, f"down.{level}.", frames)
        levels.append(frames[-1])
    maps = levels[-1]
    for level in range(depth - 2, -1, -1):
        maps = doubled(maps, w[f"widen.{level}.weight"], w[f"widen.{level}.bias"])
        seen = np.concatenate([maps, levels[level]])
        maps = np.maximum(convolve(seen, w[f"join.{level}.weight"], w[f"join.{level}.bias"]), 0.0)
    return convolve(maps, w["head.weight"], w["head.bias"])[:, :height, :width]


@pytest.mark.parametrize("hidden", [(3,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("size", [(8, 4), (5, 7), (1, 3)])
def test_equals_its_equations(hidden, size):
    torch.manual_seed(0)
    model = build_model("convlstm-unet", 2, 1, leads=2, hidden=hidden).double().eval()
    x = torch.randn(1, 3, 2, *size, dtype=torch.float64)
    expected = by_loops(model, x[0].numpy())
    np.testing.assert_allclose(model(x)["y_hat"][0, :, 0].detach().numpy(), expected, rtol=1e-10, atol=1e-12)


def test_it_sees_farther_than_its_kernels_and_wants_the_whole_frame():
    torch.manual_seed(0)
    model = build_model("convlstm-unet", 1, 1, hidden=(4, 4, 4)).double().eval()
    x = torch.randn(1, 1, 1, 32, 32, dtype=torch.float64)
    changed = x.clone()
    changed[..., 16, 16] += 5.0
    rows = torch.nonzero((model(x)["y_hat"] - model(changed)["y_hat"])[0, 0, 0].abs() > 0)[:, 0]
    assert int((rows - 16).abs().max()) > 6
    assert model.halo_px(1) == WHOLE_FRAME_PX


def test_no_level_is_refused():
    with pytest.raises(ConfigError, match="at least one layer"):
        build_model("convlstm-unet", 1, 1, hidden=())
