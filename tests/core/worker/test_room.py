"""The room on the disc is looked for before a training begins."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from toy import write_toy_dataset  # noqa: E402

from freshet.core.contracts import EventKind, RunFolder, TrainJob, machine  # noqa: E402
from freshet.core.worker.main import execute  # noqa: E402
from freshet.core.worker.room import checkpoint_bytes  # noqa: E402
from freshet.core.worker.train import opened  # noqa: E402


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_toy_dataset(tmp_path_factory.mktemp("toy") / "toy.nc", steps=60)


def job_of(dataset, training=None, hidden=2, **changes):
    values = {
        "datasets": [str(dataset)], "target": "store", "inputs": ["rain"], "window": 5, "warm_up": 0,
        "model": {"options": {"hidden": [hidden], "kernel": [3]}},
        "training": {"epochs": 1, "threads": 1, "device": "cpu", **(training or {})}, **changes,
    }  # fmt: skip
    return TrainJob.from_dict(values)


@pytest.mark.parametrize("members", [1, 2])
def test_a_training_without_room_is_refused_before_it_begins(dataset, tmp_path, monkeypatch, members):
    run = RunFolder.create_at(tmp_path / "run", "train", job_of(dataset, members=members))
    monkeypatch.setattr(machine, "free_room", lambda folder: 3_000_000)
    assert execute(run) == 2
    text = str(run.error())
    assert "There is not enough room on the disc for this training" in text and "3 MB free in" in text
    assert "of checkpoints, at most" in text and "choose another folder for the runs" in text
    assert not run.checkpoints.exists() and not any(event.kind is EventKind.METRIC for event in run.events())
    monkeypatch.undo()
    assert execute(run) == 0, "once there is room it goes on in the same folder"


@pytest.mark.parametrize("training", [{}, {"averaging": 0.9}, {"accumulate": 2}])
def test_the_foreseen_room_holds_what_is_written(dataset, tmp_path, training):
    job = job_of(dataset, {**training, "batch": 4}, hidden=48)
    run = RunFolder.create_at(tmp_path / "run", "train", job)
    largest = 0
    with opened(job) as ready:
        from freshet.core.training.model_file import build_from_card

        foreseen = checkpoint_bytes(build_from_card(ready.card), job.training)

    def watch(event):
        nonlocal largest
        files = [*run.checkpoints.glob("*"), *run.results.glob("*.safetensors")]
        largest = max(largest, sum(path.stat().st_size for path in files if path.exists()))

    assert execute(run, watch) == 0, run.error()
    assert 0.3 * foreseen < largest < 1.02 * foreseen + 20_000  # and the headers
