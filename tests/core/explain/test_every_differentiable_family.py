"""What attribution promises of every family that has gradients: contributions add up, and gradients are true."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.contracts.models import family
from freshet.core.data.scaling import Scaler
from freshet.core.explain.explained import Explained, PlaceMean, Surroundings
from freshet.core.explain.methods import METHODS, Problem, Settings
from freshet.core.explain.methods.path import most_points

from ..models.test_every_family import BY_GRADIENT as NAMES
from ..models.test_every_family import GAUGE_COUNT, make, sample

MASS = Scaler("amount", width=1.0)
CURVED = Scaler("yeo-johnson", shift=0.4, width=0.8, exponent=0.6, low=-4.0, high=4.0)


# These keep water in place of states, or have no memory at all.
WITHOUT_LAYERS = ("cnn", "mc-lstm", "exp-hydro", "mc-convlstm")


def _scaler(name):
    return MASS if family(name).mass_input else CURVED


def _problem(name: str, *, static: int = 2, double: bool = False):
    """Weather against its mean for one place: a cell in the middle, or the second gauge."""
    known = family(name)
    gauges = 0 if "maps" in known.gives else GAUGE_COUNT.get(name, 4)
    module = make(name, static=static, gauges=gauges).eval()
    x, more = sample(name, batch=1)
    static_maps = more.get("static") if static else None
    base = torch.zeros_like(x)
    if known.mass_input:
        base[:, :, 0] = x[:, :, 0].mean()
    weights = np.zeros((1, gauges) if gauges else x.shape[-2:])
    weights[(0, min(1, gauges - 1)) if gauges else (4, 4)] = 1.0
    mask = more.get("mask")
    names, parts, bases = ["x"], [x], [base]
    if static_maps is not None and getattr(module, "uses_static", False):
        names, parts, bases = [*names, "static"], [*parts, static_maps], [*bases, torch.zeros_like(static_maps)]
    if double:
        module, parts, bases = module.double(), [p.double() for p in parts], [p.double() for p in bases]
        mask = None if mask is None else mask.double()
    function = Explained(module, PlaceMean(weights, _scaler(name)), names, Surroundings(mask=mask))
    with torch.no_grad():
        ends = [float(function(*held)[0]) for held in (parts, bases)]
    counts = [part.shape[2 if part.dim() == 5 else 1] for part in parts]
    owners = tuple(tuple(range(first, first + count)) for first, count in zip((0, counts[0]), counts))
    return Problem(function, tuple(parts), tuple(bases), owners, *ends, at_once=2)


def _run(name, problem, **settings):
    work = METHODS[name].run(problem, Settings(**settings))
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("name", NAMES)
def test_contributions_add_up_within_a_hundredth_of_the_difference(name):
    problem = _problem(name)
    found = _run("integrated-gradients", problem, steps=64)
    difference = abs(found.prediction - found.baseline_prediction)
    assert difference > 1e-6
    assert abs(found.residual) <= 0.01 * difference, (found.residual / difference, found.passes)
    assert found.passes <= most_points(64)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_what_finite_differences_give(name):
    problem = _problem(name, double=True)
    found = _run("gradient", problem)
    generator = torch.Generator().manual_seed(3)
    for part, given in zip(range(len(problem.inputs)), (found.x, found.static)):
        direction = torch.randn(problem.inputs[part].shape, generator=generator, dtype=torch.float64)
        moved = problem.differences[part] * direction  # contributions are slopes times the distance
        width = 1e-5
        ends = []
        for sign in (1, -1):
            parts = list(problem.inputs)
            parts[part] = parts[part] + sign * width * moved
            ends.append(float(problem.at(tuple(parts))[0]))
        slope = (ends[0] - ends[1]) / (2 * width)
        expected = float((torch.from_numpy(given) * direction[0]).sum())
        assert expected == pytest.approx(slope, rel=2e-3, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_methods_without_gradients_run_and_shapley_adds_up(name):
    problem = _problem(name)
    found = _run("shapley", problem, samples=2)
    assert abs(found.residual) <= 1e-4 * max(1.0, abs(found.prediction))
    assert np.isfinite(_run("occlusion-time", problem, block_steps=3).total)


@pytest.mark.parametrize("name", NAMES)
def test_grad_cam_shows_a_recurrent_layer_or_says_that_there_is_none(name):
    from freshet.core.contracts.errors import ModelFileError
    from freshet.core.explain.methods.grad_cam import recurrent_layers

    problem = _problem(name)
    layers = recurrent_layers(problem)
    if name in WITHOUT_LAYERS:
        assert not layers
        with pytest.raises(ModelFileError, match="no recurrent layer"):
            _run("grad-cam", problem)
        return
    found = _run("grad-cam", problem)
    assert found.facts["layer"] == layers[-1].name and len(found.heat) == problem.window
    assert found.heat.any() and np.isfinite(found.heat).all()
