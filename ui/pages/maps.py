"""Page Maps: the maps of a run onto the canvas and its time axis, and the series at a point."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import QgsPointXY, QgsProject
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtWidgets import QComboBox, QFileDialog, QLabel, QPushButton, QWidget

from ...core.contracts import Artifact, FreshetError, RunFolder, RunState
from ...core.contracts.dates import parse_date
from ...plugin.gauge_results import GaugeResult
from ...plugin.layers import RUN_PROPERTY, add_run_results
from ...plugin.runs import Runs
from ..charts import Line, SeriesChart, SeriesData
from ..choice import Choice
from ..gauge_panel import GaugePanel
from ..hydrographs import gauge_words, gauges_at, hydrograph_lines, place_of, points_crs, result_layers
from ..maptools import PointTool, ToolSwitch
from ..series import gauge_layers, gauge_line, line_at, point_in, rain_at, series_layers, write_table
from ..text import number, tr
from ..widgets import Notice, button, heading, narrow, row
from .page import Page
from .runs import WITH_GAUGES, WITH_MAPS, score_words

_NEAR_PX = 12  # so near to a gauge a click means it


class MapsPage(Page):
    """Adds the results of a run as one group, lists its gauges, and plots all series of the project at a clicked
    point.
    """

    name = "maps"

    def __init__(
        self, runs: Runs, choice: Choice, iface: Any = None, temporal: Any = None, parent: Optional[QWidget] = None
    ) -> None:
        super().__init__(parent)
        self._runs, self._choice, self._iface, self._temporal = runs, choice, iface, temporal
        self._point: Optional[QgsPointXY] = None
        self._tool: Optional[PointTool] = None
        self._data: Optional[SeriesData] = None
        self._gauge: Optional[tuple[GaugeResult, str]] = None
        self._shown_run: Optional[str] = ""
        self._scores: dict[str, str] = {}
        self._build()
        self._connect()
        self.refresh()

    def refresh(self) -> None:
        """Follow the list of runs."""
        found = [
            item
            for item in self._runs.runs()
            if item.verb in ("train", "finetune", "predict", "compare", "evaluate", "explain")
        ]
        self._scores = {item.path: score_words(item) for item in found}
        before = self._choice.run or self.run.currentData()
        self.run.blockSignals(True)
        self.run.clear()
        for item in found:
            if item.state is RunState.DONE:
                self.run.addItem(f"{item.title} ({item.created.replace('T', ' ')[:16]})", item.path)
        self.run.setCurrentIndex(max(0, self.run.findData(before)))
        self.run.blockSignals(False)
        known = self.run.count() > 0
        self.empty.say(
            ""
            if known
            else tr("No maps yet: train or predict first; series of the project can be plotted all the same.")
        )
        for widget in (self._run_label, self.run, self.add_button, self.held):
            widget.setVisible(known)
        self._show_run()

    def add_results(self) -> None:
        """Put the maps of the chosen run into the project, as one group, and set the temporal controller."""
        try:
            add_run_results(RunFolder(self.run.currentData()), QgsProject.instance(), self._iface, self._temporal)
        except FreshetError as error:
            self.notice.fail(error)
            return
        self.notice.clear_text()

    def plot(self, point: QgsPointXY) -> None:
        """Plot every series of the project at ``point`` (in the CRS of the map), at a gauge its hydrograph too."""
        self._point, self._gauge = point, None
        crs = self._map_crs()
        lines = self._lines(point, crs)
        if not lines:
            self.chart.setVisible(False)
            self.export_button.setEnabled(False)
            self.notice.say(tr("No series at this point: click inside the maps of a dataset or a result."), "warning")
            return
        words = tr("At x {x}, y {y}").format(x=number(point.x(), 7), y=number(point.y(), 7))
        if self._gauge is not None:
            result, gauge = self._gauge
            words = gauge_words(result, gauge, self.gauges.steps_ahead)
            self.gauges.mark(result, gauge)
        self._draw(SeriesData(lines, words, self._cursor(), self._rain(point, crs)))

    def plot_gauge(self, result: GaugeResult, gauge: str) -> None:
        """Plot the hydrograph of one gauge of a run: predicted against observed, with rain from above at its place."""
        self._point, self._gauge = None, (result, gauge)
        lines = hydrograph_lines(result, gauge, self.gauges.steps_ahead)
        if not lines:
            self.notice.say(tr("Gauge {gauge} has no series in this run.").format(gauge=gauge), "warning")
            return
        project = QgsProject.instance()
        place = place_of(result, gauge, points_crs(), project)
        rain = rain_at(result.run, place, points_crs(), project) if place is not None else None
        self._draw(SeriesData(lines, gauge_words(result, gauge, self.gauges.steps_ahead), self._cursor(), rain))
        there = place_of(result, gauge, self._map_crs(), project)
        if self._tool is not None and there is not None:
            self._tool.mark(there)

    def _map_crs(self) -> Any:
        return self._iface.mapCanvas().mapSettings().destinationCrs() if self._iface else QgsProject.instance().crs()

    def _draw(self, data: SeriesData) -> None:
        self.notice.clear_text()
        self._data = data
        self.export_button.setEnabled(True)
        self.chart.setVisible(True)
        self.chart.setMinimumHeight(min(480, 170 * len(data.panels()) + 40))
        self.chart.show_data(self._data)
        self._reveal.start()

    def _show_chart(self) -> None:
        self.ensureWidgetVisible(self.chart, 0, 4)

    def _plot_again(self) -> None:
        """Another lead was chosen."""
        if self._point is not None:
            self.plot(self._point)
        elif self._gauge is not None:
            self.plot_gauge(*self._gauge)

    def export(self, path: str = "") -> None:
        """Write the plotted series as CSV to ``path`` (empty: a person is asked)."""
        if self._data is None:
            return
        if not path:
            path, _ = QFileDialog.getSaveFileName(self, tr("Save the series"), "series.csv", tr("Tables (*.csv)"))
        if not path:
            return
        rain = [self._data.rain] if self._data.rain is not None else []
        try:
            write_table(path, [*self._data.lines, *rain])
        except OSError as error:
            self.notice.say(tr("The series cannot be written: {error}").format(error=error), "error")
            return
        self.notice.say(tr("Written: {path}").format(path=path))

    def _lines(self, point: QgsPointXY, crs: Any) -> list[Line]:
        """The series of all layers with dates at ``point``, and of the gauges near it."""
        project, lines, hydrographs = QgsProject.instance(), [], []
        for layer in series_layers(project):
            inside = point_in(point, crs, layer.crs(), project)
            line = line_at(layer, inside) if inside is not None else None
            if line is not None:
                lines.append(line)
        near = _NEAR_PX * self._iface.mapCanvas().mapUnitsPerPixel() if self._iface else 0.0
        for layer in gauge_layers(project):
            inside = point_in(point, crs, layer.crs(), project)
            edge = point_in(QgsPointXY(point.x() + near, point.y()), crs, layer.crs(), project)
            line = gauge_line(layer, inside, inside.distance(edge)) if inside is not None and edge is not None else None
            if line is not None:
                lines.append(line)
        for result, gauge in gauges_at(point, crs, near, project):
            found = hydrograph_lines(result, gauge, self.gauges.steps_ahead)
            if found and self._gauge is None:
                self._gauge = (result, gauge)
            hydrographs += found
        return hydrographs + lines

    def _rain(self, point: QgsPointXY, crs: Any) -> Optional[Line]:
        """Precipitation of the dataset that the shown results, else those of the chosen run, were made from."""
        project = QgsProject.instance()
        layers = [*result_layers(project), *series_layers(project)] if self._gauge else series_layers(project)
        shown = [str(layer.customProperty(RUN_PROPERTY) or "") for layer in layers]
        run = next((path for path in shown if path), self.run.currentData())
        return rain_at(run, point, crs, project) if run else None

    def release(self) -> None:
        """Give the map back and let go of runs, project and controller."""
        self._reveal.stop()
        self._runs.changed.disconnect(self.refresh)
        QgsProject.instance().cleared.disconnect(self._forget_point)
        if self._iface is None:
            return
        self.plot_button.setChecked(False)
        if self._tool is not None:
            self._tool.clear()
            self._tool.deleteLater()
        self._iface.mapCanvas().temporalRangeChanged.disconnect(self._move_cursor)

    def _build(self) -> None:
        self._run_label = QLabel(tr("Run"))
        self.run = narrow(QComboBox())
        self.run.setObjectName("freshetMapsRun")
        self.run.setToolTip(tr("The run whose maps are shown."))
        self._run_label.setBuddy(self.run)
        self.body.addLayout(row(self._run_label, self.run, stretch=False))
        self.held = QLabel()
        self.held.setObjectName("freshetMapsHeld")
        self.held.setWordWrap(True)
        self.body.addWidget(self.held)
        self.add_button = button(
            tr("Add to the map"), "freshetMapsAdd", self.add_results, tr("One group of styled layers on one time axis.")
        )
        self.body.addLayout(row(self.add_button))
        self.gauges = GaugePanel("freshetMapsGauges")
        self.body.addWidget(self.gauges)
        self._series_heading = heading(tr("Series at a point"), "freshetMapsSeriesHeading")
        self.body.addWidget(self._series_heading)
        self.plot_button = QPushButton(tr("Plot at a point"))
        self.plot_button.setObjectName("freshetMapsPlot")
        self.plot_button.setCheckable(True)
        self.plot_button.setToolTip(tr("Click on the map: the series of all layers with dates at that place."))
        self.plot_button.setEnabled(self._iface is not None)
        self.plot_button.toggled.connect(self._toggle_plot)
        self.export_button = button(
            tr("Save values ..."), "freshetMapsExport", self.export, tr("The plotted series as a table (CSV).")
        )
        self.export_button.setEnabled(False)
        self.body.addLayout(row(self.plot_button, self.export_button))
        self.notice = Notice("freshetMapsNotice")
        self.body.addWidget(self.notice)
        self.chart = SeriesChart("freshetMapsSeries", 220)
        self._reveal = QTimer(self)  # once the page has made room for the chart
        self._reveal.setSingleShot(True)
        self._reveal.timeout.connect(self._show_chart)
        self.chart.setVisible(False)
        self.body.addWidget(self.chart)
        self.close_column()

    def _connect(self) -> None:
        self._runs.changed.connect(self.refresh)
        QgsProject.instance().cleared.connect(self._forget_point)
        self._choice.runChanged.connect(self._follow)
        self.run.currentIndexChanged.connect(self._show_run)
        self.gauges.picked.connect(self.plot_gauge)
        self.gauges.leadChanged.connect(self._plot_again)
        if self._iface is not None:
            canvas = self._iface.mapCanvas()
            self._switch = ToolSwitch(canvas)
            self._tool = PointTool(canvas)
            self._tool.picked.connect(self.plot)
            self._tool.deactivated.connect(self._on_tool_left)
            canvas.temporalRangeChanged.connect(self._move_cursor)

    def _follow(self, path: str) -> None:
        if self.run.findData(path) >= 0:
            self.run.setCurrentIndex(self.run.findData(path))

    def _show_run(self, *_: Any) -> None:
        path = self.run.currentData()
        if path == self._shown_run:
            return  # the list of runs was read again; a choice among gauges stays
        self._shown_run = path
        artifacts = maps_of(RunFolder(path)) if path else []
        # The points of gauges stand in the table below, with their scores.
        lines = [f"{item.title}: {_dates_words(item)}" for item in artifacts if item.kind != "gauges"]
        score = self._scores.get(path, "")
        lines += [tr("All together: {score}").format(score=score)] if score else []
        self.held.setText("\n".join(lines) if lines else tr("This run has no maps."))
        self.add_button.setEnabled(any(item.kind != "series" for item in artifacts))
        self.gauges.show_run(RunFolder(path) if path else None)

    def _toggle_plot(self, on: bool) -> None:
        if on:
            self._switch.use(self._tool)
            project = QgsProject.instance()
            if not (series_layers(project) or gauge_layers(project) or result_layers(project)):
                self.notice.say(
                    tr("No layer with dates yet: add the maps of a run, or show a variable from the page Data."),
                    "warning",
                )
        else:
            self._switch.leave(self._tool)

    def _on_tool_left(self) -> None:
        self.plot_button.setChecked(False)

    def _move_cursor(self) -> None:
        if self._data is not None and self.chart.isVisible():
            self._data.cursor = self._cursor()
            self.chart.show_data(self._data)

    def _forget_point(self) -> None:
        """Another project: series of the old one would stand there as if they were of this one."""
        self._point, self._data, self._gauge = None, None, None
        self.export_button.setEnabled(False)
        self.chart.setVisible(False)
        if self._tool is not None:
            self._tool.clear()

    def _cursor(self) -> Any:
        if self._iface is None:
            return None
        span = self._iface.mapCanvas().temporalRange()
        begin = span.begin()
        return parse_date(begin.toUTC().toString("yyyy-MM-ddTHH:mm:ss")) if begin.isValid() else None


def maps_of(run: RunFolder) -> list[Artifact]:
    """The maps, and the series and gauges, that a run has given."""
    try:
        return [item for item in run.artifacts() if item.kind in (*WITH_MAPS, *WITH_GAUGES)]
    except FreshetError:
        return []


def _dates_words(item: Artifact) -> str:
    if item.kind == "series":
        return tr("{first} to {last}").format(first=item.dates[0][:10], last=item.dates[-1][:10]) if item.dates else "-"
    if not item.dates:
        return tr("one map")
    return tr("{count} maps, {first} to {last}").format(
        count=len(item.dates), first=item.dates[0][:10], last=item.dates[-1][:10]
    )
