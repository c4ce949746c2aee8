"""NetCDF, HDF5 and Zarr files as named arrays with dimensions and attributes, through GDAL's multidimensional look.

Where they lie, which dimension is time, and their dates are found here as the engine finds them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Optional

import numpy as np
from osgeo import gdal

from ..core.contracts import DataError
from ..core.contracts.file_words import AXIS_DEGREES, AXIS_NAMES, AXIS_STANDARD_NAMES
from .cf_time import Dates, decode_texts, decode_times
from .gdal_errors import quiet_gdal

_NUMERIC = (gdal.GDT_Byte, gdal.GDT_UInt16, gdal.GDT_Int16, gdal.GDT_UInt32, gdal.GDT_Int32, gdal.GDT_Float32,
            gdal.GDT_Float64, *(getattr(gdal, name) for name in ("GDT_Int8", "GDT_Int64", "GDT_UInt64")
                                if hasattr(gdal, name)))  # fmt: skip
_LONGEST_AXIS = 50_000_000
ZARR_MARKS = (".zgroup", ".zarray", ".zmetadata", "zarr.json")


@dataclass
class Variable:
    """One array: its full name ("group/name"), full names of its dimensions, its shape, and GDAL's handle of it."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    numeric: bool
    array: Any
    known: dict[str, str] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """The group that holds it; empty for the root."""
        return self.name.rpartition("/")[0]

    @property
    def short(self) -> str:
        """The name without groups."""
        return self.name.rpartition("/")[2]

    def text(self, attribute: str) -> str:
        """An attribute as text, empty where it is missing."""
        if attribute not in self.known:
            if attribute == "units":
                value: Any = self.array.GetUnit()
            else:
                found = self.array.GetAttribute(attribute)
                value = found.Read() if found is not None else ""
            self.known[attribute] = str("" if value is None else value).strip()
        return self.known[attribute]

    def numbers(self) -> np.ndarray:
        """All values as float64, unpacked, NaN where missing. For coordinates only."""
        if int(np.prod(self.shape, dtype=np.int64)) > _LONGEST_AXIS:
            raise DataError("A coordinate is too long", got=self.name, remedy="Choose another file")
        raw = self.array.ReadAsArray()
        if raw is None:
            raise DataError("A coordinate cannot be read", got=f"{self.name} ({gdal.GetLastErrorMsg()})")
        return unpack(np.asarray(raw), self)

    def texts(self) -> list[str]:
        """Values that are texts."""
        found = self.array.Read()
        return [str(item).strip() for item in found] if isinstance(found, (list, tuple)) else []


@dataclass
class ArrayFile:
    """An open file. It is closed with the last reference to it; GDAL reads it from one thread at a time."""

    path: str
    variables: dict[str, Variable]
    handle: Any

    def find(self, name: str, group: str = "") -> Optional[Variable]:
        """The variable of this name in the group or the nearest one above it."""
        name = name.lstrip("/")
        while True:
            found = self.variables.get(f"{group}/{name}" if group else name)
            if found is not None or not group:
                return found
            group = group.rpartition("/")[0]


@dataclass
class Axes:
    """``time``, ``y``, ``x``: full names of dimensions (time may be missing); ``latitude`` and ``longitude``:
    coordinates that are no dimensions; ``spare``: further dimensions.
    """

    y: str
    x: str
    time: Optional[str] = None
    latitude: Optional[Variable] = None
    longitude: Optional[Variable] = None
    spare: tuple[str, ...] = ()


def open_arrays(path: str) -> ArrayFile:
    """Open a NetCDF, HDF5 or Zarr file. DataError with GDAL's own words where that fails."""
    with quiet_gdal():
        handle = gdal.OpenEx(path, gdal.OF_MULTIDIM_RASTER | gdal.OF_READONLY)
        reason = gdal.GetLastErrorMsg()
        root = handle.GetRootGroup() if handle is not None else None
        if root is None:
            raise _closed(path, reason)
        variables: dict[str, Variable] = {}
        _collect(root, "", variables)
    if not variables:
        raise _closed(path, reason)
    return ArrayFile(path, variables, handle)


def unpack(raw: np.ndarray, variable: Variable) -> np.ndarray:
    """Raw values as float64: declared fills and fills of 1e20 and above are NaN, scale and offset applied."""
    values = raw.astype(np.float64)
    missing = ~(np.abs(values) < 1e19)
    for fill in missing_values(variable):
        missing |= values == (float(np.float32(fill)) if raw.dtype == np.float32 else fill)
    scale, offset = variable.array.GetScale(), variable.array.GetOffset()
    if scale is not None or offset is not None:
        values = values * (1.0 if scale is None else scale) + (offset or 0.0)
    values[missing] = np.nan
    return values


def missing_values(variable: Variable) -> list[float]:
    """The raw values that are declared missing."""
    found = [variable.array.GetNoDataValueAsDouble()]
    attribute = variable.array.GetAttribute("missing_value")
    if attribute is not None:
        found += list(np.ravel(attribute.ReadAsDoubleArray() or ()))
    return [float(value) for value in dict.fromkeys(found) if value is not None and value == value]


def map_variables(file: ArrayFile) -> list[Variable]:
    """The variables that hold maps: numbers over y and x, no coordinates, no bounds."""
    bounds = {one.text(key) for one in file.variables.values() for key in ("bounds", "climatology")}
    listed = {name for one in file.variables.values() for name in one.text("coordinates").split()}
    places = listed | bounds | set(AXIS_NAMES["X"]) | set(AXIS_NAMES["Y"])
    found = [
        one
        for one in file.variables.values()
        if len(one.dims) >= 2 and one.numeric and one.short not in places and one.short.lower() not in places
    ]
    found = [one for one in found if not _by_units(one) and one.text("standard_name") not in _PLACE_NAMES]
    on_grid = [one for one in found if horizontal(file, one) is not None]
    return on_grid or found


_PLACE_NAMES = AXIS_STANDARD_NAMES["Y"] + AXIS_STANDARD_NAMES["X"]


def find_axes(file: ArrayFile, variable: Variable) -> Optional[Axes]:
    """The axes of a variable, None where y and x are not found."""
    axes = horizontal(file, variable)
    if axes is None:
        return None
    axes.time = _time_dimension(file, variable)
    spare = [dim for dim in variable.dims if dim not in (axes.y, axes.x, axes.time)]
    if axes.time is None and len(spare) == 1 and file.find(spare[0]) is None:
        axes.time = spare.pop()
    axes.spare = tuple(spare)
    return axes


def horizontal(file: ArrayFile, variable: Variable) -> Optional[Axes]:
    """y and x by 1-D coordinates, else by 2-D ones, else by the names of dimensions."""
    own = {dim: file.find(dim) for dim in variable.dims}
    coordinates = {dim: one for dim, one in own.items() if one is not None and one.dims == (dim,)}
    found = {axis_of(one): dim for dim, one in coordinates.items() if axis_of(one) in ("Y", "X")}
    if len(found) < 2:  # two coordinates with the same units: their names tell them apart
        named = {_by_name(one.short): dim for dim, one in coordinates.items() if _by_name(one.short) in ("Y", "X")}
        found = named if len(named) == 2 else found
    latitude, longitude = (_place(file, variable, axis) for axis in "YX")
    two_d = latitude is not None and longitude is not None and latitude.dims == longitude.dims
    if len(found) == 2:
        axes = Axes(found["Y"], found["X"])
        if two_d and len(latitude.dims) >= 2 and set(latitude.dims[-2:]) == set(found.values()):
            axes.latitude, axes.longitude = latitude, longitude
        return axes
    if two_d and len(latitude.dims) >= 2:
        return Axes(latitude.dims[-2], latitude.dims[-1], latitude=latitude, longitude=longitude)
    if latitude is not None and longitude is not None and latitude.dims != longitude.dims:
        return Axes(latitude.dims[0], longitude.dims[0], latitude=latitude, longitude=longitude)
    return None


def axis_of(variable: Variable) -> str:
    """ "T", "Y", "X" or "" of a coordinate, by its attributes, else by its name."""
    stated = variable.text("axis").upper()
    if stated in AXIS_STANDARD_NAMES:
        return stated
    if " since " in variable.text("units") or variable.text("standard_name") in AXIS_STANDARD_NAMES["T"]:
        return "T"
    for axis in "YX":
        if variable.text("standard_name") in AXIS_STANDARD_NAMES[axis]:
            return axis
    return _by_units(variable) or _by_name(variable.short)


def values_along(file: ArrayFile, dim: str, length: int) -> list[str]:
    """The values of a dimension as texts; numbers from 1 where it has none."""
    own = file.find(dim)
    if own is None or own.dims[:1] != (dim,):
        return [str(number) for number in range(1, length + 1)]
    if not own.numeric:
        texts = own.texts()
        return texts if len(texts) == length else [str(number) for number in range(1, length + 1)]
    return [f"{value:.10g}" for value in own.numbers().ravel()]


def dates_along(file: ArrayFile, dim: str) -> tuple[Optional[Dates], str, str, bool]:
    """Dates of the time dimension (None where it has none), its unit and calendar, and whether the starts of the time
    bounds were taken for the stamps.
    """
    variable = _time_variable(file, dim)
    if variable is None:
        return None, "", "standard", False
    units, calendar = variable.text("units"), variable.text("calendar") or "standard"
    if not variable.numeric:
        return decode_texts(variable.texts()), units, calendar, False
    numbers = np.atleast_1d(variable.numbers())
    starts, begun = _starts(file, variable, numbers)
    return decode_times(starts.tolist(), units, calendar), units, calendar, begun


def stamp_precision(file: ArrayFile, dim: str) -> float:
    """How far (s) the stamps of a float32 time axis may be off."""
    variable = _time_variable(file, dim)
    if variable is None or variable.array.GetDataType().GetNumericDataType() != gdal.GDT_Float32:
        return 0.0
    unit = variable.text("units").split(" ")[0].lower()
    seconds = {"h": 3600.0, "m": 60.0, "s": 1.0}.get(unit[:1], 86400.0)
    numbers = variable.numbers()
    return float(np.spacing(np.float32(np.abs(numbers).max()))) * seconds if numbers.size else 0.0


def zarr_metadata(path: str) -> dict[str, Any]:
    """The description of a Zarr store of format 3, which older versions of GDAL cannot open; empty for any other."""
    try:
        with open(os.path.join(path, "zarr.json"), encoding="utf-8") as handle:
            return dict(json.load(handle))
    except (OSError, ValueError, TypeError):
        return {}


def _collect(group: Any, prefix: str, variables: dict[str, Variable]) -> None:
    for name in group.GetMDArrayNames() or []:
        array = group.OpenMDArray(name)
        if array is None:
            continue
        places = array.GetDimensions()
        kind = array.GetDataType()
        numeric = kind.GetClass() == gdal.GEDTC_NUMERIC and kind.GetNumericDataType() in _NUMERIC
        variables[prefix + name] = Variable(
            prefix + name,
            tuple(one.GetFullName().lstrip("/") for one in places),
            tuple(int(one.GetSize()) for one in places),
            numeric,
            array,
        )
    for name in group.GetGroupNames() or []:
        inner = group.OpenGroup(name)
        if inner is not None:
            _collect(inner, f"{prefix}{name}/", variables)


def _closed(path: str, reason: str) -> DataError:
    if not os.path.exists(path):
        return DataError("The file does not exist", got=path, remedy="Choose it again; it may have been moved")
    if zarr_metadata(path):
        return DataError(
            "This QGIS cannot look into Zarr stores of format 3",
            expected="a store of format 2, or a QGIS with GDAL 3.8 or newer",
            got=path,
            remedy="A dataset can be built from it all the same; to see it here, write it anew with zarr_format=2",
        )
    return DataError(
        "The file cannot be opened as a raster",
        got=path + (f" ({reason})" if reason else ""),
        remedy="Choose a complete NetCDF or Zarr file",
    )


def _place(file: ArrayFile, variable: Variable, axis: str) -> Optional[Variable]:
    """A coordinate of latitude ("Y") or longitude over dimensions of the variable that it does not share its name
    with.
    """
    listed = [file.find(name, variable.group) for name in variable.text("coordinates").split()]
    near = [one for one in file.variables.values() if variable.group.startswith(one.group)]
    for one in [*filter(None, listed), *near]:
        own_name = len(one.dims) == 1 and one.dims[0] == one.name
        if one is variable or not one.dims or own_name or not one.numeric or not set(one.dims) <= set(variable.dims):
            continue
        standard = one.text("standard_name") == ("latitude" if axis == "Y" else "longitude")
        named = _by_name(one.short) == axis and one.short.lower() not in ("y", "x") and not _by_units(one)
        if len(one.dims) <= 3 and (standard or _by_units(one) == axis or named):
            return one
    return None


def _time_dimension(file: ArrayFile, variable: Variable) -> Optional[str]:
    for dim in variable.dims:
        own = file.find(dim)
        if own is not None and own.dims == (dim,) and axis_of(own) == "T":
            return dim
    for dim in variable.dims:
        if _time_variable(file, dim) is not None:
            return dim
        if file.find(dim) is None and _by_name(dim.rpartition("/")[2]) == "T":
            return dim
    return None


def _time_variable(file: ArrayFile, dim: str) -> Optional[Variable]:
    own = file.find(dim)
    if own is not None and own.dims == (dim,) and " since " in own.text("units"):
        return own
    for one in file.variables.values():
        if one.dims == (dim,) and " since " in one.text("units") and one.short != "forecast_reference_time":
            return one
    for one in file.variables.values():
        if one.dims[:1] == (dim,) and not one.numeric and _by_name(one.short) == "T":
            return one
    return own if own is not None and own.dims == (dim,) and axis_of(own) == "T" else None


def _starts(file: ArrayFile, variable: Variable, stamps: np.ndarray) -> tuple[np.ndarray, bool]:
    """Starts of the time bounds where there are sound ones that differ from the stamps."""
    name = variable.text("bounds")
    bounds = file.find(name, variable.group) if name else None
    if bounds is None or not bounds.numeric or bounds.shape != (len(stamps), 2):
        return stamps, False
    both = bounds.numbers()
    starts, ends = both.min(axis=1), both.max(axis=1)
    sound = np.all(np.isfinite(both)) and np.all(ends > starts)
    sound = sound and np.all((stamps >= starts - 1e-6) & (stamps <= ends + 1e-6))
    return (starts, True) if sound and np.any(starts != stamps) else (stamps, False)


def _by_units(variable: Variable) -> str:
    units = variable.text("units").lower().replace(" ", "_")
    return next((axis for axis in "YX" if AXIS_DEGREES[axis].match(units)), "")


@lru_cache(maxsize=4096)
def _by_name(name: str) -> str:
    small = name.lower()
    return next((axis for axis in "TYX" if small in AXIS_NAMES[axis]), "")


def is_zarr(names: Sequence[str]) -> bool:
    """Whether a folder with these entries is a Zarr store."""
    return any(mark in names for mark in ZARR_MARKS)
