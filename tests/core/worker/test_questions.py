"""The questions as verbs: run folders, events, files that the artifacts name; relative paths of painted rain."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from toy import tiny_card, write_toy_dataset  # noqa: E402

from freshet.core.contracts import EventKind, RunFolder, job_from_dict  # noqa: E402
from freshet.core.training.model_file import build_from_card, save_model  # noqa: E402
from freshet.core.worker.cli import absolute_paths, main  # noqa: E402
from freshet.core.worker.main import execute  # noqa: E402

POLYGON = "POLYGON ((4000000 2996000, 4002000 2996000, 4002000 2999000, 4000000 2999000, 4000000 2996000))"
JOBS = {
    "importance": {"repeats": 3, "dates": 20, "of": ["variables", "static", "lags"]},
    "probe": {"variable": "warmth", "dates": 30},
    "what-if": {
        "changes": [{"variable": "rain", "factor": 1.2, "polygon": POLYGON, "period": {"end": "2001-02-03"}}],
        "storms": [{"date": "2001-02-02", "cells": [[4001500.0, 2997500.0, 30.0]]}],
        "x": 4001500.0,
        "y": 2997500.0,
    },
    "drivers": {"date": "2001-02-10", "steps": 3},
    "shares": {"dates": 3, "steps": 4, "polygon": POLYGON},
}  # fmt: skip
FILES = {
    "importance": {
        "importance.csv",
        "importance.json",
        "importance.png",
        "importance_rain.tif",
        "importance_season.tif",
    },
    "probe": {"probe.csv", "probe.json", "probe.png", "probe.tif"},
    "what-if": {"change.tif", "changed.tif", "what_if.csv", "what_if.json", "what_if.svg"},
    "drivers": {"driver.tif", "driver.tif.aux.xml", "margin.tif", "contribution_height.tif", "drivers.json"},
    "shares": {"shares.csv", "cumulative.csv", "shares.json", "shares.png"},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("questions")
    write_toy_dataset(folder / "toy.nc")
    torch.manual_seed(0)
    card = tiny_card()
    save_model(folder / "model.safetensors", build_from_card(card), card)
    return folder


@pytest.mark.parametrize("verb", list(JOBS))
def test_a_question_leaves_its_files_and_tells_of_them(world, tmp_path, verb):
    values = {"model": str(world / "model.safetensors"), "dataset": str(world / "toy.nc"), "device": "cpu"}
    run = RunFolder.create(tmp_path, verb, job_from_dict(verb, {**values, **JOBS[verb]}))
    assert execute(run) == 0, run.error()
    made = {artifact.path for artifact in run.artifacts()}
    assert all(run.resolve(artifact).exists() for artifact in run.artifacts()) and "report.html" in made
    held = {path.name for path in run.results.iterdir()}
    assert FILES[verb] <= held
    assert held - {"driver.tif.aux.xml"} == {path.split("/")[-1] for path in made} - {"report.html"}
    for path in run.results.glob("*.json"):
        assert json.loads(path.read_text())["question"] == verb
    events = run.events()
    assert events[-1].kind is EventKind.DONE and not list(run.path.rglob("*.part*"))
    fractions = [event.values["fraction"] for event in events if event.kind is EventKind.PROGRESS]
    assert fractions == sorted(fractions)
    costs = [event.values["cost"]["seconds"] for event in events if "cost" in event.values]
    assert len(costs) == 1 and costs[0] >= 0


def test_the_same_question_gives_the_same_numbers_again(world, tmp_path):
    values = {"model": str(world / "model.safetensors"), "dataset": str(world / "toy.nc"), "device": "cpu"}
    texts = []
    for name in ("one", "two"):
        run = RunFolder.create(
            tmp_path / name, "importance", job_from_dict("importance", {**values, **JOBS["importance"]})
        )
        assert execute(run) == 0, run.error()
        texts.append((run.results / "importance.csv").read_text())
    assert texts[0] == texts[1]


def test_the_command_takes_painted_rain_relative_to_the_job_file(world, tmp_path, capfd):
    from freshet.core.data.store import Dataset
    from freshet.core.inference.geotiff import write_map

    with Dataset.open(world / "toy.nc") as dataset:
        grid = dataset.grid
    rain = np.zeros(grid.shape)
    rain[2, 2] = 40.0
    write_map(tmp_path / "storm.tif", rain, grid, units="mm", label="storm")
    job = {
        "model": str(world / "model.safetensors"), "dataset": str(world / "toy.nc"), "device": "cpu",
        "storms": [{"raster": "storm.tif", "date": "2001-02-02"}],
    }  # fmt: skip
    (tmp_path / "job.json").write_text(json.dumps(job))
    assert main(["what-if", str(tmp_path / "job.json"), "--run", str(tmp_path / "run")]) == 0
    assert "change: results/change.tif" in capfd.readouterr().out
    assert absolute_paths("what-if", job, tmp_path)["storms"][0]["raster"] == str(tmp_path / "storm.tif")
    (tmp_path / "bad.json").write_text(json.dumps({**job, "storms": [{"raster": "gone.tif", "date": "2001-02-02"}]}))
    assert main(["what-if", str(tmp_path / "bad.json"), "--run", str(tmp_path / "bad")]) == 2
    assert "gone.tif does not exist" in capfd.readouterr().err


def test_a_cancelled_question_leaves_nothing_half_written(world, tmp_path):
    values = {"model": str(world / "model.safetensors"), "dataset": str(world / "toy.nc"), "device": "cpu"}
    job = job_from_dict("importance", {**values, **JOBS["importance"], "repeats": 1000})
    run = RunFolder.create(tmp_path, "importance", job)

    def listen(event):
        if "repeat 1" in event.values.get("text", ""):
            run.request_cancel()

    assert execute(run, listen) == 3 and not run.results.exists()
