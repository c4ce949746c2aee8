"""Bad input in Processing: the sentences of the command, at once where job or header tells; nothing half-written."""

from __future__ import annotations

import importlib.util
import json
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
bad_input, odd_input = in_qgis.bad_input, in_qgis.odd_input

# What QGIS knows by itself, before a worker is started: the form of the job, what exists, the header of a model file.
AT_ONCE = {
    "no file of a source",
    "no file of a dataset",
    "no file of a model",
    "the target among the inputs",
    "a window longer than the series",
    "a model of gauges asked for maps",
    "a model of maps asked for gauges",
    "a water balance of two gauges",
    "a window shorter than the model needs",
    "more supervised steps than the window has",
    "an option out of range",
    "a model of other gauges",
    "a model of gauges to explain",
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
        self.errors, self.told = [], []

    def pushInfo(self, info):  # noqa: N802
        self.told.append(info)

    def pushWarning(self, warning):  # noqa: N802
        self.told.append(warning)

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


def _made(provider, job, tmp_path) -> Feedback:
    """Run a job that has to end well."""
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    values = {"NAME": job["name"], "SOURCES": json.dumps(job["sources"]), "GRID_LIKE": "good", "DATASET": job["output"]}
    feedback = Feedback()
    algorithm = provider.algorithm("prepare").create()
    _, done = algorithm.run({**values, "RUN_FOLDER": str(tmp_path / "run")}, context, feedback)
    assert done, feedback.errors
    return feedback


@pytest.mark.parametrize("name", odd_input.NAMES)
def test_files_and_folders_may_be_called_so(provider, folder, tmp_path, name):
    job = odd_input.named_job(folder, tmp_path, name)
    _made(provider, job, tmp_path)
    maps = in_qgis.maps_of(job["output"], ["good", "maps", "cube"])
    assert odd_input.differing(maps, odd_input.NAMED) == []


def test_odd_sources_are_read_and_each_guess_is_told(provider, folder, tmp_path):
    feedback = _made(provider, odd_input.odd_job(folder, tmp_path / "odd.nc"), tmp_path)
    for one in odd_input.ODD:
        lines = [line for line in feedback.told if line.startswith(f"'{one.name}': ")]
        by_engine = all(any(words in line for line in lines) for words in one.told)
        # What QGIS has found out by itself is given to the engine, for which it is no guess any more.
        assert by_engine or any(one.hint and one.hint in line for line in lines), (one.name, lines)
    maps = in_qgis.maps_of(tmp_path / "odd.nc", ["good", *(one.name for one in odd_input.ODD)])
    assert odd_input.differing(maps) == []
