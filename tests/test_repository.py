"""Holds what the repository promises about itself: its files, its metadata, the size and manner of its code."""

from __future__ import annotations

import ast
import configparser
import os
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib", reason="reading pyproject.toml needs Python 3.11 or newer")

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ("core", "plugin", "ui")
MAX_FILE_BYTES = 1_000_000
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 80
NOT_OURS = {".git", ".venv", "build", "dist", "__pycache__", ".pytest_cache", ".ruff_cache", ".qgis-settings"}
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}
FORBIDDEN_CALLS = {"eval", "exec", "print", "compile"}
BROAD = {"Exception", "BaseException"}


def _metadata() -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read(ROOT / "metadata.txt", encoding="utf-8")
    return dict(parser["general"])


def _pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


# The border of the worker process: whatever happens there has to be told, so one broad except is allowed.
BORDER = Path("core/worker/main.py")


def _modules() -> list[Path]:
    return [ROOT / "__init__.py"] + [path for name in SHIPPED for path in sorted((ROOT / name).rglob("*.py"))]


def _functions(tree: ast.AST) -> list[ast.AST]:
    return [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def _our_files() -> list[Path]:
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NOT_OURS and not name.endswith(".egg-info")]
        found += [Path(folder) / name for name in names]
    return found


def _pins(name: str) -> dict[str, str]:
    lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith(("#", "-")))


def _faults(tree: ast.AST) -> list[str]:
    """What the rules for shipped code forbid, one entry a finding: line and name."""
    found = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [f"import {item.name}" for item in node.names if item.name.split(".")[0] in FORBIDDEN_IMPORTS]
        elif (
            isinstance(node, ast.ImportFrom)
            and (node.module or "").split(".")[0] in FORBIDDEN_IMPORTS
            and not node.level
        ):
            names = [f"import {node.module}"]
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
                names = [f"{node.func.id}()"]
            shell = [item.value for item in node.keywords if item.arg == "shell"]
            if shell and not (isinstance(shell[0], ast.Constant) and shell[0].value is False):
                names = [*names, "shell=True"]
        elif isinstance(node, ast.Assert):
            names = ["assert"]
        elif isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(kind is None or (isinstance(kind, ast.Name) and kind.id in BROAD) for kind in kinds):
                names = ["bare or broad except"]
        found += [f"line {node.lineno}: {name}" for name in names]
    return found


@pytest.mark.parametrize(
    "name",
    "__init__.py metadata.txt resources.qrc README.md ARCHITECTURE.md CHANGELOG.md LICENSE pyproject.toml Makefile "
    ".ci/run core plugin ui tests resources requirements/torch.txt requirements/engine.txt scripts/demo.py".split(),
)
def test_required_file_or_folder_is_there(name):
    assert (ROOT / name).exists()


@pytest.mark.parametrize("name", [".ci/run", "scripts/setup.sh", "scripts/test.sh", "scripts/package.sh"])
def test_script_is_executable_and_parses(name):
    assert os.access(ROOT / name, os.X_OK)
    assert subprocess.run(["bash", "-n", str(ROOT / name)], check=False).returncode == 0


def test_licence_is_the_whole_text_of_the_gpl_version_2():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "GNU GENERAL PUBLIC LICENSE" in text and "Version 2, June 1991" in text
    assert "NO WARRANTY" in text and "END OF TERMS AND CONDITIONS" in text
    assert _pyproject()["project"]["license"] == _metadata()["license"] == "GPL-2.0-or-later"


@pytest.mark.parametrize(
    "key",
    "name description about version qgisMinimumVersion author email tracker repository homepage icon category".split(),
)
def test_metadata_key_is_present_and_not_empty(key):
    assert _metadata().get(key, "").strip()


def test_metadata_promises_what_the_plugin_repository_reads():
    metadata = _metadata()
    assert metadata["name"] == "Freshet"
    assert (metadata["qgisMinimumVersion"], metadata["qgisMaximumVersion"]) == ("3.22", "4.99")
    assert metadata["hasProcessingProvider"] == "yes"
    assert re.fullmatch(r"\d+\.\d+\.\d+", metadata["version"])
    assert all(metadata[key].startswith("https://") for key in ("tracker", "repository", "homepage"))
    assert (ROOT / metadata["icon"]).is_file()


def test_about_names_every_library_of_the_engine():
    about = _metadata()["about"]
    assert [name for name in {**_pins("torch.txt"), **_pins("engine.txt")} if name not in about] == []


def test_version_is_the_same_in_metadata_pyproject_and_changelog():
    version = _metadata()["version"]
    assert _pyproject()["project"]["version"] == version
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_package_list_names_every_package_and_its_folder():
    setuptools = _pyproject()["tool"]["setuptools"]
    folders = {path.parent.relative_to(ROOT) for name in SHIPPED for path in (ROOT / name).rglob("__init__.py")}
    expected = {".".join(("freshet", *folder.parts)): folder.as_posix() for folder in folders}
    expected["freshet"] = "."
    assert setuptools["package-dir"] == expected
    assert sorted(setuptools["packages"]) == sorted(expected)


def test_every_folder_with_modules_is_a_package():
    bare = {path.parent for path in _modules() if not (path.parent / "__init__.py").exists()}
    assert bare == set()


@pytest.mark.parametrize("name", ["torch.txt", "engine.txt", "test.txt", "build.txt", "constraints.txt"])
def test_requirements_are_exact(name):
    lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line and not line.startswith(("#", "-c "))]
    assert wanted and [line for line in wanted if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


def test_pyproject_ranges_name_the_libraries_that_the_engine_installs():
    ranges = {re.split(r"[<>=]", item)[0] for item in _pyproject()["project"]["dependencies"]}
    assert ranges == set(_pins("torch.txt")) | set(_pins("engine.txt"))


def test_ranges_for_an_older_python_are_those_of_pyproject():
    lines = (ROOT / "requirements" / "engine-older.txt").read_text(encoding="utf-8").splitlines()
    ranges = {item for item in _pyproject()["project"]["dependencies"] if not item.startswith("torch")}
    assert {line for line in lines if not line.startswith("#")} == ranges


def test_resource_list_names_every_icon():
    listed = {item.text for item in ElementTree.parse(ROOT / "resources.qrc").getroot().iter("file")}
    assert listed == {f"resources/{path.name}" for path in (ROOT / "resources").glob("*.svg")}


def test_no_file_is_above_one_megabyte():
    assert [path.name for path in _our_files() if path.stat().st_size > MAX_FILE_BYTES] == []


@pytest.mark.parametrize("path", _modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_module_is_short_and_keeps_the_rules(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 9))
    long = [item.name for item in _functions(tree) if item.end_lineno - item.lineno + 1 > MAX_FUNCTION_LINES]
    faults = _faults(tree)
    if path == ROOT / BORDER and len(faults) == 1 and "broad except" in faults[0]:
        faults = []
    assert (len(text.splitlines()) < MAX_MODULE_LINES, long, faults) == (True, [], [])


@pytest.mark.parametrize(
    "code, fault",
    [
        ("import pickle", "import pickle"),
        ("from pickle import loads", "import pickle"),
        ("eval('1')", "eval()"),
        ("subprocess.run('ls', shell=True)", "shell=True"),
        ("assert x", "assert"),
        ("try:\n    f()\nexcept Exception:\n    g()", "bare or broad except"),
        ("try:\n    f()\nexcept:\n    g()", "bare or broad except"),
    ],
)
def test_the_rules_notice_a_breach(code, fault):
    assert [item.split(": ")[1] for item in _faults(ast.parse(code))] == [fault]


def test_the_rules_leave_lawful_code_alone():
    lawful = (
        "model.eval()\nre.compile('a')\nsubprocess.run(['ls'], shell=False)\ntry:\n    f()\nexcept OSError:\n    g()"
    )
    assert _faults(ast.parse(lawful)) == []
