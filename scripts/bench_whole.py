"""A whole training of the thesis's network against Keras; called by ``bench.py``.

One year of daily maps of 46 x 43 cells that can be learned, windows of 8 days, batches of 4, 3 epochs, Adam with a
rate of 1e-3, the same start scheme, the same windows. Freshet trains as it does for a person, with its own choices;
Keras in float32, as the papers ran it, with its windows cut into one array, as ``fit`` wants them. Both keep the
weights of the epoch with the best validation loss. Time: from maps in memory to the trained network, with all that
each needs for it. Memory: the peak of the process, with the libraries. Score: mean squared error of all validation
windows.

``bench_whole.py SEED EPOCHS``: Freshet's training, in this process.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from bench_networks import ROOT, THESIS, Case
from bench_rounds import ratio, rounded
from bench_world import training_of
from peers.environment import KerasPeer, PeerMissing
from peers.resident import forget_peak, peak

OUT = ROOT / "build" / "bench" / "whole"
THREADS, EPOCHS, DAYS = 2, 3, 365
SEEDS = (1, 2, 3)
_FEWEST = 48  # windows that Freshet judges an epoch by at least; see core/training/judging.py


def whole(
    seeds: tuple[int, ...] = SEEDS, epochs: int = EPOCHS, case: Case = THESIS, days: int = DAYS
) -> dict[str, Any]:
    """Both trainings for each seed, one after the other."""
    OUT.mkdir(parents=True, exist_ok=True)
    data = _arrays(case, days)
    found: dict[str, list[dict[str, Any]]] = {"freshet": [], "keras": []}
    missing = ""
    for seed in seeds:
        found["freshet"].append(_freshet(seed, epochs, case, days))
        try:
            with KerasPeer(THREADS) as keras:
                task = {"data": str(data), "case": asdict(case), "epochs": epochs, "seed": seed}
                found["keras"].append(keras.ask(train=task))
        except PeerMissing as error:
            missing = str(error)
        print(f"whole, seed {seed}: {json.dumps({name: runs[-1:] for name, runs in found.items()})}", flush=True)
    return {**found, "seeds": list(seeds), "epochs": epochs, "rows": _rows(found, missing)}


def _rows(found: dict[str, list[dict[str, Any]]], missing: str) -> dict[str, Any]:
    waits = [run["waiting_share"] for run in found["freshet"] if run["waiting_share"] is not None]
    rows: dict[str, Any] = {
        "waiting": {"value": rounded(max(waits))} if waits else {"missing": "the training does not tell it"}
    }
    for key, name in (("whole_time", "seconds"), ("whole_memory", "mib"), ("whole_score", "mse")):
        ours, theirs = ([run[name] for run in found[who]] for who in ("freshet", "keras"))
        if missing or not theirs:
            rows[key] = {"missing": missing}
        elif name == "mse":
            rows[key] = {"value": rounded(statistics.mean(ours) / statistics.mean(theirs))}
        else:
            rows[key] = ratio(ours, theirs)
    return rows


def _freshet(seed: int, epochs: int, case: Case, days: int) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__)), str(seed), str(epochs), json.dumps(asdict(case)), str(days)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def train(seed: int, epochs: int, case: Case = THESIS, days: int = DAYS) -> dict[str, Any]:
    """Freshet's training: seconds, MiB of the process, score, what it chose, the share of time spent waiting."""
    import torch

    from freshet.core.contracts.events import EventKind
    from freshet.core.training.fitting import fit_module
    from freshet.core.training.model_file import build_from_card

    card, sets, config = _training(case, days, epochs=epochs, seed=seed)
    said, shares = [], []
    forget_peak()
    begin = time.perf_counter()
    torch.manual_seed(seed)
    module = build_from_card(card)
    with tempfile.TemporaryDirectory(dir=OUT) as folder:
        for event in fit_module(module, sets, config, Path(folder)):
            if event.kind is EventKind.MESSAGE and event.values["text"]:
                said.append(event.values["text"])
            elif event.kind is EventKind.METRIC:
                shares.append(event.values.get("waiting_share"))
    seconds, most = time.perf_counter() - begin, peak()
    told = [share for share in shares if share is not None]
    return {
        "seconds": seconds, "mib": most, "mse": _score(module, sets[0]), "said": said,
        "waiting_share": statistics.mean(told) if told else None,
    }  # fmt: skip


def _score(module: Any, item: Any) -> float:
    """Mean squared error of all validation windows, scaled, computed in float32."""
    import torch

    module.eval()
    squares = []
    with torch.inference_mode():
        for end in item.split.validation:
            batch = item.data.batch(np.array([end]))
            predicted = module(torch.from_numpy(np.array(batch.x)))["y_hat"].float().numpy()
            squares.append(np.mean((predicted - batch.y[:, -1]) ** 2, dtype=np.float64))
    return float(np.mean(squares))


def _training(case: Case, days: int, **training: Any) -> Any:
    path = OUT / f"{case.rows}x{case.columns}-{days}.nc"
    fixed = {"batch": case.batch, "learning_rate": 1e-3, "schedule": "constant", "threads": THREADS, "patience": 1000}
    # A clip that never acts: Keras has none.
    more = {**fixed, "clip_norm": 1e6, **training}
    return training_of(path, case.rows, case.columns, days, case.hidden, case.steps, **more)


def _arrays(case: Case, days: int) -> Path:
    """What Keras trains on: the scaled maps and windows of Freshet's training."""
    _, (item,), _ = _training(case, days)
    judge = item.split.validation
    most = max(_FEWEST, len(item.split.train) // 4)
    path = OUT / "arrays.npz"
    np.savez(
        path, x=np.asarray(item.data.x), y=np.asarray(item.data.y)[:, 0], train=item.split.train,
        judge=judge[:: max(1, -(-len(judge) // most))], validation=judge,
    )  # fmt: skip
    return path


if __name__ == "__main__":
    sizes = Case.from_json(sys.argv[3]) if len(sys.argv) > 3 else replace(THESIS)
    print(json.dumps(train(int(sys.argv[1]), int(sys.argv[2]), sizes, int(sys.argv[4]) if len(sys.argv) > 4 else DAYS)))
