"""The cache of a dataset in Processing: every field of the job has its parameter, and bad input is said at once."""

from __future__ import annotations

import dataclasses

import pytest

pytest.importorskip("qgis.core", reason="the plugin needs QGIS's own Python")

from qgis.core import QgsApplication, QgsProcessingContext, QgsProject

from freshet.core.contracts import CacheJob
from freshet.plugin.processing.provider import FreshetProvider


@pytest.fixture
def algorithm(qgis_app):
    provider = FreshetProvider()
    QgsApplication.processingRegistry().addProvider(provider)
    yield next(item for item in provider.algorithms() if item.name() == "cache").create()
    QgsApplication.processingRegistry().removeProvider(provider)


@pytest.fixture
def context():
    made = QgsProcessingContext()
    made.setProject(QgsProject.instance())
    return made


def test_every_field_is_a_parameter(algorithm):
    names = {item.name() for item in algorithm.parameterDefinitions()}
    assert {field.name.upper() for field in dataclasses.fields(CacheJob)} <= names
    assert algorithm.verb == "cache"


@pytest.mark.parametrize("given, action", [({}, "show"), ({"ACTION": 1}, "make"), ({"ACTION": 2}, "delete")])
def test_values_reach_the_job(algorithm, context, write_dataset_file, given, action):
    path = write_dataset_file()
    values = {"DATASET": path, **given}
    assert algorithm.checkParameterValues(values, context)[0]
    assert algorithm.job(values, context) == CacheJob(dataset=path, action=action)


def test_what_is_no_dataset_is_refused_before_anything_runs(algorithm, context, tmp_path):
    (tmp_path / "other.nc").write_bytes(b"nothing")
    ok, text = algorithm.checkParameterValues({"DATASET": str(tmp_path / "other.nc")}, context)
    assert not ok and "other.nc" in text
