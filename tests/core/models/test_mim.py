"""Memory in Memory against its equations written with loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.contracts.errors import ConfigError
from freshet.core.models import build_model

from .loops import convolve, sigmoid, weights_of
from .test_predrnn import st_lstm

tanh = np.tanh


def gates(w: dict, name: str, *maps: np.ndarray) -> list:
    raw = convolve(np.concatenate(maps), w[name + ".weight"], w[name + ".bias"])
    return np.split(raw, len(raw) // len(maps[0]))


def mim(w: dict, x: np.ndarray, change: np.ndarray, state: list, m: np.ndarray, bias: float) -> tuple:
    h, c, n, s = state
    g, i, f = gates(w, "changes.gates", change, n)
    n = sigmoid(f + bias) * n + sigmoid(i) * tanh(g)
    difference = sigmoid(gates(w, "changes.output_gate", change, n)[0]) * tanh(n)
    g, i, f = gates(w, "rest.gates", difference, c)
    s = sigmoid(f + bias) * s + sigmoid(i) * tanh(g)
    kept = sigmoid(gates(w, "rest.output_gate", difference, c, s)[0]) * tanh(s)
    i, g = gates(w, "time_gates", x, h)
    c = kept + sigmoid(i) * tanh(g)
    i, f, g = gates(w, "space_gates", x, m)
    m = sigmoid(f + bias) * m + sigmoid(i) * tanh(g)
    o = sigmoid(gates(w, "output_gate", x, h, c, m)[0])
    return [o * tanh(convolve(np.concatenate([c, m]), w["mix.weight"])), c, n, s], m


def by_loops(model, x: np.ndarray) -> np.ndarray:
    zeros, bias = np.zeros((model.hidden, *x.shape[2:])), model.options["forget_bias"]
    bottom, states, m = (zeros, zeros), [[zeros] * 4 for _ in model.units], zeros
    for number, frame in enumerate(x):
        before = [bottom[0], *(state[0] for state in states)]
        *bottom, m = st_lstm(weights_of(model.bottom), frame, *bottom, m, bias)
        below = bottom[0]
        for layer, unit in enumerate(model.units):
            change = below - before[layer] if number else zeros
            states[layer], m = mim(weights_of(unit), below, change, states[layer], m, bias)
            below = states[layer][0]
    return convolve(below, *(value.detach().numpy() for value in (model.head.weight, model.head.bias)))


@pytest.mark.parametrize("layers", [2, 4])
def test_equals_its_equations(layers):
    torch.manual_seed(0)
    model = build_model("mim", 2, 1, channels=3, layers=layers, forget_bias=0.7, leads=2).double().eval()
    x = torch.randn(1, 4, 2, 5, 7, dtype=torch.float64)
    expected = by_loops(model, x[0].numpy())
    np.testing.assert_allclose(model(x)["y_hat"][0, :, 0].detach().numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("window", [1, 2, 3])
def test_the_halo_is_not_larger_than_needed(window):
    torch.manual_seed(0)
    model = build_model("mim", 1, 1, channels=4, layers=2).double().eval()
    with torch.no_grad():  # strong enough for the farthest way not to drown in rounding
        for value in model.parameters():
            value.mul_(3.0)
    x = torch.randn(1, window, 1, 61, 61, dtype=torch.float64)
    changed = x.clone()
    changed[..., 30, 30] += 3.0
    rows = torch.nonzero((model(x)["y_hat"] - model(changed)["y_hat"])[0, 0, 0].abs() > 0)[:, 0]
    assert int((rows - 30).abs().max()) == model.halo_px(window)


def test_one_layer_is_refused():
    with pytest.raises(ConfigError, match="layers"):
        build_model("mim", 1, 1, layers=1)
