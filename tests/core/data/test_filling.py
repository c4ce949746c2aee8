"""Gaps are filled by the rule that is named, against plain loops and scipy; nothing that was observed changes."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.core.contracts.errors import DataError
from freshet.core.contracts.steps import MONTH
from freshet.core.data.filling import Climatology, fill_linear, fill_nearest, fill_space
from freshet.core.metrics import baselines

DAY = 86400.0
NAN = np.nan


def _line(*values):
    return np.array(values, dtype=np.float32)[:, None, None]


def _gappy(shape, share, seed=0):
    random = np.random.default_rng(seed)
    values = random.normal(10.0, 5.0, shape).astype(np.float32)
    values[random.random(shape) < share] = NAN
    return values


def _days(first, count):
    return np.datetime64(first, "s") + np.arange(count) * np.timedelta64(86400, "s")


# ---- linear


def test_a_gap_becomes_a_straight_line_and_its_ends_stay():
    values, filled = fill_linear(_line(NAN, 2, NAN, NAN, 8, NAN), limit=2)
    np.testing.assert_array_equal(values[:, 0, 0], [NAN, 2, 4, 6, 8, NAN])
    assert filled[:, 0, 0].tolist() == [False, False, True, True, False, False]
    assert values.dtype == np.float32 and filled.dtype == bool


def test_a_gap_above_the_limit_stays_whole():
    values, filled = fill_linear(_line(1, NAN, 3, NAN, NAN, 6), limit=1)
    np.testing.assert_array_equal(values[:, 0, 0], [1, 2, 3, NAN, NAN, 6])
    assert filled.sum() == 1


def test_steps_without_a_map_count_and_bend_the_line():
    places = np.array([0, 1, 4, 5], dtype=np.int64)
    values, _ = fill_linear(_line(0, NAN, NAN, 10), limit=4, positions=places)
    np.testing.assert_allclose(values[:, 0, 0], [0, 2, 8, 10])
    values, filled = fill_linear(_line(0, NAN, NAN, 10), limit=3, positions=places)
    assert not filled.any() and np.isnan(values[1:3]).all()


@pytest.mark.parametrize("limit", [1, 2, 5, 40])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
def test_linear_is_numpys_interpolation_within_the_limit(limit, share):
    random = np.random.default_rng(3)
    block = _gappy((60, 5, 4), share, seed=limit)
    places = np.cumsum(random.integers(1, 4, 60)).astype(np.int64)
    before = block.copy()
    values, filled = fill_linear(block, limit, places)
    np.testing.assert_array_equal(block, before)
    for row in range(5):
        for column in range(4):
            series = block[:, row, column]
            known = np.flatnonzero(np.isfinite(series))
            wanted = series.copy()
            for first, last in zip(known, known[1:]):
                if places[last] - places[first] - 1 <= limit:
                    inner = np.arange(first + 1, last)
                    wanted[inner] = np.interp(places[inner], places[[first, last]], series[[first, last]])
            np.testing.assert_allclose(values[:, row, column], wanted, rtol=1e-6)
            np.testing.assert_array_equal(filled[:, row, column], np.isnan(series) & np.isfinite(wanted))


def test_linear_without_a_limit_in_reach_is_scipys_interp1d():
    from scipy.interpolate import interp1d

    block = _gappy((50, 1, 1), 0.5, seed=8)
    known = np.flatnonzero(np.isfinite(block[:, 0, 0]))
    line = interp1d(known, block[known, 0, 0], bounds_error=False)(np.arange(50))
    values, _ = fill_linear(block, 50)
    np.testing.assert_allclose(values[:, 0, 0], line, rtol=1e-6)


def test_a_block_with_its_margin_gives_what_the_whole_record_gives():
    block, limit = _gappy((80, 3, 3), 0.5, seed=2), 4
    whole, marked = fill_linear(block, limit)
    values, filled = fill_linear(block[30 - limit : 50 + limit], limit)
    np.testing.assert_array_equal(values[limit:-limit], whole[30:50])
    np.testing.assert_array_equal(filled[limit:-limit], marked[30:50])


def test_infinite_values_are_missing_and_are_filled():
    values, filled = fill_linear(_line(1, np.inf, 3), 1)
    assert values[1, 0, 0] == 2.0 and filled[1, 0, 0]


def test_large_numbers_do_not_lose_their_line():
    values, _ = fill_linear(_line(1e8, NAN, 1e8 + 64), 1)
    assert values[1, 0, 0] == np.float32(1e8 + 32)


def test_places_that_do_not_rise_are_refused():
    for places in ([0, 1, 1], [0, 2, 1], [0, 1]):
        with pytest.raises(DataError, match="not in order"):
            fill_linear(_line(1, NAN, 3), 1, np.array(places))
    with pytest.raises(DataError, match="shorter than a step"):
        fill_linear(_line(1, NAN, 3), 0)


def test_an_empty_and_a_complete_block_come_back():
    assert fill_linear(np.empty((0, 2, 2), np.float32), 3)[0].shape == (0, 2, 2)
    full = _gappy((4, 2, 2), 0.0)
    values, filled = fill_linear(full, 3)
    np.testing.assert_array_equal(values, full)
    assert not filled.any() and values is not full


# ---- nearest in time


def test_classes_take_the_nearer_class_the_earlier_where_both_are_as_near():
    values, filled = fill_nearest(_line(NAN, 3, NAN, NAN, NAN, 7, NAN), limit=3)
    np.testing.assert_array_equal(values[:, 0, 0], [NAN, 3, 3, 3, 7, 7, NAN])
    assert filled.sum() == 3
    classes = np.round(_gappy((40, 3, 3), 0.5))
    values, filled = fill_nearest(classes, 9)
    assert filled.any() and np.isin(values[filled], classes).all()


def test_nearest_goes_by_the_clock_and_not_by_the_number_of_maps():
    values, _ = fill_nearest(_line(3, NAN, 7), 9, np.array([0, 5, 6]))
    assert values[1, 0, 0] == 7


# ---- space


def _by_loops(values, radius, mask):
    rows, columns = values.shape
    result = values.copy()
    for row in range(rows):
        for column in range(columns):
            if np.isfinite(values[row, column]) or not mask[row, column]:
                continue
            total = weight = 0.0
            for r in range(rows):
                for c in range(columns):
                    square = (r - row) ** 2 + (c - column) ** 2
                    if square <= radius**2 and np.isfinite(values[r, c]):
                        total, weight = total + float(values[r, c]) / square, weight + 1.0 / square
            if weight:
                result[row, column] = total / weight
    return result


@pytest.mark.parametrize("radius", [1, 2, 5, 30])
@pytest.mark.parametrize("share", [0.2, 0.9])
def test_space_is_inverse_distance_by_plain_loops(radius, share):
    maps = _gappy((3, 11, 14), share, seed=radius)
    mask = np.random.default_rng(1).random((11, 14)) < 0.7
    values, filled = fill_space(maps, radius, mask)
    for index in range(3):
        wanted = _by_loops(maps[index], radius, mask)
        np.testing.assert_allclose(values[index], wanted, rtol=2e-6, atol=1e-6)
        np.testing.assert_array_equal(filled[index], np.isnan(maps[index]) & np.isfinite(wanted))


def test_only_cells_inside_the_mask_are_filled_and_those_outside_still_give():
    maps = np.array([[[4.0, NAN, NAN]]], dtype=np.float32)
    values, filled = fill_space(maps, 1, np.array([[False, True, False]]))
    np.testing.assert_array_equal(values, [[[4.0, 4.0, NAN]]])
    assert filled.tolist() == [[[False, True, False]]]


def test_without_a_mask_all_in_reach_are_filled():
    values, filled = fill_space(np.array([[[1.0, NAN, NAN, NAN, 5.0]]], dtype=np.float32), 2)
    np.testing.assert_allclose(values[0, 0], [1, 1 / 1 * 1, 3, 5, 5], rtol=1e-6)
    assert filled.sum() == 3


def test_a_corner_beyond_the_radius_stays():
    maps = np.full((1, 3, 3), NAN, dtype=np.float32)
    maps[0, 0, 0] = 1.0
    values, filled = fill_space(maps, 2)
    assert np.isnan(values[0, 2, 2]) and np.isnan(values[0, 1, 2]) and filled.sum() == 5


def test_dry_cells_stay_dry_beside_a_flood():
    maps = np.zeros((1, 40, 40), dtype=np.float32)
    maps[0, :5, :5] = 4e5
    maps[0, 20:, 20:][::2, ::2] = NAN
    values, filled = fill_space(maps, 3)
    assert filled.sum() == 100 and np.all(values[filled] == 0.0)


def test_filled_values_lie_between_those_around():
    maps = _gappy((2, 30, 30), 0.5, seed=5)
    values, filled = fill_space(maps, 4)
    assert values[filled].min() >= np.nanmin(maps) and values[filled].max() <= np.nanmax(maps)


def test_a_map_without_any_value_stays_missing():
    maps = _gappy((2, 4, 4), 0.3)
    maps[1] = NAN
    values, filled = fill_space(maps, 3)
    assert np.isnan(values[1]).all() and not filled[1].any() and filled[0].any()


def test_classes_in_space_take_the_nearest_cell_within_reach():
    maps = np.array([[[3.0, NAN, NAN, NAN, NAN, NAN, 8.0]]], dtype=np.float32)
    values, filled = fill_space(maps, 2, nearest=True)
    np.testing.assert_array_equal(values[0, 0], [3, 3, 3, NAN, 8, 8, 8])
    assert filled.sum() == 4


def test_rows_with_their_margin_give_what_the_whole_map_gives():
    maps = _gappy((2, 40, 12), 0.6, seed=7)
    whole, marked = fill_space(maps, 3)
    part, filled = fill_space(maps[:, 10 - 3 : 25 + 3], 3)
    np.testing.assert_allclose(part[:, 3:-3], whole[:, 10:25], rtol=1e-6)
    np.testing.assert_array_equal(filled[:, 3:-3], marked[:, 10:25])


def test_a_radius_below_a_cell_is_refused():
    with pytest.raises(DataError, match="shorter than a cell"):
        fill_space(_gappy((1, 2, 2), 0.5), 0)


# ---- climatology


def _by_day(values, times, half_width=7):
    """(366, H, W) means by plain loops."""
    days = (times.astype("datetime64[D]") - times.astype("datetime64[Y]")).astype(int)
    result = np.full((366, *values.shape[1:]), np.nan)
    for day in range(366):
        apart = np.abs(days - day)
        near = values[np.minimum(apart, 366 - apart) <= half_width].astype(np.float64)
        count = np.isfinite(near).sum(axis=0)
        result[day] = np.where(count > 0, np.nansum(near, axis=0) / np.maximum(count, 1), np.nan)
    return result


@pytest.mark.parametrize("years", [1, 3])
def test_daily_climatology_is_the_mean_of_the_days_around_by_plain_loops(years):
    times = _days("2003-01-01", 365 * years)
    values = _gappy((len(times), 2, 3), 0.4)
    clim = Climatology((2, 3), DAY)
    clim.add(values, times)
    wanted = _by_day(values, times)
    days = (times.astype("datetime64[D]") - times.astype("datetime64[Y]")).astype(int)
    np.testing.assert_allclose(clim.at(times), wanted[days], rtol=1e-5)
    filled_values, filled = clim.fill(values, times)
    missing = np.isnan(values)
    np.testing.assert_allclose(filled_values[missing], wanted[days][missing], rtol=1e-5)
    np.testing.assert_array_equal(filled_values[~missing], values[~missing])
    np.testing.assert_array_equal(filled, missing & np.isfinite(wanted[days]))


def test_it_is_the_climatology_that_models_are_judged_against():
    times = _days("2000-06-10", 1500)
    values = _gappy((1500, 3, 2), 0.3, seed=4)
    clim = Climatology((3, 2), DAY)
    clim.add(values, times)
    judged = baselines.climatology(values, times, np.ones(1500, dtype=bool))
    np.testing.assert_allclose(clim.at(times), judged.at(times), rtol=1e-6)


def test_blocks_fed_apart_and_merged_give_what_one_gives():
    times = _days("2001-01-01", 900)
    values = _gappy((900, 2, 2), 0.5)
    one, left, right = (Climatology((2, 2), DAY) for _ in range(3))
    one.add(values, times)
    left.add(values[:300], times[:300])
    before = left.at(times)
    left.add(values[300:500], times[300:500])
    right.add(values[500:], times[500:])
    left.merge(right)
    np.testing.assert_allclose(left.at(times), one.at(times), rtol=1e-6)
    assert not np.array_equal(before, left.at(times), equal_nan=True)
    with pytest.raises(DataError, match="do not belong together"):
        one.merge(Climatology((2, 3), DAY))


def test_only_what_was_added_decides():
    times = _days("2001-01-01", 730)
    values = np.ones((730, 1, 1), dtype=np.float32)
    values[365:] = 100.0
    values[400] = NAN
    clim = Climatology((1, 1), DAY)
    clim.add(values[:365], times[:365])
    filled_values, filled = clim.fill(values, times)
    assert filled_values[400, 0, 0] == 1.0 and filled.sum() == 1 and filled_values[399, 0, 0] == 100.0


def test_months_are_told_apart_by_the_calendar():
    times = np.arange("2000-01", "2004-01", dtype="datetime64[M]").astype("datetime64[s]")
    values = (np.arange(48) % 12).astype(np.float32)[:, None, None] + np.repeat([0, 0, 3, 3], 12)[:, None, None]
    clim = Climatology((1, 1), MONTH)
    clim.add(values, times)
    assert clim.groups == 12 and "month" in clim.note
    np.testing.assert_allclose(clim.at(times)[:, 0, 0], np.arange(48) % 12 + 1.5)


def test_years_have_one_mean():
    times = np.arange("2000", "2004", dtype="datetime64[Y]").astype("datetime64[s]")
    clim = Climatology((1, 1), 12 * MONTH)
    clim.add(_line(1, 2, NAN, 6), times)
    values, filled = clim.fill(_line(1, 2, NAN, 6), times)
    assert values[2, 0, 0] == 3.0 and filled[2, 0, 0]


def test_hours_of_the_day_are_told_apart_in_each_month():
    times = np.datetime64("2001-01-01", "s") + np.arange(59 * 24) * np.timedelta64(3600, "s")
    hour, month = np.arange(59 * 24) % 24, (np.arange(59 * 24) >= 31 * 24).astype(int)
    values = (hour + 100.0 * month).astype(np.float32)[:, None, None]
    clim = Climatology((1, 1), 3600.0)
    clim.add(values, times)
    gappy = values.copy()
    gappy[[5, 40 * 24 + 13]] = NAN
    filled_values, filled = clim.fill(gappy, times)
    assert (filled_values[5, 0, 0], filled_values[40 * 24 + 13, 0, 0]) == (5.0, 113.0) and filled.sum() == 2


def test_steps_below_an_hour_share_the_mean_of_the_hour():
    times = np.datetime64("2010-08-26", "s") + np.arange(24) * np.timedelta64(300, "s")
    clim = Climatology((1, 1), 300.0)
    clim.add(np.arange(24, dtype=np.float32)[:, None, None], times)
    np.testing.assert_allclose(clim.at(times)[[0, 11, 12, 23], 0, 0], [5.5, 5.5, 17.5, 17.5])


def test_a_season_that_was_never_observed_stays_missing():
    times = _days("2001-01-01", 60)
    clim = Climatology((1, 1), DAY)
    clim.add(np.ones((60, 1, 1), dtype=np.float32), times)
    summer = _days("2001-07-01", 3)
    values, filled = clim.fill(np.full((3, 1, 1), NAN, np.float32), summer)
    assert np.isnan(values).all() and not filled.any()


def test_the_turn_of_the_year_is_no_edge():
    times = _days("2001-12-20", 12)
    clim = Climatology((1, 1), DAY)
    clim.add(np.full((12, 1, 1), 4.0, np.float32), times)
    assert clim.at(_days("2003-01-03", 1))[0, 0, 0] == 4.0
    assert np.isnan(clim.at(_days("2003-01-20", 1))[0, 0, 0])
