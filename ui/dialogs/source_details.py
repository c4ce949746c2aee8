"""Details of one source: where its dates come from, what means missing, how it comes onto grid and clock."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import QgsCoordinateReferenceSystem
from qgis.gui import QgsProjectionSelectionWidget
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QFormLayout, QGridLayout, QLabel, QPlainTextEdit, QVBoxLayout, QWidget

from ...core.contracts import FreshetError, SourceConfig
from ...core.contracts.config import rule_of
from ...core.contracts.dataset_job import PointsConfig
from ...plugin.inspection import SourceReport
from ..forms import Form, config_fields
from ..text import tr
from ..widgets import PathField
from .grid_fields import crs_text
from .pattern_field import PatternField, names_words
from .place_field import PlaceField
from .source_dates import as_detailed, found_words

TIME_FIELDS = ("start", "step_hours", "duplicates", "unreadable")
VALUE_FIELDS = ("nodata", "resampling", "aggregation", "fill", "fill_limit", "area_km2")
POINT_FIELDS = ("gridding", "station_column", "date_column", "x_column", "y_column", "variance")
_LISTED = 100
# Choices of the fields as words.
_CHOICES = {
    "duplicates": {
        "refuse": "refuse the source",
        "first": "keep the first",
        "last": "keep the last",
        "mean": "take their mean",
    },
    "unreadable": {"refuse": "refuse the source", "gap": "keep the date as a gap"},
    "fill": {
        "none": "keep gaps as gaps",
        "linear": "linear in time",
        "space": "inverse distance in space",
        "climatology": "mean of the time of the year",
    },
    "gridding": {
        "": "by role and places",
        "idw": "inverse distance",
        "kriging": "kriging",
        "everywhere": "the same everywhere",
        "cell": "in the cell of each gauge",
        "gauges": "series at the gauges",
    },
}


class Findings(QPlainTextEdit):
    """What the details lead to, to read and to scroll."""

    def __init__(self, name: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setReadOnly(True)
        self.setTabChangesFocus(True)
        self.setAccessibleName(tr("What was found"))
        self.setMinimumSize(14 * self.fontMetrics().averageCharWidth(), 5 * self.fontMetrics().height())

    def say(self, *parts: str) -> None:
        """Show what is not empty, a line apart; the place that is read stays."""
        words = "\n\n".join(part for part in parts if part)
        if words != self.toPlainText():
            self.setPlainText(words)

    def text(self) -> str:
        """All that is shown."""
        return str(self.toPlainText())


class SourceDetails(QWidget):
    """The fields for the selected source, rendered from the rules of SourceConfig, and what they lead to."""

    changed = pyqtSignal()

    def __init__(self, iface: Any = None, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName("freshetNewDetailsBody")
        self._report: Optional[SourceReport] = None
        self._names: tuple[str, ...] = ()
        self.pattern = PatternField("freshetNewDetailsPattern")
        self.date_table = PathField("freshetNewDetailsDates", tr("Table of dates"), "open", tr("Tables (*.csv *.txt)"))
        self.date_table.setToolTip(rule_of(SourceConfig, "date_table").help)
        self.time = Form(config_fields(SourceConfig, TIME_FIELDS), "freshetNewDetailsTime")
        self.values_form = Form(config_fields(SourceConfig, VALUE_FIELDS), "freshetNewDetailsValues")
        self.points = Form(config_fields(PointsConfig, POINT_FIELDS), "freshetNewDetailsPoints")
        self.crs = QgsProjectionSelectionWidget()
        self.crs.setObjectName("freshetNewDetailsCrs")
        self.crs.setMinimumWidth(80)
        self.stations = PathField(
            "freshetNewDetailsStations", tr("Table or point layer with the places of the stations")
        )
        self.stations.setToolTip(rule_of(PointsConfig, "stations").help)
        self.place = PlaceField("freshetNewDetailsPlace", tr("Place of the gauge"), self._own_crs, iface)
        self.found = Findings("freshetNewDetailsFound")
        self.time.editors["start"].setPlaceholderText(tr("YYYY-MM-DD"))
        for form in (self.time, self.values_form, self.points):
            _say_choices(form)
        self._lay_out()
        self._connect()

    def show_source(self, report: Optional[SourceReport], details: dict[str, Any]) -> None:
        """Show the details of a source; None disables the fields."""
        self._report = report
        self.setEnabled(report is not None)
        points = details.get("points") or (report.points if report is not None else PointsConfig())
        if report is not None and report.nodata is not None:
            details = {"nodata": report.nodata, **details}
        self.blockSignals(True)
        for form, values in (
            (self.time, details),
            (self.values_form, details),
            (self.points, points.to_dict()),
        ):
            form.reset()
            form.set_values(values)
        self.pattern.set_text(details.get("date_pattern") or "")
        self.pattern.show_found(report.date_pattern if report is not None else "")
        self.date_table.set_path(details.get("date_table") or "")
        self.stations.set_path(points.stations)
        self.place.set_value(points.place)
        own = report.crs if report is not None else ""
        self.crs.setCrs(QgsCoordinateReferenceSystem(details.get("crs") or own))
        self.crs.setEnabled(report is not None and (not report.crs or bool(report.assigned_crs)))
        self.blockSignals(False)
        self._fit(report)
        self._say()

    def renew(self, report: SourceReport) -> None:
        """Another report of the same source: what is typed stays."""
        self._report = report
        self.blockSignals(True)
        self._fit(report)
        self.blockSignals(False)
        self._say()

    @property
    def shown(self) -> Optional[SourceReport]:
        """The source whose details are shown, as it was found."""
        return self._report

    def values(self) -> dict[str, Any]:
        """The details that differ from the defaults; raises ConfigError for the first that cannot be read."""
        given = {
            "date_pattern": self.pattern.text() if self.pattern.isEnabled() else "",
            "date_table": self.date_table.path(),
            **self.time.values(),
            **self.values_form.values(),
            "crs": self._given_crs(),
        }
        usual = {item.name: item.default for item in config_fields(SourceConfig)}
        found = {k: value for k, value in given.items() if value not in ("", None) and value != usual.get(k)}
        if self._report is not None and self._report.nodata is not None:
            found.pop("nodata", None)
            if given["nodata"] != self._report.nodata:  # also where a person says that nothing of that kind is missing
                found["nodata"] = given["nodata"]
        if self._report is not None and self._report.form == "table":
            points = PointsConfig(stations=self.stations.path(), place=self.place.value(), **self.points.values())
            if points != self._report.points:
                found["points"] = points
        return found

    def focus_on(self, field: str) -> None:
        """Bring the cursor into a field: pattern, start, step_hours, nodata, crs."""
        known = {"pattern": self.pattern, "crs": self.crs, **self.time.editors, **self.values_form.editors}
        wanted = known[field]
        (wanted if wanted.isEnabled() else self.time.editors["start"]).setFocus()

    def release(self) -> None:
        """Give the map back."""
        self.place.release()

    def _lay_out(self) -> None:
        self._of_files, self._of_gauges = QWidget(), QWidget()
        self._of_files.setLayout(
            self._form((tr("Date pattern"), self.pattern), (tr("Table of dates"), self.date_table))
        )
        gauges = QVBoxLayout(self._of_gauges)
        gauges.setContentsMargins(0, 0, 0, 0)
        gauges.addLayout(self._form((tr("Stations"), self.stations), (tr("Place"), self.place)))
        gauges.addWidget(self.points)
        dates, values = QVBoxLayout(), QVBoxLayout()
        for widget in (self._of_files, self._of_gauges, self.time):
            dates.addWidget(widget)
        values.addWidget(self.values_form)
        values.addLayout(self._form((tr("CRS"), self.crs)))
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(14)
        for column, layout in enumerate((dates, values)):
            layout.addStretch(1)
            grid.addLayout(layout, 0, column)
            grid.setColumnStretch(column, 4)
        grid.addWidget(self.found, 0, 2)
        grid.setColumnStretch(2, 5)

    @staticmethod
    def _form(*rows: tuple[str, QWidget]) -> QFormLayout:
        layout = QFormLayout()
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        layout.setHorizontalSpacing(8)
        layout.setVerticalSpacing(5)
        for text, widget in rows:
            label = QLabel(text)
            label.setBuddy(widget)
            layout.addRow(label, widget)
        return layout

    def _connect(self) -> None:
        for form in (self.time, self.values_form, self.points):
            form.changed.connect(self._on_changed)
        for field in (self.pattern, self.place):
            field.changed.connect(self._on_changed)
        for path in (self.date_table, self.stations):
            path.changed.connect(lambda *_: self._on_changed())
        self.crs.crsChanged.connect(lambda *_: self._on_changed())

    def _fit(self, report: Optional[SourceReport]) -> None:
        """Only what this kind of source has can be typed."""
        table = report is not None and report.form == "table"
        self._of_gauges.setVisible(table)
        self._of_files.setVisible(not table)
        self.pattern.setEnabled(report is not None and bool(report.files))
        self.values_form.editors["resampling"].setEnabled(not table)

    def _own_crs(self) -> QgsCoordinateReferenceSystem:
        return self.crs.crs()

    def _given_crs(self) -> str:
        if self._report is None or not self.crs.isEnabled() or not self.crs.crs().isValid():
            return ""
        text = crs_text(self.crs.crs())
        return "" if text == self._report.assigned_crs else text

    def _on_changed(self) -> None:
        if self.signalsBlocked():
            return
        self._say()
        self.changed.emit()

    def _say(self) -> None:
        if self._report is None:
            self.found.say(tr("Select a variable in the table."))
            return
        try:
            names = names_words(self._report, self.pattern.text())
            report = as_detailed(self._report, self.values())
        except FreshetError as error:
            self.found.say(str(error))
            return
        guesses = [tr("Guessed: {why}").format(why=why) for why in report.guesses]
        self.found.say(found_words(report), names, stamp_words(report), "\n".join(guesses))


def stamp_words(report: SourceReport) -> str:
    """Missing, doubled and irregular dates and the names of sequences, the first hundred of each."""
    parts = (
        (tr("Missing"), report.gaps),
        (tr("Doubled"), report.doubled),
        (tr("Irregular"), report.irregular),
        (tr("Sequences"), report.sequences),
    )
    lines = []
    for title, items in parts:
        if items:
            more = tr(", and {count} more").format(count=len(items) - _LISTED) if len(items) > _LISTED else ""
            lines.append(f"{title} ({len(items)}): {', '.join(items[:_LISTED])}{more}")
    return "\n".join(lines)


def _say_choices(form: Form) -> None:
    for name, words in _CHOICES.items():
        combo = form.editors.get(name)
        for value, text in words.items() if combo is not None else ():
            combo.setItemText(combo.findData(value), tr(text))
