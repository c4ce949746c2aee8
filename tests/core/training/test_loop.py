"""Training: it learns, stops, resumes, tells, and keeps its files whole."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]
from small import setting_up  # noqa: E402
from toy import write_toy_dataset  # noqa: E402

from freshet.core.contracts import EventKind, RunError, TrainJob  # noqa: E402
from freshet.core.data.store import Dataset  # noqa: E402
from freshet.core.training.loop import fit  # noqa: E402
from freshet.core.training.setup import warm_up_of  # noqa: E402


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    return [
        write_toy_dataset(folder / "a.nc", seed=1),
        write_toy_dataset(folder / "b.nc", rows=5, columns=7, seed=2, steps=70),
    ]


def metrics(events):
    return [event.values for event in events if event.kind is EventKind.METRIC]


def test_it_learns_a_store_from_its_rain(paths, tmp_path):
    module, sets, config, _ = setting_up(paths[:1], {"epochs": 25, "learning_rate": 0.02, "patience": 25})
    story = metrics(fit(module, sets, config, tmp_path))
    assert (
        story[-1]["validation_loss"] < 0.3 * story[0]["validation_loss"]
        and max(m["validation_nse"] for m in story) > 0.7
    )


def test_several_basins_of_different_size_train_one_model(paths, tmp_path):
    module, sets, config, card = setting_up(paths, {"epochs": 2, "supervised_steps": 3})
    assert {item.data.mask.shape for item in sets} == {(6, 5), (5, 7)}
    story = metrics(fit(module, sets, config, tmp_path))
    assert len(story) == 2 and story[1]["train_loss"] < story[0]["train_loss"] and len(card.datasets) == 2


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(paths, tmp_path):
    def weights(seed, name):
        module, sets, config, _ = setting_up(paths[:1], {"epochs": 2, "seed": seed})
        list(fit(module, sets, config, tmp_path / name))
        return torch.cat([p.flatten() for p in module.parameters()])

    first, again, other = weights(5, "a"), weights(5, "b"), weights(6, "c")
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_resumed_training_equals_an_uninterrupted_one(paths, tmp_path):
    options = {"options": {"hidden": [6], "kernel": [1], "dropout": 0.2, "recurrent_dropout": 0.2}}
    whole, sets, config, _ = setting_up(paths[:1], {"epochs": 4, "schedule": "cosine"}, options)
    list(fit(whole, sets, config, tmp_path / "whole"))
    parts, sets, _, _ = setting_up(paths[:1], {"epochs": 4}, options)
    for event in fit(parts, sets, config, tmp_path / "parts"):
        if event.kind is EventKind.METRIC and event.values["epoch"] == 2:
            break  # the worker dies here
    fresh, sets, _, _ = setting_up(paths[:1], {"epochs": 4}, options)
    events = list(fit(fresh, sets, config, tmp_path / "parts"))
    assert any("Continued after epoch 2" in e.values.get("text", "") for e in events)
    for one, two in zip(whole.parameters(), fresh.parameters()):
        assert torch.equal(one, two)


def test_it_stops_when_validation_gains_nothing_and_keeps_the_best(paths, tmp_path):
    module, sets, config, _ = setting_up(
        paths[:1], {"epochs": 60, "patience": 2, "learning_rate": 0.3, "schedule": "constant"}
    )
    story = metrics(fit(module, sets, config, tmp_path))
    best = min(story, key=lambda m: m["validation_loss"])
    assert len(story) < 60 and story[-1]["epoch"] - best["epoch"] == 2 and story[-1]["best_epoch"] == best["epoch"]


def test_the_time_limit_ends_after_an_epoch(paths, tmp_path):
    module, sets, config, _ = setting_up(paths[:1], {"epochs": 1000, "time_limit_minutes": 0.01, "patience": 1000})
    events = list(fit(module, sets, config, tmp_path))
    assert 1 <= len(metrics(events)) < 1000 and any("time limit" in e.values.get("text", "") for e in events)


def test_progress_is_told_after_every_batch_and_never_falls(paths, tmp_path):
    module, sets, config, _ = setting_up(paths[:1], {"epochs": 2, "batch": 8})
    fractions = [e.values["fraction"] for e in fit(module, sets, config, tmp_path) if e.kind is EventKind.PROGRESS]
    assert (
        len(fractions) == 2 * -(-len(sets[0].split.train) // 8)
        and fractions == sorted(fractions)
        and fractions[-1] == 1.0
    )


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_best(paths, tmp_path):
    module, sets, config, _ = setting_up(paths[:1], {"epochs": 3})
    sets[0].data.y[30] = np.float32(1e30)
    with pytest.raises(RunError, match="left the finite numbers.*epoch 1"):
        list(fit(module, sets, config, tmp_path))
    assert (tmp_path / "best.safetensors").exists()


def test_checkpoints_and_the_live_maps_are_there_and_nothing_half_written(paths, tmp_path):
    module, sets, config, _ = setting_up(paths[:1], {"epochs": 1})
    list(fit(module, sets, config, tmp_path))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.safetensors", "last.safetensors", "live.npz"]
    with np.load(tmp_path / "live.npz") as live:
        assert live["predicted"].shape == (6, 5) and np.isnan(live["predicted"][:, -1]).all()


@pytest.mark.parametrize("loss", ["mse", "mae", "nse"])
def test_every_loss_trains(paths, tmp_path, loss):
    module, sets, config, _ = setting_up(paths[:1], {"epochs": 3, "loss": loss, "learning_rate": 0.01})
    story = metrics(fit(module, sets, config, tmp_path))
    assert story[-1]["train_loss"] < story[0]["train_loss"]


@pytest.mark.parametrize(
    ("changes", "steps", "words"),
    [
        ({"warm_up": 7}, 7, "asked for"),
        ({"window": 3}, 6, "twice the window"),
        ({"window": 8}, 5, "a quarter of the 52 training steps"),
        ({"window": 3, "inputs": ["rain", "store"], "lead": 1}, 0, "the past target"),
    ],
)
def test_the_warm_up_is_chosen_with_its_reason(paths, changes, steps, words):
    values = {"datasets": [str(paths[0])], "target": "store", "inputs": ["rain"], **changes}
    with Dataset.open(paths[0]) as dataset:
        found, why = warm_up_of(TrainJob.from_dict(values), [dataset])
    assert found == steps and words in why


def test_a_training_with_warm_up_reads_longer_windows_and_learns(paths, tmp_path):
    module, sets, config, card = setting_up(paths[:1], {"epochs": 20, "learning_rate": 0.02, "patience": 20}, window=12)
    assert card.window == 12
    story = metrics(fit(module, sets, config, tmp_path, warm_up=6))
    assert story[-1]["validation_loss"] < 0.5 * story[0]["validation_loss"]
