"""Details of one source: where its dates come from, what means missing, how it comes onto grid and clock."""

from __future__ import annotations

import dataclasses
import os
from datetime import timedelta
from typing import Any, Optional

from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QGridLayout, QLabel, QWidget

from ...core.contracts import FreshetError, SourceConfig
from ...core.contracts.dates import find_date_by, format_date, parse_date, step_of
from ...plugin.inspection import SourceReport
from ...plugin.raster_probe import netcdf_uri, open_raster
from ..forms import Form, config_fields
from ..text import tr

TIME_FIELDS = ("date_pattern", "start", "step_hours")
VALUE_FIELDS = ("nodata", "resampling", "aggregation")
# Words in the sentences of an inspection that a detail answers.
_ASKS_FOR_DATES = "Give the"  # "... the date pattern", "... the date of the first map"
_ASKS_FOR_NODATA = "Set it as the missing value"


def as_detailed(report: SourceReport, details: dict[str, Any]) -> SourceReport:
    """``report`` as it is with ``details`` (fields of its SourceConfig): its dates, and without answered complaints.

    Raises FreshetError for a pattern or a date that cannot be read.
    """
    problems = list(report.problems)
    changes: dict[str, Any] = {}
    found = _dates(report, details)
    if found is not None:
        dates, files = found
        changes = {"dates": dates, "files": files, "gaps": (), "step_seconds": _step(dates, details)}
        problems = [text for text in problems if _ASKS_FOR_DATES not in text]
    if details.get("nodata") is not None:
        problems = [text for text in problems if _ASKS_FOR_NODATA not in text]
        if details["nodata"] in (report.minimum, report.maximum):
            changes.update(minimum=float("nan"), maximum=float("nan"))  # the sample held what means missing
    return dataclasses.replace(report, problems=problems, **changes)


def _dates(report: SourceReport, details: dict[str, Any]) -> Optional[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Dates and files in their order, or None where the source's own dates stay."""
    pattern, start, hours = (details.get(name) for name in TIME_FIELDS)
    if pattern and report.files:
        named = [(find_date_by(pattern, os.path.splitext(os.path.basename(path))[0]), path) for path in report.files]
        known = sorted((date, path) for date, path in named if date is not None)
        if known or not start:
            return tuple(format_date(date) for date, _ in known), tuple(path for _, path in known) or report.files
    if not start or (report.dates and not pattern):
        return None
    first = parse_date(start, f"'{report.variable}': the first date")
    count = len(report.files) or _bands(report)
    step = timedelta(hours=hours or 0.0)
    dates = tuple(format_date(first + i * step) for i in range(count if hours else 1))
    return dates, report.files


def _step(dates: tuple[str, ...], details: dict[str, Any]) -> Optional[float]:
    return step_of([parse_date(date) for date in dates]) or (details.get("step_hours") or 0.0) * 3600.0 or None


def _bands(report: SourceReport) -> int:
    source = open_raster(netcdf_uri(report.path, report.layer) if report.layer else report.path)
    return int(source.RasterCount)


class SourceDetails(QWidget):
    """The fields for the selected source, rendered from the rules of SourceConfig, and what they lead to."""

    changed = pyqtSignal()

    def __init__(self, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName("freshetNewDetailsBody")
        self.time = Form(config_fields(SourceConfig, TIME_FIELDS), "freshetNewDetailsTime")
        self.values_form = Form(config_fields(SourceConfig, VALUE_FIELDS), "freshetNewDetailsValues")
        self.found = QLabel()
        self.found.setObjectName("freshetNewDetailsFound")
        self.found.setWordWrap(True)
        self.time.editors["date_pattern"].setPlaceholderText(tr("found, or e.g. %Y%m%d"))
        self.time.editors["start"].setPlaceholderText(tr("YYYY-MM-DD"))
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(14)
        for column, widget in enumerate((self.time, self.values_form, self.found)):
            grid.addWidget(widget, 0, column)
            grid.setColumnStretch(column, 1)
        self._report: Optional[SourceReport] = None
        for form in (self.time, self.values_form):
            form.changed.connect(self._on_changed)

    def show_source(self, report: Optional[SourceReport], details: dict[str, Any]) -> None:
        """Show the details of a source; None disables the fields."""
        self._report = report
        self.setEnabled(report is not None)
        for form in (self.time, self.values_form):
            form.blockSignals(True)
            form.reset()
            form.set_values(details)
            form.blockSignals(False)
        self.time.editors["date_pattern"].setEnabled(report is not None and bool(report.files))
        self._say()

    def values(self) -> dict[str, Any]:
        """The details that differ from the defaults; raises ConfigError for the first that cannot be read."""
        given = {**self.time.values(), **self.values_form.values()}
        return {name: value for name, value in given.items() if value not in ("", None)}

    def _on_changed(self) -> None:
        self._say()
        self.changed.emit()

    def _say(self) -> None:
        if self._report is None:
            self.found.setText(tr("Select a variable in the table."))
            return
        try:
            self.found.setText(found_words(as_detailed(self._report, self.values())))
        except FreshetError as error:
            self.found.setText(str(error))


def found_words(report: SourceReport) -> str:
    """What the first file or map is dated, and how far the dates reach."""
    if not report.dates:
        return tr("No dates: give a date pattern, or the first date and the step.") if report.role != "static" else ""
    reach = tr("{count} dates, {first} to {last}").format(
        count=len(report.dates), first=report.dates[0], last=report.dates[-1]
    )
    if report.files:
        return tr("{file} is {date}; {reach}").format(
            file=os.path.basename(report.files[0]), date=report.dates[0], reach=reach
        )
    return reach
