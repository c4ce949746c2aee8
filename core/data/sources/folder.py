"""Folders of dated rasters: one map a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Optional

import numpy as np

from ...contracts.dataset_job import SourceConfig
from ...contracts.dates import find_date, find_date_by
from ...contracts.errors import DataError
from ...contracts.grid import Grid
from .base import Source, counted_times
from .paths import RASTER_SUFFIXES, SourcePath
from .raster import open_raster, raster_grid, read_bands

_THREADS = 2


class FolderSource(Source):
    """A folder, with its sub-folders, of rasters whose names hold the date. All have one grid; the first band is
    read.
    """

    kind = "folder"

    def __init__(self, config: SourceConfig, place: SourcePath) -> None:
        super().__init__(config)
        self._folder = place.file
        files = _rasters(self._folder, self.name)
        if self.static:
            raise DataError(
                f"'{self.name}': a static map cannot be a folder",
                expected="one raster",
                got=f"{self._folder} with {len(files)} rasters",
                remedy="Choose one file of it, or give the source the role 'input'",
            )
        files, times = self._dates(files)
        order = self._set_times(times, [str(path.relative_to(self._folder)) for path in files])
        self._files = [files[index] for index in order]
        with open_raster(str(self._files[0]), self.name) as handle:
            self._set_grid(raster_grid(handle, self.config, self.name))
            self.units = handle.units[0] or handle.tags().get("units", "")

    def verify(self) -> Iterator[int]:
        """Open every file and compare its grid with the first one's."""
        with ThreadPoolExecutor(_THREADS) as pool:
            for done in range(0, len(self._files), 64):
                for _ in pool.map(self._check_file, self._files[done : done + 64]):
                    pass
                yield min(done + 64, len(self._files))

    def read(self, start: int, stop: int) -> np.ndarray:
        """See :class:`Source`. Two threads read into one array."""
        out = np.empty((stop - start, *self.grid.shape), dtype=np.float32)

        def fill(index: int) -> None:
            with open_raster(str(self._files[start + index]), self.name) as handle:
                out[index] = read_bands(handle, [1], self.window, self.config, self.name)[0]

        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in pool.map(fill, range(stop - start)):
                pass
        return out

    def _check_file(self, path: Path) -> None:
        with open_raster(str(path), self.name) as handle:
            grid = raster_grid(handle, self.config, self.name)
        if not _alike(grid, self.full_grid):
            raise DataError(
                f"'{self.name}': the rasters of the folder do not lie on one grid",
                expected=f"{_say(self.full_grid)} as {self._files[0].name}",
                got=f"{_say(grid)} in {path.name}",
                remedy="Bring them onto one grid first, or remove this file",
            )

    def _dates(self, files: list[Path]) -> tuple[list[Path], np.ndarray]:
        found = [_file_date(path, self._folder, self.config.date_pattern, self.name) for path in files]
        if not any(found):
            counted = counted_times(self.config, len(files))
            if counted is None:
                raise self._undated(files[0])
            self.notes.append(
                f"'{self.name}': the files have no dates in their names; they are counted, by their names, from "
                f"{self.config.start} in steps of {self.config.step_hours:g} h."
            )
            return files, counted
        undated = [path.name for path, date in zip(files, found) if date is None]
        if undated:
            shown = ", ".join(undated[:3]) + (", ..." if len(undated) > 3 else "")
            self.notes.append(
                f"'{self.name}': {len(undated)} of {len(files)} rasters have no date in their names "
                f"and are left out: {shown}."
            )
        kept = [(path, date) for path, date in zip(files, found) if date is not None]
        return [path for path, _ in kept], np.array([date for _, date in kept], dtype="datetime64[s]")

    def _undated(self, example: Path) -> DataError:
        return DataError(
            f"'{self.name}': no file name in the folder holds a date",
            expected=f"names that fit {self.config.date_pattern!r}"
            if self.config.date_pattern
            else "names such as rain_1995-02-01.tif",
            got=example.name,
            remedy="Give a date pattern such as %Y%m%d, or the first date and the step",
        )


def _rasters(folder: Path, name: str) -> list[Path]:
    entries = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    files = [path for path in entries if path.suffix.lower() in RASTER_SUFFIXES]
    if not files:
        others = f"{len(entries)} other files, such as {entries[0].name}" if entries else "an empty folder"
        raise DataError(
            f"'{name}': the folder holds no rasters",
            expected="rasters (" + ", ".join(RASTER_SUFFIXES[:5]) + " ...), one a date",
            got=f"{others}: {folder}",
            remedy="Choose the folder that holds the maps",
        )
    return sorted(files, key=lambda path: _natural(str(path.relative_to(folder))))


def _file_date(path: Path, folder: Path, pattern: str, name: str) -> Optional[datetime]:
    relative = path.relative_to(folder).with_suffix("").as_posix()
    if not pattern:
        return find_date(path.stem) or find_date(relative.replace("/", "-"))
    return find_date_by(pattern, relative, f"'{name}'")


def _natural(text: str) -> list:
    return [(1, int(piece), "") if piece.isdigit() else (0, 0, piece) for piece in re.split(r"(\d+)", text)]


def _alike(one: Grid, other: Grid) -> bool:
    offsets = (abs(one.west - other.west) / other.cell_x, abs(one.north - other.north) / other.cell_y)
    sizes = (abs(one.cell_x / other.cell_x - 1) * other.columns, abs(one.cell_y / other.cell_y - 1) * other.rows)
    return one.shape == other.shape and max(*offsets, *sizes) < 0.01 and one.crs == other.crs


def _say(grid: Grid) -> str:
    return (
        f"{grid.columns} x {grid.rows} cells of {grid.cell_x:g} x {grid.cell_y:g} from ({grid.west:g}, {grid.north:g})"
    )
