"""The network that water takes over a grid: what lies upstream of each cell, how far it is to the outlet."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Optional

import numpy as np

from ...contracts.errors import DataError
from ...contracts.grid import Grid
from .cells import cell_sizes
from .directions import MISSING, lengths_m, route

STREAM_KM2 = 10.0
_MAIN_SHARE = 0.6  # of the land that drains to one outlet, from which on a clipped elevation model is one basin
_MUCH_LARGER, _LOOKED_AT = 5.0, 500
_CLIPPED_SHARE = 0.75  # of its edge that lies beside missing cells


@dataclass(frozen=True)
class Outlet:
    """The river cell that a place was moved to: its row and column, the middle of it in the CRS of the grid, how far
    that is from the place in m, and the area in km2 that drains to it. ``larger`` is a sentence where a much larger
    river is as near as the radius.
    """

    row: int
    column: int
    x: float
    y: float
    moved_m: float
    area_km2: float
    larger: str = ""

    def sentence(self) -> str:
        """Where the outlet lies and how far it was moved."""
        return (
            f"The outlet lies at {self.x:.10g}, {self.y:.10g}, {self.moved_m:.0f} m from the place given, and drains "
            f"{self.area_km2:.6g} km2."
        )


class FlowNetwork:
    """Flow network of a grid, from its elevations or from flow directions.

    Parameters
    ----------
    dem : ndarray (H, W) or None
        Elevation in m, NaN missing; depressions are filled (see :func:`.directions.route`).
    grid : Grid
    stream_km2 : float
        A cell that drains so much is a river.
    directions : ndarray of uint8 (H, W), optional
        ESRI codes, 0 where water leaves, 247 where missing, in place of those that follow from ``dem``.
    edge : str
        "open": water may leave anywhere at the edge of ``dem``; "closed": only where most of it leaves when the edge is
        open; "": closed where nearly all of the edge lies beside missing cells and one outlet drains most of the land,
        as in an elevation model that is clipped to a basin. A river that such a clip touches would else leak away.

    Attributes
    ----------
    grid, sizes, directions
    filled : float32 (H, W) or None, the elevations without depressions
    valid : bool (H, W), where a direction is known
    notes, warnings : list of str

    Raises :class:`DataError` where no cell has an elevation. Cells are worked on in the order in which water climbs:
    ``cells`` (N,) their flat indices, ``down`` (N,) the number within ``cells`` of the next cell downstream, its own
    at an outlet.
    """

    def __init__(
        self,
        dem: Optional[np.ndarray],
        grid: Grid,
        stream_km2: float = STREAM_KM2,
        directions: Optional[np.ndarray] = None,
        edge: str = "",
    ) -> None:
        given = dem if directions is None else directions
        if given is None or given.shape != grid.shape:
            raise ValueError(f"expected an array of {grid.shape}")
        self.grid, self.sizes, self.stream_km2 = grid, cell_sizes(grid), float(stream_km2)
        self.notes: list[str] = []
        self.warnings: list[str] = [self.sizes.note] if self.sizes.note else []
        self.filled: Optional[np.ndarray] = None
        if directions is None:
            if not np.isfinite(dem).any():
                raise DataError(
                    "The elevation model has no value on the grid",
                    remedy="Choose an elevation model of this region, or check its CRS",
                )
            self._route(np.where(np.isfinite(dem), dem, np.nan), edge)
            return
        if not (directions != MISSING).any():
            raise DataError(
                "No cell of the grid has a flow direction",
                remedy="Choose an elevation model of this region, or check its CRS",
            )
        self._take(directions)

    @functools.cached_property
    def upstream_area_km2(self) -> np.ndarray:
        """Area that drains through each cell, its own included: float64 (H, W), NaN where missing."""
        return self.spread(self.accumulate(self._areas()))

    @functools.cached_property
    def distance_km(self) -> np.ndarray:
        """Length of the way that water takes to where it leaves: float64 (H, W), NaN where missing."""
        length = lengths_m(self.directions, self.sizes).ravel()[self.cells] / 1000.0
        length[self.down == np.arange(len(self.down))] = 0.0
        return self.spread(self._climb(self.down, length))

    @property
    def streams(self) -> np.ndarray:
        """Cells that drain at least ``stream_km2``: bool (H, W)."""
        return np.nan_to_num(self.upstream_area_km2) >= self.stream_km2 * (1.0 - 1e-9)

    def height_above_drainage(self) -> np.ndarray:
        """Height in m above the river that each cell drains to (Nobre et al. 2011, doi:10.1016/j.jhydrol.2011.03.051),
        of the filled surface: float64 (H, W), NaN where missing. Where water leaves the grid before it meets a river,
        the height above the cell where it leaves.
        """
        if self.filled is None:
            raise ValueError("a network of directions alone has no heights")
        heights = self.filled.ravel()[self.cells].astype(np.float64)
        own = np.arange(len(self.down), dtype=self.down.dtype)
        down = np.where(self.streams.ravel()[self.cells], own, self.down)
        return self.spread(self._climb(down, heights - heights[down]))

    def upstream_mean(self, values: np.ndarray) -> np.ndarray:
        """Mean of ``values`` (t, H, W) or (H, W) over all cells upstream of each cell and itself, weighted by their
        areas: float32 of the same shape. NaN are left out; NaN where nothing upstream has a value, or where the cell
        has no flow direction. One map is worked on at a time.
        """
        maps = values[None] if values.ndim == 2 else values
        out = np.full(maps.shape, np.nan, dtype=np.float32)
        areas, pattern, weight = self._areas(), None, np.empty(0)
        for number in range(len(maps)):
            here = np.asarray(maps[number]).ravel()[self.cells].astype(np.float64)
            present = np.isfinite(here)
            if pattern is None or not np.array_equal(present, pattern):
                pattern, weight = present, self.accumulate(np.where(present, areas, 0.0))
            total = self.accumulate(np.where(present, here * areas, 0.0))
            mean = np.full(len(total), np.nan)
            np.divide(total, weight, out=mean, where=weight > 0.0)
            out[number].ravel()[self.cells] = mean
        return out.reshape(values.shape)

    def basin(self, x: float, y: float, snap: Optional[float] = None) -> tuple[np.ndarray, tuple[float, float]]:
        """Cells that drain to the river nearest to (x, y), bool (H, W), and the middle of the outlet's cell; see
        :meth:`snap` for the radius ``snap`` in m and the errors.
        """
        outlet = self.snap(x, y, snap)
        return self.above(outlet.row, outlet.column), (outlet.x, outlet.y)

    def above(self, row: int, column: int) -> np.ndarray:
        """Cells whose water passes (row, column), itself included: bool (H, W)."""
        from pyflwdir.basins import basins

        number = np.flatnonzero(self.cells == row * self.grid.columns + column).astype(self.down.dtype)
        inside = np.zeros(self.grid.shape, dtype=bool)
        if len(number):
            inside.ravel()[self.cells] = basins(self.down, number, np.arange(len(self.down), dtype=self.down.dtype)) > 0
        return inside

    def snap(self, x: float, y: float, radius_m: Optional[float] = None) -> Outlet:
        """The river cell nearest to (x, y), in the CRS of the grid, within ``radius_m``.

        Without a radius: ten cells but at most 1 km, and at least two cells. Raises :class:`DataError` where the place
        lies outside the grid or on a missing cell, or where no river is near; it names the nearest river.
        """
        side = self.sizes.usual_m
        radius = max(2.0 * side, min(10.0 * side, 1000.0)) if radius_m is None else radius_m
        row, column = self.grid.cell_at(x, y)
        rivers = self._rivers(x, y, row, column)
        nearest = rivers[0] if rivers else None
        if not self.valid[row, column]:
            raise DataError(
                "The outlet lies where the elevation model has no value",
                got=f"x {x:.10g}, y {y:.10g}",
                remedy=f"Pick a place on a river. {_hint(nearest)}",
            )
        if nearest is None or (nearest.moved_m > radius and (nearest.row, nearest.column) != (row, column)):
            raise DataError(
                f"There is no river within {radius:.0f} m of the outlet",
                expected=f"a cell that drains at least {self.stream_km2:g} km2",
                got=f"x {x:.10g}, y {y:.10g}, which drains {self.upstream_area_km2[row, column]:.4g} km2",
                remedy=f"Pick a place on a river, or lower the drainage area. {_hint(nearest)}",
            )
        near = [river for river in rivers if river.moved_m <= radius]
        largest = max([nearest, *near], key=lambda river: river.area_km2)
        if largest.area_km2 < _MUCH_LARGER * nearest.area_km2:
            return nearest
        text = (
            f"A larger river, which drains {largest.area_km2:.6g} km2, lies {largest.moved_m:.0f} m from that place, "
            f"at {largest.x:.10g}, {largest.y:.10g}."
        )
        return replace(nearest, larger=text)

    def accumulate(self, values: np.ndarray) -> np.ndarray:
        """Sums of ``values`` (N,) float64 over each cell of ``cells`` and all that drain to it."""
        from pyflwdir.streams import accuflux

        return accuflux(self.down, np.arange(len(self.down), dtype=self.down.dtype), values, np.nan)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values (N,) in the order of ``cells`` as a map (H, W), NaN elsewhere."""
        out = np.full(self.grid.shape, np.nan)
        out.ravel()[self.cells] = values
        return out

    def _take(self, directions: np.ndarray) -> None:
        self.directions, self.valid = directions, directions != MISSING
        self.cells, self.down = _ordered(directions)

    def _route(self, dem: np.ndarray, edge: str) -> None:
        """Take over the directions that follow from elevations, with its edge open or closed."""
        routed = route(dem, self.sizes)
        self._take(routed.directions)
        ends = np.flatnonzero(self.down == np.arange(len(self.down)))
        drained = self.accumulate(self._areas())[ends]
        main = int(self.cells[ends[np.argmax(drained)]])
        share = float(drained.max() / drained.sum())
        if edge == "closed" or (not edge and len(ends) > 1 and share >= _MAIN_SHARE and _is_clipped(routed.rim)):
            routed = route(dem, self.sizes, main)
            self._take(routed.directions)
            self._tell_closed(main, 1.0 - share, edge)
        self.filled = routed.filled
        self.notes += routed.notes
        self.warnings += routed.warnings

    def _tell_closed(self, main: int, leak: float, edge: str) -> None:
        x = self.grid.west + (main % self.grid.columns + 0.5) * self.grid.cell_x
        y = self.grid.north - (main // self.grid.columns + 0.5) * self.grid.cell_y
        said = (
            f"Water leaves the elevation model only at {x:.10g}, {y:.10g}; with an open edge {100 * leak:.1f} % of its "
            "area would drain elsewhere."
        )
        if edge:
            self.notes.append(said)
        else:
            self.warnings.append(
                f"The elevation model looks clipped to one basin. {said} If not, set its edge to open."
            )

    def _climb(self, down: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Sums of ``steps`` (N,) from each cell down to where its way ends."""
        from pyflwdir.streams import accuflux_ds

        return accuflux_ds(down, np.arange(len(down), dtype=down.dtype), steps.astype(np.float64), np.nan)

    def _areas(self) -> np.ndarray:
        return self.sizes.area_km2[self.cells // self.grid.columns]

    def _rivers(self, x: float, y: float, row: int, column: int) -> list[Outlet]:
        """The river cells nearest to (x, y), which lies in (row, column), from near to far; of several at one
        distance the largest river first. A place on a river cell stays in it.
        """
        rows, columns = np.nonzero(self.streams)
        east = (columns + 0.5 - (x - self.grid.west) / self.grid.cell_x) * self.sizes.width_m[row]
        south = (rows + 0.5 - (self.grid.north - y) / self.grid.cell_y) * self.sizes.height_m[row]
        distance = np.hypot(east, south)
        area = self.upstream_area_km2[rows, columns]
        near = np.where((rows == row) & (columns == column), -1.0, np.round(distance, 3))
        return [
            Outlet(
                int(rows[i]),
                int(columns[i]),
                self.grid.west + (int(columns[i]) + 0.5) * self.grid.cell_x,
                self.grid.north - (int(rows[i]) + 0.5) * self.grid.cell_y,
                float(distance[i]),
                float(area[i]),
            )
            for i in np.lexsort((-area, near))[:_LOOKED_AT]
        ]


def _is_clipped(rim: np.ndarray) -> bool:
    """Whether the edge of the land lies mostly inside the rectangle."""
    inner = np.count_nonzero(rim[1:-1, 1:-1])
    return inner >= _CLIPPED_SHARE * np.count_nonzero(rim)


def _ordered(directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flat indices of the cells from the outlets upwards, and the number of the next one downstream of each."""
    import pyflwdir

    if directions.size == 1:  # which pyflwdir does not take
        return np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int32)
    flow = pyflwdir.from_array(directions, ftype="d8", check_ftype=False)
    cells = flow.idxs_seq
    number = np.full(directions.size, -1, dtype=cells.dtype)
    number[cells] = np.arange(len(cells), dtype=cells.dtype)
    return cells, number[flow.idxs_ds[cells]]


def _hint(nearest: Optional[Outlet]) -> str:
    if nearest is None:
        return "No cell of the elevation model drains so much."
    return f"The nearest river lies {nearest.moved_m:.0f} m away, at {nearest.x:.10g}, {nearest.y:.10g}"
