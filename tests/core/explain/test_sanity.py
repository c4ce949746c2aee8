"""The checks: randomised weights, the deletion curve; and the cost that is told."""

from __future__ import annotations

import csv
import dataclasses
import io

import numpy as np
import pytest
import torch

from freshet.core.explain.cost import GRADIENT_COSTS, estimate
from freshet.core.explain.methods import METHODS, Settings
from freshet.core.explain.sanity import DELETIONS, check, randomised, rank_correlation

from .linear import H, Linear, W, make_problem, run


def _check(problem, name="integrated-gradients", **settings):
    found, _ = run(name, problem, **settings)
    work, steps = check(problem, found, METHODS[name], Settings(**settings)), []
    while True:
        try:
            steps.append(next(work))
        except StopIteration as end:
            return end.value, steps


def test_randomised_weights_keep_their_sizes_and_lose_their_places():
    module = Linear()
    other = randomised(module, 0)
    for name, value in module.named_parameters():
        moved = dict(other.named_parameters())[name]
        sizes = [np.sort(np.abs(held.detach().numpy().ravel())) for held in (moved, value)]
        np.testing.assert_allclose(*sizes)
        assert value.numel() < 4 or not torch.equal(moved, value)
    assert not any(value.requires_grad for value in other.parameters())
    again = dict(randomised(module, 0).named_parameters())
    assert all(torch.equal(again[name], value) for name, value in other.named_parameters())


@pytest.mark.parametrize("name", ["integrated-gradients", "gradient", "occlusion-space"])
def test_deleting_the_most_attributed_first_takes_the_prediction_away_faster(name):
    sane, steps = _check(make_problem(), name, steps=4, block=1)
    assert sane.shares[0] == 0 and sane.shares[-1] == 1 and sane.attributed[0] == 1 and sane.attributed[-1] == 0
    assert sane.area > 0.5 and abs(sane.correlation) < 1
    assert steps[-1].done <= steps[-1].of and [s.done for s in steps] == sorted(s.done for s in steps)
    rows = list(csv.DictReader(io.StringIO(sane.table())))
    assert len(rows) == len(sane.shares) and float(rows[-1]["random_mean"]) == 0


def test_an_attribution_by_chance_leaves_no_area_between_the_curves():
    problem = make_problem(place=[(row, column) for row in range(H) for column in range(W)])
    found, _ = run("integrated-gradients", problem, steps=4)
    rng = np.random.default_rng(0)
    chance = {name: rng.normal(size=getattr(found, name).shape) for name in ("x", "static", "ahead")}
    blind = dataclasses.replace(found, **chance)
    work = check(problem, blind, METHODS["gradient"], Settings())
    while True:
        try:
            next(work)
        except StopIteration as end:
            sane = end.value
            break
    truthful, _ = _check(problem, steps=4)
    assert abs(sane.area) < 0.3 * truthful.area and abs(sane.correlation) < 0.15
    assert abs(truthful.correlation) < 0.5


def test_methods_that_tell_no_cells_or_variables_apart_are_checked_too():
    for name in ("rise", "shapley", "occlusion-time"):
        sane, _ = _check(make_problem(), name, samples=4)
        assert sane.area is not None and np.isfinite(sane.random).all()


def test_rank_correlation_is_spearmans_and_none_for_a_constant():
    assert rank_correlation(np.array([1.0, 2, 2, 9]), np.array([10.0, 20, 20, 21])) == pytest.approx(1)
    assert rank_correlation(np.ones(4), np.arange(4.0)) is None


def test_the_cost_is_passes_times_the_time_of_one():
    now = iter(np.arange(0.0, 100.0, 2.0))
    problem = make_problem()
    path, settings = METHODS["integrated-gradients"], Settings(steps=32)
    cost = estimate(problem, path, settings, False, 0, exact=True, clock=lambda: next(now))
    forward, gradient = path.passes(problem, settings)
    assert cost.seconds == 2.0 * (forward + gradient) and gradient == 32
    event = cost.event().values
    told = {"forward": forward, "gradient": 32, "seconds": cost.seconds, "bytes": cost.size}
    assert event["cost"] == told and "passes" in event["text"] and "MB of memory" in event["text"]
    assert cost.size >= problem.at_once * sum(part.numel() * part.element_size() for part in problem.inputs)
    soon = estimate(problem, path, settings, False, 0, clock=lambda: next(now))
    assert soon.seconds == 2.0 * (forward + GRADIENT_COSTS * gradient) and soon.size is None
    checked = estimate(problem, METHODS["rise"], Settings(samples=5), True, DELETIONS, clock=lambda: next(now))
    assert (checked.forward, checked.gradient) == (10 + DELETIONS, 0)
