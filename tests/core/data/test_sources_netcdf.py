"""NetCDF files as archives and models write them: several files, further dimensions, groups, odd grids, packing."""

from __future__ import annotations

import netCDF4
import numpy as np
import pytest

from freshet.core.contracts.errors import DataError
from freshet.core.data.sources import open_source, source_overview, whole

from .source_files import (
    CELL,
    COLUMNS,
    DAY,
    ROWS,
    START,
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
        list(opened.verify())
        return opened.times, opened.read(0, max(1, len(opened.times))), opened


# -- several files ---------------------------------------------------------------------------------------------------


def test_files_of_a_folder_or_pattern_follow_each_other_intime_axis(tmp_path):
    maps = random_maps(9)
    for part, name in ((2, "a"), (0, "b"), (1, "c")):
        write_netcdf(
            tmp_path / f"{name}.nc", {"rain": maps[3 * part : 3 * part + 3]}, start=str(START + 3 * part * DAY)[:10]
        )
    for path in (tmp_path, tmp_path / "*.nc"):
        times, values, opened = _read(source(path))
        np.testing.assert_array_equal(values, maps)
        np.testing.assert_array_equal(times, START + np.arange(9) * DAY)
        assert opened.kind == "netcdf" and len(opened.files()) == 3
        with open_source(source(path)) as again:
            np.testing.assert_array_equal(again.read(2, 7), maps[2:7])


def test_files_that_overlap_are_doubled_dates(tmp_path):
    maps = random_maps(6)
    write_netcdf(tmp_path / "a.nc", {"rain": maps[:3]})
    write_netcdf(tmp_path / "b.nc", {"rain": maps[3:]}, start="2001-03-01")
    with pytest.raises(DataError, match="2001-03-01 occurs twice") as caught:
        open_source(source(tmp_path))
    assert "a.nc, step 3 and b.nc, step 1" in str(caught.value)
    np.testing.assert_array_equal(_read(source(tmp_path, duplicates="last"))[1], maps[[0, 1, 3, 4, 5]])


def test_a_file_on_another_grid_or_in_another_unit_is_named(tmp_path):
    write_netcdf(
        tmp_path / "g" / "a.nc" if (tmp_path / "g").mkdir() else tmp_path / "g" / "a.nc", {"rain": random_maps(2)}
    )
    write_netcdf(tmp_path / "g" / "b.nc", {"rain": random_maps(2)}, start="2001-03-01", west=WEST + CELL)
    with pytest.raises(DataError, match="b.nc") as caught:
        open_source(source(tmp_path / "g"))
    assert "one grid" in str(caught.value)
    (tmp_path / "g" / "b.nc").unlink()
    write_netcdf(tmp_path / "g" / "b.nc", {"rain": random_maps(2)}, start="2001-03-01", attributes={"units": "m"})
    with pytest.raises(DataError, match="different units") as caught:
        open_source(source(tmp_path / "g"))
    assert "b.nc" in str(caught.value)


def test_files_of_other_variables_are_left_out_and_named(tmp_path):
    maps = random_maps(4)
    write_netcdf(tmp_path / "pr_2001a.nc", {"pr": maps[:2]})
    write_netcdf(tmp_path / "pr_2001b.nc", {"pr": maps[2:]}, start="2001-03-01")
    write_netcdf(tmp_path / "tas_2001a.nc", {"tas": maps[:2]})
    times, values, opened = _read(source(tmp_path, layer="pr"))
    np.testing.assert_array_equal(values, maps)
    assert any("tas_2001a.nc" in note for note in opened.notes)
    with pytest.raises(DataError, match="different variables"):
        open_source(source(tmp_path))


def test_files_of_one_undated_map_are_dated_by_their_names(tmp_path):
    maps = random_maps(3, 3, 4)
    for index, single in enumerate(maps):
        name = f"3B-DAY.MS.MRG.3IMERG.2001030{index + 1}-S000000-E235959.V06.nc4"
        variables = degrees([50, 49, 48], [5, 6, 7, 8], rain=(("longitude", "latitude"), single.T, {"units": "mm"}))
        create_netcdf(tmp_path / name, variables)
    times, values, opened = _read(source(tmp_path))
    np.testing.assert_array_equal(values, maps)
    assert str(times[0])[:10] == "2001-03-01" and any("names of the files" in note for note in opened.notes)


def test_an_unreadable_file_is_refused_or_left_as_a_gap(tmp_path):
    maps = random_maps(4)
    write_netcdf(tmp_path / "a.nc", {"rain": maps[:2]})
    write_netcdf(tmp_path / "b.nc", {"rain": maps[2:]}, start="2001-03-02")
    (tmp_path / "ab.nc").write_bytes(b"broken")
    with pytest.raises(DataError, match="ab.nc"):
        open_source(source(tmp_path))
    times, values, opened = _read(source(tmp_path, unreadable="gap"))
    np.testing.assert_array_equal(values, maps)
    assert "ab.nc" in opened.warnings[0] and opened.missing_count == 1


def test_mixed_folders_take_the_most_and_tell_of_the_rest(tmp_path):
    for index in range(2):
        write_netcdf(tmp_path / f"a{index}.nc", {"rain": random_maps(1)}, start=f"2001-03-0{index + 1}")
    (tmp_path / "x.tif").write_bytes(b"")
    assert any("x.tif" in note for note in _read(source(tmp_path))[2].notes)


# -- further dimensions, groups, several variables -------------------------------------------------------------------


def _levels(tmp_path):
    values = np.random.default_rng(1).normal(size=(3, 2, 3, 4)).astype("f4")
    variables = {
        **degrees([50, 49, 48], [5, 6, 7, 8]),
        **time_axis([0, 1, 2], name="valid_time"),
        "level": (("level",), np.array([850, 500], "i4"), {"units": "hPa"}),
        "t": (("valid_time", "level", "latitude", "longitude"), values, {"units": "K"}),
    }
    return create_netcdf(tmp_path / "a.nc", variables), values


def test_a_level_is_chosen_by_its_value(tmp_path):
    path, values = _levels(tmp_path)
    with pytest.raises(DataError, match="850, 500") as caught:
        open_source(source(path))
    assert "t[level=850]" in str(caught.value)
    np.testing.assert_array_equal(_read(source(path, layer="t[level=500]"))[1], values[:, 1])
    np.testing.assert_array_equal(_read(source(path, layer="[level=850]"))[1], values[:, 0])
    for wrong in ("t[level=700]", "t[member=1]"):
        with pytest.raises(DataError, match="700|member"):
            open_source(source(path, layer=wrong))


def test_a_member_without_coordinate_is_chosen_by_its_number(tmp_path):
    values = np.arange(24, dtype="f4").reshape(2, 1, 3, 4)
    variables = {**degrees([50, 49, 48], [5, 6, 7, 8]), **time_axis([0]),
                 "q": (("member", "time", "latitude", "longitude"), values, {})}  # fmt: skip
    path = create_netcdf(tmp_path / "a.nc", variables)
    np.testing.assert_array_equal(_read(source(path, layer="q[member=2]", step_hours=24))[1], values[1])


def test_the_two_versions_of_era5_complete_each_other(tmp_path):
    maps = random_maps(3, 3, 4)
    both = np.full((3, 2, 3, 4), np.nan, "f4")
    both[:2, 0], both[2, 1] = maps[:2], maps[2]
    variables = {**degrees([50, 49.75, 49.5], [5, 5.25, 5.5, 5.75]), **time_axis([0, 1, 2]),
                 "expver": (("expver",), np.array([1, 5], "i4"), {}),
                 "tp": (("time", "expver", "latitude", "longitude"), both, {"units": "m"})}  # fmt: skip
    path = create_netcdf(tmp_path / "a.nc", variables)
    times, values, opened = _read(source(path))
    np.testing.assert_array_equal(values, maps)
    assert any("complete each other" in note for note in opened.notes)
    np.testing.assert_array_equal(_read(source(path, layer="tp[expver=5]"))[1], both[:, 1])


def test_variables_in_groups_are_found_and_named_by_their_path(tmp_path):
    maps = random_maps(2, 3, 4)
    path = tmp_path / "a.h5"
    with netCDF4.Dataset(str(path), "w") as handle:
        group = handle.createGroup("Grid")
        for name, values, units in (("time", [0, 1], "days since 2001-02-27"), ("lon", [5, 6, 7, 8], "degrees_east"),
                                    ("lat", [48, 49, 50], "degrees_north")):  # fmt: skip
            group.createDimension(name, len(values))
            group.createVariable(name, "f8", (name,))[:] = values
            group[name].units = units
        group.createVariable("precipitation", "f4", ("time", "lon", "lat"))[:] = maps[:, ::-1].transpose(0, 2, 1)
    assert source_overview(str(path))["variables"] == ["Grid/precipitation"]
    for layer in ("", "/Grid/precipitation", "Grid/precipitation", "precipitation"):
        np.testing.assert_array_equal(_read(source(path, layer=layer))[1], maps)


def test_the_only_variable_that_varies_is_taken_and_told(tmp_path):
    maps = random_maps(2)
    path = write_netcdf(tmp_path / "a.nc", {"rain": maps})
    with netCDF4.Dataset(str(path), "a") as handle:
        handle.createVariable("elevation", "f4", ("y", "x"))[:] = maps[0]
    times, values, opened = _read(source(path))
    np.testing.assert_array_equal(values, maps)
    assert any("'rain' is taken" in note for note in opened.notes)
    np.testing.assert_array_equal(_read(source(path, role="static"))[1][0], maps[0])


# -- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "attributes"),
    [
        (np.arange(24, dtype="i2"), {"scale_factor": 0.1, "add_offset": 273.15, "_FillValue": np.int16(3)}),
        (np.arange(24, dtype="i1"), {"_Unsigned": "true", "scale_factor": np.float32(0.5), "_FillValue": np.int8(-1)}),
        (np.arange(24, dtype="f4"), {"missing_value": np.array([4.0, 5.0], "f4"), "_FillValue": np.float32(6)}),
        (np.arange(24, dtype="i4"), {"valid_range": np.array([2, 20], "i4")}),
        (np.arange(24, dtype="f8"), {"valid_min": 2.0, "valid_max": 20.0}),
        (np.arange(24, dtype="u2"), {"missing_value": np.uint16(7), "scale_factor": 0.01}),
    ],
)
def test_packed_and_masked_values_equal_those_of_netcdf4(tmp_path, values, attributes):
    if attributes.get("_Unsigned"):
        values = np.concatenate([values[:20], np.array([-1, -2, -100, 100], "i1")])
    variables = {**degrees([50, 49], [5, 6, 7, 8, 9, 10]), **time_axis([0, 1]),
                 "q": (("time", "latitude", "longitude"), values.reshape(2, 2, 6), dict(attributes))}  # fmt: skip
    path = create_netcdf(tmp_path / "a.nc", variables)
    read = _read(source(path))[1]
    with netCDF4.Dataset(str(path)) as handle:
        expected = np.ma.filled(handle["q"][:].astype("f8"), np.nan).astype("f4")
    np.testing.assert_array_equal(read, expected)
    assert np.isnan(read).any()


def test_fills_that_nobody_declared_and_the_told_one_are_missing(tmp_path):
    maps = np.full((2, 2, 3), 5.0, "f4")
    maps[0, 0] = [1e20, np.inf, -9999]
    variables = {
        **degrees([50, 49], [5, 6, 7]),
        **time_axis([0, 1]),
        "q": (("time", "latitude", "longitude"), maps, {}),
    }
    path = create_netcdf(tmp_path / "a.nc", variables)
    assert np.isnan(_read(source(path, nodata=-9999))[1][0, 0]).all()
    assert _read(source(path))[1][0, 0, 2] == -9999


def test_a_month_labelled_in_its_middle_begins_where_its_bounds_begin(tmp_path):
    starts = np.array([0, 31, 59, 90.0])
    variables = {
        **degrees([50, 49], [5, 6, 7]),
        **time_axis((starts[1:] + starts[:-1]) / 2, "days since 2001-01-01", calendar="noleap", bounds="time_bnds"),
        "time_bnds": (("time", "bnds"), np.stack([starts[:-1], starts[1:]], 1), {}),
        "pr": (("time", "latitude", "longitude"), random_maps(3, 2, 3), {"units": "kg m-2 s-1"}),
    }
    path = create_netcdf(tmp_path / "a.nc", variables)
    times, values, opened = _read(source(path))
    assert [str(time)[:10] for time in times] == ["2001-01-01", "2001-02-01", "2001-03-01"]
    assert opened.calendar == "noleap" and any("bounds" in note for note in opened.notes)


def test_a_netcdf_file_is_known_without_its_suffix(tmp_path):
    maps = random_maps(2)
    write_netcdf(tmp_path / "download", {"rain": maps})
    times, values, opened = _read(source(tmp_path / "download"))
    assert opened.kind == "netcdf"
    np.testing.assert_array_equal(values, maps)


def test_a_table_of_dates_wins_over_wrong_stamps(tmp_path):
    maps = random_maps(3)
    path = write_netcdf(tmp_path / "a.nc", {"rain": maps}, times=[0.0, 0.0, 0.0])
    table = tmp_path / "dates.csv"
    table.write_text("1,2001-03-03\n2,2001-03-02\n3,2001-03-01\n")
    np.testing.assert_array_equal(_read(source(path, date_table=str(table)))[1], maps[::-1])


def test_the_overview_tells_calendar_gaps_and_doubled_dates(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", {"rain": random_maps(4)}, times=[0.0, 24.0, 24.0, 72.0], calendar="noleap")
    overview = source_overview(str(path))
    assert overview["calendar"] == "noleap" and overview["doubled"] == ["2001-02-28"]
    assert overview["missing"] == ["2001-03-01"] and overview["missing_count"] == 1 and overview["step"] == "1 day"


def test_the_whole_window_is_the_default(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", {"rain": random_maps(2)})
    with open_source(source(path)) as opened:
        np.testing.assert_array_equal(opened.read(0, 2), opened.read(0, 2, whole(opened.grid)))
        assert opened.read(1, 1).shape == (0, ROWS, COLUMNS)


def test_satellite_files_with_nameless_dimensions_and_two_dimensional_places_open(tmp_path):
    maps = random_maps(2, 3, 4)
    lat, lon = np.meshgrid([50.0, 49.5, 48.9], [5.0, 5.5, 6.0, 6.5], indexing="ij")
    lat[0, 0] = lon[0, 0] = -9999.0
    for index, single in enumerate(maps):
        with netCDF4.Dataset(str(tmp_path / f"SMAP_L3_SM_P_2001030{index + 1}_R18290_001.h5"), "w") as handle:
            group = handle.createGroup("AM")
            for name, size in (("phony_dim_0", 3), ("phony_dim_1", 4)):
                group.createDimension(name, size)
            for name, values in (("latitude", lat), ("longitude", lon), ("soil_moisture", single)):
                variable = group.createVariable(name, "f4", ("phony_dim_0", "phony_dim_1"), fill_value=-9999.0)
                variable[:] = values
    times, values, opened = _read(source(tmp_path, layer="soil_moisture"))
    assert str(times[1])[:10] == "2001-03-02" and values.shape[0] == 2
    kept = np.delete(maps.reshape(2, -1), 0, axis=1)
    for index in range(2):
        assert set(np.unique(values[index][np.isfinite(values[index])])) <= set(kept[index])
