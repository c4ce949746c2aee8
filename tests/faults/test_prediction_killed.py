"""A prediction whose process is killed on its way goes on from what it had, with the same files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from freshet.core.contracts import ModelConfig, PredictJob, RunFolder, RunState, TrainJob
from freshet.core.contracts.grid import Grid
from freshet.core.data.store import Dataset, VariableInfo, write_dataset
from freshet.core.training.model_file import build_from_card, save_model
from freshet.core.training.setup import build_card, splits_of

LAUNCH = Path(__file__).resolve().parents[2] / "core" / "worker" / "launch.py"
STEPS, SIDE = 40, 64
FILES = ("predicted.tif", "observed.tif", "delta.tif", "score_nse.tif", "scores.json")


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> tuple[Path, Path]:
    """A dataset and an untrained model."""
    folder, rng = tmp_path_factory.mktemp("world"), np.random.default_rng(1)
    maps = rng.random((2, STEPS, SIDE, SIDE)).astype("f4")
    times = np.datetime64("2001-01-01", "s") + (np.arange(STEPS) * 86400).astype("timedelta64[s]")
    write_dataset(
        folder / "basin.nc", name="Basin", grid=Grid("EPSG:3035", 4e6, 3e6, 1000.0, 1000.0, SIDE, SIDE), times=times,
        step_seconds=86400, mask=np.ones((SIDE, SIDE), dtype=bool), provenance={}, static={},
        dynamic={
            "rain": (VariableInfo("rain", "input", "precipitation", "mm/d"), maps[0]),
            "sm": (VariableInfo("sm", "target", "soil_moisture", "-"), maps[1]),
        },
    )  # fmt: skip
    job = TrainJob(
        datasets=(str(folder / "basin.nc"),), target="sm", inputs=("rain",), window=4,
        model=ModelConfig("convlstm", {"hidden": [8], "kernel": [3]}), title="A model",
    )  # fmt: skip
    with Dataset.open(folder / "basin.nc") as dataset:
        card = build_card(job, [dataset], splits_of([dataset], job.split, 4, 0, 1))
    torch.manual_seed(0)
    save_model(folder / "model.safetensors", build_from_card(card), card)
    return folder / "basin.nc", folder / "model.safetensors"


def start(run: RunFolder) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        [sys.executable, "-I", str(LAUNCH), str(run.path)], stdout=quiet, stderr=quiet, env=environment
    )


def pieces(run: RunFolder) -> list[Path]:
    return list((run.checkpoints / "maps").rglob("[!.]*.npz"))


@pytest.mark.parametrize("carry", ["window", "carry"])
def test_a_prediction_that_was_killed_is_taken_up_again(world, wait, tmp_path, carry):
    dataset, model = world
    job = PredictJob(str(model), str(dataset), device="cpu", tile=32, carry=carry)
    whole = RunFolder.create(tmp_path, "predict", job)
    assert start(whole).wait(300) == 0, whole.error()
    run = RunFolder.create(tmp_path, "predict", job)
    for more in (2, 2):  # killed twice
        enough, process = len(pieces(run)) + more, start(run)
        wait(process, lambda enough=enough: len(pieces(run)) >= enough)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        while run.state() is RunState.RUNNING:  # its pulse is still fresh
            time.sleep(0.1)
        assert run.state() is RunState.LOST and not [name for name in FILES if (run.results / name).exists()]
    assert start(run).wait(300) == 0, run.error()
    words = [str(event.values.get("text", "")) for event in run.events()]
    assert sum("the work goes on from there" in text for text in words) == 2
    for name in FILES:
        assert (run.results / name).read_bytes() == (whole.results / name).read_bytes(), name
    left = [path for path in run.results.iterdir() if path.name.startswith(".")]
    assert not left and not pieces(run), "what the killed runs left is gone too"
