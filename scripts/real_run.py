"""One training of the table on real data: prepare the dataset of a task, train one family on it, judge it.

Everything runs in this process by the functions that the worker itself uses; only the budget is counted in processor
time, so that the comparison is fair on a machine that does other work too.
"""

from __future__ import annotations

import dataclasses
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from real_tasks import Task
from torch import nn

from freshet.core.contracts import EventKind, PrepareJob, TrainJob
from freshet.core.contracts.model_card import ModelCard
from freshet.core.contracts.models import family as model_family
from freshet.core.data.prepare import prepare
from freshet.core.data.store import Dataset
from freshet.core.data.windows import build_window_data
from freshet.core.inference.judge import Judge, Reference
from freshet.core.inference.predictor import Predictor
from freshet.core.inference.training_mean import MeanOfTraining
from freshet.core.metrics.scores import Scores
from freshet.core.training.fitting import fit_module
from freshet.core.training.model_file import build_from_card, save_model
from freshet.core.worker.train import Ready, opened

OVERTIME = 1.15  # a family whose epoch is longer than the budget is stopped here, with the weights that it has
CELLS_AT_ONCE = 16_000  # of all windows that are judged side by side; small grids are quick only in large batches
CENTRE = (0, 0)


def prepared(task: Task, data: Path, out: Path) -> Path:
    """The dataset of a task, made if it is not there yet; the static map of its level before."""
    path = out / "datasets" / f"{task.dataset}.nc"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        job = task.prepare_job(data, out)
        if task.level:
            _write_level(task, job, out)
        for event in prepare(PrepareJob.from_dict(job)):
            if event.kind is EventKind.MESSAGE and event.values["level"] == "warning":
                print(f"  {event.values['text']}", flush=True)
    return path


def trained_and_judged(task: Task, job: TrainJob, budget_seconds: float, keep: Optional[Path] = None) -> dict[str, Any]:
    """Train the model of ``job`` for ``budget_seconds`` of processor time and judge it on the test period; ``keep`` it
    as a model file.
    """
    torch.set_num_threads(1)
    with opened(job) as ready:
        ready = dataclasses.replace(ready, sets=_few_validation_windows(ready.sets, task.validation_windows))
        torch.manual_seed(job.training.seed)
        module = build_from_card(ready.card)
        begin = time.process_time()
        history = _fitted(module, ready, job, budget_seconds)
        seconds = time.process_time() - begin
        begin = time.process_time()
        scores = _judged(task, module.eval(), ready)
        judging = time.process_time() - begin
        if keep is not None:
            count = sum(p.numel() for p in module.parameters() if p.requires_grad)
            save_model(keep, module, ready.card.replace(parameters=count))
    best = min(history, key=lambda entry: entry["validation_loss"], default={})
    return {
        **scores,
        "parameters": sum(p.numel() for p in module.parameters() if p.requires_grad),
        "training_seconds": round(seconds, 1),
        "judging_seconds": round(judging, 1),
        "epochs": len(history),
        "best_epoch": best.get("epoch", 0),
        "validation_nse": best.get("validation_nse"),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _fitted(module: nn.Module, ready: Ready, job: TrainJob, budget_seconds: float) -> list[dict[str, Any]]:
    """Train in place; gives the METRIC values of the epochs."""
    history: list[dict[str, Any]] = []
    folder, begin = Path(tempfile.mkdtemp(prefix="freshet-table-")), time.process_time()
    try:
        events = fit_module(module, ready.sets, job.training, folder, ready.card.warm_up, clock=time.process_time)
        for event in events:
            if event.kind is EventKind.METRIC:
                history.append(event.values)
            if event.kind is EventKind.PROGRESS and time.process_time() - begin > OVERTIME * budget_seconds:
                if model_family(job.model.family).learns == "gradient":
                    events.close()
                    break
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return history


def _few_validation_windows(sets: Sequence[Any], most: int) -> list[Any]:
    """The same sets with about ``most`` of their validation windows, evenly spaced: judging between the epochs must not
    eat the budget.
    """
    total = sum(len(item.split.validation) for item in sets)
    every = max(1, -(-total // most))
    return [
        dataclasses.replace(item, split=dataclasses.replace(item.split, validation=item.split.validation[::every]))
        for item in sets
    ]


def _judged(task: Task, module: nn.Module, ready: Ready) -> dict[str, Any]:
    """Scores over all datasets with a test period, pooled, beside those of persistence and climatology."""
    known = MeanOfTraining(ready.card, ready.datasets)
    total: Optional[_Scoring] = None
    for dataset, split in zip(ready.datasets, ready.splits):
        if not len(split.test):
            continue
        ends = split.test[:: task.judge_every]
        scoring = _Scoring(task, ready, dataset, ends, known)
        for chunk, maps in predicted(module, ready.card, dataset, ends):
            scoring.add(chunk, maps)
        total = scoring if total is None else total.merged(scoring)
    return total.to_dict()


def predicted(
    module: nn.Module, card: ModelCard, dataset: Dataset, ends: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield ``(ends (n,), frames (n, H, W))`` in the target's unit, NaN outside the mask; the first lead."""
    asked = np.arange(ends[0], ends[-1] + 1) if card.run_through else ends  # a pass goes through all dates between
    batch = max(8, min(512, CELLS_AT_ONCE // dataset.mask.size))
    with Predictor((module, card), dataset, "cpu", batch=batch) as predictor:
        for chunk, maps in predictor.predict(asked):
            wanted = np.isin(chunk, ends)
            if wanted.any():
                yield chunk[wanted], maps[wanted, 0]


class _Scoring:
    """Scores of one dataset's test dates: the judge's own, those of log1p, and counts above a threshold."""

    def __init__(self, task: Task, ready: Ready, dataset: Dataset, ends: np.ndarray, known: MeanOfTraining) -> None:
        card = ready.card
        data = build_window_data(dataset, card)
        self.task, self.data = task, data
        reference = Reference.of(dataset, card, data.target_times(ends), known)
        self.judge = Judge(reference, card.lead, CENTRE)
        shape = reference.observed.shape[1:]
        self.log = {name: Scores(shape) for name in ("model", "persistence", "climatology")}
        self.counts = {name: np.zeros(3) for name in self.log}
        self.dates = 0
        self.first, self.last = None, None

    def add(self, ends: np.ndarray, maps: np.ndarray) -> None:
        """Judge frames (n, H, W) of the windows that end at ``ends``."""
        dates, judge = self.data.target_times(ends)[:, 0], self.judge
        observed = judge.add(dates, maps)
        self.dates += len(dates)
        self.first = dates.min() if self.first is None else min(self.first, dates.min())
        self.last = dates.max() if self.last is None else max(self.last, dates.max())
        if not (self.task.log1p or self.task.threshold is not None):
            return
        reference = judge.reference
        others = {
            "model": maps,
            "persistence": reference.persistence.at(reference.position(dates), judge.distance_steps),
            "climatology": reference.climatology.at(dates),
        }
        for name, values in others.items():
            if self.task.log1p:
                self.log[name].accumulate(_log1p(values), _log1p(observed))
            if self.task.threshold is not None:
                self.counts[name] += _hits(values, observed, self.task.threshold)

    def merged(self, other: _Scoring) -> _Scoring:
        """This one with the pairs of ``other`` (the same grid)."""
        for name in self.log:
            getattr(self.judge, name).merge(getattr(other.judge, name))
            self.log[name].merge(other.log[name])
            self.counts[name] += other.counts[name]
        self.dates += other.dates
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)
        return self

    def to_dict(self) -> dict[str, Any]:
        """Scores of the model and of the two baselines that every scores document holds."""
        found: dict[str, Any] = {
            "dates": self.dates,
            "period": [str(self.first), str(self.last)],
            "climatology_note": self.judge.reference.climatology.note,
        }
        for name in self.log:
            found[name] = _short(getattr(self.judge, name))
            if self.task.log1p:
                found[name]["log1p"] = _short(self.log[name])
            if self.task.threshold is not None:
                hits, misses, alarms = self.counts[name]
                found[name]["csi"] = round(float(hits / max(hits + misses + alarms, 1)), 4)
        return found


def _short(scores: Scores) -> dict[str, Optional[float]]:
    pooled, median = scores.compute(), scores.median_per_cell()
    return {
        "nse": _plain(pooled["nse"]),
        "nse_median": _plain(median["nse"]),
        "rmse": _plain(pooled["rmse"]),
        "kge": _plain(pooled["kge"]),
        "bias": _plain(pooled["bias"]),
        "pairs": int(pooled["count"]),
    }


def _plain(value: float) -> Optional[float]:
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _log1p(values: np.ndarray) -> np.ndarray:
    return np.log1p(np.maximum(values, 0.0))


def _hits(predicted: np.ndarray, observed: np.ndarray, threshold: float) -> np.ndarray:
    """Hits, misses and false alarms of reaching ``threshold``, where both are known."""
    both = np.isfinite(predicted) & np.isfinite(observed)
    said, was = (predicted >= threshold) & both, (observed >= threshold) & both
    return np.array([(said & was).sum(), (~said & was).sum(), (said & ~was).sum()], dtype=np.float64)


def _write_level(task: Task, job: dict[str, Any], out: Path) -> None:
    """The mean of the target over the training dates, as a GeoTIFF among the static maps of its own dataset."""
    from freshet.core.inference.geotiff import write_map

    target = task.train["target"]
    sources = [source for source in job["sources"] if source["role"] == "target"]
    plain = {**job, "sources": sources, "output": str(out / "levels" / f"{task.dataset}.nc")}
    (out / "levels").mkdir(parents=True, exist_ok=True)
    for _ in prepare(PrepareJob.from_dict(plain)):
        pass
    with Dataset.open(plain["output"]) as dataset:
        steps = len(dataset.times)
        shares = task.train["split"]
        first_kept_out = (
            steps - int(round(steps * shares["test_share"])) - int(round(steps * shares["validation_share"]))
        )
        values = dataset.observed(target)[:first_kept_out].astype(np.float64)
        values = np.log1p(values) if task.log1p else values
        known = np.isfinite(values)
        mean = np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        mean = np.where(known.any(axis=0) & dataset.mask, mean, np.nan)
        write_map(
            out / "levels" / f"{task.dataset}.tif", mean, dataset.grid, units="", label=f"training mean of {target}"
        )
