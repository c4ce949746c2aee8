"""What can be said of chosen sources before anything is built: each sentence with how serious it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Optional

from ...core.contracts.dates import format_step, parse_date
from ...core.contracts.steps import advance
from ...plugin.inspection import SourceReport
from ..text import tr
from ..timebars import Span

ERROR, WARNING, NOTE = LEVELS = ("error", "warning", "note")
_CALENDARS = dict.fromkeys(("", "gregorian", "proleptic_gregorian", "julian"), "standard")
# Words of an inspection's sentences without whose cure nothing can be built.
_STOPS = (
    "no coordinate reference system",
    "have no place",
    "have no dates",
    "holds dates",
    "No file name holds a date",
    "is not understood",
    "All sampled values are missing",
    "same date",
    "cannot be read",
    "Bring them onto one grid first",
    "is not known. Give it in another spelling",
)
Row = tuple[str, str, SourceReport]  # name, role, report
Dates = tuple[Optional[datetime], Optional[datetime]]


@dataclass(frozen=True)
class Hint:
    """A sentence; ``level`` is error (has to be mended), warning (worth a look) or note (a guess, good to know);
    ``variable`` is the row that it speaks of, or empty.
    """

    level: str
    text: str
    variable: str = ""


def coverage(report: SourceReport) -> list[Span]:
    """The spans in which a source has dates, and those of its gaps (kind "gap") between them."""
    return list(_coverage(report.dates, report.step_seconds or 86400.0, bool(report.gaps)))


@lru_cache(maxsize=256)
def _coverage(texts: tuple[str, ...], step: float, with_gaps: bool) -> tuple[Span, ...]:
    if not texts:
        return ()
    dates = [parse_date(text) for text in texts]
    spans, begin, slack = [], dates[0], timedelta(seconds=0.5 * step)
    for earlier, later in zip(dates, dates[1:]) if with_gaps else ():
        reach = advance(earlier, 1, step)
        if later > reach + slack:
            spans += [Span(begin, reach), Span(reach, later, "gap")]
            begin = later
    return (*spans, Span(begin, advance(dates[-1], 1, step)))


def hints(rows: list[Row], start: Optional[datetime] = None, end: Optional[datetime] = None) -> list[Hint]:
    """What a person has to mend, should look at, or might want to know; the most serious first."""
    found = [
        Hint(_level(problem), f"{name}: {problem}", name) for name, _, report in rows for problem in report.problems
    ]
    moving = [(name, report) for name, role, report in rows if role != "static"]
    found += [
        Hint(
            ERROR,
            tr("{name}: it has no dates, so it can only be a static map. Set its role to static.").format(name=name),
            name,
        )
        for name, report in moving
        if not report.dates and report.complete and not any("date" in problem for problem in report.problems)
    ]
    if rows and not any(role == "target" for _, role, _ in rows):
        words = tr("No variable is the target: set the role of what shall be predicted to target.")
        found.append(Hint(WARNING, words))
    found += _calendar_hints(moving)
    dated = [(name, report) for name, report in moving if report.dates]
    if dated:
        found += _time_hints(dated, start, end)
    found += _sequence_hints([(name, report) for name, _, report in rows])
    found += [Hint(NOTE, f"{name}: {words}", name) for name, _, report in rows if (words := _guess_words(report))]
    return in_order(found)


def _guess_words(report: SourceReport) -> str:
    """All that was guessed of a source, in one line."""
    told = any(getattr(guess, "field", "") == "units" for guess in report.guesses)
    unit = [] if report.units_declared or told or report.units in ("", "-") else [usual_unit(report)]
    return " ".join([*map(str, report.guesses), *unit])


def usual_unit(report: SourceReport) -> str:
    """What is said of a unit that a file does not name."""
    return tr("the file names no unit; {unit} is the usual one. Correct it where it is another.").format(
        unit=report.units
    )


def in_order(found: list[Hint]) -> list[Hint]:
    """The most serious first, else as they are."""
    return sorted(found, key=lambda hint: LEVELS.index(hint.level))


def _level(problem: str) -> str:
    return ERROR if any(word in problem for word in _STOPS) else WARNING


def _calendar_hints(moving: list[tuple[str, SourceReport]]) -> list[Hint]:
    calendars = [(name, _CALENDARS.get(report.calendar.lower(), report.calendar)) for name, report in moving]
    return [
        Hint(
            NOTE,
            tr(
                "{name}: its calendar is '{calendar}'. Its dates are laid on the standard calendar; days that it lacks "
                "are filled linearly in time and marked as filled."
            ).format(name=name, calendar=calendar),
            name,
        )
        for name, calendar in calendars
        if calendar != "standard"
    ]


def shared_period(reports: list[SourceReport]) -> Optional[tuple[datetime, datetime]]:
    """First and last date that all sources share, or None."""
    first = max(parse_date(report.dates[0]) for report in reports)
    last = min(parse_date(report.dates[-1]) for report in reports)
    return (first, last) if first <= last else None


def _time_hints(
    dated: list[tuple[str, SourceReport]], start: Optional[datetime], end: Optional[datetime]
) -> list[Hint]:
    found = []
    period = shared_period([report for _, report in dated])
    if period is None:
        late = max(dated, key=lambda item: item[1].dates[0])
        early = min(dated, key=lambda item: item[1].dates[-1])
        words = tr("{early} ends on {end}, before {late} begins on {start}: there is no common period.").format(
            early=early[0], end=early[1].dates[-1], late=late[0], start=late[1].dates[0]
        )
        found.append(Hint(ERROR, words, late[0]))
    elif (start and start > period[1]) or (end and end < period[0]):
        words = tr("From and to lie outside the common period {a:%Y-%m-%d} to {b:%Y-%m-%d}.").format(
            a=period[0], b=period[1]
        )
        found.append(Hint(ERROR, words))
    steps = {round(report.step_seconds) for _, report in dated if report.step_seconds}
    if len(steps) > 1:
        words = ", ".join(format_step(float(step)) for step in sorted(steps))
        sentence = tr("The sources have different steps ({steps}): finer ones are aggregated as the catalogue says.")
        found.append(Hint(NOTE, sentence.format(steps=words)))
    return found


def sequences_of(reports: list[SourceReport]) -> tuple[str, ...]:
    """Names of the sequences that all sources with sequences share, in their order."""
    listed = [report.sequences for report in reports if report.sequences]
    return tuple(name for name in listed[0] if all(name in names for names in listed)) if listed else ()


def _sequence_hints(rows: list[tuple[str, SourceReport]]) -> list[Hint]:
    shared = sequences_of([report for _, report in rows])
    found = []
    for name, report in rows:
        others = [item for item in report.sequences if item not in shared]
        if others:
            words = tr("{name}: {count} of its sequences are left out, since other variables lack them ({some}).")
            some = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
            found.append(Hint(WARNING, words.format(name=name, count=len(others), some=some), name))
    return found
