"""Rasters that GDAL reads: one file with a band a date, or a static map."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from ...contracts.dataset_job import SourceConfig
from ...contracts.dates import find_date
from ...contracts.errors import DataError
from ...contracts.grid import Grid
from .base import Source, Window, clean, counted_times, no_crs
from .paths import SourcePath

_TIME_TAGS = ("TIME", "time", "DATE", "date", "ACQUISITIONDATETIME", "TIFFTAG_DATETIME")


class RasterSource(Source):
    """A raster file. Dates come from band descriptions, band metadata, or the job's first date and step."""

    kind = "raster"

    def __init__(self, config: SourceConfig, place: SourcePath) -> None:
        super().__init__(config)
        self._place = place
        self._handle = open_raster(place.gdal or place.path, self.name)
        try:
            self._set_grid(raster_grid(self._handle, self.config, self.name))
            self.units = self._handle.units[0] or self._handle.tags().get("units", "")
            if self.static:
                self._bands = [self._static_band()]
            else:
                self._bands = self._dated_bands()
        except DataError:
            self._handle.close()
            raise

    def read(self, start: int, stop: int) -> np.ndarray:
        """See :class:`Source`."""
        return read_bands(self._handle, self._bands[start:stop], self.window, self.config, self.name)

    def close(self) -> None:
        """Close the file."""
        self._handle.close()

    def _static_band(self) -> int:
        if self._handle.count == 1:
            return 1
        layer = self.config.layer
        if layer in self._handle.descriptions:
            return self._handle.descriptions.index(layer) + 1
        if layer.isdigit() and 1 <= int(layer) <= self._handle.count:
            return int(layer)
        raise DataError(
            f"'{self.name}': the static map has {self._handle.count} bands",
            expected="one band, or the number or description of a band as 'variable in the file'",
            got=self._place.path,
            remedy="Name the band, or give the source the role 'input' if its bands are dates",
        )

    def _dated_bands(self) -> list[int]:
        count = self._handle.count
        found = [self._band_date(band) for band in range(1, count + 1)]
        if all(found):
            times = np.array(found, dtype="datetime64[s]")
        elif not any(found):
            counted = counted_times(self.config, count)
            if counted is None:
                raise DataError(
                    f"'{self.name}': the {count} band{'s' if count > 1 else ''} of the raster have no dates",
                    expected="a date in each band's description or metadata (TIME), or the first date and the step",
                    got=self._place.path,
                    remedy="Give its first date and step; a map that does not change takes the role 'static'",
                )
            times = counted
            self.notes.append(
                f"'{self.name}': dates are counted from {self.config.start} in steps of {self.config.step_hours:g} h."
            )
        else:
            undated = [band for band, date in enumerate(found, 1) if date is None]
            raise DataError(
                f"'{self.name}': {len(undated)} of the {count} bands have no date, the first is band {undated[0]}",
                expected="a date in the description or metadata of every band",
                remedy="Describe these bands with their dates, or remove them",
            )
        order = self._set_times(times, [f"band {band}" for band in range(1, count + 1)])
        return [int(index) + 1 for index in order]

    def _band_date(self, band: int) -> Optional[Any]:
        description = self._handle.descriptions[band - 1] or ""
        found = find_date(description)
        if found:
            return found
        tags = self._handle.tags(band)
        for tag in _TIME_TAGS:
            found = find_date(tags.get(tag, ""))
            if found:
                return found
        return find_date(self._file_stem()) if self._handle.count == 1 else None

    def _file_stem(self) -> str:
        return self._place.file.stem


def open_raster(path: str, name: str) -> Any:
    """Open a raster for reading; :class:`DataError` that names the file where GDAL cannot."""
    import rasterio
    from rasterio.errors import RasterioError

    try:
        return rasterio.open(path)
    except (RasterioError, OSError, ValueError) as error:
        raise unreadable(path, name, error) from error


def unreadable(path: str, name: str, error: BaseException) -> DataError:
    """The error for a raster that is broken, cut short or no raster."""
    return DataError(
        f"'{name}': the raster cannot be read",
        expected="a raster that GDAL reads, complete",
        got=f"{path} ({_plain_reason(error)})",
        remedy="Replace this file, or remove it",
    )


def raster_grid(handle: Any, config: SourceConfig, name: str) -> Grid:
    """North-up grid of an open raster; south-up ones are turned on reading. Refuses rasters without CRS and rotated
    ones.
    """
    transform = handle.transform
    crs = handle.crs.to_wkt() if handle.crs else config.crs
    if not crs:
        raise no_crs(name, handle.name)
    if abs(transform.b) > 1e-9 * abs(transform.a) or abs(transform.d) > 1e-9 * abs(transform.e) or transform.a <= 0:
        raise DataError(
            f"'{name}': the raster is rotated or mirrored",
            expected="rows that run west to east",
            got=handle.name,
            remedy="Warp it first (in QGIS: Raster, Projections, Warp)",
        )
    north = transform.f if transform.e < 0 else transform.f + transform.e * handle.height
    return Grid(crs, transform.c, north, transform.a, abs(transform.e), handle.width, handle.height)


def read_bands(handle: Any, bands: list[int], window: Optional[Window], config: SourceConfig, name: str) -> np.ndarray:
    """Bands of an open raster: float32 (n, rows, columns), north first, declared nodata, masks and fills as NaN,
    scale and offset applied.
    """
    from rasterio.errors import RasterioError
    from rasterio.windows import Window as RasterWindow

    part = window or Window(0, 0, handle.height, handle.width)
    flipped = handle.transform.e > 0
    row = handle.height - part.row - part.rows if flipped else part.row
    try:
        raw = handle.read(bands, window=RasterWindow(part.column, row, part.columns, part.rows), masked=True)
    except (RasterioError, OSError, ValueError) as error:
        raise unreadable(handle.name, name, error) from error
    values = clean(raw, config)
    scales = np.array([handle.scales[band - 1] for band in bands], dtype=np.float32)
    offsets = np.array([handle.offsets[band - 1] for band in bands], dtype=np.float32)
    if np.any(scales != 1) or np.any(offsets != 0):
        values = values * scales[:, None, None] + offsets[:, None, None]
    return values[:, ::-1] if flipped else values


def _plain_reason(error: BaseException) -> str:
    text = str(error.__cause__ or error).splitlines()
    return text[0][:200] if text and text[0] else type(error).__name__
