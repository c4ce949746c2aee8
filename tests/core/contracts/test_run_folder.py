"""Run folder, events, files that are whole or absent, model card headers."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time

import pytest

from freshet.core.contracts import (
    Artifact,
    ConfigError,
    DataError,
    DoctorJob,
    Event,
    EventKind,
    ModelFileError,
    RunError,
    RunFolder,
    RunState,
)
from freshet.core.contracts.errors import FreshetError, error_from_dict
from freshet.core.contracts.events import EventTail
from freshet.core.contracts.files import whole_file, write_text
from freshet.core.contracts.model_card import read_card, read_header


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path, "doctor", DoctorJob(), "A first look: 100 %")


def test_a_run_folder_is_named_by_verb_and_title_and_gives_its_job_back(run):
    assert "doctor-a-first-look-100" in run.path.name
    assert run.job() == DoctorJob() and run.header()["title"] == "A first look: 100 %"


def test_two_runs_of_the_same_second_get_two_folders(tmp_path):
    first, second = (RunFolder.create(tmp_path, "doctor", DoctorJob(), "x") for _ in range(2))
    assert first.path != second.path


def test_a_folder_that_holds_a_run_is_not_written_over(run):
    with pytest.raises(RunError, match="already holds a run"):
        RunFolder.create_at(run.path, "doctor", DoctorJob())


@pytest.mark.parametrize("text", [None, "{", "[]", '{"verb": "doctor"}'])
def test_a_folder_without_a_job_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "job.json").write_text(text)
    with pytest.raises(ConfigError):
        RunFolder(tmp_path).header()


def test_the_state_follows_the_story(run):
    assert run.state() is RunState.WAITING
    run.beat(os.getpid())
    run.append(Event(EventKind.HELLO, {}))
    assert run.state() is RunState.RUNNING
    run.append(Event(EventKind.CANCELLED, {}))
    assert run.state() is RunState.CANCELLED
    run.append(Event(EventKind.HELLO, {}))
    assert run.state() is RunState.RUNNING, "a run that was taken up again runs"
    run.append(Event(EventKind.DONE, {}))
    assert run.state() is RunState.DONE and run.state().final


def test_a_worker_that_died_is_told_from_a_busy_one(run):
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    beat = {"pid": child.pid, "host": os.uname().nodename, "time": time.time() - 10}
    run.heartbeat_file.write_text(json.dumps(beat))
    assert run.state() is RunState.LOST
    run.heartbeat_file.write_text(json.dumps({**beat, "pid": os.getpid()}))
    assert run.state() is RunState.RUNNING, "silent for ten seconds, but its process lives"
    run.heartbeat_file.write_text(json.dumps({**beat, "host": "elsewhere", "time": time.time() - 60}))
    assert run.state() is RunState.LOST


def test_half_written_and_foreign_lines_are_not_read_as_events(run):
    tail = EventTail(run.events_file)
    assert tail.read() == []
    run.append(Event(EventKind.PROGRESS, {"fraction": 0.5, "text": "käse"}))
    with open(run.events_file, "ab") as handle:
        handle.write(b'not json\n{"event": "metr')
    assert [event.values["fraction"] for event in tail.read()] == [0.5]
    with open(run.events_file, "ab") as handle:
        handle.write(b'ic", "time": "", "epoch": 1}\n')
    assert [event.kind for event in tail.read()] == [EventKind.METRIC]


def test_artifacts_and_errors_come_back_from_the_story(run):
    artifact = Artifact(kind="delta", path="results/delta.tif", minimum=-1.0, maximum=1.0, dates=("1993-07-04",))
    run.append(Event(EventKind.ARTIFACT, artifact.to_dict()))
    error = DataError("The folder is empty", expected="rasters", got="nothing", remedy="Choose another")
    run.append(Event(EventKind.FAILED, error.to_dict()))
    assert run.artifacts() == [artifact] and run.resolve(artifact) == run.path / "results" / "delta.tif"
    assert isinstance(run.error(), DataError) and str(run.error()) == str(error)
    assert str(error) == "The folder is empty. Expected: rasters. Found: nothing. Choose another."
    assert type(error_from_dict({"kind": "Alien"})) is FreshetError


def test_cancel_is_a_file(run):
    assert not run.cancel_requested()
    run.request_cancel()
    assert run.cancel_requested()


def test_a_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "deep" / "a b%#ü.txt"
    write_text(path, "old")
    with pytest.raises(KeyError), whole_file(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "old" and os.listdir(path.parent) == [path.name]


def header_file(path, header, extra=b""):
    raw = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + extra)
    return path


def test_files_that_are_no_models_are_refused_in_words(tmp_path):
    (tmp_path / "b").write_bytes(b"PK\x03\x04 what ever this is")
    entry = {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    cases = {
        "does not exist.*nothing there": tmp_path / "none.safetensors",
        "does not exist.*a folder": tmp_path,
        "first bytes": tmp_path / "b",
        "no Freshet model card": header_file(tmp_path / "c", {**entry, "__metadata__": {}}, b"0000"),
        "truncated": header_file(tmp_path / "d", entry, b"00"),
        "card of": header_file(tmp_path / "e", {**entry, "__metadata__": {"freshet_card": "{}"}}, b"0000"),
    }
    for words, path in cases.items():
        with pytest.raises(ModelFileError, match=words):
            read_card(path)


def test_a_header_that_announces_too_much_is_not_read(tmp_path):
    path = tmp_path / "huge"
    path.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    with pytest.raises(ModelFileError, match="first bytes"):
        read_header(path)
