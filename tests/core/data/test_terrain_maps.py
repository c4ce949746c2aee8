"""Terrain maps of surfaces whose slope, aspect, upstream area and heights are known by a formula."""

from __future__ import annotations

import math

import numpy as np
import pytest

from freshet.core.contracts import ConfigError, DataError
from freshet.core.contracts.dataset_job import TERRAIN_MAPS
from freshet.core.contracts.grid import Grid
from freshet.core.data.terrain import KINDS, FlowNetwork, derive
from freshet.core.data.terrain.cells import cell_sizes
from freshet.core.data.terrain.maps import LEAST_TANGENT

CELL = 100.0


def make_grid(rows, columns, cell=CELL, crs="EPSG:3035", cell_y=None, west=4_000_000.0, north=3_000_000.0):
    return Grid(crs, west, north, cell, cell_y or cell, columns, rows)


def plane(rows, columns, per_row, per_column, top=1000.0):
    y, x = np.mgrid[0:rows, 0:columns]
    return top - per_row * y - per_column * x


def test_every_terrain_map_of_the_contract_is_known():
    assert set(KINDS) == set(TERRAIN_MAPS)


@pytest.mark.parametrize(
    "per_row, per_column, code, sine, cosine",
    [
        (2.0, 0.0, 4, 0.0, -1.0),
        (-2.0, 0.0, 64, 0.0, 1.0),
        (0.0, 2.0, 1, 1.0, 0.0),
        (0.0, -2.0, 16, -1.0, 0.0),
        (2.0, 2.0, 2, math.sqrt(0.5), -math.sqrt(0.5)),
        (-2.0, -2.0, 32, -math.sqrt(0.5), math.sqrt(0.5)),
    ],
)
def test_plane_has_one_slope_aspect_and_direction_up_to_its_edge(per_row, per_column, code, sine, cosine):
    dem = plane(9, 12, per_row, per_column)
    maps = derive(dem, make_grid(9, 12), ("slope", "aspect_sin", "aspect_cos", "flow_direction"))
    steepness = math.degrees(math.atan(math.hypot(per_row, per_column) / CELL))
    np.testing.assert_allclose(maps["slope"], steepness, rtol=1e-5)
    np.testing.assert_allclose(maps["aspect_sin"], sine, atol=1e-6)
    np.testing.assert_allclose(maps["aspect_cos"], cosine, atol=1e-6)
    assert (maps["flow_direction"][1:-1, 1:-1] == code).all()
    assert all(values.dtype == np.float32 and values.shape == (9, 12) for values in maps.values())


def test_plane_to_the_south_gathers_area_and_distance_row_by_row():
    rows, columns = 10, 7
    dem = plane(rows, columns, 3.0, 0.0)
    names = ("upstream_area", "distance_to_outlet", "height_above_drainage", "topographic_wetness")
    maps = derive(dem, make_grid(rows, columns), names, stream_km2=0.05)
    number = np.arange(1, rows + 1, dtype=float)[:, None] * np.ones(columns)
    np.testing.assert_allclose(maps["upstream_area"], number * 0.01, rtol=1e-6)
    np.testing.assert_allclose(maps["distance_to_outlet"], (rows - number) * 0.1, atol=1e-6)
    # Rivers begin in the fifth row; above it each row lies 3 m higher than the next.
    np.testing.assert_allclose(maps["height_above_drainage"], np.maximum(5 - number, 0) * 3.0, atol=1e-3)
    wetness = np.log(number * CELL**2 / CELL / (3.0 / CELL))
    np.testing.assert_allclose(maps["topographic_wetness"], wetness, rtol=1e-5)


def test_cone_faces_outwards_with_one_slope():
    size = 41
    y, x = np.mgrid[0:size, 0:size] - size // 2
    dem = 5000.0 - 5.0 * np.hypot(x, y)
    maps = derive(dem, make_grid(size, size), ("slope", "aspect_sin", "aspect_cos", "upstream_area"))
    away = np.hypot(x, y)
    far = (away > 5) & (np.abs(x) < 19) & (np.abs(y) < 19)
    np.testing.assert_allclose(maps["slope"][far], math.degrees(math.atan(0.05)), rtol=0.01)
    np.testing.assert_allclose(maps["aspect_sin"][far], (x / np.maximum(away, 1))[far], atol=0.01)
    np.testing.assert_allclose(maps["aspect_cos"][far], (-y / np.maximum(away, 1))[far], atol=0.01)
    assert maps["upstream_area"][size // 2, size // 2] == pytest.approx(0.01)
    assert maps["aspect_sin"][size // 2, size // 2] == maps["aspect_cos"][size // 2, size // 2] == 0.0


def test_valley_drains_to_its_floor():
    rows, columns = 12, 11
    y, x = np.mgrid[0:rows, 0:columns]
    dem = 500.0 + 20.0 * np.abs(x - 5) - 1.0 * y
    network = FlowNetwork(dem, make_grid(rows, columns), stream_km2=0.01 * 11)
    area = network.upstream_area_km2
    # Slopes go straight or aslant to the floor, so the floor holds all that lies above.
    assert area[-1, 5] == pytest.approx(np.nansum(network.sizes.area_km2[:, None] * network.above(rows - 1, 5)))
    assert (np.diff(area[:, 5]) > 0).all() and area[-1, 5] == area.max()
    height = network.height_above_drainage()
    assert (height[2:, 5] == 0).all() and height.min() == 0
    side = np.array([network.directions[5, column] for column in (0, 3, 7, 10)])
    assert side.tolist() == [1, 1, 16, 16]
    # Straight to the floor in its own row: 20 m a cell.
    np.testing.assert_allclose(height[5], 20.0 * np.abs(np.arange(columns) - 5), atol=1e-3)


def test_flat_ground_has_no_aspect_and_finite_wetness():
    dem = plane(8, 8, 0.0, 0.0)
    dem[:4] += 10.0
    maps = derive(dem, make_grid(8, 8), TERRAIN_MAPS, 0.02)
    assert maps["slope"][7, 4] == 0 and maps["aspect_sin"][7, 4] == 0 and maps["aspect_cos"][7, 4] == 0
    assert np.isfinite(maps["topographic_wetness"]).all()
    lowest = np.log(maps["upstream_area"][7, 4] * 1e6 / CELL / LEAST_TANGENT)
    assert maps["topographic_wetness"][7, 4] == pytest.approx(lowest, rel=1e-5)


def test_missing_stays_missing_and_lends_no_value():
    dem = plane(10, 10, 2.0, 1.0)
    whole = derive(dem, make_grid(10, 10), ("slope",))["slope"]
    dem[4:6, 4:6] = np.nan
    maps = derive(dem, make_grid(10, 10), TERRAIN_MAPS, 0.05)
    for name, values in maps.items():
        assert np.array_equal(np.isnan(values), np.isnan(dem)), name
    # A plane goes on in a straight line beside a hole.
    np.testing.assert_allclose(maps["slope"][~np.isnan(dem)], whole[~np.isnan(dem)], rtol=1e-5)


def test_cells_of_unequal_sides_and_feet():
    grid = make_grid(9, 9, cell=100.0, cell_y=50.0)
    maps = derive(plane(9, 9, 5.0, 0.0), grid, ("slope", "upstream_area", "distance_to_outlet"))
    np.testing.assert_allclose(maps["slope"], math.degrees(math.atan(0.1)), rtol=1e-5)
    np.testing.assert_allclose(maps["upstream_area"][-1], 9 * 100 * 50 / 1e6, rtol=1e-5)
    np.testing.assert_allclose(maps["distance_to_outlet"][0], 8 * 0.05, rtol=1e-5)
    foot = 1200 / 3937
    feet = make_grid(9, 9, cell=100.0, crs="EPSG:2263", west=980_000.0, north=200_000.0)
    maps = derive(plane(9, 9, 5.0 * foot, 0.0), feet, ("slope", "upstream_area"))
    np.testing.assert_allclose(maps["slope"], math.degrees(math.atan(0.05)), rtol=1e-4)
    np.testing.assert_allclose(maps["upstream_area"][-1], 9 * (100 * foot) ** 2 / 1e6, rtol=1e-5)


@pytest.mark.parametrize("latitude", [0.0, 50.0, -70.0])
def test_degrees_have_their_length_and_area(latitude):
    """Against the lengths of a degree on WGS 84 (Snyder, doi:10.3133/pp1395): 111.320 cos and 110.574 + km."""
    cell = 0.01
    grid = Grid("EPSG:4326", 7.0, latitude + 10.5 * cell, cell, cell, 21, 21)
    sizes = cell_sizes(grid)
    phi = math.radians(latitude)
    east = 111.41284 * math.cos(phi) - 0.0935 * math.cos(3 * phi) + 0.000118 * math.cos(5 * phi)
    north = 111.13292 - 0.55982 * math.cos(2 * phi) + 0.001175 * math.cos(4 * phi)
    assert sizes.width_m[10] == pytest.approx(east * 10.0, rel=1e-5)
    assert sizes.height_m[10] == pytest.approx(north * 10.0, rel=1e-5)
    assert sizes.area_km2[10] == pytest.approx(sizes.width_m[10] * sizes.height_m[10] / 1e6, rel=1e-6)
    dem = plane(21, 21, 10.0, 0.0)
    maps = derive(dem, grid, ("slope", "distance_to_outlet"))
    assert maps["slope"][10, 10] == pytest.approx(math.degrees(math.atan(10.0 / (north * 10.0))), rel=1e-4)
    assert maps["distance_to_outlet"][10, 10] == pytest.approx(sizes.height_m[11:].sum() / 1000.0, rel=1e-3)
    to_east = derive(plane(21, 21, 0.0, 10.0), grid, ("slope", "aspect_sin"))
    assert to_east["slope"][10, 10] == pytest.approx(math.degrees(math.atan(10.0 / (east * 10.0))), rel=1e-4)
    assert to_east["aspect_sin"][10, 10] == pytest.approx(1.0)


def test_the_whole_earth_has_its_area():
    sizes = cell_sizes(Grid("EPSG:4326", -180.0, 90.0, 1.0, 1.0, 360, 180))
    assert sizes.area_km2.sum() * 360 == pytest.approx(510_065_621.7, rel=1e-8)


def test_a_crs_that_distorts_areas_is_told():
    grid = Grid("EPSG:3857", 780_000.0, 6_450_000.0, 100.0, 100.0, 10, 10)
    network = FlowNetwork(plane(10, 10, 2.0, 0.0), grid)
    assert len(network.warnings) == 1 and "2.4" in network.warnings[0]  # 1 / cos(50 deg)^2
    assert FlowNetwork(plane(10, 10, 2.0, 0.0), make_grid(10, 10)).warnings == []


def test_latitude_beyond_a_pole_is_refused():
    with pytest.raises(DataError, match="beyond a pole"):
        derive(plane(9, 9, 1.0, 0.0), Grid("EPSG:4326", 0.0, 95.0, 1.0, 1.0, 9, 9), ("slope",))


def test_unknown_map_and_empty_model_are_refused():
    with pytest.raises(ConfigError, match="no terrain map 'curvature'"):
        derive(plane(4, 4, 1.0, 0.0), make_grid(4, 4), ("slope", "curvature"))
    with pytest.raises(DataError, match="no value"):
        derive(np.full((4, 4), np.nan), make_grid(4, 4), ("upstream_area",))
