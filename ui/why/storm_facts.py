"""What is painted, in mm and m3, and which inputs of a model can take rain."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
from qgis.core import QgsDistanceArea, QgsGeometry, QgsPointXY, QgsProject, QgsUnitTypes

from ...core.contracts import DataError, Grid
from ...core.contracts.model_card import ModelCard, VariableCard
from ...core.contracts.units import convert
from ...core.contracts.variables import quantity
from ..series import crs_from
from ..text import number, tr
from .painted import Painted
from .what_if_answer import volume_words

_RAIN = "precipitation"


def rain_inputs(card: Optional[ModelCard], step_seconds: float) -> list[VariableCard]:
    """Inputs of a model to which mm of rain can be added, precipitation first."""
    found = [item for item in (*card.inputs, *card.ahead) if _takes_mm(item, step_seconds)] if card is not None else []
    return sorted(found, key=lambda item: item.quantity != _RAIN)


def _takes_mm(variable: VariableCard, step_seconds: float) -> bool:
    if quantity(variable.quantity).kind not in ("flux", "state"):
        return False
    try:
        convert("mm", variable.units, step_seconds or 86400.0)
    except DataError:
        return False
    return True


def cell_areas(grid: Grid) -> Optional[np.ndarray]:
    """m2 of a cell by row, north first; None where the CRS does not tell."""
    crs = crs_from(grid.crs)
    if not crs.isValid():
        return None
    if not crs.isGeographic():
        metre = QgsUnitTypes.fromUnitToUnitFactor(crs.mapUnits(), QgsUnitTypes.DistanceMeters)
        return np.full(grid.rows, grid.cell_x * grid.cell_y * metre**2)
    measure = QgsDistanceArea()
    measure.setSourceCrs(crs, QgsProject.instance().transformContext())
    measure.setEllipsoid("WGS84")
    return np.array([_cell_area(measure, grid, row) for row in range(grid.rows)])


def _cell_area(measure: QgsDistanceArea, grid: Grid, row: int) -> float:
    west, east = grid.west, grid.west + grid.cell_x
    north, south = grid.north - row * grid.cell_y, grid.north - (row + 1) * grid.cell_y
    ring = [QgsPointXY(x, y) for x, y in ((west, north), (east, north), (east, south), (west, south), (west, north))]
    return float(measure.measureArea(QgsGeometry.fromPolygonXY([ring])))


def painted_facts(painted: Painted, areas: Optional[np.ndarray], inside: Optional[np.ndarray]) -> dict[str, Any]:
    """``cells``, ``most_mm``, ``mean_mm`` over the basin ``inside`` (bool, None: the grid), ``volume_m3`` and
    ``area_km2`` of what is painted (None: unknown), ``outside`` cells beyond the basin.
    """
    rain = painted.rain
    inside = np.ones(rain.shape, dtype=bool) if inside is None or inside.shape != rain.shape else inside
    sizes = np.ones(rain.shape) if areas is None else np.broadcast_to(areas[:, None], rain.shape)
    whole = float(sizes[inside].sum())
    wet = rain > 0
    return {
        "cells": int(wet.sum()), "most_mm": float(rain.max()) if rain.size else 0.0,
        "mean_mm": float((rain * sizes)[inside].sum()) / whole if whole else 0.0,
        "volume_m3": None if areas is None else float((rain * sizes).sum() / 1000.0),
        "area_km2": None if areas is None else float(sizes[wet].sum() / 1e6), "outside": int((wet & ~inside).sum()),
    }  # fmt: skip


def total_words(facts: dict[str, Any]) -> str:
    """'12.3 mm in the basin's mean, at most 40 mm, on 320 km2: 4.2 million m3'; what there is to do for nothing."""
    if not facts["cells"]:
        return tr("No rain is painted yet: press Paint and draw on the map.")
    words = tr("Painted: {mean} mm in the basin's mean, at most {most} mm").format(
        mean=number(facts["mean_mm"], 3), most=number(facts["most_mm"], 3)
    )
    if facts["volume_m3"] is not None:
        words += tr(", on {area} km2: {volume}").format(
            area=number(facts["area_km2"], 4), volume=volume_words(facts["volume_m3"])
        )
    words += "."
    if facts["outside"]:
        words += " " + tr("{count} of {all} cells lie outside the basin.").format(
            count=facts["outside"], all=facts["cells"]
        )
    return words
