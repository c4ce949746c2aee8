"""Sparse matrices that lay the cells of one grid on another: (target cells, source cells), both row by row."""

from __future__ import annotations

from typing import Any

import numpy as np

from .sources.base import Window

_CELLS_AT_ONCE = 2**16
_ODD = 64.0


def kernel_matrix(y: np.ndarray, x: np.ndarray, window: Window, shape: tuple[int, int], *, cubic: bool) -> Any:
    """Weights float32 of bilinear or cubic (Keys, a = -0.5) interpolation at places ``y``, ``x`` (h, W), in cells of
    a source of ``shape``, over the cells of ``window``; 4 or 16 a row.

    Beyond the source's edge a bilinear neighbour's weight goes to the others. All weights of a row are 0 where the
    place itself, or for cubic one of the 16 cells, lies outside.
    """
    from scipy.sparse import csr_matrix

    y, x = y.reshape(-1), x.reshape(-1)
    count, reach = len(y), 16 if cubic else 4
    kind = np.int32 if max(window.rows * window.columns, count * reach) < 2**31 else np.int64
    index, weight = np.empty((count, reach), dtype=kind), np.empty((count, reach), dtype=np.float32)
    fill = _cubic_piece if cubic else _bilinear_piece
    for begin in range(0, count, _CELLS_AT_ONCE):
        piece = slice(begin, begin + _CELLS_AT_ONCE)
        index[piece], weight[piece] = fill(y[piece], x[piece], window, shape)
    pointer = np.arange(count + 1, dtype=kind) * reach
    return csr_matrix((weight.reshape(-1), index.reshape(-1), pointer), shape=(count, window.rows * window.columns))


def _bilinear_piece(y: np.ndarray, x: np.ndarray, window: Window, shape: tuple[int, int]) -> tuple:
    row, column = np.floor(y - 0.5).astype(np.int64), np.floor(x - 0.5).astype(np.int64)
    outside = (y < -1e-9) | (x < -1e-9) | (y >= shape[0]) | (x >= shape[1])
    row[outside], column[outside] = 0, 0
    down, rows = _held(_lines(np.where(outside, 0, y - 0.5 - row)), row[:, None] + np.arange(2), shape[0])
    right, columns = _held(_lines(np.where(outside, 0, x - 0.5 - column)), column[:, None] + np.arange(2), shape[1])
    return _crossed(down, rows, right, columns, outside, window)


def _cubic_piece(y: np.ndarray, x: np.ndarray, window: Window, shape: tuple[int, int]) -> tuple:
    row, column = np.floor(y - 0.5).astype(np.int64), np.floor(x - 0.5).astype(np.int64)
    outside = (row < 1) | (row + 2 >= shape[0]) | (column < 1) | (column + 2 >= shape[1])
    row[outside], column[outside] = 0, 0
    down, right = (_keys(np.where(outside, 0, place - 0.5 - cell)) for place, cell in ((y, row), (x, column)))
    around = np.arange(-1, 3)
    return _crossed(down, row[:, None] + around, right, column[:, None] + around, outside, window)


def _crossed(
    down: np.ndarray, rows: np.ndarray, right: np.ndarray, columns: np.ndarray, outside: np.ndarray, window: Window
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and weights (n, k * k) of the cells where k rows and k columns cross."""
    index = (rows - window.row)[:, :, None] * window.columns + (columns - window.column)[:, None, :]
    weight = down[:, :, None] * right[:, None, :]
    index[outside], weight[outside] = 0, 0.0
    return index.reshape(len(index), -1), weight.reshape(len(weight), -1)


def overlap_matrix(edges: np.ndarray, start: int, count: int) -> Any:
    """Shares float64 (n, count) of each new cell, between ``edges`` (n + 1, rising), that the old cells ``start`` ..
    ``start + count - 1`` cover along an axis.
    """
    from scipy.sparse import csr_matrix

    first, last = edges[:-1], edges[1:]
    size = last - first
    width = int(np.ceil(size.max())) + 1
    index = np.floor(first + 1e-6).astype(np.int64)[:, None] + np.arange(width)
    share = np.clip(np.minimum(index + 1, last[:, None]) - np.maximum(index, first[:, None]), 0.0, None) / size[:, None]
    kept = (share >= 1e-6) & (index >= start) & (index < start + count)
    index -= start
    pointer = np.concatenate(([0], np.cumsum(kept.sum(axis=1))))
    return csr_matrix((share[kept], index[kept], pointer), shape=(len(first), count))


def area_shares(y: np.ndarray, x: np.ndarray, window: Window, shape: tuple[int, int]) -> Any:
    """Shares float64 (h * W, cells of ``window``) of each target cell that the cells of a source of ``shape`` cover.

    ``y`` and ``x`` (h + 1, W + 1) are the corners of the target cells in cells of the source. The areas are those of
    the quadrilaterals between the corners, exactly. A cell with a corner that cannot be carried over has no shares.
    """
    from scipy.sparse import csr_matrix

    rows, columns = y.shape[0] - 1, y.shape[1] - 1
    corners = [np.stack([part[:-1, :-1], part[:-1, 1:], part[1:, 1:], part[1:, :-1]]).reshape(4, -1) for part in (y, x)]
    top, left = (np.floor(part.min(axis=0)).astype(np.int64) for part in corners)
    height, width = (np.floor(p.max(axis=0)).astype(np.int64) - low + 1 for p, low in zip(corners, (top, left)))
    sound = (top > -1e8) & (left > -1e8) & (top < shape[0]) & (left < shape[1])
    sound &= (top + height > 0) & (left + width > 0)
    usual = np.median((height * width)[sound]) if sound.any() else 1.0
    sound &= height * width <= _ODD * usual  # a cell that is torn apart at the edge of a projection
    order = np.flatnonzero(sound)
    reach = (height[order] * width[order]).max(initial=1)
    step = max(1, int(_CELLS_AT_ONCE // (reach + 8 * np.sqrt(reach))))
    cells, numbers, shares = [], [], []
    for begin in range(0, len(order), step):
        chosen = order[begin : begin + step]
        share = _covered(corners[0][:, chosen] - top[chosen], corners[1][:, chosen] - left[chosen])
        cell, row, column = np.nonzero(share > 1e-9)
        share = share[cell, row, column]
        row, column = row + top[chosen][cell], column + left[chosen][cell]
        inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
        cells.append(chosen[cell[inside]])
        numbers.append(((row - window.row) * window.columns + column - window.column)[inside])
        shares.append(share[inside])
    where = (np.concatenate(cells), np.concatenate(numbers)) if cells else (np.zeros(0, int), np.zeros(0, int))
    values = np.concatenate(shares) if shares else np.zeros(0)
    return csr_matrix((values, where), shape=(rows * columns, window.rows * window.columns))


def _covered(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Share (n, R, C) of each quadrilateral that lies in each cell of a lattice; corners (4, n) in cells, from 0.

    Each edge is cut where it meets the lattice. A piece adds, with the sign of its direction, the area between itself
    and the right edge of its cell, and its height to all cells to the right (as outlines of letters are filled).
    """
    count = y.shape[1]
    rows, columns = int(np.floor(y.max())) + 1, int(np.floor(x.max())) + 2
    piled = np.zeros((count, rows, columns + 1))
    number = np.arange(count)[:, None]
    for one in range(4):
        y0, x0, y1, x1 = y[one], x[one], y[(one + 1) % 4], x[(one + 1) % 4]
        cuts = [np.zeros((count, 1)), np.ones((count, 1))]
        for start, end, lines in ((y0, y1, rows), (x0, x1, columns)):
            first = np.floor(np.minimum(start, end))[:, None]
            span = int(np.ceil(np.abs(end - start).max())) + 1
            with np.errstate(divide="ignore", invalid="ignore"):
                at = (first + np.arange(1, min(span, lines) + 1) - start[:, None]) / (end - start)[:, None]
            cuts.append(np.where((at > 0) & (at < 1), at, 0.0))
        t = np.sort(np.concatenate(cuts, axis=1), axis=1)
        ys, xs = (a[:, None] + t * (b - a)[:, None] for a, b in ((y0, y1), (x0, x1)))
        rise = np.diff(ys, axis=1)
        middle_y, middle_x = 0.5 * (ys[:, 1:] + ys[:, :-1]), 0.5 * (xs[:, 1:] + xs[:, :-1])
        row = np.clip(np.floor(middle_y).astype(np.int64), 0, rows - 1)
        column = np.clip(np.floor(middle_x).astype(np.int64), 0, columns - 1)
        near = rise * (column + 1 - middle_x)
        np.add.at(piled, (number, row, column), near)
        np.add.at(piled, (number, row, column + 1), rise - near)
    area = np.cumsum(piled, axis=2)[:, :, :columns]
    return np.abs(area) / np.maximum(np.abs(area.sum(axis=(1, 2), keepdims=True)), 1e-12)


def _lines(t: np.ndarray) -> np.ndarray:
    return np.stack([1 - t, t], axis=1)


def _keys(t: np.ndarray) -> np.ndarray:
    return np.stack(
        [
            -0.5 * t + t**2 - 0.5 * t**3,
            1 - 2.5 * t**2 + 1.5 * t**3,
            0.5 * t + 2 * t**2 - 1.5 * t**3,
            -0.5 * t**2 + 0.5 * t**3,
        ],
        axis=1,
    )


def _held(weight: np.ndarray, index: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The two weights of a bilinear axis, all on the cell at the edge where its neighbour lies beyond it."""
    out = (index < 0) | (index >= count)
    weight = np.where(out, 0.0, weight)
    return weight / weight.sum(axis=1, keepdims=True), np.clip(index, 0, count - 1)
