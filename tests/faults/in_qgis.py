"""The list of faults for tests inside QGIS: the files are made by the engine's Python, which QGIS must not import."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Union

import pytest

ROOT = Path(__file__).resolve().parents[2]
_MAKER = Path(__file__).resolve().parent / "bad_input.py"
_spec = importlib.util.spec_from_file_location("bad_input", _MAKER)
bad_input = importlib.util.module_from_spec(_spec)
sys.modules["bad_input"] = bad_input
_spec.loader.exec_module(bad_input)
odd_input = bad_input.odd_input


def engine_python() -> str:
    """The engine's Python; the test is left out where there is none."""
    from freshet.core.contracts import EngineError
    from freshet.plugin.engine import find_engine
    from freshet.plugin.settings import Settings

    try:
        return find_engine(Settings()).python
    except EngineError as error:
        pytest.skip(f"this test runs the engine: {error}")


def with_engine(program: Path, *arguments: str) -> None:
    """Run a program of the tests with the engine's Python; ``freshet`` is this checkout, whatever is installed."""
    from freshet.plugin.engine import child_environment

    code = (
        "import runpy, sys; sys.argv = sys.argv[1:]; sys.path.insert(0, sys.argv.pop(0)); "
        "import conftest; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [engine_python(), "-I", "-c", code, str(ROOT / "tests"), str(program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=child_environment())
    assert done.returncode == 0, done.stderr


def make_files(folder: Path) -> Path:
    """The good and bad files of all faults."""
    with_engine(_MAKER, str(folder))
    return folder


def maps_of(dataset: Union[str, Path], names: list[str]) -> dict:
    """The maps of some variables of a dataset, read with GDAL: (time, rows, columns), NaN where missing."""
    import numpy as np
    from osgeo import gdal

    found = {}
    for name in names:
        source = gdal.Open(f'NETCDF:"{dataset}":{name}')
        values = source.ReadAsArray().astype(np.float32)
        missing = source.GetRasterBand(1).GetNoDataValue()
        found[name] = values if missing is None else np.where(values == np.float32(missing), np.nan, values)
    return found
