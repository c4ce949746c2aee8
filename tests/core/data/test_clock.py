"""The common clock, months and years among its steps, and finer steps gathered into one."""

from __future__ import annotations

import numpy as np
import pytest
import xarray

from freshet.core.contracts import PrepareJob, SourceConfig
from freshet.core.contracts.errors import DataError
from freshet.core.contracts.steps import MONTH, hours_of
from freshet.core.data.clock import Alignment, Clock, resolve_clock

DAY = np.timedelta64(86400, "s")


class _Source:
    """What the clock looks at of a source."""

    static, calendar = False, "standard"

    def __init__(self, name, times, step_seconds, lacking=()):
        self.name, self.times, self.step_seconds = name, np.asarray(times).astype("datetime64[s]"), float(step_seconds)
        self.lacking = np.array(lacking, dtype="datetime64[s]")


def _days(start: str, count: int) -> np.ndarray:
    return np.datetime64(start, "s") + np.arange(count) * DAY


def _months(start: str, count: int) -> np.ndarray:
    return (np.datetime64(start, "M") + np.arange(count)).astype("datetime64[s]")


def _job(**options) -> PrepareJob:
    return PrepareJob(name="t", sources=(SourceConfig(variable="a", path="a"),), output="o.nc", **options)


def _read(maps: np.ndarray):
    return lambda first, stop: maps[first:stop]


def _gathered(source, clock, maps, way, most=10**6):
    alignment = Alignment(source, clock)
    out = np.full((clock.steps, *maps.shape[1:]), np.nan, dtype=np.float32)
    for first, stop in alignment.batches(0, clock.steps, most):
        out[first:stop] = alignment.gathered(first, stop, most, way, _read(maps))
    return out


def test_days_and_months_share_whole_months():
    daily, monthly = _Source("d", _days("2000-01-15", 200), 86400), _Source("m", _months("1999-11", 12), MONTH)
    clock = resolve_clock(_job(), [daily, monthly])
    assert clock.step_seconds == MONTH
    np.testing.assert_array_equal(clock.times, _months("2000-02", 6))
    np.testing.assert_array_equal(Alignment(daily, clock).count, [29, 31, 30, 31, 30, 31])
    np.testing.assert_array_equal(Alignment(monthly, clock).first, np.arange(3, 9))


@pytest.mark.parametrize(("way", "name"), [("mean", "mean"), ("sum", "sum"), ("maximum", "max"), ("minimum", "min")])
@pytest.mark.parametrize("most", [10**6, 40, 7])
def test_days_to_months_equal_xarray(way, name, most):
    times = _days("2003-12-01", 31 + 366)
    maps = np.random.default_rng(1).gamma(0.5, 4.0, (len(times), 3, 2)).astype(np.float32)
    source = _Source("d", times, 86400)
    clock = resolve_clock(_job(step_hours=hours_of(1)), [source])
    expected = getattr(
        xarray.DataArray(maps, dims=("time", "y", "x"), coords={"time": times}).resample(time="MS"), name
    )()
    np.testing.assert_array_equal(clock.times, expected.time.values.astype("datetime64[s]"))
    np.testing.assert_allclose(_gathered(source, clock, maps, way, most), expected.values, rtol=1e-6)


def test_a_month_without_one_of_its_days_is_missing():
    source = _Source("d", np.delete(_days("2001-01-01", 90), 40), 86400)
    alignment = Alignment(source, resolve_clock(_job(step_hours=hours_of(1)), [source]))
    np.testing.assert_array_equal(alignment.first, [0, -1, 58])
    np.testing.assert_array_equal(alignment.absent, [False, True, False])


def test_months_to_years_weight_each_month_by_its_length():
    source = _Source("m", _months("2000-01", 26), MONTH)
    clock = resolve_clock(_job(step_hours=hours_of(12)), [source])
    np.testing.assert_array_equal(clock.times, np.array(["2000-01-01", "2001-01-01"], dtype="datetime64[s]"))
    maps = np.arange(26, dtype=np.float32)[:, None, None]
    days = np.diff(_months("2000-01", 25)).astype("timedelta64[D]").astype(float)
    expected = [np.average(np.arange(12), weights=days[:12]), np.average(np.arange(12, 24), weights=days[12:24])]
    for most in (100, 5):
        np.testing.assert_allclose(_gathered(source, clock, maps, "mean", most)[:, 0, 0], expected, rtol=1e-6)


def test_a_step_that_the_calendar_lacks_is_not_waited_for():
    times = _days("2000-02-27", 6)
    lacking = times[2:3]  # 29 February
    source = _Source("n", np.delete(times, 2), 86400, lacking)
    daily = Alignment(source, Clock(times[0], 86400.0, 6))
    assert daily.lacking.tolist() == [False, False, True, False, False, False] and not daily.absent.any()
    year = _days("2000-01-01", 91)
    source = _Source("n", np.delete(year, 59), 86400, year[59:60])
    monthly = Alignment(source, resolve_clock(_job(step_hours=hours_of(1)), [source]))
    np.testing.assert_array_equal(monthly.count, [31, 28, 31])


def test_hours_start_where_the_label_says():
    source = _Source(
        "h", np.datetime64("2000-01-01T03:00", "s") + np.arange(30) * np.timedelta64(3 * 3600, "s"), 3 * 3600
    )
    clock = resolve_clock(_job(step_hours=24), [source])
    np.testing.assert_array_equal(clock.times, _days("2000-01-02", 2))


@pytest.mark.parametrize(
    ("own", "step", "match"),
    [(MONTH, 24.0, "coarser steps"), (5 * 3600, hours_of(1), "do not fit"), (7 * 86400, hours_of(1), "do not fit"),
     (2 * MONTH, hours_of(3), "do not fit"), (6 * 3600, 8.0, "do not fit")],
)  # fmt: skip
def test_steps_that_do_not_fit_are_refused(own, step, match):
    times = _months("2000-01", 24) if own >= MONTH else _days("2000-01-01", 800)
    with pytest.raises(DataError, match=match):
        resolve_clock(_job(step_hours=step), [_Source("a", times, own)])


def test_no_shared_period_names_both():
    with pytest.raises(DataError, match="do not overlap in time.*'a': 2000-01-01.*'b': 2001-01-01"):
        resolve_clock(
            _job(), [_Source("a", _days("2000-01-01", 9), 86400), _Source("b", _days("2001-01-01", 9), 86400)]
        )
