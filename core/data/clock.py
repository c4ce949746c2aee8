"""Onto one clock: the common step and period, and finer steps gathered into one.

Steps have a fixed length or are calendar months (see :mod:`.timeline`). A step is present only where all the finer
steps within it are; those that the source's calendar does not have are not waited for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Callable, Optional, Union

import numpy as np

from ..contracts.dataset_job import PrepareJob
from ..contracts.dates import format_step, parse_date
from ..contracts.errors import DataError
from ..contracts.steps import months_of
from .sources import Source, say_date
from .timeline import index_of, lengths, shift

_DAY = 86400


@dataclass(frozen=True)
class Clock:
    """Regular steps: start of the first (datetime64[s]), length in seconds, number."""

    start: np.datetime64
    step_seconds: float
    steps: int

    @property
    def times(self) -> np.ndarray:
        """Start of each step: datetime64[s], (T,)."""
        return shift(self.start, np.arange(self.steps), self.step_seconds)


class Alignment:
    """Which maps of a source make up which step of the clock.

    ``first`` (T,): index of the first map of each step, or -1 where the step is not complete; ``count`` (T,): maps in
    each step, 0 where it is not complete; ``lacking`` bool (T,): steps that the source's calendar does not have.
    """

    def __init__(self, source: Source, clock: Clock) -> None:
        times, own = source.times, source.step_seconds
        step = index_of(times, clock.start, clock.step_seconds)
        inside = np.flatnonzero((step >= 0) & (step < clock.steps))
        found = np.bincount(step[inside], minlength=clock.steps)
        wanted = _maps_in(clock, own)
        skipped = index_of(source.lacking, clock.start, clock.step_seconds)
        skipped = np.bincount(skipped[(skipped >= 0) & (skipped < clock.steps)], minlength=clock.steps)
        complete = (found > 0) & (found + skipped == wanted)
        self.first = np.full(clock.steps, -1)
        self.first[step[inside][::-1]] = inside[::-1]
        self.first[~complete] = -1
        self.count = np.where(complete, found, 0)
        self.lacking = (found == 0) & (skipped == wanted)
        self.per_step = int(wanted[0]) if np.ptp(wanted) == 0 else 0
        self.most = int(wanted.max())
        since = (times[0] - clock.start).astype(np.int64) if len(times) else 0
        self.offset_seconds = 0 if months_of(own) else int(since % min(round(own), round(clock.step_seconds)))
        self.weights = lengths(times, own) if months_of(own) and self.most > 1 else None

    @property
    def absent(self) -> np.ndarray:
        """Steps without maps that the calendar does have: bool (T,)."""
        return (self.first < 0) & ~self.lacking

    def batches(self, start: int, stop: int, most: int) -> Iterator[tuple[int, int]]:
        """Ranges of present steps within ``start`` to ``stop`` whose maps follow each other in the source, each with
        at most ``most`` maps, or of one step.
        """
        step = start
        while step < stop:
            if self.first[step] < 0:
                step += 1
                continue
            end, held = step + 1, self.count[step]
            while end < stop and self.first[end] == self.first[step] + held and held + self.count[end] <= most:
                held += self.count[end]
                end += 1
            yield step, end
            step = end

    def gathered(
        self, first: int, stop: int, most: int, way: str, read: Callable[[int, int], np.ndarray]
    ) -> np.ndarray:
        """Steps ``first`` to ``stop`` of one of the :meth:`batches`: float32 (stop - first, ...). ``read(a, b)`` gives
        the maps a to b of the source; a step of more than ``most`` maps is read piece by piece.
        """
        begin, counts = int(self.first[first]), self.count[first:stop]
        total = int(counts.sum())
        weights = None if self.weights is None else self.weights[begin : begin + total]
        if way == "first":
            return np.concatenate([read(int(i), int(i) + 1) for i in self.first[first:stop]])
        if total <= most or total == 1:
            return gather(read(begin, begin + total), counts, way, weights)
        pieces = [(at, min(at + most, begin + total)) for at in range(begin, begin + total, most)]
        return _in_pieces(pieces, begin, way, weights, read)


def gather(
    maps: np.ndarray, counts: Union[int, np.ndarray], way: str, weights: Optional[np.ndarray] = None
) -> np.ndarray:
    """Aggregate maps (N, H, W) to (n, H, W): ``counts`` of them make each step. ``way``: mean, sum, minimum, maximum,
    first. A missing map makes the cell missing. ``weights`` (N,) weight the mean, as months of different lengths do.
    """
    if isinstance(counts, (int, np.integer)):
        counts = np.full(len(maps) // counts, counts)
    if len(counts) == len(maps):
        return maps
    starts = np.concatenate(([0], np.cumsum(counts)))
    out = np.empty((len(counts), *maps.shape[1:]), dtype=np.float32)
    for number, (begin, end) in enumerate(zip(starts[:-1], starts[1:])):
        part = maps[begin:end]
        if way == "first":
            out[number] = part[0]
        elif way in ("minimum", "maximum"):
            out[number] = (np.min if way == "minimum" else np.max)(part, axis=0)
        elif way == "sum" or weights is None:
            out[number] = getattr(np, way)(part, axis=0, dtype=np.float64)
        else:
            share = weights[begin:end] / weights[begin:end].sum()
            out[number] = np.einsum("t,t...->...", share, part)
    return out


def _in_pieces(
    pieces: list[tuple[int, int]], begin: int, way: str, weights: Optional[np.ndarray], read: Callable
) -> np.ndarray:
    """One step (1, ...) out of more maps than may be held at once."""
    total, held = None, 0.0
    for first, stop in pieces:
        maps = read(first, stop)
        if way in ("minimum", "maximum"):
            part = gather(maps, len(maps), way)[0]
            total = part if total is None else (np.minimum if way == "minimum" else np.maximum)(total, part)
            continue
        share = np.ones(len(maps)) if weights is None or way == "sum" else weights[first - begin : stop - begin]
        part = np.einsum("t,t...->...", share, maps)
        total, held = part if total is None else total + part, held + share.sum()
    if way == "mean":
        total = total / held
    return total[None].astype(np.float32)


def resolve_clock(job: PrepareJob, sources: Sequence[Source]) -> Clock:
    """Step and period of the dataset: the coarsest step and the steps that all sources share, or what the job asks for.

    Raises :class:`DataError` where a source is coarser than the clock, does not divide it, or nothing is shared.
    """
    step = clock_step(job, sources)
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
    return Clock(first, step, int(index_of(last, first, step)) + 1)


def clock_step(job: PrepareJob, sources: Sequence[Source]) -> float:
    """The step of the dataset: what the job asks for, else the coarsest of the sources."""
    if job.step_hours:
        seconds = job.step_hours * 3600.0
        return seconds if months_of(seconds) else float(round(seconds))
    return max(source.step_seconds for source in sources)


def _maps_in(clock: Clock, own: float) -> np.ndarray:
    """Maps of a source with step ``own`` in each step of the clock: (T,)."""
    months = months_of(clock.step_seconds)
    if months and months_of(own):
        return np.full(clock.steps, max(1, months // months_of(own)))
    if not months:
        return np.full(clock.steps, max(1, round(clock.step_seconds / own)))
    return np.maximum(1, np.round(lengths(clock.times, clock.step_seconds) / own)).astype(np.int64)


def _check_step(source: Source, step: float) -> None:
    own = source.step_seconds
    if own > step * (1 + 1e-9):
        raise DataError(
            f"'{source.name}' has coarser steps than the dataset's clock",
            expected=f"steps of {format_step(step)} or finer",
            got=format_step(own),
            remedy=f"Set the step of the dataset to {format_step(own)}, or choose a finer source",
        )
    if months_of(step):
        fits = months_of(step) % months_of(own) == 0 if months_of(own) else _DAY % own == 0
    else:
        fits = not months_of(own) and step % own == 0
    if not fits:
        raise DataError(
            f"The steps of '{source.name}' do not fit into the dataset's clock",
            expected=f"steps that divide {format_step(step)}",
            got=format_step(own),
            remedy="Choose a step for the dataset that is a multiple of this one",
        )


def _shared(sources: Sequence[Source], step: float) -> tuple[np.datetime64, np.datetime64]:
    """First and last whole step that all sources share."""
    latest = max(source.times[0] for source in sources)
    months = months_of(step)
    natural = 12 % months == 0 or months % 12 == 0 if months else step <= _DAY and _DAY % step == 0
    anchor = np.datetime64(0, "s") if natural else latest
    if months and not natural:
        anchor = latest.astype("datetime64[M]").astype("datetime64[s]")
    first = max(_ceil(source.times[0], step, anchor, source.step_seconds) for source in sources)
    last = min(_floor(shift(s.times[-1], 1, s.step_seconds), step, first) for s in sources)
    return first, shift(last, -1, step)[()]


def _floor(moment: np.datetime64, step: float, anchor: np.datetime64) -> np.datetime64:
    return shift(anchor, int(index_of(moment, anchor, step)), step)[()]


def _ceil(moment: np.datetime64, step: float, anchor: np.datetime64, own: float) -> np.datetime64:
    """First step of the clock that the source fills: a label within its own step's length of the start (noon, say)
    counts as the start.
    """
    floor = _floor(moment, step, anchor)
    late = int((moment - floor).astype(np.int64))
    return floor if late < lengths(floor, own) else shift(floor, 1, step)[()]


def _end(text: str) -> np.datetime64:
    """Last moment of the period: a date without a time holds its whole day."""
    moment = np.datetime64(parse_date(text), "s")
    return moment + np.timedelta64(_DAY - 1, "s") if len(text.strip()) <= 10 else moment
