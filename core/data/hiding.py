"""Hiding what was observed, so that a model learns to fill gaps and can be judged by what it could not see.

Symbols: B windows of T steps, C channels, K targets, L predicted steps, H rows, W columns.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Optional

import numpy as np

_JUDGING = 2**32  # apart from all seeds of a training
_EPOCH = 2**42  # makes dates before 1970 positive too
_PATCH = (0.04, 0.2)  # radius of a patch, as a share of the frame's longer side


@dataclass(frozen=True)
class Hiding:
    """Which observed values of the predicted steps are withheld from the input of a filling model.

    ``share`` of what was observed there; ``kind`` as :data:`core.contracts.training_job.HIDINGS` says: patches, single
    cells, or whole frames with the ``share`` of the window's other frames. ``channels`` of ``x`` hold the targets;
    ``known`` bool (record, K, H, W) is where each target was observed; ``source`` int (K, H*W) is the cell whose value
    each cell of ``x`` holds: itself, or the nearest one where it never has a value. With ``give_all`` nothing is
    withheld but what the model never reads, the predicted frame where whole frames are hidden. ``part`` is the part of
    the frame that ``x`` holds, rows and columns.
    """

    share: float
    kind: str
    channels: tuple[int, ...]
    known: np.ndarray
    source: np.ndarray
    give_all: bool = False
    part: tuple[slice, slice] = (slice(None), slice(None))

    def at_use(self) -> Hiding:
        """The same where a model is used, not judged."""
        return dataclasses.replace(self, give_all=True)

    def cut(self, rows: slice, columns: slice) -> Hiding:
        """The same for a part of the frame, or of the part that it is now."""
        frame = self.known.shape[2:]
        begins = [own.indices(size)[0] for own, size in zip(self.part, frame)]
        ends = [own.indices(size)[1] for own, size in zip(self.part, frame)]
        inner = [cut.indices(end - begin)[:2] for cut, begin, end in zip((rows, columns), begins, ends)]
        part = [slice(begin + first, begin + last) for begin, (first, last) in zip(begins, inner)]
        return dataclasses.replace(self, part=(part[0], part[1]))

    def draw(self, index: np.ndarray, places: np.ndarray, dates: np.ndarray, seed: Optional[int]) -> np.ndarray:
        """What is hidden, bool (B, T, H, W) of the whole frame: the same cells for all targets, as under a cloud.

        ``index`` (B, T) are the steps of each window, ``places`` (L,) the predicted ones among the T, ``dates`` (B,)
        datetime64 tell the windows apart: the same seed and date give the same cells, whatever else is in the batch.
        Without a ``seed`` they are those to be judged by.
        """
        hidden = np.zeros((*index.shape, *self.known.shape[2:]), dtype=bool)
        if self.kind == "frames":
            hidden[:, places] = True
        if self.give_all:
            return hidden
        for number, (steps, date) in enumerate(zip(index, dates.astype("datetime64[s]").astype(np.int64))):
            rng = np.random.default_rng([_JUDGING if seed is None else seed, int(date) + _EPOCH])
            if self.kind == "frames":
                others = np.setdiff1d(np.arange(len(steps)), places)
                hidden[number, rng.permutation(others)[: round(self.share * len(others))]] = True
                continue
            for place in places:
                hidden[number, place] = self._pattern(rng, self.known[steps[place]].any(axis=0))
        return hidden

    def apply(self, x: np.ndarray, observed: np.ndarray, hidden: np.ndarray) -> None:
        """Set ``x`` and ``observed`` (B, T, C, h, w), of the part of the frame, to 0 where hidden; in place.

        A cell that took its value from a hidden one is hidden too.
        """
        size = hidden.shape[:2]
        for channel, source in zip(self.channels, self.source):
            gone = hidden.reshape(*size, -1)[:, :, source].reshape(hidden.shape)[:, :, self.part[0], self.part[1]]
            x[:, :, channel][gone] = 0.0
            observed[:, :, channel][gone] = False

    def targets(self, steps: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        """bool (B, L, K, h, w): hidden values of the targets that were observed, to be judged by. ``steps`` (B, L) of
        the record; ``hidden`` (B, L, H, W) at them.
        """
        return (hidden[:, :, None] & self.known[steps])[..., self.part[0], self.part[1]]

    def _pattern(self, rng: np.random.Generator, known: np.ndarray) -> np.ndarray:
        """bool (H, W): ``share`` of the ``known`` cells, at least one; single ones or patches."""
        field = rng.random(known.shape)
        if self.kind == "blocks":
            field = _smooth(field, max(known.shape) * rng.uniform(*_PATCH))
        cells = np.flatnonzero(known)
        count = min(len(cells), max(1, round(self.share * len(cells))))
        pattern = np.zeros(known.size, dtype=bool)
        pattern[cells[np.argsort(field.ravel()[cells], kind="stable")[:count]]] = True
        return pattern.reshape(known.shape)


def nearest_source(ever: np.ndarray) -> np.ndarray:
    """int (H*W,): for each cell the flat index of itself where it ``ever`` (H, W) has a value, else of the nearest cell
    that has; as :func:`core.data.windows.continued` takes them.
    """
    if ever.all() or not ever.any():
        return np.arange(ever.size)
    from scipy.ndimage import distance_transform_edt

    rows, columns = distance_transform_edt(~ever, return_distances=False, return_indices=True)
    return (rows * ever.shape[1] + columns).ravel()


def _smooth(field: np.ndarray, radius: float) -> np.ndarray:
    """White noise with the correlation of a Gaussian of this ``radius`` in cells, the frame taken as a torus."""
    rows, columns = (np.fft.fftfreq(size) for size in field.shape)
    damp = np.exp(-2.0 * (np.pi * radius) ** 2 * (rows[:, None] ** 2 + columns[None, :] ** 2))
    return np.fft.ifft2(np.fft.fft2(field - 0.5) * damp).real
