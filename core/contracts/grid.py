"""A north-up raster grid: CRS, cell size, extent."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import DataError


@dataclass(frozen=True)
class Grid:
    """A regular north-up grid.

    ``crs`` is WKT or an authority code; ``west`` and ``north`` are the outer corner of the first cell in CRS units;
    ``cell_x`` and ``cell_y`` are positive sizes; row 0 lies in the north.
    """

    crs: str
    west: float
    north: float
    cell_x: float
    cell_y: float
    columns: int
    rows: int

    def __post_init__(self) -> None:
        if not self.crs:
            raise DataError(
                "The grid has no coordinate reference system", remedy="Choose a CRS for it, for example EPSG:3035"
            )
        if not (self.cell_x > 0 and self.cell_y > 0 and self.columns > 0 and self.rows > 0):
            raise DataError(
                "The grid is empty",
                expected="a positive cell size and at least one row and column",
                got=f"{self.columns} x {self.rows} cells of {self.cell_x:g} x {self.cell_y:g}",
                remedy="Check the extent (west < east, south < north) and the resolution",
            )

    @classmethod
    def from_extent(cls, crs: str, extent: tuple[float, float, float, float], cell_x: float, cell_y: float) -> Grid:
        """Grid of whole cells that covers ``extent`` = (west, south, east, north), anchored in the north-west."""
        west, south, east, north = extent
        if not (east > west and north > south):
            raise DataError(
                "The extent is empty",
                expected="west < east and south < north",
                got=f"west {west:.10g}, south {south:.10g}, east {east:.10g}, north {north:.10g}",
                remedy="Give the extent as west, south, east, north in units of the CRS",
            )
        columns = max(1, math.ceil((east - west) / cell_x - 1e-6))
        rows = max(1, math.ceil((north - south) / cell_y - 1e-6))
        return cls(crs, west, north, cell_x, cell_y, columns, rows)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.rows, self.columns

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) of the outer edges."""
        return self.west, self.north - self.rows * self.cell_y, self.west + self.columns * self.cell_x, self.north

    @property
    def transform(self) -> tuple[float, float, float, float, float, float]:
        """Coefficients a, b, c, d, e, f of the affine transform from (column, row) to (x, y)."""
        return self.cell_x, 0.0, self.west, 0.0, -self.cell_y, self.north

    def cell_at(self, x: float, y: float) -> tuple[int, int]:
        """(row, column) of the cell that holds the point; raises :class:`DataError` outside the grid."""
        column = math.floor((x - self.west) / self.cell_x)
        row = math.floor((self.north - y) / self.cell_y)
        if not (0 <= row < self.rows and 0 <= column < self.columns):
            west, south, east, north = self.extent
            raise DataError(
                "The point lies outside the grid",
                expected=f"x from {west:.10g} to {east:.10g}, y from {south:.10g} to {north:.10g}",
                got=f"x {x:.10g}, y {y:.10g}",
                remedy="Pick a point inside the maps of the dataset",
            )
        return row, column

    def centres(self) -> tuple[list[float], list[float]]:
        """x of the columns from west to east, y of the rows from north to south."""
        xs = [self.west + (i + 0.5) * self.cell_x for i in range(self.columns)]
        ys = [self.north - (j + 0.5) * self.cell_y for j in range(self.rows)]
        return xs, ys
