"""The maps in a NetCDF, HDF5 or Zarr file: what each variable is, where it lies, when, and a sample of its values."""

from __future__ import annotations

import math
import os
import re
from functools import lru_cache
from itertools import product
from typing import Optional

import numpy as np
from osgeo import gdal

from ..core.contracts import DataError
from .array_file import (
    ArrayFile,
    Axes,
    Variable,
    dates_along,
    find_axes,
    map_variables,
    missing_values,
    open_arrays,
    stamp_precision,
    values_along,
)
from .band_dates import time_trouble
from .cf_time import calendar_words
from .gdal_errors import quiet_gdal
from .raster_probe import (
    SAMPLED_BANDS,
    WGS84,
    Probe,
    Sample,
    crs_text,
    degrees_words,
    netcdf_uri,
    open_raster,
    sample_values,
    spread,
)

_MOST_PICKS = 8
_EVEN = 0.02
_PICK = re.compile(r"^(.*?)\[(.*)\]$", re.DOTALL)
_COMBINED = ("expver",)


def probe_arrays(path: str, layer: str = "") -> list[Probe]:
    """Look at every map variable of a file, or only at ``layer`` ("t", "t[level=500]"). DataError where it cannot be
    opened, or holds none.
    """
    file = open_arrays(path)
    wanted = layer.partition("[")[0].strip().lstrip("/")
    with quiet_gdal():
        variables = [one for one in map_variables(file) if wanted in ("", one.name, one.short)]
        found = [item for variable in variables for item in _probes(file, variable)]
    if layer:
        found = [item for item in found if item.layer == layer.lstrip("/")] or found
    if not found:
        raise DataError(
            f"The file has no variable '{layer}'" if layer else "The file holds no map",
            expected=", ".join(one.name for one in map_variables(file)) or "a variable over two dimensions in space",
            got=path,
            remedy="Choose another variable" if layer else "Choose another file",
        )
    return found


def sample_array(path: str, found: Probe) -> Sample:
    """Statistics of up to :data:`~.raster_probe.SAMPLED_BANDS` maps of a variable, spread over its time."""
    file = open_arrays(path)
    variable = file.variables[found.layer.partition("[")[0]]
    with quiet_gdal():
        axes = find_axes(file, variable)
        if axes is None:
            return Sample()
        picks = _picks_of(file, variable, axes, found.layer)
        steps = variable.shape[variable.dims.index(axes.time)] if axes.time else 1
        total = Sample()
        scale, offset = variable.array.GetScale(), variable.array.GetOffset()
        for step in spread(steps, SAMPLED_BANDS):
            raw = _slice(variable, axes, step, picks)
            part = sample_values(raw, missing_values(variable), 1.0 if scale is None else scale, offset or 0.0)
            total = total.merge(part)
    return total


def read_slice(file: ArrayFile, layer: str, step: int) -> np.ndarray:
    """Raw values of one map as (rows, columns), rows along y and columns along x as they are stored."""
    variable = file.variables[layer.partition("[")[0]]
    with quiet_gdal():
        axes = find_axes(file, variable)
        values = _slice(variable, axes, step, _picks_of(file, variable, axes, layer))
    order = [dim for dim in variable.dims if dim in (axes.y, axes.x)]
    return values if order == [axes.y, axes.x] else values.T


@lru_cache(maxsize=256)
def zarr_name(path: str, variable: str, band: int) -> str:
    """GDAL's name of one map of a Zarr variable; ``band`` counts from 1 over all further dimensions."""
    file = open_arrays(path)
    extra = file.variables[variable].shape[:-2]
    place = np.unravel_index(band - 1, extra) if extra else ()
    return f'ZARR:"{path}":/{variable}' + "".join(f":{int(index)}" for index in place)


def _probes(file: ArrayFile, variable: Variable) -> list[Probe]:
    axes = find_axes(file, variable)
    if axes is None:
        made = _bare(file, variable)
        made.sentences.append("Its cells have no place on the map. Georeference it first.")
        return [made]
    choices, cut = _choices(file, variable, axes)
    found = []
    for picks in choices:
        made = _bare(file, variable)
        shown = ",".join(f"{name}={value}" for name, _, value in picks if name not in _COMBINED)
        made.layer = f"{variable.name}[{shown}]" if shown else variable.name
        made.guesses += [("layer", sentence) for sentence in cut]
        _date(file, variable, axes, made, {dim: index for _, dim, index in _indices(picks, axes)})
        _place(file, variable, axes, made)
        found.append(made)
    return found


def _bare(file: ArrayFile, variable: Variable) -> Probe:
    is_zarr = os.path.isdir(file.path)
    return Probe(
        uri=f'ZARR:"{file.path}":/{variable.name}' if is_zarr else netcdf_uri(file.path, _slashed(variable.name)),
        name=variable.short,
        label=variable.text("long_name"),
        standard_name=variable.text("standard_name"),
        units=variable.text("units"),
        layer=variable.name,
        nodata=next(iter(missing_values(variable)), None),
    )


def _slashed(name: str) -> str:
    return f"/{name}" if "/" in name else name


Pick = tuple[str, int, str]  # short name of a dimension, index, its value in words


def _choices(file: ArrayFile, variable: Variable, axes: Axes) -> tuple[list[list[Pick]], list[str]]:
    """Each choice of values of the further dimensions, and sentences on what was left out."""
    along = []
    for dim in axes.spare:
        length = variable.shape[variable.dims.index(dim)]
        values, short = values_along(file, dim, length), dim.rpartition("/")[2]
        along.append([(short, index, values[index] if length > 1 else "") for index in range(length)])
    count = math.prod(len(items) for items in along)
    words = []
    for number, items in enumerate(along):
        several, short = len(items) > 1, items[0][0]
        if several and short in _COMBINED:
            along[number] = items[:1]
            words.append(f"The layers along '{short}' complete each other; the first is shown here.")
        elif several and count > _MOST_PICKS:
            said = ", ".join(item[2] for item in items[:6]) + (", ..." if len(items) > 6 else "")
            words.append(f"It has {len(items)} layers along '{short}' ({said}): the first, {items[0][2]}, is taken.")
            along[number] = items[:1]
    return [[pick for pick in choice if pick[2]] + [p for p in choice if not p[2]] for choice in product(*along)], words


def _indices(picks: list[Pick], axes: Axes) -> list[tuple[str, str, int]]:
    by_short = {dim.rpartition("/")[2]: dim for dim in axes.spare}
    return [(short, by_short[short], index) for short, index, _ in picks]


def _picks_of(file: ArrayFile, variable: Variable, axes: Axes, layer: str) -> dict[str, int]:
    """Index of each further dimension that a layer such as "t[level=500]" names; the first where it names none."""
    match = _PICK.match(layer)
    chosen = dict(part.split("=", 1) for part in match.group(2).split(",") if "=" in part) if match else {}
    found = {}
    for dim in axes.spare:
        values = values_along(file, dim, variable.shape[variable.dims.index(dim)])
        wanted = chosen.get(dim.rpartition("/")[2], "")
        found[dim] = values.index(wanted) if wanted in values else 0
    return found


def _date(file: ArrayFile, variable: Variable, axes: Axes, made: Probe, picks: dict[str, int]) -> None:
    """Number, bands and dates of the maps."""
    extra = [dim for dim in variable.dims if dim not in (axes.y, axes.x)]
    shape = [variable.shape[variable.dims.index(dim)] for dim in extra]
    steps = variable.shape[variable.dims.index(axes.time)] if axes.time else 1
    places = [np.arange(steps) if dim == axes.time else np.full(steps, picks.get(dim, 0)) for dim in extra]
    numbers = np.ravel_multi_index(places, shape) + 1 if extra else np.ones(steps, dtype=int)
    made.bands, made.fixed = steps, axes.time is None
    made.numbers = tuple(int(number) for number in numbers) if tuple(numbers) != tuple(range(1, steps + 1)) else ()
    if axes.time is None:
        return
    dates, units, calendar, begun = dates_along(file, axes.time)
    made.calendar, made.precision = calendar, stamp_precision(file, axes.time)
    if dates is not None and len(dates) == steps:
        made.dates = dates
        words = calendar_words(calendar, dates)
        made.guesses += [("start", words)] if words else []
        made.guesses += [("start", "The steps begin where their time bounds begin.")] if begun else []
    elif units:
        made.sentences.append(time_trouble(units, calendar))


def _place(file: ArrayFile, variable: Variable, axes: Axes, made: Probe) -> None:
    """Grid and layout of a variable."""
    size = [variable.shape[variable.dims.index(dim)] for dim in (axes.y, axes.x)]
    made.size = size[1], size[0]
    made.crs = crs_text(variable.array.GetSpatialRef())
    last = variable.dims[-2:]
    made.layout = "plain" if last == (axes.y, axes.x) else "turned" if last == (axes.x, axes.y) else "copied"
    ys, xs, regular = _coordinates(file, axes, made)
    if ys is None or xs is None:
        return
    if not regular:
        made.layout = "copied" if made.layout != "plain" else "curved"
        made.crs, made.transform = WGS84, _covering(ys, xs)
        made.guesses.append(
            ("crs", "Its cells lie on no regular grid: each cell of a regular one takes the nearest of them.")
        )
        return
    made.transform = _transform(ys, xs)
    if made.transform is None:
        made.layout = "curved" if made.layout == "plain" else "copied"
        grid = np.meshgrid(ys, xs, indexing="ij")
        made.transform = _covering(*grid)
        made.guesses.append(("crs", "Its rows or columns are unevenly spaced: they are laid on even ones."))
    if not made.crs and (axes.latitude is not None or _in_degrees(file, axes)):
        made.crs = WGS84
        made.guesses.append(("crs", degrees_words()))
    if made.crs == WGS84 and np.abs(ys).max() > 90.01:
        reach = f"Its latitudes reach {np.abs(ys).max():.6g} degrees"
        made.sentences.append(f"{reach}: latitude and longitude may be exchanged. Mend the file.")
    if made.crs == WGS84 and xs.max() > 180.0 and made.transform is not None:
        _turn_longitudes(made)


def _turn_longitudes(made: Probe) -> None:
    """A map that lies beyond 180 degrees east as a whole is shown west of Greenwich, as the engine places it."""
    west, cell = made.transform[0], made.transform[1]
    if west >= 180.0 - cell / 2:
        made.transform = (west - 360.0, *made.transform[1:])
        made.guesses.append(("crs", "Longitudes from 0 to 360 degrees are turned to -180 to 180."))


def _coordinates(file: ArrayFile, axes: Axes, made: Probe) -> tuple[Optional[np.ndarray], Optional[np.ndarray], bool]:
    """y and x of the cells: 1-D where the grid is regular (True), else 2-D in degrees."""
    own = [file.find(dim) for dim in (axes.y, axes.x)]
    one_d = all(one is not None and one.dims == (dim,) for one, dim in zip(own, (axes.y, axes.x)))
    if axes.latitude is not None and len(axes.latitude.dims) == 1:
        made.layout = "copied"  # coordinates under other names than their dimensions: GDAL does not see them
        return axes.latitude.numbers(), axes.longitude.numbers(), True
    if one_d and (made.crs or axes.latitude is None):
        return own[0].numbers(), own[1].numbers(), True
    if axes.latitude is None:
        made.sentences.append("Its cells have no place on the map. Georeference it first.")
        return None, None, True
    latitude, longitude = (_two_d(one) for one in (axes.latitude, axes.longitude))
    rows, columns = _separable(latitude, longitude)
    if rows is not None:
        made.guesses.append(("crs", "Its two-dimensional coordinates are those of a regular grid of degrees."))
        made.layout = "curved" if made.layout == "plain" else "copied"
        made.crs = WGS84
        return rows, columns, True
    return latitude, longitude, False


def _two_d(variable: Variable) -> np.ndarray:
    values = variable.numbers()
    return values.reshape(-1, *values.shape[-2:])[0]  # coordinates that are stored once a step do not move


def _separable(latitude: np.ndarray, longitude: np.ndarray) -> tuple[Optional[np.ndarray], Optional[np.ndarray]]:
    """Latitude of each row and longitude of each column where they depend on nothing else."""
    if latitude.shape != longitude.shape or not np.isfinite(latitude).all() or not np.isfinite(longitude).all():
        return None, None
    rows, columns = latitude.mean(axis=1), longitude.mean(axis=0)
    cell = max(abs(np.diff(rows)).max(initial=0.0), abs(np.diff(columns)).max(initial=0.0)) or 1.0
    even = np.abs(latitude - rows[:, None]).max() < _EVEN * cell
    even = even and np.abs(longitude - columns[None, :]).max() < _EVEN * cell
    return (rows, columns) if even else (None, None)


def _transform(ys: np.ndarray, xs: np.ndarray) -> Optional[tuple[float, ...]]:
    """GDAL's transform of the map north-up, None where rows or columns are not even."""
    cells = []
    for values in (np.sort(ys), np.sort(xs)):
        gaps = np.diff(values)
        cell = float(values[-1] - values[0]) / len(gaps) if len(gaps) else float("nan")
        if len(gaps) and (cell <= 0 or np.abs(gaps - cell).max() > _EVEN * cell):
            return None
        cells.append(cell)
    known = [cell for cell in cells if cell == cell]
    high, wide = (cell if cell == cell else (known[0] if known else 1.0) for cell in cells)
    return (float(xs.min()) - wide / 2, wide, 0.0, float(ys.max()) + high / 2, 0.0, -high)


def _covering(latitude: np.ndarray, longitude: np.ndarray) -> tuple[float, ...]:
    """A transform of about as many even cells as there are uneven ones, over all of them."""
    rows, columns = latitude.shape
    south, north = float(np.nanmin(latitude)), float(np.nanmax(latitude))
    west, east = float(np.nanmin(longitude)), float(np.nanmax(longitude))
    high, wide = (north - south) / max(1, rows - 1) or 1.0, (east - west) / max(1, columns - 1) or 1.0
    return west - wide / 2, wide, 0.0, north + high / 2, 0.0, -high


def _in_degrees(file: ArrayFile, axes: Axes) -> bool:
    own = [file.find(dim) for dim in (axes.y, axes.x)]
    named = [one is not None and (one.text("units").lower().startswith("deg") or one.short.lower().startswith(start))
             for one, start in zip(own, ("lat", "lon"))]  # fmt: skip
    return all(named)


def _slice(variable: Variable, axes: Axes, step: int, picks: dict[str, int]) -> np.ndarray:
    starts = [step if dim == axes.time else picks.get(dim, 0) for dim in variable.dims]
    counts = [size if dim in (axes.y, axes.x) else 1 for dim, size in zip(variable.dims, variable.shape)]
    starts = [0 if dim in (axes.y, axes.x) else start for dim, start in zip(variable.dims, starts)]
    raw = variable.array.ReadAsArray(starts, counts)
    if raw is None:
        raise DataError("The values cannot be read", got=f"{variable.name}: {gdal.GetLastErrorMsg()}")
    kept = [size for dim, size in zip(variable.dims, variable.shape) if dim in (axes.y, axes.x)]
    return np.asarray(raw).reshape(kept)


def plain_raster(path: str, found: Probe) -> bool:
    """Whether GDAL's plain look at a NetCDF variable lies on the map as ``found`` does."""
    try:
        source = open_raster(found.uri)
    except DataError:
        return False
    with quiet_gdal():
        transform = source.GetGeoTransform(can_return_null=True)
        size = source.RasterXSize, source.RasterYSize
    if transform is None or found.transform is None or size != found.size:
        return False
    cell = abs(found.transform[1]), abs(found.transform[5])
    apart = [abs(a - b) / cell[i // 3] for i, (a, b) in enumerate(zip(transform, found.transform))]
    return max(apart) < 1e-3
