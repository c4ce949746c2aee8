"""How a module learns: epoch by epoch by gradients, or at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Optional

from torch import nn

from ..contracts.events import Event
from ..contracts.training_job import TrainingConfig
from .choices import Choices
from .distributed import process_number, told_in_words
from .loop import fit
from .memory import less_memory, told_of_memory
from .setup import TrainingSet


def needs_epochs(module: nn.Module) -> bool:
    """Whether a module is trained by gradients and not at once."""
    learns = any(parameter.requires_grad for parameter in module.parameters())
    return learns and not getattr(module, "learns_at_once", False)


def fit_module(
    module: nn.Module,
    sets: Sequence[TrainingSet],
    config: TrainingConfig,
    checkpoints: Path,
    warm_up: int = 0,
    clock: Callable[[], float] = time.monotonic,
    known: Optional[Choices] = None,
) -> Iterator[Event]:
    """Train ``module`` in place, in the way of its family; the events of :func:`core.training.loop.fit`.

    Raises :class:`RunError` where memory cannot be had, although it had been looked for before the start.
    """
    if needs_epochs(module):
        events = told_in_words(fit(module, sets, config, checkpoints, warm_up, clock, known))
        yield from told_of_memory(events, less_memory(config))
        return
    if process_number() > 0:
        return  # what is learned at once is learned by the first process
    from .at_once import fit_at_once

    yield from fit_at_once(module, sets, config, checkpoints, warm_up, clock)
