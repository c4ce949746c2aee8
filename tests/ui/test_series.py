"""Series of everything with dates at a clicked point: values, units, gaps, the date of the map, and a table of them."""

from __future__ import annotations

import csv
import dataclasses
import math
from datetime import datetime, timedelta

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's own Python")

from qgis.core import QgsDateTimeRange, QgsPointXY, QgsProject, QgsRectangle
from qgis.gui import QgsMapCanvas

from freshet.plugin.inspection import inspect_source
from freshet.plugin.source_layers import Shown, add_sources
from freshet.plugin.temporal import to_qt
from freshet.ui.charts import Line, SeriesChart, SeriesData
from freshet.ui.choice import Choice
from freshet.ui.gaps import alone, broken
from freshet.ui.pages.maps import MapsPage
from freshet.ui.series import gauge_layers, gauge_line, line_at, series_layers, table_text

DAY = timedelta(days=1)
START = datetime(2000, 1, 1)


class FakeIface:
    """As much of QGIS as a page asks for."""

    def __init__(self, canvas):
        self._canvas = canvas

    def mapCanvas(self):  # noqa: N802 (QGIS's name)
        return self._canvas


@pytest.fixture
def sources(tmp_path, write_map):
    """Rain with a dry day and a missing one, temperature with a missing cell, a gauge in the south-west cell."""
    for day, value in ((1, 5.0), (2, 0.0), (4, 7.0), (5, 0.0)):
        write_map(tmp_path / "rain" / f"rain_2000-01-{day:02d}.tif", np.full((3, 4), value))
    for day in range(1, 6):
        values = np.full((3, 4), day / 2.0)
        values[0, 0] = np.nan if day == 3 else 1.0
        write_map(tmp_path / "temperature" / f"temperature_2000-01-{day:02d}.tif", values)
    rows = [f"G1,2000-01-0{day},4000500,2997500,{value}" for day, value in ((1, 0), (2, -9999), (3, 2))]
    (tmp_path / "q.csv").write_text("station,date,x,y,q_m3s\n" + "\n".join(rows))
    reports = [inspect_source(tmp_path / name)[0] for name in ("rain", "temperature", "q.csv")]
    reports[2] = dataclasses.replace(reports[2], crs="EPSG:3035")
    layers, faults = add_sources([Shown(report) for report in reports])
    assert faults == []
    return layers


@pytest.fixture
def page(qgis_app, runs, sources):
    canvas = QgsMapCanvas()
    canvas.setDestinationCrs(sources[0].crs())
    canvas.resize(400, 300)
    canvas.setExtent(QgsRectangle(4e6, 2.997e6, 4.004e6, 3e6))
    made = MapsPage(runs, Choice(), FakeIface(canvas))
    made.show()
    yield made
    made.release()
    made.close()


CELL = QgsPointXY(4_000_500.0, 2_999_500.0)
AT_THE_GAUGE = QgsPointXY(4_000_520.0, 2_997_510.0)


def test_zero_is_a_value_and_a_day_without_a_map_is_a_gap(sources):
    line = line_at(sources[0], CELL)
    assert line.values == [5.0, 0.0, 7.0, 0.0] and line.units == "mm/d"
    dates, values = broken(line)
    assert dates == [START, START + DAY, START + 2 * DAY, START + 3 * DAY, START + 4 * DAY]
    assert values[:2] == [5.0, 0.0] and math.isnan(values[2]) and values[3:] == [7.0, 0.0]


def test_a_missing_value_is_none_and_breaks_the_line(sources):
    assert line_at(sources[1], CELL).values == [1.0, 1.0, None, 1.0, 1.0]


def test_values_between_two_gaps_are_seen():
    nan = float("nan")
    assert alone([1.0, nan, 0.0, nan, 2.0, 3.0]) == [0, 2] and alone([]) == [] and alone([4.0]) == [0]


def test_months_of_different_length_are_no_gaps():
    dates = [datetime(2001, month, 1) for month in (1, 2, 3, 5)]
    assert [date.month for date in broken(Line(dates, [1, 2, 3, 4], "x", step_seconds=2629746.0))[0]] == [1, 2, 3, 4, 5]


def test_every_layer_with_dates_and_the_gauge_near_by_are_plotted(page, sources):
    assert series_layers(QgsProject.instance()) == sources[:2] and gauge_layers(QgsProject.instance()) == sources[2:]
    page.plot(CELL)
    assert [line.units for line in page._data.lines] == ["mm/d", "degC"]
    page.plot(AT_THE_GAUGE)
    assert [line.units for line in page._data.lines] == ["mm/d", "degC", "m3/s"]
    gauge = page._data.lines[2]
    assert gauge.values == [0.0, None, 2.0] and "G1" in gauge.label
    assert gauge_line(sources[2], QgsPointXY(4_003_000, 2_999_000), 500.0) is None


def test_each_unit_has_a_panel_and_the_cursor_follows_the_map(page):
    page.plot(AT_THE_GAUGE)
    canvas = page._iface.mapCanvas()
    canvas.setTemporalRange(QgsDateTimeRange(to_qt("2000-01-04"), to_qt("2000-01-05")))
    assert page._data.cursor == START + 3 * DAY
    page.chart.render_now()
    panels = page.chart.figure.axes
    assert [axes.get_ylabel() for axes in panels] == ["(mm/d)", "(degC)", "(m3/s)"]
    for axes in panels:
        cursor = next(line for line in axes.lines if line.get_color() == "#c0392b")
        assert cursor.get_xdata()[0] == START + 3 * DAY
    drawn = panels[0].lines[0]
    assert list(drawn.get_ydata())[:2] == [5.0, 0.0] and math.isnan(drawn.get_ydata()[2])
    canvas.setTemporalRange(QgsDateTimeRange(to_qt("2000-01-02"), to_qt("2000-01-03")))
    assert page._data.cursor == START + DAY


def test_the_plotted_series_are_saved_as_a_table(page, tmp_path):
    assert not page.export_button.isEnabled()
    page.plot(AT_THE_GAUGE)
    assert page.export_button.isEnabled()
    page.export(str(tmp_path / "series.csv"))
    with open(tmp_path / "series.csv", newline="", encoding="utf-8") as handle:
        rows = list(csv.reader(handle))
    assert rows[0][0] == "date" and [head.split(" [")[-1] for head in rows[0][1:]] == ["mm/d]", "degC]", "m3/s]"]
    assert rows[1:4] == [
        ["2000-01-01", "5.0", "0.5", "0.0"],
        ["2000-01-02", "0.0", "1.0", ""],
        ["2000-01-03", "", "1.5", "2.0"],
    ]
    page.export(str(tmp_path / "no" / "such" / "folder" / "x.csv"))
    assert (tmp_path / "no" / "such" / "folder" / "x.csv").exists() or "cannot be written" in page.notice.text()


def test_a_table_has_a_column_for_each_series_also_of_one_name():
    lines = [Line([START], [1.5], "Rain (mm)", "", "mm"), Line([START + DAY], [None], "Rain (mm)", "", "mm")]
    assert table_text(lines) == "date,Rain [mm],Rain 2 [mm]\n2000-01-01,1.5,\n2000-01-02,,\n"


def test_a_click_beside_everything_says_so_and_saves_nothing(page):
    page.plot(CELL)
    page.plot(QgsPointXY(0, 0))
    assert "No series at this point" in page.notice.text() and not page.export_button.isEnabled()


def test_a_single_value_is_drawn_as_a_point(qgis_app):
    chart = SeriesChart("chart")
    chart.show_data(SeriesData([Line([START, START + 3 * DAY], [0.0, 2.0], "q", "", "m3/s", 86400.0)]))
    chart.render_now()
    marks = [line for line in chart.figure.axes[0].lines if line.get_marker() == "."]
    assert list(marks[0].get_ydata()) == [0.0, 2.0]
