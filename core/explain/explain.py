"""Why a prediction is what it is: contributions of every variable, cell and step back, as maps, tables, charts."""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
from torch import nn

from ..contracts.events import Artifact, Event, EventKind
from ..contracts.model_card import ModelCard
from ..contracts.question_checks import check_baseline
from ..contracts.result_jobs import ExplainJob
from ..contracts.run_folder import RunFolder
from ..data.scaling import Scaler
from ..data.store import Dataset
from ..data.timeline import shift
from ..data.windows import WindowData
from ..inference.artifacts import artifact_event, message, progress
from ..inference.geotiff import iso
from .asking import heeding_cancel
from .baselines import build_question, changed_by
from .chart import draw, lag_figure, save_svg_and_png
from .contributions import Clock, Contribution, ahead_name, contributions_of, residual_share, season_name, table
from .cost import Cost, estimate
from .dates import find_end
from .ensemble import Gathering, Member, Spread, aligned, longest, mean_check, members_of
from .explained import Attribution
from .lags import lag_table, lags_of, step_unit
from .methods import Settings, finite, method_for
from .place import Place
from .problem import Framed, background_of, build_problem
from .reporting import write_report
from .results import DRAFTS, Case, answer_of, facts_of, percent, write_delays, write_maps, write_region, write_table
from .sanity import DELETIONS, Sanity, check
from .session import Held, Session, place_for
from .spread_files import write_spread

_WARN_SHARE = 0.01
_DRAFTS_AFTER = (8, 32)  # points or samples after which a picture is shown
_SETTINGS = ("steps", "samples", "noise", "seed", "block", "block_steps", "sigma", "layer")


def explain(job: ExplainJob, run: RunFolder, session: Optional[Session] = None) -> Iterator[Event]:
    """Attribute one lead of one target at a cell, a gauge, or its mean over a polygon or the basin, at a date.

    Writes into ``results``: ``attribution_<variable>.tif`` (bands: input steps, oldest first; one band where steps are
    not told apart) in the target's unit, ``attribution.json``, ``.csv``, ``.png`` and ``.svg``; by steps back
    ``lags.csv``, ``.png``, ``.svg`` and ``delay.tif``; ``region.geojson``; and ``report.html``. On request
    ``deletion.csv``. With further ``members`` all of that is of the mean of the models, and ``spread_<variable>.tif``
    and ``members.csv`` say how far they lie apart. The cost is told first, and is all with ``estimate``. A ``session``
    keeps models and dataset loaded from one question to the next. Raises the :class:`FreshetError` family before
    anything is computed where place, date, model or dataset do not fit.
    """
    yield progress(0.0, "Reading the model and the dataset")
    members = members_of(job)
    for member in members:
        check_baseline(job.baseline, member.card)
    card, session = longest(members), session or Session()
    yield message(f"Computing on {session.model(job.model, job.device)[3]}")
    with Dataset.open(job.dataset, job.sequence) as dataset:
        place = place_for(job, card, dataset)
        end = find_end(dataset.times, dataset.step_seconds, card, job.date, members[0].lead)
        held = session.held(dataset, members[0].card)
        if not held.train_known and job.baseline == "climatology":
            yield message("The model does not know this record: its climatology is that of all its dates.", "warning")
        case = _case(job, card, held, place, end, members[0])
        told = _Told(Gathering(), [], None)
        try:
            for number in range(len(members)):
                events = _asked_of(case, members, number, session, dataset, end, told, run)
                yield from _share_of(events, number, len(members))
                if job.estimate:
                    return
        finally:
            with contextlib.suppress(OSError):  # a program that shows a draft may hold its file
                shutil.rmtree(run.results / DRAFTS)
    yield progress(0.92, "Writing maps")
    whole = told.gathered.mean()
    spread = told.gathered.spread(case.method) if len(members) > 1 else None
    rows = contributions_of(case.card, whole, attributed_by(job, case.card))
    sane = mean_check(told.checks) if told.checks else None
    yield from _verdict(case, whole, rows, sane, spread)
    yield from _write(case, whole, rows, sane, spread, told.cost.facts(), run)


@dataclass
class _Told:
    """What the models have said so far."""

    gathered: Gathering
    checks: list[Sanity]
    cost: Optional[Cost]


def _asked_of(
    case: Case, members: list[Member], number: int, session: Session, dataset: Dataset, end: int, told: _Told,
    run: RunFolder,
) -> Iterator[Event]:  # fmt: skip
    """Ask one of the models; adds its answer to ``told``."""
    job, member = case.job, members[number]
    own = session if number == 0 else session.member(member.path)
    module, card, device, _ = own.model(member.path, job.device)
    held = own.held(dataset, card)
    with heeding_cancel(module, run):
        framed = _framed(job, module, card, held, case.place, end, device, (member.lead, member.target))
        settings = Settings(**{name: getattr(job, name) for name in _SETTINGS})
        if number == 0:
            one = estimate(framed.problem, case.method, settings, job.check_method, DELETIONS, exact=job.estimate)
            told.cost = one.of(len(members))
            yield told.cost.event()
            if job.estimate:
                return
        found = yield from _compute(case, framed, settings, run, drafts=number == 0)
        if job.check_method:
            told.checks.append((yield from _checked(case, framed, found, settings)))
    whole = framed.put_back(found)
    if len(members) > 1:
        whole = aligned(whole, card, case.card, case.method)
    told.gathered.add(member, whole, contributions_of(case.card, whole, attributed_by(job, case.card)))
    if 1 < told.gathered.count < len(members):
        yield from _draft(case, told.gathered.mean(), (told.gathered.count, len(members)), "model", 0.9, run)


def _share_of(events: Iterator[Event], number: int, count: int) -> Iterator[Event]:
    """The same events of one of ``count`` models, their progress within its share."""
    for event in events:
        if event.kind is EventKind.PROGRESS and count > 1:
            fraction = (0.9 * number + event.values["fraction"]) / count
            text = f"Model {number + 1} of {count}: {event.values['text']}"
            event = Event(event.kind, {**event.values, "fraction": fraction, "text": text})
        yield event


def attributed_by(job: ExplainJob, card: ModelCard) -> set[str]:
    """Names of the variables that the baseline changes."""
    kind = "climatology" if job.method == "expected-gradients" else job.baseline
    names = {variable.name for variable in card.inputs if changed_by(kind, variable)}
    names |= {ahead_name(card, variable.name) for variable in card.ahead if changed_by(kind, variable)}
    if kind == "mean":
        names |= {variable.name for variable in card.static}
    if card.season and (kind == "mean" or job.method == "expected-gradients"):
        names.add(season_name(card))
    return names


def _case(job: ExplainJob, card: ModelCard, held: Held, place: Place, end: int, member: Member) -> Case:
    """``card`` has the longest window of the models and the asked target first; ``held`` is that of ``member``."""
    data, lead, target = held.data, member.lead, member.target
    targets = data.target_times(np.array([end]))[0]
    dates = data.times[end - card.window + 1 : end + 1]
    asked = card.lead + lead
    clock = Clock(
        [asked + back for back in range(card.window - 1, -1, -1)], [iso(date) for date in dates],
        [lead - step for step in range(card.leads)] if card.ahead else [],
        [iso(date) for date in targets] if card.ahead else [],
    )  # fmt: skip
    return Case(
        job, card, method_for(job.method, card), data.grid, data.mask, place, clock, dates, targets, targets[lead],
        asked, _observed(data, member.card, place, end, asked, target),
    )  # fmt: skip


def _observed(data: WindowData, card: ModelCard, place: Place, end: int, steps: int, target: int) -> Optional[float]:
    """The observed mean over the place in the target's unit, or None where it is not known in every cell."""
    if data.y is None or end + steps >= len(data.times):
        return None
    if data.times[end + steps] != shift(data.times[[end]], steps, data.step_seconds)[0]:
        return None  # a gap lies between the window and its target
    cells = place.frame > 0
    values = Scaler.from_dict(card.targets[target].scaler).inverse(data.y[end + steps, target][cells])
    mean = float(values.astype(np.float64) @ place.frame[cells])
    return mean if math.isfinite(mean) else None


def _framed(
    job: ExplainJob, module: nn.Module, card: ModelCard, held: Held, place: Place, end: int, device: str,
    output: tuple[int, int],
) -> Framed:  # fmt: skip
    question = build_question(job.baseline, card, held.data, end, held.train)
    background = None
    if job.method == "expected-gradients":
        background = background_of(held.data, question, held.training_ends(), job.seed)
    return build_problem(
        module, card, question, place, held.data.mask, device, lead=output[0], target=output[1], background=background
    )


def _compute(
    case: Case, framed: Framed, settings: Settings, run: RunFolder, *, drafts: bool
) -> Generator[Event, None, Attribution]:
    """Run the method; a first picture appears early and is replaced."""
    words = f"{case.method.words[0].upper()}{case.method.words[1:]}"
    share = 0.45 if case.job.check_method else 0.85
    yield progress(0.05, words)
    work = case.method.run(framed.problem, settings)
    waiting = list(_DRAFTS_AFTER) if drafts else []
    while True:
        try:
            step = next(work)
        except StopIteration as end:
            return finite(end.value)
        fraction = 0.05 + share * min(1.0, step.done / step.of)
        yield progress(fraction, f"{words}, {step.done} of {step.of}")
        if waiting and step.sofar is not None and waiting[0] <= step.done < step.of:
            waiting = [count for count in waiting if count > step.done]
            found = framed.put_back(finite(step.sofar()))
            yield from _draft(case, found, (step.done, step.of), "", fraction, run)


def _draft(
    case: Case, found: Attribution, counts: tuple[int, int], unit: str, fraction: float, run: RunFolder
) -> Iterator[Event]:
    """The answer so far: totals as a PROGRESS event, maps under a kind of their own. ``counts`` are done and of how
    many, of what ``unit`` names.
    """
    rows = contributions_of(case.card, found, attributed_by(case.job, case.card))
    yield from write_maps(case, rows, run, draft=True)
    so_far: dict[str, Any] = {
        "done": counts[0], "of": counts[1], "variables": {row.name: row.total for row in rows},
        "prediction": found.prediction, "baseline_prediction": found.baseline_prediction,
        "residual_share": residual_share(found, rows),
    }  # fmt: skip
    text = f"A picture after {f'{unit} ' if unit else ''}{counts[0]} of {counts[1]}"
    yield Event(EventKind.PROGRESS, {"fraction": fraction, "text": text, "so_far": so_far})


def _checked(case: Case, framed: Framed, found: Attribution, settings: Settings) -> Generator[Event, None, Sanity]:
    work = check(framed.problem, found, case.method, settings)
    while True:
        try:
            step = next(work)
        except StopIteration as end:
            return end.value
        yield progress(0.5 + 0.4 * min(1.0, step.done / step.of), "Checking the method")


def _verdict(
    case: Case, found: Attribution, rows: list[Contribution], sane: Optional[Sanity], spread: Optional[Spread]
) -> Iterator[Event]:
    """The answer as a sentence, and a warning where it does not add up."""
    parts = sorted((row for row in rows if row.attributed), key=lambda row: -abs(row.total))
    words = ", ".join(f"{row.label} {row.total:+.4g}{_give_or_take(spread, row.name)}" for row in parts)
    share = residual_share(found, rows)
    left = f" Left unexplained: {found.residual:+.2g}, {percent(share)} of what was explained."
    models = "" if spread is None else f", the mean of {len(spread.members)} models \u00b1 {spread.prediction:.2g}"
    yield message(
        f"{case.label} at {case.place.words} on {case.date}: {found.prediction:.4g} ({case.units}){models}; "
        f"{found.baseline_prediction:.4g} with {case.against}. {words}.{left if case.method.complete else ''}"
    )
    points = found.facts.get("points", 0)
    if points > case.job.steps:
        yield message(
            f"{case.job.steps} steps left more than 1 % unexplained: the path was refined where it bends, to {points}."
        )
    if share > _WARN_SHARE and case.method.complete:
        what, now = ("samples", case.job.samples) if "samples" in found.facts else ("steps", case.job.steps)
        yield message(
            f"The contributions leave {100 * share:.1f} % unexplained, more than 1 %. "
            f"Raise the {what}, now {now}, for instance to {min(1000, 4 * now)}.",
            "warning",
        )
    if sane is not None and sane.correlation is not None:
        yield message(
            f"Rank correlation with a model of randomised weights: {sane.correlation:+.2f} (near 0 is good). Area "
            f"between the deletion curves: {sane.area or 0.0:+.2f} (above 0 the attributed inputs count more)."
        )


def _give_or_take(spread: Optional[Spread], name: str) -> str:
    return "" if spread is None else f" \u00b1 {spread.totals[name]:.2g}"


def _write(
    case: Case, found: Attribution, rows: list[Contribution], sane: Optional[Sanity], spread: Optional[Spread],
    cost: dict, run: RunFolder,
) -> Iterator[Event]:  # fmt: skip
    run.results.mkdir(parents=True, exist_ok=True)
    lags = lags_of(rows, case.clock)
    yield from write_maps(case, rows, run)
    yield from write_delays(case, rows, run)
    yield from write_region(case, rows, run)
    title = "Contributions by variable and step back"
    yield write_table(case, run, "attribution.csv", table(rows, case.clock, spread), title)
    if spread is not None:
        yield from write_spread(case, rows, spread, run)
    if lags is not None:
        yield write_table(case, run, "lags.csv", lag_table(lags), "Contributions by steps back")
    if sane is not None:
        yield write_table(case, run, "deletion.csv", sane.table(), "Deletion curve")
    more = {"cost": cost, "check": None if sane is None else sane.facts()}
    more["ensemble"] = None if spread is None else spread.facts()
    text = facts_of(case, found, rows, lags, more)
    yield write_table(case, run, "attribution.json", text, "Contributions and completeness")
    yield progress(0.97, "Drawing")
    figures = {"attribution": draw(answer_of(case, found, rows, spread))}
    if lags is not None:
        figures["lags"] = lag_figure(lags, rows, case.units, step_unit(case.card.step_seconds), case.date)
    words = {"attribution": "Why", "lags": "By steps back"}
    for stem, figure in figures.items():
        for path in save_svg_and_png(figure, run.results, stem):
            chart = Artifact(kind="chart", path=f"results/{path}", title=f"{words[stem]}: {case.label} on {case.date}")
            yield artifact_event(chart)
    drawn = {stem: run.results / f"{stem}.png" for stem in figures}  # drawing them once more takes as long again
    yield write_report(case, found, rows, lags, sane, spread, drawn, cost, run)
