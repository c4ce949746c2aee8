"""The outline of a basin polygon, to draw over a map of a source."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Optional

import numpy as np
from qgis.core import QgsProject, QgsVectorLayer, QgsWkbTypes

from ...core.contracts import FreshetError
from ...plugin.mask_file import POLYGON_FILES
from ..polygons import polygon_in
from ..series import crs_from

_MOST_POINTS = 4000
_FILES = (*POLYGON_FILES, ".geojson", ".json")


def outline(path: str, crs: str) -> tuple[np.ndarray, ...]:
    """Rings (N, 2) of the polygons in ``path`` (with ``|layername=`` where needed) as x and y in ``crs`` (a code or
    WKT); empty for a raster, and where it cannot be read or brought there. Main thread only.
    """
    file = path.partition("|")[0]
    if not file or not crs or os.path.splitext(file)[1].lower() not in _FILES:
        return ()
    try:
        return _outline(path, crs, os.path.getmtime(file))
    except (OSError, FreshetError):
        return ()


@lru_cache(maxsize=32)
def _outline(path: str, crs: str, _stamp: float) -> tuple[np.ndarray, ...]:
    layer = QgsVectorLayer(path, "basin", "ogr")
    if not layer.isValid() or layer.geometryType() != QgsWkbTypes.PolygonGeometry:
        return ()
    target = crs_from(crs)
    rings = []
    for feature in layer.getFeatures():
        moved = polygon_in(feature.geometry(), layer.crs(), target, QgsProject.instance())
        if moved is None:
            continue
        parts = moved.asMultiPolygon() if moved.isMultipart() else [moved.asPolygon()]
        rings += [_thinned(ring) for part in parts for ring in part]
    return tuple(ring for ring in rings if ring is not None)


def _thinned(ring: list) -> Optional[np.ndarray]:
    """At most some thousand points: a picture of 300 cells shows no more."""
    if len(ring) < 3:
        return None
    step = max(1, len(ring) // _MOST_POINTS)
    kept = [*ring[::step], ring[-1]]
    return np.array([(point.x(), point.y()) for point in kept])
