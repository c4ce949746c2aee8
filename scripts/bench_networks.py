"""Networks of the benchmarks: one training step or prediction of Freshet, of its peers and of the ideal.

``bench_networks.py peak NAME CASE``: the MiB that training steps need beyond what was resident before, in this
process; CASE is JSON. ``serve`` in place of ``peak``: answers each line ``step`` or ``predict`` with the seconds it
took. Needs torch and numpy alone, and registers the checkout where Freshet is not installed.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peers.ideal import IdealConvolutions
from peers.public_cell import PublicConvLSTM
from peers.resident import forget_peak, peak, resident
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
if importlib.util.find_spec("freshet") is None:
    runpy.run_path(str(ROOT / "core" / "worker" / "launch.py"))  # makes this checkout known under that name

from freshet.core.contracts.training_config import TrainingConfig  # noqa: E402
from freshet.core.models import build_model, engine  # noqa: E402
from freshet.core.training.device import keep_memory  # noqa: E402
from freshet.core.training.schedules import make_optimizer  # noqa: E402
from freshet.core.worker.libraries import LARGE_PAGES  # noqa: E402

OURS = ("freshet", "recompute")
_WARM_UP_SIDE = 8  # cells a side of the first, small step of a measurement of memory
_KINDS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Case:
    """Sizes of a training batch and of the network."""

    title: str
    batch: int
    steps: int
    channels: int
    rows: int
    columns: int
    hidden: tuple[int, ...]
    kernel: int = 3

    @classmethod
    def from_json(cls, text: str) -> Case:
        """The case that ``json.dumps(asdict(case))`` stands for."""
        values = json.loads(text)
        return cls(**{**values, "hidden": tuple(values["hidden"])})


THESIS = Case("thesis model: batch 4, 8 steps, 4 channels, 46x43, hidden 32 and 64", 4, 8, 4, 46, 43, (32, 64))
LARGE = Case("128x128: batch 2, 8 steps, 8 channels, hidden 64 and 64", 2, 8, 8, 128, 128, (64, 64))


def network(case: Case, device: str = "cpu") -> nn.Module:
    """Freshet's, with batch normalisation after each layer and an output convolution of 3x3; seed 0."""
    torch.manual_seed(0)
    options = {"hidden": list(case.hidden), "kernel": [case.kernel], "normalisation": "batch", "head_kernel": 3}
    return build_model("convlstm", case.channels, 1, **options).to(device)


def public(case: Case, device: str = "cpu") -> nn.Module:
    """The public cell's, with the same weights."""
    made = PublicConvLSTM(case.channels, case.hidden, case.kernel).to(device)
    made.take_weights(network(case, device))
    return made


def noise(case: Case, device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    """A batch: ``x (B, T, C, H, W)`` and ``y (B, 1, 1, H, W)``."""
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(case.batch, case.steps, case.channels, case.rows, case.columns, generator=draw)
    return x.to(device), torch.randn(case.batch, 1, 1, case.rows, case.columns, generator=draw).to(device)


class Program:
    """One of the competitors, by name: ``WHO PRECISION``.

    WHO is ``freshet``, ``recompute`` (Freshet with gates computed anew), ``public`` (bfloat16: under autocast) or
    ``ideal``.
    """

    def __init__(self, name: str, case: Case, device: str = "cpu") -> None:
        who, precision = name.split()
        self._kind, self._device, self._case = _KINDS[precision], device, case
        self._recompute, self._ours = who == "recompute", who in OURS
        if self._ours:
            keep_memory()  # as each training does
        self.batch = noise(case, device)
        if who == "ideal":
            sizes = (case.batch, case.steps, case.channels, case.rows, case.columns, case.hidden)
            self.ideal = IdealConvolutions(*sizes, self._kind, device, case.kernel)
            return
        self.module = network(case, device) if self._ours else public(case, device)
        config = TrainingConfig()
        self.optimizer = (
            make_optimizer(self.module, config)
            if self._ours
            else torch.optim.Adam(self.module.parameters(), lr=config.learning_rate)
        )

    def step(self) -> float:
        """Seconds of one training step; its loss is read, as a training does."""
        begin = time.perf_counter()
        if hasattr(self, "ideal"):
            self.ideal.step()
        else:
            self.learn(*self.batch)
        self._wait()
        return time.perf_counter() - begin

    def learn(self, x: torch.Tensor, y: torch.Tensor) -> float:
        """One training step: forward, mean squared error, backward, Adam; gives the loss."""
        self.module.train()
        loss = torch.nn.functional.mse_loss(self.output(x), y)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def predict(self) -> float:
        """Seconds of one prediction."""
        begin = time.perf_counter()
        if hasattr(self, "ideal"):
            self.ideal.forward()
        else:
            self.module.eval()
            with torch.inference_mode():
                self.output(self.batch[0])
        self._wait()
        return time.perf_counter() - begin

    def output(self, x: torch.Tensor) -> torch.Tensor:
        """The prediction (B, 1, 1, H, W) in float32."""
        half = torch.autocast(self._device, dtype=torch.bfloat16, enabled=self._kind is torch.bfloat16)
        with half, self._settings():
            result = self.module(x)
        return (result["y_hat"] if self._ours else result).float()

    @contextlib.contextmanager
    def _settings(self) -> Iterator[None]:
        with engine.using(recompute=self._recompute):
            yield

    def _wait(self) -> None:
        if self._device != "cpu":
            torch.cuda.synchronize()

    def peak(self) -> float:
        """MiB that two training steps need beyond what was resident before."""
        small = replace(self._case, rows=_WARM_UP_SIDE, columns=_WARM_UP_SIDE)
        self.learn(*noise(small))
        before = resident()
        forget_peak()
        for _ in range(2):
            self.learn(*self.batch)
        return peak() - before


class Competitor:
    """A :class:`Program` in a process of its own, since the allocator of one would serve all of a process; a context
    manager. Freshet's has the settings of its worker, others those that their users have.
    """

    def __init__(self, name: str, case: Case) -> None:
        command = [sys.executable, str(Path(__file__)), "serve", name, json.dumps(asdict(case))]
        self._process = subprocess.Popen(
            [*command, str(torch.get_num_threads())], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment_of(name),
        )  # fmt: skip

    def __enter__(self) -> Competitor:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def seconds(self, verb: str) -> float:
        """Of one ``step`` or ``predict``."""
        with contextlib.suppress(BrokenPipeError):  # it has died; the missing answer says so
            self._process.stdin.write(f"{verb}\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a competitor ended without an answer (status {self._process.wait()})")
        return json.loads(line)["seconds"]


def environment_of(name: str) -> dict[str, str]:
    """That of the process of a competitor."""
    own = dict(os.environ)
    own.pop(LARGE_PAGES, None)
    return {**own, LARGE_PAGES: "1"} if name.startswith(OURS) else own


@contextlib.contextmanager
def calls_of(case: Case, names: list[str], keras: Any, verb: str) -> Iterator[dict[str, Callable[[], float]]]:
    """A call for each name that gives the seconds of the second of two ``step`` or ``predict`` in a row, as a training
    makes them: the first one finds its memory cold. Those of ``keras PRECISION`` ask the peer, and are left out without
    it.
    """
    with contextlib.ExitStack() as stack:
        calls: dict[str, Callable[[], float]] = {}
        for name in names:
            if not name.startswith("keras"):
                calls[name] = _second(functools.partial(stack.enter_context(Competitor(name, case)).seconds, verb))
            elif keras is not None:
                calls[name] = _second(_call_of_keras(case, name, keras, verb))
        yield calls


def _second(call: Callable[[], float]) -> Callable[[], float]:
    def twice() -> float:
        call()
        return call()

    return twice


def _call_of_keras(case: Case, name: str, keras: Any, verb: str) -> Callable[[], float]:
    place = f"{name}, {case.title}"
    there = keras.ask(make=place, case=asdict(case), precision=name.split()[1])["weights"]
    here = sum(value.numel() for value in network(case).state_dict().values() if value.is_floating_point())
    if there != here:
        raise RuntimeError(f"Keras has built another network, of {there} weights instead of {here}")
    return lambda: keras.ask(**{verb: place})["seconds"]


def main(task: str, name: str, case: str, threads: str) -> None:
    """See the top of this file."""
    torch.set_num_threads(int(threads))
    program = Program(name, Case.from_json(case))
    if task == "peak":
        print(json.dumps({"mib": program.peak()}))
        return
    for line in sys.stdin:
        print(json.dumps({"seconds": getattr(program, line.strip())()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
