"""What a source holds, in plain values, without reading its maps."""

from __future__ import annotations

from typing import Any, Callable

from ...contracts.dataset_job import SourceConfig
from ...contracts.dates import format_step
from .arrays import open_netcdf, open_zarr
from .axes import map_variables
from .base import Source, say_date
from .grib import fields_of, need_driver
from .listing import is_zarr, look_into
from .paths import SourcePath, parse_source, require
from .pcraster import stacks_of
from .raster_file import open_raster

_LISTED = 20


def source_overview(
    path: str,
    layer: str,
    role: str,
    open_source: Callable[[SourceConfig], Source],
    kind_of: Callable[[SourceConfig, SourcePath], Any],
) -> dict[str, Any]:
    """Kind, variables to choose from, and, where one is chosen or the only one: grid, dates, step, unit, calendar,
    notes, warnings, doubled and missing dates (the first few, and how many). Raises as ``open_source``.
    """
    place = parse_source(path)
    require(place, path)
    config = SourceConfig(variable="source", path=path, layer=layer, role=role, duplicates="first")
    kind = kind_of(config, place).name
    overview: dict[str, Any] = {"path": place.path, "layer": layer or place.layer, "variables": [], "kind": kind}
    overview["variables"] = _variables(kind, place)
    if not overview["layer"] and len(overview["variables"]) > 1:
        return overview
    with open_source(config) as source:
        overview.update(kind=source.kind, units=source.units, **_grid(source), **_dates(source))
        overview.update(notes=list(source.notes), warnings=list(source.warnings))
    return overview


def _variables(kind: str, place: SourcePath) -> list[str]:
    if kind in ("netcdf", "zarr"):
        several = not place.file.is_file() and not is_zarr(place.file)
        first = str(look_into(place).chosen(kind)[0]) if several else place.path
        file = (open_netcdf if kind == "netcdf" else open_zarr)(first, place.path)
        try:
            return map_variables(file)
        finally:
            file.close()
    if kind == "grib":
        need_driver(place.path)
        first = place.path if place.file.is_file() else str(look_into(place).chosen(kind)[0])
        with open_raster(first, place.path) as handle:
            return sorted({field.holds for field in fields_of(handle, first)})
    if kind == "pcraster" and not place.file.is_file():
        return list(stacks_of(look_into(place)))
    return []


def _grid(source: Source) -> dict[str, Any]:
    grid = source.grid
    if grid is None:
        return {}
    return {
        "crs": grid.crs,
        "columns": grid.columns,
        "rows": grid.rows,
        "cell_x": grid.cell_x,
        "cell_y": grid.cell_y,
        "extent": list(grid.extent),
    }


def _dates(source: Source) -> dict[str, Any]:
    times = source.times
    return {
        "calendar": source.calendar,
        "steps": len(times),
        "step_seconds": source.step_seconds,
        "step": format_step(source.step_seconds) if source.step_seconds else "",
        "start": say_date(times[0]) if len(times) else "",
        "end": say_date(times[-1]) if len(times) else "",
        "doubled": [say_date(date) for date in source.doubled[:_LISTED]],
        "doubled_count": len(source.doubled),
        "missing": [say_date(date) for date in source.missing[:_LISTED]],
        "missing_count": source.missing_count,
        "lacking_count": len(source.lacking),
    }
