"""What a family cannot do is refused when the job is made, with the nearest thing that works."""

from __future__ import annotations

import re

import pytest

from freshet.core.contracts import ConfigError, ModelFileError, TrainJob
from freshet.core.contracts.explain_checks import check_explainable
from freshet.core.contracts.model_card import ModelCard
from freshet.core.contracts.models import FAMILIES
from freshet.core.contracts.training_checks import check_gives


def job(family: str, **changes) -> TrainJob:
    values = {"datasets": ["/d.nc"], "target": "a", "inputs": ["b"], "window": 20, "lead": 1}
    return TrainJob.from_dict({**values, "model": {"family": family}, **changes})


def test_each_family_takes_what_it_gives_and_refuses_the_rest_by_names_that_work():
    for item in FAMILIES:
        for kind in ("maps", "gauges"):
            if kind in item.gives:
                check_gives(item.name, "x", kind == "gauges")
                continue
            with pytest.raises(
                ConfigError, match=f"'{re.escape(item.name)}' cannot predict 'x'.*or another target: y"
            ) as caught:
                check_gives(item.name, "x", kind == "gauges", ["y"])
            expected = caught.value.expected.split(": ")[1].split(", ")
            assert expected == [other.name for other in FAMILIES if kind in other.gives]


@pytest.mark.parametrize("changes", [{"leads": 2}, {"also": ["c"]}])
def test_a_family_of_one_target_and_one_lead_refuses_more(changes):
    for item in FAMILIES:
        if not item.several_leads:
            with pytest.raises(ConfigError, match=f"'{item.name}' gives one target at one step only.*or choose lstm"):
                job(item.name, **changes)
    assert job("lstm", **changes).model.family == "lstm"


def test_sampling_is_taken_by_a_decoder_that_reads_itself_alone():
    sampled = {"training": {"sampling": 0.5}}
    assert job("convlstm-ed", **sampled).training.sampling == 0.5
    with pytest.raises(ConfigError, match="'convlstm' does not read its own predictions.*convlstm-ed"):
        job("convlstm", **sampled)
    with pytest.raises(ConfigError, match="nothing to sample for"):
        job("convlstm-ed", **sampled, model={"family": "convlstm-ed", "options": {"decoder_input": "none"}})


def card(**changes) -> ModelCard:
    variable = {"name": "a", "quantity": "discharge", "units": "m3/s"}
    values = {"title": "t", "family": "lstm", "options": {}, "inputs": [variable], "static": [], "target": variable}
    return ModelCard.from_dict({**values, "season": False, "window": 5, "lead": 0, "leads": 1, **changes})


def test_models_of_maps_with_gradients_can_be_explained_and_others_say_why_not():
    check_explainable(card())
    with pytest.raises(ModelFileError, match="The model predicts 3 gauges, not maps"):
        check_explainable(card(gauges=["x", "y", "z"]))
    for item in FAMILIES:
        if not item.differentiable:
            with pytest.raises(ModelFileError, match=f"'{item.name}' cannot be explained"):
                check_explainable(card(family=item.name))
