"""Which dimensions of a variable are time, y and x, whatever they are called, and what is chosen of the others."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Optional

import numpy as np

from ...contracts.errors import DataError
from ...contracts.file_words import AXIS_DEGREES, AXIS_NAMES, AXIS_STANDARD_NAMES
from .arrays import ArrayFile, ArrayVariable

_LAYER = re.compile(r"^(.*?)(?:\[(.*)\])?$", re.DOTALL)
_COMBINED = ("expver",)


@dataclass
class Axes:
    """``time``, ``y``, ``x``: names of dimensions (time may be missing); ``latitude``, ``longitude``: 2-D coordinates,
    or 1-D ones named other than their dimensions; ``picks``: index chosen of each further dimension; ``combined``: one
    whose layers complete each other.
    """

    y: str
    x: str
    time: Optional[str] = None
    latitude: Optional[ArrayVariable] = None
    longitude: Optional[ArrayVariable] = None
    picks: dict[str, int] = field(default_factory=dict)
    combined: Optional[str] = None


def split_layer(layer: str, variables: dict[str, ArrayVariable]) -> tuple[str, dict[str, str]]:
    """Variable and chosen values of "t[level=500,member=2]", which may come without a variable; a real name wins."""
    layer = layer.strip().lstrip("/")
    if layer in variables:
        return layer, {}
    match = _LAYER.match(layer)
    pairs = [piece.split("=", 1) for piece in (match.group(2) or "").split(",") if "=" in piece]
    return match.group(1).strip(), {key.strip(): value.strip() for key, value in pairs}


def map_variables(file: ArrayFile) -> list[str]:
    """Names of the variables that hold maps: numbers over y and x, no coordinates, no bounds."""
    bounds = {one.text(key) for one in file.variables.values() for key in ("bounds", "climatology")}
    listed = {name for one in file.variables.values() for name in one.text("coordinates").split()}
    places = listed | bounds | set(AXIS_NAMES["X"]) | set(AXIS_NAMES["Y"])
    found = [
        one
        for one in file.variables.values()
        if len(one.dims) >= 2 and one.numeric and one.short not in places and one.short.lower() not in places
    ]
    found = [one for one in found if not _named_as_place(one)]
    on_grid = [one for one in found if _horizontal(file, one) is not None]
    return [one.name for one in on_grid or found]


def has_time(file: ArrayFile, name: str) -> bool:
    """Whether a variable varies in time."""
    return _time_dimension(file, file.variables[name]) is not None


def find_axes(file: ArrayFile, variable: ArrayVariable, chosen: dict[str, str], static: bool, name: str) -> Axes:
    """The axes of a variable. ``chosen`` picks values of further dimensions.

    Raises :class:`DataError` where y and x are not found, or a further dimension has several values and none is chosen.
    """
    axes = _horizontal(file, variable)
    if axes is None:
        raise DataError(
            f"'{name}': the variable lies on no regular grid that Freshet recognises",
            expected="coordinates x and y, or longitude and latitude",
            got=f"dimensions {', '.join(variable.dims)}",
            remedy="Regrid the file first, for example with cdo remapbil",
        )
    axes.time = _time_dimension(file, variable)
    spare = [dim for dim in variable.dims if dim not in (axes.y, axes.x, axes.time)]
    if axes.time is None and len(spare) == 1 and not static and spare[0].rpartition("/")[2] not in chosen:
        if file.find(spare[0]) is None:
            axes.time = spare.pop()
    unknown = set(chosen) - {dim.rpartition("/")[2] for dim in spare}
    if unknown:
        raise DataError(
            f"'{name}': the variable has no dimension '{sorted(unknown)[0]}' to choose from",
            expected=", ".join(dim.rpartition("/")[2] for dim in spare) or "no choice, since there is only one layer",
            got=file.path,
            remedy="Correct 'variable in the file'",
        )
    for dim in spare:
        _pick(file, variable, dim, chosen, axes, name)
    return axes


def axis_of(variable: ArrayVariable) -> str:
    """ "T", "Y", "X" or "" of a coordinate, by its attributes, else by its name."""
    stated = variable.text("axis").upper()
    if stated in AXIS_STANDARD_NAMES:
        return stated
    if " since " in variable.text("units"):
        return "T"
    by_units, by_name = _by_units(variable), _by_name(variable.short)
    if variable.text("standard_name") in AXIS_STANDARD_NAMES["T"]:
        return "T"
    for axis in "YX":
        if variable.text("standard_name") in AXIS_STANDARD_NAMES[axis]:
            return axis
    return by_units or by_name


def contradiction(variable: ArrayVariable) -> str:
    """A sentence where name and units of a coordinate disagree about which it is, else empty."""
    by_units, by_name = _by_units(variable), _by_name(variable.short)
    if by_units and by_name in ("Y", "X") and by_units != by_name:
        return f"the coordinate '{variable.short}' has the units '{variable.text('units')}'"
    return ""


def _by_units(variable: ArrayVariable) -> str:
    units = variable.text("units").lower().replace(" ", "_")
    return next((axis for axis in "YX" if AXIS_DEGREES[axis].match(units)), "")


def _by_name(name: str) -> str:
    small = name.lower()
    return next((axis for axis in "TYX" if small in AXIS_NAMES[axis]), "")


def _named_as_place(variable: ArrayVariable) -> bool:
    return (
        bool(_by_units(variable))
        or variable.text("standard_name") in AXIS_STANDARD_NAMES["Y"] + AXIS_STANDARD_NAMES["X"]
    )


def _time_dimension(file: ArrayFile, variable: ArrayVariable) -> Optional[str]:
    for dim in variable.dims:
        own = file.find(dim)
        if own is not None and own.dims == (dim,) and axis_of(own) == "T":
            return dim
    for dim in variable.dims:
        if time_variable(file, dim) is not None or file.find(dim) is None and _by_name(dim.rpartition("/")[2]) == "T":
            return dim
    return None


def time_variable(file: ArrayFile, dim: str) -> Optional[ArrayVariable]:
    """The variable that holds the dates along a dimension: its own, else one over it that counts since a date, else the
    texts of "Times".
    """
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


def _horizontal(file: ArrayFile, variable: ArrayVariable) -> Optional[Axes]:
    """y and x by 1-D coordinates, else by 2-D ones, else by the names of dimensions."""
    own = {dim: file.find(dim) for dim in variable.dims}
    coordinates = {dim: one for dim, one in own.items() if one is not None and one.dims == (dim,)}
    found = {axis_of(one): dim for dim, one in coordinates.items() if axis_of(one) in ("Y", "X")}
    if len(found) < 2:  # two coordinates with the same units: their names tell them apart
        named = {_by_name(one.short): dim for dim, one in coordinates.items() if _by_name(one.short) in ("Y", "X")}
        found = named if len(named) == 2 else found
    one_d = [dim for dim in variable.dims if dim in found.values()]
    latitude, longitude = (_place(file, variable, axis) for axis in "YX")
    two_d = latitude is not None and longitude is not None and latitude.dims == longitude.dims
    if len(one_d) == 2 and len(found) == 2:
        axes = Axes(found["Y"], found["X"])
        if two_d and len(latitude.dims) >= 2 and set(latitude.dims[-2:]) == set(one_d):
            axes.latitude, axes.longitude = latitude, longitude
        return axes
    if two_d and len(latitude.dims) >= 2:
        return Axes(latitude.dims[-2], latitude.dims[-1], latitude=latitude, longitude=longitude)
    if latitude is not None and longitude is not None and latitude.dims != longitude.dims:
        return Axes(latitude.dims[0], longitude.dims[0], latitude=latitude, longitude=longitude)
    return None


def _place(file: ArrayFile, variable: ArrayVariable, axis: str) -> Optional[ArrayVariable]:
    """A coordinate of latitude ("Y") or longitude over dimensions of the variable that it does not share its name with:
    listed by the variable, else in its group or above.
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


def _pick(file: ArrayFile, variable: ArrayVariable, dim: str, chosen: dict[str, str], axes: Axes, name: str) -> None:
    """Choose the index of one further dimension."""
    short = dim.rpartition("/")[2]
    length = variable.shape[variable.dims.index(dim)]
    if short in _COMBINED and short not in chosen and length > 1:
        axes.combined = dim
        return
    if length == 1 and short not in chosen:
        axes.picks[dim] = 0
        return
    values = _values_along(file, dim, length)
    wanted = chosen.get(short)
    index = _index_of(wanted, values) if wanted is not None else None
    if index is None:
        said = ", ".join(values[:8]) + (", ..." if length > 8 else "")
        raise DataError(
            f"'{name}': the variable has a further dimension"
            if wanted is None
            else f"'{name}': '{short}' has no value {wanted}",
            expected=f"one of its values: {said}",
            got=f"{short} of length {length}",
            remedy=f"Choose one by writing {variable.name}[{short}={values[0]}] as 'variable in the file'",
        )
    axes.picks[dim] = index


def _values_along(file: ArrayFile, dim: str, length: int) -> list[str]:
    own = file.find(dim)
    if own is None or own.dims[:1] != (dim,):
        return [str(number) for number in range(1, length + 1)]
    values = own.values()
    if values.dtype.kind in "SO":
        return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]
    return [f"{value:.10g}" if np.issubdtype(values.dtype, np.floating) else str(value) for value in values]


def _index_of(wanted: str, values: list[str]) -> Optional[int]:
    if wanted in values:
        return values.index(wanted)
    try:
        distance = np.abs(np.array([float(value) for value in values]) - float(wanted))
    except ValueError:
        return None
    nearest = int(np.argmin(distance))
    return nearest if distance[nearest] <= 1e-6 * max(1.0, abs(float(wanted))) else None
