"""The basin mask of a dataset: from a raster or from polygons."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import numpy as np

from ..contracts.dataset_job import SourceConfig
from ..contracts.errors import DataError
from ..contracts.grid import Grid
from .harmonise import Regridder
from .sources import open_source, parse_source
from .vectors import VECTOR_SUFFIXES, is_raster_package, parse_layer, read_polygons


def read_mask(path: str, grid: Grid, notes: Optional[list[str]] = None) -> np.ndarray:
    """Mask on ``grid``: bool (H, W), True inside.

    From a raster, cells above 0 are inside; where it is finer, at least half of a cell has to be. From polygons of any
    vector file (``file.gpkg|layername=...|subset=...`` chooses among them), cells whose centre lies inside any of
    them. Repairs and guesses are appended to ``notes`` as sentences. Raises :class:`DataError` where the file cannot
    be read or no cell is inside.
    """
    inside = _from_polygons(path, grid, notes) if is_vector(path) else _from_raster(path, grid)
    if not inside.any():
        raise DataError(
            "The mask covers no cell of the grid",
            got=path,
            remedy="Choose the mask of this basin, or leave it empty",
        )
    return inside


def is_vector(path: str) -> bool:
    """Whether a path names a vector file, not a raster. A GeoPackage with a raster in it is one."""
    if parse_source(path).gdal:
        return False
    name = parse_layer(path)
    suffix = Path(name.path).suffix.lower()
    if suffix == ".gpkg" and not name.layer and is_raster_package(name.path):
        return False
    return suffix in VECTOR_SUFFIXES


def _from_raster(path: str, grid: Grid) -> np.ndarray:
    with open_source(SourceConfig(variable="mask", path=path, role="static", layer=parse_source(path).layer)) as source:
        inside = (source.read(0, 1) > 0).astype(np.float32)
        regrid = Regridder(source.grid, grid, "average")
        if regrid.ratio <= 1 and not regrid.same:
            regrid = Regridder(source.grid, grid, "nearest")
        return regrid(inside)[0] >= 0.5


def _from_polygons(path: str, grid: Grid, notes: Optional[list[str]]) -> np.ndarray:
    from affine import Affine
    from rasterio.features import rasterize

    found = read_polygons(path, crs=grid.crs, assumed=grid.crs)
    if notes is not None:
        notes += [f"Mask: {note}" for note in found.notes]
    burnt = rasterize(
        found.shapes, out_shape=grid.shape, transform=Affine(*grid.transform), fill=0, default_value=1, dtype="uint8"
    )
    return burnt == 1
