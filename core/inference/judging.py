"""Judging a model over dates, streaming: series of gauges at once, maps tile by tile.

Symbols: n windows, L leads, H rows, W columns; ``frame`` is (H, W), or (1, G) for a model of gauges.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

import numpy as np

from ..contracts.events import Event
from .artifacts import RangeSampler, message, progress
from .judge import Judge, central_cell
from .making import Making
from .predictor import Predictor
from .reference import Observed, Reference
from .tiles import whole_frame
from .training_mean import MeanOfTraining
from .writing import judge_tile, judges_of, scores_folder


@dataclass
class Seen:
    """What judging has seen: a judge a lead, values and absolute deltas of the first lead, and what is shown of one
    date: :attr:`shown` gives predicted and observed frame of the first lead by the place of the date.
    """

    judges: list[Judge]
    values: RangeSampler
    deltas: RangeSampler
    shown: Callable[[int], tuple[np.ndarray, np.ndarray]]


def judge_gauges(
    predictor: Predictor, ends: np.ndarray, known: Optional[MeanOfTraining], share: tuple[float, float]
) -> Generator[Event, None, Seen]:
    """Series of gauges. ``share``: where on the progress bar this lies, and how long it is there."""
    card, data = predictor.card, predictor.data
    reference = Reference.of(predictor.dataset, card, data.target_times(ends), known)
    cell = central_cell(data.target_mask, np.isfinite(reference.observed).sum(axis=0))
    judges = [Judge(reference, card.lead + lead, cell, keep=True) for lead in range(card.leads)]
    size, done = len(ends) * data.target_mask.size, 0
    seen = Seen(judges, RangeSampler(2 * size), RangeSampler(size), lambda place: _shown_at_gauges(judges[0], place))
    for chunk, frames in predictor.predict(ends):
        dates = data.target_times(chunk)
        for lead, judge in enumerate(judges):
            observed = judge.add(dates[:, lead], frames[:, lead])
            if lead == 0:
                _sample(seen, frames[:, 0], observed)
        done += len(chunk)
        yield progress(share[0] + share[1] * done / len(ends), f"Judged {done} of {len(ends)} dates")
    return seen


def judge_maps(
    predictor: Predictor,
    ends: np.ndarray,
    folder: Path,
    known: Optional[MeanOfTraining],
    share: tuple[float, float],
) -> Generator[Event, None, Seen]:
    """Maps, in bounded memory. What is computed is kept in ``folder``, so that a judgement that was broken off goes on
    from there; the scores of large frames lie there too.
    """
    card, data = predictor.card, predictor.data
    targets, making = data.target_times(ends), Making(predictor, ends, folder)
    observed = Observed(predictor.dataset, card, targets, known)
    judges = judges_of(predictor, central_cell(data.mask, observed.counts()), scores_folder(making))
    size, whole = len(ends) * data.mask.size, whole_frame(data.mask.shape).inner

    def shown(place: int) -> tuple[np.ndarray, np.ndarray]:
        return making.map_of(place)[0], observed.at(targets[place, :1], whole)[0]

    seen = Seen(judges, RangeSampler(2 * size), RangeSampler(size), shown)
    for why in (making.words, predictor.why_tiles):
        if why:
            yield message(why)
    begin, length, at, text = *share, 0.0, ""
    for number, tile in enumerate(predictor.tiles):
        for at, text in making.compute(number):
            yield progress(begin + length * at, f"Judged {text}")
        for found in making.read(number):
            truth = observed.at(data.target_times(found.ends)[:, 0], tile.inner)
            if found.where is not None:
                truth[~found.where[:, 0]] = np.nan
            _sample(seen, found.to_judge[:, 0], truth)
        for _ in judge_tile(making, number, observed, judges):
            yield progress(begin + length * at, f"Judged {text}")
    return seen


def _sample(seen: Seen, predicted: np.ndarray, observed: np.ndarray) -> None:
    seen.values.add(predicted)
    seen.values.add(observed)
    seen.deltas.add(np.abs(predicted - observed))


def _shown_at_gauges(judge: Judge, place: int) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate(judge.kept)[place], judge.reference.at(np.array(judge.dates[place : place + 1]))[0]
