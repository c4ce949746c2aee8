"""Writes docs/real-data.md and its picture from the results of ``real_table.py``, kept short in docs/real-data.json."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional

from real_tasks import TASKS, Task

ROOT = Path(__file__).resolve().parent.parent
SUMMARY, PAGE, PICTURE = "docs/real-data.json", "docs/real-data.md", "docs/pictures/real-data.png"
SIMPLE_FAMILIES = ("ridge", "advection")  # beside climatology and persistence
AT_ONCE = ("ridge", "random-forest", "advection")
NO_NEIGHBOURS = ("lstm", "mc-lstm", "exp-hydro", "ridge", "random-forest")
FEW_EPOCHS = 3
SEEDS = 3
OVERTIME = 1.15  # real_run.OVERTIME, which loads torch


def make(out: Optional[Path], root: Path = ROOT) -> int:
    """Write summary, page and picture; from the results below ``out``, or from the summary that is there."""
    if out is not None:
        summary = gathered(out)
        text = json.dumps(summary, indent=0, ensure_ascii=False)
        (root / SUMMARY).write_text(text + "\n", encoding="utf-8")
    summary = json.loads((root / SUMMARY).read_text(encoding="utf-8"))
    (root / PAGE).write_text(page(summary), encoding="utf-8")
    from real_table_picture import draw

    draw(summary, root / PICTURE)
    return 0


def gathered(out: Path) -> dict[str, Any]:
    """All results below ``out`` of jobs as they are today, as short entries; which machines made them."""
    from real_families import OPTIONS, job_of
    from real_table import fingerprint

    tasks = {task.name: task for task in TASKS}
    entries, machines, baselines = [], set(), {}
    for file in sorted((out / "results").glob("*.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        task, name, budget = tasks.get(result["task"]), result["family"], result["budget_seconds"]
        if task is None or name not in OPTIONS:
            continue
        if result["key"] != fingerprint(task, job_of(task, name, out, result["seed"], budget), budget, out):
            continue
        machines.add(json.dumps(result["machine"], sort_keys=True))
        entries.append(_entry(result))
        if "error" not in result:
            baselines[result["task"]] = {
                **{name: result[name] for name in ("climatology", "persistence")},
                **{name: result[name] for name in ("dates", "period", "climatology_note")},
            }
    return {"machines": [json.loads(text) for text in sorted(machines)], "baselines": baselines, "results": entries}


def _entry(result: dict[str, Any]) -> dict[str, Any]:
    entry = {name: result[name] for name in ("task", "family", "seed", "budget_seconds")}
    if "error" in result:
        return {**entry, "error": result["error"]}
    kept = ("parameters", "training_seconds", "judging_seconds", "epochs", "best_epoch", "peak_memory_mb")
    model = {key: value for key, value in result["model"].items() if key != "pairs"}
    return {**entry, **{name: result[name] for name in kept}, "model": model}


class Row:
    """One family (or simple baseline) on one task with one budget: its seeds together."""

    def __init__(self, task: Task, name: str, entries: list[dict[str, Any]]) -> None:
        self.task, self.name, self.entries = task, name, entries
        self.good = [entry for entry in entries if "error" not in entry]
        self.models = [entry["model"] for entry in self.good]
        self.scores = [score(task, model) for model in self.models]

    @property
    def mean(self) -> float:
        """Mean over the seeds of the score by which the task is sorted."""
        return sum(self.scores) / len(self.scores)

    @property
    def simple(self) -> bool:
        """Whether this is a simple baseline that knows no more than the families do."""
        if self.name == "persistence":
            return self.task.persistence_counts
        return self.name in ("climatology", *SIMPLE_FAMILIES)

    def of(self, key: str, part: str = "model") -> Optional[float]:
        """Mean over the seeds of a value of the scores, or of the entry itself."""
        found = [entry.get(key) if part == "entry" else entry["model"].get(key) for entry in self.good]
        found = [value for value in found if value is not None]
        return sum(found) / len(found) if found else None


def score(task: Task, model: dict[str, Any]) -> float:
    """NSE, of log1p where the task says so."""
    return (model["log1p"] if task.log1p else model)["nse"]


def rows_of(summary: dict[str, Any], task: Task, budget: Optional[float]) -> list[Row]:
    """Best first. ``budget``: that of the trainings; families that learn at once and simple baselines have any."""
    grouped = defaultdict(list)
    for entry in summary["results"]:
        if entry["task"] == task.name and (entry["budget_seconds"] == budget or entry["family"] in AT_ONCE):
            grouped[entry["family"]].append(entry)
    rows = [Row(task, name, entries) for name, entries in grouped.items()]
    known = summary["baselines"].get(task.name)
    for name in ("climatology", "persistence") if known else ():
        rows.append(Row(task, name, [{"model": known[name]}]))
    return sorted((row for row in rows if row.good), key=lambda row: -row.mean)


def failures_of(summary: dict[str, Any], task: Task) -> dict[str, str]:
    """Families that refused or failed for every seed, with the reason."""
    failed, good = {}, set()
    for entry in summary["results"]:
        if entry["task"] == task.name:
            if "error" in entry:
                failed[entry["family"]] = entry["error"]
            else:
                good.add(entry["family"])
    return {name: text for name, text in failed.items() if name not in good}


def best_simple(rows: Iterable[Row]) -> Row:
    """The best simple baseline that knows no more than the families."""
    return max((row for row in rows if row.simple), key=lambda row: row.mean)


def best_family(rows: Iterable[Row], trained: bool = False) -> Optional[Row]:
    """The best family that is no simple baseline; with ``trained`` of those that learn by gradients."""
    aside = ("climatology", "persistence", *(AT_ONCE if trained else SIMPLE_FAMILIES))
    return max((row for row in rows if row.name not in aside), key=lambda row: row.mean, default=None)


def skill(row: Row, baseline: Row) -> float:
    """1 - MSE / MSE of the baseline, on the same dates."""
    return 1.0 - (1.0 - row.mean) / (1.0 - baseline.mean)


def budgets_of(summary: dict[str, Any]) -> list[float]:
    """Budgets in the results, the usual one (with most results) first."""
    counts: dict[float, int] = defaultdict(int)
    for entry in summary["results"]:
        counts[entry["budget_seconds"]] += 1
    return sorted(counts, key=lambda budget: -counts[budget])


def page(summary: dict[str, Any]) -> str:
    """The text of the page."""
    from real_table_words import after, before, more_time, overview, sentences, table

    usual, *longer = budgets_of(summary)
    parts = [before(summary, usual), overview(summary, usual, longer)]
    for task in TASKS:
        rows = rows_of(summary, task, usual)
        if best_family(rows, trained=True) is None:
            continue
        parts.append(f"## {task.title}\n`{task.name}`, pack {task.pack}. {task.question}\n")
        parts.append(table(task, rows))
        parts.append(sentences(summary, task, rows, failures_of(summary, task)))
    if longer:
        parts.append(more_time(summary, longer))
    parts.append(after(summary, usual))
    return "\n".join(parts)
