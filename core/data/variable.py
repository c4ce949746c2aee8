"""A variable of a dataset that is made, and waits to be written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from ..contracts.grid import Grid
from .clock import Clock
from .parts import Bits, VariableParts
from .variable_info import Gauges, VariableInfo


@dataclass
class Variable:
    """A finished variable: as parts, or small enough for an array ((T, G) at gauges, (H, W) of terrain).

    ``filled`` are the flags of an array; ``ever`` where a map ever has a value; ``record`` its provenance.
    """

    info: VariableInfo
    parts: Optional[VariableParts] = None
    values: Optional[np.ndarray] = None
    filled: Optional[np.ndarray] = None
    ever: Optional[Bits] = None
    fingerprint: str = ""
    record: dict[str, Any] = field(default_factory=dict)


@dataclass
class Made:
    """Everything that is written of one sequence; ``name`` is "" for a plain dataset."""

    name: str
    grid: Grid
    clock: Clock
    variables: list[Variable]
    gauges: Optional[Gauges]
    mask: np.ndarray
    calendar: str = "standard"
