"""What is only found while values are read: maps that cannot be, fills that nobody declared; and who may not look."""

from __future__ import annotations

import netCDF4
import numpy as np
import pytest

from freshet.core.contracts.errors import DataError
from freshet.core.data.sources import UnreadableError, open_source

from .source_files import random_maps, source, write_folder, write_netcdf, write_tif


@pytest.fixture
def damaged(tmp_path):
    """A NetCDF file of which the fourth of eight maps is damaged, and the maps."""
    path, maps = tmp_path / "rain.nc", random_maps(8, 40, 50)
    write_netcdf(path, {"rain": maps[:1]})
    with netCDF4.Dataset(str(path), "w") as handle:
        for name, values in (("time", np.arange(8)), ("y", 3e6 - 1000.0 * np.arange(40)),
                             ("x", 4e6 + 1000.0 * np.arange(50))):  # fmt: skip
            handle.createDimension(name, len(values))
            handle.createVariable(name, "f8", (name,))[:] = values
        handle["time"].units = "days since 2001-02-27"
        shape = {"chunksizes": (1, 40, 50), "fletcher32": True}
        handle.createVariable("rain", "f4", ("time", "y", "x"), **shape)[:] = maps
    content = bytearray(path.read_bytes())
    at = content.find(maps[3].tobytes())
    content[at + 100] ^= 255
    path.write_bytes(content)
    return path, maps


def test_a_damaged_map_of_a_netcdf_file_is_refused(damaged):
    with open_source(source(damaged[0], crs="EPSG:3035")) as opened:
        np.testing.assert_array_equal(opened.read(0, 3), damaged[1][:3])
        with pytest.raises(UnreadableError, match="'rain': the NetCDF file cannot be read.*rain.nc"):
            opened.read(0, 8)


def test_a_damaged_map_of_a_netcdf_file_may_be_a_gap_and_those_beside_it_are_none(damaged):
    with open_source(source(damaged[0], crs="EPSG:3035", unreadable="gap")) as opened:
        for _ in range(2):
            found = opened.read(0, 8)
            assert np.isnan(found[3]).all()
            np.testing.assert_array_equal(np.delete(found, 3, axis=0), np.delete(damaged[1], 3, axis=0))
    told = [text for text in opened.warnings if "cannot be read" in text]
    assert len(told) == 1 and "'rain': rain.nc, step 4 of 2001-03-02 cannot be read" in told[0]


def test_fills_that_are_declared_are_no_guess(tmp_path):
    maps = random_maps(3)
    maps[1, 1, 1] = np.nan
    for nodata in (1e20, -3.4e38, -9999.0):
        folder = write_folder(tmp_path / f"f{nodata}", maps, nodata=nodata)
        with open_source(source(folder)) as opened:
            np.testing.assert_array_equal(opened.read(0, 3), maps)
        assert not opened.warnings
    huge = np.where(np.isnan(maps), np.float32(1e20), maps)
    folder = write_folder(tmp_path / "undeclared", huge, nodata=None)
    for nodata, told in ((None, 1), (1e20, 0)):
        with open_source(source(folder, nodata=nodata)) as opened:
            np.testing.assert_array_equal(opened.read(0, 3), maps)
            opened.read(1, 2)
        assert len(opened.warnings) == told


def test_the_fill_of_the_netcdf_library_is_no_guess(tmp_path):
    maps = random_maps(3)
    path = write_netcdf(tmp_path / "a.nc", {"rain": maps})
    for value, told in ((netCDF4.default_fillvals["f4"], 0), (1e30, 1)):
        with netCDF4.Dataset(str(path), "r+") as handle:
            handle["rain"].set_auto_mask(False)
            handle["rain"][1, 1, 1] = value
        with open_source(source(path)) as opened:
            assert np.isnan(opened.read(0, 3)[1, 1, 1])
        assert len(opened.warnings) == told
    assert (
        "values of 1e20 and above are taken as missing; they are not declared (a.nc holds some)" in opened.warnings[0]
    )


@pytest.mark.parametrize(
    ("west", "north", "words"),
    [
        (30.0, 120.0, "longitude and latitude seem to be exchanged"),
        (4_000_000.0, 3_000_000.0, "lie at no latitudes. Expected"),
        (5.0, 400.0, "lie at no latitudes. Expected"),
    ],
)
def test_a_geographic_raster_beyond_the_poles_is_refused(tmp_path, west, north, words):
    path = write_tif(tmp_path / "a.tif", random_maps(1)[0], crs="EPSG:4326", west=west, north=north, cell=0.5)
    with pytest.raises(DataError) as caught:
        open_source(source(path, role="static"))
    assert words in str(caught.value) and "a.tif" in str(caught.value) and "Assign Projection" in caught.value.remedy


def test_a_global_raster_of_points_may_reach_half_a_cell_beyond_the_poles(tmp_path):
    path = write_tif(tmp_path / "a.tif", np.ones((73, 144), "f4"), crs="EPSG:4326", west=-181.25, north=91.25, cell=2.5)
    with open_source(source(path, role="static")) as opened:
        assert opened.grid.rows == 73
