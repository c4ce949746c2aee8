"""What the pages speak of: the chosen dataset, the chosen run, and wishes that one page has of another."""

from __future__ import annotations

from qgis.PyQt.QtCore import QObject, pyqtSignal


class Choice(QObject):
    """The one thing that all pages share. A page sets it; the others listen. It decides nothing."""

    datasetChanged = pyqtSignal(str)
    runChanged = pyqtSignal(str)
    pageWanted = pyqtSignal(str)
    engineWanted = pyqtSignal()
    jobWanted = pyqtSignal(object)

    def __init__(self) -> None:
        super().__init__()
        self._dataset = ""
        self._run = ""

    @property
    def dataset(self) -> str:
        """Path of the chosen dataset, or empty."""
        return self._dataset

    @property
    def run(self) -> str:
        """Path of the chosen run, or empty."""
        return self._run

    def set_dataset(self, path: str) -> None:
        """Choose a dataset; told only when it changes."""
        if path != self._dataset:
            self._dataset = path
            self.datasetChanged.emit(path)

    def set_run(self, path: str) -> None:
        """Choose a run; told only when it changes."""
        if path != self._run:
            self._run = path
            self.runChanged.emit(path)

    def want_page(self, name: str) -> None:
        """Ask for a page: data, model, runs, maps or why."""
        self.pageWanted.emit(name)

    def want_engine(self) -> None:
        """Ask for the engine set-up."""
        self.engineWanted.emit()

    def want_job(self, job: object) -> None:
        """Ask for the page Model filled from a training job."""
        self.jobWanted.emit(job)
