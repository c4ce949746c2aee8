"""Steps of a fixed length and calendar months, as arrays."""

from __future__ import annotations

import numpy as np

from freshet.core.contracts.steps import MONTH, hours_of, months_of
from freshet.core.data.timeline import index_of, lengths, positions, shift


def _dates(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[s]")


def test_fixed_steps_count_and_move_by_seconds():
    times = _dates("2000-01-01", "2000-01-02", "2000-01-04T12:00")
    np.testing.assert_array_equal(positions(times, 86400.0), [0, 1, 3])
    np.testing.assert_array_equal(shift(times[:2], 2, 86400.0), _dates("2000-01-03", "2000-01-04"))
    np.testing.assert_array_equal(lengths(times, 21600.0), [21600.0] * 3)
    assert index_of(_dates("1999-12-31T23:00"), times[0], 3600.0)[0] == -1
    assert len(positions(times[:0], 86400.0)) == 0


def test_a_step_may_be_a_fraction_of_a_second_long():
    times = shift(np.datetime64("2000-01-01", "s"), np.arange(5), 0.5 * 3601)
    np.testing.assert_array_equal(positions(times, 0.5 * 3601), np.arange(5))


def test_months_follow_the_calendar():
    times = _dates("1999-11-01", "1999-12-01", "2000-02-01")
    np.testing.assert_array_equal(positions(times, MONTH), [0, 1, 3])
    np.testing.assert_array_equal(lengths(times, MONTH), np.array([30, 31, 29]) * 86400.0)
    np.testing.assert_array_equal(lengths(_dates("2000-01-01", "2001-01-01"), 12 * MONTH), np.array([366, 365]) * 86400)
    np.testing.assert_array_equal(shift(times, [1, -11, 12], MONTH), _dates("1999-12-01", "1999-01-01", "2001-02-01"))
    np.testing.assert_array_equal(
        shift(np.datetime64("2000-01-31T06:00", "s"), np.arange(3), MONTH),
        _dates("2000-01-31T06:00", "2000-02-29T06:00", "2000-03-31T06:00"),
    )
    assert shift(times, np.arange(2)[:, None], MONTH).shape == (2, 3)


def test_the_hours_of_a_month_are_known_as_one():
    assert hours_of(1) == 730.485 and months_of(hours_of(1) * 3600) == 1 and months_of(hours_of(12) * 3600) == 12
    assert months_of(30 * 86400.0) == 0
