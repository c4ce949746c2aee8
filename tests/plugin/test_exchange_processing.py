"""Import and export of models in Processing: parameters, jobs, and what is said before anything runs."""

from __future__ import annotations

import dataclasses
import json
import struct

import pytest

pytest.importorskip("qgis.core", reason="the plugin needs QGIS's own Python")

from qgis.core import QgsApplication, QgsProcessingContext, QgsProject

from freshet.core.contracts import ExportModelJob, ImportModelJob, PeriodConfig
from freshet.core.contracts.model_card import CARD_KEY
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


def job_of(provider, name, values, context):
    return provider.algorithm(name).create().job(values, context)


def sentence(provider, name, values, context):
    ok, text = provider.algorithm(name).create().checkParameterValues(values, context)
    assert not ok
    return text


def importing(path, **changes):
    scalers = '{"rain": "standard", "sm": {"kind": "min-max", "minimum": 0, "maximum": 1}}'
    return {
        "SOURCE": "/models/thesis.keras", "DATASET": path, "CHANNELS": "rain, dem", "TARGET": "sm",
        "SCALERS": scalers, "LEAD": 1, "WINDOW": 8, **changes,
    }  # fmt: skip


def test_every_field_of_both_jobs_is_a_parameter(provider):
    for name, job, apart in (("importmodel", ImportModelJob, {"period"}), ("exportmodel", ExportModelJob, set())):
        algorithm = provider.algorithm(name)
        names = {item.name() for item in algorithm.parameterDefinitions()}
        assert {field.name.upper() for field in dataclasses.fields(job)} - {n.upper() for n in apart} <= names
        assert algorithm.verb in ("import-model", "export-model")
    assert {"START", "END"} <= {item.name() for item in provider.algorithm("importmodel").parameterDefinitions()}
    assert "MODEL" in {item.name() for item in provider.algorithm("importmodel").outputDefinitions()}
    assert "ONNX" in {item.name() for item in provider.algorithm("exportmodel").outputDefinitions()}


def test_values_reach_the_import(provider, context, write_dataset_file):
    path = write_dataset_file()
    values = importing(path, START="1990-01-01", END="1990-01-20", LICENCE="CC BY 4.0")
    job = job_of(provider, "importmodel", values, context)
    assert job == ImportModelJob(
        source="/models/thesis.keras", dataset=path, channels=("rain", "dem"), target="sm", lead=1, window=8,
        scalers={"rain": "standard", "sm": {"kind": "min-max", "minimum": 0, "maximum": 1}},
        period=PeriodConfig("1990-01-01", "1990-01-20"), licence="CC BY 4.0",
    )  # fmt: skip
    del values["WINDOW"]
    assert job_of(provider, "importmodel", values, context).window is None


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"LEAD": None}, "which step"),
        ({"CHANNELS": "rain, wind"}, "no variable 'wind'"),
        ({"SCALERS": '{"rain": "best"}'}, "not known"),
        ({"SCALERS": "{"}, "not valid JSON"),
        ({"SOURCE": ""}, "No model to import"),
        ({"DATASET": "/no/such.nc"}, "such.nc"),
    ],
)
def test_what_is_missing_is_said_before_anything_runs(provider, context, write_dataset_file, changes, words):
    assert words in sentence(provider, "importmodel", importing(write_dataset_file(), **changes), context)


def test_an_export_looks_at_the_model(provider, context, tmp_path):
    variable = {"name": "rain", "quantity": "precipitation", "units": "mm/d", "scaler": {"kind": "none"}}
    more = {"title": "A model", "options": {}, "static": [], "season": False, "window": 5, "lead": 0, "leads": 1}
    card = {"family": "convlstm", "inputs": [variable], "target": {**variable, "name": "sm"}, **more}
    header = json.dumps({"__metadata__": {CARD_KEY: json.dumps(card)}}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    job = job_of(provider, "exportmodel", {"MODEL": str(path), "ROWS": 20}, context)
    assert job == ExportModelJob(model=str(path), rows=20)
    path.write_bytes(b"no model")
    assert "not a Freshet model" in sentence(provider, "exportmodel", {"MODEL": str(path)}, context)
