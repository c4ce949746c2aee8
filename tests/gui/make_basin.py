"""Writes the files of a small basin for the drive through QGIS: make_basin.py FOLDER, in the engine's Python."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROWS, COLUMNS, DAYS, SEED = 24, 20, 400, 3


def main() -> int:
    """Generate the basin and write what a person would have."""
    place = ROOT / "core" / "worker" / "launch.py"
    spec = importlib.util.spec_from_file_location("launch", place)
    launch = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(launch)
    from freshet.core.data.example_basin import generate_basin, write_basin

    write_basin(generate_basin(seed=SEED, rows=ROWS, columns=COLUMNS, days=DAYS), Path(sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
