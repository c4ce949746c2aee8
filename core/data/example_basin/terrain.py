"""Terrain of the example basin: a fractal surface, carved by rivers, and the way that water takes over it.

Arrays are ``(H, W)``, north first. A cell is also known by its flat index ``row * W + column``.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from ...contracts.errors import DataError

# Row step, column step and ESRI code of the eight neighbours.
NEIGHBOURS = (
    (0, 1, 1), (1, 1, 2), (1, 0, 4), (1, -1, 8), (0, -1, 16), (-1, -1, 32), (-1, 0, 64), (-1, 1, 128),
)  # fmt: skip
_SHARE_OF_RECTANGLE = (0.52, 0.9)
_ATTEMPTS = 40
_LOWEST_M = 110.0
_RELIEF_SCALE = 0.68


@dataclass(frozen=True)
class Terrain:
    """Where water goes.

    ``fine_elevation_m`` (2H, 2W); ``elevation_m`` (H, W), the mean of the four fine cells; ``filled_m`` (H, W), the
    same without depressions, which the flow directions follow; ``flow_direction`` (H, W) uint8, ESRI code, 0 where
    water leaves the rectangle; ``downstream`` (H*W,) flat index of the next cell or -1; ``upstream_cells`` (H, W), the
    cell itself included; ``basin_mask`` (H, W) bool, the cells that drain to ``outlet`` (flat index).
    """

    fine_elevation_m: np.ndarray
    elevation_m: np.ndarray
    filled_m: np.ndarray
    flow_direction: np.ndarray
    downstream: np.ndarray
    upstream_cells: np.ndarray
    basin_mask: np.ndarray
    outlet: int


def make_terrain(rng: np.random.Generator, rows: int, columns: int) -> Terrain:
    """A landscape of ``rows`` x ``columns`` cells whose main basin fills more than half of the rectangle.

    Surfaces are drawn from ``rng`` until one does; raises :class:`DataError` where none of 40 does, which happens
    only on a rectangle much longer than wide.
    """
    for _ in range(_ATTEMPTS):
        terrain = _one_terrain(rng, rows, columns)
        if _SHARE_OF_RECTANGLE[0] <= terrain.basin_mask.mean() <= _SHARE_OF_RECTANGLE[1]:
            return terrain
    raise DataError(
        "No basin fills the rectangle",
        expected="a basin of more than half of the cells",
        got=f"none on {rows} x {columns} cells",
        remedy="Choose another seed, or rows and columns that differ less",
    )


def fractal_field(
    rng: np.random.Generator, rows: int, columns: int, exponent: float, periodic: bool = False
) -> np.ndarray:
    """Random field (rows, columns) of mean 0 and standard deviation 1 with power spectrum ``k ** -exponent``.

    Opposite borders fit each other where a square field is asked to be ``periodic``; else they are unrelated.
    """
    size = max(rows, columns) * (1 if periodic else 2)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) * frequency ** (-exponent / 2.0)
    field = np.fft.irfft2(spectrum, s=(size, size))[:rows, :columns]
    return (field - field.mean()) / field.std()


def fill_depressions(elevation_m: np.ndarray, step_m: float = 0.01) -> np.ndarray:
    """``elevation_m`` (H, W) raised so that every inner cell has a lower neighbour; water leaves over the border.

    Priority-flood of Barnes, Lehman & Mulla (2014), doi:10.1016/j.cageo.2013.04.024, with a rise of ``step_m`` a cell.
    """
    rows, columns = elevation_m.shape
    filled = elevation_m.astype(np.float64).copy()
    done = np.zeros((rows, columns), dtype=bool)
    done[[0, -1], :] = done[:, [0, -1]] = True
    heap = [(float(filled[r, c]), int(r), int(c)) for r, c in zip(*np.nonzero(done))]
    heapq.heapify(heap)
    while heap:
        level, row, column = heapq.heappop(heap)
        for d_row, d_column, _ in NEIGHBOURS:
            r, c = row + d_row, column + d_column
            if 0 <= r < rows and 0 <= c < columns and not done[r, c]:
                done[r, c] = True
                filled[r, c] = max(filled[r, c], level + step_m)
                heapq.heappush(heap, (float(filled[r, c]), r, c))
    return filled


def steepest_descent(filled_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """D8 direction (H, W) uint8 and flat index (H*W,) of the next cell, of a surface without depressions.

    A border cell without a lower neighbour lets its water out: direction 0, next cell -1.
    """
    rows, columns = filled_m.shape
    padded = np.pad(filled_m, 1, constant_values=np.inf)
    cells = np.arange(rows * columns).reshape(rows, columns)
    steepest = np.zeros((rows, columns))
    direction = np.zeros((rows, columns), dtype=np.uint8)
    downstream = np.full((rows, columns), -1, dtype=np.int64)
    for d_row, d_column, code in NEIGHBOURS:
        neighbour = padded[1 + d_row : 1 + d_row + rows, 1 + d_column : 1 + d_column + columns]
        slope = (filled_m - neighbour) / np.hypot(d_row, d_column)
        better = slope > steepest
        steepest = np.where(better, slope, steepest)
        direction = np.where(better, np.uint8(code), direction)
        downstream = np.where(better, cells + d_row * columns + d_column, downstream)
    return direction, downstream.ravel()


def accumulate(filled_m: np.ndarray, downstream: np.ndarray) -> np.ndarray:
    """Number of cells (H, W) whose water passes each cell, the cell itself included."""
    count = [1.0] * filled_m.size
    following = downstream.tolist()
    for cell in np.argsort(-filled_m, axis=None, kind="stable").tolist():
        if following[cell] >= 0:
            count[following[cell]] += count[cell]
    return np.array(count).reshape(filled_m.shape)


def flow_path(cell: int, downstream: np.ndarray) -> list[int]:
    """Flat indices from ``cell`` to where its water leaves the rectangle, both included."""
    path = [int(cell)]
    while downstream[path[-1]] >= 0:
        path.append(int(downstream[path[-1]]))
    return path


def contributing_area(cell: int, filled_m: np.ndarray, downstream: np.ndarray) -> np.ndarray:
    """Mask (H, W) of the cells whose water passes ``cell``, itself included."""
    inside = np.zeros(filled_m.size, dtype=bool)
    inside[cell] = True
    for index in np.argsort(filled_m, axis=None, kind="stable"):
        if downstream[index] >= 0 and inside[downstream[index]]:
            inside[index] = True
    return inside.reshape(filled_m.shape)


def choose_gauges(terrain: Terrain, count: int = 4) -> list[int]:
    """Flat indices of gauges: the outlet, then the largest rivers that lie apart and differ clearly in area."""
    area = terrain.upstream_cells.ravel()
    total = area[terrain.outlet]
    columns = terrain.basin_mask.shape[1]
    apart = max(terrain.basin_mask.shape) / 7.0
    chosen = [terrain.outlet]
    candidates = [c for c in np.argsort(-area) if terrain.basin_mask.flat[c] and area[c] <= 0.65 * total]
    for cell in (int(c) for c in candidates):
        # On one river, the next gauge stands where the area has clearly fallen.
        path = set(flow_path(cell, terrain.downstream))
        differs = all(area[cell] < 0.6 * area[other] for other in chosen if other in path)
        distant = all(np.hypot(cell // columns - o // columns, cell % columns - o % columns) >= apart for o in chosen)
        if differs and distant and area[cell] >= 0.04 * total:
            chosen.append(cell)
        if len(chosen) == count:
            break
    return chosen


def _one_terrain(rng: np.random.Generator, rows: int, columns: int) -> Terrain:
    fine = _carve(_raw_surface(rng, 2 * rows, 2 * columns))
    elevation = fine.reshape(rows, 2, columns, 2).mean(axis=(1, 3))
    filled = fill_depressions(elevation)
    direction, downstream = steepest_descent(filled)
    upstream = accumulate(filled, downstream)
    outlet = int(np.argmax(np.where(downstream.reshape(rows, columns) < 0, upstream, 0.0)))
    mask = contributing_area(outlet, filled, downstream)
    return Terrain(fine, elevation, filled, direction, downstream, upstream, mask, outlet)


def _raw_surface(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Winding main valley that rises to the north, between ridges that fall off towards the border; metres."""
    y = np.linspace(1.0, 0.0, rows)[:, None]
    x = np.linspace(0.0, 1.0, columns)[None, :]
    start, bend, phase = rng.uniform(0.35, 0.65), rng.uniform(0.06, 0.14), rng.uniform(0.0, 2.0 * np.pi)
    axis = start + bend * (np.sin(2.0 * np.pi * 0.8 * y + phase) - np.sin(phase))
    warp = 0.05 * fractal_field(rng, rows, columns, 3.0)
    radius = (np.abs((x - 0.5) / 0.46) ** 4 + np.abs((y - 0.5) / 0.46) ** 4) ** 0.25 + warp
    beyond = np.maximum(radius - 1.0, 0.0) * (1.0 - np.exp(-(((x - axis) / 0.12) ** 2)) * (y < 0.3))
    valley = 900.0 * y**1.3 + 520.0 * (np.abs(x - axis) / 0.5) ** 0.9 * (0.55 + 0.45 * y)
    return 180.0 + valley + 150.0 * fractal_field(rng, rows, columns, 3.2) - 1600.0 * beyond


def _carve(surface_m: np.ndarray, steps: int = 12, strength: float = 0.06) -> np.ndarray:
    """Let rivers cut valleys: implicit stream power, Braun & Willett (2013), doi:10.1016/j.geomorph.2012.10.008."""
    height = surface_m
    for _ in range(steps):
        filled = fill_depressions(height)
        _, downstream = steepest_descent(filled)
        factor = (strength * accumulate(filled, downstream) ** 0.45).ravel().tolist()
        level, following = filled.ravel().tolist(), downstream.tolist()
        for cell in np.argsort(filled, axis=None, kind="stable").tolist():
            if following[cell] >= 0:
                level[cell] = (level[cell] + factor[cell] * level[following[cell]]) / (1.0 + factor[cell])
        height = _diffuse(np.array(level).reshape(filled.shape))
    return _LOWEST_M + _RELIEF_SCALE * (height - height.min())


def _diffuse(height: np.ndarray, share: float = 0.04) -> np.ndarray:
    padded = np.pad(height, 1, mode="edge")
    mean = (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]) / 4.0
    return height + share * (mean - height)
