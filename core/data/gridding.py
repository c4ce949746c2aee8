"""Gauges onto a grid: inverse distance, ordinary kriging, the mean of all gauges everywhere, or each in its cell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

import numpy as np

from ..contracts.errors import DataError
from ..contracts.grid import Grid
from ..contracts.variables import quantity
from .gauge_places import GaugePlaces, cells_of
from .kriging import FEWEST, System, Variogram, fit_variogram, right_side
from .sources.stations import Stations

METHODS = ("idw", "kriging", "everywhere", "cell")
IN_CELLS = "in the cells of the gauges"
NEIGHBOURS = 12
_POWER = 2.0
_CANDIDATES = 3 * NEIGHBOURS
_NUMBERS = 2**22  # numbers that one piece of work holds


class PointGridder:
    """Brings series of gauges onto a grid. May be used by several threads at once.

    Parameters
    ----------
    stations : Stations
        G gauges; those without a place are left out (they count for "everywhere").
    grid : Grid
    method : str
        - ``idw``: inverse distance (Shepard 1968, doi:10.1145/800186.810616), power 2, of the nearest 12 gauges that
          have a value in the step. Distances are on the sphere where the grid is in degrees.
        - ``kriging``: ordinary kriging of all gauges that have a value, see :mod:`.kriging`; steps with fewer than four
          of them take inverse distance.
        - ``everywhere``: the mean of the gauges that have a value, in all cells.
        - ``cell``: the mean of the gauges that lie in a cell; cells without a gauge are missing.
    variogram : Variogram, optional
        For kriging; without it the first values that come are taken for the whole record.
    minimum : float, optional
        Estimates of kriging below it become it: its weights may be negative, rain may not.

    A cell is missing in a step in which no gauge has a value. Gauges at one place are averaged first.
    Raises :class:`DataError` where the method needs places and none is known.
    """

    def __init__(
        self,
        stations: Stations,
        grid: Grid,
        method: str,
        variogram: Optional[Variogram] = None,
        minimum: Optional[float] = None,
    ) -> None:
        if method not in METHODS:
            raise ValueError(f"method is one of {METHODS}, not {method!r}")
        self.grid, self.method, self.minimum = grid, method, minimum
        self.variogram = variogram
        self.places = GaugePlaces(stations, grid.crs)
        if method != "everywhere" and not len(self.places):
            raise DataError(
                "Gauges without places cannot be interpolated",
                expected="a table or point layer with the place of each gauge",
                remedy="Choose the stations, or one value everywhere",
            )
        self._cells = cells_of(stations, grid)
        self._all_nearest: Optional[tuple[np.ndarray, np.ndarray]] = None
        self._all_right: Optional[np.ndarray] = None

    def __call__(self, values: np.ndarray, rows: Optional[tuple[int, int]] = None) -> np.ndarray:
        """Maps float32 (n, H, W) of values (n, G), NaN missing; with ``rows`` only those (first, after the last)."""
        first, last = rows or (0, self.grid.rows)
        if self.method == "everywhere":
            return _everywhere(values, (last - first, self.grid.columns))
        if self.method == "cell":
            return self._in_cells(values, first, last)
        out = np.full((len(values), (last - first) * self.grid.columns), np.nan, dtype=np.float32)
        gathered = self.places.gather(values)
        near = np.arange(len(values))
        if self.method == "kriging":
            near = self._krige(gathered, first, last, out)
        if len(near):
            self._by_distance(gathered, near, first, last, out)
        return out.reshape(len(values), last - first, self.grid.columns)

    def _in_cells(self, values: np.ndarray, first: int, last: int) -> np.ndarray:
        out = np.full((len(values), (last - first) * self.grid.columns), np.nan, dtype=np.float32)
        rows, columns = self._cells
        here = np.flatnonzero((rows >= first) & (rows < last))
        cells = (rows[here] - first) * self.grid.columns + columns[here]
        for cell in np.unique(cells):
            out[:, cell] = _everywhere(values[:, here[cells == cell]], (1, 1))[:, 0, 0]
        return out.reshape(len(values), last - first, self.grid.columns)

    def variance(self, values: np.ndarray, rows: Optional[tuple[int, int]] = None) -> np.ndarray:
        """Kriging variance float32 (n, H, W) in squared units of the values: that of the variogram times the variance
        of the step's gauges. NaN in steps with fewer than four gauges.
        """
        first, last = rows or (0, self.grid.rows)
        gathered = self.places.gather(values)
        variogram = self._fitted(gathered)
        out = np.full((len(values), (last - first) * self.grid.columns), np.nan, dtype=np.float32)
        for present, steps in patterns(gathered, FEWEST) if variogram else ():
            system = System(self.places.distances[np.ix_(present, present)], variogram)
            scale = (
                np.var(gathered[np.ix_(steps, present)], axis=1, ddof=1) if variogram.relative else np.ones(len(steps))
            )
            for cells, x, y in self._pieces(first, last, max(present.sum() + 1, len(steps))):
                right = right_side(self.places.distances_to(x, y)[:, present], variogram)
                out[steps[:, None], cells] = scale[:, None] * system.variance(right)
        return out.reshape(len(values), last - first, self.grid.columns)

    def _fitted(self, gathered: np.ndarray) -> Optional[Variogram]:
        if self.variogram is None:
            self.variogram = fit_variogram(self.places.distances, gathered)
        return self.variogram

    def _krige(self, values: np.ndarray, first: int, last: int, out: np.ndarray) -> np.ndarray:
        """Fill the steps that can be kriged; the numbers of the others."""
        variogram = self._fitted(values)
        if variogram is None:
            return np.arange(len(values))
        coefficients = np.zeros((values.shape[1] + 1, len(values)))
        done = np.zeros(len(values), dtype=bool)
        for present, steps in patterns(values, FEWEST):
            system = System(self.places.distances[np.ix_(present, present)], variogram)
            kept = np.append(np.flatnonzero(present), values.shape[1])
            coefficients[np.ix_(kept, steps)] = system.coefficients(values[np.ix_(steps, present)])
            done[steps] = True
        steps = np.flatnonzero(done)
        for cells, x, y in self._pieces(first, last, max(values.shape[1] + 1, len(steps))):
            right = self._right(x, y, cells + first * self.grid.columns, variogram)
            estimate = (right @ coefficients[:, steps]).T
            if self.minimum is not None:
                np.maximum(estimate, self.minimum, out=estimate)
            out[steps[:, None], cells] = estimate
        return np.flatnonzero(~done)

    def _by_distance(self, values: np.ndarray, steps: np.ndarray, first: int, last: int, out: np.ndarray) -> None:
        from scipy.sparse import csr_matrix

        sets = list(patterns(values[steps], 1))
        for cells, x, y in self._pieces(first, last, max(_CANDIDATES, len(steps))):
            nearest = self._nearest(x, y, cells + first * self.grid.columns)
            for present, chosen in sets:
                index, weight = self._weights(present, *nearest, x, y)
                starts = np.arange(0, index.size + 1, index.shape[1])
                matrix = csr_matrix((weight.ravel(), index.ravel(), starts), shape=(len(x), len(present)))
                filled = np.where(present, values[steps[chosen]], 0.0)
                out[steps[chosen][:, None], cells] = (matrix @ filled.T).T

    def _nearest(self, x: np.ndarray, y: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nearest gauges of some cells and their distances, remembered where the grid is small."""
        count = min(_CANDIDATES, len(self.places))
        if self.grid.rows * self.grid.columns * count > _NUMBERS:
            return self.places.nearest(x, y, count)
        if self._all_nearest is None:
            self._all_nearest = self.places.nearest(*self._centres(), count)
        return self._all_nearest[0][cells], self._all_nearest[1][cells]

    def _right(self, x: np.ndarray, y: np.ndarray, cells: np.ndarray, variogram: Variogram) -> np.ndarray:
        """Right sides of the kriging system of some cells, remembered where the grid is small."""
        if self.grid.rows * self.grid.columns * (len(self.places) + 1) > _NUMBERS:
            return right_side(self.places.distances_to(x, y), variogram)
        if self._all_right is None:
            self._all_right = right_side(self.places.distances_to(*self._centres()), variogram)
        return self._all_right[cells]

    def _weights(
        self, present: np.ndarray, index: np.ndarray, apart: np.ndarray, x: np.ndarray, y: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gauges (c, k) and their weights (c, k), which sum to 1, from the candidates and their distances."""
        wanted = min(NEIGHBOURS, int(present.sum()))
        here = present[index]
        used = here & (np.cumsum(here, axis=1) <= wanted)
        short = np.flatnonzero(used.sum(axis=1) < wanted)  # the nearest candidates are mostly absent
        if len(short):
            index, apart = index.copy(), apart.copy()
            index[short, :wanted], apart[short, :wanted] = self.places.nearest(x[short], y[short], wanted, present)
            used[short] = np.arange(index.shape[1]) < wanted
        last = int(np.flatnonzero(used.any(axis=0)).max()) + 1
        return index[:, :last], inverse_distance(apart[:, :last], used[:, :last])

    def _pieces(self, first: int, last: int, width: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Cells of some rows in pieces: their numbers from the first row's first cell, and their centres."""
        count = (last - first) * self.grid.columns
        size = max(1, _NUMBERS // width)
        x, y = self._centres(first, last)
        for start in range(0, count, size):
            cells = np.arange(start, min(start + size, count))
            yield cells, x[cells], y[cells]

    def _centres(self, first: int = 0, last: Optional[int] = None) -> tuple[np.ndarray, np.ndarray]:
        """x and y of the centres of all cells in some rows, row by row."""
        xs, ys = self.grid.centres()
        y, x = np.meshgrid(ys[first:last], xs, indexing="ij")
        return x.ravel(), y.ravel()


def inverse_distance(apart: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Weights (..., k) from distances, over those ``used``; they sum to 1. A gauge at no distance takes all."""
    here = used & (apart <= 0)
    at = here.any(axis=-1, keepdims=True)
    weight = np.zeros(apart.shape)
    np.divide(1.0, apart**_POWER, out=weight, where=used & ~at & (apart > 0))
    weight[np.broadcast_to(at, apart.shape) & here] = 1.0
    total = weight.sum(axis=-1, keepdims=True)
    return np.divide(weight, total, out=weight, where=total > 0)


def gridder_for(source, grid: Grid, method: str = "") -> tuple[PointGridder, list[str], list[str]]:
    """The gridder of a :class:`~.sources.table.TableSource` with a variogram of its whole record, and notes and
    warnings that say what it does. ``method`` replaces that of the source.
    """
    name, stations = source.name, source.stations
    method = method or source.gridding
    minimum = 0.0 if quantity(source.config.quantity).minimum == 0 else None
    notes, warnings = [], placing_doubts(stations, grid, name) if method != "everywhere" else []
    gridder = PointGridder(stations, grid, method, minimum=minimum)
    places = gridder.places
    if method == "kriging":
        values = places.gather(source.read_points(0, max(1, len(source.times))))
        gridder.variogram = fit_variogram(places.distances, values)
        if gridder.variogram is None:
            gridder.method = "idw"
            why = f"it needs {FEWEST} gauges" if len(places) < FEWEST else "the values do not vary between the gauges"
            warnings.append(f"'{name}' cannot be kriged: {why}. Inverse distance is taken.")
        else:
            notes += _say_kriging(gridder, name)
            few = (np.isfinite(values).sum(axis=1) < FEWEST) & np.isfinite(values).any(axis=1)
            if few.any():
                warnings.append(
                    f"'{name}': {int(few.sum())} steps have fewer than {FEWEST} gauges; they take inverse distance."
                )
    if gridder.method == "idw":
        notes.append(
            f"'{name}': {len(places)} gauges onto the grid by inverse distance (power 2, the nearest {NEIGHBOURS})."
        )
    elif gridder.method == "cell":
        rows, columns = cells_of(stations, grid)
        count = len({(row, column) for row, column in zip(rows, columns) if row >= 0})
        if not count:
            raise DataError(
                f"'{name}': no gauge lies within the grid",
                expected="gauges with places in its cells",
                remedy="Check the places of the gauges and their CRS, or enlarge the grid",
            )
        notes.append(f"'{name}': {int((rows >= 0).sum())} gauges in their {count} cells; all others are missing.")
        return gridder, notes, warnings  # gauges of one cell are averaged with intent
    elif gridder.method == "everywhere":
        notes.append(f"'{name}': the mean of {len(stations)} gauges is taken everywhere." if len(stations) > 1
                     else f"'{name}': its one series is taken everywhere.")  # fmt: skip
    if places.merged:
        warnings.append(
            f"'{name}': {places.merged} gauges lie where another one lies; those of one place are averaged."
        )
    return gridder, notes, warnings


def placing_doubts(stations: Stations, grid: Grid, name: str) -> list[str]:
    """Warnings about gauges without a place, or outside the grid, as sentences."""
    out = []
    lost = int((~stations.known).sum())
    if lost:
        out.append(f"'{name}': {lost} of {len(stations)} gauges have no place and are left out.")
    rows, _ = cells_of(stations, grid)
    outside = [stations.ids[i] for i in np.flatnonzero((rows < 0) & stations.known)]
    if not outside:
        return out
    shown = ", ".join(outside[:5]) + (", ..." if len(outside) > 5 else "")
    turned = Stations(stations.ids, stations.y, stations.x, stations.crs)
    if len(outside) == len(stations) - lost and (cells_of(turned, grid)[0] >= 0).any():
        out.append(f"'{name}': all gauges lie outside the grid; x and y of the stations seem to be exchanged.")
    else:
        out.append(f"'{name}': {len(outside)} of {len(stations)} gauges lie outside the grid: {shown}.")
    return out


def _say_kriging(gridder: PointGridder, name: str) -> list[str]:
    variogram, places = gridder.variogram, gridder.places
    share = variogram.nugget / (variogram.nugget + variogram.partial_sill)
    reach = f"{variogram.range / 1000:.3g} km" if places.metric else f"{variogram.range:.3g} units of the CRS"
    notes = [
        f"'{name}': {len(places)} gauges onto the grid by ordinary kriging ({variogram.model} variogram, range "
        f"{reach}, nugget {share:.0%} of the sill, from the mean squared differences between gauges over the whole "
        "record, each step divided by its variance)."
    ]
    if gridder.minimum is not None:
        notes.append(f"'{name}': kriging may give values below {gridder.minimum:g}; they become {gridder.minimum:g}.")
    return notes


def _everywhere(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    present = np.isfinite(values)
    count = present.sum(axis=1)
    mean = np.full(len(values), np.nan)
    np.divide(np.where(present, values, 0.0).sum(axis=1, dtype=np.float64), count, out=mean, where=count > 0)
    return np.repeat(mean.astype(np.float32), shape[0] * shape[1]).reshape(len(values), *shape)


def patterns(values: np.ndarray, fewest: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each set of present gauges, bool (G,), that has at least ``fewest``, and the numbers of its steps."""
    present = np.isfinite(values)
    packed, number = np.unique(np.packbits(present, axis=1), axis=0, return_inverse=True)
    order = np.argsort(number.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(number.ravel(), minlength=len(packed)))
    for steps in np.split(order, ends[:-1]):
        if len(steps) and present[steps[0]].sum() >= fewest:
            yield present[steps[0]], steps
