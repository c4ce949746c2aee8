"""The rows of a table as numbers: read once, line by line, then laid out by date and gauge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Optional

import numpy as np

from ...contracts.dataset_job import SourceConfig
from ...contracts.errors import DataError
from .delimited import is_missing, to_numbers
from .table_content import LayerTable, Table, row_word
from .table_dates import parse_dates
from .table_form import Form

_BATCH = 20000
_TOO_MANY = 2**29  # cells of a table (date, gauge); more cannot be meant
_TOLERATED = 0.1


@dataclass
class Rows:
    """n rows of a table. ``values`` are float64 (n, k): k columns of gauges, or one where ``stations`` (int (n,)) gives
    the gauge of each row. ``ids`` name the G gauges, ``named`` says whether the table itself does; ``x`` and ``y`` (G,)
    are their places where the table has them. ``times`` (n,) is None without dates; ``lines`` (n,) number the rows.
    """

    values: np.ndarray
    lines: np.ndarray
    times: Optional[np.ndarray]
    stations: Optional[np.ndarray]
    ids: list[str]
    named: bool
    x: Optional[np.ndarray] = None
    y: Optional[np.ndarray] = None
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class _Codes:
    """Numbers for texts, in the order in which they come."""

    def __init__(self) -> None:
        self.known: dict = {}

    def of(self, keys: list) -> list[int]:
        known = self.known
        return [known.setdefault(key, len(known)) for key in keys]


def read_rows(table: Table, form: Form, config: SourceConfig) -> Rows:
    """Read the columns of ``form``. Raises :class:`DataError` for a broken row, a date that is none, or more than a
    tenth of values that are no numbers; fewer become gaps, with a warning.
    """
    dates, stations = _Codes(), _Codes()
    lines: list[np.ndarray] = []
    date_codes: list[np.ndarray] = []
    station_codes: list[np.ndarray] = []
    values: list[np.ndarray] = []
    places: list[np.ndarray] = []
    odd: list[str] = []
    rows = table.rows()
    while batch := list(islice(rows, _BATCH)):
        numbers, fields = zip(*batch)
        columns = list(zip(*fields))
        lines.append(np.array(numbers, dtype=np.int64))
        if form.dates:
            keys = list(zip(*(columns[column] for column in form.dates.columns)))
            date_codes.append(np.array(dates.of(keys), dtype=np.int64))
        if form.places:
            x, y = (to_numbers(columns[column], table.decimal_comma)[0] for column in form.places)
            places.append(np.stack([x, y], axis=1))
        elif isinstance(table, LayerTable) and table.x is not None:
            chosen = np.array(numbers) - 1
            places.append(np.stack([table.x[chosen], table.y[chosen]], axis=1))
        if form.station is not None:
            station_codes.append(np.array(stations.of(list(columns[form.station])), dtype=np.int64))
        elif form.by_place:
            keys = [(x, y) if x == x and y == y else None for x, y in places[-1].tolist()]
            station_codes.append(np.array(stations.of(keys), dtype=np.int64))
        values.append(_numbers(columns, form, table, numbers, odd))
    if not values:
        raise DataError(f"'{config.variable}': the table has no rows", got=table.path, remedy="Choose another table")
    out = Rows(
        np.concatenate(values),
        np.concatenate(lines),
        None,
        np.concatenate(station_codes) if station_codes else None,
        *_names(table, form, stations, config),
    )
    _judge_numbers(out, odd, config)
    if places:
        _locate(out, np.concatenate(places), config)
    if form.dates:
        _date(out, np.concatenate(date_codes), list(dates.known), table, form, config)
    return out


def gather(
    rows: Rows, index: np.ndarray, steps: int, label: Callable[[int, Rows], str], config: SourceConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Values float32 (steps, G) of the rows whose step is ``index`` (n,), and the steps that occur more than once for a
    gauge. Doubled ones are settled as ``config.duplicates`` says; refused, :class:`DataError` names both rows.
    """
    gauges = len(rows.ids)
    if steps * gauges > _TOO_MANY:
        raise DataError(
            f"'{config.variable}': the table would have {gauges} gauges and {steps} dates",
            expected="gauges that keep their names and places",
            got=f"{len(rows.values)} rows",
            remedy="Name the column of the station",
        )
    long = rows.stations is not None
    place = index * gauges + rows.stations if long else index
    order = np.argsort(place, kind="stable")
    again = np.flatnonzero(np.diff(place[order]) == 0)
    doubled = np.unique(place[order][again] // (gauges if long else 1))
    if len(again) and config.duplicates == "refuse":
        raise _doubled(rows, order[again[0]], order[again[0] + 1], len(again), label, config)
    out = np.full((steps * gauges, 1) if long else (steps, gauges), np.nan, dtype=np.float32)
    if config.duplicates == "mean" and len(again):
        starts = np.flatnonzero(np.concatenate(([True], np.diff(place[order]) > 0)))
        present = np.isfinite(rows.values[order])
        count = np.add.reduceat(present, starts, axis=0, dtype=np.int64)
        total = np.add.reduceat(np.where(present, rows.values[order], 0.0), starts, axis=0)
        out[place[order][starts]] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    else:
        order = order[::-1] if config.duplicates == "first" else order  # of several, the one written last stays
        out[place[order]] = rows.values[order]
    return out.reshape(steps, gauges), doubled


def _doubled(
    rows: Rows, one: int, other: int, count: int, label: Callable[[int, Rows], str], config: SourceConfig
) -> DataError:
    what, each = ("a date", "one row a date") if rows.times is not None else ("a station", "one row a station")
    if rows.times is not None and rows.stations is not None:
        each += " and station"
    return DataError(
        f"'{config.variable}': {what} occurs twice" + (f" ({count} rows in all)" if count > 1 else ""),
        expected=each,
        got=f"{label(one, rows)} and {label(other, rows)}",
        remedy="Remove one of the two, name the column of the station, or say what to do with doubled dates (first, "
        "last or mean)",
    )


def _numbers(columns: list, form: Form, table: Table, lines: tuple[int, ...], odd: list[str]) -> np.ndarray:
    found = []
    for column in form.values:
        values, bad = to_numbers(columns[column], table.decimal_comma)
        found.append(values)
        odd += [f"{columns[column][i]!r} in {row_word(table)} {lines[i]}, column {table.names[column]}" for i in bad]
    return np.stack(found, axis=1)


def _judge_numbers(rows: Rows, odd: list[str], config: SourceConfig) -> None:
    if not odd:
        return
    if len(odd) > _TOLERATED * (np.isfinite(rows.values).sum() + len(odd)):
        raise DataError(
            f"'{config.variable}': {len(odd)} of its values are no numbers",
            expected="numbers, or a mark for missing values such as NA",
            got="; ".join(odd[:3]),
            remedy="Choose another column, or correct the values",
        )
    rows.warnings.append(
        f"'{config.variable}': {len(odd)} values are no numbers and count as missing: " + "; ".join(odd[:3])
        + (" ..." if len(odd) > 3 else ".")
    )  # fmt: skip


def _names(table: Table, form: Form, stations: _Codes, config: SourceConfig) -> tuple[list[str], bool]:
    """Names of the gauges, and whether the table names them."""
    if form.station is not None:
        return [str(name) or "without name" for name in stations.known], True
    if form.by_place:
        return [f"{key[0]:.10g} {key[1]:.10g}" if key else "without place" for key in stations.known], True
    single = len(form.values) == 1
    return [table.names[column] for column in form.values], not single


def _date(rows: Rows, codes: np.ndarray, keys: list, table: Table, form: Form, config: SourceConfig) -> None:
    """Dates of the rows; rows without date and values are dropped."""
    times, note, doubt = parse_dates(keys, form.dates, config.date_pattern, f"'{config.variable}'")
    rows.times = times[codes]
    rows.notes += [note] if note else []
    rows.warnings += [doubt] if doubt else []
    undated = np.isnat(rows.times)
    if not undated.any():
        return
    empty = np.array([all(is_missing(text) for text in keys[code]) for code in codes[undated]])
    full = np.isfinite(rows.values[undated]).any(axis=1)
    wrong = np.flatnonzero(undated)[~empty | full]
    if len(wrong):
        one = wrong[0]
        raise DataError(
            f"'{config.variable}': a row of the table has no date that can be read",
            expected=f"a date as in the other rows, such as {' '.join(keys[0])}",
            got=f"{' '.join(keys[codes[one]])!r} in {row_word(table)} {rows.lines[one]} of {table.path}",
            remedy="Correct the date or remove the row; a pattern such as %d.%m.%Y can be given",
        )
    rows.notes.append(f"'{config.variable}': {int(undated.sum())} rows without date and value are left out.")
    rows.values, rows.lines, rows.times = rows.values[~undated], rows.lines[~undated], rows.times[~undated]
    if rows.stations is not None:
        rows.stations = rows.stations[~undated]


def _locate(rows: Rows, places: np.ndarray, config: SourceConfig) -> None:
    """The place of each gauge: that of its first row with one."""
    gauges = len(rows.ids)
    rows.x, rows.y = np.full(gauges, np.nan), np.full(gauges, np.nan)
    known = np.isfinite(places).all(axis=1)
    codes = rows.stations if rows.stations is not None else np.zeros(len(places), dtype=np.int64)
    for at in np.flatnonzero(known)[::-1]:
        rows.x[codes[at]], rows.y[codes[at]] = places[at]
    moved = np.hypot(places[known, 0] - rows.x[codes[known]], places[known, 1] - rows.y[codes[known]]) > 0
    if moved.any():
        name = rows.ids[codes[known][np.argmax(moved)]]
        rows.warnings.append(f"'{config.variable}': station {name} has several places; the first one is taken.")
