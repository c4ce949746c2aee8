"""What is finished of a dataset while it is being made: ``<output>.parts/`` beside it.

A folder a variable (and sequence) holds one compressed Zarr array whose chunks are the blocks, and a marker a block,
written whole after it. A variable's folder carries the fingerprint of all that it was made from; a run of the same job
takes over what is marked, another fingerprint starts that variable anew. The folder goes when the dataset is written.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import shutil
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from ..contracts.errors import DataError
from ..contracts.files import write_text

_VALUES, _FLAGS, _ABOUT, _DONE = "values", "filled", "variable.json", "done"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Block:
    """Steps ``start`` to ``stop`` and rows ``first`` to ``last`` of a variable, both exclusive."""

    start: int
    stop: int
    first: int
    last: int

    @property
    def name(self) -> str:
        """A name for its marker."""
        return f"{self.start}-{self.first}"


@dataclass(frozen=True)
class Layout:
    """How a variable of ``shape`` (steps, rows, columns) is cut: ``steps`` x ``rows`` a block, all columns."""

    shape: tuple[int, int, int]
    steps: int
    rows: int

    def blocks(self) -> list[Block]:
        """All blocks, strip by strip, so that the geometry of a strip is worked out once."""
        total, height, _ = self.shape
        return [
            Block(start, min(start + self.steps, total), first, min(first + self.rows, height))
            for first in range(0, height, self.rows)
            for start in range(0, total, self.steps)
        ]

    @property
    def cells(self) -> int:
        """Cells of a block."""
        return self.steps * self.rows * self.shape[2]


def parts_folder(output: Union[str, Path]) -> Path:
    """Where the parts of a dataset lie."""
    output = Path(output)
    return output.with_name(output.name + ".parts")


class VariableParts:
    """The parts of one variable. Opened anew wherever a block is written; nothing is kept open."""

    def __init__(self, folder: Union[str, Path], layout: Layout) -> None:
        self.folder, self.layout = Path(folder), layout

    @classmethod
    def begin(cls, folder: Path, fingerprints: Sequence[str], layout: Layout, flags: bool = False) -> VariableParts:
        """Take over the folder where it belongs to one of ``fingerprints`` and its blocks are not larger than asked
        for, else start it anew for the first of them. ``flags`` keeps a bool array beside the values.
        """
        found = _about(folder)
        if found is not None and found["fingerprint"] in fingerprints:
            old = Layout(tuple(found["shape"]), found["steps"], found["rows"])
            if old.shape == layout.shape and old.cells <= layout.cells:
                return cls(folder, old)
        import zarr
        from zarr.codecs import BloscCodec

        with writing(folder):
            shutil.rmtree(folder, ignore_errors=True)
            (folder / _DONE).mkdir(parents=True)
            chunks = (layout.steps, layout.rows, layout.shape[2])
            kinds = [(_VALUES, "f4", np.nan)] + ([(_FLAGS, "bool", False)] if flags else [])
            for name, kind, missing in kinds:
                zarr.create_array(
                    str(folder / name), shape=layout.shape, chunks=chunks, dtype=kind, fill_value=missing,
                    compressors=BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"),
                )  # fmt: skip
            about = {"fingerprint": fingerprints[0], "shape": layout.shape, "steps": layout.steps, "rows": layout.rows}
            write_text(folder / _ABOUT, json.dumps(about))
        return cls(folder, layout)

    def done(self, block: Block) -> Optional[dict[str, Any]]:
        """What the marker of a block says, None where it is not finished."""
        try:
            return json.loads((self.folder / _DONE / f"{block.name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def write(self, block: Block, values: np.ndarray, marker: dict[str, Any], flags: Optional[np.ndarray] = None):
        """Write a block, then its marker. Raises :class:`DataError` where the disc takes no more."""
        where = (slice(block.start, block.stop), slice(block.first, block.last))
        with writing(self.folder):
            if flags is not None:
                self._array(_FLAGS)[where] = flags
            self._array(_VALUES)[where] = values
            write_text(self.folder / _DONE / f"{block.name}.json", json.dumps(marker))

    def read(self, start: int, stop: int, first: int, last: int) -> np.ndarray:
        """Values of these steps and rows: float32 (stop - start, last - first, columns)."""
        return self._read(_VALUES, start, stop, first, last)

    def read_flags(self, start: int, stop: int, first: int, last: int) -> np.ndarray:
        """Which of them were filled: bool."""
        return self._read(_FLAGS, start, stop, first, last)

    @property
    def flagged(self) -> bool:
        """Whether flags are kept."""
        return (self.folder / _FLAGS).is_dir()

    def _read(self, name: str, start: int, stop: int, first: int, last: int) -> np.ndarray:
        try:
            return np.asarray(self._array(name)[start:stop, first:last])
        except (OSError, ValueError, RuntimeError) as error:
            raise DataError(
                "A finished part of the dataset cannot be read again",
                got=f"{self.folder} ({error})",
                remedy="Remove this folder and prepare the dataset again",
            ) from error

    def _array(self, name: str) -> Any:
        import zarr

        zarr.config.set({"async.concurrency": 2, "threading.max_workers": 2})  # each chunk in work takes memory
        return zarr.open_array(str(self.folder / name), mode="r+")


class writing:  # noqa: N801 (used as a keyword: with writing(folder))
    """Turns an error of the disc inside ``with`` into a sentence with figures and what to do."""

    def __init__(self, place: Path) -> None:
        self._place = Path(place)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Optional[type], error: Optional[BaseException], trace: Any) -> None:
        if not isinstance(error, OSError):
            return
        folder = existing(self._place)
        free = f"{shutil.disk_usage(folder).free / 2**20:,.0f} MB free in {folder}"
        if error.errno in _FULL:
            raise DataError(
                "The disc is full",
                got=f"{free}; {error.strerror or error}",
                remedy="Free space there, or choose another folder for the dataset, and start again",
            ) from error
        raise DataError(
            "The folder of the dataset cannot be written",
            expected="a folder in which you may make files",
            got=f"{error.filename or self._place}: {error.strerror or error}",
            remedy="Choose another folder for the dataset, or ask for the right to write there",
        ) from error


def has_blocks(folder: Path) -> bool:
    """Whether any block is finished in a folder of parts."""
    # A name with a dot is what a killed run left of a marker; isdir is False where nobody may look.
    return os.path.isdir(folder) and any(folder.rglob(f"{_DONE}/[!.]*.json"))


def existing(path: Path) -> Path:
    """The nearest folder above ``path`` that exists."""
    return next(parent for parent in [path.absolute(), *path.absolute().parents] if os.path.isdir(parent))


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder; 0 where there is none."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class Bits:
    """A bool map (rows, columns) in an eighth of its size."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        self._bits = np.zeros((shape[0], -(-shape[1] // 8)), dtype=np.uint8)

    @staticmethod
    def text(mask: np.ndarray) -> str:
        """Some rows of a map as text, for a marker."""
        return base64.b64encode(zlib.compress(np.packbits(mask, axis=1).tobytes(), 1)).decode("ascii")

    def add(self, first: int, last: int, text: str) -> None:
        """Set what :meth:`text` says of the rows ``first`` to ``last`` (exclusive)."""
        found = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=np.uint8)
        self._bits[first:last] |= found.reshape(last - first, -1)

    def mask(self) -> np.ndarray:
        """The map: bool (rows, columns)."""
        return np.unpackbits(self._bits, axis=1, count=self.shape[1]).view(bool)


def _about(folder: Path) -> Optional[dict[str, Any]]:
    try:
        found = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if set(found) >= {"fingerprint", *(asdict(Layout((1, 1, 1), 1, 1)))} else None
