"""Importing the plugin and its user interface inside QGIS's Python loads none of the engine's libraries."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("qgis.core", reason="importing freshet.plugin and freshet.ui needs QGIS's own Python")

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"torch", "rasterio", "xarray", "netCDF4", "dask", "captum", "sklearn", "optuna", "h5py", "geopandas"}
_PROBE = """
    import importlib, importlib.util, sys

    class Watch:
        asked = []

        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in {heavy!r}:
                self.asked.append(name)
            return None

    sys.meta_path.insert(0, Watch())
    sys.path.append("/usr/share/qgis/python/plugins")
    spec = importlib.util.spec_from_file_location("freshet", {init!r}, submodule_search_locations=[{root!r}])
    sys.modules["freshet"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["freshet"])
    for name in {names!r}:
        importlib.import_module(name)
    from qgis.PyQt.QtCore import QCoreApplication
    made = QCoreApplication.instance() is not None
    sys.stdout.write(" ".join(Watch.asked) + (" an application object" if made else ""))
"""


def _modules(folder: str) -> list[str]:
    paths = sorted((ROOT / folder).rglob("*.py"))
    parts = [["freshet", *path.relative_to(ROOT).with_suffix("").parts] for path in paths]
    return [".".join(item[:-1] if item[-1] == "__init__" else item) for item in parts]


@pytest.mark.parametrize("folder", ["plugin", "ui"])
def test_importing_every_module_loads_no_engine_library_and_makes_no_application(folder):
    names = _modules(folder)
    assert names
    values = {"heavy": HEAVY, "init": str(ROOT / "__init__.py"), "root": str(ROOT), "names": names}
    code = textwrap.dedent(_PROBE).format(**values)
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
