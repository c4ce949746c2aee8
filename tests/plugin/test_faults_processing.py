"""Bad input in Processing: the sentences of the command, at once where job or header tells; nothing half-written."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

pytest.importorskip("qgis.core", reason="the plugin needs QGIS's own Python")

from qgis.core import QgsApplication, QgsProcessingContext, QgsProcessingFeedback, QgsProject

from freshet.plugin.processing.provider import FreshetProvider

_spec = importlib.util.spec_from_file_location(
    "faults_in_qgis", Path(__file__).resolve().parents[1] / "faults" / "in_qgis.py"
)
in_qgis = importlib.util.module_from_spec(_spec)
sys.modules["faults_in_qgis"] = in_qgis
_spec.loader.exec_module(in_qgis)
bad_input = in_qgis.bad_input

# What QGIS knows by itself, before a worker is started: the form of the job, what exists, the header of a model file.
AT_ONCE = {
    "no file of a source",
    "no file of a dataset",
    "no file of a model",
    "the target among the inputs",
    "a window longer than the series",
    "a model's window longer than the series",
    "a truncated model",
    "a model of another program",
    "a text instead of a model",
    "a truncated model to fine-tune",
    "a model of another program to evaluate",
}


class Feedback(QgsProcessingFeedback):
    def __init__(self):
        super().__init__(False)
        self.errors = []

    def reportError(self, error, fatalError=False):  # noqa: N802, N803
        self.errors.append(error)


@pytest.fixture(scope="module")
def folder(qgis_app, tmp_path_factory):
    return in_qgis.make_files(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def provider(qgis_app):
    made = FreshetProvider()
    QgsApplication.processingRegistry().addProvider(made)
    yield made
    QgsApplication.processingRegistry().removeProvider(made)


@pytest.mark.parametrize("fault", bad_input.FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_the_algorithm_fails_with_the_sentence_and_leaves_nothing(provider, folder, tmp_path, fault):
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    values = {**bad_input.parameters_of(fault, folder), "RUN_FOLDER": str(tmp_path / "run")}
    algorithm = provider.algorithm(fault.verb).create()
    fine, sentence = algorithm.checkParameterValues(values, context)
    assert fine is (fault.name not in AT_ONCE), sentence
    if fine:
        feedback = Feedback()
        results, done = algorithm.run(values, context, feedback)
        assert not done and results == {}
        sentence = feedback.errors[-1]
    assert [word for word in fault.words if word not in sentence] == [], sentence
    assert "Traceback" not in sentence
    assert bad_input.half_written(folder) == bad_input.half_written(tmp_path) == []
