"""Learning at once: the events of the loop, checkpoints that resume to the same, and a run of each family."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from toy import rain_and_store, write_toy_dataset  # noqa: E402

from freshet.core.contracts import ConfigError, EventKind, Grid, RunError, RunFolder, TrainJob  # noqa: E402
from freshet.core.contracts.model_card import read_card  # noqa: E402
from freshet.core.data.store import Dataset, Gauges, VariableInfo, write_dataset  # noqa: E402
from freshet.core.training import at_once  # noqa: E402
from freshet.core.training.at_once import TrainingSamples, fit_at_once  # noqa: E402
from freshet.core.training.fitting import fit_module  # noqa: E402
from freshet.core.training.model_file import build_from_card, load_model, save_model  # noqa: E402
from freshet.core.training.setup import build_card, splits_of, training_sets  # noqa: E402
from freshet.core.worker.main import execute  # noqa: E402

OPTIONS = {
    "ridge": {"lags": 2, "means": [4]},
    "random-forest": {"trees": 7, "depth": 5, "samples": 400},
    "persistence": {},
    "climatology": {},
    "advection": {"frames": 2},
}
LEARNING = ("ridge", "random-forest", "climatology")


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    return [
        write_toy_dataset(folder / "a.nc", seed=1),
        write_toy_dataset(folder / "b.nc", rows=5, columns=7, seed=2, steps=70),
    ]


def job_of(family, paths, **changes):
    values = {
        "datasets": [str(p) for p in paths], "target": "store", "inputs": ["rain", "store"], "window": 6, "lead": 1,
        "warm_up": 0, "model": {"family": family, "options": OPTIONS[family]},
        "training": {"threads": 1, "batch": 8, **changes.pop("training", {})},
        "static": ["height"] if family in ("ridge", "random-forest") else [],
    }  # fmt: skip
    return TrainJob.from_dict({**values, **changes})


def setting_up(family, paths, **changes):
    job = job_of(family, paths, **changes)
    datasets = [Dataset.open(p) for p in job.datasets]
    splits = splits_of(datasets, job.split, job.window, job.lead, job.leads)
    card = build_card(job, datasets, splits)
    sets = training_sets(datasets, splits, card)
    for dataset in datasets:
        dataset.close()
    return build_from_card(card), sets, job.training, card


def of_kind(events, kind):
    return [event.values for event in events if event.kind is kind]


def same(one, two):
    pairs = zip(one.state_dict().items(), two.state_dict().items())
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


@pytest.mark.parametrize("family", OPTIONS)
def test_the_events_are_those_of_the_loop(family, paths, tmp_path):
    module, sets, config, _ = setting_up(family, paths[:1])
    events = list(fit_module(module, sets, config, tmp_path))
    (metric,) = of_kind(events, EventKind.METRIC)
    assert list(metric) == [
        "epoch", "train_loss", "validation_loss", "validation_nse", "best_epoch", "learning_rate", "seconds"
    ]  # fmt: skip
    assert (metric["epoch"], metric["best_epoch"], metric["learning_rate"]) == (1, 1, 0.0)
    assert np.isfinite([metric["train_loss"], metric["validation_loss"], metric["validation_nse"]]).all()
    fractions = [values["fraction"] for values in of_kind(events, EventKind.PROGRESS)]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0 and min(fractions) > 0.0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.safetensors", "last.safetensors", "live.npz"]
    assert not module.training


def test_the_losses_are_those_of_the_prediction(paths, tmp_path):
    module, sets, config, _ = setting_up("persistence", paths[:1])
    (metric,) = of_kind(fit_at_once(module, sets, config, tmp_path), EventKind.METRIC)
    data, split = sets[0].data, sets[0].split
    channel = data.x[:, 1]
    for name, key in (("train", "train_loss"), ("validation", "validation_loss")):
        ends = getattr(split, name)
        errors = []
        for end in ends:
            last = channel[end].copy()
            for back in range(1, data.window):  # cells that were missing keep an older value
                gap = ~data.observed[end - back + 1 : end + 1, 1].any(axis=0)
                last[gap] = channel[end - back][gap]
            errors.append((last - data.y[end + 1, 0])[np.isfinite(data.y[end + 1, 0])])
        assert metric[key] == pytest.approx(np.mean(np.concatenate(errors) ** 2), rel=1e-5)
    assert len(split.train) <= 48, "all training windows are judged"


@pytest.mark.parametrize("family", OPTIONS)
def test_a_finished_training_resumes_to_the_same(family, paths, tmp_path):
    module, sets, config, card = setting_up(family, paths[:1])
    list(fit_at_once(module, sets, config, tmp_path / "run"))
    again, *_ = setting_up(family, paths[:1])
    events = list(fit_at_once(again, sets, config, tmp_path / "run"))
    assert same(module, again) and any("Learned already" in v["text"] for v in of_kind(events, EventKind.MESSAGE))
    save_model(tmp_path / "model.safetensors", module, card)
    loaded, loaded_card = load_model(tmp_path / "model.safetensors")
    assert same(module, loaded) and loaded_card == card


@pytest.mark.parametrize("family", LEARNING)
def test_one_that_was_stopped_leaves_nothing_and_begins_anew(family, paths, tmp_path):
    whole, sets, config, _ = setting_up(family, paths[:1])
    list(fit_at_once(whole, sets, config, tmp_path / "whole"))
    module, *_ = setting_up(family, paths[:1])
    for event in fit_at_once(module, sets, config, tmp_path / "stopped"):
        if event.kind is EventKind.PROGRESS:
            break  # the request to cancel is heeded here
    assert not list((tmp_path / "stopped").glob("*")) if (tmp_path / "stopped").exists() else True
    list(fit_at_once(module, sets, config, tmp_path / "stopped"))
    assert same(whole, module)


def test_several_basins_teach_one_ridge_but_no_model_that_is_bound_to_its_grid(paths, tmp_path):
    module, sets, config, _ = setting_up("ridge", paths)
    (metric,) = of_kind(fit_at_once(module, sets, config, tmp_path / "ridge"), EventKind.METRIC)
    assert metric["validation_nse"] > 0.3
    for family, options in (("climatology", {}), ("ridge", {"per_cell": True})):
        module, sets, config, _ = setting_up(family, paths, model={"family": family, "options": options})
        with pytest.raises(ConfigError, match="bound to its grid"):
            list(fit_at_once(module, sets, config, tmp_path / f"{family}-bound"))


@pytest.mark.parametrize("family", ["ridge", "random-forest"])
def test_what_it_learned_follows_from_data_options_and_seed_alone(family, paths, tmp_path):
    def learned(seed, name):
        module, sets, config, _ = setting_up(family, paths[:1], training={"seed": seed})
        list(fit_at_once(module, sets, config, tmp_path / name))
        return module

    first, again, other = learned(1, "a"), learned(1, "b"), learned(2, "c")
    assert same(first, again)
    if family == "ridge":  # the order of the sums alone differs
        torch.testing.assert_close(first.weight, other.weight, rtol=1e-4, atol=1e-6)
    else:
        assert not same(first, other)


def test_samples_are_the_training_windows_once_a_pass_in_one_order(paths):
    module, sets, config, _ = setting_up("ridge", paths, training={"window_stride": 2})
    samples = TrainingSamples(module, sets, config, "cpu")
    passes = [[sample.y for sample in samples] for _ in range(2)]
    assert len(passes[0]) == len(samples) == len(passes[1])
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(*passes))
    assert all(y.shape[1:3] == (1, 1) and len(y) <= config.batch for y in passes[0])
    count = sum(len(y) for y in passes[0])
    expected = sum(len(item.split.train) / 2 for item in sets)
    assert samples.windows == samples.all_windows == count and abs(count - expected) <= len(sets)


def test_of_large_data_some_windows_drawn_at_random_are_learned_from(paths, tmp_path, monkeypatch):
    module, sets, config, _ = setting_up("ridge", paths[:1])
    monkeypatch.setattr(at_once, "_MOST_ROWS", 16 * 30)
    monkeypatch.setattr(at_once, "_FEWEST_WINDOWS", 5)
    samples = TrainingSamples(module, sets, config, "cpu")
    assert 16 <= samples.windows < 24 < samples.all_windows and samples.windows == sum(len(s.y) for s in samples)
    events = list(fit_at_once(module, sets, config, tmp_path))
    words = f"{samples.windows} of {samples.all_windows} training windows"
    assert any(words in values["text"] for values in of_kind(events, EventKind.MESSAGE))


def test_targets_are_all_steps_of_the_training_period(paths, monkeypatch):
    module, sets, config, _ = setting_up("climatology", paths[:1])
    monkeypatch.setattr(at_once, "_STEPS", 7)
    parts = list(TrainingSamples(module, sets, config, "cpu").targets())
    data, steps = sets[0].data, np.flatnonzero(sets[0].split.train_steps)
    np.testing.assert_array_equal(np.concatenate([part.y for part in parts]), data.y[steps])
    days = np.concatenate([part.days for part in parts])
    assert (days == data.times[steps].astype("datetime64[D]").astype(int)).all()


@pytest.mark.parametrize("family", ["ridge", "random-forest"])
def test_inputs_that_leave_the_finite_numbers_are_refused(family, paths, tmp_path):
    module, sets, config, _ = setting_up(family, paths[:1])
    sets[0].data.x[20:24] = np.float32(3e38)
    with pytest.raises(RunError, match="leave the finite numbers"):
        list(fit_at_once(module, sets, config, tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("family", ["persistence", "advection"])
def test_a_family_that_carries_on_the_past_needs_it_among_its_inputs(family, paths):
    with pytest.raises(ConfigError, match="'store', which is not among its inputs"):
        setting_up(family, paths[:1], inputs=["rain"])
    _, _, _, card = setting_up(family, paths[:1], inputs=["rain", "warmth", "store"], lead=3)
    assert card.options["target_channel"] == [2] and card.options.get("first_lead", 3) == 3


def test_a_hidden_step_is_filled_by_persistence_and_not_by_advection(paths, tmp_path):
    module, sets, config, card = setting_up("persistence", paths[:1], lead=0, hidden_share=0.5)
    (metric,) = of_kind(fit_at_once(module, sets, config, tmp_path), EventKind.METRIC)
    assert card.options["target_channel"] == [1] and 0.01 < metric["validation_loss"] < 2.0
    with pytest.raises(ConfigError, match="cannot predict the step of that map"):
        setting_up("advection", paths[:1], lead=0, hidden_share=0.5)


@pytest.mark.parametrize("family", OPTIONS)
def test_a_run_of_each_family_ends_with_model_scores_and_maps(family, paths, tmp_path):
    run = RunFolder.create(tmp_path, "train", job_of(family, paths[:1], leads=2))
    assert execute(run) == 0, run.error()
    scores = json.loads(run.scores_file.read_text())
    assert len(scores["by_lead"]) == 2
    if family == "persistence":
        for lead in scores["by_lead"]:
            assert lead["model"]["pooled"]["rmse"] == pytest.approx(lead["persistence"]["pooled"]["rmse"], rel=1e-4)
    assert read_card(run.model_file).family == family
    assert {"model", "predicted", "observed", "delta", "report"} <= {artifact.kind for artifact in run.artifacts()}
    fractions = [event.values["fraction"] for event in run.events() if event.kind is EventKind.PROGRESS]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0


@pytest.fixture(scope="module")
def basin(tmp_path_factory):
    """A basin with two gauges; the first misses some days, the second carries three times the first."""
    grid = Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 1000.0, 1000.0, 4, 3)
    rain, store = rain_and_store(140, 3, 4, seed=5)
    flow = np.stack([store.mean(axis=(1, 2)), 3.0 * store.mean(axis=(1, 2))], axis=1).astype(np.float32)
    flow[::6, 0] = np.nan
    path = tmp_path_factory.mktemp("basin") / "basin.nc"
    write_dataset(
        path,
        name="basin",
        grid=grid,
        times=np.datetime64("2001-01-01", "s") + np.arange(140) * np.timedelta64(86400, "s"),
        step_seconds=86400.0,
        dynamic={
            "rain": (VariableInfo("rain", "input", "precipitation", "mm/d", "Rain"), rain),
            "store": (VariableInfo("store", "input", "soil_water", "mm", "Store"), store),
            "flow": (VariableInfo("flow", "target", "discharge", "m3/s", "Flow", gauges=True), flow),
        },
        static={},
        mask=np.ones((3, 4), dtype=bool),
        provenance={},
        gauges=Gauges.on(grid, ["a", "b"], np.array([4_000_500.0, 4_001_500.0]), np.full(2, 2_999_500.0)),
    )
    return path


@pytest.mark.parametrize("family", LEARNING)
def test_a_run_for_gauges_is_judged_by_gauge(family, basin, tmp_path):
    options = {**OPTIONS[family], "mask_channels": True} if family != "climatology" else {}
    model = {"family": family, "options": options}
    job = job_of(family, [basin], target="flow", static=[], lead=0, leads=2, model=model)
    run = RunFolder.create(tmp_path, "train", job)
    assert execute(run) == 0, run.error()
    scores = json.loads(run.scores_file.read_text())
    assert scores["gauges"] == 2 and read_card(run.model_file).gauges == ("a", "b")
    if family == "ridge":  # the flow is a share of the store, which is known on the same day
        assert scores["by_lead"][0]["model"]["pooled"]["nse"] > 0.99 > scores["by_lead"][1]["model"]["pooled"]["nse"]
    if family == "climatology":
        module, _ = load_model(run.model_file)
        assert module.maps.shape == (1, 1, 1, 2) and module.maps[0, 0, 0, 1] > module.maps[0, 0, 0, 0]


@pytest.mark.parametrize("family", OPTIONS)
def test_a_run_with_two_targets_gives_both(family, tmp_path):
    path = write_toy_dataset(tmp_path / "water.nc", water=True)
    inputs = ["runoff", "rain", "store"]
    run = RunFolder.create(tmp_path, "train", job_of(family, [path], also=["runoff"], inputs=inputs))
    assert execute(run) == 0, run.error()
    assert (run.results / "runoff" / "scores.json").exists()
    if family in ("persistence", "advection"):
        assert read_card(run.model_file).options["target_channel"] == [2, 0]
