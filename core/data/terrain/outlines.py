"""Basin and rivers as GeoJSON in longitude and latitude (OGC:CRS84), and maps as GeoTIFF."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ...contracts.files import whole_file, write_text
from ...contracts.grid import Grid
from ..geometry import crs_of
from .directions import MISSING
from .network import FlowNetwork, Outlet

NODATA = -9999.0
_DECIMALS = 7  # about a centimetre
_CRS84 = "OGC:CRS84"


def basin_feature(inside: np.ndarray, network: FlowNetwork, outlet: Outlet, more: Optional[dict] = None) -> dict:
    """The cells ``inside`` (H, W) bool as a GeoJSON feature: a polygon, or several where parts meet in corners only.

    Properties: area_km2, cells, outlet_x and outlet_y in the CRS of the grid, outlet_lon and outlet_lat, moved_m, and
    ``more``.
    """
    from affine import Affine
    from rasterio.features import shapes
    from rasterio.warp import transform, transform_geom
    from shapely.geometry import mapping, shape
    from shapely.geometry.polygon import orient

    grid = network.grid
    crs = crs_of(grid.crs)
    parts = []
    # Cells that touch in a corner only become parts of their own: a ring that touches itself would not be valid.
    for found, _ in shapes(inside.astype(np.uint8), mask=inside, connectivity=4, transform=Affine(*grid.transform)):
        placed = transform_geom(crs, _CRS84, found, precision=_DECIMALS)
        parts.append(mapping(orient(shape(placed)))["coordinates"])
    geometry = (
        {"type": "Polygon", "coordinates": parts[0]}
        if len(parts) == 1
        else {"type": "MultiPolygon", "coordinates": parts}
    )
    longitude, latitude = transform(crs, _CRS84, [outlet.x], [outlet.y])
    properties = {
        "area_km2": round(float(np.sum(network.sizes.area_km2[:, None] * inside)), 6),
        "cells": int(inside.sum()),
        "outlet_x": outlet.x,
        "outlet_y": outlet.y,
        "outlet_lon": round(longitude[0], _DECIMALS),
        "outlet_lat": round(latitude[0], _DECIMALS),
        "moved_m": round(outlet.moved_m, 1),
        **(more or {}),
    }
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def stream_features(network: FlowNetwork, inside: Optional[np.ndarray] = None) -> list[dict[str, Any]]:
    """Rivers as GeoJSON lines from one confluence to the next, downstream; ``inside`` (H, W) bool keeps one basin's.

    Properties: strahler (order of Strahler 1957, doi:10.1029/TR038i006p00913), area_km2 that drains to the lower end,
    before the river that it meets.
    """
    from pyflwdir import streams
    from rasterio.warp import transform

    rivers = (network.streams if inside is None else network.streams & inside).ravel()[network.cells]
    if not rivers.any():
        return []
    sequence = np.arange(len(network.down), dtype=network.down.dtype)
    order = streams.strahler_order(network.down, sequence, rivers)
    lines = [line for line in streams.streams(network.down, sequence, rivers) if line[0] != line[-1]]
    # A line that leaves the basin ends at its outlet, others at the cell where they meet the next one.
    lines = [line if rivers[line[-1]] else line[:-1] for line in lines]
    lines = [line for line in lines if len(line) > 1]
    if not lines:
        return []
    leaves = {int(line[-1]) for line in lines} - {int(line[0]) for line in lines}
    joined = network.cells[np.concatenate(lines)]
    grid, area = network.grid, network.upstream_area_km2.ravel()
    xs = grid.west + (joined % grid.columns + 0.5) * grid.cell_x
    ys = grid.north - (joined // grid.columns + 0.5) * grid.cell_y
    longitudes, latitudes = transform(crs_of(grid.crs), _CRS84, xs, ys)
    points = np.round(np.column_stack([longitudes, latitudes]), _DECIMALS)
    ends = np.cumsum([len(line) for line in lines])
    return [
        {
            "type": "Feature",
            "properties": {
                "strahler": int(order[line[0]]),
                "area_km2": round(float(area[network.cells[line[-1 if int(line[-1]) in leaves else -2]]]), 6),
            },
            "geometry": {"type": "LineString", "coordinates": points[end - len(line) : end].tolist()},
        }
        for line, end in zip(lines, ends)
    ]


def write_features(path: Path, features: Iterable[dict[str, Any]]) -> None:
    """A GeoJSON file, whole or not at all."""
    write_text(path, json.dumps({"type": "FeatureCollection", "features": list(features)}, allow_nan=False))


def write_map(path: Path, values: np.ndarray, grid: Grid, units: str, label: str) -> None:
    """A map (H, W) as tiled, deflated GeoTIFF, whole or not at all: float32 with NaN as -9999; uint8 as flow
    directions with 247 for missing.
    """
    import rasterio
    from affine import Affine

    classes = values.dtype == np.uint8
    profile = {
        "driver": "GTiff", "dtype": "uint8" if classes else "float32", "count": 1,
        "nodata": MISSING if classes else NODATA,
        "height": grid.rows, "width": grid.columns, "crs": crs_of(grid.crs), "transform": Affine(*grid.transform),
        "tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate", "predictor": 2 if classes else 3,
        "BIGTIFF": "IF_SAFER",
    }  # fmt: skip
    with whole_file(path) as temporary:
        with rasterio.open(temporary, "w", **profile) as raster:
            raster.write(values if classes else np.where(np.isfinite(values), values, NODATA).astype(np.float32), 1)
            raster.units = [units]
            raster.set_band_description(1, label)
