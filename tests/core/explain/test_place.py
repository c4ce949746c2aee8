"""Places: cells and polygons become weights; what holds no cell is refused."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.core.contracts.errors import ConfigError, DataError
from freshet.core.contracts.grid import Grid
from freshet.core.explain.place import parse_polygons, place_of_cell, place_of_polygon

GRID = Grid("EPSG:3035", 0.0, 5.0, 1.0, 1.0, 6, 5)
MASK = np.ones((5, 6), dtype=bool)
MASK[0, :2] = False


def test_a_point_takes_the_cell_that_holds_it():
    place = place_of_cell(GRID, MASK, 2.9, 1.1)
    assert place.weights[3, 2] == 1 and place.weights.sum() == 1 and place.facts["row"] == 3
    assert place.box == (3, 4, 2, 3)


@pytest.mark.parametrize(
    "x, y, words", [(-0.1, 2, "outside the grid"), (2, 5.1, "outside the grid"), (0.5, 4.5, "outside the basin")]
)
def test_a_point_without_a_prediction_is_refused(x, y, words):
    with pytest.raises(DataError, match=words):
        place_of_cell(GRID, MASK, x, y)


def test_a_polygon_takes_the_cells_whose_centre_it_holds_inside_the_basin():
    place = place_of_polygon(GRID, MASK, "POLYGON ((0.6 5, 3.6 5, 3.6 3.2, 0.6 3.2, 0.6 5))")
    expected = np.zeros((5, 6), dtype=bool)
    expected[0, 2:3] = True
    expected[1, 1:3] = True
    expected[0, 1] = False
    expected[0:2, 3] = True
    np.testing.assert_array_equal(place.weights > 0, expected)
    assert place.weights.sum() == pytest.approx(1) and place.facts["cells"] == expected.sum()


def test_holes_are_left_out_and_parts_are_joined():
    ring = "(0 0, 6 0, 6 5, 0 5, 0 0)"
    hole = "(1 1, 4 1, 4 4, 1 4, 1 1)"
    everywhere = np.ones((5, 6), dtype=bool)
    with_hole = place_of_polygon(GRID, everywhere, f"Polygon ({ring}, {hole})")
    assert with_hole.facts["cells"] == 30 - 9 and with_hole.weights[2, 2] == 0
    parts = place_of_polygon(
        GRID, everywhere, "MULTIPOLYGON Z (((0 0 7, 1 0 7, 1 1 7, 0 1 7)), ((5 4 7, 6 4 7, 6 5 7, 5 5 7, 5 4 7)))"
    )
    assert sorted(map(tuple, np.argwhere(parts.weights > 0).tolist())) == [(0, 5), (4, 0)]


@pytest.mark.parametrize(
    "wkt, words",
    [
        ("POLYGON ((0.1 0.1, 0.3 0.1, 0.3 0.3, 0.1 0.1))", "the centre of no cell"),
        ("POLYGON ((50 50, 60 50, 60 60, 50 50))", "the centre of no cell"),
        ("POLYGON ((0 4, 2 4, 2 5, 0 5, 0 4))", "outside the basin only"),
    ],
)
def test_a_polygon_without_a_cell_of_the_basin_is_refused(wkt, words):
    with pytest.raises(DataError, match=words):
        place_of_polygon(GRID, MASK, wkt)


@pytest.mark.parametrize(
    "wkt",
    ["", "POINT (1 2)", "POLYGON EMPTY", "POLYGON ()", "POLYGON ((0 0, 1 1))", "POLYGON ((0 0, 1 x, 1 1, 0 0))",
     "POLYGON (0 0, 1 0, 1 1, 0 0)", "MULTIPOLYGON ((0 0, 1 0, 1 1, 0 0))", "POLYGON ((0 0, 1 nan, 1 1, 0 0))",
     "POLYGON ((0, 1, 2, 0))", "POLYGON ((0 0, 4 0, 4 4, 0 0)"],
)  # fmt: skip
def test_what_is_no_polygon_is_refused(wkt):
    with pytest.raises(ConfigError, match="polygon cannot be read"):
        parse_polygons(wkt)
