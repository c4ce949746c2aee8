"""What an answer leaves: maps a variable, tables, charts, the delay of each cell, the region of most influence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ..contracts.dates import format_step
from ..contracts.events import Artifact, Event
from ..contracts.files import write_text
from ..contracts.grid import Grid
from ..contracts.model_card import ModelCard
from ..contracts.result_jobs import ExplainJob
from ..contracts.run_folder import RunFolder
from ..inference.artifacts import artifact_event, display_units, progress, rounded
from ..inference.geotiff import iso, write_map, write_series
from .baselines import WORDS
from .chart import Answer
from .contributions import Clock, Contribution, range_limit, residual_share, summary
from .ensemble import Spread
from .explained import Attribution
from .lags import Lags, delays, step_unit
from .methods import Method
from .place import Place
from .region import influence, region_document, top_share

RAMP, DELAY_RAMP = "BrBG", "Viridis"
DRAFTS = "draft"


@dataclass(frozen=True)
class Case:
    """All that the results need to know of one run. ``card`` has the asked target as its first; ``lead_steps`` lie
    between the last input and the predicted date.
    """

    job: ExplainJob
    card: ModelCard
    method: Method
    grid: Grid
    mask: np.ndarray
    place: Place
    clock: Clock
    input_dates: np.ndarray
    ahead_dates: np.ndarray
    target_date: np.datetime64
    lead_steps: int
    observed: Optional[float]

    @property
    def units(self) -> str:
        """Of the target, as shown."""
        return display_units(self.card.target.units)

    @property
    def label(self) -> str:
        """The target's name for people."""
        return self.card.target.label or self.card.target.name

    @property
    def date(self) -> str:
        """ISO text of the predicted date."""
        return iso(self.target_date)

    @property
    def group(self) -> str:
        """The layer group of the maps."""
        return f"Why: {self.label}, {self.date}"

    @property
    def against(self) -> str:
        """What the prediction is compared with, in words."""
        if self.method.name == "expected-gradients":
            return "windows of the training period"
        return WORDS[self.job.baseline]


def write_maps(case: Case, rows: Sequence[Contribution], run: RunFolder, *, draft: bool = False) -> Iterator[Event]:
    """One raster a variable where cells are told apart, all on one symmetric range. A ``draft`` goes into a folder of
    its own, under its own kind, until the answer replaces it.
    """
    shown = [row for row in rows if row.attributed and row.on_map]
    if not shown:
        return
    limit = range_limit(shown)
    folder = run.results / DRAFTS if draft else run.results
    folder.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(shown):
        artifact = _write_raster(case, row, limit, folder / row.file_name)
        if draft:
            artifact = artifact.replace(kind="attribution-draft", path=f"results/{DRAFTS}/{row.file_name}")
        yield artifact_event(artifact)
        if not draft:
            yield progress(0.92 + 0.04 * (number + 1) / len(shown), f"Wrote {row.file_name}")


def write_delays(case: Case, rows: Sequence[Contribution], run: RunFolder) -> Iterator[Event]:
    """``results/delay.tif`` and ``delay_peak.tif`` where steps and cells are told apart."""
    found = delays(rows, case.clock, case.card)
    if found is None or not np.isfinite(found.middle).any():
        return
    unit = step_unit(case.card.step_seconds)
    names = ", ".join(found.labels)
    what = f"response to a unit of {names}" if found.responses else f"contributions of {names}, by size,"
    meaning = (
        "How long what falls in a cell takes to count, as the model has learnt it. "
        if found.responses
        else "When what counts had come; the weather has its part in that. "
    ) + "Empty where a cell counts less than a thousandth of the one that counts most."
    kinds = (
        ("delay", "Delay", found.middle, f"Within so many {unit} half of the {what} has come. {meaning}"),
        ("delay_peak", "Delay of the peak", found.peak, f"The step back with the largest {what} moved between steps by "
         f"the centre of it and the one on either side. {meaning}"),
    )  # fmt: skip
    span = np.stack([found.middle, found.peak])
    low, high = (rounded(float(value)) for value in np.nanpercentile(span, [2, 98]))
    for stem, words, values, note in kinds:
        title = f"{words} to {lower(case.label)} on {case.date}"
        write_map(run.results / f"{stem}.tif", values, case.grid, units=unit, label=title)
        yield artifact_event(
            Artifact(
                kind="delay", path=f"results/{stem}.tif", title=f"{title} ({unit})", variable=case.card.target.name,
                units=unit, ramp=DELAY_RAMP, minimum=low, maximum=max(high, low + 1e-3), group=case.group,
                step_seconds=case.card.step_seconds, note=note,
            )
        )  # fmt: skip


def write_region(case: Case, rows: Sequence[Contribution], run: RunFolder) -> Iterator[Event]:
    """``results/region.geojson`` where cells are told apart."""
    sizes = influence(rows)
    if sizes is None or not sizes.any():
        return
    inside = top_share(sizes, case.job.share)
    percent_held = f"{100 * case.job.share:.4g} %"
    facts = {"method": case.job.method, "date": case.date, "top_share": case.job.share}
    write_text(run.results / "region.geojson", region_document(inside, sizes, case.grid, facts))
    yield artifact_event(
        Artifact(
            kind="region", path="results/region.geojson", units="-", variable=case.card.target.name,
            title=f"Region of most influence on {lower(case.label)}, {case.date}", group=case.group,
            step_seconds=case.card.step_seconds,
            note=f"The fewest cells ({int(inside.sum())}) that together hold {percent_held} of all contributions, by "
            "their sizes.",
        )
    )  # fmt: skip


def write_table(case: Case, run: RunFolder, name: str, text: str, title: str) -> Event:
    """A CSV or JSON file of the results."""
    run.results.mkdir(parents=True, exist_ok=True)
    write_text(run.results / name, text)
    return artifact_event(Artifact(kind="table", path=f"results/{name}", title=title, units=case.units))


def facts_of(
    case: Case, found: Attribution, rows: list[Contribution], lags: Optional[Lags], more: dict[str, Any]
) -> str:
    """The content of attribution.json."""
    job = case.job
    facts = {
        **summary(rows, found), "method": job.method, "baseline": job.baseline, "steps": job.steps,
        "place": case.place.facts, "date": case.date, "units": case.units, "target": case.card.target.name,
        "target_label": case.label, "lead": case.lead_steps, "step_seconds": case.card.step_seconds,
        "steps_back": case.clock.steps_back, "input_dates": case.clock.dates,
        "ahead_steps_back": case.clock.ahead_back, "ahead_dates": case.clock.ahead_dates, "observed": case.observed,
        "model": case.card.title, "complete": case.method.complete, "assumes": case.method.assumes,
        "passes": found.passes, "settings": found.facts, "delay": None if lags is None else lags.facts(), **more,
    }  # fmt: skip
    return json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False)


def answer_of(
    case: Case, found: Attribution, rows: list[Contribution], spread: Optional[Spread] = None
) -> Answer:  # fmt: skip
    """What the picture shows; with a ``spread`` of several models that of each bar."""
    where = f"{case.place.words[0].upper()}{case.place.words[1:]}"
    told = f"{case.method.words}, {found.passes} passes"
    if case.method.complete:
        told += f", {percent(residual_share(found, rows))} left unexplained"
    models = f": mean of {len(spread.members)} models \u00b1 their standard deviation" if spread is not None else ""
    return Answer(
        title=f"Why: {lower(case.label)} on {case.date}{models}",
        subtitle=f"{where}, compared with {case.against} ({told})",
        target=case.label, units=case.units, date=case.date, step=format_step(case.card.step_seconds),
        clock=case.clock, rows=[row for row in rows if row.attributed], found=found, grid=case.grid, mask=case.mask,
        weights=case.place.weights, limit_ramp=RAMP, complete=case.method.complete,
        spread={} if spread is None else {**spread.totals, "": spread.prediction},
    )  # fmt: skip


def percent(share: float) -> str:
    """A share in words."""
    return f"{100 * share:.2g} %" if share >= 1e-4 else "less than 0.01 %"


def lower(label: str) -> str:
    """The label inside a sentence; an abbreviation keeps its capitals."""
    return label[0].lower() + label[1:] if label[1:2].islower() else label


def _write_raster(case: Case, row: Contribution, limit: float, path: Path) -> Artifact:
    title = f"{row.label}: contribution to {lower(case.label)} on {case.date}"
    # Cells outside the basin stay where they contributed: the model may read rain beyond the divide.
    maps = np.where(~case.mask & (row.maps == 0).all(axis=0), np.nan, row.maps)
    dates = case.ahead_dates if row.ahead else case.input_dates
    if row.static:
        write_map(path, maps[0], case.grid, units=case.units, label=title)
    else:
        write_series(path, maps, case.grid, dates, units=case.units, label=title)
    return Artifact(
        kind="attribution", path=f"results/{row.file_name}", title=f"{title} ({case.units})", variable=row.name,
        units=case.units, ramp=RAMP, minimum=-limit, maximum=limit,
        dates=() if row.static else tuple(iso(d) for d in dates), step_seconds=case.card.step_seconds,
        note=_note(case, row), group=case.group,
    )  # fmt: skip


def _note(case: Case, row: Contribution) -> str:
    bands = "" if row.static else " One band a step of the window, oldest first."
    return (
        f"Positive (green): it raised the prediction; negative (brown): it lowered it; compared with "
        f"{case.against}.{bands} All cells{'' if row.static else ' and steps'} together: "
        f"{row.total:+.3g} ({case.units}). {case.method.assumes}"
    )
