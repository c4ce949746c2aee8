"""Dates on a clock, as arrays: steps of a fixed length, or calendar months (whole multiples of ``steps.MONTH``)."""

from __future__ import annotations

from typing import Union

import numpy as np

from ..contracts.steps import months_of

Count = Union[int, np.ndarray]


def positions(times: np.ndarray, step_seconds: float) -> np.ndarray:
    """Index (n,) of each date on the clock that begins with ``times[0]``, int64; dates between two steps belong to the
    earlier one. Months are counted by the calendar.
    """
    times = np.asarray(times).astype("datetime64[s]")
    return index_of(times, times[0], step_seconds) if len(times) else np.zeros(0, dtype=np.int64)


def index_of(times: np.ndarray, start: np.datetime64, step_seconds: float) -> np.ndarray:
    """Index of the step that holds each date, on the clock whose step 0 begins at ``start``; negative before it."""
    months = months_of(step_seconds)
    if not months:
        since = (np.asarray(times).astype("datetime64[s]") - start).astype(np.int64)
        if float(step_seconds).is_integer():
            return np.floor_divide(since, int(step_seconds))
        return np.floor((since + 0.5) / step_seconds).astype(np.int64)  # dates are rounded to seconds
    return np.floor_divide(_month(times) - _month(start), months)


def shift(times: Union[np.ndarray, np.datetime64], n: Count, step_seconds: float) -> np.ndarray:
    """``times`` moved by ``n`` steps (a number, or an array that broadcasts against them), datetime64[s]. The day and
    hour within a month are kept; a day that a month lacks becomes its last one.
    """
    times = np.asarray(times).astype("datetime64[s]")
    months = months_of(step_seconds)
    if not months:
        return times + np.round(np.asarray(n) * step_seconds).astype(np.int64).astype("timedelta64[s]")
    month = times.astype("datetime64[M]")
    into = times - month.astype("datetime64[s]")
    begin = month + np.asarray(n, dtype=np.int64) * months
    day = np.timedelta64(86400, "s")
    last = (begin + 1).astype("datetime64[s]") - begin.astype("datetime64[s]") - day
    return begin.astype("datetime64[s]") + np.minimum(into - into % day, last) + into % day


def lengths(times: np.ndarray, step_seconds: float) -> np.ndarray:
    """Seconds (n,) of the step that begins with each date, float64."""
    times = np.asarray(times).astype("datetime64[s]")
    return (shift(times, 1, step_seconds) - times).astype(np.int64).astype(np.float64)


def _month(times: Union[np.ndarray, np.datetime64]) -> np.ndarray:
    return np.asarray(times).astype("datetime64[M]").astype(np.int64)
