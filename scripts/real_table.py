"""Every family on real data: ``real_table.py DATA_FOLDER OUT_FOLDER [--tasks a,b] [--families x,y] [--seeds 1,2,3]
[--budget SECONDS] [--shard I/N] [--page]``.

Trains each family on each task that it fits with the same budget of processor time on one thread, judges it on dates
that it has not seen, and keeps one JSON file a training in OUT_FOLDER/results. What is there already is kept, unless
its job or budget has changed. ``--page`` writes docs/real-data.json, docs/real-data.md and its picture from the
results; with docs/real-data.json alone and no folders, the page is made again from that file. ``--shard 1/2`` and
``--shard 2/2`` in two processes share the work. The packs are not part of Freshet.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy and torch load: processor time is to be that of one thread

SEEDS = (1, 2, 3)
BUDGET_SECONDS = 15.0
FORM = 1  # raise it when results of an older kind must be made again


def main(arguments: Optional[list[str]] = None) -> int:
    """Run what is missing, or write the page."""
    asked = _parser().parse_args(arguments)
    if asked.page:
        import real_table_page

        return real_table_page.make(asked.out and Path(asked.out).resolve())
    if not (asked.data and asked.out):
        print("Name the folder of the packs and one for the results", file=sys.stderr)
        return 2
    data, out = Path(asked.data).resolve(), Path(asked.out).resolve()
    part, parts = (int(text) for text in asked.shard.split("/"))
    done = failed = 0
    for number, (task, name, seed) in enumerate(_work(asked)):
        if number % parts != part - 1:
            continue
        state = run_one(task, name, seed, asked.budget, data, out)
        done, failed = done + (state == "done"), failed + (state == "failed")
    print(f"{done} trainings run, {failed} refused or failed")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Every family on real data.")
    parser.add_argument("data", nargs="?", help="folder of the packs")
    parser.add_argument("out", nargs="?", help="folder for datasets and results")
    parser.add_argument("--tasks", default="", help="names of tasks, with commas; all by default")
    parser.add_argument("--families", default="", help="names of families, with commas; all that fit by default")
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)), help="seeds, with commas")
    parser.add_argument("--budget", type=float, default=BUDGET_SECONDS, help="seconds of processor time a training")
    parser.add_argument("--shard", default="1/1", help="which part of the work, as 1/2")
    parser.add_argument("--page", action="store_true", help="write the page instead of running")
    return parser


def _work(asked: argparse.Namespace) -> Iterator[tuple[Any, str, int]]:
    """What is asked for, seed by seed, so that an early end leaves a whole table of the first seeds."""
    from real_families import WITHOUT_SEEDS, fitting
    from real_tasks import TASKS

    tasks = [task for task in TASKS if not asked.tasks or task.name in asked.tasks.split(",")]
    seeds = [int(text) for text in asked.seeds.split(",")]
    for seed in seeds:
        for task in tasks:
            for name in fitting(task):
                if asked.families and name not in asked.families.split(","):
                    continue
                if name in WITHOUT_SEEDS and seed != seeds[0]:
                    continue
                yield task, name, seed


def run_one(task: Any, name: str, seed: int, budget: float, data: Path, out: Path) -> str:
    """Train and judge unless the result is there: "kept", "done" or "failed" (then its file holds the reason)."""
    from real_families import job_of

    job = job_of(task, name, out, seed, budget)
    file = result_file(out, task.name, name, seed, budget)
    key = fingerprint(task, job, budget, out)
    if is_kept(file, key):
        return "kept"
    from real_run import prepared, trained_and_judged

    from freshet.core.contracts import TrainJob
    from freshet.core.contracts.errors import FreshetError

    result: dict[str, Any] = {"task": task.name, "family": name, "seed": seed, "budget_seconds": budget, "key": key}
    state = "done"
    try:
        prepared(task, data, out)
        result.update(trained_and_judged(task, TrainJob.from_dict(job), budget))
    except FreshetError as error:
        result["error"], state = str(error), "failed"
    result.update(job=_without_folder(job, out), machine=machine())
    write(file, result)
    shown = result.get("error") or f"NSE {result['model']['nse']:.4f}, {result['epochs']} epochs"
    print(f"{time.strftime('%H:%M:%S')} {task.name} {name} seed {seed}: {shown}", flush=True)
    return state


def result_file(out: Path, task: str, name: str, seed: int, budget: float) -> Path:
    """Where one result lies."""
    return out / "results" / f"{task}.{name}.{seed}.{budget:g}s.json"


def fingerprint(task: Any, job: dict[str, Any], budget: float, out: Path) -> str:
    """Of what a result depends on: the training job, the dataset's job, budget, how it is judged."""
    parts = [FORM, _without_folder(job, out), task.prepare, budget, task.judge_every, task.validation_windows]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def is_kept(file: Path, key: str) -> bool:
    """Whether a whole result of the same job lies there."""
    if not file.exists():
        return False
    return json.loads(file.read_text(encoding="utf-8")).get("key") == key


def write(file: Path, result: dict[str, Any]) -> None:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".part")
    temporary.write_text(json.dumps(result, indent=1, ensure_ascii=False), encoding="utf-8")
    temporary.replace(file)


def machine() -> dict[str, Any]:
    """Processor, versions, date."""
    import platform

    import numpy
    import torch

    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "date": datetime.date.today().isoformat(),
        "processor": names[0] if names else platform.processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
    }


def _without_folder(job: dict[str, Any], out: Path) -> dict[str, Any]:
    return json.loads(json.dumps(job).replace(str(out), "OUT"))


if __name__ == "__main__":
    sys.exit(main())
