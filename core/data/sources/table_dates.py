"""Dates in the columns of a table: which columns hold them, and what they say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Optional

import numpy as np

from ...contracts.dates import find_date, find_date_by
from ...contracts.errors import DataError
from .delimited import is_missing, is_number

NAT = np.datetime64("NaT", "s")
_WORDS = {
    "date": ("date", "dates", "datum", "datetime", "timestamp", "time", "zeit", "zeitpunkt", "zeitstempel", "fecha",
             "dato", "jour", "tag", "day", "messdatum", "mess", "month", "monat", "mois", "yyyymmdd", "yyyy", "period",
             "year", "yr", "jahr", "annee", "ano", "anno"),
    "year": ("year", "yyyy", "yr", "jahr", "annee", "ano", "anno"),
    "month": ("month", "mm", "mo", "mnth", "mon", "monat", "mois", "mes"),
    "day": ("day", "dd", "dy", "tag", "jour", "dia"),
    "doy": ("doy", "jday", "yday", "dayofyear", "julian", "julianday"),
    "hour": ("hour", "hours", "hh", "hr", "stunde", "heure", "hora"),
    "minute": ("minute", "min", "mi", "minutes"),
    "time": ("time", "zeit", "hh:mm", "hhmm", "uhrzeit", "clock", "tod", "hora", "heure"),
}  # fmt: skip
_CLOCK = (
    r"(?:[T ,_]+(?P<h>\d{1,2})(?:[:h.](?P<mi>\d{2}))?(?::(?P<s>\d{2})(?:[.,]\d+)?)?"
    r"\s*(?P<half>[AaPp])?(?:\.?[Mm]\.?)?\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}:?(?:\d{2})?)?)?"
)
_FORMS = {
    "ymd": re.compile(r"(?P<a>\d{4})([-/.])(?P<b>\d{1,2})\2(?P<c>\d{1,2})" + _CLOCK),
    "compact": re.compile(
        r"(?P<a>\d{4})(?P<b>\d{2})(?P<c>\d{2})[T_ :]?(?:(?P<h>\d{2}):?(?:(?P<mi>\d{2}):?(?P<s>\d{2})?)?Z?)?"
    ),
    "dmy": re.compile(r"(?P<a>\d{1,2})([-/. ])(?P<b>\d{1,2})\2(?P<c>\d{4})" + _CLOCK),
    "dmy2": re.compile(r"(?P<a>\d{1,2})([-/.])(?P<b>\d{1,2})\2(?P<c>\d{2})" + _CLOCK),
    "ym": re.compile(r"(?P<a>\d{4})[-/.](?P<b>\d{1,2})"),
    "ym6": re.compile(r"(?P<a>\d{4})(?P<b>\d{2})"),
    "my": re.compile(r"(?P<b>\d{1,2})[-/.](?P<a>\d{4})"),
    "doy": re.compile(r"(?P<a>\d{4})[-. ]?(?P<b>\d{3})"),
    "year": re.compile(r"(?P<a>\d{4})"),
}  # fmt: skip
_TIME = re.compile(r"(?P<h>\d{1,2}):(?P<mi>\d{2})(?::(?P<s>\d{2})(?:\.\d+)?)?|-+:-+|(?P<bare>\d{3,4})")
_LIMITS = (
    ("year", 1700, 2400),
    ("month", 1, 12),
    ("day", 1, 31),
    ("doy", 1, 366),
    ("hour", 0, 24),
    ("minute", 0, 59),
)
_BARE = ("ym", "ym6", "my", "doy", "year")  # forms that a plain number may have too


@dataclass(frozen=True)
class DateColumns:
    """The columns (numbers) that together hold the date, and what each holds: "date", "time", "year", "month", "day",
    "doy", "hour", "minute". ``spare`` are columns that say the same once more.
    """

    columns: tuple[int, ...]
    parts: tuple[str, ...]
    spare: tuple[int, ...] = ()


def find_date_columns(names: Sequence[str], sample: Sequence[Sequence[str]], wanted: str = "") -> Optional[DateColumns]:
    """The columns with the dates, or None. ``sample`` are rows of text fields; ``wanted`` names the column.

    Raises :class:`DataError` where there is no column ``wanted``.
    """
    texts = [[row[column] for row in sample if not is_missing(row[column])] for column in range(len(names))]
    if wanted:
        lowered = [name.lower() for name in names]
        if wanted.lower() not in lowered:
            raise DataError(
                f"The table has no column '{wanted}' for the dates",
                expected=", ".join(names[:20]),
                remedy="Choose the column that holds the dates",
            )
        return _with_time(names, texts, lowered.index(wanted.lower()))
    parts = _by_parts(names, texts)
    spare = parts.columns if parts else ()
    dated = [column for column in range(len(names)) if _holds_dates(texts[column], _is_word(names[column], "date"))]
    dated = [column for column in dated if column not in spare]
    if not dated:
        return parts or _three_columns(texts)
    dated.sort(key=lambda column: (not _is_word(names[column], "date"), column))
    found = _with_time(names, texts, dated[0])
    return replace(found, spare=tuple(column for column in spare if column not in found.columns))


def parse_dates(
    keys: Sequence[tuple[str, ...]], found: DateColumns, pattern: str, what: str
) -> tuple[np.ndarray, str, str]:
    """Dates of n keys (the text of each of the columns), datetime64[s] with NaT where they say none; a note where they
    had to be interpreted and a doubt where they could be read otherwise, else "".
    """
    if found.parts[0] != "date":
        return np.array([_from_parts(dict(zip(found.parts, key))) for key in keys], dtype="datetime64[s]"), "", ""
    texts = [key[0] for key in keys]
    if pattern:
        times = np.array([find_date_by(pattern, text, what) or NAT for text in texts], dtype="datetime64[s]")
        note, doubt = "", ""
    else:
        times, note, doubt = _parse_texts(texts, what)
    if len(found.parts) > 1:
        clock = np.array([_seconds(key[1], found.parts[1]) for key in keys])
        times = np.where(clock < 0, NAT, times + clock.astype("timedelta64[s]"))
    return times.astype("datetime64[s]"), note, doubt


def _parse_texts(texts: Sequence[str], what: str) -> tuple[np.ndarray, str, str]:
    """Dates in the form that fits most texts."""
    some = [text for text in texts if text][:500]
    form = max(_FORMS, key=lambda form: _fits(form, some))
    if form in ("dmy", "dmy2"):
        return _day_or_month_first(form, texts, what)
    if _fits(form, some) < 0.5:
        return np.array([find_date(text) or NAT for text in texts], dtype="datetime64[s]"), "", ""
    note = f"{what}: dates with a time zone are brought to UTC." if any(_zoned(text) for text in some) else ""
    return np.array([_read(form, text) or NAT for text in texts], dtype="datetime64[s]"), note, ""


def _day_or_month_first(form: str, texts: Sequence[str], what: str) -> tuple[np.ndarray, str, str]:
    """Dates as day, month, year or month, day, year: the way that reads them all; of two such ways the one that gives
    more even steps, else the day first.
    """
    ways = [np.array([_read(form, t, m) or NAT for t in texts], dtype="datetime64[s]") for m in (False, True)]
    lost = [int(np.isnat(way).sum()) for way in ways]
    uneven = [_unevenness(way) for way in ways]
    month_first = (lost[1], uneven[1]) < (lost[0], uneven[0])
    orders = ("day, month, year", "month, day, year")
    century = "; years of two digits are those from 1970 to 2069" if form == "dmy2" else ""
    example = next((text for text in texts if text), "")
    note = f"{what}: dates such as {example} are read as {orders[month_first]}{century}."
    doubtful = lost[0] == lost[1] and uneven[0] == uneven[1] and np.any(ways[0] != ways[1])
    doubt = f"{what}: dates such as {example} could be {orders[not month_first]} as well; a pattern such as %m/%d/%Y "
    return ways[month_first], note, doubt + "decides it." if doubtful else ""


def _unevenness(times: np.ndarray) -> int:
    """How many different distances there are between dates in order: in months where all are on one day of the month,
    else in days.
    """
    ordered = np.unique(times[~np.isnat(times)])
    months = ordered.astype("datetime64[M]")
    if len(np.unique(ordered - months.astype("datetime64[s]"))) == 1:
        return len(np.unique(np.diff(months.astype(np.int64))))
    return len(np.unique(np.diff(ordered).astype(np.int64) // 86400))


def _read(form: str, text: str, month_first: bool = False) -> Optional[datetime]:
    match = _FORMS[form].fullmatch(text)
    if match is None:
        return None
    parts = match.groupdict()
    a, b, c = (int(parts.get(key) or 1) for key in "abc")
    if form in ("dmy", "dmy2"):
        if form == "dmy2":
            c += 1900 if c >= 70 else 2000
        a, b, c = (c, a, b) if month_first else (c, b, a)
    if not 1700 <= a < 2400:
        return None
    if form == "doy":
        return datetime(a, 1, 1) + timedelta(days=b - 1) if 1 <= b <= 366 else None
    hour = int(parts.get("h") or 0)
    if parts.get("half"):
        hour = hour % 12 + (12 if parts["half"].lower() == "p" else 0)
    return _moment(a, b, c, hour, int(parts.get("mi") or 0), int(parts.get("s") or 0), parts.get("zone"))


def _moment(y: int, m: int, d: int, hour: int, minute: int, second: int, zone: Optional[str] = None):
    """A date and time, None where there is no such one; 24:00 is the midnight that follows."""
    if hour > 24 or minute > 59 or second > 59 or hour == 24 and (minute or second):
        return None
    try:
        moment = datetime(y, m, d) + timedelta(hours=hour, minutes=minute, seconds=second)
    except (ValueError, OverflowError):
        return None
    if zone and zone[0] in "+-":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:].lstrip(":") or 0))
        moment += offset if zone[0] == "-" else -offset
    return moment


def _zoned(text: str) -> bool:
    match = _FORMS["ymd"].fullmatch(text)
    return bool(match and (match.group("zone") or "")[:1] in ("+", "-") and match.group("zone"))


def _seconds(text: str, part: str) -> int:
    """Seconds of the day in a column of times or hours; 0 where it says none, -1 where it is no time."""
    if is_missing(text):
        return 0
    if part == "hour":
        hours = float(text) if is_number(text) and "," not in text else -1.0
        return round(hours * 3600) if 0 <= hours <= 24 else -1
    match = _TIME.fullmatch(text)
    if match is None:
        return -1
    if match.group("bare"):
        number = int(match.group("bare"))
        hour, minute = divmod(number, 100)
    else:
        hour, minute = int(match.group("h") or 0), int(match.group("mi") or 0)
    if hour > 24 or minute > 59:
        return -1
    return hour * 3600 + minute * 60 + int(match.group("s") or 0)


def _from_parts(parts: dict[str, str]) -> np.datetime64:
    numbers = {}
    for part, text in parts.items():
        if not re.fullmatch(r"\d+(\.0*)?", text):
            return NAT
        numbers[part] = int(float(text))
    if "doy" in numbers:
        numbers["month"], days = 1, numbers.pop("doy") - 1
    else:
        days = 0
    moment = _moment(
        numbers.get("year", 0), numbers.get("month", 1), numbers.get("day", 1), numbers.get("hour", 0),
        numbers.get("minute", 0), 0,
    )  # fmt: skip
    return np.datetime64(moment + timedelta(days=days), "s") if moment else NAT


def _holds_dates(texts: Sequence[str], named: bool) -> bool:
    some = texts[:300]
    if not some:
        return False
    if all(is_number(text) for text in some):
        digits = all(text.isdigit() and len(text) in (8, 10, 12, 14) for text in some)
        return digits and _fits("compact", some) > 0.99 or named and any(_fits(form, some) > 0.99 for form in _BARE)
    least = 0.5 if named else 0.95  # of a column called so, a row without a date is a fault to be told
    if any(_fits(form, some) > least for form in _FORMS if named or form not in _BARE):
        return True
    return named and sum(find_date(text) is not None for text in some) > least * len(some)


def _fits(form: str, texts: Sequence[str]) -> float:
    """Share of texts that are dates of the form, the day or the month first."""
    hits = sum(_read(form, text) is not None or _read(form, text, True) is not None for text in texts)
    return hits / len(texts) if texts else 0.0


def _is_word(name: str, part: str) -> bool:
    words = re.split(r"[^a-z:]+", name.lower())
    return any(word in _WORDS[part] for word in words)


def _named(name: str, part: str) -> bool:
    return re.sub(r"[^a-z:]", "", name.lower()) in _WORDS[part]


def _with_time(names: Sequence[str], texts: Sequence[Sequence[str]], date: int) -> DateColumns:
    """The column of dates with that of times, where the dates have none."""
    if any(re.search(r"\d[T ,_]+\d{1,2}[:h.]?\d{2}", text) for text in texts[date][:50]):
        return DateColumns((date,), ("date",))
    for column, name in enumerate(names):
        some = texts[column][:200]
        if column == date or not some:
            continue
        clock = all(":" in text and _TIME.fullmatch(text) for text in some)
        if clock or _named(name, "time") and all(_seconds(text, "time") >= 0 for text in some):
            return DateColumns((date, column), ("date", "time"))
        if _named(name, "hour") and all(_seconds(text, "hour") >= 0 for text in some):
            return DateColumns((date, column), ("date", "hour"))
    return DateColumns((date,), ("date",))


def _by_parts(names: Sequence[str], texts: Sequence[Sequence[str]]) -> Optional[DateColumns]:
    """Columns called year, month, day, hour, minute; at least a year and one more."""
    found = {}
    for part, least, most in _LIMITS:
        for column, name in enumerate(names):
            if column in found.values() or not _named(name, part) or not texts[column]:
                continue
            if all(re.fullmatch(r"\d+(\.0*)?", t) and least <= float(t) <= most for t in texts[column][:300]):
                found[part] = column
                break
    if "year" not in found or not {"month", "doy"} & set(found):
        return None
    if "month" in found:
        found.pop("doy", None)
    return DateColumns(tuple(found.values()), tuple(found))


def _three_columns(texts: Sequence[Sequence[str]]) -> Optional[DateColumns]:
    """Three columns side by side that are year, month and day by what they hold."""
    for column in range(len(texts) - 2):
        rows = list(zip(*(some[:300] for some in texts[column : column + 3])))
        if len(rows) < 3 or not all(all(text.isdigit() for text in row) and len(row[0]) == 4 for row in rows):
            continue
        days = [_moment(int(y), int(m), int(d), 0, 0, 0) for y, m, d in rows]
        if all(days) and len(set(days)) > 2 and all(1800 <= day.year < 2300 for day in days):
            return DateColumns((column, column + 1, column + 2), ("year", "month", "day"))
    return None
