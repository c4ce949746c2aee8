"""Terrain on a dataset's grid: averages, maxima, upscaled directions, margins, outlets in another CRS, bad models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.warp import transform

from freshet.core.contracts import DataError
from freshet.core.contracts.dataset_job import TERRAIN_MAPS, TerrainConfig
from freshet.core.contracts.grid import Grid
from freshet.core.data import terrain
from freshet.core.data.example_basin.terrain import fractal_field
from freshet.core.data.terrain import FlowNetwork, GridTerrain, derive, maps_for, mask_for, network_for
from freshet.core.data.terrain import dem as dem_module

WEST, NORTH, CELL = 4_000_000.0, 3_000_000.0, 500.0
PACK = Path(__file__).resolve().parents[4] / "shared" / "data" / "mhm_moselle"


def write_dem(path, heights, crs="EPSG:3035", west=WEST, north=NORTH, cell=CELL, nodata=-9999.0, units="m", bands=1):
    values = np.asarray(heights, dtype=np.float32)
    if nodata is not None:
        values = np.where(np.isnan(values), np.float32(nodata), values)
    rows, columns = values.shape
    profile = {"driver": "GTiff", "dtype": "float32", "width": columns, "height": rows, "count": bands}
    place = {"crs": crs, "transform": Affine(cell, 0, west, 0, -cell, north), "nodata": nodata}
    with rasterio.open(path, "w", **profile, **place) as raster:
        for band in range(1, bands + 1):
            raster.write(values, band)
        if units:
            raster.units = [units] * bands
    return str(path)


def hills(rows, columns, seed=5):
    rng = np.random.default_rng(seed)
    fall = np.linspace(900.0, 0.0, rows)[:, None]
    return (700.0 + fall + 60.0 * fractal_field(rng, rows, columns, 3.2)).astype(np.float32)


def grid_of(rows, columns, cell, crs="EPSG:3035", west=WEST, north=NORTH):
    return Grid(crs, west, north, cell, cell, columns, rows)


def config(path, *maps, **more):
    return TerrainConfig(dem=path, maps=maps, **more)


def blocks(values, factor):
    rows, columns = (size // factor for size in values.shape)
    return values.reshape(rows, factor, columns, factor)


def test_whole_cells_are_averaged_and_the_largest_area_kept(tmp_path):
    heights = hills(40, 32)
    path = write_dem(tmp_path / "dem.tif", heights)
    fine = derive(heights, grid_of(40, 32, CELL), TERRAIN_MAPS, 5.0)
    found = maps_for(config(path, *TERRAIN_MAPS, stream_km2=5.0), grid_of(10, 8, 2000.0))
    assert list(found) == list(TERRAIN_MAPS)
    for name, (quantity, _, values) in found.items():
        assert (quantity, values.dtype, values.shape) == (name, np.float32, (10, 8))
        if name == "upstream_area":
            np.testing.assert_allclose(values, blocks(fine[name], 4).max(axis=(1, 3)), rtol=1e-6)
        elif name != "flow_direction":
            np.testing.assert_allclose(values, blocks(fine[name], 4).mean(axis=(1, 3)), rtol=1e-4, atol=1e-4)
    assert found["slope"][1] == "deg" and found["distance_to_outlet"][1] == "km"
    assert set(np.unique(found["flow_direction"][2])) <= {0, 1, 2, 4, 8, 16, 32, 64, 128}


def test_the_same_grid_changes_nothing(tmp_path):
    heights = hills(20, 24)
    path = write_dem(tmp_path / "dem.tif", heights)
    grid = grid_of(20, 24, CELL)
    fine = derive(heights, grid, TERRAIN_MAPS)
    for name, (_, _, values) in maps_for(config(path, *TERRAIN_MAPS), grid).items():
        np.testing.assert_allclose(values, fine[name], rtol=1e-6, err_msg=name)
    assert np.array_equal(network_for(config(path), grid).directions, FlowNetwork(heights, grid).directions)


def test_upscaled_network_follows_the_rivers_of_the_fine_one(tmp_path):
    heights = hills(120, 100)
    path = write_dem(tmp_path / "dem.tif", heights)
    notes = []
    network = network_for(config(path), grid_of(24, 20, 2500.0), notes)
    assert "Flow directions of the grid are upscaled from 5 x 5 cells each." in notes
    assert network.valid.all()
    fine = FlowNetwork(heights, grid_of(120, 100, CELL)).upstream_area_km2
    largest = blocks(fine, 5).max(axis=(1, 3))
    rivers = largest > 100.0
    assert rivers.sum() > 20
    assert np.median(np.abs(network.upstream_area_km2 / largest - 1)[rivers]) < 0.2
    rain = np.random.default_rng(1).uniform(0, 9, (2, 24, 20)).astype(np.float32)
    mean = network.upstream_mean(rain)
    ends = network.cells[network.down == np.arange(len(network.down))]
    weights = network.upstream_area_km2.ravel()[ends]
    assert (mean[0].ravel()[ends] * weights).sum() / weights.sum() == pytest.approx(rain[0].mean(), rel=1e-5)


def test_cells_that_do_not_fit_take_the_averaged_elevations(tmp_path):
    heights = hills(60, 60)
    path = write_dem(tmp_path / "dem.tif", heights)
    notes = []
    grid = grid_of(8, 8, 3300.0, west=WEST + 130.0)
    network = network_for(config(path), grid, notes)
    assert "Flow directions of the grid follow from the elevations averaged over its cells." in notes
    averaged = terrain.on_grid.averaged(heights, grid_of(60, 60, CELL), grid)
    assert np.array_equal(network.directions, FlowNetwork(averaged, grid).directions)
    area = maps_for(config(path, "upstream_area"), grid)["upstream_area"][2]
    fine = FlowNetwork(heights, grid_of(60, 60, CELL)).upstream_area_km2
    inner = fine[14:19, 14:19].max()  # cells of the model that lie wholly under cell (2, 2)
    assert inner <= area[2, 2] <= fine[12:21, 12:22].max()


def test_another_crs(tmp_path):
    heights = hills(80, 80)
    path = write_dem(tmp_path / "dem.tif", heights)
    xs, ys = transform("EPSG:3035", "EPSG:4326", [WEST + 20_000.0], [NORTH - 20_000.0])
    grid = Grid("EPSG:4326", xs[0] - 0.1, ys[0] + 0.1, 0.02, 0.02, 10, 10)
    found = maps_for(config(path, "elevation", "slope", "upstream_area", "flow_direction"), grid)
    assert all(np.isfinite(values).all() for _, _, values in found.values())
    fine = derive(heights, grid_of(80, 80, CELL), ("slope",))["slope"]
    assert found["slope"][2].mean() == pytest.approx(fine[20:60, 20:60].mean(), rel=0.1)


def test_coarser_model_is_used_and_told(tmp_path):
    path = write_dem(tmp_path / "dem.tif", hills(20, 20))
    warnings = []
    found = maps_for(config(path, "slope", "upstream_area", "flow_direction"), grid_of(40, 40, 250.0), None, warnings)
    assert any("larger than those of the grid" in text for text in warnings)
    assert all(np.isfinite(values).all() for _, _, values in found.values())


def test_margin_grows_until_the_river_is_whole(tmp_path):
    """A valley that falls to the south: what lies above the grid drains through it."""
    y, x = np.mgrid[0:400, 0:41]
    heights = (3000.0 + 20.0 * np.abs(x - 20) - 3.0 * y).astype(np.float32)
    path = write_dem(tmp_path / "dem.tif", heights)
    grid = grid_of(20, 20, CELL, west=WEST + 10 * CELL, north=NORTH - 360 * CELL)
    made = GridTerrain(config(path, "upstream_area"), grid)
    found = dict(made.maps())["upstream_area"][2]
    fine = FlowNetwork(heights, grid_of(400, 41, CELL)).upstream_area_km2
    np.testing.assert_allclose(found, fine[360:380, 10:30], rtol=1e-6)
    # The head of the valley lies at the edge of the model; nobody knows what comes from beyond.
    assert any("beyond the edge of the elevation model" in text for text in made.warnings)


def test_outlet_waits_until_its_river_is_whole(tmp_path):
    """Within the grid and its margin the river drains too little to be one; a brook beside it is one at once."""
    y, x = np.mgrid[0:600, 0:41]
    heights = (3000.0 + 20.0 * np.abs(x - 20) - 3.0 * y).astype(np.float32)
    path = write_dem(tmp_path / "dem.tif", heights)
    grid = grid_of(10, 10, CELL, west=WEST + 15 * CELL, north=NORTH - 560 * CELL)
    place = (WEST + 20.5 * CELL, NORTH - 565.5 * CELL)
    made = GridTerrain(config(path, "upstream_area", outlet=place, stream_km2=4000.0), grid)
    assert made.mask()[:6].all() and not made.mask()[6:].any()
    assert any("drains 5801.5 km2" in note for note in made.notes)
    with pytest.raises(DataError, match="There is no river within 1000 m"):
        GridTerrain(config(path, outlet=place, stream_km2=7000.0), grid)
    with pytest.raises(DataError, match="outside the grid"):
        GridTerrain(config(path, outlet=(0.0, 0.0)), grid)
    with pytest.raises(ValueError, match="no outlet"):
        mask_for(config(path, "slope"), grid)


def test_margin_stays_small_where_nothing_enters(tmp_path):
    y, x = np.mgrid[0:300, 0:300]
    heights = (900.0 - 0.5 * np.hypot(x - 150, y - 150)).astype(np.float32)  # a cone: water leaves the grid
    path = write_dem(tmp_path / "dem.tif", heights)
    made = GridTerrain(
        config(path, "upstream_area"), grid_of(40, 40, CELL, west=WEST + 130 * CELL, north=NORTH - 130 * CELL)
    )
    assert made.dem.heights.shape == (104, 104) and made.warnings == []
    assert any("a margin of 32 of its cells (16000" in text for text in made.notes)


def test_maps_of_the_surface_read_only_what_they_need(tmp_path):
    path = write_dem(tmp_path / "dem.tif", hills(100, 100))
    made = GridTerrain(config(path, "slope"), grid_of(5, 5, 1000.0, west=WEST + 20_000.0, north=NORTH - 20_000.0))
    assert made.dem.heights.shape == (14, 14)
    whole = derive(hills(100, 100), grid_of(100, 100, CELL), ("slope",))["slope"]
    found = dict(made.maps())["slope"][2]
    np.testing.assert_allclose(found, blocks(whole[40:50, 40:50], 2).mean(axis=(1, 3)), rtol=1e-5)


def test_outlet_in_the_crs_of_the_grid_becomes_a_mask_and_the_origin_of_distances(tmp_path):
    y, x = np.mgrid[0:60, 0:41]
    heights = (900.0 + 20.0 * np.abs(x - 20) - 3.0 * y).astype(np.float32)
    path = write_dem(tmp_path / "dem.tif", heights)
    grid = grid_of(15, 10, 2000.0)
    place = (WEST + 20.5 * CELL, NORTH - 47.5 * CELL)
    asked = config(path, "distance_to_outlet", outlet=place)
    notes = []
    mask = mask_for(asked, grid, notes)
    # Slopes run straight to the floor, so the basin is all that lies above; the twelfth row of the grid ends there.
    assert mask[:12].all() and not mask[12:].any()
    assert any("0 m from the place given" in note for note in notes)
    distance = maps_for(asked, grid)["distance_to_outlet"][2]
    assert np.isnan(distance[12:]).all() and 0 <= np.nanmin(distance) < 2.0
    assert distance[0, 5] == pytest.approx((47.5 - 2) * CELL / 1000, rel=0.1)
    # The same place in longitude and latitude.
    lon, lat = transform("EPSG:3035", "EPSG:4326", [place[0]], [place[1]])
    xs, ys = transform("EPSG:3035", "EPSG:4326", [WEST + 10_000.0], [NORTH - 15_000.0])
    degrees = Grid("EPSG:4326", xs[0] - 0.1, ys[0] + 0.1, 0.02, 0.02, 10, 10)
    turned = mask_for(config(path, outlet=(lon[0], lat[0])), degrees)
    assert turned.any() and not turned.all()


def test_basin_smaller_than_a_cell_takes_one_cell_and_says_so(tmp_path):
    path = write_dem(tmp_path / "dem.tif", hills(40, 40))
    network = FlowNetwork(hills(40, 40), grid_of(40, 40, CELL), 1.0)
    row, column = np.argwhere((network.upstream_area_km2 >= 1.0) & (network.upstream_area_km2 < 2.0))[0]
    place = WEST + (column + 0.5) * CELL, NORTH - (row + 0.5) * CELL
    warnings = []
    mask = mask_for(config(path, outlet=place, stream_km2=1.0), grid_of(4, 4, 5000.0), None, warnings)
    assert mask.sum() == 1 and any("covers no cell of the grid by half" in text for text in warnings)


# Elevation models that need care.


def test_partial_cover_is_told_and_none_refused(tmp_path):
    path = write_dem(tmp_path / "dem.tif", hills(20, 20))
    warnings = []
    found = maps_for(config(path, "slope", "upstream_area"), grid_of(10, 10, 2000.0), None, warnings)
    assert "The elevation model covers 25 % of the grid." in warnings
    assert np.isfinite(found["slope"][2][:5, :5]).all() and np.isnan(found["slope"][2][5:]).all()
    with pytest.raises(DataError, match="does not cover the grid"):
        maps_for(config(path, "slope"), grid_of(10, 10, 1000.0, west=WEST + 1e6))


def test_feet_are_converted_and_an_unknown_unit_is_told(tmp_path):
    metres = hills(20, 20)
    grid = grid_of(20, 20, CELL)
    for unit, scale in (("ft", 0.3048), ("US survey foot", 1200 / 3937), ("cm", 0.01)):
        notes = []
        path = write_dem(tmp_path / "dem.tif", metres / scale, units=unit)
        found = maps_for(config(path, "elevation"), grid, notes)["elevation"][2]
        np.testing.assert_allclose(found, metres, rtol=1e-5)
        assert f"Elevations were converted from {unit} to m." in notes
    for unit, words in (("", "does not say its unit"), ("m above Amsterdam", "is not known; metres are assumed")):
        notes = []
        maps_for(config(write_dem(tmp_path / "dem.tif", metres, units=unit), "elevation"), grid, notes)
        assert any(words in note for note in notes)


def test_undeclared_missing_values_are_found_and_told(tmp_path):
    heights = hills(20, 20)
    heights[3:5, 3:5] = -9999.0
    heights[0, 0] = -32768.0
    path = write_dem(tmp_path / "dem.tif", heights, nodata=None)
    warnings = []
    found = maps_for(config(path, "elevation"), grid_of(20, 20, CELL), None, warnings)["elevation"][2]
    assert np.isnan(found).sum() == 5
    assert any(text.startswith("-9999 in 4 cells of the elevation model is taken as missing") for text in warnings)
    assert any(text.startswith("-32768 in 1 cell of") for text in warnings)


@pytest.mark.parametrize(
    "heights, words",
    [
        (np.full((10, 10), 300.0), "is flat"),
        (np.full((10, 10), np.nan), "no value in this region"),
        (np.linspace(0, 40000, 100).reshape(10, 10), "not plausible.*feet"),
        (np.linspace(-4000, 100, 100).reshape(10, 10), "not plausible"),
    ],
)
def test_models_that_cannot_serve_are_refused(tmp_path, heights, words):
    path = write_dem(tmp_path / "dem.tif", heights)
    with pytest.raises(DataError, match=words):
        maps_for(config(path, "slope"), grid_of(10, 10, CELL))


def test_files_that_cannot_serve_are_refused(tmp_path):
    grid = grid_of(10, 10, CELL)
    with pytest.raises(DataError, match="none.tif"):
        maps_for(config(str(tmp_path / "none.tif"), "slope"), grid)
    with pytest.raises(DataError, match="2 bands"):
        maps_for(config(write_dem(tmp_path / "two.tif", hills(10, 10), bands=2), "slope"), grid)
    with pytest.raises(DataError, match="(?i)coordinate reference system|crs"):
        maps_for(config(write_dem(tmp_path / "bare.tif", hills(10, 10), crs=None), "slope"), grid)
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(DataError, match="text.tif"):
        maps_for(config(str(tmp_path / "text.tif"), "slope"), grid)


def test_model_beyond_the_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = write_dem(tmp_path / "dem.tif", hills(40, 40))
    monkeypatch.setattr(dem_module, "_free_bytes", lambda: 100_000.0)
    side = int((0.8 * 100_000 / dem_module.BYTES_PER_CELL) ** 0.5)
    with pytest.raises(DataError, match=rf"too large for the memory.*such as {side} x {side}"):
        maps_for(config(path, "upstream_area"), grid_of(40, 40, CELL))
    # Part of it fits.
    small = grid_of(5, 5, CELL, west=WEST + 5 * CELL, north=NORTH - 5 * CELL)
    assert maps_for(config(path, "slope"), small)["slope"][2].shape == (5, 5)


@pytest.mark.skipif(not PACK.is_dir(), reason=f"the real packs are not there: {PACK}")
def test_moselle():
    """The pack's own maps of 4 km, and the whole basin above its gauge."""
    from scipy.stats import spearmanr

    def read(name):
        with rasterio.open(PACK / "static" / name) as raster:
            a = raster.transform
            grid = Grid("EPSG:3035", a.c, a.f, a.a, -a.e, raster.width, raster.height)
            return raster.read(1, masked=True).astype(float).filled(np.nan), grid

    def rank(one, other):
        both = np.isfinite(one) & np.isfinite(other)
        return spearmanr(one[both], other[both])[0]

    flow, grid = read("log10_flowacc_4km.tif")
    slope, _ = read("slope_deg_4km.tif")
    inside, _ = read("basin_mask_4km.tif")
    place = tuple(json.loads((PACK / "gauges.geojson").read_text())["features"][0]["geometry"]["coordinates"])
    made = GridTerrain(config(str(PACK / "static" / "dem_500m.tif"), "upstream_area", "slope", outlet=place), grid)
    found = dict(made.maps())
    assert rank(found["upstream_area"][2], flow) > 0.85
    assert rank(found["slope"][2], slope) > 0.97
    # The pack's flow accumulation counts 46545 cells of 500 m; the real gauge (Perl) has some 11,500 km2.
    assert np.nanmax(found["upstream_area"][2]) == pytest.approx(10 ** np.nanmax(flow) * 0.25, rel=1e-3)
    mask = made.mask()
    assert (mask & (inside == 1)).sum() / mask.sum() > 0.99 and mask.sum() * 16 == pytest.approx(11_636, rel=0.03)
    network = made.network()
    assert network.valid[inside == 1].all() and np.nanmax(network.upstream_area_km2) > 12_000
