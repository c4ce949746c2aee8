"""A page of maps side by side, each with its legend, and one scale bar: to print, to export, to keep in the project."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from qgis.core import (
    QgsLayerTree,
    QgsLayoutExporter,
    QgsLayoutItemLabel,
    QgsLayoutItemLegend,
    QgsLayoutItemMap,
    QgsLayoutItemScaleBar,
    QgsLayoutPoint,
    QgsLayoutSize,
    QgsLegendStyle,
    QgsMapLayer,
    QgsPrintLayout,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsUnitTypes,
)
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QColor, QFont

from ..core.contracts import DataError

_MM = QgsUnitTypes.LayoutUnit.LayoutMillimeters
_MARGIN_MM, _GAP_MM, _HEAD_MM, _MAP_MM, _LEGEND_MM = 8.0, 6.0, 22.0, 78.0, 44.0
_BACKGROUND = QColor("#f4f4f2")


@dataclass(frozen=True)
class Panel:
    """One map of a page: the heading above it, its raster layers (the first one gives legend and extent), what is
    drawn over them, and a note below the legend.
    """

    heading: str
    layers: Sequence[QgsRasterLayer]
    note: str = ""
    over: Sequence[QgsMapLayer] = ()


def add_maps_page(project: QgsProject, name: str, title: str, subtitle: str, panels: Sequence[Panel]) -> QgsPrintLayout:
    """Add a layout to ``project`` with the panels in a row, at their layers' present band; one of that name is
    replaced.

    Main thread only. DataError where there is no panel.
    """
    if not panels:
        raise DataError("There is no map to lay out", remedy="Add the maps of a run first")
    manager = project.layoutManager()
    old = manager.layoutByName(name)
    if old is not None:
        manager.removeLayout(old)
    layout = QgsPrintLayout(project)
    layout.initializeDefaults()
    layout.setName(name)
    width = 2 * _MARGIN_MM + len(panels) * _MAP_MM + (len(panels) - 1) * _GAP_MM
    height = _HEAD_MM + 8 + _map_height(panels[0]) + _LEGEND_MM
    layout.pageCollection().page(0).setPageSize(QgsLayoutSize(width, height, _MM))
    _label(layout, title, _MARGIN_MM, 5, width, 15, bold=True)
    _label(layout, subtitle, _MARGIN_MM, 13, width, 9)
    for number, panel in enumerate(panels):
        _add_panel(layout, panel, _MARGIN_MM + number * (_MAP_MM + _GAP_MM), _HEAD_MM, with_scale=number == 0)
    manager.addLayout(layout)
    return layout


def export_png(layout: QgsPrintLayout, path: Union[str, Path], resolution_dpi: int = 150) -> None:
    """Write the page as a picture. DataError where it cannot be written."""
    settings = QgsLayoutExporter.ImageExportSettings()
    settings.dpi = resolution_dpi
    result = QgsLayoutExporter(layout).exportToImage(str(path), settings)
    if result != QgsLayoutExporter.ExportResult.Success:
        raise DataError("The page could not be written", got=str(path), remedy="Check the folder and the rights on it")


def _map_height(panel: Panel) -> float:
    extent = panel.layers[0].extent()
    return max(45.0, min(120.0, _MAP_MM * extent.height() / extent.width()))


def _add_panel(layout: QgsPrintLayout, panel: Panel, x: float, y: float, with_scale: bool) -> None:
    _label(layout, panel.heading, x, y, _MAP_MM, 11, bold=True)
    height = _map_height(panel)
    view = QgsLayoutItemMap(layout)
    layout.addLayoutItem(view)
    view.attemptMove(QgsLayoutPoint(x, y + 8, _MM))
    view.attemptResize(QgsLayoutSize(_MAP_MM, height, _MM))
    view.setCrs(panel.layers[0].crs())
    view.setLayers([*panel.over, *panel.layers])
    view.setKeepLayerSet(True)
    view.setBackgroundColor(_BACKGROUND)
    view.setExtent(_framed(panel.layers[0].extent(), _MAP_MM / height))
    _legend(layout, view, panel.layers[0], x, y + 9 + height)
    if panel.note:
        _label(layout, panel.note, x + 1, y + 9 + height + _LEGEND_MM - 8, _MAP_MM, 8)
    if with_scale:
        _scale_bar(layout, view, x + 2, y + 8 + height - 11)


def _framed(extent: QgsRectangle, ratio: float) -> QgsRectangle:
    """``extent`` with a margin, in the proportion width / height of its frame, else the item would change its size."""
    frame = QgsRectangle(extent)
    frame.scale(1.06)
    width, height = max(frame.width(), frame.height() * ratio), max(frame.height(), frame.width() / ratio)
    centre = frame.center()
    return QgsRectangle(
        centre.x() - width / 2, centre.y() - height / 2, centre.x() + width / 2, centre.y() + height / 2
    )


def _legend(layout: QgsPrintLayout, view: QgsLayoutItemMap, layer: QgsRasterLayer, x: float, y: float) -> None:
    legend = QgsLayoutItemLegend(layout)
    layout.addLayoutItem(legend)
    tree = QgsLayerTree()
    tree.addLayer(layer)
    legend.setAutoUpdateModel(False)
    legend.model().setRootGroup(tree)
    layout.freshet_trees = [*getattr(layout, "freshet_trees", []), tree]  # the legend does not own it
    legend.setLinkedMap(view)
    legend.setBackgroundEnabled(False)
    legend.setSymbolWidth(9)
    legend.setSymbolHeight(20)
    for part, size in ((QgsLegendStyle.Style.Subgroup, 8), (QgsLegendStyle.Style.SymbolLabel, 7.5)):
        font = QFont("DejaVu Sans")
        font.setPointSizeF(size)
        legend.setStyleFont(part, font)
    legend.attemptMove(QgsLayoutPoint(x - 1, y, _MM))
    legend.adjustBoxSize()


def _scale_bar(layout: QgsPrintLayout, view: QgsLayoutItemMap, x: float, y: float) -> None:
    bar = QgsLayoutItemScaleBar(layout)
    layout.addLayoutItem(bar)
    bar.setStyle("Line Ticks Up")
    bar.setLinkedMap(view)
    bar.applyDefaultSize()
    bar.setNumberOfSegmentsLeft(0)
    bar.setNumberOfSegments(1)
    _round_length(bar, view)
    font = QFont("DejaVu Sans")
    font.setPointSizeF(7)
    text = bar.textFormat()
    text.setFont(font)
    text.setSize(7)
    bar.setTextFormat(text)
    bar.attemptMove(QgsLayoutPoint(x, y, _MM))


def _round_length(bar: QgsLayoutItemScaleBar, view: QgsLayoutItemMap) -> None:
    """A third of the map's width at most, rounded down to 1, 2 or 5 times a power of ten; kilometres from 1 km on."""
    width = view.mapUnitsToLayoutUnits()
    if width <= 0 or view.crs().mapUnits() != QgsUnitTypes.DistanceUnit.DistanceMeters:
        return
    longest = _MAP_MM / 3 / width
    power = 10.0 ** math.floor(math.log10(longest))
    length = max(power * factor for factor in (1, 2, 5) if power * factor <= longest)
    kilometres = length >= 1000
    bar.setUnits(
        QgsUnitTypes.DistanceUnit.DistanceKilometers if kilometres else QgsUnitTypes.DistanceUnit.DistanceMeters
    )
    bar.setUnitLabel("km" if kilometres else "m")
    bar.setUnitsPerSegment(length / 1000 if kilometres else length)
    bar.update()


def _label(
    layout: QgsPrintLayout, text: str, x: float, y: float, width: float, points: float, bold: bool = False
) -> None:
    label = QgsLayoutItemLabel(layout)
    layout.addLayoutItem(label)
    font = QFont("DejaVu Sans")
    font.setPointSizeF(points)
    font.setBold(bold)
    label.setFont(font)
    label.setText(text)
    label.setHAlign(Qt.AlignmentFlag.AlignLeft)
    label.attemptMove(QgsLayoutPoint(x, y, _MM))
    label.attemptResize(QgsLayoutSize(width, max(6.0, points * 0.75), _MM))
