"""Maps of a saved model for a period, beside the observed ones and their difference where the target is at hand."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from ..contracts import PredictJob
from ..contracts.events import Artifact, Event
from ..contracts.model_card import read_card
from ..contracts.run_folder import RunFolder
from ..contracts.variables import quantity
from .artifacts import (
    DELTA_RAMP,
    RangeSampler,
    artifact_event,
    delta_note,
    display_units,
    file_name,
    lead_words,
    message,
    progress,
    relative,
    sequential_range,
    symmetric_limit,
)
from .at_gauges import predict_gauges
from .ensemble_maps import is_of_members, write_spread
from .evaluate import look_of, model_lines, rain_of, series_panels, write_score_maps, write_scores
from .figures import Look
from .geotiff import SeriesWriter, check_space, iso, write_series
from .judge import Judge, Reference, central_cell, scores_document
from .part import part_of
from .predictor import Predictor
from .report import Report, write_report
from .selection import choose_ends, outside_ranges, overlap_with_training
from .training_mean import MeanOfTraining


@dataclass
class _Plan:
    """What one prediction will do. ``targets`` datetime64 (n, L); ``reference`` and ``judges`` are empty without an
    observed target.
    """

    predictor: Predictor
    run: RunFolder
    ends: np.ndarray
    targets: np.ndarray
    reference: Optional[Reference]
    judges: list[Judge]
    cell: tuple[int, int]
    notes: list[str]
    values: RangeSampler
    deltas: RangeSampler
    means: list[float] = field(default_factory=list)
    at_cell: list[float] = field(default_factory=list)

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


def predict(job: PredictJob, run: RunFolder) -> Iterator[Event]:
    """predicted.tif (one a lead); observed.tif, delta.tif and scores.json where the dataset holds the target;
    report.html. Of a model that fills gaps also filled.tif: what was observed, and elsewhere what is predicted.

    Raises :class:`ModelFileError`, :class:`DataError` where model, dataset or period do not fit; :class:`RunError`
    where the disc is full.
    """
    card = read_card(job.model)
    for target in range(len(card.targets)):
        options = {"sequence": job.sequence, "batch": job.batch, "target": target}
        with Predictor(job.model, job.dataset, job.device, **options) as predictor:
            yield message(f"Device {predictor.why_device}.")
            ends, why = choose_ends(predictor.data, predictor.card, predictor.dataset, job.period, need_target=False)
            yield message(why)
            asked = [("Predict with", job.model), ("On", job.dataset)]
            asked += [("Sequence", predictor.dataset.sequence)] if predictor.dataset.sequence else []
            known = MeanOfTraining(predictor.card, path=job.dataset)
            part = part_of(run, card, target)
            yield from predict_series(predictor, ends, part, title=job.title, asked=asked, known=known)


def predict_series(
    predictor: Predictor,
    ends: np.ndarray,
    run: RunFolder,
    *,
    title: str = "",
    asked: Sequence[tuple[str, str]] = (),
    history: Sequence[dict[str, Any]] = (),
    known: Optional[MeanOfTraining] = None,
) -> Generator[Event, None, Optional[dict[str, Any]]]:
    """Maps, scores, score maps and report of windows that end at ``ends``, into ``run``; gives the content of
    scores.json.

    ``history``: METRIC values of a training, drawn as the loss curve. ``known``: the climatology of sequences.
    """
    if predictor.card.gauges:
        return (yield from predict_gauges(predictor, ends, run, title, asked, history))
    plan = _plan(predictor, run, ends, known)
    for note in plan.notes:
        yield message(note, "warning")
    yield from _write_maps(plan)
    look = look_of(predictor.card, *sequential_range(plan.values), symmetric_limit(plan.deltas))
    yield from _tell(plan, look)
    scores = scores_document(plan.judges, predictor.card, predictor.dataset) if plan.observed_somewhere else None
    if scores is not None:
        yield from write_scores(scores, run)
        maps = [judge.model.maps() for judge in plan.judges]
        yield from write_score_maps(maps, predictor.card, predictor.dataset.grid, look, run)
    if is_of_members(predictor):
        yield from write_spread(predictor, ends, run, look)
    write_report(run.report_file, _report(plan, title, asked, history, look, scores))
    yield artifact_event(Artifact(kind="report", path=relative(run, run.report_file), title="Report"))
    return scores


def _plan(predictor: Predictor, run: RunFolder, ends: np.ndarray, known: Optional[MeanOfTraining]) -> _Plan:
    card, data, dataset = predictor.card, predictor.data, predictor.dataset
    targets = data.target_times(ends)
    notes = list(outside_ranges(dataset, card, data, ends))
    reference, judges, cell = None, [], central_cell(data.mask)
    if card.target.name in dataset.variables:
        reference = Reference.of(dataset, card, targets, known)
    if reference is not None and not reference.holds_any(targets):
        notes.append("The dataset holds no observed value of the target on these dates, so nothing can be judged.")
        reference = None
    if reference is not None:
        cell = central_cell(data.mask, reference.observed)
        judges = [Judge(reference, card.lead + lead, cell) for lead in range(card.leads)]
        overlap = overlap_with_training(targets[:, 0], card, dataset)
        notes += [overlap] if overlap else []
    files = card.leads * (1 + bool(reference) + (card.hidden_share > 0)) + bool(reference)
    run.results.mkdir(parents=True, exist_ok=True)
    check_space(run.results / "predicted.tif", 4 * files * len(ends) * data.mask.size)
    size = targets.size * data.mask.size
    return _Plan(
        predictor, run, ends, targets, reference, judges, cell, notes, RangeSampler(2 * size), RangeSampler(size)
    )


def _write_maps(plan: _Plan) -> Iterator[Event]:
    """Write predicted and delta, judge on the way; then the observed maps. What a filling model is judged by was hidden
    from it, what it predicts was not.
    """
    predictor, data = plan.predictor, plan.predictor.data
    done = 0
    with contextlib.ExitStack() as stack:
        predicted = [_writer(plan, stack, "predicted", number) for number in range(len(plan.leads))]
        deltas = [_writer(plan, stack, "delta", number) for number in range(len(plan.judges))]
        filled = [_writer(plan, stack, "filled", number) for number in range(len(plan.leads)) if plan.fills]
        for chunk, maps, to_judge, where in predictor.judged(plan.ends):
            dates = data.target_times(chunk)
            plan.values.add(maps)
            plan.means += [_mean(values) for values in maps[:, 0]]
            plan.at_cell += [float(values) for values in maps[:, 0, plan.cell[0], plan.cell[1]]]
            for number, writer in enumerate(predicted):
                writer.write(maps[:, number])
                if plan.fills:
                    filled[number].write(_filled(plan, dates[:, number], maps[:, number]))
                if plan.judges:
                    counted = None if where is None else where[:, number]
                    observed = plan.judges[number].add(dates[:, number], to_judge[:, number], counted)
                    delta = to_judge[:, number] - observed
                    deltas[number].write(delta)
                    plan.deltas.add(np.abs(delta))
                    plan.values.add(observed)
            done += len(chunk)
            yield progress(0.95 * done / len(plan.ends), f"Predicted {done} of {len(plan.ends)} dates")
    if plan.reference is not None:
        dates = _observed_dates(plan)
        maps_of_dates = (plan.reference.at(dates[i : i + 1]) for i in range(len(dates)))
        write_series(plan.run.results / "observed.tif", maps_of_dates, data.grid, dates, **_tags(plan, "observed"))
        yield progress(0.98, "Observed maps written")


def _filled(plan: _Plan, dates: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Observed maps (n, H, W) of ``dates``, the gaps of which hold what is predicted."""
    if plan.reference is None:
        return maps
    observed = plan.reference.at(dates)
    return np.where(np.isfinite(observed), observed, maps)


def _writer(plan: _Plan, stack: contextlib.ExitStack, kind: str, number: int) -> SeriesWriter:
    path = plan.run.results / file_name(kind, plan.leads[number], plan.leads[0])
    return stack.enter_context(
        SeriesWriter(path, plan.predictor.data.grid, plan.targets[:, number], **_tags(plan, kind, number))
    )


def _tags(plan: _Plan, kind: str, number: int = 0) -> dict[str, str]:
    return {"units": display_units(plan.predictor.card.target.units), "label": _title(plan, kind, number)}


def _title(plan: _Plan, kind: str, number: int = 0) -> str:
    card = plan.predictor.card
    units, label = display_units(card.target.units), card.target.label or quantity(card.target.quantity).label
    ahead = lead_words(plan.leads[number], len(plan.leads) > 1)
    if kind == "delta":
        hidden = ", where it was hidden" if plan.fills else ""
        return f"Delta: predicted - observed{ahead}{hidden} ({units})"
    return f"{label}, {kind}{'' if kind == 'observed' else ahead} ({units})"


def _observed_dates(plan: _Plan) -> np.ndarray:
    """All dates of all leads that the record holds, each once."""
    dates = np.unique(plan.targets)
    held = dates[np.isin(dates, plan.reference.times)] if plan.reference is not None else dates
    return held if len(held) else dates[:1]


def _tell(plan: _Plan, look: Look) -> Iterator[Event]:
    """Artifacts: predicted and observed share one range over all dates, the delta is symmetric about 0."""
    for number, lead in enumerate(plan.leads):
        dates = tuple(iso(date) for date in plan.targets[:, number])
        yield _artifact(plan, "predicted", number, file_name("predicted", lead, plan.leads[0]), dates, look)
        if plan.fills:
            yield _artifact(plan, "filled", number, file_name("filled", lead, plan.leads[0]), dates, look)
        if plan.observed_somewhere:
            if number == 0:
                yield _artifact(
                    plan, "observed", 0, "observed.tif", tuple(iso(date) for date in _observed_dates(plan)), look
                )
            yield _artifact(plan, "delta", number, file_name("delta", lead, plan.leads[0]), dates, look)


def _artifact(plan: _Plan, kind: str, number: int, name: str, dates: tuple[str, ...], look: Look) -> Event:
    target = plan.predictor.card.target
    delta = kind == "delta"
    note = delta_note(quantity(target.quantity)) + " Range: 98th percentile of |delta| over all dates."
    shared = "One range for predicted and observed, over all dates: from the 1st to the 99th percentile."
    if kind == "filled":
        shared = f"Observed where it was observed, predicted elsewhere. {shared}"
    return artifact_event(
        Artifact(
            kind=kind,
            path=relative(plan.run, plan.run.results / name),
            title=_title(plan, kind, number),
            variable=target.name,
            units=look.units,
            ramp=DELTA_RAMP if delta else look.ramp,
            minimum=-look.delta_limit if delta else look.minimum,
            maximum=look.delta_limit if delta else look.maximum,
            dates=dates,
            step_seconds=plan.predictor.card.step_seconds,
            note=note if delta else shared,
            group=look.label,
        )
    )


def _report(
    plan: _Plan,
    title: str,
    asked: Sequence[tuple[str, str]],
    history: Sequence[dict[str, Any]],
    look: Look,
    scores: Optional[dict[str, Any]],
) -> Report:
    card, dataset = plan.predictor.card, plan.predictor.dataset
    dates = plan.targets[:, 0]
    first = plan.judges[0] if plan.observed_somewhere else None
    chosen = first.typical_date() if first is not None else None
    judged = chosen is not None
    chosen = len(dates) // 2 if chosen is None else chosen
    maps = next(plan.predictor.judged(plan.ends[chosen : chosen + 1])).to_judge
    if judged:
        series = series_panels(plan.judges[0], dataset, card)
    else:
        rain_mean, rain_cell = rain_of(dataset, card, dates, plan.cell)
        series = [
            ("Mean of the basin", np.array(plan.means), None, rain_mean),
            ("At the circled cell", np.array(plan.at_cell), None, rain_cell),
        ]
    period = f"{iso(dates[0])} to {iso(dates[-1])}, {len(dates)} dates"
    return Report(
        title=title or f"{look.label} predicted",
        subtitle=f"{look.label} ({look.units}), {dataset.name}, {period}",
        asked=[*asked, *model_lines(card), ("Period", period)],
        look=look,
        grid=dataset.grid,
        step_seconds=card.step_seconds,
        scores=scores,
        date=iso(dates[chosen]),
        predicted=maps[0, 0],
        observed=plan.reference.at(dates[chosen : chosen + 1])[0] if judged and plan.reference is not None else None,
        cell=plan.cell,
        dates=dates,
        series=series,
        nse_map=plan.judges[0].model.maps()["nse"] if judged else None,
        history=history,
        notes=plan.notes,
    )


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean(dtype=np.float64)) if finite.size else float("nan")
