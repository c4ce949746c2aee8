"""Delays and the region of most influence, on contributions made by hand."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from freshet.core.contracts.grid import Grid
from freshet.core.explain.contributions import Clock, Contribution
from freshet.core.explain.lags import delays, lag_table, lags_of, step_unit
from freshet.core.explain.region import influence, region_document, top_share

from .world import make_card, values

CLOCK = Clock([3, 2, 1], ["a", "b", "c"], [0], ["d"])
GRID = Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 1000.0, 1000.0, 3, 2)


def _row(name, maps, **more):
    return Contribution(name, name, name, np.asarray(maps, dtype=float), more.pop("static", False), **more)


def _rain():
    maps = np.zeros((3, 2, 3))
    maps[0, 0, 0], maps[2, 0, 0] = 3.0, -1.0  # three and one step back: centre 2.5
    maps[1, 1, 2] = 4.0
    maps[1, 0, 1] = 1e-4  # too little to have a delay
    return _row("rain", maps)


def test_sums_by_lag_the_delay_that_carries_most_and_its_centre():
    ahead = _row("forecast", np.full((1, 2, 3), 0.5), ahead=True)
    found = lags_of([_rain(), ahead, _row("dem", np.ones((1, 2, 3)), static=True)], CLOCK)
    assert found.lags.tolist() == [0, 1, 2, 3] and found.names == ["rain", "forecast"]
    np.testing.assert_allclose(found.signed[0], [0, -1, 4.0001, 3])
    np.testing.assert_allclose(found.sizes, [[0, 1, 4.0001, 3], [3, 0, 0, 0]])
    assert found.most == 2 and found.centre == pytest.approx((1 + 8.0002 + 9) / 11.0001)
    np.testing.assert_allclose(found.cumulative[[0, 3]], [3 / 11.0001, 1.0])
    rows = list(csv.DictReader(io.StringIO(lag_table(found))))
    assert [row["step_back"] for row in rows] == ["0", "1", "2", "3"]
    assert float(rows[1]["rain"]) == -1 and float(rows[1]["rain_size"]) == 1 and float(rows[3]["size"]) == 3


def test_no_lags_where_steps_are_not_told_apart():
    assert lags_of([_row("rain", np.ones((1, 2, 3)), static=True)], CLOCK) is None
    unchanged = _row("temp", np.zeros((3, 2, 3)), attributed=False)
    assert lags_of([unchanged], CLOCK) is None


def test_the_delay_of_a_cell_is_the_middle_of_its_rain():
    card = make_card(values())
    temperature = _row("temp", np.ones((3, 2, 3)))
    found = delays([_rain(), temperature], CLOCK, card)
    assert found.labels == ["rain"] and found.middle[0, 0] == pytest.approx(2.5 + 1 / 3) and found.middle[1, 2] == 2.0
    assert found.peak[0, 0] == 3.0 and found.peak[1, 2] == 2.0
    assert np.isnan(found.middle[0, 1]) and np.isfinite(found.peak).sum() == 2
    found = delays([_row("rain", np.zeros((3, 2, 3))), temperature], CLOCK, card)
    assert found.labels == ["rain", "temp"] and (found.middle == 2.0).all()  # rain counts nothing: all variables
    assert delays([_row("rain", np.ones((3, 1, 1)))], CLOCK, card) is None


def test_the_peak_lies_between_steps_and_counts_what_is_known_ahead():
    card = make_card(values())
    card = card.replace(ahead=card.inputs[:1])
    maps = np.zeros((3, 1, 2))
    maps[:, 0, 0] = (2.0, 0.0, 2.0)  # three, two and one step back
    maps[:, 0, 1] = (9.0, 0.0, 0.0)
    ahead = _row("rain_ahead", [[[-4.0, 0.0]]], ahead=True)  # at the predicted step
    found = delays([_row("rain", maps), ahead], CLOCK, card)
    assert found.peak[0, 0] == pytest.approx(2.0 / 6.0) and found.middle[0, 0] == pytest.approx(0.5)
    assert found.peak[0, 1] == found.middle[0, 1] == 3.0 and not found.responses


def test_the_delay_is_that_of_the_response_where_it_is_known_whatever_the_weather():
    slopes = np.zeros((3, 1, 2))
    slopes[:, 0, 0] = (0.0, 2.0, -1.0)  # what opposes the cell's sum is no arrival of water
    slopes[:, 0, 1] = (-3.0, -3.0, 0.0)
    found = delays([_row("rain", np.ones((3, 1, 2)), slopes=slopes)], CLOCK, make_card(values()))
    assert found.responses and found.middle[0, 0] == 2.0 and found.middle[0, 1] == 2.5


def test_the_region_is_the_fewest_cells_that_hold_the_share():
    sizes = np.array([[5.0, 1.0, 0.0], [0.0, 3.0, 1.0]])
    assert top_share(sizes, 0.5).sum() == 1 and top_share(sizes, 0.51).sum() == 2
    assert top_share(sizes, 0.8)[1, 1] and top_share(sizes, 1.0).sum() == 4
    assert not top_share(np.zeros((2, 3)), 0.5).any()


def test_the_region_as_polygons_that_lie_on_its_cells():
    import rasterio.features
    from rasterio.transform import Affine

    sizes = np.array([[5.0, 4.0, 0.0], [0.0, 0.0, 1.0]])
    inside = sizes > 0
    document = json.loads(region_document(inside, sizes, GRID, {"method": "m"}))
    assert document["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::3035"
    assert [f["properties"] for f in document["features"]] == [
        {"cells": 2, "share": 0.9, "method": "m"}, {"cells": 1, "share": 0.1, "method": "m"}
    ]  # fmt: skip
    shapes = [(feature["geometry"], 1) for feature in document["features"]]
    back = rasterio.features.rasterize(shapes, out_shape=GRID.shape, transform=Affine(*GRID.transform), fill=0)
    np.testing.assert_array_equal(back == 1, inside)


def test_influence_adds_the_sizes_of_all_variables_in_a_cell():
    rows = [_rain(), _row("dem", -np.ones((1, 2, 3)), static=True), _row("off", np.ones((3, 2, 3)), attributed=False)]
    np.testing.assert_allclose(influence(rows), [[5, 1.0001, 1], [1, 1, 5]])
    assert influence([_row("rain", np.ones((3, 1, 1)))]) is None


@pytest.mark.parametrize("seconds, words", [(86400, "days"), (3600, "hours"), (10800, "steps of 3 hours")])
def test_what_steps_are_counted_in(seconds, words):
    assert step_unit(seconds) == words
