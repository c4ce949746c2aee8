"""One click: ``bench_click.py [ROUNDS]``. Seconds from the question to the first picture and to the whole answer, asked
of the worker that stays, with the model loaded.

Models of a grid of 54 x 36 cells and a window of 30 days, by integrated gradients of 32 points: hidden 32 and 64, and
one like that of the Moselle (hidden 16 or 32, three inputs, 22 channels of static maps). Weights are random, since they
do not change the time. Each round asks for another cell and date. The first picture is told after the last of its maps
(8 points), the answer with ``attribution.json``; the end of the run comes when charts and report are drawn.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "bench" / "click"
ROWS, COLUMNS, STEPS, WINDOW = 54, 36, 730, 30
CLASSES = 5
CASES = {  # hidden, inputs, plain static maps, maps of classes, limits of picture and answer in seconds
    "hidden 32 and 64": ([32, 64], 4, 3, 0, (3.0, 12.0)),
    "small, hidden 16": ([16], 3, 2, 4, (1.0, 3.0)),
    "small, hidden 32": ([32], 3, 2, 4, (1.0, 3.0)),
}


def main(arguments: list[str]) -> int:
    """Print the figures as JSON."""
    print(json.dumps(measure(int(arguments[0]) if arguments else 7), indent=2))
    return 0


def measure(rounds: int = 7) -> dict[str, Any]:
    """Seconds of each case: median, least and most of the rounds."""
    import torch

    OUT.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {
        "torch": torch.__version__, "threads": torch.get_num_threads(), "cores": len(os.sched_getaffinity(0)),
        "load": [round(value, 1) for value in os.getloadavg()], "rounds": rounds,
    }  # fmt: skip
    for title, (hidden, inputs, plain, classed, limits) in CASES.items():
        dataset, model = write_world(OUT, hidden, inputs, plain, classed)
        found[title] = _asked(dataset, model, rounds, limits)
        found[title]["load"] = round(os.getloadavg()[0], 1)
    return found


def write_world(folder: Path, hidden: list[int], inputs: int, plain: int, classed: int) -> tuple[Path, Path]:
    """A dataset of noise and a model of random weights."""
    import torch

    from freshet.core.contracts import Grid
    from freshet.core.contracts.model_card import ModelCard, VariableCard
    from freshet.core.contracts.models import resolve
    from freshet.core.data.store import VariableInfo, write_dataset
    from freshet.core.training.model_file import build_from_card, save_model

    kinds = ["precipitation", "temperature", "pet", "snow"][:inputs]
    names = [f"{kind}_{number}" for number, kind in enumerate(kinds)]
    maps = [f"map_{number}" for number in range(plain)] + [f"classes_{number}" for number in range(classed)]
    rng = np.random.default_rng(1)
    scaler = {"kind": "standard", "shift": 0.0, "width": 1.0, "low": -3.0, "high": 3.0}

    def info(name: str, role: str, kind: str, fixed: bool = False) -> VariableInfo:
        return VariableInfo(name, role, kind, "-", name, fixed, 0.0, 0.0, 1.0)

    def card_of(name: str, kind: str) -> VariableCard:
        held = {"kind": "one-hot", "classes": list(range(CLASSES))} if name.startswith("classes") else scaler
        return VariableCard(name=name, quantity=kind, units="-", label=name, scaler=held, minimum=-3.0, maximum=3.0)

    def kind_of(name: str) -> str:
        return "class_map" if name.startswith("classes") else "elevation"

    def map_of(name: str) -> np.ndarray:
        return (
            rng.integers(0, CLASSES, (ROWS, COLUMNS)).astype(np.float32) if "classes" in name else noise(ROWS, COLUMNS)
        )

    def noise(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    stem = "-".join(str(size) for size in (*hidden, inputs, plain, classed))
    dataset, model = folder / f"{stem}.nc", folder / f"{stem}.safetensors"
    frames = (STEPS, ROWS, COLUMNS)
    write_dataset(
        dataset, name=stem, grid=Grid("EPSG:3035", 4e6, 3e6, 4000.0, 4000.0, COLUMNS, ROWS), step_seconds=86400.0,
        times=np.datetime64("1990-01-01", "s") + np.arange(STEPS) * np.timedelta64(86400, "s"),
        dynamic={
            **{name: (info(name, "input", kind), noise(*frames)) for name, kind in zip(names, kinds)},
            "wet": (info("wet", "target", "soil_moisture"), noise(*frames)),
        },
        static={name: (info(name, "static", kind_of(name), True), map_of(name)) for name in maps},
        mask=np.ones((ROWS, COLUMNS), dtype=bool), provenance={},
    )  # fmt: skip
    torch.manual_seed(0)
    card = ModelCard(
        title=stem, family="convlstm", options=resolve("convlstm", {"hidden": hidden, "kernel": [3]})[1],
        inputs=tuple(card_of(name, kind) for name, kind in zip(names, kinds)),
        static=tuple(card_of(name, kind_of(name)) for name in maps), target=card_of("wet", "soil_moisture"),
        season=False, window=WINDOW, lead=0, leads=1, step_seconds=86400.0, cell_size=(4000.0, 4000.0),
    )  # fmt: skip
    save_model(model, build_from_card(card), card)
    return dataset, model


def _asked(dataset: Path, model: Path, rounds: int, limits: tuple[float, float]) -> dict[str, Any]:
    from freshet.core.contracts import ExplainJob, RunFolder

    rng = np.random.default_rng(2)
    worker = subprocess.Popen(
        [sys.executable, "-I", str(ROOT / "core/worker/launch.py"), "--stay"], stdin=subprocess.PIPE, text=True
    )
    _tell(worker, load={"model": str(model), "dataset": str(dataset), "sequence": ""})
    seconds: dict[str, list[float]] = {"first picture": [], "answer": [], "end": []}
    for number in range(rounds + 1):
        row, column, day = rng.integers(8, ROWS - 8), rng.integers(8, COLUMNS - 8), rng.integers(60, STEPS)
        job = ExplainJob(
            model=str(model), dataset=str(dataset), x=4e6 + 4000.0 * (column + 0.5), y=3e6 - 4000.0 * (row + 0.5),
            date=str(np.datetime64("1990-01-01") + int(day)),
        )  # fmt: skip
        found = _seconds_of(RunFolder.create(OUT / "runs", "explain", job), worker)
        if number:  # the first round waits until everything is loaded
            for name, value in found.items():
                seconds[name].append(value)
    worker.stdin.close()
    worker.wait()
    rounded = {
        name: {"median_s": round(statistics.median(v), 2), "min_s": round(min(v), 2), "max_s": round(max(v), 2)}
        for name, v in seconds.items()
    }
    return {**rounded, "limits_s": limits}


def _seconds_of(run: Any, worker: subprocess.Popen) -> dict[str, float]:
    """From the question to what is told of it, as a program notices that looks every 10 ms."""
    from freshet.core.contracts import EventKind, EventTail

    found = {"first picture": 0.0, "answer": 0.0}
    tail, begin = EventTail(run.events_file), time.monotonic()
    _tell(worker, run=str(run.path))
    while True:
        for event in tail.read():
            now, values = time.monotonic() - begin, event.values
            if event.kind is EventKind.PROGRESS and "so_far" in values and not found["first picture"]:
                found["first picture"] = now
            elif event.kind is EventKind.ARTIFACT and values["path"].endswith("attribution.json"):
                found["answer"] = now
            elif event.kind in (EventKind.DONE, EventKind.FAILED, EventKind.CANCELLED):
                if event.kind is not EventKind.DONE:
                    raise SystemExit(str(run.error()))
                return {**found, "end": now}
        time.sleep(0.01)


def _tell(worker: subprocess.Popen, **task: Any) -> None:
    worker.stdin.write(json.dumps(task) + "\n")
    worker.stdin.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
