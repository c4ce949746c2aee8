"""Where the cells of an array variable lie, and how a window of the grid is read from the array."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

import numpy as np

from ...contracts.dataset_job import SourceConfig
from ...contracts.errors import DataError
from ...contracts.grid import Grid
from .array_crs import crs_of, in_crs_units, is_geographic, mapping_of
from .arrays import ArrayFile, ArrayVariable
from .axes import Axes, contradiction
from .base import Window, no_crs
from .curvilinear import Nearest, lay_on_grid, unrotated

_EVEN = 0.02
_UNLIKE = 2.0  # rows of a Gaussian grid differ by far less


@dataclass
class Places:
    """``grid`` north-up; ``rows`` and ``columns``: index in the array of each row and column of the grid; ``nearest``
    instead of both where the cells lie on no regular grid. Notes and warnings on guesses.
    """

    grid: Grid
    rows: Optional[np.ndarray] = None
    columns: Optional[np.ndarray] = None
    nearest: Optional[np.ndarray] = None
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def find_places(file: ArrayFile, variable: ArrayVariable, axes: Axes, config: SourceConfig) -> Places:
    """Places of a variable's cells. Raises :class:`DataError` without CRS or with coordinates that make no sense."""
    name = config.variable
    own = [file.find(dim) for dim in (axes.y, axes.x)]
    one_d = all(one is not None and one.dims == (dim,) for one, dim in zip(own, (axes.y, axes.x)))
    if axes.latitude is not None and len(axes.latitude.dims) == 1:
        return _regular(file, variable, axes.latitude, axes.longitude, config)
    if one_d:
        crs, how = crs_of(file, variable, own[0])
        if how == "rotated":
            return _rotated(file, variable, axes, name)
        if crs or config.crs or axes.latitude is None:
            return _regular(file, variable, own[0], own[1], config)
    latitude, longitude = _two_dimensional(axes)
    separable = None if one_d else _separable(latitude, longitude)
    if separable is not None:
        ys, xs, exchanged = separable
        if exchanged:
            axes.y, axes.x = axes.x, axes.y
        return _from_separable(ys, xs, name)
    places = _irregular(latitude, longitude, name)
    if one_d:
        places.notes.append(
            f"'{name}': with the CRS of '{axes.y}' and '{axes.x}', its own grid could be kept: assign it."
        )
    return places


def read_window(places: Places, window: Window) -> tuple[slice, slice, Optional[np.ndarray], Optional[np.ndarray]]:
    """Rows and columns of the array that hold a window, and how to bring what they hold into its shape: index of rows
    and columns within, or (with ``nearest``) one flat index (rows, columns) with -1 for missing.
    """
    if places.nearest is None:
        rows = places.rows[window.row : window.row + window.rows]
        columns = places.columns[window.column : window.column + window.columns]
        down, right = slice(int(rows.min()), int(rows.max()) + 1), slice(int(columns.min()), int(columns.max()) + 1)
        return down, right, rows - down.start, columns - right.start
    part = places.nearest[window.row : window.row + window.rows, window.column : window.column + window.columns]
    return _around(part, places)


def _around(part: np.ndarray, places: Places) -> tuple[slice, slice, Optional[np.ndarray], None]:
    width = len(places.columns)
    used = part[part >= 0]
    if not used.size:
        return slice(0, 1), slice(0, 1), np.full(part.shape, -1), None
    rows, columns = used // width, used % width
    down, right = slice(int(rows.min()), int(rows.max()) + 1), slice(int(columns.min()), int(columns.max()) + 1)
    inner = (part // width - down.start) * (right.stop - right.start) + part % width - right.start
    return down, right, np.where(part >= 0, inner, -1), None


def _regular(
    file: ArrayFile, variable: ArrayVariable, y: ArrayVariable, x: ArrayVariable, config: SourceConfig
) -> Places:
    name = config.variable
    notes, warnings = [], [f"'{name}': {said}; the units are trusted." for said in map(contradiction, (y, x)) if said]
    crs, how = crs_of(file, variable, y)
    ys, xs = _values(y, name), _values(x, name)
    crs = crs or config.crs
    if not crs:
        raise no_crs(name, file.path)
    if how == "assumed":
        notes.append(f"'{name}': the file names no CRS; its degrees are taken as WGS 84 (EPSG:4326).")
    if how == "found":
        notes.append(f"'{name}': the variable refers to no CRS; the one that the file describes is taken.")
    geographic = is_geographic(crs)
    if geographic:
        _refuse_swapped(ys, xs, y, x, name)
        turned = _turned(xs)
        if turned is not xs and np.any(turned != xs):
            notes.append(f"'{name}': longitudes from 0 to 360 degrees are turned to -180 to 180.")
            xs = turned
    else:
        mapping = mapping_of(file, variable)
        ys, xs = in_crs_units(ys, y, mapping), in_crs_units(xs, x, mapping)
    rows, columns = np.argsort(-ys, kind="stable"), np.argsort(xs, kind="stable")
    cell_y, cell_x = _cells(file, ys[rows][::-1], xs[columns], y, x, name)
    if cell_x is None or cell_y is None:
        coordinate, values = (y, ys) if cell_y is None else (x, xs)
        gaps = np.diff(np.sort(values))
        if not geographic or gaps.max() > _UNLIKE * gaps.min():
            raise _uneven(coordinate, gaps, name)
        places = _irregular(*np.meshgrid(ys, xs, indexing="ij"), name)
        places.notes = notes + places.notes
        return places
    grid = Grid(crs, float(xs.min() - cell_x / 2), float(ys.max() + cell_y / 2), cell_x, cell_y, len(xs), len(ys))
    return Places(grid, rows, columns, None, notes, warnings)


def _rotated(file: ArrayFile, variable: ArrayVariable, axes: Axes, name: str) -> Places:
    if axes.latitude is not None:
        return _irregular(*_two_dimensional(axes), name)
    mapping = mapping_of(file, variable)
    values = [
        float(np.ravel(mapping.attrs.get(key, default))[0])
        for key, default in (
            ("grid_north_pole_latitude", 90.0),
            ("grid_north_pole_longitude", 0.0),
            ("north_pole_grid_longitude", 0.0),
        )
    ]
    ys, xs = (_values(file.find(dim), name) for dim in (axes.y, axes.x))
    return _irregular(*unrotated(ys, xs, *values), name)


def _irregular(latitude: np.ndarray, longitude: np.ndarray, name: str) -> Places:
    found: Nearest = lay_on_grid(latitude, longitude, name)
    grid = found.grid
    note = (
        f"'{name}': the cells lie on no regular grid (about {found.spacing_km:.3g} km apart); they are laid on one of "
        f"{grid.cell_x:g} x {grid.cell_y:g} degrees, where each cell takes the nearest source cell, typically "
        f"{found.distance_km:.2g} km away, and is missing where none is near."
    )
    rows, columns = (np.arange(size) for size in latitude.shape)
    return Places(grid, rows, columns, found.index, [note])


def _two_dimensional(axes: Axes) -> tuple[np.ndarray, np.ndarray]:
    """2-D latitude and longitude in the order (y, x), the first ones where they vary in time."""
    maps = []
    for variable in (axes.latitude, axes.longitude):
        values = variable.values()
        values = values.reshape(-1, *values.shape[-2:])[0]
        maps.append(values if variable.dims[-2:] == (axes.y, axes.x) else values.T)
    return maps[0], maps[1]


def _separable(latitude: np.ndarray, longitude: np.ndarray) -> Optional[tuple[np.ndarray, np.ndarray, bool]]:
    """Latitude of each row, longitude of each column, and whether rows and columns are exchanged, where 2-D coordinates
    make a regular grid; else None.
    """
    for lat, lon, exchanged in ((latitude, longitude, False), (latitude.T, longitude.T, True)):
        if min(lat.shape) < 2 or not (np.isfinite(lat).any(axis=1).all() and np.isfinite(lon).any(axis=0).all()):
            continue
        ys, xs = np.nanmedian(lat, axis=1), _turned(np.nanmedian(lon, axis=0))
        step_y, step_x = np.abs(np.diff(np.sort(ys))).mean(), np.abs(np.diff(np.sort(xs))).mean()
        off = np.nanmax(np.abs(lat - ys[:, None])), np.nanmax(np.abs(_turned(lon) - xs))
        if off[0] <= 0.01 * step_y and off[1] <= 0.01 * step_x and _even(np.sort(ys)) and _even(np.sort(xs)):
            return ys, xs, exchanged
    return None


def _from_separable(ys: np.ndarray, xs: np.ndarray, name: str) -> Places:
    rows, columns = np.argsort(-ys, kind="stable"), np.argsort(xs, kind="stable")
    cell_y, cell_x = _even(np.sort(ys)), _even(np.sort(xs))
    west, north = float(xs.min() - cell_x / 2), float(ys.max() + cell_y / 2)
    note = (
        f"'{name}': the two-dimensional latitudes and longitudes make a regular grid of {cell_x:g} x {cell_y:g} "
        "degrees, taken as WGS 84 (EPSG:4326)."
    )
    return Places(Grid("EPSG:4326", west, north, cell_x, cell_y, len(xs), len(ys)), rows, columns, None, [note])


def _values(coordinate: ArrayVariable, name: str) -> np.ndarray:
    values = np.asarray(coordinate.values(), dtype=np.float64)
    if not len(values) or not np.all(np.isfinite(values)):
        raise DataError(
            f"'{name}': the coordinate '{coordinate.short}' is not complete",
            expected="finite values",
            remedy="Mend the file",
        )
    return values


def _refuse_swapped(ys: np.ndarray, xs: np.ndarray, y: ArrayVariable, x: ArrayVariable, name: str) -> None:
    if np.abs(ys).max() <= 90.5:
        return
    swapped = np.abs(xs).max() <= 90.5
    raise DataError(
        f"'{name}': the values of '{y.short}' are no latitudes"
        + (f"; those of '{x.short}' could be: the two seem to be exchanged" if swapped else ""),
        expected="latitudes from -90 to 90 degrees",
        got=f"{ys.min():g} to {ys.max():g}",
        remedy=f"Exchange the names (or units) of '{y.short}' and '{x.short}' in the file"
        if swapped
        else "Mend the file, or name the CRS of its coordinates in it",
    )


def _turned(xs: np.ndarray) -> np.ndarray:
    """Longitudes beyond 180 degrees turned, unless that would tear a regional map at 180 degrees."""
    if not np.any(xs > 180.0 + 1e-6):
        return xs
    turned = np.where(xs >= 180.0, xs - 360.0, xs)
    if np.all(xs >= 180.0) or np.ptp(xs) > 330:
        return turned
    return turned if np.ptp(turned) <= np.ptp(xs) else xs


def _cells(
    file: ArrayFile, ys: np.ndarray, xs: np.ndarray, y: ArrayVariable, x: ArrayVariable, name: str
) -> tuple[Optional[float], Optional[float]]:
    """Cell sizes of rising coordinates; None where they are not even. A single row or column has the size of its
    bounds, else of the other axis.
    """
    sizes = [_even(values) if len(values) > 1 else _bounds_size(file, one) for values, one in ((ys, y), (xs, x))]
    for axis, values in enumerate((ys, xs)):
        if len(values) == 1 and sizes[axis] is None:
            sizes[axis] = sizes[1 - axis]
            if sizes[axis] is None:
                raise DataError(
                    f"'{name}': a single cell does not tell its size",
                    expected="at least two rows or columns, or bounds of the coordinates",
                    got=file.path,
                    remedy="Save at least 2 x 2 cells, or make a table of the single series",
                )
    return sizes[0], sizes[1]


def _bounds_size(file: ArrayFile, coordinate: ArrayVariable) -> Optional[float]:
    bounds = file.find(coordinate.text("bounds"), coordinate.group) if coordinate.text("bounds") else None
    size = abs(float(np.ptp(bounds.values()))) if bounds is not None and bounds.shape[-1] == 2 else 0.0
    return size or None


def _even(values: np.ndarray) -> Optional[float]:
    """Spacing of rising values, None where they lie off an even line by more than 2 % of it."""
    step = float((values[-1] - values[0]) / (len(values) - 1))
    even = values[0] + step * np.arange(len(values))
    return step if step > 0 and np.abs(values - even).max() <= max(_EVEN * step, 1e-9) else None


def _uneven(coordinate: ArrayVariable, gaps: np.ndarray, name: str) -> DataError:
    return DataError(
        f"'{name}': the coordinates '{coordinate.short}' are not evenly spaced",
        expected=f"steps of {np.median(gaps):g}",
        got=f"steps from {gaps.min():g} to {gaps.max():g}",
        remedy="Regrid the file first, for example with cdo remapbil",
    )
