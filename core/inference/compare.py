"""Difference and scores of two series of maps on the same grid, matched by date: predicted - observed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..contracts import CompareJob
from ..contracts.dates import format_step, step_of
from ..contracts.errors import DataError
from ..contracts.events import Artifact, Event
from ..contracts.run_folder import RunFolder
from ..contracts.units import convert
from ..contracts.variables import CATALOGUE, Quantity, guess_quantity
from ..metrics.baselines import Climatology, Persistence, clock
from .artifacts import (
    DELTA_RAMP,
    SCORE_STYLES,
    RangeSampler,
    artifact_event,
    delta_note,
    display_units,
    message,
    progress,
    relative,
    score_range,
    sequential_range,
    sign_words,
    symmetric_limit,
)
from .evaluate import write_scores
from .figures import Look
from .geotiff import Series, iso, read_series, same_grid, write_map, write_series
from .judge import MAP_SCORES, NOTE, Judge, Reference, central_cell
from .report import Report, write_report


def compare(job: CompareJob, run: RunFolder) -> Iterator[Event]:
    """delta.tif, score maps, scores.json and report.html of two series rasters.

    Raises :class:`DataError` where a raster cannot be read, or the two share no grid, unit or date.
    """
    yield progress(0.0, "Reading the rasters")
    predicted, observed = read_series(job.predicted), read_series(job.observed)
    units = _checked_units(job, predicted, observed)
    dates, from_p, from_o = _matched(predicted, observed)
    if len(dates) < max(len(predicted.dates), len(observed.dates)):
        yield message(
            f"{len(dates)} dates are in both rasters; {len(predicted.dates)} are predicted "
            f"and {len(observed.dates)} observed.",
            "warning",
        )
    step_seconds = (
        step_of([date.item() for date in dates]) or step_of([date.item() for date in observed.dates]) or 86400.0
    )
    maps_p, maps_o = predicted.values[from_p], observed.values[from_o]
    yield progress(0.3, "Judging")
    judge = _judge(dates, maps_p, maps_o, step_seconds)
    look = _look(job, predicted, observed, units, maps_p, maps_o)
    write_series(
        run.results / "delta.tif",
        maps_p - maps_o,
        predicted.grid,
        dates,
        units=units,
        label=f"Delta: predicted - observed ({units})",
    )
    yield progress(0.8, "Delta maps written")
    yield from _artifacts(job, run, judge, look, dates, step_seconds, (predicted, observed))
    yield from _finish(job, run, judge, look, (maps_p, maps_o), step_seconds, predicted)


def quantity_of(label: str) -> Quantity:
    """The catalogue's entry with this label, else a guess from its words; decides ramp and sign words only."""
    held = [entry for entry in CATALOGUE if entry.label.lower() == label.strip().lower()]
    return held[0] if held else guess_quantity(label.replace(" ", "_"))


def _matched(predicted: Series, observed: Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Dates in both, rising, and their indices in each."""
    if not same_grid(predicted.grid, observed.grid):
        raise DataError(
            "The two rasters do not lie on the same grid",
            expected=_grid_words(observed),
            got=_grid_words(predicted),
            remedy="Warp one of them to the grid of the other",
        )
    dates, from_p, from_o = np.intersect1d(predicted.dates, observed.dates, return_indices=True)
    if len(dates) == 0:
        raise DataError(
            "The two rasters share no date",
            expected=f"dates from {iso(observed.dates.min())} to {iso(observed.dates.max())}",
            got=f"{iso(predicted.dates.min())} to {iso(predicted.dates.max())}",
            remedy="Choose rasters of the same period and step",
        )
    return dates, from_p, from_o


def _grid_words(series: Series) -> str:
    grid = series.grid
    name = grid.crs.split('"')[1] if '"' in grid.crs else grid.crs
    place = f"{grid.west:g}, {grid.north:g}"
    return f"{grid.columns} x {grid.rows} cells of {grid.cell_x:g} x {grid.cell_y:g} from {place} in {name}"


def _checked_units(job: CompareJob, predicted: Series, observed: Series) -> str:
    """The unit of both. Raises where the files state different ones and the job none."""
    if job.units:
        return job.units
    stated = [series.units for series in (predicted, observed) if series.units and series.units != "-"]
    if len(stated) == 2 and convert(stated[0], stated[1]) != (1.0, 0.0):
        raise DataError(
            "The two rasters have different units",
            expected=observed.units,
            got=predicted.units,
            remedy="Convert one of them first",
        )
    return stated[0] if stated else "-"


def _judge(dates: np.ndarray, predicted: np.ndarray, observed: np.ndarray, step_seconds: float) -> Judge:
    """Scores beside persistence over the compared dates and the mean of the compared period, the only climatology at
    hand.
    """
    with np.errstate(invalid="ignore"):
        count = np.isfinite(observed).sum(axis=0)
        mean = np.where(count > 0, np.nansum(observed, axis=0, dtype=np.float64) / np.maximum(count, 1), np.nan)
    positions = clock(dates, step_seconds)
    note = "mean per cell of the compared period itself, as there is no other, which flatters it"
    reference = Reference(
        observed,
        dates,
        positions,
        step_seconds,
        Persistence(observed, positions),
        Climatology(mean[None].astype(np.float32), note),
    )
    basin = np.isfinite(observed).any(axis=0) & np.isfinite(predicted).any(axis=0)
    judge = Judge(reference, 0, central_cell(basin, np.isfinite(observed).sum(axis=0)))
    judge.add(dates, predicted)
    if judge.typical_date() is None:
        raise DataError(
            "The two rasters have no value in common",
            expected="cells with a value in both on the same date",
            remedy="Check the nodata values and the masks of both",
        )
    return judge


def _look(job: CompareJob, predicted: Series, observed: Series, units: str, *maps: np.ndarray) -> Look:
    label = job.label or observed.label.split(",")[0] or predicted.label.split(",")[0] or "Value"
    kind = quantity_of(label)
    values, deltas = RangeSampler(2 * maps[0].size), RangeSampler(maps[0].size)
    values.add(maps[0])
    values.add(maps[1])
    deltas.add(np.abs(maps[0] - maps[1]))
    return Look(
        label, display_units(units), kind.ramp, *sequential_range(values), symmetric_limit(deltas), *sign_words(kind)
    )


def _artifacts(
    job: CompareJob,
    run: RunFolder,
    judge: Judge,
    look: Look,
    dates: np.ndarray,
    step_seconds: float,
    both: tuple[Series, Series],
) -> Iterator[Event]:
    texts = tuple(iso(date) for date in dates)
    shared = {"units": look.units, "step_seconds": step_seconds, "group": look.label, "variable": look.label}
    words = {
        "predicted": f"{look.label}, predicted ({look.units})",
        "observed": f"{look.label}, observed ({look.units})",
    }
    for kind, path, series in (("predicted", job.predicted, both[0]), ("observed", job.observed, both[1])):
        held = tuple(iso(date) for date in series.dates)
        place = Path(path).absolute().as_posix()
        yield artifact_event(
            Artifact(
                kind=kind,
                path=place,
                title=words[kind],
                ramp=look.ramp,
                minimum=look.minimum,
                maximum=look.maximum,
                dates=held,
                **shared,
            )
        )
    note = delta_note(quantity_of(look.label)) + " Range: 98th percentile of |delta| over all dates."
    yield artifact_event(
        Artifact(
            kind="delta",
            path=relative(run, run.results / "delta.tif"),
            title=f"Delta: predicted - observed ({look.units})",
            ramp=DELTA_RAMP,
            minimum=-look.delta_limit,
            maximum=look.delta_limit,
            dates=texts,
            note=note,
            **shared,
        )
    )
    yield from _score_maps(run, judge, look, step_seconds, both[0])


def _score_maps(run: RunFolder, judge: Judge, look: Look, step_seconds: float, series: Series) -> Iterator[Event]:
    maps = judge.model.maps(MAP_SCORES)
    for name in MAP_SCORES:
        title, ramp, _, reading = SCORE_STYLES[name]
        unit = look.units if name == "rmse" else "-"
        path, title = run.results / f"score_{name}.tif", f"{title} of {look.label} ({unit})"
        write_map(path, maps[name], series.grid, units=unit, label=title)
        low, high = score_range(name, maps[name])
        yield artifact_event(
            Artifact(
                kind="score-map",
                path=relative(run, path),
                title=title,
                variable=look.label,
                units=unit,
                ramp=ramp,
                minimum=low,
                maximum=high,
                step_seconds=step_seconds,
                note=reading,
                group="Scores per cell",
            )
        )


def _finish(
    job: CompareJob,
    run: RunFolder,
    judge: Judge,
    look: Look,
    maps: tuple[np.ndarray, np.ndarray],
    step_seconds: float,
    series: Series,
) -> Iterator[Event]:
    chosen = judge.typical_date() or 0
    dates = np.array(judge.dates, dtype="datetime64[s]")
    period = {"start": iso(dates[0]), "end": iso(dates[-1])}
    words = f"{period['start']} to {period['end']}, {len(dates)} dates"
    scores = {
        "target": {"name": look.label, "label": look.label, "units": look.units},
        "period": period,
        "steps": len(dates),
        "step_seconds": step_seconds,
        "inputs": "two rasters were compared; no model was asked",
        "note": NOTE,
        **judge.to_dict(),
    }
    yield from write_scores(scores, run)
    daily = judge.daily
    report = Report(
        title=job.title or f"{look.label}: predicted against observed",
        subtitle=f"{look.label} ({look.units}), {words}, step {format_step(step_seconds)}",
        asked=[("Predicted", job.predicted), ("Observed", job.observed), ("Period", words)],
        look=look,
        grid=series.grid,
        step_seconds=step_seconds,
        scores=scores,
        date=iso(dates[chosen]),
        predicted=maps[0][chosen],
        observed=maps[1][chosen],
        cell=judge.cell,
        dates=dates,
        series=[
            ("Mean of the cells", daily["predicted"], daily["observed"], None),
            ("At the circled cell", daily["predicted_cell"], daily["observed_cell"], None),
        ],
        nse_map=judge.model.maps(("nse",))["nse"],
    )
    write_report(run.report_file, report)
    yield artifact_event(Artifact(kind="report", path=run.report_file.name, title="Report"))
