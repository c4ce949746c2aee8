"""Permutation importance: a planted variable is found, planted noise is not, and numbers follow from the shuffle."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from scipy import stats

from freshet.core.contracts import ImportanceJob
from freshet.core.contracts.errors import ConfigError, DataError
from freshet.core.explain.asking import Subject
from freshet.core.explain.permutation import (
    Item,
    importance,
    interval,
    items_of,
    lag_blocks,
    measure,
    shuffled,
    shuffled_blocks,
)
from freshet.core.inference.predictor import Predictor

from .question_world import (
    FIXED,
    GRID,
    IDS,
    MASK,
    WEIGHTS,
    WINDOW,
    Line,
    ask,
    finish,
    gauge_card,
    hand_over,
    line_card,
    target_of,
    texts,
    values,
    write_basin,
)


@pytest.fixture(scope="module")
def basin(tmp_path_factory):
    return write_basin(tmp_path_factory.mktemp("line") / "basin.nc", values())


@pytest.fixture
def subject(basin):
    with Predictor((Line(extra=0.5), line_card(values())), basin, "cpu") as predictor:
        yield Subject(predictor, 0, 0)


def job_on(basin, **changes) -> ImportanceJob:
    return ImportanceJob(model="line", dataset=str(basin), device="cpu", **{"repeats": 6, **changes})


def rows_of(run) -> dict[str, dict]:
    return {row["input"]: row for row in json.loads((run.results / "importance.json").read_text())["items"]}


def test_planted_variables_matter_and_planted_noise_cannot_be_told_from_none(basin, tmp_path, monkeypatch):
    hand_over(monkeypatch, Line(extra=0.5), line_card(values()))
    run, events, made = ask(importance, job_on(basin, repeats=10, dates=0), tmp_path)
    rows = rows_of(run)
    for name in ("rain", "temp", "dem"):
        assert rows[name]["rmse_rise_low"] > 0 and rows[name]["nse_drop_low"] > 0 and rows[name]["matters"] == "yes"
    assert (
        rows["noise"]["rmse_rise_low"] < 0 < rows["noise"]["rmse_rise_high"] and rows["noise"]["matters"] == "not shown"
    )
    assert rows["noise"]["nse_drop_low"] < 0 < rows["noise"]["nse_drop_high"]
    assert rows["noise"]["rmse_rise_high"] < 0.2 * rows["rain"]["rmse_rise_low"]
    assert rows["rain"]["units"] == "mm"
    assert any("10 repeats" in text and "about" in text for text in texts(events))
    assert {"results/importance.csv", "results/importance.png", "results/importance_rain.tif", "report.html"} <= set(
        made
    )


def test_the_interval_of_noise_holds_zero_for_about_95_of_100_noises(subject):
    item, ends = Item("noise", "Noise", "variable", (2,)), subject.data.valid_ends()
    held = 0
    for seed in range(40):
        subject.data.x[:, 2] = np.random.default_rng(1000 + seed).normal(size=subject.data.x[:, 2].shape)
        _, found = finish(measure(subject, [item], ends, 5, seed, 64))
        _, low, high = interval(found.rows[0].rmse)
        held += low < 0 < high
    assert held >= 34


def test_the_rise_is_that_of_the_shuffled_line(subject):
    ends = subject.data.valid_ends()
    item = Item("rain", "Rain", "variable", (0,))
    _, found = finish(measure(subject, [item], ends, 2, 3, 16))
    v, truth = values(), target_of(values())
    rng = np.random.default_rng(3)
    order = shuffled_blocks(len(ends), min(WINDOW, len(ends) // 10), rng)

    def predicted(rain_ends):
        parts = [np.stack([v[n][e - WINDOW + 1 : e + 1] for e in at]) for n, at in
                 (("rain", rain_ends), ("temp", ends), ("noise", ends))]  # fmt: skip
        weights = WEIGHTS.copy()
        weights[-1, 2] = 0.5
        return np.einsum("cnthw,tc->nhw", np.stack(parts), weights) + FIXED * v["dem"]

    def rmse(maps):
        return np.sqrt(((maps - truth[ends])[:, MASK] ** 2).mean())

    expected = rmse(predicted(ends[order])) - rmse(predicted(ends))
    assert found.rows[0].rmse[0] == pytest.approx(expected, rel=1e-4)
    assert found.rmse == pytest.approx(rmse(predicted(ends)), rel=1e-5)
    assert np.nanmean(found.rows[0].mean_map[MASK]) > 0 and np.isnan(found.rows[0].mean_map[0]).all()


def test_only_the_blocks_of_steps_that_the_model_reads_matter(basin, tmp_path, monkeypatch):
    hand_over(monkeypatch, Line(), line_card(values()))
    run, _, _ = ask(importance, job_on(basin, of=["lags", "variables by lag"], lags=[0, 1, 2]), tmp_path)
    rows = rows_of(run)
    assert rows["lag_3_3"]["rmse_rise"] == 0 and rows["lag_1_1"]["rmse_rise_low"] > 0
    assert rows["rain_lag_2_2"]["rmse_rise"] == 0 and rows["rain_lag_1_1"]["rmse_rise"] > 0
    assert rows["temp_lag_1_1"]["rmse_rise"] == 0 and rows["temp_lag_2_2"]["rmse_rise"] > 0
    assert not list(run.results.glob("*.tif"))


def test_blocks_of_steps_back_cover_the_window_once():
    assert lag_blocks(4, 0, ()) == [(0, 0, slice(3, 4)), (1, 1, slice(2, 3)), (2, 3, slice(0, 2))]
    assert lag_blocks(1, 1, ()) == [(1, 1, slice(0, 1))]
    assert lag_blocks(30, 1, (1, 3, 7)) == [
        (1, 1, slice(29, 30)), (2, 3, slice(27, 29)), (4, 7, slice(23, 27)), (8, 30, slice(0, 23)),
    ]  # fmt: skip
    for window in (1, 2, 5, 8, 17, 64):
        steps = [step for _, _, part in lag_blocks(window, 2, ()) for step in range(part.start, part.stop)]
        assert sorted(steps) == list(range(window))
    for edges in ((0, 3), (1, 31)):
        with pytest.raises(ConfigError, match="outside the model's window"):
            lag_blocks(30, 1, edges)


def test_blocks_are_moved_whole():
    rng = np.random.default_rng(0)
    order = shuffled_blocks(100, 5, rng)
    assert sorted(order) == list(range(100)) and list(order) != list(range(100))
    assert (np.diff(order) == 1).sum() >= 75
    assert sorted(shuffled_blocks(7, 0, rng)) == list(range(7))


def test_the_interval_is_that_of_one_more_shuffle():
    numbers = [1.0, 2.0, 4.0, 3.5]
    mean, low, high = interval(numbers)
    reach = stats.t.ppf(0.975, 3) * np.std(numbers, ddof=1) * np.sqrt(1 + 1 / 4)
    assert (mean, low, high) == pytest.approx((2.625, 2.625 - reach, 2.625 + reach))
    assert np.isnan(interval([np.nan, 1.0])[1]) and interval([np.nan, 1.0])[0] == 1.0


def test_an_input_that_the_model_misreads_is_said_to_harm(basin, tmp_path, monkeypatch):
    module = Line()
    with torch.no_grad():
        module.weights[:, 0] *= -1.0
    hand_over(monkeypatch, module, line_card(values()))
    run, _, _ = ask(importance, job_on(basin, of=["variables"]), tmp_path)
    rows = rows_of(run)
    assert (
        rows["rain"]["matters"] == "harms" and rows["rain"]["rmse_rise_high"] < 0 and rows["temp"]["matters"] == "yes"
    )
    assert "better without what it makes of: Rain" in run.report_file.read_text()


def test_static_maps_move_inside_the_basin_only_and_maps_in_time_stay_whole(subject):
    batch, other = subject.data.batch(np.array([5, 6])), subject.data.batch(np.array([50, 60]))
    places = np.random.default_rng(1).permutation(np.flatnonzero(MASK))
    both = Item("both", "Both", "group", channels=(1,), static=(0,), steps=slice(2, 4))
    found = shuffled(batch, other, both, MASK, places)
    np.testing.assert_array_equal(found.x[:, 2:, 1], other.x[:, 2:, 1])
    np.testing.assert_array_equal(found.x[:, :2], batch.x[:, :2])
    np.testing.assert_array_equal(found.x[:, :, [0, 2]], batch.x[:, :, [0, 2]])
    np.testing.assert_array_equal(found.static[0, 0, 0], batch.static[0, 0, 0])
    assert sorted(found.static[0, 0][MASK]) == sorted(batch.static[0, 0][MASK])
    np.testing.assert_array_equal(found.static[0, 0][MASK], batch.static[0, 0].ravel()[places])
    np.testing.assert_array_equal(batch.x, subject.data.batch(np.array([5, 6])).x)


def test_items_are_inputs_static_maps_groups_and_blocks(subject, basin):
    items = items_of(subject, job_on(basin, groups={"weather": ["rain", "temp"], "ground": ["dem"]}))
    assert [item.name for item in items] == [
        "rain", "temp", "noise", "dem", "weather", "ground", "lag_0_0", "lag_1_1", "lag_2_3",
    ]  # fmt: skip
    assert items[4].channels == (0, 1) and items[5].static == (0,)
    with pytest.raises(ConfigError, match="names 'snow'.*rain, temp, noise, dem"):
        items_of(subject, job_on(basin, groups={"cold": ["snow"]}))


def test_a_model_of_gauges_without_gradients_is_judged_too(basin, tmp_path, monkeypatch):
    hand_over(monkeypatch, Line(gauges=len(IDS), differentiable=False), gauge_card(values()))
    run, _, made = ask(importance, job_on(basin, of=["variables"]), tmp_path)
    assert rows_of(run)["rain"]["matters"] == "yes" and rows_of(run)["noise"]["rmse_rise"] == 0
    assert not list(run.results.glob("*.tif"))
    with open(run.results / "importance.csv", encoding="utf-8") as handle:
        assert [row["input"] for row in csv.DictReader(handle)] == ["rain", "temp", "noise"]


def test_the_maps_lie_on_the_grid_and_share_one_range(basin, tmp_path, monkeypatch):
    import rasterio

    hand_over(monkeypatch, Line(), line_card(values()))
    run, _, made = ask(importance, job_on(basin, of=["variables", "static"], repeats=3), tmp_path)
    maps = [item for item in made.values() if item.path.endswith(".tif")]
    assert len(maps) == 4 and len({(item.minimum, item.maximum) for item in maps}) == 1
    with rasterio.open(run.results / "importance_rain.tif") as source:
        held = source.read(1, masked=True)
        assert source.shape == GRID.shape and held.mask[0].all() and held[1:].mean() > 0
    page = run.report_file.read_text()
    assert "Permutation importance" in page and "What this assumes" in page


@pytest.mark.parametrize(
    "changes, error, words",
    [
        ({"period": {"start": "2001-01-05", "end": "2001-01-06"}}, DataError, "Too few dates to shuffle"),
        ({"period": {"start": "1990-01-05", "end": "1990-01-06"}}, DataError, "No date of the period"),
        ({"target": "snow"}, ConfigError, "does not predict 'snow'.*wet"),
        ({"lead": 3}, ConfigError, "does not predict 3 steps ahead"),
        ({"dataset": "gone.nc"}, DataError, "does not exist"),
        ({"lags": [9]}, ConfigError, "outside the model's window"),
    ],
)
def test_faults_are_told_before_anything_is_written(basin, tmp_path, monkeypatch, changes, error, words):
    hand_over(monkeypatch, Line(), line_card(values()))
    job = ImportanceJob.from_dict({**job_on(basin).to_dict(), **changes})
    with pytest.raises(error, match=words) as caught:
        ask(importance, job, tmp_path)
    assert caught.value.remedy and not list(tmp_path.rglob("*.csv"))


def test_a_target_without_observations_is_told(tmp_path, monkeypatch):
    held = values()
    path = write_basin(tmp_path / "basin.nc", held, blank=np.full((120, 6, 7), np.nan))
    card = line_card(held)
    hand_over(monkeypatch, Line(), card.replace(target=card.target.replace(name="blank")))
    with pytest.raises(DataError, match="no observed value of 'blank'"):
        ask(importance, job_on(path), tmp_path)


@pytest.mark.parametrize("changes", [{"of": []}, {"of": ["weather"]}, {"lags": [3, 1]}, {"groups": {"a": "rain"}}])
def test_a_job_that_contradicts_itself_is_refused(changes):
    with pytest.raises(ConfigError):
        ImportanceJob.from_dict({"model": "m", "dataset": "d", **changes})
