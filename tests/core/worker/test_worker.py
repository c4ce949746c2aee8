"""The worker: one job, one folder; its story, its exit status, its manners."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from toy import write_toy_dataset  # noqa: E402

from freshet.core.contracts import DoctorJob, Event, EventKind, RunFolder, RunState, TrainJob  # noqa: E402
from freshet.core.worker import verbs  # noqa: E402
from freshet.core.worker.main import execute  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
LAUNCH = ROOT / "core" / "worker" / "launch.py"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_toy_dataset(tmp_path_factory.mktemp("toy") / "toy.nc")


def training(dataset, **changes):
    values = {
        "datasets": [str(dataset)], "target": "store", "inputs": ["rain"], "static": ["height"], "window": 8,
        "model": {"options": {"hidden": [4], "kernel": [3]}}, "training": {"epochs": 2, "threads": 1}, **changes,
    }  # fmt: skip
    return TrainJob.from_dict(values)


def started(run, **environment):
    return subprocess.Popen(
        [sys.executable, "-I", str(LAUNCH), str(run.path)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wait_for(run, kind, process, limit_s=120):
    begin = time.monotonic()
    while not any(event.kind is kind for event in run.events()):
        assert time.monotonic() - begin < limit_s and process.poll() is None, run.events()
        time.sleep(0.02)


def test_a_training_runs_from_folder_to_model_scores_and_maps(dataset, tmp_path):
    run = RunFolder.create(tmp_path, "train", training(dataset))
    assert execute(run) == 0, run.error()
    kinds = [event.kind for event in run.events()]
    assert kinds[0] is EventKind.HELLO and kinds[-1] is EventKind.DONE and kinds.count(EventKind.METRIC) == 2
    made = {artifact.kind for artifact in run.artifacts()}
    assert {"model", "predicted", "observed", "delta", "score-map", "report"} <= made
    assert all(run.resolve(artifact).exists() for artifact in run.artifacts())
    scores = json.loads(run.scores_file.read_text())
    assert {"model", "persistence", "climatology"} <= set(scores)
    fractions = [event.values["fraction"] for event in run.events() if event.kind is EventKind.PROGRESS]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0


def test_the_launcher_needs_no_search_path_and_no_folder_name(dataset, tmp_path):
    run = RunFolder.create(tmp_path, "doctor", DoctorJob(device="cpu"))
    process = started(run, PYTHONPATH="/nowhere")
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert out == b"", "standard output is guarded"
    assert run.state() is RunState.DONE


def test_bad_input_gives_one_sentence_and_status_2(tmp_path):
    run = RunFolder.create(tmp_path, "train", training(tmp_path / "none.nc"))
    assert execute(run) == 2
    assert run.state() is RunState.FAILED and "none.nc" in str(run.error())
    assert not run.results.exists() or not list(run.results.iterdir())


def test_a_fault_of_ours_is_told_with_the_log_and_status_1(tmp_path, monkeypatch):
    def broken(job, run):
        yield Event(EventKind.PROGRESS, {"fraction": 0.5, "text": ""})
        raise ZeroDivisionError("a slip")

    monkeypatch.setitem(verbs.VERBS, "doctor", broken)
    run = RunFolder.create(tmp_path, "doctor", DoctorJob())
    assert execute(run) == 1
    assert "ZeroDivisionError: a slip" in str(run.error()) and "Traceback" in run.log_file.read_text()


@pytest.mark.parametrize(
    ("error", "words"), [(MemoryError(), "memory"), (OSError(28, "No space left"), "disc is full")]
)
def test_memory_and_disc_are_spoken_of_in_words(tmp_path, monkeypatch, error, words):
    def broken(job, run):
        yield Event(EventKind.PROGRESS, {"fraction": 0.5, "text": ""})
        raise error

    monkeypatch.setitem(verbs.VERBS, "doctor", broken)
    run = RunFolder.create(tmp_path, "doctor", DoctorJob())
    assert execute(run) == 2 and words in str(run.error())


def test_what_libraries_print_goes_to_the_log(tmp_path, monkeypatch, capfd):
    def chatty(job, run):
        os.write(1, b"from a compiled library\n")
        yield Event(EventKind.PROGRESS, {"fraction": 0.5, "text": ""})

    monkeypatch.setitem(verbs.VERBS, "doctor", chatty)
    run = RunFolder.create(tmp_path, "doctor", DoctorJob())
    assert execute(run) == 0
    assert "compiled library" in run.log_file.read_text() and "compiled" not in capfd.readouterr().out


def test_a_request_to_cancel_stops_between_two_batches_and_can_be_resumed(dataset, tmp_path):
    run = RunFolder.create(
        tmp_path, "train", training(dataset, training={"epochs": 100000, "patience": 100000, "threads": 1})
    )
    process = started(run)
    wait_for(run, EventKind.METRIC, process)
    run.request_cancel()
    begin = time.monotonic()
    assert process.wait(timeout=60) == 3
    print(f"cancel to idle: {time.monotonic() - begin:.2f} s")
    assert run.state() is RunState.CANCELLED and not list(run.path.rglob("*.part*"))
    assert run.cancel_file.exists()
    again = started(run)
    wait_for(run, EventKind.MESSAGE, again)
    begin = time.monotonic()
    while not any("Continued after epoch" in e.values.get("text", "") for e in run.events()):
        assert time.monotonic() - begin < 60
        time.sleep(0.05)
    run.request_cancel()
    assert again.wait(timeout=60) == 3


def test_a_killed_worker_leaves_whole_files_and_is_seen_as_lost(dataset, tmp_path):
    from toy import tiny_card

    from freshet.core.training.checkpoint import load_checkpoint
    from freshet.core.training.model_file import build_from_card

    run = RunFolder.create(
        tmp_path, "train", training(dataset, training={"epochs": 100000, "patience": 100000, "threads": 1})
    )
    process = started(run)
    wait_for(run, EventKind.METRIC, process)
    process.kill()
    process.wait()
    begin = time.monotonic()
    while run.state() is RunState.RUNNING and time.monotonic() - begin < 60:
        time.sleep(0.1)
    assert run.state() is RunState.LOST
    card = tiny_card(season=False)
    state = load_checkpoint(run.checkpoints / "last.safetensors", build_from_card(card))
    assert state["epoch"] >= 1


def test_a_run_that_is_done_is_not_run_again(tmp_path, capfd):
    run = RunFolder.create(tmp_path, "doctor", DoctorJob(device="cpu"))
    assert execute(run) == 0
    assert execute(run) == 2 and "done already" in capfd.readouterr().err


def test_the_worker_outlives_the_process_that_started_it(dataset, tmp_path):
    run = RunFolder.create(tmp_path, "train", training(dataset))
    code = (
        "import subprocess, sys\n"
        f"subprocess.Popen([sys.executable, '-I', {str(LAUNCH)!r}, {str(run.path)!r}], start_new_session=True,"
        " stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    begin = time.monotonic()
    while not run.state().final and time.monotonic() - begin < 120:
        time.sleep(0.1)
    assert run.state() is RunState.DONE, run.error()


def test_a_request_to_cancel_made_before_a_resumed_worker_starts_is_heeded(dataset, tmp_path):
    run = RunFolder.create(tmp_path, "train", training(dataset, training={"epochs": 100000, "patience": 100000}))
    run.append(Event(EventKind.HELLO, {}))
    run.append(Event(EventKind.CANCELLED, {}))
    past = run.events_file.stat().st_mtime - 10
    os.utime(run.events_file, (past, past))
    run.request_cancel()
    assert execute(run) == 3


def test_one_model_of_two_basins_is_judged_on_each_and_in_the_mean(dataset, tmp_path):
    other = write_toy_dataset(tmp_path / "other.nc", rows=5, columns=7, seed=3)
    run = RunFolder.create(tmp_path, "train", training(dataset, datasets=[str(dataset), str(other)]))
    assert execute(run) == 0, run.error()
    mean = json.loads(run.scores_file.read_text())
    each = [json.loads((run.results / f"basin_{n}" / "scores.json").read_text()) for n in (1, 2)]
    assert mean["model"]["pooled"]["nse"] == pytest.approx(sum(s["model"]["pooled"]["nse"] for s in each) / 2)
    assert {s["dataset"] for s in each} == {"toy", "other"}
    assert all(run.resolve(artifact).exists() for artifact in run.artifacts())
    assert sum(artifact.kind == "predicted" for artifact in run.artifacts()) == 2


def test_finetuning_keeps_the_scalers_and_starts_from_the_weights(dataset, tmp_path):
    from freshet.core.contracts import FinetuneJob
    from freshet.core.contracts.model_card import read_card

    first = RunFolder.create(tmp_path, "train", training(dataset))
    assert execute(first) == 0, first.error()
    other = write_toy_dataset(tmp_path / "other.nc", seed=9)
    job = FinetuneJob.from_dict(
        {
            "model": str(first.model_file),
            "datasets": [str(other)],
            "training": {"epochs": 1, "learning_rate": 1e-8, "threads": 1},
        }
    )
    second = RunFolder.create(tmp_path, "finetune", job)
    assert execute(second) == 0, second.error()
    before, after = read_card(first.model_file), read_card(second.model_file)
    assert after.inputs == before.inputs and after.target == before.target and len(after.datasets) == 2
    from freshet.core.training.model_file import load_model

    for one, two in zip(load_model(first.model_file)[0].parameters(), load_model(second.model_file)[0].parameters()):
        assert one.detach().numpy() == pytest.approx(two.detach().numpy(), abs=1e-5)


def test_a_search_judges_by_validation_and_leaves_its_best_model(dataset, tmp_path):
    from freshet.core.contracts import TuneJob

    job = TuneJob.from_dict(
        {
            "train": training(dataset, training={"epochs": 1, "threads": 1}).to_dict(),
            "trials": 3,
            "space": {"model.hidden": [[2], [4]], "training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
        }
    )
    run = RunFolder.create(tmp_path, "tune", job)
    assert execute(run) == 0, run.error()
    rows = (run.results / "trials.csv").read_text().splitlines()
    assert len(rows) == 4
    losses = [float(row.split(",")[1]) for row in rows[1:]]
    best = json.loads((run.results / "best_job.json").read_text())
    chosen = rows[1 + losses.index(min(losses))]
    assert str(best["training"]["learning_rate"]) in chosen and run.model_file.exists()


@pytest.mark.parametrize("space", [{"training.speed": [1, 2]}, {"window": []}, {"window": {"low": 5, "high": 2}}])
def test_a_search_space_that_names_nothing_is_refused_before_the_first_trial(dataset, tmp_path, space):
    from freshet.core.contracts import TuneJob

    job = TuneJob.from_dict({"train": training(dataset).to_dict(), "trials": 1, "space": space})
    run = RunFolder.create(tmp_path, "tune", job)
    assert execute(run) == 2 and not (run.path / "trials").exists()
