"""Which questions a model can be asked: the list of families without states is that of the engine; faults say what
else to do.
"""

from __future__ import annotations

import pytest

from freshet.core.contracts.errors import ConfigError, ModelFileError
from freshet.core.contracts.model_card import ModelCard, VariableCard
from freshet.core.contracts.models import FAMILIES, family
from freshet.core.contracts.question_checks import (
    WITHOUT_STATES,
    check_baseline,
    check_drivers,
    check_lags,
    check_shares,
    check_states,
)


def card(name="convlstm", quantity="precipitation", **changes) -> ModelCard:
    rain = VariableCard("rain", quantity, "mm/d")
    fields = {
        "title": "m", "family": name, "options": {}, "inputs": (rain,), "static": (), "target": rain, "season": False,
        "window": 5, "lead": 0, "leads": 1,
    }  # fmt: skip
    return ModelCard(**{**fields, **changes})


def test_families_without_states_are_those_that_learn_none_step_by_step():
    for item in FAMILIES:
        if item.name in WITHOUT_STATES:
            with pytest.raises(ModelFileError, match="no states"):
                check_states(item.name)
        else:
            check_states(item.name)
    assert set(WITHOUT_STATES) <= {item.name for item in FAMILIES}


def test_drivers_need_maps_and_mostly_gradients():
    check_drivers(card(), "integrated-gradients")
    with pytest.raises(ModelFileError, match="2 gauges.*shares of its variables"):
        check_drivers(card(gauges=("a", "b")), "occlusion")
    flat = next(item.name for item in FAMILIES if not item.differentiable)
    with pytest.raises(ModelFileError, match="no gradients.*'occlusion'"):
        check_drivers(card(flat), "gradient-times-input")
    check_drivers(card(flat), "occlusion")
    check_shares(card(gauges=("a", "b")))
    with pytest.raises(ModelFileError, match="no gradients.*permutation importance"):
        check_shares(card(flat))
    assert not family(flat).differentiable


def test_a_dry_baseline_needs_rain_also_known_ahead():
    check_baseline("dry", card())
    check_baseline("mean", card(quantity="temperature"))
    with pytest.raises(ConfigError, match="without rain is no baseline"):
        check_baseline("dry", card(quantity="temperature"))
    check_baseline("dry", card(quantity="temperature", ahead=(VariableCard("later", "precipitation", "mm/d"),)))


@pytest.mark.parametrize("edges, good", [((), True), ((1, 3), True), ((5,), True), ((0, 2), False), ((1, 6), False)])
def test_blocks_lie_inside_the_window(edges, good):
    if good:
        check_lags(edges, 1, 5)
        return
    with pytest.raises(ConfigError, match="steps from 1 to 5"):
        check_lags(edges, 1, 5)
