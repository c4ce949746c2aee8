"""The managed engine: a virtual environment in the person's data folder, made by pip after consent."""

from __future__ import annotations

import shutil
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from qgis.PyQt.QtCore import QObject, QProcess, QProcessEnvironment, pyqtSignal

from ..core.contracts import EngineError
from .engine import READY_FILE, ROOT, base_python, environment_python, foreign_names, managed_folder

BUILDS = ("cpu", "cuda")
_REQUIREMENTS = ROOT / "requirements"
# Measured for the pinned versions on Linux: (fetched, on disk) in GB.
_SIZES_GB = {"cpu": (0.5, 1.5), "cuda": (3.5, 8.0)}
_NEEDED_PYTHON = (3, 10)
_LONGEST_WINDOWS_PATH = 60
# Where a build differs from the one of the default index: Linux gets CUDA from that, Windows and macOS get the CPU
# build.
_TORCH_INDEX = {
    ("linux", "cpu"): "https://download.pytorch.org/whl/cpu",
    ("win32", "cuda"): "https://download.pytorch.org/whl/cu130",
}


@dataclass(frozen=True)
class InstallPlan:
    """What would be done: ``commands`` in order with their ``titles``, ``text`` that says what is fetched, how much and
    where.

    ``problem`` is a sentence where the plan cannot be carried out, else empty. ``shell_text`` are the commands to copy.
    """

    folder: Path
    build: str
    commands: tuple[tuple[str, ...], ...]
    titles: tuple[str, ...]
    text: str
    problem: str = ""

    @property
    def shell_text(self) -> str:
        """The commands, one a line, for a person who prefers to run them."""
        return "\n".join(
            " ".join(f'"{part}"' if " " in part else part for part in command) for command in self.commands
        )


def install_plan(build: str = "cpu", folder: Optional[Path] = None) -> InstallPlan:
    """The plan for a torch build ("cpu" or "cuda"). Nothing is done yet."""
    if build not in BUILDS:
        raise EngineError(
            f"There is no torch build '{build}'", expected=", ".join(BUILDS), remedy="Choose one of these"
        )
    folder = folder or managed_folder()
    base = base_python()
    python = str(environment_python(folder))
    pip = (python, "-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check")
    index = _TORCH_INDEX.get((sys.platform, build))
    torch = (*pip, *(("--index-url", index) if index else ()), "-r", str(_REQUIREMENTS / "torch.txt"))
    # torch stands in the second command too, so that pip keeps the build that is there.
    rest = (*pip, "-r", str(_REQUIREMENTS / "torch.txt"), "-r", str(_REQUIREMENTS / "engine.txt"))
    commands = (
        (str(base or "python3"), "-I", "-m", "venv", "--clear", str(folder)),
        torch,
        rest,
        (
            python,
            "-I",
            "-c",
            "import torch, captum, dask, netCDF4, numpy, optuna, rasterio, safetensors, scipy, sklearn, xarray",
        ),
    )
    titles = (
        "Making the environment",
        f"Fetching torch ({build.upper()} build)",
        "Fetching the other libraries",
        "Proving it",
    )
    return InstallPlan(folder, build, commands, titles, _text(build, folder), _problem(base, folder, build))


class EngineInstaller(QObject):
    """Carries out a plan with QProcess. ``progress(fraction 0..1, text)``, ``output(line)``, ``finished(ok,
    sentence)``.
    """

    progress = pyqtSignal(float, str)
    output = pyqtSignal(str)
    finished = pyqtSignal(bool, str)

    def __init__(self, plan: InstallPlan, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self._plan = plan
        self._step = -1
        self._last_line = ""
        self._cancelled = False
        self._process = QProcess(self)
        self._process.setProcessChannelMode(QProcess.ProcessChannelMode.MergedChannels)
        self._process.setProcessEnvironment(_process_environment())
        self._process.readyRead.connect(self._on_output)
        self._process.finished.connect(self._on_finished)
        self._process.errorOccurred.connect(self._on_error)

    @property
    def running(self) -> bool:
        """Whether a command runs now."""
        return self._process.state() != QProcess.ProcessState.NotRunning

    def start(self) -> None:
        """Begin; returns at once. A plan with a problem ends at once with its sentence."""
        if self._plan.problem:
            self.finished.emit(False, self._plan.problem)
            return
        (self._plan.folder / READY_FILE).unlink(missing_ok=True)
        self._cancelled, self._step = False, -1
        self._next()

    def cancel(self) -> None:
        """Stop and remove what was half made."""
        if self.running:
            self._cancelled = True
            self._process.kill()

    def _next(self) -> None:
        self._step += 1
        if self._step == len(self._plan.commands):
            self._plan.folder.mkdir(parents=True, exist_ok=True)
            (self._plan.folder / READY_FILE).write_text(self._plan.build + "\n", encoding="utf-8")
            self.progress.emit(1.0, "The engine is ready")
            self.finished.emit(True, f"The engine is ready in {self._plan.folder}.")
            return
        self.progress.emit(self._step / len(self._plan.commands), self._plan.titles[self._step])
        program, *arguments = self._plan.commands[self._step]
        self._process.start(program, arguments)

    def _on_output(self) -> None:
        for line in bytes(self._process.readAll()).decode("utf-8", "replace").splitlines():
            if line.strip():
                self._last_line = line.strip()
                self.output.emit(line)

    def _on_finished(self, code: int, _status: object = None) -> None:
        self._on_output()
        if code == 0 and not self._cancelled:
            self._next()
        else:
            self._give_up()

    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:  # every other error is followed by finished()
            self._last_line = self._process.errorString()
            self._give_up()

    def _give_up(self) -> None:
        # In a thread: deleting some 30,000 files takes seconds.
        threading.Thread(target=shutil.rmtree, args=(self._plan.folder, True), daemon=True).start()
        title = self._plan.titles[self._step]
        if self._cancelled:
            self.finished.emit(False, "Setting up the engine was cancelled; what had been fetched is removed.")
            return
        error = EngineError(
            f"Setting up the engine failed at '{title}'",
            got=self._last_line,
            remedy="Check the network and the free space, or run the commands by hand and name that Python",
        )
        self.finished.emit(False, str(error))


def _text(build: str, folder: Path) -> str:
    fetched, disk = _SIZES_GB[build]
    pins = _pins("torch.txt") + _pins("engine.txt")
    return (
        f"Freshet makes a Python environment of its own in {folder}. "
        f"It fetches with pip: {', '.join(pins)} and what these need; "
        f"about {fetched:g} GB to fetch, about {disk:g} GB on disk, with the {build.upper()} build of torch. "
        "Nothing is changed in QGIS or in any other Python; to undo it, delete the folder."
    )


def _pins(name: str) -> list[str]:
    lines = (_REQUIREMENTS / name).read_text(encoding="utf-8").splitlines()
    return [line.strip().replace("==", " ") for line in lines if line.strip() and not line.startswith(("#", "-"))]


def _problem(base: Optional[Path], folder: Path, build: str) -> str:
    if base is None:
        return "No Python was found from which to make an environment. Name one that has the libraries in the settings."
    if sys.version_info < _NEEDED_PYTHON:
        wanted, found = (".".join(map(str, part)) for part in (_NEEDED_PYTHON, sys.version_info[:2]))
        return f"The libraries need Python {wanted} or newer; QGIS brings {found}. Name a newer Python in the settings."
    if sys.platform == "win32" and len(str(folder)) > _LONGEST_WINDOWS_PATH:
        return f"The path {folder} is too long for torch on Windows. Name a Python with a shorter path in the settings."
    needed = _SIZES_GB[build][1] * 1e9
    parent = next((item for item in [folder, *folder.parents] if item.exists()), folder)
    free = shutil.disk_usage(parent).free
    if free < needed:
        return f"Too little space: {free / 1e9:.1f} GB free at {parent}, {needed / 1e9:.1f} GB needed. Make room there."
    return ""


def _process_environment() -> QProcessEnvironment:
    environment = QProcessEnvironment.systemEnvironment()
    for name in foreign_names(environment.keys()):
        environment.remove(name)
    environment.insert("PYTHONNOUSERSITE", "1")
    return environment
