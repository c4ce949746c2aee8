"""The worker that stays: ``launch.py --stay`` answers one run after the other with model and dataset loaded.

Reads lines of standard input, each a JSON object: ``{"run": FOLDER}`` executes the job of a run folder as any other
worker does, with the same events, log, pulse and cancel; ``{"load": {"model": ..., "dataset": ..., "sequence": ...}}``
loads both for the questions to come. Runs keep their order. A fault ends the run that met it, nothing else.

It ends when standard input ends, which also happens where the program that holds the other end is killed: what then
works or waits is cancelled, since nobody is left who looks at the answer. It also ends after a while without a line.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections import deque
from typing import Any, Optional, TextIO

from ..contracts.errors import FreshetError
from ..contracts.events import Event, EventKind
from ..contracts.run_folder import RunFolder
from .main import EXIT_DONE, EXIT_OUR_FAULT, execute, lower_priority

IDLE_SECONDS = 1800.0
# A person waits for the answer, so it goes before a training (10) on a busy machine, but after QGIS and its map (0).
_PRIORITY = 4
_POLL_SECONDS = 0.2
_END_SECONDS = 20.0  # after the end of the input; a run that is cancelled needs about one


def stay(lines: Optional[TextIO] = None, idle_seconds: float = IDLE_SECONDS) -> int:
    """Work until ``lines``, by default standard input, end, or none came for ``idle_seconds``."""
    lower_priority(_PRIORITY)
    waiting = _Waiting()
    threading.Thread(target=_read, args=(lines or sys.stdin, waiting), name="freshet-lines", daemon=True).start()
    threading.Thread(target=_look_after, args=(waiting,), name="freshet-waiting", daemon=True).start()
    _import_what_is_heavy()

    from ..explain.session import Session

    session = Session()
    while True:
        task = waiting.take(idle_seconds)
        if task is None:
            return EXIT_DONE
        if "run" in task:
            _answer(RunFolder(task["run"]), session)
        else:
            _load(task["load"], session, waiting)
        waiting.done()


class _Waiting:
    """What was asked for and has not begun, in its order; and the run that works."""

    def __init__(self) -> None:
        self._tasks: deque[dict[str, Any]] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._now: Optional[RunFolder] = None

    def add(self, task: dict[str, Any]) -> None:
        """Append a task."""
        with self._changed:
            self._tasks.append(task)
            self._changed.notify_all()

    def take(self, seconds: float) -> Optional[dict[str, Any]]:
        """The next task; None where none came within ``seconds``, or none will come any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._tasks or self._ended, seconds)
            if not self._tasks:
                return None
            task = self._tasks.popleft()
            self._now = RunFolder(task["run"]) if "run" in task else None
            if self._now is not None and self._ended:
                _ask_to_stop(self._now)
            return task

    def done(self) -> None:
        """The task that was taken is over."""
        with self._changed:
            self._now = None

    def end(self) -> None:
        """No task comes any more: the run that works shall stop, and those that wait shall not begin."""
        with self._changed:
            self._ended = True
            self._tasks = deque(task for task in self._tasks if "run" in task)
            if self._now is not None:
                _ask_to_stop(self._now)
            self._changed.notify_all()

    def drop_cancelled(self) -> None:
        """Runs that are cancelled while they wait need not wait for their turn to hear of it."""
        with self._changed:
            for task in [task for task in self._tasks if "run" in task]:
                run = RunFolder(task["run"])
                if run.cancel_requested():
                    self._tasks.remove(task)
                    with contextlib.suppress(OSError):  # the folder may have been removed
                        run.append(Event(EventKind.CANCELLED, {}))

    def __bool__(self) -> bool:
        return bool(self._tasks)


def _read(lines: TextIO, waiting: _Waiting) -> None:
    """Take lines until they end; then see to it that the process does."""
    for line in lines:
        task = _task_of(line)
        if task is None:
            sys.stderr.write(f"Expected an object with 'run' or 'load', got {line.strip()[:200]!r}\n")
        else:
            waiting.add(task)
    waiting.end()
    time.sleep(_END_SECONDS)
    os._exit(EXIT_OUR_FAULT)  # what still computes does not listen; nobody is left who could end it


def _task_of(line: str) -> Optional[dict[str, Any]]:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    if isinstance(found.get("run"), str):
        return {"run": found["run"]}
    load = found.get("load")
    known = isinstance(load, dict) and all(isinstance(load.get(name), str) for name in ("model", "dataset"))
    return {"load": load} if known else None


def _look_after(waiting: _Waiting) -> None:
    while True:
        time.sleep(_POLL_SECONDS)
        waiting.drop_cancelled()


def _ask_to_stop(run: RunFolder) -> None:
    with contextlib.suppress(OSError):  # the folder may have been removed
        run.request_cancel()


def _answer(run: RunFolder, session: Any) -> None:
    try:
        execute(run, session=session)
    except OSError as error:  # not even the run folder can be written: what looks at it notices the missing pulse
        sys.stderr.write(f"{run.path}: {error}\n")


def _load(values: dict[str, Any], session: Any, waiting: _Waiting) -> None:
    """Load a model and a dataset. What is wrong with them is told by the first question, which meets it again."""
    from ..explain.warming import warm

    try:
        warm(session, values["model"], values["dataset"], str(values.get("sequence") or ""), lambda: bool(waiting))
    except (FreshetError, OSError, MemoryError, RuntimeError) as error:
        sys.stderr.write(f"Not loaded: {error}\n")


def _import_what_is_heavy() -> None:
    """Seconds that the first question would otherwise wait for."""
    import captum.attr  # noqa: F401
    import matplotlib.backends.backend_agg
    import matplotlib.backends.backend_svg  # noqa: F401
    import netCDF4  # noqa: F401
    import rasterio  # noqa: F401

    from ..explain import explain, what_if, what_if_files  # noqa: F401
