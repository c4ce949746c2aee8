"""Dates of the bands of one raster: descriptions, metadata, the members of a virtual raster, the file's name."""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np

from ...contracts.dates import find_date
from ...contracts.file_words import PARTS_OF_DAY, TIME_TAGS
from ...contracts.vrt import vrt_members
from .calendars import decode_times

_DIM_TAG = re.compile(r"^NETCDF_DIM_(.+)$")
_YEAR = re.compile(r"(?<!\d)(\d{4})(?!\d)")
_MONTH = re.compile(r"(?<!\d)(\d{4})[-_.]?(\d{2})(?![\d]|[-_.]\d)")

Dates = list[Optional[np.datetime64]]


def band_list(text: str) -> list[int]:
    """Numbers of "3", "1-12" or "1,3,5-7", in the order written."""
    numbers: list[int] = []
    for piece in text.split(","):
        first, _, last = piece.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def band_dates(handle: Any, bands: Sequence[int], stem: str, name: str) -> tuple[Dates, list[str]]:
    """Date of each band, or None, and notes on guesses. ``stem`` is the file's name without suffix."""
    descriptions = handle.descriptions
    found = [_date(descriptions[band - 1] or "") for band in bands]
    if any(date is None for date in found):
        tags = [handle.tags(band) for band in bands]
        found = [one or tagged_date(own) for one, own in zip(found, tags)]
        if not all(found):
            found = _merged(found, _dim_dates(tags, handle.tags(), name))
    if not any(found):
        found = _vrt_dates(handle, bands)
    if any(date is not None for date in found):
        return found, []
    if len(bands) == 1 and handle.count == 1:
        return _whole_file(handle, stem, name)
    return _within(stem, len(bands), name)


def tagged_date(tags: dict[str, str]) -> Optional[np.datetime64]:
    """The date that metadata tell under one of the usual names, or None."""
    small = {key.lower(): value for key, value in tags.items()}
    for key in TIME_TAGS:
        found = _date(small.get(key, ""))
        if found is not None:
            return found
    seconds = re.match(r"\s*(-?\d+)", small.get("grib_valid_time", ""))
    return np.datetime64(int(seconds.group(1)), "s") if seconds else None


def _whole_file(handle: Any, stem: str, name: str) -> tuple[Dates, list[str]]:
    tags = handle.tags()
    found = _date(stem)
    if found is None:
        found = tagged_date(tags)
    if found is not None:
        return [found], []
    written = re.sub(r"^(\d{4}):(\d{2}):(\d{2})", r"\1-\2-\3", tags.get("TIFFTAG_DATETIME", ""))
    found = _date(written)
    if found is None:
        return [None], []
    note = f"'{name}': dates are those of the tag TIFFTAG_DATETIME, which may be the day the file was written."
    return [found], [note]


def _dim_dates(tags: list[dict[str, str]], whole: dict[str, str], name: str) -> Dates:
    """Dates of bands that GDAL took from NetCDF: NETCDF_DIM_time of each, time#units of the file."""
    for key in tags[0]:
        match = _DIM_TAG.match(key)
        units = whole.get(f"{match.group(1)}#units", "") if match else ""
        if " since " not in units or not all(key in own for own in tags):
            continue
        values = np.array([float(own[key]) for own in tags])
        decoded = decode_times(values, units, whole.get(f"{match.group(1)}#calendar", ""), name)
        return [time if kept else None for time, kept in zip(decoded.times, decoded.kept)]
    return [None] * len(tags)


def _vrt_dates(handle: Any, bands: Sequence[int]) -> Dates:
    """Dates in the names of the files that the bands of a virtual raster come from."""
    text = "".join(handle.tags(ns="xml:VRT").values()) if handle.driver == "VRT" else ""
    if not text:
        return [None] * len(bands)
    names = vrt_members(text)
    return [_date(re.sub(r"\.\w+$", "", names.get(band, "").replace("\\", "/").rsplit("/", 1)[-1])) for band in bands]


def _within(stem: str, count: int, name: str) -> tuple[Dates, list[str]]:
    """Bands of a year, month or day that the file's name tells, where their number fits exactly."""
    begin, unit = _period(stem, count)
    if begin is None:
        return [None] * count, []
    end = begin + 1
    if unit == "M":
        months = begin.astype("datetime64[M]") + np.arange(count)
        times, step = months.astype("datetime64[s]"), "months"
    else:
        first, last = begin.astype("datetime64[s]"), end.astype("datetime64[s]")
        seconds = int((last - first).astype(np.int64)) // count
        times, step = first + np.arange(count) * np.timedelta64(seconds, "s"), f"steps of {seconds / 3600:g} h"
    note = f"'{name}': the {count} bands of a file are taken as the {step} of {begin}, which its name tells."
    return list(times), [note]


def _period(stem: str, count: int) -> tuple[Optional[np.datetime64], str]:
    day = re.search(r"(?<!\d)(\d{4})[-_.]?(\d{2})[-_.]?(\d{2})(?!\d)", stem)
    if day and _date(stem) is not None:
        return (_date(stem).astype("datetime64[D]"), "s") if count in PARTS_OF_DAY else (None, "")
    month = _MONTH.search(stem)
    if month and 1800 <= int(month.group(1)) < 2300 and 1 <= int(month.group(2)) <= 12:
        days = calendar.monthrange(int(month.group(1)), int(month.group(2)))[1]
        fits = count % days == 0 and count // days in (1, *PARTS_OF_DAY)
        return (np.datetime64(f"{month.group(1)}-{month.group(2)}", "M"), "s") if fits else (None, "")
    year = _YEAR.search(stem)
    if year and 1800 <= int(year.group(1)) < 2300:
        days = 366 if calendar.isleap(int(year.group(1))) else 365
        if count == 12:
            return np.datetime64(year.group(1), "Y"), "M"
        if count % days == 0 and count // days in (1, *PARTS_OF_DAY):
            return np.datetime64(year.group(1), "Y"), "s"
    return None, ""


def _merged(one: Dates, other: Dates) -> Dates:
    return [first if first is not None else second for first, second in zip(one, other)]


def _date(text: str) -> Optional[np.datetime64]:
    found = find_date(text)
    return None if found is None else np.datetime64(found, "s")
