"""A saved model and a dataset give maps or series. Symbols: n windows, L leads, H rows (north first), W columns, G
gauges; ``frame`` is (H, W), or (1, G) for a model of gauges.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Callable, NamedTuple, Optional, Union

import numpy as np
import torch
from torch import nn

from ..contracts.model_card import ModelCard
from ..data.scaling import Scaler
from ..data.store import Dataset
from ..data.windows import WindowData, build_window_data
from ..models.near import narrows, predict_within
from ..training.device import choose_device
from ..training.model_file import load_model
from ..training.work import predict_batch, tensor_of
from .carried import carried_words
from .room import Frame, choose_tiles
from .tiles import (
    WHOLE_FRAME_CELLS,
    Tile,
    dates_at_once,
    halo_of,
    part_of_record,
    runs_of,
    tiles_of,
    whole_frame,
)

PASS_STEPS = 32  # dates of one pass through the record


class Judged(NamedTuple):
    """Windows that end at ``ends`` (n,): maps (n, L, *frame) as they are used, maps to be judged, and where those
    count: bool (n, L, *frame), None for everywhere.
    """

    ends: np.ndarray
    maps: np.ndarray
    to_judge: np.ndarray
    where: Optional[np.ndarray]


class Predictor:
    """Predicts maps in the target's unit, NaN outside the basin mask of the dataset; or series of gauges, side by side
    in a frame of one row.

    Parameters
    ----------
    model_path : path of a model file, or (module, card) of a model at hand.
    dataset_path : path of a dataset, or an open :class:`Dataset` (which is then not closed).
    device : "auto", "cpu", "cuda" or "mps".
    sequence : which sequence of the dataset, for a path of a file with several.
    batch : windows computed at once; frames above ``whole_frame_cells`` are computed one window at a time, in tiles.
    tile_px : cells a side of a tile; 0 takes what is fastest and fits in memory. Tiles that are asked for are taken on
        smaller frames too.
    carry : "window" predicts each date by its own window, "carry" all dates in one pass that carries the states on
        (:mod:`core.inference.carried`); "auto" as the card says.
    target : which of the model's targets, 0 for the first; ``card`` then has that one as its target.
    data : the windows of an open dataset where they were read before.

    Raises :class:`ModelFileError`, :class:`DataError` where model or dataset cannot be read or do not fit each other;
    :class:`RunError` where the memory is not enough.
    """

    def __init__(
        self,
        model_path: Union[str, Path, tuple[nn.Module, ModelCard]],
        dataset_path: Union[str, Path, Dataset],
        device: str = "auto",
        *,
        sequence: str = "",
        batch: int = 8,
        tile_px: int = 0,
        whole_frame_cells: int = WHOLE_FRAME_CELLS,
        carry: str = "auto",
        target: int = 0,
        data: Optional[WindowData] = None,
    ) -> None:
        self.device, self.why_device = choose_device(device)
        if isinstance(model_path, tuple):
            self.module, self.card = model_path
            self.module = self.module.to(self.device).eval()
        else:
            self.module, self.card = load_model(model_path, self.device)
        with contextlib.ExitStack() as stack:
            if isinstance(dataset_path, Dataset):
                self.dataset = dataset_path
            else:
                self.dataset = stack.enter_context(Dataset.open(dataset_path, sequence))
            self.data: WindowData = build_window_data(self.dataset, self.card) if data is None else data
            self._open = stack.pop_all()
        self.target = target
        self.carries = carry == "carry"
        self.passes = self.card.run_through and carry == "auto"
        self.card = self.card.replace(target=self.card.targets[target])
        self._scaler = Scaler.from_dict(self.card.target.scaler)
        self.why_carried = carried_words(self.module, self.card) if self.carries else ""
        self._cut(tile_px, batch, whole_frame_cells)

    @property
    def whole(self) -> bool:
        """Whether a frame is computed at once, not in tiles."""
        return len(self.tiles) == 1

    @property
    def dates(self) -> np.ndarray:
        """datetime64[s]: first predicted date of every valid window."""
        return self.data.target_times(self.data.valid_ends())[:, 0]

    def predict(self, ends: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield ``(ends (n,), maps (n, L, *frame))`` batch by batch, for windows whose last input step is in ``ends``.

        Where the card says so, consecutive ends are predicted in one pass through ``PASS_STEPS`` dates, which carries
        the state on: a window that grows from the card's length.
        """
        data = self.data.at_use()
        for chunk in self._chunks(np.asarray(ends), self.batch):
            yield chunk, self._frames(data, chunk)

    def judged(self, ends: np.ndarray) -> Iterator[Judged]:
        """As :meth:`predict`, with the maps to judge a model by: those of a filling model are made without what is
        hidden from it, and count there alone.
        """
        for chunk, maps in self.predict(ends):
            yield self._judged(self.data, chunk, maps, self._frames)

    @property
    def reads_masks(self) -> bool:
        """Whether it has to be told what was observed."""
        return bool(getattr(self.module, "uses_observed", False)) or self.data.hiding is not None

    def chunks(self, tile: Tile, ends: np.ndarray) -> Iterator[np.ndarray]:
        """``ends`` in groups whose input is read at once under a tile."""
        return self._chunks(ends, dates_at_once(self.data, tile, self.batch))

    def judged_on(self, tile: Tile, ends: np.ndarray) -> Iterator[Judged]:
        """As :meth:`judged` on one tile alone, for one of its :meth:`chunks`: the part of the record under it is read
        once.
        """
        data, there = part_of_record(self.data, tile, ends, self.reads_masks)
        offset = ends[0] - there[0]
        for chunk in self._chunks(there, self.batch):
            maps = self._maps(data.at_use(), tile, chunk)
            found = self._judged(data, chunk, maps, lambda data, ends: self._maps(data, tile, ends))
            if found.where is not None:
                found = found._replace(where=found.where[(..., *tile.box.slices)])
            yield found._replace(ends=chunk + offset)

    def finished(self, scaled: np.ndarray, tile: Tile) -> np.ndarray:
        """Maps (..., h, w) of a tile in the target's unit, NaN outside the mask, from scaled ones."""
        maps = self._scaler.inverse(scaled)
        maps[..., ~self.data.mask[tile.inner]] = np.nan
        return maps

    def close(self) -> None:
        """Close the dataset if it was opened here."""
        self._open.close()

    def __enter__(self) -> Predictor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cut(self, tile_px: int, batch: int, whole_cells: int) -> None:
        """Choose the tiles."""
        shape, extra = self.data.mask.shape, PASS_STEPS - 1 if self.passes else 0
        frame = Frame(shape, self._halo(), batch, self.card.window + extra, 1 + extra)
        chosen = choose_tiles(self.module, frame, tile_px, whole_cells, self.device)
        self.tiles = [whole_frame(shape)]
        if chosen.tile_px and not self.card.gauges:
            self.tiles = tiles_of(shape, chosen.tile_px, frame.halo_px, 0)
        self.tile_px = 0 if self.whole else chosen.tile_px
        self.batch, self.why_tiles = chosen.batch, chosen.why

    def _halo(self) -> Optional[int]:
        return halo_of(self.module, self.card.window + (PASS_STEPS - 1 if self.passes else 0))

    def _chunks(self, ends: np.ndarray, size: int) -> Iterator[np.ndarray]:
        """Groups of dates that are computed at once; ``PASS_STEPS`` where the card says that they are run through."""
        if self.passes:
            yield from runs_of(ends, PASS_STEPS)
            return
        for start in range(0, len(ends), size):
            yield ends[start : start + size]

    def _judged(
        self, data: WindowData, ends: np.ndarray, maps: np.ndarray, predict: Callable[..., np.ndarray]
    ) -> Judged:
        hidden = data.hidden(ends)
        if hidden is None:
            return Judged(ends, maps, maps, None)
        return Judged(ends, maps, predict(data, ends), hidden[:, :, self.target])

    def _frames(self, data: WindowData, ends: np.ndarray) -> np.ndarray:
        """Maps (n, L, *frame) of a group of dates, put together from all tiles."""
        if self.card.gauges:
            return self._scaler.inverse(self._forward(data, self.tiles[0], ends))
        if self.whole:
            return self._maps(data, self.tiles[0], ends)
        maps = np.empty((len(ends), self.card.leads, *self.data.mask.shape), dtype=np.float32)
        for tile in self.tiles:
            part, there = part_of_record(data, tile, ends, self.reads_masks)
            maps[(slice(None), slice(None), *tile.inner)] = self._maps(part, tile, there)
        return maps

    def _maps(self, data: WindowData, tile: Tile, ends: np.ndarray) -> np.ndarray:
        return self.finished(self._forward(data, tile, ends), tile)

    def _forward(self, data: WindowData, tile: Tile, ends: np.ndarray) -> np.ndarray:
        """Scaled predictions (n, L, *frame) of one tile, from the ``data`` under it."""
        steps = len(ends) if self.passes else 1
        if steps > 1:
            ends, data = ends[-1:], dataclasses.replace(data, window=data.window + steps - 1)
        batch = dataclasses.replace(data.batch(ends), y=None)
        with torch.inference_mode():
            if not self.whole and narrows(self.module):
                x, static, observed = (tensor_of(a, self.device) for a in (batch.x, batch.static, batch.observed))
                y_hat = predict_within(self.module, x, static, observed, tile.box, steps)
            else:
                y_hat = predict_batch(self.module, batch, self.device, torch.float32, steps)
                if not self.card.gauges:
                    y_hat = y_hat[(..., *tile.box.slices)]
        return y_hat[:, :, :, self.target].flatten(0, 1).cpu().numpy()
