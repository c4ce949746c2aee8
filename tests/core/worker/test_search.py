"""The search for better options: its space, its storage, its trials, and what it leaves."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]
from searches import RATES, job_of, searched, texts, trials  # noqa: E402
from toy import write_toy_dataset  # noqa: E402

from freshet.core.contracts import ConfigError, RunError, RunFolder, RunState, TuneJob  # noqa: E402
from freshet.core.worker import search_storage  # noqa: E402
from freshet.core.worker.main import execute  # noqa: E402
from freshet.core.worker.search_results import figure_of, options_of  # noqa: E402
from freshet.core.worker.search_space import Dimension, dimensions, grid_size, option_words  # noqa: E402
from freshet.core.worker.tune import tune  # noqa: E402

LAUNCH = Path(__file__).resolve().parents[3] / "core" / "worker" / "launch.py"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_toy_dataset(tmp_path_factory.mktemp("toy") / "toy.nc", steps=60)


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"training.learning_rate": {"low": 0.0, "high": 1.0, "log": True}}, "only above 0"),
        ({"window": {"low": 5, "high": 9, "steps": 1}}, "at least 2"),
        ({"window": {"low": "5", "high": 9}}, "not usable"),
        ({"training.patience": {"low": 1, "high": 9}}, "A grid cannot be made"),
        ({"model.hiden": [[1]]}, "hiden"),
        ({"training.learning_rate": [5.0]}, "at most 1"),
        ({"training.loss": ["mse", "mae"]}, "compared by their validation loss"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused_in_a_sentence(dataset, space, words):
    with pytest.raises(ConfigError, match=words):
        dimensions(job_of(dataset, space, sampler="grid"))


def test_steps_make_a_grid_of_a_range(dataset):
    space = {
        "training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True, "steps": 3},
        "training.clip_norm": {"low": 1.0, "high": 2.0, "steps": 3},
        "window": {"low": 4, "high": 6, "steps": 9},
    }
    found = dimensions(job_of(dataset, space, sampler="grid"))
    assert found[0].choices == pytest.approx([1e-4, 1e-3, 1e-2]) and found[1].choices == [1.0, 1.5, 2.0]
    assert found[2].choices == [4, 5, 6] and grid_size(found) == 27


def test_a_grid_does_every_combination_once_and_ends(dataset, tmp_path):
    space = {"model.hidden": [[2], [3]], "training.learning_rate": {"low": 0.001, "high": 0.01, "steps": 2}}
    run = searched(job_of(dataset, space, sampler="grid", trials=10), tmp_path)
    rows = trials(run)
    done = {(row["model.hidden"], row["training.learning_rate"]) for row in rows}
    assert done == {("[2]", "0.001"), ("[2]", "0.01"), ("[3]", "0.001"), ("[3]", "0.01")} and len(rows) == 4
    assert {row["state"] for row in rows} == {"done"} and all(row["host"] for row in rows)
    with open(run.results / "options.csv", encoding="utf-8", newline="") as handle:
        table = {row["option"]: row for row in csv.DictReader(handle)}
    assert table["model.hidden"]["order"] == "as listed in the search space" and table["model.hidden"]["trials"] == "4"
    made = {Path(artifact.path).name for artifact in run.artifacts() if artifact.kind == "chart"}
    assert {"options.png", "options.svg"} <= made
    best = min(rows, key=lambda row: float(row["validation_loss"]))
    job = json.loads((run.results / "best_job.json").read_text())
    assert job["training"]["learning_rate"] == float(best["training.learning_rate"])


def test_the_test_period_plays_no_part_in_the_search(dataset, tmp_path):
    import xarray

    other = tmp_path / "other.nc"
    with xarray.open_dataset(dataset, decode_times=False) as source:
        changed = source.load().copy(deep=True)
    steps = changed.sizes["time"]
    changed["store"][int(steps * 0.85) :] += 1000.0
    changed.to_netcdf(other)
    job = job_of(dataset, RATES, trials=2)
    same = job_of(other, RATES, trials=2)
    one, two = (trials(searched(item, tmp_path, name)) for item, name in ((job, "one"), (same, "two")))
    assert [row["validation_loss"] for row in one] == [row["validation_loss"] for row in two]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_search_that_was_cancelled_draws_what_an_unbroken_one_draws(dataset, tmp_path, sampler):
    job = job_of(dataset, RATES, trials=3, sampler=sampler)
    whole = trials(searched(job, tmp_path, "whole"))
    run = RunFolder.create_at(tmp_path / "broken", "tune", job)
    story = tune(job, run)
    for event in story:
        if event.values.get("text", "").startswith("Trial 2 of"):
            break
    story.close()
    assert execute(run) == 0, run.error()
    rows = [row for row in trials(run) if row["state"] == "done"]
    assert [row["validation_loss"] for row in rows] == [row["validation_loss"] for row in whole]
    assert [row["training.learning_rate"] for row in rows] == [row["training.learning_rate"] for row in whole]
    assert len(trials(run)) == 4, "the trial that was broken off, and that trial again"


def test_a_trial_whose_process_was_killed_is_marked_and_done_again(dataset, tmp_path):
    job = job_of(dataset, RATES, {"epochs": 40, "patience": 40}, trials=1, sampler="random")
    whole = trials(searched(job, tmp_path, "whole"))
    run = RunFolder.create_at(tmp_path / "killed", "tune", job)
    process = subprocess.Popen([sys.executable, "-I", str(LAUNCH), str(run.path)], env={**os.environ})
    begin = time.monotonic()
    while not (run.path / "trials" / "0000" / "last.safetensors").exists():
        assert time.monotonic() - begin < 120 and process.poll() is None, run.events()
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    while run.state() is RunState.RUNNING:  # its last sign is fresh for a moment
        time.sleep(0.1)
    assert run.state() is RunState.LOST and execute(run) == 0, run.error()
    first, again = trials(run)
    assert (first["state"], again["state"]) == ("failed", "done")
    assert again["training.learning_rate"] == first["training.learning_rate"]
    assert again["validation_loss"] == whole[0]["validation_loss"] and again["epochs"] == "40"
    assert any("ended in it; it is done again" in text for text in texts(run.events()))


def test_a_trial_that_ends_its_process_again_and_again_is_left(dataset, tmp_path):
    job = job_of(dataset, RATES, trials=2, sampler="random")
    run = RunFolder.create_at(tmp_path / "run", "tune", job)
    for _ in range(3):
        story = tune(job, run)
        next(event for event in story if event.values.get("text", "").startswith("Trial"))
        _abandon(story)
    assert execute(run) == 0, run.error()
    rows = trials(run)
    assert [row["state"] for row in rows].count("done") == 1 and any("ended 3 times" in row["why"] for row in rows)


def _abandon(story):
    """End a search as a dying process does: nothing is told any more."""
    with pytest.raises(MemoryError):
        story.throw(MemoryError)


def test_two_processes_share_a_search(dataset, tmp_path):
    job = job_of(dataset, RATES, {"epochs": 3}, trials=6, storage=str(tmp_path / "shared.journal"))
    runs = [RunFolder.create_at(tmp_path / name, "tune", job) for name in ("one", "two")]
    processes = [subprocess.Popen([sys.executable, "-I", str(LAUNCH), str(run.path)]) for run in runs]
    assert [process.wait(timeout=300) for process in processes] == [0, 0], [run.error() for run in runs]
    tables = [trials(run) for run in runs]
    done = [[row for row in table if row["state"] == "done"] for table in tables]
    assert len(done[0]) == len(done[1]) == 6, "all of them, in both tables"
    assert len({row["training.learning_rate"] for row in done[0]}) == 6, "none was done twice"
    assert all(run.model_file.exists() for run in runs)
    best = [json.loads((run.results / "best_job.json").read_text()) for run in runs]
    assert best[0] == best[1] and (tmp_path / "shared-trials" / "0000").is_dir()


def test_a_process_that_joins_with_another_search_is_refused(dataset, tmp_path):
    shared = str(tmp_path / "shared.journal")
    searched(job_of(dataset, RATES, trials=1, storage=shared), tmp_path, "one")
    joined = searched(job_of(dataset, RATES, trials=2, storage=shared), tmp_path, "two")
    assert len(trials(joined)) == 2, "one was there"
    other = RunFolder.create_at(
        tmp_path / "three", "tune", job_of(dataset, {"window": [5, 6]}, trials=1, storage=shared)
    )
    assert execute(other) == 2 and "holds another search" in str(other.error()) and "space" in str(other.error())


def test_a_locked_storage_is_waited_for_and_said_so(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(search_storage, "_PATIENCE_SECONDS", 0.1)
    job = job_of(dataset, RATES, trials=1)
    run = RunFolder.create_at(tmp_path / "run", "tune", job)
    lock = run.path / "study.journal.lock"
    lock.symlink_to("study.journal")
    story, told = tune(job, run), []
    for event in story:
        told.append(event)
        if lock.is_symlink() and "locked by another process" in event.values.get("text", ""):
            assert next(story).values["level"] == "tick", "so that the wish to cancel is heard"
            lock.unlink()
    words = texts(told)
    assert any("is free again" in text for text in words) and len(trials(run)) == 1
    assert sum("locked by another process" in text for text in words) == 1


def test_the_lock_of_a_process_that_has_gone_is_taken(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(search_storage, "LOST_AFTER_SECONDS", 0.3)
    job = job_of(dataset, RATES, trials=1)
    run = RunFolder.create_at(tmp_path / "run", "tune", job)
    (run.path / "study.journal.lock").symlink_to("study.journal")
    assert any("has gone; the search goes on" in text for text in texts(tune(job, run)))


def test_half_a_line_of_a_process_that_died_is_cut_off(dataset, tmp_path):
    shared = tmp_path / "shared.journal"
    searched(job_of(dataset, RATES, trials=1, storage=str(shared)), tmp_path, "one")
    with open(shared, "ab") as handle:
        handle.write(b'{"op_code":5,"worker_id":"so')
    joined = searched(job_of(dataset, RATES, trials=2, storage=str(shared)), tmp_path, "two")
    assert len(trials(joined)) == 2 and b'worker_id":"so\n' not in shared.read_bytes()
    assert all(json.loads(line) for line in shared.read_text().splitlines())


def test_a_file_that_is_no_search_is_refused_and_left_alone(dataset, tmp_path):
    precious = tmp_path / "notes.txt"
    precious.write_text("gauges 1 to 9")
    job = job_of(dataset, RATES, trials=1, storage=str(precious))
    run = RunFolder.create_at(tmp_path / "run", "tune", job)
    assert execute(run) == 2 and "holds no search" in str(run.error())
    assert precious.read_text() == "gauges 1 to 9"


def test_a_search_in_a_database_of_an_earlier_version_goes_on(dataset, tmp_path):
    import optuna

    job = job_of(dataset, RATES, trials=2)
    run = RunFolder.create_at(tmp_path / "run", "tune", job)
    older = optuna.create_study(study_name="freshet", storage=f"sqlite:///{run.path / 'study.db'}")
    trial = older.ask()
    rate = trial.suggest_float("training.learning_rate", 1e-4, 1e-2, log=True)
    trial.set_user_attr("options", {"training.learning_rate": rate})
    older.tell(trial, 1e9)
    assert execute(run) == 0, run.error()
    assert [float(row["validation_loss"]) < 1e9 for row in trials(run)] == [False, True]
    assert not (run.path / "study.journal").exists()


def test_a_trial_that_falls_behind_is_given_up(dataset, tmp_path):
    space = {"training.learning_rate": [0.03, 0.028, 0.026, 0.024, 1e-8]}
    training = {"epochs": 6, "patience": 6, "schedule": "constant"}
    job = job_of(dataset, space, training, sampler="grid", pruning="median", pruning_epochs=2, seed=9)
    rows = trials(searched(job, tmp_path))
    assert [row["training.learning_rate"] for row in rows].index("1e-08") == 4, "after the others, by this seed"
    assert [row["state"] for row in rows] == ["done"] * 4 + ["given up"]
    assert 2 <= int(rows[4]["epochs"]) < 6 and all(row["epochs"] == "6" for row in rows[:4])


def test_a_trial_that_cannot_be_trained_is_noted_and_the_search_goes_on(dataset, tmp_path):
    rows = trials(searched(job_of(dataset, {"window": [6, 55]}, sampler="grid"), tmp_path))
    by_window = {row["window"]: row for row in rows}
    assert by_window["6"]["state"] == "done" and by_window["55"]["state"] == "failed" and by_window["55"]["why"]


def test_a_search_of_which_nothing_can_be_trained_ends_with_the_reason(dataset, tmp_path):
    job = job_of(dataset, {"window": [54, 55]}, sampler="grid")
    run = RunFolder.create_at(tmp_path / "run", "tune", job)
    assert execute(run) == 2 and "No trial" in str(run.error())
    with pytest.raises(RunError, match="No trial"):
        list(tune(job, run))


class _Trial:
    def __init__(self, loss, **options):
        self.value, self.user_attrs = loss, {"options": options}


def test_the_rank_correlation_is_that_of_the_ranks():
    rng = np.random.default_rng(0)
    rates, losses = 10.0 ** rng.uniform(-4, -1, 12), rng.normal(size=12)
    space = [Dimension("rate", None, 1e-4, 1e-1, True), Dimension("hidden", [[8], [16], [32]]), Dimension("same", [3])]
    made = [_Trial(loss, rate=rate, hidden=[[8], [16], [32]][n % 3], same=3) for n, (rate, loss) in
            enumerate(zip(rates, losses))]  # fmt: skip
    rate, hidden, same = options_of(made, space)
    ranks = [np.argsort(np.argsort(values)) for values in (rates, losses)]
    assert rate.rank == pytest.approx(np.corrcoef(*ranks)[0, 1]) and rate.numbers and 0 <= rate.p_value <= 1
    assert not hidden.numbers and set(hidden.places) == {0.0, 1.0, 2.0} and math.isfinite(hidden.rank)
    assert same.rank is None and len(same.losses) == 12
    figure = figure_of([rate, hidden, same])
    bars, *scatters = figure.axes
    assert len(scatters) == 3 and [label.get_text() for label in bars.get_yticklabels()] == ["same", "hidden", "rate"]
    assert any("n 12" in text.get_text() for text in bars.texts) and scatters[0].get_xscale() == "log"


@pytest.mark.parametrize("span", [(2e-4, 4e-3), (1e-4, 1e-1), (0.011, 0.013)])
def test_labels_of_a_logarithmic_axis_do_not_overlap(span):
    rates = np.geomspace(*span, 8)
    figure = figure_of(options_of([_Trial(rate, rate=rate) for rate in rates], [Dimension("rate", None, *span, True)]))
    figure.canvas.draw()
    axis = figure.axes[1].xaxis
    labels = [label for label in (*axis.get_majorticklabels(), *axis.get_minorticklabels()) if label.get_text()]
    low, high = figure.axes[1].get_xlim()
    shown = [label for label in labels if low <= label.get_position()[0] <= high]
    boxes = sorted((label.get_window_extent().x0, label.get_window_extent().x1) for label in shown)
    assert boxes and all(before[1] < after[0] for before, after in zip(boxes, boxes[1:]))


def test_options_are_told_by_what_the_dialogs_call_them(dataset):
    space = dimensions(job_of(dataset, {**RATES, "model.hidden": [[2], [3]], "window": [5, 6]}))
    words = option_words(space, {"training.learning_rate": 0.00068240784, "model.hidden": [2], "window": 5})
    assert words == "Learning rate 0.000682, Channels per layer [2], Window 5"


def test_two_trials_tell_no_rank():
    found = options_of([_Trial(1.0, a=1), _Trial(2.0, a=2)], [Dimension("a", [1, 2])])
    assert found[0].rank is None and figure_of(found).axes


def test_a_search_of_an_ensemble_is_refused(dataset):
    values = job_of(dataset, RATES).to_dict()
    values["train"]["members"] = 3
    with pytest.raises(ConfigError, match="one model a trial"):
        TuneJob.from_dict(values)
