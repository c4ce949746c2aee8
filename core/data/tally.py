"""What was seen of a variable's values: block by block, then judged as a whole."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from ..contracts.errors import DataError
from ..contracts.variables import Quantity
from .parts import Bits, Block
from .sources import say_date


def count_block(values: np.ndarray, quantity: Quantity) -> dict[str, Any]:
    """Plain numbers of a block (t, h, W), NaN missing: what is present, its range, how much is not plausible, the
    first such step, and where a value is ever present.
    """
    present = np.isfinite(values)
    count = int(present.sum())
    found: dict[str, Any] = {"present": count, "ever": Bits.text(present.any(axis=0)), "outside": 0}
    if not count:
        return found
    low = float(values.min(initial=np.inf, where=present))
    high = float(values.max(initial=-np.inf, where=present))
    found.update(minimum=low, maximum=high)
    slack = 1e-6 * max(1.0, quantity.maximum - quantity.minimum) if quantity.maximum < 1e6 else 0.0
    if low < quantity.minimum - slack or high > quantity.maximum + slack:
        outside = (values < quantity.minimum - slack) | (values > quantity.maximum + slack)
        outside &= present
        found.update(outside=int(outside.sum()), first_outside=int(np.argmax(outside.any(axis=(1, 2)))))
    return found


class Seen:
    """Sums up the counts of a variable's blocks."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.ever = Bits(shape)
        self.range = [np.inf, -np.inf]
        self.present = self.outside = 0
        self.first_outside: Optional[int] = None
        self._strips: set[int] = set()
        self._empty: dict[int, int] = {}

    @property
    def empty(self) -> list[int]:
        """Steps that have maps, but nowhere a value."""
        return sorted(step for step, count in self._empty.items() if count == len(self._strips))

    def add(self, block: Block, found: dict[str, Any]) -> None:
        """Take in what :func:`count_block` found in a block."""
        self.ever.add(block.first, block.last, found["ever"])
        self._strips.add(block.first)
        for step in found["empty"]:
            self._empty[step] = self._empty.get(step, 0) + 1
        self.present += found["present"]
        if not found["present"]:
            return
        self.range = [min(self.range[0], found["minimum"]), max(self.range[1], found["maximum"])]
        self.outside += found["outside"]
        if found["outside"]:
            step = block.start + found["first_outside"]
            self.first_outside = step if self.first_outside is None else min(step, self.first_outside)

    def add_array(self, values: np.ndarray, quantity: Quantity) -> None:
        """Count a whole variable (T, H, W) that is at hand."""
        block = Block(0, len(values), 0, values.shape[1])
        self.add(block, {**count_block(values, quantity), "empty": []})

    def judge(
        self, name: str, quantity: Quantity, units: str, converted: str, times: Optional[np.ndarray], static: bool
    ) -> list[str]:
        """Warnings; raises :class:`DataError` where nothing is there, nothing changes, or most is not plausible.
        ``converted`` is the unit of the source where that is another one; ``times`` the dates of the steps.
        """
        if self.present == 0:
            raise DataError(
                f"'{name}' is missing everywhere",
                expected=f"values within the {'' if static else 'period and '}area of the dataset",
                remedy="Check its missing value, its extent and the period",
            )
        warnings = []
        if self.range[0] == self.range[1]:
            text = f"'{name}' has the same value, {self.range[0]:g}, everywhere"
            if not static:
                raise DataError(
                    text,
                    expected="a variable that changes",
                    remedy="Leave it out, or check the source and its missing value",
                )
            warnings.append(text + "; it tells a model nothing.")
        return [*warnings, *self._judge_range(name, quantity, units, converted, times)]

    def _judge_range(
        self, name: str, quantity: Quantity, units: str, converted: str, times: Optional[np.ndarray]
    ) -> list[str]:
        share = self.outside / self.present
        if not share:
            return []
        low, high = quantity.minimum, quantity.maximum
        found = f"{self.range[0]:g} to {self.range[1]:g} {units}"
        if share > 0.5:
            raise DataError(
                f"'{name}': {share:.0%} of the values are not plausible for {quantity.label.lower()}",
                expected=f"{low:g} to {high:g} {units}",
                got=found + (f", after conversion from {converted}" if converted else ""),
                remedy="Check the unit of the source (mm given as m, K as degC?), its missing value and the quantity",
            )
        dated = times is not None and len(times) and self.first_outside is not None
        since = f", first on {say_date(times[self.first_outside])}" if dated else ""
        return [f"'{name}': {share:.2%} of the values lie outside {low:g} to {high:g} {units} ({found}{since})."]
