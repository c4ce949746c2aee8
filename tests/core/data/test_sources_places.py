"""Where the cells of NetCDF files lie: world maps, two-dimensional coordinates, rotated poles, CRS of all sorts."""

from __future__ import annotations

import netCDF4
import numpy as np
import pytest
import rasterio
import xarray

from freshet.core.contracts.errors import DataError
from freshet.core.data.sources import open_source, window_of

from .source_files import (
    CELL,
    COLUMNS,
    NORTH,
    ROWS,
    WEST,
    create_netcdf,
    degrees,
    random_maps,
    source,
    time_axis,
    write_netcdf,
)


def _read(config):
    with open_source(config) as opened:
        return opened.times, opened.read(0, len(opened.times)), opened


def test_longitudes_from_0_to_360_and_rows_from_the_south_agree_with_xarray(tmp_path):
    lon, lat = np.arange(0, 360, 30.0), np.arange(-75, 90, 30.0)
    maps = random_maps(2, len(lat), len(lon))
    variables = {**degrees(lat, lon), **time_axis([0, 1]), "tp": (("time", "latitude", "longitude"), maps, {})}
    path = create_netcdf(tmp_path / "a.nc", variables)
    times, values, opened = _read(source(path))
    with xarray.open_dataset(path) as dataset:
        turned = dataset.assign_coords(longitude=(dataset.longitude + 180) % 360 - 180)
        expected = turned.sortby("longitude").sortby("latitude", ascending=False).tp.values
    np.testing.assert_array_equal(values, expected)
    assert opened.grid.extent == (-195, -90, 165, 90)


def test_a_region_across_180_degrees_stays_whole(tmp_path):
    lon = np.arange(170, 191, 2.0)
    maps = random_maps(2, 3, len(lon))
    variables = {**degrees([2, 0, -2], lon), **time_axis([0, 1]), "tp": (("time", "latitude", "longitude"), maps, {})}
    path = create_netcdf(tmp_path / "a.nc", variables)
    times, values, opened = _read(source(path))
    np.testing.assert_array_equal(values, maps)
    assert (opened.grid.west, opened.grid.columns) == (169, 11)


@pytest.mark.parametrize("exchanged", [False, True])
@pytest.mark.parametrize("south_up", [False, True])
def test_two_dimensional_coordinates_that_are_regular_make_the_regular_grid(tmp_path, exchanged, south_up):
    maps = random_maps(2, 4, 5)
    lat, lon = np.meshgrid([50, 49.5, 49, 48.5], [5, 5.5, 6, 6.5, 7], indexing="ij")
    stored = maps
    if south_up:
        lat, stored = lat[::-1], maps[:, ::-1]
    dims = ("j", "i")
    if exchanged:
        lat, lon, stored, dims = lat.T, lon.T, stored.transpose(0, 2, 1), ("i", "j")
    variables = {**time_axis([0, 1]), "lat": (dims, lat.astype("f4"), {"units": "degrees_north"}),
                 "lon": (dims, lon.astype("f4"), {"units": "degrees_east"}),
                 "q": (("time", *dims), stored, {})}  # fmt: skip
    path = create_netcdf(tmp_path / "a.nc", variables)
    times, values, opened = _read(source(path))
    np.testing.assert_array_equal(values, maps)
    assert opened.grid.extent == (4.75, 48.25, 7.25, 50.25) and "two-dimensional" in opened.notes[0]
    part = window_of(opened.grid, (5.3, 48.8, 6.2, 49.7), margin=0)
    with open_source(source(path)) as again:
        np.testing.assert_array_equal(again.read(1, 2, part), maps[1:2, 1:3, 1:3])


def _rotated(tmp_path, with_two_d):
    rlat, rlon = np.arange(-2, 3) * 0.5, np.arange(-3, 4) * 0.5
    values = random_maps(2, len(rlat), len(rlon))
    mapping = {"grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": 39.25,
               "grid_north_pole_longitude": -162.0}  # fmt: skip
    variables = {
        **time_axis([0, 1]),
        "rlat": (("rlat",), rlat, {"standard_name": "grid_latitude", "units": "degrees"}),
        "rlon": (("rlon",), rlon, {"standard_name": "grid_longitude", "units": "degrees"}),
        "rotated_pole": ((), np.int32(0), mapping),
        "pr": (("time", "rlat", "rlon"), values, {"grid_mapping": "rotated_pole"}),
    }
    from rasterio.crs import CRS
    from rasterio.warp import transform

    text = "+proj=ob_tran +o_proj=longlat +o_lat_p=39.25 +o_lon_p=0 +lon_0=18 +R=6371000 +no_defs"
    ys, xs = np.meshgrid(rlat, rlon, indexing="ij")
    lon, lat = transform(
        CRS.from_string(text), CRS.from_string("+proj=longlat +R=6371000 +no_defs"), xs.ravel(), ys.ravel()
    )
    lat, lon = np.reshape(lat, xs.shape), np.reshape(lon, xs.shape)
    if with_two_d:
        variables["lat"] = (("rlat", "rlon"), lat, {"units": "degrees_north"})
        variables["lon"] = (("rlat", "rlon"), lon, {"units": "degrees_east"})
        variables["pr"][2]["coordinates"] = "lon lat"
    return create_netcdf(tmp_path / "a.nc", variables), values, lat, lon


@pytest.mark.parametrize("with_two_d", [True, False])
def test_a_rotated_pole_takes_the_nearest_cell_on_a_regular_grid_and_tells_so(tmp_path, with_two_d):
    path, maps, lat, lon = _rotated(tmp_path, with_two_d)
    times, values, opened = _read(source(path))
    assert "no regular grid" in opened.notes[0] and "nearest" in opened.notes[0]
    xs, ys = (np.array(axis) for axis in opened.grid.centres())
    assert 0.4 < opened.grid.cell_y < 0.6
    checked = 0
    for row, y in enumerate(ys):
        for column, x in enumerate(xs):
            central = 2 * np.arcsin(np.sqrt(
                np.sin(np.radians(lat - y) / 2) ** 2
                + np.cos(np.radians(lat)) * np.cos(np.radians(y)) * np.sin(np.radians(lon - x) / 2) ** 2
            ))  # fmt: skip
            if np.isnan(values[0, row, column]):
                assert np.degrees(central.min()) > 0.5
            else:
                np.testing.assert_array_equal(values[:, row, column], maps.reshape(2, -1)[:, central.argmin()])
                checked += 1
    assert checked > 20
    with open_source(source(path)) as again:
        part = window_of(again.grid, (17.8, 50.3, 18.9, 51.2), margin=0)
        inner = values[:, part.row : part.row + part.rows, part.column : part.column + part.columns]
        np.testing.assert_array_equal(again.read(0, 2, part), inner)
        assert np.isfinite(inner).any()


def test_a_gaussian_grid_of_unequal_rows_takes_the_nearest_row(tmp_path):
    lat = np.array([60.0, 55.0, 49.0, 42.0])
    maps = random_maps(2, 4, 5)
    variables = {
        **degrees(lat, np.arange(5) * 5.0),
        **time_axis([0, 1]),
        "tp": (("time", "latitude", "longitude"), maps, {}),
    }
    path = create_netcdf(tmp_path / "a.nc", variables)
    times, values, opened = _read(source(path))
    assert any("no regular grid" in note for note in opened.notes)
    assert set(np.unique(values[np.isfinite(values)])) <= set(np.unique(maps))


def test_coordinates_with_a_hole_are_refused(tmp_path):
    variables = {**degrees([60, 59, 50], [5, 6]), **time_axis([0, 1])}
    variables["tp"] = (("time", "latitude", "longitude"), random_maps(2, 3, 2), {})
    with pytest.raises(DataError, match="'latitude' are not evenly spaced"):
        open_source(source(create_netcdf(tmp_path / "a.nc", variables)))


def test_exchanged_latitudes_and_longitudes_are_refused_in_words(tmp_path):
    variables = {**degrees([100, 110, 120], [10, 20, 30, 40]), **time_axis([0, 1]),
                 "tp": (("time", "latitude", "longitude"), random_maps(2, 3, 4), {})}  # fmt: skip
    path = create_netcdf(tmp_path / "a.nc", variables)
    with pytest.raises(DataError, match="seem to be exchanged"):
        open_source(source(path))


def test_names_and_units_that_contradict_are_told_and_the_units_trusted(tmp_path):
    maps = random_maps(2, 3, 4)
    variables = {**time_axis([0, 1]), "lat": (("lat",), np.array([5.0, 6, 7, 8]), {"units": "degrees_east"}),
                 "lon": (("lon",), np.array([50.0, 49, 48]), {"units": "degrees_north"}),
                 "tp": (("time", "lon", "lat"), maps, {})}  # fmt: skip
    path = create_netcdf(tmp_path / "a.nc", variables)
    times, values, opened = _read(source(path))
    np.testing.assert_array_equal(values, maps)
    assert len(opened.warnings) == 2 and "trusted" in opened.warnings[0]


@pytest.mark.parametrize("attribute", ["proj4", "crs_wkt", "spatial_ref", "proj4_params"])
def test_a_proj_string_without_a_code_is_a_crs(tmp_path, attribute):
    proj = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=0 +a=6378137 +b=6356752 +x_0=0 +y_0=0"
    text = rasterio.crs.CRS.from_string(proj).to_wkt() if attribute in ("crs_wkt", "spatial_ref") else proj
    path = write_netcdf(tmp_path / "a.nc", {"rain": random_maps(2)}, crs="")
    with netCDF4.Dataset(str(path), "a") as handle:
        handle.createVariable("crs", "i4", ()).setncattr(attribute, text)
    with open_source(source(path)) as opened:
        assert rasterio.crs.CRS.from_user_input(opened.grid.crs) == rasterio.crs.CRS.from_string(proj)


def test_a_crs_that_the_variable_does_not_refer_to_is_taken_and_told_and_none_is_refused(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", {"rain": random_maps(2)}, attributes={"grid_mapping": "missing"})
    with open_source(source(path)) as opened:
        assert any("refers to no CRS" in note for note in opened.notes)
    path = write_netcdf(tmp_path / "b.nc", {"rain": random_maps(2)}, crs="")
    with pytest.raises(DataError, match="no coordinate reference system"):
        open_source(source(path))
    assert open_source(source(path, crs="EPSG:3035")).grid.north == NORTH


def test_kilometres_become_metres(tmp_path):
    maps = random_maps(2)
    path = write_netcdf(tmp_path / "a.nc", {"rain": maps})
    with netCDF4.Dataset(str(path), "a") as handle:
        for axis in "xy":
            handle[axis][:] = handle[axis][:] / 1000
            handle[axis].units = "km"
    with open_source(source(path)) as opened:
        assert opened.grid.extent == pytest.approx((WEST, NORTH - ROWS * CELL, WEST + COLUMNS * CELL, NORTH))


def test_a_single_row_takes_its_size_from_its_bounds_or_the_columns(tmp_path):
    variables = {**degrees([50], [5, 6, 7, 8]), **time_axis([0, 1]),
                 "tp": (("time", "latitude", "longitude"), random_maps(2, 1, 4), {})}  # fmt: skip
    path = create_netcdf(tmp_path / "a.nc", variables)
    assert open_source(source(path)).grid.cell_y == 1
    variables = {
        **degrees([50], [5]),
        **time_axis([0, 1]),
        "tp": (("time", "latitude", "longitude"), random_maps(2, 1, 1), {}),
    }
    path = create_netcdf(tmp_path / "b.nc", variables)
    with pytest.raises(DataError, match="single cell"):
        open_source(source(path))


def test_a_wrf_like_file_with_text_dates_and_coordinates_that_repeat_in_time_opens(tmp_path):
    maps = random_maps(2, 3, 4)
    lat, lon = np.meshgrid([50.0, 49, 48], [5.0, 6, 7, 8], indexing="ij")
    texts = np.array([list("2001-02-27_06:00:00"), list("2001-02-27_12:00:00")], dtype="S1")
    dims = ("Time", "south_north", "west_east")
    variables = {
        "Times": (("Time", "DateStrLen"), texts, {}),
        "XLAT": (dims, np.repeat(lat[None], 2, 0), {"units": "degree_north"}),
        "XLONG": (dims, np.repeat(lon[None], 2, 0), {"units": "degree_east"}),
        "RAIN": (dims, maps, {"coordinates": "XLONG XLAT", "units": "mm"}),
    }
    times, values, opened = _read(source(create_netcdf(tmp_path / "wrfout", variables)))
    np.testing.assert_array_equal(values, maps)
    assert str(times[1]) == "2001-02-27T12:00:00" and opened.step_seconds == 6 * 3600


def test_coordinates_named_other_than_their_dimensions_open(tmp_path):
    maps = random_maps(2, 3, 4)
    variables = {**time_axis([0, 1]), "lat": (("nlat",), np.array([50.0, 49, 48]), {"units": "degrees_north"}),
                 "lon": (("nlon",), np.array([5.0, 6, 7, 8]), {"units": "degrees_east"}),
                 "q": (("time", "nlat", "nlon"), maps, {"coordinates": "lat lon"})}  # fmt: skip
    path = create_netcdf(tmp_path / "a.nc", variables)
    np.testing.assert_array_equal(_read(source(path))[1], maps)


def test_a_model_grid_without_crs_is_laid_on_degrees_and_asks_for_its_crs(tmp_path):
    from rasterio.crs import CRS
    from rasterio.warp import transform

    maps = random_maps(2)
    xs, ys = np.meshgrid(WEST + (np.arange(COLUMNS) + 0.5) * CELL, NORTH - (np.arange(ROWS) + 0.5) * CELL)
    lon, lat = transform(CRS.from_epsg(3035), CRS.from_epsg(4326), xs.ravel(), ys.ravel())
    variables = {
        **time_axis([0, 1]),
        "northing": (("northing",), ys[:, 0], {"units": "m"}),
        "easting": (("easting",), xs[0], {"units": "m"}),
        "lat": (("northing", "easting"), np.reshape(lat, xs.shape), {"units": "degrees_north"}),
        "lon": (("northing", "easting"), np.reshape(lon, xs.shape), {"units": "degrees_east"}),
        "SWC": (("time", "northing", "easting"), maps, {"coordinates": "lat lon"}),
    }
    path = create_netcdf(tmp_path / "a.nc", variables)
    times, values, opened = _read(source(path))
    assert opened.grid.crs == "EPSG:4326" and "assign it" in opened.notes[1]
    assert set(np.unique(values[np.isfinite(values)])) <= set(np.unique(maps))
    times, values, opened = _read(source(path, crs="EPSG:3035"))
    np.testing.assert_array_equal(values, maps)
    assert opened.grid.west == WEST
