"""The uses of a model: what each sets, what a person's own values do to it, and what each asks for."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from freshet.core.contracts import ConfigError, TrainJob, TuneJob, json_schema
from freshet.core.contracts.models import resolve
from freshet.core.contracts.uses import USE_NAMES, USES, apply_use, check_variables, find_use, propose

GIVEN = {
    "simulate": {"target": "q", "inputs": ["rain"]},
    "forecast": {"target": "q", "inputs": ["rain", "q"]},
    "merge-products": {"target": "ref", "inputs": ["a", "b"]},
    "correct-bias": {"target": "gauges", "inputs": ["a"]},
    "downscale": {"target": "fine", "inputs": ["coarse"], "static": ["dem"]},
    "fill-gaps": {"target": "sm"},
    "nowcast-rain": {"target": "rain"},
}


@dataclass
class Variable:
    name: str
    quantity: str = "precipitation"
    units: str = "mm/d"
    role: str = "input"
    static: bool = False
    gauges: bool = False


HELD = [
    Variable("a"),
    Variable("b"),
    Variable("warmth", "temperature", "degC"),
    Variable("hourly", "precipitation", "mm/h"),
    Variable("ref", role="target"),
    Variable("sm", "soil_moisture", "-", "target"),
    Variable("flow", "discharge", "m3/s", "target", gauges=True),
    Variable("dem", "elevation", "m", "static", static=True),
]


def job_of(name, **changes):
    return TrainJob.from_dict({"use": name, "datasets": ["x.nc"], **GIVEN[name], **changes})


def test_there_is_an_example_of_each_use_and_words_for_all():
    assert set(GIVEN) == set(USE_NAMES) and len(set(USE_NAMES)) == len(USES)
    for use in USES:
        assert use.help.endswith(".") and use.needs.endswith(".") and use.choose and use.label


@pytest.mark.parametrize("name", USE_NAMES)
def test_what_a_use_sets_is_a_valid_job_that_survives_its_file(name):
    job = job_of(name)
    assert job.use == name
    for key, value in find_use(name).settings.items():
        if key == "model":
            assert resolve(job.model.family, job.model.options) == resolve(value["family"], value["options"])
        elif key == "training":
            assert {part: getattr(job.training, part) for part in value} == value
        else:
            assert getattr(job, key) == value
    assert TrainJob.from_json(job.to_json()) == job


def test_the_target_that_has_to_be_read_is_the_only_input_where_none_is_given():
    assert job_of("fill-gaps").inputs == ("sm",) and job_of("nowcast-rain").inputs == ("rain",)
    assert job_of("nowcast-rain").scalers == {"rain": "log1p"}
    assert job_of("nowcast-rain", scalers={"rain": "standard"}).scalers == {"rain": "standard"}


def test_what_is_given_goes_before_what_the_use_sets():
    job = job_of("fill-gaps", window=9, lead=-1, hiding="cells", training={"epochs": 3})
    assert (job.window, job.lead, job.hiding, job.training.epochs) == (9, -1, "cells", 3)
    assert job.training.learning_rate == find_use("fill-gaps").settings["training"]["learning_rate"]
    assert job_of("merge-products", model={"options": {"hidden": [4]}}).model.options == {
        "hidden": [4], "kernel": [3], "mask_channels": True, "padding": "replicate",
    }  # fmt: skip


def test_another_family_takes_none_of_the_options_of_the_use():
    job = job_of("nowcast-rain", model={"family": "predrnn"})
    assert job.model.family == "predrnn" and job.model.options == {} and job.training.sampling == 0.0
    assert job_of("nowcast-rain", model={"family": "advection"}).model.family == "advection"
    assert job_of("merge-products", model={"family": "convlstm-wflow"}).model.options == {}


def test_a_search_may_name_a_use_too():
    train = {"use": "fill-gaps", "datasets": ["x.nc"], "target": "sm"}
    job = TuneJob.from_dict({"train": train, "space": {"training.learning_rate": [0.1]}})
    assert job.train.hidden_share == 0.3 and TuneJob.from_json(job.to_json()) == job


def test_the_schema_explains_it():
    entry = json_schema(TrainJob)["properties"]["use"]
    assert entry["enum"] == ["", *USE_NAMES] and "freshet uses" in entry["description"]


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        (
            "simulate",
            {"inputs": ["rain", "q"]},
            "choose the use 'fill-gaps' or 'forecast'",
        ),
        ("simulate", {"lead": 1}, "choose the use 'forecast'"),
        ("forecast", {"lead": 0}, "at least 1 step ahead"),
        ("merge-products", {"inputs": ["a"]}, "with one product there is 'correct-bias'"),
        ("merge-products", {"inputs": ["a", "ref", "b"]}, "'ref' is among the inputs"),
        ("merge-products", {"lead": 1}, "Set the steps ahead to 0"),
        ("downscale", {"static": []}, "no static map"),
        ("fill-gaps", {"inputs": ["rain"]}, "Add 'sm' to the inputs"),
        ("fill-gaps", {"hidden_share": 0}, "Hide a share"),
        ("fill-gaps", {"lead": 1}, "a step of the window"),
        ("nowcast-rain", {"inputs": ["wind"]}, "Add 'rain' to the inputs"),
        ("nowcast-rain", {"lead": 0}, "at least 1 step ahead"),
    ],
)
def test_what_is_missing_is_said_with_what_works(name, changes, words):
    with pytest.raises(ConfigError) as caught:
        job_of(name, **changes)
    assert words in str(caught.value)


def test_unknown_uses_and_targets_are_told():
    with pytest.raises(ConfigError, match="There is no use 'upscale'.*merge-products"):
        apply_use("upscale", {})
    with pytest.raises(ConfigError, match="not told what to predict"):
        apply_use("fill-gaps", {"datasets": ["x.nc"]})
    with pytest.raises(ConfigError, match="There is no use"):
        TrainJob.from_dict({"use": "upscale", "datasets": ["x.nc"], "target": "a", "inputs": ["b"]})


@pytest.mark.parametrize(
    ("name", "target", "inputs", "words"),
    [
        ("merge-products", "ref", ["a", "warmth"], "two inputs or more of the quantity and unit of 'ref'.*a, b"),
        ("merge-products", "ref", ["a", "hourly"], "two inputs or more"),
        ("correct-bias", "ref", ["warmth"], "an input of the quantity and unit"),
        ("correct-bias", "flow", ["a"], "gridding 'cell'"),
        ("nowcast-rain", "warmth", ["warmth"], "Choose a variable that is rain"),
    ],
)
def test_variables_of_another_quantity_or_kind_are_refused(name, target, inputs, words):
    with pytest.raises(ConfigError, match=words):
        check_variables(name, target, inputs, HELD)


def test_variables_that_suit_are_proposed_and_accepted():
    found = {use: propose(use, HELD) for use in USE_NAMES}
    assert found["merge-products"] == {"target": "ref", "inputs": ["a", "b"], "static": ["dem"]}
    assert found["fill-gaps"]["inputs"][0] == found["fill-gaps"]["target"] == "ref"
    assert propose("fill-gaps", HELD, "sm")["inputs"] == ["sm", "a", "b", "warmth", "hourly"]
    assert found["nowcast-rain"] == {"target": "ref", "inputs": ["ref"], "static": ["dem"]}
    assert (
        propose("simulate", HELD, "flow")["target"] == "flow"
        and propose("merge-products", HELD, "flow")["target"] == "ref"
    )
    for name, values in found.items():
        check_variables(name, values["target"], values["inputs"], HELD)
        TrainJob.from_dict({"use": name, "datasets": ["x.nc"], **values})
    assert propose("nowcast-rain", HELD[2:3])["target"] == ""
