"""A look at one map of a source, before anything is built."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Optional

import numpy as np
from osgeo import gdal

from ...core.contracts import FreshetError
from ...core.contracts.dates import parse_date
from ...core.contracts.variables import quantity
from ...plugin.array_probe import probe_arrays
from ...plugin.gdal_errors import quiet_gdal
from ...plugin.inspection import SourceReport
from ...plugin.raster_probe import open_raster
from ...plugin.source_report import NETCDF_SUFFIXES
from ...plugin.stacks import of_sequence, stack
from ...plugin.table_reader import read_gauges
from ..charts import Chart
from ..text import tr

_LARGEST = 300
_MOST_LINES = 5
_MOST_OPEN = 3
_open: dict[tuple, gdal.Dataset] = {}
_MARKS = (-9999.0, -999.0)  # taken as missing in tables
_OUTLINE = "#c0392b"


@dataclass(frozen=True)
class Look:
    """What to draw: date ``index`` of a source, by the quantity and unit that its row has. ``rings`` (N, 2) and
    ``outlet`` are in the CRS of the source; ``nodata`` means missing beside what the file declares.
    """

    report: SourceReport
    index: int
    nodata: Optional[float] = None
    quantity: str = "other"
    units: str = "-"
    rings: tuple = ()
    outlet: Optional[tuple[float, float]] = None

    def at(self, index: int) -> Look:
        """The same source at another date."""
        return replace(self, index=index)


def read_map(report: SourceReport, index: int, nodata: Optional[float] = None) -> np.ndarray:
    """Map ``index`` of a source, thinned to at most 300 cells a side, float (H, W), NaN where missing; north-up.
    DataError.

    ``nodata`` is a value that means missing beside the one that the file declares.
    """
    return _read(report, index, nodata)[0]


def _read(report: SourceReport, index: int, nodata: Optional[float]) -> tuple[np.ndarray, tuple[float, ...]]:
    """The map and its west, east, south, north."""
    source, band_number = _opened(report, index)
    with quiet_gdal():
        band: gdal.Band = source.GetRasterBand(min(band_number, source.RasterCount))
        scale = max(1.0, max(source.RasterXSize, source.RasterYSize) / _LARGEST)
        size = max(1, int(source.RasterXSize / scale)), max(1, int(source.RasterYSize / scale))
        values = band.ReadAsArray(buf_xsize=size[0], buf_ysize=size[1])
        if values is None:
            raise RuntimeError(gdal.GetLastErrorMsg())
    values = values.astype(float)
    for value in (band.GetNoDataValue(), nodata):
        if value is not None:
            values[np.isclose(values, value, rtol=1e-6, atol=0.0)] = np.nan
    values[~np.isfinite(values) | (np.abs(values) > 1e19)] = np.nan
    values = values * (band.GetScale() or 1.0) + (band.GetOffset() or 0.0)
    transform = source.GetGeoTransform(can_return_null=True) or (0.0, 1.0, 0.0, float(values.shape[0]), 0.0, -1.0)
    west, cell_x, _, north, _, cell_y = transform
    south = north + cell_y * source.RasterYSize
    extent = (west, west + cell_x * source.RasterXSize, min(south, north), max(south, north))
    return (values[::-1] if cell_y > 0 else values), extent


def forget() -> None:
    """Close the files that are kept open for further dates."""
    _open.clear()


def _opened(report: SourceReport, index: int) -> tuple[gdal.Dataset, int]:
    """An open raster with the map of a date, and its band; of several sequences the first is shown.

    Variables of NetCDF and Zarr files, and what has no place of its own, come by way of a small file that lays them
    north-up, since GDAL may show their rows and columns in another order.
    """
    if report.sequences:
        report = of_sequence(report, "")
    uri, band = report.map_at(index)
    if not report.layer and (not all(report.cell) or _is_placed(uri)):
        return open_raster(uri), band
    key = (report.path, report.layer, len(report.dates), report.dates[:1], report.dates[-1:], report.files[:1])
    if key not in _open:
        path = report.files[0] if report.files else report.path
        arrays = report.layer and (path.lower().endswith(NETCDF_SUFFIXES) or os.path.isdir(path))
        if arrays and probe_arrays(path, report.layer)[0].layout in ("copied", "turned"):
            return open_raster(stack(_single(report, index, band), Path(_folder().name))), 1
        while len(_open) >= _MOST_OPEN:
            _open.pop(next(iter(_open)))
        _open[key] = open_raster(stack(report, Path(_folder().name)))
    return _open[key], index + 1


def _single(report: SourceReport, index: int, band: int) -> SourceReport:
    """The report of one date alone: a series that has to be copied or turned is too long to be so for one look."""
    number = report.places[index][0] if len(report.places) == max(1, len(report.dates)) else index
    files = report.files[min(number, len(report.files) - 1) :][:1]
    return replace(report, dates=report.dates[index : index + 1], files=files, places=((0, band),))


@lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory:
    """Where the small files of pictures lie until QGIS ends."""
    return tempfile.TemporaryDirectory(prefix="freshet-looks-")


@lru_cache(maxsize=64)
def _is_placed(uri: str) -> bool:
    transform = open_raster(uri).GetGeoTransform(can_return_null=True)
    return transform is not None and not transform[2] and not transform[4]


class Preview(Chart):
    """Draws a :class:`Look`: the map with colour bar, unit and date, and the histogram of its values."""

    def paint(self, figure: Any, data: Look) -> None:
        """Draw the map, or the series of gauges, on the left, the histogram on the right."""
        try:
            if data.report.form == "table":
                _paint_series(figure, data)
            else:
                _paint_map(figure, data)
        except (FreshetError, RuntimeError, OSError) as error:
            figure.clear()
            figure.text(0.02, 0.5, str(error), fontsize=8, wrap=True)


def _paint_map(figure: Any, data: Look) -> None:
    report = data.report
    values, extent = _read(report, data.index, data.nodata)
    axes, histogram = figure.subplots(1, 2, gridspec_kw={"width_ratios": [3, 2]})
    low, high = report.minimum, report.maximum
    # One range for all dates, so that a dry day looks dry.
    fixed = {"vmin": low, "vmax": high} if low < high else {}
    if fixed and low >= 0.0 and quantity(data.quantity).scaler == "log1p":
        # Rain and rivers are mostly small: a root lets them be seen beside the largest value.
        from matplotlib.colors import PowerNorm

        fixed = {"norm": PowerNorm(0.35, low, high)}
        histogram.set_yscale("log")
    image = axes.imshow(values, cmap=_map_name(data.quantity), interpolation="nearest", extent=extent, **fixed)
    _overlay(axes, data, extent)
    axes.set_axis_off()
    date = report.dates[min(data.index, len(report.dates) - 1)] if report.dates else tr("static")
    figure.suptitle(f"{report.label or report.variable}, {date}", fontsize=8, x=0.01, ha="left")
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.ax.tick_params(labelsize=7)
    bar.ax.set_title(f"({data.units or '-'})", fontsize=7)
    _paint_histogram(histogram, values, data.units)


def _paint_series(figure: Any, data: Look) -> None:
    """The first gauges over time, the chosen date marked."""
    report = data.report
    stations = report.points.stations
    gauges = read_gauges(report.path, report.layer, stations, os.path.getmtime(report.path.partition("|")[0]))
    axes, histogram = figure.subplots(1, 2, gridspec_kw={"width_ratios": [3, 2]})
    every = []
    for number, (name, dates, values) in enumerate(zip(gauges.ids, gauges.dates, gauges.values)):
        known = np.array([np.nan if value is None else value for value in values], dtype=float)
        known[np.isin(known, _MARKS if data.nodata is None else (*_MARKS, data.nodata))] = np.nan
        every.append(known)
        if number < _MOST_LINES:
            axes.plot(dates, known, lw=0.9, label=name)
    if report.dates:
        axes.axvline(parse_date(report.dates[min(data.index, len(report.dates) - 1)]), color=_OUTLINE, lw=1.0)
    if 1 < len(every):
        shown = tr("first {n} of {count} gauges").format(n=min(_MOST_LINES, len(every)), count=len(every))
        axes.legend(fontsize=6, frameon=False, loc="upper right", title=shown, title_fontsize=6)
    axes.set_ylabel(f"({data.units or '-'})", fontsize=7)
    axes.tick_params(labelsize=7)
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=2, maxticks=5)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.suptitle(report.label or report.variable, fontsize=8, x=0.01, ha="left")
    _paint_histogram(histogram, np.concatenate(every) if every else np.empty(0), data.units)


def _paint_histogram(histogram: Any, values: np.ndarray, units: str) -> None:
    finite = values[np.isfinite(values)]
    if finite.size:
        histogram.hist(finite, bins=30, color="#2b7bba")
    histogram.yaxis.set_visible(False)
    for side in ("top", "right", "left"):
        histogram.spines[side].set_visible(False)
    histogram.tick_params(labelsize=7)
    histogram.set_xlabel(f"({units or '-'})", fontsize=7)
    missing = 1.0 - finite.size / max(1, values.size)
    histogram.set_title(tr("{share:.0%} missing").format(share=missing), fontsize=7, loc="left")


def _overlay(axes: Any, data: Look, extent: tuple[float, ...]) -> None:
    """The basin's outline and its outlet, without widening the view."""
    for ring in data.rings:
        axes.plot(ring[:, 0], ring[:, 1], color=_OUTLINE, lw=1.0)
    if data.outlet is not None:
        axes.plot([data.outlet[0]], [data.outlet[1]], "o", mfc="none", mec=_OUTLINE, ms=6, mew=1.5)
    axes.set_xlim(*extent[:2])
    axes.set_ylim(*extent[2:])


def _map_name(name: str) -> str:
    import matplotlib

    ramp = quantity(name).ramp
    known = {item.lower(): item for item in matplotlib.colormaps} if hasattr(matplotlib, "colormaps") else {}
    return known.get(ramp.lower(), "viridis")
