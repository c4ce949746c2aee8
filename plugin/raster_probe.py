"""What GDAL knows of one raster: grid, dates of its bands, unit, and a sample of its values. No engine."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Optional

import numpy as np
from osgeo import gdal

from ..core.contracts import DataError
from ..core.contracts.dates import find_date
from .cf_time import decode_times, is_calendar
from .gdal_errors import quiet_gdal

SAMPLED_BANDS = 8
_SAMPLED_SIDE = 256
_HUGE = 1e19  # 1e20 and above stand for missing in many files
_UNDECLARED = (-9999.0, -999.0, -99999.0, -9999999.0, -1.2345)


@dataclass(frozen=True)
class Probe:
    """One raster as it is on disk. ``dates`` is None where the bands have none; ``transform`` is GDAL's, None without
    georeference.
    """

    uri: str
    name: str
    label: str
    standard_name: str
    units: str
    bands: int
    size: tuple[int, int]
    crs: str
    transform: Optional[tuple[float, ...]]
    dates: Optional[list[datetime]]
    calendar: str = "standard"
    sentences: list[str] = field(default_factory=list)


@dataclass
class Sample:
    """Statistics of some bands: smallest and largest valid value (NaN: none), counts, and suspicious values found."""

    minimum: float = float("nan")
    maximum: float = float("nan")
    cells: int = 0
    valid: int = 0
    suspicious: tuple[float, ...] = ()

    @property
    def missing_share(self) -> float:
        """Share of the sampled cells without a value."""
        return 1.0 - self.valid / self.cells if self.cells else 1.0

    def merge(self, other: Sample) -> Sample:
        """Both together."""
        low, high = (
            _least(a, b, pick)
            for a, b, pick in ((self.minimum, other.minimum, min), (self.maximum, other.maximum, max))
        )
        suspicious = tuple(sorted(set(self.suspicious) | set(other.suspicious)))
        return Sample(low, high, self.cells + other.cells, self.valid + other.valid, suspicious)


def netcdf_uri(path: str, variable: str) -> str:
    """GDAL's name of a NetCDF variable. DataError for a path with a quotation mark, which GDAL cannot express."""
    if '"' in path:
        raise DataError(
            "The path holds a quotation mark, which GDAL cannot open", got=path, remedy="Rename the file or its folder"
        )
    return f'NETCDF:"{path}":{variable}'


def split_uri(uri: str) -> tuple[str, str]:
    """(path, variable) of GDAL's name of a raster; the variable is empty for a plain file."""
    match = re.match(r'^[A-Za-z0-9_]+:"(.+)":(?://)?(.+)$', uri)
    return (match.group(1), match.group(2)) if match else (uri, "")


def open_raster(uri: str) -> Any:
    """GDAL dataset opened for reading. DataError with GDAL's own words where that fails."""
    with quiet_gdal():
        source = gdal.OpenEx(uri, gdal.OF_RASTER | gdal.OF_READONLY)
        reason = gdal.GetLastErrorMsg()
    if source is None:
        there = os.path.exists(split_uri(uri)[0])
        raise DataError(
            "The file cannot be opened as a raster" if there else "The file does not exist",
            got=f"{uri}" + (f" ({reason})" if there and reason else ""),
            remedy="Choose a raster that QGIS can open: GeoTIFF, NetCDF, or a folder of dated rasters",
        )
    return source


def variables_of(path: str) -> list[str]:
    """GDAL names of the rasters in a file: its subdatasets of two and more dimensions, or the file itself."""
    source = open_raster(path)
    parts = [name for name, _ in source.GetSubDatasets()]
    if source.GetDriver().ShortName == "netCDF" and not parts and source.RasterCount:
        variable = source.GetRasterBand(1).GetMetadata().get("NETCDF_VARNAME", "")
        return [netcdf_uri(path, variable)] if variable else [path]
    return parts if parts and not source.RasterCount else [path]


def probe(uri: str) -> Probe:
    """Look at one raster, without its values."""
    source = open_raster(uri)
    with quiet_gdal():
        return _probe(uri, source)


def sample(uri: str, bands: Optional[list[int]] = None) -> Sample:
    """Statistics of up to :data:`SAMPLED_BANDS` bands spread over the raster, read at reduced size."""
    source = open_raster(uri)
    chosen = bands or spread(source.RasterCount, SAMPLED_BANDS, first=1)
    found = Sample()
    with quiet_gdal():
        for number in chosen:
            found = found.merge(_sample_band(source.GetRasterBand(number)))
    return found


def spread(count: int, wanted: int, first: int = 0) -> list[int]:
    """Up to ``wanted`` indices spread over ``count``, first and last among them."""
    return sorted({first + int(round(i)) for i in np.linspace(0, count - 1, min(count, wanted))}) if count else []


def _probe(uri: str, source: Any) -> Probe:
    band = source.GetRasterBand(1)
    if band is None:
        raise DataError("The raster has no band", got=uri, remedy="Choose another file or variable")
    meta, band_meta = source.GetMetadata(), band.GetMetadata()
    variable = band_meta.get("NETCDF_VARNAME", "") or split_uri(uri)[1]
    dates, calendar, sentences = _band_dates(source, meta)
    crs, more = _crs(source, meta)
    transform = source.GetGeoTransform(can_return_null=True)
    return Probe(
        uri=uri,
        name=variable or os.path.splitext(os.path.basename(split_uri(uri)[0]))[0],
        label=band_meta.get("long_name", "") or meta.get("label", ""),
        standard_name=band_meta.get("standard_name", ""),
        units=(band.GetUnitType() or band_meta.get("units", "") or meta.get("units", "")).strip(),
        bands=source.RasterCount,
        size=(source.RasterXSize, source.RasterYSize),
        crs=crs,
        transform=tuple(transform) if transform else None,
        dates=dates,
        calendar=calendar,
        sentences=sentences + more,
    )


def _crs(source: Any, meta: dict[str, str]) -> tuple[str, list[str]]:
    reference = source.GetSpatialRef()
    if reference is not None:
        code = reference.GetAuthorityCode(None)
        return (f"{reference.GetAuthorityName(None)}:{code}" if code else reference.ExportToWkt()), []
    if source.GetMetadata("GEOLOCATION"):
        return "", ["Its cells have two-dimensional coordinates. Put it on a regular grid first."]
    degrees = [key for key, value in meta.items() if key.endswith("#units") and value.startswith("degree")]
    return ("EPSG:4326", []) if len(degrees) >= 2 else ("", [])


def _band_dates(source: Any, meta: dict[str, str]) -> tuple[Optional[list[datetime]], str, list[str]]:
    """(dates of the bands or None, calendar, sentences of trouble)."""
    extra = [name for name in meta.get("NETCDF_DIM_EXTRA", "").strip("{}").split(",") if name]
    if len(extra) > 1:
        return None, "standard", [f"It has further dimensions ({', '.join(extra)}). Take one level of it first."]
    if extra:
        name = extra[0]
        units, calendar = meta.get(f"{name}#units", ""), meta.get(f"{name}#calendar", "standard")
        dates = decode_times(_numbers(source, meta, name), units, calendar)
        if dates is None or len(dates) != source.RasterCount:
            return None, calendar, [_time_trouble(units, calendar)]
        return dates, calendar, []
    if source.RasterCount < 2:
        return None, "standard", []
    dates = [_band_date(source.GetRasterBand(number + 1)) for number in range(source.RasterCount)]
    return (dates if all(dates) else None), "standard", []


def _time_trouble(units: str, calendar: str) -> str:
    if is_calendar(calendar):
        return f"Its time axis is not understood: unit '{units}'. Write it as 'days since 1990-01-01' or the like."
    return f"Its dates follow the calendar '{calendar}'. Convert them to the standard calendar first."


def _numbers(source: Any, meta: dict[str, str], name: str) -> list[float]:
    text = meta.get(f"NETCDF_DIM_{name}_VALUES", "").strip("{}")
    try:
        if text:
            return [float(part) for part in text.split(",")]
        key = f"NETCDF_DIM_{name}"
        return [float(source.GetRasterBand(i + 1).GetMetadata().get(key, "nan")) for i in range(source.RasterCount)]
    except ValueError:
        return []


def _band_date(band: Any) -> Optional[datetime]:
    meta = band.GetMetadata()
    texts = [meta.get(key, "") for key in ("TIME", "time", "DATE", "date", "TIMESTAMP")] + [band.GetDescription()]
    return next((found for found in map(find_date, texts) if found), None)


def _sample_band(band: Any) -> Sample:
    width, height = min(band.XSize, _SAMPLED_SIDE), min(band.YSize, _SAMPLED_SIDE)
    values = band.ReadAsArray(buf_xsize=width, buf_ysize=height)
    if values is None:
        return Sample(cells=width * height)
    values = values.astype(np.float64)
    valid = np.isfinite(values) & (np.abs(values) < _HUGE)
    nodata = band.GetNoDataValue()
    if nodata is not None:
        # float32 files round the declared value, so it is compared as the file's own type holds it
        valid &= ~np.isclose(values, nodata, rtol=1e-6, atol=0.0)
    suspicious = tuple(value for value in _UNDECLARED if np.isclose(values[valid], value, rtol=1e-6, atol=0.0).any())
    for value in suspicious:
        valid &= ~np.isclose(values, value, rtol=1e-6, atol=0.0)
    if not valid.any():
        return Sample(cells=values.size, suspicious=suspicious)
    scale, offset = band.GetScale() or 1.0, band.GetOffset() or 0.0
    ends = sorted(float(end) * scale + offset for end in (values[valid].min(), values[valid].max()))
    return Sample(ends[0], ends[1], values.size, int(valid.sum()), suspicious)


def _least(a: float, b: float, pick: Any) -> float:
    return b if a != a else a if b != b else pick(a, b)
