"""Maps of a saved model for a period, beside the observed ones and their difference where the target is at hand."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any, Optional

import numpy as np

from ..contracts import PredictJob
from ..contracts.events import Artifact, Event
from ..contracts.model_card import read_card
from ..contracts.run_folder import RunFolder
from ..contracts.variables import quantity
from .artifacts import (
    DELTA_RAMP,
    artifact_event,
    delta_note,
    file_name,
    message,
    relative,
    sequential_range,
    symmetric_limit,
)
from .at_gauges import predict_gauges
from .ensemble_maps import is_of_members, write_spread
from .evaluate import look_of, model_lines, rain_of, series_panels, write_score_maps, write_scores
from .figures import Look
from .geotiff import iso
from .judge import scores_document
from .making import Making
from .part import part_of
from .pieces import folder_of
from .predictor import Predictor
from .report import Report, write_report
from .selection import choose_ends
from .tiles import rounded_px, whole_frame
from .training_mean import MeanOfTraining
from .writing import Plan, observed_dates, plan_of, title_of, write_maps


def predict(job: PredictJob, run: RunFolder) -> Iterator[Event]:
    """predicted.tif (one a lead); observed.tif, delta.tif and scores.json where the dataset holds the target;
    report.html. Of a model that fills gaps also filled.tif: what was observed, and elsewhere what is predicted.

    Raises :class:`ModelFileError`, :class:`DataError` where model, dataset or period do not fit; :class:`RunError`
    where the disc is full.
    """
    card = read_card(job.model)
    for target in range(len(card.targets)):
        options = {"sequence": job.sequence, "batch": job.batch, "tile_px": rounded_px(job.tile), "target": target}
        with Predictor(job.model, job.dataset, job.device, carry=job.carry, **options) as predictor:
            yield message(f"Device {predictor.why_device}.")
            for why in (predictor.why_tiles, predictor.why_carried):
                if why:
                    yield message(why)
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
    making = Making(predictor, ends, folder_of(run))
    plan = plan_of(making, run, known)
    for note in plan.notes:
        yield message(note, "warning")
    if making.words:
        yield message(making.words)
    yield from write_maps(plan)
    look = look_of(predictor.card, *sequential_range(plan.values), symmetric_limit(plan.deltas))
    yield from _tell(plan, look)
    scores = scores_document(plan.judges, predictor.card, predictor.dataset) if plan.observed_somewhere else None
    if scores is not None:
        yield from write_scores(scores, run)
        yield from write_score_maps(plan.judges, predictor.card, predictor.dataset.grid, look, run)
    if is_of_members(predictor):
        yield from write_spread(predictor, ends, run, look)
    write_report(run.report_file, _report(plan, title, asked, history, look, scores))
    yield artifact_event(Artifact(kind="report", path=relative(run, run.report_file), title="Report"))
    making.close()
    return scores


def _tell(plan: Plan, look: Look) -> Iterator[Event]:
    """Artifacts: predicted and observed share one range over all dates, the delta is symmetric about 0."""
    for number, lead in enumerate(plan.leads):
        dates = tuple(iso(date) for date in plan.targets[:, number])
        yield _artifact(plan, "predicted", number, file_name("predicted", lead, plan.leads[0]), dates, look)
        if plan.fills:
            yield _artifact(plan, "filled", number, file_name("filled", lead, plan.leads[0]), dates, look)
        if plan.observed_somewhere:
            if number == 0:
                yield _artifact(
                    plan, "observed", 0, "observed.tif", tuple(iso(date) for date in observed_dates(plan)), look
                )
            yield _artifact(plan, "delta", number, file_name("delta", lead, plan.leads[0]), dates, look)


def _artifact(plan: Plan, kind: str, number: int, name: str, dates: tuple[str, ...], look: Look) -> Event:
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
            title=title_of(plan, kind, number),
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
    plan: Plan,
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
    whole = whole_frame(plan.predictor.data.mask.shape).inner
    if judged:
        series = series_panels(plan.judges[0], dataset, card)
    else:
        rain_mean, rain_cell = rain_of(dataset, card, dates, plan.cell)
        series = [
            ("Mean of the basin", plan.means, None, rain_mean),
            ("At the circled cell", plan.at_cell, None, rain_cell),
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
        predicted=plan.making.map_of(chosen)[0],
        observed=plan.observed.at(dates[chosen : chosen + 1], whole)[0] if judged else None,
        cell=plan.cell,
        dates=dates,
        series=series,
        nse_map=plan.judges[0].model.maps(("nse",))["nse"] if judged else None,
        history=history,
        notes=plan.notes,
    )
