"""Sources: what maps and series are read from. One file a kind, one registry, one look (:class:`Source`).

A new kind is one file with a subclass of :class:`Source` and one line in :data:`KINDS`.
"""

from __future__ import annotations

from typing import Callable, NamedTuple

from ...contracts.dataset_job import SourceConfig
from ...contracts.errors import DataError
from .base import NETCDF_LOCK, MapSource, Source, UnreadableError, Window, say_date, subgrid, whole, window_of
from .calendars import SUPPORTED_CALENDARS
from .folder import FolderSource
from .grib import GribSource
from .listing import is_zarr, look_into
from .netcdf import NetcdfSource, ZarrSource
from .overview import source_overview as _overview
from .paths import GRIB_SUFFIXES, SourcePath, parse_source, require, stack_member
from .pcraster import PcrasterSource
from .raster import RasterSource

__all__ = [
    "KINDS",
    "NETCDF_LOCK",
    "SUPPORTED_CALENDARS",
    "Kind",
    "MapSource",
    "Source",
    "SourcePath",
    "UnreadableError",
    "Window",
    "kind_of",
    "open_source",
    "parse_source",
    "say_date",
    "source_overview",
    "subgrid",
    "whole",
    "window_of",
]

_HDF5, _NETCDF3, _GRIB = b"\x89HDF", b"CDF", b"GRIB"


class Kind(NamedTuple):
    """A kind of source: its name, whether it takes a path (told the kind of most files, where it is a folder or a
    pattern), and how it is opened.
    """

    name: str
    accepts: Callable[[SourceConfig, SourcePath, str], bool]
    open: Callable[[SourceConfig, SourcePath], Source]


def _open_table(config: SourceConfig, place: SourcePath) -> Source:
    from .table import TableSource

    return TableSource(config, place)


def _is_table(config: SourceConfig, place: SourcePath, inside: str) -> bool:
    if place.gdal or inside:
        return False
    from .table_content import is_table_file

    return is_table_file(config.path)


def _is_netcdf(config: SourceConfig, place: SourcePath, inside: str) -> bool:
    return inside == "netcdf" or not inside and (place.is_netcdf or place.starts.startswith((_HDF5, _NETCDF3)))


def _is_grib(config: SourceConfig, place: SourcePath, inside: str) -> bool:
    return inside == "grib" or not inside and (place.suffix in GRIB_SUFFIXES or place.starts.startswith(_GRIB))


def _is_stack(config: SourceConfig, place: SourcePath, inside: str) -> bool:
    single = config.role != "static" and not place.gdal and stack_member(place.file.name) is not None
    return inside == "pcraster" or not inside and single


# The first that accepts a path opens it.
KINDS: tuple[Kind, ...] = (
    Kind("zarr", lambda config, place, inside: inside == "zarr", ZarrSource),
    Kind("table", _is_table, _open_table),
    Kind("netcdf", _is_netcdf, NetcdfSource),
    Kind("grib", _is_grib, GribSource),
    Kind("pcraster", _is_stack, PcrasterSource),
    Kind("folder", lambda config, place, inside: bool(inside), FolderSource),
    Kind("raster", lambda config, place, inside: True, RasterSource),
)


def kind_of(config: SourceConfig, place: SourcePath) -> Kind:
    """The kind that opens a place."""
    inside = _inside(place)
    return next(kind for kind in KINDS if kind.accepts(config, place, inside))


def open_source(config: SourceConfig) -> Source:
    """Open the source of a variable: dates and grid are read, no values yet. Close it, or use it in ``with``.

    Raises :class:`DataError`, which names the variable, where the file is missing or unreadable, has no dates, no CRS,
    no usable grid or no such variable.
    """
    try:
        place = parse_source(config.path)
        require(place, config.variable)
        return kind_of(config, place).open(config, place)
    except PermissionError as error:
        raise DataError(
            f"'{config.variable}': you have no right to look into the source",
            got=f"{error.filename} ({error.strerror})",
            remedy="Ask for the right to read it, or choose another file or folder",
        ) from error
    except DataError as error:
        if f"'{config.variable}'" in error.problem:
            raise
        problem = f"'{config.variable}': {error.problem[0].lower()}{error.problem[1:]}"
        raise type(error)(problem, expected=error.expected, got=error.got, remedy=error.remedy) from error


def source_overview(path: str, layer: str = "", role: str = "input") -> dict:
    """What a path holds, as plain values, see :func:`overview.source_overview`."""
    return _overview(path, layer, role, open_source, kind_of)


def _inside(place: SourcePath) -> str:
    """The kind of most files of a folder or pattern, "empty" where it has none; empty for a file."""
    if place.gdal or place.path.startswith("/vsi") or place.file.is_file():
        return ""
    if place.file.is_dir() and is_zarr(place.file):
        return "zarr"
    if place.file.is_dir() or place.is_pattern or place.is_stack_prefix:
        return look_into(place).kind or "empty"
    return ""
