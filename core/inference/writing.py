"""The files of a prediction, written and judged tile by tile as they come.

Symbols: n windows, L leads, h rows and w columns of a tile.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

import numpy as np

from ..contracts.events import Event
from ..contracts.run_folder import RunFolder
from ..contracts.variables import quantity
from .artifacts import RangeSampler, display_units, file_name, lead_words, progress
from .geotiff import SeriesWriter, block_for, check_space
from .judge import Judge, central_cell
from .making import Making
from .predictor import Judged, Predictor
from .reference import Observed
from .selection import outside_ranges, overlap_with_training
from .tiles import Tile
from .training_mean import MeanOfTraining

_SCORES_BYTES = 256 * 2**20  # scores of all cells that take more lie on the disc
_DATES = 64  # observed maps of a tile that are in memory at once


@dataclass
class Plan:
    """What one prediction will do. ``targets`` datetime64 (n, L); ``observed`` and ``judges`` are empty without an
    observed target. ``sums``, ``counts`` (n,) of the predicted cells of the first lead, ``at_cell`` (n,).
    """

    making: Making
    run: RunFolder
    targets: np.ndarray
    observed: Optional[Observed]
    judges: list[Judge]
    cell: tuple[int, int]
    notes: list[str]
    values: RangeSampler
    deltas: RangeSampler
    sums: np.ndarray = field(init=False)
    counts: np.ndarray = field(init=False)
    at_cell: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.sums, self.counts, self.at_cell = (np.zeros(len(self.targets)) for _ in range(3))

    @property
    def predictor(self) -> Predictor:
        """Model and data."""
        return self.making.predictor

    @property
    def leads(self) -> list[int]:
        """Steps ahead of each lead."""
        card = self.predictor.card
        return [card.lead + number for number in range(card.leads)]

    @property
    def fills(self) -> bool:
        """Whether the model fills gaps of its target."""
        return self.predictor.card.hidden_share > 0.0

    @property
    def observed_somewhere(self) -> bool:
        """Whether any pair could be judged."""
        return any(judge.typical_date() is not None for judge in self.judges)

    @property
    def means(self) -> np.ndarray:
        """(n,): mean of the predicted cells."""
        return self.sums / np.where(self.counts > 0, self.counts, np.nan)


def plan_of(making: Making, run: RunFolder, known: Optional[MeanOfTraining]) -> Plan:
    """Look at what is there; raises :class:`RunError` where the disc has no room for what will be written."""
    predictor = making.predictor
    card, data, dataset, ends = predictor.card, predictor.data, predictor.dataset, making.ends
    targets = data.target_times(ends)
    notes = list(outside_ranges(dataset, card, data, ends))
    observed, judges, cell = None, [], central_cell(data.mask)
    if card.target.name in dataset.variables:
        observed = Observed(dataset, card, targets, known)
    if observed is not None and not observed.holds_any(targets):
        notes.append("The dataset holds no observed value of the target on these dates, so nothing can be judged.")
        observed = None
    if observed is not None:
        cell = central_cell(data.mask, observed.counts())
        judges = judges_of(predictor, cell, scores_folder(making))
        overlap = overlap_with_training(targets[:, 0], card, dataset)
        notes += [overlap] if overlap else []
    kinds = 1 + bool(observed) + 2 * (card.hidden_share > 0)
    maps = card.leads * (kinds + 1 + (card.hidden_share > 0)) + bool(observed)  # and those of the pieces
    run.results.mkdir(parents=True, exist_ok=True)
    states = making.carried.bytes if making.carried is not None else 0
    check_space(run.results / "predicted.tif", 4 * maps * len(ends) * data.mask.size + states)
    size = targets.size * data.mask.size
    return Plan(making, run, targets, observed, judges, cell, notes, RangeSampler(2 * size), RangeSampler(size))


def judges_of(predictor: Predictor, cell: tuple[int, int], folder: Path) -> list[Judge]:
    """One a lead, to be filled part by part."""
    card, shape = predictor.card, predictor.data.mask.shape
    fills = card.hidden_share > 0.0
    needed = 64 * (4 if fills else 3) * card.leads * shape[0] * shape[1]
    place = folder if needed > _SCORES_BYTES else None
    return [Judge(None, card.lead + lead, cell, shape=shape, folder=place, fills=fills) for lead in range(card.leads)]


def scores_folder(making: Making) -> Path:
    """Where the scores of all cells lie while they are too many for the memory; empty."""
    folder = making.pieces.folder / "scores"
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)
    return folder


def write_maps(plan: Plan) -> Iterator[Event]:
    """Write predicted, observed and delta, and judge, tile by tile. What a filling model is judged by was hidden from
    it, what it predicts was not.
    """
    with contextlib.ExitStack() as stack:
        files, share, text = _Files(plan, stack), 0.0, ""
        for number, tile in enumerate(plan.predictor.tiles):
            for share, text in plan.making.compute(number):
                yield progress(0.95 * share, f"Predicted {text}")
            for _ in files.write(number, tile):
                yield progress(0.95 * share, f"Predicted {text}")
            for _ in judge_tile(plan.making, number, plan.observed, plan.judges):
                yield progress(0.95 * share, f"Predicted {text}")


def judge_tile(making: Making, number: int, observed: Optional[Observed], judges: list[Judge]) -> Iterator[None]:
    """Judge what was computed of a tile, in parts whose observed values fit in memory; yields between dates."""
    tile, data = making.predictor.tiles[number], making.predictor.data
    for part in observed.parts(tile) if judges else ():
        reference = observed.reference(part)
        parts = [judge.part(reference, *part) for judge in judges]
        inner = tuple(slice(p.start - t.start, p.stop - t.start) for p, t in zip(part, tile.inner))
        for found in making.read(number):
            dates = data.target_times(found.ends)
            for lead, judge in enumerate(parts):
                where = None if found.where is None else found.where[(slice(None), lead, *inner)]
                judge.add(dates[:, lead], found.to_judge[(slice(None), lead, *inner)], where)
            yield
        for judge, of_part in zip(judges, parts):
            judge.take(of_part, *part)


class _Files:
    """The files that are open while the tiles come."""

    def __init__(self, plan: Plan, stack: contextlib.ExitStack) -> None:
        self._plan, self._stack = plan, stack
        leads = range(len(plan.leads))
        self.predicted = [self._open("predicted", number) for number in leads]
        self.deltas = [self._open("delta", number) for number in range(len(plan.judges))]
        self.filled = [self._open("filled", number) for number in leads if plan.fills]
        self.dates = observed_dates(plan)
        self.observed = None if plan.observed is None else self._open("observed", 0, self.dates)

    def write(self, number: int, tile: Tile) -> Iterator[None]:
        """All dates of a tile; yields between some of them."""
        place = 0
        for found in self._plan.making.read(number):
            self._write(found, tile, place)
            place += len(found.ends)
            yield
        for first in range(0, len(self.dates) if self.observed else 0, _DATES):
            maps = self._plan.observed.at(self.dates[first : first + _DATES], tile.inner)
            self.observed.write_part(maps, first, *tile.inner)
            yield

    def _write(self, found: Judged, tile: Tile, place: int) -> None:
        plan, dates = self._plan, self._plan.predictor.data.target_times(found.ends)
        self._note(found, tile, slice(place, place + len(found.ends)))
        plan.values.add(found.maps)
        for number, writer in enumerate(self.predicted):
            maps, truth = found.maps[:, number], None
            writer.write_part(maps, place, *tile.inner)
            if plan.observed is not None:
                truth = plan.observed.at(dates[:, number], tile.inner)
            if plan.fills:
                gaps = maps if truth is None else np.where(np.isfinite(truth), truth, maps)
                self.filled[number].write_part(gaps, place, *tile.inner)
            if truth is not None:
                if found.where is not None:
                    truth[~found.where[:, number]] = np.nan
                delta = found.to_judge[:, number] - truth
                self.deltas[number].write_part(delta, place, *tile.inner)
                plan.deltas.add(np.abs(delta))
                plan.values.add(truth)

    def _note(self, found: Judged, tile: Tile, places: slice) -> None:
        """Sums of the first lead for its series."""
        plan, maps = self._plan, found.maps[:, 0]
        plan.sums[places] += np.nansum(maps, axis=(1, 2), dtype=np.float64)
        plan.counts[places] += np.isfinite(maps).sum(axis=(1, 2))
        (row, column), (rows, columns) = plan.cell, tile.inner
        if rows.start <= row < rows.stop and columns.start <= column < columns.stop:
            plan.at_cell[places] = maps[:, row - rows.start, column - columns.start]

    def _open(self, kind: str, number: int, dates: Optional[np.ndarray] = None) -> SeriesWriter:
        plan = self._plan
        name = f"{kind}.tif" if kind == "observed" else file_name(kind, plan.leads[number], plan.leads[0])
        dates = plan.targets[:, number] if dates is None else dates
        units = display_units(plan.predictor.card.target.units)
        return self._stack.enter_context(
            SeriesWriter(
                plan.run.results / name, plan.predictor.data.grid, dates,
                units=units, label=title_of(plan, kind, number), block_px=block_for(plan.predictor.tile_px),
            )
        )  # fmt: skip


def title_of(plan: Plan, kind: str, number: int = 0) -> str:
    """What a file shows, with its unit."""
    card = plan.predictor.card
    units, label = display_units(card.target.units), card.target.label or quantity(card.target.quantity).label
    ahead = lead_words(plan.leads[number], len(plan.leads) > 1)
    if kind == "delta":
        hidden = ", where it was hidden" if plan.fills else ""
        return f"Delta: predicted - observed{ahead}{hidden} ({units})"
    return f"{label}, {kind}{'' if kind == 'observed' else ahead} ({units})"


def observed_dates(plan: Plan) -> np.ndarray:
    """All dates of all leads that the record holds, each once."""
    dates = np.unique(plan.targets)
    held = dates[np.isin(dates, plan.observed.times)] if plan.observed is not None else dates
    return held if len(held) else dates[:1]
