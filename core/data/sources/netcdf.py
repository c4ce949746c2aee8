"""NetCDF variables with CF time and coordinates, in any order of dimensions."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from ...contracts.dataset_job import SourceConfig
from ...contracts.errors import DataError
from ...contracts.grid import Grid
from .base import SUPPORTED_CALENDARS, Source, clean, counted_times, no_crs
from .paths import SourcePath

_CALENDARS = {
    "": "standard",
    "gregorian": "standard",
    "proleptic_gregorian": "standard",
    "365_day": "noleap",
    "366_day": "all_leap",
}
_AXES = {
    "T": ({"time"}, {"time", "t", "valid_time", "date", "datetime"}),
    "Y": (
        {"latitude", "projection_y_coordinate", "grid_latitude"},
        {"y", "lat", "latitude", "northing", "north", "rlat", "yc", "nav_lat"},
    ),
    "X": (
        {"longitude", "projection_x_coordinate", "grid_longitude"},
        {"x", "lon", "longitude", "easting", "east", "rlon", "xc", "nav_lon"},
    ),
}
_DEGREES = ("degree", "degrees")


class NetcdfSource(Source):
    """One variable of a NetCDF file."""

    kind = "netcdf"

    def __init__(self, config: SourceConfig, place: SourcePath) -> None:
        super().__init__(config)
        self._place = place
        self._handle = open_netcdf(place.path, self.name)
        try:
            self._variable = self._handle[self._choose(config.layer or place.layer)]
            self.units = str(getattr(self._variable, "units", "")).strip()
            self._find_axes()
            self._set_grid(self._read_grid())
            self._read_times()
        except DataError:
            self._handle.close()
            raise

    def read(self, start: int, stop: int) -> np.ndarray:
        """See :class:`Source`. Packed values are unpacked; NetCDF files are read by one thread."""
        if self._time is None:
            return self._read_block(None)
        raw = self._order[start:stop]
        first, last = int(raw.min()), int(raw.max()) + 1
        return self._read_block(slice(first, last))[raw - first]

    def close(self) -> None:
        """Close the file."""
        self._handle.close()

    def _read_block(self, steps: Optional[slice]) -> np.ndarray:
        window = self.window
        rows = slice(window.row, window.row + window.rows)
        if self._south_up:
            rows = slice(self.full_grid.rows - rows.stop, self.full_grid.rows - rows.start)
        columns = self._columns[window.column : window.column + window.columns]
        low, high = int(columns.min()), int(columns.max()) + 1
        pick = {self._time: steps, self._y: rows, self._x: slice(low, high)}
        names = self._variable.dimensions
        try:
            raw = self._variable[tuple(pick.get(name, 0) for name in names)]
        except (OSError, RuntimeError) as error:
            raise _unreadable(self._place.path, self.name, error) from error
        kept = [name for name in names if name in pick]
        values = np.ma.asarray(raw).transpose(
            [kept.index(name) for name in (self._time, self._y, self._x) if name in kept]
        )
        values = clean(values if self._time else values[None], self.config)
        values = values[:, ::-1] if self._south_up else values
        return values[:, :, columns - low]

    def _choose(self, wanted: str) -> str:
        there = map_variables(self._handle)
        if wanted in there or (not wanted and len(there) == 1):
            return wanted or there[0]
        raise DataError(
            f"'{self.name}': the file has no variable '{wanted}'"
            if wanted
            else f"'{self.name}': the file holds several variables, or none",
            expected=", ".join(there) or "a variable with two dimensions in space",
            got=self._place.path,
            remedy="Choose one of these as 'variable in the file'" if there else "Choose another file",
        )

    def _find_axes(self) -> None:
        names = self._variable.dimensions
        found = {axis: next((n for n in names if _is_axis(self._handle, n, axis)), None) for axis in "TYX"}
        spare = [name for name in names if name not in found.values()]
        if found["T"] is None and len(spare) == 1 and len(names) == 3 and not self.static:
            found["T"] = spare.pop()
        if found["Y"] is None or found["X"] is None:
            raise DataError(
                f"'{self.name}': the variable lies on no regular grid that Freshet recognises",
                expected="one-dimensional coordinates x and y, or longitude and latitude",
                got=f"dimensions {', '.join(names)}",
                remedy="Regrid the file first, for example with cdo remapbil",
            )
        long = [name for name in spare if len(self._handle.dimensions[name]) > 1]
        if long:
            raise DataError(
                f"'{self.name}': the variable has a further dimension",
                expected="time, y and x",
                got=f"{long[0]} of length {len(self._handle.dimensions[long[0]])}",
                remedy="Save the level or member that you want as a file of its own",
            )
        self._time, self._y, self._x = found["T"], found["Y"], found["X"]

    def _read_grid(self) -> Grid:
        xs, ys = (_coordinate(self._handle, name, self.name) for name in (self._x, self._y))
        crs, degrees = _crs(self._handle, self._variable, self._place.path, self._y)
        crs = crs or self.config.crs
        if not crs:
            raise no_crs(self.name, self._place.path)
        if degrees and xs.max() > 180.0 + 1e-6:
            xs = np.where(xs >= 180.0, xs - 360.0, xs)
        if degrees == "assumed":
            self.notes.append(f"'{self.name}': the file names no CRS; its degrees are taken as WGS 84 (EPSG:4326).")
        self._columns = np.argsort(xs, kind="stable")
        self._south_up = bool(ys[-1] > ys[0])
        cell_x, cell_y = (_spacing(values, self.name) for values in (xs[self._columns], np.sort(ys)))
        return Grid(crs, float(xs.min() - cell_x / 2), float(ys.max() + cell_y / 2), cell_x, cell_y, len(xs), len(ys))

    def _read_times(self) -> None:
        count = len(self._handle.dimensions[self._time]) if self._time else 0
        if self.static:
            if count > 1:
                raise DataError(
                    f"'{self.name}' varies in time and cannot be a static map",
                    got=f"{count} steps in {self._place.path}",
                    remedy="Give it the role 'input', or choose a variable without time",
                )
            self._order = np.zeros(1, dtype=int)
            return
        times = self._cf_times()
        if times is None:
            times = counted_times(self.config, count) if count else None
        if times is None:
            raise DataError(
                f"'{self.name}': the variable has no dates",
                expected="a time coordinate ('days since ...'), or the first date and the step",
                got=self._place.path,
                remedy="Give the first date and the step; a map that does not change takes the role 'static'",
            )
        if self.calendar in SUPPORTED_CALENDARS:
            self._order = self._set_times(times, [f"step {index + 1}" for index in range(count)])

    def _cf_times(self) -> Optional[np.ndarray]:
        variable = self._handle.variables.get(self._time or "")
        units = str(getattr(variable, "units", ""))
        if " since " not in units:
            return None
        calendar = str(getattr(variable, "calendar", "")).lower()
        self.calendar = _CALENDARS.get(calendar, calendar)
        values = np.ma.filled(variable[:].astype(np.float64), np.nan)
        bounds = self._handle.variables.get(str(getattr(variable, "bounds", "")))
        if bounds is not None and bounds.ndim == 2:
            starts = np.ma.filled(bounds[:, 0].astype(np.float64), np.nan)
            if np.all(np.isfinite(starts)) and np.any(starts != values):
                self.notes.append(f"'{self.name}': steps begin where their time bounds begin.")
                values = starts
        return (
            _decode(values, units, calendar or "standard", self.name)
            if self.calendar in SUPPORTED_CALENDARS
            else values
        )


def open_netcdf(path: str, name: str) -> Any:
    """Open a NetCDF file for reading; :class:`DataError` where that fails."""
    import netCDF4

    try:
        return netCDF4.Dataset(path, "r")
    except (OSError, RuntimeError) as error:
        raise _unreadable(path, name, error) from error


def map_variables(handle: Any) -> list[str]:
    """Names of the variables that hold maps: at least two dimensions, not coordinates or bounds."""
    bounds = {str(getattr(variable, "bounds", "")) for variable in handle.variables.values()}
    listed = {
        name for variable in handle.variables.values() for name in str(getattr(variable, "coordinates", "")).split()
    }
    places = listed | bounds | _AXES["X"][1] | _AXES["Y"][1]
    return [
        name for name, variable in handle.variables.items()
        if variable.ndim >= 2 and name not in places and variable.dtype != str and variable.dtype.kind in "iuf"
    ]  # fmt: skip


def _is_axis(handle: Any, dimension: str, axis: str) -> bool:
    standard, names = _AXES[axis]
    variable = handle.variables.get(dimension)
    if variable is None or variable.ndim != 1:
        return variable is None and axis == "T" and dimension.lower() in names
    if str(getattr(variable, "axis", "")).upper() in _AXES:
        return str(variable.axis).upper() == axis
    units = str(getattr(variable, "units", "")).lower()
    by_units = {"T": " since " in units, "Y": units.startswith("degrees_n"), "X": units.startswith("degrees_e")}[axis]
    return by_units or str(getattr(variable, "standard_name", "")) in standard or dimension.lower() in names


def _coordinate(handle: Any, dimension: str, name: str) -> np.ndarray:
    values = np.ma.filled(handle.variables[dimension][:].astype(np.float64), np.nan)
    if len(values) < 2 or not np.all(np.isfinite(values)):
        raise DataError(
            f"'{name}': the coordinate '{dimension}' is not complete",
            expected="at least two finite values",
            remedy="Mend the file",
        )
    return values


def _spacing(values: np.ndarray, name: str) -> float:
    gaps = np.diff(values)
    step = float((values[-1] - values[0]) / (len(values) - 1))
    if step <= 0 or np.max(np.abs(gaps - step)) > 0.02 * step:
        raise DataError(
            f"'{name}': the coordinates are not evenly spaced",
            expected=f"steps of {step:g}",
            got=f"steps from {gaps.min():g} to {gaps.max():g}",
            remedy="Regrid the file first, for example with cdo remapbil",
        )
    return step


def _crs(handle: Any, variable: Any, path: str, y_name: str) -> tuple[str, str]:
    """WKT or code, empty where there is none, and "declared" or "assumed" where it is geographic."""
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    mapping = handle.variables.get(str(getattr(variable, "grid_mapping", "")).split(":")[0])
    for holder in [mapping, variable]:
        for attribute in ("crs_wkt", "spatial_ref", "esri_pe_string", "epsg_code", "proj4", "proj4_params"):
            text = str(getattr(holder, attribute, "") or "")
            try:
                if text:
                    crs = CRS.from_user_input(f"EPSG:{text}" if text.isdigit() else text)
                    return crs.to_wkt(), "declared" if crs.is_geographic else ""
            except CRSError:
                continue
    if mapping is not None and str(getattr(mapping, "grid_mapping_name", "")) != "latitude_longitude":
        return _gdal_crs(path, variable.name), ""
    units = str(getattr(handle.variables[y_name], "units", "")).lower()
    if units.startswith(_DEGREES) or y_name.lower() in ("lat", "latitude"):
        return "EPSG:4326", "assumed" if mapping is None else "declared"
    return "", ""


def _gdal_crs(path: str, layer: str) -> str:
    """CRS of a CF grid mapping without WKT, as GDAL understands it; empty where it does not."""
    import rasterio
    from rasterio.errors import RasterioError

    try:
        with rasterio.open(f'netcdf:"{path}":{layer}') as raster:
            return raster.crs.to_wkt() if raster.crs else ""
    except (RasterioError, OSError):
        return ""


def _decode(values: np.ndarray, units: str, calendar: str, name: str) -> np.ndarray:
    import cftime

    try:
        dates = cftime.num2date(values, units, calendar=calendar, only_use_cftime_datetimes=True)
        texts = [date.isoformat()[:26] for date in np.atleast_1d(dates)]
        exact = np.array(texts, dtype="datetime64[us]").astype(np.int64)
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        raise DataError(
            f"'{name}': the time coordinate cannot be read",
            expected="'days since 1990-01-01' or the like",
            got=units,
            remedy="Mend the file",
        ) from error
    return np.round(exact / 1e6).astype(np.int64).astype("datetime64[s]")


def _unreadable(path: str, name: str, error: BaseException) -> DataError:
    return DataError(
        f"'{name}': the NetCDF file cannot be read",
        expected="a complete NetCDF file",
        got=f"{path} ({error})",
        remedy="Replace this file",
    )
