"""How far interpolation is off: gauges left out one by one, maps coarsened and restored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from ..contracts.grid import Grid
from . import sentinels
from .geometry import extent_in
from .interpolation_error import coarsen_restore, leave_one_out
from .point_streams import PointStream
from .sources import subgrid, window_of
from .streams import MapStream, Stream

_STEPS = 8
_SIDE = 256  # cells of the target that are looked at, each way
_SOURCE_SIDE = 512  # cells of the source


@dataclass
class Measured:
    """``rmse`` in the dataset's unit (None where it cannot be measured), a sentence, and all figures."""

    rmse: Optional[float] = None
    sentence: str = ""
    figures: dict[str, Any] = field(default_factory=dict)


def measure(stream: Stream) -> Measured:
    """The error that bringing a variable onto the grid makes; nothing where it was not interpolated."""
    if isinstance(stream, PointStream):
        return Measured() if stream.variance else _gauges(stream)
    if isinstance(stream, MapStream) and not stream.regrid.same:
        return _maps(stream)
    return Measured()


def _gauges(stream: PointStream) -> Measured:
    gridder = stream.gridder
    if len(gridder.places) < 2 or gridder.method == "cell":
        return Measured()
    report = leave_one_out(
        stream.source.stations, stream.series(), gridder.method, stream.grid.crs,
        variogram=gridder.variogram, minimum=gridder.minimum,
    )  # fmt: skip
    sentence = report.sentence(stream.name, stream.conversion.units)
    return Measured(_number(report.score.rmse), sentence, {"left out": report.to_dict()})


def _maps(stream: MapStream) -> Measured:
    source = stream.source
    target = _middle(stream.grid, int(np.clip(_SOURCE_SIDE / max(stream.regrid.ratio, 1e-9), 2, _SIDE)))
    try:
        window = window_of(source.grid, extent_in(target, source.grid.crs), margin=2)
    except (ValueError, OverflowError):
        return Measured()
    if window.rows * window.columns > 8 * _SOURCE_SIDE**2:
        return Measured()
    count = len(source.times)
    steps = np.unique(np.linspace(0, count - 1, _STEPS).round().astype(int)) if count else np.zeros(1, dtype=int)
    maps = np.concatenate([source.read(int(step), int(step) + 1, window) for step in steps])
    maps = sentinels.replace(maps, stream.marks)
    found = coarsen_restore(maps, subgrid(source.grid, window), target, stream.regrid.method)
    if found is None or not found.count:
        return Measured()
    factor = abs(
        float(np.mean(stream.conversion.scales)) if stream.conversion.scales is not None else stream.conversion.scale
    )
    figures = {"resampling": found.to_dict(), "steps": len(steps)}
    unit = "" if stream.conversion.units == "-" else f" {stream.conversion.units}"
    if np.isfinite(found.wrong_share):
        return Measured(None, f"'{stream.name}': resampling changes the class of {found.wrong_share:.1%} of the cells. "
                        f"{found.meaning}", figures)  # fmt: skip
    rmse = found.rmse * factor
    sentence = f"'{stream.name}': resampling is off by {rmse:.3g}{unit} (RMSE in {len(steps)} maps). {found.meaning}"
    return Measured(_number(rmse), sentence, figures)


def _middle(grid: Grid, side: int) -> Grid:
    """At most ``side`` x ``side`` cells in the middle of a grid."""
    rows, columns = min(grid.rows, side), min(grid.columns, side)
    row, column = (grid.rows - rows) // 2, (grid.columns - columns) // 2
    west, north = grid.west + column * grid.cell_x, grid.north - row * grid.cell_y
    return Grid(grid.crs, west, north, grid.cell_x, grid.cell_y, columns, rows)


def _number(value: float) -> Optional[float]:
    return float(value) if np.isfinite(value) else None
