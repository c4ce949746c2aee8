"""One grid and one clock: kernels against known answers."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.core.contracts.dataset_job import GridConfig
from freshet.core.contracts.errors import DataError
from freshet.core.contracts.grid import Grid
from freshet.core.data.clock import gather
from freshet.core.data.harmonise import Regridder, resolve_grid, same_grid, shared_share

from .source_files import random_maps

COARSE = Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 4000.0, 4000.0, 5, 4)
FINE = Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 1000.0, 1000.0, 20, 16)
DEGREES = Grid("EPSG:4326", 6.0, 50.0, 0.02, 0.02, 60, 50)
METRES = Grid("EPSG:3035", 4_050_000.0, 2_990_000.0, 5000.0, 5000.0, 6, 8)


@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic", "average", "mode", "conservative"])
def test_the_same_grid_changes_nothing(method):
    maps = random_maps(3, 4, 5)
    maps[1, 2, 3] = np.nan
    np.testing.assert_array_equal(Regridder(COARSE, COARSE, method)(maps), maps)


def test_conservative_equals_block_means_and_keeps_the_volume():
    maps = random_maps(3, 16, 20)
    result = Regridder(FINE, COARSE, "conservative")(maps)
    np.testing.assert_allclose(result, maps.reshape(3, 4, 4, 5, 4).mean(axis=(2, 4)), rtol=1e-6)
    assert result.sum() * 16 == pytest.approx(maps.sum(), rel=1e-6)


def test_conservative_weights_by_area_where_cells_do_not_nest():
    target = Grid("EPSG:3035", 4_000_500.0, 3_000_000.0, 1500.0, 1000.0, 2, 1)
    maps = np.arange(20, dtype=np.float32)[None, None].repeat(16, axis=1)
    np.testing.assert_allclose(
        Regridder(FINE, target, "conservative")(maps)[0, 0], [(0.5 * 0 + 1) / 1.5, (2 + 0.5 * 3) / 1.5], rtol=1e-6
    )


@pytest.mark.parametrize("method", ["nearest", "conservative", "average", "mode"])
def test_a_coarser_source_is_spread_so_that_block_means_stay(method):
    maps = random_maps(2, 4, 5)
    result = Regridder(COARSE, FINE, method)(maps)
    np.testing.assert_allclose(result, maps.repeat(4, axis=1).repeat(4, axis=2), rtol=1e-6)


def test_missing_cells_lend_nothing_to_a_mean():
    maps = np.full((1, 16, 20), 7.0, dtype=np.float32)
    maps[0, :2, :4] = np.nan  # half of the first coarse cell
    maps[0, :3, 4:8] = np.nan  # three quarters of the second
    result = Regridder(FINE, COARSE, "average")(maps)[0]
    assert result[0, 0] == 7.0 and np.isnan(result[0, 1]) and np.all(result[1:] == 7.0)
    assert Regridder(FINE, COARSE, "average", least_share=0.0)(maps)[0, 0, 1] == 7.0


@pytest.mark.parametrize("method", ["bilinear", "cubic"])
def test_smooth_methods_reproduce_a_plane_and_never_mix_missing_in(method):
    xs, ys = np.meshgrid(*COARSE.centres())
    plane = ((xs - 4e6) / 1000 + (ys - 3e6) / 500).astype(np.float32)[None]
    fine_x, fine_y = np.meshgrid(*FINE.centres())
    result = Regridder(COARSE, FINE, method)(plane)[0]
    expected = (fine_x - 4e6) / 1000 + (fine_y - 3e6) / 500
    np.testing.assert_allclose(result[6:10, 6:14], expected[6:10, 6:14], rtol=1e-5)
    plane[0, 1, 1] = np.nan
    result = Regridder(COARSE, FINE, method)(plane)[0]
    assert np.isnan(result[4:8, 4:8]).all() and np.isfinite(result).sum() == result.size - 16
    assert plane[np.isfinite(plane)].min() - 1e-4 <= np.nanmin(result) and np.nanmax(result) <= np.nanmax(plane) + 1e-4


@pytest.mark.parametrize("method", ["bilinear", "cubic"])
def test_smooth_methods_average_a_much_finer_source(method):
    regrid = Regridder(FINE, COARSE, method)
    maps = random_maps(1, 16, 20)
    assert regrid.method == "average"
    np.testing.assert_allclose(regrid(maps), maps.reshape(1, 4, 4, 5, 4).mean(axis=(2, 4)), rtol=1e-6)


def test_mode_takes_the_most_frequent_class():
    maps = np.full((1, 16, 20), 3.0, dtype=np.float32)
    maps[0, 0, 0:3] = 11.0
    maps[0, 4:8, 4:7] = 12.0
    result = Regridder(FINE, COARSE, "mode")(maps)[0]
    assert result[0, 0] == 3.0 and result[1, 1] == 12.0 and set(np.unique(result)) == {3.0, 12.0}


@pytest.mark.parametrize(
    ("method", "tolerance"), [("nearest", 0.011), ("bilinear", 0.011), ("average", 0.011), ("conservative", 0.011)]
)
def test_between_two_crs_a_field_of_longitudes_stays_in_place(method, tolerance):
    from rasterio.warp import transform

    longitudes = np.meshgrid(*DEGREES.centres())[0].astype(np.float32)[None]
    result = Regridder(DEGREES, METRES, method)(longitudes)[0]
    xs, ys = np.meshgrid(*METRES.centres())
    expected = np.array(transform("EPSG:3035", "EPSG:4326", xs.ravel(), ys.ravel())[0]).reshape(xs.shape)
    assert np.isfinite(result).all()
    assert np.abs(result - expected).max() < tolerance


def test_between_two_crs_missing_cells_lend_nothing_and_modes_stay_classes():
    maps = np.full((1, *DEGREES.shape), 7.0, dtype=np.float32)
    maps[0, :, :30] = np.nan
    result = Regridder(DEGREES, METRES, "average")(maps)[0]
    nearest = Regridder(DEGREES, METRES, "nearest")(maps)[0]
    assert set(np.unique(result[np.isfinite(result)])) == {7.0} and 0 < np.isnan(result).sum() < result.size
    assert (np.isnan(result) != np.isnan(nearest)).mean() < 0.1
    classes = np.where(np.arange(60) < 30, 3.0, 11.0)[None, None].repeat(50, axis=1)
    regrid = Regridder(DEGREES, METRES, "mode")
    assert regrid.method == "mode" and set(np.unique(regrid(classes))) == {3.0, 11.0}


def test_target_cells_beyond_the_source_are_missing():
    moved = Grid("EPSG:3035", 4_010_000.0, 3_000_000.0, 4000.0, 4000.0, 5, 4)
    for method in ("nearest", "bilinear", "cubic", "average"):
        result = Regridder(COARSE, moved, method)(random_maps(1, 4, 5))[0]
        assert np.isfinite(result[:, :2]).all() and np.isnan(result[:, 3:]).all(), method
    assert shared_share(COARSE, moved) == pytest.approx(0.5)


def test_a_world_map_covers_a_projected_basin_and_the_other_way_round():
    world = Grid("EPSG:4326", -180.0, 90.0, 0.5, 0.5, 720, 360)
    assert shared_share(world, METRES) == 1.0
    assert 0 < shared_share(METRES, world) < 0.01
    assert shared_share(Grid("EPSG:4326", 100.0, -20.0, 0.5, 0.5, 10, 10), METRES) == 0.0
    latitudes = np.meshgrid(*world.centres())[1].astype(np.float32)[None]
    assert (
        47.0 < Regridder(world, METRES, "nearest")(latitudes).min() and Regridder(world, METRES, "bilinear").ratio < 0.2
    )


def test_grids_are_the_same_within_a_hundredth_of_a_cell():
    assert same_grid(COARSE, Grid("EPSG:3035", 4_000_010.0, 3_000_000.0, 4000.0, 4000.0, 5, 4))
    assert not same_grid(COARSE, Grid("EPSG:3035", 4_000_100.0, 3_000_000.0, 4000.0, 4000.0, 5, 4))


@pytest.mark.parametrize(
    ("way", "expected"), [("mean", 1.0), ("sum", 3.0), ("minimum", 0.0), ("maximum", 2.0), ("first", 0.0)]
)
def test_finer_steps_are_gathered_and_a_missing_one_makes_the_step_missing(way, expected):
    maps = np.arange(6, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), dtype=np.float32)
    maps[4, 0, 0] = np.nan
    result = gather(maps, 3, way)
    assert result.shape == (2, 2, 2) and result[0, 0, 0] == expected
    assert np.isnan(result[1, 0, 0]) == (way != "first") and np.isfinite(result[1, 1, 1])


class _Fake:
    grid = COARSE


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"like": "a"}, COARSE),
        ({"like": "a", "resolution": 1000.0}, FINE),
        (
            {"like": "a", "extent": (4_005_000.0, 2_993_000.0, 4_009_000.0, 2_999_000.0)},
            Grid("EPSG:3035", 4_004_000.0, 3e6, 4000.0, 4000.0, 2, 2),
        ),
        (
            {"crs": "EPSG:3035", "resolution": 2000.0, "extent": (4e6, 2.99e6, 4.01e6, 3e6)},
            Grid("EPSG:3035", 4e6, 3e6, 2000.0, 2000.0, 5, 5),
        ),
    ],
)
def test_the_common_grid_follows_the_job(config, expected):
    assert same_grid(resolve_grid(GridConfig(**config), {"a": _Fake()}), expected)


def test_a_grid_like_a_variable_in_another_crs_covers_it():
    grid = resolve_grid(GridConfig(like="a", crs="EPSG:4326", resolution=0.05), {"a": _Fake()})
    assert (
        grid.cell_x == 0.05
        and shared_share(grid, Grid("EPSG:3035", 4_004_000.0, 2_996_000.0, 4000.0, 4000.0, 3, 2)) == 1.0
    )


def test_an_unknown_crs_is_a_sentence():
    with pytest.raises(DataError, match="CRS 'EPSG:999999' is not known"):
        resolve_grid(GridConfig(crs="EPSG:999999", resolution=1.0, extent=(0.0, 0.0, 1.0, 1.0)), {})


def _with_gdal(maps, source, target, method, folder):
    """The same by GDAL's warper at an error threshold of next to nothing."""
    import rasterio
    from affine import Affine
    from rasterio.enums import Resampling
    from rasterio.vrt import WarpedVRT

    path = folder / "source.tif"
    profile = {
        "driver": "GTiff",
        "width": source.columns,
        "height": source.rows,
        "count": len(maps),
        "dtype": "float32",
    }
    with rasterio.open(
        path, "w", crs=source.crs, transform=Affine(*source.transform), nodata=-9999.0, **profile
    ) as handle:
        handle.write(np.where(np.isnan(maps), -9999.0, maps).astype(np.float32))
    options = {"crs": target.crs, "transform": Affine(*target.transform), "tolerance": 1e-9, "XSCALE": 1, "YSCALE": 1}
    with (
        rasterio.open(path) as handle,
        WarpedVRT(
            handle, width=target.columns, height=target.rows, resampling=Resampling[method], nodata=-9999.0, **options
        ) as warped,
    ):
        found = warped.read()
    return np.where(found == -9999.0, np.nan, found)


FROM = Grid("EPSG:4326", 5.0, 51.0, 0.005, 0.005, 200, 180)
ONTO = Grid("EPSG:3035", 3_972_000.0, 3_100_000.0, 500.0, 500.0, 130, 190)


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic"])
def test_between_two_crs_values_are_those_of_gdal(tmp_path, method, holes):
    maps = random_maps(3, FROM.rows, FROM.columns)
    if holes:
        maps[:, 60:90, 40:120] = np.nan
    mine = Regridder(FROM, ONTO, method)(maps)
    theirs = _with_gdal(maps, FROM, ONTO, method, tmp_path)
    np.testing.assert_array_equal(np.isnan(mine), np.isnan(theirs))
    there = np.isfinite(mine)
    assert there.mean() > 0.5
    if method == "cubic" and holes:  # beside a hole GDAL rescales the 16 weights, here the four nearest cells count
        assert np.mean(np.abs(mine - theirs)[there] < 1e-5 * np.nanmax(maps)) > 0.95
    else:
        assert np.abs(mine - theirs)[there].max() < 1e-5 * np.nanmax(maps)


@pytest.mark.parametrize("target", [ONTO, Grid("EPSG:4326", 5.001, 50.995, 0.017, 0.013, 57, 66)])
@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic", "average", "conservative", "mode"])
def test_strips_give_the_values_of_the_whole(method, target):
    maps = np.round(random_maps(2, FROM.rows, FROM.columns))
    maps[0, 30:50, 20:60] = np.nan
    regrid = Regridder(FROM, target, method)
    expected = regrid(maps)
    assert np.isfinite(expected).any()
    for first, stop in ((0, 1), (1, 20), (20, target.rows)):
        strip = regrid.strip(first, stop)
        window = strip.window
        part = maps[:, window.row : window.row + window.rows, window.column : window.column + window.columns]
        np.testing.assert_array_equal(strip(part), expected[:, first:stop])


def test_a_strip_needs_a_part_of_the_source_only_and_none_beyond_it():
    regrid = Regridder(FINE, Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 1000.0, 500.0, 20, 200), "bilinear")
    assert regrid.strip(0, 8).window.rows <= 6
    beyond = regrid.strip(100, 110)
    assert beyond.window is None and np.isnan(beyond(np.empty((2, 0, 0)))).all() and beyond.shape == (10, 20)


def test_between_two_crs_means_are_weighted_by_area():
    """A fine field whose mean over each target cell is known from many points."""
    target = Grid("EPSG:3035", 3_980_000.0, 3_090_000.0, 7000.0, 7000.0, 6, 8)
    maps = random_maps(1, FROM.rows, FROM.columns)
    result = Regridder(FROM, target, "conservative")(maps)[0]
    many = Grid(target.crs, target.west, target.north, 70.0, 70.0, 600, 800)
    points = Regridder(FROM, many, "nearest")(maps)[0].reshape(8, 100, 6, 100)
    expected = np.where(np.isfinite(points).all(axis=(1, 3)), points.mean(axis=(1, 3)), np.nan)
    there = np.isfinite(expected)
    assert there.any()
    np.testing.assert_allclose(result[there], expected[there], atol=0.05)


def test_places_between_the_nodes_are_exact():
    from rasterio.warp import transform

    from freshet.core.data.geometry import Places

    y, x = Places(FROM, ONTO).rows(3, ONTO.rows)
    xs, ys = np.meshgrid(*ONTO.centres())
    flat = transform(ONTO.crs, FROM.crs, xs[3:].ravel(), ys[3:].ravel())
    np.testing.assert_allclose(x.ravel(), (np.array(flat[0]) - FROM.west) / FROM.cell_x, atol=1e-6)
    np.testing.assert_allclose(y.ravel(), (FROM.north - np.array(flat[1])) / FROM.cell_y, atol=1e-6)


def test_a_target_that_reaches_beyond_its_projection_has_missing_cells_there():
    """Half of this grid lies where the projection's inverse does not exist."""
    target = Grid("ESRI:54009", -19_000_000.0, 9_100_000.0, 190_000.0, 190_000.0, 200, 96)  # Mollweide
    world = Grid("EPSG:4326", -180.0, 90.0, 1.0, 1.0, 360, 180)
    longitudes = np.meshgrid(*world.centres())[0].astype(np.float32)[None]
    for method in ("nearest", "bilinear", "average"):
        result = Regridder(world, target, method)(longitudes)[0]
        assert np.isnan(result[0, 0]) and np.isfinite(result[48, 100]) and abs(result[48, 100]) < 3, method


def test_of_two_classes_alike_in_area_the_smaller_one_is_taken_wherever_a_strip_begins():
    maps = np.where((np.arange(20) // 2) % 2, 4.0, 2.0)[None, None].repeat(16, axis=1)
    assert set(np.unique(Regridder(FINE, COARSE, "mode")(maps))) == {2.0}
