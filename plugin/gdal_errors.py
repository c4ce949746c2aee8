"""GDAL's messages as sentences of ours, not as lines on the error stream."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from osgeo import gdal

_lock = threading.Lock()
_inside = 0
_before = False


@contextlib.contextmanager
def quiet_gdal() -> Iterator[None]:
    """GDAL prints nothing inside; ask :func:`osgeo.gdal.GetLastErrorMsg` for what it would have said.

    GDAL's exceptions are switched off inside: which way they stand in QGIS depends on the other plugins. That switch is
    one for all threads, so the last to leave sets it back.
    """
    _enter()
    gdal.ErrorReset()
    gdal.PushErrorHandler("CPLQuietErrorHandler")
    try:
        yield
    finally:
        gdal.PopErrorHandler()
        _leave()


def _enter() -> None:
    global _inside, _before
    with _lock:
        if not _inside:
            _before = bool(gdal.GetUseExceptions())
            gdal.DontUseExceptions()
        _inside += 1


def _leave() -> None:
    global _inside
    with _lock:
        _inside -= 1
        if not _inside and _before:
            gdal.UseExceptions()
