"""The mask of a dataset: what the job gives, else the cells where there is something to learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import numpy as np

from ..contracts.dataset_job import PrepareJob
from ..contracts.errors import DataError
from ..contracts.grid import Grid
from .mask import read_mask
from .parts import Bits

SPOTS = "spots"  # the role of what is known in the cells of a few gauges only, and says nothing of where the others are


def given_mask(
    job: PrepareJob, grid: Grid, notes: list[str], basin: Optional[np.ndarray] = None
) -> Optional[np.ndarray]:
    """The mask that the job names, within the basin above its outlet where there is one: bool (H, W), or None."""
    mask = basin
    if job.mask and grid.rows * grid.columns > 1:
        mask = read_mask(job.mask, grid, notes)
        if basin is not None:
            mask = mask & basin
            if not mask.any():
                raise DataError(
                    "The mask and the basin above the outlet share no cell",
                    remedy="Check the outlet, or leave the mask empty",
                )
    return mask


def final_mask(given: Optional[np.ndarray], grid: Grid, ever: Sequence[tuple[str, str, Bits]]) -> np.ndarray:
    """The given mask, else the cells where a target is ever present, else those where every input is.

    ``ever`` (name, role, where it is ever present) are the maps that vary in time; those of role SPOTS decide nothing.
    Raises :class:`DataError` where one of them has no value inside, or nothing is shared.
    """
    if given is not None:
        bare = [name for name, _, present in ever if not (present.mask() & given).any()]
        if bare:
            raise DataError(
                f"'{bare[0]}' has no value inside the mask",
                expected="a mask that covers the basin",
                remedy="Check the mask and its CRS",
            )
        return given
    ever = [item for item in ever if item[1] != SPOTS]
    targets = [present for _, role, present in ever if role == "target"]
    mask = np.zeros(grid.shape, dtype=bool) if targets else np.ones(grid.shape, dtype=bool)
    for present in targets:
        mask |= present.mask()
    for _, _, present in [] if targets else ever:
        mask &= present.mask()
    if not mask.any():
        raise DataError("No cell has values of all inputs", remedy="Check where the sources lie, or leave one out")
    return mask
