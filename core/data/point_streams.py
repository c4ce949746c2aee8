"""Tables of gauges on their way into a dataset: onto the grid, or as series that stay at their gauges."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Optional

import numpy as np

from ..contracts.grid import Grid
from ..contracts.variables import Quantity, quantity
from .clock import Clock
from .gridding import IN_CELLS, gridder_for, placing_doubts
from .parts import Block
from .sources import Source
from .streams import Stream
from .variable_info import Gauges, VariableInfo

_CELL_BYTES = 900.0  # the neighbours of a cell and its weights, as the gridder holds them
VARIANCE_SUFFIX = "_variance"


class PointStream(Stream):
    """A table of gauges, gridded; with ``variance`` the kriging variance of it, in squared units."""

    def __init__(self, source: Source, grid: Grid, clock: Optional[Clock], variance: bool = False) -> None:
        self.variance = variance
        super().__init__(source, grid, clock)
        if variance:
            self.name += VARIANCE_SUFFIX

    @property
    def info(self) -> VariableInfo:
        """See :class:`Stream`."""
        info = super().info
        if not self.variance:
            return info
        units = "-" if info.units == "-" else f"({info.units})2"
        return dataclasses.replace(
            info, name=self.name, role="input", quantity="other", units=units, label=f"{info.label}, kriging variance"
        )

    @property
    def judged(self) -> Quantity:
        """See :class:`Stream`."""
        return quantity("other") if self.variance else self.quantity

    def values(self, block: Block, read_bytes: int) -> np.ndarray:
        """See :class:`Stream`."""
        points = self.series(block.start, block.stop)
        grid = self.gridder.variance if self.variance else self.gridder
        return grid(points, (block.first, block.last))

    def series(self, start: int = 0, stop: Optional[int] = None) -> np.ndarray:
        """Values at the gauges on the clock, in the dataset's unit: float32 (t, G), NaN missing."""
        return series_of(self, start, self.shape[0] if stop is None else stop)

    def row_bytes(self, rows: int) -> int:
        """See :class:`Stream`."""
        return int(rows * self.grid.columns * _CELL_BYTES)

    def map_bytes(self, rows: int) -> int:
        """See :class:`Stream`."""
        return 0

    def _plan_place(self) -> None:
        self.gridder, notes, warnings = gridder_for(self.source, self.grid)
        self.resampling = {
            "idw": "inverse distance",
            "everywhere": "one value everywhere",
            "cell": IN_CELLS,
        }.get(self.gridder.method, self.gridder.method)
        if not self.variance:
            self.notes += notes
            self.warnings += warnings


class SeriesStream(Stream):
    """A table of gauges whose series stay as they are: (T, G)."""

    @property
    def info(self) -> VariableInfo:
        """See :class:`Stream`."""
        return dataclasses.replace(super().info, gauges=True)

    def series(self) -> np.ndarray:
        """Values on the clock, in the dataset's unit: float32 (T, G), NaN missing."""
        return series_of(self, 0, self.shape[0])

    def _plan_place(self) -> None:
        self.warnings += placing_doubts(self.source.stations, self.grid, self.name)


def series_of(stream: Stream, start: int, stop: int) -> np.ndarray:
    """Steps of a table on the clock of its stream: float32 (t, G)."""
    source, conversion = stream.source, stream.conversion

    def read(first: int, last: int) -> np.ndarray:
        return conversion.before(source.read_points(first, last), first)

    if stream.alignment is None:
        return conversion.after(read(0, 1))
    out = np.full((stop - start, len(source.stations)), np.nan, dtype=np.float32)
    for first, last in stream.alignment.batches(start, stop, 2**30):
        points = stream.alignment.gathered(first, last, 2**30, stream.aggregation, read)
        out[first - start : last - start] = conversion.after(points)
    return out


def common_gauges(streams: Sequence[SeriesStream], grid: Grid) -> tuple[Optional[Gauges], dict[str, np.ndarray]]:
    """The gauges of all series together, and where in them each variable's own ones are: int (G,) by variable."""
    ids: list[str] = []
    x: list[float] = []
    y: list[float] = []
    places: dict[str, np.ndarray] = {}
    for stream in streams:
        stations = stream.source.stations
        xs, ys = stations.places_in(grid.crs)
        for name, east, north in zip(stations.ids, xs, ys):
            if name not in ids:
                ids.append(name)
                x.append(east)
                y.append(north)
            elif not np.isfinite(x[ids.index(name)]):
                x[ids.index(name)], y[ids.index(name)] = east, north
        places[stream.name] = np.array([ids.index(name) for name in stations.ids])
    return (Gauges.on(grid, ids, np.array(x), np.array(y)) if ids else None), places
