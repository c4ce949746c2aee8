"""The worker that stays: a real process, lines in, run folders as any other worker leaves them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from toy import tiny_card, write_toy_dataset  # noqa: E402

from freshet.core.contracts import DataError, EventKind, ModelFileError, RunFolder, RunState, job_from_dict
from freshet.core.training.model_file import build_from_card, save_model

LAUNCH = Path(__file__).resolve().parents[3] / "core" / "worker" / "launch.py"
LONG = 120.0  # a guard against hanging, not a measure of time
CELL = {"x": 4001500.0, "y": 2997500.0, "date": "2001-02-10", "steps": 16, "device": "cpu"}


@pytest.fixture
def world(tmp_path):
    write_toy_dataset(tmp_path / "toy.nc")
    write_model(tmp_path / "model.safetensors", seed=0)
    return tmp_path


@pytest.fixture
def worker():
    process = subprocess.Popen(
        [sys.executable, "-I", str(LAUNCH), "--stay"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1,
    )  # fmt: skip
    yield process
    if process.poll() is None:
        process.kill()
    process.wait()
    process.stdout.close()


def write_model(path, seed, hidden=4):
    torch.manual_seed(seed)
    card = tiny_card()
    card = card.replace(options={**card.options, "hidden": [hidden]})
    save_model(path, build_from_card(card), card)


def question(world, name, **changes):
    values = {"model": str(world / "model.safetensors"), "dataset": str(world / "toy.nc"), **CELL, **changes}
    return RunFolder.create_at(world / name, "explain", job_from_dict("explain", values))


def tell(worker, **task):
    worker.stdin.write(json.dumps(task) + "\n")


def ended(run):
    end = time.monotonic() + LONG
    while not run.state().final or not run.events_file.exists():
        assert time.monotonic() < end, run.log_file.read_text() if run.log_file.exists() else "nothing began"
        time.sleep(0.02)
    return run.state()


def until(condition):
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def numbers(run):
    """Everything of the answer that does not depend on when it was made."""
    values = json.loads((run.results / "attribution.json").read_text())
    values.pop("cost")
    return values


def hello(run):
    return next(event.values for event in run.events() if event.kind is EventKind.HELLO)


def test_two_questions_to_one_process_equal_those_of_two_workers(world, worker):
    tell(worker, load={"model": str(world / "model.safetensors"), "dataset": str(world / "toy.nc"), "sequence": ""})
    for number, changes in enumerate(({}, {"date": "2001-03-01", "baseline": "dry"})):
        stayed, alone = (question(world, f"{kind}{number}", **changes) for kind in ("stayed", "alone"))
        tell(worker, run=str(stayed.path))
        assert ended(stayed) is RunState.DONE, stayed.error()
        subprocess.run([sys.executable, "-I", str(LAUNCH), str(alone.path)], check=True)
        assert hello(stayed)["pid"] == worker.pid != hello(alone)["pid"]
        assert numbers(stayed) == numbers(alone)
        maps = sorted(path.name for path in alone.results.glob("*.tif"))
        assert maps and maps == sorted(path.name for path in stayed.results.glob("*.tif"))
        for name in (*maps, "attribution.csv"):
            assert (stayed.results / name).read_bytes() == (alone.results / name).read_bytes(), name
        kinds = [
            [event.kind for event in run.events() if event.kind is not EventKind.PROGRESS] for run in (stayed, alone)
        ]
        assert kinds[0] == kinds[1]
        assert {path.name for path in stayed.path.iterdir()} == {path.name for path in alone.path.iterdir()}


def test_a_question_is_cancelled_by_its_folder_and_the_next_is_answered(world, worker):
    slow = question(world, "slow", steps=1000, method="expected-gradients", samples=1000)
    after = question(world, "after")
    tell(worker, run=str(slow.path))
    tell(worker, run=str(after.path))
    until(lambda: any(event.values.get("fraction", 0) > 0 for event in slow.events()))
    slow.request_cancel()
    assert ended(slow) is RunState.CANCELLED and ended(after) is RunState.DONE


def test_what_was_cancelled_before_it_began_never_computes(world, worker):
    first, late = (
        question(world, "first", steps=1000, method="expected-gradients", samples=1000),
        question(world, "late"),
    )
    early = question(world, "early")
    early.request_cancel()
    tell(worker, run=str(early.path))
    assert ended(early) is RunState.CANCELLED
    tell(worker, run=str(first.path))
    tell(worker, run=str(late.path))
    until(lambda: any(event.values.get("fraction", 0) > 0 for event in first.events()))
    late.request_cancel()
    assert ended(late) is RunState.CANCELLED and first.state() is RunState.RUNNING
    first.request_cancel()
    assert ended(first) is RunState.CANCELLED
    assert not early.results.exists() and not late.results.exists()


def test_a_fault_ends_its_run_alone(world, worker):
    far, missing, after = (
        question(world, "far", x=0.0),
        question(world, "missing", model="none"),
        question(world, "after"),
    )
    removed = question(world, "removed")
    shutil.rmtree(removed.path)
    worker.stdin.write("no json\n[1]\n{}\n")
    tell(worker, load={"model": "none", "dataset": "none"})
    for run in (far, missing, removed, after):
        tell(worker, run=str(run.path))
    assert ended(after) is RunState.DONE
    assert isinstance(far.error(), DataError) and isinstance(missing.error(), ModelFileError)
    worker.stdin.close()
    assert worker.wait(LONG) == 0
    words = worker.stdout.read()
    assert words.count("Expected an object") == 3 and "Not loaded" in words and "does not exist" in words


def test_a_file_that_changed_is_read_again(world, worker):
    first, second, third = (question(world, name) for name in ("first", "second", "third"))
    tell(worker, run=str(first.path))
    assert ended(first) is RunState.DONE
    write_model(world / "model.safetensors", seed=1)
    tell(worker, run=str(second.path))
    assert ended(second) is RunState.DONE
    write_toy_dataset(world / "toy.nc", seed=5)
    tell(worker, run=str(third.path))
    assert ended(third) is RunState.DONE
    found = [numbers(run) for run in (first, second, third)]
    assert found[0]["prediction"] != found[1]["prediction"] != found[2]["prediction"]
    alone = question(world, "alone")
    subprocess.run([sys.executable, "-I", str(LAUNCH), str(alone.path)], check=True)
    assert numbers(alone) == found[2]


def test_other_questions_take_what_is_loaded(world, worker):
    values = {"model": str(world / "model.safetensors"), "dataset": str(world / "toy.nc"), "device": "cpu"}
    jobs = {
        "what-if": {"storms": [{"date": "2001-02-02", "cells": [[4001500.0, 2997500.0, 30.0]]}]},
        "shares": {"dates": 2, "steps": 4, "x": CELL["x"], "y": CELL["y"]},
        "drivers": {"date": "2001-02-10", "steps": 2},
        "importance": {"repeats": 2, "dates": 8},
        "probe": {"variable": "warmth", "dates": 30},
    }
    for verb, more in jobs.items():
        run = RunFolder.create_at(world / verb, verb, job_from_dict(verb, {**values, **more}))
        tell(worker, run=str(run.path))
        assert ended(run) is RunState.DONE, run.error()
        assert hello(run)["pid"] == worker.pid


def test_the_end_of_the_input_cancels_what_works_and_ends_the_process(world, worker):
    run, waits = (
        question(world, "works", steps=1000, method="expected-gradients", samples=1000),
        question(world, "waits"),
    )
    tell(worker, run=str(run.path))
    tell(worker, run=str(waits.path))
    until(lambda: any(event.values.get("fraction", 0) > 0 for event in run.events()))
    worker.stdin.close()
    assert worker.wait(LONG) == 0
    assert run.state() is RunState.CANCELLED and waits.state() is RunState.CANCELLED


def test_it_ends_with_the_program_that_was_killed(world):
    """The other end of its input lies in a program that gets no chance to close it."""
    script = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, '-I', {str(LAUNCH)!r}, '--stay'], stdin=subprocess.PIPE)\n"
        "print(p.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    owner.stdout.close()
    until(lambda: not lives(pid))


def lives(pid):
    from freshet.core.contracts.run_folder import process_lives

    return process_lives(pid)


def test_it_ends_after_a_while_without_a_question():
    from freshet.core.worker.stay import _Waiting

    waiting = _Waiting()
    assert waiting.take(0.01) is None
    waiting.add({"run": "a"})
    assert waiting.take(0.01) == {"run": "a"}
