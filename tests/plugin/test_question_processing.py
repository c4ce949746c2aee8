"""Questions to a model in Processing: every field of a job has its parameter, places mean what the map says, and bad
input is a sentence before a worker starts.
"""

from __future__ import annotations

import dataclasses
import json
import struct

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="the plugin needs QGIS's own Python")

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeature,
    QgsGeometry,
    QgsProcessingContext,
    QgsProcessingParameterDefinition,
    QgsProject,
    QgsVectorLayer,
)

from freshet.core.contracts import (
    ChangeConfig,
    DriversJob,
    ExplainJob,
    ImportanceJob,
    PeriodConfig,
    ProbeJob,
    SharesJob,
    StormConfig,
    WhatIfJob,
)
from freshet.core.contracts.config import rule_of
from freshet.core.contracts.explain_methods import METHOD_WORDS
from freshet.core.contracts.model_card import CARD_KEY
from freshet.plugin.processing.provider import FreshetProvider

WKT = "POLYGON((4000000 2998000, 4002000 2998000, 4002000 3000000, 4000000 3000000, 4000000 2998000))"
JOBS = {
    "explain": ExplainJob,
    "importance": ImportanceJob,
    "probe": ProbeJob,
    "whatif": WhatIfJob,
    "drivers": DriversJob,
    "shares": SharesJob,
}
# Fields whose parameter has another name than the field, since QGIS picks them on the map or has no such type.
_PERIOD = {"period": ("START", "END")}
_PLACE = {"x": ("POINT",), "y": ("POINT",), "polygon": ("POLYGON", "POLYGON_LAYER")}
OTHERS = {
    "explain": _PLACE,
    "importance": _PERIOD,
    "probe": {**_PERIOD, "fit_period": ("FIT_START", "FIT_END")},
    "whatif": {**_PERIOD, **_PLACE},
    "drivers": {"polygon": ("POLYGON", "POLYGON_LAYER")},
    "shares": {**_PERIOD, **_PLACE},
}
PARTS = (
    (
        ChangeConfig,
        {"polygon": ("CHANGE_POLYGON", "CHANGE_LAYER", "CHANGE_EXTENT"), "period": ("CHANGE_START", "CHANGE_END")},
    ),
    (
        StormConfig,
        {
            "date": ("STORM_DATE",),
            "cells": ("STORM_POLYGON", "STORM_LAYER", "STORM_MM"),
            "raster": ("STORM_RASTER",),
            "variable": ("STORM_VARIABLE",),
        },
    ),
)


@pytest.fixture
def provider(qgis_app):
    made = FreshetProvider()
    QgsApplication.processingRegistry().addProvider(made)
    yield made
    QgsApplication.processingRegistry().removeProvider(made)


@pytest.fixture
def context(qgis_app, project):
    made = QgsProcessingContext()
    made.setProject(project)
    return made


@pytest.fixture
def write_model(tmp_path):
    """A file that begins as a saved model does: its header holds a card; no weights."""

    def write(family="convlstm", **changes):
        variable = {"name": "rain", "quantity": "precipitation", "units": "mm/d", "scaler": {"kind": "none"}}
        more = {"title": "A model", "options": {}, "static": [], "season": False, "window": 5, "lead": 0, "leads": 1}
        card = {"family": family, "inputs": [variable], "target": {**variable, "name": "sm"}, **more, **changes}
        header = json.dumps({"__metadata__": {CARD_KEY: json.dumps(card)}}).encode()
        path = tmp_path / f"{family}.safetensors"
        path.write_bytes(struct.pack("<Q", len(header)) + header)
        return str(path)

    return write


@pytest.fixture
def given(write_model, write_dataset_file):
    """What every question needs."""
    return {"MODEL": write_model(), "DATASET": write_dataset_file()}


def _job(provider, name, values, context):
    return provider.algorithm(name).create().job(values, context)


def _sentence(provider, name, values, context):
    ok, text = provider.algorithm(name).create().checkParameterValues(values, context)
    assert not ok
    return text


def _layer(wkts, crs="EPSG:3035", selected=()):
    layer = QgsVectorLayer(f"Polygon?crs={crs}", "areas", "memory")
    for text in wkts:
        feature = QgsFeature()
        feature.setGeometry(QgsGeometry.fromWkt(text))
        layer.dataProvider().addFeature(feature)
    layer.selectByIds(list(selected))
    QgsProject.instance().addMapLayer(layer)
    return layer


@pytest.mark.parametrize("name", JOBS)
def test_every_field_of_the_job_has_its_parameter_and_its_rank(provider, name):
    found = {item.name(): item for item in provider.algorithm(name).parameterDefinitions()}
    advanced = QgsProcessingParameterDefinition.Flag.FlagAdvanced
    parts = [(JOBS[name], OTHERS[name]), *(PARTS if name == "whatif" else ())]
    for cls, others in parts:
        for field in dataclasses.fields(cls):
            for parameter in others.get(field.name, (field.name.upper(),)):
                assert parameter in found, f"{cls.__name__}.{field.name} has no parameter"
            if field.name not in others and field.name not in ("changes", "storms"):
                flagged = bool(found[field.name.upper()].flags() & advanced)
                assert flagged is rule_of(cls, field.name).advanced, field.name


@pytest.mark.parametrize("name", JOBS)
def test_the_help_says_what_the_answer_rests_on(provider, name):
    text = provider.algorithm(name).shortHelpString()
    assert "What it assumes" in text and provider.algorithm(name).name().isalnum()
    if name == "explain":
        assert [item.label for item in METHOD_WORDS.values() if item.assumes not in text] == []


def test_explain_takes_all_its_fields(provider, context, given, write_model):
    other = write_model("convgru")
    values = {
        **given, "DATE": "1990-01-20", "GAUGE": "upper", "METHOD": "rise", "BASELINE": "dry", "STEPS": 7,
        "TARGET": "sm", "LEAD": 0, "SAMPLES": 9, "NOISE": 0.3, "SEED": 4, "BLOCK": 2, "BLOCK_STEPS": 3, "SIGMA": 2.5,
        "LAYER": "encoder.0", "SHARE": 0.8, "CHECK_METHOD": True, "ESTIMATE": True, "DEVICE": "cpu", "TITLE": "Why",
        "SEQUENCE": "", "MEMBERS": [other],
    }  # fmt: skip
    assert _job(provider, "explain", values, context) == ExplainJob(
        model=given["MODEL"], dataset=given["DATASET"], date="1990-01-20", gauge="upper", method="rise",
        baseline="dry", steps=7, target="sm", lead=0, samples=9, noise=0.3, seed=4, block=2, block_steps=3, sigma=2.5,
        layer="encoder.0", members=(other,), share=0.8, check_method=True, estimate=True, device="cpu", title="Why",
    )  # fmt: skip


def test_defaults_are_those_of_the_jobs(provider, context, given):
    both = {"model": given["MODEL"], "dataset": given["DATASET"]}
    date = {"DATE": "1990-01-20"}
    plain = {
        "explain": ({**date, "BASIN": True}, ExplainJob(**both, date="1990-01-20", basin=True)),
        "importance": ({}, ImportanceJob(**both)),
        "probe": ({"VARIABLE": "sm"}, ProbeJob(**both, variable="sm")),
        "drivers": (date, DriversJob(**both, date="1990-01-20")),
        "shares": ({}, SharesJob(**both)),
        "whatif": (
            {"VARIABLE": "rain", "FACTOR": 1.2},
            WhatIfJob(**both, changes=(ChangeConfig(variable="rain", factor=1.2),)),
        ),
    }
    assert plain.keys() == JOBS.keys()
    for name, (values, job) in plain.items():
        assert _job(provider, name, {**given, **values}, context) == job
        assert provider.algorithm(name).create().checkParameterValues({**given, **values}, context)[0], name


def test_importance_and_probe_take_lists_and_periods(provider, context, given):
    values = {
        **given, "OF": "variables, 2", "LAGS": "1, 3,7", "GROUPS": '{"wet": ["rain", "sm"]}', "REPEATS": 5,
        "START": "1990-01-10", "END": "1990-02-01", "DATES": 0,
    }  # fmt: skip
    job = _job(provider, "importance", values, context)
    assert (job.of, job.lags, job.groups, job.repeats, job.dates) == (
        ("variables", "lags"), (1, 3, 7), {"wet": ["rain", "sm"]}, 5, 0,
    )  # fmt: skip
    assert job.period == PeriodConfig("1990-01-10", "1990-02-01")
    assert provider.algorithm("importance").create().checkParameterValues(values, context)[0]
    assert _job(provider, "importance", {**given, "OF": [0, 3]}, context).of == ("variables", "variables by lag")
    probe = {**given, "VARIABLE": "sm", "LAYERS": "encoder.0, encoder.1", "RIDGE": 0.5, "SHUFFLES": 2}
    periods = {"FIT_START": "1990-01-01", "FIT_END": "1990-01-20", "START": "1990-01-21", "END": "1990-02-05"}
    job = _job(provider, "probe", {**probe, **periods}, context)
    assert (job.layers, job.ridge, job.shuffles) == (("encoder.0", "encoder.1"), 0.5, 2)
    assert job.fit_period == PeriodConfig("1990-01-01", "1990-01-20")
    assert job.period == PeriodConfig("1990-01-21", "1990-02-05")


def _area(wkt):
    return QgsGeometry.fromWkt(wkt).area()


def test_a_polygon_is_brought_into_the_crs_of_the_dataset(provider, context, given):
    values = {**given, "DATE": "1990-01-20"}
    assert _area(_job(provider, "explain", {**values, "POLYGON": WKT}, context).polygon) == pytest.approx(4e6)
    moved = QgsGeometry.fromWkt(WKT)
    moved.transform(
        QgsCoordinateTransform(
            QgsCoordinateReferenceSystem("EPSG:3035"), QgsCoordinateReferenceSystem("EPSG:4326"), context.project()
        )
    )
    job = _job(provider, "explain", {**values, "POLYGON": f"CRS=EPSG:4326;{moved.asWkt(10)}"}, context)
    assert _area(job.polygon) == pytest.approx(4e6, rel=1e-4)
    layer = _layer([moved.asWkt(10)], "EPSG:4326")
    for name in ("explain", "drivers", "shares"):
        job = _job(provider, name, {**values, "POLYGON_LAYER": layer.id()}, context)
        assert _area(job.polygon) == pytest.approx(4e6, rel=1e-4), name


def test_all_features_of_a_layer_are_one_polygon(provider, context, given):
    layer = _layer(
        [WKT, WKT.replace("4000000", "4002000").replace("4002000 2998000, 4002000", "4002000 2998000, 4003000")]
    )
    job = _job(provider, "drivers", {**given, "DATE": "1990-01-20", "POLYGON_LAYER": layer}, context)
    whole = QgsGeometry.unaryUnion([feature.geometry() for feature in layer.getFeatures()])
    assert _area(job.polygon) == pytest.approx(whole.area())


def test_a_change_takes_polygon_layer_or_extent_and_its_period(provider, context, given):
    change = {**given, "VARIABLE": "rain", "AMOUNT": 2.5, "CHANGE_START": "1990-01-10", "CHANGE_END": "1990-01-12"}
    job = _job(provider, "whatif", {**change, "CHANGE_EXTENT": "4000000,4002000,2998000,3000000 [EPSG:3035]"}, context)
    (found,) = job.changes
    assert (found.variable, found.factor, found.amount) == ("rain", 1.0, 2.5)
    assert found.period == PeriodConfig("1990-01-10", "1990-01-12") and _area(found.polygon) == pytest.approx(4e6)
    by_layer = _job(provider, "whatif", {**change, "CHANGE_LAYER": _layer([WKT])}, context)
    by_text = _job(provider, "whatif", {**change, "CHANGE_POLYGON": WKT}, context)
    assert _area(by_layer.changes[0].polygon) == _area(by_text.changes[0].polygon) == pytest.approx(4e6)
    more = {**change, "CHANGES": '[{"variable": "rain", "factor": 2.0, "period": {"start": "1990-01-20"}}]'}
    found = _job(provider, "whatif", {**more, "POINT": "4001500,2998500", "GAUGE": "upper"}, context)
    assert [item.factor for item in found.changes] == [1.0, 2.0] and found.changes[1].period.start == "1990-01-20"
    assert (found.x, found.y, found.gauge) == (4001500.0, 2998500.0, "upper")


def test_a_storm_rains_on_the_cells_of_its_polygon_or_comes_from_a_raster(provider, context, given, write_raster):
    storm = {**given, "STORM_DATE": "1990-01-10", "STORM_MM": 40, "STORM_POLYGON": WKT}
    (found,) = _job(provider, "whatif", storm, context).storms
    corners = {(4000500.0, 2999500.0), (4001500.0, 2999500.0), (4000500.0, 2998500.0), (4001500.0, 2998500.0)}
    assert {(x, y) for x, y, _ in found.cells} == corners and {mm for *_, mm in found.cells} == {40.0}
    assert found.date == "1990-01-10"
    path = write_raster("storm.tif", np.ones((3, 4)))
    (found,) = _job(provider, "whatif", {**given, "STORM_RASTER": path, "STORM_DATE": "1990-01-10"}, context).storms
    assert (found.raster, found.cells, found.date) == (path, (), "1990-01-10")


@pytest.mark.parametrize(
    "name, changes, words",
    [
        ("explain", {"POINT": "3999000,2998500"}, ("outside the grid", "Pick a point")),
        ("explain", {"POLYGON": "not a polygon"}, ("polygon is not understood", "choose a polygon layer")),
        ("explain", {"POLYGON": "POINT(1 2)"}, ("polygon is not understood",)),
        ("explain", {"POLYGON": WKT, "POLYGON_LAYER": "/none.gpkg"}, ("given twice", "POLYGON, POLYGON_LAYER")),
        ("explain", {"POLYGON_LAYER": "/none.gpkg"}, ("layer cannot be opened", "/none.gpkg")),
        ("explain", {"POINT": "4001500,2998500", "GAUGE": "upper"}, ("place to explain is not clear",)),
        ("explain", {"BASIN": True, "METHOD": "guess"}, ("one of integrated-gradients",)),
        ("explain", {"BASIN": True, "STEPS": 1}, ("at least 2",)),
        ("drivers", {"METHOD": "rise"}, ("one of integrated-gradients",)),
        ("shares", {"POINT": "4001500,2998500", "GAUGE": "upper"}, ("place to explain is not clear",)),
        ("importance", {"OF": "variables, wishes"}, ("one of variables",)),
        ("importance", {"LAGS": "1, two"}, ("a whole number",)),
        ("importance", {"LAGS": "7, 3"}, ("do not rise",)),
        ("importance", {"GROUPS": '{"wet": "rain"}'}, ("no list of variables",)),
        ("importance", {"START": "1991-01-01", "END": "1990-01-01"}, ("ends before it starts",)),
        ("probe", {}, ("No variable is chosen",)),
        ("probe", {"VARIABLE": "snow"}, ("no variable 'snow'", "rain, sm")),
        ("whatif", {}, ("Nothing is changed",)),
        ("whatif", {"VARIABLE": "rain"}, ("changes nothing",)),
        ("whatif", {"FACTOR": 1.2}, ("names no variable",)),
        ("whatif", {"VARIABLE": "rain", "FACTOR": 2, "CHANGE_POLYGON": WKT, "CHANGE_EXTENT": "0,1,0,1"}, ("twice",)),
        ("whatif", {"CHANGES": "[{"}, ("not valid JSON",)),
        ("whatif", {"CHANGES": '[{"variable": "rain", "times": 2}]'}, ("times",)),
        ("whatif", {"STORM_POLYGON": WKT, "STORM_DATE": "1990-01-10"}, ("storm has no rain", "STORM_MM")),
        ("whatif", {"STORM_POLYGON": WKT, "STORM_MM": 40}, ("painted rain has no date",)),
        ("whatif", {"STORM_MM": 40, "STORM_DATE": "1990-01-10"}, ("either cells", "or a raster")),
        (
            "whatif",
            {"STORM_POLYGON": "POLYGON((0 0, 1 0, 1 1, 0 0))", "STORM_MM": 4, "STORM_DATE": "1990-01-10"},
            ("centre of no cell", "x 4000000 to 4004000"),
        ),
        ("whatif", {"STORM_RASTER": "/none.tif"}, ("raster cannot be opened", "/none.tif")),
    ],
)
def test_bad_questions_are_sentences_before_anything_runs(provider, context, given, name, changes, words):
    date = {"DATE": "1990-01-20"} if name in ("explain", "drivers") else {}
    said = _sentence(provider, name, {**given, **date, **changes}, context)
    assert [word for word in words if word not in said] == [], said


def test_a_model_without_gradients_is_offered_permutation_importance(provider, context, given, write_model):
    values = {**given, "MODEL": write_model("random-forest"), "DATE": "1990-01-20", "POINT": "4001500,2998500"}
    said = _sentence(provider, "explain", values, context)
    assert "'random-forest' cannot be explained by integrated gradients" in said and "permutation importance" in said
    assert _job(provider, "explain", {**values, "METHOD": "occlusion-space"}, context).method == "occlusion-space"
    values.pop("POINT")
    assert "no gradients" in _sentence(provider, "drivers", values, context)
    assert _job(provider, "drivers", {**values, "METHOD": "occlusion"}, context).method == "occlusion"
    assert "permutation importance" in _sentence(provider, "shares", values, context)
    assert "no states" in _sentence(provider, "probe", {**values, "VARIABLE": "sm"}, context)
    assert _job(provider, "importance", values, context).model == values["MODEL"]


def test_dry_is_no_baseline_for_a_model_without_rain(provider, context, given, write_model):
    heat = {"name": "rain", "quantity": "temperature", "units": "degC", "scaler": {"kind": "none"}}
    values = {**given, "MODEL": write_model(inputs=[heat]), "DATE": "1990-01-20", "BASELINE": "dry"}
    for name, more in (("explain", {"BASIN": True}), ("drivers", {}), ("shares", {})):
        assert "without rain is no baseline" in _sentence(provider, name, {**values, **more}, context)


def test_a_layer_without_a_crs_or_without_a_polygon_is_refused(provider, context, given):
    values = {**given, "DATE": "1990-01-20"}
    nowhere = _layer([WKT])
    nowhere.setCrs(QgsCoordinateReferenceSystem())
    assert "no coordinate reference system" in _sentence(
        provider, "explain", {**values, "POLYGON_LAYER": nowhere}, context
    )
    assert "no polygon" in _sentence(provider, "explain", {**values, "POLYGON_LAYER": _layer([])}, context)
