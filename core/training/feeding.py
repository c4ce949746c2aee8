"""Batches made beforehand: a thread prepares the next one while the model computes with the current one."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Callable, Generic, Optional, TypeVar

import numpy as np
import torch

from ..data.windows import Batch, Buffers

Job = TypeVar("Job")
Made = TypeVar("Made")


@dataclass
class Waiting:
    """Seconds that a training waited for data, since ``begin``."""

    seconds: float = 0.0
    begin: float = dataclasses.field(default_factory=time.perf_counter)

    def add(self, seconds: float) -> None:
        """Some more."""
        self.seconds += seconds

    @contextlib.contextmanager
    def measured(self) -> Iterator[None]:
        """Add what passes meanwhile."""
        begin = time.perf_counter()
        yield
        self.add(time.perf_counter() - begin)

    def share(self) -> float:
        """Share of the time that has passed."""
        return self.seconds / max(time.perf_counter() - self.begin, 1e-9)

    def again(self) -> None:
        """Count anew from now."""
        self.seconds, self.begin = 0.0, time.perf_counter()


class Feeder(Generic[Job, Made]):
    """Gives ``make(job, buffers)`` of each job, in order; a context manager.

    The next one is made in a thread of its own while the caller works with the current one, which is theirs until they
    ask for the next: then its buffers are written anew. What ``make`` gives depends on its job alone, so the batches
    are those of a loop without a thread. What it raises is raised where its result would have come.
    """

    def __init__(
        self, jobs: Sequence[Job], make: Callable[[Job, Buffers], Made], waiting: Waiting, device: str = "cpu"
    ) -> None:
        self._jobs, self._make, self._waiting = jobs, make, waiting
        self._slots = [_Slot(device), _Slot(device)]
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="freshet-feeder")

    def __enter__(self) -> Feeder[Job, Made]:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def __iter__(self) -> Iterator[Made]:
        coming = self._begun(0)
        for number in range(len(self._jobs)):
            with self._waiting.measured():
                made = coming.result()
            coming = self._begun(number + 1)
            yield self._slots[number % 2].received(made)

    def _begun(self, number: int) -> Optional[Future]:
        """What will be the batch of job ``number``; None after the last."""
        if number >= len(self._jobs):
            return None
        slot = self._slots[number % 2]  # that of the last but one, which nobody needs any more
        return self._thread.submit(lambda: slot.sent(self._make(self._jobs[number], slot.buffer)))


class _Slot:
    """Buffers of one batch, and its way to the device. On CUDA they are pinned, and copied beside the computing."""

    def __init__(self, device: str) -> None:
        self._device, self._arrays = device, {}
        self._cuda = device.startswith("cuda")
        self._stream: Any = torch.cuda.Stream(device) if self._cuda else None
        self._copied: Any = None

    def buffer(self, name: str, shape: tuple[int, ...], kind: type) -> np.ndarray:
        """An array of this shape, which the next batch in this slot writes anew."""
        if self._copied is not None:
            self._copied.synchronize()
            self._copied = None
        size = int(np.prod(shape, dtype=np.int64))
        held = self._arrays.get((name, kind))
        if held is None or held.size < size:
            held = self._arrays[(name, kind)] = self._new(size, kind)
        return held[:size].reshape(shape)

    def sent(self, made: Any) -> Any:
        """The same with the arrays of its batch under way to a GPU."""
        if not self._cuda:
            return made
        with torch.cuda.stream(self._stream):
            found = _mapped(made, lambda array: _pinned(array).to(self._device, non_blocking=True))
        self._copied = torch.cuda.Event()
        self._copied.record(self._stream)
        return found

    def received(self, made: Any) -> Any:
        """The same when the work that follows has to wait for it."""
        if self._cuda:
            here = torch.cuda.current_stream(self._device)
            here.wait_event(self._copied) if self._copied is not None else None
            _mapped(made, lambda tensor: tensor.record_stream(here) or tensor)
        return made

    def _new(self, size: int, kind: type) -> np.ndarray:
        if not self._cuda:
            return np.empty(size, dtype=kind)
        return torch.from_numpy(np.empty(size, dtype=kind)).pin_memory().numpy()


def _mapped(made: Any, change: Callable[[Any], Any]) -> Any:
    """``made``, a batch or a tuple with one, with each of the batch's arrays changed."""
    if isinstance(made, Batch):
        found = {item.name: getattr(made, item.name) for item in dataclasses.fields(made)}
        return Batch(**{name: None if value is None else change(value) for name, value in found.items()})
    if isinstance(made, tuple):
        return tuple(_mapped(item, change) if isinstance(item, Batch) else item for item in made)
    return made


def _pinned(array: np.ndarray) -> torch.Tensor:
    tensor = torch.from_numpy(np.require(array, requirements="CW"))
    return tensor if tensor.is_pinned() else tensor.pin_memory()
