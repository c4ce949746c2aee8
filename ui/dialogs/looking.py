"""Sources are looked into in the background: what is known comes at once, the rest as it is found."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import QgsApplication, QgsTask
from qgis.PyQt.QtCore import QObject, pyqtSignal

from ...core.contracts import FreshetError
from ...plugin.scan import Page, Scan
from ..text import tr


class Looker(QObject):
    """Runs one task for each wish. ``found`` gives reports, also renewed ones of the same source; ``changed`` tells
    that ``fraction`` or ``words`` are others, ``began`` and ``ended`` that a task came or went.
    """

    began = pyqtSignal()
    ended = pyqtSignal()
    found = pyqtSignal(list)
    refused = pyqtSignal(list)
    changed = pyqtSignal()

    def __init__(self, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self.fraction, self.words = 0.0, ""
        self._tasks: list[_LookTask] = []

    @property
    def busy(self) -> bool:
        """Whether a task is at work or waits."""
        return bool(self._tasks)

    def look_into(self, paths: list[str]) -> None:
        """Look into files and folders."""
        task = _LookTask(paths)
        self._tasks.append(task)
        task.teller.page.connect(self._take)
        task.teller.over.connect(self._drop)
        task.taskTerminated.connect(lambda: self._drop(task))
        self.fraction, self.words = 0.0, ""
        self.began.emit()
        self.changed.emit()
        QgsApplication.taskManager().addTask(task)

    def cancel(self) -> None:
        """Stop looking; what was found stays."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            self.changed.emit()
            self.ended.emit()

    def _take(self, task: Any, page: Page) -> None:
        if task not in self._tasks:
            return
        self.fraction, self.words = page.fraction, page.words
        if page.reports:
            self.found.emit(page.reports)
        if page.refused:
            self.refused.emit(page.refused)
        self.changed.emit()

    def _drop(self, task: Any) -> None:
        if task in self._tasks:
            self._tasks.remove(task)
            self.changed.emit()
            self.ended.emit()


class _Teller(QObject):
    """Carries what a task finds from its thread to the main one."""

    page = pyqtSignal(object, object)
    over = pyqtSignal(object)


class _LookTask(QgsTask):
    """Touches no layer and no widget."""

    def __init__(self, paths: list[str]) -> None:
        super().__init__(tr("Freshet: looking into sources"), QgsTask.Flag.CanCancel)
        self._paths = paths
        self.teller = _Teller()

    def run(self) -> bool:
        """In a thread of QGIS."""
        try:
            for page in Scan(self._paths, self.isCanceled):
                self.teller.page.emit(self, page)
                self.setProgress(100.0 * page.fraction)
        except (FreshetError, OSError, RuntimeError) as error:
            self.teller.page.emit(self, Page([], [f"{', '.join(self._paths)}: {error}"], 1.0, ""))
        finally:
            self.teller.over.emit(self)
        return True
