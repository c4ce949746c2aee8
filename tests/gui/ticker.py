"""How long QGIS stands still: a timer of 20 ms, and a thread that notes what the main thread did when a tick was late."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from typing import Any

from qgis.PyQt.QtCore import Qt, QTimer

TICK_MS = 20
LATE_S = 0.1


class Ticker:
    """Records the largest gap between two ticks, how many were above 100 ms, and what went on in the latest of them."""

    def __init__(self) -> None:
        self.largest_s = 0.0
        self.late: list[tuple[float, str]] = []
        self.ticks = 0
        self._last = time.monotonic()
        self._paused = 0
        self._seen: dict[str, int] = {}
        self._main = threading.main_thread().ident
        self._over = threading.Event()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MS)
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """What follows is work of the drive itself."""
        self._count()
        self._paused += 1

    def go_on(self) -> None:
        """Count again."""
        self._paused -= 1
        self._last = time.monotonic()

    def stop(self) -> str:
        """End; the result in words."""
        self._timer.stop()
        self._over.set()
        words = f"largest gap {1000 * self.largest_s:.0f} ms in {self.ticks} ticks of {TICK_MS} ms, {len(self.late)} above 100 ms"
        return "; ".join([words, *(f"{1000 * gap:.0f} ms in {where}" for gap, where in sorted(self.late, reverse=True)[:4])])

    def _tick(self) -> None:
        self.ticks += 1
        self._count()

    def _count(self) -> None:
        now = time.monotonic()
        gap = now - self._last
        if not self._paused:
            self.largest_s = max(self.largest_s, gap)
            if gap > LATE_S:
                often = sorted(self._seen.items(), key=lambda item: item[1])
                self.late.append((gap, often[-1][0] if often else "QGIS itself"))
        self._seen = {}
        self._last = now

    def _look(self) -> None:
        while not self._over.wait(0.03):
            if not self._paused and time.monotonic() - self._last > 0.05:
                where = _freshet_frame(sys._current_frames().get(self._main))
                self._seen[where] = self._seen.get(where, 0) + 1


def _freshet_frame(frame: Any) -> str:
    """The innermost function of Freshet (or of the drive) in a stack."""
    if frame is None:
        return "QGIS itself"
    stack = traceback.extract_stack(frame)
    for item in reversed(stack):
        path = item.filename.replace("\\", "/")
        for part in ("/ui/", "/plugin/", "/core/"):
            if part in path and "site-packages" not in path and "dist-packages" not in path:
                return f"{part.strip('/')}/{path.split(part, 1)[1]}:{item.lineno} {item.name}"
        if "/tests/gui/" in path:
            return f"the drive ({item.name})"
    # Charts are drawn by matplotlib when Qt asks for it, without any function of ours on the stack.
    return " < ".join(f"{item.filename.rsplit('/', 1)[-1]} {item.name}" for item in stack[::-1][:3]) or "QGIS itself"
