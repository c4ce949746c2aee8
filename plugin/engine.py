"""Which Python runs the engine, and how its worker is started."""

from __future__ import annotations

import os
import subprocess  # the engine runs in a process of its own: torch and rasterio crash in QGIS's
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Optional

from ..core.contracts import EngineError, RunFolder
from .settings import Settings, data_folder

ROOT = Path(__file__).resolve().parent.parent
PYTHON_VARIABLE = "FRESHET_PYTHON"
# Written into the managed environment as the last step, so that a half-made one is never taken.
READY_FILE = "freshet-ready.txt"

# What QGIS, conda or another virtual environment left for themselves would lead the engine's Python, pip, GDAL or
# PROJ astray.
_FOREIGN = frozenset(
    "PYTHONHOME PYTHONPATH PYTHONEXECUTABLE PYTHONUSERBASE PYTHONSTARTUP VIRTUAL_ENV CONDA_PREFIX GDAL_DATA "
    "GDAL_DRIVER_PATH PROJ_LIB PROJ_DATA QGIS_PREFIX_PATH LD_LIBRARY_PATH LD_PRELOAD SSL_CERT_FILE".split()
)
_FOREIGN_PREFIXES = ("PIP_", "DYLD_")


@dataclass(frozen=True)
class Engine:
    """A Python interpreter that runs the worker; ``origin`` says in words where it was found."""

    python: str
    origin: str = ""

    def command(self, run: RunFolder) -> list[str]:
        """The command that executes the run. ``-I``: no variable and no folder of QGIS reaches that Python."""
        return [self.python, "-I", str(ROOT / "core" / "worker" / "launch.py"), str(run.path)]

    def staying_command(self) -> list[str]:
        """The command of a worker that stays loaded and takes runs from its standard input."""
        return [self.python, "-I", str(ROOT / "core" / "worker" / "launch.py"), "--stay"]


def managed_folder() -> Path:
    """The folder of the environment that Freshet makes on request: outside the plugin, which an upgrade deletes."""
    return data_folder() / "engine"


def environment_python(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / "Scripts" / "python.exe" if os.name == "nt" else folder / "bin" / "python"


def find_engine(settings: Settings, environment: Optional[Mapping[str, str]] = None) -> Engine:
    """The first interpreter of: settings, FRESHET_PYTHON, ``.venv`` beside the plugin, the managed environment.

    Raises :class:`EngineError` where none is there, or where one that a person named does not exist (another is not
    taken in its place). That it can import what a job needs is proved by the job ``doctor``.
    """
    environment = os.environ if environment is None else environment
    named = (
        (
            settings.engine_python,
            "named in the settings",
            "Correct the path of the engine in the settings, or clear it",
        ),
        (environment.get(PYTHON_VARIABLE, ""), f"named by {PYTHON_VARIABLE}", f"Correct or unset {PYTHON_VARIABLE}"),
    )
    for path, origin, remedy in named:
        if path and not os.path.isfile(path):
            raise EngineError(f"The engine's Python, {origin}, does not exist", got=path, remedy=remedy)
        if path:
            return Engine(path, origin)
    beside, managed = environment_python(ROOT / ".venv"), environment_python(managed_folder())
    if beside.is_file():
        return Engine(str(beside), "beside the plugin")
    if managed.is_file() and (managed_folder() / READY_FILE).is_file():
        return Engine(str(managed), "made by Freshet")
    raise EngineError(
        "Freshet has no engine yet",
        expected="a Python that has torch and the other libraries of the engine",
        remedy="Set it up on the engine page, or name a Python there. Series can be shown without it",
    )


def child_environment(environment: Optional[Mapping[str, str]] = None) -> dict[str, str]:
    """The environment of the worker: that of QGIS without what would lead another Python astray."""
    environment = os.environ if environment is None else environment
    kept = {name: value for name, value in environment.items() if not is_foreign(name)}
    # On a busy machine, threads that wait actively were measured 5 to 20 times slower than one thread.
    return {**kept, "OMP_WAIT_POLICY": "PASSIVE", "PYTHONNOUSERSITE": "1"}


def is_foreign(name: str) -> bool:
    """Whether an environment variable must not reach the engine."""
    return name in _FOREIGN or name.startswith(_FOREIGN_PREFIXES)


def foreign_names(names: Iterable[str]) -> list[str]:
    """Those of ``names`` that must not reach the engine, sorted."""
    return sorted(name for name in names if is_foreign(name))


def output_file(run: RunFolder) -> Path:
    """What the worker's Python says before its own log exists: a missing library, an error of the interpreter."""
    return run.path / "output.txt"


def start_worker(engine: Engine, run: RunFolder) -> subprocess.Popen:
    """Start the worker of ``run``, detached: it outlives QGIS, and a signal to QGIS's group does not reach it.

    Its output goes to a file of the run folder, since a pipe would break with the end of QGIS. Raises
    :class:`EngineError`.
    """
    try:
        with open(output_file(run), "ab") as output:
            return _started(engine.command(run), str(run.path), output, subprocess.DEVNULL)
    except OSError as error:
        raise _not_started(engine, error) from error


def start_staying(engine: Engine, output: BinaryIO) -> subprocess.Popen:
    """Start a worker that takes runs from its standard input, a pipe, and ends with it, so also with QGIS, however that
    ends. What it says goes to ``output``. Raises :class:`EngineError`.
    """
    try:
        return _started(engine.staying_command(), tempfile.gettempdir(), output, subprocess.PIPE)
    except OSError as error:
        raise _not_started(engine, error) from error


def _started(command: list[str], folder: str, output: BinaryIO, lines: int) -> subprocess.Popen:
    # A list of arguments and no shell: the person's own interpreter and a file of this plugin.
    # QProcess.startDetached could not tell the exit of a worker that never spoke.
    return subprocess.Popen(  # nosec B603
        command,
        cwd=folder,
        env=child_environment(),
        stdin=lines,
        stdout=output,
        stderr=subprocess.STDOUT,
        close_fds=True,
        bufsize=0,
        **_detached(),
    )


def _not_started(engine: Engine, error: OSError) -> EngineError:
    return EngineError(
        "The engine could not be started",
        got=f"{engine.python}: {error}",
        remedy="Choose another Python on the engine page",
    )


def base_python() -> Optional[Path]:
    """The Python from which an environment can be made, or None.

    Never ``sys.executable``: inside QGIS on Windows and macOS that is QGIS, and starting it opens another QGIS.
    """
    prefix = Path(sys.base_prefix)
    if os.name == "nt":
        names = [prefix / "python.exe", prefix / "python3.exe"]
    else:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        names = [prefix / "bin" / version, prefix / "bin" / "python3"]
    return next((name for name in names if name.is_file()), None)


def _detached() -> dict[str, object]:
    if os.name == "nt":
        flags = ("DETACHED_PROCESS", "CREATE_NEW_PROCESS_GROUP", "CREATE_BREAKAWAY_FROM_JOB")
        return {"creationflags": sum(getattr(subprocess, name, 0) for name in flags)}
    return {"start_new_session": True}
