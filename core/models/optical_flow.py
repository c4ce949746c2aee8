"""The motion of maps by optical flow, and maps that move on with it; all in float32 and without gradients.

Maps are (B, 1, H, W), masks alike with 1 where a map is known; a motion is (B, 2, H, W), cells a step to the east
(columns) and to the south (rows).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_LEAST_SIDE = 16  # cells of the smaller side of the coarsest level
_LEVELS = 5
_ROUNDS = 3  # on each level
_DAMPING = 0.05  # of the mean contrast, added to that of each cell: where nothing is seen, nothing moves
_SMOOTH = 2.0 / 3.0  # of the reach: how far motions are smoothed
_FAR, _FAR_SHARE = 8.0, 0.05  # times that, and its weight: fills dry places from afar
_LEAST_WIDTH = 1.0  # cells of a level
_WIDEST = 4.0  # cells; wider Gaussians are taken on a coarser grid
_LARGEST_STEP = 1.0  # cells of a level that one round may move
_TRACING = 3  # rounds that find the middle of a step


def motion(frames: Tensor, masks: Tensor, reach: float) -> Tensor:
    r"""The motion (B, 2, H, W) that the steps of ``frames`` (B, T, H, W) share, with ``masks`` alike.

    Lucas and Kanade's least squares (1981, IJCAI) from coarse to fine: each round moves the earlier map of each of
    the T - 1 pairs on by the motion so far, and solves

    .. math::
        \Big(G * \sum_t \nabla f \nabla f^\top + \lambda I\Big)\, \delta u = - G * \sum_t \nabla f\, \partial_t f

    with a Gaussian G of ``reach`` cells; only cells known in both maps count. Then motions are smoothed with their
    confidence as weight, det / trace of the matrix, near by, and from afar with little weight.
    """
    levels = [(frames, masks)]
    while len(levels) < _LEVELS and min(levels[-1][0].shape[2:]) >= _LEAST_SIDE:
        levels.append(_halved(*levels[-1]))
    found = torch.zeros_like(levels[-1][0][:, :1]).expand(-1, 2, -1, -1)
    for level in range(len(levels) - 1, -1, -1):
        maps, known = levels[level]
        height, width = maps.shape[2:]
        if found.shape[2:] != maps.shape[2:]:
            found = 2.0 * F.interpolate(found, scale_factor=2, mode="bilinear", align_corners=False)
            found = found[..., :height, :width]
        near = max(reach / 2**level, 1.5 * _LEAST_WIDTH)
        for _ in range(_ROUNDS):
            more, confidence = _update(maps, known, found, near)
            found = _smoothed(found + more, confidence, max(_SMOOTH * reach / 2**level, _LEAST_WIDTH))
    return found


def moved_on(maps: Tensor, masks: Tensor, moves: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """The map (B, 1, H, W) at 1 .. ``steps`` steps ahead, and where it is known: (B, steps, H, W) each.

    Each cell looks back along the motion to where it came from (semi-Lagrangian, a step at a time with the motion in
    its middle; Germann and Zawadzki 2002, doi:10.1175/1520-0493(2002)130<2859:SDOTPO>2.0.CO;2), and takes the value
    there, linear between cells, once for each lead. Not known is what comes from outside or from where the map is not.
    """
    rows, columns = _places(maps)
    back, both = torch.zeros_like(moves), torch.cat((maps * masks, masks), dim=1)
    found, known = [], []
    for _ in range(steps):
        step = moves
        for _ in range(_TRACING):
            step = _at(moves, rows - back[:, 1] - step[:, 1] / 2, columns - back[:, 0] - step[:, 0] / 2)
        back = back + step
        from_rows, from_columns = rows - back[:, 1], columns - back[:, 0]
        there = _at(both, from_rows, from_columns)
        inside = _inside(maps, from_rows, from_columns)
        known.append((there[:, 1] > 0.5) & inside)
        found.append(there[:, 0] / there[:, 1].clamp(min=0.5))
    return torch.stack(found, dim=1), torch.stack(known, dim=1)


def blurred(maps: Tensor, width: float) -> Tensor:
    """``maps`` (B, C, H, W) smoothed by a Gaussian of standard deviation ``width`` in cells; edges weigh nothing."""
    if width <= 0.0:
        return maps
    return _gaussian(maps, width) / _gaussian(torch.ones_like(maps[:1, :1]), width)


def _update(maps: Tensor, known: Tensor, found: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """What is to be added to the motion, and its confidence (B, 1, H, W)."""
    rows, columns = _places(maps)
    from_rows, from_columns = rows - found[:, 1], columns - found[:, 0]
    inside = _inside(maps, from_rows, from_columns)[:, None]
    sums = torch.zeros_like(maps[:, :1]).expand(-1, 5, -1, -1)
    for earlier in range(maps.shape[1] - 1):
        first, second = (slice(step, step + 1) for step in (earlier, earlier + 1))
        there = _at(torch.cat((maps[:, first] * known[:, first], known[:, first]), dim=1), from_rows, from_columns)
        moved = there[:, :1] / there[:, 1:].clamp(min=1e-3)
        both = ((there[:, 1:] > 0.99) & inside).to(maps.dtype) * known[:, second]
        both = -F.max_pool2d(-both, 3, 1, 1)  # a slope needs both neighbours
        across, down = ((a + b) / 2 for a, b in zip(_slopes(moved), _slopes(maps[:, second])))
        change = maps[:, second] - moved
        terms = (across * across, across * down, down * down, across * change, down * change)
        sums = sums + torch.cat(terms, dim=1) * both
    xx, xy, yy, xt, yt = _gaussian(sums, reach).split(1, dim=1)
    damping = _DAMPING * (xx + yy).mean(dim=(1, 2, 3), keepdim=True) + 1e-9
    xx, yy = xx + damping, yy + damping
    determinant = (xx * yy - xy * xy).clamp(min=1e-20)
    step = torch.cat((yy * xt - xy * yt, xx * yt - xy * xt), dim=1) / -determinant
    step = step * (_LARGEST_STEP / step.norm(dim=1, keepdim=True).clamp(min=_LARGEST_STEP))
    return step, determinant / (xx + yy)


def _smoothed(found: Tensor, confidence: Tensor, width: float) -> Tensor:
    weighed = torch.cat((found * confidence, confidence), dim=1)
    total = _gaussian(weighed, width) + _FAR_SHARE * _gaussian(weighed, _FAR * width)
    return total[:, :2] / total[:, 2:].clamp(min=1e-30)


def _halved(maps: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Maps and masks of half as many rows and columns; a cell is known where half of what it holds is."""
    weight = _gaussian(masks, 1.0)
    smooth = torch.where(weight > 0.0, _gaussian(maps * masks, 1.0) / weight.clamp(min=1e-6), 0.0)
    maps, masks = (
        F.avg_pool2d(F.pad(held, (0, held.shape[3] % 2, 0, held.shape[2] % 2)), 2) for held in (smooth * masks, masks)
    )
    return torch.where(masks > 0.0, maps / masks.clamp(min=1e-6), 0.0), (masks > 0.5).to(maps.dtype)


def _gaussian(maps: Tensor, width: float) -> Tensor:
    """Sums weighed by a Gaussian; beyond the edge is 0. Wide ones are taken on means of blocks of cells."""
    height, columns = maps.shape[2:]
    block = 1
    while width / block > _WIDEST and min(height, columns) / (2 * block) >= 4:
        block *= 2
    if block == 1:
        return _gaussian_here(maps, width)
    coarse = F.avg_pool2d(F.pad(maps, (0, -columns % block, 0, -height % block)), block)
    coarse = _gaussian_here(coarse, width / block)
    fine = F.interpolate(coarse, scale_factor=block, mode="bilinear", align_corners=False)
    return fine[..., :height, :columns]


def _gaussian_here(maps: Tensor, width: float) -> Tensor:
    radius = max(1, int(3.0 * width + 0.5))
    place = torch.arange(-radius, radius + 1, device=maps.device, dtype=maps.dtype)
    kernel = torch.exp(-0.5 * (place / width) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, -1)
    flat = maps.flatten(0, 1).unsqueeze(1)
    flat = F.conv2d(flat, kernel.unsqueeze(-1), padding=(radius, 0))
    return F.conv2d(flat, kernel.unsqueeze(-2), padding=(0, radius)).squeeze(1).unflatten(0, maps.shape[:2])


def _slopes(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences of (B, 1, H, W) along columns and rows."""
    padded = F.pad(maps, (1, 1, 1, 1), mode="replicate")
    return (
        (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2,
        (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2,
    )


def _places(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column of each cell, (H, W) each."""
    rows, columns = (torch.arange(size, device=maps.device, dtype=maps.dtype) for size in maps.shape[2:])
    return torch.meshgrid(rows, columns, indexing="ij")


def _inside(maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    height, width = maps.shape[2:]
    return (rows >= 0) & (rows <= height - 1) & (columns >= 0) & (columns <= width - 1)


def _at(maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """``maps`` (B, C, H, W) at places (B, H, W) between cells; beyond the edge the value at the edge."""
    height, width = maps.shape[2:]
    across = (2.0 * columns.clamp(0, width - 1) + 1.0) / width - 1.0
    down = (2.0 * rows.clamp(0, height - 1) + 1.0) / height - 1.0
    grid = torch.stack((across, down), dim=-1)
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
