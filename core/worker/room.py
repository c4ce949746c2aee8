"""The room on the disc that a training takes, told before it begins, so that it does not end hours later without its
results.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Union

from torch import nn

from ..contracts.machine import check_room, say_bytes
from ..contracts.model_card import ModelCard
from ..contracts.training_config import TrainingConfig
from ..data.splits import Split
from ..data.store import Dataset

_MAPS = 3  # predicted, observed and their difference
_SPREAD = 2  # maps more of an ensemble
_RESERVE = 64 * 2**20


def checkpoint_bytes(module: nn.Module, config: TrainingConfig) -> int:
    """The checkpoints of one model and its file, with the one that is written beside before it takes the name."""
    weights = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
    last = 3 + bool(config.averaging) + (config.accumulate > 1)  # weights, moments of the optimizer, and more
    best, file = 3, 1
    return weights * (2 * last + best + file)


def check_disc(
    folder: Union[str, Path],
    module: nn.Module,
    config: TrainingConfig,
    card: ModelCard,
    judged: Sequence[tuple[Dataset, Split]],
    members: int = 1,
) -> str:
    """A sentence on what a training will write. Raises :class:`RunError` where the disc has not the room for it, with
    what could be done; maps count without their compression.
    """
    kept = members * checkpoint_bytes(module, config)
    each = _MAPS + (_SPREAD if members > 1 else 0)
    maps = 0
    for dataset, split in judged:
        dates = (len(split.test) or len(split.validation)) * card.leads * len(card.targets)
        maps += 0 if card.gauges else 4 * each * dates * dataset.grid.rows * dataset.grid.columns
    what = f"this training: {say_bytes(kept)} of checkpoints, at most {say_bytes(maps)} of maps of the test period"
    remedy = "Free some space, choose another folder for the runs, or a shorter test period"
    return check_room(folder, kept + maps + _RESERVE, what, remedy)
