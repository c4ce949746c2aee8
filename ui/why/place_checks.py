"""Whether a place lies where the dataset has a prediction; told at the pick, before anything is computed."""

from __future__ import annotations

from qgis.core import QgsGeometry

from ...core.contracts import ConfigError, DataError
from ...plugin.dataset_values import inside_basin
from ..text import tr
from .context import WhyContext


def check_cell(context: WhyContext, x: float, y: float) -> None:
    """Raise the :class:`FreshetError` family where no cell of the dataset, or none of its basin, is at ``x``, ``y`` of
    its CRS.
    """
    summary, grid = context.asked().summary, context.grid()
    if grid is None:
        return
    grid.cell_at(x, y)
    if inside_basin(summary.path, x, y, summary.sequence) is False:
        raise DataError(
            tr("The point lies outside the basin"),
            expected=tr("a cell inside the basin mask of the dataset"),
            got=f"x {x:.10g}, y {y:.10g}",
            remedy=tr("Pick a cell that has a prediction"),
        )


def checked_polygon(context: WhyContext, polygon: str) -> str:
    """The same WKT; raises the :class:`FreshetError` family where there is none, or it lies beside the dataset."""
    if not polygon:
        raise ConfigError(
            tr("No polygon is chosen"), remedy=tr("Draw one on the map, or take the selection of a polygon layer")
        )
    grid = context.grid()
    if grid is not None:
        west, south, east, north = grid.extent
        box = QgsGeometry.fromWkt(polygon).boundingBox()
        if box.xMaximum() < west or box.xMinimum() > east or box.yMaximum() < south or box.yMinimum() > north:
            raise DataError(
                tr("The polygon lies outside the dataset, so it holds no cell"),
                expected=f"x {west:.10g} .. {east:.10g}, y {south:.10g} .. {north:.10g}",
                remedy=tr("Draw it inside the maps of the dataset"),
            )
    return polygon
