"""What a question will cost, told before it starts: passes of the model, and seconds from one timed pass."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable, Optional

import torch

from ..contracts.events import Event, EventKind
from .asking import seconds_words, size_words
from .memory import peak_bytes
from .methods import Method, Problem, Settings

GRADIENT_COSTS = 2.5  # forward passes; a ConvLSTM of 32 and 64 channels took 2.2


@dataclass(frozen=True)
class Cost:
    """``forward`` passes, such with a ``gradient``, and the ``seconds`` that all of them take here, of ``models``;
    ``size`` in bytes is what the passes that go together hold beside model and dataset, None where it was not measured.
    """

    forward: int
    gradient: int
    seconds: float
    models: int = 1
    size: Optional[int] = None

    def of(self, models: int) -> Cost:
        """The cost of so many models, each taken to cost as much as this one."""
        return Cost(self.forward * models, self.gradient * models, self.seconds * models, models, self.size)

    def event(self) -> Event:
        """A MESSAGE whose ``cost`` holds the numbers."""
        count = self.forward + self.gradient
        through = "the model" if self.models == 1 else f"{self.models} models"
        words = f"{count} pass{'' if count == 1 else 'es'} through {through}"
        if self.gradient:
            words += f" ({self.gradient} with a gradient)"
        memory = "" if self.size is None else f" and {size_words(self.size)} of memory"
        text = f"About {seconds_words(self.seconds)}{memory} on this machine: {words}."
        return Event(EventKind.MESSAGE, {"level": "info", "text": text, "cost": self.facts()})

    def facts(self) -> dict[str, Any]:
        """Plain JSON values."""
        facts = {"forward": self.forward, "gradient": self.gradient, "seconds": round(self.seconds, 3)}
        return facts if self.size is None else {**facts, "bytes": self.size}


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
    """Take the time of one pass and count; ``checked`` counts the method once more and ``deletions`` passes. ``exact``
    times a pass with a gradient too, which else is taken as ``GRADIENT_COSTS`` forward ones, and measures memory, so
    that the answer need not wait.
    """
    forward, gradient = method.passes(problem, settings)
    if checked:
        forward, gradient = 2 * forward + deletions, 2 * gradient
    once = problem.seconds
    if once is None or exact:
        begin = clock()
        problem.at(problem.inputs)
        once = clock() - begin
    with_gradient, size = GRADIENT_COSTS * once, None
    if exact:
        begin = clock()
        if gradient:
            _slopes(problem)
            with_gradient = clock() - begin
        size = problem.at_once * peak_bytes(lambda: _slopes(problem) if gradient else problem.at(problem.inputs))
    return Cost(forward, gradient, forward * once + gradient * with_gradient, size=size)


def _slopes(problem: Problem) -> None:
    held = tuple(part.detach().requires_grad_() for part in problem.inputs)
    with torch.enable_grad():
        torch.autograd.grad(problem.function(*held).sum(), held, allow_unused=True)
