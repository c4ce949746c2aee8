"""What the kernels of gates and sequences bring to each family; called by ``bench.py``.

Speed of a training step beside the same step in torch's own functions; the second of two steps is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from bench_models import THREADS
from bench_networks import Case
from bench_rounds import interleaved, ratio, summary

from freshet.core.models import build_model, engine

CASE = Case("4 windows of 8 steps, 4 channels, 46x43", 4, 8, 4, 46, 43, (32, 32))
_WIDE: dict[str, Any] = {"hidden": list(CASE.hidden)}
_ONE: dict[str, Any] = {"hidden": [CASE.hidden[0]]}
FAMILIES: dict[str, dict[str, Any]] = {
    "convlstm": _WIDE,
    "convlstm-ed": _WIDE,
    "convlstm-gauge": _ONE,
    "convgru": _WIDE,
    "convlstm-unet": _WIDE,
    "predrnn": {"channels": 32, "layers": 2},
    "predrnn++": {"channels": 32, "layers": 2},
    "mim": {"channels": 32, "layers": 2},
    "cubic": {"channels": 32, "layers": 2, "frames": 2},
    "a-convlstm": _WIDE,
    "cbam-convlstm": _WIDE,
    "sa-convlstm": _ONE,
    "msa-convlstm": _ONE,
    "deform-convlstm": _ONE,
    "deform-convlstm-sac": _ONE,
    "gccl": _ONE,
    "partial-convlstm": _ONE,
    "cnn-biconvlstm": {"hidden": [32], "cnn": [32]},
}
PRECISIONS = ("float32", "bfloat16")


def families(rounds: int, case: Case = CASE) -> dict[str, Any]:
    """By family: seconds of a step with kernels and without, and their ratio, above 1 where kernels are faster."""
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    found: dict[str, Any] = {"case": case.title, "rounds": rounds, "by family": {}}
    try:
        for name in FAMILIES:
            found["by family"][name] = _of_family(name, case, rounds)
            print(f"families: {name} {[one['ratio'] for one in found['by family'][name].values()]}", flush=True)
    finally:
        torch.set_num_threads(threads)
    return found


def _of_family(name: str, case: Case, rounds: int) -> dict[str, Any]:
    torch.manual_seed(0)
    more = {"gauges": 3} if name == "convlstm-gauge" else {}
    module = build_model(name, case.channels, 1, leads=2 if name == "convlstm-ed" else 1, **more, **FAMILIES[name])
    x = torch.randn(case.batch, case.steps, case.channels, case.rows, case.columns)
    module(x)  # graphs and weights that take their size from the first map
    ways = {
        (precision, kernel): _step(module, x, precision, kernel)
        for precision in PRECISIONS
        for kernel in ("auto", "steps")
    }
    seconds = interleaved({" ".join(way): call for way, call in ways.items()}, rounds, warm_up=1)
    return {
        precision: {
            "kernels": summary(seconds[f"{precision} auto"]),
            "torch": summary(seconds[f"{precision} steps"]),
            "ratio": ratio(seconds[f"{precision} steps"], seconds[f"{precision} auto"]),
        }
        for precision in PRECISIONS
    }


def _step(module: torch.nn.Module, x: torch.Tensor, precision: str, kernel: str) -> Callable[[], float]:
    def step() -> float:
        learn()  # the step after another one's finds the memory as that one left it
        begin = time.perf_counter()
        learn()
        return time.perf_counter() - begin

    def learn() -> None:
        half = torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16")
        with half, engine.using(kernel=kernel):
            loss = module(x)["y_hat"].float().square().mean()
        module.zero_grad(set_to_none=True)
        loss.backward()

    return step
