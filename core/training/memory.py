"""How much memory a pass takes, how much is there, and words for where it was not enough."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Optional

import torch

from ..contracts.errors import FreshetError, RunError
from ..contracts.events import Event
from ..contracts.machine import free_memory, say_bytes
from ..contracts.training_config import TrainingConfig

_WORDS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_cpu", "bad allocation", "bad_alloc")


def peak_of(run: Callable[[], Any], device: str = "cpu") -> int:
    """Bytes that ``run`` holds at once beyond what was held before; the same at each call with the same shapes. On the
    processor one thread computes meanwhile, since others would not be seen.
    """
    gc.collect()  # what is given back meanwhile would count against what is taken
    threads, collecting = torch.get_num_threads(), gc.isenabled()
    gc.disable()
    torch.set_num_threads(1)
    try:
        return _peak(run, device)
    finally:
        torch.set_num_threads(threads)
        if collecting:
            gc.enable()


def _peak(run: Callable[[], Any], device: str) -> int:
    if device.startswith("cuda"):
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        return int(torch.cuda.max_memory_allocated()) - int(before)
    if device == "cpu" and hasattr(torch.autograd, "_enable_profiler_legacy"):
        return _recorded(run)
    return _counted(run)


def _recorded(run: Callable[[], Any]) -> int:
    """By torch's record of each piece of memory that is taken and given back. Its newer profiler would do too, but
    takes a second to start and writes to the log.
    """
    from torch.autograd import profiler_legacy

    recorder = profiler_legacy.profile(profile_memory=True)
    recorder.__enter__()
    try:
        run()
    finally:
        records = torch.autograd._disable_profiler_legacy()
    held = most = 0
    for record in (item for thread in records for item in thread if item.kind() == "memory_alloc"):
        held += record.cpu_memory_usage()
        most = max(most, held)
    return most


def _counted(run: Callable[[], Any]) -> int:
    """By the tensors that torch's functions give; what they take for themselves inside is not seen."""
    from torch.utils._python_dispatch import TorchDispatchMode  # loads a good part of torch, so only where needed
    from torch.utils._pytree import tree_leaves

    known: dict[int, Any] = {}
    sizes = [0, 0]  # now, most

    def note(storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()

        def gone(_: Any) -> None:
            known.pop(key, None)
            sizes[0] -= size

        if key not in known:
            known[key] = weakref.ref(storage, gone)
            sizes[0] += size
            sizes[1] = max(sizes)

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            for value in tree_leaves(result):
                if isinstance(value, torch.Tensor):
                    note(value.untyped_storage())
            return result

    with Counting():
        run()
    return sizes[1]


def device_memory(device: str) -> Optional[int]:
    """Bytes that may still be taken on a device; None where that cannot be told."""
    if device.startswith("cuda"):
        kept = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        return int(torch.cuda.mem_get_info()[0]) + int(kept)
    if device == "mps" and hasattr(torch.mps, "recommended_max_memory"):
        return int(torch.mps.recommended_max_memory()) - int(torch.mps.driver_allocated_memory())
    return free_memory()


def out_of_memory(error: BaseException) -> bool:
    """Whether an error is an allocation that failed, on the processor or on a GPU."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _WORDS)


def less_memory(config: TrainingConfig) -> str:
    """What a person may do where a training runs out of memory."""
    parts = []
    if config.batch > 1:
        parts.append(f"a batch of {config.batch // 2} with {2 * config.accumulate} batches a step")
    if config.memory != "recompute":
        parts.append("the memory 'recompute' (for models of ConvLSTM layers)")
    if config.precision not in ("auto", "bfloat16"):
        parts.append("bfloat16")
    parts.append("a smaller crop" if config.crop else "a crop")
    return (
        f"Close other programs, or choose {', '.join(parts[:-1])} or {parts[-1]}"
        if parts[1:]
        else (f"Close other programs, or choose {parts[0]}")
    )


def told_of_memory(events: Iterator[Event], remedy: str) -> Iterator[Event]:
    """The same events; an allocation that fails becomes a :class:`RunError` with the ``remedy``."""
    try:
        yield from events
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, FreshetError) or not out_of_memory(error):
            raise
        raise lacking(error, remedy) from error


def lacking(error: BaseException, remedy: str) -> RunError:
    """The sentence for an allocation that failed."""
    place = "the GPU" if isinstance(error, torch.cuda.OutOfMemoryError) else "this machine"
    free = free_memory()
    got = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if place == "this machine" and free is not None:
        got = f"{got}; {say_bytes(free)} are free now"
    return RunError(f"The memory of {place} was not enough", got=got, remedy=remedy)
