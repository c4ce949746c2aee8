"""On a GPU: training steps beside the public PyTorch cell, and how far from what memory and arithmetic allow.

``bench_gpu.py [--rounds N] [--device cuda]``: prints the rows and leaves JSON in build/bench/; also a part of
``bench.py``. Needs torch and numpy alone. ``--device cpu`` runs the same on small sizes, to try the program.

The roofline is computed from this device's own measured speed: of copying memory and of a product of matrices in
bfloat16. Counted are, for each layer and step, the products of forward pass, gradient by data and gradient by weight,
and the bytes that have to move where gates are fused: maps in bfloat16, the memory of the cell in float32.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from bench_networks import LARGE, ROOT, THESIS, Case, Program
from bench_rounds import interleaved, ratio, rounded, summary
from bench_rows import GPU, ROWS, gathered, text_table

OUT = ROOT / "build" / "bench"
BATCH = 4  # windows of 128x128
STEPS = 10  # training steps a round
_HALF, _SINGLE = 2, 4  # bytes of bfloat16 and float32
KEYS = tuple(row.key for row in ROWS if row.group == GPU)


def main(arguments: list[str]) -> int:
    """Print and keep the figures; status 1 without a GPU."""
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--device", default="cuda")
    asked = options.parse_args(arguments)
    part = gpu(asked.rounds, asked.device)
    found = {"machine": machine(asked.device), "gpu": part}
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "bench-gpu.json").write_text(json.dumps(found, indent=2), encoding="utf-8")
    print(json.dumps(found, indent=2))
    print(text_table({**gathered(found)}).split(GPU + "\n", 1)[1])
    return int(any("missing" in part["rows"][key] for key in KEYS))


def machine(device: str) -> dict[str, Any]:
    """The GPU, versions, date."""
    name = torch.cuda.get_device_name() if device != "cpu" else "no GPU: a trial on the processor"
    return {
        "date": time.strftime("%Y-%m-%d"), "processor": platform.processor() or platform.machine(), "gpu": name,
        "cores": torch.get_num_threads(), "python": platform.python_version(), "torch": torch.__version__,
        "numpy": np.__version__, "capability": str(torch.version.cuda),
    }  # fmt: skip


def gpu(rounds: int, device: str = "cuda") -> dict[str, Any]:
    """Steps of the thesis's network and of one of 128x128, with and without captured graphs."""
    if device != "cpu" and not torch.cuda.is_available():
        return {"rows": {key: {"missing": "no GPU is at hand"} for key in KEYS}}
    thesis, large = THESIS, replace(LARGE, batch=BATCH, title=LARGE.title.replace("batch 2", f"batch {BATCH}"))
    if device == "cpu":
        thesis, large = (
            replace(case, rows=8, columns=8, batch=1, steps=2, hidden=(4, 4), title="a trial")
            for case in (thesis, large)
        )
    speed = _speeds(device)
    found: dict[str, Any] = {"speed of the device": speed, "steps a round": STEPS}
    first = _steps(
        thesis, ("public float32", "freshet float32", "captured float32", "captured bfloat16"), device, rounds
    )
    second = _steps(large, ("public bfloat16", "freshet bfloat16", "captured bfloat16"), device, rounds)
    for title, case, (seconds, said) in (("thesis model", thesis, first), ("128x128", large, second)):
        words = {name: summary(values) for name, values in seconds.items()}
        found[title] = {"case": case.title, **words, **({"captured": said} if said else {})}
    bound = roofline(large, speed["copy_bytes_s"], speed["products_s"])
    found["128x128"]["roofline_s"] = rounded(bound)
    best, best_large = _best(first[0], ("freshet", "captured"), "float32"), _best(second[0], ("freshet", "captured"))
    found["rows"] = {
        "gpu_step": ratio(first[0]["public float32"], best),
        "gpu_large": ratio(second[0]["public bfloat16"], best_large),
        "gpu_roofline": ratio(best_large, [bound]),
        "gpu_captured": ratio(first[0]["freshet float32"], first[0]["captured float32"])
        if "captured float32" in first[0]
        else {"missing": first[1] or "the graph was not captured"},
    }
    return found


def _best(seconds: dict[str, list[float]], who: tuple[str, ...], precision: str = "bfloat16") -> list[float]:
    """The faster of Freshet's ways, as its own choice takes it."""
    there = [seconds[f"{name} {precision}"] for name in who if f"{name} {precision}" in seconds]
    return min(there, key=np.median)


def _steps(case: Case, names: tuple[str, ...], device: str, rounds: int) -> tuple[dict[str, list[float]], str]:
    """Seconds of a step for each name, and why a graph could not be captured."""
    calls, said = {}, ""
    for name in names:
        if not name.startswith("captured"):
            calls[name] = _several(Program(name, case, device).step)
            continue
        try:
            calls[name] = _several(CapturedProgram(name.replace("captured", "freshet"), case, device).step)
        except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch without CUDA asserts
            said = f"{type(error).__name__}: {error}".splitlines()[0]
    return interleaved(calls, rounds, told=f"gpu, {case.title}"), said


def _several(step: Any) -> Any:
    return lambda: sum(step() for _ in range(STEPS)) / STEPS


class CapturedProgram(Program):
    """Freshet's step as its training does it on a GPU: forward and backward pass recorded and replayed."""

    def __init__(self, name: str, case: Case, device: str) -> None:
        super().__init__(name, case, device)
        from freshet.core.training.captured import recorded

        self._parameters = list(self.module.parameters())
        self._held = tuple(tensor.clone() for tensor in self.batch)
        self.module.train()
        self._replay = recorded(self._pass)

    def learn(self, x: torch.Tensor, y: torch.Tensor) -> float:
        """One training step on a batch of the size that was recorded; gives the loss."""
        for held, new in zip(self._held, (x, y)):
            held.copy_(new)
        self._replay()
        for parameter, gradient in zip(self._parameters, self._gradients):
            parameter.grad = gradient
        self.optimizer.step()
        return self._loss.item()

    def _pass(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None
        loss = torch.nn.functional.mse_loss(self.output(self._held[0]), self._held[1])
        loss.backward()
        self._loss, self._gradients = loss.detach(), [parameter.grad for parameter in self._parameters]


def roofline(case: Case, bytes_a_second: float, products_a_second: float) -> float:
    """Seconds that a training step in bfloat16 takes at least."""
    cells = case.batch * case.steps * case.rows * case.columns
    sizes, seconds = (case.channels, *case.hidden), 0.0
    for number, hidden in enumerate(case.hidden):
        wide, gates = sizes[number] + hidden, 4 * hidden
        products = 2.0 * cells * wide * gates * case.kernel**2
        moved = _HALF * cells * (wide + gates)
        # Forward, gradient by data, gradient by weight: each moves the maps and the gates once.
        seconds += 3 * max(products / products_a_second, moved / bytes_a_second)
        forward = _HALF * (gates + hidden) + 2 * _SINGLE * hidden
        backward = _HALF * (2 * gates + hidden) + 3 * _SINGLE * hidden
        seconds += cells * (forward + backward) / bytes_a_second
    return seconds


def _speeds(device: str) -> dict[str, float]:
    """Bytes a second of a copy (read and written) and operations a second of a product of matrices in bfloat16."""
    small = device == "cpu"
    size, side = (2**22, 256) if small else (2**30, 8192)
    source = torch.ones(size // _SINGLE, device=device)
    target = torch.empty_like(source)
    one, two = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    copy = _least(lambda: target.copy_(source), device)
    product = _least(lambda: one @ two, device)
    return {"copy_bytes_s": rounded(2 * size / copy), "products_s": rounded(2 * side**3 / product)}


def _least(call: Any, device: str) -> float:
    seconds = []
    for _ in range(10):
        begin = time.perf_counter()
        call()
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
