"""Rasters that GDAL reads: one file with a band a date, or a static map."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...contracts.dataset_job import SourceConfig
from ...contracts.errors import DataError
from .band_dates import band_dates, band_list
from .base import MapSource, UnreadableError, Window, counted_times
from .paths import SourcePath
from .raster_file import RasterLayout, band_facts, open_raster, raster_layout, read_bands
from .side_dates import dates_by_table

_NUMBERS = re.compile(r"^\s*\d+(\s*-\s*\d+)?(\s*,\s*\d+(\s*-\s*\d+)?)*\s*$")


class RasterSource(MapSource):
    """A raster file. Dates come from a table, from band descriptions or metadata, or the job's first date and step.

    ``config.layer`` chooses bands: "3", "1-12", "1,3,5-7", a description, or a word of the descriptions.
    """

    kind = "raster"

    def __init__(self, config: SourceConfig, place: SourcePath) -> None:
        super().__init__(config)
        self._place = place
        self._handles = Handles(place.gdal or place.path, self.name)
        try:
            with self._handles.borrow() as handle:
                self._layout, notes = raster_layout(handle, config, self.name)
                self.notes += notes
                self.grid = self._layout.grid
                self._facts = band_facts(handle)
                self.units = units_of(handle)
                if self.static:
                    self._bands = [static_band(handle, config.layer, self.name)]
                else:
                    self._bands = chosen_bands(handle, config.layer, self.name)
                    self._date_bands(handle)
        except DataError:
            self.close()
            raise

    def files(self) -> list[str]:
        """See :class:`Source`."""
        with self._handles.borrow() as handle:
            own = [] if self._place.gdal else [self._place.path]
            return list(dict.fromkeys([*own, *handle.files]))

    def close(self) -> None:
        """Close the file."""
        self._handles.close()

    def _read_maps(self, numbers: np.ndarray, window: Window) -> np.ndarray:
        out = np.empty((len(numbers), window.rows, window.columns), dtype=np.float32)
        with self._handles.borrow() as handle:
            try:
                self._read_bands(handle, numbers, window, out)
            except UnreadableError:
                if self.static or self.config.unreadable != "gap":
                    raise
                self._read_one_by_one(handle, numbers, window, out)
        return out

    def _read_bands(self, handle: Any, numbers: np.ndarray, window: Window, out: np.ndarray) -> None:
        bands = [self._bands[number] for number in numbers]
        if read_bands(handle, bands, self._layout, window, self.config, out, self._facts):
            self._tell_huge(self._place.file.name)

    def _read_one_by_one(self, handle: Any, numbers: np.ndarray, window: Window, out: np.ndarray) -> None:
        """The bands that can be read; the others are missing, and told."""
        for index, number in enumerate(numbers):
            try:
                self._read_bands(handle, numbers[index : index + 1], window, out[index : index + 1])
            except UnreadableError as error:
                self._tell_gap(f"{self._place.file.name}, band {self._bands[number]}", int(number), error)
                out[index] = np.nan

    def _date_bands(self, handle: Any) -> None:
        labels = [f"band {band}" for band in self._bands]
        if self.config.date_table:
            found = dates_by_table(self.config, [str(band) for band in self._bands], self.notes)
        else:
            found, notes = band_dates(handle, self._bands, self._place.file.stem, self.name)
            self.notes += notes
        if all(date is not None for date in found):
            self._set_times(np.array(found, dtype="datetime64[s]"), labels)
        elif not any(date is not None for date in found):
            self._count_bands()
        else:
            undated = [band for band, date in zip(self._bands, found) if date is None]
            raise DataError(
                f"'{self.name}': {len(undated)} of the {len(found)} bands have no date, the first is band {undated[0]}",
                expected="a date in the description or metadata of every band",
                got=self._place.path,
                remedy="Describe these bands with their dates, or choose the dated ones (such as '1-12') as 'variable "
                "in the file'",
            )

    def _count_bands(self) -> None:
        count = len(self._bands)
        counted = counted_times(self.config, count)
        if counted is None:
            raise DataError(
                f"'{self.name}': the {count} band{'s' if count > 1 else ''} of the raster have no dates",
                expected="a date in each band's description or metadata (TIME), or the first date and the step",
                got=self._place.path,
                remedy="Give its first date and step; a map that does not change takes the role 'static'",
            )
        self.notes.append(
            f"'{self.name}': dates are counted from {self.config.start} in steps of {self.config.step_hours:g} h."
        )
        self._set_times(counted, [f"band {band}" for band in self._bands])


class Handles:
    """Open handles of one raster, one for each thread that reads at a time; GDAL forbids two threads on one handle."""

    def __init__(self, path: str, name: str) -> None:
        self._path, self._name = path, name
        self._lock = threading.Lock()
        self._idle = [open_raster(path, name)]

    @contextmanager
    def borrow(self) -> Iterator[Any]:
        """A handle that nobody else uses meanwhile."""
        with self._lock:
            handle = self._idle.pop() if self._idle else None
        handle = handle or open_raster(self._path, self._name)
        try:
            yield handle
        finally:
            with self._lock:
                self._idle.append(handle)

    def close(self) -> None:
        """Close those that nobody uses."""
        with self._lock:
            for handle in self._idle:
                handle.close()
            self._idle.clear()


def units_of(handle: Any, band: int = 1) -> str:
    """The unit that a band or its file names, or empty."""
    unit = handle.units[band - 1] or handle.tags(band).get("GRIB_UNIT", "").strip("[]")
    return unit or handle.tags(band).get("units", "") or handle.tags().get("units", "")


def chosen_bands(handle: Any, layer: str, name: str) -> list[int]:
    """Numbers of the bands that ``layer`` chooses; all where it is empty."""
    every = list(range(1, handle.count + 1))
    if not layer.strip():
        return every
    descriptions = [text or "" for text in handle.descriptions]
    if layer in descriptions:
        return [band for band in every if descriptions[band - 1] == layer]
    if _NUMBERS.match(layer):
        bands = band_list(layer)
        if bands and max(bands) <= handle.count and min(bands) >= 1:
            return bands
    worded = [band for band in every if layer.lower() in descriptions[band - 1].lower()]
    if worded:
        return worded
    raise DataError(
        f"'{name}': the raster has no band '{layer}'",
        expected=f"numbers from 1 to {handle.count} (such as 3 or 1-12), or a word of a band's description",
        got=", ".join(filter(None, descriptions[:5])) or "bands without descriptions",
        remedy="Correct 'variable in the file', or leave it empty for all bands",
    )


def static_band(handle: Any, layer: str, name: str) -> int:
    """The one band of a static map. Raises :class:`DataError` where several could be meant."""
    if handle.count == 1:
        return 1
    bands = chosen_bands(handle, layer, name) if layer.strip() else []
    if len(bands) == 1:
        return bands[0]
    raise DataError(
        f"'{name}': the static map has {handle.count} bands",
        expected="one band, or the number or description of a band as 'variable in the file'",
        got=handle.name,
        remedy="Name the band, or give the source the role 'input' if its bands are dates",
    )


__all__ = ["Handles", "RasterLayout", "RasterSource", "chosen_bands", "open_raster", "static_band", "units_of"]
