"""Dates of the bands of one raster: descriptions, metadata, the members of a virtual raster, the file's name."""

from __future__ import annotations

import calendar as calendars
import json
import os
import re
from datetime import datetime, timedelta, timezone
from typing import Any, Optional

from ..core.contracts.dates import find_date
from ..core.contracts.file_words import PARTS_OF_DAY, TIME_TAGS
from ..core.contracts.vrt import vrt_members
from .cf_time import Dates, decode_times, is_calendar

_EPOCH_TAGS = {"system:time_start": 1000.0, "grib_valid_time": 1.0}
_DAY_NAME = re.compile(r"(?<!\d)(\d{4})[-_.]?(\d{2})[-_.]?(\d{2})(?!\d)")
_MONTH_NAME = re.compile(r"(?<!\d)(\d{4})[-_.]?(\d{2})(?![\d]|[-_.]\d)")
_YEAR_NAME = re.compile(r"(?<!\d)(\d{4})(?!\d)")
_SIDE_SUFFIXES = (".json", ".xml", ".txt", ".aux.xml", ".metadata.json")
_LARGEST_SIDE = 2**18
_IN_METADATA = re.compile(r"<MDI key=\"([^\"]+)\"[^>]*>([^<]+)<")
_IN_XML = re.compile(r"<([\w:]+)[^>]*>([^<]{4,60})</", re.ASCII)
_IN_LINES = re.compile(r"^\s*\"?([\w:. ]+?)\"?\s*[=:]\s*\"?([^\"\n]+)", re.MULTILINE)


def band_dates(source: Any, meta: dict[str, str], stem: str) -> tuple[Optional[Dates], str, list[str], str]:
    """Dates of all bands of an open raster (None where they have none), their calendar, sentences of trouble, and a
    sentence on a guess (or "").
    """
    extra = [name for name in meta.get("NETCDF_DIM_EXTRA", "").strip("{}").split(",") if name]
    if len(extra) > 1:
        return None, "standard", [f"It has further dimensions ({', '.join(extra)}). Take one level of it first."], ""
    if extra:
        return _of_dimension(source, meta, extra[0])
    count = source.RasterCount
    if count < 2:
        return None, "standard", [], ""
    bands = [source.GetRasterBand(number + 1) for number in range(count)]
    dates: Dates = [find_date(band.GetDescription()) for band in bands]
    if not all(dates):
        dates = [known or tagged_date(band.GetMetadata()) for known, band in zip(dates, bands)]
    if not any(dates):
        dates = _of_members(source, count)
    if all(dates):
        return dates, "standard", [], ""
    if any(dates):
        undated = [number + 1 for number, date in enumerate(dates) if date is None]
        words = f"{len(undated)} of its {count} bands have no date, the first is band {undated[0]}. Describe them."
        return None, "standard", [words], ""
    within, guess = _within(stem, count)
    return within, "standard", [], guess


def tagged_date(tags: dict[str, str]) -> Optional[datetime]:
    """The date that metadata tell under one of the usual names, or None."""
    small = {key.strip().lower().replace(" ", "_").rsplit("}", 1)[-1]: value for key, value in tags.items()}
    for key in TIME_TAGS:
        found = find_date(small.get(key, ""))
        if found is not None:
            return found
    for key, per_second in _EPOCH_TAGS.items():
        number = re.match(r"\s*(-?\d+)", small.get(key, ""))
        if number:
            return datetime.fromtimestamp(int(int(number.group(1)) / per_second), timezone.utc).replace(tzinfo=None)
    return None


def file_date(source: Any) -> Optional[datetime]:
    """The date of an open raster of one map: in its metadata or the description of its band."""
    band = source.GetRasterBand(1)
    return tagged_date(source.GetMetadata()) or find_date(band.GetDescription()) or tagged_date(band.GetMetadata())


def date_beside(path: str, names: Optional[set[str]] = None) -> Optional[datetime]:
    """The date in a small text, JSON or XML file of the same name, or None. ``names`` are those in the folder."""
    folder, base = os.path.split(path)
    for suffix in _SIDE_SUFFIXES:
        for side in dict.fromkeys((os.path.splitext(base)[0] + suffix, base + suffix)):
            if side == base or (names is not None and side not in names):
                continue
            found = _date_in(os.path.join(folder, side), suffix)
            if found is not None:
                return found
    return None


def _date_in(path: str, suffix: str) -> Optional[datetime]:
    try:
        if os.path.getsize(path) > _LARGEST_SIDE:
            return None
        with open(path, encoding="utf-8", errors="replace") as handle:
            text = handle.read()
    except OSError:
        return None
    if suffix.endswith(".json"):
        try:
            pairs = list(_leaves(json.loads(text)))
        except ValueError:
            pairs = []
    elif suffix.endswith(".xml"):
        pairs = [*_IN_METADATA.findall(text), *_IN_XML.findall(text)]
    else:
        pairs = _IN_LINES.findall(text)
    found = tagged_date({key.rsplit(":", 1)[-1]: value for key, value in reversed(pairs)})
    return found or (find_date(text) if suffix == ".txt" and len(text) < 200 else None)


def _leaves(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, key)
    elif isinstance(value, str):
        yield key, value


def _of_dimension(source: Any, meta: dict[str, str], name: str) -> tuple[Optional[Dates], str, list[str], str]:
    units, calendar = _axis_text(meta, f"{name}#units"), _axis_text(meta, f"{name}#calendar") or "standard"
    dates = decode_times(_numbers(source, meta, name), units, calendar)
    if dates is None or len(dates) != source.RasterCount:
        return None, calendar, [time_trouble(units, calendar)], ""
    return dates, calendar, [], ""


def _axis_text(meta: dict[str, str], key: str) -> str:
    """An attribute of a coordinate; that of a variable in a group has the group's name before it."""
    return meta.get(key) or next((text for full, text in meta.items() if full.endswith(f"/{key}")), "")


def time_trouble(units: str, calendar: str) -> str:
    """Why a time axis has no dates."""
    if not is_calendar(calendar):
        return f"Its dates follow the calendar '{calendar}', which nobody knows. Correct the calendar in the file."
    return f"Its time axis is not understood: unit '{units}'. Give the date of the first map and the step."


def _numbers(source: Any, meta: dict[str, str], name: str) -> list[float]:
    text = meta.get(f"NETCDF_DIM_{name}_VALUES", "").strip("{}")
    try:
        if text:
            return [float(part) for part in text.split(",")]
        key = f"NETCDF_DIM_{name}"
        return [float(source.GetRasterBand(i + 1).GetMetadata().get(key, "nan")) for i in range(source.RasterCount)]
    except ValueError:
        return []


def _of_members(source: Any, count: int) -> Dates:
    """Dates in the names of the files that the bands of a virtual raster come from."""
    texts = source.GetMetadata("xml:VRT") if source.GetDriver().ShortName == "VRT" else None
    if not texts:
        return [None] * count
    names = vrt_members(texts[0])
    members = [os.path.basename(names.get(number + 1, "").replace("\\", "/")) for number in range(count)]
    return [find_date(os.path.splitext(member)[0]) for member in members]


def _within(stem: str, count: int) -> tuple[Optional[Dates], str]:
    """Bands of a year, month or day that the file's name tells, where their number fits exactly."""
    begin, end, monthly = _period(stem, count)
    if begin is None:
        return None, ""
    if monthly:
        dates: Dates = [datetime(begin.year, month + 1, 1) for month in range(12)]
        return dates, f"The 12 bands are taken as the months of {begin.year}, which its name tells."
    seconds = round((end - begin).total_seconds() / count)
    dates = [begin + timedelta(seconds=seconds * number) for number in range(count)]
    words = f"The {count} bands are taken as steps of {seconds / 3600:g} h from {begin:%Y-%m-%d} on, as its name tells."
    return dates, words


def _period(stem: str, count: int) -> tuple[Optional[datetime], Optional[datetime], bool]:
    none = None, None, False
    day = _DAY_NAME.search(stem)
    known = find_date(stem) if day else None
    if known is not None:
        begin = datetime(known.year, known.month, known.day)
        return (begin, begin + timedelta(days=1), False) if count in PARTS_OF_DAY else none
    month = _MONTH_NAME.search(stem)
    if month and 1800 <= int(month.group(1)) < 2300 and 1 <= int(month.group(2)) <= 12:
        begin = datetime(int(month.group(1)), int(month.group(2)), 1)
        days = calendars.monthrange(begin.year, begin.month)[1]
        fits = count % days == 0 and count // days in (1, *PARTS_OF_DAY)
        return (begin, begin + timedelta(days=days), False) if fits else none
    year = _YEAR_NAME.search(stem)
    if year and 1800 <= int(year.group(1)) < 2300:
        begin = datetime(int(year.group(1)), 1, 1)
        days = 366 if calendars.isleap(begin.year) else 365
        if count == 12:
            return begin, None, True
        if count % days == 0 and count // days in (1, *PARTS_OF_DAY):
            return begin, begin + timedelta(days=days), False
    return none
