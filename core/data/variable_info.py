"""What a dataset says of each of its variables, and how that is measured while writing."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class VariableInfo:
    """One variable of a dataset. ``missing_share`` (0 to 1), ``minimum`` and ``maximum`` are over the whole grid and
    all steps, in ``units``.

    ``role`` is "input", "target" or "static". The writer measures the three numbers itself, so they may be left at 0
    when writing.
    """

    name: str
    role: str = "input"
    quantity: str = "other"
    units: str = "-"
    label: str = ""
    static: bool = False
    missing_share: float = 0.0
    minimum: float = 0.0
    maximum: float = 0.0


class Tally:
    """Count, missing, range and digest of the values of one variable, gathered block by block."""

    def __init__(self) -> None:
        self.count, self.missing = 0, 0
        self.minimum, self.maximum = np.inf, -np.inf
        self.digest = hashlib.sha256()

    def add(self, values: np.ndarray) -> None:
        """Count a block of any shape, float32, NaN where missing; the order of blocks matters for the digest."""
        finite = np.isfinite(values)
        self.count += values.size
        self.missing += int(values.size - finite.sum())
        if finite.any():
            self.minimum = min(self.minimum, float(values.min(initial=np.inf, where=finite)))
            self.maximum = max(self.maximum, float(values.max(initial=-np.inf, where=finite)))
        self.digest.update(np.ascontiguousarray(values, dtype="<f4"))

    def complete(self, info: VariableInfo) -> VariableInfo:
        """``info`` with the numbers counted so far; 0 as range where everything is missing."""
        empty = self.count == self.missing
        return dataclasses.replace(
            info,
            missing_share=self.missing / max(1, self.count),
            minimum=0.0 if empty else self.minimum,
            maximum=0.0 if empty else self.maximum,
        )
