"""Where to compute and in which precision, with the reason; a device counts only once a kernel has run on it."""

from __future__ import annotations

import os

import torch

from ..contracts.errors import EngineError
from .distributed import processes_here


def proves_itself(device: str) -> str:
    """Empty text where a convolution on ``device`` gives a finite result, else what went wrong."""
    try:
        layer = torch.nn.Conv2d(2, 2, 3).to(device)
        result = layer(torch.ones(1, 2, 8, 8, device=device)).sum().item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch reports a missing backend by either
        return str(error).splitlines()[0]
    return "" if result == result else "a convolution gave no number"


def choose_device(name: str) -> tuple[str, str]:
    """The device for a job and the reason in words. Raises :class:`EngineError` where the one asked for does not
    work.
    """
    if name == "auto":
        for candidate, there in (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available())):
            if there and not proves_itself(candidate):
                return candidate, f"{candidate}: a working GPU was found"
        return "cpu", "cpu: no working GPU was found"
    fault = proves_itself(name)
    if fault:
        raise EngineError(
            f"The device '{name}' does not work", got=fault, remedy="Choose 'cpu', or install the engine for your GPU"
        )
    return name, f"{name}: asked for"


def choose_precision(name: str, device: str) -> tuple[torch.dtype, str]:
    """float32 or bfloat16 and the reason; auto takes bfloat16 where the processor computes it by itself."""
    if name == "float32":
        return torch.float32, "float32: asked for"
    if name == "bfloat16":
        return torch.bfloat16, "bfloat16: asked for"
    if device == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16, "bfloat16: the GPU has it"
    return torch.float32, "float32: the default on this device"


def choose_threads(asked: int) -> int:
    """Threads of torch: those asked for, else all cores (the worker runs at low priority, so QGIS keeps its share),
    which processes that train together share.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return asked or max(1, cores // processes_here())
