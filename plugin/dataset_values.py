"""Values of a dataset, read through GDAL without an engine: classes of a map, series of a variable at a place."""

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


def gauge_ids(path: str, sequence: str = "") -> tuple[str, ...]:
    """Names of the gauges of a dataset, of several sequences those of ``sequence`` (empty: the first); empty without
    gauges. DataError where the file cannot be read.
    """
    return _gauge_ids(path, sequence, _stamp(path))


@lru_cache(maxsize=32)
def _gauge_ids(path: str, sequence: str, stamp: float) -> tuple[str, ...]:
    group = _group(path, sequence, stamp)
    with quiet_gdal():
        source = gdal.OpenEx(path, gdal.OF_MULTIDIM_RASTER | gdal.OF_READONLY)
        root = source.GetRootGroup() if source is not None else None
        part = root.OpenGroup(group) if root is not None and group else root
        if part is None:
            raise DataError("The dataset cannot be read", got=path, remedy="Prepare it anew, or choose another file")
        names = part.OpenMDArray("gauge_id") if "gauge_id" in part.GetMDArrayNames() else None
        return tuple(str(name) for name in names.Read()) if names is not None else ()


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
