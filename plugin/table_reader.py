"""Tables and point layers of gauges: their reports, and their series for the map."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Callable, Optional

from ..core.contracts import DataError
from ..core.contracts.dataset_job import PointsConfig
from ..core.contracts.dates import format_date
from ..core.contracts.units import is_declared, normalise
from ..core.contracts.variables import guess_quantity
from .listing import TEXT_SUFFIXES, VECTOR_SUFFIXES
from .raster_probe import WGS84
from .readers import Step
from .report_making import identifier, some
from .source_paths import Group
from .source_report import Guess, SourceReport
from .stamps import Stamps, missing_words, put_in_order
from .table_form import Form, coordinate_columns, find_form, parse_dates, plain_id, station_columns, unit_of
from .tables import Table, is_missing, open_table

_FIRST_ROWS = 500
_SIBLINGS, _LARGEST_SIBLING = 20, 5_000_000
_EVERY = "*"


@dataclass
class Gauges:
    """Series of gauges: for each its name, place (None: unknown) in ``crs``, dates and values (None: missing)."""

    ids: list[str]
    x: list[Optional[float]]
    y: list[Optional[float]]
    crs: str
    dates: list[list[datetime]]
    values: list[list[Optional[float]]]
    doubled: list[datetime] = field(default_factory=list)


@dataclass
class _Register:
    """Places of stations from a second file: the names each goes by, x and y."""

    path: str
    names: list[tuple[str, ...]]
    x: list[Optional[float]]
    y: list[Optional[float]]
    crs: str

    def find(self, name: str) -> Optional[int]:
        wanted = plain_id(name)
        return next((i for i, names in enumerate(self.names) if wanted in map(plain_id, names)), None)

    def find_within(self, text: str) -> Optional[int]:
        words = {plain_id(word) for word in re.split(r"[^0-9A-Za-zÀ-ÿ]+", text)}
        hits = [i for i, names in enumerate(self.names) if names and plain_id(names[0]) in words]
        return hits[0] if len(hits) == 1 else None


class TableReader:
    """One table: a report a variable. ``asked`` says that a person chose this very file; others that hold no series
    are passed over.
    """

    def __init__(self, group: Group, tables: Sequence[str], stopped: Callable[[], bool], asked: bool) -> None:
        self.group, self.asked, self._stopped = group, asked, stopped
        self._tables = [path for path in tables if path != group.path]
        self._register: Optional[_Register] = None

    def first(self, opening: bool) -> list[SourceReport]:
        """The variables by the first lines."""
        return self._reports(open_table(self.group.path, _FIRST_ROWS), False) if opening else []

    def rest(self) -> Iterator[Step]:
        """All lines."""
        yield self._reports(open_table(self.group.path), True), 1.0

    def _reports(self, table: Table, complete: bool) -> list[SourceReport]:
        form = find_form(table)
        if not form.values or not table.rows:
            raise self._no_series(table, "The table has no column of numbers beside its dates")
        if not form.dates and (form.places or table.x is not None or form.station is not None or not self.asked):
            raise self._no_series(table, "It has places or attributes, but no dates")
        by_column = form.long or not _are_stations(table, form)
        layers = [table.names[column] for column in form.values] if by_column else [_EVERY]
        return [self._report(table, form, layer, complete) for layer in layers]

    def _no_series(self, table: Table, what: str) -> DataError:
        return DataError(
            what,
            expected="dates and values; a table of places can be the stations of another table",
            got=f"{', '.join(table.names[:8])} in {self.group.path}",
            remedy="Choose the table with the series, and this one as its stations",
        )

    def _report(self, table: Table, form: Form, layer: str, complete: bool) -> SourceReport:
        gauges = gather(table, form, layer)
        found = self._placed(gauges, form, table)
        name = os.path.splitext(os.path.basename(table.path.split("|")[0]))[0]
        word = name if layer == _EVERY else layer
        unit = "" if layer == _EVERY else unit_of(table, table.names.index(layer))
        entry = guess_quantity(word, "", unit)
        if entry.name == "other" and word != name and len(form.values) == 1:
            entry, word = guess_quantity(name, "", unit), name
        stamps = put_in_order(sorted({date for dates in gauges.dates for date in dates}))
        least = -9000.0 if entry.minimum < -999 else -998.0
        every = [value for series in gauges.values for value in series if value is not None]
        values = [value for value in every if value > least]
        cells = len(stamps.dates) * len(gauges.ids)
        declared = is_declared(unit)
        same = not declared or normalise(unit) == normalise(entry.units)
        guesses = [*found, *[Guess("start", words) for words in stamps.words]]
        guesses += [Guess("units", words) for words in table.notes]
        if entry.name != "other":
            guesses.append(Guess("quantity", f"It is taken for {entry.label.lower()}, by the name '{word}'."))
        if not declared and entry.units not in ("-", ""):
            guesses.append(Guess("units", f"The unit {entry.units} is the catalogue's, the table names none."))
        if layer == _EVERY:
            guesses.append(Guess("layer", f"Its {len(gauges.ids)} columns are taken as gauges ({some(gauges.ids)})."))
        marks = sorted({value for value in every if value <= least} & {-9999.0, -999.0})
        if marks:
            words = " and ".join(f"{mark:g}" for mark in marks)
            guesses.append(Guess("nodata", f"The value {words} is taken as missing; it is not declared so."))
        if declared:
            guesses.append(Guess("units", f"The unit {unit} is read from the header of the column."))
        return SourceReport(
            path=table.path,
            layer=layer,
            variable=identifier(word),
            quantity=entry.name,
            units=entry.units if same else unit,
            dates=tuple(map(format_date, stamps.dates)),
            step_seconds=stamps.step,
            crs=gauges.crs,
            size=(0, 0),
            minimum=min(values, default=float("nan")),
            maximum=max(values, default=float("nan")),
            missing_share=1.0 - len(values) / cells if cells else float("nan"),
            problems=_problems(table, form, gauges, stamps, values),
            units_declared=declared,
            gaps=tuple(map(format_date, stamps.gaps)),
            label="" if layer == _EVERY else layer,
            form="table",
            stations=len(gauges.ids),
            guesses=tuple(guesses),
            doubled=tuple(map(format_date, sorted(set(gauges.doubled)))),
            irregular=tuple(map(format_date, stamps.irregular)),
            complete=complete,
            points=PointsConfig(stations=self._register.path) if self._register is not None else PointsConfig(),
        )

    def _placed(self, gauges: Gauges, form: Form, table: Table) -> list[Guess]:
        """Give the gauges the places of a register beside the table, where they have none; sentences on guesses."""
        if any(value is not None for value in gauges.x):
            if form.places is not None:
                x, y = (table.names[column] for column in form.places)
                return [Guess("crs", f"Its places are taken from the columns {x} and {y} as {gauges.crs or 'metres'}.")]
            return []
        if self._register is None:
            self._register = self._find_register(gauges.ids)
        if self._register is None:
            return []
        matched = _matched(gauges.ids, self._register, table.path)
        gauges.crs = self._register.crs
        for number, entry in enumerate(matched):
            if entry is not None:
                gauges.x[number], gauges.y[number] = self._register.x[entry], self._register.y[entry]
        known = sum(entry is not None for entry in matched)
        words = f"The places of {known} of {len(gauges.ids)} gauges are taken from"
        return [Guess("points.stations", f"{words} {os.path.basename(self._register.path)}.")]

    def _find_register(self, ids: list[str]) -> Optional[_Register]:
        beside = self._tables or _siblings(self.group.path)
        found = [register for path in beside for register in (_register(path),) if register is not None]
        fitting = [
            register
            for register in found
            if sum(entry is not None for entry in _matched(ids, register, self.group.path)) >= max(1, 0.5 * len(ids))
        ]
        return fitting[0] if len(fitting) == 1 else None


def gather(table: Table, form: Form, layer: str) -> Gauges:
    """The series of a column (``layer``; "*": of each column) of a table."""
    dates = parse_dates(table, form)
    if form.long:
        return _long(table, form, table.names.index(layer), dates)
    columns = form.values if layer == _EVERY else [table.names.index(layer)]
    single = os.path.splitext(os.path.basename(table.path.split("|")[0]))[0]
    ids = [table.names[column] for column in columns] if layer == _EVERY else [single]
    made = Gauges(ids, [None] * len(ids), [None] * len(ids), "", [], [])
    for column in columns:
        _add_series(made, [(date, table.number(row[column])) for date, row in zip(dates, table.rows) if date])
    return made


@lru_cache(maxsize=16)
def read_gauges(path: str, layer: str, stations: str, _stamp: float) -> Gauges:
    """The series of a source of gauges, with their places. ``_stamp`` is when the file was changed."""
    table = open_table(path)
    form = find_form(table)
    gauges = gather(table, form, layer)
    register = _register(stations) if stations else None
    if register is not None and not any(value is not None for value in gauges.x):
        for number, entry in enumerate(_matched(gauges.ids, register, path)):
            if entry is not None:
                gauges.x[number], gauges.y[number] = register.x[entry], register.y[entry]
        gauges.crs = register.crs
    return gauges


def _long(table: Table, form: Form, column: int, dates: list[Optional[datetime]]) -> Gauges:
    rows: dict[str, list[tuple[datetime, Optional[float]]]] = {}
    places: dict[str, tuple[Optional[float], Optional[float]]] = {}
    for number, (date, row) in enumerate(zip(dates, table.rows)):
        if form.places:
            place = table.number(row[form.places[0]]), table.number(row[form.places[1]])
        else:
            place = (table.x[number], table.y[number]) if table.x is not None else (None, None)
        name = row[form.station] if form.station is not None else "{} {}".format(*place)
        places.setdefault(name, place)
        if date is not None:
            rows.setdefault(name, []).append((date, table.number(row[column])))
    crs = table.crs
    if form.places and not crs:
        known = [place for place in places.values() if place[0] is not None and place[1] is not None]
        near = all(abs(x) <= 360 and abs(y) <= 180 for x, y in known)
        crs = WGS84 if form.geographic or (known and near) else ""
    ids = list(rows) or list(places)
    made = Gauges(ids, [places[name][0] for name in ids], [places[name][1] for name in ids], crs, [], [])
    for name in ids:
        _add_series(made, rows.get(name, []))
    return made


def _add_series(gauges: Gauges, pairs: list[tuple[datetime, Optional[float]]]) -> None:
    pairs = sorted(pairs, key=lambda pair: pair[0])
    gauges.doubled += [a[0] for a, b in zip(pairs, pairs[1:]) if a[0] == b[0]]
    gauges.dates.append([date for date, _ in pairs])
    gauges.values.append([value for _, value in pairs])


def _are_stations(table: Table, form: Form) -> bool:
    """Whether the columns of values are gauges of one variable, not variables of one gauge."""
    names = [table.names[column] for column in form.values]
    if len(names) < 2:
        return False
    spoken = sum(guess_quantity(name).name != "other" for name in names)
    units = sum(bool(unit_of(table, column)) for column in form.values)
    return spoken + units < 0.5 * len(names)


def _problems(table: Table, form: Form, gauges: Gauges, stamps: Stamps, values: list[float]) -> list[str]:
    problems = []
    if not form.dates:
        problems.append("No column of the table holds dates. Give the date of the first row and the step.")
    if not values:
        problems.append("All sampled values are missing. Choose another source.")
    if gauges.doubled:
        shown = some(map(format_date, sorted(set(gauges.doubled))))
        problems.append(f"Several rows have the same date ({shown}). Keep one of each, or say which one counts.")
    if stamps.irregular:
        shown = some(map(format_date, stamps.irregular))
        problems.append(f"Its dates follow no regular step ({shown}). Give the step that fits them all.")
    if stamps.gaps:
        problems.append(missing_words(stamps.gaps))
    placed = [name for name, x in zip(gauges.ids, gauges.x) if x is None]
    if len(placed) == len(gauges.ids) and len(placed) > 1:
        problems.append(f"The places of its {len(placed)} gauges are not known. Choose a table of stations for it.")
    elif placed and len(gauges.ids) > 1:
        problems.append(f"The places of {len(placed)} of its gauges are not known ({some(placed)}).")
    elif not placed and not gauges.crs:
        problems.append("The places of its gauges have no coordinate reference system. Give it.")
    return problems


def _register(path: str) -> Optional[_Register]:
    """The places of stations in a file, None where it has none."""
    try:
        table = open_table(path)
    except DataError:
        return None
    columns = None if table.x is not None else coordinate_columns(table.names)
    if not table.rows or (table.x is None and columns is None) or find_form(table).dates:
        return None
    if columns is None:
        x, y, crs, used = table.x, table.y, table.crs, ()
    else:
        x, y = ([table.number(text) for text in table.column(column)] for column in columns)
        near = all(abs(a) <= 360 and abs(b) <= 180 for a, b in zip(x, y) if a is not None and b is not None)
        crs, used = WGS84 if near else "", columns
    called = [column for column in station_columns(table.names) if column not in used]
    free = [column for column in range(len(table.names)) if column not in used]
    chosen = called or [column for column in free if len(set(table.column(column))) == len(table.rows)] or free[:1]
    names = [tuple(row[column] for column in chosen if not is_missing(row[column])) for row in table.rows]
    return _Register(path, names, x, y, crs)


def _matched(ids: list[str], register: _Register, path: str) -> list[Optional[int]]:
    """The register's entry of each gauge; a single gauge is found by the name of its file too."""
    entries = [register.find(name) for name in ids]
    if len(ids) == 1 and entries[0] is None:
        stem = os.path.splitext(os.path.basename(path.split("|")[0]))[0]
        entries = [register.find_within(stem)]
    return entries


def _siblings(path: str) -> list[str]:
    """Small tables and layers beside a file, which may hold the places of its stations."""
    folder = os.path.dirname(path.split("|")[0])
    try:
        with os.scandir(folder) as entries:
            found = [
                entry.path
                for entry in entries
                if entry.is_file()
                and os.path.splitext(entry.name)[1].lower() in TEXT_SUFFIXES[:1] + VECTOR_SUFFIXES[:3]
                and entry.stat().st_size <= _LARGEST_SIBLING
            ]
    except OSError:
        return []
    return sorted(item for item in found if item != path)[:_SIBLINGS]
