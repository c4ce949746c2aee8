"""Watching one run: start its worker where asked to, read what it says, know when nothing more will come. No Qt."""

from __future__ import annotations

import contextlib
import subprocess  # for the name of its timeout alone; the worker is started in engine.py
import time
from pathlib import Path
from typing import Optional

from ..core.contracts import EngineError, Event, EventKind, EventTail, FreshetError, RunError, RunFolder, RunState
from ..core.contracts.events import FINAL_EVENTS
from .engine import Engine, output_file, start_worker
from .resident import Resident

POLL_SECONDS = 0.15
PICTURE_SECONDS = 0.05  # between two looks at a run whose pictures a person waits for
# A worker shows its first sign of life before it imports anything heavy: a run without one by then has no worker.
SILENT_SECONDS = 60.0
_TAIL_BYTES = 20000
_END_SECONDS = 2.0


class RunWatch:
    """Follows the run folder. Call :meth:`poll` every :attr:`seconds` until :attr:`state` is final.

    ``fraction`` (0 to 1) and ``text`` repeat the last progress.
    """

    def __init__(self, run: RunFolder, engine: Optional[Engine] = None, resident: Optional[Resident] = None) -> None:
        """Start a worker of ``engine`` for the run; with a ``resident`` that one does it. Without, only watch."""
        self.run = run
        self.seconds = POLL_SECONDS if resident is None else PICTURE_SECONDS
        self.state = RunState.WAITING
        self.error: Optional[FreshetError] = None
        self.fraction = 0.0
        self.text = ""
        self._engine = engine
        self._resident = resident
        self._asked_again = False
        self._worker = None
        self._tail = EventTail(run.events_file)
        self._final: Optional[Event] = None

    def start(self) -> None:
        """Start the worker where an engine was given. A failure becomes the run's FAILED event and is raised."""
        if self._engine is None or self._worker is not None:
            return
        self._tail.read()  # what stands there already was said by an earlier try in this folder
        try:
            self._take()
        except EngineError as error:
            self.run.append(Event(EventKind.FAILED, error.to_dict()))
            raise

    def _take(self) -> None:
        if self._resident is None:
            self._worker = start_worker(self._engine, self.run)
        else:
            self._worker = self._resident.take(self._engine, self.run)

    @property
    def started(self) -> bool:
        """Whether this object started the worker."""
        return self._worker is not None

    def poll(self) -> list[Event]:
        """New events, oldest first; brings ``state``, ``error``, ``fraction`` and ``text`` up to date."""
        # Asked before the reading, so that nothing that was written before the end is overlooked.
        exited = self._worker is not None and self._worker.poll() is not None
        batch = self._tail.read()
        for event in batch:
            self._note(event)
        if self._final is None and exited and self._tell_of_the_end():
            return batch + self.poll()
        self.state = self._current(exited)
        if self.state.final:
            self._let_end()
            self.error = run_error(self.run, self.state, [self._final] if self._final else [])
        return batch

    def _tell_of_the_end(self) -> bool:
        """Put on record that the worker ended where nobody else can; False where a run was lost in the usual way."""
        if not self.run.heartbeat_file.exists():
            if self._was_left():
                self._asked_again = True
                self._take()
            else:
                self._tell_of_stillborn()
            return True
        if self._resident is not None and self.run.path.exists():
            self._tell_of_death()
            return True
        return False

    def _was_left(self) -> bool:
        """Whether the resident ended of its own will, after a long time without a question, just before this one."""
        return self._resident is not None and self._worker.returncode == 0 and not self._asked_again

    def _let_end(self) -> None:
        """The last event comes shortly before the end of the process: wait, so that no zombie stays."""
        if self._worker is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._worker.wait(_END_SECONDS)

    def _note(self, event: Event) -> None:
        if event.kind is EventKind.PROGRESS:
            self.fraction, self.text = progress_of(event, self.fraction)
        elif event.kind is EventKind.HELLO:
            self._final = None  # the end that came before belongs to an earlier try
        elif event.kind in FINAL_EVENTS:
            self._final = event

    def _current(self, exited: bool) -> RunState:
        if self._final is not None:
            return RunState(self._final.kind.value)
        if exited:
            return RunState.LOST
        state = self.run.state([])
        if self._worker is not None:
            return RunState.RUNNING if state is RunState.LOST else state  # it lives, however slow its pulse
        if state is RunState.WAITING and is_abandoned(self.run):
            return RunState.LOST
        return state

    def _tell_of_stillborn(self) -> None:
        """The worker ended before its first sign of life: nobody else can put that on record."""
        error = EngineError(
            "The engine ended before it began",
            got=_last_line(output_file(self.run)) or f"exit status {self._worker.returncode}",
            remedy="Check the engine on the engine page; output.txt in the run's folder has the whole message",
        )
        self.run.append(Event(EventKind.FAILED, error.to_dict()))

    def _tell_of_death(self) -> None:
        """The worker that stays ended within the run: its process is known, so there is no silence to wait for."""
        error = EngineError(
            "The engine ended in the middle of this question: it was stopped from outside, or the memory did not "
            "suffice",
            got=_last_line(self.run.log_file) or f"exit status {self._worker.returncode}",
            remedy="Ask again, of a smaller place or with fewer steps if the memory was short",
        )
        self.run.append(Event(EventKind.FAILED, error.to_dict()))


def progress_of(event: Event, before: float = 0.0) -> tuple[float, str]:
    """(fraction 0 to 1, text) of a PROGRESS event; ``before`` where it has no usable fraction."""
    value = event.values.get("fraction")
    fraction = min(1.0, max(0.0, float(value))) if isinstance(value, (int, float)) else before
    return fraction, str(event.values.get("what") or event.values.get("text") or "")


def run_state(run: RunFolder, events: Optional[list[Event]] = None) -> RunState:
    """The state of a run, which also calls a run lost whose worker never showed a sign of life."""
    state = run.state(events)
    return RunState.LOST if state is RunState.WAITING and is_abandoned(run) else state


def run_error(run: RunFolder, state: RunState, events: Optional[list[Event]] = None) -> Optional[FreshetError]:
    """What went wrong with a failed or lost run, as an error with a remedy; None for any other."""
    if state is RunState.FAILED:
        return run.error(events)
    if state is not RunState.LOST:
        return None
    if not run.path.exists():
        return RunError("The run's folder was removed while it ran", got=str(run.path), remedy="Start the run again")
    return RunError(
        "The run's worker ended without a word: it was stopped from outside, or the memory did not suffice",
        got=_last_line(run.log_file) or _last_line(output_file(run)),
        remedy="Start the run again, with a smaller batch if the memory was short; its folder holds the log",
    )


def is_abandoned(run: RunFolder) -> bool:
    """Whether a run that waits has no worker: no heartbeat although its job was written a while ago."""
    try:
        return time.time() - run.job_file.stat().st_mtime > SILENT_SECONDS
    except OSError:
        return True


def tail_of(path: Path, lines: int = 200) -> str:
    """The last lines of a text file; empty where it is missing."""
    with contextlib.suppress(OSError), open(path, "rb") as handle:
        handle.seek(0, 2)
        handle.seek(max(0, handle.tell() - _TAIL_BYTES))
        return "\n".join(handle.read().decode("utf-8", "replace").splitlines()[-lines:])
    return ""


def _last_line(path: Path) -> str:
    lines = [line.strip() for line in tail_of(path).splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
