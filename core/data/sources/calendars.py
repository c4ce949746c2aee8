"""Dates of CF time coordinates in every calendar, as dates of the standard calendar.

Days of a 365-day, 366-day or Julian calendar keep their labels; the days of a 360-day year are spread over the real
year (as ``align_on="year"`` of xarray's ``convert_calendar``), so that the seasons stay in place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from ...contracts.errors import DataError
from ...contracts.steps import months_of

SUPPORTED_CALENDARS = ("standard", "julian", "noleap", "all_leap", "360_day")
_CALENDARS = {
    "": "standard", "gregorian": "standard", "proleptic_gregorian": "standard", "none": "standard",
    "365_day": "noleap", "365day": "noleap", "no_leap": "noleap", "366_day": "all_leap", "366day": "all_leap",
    "360day": "360_day",
}  # fmt: skip
_SECONDS = {
    "nanosecond": 1e-9, "ns": 1e-9, "microsecond": 1e-6, "us": 1e-6, "millisecond": 1e-3, "msec": 1e-3, "ms": 1e-3,
    "second": 1.0, "sec": 1.0, "s": 1.0, "minute": 60.0, "min": 60.0, "hour": 3600.0, "hr": 3600.0, "h": 3600.0,
    "day": 86400.0, "d": 86400.0, "week": 604800.0,
}  # fmt: skip
_SINCE = re.compile(r"^\s*(\w+)\s+since\s+(.+?)\s*$", re.IGNORECASE)
_DAY = np.timedelta64(86400, "s")


@dataclass
class Decoded:
    """``times`` datetime64[s] (n,) in the file's order; ``kept`` bool (n,), False where the standard calendar has no
    such day; the calendar's CF name; how far the numbers may be off; notes.
    """

    times: np.ndarray
    kept: np.ndarray
    calendar: str = "standard"
    precision_seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


def decode_times(raw: np.ndarray, units: str, calendar: str, name: str) -> Optional[Decoded]:
    """Dates of a time coordinate ``raw`` (n,) with its CF attributes; None where it holds no dates ("1", "step").

    Raises :class:`DataError` for missing stamps, a calendar or units that cannot be read.
    """
    if raw.dtype.kind in "SUOT":
        return _from_texts(raw, name)
    if raw.dtype.kind == "M":
        return Decoded(raw.astype("datetime64[s]"), np.ones(len(raw), dtype=bool))
    values = raw.astype(np.float64)
    if not np.all(np.isfinite(values)):
        raise DataError(
            f"'{name}': {int((~np.isfinite(values)).sum())} stamps of the time coordinate are missing",
            expected="a date for every map",
            got=f"the first is map {int(np.argmax(~np.isfinite(values))) + 1}",
            remedy="Mend the file",
        )
    match = _SINCE.match(units)
    if match is None:
        return _absolute(values, units, name)
    found = _CALENDARS.get(calendar.strip().lower(), calendar.strip().lower())
    if found not in SUPPORTED_CALENDARS:
        raise DataError(
            f"'{name}' uses the calendar '{calendar}', which nobody knows",
            expected="one of " + ", ".join(SUPPORTED_CALENDARS),
            remedy="Correct the attribute 'calendar' of the time coordinate",
        )
    unit, since = match.group(1).lower(), match.group(2)
    decoded = _decode(values, unit, since, found, _exact_name(calendar), units, name)
    decoded.precision_seconds = _precision(raw, unit)
    if calendar.strip().lower() == "none":
        decoded.notes.append(f"'{name}': the calendar is 'none'; the dates are taken as they stand.")
    return decoded


def lacking_days(calendar: str, times: np.ndarray, step_seconds: float) -> np.ndarray:
    """Steps between the first and last date on days that the calendar lacks: datetime64[s], sorted. Only for steps
    that divide a day.
    """
    none = np.empty(0, dtype="datetime64[s]")
    step = round(step_seconds)
    if calendar not in ("noleap", "360_day") or len(times) < 2 or not step or 86400 % step or months_of(step_seconds):
        return none
    first, last = (int(times[i].astype("datetime64[Y]").astype(int)) + 1970 for i in (0, -1))
    days = [day for year in range(first, last + 1) for day in _lacking_of(year, calendar)]
    if not days:
        return none
    offset = int(times[0].astype(np.int64)) % step
    within = np.arange(offset, 86400, step).astype("timedelta64[s]")
    found = (np.array(days, dtype="datetime64[s]")[:, None] + within).ravel()
    return found[(found > times[0]) & (found < times[-1])]


def _lacking_of(year: int, calendar: str) -> list[np.datetime64]:
    begin, length = np.datetime64(f"{year:04d}-01-01", "D"), 366 if _leap(year) else 365
    if calendar == "noleap":
        return [np.datetime64(f"{year:04d}-02-29", "D")] if length == 366 else []
    spread = set(np.round(np.arange(1, 361) * length / 360).astype(int).tolist())
    return [begin + (day - 1) for day in range(1, length + 1) if day not in spread]


def _decode(values: np.ndarray, unit: str, since: str, calendar: str, exact: str, units: str, name: str) -> Decoded:
    import cftime

    singular = unit[:-1] if unit.endswith("s") and unit not in ("s", "ns", "us", "ms") else unit
    every = np.ones(len(values), dtype=bool)
    try:
        begin = cftime.num2date(0, f"days since {since}", calendar=exact, only_use_cftime_datetimes=True)
        if singular in ("month", "mon", "year", "yr"):
            months = values * (12.0 if singular in ("year", "yr") else 1.0)
            said = f"'{name}': '{units}' is counted in calendar months from {begin.isoformat()[:10]}."
            return Decoded(_add_months(_numpy(begin), months), every, calendar, notes=[said])
        if singular not in _SECONDS:
            raise ValueError(f"the unit '{unit}'")
        if exact == "proleptic_gregorian" or exact in ("standard", "gregorian") and begin.year > 1582:
            return Decoded(_add_seconds(_numpy(begin), values, _SECONDS[singular]), every, calendar)
        dates = cftime.num2date(values * (7 if singular == "week" else 1), f"{'days' if singular == 'week' else unit}"
                                f" since {since}", calendar=exact, only_use_cftime_datetimes=True)  # fmt: skip
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        raise DataError(
            f"'{name}': the time coordinate cannot be read",
            expected="'days since 1990-01-01' or the like",
            got=f"{units} ({error})",
            remedy="Mend the file",
        ) from error
    return _labelled(np.atleast_1d(dates), calendar, name)


def _labelled(dates: np.ndarray, calendar: str, name: str) -> Decoded:
    """Standard dates of cftime ``dates``."""
    year, month, day = (np.array([getattr(date, part) for date in dates]) for part in ("year", "month", "day"))
    seconds = np.array([date.hour * 3600 + date.minute * 60 + date.second + date.microsecond / 1e6 for date in dates])
    within = np.round(seconds).astype("timedelta64[s]")
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    if calendar == "360_day":
        return _spread(year, month, day, months, within, name)
    times = months.astype("datetime64[D]") + (day - 1)
    kept = times.astype("datetime64[M]") == months
    notes = []
    if not kept.all():
        notes.append(
            f"'{name}': {int((~kept).sum())} maps of the calendar '{calendar}' lie on a 29 February that the standard "
            "calendar does not have; they are left out."
        )
    if calendar == "noleap":
        notes.append(f"'{name}': the calendar has no 29 February; all other dates keep their labels.")
    return Decoded(times.astype("datetime64[s]") + within, kept, calendar, notes=notes)


def _spread(year: np.ndarray, month: np.ndarray, day: np.ndarray, months: np.ndarray, within: np.ndarray, name: str):
    every = np.ones(len(year), dtype=bool)
    if len(year) > 1 and np.ptp(day) == 0 and len(np.unique(within)) == 1:
        note = f"'{name}': the months of the 360-day calendar keep their labels."
        return Decoded(months.astype("datetime64[s]"), every, "360_day", notes=[note])
    length = np.array([366 if _leap(one) else 365 for one in year.tolist()])
    placed = np.round(((month - 1) * 30 + day) * length / 360).astype(int)
    begin = (year - 1970).astype("datetime64[Y]").astype("datetime64[D]")
    note = f"'{name}': the days of the 360-day calendar are spread over the real year; 5 or 6 days a year have no map."
    return Decoded((begin + (placed - 1)).astype("datetime64[s]") + within, every, "360_day", notes=[note])


def _absolute(values: np.ndarray, units: str, name: str) -> Optional[Decoded]:
    """Dates written as numbers: 20200131, 20200131.25 ('day as %Y%m%d.%f'), 202001, or 2020."""
    whole = np.floor(values)
    if len(values) and np.all((whole >= 18000101) & (whole < 23000101)):
        years, months, days = whole // 10000, whole // 100 % 100, whole % 100
    elif len(values) and np.all((values == whole) & (whole >= 180001) & (whole < 230001)):
        years, months, days = whole // 100, whole % 100, np.ones(len(values))
    elif "year" in units.lower() and np.all((values == whole) & (whole >= 1800) & (whole < 2300)):
        years, months, days = whole, np.ones(len(values)), np.ones(len(values))
    else:
        return None
    if np.any((months < 1) | (months > 12) | (days < 1) | (days > 31)):
        return None
    dates = ((years - 1970) * 12 + months - 1).astype(np.int64).astype("datetime64[M]").astype("datetime64[D]")
    dates = dates + (days - 1).astype(np.int64)
    seconds = np.round((values - whole) * 86400.0).astype("timedelta64[s]")
    note = f"'{name}': numbers such as {values[0]:.10g} in the time coordinate are read as dates."
    return Decoded(dates.astype("datetime64[s]") + seconds, np.ones(len(values), dtype=bool), notes=[note])


def _from_texts(raw: np.ndarray, name: str) -> Decoded:
    from ...contracts.dates import find_date

    texts = [text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text) for text in raw.ravel()]
    found = [find_date(text) for text in texts]
    if not all(found):
        wrong = found.index(None)
        raise DataError(
            f"'{name}': the time coordinate holds texts that are no dates",
            expected="for example 1993-07-04T06:00",
            got=repr(texts[wrong]),
            remedy="Mend the file",
        )
    return Decoded(np.array(found, dtype="datetime64[s]"), np.ones(len(found), dtype=bool))


def _exact_name(calendar: str) -> str:
    """The name as cftime takes it."""
    text = calendar.strip().lower()
    return text if text in ("proleptic_gregorian", "gregorian") else _CALENDARS.get(text, text)


def _precision(raw: np.ndarray, unit: str) -> float:
    if raw.dtype.kind != "f" or not raw.size:
        return 0.0
    singular = unit[:-1] if unit.endswith("s") and len(unit) > 2 else unit
    return float(np.spacing(np.abs(raw).max())) * _SECONDS.get(singular, 86400.0)


def _add_seconds(begin: np.datetime64, values: np.ndarray, unit_seconds: float) -> np.ndarray:
    whole = np.floor(values)
    seconds = whole * unit_seconds + (values - whole) * unit_seconds
    return begin + np.round(seconds).astype("timedelta64[s]")


def _add_months(begin: np.datetime64, months: np.ndarray) -> np.ndarray:
    """Calendar months; a fraction is a share of the month that it falls into."""
    months = np.round(months, 6)
    whole = np.floor(months).astype(np.int64)
    month = begin.astype("datetime64[M]")
    into = begin - month.astype("datetime64[s]")
    starts = (month + whole).astype("datetime64[s]")
    ends = (month + whole + 1).astype("datetime64[s]")
    part = np.round((months - whole) * (ends - starts).astype(np.int64)).astype("timedelta64[s]")
    return np.minimum(starts + into, ends - _DAY) + part


def _numpy(date: Any) -> np.datetime64:
    return np.datetime64(date.isoformat()[:19], "s")


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
