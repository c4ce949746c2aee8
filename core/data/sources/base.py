"""What every source looks like to the rest: maps with dates, on one north-up grid, float32, NaN where missing."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Optional

import numpy as np

from ...contracts.config import Config
from ...contracts.dataset_job import SourceConfig
from ...contracts.dates import format_date
from ...contracts.errors import DataError
from ...contracts.grid import Grid

FILL_LIMIT = 1e20
SUPPORTED_CALENDARS = ("standard",)


@dataclass(frozen=True)
class Window:
    """Rows ``row .. row + rows - 1`` and columns alike of a north-up grid."""

    row: int
    column: int
    rows: int
    columns: int


class Source(abc.ABC):
    """One open variable of a job. A context manager.

    Attributes
    ----------
    config : SourceConfig
    kind : str
        "folder", "raster" or "netcdf".
    grid : Grid
        North-up grid of the maps that :meth:`read` gives; :meth:`crop` narrows it.
    times : ndarray of datetime64[s], (N,)
        Start of each map's step, strictly rising; empty for a static map or an unsupported calendar.
    step_seconds : float
        Usual distance of the maps; 0 for a static map.
    calendar : str
        CF name; "standard" for everything that is dated as people date.
    units : str
        The source's own unit, empty where it does not say.
    notes : list of str
        Guesses and repairs made while opening, as sentences.
    """

    kind = ""

    def __init__(self, config: SourceConfig) -> None:
        self.config = config
        self.name = config.variable
        self.grid: Grid
        self.full_grid: Grid
        self.times = np.empty(0, dtype="datetime64[s]")
        self.step_seconds = 0.0
        self.calendar = "standard"
        self.units = ""
        self.notes: list[str] = []
        self.window: Optional[Window] = None

    @property
    def static(self) -> bool:
        """Whether the source is used as a static map."""
        return self.config.role == "static"

    @abc.abstractmethod
    def read(self, start: int, stop: int) -> np.ndarray:
        """Maps ``start`` to ``stop`` (exclusive) in the order of ``times``: float32 (n, rows, columns) of ``grid``,
        NaN where missing.
        """

    def verify(self) -> Iterator[int]:
        """Look at every file before anything is computed; yields how many are done. Raises :class:`DataError` that
        names the file.
        """
        return iter(())

    def crop(self, extent: tuple[float, float, float, float], margin: int = 4) -> None:
        """Read only the cells within ``extent`` (west, south, east, north in the CRS of ``grid``) and ``margin``
        cells around it.

        Call once. Raises ValueError where the extent lies outside.
        """
        grid = self.full_grid
        west, south, east, north = extent
        first_column = max(0, int(np.floor((west - grid.west) / grid.cell_x)) - margin)
        last_column = min(grid.columns, int(np.ceil((east - grid.west) / grid.cell_x)) + margin)
        first_row = max(0, int(np.floor((grid.north - north) / grid.cell_y)) - margin)
        last_row = min(grid.rows, int(np.ceil((grid.north - south) / grid.cell_y)) + margin)
        if last_column <= first_column or last_row <= first_row:
            raise ValueError("the extent lies outside the source")
        self.window = Window(first_row, first_column, last_row - first_row, last_column - first_column)
        self.grid = Grid(
            grid.crs,
            grid.west + first_column * grid.cell_x,
            grid.north - first_row * grid.cell_y,
            grid.cell_x,
            grid.cell_y,
            self.window.columns,
            self.window.rows,
        )

    def close(self) -> None:
        """Close what is open. Folders open nothing for long."""
        return

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _set_grid(self, grid: Grid) -> None:
        self.full_grid = self.grid = grid
        self.window = Window(0, 0, grid.rows, grid.columns)

    def _set_times(self, times: np.ndarray, labels: list[str]) -> np.ndarray:
        """Take dates over, sorted; gives the order. ``labels`` name where each date comes from, for errors."""
        order = np.argsort(times, kind="stable")
        times = np.asarray(times)[order].astype("datetime64[s]")
        twice = np.flatnonzero(np.diff(times.astype(np.int64)) == 0)
        if len(twice):
            first, second = labels[order[twice[0]]], labels[order[twice[0] + 1]]
            raise DataError(
                f"'{self.name}': the date {say_date(times[twice[0]])} occurs twice",
                expected="one map a date",
                got=f"{first} and {second}",
                remedy="Remove one of the two, or keep each variable in a folder of its own",
            )
        self.times = times
        self.step_seconds = _step(times, self.config)
        return order


def say_date(moment: np.datetime64) -> str:
    """A date as a person reads it."""
    return format_date(moment.astype("datetime64[s]").astype(datetime))


def clean(values: np.ndarray, config: SourceConfig) -> np.ndarray:
    """float32 copy with NaN for NaN, infinity, fills of 1e20 and above, and ``config.nodata``. Declared nodata is the
    reader's part.
    """
    values = np.ma.filled(np.ma.asarray(values).astype(np.float64 if values.dtype.itemsize > 4 else np.float32), np.nan)
    missing = ~(np.abs(values) < FILL_LIMIT)
    if config.nodata is not None:
        missing |= values == values.dtype.type(config.nodata)
    cleaned = values.astype(np.float32)
    cleaned[missing] = np.nan
    return cleaned


def counted_times(config: SourceConfig, count: int) -> Optional[np.ndarray]:
    """Dates from the job's first date and step, for a source without dates of its own; None where the job does not
    give both.
    """
    from ...contracts.dates import parse_date

    if not config.start or config.step_hours is None:
        return None
    start = np.datetime64(parse_date(config.start, f"'{config.variable}': the first date"), "s")
    return start + np.round(np.arange(count) * config.step_hours * 3600.0).astype("timedelta64[s]")


def no_crs(name: str, path: str) -> DataError:
    """The error for a source that does not say where it lies."""
    return DataError(
        f"'{name}' has no coordinate reference system",
        expected="a source that says in which CRS its coordinates are",
        got=path,
        remedy="Assign one to this source, or to the file itself (in QGIS: Raster, Projections, Assign Projection)",
    )


def _step(times: np.ndarray, config: Config) -> float:
    """Step of regular dates with or without gaps; :class:`DataError` for irregular ones or a single date without a
    step.
    """
    name = config.variable
    if len(times) == 1:
        if config.step_hours is None:
            raise DataError(
                f"'{name}' has only one date, {say_date(times[0])}",
                expected="at least two dates, so that the step is known",
                remedy="Choose more maps, or give the step; a map that does not change in time takes the role 'static'",
            )
        return config.step_hours * 3600.0
    seconds = times.astype(np.int64)
    gaps = np.diff(seconds)
    usual, least = int(np.sort(gaps)[len(gaps) // 2]), int(gaps.min())
    if not np.any(gaps % usual):
        return float(usual)
    if not np.any(gaps % least) and np.mean(gaps == least) >= 1 / 3:
        return float(least)
    odd = int(np.flatnonzero(gaps % usual)[0])
    raise DataError(
        f"'{name}': the dates do not follow one regular step",
        expected=f"a multiple of the usual step, {usual / 3600:g} hours, between two dates",
        got=f"{say_date(times[odd])} followed by {say_date(times[odd + 1])}",
        remedy="Use a series with a fixed step in hours or days; months and years are not steps",
    )
