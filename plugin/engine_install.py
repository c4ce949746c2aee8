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
# What pip's own index gives without a further word.
_DEFAULT_BUILD = "cuda" if sys.platform.startswith("linux") else "cpu"
_BUILD_NAMES = {"cpu": "CPU", "cuda": "CUDA (NVIDIA GPU)"}


@dataclass(frozen=True)
class InstallPlan:
    """What would be done: ``commands`` in order with their ``titles``.

    ``text`` says what is fetched, how much and where; ``problem`` is a sentence where the plan cannot be carried out,
    else empty; ``index`` is the package index for torch (empty: that of pip); ``shell_text`` are the commands to copy.
    """

    folder: Path
    build: str
    commands: tuple[tuple[str, ...], ...]
    titles: tuple[str, ...]
    text: str
    problem: str = ""
    index: str = ""

    @property
    def shell_text(self) -> str:
        """The commands, one a line, for a person who prefers to run them."""
        return "\n".join(
            " ".join(f'"{part}"' if " " in part else part for part in command) for command in self.commands
        )


def default_build() -> str:
    """The build of torch ("cpu" or "cuda") that pip's own index gives on this platform."""
    return _DEFAULT_BUILD


def install_plan(build: str = "cpu", folder: Optional[Path] = None, index: str = "") -> InstallPlan:
    """The plan for a torch build ("cpu" or "cuda"). Nothing is done yet.

    ``index`` is the address of a package index that holds the wanted build; it is used for torch alone. Without it
    torch comes from the index that pip is set to, which gives :func:`default_build` whatever ``build`` says; the text
    says so, and a GPU build that cannot come that way is a problem.
    """
    if build not in BUILDS:
        raise EngineError(
            f"There is no torch build '{build}'", expected=", ".join(BUILDS), remedy="Choose one of these"
        )
    folder, index = folder or managed_folder(), index.strip()
    base = base_python()
    comes = build if index else default_build()
    return InstallPlan(
        folder,
        build,
        _commands(str(base or "python3"), folder, index),
        (
            "Making the environment",
            f"Fetching torch ({_BUILD_NAMES[comes]} build)",
            "Fetching the other libraries",
            "Proving it",
        ),
        _text(build, folder, index),
        _problem(base, folder, build, index),
        index,
    )


def _commands(base: str, folder: Path, index: str) -> tuple[tuple[str, ...], ...]:
    python = str(environment_python(folder))
    pip = (python, "-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check")
    torch = ("-r", str(_REQUIREMENTS / "torch.txt"))
    proof = "import torch, captum, dask, netCDF4, numpy, optuna, rasterio, safetensors, scipy, sklearn, xarray"
    return (
        (base, "-I", "-m", "venv", "--clear", str(folder)),
        (*pip, *(("--index-url", index) if index else ()), *torch),
        # torch stands in the third command too, so that pip keeps the build that is there.
        (*pip, *torch, "-r", str(_REQUIREMENTS / "engine.txt")),
        (python, "-I", "-c", proof),
    )


class EngineInstaller(QObject):
    """Carries out a plan with QProcess.

    Signals: ``progress(fraction 0..1, text)``, ``output(line)``, ``finished(ok, sentence)``.
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


def _text(build: str, folder: Path, index: str) -> str:
    comes = build if index else default_build()
    fetched, disk = _SIZES_GB[comes]
    pins = _pins("torch.txt") + _pins("engine.txt")
    return (
        f"Freshet makes a Python environment of its own in {folder}. "
        f"It fetches with pip: {', '.join(pins)} and what these need; "
        f"about {fetched:g} GB to fetch, about {disk:g} GB on disk, with the {_BUILD_NAMES[comes]} build of torch. "
        f"{_origin(build, index)} "
        "Nothing is changed in QGIS or in any other Python; to undo it, delete the folder."
    )


def _origin(build: str, index: str) -> str:
    """Where torch comes from, which build that is, and what to do for the other one."""
    if index:
        return f"torch comes from {index}: make sure that the {_BUILD_NAMES[build]} build lies there."
    came = _BUILD_NAMES[default_build()]
    if build == default_build():
        return f"torch comes from the index that pip is set to, which gives the {came} build on this platform."
    works = "; it works without an NVIDIA GPU too, and is larger" if default_build() == "cuda" else ""
    return (
        f"The index that pip is set to gives the {came} build on this platform{works}. For the {_BUILD_NAMES[build]} "
        "build type the address of its package index, as the PyTorch installation page names it."
    )


def _pins(name: str) -> list[str]:
    lines = (_REQUIREMENTS / name).read_text(encoding="utf-8").splitlines()
    return [line.strip().replace("==", " ") for line in lines if line.strip() and not line.startswith(("#", "-"))]


def _problem(base: Optional[Path], folder: Path, build: str, index: str) -> str:
    if base is None:
        return "No Python was found from which to make an environment. Name one that has the libraries in the settings."
    if sys.version_info < _NEEDED_PYTHON:
        wanted, found = (".".join(map(str, part)) for part in (_NEEDED_PYTHON, sys.version_info[:2]))
        return f"The libraries need Python {wanted} or newer; QGIS brings {found}. Name a newer Python in the settings."
    if sys.platform == "win32" and len(str(folder)) > _LONGEST_WINDOWS_PATH:
        return f"The path {folder} is too long for torch on Windows. Name a Python with a shorter path in the settings."
    if index and not index.startswith(("https://", "http://", "file://")):
        return (
            f"'{index}' is not the address of a package index. Type one that begins with https://, or leave it empty."
        )
    if build == "cuda" and not index and default_build() != "cuda":
        return "A CUDA build needs the address of its package index here. Type it, or choose the CPU build."
    needed = _SIZES_GB[build if index else default_build()][1] * 1e9
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
