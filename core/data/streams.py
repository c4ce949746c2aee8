"""One variable on its way into a dataset: unit, clock, grid, and the values of any block of it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Optional

import numpy as np

from ..contracts.dates import format_step
from ..contracts.errors import DataError
from ..contracts.grid import Grid
from ..contracts.variables import Quantity, quantity
from . import sentinels
from .clock import Alignment, Clock
from .conversion import Conversion
from .geometry import extent_in, shared_share
from .parts import Block
from .regrid import Regridder, Strip
from .sources import Source, Window, say_date, window_of
from .sources.base import whole
from .variable_info import VariableInfo

_SHOWN = 3
_SURVEY_STEPS, _SURVEY_CELLS, _SURVEY_SIDE = 6, 2**18, 128
_STRIPS_KEPT = 2


class Stream:
    """A source laid on grid and clock. ``notes`` and ``warnings`` are sentences for the person; ``conversion`` tells
    the unit, ``resampling`` the way onto the grid, ``aggregation`` the way onto the clock.

    Raises :class:`DataError` on construction where unit, place or grid do not fit, before a value is read. Values may
    be asked for from several threads at once.
    """

    variance = False
    marks: tuple[float, ...] = ()  # values of the source that stand for missing without being declared

    def __init__(self, source: Source, grid: Grid, clock: Optional[Clock]) -> None:
        self.source, self.config, self.grid, self.clock = source, source.config, grid, clock
        self.name = source.name
        self.quantity: Quantity = quantity(self.config.quantity)
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.conversion = Conversion(source, self.quantity)
        self.notes += self.conversion.notes
        self.resampling = "none"
        self._plan_place()
        self.alignment: Optional[Alignment] = None
        self.aggregation = ""
        if clock is not None:
            self._plan_time(clock)

    @property
    def static(self) -> bool:
        """Whether it is a static map."""
        return self.clock is None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Steps, rows and columns in the dataset."""
        return (1 if self.clock is None else self.clock.steps, *self.grid.shape)

    @property
    def info(self) -> VariableInfo:
        """How the variable is described in the dataset."""
        label = _label(self.name, self.config.quantity, self.quantity.label)
        return VariableInfo(
            self.name, self.config.role, self.config.quantity, self.conversion.units, label, static=self.static,
            resampling=self.resampling,
        )  # fmt: skip

    @property
    def judged(self) -> Quantity:
        """The quantity whose range its values are held against."""
        return self.quantity

    @property
    def lacking(self) -> np.ndarray:
        """Steps of the clock that the source's calendar does not have: bool (T,)."""
        return np.zeros(1, dtype=bool) if self.alignment is None else self.alignment.lacking

    def values(self, block: Block, read_bytes: int) -> np.ndarray:
        """A block on the grid and clock, in the dataset's unit: float32 (t, h, W), NaN missing. About ``read_bytes``
        of the source's maps are held at once.
        """
        raise NotImplementedError

    def survey(self) -> list[str]:
        """Look at a sample of the values for :attr:`marks`; sentences that tell of them."""
        return []

    def row_bytes(self, rows: int) -> int:
        """Bytes that the geometry of a strip of so many rows takes."""
        raise NotImplementedError

    def map_bytes(self, rows: int) -> int:
        """Bytes of the part of one of the source's maps that a strip of so many rows needs."""
        raise NotImplementedError

    def empty_steps(self, block: Block, values: np.ndarray) -> list[int]:
        """Steps of the block that have maps, but not a single value."""
        if self.alignment is None:
            return []
        empty = ~np.isfinite(values).any(axis=(1, 2)) & (self.alignment.first[block.start : block.stop] >= 0)
        return [int(step) + block.start for step in np.flatnonzero(empty)]

    def _plan_place(self) -> None:
        raise NotImplementedError

    def _plan_time(self, clock: Clock) -> None:
        source = self.source
        self.alignment = Alignment(source, clock)
        self.aggregation = self.config.aggregation or self.quantity.aggregation
        if self.aggregation == "sum" and self.quantity.kind == "flux" and self.alignment.most > 1:
            self.aggregation = "mean"
            self.notes.append(
                f"'{self.name}': amounts are summed over the step; kept as the rate in {self.conversion.units}."
            )
        if self.alignment.most > 1:
            count = str(self.alignment.per_step) if self.alignment.per_step else f"up to {self.alignment.most}"
            own, step = format_step(source.step_seconds), format_step(clock.step_seconds)
            self.notes.append(f"'{self.name}': {count} steps of {own} make one of {step} ({self.aggregation}).")
        if self.alignment.offset_seconds:
            first = say_date(source.times[0])
            self.notes.append(f"'{self.name}': a date such as {first} is taken for the step that holds it.")
        self._tell_absent(clock)

    def _tell_absent(self, clock: Clock) -> None:
        absent = np.flatnonzero(self.alignment.absent)
        if len(absent):
            are = "the first is" if len(absent) == 1 else "the first are"
            self.warnings.append(
                f"'{self.name}': {len(absent)} of {clock.steps} steps are missing or not complete, "
                f"{are} {say_dates(clock.times[absent])}."
            )
        lacking = np.flatnonzero(self.alignment.lacking)
        if len(lacking):
            self.notes.append(
                f"'{self.name}': its calendar ({self.source.calendar}) does not have {len(lacking)} of {clock.steps} "
                f"steps ({say_dates(clock.times[lacking])}); they are filled linearly in time and marked as filled."
            )


class MapStream(Stream):
    """A source of maps."""

    def values(self, block: Block, read_bytes: int) -> np.ndarray:
        """See :class:`Stream`."""
        out = np.full((block.stop - block.start, block.last - block.first, self.grid.columns), np.nan, dtype=np.float32)
        strip = self._strip(block.first, block.last)
        window = strip.window
        if window is None:
            return out
        if self.static:
            out[:] = self.conversion.after(strip(self._read(0, 1, window)))
            return out
        most = max(1, read_bytes // (4 * window.rows * window.columns))
        for first, stop in self.alignment.batches(block.start, block.stop, most):
            maps = self.alignment.gathered(
                first, stop, most, self.aggregation, lambda start, end: self._read(start, end, window)
            )
            out[first - block.start : stop - block.start] = self.conversion.after(strip(maps))
        return out

    def survey(self) -> list[str]:
        """See :class:`Stream`: some maps, whole or in nine places, as far as the grid needs them."""
        window = self._needed()
        count = len(self.source.times)
        steps = np.unique(np.linspace(0, count - 1, _SURVEY_STEPS).round().astype(int)) if count else [0]
        places = _spread(window)
        sample = [self._read(int(step), int(step) + 1, place).ravel() for step in steps for place in places]
        found = np.concatenate(sample)
        conversion = self.conversion
        scales = (1.0, 0.0) if conversion.scales is not None else (conversion.scale, conversion.offset)
        self.marks = sentinels.suspects(found, self.quantity, *scales)
        return [f"'{self.name}': {text[0].lower()}{text[1:]}" for text in sentinels.sentences(found, self.marks)]

    def row_bytes(self, rows: int) -> int:
        """See :class:`Stream`."""
        return int(rows * self.grid.columns * self.regrid.cell_bytes)

    def map_bytes(self, rows: int) -> int:
        """See :class:`Stream`: of the strip in the middle."""
        first = max(0, (self.grid.rows - rows) // 2)
        window = self.regrid.window(first, min(first + rows, self.grid.rows))
        return 0 if window is None else 4 * window.rows * window.columns

    def _needed(self) -> Window:
        """The part of the source that the grid needs, roughly."""
        try:
            return window_of(self.source.grid, extent_in(self.grid, self.source.grid.crs))
        except (ValueError, OverflowError):
            return whole(self.source.grid)

    def _read(self, start: int, stop: int, window: Window) -> np.ndarray:
        try:
            maps = self.source.read(start, stop, window)
        except DataError as error:
            raise self._dated(error, start, stop, window) from error
        return self.conversion.before(sentinels.replace(maps, self.marks), start)

    def _dated(self, error: DataError, start: int, stop: int, window: Window) -> DataError:
        """The error with the date of the map that cannot be read."""
        date = ""
        for number in range(start, stop if len(self.source.times) else start):
            try:
                self.source.read(number, number + 1, window)
            except DataError as found:
                error, date = found, f"; date {say_date(self.source.times[number])}"
                break
        problem = error.problem if f"'{self.name}'" in error.problem else f"'{self.name}': {error.problem}"
        return DataError(problem, expected=error.expected, got=error.got + date, remedy=error.remedy)

    def _strip(self, first: int, stop: int) -> Strip:
        with self._lock:
            strip = self._strips.pop((first, stop), None)
            if strip is None:
                while len(self._strips) >= _STRIPS_KEPT:
                    del self._strips[next(iter(self._strips))]
                strip = self.regrid.strip(first, stop)
            self._strips[first, stop] = strip
            return strip

    def _plan_place(self) -> None:
        self._lock, self._strips = threading.Lock(), {}
        source = self.source
        share = shared_share(source.grid, self.grid)
        if share <= 0:
            raise self._no_overlap()
        if share < 0.999:
            self.warnings.append(f"'{self.name}' covers {share:.0%} of the grid; the rest is missing.")
        wanted = self.config.resampling or self.quantity.resampling
        self.regrid = Regridder(source.grid, self.grid, wanted, 0.0 if source.static else 0.5)
        if self.regrid.same:
            return
        self.resampling = self._way(wanted)
        sizes = f"cells of {source.grid.cell_x:g} to {self.grid.cell_x:g}"
        self.notes.append(f"'{self.name}': resampled from {sizes} ({self.resampling}).")

    def _way(self, wanted: str) -> str:
        used = self.regrid.method
        if wanted == "conservative" and used == "average":
            return "conservative, the mean by area"
        return (
            used if used == wanted else f"{used} in place of {wanted}, which would skip cells or has nothing to gather"
        )

    def _no_overlap(self) -> DataError:
        return DataError(
            f"'{self.name}' does not overlap the grid in space",
            expected=f"a source that covers (west, south, east, north) {_corners(self.grid)}",
            got=f"{_corners(self.source.grid)} in its own CRS",
            remedy="Check the CRS of the source and the extent of the grid, or choose a source of this area",
        )


def _spread(window: Window) -> list[Window]:
    """The window itself, or nine small ones all over it where it is large."""
    if window.rows * window.columns <= _SURVEY_CELLS:
        return [window]
    rows, columns = (min(count, _SURVEY_SIDE) for count in (window.rows, window.columns))
    tops, lefts = (
        first + np.linspace(0, count - side, 3).astype(int)
        for first, count, side in ((window.row, window.rows, rows), (window.column, window.columns, columns))
    )
    return [Window(int(top), int(left), rows, columns) for top in np.unique(tops) for left in np.unique(lefts)]


def say_dates(times: Sequence[np.datetime64]) -> str:
    """The first three dates."""
    return ", ".join(say_date(time) for time in times[:_SHOWN]) + (", ..." if len(times) > _SHOWN else "")


def _corners(grid: Grid) -> str:
    """West, south, east, north in words, without an exponent that would hide metres."""
    return ", ".join(f"{value:.10g}" for value in grid.extent)


def _label(name: str, quantity: str, label: str) -> str:
    """The catalogue's label, or the variable's own name where the catalogue only says that it is some map."""
    if quantity in ("class_map", "property"):
        return name.replace("_", " ").capitalize()
    return name if quantity == "other" else label
