"""Start of the engine: ``PYTHON -I launch.py RUN_FOLDER``, or ``--stay`` in place of a folder: see stay.py.

Registers the folder two above this file under the name ``freshet``, whatever it is called, so that nothing has to be
put on a search path where other plugins could shadow a library. Spawned children import this file again and find the
same.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def register_freshet() -> None:
    """Make ``import freshet`` mean the Freshet that this file belongs to."""
    if "freshet" in sys.modules:
        return
    root = Path(__file__).resolve().parents[2]
    spec = importlib.util.spec_from_file_location(
        "freshet", root / "__init__.py", submodule_search_locations=[str(root)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{root} is not Freshet")
    module = importlib.util.module_from_spec(spec)
    sys.modules["freshet"] = module
    spec.loader.exec_module(module)


register_freshet()
from freshet.core.worker.libraries import tell_libraries  # noqa: E402

tell_libraries()

if __name__ == "__main__":
    from freshet.core.worker.beside import leave
    from freshet.core.worker.main import main

    leave(main(sys.argv[1:]))
