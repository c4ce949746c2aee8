"""How results are shown: one range for all dates, the ramp of the quantity, titles with units, the sign of a delta in
words.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ..contracts.events import Artifact, Event, EventKind
from ..contracts.run_folder import RunFolder
from ..contracts.variables import Quantity

DELTA_RAMP = "RdBu"
SCORE_STYLES = {  # name: (title, ramp, fixed range or None, how to read it)
    "nse": (
        "NSE",
        "BrBG",
        (-1.0, 1.0),
        "1 is perfect; 0, near white, is no better than the mean of the cell's observations; below -1 as -1",
    ),
    "rmse": ("RMSE", "YlOrRd", None, "in the unit of the target; smaller is better; from 0 to the 98th percentile"),
    "kge": (
        "KGE (2009)",
        "Viridis",
        (0.0, 1.0),
        "1 is perfect; below 0 as 0; the mean of the observations alone would reach -0.41",
    ),
}
_SAMPLE = 2_000_000
_WET = ("precipitation", "runoff", "inwater", "recharge", "soil_moisture", "soil_water", "snow", "groundwater_storage")


class RangeSampler:
    """Percentiles of a stream of maps from an even sample of at most some two million values."""

    def __init__(self, values_in_all: int) -> None:
        self._stride = max(1, values_in_all // _SAMPLE)
        self._offset = 0
        self._parts: list[np.ndarray] = []

    def add(self, maps: np.ndarray) -> None:
        """Take values of maps of any shape; NaN are left out."""
        flat = np.asarray(maps).reshape(-1)[self._offset :: self._stride]
        self._offset = (self._offset + 1) % self._stride
        self._parts.append(flat[np.isfinite(flat)])

    def percentiles(self, *shares: float) -> list[float]:
        """Percentiles (0 to 100); NaN where there is no value."""
        values = np.concatenate(self._parts) if self._parts else np.zeros(0)
        return [float(v) for v in np.percentile(values, shares)] if values.size else [math.nan] * len(shares)


def sequential_range(sampler: RangeSampler) -> tuple[float, float]:
    """1st to 99th percentile; from 0 where the values start near it. Never empty."""
    low, high = sampler.percentiles(1.0, 99.0)
    if not math.isfinite(low):
        return 0.0, 1.0
    if 0.0 <= low < 0.15 * high:
        low = 0.0
    if high - low <= 1e-6 * max(1.0, abs(high)):
        return low - 0.5, high + 0.5
    return rounded(low), rounded(high)


def symmetric_limit(sampler: RangeSampler) -> float:
    """98th percentile of what was sampled (|delta|), at least a hair above 0."""
    (limit,) = sampler.percentiles(98.0)
    return rounded(limit) if math.isfinite(limit) and limit > 0 else 1e-6


def rounded(value: float, digits: int = 3) -> float:
    """``value`` to so many significant digits, as a legend shows it."""
    return float(f"{value:.{digits - 1}e}")


def display_units(units: str) -> str:
    """The unit as it stands in brackets."""
    return units or "-"


def lead_words(lead_steps: int, several: bool) -> str:
    """ ", 2 steps ahead" where a model gives several leads, else nothing; one below 0 is a step of the window."""
    word = "step" if abs(lead_steps) == 1 else "steps"
    where = f"{-lead_steps} {word} before the end of the window" if lead_steps < 0 else f"{lead_steps} {word} ahead"
    return f", {where}" if several else ""


def sign_words(quantity: Quantity) -> tuple[str, str]:
    """Words for a negative and a positive delta."""
    return ("too dry", "too wet") if quantity.name in _WET else ("too low", "too high")


def delta_note(quantity: Quantity) -> str:
    """The sign of a delta, as a sentence."""
    low, high = sign_words(quantity)
    return f"Positive (blue): predicted too much, {high}. Negative (red): predicted too little, {low}."


def relative(run: RunFolder, path: Path) -> str:
    """Path below the run folder, with forward slashes."""
    return path.relative_to(run.path).as_posix()


def artifact_event(artifact: Artifact) -> Event:
    """The event that tells of a finished file."""
    return Event(EventKind.ARTIFACT, artifact.to_dict())


def message(text: str, level: str = "info") -> Event:
    """A sentence for the log of the run; level is info or warning."""
    return Event(EventKind.MESSAGE, {"level": level, "text": text})


def progress(fraction: float, text: str) -> Event:
    """How far a run is."""
    return Event(EventKind.PROGRESS, {"fraction": min(1.0, max(0.0, fraction)), "text": text})


def score_range(name: str, values: np.ndarray) -> tuple[float, float]:
    """The fixed range of a score map; that of RMSE ends at its 98th percentile."""
    fixed = SCORE_STYLES[name][2]
    if fixed is not None:
        return fixed
    sampler = RangeSampler(values.size)
    sampler.add(values)
    return 0.0, symmetric_limit(sampler)


def file_name(stem: str, lead_steps: int, first_lead: int, suffix: str = ".tif") -> str:
    """``predicted.tif`` for the first lead, ``predicted_lead2.tif`` for a later one."""
    return f"{stem}{suffix}" if lead_steps == first_lead else f"{stem}_lead{lead_steps}{suffix}"
