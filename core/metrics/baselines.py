"""What a model has to beat: persistence and climatology. Both know the observed target, which a simulating model does
not.

Arrays are (T, H, W) in the target's unit; NaN is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import numpy as np

from ..contracts.errors import DataError
from ..contracts.steps import months_of

_DAY_SECONDS = 86400.0
_DAYS, _MONTHS, _HOURS = 366, 12, 24
_TWO_YEARS_DAYS = 2 * 365
_DAYS_OF_A_CYCLE = 14  # fewer days of training do not tell the daily cycle from the weather
_BLOCK_CELLS = 65536  # cells summed at once in float64


def persistence_distance(lead_steps: int) -> int:
    """Steps from a target back to the value that persistence may know: the lead, and 1 where the model simulates (lead
    0).
    """
    return max(1, lead_steps)


def clock(times: np.ndarray, step_seconds: float) -> np.ndarray:
    """int64 (T,): the position of each date on a clock without gaps, 0 for the first; months by the calendar."""
    months = months_of(step_seconds)
    if months:
        month = times.astype("datetime64[M]").astype(np.int64)
        return np.floor_divide(month - month[0], months)
    seconds = times.astype("datetime64[s]").astype(np.int64)
    return np.rint((seconds - seconds[0]) / step_seconds).astype(np.int64)


class Persistence:
    """The last value that was observed so many steps ago or earlier.

    Parameters: ``observed`` (T, H, W); ``positions`` (T,) on the :func:`clock`, needed where the record has gaps.
    """

    def __init__(self, observed: np.ndarray, positions: Optional[np.ndarray] = None) -> None:
        self._positions = np.arange(len(observed)) if positions is None else np.asarray(positions)
        self._last = np.array(observed, dtype=np.float32)
        for step in range(1, len(self._last)):
            missing = ~np.isfinite(self._last[step])
            self._last[step][missing] = self._last[step - 1][missing]

    def at(self, positions: np.ndarray, distance_steps: int) -> np.ndarray:
        """float32 (n, H, W) for targets at clock ``positions`` (n,); NaN where nothing had been observed yet."""
        if distance_steps < 1:
            raise DataError(
                "Persistence cannot look at the step that it predicts",
                expected="a distance of at least 1 step",
                got=str(distance_steps),
                remedy="Give the distance in steps",
            )
        index = np.searchsorted(self._positions, np.asarray(positions) - distance_steps, side="right") - 1
        values = self._last[np.maximum(index, 0)]
        values[index < 0] = np.nan
        return values


class Interpolation:
    """Linear in time between the last value observed before a date and the first one after it; at the ends of the
    record the only one there is. What was observed on the date itself is not looked at.

    Parameters: ``observed`` (T, H, W); ``positions`` (T,) on the :func:`clock`, needed where the record has gaps.
    """

    def __init__(self, observed: np.ndarray, positions: Optional[np.ndarray] = None) -> None:
        self._observed = observed
        self._positions = np.arange(len(observed)) if positions is None else np.asarray(positions)
        self._before = _last_seen(observed)
        self._after = len(observed) - 1 - _last_seen(observed[::-1])[::-1]  # the number of steps where there is none

    def at(self, positions: np.ndarray) -> np.ndarray:
        """float32 (n, H, W) for targets at clock ``positions`` (n,); NaN where nothing was observed at all."""
        return np.stack([self._between(int(place)) for place in positions])

    def _between(self, place: int) -> np.ndarray:
        steps, nowhere = len(self._positions), np.full(self._observed.shape[1:], -1)
        last = int(np.searchsorted(self._positions, place)) - 1
        first = int(np.searchsorted(self._positions, place, side="right"))
        before, since = self._values(self._before[last] if last >= 0 else nowhere)
        after, until = self._values(self._after[first] if first < steps else nowhere)
        share = (place - since) / np.maximum(until - since, 1)
        between = before + share.astype(np.float32) * (after - before)
        return np.where(np.isfinite(before), np.where(np.isfinite(after), between, before), after)

    def _values(self, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values (H, W) at the ``steps`` (H, W) of the record, NaN where there is none; and their clock positions."""
        there = (steps >= 0) & (steps < len(self._positions))
        held = np.where(there, steps, 0)
        values = np.take_along_axis(self._observed, held[None], axis=0)[0]
        return np.where(there, values, np.nan).astype(np.float32), self._positions[held]


def _last_seen(observed: np.ndarray) -> np.ndarray:
    """int32 (T, H, W): the last step up to each at which a cell was observed, -1 before its first."""
    steps = np.arange(len(observed), dtype=np.int32).reshape(-1, *[1] * (observed.ndim - 1))
    return np.maximum.accumulate(np.where(np.isfinite(observed), steps, np.int32(-1)), axis=0)


def persistence(observed: np.ndarray, distance_steps: int, positions: Optional[np.ndarray] = None) -> np.ndarray:
    """Persistence for every step of ``observed`` (T, H, W): the last value at or before ``distance_steps`` earlier."""
    place = np.arange(len(observed)) if positions is None else np.asarray(positions)
    return Persistence(observed, positions).at(place, distance_steps)


@dataclass(frozen=True)
class Climatology:
    """Mean per cell of the training period: one map a day of the year (366, H, W), a calendar month (12, H, W), or one
    map (1, H, W); ``hours`` (24, H, W) is what each hour of the day departs from it, or None. ``note`` says which.
    """

    maps: np.ndarray
    note: str
    hours: Optional[np.ndarray] = None

    def at(self, times: np.ndarray) -> np.ndarray:
        """float32 (n, H, W) for dates ``times`` (n,)."""
        if len(self.maps) == 1:
            mean = np.broadcast_to(self.maps[0], (len(times), *self.maps.shape[1:]))
        else:
            mean = self.maps[month_of_year(times) if len(self.maps) == _MONTHS else day_of_year(times)]
        return mean if self.hours is None else mean + self.hours[hour_of_day(times)]


def climatology(
    observed: np.ndarray,
    times: np.ndarray,
    train_mask: np.ndarray,
    half_width_days: int = 7,
    words: str = "training period",
    step_seconds: float = _DAY_SECONDS,
) -> Climatology:
    """Mean per cell and time of the year over the steps of ``train_mask`` (T,): per day of the year, within
    ``half_width_days`` around it, or per calendar month where the steps are months. Steps within a day add the mean
    departure of each hour of the day, where the training holds enough days.

    With fewer than two years of training the mean of all training steps, since a single year would repeat its own
    weather. A cell or day without an observation is NaN.
    """
    train = np.flatnonzero(train_mask)
    if len(train) == 0:
        raise DataError(
            "There is no step to take a climatology from",
            remedy="Choose a period that leaves some of the record outside of it",
        )
    months, span = months_of(step_seconds), _span_days(times[train], step_seconds)
    hours, cycle = _daily_cycle(observed, times, train, step_seconds)
    if span < _TWO_YEARS_DAYS or (months and months % _MONTHS == 0):
        sums, counts = _sums_by(observed, train, np.zeros(len(train), dtype=np.int64), 1)
        why = "it spans less than two years" if span < _TWO_YEARS_DAYS else "its steps are years"
        return Climatology(_mean(sums, counts), f"mean per cell{cycle} of the {words} ({why})", hours)
    if months:
        sums, counts = _sums_by(observed, train, month_of_year(times[train]), _MONTHS)
        return Climatology(_mean(sums, counts), f"mean per cell and calendar month of the {words}")
    sums, counts = _sums_by(observed, train, day_of_year(times[train]), _DAYS)
    maps = _mean(_around(sums, half_width_days), _around(counts, half_width_days))
    note = f"mean per cell and day of the year (+-{half_width_days} days){cycle} of the {words}"
    return Climatology(maps, note, hours)


def day_of_year(times: np.ndarray) -> np.ndarray:
    """int64 (n,): 0 for 1 January."""
    days = times.astype("datetime64[D]")
    return (days - days.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64)


def month_of_year(times: np.ndarray) -> np.ndarray:
    """int64 (n,): 0 for January."""
    return times.astype("datetime64[M]").astype(np.int64) % _MONTHS


def hour_of_day(times: np.ndarray) -> np.ndarray:
    """int64 (n,): 0 for the hour after midnight."""
    return times.astype("datetime64[h]").astype(np.int64) % _HOURS


def _span_days(times: np.ndarray, step_seconds: float) -> float:
    """From the begin of the first step to the end of the last."""
    return (int(clock(times, step_seconds)[-1]) + 1) * step_seconds / _DAY_SECONDS


def _daily_cycle(
    observed: np.ndarray, times: np.ndarray, train: np.ndarray, step_seconds: float
) -> tuple[Optional[np.ndarray], str]:
    """Departure of each hour of the day from the mean per cell, (24, H, W), 0 where an hour was never observed; and
    words for it. None for steps of a day and longer, or a training of a few days.
    """
    if step_seconds >= _DAY_SECONDS or len(np.unique(times[train].astype("datetime64[D]"))) < _DAYS_OF_A_CYCLE:
        return None, ""
    sums, counts = _sums_by(observed, train, hour_of_day(times[train]), _HOURS)
    mean = _mean(sums.sum(axis=0), counts.sum(axis=0))
    return np.nan_to_num(_mean(sums, counts) - mean, copy=False), " and hour of the day"


def _sums_by(observed: np.ndarray, steps: np.ndarray, group: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum (float64) and number (float32) of the finite values of each group, (groups, H, W)."""
    shape = observed.shape[1:]
    sums, counts = np.zeros((groups, *shape)), np.zeros((groups, *shape), dtype=np.float32)
    for step, place in zip(steps, group):
        values = np.asarray(observed[step], dtype=np.float64)
        finite = np.isfinite(values)
        sums[place] += np.where(finite, values, 0.0)
        counts[place] += finite
    return sums, counts


def _around(values: np.ndarray, half_width: int) -> np.ndarray:
    """Sum over the days within ``half_width``, round the turn of the year; row blocks keep the memory small."""
    result = np.empty_like(values)
    rows = max(1, _BLOCK_CELLS // max(1, values.shape[2]))
    for start in range(0, values.shape[1], rows):
        part = values[:, start : start + rows]
        ring = np.concatenate([part[-half_width:], part, part[:half_width]]) if half_width else part
        total = np.concatenate([np.zeros((1, *part.shape[1:])), np.cumsum(ring, axis=0, dtype=np.float64)])
        result[:, start : start + rows] = total[2 * half_width + 1 :] - total[: len(total) - 2 * half_width - 1]
    return result


def _mean(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counts > 0, sums / counts, np.nan).astype(np.float32)
