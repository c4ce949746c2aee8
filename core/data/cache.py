"""A raw copy of a dataset that is mapped into memory: ``<dataset>.cache/`` beside it.

A folder a sequence, named by the fingerprint of the dataset, so that a copy of other data is never found. In it, for
each variable in time, ``NAME.f32``: float32 (T, H, W) in its unit, NaN where missing; ``NAME.filled``: one byte a
value, 1 where it was filled; ``NAME.npy``: uint8 (H, W), whether each cell has a value never, sometimes or always.
``cache.json`` says version, fingerprint and shape. Each file is whole or absent, and the values come last: a variable
whose values have the right size is there.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union
from urllib.parse import quote

import numpy as np

from ..contracts.errors import DataError
from ..contracts.files import whole_file, write_text

VERSION = 1
NEVER, SOMETIMES, ALWAYS = 0, 1, 2
_ABOUT, _LOCK = "cache.json", "making.lock"
_DEAD_SECONDS = 900.0  # without a byte more; a file that is being written is younger


def cache_folder(dataset: Union[str, Path]) -> Path:
    """Where the raw copies of a dataset lie."""
    path = Path(dataset)
    return path.with_name(path.name + ".cache")


@dataclass(frozen=True)
class CacheState:
    """What lies beside a dataset: bytes in all, bytes that belong to the dataset as it is now, and which variables of
    each sequence are there.
    """

    folder: Path
    size: int
    fitting: int
    variables: dict[str, tuple[str, ...]]


class Cache:
    """The raw copy of one sequence of a dataset, as far as it is there. ``shape`` is (T, H, W)."""

    def __init__(self, dataset: Union[str, Path], fingerprint: str, shape: tuple[int, int, int]) -> None:
        self.folder = cache_folder(dataset) / fingerprint[:16]
        self.fingerprint, self.shape = fingerprint, shape
        self._mapped: dict[str, np.ndarray] = {}
        self._fits: Optional[bool] = None

    def fits(self) -> bool:
        """Whether a copy of this very dataset was begun; looked for again until there is one."""
        if not self._fits:
            self._fits = _about(self.folder) == self._own()
        return self._fits

    def maps(self, name: str) -> Optional[np.ndarray]:
        """The mapped values of a variable, read only; None where they are not there, or cut short."""
        return self._map(self.file(name), np.dtype("<f4"))

    def flags(self, name: str) -> Optional[np.ndarray]:
        """The mapped flags of a variable, uint8 (T, H, W), read only; None where they are not there."""
        return self._map(self.file(name, "filled"), np.dtype("u1"))

    def coverage(self, name: str) -> Optional[np.ndarray]:
        """uint8 (H, W): which cells have a value ``NEVER``, ``SOMETIMES``, ``ALWAYS``; None where that was not kept."""
        try:
            found = np.load(self.file(name, "npy"), allow_pickle=False)
        except (OSError, ValueError):
            return None
        return found if found.shape == self.shape[1:] and found.dtype == np.uint8 else None

    def begin(self) -> None:
        """Make the folder; what lies there of another version is removed."""
        if not self.fits():
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(self.folder / _ABOUT, json.dumps(self._own()))
        for leftover in self.folder.glob(".*.part.*"):
            with contextlib.suppress(OSError):
                if time.time() - leftover.stat().st_mtime > _DEAD_SECONDS:
                    leftover.unlink()

    def file(self, name: str, kind: str = "f32") -> Path:
        """The file of a variable: its values, its flags (``filled``) or its cells (``npy``)."""
        return self.folder / f"{quote(name, safe='')}.{kind}"

    def _own(self) -> dict[str, Any]:
        return {"version": VERSION, "fingerprint": self.fingerprint, "shape": list(self.shape), "order": "little"}

    def _map(self, path: Path, kind: np.dtype) -> Optional[np.ndarray]:
        key = path.name
        if key not in self._mapped:
            if not self.fits():
                return None
            try:
                if path.stat().st_size != kind.itemsize * int(np.prod(self.shape)):
                    return None
                self._mapped[key] = np.memmap(path, kind, "r", shape=self.shape)
            except (OSError, ValueError):
                return None
        return self._mapped[key]


class Coverage:
    """Which cells have a value, told from maps (t, H, W) one after the other; ``found`` is uint8 (H, W)."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._ever, self._always = np.zeros(shape, dtype=bool), np.ones(shape, dtype=bool)

    def add(self, maps: np.ndarray) -> None:
        """Take in some steps."""
        there = np.isfinite(maps)
        self._ever |= there.any(axis=0)
        self._always &= there.all(axis=0)

    @property
    def found(self) -> np.ndarray:
        """``NEVER``, ``SOMETIMES`` or ``ALWAYS``."""
        return self._ever.astype(np.uint8) + (self._ever & self._always).astype(np.uint8)


class Raw:
    """Writes one raw file step after step; a context manager, whole or absent."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stack = contextlib.ExitStack()
        self._handle: Any = None

    def __enter__(self) -> Raw:
        temporary = self._stack.enter_context(whole_file(self.path))
        self._handle = open(temporary, "wb")  # noqa: SIM115 (closed in __exit__, before it gets its name)
        return self

    def write(self, values: np.ndarray) -> None:
        """Append steps."""
        self._handle.write(np.ascontiguousarray(values).data)

    def __exit__(self, *error: Any) -> Optional[bool]:
        try:
            self._handle.close()
        except OSError as problem:  # a full disc may speak up only here
            self._stack.__exit__(type(problem), problem, problem.__traceback__)
            raise
        return self._stack.__exit__(*error)


def state_of(path: Union[str, Path], sequences: Sequence[tuple[str, str, tuple[int, int, int]]]) -> CacheState:
    """What lies beside the dataset ``path``, whose ``sequences`` are (name, fingerprint, shape)."""
    folder, fitting, there = cache_folder(path), 0, {}
    for name, fingerprint, shape in sequences:
        cache = Cache(path, fingerprint, shape)
        if cache.fits():
            fitting += _size(cache.folder)
            whole = sorted(item.stem for item in cache.folder.glob("*.f32"))
            there[name] = tuple(item for item in whole if cache.maps(item) is not None)
    return CacheState(folder, _size(folder), fitting, there)


def delete_cache(path: Union[str, Path]) -> int:
    """Delete the raw copies beside the dataset ``path``; gives the bytes that were freed. A process that has them
    mapped goes on with them where the system allows that. Raises :class:`DataError` where they cannot be deleted.
    """
    folder = cache_folder(path)
    size = _size(folder)
    try:
        for item in folder.iterdir() if folder.is_dir() else ():
            if (item / _ABOUT).is_file():
                shutil.rmtree(item)
            elif item.name == _LOCK:
                item.unlink()
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()
    except OSError as error:
        raise DataError(
            "The cache of the dataset cannot be deleted",
            got=str(error),
            remedy="Wait until no training or prediction uses it, or check the rights on its folder",
        ) from error
    return size


def delete_stale(path: Union[str, Path], fingerprints: Sequence[str]) -> None:
    """Delete the copies beside the dataset ``path`` that belong to none of its ``fingerprints``, as far as possible."""
    fitting = {fingerprint[:16] for fingerprint in fingerprints}
    folder = cache_folder(path)
    for item in folder.iterdir() if folder.is_dir() else ():
        if item.is_dir() and item.name not in fitting:
            shutil.rmtree(item, ignore_errors=True)


class MakingLock:
    """Held by the process that makes a copy; the system frees it when that process ends. ``taken`` is False while
    another holds it. Where a folder knows no locks it is always taken: then both make a copy, and the first one stays.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _LOCK
        self._handle: Any = None
        self.taken = False

    def take(self) -> bool:
        """Try once."""
        if self._handle is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = open(self._path, "a+b")  # noqa: SIM115 (held until release)
        self.taken = _locked(self._handle)
        return self.taken

    def release(self) -> None:
        """Give it back."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None
        self.taken = False


def _locked(handle: Any) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            handle.seek(0)
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


def _about(folder: Path) -> Optional[dict[str, Any]]:
    try:
        found = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _size(folder: Path) -> int:
    total = 0
    for item in folder.rglob("*") if folder.is_dir() else ():
        with contextlib.suppress(OSError):
            total += item.stat().st_size if item.is_file() else 0
    return total
