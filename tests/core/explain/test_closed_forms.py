"""On a linear model every method equals its closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.contracts.result_jobs import METHODS as NAMES
from freshet.core.explain.methods import METHODS, Settings
from freshet.core.explain.methods.masks import random_mask

from .linear import C, H, L, S, T, W, inputs, make_problem, run, truth

NEAR = {"rtol": 1e-4, "atol": 1e-5}


def _same(found, expected):
    for name, values in zip(("x", "static", "ahead"), expected):
        np.testing.assert_allclose(getattr(found, name), values, **NEAR)


def test_the_jobs_choices_are_the_methods():
    assert NAMES == tuple(METHODS)


@pytest.mark.parametrize("name, settings", [
    ("integrated-gradients", {"steps": 2}), ("integrated-gradients", {"steps": 30}), ("gradient", {}),
    ("smoothgrad", {"samples": 3, "noise": 0.5}),
])  # fmt: skip
@pytest.mark.parametrize("lead", [0, 1])
def test_gradient_methods_give_weight_times_distance(name, settings, lead):
    problem = make_problem(lead=lead)
    found, _ = run(name, problem, **settings)
    _same(found, truth(problem, lead))
    assert abs(found.residual) < 1e-4 and abs(found.prediction - found.baseline_prediction) > 0.1


def test_expected_gradients_give_weight_times_distance_from_the_mean_of_the_windows():
    windows = [inputs(seed) for seed in range(10, 13)]
    problem = make_problem(background=lambda number: windows[number % 3])
    found, _ = run("expected-gradients", problem, samples=6)
    mean = tuple(sum(window[part] for window in windows) / 3 for part in range(3))
    centred = make_problem(baselines=mean)
    _same(found, truth(centred))
    assert found.baseline_prediction == pytest.approx(centred.baseline_prediction, abs=1e-5)
    assert found.facts["background_spread"] > 0


def test_occlusion_in_space_gives_the_sum_of_each_block_shared_among_its_cells():
    problem = make_problem()
    found, _ = run("occlusion-space", problem, block=3)
    x, static, ahead = (part.sum(axis=0, keepdims=True) if part.ndim == 4 else part for part in truth(problem))
    pair = np.repeat(x[:, 1:].sum(axis=1, keepdims=True) / 2, 2, axis=1)  # channels 1 and 2 are one variable
    x = np.concatenate([x[:, :1], pair], axis=1)
    for given, exact in ((found.x, x), (found.static, static), (found.ahead, ahead)):
        expected = np.empty_like(exact)
        for top in range(0, H, 3):
            for left in range(0, W, 3):
                block = (..., slice(top, top + 3), slice(left, left + 3))
                expected[block] = exact[block].mean(axis=(-2, -1), keepdims=True)
        np.testing.assert_allclose(given, expected, **NEAR)
    assert found.x.shape == (1, C, H, W) and abs(found.residual) < 1e-4


@pytest.mark.parametrize("length", [1, 2, 9])
def test_occlusion_in_time_gives_the_sum_of_each_stretch_shared_among_its_steps(length):
    problem = make_problem()
    found, _ = run("occlusion-time", problem, block_steps=length)
    x, static, ahead = (part.sum(axis=(-2, -1), keepdims=True) for part in truth(problem))
    pair = np.repeat(x[:, 1:].sum(axis=1, keepdims=True) / 2, 2, axis=1)
    x = np.concatenate([x[:, :1], pair], axis=1)
    for given, exact in ((found.x, x), (found.ahead, ahead)):
        expected = np.empty_like(exact)
        for first in range(0, len(exact), length):
            expected[first : first + length] = exact[first : first + length].mean(axis=0)
        np.testing.assert_allclose(given, expected, **NEAR)
    np.testing.assert_allclose(found.static, static, **NEAR)
    assert found.x.shape == (T, C, 1, 1) and abs(found.residual) < 1e-4


def test_shapley_values_are_the_sums_of_the_variables_in_any_order():
    problem = make_problem()
    found, _ = run("shapley", problem, samples=2)
    x, static, ahead = truth(problem)
    np.testing.assert_allclose(found.x[0, :, 0, 0], [x[:, 0].sum(), x[:, 1:].sum(), 0.0], **NEAR)
    np.testing.assert_allclose(found.static[:, 0, 0], static.sum(axis=(1, 2)), **NEAR)
    np.testing.assert_allclose(found.ahead[0, :, 0, 0], [ahead.sum()], **NEAR)
    assert abs(found.residual) < 1e-4 and max(found.facts["standard_error"]) < 1e-3


def _all(problem):
    """(H, W): contributions of all variables and steps together."""
    x, static, ahead = truth(problem)
    return x.sum(axis=(0, 1)) + static.sum(axis=0) + ahead.sum(axis=(0, 1))


def test_gaussian_perturbation_gives_contributions_seen_through_its_bumps():
    problem = make_problem()
    found, _ = run("gaussian", problem, samples=9, sigma=1.2, seed=4)
    rng = np.random.default_rng(4)
    rows, columns = np.mgrid[:H, :W]
    above = below = 0.0
    for _ in range(9):
        row, column = rng.uniform(-0.5, H - 0.5), rng.uniform(-0.5, W - 0.5)
        bump = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 1.2**2))
        above, below = above + bump * (bump * _all(problem)).sum(), below + bump
    np.testing.assert_allclose(found.heat[0], above / below, **NEAR)


def test_random_masks_give_the_slope_of_the_prediction_over_each_cells_mask():
    problem = make_problem()
    found, _ = run("rise", problem, samples=11, block=3, seed=5)
    rng = np.random.default_rng(5)
    masks = np.stack([random_mask(rng, (H, W), 3) for _ in range(11)])
    values = problem.baseline_prediction + (masks * _all(problem)).sum(axis=(1, 2))
    centred = masks - masks.mean(axis=0)
    slope = (centred * (values - values.mean())[:, None, None]).mean(axis=0) / centred.var(axis=0)
    np.testing.assert_allclose(found.heat[0], slope, rtol=1e-3, atol=1e-4)


def test_many_random_masks_of_one_cell_come_near_the_contributions():
    problem = make_problem(at_once=64)
    found, _ = run("rise", problem, samples=6000, block=1)
    assert np.corrcoef(found.heat[0].ravel(), _all(problem).ravel())[0, 1] > 0.95


@pytest.mark.parametrize("name", ["smoothgrad", "expected-gradients", "gaussian", "rise", "shapley"])
def test_a_seed_gives_the_same_answer_whatever_is_computed_at_once_and_was_drawn_before(name):
    def answer(at_once, seed):
        problem = make_problem(_curved(), at_once=at_once, lead=0, background=lambda n: inputs(n + 20))
        return run(name, problem, samples=3, seed=seed)[0].parts[0]

    first = answer(1, 7)
    torch.rand(3), np.random.random(2)
    np.testing.assert_allclose(answer(2, 7), first, rtol=1e-4, atol=1e-6)
    assert np.abs(answer(2, 8) - first).max() > 1e-6


@pytest.mark.parametrize("name", [name for name in METHODS if name != "grad-cam"])  # a linear model has no layers
def test_the_passes_told_beforehand_are_those_that_are_spent(name):
    problem = make_problem(background=lambda n: inputs(n + 20))
    calls = []
    hook = problem.function.module.register_forward_hook(lambda module, given, out: calls.append(len(given[0])))
    found, steps = run(name, problem, steps=30, samples=5, block=3, block_steps=2)
    hook.remove()
    told = METHODS[name].passes(problem, Settings(steps=30, samples=5, block=3, block_steps=2))
    assert sum(told) == pytest.approx(sum(calls), rel=0.15)
    assert [step.done for step in steps] == sorted(step.done for step in steps) and steps[-1].done <= steps[-1].of


def test_nothing_that_the_baseline_leaves_alone_is_occluded():
    parts = inputs()
    baselines = tuple(part.clone() for part in parts)
    baselines[0][:, :, 0] = 0.0
    problem = make_problem(parts=parts, baselines=baselines)
    found, steps = run("occlusion-space", problem, block=4)
    assert len(steps) == 2 and not found.static.any() and not found.ahead.any() and found.x[:, 0].any()


def _curved():
    from freshet.core.models.base import ForecastModel

    class Curved(ForecastModel):
        uses_static = uses_ahead = True

        def __init__(self):
            super().__init__(C, 1, S, L, ahead_channels=1)

        def forward(self, x, static=None, observed=None, last_steps=1, warm_up=0, ahead=None):
            y = torch.tanh(x.sum(dim=(1, 2)) + static.sum(dim=1) + ahead.sum(dim=(1, 2))) ** 2 + x[:, -1, 0] ** 3
            return {"y_hat": y[:, None, None].expand(-1, L, 1, -1, -1)}

    return Curved()
