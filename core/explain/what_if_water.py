"""What a what-if says in numbers: means, peaks and their dates, the water that was painted, and what of it the model
lets out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from ..contracts.errors import DataError
from ..contracts.units import convert
from ..contracts.variables import quantity
from ..inference.geotiff import iso
from .asking import Subject
from .changes import Added, variable_of

if TYPE_CHECKING:
    from .what_if import Response, Series

LET_OUT = ("runoff", "surface_runoff", "subsurface_runoff", "discharge")
_DAY = 86400.0


@dataclass(frozen=True)
class Water:
    """``area_m2`` of each cell (H, W), None where the CRS does not tell; of the painted rain the volumes (m3) in all
    and inside the basin, the mean (mm) over the basin and the number of cells; all 0 without a storm.
    """

    area_m2: Optional[np.ndarray]
    painted_m3: float = 0.0
    inside_m3: float = 0.0
    mean_mm: float = 0.0
    cells: int = 0
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, subject: Subject, storms: Sequence[Added]) -> Water:
        """Of painted rain as it was read onto the grid."""
        data, notes = subject.data, []
        area = _areas(subject)
        rain = np.zeros(data.mask.shape)
        for storm in storms:
            scale, _ = convert("mm", variable_of(subject.card, storm.variable).units, data.step_seconds)
            rain += storm.amount[0] / scale
        beyond = int(((rain != 0) & ~data.mask).sum())
        if beyond and storms:
            notes.append(f"{beyond} of {int((rain != 0).sum())} painted cells lie outside the basin.")
        if area is None:
            if storms:
                notes.append("The CRS of the dataset does not tell how large a cell is, so no volumes are given.")
            return cls(None, mean_mm=_mean(rain, data.mask), cells=int((rain != 0).sum()), notes=notes)
        volume = rain * area / 1000.0
        return cls(
            area, float(volume.sum()), float(volume[data.mask].sum()), _mean(rain, data.mask, area),
            int((rain != 0).sum()), notes,
        )  # fmt: skip

    def facts(self) -> Optional[dict[str, Any]]:
        """Plain JSON values; None without a storm."""
        if not self.cells:
            return None
        known = self.area_m2 is not None
        return {
            "cells": self.cells, "mean_mm": number(self.mean_mm),
            "volume_m3": number(self.painted_m3) if known else None,
            "volume_inside_m3": number(self.inside_m3) if known else None,
        }  # fmt: skip


def answer_of(
    subject: Subject, response: Response, series: Sequence[Series], water: Water, places: Optional[int] = 6
) -> dict[str, Any]:
    """Hydrographs and their numbers as plain JSON values, of the first ``places`` places (None: all)."""
    return {
        "dates": [iso(date) for date in response.dates],
        "painted": water.facts(),
        "places": [place_facts(subject, response, one, water) for one in series[:places]],
    }


def place_facts(subject: Subject, response: Response, one: Series, water: Water) -> dict[str, Any]:
    """One hydrograph: ``before``, ``after``, ``observed``, means, peaks with dates, volumes in m3 where they mean
    something, and the share of the painted water inside the basin that they hold.
    """
    change = one.after - one.before
    known = np.isfinite(change)
    dates = response.dates
    found: dict[str, Any] = {
        "place": one.place, "mean_before": number(one.before[known].mean()) if known.any() else None,
        "mean_change": number(change[known].mean()) if known.any() else None,
    }  # fmt: skip
    at = _peak(np.abs(change))
    found.update({"largest_change": None if at is None else number(change[at])})
    found.update({"largest_on": iso(dates[at or 0])})
    for name, values in (("before", one.before), ("after", one.after)):
        at = _peak(values)
        found[f"peak_{name}"] = None if at is None else number(values[at])
        found[f"peak_{name}_on"] = None if at is None else iso(dates[at])
    found.update(_volumes(subject, one, known, water))
    for name, values in (("before", one.before), ("after", one.after), ("observed", one.observed)):
        found[name] = [number(value) for value in values]
    return found


def _volumes(subject: Subject, one: Series, known: np.ndarray, water: Water) -> dict[str, Any]:
    m3 = _cubic_metres(subject, one, water)
    if m3 is None or not known.any():
        return {"volume_before_m3": None, "volume_change_m3": None, "share_of_painted": None}
    before, change = m3 * one.before[known].sum(), m3 * (one.after - one.before)[known].sum()
    lets_out = subject.card.target.quantity in LET_OUT and water.inside_m3 > 0
    whole = one.cells is None or _rates_of_flow(subject) or bool((one.cells[subject.data.mask] > 0).all())
    share = number(change / water.inside_m3) if lets_out and whole else None
    return {"volume_before_m3": number(before), "volume_change_m3": number(change), "share_of_painted": share}


def _cubic_metres(subject: Subject, one: Series, water: Water) -> Optional[float]:
    """m3 of one step with the value 1; None where the target is no water that flows through the place."""
    card = subject.card
    if _rates_of_flow(subject):
        single = one.cells is None or int((one.cells > 0).sum()) == 1
        return convert(card.target.units, "m3/s", card.step_seconds)[0] * card.step_seconds if single else None
    if quantity(card.target.quantity).kind != "flux" or one.cells is None or water.area_m2 is None:
        return None
    try:
        rate, _ = convert(card.target.units, "mm/d", card.step_seconds)
    except DataError:  # a flux of something else than water
        return None
    return rate * card.step_seconds / _DAY / 1000.0 * float(water.area_m2[one.cells > 0].sum())


def _rates_of_flow(subject: Subject) -> bool:
    """Whether the target is a volume a time, such as m3/s."""
    try:
        convert(subject.card.target.units, "m3/s", subject.card.step_seconds)
    except DataError:
        return False
    return True


def _areas(subject: Subject) -> Optional[np.ndarray]:
    from ..data.terrain.cells import cell_sizes

    grid = subject.data.grid
    try:
        rows = cell_sizes(grid).area_km2
    except DataError:
        return None
    return np.broadcast_to(1e6 * rows[:, None], grid.shape)


def _mean(rain: np.ndarray, mask: np.ndarray, area: Optional[np.ndarray] = None) -> float:
    weights = np.ones(rain.shape) if area is None else area
    return float((rain * weights)[mask].sum() / weights[mask].sum()) if mask.any() else 0.0


def _peak(values: np.ndarray) -> Optional[int]:
    return int(np.nanargmax(values)) if np.isfinite(values).any() else None


def number(value: float) -> Optional[float]:
    """Seven significant digits; None for what is not finite."""
    return float(f"{value:.7g}") if np.isfinite(value) else None
