"""What GDAL knows of one raster: grid, dates of its bands, unit, and a sample of its values. No engine."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np
from osgeo import gdal

from ..core.contracts import DataError
from .band_dates import band_dates
from .cf_time import Dates
from .gdal_errors import quiet_gdal

SAMPLED_BANDS = 8
LAYOUTS = ("plain", "turned", "curved", "copied")
_SAMPLED_SIDE = 256
_HUGE = 1e19  # 1e20 and above stand for missing in many files
_UNDECLARED = (-9999.0, -999.0, -99999.0, -9999999.0, -32768.0, -1.2345)
WGS84 = "EPSG:4326"


@dataclass
class Probe:
    """One variable of one file as it is on disk. ``uri`` is GDAL's name of it, ``layer`` that of the SourceConfig.

    ``bands`` counts its maps; ``dates`` has the date of each (None where the standard calendar has no such day), and is
    None where the maps have none; ``numbers`` are the bands of the maps, empty for 1 to ``bands``. ``size`` is
    (columns, rows) and ``transform`` GDAL's, both of the map as it lies north-up (None: it has no place). ``layout``
    tells how the raster lies in the file: "plain", "turned" (columns are latitudes), "curved" (every cell has
    coordinates of its own), "copied" (GDAL has no bands of it). ``precision`` (s) is that of its stamps; ``guesses``
    are pairs of the field that changes them and a sentence; ``fixed`` says that no map changes in time.
    """

    uri: str
    name: str
    label: str = ""
    standard_name: str = ""
    units: str = ""
    bands: int = 1
    size: tuple[int, int] = (0, 0)
    crs: str = ""
    transform: Optional[tuple[float, ...]] = None
    dates: Optional[Dates] = None
    calendar: str = "standard"
    sentences: list[str] = field(default_factory=list)
    guesses: list[tuple[str, str]] = field(default_factory=list)
    numbers: tuple[int, ...] = ()
    layer: str = ""
    layout: str = "plain"
    precision: float = 0.0
    fixed: bool = False
    nodata: Optional[float] = None

    @property
    def grid(self) -> tuple:
        """What has to be the same in all files of a source: size, CRS and, to 1e-6 of a cell, the place."""
        where = self.transform or ()
        cells = [abs(where[1]) or 1.0, abs(where[5]) or 1.0] if where else [1.0, 1.0]
        return self.size, self.crs, tuple(round(value / cells[i // 3], 3) for i, value in enumerate(where))

    def band_of(self, index: int) -> int:
        """The band of a map."""
        return self.numbers[index] if self.numbers else index + 1


@dataclass
class Sample:
    """Statistics of some bands: smallest and largest valid value (NaN: none), counts, suspicious values found, and
    whether some were too large to be values.
    """

    minimum: float = float("nan")
    maximum: float = float("nan")
    cells: int = 0
    valid: int = 0
    suspicious: tuple[float, ...] = ()
    huge: bool = False

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
        cells, valid = self.cells + other.cells, self.valid + other.valid
        return Sample(low, high, cells, valid, suspicious, self.huge or other.huge)


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
    with quiet_gdal(), _quick_open():
        source = gdal.OpenEx(f"/vsigzip/{uri}" if uri.endswith(".gz") else uri, gdal.OF_RASTER | gdal.OF_READONLY)
        reason = gdal.GetLastErrorMsg()
    if source is None:
        path = split_uri(uri)[0]
        there = os.path.exists(path)
        if there and not os.access(path, os.R_OK):
            raise DataError(
                "You have no right to read the file", got=path, remedy="Ask for the right, or choose another file"
            )
        raise DataError(
            "The file cannot be opened as a raster" if there else "The file does not exist",
            got=f"{uri}" + (f" ({reason})" if there and reason else ""),
            remedy="Choose a raster that QGIS can open: GeoTIFF, NetCDF, or a folder of dated rasters",
        )
    return source


@contextlib.contextmanager
def _quick_open() -> Iterator[None]:
    """Side-car files are asked for one by one: listing a folder of 10,000 files at each opening is slow."""
    name = "GDAL_DISABLE_READDIR_ON_OPEN"
    before = gdal.GetThreadLocalConfigOption(name)
    gdal.SetThreadLocalConfigOption(name, "TRUE")
    try:
        yield
    finally:
        gdal.SetThreadLocalConfigOption(name, before)


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


def sample_values(values: np.ndarray, raw_nodata: list[float], scale: float = 1.0, offset: float = 0.0) -> Sample:
    """Statistics of raw values (any shape): what is declared missing, not finite or beyond 1e19 does not count."""
    cells = values.size
    values = values.astype(np.float64)
    valid = np.isfinite(values)
    for nodata in raw_nodata:
        # float32 files round the declared value, so it is compared as the file's own type holds it
        valid &= ~np.isclose(values, nodata, rtol=1e-6, atol=0.0)
    huge = valid & (np.abs(values) >= _HUGE)
    valid &= ~huge
    suspicious = tuple(value for value in _UNDECLARED if np.isclose(values[valid], value, rtol=1e-6, atol=0.0).any())
    for value in suspicious:
        valid &= ~np.isclose(values, value, rtol=1e-6, atol=0.0)
    if not valid.any():
        return Sample(cells=cells, suspicious=suspicious, huge=bool(huge.any()))
    ends = sorted(float(end) * scale + offset for end in (values[valid].min(), values[valid].max()))
    return Sample(ends[0], ends[1], cells, int(valid.sum()), suspicious, bool(huge.any()))


def spread(count: int, wanted: int, first: int = 0) -> list[int]:
    """Up to ``wanted`` indices spread over ``count``, first and last among them."""
    return sorted({first + int(round(i)) for i in np.linspace(0, count - 1, min(count, wanted))}) if count else []


def crs_text(reference: Any) -> str:
    """Authority code of a spatial reference, else its WKT; empty for none."""
    if reference is None:
        return ""
    code = reference.GetAuthorityCode(None)
    return f"{reference.GetAuthorityName(None)}:{code}" if code else reference.ExportToWkt()


def looks_like_degrees(transform: Optional[tuple[float, ...]], size: tuple[int, int]) -> bool:
    """Whether a grid without a CRS lies within the degrees of the earth, with cells of at most 5 degrees."""
    if transform is None or transform[2] or transform[4]:
        return False
    west, east = sorted((transform[0], transform[0] + transform[1] * size[0]))
    south, north = sorted((transform[3], transform[3] + transform[5] * size[1]))
    cell = max(abs(transform[1]), abs(transform[5]))
    inside = west >= -180.01 and east <= 360.01 and south >= -90.01 and north <= 90.01
    # A raster that starts at 0 with cells of 1 is one without any georeference, more often than one at Greenwich.
    return inside and cell <= 5 and not (cell >= 1 and (west == 0 or south == 0))


def _probe(uri: str, source: Any) -> Probe:
    band = source.GetRasterBand(1)
    if band is None:
        raise DataError("The raster has no band", got=uri, remedy="Choose another file or variable")
    meta, band_meta = source.GetMetadata(), band.GetMetadata()
    path, layer = split_uri(uri)
    variable = band_meta.get("NETCDF_VARNAME", "") or layer
    stem = os.path.splitext(os.path.basename(path[:-3] if path.endswith(".gz") else path))[0]
    dates, calendar, sentences, guess = band_dates(source, meta, stem)
    transform = source.GetGeoTransform(can_return_null=True)
    found = Probe(
        uri=uri,
        name=variable or stem,
        label=band_meta.get("long_name", "") or meta.get("label", ""),
        standard_name=band_meta.get("standard_name", ""),
        units=(band.GetUnitType() or band_meta.get("units", "") or meta.get("units", "")).strip(),
        bands=source.RasterCount,
        size=(source.RasterXSize, source.RasterYSize),
        crs=crs_text(source.GetSpatialRef()),
        transform=tuple(transform) if transform else None,
        dates=dates,
        calendar=calendar,
        sentences=sentences,
        guesses=[("date_table", guess)] if guess else [],
        layer=layer,
        nodata=band.GetNoDataValue(),
    )
    _guess_crs(found, source, meta)
    return found


def _guess_crs(found: Probe, source: Any, meta: dict[str, str]) -> None:
    if found.crs:
        return
    if source.GetMetadata("GEOLOCATION"):
        found.sentences.append("Its cells have two-dimensional coordinates. Put it on a regular grid first.")
        return
    degrees = [key for key, value in meta.items() if key.endswith("#units") and value.startswith("degree")]
    if len(degrees) >= 2 or looks_like_degrees(found.transform, found.size):
        found.crs = WGS84
        found.guesses.append(("crs", degrees_words()))


def degrees_words() -> str:
    """The sentence on a CRS that is taken for granted."""
    return "It names no CRS: its coordinates are degrees and are taken as WGS 84 (EPSG:4326)."


def _sample_band(band: Any) -> Sample:
    width, height = min(band.XSize, _SAMPLED_SIDE), min(band.YSize, _SAMPLED_SIDE)
    values = band.ReadAsArray(buf_xsize=width, buf_ysize=height)
    if values is None:
        return Sample(cells=width * height)
    if np.iscomplexobj(values):
        return Sample(cells=values.size)
    nodata = band.GetNoDataValue()
    declared = [nodata] if nodata is not None and nodata == nodata else []
    return sample_values(values, declared, band.GetScale() or 1.0, band.GetOffset() or 0.0)


def _least(a: float, b: float, pick: Any) -> float:
    return b if a != a else a if b != b else pick(a, b)
