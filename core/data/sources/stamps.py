"""Stamps: the dates of a source brought into order, onto one regular step, each doubled one settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Optional

import numpy as np

from ...contracts.dataset_job import SourceConfig
from ...contracts.dates import format_date, format_step
from ...contracts.errors import DataError
from ...contracts.steps import MONTH, months_of

LISTED = 1000
_DAY = 86400
_SHOWN = 3
_JITTER = 0.01


@dataclass
class Stamps:
    """Dates in order. Date ``i`` (of N) has the maps ``order[first[i]:first[i + 1]]``, numbered as they were found.

    ``doubled`` are the dates that occurred more than once; ``notes`` tell what was done.
    """

    times: np.ndarray
    step_seconds: float
    order: np.ndarray
    first: np.ndarray
    doubled: np.ndarray
    notes: list[str] = field(default_factory=list)

    def chosen(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the maps of dates start .. stop - 1, and where among them each date begins (n + 1)."""
        first = self.first[start : stop + 1]
        return self.order[first[0] : first[-1]], first - first[0]


def put_in_order(
    times: np.ndarray, labels: Sequence[str], config: SourceConfig, precision_seconds: float = 0.0
) -> Stamps:
    """Sort ``times`` (datetime64[s], (n,)), settle doubled ones as ``config.duplicates`` says, find the step.

    Raises :class:`DataError` where dates are doubled and that is refused, or follow no step.
    """
    name = config.variable
    times = np.asarray(times).astype("datetime64[s]")
    order = np.argsort(times, kind="stable")
    notes = []
    if np.any(np.diff(order) < 0):
        notes.append(f"'{name}': the maps are not stored in the order of their dates; they are put in order.")
    ordered = times[order]
    starts = np.flatnonzero(np.concatenate(([True], np.diff(ordered.astype(np.int64)) > 0)))
    first = np.append(starts, len(order))
    unique, counts = ordered[starts], np.diff(first)
    doubled = unique[counts > 1]
    if len(doubled):
        order, first = _settle(order, first, counts, [labels[i] for i in order], unique, config)
        ways = {"first": "the first map of each is taken", "last": "the last map of each is taken"}
        way = ways.get(config.duplicates, "their maps are averaged")
        are = "date occurs" if len(doubled) == 1 else "dates occur"
        notes.append(f"'{name}': {len(doubled)} {are} more than once ({_some(doubled)}); {way}.")
    regular, step, said = _regular(unique, config, precision_seconds)
    return Stamps(regular, step, order, first, doubled, notes + said)


def missing_between(times: np.ndarray, step_seconds: float, lacking: np.ndarray) -> tuple[int, np.ndarray]:
    """How many steps between the first and last date have none, and the first :data:`LISTED` of them; ``lacking``
    ones do not count.
    """
    if len(times) < 2:
        return 0, times[:0]
    places = _places(times, step_seconds)
    gaps = np.diff(places) - 1
    listed: list[np.ndarray] = []
    room = LISTED + len(lacking)
    for index in np.flatnonzero(gaps):
        if room <= 0:
            break
        steps = np.arange(1, min(int(gaps[index]), room) + 1)
        listed.append(_moved(times[index], steps, step_seconds))
        room -= len(steps)
    found = np.concatenate(listed) if listed else times[:0]
    absent = np.isin(lacking, times, invert=True)
    return int(gaps.sum()) - int(absent.sum()), found[~np.isin(found, lacking)][:LISTED]


def _settle(
    order: np.ndarray,
    first: np.ndarray,
    counts: np.ndarray,
    labels: list[str],
    unique: np.ndarray,
    config: SourceConfig,
) -> tuple[np.ndarray, np.ndarray]:
    if config.duplicates == "refuse":
        one = int(np.argmax(counts > 1))
        more = int((counts > 1).sum()) - 1
        raise DataError(
            f"'{config.variable}': the date {_say(unique[one])} occurs twice" + (f" ({more} more do)" if more else ""),
            expected="one map a date",
            got=f"{labels[first[one]]} and {labels[first[one] + 1]}",
            remedy="Remove one of the two, keep each variable in a folder of its own, or say what to do with doubled "
            "dates (first, last or mean)",
        )
    if config.duplicates == "mean":
        return order, first
    kept = first[:-1] if config.duplicates == "first" else first[1:] - 1
    return order[kept], np.arange(len(kept) + 1)


def _regular(times: np.ndarray, config: SourceConfig, precision: float) -> tuple[np.ndarray, float, list[str]]:
    """Dates on a regular step, the step, and what had to be done for it."""
    name = config.variable
    if len(times) == 1:
        if config.step_hours is None:
            raise DataError(
                f"'{name}' has only one date, {_say(times[0])}",
                expected="at least two dates, so that the step is known",
                remedy="Choose more maps, or give the step; a map that does not change in time takes the role 'static'",
            )
        return times, config.step_hours * 3600.0, []
    found = _calendar_months(times, name, strict=True)
    step = None if found else _fixed_step(times)
    if step and (step < 28 * _DAY or step % _DAY == 0):
        return times, float(step), []
    found = found or _calendar_months(times, name, strict=False)
    if found or step:
        return found or (times, float(step), [])
    found = _snapped(times, precision, name)
    if found:
        return found
    given = round((config.step_hours or 0) * 3600)
    if given and not np.any(np.diff(times.astype(np.int64)) % given):
        return times, float(given), [f"'{name}': the dates are irregular; they are taken as steps of "
                                     f"{format_step(given)} with gaps, as asked for."]  # fmt: skip
    raise _irregular(times, name)


def _fixed_step(times: np.ndarray) -> Optional[int]:
    gaps = np.diff(times.astype(np.int64))
    usual, least = int(np.sort(gaps)[len(gaps) // 2]), int(gaps.min())
    if not np.any(gaps % usual):
        return usual
    if not np.any(gaps % least) and np.mean(gaps == least) >= 1 / 3:
        return least
    return None


def _calendar_months(times: np.ndarray, name: str, *, strict: bool) -> Optional[tuple[np.ndarray, float, list[str]]]:
    """Dates that stand for months or years: at most one a month, all at one place in it. Strictly: on one day at one
    time.
    """
    months = times.astype("datetime64[M]")
    index = months.astype(np.int64)
    gaps = np.diff(index)
    if gaps.min() < 1:
        return None
    begin = months.astype("datetime64[s]")
    into = (times - begin).astype(np.int64)
    length = ((months + 1).astype("datetime64[s]") - begin).astype(np.int64)
    share = into / length
    if strict and np.any(into != into[0]) or not strict and np.ptp(share) > 0.12:
        return None
    count = int(np.gcd.reduce(gaps))
    if count != gaps.min():
        return None
    notes = []
    if count == 12 and (_mid_year(times).all() or _year_end(times).all()):
        begin = times.astype("datetime64[Y]").astype("datetime64[s]")
        notes.append(f"'{name}': dates such as {_say(times[0])} stand for their whole year.")
    elif into.any():
        notes.append(f"'{name}': dates such as {_say(times[0])} stand for their whole month, from its first day.")
    return begin, count * MONTH, notes


def _mid_year(times: np.ndarray) -> np.ndarray:
    into = (times - times.astype("datetime64[Y]").astype("datetime64[s]")).astype(np.int64)
    return np.abs(into - 182.5 * _DAY) <= 2 * _DAY


def _year_end(times: np.ndarray) -> np.ndarray:
    return (times + np.timedelta64(_DAY, "s")).astype("datetime64[Y]") > times.astype("datetime64[Y]")


def _snapped(times: np.ndarray, precision: float, name: str) -> Optional[tuple[np.ndarray, float, list[str]]]:
    """Dates that miss a regular step by the precision of their numbers, or by less than 1 % of it."""
    seconds = times.astype(np.int64)
    gaps = np.diff(seconds)
    usual = float(np.median(gaps))
    strides = np.round(gaps / usual).astype(np.int64)
    if strides.min() < 1:
        return None
    places = np.concatenate(([0], np.cumsum(strides)))
    fitted = float(np.polyfit(places, (seconds - seconds[0]).astype(np.float64), 1)[0])
    allowed = max(precision, _JITTER * usual)
    for unit in (_DAY, 3600, 60, 1):
        step = round(fitted / unit) * unit
        if step <= 0:
            continue
        rest = seconds - places * step
        if np.ptp(rest) > 2 * allowed:
            continue
        middle = (int(rest.max()) + int(rest.min())) // 2
        for grain in (step, 3600, 60, 1):
            base = round(middle / grain) * grain
            if np.abs(rest - base).max() <= allowed:
                exact = (base + places * step).astype("datetime64[s]")
                worst = int(np.abs(rest - base).max())
                why = "the precision of the numbers in the file" if worst <= precision else "less than 1 % of it"
                note = (
                    f"'{name}': the dates miss the step of {format_step(float(step))} by up to {worst} s ({why}); "
                    "they are set right."
                )
                return exact, float(step), [note]
    return None


def _irregular(times: np.ndarray, name: str) -> DataError:
    gaps = np.diff(times.astype(np.int64))
    usual = int(np.sort(gaps)[len(gaps) // 2])
    odd = np.flatnonzero(gaps % usual)
    shown = [f"{_say(times[i])} followed by {_say(times[i + 1])}" for i in odd[:_SHOWN]]
    common = int(np.gcd.reduce(gaps))
    advice = (
        f"Give the step ({common / 3600:g} h fits all dates): dates between become gaps; or use a series with a fixed "
        "step"
        if common >= 60
        else "Use a series with a fixed step in minutes, hours, days or months"
    )
    return DataError(
        f"'{name}': the dates do not follow one regular step ({len(odd)} of {len(gaps)} gaps do not fit)",
        expected=f"a multiple of the usual step, {format_step(float(usual))}, between two dates",
        got="; ".join(shown) + ("; ..." if len(odd) > _SHOWN else ""),
        remedy=advice,
    )


def _places(times: np.ndarray, step_seconds: float) -> np.ndarray:
    months = months_of(step_seconds)
    if months:
        index = times.astype("datetime64[M]").astype(np.int64)
        return (index - index[0]) // months
    return np.round((times - times[0]).astype(np.int64) / step_seconds).astype(np.int64)


def _moved(moment: np.datetime64, steps: np.ndarray, step_seconds: float) -> np.ndarray:
    months = months_of(step_seconds)
    if months:
        return (moment.astype("datetime64[M]") + steps * months).astype("datetime64[s]")
    return moment + np.round(steps * step_seconds).astype("timedelta64[s]")


def _some(times: np.ndarray) -> str:
    return ", ".join(_say(time) for time in times[:_SHOWN]) + (", ..." if len(times) > _SHOWN else "")


def _say(moment: np.datetime64) -> str:
    return format_date(moment.astype("datetime64[s]").astype(datetime))
