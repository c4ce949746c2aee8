"""What a what-if leaves: maps of the change, hydrographs, table, numbers, page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..contracts import WhatIfJob
from ..contracts.events import Artifact, Event
from ..contracts.files import write_text
from ..contracts.run_folder import RunFolder
from ..contracts.variables import quantity
from ..inference.artifacts import RangeSampler, artifact_event, lead_words, rounded, sequential_range
from ..inference.figures import map_figure
from ..inference.geotiff import iso, write_series
from .asking import Subject
from .chart import save_svg_and_png
from .page import Page
from .question_charts import hydrographs
from .what_if import Response, Series
from .what_if_water import Water, answer_of

RAMP = "RdBu"
_PANELS = 6
ASSUMES = (
    "The model answers, not the basin: it carries what it has learnt over to weather that it may never have seen.",
    "Only the input that is named changes. Warmer air with the same rain and radiation is weather that seldom comes.",
)


def write(
    subject: Subject, response: Response, series: Sequence[Series], water: Water, job: WhatIfJob, run: RunFolder
) -> Iterator[Event]:
    """All files of the answer, and the events that tell of them."""
    run.results.mkdir(parents=True, exist_ok=True)
    limit = _limit(response)
    if not subject.card.gauges:
        yield from _maps(subject, response, limit, run)
    write_text(run.results / "what_if.csv", _table(response, series))
    facts = _facts(subject, response, series, water, job)
    write_text(run.results / "what_if.json", json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False))
    title = f"{subject.label}: what if"
    for name in ("what_if.csv", "what_if.json"):
        yield artifact_event(Artifact(kind="table", path=f"results/{name}", title=title, units=subject.units))
    shown = sorted(series, key=lambda item: -_most(item))[:_PANELS] if len(series) > _PANELS else series
    figure = hydrographs(
        response.dates, [(item.place, item.before, item.after) for item in shown], label=subject.label,
        units=subject.units, step_seconds=subject.card.step_seconds, observed=[item.observed for item in shown],
    )  # fmt: skip
    for name in save_svg_and_png(figure, run.results, "what_if"):
        yield artifact_event(
            Artifact(kind="chart", path=f"results/{name}", title=title, note="; ".join(response.words))
        )
    yield _page(subject, response, job, facts, figure, limit).write(run)


def _limit(response: Response) -> float:
    """Limit of the one symmetric colour range: cells and dates above it hold a tenth of all change. A plain percentile
    would be ruled by the many that a storm does not reach.
    """
    sizes = np.abs(response.change, dtype=np.float64)
    sizes = np.sort(sizes[sizes > 0])
    total = np.cumsum(sizes)
    return rounded(float(sizes[np.searchsorted(total, 0.9 * total[-1])])) if len(sizes) else 1e-6


def _maps(subject: Subject, response: Response, limit: float, run: RunFolder) -> Iterator[Event]:
    grid, dates, units = subject.data.grid, response.dates, subject.units
    ahead = lead_words(subject.lead_steps, subject.card.leads > 1)
    sampler = RangeSampler(2 * response.before.size)
    sampler.add(response.before)
    sampler.add(response.after)
    low, high = sequential_range(sampler)
    look = {"dates": tuple(iso(date) for date in dates), "step_seconds": subject.card.step_seconds}
    both = (
        ("change", response.change, f"{subject.label}: change{ahead} ({units})", RAMP, -limit, limit,
         "Positive (blue): more with the changes; negative (red): less. " + "; ".join(response.words) + "."),
        ("changed", response.after, f"{subject.label}, with the changes{ahead} ({units})",
         quantity(subject.card.target.quantity).ramp, low, high, "; ".join(response.words) + "."),
    )  # fmt: skip
    for name, maps, title, ramp, minimum, maximum, note in both:
        write_series(run.results / f"{name}.tif", maps, grid, dates, units=units, label=title)
        yield artifact_event(
            Artifact(
                kind="change" if name == "change" else "predicted", path=f"results/{name}.tif", title=title,
                variable=subject.card.target.name, units=units, ramp=ramp, minimum=minimum, maximum=maximum, note=note,
                group=f"What if: {subject.label}", **look,
            )
        )  # fmt: skip


def _table(response: Response, series: Sequence[Series]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["date", "place", "before", "after", "change", "observed"])
    for one in series:
        for date, a, b, seen in zip(response.dates, one.before, one.after, one.observed):
            writer.writerow([iso(date), one.place, _text(a), _text(b), _text(b - a), _text(seen)])
    return text.getvalue()


def _facts(
    subject: Subject, response: Response, series: Sequence[Series], water: Water, job: WhatIfJob
) -> dict[str, Any]:
    return {
        "question": "what-if", "changes": response.words, "target": subject.card.target.name,
        "target_label": subject.label, "units": subject.units, "lead_steps": subject.lead_steps,
        "step_seconds": subject.card.step_seconds, **answer_of(subject, response, series, water, None),
        "model": subject.card.title, "dataset": subject.dataset.name, "job": job.to_dict(), "assumes": list(ASSUMES),
        "notes": [*response.notes, *water.notes],
    }  # fmt: skip


def _page(
    subject: Subject, response: Response, job: WhatIfJob, facts: dict[str, Any], figure: Any, limit: float
) -> Page:
    answer = [place_words(place, subject.units) for place in facts["places"][:_PANELS]]
    painted = facts["painted"]
    if painted is not None and painted["volume_m3"] is not None:
        answer.insert(0, f"Painted: {painted['mean_mm']:.3g} mm in the basin's mean, {painted['volume_m3']:.4g} m3.")
    figures = [("Hydrographs", figure)]
    if not subject.card.gauges:
        sizes = np.nansum(np.abs(response.change), axis=(1, 2))
        at = int(np.argmax(sizes))
        picture = map_figure(
            response.change[at], subject.data.grid, title=f"Change on {iso(response.dates[at])}",
            legend=f"change of {subject.label} ({subject.units})", ramp=RAMP, minimum=-limit, maximum=limit,
        )  # fmt: skip
        figures.append(("Where, on the date of the largest change", picture))
    return Page(
        title=f"{subject.label}: what if",
        subtitle=f"{subject.dataset.name}, {iso(response.dates[0])} to {iso(response.dates[-1])}",
        asked=[
            ("Model", job.model), ("Dataset", job.dataset), ("Sequence", subject.dataset.sequence),
            ("Changes", "; ".join(response.words)),
        ],
        answer=[sentence for sentence in answer if sentence],
        figures=figures,
        assumes=ASSUMES,
        notes=facts["notes"],
    )  # fmt: skip


def place_words(place: dict[str, Any], units: str) -> str:
    """What changed at a place, in a sentence or two; empty where nothing is known there."""
    if place["mean_change"] is None:
        return ""
    words = (
        f"{place['place']}: {place['mean_change']:+.4g} {units} in the mean; at most {place['largest_change']:+.4g} "
        f"{units}, on {place['largest_on']}. Highest {place['peak_after']:.4g} {units} on {place['peak_after_on']}, "
        f"without the changes {place['peak_before']:.4g} {units} on {place['peak_before_on']}."
    )
    if place["volume_change_m3"] is not None:
        words += f" Volume {place['volume_change_m3']:+.4g} m3."
    if place["share_of_painted"] is not None:
        words += f" That is {100 * place['share_of_painted']:.3g} % of the water painted in the basin."
    return words


def _most(item: Series) -> float:
    change = np.abs(item.after - item.before)
    return float(np.nanmax(change)) if np.isfinite(change).any() else 0.0


def _text(value: float) -> str:
    return f"{value:.7g}" if np.isfinite(value) else ""
