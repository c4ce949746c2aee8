"""Integrated gradients: completeness, refinement, causality; and the function that is explained."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.data.scaling import Scaler
from freshet.core.explain.explained import Explained, PlaceMean, Surroundings, unscale
from freshet.core.explain.methods import Problem, path
from freshet.core.models import build_model
from freshet.core.models.base import ForecastModel

from .linear import make_problem, run

T, C, S, H, W = 5, 3, 2, 7, 8
LINEAR_SCALER = Scaler("standard", shift=0.4, width=2.5)
CURVED = Scaler("yeo-johnson", shift=1.0, width=0.7, exponent=0.4, low=-3.0, high=3.0)


def _inputs(seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, T, C, H, W, generator=generator), torch.randn(1, S, H, W, generator=generator)


def _at(*cells):
    weights = np.zeros((H, W))
    for row, column in cells:
        weights[row, column] = 1 / len(cells)
    return weights


def _convlstm(**options):
    torch.manual_seed(5)
    return build_model("convlstm", C, 1, static_channels=S, leads=1, hidden=(6,), **options).eval()


def _problem(module, x, static, weights, scaler, *, at_once=2, observed=None):
    names, parts = (("x",), (x,)) if static is None else (("x", "static"), (x, static))
    function = Explained(module, PlaceMean(weights, scaler), names, Surroundings(observed=observed))
    bases = tuple(torch.zeros_like(part) for part in parts)
    with torch.no_grad():
        ends = [float(function(*held)[0]) for held in (parts, bases)]
    owners = ((0, 1, 2), (3, 4))[: len(parts)]
    return Problem(function, parts, bases, owners, *ends, at_once=at_once)


def _answer(*args, steps=8, **more):
    return run("integrated-gradients", _problem(*args, **more), steps=steps)[0]


@pytest.mark.parametrize("scaler", [LINEAR_SCALER, CURVED, Scaler("log1p", 1.0, 0.5, 1.0, -3.0, 3.0), Scaler("none")])
def test_contributions_of_a_convlstm_add_up_within_a_hundredth(scaler):
    x, static = _inputs(3)
    found = _answer(_convlstm(), 2 * x, static, _at((3, 4), (3, 5)), scaler, steps=64)
    difference = found.prediction - found.baseline_prediction
    assert abs(difference) > 1e-4 and abs(found.residual) < 0.01 * abs(difference) and found.passes == 64


def test_a_polygon_equals_the_mean_of_its_cells_where_the_inverse_is_linear():
    (x, static), module = _inputs(), _convlstm()
    cells = [(1, 1), (1, 2), (4, 6)]
    together = _answer(module, x, static, _at(*cells), LINEAR_SCALER, steps=64)
    single = [_answer(module, x, static, _at(cell), LINEAR_SCALER, steps=64) for cell in cells]
    expected = np.mean([one.x for one in single], axis=0)
    np.testing.assert_allclose(together.x, expected, atol=1e-3 * np.abs(expected).max())
    assert together.prediction == pytest.approx(np.mean([one.prediction for one in single]), abs=1e-6)


class Kinked(ForecastModel):
    """A steep bend of the path: y = the sum of relu(50 (x - 0.7))."""

    def __init__(self) -> None:
        super().__init__(C, 1)

    def forward(self, x, static=None, observed=None, last_steps=1, warm_up=0):
        return {"y_hat": torch.relu(50 * (x - 0.7)).sum(dim=(1, 2))[:, None, None]}


def test_the_path_is_refined_where_it_bends_until_contributions_add_up():
    x = torch.full((1, T, C, H, W), 0.77)
    problem = _problem(Kinked(), x, None, _at((3, 4)), Scaler("none"))
    few, steps = run("integrated-gradients", problem, steps=8)
    assert 8 < few.passes <= path.most_points(8) and abs(few.residual) < 0.01 * few.prediction
    assert len(steps) > 4 and steps[-1].done == steps[-1].of == 8
    # A uniform path of as many points would leave more than this one.
    uniform = _uniform(problem, few.passes)
    assert abs(uniform) > abs(few.residual)


def _uniform(problem, points):
    from captum.attr import IntegratedGradients

    found = IntegratedGradients(problem.function).attribute(
        problem.inputs, baselines=problem.baselines, n_steps=points, method="riemann_middle"
    )
    return problem.prediction - problem.baseline_prediction - float(found[0].sum())


class Jump(Kinked):
    """What no path can integrate: a step."""

    def forward(self, x, static=None, observed=None, last_steps=1, warm_up=0):
        return {"y_hat": ((x > 0.7).float() + 1e-4 * x).sum(dim=(1, 2))[:, None, None]}


def test_refinement_ends_at_the_stated_most():
    problem = _problem(Jump(), torch.full((1, T, C, H, W), 0.77), None, _at((3, 4)), Scaler("none"))
    found, _ = run("integrated-gradients", problem, steps=8)
    most = path.most_points(8)
    assert most - 4 < found.passes <= most and abs(found.residual) > 0.5 * found.prediction


def test_pieces_that_memory_cannot_keep_are_computed_again(monkeypatch):
    x, static = _inputs(3)
    kept = _answer(_convlstm(), x, static, _at((3, 4)), CURVED, steps=32)
    monkeypatch.setattr(path, "_KEPT_BYTES", 0)
    again = _answer(_convlstm(), x, static, _at((3, 4)), CURVED, steps=32)
    assert abs(again.residual) < 0.01 * abs(again.prediction - again.baseline_prediction)
    np.testing.assert_allclose(again.x, kept.x, atol=0.02 * np.abs(kept.x).max())


def test_the_number_of_points_at_once_does_not_change_the_answer():
    x, static = _inputs(3)
    one, two = (
        _answer(_convlstm(), x, static, _at((3, 4)), CURVED, steps=30, at_once=n) for n in (1, 2)
    )  # fmt: skip
    np.testing.assert_allclose(one.x, two.x, atol=1e-4 * np.abs(two.x).max())


def test_no_more_windows_are_computed_together_than_asked():
    for at_once in (1, 2):
        problem, seen = make_problem(at_once=at_once), []
        module = problem.function.module
        hook = module.register_forward_hook(lambda _, given, out, seen=seen: seen.append(len(given[0])))
        for name in ("integrated-gradients", "smoothgrad", "occlusion-space", "occlusion-time", "shapley", "rise"):
            run(name, problem, steps=12, samples=3)
        hook.remove()
        assert max(seen) <= at_once


def test_progress_rises_and_an_answer_is_there_after_the_first_eight_points():
    _, steps = run("integrated-gradients", make_problem(), steps=32)
    assert [step.done for step in steps[:5]] == [2, 4, 6, 8, 12] and steps[-1].done == 32
    assert [step.sofar is not None for step in steps[:4]] == [False, False, False, True]
    assert abs(steps[3].sofar().residual) < 1e-4


def test_cells_beyond_the_halo_contribute_exactly_nothing():
    torch.manual_seed(2)
    module = build_model("convlstm", C, 1, leads=1, hidden=(4,)).eval()
    x, _ = _inputs(1)
    window = 2
    found = _answer(module, x[:, :window], None, _at((3, 1)), CURVED)
    halo = module.halo_px(window)
    rows, columns = np.mgrid[:H, :W]
    beyond = np.maximum(abs(rows - 3), abs(columns - 1)) > halo
    assert beyond.any() and (found.x[..., beyond] == 0).all() and (found.x[..., ~beyond] != 0).any()
    assert found.static is None


def test_masks_of_missing_input_change_the_answer_and_get_no_contribution():
    module, (x, static) = _convlstm(mask_channels=True), _inputs(4)
    observed = torch.ones(T, C, H, W, dtype=torch.bool)
    all_seen = _answer(module, x, static, _at((3, 4)), CURVED, observed=observed)
    observed[2, 1] = False
    x[:, 2, 1] = 0
    missing = _answer(module, x, static, _at((3, 4)), CURVED, observed=observed)
    assert missing.prediction != all_seen.prediction and (missing.x[2, 1] == 0).all()


@pytest.mark.parametrize("kind", ["none", "standard", "min-max", "log1p", "yeo-johnson", "amount"])
@pytest.mark.parametrize("exponent", [-1.2, 0.0, 0.6, 2.0, 3.1])
def test_the_inverse_equals_that_of_the_scaler_also_where_it_clips(kind, exponent):
    scaler = Scaler(kind, 0.3, 0.8, exponent, -2.0, 2.5) if kind != "none" else Scaler("none")
    scaled = np.linspace(-9, 9, 301)
    tensor = torch.from_numpy(scaled).requires_grad_()
    mine = unscale(scaler, tensor)
    np.testing.assert_allclose(mine.detach().numpy(), scaler.inverse(scaled), rtol=2e-6, atol=1e-6)
    mine.sum().backward()
    assert torch.isfinite(tensor.grad).all()


def test_the_place_reads_its_lead_and_target_and_gauges_side_by_side():
    maps = torch.arange(2 * 3 * 2 * H * W, dtype=torch.float32).reshape(2, 3, 2, H, W)
    found = PlaceMean(_at((1, 2), (4, 4)), Scaler("none"), lead=2, target=1)(maps)
    np.testing.assert_allclose(found, (maps[:, 2, 1, 1, 2] + maps[:, 2, 1, 4, 4]) / 2)
    series = PlaceMean(np.array([[0.25, 0.75]]), Scaler("none"), lead=1)(maps[..., 0, :2])
    np.testing.assert_allclose(series, 0.25 * maps[:, 1, 0, 0, 0] + 0.75 * maps[:, 1, 0, 0, 1])
