"""What a model has to beat: persistence and climatology. Both know the observed target, which a simulating model does
not.

Arrays are (T, H, W) in the target's unit; NaN is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import numpy as np

from ..contracts.errors import DataError

_DAYS = 366
_TWO_YEARS_DAYS = 2 * 365
_BLOCK_CELLS = 65536  # cells summed at once in float64


def persistence_distance(lead_steps: int) -> int:
    """Steps from a target back to the value that persistence may know: the lead, and 1 where the model simulates (lead
    0).
    """
    return max(1, lead_steps)


def clock(times: np.ndarray, step_seconds: float) -> np.ndarray:
    """int64 (T,): the position of each date on a clock without gaps, 0 for the first."""
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


def persistence(observed: np.ndarray, distance_steps: int, positions: Optional[np.ndarray] = None) -> np.ndarray:
    """Persistence for every step of ``observed`` (T, H, W): the last value at or before ``distance_steps`` earlier."""
    place = np.arange(len(observed)) if positions is None else np.asarray(positions)
    return Persistence(observed, positions).at(place, distance_steps)


@dataclass(frozen=True)
class Climatology:
    """Mean per cell of the training period: one map a day of the year (366, H, W), or one map (1, H, W). ``note`` says
    which.
    """

    maps: np.ndarray
    note: str

    def at(self, times: np.ndarray) -> np.ndarray:
        """float32 (n, H, W) for dates ``times`` (n,)."""
        if len(self.maps) == 1:
            return np.broadcast_to(self.maps[0], (len(times), *self.maps.shape[1:]))
        return self.maps[day_of_year(times)]


def climatology(
    observed: np.ndarray,
    times: np.ndarray,
    train_mask: np.ndarray,
    half_width_days: int = 7,
    words: str = "training period",
) -> Climatology:
    """Mean per cell and day of the year over the steps of ``train_mask`` (T,), within ``half_width_days`` around the
    day.

    With fewer than two years of training the mean of all training steps, since a single year would repeat its own
    weather. A cell or day without an observation is NaN. The time of day is not told apart.
    """
    train = np.flatnonzero(train_mask)
    if len(train) == 0:
        raise DataError(
            "There is no step to take a climatology from",
            remedy="Choose a period that leaves some of the record outside of it",
        )
    days = day_of_year(times[train])
    if _span_days(times[train]) < _TWO_YEARS_DAYS - 1:
        sums, counts = _sums_by(observed, train, np.zeros(len(train), dtype=np.int64), 1)
        return Climatology(_mean(sums, counts), f"mean per cell of the {words} (it spans less than two years)")
    sums, counts = _sums_by(observed, train, days, _DAYS)
    maps = _mean(_around(sums, half_width_days), _around(counts, half_width_days))
    return Climatology(maps, f"mean per cell and day of the year (+-{half_width_days} days) of the {words}")


def day_of_year(times: np.ndarray) -> np.ndarray:
    """int64 (n,): 0 for 1 January."""
    days = times.astype("datetime64[D]")
    return (days - days.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64)


def _span_days(times: np.ndarray) -> float:
    return float((times[-1] - times[0]).astype("timedelta64[s]").astype(np.int64)) / 86400.0


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
