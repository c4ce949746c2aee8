"""An ensemble as a run: model files, a description, the mean and its spread; and what cannot be one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from toy import tiny_card, write_toy_dataset  # noqa: E402

from freshet.core.contracts import ConfigError, EventKind, ModelFileError, PredictJob, RunFolder, TrainJob  # noqa: E402
from freshet.core.contracts.ensemble_file import read_ensemble  # noqa: E402
from freshet.core.contracts.model_card import read_card  # noqa: E402
from freshet.core.inference.predictor import Predictor  # noqa: E402
from freshet.core.training.members import Members  # noqa: E402
from freshet.core.training.model_file import build_from_card, load_model, save_model  # noqa: E402
from freshet.core.worker.main import execute  # noqa: E402


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_toy_dataset(tmp_path_factory.mktemp("toy") / "toy.nc", steps=60)


def training(dataset, **changes):
    values = {
        "datasets": [str(dataset)], "target": "store", "inputs": ["rain"], "window": 5, "warm_up": 0,
        "model": {"options": {"hidden": [3], "kernel": [1]}},
        "training": {"epochs": 2, "batch": 8, "threads": 1, "seed": 4}, **changes,
    }  # fmt: skip
    return TrainJob.from_dict(values)


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    run = RunFolder.create_at(
        tmp_path_factory.mktemp("runs") / "ensemble", "train", training(dataset, members=3, leads=2, lead=1)
    )
    assert execute(run) == 0, run.error()
    return run


def weights(path):
    return torch.cat([value.flatten().double() for value in load_model(path)[0].state_dict().values()])


def maps(path):
    with rasterio.open(path) as source:
        return source.read(masked=True).filled(np.nan).astype(np.float64)


def test_an_ensemble_leaves_ordinary_model_files_and_a_description(trained, dataset, tmp_path):
    ensemble, members = read_ensemble(trained.results / "ensemble.json")
    assert ensemble.seeds == (4, 5, 6) and len(members) == 3 and ensemble.scores["toy"]["model"]
    assert len({float(weights(member).sum()) for member in members}) == 3
    best = members[int(np.argmin(ensemble.validation_losses))]
    assert torch.equal(weights(trained.model_file), weights(best))
    assert read_card(trained.results / "ensemble.json").scores == ensemble.scores
    single = RunFolder.create_at(tmp_path / "single", "train", training(dataset, leads=2, lead=1))
    assert execute(single) == 0, single.error()
    assert weights(members[0]).numpy() == pytest.approx(weights(single.model_file).numpy(), abs=1e-5)
    made = {Path(artifact.path).name for artifact in trained.artifacts()}
    assert {"ensemble.json", "member_03.safetensors", "spread.tif", "spread_lead2.tif", "upper.tif"} <= made
    assert all(trained.resolve(artifact).exists() for artifact in trained.artifacts())
    assert (trained.checkpoints / "live.npz").exists()
    texts = [event.values["text"] for event in trained.events() if event.kind is EventKind.MESSAGE]
    assert any("members are trained" in text for text in texts)


def test_the_mean_and_the_spread_are_those_of_the_members(trained, dataset, tmp_path):
    job = PredictJob(model=str(trained.results / "ensemble.json"), dataset=str(dataset), device="cpu")
    run = RunFolder.create_at(tmp_path / "predict", "predict", job)
    assert execute(run) == 0, run.error()
    each = []
    for member in read_ensemble(trained.results / "ensemble.json")[1]:
        with Predictor(member, dataset, "cpu") as predictor:
            ends = predictor.data.valid_ends()
            each.append(np.concatenate([part for _, part in predictor.predict(ends)]))
            first = predictor.data.target_times(ends)[:, 0]
    told = next(artifact for artifact in run.artifacts() if artifact.kind == "predicted").dates
    chosen = np.isin(first, np.array([date.rstrip("Z") for date in told], dtype="datetime64[s]"))
    values = np.stack(each).astype(np.float64)
    for lead, suffix in ((0, ""), (1, "_lead2")):
        found = {name: maps(run.results / f"{name}{suffix}.tif") for name in ("predicted", "spread", "lower", "upper")}
        known = values[:, chosen, lead]
        assert known.shape[1] == len(told) > 0
        assert found["predicted"] == pytest.approx(known.mean(axis=0), abs=1e-4, nan_ok=True)
        assert found["spread"] == pytest.approx(known.std(axis=0, ddof=1), abs=1e-4, nan_ok=True)
        assert found["lower"] == pytest.approx(np.quantile(known, 0.05, axis=0), abs=1e-4, nan_ok=True)
        assert found["upper"] == pytest.approx(np.quantile(known, 0.95, axis=0), abs=1e-4, nan_ok=True)
        assert np.nanmax(found["spread"]) > 0
    spread = [artifact for artifact in run.artifacts() if artifact.kind == "spread"]
    assert len(spread) == 6 and all(artifact.units == "mm" and artifact.dates for artifact in spread)


def test_an_explanation_asks_every_member(trained, dataset):
    from freshet.core.contracts import ExplainJob
    from freshet.core.explain.ensemble import members_of

    description = str(trained.results / "ensemble.json")
    job = ExplainJob(model=description, dataset=str(dataset), date="2001-02-20", basin=True, lead=1)
    assert [Path(member.path) for member in members_of(job)] == read_ensemble(description)[1]


def test_an_ensemble_is_not_trained_further_as_one(trained, dataset, tmp_path):
    from freshet.core.contracts import FinetuneJob

    job = FinetuneJob(model=str(trained.results / "ensemble.json"), datasets=(str(dataset),))
    run = RunFolder.create_at(tmp_path / "run", "finetune", job)
    assert execute(run) == 2 and "one of its members" in str(run.error())


def test_a_bootstrap_gives_other_members(dataset, tmp_path, trained):
    run = RunFolder.create_at(tmp_path / "run", "train", training(dataset, members=2, bootstrap=6))
    assert execute(run) == 0, run.error()
    ensemble, members = read_ensemble(run.results / "ensemble.json")
    assert ensemble.bootstrap == 6
    single = RunFolder.create_at(tmp_path / "single", "train", training(dataset))
    assert execute(single) == 0, single.error()
    assert not torch.allclose(weights(members[0]), weights(single.model_file), atol=1e-4)


def test_the_mean_of_a_curved_scaler_is_taken_in_the_unit_of_the_target():
    scaler = {"kind": "log1p", "shift": 2.0, "width": 1.5, "low": -3.0, "high": 5.0}
    card = tiny_card(season=False, static=())
    card = card.replace(target=card.target.replace(scaler=scaler))
    modules = []
    for level in (-1.0, 2.0):
        modules.append(build_from_card(card))
        with torch.no_grad():
            for parameter in modules[-1].parameters():
                parameter.zero_()
            modules[-1].head_bias.fill_(level)
    with torch.no_grad():
        found = Members(modules, card)(torch.zeros(1, 3, 1, 4, 5), None, None)["y_hat"]
    units = np.expm1(np.array([-1.0, 2.0]) * 1.5 + 2.0)
    assert found.shape == (1, 1, 1, 4, 5)
    assert np.expm1(found.numpy().astype(float) * 1.5 + 2.0) == pytest.approx(units.mean(), rel=1e-5)


def test_members_that_do_not_fit_together_are_refused(tmp_path):
    one, two = tiny_card(), tiny_card(lead=3)
    for name, card in (("one", one), ("two", two)):
        save_model(tmp_path / f"{name}.safetensors", build_from_card(card), card)
    description = tmp_path / "ensemble.json"
    values = {"freshet_ensemble": 1, "members": ["one.safetensors", "two.safetensors"]}
    description.write_text(json.dumps(values))
    with pytest.raises(ModelFileError, match="same lead in all"):
        load_model(description)
    description.write_text(json.dumps({**values, "members": ["one.safetensors", "gone.safetensors"]}))
    with pytest.raises(ModelFileError, match="lacks 1 of its 2"):
        read_card(description)
    description.write_text("{")
    with pytest.raises(ModelFileError, match="cannot be read"):
        load_model(description)
    description.write_text('{"members": ["one.safetensors"]}')
    with pytest.raises(ModelFileError, match="describes no ensemble"):
        load_model(description)


def test_a_bootstrap_of_one_model_is_refused(dataset):
    with pytest.raises(ConfigError, match="members of an ensemble"):
        training(dataset, bootstrap=5)
