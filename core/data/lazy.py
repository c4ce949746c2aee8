"""Arrays of a dataset that are read when they are asked for, part by part, with scaling on the way.

Symbols: T steps, C channels, H rows, W columns. What they give equals, bit for bit, what these arrays hold in memory.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np

from ..contracts.model_card import VariableCard
from .cache import ALWAYS, NEVER, Coverage
from .scaling import Scaler
from .store import Dataset

_FAR = 16  # times the cells of a part: from then on its sources are read row by row
BLOCK_BYTES = 2**25  # of values that are looked at together
_WHOLE = slice(None)

__all__ = [
    "ALWAYS", "NEVER", "Channel", "LazyKnown", "LazyMaps", "Maps", "Nothing", "Reader", "Seen", "TargetMaps", "blocks",
    "cut_maps", "scaler_of",
]  # fmt: skip


class Reader:
    """Reads parts of a dataset's maps, also after the one who opened it has closed it: then the file is opened again.
    Threads may read at once.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset, self._lock = dataset, threading.Lock()
        self._path, self._sequence, self._use_cache = dataset.path, dataset.sequence, dataset.use_cache
        self.steps, self.shape = len(dataset.times), dataset.grid.shape

    @property
    def dataset(self) -> Dataset:
        """The open dataset."""
        with self._lock:
            if self._dataset.closed:
                self._dataset = Dataset.open(self._path, self._sequence)
                self._dataset.use_cache = self._use_cache
            return self._dataset

    def coverage(self, name: str, observed: bool = False) -> np.ndarray:
        """uint8 (H, W): whether each cell has a value ``NEVER``, ``SOMETIMES`` or ``ALWAYS``; with ``observed`` one
        that was not filled.
        """
        dataset = self.dataset
        if not (observed and dataset.has_filled(name)) and dataset.use_cache and dataset.cache.maps(name) is not None:
            found = dataset.cache.coverage(name)
            if found is not None:
                return found
        tally = Coverage(self.shape)
        for steps in blocks(self.steps, self.shape, dataset.chunk_steps(name)):
            tally.add(dataset.window(name, steps, observed=observed))
        return tally.found


@dataclass(frozen=True)
class Channel:
    """One variable as a model sees it: scaled, what was never known ``continued`` from the nearest cell, what is
    missing at a time 0. ``observed_only`` counts what was filled as missing; ``source`` int (H*W,) is the cell that
    gives each its value, None where each has its own.
    """

    reader: Reader
    name: str
    scaler: Scaler
    observed_only: bool = False
    source: Optional[np.ndarray] = None

    def read(self, steps: slice, rows: slice, columns: slice) -> np.ndarray:
        """float32 (t, h, w) without NaN."""
        dataset = self.reader.dataset
        if self.source is None:
            values = dataset.window(self.name, steps, rows, columns, self.observed_only)
        else:
            values = self._continued(dataset, steps, rows, columns)
        return np.nan_to_num(self.scaler.transform(values), copy=False, nan=0.0, posinf=0.0, neginf=0.0)

    def _continued(self, dataset: Dataset, steps: slice, rows: slice, columns: slice) -> np.ndarray:
        """The values of a part, those of cells that never have one from wherever they come."""
        width = self.reader.shape[1]
        source = self.source.reshape(self.reader.shape)[rows, columns]
        source_rows, source_columns = source // width, source % width
        top, left = source_rows.min(), source_columns.min()
        window = slice(top, source_rows.max() + 1), slice(left, source_columns.max() + 1)
        if (window[0].stop - top) * (window[1].stop - left) > _FAR * source.size:
            return self._gathered(dataset, steps, source)
        values = dataset.window(self.name, steps, *window, self.observed_only)
        return values[:, source_rows - top, source_columns - left]

    def _gathered(self, dataset: Dataset, steps: slice, source: np.ndarray) -> np.ndarray:
        """The values of cells that lie far apart, row by row, so that little is read at a time."""
        width, found = self.reader.shape[1], None
        for row in np.unique(source // width):
            line = dataset.window(self.name, steps, slice(row, row + 1), _WHOLE, self.observed_only)[:, 0]
            found = np.empty((len(line), *source.shape), dtype=np.float32) if found is None else found
            here = source // width == row
            found[:, here] = line[:, source[here] % width]
        return found


@dataclass(frozen=True)
class Seen(Channel):
    """Where a variable was observed: bool, False also where it was filled."""

    def read(self, steps: slice, rows: slice, columns: slice) -> np.ndarray:
        """bool (t, h, w)."""
        return np.isfinite(self.reader.dataset.window(self.name, steps, rows, columns, observed=True))


@dataclass(frozen=True)
class TargetMaps(Channel):
    """A target: scaled, NaN where missing, filled or outside ``mask`` (H, W)."""

    mask: Optional[np.ndarray] = None

    def read(self, steps: slice, rows: slice, columns: slice) -> np.ndarray:
        """float32 (t, h, w)."""
        values = self.reader.dataset.window(self.name, steps, rows, columns, observed=True)
        values[:, ~self.mask[rows, columns]] = np.nan
        return self.scaler.transform(values)


@dataclass(frozen=True)
class Nothing(Channel):
    """A target that the dataset lacks: NaN."""

    def read(self, steps: slice, rows: slice, columns: slice) -> np.ndarray:
        """float32 (t, h, w)."""
        size = len(range(*steps.indices(self.reader.steps)))
        shape = [len(range(*part.indices(count))) for part, count in zip((rows, columns), self.reader.shape)]
        return np.full((size, *shape), np.nan, dtype=np.float32)


@dataclass(frozen=True)
class LazyMaps:
    """Maps (T, C, H, W) that are read when indexed: by ints, slices, arrays of ints or bools in time, ints, slices or
    lists in channels, anything in rows and columns (slices read only what they name). ``part`` are absolute rows and
    columns of the frame.
    """

    channels: tuple[Channel, ...]
    dtype: np.dtype
    part: tuple[slice, slice]

    @classmethod
    def of(cls, channels: Sequence[Channel], kind: type = np.float32) -> LazyMaps:
        """All of the frame of these channels."""
        rows, columns = channels[0].reader.shape
        return cls(tuple(channels), np.dtype(kind), (slice(0, rows), slice(0, columns)))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(T, C, H, W)."""
        rows, columns = (part.stop - part.start for part in self.part)
        return self.channels[0].reader.steps, len(self.channels), rows, columns

    @property
    def ndim(self) -> int:
        """4."""
        return 4

    @property
    def size(self) -> int:
        """Values in all."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes that they would take in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def cut(self, rows: slice, columns: slice) -> LazyMaps:
        """A part of the frame, of which nothing is read yet."""
        return dataclasses.replace(self, part=(_within(self.part[0], rows), _within(self.part[1], columns)))

    def into(self, out: np.ndarray, steps: slice) -> None:
        """Fill ``out`` (t, C, h, w) with consecutive steps."""
        for place, channel in enumerate(self.channels):
            out[:, place] = channel.read(steps, *self.part)

    def __getitem__(self, key: Any) -> np.ndarray:
        time, channel, rows, columns = _four(key)
        if isinstance(rows, slice) and isinstance(columns, slice) and _plain(rows) and _plain(columns):
            found, inner = self.cut(rows, columns), None
        else:
            found, inner = self, (Ellipsis, rows) if np.ndim(rows) == 2 else (Ellipsis, rows, columns)
        if isinstance(channel, (int, np.integer)):
            values = found._read(time, [int(channel)])
            values = values[..., 0, :, :]
        else:
            if not isinstance(channel, slice) and not isinstance(time, (slice, int, np.integer)):
                raise TypeError("steps and channels cannot both be lists")
            places = np.arange(len(self.channels))[channel]
            values = found._read(time, places.tolist())
        return values if inner is None else values[inner]

    def _read(self, time: Any, places: Sequence[int]) -> np.ndarray:
        """(*time.shape, c, h, w)."""
        steps = np.arange(len(self))[time]
        wanted, back = np.unique(steps, return_inverse=True)
        out = np.empty((len(wanted), len(places), *self.shape[2:]), dtype=self.dtype)
        for first, last in _runs(wanted):
            for number, place in enumerate(places):
                span = slice(int(wanted[first]), int(wanted[last - 1]) + 1)
                out[first:last, number] = self.channels[place].read(span, *self.part)
        if steps.ndim == 1 and np.array_equal(steps, wanted):
            return out
        return out[back.reshape(steps.shape)]


@dataclass(frozen=True)
class LazyKnown:
    """Where lazy maps are finite: bool (T, K, H, W), read when indexed in time."""

    maps: LazyMaps

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, K, H, W)."""
        return self.maps.shape

    def __getitem__(self, key: Any) -> np.ndarray:
        return np.isfinite(self.maps[key])


Maps = Union[np.ndarray, LazyMaps]


def cut_maps(maps: Optional[Maps], rows: slice, columns: slice) -> Optional[Maps]:
    """A part of the frame: a view, or lazy again; None stays None."""
    if maps is None:
        return None
    return maps.cut(rows, columns) if isinstance(maps, LazyMaps) else maps[..., rows, columns]


def blocks(steps: int, frame: Sequence[int], multiple: int = 1) -> Iterator[slice]:
    """Steps in blocks of about 32 MB of float32, of whole multiples of ``multiple`` steps."""
    depth = max(1, BLOCK_BYTES // max(1, 4 * int(np.prod(frame)) * multiple)) * multiple
    for start in range(0, steps, depth):
        yield slice(start, min(start + depth, steps))


def scaler_of(card: VariableCard) -> Scaler:
    """The scaler of a variable of a model."""
    return Scaler.from_dict(card.scaler)


def _four(key: Any) -> tuple[Any, Any, Any, Any]:
    """An index of four parts."""
    parts = list(key) if isinstance(key, tuple) else [key]
    if any(part is Ellipsis for part in parts):
        place = next(number for number, part in enumerate(parts) if part is Ellipsis)
        parts[place : place + 1] = [_WHOLE] * (4 - len(parts) + 1)
    if len(parts) == 3 and np.ndim(parts[2]) == 2:
        parts.append(None)  # a mask of the frame stands for rows and columns
        return parts[0], parts[1], parts[2], parts[3]
    parts += [_WHOLE] * (4 - len(parts))
    if len(parts) != 4 or any(part is None for part in parts):
        raise IndexError("maps have steps, channels, rows and columns")
    return parts[0], parts[1], parts[2], parts[3]


def _plain(part: slice) -> bool:
    return part.step in (None, 1)


def _within(outer: slice, inner: slice) -> slice:
    """Absolute slice of ``inner``, which counts from the begin of ``outer``."""
    start, stop, _ = inner.indices(outer.stop - outer.start)
    return slice(outer.start + start, outer.start + max(start, stop))


def _runs(steps: np.ndarray) -> Iterator[tuple[int, int]]:
    """Places (first, last exclusive) of runs of consecutive numbers in rising ``steps``."""
    if not len(steps):
        return
    ends = [*np.flatnonzero(np.diff(steps) != 1) + 1, len(steps)]
    yield from zip([0, *ends[:-1]], ends)
