"""What one row of the table of sources knows, and the words in its cells."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Optional

from ...core.contracts.dates import format_step
from ...core.contracts.variables import quantity
from ...plugin.inspection import SourceReport
from ...plugin.raster_probe import Sample
from ...plugin.report_making import implausible
from ..series import crs_from
from ..text import date_words, number, percent, tr, value_range
from .checks import usual_unit

ROLE, VARIABLE, QUANTITY, SOURCE, TIME, STEP, GRID, UNIT, MISSING, RANGE, CHECK = range(11)
HEADS = ("Role", "Variable", "Quantity", "Source", "Time", "Step", "Grid", "Unit", "Missing", "Range", "Check")
TIPS = (
    "input, target, or a static map",
    "Short name in the dataset",
    "What it is; sets unit, range, aggregation and colours",
    "Where it comes from",
    "First and last date; open the details to correct them",
    "Distance of the dates; open the details to correct it",
    "Columns and rows, cell size and coordinate reference system; for gauges their number",
    "Unit of the source, such as mm/d, K or m3/s",
    "Share of missing values in a sample; open the details to name a missing value",
    "Least and greatest value of a sample",
    "What was noticed",
)
# The detail that corrects what a cell shows.
DETAIL_OF = {TIME: "pattern", STEP: "step_hours", GRID: "crs", MISSING: "nodata", RANGE: "nodata", CHECK: "pattern"}
# The cell that shows what a field of the SourceConfig holds; others are told of in the last one.
_SHOWS = {
    **{"variable": VARIABLE, "role": ROLE, "quantity": QUANTITY, "units": UNIT, "path": SOURCE, "layer": SOURCE},
    **dict.fromkeys(("date_pattern", "date_table", "start", "duplicates"), TIME),
    **{"step_hours": STEP, "crs": GRID, "nodata": MISSING},
}


@dataclass
class Entry:
    """What the table knows of one row: the report, and the fields of its SourceConfig that were set by hand.

    ``report`` is ``found`` as it is with these fields; ``touched`` are the columns that a person wrote into.
    """

    report: SourceReport
    more: dict = field(default_factory=dict)
    found: Optional[SourceReport] = None
    touched: set = field(default_factory=set)

    def __post_init__(self) -> None:
        self.found = self.found or self.report

    @property
    def key(self) -> tuple[str, str]:
        """What tells a source from others."""
        return self.report.path, self.report.layer


@dataclass(frozen=True)
class Cell:
    """Text and help of a cell; ``guessed`` cells are written in italics."""

    text: str
    tip: str = ""
    guessed: bool = False


def cells_of(entry: Entry, name: str, quantity_name: str, typed_unit: str = "") -> dict[int, Cell]:
    """The cells of a row by column; ``name``, ``quantity_name`` and ``typed_unit`` are those chosen in the row."""
    report = entry.report
    unit = report.units if quantity_name == report.quantity or report.units_declared else quantity(quantity_name).units
    unit = typed_unit if UNIT in entry.touched else unit or "-"
    report = as_chosen(entry, quantity_name, unit)
    guesses = guesses_by_column(entry)
    looked = report.complete or report.minimum == report.minimum
    texts = {
        VARIABLE: name,
        SOURCE: source_words(report),
        TIME: time_words(report),
        STEP: format_step(report.step_seconds) if report.step_seconds and report.dates else "-",
        GRID: grid_words(report) if looked or any(report.size) else "...",
        UNIT: unit,
        MISSING: _share_words(report) if looked else "...",
        RANGE: value_range(report.minimum, report.maximum) if looked else "...",
        CHECK: check_words(report),
    }
    tips = {SOURCE: report.path, TIME: _time_tip(report), GRID: _grid_tip(report), CHECK: "\n".join(report.problems)}
    made = {}
    for column, text in texts.items():
        sentences = guesses.get(column, [])
        tip = "\n".join([tips.get(column) or text, *(tr("Guessed: {why}").format(why=why) for why in sentences)])
        made[column] = Cell(text, tip, bool(sentences))
    return made


def as_chosen(entry: Entry, quantity_name: str, unit: str) -> SourceReport:
    """The report with the quantity and unit that the row has: plausibility judged by these, and only the guesses that
    nobody has corrected.
    """
    report, typed = entry.report, UNIT in entry.touched
    guesses = tuple(guess for guess in report.guesses if _stands(entry, guess))
    problems = report.problems
    if (quantity_name, unit) != (report.quantity, report.units):
        before = _judged(report, report.quantity, report.units, report.units_declared)
        after = _judged(report, quantity_name, unit, typed or report.units_declared)
        problems = [*(text for text in problems if text not in before), *after]
    declared = report.units_declared or typed
    return replace(report, problems=problems, guesses=guesses, units_declared=declared)


def guesses_by_column(entry: Entry) -> dict[int, list[str]]:
    """The sentences of the guesses that still stand, by the column that shows what was guessed."""
    found: dict[int, list[str]] = {}
    for guess in entry.report.guesses:
        if _stands(entry, guess):
            found.setdefault(_column_of(guess), []).append(str(guess))
    if not entry.report.units_declared and UNIT not in found and UNIT not in entry.touched:
        found[UNIT] = [usual_unit(entry.report)]
    return found


def _column_of(guess: str) -> int:
    name = getattr(guess, "field", "")
    return GRID if name.startswith("points") else _SHOWS.get(name, CHECK)


def _stands(entry: Entry, guess: str) -> bool:
    """Whether nobody has corrected what was guessed."""
    name = getattr(guess, "field", "")
    given = name in entry.more or name.partition(".")[0] in entry.more
    return not given and _column_of(guess) not in entry.touched


def _judged(report: SourceReport, quantity_name: str, unit: str, declared: bool) -> list[str]:
    valid = int(report.minimum == report.minimum)
    values = Sample(report.minimum, report.maximum, 1, valid)
    return implausible(quantity(quantity_name), unit, values, report.step_seconds, declared)


def source_words(report: SourceReport) -> str:
    """The file or folder, with the variable or the number of files or sequences in it."""
    name = os.path.basename(report.path.rstrip("/\\"))
    if report.sequences:
        name = tr("{count} sequences").format(count=len(report.sequences))
    elif report.files:
        name = tr("{name}/ ({count} files)").format(name=name, count=len(report.files))
    return f"{name} : {report.layer}" if report.layer not in ("", "*") else name


def time_words(report: SourceReport) -> str:
    """First and last date, or a dash for a static map."""
    if not report.dates:
        return "-"
    first, last = report.dates[0], report.dates[-1]
    short = first[:10] != last[:10]
    return f"{first[:10]} .. {last[:10]}" if short else f"{date_words(first)} .. {last[11:16]}"


def grid_words(report: SourceReport) -> str:
    """'187 x 169, 0.0367 deg, EPSG:4326' for maps, '12 gauges' for a table."""
    if report.form == "table":
        return tr("1 gauge") if report.stations == 1 else tr("{count} gauges").format(count=report.stations)
    parts = [f"{report.size[0]} x {report.size[1]}", cell_words(report), crs_words(report.crs)]
    return ", ".join(part for part in parts if part)


def cell_words(report: SourceReport) -> str:
    """Cell size with its unit: '0.0367 deg', '4 km', '25 x 30 m'; empty where it is not known."""
    if not all(report.cell):
        return ""
    unit, scale = "m", 1.0
    crs = crs_from(report.crs) if report.crs else None
    if crs is not None and crs.isValid() and crs.isGeographic():
        unit = "deg"
    elif min(report.cell) >= 1000:
        unit, scale = "km", 1000.0
    across, down = (number(size / scale) for size in report.cell)
    return f"{across} {unit}" if across == down else f"{across} x {down} {unit}"


def crs_words(text: str) -> str:
    """A CRS in short: its code, else its name."""
    if not text:
        return tr("no CRS")
    if len(text) < 20:
        return text
    crs = crs_from(text)
    name = crs.authid() or crs.description() if crs.isValid() else ""
    return name if name and name.lower() not in ("unknown", "unnamed") else tr("own CRS")


def check_words(report: SourceReport) -> str:
    """'ok', or the first sentence and how many there are."""
    if not report.problems:
        return tr("ok") if report.complete else tr("looking ...")
    more = f" (+{len(report.problems) - 1})" if len(report.problems) > 1 else ""
    return report.problems[0] + more


def _share_words(report: SourceReport) -> str:
    return percent(report.missing_share) if report.missing_share == report.missing_share else "-"


def _time_tip(report: SourceReport) -> str:
    if not report.dates:
        return tr("No dates")
    words = tr("{count} dates, {first} to {last}, calendar {calendar}").format(
        count=len(report.dates), first=report.dates[0], last=report.dates[-1], calendar=report.calendar
    )
    missing = tr("{count} steps are missing").format(count=len(report.gaps)) if report.gaps else ""
    return "\n".join(part for part in (words, missing) if part)


def _grid_tip(report: SourceReport) -> str:
    crs = crs_from(report.crs) if report.crs else None
    name = crs.description() if crs is not None and crs.isValid() else ""
    return " ".join(part for part in (grid_words(report), f"({name})" if name else "") if part)
