"""Bad input to prepare: a sentence that names the fault and the remedy, and nothing half-written."""

from __future__ import annotations

import netCDF4
import numpy as np
import pytest

from freshet.core.contracts import GridConfig
from freshet.core.contracts.errors import DataError
from freshet.core.data.prepare import prepare
from freshet.core.data.sources import open_source

from .source_files import CELL, DAY, START, job, random_maps, source, write_folder, write_netcdf, write_tif


def _refused(prepared, match: str, finished: bool = False) -> str:
    """Run a job that has to fail: the sentence. No file is left; where some blocks were ``finished`` these are, and the
    sentence says so.
    """
    from pathlib import Path

    with pytest.raises(DataError, match=match) as caught:
        list(prepare(prepared))
    assert caught.value.remedy, "the error says what to do"
    folder = Path(prepared.output).parent
    left = [path.name for path in folder.iterdir()] if folder.exists() else []
    assert left == (["dataset.nc.parts"] if finished else [])
    assert ("a new run goes on from there" in caught.value.remedy) == finished
    return str(caught.value)


def _good(tmp_path):
    return source(write_folder(tmp_path / "good", random_maps(5)))


def test_a_source_that_is_not_there(tmp_path):
    for path in (tmp_path / "gone", tmp_path / "gone.nc", f'NETCDF:"{tmp_path}/gone.nc":r', tmp_path / "gone.tif"):
        assert "gone" in _refused(
            job(tmp_path, _good(tmp_path), source(path, "bad")), "'bad': there is no such file or folder"
        )


def test_an_empty_folder_and_one_without_rasters(tmp_path):
    (tmp_path / "empty").mkdir()
    _refused(job(tmp_path, source(tmp_path / "empty")), "holds no rasters.*an empty folder")
    (tmp_path / "empty" / "notes.txt").write_text("x")
    _refused(job(tmp_path, source(tmp_path / "empty")), "holds no rasters.*notes.txt")


def test_a_folder_without_dates(tmp_path):
    write_tif(tmp_path / "f" / "one.tif", random_maps(1)[0])
    write_tif(tmp_path / "f" / "two.tif", random_maps(1)[0])
    _refused(job(tmp_path, source(tmp_path / "f")), "no file name in the folder holds a date.*first date and the step")
    _refused(job(tmp_path, source(tmp_path / "f", date_pattern="%Y%m%d")), "no file name.*'%Y%m%d'")
    _refused(job(tmp_path, source(tmp_path / "f", date_pattern="%Q")), "date pattern is not usable")


def test_a_multi_band_raster_without_dates_and_with_some(tmp_path):
    path = write_tif(tmp_path / "s.tif", random_maps(3))
    _refused(job(tmp_path, source(path)), "the 3 bands of the raster have no dates")
    path = write_tif(tmp_path / "t.tif", random_maps(3), descriptions=["2001-02-27", "", "2001-03-01"])
    _refused(job(tmp_path, source(path)), "1 of the 3 bands have no date, the first is band 2")


def test_one_date_alone(tmp_path):
    _refused(job(tmp_path, source(write_folder(tmp_path / "f", random_maps(1)))), "has only one date, 2001-02-27")


def test_a_date_that_occurs_twice_names_both_files(tmp_path):
    folder = write_folder(tmp_path / "f", random_maps(3))
    write_tif(folder / "temp_2001-02-28.tif", random_maps(1)[0])
    text = _refused(job(tmp_path, source(folder)), "the date 2001-02-28 occurs twice")
    assert "rain_2001-02-28.tif" in text and "temp_2001-02-28.tif" in text


def test_dates_without_a_regular_step(tmp_path):
    folder = tmp_path / "f"
    for day in ("2001-01-01", "2001-01-08", "2001-01-15", "2001-01-19", "2001-01-30"):
        write_tif(folder / f"r_{day}.tif", random_maps(1)[0])
    _refused(job(tmp_path, source(folder)), "do not follow one regular step.*2001-01-15 followed by 2001-01-19")


def test_no_crs(tmp_path):
    _refused(
        job(tmp_path, source(write_folder(tmp_path / "f", random_maps(2), crs=None))),
        "no coordinate reference system.*Assign one",
    )
    _refused(
        job(tmp_path, source(write_netcdf(tmp_path / "a.nc", {"r": random_maps(2)}, crs=None))),
        "no coordinate reference system",
    )


def test_no_overlap_in_space(tmp_path):
    far = source(write_folder(tmp_path / "f", random_maps(5), west=4_500_000.0), "far")
    _refused(job(tmp_path, _good(tmp_path), far), "'far' does not overlap the grid in space")
    degrees = source(
        write_folder(tmp_path / "d", random_maps(5), crs="EPSG:4326", west=100.0, north=-20.0, cell=0.1), "far"
    )
    _refused(job(tmp_path, _good(tmp_path), degrees), "'far' does not overlap the grid in space")


def test_no_overlap_in_time(tmp_path):
    late = source(write_folder(tmp_path / "f", random_maps(5), start=START + 400 * DAY), "late")
    text = _refused(job(tmp_path, _good(tmp_path), late), "do not overlap in time")
    assert "'rain': 2001-02-27 to 2001-03-03" in text and "'late': 2002-04-03" in text
    _refused(job(tmp_path, _good(tmp_path), start="2010-01-01"), "do not overlap in time.*as asked for")


def test_all_missing(tmp_path):
    empty = np.full((5, 4, 6), np.nan, dtype=np.float32)
    for role in ("input", "target"):
        _refused(
            job(tmp_path, _good(tmp_path), source(write_folder(tmp_path / "f", empty), "bad", role=role)),
            "'bad' is missing everywhere",
            finished=True,
        )
    static = source(write_tif(tmp_path / "s.tif", empty[0]), "bad", role="static", quantity="elevation", units="m")
    _refused(job(tmp_path, _good(tmp_path), static), "'bad' is missing everywhere", finished=True)


def test_a_constant_variable(tmp_path):
    same = np.full((5, 4, 6), 3.0, dtype=np.float32)
    for role in ("input", "target"):
        bad = source(write_folder(tmp_path / "f", same), "bad", role=role)
        _refused(job(tmp_path, _good(tmp_path), bad), "'bad' has the same value, 3, everywhere", finished=True)


@pytest.mark.parametrize("kind", ["not a raster", "truncated"])
def test_a_broken_file_in_a_stack_is_named(tmp_path, kind):
    folder = write_folder(tmp_path / "f", random_maps(5, 200, 300))
    broken = folder / "rain_2001-03-01.tif"
    broken.write_bytes(b"no raster at all" if kind == "not a raster" else broken.read_bytes()[:60000])
    assert "rain_2001-03-01.tif" in _refused(job(tmp_path, source(folder)), "'rain': the raster cannot be read")


def test_a_broken_netcdf_file(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", {"r": random_maps(5)})
    path.write_bytes(path.read_bytes()[:2000])
    assert "a.nc" in _refused(job(tmp_path, source(path)), "the NetCDF file cannot be read")


def test_rasters_of_different_grids_in_one_folder(tmp_path):
    folder = write_folder(tmp_path / "f", random_maps(5))
    write_tif(folder / "rain_2001-03-01.tif", random_maps(1)[0], west=4_000_500.0)
    assert "rain_2001-03-01.tif" in _refused(job(tmp_path, source(folder)), "do not lie on one grid")


def test_a_rotated_raster(tmp_path):
    import rasterio
    from affine import Affine

    path = write_tif(tmp_path / "a.tif", random_maps(2), descriptions=["2001-02-27", "2001-02-28"])
    with rasterio.open(path, "r+") as handle:
        handle.transform = Affine(CELL, 100.0, 4e6, 100.0, -CELL, 3e6)
    _refused(job(tmp_path, source(path)), "rotated or mirrored")


def test_units_unknown_or_of_something_else(tmp_path):
    folder = write_folder(tmp_path / "f", random_maps(5))
    _refused(job(tmp_path, source(folder, units="furlongs")), "'rain': The unit 'furlongs' is not known")
    _refused(job(tmp_path, source(folder, units="K")), "'rain': The unit 'K' cannot be converted to 'mm/d'")


def test_values_that_are_mostly_implausible_hint_at_the_unit(tmp_path):
    folder = write_folder(tmp_path / "f", random_maps(5) + 1)
    text = _refused(
        job(tmp_path, source(folder, units="m/d")),
        r"'rain': \d+% of the values are not plausible for precipitation",
        finished=True,
    )
    assert "Check the unit" in text and "after conversion from m/d" in text


def test_netcdf_variables_that_are_missing_or_not_named_are_listed(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", {"pre": random_maps(5), "tavg": random_maps(5)})
    assert "pre, tavg" in _refused(job(tmp_path, source(path, layer="rain")), "the file has no variable 'rain'")
    assert "pre, tavg" in _refused(job(tmp_path, source(path)), "holds several variables")


def _plain_netcdf(path, dims: dict, variable: tuple, times=True):
    with netCDF4.Dataset(str(path), "w") as handle:
        for name, values in dims.items():
            handle.createDimension(name, len(values))
            if name in ("time", "lat", "lon", "level") and (times or name != "time"):
                handle.createVariable(name, "f8", (name,))[:] = values
        if times and "time" in dims:
            handle["time"].units = "days since 2001-02-27"
        handle.createVariable("r", "f4", variable)[:] = 1.0
    return path


def test_netcdf_without_dates_with_levels_or_on_a_crooked_grid(tmp_path):
    lat, lon = [50.0, 49.0, 48.0], [6.0, 7.0, 8.0]
    flat = _plain_netcdf(tmp_path / "a.nc", {"lat": lat, "lon": lon}, ("lat", "lon"))
    _refused(job(tmp_path, source(flat)), "the variable has no dates")
    levels = {"time": [0, 1], "level": [1, 2], "lat": lat, "lon": lon}
    _refused(
        job(tmp_path, source(_plain_netcdf(tmp_path / "b.nc", levels, tuple(levels)))),
        "further dimension.*level of length 2",
    )
    crooked = {"time": [0, 1], "south_north": lat, "west_east": lon}
    _refused(job(tmp_path, source(_plain_netcdf(tmp_path / "c.nc", crooked, tuple(crooked)))), "no regular grid")
    uneven = {"time": [0, 1], "lat": [50.0, 49.0, 40.0], "lon": lon}
    _refused(job(tmp_path, source(_plain_netcdf(tmp_path / "d.nc", uneven, tuple(uneven)))), "not evenly spaced")


def test_a_static_map_that_varies_in_time(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", {"r": random_maps(5)})
    _refused(
        job(tmp_path, _good(tmp_path), source(path, "s", role="static")),
        "'s' varies in time and cannot be a static map",
    )
    folder = write_folder(tmp_path / "f", random_maps(2))
    _refused(job(tmp_path, _good(tmp_path), source(folder, "s", role="static")), "a static map cannot be a folder")


def test_a_source_coarser_than_the_clock_or_not_fitting_it(tmp_path):
    six = write_netcdf(tmp_path / "a.nc", {"r": random_maps(20)}, step_hours=6)
    _refused(
        job(tmp_path, _good(tmp_path), source(six, "six"), step_hours=6),
        "'rain' has coarser steps.*Set the step of the dataset to 1 day",
    )
    _refused(job(tmp_path, source(six), step_hours=8), "do not fit into the dataset's clock")


def test_masks_that_cannot_be_used(tmp_path):
    good = _good(tmp_path)
    (tmp_path / "m.gpkg").write_bytes(b"")
    _refused(
        job(tmp_path, good, mask=str(tmp_path / "m.gpkg") + "|layername=basin"), "cannot be read as a vector layer"
    )
    for text, match in (
        ("{", "cannot be read as a vector layer"), ('{"type": "Point", "coordinates": [6, 5]}', "holds no polygon"),
        ('{"type": "Polygon", "coordinates": [[[6, 5], [6, 6], [7, 6], [6, 5]]]}', "covers no cell"),
    ):  # fmt: skip
        (tmp_path / "m.geojson").write_text(text)
        _refused(job(tmp_path, good, mask=str(tmp_path / "m.geojson")), match)
    _refused(job(tmp_path, good, mask=str(tmp_path / "gone.geojson")), "no such file.*gone.geojson")
    zeros = write_tif(tmp_path / "m.tif", np.zeros((4, 6), dtype=np.float32))
    _refused(job(tmp_path, good, mask=str(zeros)), "covers no cell")


def test_a_mask_where_a_variable_is_never_present(tmp_path):
    rain = random_maps(5)
    rain[:, 0] = np.nan
    cells = np.zeros((4, 6), dtype=np.float32)
    cells[0] = 1
    mask = str(write_tif(tmp_path / "m.tif", cells))
    _refused(
        job(tmp_path, source(write_folder(tmp_path / "f", rain)), mask=mask),
        "'rain' has no value inside the mask",
        finished=True,
    )


def test_inputs_that_share_no_cell(tmp_path):
    left, right = random_maps(5), random_maps(5)
    left[:, :, 3:] = np.nan
    right[:, :, :3] = np.nan
    prepared = job(
        tmp_path, source(write_folder(tmp_path / "l", left)), source(write_folder(tmp_path / "r", right), "other_rain")
    )
    _refused(prepared, "No cell has values of all inputs", finished=True)


def test_an_output_over_a_source_or_a_folder(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", {"r": random_maps(5)})
    before = path.read_bytes()
    with pytest.raises(DataError, match="written over one of its sources"):
        list(prepare(job(tmp_path, source(path)).replace(output=str(path))))
    assert path.read_bytes() == before
    (tmp_path / "folder.nc").mkdir()
    with pytest.raises(DataError, match="is that of a folder"):
        list(prepare(job(tmp_path, source(path)).replace(output=str(tmp_path / "folder.nc"))))


def test_a_grid_like_a_raster_that_is_not_there(tmp_path):
    _refused(job(tmp_path, _good(tmp_path), grid=GridConfig(like=str(tmp_path / "gone.tif"))), "there is no such file")


def test_a_reserved_name(tmp_path):
    _refused(job(tmp_path, source(write_folder(tmp_path / "f", random_maps(5)), "crs")), "cannot be called 'crs'")


def test_a_source_without_crs_may_be_given_one(tmp_path):
    for path in (
        write_folder(tmp_path / "f", random_maps(2), crs=None),
        write_netcdf(tmp_path / "a.nc", {"r": random_maps(2)}, crs=None),
    ):
        with open_source(source(path, crs="EPSG:3035")) as opened:
            assert opened.grid.crs == "EPSG:3035"
