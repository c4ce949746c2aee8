"""Rain painted onto the cells of a grid: strokes of a brush, an eraser, and the way back. Knows nothing of the map."""

from __future__ import annotations

import math
from typing import Optional

import numpy as np

from ...core.contracts import Grid

MOST_MM = 2000.0
_MOST_UNDO = 50
_SOFT = 4.0  # a soft brush of this many standard deviations is as wide as a hard one
_LEAST_MM = 0.005


class Painted:
    """``rain`` is (rows, columns) in mm, row 0 in the north, 0 where nothing was painted."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.rain = np.zeros(grid.shape)
        self._before: list[np.ndarray] = []
        self._base: Optional[np.ndarray] = None
        self._stroke = np.zeros(grid.shape)
        self._last: Optional[tuple[float, float]] = None

    # -- strokes

    def begin(self) -> None:
        """A stroke begins; what is painted until :meth:`end` is one step of undo."""
        self._base = self.rain.copy()
        self._stroke = np.zeros(self.grid.shape)
        self._last = None

    def to(
        self, x: float, y: float, size: float, mm: float, *, soft: bool, erase: bool = False, add: bool = True
    ) -> None:
        """Lead a brush ``size`` cells wide to a point in the grid's CRS. Within one stroke no cell gets more than
        ``mm``, however often the brush passes. With ``add`` they come on top of what was painted, else cells are filled
        up to ``mm``; ``erase`` takes away what was painted.
        """
        column, row = (x - self.grid.west) / self.grid.cell_x - 0.5, (self.grid.north - y) / self.grid.cell_y - 0.5
        for at in self._way(row, column, max(0.5, size / 4.0)):
            self._dab(*at, size, soft)
        self._last = (row, column)
        base = self.rain if self._base is None else self._base
        if erase:
            self.rain = base * (1.0 - self._stroke)
        elif add:
            self.rain = np.minimum(base + mm * self._stroke, MOST_MM)
        else:
            self.rain = np.maximum(base, mm * self._stroke)
        self.rain[self.rain < _LEAST_MM] = 0.0

    def end(self) -> bool:
        """The stroke ends; True where it changed something."""
        base, self._base, self._last = self._base, None, None
        if base is None or np.array_equal(base, self.rain):
            return False
        self._remember(base)
        return True

    def give_up(self) -> None:
        """Throw the stroke away."""
        if self._base is not None:
            self.rain, self._base, self._last = self._base, None, None

    # -- back

    def undo(self) -> bool:
        """Take the last stroke, or the last clearing, back; False where there is none."""
        if not self._before:
            return False
        self.rain = self._before.pop()
        return True

    def clear(self) -> bool:
        """Take all rain away; False where there is none."""
        if not self.rain.any():
            return False
        self._remember(self.rain)
        self.rain = np.zeros(self.grid.shape)
        return True

    @property
    def can_undo(self) -> bool:
        """Whether there is something to take back."""
        return bool(self._before)

    # -- what came of it

    def cells(self) -> tuple[tuple[float, float, float], ...]:
        """x and y of the centre, and mm, of each cell with rain."""
        xs, ys = self.grid.centres()
        return tuple(
            (xs[column], ys[row], round(float(self.rain[row, column]), 3))
            for row, column in zip(*(places.tolist() for places in np.nonzero(self.rain)))
        )

    def take(self, cells: tuple[tuple[float, float, float], ...]) -> None:
        """Show rain of a question that was asked before; cells outside the grid are left out."""
        self._remember(self.rain)
        self.rain = np.zeros(self.grid.shape)
        for x, y, mm in cells:
            row = math.floor((self.grid.north - y) / self.grid.cell_y)
            column = math.floor((x - self.grid.west) / self.grid.cell_x)
            if 0 <= row < self.grid.rows and 0 <= column < self.grid.columns:
                self.rain[row, column] += mm

    def _remember(self, rain: np.ndarray) -> None:
        self._before = [*self._before, rain.copy()][-_MOST_UNDO:]

    def _way(self, row: float, column: float, step: float) -> list[tuple[float, float]]:
        """Places of the brush from the last one on, so that a quick hand leaves no gaps."""
        if self._last is None:
            return [(row, column)]
        from_row, from_column = self._last
        count = min(1000, max(1, math.ceil(math.hypot(row - from_row, column - from_column) / step)))
        return [
            (from_row + (row - from_row) * i / count, from_column + (column - from_column) * i / count)
            for i in range(1, count + 1)
        ]

    def _dab(self, row: float, column: float, size: float, soft: bool) -> None:
        """Put the brush down: weights 0 to 1, the most that the stroke gave to a cell."""
        reach = math.ceil(size / 2.0 * (1.5 if soft else 1.0)) + 1
        rows = slice(max(0, round(row) - reach), max(0, min(self.grid.rows, round(row) + reach + 1)))
        columns = slice(max(0, round(column) - reach), max(0, min(self.grid.columns, round(column) + reach + 1)))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        down, across = np.mgrid[rows, columns]
        away = np.hypot(down - row, across - column)
        if soft:
            weights = np.exp(-0.5 * (away / max(0.25, size / _SOFT)) ** 2)
            weights[weights < 0.01] = 0.0
        else:
            weights = (away <= size / 2.0).astype(float)
            weights[(np.abs(down - row) <= 0.5) & (np.abs(across - column) <= 0.5)] = 1.0
        self._stroke[rows, columns] = np.maximum(self._stroke[rows, columns], weights)
