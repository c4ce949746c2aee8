"""Steps of the optimizer: gathered from several batches, averaged, and stopped where numbers leave the finite ones."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]
from small import same, setting_up  # noqa: E402
from toy import write_toy_dataset  # noqa: E402

from freshet.core.contracts import ConfigError, EventKind, RunError  # noqa: E402
from freshet.core.contracts.training_config import LOSSES, SCHEDULES, TrainingConfig  # noqa: E402
from freshet.core.training.averaging import Average, averaged  # noqa: E402
from freshet.core.training.batches import batches_of, pieces_of  # noqa: E402
from freshet.core.training.checkpoint import load_checkpoint  # noqa: E402
from freshet.core.training.loop import fit  # noqa: E402
from freshet.core.training.losses import loss_of  # noqa: E402


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    return [write_toy_dataset(folder / "a.nc", seed=1), write_toy_dataset(folder / "b.nc", rows=5, columns=7, steps=70)]


def metrics(events):
    return [event.values for event in events if event.kind is EventKind.METRIC]


# ---- gathered from several batches -----------------------------------------------------------------------------------


def trained(paths, folder, training):
    module, sets, config, _ = setting_up(paths, training)
    sets[0].data.y[20:40, :, :, 1] = np.nan  # batches with other numbers of observed values
    return module, metrics(fit(module, sets, config, folder))


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss != "kge"])
def test_gathered_batches_equal_the_larger_batch(paths, tmp_path, loss):
    common = {"epochs": 2, "loss": loss, "augment": "flips", "rate_warm_up": 0.7}
    one, told = trained(paths, tmp_path / "one", {**common, "batch": 6})
    two, same_told = trained(paths, tmp_path / "two", {**common, "batch": 2, "accumulate": 3})
    for a, b in zip(one.parameters(), two.parameters()):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
    for a, b in zip(told, same_told):
        assert b["train_loss"] == pytest.approx(a["train_loss"], rel=1e-6)
        assert b["learning_rate"] == a["learning_rate"]
    other, _ = trained(paths, tmp_path / "other", {**common, "batch": 2})
    assert any((a - b).abs().max() > 1e-4 for a, b in zip(one.parameters(), other.parameters()))


def test_pieces_are_the_batches_of_the_larger_one_cut(paths):
    _, sets, _, _ = setting_up(paths)
    large = batches_of(sets, TrainingConfig(batch=6), np.random.default_rng(3))
    pieces = pieces_of(sets, TrainingConfig(batch=2, accumulate=3), np.random.default_rng(3))
    assert [piece.step for piece in pieces if piece.first] == list(range(len(large)))
    for number, (index, ends) in enumerate(large):
        parts = [piece for piece in pieces if piece.step == number]
        assert np.array_equal(np.concatenate([p.ends for p in parts]), ends) and {p.index for p in parts} == {index}
        assert [p.first for p in parts] == [True] + [False] * (len(parts) - 1) and parts[-1].last
        assert all(len(p.ends) <= 2 and p.begin == number / len(large) for p in parts)


# ---- the moving average ----------------------------------------------------------------------------------------------


def test_the_average_is_its_sum_written_out():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    average, expected = Average(module, 0.9), module[0].weight.detach().numpy().astype(np.float64)
    for step in range(1, 40):
        with torch.no_grad():
            module[0].weight.add_(torch.randn(3, 2))
        module(torch.randn(5, 2))
        keep = min(0.9, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * module[0].weight.detach().numpy()
        average.update(module)
    np.testing.assert_allclose(average.tensors["0.weight"].numpy(), expected, rtol=1e-5, atol=1e-6)
    assert average.tensors["1.num_batches_tracked"] == 39
    assert not torch.equal(average.tensors["1.running_mean"], module[1].running_mean)


def test_averaged_weights_are_lent_and_given_back():
    module = torch.nn.Linear(2, 3)
    average, raw = Average(module, 0.9), module.weight.detach().clone()
    average.tensors["weight"] += 1.0
    with pytest.raises(RunError), averaged(module, average):
        assert torch.equal(module.weight, raw + 1.0)
        raise RunError("stop")
    assert torch.equal(module.weight, raw)
    with averaged(module, None):
        assert torch.equal(module.weight, raw)


def test_averaged_weights_are_those_that_are_judged(paths, tmp_path):
    training = {"epochs": 3, "learning_rate": 0.05, "schedule": "constant"}
    plain, told = trained(paths[:1], tmp_path / "plain", training)
    smooth, smooth_told = trained(paths[:1], tmp_path / "smooth", {**training, "averaging": 0.995})
    assert told[0]["train_loss"] == smooth_told[0]["train_loss"], "the training itself is the same"
    assert told[0]["validation_loss"] != smooth_told[0]["validation_loss"] and not same(plain, smooth)


# ---- losses and schedules in the loop --------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains(paths, tmp_path, loss):
    training = {"epochs": 4, "loss": loss, "learning_rate": 0.01, "batch": 8}
    module, sets, config, _ = setting_up(paths[:1], training)
    told = metrics(fit(module, sets, config, tmp_path))
    assert told[-1]["train_loss"] < told[0]["train_loss"] and told[-1]["validation_loss"] < told[0]["validation_loss"]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_trains_at_its_rate(paths, tmp_path, schedule):
    training = {"epochs": 4, "schedule": schedule, "learning_rate": 0.01, "schedule_epochs": 1}
    module, sets, config, _ = setting_up(paths[:1], training)
    rates = [values["learning_rate"] for values in metrics(fit(module, sets, config, tmp_path))]
    assert (len(set(rates)) > 1) == (schedule not in ("constant", "plateau"))
    if schedule == "step":
        assert rates == pytest.approx([0.01, 0.005, 0.0025, 0.00125])


def test_kge_of_the_validation_is_that_of_all_its_windows(paths, tmp_path):
    told = []
    for batch in (2, 16):  # judged in batches of 4 and of 32
        module, sets, config, _ = setting_up(
            paths[:1], {"epochs": 1, "loss": "kge", "batch": batch, "learning_rate": 1e-8}
        )
        told.append(metrics(fit(module, sets, config, tmp_path / str(batch)))[0]["validation_loss"])
    assert told[0] == pytest.approx(told[1], rel=1e-4)


def test_a_target_that_does_not_vary_has_no_kge(paths, tmp_path):
    module, sets, config, _ = setting_up(paths[:1], {"epochs": 1, "loss": "kge"})
    sets[0].data.y[sets[0].split.validation_steps] = 0.5
    with pytest.raises(RunError, match="does not vary in the validation period"):
        list(fit(module, sets, config, tmp_path))


def test_patterns_on_maps_are_no_loss_for_gauges(paths):
    import dataclasses

    _, sets, config, _ = setting_up(paths[:1], {"loss": "ssim"})
    item = dataclasses.replace(sets[0], data=dataclasses.replace(sets[0].data, gauges=2))
    with pytest.raises(ConfigError, match="patterns on maps"):
        loss_of(config, [item])


# ---- numbers that leave the finite ones ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "place", "value", "words"),
    [
        ("y", (30, 0, 4, 2), 1e30, r"'store' is .* mm, 1e\+30 scaled, in the cell at x 4002500, y 2995500 "
         r"\(row 5, column 3\) on 2001-01-31"),
        ("x", (25, 0, 1, 0), np.inf, r"'rain' is inf mm/d.*x 4000500, y 2998500 \(row 2, column 1\) on 2001-01-26"),
        ("static", (0, 3, 3), np.nan, r"'height' is .* m, .* \(row 4, column 4\), on all dates"),
    ],
)  # fmt: skip
def test_the_first_variable_cell_and_date_are_named_and_the_best_is_kept(paths, tmp_path, part, place, value, words):
    module, sets, config, _ = setting_up(paths[:1], {"epochs": 3})
    getattr(sets[0].data, part)[place] = np.float32(value)
    with pytest.raises(RunError, match="left the finite numbers.*epoch 1; " + words):
        list(fit(module, sets, config, tmp_path / "spoiled"))
    kept, *_ = setting_up(paths[:1])
    load_checkpoint(tmp_path / "spoiled" / "best.safetensors", kept)
    assert all(torch.isfinite(value).all() for value in kept.state_dict().values())


def test_of_several_the_earliest_is_named(paths, tmp_path):
    module, sets, config, _ = setting_up(paths[:1], {"epochs": 1, "batch": 64})
    sets[0].data.x[31, 0, 0, 0] = np.inf
    sets[0].data.y[24, 0, 2, 1] = np.float32(1e30)
    sets[0].data.x[22, 0, 3, 2] = np.float32(3e33)
    with pytest.raises(RunError, match=r"'rain' is .*row 4, column 3\) on 2001-01-23"):
        list(fit(module, sets, config, tmp_path))


def test_weights_that_ran_away_are_told_apart_from_bad_data(paths, tmp_path):
    module, sets, config, _ = setting_up(paths[:1], {"epochs": 1})
    with torch.no_grad():
        next(p for name, p in module.named_parameters() if "head" in name).fill_(float("nan"))
    with pytest.raises(RunError, match="the prediction of 'store' is nan.* on 2001-.*that the model read are ordinary"):
        list(fit(module, sets, config, tmp_path))


def test_a_gradient_without_a_norm_stops_before_the_step(paths, tmp_path, monkeypatch):
    module, sets, config, _ = setting_up(paths[:1], {"epochs": 1})
    before = {name: value.clone() for name, value in module.state_dict().items()}
    next(iter(module.parameters())).register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(RunError, match="a gradient without a finite norm in epoch 1; no unusual value"):
        list(fit(module, sets, config, tmp_path))
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_a_validation_that_leaves_the_finite_numbers_stops_too(paths, tmp_path):
    module, sets, config, _ = setting_up(paths[:1], {"epochs": 2})
    step = int(np.flatnonzero(sets[0].split.validation_steps)[-1])
    sets[0].data.y[step, 0, 0, 0] = np.float32(1e30)
    date = str(sets[0].data.times[step])[:10]
    with pytest.raises(RunError, match=f"validation left the finite numbers.*'store'.*row 1, column 1.*on {date}"):
        list(fit(module, sets, config, tmp_path))
