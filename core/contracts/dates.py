"""Dates in file names and texts, and steps of a clock. All times are naive UTC ``datetime`` and label the start of a
step.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Optional

from .errors import DataError
from .steps import MONTH, months_of

_NO_DATE = r"(?![-_. ]?\d{4}[-_.]\d{1,2}[-_.]\d{1,2}(?!\d))"  # 2001-02-01_2001-02-28 has no time of day
_CLOCK = (
    rf"(?:{_NO_DATE}(?:[-_. ]?[TtSs_. -]?(\d{{2}})[:_.-]?(\d{{2}})(?:[:_.-]?(\d{{2}}))?"
    r"|[Tt_ -](\d{2})[hHzZ]?))?(?!\d)"
)
_SEPARATED = re.compile(r"(?<!\d)(\d{4})[-_.](\d{1,2})[-_.](\d{1,2})" + _CLOCK)
_COMPACT = re.compile(r"(?<!\d)(\d{4})(\d{2})(\d{2})" + _CLOCK)
_COMPACT_HOUR = re.compile(r"(?<!\d)(\d{4})(\d{2})(\d{2})(\d{2})(?!\d)")
_SEPARATED_DAY = re.compile(r"(?<!\d)(\d{4})[-_.](\d{1,2})[-_.](\d{1,2})(?!\d)")
_COMPACT_DAY = re.compile(r"(?<!\d)(\d{4})(\d{2})(\d{2})(?!\d)")
_DAY_OF_YEAR = re.compile(r"(?<!\d)(\d{4})[-_.]?(\d{3})(?:[T_.-](\d{2})[:_.]?(\d{2}))?(?!\d)")
_NAMES = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DAY_NAME = re.compile(rf"(?<!\d)(?:(\d{{1,2}})[-_. ]?)?({_NAMES})[a-z]*[-_. ]?(\d{{4}})(?!\d)", re.IGNORECASE)
_NAME_DAY = re.compile(rf"(?<!\d)(\d{{4}})[-_. ]?({_NAMES})[a-z]*(?:[-_. ]?(\d{{1,2}}))?(?![\da-z])", re.IGNORECASE)
_MONTH = re.compile(r"(?<!\d)(\d{4})[-_.]?(\d{2})(?!\d)")
_DAY_FIRST = re.compile(r"(?<!\d)(\d{1,2})[-_.](\d{1,2})[-_.](\d{4})(?!\d)|(?<!\d)(\d{2})(\d{2})(\d{4})(?!\d)")
_YEAR = re.compile(r"(?<!\d)(\d{4})(?!\d)")
_OVER_PATH = re.compile(r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})(?:-?(\d{2})(?:-?(\d{2}))?)?(?!\d)")
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,6}$")
_GROUPS = ("year", "month", "day", "hour", "minute", "second", "doy")
_CODES = {
    "Y": r"\d{4}", "y": r"\d{2}", "m": r"\d{1,2}", "d": r"\d{1,2}", "H": r"\d{2}",
    "M": r"\d{2}", "S": r"\d{2}", "j": r"\d{3}",
    "b": r"[A-Za-z]{3}", "B": r"[A-Za-z]+", "%": "%",
}  # fmt: skip


def find_date(text: str) -> Optional[datetime]:
    """The date in a file name or band description, or None; the first where there are several.

    Understood are 1995-02-01, 1995_02_01, 19950201, each with an hour and minute behind it (also as S063000 or 06h),
    1995020106, 1995032 (day of the year, also with a time), 01Feb1995, 1995Feb and 1995-02. A year outside 1800 to 2299
    is not taken for a date.
    """
    for pattern in (_SEPARATED, _COMPACT, _COMPACT_HOUR, _SEPARATED_DAY, _COMPACT_DAY):
        for match in pattern.finditer(text):
            found = _date([int(part) for part in match.groups() if part is not None])
            if found:
                return found
    for match in _DAY_OF_YEAR.finditer(text):
        found = _date_of_day(*(int(part or 0) for part in match.groups()))
        if found:
            return found
    return _named_month(text) or _first(_MONTH, text)


def find_dates(
    names: Sequence[str], pattern: str = "", what: str = "The source"
) -> tuple[list[Optional[datetime]], str]:
    """Dates of files that belong together, from their names relative to their folder (with ``/``), and a sentence where
    the way of reading them is a guess, else "".

    With a ``pattern`` (see :func:`find_date_by`) only that counts. Else each name alone, then with its folders
    (2001/02/27.tif); where no file has such a date, dates with the day or month first (27-02-2001) and years alone
    (rain_2001.tif) are tried for all files together.
    """
    stems = [_SUFFIX.sub("", name) for name in names]
    if pattern:
        return [find_date_by(pattern, _last(stem), what) or find_date_by(pattern, stem, what) for stem in stems], ""
    found = [find_date(_last(stem)) for stem in stems]
    if all(found):
        return found, ""
    along = [one or _over_path(stem) for one, stem in zip(found, stems)]
    return (along, "") if any(along) else _guessed(stems, what)


def find_date_by(pattern: str, text: str, what: str = "The source") -> Optional[datetime]:
    """The date in ``text`` where it fits ``pattern``, else None.

    The pattern has strptime codes (%Y%m%d), or is a regular expression with named groups ``(?P<year>...)``, month (a
    number or an English name), day, hour, minute, second, doy (day of the year).

    Raises :class:`DataError` for a pattern without codes or groups, or with ones that are not understood.
    """
    if "(?P<" in pattern:
        return _by_groups(pattern, text, what)
    pieces = re.split(r"%(.)", pattern)
    if len(pieces) == 1 or any(code not in _CODES for code in pieces[1::2]):
        raise _bad_pattern(pattern, what)
    expression = "".join(_CODES[piece] if i % 2 else re.escape(piece) for i, piece in enumerate(pieces))
    for before in (r"(?<!\d)", ""):
        for match in re.finditer(f"(?={before}({expression}))", text):
            try:
                found = datetime.strptime(match.group(1), pattern)
            except ValueError:
                continue
            if _year_ok(found.year):
                return found
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


def _date_of_day(year: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> Optional[datetime]:
    if not _year_ok(year) or not 1 <= day <= 366 or hour > 23 or minute > 59 or second > 59:
        return None
    found = datetime(year, 1, 1, hour, minute, second) + timedelta(days=day - 1)
    return found if found.year == year else None


def _named_month(text: str) -> Optional[datetime]:
    for match in _DAY_NAME.finditer(text):
        found = _date([int(match.group(3)), _month_number(match.group(2)), int(match.group(1) or 1)])
        if found:
            return found
    for match in _NAME_DAY.finditer(text):
        found = _date([int(match.group(1)), _month_number(match.group(2)), int(match.group(3) or 1)])
        if found:
            return found
    return None


def _month_number(text: str) -> int:
    return int(text) if text.isdigit() else _NAMES.split("|").index(text[:3].lower()) + 1


def _first(pattern: re.Pattern, text: str) -> Optional[datetime]:
    """The first match of year and month, or of a year alone."""
    for match in pattern.finditer(text):
        found = _date([*(int(part) for part in match.groups()), 1, 1][:3])
        if found:
            return found
    return None


def _last(stem: str) -> str:
    return stem.rsplit("/", 1)[-1]


def _over_path(stem: str) -> Optional[datetime]:
    """The date that folders and name spell together, as 2001/02/27 or 200102/27_0600."""
    if "/" not in stem:
        return None
    numbers = "-".join(re.findall(r"\d+", stem))
    for match in _OVER_PATH.finditer(numbers):
        found = _date([int(part) for part in match.groups() if part is not None])
        if found:
            return found
    return find_date(stem.replace("/", "-"))


def _guessed(stems: list[str], what: str) -> tuple[list[Optional[datetime]], str]:
    """Dates with the day or the month first, whichever fits more files, else years alone."""
    parts = [_DAY_FIRST.search(_last(stem)) for stem in stems]
    split = [[int(part) for part in match.groups() if part is not None] if match else None for match in parts]
    if any(split):
        day_first = [_date([p[2], p[1], p[0]]) if p else None for p in split]
        month_first = [_date([p[2], p[0], p[1]]) if p else None for p in split]
        chosen, way = (day_first, "day, month, year")
        if sum(map(bool, month_first)) > sum(map(bool, day_first)):
            chosen, way = (month_first, "month, day, year")
        if any(chosen):
            return chosen, f"{what}: the dates in the file names are read as {way}."
    years = [_first(_YEAR, _last(stem)) for stem in stems]
    kept = [year for year in years if year]
    if len(kept) > 1 and len(set(kept)) == len(kept):
        return years, f"{what}: the file names hold a year alone; each map stands for its year."
    return [None] * len(stems), ""


def _by_groups(pattern: str, text: str, what: str) -> Optional[datetime]:
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise _bad_pattern(pattern, what, f": {error}") from error
    if "year" not in compiled.groupindex or set(compiled.groupindex) - set(_GROUPS):
        raise _bad_pattern(pattern, what)
    for match in compiled.finditer(text):
        parts = {name: part for name, part in match.groupdict().items() if part}
        try:
            clock = [int(parts.get(name, 0)) for name in ("hour", "minute", "second")]
            if "doy" in parts:
                found = _date_of_day(int(parts["year"]), int(parts["doy"]), *clock)
            else:
                day = [int(parts["year"]), _month_number(parts.get("month", "1")), int(parts.get("day", 1))]
                found = _date([*day, *clock])
        except (ValueError, KeyError):
            continue
        if found:
            return found
    return None


def _bad_pattern(pattern: str, what: str, reason: str = "") -> DataError:
    return DataError(
        f"{what}: the date pattern is not usable{reason}",
        expected="codes such as %Y %m %d %H %M %j, for example %Y%m%d, or a regular expression with the group "
        "(?P<year>...) and month, day, hour, minute, second or doy",
        got=repr(pattern),
        remedy="Correct the pattern, or leave it empty",
    )


def _year_ok(year: int) -> bool:
    return 1800 <= year < 2300
