"""Folders of dated rasters: one map a file, or dated bands in each file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np

from ...contracts.dataset_job import SourceConfig
from ...contracts.dates import find_dates
from ...contracts.errors import DataError
from .band_dates import Dates, band_dates, tagged_date
from .base import MapSource, UnreadableError, Window, counted_times, say_date
from .listing import Listing, empty_folder, look_into
from .paths import SourcePath
from .raster import chosen_bands, units_of
from .raster_file import QUICK_OPEN, RasterLayout, alike, open_raster, raster_layout, read_bands, say_grid
from .side_dates import dates_beside, dates_by_table

_THREADS = 2
_BATCH = 64
_SHORT_DAY = re.compile(r"\d{4}[-_.]\d{2}[-_.]([1-6])(?!\d)")


class Member(NamedTuple):
    """One map: its file and its band there."""

    path: Path
    band: int


class FolderSource(MapSource):
    """A folder, with its sub-folders, or a pattern such as ``rain_*.tif``, of rasters on one grid.

    Dates come from a table, the names, side-cars, the files' metadata, or the first date and the step. Where the bands
    of each file have dates, every band is a map; else one band is read, which ``config.layer`` names.
    """

    kind = "folder"

    def __init__(self, config: SourceConfig, place: SourcePath) -> None:
        super().__init__(config)
        self._listing = self._look(place)
        files = self._rasters()
        if self.static:
            raise DataError(
                f"'{self.name}': a static map cannot be a folder",
                expected="one raster",
                got=f"{self._listing.base} with {len(files)} rasters",
                remedy="Choose one file of it, or give the source the role 'input'",
            )
        self.notes += self._listing.others_said(self.name)
        self._layout: RasterLayout
        self._first, handle = self._first_readable(files)
        with handle:
            self._layout, notes = raster_layout(handle, config, self.name)
            self.grid, self._driver = self._layout.grid, handle.driver
            self.notes += notes
            self.units = units_of(handle)
            bands, dated = self._bands(handle)
        members, times = self._dated_bands(files, bands) if dated else self._dated_files(files, bands[0])
        order = np.argsort(times, kind="stable")
        self._members = [members[index] for index in order]
        self._dates = times[order]
        self._set_times(self._dates, [self._label(member, len(bands) > 1) for member in self._members])

    def files(self) -> list[str]:
        """See :class:`Source`."""
        return list(dict.fromkeys(str(member.path) for member in self._members))

    def verify(self) -> Iterator[int]:
        """Open every file and compare its grid with the first one's."""
        first: dict[Path, int] = {}
        for number, member in enumerate(self._members):
            first.setdefault(member.path, number)
        paths = list(first)
        with ThreadPoolExecutor(_THREADS) as pool:
            for done in range(0, len(paths), _BATCH):
                batch = paths[done : done + _BATCH]
                for path, error in zip(batch, pool.map(self._check_file, batch, map(first.get, batch))):
                    if error is not None:
                        self._tell_gap(_relative(path, self._listing), first[path], error)
                yield min(done + _BATCH, len(paths))

    def _read_maps(self, numbers: np.ndarray, window: Window) -> np.ndarray:
        out = np.empty((len(numbers), window.rows, window.columns), dtype=np.float32)
        runs = self._runs(numbers)
        if len(runs) == 1:
            self._fill(out, numbers, runs, window)
            return out
        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in pool.map(lambda part: self._fill(out, numbers, runs[part::_THREADS], window), range(_THREADS)):
                pass
        return out

    def _runs(self, numbers: np.ndarray) -> list[slice]:
        """Parts of ``numbers`` that lie in one file each."""
        paths = [self._members[number].path for number in numbers]
        starts = [index for index, path in enumerate(paths) if index == 0 or path != paths[index - 1]]
        return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], len(paths)])]

    def _fill(self, out: np.ndarray, numbers: np.ndarray, runs: list[slice], window: Window) -> None:
        """Read some runs of maps; one GDAL environment for all of them."""
        import rasterio

        with rasterio.Env(**QUICK_OPEN):
            for run in runs:
                members = [self._members[number] for number in numbers[run]]
                path, bands = members[0].path, [member.band for member in members]
                try:
                    with open_raster(str(path), self.name, self._driver) as handle:
                        self._same_shape(handle, path)
                        if read_bands(handle, bands, self._layout, window, self.config, out[run]):
                            self._tell_huge(_relative(path, self._listing))
                except UnreadableError as error:
                    if self.config.unreadable != "gap":
                        raise
                    self._tell_gap(_relative(path, self._listing), int(numbers[run][0]), error)
                    out[run] = np.nan

    def _look(self, place: SourcePath) -> Listing:
        return look_into(place)

    def _rasters(self) -> list[Path]:
        files = self._listing.chosen("raster")
        if not files:
            raise empty_folder(self._listing, self.name)
        return files

    def _first_readable(self, files: list[Path]) -> tuple[Path, Any]:
        for path in files[:-1]:
            try:
                return path, open_raster(str(path), self.name)
            except UnreadableError:
                if self.config.unreadable != "gap":
                    raise
        return files[-1], open_raster(str(files[-1]), self.name)

    def _bands(self, handle: Any) -> tuple[list[int], bool]:
        """The bands to read of each file, and whether each has a date of its own."""
        bands = chosen_bands(handle, self.config.layer, self.name)
        if len(bands) > 1 and not self.config.date_table:
            found, notes = band_dates(handle, bands, _stem(self._first), self.name)
            if all(date is not None for date in found):
                self.notes += notes
                return bands, True
        if len(bands) > 1:
            said = ", ".join(filter(None, handle.descriptions[:5]))
            self.warnings.append(
                f"'{self.name}': each file has {handle.count} bands without dates{f' ({said})' if said else ''}; the "
                f"first is read. Name another as 'variable in the file'."
            )
        return bands[:1], False

    def _dated_bands(self, files: list[Path], bands: list[int]) -> tuple[list[Member], np.ndarray]:
        """Maps of files whose bands have dates; every file is opened for them."""

        def look(path: Path) -> list[tuple[Member, Optional[np.datetime64]]]:
            try:
                with open_raster(str(path), self.name) as handle:
                    own = chosen_bands(handle, self.config.layer, self.name)
                    found, _ = band_dates(handle, own, _stem(path), self.name)
            except UnreadableError as error:
                if self.config.unreadable != "gap":
                    raise
                self.warnings.append(f"{error} The maps of this file are gaps.")
                return []
            if any(date is None for date in found):
                raise DataError(
                    f"'{self.name}': {len([1 for date in found if date is None])} bands of a file have no date",
                    expected=f"bands with dates, as in {self._first.name}",
                    got=str(path),
                    remedy="Describe these bands with their dates, or remove the file",
                )
            return [(Member(path, band), date) for band, date in zip(own, found)]

        with ThreadPoolExecutor(_THREADS) as pool:
            maps = [pair for pairs in pool.map(look, files) for pair in pairs]
        return [member for member, _ in maps], np.array([date for _, date in maps], dtype="datetime64[s]")

    def _dated_files(self, files: list[Path], band: int) -> tuple[list[Member], np.ndarray]:
        found = self._file_dates(files)
        if not any(date is not None for date in found):
            counted = counted_times(self.config, len(files))
            if counted is None:
                raise self._undated(files[0])
            self.notes.append(
                f"'{self.name}': the files have no dates in their names; they are counted, by their names, from "
                f"{self.config.start} in steps of {self.config.step_hours:g} h."
            )
            return [Member(path, band) for path in files], counted
        undated = [path.name for path, date in zip(files, found) if date is None]
        if undated:
            shown = ", ".join(undated[:3]) + (", ..." if len(undated) > 3 else "")
            self.notes.append(
                f"'{self.name}': {len(undated)} of {len(files)} rasters have no date and are left out: {shown}."
            )
        kept = [(path, date) for path, date in zip(files, found) if date is not None]
        return [Member(path, band) for path, _ in kept], np.array([date for _, date in kept], dtype="datetime64[s]")

    def _file_dates(self, files: list[Path]) -> Dates:
        names = [_relative(path, self._listing) for path in files]
        if self.config.date_table:
            return dates_by_table(self.config, names, self.notes)
        named, note = find_dates(names, self.config.date_pattern, f"'{self.name}'")
        if any(named):
            _refuse_dekads(names, named, self.name)
            self.notes += [note] if note else []
            return [None if date is None else np.datetime64(date, "s") for date in named]
        if self.config.date_pattern:
            return [None] * len(files)
        beside = dates_beside(files)
        if any(date is not None for date in beside):
            self.notes.append(f"'{self.name}': the dates come from the files beside the maps.")
            return beside
        return self._inner_dates(files)

    def _inner_dates(self, files: list[Path]) -> Dates:
        """Dates from the metadata of files; only looked for in all where the first has one."""

        def look(path: Path) -> Optional[np.datetime64]:
            with open_raster(str(path), self.name) as handle:
                return tagged_date(handle.tags()) or tagged_date(handle.tags(1)) or band_dates(
                    handle, [1], "", self.name)[0][0]  # fmt: skip

        if look(self._first) is None:
            return [None] * len(files)
        self.notes.append(f"'{self.name}': the dates come from the metadata of the files.")
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(look, files))

    def _check_file(self, path: Path, number: int) -> Optional[UnreadableError]:
        """None, or why the file of map ``number`` cannot be read where that shall be a gap."""
        import rasterio

        try:
            with rasterio.Env(**QUICK_OPEN), open_raster(str(path), self.name) as handle:
                layout, _ = raster_layout(handle, self.config, self.name)
        except UnreadableError as error:
            if self.config.unreadable != "gap":
                date = f"{error.got}; date {say_date(self._dates[number])}"
                raise UnreadableError(error.problem, expected=error.expected, got=date, remedy=error.remedy) from error
            return error
        if not alike(layout.grid, self.grid) or (layout.flipped, layout.roll) != (
            self._layout.flipped,
            self._layout.roll,
        ):
            raise DataError(
                f"'{self.name}': the rasters of the folder do not lie on one grid",
                expected=f"{say_grid(self.grid)} as {self._first.name}",
                got=f"{say_grid(layout.grid)} in {path.name}",
                remedy="Bring them onto one grid first, or remove this file",
            )
        return None

    def _same_shape(self, handle: Any, path: Path) -> None:
        if (handle.height, handle.width) != self.grid.shape or (handle.transform.e > 0) != self._layout.flipped:
            raise DataError(
                f"'{self.name}': the rasters of the folder do not lie on one grid",
                expected=f"{say_grid(self.grid)} as {self._first.name}",
                got=f"{handle.width} x {handle.height} cells in {path.name}",
                remedy="Bring them onto one grid first, or remove this file",
            )

    def _label(self, member: Member, several: bool) -> str:
        return _relative(member.path, self._listing) + (f", band {member.band}" if several else "")

    def _undated(self, example: Path) -> DataError:
        return DataError(
            f"'{self.name}': no file name in the folder holds a date",
            expected=f"names that fit {self.config.date_pattern!r}"
            if self.config.date_pattern
            else "names such as rain_1995-02-01.tif",
            got=example.name,
            remedy="Give a date pattern such as %Y%m%d, a table of dates, or the first date and the step",
        )


def _relative(path: Path, listing: Listing) -> str:
    name = path.relative_to(listing.base).as_posix()
    return name[:-3] if name.endswith(".gz") else name


def _stem(path: Path) -> str:
    return Path(path.name[:-3]).stem if path.name.endswith(".gz") else path.stem


def _refuse_dekads(names: Sequence[str], found: Sequence[Any], name: str) -> None:
    """Names such as 2001.02.3 count the parts of a month, not its days, where no day is above 6."""
    matches = [_SHORT_DAY.search(one) for one in names]
    dated = [date for date in found if date is not None]
    if not all(matches) or len({(date.year, date.month) for date in dated}) < 2:
        return
    parts = len({match.group(1) for match in matches if match})
    raise DataError(
        f"'{name}': the last number of the dates in the file names runs from 1 to {parts} only",
        expected="days; thirds or sixths of a month (dekads, pentads) are no regular step",
        got=names[-1],
        remedy="Use daily or monthly maps, or give a date pattern if these are days",
    )
