"""A search shares what its trainings choose, waits for any kind of lock, and looks for room."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]
from searches import RATES, job_of, searched, texts, trials  # noqa: E402
from toy import write_toy_dataset  # noqa: E402

from freshet.core.contracts import RunFolder  # noqa: E402
from freshet.core.worker import search_storage  # noqa: E402
from freshet.core.worker.main import execute  # noqa: E402
from freshet.core.worker.search_storage import identity  # noqa: E402
from freshet.core.worker.tune import tune  # noqa: E402


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_toy_dataset(tmp_path_factory.mktemp("toy") / "toy.nc", steps=60)


def test_a_database_that_is_locked_is_waited_for_and_said_so(dataset, tmp_path, monkeypatch):
    import sqlite3

    import optuna

    monkeypatch.setattr(search_storage, "_PATIENCE_SECONDS", 0.1)
    job = job_of(dataset, RATES, trials=1)
    run = RunFolder.create_at(tmp_path / "run", "tune", job)
    optuna.create_study(study_name="freshet", storage=f"sqlite:///{run.path / 'study.db'}")
    other = sqlite3.connect(run.path / "study.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    story, told = tune(job, run), []
    for event in story:
        told.append(event)
        if "locked by another process" in event.values.get("text", ""):
            assert "study.db" in event.values["text"] and next(story).values["level"] == "tick"
            other.execute("ROLLBACK")
            other.close()
    words = texts(told)
    assert sum("locked by another process" in text for text in words) == 1
    assert any("is free again" in text for text in words) and len(trials(run)) == 1


def test_a_search_of_an_earlier_version_that_lacks_settings_is_joined(dataset, tmp_path):
    shared = tmp_path / "shared.journal"
    job = job_of(dataset, RATES, trials=1, storage=str(shared))
    searched(job, tmp_path, "one")
    text = shared.read_text(encoding="utf-8")
    asked = json.loads(identity(job))
    for name in ("crop", "augment", "optimizer"):
        del asked["train"]["training"][name]
    older = json.dumps(identity(job))[1:-1]
    assert text.count(older) == 1
    shared.write_text(text.replace(older, json.dumps(json.dumps(asked, sort_keys=True))[1:-1]), encoding="utf-8")
    joined = searched(job_of(dataset, RATES, trials=2, storage=str(shared)), tmp_path, "two")
    assert len(trials(joined)) == 2
    other = job_of(dataset, RATES, {"optimizer": "adamw"}, trials=2, storage=str(shared))
    run = RunFolder.create_at(tmp_path / "three", "tune", other)
    assert execute(run) == 2 and "holds another search" in str(run.error())


def test_the_precision_is_tried_once_for_all_trials(dataset, tmp_path, monkeypatch):
    from freshet.core.training import choosing
    from freshet.core.training.probe import Probe

    tried = []

    def timed(self, way, windows, crop=0):
        tried.append(way.precision)
        return (0.1 if way.precision == "bfloat16" else 0.2) * windows, 1.0

    monkeypatch.setattr(choosing, "_WORTH", 0.0)
    monkeypatch.setattr("freshet.core.training.probe.faster_precisions", lambda device: ("bfloat16",))
    monkeypatch.setattr(Probe, "seconds", timed)
    run = searched(job_of(dataset, RATES, {"device": "cpu"}, trials=3), tmp_path)
    assert tried == ["float32", "bfloat16"]
    told = texts(run.events())
    words = "All trials are computed in bfloat16, as the first one chose: 1.6 s a batch against 3.2 s in float32."
    assert told.count(words) == 1
    each = [json.loads(path.read_text()) for path in sorted(run.path.glob("trials/*/choices.json"))]
    found = [[item["value"] for item in values["choices"] if item["name"] == "precision"] for values in each]
    assert found == [["bfloat16"]] * 3 and run.choices_file.exists()


def test_a_search_without_room_for_its_checkpoints_says_so(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("freshet.core.contracts.machine.free_room", lambda folder: 10)
    run = RunFolder.create_at(tmp_path / "run", "tune", job_of(dataset, RATES, trials=2))
    assert execute(run) == 2
    assert "not enough room on the disc for the checkpoints of this trial" in str(run.error())
    monkeypatch.undo()
    assert execute(run) == 0 and [row["state"] for row in trials(run)].count("done") == 2, "nothing is lost by it"
