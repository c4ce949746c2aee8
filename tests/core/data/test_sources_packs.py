"""Real data: every map of every pack equals what netCDF4 or rasterio read directly."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import rasterio

from freshet.core.data.sources import open_source, source_overview

from .source_files import source

PACKS = Path(__file__).resolve().parents[3].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not PACKS.is_dir(), reason="the data packs are not beside the checkout (shared/data)")


def _found(pattern: str) -> list[Path]:
    return sorted(PACKS.glob(pattern)) if PACKS.is_dir() else []


def _dynamic() -> list[tuple[Path, str]]:
    """Files and variables that vary in time; of the simulations, two."""
    pairs = []
    for path in [*_found("*/*.nc"), *_found("*/raw/*.nc"), *_found("*/sims/*.nc")[:2]]:
        with netCDF4.Dataset(str(path)) as handle:
            pairs += [(path, name) for name, variable in handle.variables.items()
                      if len(variable.dimensions) == 3 and variable.dimensions[0] == "time"]  # fmt: skip
    return pairs


def _as_read_directly(path: Path, name: str) -> tuple[np.ndarray, bool]:
    with netCDF4.Dataset(str(path)) as handle:
        values = np.ma.filled(handle[name][:].astype("f4"), np.nan)
        rows = handle.variables.get(handle[name].dimensions[1], handle.variables.get("lat"))
        rows = np.asarray(rows[:])
        return values, bool(rows.ravel()[0] < rows.ravel()[-1])


@pytest.mark.parametrize(("path", "name"), _dynamic(), ids=lambda value: getattr(value, "name", value))
def test_every_variable_in_netcdf_equals_what_netcdf4_reads(path, name):
    expected, south_up = _as_read_directly(path, name)
    with open_source(source(path, layer=name)) as opened:
        values = opened.read(0, len(opened.times))
        assert not opened.warnings and opened.missing_count == 0 and not len(opened.doubled)
    np.testing.assert_array_equal(values, expected[:, ::-1] if south_up else expected)


@pytest.mark.parametrize("path", _found("*/static/*.tif") or [None], ids=lambda path: getattr(path, "name", "none"))
def test_every_static_raster_equals_what_rasterio_reads(path):
    with rasterio.open(path) as handle:
        expected = np.ma.filled(handle.read(1, masked=True).astype("f4"), np.nan)
        bounds = tuple(handle.bounds)
    with open_source(source(path, role="static")) as opened:
        np.testing.assert_array_equal(opened.read(0, 1)[0], expected)
        assert opened.grid.extent == pytest.approx(bounds)


@pytest.mark.parametrize("name", ["precipitation", "pet", "temperature", "inwater"])
def test_folders_of_the_rhine_equal_what_rasterio_reads(name):
    folder = PACKS / "wflow_rhine" / name
    with open_source(source(folder)) as opened:
        assert list(opened.verify())[-1] == 365 and opened.step_seconds == 86400
        assert str(opened.times[0])[:10] == "1995-02-01" and opened.missing_count == 0
        values = opened.read(0, 365)
    for index in range(0, 365, 13):
        with rasterio.open(folder / f"{name}_{np.datetime64('1995-02-01') + index}.tif") as handle:
            expected = np.ma.filled(handle.read(1, masked=True).astype("f4"), np.nan)
        np.testing.assert_array_equal(values[index], expected)


def test_the_untouched_vic_file_lies_on_the_regular_grid_in_steps_of_6_hours():
    path = PACKS / "vic_lievre" / "raw" / "VIC_streaminputs.nc"
    with open_source(source(path)) as opened:
        assert opened.grid.extent == pytest.approx((-75.5, 46.625, -74.25, 47.875), abs=1e-4)
        assert opened.step_seconds == 6 * 3600 and len(opened.times) == 16072 and opened.units == "mm"
        assert (str(opened.times[0]), str(opened.times[-1])) == ("2000-01-01T00:00:00", "2010-12-31T18:00:00")
        values = opened.read(0, 400)
    with netCDF4.Dataset(str(PACKS / "vic_lievre" / "vic_lievre_daily_2000_2010.nc")) as handle:
        daily = np.ma.filled(handle["streaminput"][:100], np.nan)
    np.testing.assert_allclose(values.reshape(100, 4, 10, 10).sum(axis=1), daily, rtol=1e-5, atol=5.1e-5)


def test_the_radar_keeps_its_own_projection_and_its_five_minutes():
    path = PACKS / "radar_knmi" / "knmi_rain_rate_5min_20100826.nc"
    with open_source(source(path)) as opened, netCDF4.Dataset(str(path)) as handle:
        assert opened.step_seconds == 300
        assert rasterio.crs.CRS.from_user_input(opened.grid.crs) == rasterio.crs.CRS.from_wkt(handle["crs"].crs_wkt)
        west, cell, _, north, _, _ = map(float, handle["crs"].GeoTransform.split())
        assert opened.grid.west == pytest.approx(west) and opened.grid.north == pytest.approx(north)
        assert opened.grid.cell_x == pytest.approx(cell)


def test_the_monthly_sums_are_calendar_months():
    overview = source_overview(str(PACKS / "precip_fraser" / "precip_fraser_monthly_1986_2017.nc"))
    assert overview["step"] == "1 month" and overview["steps"] == 383 and overview["missing_count"] == 0


def test_simulations_of_a_folder_share_their_dates_and_are_not_one_series():
    folder = PACKS / "flood_delft3d" / "sims"
    from freshet.core.contracts.errors import DataError

    with pytest.raises(DataError, match="occurs twice"):
        open_source(source(folder, layer="water_depth"))
