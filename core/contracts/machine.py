"""What this machine has left: memory, cores and room on a disc, also where a container or a limit allows less.

Standard library only, since QGIS, the data path and the training all ask. Sources: ``/proc/meminfo`` (``MemAvailable``:
what can be had without swapping), control groups of Linux (versions 1 and 2, each level up to the root), limits of the
process (``RLIMIT_AS``), ``GlobalMemoryStatusEx`` on Windows, ``vm_stat`` on macOS.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Optional, Union

from .errors import RunError

_CGROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 2**60  # version 1 writes a number near 2^63 where there is no limit
_VM_STAT_SECONDS = 5.0
_COUNTED = ("Pages free", "Pages inactive", "Pages speculative", "Pages purgeable")


def free_memory() -> Optional[int]:
    """Bytes that this process may still take without swapping or being ended; None where that cannot be told."""
    known = [_of_system(), *_of_groups(), _of_limit()]
    found = [count for count in known if count is not None]
    return max(0, min(found)) if found else None


def cores() -> int:
    """Processor cores that this process may use: those it is bound to, less where a container is allowed a share."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shares = []
    for folder in _group_folders():
        quota, period = (_text(folder / "cpu.max").split() + ["", ""])[:2]
        quota, period = quota or _text(folder / "cpu.cfs_quota_us"), period or _text(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(period):
            shares.append(math.ceil(int(quota) / int(period)))
    return max(1, min([there, *shares]))


def free_room(folder: Union[str, Path]) -> int:
    """Bytes free on the disc of ``folder``, which need not exist yet."""
    place = Path(folder).absolute()
    return shutil.disk_usage(next(item for item in (place, *place.parents) if item.exists())).free


def check_room(folder: Union[str, Path], needed: int, what: str, remedy: str) -> str:
    """A sentence on what is needed and free. Raises :class:`RunError` where the disc of ``folder`` has no room for
    ``needed`` bytes of ``what``.
    """
    free = free_room(folder)
    if needed > free:
        raise RunError(
            f"There is not enough room on the disc for {what}",
            expected=f"about {say_bytes(needed)}",
            got=f"{say_bytes(free)} free in {folder}",
            remedy=remedy,
        )
    return f"Disc: about {say_bytes(needed)} for {what}; {say_bytes(free)} are free."


def say_bytes(count: float) -> str:
    """A size as a person reads it."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{max(1, round(count / 1e3))} kB"


def _of_system() -> Optional[int]:
    if os.name == "nt":
        return _of_windows()
    for line in _text(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    if sys.platform == "darwin":
        return _of_macos()
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None


def _of_windows() -> Optional[int]:
    """What is physically free, or less where the paging file may not grow."""
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
            (name, ctypes.c_ulonglong)
            for name in ("total", "free", "total_page", "free_page", "total_virtual", "free_virtual", "extended")
        ]

    status = Status()
    status.length = ctypes.sizeof(Status)
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):  # type: ignore[attr-defined]
        return None
    return min(int(status.free), int(status.free_page))


def _of_macos() -> Optional[int]:
    try:
        answer = subprocess.run(  # nosec B603
            ["/usr/bin/vm_stat"], capture_output=True, text=True, timeout=_VM_STAT_SECONDS, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return pages_free(answer)


def pages_free(answer: str) -> Optional[int]:
    """Bytes that can be had, from what ``vm_stat`` of macOS prints; None where it prints something else."""
    size, pages = 0, 0
    for line in answer.splitlines():
        if "page size of" in line:
            size = int(line.split("page size of")[1].split()[0])
        name, _, value = line.partition(":")
        if name.strip() in _COUNTED and value.strip().rstrip(".").isdigit():
            pages += int(value.strip().rstrip("."))
    return size * pages or None


def _of_groups() -> Iterator[Optional[int]]:
    """What each control group above this process still allows; files that were read and may be dropped are free."""
    for folder in _group_folders():
        for limit_name, used_name in (
            ("memory.max", "memory.current"),
            ("memory.high", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            limit, used = _text(folder / limit_name), _text(folder / used_name)
            if not (limit.isdigit() and used.isdigit()) or int(limit) >= _UNLIMITED:
                continue
            known = dict(line.split()[:2] for line in _text(folder / "memory.stat").splitlines() if " " in line)
            dropped = known.get("total_inactive_file") or known.get("inactive_file") or "0"
            yield int(limit) - int(used) + int(dropped)


def _group_folders() -> Iterator[Path]:
    """The folder of each control group above this process, of memory and of the processor, up to the root of what it
    sees; inside a container that root is its own group.
    """
    seen = set()
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        _, names, path = (line.split(":", 2) + ["", ""])[:3]
        if names and not {"memory", "cpu"} & set(names.split(",")):
            continue
        root = _CGROUPS / names if names else _CGROUPS
        place = root / path.lstrip("/")
        while True:
            if place not in seen:
                seen.add(place)
                yield place
            if place == root or root not in place.parents:
                break
            place = place.parent


def _of_limit() -> Optional[int]:
    """What a limit on the address space of this process still allows."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    pages = _text(Path("/proc/self/statm")).split()
    if limit == resource.RLIM_INFINITY or not pages:
        return None
    return limit - int(pages[0]) * os.sysconf("SC_PAGE_SIZE")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
