"""Losses over observed values: each against its equations in NumPy, its gradient by finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.contracts import ConfigError
from freshet.core.training.kge import group_moments, merged_moments, one_minus_kge
from freshet.core.training.losses import Loss, masked_loss
from freshet.core.training.ssim import similarity
from freshet.core.training.target_facts import TargetFacts, rarity_weights

PREDICTED = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
TARGET = torch.tensor([[0.0, float("nan")], [3.0, 2.0]])
KINDS = ("mse", "mae", "huber", "nse", "kge", "quantile", "rare", "ssim")


def facts(targets=2):
    """The facts of normal values; each target has its own."""
    rng = np.random.default_rng(3)
    found = [rarity_weights(rng.normal(n, 1.0 + n, 5000), 0.9) for n in range(targets)]
    table, first, last = (np.array(part, dtype=np.float64) for part in zip(*found))
    low, high = torch.tensor([-2.0, -1.5])[:targets], torch.tensor([4.0, 3.0])[:targets]
    return TargetFacts(low.double(), high.double(), torch.tensor(first), torch.tensor(last), torch.tensor(table))


def loss_of(kind, by_cell=False):
    return Loss(kind, huber_delta=0.7, quantile=0.8, ssim_share=0.4, facts=facts(), by_cell=by_cell)


def values(seed=0, shape=(2, 2, 2, 2, 6, 5), missing=0.3):
    """Prediction, target with gaps, and variance; (B, N, L, K, H, W), float64."""
    rng = np.random.default_rng(seed)
    target = rng.normal(0.3, 1.0, shape)
    predicted = 0.6 * target + rng.normal(0.0, 0.5, shape)
    target[rng.random(shape) < missing] = np.nan
    return predicted, target, rng.uniform(0.2, 2.0, shape[3:])


# ---- the equations in NumPy, written for themselves ------------------------------------------------------------------


def numpy_pointwise(kind, predicted, target, variance):
    error = (predicted - target)[np.isfinite(target)]
    if kind == "mse":
        return (error**2).mean()
    if kind == "mae":
        return np.abs(error).mean()
    if kind == "huber":
        return np.mean([0.5 * e * e if abs(e) <= 0.7 else 0.7 * (abs(e) - 0.35) for e in error])
    if kind == "quantile":
        return np.mean([0.8 * -e if e < 0 else 0.2 * e for e in error])
    return ((predicted - target) ** 2 / (variance + 0.01))[np.isfinite(target)].mean()


def numpy_kge(predicted, target, by_cell):
    distances = []
    for k in range(target.shape[3]):
        groups = [(predicted[:, :, :, k], target[:, :, :, k])]
        if by_cell:
            cells = np.ndindex(target.shape[-2:])
            groups = [(predicted[:, :, :, k, r, c], target[:, :, :, k, r, c]) for r, c in cells]
        for sim, obs in groups:
            sim, obs = sim[np.isfinite(obs)], obs[np.isfinite(obs)]
            if len(obs) < 2:
                continue
            r, alpha = np.corrcoef(sim, obs)[0, 1], sim.std() / obs.std()
            bias = (sim.mean() - obs.mean()) / obs.std()
            distances.append(np.sqrt((r - 1) ** 2 + (alpha - 1) ** 2 + bias**2))
    return np.mean(distances)


def numpy_ssim(one, two, reach):
    """SSIM of each cell of a map (H, W) with NaN in ``two``; the sums written out."""
    rows, columns = two.shape
    found = np.zeros(two.shape)
    for row in range(rows):
        for column in range(columns):
            weights, a, b = [], [], []
            for y in range(max(0, row - 5), min(rows, row + 6)):
                for x in range(max(0, column - 5), min(columns, column + 6)):
                    if np.isfinite(two[y, x]):
                        weights.append(np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * 1.5**2)))
                        a.append(one[y, x])
                        b.append(two[y, x])
            w, a, b = np.array(weights) / np.sum(weights), np.array(a), np.array(b)
            mean_a, mean_b = (w * a).sum(), (w * b).sum()
            var_a, var_b = (w * (a - mean_a) ** 2).sum(), (w * (b - mean_b) ** 2).sum()
            both = (w * (a - mean_a) * (b - mean_b)).sum()
            c1, c2 = (0.01 * reach) ** 2, (0.03 * reach) ** 2
            found[row, column] = (
                (2 * mean_a * mean_b + c1) * (2 * both + c2)
                / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
            )  # fmt: skip
    return found


def numpy_loss(kind, predicted, target, variance, by_cell=False):
    if kind == "kge":
        return numpy_kge(predicted, target, by_cell)
    known = facts()
    if kind == "rare":
        total = []
        for k in range(target.shape[3]):
            there = np.isfinite(target[:, :, :, k])
            obs, sim = target[:, :, :, k][there], predicted[:, :, :, k][there]
            table = known.weight[k].numpy()
            places = np.linspace(float(known.first[k]), float(known.last[k]), len(table))
            total.append(np.interp(obs, places, table) * (sim - obs) ** 2)
        return np.concatenate(total).mean()
    if kind == "ssim":
        total = []
        for place in np.ndindex(target.shape[:4]):
            low, high = float(known.low[place[3]]), float(known.high[place[3]])
            there = np.isfinite(target[place])
            alike = numpy_ssim(predicted[place] - low, target[place] - low, high - low)
            mixed = 0.4 * (1 - alike) + 0.6 * (predicted[place] - target[place]) ** 2
            total.append(mixed[there])
        return np.concatenate(total).mean()
    return numpy_pointwise(kind, predicted, target, variance)


@pytest.mark.parametrize("kind", KINDS)
def test_each_loss_is_its_equations(kind):
    predicted, target, variance = values()
    found = loss_of(kind)(*(torch.from_numpy(a) for a in (predicted, target, variance)))
    assert float(found) == pytest.approx(numpy_loss(kind, predicted, target, variance), rel=2e-5)


def test_kge_at_gauges_is_that_of_each_gauge():
    predicted, target, variance = values(shape=(9, 1, 2, 2, 1, 3))
    found = loss_of("kge", by_cell=True)(torch.from_numpy(predicted), torch.from_numpy(target))
    assert float(found) == pytest.approx(numpy_kge(predicted, target, True), rel=2e-5)
    assert float(found) != pytest.approx(numpy_kge(predicted, target, False), rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_of_each_loss_is_its_finite_difference(kind):
    predicted, target, variance = values(seed=4, shape=(2, 1, 1, 2, 4, 3))
    target, variance, loss = torch.from_numpy(target), torch.from_numpy(variance), loss_of(kind)
    start = torch.from_numpy(predicted).requires_grad_()
    loss(start, target, variance).backward()
    step = 1e-6
    for place in np.ndindex(predicted.shape):
        if not torch.isfinite(target[place]):
            assert start.grad[place] == 0
            continue
        up, down = predicted.copy(), predicted.copy()
        up[place] += step
        down[place] -= step
        ends = [float(loss(torch.from_numpy(a), target, variance)) for a in (up, down)]
        assert float(start.grad[place]) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4, abs=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_targets_give_no_gradient_and_no_nan(kind):
    predicted, target, variance = (torch.from_numpy(a).float() for a in values(seed=1))
    predicted[~torch.isfinite(target)] = float("inf") if kind == "mse" else 7.0
    loss = loss_of(kind)
    start = predicted.clone().nan_to_num(posinf=1e30).requires_grad_()
    loss(start, target, variance).backward()
    assert (start.grad[~torch.isfinite(target)] == 0).all() and torch.isfinite(start.grad).all()
    start.grad = None
    nothing = loss(start, torch.full_like(target, float("nan")), variance)
    nothing.backward()
    assert nothing.item() == 0 and (start.grad == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_prediction_has_no_loss_and_a_finite_gradient(kind):
    _, target, variance = (torch.from_numpy(a) for a in values(seed=2, missing=0.1))
    start = torch.nan_to_num(target, nan=5.0).requires_grad_()
    loss = loss_of(kind)(start, target, variance)
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=2e-6) and torch.isfinite(start.grad).all()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "kge"])
def test_sum_and_count_add_up_over_batches(kind):
    predicted, target, variance = (torch.from_numpy(a) for a in values(seed=5, shape=(5, 1, 1, 2, 6, 5)))
    loss = loss_of(kind)
    parts = [loss.parts(predicted[a:b], target[a:b], variance) for a, b in ((0, 2), (2, 5))]
    total, count = sum(p[0] for p in parts), sum(p[1] for p in parts)
    assert float(total / count) == pytest.approx(float(loss(predicted, target, variance)), rel=1e-12)


def test_moments_of_parts_add_up_to_those_of_the_whole():
    predicted, target, _ = (torch.from_numpy(a) for a in values(seed=6, shape=(7, 1, 1, 2, 3, 4)))
    for axes in ((0, 1, 2), (0, 1, 2, 4, 5)):
        whole = group_moments(predicted, target, axes)
        parts = [group_moments(predicted[a:b], target[a:b], axes) for a, b in ((0, 3), (3, 4), (4, 7))]
        empty = group_moments(predicted[:1], torch.full_like(target[:1], float("nan")), axes)
        found = merged_moments(merged_moments(merged_moments(empty, parts[0]), parts[1]), parts[2])
        torch.testing.assert_close(found, whole)
        torch.testing.assert_close(one_minus_kge(found), one_minus_kge(whole))


def test_kge_leaves_out_what_does_not_vary():
    predicted, target, _ = (torch.from_numpy(a) for a in values(shape=(6, 1, 1, 2, 1, 1), missing=0.0))
    target[:, :, :, 1] = 0.25
    total, count = Loss("kge").parts(predicted, target)
    assert int(count) == 1 and float(total) == pytest.approx(
        numpy_kge(predicted.numpy()[:, :, :, :1], target.numpy()[:, :, :, :1], False), rel=1e-5
    )
    flat = torch.full_like(target, 0.5).requires_grad_()
    Loss("kge")(flat, target).backward()
    assert torch.isfinite(flat.grad).all() and flat.grad.abs().sum() > 0


def test_the_best_constant_of_the_quantile_loss_is_the_quantile():
    target = torch.from_numpy(np.random.default_rng(0).gamma(1.0, 1.0, 4000)).reshape(-1, 1, 1, 1, 1, 1)
    tries = torch.linspace(0.0, 4.0, 401).double()
    loss = Loss("quantile", quantile=0.9)
    best = tries[int(torch.stack([loss(t.expand(target.shape), target) for t in tries]).argmin())]
    assert float(best) == pytest.approx(np.quantile(target.numpy(), 0.9), abs=0.02)


def test_rare_values_weigh_more_and_the_mean_weight_is_one():
    data = np.random.default_rng(1).gamma(0.5, 1.0, 20000)
    table, first, last = rarity_weights(data, 1.0)
    places = np.linspace(first, last, len(table))
    assert np.interp(data, places, table).mean() == pytest.approx(1.0, rel=1e-2)
    rare, usual, common = np.interp([6.0, 0.5, 0.0], places, table)
    assert rare > 1.2 * usual > 6.0 * common
    assert (rarity_weights(data, 0.0)[0] == 1.0).all() and (rarity_weights(np.full(9, 2.0), 1.0)[0] == 1.0).all()


def test_ssim_of_equal_maps_is_one_and_of_noise_less():
    maps = torch.from_numpy(np.random.default_rng(2).random((3, 12, 13)))
    there = torch.ones_like(maps, dtype=torch.bool)
    reach = torch.tensor(1.0, dtype=torch.float64)
    assert torch.allclose(similarity(maps, maps, there, reach), torch.ones_like(maps))
    assert float(similarity(maps.flip(-1), maps, there, reach).mean()) < 0.5


def test_the_mean_is_over_observed_cells_only():
    assert masked_loss("mse", PREDICTED, TARGET) == pytest.approx((1 + 0 + 4) / 3)
    assert masked_loss("mae", PREDICTED, TARGET) == pytest.approx((1 + 0 + 2) / 3)


def test_one_minus_nse_weighs_each_cell_by_its_variance():
    variance = torch.tensor([[0.99, 1.0], [1.0, 3.99]])
    assert masked_loss("nse", PREDICTED, TARGET, variance) == pytest.approx((1 / 1.0 + 0 + 4 / 4.0) / 3)


def test_unknown_losses_and_what_a_loss_lacks_are_refused():
    with pytest.raises(ConfigError, match="no loss 'rmse'"):
        masked_loss("rmse", PREDICTED, TARGET)
    with pytest.raises(ConfigError, match="variance"):
        masked_loss("nse", PREDICTED, TARGET)
    with pytest.raises(ConfigError, match="values in training"):
        masked_loss("rare", PREDICTED, TARGET)
