"""Values of a dataset, read through GDAL without an engine: classes of a map, series of a variable at a place, whether
a place lies in the basin, names and places of gauges.
"""

from __future__ import annotations

import os
from datetime import datetime
from functools import lru_cache
from typing import Optional

import numpy as np
from osgeo import gdal

from ..core.contracts import DataError
from ..core.contracts.dates import parse_date
from .dataset_layers import dates_of, group_of
from .datasets import read_summary
from .gdal_errors import quiet_gdal
from .raster_probe import netcdf_uri, open_raster

_MASK = "basin_mask"


def class_codes(path: str, variable: str) -> tuple[float, ...]:
    """The different values of a static map inside the basin, of several sequences in the first; DataError where it
    cannot be read.
    """
    return _class_codes(path, variable, _stamp(path))


@lru_cache(maxsize=256)
def _class_codes(path: str, variable: str, stamp: float) -> tuple[float, ...]:
    values = _band(open_raster(_uri(path, variable, "", stamp)), 1)
    try:
        inside = _band(open_raster(_uri(path, _MASK, "", stamp)), 1)
    except DataError:
        inside = np.ones_like(values)
    return tuple(float(code) for code in np.unique(values[np.isfinite(values) & (inside > 0)]))


@lru_cache(maxsize=256)
def _group(path: str, sequence: str, _stamp: float) -> str:
    try:
        return group_of(read_summary(path), sequence)
    except DataError:
        if sequence:
            raise
        return ""  # a plain NetCDF file


def _uri(path: str, variable: str, sequence: str, stamp: float) -> str:
    """GDAL's name of a variable, in the group of its sequence."""
    group = _group(path, sequence, stamp)
    return netcdf_uri(path, f"/{group}/{variable}" if group else variable)


@lru_cache(maxsize=32)
def _dates(path: str, sequence: str, stamp: float) -> tuple[datetime, ...]:
    return tuple(parse_date(date) for date in dates_of(path, _group(path, sequence, stamp)))


@lru_cache(maxsize=32)
def _series(uri: str, column: int, row: int, _stamp: float) -> tuple[Optional[float], ...]:
    source = open_raster(uri)
    with quiet_gdal():
        block = source.ReadAsArray(column, row, 1, 1)
    values = np.asarray(block, dtype=float).reshape(-1)
    nodata = source.GetRasterBand(1).GetNoDataValue()
    return tuple(None if not np.isfinite(v) or (nodata is not None and v == nodata) else float(v) for v in values)


def series_at(
    path: str, variable: str, x: float, y: float, sequence: str = ""
) -> tuple[list[datetime], list[Optional[float]]]:
    """Dates and one value a step at a place in the dataset's CRS, None where missing; both empty outside the grid.

    ``sequence`` (empty: the first) is the one of a dataset of several. DataError where the file or the variable cannot
    be read.
    """
    stamp = _stamp(path)
    uri = _uri(path, variable, sequence, stamp)
    source = open_raster(uri)
    inverse = gdal.InvGeoTransform(source.GetGeoTransform())
    column, row = (int(np.floor(part)) for part in gdal.ApplyGeoTransform(inverse, x, y))
    dates, values = _dates(path, sequence, stamp), ()
    if 0 <= column < source.RasterXSize and 0 <= row < source.RasterYSize:
        values = _series(uri, column, row, stamp)
    return (list(dates), list(values)) if len(dates) == len(values) else ([], [])


def inside_basin(path: str, x: float, y: float, sequence: str = "") -> Optional[bool]:
    """Whether the cell at a place in the dataset's CRS belongs to the basin; None where the mask cannot be read, or the
    place lies outside the grid.
    """
    stamp = _stamp(path)
    try:
        source = open_raster(_uri(path, _MASK, sequence, stamp))
        inverse = gdal.InvGeoTransform(source.GetGeoTransform())
        column, row = (int(np.floor(part)) for part in gdal.ApplyGeoTransform(inverse, x, y))
        if not (0 <= column < source.RasterXSize and 0 <= row < source.RasterYSize):
            return None
        value = _series(_uri(path, _MASK, sequence, stamp), column, row, stamp)[0]
    except DataError:
        return None
    return value is not None and value > 0


def basin_mask(path: str, sequence: str = "") -> Optional[np.ndarray]:
    """bool (rows, columns), row 0 in the north: the cells of the basin; None where the mask cannot be read."""
    return _basin_mask(path, sequence, _stamp(path))


@lru_cache(maxsize=8)
def _basin_mask(path: str, sequence: str, stamp: float) -> Optional[np.ndarray]:
    try:
        source = open_raster(_uri(path, _MASK, sequence, stamp))
    except DataError:
        return None
    inside = _band(source, 1) > 0
    return inside if source.GetGeoTransform()[5] < 0 else inside[::-1]


def gauge_places(path: str, sequence: str = "") -> tuple[tuple[float, float], ...]:
    """x and y of each gauge in the dataset's CRS, in the order of :func:`gauge_ids`, NaN where it is unknown; empty
    where the dataset tells no places. DataError where the file cannot be read.
    """
    return _gauge_places(path, sequence, _stamp(path))


def gauge_ids(path: str, sequence: str = "") -> tuple[str, ...]:
    """Names of the gauges of a dataset, of several sequences those of ``sequence`` (empty: the first); empty without
    gauges. DataError where the file cannot be read.
    """
    return _gauge_ids(path, sequence, _stamp(path))


@lru_cache(maxsize=32)
def _gauge_ids(path: str, sequence: str, stamp: float) -> tuple[str, ...]:
    with quiet_gdal():
        found = _arrays(path, _group(path, sequence, stamp), ("gauge_id",))
        return tuple(str(name) for name in found[0].Read()) if found else ()


@lru_cache(maxsize=32)
def _gauge_places(path: str, sequence: str, stamp: float) -> tuple[tuple[float, float], ...]:
    with quiet_gdal():
        found = _arrays(path, _group(path, sequence, stamp), ("gauge_x", "gauge_y"))
        values = [np.asarray(array.ReadAsArray(), dtype=float).reshape(-1) for array in found]
    return tuple((float(x), float(y)) for x, y in zip(*values)) if values else ()


def _arrays(path: str, group: str, names: tuple[str, ...]) -> list:
    """Arrays of a file; empty where one is missing."""
    source = gdal.OpenEx(path, gdal.OF_MULTIDIM_RASTER | gdal.OF_READONLY)
    root = source.GetRootGroup() if source is not None else None
    part = root.OpenGroup(group) if root is not None and group else root
    if part is None:
        raise DataError("The dataset cannot be read", got=path, remedy="Prepare it anew, or choose another file")
    known = part.GetMDArrayNames()
    return [part.OpenMDArray(name) for name in names] if all(name in known for name in names) else []


def _band(source: gdal.Dataset, number: int) -> np.ndarray:
    band = source.GetRasterBand(number)
    with quiet_gdal():
        values = band.ReadAsArray().astype(float)
    if band.GetNoDataValue() is not None:
        values[values == band.GetNoDataValue()] = np.nan
    return values


def _stamp(path: str) -> float:
    try:
        return os.path.getmtime(path)
    except OSError:
        return -1.0
