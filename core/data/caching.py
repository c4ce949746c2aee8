"""When a raw copy of a dataset is made, and making it: with progress, whole or absent, by one process at a time."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Optional

import numpy as np

from ..contracts.errors import DataError, FreshetError
from ..contracts.events import Event, EventKind
from ..contracts.files import whole_file
from ..contracts.machine import check_room, free_memory, say_bytes
from .cache import Coverage, MakingLock, Raw, cache_folder, delete_stale
from .store import Dataset, open_datasets
from .telling import Meter

SHARE_OF_MEMORY = 0.5  # of what is free: the rest is for the model and what it computes
SLOW_SECONDS = 3.0  # of decoding, from which a raw copy is worth its room
_BLOCK_BYTES = 2**26
_WAIT_SECONDS = 0.5
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MADE_AGAIN = "Free space, set the cache to 'off', or delete one that is not needed (freshet cache DATASET --delete)"


def ready_caches(
    datasets: Sequence[Dataset], names: Collection[str], mode: str, meter: Optional[Meter] = None
) -> Iterator[Event]:
    """Make the raw copies of the variables ``names`` that are wanted and not there, as ``mode`` says: ``auto``, ``on``
    or ``off``; with ``off`` the datasets read their files and nothing else. Yields progress, and the reason in words.

    Where the folder cannot be written, or with ``auto`` has not the room, the work goes on without; with ``on`` a
    disc without room raises :class:`DataError`.
    """
    for dataset in datasets:
        dataset.use_cache = mode != "off"
    if mode == "off":
        return
    todo = [(dataset, missing) for dataset in datasets if (missing := missing_of(dataset, names))]
    if not todo:
        if any(maps_of(dataset, names) for dataset in datasets):
            yield _message("The cache beside the dataset is used.")
        return
    why = "asked for" if mode == "on" else why_wanted(todo)
    if not why:
        return
    needed = sum(copy_bytes(dataset, missing) for dataset, missing in todo)
    yield _message(f"A raw copy of the dataset is made beside it, {say_bytes(needed)} ({why}).")
    try:
        yield from make_caches(datasets, names, meter)
    except FreshetError as error:
        if mode == "on" and not isinstance(error, _NotWritable):
            raise
        yield _message(f"No cache is made: {error} The work goes on without it.", "warning")


def make_caches(datasets: Sequence[Dataset], names: Collection[str], meter: Optional[Meter] = None) -> Iterator[Event]:
    """Make the raw copies of the variables ``names`` that are not there. Raises :class:`DataError` where they cannot be
    written, :class:`RunError` where the disc has not the room.
    """
    todo = [(dataset, missing) for dataset in datasets if (missing := missing_of(dataset, names))]
    yield from _made(todo, sum(copy_bytes(dataset, missing) for dataset, missing in todo), meter or Meter())


def maps_of(dataset: Dataset, names: Collection[str]) -> list[str]:
    """Those of ``names`` that are maps in time of a dataset."""
    found = (dataset.variables[name] for name in names if name in dataset.variables)
    return [info.name for info in found if not info.static and not info.gauges]


def missing_of(dataset: Dataset, names: Collection[str]) -> list[str]:
    """Those of ``names`` that are maps in time and not in the cache as a whole."""
    cache = dataset.cache
    return [
        name
        for name in maps_of(dataset, names)
        if cache.maps(name) is None or (dataset.has_filled(name) and cache.flags(name) is None)
    ]


def copy_bytes(dataset: Dataset, names: Collection[str]) -> int:
    """Bytes that raw copies of these variables take."""
    cells = len(dataset.times) * dataset.grid.rows * dataset.grid.columns
    return sum(cells * (5 if dataset.has_filled(name) else 4) for name in names)


def why_wanted(todo: Sequence[tuple[Dataset, Sequence[str]]]) -> str:
    """Why a raw copy pays, in words; empty where it does not. Some steps are read for that."""
    needed, free = sum(copy_bytes(dataset, names) for dataset, names in todo), free_memory()
    if free is not None and needed > SHARE_OF_MEMORY * free:
        return f"its maps take {say_bytes(needed)}, more than half of the {say_bytes(free)} of memory that are free"
    seconds = sum(_decoding(dataset, names) for dataset, names in todo)
    if seconds > SLOW_SECONDS:
        return f"decoding the file takes about {seconds:.0f} s each time that it is read"
    return ""


def make_copy(dataset: Dataset, names: Sequence[str], meter: Meter) -> Iterator[Event]:
    """Write the raw files of these variables; each is whole or absent. Yields progress after each block."""
    cache = dataset.cache
    cache.begin()
    steps, rows, columns = cache.shape
    for place, name in enumerate(names):
        coverage = Coverage((rows, columns))
        share = meter.part(place / len(names), (place + 1) / len(names))
        depth = dataset.chunk_steps(name)
        depth *= max(1, _BLOCK_BYTES // (4 * rows * columns * depth))
        text = f"Copying {name} of '{dataset.name}' to the cache"
        if dataset.has_filled(name):
            with Raw(cache.file(name, "filled")) as file:
                for start in range(0, steps, depth):
                    file.write(dataset.flags(name, slice(start, start + depth)).astype(np.uint8))
                    yield share.at(0.3 * start / steps, text)
        with Raw(cache.file(name)) as file:
            for start in range(0, steps, depth):
                values = dataset.window(name, slice(start, start + depth))
                coverage.add(values)
                file.write(values)
                yield share.at(0.3 + 0.7 * start / steps, text)
            _keep(cache.file(name, "npy"), coverage.found)


class _NotWritable(DataError):
    """The folder beside the dataset takes no files."""


def _made(todo: Sequence[tuple[Dataset, Sequence[str]]], needed: int, meter: Meter) -> Iterator[Event]:
    """Make what is missing, dataset file by dataset file."""
    done, cleaned = 0, set()
    for dataset, names in todo:
        folder = cache_folder(dataset.path)
        if not os.access(folder if folder.is_dir() else folder.parent, os.W_OK | os.X_OK):
            raise _not_writable(folder, "no right to write there")
        size = copy_bytes(dataset, names)
        share = meter.part(done / needed, (done + size) / needed)
        done += size
        lock = MakingLock(folder)
        try:
            yield from _waited(lock, dataset)
            if dataset.path not in cleaned:
                delete_stale(dataset.path, _fingerprints(dataset))
                cleaned.add(dataset.path)
            names = missing_of(dataset, names)  # another process may have made them meanwhile
            if names:
                check_room(folder, copy_bytes(dataset, names), "the cache of the dataset", _MADE_AGAIN)
                yield from make_copy(dataset, names, share)
        except OSError as error:
            if error.errno in _FULL:
                raise DataError(
                    "The disc became full while the cache was made", got=str(error), remedy=_MADE_AGAIN
                ) from error
            raise _not_writable(folder, str(error)) from error
        finally:
            lock.release()


def _waited(lock: MakingLock, dataset: Dataset) -> Iterator[Event]:
    """Take the lock; says so where another process has it."""
    if lock.take():
        return
    yield _message(f"Another process is making the cache of '{dataset.name}'; this one waits for it.")
    while not lock.take():
        time.sleep(_WAIT_SECONDS)
        yield Event(EventKind.MESSAGE, {"level": "tick", "text": ""})


def _fingerprints(dataset: Dataset) -> list[str]:
    """Of all sequences of its file."""
    if not dataset.sequence:
        return [dataset.fingerprint()]
    with contextlib.ExitStack() as stack:
        return [stack.enter_context(one).fingerprint() for one in open_datasets(dataset.path)]


def _decoding(dataset: Dataset, names: Sequence[str]) -> float:
    """Seconds that decoding takes, from the first chunks of the first variable."""
    name, steps = names[0], len(dataset.times)
    few = min(steps, dataset.chunk_steps(name))
    begin = time.perf_counter()
    dataset.window(name, slice(0, few))
    return (time.perf_counter() - begin) * steps / few * len(names)


def _keep(path: Path, values: np.ndarray) -> None:
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        np.save(file, values, allow_pickle=False)


def _not_writable(folder: Path, found: str) -> _NotWritable:
    return _NotWritable(
        "The folder beside the dataset cannot be written",
        expected=f"a folder {folder.name} in {folder.parent}",
        got=found,
        remedy="Copy the dataset to a folder in which you may make files",
    )


def _message(text: str, level: str = "info") -> Event:
    return Event(EventKind.MESSAGE, {"level": level, "text": text})
