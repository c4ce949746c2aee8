"""Memory of this process as the system counts it (Linux), in MiB. Standard library only."""

from __future__ import annotations

from pathlib import Path

_STATUS = Path("/proc/self/status")
_FORGET_PEAK = "5"  # for /proc/self/clear_refs: the peak falls to what is resident now


def resident() -> float:
    """Resident now. Raises OSError on systems without /proc."""
    return _field("VmRSS")


def peak() -> float:
    """The most that was resident, since the begin or :func:`forget_peak`."""
    return _field("VmHWM")


def forget_peak() -> None:
    """Let :func:`peak` begin anew."""
    Path("/proc/self/clear_refs").write_text(_FORGET_PEAK, encoding="ascii")


def _field(name: str) -> float:
    for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"{_STATUS} has no {name}")
