"""How cost grows with work: time and memory over cells, window, channels and years; called by ``bench.py``.

Each point is measured in a process of its own: the least of some training steps and the peak of memory beyond what was
resident before; of years, the seconds of an epoch and the peak of the process beyond that before the training.

``bench_cost.py point JSON``: one point.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from bench_networks import ROOT, Case, Program
from bench_rounds import exponent, rounded
from bench_world import training_of
from peers.resident import forget_peak, peak, resident

OUT = ROOT / "build" / "bench" / "cost"
THREADS = 2
STEPS = 5  # measured, after one that is not
SMALL = Case("cost: batch 4, 8 steps, 4 channels, 64x64, hidden 32", 4, 8, 4, 64, 64, (32,))
YEARS = Case("cost of years: batch 4, 8 steps, 4 channels, 24x24, hidden 16", 4, 8, 4, 24, 24, (16,))
AXES = {
    "cells": ("cells of the grid", [32, 48, 64, 96, 128, 192]),
    "window": ("steps of the window", [4, 8, 16, 32, 64]),
    "channels": ("channels of the layer", [8, 16, 32, 64, 128]),
    "years": ("years of daily maps", [1, 2, 4, 8, 16]),
}
EXPECTED = {  # the exponents of time and memory that the equations give
    "cells": (1, 1), "window": (1, 1), "channels": (2, 1), "years": (1, 1),
}  # fmt: skip
_DAYS, _EPOCHS = 365, 3


def cost(axes: dict[str, tuple[str, list[int]]] = AXES, small: Case = SMALL, years: Case = YEARS) -> dict[str, Any]:
    """Sizes, seconds, MiB and fitted exponents of each axis."""
    OUT.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    for name, (label, values) in axes.items():
        points = [_apart({"axis": name, "case": asdict(case_of(name, v, small, years)), "value": v}) for v in values]
        sizes = [value**2 if name == "cells" else value for value in values]
        found[name] = {
            "label": label, "case": (years if name == "years" else small).title, "sizes": sizes,
            "expected": dict(zip(("seconds", "mib"), EXPECTED[name])),
            "seconds": [rounded(point["seconds"]) for point in points],
            "mib": [rounded(max(point["mib"], 0.01)) for point in points],
        }  # fmt: skip
        found[name]["exponents"] = {what: exponent(sizes, found[name][what]) for what in ("seconds", "mib")}
        print(f"cost, {name}: {json.dumps(found[name])}", flush=True)
    return found


def case_of(axis: str, value: int, small: Case, years: Case) -> Case:
    """The sizes at one point of an axis."""
    changes = {
        "cells": {"rows": value, "columns": value}, "window": {"steps": value}, "channels": {"hidden": (value,)},
        "years": {},
    }[axis]  # fmt: skip
    return replace(years if axis == "years" else small, **changes)


def _apart(task: dict[str, Any]) -> dict[str, float]:
    command = [sys.executable, str(Path(__file__)), "point", json.dumps(task)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def point(axis: str, case: dict[str, Any], value: int) -> dict[str, float]:
    """One point, in this process."""
    torch.set_num_threads(THREADS)
    sizes = Case.from_json(json.dumps(case))
    return _epoch(sizes, value) if axis == "years" else _steps(sizes)


def _steps(case: Case) -> dict[str, float]:
    program = Program("freshet float32", case)
    mib = program.peak()
    return {"seconds": min(program.step() for _ in range(STEPS)), "mib": mib}


def _epoch(case: Case, years: int) -> dict[str, float]:
    """Seconds of the last of some epochs, validation within."""
    from freshet.core.contracts.events import EventKind
    from freshet.core.training.fitting import fit_module
    from freshet.core.training.model_file import build_from_card

    def training(length: int) -> Any:
        path = OUT / f"{case.rows}x{case.columns}-{length}.nc"
        return training_of(
            path, case.rows, case.columns, length * _DAYS, case.hidden, case.steps,
            batch=case.batch, precision="float32", threads=THREADS, epochs=_EPOCHS, patience=_EPOCHS,
        )  # fmt: skip

    training(years)  # written, if it is not there yet, and the libraries loaded
    gc.collect()
    with tempfile.TemporaryDirectory(dir=OUT) as folder:
        before = resident()
        forget_peak()
        card, sets, config = training(years)
        ends = []
        for event in fit_module(build_from_card(card), sets, config, Path(folder)):
            if event.kind is EventKind.METRIC:
                ends.append(time.perf_counter())
        return {"seconds": min(b - a for a, b in zip(ends, ends[1:])), "mib": peak() - before}


if __name__ == "__main__":
    print(json.dumps(point(**json.loads(sys.argv[2]))))
