"""What permutation importance leaves: table, numbers, chart, maps, page."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator
from typing import Any, Optional

import numpy as np

from ..contracts import ImportanceJob
from ..contracts.events import Artifact, Event
from ..contracts.files import write_text
from ..contracts.run_folder import RunFolder
from ..inference.artifacts import RangeSampler, artifact_event, symmetric_limit
from ..inference.geotiff import iso, write_map
from .chart import save_svg_and_png
from .page import Page
from .permutation import LEVEL, Importance, Worse, interval
from .question_charts import interval_bars

RAMP = "PuOr"
READ = (
    f"The interval holds {LEVEL:.0%} of single shuffles (t over the repeats). Where it holds 0, the input cannot be "
    "told from one that does not matter."
)
ASSUMES = (
    "Shuffling takes away what a single input tells beyond the others: of two inputs that say the same, neither seems "
    "to matter. Shuffle them together, as a group, to see it.",
    "Windows change places within the period in blocks of neighbouring dates; static maps are shuffled inside the "
    "basin. So the model meets combinations that weather does not make.",
)
HEAD = (
    "input", "label", "kind", "nse_drop", "nse_drop_low", "nse_drop_high", "rmse_rise", "rmse_rise_low",
    "rmse_rise_high", "units", "repeats", "matters",
)  # fmt: skip


def write(found: Importance, job: ImportanceJob, run: RunFolder) -> Iterator[Event]:
    """All files of the answer, and the events that tell of them."""
    run.results.mkdir(parents=True, exist_ok=True)
    rows = [_row(found, worse) for worse in found.rows]
    yield from _maps(found, run)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEAD)
    writer.writerows([["" if value is None else value for value in row.values()] for row in rows])
    write_text(run.results / "importance.csv", text.getvalue())
    write_text(run.results / "importance.json", json.dumps(_facts(found, rows, job), indent=2, ensure_ascii=False))
    figure = interval_bars(found.subject.label, found.subject.units, _bars(found))
    title = f"What {found.subject.label[0].lower()}{found.subject.label[1:]} depends on"
    yield artifact_event(Artifact(kind="table", path="results/importance.csv", title=title, note=READ))
    yield artifact_event(Artifact(kind="table", path="results/importance.json", title=title, note=READ))
    for name in save_svg_and_png(figure, run.results, "importance"):
        yield artifact_event(Artifact(kind="chart", path=f"results/{name}", title=title, note=READ))
    yield _page(found, job, rows, figure, title).write(run)


def verdict(low: Optional[float], high: Optional[float]) -> str:
    """What an interval of the rise in RMSE says: "yes" above 0, "harms" below it, "not shown" where it holds 0."""
    if low is None or high is None:
        return "not shown"
    return "yes" if low > 0 else "harms" if high < 0 else "not shown"


def _row(found: Importance, worse: Worse) -> dict[str, Any]:
    nse, rmse = (dict(zip(("mean", "low", "high"), map(_plain, interval(v)))) for v in (worse.nse, worse.rmse))
    values = (
        worse.item.name, worse.item.label, worse.item.kind, nse["mean"], nse["low"], nse["high"], rmse["mean"],
        rmse["low"], rmse["high"], found.subject.units, len(worse.rmse), verdict(rmse["low"], rmse["high"]),
    )  # fmt: skip
    return dict(zip(HEAD, values))


def _plain(value: float) -> Optional[float]:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _facts(found: Importance, rows: list[dict[str, Any]], job: ImportanceJob) -> dict[str, Any]:
    return {
        "question": "importance", "target": found.subject.card.target.name, "target_label": found.subject.label,
        "units": found.subject.units, "lead_steps": found.subject.lead_steps,
        "step_seconds": found.subject.card.step_seconds, "model": found.subject.card.title,
        "dataset": found.subject.dataset.name, "dates": len(found.dates), "first": iso(found.dates[0]),
        "last": iso(found.dates[-1]), "nse": _plain(found.nse), "rmse": _plain(found.rmse), "repeats": job.repeats,
        "seed": job.seed, "level": LEVEL, "items": rows, "interval": READ, "assumes": list(ASSUMES),
        "notes": found.notes,
    }  # fmt: skip


def _bars(found: Importance) -> list[tuple[str, list[tuple[str, tuple, tuple]]]]:
    """(title of the panel, bars of label, drop in NSE, rise in RMSE) with the largest first, steps back in order."""
    kinds = (
        ("By variable", ("variable", "static", "group"), True),
        ("By steps back", ("lags",), False),
        ("By variable and steps back", ("variable by lag",), False),
    )
    panels = []
    for title, wanted, by_size in kinds:
        bars = [(w.item.label, interval(w.nse), interval(w.rmse)) for w in found.rows if w.item.kind in wanted]
        if by_size:
            bars.sort(key=lambda bar: -np.nan_to_num(bar[2][0], nan=-np.inf))
        panels += [(title, bars)] if bars else []
    return panels


def _maps(found: Importance, run: RunFolder) -> Iterator[Event]:
    if found.subject.card.gauges:
        return
    shown = [worse for worse in found.rows if worse.item.kind in ("variable", "static", "group")]
    if not shown:
        return
    maps = [np.where(found.subject.inside, worse.mean_map, np.nan) for worse in shown]
    sampler = RangeSampler(len(maps) * maps[0].size)
    for values in maps:
        sampler.add(np.abs(values))
    limit, taken = symmetric_limit(sampler), set()
    for number, (worse, values) in enumerate(zip(shown, maps)):
        stem = f"importance_{re.sub(r'[^A-Za-z0-9_-]+', '_', worse.item.name)}"
        stem = f"{stem}_{number}" if stem.lower() in taken else stem
        taken.add(stem.lower())
        title = f"{worse.item.label}: rise of the RMSE where it is shuffled ({found.subject.units})"
        write_map(run.results / f"{stem}.tif", values, found.subject.data.grid, units=found.subject.units, label=title)
        note = "Mean over the repeats. Positive (violet): worse without it; negative (orange): better without it."
        yield artifact_event(
            Artifact(
                kind="attribution", path=f"results/{stem}.tif", title=title, variable=worse.item.name,
                units=found.subject.units, ramp=RAMP, minimum=-limit, maximum=limit, note=note,
                step_seconds=found.subject.card.step_seconds, group="Importance",
            )
        )  # fmt: skip


def _page(found: Importance, job: ImportanceJob, rows: list[dict[str, Any]], figure: Any, title: str) -> Page:
    subject = found.subject
    first = sorted((row for row in rows if row["matters"] == "yes"), key=lambda row: -row["rmse_rise"])
    words = ", ".join(f"{row['label']} ({row['rmse_rise']:+.3g} {subject.units})" for row in first[:8])
    rest = ", ".join(row["label"] for row in rows if row["matters"] == "not shown")
    harms = ", ".join(row["label"] for row in rows if row["matters"] == "harms")
    answer = [
        f"Shuffled, these raise the RMSE of {found.rmse:.3g} {subject.units}: {words or 'none'}.",
        *([f"Cannot be told from no effect: {rest}."] if rest else []),
        *([f"The model does better without what it makes of: {harms}."] if harms else []),
        READ,
    ]
    table = [
        [
            row["label"], _span(row, "nse_drop"), _span(row, "rmse_rise"), row["matters"],
        ]
        for row in rows
    ]  # fmt: skip
    period = f"{iso(found.dates[0])} to {iso(found.dates[-1])}, {len(found.dates)} dates"
    return Page(
        title=title,
        subtitle=f"Permutation importance on {subject.dataset.name}, {period}",
        asked=[
            ("Model", job.model), ("Dataset", job.dataset), ("Sequence", subject.dataset.sequence),
            ("Period", f"{period}. {found.why}"), ("Repeats", f"{job.repeats}, seed {job.seed}"),
        ],
        answer=answer,
        figures=[("Drop in NSE and rise in RMSE", figure)],
        tables=[
            ("Numbers", (("Input", "Drop in NSE", f"Rise in RMSE ({subject.units})", "Matters"), table)),
        ],
        assumes=ASSUMES,
        notes=found.notes,
    )  # fmt: skip


def _span(row: dict[str, Any], name: str) -> str:
    mean, low, high = (row[name], row[f"{name}_low"], row[f"{name}_high"])
    if mean is None:
        return "–"
    return f"{mean:.3g}" if low is None else f"{mean:.3g} ({low:.3g} to {high:.3g})"
