"""CNN and CNN-LSTM: equations by loops, the paper's counts and sizes, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.contracts.errors import ConfigError
from freshet.core.models import build_model

from .loops import convolve, sigmoid, weights_of

# Basin -> rows, columns; sizes after each convolution (table A3 of the paper); parameters of the CNN, of all.
BASINS = {
    "yellow": ((41, 77), [(19, 37), (9, 17), (3, 5), (1, 1)], 47_240, 68_265),
    "yangtze": ((34, 71), [(16, 35), (7, 17), (2, 5), (1, 1)], 37_000, 58_025),
    "lancang": ((84, 59), [(40, 28), (19, 12), (5, 4), (1, 1)], 57_480, 78_505),
}


def parameters(module) -> int:
    return sum(value.numel() for value in module.parameters())


def strided(maps, weight, bias, stride, padding):
    """(C, H, W) by (O, C, kh, kw) with strides and zero paddings, place by place, then ReLU."""
    padded = np.pad(maps, ((0, 0), (padding[0],) * 2, (padding[1],) * 2))
    (high, wide), rows, columns = weight.shape[2:], [], []
    rows = range(0, padded.shape[1] - high + 1, stride[0])
    columns = range(0, padded.shape[2] - wide + 1, stride[1])
    out = np.empty((len(weight), len(rows), len(columns)))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            patch = padded[:, row : row + high, column : column + wide]
            out[:, i, j] = (weight * patch).sum(axis=(1, 2, 3)) + bias
    return np.maximum(out, 0.0)


def test_cnn_equals_its_equations_written_as_loops():
    torch.manual_seed(0)
    options = {"frames": 3, "hidden": (4, 3), "head_kernel": 3, "mask_channels": True}
    model = build_model("cnn", 2, 2, static_channels=1, leads=2, **options).double().eval()
    x, static = torch.randn(1, 5, 2, 5, 4, dtype=torch.float64), torch.randn(1, 1, 5, 4, dtype=torch.float64)
    observed = (torch.rand(x.shape) > 0.3).double()
    result, w = model(x, static, observed, last_steps=2), weights_of(model)
    for step in range(2):
        frames = [part for t in range(1 + step, 4 + step) for part in (x[0, t].numpy(), observed[0, t].numpy())]
        maps = np.concatenate([*frames, static[0].numpy()])
        for layer in range(2):
            maps = np.maximum(convolve(maps, w[f"layers.{layer}.weight"], w[f"layers.{layer}.bias"]), 0.0)
        expected = convolve(maps, w["head.weight"], w["head.bias"]).reshape(2, 2, 5, 4)
        np.testing.assert_allclose(result["y_hat_steps"][0, step].detach().numpy(), expected, rtol=1e-9, atol=1e-12)


def test_cnn_does_not_read_what_lies_before_its_frames():
    model = build_model("cnn", 1, 1, frames=2, hidden=(3,)).eval()
    x = torch.randn(1, 6, 1, 4, 4)
    before = model(x)["y_hat"]
    x[:, :4] = 9.0
    assert torch.equal(model(x)["y_hat"], before)
    with pytest.raises(ConfigError, match="at least 2 steps"):
        model(x[:, :1])
    with pytest.raises(ConfigError, match="3 supervised steps"):
        model(x[:, :3], last_steps=3)


@pytest.mark.parametrize("basin", BASINS)
def test_the_basins_of_the_paper(basin):
    (rows, columns), chain, of_cnn, of_all = BASINS[basin]
    model = build_model(f"cnn-lstm-{basin}", 2, 1, gauges=1).eval()
    assert model.sizes(rows, columns) == chain
    assert parameters(model.layers) == of_cnn and parameters(model.lstm) == 20_992
    assert parameters(model) == of_all
    both = build_model(f"cnn-lstm-{basin}", 2, 2, gauges=1)
    assert parameters(both.head) == 66  # runoff and evaporation at once
    with torch.no_grad():
        assert model(torch.randn(1, 2, 2, rows, columns))["y_hat"].shape == (1, 1, 1, 1)
        with pytest.raises(ConfigError, match="do not fit a grid of"):
            model(torch.randn(1, 2, 2, rows, columns + 12))


def test_cnn_lstm_equals_its_equations_written_as_loops():
    torch.manual_seed(0)
    options = {
        "channels": (3, 4), "kernel_rows": (3, 2), "kernel_columns": (2,), "stride_rows": (2, 1),
        "stride_columns": (2, 3), "padding_rows": (1, 0), "padding_columns": (0,), "hidden_size": 5,
    }  # fmt: skip
    model = build_model("cnn-lstm", 2, 2, static_channels=1, gauges=3, leads=2, **options).double().eval()
    x, static = torch.randn(1, 6, 2, 7, 9, dtype=torch.float64), torch.randn(1, 1, 7, 9, dtype=torch.float64)
    inside = (torch.rand(1, 1, 7, 9) > 0.3).double()
    result, w = model(x, static, mask=inside), weights_of(model)
    states = [[np.zeros(5), np.zeros(5)] for _ in range(2)]
    for step in range(6):
        maps = np.concatenate([x[0, step].numpy(), static[0].numpy()]) * inside[0].numpy()
        maps = strided(maps, w["layers.0.weight"], w["layers.0.bias"], (2, 2), (1, 0))
        maps = strided(maps, w["layers.1.weight"], w["layers.1.bias"], (1, 3), (0, 0))
        seen = maps.mean(axis=(1, 2))
        for layer, (h, c) in enumerate(states):
            raw = w[f"lstm.weight_ih_l{layer}"] @ seen + w[f"lstm.bias_ih_l{layer}"]
            i, f, g, o = np.split(raw + w[f"lstm.weight_hh_l{layer}"] @ h + w[f"lstm.bias_hh_l{layer}"], 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            seen = sigmoid(o) * np.tanh(c)
            states[layer] = [seen, c]
    expected = (w["head.weight"] @ seen + w["head.bias"]).reshape(2, 2, 3)
    np.testing.assert_allclose(result["y_hat"][0].detach().numpy(), expected, rtol=1e-9, atol=1e-12)


def test_cnn_lstm_ignores_cells_outside_the_mask_and_runs_on_any_grid_with_the_mean():
    model = build_model("cnn-lstm", 2, 1, gauges=2, channels=(3, 4), hidden_size=4).eval()
    x, inside = torch.randn(2, 4, 2, 6, 5), torch.ones(1, 1, 6, 5)
    inside[..., :2] = 0.0
    before = model(x, mask=inside)["y_hat"]
    x[..., :2] = 50.0
    assert torch.equal(model(x, mask=inside)["y_hat"], before)
    assert model(torch.randn(1, 3, 2, 1, 1))["y_hat"].shape == (1, 1, 1, 2)


def test_warm_up_saves_gradients_of_the_first_steps_only():
    model = build_model("cnn-lstm", 1, 1, gauges=1, channels=(3,), hidden_size=4).double()
    x = torch.randn(1, 6, 1, 5, 5, dtype=torch.float64, requires_grad=True)
    model(x, warm_up=4)["y_hat"].sum().backward()
    assert (x.grad[:, :4] == 0).all() and x.grad[:, 4:].abs().sum() > 0


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("cnn-lstm", {"channels": ()}, "at least one convolution"),
        ("cnn-lstm", {"kernel_rows": (3, 3)}, "kernel_rows does not fit"),
        ("cnn", {"hidden": ()}, "at least one layer"),
    ],
)
def test_contradictions_are_refused(name, options, words):
    with pytest.raises(ConfigError, match=words):
        build_model(name, 2, 1, **({"gauges": 1} if name == "cnn-lstm" else {}), **options)


def test_what_cannot_be_given_is_refused():
    with pytest.raises(ConfigError, match="cannot predict maps"):
        build_model("cnn-lstm", 2, 1)
    with pytest.raises(ConfigError, match="cannot predict gauges"):
        build_model("cnn", 2, 1, gauges=2)
    small = build_model("cnn-lstm", 1, 1, gauges=1, padding_rows=(0,))
    with pytest.raises(ConfigError, match="at least one cell after each convolution"):
        small(torch.randn(1, 2, 1, 4, 9))
