"""The unit of a source, and how its values become those of the dataset."""

from __future__ import annotations

from typing import Optional

import numpy as np

from ..contracts import units
from ..contracts.dataset_job import SourceConfig
from ..contracts.errors import DataError
from ..contracts.steps import months_of
from ..contracts.variables import Quantity
from .sources import Source
from .timeline import lengths

_OWN_UNITS = ("other", "property")


class Conversion:
    """``units`` of the dataset, ``given`` by the source or the job; ``value * scale + offset`` converts. Where an
    amount was gathered over months of different lengths each map has a scale of its own (``scales`` (N,), else None).

    Raises :class:`DataError` that names the variable where the units do not fit.
    """

    def __init__(self, source: Source, quantity: Quantity) -> None:
        config = source.config
        self.given = config.units or source.units
        self.scale, self.offset = 1.0, 0.0
        self.scales: Optional[np.ndarray] = None
        self.notes: list[str] = []
        if config.quantity in _OWN_UNITS or quantity.kind == "class":
            self.units = units.normalise(self.given) if quantity.kind != "class" else "-"
            return
        self.units = quantity.units
        if not units.is_declared(self.given):
            self.notes.append(f"'{source.name}': the source names no unit; its values are taken as {self.units}.")
            return
        try:
            self._plan(source, config)
        except DataError as error:
            raise DataError(
                f"'{source.name}': {error.problem}", expected=error.expected, got=error.got, remedy=error.remedy
            ) from error
        if self.changes:
            self.notes.append(f"'{source.name}': converted from {self.given} to {self.units}{self._how(config)}.")

    @property
    def changes(self) -> bool:
        """Whether values change at all."""
        return self.scales is not None or (self.scale, self.offset) != (1.0, 0.0)

    def before(self, maps: np.ndarray, start: int) -> np.ndarray:
        """Maps from number ``start`` of the source, converted where each has a scale of its own; changed in place."""
        if self.scales is not None:
            for single, scale in zip(maps, self.scales[start : start + len(maps)]):
                single *= np.float32(scale)
        return maps

    def after(self, maps: np.ndarray) -> np.ndarray:
        """Maps (t, ...) float32 converted in place where one scale holds for all."""
        if self.scales is None and (self.scale, self.offset) != (1.0, 0.0):
            for single in maps:
                single[...] = single.astype(np.float64) * self.scale + self.offset
        return maps

    def _plan(self, source: Source, config: SourceConfig) -> None:
        step, area = source.step_seconds or 86400.0, config.area_km2
        if months_of(step) and units.needs_step(self.given, self.units, area):
            seconds, which = np.unique(lengths(source.times, step), return_inverse=True)
            found = [units.convert(self.given, self.units, float(length), area)[0] for length in seconds]
            self.scales = np.array(found)[which]
            return
        self.scale, self.offset = units.convert(self.given, self.units, step, area)

    def _how(self, config: SourceConfig) -> str:
        if self.scales is not None:
            return " with the length of each month"
        area = config.area_km2
        if area and _area_counts(self.given, self.units):
            return f" over {area:g} km2"
        return ""


def _area_counts(given: str, wanted: str) -> bool:
    try:
        units.convert(given, wanted)
    except DataError:
        return True
    return False
