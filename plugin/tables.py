"""Tables of text, sheets and vector layers as rows of text, read with Python and GDAL alone."""

from __future__ import annotations

import csv
import itertools
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from osgeo import gdal, ogr

from ..core.contracts import DataError
from .gdal_errors import quiet_gdal
from .listing import TEXT_SUFFIXES
from .raster_probe import crs_text

MISSING = frozenset(
    ("", "na", "n/a", "n.a.", "#n/a", "#na", "#nv", "nan", "null", "none", "nil", "missing", "-", "--", "---", ".", "*")
)
SAMPLE = 400
_COMMENTS = ("#", "%", "!", "//", '"#')
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eEdD][-+]?\d+)?")
_COMMA_NUMBER = re.compile(r"[-+]?(\d{1,3}(\.\d{3})+|\d+),\d+([eE][-+]?\d+)?")
_FORMAT = re.compile(r"\d+[sdnSDN]")  # second header row of the USGS
_DATE = re.compile(
    r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}([T ]+\d{1,2}.*)?|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"
    r"|\d{1,2}[- ]?[A-Za-z]{3,}[- ]?\d{4}.*"
)


@dataclass
class Table:
    """``rows`` are fields of text, as many as there are ``names``; ``units`` what a row below the header says of each
    column, or "". A vector layer has ``x`` and ``y`` of each row (None where it has no place) in ``crs``; ``notes`` are
    sentences on guesses; ``whole`` says whether all rows were read.
    """

    path: str
    names: list[str]
    units: list[str]
    rows: list[list[str]]
    decimal_comma: bool = False
    x: Optional[list[Optional[float]]] = None
    y: Optional[list[Optional[float]]] = None
    crs: str = ""
    notes: list[str] = field(default_factory=list)
    whole: bool = True

    def column(self, number: int) -> list[str]:
        """The fields of one column."""
        return [row[number] for row in self.rows]

    def number(self, text: str) -> Optional[float]:
        """A field as a number, None where it is missing or none."""
        text = text.strip()
        if text.lower() in MISSING:
            return None
        if self.decimal_comma and "," in text:
            text = text.replace(".", "").replace(",", ".")
        if not _NUMBER.fullmatch(text):
            return None
        value = float(text.lower().replace("d", "e"))
        return value if abs(value) < 1e19 else None


def open_table(path: str, limit: Optional[int] = None) -> Table:
    """Read a table or layer, or only its first ``limit`` rows. DataError where it cannot be read or is no table."""
    plain = path.split("|")[0]
    suffix = os.path.splitext(plain)[1].lower()
    if suffix in TEXT_SUFFIXES:
        return _open_text(plain, limit)
    return _open_layer(path, limit)


def is_missing(text: str) -> bool:
    """Whether a field means that there is no value."""
    return text.strip().lower() in MISSING


def is_number(text: str) -> bool:
    """Whether a field is a number, with a point or a comma."""
    return bool(_NUMBER.fullmatch(text) or _COMMA_NUMBER.fullmatch(text))


def _open_text(path: str, limit: Optional[int]) -> Table:
    encoding = _encoding(path)
    lines = [line for line in _lines(path, encoding, limit) if line.strip()]
    plain = [line for line in lines if not line.lstrip().startswith(_COMMENTS)]
    if not plain or any("\0" in line for line in plain[:50]):
        raise DataError("The file is no table of text", got=path, remedy="Choose another file, or save it as CSV first")
    delimiter, count = _form(plain[: SAMPLE * 2])
    rows = list(_split(plain, delimiter))
    first = _first_data(rows, count)
    head = rows[:first]
    units = [""] * count
    if len(head) > 1 and _is_unit_row(head[-1], count):
        units = ["" if _FORMAT.fullmatch(text) else text for text in head.pop()]
    data = [row for row in (_fitted(row, count) for row in rows[first:]) if row]
    names = _header(head[-1] if head else [], count, data)
    table = Table(path, names, units, data, whole=limit is None or len(lines) < limit)
    fields = [text for row in data[:SAMPLE] for text in row if "," in text]
    table.decimal_comma = delimiter != "," and bool(fields) and all(_COMMA_NUMBER.fullmatch(text) for text in fields)
    if table.decimal_comma:
        table.notes.append("Commas are taken as decimal signs.")
    if not head:
        table.notes.append("The table has no header; its columns are called column 1, column 2 and so on.")
    return table


def _open_layer(path: str, limit: Optional[int]) -> Table:
    plain, *details = path.split("|")
    named = next((item.partition("=")[2] for item in details if item.lower().startswith("layername=")), "")
    with quiet_gdal():
        source = gdal.OpenEx(plain, gdal.OF_VECTOR | gdal.OF_READONLY)
        layer = _layer_of(source, named) if source is not None else None
        if layer is None:
            raise DataError(
                "The file cannot be opened as a table or point layer",
                got=f"{path} ({gdal.GetLastErrorMsg() or 'no such layer'})",
                remedy="Choose a table, or a layer of points",
            )
        return _layer_table(path, layer, limit)


def _layer_of(source: Any, named: str) -> Any:
    """The layer of this name; else the only one, or the only one of points or without places."""
    if named:
        return source.GetLayerByName(named)
    layers = [source.GetLayer(number) for number in range(source.GetLayerCount())]
    if len(layers) == 1:
        return layers[0]
    flat = [layer for layer in layers if ogr.GT_Flatten(layer.GetGeomType()) in (ogr.wkbPoint, ogr.wkbNone)]
    return flat[0] if len(flat) == 1 else None


def _layer_table(path: str, layer: Any, limit: Optional[int]) -> Table:
    kind = ogr.GT_Flatten(layer.GetGeomType())
    if kind not in (ogr.wkbPoint, ogr.wkbNone, ogr.wkbUnknown, ogr.wkbMultiPoint):
        raise DataError(
            "The layer holds no points",
            expected="points with values, or a table",
            got=path,
            remedy="Choose a layer of points; polygons can be the mask of a dataset",
        )
    fields = layer.GetLayerDefn()
    names = [fields.GetFieldDefn(number).GetName() for number in range(fields.GetFieldCount())]
    x: list[Optional[float]] = []
    y: list[Optional[float]] = []
    rows: list[list[str]] = []
    layer.ResetReading()
    for feature in itertools.islice(layer, limit):
        rows.append([_field_text(feature, number) for number in range(len(names))])
        shape = feature.GetGeometryRef()
        point = shape.GetGeometryRef(0) if shape is not None and shape.GetGeometryCount() == 1 else shape
        known = point is not None and ogr.GT_Flatten(point.GetGeometryType()) == ogr.wkbPoint and not point.IsEmpty()
        x.append(point.GetX() if known else None)
        y.append(point.GetY() if known else None)
    places = any(value is not None for value in x)
    return Table(
        path, names, [""] * len(names), rows, False, x if places else None, y if places else None,
        crs_text(layer.GetSpatialRef()) if places else "", whole=limit is None or len(rows) < limit,
    )  # fmt: skip


def _field_text(feature: Any, number: int) -> str:
    if not feature.IsFieldSetAndNotNull(number):
        return ""
    kind = feature.GetFieldDefnRef(number).GetType()
    if kind in (ogr.OFTDate, ogr.OFTDateTime):
        year, month, day, hour, minute, second, _ = feature.GetFieldAsDateTime(number)
        clock = f" {hour:02d}:{minute:02d}:{int(second):02d}" if kind == ogr.OFTDateTime else ""
        return f"{year:04d}-{month:02d}-{day:02d}{clock}"
    if kind == ogr.OFTReal:
        value = feature.GetFieldAsDouble(number)
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return feature.GetFieldAsString(number).strip()


def _encoding(path: str) -> str:
    try:
        with open(path, "rb") as handle:
            head = handle.read(2**16)
    except OSError as error:
        raise DataError(
            "The table cannot be read", got=f"{path} ({error.strerror})", remedy="Choose it again"
        ) from error
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        head[:-4].decode("utf-8") if len(head) == 2**16 else head.decode("utf-8")
    except UnicodeDecodeError as error:
        return "latin-1" if error.start < len(head) - 8 or len(head) < 2**16 else "utf-8-sig"
    return "utf-8-sig"


def _lines(path: str, encoding: str, limit: Optional[int]) -> Iterator[str]:
    with open(path, encoding=encoding, errors="replace", newline=None) as handle:
        for line in itertools.islice(handle, limit):
            yield line.rstrip("\r\n")


def _split(lines: Sequence[str], delimiter: str) -> Iterator[list[str]]:
    if delimiter == " ":
        yield from (line.split() for line in lines)
        return
    try:
        for fields in csv.reader(lines, delimiter=delimiter, skipinitialspace=True):
            yield [text.strip() for text in fields]
    except csv.Error as error:
        raise DataError("The table cannot be read", got=str(error), remedy="Check its quotation marks") from error


def _form(lines: Sequence[str]) -> tuple[str, int]:
    """Delimiter and number of columns under which most of the later lines agree and most fields are plain."""
    later = lines[len(lines) // 2 :] or lines
    best, found = (0.0, 0.0), (" ", max(1, len(later[0].split())))
    for delimiter in (";", "\t", "|", ",", " "):
        rows = list(_split(later, delimiter))
        count, hits = Counter(map(len, rows)).most_common(1)[0]
        if count < 2 or hits < 0.6 * len(rows):
            continue
        fields = [text for row in rows if len(row) == count for text in row]
        plain = sum(is_missing(t) or is_number(t) or bool(_DATE.fullmatch(t)) for t in fields) / len(fields)
        if (round(plain, 2), hits / len(rows)) > best:
            best, found = (round(plain, 2), hits / len(rows)), (delimiter, count)
    return found


def _first_data(rows: list[list[str]], count: int) -> int:
    """Index of the first row that looks like those at the end: a number or date where they have one."""
    tail = [row for row in rows[-200:] if len(row) == count]
    usual = []
    for column in range(count):
        kinds = Counter(kind for kind in (_kind(row[column]) for row in tail) if kind != "missing")
        usual.append(kinds.most_common(1)[0][0] if kinds else "missing")
    plain = [column for column, kind in enumerate(usual) if kind in ("number", "date")]
    for index, row in enumerate(rows):
        if len(row) != count:
            continue
        kinds = [_kind(row[column]) for column in plain]
        if plain and "text" not in kinds and any(kind != "missing" for kind in kinds):
            return index
        if not plain and index:
            return index
    return min(1, len(rows) - 1)


def _kind(text: str) -> str:
    if is_missing(text):
        return "missing"
    return "number" if is_number(text) else "date" if _DATE.fullmatch(text) else "text"


def _is_unit_row(fields: list[str], count: int) -> bool:
    given = [text for text in fields if text]
    if len(fields) != count or not given:
        return False
    if all(_FORMAT.fullmatch(text) for text in given):
        return True
    return all(text[0] in "[(" or text in ("-", "mm", "m", "degC", "°C", "K", "%") or "/" in text for text in given)


def _fitted(row: list[str], count: int) -> list[str]:
    """A row of as many fields as there are columns; empty where it is no row of the table."""
    while len(row) > count and not row[-1]:
        row = row[:-1]
    if not any(row) or len(row) > count or len(row) < max(1, count // 2):
        return []
    return row + [""] * (count - len(row))


def _header(fields: list[str], count: int, data: list[list[str]]) -> list[str]:
    fields = [text.strip().strip('"').lstrip("\ufeff") for text in fields]
    while len(fields) > count and not fields[-1]:
        fields.pop()
    if len(fields) == count - 1 and fields:
        timed = data and re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", data[0][1])
        fields = [fields[0], "time", *fields[1:]] if timed else ["row", *fields]
    if len(fields) != count:
        fields = [""] * count
    seen: Counter[str] = Counter()
    names = []
    for number, name in enumerate(fields, 1):
        name = name or f"column {number}"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return names
