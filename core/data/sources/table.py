"""Tables of gauges: text, sheets and point layers, with a column a station or a row a date and station."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Optional

import numpy as np

from ...contracts.dataset_job import SourceConfig
from ...contracts.dates import format_date
from ...contracts.errors import DataError
from ...contracts.variables import quantity
from ..vectors import parse_layer
from .base import FILL_LIMIT, Source, Window, counted_times
from .calendars import lacking_days
from .paths import SourcePath
from .stamps import missing_between, put_in_order
from .station_files import read_register
from .stations import Register, Stations, placed
from .table_content import LayerTable, open_table, row_word, table_files
from .table_form import find_form, unit_of
from .table_rows import Rows, gather, read_rows

_SENTINELS = (-9999.0, -999.0)
_SHOWN = 5


class TableSource(Source):
    """Series of G gauges from a table. There are no maps: :meth:`read_points` gives the values.

    ``stations`` are the gauges in the order of the values; ``gridding`` says how they come onto the grid ("idw",
    "kriging", "everywhere", "cell" or "gauges"), as the job asks or as its help promises. The whole table is kept in
    memory as float32.

    Raises :class:`DataError` where the table cannot be read, its columns are not clear, a row is broken, dates are
    doubled (and that is refused) or irregular, or the place of a gauge cannot be.
    """

    kind = "table"

    def __init__(self, config: SourceConfig, place: Optional[SourcePath] = None) -> None:
        super().__init__(config)
        self._table = open_table(config.path)
        register = read_register(config) if config.points.stations else None
        if register is not None:
            self.notes += [f"'{self.name}', stations: {note}" for note in register.notes]
        self.notes += [f"'{self.name}': {note}" for note in self._table.notes]
        form = find_form(self._table, config, register, self.notes)
        rows = read_rows(self._table, form, config)
        self.notes += rows.notes
        self.warnings += rows.warnings
        self._blank(rows)
        self._values = self._place_in_time(rows)
        self._find_unit(form.values)
        self.stations = self._find_stations(rows, register, form.long, form.geographic)
        self.gridding = self._gridding()
        if not np.isfinite(self._values).any():
            raise DataError(
                f"'{self.name}': the table has no value at all", got=config.path, remedy="Choose another column"
            )

    def read_points(self, start: int, stop: int) -> np.ndarray:
        """Values of steps ``start`` to ``stop`` (exclusive) in the order of ``times``: float32 (n, G), NaN missing. A
        static table has one step.
        """
        return self._values[start:stop].copy()

    def read(self, start: int, stop: int, window: Optional[Window] = None) -> np.ndarray:
        """A table has no maps: :class:`DataError`."""
        raise DataError(
            f"'{self.name}' is a table of gauges, not a map",
            expected="a raster",
            got=self.config.path,
            remedy="Choose a raster here",
        )

    def files(self) -> list[str]:
        """See :class:`Source`."""
        stations = self.config.points.stations
        return [*table_files(self.config.path), *(table_files(stations) if stations else [])]

    def _blank(self, rows: Rows) -> None:
        """Marks of missing values become NaN: the one named, and -9999 or -999 where the quantity cannot be so low."""
        values = rows.values
        values[~(np.abs(values) < FILL_LIMIT)] = np.nan
        if self.config.nodata is not None:
            values[values == self.config.nodata] = np.nan
        least = quantity(self.config.quantity).minimum
        for sentinel in _SENTINELS:
            hits = values == sentinel
            if hits.any() and (sentinel < least or sentinel == _SENTINELS[0]):
                self.notes.append(f"'{self.name}': {int(hits.sum())} values of {sentinel:g} are taken as missing.")
                values[hits] = np.nan

    def _place_in_time(self, rows: Rows) -> np.ndarray:
        """Values as (T, G) in the order of their dates."""
        if self.static:
            return gather(rows, np.zeros(len(rows.values), dtype=np.int64), 1, self._label, self.config)[0]
        if rows.times is None:
            rows.times = self._counted(rows)
        unique, index = np.unique(rows.times, return_inverse=True)
        if np.any(np.diff(rows.times.astype(np.int64)) < 0) and rows.stations is None:
            self.notes.append(f"'{self.name}': the rows are not in the order of their dates; they are put in order.")
        values, doubled = gather(rows, index.ravel(), len(unique), self._label, self.config)
        first = np.zeros(len(unique), dtype=np.int64)
        first[index.ravel()[::-1]] = rows.lines[::-1]
        word = row_word(self._table)
        stamps = put_in_order(unique, [f"{word} {line}" for line in first], self.config)
        self.times, self.step_seconds = stamps.times, stamps.step_seconds
        self.doubled = unique[doubled]
        self.notes += stamps.notes
        if len(doubled):
            ways = {"first": "the first value is taken", "last": "the last value is taken"}
            way = ways.get(self.config.duplicates, "their values are averaged")
            self.notes.append(f"'{self.name}': {len(doubled)} dates occur more than once; {way}.")
        self.lacking = lacking_days(self.calendar, self.times, self.step_seconds)
        self.missing_count, self.missing = missing_between(self.times, self.step_seconds, self.lacking)
        return values

    def _counted(self, rows: Rows) -> np.ndarray:
        """Dates from the job's first date and step, where each row is a date."""
        times = counted_times(self.config, len(rows.values))
        if times is None or len(rows.ids) > 1 and rows.stations is not None:
            raise DataError(
                f"'{self.name}': no column of the table holds dates",
                expected="dates such as 1993-07-04 or 04.07.1993, or columns called year, month and day",
                got=f"{', '.join(self._table.names[:20])} in {self.config.path}",
                remedy="Name the column of dates, or give the first date and the step",
            )
        self.notes.append(
            f"'{self.name}': the rows have no dates; they are counted from {self.config.start} in steps of "
            f"{self.config.step_hours:g} h."
        )
        return times

    def _label(self, row: int, rows: Rows) -> str:
        """A row as messages name it: its line, date and station."""
        station = f", station {rows.ids[rows.stations[row]]}" if rows.stations is not None and len(rows.ids) > 1 else ""
        date = f" ({_say(rows.times[row])}{station})" if rows.times is not None else station
        return f"{row_word(self._table)} {rows.lines[row]}{date}"

    def _find_unit(self, columns: Sequence[int]) -> None:
        found = {unit_of(self._table, column, self.config) for column in columns} - {""}
        if len(found) == 1:
            self.units = found.pop()
            if not self.config.units:
                self.notes.append(f"'{self.name}': the unit {self.units} is taken from the header of the column.")
        elif found and not self.config.units:
            raise DataError(
                f"'{self.name}': the columns have different units",
                got=", ".join(sorted(found)),
                remedy="Take columns of one unit, or give the unit",
            )

    def _find_stations(self, rows: Rows, register: Optional[Register], long: bool, geographic: bool) -> Stations:
        """Names and places of the gauges."""
        ids, points = list(rows.ids), self.config.points
        if len(ids) == 1 and not rows.named:
            ids = [Path(parse_layer(self.config.path).path).stem]
        x, y, crs = np.full(len(ids), np.nan), np.full(len(ids), np.nan), ""
        if points.place is not None:
            if len(ids) > 1:
                raise DataError(
                    f"'{self.name}': one place is given for {len(ids)} gauges",
                    expected="a table or point layer with the place of each",
                    got=", ".join(ids[:_SHOWN]) + (", ..." if len(ids) > _SHOWN else ""),
                    remedy="Choose the stations, or a single column",
                )
            one = Register([(ids[0],)], *(np.array([c]) for c in points.place), "", "the place given in the job")
            one = placed(one, self.config, self.notes, self.warnings)
            return Stations(ids, one.x, one.y, one.crs)
        if register is not None:
            found = placed(register, self.config, self.notes, self.warnings)
            entries, ids = self._matched(ids, rows, found)
            for gauge, entry in enumerate(entries):
                if entry is not None:
                    x[gauge], y[gauge] = found.x[entry], found.y[entry]
            crs = found.crs
        elif rows.x is not None:
            own = self._table.crs if isinstance(self._table, LayerTable) else ""
            names = [(name,) for name in ids]
            found = Register(names, rows.x, rows.y, own, self.config.path, geographic)
            found = placed(found, self.config, self.notes, self.warnings)
            x, y, crs = found.x, found.y, found.crs
        return Stations(ids, x, y, crs if np.isfinite(x).any() else "")

    def _matched(self, ids: list[str], rows: Rows, found: Register) -> tuple[list[Optional[int]], list[str]]:
        """The register's entry of each gauge; a single gauge is found by the name of its column or file too."""
        entries = [found.find(name) for name in ids]
        if len(ids) == 1 and entries[0] is None:
            stem = Path(parse_layer(self.config.path).path).stem
            entry = next((e for e in (found.find_within(rows.ids[0]), found.find_within(stem)) if e is not None), None)
            if entry is None and len(found.names) == 1:
                entry = 0
            if entry is not None:
                name = found.names[entry][0]
                self.notes.append(f"'{self.name}': the gauge {ids[0]} is taken as the station {name}.")
                return [entry], [name]
        lost = [name for name, entry in zip(ids, entries) if entry is None]
        if lost:
            shown = ", ".join(lost[:_SHOWN]) + (", ..." if len(lost) > _SHOWN else "")
            self.warnings.append(
                f"'{self.name}': {len(lost)} of {len(ids)} gauges have no place in {found.source}: {shown}."
            )
        unused = len(found.names) - len(set(entries) - {None})
        if unused:
            self.notes.append(
                f"'{self.name}': {unused} of {len(found.names)} stations of {found.source} have no values."
            )
        return entries, ids

    def _gridding(self) -> str:
        asked, places = self.config.points.gridding, bool(self.stations.known.any())
        if asked in ("idw", "kriging", "cell") and not places:
            what = "brought to their cells" if asked == "cell" else "interpolated"
            raise DataError(
                f"'{self.name}': gauges without places cannot be {what}",
                expected="a table or point layer with the place of each gauge",
                remedy="Choose the stations, or one value everywhere",
            )
        if asked:
            return asked
        if self.config.role == "target":
            return "gauges"
        return "idw" if places else "everywhere"


def _say(moment: np.datetime64) -> str:
    return format_date(moment.astype("datetime64[s]").astype(datetime))
