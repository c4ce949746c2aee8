"""Several models asked the same: the mean of their attributions, their spread, and who cannot be a member."""

from __future__ import annotations

import csv
import dataclasses
import json
import re

import numpy as np
import pytest
import torch

from freshet.core.contracts.errors import ConfigError, ModelFileError
from freshet.core.contracts.events import Artifact, EventKind
from freshet.core.contracts.result_jobs import ExplainJob
from freshet.core.contracts.run_folder import RunFolder
from freshet.core.data.scaling import Scaler
from freshet.core.explain.contributions import contributions_of
from freshet.core.explain.ensemble import Gathering, Member, aligned, members_of, shares_of_spread
from freshet.core.explain.explain import explain
from freshet.core.explain.methods import METHODS
from freshet.core.explain.session import Session
from freshet.core.inference.geotiff import read_series
from freshet.core.inference.predictor import Predictor
from freshet.core.training.model_file import build_from_card, save_model

from .linear import Linear, T, make_problem, truth
from .linear import run as run_method
from .world import GRID, make_card, make_job, values, write_world


def _save(path, seed, **changes):
    card = make_card(values(), **changes)
    torch.manual_seed(seed)
    save_model(path, build_from_card(card), card)
    return str(path)


def _explain(folder, job, session=None):
    run = RunFolder.create(folder, "explain", job)
    events = list(explain(job, run, session))
    artifacts = {e.values["path"]: Artifact.from_dict(e.values) for e in events if e.kind is EventKind.ARTIFACT}
    return run, events, artifacts, json.loads((run.results / "attribution.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensemble world")
    dataset, model = write_world(folder)
    card = make_card(values())
    # The second member lists its inputs the other way round and scales rain by another rule; the third reads less.
    rain = dataclasses.replace(card.inputs[0], scaler=Scaler.fit("standard", values()["rain"]).to_dict())
    others = (
        _save(folder / "second.safetensors", 12, inputs=(card.inputs[1], rain)),
        _save(folder / "third.safetensors", 13, window=3, title="Shorter"),
    )
    return dataset, model, others


@pytest.fixture(scope="module")
def answer(world, tmp_path_factory):
    return _explain(tmp_path_factory.mktemp("runs"), make_job(*world[:2], members=world[2]))


@pytest.fixture(scope="module")
def alone(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    return [_explain(folder, make_job(world[0], path))[0::3] for path in (world[1], *world[2])]


def _linear(seed: int) -> Linear:
    module = Linear()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))
    return module


def _card():
    v = values()
    card = make_card(v)
    more = dataclasses.replace(card.inputs[0], name="snow")
    maps = tuple(dataclasses.replace(card.static[0], name=name) for name in ("dem", "slope"))
    known = (dataclasses.replace(card.inputs[0], name="forecast"),)
    return card.replace(inputs=(*card.inputs, more), static=maps, ahead=known, season=False, window=T)


@pytest.mark.parametrize("name", ["integrated-gradients", "gradient", "shapley", "occlusion-time"])
def test_of_linear_models_it_is_the_attribution_by_the_mean_of_their_weights(name):
    card, gathered, problems = _card(), Gathering(), []
    for seed in (1, 2, 3):
        problems.append(make_problem(_linear(seed)))
        found = aligned(run_method(name, problems[-1], steps=4, samples=2)[0], card, card, METHODS[name])
        rows = contributions_of(card, found, set())
        gathered.add(Member(f"{seed}.safetensors", card, 0, 1), found, rows)
    middle = _linear(1)
    with torch.no_grad():
        for weight, *all_three in zip(middle.parameters(), *(p.function.module.parameters() for p in problems)):
            weight.copy_(torch.stack(all_three).mean(dim=0))
    x, static, ahead = truth(make_problem(middle))
    mean, spread = gathered.mean(), gathered.spread(METHODS[name])
    np.testing.assert_allclose(mean.x.sum(axis=(0, 2, 3))[0], x[:, 0].sum(), rtol=1e-4)
    np.testing.assert_allclose(mean.static.sum(axis=(1, 2)), static.sum(axis=(1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mean.ahead.sum(), ahead.sum(), rtol=1e-4)
    if METHODS[name].cells:
        np.testing.assert_allclose(mean.x, x, rtol=1e-4, atol=1e-5)
    assert mean.prediction == pytest.approx(np.mean([p.prediction for p in problems]), rel=1e-6)
    assert abs(mean.residual) < 1e-4  # completeness holds for the mean prediction
    each = np.array([truth(p)[0][:, 0].sum() for p in problems])
    assert spread.totals["rain"] == pytest.approx(each.std(ddof=1), rel=1e-3)
    if METHODS[name].cells:
        cells = np.stack([truth(p)[0][:, 0].sum(axis=0) for p in problems])
        np.testing.assert_allclose(spread.maps["rain"], cells.std(axis=0, ddof=1), rtol=1e-3, atol=1e-5)
        steps = np.stack([truth(p)[0][:, 0].sum(axis=(1, 2)) for p in problems])
        np.testing.assert_allclose(spread.by_step["rain"], steps.std(axis=0, ddof=1), rtol=1e-3)


def test_parts_of_the_spread_add_up_to_it_and_find_the_variable_that_differs():
    rng = np.random.default_rng(3)
    rain, snow, start = rng.normal(0, 5.0, 6), rng.normal(0, 0.01, 6), np.full(6, 2.0)
    total = rain + snow + start
    shares = shares_of_spread(total, {"rain": rain, "snow": snow, "baseline": start})
    assert sum(shares.values()) == pytest.approx(total.std(ddof=1))
    assert shares["baseline"] == 0 and abs(shares["unexplained"]) < 1e-12
    assert shares["rain"] > 0.99 * total.std(ddof=1)
    same = shares_of_spread(np.full(3, 4.0), {"rain": np.array([1.0, 2.0, 3.0])})
    assert same == {"rain": 0.0, "unexplained": 0.0}


def test_the_mean_prediction_is_explained_and_adds_up(world, answer):
    facts, predictions = answer[3], []
    for path in (world[1], *world[2]):
        with Predictor(path, world[0], "cpu") as predictor:
            end = int(np.flatnonzero(predictor.data.times == np.datetime64("2001-02-27"))[0])
            ((_, maps),) = predictor.predict(np.array([end]))
        predictions.append(float(maps[0, 0, 4, 4]))
    assert facts["prediction"] == pytest.approx(np.mean(predictions), abs=1e-6)
    ensemble = facts["ensemble"]
    assert ensemble["spread_of_prediction"] == pytest.approx(np.std(predictions, ddof=1), abs=1e-6)
    total = facts["baseline_prediction"] + sum(facts["variables"].values()) + facts["residual"]
    assert total == pytest.approx(facts["prediction"], abs=1e-9) and facts["residual_share"] < 0.01
    assert sum(ensemble["parts_of_spread"].values()) == pytest.approx(ensemble["spread_of_prediction"], abs=1e-9)
    assert [item["prediction"] for item in ensemble["members"]] == pytest.approx(predictions, abs=1e-6)


def test_contributions_are_means_and_standard_deviations_of_those_of_each_model_alone(answer, alone):
    facts = answer[3]
    for name in ("rain", "temp", "season", "dem"):
        each = [single["variables"][name] for _, single in alone]
        assert facts["variables"][name] == pytest.approx(np.mean(each), abs=1e-7)
        assert facts["ensemble"]["spread"][name] == pytest.approx(np.std(each, ddof=1), abs=1e-7)
    # By steps back the shorter window counts as nothing before it begins.
    steps = np.array([[0.0] * (4 - len(s["steps_back"])) + s["by_step_back"]["rain"] for _, s in alone])
    np.testing.assert_allclose(facts["by_step_back"]["rain"], steps.mean(axis=0), atol=1e-7)
    np.testing.assert_allclose(facts["ensemble"]["spread_by_step_back"]["rain"], steps.std(axis=0, ddof=1), atol=1e-7)
    assert facts["steps_back"] == [4, 3, 2, 1] and len(alone[2][1]["steps_back"]) == 3
    assert facts["passes"] == sum(single["passes"] for _, single in alone)


def test_a_map_of_the_spread_a_variable_on_one_range_from_zero(answer, alone):
    run, _, artifacts, _ = answer
    maps = {a.variable: a for a in artifacts.values() if a.kind == "spread"}
    assert set(maps) == {"rain", "temp", "season", "dem"}
    assert len({(a.minimum, a.maximum, a.ramp) for a in maps.values()}) == 1
    assert maps["rain"].minimum == 0.0 < maps["rain"].maximum and maps["rain"].dates == ()
    assert "over 3 models" in maps["rain"].note and "\u00b1" in maps["rain"].note
    import rasterio

    with rasterio.open(run.results / "spread_rain.tif") as source:
        values_read = source.read(1, masked=True).filled(np.nan)
    sums = [np.nansum(read_series(r.results / "attribution_rain.tif").values, axis=0) for r, _ in alone]
    inside = np.isfinite(values_read)
    assert values_read.shape == GRID.shape and inside.sum() > 10
    np.testing.assert_allclose(values_read[inside], np.std(sums, axis=0, ddof=1)[inside], atol=1e-6)


def test_tables_and_page_tell_the_spread(answer):
    run, events, artifacts, facts = answer
    with open(run.results / "attribution.csv", encoding="utf-8") as handle:
        table = list(csv.DictReader(handle))
    rain = [float(row["spread"]) for row in table if row["variable"] == "rain"]
    np.testing.assert_allclose(rain, facts["ensemble"]["spread_by_step_back"]["rain"])
    assert float(next(row for row in table if row["variable"] == "dem")["spread"]) == facts["ensemble"]["spread"]["dem"]
    with open(run.results / "members.csv", encoding="utf-8") as handle:
        lines = list(csv.DictReader(handle))
    assert [line["model"] for line in lines] == ["Tiny model", "Tiny model", "Shorter", "mean", "spread"]
    assert float(lines[-1]["rain"]) == pytest.approx(facts["ensemble"]["spread"]["rain"])
    assert float(lines[-2]["prediction"]) == pytest.approx(facts["prediction"])
    said = next(e.values["text"] for e in events if "the mean of 3 models" in e.values.get("text", ""))
    assert said.count("\u00b1") == 5
    page = run.report_file.read_text(encoding="utf-8")
    assert "Spread of the models" in page and "third.safetensors" in page
    assert "results/members.csv" in artifacts


def test_progress_rises_over_all_models_and_the_answer_of_those_done_is_shown(answer):
    _, events, _, _ = answer
    fractions = [e.values["fraction"] for e in events if e.kind is EventKind.PROGRESS]
    assert fractions == sorted(fractions) and fractions[-1] <= 1.0
    drafts = [e.values for e in events if "so_far" in e.values]
    assert [(d["so_far"]["done"], d["so_far"]["of"]) for d in drafts][-1] == (2, 3)
    assert "model 2 of 3" in drafts[-1]["text"]
    kinds = [e.values.get("kind") for e in events if e.kind is EventKind.ARTIFACT]
    assert "attribution-draft" in kinds and kinds.index("attribution-draft") < kinds.index("attribution")


def test_nothing_of_a_draft_is_left(answer):
    run, _, artifacts, _ = answer
    kept = sorted(path for path, item in artifacts.items() if item.kind not in ("attribution-draft", "report"))
    assert sorted(f"results/{path.name}" for path in run.results.iterdir()) == kept


def test_the_cost_is_that_of_all_models(world, tmp_path):
    def told(**changes):
        job = make_job(*world[:2], estimate=True, **changes)
        events = list(explain(job, RunFolder.create(tmp_path, "explain", job)))
        return next(e.values for e in events if "cost" in e.values)

    one, three = told(), told(members=world[2])
    assert three["cost"]["gradient"] == 3 * one["cost"]["gradient"] > 0
    assert "3 models" in three["text"] and "the model" in one["text"]


def test_checks_are_means_over_the_models(world, tmp_path):
    few = {"steps": 4, "check_method": True}
    together = _explain(tmp_path, make_job(*world[:2], members=world[2][:1], **few))[3]["check"]
    each = [_explain(tmp_path, make_job(world[0], path, **few))[3]["check"] for path in (world[1], world[2][0])]
    for name in ("rank_correlation_randomised", "deletion_area"):
        assert together[name] == pytest.approx(np.mean([item[name] for item in each]), abs=1e-6)


def test_a_method_that_does_not_tell_variables_apart_gives_a_mean_too(world, tmp_path):
    job = make_job(*world[:2], members=world[2], method="gaussian", samples=3)
    _, _, artifacts, facts = _explain(tmp_path, job)
    assert list(facts["ensemble"]["spread"]) == ["all_inputs"] and facts["ensemble"]["parts_of_spread"] is None
    assert [a.variable for a in artifacts.values() if a.kind == "spread"] == ["all_inputs"]


def test_a_session_keeps_every_member_loaded(world, tmp_path, monkeypatch):
    from freshet.core.explain import session as module

    read = []
    real = module.load_model
    monkeypatch.setattr(module, "load_model", lambda path, device: read.append(path) or real(path, device))
    session, job = Session(), make_job(*world[:2], members=world[2], steps=2)
    first = _explain(tmp_path, job, session)[3]
    assert len(read) == 3
    assert _explain(tmp_path, job, session)[3]["variables"] == first["variables"] and len(read) == 3


def test_the_first_model_alone_has_no_spread(alone):
    run, facts = alone[0]
    assert facts["ensemble"] is None
    assert (run.results / "attribution.csv").read_text(encoding="utf-8").splitlines()[0].endswith(",contribution")


def _card_changes():
    card = make_card(values())
    target = card.target
    return {
        "predicts something else": {"target": dataclasses.replace(target, name="et")},
        "predicts in another unit": {"target": dataclasses.replace(target, units="mm")},
        "predicts other steps ahead": {"lead": 3},
        "reads other inputs": {"inputs": card.inputs[:1]},
        "reads other static maps": {"static": ()},
        "reads the season or not": {"season": False},
        "has another step": {"step_seconds": 3600.0},
        "has other cells": {"cell_size": (500.0, 500.0)},
        "has no gradients": {"family": "random-forest", "options": {}},
    }


@pytest.mark.parametrize("words", list(_card_changes()))
def test_who_cannot_be_a_member_is_told_by_name_before_anything_is_written(world, tmp_path, words, monkeypatch):
    changes = _card_changes()[words]
    other = tmp_path / "other.safetensors"
    if "family" in changes:
        save_model(other, build_from_card(make_card(values())), make_card(values(), **changes))
    else:
        _save(other, 3, **changes)
    job = make_job(*world[:2], members=(str(other),))
    run = RunFolder.create(tmp_path, "explain", job)
    with pytest.raises(ModelFileError) as caught:
        list(explain(job, run))
    assert "other.safetensors cannot be a member" in str(caught.value) and caught.value.remedy
    assert re.search(words, str(caught.value))
    assert not run.results.exists() or not list(run.results.iterdir())


def test_a_member_that_predicts_the_asked_step_at_another_place_is_one(world, tmp_path):
    other = _save(tmp_path / "other.safetensors", 5, lead=2, leads=1)
    _, _, _, facts = _explain(tmp_path, make_job(*world[:2], members=(other,), lead=2, date="2001-03-01", steps=4))
    assert facts["lead"] == 2 and len(facts["ensemble"]["members"]) == 2 and facts["residual_share"] < 0.05


def test_a_model_is_named_once():
    with pytest.raises(ConfigError, match="given twice"):
        ExplainJob(model="/a", dataset="/d", date="2001-01-01", basin=True, members=("/b", "/b"))
    with pytest.raises(ConfigError, match="given twice"):
        ExplainJob(model="/a", dataset="/d", date="2001-01-01", basin=True, members=("/a",))
    job = ExplainJob(model="/a", dataset="/d", date="2001-01-01", basin=True, members=("/b",))
    assert ExplainJob.from_json(job.to_json()) == job


def test_what_is_known_ahead_has_to_be_of_the_same_steps(tmp_path):
    known = (dataclasses.replace(make_card(values()).inputs[0], name="forecast"),)
    paths = [tmp_path / f"{number}.safetensors" for number in (1, 2)]
    for path, lead in zip(paths, (1, 2)):
        save_model(path, build_from_card(make_card(values())), make_card(values(), ahead=known, lead=lead))
    job = make_job("d.nc", paths[0], members=(str(paths[1]),), lead=2)
    with pytest.raises(ModelFileError, match="predicts other steps ahead"):
        members_of(job)


def test_another_first_model_lets_the_members_go(world, tmp_path):
    session = Session()
    kept = session.member(world[2][0])
    session.model(str(world[1]), "cpu")
    assert session.member(world[2][0]) is not kept
    kept = session.member(world[2][0])
    session.model(str(world[1]), "cpu")
    assert session.member(world[2][0]) is kept
