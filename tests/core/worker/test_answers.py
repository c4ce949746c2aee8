"""The answers that the tests of the pages show have the form that the engine gives its answers now."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from toy import tiny_card, write_toy_dataset  # noqa: E402

from freshet.core.contracts import RunFolder, job_from_dict  # noqa: E402
from freshet.core.training.model_file import build_from_card, save_model  # noqa: E402
from freshet.core.worker.main import execute  # noqa: E402

ANSWERS = Path(__file__).resolve().parents[2] / "answers"
JOBS = {
    "importance": {
        "repeats": 2, "dates": 12, "of": ["variables", "static", "lags", "variables by lag"],
        "groups": {"wet": ["rain"]},
    },
    "probe": {"variable": "warmth", "dates": 20},
    "drivers": {"date": "2001-02-10", "steps": 2},
    "shares": {"dates": 2, "steps": 2},
}  # fmt: skip
BY_NAME = (  # dictionaries whose keys are names of variables or seasons
    "labels", "classes", "cells_by_driver", "mean_absolute_contribution", "by_season", "cumulative", "references",
)  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("answers")
    write_toy_dataset(folder / "toy.nc")
    torch.manual_seed(0)
    card = tiny_card()
    save_model(folder / "model.safetensors", build_from_card(card), card)
    return folder


def form_of(value, name=""):
    """Keys and kinds of an answer, whatever its numbers, names and lengths are."""
    if isinstance(value, dict):
        if name in BY_NAME:
            return {"": form_of(next((v for v in value.values() if v is not None), None), name)}
        return {key: form_of(held, key) for key, held in value.items()}
    if isinstance(value, list):
        return [form_of(value[0])] if value and isinstance(value[0], dict) else "list"
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return "number"  # a missing one is None
    return type(value).__name__


@pytest.mark.parametrize("verb", list(JOBS))
def test_the_answers_shown_in_tests_are_as_the_engine_writes_them(world, tmp_path, verb):
    values = {"model": str(world / "model.safetensors"), "dataset": str(world / "toy.nc"), "device": "cpu"}
    run = RunFolder.create(tmp_path, verb, job_from_dict(verb, {**values, **JOBS[verb]}))
    assert execute(run) == 0, run.error()
    held = {path.name for path in (ANSWERS / verb).iterdir()}
    assert f"{verb}.json" in held
    for name in held:
        fresh, kept = run.results / name, ANSWERS / verb / name
        if name.endswith(".csv"):
            heads = [next(csv.reader(path.open(encoding="utf-8", newline=""))) for path in (fresh, kept)]
            assert heads[0] == heads[1]
        else:
            assert form_of(json.loads(fresh.read_text())) == form_of(json.loads(kept.read_text()))
