"""Runs inside a real QGIS (tests/gui/run.sh starts it): is QGIS alive while a training runs beside it?"""

from __future__ import annotations

import json
import os
import statistics
import time
from pathlib import Path

from qgis.core import QgsProject
from qgis.PyQt.QtCore import QTimer
from qgis.utils import iface, plugins

OUT = Path(os.environ["FRESHET_GUI_OUT"])
REST_S, BUSY_S = 15.0, 40.0


class Ticks:
    """Gaps in ms between ticks of a 20 ms timer."""

    def __init__(self) -> None:
        self.gaps: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.setInterval(20)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def _tick(self) -> None:
        now = time.perf_counter()
        self.gaps.append(1000 * (now - self._last))
        self._last = now

    def take(self) -> dict[str, float]:
        """Summary since the last call."""
        gaps, self.gaps = sorted(self.gaps), []
        return {
            "ticks": len(gaps),
            "median_ms": round(statistics.median(gaps), 1),
            "p99_ms": round(gaps[int(0.99 * len(gaps))], 1),
            "largest_ms": [round(gap, 1) for gap in gaps[-3:]],
        }


class Bench:
    """At rest, then beside a training with the dock on its Runs page, then a cancel."""

    def __init__(self) -> None:
        from freshet.core.contracts import TrainJob

        self.plugin = plugins["freshet"]
        self.job = TrainJob.from_json(Path(os.environ["FRESHET_BENCH_JOB"]).read_text(encoding="utf-8"))
        self.plugin.dock.show()
        self.ticks = Ticks()
        self.found: dict = {}
        self.plugin.runs.ended.connect(self._ended)
        QTimer.singleShot(4000, self._rest)

    def _rest(self) -> None:
        self.ticks.take()
        QTimer.singleShot(int(1000 * REST_S), self._train)

    def _train(self) -> None:
        self.found["at_rest"] = self.ticks.take()
        begin = time.perf_counter()
        self.run = self.plugin.runs.submit("train", self.job, "Bench")
        self.found["submit_ms"] = round(1000 * (time.perf_counter() - begin), 1)
        self.plugin.choice.set_run(str(self.run.path))
        self.plugin.choice.want_page("runs")
        QTimer.singleShot(int(1000 * BUSY_S), self._cancel)

    def _cancel(self) -> None:
        self.found["beside_a_training"] = self.ticks.take()
        self.begin = time.perf_counter()
        self.plugin.runs.cancel(self.run)

    def _ended(self, path: str, state: object) -> None:
        self.found["cancel_to_idle_s"] = round(time.perf_counter() - self.begin, 2)
        self.found["limits"] = {"largest_gap_ms": 100, "cancel_to_idle_s": 1.5}
        Path(os.environ["FRESHET_BENCH_OUT"]).write_text(json.dumps(self.found, indent=2), encoding="utf-8")
        (OUT / "story.txt").write_text(json.dumps(self.found) + "\npassed\n", encoding="utf-8")
        QgsProject.instance().setDirty(False)
        QTimer.singleShot(200, iface.actionExit().trigger)


bench = None


def begin() -> None:
    """Once the plugins have started."""
    global bench
    bench = Bench()


QTimer.singleShot(3000, begin)
