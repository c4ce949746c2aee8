"""Judging predictions as they stream by: the observed target, the two baselines, scores, and what the report draws.

Symbols: n dates, H rows, W columns. Values are in the target's unit, NaN is missing or outside the mask.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

import numpy as np

from ..contracts.dates import format_step
from ..contracts.model_card import ModelCard
from ..data.store import Dataset
from ..metrics.baselines import persistence_distance
from ..metrics.scores import Scores, plain, skill
from .geotiff import iso
from .reference import Reference, climatology_steps

__all__ = [
    "MAP_SCORES", "NOTE", "Judge", "Reference", "central_cell", "climatology_steps", "describe_inputs",
    "scores_document",
]  # fmt: skip

MAP_SCORES = ("nse", "rmse", "kge")
NOTE = (
    "Pooled scores hold the variance between cells; read them beside the median per cell. NSE = 1 - SSE/SST. "
    "KGE as Gupta et al. 2009; kge_2012 as Kling et al. 2012. Persistence and climatology know the observed target; "
    "skill is 1 - MSE / MSE of the baseline."
)


_SUMS = ("both", "square", "predicted", "observed", "given", "of_given")


class Judge:
    """Scores of one lead beside persistence and climatology, and beside interpolation in time where gaps are filled;
    streaming.

    ``reference`` : None where it is judged part by part (:meth:`part`, :meth:`take`); then ``shape`` is that of the
    frame, and with a ``folder`` the scores of each cell lie there. ``lead_steps``: 0 predicts the last input step.
    ``cell`` (row, column) is the one whose series is kept. With ``keep`` all predictions are kept, in ``kept``, for the
    few values of gauges. ``fills``: whether it is beside interpolation, where there is no reference to tell.
    """

    def __init__(
        self,
        reference: Optional[Reference],
        lead_steps: int,
        cell: tuple[int, int],
        keep: bool = False,
        shape: tuple[int, int] = (0, 0),
        folder: Optional[Path] = None,
        fills: bool = False,
    ) -> None:
        if reference is not None:
            shape, fills = reference.observed.shape[1:], reference.interpolation is not None
        self.reference, self.lead_steps, self.cell, self.shape = reference, lead_steps, cell, shape
        self.climatology_note = "" if reference is None else reference.climatology.note
        self.step_seconds = 0.0 if reference is None else reference.step_seconds
        self.distance_steps = persistence_distance(lead_steps)
        names = ("model", "persistence", "climatology", *(("interpolation",) if fills else ()))
        made = {name: Scores(shape, folder / f"{lead_steps}_{name}" if folder else None) for name in names}
        self.model, self.persistence, self.climatology = (made[name] for name in names[:3])
        self.interpolation = made.get("interpolation")
        self.dates: list[np.datetime64] = []
        self.keep, self.kept = keep, list[np.ndarray]()
        self._sums: dict[str, list[float]] = {name: [] for name in _SUMS}
        self._at_cell: dict[str, list[float]] = {"predicted": [], "observed": []}

    @property
    def daily(self) -> dict[str, np.ndarray]:
        """For each date (n,): RMSE and the share of the cells that count, means of those cells (of all that are
        predicted where none counts), and the values at the cell.
        """
        sums = {name: np.array(values, dtype=np.float64) for name, values in self._sums.items()}
        both = np.where(sums["both"] > 0, sums["both"], np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            of_all = sums["of_given"] / np.where(sums["given"] > 0, sums["given"], np.nan)
            return {
                "share": sums["both"] / max(1, self.shape[0] * self.shape[1]),
                "rmse": np.sqrt(sums["square"] / both),
                "predicted": np.where(sums["both"] > 0, sums["predicted"] / both, of_all),
                "observed": sums["observed"] / both,
                "predicted_cell": np.array(self._at_cell["predicted"]),
                "observed_cell": np.array(self._at_cell["observed"]),
            }

    def part(self, reference: Reference, rows: slice, columns: slice) -> Judge:
        """A judge of a part of the frame."""
        row, column = self.cell
        inside = rows.start <= row < rows.stop and columns.start <= column < columns.stop
        return Judge(reference, self.lead_steps, (row - rows.start, column - columns.start) if inside else (-1, -1))

    def take(self, part: Judge, rows: slice, columns: slice) -> None:
        """Take over what a judge of a part has seen: the same dates as those of the other parts."""
        for name in ("model", "persistence", "climatology", "interpolation"):
            if getattr(self, name) is not None:
                getattr(self, name).put(rows, columns, getattr(part, name))
        self.climatology_note, self.step_seconds = part.climatology_note, part.step_seconds
        if not self.dates:
            self.dates = part.dates
            self._sums, self._at_cell = part._sums, part._at_cell
            return
        for name, values in part._sums.items():
            self._sums[name] = [a + b for a, b in zip(self._sums[name], values)]
        if part.cell != (-1, -1):
            self._at_cell = part._at_cell

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
        distance = format_step(self.step_seconds * self.distance_steps)
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
            "climatology": {**self.climatology.to_dict(), "note": self.climatology_note},
            **more,
            "skill": plain(skills),
        }

    def typical_date(self) -> Optional[int]:
        """Index of the date with the median RMSE among those observed on half as many cells as the best or more."""
        daily = self.daily
        share, rmse = daily["share"], daily["rmse"]
        good = np.flatnonzero((share > 0) & (share >= 0.5 * share.max(initial=0)))
        if len(good) == 0:
            return None
        return int(good[np.argsort(rmse[good], kind="stable")[len(good) // 2]])

    def _note(self, predicted: np.ndarray, observed: np.ndarray) -> None:
        given = np.isfinite(predicted)
        both = given & np.isfinite(observed)
        map_p, map_o = predicted[both].astype(np.float64), observed[both].astype(np.float64)
        found = (len(map_p), np.sum((map_p - map_o) ** 2), map_p.sum(), map_o.sum(), given.sum())
        for name, value in zip(_SUMS, (*found, predicted[given].sum(dtype=np.float64))):
            self._sums[name].append(float(value))
        for name, values in (("predicted", predicted), ("observed", observed)):
            self._at_cell[name].append(float(values[self.cell]))


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


def central_cell(mask: np.ndarray, counts: Optional[np.ndarray] = None) -> tuple[int, int]:
    """(row, column) of the cell of the basin nearest to its middle; with ``counts`` (H, W), how often each was
    observed, among those seen at least half as often as the best.
    """
    candidates = mask
    if counts is not None:
        count = counts * mask
        candidates = (count > 0) & (count >= 0.5 * count.max())
    if not candidates.any():
        candidates = np.ones_like(mask)
    middle = _middle(mask if mask.any() else candidates)
    best, place = np.inf, (0, 0)
    across = (np.arange(mask.shape[1]) - middle[1]) ** 2
    for row in np.flatnonzero(candidates.any(axis=1)):  # row by row: places of all cells would fill the memory
        distance = np.where(candidates[row], across + (row - middle[0]) ** 2, np.inf)
        column = int(distance.argmin())
        if distance[column] < best:
            best, place = float(distance[column]), (int(row), column)
    return place


def _middle(mask: np.ndarray) -> tuple[float, float]:
    """Mean row and column of the cells of a mask."""
    rows, columns = (mask.sum(axis=axis, dtype=np.int64) for axis in (1, 0))
    return tuple(float(np.average(np.arange(len(counts)), weights=counts)) for counts in (rows, columns))
