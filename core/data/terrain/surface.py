"""Shape of the surface at each cell: slope and aspect."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .cells import CellSizes

_BLOCK_CELLS = 2_000_000
_LEVEL = 1e-9  # m a m; less is rounding


def slope_and_aspect(dem: np.ndarray, sizes: CellSizes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slope in degrees, sine and cosine of the aspect: three float32 (H, W), NaN where ``dem`` (m) is missing.

    Gradients of Horn (1981), doi:10.1109/PROC.1981.11918, over 3 x 3 cells; a missing neighbour is continued in a
    straight line from the opposite one, so that a plane keeps its slope up to its edge. The aspect is the direction
    that the slope faces, downhill: its sine points east, its cosine north; both are 0 where the surface is flat.
    """
    slope, sine, cosine = (np.full(dem.shape, np.nan, dtype=np.float32) for _ in range(3))
    for start, stop, part in _blocks(dem):
        east, north = _gradient(part, sizes.width_m[start:stop, None], sizes.height_m[start:stop, None])
        steep = np.hypot(east, north)
        level = steep < _LEVEL
        divisor = np.where(level, 1.0, steep)
        slope[start:stop] = np.degrees(np.arctan(steep))
        sine[start:stop] = np.where(level, 0.0, -east / divisor + 0.0)  # + 0.0: no minus zero
        cosine[start:stop] = np.where(level, 0.0, -north / divisor + 0.0)
    return slope, sine, cosine


def _blocks(dem: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """Rows start to stop, float64 with a ring of one cell around them; NaN beyond the edge."""
    rows, columns = dem.shape
    height = max(1, _BLOCK_CELLS // columns)
    for start in range(0, rows, height):
        stop = min(rows, start + height)
        part = np.full((stop - start + 2, columns + 2), np.nan)
        low, high = max(0, start - 1), min(rows, stop + 1)
        part[low - start + 1 : high - start + 1, 1:-1] = dem[low:high]
        yield start, stop, part


def _gradient(part: np.ndarray, width: np.ndarray, height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rise to the east and to the north, m a m, of the inner cells of ``part``."""
    middle = part[1:-1, 1:-1]
    north, south = _pair(middle, part[:-2, 1:-1], part[2:, 1:-1])
    west, east = _pair(middle, part[1:-1, :-2], part[1:-1, 2:])

    def corner(values: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(values), one + other - middle, values)

    north_west, north_east = corner(part[:-2, :-2], north, west), corner(part[:-2, 2:], north, east)
    south_west, south_east = corner(part[2:, :-2], south, west), corner(part[2:, 2:], south, east)
    to_east = (north_east + 2.0 * east + south_east - north_west - 2.0 * west - south_west) / (8.0 * width)
    to_north = (north_west + 2.0 * north + north_east - south_west - 2.0 * south - south_east) / (8.0 * height)
    return to_east, to_north


def _pair(middle: np.ndarray, one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two opposite neighbours; a missing one mirrors the other, both missing are level with the middle."""
    first = np.where(np.isnan(one), 2.0 * middle - other, one)
    second = np.where(np.isnan(other), 2.0 * middle - one, other)
    return np.where(np.isnan(first), middle, first), np.where(np.isnan(second), middle, second)
