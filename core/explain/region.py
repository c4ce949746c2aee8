"""The region of most influence: the cells that together hold a share of all contributions, as polygons."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np

from ..contracts.grid import Grid
from .contributions import Contribution


def influence(rows: Sequence[Contribution]) -> Optional[np.ndarray]:
    """(H, W): the sizes of all contributions of a cell; None where cells are not told apart."""
    on_map = [row for row in rows if row.attributed and row.on_map]
    return sum(np.abs(row.maps).sum(axis=0) for row in on_map) if on_map else None


def top_share(sizes: np.ndarray, share: float) -> np.ndarray:
    """bool (H, W): the fewest cells that hold ``share`` of the sum of ``sizes``; none where that is 0."""
    order = np.argsort(-sizes, axis=None, kind="stable")
    total = np.cumsum(sizes.ravel()[order])
    inside = np.zeros(sizes.size, dtype=bool)
    if total[-1] > 0:
        count = min(int(np.searchsorted(total, share * total[-1] * (1 - 1e-12))) + 1, len(order))
        inside[order[:count]] = True
    return inside.reshape(sizes.shape)


def region_document(inside: np.ndarray, sizes: np.ndarray, grid: Grid, facts: dict[str, Any]) -> str:
    """GeoJSON text of the cells ``inside`` as polygons in the CRS of the grid (named in its member ``crs``, which GIS
    programs read; plain GeoJSON would be degrees). Each feature tells its cells and its share of all contributions.
    """
    from rasterio.features import rasterize, shapes
    from rasterio.transform import Affine

    transform = Affine(*grid.transform)
    total = float(sizes.sum())
    features = []
    for geometry, _ in shapes(inside.astype(np.uint8), mask=inside, transform=transform, connectivity=4):
        own = rasterize([(geometry, 1)], out_shape=grid.shape, transform=transform, fill=0, dtype="uint8") == 1
        held = {"cells": int(own.sum()), "share": float(sizes[own].sum()) / total if total > 0 else 0.0, **facts}
        features.append({"type": "Feature", "properties": held, "geometry": geometry})
    features.sort(key=lambda feature: -feature["properties"]["share"])
    document: dict[str, Any] = {"type": "FeatureCollection", "name": "region", "features": features}
    urn = _urn(grid.crs)
    if urn:
        document["crs"] = {"type": "name", "properties": {"name": urn}}
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)


def _urn(crs: str) -> str:
    """The name of a CRS as GeoJSON of old gives it; the text itself where it has no code."""
    authority, _, code = crs.partition(":")
    return f"urn:ogc:def:crs:{authority.upper()}::{code}" if code.isalnum() and authority.isalpha() else crs
