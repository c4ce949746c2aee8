"""Configurations: JSON in and out, validation, schema."""

from __future__ import annotations

import json

import pytest

from freshet.core.contracts import (
    JOBS,
    ConfigError,
    ExplainJob,
    GridConfig,
    PeriodConfig,
    PrepareJob,
    SourceConfig,
    SplitConfig,
    TrainingConfig,
    TrainJob,
    job_from_dict,
    json_schema,
)
from freshet.core.contracts.config import rule_of, type_hints


def train_job(**changes):
    values = {"datasets": ["a.nc"], "target": "sm", "inputs": ["pre", "pet"]}
    return TrainJob.from_dict({**values, **changes})


def prepare_values(**changes):
    return {
        "name": "basin",
        "sources": [{"variable": "pre", "path": "pre/", "role": "input", "quantity": "precipitation"}],
        "output": "basin.nc",
        "grid": {"like": "pre"},
        **changes,
    }


def test_a_job_survives_json_unchanged():
    job = train_job(
        split={"train": {"start": "1990-01-01", "end": "1992-12-31"}, "validation": {}, "test": {}}, leads=3
    )
    assert TrainJob.from_json(job.to_json()) == job
    assert isinstance(job.split.train, PeriodConfig)
    prepare = PrepareJob.from_dict(
        prepare_values(grid={"crs": "EPSG:3035", "resolution": 4000, "extent": [0, 0, 1, 1]})
    )
    assert PrepareJob.from_dict(json.loads(prepare.to_json())) == prepare
    assert prepare.grid.extent == (0.0, 0.0, 1.0, 1.0)


def test_an_unknown_key_is_refused_by_name_at_any_depth():
    with pytest.raises(ConfigError, match="'windw'"):
        train_job(windw=3)
    with pytest.raises(ConfigError, match=r"TrainJob\.training.*'epoch'"):
        train_job(training={"epoch": 3})
    with pytest.raises(ConfigError, match="no option 'hiden'"):
        train_job(model={"options": {"hiden": [3]}})


def test_a_missing_key_is_named():
    with pytest.raises(ConfigError, match="'target'"):
        TrainJob.from_dict({"datasets": ["a.nc"], "inputs": ["pre"]})


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("window", 0, "at least 1"),
        ("window", 2.5, "a whole number"),
        ("window", True, "a whole number"),
        ("window", "30", "a whole number"),
        ("inputs", "pre", "a list"),
        ("season", 1, "true or false"),
        ("target", 3, "a text"),
        ("training", {"loss": "rmse"}, "one of mse"),
        ("training", {"learning_rate": float("nan")}, "a finite number"),
        ("split", {"test_share": 0.9}, "at most 0.8"),
    ],
)
def test_a_wrong_value_is_refused_with_what_was_expected_and_what_came(field, value, words):
    with pytest.raises(ConfigError, match=words):
        train_job(**{field: value})


def test_a_whole_number_may_be_written_as_float():
    assert train_job(window=30.0).window == 30


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inputs": ["pre", "sm"]}, "without a lag"),
        ({"inputs": []}, "No input"),
        ({"datasets": []}, "No dataset"),
        ({"inputs": ["pre", "pre"]}, "twice"),
        ({"static": ["sm"]}, "also a static map"),
        ({"window": 5, "training": {"supervised_steps": 6}}, "More steps are supervised"),
        (
            {"model": {"options": {"output": "encoder-decoder"}}, "training": {"supervised_steps": 2}},
            "from the end of the window only",
        ),
        ({"split": {"train": {}}}, "Only some of the periods"),
        ({"split": {"test_share": 0.5, "validation_share": 0.45}}, "Less than 10 %"),
        (
            {"split": {"train": {"start": "1991-01-01", "end": "1990-01-01"}, "validation": {}, "test": {}}},
            "ends before",
        ),
    ],
)
def test_contradictions_of_a_training_are_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        train_job(**changes)


def test_the_target_may_be_an_input_with_a_lag():
    assert train_job(inputs=["pre", "sm"], lead=1).lead == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sources": prepare_values()["sources"] * 2}, "both called 'pre'"),
        ({"sources": [{"variable": "dem", "path": "dem.tif", "role": "static"}]}, "No source varies"),
        ({"output": "basin.tif"}, "NetCDF"),
        ({"grid": {"like": "pte"}}, "not among the variables"),
        ({"grid": {"crs": "EPSG:3035"}}, "not defined"),
        ({"sources": [{"variable": "1st", "path": "x"}]}, "cannot be the name"),
        ({"sources": [{"variable": "pre", "path": ""}]}, "no source"),
        ({"start": "1990-02-30"}, "not a date"),
    ],
)
def test_contradictions_of_a_dataset_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        PrepareJob.from_dict(prepare_values(**changes))


@pytest.mark.parametrize("place", [{}, {"x": 1.0}, {"x": 1.0, "y": 2.0, "polygon": "POLYGON((0 0, 1 0, 1 1, 0 0))"}])
def test_an_explanation_needs_exactly_one_place(place):
    with pytest.raises(ConfigError, match="place"):
        ExplainJob.from_dict({"model": "m", "dataset": "d", "date": "1993-07-04", **place})


def test_broken_json_is_reported_with_its_place():
    with pytest.raises(ConfigError, match="line 2"):
        TrainJob.from_json('{\n "target": }')


def test_an_unknown_verb_lists_those_there_are():
    with pytest.raises(ConfigError, match="prepare, terrain, train"):
        job_from_dict("fly", {})


@pytest.mark.parametrize("verb", list(JOBS))
def test_every_field_of_every_job_has_label_and_help(verb):
    def look(cls):
        for name, hint in type_hints(cls).items():
            rule = rule_of(cls, name)
            assert rule is not None and rule.label and rule.help.endswith((".", "?")), f"{cls.__name__}.{name}"
            if hasattr(hint, "__dataclass_fields__"):
                look(hint)

    look(JOBS[verb])


@pytest.mark.parametrize("verb", list(JOBS))
def test_schemas_are_valid_and_accept_what_the_jobs_write(verb):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json_schema(JOBS[verb])
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    if verb == "train":
        jsonschema.validate(train_job().to_dict(), schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**train_job().to_dict(), "window": 0}, schema)


def test_replacing_a_field_validates_again():
    with pytest.raises(ConfigError):
        train_job().replace(window=0)


def test_configurations_cannot_be_changed_in_place():
    with pytest.raises(AttributeError):
        train_job().window = 3
    assert SplitConfig().test_share == 0.2 and TrainingConfig().seed == 1 and GridConfig(like="a").like == "a"
    assert SourceConfig(variable="a", path="b").role == "input"
