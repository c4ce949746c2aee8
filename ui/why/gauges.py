"""The gauges that a question can ask about: those of the model, for a model of maps those of the dataset."""

from __future__ import annotations

import math

from qgis.core import QgsPointXY, QgsProject

from ...core.contracts import DataError
from ...plugin.dataset_values import gauge_ids, gauge_places
from ..series import point_in
from .context import Asked, WhyContext


def gauge_names(asked: Asked) -> list[str]:
    """Their names; none where neither model nor dataset has gauges, or the dataset cannot be read."""
    if asked.card is not None and asked.card.gauges:
        return list(asked.card.gauges)
    if asked.summary is None or not asked.summary.gauges:
        return []
    try:
        return list(gauge_ids(asked.summary.path, asked.summary.sequence))
    except DataError:
        return []


def places_of(asked: Asked) -> dict[str, QgsPointXY]:
    """Name and place, in the dataset's CRS, of those whose place the dataset knows."""
    summary, names = asked.summary, gauge_names(asked)
    if summary is None or not summary.gauges or not names:
        return {}
    try:
        ids = gauge_ids(summary.path, summary.sequence)
        places = gauge_places(summary.path, summary.sequence)
    except DataError:
        return {}
    if not set(names) & set(ids) and len(names) == len(ids):
        ids = tuple(names)  # the engine takes them in their order, too
    known = {name: QgsPointXY(*place) for name, place in zip(ids, places) if math.isfinite(sum(place))}
    return {name: known[name] for name in names if name in known}


def places_on_map(context: WhyContext) -> dict[str, QgsPointXY]:
    """Name and place, in the CRS of the map; those that cannot be brought there are left out."""
    ways = (context.dataset_crs(), context.map_crs(), QgsProject.instance())
    moved = {name: point_in(place, *ways) for name, place in places_of(context.asked()).items()}
    return {name: place for name, place in moved.items() if place is not None}
