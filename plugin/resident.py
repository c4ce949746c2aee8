"""The worker that stays loaded while questions are asked, so that an answer need not wait for torch and the model."""

from __future__ import annotations

import contextlib
import json
import subprocess  # for its names alone; the worker is started in engine.py
import tempfile
import threading
from typing import Any, BinaryIO, Optional

from ..core.contracts import RunFolder
from .engine import Engine, output_file, start_staying

_END_SECONDS = 1.0
_TOLD_BYTES = 20000


class Resident:
    """At most one process, that of the engine which was asked last; started with the first question or :meth:`load`,
    anew where it has ended. May be used from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: Optional[_Process] = None

    def take(self, engine: Engine, run: RunFolder) -> Taken:
        """Hand a run to the process. It works on runs in their order. Raises :class:`EngineError`."""
        return Taken(self._tell(engine, {"run": str(run.path)}), run)

    def load(self, engine: Engine, model: str, dataset: str, sequence: str = "") -> None:
        """Let the process load a model and a dataset. Raises :class:`EngineError`."""
        self._tell(engine, {"load": {"model": model, "dataset": dataset, "sequence": sequence}})

    @property
    def pid(self) -> Optional[int]:
        """Number of the process while it lives."""
        with self._lock:
            return self._process.popen.pid if self._process is not None and self._process.lives else None

    def release(self) -> None:
        """Let the process end; a run that it works on is cancelled. Nothing happens where there is none."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.end()

    def _tell(self, engine: Engine, task: dict[str, Any]) -> _Process:
        with self._lock:
            if self._process is not None and self._process.engine != engine:
                self._process.end()
                self._process = None
            if self._process is None or not self._process.tell(task):
                self._process = _Process(engine)
                self._process.tell(task)
            return self._process


class Taken:
    """A run in the hands of the process, with what :class:`.watch.RunWatch` asks of a worker."""

    def __init__(self, process: _Process, run: RunFolder) -> None:
        self._process, self._run = process, run

    @property
    def returncode(self) -> Optional[int]:
        """Exit status of the process, None while it lives."""
        return self._process.popen.returncode

    def poll(self) -> Optional[int]:
        """The same, looked at now. With the end of the process its last words go to the folder of the run."""
        status = self._process.popen.poll()
        if status is not None and not output_file(self._run).exists():
            with contextlib.suppress(OSError):  # the folder may have been removed
                output_file(self._run).write_bytes(self._process.last_words())
        return status

    def wait(self, seconds: float) -> None:
        """The end of a run is not that of the process: there is nothing to wait for."""


class _Process:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        # Without a name: nobody has to remove it. Read only after the end, since both sides share its position.
        self._output: BinaryIO = tempfile.TemporaryFile()
        self._reading = threading.Lock()
        self.popen = start_staying(engine, self._output)

    @property
    def lives(self) -> bool:
        return self.popen.poll() is None

    def tell(self, task: dict[str, Any]) -> bool:
        """Send a task; False where the process has ended."""
        try:
            self.popen.stdin.write(json.dumps(task).encode("utf-8") + b"\n")
        except (OSError, ValueError):  # a broken or closed pipe
            return False
        return self.lives

    def last_words(self) -> bytes:
        with self._reading:
            size = self._output.seek(0, 2)
            self._output.seek(max(0, size - _TOLD_BYTES))
            return self._output.read()

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self.popen.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(_END_SECONDS)
