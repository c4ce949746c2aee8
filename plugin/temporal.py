"""Time on the map: exactly one frame of each series at a time.

QGIS 3.38 and newer know a range of time per band. Before, a layer gets the whole period as its range, so that QGIS
hides it outside, and :class:`TemporalBands` puts the band of the current frame into its renderer. Every range ends
one second early at both ends: neighbouring frames that touch were shown together by several versions of QGIS.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from datetime import datetime, timedelta
from typing import Any, Optional, Union

from qgis.core import (
    Qgis,
    QgsDateTimeRange,
    QgsInterval,
    QgsProject,
    QgsRasterLayer,
    QgsTemporalNavigationObject,
    QgsUnitTypes,
)
from qgis.PyQt.QtCore import QDateTime, QObject, Qt

from ..core.contracts.dates import format_date, parse_date
from ..core.contracts.steps import advance, months_of

DATES_PROPERTY, STEP_PROPERTY = "freshet/dates", "freshet/step_seconds"
_INSET_SECONDS = 1.0
_EPOCH = datetime(1970, 1, 1)


def set_temporal(layer: QgsRasterLayer, dates: list[str], step_seconds: float) -> None:
    """Give a multi-band layer its dates (ISO, start of each band's step), kept with the layer in the project.

    Nothing happens for a map without dates or where their number is not that of the bands.
    """
    if not dates or len(dates) != layer.bandCount():
        return
    layer.setCustomProperty(DATES_PROPERTY, json.dumps(list(dates)))
    layer.setCustomProperty(STEP_PROPERTY, float(step_seconds))
    starts = [parse_date(text) for text in dates]
    properties = layer.temporalProperties()
    if has_range_per_band():
        properties.setMode(Qgis.RasterTemporalMode.FixedRangePerBand)
        ranges = {band: _shown_range(start, start, step_seconds) for band, start in enumerate(starts, start=1)}
        properties.setFixedRangePerBand(ranges)
    else:
        properties.setMode(Qgis.RasterTemporalMode.FixedTemporalRange)
        properties.setFixedTemporalRange(_shown_range(starts[0], starts[-1], step_seconds))
    properties.setIsActive(True)


def layer_dates(layer: Any) -> tuple[list[str], float]:
    """Dates and step (s) of a layer of Freshet; ([], 0.0) for any other."""
    text = layer.customProperty(DATES_PROPERTY) if isinstance(layer, QgsRasterLayer) else None
    try:
        dates = json.loads(text) if text else []
        return [str(date) for date in dates], float(layer.customProperty(STEP_PROPERTY, 86400.0)) if dates else 0.0
    except (TypeError, ValueError):
        return [], 0.0


def has_range_per_band() -> bool:
    """Whether this QGIS knows a range of time per band (3.38)."""
    return hasattr(Qgis.RasterTemporalMode, "FixedRangePerBand")


def to_qt(moment: Union[str, datetime]) -> QDateTime:
    """UTC date and time of Qt."""
    moment = parse_date(moment) if isinstance(moment, str) else moment
    return QDateTime.fromString(moment.strftime("%Y-%m-%dT%H:%M:%SZ"), Qt.DateFormat.ISODate)


def band_at(dates: list[datetime], step_seconds: float, begin: datetime, end: datetime) -> Optional[int]:
    """Band (from 1) of a frame [begin, end): the one whose step holds its begin, else the first that starts in it, else
    None.
    """
    index = bisect_right(dates, begin) - 1
    if index >= 0 and begin < advance(dates[index], 1, step_seconds):
        return index + 1
    return index + 2 if index + 1 < len(dates) and dates[index + 1] < end else None


class TemporalBands(QObject):
    """Keeps every series of the project on the band of the controller's current frame. Also after a project is
    reloaded.
    """

    def __init__(
        self,
        iface: Any = None,
        controller: Any = None,
        project: Optional[QgsProject] = None,
        parent: Optional[QObject] = None,
    ) -> None:
        """With ``iface``, the controller of the main canvas is used; a controller may be given in its place."""
        super().__init__(parent)
        self._project = project or QgsProject.instance()
        self._controller = (
            controller if controller is not None else iface.mapCanvas().temporalController() if iface else None
        )
        self._parsed: dict[str, tuple[str, list[datetime]]] = {}
        self._current: Optional[QgsDateTimeRange] = None
        self._project.layersAdded.connect(self._on_layers)
        if self._controller is not None:
            self._controller.updateTemporalRange.connect(self._on_range)

    @property
    def controller(self) -> Any:
        """The controller that is followed, or None."""
        return self._controller

    def set_range(
        self, begin: Union[str, datetime], end: Union[str, datetime], step_seconds: float, frame_seconds: float = 0.0
    ) -> None:
        """Let project and controller play from ``begin`` to ``end`` (starts of the first and the last step), one step a
        frame, or frames of another length.
        """
        end = parse_date(end) if isinstance(end, str) else end
        # A second less than the end of the last step: otherwise the controller adds a frame that holds nothing. (It
        # takes a month for 30 days when it counts frames, so that months may leave some empty ones at the end.)
        last = max(end + timedelta(seconds=1.0), advance(end, 1, step_seconds) - timedelta(seconds=1.0))
        whole = QgsDateTimeRange(to_qt(begin), to_qt(last))
        step_seconds = frame_seconds or step_seconds
        settings = self._project.timeSettings()
        settings.setTemporalRange(whole)
        settings.setTimeStepUnit(_unit_and_count(step_seconds)[0])
        settings.setTimeStep(_unit_and_count(step_seconds)[1])
        if self._controller is None:
            return
        self._controller.setTemporalExtents(whole)
        self._controller.setFrameDuration(_interval(step_seconds))
        self._controller.setNavigationMode(QgsTemporalNavigationObject.NavigationMode.Animated)
        self._controller.setCurrentFrameNumber(0)
        self._on_range(self._controller.dateTimeRangeForFrameNumber(0))

    def show(self, moment: Union[str, datetime]) -> None:
        """Go to the frame of this date."""
        if self._controller is not None:
            self._controller.setCurrentFrameNumber(self._controller.findBestFrameNumberForFrameStart(to_qt(moment)))

    def current_date(self) -> str:
        """ISO date of the start of the current frame; empty while nothing is played."""
        return format_date(_moment(self._current.begin())) if self._current is not None else ""

    def close(self) -> None:
        """Let go of the controller and the project."""
        self._project.layersAdded.disconnect(self._on_layers)
        if self._controller is not None:
            self._controller.updateTemporalRange.disconnect(self._on_range)
        self._controller = None

    def _on_range(self, frame: QgsDateTimeRange) -> None:
        usable = frame.begin().isValid() and frame.end().isValid()
        self._current = QgsDateTimeRange(frame) if usable else None
        self._on_layers(self._project.mapLayers().values())

    def _on_layers(self, layers: Any) -> None:
        if self._current is None or has_range_per_band():
            return
        begin, end = _moment(self._current.begin()), _moment(self._current.end())
        for layer in layers:
            texts, step = layer_dates(layer)
            if texts:
                self._put(layer, self._dates(layer, texts), step, begin, end)

    def _put(self, layer: QgsRasterLayer, dates: list[datetime], step: float, begin: datetime, end: datetime) -> None:
        band = band_at(dates, step, begin, end)
        if band is None:
            # In a gap the layer keeps only the time of the band that it has, so that QGIS hides it.
            shown = dates[min(layer_band(layer), len(dates)) - 1]
            _set_fixed_range(layer, _shown_range(shown, shown, step))
            return
        _set_fixed_range(layer, _shown_range(dates[0], dates[-1], step))
        if layer_band(layer) != band:
            _set_layer_band(layer, band)
            layer.triggerRepaint()

    def _dates(self, layer: QgsRasterLayer, texts: list[str]) -> list[datetime]:
        raw = str(layer.customProperty(DATES_PROPERTY))
        known = self._parsed.get(layer.id())
        if known is None or known[0] != raw:
            known = self._parsed[layer.id()] = (raw, [parse_date(text) for text in texts])
        return known[1]


def layer_band(layer: QgsRasterLayer) -> int:
    """The band that a single-band layer shows."""
    renderer = layer.renderer()
    for name in ("inputBand", "band", "grayBand"):
        if hasattr(renderer, name) and getattr(renderer, name)() > 0:
            return int(getattr(renderer, name)())
    return 1


def _set_layer_band(layer: QgsRasterLayer, band: int) -> None:
    renderer = layer.renderer()
    for name in ("setInputBand", "setBand", "setGrayBand"):
        if hasattr(renderer, name):
            getattr(renderer, name)(band)
            return


def _set_fixed_range(layer: QgsRasterLayer, wanted: QgsDateTimeRange) -> None:
    properties = layer.temporalProperties()
    if properties.fixedTemporalRange() != wanted:
        properties.setFixedTemporalRange(wanted)


def _shown_range(first: datetime, last: datetime, step_seconds: float) -> QgsDateTimeRange:
    """From the first start to the end of the last step, shorter by the inset at both ends."""
    inset = timedelta(seconds=_INSET_SECONDS if step_seconds > 2.0 * _INSET_SECONDS else 0.0)
    return QgsDateTimeRange(to_qt(first + inset), to_qt(advance(last, 1, step_seconds) - inset))


def _moment(value: QDateTime) -> datetime:
    return _EPOCH + timedelta(milliseconds=int(value.toMSecsSinceEpoch()))


def _interval(seconds: float) -> QgsInterval:
    interval, months = QgsInterval(), months_of(seconds)
    if months:
        interval.setMonths(months)
        return interval
    for size, name in ((86400.0, "setDays"), (3600.0, "setHours"), (60.0, "setMinutes")):
        if seconds >= size and seconds % size == 0:
            getattr(interval, name)(seconds / size)
            return interval
    interval.setSeconds(seconds)
    return interval


def _unit_and_count(seconds: float) -> tuple[Any, float]:
    units = Qgis.TemporalUnit if hasattr(Qgis, "TemporalUnit") else QgsUnitTypes.TemporalUnit
    if months_of(seconds):
        return getattr(units, "Months" if hasattr(units, "Months") else "TemporalMonths"), months_of(seconds)
    for size, name in ((86400.0, "Days"), (3600.0, "Hours"), (60.0, "Minutes")):
        if seconds >= size and seconds % size == 0:
            return getattr(units, name if hasattr(units, name) else f"Temporal{name}"), seconds / size
    return getattr(units, "Seconds" if hasattr(units, "Seconds") else "TemporalSeconds"), seconds
