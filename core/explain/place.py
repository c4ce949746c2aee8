"""The place that is asked about: a cell, a gauge, or the mean over a polygon or the basin, as weights on the grid."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from ..contracts.errors import ConfigError, DataError
from ..contracts.grid import Grid
from ..data.variable_info import Gauges

_WKT = re.compile(
    r"^\s*(?:SRID=\d+;)?\s*(MULTIPOLYGON|POLYGON)\s*(?:ZM|Z|M)?\s*(\(.*\))\s*$", re.IGNORECASE | re.DOTALL
)
_POINT = re.compile(r"[^(),]+")


@dataclass(frozen=True)
class Place:
    """``weights`` float64 (H, W): the share of each cell in the mean, 0 elsewhere, 1 in all. ``words`` name the place
    in a sentence, ``facts`` are plain JSON values. Of a model of gauges ``series`` (G,) has the shares of its gauges,
    and ``weights`` only mark their cells.
    """

    weights: np.ndarray
    words: str
    facts: dict[str, Any]
    series: Optional[np.ndarray] = None

    @property
    def frame(self) -> np.ndarray:
        """The weights on the frame of the prediction: (H, W), or (1, G)."""
        return self.weights if self.series is None else self.series[None]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """First row, one past the last row, first column, one past the last column of the cells with a weight."""
        rows, columns = np.nonzero(self.weights)
        return int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1


def place_of_cell(grid: Grid, mask: np.ndarray, x: float, y: float) -> Place:
    """The cell that holds the point, in the CRS of the grid. ``mask`` bool (H, W) is the basin.

    Raises :class:`DataError` outside the grid or the basin.
    """
    row, column = grid.cell_at(x, y)
    if not mask[row, column]:
        raise DataError(
            "The point lies outside the basin",
            expected="a cell inside the basin mask of the dataset",
            got=f"x {x:.10g}, y {y:.10g} (row {row}, column {column})",
            remedy="Pick a cell that has a prediction",
        )
    weights = np.zeros(grid.shape)
    weights[row, column] = 1.0
    facts = {"kind": "cell", "x": x, "y": y, "row": row, "column": column, "cells": 1}
    return Place(weights, f"the cell at x {x:.8g}, y {y:.8g}", facts)


def place_of_polygon(grid: Grid, mask: np.ndarray, wkt: str) -> Place:
    """The cells of the basin whose centre lies in the polygon, each with the same weight.

    ``wkt`` is POLYGON or MULTIPOLYGON in the CRS of the grid; holes are left out, heights are ignored. Raises
    :class:`ConfigError` where the text is no polygon and :class:`DataError` where it holds no cell of the basin.
    """
    inside = cells_inside(grid, parse_polygons(wkt))
    count = int((inside & mask).sum())
    if count == 0:
        west, south, east, north = grid.extent
        outside = inside.any()
        raise DataError(
            "The polygon holds cells outside the basin only" if outside else "The polygon holds the centre of no cell",
            expected="a polygon around at least one cell of the basin, "
            f"within x {west:.10g} to {east:.10g}, y {south:.10g} to {north:.10g}",
            remedy="Draw a larger polygon, or check that it is in the CRS of the dataset",
        )
    words = f"the mean of {count} cells" if count > 1 else "the one cell of the polygon"
    return Place((inside & mask) / count, words, {"kind": "polygon", "wkt": wkt.strip(), "cells": count})


def place_of_basin(mask: np.ndarray) -> Place:
    """The mean over all cells of the basin."""
    count = int(mask.sum())
    return Place(mask / max(count, 1), f"the mean of the basin ({count} cells)", {"kind": "basin", "cells": count})


def place_of_gauge(grid: Grid, mask: np.ndarray, gauges: Optional[Gauges], name: str) -> Place:
    """The cell in which a gauge of the dataset lies, for a model of maps.

    Raises :class:`DataError` where there is no such gauge, its place is unknown, or it lies outside the basin.
    """
    ids = list(gauges.ids) if gauges is not None else []
    if name not in ids:
        raise _no_gauge("The dataset", name, ids)
    row, column = int(gauges.rows[ids.index(name)]), int(gauges.columns[ids.index(name)])
    if row < 0 or not mask[row, column]:
        raise DataError(
            f"The gauge '{name}' lies in no cell of the basin",
            expected="a gauge whose place is known and lies inside the basin mask of the dataset",
            got="a place that is unknown or outside the grid" if row < 0 else f"row {row}, column {column}",
            remedy="Choose another gauge, or pick a cell on the map",
        )
    weights = np.zeros(grid.shape)
    weights[row, column] = 1.0
    facts = {"kind": "gauge", "gauge": name, "row": row, "column": column, "cells": 1}
    return Place(weights, f"the cell of gauge {name}", facts)


def place_of_series(grid: Grid, ids: "tuple[str, ...]", cells: "list[tuple[int, int]]", name: str) -> Place:
    """A gauge that the model predicts, or with an empty ``name`` the mean of all of them. ``cells`` hold the row and
    column of each gauge, negative where it is unknown. Raises :class:`DataError` where there is no such gauge.
    """
    if name and name not in ids:
        raise _no_gauge("The model", name, list(ids))
    chosen = [ids.index(name)] if name else list(range(len(ids)))
    series, weights = np.zeros(len(ids)), np.zeros(grid.shape)
    series[chosen] = 1.0 / len(chosen)
    for row, column in (cells[gauge] for gauge in chosen):
        if row >= 0:
            weights[row, column] += 1.0 / len(chosen)
    if name:
        row, column = cells[chosen[0]]
        facts: dict[str, Any] = {"kind": "gauge", "gauge": name}
        facts.update({"row": row, "column": column} if row >= 0 else {})
        return Place(weights, f"gauge {name}", facts, series)
    return Place(weights, f"the mean of {len(ids)} gauges", {"kind": "basin", "gauges": len(ids)}, series)


def parse_polygons(wkt: str) -> list[list[list[tuple[float, float]]]]:
    """Polygons as lists of closed rings of (x, y), the outer ring first. Raises :class:`ConfigError`."""
    match = _WKT.match(wkt)
    if match is None:
        raise _no_polygon(wkt)
    try:
        nested = json.loads(_POINT.sub(_as_list, match.group(2)).replace("(", "[").replace(")", "]"))
        polygons = nested if match.group(1).upper() == "MULTIPOLYGON" else [nested]
        if not all(polygons):
            raise ValueError("a polygon has no ring")
        return [[_ring(ring) for ring in polygon] for polygon in polygons]
    except (ValueError, TypeError, IndexError) as error:
        raise _no_polygon(wkt) from error


def _as_list(match: re.Match) -> str:
    """'4.0 3.1' as '[4.0,3.1]'; white space between brackets is dropped."""
    numbers = match.group().split()
    return f"[{','.join(repr(float(number)) for number in numbers)}]" if numbers else ""


def _ring(points: list[list[float]]) -> list[tuple[float, float]]:
    ring = [(float(point[0]), float(point[1])) for point in points]
    if not all(math.isfinite(value) for point in ring for value in point):
        raise ValueError("a coordinate is not finite")
    if ring[0] != ring[-1]:
        ring.append(ring[0])
    if len(ring) < 4:
        raise ValueError("a ring needs three corners")
    return ring


def cells_inside(grid: Grid, polygons: list[list[list[tuple[float, float]]]]) -> np.ndarray:
    """bool (H, W): the centre of the cell lies in one of the polygons."""
    from rasterio.features import rasterize
    from rasterio.transform import Affine

    shapes = [({"type": "Polygon", "coordinates": rings}, 1) for rings in polygons]
    burnt = rasterize(shapes, out_shape=grid.shape, transform=Affine(*grid.transform), fill=0, dtype="uint8")
    return burnt == 1


def _no_polygon(wkt: str) -> ConfigError:
    text = " ".join(wkt.split())
    return ConfigError(
        "The polygon cannot be read",
        expected="WKT such as POLYGON ((0 0, 4 0, 4 3, 0 0)), or MULTIPOLYGON, in the CRS of the dataset",
        got=repr(text if len(text) <= 60 else text[:57] + "..."),
        remedy="Draw the polygon again, or correct the text",
    )


def _no_gauge(what: str, name: str, ids: list[str]) -> DataError:
    listed = ", ".join(ids[:20]) + (f" and {len(ids) - 20} more" if len(ids) > 20 else "")
    return DataError(
        f"{what} has no gauge '{name}'",
        expected=listed or "a dataset with gauges; this one has none",
        remedy="Choose one of these" if ids else "Pick a cell or draw a polygon",
    )
