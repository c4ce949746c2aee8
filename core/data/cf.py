"""The CF side of a dataset file: time, grid mapping, coordinates, gauges and attributes, as GDAL and xarray read them.

``handle`` is an open NetCDF file or a group of one. Written after the CF conventions 1.8.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..contracts.grid import Grid
from ..contracts.variables import quantity
from .cf_projection import grid_mapping
from .timeline import shift
from .variable_info import Gauges, VariableInfo

EPOCH = "seconds since 1970-01-01 00:00:00"
_UNITS = {"-": "1", "": "1", "deg": "degree"}  # our word: that of UDUNITS
_DEPTHS = ("mm", "mm/d", "mm/h")
_LENGTHS = {"metre": "m", "kilometre": "km", "foot": "foot", "US survey foot": "US_survey_foot"}


def define_time(handle: Any, times: np.ndarray, calendar: str, step_seconds: float) -> None:
    """Define the coordinate ``time`` (start of each step, datetime64[s], (T,)) and ``time_bnds`` (T, 2), start and end
    of each step, in a file with that dimension.
    """
    handle.createDimension("nv", 2)
    time = handle.createVariable("time", "f8", ("time",))
    time.setncatts(
        {
            "standard_name": "time",
            "axis": "T",
            "units": EPOCH,
            "calendar": calendar,
            "bounds": "time_bnds",
            "long_name": "start of the step, UTC",
        }
    )
    ends = shift(times, 1, step_seconds)
    time[:] = _seconds(times)
    handle.createVariable("time_bnds", "f8", ("time", "nv"))[:] = np.stack([_seconds(times), _seconds(ends)], axis=1)


def define_grid(handle: Any, grid: Grid) -> None:
    """Define grid mapping ``crs`` and coordinates ``y`` and ``x`` (cell centres) in a file with those dimensions."""
    from rasterio.crs import CRS

    crs = CRS.from_user_input(grid.crs)
    wkt, degrees = crs.to_wkt(), crs.is_geographic
    mapping = handle.createVariable("crs", "i4", ())
    transform = f"{grid.west!r} {grid.cell_x!r} 0 {grid.north!r} 0 {-grid.cell_y!r}"
    mapping.setncatts({**grid_mapping(crs), "crs_wkt": wkt, "spatial_ref": wkt, "GeoTransform": transform})
    names = ("latitude", "longitude") if degrees else ("projection_y_coordinate", "projection_x_coordinate")
    units = ("degrees_north", "degrees_east") if degrees else (_LENGTHS.get(crs.linear_units, "m"),) * 2
    xs, ys = grid.centres()
    for axis, centres, standard_name, unit in zip("yx", (ys, xs), names, units):
        variable = handle.createVariable(axis, "f8", (axis,))
        variable.setncatts({"standard_name": standard_name, "axis": axis.upper(), "units": unit})
        variable[:] = np.asarray(centres)


def define_gauges(handle: Any, gauges: Gauges) -> None:
    """Define dimension ``gauge`` with name, place and cell of each gauge; unknown places are NaN and cell -1."""
    handle.createDimension("gauge", len(gauges))
    names = handle.createVariable("gauge_id", str, ("gauge",))
    names.setncattr("long_name", "name of the gauge")
    for number, name in enumerate(gauges.ids):
        names[number] = name
    for axis, places, cells in (("x", gauges.x, gauges.columns), ("y", gauges.y, gauges.rows)):
        place = handle.createVariable(f"gauge_{axis}", "f8", ("gauge",), fill_value=np.nan)
        place.setncatts({"long_name": f"{axis} of the gauge", "units": handle[axis].units, "grid_mapping": "crs"})
        place[:] = places
        word = {"x": "column", "y": "row"}[axis]
        cell = handle.createVariable(f"gauge_{word}", "i4", ("gauge",))
        cell.setncattr("long_name", f"{word} of the gauge's cell, from 0, -1 where it has none")
        cell[:] = cells


def read_gauges(handle: Any) -> Gauges:
    """The gauges of a file that has them."""
    ids = tuple(str(name) for name in handle["gauge_id"][:])
    x, y, rows, columns = (np.array(handle[f"gauge_{part}"][:]) for part in ("x", "y", "row", "column"))
    return Gauges(ids, x, y, rows, columns)


def attributes(info: VariableInfo) -> dict[str, Any]:
    """CF attributes of a variable, and what Freshet adds."""
    found = {
        "units": _UNITS.get(info.units, info.units),
        "long_name": info.label or info.name,
        "freshet_role": info.role,
        "freshet_quantity": info.quantity,
    }
    found.update({"coordinates": "gauge_id gauge_x gauge_y"} if info.gauges else {"grid_mapping": "crs"})
    standard_name = standard_name_of(info)
    return {"standard_name": standard_name, **found} if standard_name else found


def flag_attributes(info: VariableInfo) -> dict[str, Any]:
    """CF attributes of the flags that tell observed values from filled ones."""
    found = {
        "long_name": f"{info.label or info.name}: observed or filled",
        "flag_values": np.array([0, 1], dtype=np.int8),
        "flag_meanings": "observed filled",
    }
    return {**found, **({"coordinates": "gauge_id gauge_x gauge_y"} if info.gauges else {"grid_mapping": "crs"})}


def standard_name_of(info: VariableInfo) -> str:
    """The catalogue's CF standard name where the variable's unit fits it, else empty.

    CF counts an amount of water as a depth only under names that begin with ``lwe_`` (liquid water equivalent); the
    others ask for kg m-2, and a depth under such a name would break the conventions.
    """
    known = quantity(info.quantity)
    if info.units != known.units or (info.units in _DEPTHS and not known.standard_name.startswith("lwe_")):
        return ""
    return known.standard_name


def _seconds(times: np.ndarray) -> np.ndarray:
    return times.astype("datetime64[s]").astype(np.int64).astype(np.float64)
