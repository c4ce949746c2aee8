"""The flow network: directions, accumulation held against a plain recursion, basins, outlets, edges."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from freshet.core.contracts import DataError
from freshet.core.contracts.grid import Grid
from freshet.core.data.example_basin import generate_basin
from freshet.core.data.example_basin.terrain import fractal_field
from freshet.core.data.terrain import FlowNetwork
from freshet.core.data.terrain.directions import MISSING, NEIGHBOURS
from freshet.core.data.terrain.outlines import basin_feature, stream_features

STEPS = {code: (row, column) for row, column, code in NEIGHBOURS}


def make_grid(rows, columns, crs="EPSG:3035", cell=1000.0):
    west, north = (7.0, 51.0) if crs == "EPSG:4326" else (4_000_000.0, 3_000_000.0)
    return Grid(crs, west, north, cell, cell, columns, rows)


def hills(rows=30, columns=26, seed=3, holes=True):
    rng = np.random.default_rng(seed)
    dem = 400.0 + 120.0 * fractal_field(rng, rows, columns, 3.0) - 4.0 * np.arange(rows)[:, None]
    dem = np.round(dem)  # whole metres make flats and depressions
    if holes:
        dem[10:13, 8:11] = np.nan
        dem[:6, :5] = np.nan
    return dem


def chained(network):
    """Where each cell drains to, by hand: {cell: next cell or None}."""
    rows, columns = network.grid.shape
    following = {}
    for row, column in itertools.product(range(rows), range(columns)):
        code = int(network.directions[row, column])
        if code == MISSING:
            continue
        step = STEPS.get(code)
        target = (row + step[0], column + step[1]) if step else None
        inside = target and 0 <= target[0] < rows and 0 <= target[1] < columns
        following[row, column] = target if inside and network.directions[target] != MISSING else None
    return following


def upstream_cells(following, cell):
    """All cells that drain to ``cell``, by recursion."""
    found = [cell]
    for other, target in following.items():
        if target == cell:
            found += upstream_cells(following, other)
    return found


@pytest.mark.parametrize("crs, cell", [("EPSG:3035", 1000.0), ("EPSG:4326", 0.01)])
def test_area_and_mean_equal_a_plain_recursion(crs, cell):
    dem = hills(16, 14)
    network = FlowNetwork(dem, make_grid(16, 14, crs, cell))
    values = np.random.default_rng(1).uniform(0, 30, size=(3, 16, 14)).astype(np.float32)
    values[0, 3, 3:9] = np.nan
    values[1] = np.nan
    mean = network.upstream_mean(values)
    following = chained(network)
    weight = network.sizes.area_km2
    for target in following:
        cells = upstream_cells(following, target)
        assert network.upstream_area_km2[target] == pytest.approx(sum(weight[row] for row, _ in cells), rel=1e-9)
        for step in (0, 2):
            present = [(values[step][at], weight[at[0]]) for at in cells if np.isfinite(values[step][at])]
            if present:
                expected = sum(v * w for v, w in present) / sum(w for _, w in present)
                assert mean[step][target] == pytest.approx(expected, rel=1e-5)
            else:
                assert np.isnan(mean[step][target])
    assert np.isnan(mean[1]).all() and mean.dtype == np.float32
    assert np.isnan(mean[:, np.isnan(dem)]).all()


def test_mean_of_one_map_has_its_shape_and_zero_stays_zero():
    network = FlowNetwork(hills(), make_grid(30, 26))
    rain = np.zeros((30, 26))
    mean = network.upstream_mean(rain)
    assert mean.shape == (30, 26) and (mean[network.valid] == 0.0).all()
    np.testing.assert_allclose(network.upstream_mean(rain + 7.5)[network.valid], 7.5, rtol=1e-6)


def test_all_area_leaves_and_no_cell_runs_in_circles():
    dem = hills(60, 50, seed=8)
    network = FlowNetwork(dem, make_grid(60, 50), edge="open")
    following = chained(network)
    ends = [cell for cell, target in following.items() if target is None]
    total = sum(network.upstream_area_km2[cell] for cell in ends)
    assert total == pytest.approx(np.isfinite(dem).sum() * 1.0)
    for cell in following:
        for _ in range(len(following)):
            cell = following[cell]
            if cell is None:
                break
        assert cell is None
    # Water leaves at the edge only; what is enclosed is gone around.
    hole = np.zeros(dem.shape, dtype=bool)
    hole[9:14, 7:12] = True
    assert not any(hole[cell] for cell in ends)
    assert any("1 enclosed hole " in text and "9 cells (9 km2)" in text for text in network.warnings)


def test_water_never_climbs_on_the_filled_surface():
    dem = hills(60, 50, seed=4)
    network = FlowNetwork(dem, make_grid(60, 50))
    for (row, column), target in chained(network).items():
        if target is not None:
            assert network.filled[target] <= network.filled[row, column]
    assert np.nanmin(network.filled - np.round(dem)) == 0.0


def test_depression_is_filled_to_its_spill_and_told():
    dem = 100.0 - 1.0 * np.arange(9)[:, None] * np.ones(9)
    dem[3:5, 3:6] = 50.0
    network = FlowNetwork(dem, make_grid(9, 9))
    # The lowest neighbour of the hollow lies in row 5.
    assert (network.filled[3:5, 3:6] == dem[5, 4]).all()
    assert network.notes == ["Depressions were filled in 6 of 81 cells, by at most 45.0 m."]
    assert network.upstream_area_km2[-1].sum() == pytest.approx(81.0)


def test_a_lake_drains_the_shortest_way():
    dem = np.full((9, 21), 10.0)
    dem[:, 0] = dem[0] = dem[-1] = 20.0
    dem[4, -1] = 9.0
    dem[:4, -1] = dem[5:, -1] = 20.0
    network = FlowNetwork(dem, make_grid(9, 21))
    # Straight along the middle row: one cell of 1 km a step.
    np.testing.assert_allclose(network.distance_km[4, 1:], np.arange(19, -1, -1), atol=1e-6)


def test_steps_below_the_counted_height_do_not_break_the_network():
    dem = 100.0 - 1e-7 * np.arange(12)[:, None] * np.ones(10)
    network = FlowNetwork(dem, make_grid(12, 10))
    ends = [cell for cell, target in chained(network).items() if target is None]
    assert sum(network.upstream_area_km2[cell] for cell in ends) == pytest.approx(120.0)


def test_an_island_in_a_hole_keeps_its_water_on_the_island():
    dem = hills(40, 40, holes=False)
    dem[10:30, 10:30] = np.nan
    dem[18:22, 18:22] = [[5, 5, 5, 5], [5, 9, 9, 5], [5, 9, 9, 5], [5, 5, 5, 5]]
    network = FlowNetwork(dem, make_grid(40, 40))
    island = network.upstream_area_km2[18:22, 18:22]
    assert np.isfinite(island).all() and island.max() <= 16.0


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 2)])
def test_tiny_grids_work(shape):
    dem = 10.0 + np.arange(shape[0] * shape[1], dtype=float).reshape(shape)
    network = FlowNetwork(dem, make_grid(*shape))
    assert network.upstream_area_km2.min() == 1.0 and network.upstream_mean(dem).shape == shape


def test_directions_are_taken_as_they_are():
    directions = np.array([[1, 4, 247], [64, 1, 0]], dtype=np.uint8)
    network = FlowNetwork(None, make_grid(2, 3), directions=directions)
    assert network.upstream_area_km2[1, 2] == 5.0
    assert np.isnan(network.upstream_area_km2[0, 2])
    with pytest.raises(ValueError, match="no heights"):
        network.height_above_drainage()
    with pytest.raises(DataError, match="flow direction"):
        FlowNetwork(None, make_grid(2, 3), directions=np.full((2, 3), MISSING, dtype=np.uint8))


def clipped_basin(leak):
    """A valley that falls to the south, clipped by a circle that its side river touches."""
    y, x = np.mgrid[0:41, 0:41]
    dem = 300.0 + 8.0 * np.abs(x - 20) - 2.0 * y
    dem[np.hypot(x - 20, y - 20) > 17.5] = np.nan
    if leak:
        dem[20, 3] = 300.0  # a pit beside missing cells
        dem[20, 4:8] = (310.0, 320.0, 330.0, 340.0)
    return dem


def test_clipped_model_is_closed_and_told_or_left_open_when_asked():
    dem = clipped_basin(leak=True)
    grid = make_grid(41, 41)
    land = np.isfinite(dem).sum()
    open_edge = FlowNetwork(dem, grid, edge="open")
    assert np.nanmax(open_edge.upstream_area_km2) < land and open_edge.warnings == []
    guessed = FlowNetwork(dem, grid)
    assert np.nanmax(guessed.upstream_area_km2) == pytest.approx(land)
    assert len(guessed.warnings) == 1 and "looks clipped to one basin" in guessed.warnings[0]
    closed = FlowNetwork(dem, grid, edge="closed")
    assert np.array_equal(closed.directions, guessed.directions) and closed.warnings == []
    assert any("only at" in note for note in closed.notes)


def test_rectangular_model_and_many_outlets_stay_open():
    dem = 100.0 - np.arange(20)[:, None] * np.ones(20)
    assert FlowNetwork(dem, make_grid(20, 20)).warnings == []
    y, x = np.mgrid[0:41, 0:41]
    cone = 100.0 - np.hypot(x - 20, y - 20)
    cone[np.hypot(x - 20, y - 20) > 18] = np.nan
    network = FlowNetwork(cone, make_grid(41, 41))
    assert network.warnings == [] and np.nanmax(network.upstream_area_km2) < 0.5 * np.isfinite(cone).sum()


# Outlets and basins.


@pytest.fixture(scope="module")
def valley():
    """A floor in column 5 that falls to the south; slopes of 20 m a cell."""
    y, x = np.mgrid[0:30, 0:11]
    return FlowNetwork(500.0 + 20.0 * np.abs(x - 5) - 1.0 * y, make_grid(30, 11), stream_km2=30.0)


def middle(network, row, column):
    grid = network.grid
    return grid.west + (column + 0.5) * grid.cell_x, grid.north - (row + 0.5) * grid.cell_y


def test_outlet_moves_to_the_nearest_river_and_says_how_far(valley):
    x, y = middle(valley, 20, 7)
    outlet = valley.snap(x + 100.0, y, 3000.0)
    assert (outlet.row, outlet.column) == (20, 5) and outlet.moved_m == pytest.approx(2100.0)
    assert (outlet.x, outlet.y) == middle(valley, 20, 5)
    assert outlet.area_km2 == pytest.approx(valley.upstream_area_km2[20, 5])
    assert "2100 m from the place given" in outlet.sentence()
    mask, place = valley.basin(x, y, 3000.0)
    assert place == (outlet.x, outlet.y)
    assert mask.sum() == outlet.area_km2 and mask[:20].all() and not mask[21:].any()


def test_outlet_on_a_river_stays_in_its_cell(valley):
    x, y = middle(valley, 20, 5)
    outlet = valley.snap(x + 400.0, y - 450.0, 1.0)
    assert (outlet.row, outlet.column) == (20, 5)


def test_a_larger_river_nearby_is_told():
    y, x = np.mgrid[0:30, 0:30]
    dem = 500.0 + 20.0 * np.abs(x - 15) - 3.0 * y
    dem[10, 16:] = 499.0 - 30 + np.arange(14) * 2.0  # a side river
    network = FlowNetwork(dem, make_grid(30, 30), stream_km2=10.0)
    row, column = next((10, c) for c in range(18, 30) if network.streams[10, c])
    outlet = network.snap(*middle(network, row, column), 4000.0)
    assert (outlet.row, outlet.column) == (row, column) and outlet.larger.startswith("A larger river, which drains")


def test_outlets_that_cannot_be_are_refused(valley):
    grid = valley.grid
    with pytest.raises(DataError, match="outside the grid"):
        valley.snap(grid.west - 10.0, grid.north - 10.0)
    with pytest.raises(DataError, match=r"no river within 2000 m.*nearest river lies 5000 m away"):
        valley.snap(*middle(valley, 20, 0))
    with pytest.raises(DataError, match="No cell of the elevation model drains so much"):
        FlowNetwork(valley.filled, grid, stream_km2=1e6).snap(*middle(valley, 20, 5))
    dem = valley.filled.copy()
    dem[20, 7] = np.nan
    with pytest.raises(DataError, match=r"has no value.*nearest river"):
        FlowNetwork(dem, grid, stream_km2=30.0).snap(*middle(valley, 20, 7))


def test_basin_polygon_has_its_area_and_holds_its_cells(valley):
    from rasterio.warp import transform_geom
    from shapely.geometry import Point, shape

    outlet = valley.snap(*middle(valley, 20, 5))
    inside = valley.above(outlet.row, outlet.column)
    feature = basin_feature(inside, valley, outlet)
    placed = shape(transform_geom("OGC:CRS84", valley.grid.crs, feature["geometry"]))
    assert placed.is_valid and placed.area / 1e6 == pytest.approx(inside.sum(), rel=1e-4)
    assert feature["properties"]["area_km2"] == pytest.approx(inside.sum())
    assert feature["properties"]["outlet_x"] == outlet.x and feature["properties"]["moved_m"] == 0.0
    for row, column in itertools.product(range(30), range(11)):
        assert placed.contains(Point(*middle(valley, row, column))) == inside[row, column]
    ring = np.array(feature["geometry"]["coordinates"][0])
    assert 0 < ring[:, 0].min() < ring[:, 0].max() < 20 and 45 < ring[:, 1].min() < ring[:, 1].max() < 60
    turns = np.sum(ring[:-1, 0] * ring[1:, 1] - ring[1:, 0] * ring[:-1, 1])
    assert turns > 0  # an outer ring runs against the clock


def test_parts_that_meet_in_a_corner_are_polygons_of_their_own(valley):
    from shapely.geometry import shape

    inside = np.zeros(valley.grid.shape, dtype=bool)
    inside[3, 3] = inside[4, 4] = True
    feature = basin_feature(inside, valley, valley.snap(*middle(valley, 20, 5)))
    assert feature["geometry"]["type"] == "MultiPolygon" and shape(feature["geometry"]).is_valid


def test_rivers_run_downstream_with_their_order():
    basin = generate_basin(1, days=1)
    rows, columns = basin.elevation_m.shape
    grid = Grid(basin.crs, basin.west_m, basin.north_m, basin.resolution_m, basin.resolution_m, columns, rows)
    network = FlowNetwork(basin.elevation_m, grid, stream_km2=100.0)
    outlet = network.snap(basin.gauges[0].x_m, basin.gauges[0].y_m)
    inside = network.above(outlet.row, outlet.column)
    lines = stream_features(network, inside)
    orders = [line["properties"]["strahler"] for line in lines]
    assert min(orders) == 1 and max(orders) >= 2
    largest = max(lines, key=lambda line: line["properties"]["area_km2"])
    assert largest["properties"]["area_km2"] == pytest.approx(outlet.area_km2)
    starts = {tuple(line["geometry"]["coordinates"][0]) for line in lines}
    ends = [tuple(line["geometry"]["coordinates"][-1]) for line in lines]
    # Each river but the last goes on in another.
    assert sum(end not in starts for end in ends) == 1
    drawn = sum(len(line["geometry"]["coordinates"]) for line in lines)
    assert drawn - sum(end in starts for end in ends) == (network.streams & inside).sum()


def test_no_rivers_give_no_lines():
    network = FlowNetwork(hills(), make_grid(30, 26), stream_km2=1e6)
    assert stream_features(network) == []


# A basin of which the truth is known.


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_example_basin_is_found_and_distance_ranks_as_travel_time(seed):
    from scipy.stats import spearmanr

    basin = generate_basin(seed, days=1)
    rows, columns = basin.elevation_m.shape
    grid = Grid(basin.crs, basin.west_m, basin.north_m, basin.resolution_m, basin.resolution_m, columns, rows)
    network = FlowNetwork(basin.elevation_m, grid, stream_km2=50.0)
    assert (network.directions == basin.flow_direction).mean() > 0.99
    for gauge, true, travel in zip(basin.gauges, basin.contributing, basin.gauge_travel_time_days):
        mask, place = network.basin(gauge.x_m, gauge.y_m)
        assert place == (gauge.x_m, gauge.y_m)
        assert (mask & true).sum() / (mask | true).sum() > 0.95
        inside = np.isfinite(travel) & mask
        assert spearmanr(network.distance_km[inside], travel[inside])[0] > 0.8
