"""The command ``freshet prepare`` as a person runs it, for the tests of this folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Prepare:
    """Runs ``freshet prepare`` in ``folder``, each time in a run folder of its own; ``before`` stands before the
    command.
    """

    folder: Path
    before: tuple[str, ...] = ()
    runs: int = 0

    def command(self, job: dict[str, Any]) -> list[str]:
        """The command for a job."""
        self.runs += 1
        file = self.folder / f"job_{self.runs}.json"
        file.write_text(json.dumps(job), encoding="utf-8")
        program = Path(sys.executable).parent / "freshet"
        return [*self.before, str(program), "prepare", str(file), "--run", str(self.folder / f"run_{self.runs}")]

    def run(self, job: dict[str, Any], **options: Any) -> subprocess.CompletedProcess:
        """Run a job to its end."""
        options = {"env": self.environment, "timeout": 300, "cwd": self.folder, **options}
        return subprocess.run(self.command(job), capture_output=True, text=True, **options)

    def start(self, job: dict[str, Any]) -> subprocess.Popen:
        """Start a job."""
        quiet = subprocess.DEVNULL
        return subprocess.Popen(self.command(job), stdout=quiet, stderr=quiet, env=self.environment, cwd=self.folder)

    def refused(self, job: dict[str, Any], **options: Any) -> str:
        """The sentence with which a job is refused: one line, status 2."""
        process = self.run(job, **options)
        assert process.returncode == 2, process.stdout + process.stderr
        assert len(process.stderr.strip().splitlines()) == 1 and process.stderr.startswith("freshet: "), process.stderr
        return process.stderr.strip()

    def made(self, job: dict[str, Any], **options: Any) -> str:
        """What a job says on its way to a dataset."""
        process = self.run(job, **options)
        assert process.returncode == 0, process.stderr
        return process.stdout

    @property
    def environment(self) -> dict[str, str]:
        """One thread of OpenMP, which does not spin."""
        return {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


@pytest.fixture
def prepare(tmp_path) -> Prepare:
    """``freshet prepare`` in a folder of this test."""
    return Prepare(tmp_path)


def _wait(process: subprocess.Popen, condition: Any) -> None:
    """Until ``condition`` holds; the process must not end before."""
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, "the command ended before it could be interrupted"
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)


@pytest.fixture
def wait():
    """``wait(process, condition)``: see :func:`_wait`."""
    return _wait
