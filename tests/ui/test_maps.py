"""Series at a point, map tools, and what happens when a run ends."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's own Python")

from qgis.core import QgsCoordinateReferenceSystem, QgsPointXY, QgsProject, QgsRasterLayer
from qgis.gui import QgsMapCanvas

from freshet.core.contracts import Artifact, Event, EventKind, GridConfig, PrepareJob, RunState, SourceConfig
from freshet.plugin.datasets import Datasets
from freshet.plugin.temporal import set_temporal
from freshet.ui.choice import Choice
from freshet.ui.follow_up import FollowUp
from freshet.ui.maptools import PointTool, PolygonTool, ToolSwitch
from freshet.ui.series import line_at, point_in, series_layers


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
