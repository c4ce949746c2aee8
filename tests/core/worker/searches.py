"""Small searches for tests: their job, and what they leave."""

from __future__ import annotations

import csv

from freshet.core.contracts import EventKind, RunFolder, TuneJob
from freshet.core.worker.main import execute

RATES = {"training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}


def job_of(dataset, space, training=None, **changes):
    train = {
        "datasets": [str(dataset)], "target": "store", "inputs": ["rain"], "window": 6, "warm_up": 0,
        "model": {"options": {"hidden": [2], "kernel": [1]}},
        "training": {"epochs": 1, "batch": 16, "threads": 1, **(training or {})},
    }  # fmt: skip
    return TuneJob.from_dict({"train": train, "space": space, **changes})


def searched(job, folder, name="run"):
    run = RunFolder.create_at(folder / name, "tune", job)
    assert execute(run) == 0, run.error()
    return run


def trials(run):
    with open(run.results / "trials.csv", encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def texts(events):
    return [event.values["text"] for event in events if event.kind is EventKind.MESSAGE]
