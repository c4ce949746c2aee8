"""Datasets and trained models of the pages docs/why-moselle.md and docs/why-lievre.md.

Tasks, sizes and budgets are those of the table on real data (``real_table.py``); what is in the folder already is
taken as it is. To the dataset of the Moselle come states of the simulation that no model is trained on, for probes.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from real_families import job_of
from real_run import prepared, trained_and_judged
from real_table import machine, write
from real_task import Task, source
from real_tasks import TASKS

from freshet.core.contracts import TrainJob

_MOSELLE = "{data}/mhm_moselle/mhm_moselle_4km_1990_1993.nc"
STATES = (("sm_l2", "soil_moisture"), ("snowpack", "snow"), ("aet", "evapotranspiration"))  # what probes look for


@dataclass(frozen=True)
class Members:
    """Models of one task that differ in their seed alone."""

    task: str
    family: str
    seeds: tuple[int, ...]
    budget_seconds: float


MEMBERS = {
    "moselle": Members("moselle-sm", "convgru", (1, 2, 3), 240.0),
    "lievre": Members("lievre", "cnn-lstm", (1, 2, 3), 15.0),
    "moselle-gauge": Members("moselle-gauge", "cnn-lstm", (1,), 15.0),
}


def task_of(name: str) -> Task:
    """The task of the table, its dataset with the states that probes look for."""
    task = next(task for task in TASKS if task.name == MEMBERS[name].task)
    if name == "lievre":
        return task
    more = [source(state, _MOSELLE, kind, state) for state, kind in STATES]
    if name == "moselle-gauge":
        more.append(source("sm_l1", _MOSELLE, "soil_moisture", "sm_l1"))
    sources = [*task.prepare["sources"], *more]
    return dataclasses.replace(task, prepare={**task.prepare, "sources": sources})


def model_file(out: Path, name: str, seed: int) -> Path:
    """Where a member lies."""
    members = MEMBERS[name]
    return out / "models" / f"{members.task}.{members.family}.{seed}.safetensors"


def models(name: str, data: Path, out: Path) -> tuple[Path, list[Path], list[dict[str, Any]]]:
    """Dataset, model files and the scores of each; trained and judged where they are not there yet."""
    members, task = MEMBERS[name], task_of(name)
    dataset = prepared(task, data, out)
    files, scores = [], []
    for seed in members.seeds:
        file = model_file(out, name, seed)
        told = file.with_suffix(".json")
        if not (file.exists() and told.exists()):
            file.parent.mkdir(parents=True, exist_ok=True)
            job = TrainJob.from_dict(job_of(task, members.family, out, seed, members.budget_seconds))
            print(f"Training {file.stem}, {members.budget_seconds:g} s of processor time", flush=True)
            found = trained_and_judged(task, job, members.budget_seconds, file)
            write(told, {**found, "seed": seed, "machine": machine()})
        files.append(file)
        scores.append(json.loads(told.read_text(encoding="utf-8")))
    return dataset, files, scores
