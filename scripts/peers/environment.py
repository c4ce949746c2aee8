"""The environment of the peers (build/peers-env), made once from requirements/peers-keras.txt, and its process."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "build" / "peers-env"
REQUIREMENTS = ROOT / "requirements" / "peers-keras.txt"
PROGRAM = Path(__file__).with_name("keras_peer.py")
LOG = ROOT / "build" / "bench" / "keras.log"


class PeerMissing(RuntimeError):
    """A peer cannot be measured here; the text says why."""


def peers_python() -> Path:
    """The interpreter of the environment, which is made where it is missing or the requirements have changed.

    Raises :class:`PeerMissing` where it cannot be made, such as without a network.
    """
    mark, wanted = PLACE / "made-from.txt", hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    python = PLACE / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if mark.exists() and mark.read_text(encoding="ascii") == wanted:
        return python
    print(f"installing the peers into {PLACE}: TensorFlow, about 1 GB, once", flush=True)
    shutil.rmtree(PLACE, ignore_errors=True)
    install = [str(python), "-I", "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)]
    for command in ([sys.executable, "-I", "-m", "venv", str(PLACE)], install):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            words = (done.stderr or done.stdout).strip().splitlines() or ["no reason was given"]
            raise PeerMissing(f"Keras cannot be installed here, so it is left out: {words[-1][:300]}")
    mark.write_text(wanted, encoding="ascii")
    return python


class KerasPeer:
    """Keras in a process of its own, steered over a pipe; a context manager.

    Raises :class:`PeerMissing` where it cannot be installed or does not answer.
    """

    def __init__(self, threads: int) -> None:
        python = peers_python()
        LOG.parent.mkdir(parents=True, exist_ok=True)
        self._log = LOG.open("ab")
        own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        environment = {**own, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
        self._process = subprocess.Popen(
            [str(python), str(PROGRAM), str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, env=environment,
        )  # fmt: skip
        self.versions = self._answer()["versions"]

    def __enter__(self) -> KerasPeer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def ask(self, **task: Any) -> dict[str, Any]:
        """The answer to a task; see :mod:`peers.keras_peer`."""
        try:
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has died; the answer says so
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            raise PeerMissing(f"Keras ended without an answer (status {self._process.wait()}); see {LOG}")
        return json.loads(line)
