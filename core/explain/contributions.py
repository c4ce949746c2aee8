"""Contributions by variable: maps, totals, and the tables that are written beside the maps."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from ..contracts.model_card import SEASON_CHANNELS, ModelCard, VariableCard
from ..contracts.variables import quantity
from .explained import Attribution

_SHARE_IN_RANGE = 0.9  # of all that was contributed lies in cells that the colour range still tells apart


ALL_INPUTS = "all_inputs"


@dataclass(frozen=True)
class Contribution:
    """What one variable contributed: ``maps`` float64 in the target's unit, (T, H, W) oldest first, or (1, H, W) where
    steps are not told apart, as of a ``static`` map; H and W are 1 where cells are not. ``file_name`` is that of its
    raster. ``attributed`` is False where the baseline leaves the variable as it is; then all is 0. ``ahead`` marks an
    input that is known for the predicted steps. ``slopes``, like ``maps``, is the response to a scaled unit of the
    variable, of the methods that know it.
    """

    name: str
    label: str
    short: str
    maps: np.ndarray
    static: bool
    attributed: bool = True
    file_name: str = ""
    ahead: bool = False
    slopes: Optional[np.ndarray] = None

    @property
    def total(self) -> float:
        """Sum over all cells and steps."""
        return float(self.maps.sum())

    @property
    def by_step(self) -> list[float]:
        """Sum over all cells of each step, oldest first; empty where steps are not told apart."""
        return [] if self.static else [float(value) for value in self.maps.sum(axis=(1, 2))]

    @property
    def on_map(self) -> bool:
        """Whether cells are told apart."""
        return self.maps.shape[1:] != (1, 1)


def contributions_of(card: ModelCard, found: Attribution, attributed: set[str]) -> list[Contribution]:
    """One entry a dynamic input, one for the season's two channels together, one a static map, one an input known
    ahead, in the model's order; a single entry where variables are not told apart.
    """
    if found.heat is not None:
        words = "All inputs"
        return _told_apart([Contribution(ALL_INPUTS, words, words, found.heat, len(found.heat) == 1)])
    alike = len(found.x) == 1 and card.window > 1
    rows = []
    for channel, variable in enumerate(card.inputs):
        row = _entry(variable, found.x[:, channel], alike, attributed)
        rows.append(dataclasses.replace(row, slopes=_slopes(found, "x", channel)))
    if card.season:
        name = season_name(card)
        maps = found.x[:, len(card.inputs) : len(card.inputs) + len(SEASON_CHANNELS)].sum(axis=1)
        rows.append(Contribution(name, "Season", "Season", maps, alike, name in attributed))
    if found.static is not None:
        for variable, channels in card.static_slices():
            rows.append(_entry(variable, found.static[channels].sum(axis=0)[None], True, attributed))
    if found.ahead is not None:
        for channel, variable in enumerate(card.ahead):
            row = _entry(variable, found.ahead[:, channel], alike, attributed)
            name = ahead_name(card, variable.name)
            rows.append(
                dataclasses.replace(
                    row, name=name, label=f"{row.label}, known ahead", short=f"{row.short} ahead",
                    attributed=name in attributed, ahead=True,
                    slopes=_slopes(found, "ahead", channel),
                )
            )  # fmt: skip
    return _told_apart(rows)


def ahead_name(card: ModelCard, name: str) -> str:
    """The name of an input known ahead among the contributions."""
    taken = {variable.name for variable in (*card.inputs, *card.static)}
    return name if name not in taken else f"{name}_ahead"


def season_name(card: ModelCard) -> str:
    """ "season", unless a variable is called so."""
    taken = {variable.name for variable in (*card.inputs, *card.static)}
    return "season" if "season" not in taken else "season_of_year"


def residual_share(found: Attribution, rows: list[Contribution]) -> float:
    """|residual| over what was explained: the larger of |prediction - baseline| and the sum of |totals|.

    Totals that cancel leave a small difference; held against that alone, a good answer would look bad.
    """
    explained = max(abs(found.prediction - found.baseline_prediction), sum(abs(row.total) for row in rows))
    return abs(found.residual) / explained if explained > 0 else 0.0


def range_limit(rows: list[Contribution]) -> float:
    """Limit of the one symmetric colour range: cells above it hold a tenth of all that was contributed.

    A plain percentile would be ruled by the many cells far away that contribute next to nothing.
    """
    sizes = np.sort(np.concatenate([np.zeros(0), *(np.abs(row.maps).ravel() for row in rows if row.attributed)]))
    total = np.cumsum(sizes)
    if not sizes.size or not total[-1] > 0:
        return 1e-6
    return float(f"{sizes[np.searchsorted(total, _SHARE_IN_RANGE * total[-1])]:.2e}")


@dataclass(frozen=True)
class Clock:
    """Steps back from the predicted date, and their dates: of the window, oldest first, and of what is known ahead."""

    steps_back: list[int]
    dates: list[str]
    ahead_back: list[int]
    ahead_dates: list[str]

    def of(self, row: Contribution) -> tuple[list[int], list[str]]:
        """Steps back and dates of a contribution; a step after the predicted date has a negative one."""
        return (self.ahead_back, self.ahead_dates) if row.ahead else (self.steps_back, self.dates)


def table(rows: list[Contribution], clock: Clock, spread: Any = None) -> str:
    """CSV text: variable, step_back, date, contribution; without step and date where steps are not told apart. With a
    ``spread`` of several models that of each contribution stands beside it.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["variable", "step_back", "date", "contribution", *([] if spread is None else ["spread"])])
    for row in rows:
        if row.static:
            writer.writerow([row.name, "", "", repr(row.total), *_told(spread and spread.totals[row.name])])
        apart = [None] * len(row.by_step) if spread is None else spread.by_step.get(row.name, [])
        for back, date, value, away in zip(*clock.of(row), row.by_step, apart):
            writer.writerow([row.name, back, date, repr(value), *_told(away)])
    return text.getvalue()


def _told(value: Optional[float]) -> list[str]:
    return [] if value is None else [repr(value)]


def summary(rows: list[Contribution], found: Attribution) -> dict[str, Any]:
    """The numbers of the answer as plain JSON values."""
    return {
        "variables": {row.name: row.total for row in rows},
        "by_step_back": {row.name: row.by_step for row in rows if not row.static},
        "labels": {row.name: row.label for row in rows},
        "baseline_prediction": found.baseline_prediction,
        "prediction": found.prediction,
        "residual": found.residual,
        "residual_share": residual_share(found, rows),
    }


def _entry(variable: VariableCard, maps: np.ndarray, static: bool, attributed: set[str]) -> Contribution:
    known = quantity(variable.quantity)
    label = variable.label or (known.label if known.name != "other" else variable.name)
    short = known.abbreviation if len(label) > 18 and known.name != "other" else label
    return Contribution(variable.name, label, short, maps, static, variable.name in attributed)


def _slopes(found: Attribution, part: str, channel: int) -> Optional[np.ndarray]:
    return found.slopes[part][:, channel] if part in found.slopes else None


def _told_apart(rows: list[Contribution]) -> list[Contribution]:
    """Labels that occur twice get the variable's name behind them; file names hold plain characters and differ."""
    told: list[Contribution] = []
    for number, row in enumerate(rows):
        plain = re.sub(r"[^A-Za-z0-9_-]+", "_", row.name)
        taken = {entry.file_name.lower() for entry in told}
        name = f"attribution_{plain}.tif"
        told.append(
            dataclasses.replace(
                row,
                label=f"{row.label} ({row.name})" if sum(r.label == row.label for r in rows) > 1 else row.label,
                short=row.name if sum(r.short == row.short for r in rows) > 1 else row.short,
                file_name=name if name.lower() not in taken else f"attribution_{plain}_{number}.tif",
            )
        )
    return told
