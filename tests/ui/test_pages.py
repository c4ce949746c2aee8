"""The pages: what they submit, what they say, how narrow they can be."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's own Python")


from freshet.core.contracts import Event, EventKind, RunError, RunFolder, RunState, TrainJob
from freshet.core.contracts.models import resolve
from freshet.core.contracts.training_job import ModelConfig, PeriodConfig, SplitConfig, TrainingConfig
from freshet.plugin.datasets import VariableSummary
from freshet.plugin.settings import Settings
from freshet.ui.charts import LossData
from freshet.ui.choice import Choice
from freshet.ui.cost import convlstm_parameters, memory_bytes, static_channels
from freshet.ui.dock import FreshetDock
from freshet.ui.engine_state import EngineState
from freshet.ui.family_choice import short_citation
from freshet.ui.live_map import read_live
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
    assert job.training.epochs == 3 and job.season is False and job.datasets == ("/data/moselle.nc",)
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
    model.family.choose("convlstm-wflow")
    assert model.options.values()["hidden"] == (32, 64)
    options = resolve("convlstm-wflow")[1]
    assert convlstm_parameters(options, dynamic=4, static=0, leads=1) == 264001
    assert "264,001 parameters" in model.cost.text()  # three inputs and one static map


def test_the_time_is_that_of_the_newest_run_like_it_and_else_nothing(model, runs):
    assert "an epoch" not in model.cost.text() and "memory" in model.cost.text()
    model.train()
    run = RunFolder(runs.list[0].path)
    for epoch, seconds in enumerate((30.0, 50.0, 70.0), start=1):
        run.append(Event(EventKind.METRIC, {"epoch": epoch, "seconds": seconds}))
    runs.list[0] = dataclasses.replace(runs.list[0], state=RunState.DONE)
    runs.changed.emit()
    model.training.editors["epochs"].setText("30")
    assert "About 10 minutes at most: 20 s an epoch" in model.cost.text()
    model.training.editors["batch"].setText("8")
    assert "an epoch" not in model.cost.text()


def test_settings_that_are_not_read_are_left_out(model):
    more = model.training_more

    def shown(*names):
        return [not (more.editors[name].isHidden() or more.layout().labelForField(more.editors[name]).isHidden())
                for name in names]  # fmt: skip

    assert shown("huber_delta", "quantile", "rare_emphasis", "ssim_share", "schedule_epochs") == [False] * 5
    model.training.set_values({"loss": "huber"})
    more.set_values({"schedule": "step"})
    assert shown("huber_delta", "quantile", "schedule_epochs", "schedule_factor") == [True, False, True, True]
    more.editors["huber_delta"].setText("2")
    assert model.job().training.huber_delta == 2.0
    model.training.set_values({"loss": "mse"})
    assert model.job().training.huber_delta == 1.0 and shown("huber_delta") == [False]


def test_an_ensemble_is_asked_for_in_the_page_and_comes_back_into_it(model, choice):
    model.members.editors["members"].setText("5")
    model.members.editors["bootstrap"].setText("30")
    job = model.job()
    assert (job.members, job.bootstrap) == (5, 30)
    model.members.reset()
    model.members.editors["bootstrap"].setText("30")
    assert "A bootstrap is for the members" in model.notice.text() and model._training_fold.toggle.isChecked()
    choice.want_job(job)
    assert model.job() == job


def test_memory_is_that_of_inputs_and_target_in_float32(model, make_summary):
    job = model.job()
    assert memory_bytes(job, {"/data/moselle.nc": make_summary()}) == 4 * 4 * 37 * 52 * 1461
    assert "The maps take 45 MB of memory" in model.cost.text()


def test_a_map_of_classes_shows_how_many_and_counts_as_many_channels(dock, datasets, make_summary, write_dataset):
    soil = VariableSummary("soil", "static", "soil_class", "-", "Soil", True, 0.0, 1.0, 4.0)
    variables = tuple(v for v in make_summary().variables if not v.static) + (soil,)
    path = write_dataset("soil", {"soil": [[1.0, 2.0, 9.0], [4.0, 4.0, np.nan]], "basin_mask": [[1, 1, 0], [1, 1, 1]]})
    datasets.add(make_summary(path, "Classes", variables=variables))
    page = dock.pages["model"]
    assert page.static.item(0).text() == "Soil (3 classes)"
    assert static_channels(page.job(), {path: page._summaries[path]}) == 3
    page.scalers.setText("soil: standard")
    assert static_channels(page.job(), {path: page._summaries[path]}) == 1


def test_scalers_that_are_not_clear_are_a_sentence(model):
    model.scalers.setText("pre: log1p; tavg: none")
    assert model.job().scalers == {"pre": "log1p", "tavg": "none"}
    model.scalers.setText("pre: logarithm")
    assert "scalers are not clear" in model.notice.text()


def test_a_run_can_be_duplicated_and_changed(dock, model, datasets, make_summary, runs, choice):
    datasets.add(make_summary("/data/rhine.nc", "Rhine"))
    wanted = TrainJob(
        datasets=("/data/rhine.nc",),
        target="tavg",
        inputs=("pre",),
        season=True,
        window=12,
        warm_up=3,
        lead=2,
        split=SplitConfig(validation_share=0.1, test_share=0.3),
        scalers={"pre": "log1p"},
        model=ModelConfig("convlstm", {"hidden": [8], "kernel": [5], "peepholes": True}),
        training=TrainingConfig(epochs=7, clip_norm=2.5),
        title="First try",
    )
    run = runs.submit("train", wanted, "First try")
    dock.pages["runs"].list.choose(str(run.path))
    dock.pages["runs"].duplicate_button.click()
    job = model.job()
    full = wanted.replace(model=ModelConfig("convlstm", resolve("convlstm", wanted.model.options)[1]))
    assert job == full
    dated = full.replace(
        split=model.periods.split().replace(
            train=PeriodConfig("1990-01-01", "1991-12-31"),
            validation=PeriodConfig("1992-01-01", "1992-06-30"),
            test=PeriodConfig("1992-07-01", "1993-12-31"),
        )
    )
    choice.want_job(dated)
    assert model.job().split.test == dated.split.test


def test_only_a_training_that_ended_early_can_be_resumed(dock, runs):
    run = _run(runs, RunState.CANCELLED)
    runs.changed.emit()
    page = dock.pages["runs"]
    page.list.choose(str(run.path))
    assert not page.resume_button.isHidden()
    page.resume_button.click()
    assert runs.resumed == [str(run.path)]
    runs.list[0] = dataclasses.replace(runs.list[0], state=RunState.DONE)
    runs.changed.emit()
    assert page.resume_button.isHidden() and not page.duplicate_button.isHidden()
    runs.list[0] = dataclasses.replace(runs.list[0], verb="predict", state=RunState.FAILED)
    runs.changed.emit()
    assert page.resume_button.isHidden() and page.duplicate_button.isHidden()


def test_an_epoch_that_comes_again_after_resuming_replaces_the_first(dock):
    loss = LossData()
    for epoch, value in ((1, 0.5), (2, 0.4), (3, 0.3), (2, 0.35)):
        loss.add(epoch, value, value)
    assert (loss.epochs, loss.training) == ([1, 2], [0.5, 0.35])


def _write_live(run, value):
    run.checkpoints.mkdir(exist_ok=True)
    predicted = np.full((3, 4), value)
    predicted[0, 0] = np.nan
    np.savez(
        run.checkpoints / "live.npz", predicted=predicted, observed=np.eye(3, 4), date=np.array("1993-07-04T00:00:00")
    )


def test_the_map_that_sharpens_is_redrawn_when_its_file_changes(dock, runs):
    run = _run(runs)
    page = dock.pages["runs"]
    dock.show()
    dock.show_page("runs")
    runs.changed.emit()
    assert page.live.isHidden()
    for epoch, value in ((1, 0.25), (2, 0.75)):
        _write_live(run, value)
        os.utime(run.checkpoints / "live.npz", (epoch, epoch))
        run.append(Event(EventKind.METRIC, {"epoch": epoch, "train_loss": 0.3, "validation_loss": 0.3}))
        runs.events.emit(str(run.path), [])
        page._catch_up()
        page.live.render_now()
        predicted, observed = page.live.figure.axes[:2]
        assert float(predicted.images[0].get_array()[1, 1]) == value
        assert predicted.images[0].get_clim() == observed.images[0].get_clim()
        assert f"epoch {epoch}" in page.live.figure._suptitle.get_text() and predicted.get_title(loc="left")
    assert not page.live.isHidden() and "1993-07-04" in page.live.figure._suptitle.get_text()


def test_a_live_file_that_is_broken_or_holds_objects_is_not_shown(tmp_path):
    path = tmp_path / "live.npz"
    assert read_live(path) is None
    path.write_bytes(b"PK half")
    assert read_live(path) is None
    np.savez(path, predicted=np.array([{"a": 1}], dtype=object), observed=np.zeros((1, 1)), date=np.array("x"))
    assert read_live(path) is None


def test_a_citation_is_short():
    assert short_citation("Shi, X., Chen, Z. (2015): Title, with comma") == "Shi and Chen (2015)"
    assert short_citation("Shi, X., Chen, Z., Wang, H. (2015): Title") == "Shi et al. (2015)"
    assert short_citation("Hoedt, P.-J. et al. (2021): Title") == "Hoedt et al. (2021)"
    assert short_citation("Breiman, L. (2001): Random forests") == "Breiman (2001)"


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
    answer = dock.pages["why"].choose("Attribution").answer()
    for chart in (dock.pages["runs"].chart, answer.bridge, answer.steps, answer.deletion):
        chart._make_canvas()
        assert chart.sizeHint().height() <= 240
