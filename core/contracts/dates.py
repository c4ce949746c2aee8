"""Dates in file names and texts, and steps of a clock. All times are naive UTC ``datetime`` and label the start of a
step.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Optional

from .errors import DataError
from .steps import MONTH, months_of

_SEPARATED = re.compile(
    r"(?<!\d)(\d{4})[-_.](\d{1,2})[-_.](\d{1,2})(?:[T_ .-]?(\d{2})[:_.-]?(\d{2})(?:[:_.-]?(\d{2}))?)?(?!\d)"
)
_COMPACT = re.compile(r"(?<!\d)(\d{4})(\d{2})(\d{2})(?:[T_-]?(\d{2})(\d{2})(\d{2})?)?(?!\d)")
_DAY_OF_YEAR = re.compile(r"(?<!\d)(\d{4})[-_.]?(\d{3})(?!\d)")
_MONTH = re.compile(r"(?<!\d)(\d{4})[-_.]?(\d{2})(?!\d)")
_CODES = {
    "Y": r"\d{4}", "y": r"\d{2}", "m": r"\d{1,2}", "d": r"\d{1,2}", "H": r"\d{2}",
    "M": r"\d{2}", "S": r"\d{2}", "j": r"\d{3}",
    "b": r"[A-Za-z]{3}", "B": r"[A-Za-z]+", "%": "%",
}  # fmt: skip


def find_date(text: str) -> Optional[datetime]:
    """The date in a file name or band description, or None.

    Understood are 1995-02-01, 1995_02_01, 19950201, each with an hour and minute behind it, 1995032 (day of the year)
    and 1995-02. A year outside 1800 to 2299 is not taken for a date.
    """
    for pattern in (_SEPARATED, _COMPACT):
        for match in pattern.finditer(text):
            found = _date([int(part) for part in match.groups() if part is not None])
            if found:
                return found
    for match in _DAY_OF_YEAR.finditer(text):
        year, day = int(match.group(1)), int(match.group(2))
        if _year_ok(year) and 1 <= day <= 366:
            return datetime(year, 1, 1) + timedelta(days=day - 1)
    for match in _MONTH.finditer(text):
        found = _date([int(match.group(1)), int(match.group(2)), 1])
        if found:
            return found
    return None


def find_date_by(pattern: str, text: str, what: str = "The source") -> Optional[datetime]:
    """The date in ``text`` where it fits the strptime ``pattern``, else None; DataError for a pattern without codes
    or with codes that are not understood.
    """
    pieces = re.split(r"%(.)", pattern)
    if len(pieces) == 1 or any(code not in _CODES for code in pieces[1::2]):
        raise DataError(
            f"{what}: the date pattern is not usable",
            expected="codes such as %Y %m %d %H %M %j, for example %Y%m%d",
            got=repr(pattern),
            remedy="Correct the pattern, or leave it empty",
        )
    expression = "".join(_CODES[piece] if i % 2 else re.escape(piece) for i, piece in enumerate(pieces))
    match = re.search(expression, text)
    try:
        return datetime.strptime(match.group(0), pattern) if match else None
    except ValueError:
        return None


def parse_date(text: str, what: str = "The date") -> datetime:
    """A date that a person typed, as 1993-07-04 or 1993-07-04T06:00; raises :class:`DataError` otherwise."""
    try:
        found = datetime.fromisoformat(text.strip().replace("Z", ""))
    except ValueError as error:
        raise DataError(
            f"{what} is not a date",
            expected="for example 1993-07-04 or 1993-07-04T06:00",
            got=repr(text),
            remedy="Correct it",
        ) from error
    return found.replace(tzinfo=None)


def format_date(moment: datetime) -> str:
    """ISO text: the day alone where the time is midnight, else to the minute or second."""
    if moment == datetime(moment.year, moment.month, moment.day):
        return moment.strftime("%Y-%m-%d")
    return moment.isoformat(timespec="minutes" if moment.second == 0 else "seconds")


def step_of(dates: list[datetime]) -> Optional[float]:
    """The usual distance between sorted dates in seconds (their median), or None for fewer than two. Dates on one day
    of each month give a step of months (see :mod:`.steps`).
    """
    if len(dates) < 2:
        return None
    gaps = sorted((later - earlier).total_seconds() for earlier, later in zip(dates, dates[1:]))
    usual = gaps[len(gaps) // 2]
    months = round(usual / MONTH)
    if 28 * 86400 <= usual and abs(usual - months * MONTH) <= 2 * 86400 and len({date.day for date in dates}) == 1:
        return months * MONTH
    return usual


def format_step(seconds: float) -> str:
    """A step as a person says it: '1 day', '6 hours', '5 minutes', '1 month'."""
    months = months_of(seconds)
    if months:
        count, word = (months // 12, "year") if months % 12 == 0 else (months, "month")
        return f"{count} {word}" + ("s" if count > 1 else "")
    for size, word in ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second")):
        if seconds >= size and seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {word}" + ("s" if count > 1 else "")
    return f"{seconds:g} seconds"


def _date(parts: list[int]) -> Optional[datetime]:
    if not _year_ok(parts[0]):
        return None
    try:
        return datetime(*parts)
    except ValueError:
        return None


def _year_ok(year: int) -> bool:
    return 1800 <= year < 2300
