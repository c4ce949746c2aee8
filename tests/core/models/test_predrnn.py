"""PredRNN and PredRNN++ against their equations written as loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.models import build_model

from .loops import convolve, sigmoid, weights_of

tanh = np.tanh


def st_lstm(w, x, h, c, m, bias):
    def gate(kernel, offset, number, *maps):
        size = len(h)
        part = slice(number * size, (number + 1) * size)
        return convolve(np.concatenate(maps), w[kernel + ".weight"][part], w[kernel + ".bias"][part]) + offset

    i, f, g = (gate("time_gates", offset, n, x, h) for n, offset in enumerate((0.0, bias, 0.0)))
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    i, f, g = (gate("space_gates", offset, n, x, m) for n, offset in enumerate((0.0, bias, 0.0)))
    m = sigmoid(f) * m + sigmoid(i) * tanh(g)
    o = sigmoid(convolve(np.concatenate([x, h, c, m]), w["output_gate.weight"], w["output_gate.bias"]))
    return o * tanh(convolve(np.concatenate([c, m]), w["mix.weight"])), c, m


def causal(w, x, h, c, m, bias):
    def gates(kernel, *maps):
        size = len(h)
        raw = convolve(np.concatenate(maps), w[kernel + ".weight"], w[kernel + ".bias"])
        return tanh(raw[:size]), sigmoid(raw[size : 2 * size]), sigmoid(raw[2 * size :] + bias)

    g, i, f = gates("time_gates", x, h, c)
    c = f * c + i * g
    g, i, f = gates("space_gates", x, c, m)
    m = f * tanh(convolve(m, w["climb.weight"])) + i * g
    o = tanh(convolve(np.concatenate([x, c, m]), w["output_gate.weight"], w["output_gate.bias"]))
    return o * tanh(convolve(np.concatenate([c, m]), w["mix.weight"])), c, m


def by_loops(model, x, unit):
    zeros = np.zeros((model.hidden, *x.shape[2:]))
    h, c = [zeros] * len(model.units), [zeros] * len(model.units)
    m, z = zeros, zeros
    for frame in x:
        for number, part in enumerate(model.units):
            args = (frame, h[number], c[number], m, model.options["forget_bias"])
            h[number], c[number], m = unit(weights_of(part), *args)
            frame = h[number]
            if model.highway is not None and number == 0:
                w = weights_of(model.highway)
                raw = convolve(np.concatenate([frame, z]), w["gates.weight"], w["gates.bias"])
                s = sigmoid(raw[len(z) :])
                frame = z = s * tanh(raw[: len(z)]) + (1 - s) * z
    return convolve(frame, *(value.detach().numpy() for value in (model.head.weight, model.head.bias)))


@pytest.mark.parametrize(("name", "unit"), [("predrnn", st_lstm), ("predrnn++", causal)])
@pytest.mark.parametrize("layers", [1, 3])
def test_equals_its_equations_written_as_loops(name, unit, layers):
    torch.manual_seed(0)
    model = build_model(name, 2, 1, channels=3, layers=layers, forget_bias=0.7, leads=2).double().eval()
    x = torch.randn(1, 4, 2, 5, 7, dtype=torch.float64)
    expected = by_loops(model, x[0].numpy(), unit)
    np.testing.assert_allclose(model(x)["y_hat"][0, :, 0].detach().numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["predrnn", "predrnn++"])
def test_the_halo_is_not_larger_than_needed(name):
    torch.manual_seed(0)
    model = build_model(name, 1, 1, channels=3, layers=2).double().eval()
    x = torch.randn(1, 2, 1, 41, 41, dtype=torch.float64)
    changed = x.clone()
    changed[:, 0, :, 20, 20] += 3.0
    changed[:, 1, :, 20, 20] += 3.0
    rows = torch.nonzero((model(x)["y_hat"] - model(changed)["y_hat"])[0, 0, 0].abs() > 0)[:, 0]
    assert int((rows - 20).abs().max()) == model.halo_px(2)
