"""Stamps: doubled, shuffled, irregular and monthly dates, and steps that a source lacks."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.core.contracts.errors import DataError
from freshet.core.contracts.steps import MONTH
from freshet.core.data.sources import open_source
from freshet.core.data.sources.stamps import put_in_order

from .source_files import DAY, START, random_maps, source, write_netcdf, write_tif


def _order(dates, **options):
    times = np.array(dates, dtype="datetime64[s]")
    precision = options.pop("precision", 0.0)
    config = source("x", **options)
    return put_in_order(times, [f"map {i}" for i in range(len(times))], config, precision)


def test_shuffled_dates_are_put_in_order_and_told():
    stamps = _order(["2001-01-03", "2001-01-01", "2001-01-02"])
    assert stamps.order.tolist() == [1, 2, 0] and "order" in stamps.notes[0] and stamps.step_seconds == 86400


@pytest.mark.parametrize(("policy", "picked"), [("first", 1), ("last", 3)])
def test_doubled_dates_are_settled_as_asked_and_told(policy, picked):
    dates = ["2001-01-01", "2001-01-02", "2001-01-03", "2001-01-02"]
    stamps = _order(dates, duplicates=policy)
    assert stamps.order.tolist() == [0, picked, 2]
    assert stamps.doubled.tolist() == [np.datetime64("2001-01-02T00:00:00").item()] and "2001-01-02" in stamps.notes[1]


def test_doubled_dates_are_refused_by_default_and_named():
    with pytest.raises(DataError, match=r"2001-01-02 occurs twice \(1 more do\)") as caught:
        _order(["2001-01-01", "2001-01-02", "2001-01-02", "2001-01-03", "2001-01-03"])
    assert "map 1 and map 2" in str(caught.value)


def test_the_mean_of_doubled_maps_skips_what_is_missing(tmp_path):
    maps = random_maps(4)
    maps[1, 0, 0] = np.nan
    maps[1:3, 1, 1] = np.nan
    path = write_netcdf(tmp_path / "a.nc", {"rain": maps}, times=[0.0, 24.0, 24.0, 48.0])
    with open_source(source(path, duplicates="mean")) as opened:
        values = opened.read(0, 3)
        np.testing.assert_array_equal(values[[0, 2]], maps[[0, 3]])
        expected = (maps[1].astype(float) + maps[2]) / 2
        expected[0, 0] = maps[2, 0, 0]
        np.testing.assert_allclose(values[1], expected, rtol=1e-6)
        assert np.isnan(values[1, 1, 1])
        np.testing.assert_array_equal(opened.read(1, 2)[0], values[1])


@pytest.mark.parametrize("days", [["01", "01", "01", "01"], ["16", "15", "16", "16"], ["31", "28", "31", "30"]])
def test_one_date_a_month_at_its_start_middle_or_end_is_a_month(days):
    stamps = _order([f"2001-{month:02d}-{day}" for month, day in enumerate(days, 1)])
    assert stamps.step_seconds == MONTH
    assert [str(time)[:10] for time in stamps.times] == ["2001-01-01", "2001-02-01", "2001-03-01", "2001-04-01"]
    assert bool(stamps.notes) == (days[0] != "01")


def test_gaps_among_months_and_longer_steps_of_months_are_understood():
    assert _order(["2001-01-01", "2001-02-01", "2001-05-01"]).step_seconds == MONTH
    assert _order(["2001-01-01", "2001-04-01", "2001-07-01"]).step_seconds == 3 * MONTH


@pytest.mark.parametrize("label", ["01-01", "07-02", "12-31"])
def test_one_date_a_year_is_a_year_wherever_it_lies(label):
    stamps = _order([f"{year}-{label}" for year in (2001, 2002, 2003, 2004)])
    assert stamps.step_seconds == 12 * MONTH and str(stamps.times[0])[:10] == "2001-01-01"


def test_thirty_days_and_fixed_steps_are_no_months():
    dates = np.datetime64("2001-01-05", "s") + np.arange(6) * 30 * DAY
    assert _order(dates).step_seconds == 30 * 86400


def test_dates_off_by_the_precision_of_the_file_are_set_right_and_told():
    exact = START + np.arange(200) * np.timedelta64(300, "s")
    off = exact + np.random.default_rng(0).integers(-40, 41, 200).astype("timedelta64[s]")
    stamps = _order(off, precision=84.0)
    np.testing.assert_array_equal(stamps.times, exact)
    assert "precision" in stamps.notes[0]
    with pytest.raises(DataError, match="regular step"):
        _order(off)


def test_dates_off_by_less_than_a_hundredth_of_a_step_are_set_right():
    exact = START + np.arange(50) * DAY
    stamps = _order(exact + (np.arange(50) % 3 * 200).astype("timedelta64[s]"))
    np.testing.assert_array_equal(stamps.times, exact)
    assert stamps.step_seconds == 86400 and "1 %" in stamps.notes[0]


def test_irregular_dates_are_refused_with_the_first_of_them_and_taken_with_a_step():
    dates = ["2001-01-01", "2001-01-03", "2001-01-06", "2001-01-08", "2001-01-12"]
    with pytest.raises(DataError, match="2001-01-01 followed by 2001-01-03") as caught:
        _order(dates)
    assert "24 h fits" in str(caught.value)
    stamps = _order(dates, step_hours=24)
    assert stamps.step_seconds == 86400 and "as asked for" in stamps.notes[0]


def test_missing_steps_are_counted_and_listed(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", {"rain": random_maps(4)}, times=[0.0, 24.0, 96.0, 120.0])
    with open_source(source(path)) as opened:
        assert opened.missing_count == 2
        np.testing.assert_array_equal(opened.missing, START + np.array([2, 3]) * DAY)


def test_a_single_date_needs_a_step(tmp_path):
    path = write_tif(tmp_path / "rain_2001-02-27.tif", random_maps(1)[0])
    with pytest.raises(DataError, match="only one date"):
        open_source(source(path))
    with open_source(source(path, step_hours=24)) as opened:
        assert opened.step_seconds == 86400 and opened.times.tolist() == [START.item()]
