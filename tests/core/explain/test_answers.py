"""Whole runs: every method, every kind of place, leads, targets, inputs known ahead, checks, cost, first pictures."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest

from freshet.core.contracts.errors import ConfigError, DataError
from freshet.core.contracts.events import Artifact, EventKind
from freshet.core.contracts.model_card import VariableCard
from freshet.core.contracts.run_folder import RunFolder
from freshet.core.data.scaling import Scaler
from freshet.core.data.store import Dataset, Gauges, VariableInfo, write_dataset
from freshet.core.data.windows import build_window_data
from freshet.core.explain import session as session_module
from freshet.core.explain.baselines import build_question
from freshet.core.explain.explain import explain
from freshet.core.explain.methods import METHODS
from freshet.core.explain.session import Session
from freshet.core.inference.geotiff import read_series
from freshet.core.inference.predictor import Predictor
from freshet.core.training.model_file import build_from_card, save_model

from .world import CELL, GRID, MASK, TIMES, WINDOW, make_card, make_job, values, write_world

PLACE = {"x": None, "y": None}
IDS = ("upper", "far", "outside")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("answers"))


@pytest.fixture(scope="module")
def gauged(tmp_path_factory):
    """Dataset with gauges, a model of maps with two targets and rain known ahead, a model of two gauges."""
    folder, v = tmp_path_factory.mktemp("gauged"), values()
    flow = np.random.default_rng(3).gamma(2.0, 3.0, (len(TIMES), 3)).astype("f4")
    names = {"rain": ("precipitation", "mm/d"), "temp": ("temperature", "degC"), "sm": ("soil_moisture", "-")}
    dynamic = {name: (VariableInfo(name, "input", kind, units, name), v[name]) for name, (kind, units) in names.items()}
    dynamic["flow"] = (VariableInfo("flow", "target", "discharge", "m3/s", "Flow", gauges=True), flow)
    x, y = GRID.west + 1000 * np.array([4.5, 7.5, 1.5]), GRID.north - 1000 * np.array([4.5, 6.5, 0.5])
    write_dataset(
        folder / "basin.nc", name="Gauged", grid=GRID, times=TIMES, step_seconds=86400.0, mask=MASK, provenance={},
        dynamic=dynamic, static={"dem": (VariableInfo("dem", "static", "elevation", "m", "Elevation"), v["dem"])},
        gauges=Gauges.on(GRID, list(IDS), x, y),
    )  # fmt: skip
    card = make_card(v)
    maps = make_card(
        v, also=card.inputs[1:], family="convlstm-ed", options={"hidden": [4]}, ahead=card.inputs[:1], leads=2,
        inputs=card.inputs,
    )  # fmt: skip
    target = VariableCard("flow", "discharge", "m3/s", "Flow", Scaler.fit("log1p", flow).to_dict())
    series = make_card(
        v, family="convlstm-gauge", options={"hidden": [4], "attention": 3}, target=target, gauges=IDS[:2] + IDS[2:],
        leads=1,
    )  # fmt: skip
    for name, held in (("maps", maps), ("series", series)):
        save_model(folder / f"{name}.safetensors", build_from_card(held), held)
    return folder / "basin.nc", folder / "maps.safetensors", folder / "series.safetensors"


def _explain(tmp_path, job, session=None):
    run = RunFolder.create(tmp_path, "explain", job)
    events = list(explain(job, run, session))
    artifacts = {e.values["path"]: Artifact.from_dict(e.values) for e in events if e.kind is EventKind.ARTIFACT}
    return run, events, artifacts, json.loads((run.results / "attribution.json").read_text())


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_leaves_what_it_tells_apart(world, tmp_path, name):
    method = METHODS[name]
    run, _, artifacts, facts = _explain(tmp_path, make_job(*world, method=name, samples=9, steps=9, block=3))
    kinds = {artifact.kind for artifact in artifacts.values()}
    assert ("attribution" in kinds) == ("region" in kinds) == method.cells
    assert ("delay" in kinds) == (method.cells and method.steps)
    assert ((run.results / "lags.csv").exists()) == (method.steps or name == "occlusion-time")
    expected = {"rain", "temp", "season", "dem"} if method.variables else {"all_inputs"}
    assert set(facts["variables"]) == expected and facts["method"] == name and facts["complete"] == method.complete
    assert facts["cost"]["forward"] + facts["cost"]["gradient"] > 0 and facts["assumes"] == method.assumes
    if method.complete:
        total = facts["baseline_prediction"] + sum(facts["variables"].values()) + facts["residual"]
        assert total == pytest.approx(facts["prediction"], abs=1e-9)
    with open(run.results / "attribution.csv", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert sum(float(row["contribution"]) for row in rows) == pytest.approx(sum(facts["variables"].values()))
    page = run.report_file.read_text()
    assert method.label in page and method.assumes in page


def test_the_delay_map_and_its_legend(world, tmp_path):
    import rasterio

    for method, words in (("integrated-gradients", "half of the response to a unit of Precipitation"),
                          ("grad-cam", "half of the contributions of All inputs")):  # fmt: skip
        run, _, artifacts, facts = _explain(tmp_path / method, make_job(*world, method=method))
        legend = artifacts["results/delay.tif"]
        assert legend.units == "days" and words in legend.note and legend.ramp == "Viridis"
        for stem in ("delay", "delay_peak"):
            with rasterio.open(run.results / f"{stem}.tif") as source:
                delay = source.read(1, masked=True).filled(np.nan)
            assert np.isfinite(delay[4, 4]) and 0.5 <= np.nanmin(delay) <= np.nanmax(delay) <= 4.5
        assert facts["delay"]["most"] in (1, 2, 3, 4) and legend.group == artifacts["results/region.geojson"].group


def test_the_cost_is_told_before_and_can_be_all(world, tmp_path):
    job = make_job(*world, estimate=True)
    run = RunFolder.create(tmp_path, "explain", job)
    events = list(explain(job, run))
    told = [event.values for event in events if "cost" in event.values]
    assert len(told) == 1 and told[0]["cost"]["gradient"] == 12 and told[0]["cost"]["seconds"] > 0
    assert not run.results.exists() and not any(event.kind is EventKind.ARTIFACT for event in events)
    _, events, _, _ = _explain(tmp_path, make_job(*world))
    told = [event for event in events if "cost" in event.values or event.kind is EventKind.ARTIFACT]
    assert "cost" in told[0].values and not any("cost" in event.values for event in told[1:])


def test_a_first_picture_comes_early_and_is_replaced(world, tmp_path):
    job = make_job(*world, steps=40)
    run = RunFolder.create(tmp_path, "explain", job)
    seen = []
    for event in explain(job, run):
        if event.values.get("kind") == "attribution-draft":
            path = run.path / event.values["path"]
            seen.append((path.name, path.exists(), event.values["minimum"]))
        if "so_far" in event.values:
            seen.append(event.values["so_far"])
    assert [item["done"] for item in seen if isinstance(item, dict)] == [8, 32]
    first = seen[4]
    assert set(first["variables"]) == {"rain", "temp", "season", "dem"} and first["of"] == 40
    drafts = [item for item in seen if isinstance(item, tuple)]
    assert len(drafts) == 8 and all(existed for _, existed, _ in drafts) and drafts[0][2] < 0
    assert not (run.results / "draft").exists()


def test_a_check_on_request(world, tmp_path):
    run, events, _, facts = _explain(tmp_path, make_job(*world, check_method=True, steps=8))
    assert -1 <= facts["check"]["rank_correlation_randomised"] <= 1 and facts["check"]["deletion_area"] is not None
    assert (run.results / "deletion.csv").exists() and "deletion curves" in run.report_file.read_text()
    assert any("randomised weights" in event.values.get("text", "") for event in events)
    fractions = [event.values["fraction"] for event in events if event.kind is EventKind.PROGRESS]
    assert fractions == sorted(fractions)


def test_a_model_and_a_dataset_stay_loaded_from_one_question_to_the_next(world, tmp_path, monkeypatch):
    loads = []
    for name in ("load_model", "build_window_data"):
        whole = getattr(session_module, name)
        monkeypatch.setattr(session_module, name, lambda *a, w=whole, n=name: (loads.append(n), w(*a))[1])
    session = Session()
    answers = [_explain(tmp_path, make_job(*world, method="gradient", date=d), session)[3] for d in
               ("2001-02-28", "2001-02-27", "2001-02-28")]  # fmt: skip
    assert loads == ["load_model", "build_window_data"]
    assert answers[0]["variables"] == answers[2]["variables"] != answers[1]["variables"]


def _prediction(dataset, model, date, target=0):
    with Predictor(model, dataset, "cpu", target=target) as predictor:
        ends = np.flatnonzero(predictor.data.times == np.datetime64(date))
        ((_, maps),) = predictor.predict(ends)
    return maps[0]


def test_any_lead_and_target_of_a_model_with_inputs_known_ahead(gauged, tmp_path):
    dataset, model, _ = gauged
    for target, lead, number in (("", None, 0), ("temp", 2, 1)):
        job = make_job(dataset, model, target=target, lead=lead, date="2001-02-28")
        run, _, artifacts, facts = _explain(tmp_path, job)
        back = lead or 1
        end = np.datetime64("2001-02-28") - back
        maps = _prediction(dataset, model, end, number)
        assert facts["prediction"] == pytest.approx(float(maps[back - 1, 4, 4]), rel=1e-5)
        assert facts["lead"] == back and facts["steps_back"] == list(range(back + WINDOW - 1, back - 1, -1))
        assert facts["target"] == (target or "sm") and facts["input_dates"][-1] == str(end)
        assert facts["variables"]["rain_ahead"] != 0 and len(facts["by_step_back"]["rain_ahead"]) == 2
        assert facts["ahead_steps_back"] == [back - 1, back - 2]
        series = read_series(run.results / "attribution_rain_ahead.tif")
        assert [str(date)[:10] for date in series.dates] == facts["ahead_dates"]
        assert "known ahead" in artifacts["results/attribution_rain_ahead.tif"].title
        if lead:  # the decoder has not yet read what comes after the predicted step, and has read what comes before
            assert abs(facts["residual"]) < 0.01 * abs(facts["prediction"] - facts["baseline_prediction"])
    assert facts["observed"] == pytest.approx(float(values()["temp"][8, 4, 4]), abs=0.1)


def test_a_gauge_of_the_dataset_is_its_cell_and_the_basin_the_mean_of_all(gauged, tmp_path):
    dataset, model, _ = gauged
    maps = _prediction(dataset, model, "2001-02-27")[0]
    _, _, _, gauge = _explain(tmp_path, make_job(dataset, model, method="gradient", gauge="upper", **PLACE))
    assert gauge["place"] == {"kind": "gauge", "gauge": "upper", "row": 4, "column": 4, "cells": 1}
    assert gauge["prediction"] == pytest.approx(float(maps[4, 4]), rel=1e-5)
    _, _, _, basin = _explain(tmp_path, make_job(dataset, model, method="gradient", basin=True, **PLACE))
    assert basin["prediction"] == pytest.approx(float(maps[MASK].mean()), rel=1e-4)
    assert basin["place"]["kind"] == "basin" and basin["place"]["cells"] == int(MASK.sum())


def test_a_model_of_gauges_is_explained_at_one_and_at_all_of_them(gauged, tmp_path):
    dataset, _, model = gauged
    series = _prediction(dataset, model, "2001-02-27")[0, 0]
    run, _, artifacts, one = _explain(tmp_path, make_job(dataset, model, gauge="far", **PLACE))
    assert one["prediction"] == pytest.approx(float(series[1]), rel=1e-5) and one["units"] == "m3/s"
    assert one["observed"] is not None and one["place"]["row"] == 6 and one["residual_share"] < 0.01
    rain = read_series(run.results / "attribution_rain.tif").values
    assert np.isfinite(rain[:, MASK]).all() and np.nanmax(np.abs(rain[:, 4, 4])) > 0
    assert "results/delay.tif" in artifacts
    _, _, _, all_of = _explain(tmp_path, make_job(dataset, model, method="gradient", basin=True, **PLACE))
    assert all_of["prediction"] == pytest.approx(float(series.mean()), rel=1e-5)


@pytest.mark.parametrize("which, changes, error, words", [
    (1, {"gauge": "lower"}, DataError, "dataset has no gauge 'lower'.*upper, far, outside"),
    (1, {"gauge": "outside"}, DataError, "'outside' lies in no cell of the basin.*row 0"),
    (2, {"gauge": "lower"}, DataError, "model has no gauge 'lower'"),
    (2, {**CELL}, DataError, "predicts 3 gauges, not maps.*upper"),
    (1, {**CELL, "target": "snow"}, ConfigError, "does not predict 'snow'.*sm, temp"),
    (1, {**CELL, "lead": 3}, ConfigError, "does not predict 3 steps ahead.*1, 2"),
    (1, {**CELL, "method": "grad-cam", "layer": "9"}, ConfigError, "no recurrent layer '9'"),
    (1, {**CELL, "date": "2001-03-12"}, DataError, "outside the dataset.*2001-03-09 to 2001-03-10"),
])  # fmt: skip
def test_faults_of_place_target_lead_and_layer_are_sentences(gauged, tmp_path, which, changes, error, words):
    job = make_job(gauged[0], gauged[which], **{**PLACE, **changes})
    with pytest.raises(error) as caught:
        list(explain(job, RunFolder.create(tmp_path, "explain", job)))
    assert re.search(words, str(caught.value)) and caught.value.remedy


def test_a_dataset_without_gauges_says_so(world, tmp_path):
    job = make_job(*world, gauge="upper", **PLACE)
    with pytest.raises(DataError, match="no gauge 'upper'.*has none.*Pick a cell"):
        list(explain(job, RunFolder.create(tmp_path, "explain", job)))


@pytest.mark.parametrize("changes", [{"gauge": "a"}, {"basin": True}, {"polygon": "POLYGON ((0 0, 1 0, 1 1, 0 0))"}])
def test_two_places_are_one_too_many(world, changes):
    with pytest.raises(ConfigError, match="place to explain is not clear"):
        make_job(*world, **changes)


def test_the_climatology_is_the_mean_of_the_training_period_around_the_day_of_the_year(world):
    card = make_card(values())
    with Dataset.open(world[0]) as dataset:
        data = build_window_data(dataset, card)
    train = np.arange(len(TIMES)) < 9
    question = build_question("climatology", card, data, 16, train)
    rain = values()["rain"][:9].astype(np.float64)  # all of them lie within 15 days of the window's dates
    near = np.abs((TIMES[:9, None] - TIMES[None, 13:17]).astype(np.int64)) <= 15 * 86400
    scaler = Scaler.from_dict(card.inputs[0].scaler)
    for step in range(4):
        expected = scaler.transform(np.nanmean(rain[near[:, step]], axis=0))
        np.testing.assert_allclose(question.baseline_x[step, 0], expected, atol=2e-4)
    np.testing.assert_array_equal(question.baseline_x[:, 2:], question.x[:, 2:])  # the season and the maps stay
    np.testing.assert_array_equal(question.baseline_static, question.static)


def test_against_the_climatology_neither_season_nor_maps_contribute(world, tmp_path):
    _, events, artifacts, facts = _explain(tmp_path, make_job(*world, baseline="climatology"))
    assert facts["variables"]["season"] == facts["variables"]["dem"] == 0 != facts["variables"]["temp"]
    assert {a.variable for a in artifacts.values() if a.kind == "attribution"} == {"rain", "temp"}
    assert any("does not know this record" in e.values.get("text", "") for e in events)


def test_expected_gradients_start_from_windows_of_the_training_period(world, tmp_path):
    _, _, _, facts = _explain(tmp_path, make_job(*world, method="expected-gradients", samples=60))
    assert facts["settings"]["samples"] == 60 and facts["settings"]["background_spread"] > 0
    assert facts["variables"]["dem"] == 0 and facts["residual_share"] < 0.2
