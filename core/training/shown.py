"""What a training shows a model: the batch of a piece, cropped, with a share hidden, turned. It follows from the seed
of the epoch and the piece alone, so it may be made beforehand and in another thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np
from torch import nn

from ..contracts.training_config import TrainingConfig
from ..data.windows import Batch, Buffers
from .augment import Augmentation
from .batches import Piece
from .crops import crop_side, training_crop
from .distributed import Ranks
from .setup import TrainingSet


@dataclass(frozen=True)
class Showing:
    """Makes the batches of a training. ``module`` tells the halo of a crop."""

    module: nn.Module
    sets: Sequence[TrainingSet]
    config: TrainingConfig
    augmentation: Augmentation
    ranks: Ranks

    def make(self, piece: Piece, seed: int, buffers: Optional[Buffers] = None) -> tuple[Batch, np.ndarray]:
        """The batch of this process, and the variance of the cells (K, *frame), both turned."""
        item, turn = self.sets[piece.index], self.augmentation.draw(seed, piece.step)
        ends, steps = self.ranks.own(piece.ends), self.config.supervised_steps
        side = crop_side(self.config, item.data)
        if not side:
            batch, variance = item.data.batch(ends, steps, seed, buffers), item.variance
        else:
            crop = training_crop(self.module, item, piece.ends, side, seed, steps)
            batch, variance = crop.data(item.data).batch(ends, steps, seed, buffers), crop.maps(item.variance)
            crop.leave_out(batch.y)
        return self.augmentation.apply(batch, turn), self.augmentation.variance(variance, turn)

    def seen(self, piece: Piece, seed: int) -> tuple[TrainingSet, Batch]:
        """The part of the data that a piece shows, and its batch as the dataset gives it: not turned."""
        item = self.sets[piece.index]
        side = crop_side(self.config, item.data)
        if side:
            item = training_crop(self.module, item, piece.ends, side, seed, self.config.supervised_steps).of(item)
        return item, item.data.batch(piece.ends, self.config.supervised_steps, seed)
