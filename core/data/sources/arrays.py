"""Files of named arrays with dimensions and attributes: NetCDF (and HDF5) and Zarr, behind one look.

Values come raw, as stored; :func:`unpack` makes float32 of them. Names in groups are written ``group/variable``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from .base import FILL_LIMIT, NETCDF_LOCK, UnreadableError

_LIBRARY_FILL = 9.969209968386869e36  # what the NetCDF library writes where no float was written


@dataclass
class ArrayVariable:
    """A variable: full name, full names of its dimensions, attributes, and how raw values are read."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: Any
    attrs: dict[str, Any]
    fetch: Callable[[Any], np.ndarray]

    @property
    def group(self) -> str:
        """The group that holds it; empty for the root."""
        return self.name.rpartition("/")[0]

    @property
    def short(self) -> str:
        """The name without groups."""
        return self.name.rpartition("/")[2]

    @property
    def numeric(self) -> bool:
        """Whether it holds real numbers."""
        return isinstance(self.dtype, np.dtype) and self.dtype.kind in "iuf"

    def text(self, attribute: str) -> str:
        """An attribute as text, empty where it is missing."""
        value = self.attrs.get(attribute, "")
        return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).strip()

    def values(self) -> np.ndarray:
        """All values as float64, unpacked, NaN where missing; texts as they are."""
        raw = self.fetch(Ellipsis)
        if raw.dtype.kind == "S" and raw.dtype.itemsize == 1 and raw.ndim > 1:
            return np.array([b"".join(row).strip(b"\x00 ") for row in raw.reshape(-1, raw.shape[-1])])
        return unpack(raw, self.attrs, np.float64) if raw.dtype.kind in "iuf" else raw


@dataclass
class ArrayFile:
    """An open file. Use :func:`open_netcdf` or :func:`open_zarr`, and close it."""

    path: str
    variables: dict[str, ArrayVariable] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)
    closing: Callable[[], None] = lambda: None

    def find(self, name: str, group: str = "") -> Optional[ArrayVariable]:
        """The variable of this name in the group or the nearest one above it."""
        name = name.lstrip("/")
        while True:
            found = self.variables.get(f"{group}/{name}" if group else name)
            if found is not None or not group:
                return found
            group = group.rpartition("/")[0]

    def close(self) -> None:
        """Close it."""
        self.closing()


def open_netcdf(path: str, name: str) -> ArrayFile:
    """Open a NetCDF or HDF5 file; :class:`UnreadableError` where that fails. One thread at a time reads."""
    import netCDF4

    with NETCDF_LOCK:
        try:
            handle = netCDF4.Dataset(path, "r")
            handle.set_auto_maskandscale(False)
            handle.set_auto_chartostring(False)
            opened = ArrayFile(path, attrs={key: handle.getncattr(key) for key in handle.ncattrs()})
            _collect(handle, opened, name)
        except (OSError, RuntimeError, AttributeError) as error:
            raise unreadable(path, name, error, "NetCDF file") from error

    def closing() -> None:
        with NETCDF_LOCK:
            if handle.isopen():
                handle.close()

    opened.closing = closing
    return opened


def open_zarr(path: str, name: str) -> ArrayFile:
    """Open a Zarr store (format 2 or 3, with groups); :class:`UnreadableError` where that fails."""
    try:
        import xarray
        import zarr
    except ImportError as error:
        raise unreadable(path, name, error, "Zarr store") from error

    opened = ArrayFile(path)
    failures = (OSError, ValueError, KeyError, TypeError, RuntimeError, zarr.errors.BaseZarrError)
    try:
        groups = [""]
        while groups:
            group = groups.pop(0)
            node = zarr.open_group(path, path=group, mode="r")
            groups += [f"{group}/{inner}".lstrip("/") for inner, _ in node.groups()]
            dataset = xarray.open_dataset(
                path, engine="zarr", group=group or None, decode_cf=False, chunks=None, consolidated=False
            )
            opened.attrs.update(dataset.attrs if not group else {})
            prefix = f"{group}/" if group else ""
            for key, variable in dataset.variables.items():
                opened.variables[prefix + str(key)] = _from_xarray(prefix, str(key), variable, path, name)
    except failures as error:
        raise unreadable(path, name, error, "Zarr store") from error
    return opened


def unpack(
    raw: np.ndarray, attrs: dict[str, Any], kind: Any = np.float32, huge: Callable[[], None] = lambda: None
) -> np.ndarray:
    """Raw values as floats: declared fills, values outside the valid range and fills of 1e20 and above are NaN, scale
    and offset applied (in double precision). Always a new array. ``huge`` is called where there are such fills that are
    neither declared nor those of the NetCDF library.
    """
    if str(attrs.get("_Unsigned", "")).lower() == "true" and raw.dtype.kind == "i":
        raw = raw.view(raw.dtype.str.replace("i", "u"))
        attrs = {key: _unsigned(value, raw.dtype) for key, value in attrs.items()}
    scale, offset = (_number(attrs.get(key)) for key in ("scale_factor", "add_offset"))
    packed = scale is not None or offset is not None
    missing = _declared(raw, attrs)
    low, high, typed = _valid_range(attrs)
    unpacked_range = packed and raw.dtype.kind in "iu" and typed == "f"
    if not unpacked_range:
        missing = _outside(raw, low, high, missing)
    if packed:
        double = raw.astype(np.float64)
        double *= 1.0 if scale is None else scale
        double += offset or 0.0
        missing = _outside(double, low, high, missing) if unpacked_range else missing
        values = double.astype(kind)
    else:
        values = raw.astype(kind)
    if raw.dtype.kind == "f":
        above = np.abs(raw) >= FILL_LIMIT
        if above.any() and np.any(raw[above if missing is None else above & ~missing] != raw.dtype.type(_LIBRARY_FILL)):
            huge()
        missing = above if missing is None else missing | above
    if missing is not None:
        values[missing] = np.nan
    return values


def unreadable(path: str, name: str, error: BaseException, kind: str) -> UnreadableError:
    """The error for a file or store that cannot be read."""
    if os.path.exists(path) and not os.access(path, os.R_OK):
        return UnreadableError(
            f"'{name}': you have no right to read the {kind}",
            got=path,
            remedy="Ask for the right to read it, or choose another file",
        )
    return UnreadableError(
        f"'{name}': the {kind} cannot be read",
        expected=f"a complete {kind}",
        got=f"{path} ({str(error)[:200]})",
        remedy="Replace it, or keep its dates as gaps",
    )


def _collect(group: Any, opened: ArrayFile, name: str) -> None:
    prefix = group.path.strip("/")
    prefix = f"{prefix}/" if prefix else ""
    for key, variable in group.variables.items():
        dims = tuple(f"{one.group().path.strip('/')}/{one.name}".lstrip("/") for one in variable.get_dims())
        opened.variables[prefix + key] = ArrayVariable(
            prefix + key,
            dims,
            tuple(variable.shape),
            variable.dtype,
            {one: variable.getncattr(one) for one in variable.ncattrs()},
            _netcdf_reader(variable, opened.path, name),
        )
    for inner in group.groups.values():
        _collect(inner, opened, name)


def _netcdf_reader(variable: Any, path: str, name: str) -> Callable[[Any], np.ndarray]:
    def fetch(index: Any) -> np.ndarray:
        with NETCDF_LOCK:
            try:
                return np.asarray(variable[index])
            except (OSError, RuntimeError) as error:
                raise unreadable(path, name, error, "NetCDF file") from error

    return fetch


def _from_xarray(prefix: str, key: str, variable: Any, path: str, name: str) -> ArrayVariable:
    def fetch(index: Any) -> np.ndarray:
        try:
            return np.asarray(variable[index].values)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise unreadable(path, name, error, "Zarr store") from error

    dims = tuple(prefix + str(one) for one in variable.dims)
    return ArrayVariable(prefix + key, dims, tuple(variable.shape), variable.dtype, dict(variable.attrs), fetch)


def _declared(raw: np.ndarray, attrs: dict[str, Any]) -> Optional[np.ndarray]:
    """Where raw values are declared missing; None where nothing is declared."""
    fills: list[Any] = []
    for key in ("_FillValue", "missing_value"):
        if key in attrs:
            fills += [value for value in np.ravel(attrs[key]) if _number(value) is not None]
    if not fills and raw.dtype.kind in "iu" and raw.dtype.itemsize > 1:
        fills = [_default_fill(raw.dtype)]
    missing = None
    for value in fills:
        here = raw == (np.float32(value) if raw.dtype == np.float32 else _number(value))
        missing = here if missing is None else missing | here
    return missing


def _outside(
    values: np.ndarray, low: Optional[float], high: Optional[float], missing: Optional[np.ndarray]
) -> Optional[np.ndarray]:
    if low is not None:
        missing = values < low if missing is None else missing | (values < low)
    if high is not None:
        missing = values > high if missing is None else missing | (values > high)
    return missing


def _valid_range(attrs: dict[str, Any]) -> tuple[Optional[float], Optional[float], str]:
    """Lowest and highest valid value, and the kind of number they are given in: one of another kind than packed values
    is meant for the unpacked ones.
    """
    both = np.ravel(attrs["valid_range"]) if "valid_range" in attrs else []
    pair = both if len(both) == 2 else (attrs.get("valid_min"), attrs.get("valid_max"))
    low, high = _number(pair[0]), _number(pair[1])
    if low is not None and high is not None and low > high:
        return None, None, ""
    given = pair[0] if low is not None else pair[1]
    return low, high, np.asarray(given).dtype.kind if given is not None else ""


def _unsigned(value: Any, dtype: Any) -> Any:
    """A whole number of an attribute as unsigned; anything else as it is."""
    return np.asarray(value).astype(dtype) if np.asarray(value).dtype.kind == "i" else value


def _default_fill(dtype: Any) -> int:
    """What the NetCDF library writes where nothing was written."""
    names = {"i2": -32767, "u2": 65535, "i4": -2147483647, "u4": 4294967295, "i8": -9223372036854775806}
    return names.get(np.dtype(dtype).str[1:], 18446744073709551614)


def _number(value: Any) -> Optional[float]:
    try:
        return None if value is None else float(np.ravel(value)[0])
    except (TypeError, ValueError, IndexError):
        return None
