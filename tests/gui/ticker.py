"""How long QGIS stands still: a timer of 20 ms, and what Python did where a tick came late."""

from __future__ import annotations

import faulthandler
import os
import re
import time
from typing import Any

from qgis.PyQt.QtCore import Qt, QTimer

TICK_MS = 20
LATE_S = 0.1
_FRAME = re.compile(r'File "([^"]+)", line (\d+) in (\S+)')


class Ticker:
    """The largest gap between two ticks, how many were above 100 ms, and the stack of the main thread in these.

    The stacks are written by a watchdog of C, which neither needs the interpreter nor waits for its lock; they stay in
    ``out/late.txt``. The processor time of the main thread between two ticks tells work from waiting.
    """

    def __init__(self, out: str) -> None:
        self.largest_s = self.busiest_s = 0.0
        self.late: list[tuple[float, float, str]] = []
        self.ticks = 0
        self._path = os.path.join(out, "late.txt")
        self._file = open(self._path, "w+", encoding="utf-8")
        self._paused = 0
        self._read = 0
        self._restart()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MS)

    def pause(self) -> None:
        """What follows is work of the drive itself."""
        self._count()
        self._paused += 1
        faulthandler.cancel_dump_traceback_later()

    def go_on(self) -> None:
        """Count again."""
        self._paused -= 1
        self._restart()

    def stop(self) -> str:
        """End; the result in words."""
        self._timer.stop()
        faulthandler.cancel_dump_traceback_later()
        self._file.close()
        worst = sorted(self.late, reverse=True)[:4]
        return "; ".join(
            [
                f"largest gap {1000 * self.largest_s:.0f} ms in {self.ticks} ticks of {TICK_MS} ms, "
                f"{len(self.late)} above 100 ms, at most "
                f"{1000 * self.busiest_s:.0f} ms of the main thread's own time between two ticks",
                *(f"{1000 * gap:.0f} ms ({1000 * busy:.0f} own) in {where}" for gap, busy, where in worst),
            ]
        )

    def _tick(self) -> None:
        self.ticks += 1
        self._count()
        if not self._paused:
            self._restart()

    def _restart(self) -> None:
        self._last, self._last_busy = time.monotonic(), time.thread_time()
        faulthandler.dump_traceback_later(LATE_S, file=self._file)

    def _count(self) -> None:
        if self._paused:
            return
        gap, busy = time.monotonic() - self._last, time.thread_time() - self._last_busy
        self.largest_s, self.busiest_s = max(self.largest_s, gap), max(self.busiest_s, busy)
        where = self._where()
        if gap > LATE_S:
            self.late.append((gap, busy, where))

    def _where(self) -> str:
        """The innermost frames of the main thread in the stack that was written since the last tick."""
        self._file.seek(self._read)
        text = self._file.read()
        self._read += len(text.encode())
        threads = [part for part in text.split("\n\n") if part.strip()]
        if not threads:
            return "QGIS itself"
        frames = [_words(item) for item in _FRAME.findall(threads[-1])[:3]]
        others = [" < ".join(_words(item) for item in _FRAME.findall(part)[:2]) for part in threads[:-1]]
        busy = [part for part in others if part and "threading.py" not in part and "wait" not in part.split(" < ")[0]]
        return (" < ".join(frames) or "QGIS itself") + (f" (beside it: {'; '.join(busy)})" if busy else "")


def _words(frame: Any) -> str:
    return f"{frame[0].rsplit('/', 1)[-1]}:{frame[1]} {frame[2]}"
