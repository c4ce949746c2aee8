"""Series at a point, map tools, and what happens when a run ends."""

from __future__ import annotations

import json
from datetime import datetime

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's own Python")

from qgis.core import QgsCoordinateReferenceSystem, QgsPointXY, QgsProject, QgsRasterLayer
from qgis.gui import QgsMapCanvas

from freshet.core.contracts import Artifact, Event, EventKind, GridConfig, PrepareJob, RunState, SourceConfig, TrainJob
from freshet.plugin.datasets import Datasets
from freshet.plugin.temporal import set_temporal
from freshet.ui.charts import Line, SeriesChart, SeriesData
from freshet.ui.choice import Choice
from freshet.ui.follow_up import FollowUp
from freshet.ui.maptools import PointTool, PolygonTool, ToolSwitch
from freshet.ui.series import line_at, point_in, rain_at, series_layers


@pytest.fixture
def series(tmp_path):
    """A raster of three dated bands whose values are band + row / 10, one cell missing in band 2."""
    from osgeo import gdal

    values = np.arange(1, 4)[:, None, None] + np.arange(3)[None, :, None] / 10 + np.zeros((3, 3, 4))
    values[1, 0, 0] = -9999
    path = tmp_path / "series.tif"
    made = gdal.GetDriverByName("GTiff").Create(str(path), 4, 3, 3, gdal.GDT_Float32)
    made.SetGeoTransform((0, 10, 0, 30, 0, -10))
    made.SetProjection(QgsCoordinateReferenceSystem("EPSG:3035").toWkt())
    for band in range(3):
        made.GetRasterBand(band + 1).SetNoDataValue(-9999)
        made.GetRasterBand(band + 1).WriteArray(values[band])
    made.FlushCache()
    del made
    layer = QgsRasterLayer(str(path), "Soil moisture, observed (-)", "gdal")
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:3035"))
    set_temporal(layer, ["1990-01-01", "1990-01-02", "1990-01-03"], 86400.0)
    layer.setCustomProperty("freshet/kind", "observed")
    QgsProject.instance().addMapLayer(layer)
    return layer


def test_the_series_at_a_cell_are_the_values_of_its_bands(series):
    line = line_at(series, QgsPointXY(25, 15))
    assert line.values == pytest.approx([1.1, 2.1, 3.1])
    assert (line.kind, line.units, line.dates[0].year) == ("observed", "-", 1990)


def test_missing_values_stay_missing_and_outside_there_is_none(series):
    assert line_at(series, QgsPointXY(5, 25)).values == [pytest.approx(1.0), None, pytest.approx(3.0)]
    assert line_at(series, QgsPointXY(500, 15)) is None


def test_only_layers_with_dates_give_series(series):
    plain = QgsRasterLayer(series.source(), "plain", "gdal")
    QgsProject.instance().addMapLayer(plain)
    assert series_layers(QgsProject.instance()) == [series]


def test_a_point_is_not_taken_where_a_crs_is_missing():
    known, none = QgsCoordinateReferenceSystem("EPSG:4326"), QgsCoordinateReferenceSystem()
    assert point_in(QgsPointXY(6, 49), known, none, QgsProject.instance()) is None
    moved = point_in(QgsPointXY(10, 52), known, QgsCoordinateReferenceSystem("EPSG:3035"), QgsProject.instance())
    assert (moved.x(), moved.y()) == (pytest.approx(4321000.0), pytest.approx(3210000.0))


def test_the_point_tool_tells_of_a_point_and_cleans_up(qgis_app):
    canvas = QgsMapCanvas()
    items = len(canvas.scene().items())
    tool, found = PointTool(canvas), []
    tool.picked.connect(found.append)
    tool.pick(QgsPointXY(1, 2))
    assert found == [QgsPointXY(1, 2)] and len(canvas.scene().items()) == items + 1
    tool.clear()
    assert len(canvas.scene().items()) == items


def test_the_polygon_tool_needs_three_corners(qgis_app):
    canvas = QgsMapCanvas()
    tool, found = PolygonTool(canvas), []
    tool.drawn.connect(found.append)
    for corners in ([(0, 0), (1, 0)], [(0, 0), (1, 0), (1, 1)]):
        for corner in corners:
            tool.add(QgsPointXY(*corner))
        tool.finish()
    assert len(found) == 1 and found[0].area() == pytest.approx(0.5)
    tool.clear()


def test_the_map_is_given_back_to_the_tool_before(qgis_app):
    canvas = QgsMapCanvas()
    before, tool = PointTool(canvas), PointTool(canvas)
    canvas.setMapTool(before)
    switch = ToolSwitch(canvas)
    switch.use(tool)
    assert canvas.mapTool() is tool
    switch.leave(tool)
    assert canvas.mapTool() is before


def test_a_finished_dataset_joins_the_project(qgis_app, runs, write_dataset_file):
    datasets, choice = Datasets(), Choice()
    follow = FollowUp(runs, datasets, choice)
    path = write_dataset_file()
    source = SourceConfig(variable="rain", path="/rain")
    run = runs.submit("prepare", PrepareJob("b", (source,), path, GridConfig(like="rain")))
    run.append(Event(EventKind.ARTIFACT, Artifact(kind="dataset", path=path).to_dict()))
    runs.ended.emit(str(run.path), RunState.FAILED)
    assert datasets.paths() == []
    runs.ended.emit(str(run.path), RunState.DONE)
    assert datasets.paths() == [path] and choice.dataset == path
    follow.release()
    datasets.close()


@pytest.fixture
def rainy_run(runs, write_dataset):
    """A training on a dataset of three days of rain whose values are day + row / 10 + column / 100."""
    rain = np.arange(1.0, 4.0)[:, None, None] + np.arange(3)[None, :, None] / 10 + np.arange(4)[None, None, :] / 100
    grid = {"crs": "EPSG:3035", "west": 4e6, "north": 3e6, "cell_x": 1e3, "cell_y": 1e3, "columns": 4, "rows": 3}
    about = {
        "version": 1, "name": "Rainy", "grid": grid, "start": "1990-01-01", "end": "1990-01-03", "steps": 3,
        "step_seconds": 86400.0, "calendar": "standard", "gaps": [], "fingerprint": "",
        "variables": [
            {"name": "pre", "role": "input", "quantity": "precipitation", "units": "mm/d", "label": "Precipitation"}
        ],
    }  # fmt: skip
    path = write_dataset("rainy", {"pre": rain}, json.dumps(about))
    return runs.submit("train", TrainJob(datasets=(path,), target="q", inputs=("pre",)), "Rainy")


def test_the_rain_at_a_place_is_that_of_the_dataset_of_the_run(rainy_run):
    crs = QgsCoordinateReferenceSystem("EPSG:3035")
    line = rain_at(str(rainy_run.path), QgsPointXY(4_002_500, 2_998_500), crs, QgsProject.instance())
    assert line.values == pytest.approx([1.12, 2.12, 3.12])
    assert (line.label, line.units, line.dates[2].isoformat()[:10]) == ("Precipitation", "mm/d", "1990-01-03")
    assert rain_at(str(rainy_run.path), QgsPointXY(0, 0), crs, QgsProject.instance()) is None
    assert rain_at("/no/run", QgsPointXY(4_002_500, 2_998_500), crs, QgsProject.instance()) is None


def test_rain_hangs_from_above_within_the_dates_of_the_series(qgis_app):
    dates = [datetime(1990, 1, day) for day in range(1, 8)]
    rain = Line(dates, [0.0, 5.0, None, 9.0, 0.0, 0.0, 80.0], "Rain", "rain", "mm/d")
    chart = SeriesChart("chart")
    chart.show_data(SeriesData([Line(dates[1:5], [0.1, 0.2, 0.3, 0.2], "sm", "predicted", "-")], "", dates[3], rain))
    chart.render_now()
    series, above = chart.figure.axes
    low, high = above.get_ylim()
    assert (low, high) == (27.0, 0.0)  # the 80 lies outside the dates of the series
    assert "Rain (mm/d)" in above.get_ylabel()
    assert any(line.get_color() == "#c0392b" for line in series.lines)  # the cursor
