"""An ensemble: each member equals a model that was trained alone, however they are trained; the choice is told."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from toy import write_toy_dataset  # noqa: E402

from freshet.core.contracts import ConfigError, EventKind, TrainJob  # noqa: E402
from freshet.core.data.store import Dataset  # noqa: E402
from freshet.core.training import ensemble  # noqa: E402
from freshet.core.training.ensemble import Member, Stack, bootstrapped, fit_members  # noqa: E402
from freshet.core.training.loop import fit  # noqa: E402
from freshet.core.training.model_file import build_from_card  # noqa: E402
from freshet.core.training.setup import build_card, splits_of, training_sets  # noqa: E402

PLAIN = {"family": "convlstm", "options": {"hidden": [3], "kernel": [3]}}
BATCH = {"family": "convlstm", "options": {"hidden": [3], "kernel": [3], "normalisation": "batch"}}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_toy_dataset(tmp_path_factory.mktemp("toy") / "toy.nc", steps=50)


def setting_up(path, folder, model=PLAIN, count=3, block=0, **training):
    job = TrainJob.from_dict(
        {
            "datasets": [str(path)], "target": "store", "inputs": ["rain"], "window": 5, "warm_up": 0, "model": model,
            "training": {"threads": 1, "device": "cpu", "epochs": 3, "batch": 7, **training},
        }
    )  # fmt: skip
    with Dataset.open(job.datasets[0]) as data:
        splits = splits_of([data], job.split, job.window, job.lead, job.leads)
        card = build_card(job, [data], splits)
        sets = training_sets([data], splits, card)
    members = []
    for number in range(count):
        config = job.training.replace(seed=job.training.seed + number)
        torch.manual_seed(config.seed)
        own = bootstrapped(sets, block, config.seed) if block else sets
        members.append(Member(build_from_card(card), own, config, folder / f"member_{number}"))
    return members


@pytest.fixture
def always_as_one(monkeypatch):
    real = ensemble._measured

    def measured(trainings):
        reason, words = real(trainings)
        return ("" if "in a row" in reason else reason), words or "as one"

    monkeypatch.setattr(ensemble, "_measured", measured)


def texts(events):
    return [event.values["text"] for event in events if event.kind is EventKind.MESSAGE]


def metrics(events):
    return [event.values for event in events if event.kind is EventKind.METRIC]


def weights(module):
    return {name: value.double().numpy().copy() for name, value in module.state_dict().items()}


def alone(members, folder):
    for number, member in enumerate(members):
        list(fit(member.module, member.sets, member.config, folder / f"alone_{number}"))
    return [weights(member.module) for member in members]


def assert_same(one, two, within=2e-5):
    for a, b in zip(one, two):
        for name, value in a.items():
            assert b[name] == pytest.approx(value, abs=within), name


@pytest.mark.parametrize(
    ("model", "training"),
    [
        (PLAIN, {"averaging": 0.8, "schedule": "plateau", "schedule_epochs": 1}),
        (BATCH, {"loss": "nse", "accumulate": 2, "optimizer": "adamw", "weight_decay": 0.1}),
        ({"family": "lstm", "options": {"hidden_size": 4}}, {"patience": 1, "learning_rate": 0.05}),
        (PLAIN, {"batch": 5, "loss": "kge"}),
    ],
    ids=["convlstm-averaged", "convlstm-batch-accumulated", "lstm-early-stopped", "convlstm-uneven"],
)
def test_members_trained_as_one_equal_those_trained_alone(dataset, tmp_path, always_as_one, model, training):
    expected = alone(setting_up(dataset, tmp_path, model, **training), tmp_path)
    members = setting_up(dataset, tmp_path / "as_one", model, **training)
    events = list(fit_members(members))
    assert any("as one" in text for text in texts(events)) and not any("after another" in t for t in texts(events))
    assert_same(expected, [weights(member.module) for member in members])
    name = next(name for name in expected[0] if name.endswith("weight") or "weight" in name)
    assert not np.allclose(expected[0][name], expected[1][name]), "members differ"
    assert all((member.folder / "best.safetensors").exists() for member in members)
    for parameter in members[1].module.parameters():
        assert parameter.untyped_storage().nbytes() == parameter.numel() * 4, "no view into the stack"


def test_members_trained_one_after_another_equal_those_trained_alone(dataset, tmp_path, monkeypatch):
    expected = alone(setting_up(dataset, tmp_path), tmp_path)
    monkeypatch.setattr(ensemble, "_cannot", lambda members: "this test wants so")
    members = setting_up(dataset, tmp_path / "rows")
    events = list(fit_members(members))
    assert_same(expected, [weights(member.module) for member in members], within=0.0)
    assert any("one after another: this test wants so" in text for text in texts(events))
    assert [values["epoch"] for values in metrics(events)] == list(range(1, 10))
    assert [values["member"] for values in metrics(events)] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    fractions = [event.values["fraction"] for event in events if event.kind is EventKind.PROGRESS]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0


def test_random_parts_are_refused_and_said(dataset, tmp_path):
    model = {"family": "convlstm", "options": {"hidden": [3], "kernel": [1], "dropout": 0.3}}
    expected = alone(setting_up(dataset, tmp_path, model, epochs=1), tmp_path)
    members = setting_up(dataset, tmp_path / "members", model, epochs=1)
    told = texts(fit_members(members))
    assert any("one after another: their family cannot be computed as one (it draws" in text for text in told), told
    assert_same(expected, [weights(member.module) for member in members], within=0.0)


def test_uneven_batches_of_a_batch_normalisation_are_refused_and_said(dataset, tmp_path):
    told = texts(fit_members(setting_up(dataset, tmp_path, BATCH, epochs=1, batch=5)))
    assert any("one after another: batches that are filled up" in text for text in told), told
    told = texts(fit_members(setting_up(dataset, tmp_path / "b", epochs=1, batch=4, accumulate=2)))
    assert any("one after another: their steps are made" in text for text in told), told


def test_too_little_memory_is_said(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(ensemble, "device_memory", lambda device: 1000)
    told = texts(fit_members(setting_up(dataset, tmp_path, count=2, epochs=1)))
    assert any("of memory that are free" in text for text in told), told


def test_an_ensemble_that_was_stopped_goes_on_either_way(dataset, tmp_path, always_as_one, monkeypatch):
    whole = setting_up(dataset, tmp_path / "whole")
    list(fit_members(whole))
    expected = [weights(member.module) for member in whole]
    story = fit_members(setting_up(dataset, tmp_path / "parts"))
    next(event for event in story if event.kind is EventKind.METRIC and event.values["epoch"] == 1)
    next(event for event in story if event.kind is EventKind.PROGRESS)
    story.close()
    monkeypatch.setattr(ensemble, "_cannot", lambda members: "for once")
    again = fit_members(setting_up(dataset, tmp_path / "parts"))
    next(event for event in again if event.kind is EventKind.METRIC and event.values["epoch"] == 2)
    for _ in range(3):
        next(event for event in again if event.kind is EventKind.PROGRESS)
    again.close()
    monkeypatch.undo()
    monkeypatch.setattr(ensemble, "_measured", lambda trainings: ("", "as one"))
    last = setting_up(dataset, tmp_path / "parts")
    list(fit_members(last))
    assert_same(expected, [weights(member.module) for member in last])


def test_the_stack_and_its_modules_are_one(dataset, tmp_path):
    modules = [member.module for member in setting_up(dataset, tmp_path, BATCH, count=2)]
    stack = Stack(modules)
    with torch.no_grad():
        modules[1].head_bias.fill_(7.0)
    assert stack.parameters["head_bias"].tolist() == [[0.0], [7.0]]
    stack.buffers["encoder_norms.0.running_mean"][0].fill_(3.0)
    assert modules[0].encoder_norms[0].running_mean.tolist() == [3.0] * 3


def test_the_bootstrap_draws_blocks_of_the_training_windows_alone(dataset, tmp_path):
    (item,) = setting_up(dataset, tmp_path, count=1)[0].sets
    (drawn,), (other,) = (bootstrapped([item], 4, seed) for seed in (1, 2))
    ends = drawn.split.train
    assert len(ends) == len(item.split.train) and set(ends) <= set(item.split.train) and len(set(ends)) < len(ends)
    assert not np.array_equal(ends, other.split.train)
    assert np.array_equal(ends, bootstrapped([item], 4, 1)[0].split.train), "by its seed"
    assert np.array_equal(drawn.split.validation, item.split.validation)
    assert sum(end + 1 in set(ends) for end in set(ends)) >= 0.6 * len(set(ends)), "in blocks"
    with pytest.raises(ConfigError, match="longer than the training"):
        bootstrapped([item], 10_000, 1)
