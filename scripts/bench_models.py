"""Training steps, predictions, memory and equality beside the peers; called by ``bench.py``.

``models``: the thesis's network and one of 128x128 cells, all competitors in one interleaved run. ``memory``: the peak
of training steps, each competitor in a process of its own. ``equality``: outputs and gradients against the public cell
with the same weights.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Optional

import torch
from bench_networks import LARGE, THESIS, Case, Program, calls_of, environment_of, noise
from bench_rounds import interleaved, ratio, rounded, summary
from peers.environment import KerasPeer, PeerMissing

THREADS = 2
TRAINING = ("freshet", "public", "ideal", "keras")
# key: (competitor, Freshet), whose seconds are divided in this order
STEP_ROWS = {
    "step_public": ("public float32", "freshet float32"),
    "step_keras": ("keras float32", "freshet float32"),
    "step_ideal": ("ideal float32", "freshet float32"),
    "half_public": ("public float32", "freshet bfloat16"),
    "half_autocast": ("public bfloat16", "freshet bfloat16"),
    "half_ideal": ("ideal bfloat16", "freshet bfloat16"),
    "half_keras": ("keras bfloat16", "freshet bfloat16"),
}
LARGE_ROWS = {
    "large_public": ("public float32", "freshet float32"),
    "large_keras": ("keras float32", "freshet float32"),
    "large_ideal": ("ideal float32", "freshet float32"),
    "large_half_public": ("public float32", "freshet bfloat16"),
    "large_half_autocast": ("public bfloat16", "freshet bfloat16"),
    "large_half_ideal": ("ideal bfloat16", "freshet bfloat16"),
    "recompute_time": ("recompute float32", "freshet float32"),
}
INFER_ROWS = {
    "infer_public": ("public float32", "freshet float32"),
    "infer_half_public": ("public float32", "freshet bfloat16"),
    "infer_keras": ("keras float32", "freshet float32"),
}
INFER_LARGE_ROWS = {
    "infer_large_public": ("public float32", "freshet float32"),
    "infer_large_half_public": ("public float32", "freshet bfloat16"),
}
MEMORY_ROWS = {
    "memory": "freshet float32",
    "memory_half": "freshet bfloat16",
    "memory_recompute": "recompute float32",
    "memory_half_recompute": "recompute bfloat16",
    "memory_autocast": "public bfloat16",
    "memory_keras": "keras float32",
}


def models(rounds: int, thesis: Case = THESIS, large: Case = LARGE) -> dict[str, Any]:
    """Seconds of training steps and predictions, and their ratios."""
    torch.set_num_threads(THREADS)
    found: dict[str, Any] = {"rounds": rounds, "threads": THREADS, "rows": {}}
    keras, missing = _keras()
    try:
        found["peers"] = {"missing": missing} if keras is None else keras.versions
        for title, case, pairs, verb in (
            ("training step, thesis model", thesis, STEP_ROWS, "step"),
            ("training step, 128x128", large, LARGE_ROWS, "step"),
            ("prediction, thesis model", thesis, INFER_ROWS, "predict"),
            ("prediction, 128x128", large, INFER_LARGE_ROWS, "predict"),
        ):
            names = list(dict.fromkeys(name for pair in pairs.values() for name in pair))
            with calls_of(case, names, keras, verb) as calls:
                seconds = interleaved(calls, rounds, told=title)
            found[title] = {"case": case.title, **{name: summary(values) for name, values in seconds.items()}}
            for key, (above, below) in pairs.items():
                there = above in seconds
                found["rows"][key] = ratio(seconds[above], seconds[below]) if there else {"missing": missing}
    finally:
        if keras is not None:
            keras.__exit__()
    return found


def memory(rounds: int, case: Case = LARGE, keys: tuple[str, ...] = tuple(MEMORY_ROWS)) -> dict[str, Any]:
    """MiB of training steps beyond what was resident before, the median of so many processes, of the public cell's."""
    found: dict[str, Any] = {"case": case.title, "rounds": rounds, "rows": {}}
    base = _peak("public float32", case, rounds)
    found["public float32"] = {"mib": rounded(base)}
    for key in keys:
        name = MEMORY_ROWS[key]
        try:
            mib = _peak(name, case, rounds)
        except PeerMissing as error:
            found["rows"][key] = {"missing": str(error)}
            continue
        found[name] = {"mib": rounded(mib)}
        found["rows"][key] = {"value": rounded(mib / base)}
    return found


def equality(case: Case = THESIS) -> dict[str, Any]:
    """Differences from the public cell in float32 with the same weights: predictions, and gradients in training."""
    torch.set_num_threads(THREADS)
    names = ("public float32", "freshet float32", "freshet bfloat16", "public bfloat16")
    outputs, gradients = {}, {}
    for name in names:
        program = Program(name, case)
        x, y = noise(case)
        with torch.no_grad():
            program.module.eval()
            outputs[name] = program.output(x)
        program.module.train()
        torch.nn.functional.mse_loss(program.output(x), y).backward()
        gradients[name] = _gradients(program)
    output, gradient = outputs.pop(names[0]), gradients.pop(names[0])
    # In bfloat16 the worst weight says little: the gradient of the last bias is a sum that nearly cancels.
    relative = {name: rounded(_relative(value, output)) for name, value in outputs.items()}
    worst = {name: max(_relative(value[key], gradient[key]) for key in gradient) for name, value in gradients.items()}
    every = torch.cat([value.flatten() for value in gradient.values()])
    whole = {name: _relative(torch.cat([v.flatten() for v in g.values()]), every) for name, g in gradients.items()}
    return {
        "case": case.title,
        "prediction, relative": relative,
        "gradients, relative, the worst weight": {name: rounded(value) for name, value in worst.items()},
        "gradients, relative, all weights together": {name: rounded(value) for name, value in whole.items()},
        "rows": {
            "equal_output": {"value": rounded(float((outputs["freshet float32"] - output).abs().max()))},
            "equal_relative": {"value": relative["freshet float32"]},
            "equal_gradients": {"value": rounded(worst["freshet float32"])},
            "equal_half": {"value": relative["freshet bfloat16"]},
        },
    }


def quick(case: Case) -> Case:
    """A smaller batch for a look within minutes; of a large grid a smaller one too, whose title says so."""
    if case.rows * case.columns <= THESIS.rows * THESIS.columns:
        return case
    return replace(case, title=f"{case.title}, cut to batch 1 and 64x64", batch=1, rows=64, columns=64)


def _gradients(program: Program) -> dict[str, torch.Tensor]:
    """Gradients by the names and in the shapes of the public cell."""
    if not hasattr(program.module, "encoder"):
        return {name: value.grad for name, value in program.module.named_parameters()}
    from peers.public_cell import regated

    found = {"head.weight": program.module.head_weight.grad, "head.bias": program.module.head_bias.grad}
    for number, cell in enumerate(program.module.encoder):
        both = torch.cat((cell.weight_x.grad, cell.weight_h.grad), dim=1)
        found[f"cells.{number}.conv.weight"], found[f"cells.{number}.conv.bias"] = (
            regated(both),
            regated(cell.bias.grad),
        )
        for name, value in program.module.encoder_norms[number].named_parameters():
            found[f"norms.{number}.{name}"] = value.grad
    return found


def _relative(mine: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((mine - theirs).norm() / theirs.norm().clamp(min=1e-30))


def _peak(name: str, case: Case, rounds: int) -> float:
    if name.startswith("keras"):
        return statistics.median(_keras_peak(case, name.split()[1]) for _ in range(rounds))
    program = Path(__file__).with_name("bench_networks.py")
    command = [sys.executable, str(program), "peak", name, json.dumps(asdict(case)), str(THREADS)]
    environment = environment_of(name)
    done = [subprocess.run(command, check=True, capture_output=True, text=True, env=environment) for _ in range(rounds)]
    return statistics.median(json.loads(one.stdout.splitlines()[-1])["mib"] for one in done)


def _keras_peak(case: Case, precision: str) -> float:
    with KerasPeer(THREADS) as keras:
        return keras.ask(peak={"case": asdict(case), "precision": precision})["mib"]


def _keras() -> tuple[Optional[KerasPeer], str]:
    """The peer, or None and the reason."""
    try:
        return KerasPeer(THREADS), ""
    except PeerMissing as error:
        print(error, flush=True)
        return None, str(error)
