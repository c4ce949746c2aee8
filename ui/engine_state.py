"""Whether there is an engine, and why or why not. Asked in a process of its own, so that QGIS never waits."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, Callable, Optional

from qgis.PyQt.QtCore import QObject, QProcess, QProcessEnvironment, pyqtSignal

from ..core.contracts import DoctorJob, EngineError, EventKind, FreshetError, RunFolder
from ..plugin.engine import Engine, child_environment, find_engine
from ..plugin.settings import Settings, load_settings
from .text import tr


class EngineState(QObject):
    """What the strip says of the engine.

    ``works`` is True, False, or None while it is being proved; ``engine`` is None without one.
    """

    changed = pyqtSignal()

    def __init__(self, settings: Callable[[], Settings] = load_settings, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self._process: Optional[QProcess] = None
        self._folder: Optional[Path] = None
        self.engine: Optional[Engine] = None
        self.works: Optional[bool] = None
        self.words = tr("engine not looked for yet")
        self.reason = ""

    def look(self) -> None:
        """Find the engine; no process is started."""
        try:
            self.engine = find_engine(self._settings())
        except EngineError as error:
            self.engine = None
            self._say(False, tr("no engine"), str(error))
            return
        self._say(None, tr("engine found"), self._where())

    def prove(self) -> None:
        """Let the engine prove that it works; returns at once, ``changed`` tells the outcome."""
        self.look()
        if self.engine is None or self._process is not None:
            return
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="freshet-doctor-"))
            run = RunFolder.create_at(self._folder, "doctor", DoctorJob(device=self._settings().device))
        except (OSError, FreshetError) as error:
            self._clean()
            self._say(False, tr("engine not proved"), str(error))
            return
        self._process = QProcess(self)
        self._process.setProcessEnvironment(_environment())
        self._process.setProcessChannelMode(QProcess.ProcessChannelMode.MergedChannels)
        self._process.finished.connect(self._on_finished)
        self._process.errorOccurred.connect(self._on_error)
        self._say(None, tr("proving the engine ..."), self._where())
        program, *arguments = self.engine.command(run)
        self._process.start(program, arguments)

    def release(self) -> None:
        """End a proof that is going on."""
        if self._process is not None:
            self._process.blockSignals(True)
            self._process.kill()
            self._process.waitForFinished(1000)
            self._process.deleteLater()
            self._process = None
        self._clean()

    def _where(self) -> str:
        return f"{self.engine.python} ({self.engine.origin})" if self.engine else ""

    def _say(self, works: Optional[bool], words: str, reason: str) -> None:
        self.works, self.words, self.reason = works, words, reason
        self.changed.emit()

    def _on_error(self, error: Any) -> None:
        if error == QProcess.ProcessError.FailedToStart:  # every other error is followed by finished()
            reason = self._process.errorString()
            self._end(False, tr("engine does not start"), reason)

    def _on_finished(self, code: int, _status: Any = None) -> None:
        run = RunFolder(self._folder)
        events = run.events()
        if code == 0:
            said = [str(e.values.get("text", "")) for e in events if e.kind is EventKind.MESSAGE]
            self._end(True, _device_words(events), " ".join([*said, self._where()]))
            return
        error = run.error(events)
        output = bytes(self._process.readAll()).decode("utf-8", "replace").strip()
        self._end(
            False,
            tr("engine does not work"),
            str(error) if error else output[-400:] or tr("exit status {code}").format(code=code),
        )

    def _end(self, works: bool, words: str, reason: str) -> None:
        process, self._process = self._process, None
        process.deleteLater()
        self._clean()
        self._say(works, words, reason)

    def _clean(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _device_words(events: list) -> str:
    """'CPU, 2 cores' or 'GPU', from what the engine said of itself."""
    cores = next((e.values.get("cores") for e in events if e.kind is EventKind.HELLO), None)
    text = " ".join(str(e.values.get("text", "")) for e in events if e.kind is EventKind.MESSAGE).split("Does not")[0]
    if "cuda" in text:
        return tr("GPU (CUDA)")
    if "mps" in text:
        return tr("GPU (Apple)")
    return tr("CPU, {cores} cores").format(cores=cores) if cores else tr("CPU")


def _environment() -> QProcessEnvironment:
    made = QProcessEnvironment()
    for name, value in child_environment().items():
        made.insert(name, value)
    return made
