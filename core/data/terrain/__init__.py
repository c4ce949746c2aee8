"""Terrain as predictors: maps from an elevation model, the flow network, the basin of an outlet.

:func:`derive` works on the elevation model's own cells; :class:`GridTerrain` brings the same onto a dataset's grid and
says in ``notes`` and ``warnings`` how. :func:`run` is the verb ``terrain``. pyflwdir compiles its routines on first
use, which takes some ten seconds.
"""

from __future__ import annotations

from typing import Optional

import numpy as np

from ...contracts.dataset_job import TerrainConfig
from ...contracts.grid import Grid
from .job import run
from .maps import KINDS, derive
from .network import FlowNetwork, Outlet
from .on_grid import GridTerrain

__all__ = ["KINDS", "FlowNetwork", "GridTerrain", "Outlet", "derive", "maps_for", "mask_for", "network_for", "run"]


def maps_for(
    config: TerrainConfig, grid: Grid, notes: Optional[list[str]] = None, warnings: Optional[list[str]] = None
) -> dict[str, tuple[str, str, np.ndarray]]:
    """Quantity, unit and float32 (H, W) on ``grid``, NaN missing, of each of ``config.maps`` by name. Sentences are
    appended to ``notes`` and ``warnings``; errors as :class:`GridTerrain`.
    """
    terrain = GridTerrain(config, grid)
    return _told(terrain, dict(terrain.maps()), notes, warnings)


def network_for(
    config: TerrainConfig, grid: Grid, notes: Optional[list[str]] = None, warnings: Optional[list[str]] = None
) -> FlowNetwork:
    """The flow network of the cells of ``grid``, for :meth:`FlowNetwork.upstream_mean`."""
    terrain = GridTerrain(config, grid, flowing=True)
    return _told(terrain, terrain.network(), notes, warnings)


def mask_for(
    config: TerrainConfig, grid: Grid, notes: Optional[list[str]] = None, warnings: Optional[list[str]] = None
) -> np.ndarray:
    """The basin of ``config.outlet``, found on the cells of the elevation model, as mask of ``grid``: bool (H, W)."""
    terrain = GridTerrain(config, grid)
    return _told(terrain, terrain.mask(), notes, warnings)


def _told(terrain: GridTerrain, made, notes: Optional[list[str]], warnings: Optional[list[str]]):
    if notes is not None:
        notes.extend(terrain.notes)
    if warnings is not None:
        warnings.extend(terrain.warnings)
    return made
