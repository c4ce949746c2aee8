"""GDAL's messages as sentences of ours, not as lines on the error stream."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from osgeo import gdal


@contextlib.contextmanager
def quiet_gdal() -> Iterator[None]:
    """GDAL prints nothing inside; ask :func:`osgeo.gdal.GetLastErrorMsg` for what it would have said.

    GDAL's exceptions are switched off inside: which way they stand in QGIS depends on the other plugins.
    """
    exceptions = gdal.GetUseExceptions()
    gdal.DontUseExceptions()
    gdal.ErrorReset()
    gdal.PushErrorHandler("CPLQuietErrorHandler")
    try:
        yield
    finally:
        gdal.PopErrorHandler()
        if exceptions:
            gdal.UseExceptions()
