"""Grad-CAM: its closed form on a recurrent layer that is linear, and the choice of the layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.contracts.errors import ConfigError
from freshet.core.data.scaling import Scaler
from freshet.core.explain.explained import Explained, PlaceMean, Surroundings
from freshet.core.explain.methods import Problem
from freshet.core.explain.methods.grad_cam import recurrent_layers
from freshet.core.models.base import ForecastModel

from .linear import run

T, C, H, W = 4, 2, 5, 6


class Unit(torch.nn.Module):
    """Two channels of a frame, each with a weight, and a memory that only counts steps."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, frame, state):
        return self.factor * frame, (state or 0) + 1


class Summing(ForecastModel):
    """y = sum over steps and channels of a weight times the state."""

    def __init__(self) -> None:
        super().__init__(C, 1)
        self.below, self.above = Unit(2.0), Unit(-3.0)
        self.share = torch.arange(1.0, 1.0 + T * C).reshape(T, C)

    def forward(self, x, static=None, observed=None, last_steps=1, warm_up=0):
        low = high = None
        total = 0.0
        for step, frame in enumerate(x.unbind(1)):
            state, low = self.below(frame, low)
            state, high = self.above(state, high)
            total = total + (self.share[step][None, :, None, None] * state).sum(dim=1)
        return {"y_hat": total[:, None, None]}


def _problem(module=None):
    module = module or Summing()
    x = torch.randn(1, T, C, H, W, generator=torch.Generator().manual_seed(2))
    weights = np.zeros((H, W))
    weights[2, 3] = 1.0
    function = Explained(module, PlaceMean(weights, Scaler("none")), ("x",), Surroundings())
    return Problem(function, (x,), (torch.zeros_like(x),), ((0, 1),), float(function(x)[0]), 0.0)


def test_the_heat_is_state_times_mean_gradient():
    problem = _problem()
    x, share = problem.inputs[0][0].numpy(), problem.function.module.share.numpy()
    found, _ = run("grad-cam", problem)
    expected = (share[:, :, None, None] / (H * W) * (-3.0 * 2.0 * x)).sum(axis=1)
    np.testing.assert_allclose(found.heat, expected, rtol=1e-5)
    lower, _ = run("grad-cam", problem, layer="1")
    expected = (share[:, :, None, None] / (H * W) * -3.0 * (2.0 * x)).sum(axis=1)
    np.testing.assert_allclose(lower.heat, expected, rtol=1e-5)
    assert (lower.facts["layer"], found.facts["layer"]) == ("below", "above")


def test_layers_are_named_from_below_and_an_unknown_one_is_refused():
    problem = _problem()
    assert [layer.name for layer in recurrent_layers(problem)] == ["below", "above"]
    assert run("grad-cam", problem, layer="above")[0].facts["layer"] == "above"
    for text in ("3", "0", "beside"):
        with pytest.raises(ConfigError, match=r"no recurrent layer.*1 \(below\), 2 \(above\)"):
            run("grad-cam", problem, layer=text)
