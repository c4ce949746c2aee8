"""What a table holds, whatever file it lies in: text, a sheet, or a vector layer with one row a feature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Union

import numpy as np

from ...contracts.errors import DataError
from ..vectors import VECTOR_SUFFIXES, is_raster_package, parse_layer, read_points
from .delimited import SAMPLE, TextTable, open_text

SHEET_SUFFIXES = (".xlsx", ".ods")
TEXT_SUFFIXES = (".csv", ".txt", ".tsv", ".tab", ".dat", ".rdb", ".tss", ".prn")
TABLE_SUFFIXES = tuple(dict.fromkeys((*TEXT_SUFFIXES, *SHEET_SUFFIXES, *VECTOR_SUFFIXES)))


@dataclass
class LayerTable:
    """A layer with its places, as rows of text like a :class:`TextTable`; values keep every digit."""

    path: str
    names: list[str]
    units: list[str]
    sample: list[list[str]]
    notes: list[str]
    columns: list[list[str]]
    x: Optional[np.ndarray]
    y: Optional[np.ndarray]
    crs: str
    decimal_comma: bool = False

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Number (from 1) and fields of each feature."""
        for number, fields in enumerate(zip(*self.columns), 1):
            yield number, list(fields)


Table = Union[TextTable, LayerTable]


def is_table_file(path: str) -> bool:
    """Whether a file may hold a table: by its suffix, but no ASCII grid called .txt, no
    bare numbers called .dat and no raster in a GeoPackage."""
    name = parse_layer(path)
    suffix = Path(name.path).suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        return False
    if suffix in TEXT_SUFFIXES:
        head = _head(name.path)
        grid = head.lstrip().lower().startswith((b"ncols", b"nrows", b"dsaa")) or suffix == ".dat" and b"\0" in head
        return not grid
    return not (suffix == ".gpkg" and not name.layer and is_raster_package(name.path))


def open_table(path: str) -> Table:
    """Open a table; its rows are read later. Raises :class:`DataError` where it is missing or cannot be read."""
    name = parse_layer(path)
    if not Path(name.path).exists() and not name.path.startswith("/vsi"):
        raise DataError(
            "There is no such table", got=name.path, remedy="Choose it again; it may have been moved or renamed"
        )
    suffix = Path(name.path).suffix.lower()
    if suffix in TEXT_SUFFIXES and not (suffix == ".tab" and _head(name.path).lstrip().lower().startswith(b"!table")):
        return open_text(name.path)
    return _open_layer(path)


def row_word(table: Table) -> str:
    """What a row of the table is called in messages."""
    return "line" if isinstance(table, TextTable) else "row"


def table_files(path: str) -> list[str]:
    """The files of a table: itself, and the companions of a Shapefile."""
    file = Path(parse_layer(path).path)
    if file.suffix.lower() != ".shp":
        return [str(file)]
    companions = (".dbf", ".shx", ".prj", ".cpg")
    return [str(file), *sorted(str(one) for one in file.parent.glob("*") if _belongs(one, file, companions))]


def _belongs(one: Path, file: Path, suffixes: tuple[str, ...]) -> bool:
    return one.stem == file.stem and one.suffix.lower() in suffixes


def _open_layer(path: str) -> LayerTable:
    points = read_points(path)
    columns = [_texts(column) for column in points.columns]
    if not columns:
        raise DataError(
            "The layer has no columns", expected="a column with values", got=path, remedy="Choose another layer"
        )
    places = np.isfinite(points.x).any()
    return LayerTable(
        path, list(points.names), [""] * len(columns), [list(row) for row in zip(*(c[:SAMPLE] for c in columns))],
        list(points.notes), columns, points.x if places else None, points.y if places else None, points.crs,
    )  # fmt: skip


def _texts(column: np.ndarray) -> list[str]:
    if column.dtype.kind == "M":
        seconds = column.astype("datetime64[s]")
        return ["" if np.isnat(moment) else str(moment).replace("T", " ") for moment in seconds]
    if column.dtype.kind == "f":
        return ["" if value != value else _number(value) for value in column.tolist()]
    if column.dtype.kind in "iub":
        return [str(int(value)) for value in column]
    return ["" if value is None else str(value).strip() for value in column]


def _number(value: float) -> str:
    """Whole numbers without a point: a column of whole numbers comes as float where one is missing."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _head(path: str) -> bytes:
    try:
        with open(path, "rb") as handle:
            return handle.read(64)
    except OSError:
        return b""
