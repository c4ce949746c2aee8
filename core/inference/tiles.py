"""Tiles of a frame, each with the halo that its prediction depends on, and the part of a record that lies under them.

Exact: a tile gives what the whole frame gives there. At the edges of the raster there is no halo: the model pads.
Symbols: H rows, W columns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple, Optional

import numpy as np
from torch import nn

from ..data.windows import WindowData
from ..models.near import Region

TILE_PX = 256
WHOLE_FRAME_CELLS = 512 * 512  # a frame of more cells is computed in tiles
_PIECE_BYTES = 48 * 2**20  # of input that is read at once


class Tile(NamedTuple):
    """``inner``: what a tile gives; ``outer``: that with its halo. Rows and columns of the frame."""

    inner: tuple[slice, slice]
    outer: tuple[slice, slice]

    @property
    def box(self) -> Region:
        """The inner part, in rows and columns of the outer one."""
        (top, left), (rows, columns) = (part.start for part in self.outer), self.inner
        return Region(rows.start - top, rows.stop - top, columns.start - left, columns.stop - left)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the inner part."""
        return self.inner[0].stop - self.inner[0].start, self.inner[1].stop - self.inner[1].start

    @property
    def cells(self) -> int:
        """With the halo."""
        rows, columns = self.outer
        return (rows.stop - rows.start) * (columns.stop - columns.start)


def whole_frame(shape: tuple[int, int]) -> Tile:
    """The frame as one tile."""
    whole = (slice(0, shape[0]), slice(0, shape[1]))
    return Tile(whole, whole)


def tiles_of(shape: tuple[int, int], tile_px: int, halo_px: Optional[int], whole_frame_cells: int) -> list[Tile]:
    """Tiles of ``tile_px`` cells a side that cover the frame once, row by row. One for frames of at most
    ``whole_frame_cells``, and where the halo reaches over the frame (None: as far as it may be).
    """
    rows, columns = shape
    if halo_px is None or rows * columns <= whole_frame_cells or halo_px + tile_px >= max(rows, columns):
        return [whole_frame(shape)]
    tiles = []
    for top in range(0, rows, tile_px):
        for left in range(0, columns, tile_px):
            inner = (slice(top, min(rows, top + tile_px)), slice(left, min(columns, left + tile_px)))
            tiles.append(with_halo(inner, halo_px, shape))
    return tiles


def rounded_px(side: int) -> int:
    """A side of a tile that a GeoTIFF can be written in: a multiple of 16, of 128 above 256; 0 stays 0."""
    unit = 16 if side <= TILE_PX else 128
    return 0 if side == 0 else max(32, unit * round(side / unit))


def with_halo(inner: tuple[slice, slice], halo_px: int, shape: tuple[int, int]) -> Tile:
    """A tile with as much halo as the frame has."""
    outer = (slice(max(0, s.start - halo_px), min(size, s.stop + halo_px)) for s, size in zip(inner, shape))
    return Tile(inner, (next(outer), next(outer)))


def halo_of(module: nn.Module, window: int) -> Optional[int]:
    """Cells around a tile that windows of so many steps depend on; None where the model does not know."""
    halo = getattr(module, "halo_px", None)
    return None if halo is None else int(halo(window))


def runs_of(ends: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Runs of consecutive ends, of at most ``most``."""
    for run in np.split(ends, np.flatnonzero(np.diff(ends) != 1) + 1):
        for start in range(0, len(run), most):
            yield run[start : start + most]


def dates_at_once(data: WindowData, tile: Tile, batch: int) -> int:
    """How many dates of a tile are read and kept together: neighbours share most of their frames, so that more of them
    read less twice; a multiple of ``batch``.
    """
    channels = data.x.shape[1] * (1 if data.observed is None else 2)
    frames = _PIECE_BYTES // max(1, 4 * channels * tile.cells) - data.window
    return batch * int(max(1, min(64, frames) // batch))


def part_of_record(
    data: WindowData, tile: Tile, ends: np.ndarray, with_masks: bool = True
) -> tuple[WindowData, np.ndarray]:
    """What windows that end at ``ends`` read under a tile, in memory, without targets; and where they end there.

    Data that are in memory are not copied. Without ``with_masks`` it is not told which values were observed.
    """
    if tile.outer != whole_frame(data.mask.shape).outer:
        data = data.part(*tile.outer)
    data = dataclasses.replace(data, y=None, observed=data.observed if with_masks else None)
    if not data.lazy:
        return data, ends
    first = max(0, int(ends.min()) - data.window + 1)
    stop = int(ends.max()) + 1 + (data.lead + data.leads - 1 if data.ahead is not None or data.hiding else 0)
    return span(data, first, max(stop, int(ends.max()) + 1)), ends - first


def span(data: WindowData, first: int, stop: int) -> WindowData:
    """The steps ``first`` to ``stop`` (exclusive) of the record, in memory, without targets."""
    steps = slice(first, stop)
    hiding = data.hiding
    return dataclasses.replace(
        data,
        times=data.times[steps],
        x=np.asarray(data.x[steps]),
        observed=None if data.observed is None else np.asarray(data.observed[steps]),
        season=None if data.season is None else data.season[steps],
        ahead=None if data.ahead is None else np.asarray(data.ahead[steps]),
        y=None,
        hiding=None if hiding is None else dataclasses.replace(hiding, known=np.asarray(hiding.known[steps])),
    )
