"""Steps of a clock. Most have a fixed length in seconds; months and years do not, and are counted by the calendar.

A step is a number of seconds everywhere. Whole multiples of :data:`MONTH`, the mean Gregorian month, mean that many
calendar months (12 of them a year), so that a step fits one number in files and models.
"""

from __future__ import annotations

from datetime import datetime, timedelta

MONTH = 2629746.0  # 365.2425 days / 12


def months_of(step_seconds: float) -> int:
    """How many calendar months a step has; 0 for a step of fixed length."""
    count = round(step_seconds / MONTH)
    return count if count and abs(step_seconds - count * MONTH) < 1.0 else 0


def hours_of(months: int) -> float:
    """The hours that mean so many calendar months in a job: 730.485 a month, 8765.82 a year."""
    return months * MONTH / 3600.0


def advance(moment: datetime, steps: int, step_seconds: float) -> datetime:
    """``moment`` and ``steps`` steps; a day that a month lacks becomes its last one."""
    months = months_of(step_seconds)
    if not months:
        return moment + timedelta(seconds=step_seconds * steps)
    index = moment.year * 12 + moment.month - 1 + months * steps
    year, month = divmod(index, 12)
    return moment.replace(year=year, month=month + 1, day=min(moment.day, _days(year, month + 1)))


def steps_between(earlier: datetime, later: datetime, step_seconds: float) -> float:
    """How many steps lie between two moments; a fraction where they do not fit."""
    months = months_of(step_seconds)
    if not months:
        return (later - earlier).total_seconds() / step_seconds
    whole = (later.year - earlier.year) * 12 + later.month - earlier.month
    return (whole + (later.day - earlier.day) / 31.0) / months


def _days(year: int, month: int) -> int:
    following = datetime(year + month // 12, month % 12 + 1, 1)
    return (following - timedelta(days=1)).day
