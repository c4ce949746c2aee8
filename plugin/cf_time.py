"""Dates of CF time coordinates in every calendar, as dates of the standard calendar. The engine reads them alike.

Days of a 365-day, 366-day or Julian calendar keep their labels; the days of a 360-day year are spread over the real
year, so that the seasons stay in place.
"""

from __future__ import annotations

import calendar as calendars
import math
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Optional

from ..core.contracts.dates import find_date
from ..core.contracts.steps import months_of

Dates = list[Optional[datetime]]

_SINCE = re.compile(
    r"^\s*(?P<unit>[a-z]+)\s+since\s+(?P<year>\d{1,4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
    r"(?:[T ]+(?P<hour>\d{1,2})(?::(?P<minute>\d{1,2}))?(?::(?P<second>\d{1,2})(?:\.\d*)?)?)?"
    r"\s*(?:Z|UTC|GMT|(?P<zone>[+-])(?P<zone_hours>\d{1,2})(?::?(?P<zone_minutes>\d{2}))?)?\s*$",
    re.IGNORECASE,
)
_SECONDS = {
    "nanosecond": 1e-9, "ns": 1e-9, "microsecond": 1e-6, "us": 1e-6, "millisecond": 1e-3, "msec": 1e-3, "ms": 1e-3,
    "second": 1.0, "sec": 1.0, "s": 1.0, "minute": 60.0, "min": 60.0, "hour": 3600.0, "hr": 3600.0, "h": 3600.0,
    "day": 86400.0, "d": 86400.0, "week": 604800.0,
}  # fmt: skip
_MONTHS = {"month": 1.0, "mon": 1.0, "year": 12.0, "yr": 12.0}
_CALENDARS = {
    "": "standard", "standard": "standard", "gregorian": "standard", "proleptic_gregorian": "proleptic_gregorian",
    "none": "standard", "noleap": "noleap", "365_day": "noleap", "365day": "noleap", "no_leap": "noleap",
    "all_leap": "all_leap", "366_day": "all_leap", "366day": "all_leap", "360_day": "360_day", "360day": "360_day",
    "julian": "julian",
}  # fmt: skip
_STARTS = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
_LEAP_STARTS = (0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335)
_FIRST_GREGORIAN = 2299161  # Julian day number of 15 October 1582


def decode_times(values: Iterable[float], units: str, calendar: str = "standard") -> Optional[Dates]:
    """Dates of CF numbers (CF conventions 1.8, section 4.4), to the second; None where units or calendar are not
    understood, and for a single date where the standard calendar has no such day.

    Also understood are months and years, counted by the calendar, and numbers that are dates themselves (20200131).
    """
    numbers = [float(value) for value in values]
    if not all(math.isfinite(value) for value in numbers):
        return None
    match, name = _SINCE.match(units or ""), _CALENDARS.get(calendar.strip().lower())
    if match is None:
        return None if " since " in (units or "") else _absolute(numbers, units or "")
    if name is None:
        return None
    word = match.group("unit").lower()
    word = word if word in _SECONDS or word in _MONTHS else word.rstrip("s")
    try:
        if word in _MONTHS:
            return _add_months(_base(match), [value * _MONTHS[word] for value in numbers])
        if word not in _SECONDS:
            return None
        return _add_seconds(match, numbers, _SECONDS[word], name)
    except (ValueError, OverflowError):
        return None


def decode_texts(texts: Iterable[str]) -> Optional[Dates]:
    """Dates that are written as texts; None where one of them is none."""
    found = [find_date(text) for text in texts]
    return found if found and all(found) else None


def is_calendar(calendar: str) -> bool:
    """Whether dates of this CF calendar can be decoded."""
    return calendar.strip().lower() in _CALENDARS


def plain_calendar(calendar: str) -> str:
    """The CF name of a calendar: "standard" for all spellings of the Gregorian one; an unknown one as it is."""
    name = _CALENDARS.get(calendar.strip().lower(), calendar.strip())
    return "standard" if name == "proleptic_gregorian" else name


def calendar_words(calendar: str, dates: Sequence[Optional[datetime]]) -> str:
    """What was done with the dates of another calendar, as a sentence; empty for the standard one."""
    name = plain_calendar(calendar)
    if calendar.strip().lower() == "none":
        return "The calendar is 'none': the dates are taken as they stand."
    if name == "360_day":
        if len({(date.day, date.hour) for date in dates if date}) == 1 and len(dates) > 1:
            return "The months of the 360-day calendar keep their labels."
        return "The days of the 360-day calendar are spread over the real year: 5 or 6 days a year have no map."
    lost = sum(date is None for date in dates)
    if lost:
        return (
            f"{lost} maps of the calendar '{calendar}' lie on a 29 February that the standard calendar does not have: "
            "they are left out."
        )
    return "The calendar has no 29 February: all other dates keep their labels." if name == "noleap" else ""


def lacking_days(calendar: str, first: datetime, last: datetime, step_seconds: Optional[float]) -> set[datetime]:
    """Steps between two dates on days that the calendar lacks; only for steps that divide a day."""
    name, step = plain_calendar(calendar), round(step_seconds or 0)
    if name not in ("noleap", "360_day") or not step or 86400 % step or months_of(step):
        return set()
    found = set()
    offset = (first - datetime(first.year, first.month, first.day)).total_seconds() % step
    for day in (day for year in range(first.year, last.year + 1) for day in _lacking_of(year, name)):
        for count in range(86400 // step):
            moment = day + timedelta(seconds=offset + count * step)
            if first < moment < last:
                found.add(moment)
    return found


def _lacking_of(year: int, name: str) -> list[datetime]:
    length = 366 if calendars.isleap(year) else 365
    if name == "noleap":
        return [datetime(year, 2, 29)] if length == 366 else []
    spread = {round(day * length / 360) for day in range(1, 361)}
    return [datetime(year, 1, 1) + timedelta(days=day - 1) for day in range(1, length + 1) if day not in spread]


def _base(match: re.Match) -> datetime:
    numbers = [int(match.group(name) or 0) for name in ("year", "month", "day", "hour", "minute", "second")]
    return datetime(*numbers) - timedelta(seconds=_zone_seconds(match))


def _zone_seconds(match: re.Match) -> int:
    seconds = int(match.group("zone_hours") or 0) * 3600 + int(match.group("zone_minutes") or 0) * 60
    return -seconds if match.group("zone") == "-" else seconds


def _add_seconds(match: re.Match, numbers: list[float], scale: float, name: str) -> Dates:
    year, month, day = (int(match.group(part)) for part in ("year", "month", "day"))
    if (
        not 1 <= month <= 12
        or not 1 <= day <= (30 if name == "360_day" else 31)
        or (not year and name in ("standard", "julian"))
    ):
        raise ValueError("no such date")
    start = sum(int(match.group(part) or 0) * size for part, size in (("hour", 3600), ("minute", 60), ("second", 1)))
    first, start = _number_of(name, year, month, day), start - _zone_seconds(match)
    parts = []
    for value in numbers:
        whole = math.floor(value)
        # Whole units apart from the rest: a count of days since the year 1 has few digits left for its hours.
        days, rest = divmod(start + round(whole * scale + (value - whole) * scale), 86400)
        parts.append((*_date_of(name, first + days), rest))
    if name == "360_day":
        return _spread(parts)
    return [_moment(year, month, day, rest) for year, month, day, rest in parts]


def _moment(year: int, month: int, day: int, seconds: int) -> Optional[datetime]:
    if day > calendars.monthrange(year, month)[1]:
        return None
    return datetime(year, month, day) + timedelta(seconds=seconds)


def _spread(parts: list[tuple[int, int, int, int]]) -> Dates:
    if len(parts) > 1 and len({part[2:] for part in parts}) == 1:
        return [datetime(year, month, 1) for year, month, _, _ in parts]
    found: Dates = []
    for year, month, day, rest in parts:
        length = 366 if calendars.isleap(year) else 365
        placed = round(((month - 1) * 30 + day) * length / 360)
        found.append(datetime(year, 1, 1) + timedelta(days=placed - 1, seconds=rest))
    return found


def _add_months(base: datetime, numbers: list[float]) -> Dates:
    """Calendar months; a fraction is a share of the month that it falls into."""
    found: Dates = []
    for value in (round(value, 6) for value in numbers):
        whole = math.floor(value)
        year, month = divmod(base.year * 12 + base.month - 1 + whole, 12)
        days = calendars.monthrange(year, month + 1)[1]
        day = min(base.day, days)
        part = timedelta(seconds=round((value - whole) * days * 86400))
        found.append(base.replace(year=year, month=month + 1, day=day) + part)
    return found


def _absolute(numbers: list[float], units: str) -> Optional[Dates]:
    """Dates written as numbers: 20200131, 20200131.25, 202001, or 2020 where the unit says so."""
    whole = [math.floor(value) for value in numbers]
    exact = numbers == [float(value) for value in whole]
    if not whole:
        return None
    if all(18000101 <= value < 23000101 for value in whole):
        parts = [(value // 10000, value // 100 % 100, value % 100) for value in whole]
    elif exact and all(180001 <= value < 230001 for value in whole):
        parts = [(value // 100, value % 100, 1) for value in whole]
    elif exact and "year" in units.lower() and all(1800 <= value < 2300 for value in whole):
        parts = [(value, 1, 1) for value in whole]
    else:
        return None
    try:
        rests = [timedelta(seconds=round((value - base) * 86400)) for value, base in zip(numbers, whole)]
        return [datetime(*part) + rest for part, rest in zip(parts, rests)]
    except ValueError:
        return None


def _number_of(name: str, year: int, month: int, day: int) -> int:
    """Number of a day in its calendar, from some zero."""
    if name == "360_day":
        return year * 360 + (month - 1) * 30 + day - 1
    if name in ("noleap", "all_leap"):
        starts, length = (_STARTS, 365) if name == "noleap" else (_LEAP_STARTS, 366)
        return year * length + starts[month - 1] + day - 1
    before = (14 - month) // 12
    years, months = year + 4800 - before, month + 12 * before - 3
    number = day + (153 * months + 2) // 5 + 365 * years + years // 4
    if name == "julian" or name == "standard" and (year, month, day) < (1582, 10, 15):
        return number - 32083
    return number - years // 100 + years // 400 - 32045


def _date_of(name: str, number: int) -> tuple[int, int, int]:
    """Year, month and day of a number of :func:`_number_of`."""
    if name == "360_day":
        return number // 360, number % 360 // 30 + 1, number % 30 + 1
    if name in ("noleap", "all_leap"):
        starts, length = (_STARTS, 365) if name == "noleap" else (_LEAP_STARTS, 366)
        year, day = divmod(number, length)
        month = max(index for index, start in enumerate(starts) if start <= day)
        return year, month + 1, day - starts[month] + 1
    century = 0
    if name == "julian" or name == "standard" and number < _FIRST_GREGORIAN:
        rest = number + 32082
    else:
        shifted = number + 32044
        century = (4 * shifted + 3) // 146097
        rest = shifted - 146097 * century // 4
    years = (4 * rest + 3) // 1461
    days = rest - 1461 * years // 4
    month = (5 * days + 2) // 153
    return (
        100 * century + years - 4800 + month // 10,
        month + 3 - 12 * (month // 10),
        days - (153 * month + 2) // 5 + 1,
    )
