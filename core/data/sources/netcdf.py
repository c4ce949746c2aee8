"""Sources of arrays: NetCDF files (also HDF5) and Zarr stores, one or many that follow each other in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Optional

import numpy as np

from ...contracts.dataset_job import SourceConfig
from ...contracts.dates import find_dates
from ...contracts.errors import DataError
from .array_pieces import FileCache, Piece, choose_variable, file_label, make_piece, read_piece
from .arrays import ArrayFile, open_netcdf, open_zarr
from .axes import map_variables, split_layer
from .base import NETCDF_LOCK, MapSource, UnreadableError, Window, counted_times
from .listing import Listing, empty_folder, is_zarr, look_into
from .paths import SourcePath
from .raster_file import alike, say_grid
from .side_dates import dates_by_table


class NetcdfSource(MapSource):
    """One variable of a NetCDF file, or of a folder or pattern of them, in any order of dimensions.

    ``config.layer`` names the variable, with ``/group/`` where it lies in one and ``[level=500]`` where it has further
    dimensions.
    """

    kind = "netcdf"
    opener: Callable[[str, str], ArrayFile] = staticmethod(open_netcdf)

    def __init__(self, config: SourceConfig, place: SourcePath) -> None:
        super().__init__(config)
        self._layer = config.layer or place.layer
        self._listing, paths = self._paths(place)
        self._cache = FileCache(self.opener, self.name, NETCDF_LOCK if self.kind == "netcdf" else None)
        self._pieces: list[Piece] = []
        try:
            self._look_at(paths)
            first = self._pieces[0]
            self.grid, self.units = first.places.grid, first.units
            self.notes += [*first.places.notes, *first.notes]
            self.warnings += first.places.warnings
            if self.static:
                self._check_static()
            else:
                self._date()
        except DataError:
            self._cache.close()
            raise

    def files(self) -> list[str]:
        """See :class:`Source`."""
        return [piece.path for piece in self._pieces]

    def verify(self) -> Iterator[int]:
        """All files were opened for their dates; nothing is left to look at."""
        yield len(self._pieces)

    def close(self) -> None:
        """Close the files."""
        self._cache.close()

    def _read_maps(self, numbers: np.ndarray, window: Window) -> np.ndarray:
        if self.static:
            return self._read_piece(self._pieces[0], np.zeros(1, dtype=np.int64), window)
        out = np.empty((len(numbers), window.rows, window.columns), dtype=np.float32)
        for index in np.unique(self._piece_of[numbers]):
            here = np.flatnonzero(self._piece_of[numbers] == index)
            out[here] = self._read_steps(self._pieces[index], numbers[here], window)
        return out

    def _read_piece(self, piece: Piece, steps: np.ndarray, window: Window) -> np.ndarray:
        maps = self._cache.read(piece.path, lambda file: read_piece(file, piece, steps, window, self.config))
        if piece.huge:
            self._tell_huge(Path(piece.path).name)
        return maps

    def _read_steps(self, piece: Piece, numbers: np.ndarray, window: Window) -> np.ndarray:
        """Some maps of a piece; where unreadable ones become gaps, each that cannot be read is missing, and told."""
        steps = self._step_of[numbers]
        try:
            return self._read_piece(piece, steps, window)
        except UnreadableError as error:
            if self.config.unreadable != "gap":
                raise
            if len(numbers) > 1:
                return np.concatenate(
                    [self._read_steps(piece, numbers[i : i + 1], window) for i in range(len(numbers))]
                )
            self._tell_gap(file_label(piece.path, int(steps[0]), piece.steps, True), int(numbers[0]), error)
            return np.full((1, window.rows, window.columns), np.nan, dtype=np.float32)

    def _paths(self, place: SourcePath) -> tuple[Optional[Listing], list[str]]:
        if not place.is_pattern and (not place.file.is_dir() or is_zarr(place.file)):
            return None, [place.path]
        listing = look_into(place)
        paths = [str(path) for path in listing.chosen(self.kind)]
        if not paths:
            raise empty_folder(listing, self.name)
        self.notes += listing.others_said(self.name)
        return listing, paths

    def _look_at(self, paths: list[str]) -> None:
        """Open every file once. Those that lack the variable are left out with a note."""
        without: list[str] = []
        variable = ""
        for path in paths:
            try:
                file = self._cache.open(path)
                if len(paths) > 1 and not self._holds(file):
                    without.append(Path(path).name)
                    continue
                wanted = variable if variable in file.variables else self._layer
                name, chosen, notes = choose_variable(file, wanted, self.static, self.name)
                chosen = chosen or split_layer(self._layer, file.variables)[1]
                piece = make_piece(file, name, chosen, self.config, self._pieces[0] if self._pieces else None)
            except UnreadableError as error:
                if self.config.unreadable != "gap" or len(paths) == 1:
                    raise
                self.warnings.append(f"{error} The dates of this file are gaps.")
                continue
            self._one_variable(variable, name, path, paths[0])
            if not variable:
                variable = name
                self.notes += notes
            self._same_grid(piece)
            self._pieces.append(piece)
        if not self._pieces:
            raise DataError(
                f"'{self.name}': no file holds the variable '{self._layer}'",
                got=f"{len(paths)} files, the first is {paths[0]}",
                remedy="Correct 'variable in the file'",
            )
        if without:
            self.notes.append(
                f"'{self.name}': {len(without)} of {len(paths)} files do not hold '{variable}' and are left out: "
                + ", ".join(without[:3])
                + (", ..." if len(without) > 3 else ".")
            )

    def _holds(self, file: ArrayFile) -> bool:
        """Whether a file of several holds the wanted variable; without a wish, whether it holds any map."""
        wanted, _ = split_layer(self._layer, file.variables)
        there = map_variables(file)
        return (
            wanted in file.variables or wanted in [one.rpartition("/")[2] for one in there] if wanted else bool(there)
        )

    def _one_variable(self, variable: str, name: str, path: str, first: str) -> None:
        if variable and name != variable:
            raise DataError(
                f"'{self.name}': the files hold different variables",
                expected=f"'{variable}', as {Path(first).name} does",
                got=f"'{name}' in {path}",
                remedy="Choose one of the two as 'variable in the file'",
            )

    def _same_grid(self, piece: Piece) -> None:
        if not self._pieces:
            return
        first = self._pieces[0]
        if not alike(piece.places.grid, first.places.grid):
            raise DataError(
                f"'{self.name}': the files do not lie on one grid",
                expected=f"{say_grid(first.places.grid)} as {Path(first.path).name}",
                got=f"{say_grid(piece.places.grid)} in {piece.path}",
                remedy="Bring them onto one grid first, or choose fewer files",
            )
        if piece.units != first.units:
            raise DataError(
                f"'{self.name}': the files have different units",
                expected=f"'{first.units}', as {Path(first.path).name}",
                got=f"'{piece.units}' in {piece.path}",
                remedy="Bring them to one unit first, or choose fewer files",
            )

    def _check_static(self) -> None:
        piece = self._pieces[0]
        if len(self._pieces) > 1 or piece.steps > 1:
            raise DataError(
                f"'{self.name}' varies in time and cannot be a static map",
                got=f"{sum(one.steps for one in self._pieces)} steps in {piece.path}",
                remedy="Give it the role 'input', or choose a variable without time",
            )

    def _date(self) -> None:
        dated = self._own_dates()
        self._piece_of = np.concatenate([np.full(len(steps), index) for index, (steps, _) in enumerate(dated)])
        self._step_of = np.concatenate([steps for steps, _ in dated])
        times = np.concatenate([times for _, times in dated])
        if not len(times):
            raise self._undated()
        several = len(self._pieces) > 1
        labels = [
            file_label(self._pieces[index].path, step, self._pieces[index].steps, several)
            for index, step in zip(self._piece_of.tolist(), self._step_of.tolist())
        ]
        precision = max((one.decoded.precision_seconds for one in self._pieces if one.decoded), default=0.0)
        self._in_order(times, labels, precision, several)

    def _in_order(self, times: np.ndarray, labels: list[str], precision: float, several: bool) -> None:
        """Hand the dates over; files whose names do not follow their dates are no matter for a note."""
        if several:
            order = np.argsort(times, kind="stable")
            self._piece_of, self._step_of = self._piece_of[order], self._step_of[order]
            times, labels = times[order], [labels[index] for index in order]
        self._set_times(times, labels, precision)

    def _own_dates(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Steps and dates of each piece: from the table, the CF time, the names of files of one map, or counted."""
        counts = [max(1, piece.steps) for piece in self._pieces]
        if self.config.date_table or self.config.date_pattern or any(piece.decoded is None for piece in self._pieces):
            told = self._told_dates(counts)
            if told is not None:
                return told
        calendars = sorted({piece.decoded.calendar for piece in self._pieces if piece.decoded})
        if len(calendars) != 1 or any(piece.decoded is None for piece in self._pieces):
            raise self._undated() if len(calendars) < 2 else self._mixed(calendars)
        self.calendar = calendars[0]
        notes = [note for piece in self._pieces for note in piece.decoded.notes]
        self.notes += list(dict.fromkeys(notes))
        return [(np.flatnonzero(one.decoded.kept), one.decoded.times[one.decoded.kept]) for one in self._pieces]

    def _told_dates(self, counts: list[int]) -> Optional[list[tuple[np.ndarray, np.ndarray]]]:
        single = all(count == 1 for count in counts)
        names = [self._relative(piece.path) for piece in self._pieces]
        if self.config.date_table:
            keys = names if single and len(names) > 1 else [str(step + 1) for step in range(counts[0])]
            return self._listed(dates_by_table(self.config, keys, self.notes), counts)
        if single:
            found, note = find_dates(names, self.config.date_pattern, f"'{self.name}'")
            if all(found):
                self.notes += [f"'{self.name}': the dates come from the names of the files.", *([note] if note else [])]
                return self._listed([np.datetime64(date, "s") for date in found], counts)
        counted = counted_times(self.config, sum(counts))
        if counted is None or any(piece.decoded for piece in self._pieces):
            return None
        self.notes.append(
            f"'{self.name}': dates are counted from {self.config.start} in steps of {self.config.step_hours:g} h."
        )
        return self._listed(list(counted), counts)

    def _listed(self, dates: list, counts: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Dates of all maps in the order of the files, cut into pieces; maps without a date are left out."""
        pieces, start = [], 0
        for count in counts:
            own = dates[start : start + count]
            kept = np.array([index for index, date in enumerate(own) if date is not None], dtype=np.int64)
            pieces.append((kept, np.array([own[index] for index in kept], dtype="datetime64[s]")))
            start += count
        return pieces

    def _relative(self, path: str) -> str:
        return Path(path).relative_to(self._listing.base).as_posix() if self._listing else Path(path).name

    def _mixed(self, calendars: list[str]) -> DataError:
        return DataError(
            f"'{self.name}': the files have different calendars",
            expected="one calendar",
            got=", ".join(calendars),
            remedy="Choose files of one calendar",
        )

    def _undated(self) -> DataError:
        return DataError(
            f"'{self.name}': the variable has no dates",
            expected="a time coordinate ('days since ...'), or the first date and the step",
            got=self._pieces[0].path,
            remedy="Give the first date and the step; a map that does not change takes the role 'static'",
        )


class ZarrSource(NetcdfSource):
    """One variable of a Zarr store, or of a folder or pattern of stores; else as :class:`NetcdfSource`."""

    kind = "zarr"
    opener = staticmethod(open_zarr)
