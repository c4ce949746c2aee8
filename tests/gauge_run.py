"""A run of a model of gauges as the engine leaves it, written by hand: two targets, two gauges, two leads.

Standard library only; loaded by its path by the tests inside QGIS.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

from freshet.core.contracts import Artifact, Event, EventKind, RunFolder, TrainJob

GAUGES = ("upper", "outlet")
PLACES = {"upper": (5.5251823, 50.0199069), "outlet": (5.539113, 50.020454)}
DAYS = 20
START = date(2001, 4, 1)
SCORES = {
    "upper": {
        "nse": 0.883, "kge": 0.79, "rmse": 0.039, "bias": -0.001, "nse_persistence": 0.61, "nse_climatology": -1.26,
    },
    "outlet": {
        "nse": -0.7, "kge": 0.1, "rmse": 0.085, "bias": 0.006, "nse_persistence": 0.62, "nse_climatology": -1.47,
    },
}  # fmt: skip


def predicted(gauge: str, lead: int, day: int) -> float:
    """What the run predicts, a plain function of its place in the table."""
    return round(10.0 * (GAUGES.index(gauge) + 1) + day + 0.1 * lead, 3)


def observed(gauge: str, day: int):
    """None on every fifth day of the first gauge."""
    return None if gauge == "upper" and day % 5 == 0 else round(10.0 * (GAUGES.index(gauge) + 1) + day + 0.5, 3)


def write_run(folder: Path, dataset: str = "/d.nc", *, places: bool = True, judged: bool = True, also: bool = True):
    """A finished run below ``folder``; gives its RunFolder."""
    job = TrainJob.from_dict(
        {
            "datasets": [dataset], "target": "flow", "inputs": ["rain"], "window": 8, "lead": 1, "leads": 2,
            "also": ["loss"] if also else [], "model": {"family": "lstm"},
        }
    )  # fmt: skip
    run = RunFolder.create(folder, "train", job, "Flow at two gauges")
    _write_part(run, "", "Flow", "m3/s", places, judged)
    if also:
        _write_part(run, "loss", "Loss", "mm/d", places, judged)
    if judged:
        pooled = {"model": 0.88, "persistence": 0.61, "climatology": -1.2}
        run.scores_file.write_text(json.dumps({name: {"pooled": {"nse": nse}} for name, nse in pooled.items()}))
    run.append(Event(EventKind.DONE))
    return run


def _write_part(run: RunFolder, part: str, label: str, units: str, places: bool, judged: bool) -> None:
    target = run.results / part if part else run.results
    target.mkdir(parents=True, exist_ok=True)
    rows = ["date,gauge,lead_steps,predicted,observed,delta"]
    for day in range(DAYS):
        for lead in (1, 2):
            moment = START + timedelta(days=day + lead)
            for gauge in GAUGES:
                value, truth = predicted(gauge, lead, day + lead), observed(gauge, day + lead) if judged else None
                rest = f"{truth},{value - truth:.3f}" if truth is not None else ","
                rows.append(f"{moment.isoformat()},{gauge},{lead},{value},{rest}")
    report = target / "report.html" if part else run.report_file
    report.write_text("<html></html>")
    told = Artifact(kind="report", path=report.relative_to(run.path).as_posix(), title="Report")
    run.append(Event(EventKind.ARTIFACT, told.to_dict()))
    (target / "series.csv").write_text("\n".join(rows) + "\n")
    folder = f"results/{part}/" if part else "results/"
    dates = ((START + timedelta(days=1)).isoformat(), (START + timedelta(days=DAYS + 1)).isoformat())
    series = Artifact(
        kind="series", path=folder + "series.csv", title=f"{label} at gauges, predicted and observed ({units})",
        variable=part or "flow", units=units, dates=dates, group=label,
    )  # fmt: skip
    run.append(Event(EventKind.ARTIFACT, series.to_dict()))
    if not places:
        return
    features = [
        {
            "type": "Feature",
            "properties": {"id": gauge, "units": units, **(SCORES[gauge] if judged else {})},
            "geometry": {"type": "Point", "coordinates": list(PLACES[gauge])},
        }
        for gauge in GAUGES
    ]
    (target / "gauges.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    points = Artifact(
        kind="gauges", path=folder + "gauges.geojson", title=f"NSE of {label} at the gauges (-)", ramp="BrBG",
        minimum=-1.0, maximum=1.0, units="-", group="Scores per gauge", note="1 is perfect.",
    )  # fmt: skip
    run.append(Event(EventKind.ARTIFACT, points.to_dict()))
