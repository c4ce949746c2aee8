"""Series of a saved model of gauges for a period, beside the observed ones where the dataset holds them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Optional

import numpy as np

from ..contracts.events import Artifact, Event
from ..contracts.run_folder import RunFolder
from .artifacts import RangeSampler, artifact_event, message, progress, relative, sequential_range, symmetric_limit
from .ensemble_maps import at_gauges_of_members
from .evaluate import look_of, model_lines, rain_of, write_scores
from .figures import Look
from .gauge_files import GaugeSeries
from .geotiff import iso
from .judge import Judge, Reference, scores_document
from .predictor import Predictor
from .report import Report, write_report
from .selection import outside_ranges, overlap_with_training


def predict_gauges(
    predictor: Predictor,
    ends: np.ndarray,
    run: RunFolder,
    title: str,
    asked: Sequence[tuple[str, str]],
    history: Sequence[dict[str, Any]],
) -> Generator[Event, None, Optional[dict[str, Any]]]:
    """series.csv, gauges.geojson, scores.json and report.html of windows that end at ``ends``; gives the content of
    scores.json, None where nothing is observed.
    """
    card, data, dataset = predictor.card, predictor.data, predictor.dataset
    targets = data.target_times(ends)
    notes = list(outside_ranges(dataset, card, data, ends))
    judges = _judges(predictor, targets)
    if judges:
        overlap = overlap_with_training(targets[:, 0], card, dataset)
        notes += [overlap] if overlap else []
    elif card.target.name in dataset.variables:
        notes.append("The dataset holds no observed value of the target on these dates, so nothing can be judged.")
    for note in notes:
        yield message(note, "warning")
    parts, done = [], 0
    for chunk, frames in predictor.predict(ends):
        dates = data.target_times(chunk)
        for lead, judge in enumerate(judges):
            judge.add(dates[:, lead], frames[:, lead])
        parts.append(frames[:, :, 0])
        done += len(chunk)
        yield progress(0.95 * done / len(ends), f"Predicted {done} of {len(ends)} dates")
    members = at_gauges_of_members(predictor, ends)
    if judges:
        series = GaugeSeries.judged(card, dataset, targets, judges, members)
    else:
        series = GaugeSeries(card, dataset, targets, np.concatenate(parts), members=members)
    look = _look(series)
    yield from series.write(run, look)
    scores = scores_document(judges, card, dataset) if judges else None
    if scores is not None:
        yield from write_scores(scores, run)
    write_report(run.report_file, _report(series, title, asked, history, look, scores, notes))
    yield artifact_event(Artifact(kind="report", path=relative(run, run.report_file), title="Report"))
    return scores


def _judges(predictor: Predictor, targets: np.ndarray) -> list[Judge]:
    """One a lead; none where nothing is observed on these dates."""
    card = predictor.card
    if card.target.name not in predictor.dataset.variables:
        return []
    reference = Reference.of(predictor.dataset, card, targets)
    if not reference.holds_any(targets):
        return []
    return [Judge(reference, card.lead + lead, (0, 0), keep=True) for lead in range(card.leads)]


def _look(series: GaugeSeries) -> Look:
    values, deltas = RangeSampler(2 * series.predicted.size), RangeSampler(series.predicted.size)
    values.add(series.predicted)
    if series.observed is not None:
        values.add(series.observed)
        deltas.add(np.abs(series.predicted - series.observed))
    return look_of(series.card, *sequential_range(values), symmetric_limit(deltas))


def _report(
    series: GaugeSeries,
    title: str,
    asked: Sequence[tuple[str, str]],
    history: Sequence[dict[str, Any]],
    look: Look,
    scores: Optional[dict[str, Any]],
    notes: Sequence[str],
) -> Report:
    card, dataset, dates = series.card, series.dataset, series.targets[:, 0]
    period = f"{iso(dates[0])} to {iso(dates[-1])}, {len(dates)} dates"
    return Report(
        title=title or f"{look.label} predicted",
        subtitle=f"{look.label} ({look.units}) at {len(series.ids)} gauges, {dataset.name}, {period}",
        asked=[*asked, *model_lines(card), ("Period", period)],
        look=look,
        grid=dataset.grid,
        step_seconds=card.step_seconds,
        scores=scores,
        dates=dates,
        series=series.panels(rain_of(dataset, card, dates, None)[0]),
        history=history,
        notes=notes,
    )
