"""Format 2 of the dataset file: sequences, filled values, gauges, calendar months, and older files."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import netCDF4
import numpy as np
import pytest

from freshet.core.contracts.errors import DataError
from freshet.core.contracts.grid import Grid
from freshet.core.contracts.steps import MONTH
from freshet.core.data.cf_projection import grid_mapping
from freshet.core.data.store import (
    Dataset,
    DatasetWriter,
    Gauges,
    SequencesWriter,
    VariableInfo,
    list_sequences,
    open_datasets,
    write_dataset,
)
from freshet.core.data.store_format import chunk_shape, group_names

GRID = Grid("EPSG:32632", 500_000.0, 5_500_000.0, 1000.0, 500.0, 5, 4)
MASK = np.arange(20).reshape(4, 5) > 3
RAIN = VariableInfo("rain", "input", "precipitation", "mm/d", "Rain")
FLOW = VariableInfo("flow", "target", "discharge", "m3/s", "Flow", gauges=True)
DEM = VariableInfo("dem", "static", "elevation", "m", "DEM", static=True)
GAUGES = Gauges.on(GRID, ["Köln", "b", "far"], [501_500.0, np.nan, 0.0], [5_499_100.0, np.nan, 0.0])


def _times(steps: int, start: str = "2001-02-27", seconds: int = 300) -> np.ndarray:
    return np.datetime64(start, "s") + np.arange(steps) * np.timedelta64(seconds, "s")


def _rain(steps: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).gamma(0.5, 4.0, (steps, 4, 5)).astype(np.float32)
    values[steps // 2, 1, 3] = np.nan
    return values


def _write_events(path, events) -> None:
    with SequencesWriter(path, name="Floods") as file:
        for number, (name, steps) in enumerate(events.items()):
            with file.sequence(
                name, grid=GRID, times=_times(steps, f"200{number}-02-27"), step_seconds=300.0, variables=[RAIN, DEM]
            ) as writer:
                writer.append("rain", _rain(steps, number))
                writer.write_static("dem", np.full((4, 5), float(number)))
                writer.finish(MASK, {"event": name})
        file.finish({"job": "floods"})


def test_each_sequence_comes_back_with_its_own_dates(tmp_path):
    path = tmp_path / "floods.nc"
    _write_events(path, {"event 1": 6, "événement/2": 4})
    assert list_sequences(path) == ["event 1", "événement/2"]
    datasets = open_datasets(path)
    for number, (dataset, steps) in enumerate(zip(datasets, (6, 4))):
        np.testing.assert_array_equal(dataset.dynamic("rain"), _rain(steps, number))
        np.testing.assert_array_equal(dataset.times, _times(steps, f"200{number}-02-27"))
        assert dataset.static_map("dem")[0, 0] == number and dataset.grid == GRID
        assert dataset.provenance == {"job": "floods", "event": dataset.sequence}
    assert [dataset.name for dataset in datasets] == ["Floods / event 1", "Floods / événement/2"]
    assert datasets[0].fingerprint() != datasets[1].fingerprint()
    datasets[0].close()
    datasets[0].close()
    np.testing.assert_array_equal(datasets[1].dynamic("rain"), _rain(4, 1))  # still open beside the closed one
    datasets[1].close()


def test_one_sequence_is_opened_by_its_name_and_a_missing_one_is_told_with_those_there(tmp_path):
    path = tmp_path / "floods.nc"
    _write_events(path, {"a": 6, "b": 4})
    with Dataset.open(path, "b") as dataset:
        assert dataset.sequence == "b" and len(dataset.times) == 4
    with pytest.raises(DataError, match="several sequences, and none is named.*a, b"):
        Dataset.open(path)
    with pytest.raises(DataError, match="no sequence 'c'.*a, b"):
        Dataset.open(path, "c")
    _write_events(tmp_path / "one.nc", {"alone": 3})
    with Dataset.open(tmp_path / "one.nc") as dataset:
        assert dataset.sequence == "alone"


def test_a_plain_dataset_is_one_without_a_sequence(tmp_path):
    path = tmp_path / "plain.nc"
    _write_plain(path)
    assert list_sequences(path) == []
    (dataset,) = open_datasets(path)
    assert dataset.sequence == "" and dataset.name == "Plain"
    dataset.close()
    with pytest.raises(DataError, match="has no sequences"):
        Dataset.open(path, "a")


@pytest.mark.parametrize("fault", ["twice", "empty", "unfinished sequence", "unfinished file", "in the middle", "none"])
def test_a_file_of_sequences_is_whole_or_absent(tmp_path, fault):
    path = tmp_path / "floods.nc"
    _write_events(path, {"a": 3})
    before = path.read_bytes()

    def add(file, name, finish=True):
        with file.sequence(name, grid=GRID, times=_times(3), step_seconds=300.0, variables=[RAIN]) as writer:
            if fault == "in the middle":
                raise DataError("stop")
            writer.append("rain", _rain(3))
            if finish:
                writer.finish(MASK, {})

    with pytest.raises((DataError, RuntimeError, ValueError)), SequencesWriter(path, name="n") as file:
        if fault != "none":
            add(file, "" if fault == "empty" else "a", fault != "unfinished sequence")
        if fault == "twice":
            add(file, "a")
        if fault != "unfinished file":
            file.finish({})
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_groups_of_sequences_have_plain_names_of_their_own():
    assert group_names(["event 1", "event/1", "2005-08", "ä", "..", "event_1"]) == [
        "event_1", "event_1_2", "2005-08", "_", "sequence", "event_1_3",
    ]  # fmt: skip


def _write_plain(path, **changes) -> None:
    steps = 6
    arguments = {
        "name": "Plain", "grid": GRID, "times": _times(steps), "step_seconds": 300.0,
        "dynamic": {"rain": (RAIN, _rain(steps)), "flow": (FLOW, np.arange(18.0).reshape(6, 3))},
        "static": {"dem": (DEM, np.zeros((4, 5)))}, "mask": MASK, "provenance": {}, "gauges": GAUGES,
    }  # fmt: skip
    write_dataset(path, **{**arguments, **changes})


def test_filled_values_are_told_from_observed_ones(tmp_path):
    path = tmp_path / "a.nc"
    flags = np.random.default_rng(3).random((6, 4, 5)) > 0.7
    _write_plain(path, filled={"rain": flags})
    with Dataset.open(path) as dataset:
        np.testing.assert_array_equal(dataset.filled("rain"), flags)
        np.testing.assert_array_equal(dataset.filled("rain", 2, 4), flags[2:4])
        assert dataset.filled("flow") is None and dataset.filled("dem") is None
        assert dataset.variables["rain"].filled_share == pytest.approx(flags.mean())
        assert dataset.variables["flow"].filled_share == 0.0
        filled = dataset.fingerprint()
    with netCDF4.Dataset(str(path)) as handle:
        assert handle["rain"].ancillary_variables == "rain_filled"
        assert list(handle["rain_filled"].flag_values) == [0, 1]
        assert handle["rain_filled"].flag_meanings == "observed filled"
        assert "_FillValue" not in handle["rain_filled"].ncattrs()
        assert "ancillary_variables" not in handle["flow"].ncattrs()
    _write_plain(path)
    with Dataset.open(path) as dataset:
        assert dataset.filled("rain") is None and dataset.fingerprint() != filled


def test_flags_of_some_blocks_only_leave_the_others_observed(tmp_path):
    values, flags = _rain(6), np.zeros((6, 4, 5), dtype=bool)
    flags[4:, 1] = True
    writer = DatasetWriter(
        tmp_path / "a.nc", name="n", grid=GRID, times=_times(6), step_seconds=300.0, variables=[RAIN]
    )
    with writer:
        writer.append("rain", values[:2])
        writer.append("rain", values[2:4])
        writer.append_filled("rain", flags[2:4])
        writer.append("rain", values[4:, :3])
        writer.append_filled("rain", flags[4:, :3])
        writer.append("rain", values[4:, 3:])
        with pytest.raises(ValueError, match="do not fit the block appended last"):
            writer.append_filled("rain", flags)
        writer.finish(
            MASK, {}, [VariableInfo("rain", units="mm/d", quantity="precipitation", fill="linear", error=0.5)]
        )
    _write_plain(tmp_path / "b.nc", dynamic={"rain": (RAIN, values)}, static={}, gauges=None, filled={"rain": flags})
    with Dataset.open(tmp_path / "a.nc") as dataset, Dataset.open(tmp_path / "b.nc") as whole:
        np.testing.assert_array_equal(dataset.filled("rain"), flags)
        np.testing.assert_array_equal(dataset.dynamic("rain"), values)
        assert dataset.variables["rain"].fill == "linear" and dataset.variables["rain"].error == 0.5
        assert dataset.fingerprint() == whole.fingerprint()  # however the values are cut into blocks


@pytest.mark.parametrize("shape", [(2, 2, 5), (3, 4, 4), (7, 4, 5), (1, 3, 5)])
def test_blocks_that_do_not_fit_are_refused(tmp_path, shape):
    writer = DatasetWriter(
        tmp_path / "a.nc", name="n", grid=GRID, times=_times(6), step_seconds=300.0, variables=[RAIN]
    )
    with pytest.raises(ValueError, match="does not fit"), writer:
        writer.append("rain", np.zeros((3, 2, 5)))  # the northern rows of three steps; the southern ones must follow
        writer.append("rain", np.zeros(shape))


def test_series_at_gauges_have_places(tmp_path):
    path = tmp_path / "a.nc"
    values = np.arange(18.0).reshape(6, 3)
    values[2, 1] = np.nan
    _write_plain(path, dynamic={"rain": (RAIN, _rain(6)), "flow": (FLOW, values)})
    with Dataset.open(path) as dataset:
        np.testing.assert_array_equal(dataset.series("flow"), values)
        np.testing.assert_array_equal(dataset.series("flow", 2, 5), values[2:5])
        assert dataset.gauges.ids == ("Köln", "b", "far")
        np.testing.assert_array_equal(dataset.gauges.rows, [1, -1, -1])
        np.testing.assert_array_equal(dataset.gauges.columns, [1, -1, -1])
        np.testing.assert_array_equal(dataset.gauges.x, [501_500.0, np.nan, 0.0])
        assert dataset.variables["flow"].missing_share == pytest.approx(1 / 18)
        with pytest.raises(DataError, match="no variable in time called 'flow'.*rain"):
            dataset.dynamic("flow")
        with pytest.raises(DataError, match="no series at gauges called 'rain'.*flow"):
            dataset.series("rain")
    with pytest.raises(ValueError, match="need the gauges"):
        _write_plain(path, gauges=None)


def test_months_have_their_own_lengths_in_the_bounds_of_time(tmp_path):
    path = tmp_path / "a.nc"
    times = (np.datetime64("2003-11", "M") + np.array([0, 1, 2, 3, 5, 6])).astype("datetime64[s]")
    _write_plain(path, times=times, step_seconds=MONTH)
    with netCDF4.Dataset(str(path)) as handle:
        assert handle["time"].bounds == "time_bnds"
        days = np.diff(handle["time_bnds"][:], axis=1)[:, 0] / 86400
        np.testing.assert_array_equal(handle["time_bnds"][:, 0], handle["time"][:])
    np.testing.assert_array_equal(days, [30, 31, 31, 29, 30, 31])
    with Dataset.open(path) as dataset:
        assert dataset.step_seconds == MONTH
        assert dataset.summary["gaps"] == [["2004-02-01T00:00:00", "2004-04-01T00:00:00"]]


def test_a_file_of_format_1_still_opens(tmp_path):
    path = tmp_path / "old.nc"
    _write_plain(path, dynamic={"rain": (RAIN, _rain(6))}, gauges=None)
    new = ("filled_share", "fill", "gauges", "resampling", "error")
    with netCDF4.Dataset(str(path), "a") as handle:
        summary = json.loads(handle.freshet_dataset)
        variables = [{k: v for k, v in item.items() if k not in new} for item in summary.pop("variables")]
        plain = {key: value for key, value in summary.items() if key not in ("sequence", "gauges")}
        handle.freshet_dataset = json.dumps({**plain, "version": 1, "variables": variables})
        handle["time"].delncattr("bounds")
    with Dataset.open(path) as dataset:
        np.testing.assert_array_equal(dataset.dynamic("rain"), _rain(6))
        assert dataset.variables["rain"].fill == "none" and dataset.variables["rain"].error is None
        assert dataset.sequence == "" and dataset.gauges is None and dataset.filled("rain") is None


def test_xarray_reads_dates_missing_values_and_groups(tmp_path):
    xarray = pytest.importorskip("xarray")
    _write_plain(tmp_path / "a.nc")
    with xarray.open_dataset(tmp_path / "a.nc", decode_coords="all") as found:
        np.testing.assert_array_equal(found.time.values.astype("datetime64[s]"), _times(6))
        np.testing.assert_array_equal(found.rain.values, _rain(6))
        assert found.rain.attrs["standard_name"] == "lwe_precipitation_rate"
        assert list(found.flow.coords["gauge_id"].values) == ["Köln", "b", "far"]
        assert {"crs", "time_bnds"} <= set(found.coords)
    _write_events(tmp_path / "b.nc", {"first": 6, "second": 4})
    with xarray.open_datatree(tmp_path / "b.nc") as tree:
        np.testing.assert_array_equal(tree["first"].rain.values, _rain(6, 0))
        np.testing.assert_array_equal(tree["second"].time.values.astype("datetime64[s]"), _times(4, "2001-02-27"))


_GDAL = """
import json, sys
from osgeo import gdal, osr
gdal.UseExceptions()
found = []
for name in sys.argv[1:]:
    raster = gdal.Open(name)
    crs = osr.SpatialReference(raster.GetProjection())
    band = raster.GetRasterBand(raster.RasterCount)
    values = band.ReadAsArray().astype(float).tolist()
    found.append([crs.GetAuthorityCode(None), raster.GetGeoTransform(), raster.RasterCount, band.GetNoDataValue(),
                  band.GetMetadata().get("NETCDF_DIM_time"), values])
print(json.dumps(found))
"""


def _gdal_python() -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    for python in ("/usr/bin/python3", sys.executable):
        if os.path.exists(python):
            done = subprocess.run([python, "-c", "import osgeo.gdal"], capture_output=True, env=environment)
            if done.returncode == 0:
                return python
    return pytest.skip("no Python with GDAL, as QGIS has it")


def test_gdal_opens_each_variable_as_one_layer_with_a_band_a_date(tmp_path):
    python = _gdal_python()
    _write_plain(tmp_path / "a.nc")
    _write_events(tmp_path / "b.nc", {"event 1": 6, "b": 4})
    names = [f'NETCDF:"{tmp_path / "a.nc"}":rain', f'NETCDF:"{tmp_path / "b.nc"}":/event_1/rain']
    done = subprocess.run([python, "-c", _GDAL, *names], check=True, capture_output=True, text=True)
    starts = ("2001-02-27", "2000-02-27")
    for start, (code, transform, bands, nodata, date, values) in zip(starts, json.loads(done.stdout.splitlines()[-1])):
        assert code == "32632" and bands == 6 and nodata == -9999.0
        assert transform == [500_000.0, 1000.0, 0.0, 5_500_000.0, 0.0, -500.0]
        assert float(date) == float(_times(6, start)[5].astype(np.int64))
        np.testing.assert_array_equal(np.float32(values), _rain(6)[5])


@pytest.mark.parametrize(
    ("crs", "name", "attribute", "value"),
    [
        ("EPSG:3035", "lambert_azimuthal_equal_area", "longitude_of_projection_origin", 10),
        ("EPSG:32632", "transverse_mercator", "longitude_of_central_meridian", 9),
        ("EPSG:2154", "lambert_conformal_conic", "standard_parallel", [49, 44]),
        ("EPSG:5070", "albers_conical_equal_area", "standard_parallel", [29.5, 45.5]),
        ("EPSG:28992", "stereographic", "scale_factor_at_projection_origin", 0.9999079),
        ("EPSG:3031", "polar_stereographic", "latitude_of_projection_origin", -90.0),
        ("EPSG:4326", "latitude_longitude", "semi_major_axis", 6378137),
    ],
)
def test_projections_have_their_cf_mapping(crs, name, attribute, value):
    from rasterio.crs import CRS

    found = grid_mapping(CRS.from_user_input(crs))
    assert found["grid_mapping_name"] == name and found[attribute] == value


def test_a_projection_that_cf_does_not_name_has_none():
    from rasterio.crs import CRS

    assert grid_mapping(CRS.from_epsg(3857)) == {} and grid_mapping(CRS.from_epsg(2056)) == {}


@pytest.mark.parametrize(
    "shape", [(365, 512, 512), (40, 16384, 16384), (10000, 10, 10), (10**6, 1, 1), (40, 1, 300_000), (1, 3, 4)]
)
def test_chunks_lie_within_the_data_and_stay_small(shape):
    chunks = chunk_shape(*shape)
    assert all(1 <= chunk <= size for chunk, size in zip(chunks, shape))
    assert np.prod(chunks) <= 2**18 * 1.01
    assert chunks[0] * shape[1] * shape[2] <= max(2**23, shape[1] * shape[2])
