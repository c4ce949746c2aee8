"""Terrain of a dataset's grid, worked out on the finer cells of the elevation model and brought onto the grid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

import numpy as np

from ...contracts.dataset_job import TerrainConfig
from ...contracts.errors import DataError
from ...contracts.grid import Grid
from ..geometry import crs_of, extent_in, fineness, same_crs, shared_share
from ..regrid import Regridder
from ..sources import Source
from .dem import Dem, fits, not_covered, open_dem, read_dem
from .directions import MISSING, NEIGHBOURS, OUTLET
from .maps import KINDS, direction_map, each_map
from .network import FlowNetwork, Outlet

_FLOWING = ("flow_direction", "upstream_area", "height_above_drainage", "topographic_wetness", "distance_to_outlet")
_LEAST_SHARE = 1e-3  # a map that does not change in time has a value where the elevation model has any
_MARGIN = 0.25  # of the longer side; doubled while water from beyond it reaches the grid
_LEAST_MARGIN = 32
_AT_OUTLET, _AROUND = 3, 12
_CELLS_AT_ONCE = 2_000_000


class GridTerrain:
    """The elevation model of ``config`` and what follows from it on ``grid``.

    The elevation model is read for the grid's extent and a margin, which grows while rivers enter through its edge;
    maps are derived on its own cells and then averaged over those of the grid, upstream areas taken at their largest.
    Flow directions of the grid are upscaled (IHU, Eilander et al. 2021, doi:10.5194/hess-25-5287-2021) where each of
    its cells holds a whole number of cells of the elevation model, else they follow from the averaged elevations.

    Attributes
    ----------
    notes, warnings : list of str
        What was assumed, cropped, filled or doubted, as sentences; complete after the last call.

    Raises :class:`DataError` where the elevation model cannot be used, does not cover the grid, or is too large, and
    where the outlet cannot be placed. ``flowing`` works out the flow network even where no map asks for it.
    """

    def __init__(self, config: TerrainConfig, grid: Grid, flowing: bool = False) -> None:
        self.config, self.grid = config, grid
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self._fine: Optional[FlowNetwork] = None
        self._outlet: Optional[Outlet] = None
        self._own: Optional[FlowNetwork] = None
        flowing = bool(flowing or config.outlet or config.upstream_of or set(config.maps) & set(_FLOWING))
        with open_dem(config.dem) as source:
            self.factor = whole_factor(source.grid, grid)
            self._tell_cover(source)
            rows, columns = self._box(source, 0)
            held = _holds(rows, source.grid.rows) and _holds(columns, source.grid.columns)
            self._edge = config.edge if held else "open"  # of the grid: it may show part of the land only
            self.notes += source.notes
            self.warnings += source.warnings
            self.dem = self._read(source) if flowing else read_dem(source, *self._box(source, self.factor or 2))
        self.notes += self.dem.notes
        self.warnings += self.dem.warnings
        if self._fine is not None:
            self.notes += self._fine.notes
            self.warnings += self._fine.warnings

    def maps(self) -> Iterator[tuple[str, tuple[str, str, np.ndarray]]]:
        """Name, and quantity, unit and float32 (H, W) on the grid, NaN missing, of each map that is asked for."""
        names = [name for name in self.config.maps if name != "flow_direction"]
        made = each_map(self.dem.heights, self.dem.grid, names, self.config.stream_km2, self._fine)
        for name in self.config.maps:
            yield name, (KINDS[name].quantity, KINDS[name].units, self._on_grid(name, made))

    def _on_grid(self, name: str, made: Iterator[tuple[str, np.ndarray]]) -> np.ndarray:
        if name == "flow_direction":
            return direction_map(self.network())
        _, values = next(made)
        if name == "distance_to_outlet" and self._outlet is not None:
            values = to_outlet(values, self._fine, self._outlet)
        if KINDS[name].gathering == "maximum":
            return self._largest(values)
        return averaged(values, self.dem.grid, self.grid)

    def network(self) -> FlowNetwork:
        """The flow network of the grid's own cells."""
        if self._own is None:
            directions = self._upscaled() if self.factor and self._fine is not None else None
            heights = None if directions is not None else self._heights()
            self._own = FlowNetwork(heights, self.grid, self.config.stream_km2, directions, self._edge)
            told = {*self.notes, *self.warnings}
            self.notes += [note for note in self._own.notes if note not in told]
            self.warnings += [warning for warning in self._own.warnings if warning not in told]
        return self._own

    def mask(self) -> np.ndarray:
        """Cells of the grid of which at least half lies in the basin of ``config.outlet``: bool (H, W). A basin that
        is smaller takes the cell that holds most of it, and a warning.
        """
        if self._outlet is None:
            raise ValueError("no outlet is given")
        share = np.nan_to_num(averaged(self._basin(), self.dem.grid, self.grid))
        chosen = share >= 0.5
        if not chosen.any():
            chosen = share == share.max()
            self.warnings.append(
                f"The basin of the outlet ({self._outlet.area_km2:.4g} km2) covers no cell of the grid by half; "
                "the cell that holds most of it is taken."
            )
        return chosen

    def _read(self, source: Source) -> Dem:
        """Read and route the elevation model, with a margin that holds all land upstream where that is possible."""
        rows, columns = self._box(source, 0)
        margin = max(_LEAST_MARGIN, int(_MARGIN * max(rows[1] - rows[0], columns[1] - columns[0])))
        while True:
            rows, columns = self._box(source, margin)
            dem = read_dem(source, rows, columns)
            all_read = _holds(rows, source.grid.rows) and _holds(columns, source.grid.columns)
            edge = self.config.edge if all_read else "open"  # the land goes on beyond a part
            self._fine = FlowNetwork(dem.heights, dem.grid, self.config.stream_km2, edge=edge)
            fault = self._place_outlet()
            reached = reached_from(self._fine, dem.cut)
            (top, end), (left, right) = self._box(source, 2 * margin)
            if all_read or not self._watched(source, reached).any() or not fits((end - top) * (right - left)):
                break
            margin *= 2
        if fault is not None:
            raise fault
        if self._outlet is not None:
            self.notes.append(self._outlet.sentence())
            self.warnings += [self._outlet.larger] if self._outlet.larger else []
        if not all_read:
            self.notes.append(
                f"The elevation model was read for the grid and a margin of {margin} of its cells "
                f"({margin * dem.grid.cell_y:.6g} in units of its CRS) around it."
            )
        entered = self._watched(source, reached) if self._outlet is None else reached[self._basin()]
        if entered.any():
            where = "the grid" if self._outlet is None else "the basin"
            self.warnings.append(entry_warning(float(entered.mean()), where))
        return dem

    def _box(self, source: Source, margin: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Rows and columns of the elevation model under the grid and ``margin`` cells around, in whole cells of the
        grid where it is aligned.
        """
        whole = source.grid
        west, south, east, north = extent_in(self.grid, whole.crs)
        rows = (whole.north - north) / whole.cell_y, (whole.north - south) / whole.cell_y
        columns = (west - whole.west) / whole.cell_x, (east - whole.west) / whole.cell_x
        step = self.factor or 1
        return _span(rows, whole.rows, margin, step), _span(columns, whole.columns, margin, step)

    def _tell_cover(self, source: Source) -> None:
        share = shared_share(source.grid, self.grid)
        if share == 0.0:
            raise not_covered(source.config.path)
        if share < 0.995:
            self.warnings.append(f"The elevation model covers {100 * share:.0f} % of the grid.")
        if fineness(source.grid, self.grid) < 0.99:
            self.warnings.append(
                "The cells of the elevation model are larger than those of the grid; terrain maps are no finer than it."
            )

    def _place_outlet(self) -> Optional[DataError]:
        """Move the outlet onto its river; the fault where that fails, since more land may make a river of a brook."""
        self._outlet = None
        if self.config.outlet is None:
            return None
        try:
            self._outlet = self._fine.snap(*carried(self.config.outlet, self.grid.crs, self._fine.grid.crs))
        except DataError as fault:
            return fault
        return None

    def _basin(self) -> np.ndarray:
        return self._fine.above(self._outlet.row, self._outlet.column)

    def _watched(self, source: Source, reached: np.ndarray) -> np.ndarray:
        """The values of ``reached`` where upstream areas have to be right: under the grid; where an outlet is given,
        around it, so that no river near it is overlooked, and in its basin.
        """
        fine = self._fine.grid
        if self.config.outlet is None:
            first_row = round((source.grid.north - fine.north) / fine.cell_y)
            first_column = round((fine.west - source.grid.west) / fine.cell_x)
            (top, end), (left, right) = self._box(source, 0)
            part = np.s_[top - first_row : end - first_row, left - first_column : right - first_column]
            return reached[part][self._fine.valid[part]]
        inside = np.zeros(fine.shape, dtype=bool) if self._outlet is None else self._basin()
        x, y = carried(self.config.outlet, self.grid.crs, fine.crs)
        row, column = int((fine.north - y) / fine.cell_y), int((x - fine.west) / fine.cell_x)
        inside[max(0, row - _AROUND) : max(0, row + _AROUND), max(0, column - _AROUND) : max(0, column + _AROUND)] = (
            True
        )
        return reached[inside & self._fine.valid]

    def _upscaled(self) -> Optional[np.ndarray]:
        """Flow directions (H, W) of the grid from those of the elevation model; None where the method fails."""
        fine, factor = self._fine, self.factor
        if factor == 1:
            directions = fine.directions
        else:
            import pyflwdir

            flow = pyflwdir.from_array(fine.directions, ftype="d8", check_ftype=False)
            try:
                coarse, _ = flow.upscale(factor, uparea=np.nan_to_num(fine.upstream_area_km2, nan=-9999.0))
            except ValueError:  # what pyflwdir says of a network with loops
                self.notes.append("Flow directions could not be upscaled.")
                return None
            directions = _completed(coarse.to_array("d8"), fine, factor)
            self.notes.append(f"Flow directions of the grid are upscaled from {factor} x {factor} cells each.")
        return self._cropped(directions)

    def _cropped(self, values: np.ndarray) -> np.ndarray:
        """The grid's part of values that have its cell size and the corner of what was read."""
        row = round((self.dem.grid.north - self.grid.north) / self.grid.cell_y)
        column = round((self.grid.west - self.dem.grid.west) / self.grid.cell_x)
        return np.ascontiguousarray(values[row : row + self.grid.rows, column : column + self.grid.columns])

    def _heights(self) -> np.ndarray:
        if fineness(self.dem.grid, self.grid) < 0.99:
            self.notes.append("Flow directions of the grid follow from the elevations between the coarser cells.")
            return Regridder(self.dem.grid, self.grid, "bilinear")(self.dem.heights[None])[0]
        self.notes.append("Flow directions of the grid follow from the elevations averaged over its cells.")
        return averaged(self.dem.heights, self.dem.grid, self.grid)

    def _largest(self, values: np.ndarray) -> np.ndarray:
        if self.factor:
            rows, columns = (count // self.factor for count in values.shape)
            blocks = values[: rows * self.factor, : columns * self.factor]
            blocks = blocks.reshape(rows, self.factor, columns, self.factor)
            return self._cropped(np.fmax.reduce(np.fmax.reduce(blocks, axis=3), axis=1))
        if fineness(self.dem.grid, self.grid) < 0.99:
            return Regridder(self.dem.grid, self.grid, "nearest")(values[None])[0]
        return _warped_largest(values, self.dem.grid, self.grid)


def reached_from(network: FlowNetwork, cut: np.ndarray) -> np.ndarray:
    """Cells that water from beyond ``cut`` (H, W) passes: bool (H, W). Water that leaves again within three cells does
    not count, since a river that leaves through the edge has neighbours there.
    """
    near_end = network.down == np.arange(len(network.down))
    for _ in range(_AT_OUTLET):
        near_end |= near_end[network.down]
    entering = cut.ravel()[network.cells] & ~near_end
    return np.nan_to_num(network.spread(network.accumulate(entering.astype(np.float64)))) > 0.0


def entry_warning(share: float, where: str) -> str:
    """The doubt about upstream areas where water enters from unseen land."""
    return (
        f"Water from beyond the edge of the elevation model passes {max(100 * share, 0.1):.1f} % of {where}; upstream "
        "areas are too small there. Use an elevation model that holds the whole basin."
    )


def to_outlet(distance: np.ndarray, network: FlowNetwork, outlet: Outlet) -> np.ndarray:
    """Distances (H, W) counted from the outlet, NaN outside its basin."""
    inside = network.above(outlet.row, outlet.column)
    return np.where(inside, distance - distance[outlet.row, outlet.column], np.nan).astype(np.float32)


def carried(place: tuple[float, float], source: str, target: str) -> tuple[float, float]:
    """A place (x, y) of one CRS in another."""
    from rasterio.warp import transform

    if same_crs(source, target):
        return place
    xs, ys = transform(crs_of(source), crs_of(target), [place[0]], [place[1]])
    return xs[0], ys[0]


def _completed(coarse: np.ndarray, fine: FlowNetwork, factor: int) -> np.ndarray:
    """Upscaled directions with those of the cells that the method left out, mostly at the edge: to where the largest
    river of the cell goes, if that has a direction, else out. Nothing drains to such a cell, so no loop arises.
    """
    rows, columns = fine.grid.rows // factor, fine.grid.columns // factor
    coarse = coarse[:rows, :columns].copy()
    area = fine.upstream_area_km2
    out = coarse.copy()
    following = np.full(area.size, -1, dtype=np.int64)
    following[fine.cells] = fine.cells[fine.down]
    for row, column in zip(*np.nonzero(coarse == MISSING)):
        top, left = row * factor, column * factor
        block = np.nan_to_num(area[top : top + factor, left : left + factor], nan=-1.0)
        if block.max() < 0.0:
            continue
        place = np.unravel_index(int(block.argmax()), block.shape)
        target = int(following[(top + place[0]) * fine.grid.columns + left + place[1]])
        next_row, next_column = target // fine.grid.columns // factor, target % fine.grid.columns // factor
        known = next_row < rows and next_column < columns and coarse[next_row, next_column] != MISSING
        step = (next_row - row, next_column - column)
        out[row, column] = next((code for *way, code in NEIGHBOURS if known and tuple(way) == step), OUTLET)
    return out


def whole_factor(fine: Grid, grid: Grid) -> int:
    """How many cells of ``fine`` lie side by side in one of ``grid``; 0 where that is no whole number, or unaligned."""
    if not same_crs(fine.crs, grid.crs):
        return 0
    ratio = grid.cell_x / fine.cell_x
    factor = round(ratio)
    if factor < 1 or abs(grid.cell_y / fine.cell_y - factor) * grid.rows > 0.05:
        return 0
    offsets = ((grid.west - fine.west) / fine.cell_x, (fine.north - grid.north) / fine.cell_y)
    aligned = all(abs(offset - round(offset)) < 0.05 for offset in offsets)
    return factor if aligned and abs(ratio - factor) * grid.columns < 0.05 else 0


def averaged(values: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Mean of values (Hs, Ws) over each cell of another grid: float32 (H, W), NaN where they cover next to nothing.
    Some rows at a time, so that little memory is needed.
    """
    regrid = Regridder(source, target, "average", _LEAST_SHARE)
    out = np.full(target.shape, np.nan, dtype=np.float32)
    rows = max(1, int(target.rows * _CELLS_AT_ONCE / values.size))
    for first in range(0, target.rows, rows):
        strip = regrid.strip(first, min(target.rows, first + rows))
        if strip.window is not None:
            part = strip.window
            piece = values[part.row : part.row + part.rows, part.column : part.column + part.columns]
            out[first : first + rows] = strip(piece[None])[0]
    return out


def _span(wanted: tuple[float, float], count: int, margin: int, step: int) -> tuple[int, int]:
    """First and end index of ``wanted`` with its margin, clipped to ``count`` but in whole steps from its start."""
    first, end = int(np.floor(wanted[0] + 0.05)), int(np.ceil(wanted[1] - 0.05))
    low, high = max(0, first - margin), min(count, end + margin)
    if step == 1:
        return low, max(low, high)
    before, after = -(-max(0, first - low) // step), -(-max(0, high - end) // step)
    return first - before * step, end + after * step


def _holds(span: tuple[int, int], count: int) -> bool:
    return span[0] <= 0 and span[1] >= count


def _warped_largest(values: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Largest value under each cell, through GDAL's warper."""
    from affine import Affine
    from rasterio.enums import Resampling
    from rasterio.warp import reproject

    out = np.full(target.shape, np.nan, dtype=np.float32)
    reproject(
        values,
        out,
        src_transform=Affine(*source.transform),
        src_crs=crs_of(source.crs),
        src_nodata=np.nan,
        dst_transform=Affine(*target.transform),
        dst_crs=crs_of(target.crs),
        dst_nodata=np.nan,
        resampling=Resampling.max,
    )
    return out
