"""Dates of a source brought into order: their step, what is doubled, missing or fits no step. As the engine does it."""

from __future__ import annotations

import calendar as calendars
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import gcd
from typing import Optional

from ..core.contracts.dates import format_date, format_step
from ..core.contracts.steps import MONTH, advance, steps_between
from .cf_time import lacking_days, plain_calendar

LISTED = 5000
_JITTER = 0.01
_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Stamps:
    """``dates`` in order, each once; ``order`` gives for each the number of its map as it was found. ``step`` (s) is
    None for fewer than two dates, ``doubled``, ``irregular`` and ``gaps`` are dates, ``words`` tell what was done.
    """

    dates: tuple[datetime, ...]
    order: tuple[int, ...]
    step: Optional[float]
    doubled: tuple[datetime, ...] = ()
    irregular: tuple[datetime, ...] = ()
    gaps: tuple[datetime, ...] = ()
    words: tuple[str, ...] = ()


def put_in_order(
    found: Sequence[Optional[datetime]], calendar: str = "standard", precision: float = 0.0, files: bool = False
) -> Stamps:
    """Sort dates (None is left out). ``files`` says that each date is a file of its own, whose order means nothing;
    ``precision`` (s) is that of the stamps.
    """
    known = [(date, number) for number, date in enumerate(found) if date is not None]
    ordered = sorted(known)
    words = []
    if known != ordered and not files:
        words.append("Its maps are not stored in the order of their dates; they are put in order.")
    counts = Counter(date for date, _ in known)
    doubled = tuple(sorted(date for date, count in counts.items() if count > 1))
    first: dict[datetime, int] = {}
    for date, number in ordered:
        first.setdefault(date, number)
    unique = tuple(first)
    if len(unique) < 2:
        return Stamps(unique, tuple(first.values()), None, doubled, words=tuple(words))
    dates, step, said, odd = _regular(unique, precision)
    gaps = () if odd else _gaps(dates, step, plain_calendar(calendar))
    return Stamps(dates, tuple(first.values()), step, doubled, odd, gaps, (*words, *said))


def missing_words(gaps: Sequence[datetime]) -> str:
    """A sentence on missing steps; empty where none is missing."""
    if not gaps:
        return ""
    some = ", ".join(format_date(date) for date in gaps[:3]) + (", ..." if len(gaps) > 3 else "")
    count = f"At least {len(gaps)}" if len(gaps) >= LISTED else str(len(gaps))
    return f"{count} {'step is' if len(gaps) == 1 else 'steps are'} missing ({some}); kept as gaps."


Regular = tuple[tuple[datetime, ...], float, list[str], tuple[datetime, ...]]


def _regular(dates: tuple[datetime, ...], precision: float) -> Regular:
    """Dates on a regular step, the step, what had to be done for it, and the dates that fit none."""
    found = _months(dates, strict=True)
    gaps = [round((later - earlier).total_seconds()) for earlier, later in zip(dates, dates[1:])]
    usual = sorted(gaps)[len(gaps) // 2]
    if found is None:
        step = _fixed(gaps, usual)
        if step:
            return dates, float(step), [], ()
    found = found or _months(dates, strict=False) or _snapped(dates, gaps, precision)
    if found:
        return *found, ()
    odd = tuple(later for gap, later in zip(gaps, dates[1:]) if gap % usual)
    return dates, float(usual), [], odd


def _fixed(gaps: list[int], usual: int) -> Optional[int]:
    if usual and not any(gap % usual for gap in gaps):
        return usual
    least = min(gaps)
    if least and not any(gap % least for gap in gaps) and 3 * gaps.count(least) >= len(gaps):
        return least
    return None


def _months(dates: tuple[datetime, ...], *, strict: bool) -> Optional[tuple[tuple[datetime, ...], float, list[str]]]:
    """Dates that stand for months or years: at most one a month, all at one place in it. Strictly: on one day at one
    time.
    """
    index = [date.year * 12 + date.month - 1 for date in dates]
    gaps = [later - earlier for earlier, later in zip(index, index[1:])]
    if min(gaps) < 1:
        return None
    begin = [datetime(date.year, date.month, 1) for date in dates]
    into = [(date - start).total_seconds() for date, start in zip(dates, begin)]
    lengths = [86400.0 * calendars.monthrange(date.year, date.month)[1] for date in dates]
    shares = [part / length for part, length in zip(into, lengths)]
    if len(set(into)) > 1 if strict else max(shares) - min(shares) > 0.12:
        return None
    count = 0
    for gap in gaps:
        count = gcd(count, gap)
    if count != min(gaps):
        return None
    words = []
    if count == 12 and (all(map(_mid_year, dates)) or all(map(_year_end, dates))):
        begin = [datetime(date.year, 1, 1) for date in dates]
        words.append(f"Dates such as {format_date(dates[0])} stand for their whole year.")
    elif any(into):
        words.append(f"Dates such as {format_date(dates[0])} stand for their whole month, from its first day.")
    return tuple(begin), count * MONTH, words


def _mid_year(date: datetime) -> bool:
    return abs((date - datetime(date.year, 1, 1)).total_seconds() - 182.5 * 86400) <= 2 * 86400


def _year_end(date: datetime) -> bool:
    return (date + timedelta(days=1)).year > date.year


def _snapped(
    dates: tuple[datetime, ...], gaps: list[int], precision: float
) -> Optional[tuple[tuple[datetime, ...], float, list[str]]]:
    """Dates that miss a regular step by the precision of their numbers, or by less than 1 % of it."""
    ordered = sorted(gaps)
    half = len(ordered) // 2
    usual = float(ordered[half]) if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2.0
    strides = [round(gap / usual) for gap in gaps] if usual else [0]
    if min(strides) < 1:
        return None
    places, place = [0], 0
    for stride in strides:
        place += stride
        places.append(place)
    seconds = [(date - _EPOCH).total_seconds() for date in dates]
    fitted, allowed = _slope(places, seconds), max(precision, _JITTER * usual)
    for unit in (86400, 3600, 60, 1):
        step = round(fitted / unit) * unit
        rest = [second - place * step for second, place in zip(seconds, places)] if step > 0 else [0.0, 1e30]
        if max(rest) - min(rest) > 2 * allowed:
            continue
        middle = (max(rest) + min(rest)) // 2
        for grain in (step, 3600, 60, 1):
            base = round(middle / grain) * grain
            worst = max(abs(part - base) for part in rest)
            if worst <= allowed:
                exact = tuple(_EPOCH + timedelta(seconds=base + place * step) for place in places)
                why = "the precision of the numbers in the file" if worst <= precision else "less than 1 % of it"
                missed = f"The dates miss the step of {format_step(float(step))} by up to {worst:g} s"
                return exact, float(step), [f"{missed} ({why}); they are set right."]
    return None


def _slope(places: list[int], seconds: list[float]) -> float:
    count = len(places)
    mean_x, mean_y = sum(places) / count, sum(seconds) / count
    above = sum((x - mean_x) * (y - mean_y) for x, y in zip(places, seconds))
    return above / sum((x - mean_x) ** 2 for x in places)


def _gaps(dates: tuple[datetime, ...], step: float, calendar: str) -> tuple[datetime, ...]:
    """Starts of the steps that are missing between dates in order, at most :data:`LISTED`."""
    lacking = lacking_days(calendar, dates[0], dates[-1], step)
    missing: list[datetime] = []
    for earlier, later in zip(dates, dates[1:]):
        count = round(steps_between(earlier, later, step))
        for number in range(1, count):
            moment = advance(earlier, number, step)
            if moment not in lacking:
                missing.append(moment)
            if len(missing) >= LISTED:
                return tuple(missing)
    return tuple(missing)
