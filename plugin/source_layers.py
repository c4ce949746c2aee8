"""Sources on the map as they are: a styled layer with all dates of each, gauges as points. No engine is needed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional, Union

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsLayerTreeLayer,
    QgsMapLayer,
    QgsProject,
    QgsRasterLayer,
    QgsRasterRange,
)

from ..core.contracts import DataError, FreshetError
from .gauge_layers import gauge_layer
from .inspection import catalogue_entry, inspect_source
from .layers import _look_at, _node, _play, dress_layer
from .settings import data_folder
from .source_report import SourceReport
from .stacks import of_sequence, stack
from .styling import artifact_for
from .temporal import TemporalBands

FOLDER = "freshet_layers"
_BEYOND = 1e19


@dataclass(frozen=True)
class Shown:
    """A source to show: its report, and what a person has corrected (empty: as the report says). ``sequence`` is the
    one of several that is shown.
    """

    report: SourceReport
    title: str = ""
    quantity: str = ""
    units: str = ""
    sequence: str = ""


def add_sources(
    wanted: Sequence[Shown],
    project: Optional[QgsProject] = None,
    iface: Any = None,
    temporal: Optional[TemporalBands] = None,
) -> tuple[list[QgsMapLayer], list[str]]:
    """Add a layer for each source on top of the map, the first one topmost; the temporal controller then plays the
    period of all of them. Gives the layers, and a sentence for each source that could not be shown. Main thread only.
    """
    project = project or QgsProject.instance()
    first_in_project = not project.mapLayers()
    made, faults = [], []
    for item in wanted:
        try:
            made.append(source_layer(item, project))
        except (FreshetError, OSError) as error:
            faults.append(f"{item.title or item.report.variable}: {error}")
    _arrange(made, project)
    rasters = [layer for layer in made if isinstance(layer, QgsRasterLayer)]
    _play(temporal, rasters)
    if made:
        _look_at((rasters or made)[0], project, iface, first_in_project)
    return made, faults


def _arrange(made: Sequence[QgsMapLayer], project: QgsProject) -> None:
    """Put layers on top in their order, points above maps. Opaque maps hide each other: only one is switched on."""
    order = [layer for layer in made if not isinstance(layer, QgsRasterLayer)]
    points = len(order)
    order += [layer for layer in made if isinstance(layer, QgsRasterLayer)]
    for number, layer in enumerate(order):
        project.addMapLayer(layer, False)
        node = _node(layer) if isinstance(layer, QgsRasterLayer) else QgsLayerTreeLayer(layer)
        project.layerTreeRoot().insertChildNode(number, node)
        node.setItemVisibilityChecked(number <= points)
        node.setExpanded(number < 3)


def source_layer(shown: Shown, project: Optional[QgsProject] = None) -> QgsMapLayer:
    """The layer of one source, styled and dated, not yet in a project. DataError where it cannot be made."""
    report = _corrected(shown)
    if report.form == "table":
        return gauge_layer(report, shown.title, layers_folder(project or QgsProject.instance()))
    if report.sequences:
        report = replace(of_sequence(report, shown.sequence), quantity=report.quantity, units=report.units)
    if not report.dates and len(report.files) > 1:
        raise DataError(
            "The source has no dates", got=report.path, remedy=" ".join(report.problems) or "Choose dated maps"
        )
    uri = stack(report, layers_folder(project or QgsProject.instance()))
    low, high = (report.minimum, report.maximum) if report.minimum == report.minimum else (0.0, 1.0)
    title = shown.title or report.label or catalogue_entry(report).label
    title = f"{title}, {shown.sequence or shown.report.sequences[0]}" if shown.report.sequences else title
    artifact = artifact_for(
        report.quantity, title, report.units, low, high, report.dates, report.step_seconds or 86400.0
    )
    layer = QgsRasterLayer(uri, artifact.title, "gdal")
    if not layer.isValid():
        raise DataError("The map cannot be opened", got=uri, remedy="Check the files of the source")
    if report.crs and not layer.crs().isValid():
        crs = QgsCoordinateReferenceSystem()
        crs.createFromUserInput(report.crs)
        layer.setCrs(crs)
    _mark_missing(layer, report)
    dress_layer(layer, artifact)
    return layer


def add_temporal_series(
    path: Union[str, Path],
    project: Optional[QgsProject] = None,
    iface: Any = None,
    temporal: Optional[TemporalBands] = None,
    layer: str = "",
    title: str = "",
) -> QgsMapLayer:
    """Look into a source and add it as one animated layer; ``layer`` names the variable of a file of several.

    DataError where it has no dates, or where a file has several variables and none is named.
    """
    report = _choose(inspect_source(path), layer, str(path))
    if not report.dates:
        raise DataError(
            "The source has no dates",
            got=str(path),
            remedy=" ".join(report.problems) or "Choose a series of dated maps",
        )
    project = project or QgsProject.instance()
    first_in_project = not project.mapLayers()
    made = source_layer(Shown(report, title), project)
    project.addMapLayer(made, False)
    node = _node(made) if isinstance(made, QgsRasterLayer) else QgsLayerTreeLayer(made)
    project.layerTreeRoot().insertChildNode(0, node)
    _play(temporal, [made] if isinstance(made, QgsRasterLayer) else [])
    _look_at(made, project, iface, first_in_project)
    return made


def layers_folder(project: QgsProject) -> Path:
    """Where the small files of layers go: beside the project, so that both can move together; else in the data folder
    of the person, else in a temporary one.
    """
    home = project.homePath()
    if home and os.path.isdir(home) and os.access(home, os.W_OK):
        return Path(home) / FOLDER
    try:
        folder = data_folder() / "layers"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    except OSError:
        return Path(tempfile.mkdtemp(prefix="freshet-"))


def _corrected(shown: Shown) -> SourceReport:
    changes = {name: value for name, value in (("quantity", shown.quantity), ("units", shown.units)) if value}
    return replace(shown.report, **changes) if changes else shown.report


def _mark_missing(layer: QgsRasterLayer, report: SourceReport) -> None:
    """What is taken as missing though no file declares it shall look missing too."""
    ranges = []
    provider = layer.dataProvider()
    if report.nodata is not None and not (
        provider.sourceHasNoDataValue(1) and provider.sourceNoDataValue(1) == report.nodata
    ):
        slack = abs(report.nodata) * 1e-6
        ranges.append(QgsRasterRange(report.nodata - slack, report.nodata + slack))
    if any("1e20" in guess for guess in report.guesses):
        ranges += [QgsRasterRange(_BEYOND, 1.8e308), QgsRasterRange(-1.8e308, -_BEYOND)]
    for band in range(1, layer.bandCount() + 1) if ranges else ():
        provider.setUserNoDataValue(band, ranges)


def _choose(reports: list[SourceReport], layer: str, path: str) -> SourceReport:
    named = [item for item in reports if item.layer == layer] if layer else [item for item in reports if item.dates]
    if len(named) == 1 or (len(reports) == 1 and not layer):
        return (named or reports)[0]
    raise DataError(
        f"The source has no variable '{layer}'" if layer else "It is not clear which variable of the source to show",
        expected=", ".join(item.layer or item.variable for item in reports),
        got=path,
        remedy="Name one of these variables",
    )
