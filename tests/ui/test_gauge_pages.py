"""Models of gauges on the pages: what is offered, what is refused beside its field, and what came of a run."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import struct
from pathlib import Path

import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's own Python")

from qgis.core import QgsCoordinateReferenceSystem, QgsPointXY, QgsProject, QgsRectangle
from qgis.gui import QgsMapCanvas
from qgis.PyQt.QtCore import Qt

from freshet.core.contracts import RunState, TrainJob
from freshet.core.contracts.model_card import CARD_KEY
from freshet.core.contracts.models import FAMILIES, family, model_names
from freshet.plugin.datasets import VariableSummary
from freshet.plugin.gauge_results import gauge_results
from freshet.plugin.layers import add_run_results
from freshet.plugin.runs import RunSummary
from freshet.plugin.settings import Settings
from freshet.ui.charts import Line, SeriesData
from freshet.ui.choice import Choice
from freshet.ui.cost import memory_bytes
from freshet.ui.dialogs.predict import card_words
from freshet.ui.dock import FreshetDock
from freshet.ui.engine_state import EngineState
from freshet.ui.family_choice import FamilyCombo, about_words, bound_to_grid, group_of
from freshet.ui.hydrographs import gauges_at, hydrograph_lines, place_of
from freshet.ui.pages.maps import MapsPage
from freshet.ui.pages.model_checks import field_at_fault

_spec = importlib.util.spec_from_file_location("gauge_run", Path(__file__).resolve().parents[1] / "gauge_run.py")
gauge_run = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(gauge_run)

FLOW = VariableSummary("flow", "target", "discharge", "m3/s", "Discharge", gauges=True)
LEVEL = VariableSummary("level", "target", "water_level", "m", "Water level", gauges=True)


@pytest.fixture
def choice(qgis_app):
    return Choice()


@pytest.fixture
def dock(qgis_app, datasets, runs, choice):
    made = FreshetDock(datasets, runs, choice, EngineState(lambda: Settings(engine_python="/there/is/none")))
    yield made
    made.release()
    made.deleteLater()


def with_gauges(make_summary, count=2, more=(LEVEL,)):
    plain = make_summary()
    return dataclasses.replace(plain, variables=(*plain.variables, FLOW, *more), gauges=count)


@pytest.fixture
def model(dock, datasets, make_summary):
    datasets.add(with_gauges(make_summary))
    page = dock.pages["model"]
    page.shape.editors["window"].setText("10")
    return page


def take_target(page, name: str) -> None:
    page.target.setCurrentIndex(page.target.findData(name))


def offered(combo: FamilyCombo) -> list[str]:
    """Names that the list shows and that can be chosen."""
    rows = [row for row in range(combo.count()) if not combo.view().isRowHidden(row)]
    return [combo.itemData(row) for row in rows if combo.model().item(row).isEnabled()]


# -- what is offered


def test_series_at_gauges_are_targets_told_apart_and_no_inputs(model, datasets, make_summary):
    assert model.target.itemText(model.target.findData("flow")) == "Discharge at 2 gauges (m3/s)"
    assert model.target.itemText(model.target.findData("sm_l1")) == "Soil moisture (-)"
    assert "flow" not in [model.inputs._key(i) for i in range(model.inputs.count())]
    datasets.items = [with_gauges(make_summary, 1)]
    datasets.changed.emit()
    assert model.target.itemText(model.target.findData("flow")) == "Discharge at 1 gauge (m3/s)"


def test_the_list_follows_the_target_and_says_what_it_leaves_out(model):
    maps = [name for item in FAMILIES if "maps" in item.gives for name in (item.name, *(p.name for p in item.presets))]
    assert sorted(offered(model.family)) == sorted(maps)
    take_target(model, "flow")
    assert {"lstm", "cnn-lstm", "convlstm-gauge", "convlstm-gauge-fc"} <= set(offered(model.family))
    assert {"convlstm", "convlstm-wflow", "mc-convlstm"}.isdisjoint(offered(model.family))
    assert "ConvLSTM cannot predict Discharge, which is a series at gauges" in model.fit.text()
    assert "LSTM (every place on its own)" in model.fit.text() and not model.fit.isHidden()
    assert "'convlstm' cannot predict 'flow', which is a series at gauges" in model.notice.text()
    model.family.choose("lstm")
    assert model.notice.isHidden() and "families that predict maps alone are left out" in model.fit.text()


def test_headings_of_nothing_are_left_out_too(model):
    take_target(model, "flow")
    combo = model.family
    heads = [row for row in range(combo.count()) if combo.itemData(row) is None and not combo.view().isRowHidden(row)]
    for head in heads:
        after = [row for row in range(head + 1, combo.count()) if not combo.view().isRowHidden(row)]
        assert after and combo.itemData(after[0]) is not None, combo.itemText(head)
    assert "With attention" not in [combo.itemText(row) for row in heads]


def test_every_family_and_preset_stands_once_below_its_group(qgis_app):
    combo = FamilyCombo("freshetTestFamily")
    names = [combo.itemData(row) for row in range(combo.count()) if combo.itemData(row) is not None]
    assert sorted(names) == sorted(model_names())
    place = {name: combo.findData(name) for name in names}
    for item in FAMILIES:
        assert [place[preset.name] for preset in item.presets] == list(
            range(place[item.name] + 1, place[item.name] + 1 + len(item.presets))
        )
    groups = {"convlstm": "recurrent", "predrnn": "recurrent", "sa-convlstm": "attention", "gccl": "geometry",
              "partial-convlstm": "gaps", "cnn-lstm": "gauges", "lstm": "lumped", "mc-convlstm": "conserving",
              "mc-lstm": "conserving", "cnn": "simple"}  # fmt: skip
    assert {name: group_of(family(name)) for name in groups} == groups


def test_a_family_tells_its_paper_with_a_link_and_what_binds_it(model):
    assert "href='https://doi.org/10.48550/arXiv.1506.04214'>Shi et al. (2015)</a>" in model.about.text()
    assert "bound to its grid" not in model.about.text()
    take_target(model, "flow")
    model.family.choose("convlstm-gauge-fc")
    assert "bound to its grid" in model.about.text() and "<i>ConvLSTM for gauges, fully connected" in model.about.text()
    assert model.options.values()["reading"] == "connected" and model.job().model.family == "convlstm-gauge"
    model.options.editors["reading"].setCurrentIndex(model.options.editors["reading"].findData("attention"))
    assert "A trained model is bound to its grid" not in model.about.text()
    assert bound_to_grid(family("gccl"), {}) and "href" not in about_words(family("predrnn"))


def test_what_a_family_cannot_do_is_not_shown_and_keeps_its_default(model):
    shown = lambda: (not model.further.also.isHidden(), not model.further.ahead.isHidden())  # noqa: E731
    assert shown() == (True, False)
    sampling = model.training_more.editors["sampling"]
    assert sampling.isHidden() and model.training_more.layout().labelForField(sampling).isHidden()
    model.family.choose("convlstm-ed")
    model.shape.editors["lead"].setText("1")
    assert shown() == (True, True) and not sampling.isHidden()
    assert model.further.form.editors["run_through"].isHidden()
    model.further.ahead.tick(("pre",))
    sampling.setText("0.5")
    job = model.job()
    assert job.ahead == ("pre",) and job.training.sampling == 0.5
    model.family.choose("convgru")
    assert model.notice.isHidden() and model.job().ahead == () and model.job().training.sampling == 0.0
    model.family.choose("convlstm-ed")
    assert model.job().ahead == ("pre",), "what was ticked is there again"


def test_also_predict_offers_the_same_kind_and_means_of_maps_beside_gauges(model):
    texts = lambda: [model.further.also.item(i).text() for i in range(model.further.also.count())]  # noqa: E731
    assert not any("gauge" in text or "Discharge" in text for text in texts())
    take_target(model, "flow")
    model.family.choose("cnn-lstm")
    assert texts()[0] == "Soil moisture (-), mean of the basin" and "Water level (m)" in texts()
    model.further.also.tick(("level", "sm_l1"))
    assert set(model.job().also) == {"level", "sm_l1"}
    model.family.choose("exp-hydro")
    assert model.further.also.isHidden()


def test_the_memory_of_a_model_of_gauges_is_that_of_its_inputs(model, make_summary):
    held = {"/data/moselle.nc": with_gauges(make_summary)}
    one = 4 * 37 * 52 * 1461
    assert memory_bytes(model.job(), held) == 4 * one
    take_target(model, "flow")
    model.family.choose("lstm")
    assert memory_bytes(model.job(), held) == 3 * one


def test_a_job_comes_back_onto_the_page_as_it_was(model):
    job = TrainJob.from_dict(
        {
            "datasets": ["/data/moselle.nc"], "target": "flow", "inputs": ["pre"], "also": ["level"], "window": 12,
            "run_through": True, "model": {"family": "convlstm-gauge-fc"},
        }
    )  # fmt: skip
    model.take_job(job)
    again = model.job()
    for name in ("target", "inputs", "also", "ahead", "run_through", "window"):
        assert getattr(again, name) == getattr(job, name), name
    assert again.model.options["reading"] == "connected"


# -- what is refused, beside its field


def said(form, field: str) -> str:
    notice = form._notices.get(field)
    return notice.text() if notice is not None and not notice.isHidden() else ""


def test_a_window_shorter_than_the_family_needs_is_told_beside_the_window(model, runs):
    model.family.choose("cnn")
    model.shape.editors["window"].setText("2")
    assert "window is shorter than 'cnn' needs" in said(model.shape, "window")
    assert "at least 4 steps" in model.notice.text() and "cnn.frames" in model.notice.text()
    model.train()
    assert runs.submitted == []
    model.shape.editors["window"].setText("4")
    assert said(model.shape, "window") == "" and model.notice.isHidden()


def test_supervised_steps_that_a_family_cannot_do_are_told_beside_them(model):
    model.family.choose("convlstm-ed")
    model.training_more.editors["supervised_steps"].setText("4")
    assert "Set 'supervised steps' to 1" in said(model.training_more, "supervised_steps")
    assert model._training_fold.toggle.isChecked(), "the fold opens on what is at fault"
    model.family.choose("convlstm")
    assert said(model.training_more, "supervised_steps") == ""
    model.training_more.editors["supervised_steps"].setText("11")
    assert "at most 10" in said(model.training_more, "supervised_steps")


def test_run_through_is_told_where_an_option_forbids_it(model):
    model.further.form.editors["run_through"].setChecked(True)
    assert model.job().run_through
    model.options.editors["output"].setCurrentIndex(model.options.editors["output"].findData("encoder-decoder"))
    assert "cannot run through" in said(model.further.form, "run_through")
    assert model._further_fold.toggle.isChecked()


def test_sampling_without_a_decoder_that_reads_itself_is_told(model):
    model.family.choose("convlstm-ed")
    model.training_more.editors["sampling"].setText("0.5")
    model.options_more.editors.get("decoder_input", model.options.editors.get("decoder_input")).setCurrentIndex(1)
    assert "nothing to sample for" in said(model.training_more, "sampling")


def test_leads_of_a_family_that_has_one_are_told_beside_them(model):
    take_target(model, "flow")
    model.family.choose("mc-lstm")
    model.shape.editors["leads"].setText("3")
    assert "one target at one step only" in said(model.shape, "leads")


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda page: page.options.editors["hidden_size"].setText("0"), "Cells: 0. Expected: 1 to 4096"),
        (lambda page: page.training_more.editors["supervised_steps"].setText("0"), "Supervised steps"),
        (lambda page: page.inputs.tick(()), "No input is chosen"),
        (lambda page: page.family.choose("mc-lstm"), "has 2 gauges, and a water balance has one outlet"),
        (lambda page: page.family.choose("convlstm"), "a family that predicts gauges: "),
    ],
)
def test_contradictions_of_a_model_of_gauges_are_sentences_and_nothing_runs(model, runs, change, words):
    take_target(model, "flow")
    model.family.choose("lstm")
    assert model.notice.isHidden()
    change(model)
    assert words in model.notice.text()
    model.train()
    assert runs.submitted == []


def test_the_field_at_fault_is_the_one_that_mends_the_job():
    good = vars(TrainJob.from_dict({"datasets": ["/d.nc"], "target": "a", "inputs": ["b"], "window": 5}))
    assert field_at_fault(good) == ""
    assert field_at_fault({**good, "ahead": ("c",)}) == "ahead"
    assert field_at_fault({**good, "inputs": ()}) == ""


# -- what came of it


class FakeIface:
    """As much of QGIS as a page asks for."""

    def __init__(self, canvas):
        self._canvas = canvas

    def mapCanvas(self):  # noqa: N802 (QGIS's name)
        return self._canvas


@pytest.fixture
def finished(tmp_path, runs):
    """A finished training to two gauges."""
    run = gauge_run.write_run(tmp_path / "runs")
    scores = {"model": {"nse": 0.88}, "persistence": {"nse": 0.61}, "climatology": {"nse": -1.2}}
    runs.list.append(RunSummary(str(run.path), "train", "Flow", RunState.DONE, "2026-01-01T12:00:00", 1.0, "", scores))
    return run


@pytest.fixture
def maps(qgis_app, runs, finished):
    canvas = QgsMapCanvas()
    canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:3035"))
    canvas.resize(400, 300)
    canvas.setExtent(QgsRectangle(3_998_000, 2_998_000, 4_004_000, 3_002_000))
    made = MapsPage(runs, Choice(), FakeIface(canvas))
    made.show()
    yield made
    made.release()
    made.close()


def rows_of(table) -> list[list[str]]:
    return [[table.item(i, k).text() for k in range(table.columnCount())] for i in range(table.rowCount())]


def test_the_page_lists_gauges_with_scores_beside_the_simple_forecasts(maps):
    assert not maps.gauges.isHidden()
    assert rows_of(maps.gauges.table) == [
        ["upper", "0.883", "0.61", "-1.26", "0.79", "0.039"],
        ["outlet", "-0.7", "0.62", "-1.47", "0.1", "0.085"],
    ]
    assert "NSE 0.88 (persistence 0.61, climatology -1.2)" in maps.held.text()
    assert "m3/s" in maps.gauges.table.horizontalHeaderItem(5).toolTip()
    assert [maps.gauges.result.itemText(i) for i in range(2)] == ["Flow (m3/s)", "Loss (mm/d), loss"]
    maps.gauges.result.setCurrentIndex(1)
    assert "mm/d" in maps.gauges.table.horizontalHeaderItem(5).toolTip()


def test_a_gauge_of_the_list_gives_its_hydrograph_and_the_lead_can_be_chosen(maps):
    maps.gauges.table.selectRow(0)
    observed, predicted = maps._data.lines
    assert (observed.kind, predicted.kind, predicted.units) == ("observed", "predicted", "m3/s")
    assert predicted.values[0] == gauge_run.predicted("upper", 1, 1)
    assert observed.values == [gauge_run.observed("upper", day + 1) for day in range(gauge_run.DAYS)]
    assert "Gauge upper, 1 step ahead\nNSE 0.883 (persistence 0.61, climatology -1.3)" in maps._data.title
    assert [maps.gauges.lead.itemData(i) for i in range(2)] == [1, 2] and not maps.gauges.lead.isHidden()
    maps.gauges.lead.setCurrentIndex(1)
    assert maps._data.lines[1].values[0] == gauge_run.predicted("upper", 2, 2)
    assert "2 steps ahead" in maps._data.title and "NSE" not in maps._data.title, "those scores are of the first lead"
    assert maps._tool._mark is not None, "a ring shows where it lies"


def test_a_click_near_a_gauge_gives_its_hydrograph_and_one_far_away_none(maps, finished):
    add_run_results(finished, QgsProject.instance())
    crs = QgsCoordinateReferenceSystem("EPSG:3035")
    there = place_of(gauge_results(finished)[0], "outlet", crs, QgsProject.instance())
    maps.plot(QgsPointXY(there.x() + 20.0, there.y() - 20.0))
    flow = [line for line in maps._data.lines if line.units == "m3/s"]
    assert [line.kind for line in flow] == ["observed", "predicted"]
    assert flow[1].values[0] == gauge_run.predicted("outlet", 1, 1) and "outlet" in flow[1].label
    assert {line.units for line in maps._data.lines} == {"m3/s", "mm/d"}, "both targets have their panel"
    assert maps.gauges.table.currentRow() == 1 and maps._data.title.startswith("Gauge outlet")
    maps.chart.render_now()
    assert [axes.get_ylabel() for axes in maps.chart.figure.axes[:2]] == ["(m3/s)", "(mm/d)"]
    far = QgsPointXY(there.x() - 3000.0, there.y() + 1500.0)
    assert gauges_at(far, crs, 200.0, QgsProject.instance()) == []
    maps.plot(far)
    assert "No series at this point" in maps.notice.text()


def test_a_map_of_the_same_unit_does_not_share_the_panel_of_a_hydrograph():
    rain = Line([], [], "Rain (mm/d)", "", "mm/d")
    runoff = [Line([], [], kind, kind, "mm/d", panel="Runoff") for kind in ("observed", "predicted")]
    assert [len(lines) for lines in SeriesData([*runoff, rain]).panels().values()] == [2, 1]


def test_rain_hangs_from_above_where_the_dataset_of_the_run_has_it(maps, finished, monkeypatch):
    from freshet.ui.pages import maps as module

    asked = []

    def rain(path, point, crs, project):
        asked.append((path, round(point.x(), 4), crs.authid()))
        return Line([], [], "Rain", "rain", "mm/d")

    monkeypatch.setattr(module, "rain_at", rain)
    maps.gauges.table.selectRow(1)
    assert asked == [(str(finished.path), 5.5391, "EPSG:4326")] and maps._data.rain.label == "Rain"


def test_the_series_of_a_gauge_can_be_saved(maps, tmp_path):
    maps.gauges.table.selectRow(0)
    maps.export(str(tmp_path / "out.csv"))
    head, first = (tmp_path / "out.csv").read_text().splitlines()[:2]
    assert head == 'date,"upper, Flow observed [m3/s]","upper, Flow predicted [m3/s]"'
    assert first == f"2001-04-02,{gauge_run.observed('upper', 1)},{gauge_run.predicted('upper', 1, 1)}"


def test_gauges_without_places_are_listed_and_plotted_all_the_same(qgis_app, runs, tmp_path):
    run = gauge_run.write_run(tmp_path / "runs", places=False, also=False)
    runs.list.append(RunSummary(str(run.path), "train", "Flow", RunState.DONE, "2026-01-01T12:00:00"))
    page = MapsPage(runs, Choice())
    assert rows_of(page.gauges.table)[0] == ["upper", "-", "-", "-", "-", "-"]
    assert "No scores for each gauge" in page.gauges.notice.text() and not page.add_button.isEnabled()
    page.gauges.table.selectRow(1)
    assert len(page._data.lines) == 2 and page._data.rain is None
    page.release()


def test_a_table_that_is_gone_is_told_and_breaks_nothing(maps, finished):
    (finished.results / "series.csv").unlink()
    maps.gauges.show_run(finished)
    assert "series at gauges cannot be read" in maps.gauges.notice.text() and maps.gauges.table.rowCount() == 0
    assert hydrograph_lines(gauge_results(finished)[0], "upper") == []


def test_a_run_of_maps_shows_no_gauges(qgis_app, runs):
    page = MapsPage(runs, Choice())
    assert page.gauges.isHidden()
    page.release()


def test_the_gauges_of_a_finished_run_join_the_project_and_the_page_of_runs_leads_to_them(
    dock, runs, finished, datasets, choice
):
    from freshet.ui.follow_up import FollowUp

    follow = FollowUp(runs, datasets, choice, settings=Settings)
    runs.ended.emit(str(finished.path), RunState.DONE)
    assert [layer.name() for layer in QgsProject.instance().mapLayers().values()][0].startswith("NSE of")
    follow.release()
    page = dock.pages["runs"]
    page.refresh()
    page.list.choose(str(finished.path))
    assert not page.maps_button.isHidden() and not page.report_button.isHidden()
    page.maps_button.click()
    dock.pages["maps"].refresh()
    assert dock.pages["maps"].gauges.table.rowCount() == 2


def test_the_report_of_each_target_can_be_opened(dock, runs, finished, monkeypatch):
    from freshet.ui.pages import runs as module

    opened = []
    monkeypatch.setattr(module, "_open", opened.append)
    page = dock.pages["runs"]
    page.refresh()
    page.list.choose(str(finished.path))
    page.report_button.click()
    assert opened == [] and [item.text() for item in page.reports.actions()] == ["Report: Flow", "Report: Loss (loss)"]
    page.reports.actions()[1].trigger()
    page.reports.actions()[0].trigger()
    assert opened == [str(finished.results / "loss" / "report.html"), str(finished.report_file)]
    page.reports.close()
    (finished.results / "loss" / "report.html").unlink()
    page.report_button.click()
    assert opened[-1] == str(finished.report_file) and len(opened) == 3


# -- saved models


def card_file(path, **changes):
    """A file that begins as a saved model does."""
    variable = {"name": "pre", "quantity": "precipitation", "units": "mm/d", "scaler": {"kind": "none"}}
    target = {"name": "flow", "quantity": "discharge", "units": "m3/s", "label": "Discharge"}
    card = {
        "title": "A model", "family": "lstm", "options": {}, "inputs": [variable], "static": [], "target": target,
        "season": False, "window": 5, "lead": 1, "leads": 1, "gauges": ["upper", "outlet"], **changes,
    }  # fmt: skip
    header = json.dumps({"__metadata__": {CARD_KEY: json.dumps(card)}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return str(path)


def test_the_words_of_a_model_tell_what_it_predicts_and_where(tmp_path):
    from freshet.core.contracts.model_card import read_card

    also = [{"name": "et", "quantity": "evapotranspiration", "units": "mm/d", "label": "Evaporation"}]
    words = card_words(read_card(card_file(tmp_path / "a.safetensors", also=also)))
    assert "Discharge (m3/s) and Evaporation (mm/d) at 2 gauges (upper, outlet)" in words
    ahead = [{"name": "pre", "quantity": "precipitation", "units": "mm/d"}]
    words = card_words(read_card(card_file(tmp_path / "b.safetensors", gauges=[], ahead=ahead, leads=3)))
    assert (
        "maps of Discharge (m3/s), 1 to 3 steps ahead" in words and "for the predicted steps too: pre (mm/d)" in words
    )


@pytest.mark.parametrize(
    "ids, words, refused",
    [
        (("upper", "outlet", "third"), "", False),
        (("a", "b"), "taken in their order (a as upper, b as outlet)", False),
        (("a", "b", "c"), "other gauges than the model predicts. Expected: upper, outlet. Found: a, b, c", True),
        ((), "The dataset has no gauges", False),
    ],
)
def test_a_dataset_with_other_gauges_is_told_before_the_run(
    model, datasets, runs, tmp_path, monkeypatch, ids, words, refused
):
    from freshet.plugin import fitting

    monkeypatch.setattr(fitting, "gauge_ids", lambda path, sequence: ids)
    dialog = model.open_predict(card_file(tmp_path / "m.safetensors"))
    assert words in dialog.notice.text() and "2 gauges (upper, outlet)" in dialog.about.text()
    dialog.predict()
    assert bool(runs.submitted) is not refused


def test_the_list_of_families_can_be_walked_with_the_keys(qgis_app):
    from qgis.PyQt.QtTest import QTest

    combo = FamilyCombo("freshetTestFamily")
    combo.follow(True)
    combo.choose("convlstm-gauge")
    seen = set()
    for _ in range(combo.count()):
        QTest.keyClick(combo, Qt.Key.Key_Down)
        seen.add(combo.currentData())
    assert None not in seen and "convlstm" not in seen and "lstm" in seen
