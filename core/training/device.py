"""Where to compute, with how many threads and in which precision, by rule and with the reason; a device counts only
once a kernel has run on it. What is measured instead is in :mod:`core.training.choices`.
"""

from __future__ import annotations

import ctypes
import sys
import time
from pathlib import Path

import torch

from ..contracts.errors import EngineError
from ..contracts.machine import cores
from .distributed import processes_here

_FEW_CORES = 2
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
_KEPT_BYTES, _LARGE_BYTES = 2**26, 2**23
_AMPERE = 8  # the first generation of NVIDIA's GPUs that multiplies in TF32
_FLAGS = ("avx512_bf16", "amx_bf16", "bf16", "svebf16")  # of the processor, as Linux and torch name them


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
    """float32 or bfloat16 and the reason, without measuring."""
    if name != "auto":
        return dtype_of(name), f"{name}: asked for"
    if device == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16, "bfloat16: the GPU has it"
    return torch.float32, "float32: the default on this device"


def dtype_of(precision: str) -> torch.dtype:
    """What convolutions are computed in; TF32 is float32 whose products are rounded."""
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def faster_precisions(device: str) -> tuple[str, ...]:
    """What the device computes by itself beside float32."""
    if device.startswith("cuda"):
        if torch.version.hip is not None or torch.cuda.get_device_capability()[0] < _AMPERE:
            return ("bfloat16",) if torch.cuda.is_bf16_supported() and torch.version.hip is not None else ()
        return ("tf32", "bfloat16")
    return ("bfloat16",) if device == "cpu" and _processor_has_bfloat16() else ()


def allow_tf32(precision: str, device: str) -> None:
    """Whether an NVIDIA GPU may round the factors of its products to TF32; it may wherever float32 was not asked for
    or chosen.
    """
    if not device.startswith("cuda"):
        return
    allowed = precision != "float32"
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def choose_threads(asked: int) -> tuple[int, str]:
    """Threads of torch and the reason: those asked for, else all cores but one that is left to QGIS where there are
    more than two (on two the worker's low priority does that), which processes that train together share.
    """
    there, together = cores(), processes_here()
    if asked:
        return asked, "asked for"
    if together > 1:
        return max(1, there // together), f"{there} cores for {together} processes"
    if there > _FEW_CORES:
        return there - 1, f"one of {there} cores is left to QGIS"
    return there, "all cores" if there > 1 else "the only core"


def keep_memory() -> None:
    """Let the C library keep blocks of middle size that a step has given back for the next one.

    By itself glibc gives them back to the system at each step and has every page anew, zeroed: on two cores that is a
    tenth of the time of a training step on maps of 46 x 43. Blocks above 8 MB still go back at once, since the holes
    that they leave would make the peak larger: on maps of 128 x 128 by a fifth where the limit is 32 MB.
    Other C libraries have no such setting.
    """
    ask = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    if ask is not None:
        for setting, size in ((_TRIM_THRESHOLD, _KEPT_BYTES), (_MMAP_THRESHOLD, _LARGE_BYTES)):
            ask(setting, size)


def now(device: str) -> float:
    """Seconds, when all that was asked of the device is done."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()
    return time.perf_counter()


def _processor_has_bfloat16() -> bool:
    """Whether it multiplies them itself; libraries compute them everywhere, but slower than float32."""
    ask = getattr(torch.cpu, "get_capabilities", None)
    if ask is not None:
        known = ask()
        return any(bool(known.get(flag)) for flag in _FLAGS)
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    words = {
        word for line in text.splitlines() if line.lower().startswith(("flags", "features")) for word in line.split()
    }
    return any(flag in words for flag in _FLAGS)
