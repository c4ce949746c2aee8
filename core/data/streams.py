"""One variable on its way into a dataset: unit, clock, grid, and what was seen of its values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

import numpy as np

from ..contracts import units
from ..contracts.dates import format_step
from ..contracts.errors import DataError
from ..contracts.grid import Grid
from ..contracts.variables import Quantity, quantity
from .clock import Alignment, Clock, gather
from .harmonise import Regridder, extent_in, shared_share
from .sources import Source, say_date
from .store import VariableInfo

_BLOCK_BYTES = 2**23
_OWN_UNITS = ("other", "property")


class Stream:
    """A source laid on grid and clock. ``notes`` and ``warnings`` are sentences for the person.

    Raises :class:`DataError` on construction where unit, place or grid do not fit, before a value is read.
    """

    def __init__(self, source: Source, grid: Grid, clock: Optional[Clock]) -> None:
        self.source, self.config, self.grid = source, source.config, grid
        self.name = source.name
        self.quantity: Quantity = quantity(self.config.quantity)
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self._plan_units()
        self._plan_place()
        self.alignment: Optional[Alignment] = None
        if clock is not None:
            self._plan_time(clock)
            self._clock = clock
        self.ever = np.zeros(grid.shape, dtype=bool)
        self._range = [np.inf, -np.inf]
        self._present = self._outside = 0
        self._first_outside = ""

    @property
    def info(self) -> VariableInfo:
        """How the variable is described in the dataset."""
        label = _label(self.name, self.config.quantity, self.quantity.label)
        return VariableInfo(
            self.name, self.config.role, self.config.quantity, self.units, label, static=self.source.static
        )

    def static_map(self) -> np.ndarray:
        """The static map on the grid: float32 (H, W)."""
        values = self._convert(self._regrid(self.source.read(0, 1)))
        self._see(values, None)
        self._judge(values.shape)
        return values[0]

    def blocks(self) -> Iterator[np.ndarray]:
        """The steps in order, as blocks float32 (t, H, W); at the end the values are judged, which may raise
        :class:`DataError`.
        """
        cells = max(
            self.source.grid.rows * self.source.grid.columns * self.alignment.per_step,
            self.grid.rows * self.grid.columns,
        )
        size = int(np.clip(_BLOCK_BYTES // (4 * cells), 1, 512))
        times = self._clock.times
        for start in range(0, self._clock.steps, size):
            block = self._read_block(start, min(start + size, self._clock.steps))
            self._see(block, times[start : start + size])
            yield block
        self._judge((self._clock.steps, *self.grid.shape))

    def _read_block(self, start: int, stop: int) -> np.ndarray:
        per_step, first = self.alignment.per_step, self.alignment.first
        block = np.full((stop - start, *self.grid.shape), np.nan, dtype=np.float32)
        step = start
        while step < stop:
            if first[step] < 0:
                step += 1
                continue
            end = step + 1
            while end < stop and first[end] == first[end - 1] + per_step:
                end += 1
            maps = self.source.read(int(first[step]), int(first[step]) + (end - step) * per_step)
            block[step - start : end - start] = self._convert(self._regrid(gather(maps, per_step, self._aggregation)))
            step = end
        return block

    def _convert(self, values: np.ndarray) -> np.ndarray:
        if (self._scale, self._offset) == (1.0, 0.0):
            return values
        return (values.astype(np.float64) * self._scale + self._offset).astype(np.float32)

    def _plan_units(self) -> None:
        given = self.config.units or self.source.units
        self._scale, self._offset = 1.0, 0.0
        if self.config.quantity in _OWN_UNITS or self.quantity.kind == "class":
            self.units = units.normalise(given) if self.quantity.kind != "class" else "-"
            return
        self.units = self.quantity.units
        if not given:
            self.notes.append(f"'{self.name}': the source names no unit; its values are taken as {self.units}.")
            return
        try:
            self._scale, self._offset = units.convert(given, self.units, self.source.step_seconds or 86400.0)
        except DataError as error:
            raise DataError(
                f"'{self.name}': {error.problem}", expected=error.expected, got=error.got, remedy=error.remedy
            ) from error
        if (self._scale, self._offset) != (1.0, 0.0):
            self.notes.append(f"'{self.name}': converted from {given} to {self.units}.")

    def _plan_place(self) -> None:
        share = shared_share(self.source.full_grid, self.grid)
        if share <= 0:
            raise self._no_overlap()
        if share < 0.999:
            self.warnings.append(f"'{self.name}' covers {share:.0%} of the grid; the rest is missing.")
        try:
            extent = extent_in(self.grid, self.source.full_grid.crs)
            if np.all(np.isfinite(extent)):
                self.source.crop(extent)
        except ValueError as error:
            raise self._no_overlap() from error
        wanted = self.config.resampling or self.quantity.resampling
        self._regrid = Regridder(self.source.grid, self.grid, wanted, 0.0 if self.source.static else 0.5)
        self.resampling = "none" if self._regrid.same else self._way(wanted)
        if not self._regrid.same:
            sizes = f"cells of {self.source.grid.cell_x:g} to {self.grid.cell_x:g}"
            self.notes.append(f"'{self.name}': resampled from {sizes} ({self.resampling}).")

    def _way(self, wanted: str) -> str:
        used = self._regrid.method
        if wanted == "conservative" and used == "average":
            return "conservative, the mean by area"
        return (
            used if used == wanted else f"{used} in place of {wanted}, which would skip cells or has nothing to gather"
        )

    def _no_overlap(self) -> DataError:
        return DataError(
            f"'{self.name}' does not overlap the grid in space",
            expected=f"a source that covers (west, south, east, north) {_corners(self.grid)}",
            got=f"{_corners(self.source.full_grid)} in its own CRS",
            remedy="Check the CRS of the source and the extent of the grid, or choose a source of this area",
        )

    def _plan_time(self, clock: Clock) -> None:
        self.alignment = Alignment(self.source, clock)
        self._aggregation = self.config.aggregation or self.quantity.aggregation
        absent = np.flatnonzero(self.alignment.absent)
        if self.alignment.per_step > 1:
            own, step = format_step(self.source.step_seconds), format_step(clock.step_seconds)
            self.notes.append(
                f"'{self.name}': {self.alignment.per_step} steps of {own} make one of {step} ({self._aggregation})."
            )
        if self.alignment.offset_seconds:
            first = say_date(self.source.times[0])
            self.notes.append(f"'{self.name}': a date such as {first} is taken for the step that holds it.")
        if len(absent):
            first = say_date(clock.times[absent[0]])
            self.warnings.append(
                f"'{self.name}': {len(absent)} of {clock.steps} steps are missing or not complete, "
                f"the first is {first}."
            )

    def _see(self, block: np.ndarray, times: Optional[np.ndarray]) -> None:
        present = np.isfinite(block)
        self.ever |= present.any(axis=0)
        self._present += int(present.sum())
        if present.any():
            self._range[0] = min(self._range[0], float(block.min(initial=np.inf, where=present)))
            self._range[1] = max(self._range[1], float(block.max(initial=-np.inf, where=present)))
        slack = 1e-6 * max(1.0, self.quantity.maximum - self.quantity.minimum) if self.quantity.maximum < 1e6 else 0.0
        outside = present & ((block < self.quantity.minimum - slack) | (block > self.quantity.maximum + slack))
        if outside.any():
            self._outside += int(outside.sum())
            if times is not None and not self._first_outside:
                self._first_outside = say_date(times[int(np.argmax(outside.any(axis=(1, 2))))])

    def _judge(self, shape: tuple[int, ...]) -> None:
        where = "the period and area" if not self.source.static else "the area"
        if self._present == 0:
            raise DataError(
                f"'{self.name}' is missing everywhere",
                expected=f"values within {where} of the dataset",
                remedy="Check its missing value, its extent and the period",
            )
        if self._range[0] == self._range[1]:
            text = f"'{self.name}' has the same value, {self._range[0]:g}, everywhere"
            if not self.source.static:
                raise DataError(
                    text,
                    expected="a variable that changes",
                    remedy="Leave it out, or check the source and its missing value",
                )
            self.warnings.append(text + "; it tells a model nothing.")
        self._judge_range()

    def _judge_range(self) -> None:
        share = self._outside / self._present
        if not share:
            return
        low, high = self.quantity.minimum, self.quantity.maximum
        found = f"{self._range[0]:g} to {self._range[1]:g} {self.units}"
        if share > 0.5:
            raise DataError(
                f"'{self.name}': {share:.0%} of the values are not plausible for {self.quantity.label.lower()}",
                expected=f"{low:g} to {high:g} {self.units}",
                got=found
                + (
                    f", after conversion from {self.config.units or self.source.units}"
                    if self._scale != 1 or self._offset
                    else ""
                ),
                remedy="Check the unit of the source (mm given as m, K as degC?), its missing value and the quantity",
            )
        since = f", first on {self._first_outside}" if self._first_outside else ""
        self.warnings.append(
            f"'{self.name}': {share:.2%} of the values lie outside {low:g} to {high:g} {self.units} ({found}{since})."
        )


def _corners(grid: Grid) -> str:
    """West, south, east, north in words, without an exponent that would hide metres."""
    return ", ".join(f"{value:.10g}" for value in grid.extent)


def _label(name: str, quantity: str, label: str) -> str:
    """The catalogue's label, or the variable's own name where the catalogue only says that it is some map."""
    if quantity in ("class_map", "property"):
        return name.replace("_", " ").capitalize()
    return name if quantity == "other" else label
