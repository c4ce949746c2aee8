"""What a prediction takes of memory, the tiles that fit, and the sentence for where none do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np
import torch
from torch import nn

from ..contracts.errors import RunError
from ..contracts.machine import say_bytes
from ..models.near import Region, narrows, predict_within
from ..training.memory import device_memory, peak_of
from .tiles import TILE_PX, tiles_of

_PROBES_PX = (24, 48, 72)
_SLACK = 1.25  # for what libraries take for themselves, and for memory in pieces
_FLOOR = 32 * 2**20
_SHARE = 0.5  # of the free memory that is taken without being asked for
_SMALLER_PX = (128, 64, 32)
_FEW_CELLS = 128 * 128  # a frame of so few cells is computed without asking


@dataclass(frozen=True)
class Frame:
    """What is to be computed: ``shape`` of the frame, ``halo_px`` (None: the whole frame), ``batch`` windows at once of
    a whole frame, ``steps`` of the window and how many of its last ones are ``predicted``.
    """

    shape: tuple[int, int]
    halo_px: Optional[int]
    batch: int
    steps: int
    predicted: int = 1


@dataclass(frozen=True)
class Chosen:
    """``tile_px`` cells a side of a tile, 0 for whole frames of ``batch`` windows; ``why`` as a sentence, or empty."""

    tile_px: int
    batch: int
    why: str = ""


def choose_tiles(module: nn.Module, frame: Frame, asked_px: int, whole_cells: int, device: str) -> Chosen:
    """How a frame is computed: as a whole where it has at most ``whole_cells`` and fits, else in the largest tiles that
    do; ``asked_px`` > 0 is taken where it fits. Raises :class:`RunError` where nothing does, with what would.
    """
    cells = frame.shape[0] * frame.shape[1]
    ways = _ways(frame, asked_px, cells <= whole_cells)
    free = device_memory(device)
    if free is None or cells <= _FEW_CELLS or getattr(module, "gauges", 0) or getattr(module, "bound_to_grid", False):
        return Chosen(*ways[0], why=_words(*ways[0], frame, None))
    need = _Need.of(module, frame)
    for limit in (_SHARE * free, 0.9 * free):
        for tile_px, batch in ways:
            if need.bytes(frame, tile_px, batch) <= limit:
                return Chosen(tile_px, batch, _words(tile_px, batch, frame, need))
    raise _too_little(frame, asked_px, whole_cells, need, free)


def _ways(frame: Frame, asked_px: int, may_be_whole: bool) -> list[tuple[int, int]]:
    """(tile, batch) from the fastest on; a whole frame has the tile 0."""
    wholes = [(0, batch) for batch in dict.fromkeys((frame.batch, max(1, frame.batch // 4), 1))]
    if asked_px:
        return [(asked_px, 1)] if _tiled(frame, asked_px) else wholes
    tiles = [(side, 1) for side in (TILE_PX, *_SMALLER_PX) if _tiled(frame, side)]
    return (wholes if may_be_whole or not tiles else []) + tiles


def _tiled(frame: Frame, tile_px: int) -> bool:
    return len(tiles_of(frame.shape, tile_px, frame.halo_px, 0)) > 1


@dataclass(frozen=True)
class _Need:
    """Bytes that a model holds at once for one window of N cells, as (per N^2, per N, at least), for whole frames and
    for tiles. Attention over a frame takes a square of its cells.
    """

    whole: tuple[float, ...]
    tile: tuple[float, ...]

    @classmethod
    def of(cls, module: nn.Module, frame: Frame) -> _Need:
        found = []
        for in_tiles in (False, True):
            cells = np.array([side * side for side in _PROBES_PX], dtype=np.float64)
            held = np.array([_held(module, frame, side, in_tiles) for side in _PROBES_PX], dtype=np.float64)
            square, linear, least = np.polyfit(cells, held, 2)
            # Without attention over the frame only weights and small buffers bend the line.
            if square * cells[-1] ** 2 < 0.5 * held[-1] or (in_tiles and narrows(module)):
                square, (linear, least) = 0.0, np.polyfit(cells[1:], held[1:], 1)
            found.append((square, max(0.0, linear), max(0.0, least)))
        return cls(*found)

    def bytes(self, frame: Frame, tile_px: int, batch: int) -> int:
        """For the largest tile, or a whole frame."""
        cells = frame.shape[0] * frame.shape[1]
        if tile_px:
            cells = max(tile.cells for tile in tiles_of(frame.shape, tile_px, frame.halo_px, 0))
        square, linear, least = self.tile if tile_px else self.whole
        return int(_SLACK * (batch * (square * cells**2 + linear * cells) + least)) + _FLOOR


def _held(module: nn.Module, frame: Frame, side: int, in_tiles: bool) -> int:
    """Bytes that are held at once for one window of ``side`` x ``side`` cells."""
    device = next((tensor.device for tensor in module.parameters()), torch.device("cpu"))
    x = torch.zeros((1, frame.steps, module.in_channels, side, side), device=device)
    more = further_inputs(module, x)
    with torch.inference_mode():
        if in_tiles and narrows(module):
            given, box = (x, more.get("static"), more.get("observed")), Region(0, side, 0, side)
            return peak_of(lambda: predict_within(module, *given, box, frame.predicted))
        return peak_of(lambda: module(x, last_steps=frame.predicted, **more))


def further_inputs(module: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Ones for all that a model reads beside ``x`` (B, T, C, H, W)."""
    side, leads = x.shape[-1], getattr(module, "leads", 1)
    shapes = {
        "static": (len(x), getattr(module, "static_channels", 0), side, side),
        "observed": tuple(x.shape),
        "mask": (1, 1, side, side),
        "ahead": (len(x), leads, getattr(module, "ahead_channels", 0), side, side),
        "time_of_year": (len(x), leads),
    }
    return {name: x.new_ones(shape) for name, shape in shapes.items() if getattr(module, f"uses_{name}", False)}


def _words(tile_px: int, batch: int, frame: Frame, need: Optional[_Need]) -> str:
    if not tile_px:
        fewer = f"{batch} at once in place of {frame.batch}" if batch < frame.batch else ""
        return f"Not enough memory for {frame.batch} dates at once: {fewer}." if fewer else ""
    count = len(tiles_of(frame.shape, tile_px, frame.halo_px, 0))
    text = f"{count} tiles of {tile_px} x {tile_px} cells, each with a halo of {frame.halo_px} cells"
    return f"{text}." if need is None else f"{text}, about {say_bytes(need.bytes(frame, tile_px, 1))} at a time."


def _too_little(frame: Frame, asked_px: int, whole_cells: int, need: _Need, free: int) -> RunError:
    cells = frame.shape[0] * frame.shape[1]
    ways: Sequence[tuple[int, int]] = _ways(frame, 0, cells <= whole_cells)
    fitting = [tile for tile, batch in ways if tile and need.bytes(frame, tile, batch) <= 0.9 * free]
    least = min(need.bytes(frame, tile, batch) for tile, batch in (_ways(frame, asked_px, True) if asked_px else ways))
    remedy = "Close other programs, predict a smaller area, or use a smaller model or a shorter window"
    if fitting:
        remedy = f"Choose tiles of {fitting[0]} cells, or leave their size to Freshet (0)"
    elif frame.halo_px is None or not _tiled(frame, _SMALLER_PX[-1]):
        remedy = "This model reads the whole frame at once: predict a smaller area, or choose a model of another family"
    return RunError(
        "There is not enough memory to predict these maps",
        expected=f"about {say_bytes(least)} for {frame.shape[1]} x {frame.shape[0]} cells",
        got=f"{say_bytes(free)} free",
        remedy=remedy,
    )
