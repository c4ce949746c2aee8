"""What a task of the table on real data is: how a pack becomes a dataset, and the training that all families share.

A task is data: the job that prepares its dataset, and a training job whose model, seed and budget are filled in by
``real_table.py``. Families of one task differ in nothing else. The packs are not part of Freshet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

THREADS = 1
VALIDATION_SHARE, TEST_SHARE = 0.15, 0.2
LONG_SECONDS = 60.0  # from this budget on a task may ask for a longer memory


@dataclass(frozen=True)
class Task:
    """One row of work. ``prepare`` is a prepare job whose paths hold ``{data}`` and ``{out}``; ``train`` a training job
    without model, seed and time limit.

    ``level``: name of a static map that is made before, the mean of the target over the training dates only (of
    log1p of the target where ``log1p``). ``judge_every``: every n-th date of the test period is judged, the same ones
    for all. ``log1p``: scores of log1p of the target beside those in its unit. ``threshold``: the critical success
    index of exceeding it. ``persistence_counts``: whether persistence knows no more than the models do. ``goal``: what
    was wanted of the best family. ``families``: those that run, if not all that fit; ``without``: those left out, with
    the reason. ``options``, ``learning_rate`` and ``scalers`` of families that need others than the task's.
    ``with_time``: what changes in the job where the budget is long.
    """

    name: str
    title: str
    pack: str
    prepare: dict[str, Any]
    train: dict[str, Any]
    question: str
    level: str = ""
    judge_every: int = 1
    log1p: bool = False
    threshold: Optional[float] = None
    persistence_counts: bool = False
    goal: Optional[float] = None
    published: str = ""
    one_cell: bool = False
    gauges: bool = False
    run_through: bool = False
    validation_windows: int = 12
    families: tuple[str, ...] = ()
    without: dict[str, str] = field(default_factory=dict)
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    learning_rate: dict[str, float] = field(default_factory=dict)
    scalers: dict[str, dict[str, str]] = field(default_factory=dict)
    with_time: dict[str, Any] = field(default_factory=dict)

    def prepare_job(self, data: Path, out: Path) -> dict[str, Any]:
        """The prepare job with its paths."""
        job = _with_paths(self.prepare, str(data), str(out))
        return {**job, "output": str(out / "datasets" / f"{self.dataset}.nc"), "checksums": False}

    def train_job(
        self, out: Path, family: str, options: dict[str, Any], seed: int, budget_seconds: float
    ) -> dict[str, Any]:
        """The training job of one family, seed and budget of processor time."""
        train = {**self.train, **(self.with_time if budget_seconds >= LONG_SECONDS else {})}
        training = {
            "learning_rate": 0.005, "batch": 4, "epochs": 10_000, "patience": 10_000, **train["training"],
            "seed": seed, "threads": THREADS, "device": "cpu", "precision": "float32",
            "time_limit_minutes": budget_seconds / 60.0,
        }  # fmt: skip
        if family in self.learning_rate:
            training["learning_rate"] = self.learning_rate[family]
        own = {"scalers": self.scalers[family]} if family in self.scalers else {}
        return {
            **train,
            **own,
            "datasets": [str(out / "datasets" / f"{self.dataset}.nc")],
            "model": {"family": family, "options": {**options, **self.options.get(family, {})}},
            "training": training,
            "title": f"{self.name}, {family}",
        }

    @property
    def dataset(self) -> str:
        """Name of the dataset; tasks with the same sources share one."""
        return self.prepare["name"]


def _with_paths(value: Any, data: str, out: str) -> Any:
    if isinstance(value, str):
        return value.replace("{data}", data).replace("{out}", out)
    if isinstance(value, dict):
        return {key: _with_paths(item, data, out) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_paths(item, data, out) for item in value]
    return value


def source(variable: str, path: str, quantity: str, layer: str = "", role: str = "input", **more: Any) -> dict:
    return {"variable": variable, "path": path, "quantity": quantity, "layer": layer, "role": role, **more}


def level(name: str, dataset: str) -> dict:
    """The static map of the target's mean over the training dates; ``real_table.py`` makes it."""
    return source(name, f"{{out}}/levels/{dataset}.tif", "property", role="static")


SHARES = {"validation_share": VALIDATION_SHARE, "test_share": TEST_SHARE}
