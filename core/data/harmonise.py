"""Onto one grid: the common grid itself, and the resampling of maps.

Kernels take and return arrays, float32, NaN where missing. A missing cell never lends its value to another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional

import numpy as np

from ..contracts.dataset_job import GridConfig, SourceConfig
from ..contracts.errors import DataError
from ..contracts.grid import Grid
from .sources import Source, open_source

_SAME = 0.01


class Regridder:
    """Brings maps of one grid onto another; the geometry is worked out once.

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
        - ``mode``: the most frequent source value under the target cell, with the same limit; nearest where the
          source is coarser.
    least_share : float
        Half for maps that change in time; next to nothing for static maps, whose edge is mostly that of a basin.

    Where the source is at least twice as fine as the target, bilinear and cubic would skip cells; they then average
    (see :attr:`method`). Weights are exact in one CRS. Between two CRSs GDAL's warper averages.
    """

    def __init__(self, source: Grid, target: Grid, method: str, least_share: float = 0.5) -> None:
        self.source, self.target = source, target
        self.least_share = least_share
        self.same = same_grid(source, target)
        self.one_crs = same_crs(source.crs, target.crs)
        self.ratio = _fineness(source, target)
        self._share: Optional[np.ndarray] = None
        self.method = "nearest" if self.same else _effective(method, self.ratio)
        if self.same:
            return
        if self.method in ("average", "mode"):
            if self.one_crs and self.method == "average":
                self._rows = _overlaps(
                    source.north, source.cell_y, source.rows, target.north, target.cell_y, target.rows, down=True
                )
                self._columns = _overlaps(
                    source.west, source.cell_x, source.columns, target.west, target.cell_x, target.columns
                )
            return
        self._y, self._x = _positions(source, target)

    def __call__(self, maps: np.ndarray) -> np.ndarray:
        """Maps (t, Hs, Ws) of the source grid as float32 (t, H, W) of the target grid."""
        maps = np.ascontiguousarray(maps, dtype=np.float32)
        if self.same:
            return maps
        if self.method == "nearest":
            return _nearest(maps, self._y, self._x)
        if self.method == "bilinear":
            return _bilinear(maps, self._y, self._x)
        if self.method == "cubic":
            return _cubic(maps, self._y, self._x)
        if self.method == "average" and self.one_crs:
            return self._area_mean(maps)
        return np.stack([self._warp(single) for single in maps])

    def _area_mean(self, maps: np.ndarray) -> np.ndarray:
        present = np.isfinite(maps)
        total = self._gather(np.where(present, maps, 0.0).astype(np.float64))
        weight = self._gather(present.astype(np.float64))
        mean = np.full(weight.shape, np.nan)
        np.divide(total, weight, out=mean, where=weight >= max(self.least_share - 1e-9, 1e-9))
        return mean.astype(np.float32)

    def _gather(self, maps: np.ndarray) -> np.ndarray:
        """Sums over overlapping rows, then columns, each weighted by its share of the target cell."""
        index, weight = self._rows
        rows = sum(weight[:, k, None] * maps[:, index[:, k]] for k in range(index.shape[1]))
        index, weight = self._columns
        return sum(weight[:, k] * rows[:, :, index[:, k]] for k in range(index.shape[1]))

    def _warp(self, single: np.ndarray) -> np.ndarray:
        """One map through GDAL's warper, with the covered share measured the same way."""
        from rasterio.enums import Resampling

        way = Resampling.mode if self.method == "mode" else Resampling.average
        out = _reproject(single, np.nan, self.source, self.target, way)
        covered = _reproject(np.isfinite(single).astype(np.float32), None, self.source, self.target, Resampling.average)
        out[~(covered * self._footprint() >= max(self.least_share - 1e-6, 1e-6))] = np.nan
        return out

    def _footprint(self) -> np.ndarray:
        """Share (H, W) of each target cell that lies within the source's extent, from points in the cell."""
        if self._share is None:
            self._share = _share_inside(self.source, self.target)
        return self._share


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
    return one == other or _crs(one) == _crs(other)


def extent_in(grid: Grid, crs: str) -> tuple[float, float, float, float]:
    """Extent of a grid (west, south, east, north) in another CRS."""
    from rasterio.errors import RasterioError
    from rasterio.warp import transform_bounds

    if same_crs(grid.crs, crs):
        return grid.extent
    try:
        return tuple(transform_bounds(_crs(grid.crs), _crs(crs), *grid.extent, densify_pts=21))
    except RasterioError as error:
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
    share = float(_share_inside(source, _coarsened(target, 20), points=1).mean())
    if share == 0.0 and _share_inside(target, _coarsened(source, 20), points=1).any():
        return 1.0 / 400
    return share


def resolve_grid(config: GridConfig, sources: Mapping[str, Source]) -> Grid:
    """The common grid of a job: like a variable or a raster, with its CRS, cell size or extent replaced where the job
    gives them.
    """
    if config.crs:
        _crs(config.crs)
    if not config.like:
        return Grid.from_extent(config.crs, config.extent, config.resolution, config.resolution)
    like = sources[config.like].full_grid if config.like in sources else _grid_of(config.like)
    if config.crs and not same_crs(config.crs, like.crs):
        return _in_other_crs(like, config)
    if config.resolution is None and config.extent is None:
        return like
    cell_x, cell_y = (config.resolution,) * 2 if config.resolution else (like.cell_x, like.cell_y)
    extent = config.extent or like.extent
    if config.extent and not config.resolution:
        extent = _snap(config.extent, like)
    return Grid.from_extent(like.crs, extent, cell_x, cell_y)


def _in_other_crs(like: Grid, config: GridConfig) -> Grid:
    from rasterio.warp import calculate_default_transform

    extent = config.extent or extent_in(like, config.crs)
    cell = config.resolution
    if cell is None:
        transform, _, _ = calculate_default_transform(
            _crs(like.crs), _crs(config.crs), like.columns, like.rows, *like.extent
        )
        cell = transform.a
    return Grid.from_extent(config.crs, extent, cell, cell)


def _grid_of(path: str) -> Grid:
    with open_source(SourceConfig(variable="grid", path=path, role="static", layer="1")) as source:
        return source.full_grid


def _snap(extent: tuple[float, float, float, float], like: Grid) -> tuple[float, float, float, float]:
    """The extent widened to whole cells of ``like``, so that nothing needs resampling."""
    west, south, east, north = extent
    return (
        like.west + np.floor((west - like.west) / like.cell_x + 1e-6) * like.cell_x,
        like.north - np.ceil((like.north - south) / like.cell_y - 1e-6) * like.cell_y,
        like.west + np.ceil((east - like.west) / like.cell_x - 1e-6) * like.cell_x,
        like.north - np.floor((like.north - north) / like.cell_y + 1e-6) * like.cell_y,
    )


def _crs(text: str):
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


def _effective(method: str, ratio: float) -> str:
    """The method that keeps what ``method`` promises, given how many source cells lie side by side in a target cell."""
    if method == "conservative" or (method in ("bilinear", "cubic") and ratio >= 2 - 1e-6):
        return "average"
    if method == "mode" and ratio <= 1 + 1e-6:
        return "nearest"
    return method


def _fineness(source: Grid, target: Grid) -> float:
    """Source cells side by side in one target cell, as the geometric mean of both directions, in the target's
    centre.
    """
    cell_x, cell_y = target.cell_x, target.cell_y
    west = target.west + (target.columns // 2) * cell_x
    north = target.north - (target.rows // 2) * cell_y
    y, x = _positions(source, Grid(target.crs, west, north, cell_x / 2, cell_y / 2, 2, 2))
    area = (x[0, 1] - x[0, 0]) * (y[1, 0] - y[0, 0]) - (x[1, 0] - x[0, 0]) * (y[0, 1] - y[0, 0])
    return float(np.sqrt(abs(area)) * 2)


def _coarsened(grid: Grid, count: int) -> Grid:
    """The grid's extent in ``count`` x ``count`` cells."""
    west, south, east, north = grid.extent
    return Grid(grid.crs, west, north, (east - west) / count, (north - south) / count, count, count)


def _overlaps(
    start: float, cell: float, count: int, new_start: float, new_cell: float, new_count: int, down: bool = False
):
    """Index and weight (new_count, K) of the old cells under each new one, along an axis; weights are shares of the
    new cell.
    """
    sign = -1.0 if down else 1.0
    first = sign * (new_start - start) / cell + np.arange(new_count) * (new_cell / cell)
    last = first + new_cell / cell
    width = int(np.ceil(new_cell / cell)) + 1
    index = np.floor(first + 1e-6).astype(int)[:, None] + np.arange(width)
    share = np.clip(np.minimum(index + 1, last[:, None]) - np.maximum(index, first[:, None]), 0.0, None) * (
        cell / new_cell
    )
    share[(share < 1e-6) | (index < 0) | (index >= count)] = 0.0
    return np.clip(index, 0, count - 1), share


def _positions(source: Grid, target: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Row and column (H, W) of the target's cell centres in the source, in cells from its north-west corner."""
    xs, ys = np.meshgrid(*(np.asarray(axis) for axis in target.centres()))
    if not same_crs(source.crs, target.crs):
        from rasterio.warp import transform

        flat = transform(_crs(target.crs), _crs(source.crs), xs.ravel(), ys.ravel())
        xs, ys = (np.asarray(values).reshape(xs.shape) for values in flat)
    rows, columns = (source.north - ys) / source.cell_y, (xs - source.west) / source.cell_x
    bad = ~(np.isfinite(rows) & np.isfinite(columns))
    rows[bad] = columns[bad] = -1e9
    return rows, columns


def _share_inside(source: Grid, target: Grid, points: int = 4) -> np.ndarray:
    fine = Grid(
        target.crs,
        target.west,
        target.north,
        target.cell_x / points,
        target.cell_y / points,
        target.columns * points,
        target.rows * points,
    )
    y, x = _positions(source, fine)
    inside = (y >= 0) & (y <= source.rows) & (x >= 0) & (x <= source.columns)
    return inside.reshape(target.rows, points, target.columns, points).mean(axis=(1, 3))


def _nearest(maps: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    rows, columns = np.floor(y + 1e-9).astype(int), np.floor(x + 1e-9).astype(int)
    return _pick(maps, rows, columns, _inside(maps, rows, columns))


def _inside(maps: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return (rows >= 0) & (rows < maps.shape[1]) & (columns >= 0) & (columns < maps.shape[2])


def _pick(maps: np.ndarray, rows: np.ndarray, columns: np.ndarray, inside: np.ndarray) -> np.ndarray:
    picked = maps[:, np.clip(rows, 0, maps.shape[1] - 1), np.clip(columns, 0, maps.shape[2] - 1)]
    picked[:, ~inside] = np.nan
    return picked


def _bilinear(maps: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    row, column = np.floor(y - 0.5).astype(int), np.floor(x - 0.5).astype(int)
    dy, dx = y - 0.5 - row, x - 0.5 - column
    total = np.zeros((len(maps), *y.shape))
    weight = np.zeros_like(total)
    for down, part_y in ((0, 1 - dy), (1, dy)):
        for right, part_x in ((0, 1 - dx), (1, dx)):
            rows, columns = row + down, column + right
            values = _pick(maps, rows, columns, _inside(maps, rows, columns))
            share = np.where(np.isfinite(values), part_y * part_x, 0.0)
            total += share * np.nan_to_num(values)
            weight += share
    result = np.full(total.shape, np.nan)
    np.divide(total, weight, out=result, where=(weight > 1e-9) & np.isfinite(_nearest(maps, y, x)))
    return result.astype(np.float32)


def _cubic(maps: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    row, column = np.floor(y - 0.5).astype(int), np.floor(x - 0.5).astype(int)
    weights_y, weights_x = _keys(y - 0.5 - row), _keys(x - 0.5 - column)
    total = np.zeros((len(maps), *y.shape))
    for i in range(4):
        for j in range(4):
            rows, columns = row + i - 1, column + j - 1
            total += weights_y[i] * weights_x[j] * _pick(maps, rows, columns, _inside(maps, rows, columns))
    return np.where(np.isfinite(total), total, _bilinear(maps, y, x)).astype(np.float32)


def _keys(t: np.ndarray) -> list[np.ndarray]:
    return [
        -0.5 * t + t**2 - 0.5 * t**3,
        1 - 2.5 * t**2 + 1.5 * t**3,
        0.5 * t + 2 * t**2 - 1.5 * t**3,
        -0.5 * t**2 + 0.5 * t**3,
    ]


def _reproject(values: np.ndarray, nodata: Optional[float], source: Grid, target: Grid, way) -> np.ndarray:
    from affine import Affine
    from rasterio.warp import reproject

    out = np.full(target.shape, np.nan, dtype=np.float32)
    reproject(
        values,
        out,
        src_transform=Affine(*source.transform),
        src_crs=_crs(source.crs),
        src_nodata=nodata,
        dst_transform=Affine(*target.transform),
        dst_crs=_crs(target.crs),
        dst_nodata=np.nan,
        resampling=way,
        num_threads=2,
    )
    return out
