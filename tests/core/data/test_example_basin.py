"""The example basin: its water balance, its landscape, its delays, and the files that it is written to."""

from __future__ import annotations

import csv
import dataclasses
import json

import numpy as np
import pytest

from freshet.core.contracts.errors import ConfigError, DataError
from freshet.core.data import example_basin
from freshet.core.data.example_basin import files, hydrology, storms, terrain

SMALL = {"rows": 24, "columns": 20, "days": 400}


@pytest.fixture(scope="module")
def basin():
    return example_basin.generate_basin(seed=1, **SMALL)


@pytest.fixture(scope="module")
def full_basin():
    return example_basin.generate_basin()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    basin = example_basin.generate_basin(seed=2, rows=24, columns=20, days=20)
    return basin, example_basin.write_basin(basin, tmp_path_factory.mktemp("basin"))


# ---- water balance


@pytest.mark.parametrize("part", ["cell", "channel", "basin"])
def test_water_balance_closes_to_rounding(full_basin, part):
    left = example_basin.water_balance(full_basin)[part]
    assert np.isfinite(left).sum() == (1 if part == "basin" else full_basin.basin_mask.sum())
    assert np.nanmax(np.abs(left)) < 1e-10


def test_balance_of_every_single_day_closes_in_every_cell(basin):
    before = {name: getattr(basin, f"initial_{name}_mm")[None] for name in ("snow", "soil", "groundwater")}
    change = sum(np.diff(getattr(basin, f"{n}_mm"), axis=0, prepend=first) for n, first in before.items())
    left = basin.precipitation_mm - basin.evaporation_mm - basin.runoff_mm - change
    assert np.abs(left[:, basin.basin_mask]).max() < 1e-10


def test_balance_notices_water_that_is_lost(basin):
    leaking = dataclasses.replace(basin, evaporation_mm=basin.evaporation_mm * 0.999)
    assert abs(example_basin.water_balance(leaking)["basin"]) > 1e-5


def test_stores_and_fluxes_are_never_negative(full_basin):
    for name in ("snow_mm", "soil_mm", "groundwater_mm", "channel_mm", "evaporation_mm", "runoff_mm", "discharge_m3s"):
        assert getattr(full_basin, name)[:, full_basin.basin_mask].min() >= -1e-9, name


def test_evaporation_stays_below_potential_and_soil_below_capacity(full_basin):
    inside = full_basin.basin_mask
    assert (full_basin.evaporation_mm <= full_basin.pet_mm + 1e-12)[:, inside].all()
    assert full_basin.soil_moisture[:, inside].max() <= 1.0 + 1e-12


def test_discharge_at_the_outlet_carries_the_runoff_of_the_basin(full_basin):
    to_mm = 86400.0 * 1000.0 / full_basin.cell_area_m2
    passed = full_basin.gauge_discharge_m3s[:, 0].sum() * to_mm
    stored = np.nansum(full_basin.channel_mm[-1] - full_basin.initial_channel_mm)
    assert passed + stored == pytest.approx(np.nansum(full_basin.runoff_mm), rel=1e-12)
    assert abs(stored) < 0.02 * passed


# ---- landscape


@pytest.mark.parametrize("seed", range(1, 9))
def test_every_cell_of_the_basin_drains_to_the_outlet(seed):
    land = terrain.make_terrain(np.random.default_rng(seed), 24, 20)
    for cell in np.nonzero(land.basin_mask.ravel())[0]:
        path = terrain.flow_path(cell, land.downstream)
        assert path[-1] == land.outlet
        assert (np.diff(land.filled_m.ravel()[path]) < 0.0).all()
    assert land.basin_mask.mean() > 0.5


def test_no_inner_cell_is_a_pit(full_basin):
    inner = full_basin.downstream.reshape(full_basin.basin_mask.shape)[1:-1, 1:-1]
    assert (inner >= 0).all()


def test_filling_raises_a_hollow_to_its_rim_and_nothing_else():
    surface = np.full((5, 5), 10.0)
    surface[0, 2] = 5.0
    surface[2, 2] = 1.0
    filled = terrain.fill_depressions(surface, step_m=0.01)
    assert filled[2, 2] == pytest.approx(10.01)
    assert filled[1, 2] == 10.0
    np.testing.assert_array_equal(filled[0], surface[0])


def test_steepest_descent_goes_the_known_way_down():
    plane = np.add.outer(np.arange(4.0)[::-1] * 2.0, np.arange(4.0)[::-1] * 2.0)  # lowest in the south-east
    direction, downstream = terrain.steepest_descent(plane)
    assert direction[1, 1] == 2
    assert downstream[5] == 10
    assert direction[3, 0] == 1
    assert direction[3, 3] == 0 and downstream[15] == -1


def test_upstream_area_of_the_outlet_is_the_area_of_the_basin(full_basin):
    outlet = full_basin.gauges[0]
    area = full_basin.basin_mask.sum() * full_basin.cell_area_m2 / 1e6
    assert full_basin.upstream_area_km2[outlet.row, outlet.column] == pytest.approx(area)
    assert outlet.area_km2 == pytest.approx(area)


def test_gauges_measure_what_contributes_to_them(full_basin):
    assert len(full_basin.gauges) >= 3
    for gauge, area in zip(full_basin.gauges, full_basin.contributing):
        assert area.sum() == pytest.approx(full_basin.upstream_area_km2[gauge.row, gauge.column] / 4.0)
        assert not (area & ~full_basin.basin_mask).any()


def test_fine_elevation_averages_to_the_elevation_of_the_cells(basin):
    fine = basin.fine_elevation_m
    mean = (fine[::2, ::2] + fine[1::2, ::2] + fine[::2, 1::2] + fine[1::2, 1::2]) / 4.0
    np.testing.assert_allclose(mean, basin.elevation_m, rtol=1e-12)


# ---- delays


def test_an_impulse_arrives_after_its_travel_time(full_basin):
    days, start = 30, 3
    for number, gauge in enumerate(full_basin.gauges):
        for row, column in np.argwhere(full_basin.contributing[number])[::37]:
            runoff = np.zeros((days, *full_basin.basin_mask.shape))
            runoff[start, row, column] = 1.0
            flow = hydrology.route(runoff, full_basin.downstream, full_basin.residence_days)[:, gauge.row, gauge.column]
            assert flow.sum() == pytest.approx(1.0)
            mean_delay = (flow * (np.arange(days) - start)).sum()
            assert mean_delay == pytest.approx(full_basin.gauge_travel_time_days[number, row, column])


def test_runoff_outside_the_contributing_area_never_reaches_the_gauge(full_basin):
    gauge = full_basin.gauges[1]
    runoff = np.where(full_basin.contributing[1], 0.0, 1.0) * np.ones((20, 1, 1))
    flow = hydrology.route(runoff, full_basin.downstream, full_basin.residence_days)
    assert not flow[:, gauge.row, gauge.column].any()


def test_discharge_is_the_runoff_shifted_by_the_travel_times(full_basin):
    """Rebuild the hydrograph of each gauge from the published truth alone."""
    for number, area in enumerate(full_basin.contributing):
        delay = full_basin.gauge_travel_time_days[number][area]
        runoff = full_basin.runoff_mm[:, area]
        first = int(delay.max()) + 2
        whole, part = np.floor(delay).astype(int), delay % 1.0
        cells = np.arange(delay.size)
        expected = [
            ((1 - part) * runoff[t - whole, cells] + part * runoff[t - whole - 1, cells]).sum()
            for t in range(first, runoff.shape[0])
        ]
        to_m3s = full_basin.cell_area_m2 / 1000.0 / 86400.0
        np.testing.assert_allclose(
            full_basin.gauge_discharge_m3s[first:, number], np.array(expected) * to_m3s, rtol=1e-9
        )


def test_travel_time_shrinks_downstream_by_the_time_through_each_cell(full_basin):
    days, stay = full_basin.travel_time_days.ravel(), full_basin.residence_days.ravel()
    inner = np.nonzero(full_basin.basin_mask.ravel() & (full_basin.downstream >= 0))[0]
    np.testing.assert_allclose(days[inner] - days[full_basin.downstream[inner]], stay[inner], rtol=1e-9)
    assert 2.0 < np.nanmax(days) < 10.0


# ---- plausible weather and water


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_climate_and_runoff_are_those_of_a_temperate_basin(seed):
    basin = example_basin.generate_basin(seed=seed, rows=24, columns=20, days=730)
    inside = basin.basin_mask
    rain = basin.precipitation_mm[:, inside]
    annual = {name: getattr(basin, name)[:, inside].sum(axis=0).mean() / 2.0 for name in ("pet_mm", "runoff_mm")}
    assert 600.0 < rain.sum(axis=0).mean() / 2.0 < 1500.0
    assert 0.2 < basin.runoff_mm[:, inside].sum() / rain.sum() < 0.7
    assert 450.0 < annual["pet_mm"] < 850.0
    assert 0.55 < (rain < 1.0).mean() < 0.85
    assert rain.max() < 250.0


def test_temperature_falls_with_height_and_follows_the_season(full_basin):
    inside = full_basin.basin_mask
    slope = np.polyfit(full_basin.elevation_m[inside], full_basin.temperature_c[:, inside].mean(axis=0), 1)[0]
    assert slope == pytest.approx(-0.006, abs=0.002)
    assert full_basin.temperature_c[181:212].mean() > full_basin.temperature_c[:31].mean() + 10.0


def test_fronts_cross_the_basin_from_west_to_east(full_basin):
    west, east = (full_basin.precipitation_mm[:, :, part].mean(axis=(1, 2)) for part in (slice(0, 8), slice(-8, None)))
    west, east = west - west.mean(), east - east.mean()
    assert (west[:-1] * east[1:]).mean() > 1.3 * (east[:-1] * west[1:]).mean()


def test_fronts_carry_a_texture_without_seams():
    field = terrain.fractal_field(np.random.default_rng(3), 160, 160, 2.8, periodic=True)
    inner = np.abs(np.diff(field, axis=0)).mean()
    assert np.abs(field[0] - field[-1]).mean() < 1.5 * inner


def test_soil_moisture_remembers_for_some_weeks(full_basin):
    values = full_basin.soil_moisture[:, full_basin.basin_mask]
    anomaly = values - values.mean(axis=0)
    after_week, after_quarter = ((anomaly[lag:] * anomaly[:-lag]).mean() / (anomaly**2).mean() for lag in (7, 90))
    assert after_week > 0.5
    assert after_quarter < 0.3


def test_hamon_gives_the_value_worked_out_by_hand():
    # 20 degC: 23.38 hPa, 17.28 g/m3; twelve hours of day at the equator: 0.1651 * 17.28 * 1.2 = 3.42 mm/d.
    assert storms.hamon_pet(np.array([20.0]), np.array([80.0]), latitude_deg=0.0)[0] == pytest.approx(3.42, abs=0.01)


def test_days_are_long_in_june_and_short_in_december():
    june, december = storms.day_length_h(np.array([171.0, 354.0]), 48.0)
    assert june == pytest.approx(16.0, abs=0.3)
    assert december == pytest.approx(8.2, abs=0.3)


# ---- seeds and sizes


def test_the_same_seed_gives_the_same_basin_and_another_seed_another(basin):
    again = example_basin.generate_basin(seed=1, **SMALL)
    for item in dataclasses.fields(basin):
        one, two = getattr(basin, item.name), getattr(again, item.name)
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, two, err_msg=item.name)
    other = example_basin.generate_basin(seed=2, rows=24, columns=20, days=3)
    assert not np.array_equal(other.elevation_m, basin.elevation_m)


@pytest.mark.parametrize("change", [{"rows": 3}, {"columns": 5}, {"days": 0}, {"resolution_m": 0.0}])
def test_sizes_that_cannot_be_are_refused(change):
    with pytest.raises(ConfigError) as caught:
        example_basin.generate_basin(**{**SMALL, **change})
    assert caught.value.remedy


def test_a_rectangle_without_a_large_basin_is_refused(monkeypatch):
    monkeypatch.setattr(terrain, "_SHARE_OF_RECTANGLE", (1.1, 1.2))
    monkeypatch.setattr(terrain, "_ATTEMPTS", 2)
    with pytest.raises(DataError, match="No basin fills the rectangle"):
        terrain.make_terrain(np.random.default_rng(1), 12, 12)


# ---- files


def test_dated_rain_maps_read_back_as_they_were(written):
    rasterio = pytest.importorskip("rasterio")
    basin, paths = written
    found = sorted(paths["precipitation"].iterdir())
    assert [path.name for path in found] == [f"precipitation_{day}.tif" for day in basin.dates]
    with rasterio.open(found[7]) as raster:
        assert raster.crs.to_epsg() == 3035
        assert raster.nodata == -9999.0 and raster.dtypes[0] == "float32" and raster.block_shapes == [(64, 64)]
        assert raster.xy(0, 0) == (basin.west_m + 1000.0, basin.north_m - 1000.0)
        np.testing.assert_array_equal(raster.read(1), basin.precipitation_mm[7].astype(np.float32))


def test_temperature_has_a_band_for_each_date(written):
    rasterio = pytest.importorskip("rasterio")
    basin, paths = written
    with rasterio.open(paths["temperature"]) as raster:
        assert list(raster.descriptions) == [str(day) for day in basin.dates]
        assert set(raster.units) == {"degC"}
        np.testing.assert_array_equal(raster.read(), basin.temperature_c.astype(np.float32))


def test_static_maps_cover_the_same_extent_at_their_own_cell_size(written):
    rasterio = pytest.importorskip("rasterio")
    basin, paths = written
    with rasterio.open(paths["elevation"]) as fine, rasterio.open(paths["upstream_area"]) as area:
        assert fine.bounds == area.bounds
        assert fine.res == (1000.0, 1000.0) and area.res == (2000.0, 2000.0)
        np.testing.assert_array_equal(fine.read(1), basin.fine_elevation_m.astype(np.float32))
        np.testing.assert_array_equal(area.read(1), basin.upstream_area_km2.astype(np.float32))


@pytest.mark.parametrize(
    ("name", "field", "unit"),
    [
        ("pet", "pet_mm", "mm d-1"),
        ("soil_moisture", "soil_moisture", "1"),
        ("snow", "snow_mm", "mm"),
        ("discharge", "discharge_m3s", "m3 s-1"),
    ],
)
def test_netcdf_series_read_back_as_they_were(written, name, field, unit):
    xarray = pytest.importorskip("xarray")
    basin, paths = written
    with xarray.open_dataset(paths[name]) as dataset:
        series = dataset[name]
        assert series.attrs["units"] == unit and series.dims == ("time", "y", "x")
        assert dataset["crs"].attrs["grid_mapping_name"] == "lambert_azimuthal_equal_area"
        np.testing.assert_array_equal(series["time"].values.astype("datetime64[D]"), basin.dates)
        assert (np.diff(series["y"]) > 0).all() == (name == "snow")
        north_first = series.sortby("y", ascending=False)
        np.testing.assert_array_equal(north_first.values, getattr(basin, field).astype(np.float32))


def test_gdal_places_a_series_stored_from_south_to_north_where_it_belongs(written):
    rasterio = pytest.importorskip("rasterio")
    basin, paths = written
    if "netCDF" not in rasterio.drivers.raster_driver_extensions().values():
        pytest.skip("this rasterio is built without the NetCDF driver")
    outlet = basin.gauges[0]
    for name, field in (("snow", basin.snow_mm), ("discharge", basin.discharge_m3s)):
        with rasterio.open(f'NETCDF:"{paths[name]}":{name}') as raster:
            value = next(raster.sample([(outlet.x_m, outlet.y_m)], indexes=1))[0]
        assert value == np.float32(field[0, outlet.row, outlet.column])


def test_polygon_covers_exactly_the_cells_of_the_basin(written):
    pytest.importorskip("rasterio")
    from rasterio.features import rasterize
    from rasterio.transform import from_origin

    basin, paths = written
    collection = json.loads(paths["basin"].read_text(encoding="utf-8"))
    shapes = [feature["geometry"] for feature in collection["features"]]
    assert len(shapes) == 1
    grid = from_origin(basin.west_m, basin.north_m, basin.resolution_m, basin.resolution_m)
    np.testing.assert_array_equal(rasterize(shapes, basin.basin_mask.shape, transform=grid) == 1, basin.basin_mask)


def test_tables_name_the_gauges_and_their_discharge(written):
    basin, paths = written
    with open(paths["gauges"], encoding="utf-8", newline="") as stream:
        gauges = list(csv.DictReader(stream))
    with open(paths["gauge_discharge"], encoding="utf-8", newline="") as stream:
        days = list(csv.DictReader(stream))
    assert [row["name"] for row in gauges] == [gauge.name for gauge in basin.gauges]
    assert float(gauges[0]["x"]) == basin.gauges[0].x_m
    assert [row["date"] for row in days] == [str(day) for day in basin.dates]
    np.testing.assert_allclose([float(row["Outlet"]) for row in days], basin.gauge_discharge_m3s[:, 0], atol=1e-4)


def test_truth_reads_back_as_it_was(written):
    xarray = pytest.importorskip("xarray")
    basin, paths = written
    with xarray.open_dataset(paths["truth"], decode_timedelta=False) as truth:
        np.testing.assert_array_equal(truth["travel_time"].values, basin.travel_time_days)
        np.testing.assert_array_equal(truth["gauge_travel_time"].values, basin.gauge_travel_time_days)
        np.testing.assert_array_equal(truth["contributing"].values == 1, basin.contributing)
        np.testing.assert_array_equal(truth["flow_direction"].values, basin.flow_direction)
        assert list(truth["gauge"].values) == [gauge.name for gauge in basin.gauges]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(basin, tmp_path, monkeypatch):
    path = tmp_path / "temperature.tif"
    path.write_text("old", encoding="utf-8")
    broken = dataclasses.replace(basin, crs="EPSG:0")
    with pytest.raises(ValueError, match="EPSG"):
        files._write_raster(path, basin.temperature_c[:2], broken, "degC")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]
