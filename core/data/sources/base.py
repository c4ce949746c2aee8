"""What every source looks like to the rest: maps with dates, on one north-up grid, float32, NaN where missing."""

from __future__ import annotations

import abc
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Optional

import numpy as np

from ...contracts.dataset_job import SourceConfig
from ...contracts.dates import format_date, parse_date
from ...contracts.errors import DataError
from ...contracts.grid import Grid
from ...contracts.steps import advance, months_of
from .calendars import lacking_days
from .stamps import Stamps, missing_between, put_in_order

FILL_LIMIT = 1e20

# The HDF5 library under netCDF4 is not thread-safe: whoever reads or writes NetCDF through it holds this lock.
NETCDF_LOCK = threading.RLock()


class UnreadableError(DataError):
    """A file that is broken or cannot be opened; with ``config.unreadable`` "gap" its maps are missing instead."""

    def to_dict(self) -> dict[str, str]:
        """As a :class:`DataError`, which is what others know."""
        return {**super().to_dict(), "kind": DataError.__name__}


@dataclass(frozen=True)
class Window:
    """Rows ``row .. row + rows - 1`` and columns alike of a north-up grid."""

    row: int
    column: int
    rows: int
    columns: int


class Source(abc.ABC):
    """One open variable of a job, rebuilt anywhere from its configuration. A context manager.

    Attributes
    ----------
    config : SourceConfig
    kind : str
        "folder", "raster", "netcdf", "zarr", "grib", "pcraster" or "table".
    grid : Grid or None
        North-up grid of the maps that :meth:`read` gives; None for a source of points.
    times : ndarray of datetime64[s], (N,)
        Start of each map's step, strictly rising, as dates of the standard calendar; empty for a static map.
    step_seconds : float
        Usual distance of the maps, multiples of ``steps.MONTH`` for calendar months; 0 for a static map.
    calendar : str
        CF name of the calendar as found; "standard" for everything that is dated as people date.
    units : str
        The source's own unit, empty where it does not say.
    notes, warnings : list of str
        Guesses and repairs made while opening, and doubts, as sentences.
    lacking : ndarray of datetime64[s]
        Steps within the record that the source's calendar does not have, such as 29 February; not in ``times``.
    doubled : ndarray of datetime64[s]
        Dates that occurred more than once.
    missing_count, missing : int, ndarray of datetime64[s]
        How many steps within the record have no map, and the first thousand of them; ``lacking`` ones do not count.
    """

    kind = ""

    def __init__(self, config: SourceConfig) -> None:
        self.config = config
        self.name = config.variable
        self.grid: Optional[Grid] = None
        self.times = np.empty(0, dtype="datetime64[s]")
        self.lacking = np.empty(0, dtype="datetime64[s]")
        self.doubled = np.empty(0, dtype="datetime64[s]")
        self.missing = np.empty(0, dtype="datetime64[s]")
        self.missing_count = 0
        self.step_seconds = 0.0
        self.calendar = "standard"
        self.units = ""
        self.notes: list[str] = []
        self.warnings: list[str] = []

    @property
    def static(self) -> bool:
        """Whether the source is used as a static map."""
        return self.config.role == "static"

    @abc.abstractmethod
    def read(self, start: int, stop: int, window: Optional[Window] = None) -> np.ndarray:
        """Maps ``start`` to ``stop`` (exclusive) in the order of ``times``: float32 (n, rows, columns) of ``grid`` or
        of ``window`` in it, NaN where missing. May be called from several threads at once.
        """

    @abc.abstractmethod
    def files(self) -> list[str]:
        """Every file that is read, for the provenance."""

    def verify(self) -> Iterator[int]:
        """Look at every file before anything is computed; yields how many are done. Raises :class:`DataError` that
        names the file. With ``config.unreadable`` "gap" a file that cannot be read becomes a warning that names file
        and date; its map reads as missing everywhere.
        """
        return iter(())

    def close(self) -> None:
        """Close what is open. Folders open nothing for long."""
        return

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class MapSource(Source):
    """A source of maps. A subclass sets ``grid``, hands its dates to :meth:`_set_times` and reads in
    :meth:`_read_maps`, by the numbers under which it found them.
    """

    def __init__(self, config: SourceConfig) -> None:
        super().__init__(config)
        self._stamps: Optional[Stamps] = None
        self._found = self.times
        self._told: set[str] = set()

    def read(self, start: int, stop: int, window: Optional[Window] = None) -> np.ndarray:
        """See :class:`Source`. Where a date is doubled and ``config.duplicates`` is "mean", its maps are averaged."""
        window = window or whole(self.grid)
        if self._stamps is None:
            return self._read_maps(np.zeros(1, dtype=np.int64), window)
        chosen, first = self._stamps.chosen(start, stop)
        if not len(chosen):
            return np.empty((0, window.rows, window.columns), dtype=np.float32)
        maps = self._read_maps(chosen, window)
        return maps if len(chosen) == stop - start else _means(maps, first)

    @abc.abstractmethod
    def _read_maps(self, numbers: np.ndarray, window: Window) -> np.ndarray:
        """The maps with these numbers (n > 0, any order): a new float32 array (n, window.rows, window.columns)."""

    def _set_times(self, times: np.ndarray, labels: list[str], precision_seconds: float = 0.0) -> None:
        """Take over the dates of maps 0 .. n-1. ``labels`` name where each comes from, for errors;
        ``precision_seconds`` is how far the file's number type lets a date be off.
        """
        stamps = put_in_order(times, labels, self.config, precision_seconds)
        self._stamps, self._found = stamps, times
        self.times, self.step_seconds = stamps.times, stamps.step_seconds
        self.doubled = stamps.doubled
        self.notes += stamps.notes
        self.lacking = lacking_days(self.calendar, self.times, self.step_seconds)
        self.missing_count, self.missing = missing_between(self.times, self.step_seconds, self.lacking)

    def _tell_gap(self, place: str, number: int, error: UnreadableError) -> None:
        """Warn, once for each ``place`` (a file, or a band of it), that map ``number`` is not read as a whole."""
        if place not in self._told:
            self._told.add(place)
            date = f" of {say_date(self._found[number])}" if len(self._found) else ""
            self.warnings.append(
                f"'{self.name}': {place}{date} cannot be read ({error.got}); what cannot be read of it is a gap."
            )

    def _tell_huge(self, place: str) -> None:
        """Warn, once, of fills that are not declared; ``place`` is where some were met."""
        if "huge" not in self._told:
            self._told.add("huge")
            self.warnings.append(
                f"'{self.name}': values of 1e20 and above are taken as missing; they are not declared ({place} holds "
                "some)."
            )


def whole(grid: Grid) -> Window:
    """The window that holds the whole grid."""
    return Window(0, 0, grid.rows, grid.columns)


def window_of(grid: Grid, extent: tuple[float, float, float, float], margin: int = 4) -> Window:
    """Cells of ``grid`` within ``extent`` (west, south, east, north in its CRS) and ``margin`` cells around it, clipped
    to the grid. Raises ValueError where the extent lies outside.
    """
    west, south, east, north = extent
    first_column = max(0, int(np.floor((west - grid.west) / grid.cell_x)) - margin)
    last_column = min(grid.columns, int(np.ceil((east - grid.west) / grid.cell_x)) + margin)
    first_row = max(0, int(np.floor((grid.north - north) / grid.cell_y)) - margin)
    last_row = min(grid.rows, int(np.ceil((grid.north - south) / grid.cell_y)) + margin)
    if last_column <= first_column or last_row <= first_row:
        raise ValueError("the extent lies outside the source")
    return Window(first_row, first_column, last_row - first_row, last_column - first_column)


def subgrid(grid: Grid, window: Window) -> Grid:
    """The grid of the window alone."""
    return Grid(
        grid.crs,
        grid.west + window.column * grid.cell_x,
        grid.north - window.row * grid.cell_y,
        grid.cell_x,
        grid.cell_y,
        window.columns,
        window.rows,
    )


def say_date(moment: np.datetime64) -> str:
    """A date as a person reads it."""
    return format_date(moment.astype("datetime64[s]").astype(datetime))


def mark_missing(values: np.ndarray, nodata: Optional[float]) -> bool:
    """Set infinity, fills of 1e20 and above and ``nodata`` to NaN, in place; ``values`` is float32. True where there
    were such fills and ``nodata`` is none.
    """
    missing = np.abs(values) >= FILL_LIMIT
    huge = bool(missing.any())
    if nodata is not None and abs(nodata) < FILL_LIMIT:
        missing |= values == np.float32(nodata)
    np.copyto(values, np.float32(np.nan), where=missing)
    return huge and (nodata is None or abs(nodata) < FILL_LIMIT)


def counted_times(config: SourceConfig, count: int) -> Optional[np.ndarray]:
    """Dates from the job's first date and step, for a source without dates of its own; None where the job does not
    give both.
    """
    if not config.start or config.step_hours is None:
        return None
    begin = parse_date(config.start, f"'{config.variable}': the first date")
    if months_of(config.step_hours * 3600.0):
        dates = [advance(begin, number, config.step_hours * 3600.0) for number in range(count)]
        return np.array(dates, dtype="datetime64[s]")
    start = np.datetime64(begin, "s")
    return start + np.round(np.arange(count) * config.step_hours * 3600.0).astype("timedelta64[s]")


def no_crs(name: str, path: str) -> DataError:
    """The error for a source that does not say where it lies."""
    return DataError(
        f"'{name}' has no coordinate reference system",
        expected="a source that says in which CRS its coordinates are",
        got=path,
        remedy="Assign one to this source, or to the file itself (in QGIS: Raster, Projections, Assign Projection)",
    )


def _means(maps: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Mean of maps first[i] .. first[i + 1] - 1, over those that are present."""
    present = np.isfinite(maps)
    count = np.add.reduceat(present, first[:-1], axis=0, dtype=np.int64)
    total = np.add.reduceat(np.where(present, maps, 0.0), first[:-1], axis=0, dtype=np.float64)
    out = np.full(total.shape, np.nan, dtype=np.float32)
    np.divide(total, count, out=out, where=count > 0, casting="same_kind")
    return out
