"""A search and an ensemble in Processing: every field of the job has its parameter."""

from __future__ import annotations

import dataclasses
import os

import pytest

pytest.importorskip("qgis.core", reason="the plugin needs QGIS's own Python")

from qgis.core import QgsApplication, QgsProcessingContext, QgsProject

from freshet.core.contracts import TuneJob
from freshet.plugin.processing.provider import FreshetProvider


@pytest.fixture
def provider(qgis_app):
    made = FreshetProvider()
    QgsApplication.processingRegistry().addProvider(made)
    yield made
    QgsApplication.processingRegistry().removeProvider(made)


def job_of(provider, name, values):
    algorithm = next(item for item in provider.algorithms() if item.name() == name).create()
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    assert algorithm.checkParameterValues(values, context)[0]
    return algorithm.job(values, context)


def test_a_search_takes_all_its_fields(provider, write_dataset_file):
    algorithm = next(item for item in provider.algorithms() if item.name() == "tune")
    names = {item.name() for item in algorithm.parameterDefinitions()}
    for field in dataclasses.fields(TuneJob):
        assert field.name == "train" or field.name.upper() in names, field.name
    given = {
        "DATASETS": [write_dataset_file()], "TARGET": "sm", "INPUTS": "rain", "WINDOW": 5, "SEED": 3,
        "SPACE": '{"training.learning_rate": {"low": 0.001, "high": 0.1, "steps": 3}}', "TRIALS": 7,
        "SAMPLER": 2, "PRUNING": 1, "PRUNING_EPOCHS": 4, "STORAGE": "shared.journal",
    }  # fmt: skip
    job = job_of(provider, "tune", given)
    assert (job.trials, job.sampler, job.pruning, job.pruning_epochs, job.seed) == (7, "grid", "median", 4, 3)
    assert job.storage == os.path.abspath("shared.journal")
    assert job_of(provider, "tune", {**given, "STORAGE": ""}).storage == ""


def test_an_ensemble_is_asked_for_with_its_members(provider, write_dataset_file):
    given = {"DATASETS": [write_dataset_file()], "TARGET": "sm", "INPUTS": "rain", "WINDOW": 5}
    job = job_of(provider, "train", {**given, "MEMBERS": 5, "BOOTSTRAP": 30})
    assert (job.members, job.bootstrap) == (5, 30) and job_of(provider, "train", given).members == 1
