"""How recurrent layers are computed: settings that hold for the forward passes made within :func:`using`.

A backward pass goes the way that its forward pass went. No setting changes what is computed beyond rounding.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

KERNELS = ("auto", "sequence", "steps")
HOISTS = ("auto", "on", "off")
NO_HOIST = "step by step, since all inputs at once took as long or longer on every grid that was tried"


@dataclass(frozen=True)
class Engine:
    """
    Parameters
    ----------
    kernel : str
        ``sequence``: all steps of a layer in one function with a backward pass of its own; ``steps``: step by step, in
        torch's own functions. ``auto``: the first where the layer and the way of differentiation allow it.
    recompute : bool
        Keep states alone for the backward pass and compute the gates anew there: about half of the memory, at about 1.3
        of the time. A layer may go back once only then.
    hoist : str
        Whether the input of all steps is convolved at once before the first: ``on``, ``off``, ``auto``, which is off:
        :data:`NO_HOIST`.

    Unknown words raise ValueError.
    """

    kernel: str = "auto"
    recompute: bool = False
    hoist: str = "auto"

    def __post_init__(self) -> None:
        for name, known in (("kernel", KERNELS), ("hoist", HOISTS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is one of {', '.join(known)}, not {getattr(self, name)!r}")


_DEFAULT = Engine()
_current: ContextVar[Engine] = ContextVar("engine", default=_DEFAULT)


def current() -> Engine:
    """The settings that hold here."""
    return _current.get()


@contextlib.contextmanager
def using(**changes: Any) -> Iterator[Engine]:
    """Other settings, for the forward passes within: ``with using(recompute=True): ...``. Those not named stay."""
    token = _current.set(dataclasses.replace(_current.get(), **changes))
    try:
        yield _current.get()
    finally:
        _current.reset(token)


def gate_bytes(batch: int, rows: int, columns: int, hidden: int, item_bytes: int) -> int:
    """Of the four gates of one step of a layer."""
    return 4 * hidden * batch * rows * columns * item_bytes


def hoists() -> bool:
    """Whether the input of all steps is convolved at once."""
    return current().hoist == "on"
