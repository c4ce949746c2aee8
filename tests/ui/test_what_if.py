"""What if ...? and Paint a storm: strokes of the mouse, the questions that come of them, and how answers are shown."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's own Python")

from qgis.core import QgsCoordinateReferenceSystem, QgsGeometry, QgsPointXY, QgsRectangle
from qgis.gui import QgsMapCanvas
from qgis.PyQt.QtCore import QEvent, QPoint, Qt
from qgis.PyQt.QtGui import QImage, QPainter
from qgis.PyQt.QtTest import QTest

from freshet.core.contracts import Artifact, ConfigError, DataError, Event, EventKind, Grid, RunFolder, RunState
from freshet.core.contracts.model_card import CARD_KEY
from freshet.ui.choice import Choice
from freshet.ui.pages.why import WhyPage
from freshet.ui.why.painted import MOST_MM, Painted
from freshet.ui.why.storm_facts import cell_areas
from freshet.ui.why.storm_tool import StormOverlay, rain_colour, round_up
from freshet.ui.why.what_if_answer import change_words, read_what_if, volume_words

GRID = Grid("EPSG:3035", 4e6, 3e6, 4000.0, 4000.0, 37, 52)
RUNOFF = {"name": "q", "quantity": "runoff", "units": "mm/d", "label": "Runoff"}
RAIN = {
    "name": "pre",
    "quantity": "precipitation",
    "units": "mm/d",
    "label": "Precipitation",
    "scaler": {"kind": "none"},
}
WARMTH = {"name": "tavg", "quantity": "temperature", "units": "degC", "label": "Air temperature"}
DEM = {"name": "dem", "quantity": "elevation", "units": "m", "label": "Elevation"}


class FakeIface:
    def __init__(self, canvas):
        self._canvas = canvas

    def mapCanvas(self):  # noqa: N802 (QGIS's name)
        return self._canvas

    def activeLayer(self):  # noqa: N802 (QGIS's name)
        return None


def card_file(path, **changes):
    """A file that begins as a saved model does."""
    card = {
        "title": "A model", "family": "convlstm", "options": {}, "inputs": [RAIN, WARMTH], "static": [DEM],
        "target": RUNOFF, "season": False, "window": 5, "lead": 0, "leads": 1, "step_seconds": 86400.0, **changes,
    }  # fmt: skip
    header = json.dumps({"__metadata__": {CARD_KEY: json.dumps(card)}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return str(path)


@pytest.fixture
def canvas(qgis_app):
    made = QgsMapCanvas()
    made.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:3035"))
    made.resize(400, 540)
    made.setExtent(QgsRectangle(4.0e6, 2.8e6, 4.148e6, 3.0e6))
    made.show()
    yield made
    made.close()


@pytest.fixture
def page(canvas, datasets, runs, make_summary, tmp_path):
    runs.removed = []
    runs.remove = lambda run: runs.removed.append(str(run.path))
    datasets.add(make_summary())
    made = WhyPage(datasets, runs, Choice(), FakeIface(canvas), None)
    made.subject.model_file.set_path(card_file(tmp_path / "m.safetensors"))
    made.resize(360, 900)
    made.show()
    yield made
    made.release()
    made.close()


@pytest.fixture
def storm(page):
    found = page.choose("Storm")
    found.form.date.field.setText("1993-07-04")
    return found


@pytest.fixture
def change(page):
    return page.choose("WhatIf")


def on_screen(canvas, x, y):
    point = canvas.getCoordinateTransform().transform(QgsPointXY(x, y))
    return QPoint(round(point.x()), round(point.y()))


def stroke(canvas, *places, button=Qt.MouseButton.LeftButton, lift=True):
    """Lead the mouse with its button down over places in the map's CRS."""
    view = canvas.viewport()
    spots = [on_screen(canvas, *place) for place in places]
    QTest.mouseMove(view, spots[0])
    QTest.mousePress(view, button, Qt.KeyboardModifier.NoModifier, spots[0])
    for spot in spots[1:]:
        _drag(view, spot, button)
    if lift:
        QTest.mouseRelease(view, button, Qt.KeyboardModifier.NoModifier, spots[-1])


def _drag(view, spot, button):
    from qgis.PyQt.QtCore import QPointF
    from qgis.PyQt.QtGui import QMouseEvent
    from qgis.PyQt.QtWidgets import QApplication

    event = QMouseEvent(
        QEvent.Type.MouseMove, QPointF(spot), QPointF(view.mapToGlobal(spot)), Qt.MouseButton.NoButton, button,
        Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    QApplication.sendEvent(view, event)


def answer_run(runs, number=0, **changes):
    """Write the answer of the newest question, and give its run."""
    run = RunFolder(runs.list[number].path)
    run.results.mkdir(parents=True, exist_ok=True)
    dates = [f"1993-07-{day:02d}" for day in range(4, 9)]
    place = {
        "place": "Mean of the basin", "mean_before": 2.0, "mean_change": 0.4, "largest_change": 1.0,
        "largest_on": "1993-07-05", "peak_before": 2.2, "peak_before_on": "1993-07-07", "peak_after": 3.0,
        "peak_after_on": "1993-07-05", "volume_before_m3": 4.0e7, "volume_change_m3": 8.0e6, "share_of_painted": 0.4,
        "before": [2.0, 2.0, 1.9, 2.2, 2.0], "after": [2.3, 3.0, 2.4, 2.4, 2.0], "observed": [2.1, None, 2.0, 2.0, 2.0],
    }  # fmt: skip
    facts = {
        "question": "what-if", "changes": ["20 mm of rain at most"], "target": "q", "target_label": "Runoff",
        "units": "mm/d", "step_seconds": 86400.0, "dates": dates, "notes": [],
        "painted": {"cells": 12, "mean_mm": 3.1, "volume_m3": 2.0e7, "volume_inside_m3": 2.0e7},
        "places": [place, {**place, "place": "The cell at x 4002000, y 2998000", "share_of_painted": None}],
        "job": json.loads(run.job_file.read_text())["job"], **changes,
    }  # fmt: skip
    (run.results / "what_if.json").write_text(json.dumps(facts))
    return run


def finish(runs, run, state=RunState.DONE):
    from dataclasses import replace

    runs.list = [replace(item, state=state) if item.path == str(run.path) else item for item in runs.list]
    runs.ended.emit(str(run.path), state)
    runs.changed.emit()


# -- the brush without a map


def test_a_hard_brush_paints_a_disc_of_its_width_once_a_stroke():
    rain = Painted(GRID)
    xs, ys = GRID.centres()
    rain.begin()
    for _ in range(3):
        rain.to(xs[10], ys[20], 5.0, 20.0, soft=False)
    assert rain.end()
    rows, columns = np.nonzero(rain.rain)
    assert set(np.unique(rain.rain)) == {0.0, 20.0}
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (18, 22, 8, 12)
    assert len(rows) == 21  # a disc in a square of 25
    assert rain.end() is False


def test_strokes_add_up_or_fill_up_and_the_eraser_takes_away():
    rain = Painted(GRID)
    xs, ys = GRID.centres()
    for add, most in ((True, 40.0), (False, 40.0)):
        rain.begin()
        rain.to(xs[10], ys[20], 1.0, 20.0, soft=False, add=add)
        rain.end()
        rain.begin()
        rain.to(xs[10], ys[20], 1.0, 20.0, soft=False, add=add)
        rain.end()
        assert rain.rain.max() == most and (rain.rain > 0).sum() == 1
    rain.begin()
    rain.to(xs[10], ys[20], 3.0, 20.0, soft=False, erase=True)
    rain.end()
    assert not rain.rain.any()


def test_a_quick_hand_leaves_no_gaps_and_a_soft_edge_thins_out():
    rain = Painted(GRID)
    xs, ys = GRID.centres()
    rain.begin()
    rain.to(xs[2], ys[10], 3.0, 10.0, soft=False)
    rain.to(xs[30], ys[10], 3.0, 10.0, soft=False)
    rain.end()
    assert (rain.rain[10, 2:31] == 10.0).all()
    soft = Painted(GRID)
    soft.begin()
    soft.to(xs[10], ys[20], 8.0, 10.0, soft=True)
    soft.end()
    line = soft.rain[20, 10:16]
    assert line[0] == 10.0 and (np.diff(line) < 0).all() and 0 < line[4] < 2.0
    np.testing.assert_allclose(soft.rain[20, 4:11], soft.rain[20, 16:9:-1])


def test_rain_never_exceeds_its_limit_nor_the_grid():
    rain = Painted(GRID)
    for _ in range(5):
        rain.begin()
        rain.to(GRID.west, GRID.north, 7.0, 900.0, soft=False)
        rain.to(GRID.west - 1e6, GRID.north, 7.0, 900.0, soft=False)
        rain.end()
    assert rain.rain.max() == MOST_MM and rain.rain[0, 0] == MOST_MM
    rows, columns = np.nonzero(rain.rain)
    assert rows.max() <= 3 and columns.max() <= 3


def test_undo_goes_back_stroke_by_stroke_and_over_a_clearing():
    rain = Painted(GRID)
    xs, ys = GRID.centres()
    for number in range(3):
        rain.begin()
        rain.to(xs[5 * number], ys[5], 1.0, 10.0, soft=False)
        rain.end()
    assert rain.clear() and not rain.rain.any() and not rain.clear()
    sums = []
    while rain.undo():
        sums.append(rain.rain.sum())
    assert sums == [30.0, 20.0, 10.0, 0.0] and not rain.can_undo


def test_cells_hold_the_mass_of_the_rain_and_can_be_taken_back():
    rain = Painted(GRID)
    xs, ys = GRID.centres()
    rain.begin()
    rain.to(xs[10], ys[20], 6.0, 12.5, soft=True)
    rain.end()
    cells = rain.cells()
    assert sum(mm for _, _, mm in cells) == pytest.approx(rain.rain.sum(), abs=0.001 * len(cells))
    assert all(GRID.cell_at(x, y) for x, y, _ in cells)
    other = Painted(GRID)
    other.take((*cells, (0.0, 0.0, 5.0)))
    np.testing.assert_allclose(other.rain, rain.rain, atol=0.001)


def test_areas_of_cells_in_metres_and_in_degrees(qgis_app):
    np.testing.assert_allclose(cell_areas(GRID), np.full(52, 16e6))
    degrees = Grid("EPSG:4326", 6.0, 60.0, 0.5, 0.5, 4, 60)
    areas = cell_areas(degrees)
    assert (np.diff(areas) > 0).all()  # wider towards the equator
    assert areas[-1] == pytest.approx(0.5**2 * 111.2e3**2 * np.cos(np.radians(30.25)), rel=0.01)
    assert cell_areas(Grid("nowhere", 0.0, 0.0, 1.0, 1.0, 2, 2)) is None


# -- the brush on the map


def test_a_stroke_of_the_mouse_is_rain_on_the_map_and_a_question(page, storm, canvas, runs):
    before = canvas.mapTool()
    storm.form.paint_button.click()
    assert canvas.mapTool() is storm.brush.tool and runs.warmed
    storm.form.size.set_value(3)
    stroke(canvas, (4.05e6, 2.898e6), (4.082e6, 2.898e6))
    assert len(runs.submitted) == 1 and len(runs.stayed) == 1
    verb, job, title = runs.submitted[0]
    assert verb == "what-if" and len(job.storms) == 1 and "1993-07-04" in title
    found = job.storms[0]
    assert found.date == "1993-07-04" and found.variable == "pre"
    assert {mm for _, _, mm in found.cells} == {20.0}
    rows = {GRID.cell_at(x, y)[0] for x, y, _ in found.cells}
    columns = {GRID.cell_at(x, y)[1] for x, y, _ in found.cells}
    assert rows == {24, 25, 26} and columns == set(range(11, 22))
    assert storm.brush.overlay.shown_cells() == len(found.cells)
    assert "mm in the basin's mean" in storm.form.total.text()
    storm.form.paint_button.click()
    assert canvas.mapTool() is before


def test_the_question_before_is_given_up_and_leaves_nothing(page, storm, canvas, runs):
    storm.form.paint_button.click()
    stroke(canvas, (4.05e6, 2.9e6))
    first = runs.list[0].path
    stroke(canvas, (4.07e6, 2.88e6))
    assert runs.cancelled == [first] and len(runs.submitted) == 2
    assert len(runs.submitted[1][1].storms[0].cells) > len(runs.submitted[0][1].storms[0].cells)
    finish(runs, RunFolder(first), RunState.CANCELLED)
    assert runs.removed == [first]
    assert "cancelled" not in page.notice.text()


def test_nothing_is_asked_while_the_brush_is_down_or_the_box_is_empty(page, storm, canvas, runs):
    storm.form.paint_button.click()
    stroke(canvas, (4.05e6, 2.9e6), (4.06e6, 2.9e6), lift=False)
    assert not runs.submitted and storm.brush.overlay.shown_cells() > 0
    QTest.mouseRelease(
        canvas.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, on_screen(canvas, 4.06e6, 2.9e6)
    )
    assert len(runs.submitted) == 1
    storm.form.at_once.setChecked(False)
    stroke(canvas, (4.09e6, 2.9e6))
    assert len(runs.submitted) == 1
    page.explain_button.click()
    assert len(runs.submitted) == 2


def test_eraser_undo_and_clear(page, storm, canvas, runs):
    storm.form.at_once.setChecked(False)
    storm.form.paint_button.click()
    assert not storm.form.undo_button.isEnabled()
    stroke(canvas, (4.05e6, 2.9e6))
    painted = storm.brush.rain.rain.copy()
    stroke(canvas, (4.05e6, 2.9e6), button=Qt.MouseButton.RightButton)
    assert painted.any() and not storm.brush.rain.rain.any()
    storm.form.undo_button.click()
    np.testing.assert_array_equal(storm.brush.rain.rain, painted)
    storm.form.erase.click()
    stroke(canvas, (4.05e6, 2.9e6))
    assert not storm.brush.rain.rain.any() and storm.brush.overlay.shown_cells() == 0
    storm.form.undo_button.click()
    storm.form.clear_button.click()
    assert not storm.brush.rain.rain.any() and not storm.form.clear_button.isEnabled()
    assert "No rain is painted" in storm.form.total.text()


def test_escape_lays_the_brush_aside_and_another_tool_throws_the_stroke_away(page, storm, canvas, runs):
    storm.form.paint_button.click()
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    assert canvas.mapTool() is not storm.brush.tool and not storm.form.paint_button.isChecked()
    storm.form.paint_button.click()
    stroke(canvas, (4.05e6, 2.9e6), lift=False)
    assert storm.brush.rain.rain.any()
    canvas.unsetMapTool(storm.brush.tool)
    assert not storm.brush.rain.rain.any() and not runs.submitted and not storm.form.paint_button.isChecked()


def test_control_z_on_the_map_takes_a_stroke_back_and_asks_anew(page, storm, canvas, runs):
    storm.form.paint_button.click()
    stroke(canvas, (4.05e6, 2.9e6))
    one = len(runs.submitted[0][1].storms[0].cells)
    stroke(canvas, (4.09e6, 2.9e6))
    QTest.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert len(runs.submitted) == 3 and len(runs.submitted[2][1].storms[0].cells) == one
    QTest.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert len(runs.submitted) == 3 and not storm.brush.rain.rain.any()


def test_a_stroke_beside_the_grid_and_a_wrong_number_are_told(page, storm, canvas, runs):
    canvas.setExtent(QgsRectangle(3.5e6, 2.8e6, 3.6e6, 2.9e6))
    storm.form.paint_button.click()
    stroke(canvas, (3.55e6, 2.85e6))
    assert "outside the dataset's grid" in page.notice.text() and not runs.submitted
    canvas.setExtent(QgsRectangle(4.0e6, 2.8e6, 4.148e6, 3.0e6))
    storm.form.mm.setText("-5")
    stroke(canvas, (4.05e6, 2.9e6))
    assert "Rain: -5" in page.notice.text() and not runs.submitted and not storm.brush.rain.rain.any()


def test_rain_is_painted_on_a_map_in_another_crs(page, storm, canvas, runs):
    canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:4326"))
    place = QgsPointXY(4.06e6, 2.9e6)
    there = storm.brush._to_map(place)
    canvas.setExtent(QgsRectangle(there.x() - 0.5, there.y() - 0.5, there.x() + 0.5, there.y() + 0.5))
    storm.form.size.set_value(1)
    storm.form.paint_button.click()
    stroke(canvas, (there.x(), there.y()))
    assert len(runs.submitted[0][1].storms[0].cells) == 1
    x, y, _ = runs.submitted[0][1].storms[0].cells[0]
    assert abs(x - 4.06e6) <= 2100 and abs(y - 2.9e6) <= 2100


def test_the_overlay_is_drawn_where_the_rain_is_and_taken_away_in_the_end(canvas, page, storm, datasets, runs):
    storm.form.paint_button.click()
    stroke(canvas, (4.06e6, 2.9e6))
    image = QImage(400, 540, QImage.Format.Format_ARGB32)
    image.fill(Qt.GlobalColor.white)
    painter = QPainter(image)
    storm.brush.overlay.show_ring(None)
    storm.brush.overlay.paint(painter)
    painter.end()
    spot = on_screen(canvas, 4.06e6, 2.9e6)
    inside, beside = image.pixelColor(spot.x(), spot.y()), image.pixelColor(20, 20)
    assert beside.lightness() == 255 and inside.lightness() < 200
    overlays = [item for item in canvas.scene().items() if isinstance(item, StormOverlay)]
    assert len(overlays) == 1
    page.choose("WhatIf")
    assert not storm.brush.overlay.isVisible()
    page.choose("Storm")
    assert storm.brush.overlay.isVisible()
    storm.brush.release()
    assert not [item for item in canvas.scene().items() if isinstance(item, StormOverlay)]


def test_another_grid_takes_the_rain_away(page, storm, canvas, datasets, make_summary):
    from dataclasses import replace

    storm.form.at_once.setChecked(False)
    storm.form.paint_button.click()
    stroke(canvas, (4.06e6, 2.9e6))
    assert storm.brush.rain.rain.any()
    other = make_summary(path="/data/other.nc", name="Other")
    datasets.add(replace(other, grid={**other.grid, "columns": 20}))
    page.subject.dataset.setCurrentIndex(page.subject.dataset.count() - 1)
    assert storm.brush.rain.grid.columns == 20 and not storm.brush.rain.rain.any()
    assert storm.brush.overlay.shown_cells() == 0


def test_colours_and_legend_of_rain(qgis_app):
    assert [round_up(value) for value in (0.0, 0.4, 20.0, 21.0, 99.0)] == [1.0, 0.5, 20.0, 50.0, 100.0]
    light = [rain_colour(share).lightness() for share in (0.0, 0.3, 0.6, 1.0)]
    assert light == sorted(light, reverse=True) and rain_colour(0.5).alpha() < 255


# -- what can be known before


def test_faults_of_a_storm_are_told_before_it_is_asked(page, storm, canvas, runs, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="No rain is painted"):
        storm.job()
    storm.form.at_once.setChecked(False)
    storm.form.paint_button.click()
    stroke(canvas, (4.06e6, 2.9e6))
    for text, error, words in (
        ("", ConfigError, "No date"), ("2001-01-01", DataError, "outside the dataset"), ("once", DataError, "once"),
    ):  # fmt: skip
        storm.form.date.field.setText(text)
        with pytest.raises(error, match=words):
            storm.job()
    storm.form.date.field.setText("1990-01-01")  # before the first full window, but later windows hold it
    assert storm.job().storms[0].date == "1990-01-01"
    inside = np.zeros(GRID.shape, dtype=bool)
    inside[0, 0] = True
    storm._inside = inside
    with pytest.raises(DataError, match="outside the basin"):
        storm.job()
    storm._inside = None
    page.subject.model_file.set_path(card_file(tmp_path / "long.safetensors", window=5000))
    with pytest.raises(DataError, match="no full window"):
        storm.job()
    page.subject.model_file.set_path(card_file(tmp_path / "dry.safetensors", inputs=[WARMTH]))
    assert "no precipitation" in str(storm.refusal()) and "no precipitation" in page.subject.notice.text()


def test_units_decide_which_inputs_take_rain(page, storm, tmp_path):
    flux = {**RAIN, "name": "tp", "units": "kg m-2 s-1"}
    page.subject.model_file.set_path(card_file(tmp_path / "flux.safetensors", inputs=[WARMTH, flux]))
    names = [storm.form.variable.itemData(i) for i in range(storm.form.variable.count())]
    assert names == ["tp"] and storm.refusal() is None


def test_a_model_of_gauges_is_not_asked_about_a_place(page, storm, canvas, runs, tmp_path, monkeypatch):
    from freshet.ui.why import gauges

    for module in (gauges, __import__("freshet.ui.why.place_choice", fromlist=["x"])):
        monkeypatch.setattr(module, "gauge_names", lambda asked: ["upper", "lower"])
    flow = {"name": "q", "quantity": "discharge", "units": "m3/s", "label": "Discharge"}
    page.subject.model_file.set_path(card_file(tmp_path / "g.safetensors", target=flow, gauges=["upper", "lower"]))
    assert storm.form.place.kind() == "gauge"
    storm.form.place.gauge.setCurrentIndex(1)
    storm.form.paint_button.click()
    stroke(canvas, (4.06e6, 2.9e6))
    job = runs.submitted[0][1]
    assert job.x is None and job.gauge == "" and job.polygon == ""
    assert storm.answer().preferred == "lower"


# -- answers


def test_a_first_picture_then_the_answer_with_what_was_let_out(page, storm, canvas, runs):
    storm.form.paint_button.click()
    stroke(canvas, (4.06e6, 2.9e6))
    run = RunFolder(runs.list[0].path)
    place = {"place": "Mean of the basin", "before": [2.0, 2.0], "after": [2.3, 3.0], "observed": [None, None]}
    sofar = {"dates": ["1993-07-04", "1993-07-07"], "places": [place], "painted": None}
    news = Event(EventKind.PROGRESS, {"fraction": 0.3, "text": "2 of 5 dates", "so_far": sofar})
    runs.events.emit(str(run.path), [news])
    answer = storm.answer()
    assert "2 dates so far" in answer.words.text() and answer.chart.isVisibleTo(answer)
    answer.chart.render_now()
    assert answer.chart.figure is not None
    run = answer_run(runs)
    artifact = Artifact(kind="change", path="results/change.tif", title="Change")
    run.append(Event(EventKind.ARTIFACT, artifact.to_dict()))
    assert storm.answered(run) and not page.choose("WhatIf").answered(run)
    page.choose("Storm")
    finish(runs, run)
    text = answer.words.text()
    assert "20 million m3" in text and "lets out 40 % of the painted water" in text
    assert "+8 million m3 (+20 %)" in text and "2.2 mm/d on 1993-07-07" in text and "3 mm/d on 1993-07-05" in text
    assert [answer.place.itemText(i)[:4] for i in range(answer.place.count())] == ["Mean", "The "]
    answer.chart.render_now()
    above, below = answer.chart.figure.axes
    assert len(above.lines) >= 3 and "change (mm/d)" in below.get_ylabel()
    assert storm.layers_at_once(run) and storm._on_map == [str(run.path)]


def test_a_broken_answer_is_none(tmp_path, runs):
    from freshet.core.contracts import WhatIfJob

    job = WhatIfJob.from_dict({"model": "m", "dataset": "d", "changes": [{"variable": "pre", "factor": 2.0}]})
    runs.submit("what-if", job)
    run = answer_run(runs)
    assert read_what_if(run)["units"] == "mm/d"
    for text in ("{", "[]", '{"dates": ["x"], "places": []}', '{"dates": [], "places": [{"place": "a"}]}'):
        (run.results / "what_if.json").write_text(text)
        assert read_what_if(run) is None


def test_words_of_volumes_and_of_a_place_without_volume(qgis_app):
    assert [volume_words(value) for value in (12.0, 15320.0, 4.2e6, 3.1e9)] == [
        "12 m3", "15 320 m3", "4.2 million m3", "3.1 km3",
    ]  # fmt: skip
    words = change_words(
        {"mean_change": -0.2, "largest_change": -0.5, "largest_on": "1993-07-05", "peak_before": 1.0, "peak_after": 0.9,
         "peak_before_on": "1993-07-05", "peak_after_on": "1993-07-05"}, "-",
    )  # fmt: skip
    assert words.startswith("Mean -0.2.") and words.endswith("on the same date.")
    assert change_words({"mean_change": None}, "mm") == "Nothing is predicted there."


@pytest.mark.parametrize(
    "share, volume, words",
    [
        (0.4, 8.0e6, ("Volume +8 million m3 (+20 %).", "lets out 40 % of the painted water")),
        (-0.01, -4371.0, ("Volume -4 371 m3 (less than 0.1 %).", "lets out less water than without the storm")),
    ],
)
def test_words_of_what_is_let_out(qgis_app, share, volume, words):
    place = {
        "mean_change": 0.1, "largest_change": 0.5, "largest_on": "1993-07-05", "peak_before": None, "peak_after": None,
        "volume_before_m3": 4.0e7, "volume_change_m3": volume, "share_of_painted": share,
    }  # fmt: skip
    found = change_words(place, "mm/d")
    assert all(part in found for part in words)


# -- what if


def test_presets_and_rows_become_changes(page, change, runs):
    change.rain_button.click()
    change.warm_button.click()
    rows = change.rows.rows
    assert len(rows) == 2 and rows[1].unit.text() == "degC"
    rows[1].begin.setText("1993-01-01")
    rows[1].end.setText("1993-03-31")
    change.begin.setText("1993-01-01")
    page.explain_button.click()
    verb, job, title = runs.submitted[0]
    assert verb == "what-if" and title == "What if pre x 1.2 and 1 more" and not job.storms
    assert [(item.variable, item.factor, item.amount) for item in job.changes] == [
        ("pre", 1.2, 0.0),
        ("tavg", 1.0, 2.0),
    ]
    assert job.changes[1].period.end == "1993-03-31" and job.period.start == "1993-01-01"
    rows[1].remove.click()
    assert len(change.job().changes) == 1


def test_a_polygon_drawn_on_the_map_is_that_of_its_row(page, change, canvas):
    change.rain_button.click()
    first = change.rows.rows[0]
    second = change.rows.add()
    second.set_change("tavg", 1.0, 1.0)
    for item in (first, second):
        item.where.setCurrentIndex(1)
    with pytest.raises(ConfigError, match="Change 1 has no polygon"):
        change.job()
    first.draw.click()
    second.draw.click()
    assert not first.draw.isChecked() and canvas.mapTool() is change.rows._tool
    square = QgsGeometry.fromWkt("POLYGON ((4040000 2900000, 4080000 2900000, 4080000 2940000, 4040000 2900000))")
    change.rows._tool.drawn.emit(square)
    assert not second.draw.isChecked() and canvas.mapTool() is not change.rows._tool
    first.take_polygon(QgsGeometry.fromWkt("POLYGON ((0 0, 1 0, 1 1, 0 0))"))
    with pytest.raises(DataError, match="change 1 lies outside"):
        change.job()
    first.where.setCurrentIndex(0)
    job = change.job()
    assert job.changes[0].polygon == "" and job.changes[1].polygon.lower().startswith("polygon")


@pytest.mark.parametrize(
    "fill, error, words",
    [
        ({}, ConfigError, "changes nothing"),
        ({"factor": "x"}, ConfigError, "not a number"),
        ({"factor": "1.2", "begin": "1993-03-01", "end": "1993-02-01"}, ConfigError, "ends before it begins"),
        ({"factor": "1.2", "begin": "1994-03-01"}, DataError, "holds no date"),
        ({"factor": "1.2", "begin": "once"}, DataError, "once"),
    ],
)
def test_faults_of_a_change_are_told_before_it_is_asked(page, change, runs, fill, error, words):
    item = change.rows.rows[0]
    for name, text in fill.items():
        getattr(item, name).setText(text)
    with pytest.raises(error, match=words):
        change.job()
    page.explain_button.click()
    assert not runs.submitted and page.notice.text()


def test_no_change_at_all_is_told(change):
    change.rows.clear()
    with pytest.raises(ConfigError, match="Nothing is changed"):
        change.job()


def test_a_static_map_has_no_dates(change):
    item = change.rows.rows[0]
    item.set_change("dem", 1.0, 100.0)
    assert not item._dates.isVisibleTo(change) and item.unit.text() == "m"
    assert change.job().changes[0].variable == "dem"


def test_both_panels_fit_a_narrow_dock(page, storm, change, qgis_app):
    for name in ("Storm", "WhatIf"):
        panel = page.choose(name)
        qgis_app.processEvents()
        assert panel.minimumSizeHint().width() <= 330, name
        assert panel.answer().minimumSizeHint().width() <= 330, name
        for child in panel.findChildren(type(page.explain_button)):
            assert child.objectName().startswith("freshetWhy"), child.text()


def test_another_place_is_shown_first_and_a_chosen_one_stays(page, storm, canvas, runs):
    storm.form.paint_button.click()
    answer = storm.answer()
    for shown_first in (1, 0):
        stroke(canvas, (4.06e6, 2.9e6))
        finish(runs, answer_run(runs))
        assert answer.place.currentIndex() == shown_first
        answer.place.setCurrentIndex(0)
    storm._inside = None
    storm.form.place.set_kind("cell")
    storm.form.place.set_point(4.002e6, 2.998e6)
    stroke(canvas, (4.08e6, 2.9e6))
    assert runs.submitted[-1][1].x is not None
    finish(runs, answer_run(runs))
    assert answer.place.currentIndex() == 1
