"""Seconds until the first page of the import table is there: ``bench_scan.py FOLDER ROUNDS``, in QGIS's Python.

The folder is looked into anew in each round; its files are not opened but for one. Prints one line of JSON, last.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT_S = 2


def main(folder: str, rounds: int) -> int:
    """Measure, and print what comes out."""
    _register_freshet()
    with tempfile.TemporaryDirectory() as home:
        application = _start_qgis(home)
        from freshet.plugin.scan import Scan

        seconds, files = [], 0
        for _ in range(rounds):
            begin = time.perf_counter()
            page = next(iter(Scan([folder])))
            seconds.append(time.perf_counter() - begin)
            files = sum(len(report.files) for report in page.reports)
            if page.refused or any(len(report.dates) != len(report.files) for report in page.reports):
                raise SystemExit(f"the first page of {folder} is not whole: {page.refused}")
        application.exitQgis()
    found = {"files": files, "median_s": round(statistics.median(seconds), 3), "min_s": round(min(seconds), 3)}
    sys.stdout.write(json.dumps({**found, "limit_s": LIMIT_S}) + "\n")
    return 0


def _register_freshet() -> None:
    """The repository root as the package ``freshet``, whatever the checkout is called."""
    spec = importlib.util.spec_from_file_location(
        "freshet", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    module = sys.modules["freshet"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


def _start_qgis(home: str):
    """An application without a window, with a profile of its own."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ["XDG_RUNTIME_DIR"] = home
    os.environ["QGIS_CUSTOM_CONFIG_PATH"] = home
    from qgis.core import QgsApplication

    application = QgsApplication([], False)
    application.initQgis()
    return application


if __name__ == "__main__":
    if len(sys.argv) != 3 or not sys.argv[2].isdigit() or not int(sys.argv[2]):
        raise SystemExit(__doc__)
    sys.exit(main(os.path.abspath(sys.argv[1]), int(sys.argv[2])))
