"""Datasets of several sequences on the pages: which to train on, which to predict and explain."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

pytest.importorskip("qgis.core", reason="these tests need QGIS's own Python")

from freshet.core.contracts import DataError, SplitConfig
from freshet.core.contracts.steps import MONTH
from freshet.plugin.datasets import VariableSummary, check_length
from freshet.plugin.settings import Settings
from freshet.ui.choice import Choice
from freshet.ui.dialogs.predict import PredictDialog
from freshet.ui.dock import FreshetDock
from freshet.ui.engine_state import EngineState
from freshet.ui.periods import Periods, shares


@pytest.fixture
def floods(make_summary):
    """A dataset of three sequences of 30, 40 and 50 steps; one variable is a series at gauges."""
    whole = make_summary("/data/floods.nc", "Floods", steps=120)
    gauge = VariableSummary("flow", "target", "discharge", "m3/s", "Flow", gauges=True)
    whole = replace(whole, variables=(*whole.variables, gauge))
    parts = tuple(
        replace(whole, name=f"Floods / {name}", sequence=name, steps=steps)
        for name, steps in (("may", 30), ("june", 40), ("test_1", 50))
    )
    return replace(whole, sequences=("may", "june", "test_1"), groups=("may", "june", "test_1"), parts=parts)


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


def test_no_window_is_longer_than_the_longest_sequence(floods):
    assert floods.longest == 50
    check_length(floods, 50)
    with pytest.raises(DataError, match="longer than the series of 'Floods'.*Found: 50 steps"):
        check_length(floods, 51)
    assert "flow" not in floods.names() and floods.variable("flow").gauges


def test_the_model_page_offers_whole_sequences_and_gauges_as_target_alone(dock, datasets, floods, runs):
    datasets.add(floods)
    page = dock.pages["model"]
    field = page.periods.sequences["test"]
    assert not field.isHidden() and "may, june, test_1" in field.toolTip()
    assert page.target.findData("flow") > 0 and "at gauges (m3/s)" in page.target.itemText(page.target.findData("flow"))
    assert [page.inputs._key(i) for i in range(page.inputs.count())].count("flow") == 0
    page.shape.editors["window"].setText("10")
    field.setText("test_*, ")
    page.periods.sequences["validation"].setText("june")
    page.train_button.click()
    ((_, job, _),) = runs.submitted
    assert job.split.test_sequences == ("test_*",) and job.split.validation_sequences == ("june",)
    assert job.split.train is None, "dates of sequences that begin alike say nothing"


def test_a_plain_dataset_offers_no_sequences(dock, datasets, make_summary):
    datasets.add(make_summary())
    assert dock.pages["model"].periods.sequences["test"].isHidden()


def test_a_split_is_shown_and_given_back(qgis_app):
    periods = Periods("periods")
    periods.set_sequences(["a", "b"])
    split = SplitConfig(test_share=0.3, validation_sequences=("a*",), test_sequences=("b", "c"))
    periods.set_split(split)
    assert periods.split() == split
    periods.set_sequences([])
    assert periods.split() == SplitConfig(test_share=0.3)


def test_periods_of_months_begin_and_end_on_months():
    found = shares(datetime(2001, 1, 1), 20, MONTH)
    assert found == {
        "train": ("2001-01-01", "2002-01-01"),
        "validation": ("2002-02-01", "2002-04-01"),
        "test": ("2002-05-01", "2002-08-01"),
    }


def test_one_sequence_is_chosen_to_explain(dock, datasets, floods):
    datasets.add(floods)
    page = dock.pages["why"]
    shown = page.subject.dataset
    names = [shown.itemText(i) for i in range(shown.count())]
    assert names == ["Floods / may", "Floods / june", "Floods / test_1"]
    shown.setCurrentIndex(1)
    page.refresh()
    assert shown.currentText() == "Floods / june", "a refresh keeps the choice"
    assert page.context.common()["sequence"] == "june"


def test_one_sequence_is_chosen_to_predict(qgis_app, datasets, floods, runs, choice):
    datasets.add(floods)
    dialog = PredictDialog(datasets, runs, choice)
    dialog.begin()
    dialog.dataset.setCurrentIndex(2)
    dialog.model.set_path("/m.safetensors")
    job = dialog.job()
    assert (job.dataset, job.sequence) == ("/data/floods.nc", "test_1")
    assert (job.batch, job.tile, job.carry) == (8, 0, "auto")
    dialog.more.editors["tile"].setText("256")
    dialog.more.set_values({"carry": "carry"})
    assert (dialog.job().tile, dialog.job().carry) == (256, "carry")
