"""The combo What for of the page Model: a use fills the page, says what it needs, and stays open to change."""

from __future__ import annotations

import pytest

pytest.importorskip("qgis.core", reason="these tests need QGIS's own Python")

from freshet.core.contracts import TrainJob
from freshet.core.contracts.uses import USES, find_use
from freshet.plugin.datasets import VariableSummary
from freshet.plugin.settings import Settings
from freshet.ui.choice import Choice
from freshet.ui.dock import FreshetDock
from freshet.ui.engine_state import EngineState

RAIN = ("precipitation", "mm/d")


@pytest.fixture
def page(qgis_app, datasets, runs, make_summary):
    """The page Model with a dataset of two rain products, gauges in their cells, soil moisture and elevation."""
    variables = (
        VariableSummary("satellite", "input", *RAIN, "Satellite"),
        VariableSummary("reanalysis", "input", *RAIN, "Reanalysis"),
        VariableSummary("tavg", "input", "temperature", "degC", "Air temperature"),
        VariableSummary("rain", "target", *RAIN, "Rain"),
        VariableSummary("sm", "target", "soil_moisture", "-", "Soil moisture"),
        VariableSummary("dem", "static", "elevation", "m", "Elevation", True),
    )
    made = FreshetDock(datasets, runs, Choice(), EngineState(lambda: Settings(engine_python="/there/is/none")))
    datasets.add(make_summary("/data/a.nc", "A", variables=variables))
    yield made.pages["model"]
    made.release()
    made.deleteLater()


def choose(page, name):
    page.what_for.combo.setCurrentIndex(page.what_for.combo.findData(name))


def test_every_use_stands_in_the_combo_with_its_help(page):
    combo = page.what_for.combo
    assert [combo.itemData(i) for i in range(combo.count())] == ["", *(use.name for use in USES)]
    assert combo.itemData(combo.findData("fill-gaps"), 3) == find_use("fill-gaps").help
    assert page.what_for.needs.isHidden() and page.what_for.hiding.isHidden()
    assert page.job().use == "" and page.job().hidden_share == 0


@pytest.mark.parametrize("name", [use.name for use in USES])
def test_choosing_a_use_gives_the_job_that_the_command_would_make(page, name):
    choose(page, name)
    assert find_use(name).needs in page.what_for.needs.text() and not page.what_for.needs.isHidden()
    assert page.notice.text() == "" and page.what_for.notice.text() == ""
    job = page.job()
    given = {"datasets": list(job.datasets), "target": job.target, "inputs": list(job.inputs), "use": name}
    asked = TrainJob.from_dict({**given, "static": list(job.static), "split": job.split.to_dict()})
    # The page names all options of a family, the command those that are set.
    assert job.model.family == asked.model.family
    options = {key: list(v) if isinstance(v, tuple) else v for key, v in job.model.options.items()}
    assert {key: options[key] for key in asked.model.options} == asked.model.options
    assert job.replace(model=asked.model) == asked


def test_the_variables_that_suit_are_chosen(page):
    choose(page, "merge-products")
    job = page.job()
    assert (job.target, job.inputs, job.static) == ("rain", ("satellite", "reanalysis"), ("dem",))
    page.target.setCurrentIndex(page.target.findData("sm"))
    choose(page, "fill-gaps")
    assert page.job().target == "sm" and "sm" in page.job().inputs


def test_another_use_takes_back_what_the_one_before_has_set(page):
    choose(page, "nowcast-rain")
    assert page.job().leads == 6 and page.scalers.text() == "rain: log1p"
    choose(page, "fill-gaps")
    assert page.job().leads == 1 and page.job().hidden_share == 0.3 and not page.what_for.hiding.isHidden()
    choose(page, "simulate")
    job = page.job()
    assert (job.hidden_share, job.lead, job.window, job.model.family, job.scalers) == (0.0, 0, 30, "convlstm", {})
    assert page.what_for.hiding.isHidden()


def test_what_is_changed_against_the_use_is_a_sentence(page):
    choose(page, "merge-products")
    page.inputs.tick(("satellite",))
    page._check()
    assert "with one product there is 'correct-bias'" in page.notice.text()
    choose(page, "fill-gaps")
    page.what_for.hiding.editors["hidden_share"].setText("0")
    page._check()
    assert "Hide a share" in page.notice.text()


def test_a_use_that_the_dataset_cannot_serve_says_what_it_needs(page, datasets, make_summary, qgis_app):
    (held,) = datasets.items
    from dataclasses import replace

    datasets.items = [replace(held, variables=tuple(v for v in held.variables if v.name in ("tavg", "sm", "dem")))]
    datasets.changed.emit()
    choose(page, "nowcast-rain")
    assert find_use("nowcast-rain").needs in page.what_for.notice.text()
    choose(page, "merge-products")
    assert "merge-products" in page.what_for.notice.text() and page.what_for.notice.text()
    choose(page, "")
    assert page.what_for.notice.text() == ""


def test_a_run_that_was_trained_for_a_use_comes_back_as_it_was(page):
    choose(page, "fill-gaps")
    page.what_for.hiding.set_values({"hidden_share": 0.45, "hiding": "frames"})
    job = page.job()
    choose(page, "")
    page.take_job(job)
    assert page.what_for.use == "fill-gaps" and page.job() == job


def test_a_model_that_fills_gaps_is_called_so_where_it_is_used():
    from freshet.core.contracts.model_card import ModelCard, VariableCard
    from freshet.ui.dialogs.predict import card_words

    wet = VariableCard(name="sm", quantity="soil_moisture", units="-", label="Soil moisture")
    card = ModelCard(
        title="A", family="partial-convlstm", options={}, inputs=(wet,), static=(), target=wet, season=False, window=7,
        lead=-3, leads=1, hidden_share=0.3,
    )  # fmt: skip
    words = card_words(card)
    assert "fills what is missing of" in words and "steps ahead" not in words
    assert "-3" not in words and "0 steps ahead" in card_words(card.replace(lead=0, hidden_share=0.0))
