"""Files that are whole or absent: written under a temporary name in the same folder, flushed, then renamed."""

from __future__ import annotations

import contextlib
import glob
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Union


@contextlib.contextmanager
def whole_file(path: Union[str, Path]) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on success it takes the final name, on any failure it is removed.

    Names keep the suffix, since GDAL and NetCDF look at it. The folder is made where it is missing.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.stem}.{uuid.uuid4().hex[:8]}.part{final.suffix}")
    try:
        yield temporary
        _flush_to_disk(temporary)
        os.replace(temporary, final)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def remove_leftovers(path: Union[str, Path]) -> None:
    """Remove what a process that was killed in :func:`whole_file` left of ``path``."""
    final = Path(path)
    pattern = f".{glob.escape(final.stem)}.{'[0-9a-f]' * 8}.part{glob.escape(final.suffix)}"
    for leftover in final.parent.glob(pattern):
        with contextlib.suppress(OSError):
            leftover.unlink()


def write_text(path: Union[str, Path], text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Union[str, Path], data: bytes) -> None:
    """Write ``data``, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


def _flush_to_disk(path: Path) -> None:
    with open(path, "rb+") as handle:
        os.fsync(handle.fileno())
