"""Dates that stand beside the maps: in a table, or in a small text, JSON or XML file of the same name."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ...contracts.dataset_job import SourceConfig
from ...contracts.dates import find_date, find_dates
from ...contracts.errors import DataError
from .band_dates import TIME_TAGS, Dates

_SIDE_SUFFIXES = (".json", ".xml", ".txt", ".aux.xml", ".metadata.json")
_LARGEST = 2**18
_IN_XML = re.compile(r"<([\w:]+)[^>]*>([^<]{4,60})</", re.ASCII)
_IN_METADATA = re.compile(r"<MDI key=\"([^\"]+)\"[^>]*>([^<]+)<")
_IN_LINES = re.compile(r"^\s*\"?([\w:. ]+?)\"?\s*[=:]\s*\"?([^\"\n]+)", re.MULTILINE)


def dates_by_table(config: SourceConfig, keys: Sequence[str], notes: list[str]) -> Dates:
    """Date of each key (a file's name relative to its folder, or a band's number) from ``config.date_table``; None for
    keys that it does not name. A file is found by its name with or without folder and suffix.

    Raises :class:`DataError` where the table cannot be read or names none of the keys.
    """
    what = f"'{config.variable}': the table of dates"
    rows = _rows(Path(config.date_table), what)
    table: dict[str, np.datetime64] = {}
    for line, cells in enumerate(rows, 1):
        found = _key_and_date(cells)
        if found is None:
            if line > 1:  # the first line may be a header
                notes.append(f"{what} has no date in line {line}; the line is left out.")
            continue
        table.setdefault(_plain(found[0]), found[1])
    dates = [next((table[one] for one in _forms(key) if one in table), None) for key in keys]
    if not any(date is not None for date in dates):
        raise DataError(
            f"{what} names none of the maps",
            expected=f"lines such as '{keys[0]},1995-02-01'",
            got=f"{len(table)} lines with a date" + (f", the first for '{next(iter(table))}'" if table else ""),
            remedy="Correct the table, or choose another",
        )
    return dates


def dates_beside(files: Sequence[Path]) -> Dates:
    """Dates from the side-cars of files: None where there is none or it tells no date."""
    return [_date_beside(path) for path in files]


def _date_beside(path: Path) -> Optional[np.datetime64]:
    for suffix in _SIDE_SUFFIXES:
        for side in (path.with_suffix(suffix), path.with_name(path.name + suffix)):
            if side != path and side.is_file() and side.stat().st_size <= _LARGEST:
                found = _date_in(side.read_text(encoding="utf-8", errors="replace"), suffix)
                if found is not None:
                    return found
    return None


def _date_in(text: str, suffix: str) -> Optional[np.datetime64]:
    pairs: list[tuple[str, str]] = []
    if suffix.endswith(".json"):
        try:
            pairs = list(_leaves(json.loads(text)))
        except ValueError:
            pairs = []
    elif suffix.endswith(".xml"):
        pairs = [*_IN_METADATA.findall(text), *_IN_XML.findall(text)]
    else:
        pairs = _IN_LINES.findall(text)
    named = {key.strip().lower().replace(" ", "_").rsplit(":", 1)[-1]: value for key, value in reversed(pairs)}
    for tag in TIME_TAGS:
        found = find_date(str(named.get(tag, "")))
        if found:
            return np.datetime64(found, "s")
    if suffix == ".txt" and len(text) < 200:
        found = find_date(text)
        return np.datetime64(found, "s") if found else None
    return None


def _leaves(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, key)
    elif isinstance(value, str):
        yield key, value


def _rows(path: Path, what: str) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{what} cannot be read",
            expected="a text file with a file name (or band number) and its date in each line",
            got=f"{path} ({error})",
            remedy="Choose the table again",
        ) from error
    separator = max(";\t,", key=text.count)
    if not text.count(separator):
        separator = " "
    rows = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
    return [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]


def _key_and_date(cells: list[str]) -> Optional[tuple[str, np.datetime64]]:
    """Of two cells or more, the file or band and the date; a date split over date and time cells is joined."""
    dated = [index for index, cell in enumerate(cells) if _whole_date(cell) is not None]
    if not dated or len(cells) < 2:
        return None
    last = dated[-1]
    others = [index for index in range(len(cells)) if index not in dated] or [0]
    key = next((index for index in others if index < last), others[0])
    if key == last:
        return None
    text = cells[last]
    if last + 1 < len(cells) and re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", cells[last + 1]):
        text = f"{text} {cells[last + 1]:0>5}"
    return cells[key], np.datetime64(_whole_date(text), "s")


def _whole_date(cell: str) -> Optional[Any]:
    """A date where the cell is nothing but a date (a file's name may hold one too)."""
    if not re.fullmatch(r"[\d\s:T.,/Zz+-]+|[\w ,.-]*[A-Za-z]{3}[\w ,.-]*\d{4}", cell) or re.fullmatch(r"\d{1,5}", cell):
        return None
    text = cell.replace("/", "-")
    found = find_date(text)
    if found is None:
        found = find_dates([text])[0][0] if re.match(r"\d{1,2}[-.]\d{1,2}[-.]\d{4}", text) else None
    return found


def _plain(key: str) -> str:
    return key.strip().strip("\"'").replace("\\", "/").lower()


def _forms(key: str) -> list[str]:
    """Ways in which a table may name a map: whole, without folder, without suffix."""
    whole = _plain(key)
    name = whole.rsplit("/", 1)[-1]
    return [whole, name, re.sub(r"\.[a-z]\w*$", "", whole), re.sub(r"\.[a-z]\w*$", "", name)]
