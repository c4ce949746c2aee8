"""ConvLSTM with relu states, hard gates and an output activation, against loops over its equations; the defaults stay
as they were.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from freshet.core.contracts import ConfigError
from freshet.core.contracts.models import family
from freshet.core.models import build_model
from freshet.core.models.near import Region, predict_near

STATES = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0.0)}
HEADS = {"none": lambda x: x, "relu": lambda x: np.maximum(x, 0.0), "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x))}
GATES = {"sigmoid": HEADS["sigmoid"], "hard-sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0.0, 1.0)}


def convolved(maps, weight):
    """(C, H, W) and (O, C, k, k) -> (O, H, W), cell by cell, zeros beyond the edge."""
    radius = weight.shape[-1] // 2
    padded = np.pad(maps, ((0, 0), (radius, radius), (radius, radius)))
    found = np.zeros((len(weight), *maps.shape[1:]))
    for row in range(maps.shape[1]):
        for column in range(maps.shape[2]):
            patch = padded[:, row : row + weight.shape[-2], column : column + weight.shape[-1]]
            found[:, row, column] = np.tensordot(weight, patch, axes=3)
    return found


def by_loops(model, frames, options):
    """(T, C, H, W) -> (M, H, W) of a model of one layer."""
    values = {name: value.double().numpy() for name, value in model.state_dict().items()}
    gate, squash = GATES[options["gate_activation"]], STATES[options["state_activation"]]
    hidden = len(values["encoder.0.bias"]) // 4
    h = c = np.zeros((hidden, *frames.shape[2:]))
    for frame in frames:
        before = convolved(frame, values["encoder.0.weight_x"]) + convolved(h, values["encoder.0.weight_h"])
        i, f, g, o = np.split(before + values["encoder.0.bias"][:, None, None], 4)
        c = gate(i) * squash(g) + gate(f) * c
        h = gate(o) * squash(c)
    maps = convolved(h, values["head_weight"]) + values["head_bias"][:, None, None]
    return HEADS[options["head_activation"]](maps)


def made(options, **more):
    torch.manual_seed(2)
    model = build_model("convlstm", 2, 1, leads=2, hidden=(3,), head_kernel=3, **options, **more).eval()
    with torch.no_grad():
        for value in model.parameters():
            value.normal_(std=0.4)
    return model


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("head", HEADS)
def test_output_equals_the_loops(gate, state, head):
    options = {"gate_activation": gate, "state_activation": state, "head_activation": head}
    model = made(options)
    frames = np.random.default_rng(0).normal(size=(4, 2, 5, 4))
    window = torch.from_numpy(frames).float()[None]
    with torch.inference_mode():
        found = model(window)["y_hat"][0, :, 0].numpy()
    expected = by_loops(model, frames, options)
    assert np.abs(found - expected).max() < 1e-5 * max(1.0, np.abs(expected).max())
    near = predict_near(model, window, None, None, Region(1, 3, 1, 3))[0, :, 0, 1:3, 1:3].detach().numpy()
    assert np.abs(near - expected[:, 1:3, 1:3]).max() < 1e-5 * max(1.0, np.abs(expected).max())


def test_a_training_step_learns_through_them():
    model = made({"state_activation": "relu", "head_activation": "sigmoid"}).train()
    window = torch.rand(2, 4, 2, 5, 4)
    loss = F.mse_loss(model(window)["y_hat"], torch.full((2, 2, 1, 5, 4), 0.5))
    loss.backward()
    assert all(value.grad is not None and torch.isfinite(value.grad).all() for value in model.parameters())
    slopes = torch.autograd.grad(model(window)["y_hat"].sum(), model.encoder[0].weight_h)[0]
    step = 1e-3
    weight = model.encoder[0].weight_h
    with torch.no_grad():
        spot = tuple(int(place[0]) for place in torch.where(slopes.abs() == slopes.abs().max()))
        before = weight[spot].item()
        weight[spot] = before + step
        above = model(window)["y_hat"].double().sum()
        weight[spot] = before - step
        below = model(window)["y_hat"].double().sum()
    assert float((above - below) / (2 * step)) == pytest.approx(float(slopes[spot]), rel=0.05)


def test_an_encoder_decoder_takes_them_too():
    model = build_model("convlstm-ed", 2, 1, leads=3, hidden=(3,), state_activation="relu", head_activation="relu")
    assert float(model.eval()(torch.randn(1, 4, 2, 5, 4))["y_hat"].detach().min()) >= 0.0
    assert model.decoder[0].squash is torch.relu


def test_the_defaults_are_those_of_before():
    options = family("convlstm").complete({})
    assert (options["state_activation"], options["head_activation"]) == ("tanh", "none")
    with pytest.raises(ConfigError, match="state_activation"):
        family("convlstm").complete({"state_activation": "gelu"})
