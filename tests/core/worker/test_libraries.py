"""What torch and OpenMP read as they are loaded is set before, and what a person has set stays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LAUNCH = Path(__file__).resolve().parents[3] / "core" / "worker" / "launch.py"
STARTS = {
    "worker": f"import runpy; runpy.run_path({str(LAUNCH)!r})",
    "command": "from freshet.core.worker.cli import main; main(['uses'])",
}
TOLD = (
    "; import os, sys; print('torch' in sys.modules, os.environ['OMP_WAIT_POLICY'], os.environ['THP_MEM_ALLOC_ENABLE'])"
)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(
    ("own", "found"), [({}, "False PASSIVE 1"), ({"THP_MEM_ALLOC_ENABLE": "0"}, "False PASSIVE 0")]
)
def test_libraries_are_told_before_they_are_loaded(start, own, found):
    environment = {
        name: os.environ[name] for name in os.environ if name not in ("OMP_WAIT_POLICY", "THP_MEM_ALLOC_ENABLE")
    }
    done = subprocess.run(
        [sys.executable, "-c", STARTS[start] + TOLD],
        env={**environment, **own},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == found
