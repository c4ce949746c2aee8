"""One run as a task of QGIS: it starts the worker when asked to, watches the run folder, and tells what it sees."""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Optional

from qgis.core import QgsApplication, QgsMessageLog, QgsProject, QgsTask
from qgis.PyQt.QtCore import QCoreApplication, QThreadPool, QTimer, pyqtSignal
from qgis.PyQt.QtWidgets import QApplication

from ..core.contracts import Event, EventKind, FreshetError, RunError, RunFolder, RunState
from .engine import Engine
from .resident import Resident
from .watch import RunWatch

_DOUBT_MS = 250


class RunTask(QgsTask):
    """Supervises one run in the background; never touches a layer or the project.

    ``happened(run_path, list[Event])`` and ``over(run_path, RunState)`` reach slots of QObjects of the main thread on
    that thread. What cancels the run is the person's request (:meth:`cancel`); :meth:`leave` only ends the watching,
    as the end of QGIS does.
    """

    happened = pyqtSignal(str, object)
    over = pyqtSignal(str, object)

    def __init__(
        self,
        run: RunFolder,
        engine: Optional[Engine] = None,
        title: str = "",
        resident: Optional[Resident] = None,
    ) -> None:
        """Watch ``run``; with an ``engine``, start its worker first, or hand the run to the ``resident``."""
        super().__init__(f"Freshet: {title or run.path.name}", _flags())
        self.folder = run
        self.state: Optional[RunState] = None
        self.error: Optional[FreshetError] = None
        self._watch = RunWatch(run, engine, resident)
        self._engine = engine
        self._ending = False
        self._left = threading.Event()
        self._idle = threading.Event()
        self._idle.set()

    def run(self) -> bool:
        """Off the main thread: watch until the run is over or :meth:`leave` was called. True unless something went
        wrong.
        """
        self._idle.clear()
        with _Border(self), _slot_given_back():
            self._supervise()
        self._idle.set()
        return self.error is None and self.state is not RunState.CANCELLED

    def cancel(self) -> None:
        """A person asks in QGIS's list of tasks for the run to stop, or QGIS ends and cancels all its tasks.

        Both look the same at first. QGIS goes on to clear the project and quit, or asks about unsaved work, so a
        moment later it is known which it was; only a person's wish cancels the run. Freshet's own button asks the run
        folder directly.
        """
        if not self._left.is_set():
            QgsProject.instance().cleared.connect(self._qgis_ends)
            QTimer.singleShot(_DOUBT_MS, self._cancel_unless_qgis_ends)
        super().cancel()

    def leave(self) -> None:
        """End the watching and leave the run alone (QGIS or the plugin is closing)."""
        self._left.set()

    def wait_idle(self, seconds: float) -> bool:
        """Wait until no watching goes on; False after ``seconds``."""
        return self._idle.wait(seconds)

    def finished(self, result: bool) -> None:
        """On the main thread: tell that it is over, unless it was only left."""
        if self.state is None and not self._left.is_set():
            self._cancelled_in_queue()
        if self.state is not None and self.state.final:
            self.over.emit(str(self.folder.path), self.state)

    def _qgis_ends(self) -> None:
        self._ending = True

    def _cancel_unless_qgis_ends(self) -> None:
        asks = QApplication.activeModalWidget() is not None
        if asks or self._ending or self._left.is_set() or QCoreApplication.closingDown():
            return
        # The folder may be gone; then there is nothing left to stop, and the watching notices it.
        with contextlib.suppress(OSError):
            self.folder.request_cancel()

    def _supervise(self) -> None:
        if self._left.is_set():
            return
        self._watch.start()
        while not self._left.is_set():
            batch = self._watch.poll()
            if batch:
                self.setProgress(100.0 * self._watch.fraction)
                self.happened.emit(str(self.folder.path), batch)
            self.state, self.error = self._watch.state, self._watch.error
            if self.state.final:
                return
            self._left.wait(self._watch.seconds)

    def _cancelled_in_queue(self) -> None:
        """The task was cancelled before it began, so no worker will ever say so."""
        if self._engine is not None and not self._watch.started:
            self.folder.append(Event(EventKind.CANCELLED))
        self.state = RunState.CANCELLED

    def _broken(self, error: BaseException, story: str) -> None:
        self.error = (
            error
            if isinstance(error, FreshetError)
            else RunError(
                "Watching the run failed, which is a fault of Freshet",
                got=repr(error),
                remedy="Restart QGIS: the run itself goes on",
            )
        )
        self.state = RunState.FAILED
        QgsMessageLog.logMessage(story, "Freshet")


class _Border:
    """The one place where any fault of a background task is caught.

    An exception that leaves ``QgsTask.run`` ends the whole of QGIS, so this is the border where all of them are kept
    and reported.
    """

    def __init__(self, task: RunTask) -> None:
        self._task = task

    def __enter__(self) -> _Border:
        return self

    def __exit__(self, kind: Optional[type], error: Optional[BaseException], trace: Optional[TracebackType]) -> bool:
        if error is not None:
            self._task._broken(error, "".join(traceback.format_exception(kind, error, trace)))
        return True


@contextlib.contextmanager
def _slot_given_back() -> Iterator[None]:
    """A task that sleeps gives its slot of the thread pool back: two-core machines have two, and QGIS renders with
    them.
    """
    manager = QgsApplication.taskManager()
    pool = manager.threadPool() if hasattr(manager, "threadPool") else QThreadPool.globalInstance()
    pool.releaseThread()
    try:
        yield
    finally:
        pool.reserveThread()


def _flags() -> "QgsTask.Flag":
    flags = QgsTask.Flag.CanCancel
    # Without it, closing QGIS shows a box and does not close while a run is watched.
    return flags | QgsTask.Flag.CancelWithoutPrompt if hasattr(QgsTask.Flag, "CancelWithoutPrompt") else flags
