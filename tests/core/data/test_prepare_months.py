"""Clocks of months and years through the whole of prepare, and what calendars lack."""

from __future__ import annotations

import netCDF4
import numpy as np
import pytest
import xarray

from freshet.core.contracts.steps import MONTH, hours_of
from freshet.core.data.store import Dataset

from .source_files import (
    COLUMNS,
    DAY,
    ROWS,
    job,
    random_maps,
    run,
    source,
    texts,
    write_folder,
    write_netcdf,
    write_tif,
)
from .test_prepare_packs import PACKS, needs

FRASER = PACKS / "precip_fraser"


def _monthly_tifs(folder, maps, start="2000-01"):
    for index, single in enumerate(maps):
        write_tif(folder / f"rain_{np.datetime64(start, 'M') + index}.tif", single)
    return folder


def test_daily_rates_become_monthly_means_as_in_xarray(tmp_path):
    maps, start = random_maps(400), np.datetime64("2000-01-01", "s")
    folder = write_folder(tmp_path / "d", maps, start=start)
    dataset, events = run(job(tmp_path, source(folder), step_hours=hours_of(1)))
    times = start + np.arange(400) * DAY
    expected = xarray.DataArray(maps, dims=("time", "y", "x"), coords={"time": times}).resample(time="MS").mean()
    with dataset:
        assert dataset.step_seconds == MONTH and len(dataset.times) == 13
        np.testing.assert_array_equal(dataset.times, expected.time.values[:13].astype("datetime64[s]"))
        np.testing.assert_allclose(dataset.dynamic("rain"), expected.values[:13], rtol=1e-6)
        assert dataset.summary["gaps"] == []
    assert "up to 31 steps of 1 day make one of 1 month (mean)" in texts(events)


def test_monthly_amounts_become_rates_by_the_length_of_each_month(tmp_path):
    maps = random_maps(15) * 10
    dataset, events = run(job(tmp_path, source(_monthly_tifs(tmp_path / "m", maps), units="mm")))
    days = np.diff((np.datetime64("2000-01", "M") + np.arange(16)).astype("datetime64[D]")).astype(float)
    with dataset:
        np.testing.assert_allclose(dataset.dynamic("rain"), maps / days[:, None, None], rtol=1e-6)
    assert "converted from mm to mm/d with the length of each month" in texts(events)
    dataset, _ = run(job(tmp_path, source(tmp_path / "m", units="mm", aggregation="sum"), step_hours=hours_of(12)))
    with dataset:
        np.testing.assert_allclose(dataset.dynamic("rain")[0], maps[:12].sum(axis=0) / 366, rtol=1e-6)


def test_daily_amounts_summed_over_a_month_keep_their_volume(tmp_path):
    maps = random_maps(91)
    folder = write_folder(tmp_path / "d", maps, start=np.datetime64("2001-01-01", "s"))
    dataset, events = run(job(tmp_path, source(folder, units="mm", aggregation="sum"), step_hours=hours_of(1)))
    with dataset:
        volume = dataset.dynamic("rain") * np.array([31, 28, 31])[:, None, None]
        np.testing.assert_allclose(volume.sum(axis=0), maps[:90].sum(axis=0), rtol=1e-5)
    assert "amounts are summed over the step; kept as the rate in mm/d" in texts(events)


def test_days_and_months_come_onto_months(tmp_path):
    daily = source(write_folder(tmp_path / "d", random_maps(120), start=np.datetime64("2000-01-01", "s")))
    monthly = source(_monthly_tifs(tmp_path / "m", random_maps(6)), "state", quantity="snow", units="mm", role="target")
    dataset, _ = run(job(tmp_path, daily, monthly))
    with dataset:
        assert [str(time)[:10] for time in dataset.times] == ["2000-01-01", "2000-02-01", "2000-03-01"]
        np.testing.assert_array_equal(dataset.dynamic("state"), random_maps(6)[:3])


@pytest.mark.parametrize("calendar", ["noleap", "365_day"])
def test_a_day_that_the_calendar_lacks_is_filled_and_marked(tmp_path, calendar):
    maps = random_maps(6)
    path = write_netcdf(tmp_path / "a.nc", {"r": maps}, start="2000-02-27", calendar=calendar)
    other = random_maps(7, seed=4)
    near = write_folder(tmp_path / "d", other, start=np.datetime64("2000-02-27", "s"))
    dataset, events = run(job(tmp_path, source(path), source(near, "full")))
    with dataset:
        values = dataset.dynamic("rain")
        np.testing.assert_array_equal(np.delete(values, 2, axis=0), maps)
        np.testing.assert_allclose(values[2], (maps[1] + maps[2]) / 2, rtol=1e-6)
        flags = dataset.filled("rain")
        assert flags[2].all() and flags.sum() == ROWS * COLUMNS and dataset.filled("full") is None
        np.testing.assert_array_equal(dataset.dynamic("full"), other)
        info = dataset.variables["rain"]
        assert info.filled_share == pytest.approx(1 / 7) and info.fill == "linear"
    told = texts(events)
    assert "does not have 1 of 7 steps (2000-02-29); they are filled linearly in time and marked" in told
    assert "14.29% of the values are filled" in told


@needs(FRASER)
def test_the_monthly_sums_of_fraser_come_in_as_rates(tmp_path):
    path = FRASER / "precip_fraser_monthly_1986_2017.nc"
    with netCDF4.Dataset(path) as handle:
        name = next(n for n, v in handle.variables.items() if v.ndim == 3)
        units = handle[name].units
        raw = np.ma.filled(handle[name][:].astype(np.float32), np.nan)
    dataset, events = run(job(tmp_path, source(path, layer=name, units="")))
    with dataset:
        assert dataset.step_seconds == MONTH and len(dataset.times) == len(raw)
        days = np.diff((dataset.times[0].astype("datetime64[M]") + np.arange(len(raw) + 1)).astype("datetime64[D]"))
        scale = 1.0 if "d" in units.replace("mm", "") else days.astype(float)[:, None, None]
        np.testing.assert_allclose(dataset.dynamic("rain"), raw / scale, rtol=1e-5)


@needs(FRASER)
def test_the_days_of_fraser_become_months_as_in_xarray(tmp_path):
    path = FRASER / "precip_fraser_daily_1986_2018.nc"
    with xarray.open_dataset(path) as opened:
        name = next(n for n, v in opened.data_vars.items() if v.ndim == 3)
        expected = opened[name].astype("f8").resample(time="MS").mean().load()
    dataset, _ = run(job(tmp_path, source(path, layer=name), step_hours=hours_of(1)))
    assert isinstance(dataset, Dataset)
    with dataset:
        expected = expected.sel(time=dataset.times.astype("datetime64[ns]"))
        np.testing.assert_allclose(dataset.dynamic("rain"), expected.values, rtol=1e-5, atol=1e-6)
