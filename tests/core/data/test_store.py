"""The dataset file: what is written comes back, and what is not ours is refused."""

from __future__ import annotations

import json

import netCDF4
import numpy as np
import pytest

from freshet.core.contracts.errors import DataError
from freshet.core.contracts.grid import Grid
from freshet.core.data.store import Dataset, DatasetWriter, VariableInfo, write_dataset

GRID = Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 1000.0, 500.0, 5, 4)
TIMES = np.datetime64("2001-02-27", "s") + np.arange(6) * np.timedelta64(86400, "s")


def _values() -> np.ndarray:
    values = np.random.default_rng(1).normal(size=(6, 4, 5)).astype(np.float32)
    values[2, 1, 3] = np.nan
    return values


def _write(path, values, **changes):
    arguments = {
        "name": "Tiny", "grid": GRID, "times": TIMES, "step_seconds": 86400.0,
        "dynamic": {"rain": (VariableInfo("rain", "input", "precipitation", "mm/d", "Rain"), values)},
        "static": {"dem": (VariableInfo("dem", "static", "elevation", "m", "DEM"), np.arange(20.0).reshape(4, 5))},
        "mask": np.arange(20).reshape(4, 5) > 3, "provenance": {"made": "by a test"},
    }  # fmt: skip
    write_dataset(path, **{**arguments, **changes})


def test_values_times_mask_and_grid_come_back_unchanged(tmp_path):
    path = tmp_path / "with space, ü % # and 'quote'.nc"
    values = _values()
    _write(path, values)
    with Dataset.open(path) as dataset:
        np.testing.assert_array_equal(dataset.dynamic("rain"), values)
        np.testing.assert_array_equal(dataset.dynamic("rain", 1, 3), values[1:3])
        np.testing.assert_array_equal(dataset.static_map("dem"), np.arange(20.0).reshape(4, 5))
        np.testing.assert_array_equal(dataset.times, TIMES)
        np.testing.assert_array_equal(dataset.mask, np.arange(20).reshape(4, 5) > 3)
        assert dataset.grid == GRID and dataset.name == "Tiny" and dataset.step_seconds == 86400.0
        assert dataset.provenance == {"made": "by a test"}
        info = dataset.variables["rain"]
        assert (
            info.missing_share == pytest.approx(1 / 120)
            and info.minimum == np.nanmin(values)
            and info.maximum == np.nanmax(values)
        )
        assert dataset.variables["dem"].static and dataset.variables["dem"].units == "m"


def test_blocks_from_an_iterator_equal_one_array_and_give_the_same_fingerprint(tmp_path):
    values = _values()
    _write(tmp_path / "a.nc", values)
    info = VariableInfo("rain", "input", "precipitation", "mm/d", "Rain")
    _write(tmp_path / "b.nc", None, dynamic={"rain": (info, iter([values[:4], values[4:]]))})
    with Dataset.open(tmp_path / "a.nc") as a, Dataset.open(tmp_path / "b.nc") as b:
        np.testing.assert_array_equal(a.dynamic("rain"), b.dynamic("rain"))
        assert a.fingerprint() == b.fingerprint() and len(a.fingerprint()) == 64


def test_fingerprint_changes_with_one_value(tmp_path):
    values = _values()
    _write(tmp_path / "a.nc", values)
    values[5, 3, 4] += 1
    _write(tmp_path / "b.nc", values)
    with Dataset.open(tmp_path / "a.nc") as a, Dataset.open(tmp_path / "b.nc") as b:
        assert a.fingerprint() != b.fingerprint()


def test_the_file_is_cf_and_georeferenced_for_gdal(tmp_path):
    import rasterio

    _write(tmp_path / "a.nc", _values())
    with netCDF4.Dataset(str(tmp_path / "a.nc")) as handle:
        assert handle.Conventions == "CF-1.8" and handle["rain"].dimensions == ("time", "y", "x")
        assert (
            handle["rain"]._FillValue == -9999
            and handle["rain"].units == "mm/d"
            and handle["rain"].freshet_quantity == "precipitation"
        )
        assert handle["y"][0] > handle["y"][-1]
        assert json.loads(handle.freshet_dataset)["steps"] == 6
        assert (
            netCDF4.num2date(handle["time"][2], handle["time"].units, handle["time"].calendar).isoformat()
            == "2001-03-01T00:00:00"
        )
    with rasterio.open(f"netcdf:{tmp_path / 'a.nc'}:rain") as raster:
        assert raster.crs.to_epsg() == 3035 and raster.transform[:6] == GRID.transform and raster.count == 6


def test_gaps_between_times_are_listed(tmp_path):
    times = TIMES.copy()
    times[4:] += np.timedelta64(3, "D")
    _write(tmp_path / "a.nc", _values(), times=times)
    with Dataset.open(tmp_path / "a.nc") as dataset:
        assert dataset.summary["gaps"] == [["2001-03-02T00:00:00", "2001-03-06T00:00:00"]]


@pytest.mark.parametrize("content", [None, b"", b"hello", "plain netcdf", "truncated", "newer"])
def test_a_file_that_is_missing_broken_or_not_ours_is_refused_in_a_sentence(tmp_path, content):
    path = tmp_path / "a.nc"
    if content == "plain netcdf":
        netCDF4.Dataset(str(path), "w").close()
    elif content == "truncated":
        _write(path, _values())
        path.write_bytes(path.read_bytes()[:9000])
    elif content == "newer":
        _write(path, _values())
        with netCDF4.Dataset(str(path), "a") as handle:
            handle.freshet_dataset = json.dumps({**json.loads(handle.freshet_dataset), "version": 99})
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(
        DataError, match="newer Freshet" if content == "newer" else "does not exist|is no Freshet dataset"
    ) as caught:
        Dataset.open(path)
    assert caught.value.remedy


def test_an_unknown_or_static_variable_is_named_with_those_there(tmp_path):
    _write(tmp_path / "a.nc", _values())
    with Dataset.open(tmp_path / "a.nc") as dataset:
        with pytest.raises(DataError, match="no variable in time called 'dem'.*rain"):
            dataset.dynamic("dem")
        with pytest.raises(DataError, match="no static map called 'rain'.*dem"):
            dataset.static_map("rain")


def test_a_failure_while_writing_leaves_no_file_and_keeps_the_old_one(tmp_path):
    path = tmp_path / "a.nc"
    _write(path, _values())
    before = path.read_bytes()

    def blocks():
        yield _values()[:2]
        raise DataError("stop")

    with pytest.raises(DataError, match="stop"):
        _write(path, None, dynamic={"rain": (VariableInfo("rain"), blocks())})
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="could not be written"):
        _write(tmp_path / "file" / "a.nc", _values())


def test_a_full_disk_is_a_sentence_and_keeps_the_old_dataset(tmp_path):
    resource = pytest.importorskip("resource", reason="file size limits exist on POSIX systems only")
    path = tmp_path / "a.nc"
    _write(path, _values())
    before = path.read_bytes()
    grid = Grid("EPSG:3035", 0.0, 0.0, 1000.0, 1000.0, 300, 300)
    large = np.random.default_rng(1).normal(size=(6, 300, 300)).astype(np.float32)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, limits[1]))
    try:
        with pytest.raises(DataError, match="could not be written.*MB free"):
            _write(path, large, grid=grid, static={}, mask=np.ones((300, 300), bool))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_damaged_block_is_a_sentence(tmp_path):
    path = tmp_path / "a.nc"
    grid = Grid("EPSG:3035", 0.0, 0.0, 1000.0, 1000.0, 300, 300)
    large = np.random.default_rng(1).normal(size=(6, 300, 300)).astype(np.float32)
    _write(path, large, grid=grid, static={}, mask=np.ones((300, 300), bool))
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 3, 2 * len(content) // 3, 500):
        content[place] ^= 255
    path.write_bytes(bytes(content))
    with Dataset.open(path) as dataset, pytest.raises(DataError, match="is damaged: 'rain' cannot be read"):
        dataset.dynamic("rain")


def test_an_unfinished_dataset_leaves_nothing(tmp_path):
    writer = DatasetWriter(
        tmp_path / "a.nc", name="n", grid=GRID, times=TIMES, step_seconds=86400.0, variables=[VariableInfo("rain")]
    )
    with pytest.raises(DataError), writer:
        writer.append("rain", _values())
    assert not list(tmp_path.iterdir())


def test_a_reserved_name_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be called 'crs'"):
        _write(tmp_path / "a.nc", None, dynamic={"crs": (VariableInfo("crs"), _values())})
