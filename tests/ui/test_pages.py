"""The pages: what they submit, what they say, how narrow they can be."""

from __future__ import annotations

import dataclasses
import json

import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's own Python")

from qgis.core import QgsCoordinateReferenceSystem, QgsGeometry, QgsPointXY, QgsProject

from freshet.core.contracts import Event, EventKind, ExplainJob, RunError, RunFolder, RunState, TrainJob
from freshet.core.contracts.models import resolve
from freshet.plugin.datasets import VariableSummary
from freshet.plugin.settings import Settings
from freshet.ui.choice import Choice
from freshet.ui.cost import convlstm_parameters
from freshet.ui.dock import FreshetDock
from freshet.ui.engine_state import EngineState
from freshet.ui.pages.model import short_citation
from freshet.ui.text import date_words


@pytest.fixture
def choice(qgis_app):
    return Choice()


@pytest.fixture
def dock(qgis_app, datasets, runs, choice):
    engine = EngineState(lambda: Settings(engine_python="/there/is/none"))
    made = FreshetDock(datasets, runs, choice, engine)
    yield made
    made.release()
    made.deleteLater()


@pytest.fixture
def model(dock, datasets, make_summary):
    datasets.add(make_summary())
    return dock.pages["model"]


def test_an_empty_project_is_told_the_next_step_on_every_page(dock):
    for page in dock.pages.values():
        assert not page.empty.isHidden() and len(page.empty.text()) > 20, page.name
    assert "New dataset" in dock.pages["data"].empty.text()


def test_pages_need_no_horizontal_scrolling_at_360_px(dock, datasets, make_summary, runs, qgis_app):
    datasets.add(make_summary())
    dock.resize(360, 700)
    dock.show()
    for name, page in dock.pages.items():
        dock.show_page(name)
        qgis_app.processEvents()
        assert page.horizontalScrollBar().maximum() == 0, name
    assert dock.width() <= 360


def test_every_widget_that_can_be_used_has_an_object_name(dock):
    from qgis.PyQt.QtWidgets import QAbstractButton, QComboBox, QLineEdit

    for page in dock.pages.values():
        found = [w for kind in (QAbstractButton, QComboBox, QLineEdit) for w in page.widget().findChildren(kind)]
        nameless = [w.metaObject().className() for w in found if not w.objectName()]
        assert set(nameless) <= {"QTableCornerButton"}, page.name


def test_without_an_engine_the_strip_says_why(dock):
    dock._engine.look()
    assert "no engine" in dock.engine_button.text()
    assert "does not exist" in dock.engine_button.toolTip()


def test_the_model_page_builds_the_job_that_is_seen(model, runs, choice):
    model.shape.editors["window"].setText("10")
    model.training.editors["epochs"].setText("3")
    model.title.setText("My run")
    model.train_button.click()
    (verb, job, title) = runs.submitted[0]
    assert (verb, title) == ("train", "My run")
    assert isinstance(job, TrainJob)
    assert (job.target, job.inputs, job.static, job.window) == ("sm_l1", ("pre", "pet", "tavg"), ("dem",), 10)
    assert job.training.epochs == 3 and job.season is True and job.datasets == ("/data/moselle.nc",)
    assert job.split.train.start == "1990-01-01" and job.split.test.end == "1993-12-31"
    assert job.split.train.end < job.split.validation.start <= job.split.validation.end < job.split.test.start
    assert choice.run == runs.list[0].path


def test_a_target_among_the_inputs_is_refused_in_the_page_before_anything_runs(model, runs):
    model.inputs.tick(("pre", "sm_l1"))
    assert "also an input" in model.notice.text() and not model.notice.isHidden()
    model.train_button.click()
    assert runs.submitted == []
    model.shape.editors["lead"].setText("1")
    assert model.notice.isHidden()


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda page: page.shape.editors["window"].setText("2000"), "longer than the series"),
        (lambda page: page.inputs.tick(()), "No input is chosen"),
        (lambda page: page.periods.fields["test"][0].setText("1993-02-30"), "not a date"),
        (lambda page: page.periods.fields["train"][1].setText("1980-01-01"), "ends before it starts"),
        (lambda page: page.training.editors["learning_rate"].setText("0.0.1"), "not a number"),
        (lambda page: page.options.editors["hidden"].setText(""), "at least one layer"),
        (lambda page: page.datasets.tick(()), "No dataset is chosen"),
    ],
)
def test_contradictions_stand_in_the_page_as_a_sentence(model, runs, change, words):
    change(model)
    assert words in model.notice.text()
    model.train()
    assert runs.submitted == []


def test_a_second_dataset_without_an_input_is_named(model, datasets, make_summary):
    rain = VariableSummary("rain", "input", "precipitation", "mm/d", "Rain")
    datasets.add(make_summary("/data/other.nc", "Other", variables=(rain,)))
    model.datasets.tick(("/data/moselle.nc", "/data/other.nc"))
    assert "'Other' has no variable 'sm_l1'" in model.notice.text()


def test_the_preset_fills_the_options_and_its_published_parameters_are_counted(model):
    model.preset.setCurrentIndex(model.preset.findData("convlstm-wflow"))
    assert model.options.values()["hidden"] == (32, 64)
    options = resolve("convlstm-wflow")[1]
    assert convlstm_parameters(options, dynamic=4, static=0, leads=1) == 264001
    model.season.setChecked(False)
    assert "264,001 parameters" in model.cost.text()  # three inputs and one static map


def test_a_citation_is_short():
    assert short_citation("Shi, X., Chen, Z. (2015): Title, with comma") == "Shi et al. (2015)"


def _run(runs, state=RunState.RUNNING, verb="train"):
    job = TrainJob(datasets=("/a.nc",), target="q", inputs=("p",))
    path = runs.submit(verb, job, "A run").path
    runs.list[0] = dataclasses.replace(runs.list[0], state=state, fraction=0.34, text="epoch 7 of 20")
    return RunFolder(path)


def test_the_loss_of_a_running_run_is_drawn_with_its_best_epoch(dock, runs, qgis_app):
    run = _run(runs)
    page = dock.pages["runs"]
    runs.changed.emit()
    for epoch, loss in enumerate((0.5, 0.3, 0.4), start=1):
        run.append(Event(EventKind.METRIC, {"epoch": epoch, "train_loss": loss, "validation_loss": loss + 0.1}))
    runs.events.emit(str(run.path), [])
    page._catch_up()
    assert page._loss.validation == pytest.approx([0.6, 0.4, 0.5]) and page._loss.best == 1
    page.chart.render_now()
    axes = page.chart.figure.axes[0]
    assert axes.get_xlabel() == "epoch"
    assert any("best: epoch 2" in text.get_text() for text in axes.get_legend().get_texts())
    assert "running 34 %" in page.state.text() and "Epoch 3" in page.log.toPlainText()


def test_cancel_asks_the_selected_run(dock, runs):
    run = _run(runs)
    runs.changed.emit()
    dock.pages["runs"].cancel_button.click()
    assert runs.cancelled == [str(run.path)]


def test_a_failed_run_says_what_happened_and_what_to_do(dock, runs):
    run = _run(runs, RunState.FAILED)
    runs.faults[str(run.path)] = RunError("The loss is no longer finite", remedy="Lower the learning rate")
    runs.changed.emit()
    dock.pages["runs"].list.choose(str(run.path))
    assert "Lower the learning rate" in dock.pages["runs"].notice.text()


def test_the_score_stands_beside_persistence_and_climatology(dock, runs):
    run = _run(runs, RunState.DONE)
    scores = {"model": {"nse": 0.961}, "persistence": {"nse": 0.86}, "climatology": {"nse": 0.588}}
    runs.list[0] = dataclasses.replace(runs.list[0], scores=scores)
    runs.changed.emit()
    dock.pages["runs"].list.choose(str(run.path))
    assert "NSE 0.961 (persistence 0.86, climatology 0.59)" in dock.pages["runs"].state.text()


def test_why_builds_the_job_of_a_picked_cell_in_the_datasets_crs(dock, datasets, make_summary, runs):
    datasets.add(make_summary())
    page = dock.pages["why"]
    QgsProject.instance().setCrs(QgsCoordinateReferenceSystem("EPSG:4326"))
    page.model_file.set_path("/m.safetensors")
    page.date.setText("1993-07-04")
    page.take_point(QgsPointXY(6.5, 49.5))
    page.explain_button.click()
    verb, job, _ = runs.submitted[0]
    assert verb == "explain" and isinstance(job, ExplainJob)
    assert 4.0e6 < job.x < 4.2e6 and 2.8e6 < job.y < 3.1e6
    assert job.polygon == "" and job.baseline == "mean"


def test_a_cell_outside_the_dataset_is_refused_with_its_extent(dock, datasets, make_summary, runs):
    datasets.add(make_summary())
    page = dock.pages["why"]
    page.model_file.set_path("/m.safetensors")
    page.date.setText("1993-07-04")
    page.x.setText("0")
    page.y.setText("0")
    page.explain()
    assert "outside the grid" in page.notice.text() and runs.submitted == []


def test_why_takes_a_polygon_and_says_what_is_missing(dock, datasets, make_summary, runs):
    datasets.add(make_summary())
    QgsProject.instance().setCrs(QgsCoordinateReferenceSystem("EPSG:3035"))
    page = dock.pages["why"]
    page.model_file.set_path("/m.safetensors")
    page.explain()
    assert "No date" in page.notice.text()
    page.date.setText("1993-07-04")
    page.area.setChecked(True)
    page.explain()
    assert "place to explain is not clear" in page.notice.text() and runs.submitted == []
    page.take_polygon(QgsGeometry.fromWkt("POLYGON((0 0, 1 0, 1 1, 0 0))"))
    assert page.job().polygon.upper().startswith("POLYGON") and page.job().x is None


def test_an_explanation_is_shown_as_a_bridge_that_adds_up(dock, datasets, make_summary, runs):
    datasets.add(make_summary())
    job = ExplainJob(model="/m.safetensors", dataset="/d.nc", date="1993-07-04", x=1.0, y=2.0)
    run = runs.submit("explain", job, "Why")
    run.results.mkdir()
    found = {
        "variables": {"rain": 0.12, "pet": -0.06},
        "by_step_back": {"rain": [0.1, 0.02], "pet": [-0.05, -0.01]},
        "baseline_prediction": 0.5,
        "prediction": 0.56,
        "residual": 0.0,
        "residual_share": 0.0,
        "units": "-",
        "date": "1993-07-04",
    }
    (run.results / "attribution.json").write_text(json.dumps(found))
    runs.list[0] = dataclasses.replace(runs.list[0], state=RunState.DONE)
    runs.changed.emit()
    page = dock.pages["why"]
    assert "Strongest: rain, +0.12" in page.words.text()
    page.bridge.render_now()
    bars = [patch for patch in page.bridge.figure.axes[0].patches if patch.get_width()]
    ends = [bar.get_x() + bar.get_width() for bar in bars]
    assert ends == pytest.approx([0.5, 0.62, 0.56, 0.56])


def test_the_chosen_dataset_is_one_for_strip_and_pages(dock, datasets, make_summary, choice):
    datasets.add(make_summary())
    datasets.add(make_summary("/data/rhine.nc", "Rhine"))
    dock.dataset.setCurrentIndex(dock.dataset.findData("/data/rhine.nc"))
    assert choice.dataset == "/data/rhine.nc"
    assert dock.pages["data"].list.key() == "/data/rhine.nc"
    assert dock.pages["model"].datasets.ticked() == ("/data/rhine.nc",)


def test_dates_without_a_time_are_shown_without_one():
    assert date_words("1990-01-01T00:00") == "1990-01-01"
    assert date_words("1990-01-01T06:00:00") == "1990-01-01T06:00"


def test_charts_ask_for_no_more_height_than_a_dock_has(dock):
    for chart in (dock.pages["runs"].chart, dock.pages["why"].bridge, dock.pages["why"].steps):
        chart._make_canvas()
        assert chart.sizeHint().height() <= 240
