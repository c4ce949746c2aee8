"""The room on the disc that a dataset will take, estimated before the work begins."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..contracts.errors import DataError
from .parts import Block, Layout, existing, parts_folder, size_of
from .streams import Stream

_ROWS = 64
_SLACK = 2**20
_COPIES = 2  # the parts and the file itself


def estimate(streams: Sequence[tuple[Stream, Layout, int]], read_bytes: int) -> int:
    """Bytes of parts and file together: each variable's cells by how far three of its maps, or some rows of them,
    are compressed. The number beside each stream is how many copies more a fill makes of it.
    """
    total = _SLACK
    for stream, layout, more in streams:
        steps, rows, columns = layout.shape
        total += int(4 * steps * rows * columns * _ratio(stream, layout, read_bytes) * (_COPIES + more))
    return total


def check(output: str, needed: int) -> str:
    """A sentence on what is needed and free. Raises :class:`DataError` where the folder of ``output`` cannot be
    written or has not the room; what is finished already counts as free.
    """
    target = Path(output).absolute()
    folder = existing(target.parent)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DataError(
            "The folder of the dataset cannot be written",
            expected="a folder in which you may make files",
            got=str(folder),
            remedy="Choose another folder for the dataset, or ask for the right to write there",
        )
    free = shutil.disk_usage(folder).free
    parts = parts_folder(target)
    there = size_of(parts) if parts.is_dir() else 0
    if needed > free + there:
        raise DataError(
            "There is not enough room on the disc for the dataset",
            expected=f"about {say_bytes(needed)} while it is made, half of that in the end",
            got=f"{say_bytes(free)} free in {folder}",
            remedy="Free space there, choose another folder, a shorter period or larger cells",
        )
    return f"About {say_bytes(needed)} are needed on the disc while the dataset is made; {say_bytes(free)} are free."


def say_bytes(count: int) -> str:
    """A size as a person reads it."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{max(1, round(count / 1e3))} kB"


def _ratio(stream: Stream, layout: Layout, read_bytes: int) -> float:
    """Compressed size of the middle rows of three steps, as a share of their size; 0.5 where they hold nothing."""
    steps, height, _ = layout.shape
    first = max(0, (height - _ROWS) // 2)
    there = np.flatnonzero(stream.alignment.first >= 0) if stream.alignment is not None else np.zeros(1, dtype=int)
    if not len(there):
        return 0.5
    found = []
    for step in np.unique(there[np.linspace(0, len(there) - 1, 3).round().astype(int)]):
        block = Block(int(step), int(step) + 1, first, min(first + min(_ROWS, layout.rows), height))
        values = np.ascontiguousarray(stream.values(block, read_bytes))
        shuffled = values.view(np.uint8).reshape(-1, 4).T.tobytes()
        found.append(len(zlib.compress(shuffled, 1)) / len(shuffled))
    return float(np.mean(found))
