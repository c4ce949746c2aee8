"""prepare: sources of every kind become one dataset with the right values, dates and mask."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
import rasterio.warp

from freshet.core.contracts import GridConfig
from freshet.core.contracts.events import Artifact
from freshet.core.contracts.grid import Grid
from freshet.core.contracts.variables import quantity
from freshet.core.data.prepare import prepare
from freshet.core.data.sources import open_source
from freshet.core.data.store import Dataset
from freshet.core.data.streams import MapStream

from .source_files import (
    CELL,
    COLUMNS,
    DAY,
    NORTH,
    ROWS,
    START,
    WEST,
    job,
    random_maps,
    run,
    source,
    texts,
    write_folder,
    write_netcdf,
    write_tif,
)  # fmt: skip


def test_every_kind_of_source_comes_together_on_one_grid_and_clock(tmp_path):
    rain, wet, pet = random_maps(5), random_maps(5, seed=2) / 20, random_maps(5, seed=3)
    height = random_maps(1, seed=4)[0] * 50
    prepared = job(
        tmp_path,
        source(write_folder(tmp_path / "rain", rain)),
        source(
            write_netcdf(tmp_path / "a.nc", {"sm": wet, "b": wet}),
            "sm",
            role="target",
            quantity="soil_moisture",
            units="-",
            layer="sm",
        ),
        source(
            write_tif(tmp_path / "p.tif", pet, descriptions=[str(START + i * DAY)[:10] for i in range(5)]),
            "pet",
            quantity="pet",
        ),
        source(write_tif(tmp_path / "dem.tif", height), "dem", role="static", quantity="elevation", units="m"),
    )
    dataset, events = run(prepared)
    with dataset:
        np.testing.assert_array_equal(dataset.dynamic("rain"), rain)
        np.testing.assert_array_equal(dataset.dynamic("sm"), wet)
        np.testing.assert_array_equal(dataset.dynamic("pet"), pet)
        np.testing.assert_array_equal(dataset.static_map("dem"), height)
        np.testing.assert_array_equal(dataset.times, START + np.arange(5) * DAY)
        assert [v.role for v in dataset.variables.values()] == ["input", "target", "input", "static"]
        assert dataset.mask.all() and dataset.provenance["job"]["name"] == "Test"
    fractions = [e.values["fraction"] for e in events if e.kind.value == "progress"]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    artifact = Artifact.from_dict(events[-1].values)
    assert (
        artifact.kind == "dataset"
        and artifact.path == prepared.output
        and artifact.dates == ("2001-02-27", "2001-03-03")
    )
    assert all(json.loads(event.to_line()) for event in events)


def test_the_period_is_what_all_share_and_start_and_end_clip_it(tmp_path):
    rain = random_maps(10)
    first = source(write_folder(tmp_path / "a", rain))
    second = source(write_folder(tmp_path / "b", rain[:7], start=START + 2 * DAY), "snow")
    dataset, _ = run(job(tmp_path, first, second))
    with dataset:
        np.testing.assert_array_equal(dataset.times, START + np.arange(2, 9) * DAY)
        np.testing.assert_array_equal(dataset.dynamic("rain"), rain[2:9])
        np.testing.assert_array_equal(dataset.dynamic("snow"), rain[:7])
    dataset, events = run(job(tmp_path, first, second, start="2001-03-03", end="2001-03-30"))
    with dataset:
        np.testing.assert_array_equal(dataset.times, START + np.arange(4, 9) * DAY)
    assert "only a part of the period" in texts(events, "warning")


def test_an_end_without_a_time_holds_its_whole_day(tmp_path):
    path = write_netcdf(tmp_path / "h.nc", {"r": random_maps(16)}, step_hours=6)
    dataset, _ = run(job(tmp_path, source(path), start="2001-02-28", end="2001-02-28"))
    with dataset:
        np.testing.assert_array_equal(dataset.times, START + DAY + np.arange(4) * np.timedelta64(6 * 3600, "s"))
    dataset, _ = run(job(tmp_path, source(path), start="2001-02-28", end="2001-02-28T06:00"))
    with dataset:
        assert len(dataset.times) == 2


def test_missing_dates_stay_in_time_as_missing_and_are_told(tmp_path):
    rain = random_maps(6)
    folder = write_folder(tmp_path / "a", rain)
    (folder / "rain_2001-03-01.tif").unlink()
    dataset, events = run(job(tmp_path, source(folder)))
    with dataset:
        values = dataset.dynamic("rain")
        assert np.isnan(values[2]).all() and dataset.summary["gaps"] == []
        np.testing.assert_array_equal(np.delete(values, 2, axis=0), np.delete(rain, 2, axis=0))
    assert "1 of 6 steps are missing or not complete, the first is 2001-03-01" in texts(events, "warning")


def test_rates_of_finer_steps_are_averaged_and_amounts_become_rates(tmp_path):
    rates, daily = random_maps(16), random_maps(4, seed=5)
    hourly = write_netcdf(tmp_path / "h.nc", {"r": rates}, step_hours=6)
    amounts = write_netcdf(tmp_path / "m.nc", {"r": rates / 4}, step_hours=6)
    dataset, events = run(
        job(
            tmp_path,
            source(write_folder(tmp_path / "a", daily)),
            source(hourly, "rate"),
            source(amounts, "amount", units="mm"),
            source(amounts, "per_six", units="mm/6h"),
            source(hourly, "most", aggregation="maximum"),
        )
    )
    expected = rates.reshape(4, 4, ROWS, COLUMNS).mean(axis=1)
    with dataset:
        assert dataset.step_seconds == 86400
        for name in ("rate", "amount", "per_six"):
            np.testing.assert_allclose(dataset.dynamic(name), expected, rtol=1e-5)
        np.testing.assert_array_equal(dataset.dynamic("most"), rates.reshape(4, 4, ROWS, COLUMNS).max(axis=1))
    assert "4 steps of 6 hours make one of 1 day (mean)" in texts(events)


def test_a_step_is_present_only_where_all_finer_ones_are(tmp_path):
    rates = random_maps(16)
    rates[5, 1, 1] = np.nan
    path = write_netcdf(tmp_path / "h.nc", {"r": np.delete(rates, 9, axis=0)}, times=np.delete(np.arange(16) * 6.0, 9))
    dataset, _ = run(job(tmp_path, source(path), step_hours=24))
    with dataset:
        values = dataset.dynamic("rain")
        assert (
            np.isnan(values[2]).all()
            and np.isnan(values[1, 1, 1])
            and np.isfinite(values).sum() == 3 * ROWS * COLUMNS - 1
        )


def test_an_unfinished_day_at_either_end_is_left_out(tmp_path):
    path = write_netcdf(tmp_path / "h.nc", {"r": random_maps(12)}, times=6.0 + np.arange(12) * 6.0)
    dataset, _ = run(job(tmp_path, source(path), step_hours=24))
    with dataset:
        np.testing.assert_array_equal(dataset.times, START + np.arange(1, 3) * DAY)


def test_noon_labels_are_taken_for_their_day(tmp_path):
    rain = random_maps(4)
    path = write_netcdf(tmp_path / "h.nc", {"r": rain}, times=12.0 + np.arange(4) * 24.0)
    dataset, events = run(job(tmp_path, source(write_folder(tmp_path / "a", rain)), source(path, "noon")))
    with dataset:
        np.testing.assert_array_equal(dataset.dynamic("noon"), rain)
        np.testing.assert_array_equal(dataset.times, START + np.arange(4) * DAY)
    assert "2001-02-27T12:00 is taken for the step that holds it" in texts(events)


@pytest.mark.parametrize(
    ("quantity", "units", "scale", "offset", "to"),
    [
        ("precipitation", "kg m-2 s-1", 86400, 0, "mm/d"), ("temperature", "K", 1, -273.15, "degC"),
        ("soil_moisture", "%", 0.01, 0, "-"), ("snow", "m", 1000, 0, "mm"),
    ],
)  # fmt: skip
def test_units_become_those_of_the_catalogue(tmp_path, quantity, units, scale, offset, to):
    inside = random_maps(3) / 20
    stored = ((inside - offset) / scale).astype(np.float32)
    dataset, events = run(job(tmp_path, source(write_folder(tmp_path / "a", stored), quantity=quantity, units=units)))
    with dataset:
        np.testing.assert_allclose(dataset.dynamic("rain"), inside, atol=5e-5)  # 273 in float32 has steps of 3e-5
        assert dataset.variables["rain"].units == to
    assert f"converted from {units} to {to}" in texts(events)


def test_the_unit_of_the_file_is_taken_and_a_missing_one_is_told(tmp_path):
    rain = random_maps(3)
    path = write_netcdf(tmp_path / "a.nc", {"r": rain / 24}, attributes={"units": "mm h-1"})
    dataset, _ = run(job(tmp_path, source(path, units="")))
    with dataset:
        np.testing.assert_allclose(dataset.dynamic("rain"), rain, rtol=1e-6)
    _, events = run(job(tmp_path, source(write_folder(tmp_path / "f", rain), units="")))
    assert "names no unit; its values are taken as mm/d" in texts(events)


def test_another_quantity_keeps_its_own_unit(tmp_path):
    dataset, _ = run(
        job(tmp_path, source(write_folder(tmp_path / "a", random_maps(3)), quantity="other", units="bushels"))
    )
    with dataset:
        assert dataset.variables["rain"].units == "bushels"


def test_a_coarser_and_shifted_source_is_resampled_and_told(tmp_path):
    coarse = random_maps(3, 2, 3)
    folder = write_folder(tmp_path / "c", coarse, cell=2 * CELL)
    dataset, events = run(job(tmp_path, source(write_folder(tmp_path / "a", random_maps(3))), source(folder, "coarse")))
    with dataset:
        np.testing.assert_allclose(dataset.dynamic("coarse"), coarse.repeat(2, axis=1).repeat(2, axis=2), rtol=1e-6)
    assert "'coarse': resampled from cells of 2000 to 1000 (conservative, the mean by area)" in texts(events)


def test_a_large_source_is_read_only_where_the_grid_lies(tmp_path):
    large = random_maps(2, 40, 60)
    folder = write_folder(tmp_path / "a", large, west=WEST - 20 * CELL, north=NORTH + 10 * CELL)
    grid = GridConfig(
        crs="EPSG:3035", resolution=CELL, extent=(WEST, NORTH - ROWS * CELL, WEST + COLUMNS * CELL, NORTH)
    )
    dataset, _ = run(job(tmp_path, source(folder), grid=grid))
    with dataset:
        np.testing.assert_array_equal(dataset.dynamic("rain"), large[:, 10 : 10 + ROWS, 20 : 20 + COLUMNS])


def test_a_world_map_is_read_around_the_basin_only(tmp_path):
    world = random_maps(2, 180, 360)
    west, north, cell = -180.0, 90.0, 1.0
    folder = write_folder(tmp_path / "w", world, crs="EPSG:4326", west=west, north=north, cell=cell)
    near = source(write_folder(tmp_path / "a", random_maps(2)))
    with open_source(source(folder)) as opened:
        stream = MapStream(opened, Grid("EPSG:3035", WEST, NORTH, CELL, CELL, COLUMNS, ROWS), None)
        assert 0 < stream.map_bytes(ROWS) < 200 * 4
    dataset, _ = run(job(tmp_path, near, source(folder, "world", resampling="nearest")))
    with dataset:
        values = dataset.dynamic("world")
        x, y = rasterio.warp.transform("EPSG:3035", "EPSG:4326", [WEST + CELL / 2], [NORTH - CELL / 2])
        row, column = int((north - y[0]) / cell), int((x[0] - west) / cell)
        np.testing.assert_array_equal(values[:, 0, 0], world[:, row, column])
        assert np.isfinite(values).all()


def test_the_grid_may_be_like_a_raster_or_coarser(tmp_path):
    rain = random_maps(2)
    like = write_tif(tmp_path / "like.tif", rain[0, :2, :2])
    folder = write_folder(tmp_path / "a", rain)
    dataset, _ = run(job(tmp_path, source(folder), grid=GridConfig(like=str(like))))
    with dataset:
        np.testing.assert_array_equal(dataset.dynamic("rain"), rain[:, :2, :2])
    dataset, _ = run(job(tmp_path, source(folder), grid=GridConfig(like="rain", resolution=2 * CELL)))
    with dataset:
        np.testing.assert_allclose(dataset.dynamic("rain"), rain.reshape(2, 2, 2, 3, 2).mean(axis=(2, 4)), rtol=1e-6)


def _polygon(inside: str, crs=None) -> str:
    shape = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": json.loads(inside)}}
    return json.dumps({"type": "FeatureCollection", "features": [shape], **({"crs": crs} if crs else {})})


def test_the_mask_comes_from_a_raster_polygons_or_the_target(tmp_path):
    rain = random_maps(3)
    rain[:, 0, 0] = np.nan
    target = source(write_folder(tmp_path / "a", rain), role="target")
    dataset, _ = run(job(tmp_path, target))
    with dataset:
        np.testing.assert_array_equal(dataset.mask, ~np.isnan(rain).all(axis=0))
    cells = np.zeros((ROWS, COLUMNS), dtype=np.uint8)
    cells[1:, 2:] = 7
    dataset, _ = run(job(tmp_path, target, mask=str(write_tif(tmp_path / "m.tif", cells, nodata=None))))
    with dataset:
        np.testing.assert_array_equal(dataset.mask, cells > 0)
    ring = [[[WEST + 2 * CELL, NORTH - CELL], [WEST + 9 * CELL, NORTH - CELL], [WEST + 9 * CELL, NORTH - 9 * CELL],
             [WEST + 2 * CELL, NORTH - 9 * CELL], [WEST + 2 * CELL, NORTH - CELL]]]  # fmt: skip
    path = tmp_path / "mask.geojson"
    path.write_text(_polygon(json.dumps(ring), {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3035"}}))
    dataset, _ = run(job(tmp_path, target, mask=str(path)))
    with dataset:
        np.testing.assert_array_equal(dataset.mask, cells > 0)


def test_a_polygon_in_degrees_lands_where_it_belongs(tmp_path):
    from rasterio.warp import transform_geom

    ring = [[WEST + 2 * CELL, NORTH - CELL], [WEST + 9 * CELL, NORTH - CELL], [WEST + 9 * CELL, NORTH - 9 * CELL],
            [WEST + 2 * CELL, NORTH - 9 * CELL], [WEST + 2 * CELL, NORTH - CELL]]  # fmt: skip
    degrees = transform_geom("EPSG:3035", "EPSG:4326", {"type": "Polygon", "coordinates": [ring]})
    path = tmp_path / "mask.geojson"
    path.write_text(_polygon(json.dumps(degrees["coordinates"])))
    dataset, _ = run(job(tmp_path, source(write_folder(tmp_path / "a", random_maps(2))), mask=str(path)))
    with dataset:
        assert dataset.mask[1:, 2:].all() and dataset.mask.sum() == 12


def test_values_beyond_what_is_plausible_are_told_with_share_and_date(tmp_path):
    rain = random_maps(5)
    rain[3, 1, 1] = 25000.0
    _, events = run(job(tmp_path, source(write_folder(tmp_path / "a", rain))))
    most = quantity("precipitation").maximum
    assert f"'rain': 0.83% of the values lie outside 0 to {most:g} mm/d" in texts(events, "warning")
    assert "first on 2001-03-02" in texts(events, "warning")


def test_a_source_that_covers_a_part_of_the_grid_is_told(tmp_path):
    rain = random_maps(3)
    _, events = run(
        job(
            tmp_path,
            source(write_folder(tmp_path / "a", rain)),
            source(write_folder(tmp_path / "b", rain[:, :, :3]), "half"),
        )
    )
    assert "'half' covers 50% of the grid" in texts(events, "warning")


def test_cancelling_in_the_middle_leaves_no_file(tmp_path):
    prepared = job(tmp_path, source(write_folder(tmp_path / "a", random_maps(5))))
    events = prepare(prepared)
    for event in events:
        if event.values.get("text", "").startswith("rain: "):
            break
    events.close()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["dataset.nc.parts"]


def test_the_same_job_gives_the_same_fingerprint(tmp_path):
    prepared = job(tmp_path, source(write_folder(tmp_path / "a", random_maps(5))))
    marks = []
    for _ in range(2):
        list(prepare(prepared))
        with Dataset.open(prepared.output) as dataset:
            marks.append(dataset.fingerprint())
    assert marks[0] == marks[1]


def test_two_maps_of_classes_are_told_apart_by_their_names():
    from freshet.core.data.streams import _label

    assert _label("leaf_area", "class_map", "Map of classes") == "Leaf area"
    assert _label("q_x", "other", "Another quantity") == "q_x" and _label("p", "pet", "PET") == "PET"
