"""CubicRNN against its equations written with loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.contracts.errors import ConfigError
from freshet.core.models import build_model

from .loops import convolve, sigmoid, weights_of

tanh = np.tanh


def branch(w: dict, name: str, seen: np.ndarray, c: np.ndarray) -> tuple:
    i, f, g, o = np.split(convolve(seen, w[name + ".weight"], w[name + ".bias"]), 4)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def by_loops(model, x: np.ndarray) -> np.ndarray:
    frames, layers = model.options["frames"], model.options["layers"]
    zeros = np.zeros((model.hidden, *x.shape[2:]))
    time = {(place, layer): (zeros, zeros) for place in range(frames) for layer in range(layers)}
    for end in range(frames, len(x) + 1):
        space = [(zeros, zeros)] * layers
        for place in range(frames):
            maps = x[end - frames + place]
            for layer in range(layers):
                w = weights_of(model.cells[place][layer])
                seen = np.concatenate([maps, time[place, layer][0], space[layer][0]])
                time[place, layer] = branch(w, "time_gates", seen, time[place, layer][1])
                space[layer] = branch(w, "space_gates", seen, space[layer][1])
                if "output.weight" in w:
                    both = np.concatenate([time[place, layer][0], space[layer][0]])
                    maps = convolve(both, w["output.weight"], w["output.bias"])
    return convolve(maps, *(value.detach().numpy() for value in (model.head.weight, model.head.bias)))


@pytest.mark.parametrize(("frames", "layers"), [(1, 1), (2, 2), (3, 2), (2, 3)])
def test_equals_its_equations(frames, layers):
    torch.manual_seed(0)
    model = build_model("cubic", 2, 1, channels=3, layers=layers, frames=frames, output_kernel=5, leads=2)
    model = model.double().eval()
    x = torch.randn(1, 5, 2, 6, 7, dtype=torch.float64)
    expected = by_loops(model, x[0].numpy())
    np.testing.assert_allclose(model(x)["y_hat"][0, :, 0].detach().numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kernels", [(3, 1, 3), (3, 3, 1), (1, 3, 5)])
def test_the_halo_is_not_larger_than_needed(kernels):
    torch.manual_seed(0)
    kernel, time_kernel, output_kernel = kernels
    model = build_model(
        "cubic", 1, 1, channels=4, layers=2, frames=2, kernel=kernel, time_kernel=time_kernel,
        output_kernel=output_kernel,
    ).double().eval()  # fmt: skip
    x = torch.randn(1, 3, 1, 41, 41, dtype=torch.float64)
    changed = x.clone()
    changed[..., 20, 20] += 3.0
    rows = torch.nonzero((model(x)["y_hat"] - model(changed)["y_hat"])[0, 0, 0].abs() > 0)[:, 0]
    assert int((rows - 20).abs().max()) == model.halo_px(3)


def test_a_window_shorter_than_the_row_of_maps_is_refused():
    model = build_model("cubic", 1, 1, frames=4)
    with pytest.raises(ConfigError, match="too short") as caught:
        model(torch.zeros(1, 3, 1, 4, 4))
    assert "at least 4 steps" in str(caught.value)
    with pytest.raises(ConfigError, match="at least 5 steps"):
        model(torch.zeros(1, 4, 1, 4, 4), last_steps=2)
    assert model(torch.zeros(1, 5, 1, 4, 4), last_steps=2)["y_hat_steps"].shape == (1, 2, 1, 1, 4, 4)
