"""Where water flows: depressions filled, then down the steepest of eight directions (D8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import numpy as np

from .cells import CellSizes

# Row step, column step and ESRI code of the eight neighbours; cardinal ones first, so that they win a tie.
NEIGHBOURS = (
    (0, 1, 1), (1, 0, 4), (0, -1, 16), (-1, 0, 64), (1, 1, 2), (1, -1, 8), (-1, -1, 32), (-1, 1, 128),
)  # fmt: skip
OUTLET, MISSING = 0, 247
_STEP = 1024.0  # a part of a metre; its multiples below 16384 m are exact in float32, as are their differences
_BLOCK_CELLS = 2_000_000


@dataclass(frozen=True)
class Routed:
    """Flow over a surface, all (H, W).

    ``filled`` float32 m, NaN where missing; ``directions`` uint8, ESRI code, 0 where water leaves, 247 where missing;
    ``rim`` bool, cells beyond which nothing is known.
    """

    filled: np.ndarray
    directions: np.ndarray
    rim: np.ndarray
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def route(dem: np.ndarray, sizes: CellSizes, only: Optional[int] = None) -> Routed:
    """Fill the depressions of ``dem`` (H, W) in m, NaN missing, and find the flow direction of each cell.

    Depressions are filled to their spill (Wang & Liu 2006, doi:10.1080/13658810500433453). On the filled surface each
    cell drains to the neighbour with the steepest drop per metre; over a flat, the shortest way to where it drains.
    Heights count in 1/1024 m. Water leaves at the rim: cells at the border of the grid, or beside missing cells that
    reach the border, without a lower neighbour. Missing cells enclosed by others are an obstacle that water goes
    around. With ``only`` water of the land around that cell (flat index) leaves there alone.
    """
    from pyflwdir.dem import fill_depressions

    heights = (np.rint(np.asarray(dem, dtype=np.float64) * _STEP) / _STEP).astype(np.float32)
    missing = np.isnan(heights)
    rim, holes, largest = _rim(missing)
    if only is not None:
        rim &= ~_land_around(missing, only)
        rim.ravel()[only] = True
    seeds = np.flatnonzero(rim)
    filled, _ = fill_depressions(heights, nodata=np.float32(np.nan), idxs_pit=seeds)
    directions = _steepest(filled, sizes)
    directions[missing] = MISSING
    _cross_flats(filled, directions, rim)
    return Routed(filled, directions, rim, _fill_notes(heights, filled), _hole_warnings(holes, largest, sizes))


def lengths_m(directions: np.ndarray, sizes: CellSizes) -> np.ndarray:
    """Distance in m, float64 (H, W), from the middle of each cell to that of the next one; 0 where there is none."""
    out = np.zeros(directions.shape)
    for row_step, column_step, code in NEIGHBOURS:
        step = np.hypot(row_step * sizes.height_m, column_step * _mean_width(sizes, row_step))
        out += np.where(directions == code, step[:, None], 0.0)
    return out


def _steepest(filled: np.ndarray, sizes: CellSizes) -> np.ndarray:
    """Code of the neighbour with the steepest drop; 0 where none is lower. A missing cell is never lower."""
    rows, columns = filled.shape
    directions = np.zeros((rows, columns), dtype=np.uint8)
    height = max(1, _BLOCK_CELLS // columns)
    for start in range(0, rows, height):
        stop = min(rows, start + height)
        part = np.full((stop - start + 2, columns + 2), np.nan, dtype=np.float32)
        low, high = max(0, start - 1), min(rows, stop + 1)
        part[low - start + 1 : high - start + 1, 1:-1] = filled[low:high]
        best = np.zeros((stop - start, columns))
        for row_step, column_step, code in NEIGHBOURS:
            distance = np.hypot(row_step * sizes.height_m, column_step * _mean_width(sizes, row_step))
            first = 1 + row_step
            near = part[first : first + stop - start, 1 + column_step : 1 + column_step + columns]
            drop = (part[1:-1, 1:-1] - near).astype(np.float64) / distance[start:stop, None]
            better = drop > best * (1.0 + 1e-12)  # a tie by rounding is a tie; False where either is missing
            np.copyto(best, drop, where=better)
            directions[start:stop][better] = code
    return directions


def _mean_width(sizes: CellSizes, row_step: int) -> np.ndarray:
    """Width of a cell between its own row and the one ``row_step`` further."""
    other = np.clip(np.arange(len(sizes.width_m)) + row_step, 0, len(sizes.width_m) - 1)
    return (sizes.width_m + sizes.width_m[other]) / 2.0


def _cross_flats(filled: np.ndarray, directions: np.ndarray, rim: np.ndarray) -> None:
    """Give cells of flats the shortest way to a cell of the same height that drains, in place.

    First to cells that drain further down; what is then left of the rim lets water out, and takes that of its flats.
    A search in breadth from the draining cells into the flat: each cell is met once.
    """
    columns = filled.shape[1]
    open_cells = np.flatnonzero(directions == OUTLET)
    width = columns + 2
    heights = np.full((filled.shape[0] + 2, width), np.nan, dtype=np.float32)
    heights[1:-1, 1:-1] = filled
    heights = heights.ravel()
    cells = (open_cells // columns + 1) * width + open_cells % columns + 1
    waiting = np.zeros(heights.size, dtype=bool)
    waiting[cells] = True
    codes = np.zeros(heights.size, dtype=np.uint8)
    _spread(_beside(cells, heights, waiting, codes, width), heights, waiting, codes, width)
    leaves = cells[waiting[cells] & rim.ravel()[open_cells]]
    waiting[leaves] = False
    _spread(leaves, heights, waiting, codes, width)
    directions.ravel()[open_cells] = codes[cells]


def _beside(cells: np.ndarray, heights: np.ndarray, waiting: np.ndarray, codes: np.ndarray, width: int) -> np.ndarray:
    """Waiting ``cells`` beside a draining one of their height; they get its direction and wait no more."""
    found = []
    for row_step, column_step, code in NEIGHBOURS:
        near = cells + row_step * width + column_step
        fresh = cells[~waiting[near] & (heights[near] == heights[cells]) & (codes[cells] == 0)]
        codes[fresh] = code
        found.append(fresh)
    front = np.concatenate(found)
    waiting[front] = False  # only now: within this ring none drains to another
    return front


def _spread(front: np.ndarray, heights: np.ndarray, waiting: np.ndarray, codes: np.ndarray, width: int) -> None:
    """From ``front`` outwards over waiting cells of the same height, in place."""
    while len(front):
        found = []
        for row_step, column_step, code in NEIGHBOURS:
            # Who flows to the front by this code stands on the other side of it.
            near = front - row_step * width - column_step
            fresh = near[waiting[near] & (heights[near] == heights[front])]
            codes[fresh] = code
            waiting[fresh] = False
            found.append(fresh)
        front = np.concatenate(found)


def _rim(missing: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Cells from which water may leave (H, W) bool, the number of enclosed holes, and the cells of the largest."""
    from scipy.ndimage import binary_dilation, label

    around = np.ones((3, 3), dtype=bool)
    border = np.zeros(missing.shape, dtype=bool)
    border[[0, -1], :] = border[:, [0, -1]] = True
    if not missing.any():
        return border, 0, 0
    labels, count = label(missing, structure=around)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    outer = np.zeros(count + 1, dtype=bool)
    outer[np.unique(labels[border])] = True
    outer[0] = False
    enclosed = sizes[1:][~outer[1:]]
    rim = (border | binary_dilation(outer[labels], structure=around)) & ~missing
    # Land inside a hole would have no way out.
    land, parts = label(~missing, structure=around)
    drained = np.zeros(parts + 1, dtype=bool)
    drained[np.unique(land[rim])] = True
    if not drained[1:].all():
        rim |= binary_dilation(missing, structure=around) & ~missing & ~drained[land]
    return rim, len(enclosed), int(enclosed.max()) if len(enclosed) else 0


def _land_around(missing: np.ndarray, cell: int) -> np.ndarray:
    """Cells (H, W) that are joined with the one of flat index ``cell``, corners included."""
    from scipy.ndimage import label

    land, _ = label(~missing, structure=np.ones((3, 3), dtype=bool))
    return land == land.ravel()[cell]


def _fill_notes(heights: np.ndarray, filled: np.ndarray) -> tuple[str, ...]:
    deepest, raised, cells = 0.0, 0, 0
    for before, after in zip(heights, filled):
        depth = after - before
        raised += int(np.count_nonzero(depth > 0.0))
        cells += int(np.count_nonzero(depth >= 0.0))
        deepest = max(deepest, float(np.nanmax(depth, initial=0.0)))
    if not raised:
        return ()
    return (f"Depressions were filled in {raised} of {cells} cells, by at most {deepest:.1f} m.",)


def _hole_warnings(holes: int, largest: int, sizes: CellSizes) -> tuple[str, ...]:
    if not holes:
        return ()
    area = largest * float(np.median(sizes.area_km2))
    return (
        f"The elevation model has {holes} enclosed hole{'s' if holes > 1 else ''} without values, the largest of "
        f"{largest} cells ({area:.3g} km2). Water goes around; fill holes first where rivers cross them.",
    )
