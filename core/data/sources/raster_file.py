"""One open raster of GDAL: where it lies, and its bands as float32 with NaN, north first."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from ...contracts.dataset_job import SourceConfig
from ...contracts.errors import DataError
from ...contracts.grid import Grid
from .base import UnreadableError, Window, mark_missing, no_crs

# Whether side-car files exist is asked for one by one: listing a folder of 10,000 files at each opening is slow.
QUICK_OPEN = {"GDAL_DISABLE_READDIR_ON_OPEN": "TRUE"}
_EXACT_IN_FLOAT32 = ("uint8", "int8", "uint16", "int16", "float32")


@dataclass(frozen=True)
class RasterLayout:
    """Where the maps of a raster lie: ``grid`` north-up; ``flipped`` where the file's rows run from the south; ``roll``
    the file's column that is the grid's first one (a world map from 0 to 360 degrees).
    """

    grid: Grid
    flipped: bool = False
    roll: int = 0


@dataclass(frozen=True)
class BandFacts:
    """What is declared of all bands of a raster, in their order. Asking for it takes a while where there are many."""

    dtypes: tuple[str, ...]
    nodata: tuple[Optional[float], ...]
    masked: tuple[bool, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]


def band_facts(handle: Any) -> BandFacts:
    """What an open raster declares of its bands."""
    from rasterio.enums import MaskFlags

    masked = tuple(MaskFlags.per_dataset in flags or MaskFlags.alpha in flags for flags in handle.mask_flag_enums)
    return BandFacts(handle.dtypes, handle.nodatavals, masked, handle.scales, handle.offsets)


def open_raster(path: str, name: str, driver: str = "") -> Any:
    """Open a raster for reading; :class:`DataError` that names the file where GDAL cannot. The ``driver`` that most
    likely reads it is tried first: to ask all of them takes a quarter of the time of opening.
    """
    import rasterio
    from rasterio.errors import RasterioError

    if driver:
        with contextlib.suppress(RasterioError, OSError, ValueError):
            return rasterio.open(path, driver=driver)
    if path.endswith(".gz") and not path.startswith("/vsi"):
        path = f"/vsigzip/{path}"
    try:
        return rasterio.open(path)
    except (RasterioError, OSError, ValueError) as error:
        raise unreadable(path, name, error) from error


def unreadable(path: str, name: str, error: BaseException) -> UnreadableError:
    """The error for a raster that is broken, cut short or no raster."""
    if os.path.isfile(path) and not os.access(path, os.R_OK):
        return UnreadableError(
            f"'{name}': you have no right to read the raster",
            got=path,
            remedy="Ask for the right to read it, or choose another file",
        )
    return UnreadableError(
        f"'{name}': the raster cannot be read",
        expected="a raster that GDAL reads, complete",
        got=f"{path} ({_plain_reason(error)})",
        remedy="Replace this file, or remove it, or keep its date as a gap",
    )


def raster_layout(handle: Any, config: SourceConfig, name: str) -> tuple[RasterLayout, list[str]]:
    """Layout of an open raster, and notes on what was guessed for it. Refuses rasters that do not say where they lie,
    and rotated ones.
    """
    if not handle.count:
        raise _container(handle, name)
    transform = handle.transform
    notes: list[str] = []
    crs = handle.crs.to_wkt() if handle.crs else config.crs
    if transform.is_identity and not handle.crs:
        raise no_crs(name, handle.name)
    if abs(transform.b) > 1e-9 * abs(transform.a) or abs(transform.d) > 1e-9 * abs(transform.e) or transform.a <= 0:
        raise DataError(
            f"'{name}': the raster is rotated or mirrored",
            expected="rows that run west to east",
            got=handle.name,
            remedy="Warp it first (in QGIS: Raster, Projections, Warp)",
        )
    north = transform.f if transform.e < 0 else transform.f + transform.e * handle.height
    cell_x, cell_y, west = transform.a, abs(transform.e), transform.c
    if not crs and _looks_like_degrees(west, north, cell_x, cell_y, handle.width, handle.height):
        crs = "EPSG:4326"
        notes.append(
            f"'{name}': the raster names no CRS; its coordinates look like degrees and are taken as WGS 84 (EPSG:4326)."
        )
    if not crs:
        raise no_crs(name, handle.name)
    _refuse_no_degrees(crs, (west, north - cell_y * handle.height, west + cell_x * handle.width, north), handle, name)
    west, roll = _turned(crs, west, cell_x, handle.width)
    if roll or west != transform.c:
        notes.append(f"'{name}': longitudes from 0 to 360 degrees are turned to -180 to 180.")
    grid = Grid(crs, west, north, cell_x, cell_y, handle.width, handle.height)
    return RasterLayout(grid, transform.e > 0, roll), notes


def alike(one: Grid, other: Grid) -> bool:
    """Whether two grids are the same but for rounding: corners within a hundredth of a cell."""
    offsets = (abs(one.west - other.west) / other.cell_x, abs(one.north - other.north) / other.cell_y)
    sizes = (abs(one.cell_x / other.cell_x - 1) * other.columns, abs(one.cell_y / other.cell_y - 1) * other.rows)
    if one.shape != other.shape or max(*offsets, *sizes) > 0.01:
        return False
    return one.crs == other.crs or _crs_alike(one.crs, other.crs)


def say_grid(grid: Grid) -> str:
    """A grid in words."""
    return (
        f"{grid.columns} x {grid.rows} cells of {grid.cell_x:g} x {grid.cell_y:g} from ({grid.west:g}, {grid.north:g})"
    )


def read_bands(
    handle: Any,
    bands: list[int],
    layout: RasterLayout,
    window: Window,
    config: SourceConfig,
    out: np.ndarray,
    facts: Optional[BandFacts] = None,
) -> bool:
    """Read bands into ``out`` float32 (n, window.rows, window.columns), C-contiguous: north first, declared nodata,
    masks and fills as NaN, scale and offset applied. True where there were fills of 1e20 and above that nobody
    declared. Raises :class:`DataError` that names the file.
    """
    from rasterio.errors import RasterioError

    try:
        facts = facts or band_facts(handle)
        for part, columns in _parts(handle, layout, window):
            target = out if columns is None else np.empty((len(bands), window.rows, part.width), dtype=np.float32)
            for index, band in enumerate(bands):
                _read_band(handle, band, part, facts, target[index])
            if columns is not None:
                out[:, :, columns] = target
    except (RasterioError, OSError, ValueError) as error:
        raise unreadable(handle.name, config.variable, error) from error
    huge = mark_missing(out, config.nodata)
    for index, band in enumerate(bands):
        scale, offset = facts.scales[band - 1], facts.offsets[band - 1]
        if scale != 1 or offset != 0:
            out[index] = out[index].astype(np.float64) * scale + offset
    if layout.flipped:
        out[:] = out[:, ::-1].copy()
    return huge


def _read_band(handle: Any, band: int, part: Any, facts: BandFacts, out: np.ndarray) -> None:
    nodata = facts.nodata[band - 1]
    if facts.dtypes[band - 1] in _EXACT_IN_FLOAT32:
        handle.read(band, window=part, out=out)
        if nodata is not None and np.isfinite(nodata):
            np.copyto(out, np.float32(np.nan), where=out == np.float32(nodata))
    else:
        raw = handle.read(band, window=part)
        if raw.dtype.kind == "c":
            raise ValueError("complex numbers")
        np.copyto(out, raw, casting="unsafe")
        if nodata is not None and np.isfinite(nodata):
            np.copyto(out, np.float32(np.nan), where=raw == nodata)
    if facts.masked[band - 1]:
        np.copyto(out, np.float32(np.nan), where=handle.read_masks(band, window=part) == 0)


def _parts(handle: Any, layout: RasterLayout, window: Window) -> Iterator[tuple[Any, Any]]:
    """Windows of the file that make up ``window`` of the grid, each with its columns there (None for all)."""
    from rasterio.windows import Window as RasterWindow

    row = handle.height - window.row - window.rows if layout.flipped else window.row
    first = window.column + layout.roll
    if not layout.roll or first >= handle.width or first + window.columns <= handle.width:
        yield RasterWindow(first % handle.width, row, window.columns, window.rows), None
        return
    near = handle.width - first
    yield RasterWindow(first, row, near, window.rows), slice(0, near)
    yield RasterWindow(0, row, window.columns - near, window.rows), slice(near, window.columns)


def _turned(crs: str, west: float, cell: float, columns: int) -> tuple[float, int]:
    """West edge and first column of a geographic raster whose longitudes exceed 180 degrees."""
    east = west + cell * columns
    if east <= 180 + cell / 2 or west < -cell or not _is_geographic(crs):
        return west, 0
    if west >= 180 - cell / 2:
        return west - 360, 0
    if abs(cell * columns - 360) > cell / 2:
        return west, 0  # the cut at 180 degrees would tear a regional map apart
    roll = round((180 - west) / cell)
    return west + roll * cell - 360, roll


def _looks_like_degrees(west: float, north: float, cell_x: float, cell_y: float, columns: int, rows: int) -> bool:
    south, east = north - rows * cell_y, west + columns * cell_x
    inside = west >= -180.01 and east <= 360.01 and south >= -90.01 and north <= 90.01
    return inside and max(cell_x, cell_y) <= 5 and not (cell_x >= 1 and (west == 0 or south == 0))


def _container(handle: Any, name: str) -> DataError:
    inner = list(handle.subdatasets)
    return DataError(
        f"'{name}': the file holds no raster itself, but {len(inner)} inside",
        expected="one of " + ", ".join(inner[:5]) + (", ..." if len(inner) > 5 else "") if inner else "a raster",
        got=handle.name,
        remedy="Choose one of these as the source",
    )


def _refuse_no_degrees(crs: str, extent: tuple[float, float, float, float], handle: Any, name: str) -> None:
    """Refuse coordinates that cannot be longitude and latitude where the CRS says that they are."""
    west, south, east, north = extent
    if max(-south, north) <= 90.5 + handle.res[1] or not _is_geographic(crs):
        return
    swapped = max(abs(west), abs(east)) <= 90.5 and max(abs(south), abs(north)) <= 360.5
    raise DataError(
        f"'{name}': the rows of the raster lie at no latitudes"
        + ("; longitude and latitude seem to be exchanged" if swapped else ""),
        expected="latitudes from -90 to 90 degrees, since its CRS is geographic",
        got=f"{south:g} to {north:g} in {handle.name}",
        remedy="Exchange the two in the file, or correct its CRS (in QGIS: Raster, Projections, Assign Projection)",
    )


def _is_geographic(crs: str) -> bool:
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    try:
        return CRS.from_user_input(crs).is_geographic
    except CRSError:
        return False


def _crs_alike(one: str, other: str) -> bool:
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    try:
        return CRS.from_user_input(one) == CRS.from_user_input(other)
    except CRSError:
        return False


def _plain_reason(error: BaseException) -> str:
    text = str(error.__cause__ or error).splitlines()
    return text[0][:200] if text and text[0] else type(error).__name__
