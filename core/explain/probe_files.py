"""What a probe leaves: table, numbers, chart, the best probe's prediction as maps or series, page."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from typing import Any, Optional

import numpy as np

from ..contracts import ProbeJob
from ..contracts.events import Artifact, Event
from ..contracts.files import write_text
from ..contracts.run_folder import RunFolder
from ..contracts.variables import quantity
from ..inference.artifacts import RangeSampler, artifact_event, display_units, message, sequential_range
from ..inference.geotiff import iso, write_series
from .chart import save_svg_and_png
from .page import Page
from .probes import Probe, Probed, nan_mean, r_of
from .question_charts import probe_figure

HEAD = (
    "layer", "state", "channels", "r", "r_pooled", "shuffled_r", "shuffled_r_low", "shuffled_r_high",
    "shuffled_r_pooled", "nse", "ridge", "chosen",
)  # fmt: skip
ASSUMES = (
    "A probe is linear: it finds what a layer holds plainly, not what could be computed from it.",
    "What correlates with the target or the inputs is found too, whether or not the model makes use of it. Compare "
    "with the plain spatial mean and with the shuffled control.",
    "The layer whose prediction is shown was chosen on the last quarter of the dates fitted on, not on the others.",
)


def write(probed: Probed, job: ProbeJob, run: RunFolder) -> Iterator[Event]:
    """All files of the answer, and the events that tell of them."""
    run.results.mkdir(parents=True, exist_ok=True)
    rows = [_row(item, item is probed.best) for item in probed.probes]
    info = probed.subject.dataset.variables[probed.variable]
    label, units = info.label or probed.variable, display_units(info.units)
    yield message(_verdict(probed, rows, label))
    yield _prediction(probed, label, units, run)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEAD)
    writer.writerows([["" if value is None else value for value in row.values()] for row in rows])
    write_text(run.results / "probe.csv", text.getvalue())
    facts = _facts(probed, rows, label, units, job)
    write_text(run.results / "probe.json", json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False))
    title = f"Probe for {label}"
    for name in ("probe.csv", "probe.json"):
        yield artifact_event(Artifact(kind="table", path=f"results/{name}", title=title, variable=probed.variable))
    figure = _figure(probed, rows, label, units)
    for name in save_svg_and_png(figure, run.results, "probe"):
        yield artifact_event(Artifact(kind="chart", path=f"results/{name}", title=title, variable=probed.variable))
    yield _page(probed, rows, label, facts, figure, job).write(run)


def reference(probed: Probed) -> Optional[float]:
    """r of the plain spatial mean: of the variable itself where that says something, else of the input that goes along
    with it best.
    """
    own = probed.references.get("own")
    if own is not None:
        return own
    known = [value for name, value in probed.references.items() if name != "own" and value is not None]
    return max(known, key=abs) if known else None


def _row(item: Probe, chosen: bool) -> dict[str, Any]:
    r, pooled = r_of(item.scores[0])
    shuffled = np.array([r_of(scores) for scores in item.scores[1:]])
    known = shuffled[np.isfinite(shuffled[:, 0]), 0]
    layer, _, state = item.state.rpartition(" ")
    if item.state in ("cnn output", "storages"):
        layer, state = item.state, ""
    low, high, mean = (float(known.min()), float(known.max()), float(known.mean())) if known.size else (math.nan,) * 3
    values = (
        layer, state, item.channels, r, pooled, mean, low, high, float(np.nanmean(shuffled[:, 1])) if len(known) else
        math.nan, item.scores[0].median_per_cell()["nse"], item.penalty, chosen,
    )  # fmt: skip
    return dict(zip(HEAD, (_plain(value) if isinstance(value, float) else value for value in values)))


def _plain(value: float) -> Optional[float]:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _verdict(probed: Probed, rows: list[dict[str, Any]], label: str) -> str:
    best = next(row for row in rows if row["chosen"])
    told = reference(probed)
    where = f"{best['layer']} {best['state']}".strip()
    if best["r"] is None:
        return f"No r of {label} can be given on these dates: it does not vary."
    words = f"{label} from the states of {where}: r {best['r']:.3f} on dates kept apart"
    if best["shuffled_r"] is not None:
        words += f"; shuffled in time {best['shuffled_r']:.3f}"
    words += f"; plain spatial mean {told:.3f}." if told is not None else "."
    beaten = told is not None and best["r"] > abs(told)
    beaten = beaten and (best["shuffled_r_high"] is None or best["r"] > best["shuffled_r_high"])
    return words + (" The states tell more than both." if beaten else " The states do not tell more than both.")


def _prediction(probed: Probed, label: str, units: str, run: RunFolder) -> Event:
    subject, title = probed.subject, f"{label} as the best probe reads it ({units})"
    look: dict[str, Any] = {
        "kind": "probe", "variable": probed.variable, "units": units, "group": f"Probe for {label}",
        "step_seconds": subject.card.step_seconds,
        "note": f"From {probed.best.state}, fitted on other dates. The model was not trained on it.",
    }  # fmt: skip
    sampler = RangeSampler(probed.found.size + probed.judged.size)
    sampler.add(probed.found)
    sampler.add(probed.judged)
    look["minimum"], look["maximum"] = sequential_range(sampler)
    if not probed.truth.maps:
        write_text(run.results / "probe_series.csv", _series_table(probed))
        return artifact_event(Artifact(path="results/probe_series.csv", title=title, **{**look, "kind": "table"}))
    grid = subject.data.grid

    def maps() -> Iterator[np.ndarray]:
        for values in probed.found:
            whole = np.full(grid.shape, np.nan, dtype=np.float32)
            whole[subject.data.mask] = values[:, 0]
            yield whole

    write_series(run.results / "probe.tif", maps(), grid, probed.dates, units=units, label=title)
    ramp = quantity(subject.dataset.variables[probed.variable].quantity).ramp
    dates = tuple(iso(date) for date in probed.dates)
    return artifact_event(Artifact(path="results/probe.tif", title=title, ramp=ramp, dates=dates, **look))


def _series_table(probed: Probed) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["date", "place", "probe", "observed"])
    for date, found, truth in zip(probed.dates, probed.found, probed.judged):
        for number, name in enumerate(probed.truth.names):
            values = (f"{value:.6g}" if np.isfinite(value) else "" for value in (found[0, number], truth[0, number]))
            writer.writerow([iso(date), name, *values])
    return text.getvalue()


def _facts(probed: Probed, rows: list[dict[str, Any]], label: str, units: str, job: ProbeJob) -> dict[str, Any]:
    return {
        "question": "probe", "variable": probed.variable, "label": label, "units": units,
        "kind": "maps" if probed.truth.maps else "series", "places": list(probed.truth.names),
        "model": probed.subject.card.title, "target": probed.subject.card.target.name,
        "dataset": probed.subject.dataset.name, "fitted_on": _span(probed.fitted_on), "judged_on": _span(probed.dates),
        "reference": reference(probed), "references": probed.references, "layers": rows, "best": probed.best.state,
        "shuffles": job.shuffles, "seed": job.seed, "assumes": list(ASSUMES), "notes": probed.notes,
        "r": "correlation in time, median over cells or places; r_pooled takes all cells and dates together",
    }  # fmt: skip


def _span(dates: np.ndarray) -> dict[str, Any]:
    return {"first": iso(dates[0]), "last": iso(dates[-1]), "dates": len(dates)}


def _figure(probed: Probed, rows: list[dict[str, Any]], label: str, units: str) -> Any:
    bars = [
        (f"{row['layer']} {row['state']}".strip(), *(math.nan if row[key] is None else row[key] for key in
         ("r", "shuffled_r_low", "shuffled_r_high")))
        for row in rows
    ]  # fmt: skip
    names, outputs = probed.truth.names, probed.judged.shape[2]
    where = "Mean of the basin" if outputs == 1 else f"Gauge {names[0]}"
    both = tuple(
        nan_mean(values[:, :, 0]) if probed.truth.maps else values[:, 0, 0] for values in (probed.judged, probed.found)
    )
    return probe_figure(
        bars, reference(probed), probed.dates, both, label=label, units=units,
        step_seconds=probed.subject.card.step_seconds, where=where,
    )  # fmt: skip


def _page(
    probed: Probed, rows: list[dict[str, Any]], label: str, facts: dict[str, Any], figure: Any, job: ProbeJob
) -> Page:
    def shown(value: Optional[float]) -> str:
        return "–" if value is None else f"{value:.3f}"

    head = ("Layer", "r", "r, shuffled in time", "r pooled", "pooled, shuffled", "NSE", "Ridge", "")
    table = [
        [f"{row['layer']} {row['state']}".strip(), shown(row["r"]), shown(row["shuffled_r"]), shown(row["r_pooled"]),
         shown(row["shuffled_r_pooled"]), shown(row["nse"]), f"{row['ridge']:g}", "shown" if row["chosen"] else ""]
        for row in rows
    ]  # fmt: skip
    means = [
        [f"{label}, over the whole frame" if name == "own" else name, shown(value)]
        for name, value in probed.references.items()
    ]
    return Page(
        title=f"Does the model know of {label}?",
        subtitle=f"Probes of {probed.subject.card.title} on {probed.subject.dataset.name}",
        asked=[
            ("Model", job.model), ("Dataset", job.dataset), ("Sequence", probed.subject.dataset.sequence),
            ("Variable", f"{label} ({facts['units']})"),
            ("Fitted on", "{first} to {last}, {dates} dates".format(**facts["fitted_on"])),
            ("Judged on", "{first} to {last}, {dates} dates".format(**facts["judged_on"])),
        ],
        answer=[_verdict(probed, rows, label)],
        figures=[("Probes beside their references", figure)],
        tables=[("By layer", (head, table)), ("Plain spatial means", (("Mean of", "r"), means))],
        assumes=ASSUMES,
        notes=probed.notes,
    )  # fmt: skip
