"""What a dataset says of each of its variables, and how that is measured while writing."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import Optional

import numpy as np

from ..contracts.grid import Grid


@dataclass(frozen=True)
class VariableInfo:
    """One variable of a dataset. ``missing_share`` and ``filled_share`` (0 to 1), ``minimum`` and ``maximum`` are over
    the whole grid (or all gauges) and all steps, in ``units``.

    ``role`` is "input", "target" or "static"; ``gauges`` says that the values are series (time, gauge) and no maps;
    ``fill`` is the way in which gaps were filled, ``resampling`` the way onto the grid, ``error`` its root mean square
    error in ``units``, or None where it was not measured. The writer measures shares and range itself, so they may be
    left at 0 when writing.
    """

    name: str
    role: str = "input"
    quantity: str = "other"
    units: str = "-"
    label: str = ""
    static: bool = False
    missing_share: float = 0.0
    minimum: float = 0.0
    maximum: float = 0.0
    filled_share: float = 0.0
    fill: str = "none"
    gauges: bool = False
    resampling: str = ""
    error: Optional[float] = None


@dataclass(frozen=True)
class Gauges:
    """Places of gauges: ``ids`` (G,), ``x`` and ``y`` float64 (G,) in the CRS of the grid, NaN where unknown, ``rows``
    and ``columns`` int (G,) of the cell, -1 where the place is unknown or outside the grid.
    """

    ids: tuple[str, ...]
    x: np.ndarray
    y: np.ndarray
    rows: np.ndarray
    columns: np.ndarray

    @classmethod
    def on(cls, grid: Grid, ids: "list[str] | tuple[str, ...]", x: np.ndarray, y: np.ndarray) -> Gauges:
        """Gauges at ``x`` and ``y`` in the CRS of ``grid``, with the cell of each."""
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            columns, rows = np.floor((x - grid.west) / grid.cell_x), np.floor((grid.north - y) / grid.cell_y)
            inside = (rows >= 0) & (rows < grid.rows) & (columns >= 0) & (columns < grid.columns)
        rows, columns = (np.where(inside, place, -1).astype(np.int32) for place in (rows, columns))
        return cls(tuple(str(name) for name in ids), x, y, rows, columns)

    def __len__(self) -> int:
        return len(self.ids)


class Tally:
    """Count, missing, filled, range and digest of the values of one variable, gathered block by block.

    The digest does not depend on how the values are cut into blocks: it is taken over the digests of the single steps.
    """

    def __init__(self) -> None:
        self.count, self.missing, self.filled = 0, 0, 0
        self.minimum, self.maximum = np.inf, -np.inf
        self.digest = hashlib.sha256()
        self._open: list = []

    def add(self, values: np.ndarray, last: bool = True) -> None:
        """Count a block of steps (t, ...), float32, NaN where missing, in the order of time. Blocks of rows of the
        same steps follow each other; ``last`` says that these steps are now whole.
        """
        finite = np.isfinite(values)
        self.count += values.size
        self.missing += int(values.size - finite.sum())
        if finite.any():
            self.minimum = min(self.minimum, float(values.min(initial=np.inf, where=finite)))
            self.maximum = max(self.maximum, float(values.max(initial=-np.inf, where=finite)))
        if not self._open:
            self._open = [hashlib.sha256() for _ in range(len(values))]
        for step, digest in zip(np.ascontiguousarray(values, dtype="<f4"), self._open):
            digest.update(step)
        if last:
            self.digest.update(b"".join(digest.digest() for digest in self._open))
            self._open = []

    def complete(self, info: VariableInfo) -> VariableInfo:
        """``info`` with the numbers counted so far; 0 as range where everything is missing."""
        empty = self.count == self.missing
        return dataclasses.replace(
            info,
            missing_share=self.missing / max(1, self.count),
            filled_share=self.filled / max(1, self.count),
            minimum=0.0 if empty else self.minimum,
            maximum=0.0 if empty else self.maximum,
        )
