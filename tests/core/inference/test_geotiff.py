"""Series of maps as GeoTIFF: known values in, known values out; whole or absent."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

from freshet.core.contracts import DataError, Grid, RunError
from freshet.core.inference import geotiff
from freshet.core.inference.geotiff import SeriesWriter, read_series, same_grid, write_map, write_series

rasterio = pytest.importorskip("rasterio")

GRID = Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 4000.0, 5000.0, 7, 5)
DATES = np.array(["2000-01-01", "2000-01-02", "2000-01-04"], dtype="datetime64[s]")


def maps():
    values = np.arange(105, dtype=np.float32).reshape(3, 5, 7) / 7
    values[:, 0, 0] = np.nan
    return values


def written(path, **changes):
    write_series(
        path, changes.pop("maps", maps()), GRID, changes.pop("dates", DATES), units="mm/d", label="Runoff", **changes
    )
    return path


def test_values_dates_grid_and_unit_come_back(tmp_path):
    series = read_series(written(tmp_path / "a.tif"))
    np.testing.assert_array_equal(series.values, maps())
    np.testing.assert_array_equal(series.dates, DATES)
    assert (series.units, series.label) == ("mm/d", "Runoff")
    assert same_grid(series.grid, GRID)


def test_bands_carry_date_unit_and_nodata(tmp_path):
    with rasterio.open(written(tmp_path / "a.tif")) as source:
        assert source.descriptions == ("2000-01-01", "2000-01-02", "2000-01-04")
        assert source.tags(3)["TIME"] == "2000-01-04"
        assert source.units == ("mm/d",) * 3 and source.scales == (1.0,) * 3
        assert source.nodata == -9999 and source.read(1)[0, 0] == -9999
        assert source.profile["tiled"] and source.profile["interleave"] == "band"


def test_time_of_day_is_kept(tmp_path):
    dates = np.array(["2000-01-01T06:00", "2000-01-01T12:00", "2000-01-01T18:30"], dtype="datetime64[s]")
    np.testing.assert_array_equal(read_series(written(tmp_path / "a.tif", dates=dates)).dates, dates)


def test_a_true_value_equal_to_nodata_is_not_lost(tmp_path):
    values = maps()
    values[1, 2, 3] = -9999.0
    got = read_series(written(tmp_path / "a.tif", maps=values)).values
    assert got[1, 2, 3] == pytest.approx(-9999.0, abs=0.02)


def test_infinity_becomes_missing(tmp_path):
    values = maps()
    values[0, 1, 1] = np.inf
    assert np.isnan(read_series(written(tmp_path / "a.tif", maps=values)).values[0, 1, 1])


def test_blocks_and_single_maps_give_the_same_file(tmp_path):
    one, blocks = written(tmp_path / "a.tif"), tmp_path / "b.tif"
    written(blocks, maps=iter([maps()[:2], maps()[2:]]))
    np.testing.assert_array_equal(read_series(one).values, read_series(blocks).values)


def test_single_map_has_no_date(tmp_path):
    write_map(tmp_path / "m.tif", maps()[0], GRID, units="-", label="NSE")
    with rasterio.open(tmp_path / "m.tif") as source:
        assert source.count == 1 and "TIME" not in source.tags(1)
        np.testing.assert_array_equal(source.read(1, masked=True).filled(np.nan), maps()[0])


def test_gdal_of_the_system_reads_what_we_write(tmp_path):
    if shutil.which("gdalinfo") is None:
        pytest.skip("no gdalinfo on this machine")
    path = written(tmp_path / "a.tif")
    told = subprocess.run(["gdalinfo", "-stats", str(path)], capture_output=True, text=True, check=True).stdout
    assert "Description = 2000-01-04" in told and f"Maximum={maps()[0, 4, 6]:.3f}" in told


@pytest.mark.parametrize("fault", ["too few", "raises"])
def test_an_interrupted_series_leaves_nothing(tmp_path, fault):
    with pytest.raises(ValueError):
        with SeriesWriter(tmp_path / "a.tif", GRID, DATES, units="-", label="x") as writer:
            writer.write(maps()[:1])
            if fault == "raises":
                raise ValueError("stop")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_series_leaves_the_old_file_alone(tmp_path):
    path = written(tmp_path / "a.tif")
    before = path.read_bytes()
    with pytest.raises(ValueError), SeriesWriter(path, GRID, DATES, units="-", label="x"):
        raise ValueError("stop")
    assert path.read_bytes() == before


def test_too_many_maps_are_refused(tmp_path):
    with pytest.raises(ValueError, match="more than 3"):
        written(tmp_path / "a.tif", maps=np.concatenate([maps(), maps()]))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disc_is_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(geotiff, "_free_bytes", lambda path: 1000)
    with pytest.raises(RunError, match="not enough free space"):
        written(tmp_path / "a.tif")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(RunError, match="could not be written"):
        written(tmp_path / "file" / "a.tif")


def test_an_unknown_crs_is_said_and_leaves_nothing(tmp_path):
    grid = Grid("EPSG:999999", 5.0, 5.0, 2.0, 2.0, 7, 5)
    with pytest.raises(RunError, match="could not be written"):
        write_series(tmp_path / "a.tif", maps(), grid, DATES, units="-", label="x")
    assert list(tmp_path.iterdir()) == []


def test_more_bands_than_geotiff_holds_are_refused(tmp_path):
    dates = np.datetime64("1900-01-01", "s") + np.arange(70000) * np.timedelta64(3600, "s")
    with pytest.raises(RunError, match="too many dates"):
        SeriesWriter(tmp_path / "a.tif", GRID, dates, units="-", label="x")


def test_reading_what_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_series(tmp_path / "none.tif")


def test_reading_what_is_no_raster_is_said(tmp_path):
    (tmp_path / "a.tif").write_text("no raster")
    with pytest.raises(DataError, match="cannot be read"):
        read_series(tmp_path / "a.tif")


def raster(path, **changes):
    profile = {
        "driver": "GTiff", "width": 3, "height": 2, "count": 1, "dtype": "float32", "crs": "EPSG:3035",
        "transform": rasterio.Affine(1, 0, 5, 0, -1, 5), **changes,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as target:
        target.write(np.zeros((1, 2, 3), dtype=np.float32))
        target.set_band_description(1, "2000-01-01")
    return path


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"crs": None}, "no coordinate reference system"),
        ({"transform": rasterio.Affine(1, 0, 5, 0, 1, 5)}, "not north-up"),
    ],
)
def test_rasters_that_do_not_lie_on_a_grid_are_refused(tmp_path, changes, sentence):
    with pytest.raises(DataError, match=sentence):
        read_series(raster(tmp_path / "a.tif", **changes))


def test_undated_bands_are_refused(tmp_path):
    path = raster(tmp_path / "a.tif")
    with rasterio.open(path, "r+") as target:
        target.set_band_description(1, "soil moisture")
    with pytest.raises(DataError, match="without a date"):
        read_series(path)


def test_grids_differ_by_place_shape_or_crs():
    moved = Grid(GRID.crs, GRID.west + 4000, GRID.north, 4000.0, 5000.0, 7, 5)
    other = Grid("EPSG:32632", GRID.west, GRID.north, 4000.0, 5000.0, 7, 5)
    assert not same_grid(GRID, moved) and not same_grid(GRID, other)
    assert not same_grid(GRID, Grid(GRID.crs, GRID.west, GRID.north, 4000.0, 5000.0, 7, 6))
    assert same_grid(GRID, Grid(rasterio.CRS.from_epsg(3035).to_wkt(), GRID.west, GRID.north, 4000.0, 5000.0, 7, 5))
