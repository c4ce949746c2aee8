"""What libraries are told by the environment, which they read as they are loaded."""

from __future__ import annotations

import os

LARGE_PAGES = "THP_MEM_ALLOC_ENABLE"
_SETTINGS = {
    # Idle OpenMP threads that spin make a busy two-core machine many times slower.
    "OMP_WAIT_POLICY": "PASSIVE",
    # torch asks Linux for pages of 2 MB: new ones are given a tenth to a sixth of a training step faster on maps of
    # 128 x 128, and less of the memory is lost in holes.
    LARGE_PAGES: "1",
}


def tell_libraries() -> None:
    """Set what nobody has set otherwise; has to be called before torch is loaded."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
