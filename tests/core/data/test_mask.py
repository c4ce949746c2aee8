"""mask: the basin from polygons of any file, or from a raster, on the grid of the dataset."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from rasterio.features import rasterize

from freshet.core.contracts import DataError, Grid
from freshet.core.data.mask import is_vector, read_mask

from .source_files import write_tif
from .vector_files import write_vector

GRID = Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 1000.0, 1000.0, 6, 4)
LEFT = shapely.box(3_999_000, 2_990_000, 4_002_000, 3_001_000)
RIGHT = shapely.box(4_004_000, 2_998_000, 4_009_000, 3_009_000)


def _expected(*shapes):
    return rasterize(shapes, GRID.shape, transform=Affine(*GRID.transform)) == 1


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson", ".fgb"])
def test_several_polygons_are_one_mask(tmp_path, suffix):
    path = write_vector(tmp_path / f"basins{suffix}", [LEFT, RIGHT], crs="EPSG:3035")
    mask = read_mask(str(path), GRID)
    np.testing.assert_array_equal(mask, _expected(LEFT, RIGHT))
    assert mask[:, :2].all() and mask[:2, 4:].all() and mask.sum() == 12


def test_one_polygon_is_chosen_by_layer_and_subset(tmp_path):
    path = write_vector(tmp_path / "all.gpkg", [LEFT, RIGHT], crs="EPSG:3035", layer="basins")
    write_vector(path, [RIGHT], crs="EPSG:3035", layer="lakes", append=True)
    np.testing.assert_array_equal(read_mask(f"{path}|layername=lakes", GRID), _expected(RIGHT))
    np.testing.assert_array_equal(read_mask(f"{path}|layername=basins|subset=id=1", GRID), _expected(LEFT))


def test_a_hole_stays_a_hole_and_a_broken_ring_is_mended_and_told(tmp_path):
    holed = shapely.difference(
        shapely.box(*shapely.Polygon(LEFT).bounds), shapely.box(4e6, 2_997_000, 4_001_000, 2_998_000)
    )
    mask = read_mask(str(write_vector(tmp_path / "h.gpkg", [holed], crs="EPSG:3035")), GRID)
    assert not mask[2, 0] and mask[2, 1] and mask[1, 0]
    bow = shapely.Polygon([(4e6, 2_996_000), (4_004_000, 3e6), (4_004_000, 2_996_000), (4e6, 3e6)])
    notes = []
    mask = read_mask(str(write_vector(tmp_path / "b.gpkg", [bow], crs="EPSG:3035")), GRID, notes)
    np.testing.assert_array_equal(mask, _expected(shapely.make_valid(bow)))
    assert notes == ["Mask: 1 of 1 polygons cross or touch themselves and are mended."]


def test_polygons_in_degrees_fall_where_they_belong(tmp_path):
    from rasterio.warp import transform_geom

    degrees = shapely.geometry.shape(transform_geom("EPSG:3035", "EPSG:4326", shapely.geometry.mapping(LEFT)))
    for suffix in (".gpkg", ".kml"):
        np.testing.assert_array_equal(
            read_mask(str(write_vector(tmp_path / f"d{suffix}", [degrees])), GRID), _expected(LEFT)
        )


def test_a_shapefile_without_crs_takes_that_of_the_grid_and_says_so(tmp_path):
    notes = []
    mask = read_mask(str(write_vector(tmp_path / "b.shp", [LEFT], crs=None)), GRID, notes)
    np.testing.assert_array_equal(mask, _expected(LEFT))
    assert "that of the grid is taken" in notes[0]


def test_a_raster_on_the_grid_and_a_finer_one(tmp_path):
    cells = np.zeros(GRID.shape, dtype=np.float32)
    cells[1:, 2:] = 7
    path = write_tif(tmp_path / "m.tif", cells)
    np.testing.assert_array_equal(read_mask(str(path), GRID), cells > 0)
    fine = np.kron(cells, np.ones((4, 4), dtype=np.float32))
    fine[4:6, 8:12] = 0  # half of the cell (1, 2) stays inside
    fine[4:7, 12:16] = 0  # a quarter of the cell (1, 3)
    mask = read_mask(str(write_tif(tmp_path / "f.tif", fine, cell=250.0)), GRID)
    expected = cells > 0
    expected[1, 3] = False
    np.testing.assert_array_equal(mask, expected)


def test_a_coarser_raster_gives_each_cell_the_value_at_its_centre(tmp_path):
    coarse = np.array([[1, 0, 0], [0, 0, 1]], dtype=np.float32)
    mask = read_mask(str(write_tif(tmp_path / "c.tif", coarse, cell=2000.0)), GRID)
    np.testing.assert_array_equal(mask, np.kron(coarse, np.ones((2, 2))) > 0)


def test_masks_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(DataError, match="covers no cell"):
        read_mask(str(write_vector(tmp_path / "far.gpkg", [shapely.box(0, 0, 9, 9)], crs="EPSG:3035")), GRID)
    with pytest.raises(DataError, match="covers no cell"):
        read_mask(str(write_tif(tmp_path / "z.tif", np.zeros(GRID.shape, dtype=np.float32))), GRID)
    with pytest.raises(DataError, match="holds no polygon.*Point"):
        read_mask(
            str(write_vector(tmp_path / "p.gpkg", [shapely.Point(4e6, 3e6)], kind="Point", crs="EPSG:3035")), GRID
        )
    with pytest.raises(DataError, match="no such file"):
        read_mask(str(tmp_path / "gone.shp"), GRID)


def test_what_is_a_vector_file(tmp_path):
    vector = write_vector(tmp_path / "v.gpkg", [LEFT], crs="EPSG:3035")
    raster = write_tif(tmp_path / "r.tif", np.ones(GRID.shape, dtype=np.uint8), nodata=None)
    import rasterio.shutil

    rasterio.shutil.copy(str(raster), str(tmp_path / "r.gpkg"), driver="GPKG")
    assert is_vector(str(vector)) and is_vector("basin.kml") and is_vector(f"{vector}|layername=v")
    assert (
        not is_vector(str(raster)) and not is_vector(f"GPKG:{vector}:dem") and not is_vector(str(tmp_path / "r.gpkg"))
    )
    assert read_mask(str(tmp_path / "r.gpkg"), GRID).all()
