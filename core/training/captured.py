"""Work of a batch that is recorded once and replayed, on NVIDIA GPUs.

A small recurrent model is a thousand short kernels a batch; starting them one by one takes many times longer than
computing them. A graph of CUDA starts all at once. It needs fixed shapes and addresses: batches of the common size are
copied into the tensors that were recorded, forward and backward pass are replayed, clipping and the step of the
optimizer follow as always. The batch of an epoch that is smaller, steps in parts and decoders that draw at random are
computed as always, and so is everything where recording fails, which is said.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor

from ..data.windows import Batch
from .choices import ASKED, MEASURED, Choice
from .device import now
from .work import Work

_WARMING = 3  # passes before recording, in which libraries choose their ways
_REPLAYS = 5
_FASTER = 1.1
_CLOSE = {"float32": 1e-4, "tf32": 1e-2, "bfloat16": 3e-2}  # relative, of a gradient


class Captured:
    """The recorded pass of one training. ``fault`` says why nothing is recorded, empty as long as all is well."""

    def __init__(self, work: Work) -> None:
        self._work, self.fault = work, ""
        self._held: dict[str, Tensor] = {}
        self._replay: Optional[Callable[[], None]] = None
        self._parameters = [p for p in work.module.parameters() if p.requires_grad]
        self._gradients: list[Optional[Tensor]] = []
        self._sums: tuple[Tensor, Tensor] = (torch.zeros(()), torch.zeros(()))

    def learn(self, batch: Batch, variance: Tensor, sampling: float, whole: bool) -> Optional[tuple[Tensor, Tensor]]:
        """Set the gradients of a batch, and give sum and count of its loss; None where it is computed as always."""
        common = whole and sampling == 0.0 and len(batch.x) == self._work.config.batch
        if self.fault or not common:
            return None
        given = self._given(batch, variance)
        if self._replay is None:
            self._record(given)
            if self.fault:
                return None
        if {name: tensor.shape for name, tensor in given.items()} != {n: t.shape for n, t in self._held.items()}:
            return None
        for name, tensor in given.items():
            self._held[name].copy_(tensor, non_blocking=True)
        self._replay()
        for parameter, gradient in zip(self._parameters, self._gradients):
            parameter.grad = gradient
        return self._sums

    def _given(self, batch: Batch, variance: Tensor) -> dict[str, Tensor]:
        values = {item.name: getattr(batch, item.name) for item in dataclasses.fields(Batch)}
        tensors = {name: _tensor(value) for name, value in values.items() if value is not None}
        return {**tensors, "variance": variance}

    def _record(self, given: dict[str, Tensor]) -> None:
        """Record a pass over tensors that stay; on any fault the model is as before and ``fault`` says why."""
        work = self._work
        self._held = {name: tensor.detach().clone().to(work.device) for name, tensor in given.items()}
        try:
            with _unchanged(work):
                self._replay = recorded(self._pass)
        except (RuntimeError, AssertionError, NotImplementedError, ValueError, TypeError) as error:  # as torch has it
            self._replay, self._held, self._gradients = None, {}, []
            self.fault = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__

    def _pass(self) -> None:
        work, held = self._work, dict(self._held)
        variance = held.pop("variance")
        batch = Batch(**{item.name: held.get(item.name) for item in dataclasses.fields(Batch)})
        for parameter in self._parameters:
            parameter.grad = None
        predicted = work.predict(batch, work.config.supervised_steps)
        total, count = work.loss.parts(predicted, batch.y, variance)
        (total / count.clamp(min=1)).backward()
        self._sums = (total.detach(), count.detach())
        self._gradients = [parameter.grad for parameter in self._parameters]


def recorded(run: Callable[[], None]) -> Callable[[], None]:
    """What does the work of ``run`` again, on the tensors that it read and wrote. Raises RuntimeError where it does
    what cannot be recorded, such as waiting for a number.
    """
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(_WARMING):
            run()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def measured(batch: Batch, cells: np.ndarray, work: Work, precision: str) -> Choice:
    """Whether replaying a batch is faster, and gives the same gradients; both as a choice in words.

    ``cells``: the variance of each; ``work`` is that of the training, with a copy of its module.
    """
    asked = work.config.capture == "on"
    captured, variance = Captured(work), work.to_device(np.ascontiguousarray(cells))
    states = _random_states(work.device)
    expected = _eager(work, batch, variance)
    _set_random_states(work.device, states)
    found = captured.learn(batch, variance, 0.0, True)
    if found is None:
        return Choice("capture", "off", f"recording failed ({captured.fault}), so each batch is computed step by step")
    gradients = [None if p.grad is None else p.grad.clone() for p in work.module.parameters()]
    unlike = _unlike(expected, gradients)
    if unlike > _CLOSE[precision] and not _draws(work):
        return Choice("capture", "off", f"replayed gradients differ by {unlike:.1%}", MEASURED)
    slow = _seconds(work.device, lambda: _eager(work, batch, variance))
    fast = _seconds(work.device, lambda: captured.learn(batch, variance, 0.0, True))
    words = f"{1000 * fast:.3g} ms a batch against {1000 * slow:.3g} ms step by step"
    if asked:
        return Choice("capture", "on", f"asked for; {words}", ASKED)
    return Choice("capture", "on" if fast * _FASTER < slow else "off", words, MEASURED)


def _eager(work: Work, batch: Batch, variance: Tensor) -> list[Optional[Tensor]]:
    work.module.zero_grad(set_to_none=True)
    predicted = work.predict(batch, work.config.supervised_steps)
    total, count = work.loss.parts(predicted, _tensor(batch.y).to(work.device), variance)
    (total / count.clamp(min=1)).backward()
    return [None if p.grad is None else p.grad.clone() for p in work.module.parameters()]


def _unlike(expected: list[Optional[Tensor]], found: list[Optional[Tensor]]) -> float:
    """The largest difference of a gradient, relative to the largest value of that gradient."""
    worst = 0.0
    for one, two in zip(expected, found):
        if (one is None) != (two is None):
            return float("inf")
        if one is not None and two is not None:
            scale = float(one.abs().max()) or 1.0
            worst = max(worst, float((one - two).abs().max()) / scale)
    return worst


def _draws(work: Work) -> bool:
    """Whether a pass draws random numbers, as dropout does; two of them then differ anyway."""
    return any(float(getattr(part, "dropout", 0.0) or 0.0) > 0.0 for part in work.module.modules()
               if isinstance(getattr(part, "dropout", None), (int, float)))  # fmt: skip


def _seconds(device: str, run: Callable[[], Any]) -> float:
    times = []
    for _ in range(_REPLAYS):
        begin = now(device)
        run()
        times.append(now(device) - begin)
    return min(times)


@contextlib.contextmanager
def _unchanged(work: Work) -> Iterator[None]:
    """Buffers of the model, such as running means, and random numbers are afterwards what they were."""
    buffers = [(buffer, buffer.detach().clone()) for buffer in work.module.buffers()]
    states = _random_states(work.device)
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        _set_random_states(work.device, states)


def _random_states(device: str) -> list[Tensor]:
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if device.startswith("cuda") else [])]


def _set_random_states(device: str, states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    if device.startswith("cuda"):
        torch.cuda.set_rng_state(states[1])


def _tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else torch.from_numpy(np.ascontiguousarray(value))
