"""Places of stations from a second table or a point layer."""

from __future__ import annotations

import numpy as np

from ...contracts.dataset_job import SourceConfig
from ...contracts.errors import DataError
from .delimited import is_missing, is_number, to_numbers
from .stations import Register, column_of, coordinate_columns, station_columns
from .table_content import LayerTable, Table, open_table


def read_register(config: SourceConfig) -> Register:
    """The stations of ``config.points.stations``: the names each goes by, and its place as the file gives it.

    Raises :class:`DataError` where the file cannot be read, or has neither points nor columns of coordinates.
    """
    path = config.points.stations
    table = open_table(path)
    rows = [fields for _, fields in table.rows()]
    layer = isinstance(table, LayerTable) and table.x is not None
    if layer:
        x, y, crs, used, geographic = table.x, table.y, table.crs, (), False
    else:
        found = coordinate_columns(table.names, config)
        if found is None:
            raise DataError(
                f"'{config.variable}': the table of stations has no columns with their places",
                expected="columns such as lon and lat, x and y, or easting and northing",
                got=f"{', '.join(table.names[:20])} in {path}",
                remedy="Name the two columns",
            )
        x, y = (_coordinates(table, rows, column, config.variable) for column in found[:2])
        crs, used, geographic = "", found[:2], found[2]
    columns = _name_columns(table, rows, config, used)
    names = [tuple(row[column] for column in columns if not is_missing(row[column])) or ("",) for row in rows]
    return Register(names, np.asarray(x, float), np.asarray(y, float), crs, path, geographic, list(table.notes))


def _coordinates(table: Table, rows: list[list[str]], column: int, name: str) -> np.ndarray:
    values, bad = to_numbers([row[column] for row in rows], table.decimal_comma)
    if bad:
        raise DataError(
            f"'{name}': a place in the table of stations is no number",
            expected="degrees with decimals, or metres",
            got=f"{rows[bad[0]][column]!r} in column {table.names[column]} of {table.path}",
            remedy="Correct it",
        )
    return values


def _name_columns(table: Table, rows: list[list[str]], config: SourceConfig, used: tuple[int, ...]) -> list[int]:
    """The columns under which stations are looked up: the one named, else those called like one, else those that tell
    all rows apart.
    """
    wanted = config.points.station_column
    if wanted and wanted.lower() in [name.lower() for name in table.names]:
        return [column_of(table.names, wanted, config.variable)]
    called = [column for column in station_columns(table.names) if column not in used]
    if called:
        return called
    columns = [column for column in range(len(table.names)) if column not in used]
    telling = [column for column in columns if len({row[column] for row in rows}) == len(rows)]
    names = [column for column in telling if not all("." in row[column] and is_number(row[column]) for row in rows)]
    return names or columns[:1]
