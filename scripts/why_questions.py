"""The questions of docs/why-moselle.md and docs/why-lievre.md, asked by the verbs that anybody has.

Places and dates are chosen by rules from the data, before any answer is seen. Each answer is a run folder in the output
folder; one that is there and was asked the same is taken as it is.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from freshet.core.contracts import (
    DriversJob,
    ExplainJob,
    ImportanceJob,
    ProbeJob,
    RunFolder,
    SharesJob,
)
from freshet.core.contracts.model_card import read_card
from freshet.core.data.scaling import Scaler
from freshet.core.data.store import Dataset
from freshet.core.explain.session import Session
from freshet.core.worker.main import execute

WET_SHARE, DRY_SHARE = 0.95, 0.05  # quantiles of the cells' mean that a wet and a dry cell lie at
_STRIDES = 4  # cells that one cell of the CNN's last layer steps over: two layers with stride 2
JOBS = {
    "explain": ExplainJob, "shares": SharesJob, "importance": ImportanceJob, "drivers": DriversJob, "probe": ProbeJob,
}  # fmt: skip
FACTS = {"explain": "attribution.json", **{verb: f"{verb}.json" for verb in JOBS if verb != "explain"}}


@dataclass(frozen=True)
class Asked:
    """A question by its name, with the fields of its job."""

    name: str
    verb: str
    fields: Mapping[str, Any]


def moselle(dataset: Path, models: list[Path]) -> tuple[list[Asked], dict[str, Any]]:
    """Questions to models of soil moisture, and facts on the data that they rest on."""
    card = read_card(models[0])
    with Dataset.open(dataset) as opened:
        times, mask, grid = opened.times, opened.mask, opened.grid
        level = opened.static_map("mean_sm")
        target = opened.observed("sm_l1")
        warmth = [opened.observed(name)[:, mask].mean(axis=1) for name in ("tavg", "pet")]
        rain = opened.observed("pre")[:, mask].mean(axis=1)
        snow = opened.observed("snowpack")[:, mask].mean(axis=1)
    inside = _inside(times, card.periods["test"])
    mean = np.nanmean(target[:, mask], axis=1)
    dates = {
        name: str(times[np.flatnonzero(inside)[at(mean[inside])]])[:10]
        for name, at in (("wet", np.argmax), ("dry", np.argmin))
    }
    cells = {"wet": _cell_at(level, mask, WET_SHARE), "dry": _cell_at(level, mask, DRY_SHARE)}
    at = {name: dict(zip(("x", "y"), _centre(grid, cell))) for name, cell in cells.items()}
    common = {"model": str(models[0]), "dataset": str(dataset), "device": "cpu"}
    together = {**common, "members": tuple(map(str, models[1:]))}
    few = {"steps": 16}
    asked = [
        Asked("wet-cell", "explain", {**common, **few, **at["wet"], "date": dates["wet"], "check_method": True}),
        Asked("dry-cell", "explain", {**common, **few, **at["dry"], "date": dates["dry"]}),
        Asked("basin-dry", "explain", {**together, **few, "basin": True, "date": dates["dry"]}),
        Asked("basin-wet", "explain", {**together, **few, "basin": True, "date": dates["wet"]}),
        Asked("basin-dry-climatology", "explain",
              {**common, **few, "basin": True, "date": dates["dry"], "baseline": "climatology"}),
        Asked("shares", "shares", {**common, "dates": 12, "steps": 8}),
        Asked("importance", "importance",
              {**common, "of": ("variables", "static"), "groups": {"warmth": ["tavg", "pet"]}, "repeats": 5,
               "dates": 16}),
        Asked("drivers", "drivers", {**common, "date": dates["dry"], "steps": 16}),
        *(Asked(f"probe-{name}", "probe", {**common, "variable": name, "dates": 60, "shuffles": 3})
          for name in ("sm_l2", "aet", "snowpack")),
    ]  # fmt: skip
    train = _inside(times, card.periods["train"])
    facts = {
        "dates": dates, "cells": {name: [int(n) for n in cell] for name, cell in cells.items()},
        "cell_levels": {name: float(level[cell]) for name, cell in cells.items()},
        "basin_means": {name: float(mean[times == np.datetime64(date, "s")][0]) for name, date in dates.items()},
        "temperature_pet_r": float(np.corrcoef(warmth[0][train], warmth[1][train])[0, 1]),
        "rain_before": {
            str(days): {name: _sum_before(rain, times, date, days) for name, date in dates.items()}
            for days in (10, card.window)
        },
        "rain_mean": float(rain[train].mean()), "rain_of_baseline": _centre_of(card, "pre"),
        "target_mean": float(mean[train].mean()), "window": card.window, "cells_inside": int(mask.sum()),
        "snow_days_share": float((snow[inside] > 1.0).mean()),
    }  # fmt: skip
    return asked, facts


def lievre(dataset: Path, models: list[Path]) -> tuple[list[Asked], dict[str, Any]]:
    """Questions to models of discharge."""
    card = read_card(models[0])
    with Dataset.open(dataset) as opened:
        times, mask = opened.times, opened.mask
        flow = opened.observed("q_obs")[:, 0]
        water = np.nanmean(opened.observed("streaminput")[:, mask], axis=1)
        air = np.nanmean(opened.observed("tavg")[:, mask], axis=1)
        gauge = card.gauges[0]
    inside = np.flatnonzero(_inside(times, card.periods["test"]) & np.isfinite(flow))
    dates = {name: str(times[inside[at(flow[inside])]])[:10] for name, at in (("high", np.argmax), ("low", np.argmin))}
    common = {"model": str(models[0]), "dataset": str(dataset), "device": "cpu"}
    here = {**common, "gauge": gauge, "steps": 32}
    together = {**here, "members": tuple(map(str, models[1:]))}
    asked = [
        Asked("high", "explain", {**together, "date": dates["high"]}),
        Asked("low", "explain", {**together, "date": dates["low"]}),
        Asked("high-checked", "explain", {**here, "date": dates["high"], "check_method": True}),
        Asked("high-climatology", "explain", {**here, "date": dates["high"], "baseline": "climatology"}),
        Asked("shares", "shares", {**common, "gauge": gauge, "dates": 24, "steps": 16}),
        Asked("importance", "importance",
              {**common, "of": ("variables", "lags"), "repeats": 10, "dates": 100,
               "lags": (1, 7, 30, 90, 180, card.window - 1)}),
    ]  # fmt: skip
    train = _inside(times, card.periods["train"])
    facts = {
        "dates": dates, "flows": {name: float(flow[times == np.datetime64(date, "s")][0])
                                  for name, date in dates.items()},
        "mean_flow": float(np.nanmean(flow[train])), "window": card.window, "cells_inside": int(mask.sum()),
        "water_air_r": float(np.corrcoef(water[train], air[train])[0, 1]),
        "water_before": {name: _sum_before(water, times, date, 60) for name, date in dates.items()},
        "water_mean": float(water[train].mean()), "best_lag": _best_lag(water, flow, train),
        "missing_days": int((~np.isfinite(flow)).sum()),
    }  # fmt: skip
    return asked, facts


def moselle_gauge(dataset: Path, models: list[Path]) -> tuple[list[Asked], dict[str, Any]]:
    """What a model of discharge knows of soil, evaporation and snow."""
    common = {"model": str(models[0]), "dataset": str(dataset), "device": "cpu"}
    return [
        Asked(f"probe-{name}", "probe", {**common, "variable": name, "dates": 120, "shuffles": 5})
        for name in ("sm_l1", "sm_l2", "aet", "snowpack")
    ], {}


QUESTIONS = {"moselle": moselle, "lievre": lievre, "moselle-gauge": moselle_gauge}


def answers(name: str, dataset: Path, models: list[Path], out: Path) -> tuple[dict[str, RunFolder], dict[str, Any]]:
    """The run of each question, and facts on the data."""
    asked, facts = QUESTIONS[name](dataset, models)
    session = Session()
    return {item.name: _run(item, out / "why" / name / item.name, session) for item in asked}, facts


def facts_of(verb: str, run: RunFolder) -> dict[str, Any]:
    """The JSON document of an answer."""
    return json.loads((run.results / FACTS[verb]).read_text(encoding="utf-8"))


def verbs(name: str, dataset: Path, models: list[Path]) -> Iterator[tuple[str, str]]:
    """Names of the questions and their verbs."""
    return ((item.name, item.verb) for item in QUESTIONS[name](dataset, models)[0])


def _run(asked: Asked, folder: Path, session: Session) -> RunFolder:
    job = JOBS[asked.verb].from_dict(_plain(asked.fields))
    told = folder / "results" / FACTS[asked.verb]
    if told.exists() and RunFolder(folder).job() == job:
        return RunFolder(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    print(f"Asking {folder.parent.name} {asked.name}", flush=True)
    run = RunFolder.create_at(folder, asked.verb, job)
    if execute(run, session=session):
        raise SystemExit(f"{asked.name}: {run.error()}")
    return run


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(dict(fields)))


def _inside(times: np.ndarray, period: Any) -> np.ndarray:
    first, last = (np.datetime64(text, "s") for text in period)
    return (times >= first) & (times <= last)


def _cell_at(level: np.ndarray, mask: np.ndarray, share: float) -> tuple[int, int]:
    """The cell of the basin whose value lies nearest to the quantile ``share``, off the basin's edge."""
    inner = mask & np.isfinite(level)
    for axis in (0, 1):
        for step in (1, -1):
            inner = inner & np.roll(mask, step, axis=axis)
    away = np.where(inner, np.abs(level - np.quantile(level[inner], share)), np.inf)
    row, column = np.unravel_index(np.argmin(away), level.shape)
    return int(row), int(column)


def _centre(grid: Any, cell: tuple[int, int]) -> tuple[float, float]:
    xs, ys = grid.centres()
    return xs[cell[1]], ys[cell[0]]


def _centre_of(card: Any, name: str) -> float:
    """What the baseline "mean" has of an input, in its unit: the middle of its scale, which of skewed rain is less than
    the mean of its amounts.
    """
    variable = next(item for item in card.inputs if item.name == name)
    return float(Scaler.from_dict(variable.scaler).inverse(np.zeros(1, dtype=np.float32))[0])


def own_shares(run: RunFolder) -> dict[str, float]:
    """Of each variable's map at a single cell, all steps together: the share of sizes that lies in the cell itself."""
    import rasterio

    facts = facts_of("explain", run)
    place, found = facts["place"], {}
    for name in facts["variables"]:
        file = run.results / f"attribution_{name}.tif"
        if place["kind"] != "cell" or not file.exists():
            continue
        with rasterio.open(file) as source:
            sizes = np.abs(source.read(masked=True).filled(0.0).astype(np.float64).sum(axis=0))
        if sizes.any():
            found[name] = float(sizes[place["row"], place["column"]] / sizes.sum())
    return found


def wettest(run: RunFolder, dataset: Path, share: float = 0.2) -> dict[str, float]:
    """Of rain's contribution to the basin's mean: what comes from the ``share`` of its cells where most rain fell in
    the window, and the rain there and in the others, mm.
    """
    import rasterio

    facts = facts_of("explain", run)
    with rasterio.open(run.results / "attribution_pre.tif") as source:
        sums = source.read(masked=True).filled(0.0).astype(np.float64).sum(axis=0)
        steps = source.count
    with Dataset.open(dataset) as opened:
        mask = opened.mask
        end = int(np.flatnonzero(opened.times == np.datetime64(facts["date"], "s"))[0])
        rain = opened.observed("pre", end - steps + 1, end + 1).sum(axis=0)
    wet = mask & (rain >= np.quantile(rain[mask], 1.0 - share))
    return {
        "share": float(wet.sum() / mask.sum()), "held": float(sums[wet].sum() / sums.sum()),
        "rain": float(rain[wet].mean()), "rain_of_others": float(rain[mask & ~wet].mean()),
    }  # fmt: skip


def stripes(run: RunFolder, dataset: Path) -> dict[str, float]:
    """How unlike the cells are that the strides of a CNN step over: their mean size of contributions over that of the
    others in the basin, and the same of the runoff of the last week, for comparison.
    """
    import rasterio

    facts = facts_of("explain", run)
    with rasterio.open(run.results / "attribution_streaminput.tif") as source:
        sizes = np.abs(source.read(masked=True).filled(0.0).astype(np.float64).sum(axis=0))
    with Dataset.open(dataset) as opened:
        mask = opened.mask
        end = int(np.flatnonzero(opened.times == np.datetime64(facts["date"], "s"))[0])
        water = opened.observed("streaminput", end - 6, end + 1).sum(axis=0)
    rows, columns = np.indices(mask.shape)
    on = mask & ((rows % _STRIDES == 0) | (columns % _STRIDES == 0))
    off = mask & ~on
    return {
        "contributions": float(sizes[on].mean() / sizes[off].mean()), "cells": int(on.sum()),
        "runoff": float(np.nanmean(water[on]) / np.nanmean(water[off])),
    }  # fmt: skip


def _sum_before(values: np.ndarray, times: np.ndarray, date: str, days: int) -> float:
    """Sum of the days before and on ``date``."""
    end = int(np.flatnonzero(times == np.datetime64(date, "s"))[0])
    return float(values[max(0, end - days + 1) : end + 1].sum())


def _best_lag(water: np.ndarray, flow: np.ndarray, train: np.ndarray) -> int:
    """Days by which water has to be moved to go along best with discharge."""

    def r(lag: int) -> float:
        moved = np.roll(water, lag)
        known = train & np.isfinite(flow) & (np.arange(len(flow)) >= lag)
        return float(np.corrcoef(moved[known], flow[known])[0, 1])

    return max(range(0, 121), key=r)
