"""Scores: against published numbers, plain numpy, and the promises on NaN, streaming and stability."""

from __future__ import annotations

import json

import numpy as np
import pytest

from freshet.core.contracts.errors import DataError
from freshet.core.metrics.scores import SCORES, Scores, skill

# Example of the WWRP/WGNE forecast verification pages (cawcr.gov.au/projects/verification).
OBSERVED = np.array([7, 10, 9, 15, 22, 13, 17, 17, 19, 23, 0, 10, 0, 15, 0, 13, 0, 17, 0, 0.0])
PREDICTED = np.array([1, 8, 12, 13, 18, 10, 16, 19, 23, 24, 0, 0, 12, 0, 0, 0, 16, 0, 0, 0.0])


def scores_of(predicted, observed):
    scores = Scores((1, 1))
    scores.accumulate(np.reshape(predicted, (-1, 1, 1)), np.reshape(observed, (-1, 1, 1)))
    return scores.compute()


def random_maps(seed=0, steps=40, shape=(3, 4)):
    rng = np.random.default_rng(seed)
    observed = rng.gamma(2.0, 3.0, (steps, *shape))
    predicted = observed + rng.normal(0.5, 1.0, observed.shape)
    observed[rng.random(observed.shape) < 0.2] = np.nan
    predicted[rng.random(observed.shape) < 0.1] = np.inf
    return predicted, observed


def test_published_example_is_reproduced():
    scores = scores_of(PREDICTED, OBSERVED)
    assert scores["bias"] == pytest.approx(-1.75)
    assert scores["mae"] == pytest.approx(5.55)
    assert scores["rmse"] == pytest.approx(8.009370, abs=1e-6)
    assert scores["kge_r"] == pytest.approx(0.542929, abs=1e-6)
    assert scores["nse"] == pytest.approx(-0.054622, abs=1e-6)  # there called reduction of variance


def test_pooled_scores_equal_plain_numpy():
    predicted, observed = random_maps()
    scores = Scores((3, 4))
    scores.accumulate(predicted, observed)
    both = np.isfinite(predicted) & np.isfinite(observed)
    p, o = predicted[both], observed[both]
    r, alpha, beta = np.corrcoef(p, o)[0, 1], p.std() / o.std(), p.mean() / o.mean()
    gamma = (p.std() / p.mean()) / (o.std() / o.mean())
    expected = {
        "rmse": np.sqrt(np.mean((p - o) ** 2)),
        "mae": np.mean(np.abs(p - o)),
        "bias": np.mean(p - o),
        "nse": 1 - np.sum((p - o) ** 2) / np.sum((o - o.mean()) ** 2),
        "kge": 1 - np.sqrt((r - 1) ** 2 + (alpha - 1) ** 2 + (beta - 1) ** 2),
        "kge_r": r,
        "kge_alpha": alpha,
        "kge_beta": beta,
        "kge_2012": 1 - np.sqrt((r - 1) ** 2 + (gamma - 1) ** 2 + (beta - 1) ** 2),
        "kge_gamma": gamma,
        "count": both.sum(),
    }
    got = scores.compute()
    assert set(got) == set(SCORES)
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, rel=1e-12), name


def test_scores_of_a_cell_equal_those_of_its_own_series():
    predicted, observed = random_maps(seed=4)
    scores = Scores((3, 4))
    scores.accumulate(predicted, observed)
    maps, alone = scores.maps(), scores_of(predicted[:, 1, 2], observed[:, 1, 2])
    for name in SCORES:
        assert maps[name][1, 2] == pytest.approx(alone[name], rel=1e-12), name


@pytest.mark.parametrize("sizes", [(1,) * 40, (7, 33), (39, 1)])
def test_streaming_in_blocks_equals_one_go(sizes):
    predicted, observed = random_maps(seed=1)
    whole, streamed = Scores((3, 4)), Scores((3, 4))
    whole.accumulate(predicted, observed)
    start = 0
    for size in sizes:
        streamed.accumulate(predicted[start : start + size], observed[start : start + size])
        start += size
    for name, value in whole.compute().items():
        assert streamed.compute()[name] == pytest.approx(value, rel=1e-11), name
    np.testing.assert_allclose(streamed.maps()["kge"], whole.maps()["kge"], rtol=1e-10)


def test_merged_parts_equal_the_whole():
    predicted, observed = random_maps(seed=2)
    whole, first, second = Scores((3, 4)), Scores((3, 4)), Scores((3, 4))
    whole.accumulate(predicted, observed)
    first.accumulate(predicted[:11], observed[:11])
    second.accumulate(predicted[11:], observed[11:])
    first.merge(second)
    assert first.compute()["nse"] == pytest.approx(whole.compute()["nse"], rel=1e-12)
    assert first.compute()["count"] == whole.compute()["count"]


def test_large_mean_with_small_variance_keeps_its_digits():
    rng = np.random.default_rng(0)
    observed = rng.normal(0, 1, (500, 2, 2))
    predicted = observed + rng.normal(0, 0.1, observed.shape)
    plain, raised = Scores((2, 2)), Scores((2, 2))
    plain.accumulate(predicted, observed)
    for p, o in zip(predicted, observed):
        raised.accumulate(p + 1e7, o + 1e7)
    assert raised.compute()["nse"] == pytest.approx(plain.compute()["nse"], abs=1e-7)
    assert raised.compute()["kge_r"] == pytest.approx(plain.compute()["kge_r"], abs=1e-7)


def test_a_pair_counts_only_where_both_are_finite():
    scores = scores_of([1.0, np.nan, 3.0, np.inf], [2.0, 2.0, np.nan, 5.0])
    assert scores["count"] == 1
    assert scores["bias"] == -1.0


def test_perfect_prediction_scores_one():
    scores = scores_of(OBSERVED, OBSERVED)
    assert (scores["nse"], scores["rmse"], scores["bias"]) == (1.0, 0.0, 0.0)
    assert scores["kge"] == pytest.approx(1.0)


def test_nse_and_kge_are_undefined_where_the_observed_does_not_vary():
    scores = scores_of(np.linspace(0, 1, 7), np.full(7, np.float32(0.1)))
    assert np.isnan(scores["nse"]) and np.isnan(scores["kge"])
    assert np.isfinite(scores["rmse"])


def test_kge_is_undefined_where_the_prediction_does_not_vary_but_nse_is_not():
    scores = scores_of(np.full(5, 0.3), np.linspace(0, 1, 5))
    assert np.isnan(scores["kge"])
    assert scores["nse"] == pytest.approx(1 - (0.125 + 0.04) / 0.125)


def test_cells_without_pairs_are_nan_and_left_out_of_the_median():
    predicted, observed = random_maps(seed=5)
    observed[:, 0] = np.nan
    scores = Scores((3, 4))
    scores.accumulate(predicted, observed)
    maps = scores.maps()
    assert np.isnan(maps["rmse"][0]).all() and (maps["count"][0] == 0).all()
    assert scores.median_per_cell()["rmse"] == pytest.approx(np.median(maps["rmse"][1:]))
    assert scores.median_per_cell()["count"] == 8


def test_empty_scores_become_null_in_json():
    held = json.loads(json.dumps(Scores((2, 2)).to_dict(), allow_nan=False))
    assert held["pooled"]["nse"] is None and held["pooled"]["count"] == 0


def test_skill_is_zero_for_the_reference_and_undefined_for_a_perfect_one():
    assert skill(4.0, 4.0) == 0.0
    assert skill(1.0, 4.0) == 0.75
    assert np.isnan(skill(1.0, 0.0))


def test_maps_of_another_shape_are_refused():
    with pytest.raises(DataError, match="same grid"):
        Scores((2, 2)).accumulate(np.zeros((3, 2, 2)), np.zeros((3, 2, 3)))


def test_scores_of_another_grid_are_not_merged():
    with pytest.raises(DataError, match="two grids"):
        Scores((2, 2)).merge(Scores((2, 3)))
