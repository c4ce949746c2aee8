"""Variables that come from the elevation model: static maps, means over what lies upstream, the basin of an outlet."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any, Optional

import numpy as np

from ..contracts.dataset_job import PrepareJob, SourceConfig, TerrainConfig
from ..contracts.errors import ConfigError, DataError
from ..contracts.grid import Grid
from ..contracts.variables import quantity
from .blocks import Budget
from .parts import Layout
from .passes import keep_network
from .provenance import look_at
from .sources import open_source
from .variable import Variable
from .variable_info import VariableInfo

UPSTREAM_SUFFIX = "_upstream"


class Terrain:
    """What a job wants of its elevation model, worked out once on the common grid. ``basin`` bool (H, W) or None is
    the mask of the outlet; ``notes`` and ``warnings`` are sentences.
    """

    def __init__(self, job: PrepareJob, grid: Grid) -> None:
        from .terrain import GridTerrain

        config = job.terrain
        taken = {source.variable for source in job.sources}
        made = [*config.maps, *(name + UPSTREAM_SUFFIX for name in config.upstream_of)]
        double = [name for name in made if name in taken]
        if double:
            raise ConfigError(
                f"'{double[0]}' is the name of a variable and of one that the elevation model gives",
                remedy="Give the variable another name",
            )
        self._config = config
        terrain = GridTerrain(config, grid, flowing=bool(config.upstream_of))
        self.notes, self.warnings = terrain.notes, terrain.warnings
        self.files = look_at(files_of(config))
        self.statics = [self._static(name, *found) for name, found in terrain.maps()]
        self.basin = terrain.mask() if config.outlet else None
        if config.upstream_of:
            keep_network(config, grid, terrain.network())

    def upstream(self, variable: Variable) -> VariableInfo:
        """How the upstream mean of a variable is described."""
        if variable.info.gauges:
            raise DataError(
                f"'{variable.info.name}' has no map, so there is no mean over what lies upstream",
                remedy="Interpolate its gauges onto the grid, or choose another variable",
            )
        info = variable.info
        return dataclasses.replace(
            info, name=info.name + UPSTREAM_SUFFIX, role="input", label=f"{info.label}, upstream mean",
            resampling="mean over the cells upstream", error=None,
        )  # fmt: skip

    def fingerprint(self, base: str) -> str:
        """SHA-256 of all that upstream means of a variable depend on."""
        plan = [base, self._config.to_dict(), self.files]
        return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()

    def record(self, name: str, **extra: Any) -> dict[str, Any]:
        """Provenance of a variable from the elevation model."""
        return {
            "variable": name, "kind": "terrain", "path": self._config.dem,
            "files": [{"path": path, "size": size} for path, size, _ in self.files],
            "notes": list(self.notes), **extra,
        }  # fmt: skip

    def _static(self, name: str, kind: str, units: str, values: np.ndarray) -> Variable:
        label = name.replace("_", " ").capitalize() if kind in ("property", "class_map") else quantity(kind).label
        info = VariableInfo(name, "static", kind, units, label, static=True)
        return Variable(info, values=values, record=self.record(name))


def terrain_of(job: PrepareJob, grid: Grid) -> Optional[Terrain]:
    """The terrain of a job, None where it asks for nothing."""
    config = job.terrain
    return Terrain(job, grid) if config.maps or config.upstream_of or config.outlet else None


def upstream_layout(source: Layout, budget: Budget) -> Layout:
    """Blocks of whole maps."""
    steps, rows, columns = source.shape
    return Layout(source.shape, int(np.clip(budget.made // (4 * rows * columns), 1, steps)), rows)


def files_of(config: TerrainConfig) -> list[str]:
    """The files of the elevation model."""
    with open_source(SourceConfig(variable="dem", path=config.dem, role="static", quantity="elevation")) as source:
        return source.files()
