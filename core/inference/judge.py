"""Judging predictions as they stream by: the observed target, the two baselines, scores, and what the report draws.

Symbols: n dates, H rows, W columns. Values are in the target's unit, NaN is missing or outside the mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from ..contracts.dates import format_step
from ..contracts.errors import DataError
from ..contracts.model_card import ModelCard
from ..contracts.training_job import PeriodConfig
from ..data.splits import period_steps
from ..data.store import Dataset
from ..data.timeline import index_of
from ..data.windows import target_values
from ..metrics.baselines import (
    Climatology,
    Interpolation,
    Persistence,
    climatology,
    clock,
    persistence_distance,
)
from ..metrics.scores import Scores, plain, skill
from .geotiff import iso
from .selection import periods_of
from .training_mean import MeanOfTraining

MAP_SCORES = ("nse", "rmse", "kge")
NOTE = (
    "Pooled scores hold the variance between cells; read them beside the median per cell. NSE = 1 - SSE/SST. "
    "KGE as Gupta et al. 2009; kge_2012 as Kling et al. 2012. Persistence and climatology know the observed target; "
    "skill is 1 - MSE / MSE of the baseline."
)


@dataclass(frozen=True)
class Reference:
    """The observed target (T, *frame) of a dataset, NaN outside the mask, and its baselines; gauges stand side by side
    in a frame of one row.
    """

    observed: np.ndarray
    times: np.ndarray
    positions: np.ndarray
    step_seconds: float
    persistence: Persistence
    climatology: Climatology
    interpolation: Optional[Interpolation] = None

    @classmethod
    def of(
        cls, dataset: Dataset, card: ModelCard, judged: np.ndarray, known: Optional[MeanOfTraining] = None
    ) -> Reference:
        """``judged`` (m,): the dates to be judged, from which no climatology is taken if it can be helped. ``known``
        gives the mean of the sequences that the model was trained on, for a sequence that holds no training steps.
        """
        if card.target.name not in dataset.variables:
            raise DataError(
                f"The dataset '{dataset.name}' does not hold the observed target '{card.target.name}'",
                expected=f"{card.target.name} ({card.target.units})",
                got=", ".join(dataset.variables),
                remedy="Prepare a dataset that holds it, or predict without judging",
            )
        observed = target_values(dataset, card, card.target)
        periods = periods_of(card, dataset)
        apart = dataset.sequence and "train" not in periods and not card.gauges
        mean = known.on(dataset.grid) if known is not None and apart else None
        if mean is None:
            steps, words = climatology_steps(dataset.times, periods, judged)
            mean = climatology(observed, dataset.times, steps, words=words, step_seconds=dataset.step_seconds)
        positions = clock(dataset.times, dataset.step_seconds)
        return cls(
            observed,
            dataset.times,
            positions,
            dataset.step_seconds,
            Persistence(observed, positions),
            mean,
            Interpolation(observed, positions) if card.hidden_share else None,
        )

    def at(self, dates: np.ndarray) -> np.ndarray:
        """Observed maps (n, H, W) of ``dates``; NaN where the record has no such step."""
        index = np.minimum(np.searchsorted(self.times, dates), len(self.times) - 1)
        maps = self.observed[index]
        maps[self.times[index] != dates] = np.nan
        return maps

    def holds_any(self, dates: np.ndarray) -> bool:
        """Whether any of ``dates`` has an observed value."""
        return any(np.isfinite(self.observed[step]).any() for step in np.flatnonzero(np.isin(self.times, dates)))

    def position(self, dates: np.ndarray) -> np.ndarray:
        """Clock positions of ``dates``, also past the end of the record."""
        return index_of(dates, self.times[0], self.step_seconds)


def climatology_steps(
    times: np.ndarray, periods: Mapping[str, Any], judged: np.ndarray
) -> tuple[np.ndarray, str]:  # fmt: skip
    """bool (T,): the steps that a climatology is taken from, and words for them. ``periods`` of the model's card.

    Training and validation period, since the model was chosen by both; the judged dates are left out. Another basin may
    hold neither: then all dates that are not judged, and if there are none the judged ones.
    """
    outside = ~np.isin(times, judged)
    known = np.zeros(len(times), dtype=bool)
    for name in ("train", "validation"):
        if name in periods:
            known |= period_steps(times, PeriodConfig(*periods[name]))
    if (known & outside).any():
        return known & outside, "training and validation period"
    if outside.any():
        return outside, "record outside the judged period, as it holds none of the training period"
    return ~outside, "judged period itself, as there is no other, which flatters it"


class Judge:
    """Scores of one lead beside persistence and climatology, and beside interpolation in time where gaps are filled;
    streaming.

    ``lead_steps``: 0 predicts the last input step. ``cell`` (row, column) is the one whose series is kept. With
    ``keep`` all predictions are kept, in ``kept``, for the few values of gauges.
    """

    def __init__(self, reference: Reference, lead_steps: int, cell: tuple[int, int], keep: bool = False) -> None:
        shape = reference.observed.shape[1:]
        self.reference, self.lead_steps, self.cell = reference, lead_steps, cell
        self.distance_steps = persistence_distance(lead_steps)
        self.model, self.persistence, self.climatology = Scores(shape), Scores(shape), Scores(shape)
        self.interpolation = None if reference.interpolation is None else Scores(shape)
        self.dates: list[np.datetime64] = []
        self.keep, self.kept = keep, list[np.ndarray]()
        self.daily: dict[str, list[float]] = {
            n: [] for n in ("rmse", "share", "observed", "predicted", "observed_cell", "predicted_cell")
        }

    def add(self, dates: np.ndarray, predicted: np.ndarray, where: Optional[np.ndarray] = None) -> np.ndarray:
        """Judge maps (n, H, W) of ``dates`` (n,); gives the observed ones (n, H, W). With ``where`` (n, H, W) they
        count there alone, and are NaN elsewhere.
        """
        observed = self.reference.at(dates)
        if where is not None:
            observed[~where] = np.nan
        if self.interpolation is not None:
            between = self.reference.interpolation.at(self.reference.position(dates))
            self.interpolation.accumulate(between, observed)
        self.model.accumulate(predicted, observed)
        persisted = self.reference.persistence.at(self.reference.position(dates), self.distance_steps)
        self.persistence.accumulate(persisted, observed)
        self.climatology.accumulate(self.reference.climatology.at(dates), observed)
        self.dates += list(dates)
        if self.keep:
            self.kept.append(predicted)
        for map_p, map_o in zip(predicted, observed):
            self._note(map_p, map_o)
        return observed

    def to_dict(self) -> dict[str, Any]:
        """Plain values for ``scores.json``."""
        model, persisted, mean = (s.compute()["rmse"] ** 2 for s in (self.model, self.persistence, self.climatology))
        distance = format_step(self.reference.step_seconds * self.distance_steps)
        skills = {"against_persistence": skill(model, persisted), "against_climatology": skill(model, mean)}
        more = {}
        if self.interpolation is not None:
            note = "linear in time between the value before and the one after"
            more["interpolation"] = {**self.interpolation.to_dict(), "note": note}
            skills["against_interpolation"] = skill(model, self.interpolation.compute()["rmse"] ** 2)
        return {
            "lead_steps": self.lead_steps,
            "model": self.model.to_dict(),
            "persistence": {
                **self.persistence.to_dict(),
                "distance_steps": self.distance_steps,
                "note": f"last observed value, at least {distance} old",
            },
            "climatology": {**self.climatology.to_dict(), "note": self.reference.climatology.note},
            **more,
            "skill": plain(skills),
        }

    def typical_date(self) -> Optional[int]:
        """Index of the date with the median RMSE among those observed on half as many cells as the best or more."""
        share, rmse = np.array(self.daily["share"]), np.array(self.daily["rmse"])
        good = np.flatnonzero((share > 0) & (share >= 0.5 * share.max(initial=0)))
        if len(good) == 0:
            return None
        return int(good[np.argsort(rmse[good], kind="stable")[len(good) // 2]])

    def _note(self, predicted: np.ndarray, observed: np.ndarray) -> None:
        both = np.isfinite(predicted) & np.isfinite(observed)
        error = predicted[both].astype(np.float64) - observed[both]
        self.daily["share"].append(float(both.mean()))
        self.daily["rmse"].append(float(np.sqrt(np.mean(error**2))) if error.size else np.nan)
        shown = both if both.any() else np.isfinite(predicted)
        self.daily["predicted"].append(float(predicted[shown].mean(dtype=np.float64)) if shown.any() else np.nan)
        self.daily["observed"].append(float(observed[both].mean(dtype=np.float64)) if both.any() else np.nan)
        self.daily["predicted_cell"].append(float(predicted[self.cell]))
        self.daily["observed_cell"].append(float(observed[self.cell]))


def scores_document(judges: list[Judge], card: ModelCard, dataset: Dataset) -> dict[str, Any]:
    """What ``scores.json`` holds: target, period, inputs of the model, the scores of the first lead, and of every lead
    by itself.
    """
    dates = np.array(sorted({date for judge in judges for date in judge.dates}), dtype="datetime64[s]")
    return {
        "target": {"name": card.target.name, "label": card.target.label, "units": card.target.units},
        "dataset": dataset.name,
        "model_title": card.title,
        "period": {"start": iso(dates[0]), "end": iso(dates[-1])},
        "steps": len(judges[0].dates),
        "step_seconds": dataset.step_seconds,
        "gauges" if card.gauges else "cells": len(card.gauges) or int(dataset.mask.sum()),
        "inputs": describe_inputs(card),
        "note": NOTE,
        **judges[0].to_dict(),
        "by_lead": [judge.to_dict() for judge in judges],
    }


def describe_inputs(card: ModelCard) -> str:
    """Which inputs a model had, as a sentence."""
    names = [v.label or v.name for v in card.inputs]
    text = f"{', '.join(names)} of the last {format_step(card.window * card.step_seconds)}"
    if card.warm_up:
        text += f" ({format_step(card.warm_up * card.step_seconds)} of them warm-up)"
    if card.static:
        text += f"; static maps: {', '.join(v.label or v.name for v in card.static)}"
    if card.ahead:
        text += f"; known ahead: {', '.join(v.label or v.name for v in card.ahead)}"
    if card.season:
        text += "; the day of the year"
    knows = any(v.name == card.target.name for v in card.inputs)
    if card.hidden_share:
        return text + "; observed values of the target but those hidden from it, by which alone it is judged"
    return text + ("; past observed values of the target" if knows else "; no past value of the target")


def central_cell(mask: np.ndarray, observed: Optional[np.ndarray] = None) -> tuple[int, int]:
    """(row, column) of the cell of the basin nearest to its middle; with ``observed`` (T, H, W) among those seen at
    least half as often as the best.
    """
    candidates = mask
    if observed is not None:
        count = np.isfinite(observed).sum(axis=0) * mask
        candidates = (count > 0) & (count >= 0.5 * count.max())
    if not candidates.any():
        candidates = np.ones_like(mask)
    rows, columns = np.nonzero(candidates)
    middle = np.nonzero(mask) if mask.any() else (rows, columns)
    nearest = np.argmin((rows - middle[0].mean()) ** 2 + (columns - middle[1].mean()) ** 2)
    return int(rows[nearest]), int(columns[nearest])
