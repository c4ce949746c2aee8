"""What the files hold, read by GDAL alone: the values that layers, charts and canvas are held against."""

from __future__ import annotations

import json
import os
import re
from typing import Any, Optional

import numpy as np
from osgeo import gdal


class Raster:
    """All bands of a raster as float64 (T, H, W) with NaN for missing, its dates by band, and its place."""

    def __init__(self, path: str, variable: str = "") -> None:
        uri = f'NETCDF:"{path}":{variable}' if variable else path
        source = gdal.Open(uri)
        if source is None:
            raise FileNotFoundError(uri)
        values = source.ReadAsArray().astype(np.float64)
        self.values = values if values.ndim == 3 else values[None]
        nodata = source.GetRasterBand(1).GetNoDataValue()
        if nodata is not None:
            self.values[self.values == nodata] = np.nan
        self.transform = source.GetGeoTransform()
        self.dates = _dates(source)

    def at(self, date: str) -> np.ndarray:
        """The map of an ISO day."""
        return self.values[self.dates.index(date)]

    def cell(self, row: int, column: int) -> tuple[float, float]:
        """Coordinates of a cell's middle."""
        west, width, _, north, _, height = self.transform
        return west + (column + 0.5) * width, north + (row + 0.5) * height

    def index(self, x: float, y: float) -> tuple[int, int]:
        """Row and column of the cell at a point."""
        west, width, _, north, _, height = self.transform
        return int((y - north) // height), int((x - west) // width)


def _dates(source: Any) -> list[str]:
    names = [source.GetRasterBand(i + 1).GetDescription()[:10] for i in range(source.RasterCount)]
    if all(re.fullmatch(r"\d{4}-\d{2}-\d{2}", name) for name in names):
        return names
    meta = source.GetMetadata()
    unit, text = meta.get("time#units", ""), meta.get("NETCDF_DIM_time_VALUES", "")
    first = _first_moment(unit)
    if not text or first is None:
        return []
    origin, seconds = first
    return [
        str((origin + np.timedelta64(round(float(part) * seconds), "s")).astype("datetime64[D]"))
        for part in text.strip("{}").split(",")
    ]


def _first_moment(unit: str) -> Optional[tuple[np.datetime64, float]]:
    found = re.match(r"(days|hours|minutes|seconds) since (\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}:\d{2}))?", unit)
    if not found:
        return None
    seconds = {"days": 86400.0, "hours": 3600.0, "minutes": 60.0, "seconds": 1.0}[found.group(1)]
    return np.datetime64(f"{found.group(2)}T{found.group(3) or '00:00:00'}"), seconds


def folder_map(folder: str, date: str) -> np.ndarray:
    """The map of a day from a folder of dated rasters."""
    names = [name for name in os.listdir(folder) if date in name and name.endswith(".tif")]
    return Raster(os.path.join(folder, names[0])).values[0]


def means_of_four(values: np.ndarray) -> np.ndarray:
    """Mean of each 2 x 2 cells of a map (2H, 2W)."""
    rows, columns = values.shape
    return values.reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3))


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Largest |a - b| where both have values; infinite where one has a value that the other lacks."""
    if not np.array_equal(np.isfinite(a), np.isfinite(b)) or not np.isfinite(a).any():
        return float("inf")
    return float(np.nanmax(np.abs(a - b)))


def scores(run: str) -> dict:
    """scores.json of a run."""
    with open(os.path.join(run, "results", "scores.json"), encoding="utf-8") as stream:
        return json.load(stream)
