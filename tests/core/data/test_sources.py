"""Sources: dates, order of dimensions, missing values and names, whatever the file looks like."""

from __future__ import annotations

import netCDF4
import numpy as np
import pytest
import rasterio

from freshet.core.contracts.errors import DataError
from freshet.core.data.sources import open_source, parse_source, source_overview, window_of

from .source_files import (
    CELL,
    COLUMNS,
    DAY,
    NORTH,
    ROWS,
    START,
    WEST,
    random_maps,
    source,
    write_folder,
    write_netcdf,
    write_tif,
)


def _read(config):
    with open_source(config) as opened:
        list(opened.verify())
        return opened.times, opened.read(0, max(1, len(opened.times))), opened


def test_a_folder_gives_maps_in_the_order_of_their_dates(tmp_path):
    maps = random_maps()
    maps[1, 2, 3] = np.nan
    times, values, opened = _read(source(write_folder(tmp_path / "rain", maps)))
    np.testing.assert_array_equal(values, maps)
    np.testing.assert_array_equal(times, START + np.arange(5) * DAY)
    assert opened.step_seconds == 86400 and opened.grid.extent == (
        WEST,
        NORTH - ROWS * CELL,
        WEST + COLUMNS * CELL,
        NORTH,
    )


def test_sub_folders_a_date_pattern_and_a_date_spread_over_the_path_work(tmp_path):
    maps = random_maps(2)
    write_tif(tmp_path / "a" / "2001" / "x_27_02_2001.tif", maps[0])
    write_tif(tmp_path / "a" / "2001" / "x_28_02_2001.tif", maps[1])
    times, values, _ = _read(source(tmp_path / "a", date_pattern="%d_%m_%Y"))
    np.testing.assert_array_equal(times, [START, START + DAY])
    np.testing.assert_array_equal(values, maps)
    write_tif(tmp_path / "b" / "2001" / "02" / "27.tif", maps[0])
    write_tif(tmp_path / "b" / "2001" / "02" / "28.tif", maps[1])
    for pattern in ("", "%Y/%m/%d"):
        np.testing.assert_array_equal(_read(source(tmp_path / "b", date_pattern=pattern))[0], [START, START + DAY])


def test_maps_follow_their_dates_not_their_names(tmp_path):
    maps = random_maps(3)
    for name, single in zip(("c_2001-02-27", "b_2001-02-28", "a_2001-03-01"), maps):
        write_tif(tmp_path / "f" / f"{name}.tif", single)
    np.testing.assert_array_equal(_read(source(tmp_path / "f"))[1], maps)


def test_steps_of_a_netcdf_file_are_put_in_order(tmp_path):
    maps = random_maps(4)
    path = write_netcdf(tmp_path / "a.nc", {"rain": maps}, times=[72.0, 0.0, 24.0, 48.0])
    times, values, _ = _read(source(path))
    np.testing.assert_array_equal(values, maps[[1, 2, 3, 0]])
    np.testing.assert_array_equal(times, START + np.arange(4) * DAY)


def test_undated_files_among_dated_ones_are_left_out_and_named(tmp_path):
    folder = write_folder(tmp_path / "rain", random_maps(3))
    write_tif(folder / "dem.tif", random_maps(1)[0])
    with open_source(source(folder)) as opened:
        assert len(opened.times) == 3 and "dem.tif" in opened.notes[0]


def test_files_without_dates_are_counted_from_the_first_date_in_natural_order(tmp_path):
    maps = random_maps(11)
    for index, single in enumerate(maps):
        write_tif(tmp_path / "r" / f"map{index}.tif", single)
    times, values, opened = _read(source(tmp_path / "r", start="2001-02-27", step_hours=6))
    np.testing.assert_array_equal(values, maps)
    assert times[10] == np.datetime64("2001-03-01T12:00") and opened.notes


@pytest.mark.parametrize("how", ["description", "tag", "counted"])
def test_a_multi_band_raster_is_dated_by_descriptions_tags_or_the_job(tmp_path, how):
    maps = random_maps(3)
    dates = [str(START + i * DAY)[:10] for i in range(3)]
    path = write_tif(
        tmp_path / "stack.tif", maps, descriptions=[f"rain {d}" for d in dates] if how == "description" else ()
    )
    if how == "tag":
        with rasterio.open(path, "r+") as handle:
            for band, date in enumerate(dates, 1):
                handle.update_tags(band, TIME=date)
    options = {"start": "2001-02-27", "step_hours": 24} if how == "counted" else {}
    times, values, _ = _read(source(path, **options))
    np.testing.assert_array_equal(times, START + np.arange(3) * DAY)
    np.testing.assert_array_equal(values, maps)


@pytest.mark.parametrize("order", [("time", "y", "x"), ("x", "y", "time"), ("time", "x", "y"), ("y", "time", "x")])
@pytest.mark.parametrize("south_up", [False, True])
def test_netcdf_in_any_order_and_direction_comes_north_up(tmp_path, order, south_up):
    maps = random_maps()
    maps[0, 0, 0] = np.nan
    path = write_netcdf(tmp_path / "a.nc", {"rain": maps}, order=order, south_up=south_up)
    times, values, opened = _read(source(path))
    np.testing.assert_array_equal(values, maps)
    np.testing.assert_array_equal(times, START + np.arange(5) * DAY)
    assert opened.grid.north == NORTH and opened.units == "mm d-1"
    opened = open_source(source(path))
    part = window_of(opened.grid, (WEST + 2 * CELL, NORTH - 2 * CELL, WEST + 4 * CELL, NORTH), margin=0)
    np.testing.assert_array_equal(opened.read(1, 4, part), maps[1:4, :2, 2:4])
    opened.close()


def test_a_south_up_raster_is_turned_and_cropped_rightly(tmp_path):
    maps = random_maps(2)
    path = write_tif(tmp_path / "a.tif", maps, south_up=True, descriptions=["2001-02-27", "2001-02-28"])
    with open_source(source(path)) as opened:
        np.testing.assert_array_equal(opened.read(0, 2), maps)
        part = window_of(opened.grid, (WEST, NORTH - 2 * CELL, WEST + 2 * CELL, NORTH - CELL), margin=0)
        np.testing.assert_array_equal(opened.read(0, 2, part), maps[:, 1:2, :2])


def test_declared_and_told_missing_values_nan_and_huge_fills_are_missing(tmp_path):
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    values[0, :4] = [-1.2345, 1e20, np.inf, np.nan]
    path = write_tif(tmp_path / "a.tif", values, nodata=5.0)
    with open_source(source(path, role="static", nodata=-1.2345)) as opened:
        read = opened.read(0, 1)[0]
    assert np.isnan(read[0, :4]).all() and np.isnan(read[0, 5]) and np.isfinite(read).sum() == 19


def test_packed_netcdf_is_unpacked(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", {"rain": random_maps(2)})
    with netCDF4.Dataset(str(path), "a") as handle:
        packed = handle.createVariable("packed", "i2", ("time", "y", "x"), fill_value=-32768)
        packed.setncatts({"scale_factor": 0.5, "add_offset": 10.0, "grid_mapping": "crs"})
        packed[:] = np.ma.masked_equal(np.full((2, ROWS, COLUMNS), 12.0), 0)
        packed[0, 0, 0] = np.ma.masked
    values = _read(source(path, layer="packed"))[1]
    assert np.isnan(values[0, 0, 0]) and np.nanmin(values) == np.nanmax(values) == 12.0


def test_longitudes_from_0_to_360_are_turned(tmp_path):
    maps = random_maps(2, 4, 6)
    path = tmp_path / "a.nc"
    with netCDF4.Dataset(str(path), "w") as handle:
        for name, values in (
            ("time", [0, 1]),
            ("lat", [50.0, 49.0, 48.0, 47.0]),
            ("lon", [357.0, 358.0, 359.0, 0.0, 1.0, 2.0]),
        ):
            handle.createDimension(name, len(values))
            handle.createVariable(name, "f8", (name,))[:] = values
        handle["time"].units = "days since 2001-02-27"
        handle["lat"].units, handle["lon"].units = "degrees_north", "degrees_east"
        handle.createVariable("rain", "f4", ("time", "lat", "lon"))[:] = maps
    times, values, opened = _read(source(path))
    assert opened.grid.extent == (-3.5, 46.5, 2.5, 50.5) and "EPSG:4326" in opened.notes[0]
    np.testing.assert_array_equal(values, maps)


def test_time_bounds_give_the_start_of_a_step(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", {"rain": random_maps(3)}, times=[12.0, 36.0, 60.0])
    with netCDF4.Dataset(str(path), "a") as handle:
        handle.createDimension("two", 2)
        handle["time"].bounds = "time_bnds"
        handle.createVariable("time_bnds", "f8", ("time", "two"))[:] = [[0, 24], [24, 48], [48, 72]]
    times, _, opened = _read(source(path))
    np.testing.assert_array_equal(times, START + np.arange(3) * DAY)
    assert "bounds" in opened.notes[0]


def test_names_with_spaces_quotes_accents_percent_and_hash_open(tmp_path):
    maps = random_maps(2)
    odd = "été 100% #1 'a' \"b\""
    folder = write_folder(tmp_path / odd, maps)
    np.testing.assert_array_equal(_read(source(folder))[1], maps)
    path = write_netcdf(tmp_path / (odd + ".nc"), {"rain": maps, "snow": maps + 1})
    np.testing.assert_array_equal(_read(source(path, layer="snow"))[1], maps + 1)
    np.testing.assert_array_equal(_read(source(f'NETCDF:"{path}":snow'))[1], maps + 1)


@pytest.mark.parametrize(
    ("text", "path", "layer"),
    [
        ("/a/b c.nc", "/a/b c.nc", ""),
        ('NETCDF:"/a/b:c.nc":pre', "/a/b:c.nc", "pre"),
        ("netcdf:/a/b.nc:pre", "/a/b.nc", "pre"),
        ('NETCDF:"C:/a/b.nc":pre', "C:/a/b.nc", "pre"),
        ("/a/b.gpkg|layername=dem", "/a/b.gpkg", ""),
        ('NETCDF:"/a/b.nc":pre|option:X=1', "/a/b.nc", "pre"),
        ('ZARR:"/a/b.zarr":/daily/rain', "/a/b.zarr", "daily/rain"),
        ('HDF5:"/a/b.h5"://Grid/rain', "/a/b.h5", "Grid/rain"),
        ("file:///a/b%20c%231.tif", "/a/b c#1.tif", ""),
    ],
)
def test_names_that_qgis_gives_are_taken_apart(text, path, layer):
    place = parse_source(text)
    assert (place.path, place.layer) == (path, layer)


def test_an_overview_lists_variables_or_tells_dates_and_grid(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", {"rain": random_maps(3), "snow": random_maps(3)})
    assert source_overview(str(path))["variables"] == ["rain", "snow"]
    overview = source_overview(str(path), "rain")
    assert (overview["start"], overview["end"], overview["steps"]) == ("2001-02-27", "2001-03-01", 3)
    assert (overview["columns"], overview["rows"], overview["units"]) == (COLUMNS, ROWS, "mm d-1")


def test_a_static_band_is_chosen_by_number_or_description(tmp_path):
    maps = random_maps(2)
    path = write_tif(tmp_path / "a.tif", maps, descriptions=["clay", "sand"])
    for layer in ("2", "sand"):
        np.testing.assert_array_equal(_read(source(path, role="static", layer=layer))[1][0], maps[1])
    with pytest.raises(DataError, match="has 2 bands"):
        open_source(source(path, role="static"))
