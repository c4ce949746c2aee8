"""GRIB files through GDAL: bands grouped by what they hold, dated by their valid time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np

from ...contracts.dataset_job import SourceConfig
from ...contracts.errors import DataError
from .band_dates import tagged_date
from .base import MapSource, UnreadableError, Window
from .listing import empty_folder, look_into
from .paths import SourcePath
from .raster_file import RasterLayout, alike, open_raster, raster_layout, read_bands, say_grid


class Field(NamedTuple):
    """One band: its file, its number, what it holds ("TMP[2-HTGL]"), its unit, its date."""

    path: str
    band: int
    holds: str
    units: str
    date: Optional[np.datetime64]


class GribSource(MapSource):
    """One field of a GRIB file, or of a folder or pattern of them. ``config.layer`` names it: element and level, as
    "TMP[2-HTGL]", or the element alone where it has one level.
    """

    kind = "grib"

    def __init__(self, config: SourceConfig, place: SourcePath) -> None:
        super().__init__(config)
        need_driver(self.name)
        self._paths = self._find(place)
        self._layout: Optional[RasterLayout] = None
        fields = [field for path in self._paths for field in self._fields(path)]
        wanted = choose_field(sorted({field.holds for field in fields}), config.layer, self.name, self._paths[0])
        self._chosen = [field for field in fields if field.holds == wanted]
        self.grid = self._layout.grid
        self.units = self._chosen[0].units
        if self.static:
            self._chosen = self._chosen[:1]
            return
        undated = [field for field in self._chosen if field.date is None]
        if undated:
            raise DataError(
                f"'{self.name}': {len(undated)} fields have no valid time",
                got=f"band {undated[0].band} of {undated[0].path}",
                remedy="Convert the file to NetCDF first, for example with cdo -f nc copy",
            )
        times = np.array([field.date for field in self._chosen])
        order = np.argsort(times, kind="stable")
        self._chosen = [self._chosen[index] for index in order]
        self._set_times(times[order], [f"{Path(one.path).name}, band {one.band}" for one in self._chosen])

    def files(self) -> list[str]:
        """See :class:`Source`."""
        return list(dict.fromkeys(field.path for field in self._chosen))

    def verify(self) -> Iterator[int]:
        """All files were opened for their dates; nothing is left to look at."""
        yield len(self._paths)

    def _read_maps(self, numbers: np.ndarray, window: Window) -> np.ndarray:
        out = np.empty((len(numbers), window.rows, window.columns), dtype=np.float32)
        paths = [self._chosen[number].path for number in numbers]
        for path in dict.fromkeys(paths):
            here = [index for index, one in enumerate(paths) if one == path]
            bands = [self._chosen[numbers[index]].band for index in here]
            maps = np.empty((len(here), window.rows, window.columns), dtype=np.float32)
            try:
                with open_raster(path, self.name) as handle:
                    if read_bands(handle, bands, self._layout, window, self.config, maps):
                        self._tell_huge(Path(path).name)
            except UnreadableError as error:
                if self.config.unreadable != "gap":
                    raise
                self._tell_gap(Path(path).name, int(numbers[here[0]]), error)
                maps[:] = np.nan
            out[here] = maps
        return out

    def _find(self, place: SourcePath) -> list[str]:
        if place.file.is_file():
            return [place.path]
        listing = look_into(place)
        paths = [str(path) for path in listing.chosen("grib")]
        if not paths:
            raise empty_folder(listing, self.name)
        self.notes += listing.others_said(self.name)
        return paths

    def _fields(self, path: str) -> list[Field]:
        try:
            with open_raster(path, self.name) as handle:
                self._same_grid(handle, path)
                return fields_of(handle, path)
        except UnreadableError as error:
            if self.config.unreadable != "gap" or len(self._paths) == 1:
                raise
            self.warnings.append(f"{error} The dates of this file are gaps.")
            return []

    def _same_grid(self, handle: Any, path: str) -> None:
        layout, notes = raster_layout(handle, self.config, self.name)
        if self._layout is None:
            self._layout = layout
            self.notes += notes
        elif not alike(layout.grid, self._layout.grid):
            raise DataError(
                f"'{self.name}': the files do not lie on one grid",
                expected=f"{say_grid(self._layout.grid)} as {Path(self._paths[0]).name}",
                got=f"{say_grid(layout.grid)} in {path}",
                remedy="Bring them onto one grid first, or choose fewer files",
            )


def need_driver(name: str) -> None:
    """Raise :class:`DataError` where this GDAL cannot read GRIB."""
    import rasterio

    with rasterio.Env() as environment:
        if "GRIB" in environment.drivers():
            return
    raise DataError(
        f"'{name}': GRIB files cannot be read here",
        expected="a GDAL with the GRIB driver in the engine",
        remedy="Convert the file to NetCDF first, for example with cdo -f nc copy",
    )


def fields_of(handle: Any, path: str) -> list[Field]:
    """What each band of an open GRIB file holds."""
    fields = []
    for band in range(1, handle.count + 1):
        tags = handle.tags(band)
        element, level = tags.get("GRIB_ELEMENT", f"band {band}"), tags.get("GRIB_SHORT_NAME", "")
        holds = f"{element}[{level}]" if level else element
        fields.append(Field(path, band, holds, tags.get("GRIB_UNIT", "").strip("[]"), tagged_date(tags)))
    return fields


def choose_field(there: list[str], layer: str, name: str, path: str) -> str:
    """The field that ``layer`` names. Raises :class:`DataError` that lists them where none or several fit."""
    layer = layer.strip()
    fitting = [one for one in there if not layer or layer == one or layer == one.partition("[")[0]]
    if len(fitting) == 1:
        return fitting[0]
    raise DataError(
        f"'{name}': the file holds no field '{layer}'" if layer and not fitting else f"'{name}': several fields fit",
        expected=", ".join(fitting or there),
        got=path,
        remedy="Choose one of these as 'variable in the file'",
    )
