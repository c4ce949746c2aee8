"""Dates of CF time coordinates in every calendar, compared with cftime and xarray."""

from __future__ import annotations

import cftime
import numpy as np
import pytest
import xarray

from freshet.core.contracts.errors import DataError
from freshet.core.contracts.steps import MONTH
from freshet.core.data.sources import open_source
from freshet.core.data.sources.calendars import decode_times, lacking_days

from .source_files import create_netcdf, random_maps, source

EVERY = ["standard", "gregorian", "proleptic_gregorian", "julian", "noleap", "365_day", "all_leap", "366_day"]


def _write(path, values, units, calendar, dtype="f8"):
    """A file whose stamps are ``values`` in ``units``, and its maps."""
    maps = random_maps(len(values), 2, 3)
    variables = {
        "time": (("time",), np.asarray(values, dtype), {"units": units, "calendar": calendar}),
        "lat": (("lat",), np.array([50.0, 49.0]), {"units": "degrees_north"}),
        "lon": (("lon",), np.array([5.0, 6.0, 7.0]), {"units": "degrees_east"}),
        "rain": (("time", "lat", "lon"), maps, {"units": "mm/d"}),
    }
    return create_netcdf(path, variables), maps


@pytest.mark.parametrize("calendar", EVERY)
@pytest.mark.parametrize("unit", ["days", "hours", "minutes", "seconds"])
def test_labels_are_those_of_cftime(calendar, unit):
    units = f"{unit} since 1999-11-30 06:00:00"
    values = np.array([0.0, 1, 7, 100, 1000, 12345]) * (1 if unit == "days" else 24)
    decoded = decode_times(values, units, calendar, "x")
    dates = cftime.num2date(values, units, calendar)
    for time, kept, date in zip(decoded.times, decoded.kept, dates):
        if kept:
            assert str(time) == date.isoformat()[:19]
        else:
            assert (date.month, date.day) == (2, 29)


@pytest.mark.parametrize("step", [1.0, 0.25])
def test_days_of_a_360_day_year_are_spread_as_xarray_spreads_them(step):
    values = np.arange(0, 1100, step)
    decoded = decode_times(values, "days since 1999-01-01", "360_day", "x")
    array = xarray.Dataset(coords={"time": ("time", values, {"units": "days since 1999-01-01", "calendar": "360_day"})})
    array = xarray.decode_cf(array, decode_times=xarray.coders.CFDatetimeCoder(use_cftime=True))
    expected = array.convert_calendar("standard", align_on="year", use_cftime=False).time.values
    np.testing.assert_array_equal(decoded.times, expected.astype("datetime64[s]"))
    assert np.all(np.diff(decoded.times) > np.timedelta64(0, "s"))
    lacking = lacking_days("360_day", decoded.times, step * 86400)
    everything = np.sort(np.concatenate([decoded.times, lacking]))
    assert np.all(np.diff(everything) == np.timedelta64(round(step * 86400), "s"))


@pytest.mark.parametrize("hours", [24, 6])
def test_a_365_day_calendar_keeps_labels_and_lacks_each_29_february(tmp_path, hours):
    steps = 800 * 24 // hours
    path, maps = _write(tmp_path / "a.nc", np.arange(steps) * hours / 24 + 0.0, "days since 2003-06-01", "noleap")
    with open_source(source(path)) as opened:
        assert opened.calendar == "noleap" and opened.step_seconds == hours * 3600
        assert {str(time)[:10] for time in opened.lacking} == {"2004-02-29"} and len(opened.lacking) == 24 // hours
        assert opened.missing_count == 0 and not np.isin(opened.lacking, opened.times).any()
        np.testing.assert_array_equal(opened.read(0, steps), maps)
        assert any("29 February" in note for note in opened.notes)


def test_a_366_day_calendar_drops_the_29_february_of_common_years(tmp_path):
    path, maps = _write(tmp_path / "a.nc", np.arange(400.0), "days since 2001-01-01", "all_leap")
    with open_source(source(path)) as opened:
        assert len(opened.times) == 399 and opened.missing_count == 0
        np.testing.assert_array_equal(opened.read(50, 70), np.delete(maps, 59, axis=0)[50:70])
        assert any("left out" in note for note in opened.notes)


def test_months_of_a_360_day_calendar_are_months(tmp_path):
    path, _ = _write(tmp_path / "a.nc", np.arange(24) * 30.0 + 15, "days since 2001-01-01", "360_day")
    with open_source(source(path)) as opened:
        assert opened.step_seconds == MONTH and str(opened.times[23])[:10] == "2002-12-01" and not len(opened.lacking)


@pytest.mark.parametrize(
    ("values", "units", "first", "last", "step"),
    [
        ([0, 1, 2], "months since 2001-01-15", "2001-01-01", "2001-03-01", MONTH),
        ([0.5, 1.5, 2.5], "months since 2001-01-01", "2001-01-01", "2001-03-01", MONTH),
        ([0, 1, 2], "years since 2001-01-01", "2001-01-01", "2003-01-01", 12 * MONTH),
        ([0, 1, 2], "weeks since 2001-01-01", "2001-01-01", "2001-01-15", 7 * 86400),
        ([20010227, 20010228, 20010301], "day as %Y%m%d.%f", "2001-02-27", "2001-03-01", 86400),
        ([200101, 200102, 200103], "", "2001-01-01", "2001-03-01", MONTH),
        ([2001, 2002, 2003], "year", "2001-01-01", "2003-01-01", 12 * MONTH),
    ],
)
def test_months_years_and_numbers_that_are_dates_are_read_and_told(tmp_path, values, units, first, last, step):
    path, _ = _write(tmp_path / "a.nc", values, units, "standard")
    with open_source(source(path)) as opened:
        assert (str(opened.times[0])[:10], str(opened.times[-1])[:10]) == (first, last)
        assert opened.step_seconds == step
        crs_note = 1
        assert (len(opened.notes) > crs_note) == (not units.startswith("weeks"))


def test_single_precision_stamps_are_set_on_the_step_and_told(tmp_path):
    exact = np.arange(300) * 300 / 86400 + 15000
    path, _ = _write(tmp_path / "a.nc", exact, "days since 1970-01-01", "standard", "f4")
    with open_source(source(path)) as opened:
        begin = np.datetime64("1970-01-01", "s") + np.timedelta64(15000 * 86400, "s")
        np.testing.assert_array_equal(opened.times, begin + np.arange(300) * np.timedelta64(300, "s"))
        assert opened.step_seconds == 300 and any("precision" in note for note in opened.notes)


def test_a_calendar_that_nobody_knows_and_missing_stamps_are_refused(tmp_path):
    path, _ = _write(tmp_path / "a.nc", [0.0, 1, 2], "days since 2001-01-01", "martian")
    with pytest.raises(DataError, match="martian"):
        open_source(source(path))
    path, _ = _write(tmp_path / "b.nc", [0.0, np.nan, 2], "days since 2001-01-01", "standard")
    with pytest.raises(DataError, match="1 stamps") as caught:
        open_source(source(path))
    assert "map 2" in str(caught.value)
    path, _ = _write(tmp_path / "c.nc", [0.0, 1, 2], "parsecs since 2001-01-01", "standard")
    with pytest.raises(DataError, match="cannot be read"):
        open_source(source(path))


def test_dates_before_the_reform_follow_the_mixed_calendar():
    decoded = decode_times(np.array([730120.0]), "days since 0001-01-01", "standard", "x")
    assert str(decoded.times[0])[:10] == cftime.num2date(730120, "days since 0001-01-01").isoformat()[:10]
    decoded = decode_times(np.array([730119.0]), "days since 0001-01-01", "proleptic_gregorian", "x")
    assert str(decoded.times[0])[:10] == "2000-01-01"


def test_the_calendar_none_is_taken_as_it_stands_and_told(tmp_path):
    path, _ = _write(tmp_path / "a.nc", [0.0, 1, 2], "days since 2001-01-01", "none")
    with open_source(source(path)) as opened:
        assert str(opened.times[2])[:10] == "2001-01-03" and any("none" in note for note in opened.notes)
