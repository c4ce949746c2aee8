"""Persistence and climatology: what they may know, and the published numbers of two real packs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from freshet.core.contracts.errors import DataError
from freshet.core.contracts.steps import MONTH
from freshet.core.metrics.baselines import (
    Interpolation,
    Persistence,
    climatology,
    clock,
    day_of_year,
    persistence,
    persistence_distance,
)
from freshet.core.metrics.scores import Scores

PACKS = Path(__file__).resolve().parents[4] / "shared" / "data"


def days(start, count):
    return np.datetime64(start, "s") + np.arange(count) * np.timedelta64(86400, "s")


def column(values):
    return np.array(values, dtype=np.float32).reshape(-1, 1, 1)


def test_persistence_gives_the_value_so_many_steps_before():
    got = persistence(column([1, 2, 3, 4, 5]), 2)[:, 0, 0]
    np.testing.assert_array_equal(got, [np.nan, np.nan, 1, 2, 3])


def test_persistence_takes_the_last_value_that_was_there():
    got = persistence(column([1, np.nan, np.nan, 4, 5]), 1)[:, 0, 0]
    np.testing.assert_array_equal(got, [np.nan, 1, 1, 1, 4])


def test_persistence_counts_steps_of_the_clock_across_a_gap():
    positions = np.array([0, 1, 10, 11])
    got = Persistence(column([1, 2, 3, 4]), positions).at(positions, 3)[:, 0, 0]
    np.testing.assert_array_equal(got, [np.nan, np.nan, 2, 2])


def test_persistence_does_not_change_what_it_was_given():
    observed = column([1, np.nan, 3])
    persistence(observed, 1)
    assert np.isnan(observed[1, 0, 0])


def test_persistence_may_not_know_the_step_itself():
    with pytest.raises(DataError, match="step that it predicts"):
        persistence(column([1, 2]), 0)


@pytest.mark.parametrize(("lead", "distance"), [(0, 1), (1, 1), (7, 7)])
def test_distance_is_the_lead_and_one_for_a_simulation(lead, distance):
    assert persistence_distance(lead) == distance


def test_clock_counts_missing_steps():
    times = days("2000-01-01", 6)[[0, 1, 4, 5]]
    np.testing.assert_array_equal(clock(times, 86400), [0, 1, 4, 5])


def test_day_of_year_starts_at_zero_and_counts_leap_days():
    times = np.array(["2000-01-01", "2000-03-01", "2001-03-01T18:00", "2000-12-31"], dtype="datetime64[s]")
    np.testing.assert_array_equal(day_of_year(times), [0, 60, 59, 365])


def test_climatology_is_the_mean_of_the_days_around():
    times = days("2001-01-01", 3 * 365)
    values = column(day_of_year(times))
    clim = climatology(values, times, np.ones(len(times), dtype=bool), half_width_days=2)
    assert clim.at(np.array(["2005-06-10"], dtype="datetime64[s]"))[0, 0, 0] == 160
    newyear = clim.at(np.array(["2005-01-01"], dtype="datetime64[s]"))[0, 0, 0]
    assert newyear == pytest.approx(
        (0 + 1 + 2 + 364) / 4
    )  # the window goes round the turn of the year; day 366 is empty
    assert "day of the year" in clim.note


def test_climatology_takes_nothing_from_outside_the_training_period():
    times = days("2001-01-01", 4 * 365)
    values = column(np.ones(len(times)))
    train = np.arange(len(times)) < 3 * 365
    values[~train] = 1000.0
    assert climatology(values, times, train).at(times).max() == 1.0


def test_short_training_gives_the_mean_and_says_so():
    times = days("2001-01-01", 400)
    values = column(np.arange(400))
    clim = climatology(values, times, np.arange(400) < 300)
    assert clim.at(times[350:352])[:, 0, 0].tolist() == [149.5, 149.5]
    assert "less than two years" in clim.note


def months(start, count):
    return (np.datetime64(start, "M") + np.arange(count)).astype("datetime64[s]")


def test_the_clock_counts_months_by_the_calendar():
    times = months("2003-11", 8)[[0, 1, 3, 7]]
    np.testing.assert_array_equal(clock(times, MONTH), [0, 1, 3, 7])
    np.testing.assert_array_equal(clock(months("2000-01", 60)[::12], 12 * MONTH), [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(clock(months("2000-01", 60)[::3][[0, 1, 5]], 3 * MONTH), [0, 1, 5])


def test_climatology_of_months_is_the_mean_of_each_calendar_month():
    times = months("2001-01", 36)
    values = column(np.arange(36))
    train = np.arange(36) < 24
    clim = climatology(values, times, train, step_seconds=MONTH)
    assert clim.at(months("2010-03", 2))[:, 0, 0].tolist() == [(2 + 14) / 2, (3 + 15) / 2]
    assert clim.note == "mean per cell and calendar month of the training period"


def test_climatology_of_less_than_two_years_of_months_or_of_years_is_one_mean():
    values = column(np.arange(23))
    clim = climatology(values, months("2001-01", 23), np.ones(23, dtype=bool), step_seconds=MONTH)
    assert len(clim.maps) == 1 and clim.maps[0, 0, 0] == 11 and "less than two years" in clim.note
    years = months("2001-01", 60)[::12]
    clim = climatology(column(np.arange(5)), years, np.ones(5, dtype=bool), step_seconds=12 * MONTH)
    assert clim.at(years)[:, 0, 0].tolist() == [2.0] * 5 and "its steps are years" in clim.note


def hours(start, count):
    return np.datetime64(start, "s") + np.arange(count) * np.timedelta64(3600, "s")


def test_climatology_of_hours_knows_the_time_of_the_day():
    times = hours("2001-01-01", 24 * 40)
    wave = np.arange(24 * 40) % 24
    values = column(wave + 100)
    clim = climatology(values, times, np.ones(len(times), dtype=bool), step_seconds=3600.0)
    np.testing.assert_allclose(clim.at(times[5:30])[:, 0, 0], values[5:30, 0, 0], rtol=1e-6)
    assert "hour of the day" in clim.note and "less than two years" in clim.note


def test_a_training_of_a_few_days_tells_no_time_of_the_day():
    times = hours("2001-01-01", 24 * 5)
    clim = climatology(column(np.arange(120) % 24), times, np.ones(120, dtype=bool), step_seconds=3600.0)
    assert clim.hours is None and clim.at(times[:3])[:, 0, 0].tolist() == [11.5] * 3 and "hour" not in clim.note


def test_hours_of_several_years_have_a_day_of_the_year_and_an_hour():
    times = hours("2001-01-01", 24 * 800)
    season, wave = day_of_year(times), np.arange(len(times)) % 24
    clim = climatology(column(season + wave), times, np.ones(len(times), dtype=bool), 0, step_seconds=3600.0)
    noon = clim.at(np.array(["2005-06-10T12:00", "2005-06-10T00:00"], dtype="datetime64[s]"))[:, 0, 0]
    np.testing.assert_allclose(noon, [160 + 12, 160], atol=1e-3)


def test_cell_without_training_values_has_no_climatology():
    times = days("2001-01-01", 50)
    values = np.ones((50, 1, 2), dtype=np.float32)
    values[:, 0, 1] = np.nan
    got = climatology(values, times, np.ones(50, dtype=bool)).at(times[:1])
    assert got[0, 0, 0] == 1 and np.isnan(got[0, 0, 1])


def test_climatology_of_nothing_is_refused():
    with pytest.raises(DataError, match="no step"):
        climatology(column([1, 2]), days("2001-01-01", 2), np.zeros(2, dtype=bool))


def judged(predicted, observed):
    scores = Scores(observed.shape[1:])
    scores.accumulate(predicted, observed)
    return scores.compute(), scores.median_per_cell()


@pytest.fixture(scope="module")
def moselle():
    path = PACKS / "mhm_moselle" / "mhm_moselle_4km_1990_1993.nc"
    if not path.is_file():
        pytest.skip("the real pack mhm_moselle is not at ../shared/data")
    netcdf = pytest.importorskip("netCDF4")
    with netcdf.Dataset(path) as source:
        values = np.ma.filled(source["sm_l1"][:].astype(np.float32), np.nan)
    return values, days("1990-01-01", len(values))


@pytest.mark.parametrize(
    ("name", "rmse", "nse", "median"),
    [("climatology", 0.11375, 0.5884, 0.5861), (1, 0.01471, 0.9931, 0.9931), (7, 0.06671, 0.8584, 0.8539)],
)
def test_baselines_of_the_moselle_are_reproduced(moselle, name, rmse, nse, median):
    values, times = moselle
    train = np.arange(len(values)) < 1169
    guess = climatology(values, times, train).at(times) if name == "climatology" else persistence(values, name)
    pooled, cells = judged(guess[1169:], values[1169:])
    assert pooled["count"] == 240316
    assert round(pooled["rmse"], 5) == rmse
    assert round(pooled["nse"], 4) == nse
    assert cells["nse"] == pytest.approx(median, abs=6e-5)  # published to four digits, in float32


@pytest.fixture(scope="module")
def rhine():
    files = sorted((PACKS / "wflow_rhine" / "inwater").glob("*.tif"))
    if not files:
        pytest.skip("the real pack wflow_rhine is not at ../shared/data")
    rasterio = pytest.importorskip("rasterio")
    maps = []
    for path in files:
        with rasterio.open(path) as source:
            maps.append(source.read(1, masked=True).filled(np.nan))
    return np.stack(maps), days("1995-02-01", len(maps))


@pytest.mark.parametrize(("name", "rmse", "nse"), [("climatology", 5.01301, 0.8021), (1, 4.42669, 0.8456)])
def test_baselines_of_the_rhine_are_reproduced(rhine, name, rmse, nse):
    values, times = rhine
    train = np.arange(len(values)) < 292
    guess = climatology(values, times, train).at(times) if name == "climatology" else persistence(values, name)
    pooled, _ = judged(guess[292:], values[292:])
    assert pooled["rmse"] == pytest.approx(rmse, abs=1e-5)
    assert round(pooled["nse"], 4) == nse


def test_interpolation_lies_between_the_value_before_and_the_one_after_and_never_looks_at_the_date_itself():
    rng = np.random.default_rng(0)
    observed = rng.normal(size=(9, 2, 3)).astype(np.float32)
    observed[rng.random(observed.shape) < 0.5] = np.nan
    observed[:, 0, 0] = np.nan
    observed[:, 1, 2] = np.nan
    observed[4, 1, 2] = 7.0
    positions = np.array([0, 1, 2, 5, 6, 7, 8, 12, 13])  # a record with gaps
    found = Interpolation(observed, positions).at(positions)
    for step, place in enumerate(positions):
        for row, column in np.ndindex(2, 3):
            known = np.isfinite(observed[:, row, column]) & (positions != place)
            value = found[step, row, column]
            if not known.any():
                assert np.isnan(value)
            else:
                assert value == pytest.approx(
                    np.interp(place, positions[known], observed[known, row, column]), abs=1e-5
                )
    between = Interpolation(observed, positions).at(np.array([3]))[0]  # a date that the record lacks
    known = np.isfinite(observed[:, 0, 1])
    assert between[0, 1] == pytest.approx(np.interp(3, positions[known], observed[known, 0, 1]), abs=1e-5)
