"""After QGIS was closed: the run that was going on must end by itself, and nothing may be left running.

``after.py OUT_FOLDER``, in any Python from 3.9 on. Exit status 1 where the run does not end well; every
other run is asked to stop, and waited for.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 150.0


def main() -> int:
    """Wait for the run that outlives QGIS, stop the others."""
    spec = importlib.util.spec_from_file_location("launch", ROOT / "core" / "worker" / "launch.py")
    launch = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(launch)
    from freshet.core.contracts import RunFolder

    out = Path(sys.argv[1])
    named = out / "outlives.txt"
    status, wanted = 0, Path(named.read_text(encoding="utf-8")) if named.exists() else None
    if wanted is not None:
        status = outlive(RunFolder(wanted))
    runs = [RunFolder(path.parent) for path in (out / "data" / "freshet" / "runs").glob("*/job.json")]
    for run in runs:
        if not run.state().final:
            print(f"stopping {run.path.name}")
            run.request_cancel()
    end = time.monotonic() + 20
    while any(not run.state().final or lives(run) for run in runs) and time.monotonic() < end:
        time.sleep(0.2)
    return status


def lives(run) -> bool:
    """Whether the worker's process is still there: it ends a moment after its last word."""
    from freshet.core.contracts.run_folder import process_lives

    try:
        return process_lives(int(json.loads(run.heartbeat_file.read_text(encoding="utf-8"))["pid"]))
    except (OSError, ValueError, KeyError):
        return False


def outlive(run) -> int:
    """0 where the run ends as done."""
    begin, before = time.monotonic(), len(run.events())
    if run.state().final:
        print(f"failed: the run had ended when QGIS was closed: {run.state().value}")
        return 1
    while not run.state().final and time.monotonic() - begin < LIMIT_S:
        time.sleep(0.2)
    state, more = run.state().value, len(run.events()) - before
    good = state == "done" and run.model_file.is_file()
    words = "after QGIS was closed the training went on" if good else "failed: after QGIS was closed the training"
    print(f"{words}: {state}, {more} events and {time.monotonic() - begin:.1f} s later")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
