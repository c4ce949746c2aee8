"""Why a prediction is what it is: contributions of every variable, cell and step back, as maps, table and chart."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
import torch
from torch import nn

from ..contracts.dates import format_step, parse_date
from ..contracts.errors import DataError, RunError
from ..contracts.events import Artifact, Event
from ..contracts.explain_checks import check_explainable
from ..contracts.files import write_text
from ..contracts.grid import Grid
from ..contracts.model_card import ModelCard, read_card
from ..contracts.result_jobs import ExplainJob
from ..contracts.run_folder import RunFolder
from ..data.scaling import Scaler
from ..data.splits import window_ends
from ..data.store import Dataset
from ..data.timeline import positions, shift
from ..data.windows import WindowData, build_window_data
from ..inference.artifacts import artifact_event, display_units, message, progress
from ..inference.geotiff import iso, write_map, write_series
from ..training.device import choose_device
from ..training.model_file import load_model
from .baselines import PRECIPITATION, WORDS, Question, build_question, check_baseline
from .chart import Answer, draw, save_svg_and_png
from .contributions import Contribution, contributions_of, range_limit, residual_share, season_name, summary, table
from .integrated_gradients import Attribution, PlaceMean, attribute
from .place import Place, place_of_cell, place_of_polygon

RAMP = "BrBG"
_WARN_SHARE = 0.01
_POINTS_AT_ONCE = 2  # pieces stay short, so that a cancel is heard soon
_CELL_STEPS_AT_ONCE = 250_000  # cells x steps whose states the backward pass keeps at once


@dataclass(frozen=True)
class _Case:
    """All that the results need to know of one run."""

    job: ExplainJob
    card: ModelCard
    grid: Grid
    mask: np.ndarray
    place: Place
    input_dates: np.ndarray
    target_date: np.datetime64
    observed: Optional[float]

    @property
    def steps_back(self) -> list[int]:
        """Steps from each input to the predicted date, oldest first; the lead is counted."""
        return [self.card.lead + back for back in range(self.card.window - 1, -1, -1)]


def explain(job: ExplainJob, run: RunFolder) -> Iterator[Event]:
    """Integrated gradients of the first lead at a cell, or of its mean over a polygon, at a date.

    Writes ``results/attribution_<variable>.tif`` (bands: input steps, oldest first; static maps: one band) in the
    target's unit, ``attribution.json``, ``attribution.csv``, ``attribution.png`` and ``attribution.svg``. Raises the
    :class:`FreshetError` family before anything is computed where place, date, model or dataset do not fit.
    """
    yield progress(0.0, "Reading the model and the dataset")
    check_baseline(job.baseline, _checked_card(job.model))
    device, why = choose_device(job.device)
    module, card = load_model(job.model, device)
    module.requires_grad_(False)
    yield message(f"Computing on {why}")
    with Dataset.open(job.dataset, job.sequence) as dataset:
        place = _place(job, dataset.grid, dataset.mask)
        end = find_end(dataset.times, dataset.step_seconds, card, job.date)
        data = build_window_data(dataset, card)
    question = build_question(job.baseline, card, data, end)
    found = yield from _compute(job, module, card, question, place, device, data.mask)
    yield progress(0.92, "Writing maps")
    case = _Case(
        job, card, data.grid, data.mask, place, data.times[end - card.window + 1 : end + 1],
        data.target_times(np.array([end]))[0, 0], _observed(data, card, place, end),
    )  # fmt: skip
    rows = contributions_of(card, found, _attributed(job.baseline, card))
    yield from _verdict(case, found, rows)
    yield from _write(case, found, rows, run)


def find_end(times: np.ndarray, step_seconds: float, card: ModelCard, text: str) -> int:
    """Last input step of the window that predicts the date ``text``; a day alone will do where it holds one step.

    Raises :class:`DataError` that says which dates are possible.
    """
    wanted = np.datetime64(parse_date(text, "The date to explain"), "s")
    ends = window_ends(times, step_seconds, card.window, card.lead, card.leads, need_target=False)
    possible = shift(times[ends], card.lead, step_seconds)
    hits = np.flatnonzero(possible == wanted)
    if not len(hits) and len(text.strip()) <= 10:
        same_day = np.flatnonzero(possible.astype("datetime64[D]") == wanted.astype("datetime64[D]"))
        hits = same_day if len(same_day) == 1 else hits
    if len(hits):
        return int(ends[hits[0]])
    nearest = possible[np.argmin(np.abs((possible - wanted).astype(np.int64)))]
    in_record = times[0] <= wanted <= times[-1]
    raise DataError(
        "There is no full window before this date" if in_record else "The date lies outside the dataset",
        expected=f"a date {_ranges(possible, step_seconds)}, whose window of {card.window} steps "
        f"({format_step(step_seconds)} each) has no gap",
        got=text.strip(),
        remedy=f"Choose one of these dates; the nearest is {iso(nearest)}",
    )


def _checked_card(path: str) -> ModelCard:
    card = read_card(path)
    check_explainable(card)
    return card


def _place(job: ExplainJob, grid: Grid, mask: np.ndarray) -> Place:
    if job.polygon:
        return place_of_polygon(grid, mask, job.polygon)
    return place_of_cell(grid, mask, job.x, job.y)


def _ranges(possible: np.ndarray, step_seconds: float, most: int = 3) -> str:
    """'from 1990-01-30 to 1991-05-02, from ...'."""
    cuts = np.flatnonzero(np.diff(positions(possible, step_seconds)) > 1) + 1
    runs = [f"from {iso(run[0])} to {iso(run[-1])}" for run in np.split(possible, cuts)]
    return ", ".join(runs[:most]) + (f" and {len(runs) - most} periods more" if len(runs) > most else "")


def _attributed(baseline: str, card: ModelCard) -> set[str]:
    """Names of the variables that the baseline changes."""
    if baseline == "dry":
        return {variable.name for variable in card.inputs if variable.quantity == PRECIPITATION}
    season = {season_name(card)} if card.season else set()
    return {variable.name for variable in (*card.inputs, *card.static)} | season


def _observed(data: WindowData, card: ModelCard, place: Place, end: int) -> Optional[float]:
    """The observed mean over the place in the target's unit, or None where it is not known in every cell."""
    if data.y is None or end + card.lead >= len(data.times):
        return None
    if data.times[end + card.lead] != data.target_times(np.array([end]))[0, 0]:
        return None  # a gap lies between the window and its target
    cells = place.weights > 0
    values = Scaler.from_dict(card.target.scaler).inverse(data.y[end + card.lead, 0][cells]).astype(np.float64)
    mean = float(values @ place.weights[cells])
    return mean if math.isfinite(mean) else None


def _compute(
    job: ExplainJob,
    module: nn.Module,
    card: ModelCard,
    question: Question,
    place: Place,
    device: str,
    mask: np.ndarray,
) -> Generator[Event, None, Attribution]:
    """Attribute within the halo of the place only; cells beyond it have no influence and get 0."""
    shape = question.x.shape[2:]
    rows, columns = _reach(place, module.halo_px(card.window), shape)
    window, height, width = question.x.shape[0], rows.stop - rows.start, columns.stop - columns.start
    at_once = max(1, min(_POINTS_AT_ONCE, _CELL_STEPS_AT_ONCE // (window * height * width)))
    tensors = [
        None if array is None else torch.from_numpy(np.array(array[..., rows, columns], order="C")).to(device)
        for array in (
            question.x, question.static, question.observed, question.baseline_x, question.baseline_static,
            mask[None, None].astype(np.float32),
        )
    ]  # fmt: skip
    x, static, observed, baseline_x, baseline_static, inside = tensors
    reduce = PlaceMean(place.weights[rows, columns], Scaler.from_dict(card.target.scaler))
    work = attribute(module, x, static, observed, reduce, baseline_x, baseline_static, job.steps, at_once, inside)
    found = yield from _as_progress(work, job.steps)
    return Attribution(
        _put_back(found.x, shape, rows, columns),
        None if found.static is None else _put_back(found.static, shape, rows, columns),
        found.prediction,
        found.baseline_prediction,
    )


def _as_progress(work: Generator[float, None, Attribution], steps: int) -> Generator[Event, None, Attribution]:
    yield progress(0.05, "Integrating gradients")
    while True:
        try:
            share = next(work)
        except StopIteration as end:
            return _finite(end.value)
        yield progress(0.05 + 0.85 * share, f"Integrating gradients, {round(share * steps)} of {steps} steps")


def _finite(found: Attribution) -> Attribution:
    if not math.isfinite(found.residual):
        raise RunError(
            "The contributions are not finite",
            got=f"a prediction of {found.prediction:g} and a baseline prediction of {found.baseline_prediction:g}",
            remedy="Look for extreme values in this window, or choose another date",
        )
    return found


def _reach(place: Place, halo_px: int, shape: tuple[int, int]) -> tuple[slice, slice]:
    top, bottom, left, right = place.box
    return (
        slice(max(0, top - halo_px), min(shape[0], bottom + halo_px)),
        slice(max(0, left - halo_px), min(shape[1], right + halo_px)),
    )


def _put_back(part: np.ndarray, shape: tuple[int, int], rows: slice, columns: slice) -> np.ndarray:
    whole = np.zeros((*part.shape[:-2], *shape))
    whole[..., rows, columns] = part
    return whole


def _verdict(case: _Case, found: Attribution, rows: list[Contribution]) -> Iterator[Event]:
    """The answer as a sentence, and a warning where it does not add up."""
    units = display_units(case.card.target.units)
    parts = sorted((row for row in rows if row.attributed), key=lambda row: -abs(row.total))
    words = ", ".join(f"{row.label} {row.total:+.4g}" for row in parts)
    share = residual_share(found, rows)
    yield message(
        f"{_label(case)} at {case.place.words} on {iso(case.target_date)}: {found.prediction:.4g} ({units}); "
        f"{found.baseline_prediction:.4g} with {WORDS[case.job.baseline]}. {words}. "
        f"Left unexplained: {found.residual:+.2g}, {_percent(share)} of what was explained."
    )
    if share > _WARN_SHARE:
        yield message(
            f"The contributions leave {100 * share:.1f} % unexplained, more than 1 %. "
            f"Raise the steps, now {case.job.steps}, for instance to {min(1000, 4 * case.job.steps)}.",
            "warning",
        )


def _write(case: _Case, found: Attribution, rows: list[Contribution], run: RunFolder) -> Iterator[Event]:
    limit = range_limit(rows)
    shown = [row for row in rows if row.attributed]
    for number, row in enumerate(shown):
        yield artifact_event(_write_raster(case, row, limit, run))
        yield progress(0.92 + 0.05 * (number + 1) / len(shown), f"Wrote {row.file_name}")
    dates = [iso(date) for date in case.input_dates]
    write_text(run.results / "attribution.csv", table(rows, dates, case.steps_back))
    yield artifact_event(_table(case, "attribution.csv", "Contributions by variable and step back"))
    facts = {**summary(rows, found), **_facts(case, dates)}
    write_text(run.results / "attribution.json", json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False))
    yield artifact_event(_table(case, "attribution.json", "Contributions and completeness"))
    figure = draw(_answer(case, found, rows))
    for path in save_svg_and_png(figure, run.results, "attribution"):
        yield artifact_event(
            Artifact(kind="chart", path=f"results/{path}", title=f"Why: {_label(case)} on {iso(case.target_date)}")
        )


def _write_raster(case: _Case, row: Contribution, limit: float, run: RunFolder) -> Artifact:
    path, units = run.results / row.file_name, display_units(case.card.target.units)
    title = f"{row.label}: contribution to {_lower(_label(case))} on {iso(case.target_date)}"
    # Cells outside the basin stay where they contributed: the model may read rain beyond the divide.
    maps = np.where(~case.mask & (row.maps == 0).all(axis=0), np.nan, row.maps)
    if row.static:
        write_map(path, maps[0], case.grid, units=units, label=title)
    else:
        write_series(path, maps, case.grid, case.input_dates, units=units, label=title)
    return Artifact(
        kind="attribution", path=f"results/{row.file_name}", title=f"{title} ({units})", variable=row.name, units=units,
        ramp=RAMP, minimum=-limit, maximum=limit, dates=() if row.static else tuple(iso(d) for d in case.input_dates),
        step_seconds=case.card.step_seconds, note=_note(case, row),
        group=f"Why: {_label(case)}, {iso(case.target_date)}",
    )  # fmt: skip


def _note(case: _Case, row: Contribution) -> str:
    bands = "" if row.static else " One band a step of the window, oldest first."
    return (
        f"Positive (green): it raised the prediction; negative (brown): it lowered it; compared with "
        f"{WORDS[case.job.baseline]}.{bands} All cells{'' if row.static else ' and steps'} together: "
        f"{row.total:+.3g} ({display_units(case.card.target.units)})."
    )


def _table(case: _Case, name: str, title: str) -> Artifact:
    return Artifact(kind="table", path=f"results/{name}", title=title, units=display_units(case.card.target.units))


def _facts(case: _Case, dates: list[str]) -> dict[str, Any]:
    return {
        "method": case.job.method, "baseline": case.job.baseline, "steps": case.job.steps, "place": case.place.facts,
        "date": iso(case.target_date), "units": display_units(case.card.target.units),
        "target": case.card.target.name, "target_label": _label(case), "lead": case.card.lead,
        "step_seconds": case.card.step_seconds, "steps_back": case.steps_back, "input_dates": dates,
        "observed": case.observed, "model": case.card.title,
    }  # fmt: skip


def _answer(case: _Case, found: Attribution, rows: list[Contribution]) -> Answer:
    share = residual_share(found, rows)
    subtitle = (
        f"{case.place.words[0].upper()}{case.place.words[1:]}, compared with {WORDS[case.job.baseline]} "
        f"(integrated gradients, {case.job.steps} steps, {_percent(share)} left unexplained)"
    )
    return Answer(
        title=f"Why: {_lower(_label(case))} on {iso(case.target_date)}", subtitle=subtitle, target=_label(case),
        units=display_units(case.card.target.units), date=iso(case.target_date),
        step=format_step(case.card.step_seconds),
        steps_back=case.steps_back, rows=[row for row in rows if row.attributed], found=found,
        grid=case.grid, mask=case.mask, weights=case.place.weights, limit_ramp=RAMP,
    )  # fmt: skip


def _label(case: _Case) -> str:
    return case.card.target.label or case.card.target.name


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share >= 1e-4 else "less than 0.01 %"


def _lower(label: str) -> str:
    """The label inside a sentence; an abbreviation keeps its capitals."""
    return label[0].lower() + label[1:] if label[1:2].islower() else label
