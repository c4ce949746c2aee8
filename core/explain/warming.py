"""Loading ahead of the first question, so that a click waits for nothing but its own answer."""

from __future__ import annotations

from typing import Callable

import numpy as np
import torch

from ..data.store import Dataset
from ..training.loop import predict_batch
from .session import Session

_MOST_CELL_STEPS = 1_000_000  # a larger window is not computed unasked


def warm(
    session: Session, model: str, dataset: str, sequence: str = "", hurried: Callable[[], bool] = lambda: False
) -> None:
    """Let ``session`` hold a model and a dataset, and predict one date, since the first pass also makes the kernels
    for its shapes; not where ``hurried`` says that somebody waits by then.

    Raises :class:`ModelFileError`, :class:`DataError` where they cannot be read or do not fit each other.
    """
    module, card, device, _ = session.model(model, "auto")
    with Dataset.open(dataset, sequence) as opened:
        held = session.held(opened, card)
    ends = held.data.valid_ends()
    if len(ends) and card.window * opened.mask.size <= _MOST_CELL_STEPS and not hurried():
        with torch.inference_mode():
            predict_batch(module, held.data.batch(np.array(ends[-1:])), device, torch.float32)
