"""Hydrographs of gauge results: predicted against observed at a gauge, found by a click or by its name."""

from __future__ import annotations

import math
from typing import Any, Optional

from qgis.core import QgsCoordinateReferenceSystem, QgsPointXY, QgsProject, QgsVectorLayer

from ..core.contracts import FreshetError
from ..plugin.gauge_results import POINTS_CRS, GaugeResult, result_of
from .charts import Line
from .series import point_in
from .text import number, tr


def result_layers(project: QgsProject) -> list[QgsVectorLayer]:
    """The layers of the project that show gauges of a run, in the order of the layer tree."""
    layers = [node.layer() for node in project.layerTreeRoot().findLayers()]
    return [layer for layer in layers if isinstance(layer, QgsVectorLayer) and result_of(layer)]


def gauges_at(
    point: QgsPointXY, crs: QgsCoordinateReferenceSystem, near: float, project: QgsProject
) -> list[tuple[GaugeResult, str]]:
    """Result and name of the nearest gauge of each layer of results, as far as it lies within ``near`` (units of
    ``crs``) of ``point``.
    """
    found = []
    for layer in result_layers(project):
        result = result_of(layer)
        away = []
        for name, place in result.places().items():
            there = point_in(QgsPointXY(*place), points_crs(), crs, project)
            if there is not None:
                away.append((math.hypot(there.x() - point.x(), there.y() - point.y()), name))
        distance, name = min(away, default=(math.inf, ""))
        if distance <= near:
            found.append((result, name))
    return found


def points_crs() -> QgsCoordinateReferenceSystem:
    """The CRS of the places of gauges in results."""
    return QgsCoordinateReferenceSystem(POINTS_CRS)


def hydrograph_lines(result: GaugeResult, gauge: str, lead: Optional[int] = None) -> list[Line]:
    """Observed (where there is any) and predicted series of a gauge; ``lead``: steps ahead, None or one that the result
    lacks takes the first. Empty where the table cannot be read.
    """
    try:
        leads = result.leads()
        held = result.series().get((gauge, lead if lead in leads else leads[0])) if leads else None
    except FreshetError:
        return []
    if held is None:
        return []
    lines = []
    for kind, values in (("observed", held.observed), ("predicted", held.predicted)):
        if any(value is not None for value in values):
            label = tr("{gauge}, {label} {kind} ({units})").format(
                gauge=gauge, label=result.label, kind=tr(kind), units=result.units
            )
            lines.append(
                Line(list(held.dates), list(values), label, kind, result.units, result.step_seconds, result.label)
            )
    return lines


def gauge_words(result: GaugeResult, gauge: str, lead: Optional[int] = None) -> str:
    """'Gauge Cochem, 3 steps ahead', and in a second line 'NSE 0.91 (persistence 0.94, climatology 0.31)', as far as
    that is known.
    """
    words = tr("Gauge {gauge}").format(gauge=gauge)
    leads = result.leads()
    if len(leads) > 1:
        words += ", " + lead_words(lead if lead in leads else leads[0])
    scores = result.scores().get(gauge, {})
    if scores.get("nse") is None or (lead is not None and lead in leads and lead != leads[0]):
        return words  # scores of each gauge are those of the first lead
    others = [(name, scores.get(f"nse_{name}")) for name in ("persistence", "climatology")]
    beside = ", ".join(f"{tr(name)} {number(value, 2)}" for name, value in others if value is not None)
    return f"{words}\nNSE {number(scores['nse'], 3)}" + (f" ({beside})" if beside else "")


def lead_words(lead: int) -> str:
    """'1 step ahead'."""
    return tr("1 step ahead") if lead == 1 else tr("{count} steps ahead").format(count=lead)


def place_of(result: GaugeResult, gauge: str, crs: Any, project: QgsProject) -> Optional[QgsPointXY]:
    """Where a gauge lies in ``crs``; None where that is not known."""
    place = result.place(gauge)
    return point_in(QgsPointXY(*place), points_crs(), crs, project) if place is not None else None
