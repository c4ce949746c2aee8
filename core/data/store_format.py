"""How a dataset file is laid out: names, versions, chunks, and what is said where something is wrong with it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..contracts.errors import DataError
from .timeline import positions

SUMMARY_ATTRIBUTE = "freshet_dataset"
PROVENANCE_ATTRIBUTE = "freshet_provenance"
MASK_VARIABLE = "basin_mask"
FILLED_SUFFIX = "_filled"
FORMAT_VERSION = 2
FILL_VALUE = np.float32(-9999.0)
_CHUNK_CELLS = 2**18  # 1 MB of float32
_CHUNK_STEPS = 16  # of a large grid: one date and one cell's series both cost little (scripts/bench_store.py)
_OPEN_CELLS = 2**23  # 32 MB of float32: the chunks of some steps that stay in memory while these are written
_RESERVED = {
    "time", "y", "x", "crs", "nv", "gauge", "time_bnds", MASK_VARIABLE,
    "gauge_id", "gauge_x", "gauge_y", "gauge_row", "gauge_column",
}  # fmt: skip


def chunk_shape(steps: int, rows: int, columns: int) -> tuple[int, int, int]:
    """Steps, rows and columns of a chunk: about 1 MB, the whole grid where that is small, else even tiles.

    Whoever writes blocks of whole multiples of these steps and rows has nothing compressed twice.
    """
    most = max(1, _OPEN_CELLS // (rows * columns))
    depth = min(_CHUNK_STEPS, most)
    side = math.isqrt(_CHUNK_CELLS // depth)
    tile_rows = _even(rows, side)
    tile_columns = _even(columns, max(side, _CHUNK_CELLS // (depth * tile_rows)))
    return min(max(1, _CHUNK_CELLS // (tile_rows * tile_columns)), most, max(1, steps)), tile_rows, tile_columns


def cache_bytes(chunks: Sequence[int], rows: int, columns: int) -> int:
    """Memory for the chunks of one variable that are being written: all of some steps, but not more than 32 MB and at
    least two rows of chunks.
    """
    whole = 4 * chunks[0] * (rows + chunks[1]) * (columns + chunks[2])
    row = 4 * chunks[0] * 2 * chunks[1] * (columns + chunks[2])
    return max(row, min(whole, 2 * 4 * _OPEN_CELLS))


def group_names(sequences: Sequence[str]) -> list[str]:
    """A name for the group of each sequence: letters, digits, ``_``, ``-`` and ``.`` are kept, no two are alike."""
    names: list[str] = []
    for sequence in sequences:
        plain = re.sub(r"[^A-Za-z0-9_.-]", "_", sequence).strip(".-") or "sequence"
        number, name = 2, plain
        while name in names:
            name, number = f"{plain}_{number}", number + 1
        names.append(name)
    return names


def gaps_between(times: np.ndarray, step_seconds: float) -> list[list[str]]:
    """[last step before, first step after] of each gap, as ISO texts."""
    wide = np.flatnonzero(np.diff(positions(times, step_seconds)) > 1)
    return [[str(times[i]), str(times[i + 1])] for i in wide]


def check_times(times: np.ndarray) -> np.ndarray:
    """``times`` as datetime64[s]; ValueError unless they are strictly rising and at least one."""
    checked = np.asarray(times).astype("datetime64[s]")
    if len(checked) == 0 or np.any(np.diff(checked.astype(np.int64)) <= 0):
        raise ValueError("times have to be strictly rising and at least one")
    return checked


def check_names(names: Sequence[str]) -> None:
    """Raise :class:`DataError` for a name that the file itself uses."""
    taken = {*_RESERVED, *(name + FILLED_SUFFIX for name in names)}
    reserved = [name for name in names if name in taken]
    if reserved:
        raise DataError(
            f"A variable cannot be called '{reserved[0]}'",
            remedy="Give it another name; this one is used by the dataset itself",
        )


def not_ours(path: Path, found: str) -> DataError:
    """The sentence for a file that is no dataset."""
    return DataError(
        f"'{path.name}' is no Freshet dataset",
        expected="a NetCDF file that 'prepare' has written",
        got=found,
        remedy="Prepare a dataset from this file, or choose another one",
    )


def _even(length: int, side: int) -> int:
    """Length of the pieces, at most ``side``, that cut ``length`` most evenly."""
    return math.ceil(length / math.ceil(length / side))
