"""Sources: what maps are read from. One file a kind, one registry, one look (:class:`Source`).

A new kind is one file with a subclass of :class:`Source` and one line in :data:`KINDS`.
"""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

from ...contracts.dataset_job import SourceConfig
from .base import SUPPORTED_CALENDARS, Source, say_date
from .folder import FolderSource
from .netcdf import NetcdfSource, map_variables, open_netcdf
from .paths import SourcePath, parse_source, require
from .raster import RasterSource

__all__ = [
    "KINDS",
    "SUPPORTED_CALENDARS",
    "Kind",
    "Source",
    "SourcePath",
    "open_source",
    "parse_source",
    "say_date",
    "source_overview",
]


class Kind(NamedTuple):
    """A kind of source: its name, whether it takes a path, and how it is opened."""

    name: str
    accepts: Callable[[SourcePath], bool]
    open: Callable[[SourceConfig, SourcePath], Source]


# The first that accepts a path opens it.
KINDS: tuple[Kind, ...] = (
    Kind("folder", lambda place: not place.gdal and place.file.is_dir(), FolderSource),
    Kind("netcdf", lambda place: place.is_netcdf, NetcdfSource),
    Kind("raster", lambda place: True, RasterSource),
)


def open_source(config: SourceConfig) -> Source:
    """Open the source of a variable: dates and grid are read, no values yet. Close it, or use it in ``with``.

    Raises :class:`DataError` where the file is missing or unreadable, has no dates, no CRS, no regular grid or no
    such variable.
    """
    place = parse_source(config.path)
    require(place, config.variable)
    kind = next(kind for kind in KINDS if kind.accepts(place))
    return kind.open(config, place)


def source_overview(path: str, layer: str = "", role: str = "input") -> dict[str, Any]:
    """What a path holds, as plain values: kind, variables (NetCDF), grid, dates, step, unit. Raises as
    :func:`open_source`.
    """
    place = parse_source(path)
    require(place, path)
    overview: dict[str, Any] = {"path": place.path, "layer": layer or place.layer, "variables": []}
    if place.is_netcdf:
        handle = open_netcdf(place.path, path)
        overview["variables"] = map_variables(handle)
        handle.close()
        if not overview["layer"] and len(overview["variables"]) != 1:
            return {**overview, "kind": "netcdf"}
    with open_source(SourceConfig(variable="source", path=path, layer=layer, role=role)) as source:
        grid = source.grid
        overview.update(
            kind=source.kind,
            crs=grid.crs,
            columns=grid.columns,
            rows=grid.rows,
            cell_x=grid.cell_x,
            cell_y=grid.cell_y,
            extent=list(grid.extent),
            units=source.units,
            calendar=source.calendar,
            steps=len(source.times),
            step_seconds=source.step_seconds,
            notes=list(source.notes),
            start=say_date(source.times[0]) if len(source.times) else "",
            end=say_date(source.times[-1]) if len(source.times) else "",
        )
    return overview
