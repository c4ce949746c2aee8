"""The page Why and its first question: what is asked, with what, by a click, and what of an answer is shown."""

from __future__ import annotations

import dataclasses
import json
import struct

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's own Python")

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.gui import QgsMapCanvas
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QAbstractButton, QAbstractItemView, QComboBox, QLineEdit

from freshet.core.contracts import Artifact, ConfigError, Event, EventKind, ExplainJob, RunFolder, RunState
from freshet.core.contracts.ensemble_file import EnsembleFile, write_ensemble
from freshet.core.contracts.model_card import CARD_KEY
from freshet.plugin.layers import RUN_PROPERTY
from freshet.plugin.runs import RunSummary
from freshet.ui.choice import Choice
from freshet.ui.pages.why import PANELS, WhyPage
from freshet.ui.why import attribution_panel, gauges, place_choice

FLOW = {"name": "flow", "quantity": "discharge", "units": "m3/s", "label": "Discharge"}
LEVEL = {"name": "level", "quantity": "water_level", "units": "m", "label": "Water level"}
RAIN = {"name": "pre", "quantity": "precipitation", "units": "mm/d", "label": "Rain", "scaler": {"kind": "none"}}


class FakeIface:
    """As much of QGIS as the page asks for."""

    def __init__(self, canvas):
        self._canvas = canvas

    def mapCanvas(self):  # noqa: N802 (QGIS's name)
        return self._canvas

    def activeLayer(self):  # noqa: N802 (QGIS's name)
        return None


class FakeTemporal:
    """The controller of the map, at a date."""

    def __init__(self):
        self.date = ""

    def current_date(self):
        return self.date

    def set_range(self, begin, end, step_seconds):
        self.date = str(begin)

    def show(self, moment):
        self.date = str(moment)


def card_file(path, **changes):
    """A file that begins as a saved model does."""
    card = {
        "title": "A model", "family": "convlstm", "options": {}, "inputs": [RAIN], "static": [], "target": FLOW,
        "season": False, "window": 5, "lead": 1, "leads": 1, **changes,
    }  # fmt: skip
    header = json.dumps({"__metadata__": {CARD_KEY: json.dumps(card)}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return str(path)


@pytest.fixture
def canvas(qgis_app):
    made = QgsMapCanvas()
    made.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:3035"))
    made.resize(400, 300)
    made.setExtent(QgsRectangle(4.0e6, 2.8e6, 4.15e6, 3.0e6))
    return made


@pytest.fixture
def temporal():
    return FakeTemporal()


@pytest.fixture
def page(canvas, temporal, datasets, runs, make_summary, tmp_path):
    """The page on a dataset of maps of 4 km, with a ConvLSTM."""
    datasets.add(make_summary())
    made = WhyPage(datasets, runs, Choice(), FakeIface(canvas), temporal)
    made.subject.model_file.set_path(card_file(tmp_path / "m.safetensors"))
    made.show()
    yield made
    made.release()
    made.close()


@pytest.fixture
def panel(page):
    found = page.choose("Attribution")
    found.date.field.setText("1993-07-04")
    return found


def finish(runs, run, state=RunState.DONE):
    number = next(i for i, item in enumerate(runs.list) if item.path == str(run))
    runs.list[number] = dataclasses.replace(runs.list[number], state=state)
    runs.changed.emit()
    runs.ended.emit(str(run), state)


def write_answer(path, **more):
    found = {
        "variables": {"rain": 0.12, "pet": -0.06}, "labels": {"rain": "Rain", "pet": "PET"},
        "by_step_back": {"rain": [0.1, 0.02], "pet": [-0.05, -0.01]}, "steps_back": [1, 0],
        "baseline_prediction": 0.5, "prediction": 0.56, "residual": 0.0, "residual_share": 0.0, "units": "-",
        "date": "1993-07-04", "method": "smoothgrad", "baseline": "dry", "observed": 0.55, "complete": False,
        "settings": {"noise": 0.15, "seed": 7, "samples": 32}, "assumes": "Tangents.", "step_seconds": 86400.0,
        "place": {"kind": "gauge", "gauge": "Cochem"}, "delay": {"most": 1, "centre": 0.8}, "check": None, **more,
    }  # fmt: skip
    run = RunFolder(path)
    run.results.mkdir(exist_ok=True)
    (run.results / "attribution.json").write_text(json.dumps(found))
    (run.results / "attribution.csv").write_text("variable,step_back,date,contribution\n")
    (run.results / "lags.csv").write_text("step_back,size,cumulative_share\n0,0.03,0.1667\n1,0.15,1.0\n")
    return run


def panel_job():
    return ExplainJob(model="/m.safetensors", dataset="/d.nc", date="1993-07-04", basin=True)


def last_run(runs):
    return runs.list[0].path


# -- what is asked


def test_a_picked_cell_becomes_a_job_in_the_datasets_crs(page, panel, runs, canvas):
    canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:4326"))
    panel.place.take_point(QgsPointXY(6.5, 49.5))
    assert runs.submitted == [], "the map tool is off"
    page.explain_button.click()
    verb, job, title = runs.submitted[0]
    assert verb == "explain" and isinstance(job, ExplainJob) and "1993-07-04" in title
    assert 4.0e6 < job.x < 4.2e6 and 2.8e6 < job.y < 3.1e6
    assert (job.polygon, job.gauge, job.basin, job.baseline) == ("", "", False, "mean")
    assert runs.stayed == [last_run(runs)], "the worker that stays loaded answers"


def test_a_cell_outside_the_dataset_is_refused_with_its_extent(page, panel, runs):
    panel.place.x.setText("0")
    panel.place.y.setText("0")
    page.ask()
    assert "outside the grid" in page.notice.text() and runs.submitted == []


def test_a_polygon_and_what_is_missing(page, panel, runs):
    panel.date.field.setText("")
    page.ask()
    assert "No date" in page.notice.text()
    panel.date.field.setText("1993-07-04")
    page.ask()
    assert "No cell is chosen" in page.notice.text()
    panel.place.set_kind("polygon")
    page.ask()
    assert "No polygon is chosen" in page.notice.text() and runs.submitted == []
    panel.place.take_polygon(QgsGeometry.fromWkt("POLYGON((0 0, 1 0, 1 1, 0 0))"))
    page.ask()
    assert "holds no cell" in page.notice.text() and runs.submitted == []
    panel.place.take_polygon(QgsGeometry.fromWkt("POLYGON((4010000 2900000, 4050000 2900000, 4050000 2950000))"))
    assert panel.job().polygon.upper().startswith("POLYGON") and panel.job().x is None


def test_the_selected_features_of_a_polygon_layer_are_taken_in_its_own_crs(page, panel):
    panel.place.take_selection()
    assert "No polygon is selected" in panel.place.notice.text()
    layer = QgsVectorLayer("Polygon?crs=EPSG:4326", "Sub-basins", "memory")
    for west in (6.0, 6.5, 9.0):
        feature = QgsFeature()
        feature.setGeometry(QgsGeometry.fromRect(QgsRectangle(west, 49.0, west + 0.5, 49.5)))
        layer.dataProvider().addFeature(feature)
    QgsProject.instance().addMapLayer(layer)
    layer.selectByIds([1, 2])
    panel.place.take_selection()
    assert panel.place.kind() == "polygon" and panel.place.notice.isHidden()
    found = QgsGeometry.fromWkt(panel.place.values()["polygon"])
    box = found.boundingBox()
    assert 4.0e6 < box.xMinimum() < box.xMaximum() < 4.2e6 and 2.8e6 < box.yMinimum() < 3.0e6
    assert found.area() == pytest.approx(72.8e3 * 55.6e3, rel=0.02)  # one degree by half a degree at 49.25 N


def test_the_whole_basin_is_a_place(panel):
    panel.place.set_kind("basin")
    job = panel.job()
    assert job.basin and job.x is None and panel.place._picks.isHidden()


def test_a_model_of_gauges_is_asked_about_its_gauges(page, panel, runs, tmp_path):
    path = card_file(tmp_path / "g.safetensors", family="lstm", gauges=["upper", "outlet"])
    page.subject.model_file.set_path(path)
    place = panel.place
    assert place.kind() == "gauge" and not place.radios["cell"].isEnabled()
    assert "gauges, not maps" in place.radios["cell"].toolTip()
    assert [place.gauge.itemText(i) for i in range(place.gauge.count())] == ["upper", "outlet"]
    place.gauge.setCurrentIndex(1)
    page.ask()
    assert runs.submitted[0][1].gauge == "outlet" and "gauge outlet" in runs.submitted[0][2]
    page.subject.model_file.set_path(card_file(tmp_path / "h.safetensors"))
    assert place.kind() == "cell" and not place.radios["gauge"].isEnabled(), "neither model nor dataset has gauges"


def test_a_click_near_a_gauge_takes_it(page, panel, datasets, make_summary, monkeypatch):
    monkeypatch.setattr(gauges, "gauge_ids", lambda path, sequence: ("a", "b", "c"))
    places = ((4.02e6, 2.9e6), (4.06e6, 2.95e6), (float("nan"), float("nan")))
    monkeypatch.setattr(gauges, "gauge_places", lambda path, sequence: places)
    datasets.items = [dataclasses.replace(make_summary(), gauges=3)]
    datasets.changed.emit()
    assert panel.place.marks.names == (), "no gauge is asked about"
    panel.place.set_kind("gauge")
    assert panel.place.marks.names == ("a", "b"), "they are shown on the map, but for one without a place"
    panel.place.take_point(QgsPointXY(4.061e6, 2.951e6))
    assert panel.place.values()["gauge"] == panel.place.marks.chosen == "b"
    panel.place.take_point(QgsPointXY(4.12e6, 2.85e6))
    assert "No gauge lies near" in panel.place.notice.text() and panel.place.values()["gauge"] == "b"


def test_gauges_lie_on_the_map_while_one_is_asked_about(page, panel, canvas, datasets, make_summary, monkeypatch):
    monkeypatch.setattr(gauges, "gauge_ids", lambda path, sequence: ("upper", "outlet"))
    monkeypatch.setattr(gauges, "gauge_places", lambda path, sequence: ((4.02e6, 2.9e6), (4.06e6, 2.95e6)))
    datasets.items = [dataclasses.replace(make_summary(), gauges=2)]
    datasets.changed.emit()
    before = canvas.grab().toImage()
    panel.place.set_kind("gauge")
    marks = panel.place.marks
    assert marks.names == ("upper", "outlet") and marks.chosen == "upper"
    red = [canvas.grab().toImage().pixelColor(marks.toCanvasCoordinates(place).toPoint()).red() for place in (
        QgsPointXY(4.02e6, 2.9e6), QgsPointXY(4.06e6, 2.95e6))]  # fmt: skip
    assert red[0] > 180 > 60 > red[1], "the chosen one is red, the other dark"
    panel.place.gauge.setCurrentIndex(1)
    assert marks.chosen == "outlet"
    canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:4326"))
    assert marks._places["outlet"].x() < 180.0, "they follow the CRS of the map"
    canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:3035"))
    page.choose("Drivers")
    assert marks.names == (), "another question"
    page.choose("Attribution")
    assert marks.names == ("upper", "outlet")
    panel.place.set_kind("cell")
    assert marks.names == () and canvas.grab().toImage() == before


def test_a_cell_outside_the_basin_is_told_at_the_click(page, panel, datasets, make_summary, runs, write_dataset):
    mask = np.zeros((4, 5))
    mask[1, 2] = 1
    path = write_dataset("masked", {"pre": np.ones((3, 4, 5)), "basin_mask": mask})
    grid = {"crs": "EPSG:3035", "west": 4e6, "north": 3e6, "cell_x": 1e3, "cell_y": 1e3, "columns": 5, "rows": 4}
    datasets.items = [dataclasses.replace(make_summary(path), grid=grid)]
    datasets.changed.emit()
    panel.place.pick_button.setChecked(True)
    panel.place.take_point(QgsPointXY(4_000_500, 2_999_500))
    assert "outside the basin" in panel.place.notice.text() and runs.submitted == []
    page.ask()
    assert "outside the basin" in page.notice.text() and runs.submitted == []
    panel.place.take_point(QgsPointXY(4_002_500, 2_998_500))
    assert panel.place.notice.isHidden() and (runs.submitted[0][1].x, runs.submitted[0][1].y) == (4_002_500, 2_998_500)


def test_a_date_without_a_full_window_is_told_with_the_dates_that_can_be(page, panel, runs):
    panel.place.set_kind("basin")
    panel.date.field.setText("1990-01-05")
    page.ask()
    assert "no full window" in page.notice.text() and "from 1990-01-06 to 1994-01-01" in page.notice.text()
    panel.date.field.setText("1994-01-02")
    assert page.notice.isHidden(), "it spoke of the date before"
    page.ask()
    assert "after the dataset" in page.notice.text() and runs.submitted == []
    panel.date.field.setText("1990-01-06")
    page.ask()
    assert len(runs.submitted) == 1


def test_the_date_is_that_of_the_test_period_or_of_the_map(page, panel, temporal, tmp_path):
    panel.date.field.setText("")
    page.subject.model_file.set_path(
        card_file(tmp_path / "p.safetensors", periods={"test": ["1993-01-01", "1993-12-31"]})
    )
    assert panel.date.iso() == "1993-01-01"
    panel.date.map_button.click()
    assert panel.date.iso() == "1993-01-01" and "plays no dates" in panel.date.map_button.toolTip()
    temporal.date = "1993-05-06T00:00"
    panel.date.map_button.click()
    assert panel.date.iso() == "1993-05-06"


def test_target_and_lead_are_offered_where_there_are_several(page, panel, tmp_path):
    assert page.subject.target.isHidden() and page.subject.lead.isHidden()
    assert panel.context.common()["target"] == "" and panel.context.common()["lead"] is None
    page.subject.model_file.set_path(card_file(tmp_path / "t.safetensors", also=[LEVEL], lead=2, leads=3))
    assert not page.subject.target.isHidden() and not page.subject.lead.isHidden()
    page.subject.target.setCurrentIndex(1)
    page.subject.lead.setCurrentIndex(2)
    panel.place.set_kind("basin")
    assert (panel.job().target, panel.job().lead) == ("level", 4)
    assert panel.context.target_card().units == "m"


def test_only_what_the_method_reads_is_shown_and_sent(panel):
    panel.place.set_kind("basin")
    method = panel.method
    assert "straight path" in method.words.text() and "each step" in method.words.text()
    assert not method.main.editors["steps"].isHidden() and method.samples.isHidden()
    method.main.set_values({"steps": 99})
    method.choose("rise")
    assert method.main.editors["steps"].isHidden() and not method.samples.isHidden()
    assert not method.more.editors["block"].isHidden() and method.more.editors["noise"].isHidden()
    assert panel.job().steps == 32, "what the method does not read is the default"
    method.choose("expected-gradients")
    assert method.main.editors["baseline"].isHidden()


def test_a_model_without_gradients_is_told_what_works(page, panel, runs, tmp_path):
    page.subject.model_file.set_path(card_file(tmp_path / "r.safetensors", family="random-forest"))
    panel.place.set_kind("basin")
    assert "no gradients" in page.subject.notice.text() and "occlusion-time" in page.subject.notice.text()
    assert not panel._instead.isHidden()
    page.ask()
    assert runs.submitted == [] and "no gradients" in page.notice.text()
    panel.other_question.click()
    assert page.panel.name == "Importance" and "no gradients" not in page.subject.notice.text()
    page.choose("Attribution")
    panel.other_method.click()
    assert panel.method.method.name == "occlusion-time"
    assert page.subject.notice.isHidden() and panel._instead.isHidden()
    page.ask()
    assert runs.submitted[0][1].method == "occlusion-time"


# -- click and see


def test_each_click_asks_at_once_and_gives_up_the_one_before(page, panel, runs, canvas):
    panel.place.pick_button.setChecked(True)
    model, dataset = page.context.asked().model, page.context.asked().summary.path
    assert runs.warmed == [(model, dataset, "")]
    panel.place._tools["point"].pick(QgsPointXY(4.05e6, 2.9e6))
    first = last_run(runs)
    assert canvas.mapTool() is panel.place._tools["point"], "the tool stays"
    panel.place._tools["point"].pick(QgsPointXY(4.06e6, 2.91e6))
    second = last_run(runs)
    assert runs.cancelled == [first] and len(runs.submitted) == 2 and runs.stayed == [first, second]
    finish(runs, first, RunState.CANCELLED)
    assert "cancelled" not in page.notice.text() and not page.stop_button.isHidden()
    write_answer(second)
    finish(runs, second)
    assert page.result.currentData() == second and page.notice.isHidden() and page.stop_button.isHidden()
    assert "0.56" in panel.answer().words.text()
    panel.place.pick_button.setChecked(False)
    assert canvas.mapTool() is None


def test_another_model_is_loaded_while_the_tool_is_on(page, panel, runs, tmp_path):
    panel.place.pick_button.setChecked(True)
    other = card_file(tmp_path / "other.safetensors")
    page.subject.model_file.set_path(other)
    assert [item[0] for item in runs.warmed][-1] == other
    count = len(runs.warmed)
    page.refresh()
    assert len(runs.warmed) == count


def test_without_clicks_that_ask_a_pick_only_fills_the_fields(page, panel, runs, canvas):
    panel.each_click.setChecked(False)
    panel.place.pick_button.setChecked(True)
    panel.place._tools["point"].pick(QgsPointXY(4.05e6, 2.9e6))
    assert runs.submitted == [] and not panel.place.pick_button.isChecked() and canvas.mapTool() is None
    assert panel.place.x.value() == pytest.approx(4.05e6)


def test_a_first_picture_is_shown_until_the_answer_comes(page, panel, runs):
    panel.place.set_kind("basin")
    page.ask()
    run = last_run(runs)
    cost = {"level": "info", "text": "About 9 s on this machine: 42 passes.", "cost": {"seconds": 9.0}}
    so_far = {
        "done": 8, "of": 32, "variables": {"pre": 1.5}, "prediction": 4.0, "baseline_prediction": 2.0,
        "residual_share": 0.1,
    }  # fmt: skip
    runs.events.emit(run, [Event(EventKind.MESSAGE, cost)])
    assert "About 9 s" in panel.cost.text()
    progress = {"fraction": 0.3, "text": "A picture after 8 of 32", "so_far": so_far}
    runs.events.emit(run, [Event(EventKind.PROGRESS, progress)])
    answer = panel.answer()
    assert "8 of 32" in answer.words.text() and "m3/s" in answer.words.text() and "30 %" in page.notice.text()
    answer.bridge.render_now()
    labels = [text.get_text() for text in answer.bridge.figure.axes[0].get_yticklabels()]
    assert labels == ["baseline", "Rain", "residual", "prediction"]
    runs.changed.emit()
    assert "8 of 32" in answer.words.text(), "a refresh leaves the picture"
    finish(runs, run, RunState.FAILED)
    assert answer.words.isHidden() and "No answer came" in page.notice.text()


def test_events_of_a_question_that_was_given_up_are_not_shown(page, panel, runs):
    panel.place.set_kind("basin")
    page.ask()
    first = last_run(runs)
    page.ask_instead()
    so_far = {"done": 8, "of": 32, "variables": {"pre": 1.5}, "prediction": 4.0, "baseline_prediction": 2.0}
    runs.events.emit(first, [Event(EventKind.PROGRESS, {"fraction": 0.3, "so_far": so_far})])
    assert panel.answer().words.isHidden()


def test_the_heatmaps_of_a_click_take_the_place_of_those_before(page, panel, runs, write_map):
    def groups():
        found = QgsProject.instance().layerTreeRoot().findGroups(True)
        return [group.customProperty(RUN_PROPERTY) for group in found if group.customProperty(RUN_PROPERTY)]

    def click(x):
        panel.place._tools["point"].pick(QgsPointXY(x, 2.9e6))
        run = write_answer(last_run(runs))
        write_map(run.results / "attribution_rain.tif", np.ones((3, 4)))
        artifact = Artifact(kind="attribution", path="results/attribution_rain.tif", title="Rain (-)", variable="rain")
        run.append(Event(EventKind.ARTIFACT, artifact.to_dict()))
        finish(runs, run.path)
        return str(run.path)

    panel.place.pick_button.setChecked(True)
    first = click(4.05e6)
    assert groups() == [first]
    second = click(4.06e6)
    assert groups() == [second]
    panel.keep.setChecked(True)
    third = click(4.07e6)
    assert sorted(groups()) == sorted([second, third])


def test_drafts_of_a_click_go_onto_the_map_and_leave_it_with_a_question_given_up(page, panel, runs, monkeypatch):
    shown, removed = [], []
    monkeypatch.setattr(attribution_panel, "show_draft", lambda run, items, *_: shown.append((str(run.path), items)))
    monkeypatch.setattr(attribution_panel, "remove_draft", lambda run, *_: removed.append(str(run.path)))
    draft = Artifact(kind="attribution-draft", path="results/draft/attribution_pre.tif", title="Rain", variable="pre")
    so_far = {"done": 8, "of": 32, "variables": {"pre": 1.5}, "prediction": 4.0, "baseline_prediction": 2.0}
    batch = [Event(EventKind.ARTIFACT, draft.to_dict()), Event(EventKind.PROGRESS, {"fraction": 0.3, "so_far": so_far})]
    panel.place.pick_button.setChecked(True)
    panel.place._tools["point"].pick(QgsPointXY(4.05e6, 2.9e6))
    clicked = last_run(runs)
    runs.events.emit(clicked, batch)
    assert shown == [(clicked, [draft])]
    page.stop_button.click()
    finish(runs, clicked, RunState.CANCELLED)
    assert removed == [clicked]
    page.explain_button.click()
    runs.events.emit(last_run(runs), batch)
    assert len(shown) == 1, "the button puts no maps on by itself"


def test_the_answer_stands_before_charts_and_report_are_drawn(page, panel, runs):
    panel.place.set_kind("basin")
    page.ask()
    run = write_answer(last_run(runs))
    artifact = Artifact(kind="table", path="results/attribution.json", title="Contributions")
    runs.events.emit(str(run.path), [Event(EventKind.ARTIFACT, artifact.to_dict())])
    assert "0.56" in panel.answer().words.text() and not panel.answer().bridge.isHidden()


def test_an_answer_that_no_click_asked_for_is_added_by_the_button(page, panel, runs, write_map):
    panel.place.set_kind("basin")
    page.ask()
    run = write_answer(last_run(runs))
    write_map(run.results / "attribution_rain.tif", np.ones((3, 4)))
    artifact = Artifact(kind="attribution", path="results/attribution_rain.tif", title="Rain (-)", variable="rain")
    run.append(Event(EventKind.ARTIFACT, artifact.to_dict()))
    finish(runs, run.path)
    assert not QgsProject.instance().mapLayers()
    page.maps_button.click()
    assert len(QgsProject.instance().mapLayers()) == 1


def test_the_cost_is_told_and_is_no_answer(page, panel, runs):
    panel.place.set_kind("basin")
    panel.cost_button.click()
    verb, job, title = runs.submitted[0]
    assert job.estimate and "cost" in title
    run = last_run(runs)
    text = "About 9 s on this machine: 42 passes through the model."
    runs.events.emit(run, [Event(EventKind.MESSAGE, {"level": "info", "text": text, "cost": {"seconds": 9.0}})])
    finish(runs, run)
    assert text in panel.cost.text() and not panel.cost.isHidden() and page.result.count() == 0
    page.ask()
    assert not runs.submitted[1][1].estimate


def test_a_question_can_be_cancelled(page, panel, runs):
    panel.place.set_kind("basin")
    page.ask()
    page.stop_button.click()
    assert runs.cancelled == [last_run(runs)]
    finish(runs, last_run(runs), RunState.CANCELLED)
    assert "was cancelled" in page.notice.text() and page.stop_button.isHidden()


# -- the answer


def test_the_bars_add_up_and_the_sentence_tells_all_of_it(page, panel, runs):
    panel.place.set_kind("basin")
    page.ask()
    run = write_answer(last_run(runs))
    finish(runs, run.path)
    answer = panel.answer()
    words = answer.words.text()
    for part in (
        "1993-07-04, gauge Cochem",
        "0.56",
        "0.5 for a sequence without rain",
        "Observed: 0.55",
        "Rain, +0.12",
    ):
        assert part in words, part
    assert "do not add up" in words
    told = answer.method.text()
    for part in ("SmoothGrad", "noise 0.15", "seed 7", "32 samples", "Tangents."):
        assert part in told, part
    assert "Most comes from 1 days back" in answer.delay.text() and "half of all within 1" in answer.delay.text()
    answer.bridge.render_now()
    bars = [patch for patch in answer.bridge.figure.axes[0].patches if patch.get_width()]
    ends = [bar.get_x() + bar.get_width() for bar in bars]
    assert ends == pytest.approx([0.5, 0.62, 0.56, 0.56])
    answer.steps.render_now()
    left, right = answer.steps.figure.axes
    assert [list(line.get_xdata()) for line in left.lines[:2]] == [[1, 0], [1, 0]]
    assert "most: 1" in [text.get_text() for text in left.get_legend().get_texts()]
    assert list(right.lines[0].get_ydata()) == pytest.approx([16.67, 100.0])
    assert answer.table_button.isEnabled() and not answer.report_button.isEnabled(), "no report was written"


def test_a_complete_method_tells_its_residual(page, panel, runs):
    panel.place.set_kind("basin")
    page.ask()
    run = write_answer(last_run(runs), method="integrated-gradients", complete=True, residual_share=0.004)
    finish(runs, run.path)
    assert "Not accounted for: 0.4 %" in panel.answer().words.text()


def test_a_method_that_tells_no_variables_apart_shows_no_bars(page, panel, runs):
    panel.place.set_kind("basin")
    page.ask()
    run = write_answer(last_run(runs), method="rise", variables={"all": 268.0}, by_step_back={}, delay=None)
    finish(runs, run.path)
    answer = panel.answer()
    assert "does not tell variables apart" in answer.words.text() and "268" not in answer.words.text()
    assert answer.bridge.isHidden() and answer.steps.isHidden() and answer.delay.isHidden()


def test_the_checks_of_the_method_are_shown_where_they_were_asked_for(page, panel, runs):
    panel.place.set_kind("basin")
    page.ask()
    facts = {"rank_correlation_randomised": 0.04, "deletion_area": 0.31}
    run = write_answer(last_run(runs), check=facts)
    (run.results / "deletion.csv").write_text(
        "share_deleted,attributed_first,random_mean,random_low,random_high\n0,1,1,1,1\n0.5,0.1,0.6,0.5,0.7\n1,0,0,0,0\n"
    )
    finish(runs, run.path)
    answer = panel.answer()
    assert "+0.04" in answer.check.text() and "+0.31" in answer.check.text()
    answer.deletion.render_now()
    lines = {line.get_label(): list(line.get_ydata()) for line in answer.deletion.figure.axes[0].lines}
    assert lines["most attributed first"] == [1.0, 0.1, 0.0] and lines["random order"] == [1.0, 0.6, 0.0]
    write_answer(run.path, check=None)
    answer.show_run(run)
    assert answer.check.isHidden() and answer.deletion.isHidden()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"variables": {}}'])
def test_a_broken_answer_is_shown_as_none(page, panel, runs, text):
    panel.place.set_kind("basin")
    page.ask()
    run = write_answer(last_run(runs))
    (run.results / "attribution.json").write_text(text)
    finish(runs, run.path)
    assert panel.answer().words.isHidden() and panel.answer().bridge.isHidden()


def test_several_models_are_explained_in_their_mean(page, panel, runs, datasets, tmp_path):
    for name in ("one", "two"):
        run = RunFolder.create(tmp_path / "runs", "train", panel_job(), name)
        run.results.mkdir()
        card_file(run.model_file)
        runs.list.append(RunSummary(str(run.path), "train", name, RunState.DONE, "2026-01-01T12:00:00"))
    runs.changed.emit()
    panel.place.set_kind("basin")
    assert page.subject.model.currentText() == "A model file ..." and panel.members.count() == 2
    page.subject.model.setCurrentIndex(0)
    assert [panel.members.item(i).text() for i in range(panel.members.count())] == ["two"]
    panel.members.tick((panel.members.item(0).data(256),))
    assert [path.endswith("model.safetensors") for path in panel.job().members] == [True]
    page.ask()
    ensemble = {"members": [{}, {}], "spread_of_prediction": 0.02, "spread": {"rain": 0.01, "pet": 0.0}}
    run = write_answer(last_run(runs), ensemble=ensemble)
    finish(runs, run.path)
    words = panel.answer().words.text()
    assert "Mean of 2 models" in words and "0.02 apart" in words and "Rain \u00b1 0.01" in words


def test_an_ensemble_of_a_run_can_be_asked_as_one(page, panel, runs, tmp_path):
    run = RunFolder.create(tmp_path / "runs", "train", panel_job(), "five")
    (run.results / "members").mkdir(parents=True)
    for path in (run.model_file, run.results / "members" / "member_01.safetensors"):
        card_file(path)
    write_ensemble(run.ensemble_file, EnsembleFile(members=("members/member_01.safetensors",)))
    runs.list.append(RunSummary(str(run.path), "train", "five", RunState.DONE, "2026-01-01T12:00:00"))
    runs.changed.emit()
    offered = [page.subject.model.itemText(i) for i in range(page.subject.model.count())]
    assert offered == ["five, mean of its members", "five", "A model file ..."]
    page.subject.model.setCurrentIndex(0)
    panel.place.set_kind("basin")
    assert panel.job().model == str(run.ensemble_file)
    assert [panel.members.item(i).text() for i in range(panel.members.count())] == ["five"]


# -- the frame


def test_every_question_can_be_chosen_and_gives_the_map_back(page, panel, canvas):
    names = [page.question.itemData(i) for i in range(page.question.count())]
    assert names == [kind.name for kind in PANELS] and len(set(names)) == len(names)
    panel.place.pick_button.setChecked(True)
    for name in names:
        chosen = page.choose(name)
        assert chosen.name == name and not chosen.isHidden() and page.explain_button.text() == chosen.button_text()
        shown = [other.name for other in page.panels.values() if not other.isHidden()]
        assert shown == [name]
    if len(names) > 1:
        assert canvas.mapTool() is None


@pytest.mark.parametrize("name", [kind.name for kind in PANELS])
def test_each_question_fits_into_a_narrow_dock_and_names_its_fields(page, qgis_app, name):
    page.resize(352, 700)
    panel = page.choose(name)
    qgis_app.processEvents()
    assert page.horizontalScrollBar().maximum() == 0
    found = [w for kind in (QAbstractButton, QComboBox, QLineEdit) for w in panel.findChildren(kind)]
    found = [widget for widget in found if not isinstance(widget.parent(), QAbstractItemView)]  # a table's corner
    names = [widget.objectName() for widget in found if not widget.objectName().startswith("qt_")]
    assert all(names), [type(widget).__name__ for widget in found if not widget.objectName()]
    assert len(set(names)) == len(names)


def test_the_tab_key_walks_through_the_page_from_top_to_bottom(page, panel, qgis_app):
    page.resize(380, 2000)
    page.activateWindow()
    page.question.setFocus()
    qgis_app.processEvents()
    named = []
    for _ in range(40):
        named.append(page.window().focusWidget().objectName())
        QTest.keyClick(page.window().focusWidget(), Qt.Key.Key_Tab)
    wanted = ["freshetWhyQuestion", "freshetWhyDataset", "freshetWhyCell", "freshetWhyPick", "freshetWhyX"]
    wanted += ["freshetWhyEachClick", "freshetWhyDate", "freshetWhyMethod_method", "freshetWhyCost"]
    wanted += ["freshetWhyExplain"]
    assert [name for name in dict.fromkeys(named) if name in wanted] == wanted


def test_the_place_can_be_asked_for_among_fewer_kinds(page, canvas):
    place = place_choice.PlaceChoice(page.context, "freshetTest", ("none", "cell"))
    assert place.kind() == "none" and "basin" not in place.values() and place.values()["x"] is None
    assert place.radios["gauge"].isHidden()
    place.set_kind("cell")
    with pytest.raises(ConfigError, match="No cell is chosen"):
        place.values()
    place.set_kinds(("polygon",))
    assert place.kind() == "polygon"
    place.release()


def test_releasing_takes_tools_and_marks_from_the_map(canvas, temporal, datasets, runs, make_summary, tmp_path):
    datasets.add(make_summary())
    items = len(canvas.scene().items())
    page = WhyPage(datasets, runs, Choice(), FakeIface(canvas), temporal)
    page.subject.model_file.set_path(card_file(tmp_path / "m.safetensors"))
    for i in range(page.question.count()):
        page.question.setCurrentIndex(i)
    panel = page.choose("Attribution")
    panel.place.pick_button.setChecked(True)
    panel.place._tools["point"].pick(QgsPointXY(4.05e6, 2.9e6))
    assert len(canvas.scene().items()) > items
    page.release()
    assert canvas.mapTool() is None and len(canvas.scene().items()) == items
