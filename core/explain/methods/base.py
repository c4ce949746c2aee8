"""What every method of attribution takes and gives.

A method is a generator: it yields a :class:`Step` after each piece of its work, between two of which a run can be
cancelled, and returns the :class:`Attribution`. Memory is bounded by ``Problem.at_once``, the points that a model
computes together.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional, Union

import numpy as np
import torch
from torch import Tensor

from ...contracts.errors import RunError
from ..explained import Attribution, Explained

Parts = tuple[Tensor, ...]
Array = Union[Tensor, np.ndarray]


@dataclass(frozen=True)
class Problem:
    """One number to explain. ``inputs`` and ``baselines`` are the parts of :class:`Explained`, with a leading 1;
    missing cells are the same in both, so they contribute 0. ``owners`` gives for each part the number of the variable
    that each of its channels belongs to. ``background(n)`` are the parts of the n-th of many training windows;
    ``seconds`` is what a pass took, None where none was timed.
    """

    function: Explained
    inputs: Parts
    baselines: Parts
    owners: tuple[tuple[int, ...], ...]
    prediction: float
    baseline_prediction: float
    at_once: int = 1
    background: Optional[Callable[[int], Parts]] = None
    seconds: Optional[float] = None

    @property
    def names(self) -> tuple[str, ...]:
        """What the parts are."""
        return self.function.names

    @property
    def frame(self) -> tuple[int, int]:
        """Rows and columns of the input."""
        return tuple(self.inputs[0].shape[-2:])

    @property
    def window(self) -> int:
        """Steps of the input."""
        return self.inputs[0].shape[1]

    @property
    def differences(self) -> Parts:
        """Inputs less baselines."""
        return tuple(a - b for a, b in zip(self.inputs, self.baselines))

    def at(self, parts: Parts) -> Tensor:
        """The explained number of N points, float64 (N,), without gradients, ``at_once`` at a time."""
        with torch.no_grad():
            pieces = [
                self.function.near(*(part[start : start + self.at_once] for part in parts))
                for start in range(0, len(parts[0]), self.at_once)
            ]
        return torch.cat(pieces)

    def answer(
        self,
        parts: Sequence[Array],
        passes: int,
        baseline_prediction: Optional[float] = None,
        slopes: Sequence[Array] = (),
        **facts: Any,
    ) -> Attribution:
        """The answer of contributions, and mean gradients where there are some, that stand in the order of ``names``,
        without the leading 1.
        """
        arrays = {name: _array(part) for name, part in zip(self.names, parts)}
        start = self.baseline_prediction if baseline_prediction is None else baseline_prediction
        held = {name: _array(part) for name, part in zip(self.names, slopes)}
        return Attribution(
            arrays["x"], arrays.get("static"), self.prediction, start, arrays.get("ahead"), None, passes, facts, held
        )  # fmt: skip

    def heat(self, values: Array, passes: int, **facts: Any) -> Attribution:
        """The answer of a method that does not tell variables apart."""
        return Attribution(
            None, None, self.prediction, self.baseline_prediction, None, _array(values), passes, facts
        )  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """How a method works; each reads what concerns it. ``steps`` points of a path; ``samples`` of random methods;
    ``noise`` as a share of the range of each variable in the window; ``seed``; ``block`` cells and ``block_steps``
    steps taken away together; ``sigma`` in cells; ``layer`` by its name or number from below, empty for the topmost.
    """

    steps: int = 32
    samples: int = 32
    noise: float = 0.15
    seed: int = 0
    block: int = 4
    block_steps: int = 1
    sigma: float = 1.5
    layer: str = ""


@dataclass(frozen=True)
class Step:
    """After a piece: ``done`` of ``of`` parts of the work, and the answer so far where there is one."""

    done: int
    of: int
    sofar: Optional[Callable[[], Attribution]] = None


Work = Generator[Step, None, Attribution]


@dataclass(frozen=True)
class Method:
    """A kind of attribution. ``run`` works; ``passes`` tells beforehand how many passes of the model it takes, forward
    ones and such with a gradient. ``gradients`` says that it needs these, ``complete`` that contributions add up to
    prediction - baseline prediction, ``variables``, ``steps`` and ``cells`` what it tells apart. ``words`` name it in
    a sentence, ``assumes`` says what it rests on.
    """

    name: str
    label: str
    words: str
    assumes: str
    run: Callable[[Problem, Settings], Work]
    passes: Callable[[Problem, Settings], tuple[int, int]]
    gradients: bool = True
    complete: bool = False
    variables: bool = True
    steps: bool = True
    cells: bool = True


def finite(found: Attribution) -> Attribution:
    """``found``, or :class:`RunError` where a number of it is not finite."""
    if math.isfinite(found.residual):
        return found
    raise RunError(
        "The contributions are not finite",
        got=f"a prediction of {found.prediction:g} and a baseline prediction of {found.baseline_prediction:g}",
        remedy="Look for extreme values in this window, or choose another date",
    )


def _array(part: Array) -> np.ndarray:
    return part.detach().cpu().double().numpy() if isinstance(part, Tensor) else np.array(part, dtype=np.float64)
