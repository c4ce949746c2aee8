"""What can be said of chosen sources before anything is built."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Optional

from ...core.contracts.dates import format_step, parse_date
from ...plugin.inspection import SourceReport
from ..text import tr
from ..timebars import Span

_CALENDARS = dict.fromkeys(("", "gregorian", "proleptic_gregorian"), "standard")
Row = tuple[str, str, SourceReport]  # name, role, report
Dates = tuple[Optional[datetime], Optional[datetime]]


def coverage(report: SourceReport) -> list[Span]:
    """The spans without a gap in which a source has dates."""
    dates = [parse_date(date) for date in report.dates]
    if not dates:
        return []
    step = timedelta(seconds=report.step_seconds or 86400.0)
    spans, begin = [], dates[0]
    for earlier, later in zip(dates, dates[1:]):
        if later - earlier > 1.5 * step and report.gaps:
            spans.append(Span(begin, earlier + step))
            begin = later
    return [*spans, Span(begin, dates[-1] + step)]


def hints(rows: list[Row], start: Optional[datetime] = None, end: Optional[datetime] = None) -> list[str]:
    """Sentences on what a person should mend or at least know."""
    found = [f"{name}: {problem}" for name, _, report in rows for problem in report.problems]
    moving = [(name, report) for name, role, report in rows if role != "static"]
    found += _calendar_hints(moving)
    found += [
        tr("{name}: it has no dates, so it can only be a static map. Set its role to static.").format(name=name)
        for name, report in moving
        if not report.dates and not any("date" in problem for problem in report.problems)
    ]
    if rows and not any(role == "target" for _, role, _ in rows):
        found.append(tr("No variable is the target: set the role of what shall be predicted to target."))
    dated = [(name, report) for name, report in moving if report.dates]
    if dated:
        found += _time_hints(dated, start, end)
    return found


def shared_period(reports: list[SourceReport]) -> Optional[tuple[datetime, datetime]]:
    """First and last date that all sources share, or None."""
    first = max(parse_date(report.dates[0]) for report in reports)
    last = min(parse_date(report.dates[-1]) for report in reports)
    return (first, last) if first <= last else None


def facts(rows: list[Row], like: Optional[str], typed: Dates = (None, None)) -> str:
    """Steps, cells and size of what will be built, before compression; ``typed``: dates that cut the period."""
    dated = [report for _, role, report in rows if role != "static" and report.dates]
    model = next((report for name, _, report in rows if name == like), None)
    period = shared_period(dated) if dated else None
    if period is None or model is None:
        return ""
    first = max(period[0], typed[0] or period[0])
    last = min(period[1], typed[1] or period[1])
    step = max(report.step_seconds or 86400.0 for report in dated)
    count = max(0, int((last - first).total_seconds() // step) + 1)
    columns, lines = model.size
    megabytes = 4e-6 * columns * lines * (count * len(dated) + len(rows) - len(dated))
    return tr("{count} maps of {columns} x {lines} cells, step {step}, at most {size} MB").format(
        count=count, columns=columns, lines=lines, step=format_step(step), size=max(1, round(megabytes))
    )


def _calendar_hints(moving: list[tuple[str, SourceReport]]) -> list[str]:
    calendars = [(name, _CALENDARS.get(report.calendar.lower(), report.calendar)) for name, report in moving]
    others = [(name, calendar) for name, calendar in calendars if calendar != "standard"]
    if not others:
        return []
    words = ", ".join(f"{name}: {calendar}" for name, calendar in calendars)
    start = (
        tr("The sources have different calendars ({words}).").format(words=words)
        if len({calendar for _, calendar in calendars}) > 1
        else tr("The calendar of the sources is not the standard one ({words}).").format(words=words)
    )
    remedy = tr("Convert {name} to the standard calendar first, for example with convert_calendar of xarray.")
    return [f"{start} {remedy.format(name=', '.join(name for name, _ in others))}"]


def _time_hints(dated: list[tuple[str, SourceReport]], start: Optional[datetime], end: Optional[datetime]) -> list[str]:
    found = []
    period = shared_period([report for _, report in dated])
    if period is None:
        late = max(dated, key=lambda item: item[1].dates[0])
        early = min(dated, key=lambda item: item[1].dates[-1])
        found.append(
            tr("{early} ends on {end}, before {late} begins on {start}: there is no common period.").format(
                early=early[0], end=early[1].dates[-1], late=late[0], start=late[1].dates[0]
            )
        )
    elif (start and start > period[1]) or (end and end < period[0]):
        found.append(
            tr("From and to lie outside the common period {a:%Y-%m-%d} to {b:%Y-%m-%d}.").format(
                a=period[0], b=period[1]
            )
        )
    steps = {round(report.step_seconds) for _, report in dated if report.step_seconds}
    if len(steps) > 1:
        words = ", ".join(format_step(float(step)) for step in sorted(steps))
        found.append(
            tr("The sources have different steps ({steps}): finer ones are aggregated as the catalogue says.").format(
                steps=words
            )
        )
    return found
