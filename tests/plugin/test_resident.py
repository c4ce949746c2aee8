"""The worker that stays loaded: one process for many questions, another where it has ended, gone with its owner."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

pytest.importorskip("qgis.core", reason="the plugin needs QGIS's own Python")

from freshet.core.contracts import DoctorJob, EngineError, EventKind, RunFolder, RunState
from freshet.core.contracts.run_folder import process_lives
from freshet.plugin import runs as runs_module
from freshet.plugin import watch as watch_module
from freshet.plugin.engine import Engine
from freshet.plugin.runs import Runs
from freshet.plugin.settings import Settings

STAYING = Path(__file__).resolve().parent / "staying_worker.py"


class StayingEngine(Engine):
    def staying_command(self):
        return [self.python, "-I", str(STAYING)]


@pytest.fixture
def engine(qgis_app):
    return StayingEngine(sys.executable, "for a test")


@pytest.fixture
def runs(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(runs_module, "find_engine", lambda settings: engine)
    made = Runs(settings=lambda: Settings(runs_folder=str(tmp_path / "runs")))
    yield made
    for path in made.watched():
        RunFolder(path).request_cancel()
    made.close()


@pytest.fixture
def ended(runs):
    found = {}
    runs.ended.connect(lambda path, state: found.update({path: state}))
    return found


def ask(runs, title):
    return runs.submit("doctor", DoctorJob(), title, stay=True)


def pid_of(run):
    return next(event.values["pid"] for event in run.events() if event.kind is EventKind.HELLO)


def test_questions_share_one_process_and_its_command_is_that_of_the_engine(runs, ended, wait_until):
    assert Engine("python").staying_command()[-1] == "--stay"
    first, second = ask(runs, "done one"), ask(runs, "done two")
    wait_until(lambda: len(ended) == 2)
    assert set(ended.values()) == {RunState.DONE}
    assert pid_of(first) == pid_of(second) != os.getpid()


def test_what_was_warmed_is_there_at_the_first_question(runs, ended, wait_until):
    assert runs.warm("m.safetensors", "d.nc", "b") is True
    run = ask(runs, "done")
    wait_until(lambda: ended)
    assert run.events()[0].values["loaded"] == [{"model": "m.safetensors", "dataset": "d.nc", "sequence": "b"}]


def test_without_an_engine_nothing_is_warmed_and_a_question_says_so(runs, monkeypatch):
    def none(settings):
        raise EngineError("Freshet has no engine yet")

    monkeypatch.setattr(runs_module, "find_engine", none)
    assert runs.warm("m", "d") is False
    with pytest.raises(EngineError):
        ask(runs, "done")


def test_a_process_that_dies_in_a_run_is_told_and_the_next_question_starts_another(
    runs, ended, wait_until, monkeypatch
):
    monkeypatch.setattr(watch_module, "SILENT_SECONDS", 1e9)  # it is known by the process, not by its silence
    lost = ask(runs, "die")
    wait_until(lambda: ended)
    assert ended == {str(lost.path): RunState.FAILED}
    assert "in the middle of this question" in str(runs.error(lost)) and "Ask again" in runs.summary(lost).text
    after = ask(runs, "done")
    wait_until(lambda: len(ended) == 2)
    assert ended[str(after.path)] is RunState.DONE and pid_of(after) != pid_of(lost)


def test_last_words_before_a_run_began_are_told(runs, ended, wait_until):
    run = ask(runs, "words")
    wait_until(lambda: ended)
    assert ended[str(run.path)] is RunState.FAILED and "the memory is broken" in str(runs.error(run))


def test_a_run_that_waits_when_the_process_dies_is_told_too(runs, ended, wait_until):
    slow = ask(runs, "slow")
    wait_until(lambda: slow.events_file.exists())
    waits = ask(runs, "done")
    wait_until(lambda: runs._tasks[str(waits.path)].state is RunState.WAITING)
    os.kill(pid_of(slow), signal.SIGKILL)
    wait_until(lambda: len(ended) == 2)
    assert set(ended.values()) == {RunState.FAILED}
    assert "ended before it began" in str(runs.error(waits))


def test_one_that_had_gone_to_sleep_is_asked_again_once(runs, ended, wait_until):
    run = ask(runs, "asleep")
    wait_until(lambda: ended)
    assert ended[str(run.path)] is RunState.FAILED and runs._resident.pid is None


def test_a_run_that_waits_long_for_its_turn_is_not_called_lost(runs, ended, wait_until, monkeypatch):
    slow = ask(runs, "slow")
    wait_until(lambda: slow.events_file.exists())
    waits = ask(runs, "done")
    wait_until(lambda: runs._tasks[str(waits.path)].state is RunState.WAITING)
    monkeypatch.setattr(watch_module, "SILENT_SECONDS", -1.0)
    assert watch_module.run_state(waits) is RunState.LOST
    assert runs.summary(waits).state is RunState.WAITING
    runs.cancel(slow)
    wait_until(lambda: len(ended) == 2)
    assert ended == {str(slow.path): RunState.CANCELLED, str(waits.path): RunState.DONE}


def test_it_ends_when_it_is_released_and_with_the_runs(runs, ended, wait_until):
    run = ask(runs, "done")
    wait_until(lambda: ended)
    runs.release_resident()
    wait_until(lambda: not process_lives(pid_of(run)))
    other = ask(runs, "done")
    wait_until(lambda: len(ended) == 2)
    runs.close()
    wait_until(lambda: not process_lives(pid_of(other)))
    runs.release_resident()


def test_another_engine_gets_another_process(runs, ended, wait_until, monkeypatch):
    first = ask(runs, "done")
    wait_until(lambda: ended)
    monkeypatch.setattr(runs_module, "find_engine", lambda settings: StayingEngine(sys.executable, "another"))
    second = ask(runs, "done")
    wait_until(lambda: len(ended) == 2)
    assert pid_of(second) != pid_of(first)
    wait_until(lambda: not process_lives(pid_of(first)))
