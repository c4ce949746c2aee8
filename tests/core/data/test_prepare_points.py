"""Tables of gauges: onto the grid, as series at their gauges, or as a dataset of one cell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from freshet.core.contracts import GridConfig, PrepareJob
from freshet.core.contracts.dataset_job import PointsConfig
from freshet.core.contracts.errors import ConfigError
from freshet.core.data.gridding import gridder_for
from freshet.core.data.prepare import prepare
from freshet.core.data.sources import open_source

from .source_files import CELL, DAY, NORTH, START, WEST, job, random_maps, run, source, texts, write_folder, write_tif
from .test_prepare_packs import MOSELLE, PACKS, needs

SALMON = PACKS / "lumped_basins" / "salmon_river.csv"
PLACES = {"a": (0.5, 0.5), "b": (4.5, 0.5), "c": (1.5, 3.5), "d": (5.5, 2.5), "e": (3.0, 2.0)}


def _values(steps: int = 8, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 20, (steps, len(PLACES))).round(3)


def _table(path: Path, values: np.ndarray, names=tuple(PLACES), start=START) -> Path:
    lines = ["date," + ",".join(names)]
    for number, row in enumerate(values):
        shown = ["" if np.isnan(value) else f"{value:.3f}" for value in row]
        lines.append(f"{str(start + number * DAY)[:10]}," + ",".join(shown))
    path.write_text("\n".join(lines) + "\n")
    return path


def _stations(tmp_path) -> str:
    path = tmp_path / "stations.csv"
    rows = [f"{name},{WEST + x * CELL},{NORTH - y * CELL}" for name, (x, y) in PLACES.items()]
    path.write_text("station,x,y\n" + "\n".join(rows) + "\n")
    return str(path)


def _gauges(tmp_path, variable="gauged", **options):
    points = {"stations": _stations(tmp_path), **options.pop("points", {})}
    values = options.pop("values", _values())
    path = _table(tmp_path / f"{variable}.csv", values)
    return source(path, variable, crs="EPSG:3035", points=PointsConfig(**points), **options)


@pytest.mark.parametrize("gridding", ["idw", "kriging", "everywhere"])
def test_gauges_come_onto_the_grid_as_the_gridder_says(tmp_path, gridding):
    rain = source(write_folder(tmp_path / "a", random_maps(8)))
    gauged = _gauges(tmp_path, points={"gridding": gridding})
    dataset, events = run(job(tmp_path, rain, gauged))
    with open_source(gauged) as opened:
        gridder, _, _ = gridder_for(opened, dataset.grid)
        expected = gridder(opened.read_points(0, 8))
    with dataset:
        np.testing.assert_allclose(dataset.dynamic("gauged"), expected, rtol=1e-6)
        info = dataset.variables["gauged"]
        assert info.resampling in ("inverse distance", "kriging", "one value everywhere")
        assert info.error > 0 and "gauges left out in turn" in texts(events)
        error = next(s for s in dataset.provenance["sources"] if s["variable"] == "gauged")["error"]
        assert error["left out"]["scores"]["idw"]["count"] > 0


def test_the_variance_of_kriging_is_a_variable_of_its_own(tmp_path):
    rain = source(write_folder(tmp_path / "a", random_maps(8)))
    gauged = _gauges(tmp_path, points={"gridding": "kriging", "variance": True})
    dataset, _ = run(job(tmp_path, rain, gauged))
    with open_source(gauged) as opened:
        gridder, _, _ = gridder_for(opened, dataset.grid)
        expected = gridder.variance(opened.read_points(0, 8)) if gridder.method == "kriging" else None
    with dataset:
        assert ("gauged_variance" in dataset.variables) == (expected is not None)
        if expected is not None:
            np.testing.assert_allclose(dataset.dynamic("gauged_variance"), expected, rtol=1e-5)
            assert dataset.variables["gauged_variance"].units == "(mm/d)2"


def test_a_target_stays_at_its_gauges(tmp_path):
    rain = source(write_folder(tmp_path / "a", random_maps(8)))
    values = _values()
    values[2:4, 1] = np.nan
    flow = _gauges(tmp_path, "flow", values=values, role="target", quantity="discharge", units="l/s")
    dataset, events = run(job(tmp_path, rain, flow))
    with dataset:
        np.testing.assert_allclose(dataset.series("flow"), values / 1000, rtol=1e-5)
        assert dataset.variables["flow"].gauges and dataset.gauges.ids == tuple(PLACES)
        np.testing.assert_array_equal(dataset.gauges.columns, [0, 4, 1, 5, 3])
        np.testing.assert_array_equal(dataset.gauges.rows, [0, 0, 3, 2, 2])
        assert dataset.mask.all(), "the mask is where all maps have values"


def test_series_of_different_gauges_share_one_list(tmp_path):
    rain = source(write_folder(tmp_path / "a", random_maps(8)))
    flow = _gauges(tmp_path, "flow", role="target", quantity="discharge", units="m3/s")
    other = _table(tmp_path / "level.csv", _values()[:, :2], ("e", "z"))
    level = source(other, "level", layer="*", role="target", quantity="water_depth", units="m", points=PointsConfig())
    dataset, _ = run(job(tmp_path, rain, flow, level))
    with dataset:
        assert dataset.gauges.ids == (*PLACES, "z") and dataset.gauges.rows[-1] == -1
        series = dataset.series("level")
        np.testing.assert_allclose(series[:, [4, 5]], _values()[:, :2], rtol=1e-6)
        assert np.isnan(series[:, :4]).all() and np.isnan(dataset.series("flow")[:, 5]).all()


def test_gaps_of_series_are_filled_and_marked(tmp_path):
    rain = source(write_folder(tmp_path / "a", random_maps(8)))
    values = _values()
    values[2:4, 1] = np.nan
    flow = _gauges(tmp_path, "flow", values=values, role="target", quantity="discharge", units="m3/s", fill="linear")
    dataset, _ = run(job(tmp_path, rain, flow))
    with dataset:
        flags = dataset.filled("flow")
        assert flags.sum() == 2 and flags[2:4, 1].all()
        np.testing.assert_allclose(
            dataset.series("flow")[2:4, 1], np.interp([2, 3], [1, 4], values[[1, 4], 1]), rtol=1e-5
        )


def _columns(path, **columns):
    options = {"units": "mm/d", "points": PointsConfig()}
    return tuple(source(path, name, layer=name, **{**options, **more}) for name, more in columns.items())


def _tables_only(tmp_path, **options):
    path = _table(tmp_path / "basin.csv", _values()[:, :2], ("p", "q"))
    columns = _columns(path, p={}, q={"role": "target", "quantity": "runoff"})
    return PrepareJob(name="Basin", sources=columns, output=str(tmp_path / "out" / "b.nc"), **options)


def test_tables_alone_make_a_dataset_of_one_cell(tmp_path):
    dataset, events = run(_tables_only(tmp_path))
    with dataset:
        assert dataset.grid.shape == (1, 1) and dataset.mask.all()
        np.testing.assert_allclose(dataset.dynamic("p")[:, 0, 0], _values()[:, 0], rtol=1e-6)
        values = dataset.series("q") if dataset.variables["q"].gauges else dataset.dynamic("q")[:, :, 0]
        np.testing.assert_allclose(values[:, 0], _values()[:, 1], rtol=1e-6)
    assert "one cell for the basin, a cell at longitude 0, latitude 0" in texts(events)


def test_the_one_cell_is_that_of_the_basin_s_polygon(tmp_path):
    ring = [[6.0, 49.0], [6.5, 49.0], [6.5, 49.4], [6.0, 49.0]]
    polygon = tmp_path / "basin.geojson"
    polygon.write_text(
        json.dumps({"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}})
    )
    dataset, events = run(_tables_only(tmp_path, mask=str(polygon)))
    with dataset:
        assert dataset.grid.extent == pytest.approx((6.0, 49.0, 6.5, 49.4)) and dataset.mask.all()
    assert "the extent of the basin's polygon" in texts(events)


def test_a_map_among_the_sources_needs_a_grid(tmp_path):
    sources = _tables_only(tmp_path).sources
    maps = source(write_folder(tmp_path / "a", random_maps(8)), "maps")
    with pytest.raises(ConfigError, match="The grid is not defined.*'maps' is a map"):
        list(prepare(PrepareJob(name="B", sources=(*sources, maps), output=str(tmp_path / "o.nc"))))


def test_a_static_map_gives_the_one_cell_its_place(tmp_path):
    prepared = _tables_only(tmp_path)
    height = random_maps(1)[0] * 40
    dem = source(write_tif(tmp_path / "dem.tif", height), "dem", role="static", quantity="elevation", units="m")
    dataset, events = run(prepared.replace(sources=(*prepared.sources, dem)))
    with dataset:
        assert dataset.grid.extent == pytest.approx((WEST, NORTH - 4 * CELL, WEST + 6 * CELL, NORTH))
        assert dataset.static_map("dem")[0, 0] == pytest.approx(height.mean(), rel=1e-6)


def test_discharge_becomes_a_depth_over_its_area(tmp_path):
    path = _table(tmp_path / "q.csv", _values()[:, :1], ("q",))
    one = source(
        path,
        "q",
        layer="q",
        quantity="runoff",
        units="m3/s",
        area_km2=250.0,
        points=PointsConfig(gridding="everywhere"),
    )
    dataset, events = run(PrepareJob(name="B", sources=(one,), output=str(tmp_path / "o.nc")))
    with dataset:
        np.testing.assert_allclose(dataset.dynamic("q")[:, 0, 0], _values()[:, 0] * 86.4 / 250, rtol=1e-5)
    assert "converted from m3/s to mm/d over 250 km2" in texts(events)


@needs(PACKS / "lumped_basins")
def test_salmon_river_comes_in_as_one_cell(tmp_path):
    rows = np.genfromtxt(SALMON, delimiter=",", names=True, usecols=("p_mm_d", "t_c", "q_mm_d"))
    columns = {"p_mm_d": {"quantity": "precipitation"}, "t_c": {"quantity": "temperature", "units": "degC"},
               "q_mm_d": {"quantity": "runoff", "role": "target"}}  # fmt: skip
    prepared = PrepareJob(name="Salmon", sources=_columns(SALMON, **columns), output=str(tmp_path / "s.nc"))
    dataset, _ = run(prepared)
    with dataset:
        assert len(dataset.times) == len(rows) and str(dataset.times[0])[:10] == "1954-01-01"
        np.testing.assert_allclose(dataset.dynamic("p_mm_d")[:, 0, 0], rows["p_mm_d"], rtol=1e-6)
        series = dataset.series("q_mm_d") if dataset.variables["q_mm_d"].gauges else dataset.dynamic("q_mm_d")[:, :, 0]
        np.testing.assert_allclose(series[:, 0], rows["q_mm_d"], rtol=1e-6)


@needs(MOSELLE)
def test_the_moselle_gauge_lies_in_its_cell(tmp_path):
    daily = MOSELLE / "mhm_moselle_4km_1990_1993.nc"
    flow = source(
        MOSELLE / "gauge_00398_m3s.csv", "flow", layer="q_obs_m3s", role="target", quantity="discharge", units="m3/s",
        points=PointsConfig(stations=str(MOSELLE / "gauges.geojson")),
    )  # fmt: skip
    prepared = job(tmp_path, source(daily, "pre", layer="pre"), flow, grid=GridConfig(like="pre"))
    dataset, _ = run(prepared)
    with dataset:
        assert dataset.gauges.rows[0] >= 0 and dataset.series("flow").shape == (1461, 1)
