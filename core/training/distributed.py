"""Training shared by several processes that ``torchrun`` started, on one machine or on many.

Each process computes its part of every batch; torch's ``DistributedDataParallel`` adds the gradients up. The loss is
that of the whole batch, whatever the loss: every process gathers the predictions of all, and its gradient goes through
its own. So the result is that of one process with the same batch. Without ``torchrun`` everything here does nothing.
Symbols: R processes, B windows of a batch.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Optional

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from ..contracts.errors import FreshetError, RunError
from ..contracts.events import Event, EventKind
from .shared_norm import SharedBatchNorm

_SILENCE = datetime.timedelta(minutes=30)  # after which a process that says nothing counts as dead
_SEED_STEP = 7919  # between the random numbers of two processes, so that dropout differs


def process_number() -> int:
    """Number of this process among those that ``torchrun`` started, 0 for the first or the only one."""
    return int(os.environ.get("RANK", "0")) if process_count() > 1 else 0


def process_count() -> int:
    """How many processes ``torchrun`` started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def processes_here() -> int:
    """How many of them share this machine and its cores."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if process_count() > 1 else 1


class Ranks:
    """The processes of one training, seen from one of them."""

    def __init__(self, number: int = 0, count: int = 1, device: str = "cpu") -> None:
        self.number, self.count, self.device = number, count, device
        self._norms: list[SharedBatchNorm] = []
        self._beside: Optional[dist.ProcessGroup] = None
        self._parallel: Optional[nn.Module] = None
        self._gone = False

    @classmethod
    def join(cls, device: str) -> Ranks:
        """Meet the other processes. Raises :class:`RunError` where a machine has fewer GPUs than processes."""
        ranks = cls(process_number(), process_count(), device)
        if ranks.count > 1:
            with_gpu = device.startswith("cuda")
            if with_gpu:
                _own_gpu()
            if not dist.is_initialized():
                dist.init_process_group("cpu:gloo,cuda:nccl" if with_gpu else "gloo", timeout=_SILENCE)
            ranks._beside = dist.new_group(timeout=_SILENCE)
        return ranks

    @property
    def first(self) -> bool:
        """Whether this process tells the events and writes the files."""
        return self.number == 0

    @property
    def seed_offset(self) -> int:
        """What is added to the seed of dropout; the order of the windows keeps the common seed."""
        return _SEED_STEP * self.number

    def share_model(self, module: nn.Module) -> None:
        """Give every process the tensors of the first one's ``module``, which then learns from the parts of all. Its
        normalisations over a batch take the whole batch.
        """
        if self.count > 1:
            self._norms = _share_norms(module, self._beside)
            self._parallel = _Together(module, self.device)

    def learner(self, module: nn.Module) -> nn.Module:
        """What computes: ``module`` itself, or in training that which adds up the gradients of all processes."""
        return self._parallel if self._parallel is not None and module.training else module

    def part(self, ends: np.ndarray) -> np.ndarray:
        """The windows of a batch ``ends (B,)`` that this process computes. Where there are fewer windows than processes
        one is computed for nothing, since all have to meet.
        """
        for norm in self._norms:
            norm.counts = bool(len(np.array_split(ends, self.count)[self.number]))
        return self.own(ends)

    def own(self, ends: np.ndarray) -> np.ndarray:
        """As :meth:`part`, from any thread: nothing is noted of what counts for nothing."""
        if self.count == 1:
            return ends
        own = np.array_split(ends, self.count)[self.number]
        return own if len(own) else ends[:1]

    def whole(self, size: int, *parts: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Tensors of the whole batch of ``size`` windows from the parts of all processes, in their order; gradients go
        into the own part alone.
        """
        if self.count == 1:
            return parts
        sizes = [len(own) for own in np.array_split(np.arange(size), self.count)]
        return tuple(self._gathered(part, sizes) for part in parts)

    def backward(self, loss: torch.Tensor) -> None:
        """Gradients of the loss of the whole batch. DistributedDataParallel takes their mean; wanted is the sum."""
        (loss * self.count if self.count > 1 else loss).backward()

    def share(self, items: Sequence[Any]) -> Sequence[Any]:
        """Every R-th of some pieces of work, such as batches to validate."""
        return items if self.count == 1 else items[self.number :: self.count]

    def sums(self, *values: float) -> tuple[float, ...]:
        """Sums over all processes, the same in each."""
        if self.count == 1:
            return values
        total = self._of(values)
        dist.all_reduce(total)
        return tuple(total.tolist())

    def most(self, *values: float) -> tuple[float, ...]:
        """The largest of all processes, the same in each."""
        if self.count == 1:
            return values
        found = self._of(values)
        dist.all_reduce(found, op=dist.ReduceOp.MAX)
        return tuple(found.tolist())

    def clock(self, clock: Callable[[], float], needed: bool) -> Callable[[], float]:
        """The clock of the first process, where decisions hang on it."""
        if self.count == 1 or not needed:
            return clock

        def agreed() -> float:
            if self._gone:
                return clock()
            now = self._of([clock()])
            dist.broadcast(now, 0)
            return float(now.item())

        return agreed

    def check_same(self, epoch: int, batch: int) -> None:
        """Raise :class:`RunError` where the processes do not go on at the same place; ``epoch`` -1 for a new begin."""
        if self.count == 1:
            return
        found = [self._of([0.0, 0.0]) for _ in range(self.count)]
        dist.all_gather(found, self._of([float(epoch), float(batch)]))
        places = sorted({tuple(int(value) for value in item.tolist()) for item in found})
        if len(places) > 1:
            raise RunError(
                "The processes of this training see different checkpoints",
                expected="one run folder that all machines share",
                got="; ".join(f"epoch {done}, batch {pieces}" if done >= 0 else "none" for done, pieces in places),
                remedy="Put the run folder on a disc that every machine sees under the same path",
            )

    def leave(self) -> None:
        """Ask the others nothing more, so that this process may go on alone."""
        self._gone = True

    def _of(self, values: Sequence[float]) -> torch.Tensor:
        return torch.tensor(list(values), dtype=torch.float64, device=self.device)

    def _gathered(self, own: torch.Tensor, sizes: list[int]) -> torch.Tensor:
        own = own[: sizes[self.number]]
        padded = own.new_zeros((max(sizes), *own.shape[1:]))
        padded[: len(own)] = own.detach()
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        known = [part[:count] for part, count in zip(parts, sizes)]
        known[self.number] = own
        return torch.cat(known)


def told_in_words(events: Iterator[Event]) -> Iterator[Event]:
    """The same events; the end of another process becomes a :class:`RunError` instead of words of the network."""
    count = process_count()
    try:
        if count > 1:
            text = f"{count} processes train together; each takes its part of every batch."
            yield Event(EventKind.MESSAGE, {"level": "info", "text": text})
        yield from events
    except RuntimeError as error:
        if count == 1 or isinstance(error, FreshetError) or not _speaks_of_network(error):
            raise
        raise lost_process(str(error).splitlines()[0]) from error


def lost_process(found: str) -> RunError:
    """The sentence for a training that lost one of its processes."""
    return RunError(
        f"One of the {process_count()} processes of this training has ended, so the training cannot go on",
        got=found,
        remedy="Look at what that process said before its end, and start the run again: it goes on where it was kept",
    )


class _Answer(nn.Module):
    """A model that gives its prediction alone: what the loss does not use must not wait for a gradient."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Any, **more: Any) -> dict[str, torch.Tensor]:
        result = self.model(*inputs, **more)
        wanted = "y_hat_steps" if more.get("last_steps", 1) > 1 else "y_hat"
        return {wanted: result[wanted]}


class _Together(nn.Module):
    """A model under DistributedDataParallel; its facts are the model's."""

    def __init__(self, model: nn.Module, device: str) -> None:
        super().__init__()
        self.model = model
        here = [torch.cuda.current_device()] if device.startswith("cuda") else None
        answer = _Answer(model)
        self.parallel = nn.parallel.DistributedDataParallel(answer, device_ids=here, find_unused_parameters=True)
        # Buffers stay equal by themselves; to send them at every pass would make judging a meeting too. Set here, since
        # the argument has another name from one PyTorch to the next.
        self.parallel.broadcast_buffers = False

    def forward(self, *inputs: Any, **more: Any) -> dict[str, torch.Tensor]:
        return self.parallel(*inputs, **more)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("model"), name)


def _share_norms(module: nn.Module, group: Optional[dist.ProcessGroup]) -> list[SharedBatchNorm]:
    """Replace the batch normalisations inside ``module``, keeping their tensors."""
    made = []
    for part in list(module.modules()):
        for name, child in list(part.named_children()):
            if isinstance(child, nn.BatchNorm2d) and not isinstance(child, SharedBatchNorm):
                made.append(SharedBatchNorm.of(child, group))
                setattr(part, name, made[-1])
    return made


def _own_gpu() -> None:
    number, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= there:
        raise RunError(
            f"This machine has {there} GPUs for {processes_here()} processes",
            remedy=f"Start {there} processes (--nproc-per-node {there}), or choose the device cpu",
        )
    torch.cuda.set_device(number)


def _speaks_of_network(error: RuntimeError) -> bool:
    words = str(error).lower()
    return isinstance(error, dist.DistError) or any(
        word in words for word in ("gloo", "nccl", "connection", "process group", "timed out", "timeout", "socket")
    )
