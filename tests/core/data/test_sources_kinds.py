"""Zarr stores, GRIB files, PCRaster stacks and maps, and which kind opens what."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import xarray
import zarr
from affine import Affine

from freshet.core.contracts.errors import DataError
from freshet.core.contracts.steps import MONTH
from freshet.core.data.sources import kind_of, open_source, parse_source, source_overview, window_of

from .source_files import CELL, DAY, NORTH, START, WEST, random_maps, source, write_folder, write_netcdf, write_tif


def _read(config):
    with open_source(config) as opened:
        list(opened.verify())
        return opened.times, opened.read(0, max(1, len(opened.times))), opened


def _dataset(maps, start="2001-02-27", calendar="standard"):
    steps, rows, columns = maps.shape
    return xarray.Dataset(
        {"rain": (("time", "lat", "lon"), maps, {"units": "mm/d"})},
        {
            "time": ("time", np.arange(steps, dtype=float), {"units": f"days since {start}", "calendar": calendar}),
            "lat": ("lat", 50 - np.arange(rows) * 0.5, {"units": "degrees_north"}),
            "lon": ("lon", 5 + np.arange(columns) * 0.5, {"units": "degrees_east"}),
        },
    )


@pytest.mark.parametrize("version", [2, 3])
def test_a_zarr_store_of_either_format_reads_as_xarray_reads_it(tmp_path, version):
    maps = random_maps()
    maps[0, 0, 0] = np.nan
    path = tmp_path / "rain.zarr"
    encoding = {
        "rain": {"dtype": "int16", "scale_factor": 0.01, "add_offset": 5.0, "_FillValue": -32768, "chunks": (2, 3, 4)}
    }
    _dataset(maps).to_zarr(path, zarr_format=version, consolidated=False, encoding=encoding)
    times, values, opened = _read(source(path))
    assert opened.kind == "zarr" and opened.units == "mm/d"
    with xarray.open_zarr(path, consolidated=False) as expected:
        np.testing.assert_array_equal(values, expected.rain.values.astype("f4"))
    assert np.isnan(values[0, 0, 0]) and np.isnan(values).sum() == 1
    np.testing.assert_array_equal(times, START + np.arange(5) * DAY)
    assert source_overview(str(path))["variables"] == ["rain"]


def test_a_zarr_store_with_a_calendar_groups_and_several_stores(tmp_path):
    maps = random_maps(4)
    path = tmp_path / "one" / "rain.zarr"
    _dataset(maps, "2004-02-27", "noleap").to_zarr(path, group="daily", consolidated=False, zarr_format=2)
    zarr.open_group(path, mode="a", zarr_format=2)
    times, values, opened = _read(source(path, layer="daily/rain"))
    np.testing.assert_array_equal(values, maps)
    assert opened.calendar == "noleap" and [str(time)[:10] for time in opened.lacking] == ["2004-02-29"]
    for index, start in enumerate(("2001-02-27", "2001-03-01")):
        _dataset(maps[2 * index : 2 * index + 2], start).to_zarr(
            tmp_path / "many" / f"{index}.zarr", consolidated=False
        )
    times, values, opened = _read(source(tmp_path / "many"))
    np.testing.assert_array_equal(values, maps)
    assert opened.kind == "zarr" and len(opened.files()) == 2


def test_a_broken_zarr_store_is_refused_and_threads_share_a_sound_one(tmp_path):
    maps = random_maps(8)
    path = tmp_path / "rain.zarr"
    _dataset(maps).to_zarr(path, consolidated=False, zarr_format=3)
    with open_source(source(path)) as opened, ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(opened.read, start, start + 2) for start in list(range(7)) * 4]
        for start, job in zip(list(range(7)) * 4, jobs):
            np.testing.assert_array_equal(job.result(), maps[start : start + 2])
    (path / "zarr.json").write_text(json.dumps({"zarr_format": 9}))
    with pytest.raises(DataError, match="cannot be read"):
        open_source(source(path))


def _write_grib(path, fields, nodata=None):
    """A GRIB2 file of fields: (element number, valid time, map); temperature 0, humidity 1 in one table."""
    parts = []
    for number, (parameter, date, single) in enumerate(fields):
        tif, part = path.with_suffix(f".{number}.tif"), path.with_suffix(f".{number}.part")
        rows, columns = single.shape
        with rasterio.open(tif, "w", driver="GTiff", width=columns, height=rows, count=1, dtype="float32",
                           crs="EPSG:4326", transform=Affine(0.5, 0, 4.75, 0, -0.5, 50.25)) as handle:  # fmt: skip
            handle.write(single, 1)
        identity = (
            f"CENTER=98(ECMWF) SUBCENTER=0 MASTER_TABLE=24 LOCAL_TABLE=0 SIGNF_REF_TIME=1 REF_TIME={date}T00:00:00Z "
            "PROD_STATUS=0 TYPE=1"
        )
        template = f"0 {parameter} 2 0 0 0 0 1 0 1 0 0 255 127 2147483647"
        if parameter == 1:
            template = "1 1 2 0 0 0 0 1 0 1 0 0 255 127 2147483647"
        rasterio.shutil.copy(tif, part, driver="GRIB", IDS=identity, DISCIPLINE="0", PDS_PDTN="0",
                             PDS_TEMPLATE_NUMBERS=_octets(template), DATA_ENCODING="IEEE_FLOATING_POINT")  # fmt: skip
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))
    return path


def _octets(text):
    """Numbers of product template 4.0 with their widths, as GDAL takes them: bytes."""
    widths = (1, 1, 1, 1, 1, 2, 1, 1, 4, 1, 1, 4, 1, 1, 4)
    return " ".join(
        str(byte) for value, width in zip(map(int, text.split()), widths) for byte in value.to_bytes(width, "big")
    )


def test_fields_of_a_grib_file_are_grouped_and_dated(tmp_path):
    dates = [str(START + index * DAY)[:10] for index in range(3)]
    cold, wet = random_maps(3), random_maps(3, seed=2)
    both = ((0, cold), (1, wet))
    fields = [(kind, date, maps[index]) for index, date in enumerate(dates) for kind, maps in both]
    path = _write_grib(tmp_path / "era5.grib", fields)
    overview = source_overview(str(path))
    assert overview["kind"] == "grib" and len(overview["variables"]) == 2
    temperature = next(one for one in overview["variables"] if one.startswith("TMP"))
    with pytest.raises(DataError, match="several fields fit"):
        open_source(source(path))
    for layer in (temperature, "TMP"):
        times, values, opened = _read(source(path, layer=layer))
        np.testing.assert_array_equal(times, START + np.arange(3) * DAY)
        with rasterio.open(path) as handle:
            bands = [band for band in range(1, 7) if handle.tags(band)["GRIB_ELEMENT"] == "TMP"]
            np.testing.assert_array_equal(values, handle.read(bands).astype("f4"))
    with pytest.raises(DataError, match="no field 'SNOW'"):
        open_source(source(path, layer="SNOW"))


def test_several_grib_files_and_one_without_suffix(tmp_path):
    maps = random_maps(2)
    for index in range(2):
        (tmp_path / "g").mkdir(exist_ok=True)
        made = _write_grib(tmp_path / f"{index}.grb", [(0, str(START + index * DAY)[:10], maps[index])])
        made.rename(tmp_path / "g" / f"{index}.grb2")
    times, values, opened = _read(source(tmp_path / "g"))
    np.testing.assert_allclose(values, maps, atol=1e-4)
    bare = tmp_path / "download"
    (tmp_path / "g" / "0.grb2").rename(bare)
    assert kind_of(source(bare), parse_source(str(bare))).name == "grib"


def test_grib_without_the_driver_is_refused_in_a_sentence(tmp_path, monkeypatch):
    path = _write_grib(tmp_path / "a.grib", [(0, "2001-02-27", random_maps(1)[0])])
    monkeypatch.setattr(rasterio.Env, "drivers", lambda self: {"GTiff": "GeoTIFF"})
    with pytest.raises(DataError, match="GRIB files cannot be read here"):
        open_source(source(path))


def _write_map(path, values, number_type="VS_SCALAR"):
    tif = write_tif(path.with_name(path.name + ".tmp.tif"), values.astype("f4"), crs=None)
    path.parent.mkdir(parents=True, exist_ok=True)
    rasterio.shutil.copy(tif, path, driver="PCRaster", PCRASTER_VALUESCALE=number_type)
    tif.unlink()
    return path


def _write_stack(folder, prefix, maps, numbers):
    for number, single in zip(numbers, maps):
        digits = f"{number:0{11 - len(prefix)}d}"
        _write_map(folder / f"{prefix}{digits[:-3]}.{digits[-3:]}", single)
    return folder


def test_a_pcraster_stack_counts_from_the_first_date_with_gaps(tmp_path):
    maps = random_maps(3)
    maps[1, 1, 1] = np.nan
    folder = _write_stack(tmp_path / "maps", "P", maps, [1, 2, 1001])
    with pytest.raises(DataError, match="numbered and have no dates"):
        open_source(source(folder, crs="EPSG:3035"))
    config = {"start": "2001-02-27", "step_hours": 24, "crs": "EPSG:3035"}
    for path in (folder, folder / "P", folder / "P0000000.002"):
        times, values, opened = _read(source(path, **config))
        np.testing.assert_array_equal(values, maps)
        np.testing.assert_array_equal(times, START + np.array([0, 1, 1000]) * DAY)
        assert opened.kind == "pcraster" and "number 1" in opened.notes[-1]
        assert opened.missing_count == 998 and opened.grid.extent[0] == WEST
    monthly = {**config, "step_hours": MONTH / 3600, "start": "2001-01-01"}
    with open_source(source(folder, **monthly)) as opened:
        assert str(opened.times[1])[:10] == "2001-02-01" and opened.step_seconds == MONTH


def test_several_stacks_and_statics_lie_in_one_folder(tmp_path):
    maps = random_maps(4)
    _write_stack(tmp_path / "m", "P", maps[:2], [1, 2])
    _write_stack(tmp_path / "m", "tmp2", maps[2:], [1, 2])
    dem = _write_map(tmp_path / "m" / "dem.map", maps[0])
    config = {"start": "2001-02-27", "step_hours": 24, "crs": "EPSG:3035"}
    with pytest.raises(DataError, match="several stacks") as caught:
        open_source(source(tmp_path / "m", **config))
    assert "P, tmp2" in str(caught.value)
    np.testing.assert_array_equal(_read(source(tmp_path / "m", layer="tmp2", **config))[1], maps[2:])
    np.testing.assert_array_equal(_read(source(tmp_path / "m" / "tmp", **config))[1], maps[2:])
    np.testing.assert_array_equal(_read(source(dem, role="static", crs="EPSG:3035"))[1][0], maps[0])
    assert source_overview(str(tmp_path / "m"))["variables"] == ["P", "tmp2"]


def test_each_place_finds_its_kind(tmp_path):
    write_netcdf(tmp_path / "a.nc", {"rain": random_maps(2)})
    write_folder(tmp_path / "tifs", random_maps(2))
    table = tmp_path / "gauges.csv"
    table.write_text("date,q\n2001-01-01,1\n")
    for path, role, kind in (
        (tmp_path / "a.nc", "input", "netcdf"),
        (tmp_path / "tifs", "input", "folder"),
        (tmp_path / "tifs" / "*.tif", "input", "folder"),
        (tmp_path / "tifs" / "rain_2001-02-27.tif", "input", "raster"),
        (table, "input", "table"),
        (f'NETCDF:"{tmp_path}/a.nc":rain', "input", "netcdf"),
    ):
        config = source(path, role=role)
        assert kind_of(config, parse_source(config.path)).name == kind


def test_windows_lie_where_their_extent_says():
    from freshet.core.contracts.grid import Grid
    from freshet.core.data.sources import subgrid

    grid = Grid("EPSG:3035", WEST, NORTH, CELL, CELL, 60, 40)
    window = window_of(grid, (WEST + 10 * CELL, NORTH - 20 * CELL, WEST + 30 * CELL, NORTH - 5 * CELL))
    assert (window.row, window.column, window.rows, window.columns) == (1, 6, 23, 28)
    assert subgrid(grid, window).extent == (WEST + 6 * CELL, NORTH - 24 * CELL, WEST + 34 * CELL, NORTH - CELL)
    with pytest.raises(ValueError, match="outside"):
        window_of(grid, (WEST - 50 * CELL, NORTH - CELL, WEST - 40 * CELL, NORTH), margin=0)
