"""Shares of contribution over many dates: by variable and season, and cumulative by steps back.

The mean percentage of absolute contribution, as in the water-balance paper (after Topp et al. 2023,
doi:10.1029/2022WR033880): of each date the contributions by integrated gradients, added up over the cells of each step,
their sizes as shares of that date, and of these the mean over the dates. A wet day counts as much as a dry one.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from ..contracts import SharesJob
from ..contracts.events import Artifact, Event
from ..contracts.files import write_text
from ..contracts.model_card import ModelCard
from ..contracts.question_checks import check_baseline, check_shares
from ..contracts.run_folder import RunFolder
from ..inference.artifacts import artifact_event, message, progress
from ..inference.geotiff import iso
from ..inference.selection import choose_ends
from .asking import Subject, cost_event, spread, subject_of, training_steps
from .baselines import WORDS, build_question
from .chart import save_svg_and_png
from .contributions import Contribution, ahead_name, contributions_of, residual_share, season_name
from .explained import Attribution
from .lags import step_unit
from .methods import Settings, finite, method_for
from .page import Page
from .place import Place
from .problem import build_problem
from .question_charts import share_figure
from .session import Session, place_for

ALL = "All dates"
SEASONS = ("Dec-Feb", "Mar-May", "Jun-Aug", "Sep-Nov")
METHOD = "integrated-gradients"
ASSUMES = (
    "Sizes are taken of each step's sum over the cells: contributions of neighbouring cells that cancel do not count.",
    "A share tells how much a variable moved the predictions away from the baseline, not how much better it made them.",
)


@dataclass(frozen=True)
class _Asked:
    """The place as :func:`core.explain.session.place_for` wants it."""

    x: Optional[float]
    y: Optional[float]
    polygon: str
    gauge: str
    basin: bool


@dataclass(frozen=True)
class Shares:
    """``of_step`` (n, V, T): share of each step of each variable in the sizes of a date, oldest first; ``whole`` (n, V)
    the share of each variable, static maps included. ``dates`` (n,); ``residuals`` (n,) shares left unexplained.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    dates: np.ndarray
    whole: np.ndarray
    of_step: np.ndarray
    residuals: np.ndarray

    def by_season(self) -> dict[str, dict[str, float]]:
        """Mean share of each variable by its label: over all dates, then of each season that has dates."""
        months = self.dates.astype("datetime64[M]").astype(int) % 12  # 0 is January
        seasons = ((months + 1) // 3) % 4  # 0 is December to February
        chosen = {ALL: np.ones(len(self.dates), dtype=bool)}
        chosen.update({name: seasons == number for number, name in enumerate(SEASONS)})
        return {
            name: dict(zip(self.labels, (float(share) for share in self.whole[dates].mean(axis=0))))
            for name, dates in chosen.items()
            if dates.any()
        }

    def cumulative(self) -> np.ndarray:
        """(V, T): mean shares added up from the last step of the window on, so that entry 0 is the last step alone."""
        return np.cumsum(self.of_step.mean(axis=0)[:, ::-1], axis=1)


def shares(job: SharesJob, run: RunFolder, session: Optional[Session] = None) -> Iterator[Event]:
    """``shares.csv`` (by season), ``cumulative.csv`` (by steps back), ``shares.json``, ``.png``, ``.svg`` and
    ``report.html``.

    A ``session`` keeps model and dataset loaded from one question to the next.

    Raises :class:`ModelFileError` for a model without gradients, and the :class:`FreshetError` family where place or
    period do not fit.
    """
    yield progress(0.0, "Reading the model and the dataset")
    with subject_of(job, run, session) as subject:
        check_shares(subject.card)
        check_baseline(job.baseline, subject.card)
        nowhere = job.x is None and not (job.polygon or job.gauge)
        asked = _Asked(job.x, job.y, job.polygon, job.gauge, nowhere)
        place = place_for(asked, subject.card, subject.dataset)
        ends, why = choose_ends(subject.data, subject.card, subject.dataset, job.period, need_target=False)
        ends = spread(ends, job.dates)
        yield message(f"Device {subject.predictor.why_device}. {why} {len(ends)} dates.")
        found = yield from measure(subject, place, ends, job.baseline, job.steps)
        yield from _write(subject, found, place, job, run)


def measure(
    subject: Subject, place: Place, ends: np.ndarray, baseline: str, steps: int
) -> Generator[Event, None, Shares]:
    """Attribute each date. Tells the cost after the first."""
    card, train, begin = subject.card, training_steps(subject), time.monotonic()
    names: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    whole, of_step, residuals = [], [], []
    for number, end in enumerate(ends):
        question = build_question(baseline, card, subject.data, int(end), train)
        framed = build_problem(
            subject.module, card, question, place, subject.data.mask, subject.device, lead=subject.lead,
            target=subject.target,
        )  # fmt: skip
        work = method_for(METHOD, card).run(framed.problem, Settings(steps=steps))
        found: Optional[Attribution] = None
        while found is None:
            try:
                step = next(work)
            except StopIteration as stop:
                found = finite(stop.value)
                continue
            share = (number + min(1.0, step.done / max(1, step.of))) / len(ends)
            yield progress(0.02 + 0.92 * share, f"Date {number + 1} of {len(ends)}")
        rows = contributions_of(card, found, _everything(card))
        names, labels = tuple(row.name for row in rows), tuple(row.label for row in rows)
        sizes = [_sizes(row, card.window) for row in rows]
        total = sum(float(single + steps_of.sum()) for single, steps_of in sizes) or 1.0
        whole.append([(single + steps_of.sum()) / total for single, steps_of in sizes])
        of_step.append([steps_of / total for _, steps_of in sizes])
        residuals.append(residual_share(found, rows))
        if number == 0:
            yield cost_event(f"{len(ends)} dates", (time.monotonic() - begin) * len(ends))
    return Shares(names, labels, subject.dates(ends), np.array(whole), np.array(of_step), np.array(residuals))


def _sizes(row: Contribution, window: int) -> tuple[float, np.ndarray]:
    """Size without a step (of a static map, or of what is known ahead), and of each step of the window."""
    if row.static or row.ahead:
        return float(np.abs(row.maps.sum(axis=(1, 2))).sum()), np.zeros(window)
    return 0.0, np.abs(row.by_step)


def _everything(card: ModelCard) -> set[str]:
    names = {variable.name for variable in (*card.inputs, *card.static)} | {season_name(card)}
    return names | {ahead_name(card, variable.name) for variable in card.ahead}


def _write(subject: Subject, found: Shares, place: Place, job: SharesJob, run: RunFolder) -> Iterator[Event]:
    run.results.mkdir(parents=True, exist_ok=True)
    seasons, cumulative = found.by_season(), found.cumulative()
    back = [subject.lead_steps + number for number in range(subject.card.window)]
    timed = [number for number in range(len(found.names)) if found.of_step[:, number].any()]
    _table(
        run,
        "shares.csv",
        ("season", "variable", "share"),
        [(season, name, share) for season, held in seasons.items() for name, share in zip(found.names, held.values())],
    )
    _table(
        run, "cumulative.csv", ("variable", "step_back", "cumulative_share"),
        [(found.names[v], step, cumulative[v, at]) for v in timed for at, step in enumerate(back)],
    )  # fmt: skip
    facts = _facts(subject, found, place, job, seasons, {found.names[v]: cumulative[v].tolist() for v in timed}, back)
    write_text(run.results / "shares.json", json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False))
    title = f"What moved {subject.label[0].lower()}{subject.label[1:]}: shares of {len(found.dates)} dates"
    for name in ("shares.csv", "cumulative.csv", "shares.json"):
        yield artifact_event(Artifact(kind="table", path=f"results/{name}", title=title, units="-"))
    lines = {found.labels[v]: cumulative[v].tolist() for v in timed}
    figure = share_figure(seasons, lines, back, step_unit(subject.card.step_seconds))
    for name in save_svg_and_png(figure, run.results, "shares"):
        yield artifact_event(Artifact(kind="chart", path=f"results/{name}", title=title, units="-"))
    first = sorted(seasons[ALL].items(), key=lambda item: -item[1])
    words = ", ".join(f"{label} {100 * share:.1f} %" for label, share in first)
    yield message(f"Shares over {len(found.dates)} dates: {words}.")
    half = _half(cumulative[timed].sum(axis=0), back)
    answer = [f"Shares over all dates: {words}."]
    answer += [f"Half of what steps contribute comes from the last {half} steps back."] if half is not None else []
    answer.append(f"Left unexplained: {100 * float(np.median(found.residuals)):.2g} % in the median date.")
    rows = [[season, *(f"{100 * share:.1f} %" for share in held.values())] for season, held in seasons.items()]
    yield Page(
        title=title,
        subtitle=f"{place.words[0].upper()}{place.words[1:]}, {subject.dataset.name}, compared with "
        f"{WORDS[job.baseline]}",
        asked=[
            ("Model", job.model), ("Dataset", job.dataset), ("Sequence", subject.dataset.sequence),
            ("Dates", f"{len(found.dates)} from {iso(found.dates[0])} to {iso(found.dates[-1])}"),
            ("Method", f"Integrated gradients, {job.steps} steps"),
        ],
        answer=answer,
        figures=[("Shares", figure)],
        tables=[("By season", (("Season", *found.labels), rows))],
        assumes=ASSUMES,
    ).write(run)  # fmt: skip


def _half(cumulative: np.ndarray, back: Sequence[int]) -> Optional[int]:
    if not cumulative.size or cumulative[-1] <= 0:
        return None
    return int(back[int(np.searchsorted(cumulative, 0.5 * cumulative[-1]))])


def _facts(
    subject: Subject, found: Shares, place: Place, job: SharesJob, seasons: dict[str, dict[str, float]],
    cumulative: dict[str, list[float]], back: list[int],
) -> dict[str, Any]:  # fmt: skip
    return {
        "question": "shares", "target": subject.card.target.name, "target_label": subject.label,
        "place": place.facts, "method": METHOD, "baseline": job.baseline, "steps": job.steps,
        "dates": [iso(date) for date in found.dates], "labels": dict(zip(found.names, found.labels)),
        "by_season": {season: dict(zip(found.names, held.values())) for season, held in seasons.items()},
        "step_seconds": subject.card.step_seconds, "steps_back": back, "cumulative": cumulative,
        "residual_share_median": float(np.median(found.residuals)),
        "residual_share_most": float(found.residuals.max()), "model": subject.card.title,
        "dataset": subject.dataset.name, "assumes": list(ASSUMES),
    }  # fmt: skip


def _table(run: RunFolder, name: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([f"{cell:.7g}" if isinstance(cell, float) else cell for cell in row] for row in rows)
    write_text(run.results / name, text.getvalue())
