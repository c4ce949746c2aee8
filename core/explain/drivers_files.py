"""What a map of drivers leaves: classes, margin and contributions as layers, table, numbers, chart, page."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..contracts import DriversJob
from ..contracts.events import Artifact, Event
from ..contracts.files import write_text
from ..contracts.run_folder import RunFolder
from ..inference.artifacts import RangeSampler, artifact_event, symmetric_limit
from ..inference.geotiff import iso, write_map
from .asking import Subject, labels_of
from .baselines import WORDS
from .chart import save_svg_and_png
from .class_map import write_classes
from .drivers import Drivers, driver_counts, mean_sizes, residual_shares
from .page import Page
from .question_charts import COLOURS, driver_figure

RAMP = "BrBG"
METHOD_WORDS = {
    "integrated-gradients": "Integrated gradients along the straight path from the baseline: contributions add up to "
    "the difference of the prediction in every cell.",
    "gradient-times-input": "The gradient at this input times the distance from the baseline: the model is taken as "
    "straight from here to the baseline, so contributions need not add up.",
    "occlusion": "Each variable is set to the baseline by itself: what two variables do only together counts for both, "
    "so contributions need not add up.",
}


def write(subject: Subject, found: Drivers, end: int, job: DriversJob, run: RunFolder) -> Iterator[Event]:
    """All files of the answer, and the events that tell of them."""
    run.results.mkdir(parents=True, exist_ok=True)
    known = labels_of(subject.card)
    labels = [known[name] for name in found.names]
    colours = [COLOURS[number % len(COLOURS)] for number in range(len(labels))]
    date = iso(subject.dates(np.array([end]))[0])
    group = f"Drivers of {subject.label}, {date}"
    yield _classes(subject, found, labels, colours, group, run)
    yield _margin(subject, found, group, run)
    yield from _contributions(subject, found, labels, group, job, run)
    write_text(run.results / "drivers.csv", _table(subject, found, labels))
    facts = _facts(subject, found, labels, date, job)
    write_text(run.results / "drivers.json", json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False))
    for name in ("drivers.csv", "drivers.json"):
        yield artifact_event(Artifact(kind="table", path=f"results/{name}", title=group, units=subject.units))
    figure = driver_figure(found.driver, found.margin, found.cells, labels, colours, subject.data.grid, group)
    for name in save_svg_and_png(figure, run.results, "drivers"):
        yield artifact_event(Artifact(kind="chart", path=f"results/{name}", title=group))
    yield _page(subject, found, facts, figure, group, job).write(run)


def _classes(
    subject: Subject, found: Drivers, labels: list[str], colours: list[str], group: str, run: RunFolder
) -> Event:  # fmt: skip
    title = f"Dominant driver of {subject.label}"
    values = np.where(found.cells, found.driver, 0)
    write_classes(run.results / "driver.tif", values, subject.data.grid, labels, colours, title)
    return artifact_event(
        Artifact(
            kind="driver", path="results/driver.tif", title=title, variable=subject.card.target.name, units="-",
            minimum=1.0, maximum=float(len(labels)), step_seconds=subject.card.step_seconds, group=group,
            note="The variable with the largest absolute contribution, all its cells and steps together.",
            classes=tuple(labels), colours=tuple(colours),
        )
    )  # fmt: skip


def _margin(subject: Subject, found: Drivers, group: str, run: RunFolder) -> Event:
    title = "Margin of the dominant driver over the second (-)"
    write_map(run.results / "margin.tif", found.margin, subject.data.grid, units="-", label=title)
    return artifact_event(
        Artifact(
            kind="driver", path="results/margin.tif", title=title, variable=subject.card.target.name, units="-",
            ramp="Viridis", minimum=0.0, maximum=1.0, step_seconds=subject.card.step_seconds, group=group,
            note="Share of all contributions by which the first is larger than the second: 0 a tie, 1 nothing else.",
        )
    )  # fmt: skip


def _contributions(
    subject: Subject, found: Drivers, labels: list[str], group: str, job: DriversJob, run: RunFolder
) -> Iterator[Event]:
    sampler = RangeSampler(found.contributions.size)
    sampler.add(np.abs(found.contributions))
    limit, taken = symmetric_limit(sampler), set()
    for number, (name, label, values) in enumerate(zip(found.names, labels, found.contributions)):
        stem = f"contribution_{re.sub(r'[^A-Za-z0-9_-]+', '_', name)}"
        stem = f"{stem}_{number}" if stem.lower() in taken else stem
        taken.add(stem.lower())
        title = f"{label}: contribution to {subject.label} ({subject.units})"
        write_map(run.results / f"{stem}.tif", values, subject.data.grid, units=subject.units, label=title)
        yield artifact_event(
            Artifact(
                kind="attribution", path=f"results/{stem}.tif", title=title, variable=name, units=subject.units,
                ramp=RAMP, minimum=-limit, maximum=limit, step_seconds=subject.card.step_seconds, group=group,
                note=f"Positive (green): it raised the prediction of the cell; negative (brown): it lowered it; "
                f"compared with {WORDS[job.baseline]}.",
            )
        )  # fmt: skip


def _table(subject: Subject, found: Drivers, labels: list[str]) -> str:
    counts, sizes = driver_counts(found), mean_sizes(found, found.names)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["class", "variable", "label", "cells", "share_of_cells", "mean_absolute_contribution", "units"])
    total = max(1, int(found.cells.sum()))
    for number, (name, label) in enumerate(zip(found.names, labels), start=1):
        row = [number, name, label, counts[name], f"{counts[name] / total:.6g}", f"{sizes[name]:.6g}", subject.units]
        writer.writerow(row)
    return text.getvalue()


def _facts(subject: Subject, found: Drivers, labels: list[str], date: str, job: DriversJob) -> dict[str, Any]:
    shares = residual_shares(found)
    margins = found.margin[found.cells]
    margins = margins[np.isfinite(margins)]
    return {
        "question": "drivers", "target": subject.card.target.name, "target_label": subject.label,
        "units": subject.units, "date": date, "lead_steps": subject.lead_steps, "method": job.method,
        "baseline": job.baseline, "steps": job.steps if job.method == "integrated-gradients" else 1,
        "cells": int(found.cells.sum()), "classes": {name: number for number, name in enumerate(found.names, start=1)},
        "labels": dict(zip(found.names, labels)), "cells_by_driver": driver_counts(found),
        "mean_absolute_contribution": mean_sizes(found, found.names),
        "median_margin": float(np.median(margins)) if margins.size else None,
        "residual_share_median": float(np.median(shares)), "residual_share_95": float(np.quantile(shares, 0.95)),
        "derivatives": "differentiation" if found.exact else "central differences",
        "model": subject.card.title, "dataset": subject.dataset.name, "assumes": METHOD_WORDS[job.method],
    }  # fmt: skip


def _page(
    subject: Subject, found: Drivers, facts: dict[str, Any], figure: Any, group: str, job: DriversJob
) -> Page:  # fmt: skip
    total = facts["cells"]
    rows = [
        [facts["labels"][name], count, f"{100 * count / total:.1f} %",
         f"{facts['mean_absolute_contribution'][name]:.4g}"]
        for name, count in facts["cells_by_driver"].items()
    ]  # fmt: skip
    first = rows[0]
    answer = [f"{first[0]} drives {first[2]} of {total} cells, compared with {WORDS[job.baseline]}."]
    if job.method == "integrated-gradients":
        answer.append(
            f"Unexplained: {100 * facts['residual_share_median']:.2g} % in the median cell, "
            f"{100 * facts['residual_share_95']:.2g} % or less in 95 of 100."
        )
    head = ("Variable", "Cells", "Share of cells", f"Mean |contribution| ({subject.units})")
    return Page(
        title=group,
        subtitle=f"{subject.dataset.name}, {total} cells, compared with {WORDS[job.baseline]}",
        asked=[
            ("Model", job.model), ("Dataset", job.dataset), ("Sequence", subject.dataset.sequence),
            ("Date", facts["date"]), ("Method", f"{job.method}, {facts['steps']} points"),
        ],
        answer=answer,
        figures=[("Where which variable mattered most", figure)],
        tables=[("Numbers", (head, rows))],
        assumes=[METHOD_WORDS[job.method]],
    )  # fmt: skip
