"""The one cell of a dataset whose series are tables alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..contracts.dataset_job import PrepareJob
from ..contracts.errors import ConfigError
from ..contracts.grid import Grid
from .geometry import crs_of
from .mask import is_vector
from .sources import Source
from .vectors import read_polygons

_NOWHERE = Grid("EPSG:4326", 0.0, 1.0, 1.0, 1.0, 1, 1)
_MARGIN = 0.5


def one_cell(job: PrepareJob, sources: Sequence[Source], notes: list[str]) -> Grid:
    """The cell that stands for the basin: the extent of its polygon, else of a static map, else of the gauges, else one
    degree at 0, 0; ``notes`` says which.

    Raises :class:`ConfigError` where a source that varies in time is a map, since then a grid has to be chosen.
    """
    maps = [source for source in sources if source.grid is not None and not source.static]
    if maps:
        raise ConfigError(
            "The grid is not defined",
            expected="'like' (a variable or a raster), or all of 'crs', 'resolution' and 'extent'",
            got=f"none, though '{maps[0].name}' is a map",
            remedy="Choose the layer whose grid the dataset shall take",
        )
    grid, where = _NOWHERE, "a cell at longitude 0, latitude 0, since nothing says where the basin lies"
    static = next((source for source in sources if source.grid is not None), None)
    if job.mask and is_vector(job.mask):
        found = read_polygons(job.mask, assumed="EPSG:4326")
        bounds = np.array([shape.bounds for shape in found.shapes])
        grid = _cell(found.crs, [*bounds[:, :2].min(axis=0), *bounds[:, 2:].max(axis=0)])
        where = "the extent of the basin's polygon"
    elif static is not None:
        grid, where = _cell(static.grid.crs, static.grid.extent), f"the extent of '{static.name}'"
    else:
        placed = next((s for s in sources if s.stations.known.any()), None)
        if placed is not None:
            x, y = (values[placed.stations.known] for values in (placed.stations.x, placed.stations.y))
            reach = _MARGIN if crs_of(placed.stations.crs).is_geographic else 1000.0 * _MARGIN
            grid = _cell(placed.stations.crs, [x.min() - reach, y.min() - reach, x.max() + reach, y.max() + reach])
            where = f"a cell around the gauges of '{placed.name}'"
    notes.append(f"All series are tables: the dataset has one cell for the basin, {where}.")
    return grid


def _cell(crs: str, extent: Sequence[float]) -> Grid:
    west, south, east, north = (float(value) for value in extent)
    return Grid(crs, west, north, max(east - west, 1e-9), max(north - south, 1e-9), 1, 1)
