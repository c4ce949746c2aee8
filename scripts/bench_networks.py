"""Networks of the benchmarks: one training step or prediction of Freshet, of its peers and of the ideal.

``bench_networks.py peak NAME CASE``: the MiB that training steps need beyond what was resident before, in this
process; CASE is JSON. Needs torch and numpy alone, and registers the checkout where Freshet is not installed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import runpy
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
        self._recompute, self._ours = who == "recompute", who in ("freshet", "recompute")
        if self._ours:
            keep_memory()  # as each training does; competitors in the same process gain by it too
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


def steps_of(case: Case, names: list[str], keras: Any = None) -> dict[str, Callable[[], float]]:
    """A call that gives the seconds of a training step for each name; those of ``keras PRECISION`` ask the peer."""
    return _calls(case, names, keras, "step")


def predictions_of(case: Case, names: list[str], keras: Any = None) -> dict[str, Callable[[], float]]:
    """The same for a prediction."""
    return _calls(case, names, keras, "predict")


def _calls(case: Case, names: list[str], keras: Any, verb: str) -> dict[str, Callable[[], float]]:
    calls: dict[str, Callable[[], float]] = {}
    for name in names:
        if not name.startswith("keras"):
            calls[name] = getattr(Program(name, case), verb)
        elif keras is not None:
            place = f"{name}, {case.title}"
            there = keras.ask(make=place, case=asdict(case), precision=name.split()[1])["weights"]
            here = sum(value.numel() for value in network(case).state_dict().values() if value.is_floating_point())
            if there != here:
                raise RuntimeError(f"Keras has built another network, of {there} weights instead of {here}")
            calls[name] = lambda place=place: keras.ask(**{verb: place})["seconds"]
    return calls


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[4]))
    print(json.dumps({"mib": Program(sys.argv[2], Case.from_json(sys.argv[3])).peak()}))
