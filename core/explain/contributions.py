"""Contributions by variable: maps, totals, and the tables that are written beside the maps."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..contracts.model_card import SEASON_CHANNELS, ModelCard, VariableCard
from ..contracts.variables import quantity
from .integrated_gradients import Attribution

_SHARE_IN_RANGE = 0.9  # of all that was contributed lies in cells that the colour range still tells apart


@dataclass(frozen=True)
class Contribution:
    """What one variable contributed: ``maps`` float64 in the target's unit, (T, H, W) oldest first, or (1, H, W) where
    ``static``. ``file_name`` is that of its raster. ``attributed`` is False where the baseline leaves the variable as
    it is; then all is 0.
    """

    name: str
    label: str
    short: str
    maps: np.ndarray
    static: bool
    attributed: bool = True
    file_name: str = ""

    @property
    def total(self) -> float:
        """Sum over all cells and steps."""
        return float(self.maps.sum())

    @property
    def by_step(self) -> list[float]:
        """Sum over all cells of each step, oldest first; empty for a static map."""
        return [] if self.static else [float(value) for value in self.maps.sum(axis=(1, 2))]


def contributions_of(card: ModelCard, found: Attribution, attributed: set[str]) -> list[Contribution]:
    """One entry a dynamic input, one for the season's two channels together, one a static map, in the model's order."""
    rows = []
    for channel, variable in enumerate(card.inputs):
        rows.append(_entry(variable, found.x[:, channel], False, attributed))
    if card.season:
        name = season_name(card)
        maps = found.x[:, len(card.inputs) : len(card.inputs) + len(SEASON_CHANNELS)].sum(axis=1)
        rows.append(Contribution(name, "Season", "Season", maps, False, name in attributed))
    if found.static is not None:
        for variable, channels in card.static_slices():
            rows.append(_entry(variable, found.static[channels].sum(axis=0)[None], True, attributed))
    return _told_apart(rows)


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
    sizes = np.sort(np.concatenate([np.abs(row.maps).ravel() for row in rows if row.attributed]))
    total = np.cumsum(sizes)
    if not sizes.size or not total[-1] > 0:
        return 1e-6
    return float(f"{sizes[np.searchsorted(total, _SHARE_IN_RANGE * total[-1])]:.2e}")


def table(rows: list[Contribution], dates: list[str], steps_back: list[int]) -> str:
    """CSV text: variable, step_back, date, contribution; a static map has neither step nor date."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["variable", "step_back", "date", "contribution"])
    for row in rows:
        if row.static:
            writer.writerow([row.name, "", "", repr(row.total)])
        for back, date, value in zip(steps_back, dates, row.by_step):
            writer.writerow([row.name, back, date, repr(value)])
    return text.getvalue()


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
