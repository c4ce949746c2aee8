"""Onto one grid: the common grid itself. Resampling is in :mod:`.regrid`, places in :mod:`.geometry`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..contracts.dataset_job import GridConfig, SourceConfig
from ..contracts.grid import Grid
from .geometry import crs_of, extent_in, same_crs, same_grid, shared_share
from .regrid import Regridder
from .sources import Source, open_source

__all__ = ["Regridder", "extent_in", "resolve_grid", "same_crs", "same_grid", "shared_share"]


def resolve_grid(config: GridConfig, sources: Mapping[str, Source]) -> Grid:
    """The common grid of a job: like a variable or a raster, with its CRS, cell size or extent replaced where the job
    gives them.
    """
    if config.crs:
        crs_of(config.crs)
    if not config.like:
        return Grid.from_extent(config.crs, config.extent, config.resolution, config.resolution)
    like = sources[config.like].grid if config.like in sources else _grid_of(config.like)
    if config.crs and not same_crs(config.crs, like.crs):
        return _in_other_crs(like, config)
    if config.resolution is None and config.extent is None:
        return like
    cell_x, cell_y = (config.resolution,) * 2 if config.resolution else (like.cell_x, like.cell_y)
    extent = config.extent or like.extent
    if config.extent and not config.resolution:
        extent = _snap(config.extent, like)
    return Grid.from_extent(like.crs, extent, cell_x, cell_y)


def _in_other_crs(like: Grid, config: GridConfig) -> Grid:
    from rasterio.warp import calculate_default_transform

    extent = config.extent or extent_in(like, config.crs)
    cell = config.resolution
    if cell is None:
        transform, _, _ = calculate_default_transform(
            crs_of(like.crs), crs_of(config.crs), like.columns, like.rows, *like.extent
        )
        cell = transform.a
    return Grid.from_extent(config.crs, extent, cell, cell)


def _grid_of(path: str) -> Grid:
    with open_source(SourceConfig(variable="grid", path=path, role="static", layer="1")) as source:
        return source.grid


def _snap(extent: tuple[float, float, float, float], like: Grid) -> tuple[float, float, float, float]:
    """The extent widened to whole cells of ``like``, so that nothing needs resampling."""
    west, south, east, north = extent
    return (
        like.west + np.floor((west - like.west) / like.cell_x + 1e-6) * like.cell_x,
        like.north - np.ceil((like.north - south) / like.cell_y - 1e-6) * like.cell_y,
        like.west + np.ceil((east - like.west) / like.cell_x - 1e-6) * like.cell_x,
        like.north - np.floor((like.north - north) / like.cell_y + 1e-6) * like.cell_y,
    )
