"""A saved model and a dataset give maps or series. Symbols: n windows, L leads, H rows (north first), W columns, G
gauges; ``frame`` is (H, W), or (1, G) for a model of gauges.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Optional, Union

import numpy as np
import torch
from torch import nn

from ..contracts.model_card import ModelCard
from ..data.scaling import Scaler
from ..data.store import Dataset
from ..data.windows import WindowData, build_window_data
from ..training.device import choose_device
from ..training.loop import predict_batch
from ..training.model_file import load_model

TILE_PX = 256
PASS_STEPS = 32  # dates of one pass through the record
WHOLE_FRAME_CELLS = 512 * 512  # a frame of more cells is computed in tiles


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
    target : which of the model's targets, 0 for the first; ``card`` then has that one as its target.
    data : the windows of an open dataset where they were read before.

    Raises :class:`ModelFileError`, :class:`DataError` where model or dataset cannot be read or do not fit each other.
    """

    def __init__(
        self,
        model_path: Union[str, Path, tuple[nn.Module, ModelCard]],
        dataset_path: Union[str, Path, Dataset],
        device: str = "auto",
        *,
        sequence: str = "",
        batch: int = 8,
        tile_px: int = TILE_PX,
        whole_frame_cells: int = WHOLE_FRAME_CELLS,
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
        self._target = target
        self.card = self.card.replace(target=self.card.targets[target])
        self._scaler = Scaler.from_dict(self.card.target.scaler)
        self._tiles = _tiles(self.data.mask.shape, tile_px, self._halo(), whole_frame_cells)
        self.batch = batch if len(self._tiles) == 1 else 1

    @property
    def whole(self) -> bool:
        """Whether a frame is computed at once, not in tiles."""
        return len(self._tiles) == 1

    @property
    def dates(self) -> np.ndarray:
        """datetime64[s]: first predicted date of every valid window."""
        return self.data.target_times(self.data.valid_ends())[:, 0]

    def predict(self, ends: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield ``(ends (n,), maps (n, L, *frame))`` batch by batch, for windows whose last input step is in ``ends``.

        Where the card says so, consecutive ends are predicted in one pass through ``PASS_STEPS`` dates, which carries
        the state on: a window that grows from the card's length.
        """
        ends = np.asarray(ends)
        data = self.data.at_use()
        if self.card.run_through:
            for chunk in _passes(ends):
                yield chunk, self._maps(data, chunk[-1:], len(chunk))
            return
        for start in range(0, len(ends), self.batch):
            chunk = ends[start : start + self.batch]
            yield chunk, self._maps(data, chunk)

    def judged(self, ends: np.ndarray) -> Iterator[Judged]:
        """As :meth:`predict`, with the maps to judge a model by: those of a filling model are made without what is
        hidden from it, and count there alone.
        """
        for chunk, maps in self.predict(ends):
            hidden = self.data.hidden(chunk)
            if hidden is None:
                yield Judged(chunk, maps, maps, None)
            else:
                yield Judged(chunk, maps, self._maps(self.data, chunk), hidden[:, :, self._target])

    def close(self) -> None:
        """Close the dataset if it was opened here."""
        self._open.close()

    def __enter__(self) -> Predictor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _halo(self) -> Optional[int]:
        halo = getattr(self.module, "halo_px", None)
        longest = self.card.window + (PASS_STEPS - 1 if self.card.run_through else 0)
        return None if halo is None else int(halo(longest))

    def _maps(self, data: WindowData, ends: np.ndarray, steps: int = 1) -> np.ndarray:
        """Maps of the windows that end at ``ends``; with ``steps`` > 1 of the last steps of the one window."""
        if self.card.gauges:
            return self._scaler.inverse(self._forward(data, ends, steps))
        maps = np.empty((max(len(ends), steps), self.card.leads, *self.data.mask.shape), dtype=np.float32)
        for inner, outer in self._tiles:
            rows, columns = outer
            part = self._forward(data if len(self._tiles) == 1 else _cut(data, rows, columns), ends, steps)
            top, left = inner[0].start - rows.start, inner[1].start - columns.start
            height, width = inner[0].stop - inner[0].start, inner[1].stop - inner[1].start
            maps[:, :, inner[0], inner[1]] = part[:, :, top : top + height, left : left + width]
        maps = self._scaler.inverse(maps)
        maps[:, :, ~self.data.mask] = np.nan
        return maps

    def _forward(self, data: WindowData, ends: np.ndarray, steps: int) -> np.ndarray:
        """Scaled predictions (n, L, *frame) of one tile."""
        if steps > 1:
            data = dataclasses.replace(data, window=data.window + steps - 1)
        batch = dataclasses.replace(data.batch(ends), y=None)
        with torch.inference_mode():
            y_hat = predict_batch(self.module, batch, self.device, torch.float32, steps)  # (n, steps, L, K, *frame)
        return y_hat[:, :, :, self._target].flatten(0, 1).cpu().numpy()


def _passes(ends: np.ndarray) -> Iterator[np.ndarray]:
    """Runs of consecutive ends, of at most ``PASS_STEPS``."""
    for run in np.split(ends, np.flatnonzero(np.diff(ends) != 1) + 1):
        for start in range(0, len(run), PASS_STEPS):
            yield run[start : start + PASS_STEPS]


Tile = tuple[tuple[slice, slice], tuple[slice, slice]]


def _tiles(shape: tuple[int, int], tile_px: int, halo_px: Optional[int], whole_frame_cells: int) -> list[Tile]:
    """``(inner, outer)`` slices: what a tile gives, and that with its halo, cut at the edges of the raster where the
    model pads.
    """
    rows, columns = shape
    whole = (slice(0, rows), slice(0, columns))
    if halo_px is None or rows * columns <= whole_frame_cells or halo_px + tile_px >= max(rows, columns):
        return [(whole, whole)]
    tiles = []
    for top in range(0, rows, tile_px):
        for left in range(0, columns, tile_px):
            inner = (slice(top, min(rows, top + tile_px)), slice(left, min(columns, left + tile_px)))
            outer = tuple(
                slice(max(0, s.start - halo_px), min(size, s.stop + halo_px)) for s, size in zip(inner, shape)
            )
            tiles.append((inner, (outer[0], outer[1])))
    return tiles


def _cut(data: WindowData, rows: slice, columns: slice) -> WindowData:
    """The part of the data under a tile, as views."""
    return dataclasses.replace(
        data,
        x=data.x[..., rows, columns],
        observed=None if data.observed is None else data.observed[..., rows, columns],
        static=None if data.static is None else data.static[..., rows, columns],
        y=None,
        ahead=None if data.ahead is None else data.ahead[..., rows, columns],
        mask=data.mask[rows, columns],
        hiding=None if data.hiding is None else data.hiding.cut(rows, columns),
    )
