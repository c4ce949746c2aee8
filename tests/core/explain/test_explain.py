"""A whole run: files, dates, sums; and every fault a person can cause."""

from __future__ import annotations

import csv
import dataclasses
import json
import re

import numpy as np
import pytest

from freshet.core.contracts import explain_checks
from freshet.core.contracts.errors import ConfigError, DataError, ModelFileError
from freshet.core.contracts.events import Artifact, EventKind
from freshet.core.contracts.run_folder import RunFolder
from freshet.core.explain import explain as explain_module
from freshet.core.explain import problem as problem_module
from freshet.core.explain.explain import explain
from freshet.core.inference.geotiff import read_series
from freshet.core.inference.predictor import Predictor

from .world import GRID, MASK, make_card, make_job, values, write_world


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("explain world"))


def _explain(tmp_path, job):
    run = RunFolder.create(tmp_path, "explain", job)
    events = list(explain(job, run))
    artifacts = {e.values["path"]: Artifact.from_dict(e.values) for e in events if e.kind is EventKind.ARTIFACT}
    return run, events, artifacts, json.loads((run.results / "attribution.json").read_text())


@pytest.fixture(scope="module")
def answer(world, tmp_path_factory):
    return _explain(tmp_path_factory.mktemp("runs"), make_job(*world))


def _single(path):
    import rasterio

    with rasterio.open(path) as source:
        return source.read(masked=True).filled(np.nan), source.count


def test_bands_are_the_window_and_carry_its_dates(answer):
    run, _, artifacts, _ = answer
    series = read_series(run.results / "attribution_rain.tif")
    assert [str(d)[:10] for d in series.dates] == ["2001-02-24", "2001-02-25", "2001-02-26", "2001-02-27"]
    assert artifacts["results/attribution_rain.tif"].dates == ("2001-02-24", "2001-02-25", "2001-02-26", "2001-02-27")
    assert series.units == "-" and series.grid.shape == GRID.shape
    assert _single(run.results / "attribution_dem.tif")[1] == 1 and artifacts["results/attribution_dem.tif"].dates == ()


def test_sums_of_bands_equal_the_json_and_the_table(answer):
    run, _, _, facts = answer
    for name in ("rain", "temp", "season"):
        sums = np.nansum(read_series(run.results / f"attribution_{name}.tif").values, axis=(1, 2), dtype=np.float64)
        np.testing.assert_allclose(sums, facts["by_step_back"][name], atol=1e-7)
        assert sums.sum() == pytest.approx(facts["variables"][name], abs=1e-7)
    assert np.nansum(_single(run.results / "attribution_dem.tif")[0]) == pytest.approx(
        facts["variables"]["dem"], abs=1e-7
    )
    with open(run.results / "attribution.csv", encoding="utf-8") as handle:
        table = list(csv.DictReader(handle))
    assert len(table) == 3 * 4 + 1 and table[0]["date"] == "2001-02-24" and table[0]["step_back"] == "4"
    assert sum(float(row["contribution"]) for row in table) == pytest.approx(sum(facts["variables"].values()))


def test_contributions_add_up_to_what_predict_gives(answer, world):
    _, _, _, facts = answer
    with Predictor(world[1], world[0], "cpu") as predictor:
        end = int(np.flatnonzero(predictor.data.times == np.datetime64("2001-02-27"))[0])
        ((_, maps),) = predictor.predict(np.array([end]))
    assert facts["prediction"] == pytest.approx(float(maps[0, 0, 4, 4]), abs=1e-6)
    total = facts["baseline_prediction"] + sum(facts["variables"].values()) + facts["residual"]
    assert total == pytest.approx(facts["prediction"], abs=1e-9) and facts["residual_share"] < 0.01
    assert facts["observed"] == pytest.approx(float(values()["sm"][8, 4, 4]), abs=1e-5)
    assert facts["steps_back"] == [4, 3, 2, 1] and facts["date"] == "2001-02-28" and facts["place"]["row"] == 4


def test_every_kind_of_input_contributes_and_missing_cells_do_not(answer):
    run, _, _, facts = answer
    assert all(abs(facts["variables"][name]) > 0 for name in ("rain", "temp", "season", "dem"))
    rain = read_series(run.results / "attribution_rain.tif").values
    assert rain[2, 4, 3] == 0 and rain[2, 4, 4] != 0  # no rain was observed there on 2001-02-26


def test_all_rasters_share_one_symmetric_range_and_say_their_sign(answer):
    _, events, artifacts, _ = answer
    rasters = [a for a in artifacts.values() if a.kind == "attribution"]
    assert len(rasters) == 4 and len({(a.minimum, a.maximum, a.ramp, a.group) for a in rasters}) == 1
    assert rasters[0].minimum == -rasters[0].maximum < 0 and "raised the prediction" in rasters[0].note
    assert rasters[0].title == "Precipitation: contribution to soil moisture on 2001-02-28 (-)"
    fractions = [e.values["fraction"] for e in events if e.kind is EventKind.PROGRESS]
    assert fractions == sorted(fractions) and len(fractions) > 5


def test_the_chart_is_drawn_and_nothing_half_written_is_left(answer):
    run, _, artifacts, _ = answer
    assert (run.results / "attribution.png").stat().st_size > 20_000
    assert (run.results / "attribution.svg").read_text().lstrip().startswith("<?xml")
    kept = sorted(path for path, artifact in artifacts.items() if artifact.kind not in ("attribution-draft", "report"))
    assert sorted(f"results/{p.name}" for p in run.results.iterdir()) == kept
    assert artifacts["report.html"].kind == "report" and "Precipitation" in run.report_file.read_text()


def test_without_rain_only_rain_contributes(world, tmp_path):
    run, _, artifacts, facts = _explain(tmp_path, make_job(*world, baseline="dry"))
    assert facts["variables"]["rain"] != 0
    assert all(facts["variables"][name] == 0 for name in ("temp", "season", "dem"))
    assert [a.variable for a in artifacts.values() if a.kind == "attribution"] == ["rain"]
    dry_days = values()["rain"][4:8] == 0
    rain = read_series(run.results / "attribution_rain.tif").values
    assert np.nanmax(np.abs(rain[dry_days])) < 1e-7 < np.nanmax(np.abs(rain))


def test_a_polygon_is_explained_as_the_mean_of_its_cells(world, tmp_path):
    wkt = "POLYGON ((4004000 2994000, 4006000 2994000, 4006000 2996000, 4004000 2996000, 4004000 2994000))"
    _, events, _, facts = _explain(tmp_path, make_job(*world, x=None, y=None, polygon=wkt))
    assert facts["place"] == {"kind": "polygon", "wkt": wkt, "cells": 4}
    assert any("the mean of 4 cells" in e.values.get("text", "") for e in events)


def test_few_steps_on_a_steep_path_bring_a_warning(world, tmp_path, monkeypatch):
    monkeypatch.setattr(explain_module, "_WARN_SHARE", 0.0)
    _, events, _, _ = _explain(tmp_path, make_job(*world, steps=2))
    warnings = [e.values["text"] for e in events if e.values.get("level") == "warning"]
    assert len(warnings) == 1 and "Raise the steps, now 2" in warnings[0]


def test_attribution_within_the_halo_equals_that_of_the_whole_frame(world, tmp_path, monkeypatch):
    job = make_job(*world, x=4_008_500.0, y=2_992_500.0)  # a corner
    _, _, _, cut = _explain(tmp_path, job)
    monkeypatch.setattr(problem_module, "reach", lambda place, halo, shape: (slice(0, shape[0]), slice(0, shape[1])))
    _, _, _, whole = _explain(tmp_path, job)
    assert cut["variables"] == pytest.approx(whole["variables"], rel=1e-4, abs=1e-7)


def test_a_window_ending_at_the_last_step_is_explained_without_an_observation(world, tmp_path):
    _, _, _, facts = _explain(tmp_path, make_job(*world, date="2001-03-12"))
    assert facts["observed"] is None and facts["input_dates"][-1] == "2001-03-11"


@pytest.mark.parametrize(
    "changes, error, words",
    [
        ({"x": 1.0}, DataError, "outside the grid"),
        ({"y": 2_999_500.0}, DataError, "outside the basin"),
        ({"x": None, "y": None, "polygon": "POLYGON ((0 0, 1 0, 1 1, 0 0))"}, DataError, "centre of no cell"),
        ({"x": None, "y": None, "polygon": "POLYGON 1 2"}, ConfigError, "cannot be read"),
        ({"date": "2001-02-22"}, DataError, "no full window.*02-24 to 2001-03-04, from 2001-03-09 to 2001-03-12"),
        ({"date": "2001-03-06"}, DataError, "nearest is 2001-03-04"),
        ({"date": "1950-01-01"}, DataError, "outside the dataset"),
        ({"date": "2001-02-28T06:00"}, DataError, "no full window"),
        ({"model": "gone.safetensors"}, ModelFileError, "does not exist"),
        ({"dataset": "gone.nc"}, DataError, "does not exist"),
    ],
)  # fmt: skip
def test_a_fault_is_told_before_anything_is_written(world, tmp_path, changes, error, words):
    job = make_job(*world).replace(**changes)
    run = RunFolder.create(tmp_path, "explain", job)
    with pytest.raises(error) as caught:
        list(explain(job, run))
    assert re.search(words, str(caught.value)) and caught.value.remedy
    assert not run.results.exists() or not list(run.results.iterdir())


def _refused(tmp_path, error, job):
    with pytest.raises(error) as caught:
        list(explain(job, RunFolder.create(tmp_path, "explain", job)))
    return str(caught.value)


def test_a_broken_model_file_is_refused(world, tmp_path):
    broken = tmp_path / "broken.safetensors"
    data = bytearray(world[1].read_bytes())
    data[-3] ^= 1
    broken.write_bytes(data)
    assert "altered" in _refused(tmp_path, ModelFileError, make_job(world[0], broken))


def test_a_dataset_without_the_variables_is_refused(tmp_path):
    card = make_card(values())
    other = dataclasses.replace(card.inputs[1], name="snow")
    dataset, model = write_world(tmp_path, inputs=(card.inputs[0], other))
    assert "lacks what the model needs: snow" in _refused(tmp_path, DataError, make_job(dataset, model))


def test_a_dry_baseline_needs_precipitation(tmp_path):
    card = make_card(values())
    dataset, model = write_world(tmp_path, inputs=card.inputs[1:])
    assert "no baseline for this model" in _refused(tmp_path, ConfigError, make_job(dataset, model, baseline="dry"))


def test_a_family_without_gradients_is_refused(world, tmp_path, monkeypatch):
    flat = dataclasses.replace(explain_checks.family("convlstm"), differentiable=False)
    monkeypatch.setattr(explain_checks, "family", lambda name: flat)
    words = _refused(tmp_path, ModelFileError, make_job(*world))
    assert "cannot be explained" in words and "occlusion-space" in words and "permutation" in words
    _, _, _, facts = _explain(tmp_path, make_job(*world, method="occlusion-time"))
    assert facts["method"] == "occlusion-time"


def test_a_day_alone_finds_its_only_step():
    times = np.datetime64("2001-01-01T06:00", "s") + np.arange(9) * np.timedelta64(86400, "s")
    card = make_card(values())
    assert explain_module.find_end(times, 86400.0, card, "2001-01-06") == 4
    assert MASK.any()


def test_the_mean_of_a_scaler_that_does_not_centre_is_that_of_the_data(world):
    from freshet.core.data.store import Dataset
    from freshet.core.data.windows import build_window_data
    from freshet.core.explain.baselines import build_question

    card = make_card(values())
    with Dataset.open(world[0]) as dataset:
        data = build_window_data(dataset, card)
    question = build_question("mean", card, data, 6)
    assert (question.baseline_x[:, 1] == np.float32(data.x[:, 1, MASK].mean(dtype=np.float64))).all()
    assert (question.baseline_x[:, 0] == 0).all() and (question.baseline_x[:, 2:] == 0).all()
