"""Holds every arrow of the import graph: ``__init__ -> ui -> plugin -> core/contracts``, and those inside ``core``.

Each module is parsed, none is imported; imports inside functions and under ``TYPE_CHECKING`` count too. Where only the
module level matters (heavy libraries in models and training), it is said so.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("core", "plugin", "ui")
HEAVY = {"torch", "rasterio", "xarray", "netCDF4", "dask", "captum", "sklearn", "optuna", "h5py", "geopandas"}
QT = {"PyQt5", "PyQt6", "PySide2", "PySide6", "sip"}
GIS = {"qgis", "osgeo", "processing", "gdal"}
STDLIB = set(getattr(sys, "stdlib_module_names", ()))

# What each part may import of the others. A part may always import itself.
ARROWS = {
    "": {"ui", "plugin", "core.contracts"},
    "ui": {"plugin", "core.contracts"},
    "plugin": {"core.contracts"},
    "core": {"core.contracts"},
    "core.contracts": set(),
    "core.data": {"core.contracts"},
    "core.metrics": {"core.contracts"},
}
for _right, _name in zip(
    ("metrics data", "models", "training", "inference", "explain"),
    ("models", "training", "inference", "explain", "worker"),
):
    _parts = {f"core.{part}" for part in _right.split()}
    ARROWS[f"core.{_name}"] = _parts.union(*(ARROWS[part] for part in _parts))


def _name(path: Path) -> str:
    """Dotted name below ``freshet``; empty for the root's ``__init__``."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = [ROOT / "__init__.py"] + [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
MODULES = {_name(path): path for path in PATHS}


def _part(name: str) -> str:
    """The part of the house in which a module stands: ``ui``, ``plugin``, ``core.models`` ..."""
    pieces = name.split(".")
    return ".".join(pieces[:2]) if pieces[0] == "core" else pieces[0]


def _own_targets(node: ast.AST, name: str, is_package: bool) -> list[str]:
    """Names below ``freshet`` that an import statement in module ``name`` reaches."""
    if isinstance(node, ast.Import):
        found = [item.name for item in node.names if item.name.split(".")[0] == "freshet"]
        return [item.partition(".")[2] for item in found]
    if not isinstance(node, ast.ImportFrom):
        return []
    if not node.level:
        if (node.module or "").split(".")[0] != "freshet":
            return []
        base = node.module.split(".")[1:]
    else:
        here = name.split(".") if name else []
        here = here if is_package else here[:-1]
        base = here[: len(here) - node.level + 1] + (node.module.split(".") if node.module else [])
    inside = [".".join([*base, item.name]) for item in node.names]
    return [target if target in MODULES else ".".join(base) for target in inside]


def _outside(node: ast.AST) -> list[str]:
    """Top-level names of the foreign packages that an import statement reaches."""
    if isinstance(node, ast.Import):
        found = [item.name.split(".")[0] for item in node.names]
    elif isinstance(node, ast.ImportFrom) and not node.level:
        found = [node.module.split(".")[0]]
    else:
        found = []
    return [item for item in found if item != "freshet"]


def _at_module_level(tree: ast.Module) -> list[ast.AST]:
    """Import statements that run when the module is imported, also below ``if``, ``try`` and ``class``."""
    found, waiting = [], list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found.append(node)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not _is_type_checking(node):
            waiting.extend(ast.iter_child_nodes(node))
    return found


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def _wrong_arrows(code: str, name: str, is_package: bool = False) -> list[str]:
    targets = {t for node in ast.walk(ast.parse(code)) for t in _own_targets(node, name, is_package)}
    allowed = ARROWS[_part(name)] | {_part(name)}
    # The root's own __init__ holds nothing to take, so reaching it is a wrong arrow too.
    return sorted(target or "freshet" for target in targets if _part(target) not in allowed)


def _foreign(code: str, module_level: bool = False) -> set[str]:
    tree = ast.parse(code)
    nodes = _at_module_level(tree) if module_level else ast.walk(tree)
    return {item for node in nodes for item in _outside(node)}


def _read(name: str) -> str:
    return MODULES[name].read_text(encoding="utf-8")


def _under(*prefixes: str) -> list[str]:
    return [name for name in MODULES if any(name == p or name.startswith(p + ".") for p in prefixes)]


@pytest.mark.parametrize("name", MODULES, ids=lambda name: name or "__init__")
def test_module_imports_only_to_the_right(name):
    assert _part(name) in ARROWS, f"{name} stands in a folder that the design does not know"
    assert _wrong_arrows(_read(name), name, MODULES[name].name == "__init__.py") == []


@pytest.mark.parametrize("name", _under("core.contracts"))
def test_contracts_import_the_standard_library_only(name):
    assert _foreign(_read(name)) <= STDLIB


@pytest.mark.parametrize("name", [*_under("plugin", "ui"), ""], ids=lambda name: name or "__init__")
def test_qgis_side_imports_only_what_qgis_brings(name):
    assert _foreign(_read(name)) - STDLIB <= {"qgis", "osgeo", "processing", "numpy", "matplotlib"}


@pytest.mark.parametrize("name", _under("core"))
def test_core_knows_neither_qgis_nor_qt(name):
    assert _foreign(_read(name)) & (GIS | QT) == set()


@pytest.mark.parametrize("name", _under("core.models", "core.training"))
def test_models_and_training_import_only_torch_and_numpy_at_module_level(name):
    assert _foreign(_read(name), module_level=True) - STDLIB <= {"torch", "numpy"}


@pytest.mark.parametrize(
    "code, name, wrong",
    [
        ("from ..core.worker import cli", "plugin.client", ["core.worker"]),
        ("from ..core import worker", "plugin.client", ["core.worker"]),
        ("from freshet.core.models import build_model", "ui.dock", ["core.models"]),
        ("import freshet.core.data", "plugin.client", ["core.data"]),
        ("from ..ui import dock", "plugin.client", ["ui"]),
        ("def f():\n    from ..training import loop", "core.models.convlstm", ["core.training"]),
        ("from ..data import grid", "core.metrics.scores", ["core.data"]),
        ("from ..metrics import scores", "core.data.grid", ["core.metrics"]),
        ("from ..contracts import errors", "core.data.grid", []),
        ("from . import registry\nfrom ..metrics import nse\nfrom ..data import grid", "core.models.convlstm", []),
        ("from ..plugin import client\nfrom .dock import Dock", "ui.gui", []),
    ],
)
def test_a_wrong_arrow_is_noticed_and_a_right_one_passes(code, name, wrong):
    found = _wrong_arrows(code, name)
    assert len(found) == len(wrong) and all(item.startswith(start) for item, start in zip(found, wrong))


def test_imports_inside_functions_count_only_where_all_imports_count():
    code = "import torch\ndef f():\n    import captum"
    assert _foreign(code) == {"torch", "captum"}
    assert _foreign(code, module_level=True) == {"torch"}


_PROBE = """
    import importlib, importlib.util, sys

    class Watch:
        asked = []

        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in {heavy!r}:
                self.asked.append(name)
            return None

    sys.meta_path.insert(0, Watch())
    spec = importlib.util.spec_from_file_location("freshet", {init!r}, submodule_search_locations=[{root!r}])
    sys.modules["freshet"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["freshet"])
    for name in {names!r}:
        importlib.import_module(name)
    sys.stdout.write(" ".join(Watch.asked))
"""


def _heavy_imports_of(names: list[str]) -> str:
    """Import ``names`` in a fresh interpreter; the heavy libraries that were asked for, installed or not."""
    values = {"heavy": HEAVY | {"numpy"}, "init": str(ROOT / "__init__.py"), "root": str(ROOT), "names": names}
    code = textwrap.dedent(_PROBE).format(**values)
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_and_plugin_asks_for_no_heavy_library():
    assert _heavy_imports_of(["freshet", "freshet.plugin"]) == ""


def test_importing_all_contracts_asks_for_no_heavy_library():
    assert _heavy_imports_of([f"freshet.{name}" for name in _under("core.contracts")]) == ""


def test_the_watch_notices_a_heavy_library():
    assert "numpy" in _heavy_imports_of(["freshet", "numpy"])
