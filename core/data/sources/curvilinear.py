"""Maps whose cells lie on no regular grid (rotated pole, satellite swath, ocean model), seen on a regular one.

Each cell of a grid of about the same cell size takes the value of the nearest source cell on the sphere; it is missing
where that is farther away than about one cell. Nothing is averaged, so values stay what they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...contracts.errors import DataError
from ...contracts.grid import Grid

_EARTH_KM = 6371.0
_MOST_CELLS = 50_000_000


@dataclass(frozen=True)
class Nearest:
    """``index`` int32 (rows, columns) of the grid: which cell of the flattened source it takes, -1 for none;
    ``spacing_km`` of the source; ``distance_km``, the median distance to the cell that is taken.
    """

    grid: Grid
    index: np.ndarray
    spacing_km: float
    distance_km: float


def lay_on_grid(latitude: np.ndarray, longitude: np.ndarray, name: str) -> Nearest:
    """The regular grid for 2-D coordinates (rows, columns) in degrees, NaN where there is no cell.

    Raises :class:`DataError` where the coordinates are empty, no degrees, or would need too large a grid.
    """
    from scipy.spatial import cKDTree

    present = np.isfinite(latitude) & np.isfinite(longitude)
    if present.sum() < 4 or np.abs(latitude[present]).max() > 90.001:
        raise DataError(
            f"'{name}': the two-dimensional coordinates are no latitudes and longitudes",
            expected="degrees, latitudes from -90 to 90",
            got=f"{int(present.sum())} cells with both",
            remedy="Mend the file, or regrid it first",
        )
    points = _on_sphere(latitude, longitude)
    spacing = _spacing(points)
    grid = _covering(latitude[present], longitude[present], np.degrees(spacing), name)
    xs, ys = (np.array(axis) for axis in grid.centres())
    tree = cKDTree(points[present])
    index = np.full(grid.shape, -1, dtype=np.int32)
    source = np.flatnonzero(present.ravel()).astype(np.int32)
    distances: list[np.ndarray] = []
    for row, y in enumerate(ys):
        chord, found = tree.query(_on_sphere(np.full(len(xs), y), xs), distance_upper_bound=1.1 * spacing)
        near = np.isfinite(chord)
        index[row, near] = source[found[near]]
        distances.append(chord[near])
    typical = float(np.median(np.concatenate(distances)))
    return Nearest(grid, index, spacing * _EARTH_KM, typical * _EARTH_KM)


def unrotated(rotated_lat: np.ndarray, rotated_lon: np.ndarray, pole_lat: float, pole_lon: float, central: float = 0.0):
    """Latitude and longitude (rows, columns) of a rotated-pole grid with 1-D coordinates in degrees (CF
    ``rotated_latitude_longitude``).
    """
    lat, lon = np.radians(rotated_lat)[:, None], np.radians(rotated_lon + central)[None, :]
    sin_pole, cos_pole = np.sin(np.radians(pole_lat)), np.cos(np.radians(pole_lat))
    true_lat = np.arcsin(np.clip(sin_pole * np.sin(lat) + cos_pole * np.cos(lat) * np.cos(lon), -1, 1))
    across = np.cos(lat) * np.sin(lon)
    along = sin_pole * np.cos(lat) * np.cos(lon) - cos_pole * np.sin(lat)
    true_lon = pole_lon + 180.0 + np.degrees(np.arctan2(across, along))
    return np.degrees(true_lat), (true_lon + 180.0) % 360.0 - 180.0


def _on_sphere(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Unit vectors (..., 3)."""
    lat, lon = np.radians(latitude), np.radians(longitude)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def _spacing(points: np.ndarray) -> float:
    """Median distance of neighbours along rows and columns, on the unit sphere."""
    gaps = [np.linalg.norm(np.diff(points, axis=axis), axis=-1).ravel() for axis in (0, 1) if points.shape[axis] > 1]
    medians = [np.median(gap[np.isfinite(gap) & (gap > 0)]) for gap in gaps if np.any(np.isfinite(gap) & (gap > 0))]
    return float(np.sqrt(np.prod(medians))) if len(medians) == 2 else float(medians[0])


def _covering(latitude: np.ndarray, longitude: np.ndarray, cell: float, name: str) -> Grid:
    """A grid over all cells, its cells as wide in km as they are high in the middle."""
    reference = longitude.ravel()[longitude.size // 2]
    turned = reference + (longitude - reference + 180.0) % 360.0 - 180.0
    middle = min(80.0, abs(float(latitude.min() + latitude.max()) / 2))
    cell_y = float(f"{cell:.3g}")
    cell_x = float(f"{cell / np.cos(np.radians(middle)):.3g}")
    west, east = float(turned.min()) - cell_x / 2, float(turned.max()) + cell_x / 2
    south, north = max(-90.0, float(latitude.min()) - cell_y / 2), min(90.0, float(latitude.max()) + cell_y / 2)
    if (east - west) / cell_x * (north - south) / cell_y > _MOST_CELLS:
        raise DataError(
            f"'{name}': the two-dimensional coordinates need too large a regular grid",
            expected=f"at most {_MOST_CELLS:,} cells",
            got=f"{(east - west) / cell_x:.0f} x {(north - south) / cell_y:.0f} cells",
            remedy="Cut out the area of interest, or regrid the file first",
        )
    if west < -180.0 and east <= -180.0:
        west, east = west + 360.0, east + 360.0
    elif west >= 180.0:
        west, east = west - 360.0, east - 360.0
    return Grid.from_extent("EPSG:4326", (west, south, min(east, west + 360.0), north), cell_x, cell_y)
