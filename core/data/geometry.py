"""Where grids lie to one another: the same cells or CRS, shared extents, the places of one's cells in another."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..contracts.errors import DataError
from ..contracts.grid import Grid

_SAME = 0.01
_LATTICE = 16  # cells between two nodes whose places are computed exactly
_ALLOWED = 1e-6  # source cells by which a place between nodes may be off
_FEW = 4096  # a grid of so few cells is not worth a lattice


def same_grid(one: Grid, other: Grid) -> bool:
    """Whether two grids have the same cells, to a hundredth of a cell."""
    if one.shape != other.shape or not same_crs(one.crs, other.crs):
        return False
    west, south, east, north = one.extent
    edges = zip((west, east, south, north), (other.extent[0], other.extent[2], other.extent[1], other.extent[3]))
    sizes = (other.cell_x, other.cell_x, other.cell_y, other.cell_y)
    return all(abs(a - b) < _SAME * size for (a, b), size in zip(edges, sizes))


def same_crs(one: str, other: str) -> bool:
    """Whether two texts, WKT or codes, mean the same CRS."""
    return one == other or crs_of(one) == crs_of(other)


@lru_cache(maxsize=256)
def crs_of(text: str) -> Any:
    """The CRS that a code or WKT means; :class:`DataError` where it is not known."""
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    try:
        return CRS.from_user_input(text)
    except CRSError as error:
        raise DataError(
            f"The CRS '{text[:60]}' is not known",
            expected="a code such as EPSG:3035, or WKT",
            remedy="Correct the CRS of the grid",
        ) from error


def extent_in(grid: Grid, crs: str) -> tuple[float, float, float, float]:
    """Extent of a grid (west, south, east, north) in another CRS."""
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError
    from rasterio.warp import transform_bounds

    if same_crs(grid.crs, crs):
        return grid.extent
    try:
        return tuple(transform_bounds(crs_of(grid.crs), crs_of(crs), *grid.extent, densify_pts=21))
    except (RasterioError, CPLE_BaseError) as error:
        raise DataError(
            "A source cannot be brought into the CRS of the grid",
            got=str(error),
            remedy="Choose a grid in a CRS that covers the basin",
        ) from error


def shared_share(source: Grid, target: Grid) -> float:
    """Share of the target's extent (0 to 1) that the source's extent covers, in steps of 1/400; above 0 where they
    touch at all.

    Points are carried over one by one, since the bounds of a world map mean nothing in most projections.
    """
    share = _share_inside(source, _coarsened(target, 20))
    if share == 0.0 and _share_inside(target, _coarsened(source, 20)) > 0:
        return 1.0 / 400
    return share


def fineness(source: Grid, target: Grid) -> float:
    """Source cells side by side in one target cell, as the geometric mean of both directions, in the target's
    centre.
    """
    west = target.west + (target.columns // 2) * target.cell_x
    north = target.north - (target.rows // 2) * target.cell_y
    cell = Grid(target.crs, west, north, target.cell_x / 2, target.cell_y / 2, 2, 2)
    y, x = Places(source, cell).rows(0, 2)
    area = (x[0, 1] - x[0, 0]) * (y[1, 0] - y[0, 0]) - (x[1, 0] - x[0, 0]) * (y[0, 1] - y[0, 0])
    return float(np.sqrt(abs(area)) * 2)


class Places:
    """Row and column of a target grid's points in a source grid, in cells from its north-west corner.

    ``offset`` 0.5 gives the centres of the target's cells, 0 their north-west corners. Between two CRSs places are
    computed on a lattice of every 16th cell and interpolated by cubics where that is within a millionth of a source
    cell, else one by one. A place is the same whichever rows are asked for. Points that cannot be carried over lie at
    -1e9.
    """

    def __init__(self, source: Grid, target: Grid, offset: float = 0.5) -> None:
        self._source, self._target, self._offset = source, target, offset
        self._one_crs = same_crs(source.crs, target.crs)
        extra = 0 if offset else 1  # corners are one more than cells
        self._columns = target.columns + extra
        self._lattice = not self._one_crs and target.rows * target.columns > _FEW and self._smooth()

    def rows(self, first: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Row and column (stop - first, columns) of the points of the target's rows, float64. With ``offset`` 0 there
        is one column more, and row ``target.rows`` is allowed.
        """
        if self._lattice:
            found = self._between_nodes(first, stop)
            if found is not None:
                return found
        lines = np.arange(first, stop) + self._offset
        across = np.arange(self._columns) + self._offset
        if self._one_crs:
            y, x = self._straight(lines, across)
            shape = (len(lines), len(across))
            return np.broadcast_to(y[:, None], shape), np.broadcast_to(x[None, :], shape)
        return self._carried(*np.meshgrid(lines, across, indexing="ij"))

    def axes(self, first: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows (stop - first,) and columns (columns,) in one CRS, where the two do not depend on one another."""
        return self._straight(np.arange(first, stop) + self._offset, np.arange(self._columns) + self._offset)

    def _straight(self, lines: np.ndarray, across: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        source, target = self._source, self._target
        y = (source.north - target.north) / source.cell_y + lines * (target.cell_y / source.cell_y)
        return y, (target.west - source.west) / source.cell_x + across * (target.cell_x / source.cell_x)

    def _carried(self, lines: np.ndarray, across: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        source, target = self._source, self._target
        xs = target.west + across * target.cell_x
        ys = target.north - lines * target.cell_y
        if not self._one_crs:
            xs, ys = (part.reshape(xs.shape) for part in _transformed(target.crs, source.crs, xs.ravel(), ys.ravel()))
        y, x = (source.north - ys) / source.cell_y, (xs - source.west) / source.cell_x
        bad = ~(np.isfinite(y) & np.isfinite(x))
        y[bad] = x[bad] = -1e9
        return y, x

    def _smooth(self) -> bool:
        """Whether cubics between the nodes are good enough, from a sample of middles all over the target."""
        lines, across = (
            np.unique(np.linspace(0, max(0, count - 1), 24).astype(int) // _LATTICE)
            for count in (self._target.rows, self._columns)
        )
        middles = ((values + 0.5) * _LATTICE + self._offset for values in (lines, across))
        around = ((values[:, None] + np.arange(-1, 3)).ravel() * _LATTICE + self._offset for values in (lines, across))
        exact = self._carried(*np.meshgrid(*middles, indexing="ij"))
        nodes = self._carried(*np.meshgrid(*around, indexing="ij"))
        weights = _lagrange(np.array([0.5]))[0]
        for one, values in zip(exact, nodes):
            found = np.einsum("k,m,ikjm->ij", weights, weights, values.reshape(len(lines), 4, len(across), 4))
            if values.min() <= -1e8 or np.abs(found - one).max() > _ALLOWED:
                return False
        return True

    def _between_nodes(self, first: int, stop: int) -> Any:
        """Places by interpolation; None where a node cannot be carried over or the meridian of 180 degrees runs
        through.
        """
        lines = np.arange(first // _LATTICE - 1, (stop - 1) // _LATTICE + 3)
        across = np.arange(-1, (self._columns - 1) // _LATTICE + 3)
        places = np.meshgrid(lines * _LATTICE + self._offset, across * _LATTICE + self._offset, indexing="ij")
        nodes = self._carried(*places)
        for values in nodes:
            steps = np.abs(np.diff(values, axis=1))
            if values.min() <= -1e8 or steps.max() > 8 * np.median(steps) + 1:
                return None
        down = _weights(np.arange(first, stop), lines[0])
        right = _weights(np.arange(self._columns), across[0])
        return tuple(_weighted(_weighted(values.T, *right).T, *down) for values in nodes)


def _weights(cells: np.ndarray, first_node: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the four nodes around each cell and their weights: (cells, 4) each."""
    node = cells // _LATTICE
    return (node - first_node)[:, None] + np.arange(-1, 3), _lagrange((cells - node * _LATTICE) / _LATTICE)


def _weighted(values: np.ndarray, index: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Sums over the first axis, term by term, so that every number comes out the same whatever stands beside it."""
    total = values[index[:, 0]] * weight[:, 0, None]
    for k in range(1, index.shape[1]):
        part = values[index[:, k]]
        part *= weight[:, k, None]
        total += part
    return total


def _transformed(source: str, target: str, xs: np.ndarray, ys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (n,) carried from one CRS to another; infinite where that cannot be. One such point makes GDAL refuse all,
    so they are looked for by halves.
    """
    from rasterio._err import CPLE_BaseError
    from rasterio.warp import transform

    try:
        x, y = transform(crs_of(source), crs_of(target), xs, ys)
        return np.asarray(x), np.asarray(y)
    except CPLE_BaseError:
        if len(xs) == 1:
            return np.full(1, np.inf), np.full(1, np.inf)
        half = len(xs) // 2
        halves = [_transformed(source, target, xs[part], ys[part]) for part in (slice(half), slice(half, None))]
        return np.concatenate([one for one, _ in halves]), np.concatenate([one for _, one in halves])


def _lagrange(t: np.ndarray) -> np.ndarray:
    """Weights (n, 4) of the nodes at -1, 0, 1, 2 for places ``t`` between 0 and 1."""
    return np.stack(
        [
            -t * (t - 1) * (t - 2) / 6,
            (t + 1) * (t - 1) * (t - 2) / 2,
            -(t + 1) * t * (t - 2) / 2,
            (t + 1) * t * (t - 1) / 6,
        ],
        axis=-1,
    )


def _coarsened(grid: Grid, count: int) -> Grid:
    """The grid's extent in ``count`` x ``count`` cells."""
    west, south, east, north = grid.extent
    return Grid(grid.crs, west, north, (east - west) / count, (north - south) / count, count, count)


def _share_inside(source: Grid, target: Grid) -> float:
    y, x = Places(source, target).rows(0, target.rows)
    return float(((y >= 0) & (y <= source.rows) & (x >= 0) & (x <= source.columns)).mean())
