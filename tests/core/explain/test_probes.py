"""Probes: states of every family, a variable that is linear in them, one that is not, and the shuffled control."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch

from freshet.core.contracts import ProbeJob
from freshet.core.contracts.errors import ConfigError, DataError, ModelFileError
from freshet.core.contracts.model_card import ModelCard
from freshet.core.contracts.models import FAMILIES, family
from freshet.core.contracts.question_checks import WITHOUT_STATES
from freshet.core.explain.asking import Subject
from freshet.core.explain.probes import probe, split_ends, truth_of
from freshet.core.explain.ridge import Sums, choose_penalty, with_one
from freshet.core.explain.states import basin_mean, captured, need_states, on_grid
from freshet.core.inference.geotiff import read_series
from freshet.core.inference.predictor import Predictor
from freshet.core.training.model_file import build_from_card, save_model

from ..models.test_every_family import GAUGE_COUNT, make, sample
from .question_world import (
    GRID,
    IDS,
    MASK,
    STEPS,
    TIMES,
    WINDOW,
    Line,
    ask,
    hand_over,
    line_card,
    texts,
    values,
    write_basin,
)

STATES = {
    "convlstm": {"encoder.0 hidden", "encoder.0 cell"},
    "convlstm-ed": {"encoder.0 hidden", "encoder.0 cell", "decoder.0 hidden", "decoder.0 cell"},
    "convlstm-gauge": {"layers.0 hidden", "layers.0 cell"},
    "convgru": {"layers.0 hidden", "layers.1 hidden"},
    "convlstm-unet": {f"down.{k} {kind}" for k in range(3) for kind in ("hidden", "cell")},
    "predrnn": {f"units.{k} {kind}" for k in range(2) for kind in ("hidden", "cell", "memory")},
    "predrnn++": {f"units.{k} {kind}" for k in range(2) for kind in ("hidden", "cell", "memory")},
    "mim": {f"{k} {kind}" for k in ("bottom", "units.0") for kind in ("hidden", "cell", "memory")},
    "cubic": {f"cells.{k}.{n} {kind}" for k in range(2) for n in range(2) for kind in ("hidden", "cell")},
    "a-convlstm": {f"layers.{k} {kind}" for k in range(2) for kind in ("hidden", "cell")},
    "cbam-convlstm": {"layers.0.unit hidden", "layers.0.unit cell"},
    "sa-convlstm": {"layers.0.unit hidden", "layers.0.unit cell"},
    "msa-convlstm": {"layers.0.unit hidden", "layers.0.unit cell"},
    "deform-convlstm": {"layers.0 hidden", "layers.0 cell"},
    "deform-convlstm-sac": {"layers.0.unit hidden", "layers.0.unit cell"},
    "gccl": {f"layers.0.{k} {kind}" for k in ("local", "linked") for kind in ("hidden", "cell")},
    "partial-convlstm": {"layers.0 hidden", "layers.0 cell"},
    "cnn-biconvlstm": {f"layers.0.{k} {kind}" for k in ("forwards", "backwards") for kind in ("hidden", "cell")},
    "lstm": {"lstm.0 hidden", "lstm.0 cell"},
    "mc-lstm": {"storages"},
    "exp-hydro": {"storages"},
    "cnn-lstm": {f"lstm.{k} {kind}" for k in range(2) for kind in ("hidden", "cell")} | {"cnn output"},
    "cnn": {"cnn output"},
    "mc-convlstm": {"storages"},
}


def test_every_family_has_states_or_is_known_to_have_none():
    assert set(STATES) | set(WITHOUT_STATES) == {item.name for item in FAMILIES}
    assert not set(STATES) & set(WITHOUT_STATES)


@pytest.mark.parametrize("name", list(STATES))
def test_states_of_every_family_are_those_at_the_end_of_the_window(name):
    gauges = 0 if "maps" in family(name).gives else GAUGE_COUNT.get(name, 4)
    module = make(name, gauges=gauges).eval()
    x, more = sample(name, batch=3)
    with torch.no_grad(), captured(module) as found:
        module(x, **more)
        whole = {key: value.clone() for key, value in found.items()}
        module(x[:1], **{key: v if v is None or len(v) == 1 else v[:1] for key, v in more.items()})
    assert set(whole) == STATES[name]
    for key, state in whole.items():
        assert state.shape[0] == 3 and state.dim() in (2, 4) and torch.isfinite(state).all()
        if state.dim() == 4:
            assert on_grid(state, *x.shape[3:]).shape[2:] == x.shape[3:]
        torch.testing.assert_close(found[key], state[:1], rtol=1e-4, atol=1e-5)
    module(x, **more)
    assert not found.get("nothing") and not module._forward_hooks and not module._forward_pre_hooks


def test_the_states_of_a_convlstm_are_its_cells_last_ones():
    module = make("convlstm").eval()
    x, more = sample("convlstm")
    with torch.no_grad(), captured(module) as found:
        y_hat = module(x, **more)["y_hat"]
        head = module._head(found["encoder.0 hidden"].permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(head[:, None], y_hat, rtol=1e-5, atol=1e-6)


def test_cell_states_of_an_lstm_lie_where_their_cell_lies():
    module = make("lstm").eval()
    x, more = sample("lstm", batch=2)
    with torch.no_grad(), captured(module) as found:
        y_hat = module(x, **more)["y_hat"]
        hidden = found["lstm.0 hidden"].permute(0, 2, 3, 1)
        torch.testing.assert_close(module.head(hidden)[..., 0], y_hat[:, 0, 0], rtol=1e-5, atol=1e-6)


def test_coarse_states_cover_their_blocks_and_means_leave_out_what_lies_outside():
    state = torch.arange(6.0).reshape(1, 1, 2, 3)
    fine = on_grid(state, 3, 5)[0, 0]
    torch.testing.assert_close(fine, torch.tensor([[0.0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [3, 3, 4, 4, 5]]))
    mask = torch.tensor([[True, False, False], [False, False, True]])
    assert basin_mean(state, mask).tolist() == [[2.5]]


def test_a_model_without_states_is_told(basin, tmp_path, monkeypatch):
    hand_over(monkeypatch, Line(), line_card(values()))
    with pytest.raises(ModelFileError, match="no states.*recurrent layers"):
        ask(probe, job_on(basin, "line", variable="flow"), tmp_path)
    need_states({"a": torch.zeros(1)}, "cnn")


def test_ridge_from_sums_equals_its_closed_form_and_least_squares():
    rng = np.random.default_rng(0)
    features = rng.normal(3.0, [1.0, 5.0, 0.1], (200, 3))
    outputs = np.stack([features @ [1.0, -0.3, 4.0] + rng.normal(0, 0.1, 200), rng.normal(size=200)], axis=1)
    outputs[::7, 1] = np.nan
    sums = Sums(3, 2)
    for start in range(0, 200, 33):
        sums.add(features[start : start + 33], outputs[start : start + 33])
    for number in range(2):
        known = np.isfinite(outputs[:, number])
        x, y = features[known], outputs[known, number]
        z = (x - x.mean(0)) / x.std(0)
        for penalty in (0.0, 0.3):
            b = np.linalg.solve(z.T @ z / len(z) + penalty * np.eye(3), z.T @ (y - y.mean()) / len(z))
            weights = sums.fit(penalty)[number]
            np.testing.assert_allclose(weights[:3], b / x.std(0), rtol=1e-8)
            np.testing.assert_allclose(with_one(x) @ weights, z @ b + y.mean(), rtol=1e-8)
            error = sums.error(sums.fit(penalty))[number]
            assert error == pytest.approx(((y - with_one(x) @ weights) ** 2).sum(), rel=1e-6)


def test_a_constant_state_gets_no_weight_and_an_output_without_values_none():
    sums = Sums(2, 2)
    features = np.stack([np.arange(10.0), np.full(10, 7.0)], axis=1)
    sums.add(features, np.stack([2 * np.arange(10.0) + 1, np.full(10, np.nan)], axis=1))
    weights = sums.fit(0.0)
    np.testing.assert_allclose(weights[0], [2.0, 0.0, 1.0], atol=1e-9)
    assert np.isnan(weights[1]).all()


def test_the_penalty_is_the_one_that_errs_least_on_later_dates():
    rng = np.random.default_rng(1)
    early, late = Sums(30, 1), Sums(30, 1)
    for sums, count in ((early, 40), (late, 400)):
        features = rng.normal(size=(count, 30))
        sums.add(features, features[:, :1] + rng.normal(0, 2.0, (count, 1)))
    penalty, left = choose_penalty(early, late)
    errors = [float(late.error(early.fit(10.0**p))[0]) for p in range(-6, 3)]
    assert penalty == 10.0 ** (int(np.argmin(errors)) - 6) and 1e-3 < penalty
    assert choose_penalty(early, late, 0.5)[0] == 0.5 and left < choose_penalty(early, late, 1e-6)[1]


# A ConvLSTM that was never trained is a reservoir: what is made of its states is linear in them.


def card_of(**changes) -> ModelCard:
    return line_card(values(), family="convlstm", options={"hidden": [5]}, **changes)


def saved(folder, card):
    torch.manual_seed(3)
    module = build_from_card(card)
    save_model(folder / "model.safetensors", module, card)
    return folder / "model.safetensors", module.eval()


@pytest.fixture(scope="module")
def basin(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probes")
    write_basin(folder / "plain.nc", values())
    _, module = saved(folder, card_of())
    with Predictor((module, card_of()), folder / "plain.nc", "cpu") as predictor:
        ends = predictor.data.valid_ends()
        with captured(module) as found:
            Subject(predictor, 0, 0).forward(predictor.data.batch(ends))
            cell = found["encoder.0 cell"].numpy()
    hidden = np.full((STEPS, *GRID.shape), np.nan)
    hidden[ends] = 3.0 + np.einsum("nchw,c->nhw", cell, [1.0, -2.0, 0.5, 0.0, 1.5])
    shuffled = np.random.default_rng(9).normal(size=hidden.shape)
    shuffled += 5.0 * values()["dem"]  # a map of means that any probe on any date could learn
    level = hidden[:, MASK].mean(axis=1)
    series = np.stack([level, 1.0 - 2.0 * level], axis=1)
    return write_basin(folder / "basin.nc", values(), store=hidden, chance=shuffled, level=series)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("model"), card_of())[0]


def job_on(basin, model, **changes) -> ProbeJob:
    return ProbeJob.from_dict({"model": str(model), "dataset": str(basin), "device": "cpu", **changes})


def facts_of(run) -> tuple[dict, dict]:
    facts = json.loads((run.results / "probe.json").read_text())
    return facts, {f"{row['layer']} {row['state']}".strip(): row for row in facts["layers"]}


def test_a_variable_that_is_linear_in_the_states_is_found_and_the_control_is_not(basin, model, tmp_path):
    run, events, made = ask(probe, job_on(basin, model, variable="store"), tmp_path)
    facts, rows = facts_of(run)
    cell = rows["encoder.0 cell"]
    assert cell["r"] > 0.999 and cell["r_pooled"] > 0.999 and cell["nse"] > 0.99 and cell["chosen"]
    assert abs(cell["shuffled_r"]) < 0.2 and cell["shuffled_r_low"] <= cell["shuffled_r"] <= cell["shuffled_r_high"]
    assert 0 < rows["encoder.0 hidden"]["r"] < cell["r"]
    assert facts["kind"] == "maps" and 0 < facts["reference"] < 0.9 and set(facts["references"]) > {"own", "rain"}
    assert "tell more than both" in texts(events)[-1]
    series = read_series(run.results / "probe.tif")
    at = np.searchsorted(TIMES, series.dates)
    from freshet.core.data.store import Dataset

    with Dataset.open(basin) as dataset:
        truth = dataset.dynamic("store")[at]
    np.testing.assert_allclose(series.values[:, MASK], truth[:, MASK], atol=0.02)
    assert np.isnan(series.values[:, 0]).all() and len(made["results/probe.tif"].dates) == len(at)
    assert facts["fitted_on"]["last"] < facts["judged_on"]["first"]


def test_a_map_of_means_alone_flatters_neither_the_probe_nor_its_control(basin, model, tmp_path):
    run, events, _ = ask(probe, job_on(basin, model, variable="chance", layers=["encoder.0"]), tmp_path)
    _, rows = facts_of(run)
    cell = rows["encoder.0 cell"]
    assert cell["r_pooled"] == pytest.approx(cell["shuffled_r_pooled"], abs=0.1)
    assert abs(cell["r"]) < 0.25 and abs(cell["shuffled_r"]) < 0.25
    assert "do not tell more" in texts(events)[-1]


def test_series_at_gauges_are_probed_from_the_basins_mean_state(basin, model, tmp_path):
    run, _, made = ask(probe, job_on(basin, model, variable="level", ridge=0.0), tmp_path)
    facts, rows = facts_of(run)
    assert facts["kind"] == "series" and facts["places"] == list(IDS) and "own" not in facts["references"]
    with open(run.results / "probe_series.csv", encoding="utf-8") as handle:
        table = list(csv.DictReader(handle))
    first = np.array([[float(row["probe"]), float(row["observed"])] for row in table if row["place"] == "upper"])
    assert np.corrcoef(first.T)[0, 1] > 0.999
    assert made["results/probe_series.csv"].kind == "table" and rows["encoder.0 cell"]["ridge"] == 0


def test_vectors_of_a_lumped_model_are_probed_for_the_basins_mean(basin, tmp_path):
    held = line_card(values())
    card = line_card(
        values(), family="cnn-lstm", gauges=IDS, target=held.target.replace(name="flow"),
        options={"channels": [4], "kernel_rows": [3], "kernel_columns": [3], "stride_rows": [1], "stride_columns": [1],
                 "padding_rows": [0], "padding_columns": [0], "pooling": "mean", "hidden_size": 6},
    )  # fmt: skip
    model, _ = saved(tmp_path, card)
    run, _, _ = ask(probe, job_on(basin, model, variable="temp"), tmp_path)
    facts, rows = facts_of(run)
    assert facts["kind"] == "series" and facts["places"] == ["mean of the basin"]
    assert set(rows) == STATES["cnn-lstm"] and rows["cnn output"]["r"] > 0.8
    assert any("reads 'temp' itself" in note for note in facts["notes"])
    assert facts["references"]["own"] > 0.9  # it is warm outside the basin too: the plain mean of the whole frame


def test_periods_are_kept_a_window_apart(basin, model):
    with Predictor(str(model), basin, "cpu") as predictor:
        subject = Subject(predictor, 0, 0)
        fitted, judged = split_ends(subject, job_on(basin, model, variable="store"))
        assert judged.min() - fitted.max() == WINDOW and len(judged) == round(0.3 * (STEPS - WINDOW + 1))
        middle = {"start": "2001-02-15", "end": "2001-02-24"}
        fitted, judged = split_ends(subject, job_on(basin, model, variable="store", period=middle, dates=30))
        assert len(judged) == 10 and len(fitted) == 30
        assert (np.abs(fitted[:, None] - judged[None]) >= WINDOW).all() and fitted.max() > judged.max()
        assert truth_of(subject, "store", False).values.shape == (STEPS, 1, 1)


def test_the_models_own_periods_are_taken(basin, tmp_path):
    periods = {"train": ["2001-01-10", "2001-02-20"], "test": ["2001-03-20", "2001-04-10"]}
    model, _ = saved(tmp_path, card_of(periods={k: [f"{d}T00:00:00" for d in v] for k, v in periods.items()}))
    with Predictor(str(model), basin, "cpu") as predictor:
        fitted, judged = split_ends(Subject(predictor, 0, 0), job_on(basin, model, variable="store"))
    dates = [[str(TIMES[e])[:10] for e in (part[0], part[-1])] for part in (fitted, judged)]
    assert dates == [periods["train"], periods["test"]]


@pytest.mark.parametrize(
    "changes, error, words",
    [
        ({"variable": "snow"}, DataError, "has no variable 'snow'"),
        ({"variable": "dem"}, DataError, "does not vary in time"),
        ({"variable": "store", "layers": ["encoder.7"]}, ConfigError, "no layer 'encoder.7'.*encoder.0"),
        ({"variable": "store", "period": {"start": "2001-04-29"}}, DataError, "too few dates to judge"),
        ({"variable": "store", "fit_period": {"end": "2001-01-06"}}, DataError, "too few dates to fit"),
    ],
)  # fmt: skip
def test_faults_are_told_before_anything_is_written(basin, model, tmp_path, changes, error, words):
    with pytest.raises(error, match=words) as caught:
        ask(probe, job_on(basin, model, **changes), tmp_path)
    assert caught.value.remedy and not list(tmp_path.rglob("*.csv"))


def test_a_job_without_a_variable_is_refused():
    with pytest.raises(ConfigError, match="No variable"):
        ProbeJob(model="m", dataset="d")
