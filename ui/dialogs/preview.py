"""A look at one map of a source, before anything is built."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
from osgeo import gdal

from ...core.contracts import FreshetError
from ...core.contracts.variables import quantity
from ...plugin.inspection import SourceReport
from ...plugin.raster_probe import netcdf_uri, open_raster
from ..charts import Chart
from ..text import tr

_LARGEST = 300


def read_map(report: SourceReport, index: int, nodata: Optional[float] = None) -> np.ndarray:
    """Map ``index`` of a source, thinned to at most 300 cells a side, float (H, W), NaN where missing. DataError.

    ``nodata`` is a value that means missing beside the one that the file declares.
    """
    if report.files:
        uri, band_number = report.files[min(index, len(report.files) - 1)], 1
    else:
        uri, band_number = (netcdf_uri(report.path, report.layer) if report.layer else report.path), index + 1
    source = open_raster(uri)
    band: gdal.Band = source.GetRasterBand(min(band_number, source.RasterCount))
    scale = max(1.0, max(source.RasterXSize, source.RasterYSize) / _LARGEST)
    size = max(1, int(source.RasterXSize / scale)), max(1, int(source.RasterYSize / scale))
    values = band.ReadAsArray(buf_xsize=size[0], buf_ysize=size[1]).astype(float)
    for value in (band.GetNoDataValue(), nodata):
        if value is not None:
            values[np.isclose(values, value, rtol=1e-6, atol=0.0)] = np.nan
    values[~np.isfinite(values) | (np.abs(values) > 1e19)] = np.nan
    return values * (band.GetScale() or 1.0) + (band.GetOffset() or 0.0)


class Preview(Chart):
    """Draws ``(report, index, nodata)``: the map with colour bar, unit and date, and the histogram of its values."""

    def paint(self, figure: Any, data: tuple[SourceReport, int, Optional[float]]) -> None:
        """Draw the map on the left, the histogram on the right."""
        report, index, nodata = data
        try:
            values = read_map(report, index, nodata)
        except (FreshetError, RuntimeError) as error:
            figure.text(0.02, 0.5, str(error), fontsize=8, wrap=True)
            return
        axes, histogram = figure.subplots(1, 2, gridspec_kw={"width_ratios": [3, 2]})
        low, high = report.minimum, report.maximum
        fixed = (
            {"vmin": low, "vmax": high} if low < high else {}
        )  # one range for all dates, so that a dry day looks dry
        image = axes.imshow(values, cmap=_map_name(report), interpolation="nearest", **fixed)
        axes.set_axis_off()
        date = report.dates[min(index, len(report.dates) - 1)] if report.dates else tr("static")
        figure.suptitle(f"{report.label or report.variable}, {date}", fontsize=8, x=0.01, ha="left")
        bar = figure.colorbar(image, ax=axes, shrink=0.8)
        bar.ax.tick_params(labelsize=7)
        bar.ax.set_title(f"({report.units or '-'})", fontsize=7)
        finite = values[np.isfinite(values)]
        if finite.size:
            histogram.hist(finite, bins=30, color="#2b7bba")
        histogram.set_yticks([])
        for side in ("top", "right", "left"):
            histogram.spines[side].set_visible(False)
        histogram.tick_params(labelsize=7)
        histogram.set_xlabel(f"({report.units or '-'})", fontsize=7)


def _map_name(report: SourceReport) -> str:
    import matplotlib

    ramp = quantity(report.quantity).ramp
    known = {name.lower(): name for name in matplotlib.colormaps} if hasattr(matplotlib, "colormaps") else {}
    return known.get(ramp.lower(), "viridis")
