"""Scores of a model over a period, pooled and per cell, always beside persistence and climatology."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
from torch import nn

from ..contracts import EvaluateJob, PeriodConfig
from ..contracts.errors import DataError
from ..contracts.events import Artifact, Event
from ..contracts.files import write_text
from ..contracts.grid import Grid
from ..contracts.model_card import ModelCard, read_card
from ..contracts.run_folder import RunFolder
from ..contracts.units import normalise
from ..contracts.variables import quantity
from ..data.store import Dataset
from .artifacts import (
    SCORE_STYLES,
    artifact_event,
    display_units,
    file_name,
    lead_words,
    message,
    relative,
    score_range,
    sequential_range,
    sign_words,
    symmetric_limit,
)
from .ensemble_maps import at_gauges_of_members
from .figures import Look
from .gauge_files import GaugeSeries
from .geotiff import iso, write_map
from .judge import MAP_SCORES, Judge, describe_inputs, scores_document
from .judged_sequences import pooled, sequences_to_judge
from .judging import Seen, judge_gauges, judge_maps
from .part import part_of
from .pieces import folder_of
from .predictor import Predictor
from .report import Report, write_report
from .selection import choose_ends, outside_ranges, overlap_with_training, steps_at_once
from .tiles import rounded_px
from .training_mean import MeanOfTraining


@dataclass
class Evaluation:
    """What judging a model has given. ``scores`` is the content of scores.json; ``judges`` (one a lead) hold the scores
    of each cell.

    ``predicted`` and ``observed`` (H, W) are of ``date``, the one with the median error; ``series`` fits the report.
    """

    scores: dict[str, Any]
    judges: list[Judge]
    card: ModelCard
    grid: Grid
    look: Look
    date: np.datetime64
    predicted: np.ndarray
    observed: np.ndarray
    cell: tuple[int, int]
    dates: np.ndarray
    series: list[tuple[str, np.ndarray, Optional[np.ndarray], Optional[np.ndarray]]]
    notes: list[str]
    gauges: Optional[GaugeSeries] = None

    def card_scores(self) -> dict[str, Any]:
        """The part of the scores that belongs into a model card."""
        keys = ("period", "steps", "lead_steps", "model", "persistence", "climatology", "skill", "dataset")
        return {key: self.scores[key] for key in keys}


def evaluate(job: EvaluateJob, run: RunFolder) -> Iterator[Event]:
    """Judge a saved model: scores.json, a map per score, report.html.

    Raises :class:`ModelFileError`, :class:`DataError` where model, dataset or period do not fit.
    """
    card = read_card(job.model)
    for target in range(len(card.targets)):
        yield from _evaluate_target(job, card, target, part_of(run, card, target))


def _evaluate_target(job: EvaluateJob, card: ModelCard, target: int, run: RunFolder) -> Iterator[Event]:
    names, known = sequences_to_judge(job.dataset, job.sequence, card), MeanOfTraining(card, path=job.dataset)
    found: list[Evaluation] = []
    folder = folder_of(run)
    for name in names:
        options = {"sequence": name, "batch": job.batch, "tile_px": rounded_px(job.tile), "target": target}
        with Predictor(job.model, job.dataset, job.device, carry=job.carry, **options) as predictor:
            yield message(f"Device {predictor.why_device}." if not found else f"Judging '{name}'.")
            if predictor.why_carried and not found:
                yield message(predictor.why_carried)
            if job.against and target == 0:
                judge_by(predictor, job.against)
            share = (len(found) / len(names), 1 / len(names))
            place = folder / str(len(found))
            found.append((yield from _judge(predictor, job.period, None, known, share, place)))
    asked = [("Judge", job.model), ("On", job.dataset)]
    asked += [("Sequences", ", ".join(names))] if any(names) else []
    yield from publish(pooled(found) if len(found) > 1 else found[0], run, title=job.title, asked=asked)
    shutil.rmtree(folder, ignore_errors=True)


def judge_by(predictor: Predictor, name: str) -> None:
    """Judge the predictions of the target by another variable of the dataset, such as gauges kept apart. Raises
    :class:`DataError` where it is not there, or not of the target's kind and unit.
    """
    card, variables = predictor.card, predictor.dataset.variables
    goal = card.target
    fitting = [
        info.name
        for info in variables.values()
        if not info.static and bool(info.gauges) == bool(card.gauges) and normalise(info.units) == normalise(goal.units)
    ]
    if name not in fitting:
        held = variables.get(name)
        raise DataError(
            f"The predictions of '{goal.name}' cannot be judged by '{name}'",
            expected=f"a variable in {goal.units or '-'}: {', '.join(fitting) or 'the dataset holds none'}",
            got=f"{name} in {held.units or '-'}" if held else f"no variable '{name}'",
            remedy="Choose one of these, or leave 'judge by' empty",
        )
    predictor.card = card.replace(target=goal.replace(name=name, label=variables[name].label))


def evaluate_model(
    module: nn.Module,
    card: ModelCard,
    dataset: Dataset,
    *,
    ends: Optional[np.ndarray] = None,
    period: Optional[PeriodConfig] = None,
    device: str = "auto",
    batch: int = 8,
) -> Generator[Event, None, Evaluation]:
    """Judge a module at hand on an open dataset; ``evaluation = yield from evaluate_model(...)``.

    ``ends``: last input steps of the windows to judge, such as ``Split.test``; without them the windows of
    ``period``, and without that the test period of the card. The module is left in evaluation mode on the device.
    """
    with Predictor((module, card), dataset, device, batch=batch) as predictor:
        return (yield from _judge(predictor, period or PeriodConfig(), ends))


def publish(
    evaluation: Evaluation,
    run: RunFolder,
    *,
    title: str = "",
    asked: Sequence[tuple[str, str]] = (),
    history: Sequence[dict[str, Any]] = (),
    with_report: bool = True,
) -> Iterator[Event]:
    """Write scores.json, the score maps and report.html into a run folder, and tell of each. ``history``: METRIC
    values of a training.
    """
    yield from write_scores(evaluation.scores, run)
    if evaluation.gauges is not None:
        yield from evaluation.gauges.write(run, evaluation.look)
    else:
        yield from write_score_maps(evaluation.judges, evaluation.card, evaluation.grid, evaluation.look, run)
    if with_report:
        report = report_of(evaluation, title or evaluation.card.title, asked, history)
        write_report(run.report_file, report)
        yield artifact_event(Artifact(kind="report", path=relative(run, run.report_file), title="Report"))


def write_score_maps(
    judges: Sequence[Judge], card: ModelCard, grid: Grid, look: Look, run: RunFolder
) -> Iterator[Event]:
    """Write a map a score and lead, and tell of each. ``judges``: one a lead."""
    for number, judge in enumerate(judges):
        for name in MAP_SCORES:
            ahead = lead_words(card.lead + number, len(judges) > 1)
            file = run.results / file_name(f"score_{name}", card.lead + number, card.lead)
            values = judge.model.maps((name,))[name]
            yield artifact_event(_score_map(file, name, values, ahead, card, grid, look, run))


def write_scores(scores: dict[str, Any], run: RunFolder) -> Iterator[Event]:
    """Write scores.json and tell of it."""
    write_text(run.scores_file, json.dumps(scores, indent=2, ensure_ascii=False, allow_nan=False))
    yield artifact_event(
        Artifact(
            kind="scores",
            path=relative(run, run.scores_file),
            title="Scores",
            variable=scores["target"]["name"],
            note=scores.get("note", ""),
        )
    )


def report_of(
    evaluation: Evaluation, title: str, asked: Sequence[tuple[str, str]], history: Sequence[dict[str, Any]] = ()
) -> Report:
    """The report of an evaluation."""
    card, scores = evaluation.card, evaluation.scores
    period = f"{scores['period']['start']} to {scores['period']['end']}, {scores['steps']} dates"
    return Report(
        title=title,
        subtitle=f"{evaluation.look.label} ({evaluation.look.units}), {scores['dataset']}, {period}",
        asked=[*asked, *model_lines(card), ("Period", period)],
        look=evaluation.look,
        grid=evaluation.grid,
        step_seconds=card.step_seconds,
        scores=scores,
        date=iso(evaluation.date),
        predicted=None if evaluation.gauges else evaluation.predicted,
        observed=None if evaluation.gauges else evaluation.observed,
        cell=evaluation.cell,
        dates=evaluation.dates,
        series=evaluation.series,
        nse_map=None if evaluation.gauges else evaluation.judges[0].model.maps(("nse",))["nse"],
        history=history,
        notes=evaluation.notes,
    )


def model_lines(card: ModelCard) -> list[tuple[str, str]]:
    """What a model is, as (name, text) lines of a report."""
    ahead = (
        "the last step of the window (simulation)"
        if card.lead == 0
        else f"{card.lead} step{'s' if card.lead > 1 else ''} ahead"
    )
    if card.hidden_share:
        ahead = f"what is missing{lead_words(card.lead, True)}; {100 * card.hidden_share:g} % hidden ({card.hiding})"
    elif card.leads > 1:
        ahead = f"{card.leads} leads, from {card.lead} steps ahead on"
    weights = f", {card.parameters:,} weights" if card.parameters else ""
    return [("Model", f"{card.title} ({card.family}{weights})"), ("Inputs", describe_inputs(card)), ("Predicts", ahead)]


def rain_of(
    dataset: Dataset, card: ModelCard, dates: np.ndarray, cell: Optional[tuple[int, int]]
) -> tuple[Optional[np.ndarray], Optional[np.ndarray]]:
    """Precipitation on ``dates``, mean of the basin and at ``cell``; None where it is not among the inputs."""
    name = next((v.name for v in card.inputs if v.quantity == "precipitation"), None)
    if name is None:
        return None, None
    index = np.minimum(np.searchsorted(dataset.times, dates), len(dataset.times) - 1)
    there = dataset.times[index] == dates
    first = int(index.min())
    mean, values = np.full(len(dates), np.nan), np.full(len(dates), np.nan)
    for start in range(first, int(index.max()) + 1, steps_at_once(dataset)):
        maps = dataset.dynamic(name, start, min(int(index.max()) + 1, start + steps_at_once(dataset)))
        for place in np.flatnonzero(there & (index >= start) & (index < start + len(maps))):
            inside = maps[index[place] - start][dataset.mask]
            count = int(np.isfinite(inside).sum())
            mean[place] = np.nansum(inside, dtype=np.float64) / count if count else np.nan
            values[place] = np.nan if cell is None else maps[(index[place] - start, *cell)]
    return mean, None if cell is None else values


def series_panels(
    judge: Judge, dataset: Dataset, card: ModelCard
) -> list[tuple[str, np.ndarray, Optional[np.ndarray], Optional[np.ndarray]]]:
    """Series of the basin's mean and of one cell for the report."""
    dates = np.array(judge.dates, dtype="datetime64[s]")
    rain_mean, rain_cell = rain_of(dataset, card, dates, judge.cell)
    daily = judge.daily
    return [
        ("Mean of the basin", daily["predicted"], daily["observed"], rain_mean),
        ("At the circled cell", daily["predicted_cell"], daily["observed_cell"], rain_cell),
    ]


def look_of(card: ModelCard, minimum: float, maximum: float, delta_limit: float) -> Look:
    """How maps of the card's target are drawn."""
    kind = quantity(card.target.quantity)
    low, high = sign_words(kind)
    label = card.target.label or kind.label
    return Look(label, display_units(card.target.units), kind.ramp, minimum, maximum, delta_limit, low, high)


def _judge(
    predictor: Predictor,
    period: PeriodConfig,
    ends: Optional[np.ndarray],
    known: Optional[MeanOfTraining] = None,
    share: tuple[float, float] = (0.0, 1.0),
    folder: Optional[Path] = None,
) -> Generator[Event, None, Evaluation]:
    """``share``: where on the progress bar this lies, and how long it is there. ``folder``: for what is computed; it
    has to be there as long as the evaluation is used.
    """
    card, data, dataset = predictor.card, predictor.data, predictor.dataset
    if ends is None:
        ends, why = choose_ends(data, card, dataset, period, need_target=True)
        yield message(why)
    if len(ends) == 0:
        raise DataError("There is no window to judge", remedy="Lengthen the test period or shorten the window")
    targets = data.target_times(ends)
    notes = list(outside_ranges(dataset, card, data, ends))
    notes += [note for note in (overlap_with_training(targets[:, 0], card, dataset),) if note]
    for note in notes:
        yield message(note, "warning")
    with contextlib.ExitStack() as stack:
        if card.gauges:
            seen = yield from judge_gauges(predictor, ends, known, share)
        else:
            place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="freshet-")))
            seen = yield from judge_maps(predictor, ends, place, known, share)
        look = look_of(card, *sequential_range(seen.values), symmetric_limit(seen.deltas))
        return _evaluation(predictor, ends, seen, look, notes)


def _evaluation(predictor: Predictor, ends: np.ndarray, seen: Seen, look: Look, notes: list[str]) -> Evaluation:
    card, dataset, judges, first = predictor.card, predictor.dataset, seen.judges, seen.judges[0]
    chosen = first.typical_date()
    if chosen is None:
        raise DataError(
            f"The target '{card.target.name}' has no observed value on the dates to be judged",
            got=f"{iso(first.dates[0])} to {iso(first.dates[-1])}",
            remedy="Choose another period, or predict without judging",
        )
    date = first.dates[chosen]
    predicted, observed = seen.shown(chosen)
    gauges = None
    if card.gauges:
        members = at_gauges_of_members(predictor, ends)
        gauges = GaugeSeries.judged(card, dataset, predictor.data.target_times(ends), judges, members)
        rain = rain_of(dataset, card, np.array(first.dates, dtype="datetime64[s]"), None)[0]
    return Evaluation(
        scores=scores_document(judges, card, dataset),
        judges=judges,
        card=card,
        grid=dataset.grid,
        look=look,
        date=date,
        predicted=predicted,
        observed=observed,
        cell=first.cell,
        dates=np.array(first.dates, dtype="datetime64[s]"),
        series=gauges.panels(rain) if gauges else series_panels(first, dataset, card),
        notes=notes,
        gauges=gauges,
    )


def _score_map(
    path: Path, name: str, values: np.ndarray, ahead: str, card: ModelCard, grid: Grid, look: Look, run: RunFolder
) -> Artifact:
    words, ramp, _, note = SCORE_STYLES[name]
    units = display_units(card.target.units) if name == "rmse" else "-"
    title = f"{words} of {look.label}{ahead} ({units})"
    write_map(path, values, grid, units=units, label=title)
    minimum, maximum = score_range(name, values)
    return Artifact(
        kind="score-map", path=relative(run, path), title=title, variable=card.target.name, units=units, ramp=ramp,
        minimum=minimum, maximum=maximum, step_seconds=card.step_seconds, note=note, group="Scores per cell",
    )  # fmt: skip
