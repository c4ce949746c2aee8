"""The dataset: one NetCDF file on one grid and one clock. Nothing else writes or opens one.

CF-1.8, dimensions ``(time, y, x)``, north up, float32, ``_FillValue`` -9999 where a value is missing (NaN in memory).
The global attribute ``freshet_dataset`` sums the file up as JSON, so QGIS reads it through GDAL without an engine;
``freshet_provenance`` says where it came from.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Optional, Union

import numpy as np

from ..contracts.errors import DataError
from ..contracts.files import whole_file
from ..contracts.grid import Grid
from .cf import define_grid, define_time
from .variable_info import Tally, VariableInfo

SUMMARY_ATTRIBUTE = "freshet_dataset"
PROVENANCE_ATTRIBUTE = "freshet_provenance"
MASK_VARIABLE = "basin_mask"
FORMAT_VERSION = 1
FILL_VALUE = np.float32(-9999.0)
_CHUNK_BYTES = 2**18
_RESERVED = {"time", "y", "x", "crs", MASK_VARIABLE}


class Dataset:
    """An open dataset; a context manager. Arrays are read when asked for.

    Attributes: ``path``, ``name``, ``grid``, ``step_seconds``, ``calendar``, ``variables`` (by name, in the order of
    the file), ``times`` (datetime64[s], start of each step, (T,), strictly rising, gaps are distances longer than the
    step), ``mask`` (bool (H, W), True inside the basin), ``summary`` and ``provenance`` (plain JSON values).
    """

    def __init__(self, path: Path, handle: Any, summary: dict[str, Any], provenance: dict[str, Any]) -> None:
        self.path = path
        self.summary = summary
        self.provenance = provenance
        self.name: str = summary["name"]
        self.grid = Grid(**summary["grid"])
        self.step_seconds = float(summary["step_seconds"])
        self.calendar: str = summary["calendar"]
        self.variables = {values["name"]: VariableInfo(**values) for values in summary["variables"]}
        self._handle = handle
        self.times: np.ndarray = np.asarray(handle["time"][:]).astype(np.int64).astype("datetime64[s]")
        self.mask: np.ndarray = np.asarray(handle[MASK_VARIABLE][:]) == 1
        self._check_shapes()

    @classmethod
    def open(cls, path: Union[str, Path]) -> Dataset:
        """Open a dataset for reading; :class:`DataError` where it is missing, broken or not made by Freshet."""
        import netCDF4

        place = Path(path)
        if not place.is_file():
            raise DataError(
                "The dataset does not exist",
                expected="a prepared dataset (.nc)",
                got=str(place),
                remedy="Prepare it, or choose another file",
            )
        try:
            handle = netCDF4.Dataset(str(place), "r")
        except (OSError, RuntimeError) as error:
            raise _not_ours(place, "no readable NetCDF file, or one that is cut short") from error
        try:
            handle.set_auto_maskandscale(False)
            return cls(place, handle, *_read_attributes(handle))
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            handle.close()
            if isinstance(error, DataError):
                raise
            raise _not_ours(place, "a NetCDF file without a valid Freshet summary") from error

    def dynamic(self, name: str, start: int = 0, stop: Optional[int] = None) -> np.ndarray:
        """Steps ``start`` to ``stop`` (exclusive) of a variable: float32 (t, H, W) in its unit, NaN where missing."""
        return self._read(self._info(name, static=False).name, slice(start, stop))

    def static_map(self, name: str) -> np.ndarray:
        """A static map: float32 (H, W) in its unit, NaN where missing."""
        return self._read(self._info(name, static=True).name, slice(None))

    def fingerprint(self) -> str:
        """SHA-256 (hex) of grid, times, mask and all values, taken when the file was written."""
        return str(self.summary["fingerprint"])

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def __enter__(self) -> Dataset:
        return self

    def __exit__(self, kind: Optional[type], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def _info(self, name: str, static: bool) -> VariableInfo:
        fitting = [info.name for info in self.variables.values() if info.static == static]
        if name not in fitting:
            raise DataError(
                f"The dataset '{self.name}' has no {'static map' if static else 'variable in time'} called '{name}'",
                expected=", ".join(fitting) or "none there",
                remedy="Choose one of these, or prepare the dataset with it",
            )
        return self.variables[name]

    def _read(self, name: str, steps: slice) -> np.ndarray:
        try:
            values = np.array(self._handle[name][steps], dtype=np.float32)
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"The dataset '{self.name}' is damaged: '{name}' cannot be read",
                got=str(self.path),
                remedy="Prepare it again",
            ) from error
        values[values == FILL_VALUE] = np.nan
        return values

    def _check_shapes(self) -> None:
        steps, shape = len(self.times), self.grid.shape
        if self.mask.shape != shape or (steps > 1 and np.any(np.diff(self.times.astype(np.int64)) <= 0)):
            raise ValueError("grid or times do not fit")
        for info in self.variables.values():
            if self._handle[info.name].shape != (shape if info.static else (steps, *shape)):
                raise ValueError(f"shape of {info.name}")


class DatasetWriter:
    """Writes a dataset block by block in bounded memory; use as a context manager, whole or absent.

    Inside ``with``: :meth:`append` the steps of each dynamic variable in order, :meth:`write_static`, then
    :meth:`finish` once. Leaving the block without :meth:`finish`, or by an exception, leaves no file. A disk that is
    full or read-only raises :class:`DataError`.
    """

    def __init__(
        self, path: Union[str, Path], *, name: str, grid: Grid, times: np.ndarray, step_seconds: float,
        variables: list[VariableInfo], calendar: str = "standard",
    ) -> None:  # fmt: skip
        self.path = Path(path)
        self.name, self.grid, self.calendar, self.step_seconds = name, grid, calendar, float(step_seconds)
        self.times = _checked_times(times)
        self.variables = {info.name: info for info in variables}
        _check_names([info.name for info in variables])
        self._stack = contextlib.ExitStack()
        self._written = {info.name: 0 for info in variables}
        self._tallies = {info.name: Tally() for info in variables}
        self._finished = False
        self._handle: Any = None

    def __enter__(self) -> DatasetWriter:
        import netCDF4

        try:
            temporary = self._stack.enter_context(whole_file(self.path))
            self._handle = netCDF4.Dataset(str(temporary), "w", format="NETCDF4")
        except (OSError, RuntimeError) as error:
            self._stack.__exit__(type(error), error, error.__traceback__)
            raise self._unwritable(error) from error
        self._handle.set_auto_maskandscale(False)
        self._define()
        return self

    def __exit__(
        self, kind: Optional[type], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> Optional[bool]:
        try:
            if self._handle is not None:
                self._handle.close()
            if error is None and not self._finished:
                raise RuntimeError("a dataset was left without finish()")
        except (OSError, RuntimeError) as problem:
            self._stack.__exit__(type(problem), problem, problem.__traceback__)
            if error is None:
                raise self._unwritable(problem) from problem
            return None
        try:
            self._stack.__exit__(kind, error, trace)
        except OSError as problem:
            raise self._unwritable(problem) from problem
        return None

    def append(self, name: str, block: np.ndarray) -> None:
        """Write the next steps (t, H, W) of a dynamic variable; NaN means missing."""
        values = np.asarray(block, dtype=np.float32)
        start = self._written[name]
        if values.shape[1:] != self.grid.shape or start + len(values) > len(self.times):
            raise ValueError(f"{name}: a block of shape {values.shape} at step {start} does not fit the dataset")
        self._put(name, slice(start, start + len(values)), values)
        self._written[name] = start + len(values)

    def write_static(self, name: str, values: np.ndarray) -> None:
        """Write a static map (H, W); NaN means missing."""
        values = np.asarray(values, dtype=np.float32)
        if values.shape != self.grid.shape:
            raise ValueError(f"{name}: a map of shape {values.shape} does not fit the grid {self.grid.shape}")
        self._put(name, slice(None), values)
        self._written[name] = 1

    def finish(self, mask: np.ndarray, provenance: Mapping[str, Any]) -> None:
        """Write mask (bool (H, W)), summary and provenance; every variable must be complete."""
        steps = len(self.times)
        short = [n for n, info in self.variables.items() if self._written[n] != (1 if info.static else steps)]
        if short:
            raise ValueError(f"not all steps were written: {', '.join(short)}")
        mask = np.asarray(mask, dtype=bool)
        if mask.shape != self.grid.shape:
            raise ValueError(f"the mask of shape {mask.shape} does not fit the grid {self.grid.shape}")
        self._handle[MASK_VARIABLE][:] = mask.astype(np.int8)
        self._handle.setncattr(SUMMARY_ATTRIBUTE, json.dumps(self._summary(mask), ensure_ascii=False, allow_nan=False))
        self._handle.setncattr(PROVENANCE_ATTRIBUTE, json.dumps(dict(provenance), ensure_ascii=False, allow_nan=False))
        self._finished = True

    def _put(self, name: str, where: slice, values: np.ndarray) -> None:
        self._tallies[name].add(values)
        try:
            self._handle[name][where] = np.where(np.isnan(values), FILL_VALUE, values)
        except (OSError, RuntimeError) as error:
            raise self._unwritable(error) from error

    def _summary(self, mask: np.ndarray) -> dict[str, Any]:
        digest = hashlib.sha256(json.dumps(dataclasses.asdict(self.grid)).encode())
        digest.update(self.times.astype("<i8").tobytes() + np.packbits(mask).tobytes())
        for name, tally in self._tallies.items():
            digest.update(name.encode() + tally.digest.digest())
        return {
            "version": FORMAT_VERSION, "name": self.name, "grid": dataclasses.asdict(self.grid),
            "start": str(self.times[0]), "end": str(self.times[-1]), "steps": len(self.times),
            "step_seconds": self.step_seconds, "calendar": self.calendar,
            "variables": [dataclasses.asdict(self._tallies[n].complete(info)) for n, info in self.variables.items()],
            "gaps": _gaps(self.times, self.step_seconds), "fingerprint": digest.hexdigest(),
        }  # fmt: skip

    def _define(self) -> None:
        handle, (rows, columns) = self._handle, self.grid.shape
        handle.setncatts({"Conventions": "CF-1.8", "title": self.name, "source": "Freshet"})
        for dimension, size in (("time", len(self.times)), ("y", rows), ("x", columns)):
            handle.createDimension(dimension, size)
        define_time(handle, self.times, self.calendar)
        define_grid(handle, self.grid)
        mask = handle.createVariable(MASK_VARIABLE, "i1", ("y", "x"))
        mask.setncatts({"long_name": "1 inside the basin", "grid_mapping": "crs"})
        depth = int(np.clip(_CHUNK_BYTES // (4 * rows * columns), 1, len(self.times)))
        for info in self.variables.values():
            dimensions, chunks = (
                (("y", "x"), (rows, columns)) if info.static else (("time", "y", "x"), (depth, rows, columns))
            )
            variable = handle.createVariable(
                info.name,
                "f4",
                dimensions,
                zlib=True,
                complevel=1,
                shuffle=True,
                chunksizes=chunks,
                fill_value=FILL_VALUE,
            )
            variable.setncatts(
                {
                    "units": "1" if info.units == "-" else info.units,
                    "long_name": info.label or info.name,
                    "grid_mapping": "crs",
                    "freshet_role": info.role,
                    "freshet_quantity": info.quantity,
                }
            )

    def _unwritable(self, error: BaseException) -> DataError:
        folder = next(parent for parent in self.path.absolute().parents if parent.exists())
        free = shutil.disk_usage(folder).free / 2**20
        return DataError(
            f"The dataset '{self.path.name}' could not be written",
            got=f"{error}; {free:,.0f} MB free in {folder}",
            remedy="Free space there, or choose another folder for the dataset",
        )


def write_dataset(
    path: Union[str, Path],
    *,
    name: str,
    grid: Grid,
    times: np.ndarray,
    step_seconds: float,
    dynamic: Mapping[str, tuple[VariableInfo, Union[np.ndarray, Iterator[np.ndarray]]]],
    static: Mapping[str, tuple[VariableInfo, np.ndarray]],
    mask: np.ndarray,
    provenance: Mapping[str, Any],
    calendar: str = "standard",
) -> None:
    """Write a dataset, whole or not at all.

    Parameters
    ----------
    times : ndarray of datetime64, (T,)
        Start of each step, strictly rising.
    dynamic, static : mapping of name to (info, values)
        Values of a dynamic variable are an array (T, H, W) or an iterator of blocks (t, H, W) in order; of a static
        one an array (H, W). NaN means missing.
    mask : bool (H, W)
        True inside the basin.
    """
    infos = [dataclasses.replace(info, name=key, static=False) for key, (info, _) in dynamic.items()]
    infos += [dataclasses.replace(info, name=key, static=True, role="static") for key, (info, _) in static.items()]
    writer = DatasetWriter(
        path, name=name, grid=grid, times=times, step_seconds=step_seconds, variables=infos, calendar=calendar
    )
    with writer:
        for key, (_, values) in static.items():
            writer.write_static(key, values)
        for key, (_, values) in dynamic.items():
            for block in [values] if hasattr(values, "shape") else values:
                writer.append(key, block)
        writer.finish(mask, provenance)


def _read_attributes(handle: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    summary = json.loads(handle.getncattr(SUMMARY_ATTRIBUTE))
    if summary["version"] > FORMAT_VERSION:
        raise DataError(
            "The dataset was made by a newer Freshet",
            expected=f"format {FORMAT_VERSION} or older",
            got=f"format {summary['version']}",
            remedy="Update Freshet, or prepare the dataset again",
        )
    provenance = json.loads(handle.getncattr(PROVENANCE_ATTRIBUTE)) if PROVENANCE_ATTRIBUTE in handle.ncattrs() else {}
    return summary, provenance


def _not_ours(path: Path, found: str) -> DataError:
    return DataError(
        f"'{path.name}' is no Freshet dataset",
        expected="a NetCDF file that 'prepare' has written",
        got=found,
        remedy="Prepare a dataset from this file, or choose another one",
    )


def _checked_times(times: np.ndarray) -> np.ndarray:
    checked = np.asarray(times).astype("datetime64[s]")
    if len(checked) == 0 or np.any(np.diff(checked.astype(np.int64)) <= 0):
        raise ValueError("times have to be strictly rising and at least one")
    return checked


def _check_names(names: list[str]) -> None:
    reserved = [name for name in names if name in _RESERVED]
    if reserved:
        raise DataError(
            f"A variable cannot be called '{reserved[0]}'",
            remedy="Give it another name; this one is used by the dataset itself",
        )


def _gaps(times: np.ndarray, step_seconds: float) -> list[list[str]]:
    """[last step before, first step after] of each gap, as ISO texts."""
    wide = np.flatnonzero(np.diff(times.astype(np.int64)) > step_seconds)
    return [[str(times[i]), str(times[i + 1])] for i in wide]
