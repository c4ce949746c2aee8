"""Which inputs of a mass-conserving family enter unscaled, and that such families train and come back from a file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from toy import write_toy_dataset  # noqa: E402

from freshet.core.contracts import ConfigError, EventKind, TrainJob  # noqa: E402
from freshet.core.contracts.models import resolve  # noqa: E402
from freshet.core.data.store import Dataset  # noqa: E402
from freshet.core.training.loop import fit, predict_batch  # noqa: E402
from freshet.core.training.mass import mass_plan  # noqa: E402
from freshet.core.training.model_file import build_from_card, load_model, save_model  # noqa: E402
from freshet.core.training.setup import build_card, splits_of, training_sets  # noqa: E402

ALL = ["warmth", "potential", "rain"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_toy_dataset(tmp_path_factory.mktemp("toy") / "water.nc", water=True, seed=1)


def job_of(path, family, options=None, **changes) -> TrainJob:
    values = {
        "datasets": [str(path)], "target": "runoff", "inputs": ALL, "static": ["height"], "window": 10, "warm_up": 0,
        "model": {"family": family, "options": options or {}}, "training": {"threads": 1, "epochs": 1},
    }  # fmt: skip
    return TrainJob.from_dict({**values, **changes})


def plan_of(path, family, options=None, **changes):
    job = job_of(path, family, options, **changes)
    name, complete = resolve(family, job.model.options)
    with Dataset.open(path) as dataset:
        return mass_plan(job, dataset, name, complete)


def test_a_family_that_conserves_nothing_is_left_alone(path):
    options, scalers = plan_of(path, "convlstm")
    assert options == resolve("convlstm")[1] and scalers == {}


def test_water_becomes_an_amount_and_temperature_stays_in_degrees(path):
    options, scalers = plan_of(path, "exp-hydro")
    places = ("mass_channel", "pet_channel", "temperature_channel")
    assert [options[name] for name in places] == [2, 1, 0]
    assert options["step_days"] == 1.0
    kinds = {name: scaler.kind for name, scaler in scalers.items()}
    assert kinds == {"rain": "amount", "potential": "amount", "warmth": "none", "runoff": "amount"}


def test_only_the_rain_is_raw_for_the_other_conserving_families(path):
    for family in ("mc-lstm", "mc-convlstm"):
        options, scalers = plan_of(path, family)
        assert options["mass_channel"] == 2 and "step_days" not in options
        assert {name: scaler.kind for name, scaler in scalers.items()} == (
            {"rain": "amount", "runoff": "amount"} if family == "mc-lstm" else {"rain": "amount"}
        )


@pytest.mark.parametrize(
    ("inputs", "options", "words"),
    [
        (["warmth", "potential"], {}, "needs precipitation in mm/d"),
        (["rain", "warmth"], {}, "needs potential evapotranspiration in mm/d"),
        (["rain", "potential"], {}, "needs air temperature in degC"),
        (ALL, {"pet_channel": 0}, "needs potential evapotranspiration in mm/d"),
        (ALL, {"temperature_channel": 7}, "needs air temperature in degC"),
    ],
)
def test_what_is_missing_among_the_inputs_is_named(path, inputs, options, words):
    with pytest.raises(ConfigError, match=words):
        plan_of(path, "exp-hydro", options, inputs=inputs)


def test_a_target_that_is_no_water_of_the_balance_is_refused(path):
    with pytest.raises(ConfigError, match="exp-hydro.reads to evaporation or storage"):
        plan_of(path, "exp-hydro", target="store")
    _, scalers = plan_of(path, "exp-hydro", {"reads": "storage"}, target="store")
    assert scalers["store"].kind == "none"
    with pytest.raises(ConfigError, match=r"Choose another target\.?$"):
        plan_of(path, "mc-lstm", target="store")


@pytest.mark.parametrize("family", ["exp-hydro", "mc-lstm", "mc-convlstm"])
def test_it_trains_and_its_file_gives_the_same_prediction(path, tmp_path, family):
    job = job_of(path, family)
    with Dataset.open(path) as dataset:
        splits = splits_of([dataset], job.split, job.window, job.lead, job.leads)
        card = build_card(job, [dataset], splits)
        sets = training_sets([dataset], splits, card)
        rain = dataset.dynamic("rain")
    np.testing.assert_allclose(sets[0].data.x[:, 2], rain)
    torch.manual_seed(0)
    module = build_from_card(card)
    before = torch.cat([value.detach().flatten().clone() for value in module.parameters()])
    story = [event for event in fit(module, sets, job.training, tmp_path) if event.kind is EventKind.METRIC]
    assert len(story) == 1 and np.isfinite(story[0].values["train_loss"])
    assert not torch.equal(before, torch.cat([value.detach().flatten() for value in module.parameters()]))
    save_model(tmp_path / "model.safetensors", module, card)
    again, _ = load_model(tmp_path / "model.safetensors")
    batch = sets[0].data.batch(sets[0].split.test[:3])
    found = [predict_batch(item.eval(), batch, "cpu", torch.float32) for item in (module, again)]
    assert torch.isfinite(found[0]).all() and torch.equal(*found)
