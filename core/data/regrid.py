"""Resampling of maps onto another grid, whole or strip by strip of its rows.

Kernels take and return arrays, float32, NaN where missing. A missing cell never lends its value to another one. All
weights are worked out once for a strip and applied to each map as a sparse matrix, so that threads work side by side.
"""

from __future__ import annotations

from typing import Optional

import numpy as np

from ..contracts.grid import Grid
from .geometry import Places, fineness, same_crs, same_grid
from .sources.base import Window, whole
from .weights import area_shares, kernel_matrix, overlap_matrix

_MARGIN = {"nearest": 0, "bilinear": 1, "cubic": 2}
_POINT_BYTES = {"nearest": 40.0, "bilinear": 60.0, "cubic": 220.0}


class Regridder:
    """Brings maps of one grid onto another.

    Parameters
    ----------
    source, target : Grid
    method : str
        - ``nearest``: the source cell that holds the centre of the target cell.
        - ``bilinear``: weights of the four source cells around the centre, over those present; missing where the cell
          that holds the centre is missing.
        - ``cubic``: Catmull-Rom over 4 x 4 cells (Keys 1981, doi:10.1109/TASSP.1981.1163711, a = -0.5); bilinear
          where one is missing.
        - ``average`` and ``conservative``: mean of the source cells under the target cell, weighted by area, over
          those present; missing where less than ``least_share`` of the target cell is covered. For a rate (mm/d) this
          keeps the volume. A source coarser than the target is spread as it is, so that the mean over each source
          cell stays what it was.
        - ``mode``: the source value that covers most of the target cell, with the same limit; nearest where the
          source is coarser.
    least_share : float
        Half for maps that change in time; next to nothing for static maps, whose edge is mostly that of a basin.

    Where the source is at least twice as fine as the target, bilinear and cubic would skip cells; they then average
    (see :attr:`method`). Areas are exact in one CRS; between two CRSs they are those of the quadrilaterals between the
    carried corners of each target cell. Places are exact to a millionth of a source cell.
    """

    def __init__(self, source: Grid, target: Grid, method: str, least_share: float = 0.5) -> None:
        self.source, self.target = source, target
        self.least_share = least_share
        self.same = same_grid(source, target)
        self.one_crs = same_crs(source.crs, target.crs)
        self.ratio = fineness(source, target)
        self.method = "nearest" if self.same else _effective(method, self.ratio)
        self._places: Optional[Places] = None
        self._whole: Optional[Strip] = None

    def __call__(self, maps: np.ndarray) -> np.ndarray:
        """Maps (t, Hs, Ws) of the source grid as float32 (t, H, W) of the target grid."""
        if self._whole is None:
            self._whole = Strip(self, 0, self.target.rows, whole(self.source))
        return self._whole(maps)

    def strip(self, first: int, stop: int) -> Strip:
        """The same for rows ``first`` to ``stop`` (exclusive) of the target alone, from the part of the source that
        they need. Every value is what the whole grid would give.
        """
        return Strip(self, first, stop)

    def window(self, first: int, stop: int) -> Optional[Window]:
        """The part of the source that these rows of the target need, None where it has none; without the weights."""
        if self.same:
            return Window(first, 0, stop - first, self.source.columns)
        if self.method not in ("average", "mode"):
            return _around(*self.places().rows(first, stop), _MARGIN[self.method], self.source)
        return _between(*self.corners(first, stop), self.source)

    def corners(self, first: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Corners of the cells in these rows of the target, in cells of the source; in one CRS along each axis."""
        places = self.places()
        return places.axes(first, stop + 1) if self.one_crs else places.rows(first, stop + 1)

    @property
    def cell_bytes(self) -> float:
        """Bytes that the weights of a strip take for each cell of the target, roughly and while they are made."""
        if self.same or self.method == "average" and self.one_crs:
            return 0.0
        if self.method in _POINT_BYTES:
            return _POINT_BYTES[self.method]
        return 16.0 + (60.0 if self.method == "mode" else 24.0) * (self.ratio + 1.5) ** 2

    def places(self) -> Places:
        """Centres of the target's cells in the source, or their corners where areas count."""
        if self._places is None:
            corners = self.method in ("average", "mode")
            self._places = Places(self.source, self.target, 0.0 if corners else 0.5)
        return self._places


class Strip:
    """Rows of a target grid. ``window`` is the part of the source that is needed, None where the source has none;
    calling it takes maps (t, rows, columns) of that window and gives float32 (t, stop - first, W).
    """

    def __init__(self, regrid: Regridder, first: int, stop: int, window: Optional[Window] = None) -> None:
        self._regrid, self._method = regrid, regrid.method
        self.shape = (stop - first, regrid.target.columns)
        self.window = window or regrid.window(first, stop)
        if self.window is None or regrid.same:
            return
        if self._method in ("average", "mode"):
            self._plan_areas(first, stop)
        else:
            self._plan_points(first, stop)

    def __call__(self, maps: np.ndarray) -> np.ndarray:
        maps = np.ascontiguousarray(maps, dtype=np.float32)
        if self._regrid.same:
            return maps
        out = np.empty((len(maps), *self.shape), dtype=np.float32)
        if self.window is None:
            out[:] = np.nan
            return out
        kernel = getattr(self, f"_{self._method}")
        for single, into in zip(maps, out):
            if self._method == "nearest":
                self._nearest(single, into.reshape(-1))
            else:
                into[:] = kernel(single).reshape(self.shape)
        return out

    def _plan_points(self, first: int, stop: int) -> None:
        source = self._regrid.source
        y, x = self._regrid.places().rows(first, stop)
        inside = _inside(y, x, source).ravel()
        self._outside = None if inside.all() else ~inside
        self._nearest_index = _cells(y, x, self.window).ravel()
        if self._outside is not None:
            self._nearest_index[self._outside] = 0
        if self._method == "nearest":
            return
        shape = (source.rows, source.columns)
        self._linear = kernel_matrix(y, x, self.window, shape, cubic=False)
        if self._method == "cubic":
            self._keys = kernel_matrix(y, x, self.window, shape, cubic=True)
            self._beyond = self._keys.data.reshape(-1, 16).sum(axis=1) < 0.5
            ones = np.ones(len(self._keys.data), dtype=np.int8)
            self._touched = type(self._keys)((ones, self._keys.indices, self._keys.indptr), shape=self._keys.shape)

    def _plan_areas(self, first: int, stop: int) -> None:
        regrid, source = self._regrid, self._regrid.source
        y, x = regrid.corners(first, stop)
        if regrid.one_crs:
            window = self.window
            self._down = overlap_matrix(y, window.row, window.rows)
            self._right = overlap_matrix(x, window.column, window.columns)
            if self._method == "mode":
                from scipy.sparse import kron

                self._areas = kron(self._down, self._right, format="csr")
        else:
            self._areas = area_shares(y, x, self.window, (source.rows, source.columns))

    def _nearest(self, single: np.ndarray, out: np.ndarray) -> None:
        np.take(single.ravel(), self._nearest_index, out=out, mode="clip")  # without a look at each index first
        if self._outside is not None:
            out[self._outside] = np.nan

    def _bilinear(self, single: np.ndarray) -> np.ndarray:
        flat = single.ravel()
        present = np.isfinite(flat)
        if present.all():
            result = self._linear @ flat
            if self._outside is not None:
                result[self._outside] = np.nan
            return result
        total = self._linear @ np.where(present, flat, np.float32(0))
        weight = self._linear @ present.astype(np.float32)
        held = np.take(present, self._nearest_index) & (weight > 1e-9)
        if self._outside is not None:
            held &= ~self._outside
        np.divide(total, weight, out=total, where=held & (weight < 1 - 1e-5))  # as without any gap where all are there
        total[~held] = np.nan
        return total

    def _cubic(self, single: np.ndarray) -> np.ndarray:
        flat = single.ravel()
        present = np.isfinite(flat)
        result = self._keys @ np.where(present, flat, np.float32(0))
        lacking = self._beyond
        if not present.all():
            lacking = lacking | ((self._touched @ (~present).astype(np.int8)) > 0)
        if lacking.any():
            result[lacking] = self._bilinear(single)[lacking]
        return result

    def _average(self, single: np.ndarray) -> np.ndarray:
        present = np.isfinite(single)
        filled = np.where(present, single, np.float32(0)).astype(np.float64)
        total, weight = self._sum(filled), self._sum(present.astype(np.float64))
        mean = np.full(weight.shape, np.nan)
        np.divide(total, weight, out=mean, where=weight >= self._least())
        return mean

    def _sum(self, single: np.ndarray) -> np.ndarray:
        if not self._regrid.one_crs:
            return self._areas @ single.ravel()
        rows = self._down @ single
        return (self._right @ np.ascontiguousarray(rows.T)).T

    def _mode(self, single: np.ndarray) -> np.ndarray:
        """The value with the largest share in each row of the areas; of two alike the smaller one."""
        areas = self._areas
        values = single.ravel()[areas.indices]
        cell = np.repeat(np.arange(areas.shape[0]), np.diff(areas.indptr))
        kept = np.isfinite(values) & (areas.data > 0)
        cell, values, share = cell[kept], values[kept], areas.data[kept]
        result = np.full(areas.shape[0], np.nan)
        if not len(cell):
            return result
        order = np.lexsort((values, cell))
        cell, values, share = cell[order], values[order], share[order]
        starts = np.flatnonzero(np.concatenate(([True], (np.diff(cell) > 0) | (np.diff(values) != 0))))
        cell, values, share = cell[starts], values[starts], np.add.reduceat(share, starts)
        covered = np.bincount(cell, weights=share, minlength=len(result))
        order = np.lexsort((-values, np.round(share, 9), cell))  # the last of a cell is its largest share
        result[cell[order]] = values[order]
        result[covered < self._least()] = np.nan
        return result

    def _least(self) -> float:
        return max(self._regrid.least_share - 1e-6, 1e-9)


def _effective(method: str, ratio: float) -> str:
    """The method that keeps what ``method`` promises, given how many source cells lie side by side in a target cell."""
    if method == "conservative" or (method in ("bilinear", "cubic") and ratio >= 2 - 1e-6):
        return "average"
    if method == "mode" and ratio <= 1 + 1e-6:
        return "nearest"
    return method


def _cells(y: np.ndarray, x: np.ndarray, window: Window) -> np.ndarray:
    """Number in ``window`` of the cell that holds each place."""
    row = np.floor(y + 1e-9) - window.row
    row *= window.columns
    row += np.floor(x + 1e-9)
    row -= window.column
    with np.errstate(invalid="ignore"):
        return row.astype(np.intp)  # what numpy takes by without a conversion for each map


def _inside(y: np.ndarray, x: np.ndarray, source: Grid) -> np.ndarray:
    inside = y >= -1e-9
    for held in (y + 1e-9 < source.rows, x >= -1e-9, x + 1e-9 < source.columns):
        inside &= held
    return inside


def _around(y: np.ndarray, x: np.ndarray, margin: int, source: Grid) -> Optional[Window]:
    """Window of the cells under the places that lie within the source, and ``margin`` cells around it."""
    inside = _inside(y, x, source)
    if not inside.any():
        return None
    edges = []
    for values, count in ((y, source.rows), (x, source.columns)):
        low, high = values.min(initial=np.inf, where=inside), values.max(initial=-np.inf, where=inside)
        edges += [max(0, int(np.floor(low)) - margin), min(count, int(np.floor(high + 1e-9)) + margin + 1)]
    return Window(edges[0], edges[2], edges[1] - edges[0], edges[3] - edges[2])


def _between(y: np.ndarray, x: np.ndarray, source: Grid) -> Optional[Window]:
    """Window that holds all that lies between corners ``y`` and ``x``, in cells, clipped to the source; corners that
    cannot be carried over do not count.
    """
    row, column = np.floor(y + 1e-9).astype(np.int64), np.floor(x + 1e-9).astype(np.int64)
    if y.ndim == 2:
        kept = (row > -1e8) & (column > -1e8)
        row, column = row[kept], column[kept]
    if not len(row):
        return None
    first_row, first_column = max(0, int(row.min())), max(0, int(column.min()))
    stop_row, stop_column = min(source.rows, int(row.max()) + 1), min(source.columns, int(column.max()) + 1)
    if stop_row <= first_row or stop_column <= first_column:
        return None
    return Window(first_row, first_column, stop_row - first_row, stop_column - first_column)


__all__ = ["Regridder", "Strip"]
