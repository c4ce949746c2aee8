"""The dataset: one NetCDF file, each of its sequences on one grid and one clock. Nothing else writes or opens one.

CF-1.8, dimensions ``(time, y, x)``, north up, float32, ``_FillValue`` -9999 where a value is missing (NaN in memory);
``NAME_filled`` (0 observed, 1 filled) where gaps of a variable were filled; series ``(time, gauge)``. Sequences
(events, simulations) are groups, each laid out like a plain file. The attribute ``freshet_dataset`` of the file and of
each group sums it up as JSON, so QGIS reads it through GDAL without an engine; ``freshet_provenance`` says where it
came from.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Optional, Union

import numpy as np

from ..contracts.errors import DataError
from ..contracts.grid import Grid
from .cache import Cache
from .cf import read_gauges
from .sources.base import NETCDF_LOCK
from .store_format import (
    FILL_VALUE,
    FILLED_SUFFIX,
    FORMAT_VERSION,
    MASK_VARIABLE,
    PROVENANCE_ATTRIBUTE,
    SUMMARY_ATTRIBUTE,
    chunk_shape,
    not_ours,
)
from .store_write import DatasetWriter, SequencesWriter, write_dataset
from .variable_info import Gauges, Tally, VariableInfo

__all__ = [
    "FORMAT_VERSION", "MASK_VARIABLE", "PROVENANCE_ATTRIBUTE", "SUMMARY_ATTRIBUTE", "Dataset", "DatasetWriter",
    "Gauges", "SequencesWriter", "Tally", "VariableInfo", "chunk_shape", "list_sequences", "open_datasets",
    "write_dataset",
]  # fmt: skip

_FOREIGN = (KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError)


class _File:
    """A NetCDF file that its sequences share; closed with the last of them."""

    def __init__(self, path: Union[str, Path]) -> None:
        import netCDF4

        self.path = Path(path)
        self.users = 0
        if not self.path.is_file():
            raise DataError(
                "The dataset does not exist",
                expected="a prepared dataset (.nc)",
                got=str(self.path),
                remedy="Prepare it, or choose another file",
            )
        with NETCDF_LOCK:
            try:
                self.handle = netCDF4.Dataset(str(self.path), "r")
            except (OSError, RuntimeError) as error:
                raise not_ours(self.path, "no readable NetCDF file, or one that is cut short") from error
            try:
                self.handle.set_auto_maskandscale(False)
                self.summary, self.provenance = _read_attributes(self.handle)
                self.groups = dict(zip(self.summary.get("sequences", ()), self.summary.get("groups", ())))
            except _FOREIGN as error:
                self.handle.close()
                raise self.fault(error) from error

    def open(self, sequence: str) -> Dataset:
        """One sequence, or with "" the plain dataset; the file stays open while it is used."""
        with NETCDF_LOCK:
            try:
                if not sequence:
                    return Dataset(self, self.handle, self.summary, self.provenance)
                group = self.handle[self.groups[sequence]]
                summary, provenance = _read_attributes(group)
                return Dataset(self, group, summary, {**self.provenance, **provenance})
            except _FOREIGN as error:
                raise self.fault(error) from error
            finally:
                self.release(0)

    def release(self, users: int = 1) -> None:
        """One user less; the last one closes the file."""
        self.users -= users
        if self.users <= 0:
            with NETCDF_LOCK:
                self.handle.close()

    def fault(self, error: BaseException) -> DataError:
        """The sentence for what went wrong while opening."""
        if isinstance(error, DataError):
            return error
        return not_ours(self.path, "a NetCDF file without a valid Freshet summary")


class Dataset:
    """An open dataset on one clock: a plain file, or one sequence of a file. A context manager. Arrays are read when
    asked for.

    Attributes: ``path``, ``name``, ``sequence`` ("" for a plain dataset), ``grid``, ``step_seconds``, ``calendar``,
    ``variables`` (by name, in the order of the file), ``times`` (datetime64[s], start of each step, (T,), strictly
    rising, gaps are distances longer than the step), ``mask`` (bool (H, W), True inside the basin), ``gauges`` (or
    None), ``summary`` and ``provenance`` (plain JSON values). Where a raw copy lies beside the file
    (:mod:`core.data.cache`) and belongs to it, maps are read from there, unless ``use_cache`` is False.
    """

    def __init__(self, file: _File, handle: Any, summary: dict[str, Any], provenance: dict[str, Any]) -> None:
        self.path = file.path
        self.summary = summary
        self.provenance = provenance
        self.sequence: str = summary.get("sequence", "")
        self.name: str = f"{summary['name']} / {self.sequence}" if self.sequence else summary["name"]
        self.grid = Grid(**summary["grid"])
        self.step_seconds = float(summary["step_seconds"])
        self.calendar: str = summary["calendar"]
        self.variables = {values["name"]: VariableInfo(**values) for values in summary["variables"]}
        self._file: Optional[_File] = file
        self._handle = handle
        self.times: np.ndarray = np.asarray(handle["time"][:]).astype(np.int64).astype("datetime64[s]")
        self.mask: np.ndarray = np.asarray(handle[MASK_VARIABLE][:]) == 1
        self.gauges: Optional[Gauges] = read_gauges(handle) if "gauge" in handle.dimensions else None
        self.use_cache = True
        self.cache = Cache(self.path, self.fingerprint(), (len(self.times), *self.grid.shape))
        self._check_shapes()
        file.users += 1

    @classmethod
    def open(cls, path: Union[str, Path], sequence: str = "") -> Dataset:
        """Open a plain dataset or one sequence of a file for reading. Without a name a file with a single sequence
        gives that one. :class:`DataError` where the file is missing, broken or not made by Freshet, or where the
        sequence is not there or not named.
        """
        file = _File(path)
        names = list(file.groups)
        if not sequence and len(names) == 1:
            sequence = names[0]
        if bool(sequence) != bool(names) or (sequence and sequence not in names):
            file.release()
            raise _no_sequence(file, sequence)
        return file.open(sequence)

    def dynamic(self, name: str, start: int = 0, stop: Optional[int] = None) -> np.ndarray:
        """Steps ``start`` to ``stop`` (exclusive) of a variable: float32 (t, H, W) in its unit, NaN where missing."""
        return self.window(self._info(name, "variable in time").name, slice(start, stop))

    def window(
        self, name: str, steps: slice, rows: slice = slice(None), columns: slice = slice(None), observed: bool = False
    ) -> np.ndarray:
        """A part of a variable in time: float32 (t, h, w) in its unit, NaN where missing, and with ``observed`` also
        where a value was filled. A new array.
        """
        where = (steps, rows, columns)
        mapped = self.cache.maps(name) if self.use_cache else None
        values = self._read(name, where) if mapped is None else np.array(mapped[where])
        flags = self.flags(name, steps, rows, columns) if observed else None
        if flags is not None:
            values[flags] = np.nan
        return values

    def flags(
        self, name: str, steps: slice, rows: slice = slice(None), columns: slice = slice(None)
    ) -> Optional[np.ndarray]:
        """Which values of :meth:`window` were filled: bool of its shape, or None where the variable has none."""
        if not self.has_filled(name):
            return None
        mapped = self.cache.flags(name) if self.use_cache else None
        where = (steps, rows, columns)
        return (self._values(name + FILLED_SUFFIX, where) if mapped is None else np.asarray(mapped[where])) == 1

    def has_filled(self, name: str) -> bool:
        """Whether some values of a variable were filled and not observed."""
        return not self.variables[name].static and name + FILLED_SUFFIX in self._handle.variables

    def chunk_steps(self, name: str) -> int:
        """Steps that are decoded together; reading whole multiples of them decodes nothing twice."""
        with NETCDF_LOCK:
            chunks = self._handle[name].chunking()
        return int(chunks[0]) if isinstance(chunks, (list, tuple)) else 1

    def observed(self, name: str, start: int = 0, stop: Optional[int] = None) -> np.ndarray:
        """As :meth:`dynamic`, or :meth:`series` at gauges, with NaN also where a value was filled and not observed."""
        info = self.variables.get(name)
        if info is None or not info.gauges:
            return self.window(self._info(name, "variable in time").name, slice(start, stop), observed=True)
        values, flags = self.series(name, start, stop), self.filled(name, start, stop)
        if flags is not None:
            values[flags] = np.nan
        return values

    def series(self, name: str, start: int = 0, stop: Optional[int] = None) -> np.ndarray:
        """Steps ``start`` to ``stop`` (exclusive) at the gauges: float32 (t, G) in its unit, NaN where missing."""
        return self._read(self._info(name, "series at gauges").name, slice(start, stop))

    def static_map(self, name: str) -> np.ndarray:
        """A static map: float32 (H, W) in its unit, NaN where missing."""
        return self._read(self._info(name, "static map").name, slice(None))

    def filled(self, name: str, start: int = 0, stop: Optional[int] = None) -> Optional[np.ndarray]:
        """Which values of :meth:`dynamic` or :meth:`series` were filled and not observed: bool of their shape, or None
        where the variable has no filled value.
        """
        if not self.has_filled(name):
            return None
        if not self.variables[name].gauges:
            return self.flags(name, slice(start, stop))
        return self._values(name + FILLED_SUFFIX, slice(start, stop)) == 1

    def fingerprint(self) -> str:
        """SHA-256 (hex) of grid, times, mask, all values and which were filled, taken when the file was written."""
        return str(self.summary["fingerprint"])

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._file is None

    def close(self) -> None:
        """Close the file where no other sequence of it is in use; a second call does nothing."""
        if self._file is not None:
            self._file.release()
            self._file = self._handle = None

    def __enter__(self) -> Dataset:
        return self

    def __exit__(self, kind: Optional[type], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def _info(self, name: str, kind: str) -> VariableInfo:
        fitting = [info.name for info in self.variables.values() if _kind(info) == kind]
        if name not in fitting:
            raise DataError(
                f"The dataset '{self.name}' has no {kind} called '{name}'",
                expected=", ".join(fitting) or "none there",
                remedy="Choose one of these, or prepare the dataset with it",
            )
        return self.variables[name]

    def _read(self, name: str, where: Any) -> np.ndarray:
        values = np.array(self._values(name, where), dtype=np.float32)
        values[values == FILL_VALUE] = np.nan
        return values

    def _values(self, name: str, where: Any) -> np.ndarray:
        try:
            with NETCDF_LOCK:
                return np.asarray(self._handle[name][where])
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"The dataset '{self.name}' is damaged: '{name}' cannot be read",
                got=str(self.path),
                remedy="Prepare it again",
            ) from error

    def _check_shapes(self) -> None:
        steps, shape = len(self.times), self.grid.shape
        if self.mask.shape != shape or (steps > 1 and np.any(np.diff(self.times.astype(np.int64)) <= 0)):
            raise ValueError("grid or times do not fit")
        for info in self.variables.values():
            wanted = shape if info.static else (steps, *(((len(self.gauges or ()),)) if info.gauges else shape))
            if self._handle[info.name].shape != wanted:
                raise ValueError(f"shape of {info.name}")


def list_sequences(path: Union[str, Path]) -> list[str]:
    """Names of the sequences of a file, in its order; empty for a plain dataset. Raises as :meth:`Dataset.open`."""
    file = _File(path)
    file.release()
    return list(file.groups)


def open_datasets(path: Union[str, Path]) -> list[Dataset]:
    """All sequences of a file, or the one dataset of a plain one; each has to be closed. Raises as
    :meth:`Dataset.open`.
    """
    file = _File(path)
    found: list[Dataset] = []
    try:
        for sequence in list(file.groups) or [""]:
            found.append(file.open(sequence))
    except DataError:
        for dataset in found:
            dataset.close()
        raise
    return found


def _kind(info: VariableInfo) -> str:
    if info.static:
        return "static map"
    return "series at gauges" if info.gauges else "variable in time"


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


def _no_sequence(file: _File, sequence: str) -> DataError:
    names = list(file.groups)
    if not names:
        return DataError(
            f"The dataset '{file.path.name}' has no sequences",
            got=f"the sequence '{sequence}' is asked for",
            remedy="Leave the sequence empty",
        )
    listed = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    return DataError(
        f"The dataset '{file.path.name}' has no sequence '{sequence}'"
        if sequence
        else f"The dataset '{file.path.name}' has several sequences, and none is named",
        expected=listed,
        remedy="Choose one of these",
    )
