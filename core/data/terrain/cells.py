"""Size of the cells of a grid in metres, whatever the CRS counts in: metres, feet or degrees."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...contracts.errors import DataError
from ...contracts.grid import Grid
from ..geometry import crs_of

# WGS 84: half axes in metres, square of the first eccentricity.
_A, _B = 6378137.0, 6356752.314245179
_E2 = 1.0 - (_B / _A) ** 2
_DISTORTED = 0.03


@dataclass(frozen=True)
class CellSizes:
    """Width (west to east), height (north to south) in m and area in km2 of the cells, each (H,) float64 by row.

    ``note`` is a sentence where the CRS distorts areas by more than 3 % in the middle of the grid, else empty.
    """

    width_m: np.ndarray
    height_m: np.ndarray
    area_km2: np.ndarray
    note: str = ""

    @property
    def usual_m(self) -> float:
        """Side of a square as large as the middle cell."""
        return math.sqrt(self.area_km2[len(self.area_km2) // 2]) * 1000.0


def cell_sizes(grid: Grid) -> CellSizes:
    """Sizes of the cells of ``grid``.

    Degrees (or grads) are taken on the ellipsoid of WGS 84: lengths at the latitude of the middle of each row, areas
    exact between two latitudes. Other CRSs count in their own unit, feet included. Raises :class:`DataError` where
    rows lie beyond a pole.
    """
    crs = crs_of(grid.crs)
    if not crs.is_geographic:
        metre = crs.linear_units_factor[1]
        width, height = grid.cell_x * metre, grid.cell_y * metre
        rows = np.ones(grid.rows)
        return CellSizes(rows * width, rows * height, rows * width * height / 1e6, _distortion(grid, crs, metre))
    radian = crs.units_factor[1]
    edges = (grid.north - np.arange(grid.rows + 1) * grid.cell_y) * radian
    if np.abs(edges).max() > math.pi / 2 + 1e-6:
        raise DataError(
            "The rows of the grid reach beyond a pole",
            expected="latitudes from -90 to 90 degrees",
            got=f"{grid.extent[1]:.6g} to {grid.north:.6g}",
            remedy="Check the extent and the CRS of the elevation model; latitude and longitude may be exchanged",
        )
    edges = np.clip(edges, -math.pi / 2, math.pi / 2)
    middle = (edges[1:] + edges[:-1]) / 2.0
    root = 1.0 - _E2 * np.sin(middle) ** 2
    width = grid.cell_x * radian * _A * np.cos(middle) / np.sqrt(root)
    height = grid.cell_y * radian * _A * (1.0 - _E2) / root**1.5
    area = grid.cell_x * radian * -np.diff(_zone(edges)) / 1e6
    return CellSizes(width, height, area)


def _zone(latitude: np.ndarray) -> np.ndarray:
    """Area in m2 between equator and ``latitude`` (radians), one radian wide; Snyder (1987), doi:10.3133/pp1395."""
    eccentricity = math.sqrt(_E2)
    sine = np.sin(latitude)
    return (
        0.5 * _B**2 * (sine / (1.0 - _E2 * sine**2) + np.arctanh(eccentricity * sine) / eccentricity)
    )  # the integral of the radii of curvature, M N cos(latitude)


def _distortion(grid: Grid, crs: Any, metre: float) -> str:
    """Compares the middle of the grid, carried over to longitude and latitude, with what the CRS says of its size."""
    from rasterio.errors import RasterioError
    from rasterio.warp import transform

    x = grid.west + grid.columns * grid.cell_x / 2.0
    y = grid.north - grid.rows * grid.cell_y / 2.0
    step = 500.0 / metre
    try:
        longitude, latitude = transform(crs, "OGC:CRS84", [x - step, x + step, x, x], [y, y, y - step, y + step])
    except RasterioError:
        return ""
    if not np.isfinite([*longitude, *latitude]).all():
        return ""
    middle = math.radians(latitude[0])
    root = 1.0 - _E2 * math.sin(middle) ** 2
    east = np.radians(longitude) * _A * math.cos(middle) / math.sqrt(root)
    north = np.radians(latitude) * _A * (1.0 - _E2) / root**1.5
    cross = (east[1] - east[0]) * (north[3] - north[2]) - (east[3] - east[2]) * (north[1] - north[0])
    ratio = 1e6 / abs(cross) if cross else 1.0
    if abs(ratio - 1.0) <= _DISTORTED:
        return ""
    return (
        f"The CRS of the elevation model shows areas {ratio:.2f} times as large as they are here; slopes and areas are "
        "off by that. Warp the elevation model to an equal-area CRS of the region, or to longitude and latitude."
    )
