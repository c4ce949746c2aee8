"""The dates of a source as the details of its row make them, and what these details answer of its complaints."""

from __future__ import annotations

import csv
import dataclasses
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Optional

from ...core.contracts import DataError
from ...core.contracts.dates import find_date, find_dates, format_date, parse_date, step_of
from ...core.contracts.steps import advance, months_of, steps_between
from ...plugin.inspection import SourceReport
from ...plugin.raster_probe import open_raster
from ...plugin.source_report import gdal_name
from ..text import tr

PATTERNS = (
    ("%Y-%m-%d", "rain_1995-02-01.tif"),
    ("%Y%m%d", "rain_19950201.tif"),
    ("%Y%m%d%H", "rain_1995020106.tif"),
    ("%Y%m%d%H%M", "radar_199502010635.tif"),
    ("%Y-%m-%dT%H%M", "radar_1995-02-01T0635.tif"),
    ("%Y_%m_%d", "rain_1995_02_01.tif"),
    ("%d.%m.%Y", "rain_01.02.1995.tif"),
    ("%d%m%Y", "rain_01021995.tif"),
    ("%Y%j", "MOD16.A1995032.tif"),
    ("%Y-%m", "runoff_1995-02.tif"),
    ("%Y%m", "runoff_199502.tif"),
    ("%Y/%m/%d", "1995/02/01.tif"),
    (r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)", "rain_19950201.tif"),
)
# Words in the sentences of an inspection, and the detail that answers them.
_ANSWERS = (
    (("Give the date", "no dates", "No file name holds a date"), "dates"),
    (("as the missing value",), "nodata"),
    (("same date", "twice", "doubled"), "duplicates"),
    (("cannot be read", "unreadable", "cannot be opened"), "unreadable"),
    (("no coordinate reference system",), "crs"),
    (("The places of",), "points"),
)


def as_detailed(report: SourceReport, details: dict[str, Any]) -> SourceReport:
    """``report`` as it is with ``details`` (fields of its SourceConfig): its dates, and without answered complaints.

    Raises FreshetError for a pattern, a table or a date that cannot be read.
    """
    changes: dict[str, Any] = {}
    answered = {name for name, value in details.items() if value not in ("", None, "refuse")}
    found = _dates(report, details)
    if found is not None:
        dates, files = found
        step = step_of([parse_date(date) for date in dates]) or (details.get("step_hours") or 0.0) * 3600.0 or None
        doubled = tuple(a for a, b in zip(dates, dates[1:]) if a == b)
        changes = {"dates": dates, "files": files, "step_seconds": step, "doubled": doubled, "irregular": ()}
        changes["places"] = ()
        changes["gaps"] = gaps_of(dates, step)
        answered |= {"dates"} if dates else set()
    if details.get("nodata") is not None and details["nodata"] in (report.minimum, report.maximum):
        changes.update(minimum=float("nan"), maximum=float("nan"))  # the sample held what means missing
    changes.update({name: details[name] for name in ("nodata", "points") if name in details})
    if details.get("crs") and not report.crs:
        changes.update(crs=details["crs"])
    asks = [word for words, name in _ANSWERS if name in answered for word in words]
    problems = [text for text in report.problems if not any(word in text for word in asks)]
    return dataclasses.replace(report, problems=problems, **changes)


def named_dates(report: SourceReport, pattern: str = "") -> tuple[list[tuple[str, Optional[datetime]]], str]:
    """Each file below its folder with its date (None where the name has none), and how they were guessed.

    DataError for a pattern that is not usable.
    """
    if not pattern and len(report.files) == len(report.dates):
        return [(short_name(report.path, p), parse_date(d)) for p, d in zip(report.files, report.dates)], ""
    return _named(report.path, report.files, pattern, f"'{report.variable}'")


@lru_cache(maxsize=8)
def _named(
    folder: str, files: tuple[str, ...], pattern: str, what: str
) -> tuple[list[tuple[str, Optional[datetime]]], str]:
    names = [short_name(folder, path) for path in files]
    dates, guess = find_dates(names, pattern, what)
    return list(zip(names, dates)), guess


def short_name(folder: str, path: str) -> str:
    """A file's name below the folder of the source, with ``/``."""
    start = folder.rstrip("/\\") + os.sep
    return path[len(start) :].replace(os.sep, "/") if path.startswith(start) else os.path.basename(path)


def read_date_table(path: str) -> dict[str, datetime]:
    """Name (or band number, as text) and date of each line of a CSV file. DataError where none can be read."""
    try:
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as handle:
            text = handle.read()
    except OSError as error:
        raise DataError("The table of dates cannot be read", got=str(error), remedy="Choose another file") from error
    separator = next((sign for sign in (";", "\t", ",") if sign in text), ",")
    found = {}
    for cells in csv.reader(text.splitlines(), delimiter=separator):
        date = find_date(" ".join(cells[1:])) if len(cells) > 1 else None
        if date is not None:
            found[cells[0].strip()] = date
    if not found:
        raise DataError(
            "The table of dates holds no date",
            expected="a file name (or band number) and its date in each line, such as rain_001.tif,1995-02-01",
            got=path,
            remedy="Correct the table, or choose another file",
        )
    return found


def gaps_of(dates: Sequence[str], step: Optional[float]) -> tuple[str, ...]:
    """The steps that are missing between sorted ISO dates."""
    if not step:
        return ()
    missing: list[str] = []
    moments = [parse_date(date) for date in dates]
    for earlier, later in zip(moments, moments[1:]):
        count = round(steps_between(earlier, later, step))
        missing += [format_date(advance(earlier, i, step)) for i in range(1, count)]
    return tuple(missing)


def found_words(report: SourceReport) -> str:
    """How far the dates reach, and by which calendar."""
    if report.role == "static" and not report.dates:
        return tr("A map without dates.")
    if not report.dates:
        return tr("No dates: give a date pattern, a table of dates, or the first date and the step.")
    words = tr("{count} dates, {first} to {last}").format(
        count=len(report.dates), first=report.dates[0], last=report.dates[-1]
    )
    if report.files and len(report.files) == len(report.dates):
        words = tr("{file} is {date}; {reach}").format(
            file=os.path.basename(report.files[0]), date=report.dates[0], reach=words
        )
    return words + "; " + tr("calendar: {calendar}").format(calendar=report.calendar or tr("standard"))


def _dates(report: SourceReport, details: dict[str, Any]) -> Optional[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Dates and files in their order, or None where the source's own dates stay."""
    pattern, table, start, hours = (details.get(n) for n in ("date_pattern", "date_table", "start", "step_hours"))
    if table:
        return _by_table(report, read_date_table(table))
    if pattern and report.files:
        named = zip(named_dates(report, pattern)[0], report.files)
        known = sorted((date, path) for (_, date), path in named if date is not None)
        if known or not start:
            return tuple(format_date(date) for date, _ in known), tuple(path for _, path in known) or report.files
    if not start or (report.dates and not pattern):
        return None
    first = parse_date(start, f"'{report.variable}': the first date")
    count = len(report.files) or _bands(report)
    return tuple(_counted(first, count if hours else 1, (hours or 0.0) * 3600.0)), report.files


def _counted(first: datetime, count: int, step: float) -> list[str]:
    if months_of(step):
        return [format_date(advance(first, i, step)) for i in range(count)]
    return [format_date(first + i * timedelta(seconds=step)) for i in range(count)]


def _by_table(report: SourceReport, table: dict[str, datetime]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not report.files:
        numbered = [table.get(str(i + 1)) for i in range(_bands(report))]
        return tuple(format_date(date) for date in numbered if date is not None), ()
    known = []
    for path in report.files:
        name = os.path.basename(path)
        date = next(
            (table[k] for k in (short_name(report.path, path), name, os.path.splitext(name)[0]) if k in table), None
        )
        if date is not None:
            known.append((date, path))
    known.sort()
    return tuple(format_date(date) for date, _ in known), tuple(path for _, path in known) or report.files


def _bands(report: SourceReport) -> int:
    source = open_raster(gdal_name(report.path, report.layer))
    return int(source.RasterCount)
