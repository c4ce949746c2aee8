"""Where gauges lie to one another and to the cells of a grid."""

from __future__ import annotations

from typing import Optional

import numpy as np

from ..contracts.grid import Grid
from .geometry import crs_of
from .sources.stations import Stations

EARTH_M = 6371008.8  # mean radius


class GaugePlaces:
    """The places of gauges in a CRS. Distances are in metres on the sphere for degrees, else in units of the CRS.

    Gauges without a place are left out, those at one place are one. ``distances`` is (U, U) between the U places;
    ``ids`` name the gauges of each; ``merged`` counts the gauges that share one; ``metric`` says whether distances are
    in metres.
    """

    def __init__(self, stations: Stations, crs: str) -> None:
        x, y = stations.places_in(crs)
        self._used = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        known = crs_of(crs)
        self._sphere = bool(known.is_geographic)
        self.metric = self._sphere or known.linear_units.lower() in ("metre", "meter", "m")
        points = self._points(x[self._used], y[self._used])
        unit = 1e-3 if self.metric else 1e-6
        _, first, group = np.unique(np.round(points / unit), axis=0, return_index=True, return_inverse=True)
        order = np.argsort(first)  # keep the order of the gauges
        self._group = np.argsort(order)[group.ravel()]
        self._places = points[np.sort(first)]
        self.merged = len(self._used) - len(self._places)
        self.ids = ["" for _ in self._places]
        for gauge, place in zip(self._used, self._group):
            self.ids[place] += (", " if self.ids[place] else "") + stations.ids[gauge]
        self.distances = self._apart(self._places, self._places)

    def __len__(self) -> int:
        return len(self._places)

    def gather(self, values: np.ndarray) -> np.ndarray:
        """Values float64 (n, U) of the places from those of all gauges (n, G): the mean of those present at one."""
        values = np.asarray(values, dtype=np.float64)[:, self._used]
        if not self.merged:
            return values
        member = (self._group[:, None] == np.arange(len(self))).astype(np.float64)
        present = np.isfinite(values)
        count = present @ member
        out = np.full(count.shape, np.nan)
        np.divide(np.where(present, values, 0.0) @ member, count, out=out, where=count > 0)
        return out

    def distances_to(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distances (c, U) of points to all places."""
        return self._apart(self._points(x, y), self._places)

    def nearest(
        self, x: np.ndarray, y: np.ndarray, count: int, present: Optional[np.ndarray] = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Numbers (c, count) of the nearest places (of those ``present``) of c points, and their distances, rising."""
        from scipy.spatial import cKDTree

        chosen = np.arange(len(self)) if present is None else np.flatnonzero(present)
        apart, index = cKDTree(self._places[chosen]).query(self._points(x, y), k=np.arange(1, count + 1))
        return chosen[index], self._arc(apart)

    def _points(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        if not self._sphere:
            return np.stack([x, y], axis=1)
        lon, lat = np.radians(x), np.radians(y)
        return EARTH_M * np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)

    def _apart(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        from scipy.spatial.distance import cdist

        return self._arc(cdist(one, other))

    def _arc(self, chord: np.ndarray) -> np.ndarray:
        if not self._sphere:
            return chord
        return 2 * EARTH_M * np.arcsin(np.minimum(chord / (2 * EARTH_M), 1.0))


def cells_of(stations: Stations, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Row and column (G,) of the cell in which each gauge lies; -1 where its place is unknown or outside."""
    x, y = stations.places_in(grid.crs)
    with np.errstate(invalid="ignore"):
        columns, rows = np.floor((x - grid.west) / grid.cell_x), np.floor((grid.north - y) / grid.cell_y)
        inside = (columns >= 0) & (columns < grid.columns) & (rows >= 0) & (rows < grid.rows)
    return np.where(inside, rows, -1).astype(np.int64), np.where(inside, columns, -1).astype(np.int64)
