"""One file of a source of arrays: its variable, axes, places and dates, and the maps read from it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

import numpy as np

from ...contracts.dataset_job import SourceConfig
from ...contracts.errors import DataError
from .arrays import ArrayFile, ArrayVariable, unpack
from .axes import Axes, find_axes, has_time, map_variables, split_layer, time_variable
from .base import Window, mark_missing
from .calendars import Decoded, decode_times
from .places import Places, find_places, read_window

_OPEN_AT_ONCE = 24


@dataclass
class Piece:
    """A file's part of the record: ``steps`` maps, dated ``times`` (None without dates), of which ``kept`` exist in the
    standard calendar. ``huge`` becomes True where fills of 1e20 and above were read that nobody declared.
    """

    path: str
    variable: str
    axes: Axes
    places: Places
    steps: int
    signature: tuple[bytes, ...] = ()
    units: str = ""
    decoded: Optional[Decoded] = None
    huge: bool = False
    notes: list[str] = field(default_factory=list)


class FileCache:
    """Open files, the least used ones closed. Safe between threads; where files must be read by one thread at a time,
    ``reading`` is the lock for that.
    """

    def __init__(
        self, opener: Callable[[str, str], ArrayFile], name: str, reading: Optional[AbstractContextManager] = None
    ) -> None:
        self._opener, self._name = opener, name
        self._lock = threading.RLock() if reading is None else reading
        self._one_by_one = reading is not None
        self._files: OrderedDict[str, ArrayFile] = OrderedDict()

    def read(self, path: str, work: Callable[[ArrayFile], np.ndarray]) -> np.ndarray:
        """What ``work`` makes of the open file."""
        if not self._one_by_one:
            return work(self.open(path))
        with self._lock:
            return work(self.open(path))

    def open(self, path: str) -> ArrayFile:
        """The open file."""
        with self._lock:
            if path not in self._files:
                self._files[path] = self._opener(path, self._name)
                while len(self._files) > _OPEN_AT_ONCE:
                    self._files.popitem(last=False)[1].close()
            self._files.move_to_end(path)
            return self._files[path]

    def close(self) -> None:
        """Close all."""
        with self._lock:
            for file in self._files.values():
                file.close()
            self._files.clear()


def choose_variable(file: ArrayFile, layer: str, static: bool, name: str) -> tuple[str, dict[str, str], list[str]]:
    """The variable that ``layer`` names, or the only one that fits; chosen values of further dimensions; notes.

    Raises :class:`DataError` that lists the variables where the name is missing or several fit.
    """
    wanted, chosen = split_layer(layer, file.variables)
    there = map_variables(file)
    if wanted in file.variables and file.variables[wanted].numeric:
        return wanted, chosen, []
    short = [one for one in there if one.rpartition("/")[2] == wanted]
    if wanted and len(short) == 1:
        return short[0], chosen, []
    fitting = [one for one in there if has_time(file, one) != static]
    if not wanted and len(there) == 1:
        return there[0], chosen, []
    if not wanted and len(fitting) == 1:
        kind = "does not vary" if static else "varies"
        return fitting[0], chosen, [f"'{name}': '{fitting[0]}' is taken, the only variable that {kind} in time."]
    raise DataError(
        f"'{name}': the file has no variable '{wanted}'"
        if wanted
        else f"'{name}': the file holds several variables, or none",
        expected=", ".join(there) or "a variable with two dimensions in space",
        got=file.path,
        remedy="Choose one of these as 'variable in the file'" if there else "Choose another file",
    )


def make_piece(
    file: ArrayFile, variable_name: str, chosen: dict[str, str], config: SourceConfig, like: Optional[Piece] = None
) -> Piece:
    """Look at one file: everything but the values. Places are those of ``like`` where the coordinates are the same."""
    variable = file.variables[variable_name]
    static = config.role == "static"
    axes = find_axes(file, variable, chosen, static, config.variable)
    signature = _signature(file, axes)
    if like is not None and like.signature == signature:
        places, axes.y, axes.x = like.places, like.axes.y, like.axes.x
    else:
        places = find_places(file, variable, axes, config)
    steps = variable.shape[variable.dims.index(axes.time)] if axes.time else 0
    piece = Piece(file.path, variable_name, axes, places, steps, signature, variable.text("units"))
    if axes.combined:
        piece.notes.append(
            f"'{config.variable}': the layers along '{axes.combined}' complete each other; the first that is present "
            "is taken."
        )
    if steps and not static:
        piece.decoded = _dates(file, axes.time, config.variable, piece.notes)
    return piece


def read_piece(file: ArrayFile, piece: Piece, steps: np.ndarray, window: Window, config: SourceConfig) -> np.ndarray:
    """Maps ``steps`` (n, any order) of a piece: float32 (n, window.rows, window.columns), north first."""
    variable = file.variables[piece.variable]
    out = np.empty((len(steps), window.rows, window.columns), dtype=np.float32)
    order = np.argsort(steps, kind="stable")
    ordered = steps[order]
    for run in np.split(np.arange(len(steps)), np.flatnonzero(np.diff(ordered) > 1) + 1):
        first, last = int(ordered[run[0]]), int(ordered[run[-1]])
        block = _block(variable, piece, slice(first, last + 1), window)
        out[order[run]] = block[ordered[run] - first]
    mark_missing(out, config.nodata)
    return out


def _block(variable: ArrayVariable, piece: Piece, steps: slice, window: Window) -> np.ndarray:
    axes = piece.axes
    if axes.combined is None:
        return _layer(variable, piece, steps, window, axes.picks)
    length = variable.shape[variable.dims.index(axes.combined)]
    out = _layer(variable, piece, steps, window, {**axes.picks, axes.combined: 0})
    for layer in range(1, length):
        other = _layer(variable, piece, steps, window, {**axes.picks, axes.combined: layer})
        np.copyto(out, other, where=np.isnan(out))
    return out


def _layer(variable: ArrayVariable, piece: Piece, steps: slice, window: Window, picks: dict[str, int]) -> np.ndarray:
    axes = piece.axes
    down, right, rows, columns = read_window(piece.places, window)
    pick = {axes.time: steps, axes.y: down, axes.x: right, **picks}
    raw = variable.fetch(tuple(pick[dim] for dim in variable.dims))
    kept = [dim for dim in variable.dims if isinstance(pick[dim], slice)]
    wanted = [dim for dim in (axes.time, axes.y, axes.x) if dim in kept]
    values = unpack(
        raw.transpose([kept.index(dim) for dim in wanted]), variable.attrs, huge=lambda: setattr(piece, "huge", True)
    )
    values = values if axes.time in kept else values[None]
    if columns is not None:
        return _taken(values, rows, columns)
    flat = values.reshape(len(values), -1)
    out = flat[:, np.maximum(rows, 0).ravel()].reshape(len(values), *rows.shape)
    out[:, rows < 0] = np.nan
    return out


def _taken(values: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Rows and columns in the order given; the plain cases without a copy."""
    if len(rows) > 1 and rows[0] > rows[-1] and np.all(np.diff(rows) == -1):
        values = values[:, ::-1]
    elif np.any(np.diff(rows) != 1):
        values = values[:, rows]
    return values if np.all(np.diff(columns) == 1) else values[:, :, columns]


def _dates(file: ArrayFile, dim: str, name: str, notes: list[str]) -> Optional[Decoded]:
    variable = time_variable(file, dim)
    if variable is None:
        return None
    raw = variable.fetch(Ellipsis)
    if raw.dtype.kind == "S" and raw.ndim > 1:
        raw = variable.values()
    elif raw.dtype.kind in "iuf":
        values = variable.values()
        raw = values.astype(np.float32) if raw.dtype == np.float32 and "scale_factor" not in variable.attrs else values
    raw = _starts(file, variable, raw, name, notes)
    return decode_times(np.atleast_1d(raw), variable.text("units"), variable.text("calendar"), name)


def _starts(file: ArrayFile, variable: ArrayVariable, raw: np.ndarray, name: str, notes: list[str]) -> np.ndarray:
    """Starts of the time bounds where there are any that differ from the stamps."""
    bounds = file.find(variable.text("bounds"), variable.group) if variable.text("bounds") else None
    if bounds is None or len(bounds.shape) != 2 or bounds.shape != (len(raw), 2):
        return raw
    both = bounds.values()
    starts, ends = both.min(axis=1), both.max(axis=1)
    sound = np.all(np.isfinite(both)) and np.all(ends > starts)
    sound = sound and np.all((raw >= starts - 1e-6) & (raw <= ends + 1e-6))
    if not sound or not np.any(starts != raw):
        return raw
    notes.append(f"'{name}': steps begin where their time bounds begin.")
    return starts.astype(raw.dtype)


def _signature(file: ArrayFile, axes: Axes) -> tuple[bytes, ...]:
    """The coordinates as bytes, to see at once that two files lie on one grid."""
    coordinates = [file.find(axes.y), file.find(axes.x), axes.latitude, axes.longitude]
    stored = [one.fetch(Ellipsis).tobytes() if one is not None else b"" for one in coordinates]
    return (axes.y.encode(), axes.x.encode(), *stored)


def file_label(path: str, step: int, steps: int, several: bool) -> str:
    """Where a date comes from, for errors."""
    if not several:
        return f"step {step + 1}"
    return Path(path).name + (f", step {step + 1}" if steps > 1 else "")
