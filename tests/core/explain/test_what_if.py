"""What-if: the change of a line is known; dates, polygons, painted rain, and every fault a person can cause."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from freshet.core.contracts import WhatIfJob
from freshet.core.contracts.errors import ConfigError, DataError
from freshet.core.explain.asking import Subject
from freshet.core.explain.changes import storm_of
from freshet.core.explain.what_if import WhatIf, what_if
from freshet.core.inference.geotiff import read_series, write_map, write_series
from freshet.core.inference.predictor import Predictor

from .question_world import (
    CELL,
    FIXED,
    GRID,
    IDS,
    MASK,
    STEPS,
    TIMES,
    WEIGHTS,
    WINDOW,
    Line,
    ask,
    finish,
    gauge_card,
    hand_over,
    line_card,
    texts,
    values,
    write_basin,
)

SQUARE = "POLYGON ((4002000 2996000, 4004000 2996000, 4004000 2998000, 4002000 2998000, 4002000 2996000))"
INSIDE = (slice(2, 4), slice(2, 4))


@pytest.fixture(scope="module")
def basin(tmp_path_factory):
    return write_basin(tmp_path_factory.mktemp("line") / "basin.nc", values())


@pytest.fixture
def line(monkeypatch):
    module = Line()
    hand_over(monkeypatch, module, line_card(values()))
    return module


def job_on(basin, **changes) -> WhatIfJob:
    return WhatIfJob.from_dict({"model": "line", "dataset": str(basin), "device": "cpu", **changes})


def change_maps(run):
    series = read_series(run.results / "change.tif")
    return series.values, [str(date)[:10] for date in series.dates]


def moved(rain=None, temp=None) -> np.ndarray:
    """Change of the target (T, H, W) by changes of the inputs (T, H, W)."""
    change = np.zeros((STEPS, *GRID.shape))
    for t in range(WINDOW - 1, STEPS):
        for channel, moves in enumerate((rain, temp)):
            if moves is not None:
                change[t] += np.einsum("thw,t->hw", moves[t - WINDOW + 1 : t + 1], WEIGHTS[:, channel])
    change[:, ~MASK] = np.nan
    return change


def test_more_rain_and_warmer_air_in_a_polygon_and_a_period_move_the_line_as_they_must(basin, tmp_path, line):
    period = {"start": "2001-03-01", "end": "2001-03-05"}
    changes = [
        {"variable": "rain", "factor": 1.2, "polygon": SQUARE, "period": period},
        {"variable": "temp", "amount": 2.0, "period": {"start": "2001-03-04", "end": "2001-03-04"}},
    ]
    run, events, made = ask(what_if, job_on(basin, changes=changes, **CELL, polygon=SQUARE), tmp_path)
    rain, temp = (np.zeros((STEPS, *GRID.shape)) for _ in range(2))
    steps = np.flatnonzero((TIMES >= np.datetime64("2001-03-01")) & (TIMES <= np.datetime64("2001-03-05")))
    rain[steps[0] : steps[-1] + 1, INSIDE[0], INSIDE[1]] = (0.2 * values()["rain"][steps])[:, INSIDE[0], INSIDE[1]]
    temp[steps[3]] = 2.0
    maps, dates = change_maps(run)
    assert dates == [str(date)[:10] for date in TIMES[steps[0] : steps[-1] + WINDOW]]
    expected = moved(rain, temp)[steps[0] : steps[-1] + WINDOW]
    np.testing.assert_allclose(maps, expected, atol=2e-5)
    assert np.nanmax(np.abs(expected)) > 0.1 and np.isnan(maps[:, 0]).all()
    with open(run.results / "what_if.csv", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert {row["place"] for row in rows} == {
        "Mean of the basin",
        "The cell at x 4003500, y 2996500",
        "The mean of 4 cells",
    }
    cell = [float(row["change"]) for row in rows if row["place"].startswith("The cell")]
    np.testing.assert_allclose(cell, expected[:, 3, 3], atol=2e-5)
    assert made["results/change.tif"].minimum == -made["results/change.tif"].maximum < 0
    assert made["results/change.tif"].ramp == "RdBu" and "Rain x 1.2 in 4 cells" in made["results/change.tif"].note
    facts = json.loads((run.results / "what_if.json").read_text())
    assert facts["places"][0]["largest_on"] in facts["dates"] and len(facts["changes"]) == 2
    assert "What this assumes" in run.report_file.read_text()


def test_the_cell_of_a_gauge_has_a_hydrograph(basin, tmp_path, line):
    change = {"variable": "temp", "amount": 2.0, "period": {"start": "2001-03-01", "end": "2001-03-01"}}
    run, _, _ = ask(what_if, job_on(basin, changes=[change], gauge="upper"), tmp_path)
    places = json.loads((run.results / "what_if.json").read_text())["places"]
    assert [place["place"] for place in places] == ["Mean of the basin", "The cell of gauge upper"]
    with pytest.raises(DataError, match="nowhere"):
        ask(what_if, job_on(basin, changes=[change], gauge="nowhere"), tmp_path)


def test_changes_of_one_variable_follow_one_another(basin, tmp_path, line):
    day = {"start": "2001-03-01", "end": "2001-03-01"}
    changes = [
        {"variable": "temp", "amount": 3.0, "period": day},
        {"variable": "temp", "factor": 2.0, "period": {"start": "2001-03-01", "end": "2001-03-02"}},
    ]
    run, _, _ = ask(what_if, job_on(basin, changes=changes), tmp_path)
    step = int(np.flatnonzero(TIMES == np.datetime64("2001-03-01"))[0])
    temp = np.zeros((STEPS, *GRID.shape))
    temp[step], temp[step + 1] = values()["temp"][step] + 6.0, values()["temp"][step + 1]
    maps, _ = change_maps(run)
    np.testing.assert_allclose(maps, moved(temp=temp)[step : step + 1 + WINDOW], atol=2e-5)


def test_painted_rain_is_added_where_the_brush_went(basin, tmp_path, line):
    cells = [[4_002_500.0, 2_997_500.0, 20.0], [4_002_400.0, 2_997_600.0, 5.0], [4_004_500.0, 2_995_500.0, 10.0]]
    run, events, _ = ask(what_if, job_on(basin, storms=[{"date": "2001-02-10", "cells": cells}]), tmp_path)
    step = int(np.flatnonzero(TIMES == np.datetime64("2001-02-10"))[0])
    rain = np.zeros((STEPS, *GRID.shape))
    rain[step, 2, 2], rain[step, 4, 4] = 25.0, 10.0
    maps, dates = change_maps(run)
    assert dates[0] == "2001-02-10" and len(dates) == WINDOW
    np.testing.assert_allclose(maps, moved(rain)[step : step + WINDOW], atol=2e-5)
    assert any("25 mm of rain at most" in text and "over 2 cells" in text for text in texts(events))
    assert any("in training it was" in text for text in texts(events, "warning"))


def test_a_raster_of_painted_rain_may_have_dates_per_band(basin, tmp_path, line):
    rain = np.zeros((2, *GRID.shape), dtype=np.float32)
    rain[0, 3, 3], rain[1, 4, 2] = 8.0, 6.0
    dates = np.array(["2001-02-10", "2001-02-11"], dtype="datetime64[s]")
    write_series(tmp_path / "dated.tif", rain, GRID, dates, units="mm", label="storm")
    write_map(tmp_path / "plain.tif", rain[0], GRID, units="mm", label="storm")
    run, _, _ = ask(what_if, job_on(basin, storms=[{"raster": str(tmp_path / "dated.tif")}]), tmp_path)
    step = int(np.flatnonzero(TIMES == dates[0])[0])
    added = np.zeros((STEPS, *GRID.shape))
    added[step : step + 2] = rain
    np.testing.assert_allclose(change_maps(run)[0], moved(added)[step : step + 1 + WINDOW], atol=2e-5)
    one = {"raster": str(tmp_path / "plain.tif"), "date": "2001-02-10"}
    run, _, _ = ask(what_if, job_on(basin, storms=[one]), tmp_path)
    added[step + 1] = 0.0
    np.testing.assert_allclose(change_maps(run)[0], moved(added)[step : step + WINDOW], atol=2e-5)


def test_millimetres_of_a_step_become_the_unit_of_the_rain():
    held = values()
    card = line_card(held)
    rain = card.inputs[0].replace(units="kg m-2 s-1")
    card = card.replace(inputs=(rain, *card.inputs[1:]))

    class Data:
        grid, times, mask, step_seconds = GRID, TIMES, MASK, 86400.0

    from freshet.core.contracts import StormConfig

    storm = StormConfig(date="2001-02-10", cells=((4_003_500.0, 2_996_500.0, 43.2),))
    (found,) = storm_of(storm, card, Data())
    assert found.amount[0, 3, 3] == pytest.approx(43.2 / 86400.0) and found.steps.tolist() == [40]


def test_rain_stops_at_zero_and_says_so(basin, tmp_path, line):
    change = {"variable": "rain", "amount": -100.0, "period": {"start": "2001-03-01", "end": "2001-03-01"}}
    run, events, _ = ask(what_if, job_on(basin, changes=[change]), tmp_path)
    assert any("below 0" in text for text in texts(events, "warning"))
    step = int(np.flatnonzero(TIMES == np.datetime64("2001-03-01"))[0])
    rain = np.zeros((STEPS, *GRID.shape))
    rain[step] = -values()["rain"][step]
    np.testing.assert_allclose(change_maps(run)[0], moved(rain)[step : step + WINDOW], atol=2e-5)


def test_a_static_map_changes_at_all_dates(basin, tmp_path, line):
    period = {"start": "2001-03-01", "end": "2001-03-03"}
    job = job_on(basin, changes=[{"variable": "dem", "amount": 2.0, "polygon": SQUARE}], period=period)
    run, _, _ = ask(what_if, job, tmp_path)
    maps, dates = change_maps(run)
    assert len(dates) == 3
    np.testing.assert_allclose(maps[:, INSIDE[0], INSIDE[1]], 2.0 * FIXED, rtol=1e-4)
    assert np.nansum(np.abs(maps)) == pytest.approx(3 * 4 * 2.0 * FIXED, rel=1e-4)


def test_missing_values_stay_missing_and_cells_beyond_the_record_follow_their_neighbour(tmp_path, monkeypatch):
    held = values()
    held["rain"][60, 3, 3] = np.nan
    held["rain"][:, 0] = np.nan  # never observed there: the nearest cell stands in
    path = write_basin(tmp_path / "basin.nc", held)
    hand_over(monkeypatch, Line(), line_card(values()))
    with Predictor((Line(), line_card(values())), path, "cpu") as predictor:
        from freshet.core.contracts import ChangeConfig, PeriodConfig
        from freshet.core.explain.changes import Weather, change_of

        subject = Subject(predictor, 0, 0)
        change = ChangeConfig("rain", 2.0, period=PeriodConfig("2001-03-01", "2001-03-03"))
        added = change_of(change, subject.card, subject.data)
        found = Weather(subject.dataset, subject.card, subject.data).change([added], 55, 70)
        before = subject.data.x[55:70, 0]
        steps = added.steps - 55
        assert found.data.x[60 - 55, 0, 3, 3] == before[5, 3, 3] == 0.0
        np.testing.assert_allclose(found.data.x[steps, 0, 1:, :3], 2 * before[steps][:, 1:, :3], rtol=1e-5)
        np.testing.assert_allclose(found.data.x[steps, 0, 0], found.data.x[steps, 0, 1], rtol=1e-6)
        rest = [step for step in range(15) if step not in steps]
        np.testing.assert_array_equal(found.data.x[rest, 0], before[rest])
        np.testing.assert_array_equal(subject.data.x[55:70, 0], before)


def test_a_second_stroke_costs_one_pass_a_date_only(basin):
    module = Line()
    with Predictor((module, line_card(values())), basin, "cpu") as predictor:
        subject, session = Subject(predictor, 0, 0), None
        session = WhatIf(subject)
        from freshet.core.contracts import StormConfig

        ends, answers = np.array([40, 41]), []
        for amount in (10.0, 20.0):
            storm = StormConfig(date="2001-02-10", cells=((4_003_500.0, 2_996_500.0, amount),))
            module.calls = 0
            _, answer = finish(session.respond(storm_of(storm, subject.card, subject.data), ends))
            answers.append((module.calls, answer.change[:, 3, 3]))
    assert [calls for calls, _ in answers] == [4, 2]
    np.testing.assert_allclose(answers[1][1], 2 * answers[0][1], rtol=1e-4)
    np.testing.assert_allclose(answers[0][1], 10.0 * WEIGHTS[[3, 2], 0], rtol=1e-4)


def test_a_model_of_gauges_answers_with_hydrographs(basin, tmp_path, monkeypatch):
    hand_over(monkeypatch, Line(gauges=len(IDS)), gauge_card(values()))
    change = {"variable": "temp", "amount": 2.0, "period": {"start": "2001-03-01", "end": "2001-03-01"}}
    run, _, made = ask(what_if, job_on(basin, changes=[change]), tmp_path)
    with open(run.results / "what_if.csv", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert {row["place"] for row in rows} == {"Gauge upper", "Gauge lower"} and len(rows) == 2 * WINDOW
    first = [float(row["change"]) for row in rows if row["place"] == "Gauge upper"]
    np.testing.assert_allclose(first, 2.0 * WEIGHTS[::-1, 1], atol=1e-5)
    assert not list(run.results.glob("*.tif"))
    with pytest.raises(DataError, match="no cell or polygon has a hydrograph"):
        ask(what_if, job_on(basin, changes=[change], **CELL), tmp_path)


RAIN = {"variable": "rain", "factor": 2.0}
STORM = {"date": "2001-02-10", "cells": [[4_002_500.0, 2_997_500.0, 20.0]]}


@pytest.mark.parametrize(
    "changes, error, words",
    [
        ({"changes": [{**RAIN, "variable": "snow"}]}, ConfigError, "does not read 'snow'"),
        ({"changes": [{**RAIN, "polygon": "POLYGON ((0 0, 1 0, 1 1, 0 0))"}]}, DataError, "centre of no cell"),
        ({"changes": [{**RAIN, "polygon": "POLYGON 1"}]}, ConfigError, "cannot be read"),
        ({"changes": [{**RAIN, "period": {"start": "1990-01-01", "end": "1990-02-01"}}]}, DataError, "holds no date"),
        ({"changes": [{**RAIN, "variable": "dem", "period": {"start": "2001-01-01"}}]}, ConfigError, "has a period"),
        ({"storms": [{**STORM, "date": "2005-01-01"}]}, DataError, "no step of the dataset.*nearest is 2001-04-30"),
        ({"storms": [{**STORM, "cells": [[0.0, 0.0, 5.0]]}]}, DataError, "outside the grid"),
        ({"storms": [{"raster": "gone.tif"}]}, DataError, "does not exist"),
        ({"storms": [{**STORM, "variable": "dem"}]}, ConfigError, "static map"),
        ({"storms": [STORM], "period": {"start": "2001-04-01", "end": "2001-04-03"}}, DataError, "reach no date"),
        ({"storms": [STORM], "x": 1.0, "y": 1.0}, DataError, "outside the grid"),
        ({"storms": [STORM], "x": 4_003_500.0, "y": 2_999_500.0}, DataError, "outside the basin"),
    ],
)  # fmt: skip
def test_faults_are_told_before_anything_is_computed(basin, tmp_path, line, changes, error, words):
    with pytest.raises(error, match=words) as caught:
        ask(what_if, job_on(basin, **changes), tmp_path)
    assert caught.value.remedy and line.calls == 0 and not list(tmp_path.rglob("*.tif"))


def test_a_raster_of_another_grid_is_refused(basin, tmp_path, line):
    from freshet.core.contracts.grid import Grid

    other = Grid(GRID.crs, GRID.west, GRID.north, 500.0, 500.0, 7, 6)
    write_map(tmp_path / "other.tif", np.ones((6, 7)), other, units="mm", label="storm")
    with pytest.raises(DataError, match="another grid.*6 x 7 cells of 1000.*cells of 500"):
        ask(what_if, job_on(basin, storms=[{"raster": str(tmp_path / "other.tif"), "date": "2001-02-10"}]), tmp_path)


def test_a_model_without_rain_takes_no_storm(basin, tmp_path, monkeypatch):
    card = line_card(values())
    dry = card.inputs[0].replace(quantity="other")
    hand_over(monkeypatch, Line(), card.replace(inputs=(dry, *card.inputs[1:])))
    with pytest.raises(ConfigError, match="no precipitation"):
        ask(what_if, job_on(basin, storms=[STORM]), tmp_path)


@pytest.mark.parametrize(
    "changes",
    [{}, {"changes": [{"variable": "rain"}]}, {"storms": [{}]}, {"storms": [{"cells": [[1, 2, 3]]}]},
     {"storms": [{**STORM, "raster": "a.tif"}]}, {"storms": [STORM], "x": 1.0},
     {"storms": [{**STORM, "cells": [[1, 2]]}]}],
)  # fmt: skip
def test_a_job_that_contradicts_itself_is_refused(changes):
    with pytest.raises(ConfigError):
        WhatIfJob.from_dict({"model": "m", "dataset": "d", **changes})
