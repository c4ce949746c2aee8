"""Writing what lies on one clock into a dataset file, block by block."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np

from ..contracts.grid import Grid
from .cf import attributes, define_gauges, define_grid, define_time, flag_attributes
from .store_file import OutputFile, write_texts
from .store_format import (
    FILL_VALUE,
    FILLED_SUFFIX,
    FORMAT_VERSION,
    MASK_VARIABLE,
    PROVENANCE_ATTRIBUTE,
    SUMMARY_ATTRIBUTE,
    cache_bytes,
    check_names,
    check_times,
    chunk_shape,
    gaps_between,
)
from .variable_info import Gauges, Tally, VariableInfo

_IDLE_CACHE = 2**16
_Place = tuple[slice, slice]


class GroupWriter:
    """Writes what lies on one clock: a whole plain dataset, or one sequence of several. Bounded memory.

    :meth:`append` the steps of each variable in time in order, :meth:`write_static`, then :meth:`finish` once.
    """

    def __init__(
        self, *, name: str, grid: Grid, times: np.ndarray, step_seconds: float, variables: Sequence[VariableInfo],
        calendar: str = "standard", gauges: Optional[Gauges] = None, sequence: str = "",
    ) -> None:  # fmt: skip
        self.name, self.grid, self.calendar, self.step_seconds = name, grid, calendar, float(step_seconds)
        self.sequence, self.gauges, self.fingerprint = sequence, gauges or None, ""
        self.times = check_times(times)
        self.variables = {info.name: info for info in variables}
        check_names([info.name for info in variables])
        if not gauges and any(info.gauges for info in variables):
            raise ValueError("series at gauges need the gauges")
        self._written = {info.name: 0 for info in variables}
        self._rows = {info.name: 0 for info in variables}
        self._tallies = {info.name: Tally() for info in variables}
        self._unflagged: dict[str, list[_Place]] = {info.name: [] for info in variables}
        self._flagged: set[str] = set()
        self._file: Any = None
        self._handle: Any = None

    def begin(self, file: OutputFile, handle: Any) -> None:
        """Define dimensions, coordinates and variables in an open file or one of its groups."""
        self._file, self._handle = file, handle
        file.guarded(self._define)

    def append(self, name: str, block: np.ndarray) -> None:
        """Write the next steps of a variable; NaN means missing.

        (t, H, W) for maps, or (t, h, W) for some of their rows: blocks of rows of the same steps follow each other
        from the north. (t, G) for series at gauges.
        """
        values = np.asarray(block, dtype=np.float32)
        steps = slice(self._written[name], self._written[name] + len(values))
        rows = slice(self._rows[name], self._rows[name] + values.shape[1])
        height, width = self._shape(name)
        fits = values.shape[2:] == width and rows.stop <= height and steps.stop <= len(self.times)
        if not fits or (rows.start and self._unflagged[name][-1][0] != steps):
            raise ValueError(f"{name}: a block of shape {values.shape} at step {steps.start} does not fit the dataset")
        whole = rows.stop == height
        self._tallies[name].add(values, whole)
        self._put(name, (steps, rows), np.where(np.isfinite(values), values, FILL_VALUE))
        self._unflagged[name].append((steps, rows))
        self._rows[name] = 0 if whole else rows.stop
        self._written[name] = steps.stop if whole else steps.start
        if self._written[name] == len(self.times):
            self._file.guarded(lambda: self._handle[name].set_var_chunk_cache(_IDLE_CACHE))

    def append_filled(self, name: str, block: np.ndarray) -> None:
        """Say which values of the block that was appended last were filled: bool of its shape. Blocks of which nothing
        is said were observed.
        """
        flags, (steps, rows) = np.asarray(block, dtype=bool), self._unflagged[name][-1]
        if flags.shape != (steps.stop - steps.start, rows.stop - rows.start, *self._shape(name)[1]):
            raise ValueError(f"{name}: flags of shape {flags.shape} do not fit the block appended last")
        if not flags.any():
            return
        if name not in self._flagged:
            self._file.guarded(lambda: self._define_flags(name))
            self._flagged.add(name)
        self._put(name + FILLED_SUFFIX, (steps, rows), flags.astype(np.int8))
        self._tallies[name].filled += int(flags.sum())
        self._unflagged[name][-1] = (steps, slice(rows.stop, rows.stop))

    def write_static(self, name: str, values: np.ndarray) -> None:
        """Write a static map (H, W), or its next rows (h, W) from the north; NaN means missing."""
        values = np.asarray(values, dtype=np.float32)
        first, last = self._rows[name], self._rows[name] + len(values)
        if values.shape[1:] != self.grid.shape[1:] or last > self.grid.rows or self._written[name]:
            raise ValueError(f"{name}: a map of shape {values.shape} does not fit the grid {self.grid.shape}")
        whole = last == self.grid.rows
        self._tallies[name].add(values[None], whole)
        self._put(name, slice(first, last), np.where(np.isfinite(values), values, FILL_VALUE))
        self._rows[name], self._written[name] = 0 if whole else last, int(whole)

    def finish(
        self, mask: np.ndarray, provenance: Mapping[str, Any], variables: Sequence[VariableInfo] = ()
    ) -> None:  # fmt: skip
        """Write mask (bool (H, W)), summary and provenance; every variable must be complete. ``variables`` replaces
        what was said of variables at the start, where that was known only later (fill, resampling, error).
        """
        steps = len(self.times)
        short = [n for n, info in self.variables.items() if self._written[n] != (1 if info.static else steps)]
        if short:
            raise ValueError(f"not all steps were written: {', '.join(short)}")
        mask = np.asarray(mask, dtype=bool)
        if mask.shape != self.grid.shape:
            raise ValueError(f"the mask of shape {mask.shape} does not fit the grid {self.grid.shape}")
        self.variables.update({info.name: info for info in variables})
        self._put(MASK_VARIABLE, slice(None), mask.astype(np.int8))
        flags = self._file.guarded(self._complete_flags)
        self.fingerprint = self._fingerprint(mask, flags)
        texts = {SUMMARY_ATTRIBUTE: self._summary(), PROVENANCE_ATTRIBUTE: dict(provenance)}
        self._file.guarded(lambda: write_texts(self._handle, texts))

    def _shape(self, name: str) -> tuple[int, tuple[int, ...]]:
        """Length of the second dimension, and what follows it."""
        if self.variables[name].gauges:
            return len(self.gauges), ()
        return self.grid.rows, (self.grid.columns,)

    def _put(self, name: str, where: Any, values: np.ndarray) -> None:
        def put() -> None:
            self._handle[name][where] = values

        self._file.guarded(put)

    def _complete_flags(self) -> bytes:
        """Write "observed" where nothing was said of a block; a digest of all flags."""
        digest = hashlib.sha256()
        for name in sorted(self._flagged):
            variable = self._handle[name + FILLED_SUFFIX]
            for steps, rows in self._unflagged[name]:
                if rows.stop > rows.start:
                    shape = (steps.stop - steps.start, rows.stop - rows.start, *self._shape(name)[1])
                    variable[steps, rows] = np.zeros(shape, dtype=np.int8)
            digest.update(name.encode())
            for step in range(len(self.times)):
                digest.update(np.packbits(np.asarray(variable[step]) == 1).tobytes())
        return digest.digest() if self._flagged else b""

    def _fingerprint(self, mask: np.ndarray, flags: bytes) -> str:
        digest = hashlib.sha256(json.dumps(dataclasses.asdict(self.grid)).encode())
        digest.update(self.times.astype("<i8").tobytes() + np.packbits(mask).tobytes() + flags)
        for name, tally in self._tallies.items():
            digest.update(name.encode() + tally.digest.digest())
        return digest.hexdigest()

    def _summary(self) -> dict[str, Any]:
        tallies = self._tallies
        return {
            "version": FORMAT_VERSION, "name": self.name, "sequence": self.sequence,
            "grid": dataclasses.asdict(self.grid),
            "start": str(self.times[0]), "end": str(self.times[-1]), "steps": len(self.times),
            "step_seconds": self.step_seconds, "calendar": self.calendar,
            "variables": [dataclasses.asdict(tallies[n].complete(info)) for n, info in self.variables.items()],
            "gauges": 0 if self.gauges is None else len(self.gauges),
            "gaps": gaps_between(self.times, self.step_seconds), "fingerprint": self.fingerprint,
        }  # fmt: skip

    def _define(self) -> None:
        handle, (rows, columns) = self._handle, self.grid.shape
        for dimension, size in (("time", len(self.times)), ("y", rows), ("x", columns)):
            handle.createDimension(dimension, size)
        define_time(handle, self.times, self.calendar, self.step_seconds)
        define_grid(handle, self.grid)
        if self.gauges is not None:
            define_gauges(handle, self.gauges)
        mask = handle.createVariable(MASK_VARIABLE, "i1", ("y", "x"), zlib=True, complevel=1)
        mask.setncatts(
            {
                "long_name": "1 inside the basin",
                "flag_values": np.array([0, 1], dtype=np.int8),
                "flag_meanings": "outside inside",
                "grid_mapping": "crs",
            }
        )
        for info in self.variables.values():
            self._create(info.name, "f4", info, FILL_VALUE).setncatts(attributes(info))

    def _define_flags(self, name: str) -> None:
        info = self.variables[name]
        self._create(name + FILLED_SUFFIX, "i1", info, None).setncatts(flag_attributes(info))
        self._handle[name].setncattr("ancillary_variables", name + FILLED_SUFFIX)

    def _create(self, name: str, kind: str, info: VariableInfo, missing: Optional[np.float32]) -> Any:
        steps, (rows, columns) = len(self.times), self.grid.shape
        depth, tile_rows, tile_columns = chunk_shape(steps, rows, columns)
        dimensions: tuple[str, ...] = ("time", "y", "x")
        chunks: tuple[int, ...] = (depth, tile_rows, tile_columns)
        if info.static:
            dimensions, chunks = dimensions[1:], chunks[1:]
        elif info.gauges:
            count = max(1, len(self.gauges))
            dimensions, chunks = ("time", "gauge"), chunk_shape(steps, 1, count)[::2]
        shape = {"dimensions": dimensions, "chunksizes": chunks, "fill_value": missing}
        variable = self._handle.createVariable(name, kind, zlib=True, complevel=1, shuffle=True, **shape)
        if len(chunks) == 3:
            variable.set_var_chunk_cache(cache_bytes(chunks, rows, columns))
        return variable
