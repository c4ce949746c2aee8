"""Onto one clock: the common step and period, and finer steps gathered into one.

A step is present only where all the finer steps within it are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..contracts.dataset_job import PrepareJob
from ..contracts.dates import format_step, parse_date
from ..contracts.errors import DataError
from .sources import SUPPORTED_CALENDARS, Source, say_date

_DAY = 86400


@dataclass(frozen=True)
class Clock:
    """Regular steps: start of the first (datetime64[s]), length in seconds, number."""

    start: np.datetime64
    step_seconds: int
    steps: int

    @property
    def times(self) -> np.ndarray:
        """Start of each step: datetime64[s], (T,)."""
        return self.start + np.arange(self.steps) * np.timedelta64(self.step_seconds, "s")


class Alignment:
    """Which maps of a source make up which step of the clock.

    ``first`` (T,): index of the first map of each step, or -1 where the step is not complete; ``per_step``: maps in a
    step.
    """

    def __init__(self, source: Source, clock: Clock) -> None:
        self.per_step = max(1, round(clock.step_seconds / source.step_seconds))
        since = (source.times - clock.start).astype(np.int64)
        step = np.floor_divide(since, clock.step_seconds)
        self.offset_seconds = int(np.mod(since, min(clock.step_seconds, int(source.step_seconds)))[0])
        inside = np.flatnonzero((step >= 0) & (step < clock.steps))
        count = np.bincount(step[inside], minlength=clock.steps)
        self.first = np.full(clock.steps, -1)
        self.first[step[inside][::-1]] = inside[::-1]
        self.incomplete = int(((count > 0) & (count != self.per_step)).sum())
        self.first[count != self.per_step] = -1

    @property
    def absent(self) -> np.ndarray:
        """Steps without maps: bool (T,)."""
        return self.first < 0


def gather(maps: np.ndarray, per_step: int, way: str) -> np.ndarray:
    """Aggregate maps (n * per_step, H, W) to (n, H, W). ``way``: mean, sum, minimum, maximum, first. A missing map
    makes the cell missing.
    """
    if per_step == 1:
        return maps
    grouped = maps.reshape(-1, per_step, *maps.shape[1:])
    if way == "first":
        return grouped[:, 0]
    if way in ("mean", "sum"):
        return getattr(grouped.astype(np.float64), way)(axis=1).astype(np.float32)
    return (grouped.min if way == "minimum" else grouped.max)(axis=1)


def check_calendars(sources: Sequence[Source]) -> None:
    """All sources that vary in time use one calendar, and one that Freshet knows."""
    calendars = {source.calendar for source in sources}
    if len(calendars) > 1:
        raise DataError(
            "The variables use different calendars",
            expected="one calendar",
            got=", ".join(f"'{source.name}': {source.calendar}" for source in sources),
            remedy="Convert them to the standard calendar first, for example with xarray's convert_calendar",
        )
    unknown = calendars - set(SUPPORTED_CALENDARS)
    if unknown:
        raise DataError(
            f"'{sources[0].name}' uses the calendar '{unknown.pop()}', which Freshet cannot read yet",
            expected="the standard (Gregorian) calendar",
            remedy="Convert it first, for example with xarray's convert_calendar; a later version will read it",
        )


def resolve_clock(job: PrepareJob, sources: Sequence[Source]) -> Clock:
    """Step and period of the dataset: the coarsest step and the steps that all sources share, or what the job asks for.

    Raises :class:`DataError` where a source is coarser than the clock, does not divide it, or nothing is shared.
    """
    check_calendars(sources)
    step = round(job.step_hours * 3600) if job.step_hours else max(round(source.step_seconds) for source in sources)
    for source in sources:
        _check_step(source, step)
    shared_first, shared_last = _shared(sources, step)
    first = (
        max(shared_first, _floor(np.datetime64(parse_date(job.start), "s"), step, shared_first))
        if job.start
        else shared_first
    )
    last = min(shared_last, _floor(_end(job.end), step, shared_first)) if job.end else shared_last
    if last < first:
        wanted = f" and {job.start or '...'} to {job.end or '...'} as asked for" if job.start or job.end else ""
        raise DataError(
            "The variables do not overlap in time",
            expected="a period that all of them share" + wanted,
            got="; ".join(f"'{s.name}': {say_date(s.times[0])} to {say_date(s.times[-1])}" for s in sources),
            remedy="Choose sources of the same period, or correct the dates",
        )
    return Clock(first, step, int((last - first).astype(np.int64)) // step + 1)


def _check_step(source: Source, step: int) -> None:
    own = round(source.step_seconds)
    if own > step:
        raise DataError(
            f"'{source.name}' has coarser steps than the dataset's clock",
            expected=f"steps of {format_step(step)} or finer",
            got=format_step(own),
            remedy=f"Set the step of the dataset to {format_step(own)}, or choose a finer source",
        )
    if step % own:
        raise DataError(
            f"The steps of '{source.name}' do not fit into the dataset's clock",
            expected=f"steps that divide {format_step(step)}",
            got=format_step(own),
            remedy="Choose a step for the dataset that is a multiple of this one",
        )


def _shared(sources: Sequence[Source], step: int) -> tuple[np.datetime64, np.datetime64]:
    """First and last whole step that all sources share."""
    latest = max(source.times[0] for source in sources)
    anchor = latest if step > _DAY or _DAY % step else np.datetime64(0, "s")
    first = max(_ceil(source.times[0], step, anchor, round(source.step_seconds)) for source in sources)
    last = min(_floor(s.times[-1] + np.timedelta64(round(s.step_seconds), "s"), step, first) for s in sources)
    return first, last - np.timedelta64(step, "s")


def _floor(moment: np.datetime64, step: int, anchor: np.datetime64) -> np.datetime64:
    since = int((moment.astype("datetime64[s]") - anchor).astype(np.int64))
    return anchor + np.timedelta64(since // step * step, "s")


def _ceil(moment: np.datetime64, step: int, anchor: np.datetime64, own: int) -> np.datetime64:
    """First step of the clock that the source fills: a label within its own step's length of the start (noon, say)
    counts as the start.
    """
    floor = _floor(moment, step, anchor)
    late = int((moment - floor).astype(np.int64))
    return floor if late < own else floor + np.timedelta64(step, "s")


def _end(text: str) -> np.datetime64:
    """Last moment of the period: a date without a time holds its whole day."""
    moment = np.datetime64(parse_date(text), "s")
    return moment + np.timedelta64(_DAY - 1, "s") if len(text.strip()) <= 10 else moment
