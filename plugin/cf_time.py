"""Dates of NetCDF time axes as GDAL gives them: numbers and a text such as "days since 1970-01-01"."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Optional

_SINCE = re.compile(
    r"^\s*(?P<unit>[a-z]+)\s+since\s+(?P<year>\d{1,4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
    r"(?:[T ]+(?P<hour>\d{1,2})(?::(?P<minute>\d{1,2}))?(?::(?P<second>\d{1,2})(?:\.\d*)?)?)?",
    re.IGNORECASE,
)
_SECONDS = {
    "d": 86400.0,
    "day": 86400.0,
    "h": 3600.0,
    "hr": 3600.0,
    "hour": 3600.0,
    "min": 60.0,
    "minute": 60.0,
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
}
_STANDARD = ("", "standard", "gregorian", "proleptic_gregorian")
_NO_LEAP = ("noleap", "365_day")
_MONTH_STARTS = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)


def decode_times(values: Iterable[float], units: str, calendar: str = "standard") -> Optional[list[datetime]]:
    """Dates of CF numbers (CF conventions 1.8, section 4.4), to the second; None where units or calendar are not
    understood.

    Understood are the Gregorian calendars and the one without leap days. A calendar of 360 days has dates that do not
    exist.
    """
    match = _SINCE.match(units or "")
    if match is None:
        return None
    word = match.group("unit").lower()
    scale = _SECONDS.get(word) or _SECONDS.get(word.rstrip("s"))
    if scale is None:
        return None
    numbers = [int(match.group(name) or 0) for name in ("year", "month", "day", "hour", "minute", "second")]
    try:
        base = datetime(*numbers)
        if calendar.lower() in _STANDARD:
            return [base + timedelta(seconds=round(value * scale)) for value in values]
        if calendar.lower() in _NO_LEAP:
            return [_add_without_leap(base, round(value * scale)) for value in values]
    except (ValueError, OverflowError):
        return None
    return None


def is_calendar(calendar: str) -> bool:
    """Whether dates of this CF calendar can be decoded."""
    return calendar.lower() in (*_STANDARD, *_NO_LEAP)


def _add_without_leap(base: datetime, seconds: int) -> datetime:
    """``base`` plus ``seconds`` where every year has 365 days."""
    within = base.hour * 3600 + base.minute * 60 + base.second + seconds
    days, rest = divmod(within, 86400)
    year_days = base.year * 365 + _MONTH_STARTS[base.month - 1] + base.day - 1 + days
    year, day = divmod(year_days, 365)
    month = max(index for index, start in enumerate(_MONTH_STARTS) if start <= day)
    return datetime(year, month + 1, day - _MONTH_STARTS[month] + 1) + timedelta(seconds=rest)
