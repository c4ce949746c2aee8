"""The CF side of a dataset file: time, grid mapping and coordinates, as GDAL and xarray read them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..contracts.grid import Grid


def define_time(handle: Any, times: np.ndarray, calendar: str) -> None:
    """Define the coordinate ``time`` in an open NetCDF file with that dimension; ``times`` are datetime64[s], (T,)."""
    time = handle.createVariable("time", "f8", ("time",))
    time.setncatts(
        {
            "standard_name": "time",
            "axis": "T",
            "units": "seconds since 1970-01-01 00:00:00",
            "calendar": calendar,
            "long_name": "start of the step, UTC",
        }
    )
    time[:] = times.astype(np.int64).astype(np.float64)


def define_grid(handle: Any, grid: Grid) -> None:
    """Define grid mapping ``crs`` and coordinates ``y`` and ``x`` (cell centres) in an open NetCDF file with those
    dimensions.
    """
    from rasterio.crs import CRS

    crs = CRS.from_user_input(grid.crs)
    wkt, degrees = crs.to_wkt(), crs.is_geographic
    mapping = handle.createVariable("crs", "i4", ())
    transform = f"{grid.west!r} {grid.cell_x!r} 0 {grid.north!r} 0 {-grid.cell_y!r}"
    mapping.setncatts({"crs_wkt": wkt, "spatial_ref": wkt, "GeoTransform": transform})
    if degrees:
        mapping.setncattr("grid_mapping_name", "latitude_longitude")
    names = ("latitude", "longitude") if degrees else ("projection_y_coordinate", "projection_x_coordinate")
    units = ("degrees_north", "degrees_east") if degrees else ("m", "m")
    xs, ys = grid.centres()
    for axis, centres, standard_name, unit in zip("yx", (ys, xs), names, units):
        variable = handle.createVariable(axis, "f8", (axis,))
        variable.setncatts({"standard_name": standard_name, "axis": axis.upper(), "units": unit})
        variable[:] = np.asarray(centres)
