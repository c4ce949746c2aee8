"""What a question will cost, told before it starts: passes of the model, and seconds from one timed pass."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable

import torch

from ..contracts.events import Event, EventKind
from .asking import seconds_words
from .methods import Method, Problem, Settings

GRADIENT_COSTS = 2.5  # forward passes; a ConvLSTM of 32 and 64 channels took 2.2


@dataclass(frozen=True)
class Cost:
    """``forward`` passes, such with a ``gradient``, and the ``seconds`` that all of them take here."""

    forward: int
    gradient: int
    seconds: float

    def event(self) -> Event:
        """A MESSAGE whose ``cost`` holds the numbers."""
        count = self.forward + self.gradient
        words = f"{count} pass{'' if count == 1 else 'es'} through the model"
        if self.gradient:
            words += f" ({self.gradient} with a gradient)"
        text = f"About {seconds_words(self.seconds)} on this machine: {words}."
        return Event(EventKind.MESSAGE, {"level": "info", "text": text, "cost": self.facts()})

    def facts(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"forward": self.forward, "gradient": self.gradient, "seconds": round(self.seconds, 3)}


def estimate(
    problem: Problem,
    method: Method,
    settings: Settings,
    checked: bool,
    deletions: int,
    *,
    exact: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Cost:
    """Time one pass and count; ``checked`` counts the method once more and ``deletions`` passes. ``exact`` times a pass
    with a gradient too, which else is taken as ``GRADIENT_COSTS`` forward ones, so that the answer need not wait.
    """
    forward, gradient = method.passes(problem, settings)
    if checked:
        forward, gradient = 2 * forward + deletions, 2 * gradient
    begin = clock()
    problem.at(problem.inputs)
    once = clock() - begin
    with_gradient = GRADIENT_COSTS * once
    if gradient and exact:
        begin = clock()
        held = tuple(part.detach().requires_grad_() for part in problem.inputs)
        with torch.enable_grad():
            torch.autograd.grad(problem.function(*held).sum(), held, allow_unused=True)
        with_gradient = clock() - begin
    return Cost(forward, gradient, forward * once + gradient * with_gradient)
