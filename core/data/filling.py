"""Gaps filled on request: linear in time, by inverse distance in space, or with the mean of that time of the year.

Maps are float32 (T, H, W) with NaN for missing. Every function gives the values and a mask of the same shape, True
where a value was filled in; what had been observed is never touched, what cannot be filled stays NaN. Classes are not
numbers to interpolate: for them :func:`fill_nearest`, or ``nearest`` of :func:`fill_space`.
"""

from __future__ import annotations

from typing import Optional

import numpy as np

from ..contracts.errors import DataError
from ..contracts.steps import months_of

Filled = tuple[np.ndarray, np.ndarray]

_DAY = 86400.0
_DAYS = 366
_HALF_WIDTH_DAYS = 7
_SLOTS = 12 * 24  # calendar months and hours
_BLOCK_CELLS = 65536  # cells summed at once in float64


def fill_linear(block: np.ndarray, limit: int, positions: Optional[np.ndarray] = None) -> Filled:
    """Gaps of at most ``limit`` steps by the straight line between the values before and after.

    ``positions`` int64 (T,), strictly rising: the place of each map on the clock; steps without a map count as part of
    a gap. Nothing is extrapolated: a gap at the begin or end stays. A block of a longer record needs ``limit`` steps
    more on either side to give what the whole record would.
    """
    values = np.array(block, dtype=np.float32)
    before, after, inside = _neighbours(values, limit, positions)
    if not inside.any():
        return values, inside
    place = _places(len(values), positions)
    step, row, column = np.nonzero(inside)
    first, last = before[inside], after[inside]
    low, high = (values[at, row, column].astype(np.float64) for at in (first, last))
    share = (place[step] - place[first]) / (place[last] - place[first])
    values[inside] = low + (high - low) * share
    return values, inside


def fill_nearest(block: np.ndarray, limit: int, positions: Optional[np.ndarray] = None) -> Filled:
    """As :func:`fill_linear`, but with the nearer of both values, the earlier where they are as near; for classes."""
    values = np.array(block, dtype=np.float32)
    before, after, inside = _neighbours(values, limit, positions)
    place = _places(len(values), positions)
    step, row, column = np.nonzero(inside)
    first, last = before[inside], after[inside]
    chosen = np.where(place[step] - place[first] <= place[last] - place[step], first, last)
    values[inside] = values[chosen, row, column]
    return values, inside


def _places(steps: int, positions: Optional[np.ndarray]) -> np.ndarray:
    place = np.arange(steps) if positions is None else np.asarray(positions, dtype=np.int64)
    if len(place) != steps or np.any(np.diff(place) <= 0):
        raise DataError(
            "The steps to fill are not in order",
            expected=f"{steps} rising places on the clock",
            got=f"{len(place)} places",
            remedy="Sort the maps by date and take doubled dates once",
        )
    return place


def _neighbours(
    values: np.ndarray, limit: int, positions: Optional[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices (T, H, W) of the value at or before and at or after each step, and where a gap is to be filled."""
    if limit < 1:
        raise DataError("The longest gap to fill is shorter than a step", got=str(limit), remedy="Give at least 1")
    place = _places(len(values), positions)
    steps = np.arange(len(values), dtype=np.int32)[:, None, None]
    seen = np.isfinite(values)
    before = np.maximum.accumulate(np.where(seen, steps, np.int32(-1)), axis=0)
    after = np.where(seen, steps, np.int32(len(values)))
    after = np.minimum.accumulate(after[::-1], axis=0)[::-1]
    between = ~seen & (before >= 0) & (after < len(values))
    gap = np.zeros(values.shape, dtype=np.int64)
    gap[between] = place[after[between]] - place[before[between]] - 1
    return before, after, between & (gap <= limit)


def fill_space(maps: np.ndarray, radius: int, mask: Optional[np.ndarray] = None, nearest: bool = False) -> Filled:
    """Missing cells of each map from those within ``radius`` cells, weighted by the inverse square of the distance
    (Shepard 1968, DOI 10.1145/800186.810616); with ``nearest`` the value of the nearest one alone, for classes.

    ``maps`` (n, H, W). ``mask`` bool (H, W): only cells inside are filled; those outside give their values all the
    same. A block of rows needs ``radius`` rows more on either side to give what the whole map would.
    """
    if radius < 1:
        raise DataError("The distance to fill over is shorter than a cell", got=str(radius), remedy="Give at least 1")
    values = np.array(maps, dtype=np.float32)
    seen = np.isfinite(values)
    wanted = ~seen if mask is None else ~seen & mask
    filled = np.zeros(values.shape, dtype=bool)
    for index in np.flatnonzero(wanted.any(axis=(1, 2)) & seen.any(axis=(1, 2))):
        way = _from_nearest if nearest else _from_around
        found = way(values[index], seen[index], radius)
        filled[index] = wanted[index] & np.isfinite(found)
        values[index][filled[index]] = found[filled[index]]
    return values, filled


def _from_nearest(values: np.ndarray, seen: np.ndarray, radius: int) -> np.ndarray:
    from scipy import ndimage

    distance, (row, column) = ndimage.distance_transform_edt(~seen, return_indices=True)
    return np.where(distance <= radius + 1e-6, values[row, column], np.nan)


def _from_around(values: np.ndarray, seen: np.ndarray, radius: int) -> np.ndarray:
    """Weighted means by convolution: sums of weighted values over sums of weights."""
    from scipy import signal

    offset = np.arange(-radius, radius + 1)
    square = (offset[:, None] ** 2 + offset[None, :] ** 2).astype(np.float64)
    near = (square <= radius**2) & (square > 0)
    weights = np.where(near, 1.0 / np.maximum(square, 1.0), 0.0)
    known = values[seen].astype(np.float64)
    # About the middle of the values the rounding of the transform is smallest.
    middle = 0.5 * (known.min() + known.max())
    centred = np.where(seen, values - middle, 0.0)
    total = signal.fftconvolve(centred, weights, mode="same")
    weight = signal.fftconvolve(seen.astype(np.float64), weights, mode="same")
    count = signal.fftconvolve(seen.astype(np.float64), near.astype(np.float64), mode="same")
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(count > 0.5, total / weight, np.nan) + middle
    # Rounding may make no dry cell wet or negative: a mean lies between the values that it is of.
    mean[np.abs(mean) <= 1e-12 * (known.max() - known.min())] = 0.0
    return np.clip(mean, known.min(), known.max())


class Climatology:
    """Mean per cell and time of the year of what was observed in a reference period, gathered block by block.

    Steps of months: the mean of each calendar month, one mean for steps of years. Steps of a day and longer: the mean
    of the days within ``half_width_days`` around the day of the year, round its turn (as the climatology that models
    are judged against, but without its mean of all steps for records below two years: that one must not know the
    weather of its own season, a filled gap may). Steps shorter than a day: the mean of each calendar month and hour.

    Parameters: ``shape`` (H, W) of the maps; ``step_seconds`` of the clock. Feed every part of the reference period
    once to :meth:`add`; parts that were gathered apart are joined with :meth:`merge`.
    """

    def __init__(self, shape: tuple[int, int], step_seconds: float, half_width_days: int = _HALF_WIDTH_DAYS) -> None:
        self.step_seconds, self.half_width_days = float(step_seconds), half_width_days
        self._months = months_of(step_seconds)
        self._sums = np.zeros((self.groups, *shape))
        self._counts = np.zeros((self.groups, *shape), dtype=np.uint32)
        self._means: Optional[np.ndarray] = None

    @property
    def groups(self) -> int:
        """How many means each cell has."""
        if self._months:
            return 12 if self._months % 12 else 1
        return _DAYS if self.step_seconds >= _DAY else _SLOTS

    @property
    def note(self) -> str:
        """What the means are of, in words."""
        if self._months:
            return "mean of the calendar month" if self.groups > 1 else "mean of all years"
        if self.step_seconds >= _DAY:
            return f"mean of the day of the year (+-{self.half_width_days} days)"
        return "mean of the calendar month and the hour of the day"

    def add(self, block: np.ndarray, times: np.ndarray) -> None:
        """Count the finite values of ``block`` (T, H, W) at ``times`` datetime64 (T,)."""
        group = self._group(times)
        for step, place in enumerate(group):
            values = np.asarray(block[step], dtype=np.float64)
            finite = np.isfinite(values)
            self._sums[place] += np.where(finite, values, 0.0)
            self._counts[place] += finite
        self._means = None

    def merge(self, other: Climatology) -> None:
        """Take in what ``other`` has counted in another part of the period."""
        if (other.groups, other._sums.shape) != (self.groups, self._sums.shape):
            raise DataError(
                "Two climatologies do not belong together",
                expected=f"{self.groups} means of {self._sums.shape[1:]} cells",
                got=f"{other.groups} means of {other._sums.shape[1:]} cells",
                remedy="Gather them on one grid and clock",
            )
        self._sums += other._sums
        self._counts += other._counts
        self._means = None

    def at(self, times: np.ndarray) -> np.ndarray:
        """float32 (n, H, W) for dates ``times`` (n,); NaN where nothing was observed at that time of the year."""
        return self._mean_maps()[self._group(times)]

    def fill(self, block: np.ndarray, times: np.ndarray) -> Filled:
        """The missing values of ``block`` (T, H, W) at ``times`` (T,) from the means."""
        values = np.array(block, dtype=np.float32)
        missing = ~np.isfinite(values)
        filled = np.zeros(values.shape, dtype=bool)
        if missing.any():
            maps, group = self._mean_maps(), self._group(times)
            for step in np.flatnonzero(missing.any(axis=(1, 2))):
                known = maps[group[step]]
                filled[step] = missing[step] & np.isfinite(known)
                values[step][filled[step]] = known[filled[step]]
        return values, filled

    def _group(self, times: np.ndarray) -> np.ndarray:
        times = np.asarray(times).astype("datetime64[s]")
        month = times.astype("datetime64[M]").astype(np.int64) % 12
        if self._months:
            return month if self.groups > 1 else np.zeros(len(times), dtype=np.int64)
        days = times.astype("datetime64[D]")
        if self.step_seconds >= _DAY:
            return (days - days.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64)
        hour = (times - days.astype("datetime64[s]")).astype(np.int64) // 3600
        return month * 24 + hour

    def _mean_maps(self) -> np.ndarray:
        if self._means is None:
            sums, counts = self._sums, self._counts
            if self.groups == _DAYS:
                sums, counts = _around(sums, self.half_width_days), _around(counts, self.half_width_days)
            with np.errstate(invalid="ignore", divide="ignore"):
                self._means = np.where(counts > 0, sums / counts, np.nan).astype(np.float32)
        return self._means


def _around(values: np.ndarray, half_width: int) -> np.ndarray:
    """Sum (366, H, W) over the days within ``half_width``, round the turn of the year; row blocks keep memory small."""
    result = np.empty(values.shape)
    rows = max(1, _BLOCK_CELLS // max(1, values.shape[2]))
    for start in range(0, values.shape[1], rows):
        part = values[:, start : start + rows]
        ring = np.concatenate([part[-half_width:], part, part[:half_width]]) if half_width else part
        total = np.concatenate([np.zeros((1, *part.shape[1:])), np.cumsum(ring, axis=0, dtype=np.float64)])
        result[:, start : start + rows] = total[2 * half_width + 1 :] - total[: len(total) - 2 * half_width - 1]
    return result
