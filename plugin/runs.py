"""All runs: submit, watch, cancel, list."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Callable, Optional, Union

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QCoreApplication, QObject, pyqtSignal

from ..core.contracts import Config, EngineError, Event, EventKind, FreshetError, RunError, RunFolder, RunState
from .engine import find_engine, output_file
from .resident import Resident
from .run_task import RunTask
from .settings import Settings, load_settings
from .version import version
from .watch import progress_of, run_error, run_state, tail_of

RunLike = Union[RunFolder, str, Path]
_RESUMABLE = (RunState.CANCELLED, RunState.LOST, RunState.FAILED)
_SCORED = ("model", "persistence", "climatology")


@dataclass(frozen=True)
class RunSummary:
    """One run as a list shows it.

    ``fraction`` is 0 to 1; ``text`` is the last thing said, or the sentence of the fault; ``scores`` maps "model",
    "persistence" and "climatology" to their pooled scores ({"nse": ..., "rmse": ...}), as far as the run has them.
    """

    path: str
    verb: str
    title: str
    state: RunState
    created: str
    fraction: float = 0.0
    text: str = ""
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)


class Runs(QObject):
    """The runs of this person.

    Signals, all on the main thread: ``events(run_path, list[Event])``, ``ended(run_path, RunState)``, ``changed()``
    when the list or a state changed.
    """

    events = pyqtSignal(str, object)
    ended = pyqtSignal(str, object)
    changed = pyqtSignal()

    def __init__(self, parent: Optional[QObject] = None, settings: Callable[[], Settings] = load_settings) -> None:
        """``settings`` is asked anew for every run."""
        super().__init__(parent)
        self._settings = settings
        # QGIS holds only the C++ half of a task: without this reference its Python half would be collected.
        self._tasks: dict[str, RunTask] = {}
        self._resumed: set[str] = set()  # whose new worker has not spoken yet: the folder still tells the old end
        self._resident = Resident()
        self._finished: dict[str, tuple[Any, RunSummary]] = {}
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.close)

    def submit(self, verb: str, job: Config, title: str = "", stay: bool = False) -> RunFolder:
        """Start a job in the background. With ``stay`` the worker that stays loaded does it, after what it was asked
        before, and only while QGIS runs. Raises EngineError without an engine, RunError where the folder cannot be
        written.
        """
        settings = self._settings()
        engine = find_engine(settings)
        try:
            run = RunFolder.create(settings.runs_path, verb, job, title, version())
        except OSError as error:
            raise RunError(
                "The run's folder cannot be written",
                got=str(error),
                remedy="Choose another folder for runs in the settings",
            ) from error
        self._watch(run, RunTask(run, engine, title or run.path.name, self._resident if stay else None))
        return run

    def warm(self, model: str, dataset: str, sequence: str = "") -> bool:
        """Let the worker that stays load a model and a dataset for the questions to come; False without an engine.

        Nothing else is told: what is wrong with them the first question tells.
        """
        try:
            self._resident.load(find_engine(self._settings()), model, dataset, sequence)
        except EngineError:
            return False
        return True

    def release_resident(self) -> None:
        """Let the worker that stays end; a run that it works on is cancelled. The next question starts another."""
        self._resident.release()

    def resume(self, run: RunLike) -> RunFolder:
        """Start the worker again in the folder of a run that was cancelled, lost or failed; also takes a path.

        A training continues after its last whole epoch. Raises RunError where the run works or is done, EngineError
        without an engine.
        """
        folder = _folder(run)
        header = folder.header()
        state = self._state(folder)
        if str(folder.path) in self._tasks or state not in _RESUMABLE:
            raise RunError(f"This run is {state.value}, so there is nothing to take up", remedy="Start a new run")
        engine = find_engine(self._settings())
        try:
            # Left over from the earlier try: a wish to stop, and a pulse that is no longer beating.
            folder.cancel_file.unlink(missing_ok=True)
            folder.heartbeat_file.unlink(missing_ok=True)
        except OSError as error:
            raise RunError(
                "The run's folder cannot be written", got=str(error), remedy="Close what holds its files"
            ) from error
        self._resumed.add(str(folder.path))
        self._watch(folder, RunTask(folder, engine, str(header.get("title") or folder.path.name)))
        return folder

    def cancel(self, run: RunLike) -> None:
        """Ask the run's worker to stop; also takes a path. Nothing happens where the run is over."""
        folder = _folder(run)
        if str(folder.path) in self._tasks or not run_state(folder).final:
            folder.request_cancel()

    def runs(self) -> list[RunSummary]:
        """All runs of the runs folder, newest first. What is no run, or cannot be read, is left out."""
        found = [self._summary_or_none(path) for path in _run_paths(self._settings().runs_path)]
        return sorted((item for item in found if item), key=lambda item: (item.created, item.path), reverse=True)

    def summary(self, run: RunLike) -> RunSummary:
        """One run; also takes a path. ConfigError where the folder holds no run."""
        folder = _folder(run)
        if str(folder.path) in self._resumed:
            return replace(_summarise(folder), state=RunState.WAITING, text="", fraction=0.0)
        stamp = _stamp(folder)
        known = self._finished.get(str(folder.path))
        if known and known[0] == stamp:
            return known[1]
        made = _summarise(folder)
        if made.state is RunState.LOST and self._queued(folder):
            made = replace(made, state=RunState.WAITING, text="")
        if made.state.final:
            self._finished[made.path] = (stamp, made)
        return made

    def error(self, run: RunLike) -> Optional[FreshetError]:
        """What went wrong with a failed or lost run, or None; also takes a path."""
        folder = _folder(run)
        events = folder.events()
        return run_error(folder, run_state(folder, events), events)

    def log(self, run: RunLike, lines: int = 200) -> str:
        """The last lines of the run's log; also takes a path."""
        folder = _folder(run)
        return tail_of(folder.log_file, lines) or tail_of(output_file(folder), lines)

    def attach_running(self) -> list[RunFolder]:
        """Watch again the runs that still run from before."""
        waiting = [
            RunFolder(item.path) for item in self.runs() if not item.state.final and item.path not in self._tasks
        ]
        for run in waiting:
            self._watch(run, RunTask(run, None, run.path.name))
        return waiting

    def watched(self) -> list[str]:
        """Paths of the runs that are being watched now."""
        return list(self._tasks)

    def remove(self, run: RunLike) -> None:
        """Delete a finished run's folder with all results; RunError while it runs; also takes a path."""
        folder = _folder(run)
        folder.header()  # a folder that holds no run is never deleted
        if not self._state(folder).final:
            raise RunError("This run is not over", got=str(folder.path), remedy="Cancel it first")
        try:
            shutil.rmtree(folder.path)
        except OSError as error:
            raise RunError(
                "The run's folder could not be deleted",
                got=str(error),
                remedy="Remove its layers from the project and try again",
            ) from error
        self.changed.emit()

    def close(self) -> None:
        """End all watching; the runs themselves go on, but for those of the worker that stays, which ends."""
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.leave()
        for task in tasks:
            task.wait_idle(1.0)
        self._resident.release()

    def _state(self, folder: RunFolder) -> RunState:
        return RunState.WAITING if self._queued(folder) else run_state(folder)

    def _queued(self, folder: RunFolder) -> bool:
        """Whether a run waits for its turn, however long: without a pulse it looks abandoned from outside."""
        task = self._tasks.get(str(folder.path))
        return task is not None and task.state is RunState.WAITING

    def _watch(self, run: RunFolder, task: RunTask) -> None:
        self._tasks[str(run.path)] = task
        task.happened.connect(self._on_happened)
        task.over.connect(self._on_over)
        QgsApplication.taskManager().addTask(task)
        self.changed.emit()

    def _on_happened(self, path: str, batch: list[Event]) -> None:
        if path in self._tasks:
            self._resumed.discard(path)
            self.events.emit(path, batch)

    def _on_over(self, path: str, state: RunState) -> None:
        self._resumed.discard(path)
        if self._tasks.pop(path, None) is not None:
            self.ended.emit(path, state)
            self.changed.emit()

    def _summary_or_none(self, path: Path) -> Optional[RunSummary]:
        try:
            return self.summary(path)
        except (FreshetError, OSError):
            return None


def _folder(run: RunLike) -> RunFolder:
    return run if isinstance(run, RunFolder) else RunFolder(run)


def _run_paths(parent: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(parent) if entry.is_dir()]
    except OSError:
        return []


def _stamp(run: RunFolder) -> tuple:
    """Changes whenever something that a summary shows does."""
    found = []
    for path in (run.job_file, run.events_file, run.scores_file):
        try:
            status = path.stat()
            found.append((status.st_mtime_ns, status.st_size))
        except OSError:
            found.append(None)
    return tuple(found)


def _summarise(run: RunFolder) -> RunSummary:
    header = run.header()
    events = run.events()
    state = run_state(run, events)
    error = run_error(run, state, events)
    fraction, text = 0.0, ""
    for event in events:
        if event.kind is EventKind.PROGRESS:
            fraction, text = progress_of(event, fraction)
    return RunSummary(
        path=str(run.path),
        verb=str(header["verb"]),
        title=str(header.get("title") or run.path.name),
        state=state,
        created=str(header.get("created", "")),
        fraction=1.0 if state is RunState.DONE else fraction,
        text=str(error) if error else text,
        scores=read_scores(run),
    )


def read_scores(run: RunFolder) -> dict[str, dict[str, Any]]:
    """Pooled scores of model, persistence and climatology, as far as the run has them."""
    try:
        found = json.loads(run.scores_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    parts = {name: found.get(name) for name in _SCORED if isinstance(found.get(name), dict)}
    return {
        name: part.get("pooled", part) for name, part in parts.items() if isinstance(part.get("pooled", part), dict)
    }
