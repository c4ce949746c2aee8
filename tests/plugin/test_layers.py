"""Colours mean what the legend says, and the map shows exactly one frame of a series at a time."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="the plugin needs QGIS's own Python")

from qgis.core import (
    QgsMapRendererSequentialJob,
    QgsMapSettings,
    QgsProject,
    QgsRasterLayer,
    QgsStyle,
    QgsTemporalNavigationObject,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor

from freshet.core.contracts import Artifact, CompareJob, DataError, Event, EventKind, RunFolder
from freshet.core.contracts.steps import MONTH
from freshet.core.contracts.variables import CATALOGUE
from freshet.plugin import ramps, temporal
from freshet.plugin.layers import _node, add_run_results
from freshet.plugin.source_layers import add_temporal_series
from freshet.plugin.styling import artifact_for, breaks, short_number, style_raster, value_range
from freshet.plugin.temporal import TemporalBands, band_at, layer_band, layer_dates, set_temporal

DATES = ("1990-01-01", "1990-01-02", "1990-01-03", "1990-01-05")
VALUES = (-2.0, 0.0, 1.0, 2.0)
DELTA = Artifact(
    kind="delta", path="x", title="Delta (mm)", units="mm", ramp="RdBu", minimum=-2.0, maximum=2.0, dates=DATES
)


@pytest.fixture
def series(write_raster):
    """Four bands, each of one value, with a missing cell in the east."""
    values = np.stack([np.full((2, 4), value) for value in VALUES])
    values[:, :, 3] = -9999.0
    return write_raster("delta.tif", values, dates=DATES)


@pytest.fixture
def controller(qgis_app):
    return QgsTemporalNavigationObject()


@pytest.fixture
def bands(project, controller):
    made = TemporalBands(controller=controller, project=project)
    yield made
    made.close()


def _colour(layer, frame=None, at=(0.3, 0.5)):
    """Colour of the map at a share of its width and height; white where nothing is drawn."""
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(layer.crs())
    settings.setExtent(layer.extent())
    settings.setOutputSize(QSize(80, 40))
    settings.setBackgroundColor(QColor("white"))
    if frame is not None:
        settings.setIsTemporal(True)
        settings.setTemporalRange(frame)
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    image = job.renderedImage()
    return QColor(image.pixel(int(at[0] * image.width()), int(at[1] * image.height()))).name()


def _layer(path, artifact, project=None):
    layer = QgsRasterLayer(path, "series")
    style_raster(layer, artifact)
    set_temporal(layer, list(artifact.dates), artifact.step_seconds)
    if project is not None:
        project.addMapLayer(layer)
    return layer


def _items(layer):
    return layer.renderer().shader().rasterShaderFunction().colorRampItemList()


def test_delta_is_neutral_exactly_at_zero_red_below_and_blue_above(series):
    layer = _layer(series, DELTA)
    middle = _items(layer)[10]
    assert abs(middle.value) < 1e-9 and middle.color.name() == "#f7f7f7"
    assert (_items(layer)[0].value, _items(layer)[-1].value) == (-2.0, 2.0)
    dry, wet = _items(layer)[2].color, _items(layer)[-3].color
    assert dry.red() > dry.blue() and wet.blue() > wet.red()


@pytest.mark.parametrize("band, stop", [(1, 0), (2, 10), (3, 15), (4, 20)])
def test_drawn_colour_is_that_of_the_value(series, band, stop):
    layer = QgsRasterLayer(series, "delta")
    style_raster(layer, DELTA, band)
    assert _colour(layer) == ramps.stops("RdBu")[stop][1].name()


def test_missing_cells_are_transparent(series):
    assert _colour(_layer(series, DELTA), at=(0.9, 0.5)) == "#ffffff"


def test_values_beyond_the_range_take_the_colour_of_its_end(series):
    layer = _layer(series, DELTA.replace(minimum=-1.0, maximum=1.0))
    assert _colour(layer) == ramps.stops("RdBu")[0][1].name()


def test_delta_range_is_made_symmetric_and_an_empty_range_is_widened():
    assert value_range(DELTA.replace(minimum=-1.0, maximum=3.0)) == (-3.0, 3.0)
    low, high = value_range(Artifact(kind="predicted", path="x", minimum=5.0, maximum=5.0))
    assert low == 5.0 < high
    assert value_range(Artifact(kind="predicted", path="x", minimum=0.2, maximum=0.7)) == (0.2, 0.7)


def test_legend_names_the_unit_and_no_stretch_is_left(series):
    layer = _layer(series, DELTA)
    assert layer.renderer().shader().rasterShaderFunction().legendSettings().suffix() == " mm"
    assert (layer.renderer().classificationMin(), layer.renderer().classificationMax()) == (-2.0, 2.0)
    assert layer.resampleFilter().zoomedInResampler() is None


def test_ramps_are_the_same_without_a_style_database(qgis_app, monkeypatch):
    with_style = {name: [c.name() for _, c in ramps.stops(name)] for name in ("RdBu", "BrBG", "YlGnBu")}
    monkeypatch.setattr(QgsStyle, "defaultStyle", staticmethod(QgsStyle))
    for name, colours in with_style.items():
        own = [c.name() for _, c in ramps.stops(name)]
        assert (own[0], own[10], own[-1]) == (colours[0], colours[10], colours[-1])
    assert [c.name() for _, c in ramps.stops("no such ramp")] == [c.name() for _, c in ramps.stops("Viridis")]


def test_every_ramp_of_the_catalogue_is_there_with_and_without_a_style_database(qgis_app, monkeypatch):
    names = sorted({entry.ramp for entry in CATALOGUE})
    known = QgsStyle.defaultStyle().colorRampNames()
    assert {name[:-2] if name.endswith("_r") else name for name in names} <= set(known)
    with_style = {name: [c.name() for _, c in ramps.stops(name)] for name in names}
    assert len({tuple(colours) for colours in with_style.values()}) == len(names)
    monkeypatch.setattr(QgsStyle, "defaultStyle", staticmethod(QgsStyle))
    for name, colours in with_style.items():
        own = [c.name() for _, c in ramps.stops(name)]
        assert (own[0], own[-1]) == (colours[0], colours[-1]), name
        middle = [abs(a - b) for a, b in zip(QColor(own[10]).getRgb(), QColor(colours[10]).getRgb())]
        assert max(middle) <= 12, name


def test_many_magnitudes_get_colours_by_their_logarithm_and_labels_in_true_units(write_raster, qgis_app):
    values = np.array([0.0, 1.0, 10.0, 100.0, 1000.0]).reshape(5, 1, 1) * np.ones((5, 2, 4))
    layer = QgsRasterLayer(write_raster("iw.tif", values), "inwater")
    artifact = artifact_for("inwater", "Inwater", "mm/d", 0.0, 1000.0, (), 86400.0)
    assert artifact.stretch == "log"
    style_raster(layer, artifact)
    items = _items(layer)
    assert [item.label for item in items] == [f"{v} mm/d" for v in (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)]
    assert [item.value for item in items] == [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
    node = _node(layer)  # all of its classes stand in the legend, a bar is one
    assert node.customProperty("legend/node-order") == ",".join(str(number + 1) for number in range(len(items)))
    assert not layer.renderer().shader().rasterShaderFunction().legendSettings().useContinuousLegend()
    drawn = []
    for band in range(1, 6):
        layer.renderer().setBand(band)
        drawn.append(_colour(layer))
    places = [np.log1p(v / 1000.0 * 999.0) / np.log(1000.0) for v in (0, 1, 10, 100, 1000)]
    assert drawn == [ramps.gradient("YlGnBu").color(float(at)).name() for at in places]
    assert len(set(drawn)) == 5


def test_a_range_above_zero_spans_its_own_decades_and_no_more_than_colours_tell():
    area = Artifact(kind="series", path="x", ramp="Viridis", stretch="log", minimum=0.01, maximum=100.0)
    assert [value for value, _ in breaks(area)][::3] == [0.01, 0.1, 1.0, 10.0, 100.0]
    assert [at for _, at in breaks(area)][::3] == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0])
    noise = area.replace(minimum=1e-12)
    assert breaks(noise)[0] == (1e-12, 0.0) and breaks(noise)[1][0] >= 1e-3
    narrow = breaks(area.replace(minimum=900.0, maximum=1000.0))
    assert narrow[0] == (900.0, 0.0) and narrow[-1] == (1000.0, 1.0)


def test_a_root_and_what_cannot_be_curved():
    rooted = Artifact(kind="series", path="x", ramp="Blues", stretch="sqrt", minimum=0.0, maximum=100.0)
    assert dict(breaks(rooted))[50.0] == pytest.approx(0.5**0.5) and breaks(rooted)[-1] == (100.0, 1.0)
    straight = [at for _, at in breaks(rooted.replace(stretch=""))]
    assert len(straight) == 21 and straight[5] == 0.25
    for other in ({"minimum": -1.0}, {"kind": "delta"}, {"ramp": "BrBG"}, {"stretch": "linear"}):
        assert len(breaks(rooted.replace(**other))) == 21
    values = [value for value, _ in breaks(rooted)]
    assert values == sorted(set(values))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.02, "0.02"),
        (12.0, "12"),
        (900.0, "900"),
        (123456.0, "123456"),
        (0.012345, "0.0123"),
        (2e8, "2e+08"),
    ],
)
def test_numbers_of_a_legend_are_short(value, text):
    assert short_number(value) == text


def test_a_ramp_can_be_turned_round(qgis_app):
    assert [c.name() for _, c in ramps.stops("RdYlBu_r")] == [c.name() for _, c in ramps.stops("RdYlBu")][::-1]


def test_each_frame_shows_its_own_band(series, project, bands, controller):
    layer = _layer(series, DELTA, project)
    bands.set_range(DATES[0], DATES[-1], 86400.0)
    assert controller.totalFrameCount() == 5
    seen = []
    for number in range(3):
        controller.setCurrentFrameNumber(number)
        seen.append(_colour(layer, controller.dateTimeRangeForFrameNumber(number)))
    assert seen == [ramps.stops("RdBu")[stop][1].name() for stop in (0, 10, 15)]


def test_a_frame_in_a_gap_shows_nothing_and_the_next_one_its_band(series, project, bands, controller):
    layer = _layer(series, DELTA, project)
    bands.set_range(DATES[0], DATES[-1], 86400.0)
    controller.setCurrentFrameNumber(2)
    controller.setCurrentFrameNumber(3)  # 4 January is missing
    assert _colour(layer, controller.dateTimeRangeForFrameNumber(3)) == "#ffffff"
    controller.setCurrentFrameNumber(4)
    assert _colour(layer, controller.dateTimeRangeForFrameNumber(4)) == ramps.stops("RdBu")[20][1].name()


def test_months_play_a_frame_a_month(write_raster, project, bands, controller):
    dates = ("2004-01-01", "2004-02-01", "2004-03-01", "2004-05-01")
    path = write_raster("months.tif", np.stack([np.full((2, 4), value) for value in VALUES]), dates=dates)
    layer = _layer(path, replace(DELTA, dates=dates, step_seconds=MONTH), project)
    bands.set_range(dates[0], dates[-1], MONTH)
    shown = []
    for frame in range(5):
        controller.setCurrentFrameNumber(frame)
        begin = controller.dateTimeRangeForFrameNumber(frame).begin().date()
        visible = layer.temporalProperties().isVisibleInTemporalRange(controller.dateTimeRangeForFrameNumber(frame))
        shown.append((begin.month(), begin.day(), layer_band(layer) if visible else None))
    assert shown == [(1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 1, None), (5, 1, 4)]
    moments = [datetime(2004, 1, 1), datetime(2004, 2, 1)]
    assert band_at(moments, MONTH, datetime(2004, 2, 29, 23), datetime(2004, 3, 1)) == 2
    assert band_at(moments, MONTH, datetime(2004, 3, 1), datetime(2004, 4, 1)) is None


def test_nothing_is_shown_outside_the_period_of_a_series(series, project, bands, controller):
    layer = _layer(series, DELTA, project)
    bands.set_range("1989-12-30", "1990-01-10", 86400.0)
    for number in (0, 1, 8, 11):
        controller.setCurrentFrameNumber(number)
        assert _colour(layer, controller.dateTimeRangeForFrameNumber(number)) == "#ffffff"


def test_frame_of_a_date_can_be_asked_for(series, project, bands, controller):
    layer = _layer(series, DELTA, project)
    bands.set_range(DATES[0], DATES[-1], 86400.0)
    bands.show("1990-01-03")
    assert (layer_band(layer), bands.current_date()) == (3, "1990-01-03")


def test_reloaded_project_plays_again(series, project, bands, controller, tmp_path):
    _layer(series, DELTA, project)
    bands.set_range(DATES[0], DATES[-1], 86400.0)
    project.write(str(tmp_path / "p.qgs"))
    project.clear()
    assert project.read(str(tmp_path / "p.qgs"))
    (layer,) = project.mapLayers().values()
    assert layer_dates(layer) == (list(DATES), 86400.0)
    controller.setCurrentFrameNumber(2)
    assert _colour(layer, controller.dateTimeRangeForFrameNumber(2)) == ramps.stops("RdBu")[15][1].name()
    assert project.timeSettings().temporalRange().begin() == temporal.to_qt(DATES[0])


def test_layer_added_while_playing_is_put_on_the_current_frame(series, project, bands, controller):
    bands.set_range(DATES[0], DATES[-1], 86400.0)
    controller.setCurrentFrameNumber(1)
    assert layer_band(_layer(series, DELTA, project)) == 2


def test_layer_removed_while_playing_is_harmless(series, project, bands, controller):
    layer = _layer(series, DELTA, project)
    bands.set_range(DATES[0], DATES[-1], 86400.0)
    project.removeMapLayer(layer.id())
    controller.setCurrentFrameNumber(2)
    assert bands.current_date() == "1990-01-03"


def test_switched_off_controller_leaves_the_band(series, project, bands, controller):
    layer = _layer(series, DELTA, project)
    bands.set_range(DATES[0], DATES[-1], 86400.0)
    controller.setCurrentFrameNumber(2)
    controller.setNavigationMode(QgsTemporalNavigationObject.NavigationMode.NavigationOff)
    assert layer_band(layer) == 3


def test_band_of_coarse_and_fine_frames():
    days = [datetime(1990, 1, day) for day in (1, 2, 5)]
    hour, week = timedelta(hours=1), timedelta(days=7)
    assert band_at(days, 86400.0, days[1] + 5 * hour, days[1] + 6 * hour) == 2
    assert band_at(days, 86400.0, datetime(1990, 1, 3), datetime(1990, 1, 4)) is None
    assert band_at(days, 86400.0, datetime(1990, 1, 3), datetime(1990, 1, 3) + week) == 3
    assert band_at(days, 86400.0, datetime(1989, 12, 1), datetime(1989, 12, 2)) is None


def test_dates_that_do_not_fit_the_bands_are_not_taken(series):
    layer = QgsRasterLayer(series, "x")
    set_temporal(layer, ["1990-01-01"], 86400.0)
    assert layer_dates(layer) == ([], 0.0) and not layer.temporalProperties().isActive()


def _run(tmp_path, series, extra=()):
    job = CompareJob(predicted="a.tif", observed="b.tif")
    run = RunFolder.create(tmp_path / "runs", "compare", job, "A comparison")
    first = {
        "kind": "predicted",
        "path": series,
        "title": "Soil moisture, predicted (-)",
        "ramp": "YlGnBu",
        "dates": list(DATES),
    }
    score = {"kind": "score-map", "path": series, "title": "NSE (-)", "ramp": "Viridis", "group": "Scores"}
    for values in (
        first,
        DELTA.replace(path=series, note="Positive: too much").to_dict(),
        score,
        {"kind": "report", "path": "r.html"},
    ):
        run.append(Event(EventKind.ARTIFACT, values))
    return run


def test_results_of_a_run_become_one_group_on_one_time_axis(series, project, bands, controller, tmp_path):
    group = add_run_results(_run(tmp_path, series), project, None, bands)
    assert group.name() == "A comparison" and project.layerTreeRoot().children()[0] is not None
    names = [node.name() for node in group.findLayers()]
    assert names == ["Soil moisture, predicted (-)", "Delta (mm)", "NSE (-)"]
    assert [node.itemVisibilityChecked() for node in group.findLayers()] == [True, False, False]
    assert group.findGroup("Scores") is not None
    controller.setCurrentFrameNumber(2)
    shown = [layer_band(node.layer()) for node in group.findLayers()]
    assert shown == [3, 3, 1]
    assert not group.findLayers()[2].layer().temporalProperties().isActive()
    assert project.crs().authid() == "EPSG:3035"


def test_results_added_twice_stand_there_once(series, project, bands, tmp_path):
    run = _run(tmp_path, series)
    add_run_results(run, project, None, bands)
    add_run_results(run, project, None, bands)
    assert len(project.mapLayers()) == 3 and len(project.layerTreeRoot().findGroups()) == 1


def test_run_without_maps_and_a_map_that_is_gone_are_sentences(project, tmp_path):
    run = RunFolder.create(tmp_path, "compare", CompareJob(predicted="a", observed="b"))
    with pytest.raises(DataError, match="no maps"):
        add_run_results(run, project)
    run.append(Event(EventKind.ARTIFACT, {"kind": "delta", "path": "gone.tif"}))
    with pytest.raises(DataError, match="cannot be opened"):
        add_run_results(run, project)
    assert not project.mapLayers()


def test_folder_of_dated_rasters_becomes_one_animated_layer(write_raster, project, bands, controller, tmp_path):
    for value, date in zip(VALUES, DATES):
        write_raster(f"rain/rain_{date}.tif", np.full((2, 4), abs(value) + 1.0))
    layer = add_temporal_series(tmp_path / "rain", project, None, bands)
    assert layer.bandCount() == 4 and layer_dates(layer)[0] == list(DATES)
    controller.setCurrentFrameNumber(2)
    sampled = layer.dataProvider().sample(layer.extent().center(), layer_band(layer))
    assert sampled == (2.0, True)


def test_series_without_dates_is_refused(write_raster, project):
    with pytest.raises(DataError, match="no dates"):
        add_temporal_series(write_raster("plain.tif", np.ones((3, 2, 2))), project)


def test_layer_says_of_itself_where_it_comes_from(series, project, bands, tmp_path):
    run = _run(tmp_path, series)
    layer = add_run_results(run, project, None, bands).findLayers()[1].layer()
    assert layer.customProperty("freshet/run") == str(run.path) and layer.customProperty("freshet/kind") == "delta"
    assert json.loads(layer.customProperty("freshet/dates")) == list(DATES)
    assert layer.abstract() == "Positive: too much" and QgsProject.instance().mapLayer(layer.id()) is layer
