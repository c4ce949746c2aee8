"""The form of a table of gauges: which columns hold dates, stations, places and values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

from ...contracts import units
from ...contracts.dataset_job import SourceConfig
from ...contracts.errors import DataError
from ...contracts.variables import quantity
from .delimited import is_missing, is_number
from .stations import Register, column_of, coordinate_columns, station_columns
from .table_content import LayerTable, Table
from .table_dates import DateColumns, find_date_columns

_COUNTS = ("row", "index", "column 1", "no", "nr", "n", "id", "fid", "ogc_fid", "objectid")
_FLAGS = ("code", "number", "point")
_BRACKETS = re.compile(r"[\[(]\s*([^\])]+?)\s*[\])]")
_SUFFIX_UNITS = {
    "mm_d": "mm/d", "mm_day": "mm/d", "mmd": "mm/d", "mm_per_day": "mm/d", "mm_h": "mm/h", "mmh": "mm/h",
    "mm_hr": "mm/h", "mm_s": "mm/s", "cm_d": "cm/d", "m_d": "m/d", "m3s": "m3/s", "m3_s": "m3/s", "m3_per_s": "m3/s",
    "cms": "m3/s", "cumecs": "m3/s", "l_s": "l/s", "ls": "l/s", "m3_d": "m3/d", "m3d": "m3/d", "degc": "degC",
    "deg_c": "degC", "celsius": "degC", "kelvin": "K", "mm": "mm", "cm": "cm", "m": "m", "c": "degC", "k": "K",
    "pct": "%", "percent": "%", "w_m2": "W/m2", "wm2": "W/m2", "m_s": "m/s", "hpa": "hPa", "m3_m3": "m3/m3",
    "m3m3": "m3/m3", "km2": "km2",
}  # fmt: skip


@dataclass
class Form:
    """Numbers of the columns of a table. ``long``: a row a date and station, one column of values; else a column of
    values a station. ``places`` are the columns of x and y; ``by_place`` says that stations are told apart by place.
    """

    dates: Optional[DateColumns]
    station: Optional[int]
    places: Optional[tuple[int, int]]
    values: list[int]
    long: bool
    by_place: bool = False
    geographic: bool = False


def find_form(table: Table, config: SourceConfig, register: Optional[Register], notes: list[str]) -> Form:
    """Find the columns. Raises :class:`DataError` where there is no value column, or a choice between several."""
    sample, names = table.sample, table.names
    static = config.role == "static"
    dates = None if static else find_date_columns(names, sample, config.points.date_column)
    taken = {*dates.columns, *dates.spare} if dates else set()
    keys = [tuple(row[column] for column in dates.columns) for row in sample] if dates else []
    repeated = len(set(keys)) < len(keys)
    station = _station_column(table, config, taken, keys, static, notes)
    taken |= {station} - {None}
    layered = isinstance(table, LayerTable) and table.x is not None
    points = config.points
    if points.stations:  # the columns of coordinates that the job names are those of the second table
        points = points.replace(x_column="", y_column="")
    places = None if layered else coordinate_columns(names, config.replace(points=points))
    if places and (set(places[:2]) & taken or not all(_numeric(sample, column) for column in places[:2])):
        places = None
    if places and station is None and not (repeated or static or _constant(sample, places[0])):
        places = None
    taken |= set(places[:2]) if places else set()
    long = station is not None or places is not None or layered or static
    values = _value_columns(table, config, taken, long, register, dates is None and not static)
    by_place = station is None and (places is not None or layered)
    return Form(dates, station, places[:2] if places else None, values, long, by_place, bool(places and places[2]))


def numeric_columns(table: Table, config: SourceConfig) -> list[str]:
    """Names of the columns that may hold values, for a person to choose from."""
    dates = find_date_columns(table.names, table.sample, config.points.date_column)
    taken = {*dates.columns, *dates.spare} if dates else set()
    return [table.names[column] for column in _candidates(table, taken, dates is None)]


def unit_of(table: Table, column: int, config: SourceConfig) -> str:
    """The unit that a column's header names, or "": ``Q [m3/s]``, ``prcp(mm/day)``, ``q_obs_m3s``, ``t_c``, or a row of
    units below it. A single letter counts only where it fits the quantity.
    """
    for text in (table.units[column].strip("[]() "), *_BRACKETS.findall(table.names[column])):
        if text and text != "-" and units.is_known(text):
            return text
    words = re.split(r"[_\s.\-/]+", table.names[column].lower().replace("³", "3").replace("°", "deg").strip())
    for count in (3, 2, 1):
        found = _SUFFIX_UNITS.get("_".join(words[-count:]), "") if len(words) > count else ""
        if found and (count > 1 or len(words[-1]) > 1 or _fits(found, config)):
            return found
    return ""


def _fits(unit: str, config: SourceConfig) -> bool:
    try:
        units.convert(unit, quantity(config.quantity).units)
    except DataError:
        return False
    return True


def _station_column(
    table: Table, config: SourceConfig, taken: set[int], keys: list[tuple[str, ...]], static: bool, notes: list[str]
) -> Optional[int]:
    wanted = config.points.station_column
    names, sample = table.names, table.sample
    if wanted and (not config.points.stations or wanted.lower() in [name.lower() for name in names]):
        return column_of(names, wanted, config.variable)
    dates = len(set(keys))
    fitting = []
    for column in station_columns(names):
        if column in taken or not any(not is_missing(row[column]) for row in sample):
            continue
        if static:
            return column
        count = len({row[column] for row in sample})
        pairs = len({(key, row[column]) for key, row in zip(keys, sample)})
        counter = count == len(sample) > dates > 1  # a number for each row
        if pairs > dates and not counter or count == 1 and names[column].lower() not in _FLAGS:
            fitting.append((pairs < len(keys), count, len(fitting), column))
    if fitting:
        return min(fitting)[-1]
    if dates == len(keys) or not keys:
        return None
    telling = []
    for column in range(len(names)):
        if column in taken or _numeric(sample, column):
            continue
        if len({(key, row[column]) for key, row in zip(keys, sample)}) == len(keys):
            telling.append(column)
    if len(telling) == 1:
        notes.append(f"'{config.variable}': column {names[telling[0]]} is taken as the name of the station.")
        return telling[0]
    return None


def _value_columns(
    table: Table, config: SourceConfig, taken: set[int], long: bool, register: Optional[Register], undated: bool
) -> list[int]:
    names, name = table.names, config.variable
    candidates = _candidates(table, taken, undated)
    if config.layer == "*" and not long:
        return candidates
    if config.layer:
        whole = config.layer.lower() in [one.lower() for one in names]
        wanted = [config.layer] if whole else [part.strip() for part in config.layer.split(",") if part.strip()]
        chosen = [column_of(names, part, name) for part in wanted]
        if long and len(chosen) > 1:
            raise DataError(
                f"'{name}': a table with a row for each date and station takes one column of values",
                got=config.layer,
                remedy="Choose one column; give each variable a source of its own",
            )
        return chosen
    if len(candidates) == 1:
        return candidates
    if not candidates:
        raise DataError(
            f"'{name}': the table has no column with numbers",
            expected="a column of values beside the dates",
            got=f"{', '.join(names[:20])} in {table.path}",
            remedy="Choose another table, or name the column of values",
        )
    matched = [column for column in candidates if register and register.find(names[column]) is not None]
    if matched and not long:
        return matched
    shown = ", ".join(names[column] for column in candidates[:20]) + (", ..." if len(candidates) > 20 else "")
    raise DataError(
        f"'{name}': the table has several columns of values",
        expected=f"one of: {shown}",
        got=table.path,
        remedy="Name the column"
        + ("" if long else ", several with commas between them, or * for all; or give the table of stations"),
    )


def _candidates(table: Table, taken: set[int], undated: bool) -> list[int]:
    """Columns of numbers that are not taken, without a mere count of the rows (called so, or in front of a table
    without dates).
    """
    sample, names = table.sample, table.names
    columns = [column for column in range(len(names)) if column not in taken and _numeric(sample, column)]
    counts = [c for c in columns if names[c].lower() in _COUNTS or undated and c == columns[0]]
    kept = [column for column in columns if column not in counts or not _counts(sample, column)]
    return kept or columns


def _counts(sample: Sequence[Sequence[str]], column: int) -> bool:
    texts = [row[column] for row in sample[:200]]
    return all(text.isdigit() for text in texts) and all(int(b) == int(a) + 1 for a, b in zip(texts, texts[1:]))


def _numeric(sample: Sequence[Sequence[str]], column: int) -> bool:
    some = sample[:: max(1, len(sample) // 500)]
    texts = [row[column] for row in some if not is_missing(row[column])]
    return bool(texts) and sum(is_number(text) for text in texts) >= 0.9 * len(texts)


def _constant(sample: Sequence[Sequence[str]], column: int) -> bool:
    return len({row[column] for row in sample}) == 1
