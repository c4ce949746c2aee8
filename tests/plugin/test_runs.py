"""A run is supervised in the background: told of, cancelled, lost, left alone, and nothing of QGIS is harmed by it."""

from __future__ import annotations

import os
import signal
import time

import pytest

pytest.importorskip("qgis.core", reason="the plugin needs QGIS's own Python")

from qgis.core import QgsApplication, QgsRasterLayer
from qgis.PyQt.QtCore import QThreadPool, QTimer

from freshet.core.contracts import DoctorJob, EngineError, Event, EventKind, RunError, RunFolder, RunState
from freshet.core.contracts.run_folder import process_lives
from freshet.plugin import runs as runs_module
from freshet.plugin import watch as watch_module
from freshet.plugin.run_task import RunTask
from freshet.plugin.runs import Runs
from freshet.plugin.settings import Settings


@pytest.fixture
def runs(qgis_app, fake_engine, tmp_path, monkeypatch):
    monkeypatch.setattr(runs_module, "find_engine", lambda settings: fake_engine)
    made = Runs(settings=lambda: Settings(runs_folder=str(tmp_path / "runs")))
    yield made
    for path in made.watched():
        RunFolder(path).request_cancel()
    made.close()


@pytest.fixture
def story(runs):
    """What the run said and how it ended."""
    found = {"events": [], "ended": []}
    runs.events.connect(lambda path, batch: found["events"].extend(batch))
    runs.ended.connect(lambda path, state: found["ended"].append((path, state)))
    return found


def _pid(run, wait_until):
    wait_until(lambda: run.heartbeat_file.exists() and [e for e in run.events() if e.kind is EventKind.HELLO])
    return next(event.values["pid"] for event in run.events() if event.kind is EventKind.HELLO)


def test_run_that_succeeds_tells_its_events_in_order_and_ends_done(runs, story, wait_until):
    run = runs.submit("doctor", DoctorJob(), "done")
    wait_until(lambda: story["ended"])
    assert story["ended"] == [(str(run.path), RunState.DONE)]
    assert [event.kind.value for event in story["events"]] == ["hello", "progress", "progress", "done"]
    assert runs.watched() == []


def test_worker_runs_without_the_variables_of_qgis(runs, story, wait_until, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/other/plugins")
    runs.submit("doctor", DoctorJob(), "done")
    wait_until(lambda: story["ended"])
    names = story["events"][0].values["environment"]
    assert "PYTHONPATH" not in names and "OMP_WAIT_POLICY" in names


def test_summary_holds_state_title_progress_and_scores(runs, story, wait_until):
    run = runs.submit("doctor", DoctorJob(), "done well")
    wait_until(lambda: story["ended"])
    (summary,) = runs.runs()
    assert (summary.path, summary.verb, summary.title) == (str(run.path), "doctor", "done well")
    assert (summary.state, summary.fraction, summary.text) == (RunState.DONE, 1.0, "ready")
    assert summary.scores == {"model": {"nse": 0.9}, "persistence": {"nse": 0.5}}


def test_fault_of_a_run_arrives_as_its_sentence(runs, story, wait_until):
    run = runs.submit("doctor", DoctorJob(), "fail")
    wait_until(lambda: story["ended"])
    assert story["ended"][0][1] is RunState.FAILED
    assert str(runs.error(run)) == runs.summary(run).text == "The rain has no dates. Give dates."


def test_worker_that_dies_without_a_word_is_told_as_lost(runs, story, wait_until):
    run = runs.submit("doctor", DoctorJob(), "crash")
    wait_until(lambda: story["ended"])
    assert story["ended"][0][1] is RunState.LOST
    assert "out of memory" in str(watch_module.run_error(run, RunState.LOST))


def test_killed_worker_is_told_as_lost_with_a_remedy(runs, story, wait_until):
    run = runs.submit("doctor", DoctorJob(), "slow")
    os.kill(_pid(run, wait_until), signal.SIGKILL)
    wait_until(lambda: story["ended"])
    assert story["ended"][0][1] is RunState.LOST
    assert "Start the run again" in str(watch_module.run_error(run, RunState.LOST))


def test_engine_without_its_libraries_says_so(runs, story, wait_until):
    run = runs.submit("doctor", DoctorJob(), "stillborn")
    wait_until(lambda: story["ended"])
    assert story["ended"][0][1] is RunState.FAILED
    assert "No module named 'torch'" in str(runs.error(run)) and "engine page" in str(runs.error(run))


def test_cancel_ends_the_run_cancelled(runs, story, wait_until, record_property):
    run = runs.submit("doctor", DoctorJob(), "slow")
    _pid(run, wait_until)
    begin = time.monotonic()
    runs.cancel(run)
    wait_until(lambda: story["ended"])
    record_property("seconds from cancel to idle", round(time.monotonic() - begin, 3))
    assert story["ended"] == [(str(run.path), RunState.CANCELLED)]


def test_cancel_in_the_list_of_tasks_of_qgis_cancels_the_run(runs, story, wait_until):
    run = runs.submit("doctor", DoctorJob(), "slow")
    _pid(run, wait_until)
    QgsApplication.taskManager().activeTasks()[-1].cancel()
    wait_until(lambda: story["ended"])
    assert run.cancel_requested() and story["ended"][0][1] is RunState.CANCELLED


def test_closing_leaves_the_worker_alone_and_a_later_start_watches_it_again(runs, story, wait_until, tmp_path):
    run = runs.submit("doctor", DoctorJob(), "slow")
    pid = _pid(run, wait_until)
    runs.close()
    wait_until(lambda: QgsApplication.taskManager().countActiveTasks() == 0)
    assert process_lives(pid) and not run.cancel_requested() and story["ended"] == []
    later = Runs(settings=lambda: Settings(runs_folder=str(tmp_path / "runs")))
    ended = []
    later.ended.connect(lambda path, state: ended.append(state))
    assert [str(item.path) for item in later.attach_running()] == [str(run.path)]
    later.cancel(run)
    wait_until(lambda: ended)
    assert ended == [RunState.CANCELLED]


def test_cancelling_all_tasks_when_qgis_ends_leaves_the_run_alone(runs, wait_until, fake_engine, tmp_path):
    run = RunFolder.create(tmp_path, "doctor", DoctorJob(), "slow")
    task = RunTask(run, fake_engine)
    QgsApplication.taskManager().addTask(task)
    pid = _pid(run, wait_until)
    QgsApplication.taskManager().cancelAll()  # as QGIS does first of all
    task.leave()  # as Runs does when the application is about to quit
    assert task.wait_idle(30)
    wait_until(lambda: QgsApplication.taskManager().countActiveTasks() == 0)
    assert process_lives(pid) and not run.cancel_requested()
    run.request_cancel()
    wait_until(lambda: not process_lives(pid))


def test_cancelling_all_tasks_and_clearing_the_project_is_the_end_of_qgis_and_cancels_nothing(
    runs, story, wait_until, project
):
    run = runs.submit("doctor", DoctorJob(), "slow")
    _pid(run, wait_until)
    QgsApplication.taskManager().cancelAll()
    project.clear()
    over = []
    QTimer.singleShot(600, lambda: over.append(1))
    wait_until(lambda: over)
    assert not run.cancel_requested() and story["ended"] == []
    runs.cancel(run)
    wait_until(lambda: story["ended"])


def test_removing_layers_and_the_project_during_a_run_is_harmless(runs, story, wait_until, project, write_raster):
    layer = QgsRasterLayer(write_raster("a.tif", [[[1.0, 2.0]]]), "a")
    project.addMapLayer(layer)
    run = runs.submit("doctor", DoctorJob(), "slow")
    _pid(run, wait_until)
    project.removeMapLayer(layer.id())
    project.clear()
    assert runs.watched() == [str(run.path)]
    runs.cancel(run)
    wait_until(lambda: story["ended"])
    assert story["ended"][0][1] is RunState.CANCELLED


def test_removed_folder_ends_the_watching_with_a_sentence(runs, story, wait_until, monkeypatch, tmp_path):
    run = RunFolder(tmp_path / "never")
    watch = watch_module.RunWatch(run)
    watch.poll()
    assert watch.state is RunState.LOST and "removed" in str(watch.error)


def test_fault_in_the_watching_is_kept_and_not_thrown(runs, fake_engine, tmp_path, wait_until, monkeypatch):
    run = RunFolder.create(tmp_path, "doctor", DoctorJob(), "done")
    task, over = RunTask(run, None), []
    task.over.connect(lambda path, state: over.append(state))
    monkeypatch.setattr(task._watch, "poll", lambda: 1 / 0)
    QgsApplication.taskManager().addTask(task)
    wait_until(lambda: over)
    assert "fault of Freshet" in str(task.error) and "division by zero" in str(task.error)


def test_slot_of_the_thread_pool_is_free_while_a_run_is_watched(runs, story, wait_until):
    before = QThreadPool.globalInstance().activeThreadCount()
    run = runs.submit("doctor", DoctorJob(), "slow")
    _pid(run, wait_until)
    assert QThreadPool.globalInstance().activeThreadCount() == before
    runs.cancel(run)
    wait_until(lambda: story["ended"])
    wait_until(lambda: QThreadPool.globalInstance().activeThreadCount() == before)


def test_without_an_engine_nothing_is_left_behind(qgis_app, tmp_path, monkeypatch):
    def none(settings):
        raise EngineError("Freshet has no engine yet")

    monkeypatch.setattr(runs_module, "find_engine", none)
    runs = Runs(settings=lambda: Settings(runs_folder=str(tmp_path / "runs")))
    with pytest.raises(EngineError):
        runs.submit("doctor", DoctorJob(), "done")
    assert not (tmp_path / "runs").exists() and runs.runs() == []


def test_runs_are_listed_newest_first_and_other_folders_left_out(runs, tmp_path):
    names = []
    for day in (3, 1, 2):
        run = RunFolder.create(tmp_path / "runs", "doctor", DoctorJob(), f"day {day}")
        text = run.job_file.read_text()
        run.job_file.write_text(text.replace(run.header()["created"], f"2024-01-0{day}T00:00:00"))
        run.append(Event(EventKind.DONE))
        names.append(run.path.name)
    (tmp_path / "runs" / "notes").mkdir()
    assert [item.title for item in runs.runs()] == ["day 3", "day 2", "day 1"]


def test_only_a_run_that_is_over_can_be_removed(runs, story, wait_until):
    from freshet.core.contracts import ConfigError

    run = runs.submit("doctor", DoctorJob(), "slow")
    _pid(run, wait_until)
    with pytest.raises(RunError, match="Cancel it first"):
        runs.remove(run)
    runs.cancel(run)
    wait_until(lambda: story["ended"])
    runs.remove(run)
    assert not run.path.exists()
    with pytest.raises(ConfigError):
        runs.remove(run)


def test_a_cancelled_run_is_taken_up_again_in_its_folder(runs, story, wait_until):
    run = runs.submit("doctor", DoctorJob(), "slow")
    _pid(run, wait_until)
    runs.cancel(run)
    wait_until(lambda: story["ended"])
    story["ended"].clear()
    assert runs.resume(run.path).path == run.path and not run.cancel_requested()
    assert runs.summary(run).state is RunState.WAITING  # not 'cancelled', which was the earlier try
    wait_until(lambda: sum(event.kind is EventKind.HELLO for event in run.events()) == 2)
    wait_until(lambda: runs.summary(run).state is RunState.RUNNING)
    assert story["ended"] == []
    runs.cancel(run)
    wait_until(lambda: story["ended"])
    assert story["ended"] == [(str(run.path), RunState.CANCELLED)]


def test_a_watcher_without_a_worker_does_not_take_the_earlier_end_for_the_end(runs, tmp_path):
    run = RunFolder.create(tmp_path / "other", "doctor", DoctorJob())
    for kind in (EventKind.HELLO, EventKind.CANCELLED, EventKind.HELLO):
        run.append(Event(kind))
    run.beat(os.getpid())
    watch = watch_module.RunWatch(run)
    watch.poll()
    assert watch.state is RunState.RUNNING


def test_a_run_that_works_or_is_done_is_not_taken_up(runs, story, wait_until):
    slow = runs.submit("doctor", DoctorJob(), "slow")
    with pytest.raises(RunError, match="nothing to take up"):
        runs.resume(slow)
    done = runs.submit("doctor", DoctorJob(), "done")
    wait_until(lambda: (str(done.path), RunState.DONE) in story["ended"])
    with pytest.raises(RunError, match="is done"):
        runs.resume(done)


def test_a_resumed_worker_that_never_lives_is_told_as_failed(runs, story, wait_until, monkeypatch, fake_engine):
    run = runs.submit("doctor", DoctorJob(), "stillborn")
    wait_until(lambda: story["ended"])
    story["ended"].clear()
    runs.resume(run)
    wait_until(lambda: story["ended"])
    assert story["ended"][0][1] is RunState.FAILED
    assert sum(event.kind is EventKind.FAILED for event in run.events()) == 2
