"""Registers the repository root as the package ``freshet``, whatever the checkout is called."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _register_freshet() -> None:
    if "freshet" in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(
        "freshet", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["freshet"] = module
    spec.loader.exec_module(module)


_register_freshet()
