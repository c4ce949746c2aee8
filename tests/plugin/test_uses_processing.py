"""Uses in Processing: the parameter of train and tune, the filled maps, gauges kept apart."""

from __future__ import annotations

import pytest

pytest.importorskip("qgis.core", reason="the plugin needs QGIS's own Python")

from qgis.core import QgsApplication, QgsProcessingContext, QgsProject

from freshet.core.contracts import TrainJob
from freshet.core.contracts.uses import USE_NAMES
from freshet.plugin.layers import RASTER_KINDS
from freshet.plugin.processing.provider import FreshetProvider


@pytest.fixture
def provider(qgis_app):
    made = FreshetProvider()
    QgsApplication.processingRegistry().addProvider(made)
    yield made
    QgsApplication.processingRegistry().removeProvider(made)


@pytest.fixture
def context(qgis_app):
    made = QgsProcessingContext()
    made.setProject(QgsProject.instance())
    return made


def job_of(provider, values, context, name="train"):
    return provider.algorithm(name).create().job(values, context)


def test_the_parameter_lists_the_uses_and_their_help(provider):
    definition = provider.algorithm("train").parameterDefinition("USE")
    assert definition.options() == ["", *USE_NAMES] and "freshet uses" in definition.help()
    assert "FILLED" in {item.name() for item in provider.algorithm("predict").outputDefinitions()}
    assert "filled" in RASTER_KINDS


def test_a_use_sets_what_is_left_at_its_default(provider, context, write_dataset_file):
    path = write_dataset_file()
    values = {"DATASETS": [path], "USE": "fill-gaps", "TARGET": "sm", "INPUTS": "sm, rain"}
    job = job_of(provider, values, context)
    given = {"use": "fill-gaps", "datasets": [path], "target": "sm", "inputs": ["sm", "rain"]}
    assert job == TrainJob.from_dict(given)
    more = {"WINDOW": 5, "LEAD": -1, "EPOCHS": 3, "HIDING": "cells", "OPTIONS": '{"hidden": [4]}'}
    job = job_of(provider, {**values, **more}, context)
    assert (job.window, job.lead, job.training.epochs, job.hiding) == (5, -1, 3, "cells")
    assert job.model.family == "partial-convlstm" and job.model.options["hidden"] == [4]
    job = job_of(provider, {**values, "FAMILY": "cnn-biconvlstm"}, context)
    assert job.model.family == "cnn-biconvlstm" and job.hidden_share == 0.3


def test_periods_of_a_use_are_those_of_the_parameters(provider, context, write_dataset_file):
    values = {"DATASETS": [write_dataset_file()], "USE": "fill-gaps", "TARGET": "sm", "INPUTS": "sm"}
    job = job_of(provider, {**values, "TEST_SHARE": 0.3}, context)
    assert job.split.test_share == 0.3


def test_what_a_use_lacks_is_said_before_anything_runs(provider, context, write_dataset_file):
    values = {"DATASETS": [write_dataset_file()], "USE": "merge-products", "TARGET": "sm", "INPUTS": "rain"}
    ok, text = provider.algorithm("train").create().checkParameterValues(values, context)
    assert not ok and "correct-bias" in text
    values = {**values, "USE": "nowcast-rain", "INPUTS": "sm"}
    ok, text = provider.algorithm("train").create().checkParameterValues(values, context)
    assert not ok and "Choose a variable that is rain" in text


def test_a_search_takes_the_use_as_well(provider, context, write_dataset_file):
    values = {
        "DATASETS": [write_dataset_file()], "USE": "fill-gaps", "TARGET": "sm", "INPUTS": "sm",
        "SPACE": '{"training.learning_rate": [0.01, 0.001]}',
    }  # fmt: skip
    assert job_of(provider, values, context, "tune").train.hidden_share == 0.3


def test_a_model_can_be_judged_by_gauges_kept_apart(provider):
    algorithm = provider.algorithm("evaluate")
    assert "kept apart" in algorithm.parameterDefinition("AGAINST").help()
    assert provider.algorithm("predict").parameterDefinition("AGAINST") is None
