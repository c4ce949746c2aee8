"""Contribution by lag: how many steps back counts most, over the whole map and for each cell."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from ..contracts.dates import format_step
from ..contracts.model_card import ModelCard
from .baselines import PRECIPITATION
from .contributions import Clock, Contribution, ahead_name

_LEAST = 1e-3  # of the largest contribution of a cell; what is below has no delay worth the name


@dataclass(frozen=True)
class Lags:
    """Sums over all cells by steps back, the fewest first. ``signed`` and ``sizes`` (rows, lags): contributions and
    their sizes; ``names`` those of the rows.
    """

    lags: np.ndarray
    names: list[str]
    signed: np.ndarray
    sizes: np.ndarray

    @property
    def by_lag(self) -> np.ndarray:
        """Sizes of all variables together."""
        return self.sizes.sum(axis=0)

    @property
    def most(self) -> int:
        """The delay that carries the most."""
        return int(self.lags[np.argmax(self.by_lag)])

    @property
    def centre(self) -> Optional[float]:
        """The mean delay, weighted by the sizes of contributions."""
        return _centre(self.lags, self.by_lag)

    @property
    def cumulative(self) -> np.ndarray:
        """Share of all sizes within so many steps back."""
        total = self.by_lag.sum()
        return np.cumsum(self.by_lag) / total if total > 0 else np.zeros(len(self.lags))

    def facts(self) -> dict[str, Any]:
        """Plain JSON values."""
        centres = {name: _centre(self.lags, row) for name, row in zip(self.names, self.sizes)}
        return {"most": self.most, "centre": self.centre, "centre_by_variable": centres}


def lags_of(rows: Sequence[Contribution], clock: Clock) -> Optional[Lags]:
    """None where steps are not told apart."""
    timed = [row for row in rows if row.attributed and not row.static]
    if not timed:
        return None
    lags = np.array(sorted({back for row in timed for back in clock.of(row)[0]}))
    place = {lag: number for number, lag in enumerate(lags.tolist())}
    signed, sizes = np.zeros((len(timed), len(lags))), np.zeros((len(timed), len(lags)))
    for number, row in enumerate(timed):
        columns = [place[back] for back in clock.of(row)[0]]
        signed[number, columns] += row.maps.sum(axis=(1, 2))
        sizes[number, columns] += np.abs(row.maps).sum(axis=(1, 2))
    return Lags(lags, [row.name for row in timed], signed, sizes)


def lag_table(found: Lags) -> str:
    """CSV text: steps back, contribution and its size of each variable, size of all, cumulative share."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step_back", *found.names, *(f"{name}_size" for name in found.names), "size", "cumulative_share"])
    for number, lag in enumerate(found.lags.tolist()):
        values = [*found.signed[:, number], *found.sizes[:, number], found.by_lag[number], found.cumulative[number]]
        writer.writerow([lag, *(repr(float(value)) for value in values)])
    return text.getvalue()


@dataclass(frozen=True)
class Delays:
    """Steps back for each cell, (H, W), NaN in cells that count less than a thousandth of the one that counts most:
    ``middle``, within which half of the response has come, and ``peak``, the step with the largest, moved between steps
    by the centre of it and the one on either side. ``labels`` name the variables that they are of. ``responses`` says
    that they are of responses to a unit of input; else of sizes of contributions, in which the weather has its part.
    """

    middle: np.ndarray
    peak: np.ndarray
    labels: list[str]
    responses: bool


def delays(rows: Sequence[Contribution], clock: Clock, card: ModelCard) -> Optional[Delays]:
    """None where steps or cells are not told apart. Of precipitation alone where that contributed, since the heat of a
    day is no water on its way.

    A contribution is input times response: its steps are those on which it rained. Where the method knows responses,
    the delay is theirs, of those in the direction of the cell's sum.
    """
    timed = [row for row in rows if row.attributed and not row.static and row.on_map]
    wet = {variable.name for variable in (*card.inputs, *card.ahead) if variable.quantity == PRECIPITATION}
    wet |= {ahead_name(card, name) for name in wet}
    timed = [row for row in timed if row.name in wet and np.any(row.maps)] or timed
    if not timed:
        return None
    responses = all(row.slopes is not None for row in timed)
    lags = np.array(sorted({back for row in timed for back in clock.of(row)[0]}))
    sizes = np.zeros((len(lags), *timed[0].maps.shape[1:]))
    for row in timed:
        steps = np.searchsorted(lags, clock.of(row)[0])
        sizes[steps] += row.slopes if responses else np.abs(row.maps)
    sizes = np.maximum(sizes * np.sign(sizes.sum(axis=0)), 0.0)
    weight = sizes.sum(axis=0)
    enough = (weight > _LEAST * weight.max()) & (weight > 0)
    around = np.abs(np.arange(len(sizes))[:, None, None] - sizes.argmax(axis=0)) <= 1
    peak = _centres(lags, np.where(around, sizes, 0.0))
    middle, peak = (np.where(enough, found, np.nan) for found in (_middles(lags, sizes), peak))
    return Delays(middle, peak, [row.label for row in timed], responses)


def _centres(lags: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    total = sizes.sum(axis=0)
    moment = np.tensordot(lags.astype(np.float64), sizes, axes=1)
    return np.divide(moment, total, out=np.full(total.shape, np.nan), where=total > 0)


def _middles(lags: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The weighted median; what comes at a step is spread evenly over half a step to either side."""
    total = sizes.sum(axis=0)
    share = np.divide(np.cumsum(sizes, axis=0), total, out=np.zeros(sizes.shape), where=total > 0)
    at = (share >= 0.5).argmax(axis=0)
    upper = np.take_along_axis(share, at[None], axis=0)[0]
    lower = np.where(at > 0, np.take_along_axis(share, np.maximum(at - 1, 0)[None], axis=0)[0], 0.0)
    within = np.divide(0.5 - lower, upper - lower, out=np.full(total.shape, 0.5), where=upper > lower)
    return lags[at] - 0.5 + within


def step_unit(step_seconds: float) -> str:
    """What a number of steps is counted in."""
    step = format_step(step_seconds)
    return {"1 day": "days", "1 hour": "hours", "1 month": "months"}.get(step, f"steps of {step}")


def _centre(lags: np.ndarray, sizes: np.ndarray) -> Optional[float]:
    total = float(sizes.sum())
    return float(lags @ sizes) / total if total > 0 else None
