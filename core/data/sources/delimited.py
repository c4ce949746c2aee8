"""Delimited text as hydrologists keep it: comma, semicolon, tab, bar or blanks between columns; comments and lines
before the header; a row of units below it; decimal commas; the many marks for a missing value.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from ...contracts.errors import DataError

MISSING = frozenset(
    ("", "na", "n/a", "n.a.", "#n/a", "#na", "#nv", "nan", "null", "none", "nil", "missing", "-", "--", "---", ".", "*",
     "inf", "+inf", "-inf", "infinity")
)  # fmt: skip
SAMPLE = 2000  # lines from which the form is found
_DELIMITERS = (";", "\t", "|", ",", " ")
_DELIMITER_NAMES = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas", " ": "blanks"}
_COMMENTS = ("#", "%", "!", "//", '"#')
_POINT_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eEdD][-+]?\d+)?")
_COMMA_NUMBER = re.compile(r"[-+]?(\d{1,3}(\.\d{3})+|\d+),\d+([eE][-+]?\d+)?")
_GROUPED = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?")
_DOTTED = re.compile(r"[-+]?\d{1,3}(\.\d{3})+")
_DATE_OR_TIME = re.compile(
    r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}([T ]+\d{1,2}.*)?|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"
    r"|\d{1,2}[- ]?[A-Za-z]{3,}[- ]?\d{4}.*"
)
_FORMAT = re.compile(r"\d+[sdnSDN]")  # second header row of the USGS


@dataclass
class TextTable:
    """A table in a text file, of which a sample was read.

    ``names`` are the columns, in order; ``units`` what a row below the header says of each, or ""; ``sample`` the first
    rows; ``notes`` the guesses, as sentences.
    """

    path: str
    names: list[str]
    units: list[str]
    sample: list[list[str]]
    delimiter: str
    decimal_comma: bool
    encoding: str
    skipped: int
    notes: list[str]

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line number and fields of each row, each with as many fields as there are columns. Raises :class:`DataError`
        for a row with another number of them.
        """
        count = len(self.names)
        for number, fields in _split(_lines(self.path, self.encoding), self.delimiter):
            if number <= self.skipped:
                continue
            if len(fields) != count:
                fields = self._mended(number, fields)
            if any(fields):
                yield number, fields

    def _mended(self, number: int, fields: list[str]) -> list[str]:
        """Blank fields at the end may be there or not; a file that was cut off is not told apart from other faults."""
        count = len(self.names)
        while len(fields) > count and not fields[-1]:
            fields = fields[:-1]
        if not any(fields):
            return [""] * count
        if len(fields) > count or self.delimiter == " " or len(fields) < max(2, count // 2):
            raise DataError(
                f"Line {number} of the table has {len(fields)} columns",
                expected=f"{count} columns between {_DELIMITER_NAMES[self.delimiter]}, as in the header",
                got=f"{self.delimiter.join(fields)[:80]!r} in {self.path}",
                remedy="Correct this line; the file may have been cut off",
            )
        return fields + [""] * (count - len(fields))


def open_text(path: str) -> TextTable:
    """Find out the form of a text table. Raises :class:`DataError` where the file cannot be read or is no table."""
    encoding = _encoding(path)
    raw: list[tuple[int, str]] = []
    comments: list[tuple[int, str]] = []
    for number, line in _lines(path, encoding):
        (comments if line.lstrip().startswith(_COMMENTS) else raw).append((number, line))
        if len(raw) > SAMPLE:
            break
    raw = [(number, line) for number, line in raw if line.strip()]
    if not raw:
        raise DataError("The table is empty", got=path, remedy="Choose another file")
    if any("\0" in line for _, line in raw[:50]):
        raise DataError("The file is not a text table", got=path, remedy="Save it as CSV first")
    delimiter, count = _form([line for _, line in raw])
    rows = [(number, fields) for number, fields in _split(iter(raw), delimiter)]
    return _build(path, encoding, delimiter, count, rows, comments)


def is_missing(text: str) -> bool:
    """Whether a field means that there is no value."""
    return text.strip().lower() in MISSING


def is_number(text: str) -> bool:
    """Whether a field is a number, with a point or a comma."""
    return bool(_POINT_NUMBER.fullmatch(text) or _COMMA_NUMBER.fullmatch(text) or _GROUPED.fullmatch(text))


def to_numbers(texts: Sequence[str], decimal_comma: bool) -> tuple[np.ndarray, list[int]]:
    """Values (n,) float64 of text fields, NaN where missing, and the indices of those that are no number (NaN too)."""
    try:
        if decimal_comma:
            return np.array([float(_plain(text)) if text else np.nan for text in texts], dtype=np.float64), []
        return np.array([float(text) if text else np.nan for text in texts], dtype=np.float64), []
    except ValueError:
        pass
    values = np.full(len(texts), np.nan)
    bad = []
    for index, text in enumerate(texts):
        text = text.strip()
        if is_missing(text):
            continue
        if decimal_comma:
            text = _plain(text)
        elif _GROUPED.fullmatch(text):
            text = text.replace(",", "")
        if _POINT_NUMBER.fullmatch(text):
            values[index] = float(text.lower().replace("d", "e"))
        else:
            bad.append(index)
    return values, bad


def _plain(text: str) -> str:
    if "," in text:
        return text.replace(".", "").replace(",", ".")
    return text.replace(".", "") if _DOTTED.fullmatch(text) else text


def _encoding(path: str) -> str:
    try:
        with open(path, "rb") as handle:
            head = handle.read(2**16)
    except OSError as error:
        raise _unreadable(path, str(error)) from error
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        head[:-4].decode("utf-8") if len(head) == 2**16 else head.decode("utf-8")
    except UnicodeDecodeError as error:
        return "latin-1" if error.start < len(head) - 8 or len(head) < 2**16 else "utf-8-sig"
    return "utf-8-sig"


def _lines(path: str, encoding: str) -> Iterator[tuple[int, str]]:
    """Number and text of each line; in the midst of the file an odd byte becomes a mark, since it is in a comment or
    name.
    """
    try:
        with open(path, encoding=encoding, errors="replace", newline=None) as handle:
            for number, line in enumerate(handle, 1):
                yield number, line.rstrip("\r\n")
    except (OSError, UnicodeError) as error:
        raise _unreadable(path, str(error)) from error


def _unreadable(path: str, reason: str) -> DataError:
    return DataError("The table cannot be read", got=f"{path} ({reason})", remedy="Choose the file again")


def _split(lines: Iterable[tuple[int, str]], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields, without comments and blank lines."""
    place = [0]

    def kept() -> Iterator[str]:
        for number, line in lines:
            if line.strip() and not line.lstrip().startswith(_COMMENTS):
                place[0] = number
                yield line

    if delimiter == " ":
        for line in kept():
            yield place[0], line.split()
        return
    try:
        for fields in csv.reader(kept(), delimiter=delimiter, skipinitialspace=True):
            yield place[0], [text.strip() for text in fields]
    except csv.Error as error:
        raise DataError(
            f"The table cannot be read near line {place[0]}", got=str(error), remedy="Check the quotes in this line"
        ) from error


def _form(lines: list[str]) -> tuple[str, int]:
    """Delimiter and number of columns: those under which most lines agree and most fields are numbers or dates. What
    stands above the values does not count where the later lines agree.
    """
    later = lines[-min(200, (len(lines) + 1) // 2) :]
    return _best_form(later) or _best_form(lines[-200:]) or (" ", 1)


def _best_form(lines: list[str]) -> Optional[tuple[str, int]]:
    best, found = (0.0, 0.0), None
    for delimiter in _DELIMITERS:
        rows = [fields for _, fields in _split(enumerate(lines), delimiter)]
        count, hits = Counter(len(fields) for fields in rows).most_common(1)[0]
        if count < 2 or hits < 0.6 * len(rows):
            continue
        fields = [text for row in rows if len(row) == count for text in row]
        plain = sum(_is_plain(text) for text in fields) / max(1, len(fields))
        if (round(plain, 2), hits / len(rows)) > best:
            best, found = (round(plain, 2), hits / len(rows)), (delimiter, count)
    return found


def _is_plain(text: str) -> bool:
    return is_missing(text) or is_number(text) or bool(_DATE_OR_TIME.fullmatch(text))


def _build(
    path: str,
    encoding: str,
    delimiter: str,
    count: int,
    rows: list[tuple[int, list[str]]],
    comments: list[tuple[int, str]],
) -> TextTable:
    notes = (
        []
        if delimiter == "," or count == 1
        else [f"The columns are taken as set apart by {_DELIMITER_NAMES[delimiter]}."]
    )
    first = _first_data(rows, count)
    data = [fields for _, fields in rows[first:] if len(fields) == count]
    head = [fields for _, fields in rows[:first]]
    units = [""] * count
    if len(head) > 1 and _is_unit_row(head[-1], count):
        units = ["" if _FORMAT.fullmatch(text) else text for text in head.pop()]
    names = _header(head[-1] if head else [], count, data)
    if not names:
        names = _commented(comments, rows[first][0], delimiter, count) or _pcraster_names(head, count)
    if not names:
        names = [f"column {number + 1}" for number in range(count)]
        notes.append("The table has no header; its columns are called column 1, column 2 and so on.")
    comma = _decimal_comma(data, delimiter, path)
    if comma:
        notes.append("Commas are taken as decimal signs.")
    unique = _unique(names, notes)
    return TextTable(path, unique, units, data, delimiter, comma, encoding, rows[first][0] - 1, notes)


def _first_data(rows: list[tuple[int, list[str]]], count: int) -> int:
    """Index of the first row that looks like those at the end: a number or date where they have one."""
    tail = [fields for _, fields in rows[-200:] if len(fields) == count]
    kinds = [Counter(_kind(row[column]) for row in tail).most_common(2) for column in range(count)]
    usual = [next((kind for kind, _ in common if kind != "missing"), "missing") for common in kinds]
    plain = [column for column, kind in enumerate(usual) if kind in ("number", "date")]
    for index, (_, fields) in enumerate(rows):
        if len(fields) != count:
            continue
        odd = [column for column in plain if _kind(fields[column]) == "text"]
        strange = any(usual[column] == "date" for column in odd) or plain and odd and odd[0] == plain[0]
        if not strange and len(odd) * 2 <= len(plain) and (plain or index or len(rows) == 1):
            return index
    return 0


def _kind(text: str) -> str:
    if is_missing(text):
        return "missing"
    return "number" if is_number(text) else "date" if _DATE_OR_TIME.fullmatch(text) else "text"


def _is_unit_row(fields: list[str], count: int) -> bool:
    """A row of units or of the USGS's formats between header and values."""
    if len(fields) != count:
        return False
    given = [text for text in fields if text]
    if not given:
        return True
    if all(_FORMAT.fullmatch(text) for text in given):
        return True
    return all(text[0] in "[(" or text in ("-", "mm", "m", "degC", "°C", "K", "%") or "/" in text for text in given)


def _header(fields: list[str], count: int, data: list[list[str]]) -> list[str]:
    """Names of the columns from the row above the values. One name may lack: that of the time beside a date, or of the
    row's number in front.
    """
    fields = list(fields)
    while len(fields) > count and not fields[-1]:
        fields.pop()
    if len(fields) == count and count > 1 or len(fields) == 1 == count:
        return fields
    if len(fields) == count - 1 and fields and count > 1:
        if data and re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", data[0][1]):
            return [fields[0], "time", *fields[1:]]
        return ["row", *fields] if len(fields) > 1 else []
    return []


def _commented(comments: list[tuple[int, str]], first: int, delimiter: str, count: int) -> list[str]:
    """Names in the comment right above the values."""
    above = [line for number, line in comments if number < first]
    if not above:
        return []
    _, fields = next(_split([(1, above[-1].lstrip('#%!/" '))], delimiter), (0, []))
    return fields if len(fields) == count else []


def _pcraster_names(head: list[list[str]], count: int) -> list[str]:
    """Names in the head of a PCRaster time series: a title, the number of columns, one name a line."""
    lines = [" ".join(fields) for fields in head]
    for index, line in enumerate(lines):
        if line == str(count) and len(lines) - index - 1 == count:
            return lines[index + 1 :]
    return []


def _decimal_comma(data: list[list[str]], delimiter: str, path: str) -> bool:
    fields = [text for row in data for text in row if "," in text]
    commas = [text for text in fields if _COMMA_NUMBER.fullmatch(text)]
    if not commas or len(commas) < 0.5 * len([text for text in fields if is_number(text)]):
        return False
    if delimiter != "," or not all(_GROUPED.fullmatch(text) for text in commas):
        return True
    raise DataError(
        "The table has numbers whose comma may stand for decimals or for thousands",
        got=f"{commas[0]!r} in {path}",
        remedy="Save the table with a point as decimal sign, or with semicolons between its columns",
    )


def _unique(names: Sequence[str], notes: list[str]) -> list[str]:
    seen: Counter[str] = Counter()
    out = []
    for number, name in enumerate(names, 1):
        name = name.strip().strip('"').lstrip("\ufeff") or f"column {number}"
        seen[name] += 1
        out.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    doubled = [name for name, count in seen.items() if count > 1]
    if doubled:
        notes.append(f"Several columns are called '{doubled[0]}'; the second is '{doubled[0]}_2' here, and so on.")
    return out
