"""Parts of large maps: at random places where a model learns, side by side where it is judged.

A cell nearer to a cut edge than the halo of the model would be predicted from a padding that the whole map has not.
Such cells are left out of the loss, up to a quarter of the crop on each cut side: what is left is then predicted almost
as from the whole map, since the far end of a halo weighs little. The edges of the map itself are no cut edges.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from ..contracts.errors import ConfigError
from ..contracts.training_config import TrainingConfig
from ..data.windows import WindowData
from ..models.base import WHOLE_FRAME_PX
from .setup import TrainingSet

_LARGEST_MARGIN = 4  # a crop has at least two of these parts that count, each way
_TRIES = 8  # places that are looked at for an observed target before all of the map is read
_CROPS = 4201  # apart from all other random numbers of a seed


@dataclass(frozen=True)
class Crop:
    """A part of a frame: ``rows`` and ``columns`` that a batch shows, and within the frame those that count."""

    rows: slice
    columns: slice
    counted_rows: slice
    counted_columns: slice

    def data(self, data: WindowData) -> WindowData:
        """The part of the data."""
        return data.part(self.rows, self.columns)

    def maps(self, maps: np.ndarray) -> np.ndarray:
        """The part of maps (..., H, W), as a view."""
        return maps[..., self.rows, self.columns]

    def leave_out(self, y: np.ndarray) -> np.ndarray:
        """``y`` (..., h, w) of the part with NaN where it does not count; in place."""
        counts = np.zeros(y.shape[-2:], dtype=bool)
        inner = [
            slice(counted.start - shown.start, counted.stop - shown.start)
            for shown, counted in ((self.rows, self.counted_rows), (self.columns, self.counted_columns))
        ]
        counts[inner[0], inner[1]] = True
        y[..., ~counts] = np.nan
        return y

    def of(self, item: TrainingSet) -> TrainingSet:
        """A dataset of which only this part is there."""
        cells = None if item.cells is None else self.maps(item.cells)
        return dataclasses.replace(item, data=self.data(item.data), variance=self.maps(item.variance), cells=cells)


def crop_side(config: TrainingConfig, data: WindowData) -> int:
    """Cells a side; 0 where whole frames are shown."""
    return 0 if data.gauges or config.crop >= max(data.mask.shape) else config.crop


def check_crop(config: TrainingConfig, module: nn.Module, sets: Sequence[TrainingSet]) -> None:
    """Raise :class:`ConfigError` where a crop is asked of a model that needs whole maps, or one that is too small."""
    if not config.crop:
        return
    remedy = "Set the crop to 0, and choose a smaller grid where the memory is not enough"
    if any(item.data.gauges for item in sets):
        raise ConfigError("A model of gauges reads whole maps, so they cannot be cropped", remedy=remedy)
    bound = getattr(module, "bound_to_grid", False) or hasattr(module, "prepare_from")
    if bound or any(halo_of(module, item.data) >= WHOLE_FRAME_PX for item in sets):
        raise ConfigError("This model needs whole maps, so they cannot be cropped", remedy=remedy)
    if config.crop < _LARGEST_MARGIN:
        raise ConfigError(
            "The crop is too small", expected=f"at least {_LARGEST_MARGIN} cells", got=f"{config.crop}",
            remedy="Choose a larger one, or 0",
        )  # fmt: skip


def halo_of(module: nn.Module, data: WindowData) -> int:
    """Cells around a cell that its prediction depends on."""
    return int(module.halo_px(data.window))


def crop_margin(module: nn.Module, data: WindowData, side: int) -> int:
    """Cells along a cut edge that do not count."""
    return min(halo_of(module, data), side // _LARGEST_MARGIN)


def crop_words(module: nn.Module, config: TrainingConfig, sets: Sequence[TrainingSet]) -> str:
    """A sentence on what a batch shows; empty for whole maps."""
    sides = [(crop_side(config, item.data), item.data) for item in sets]
    if not any(side for side, _ in sides):
        return ""
    side, data = max(sides, key=lambda pair: pair[0])
    margin, halo = crop_margin(module, data, side), halo_of(module, data)
    why = "the model's halo" if margin == halo else f"a quarter of the crop; the model's halo is {halo}"
    return (
        f"A batch shows a part of {side} x {side} cells of the maps; cells nearer than {margin} to a cut edge do not "
        f"count ({why})."
    )


def training_crop(
    module: nn.Module, item: TrainingSet, ends: np.ndarray, side: int, seed: int, supervised_steps: int
) -> Crop:
    """The crop of windows that end at ``ends``: at a random place where one of their targets was observed. It follows
    from the seed and the windows alone.
    """
    rng = np.random.default_rng([_CROPS, seed, *(int(end) for end in ends)])
    data, margin = item.data, crop_margin(module, item.data, side)
    cells = np.flatnonzero(data.mask if item.cells is None else item.cells)
    for _ in range(_TRIES if len(cells) else 0):
        crop = _around(rng, int(rng.choice(cells)), data.mask.shape, side, margin)
        y = crop.data(data).targets(ends, supervised_steps)
        if np.isfinite(crop.leave_out(y)).any():
            return crop
    seen = np.isfinite(data.targets(ends, supervised_steps)).any(axis=(0, 1, 2, 3))
    cells = np.flatnonzero(seen)
    cell = int(rng.choice(cells)) if len(cells) else seen.size // 2
    return _around(rng, cell, data.mask.shape, side, margin)


def judging_crops(module: nn.Module, item: TrainingSet, side: int) -> list[Crop]:
    """Crops whose counted parts lie side by side and make up the whole frame; those in which no target was ever
    observed are left out.
    """
    margin, crops = crop_margin(module, item.data, side), []
    (tops, lefts) = (_cuts(size, side, margin) for size in item.data.mask.shape)
    for rows, counted_rows in tops:
        for columns, counted_columns in lefts:
            if item.cells is None or item.cells[counted_rows, counted_columns].any():
                crops.append(Crop(rows, columns, counted_rows, counted_columns))
    return crops


def _around(rng: np.random.Generator, cell: int, frame: tuple[int, int], side: int, margin: int) -> Crop:
    """A crop in whose counted part the ``cell`` (its flat place) lies."""
    found: list[Any] = []
    for place, size in zip(divmod(cell, frame[1]), frame):
        span = min(side, size)
        low, high = place - (span - 1 - margin), place - margin
        start = int(np.clip(rng.integers(low, high + 1), 0, size - span))
        first, last = start + (margin if start else 0), start + span - (margin if start + span < size else 0)
        found.append((slice(start, start + span), slice(first, last)))
    return Crop(found[0][0], found[1][0], found[0][1], found[1][1])


def _cuts(size: int, side: int, margin: int) -> list[tuple[slice, slice]]:
    """``(shown, counted)`` along one side of the frame."""
    if side >= size:
        return [(slice(0, size), slice(0, size))]
    step, cuts = side - 2 * margin, []
    for start in range(0, size, step):
        stop = min(start + step, size)
        cuts.append((slice(max(0, start - margin), min(size, stop + margin)), slice(start, stop)))
    return cuts


__all__ = [
    "Crop", "check_crop", "crop_margin", "crop_side", "crop_words", "halo_of", "judging_crops", "training_crop",
]  # fmt: skip
