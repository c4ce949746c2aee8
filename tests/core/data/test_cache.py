"""The raw copy beside a dataset: what it holds, when it is made and used, and that it goes with its dataset."""

from __future__ import annotations

import contextlib
import errno
import json
import multiprocessing
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from toy import write_toy_dataset  # noqa: E402

from freshet.core.contracts import CacheJob, DataError, EventKind, RunError, RunFolder, TrainJob  # noqa: E402
from freshet.core.data import cache as cache_module  # noqa: E402
from freshet.core.data import caching  # noqa: E402
from freshet.core.data.cache import ALWAYS, NEVER, SOMETIMES, MakingLock, cache_folder, delete_cache  # noqa: E402
from freshet.core.data.caching import ready_caches  # noqa: E402
from freshet.core.data.store import Dataset, SequencesWriter, VariableInfo, open_datasets  # noqa: E402
from freshet.core.worker.cache import cache  # noqa: E402
from freshet.core.worker.main import execute  # noqa: E402

NAMES = ("rain", "warmth", "store")


@pytest.fixture
def path(tmp_path):
    return write_toy_dataset(tmp_path / "toy.nc")


def made(path, names=NAMES, mode="on"):
    with Dataset.open(path) as dataset:
        return list(ready_caches([dataset], names, mode))


def texts(events):
    return " ".join(event.values["text"] for event in events if event.kind is EventKind.MESSAGE)


def values_of(path, use_cache=True):
    with Dataset.open(path) as dataset:
        dataset.use_cache = use_cache
        return {name: dataset.dynamic(name) for name in NAMES}


def same(one, two):
    return all(np.array_equal(one[name], two[name], equal_nan=True) for name in NAMES)


def test_a_copy_holds_the_values_of_the_file_and_is_read_in_its_place(path):
    before = values_of(path)
    events = made(path)
    assert [event.kind for event in events if event.kind is EventKind.PROGRESS] and "asked for" in texts(events)
    shares = [event.values["fraction"] for event in events if event.kind is EventKind.PROGRESS]
    assert shares == sorted(shares) and 0 <= shares[0] and shares[-1] <= 1
    assert same(before, values_of(path)) and same(before, values_of(path, use_cache=False))
    with Dataset.open(path) as dataset:
        raw = np.fromfile(dataset.cache.file("store"), "<f4").reshape(dataset.cache.shape)
        assert np.array_equal(raw, before["store"], equal_nan=True)
        coverage = dataset.cache.coverage("store")
        finite = np.isfinite(raw)
        assert np.array_equal(coverage > NEVER, finite.any(axis=0))
        assert np.array_equal(coverage == ALWAYS, finite.all(axis=0)) and (coverage == SOMETIMES).any()
        with open(dataset.cache.file("rain"), "r+b") as handle:  # proof that the copy is what is read
            handle.write(np.array([77.0], dtype="<f4").tobytes())
        assert dataset.dynamic("rain", 0, 1)[0, 0, 0] == 77.0
        dataset.use_cache = False
        assert dataset.dynamic("rain", 0, 1)[0, 0, 0] == before["rain"][0, 0, 0]


def test_what_was_made_is_used_and_not_made_again(path):
    made(path, ("rain",))
    folder = next(item for item in cache_folder(path).iterdir() if item.is_dir())
    first = (folder / "rain.f32").stat().st_mtime_ns
    assert not (folder / "store.f32").exists()
    assert "used" in texts(made(path, ("rain",), "auto"))
    made(path, NAMES)
    assert (folder / "rain.f32").stat().st_mtime_ns == first and (folder / "store.f32").exists()


def test_a_dataset_of_the_same_name_with_other_values_never_meets_the_old_copy(path, tmp_path):
    made(path)
    old = [item for item in cache_folder(path).iterdir() if item.is_dir()]
    write_toy_dataset(path, seed=5)
    fresh = values_of(path)
    assert same(fresh, values_of(path, use_cache=False))
    made(path)
    now = [item for item in cache_folder(path).iterdir() if item.is_dir()]
    assert len(now) == 1 and now != old and same(fresh, values_of(path))


@pytest.mark.parametrize("harm", ["cut", "longer", "about", "version"])
def test_a_torn_copy_is_made_again_and_never_read(path, harm):
    before = values_of(path)
    made(path)
    folder = next(item for item in cache_folder(path).iterdir() if item.is_dir())
    if harm in ("cut", "longer"):
        os.truncate(folder / "rain.f32", 1000 if harm == "cut" else 1_000_000)
    elif harm == "about":
        (folder / "cache.json").write_text("{")
    else:
        about = json.loads((folder / "cache.json").read_text())
        (folder / "cache.json").write_text(json.dumps({**about, "version": 0}))
    assert same(before, values_of(path))
    assert "asked for" in texts(made(path)) and same(before, values_of(path))
    with Dataset.open(path) as dataset:
        assert dataset.cache.maps("rain") is not None


def test_a_copy_that_is_broken_off_leaves_nothing_that_counts(path):
    with Dataset.open(path) as dataset:
        events = ready_caches([dataset], NAMES, "on")
        for event in events:
            if event.kind is EventKind.PROGRESS:
                break
        events.close()
        assert dataset.cache.maps("rain") is None
    assert not [item for item in cache_folder(path).rglob("*") if item.suffix == ".f32" or ".part" in item.name]
    made(path)
    assert same(values_of(path), values_of(path, use_cache=False))


def test_a_copy_that_goes_while_it_is_mapped_harms_nobody(path):
    made(path)
    before = values_of(path)
    with Dataset.open(path) as dataset:
        dataset.dynamic("rain")
        assert delete_cache(path) > 0 and not cache_folder(path).exists()
        assert np.array_equal(dataset.dynamic("rain"), before["rain"], equal_nan=True)
        assert np.array_equal(dataset.dynamic("store"), before["store"], equal_nan=True)
    assert delete_cache(path) == 0


def test_deleting_leaves_what_is_not_ours(path):
    made(path)
    (cache_folder(path) / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="cannot be deleted"):
        delete_cache(path)
    assert [item.name for item in cache_folder(path).iterdir()] == ["notes.txt"]


def test_without_room_it_is_said_before_anything_is_written(path, monkeypatch):
    monkeypatch.setattr("freshet.core.contracts.machine.free_room", lambda folder: 1000)
    with pytest.raises(RunError, match="not enough room on the disc for the cache") as caught:
        made(path)
    assert "29 kB" in caught.value.expected and "1 kB free" in caught.value.got and "--delete" in caught.value.remedy
    assert not list(cache_folder(path).rglob("*.f32"))
    monkeypatch.setattr(caching, "SLOW_SECONDS", -1.0)
    said = texts(made(path, mode="auto"))
    assert "No cache is made" in said and "goes on without it" in said


def test_a_disc_that_becomes_full_leaves_no_half_file(path, monkeypatch):
    def full(self, values):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache_module.Raw, "write", full)
    with pytest.raises(DataError, match="became full"):
        made(path)
    assert not [item for item in cache_folder(path).rglob("*") if item.suffix == ".f32" or ".part" in item.name]
    assert same(values_of(path), values_of(path, use_cache=False))


def test_where_the_folder_takes_no_files_the_work_goes_on_and_it_is_said(path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    said = texts(made(path))
    assert "cannot be written" in said and "goes on without it" in said and not cache_folder(path).exists()
    monkeypatch.undo()

    def refused(self):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(MakingLock, "take", refused)
    assert "goes on without it" in texts(made(path))


def test_another_process_that_makes_it_is_waited_for(path):
    before = values_of(path)
    lock = MakingLock(cache_folder(path))
    assert lock.take()
    with Dataset.open(path) as dataset:
        events = ready_caches([dataset], NAMES, "on")
        said = [next(events) for _ in range(4)]
        assert "waits for it" in texts(said) and said[-1].values["level"] == "tick"
        lock.release()
        rest = list(events)
        assert dataset.cache.maps("rain") is not None and any(event.kind is EventKind.PROGRESS for event in rest)
    assert same(before, values_of(path))


def _make_in_a_process(path, results):
    results.put(len(made(path)))


def test_two_processes_at_once_leave_one_whole_copy(path):
    before = values_of(path)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    both = [context.Process(target=_make_in_a_process, args=(path, results)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0] and same(before, values_of(path))
    assert len([item for item in cache_folder(path).iterdir() if item.is_dir()]) == 1
    assert not [item for item in cache_folder(path).rglob("*") if ".part" in item.name]


def test_auto_makes_one_where_it_pays_and_says_why(path, monkeypatch):
    assert made(path, mode="auto") == [] and not cache_folder(path).exists()
    monkeypatch.setattr(caching, "free_memory", lambda: 40_000)
    assert "more than half of the 40 kB of memory" in texts(made(path, mode="auto"))
    delete_cache(path)
    monkeypatch.setattr(caching, "free_memory", lambda: None)
    monkeypatch.setattr(caching, "SLOW_SECONDS", -1.0)
    assert "decoding the file takes" in texts(made(path, mode="auto"))


def test_off_reads_the_file_alone(path):
    made(path)
    with Dataset.open(path) as dataset:
        assert list(ready_caches([dataset], NAMES, "off")) == [] and not dataset.use_cache


def test_each_sequence_of_a_file_has_its_copy(tmp_path):
    with Dataset.open(write_toy_dataset(tmp_path / "toy.nc")) as toy:
        grid, times, mask = toy.grid, toy.times, toy.mask
    rng, info = np.random.default_rng(2), VariableInfo(name="rain", quantity="precipitation", units="mm/d")
    path, rain = tmp_path / "floods.nc", {}
    with SequencesWriter(path, name="floods") as file:
        for name in ("first", "second"):
            rain[name] = rng.gamma(0.5, 4.0, (len(times), *grid.shape)).astype(np.float32)
            with file.sequence(name, grid=grid, times=times, step_seconds=86400.0, variables=[info]) as writer:
                writer.append("rain", rain[name])
                writer.finish(mask, {})
        file.finish({})
    with contextlib.ExitStack() as stack:
        datasets = [stack.enter_context(dataset) for dataset in open_datasets(path)]
        list(ready_caches(datasets[:1], ["rain"], "on"))
        list(ready_caches(datasets, ["rain"], "on"))  # keeps the copy of the first one
        for dataset in datasets:
            assert dataset.cache.maps("rain") is not None
            assert np.array_equal(dataset.dynamic("rain"), rain[dataset.sequence])
    assert len([item for item in cache_folder(path).iterdir() if item.is_dir()]) == 2


def test_the_verb_shows_makes_and_deletes(path):
    assert "no cache" in texts(cache(CacheJob(str(path))))
    assert "3 of 3 maps" in texts(cache(CacheJob(str(path), "make")))
    other = cache_folder(path) / ("0" * 16)
    shutil.copytree(next(item for item in cache_folder(path).iterdir() if item.is_dir()), other)
    assert "another state of the dataset" in texts(cache(CacheJob(str(path))))
    os.unlink(path)
    assert "were freed" in texts(cache(CacheJob(str(path), "delete"))) and not cache_folder(path).exists()
    with pytest.raises(DataError, match="does not exist"):
        list(cache(CacheJob(str(path))))


def test_a_training_with_and_without_a_cache_gives_the_same_model(path, tmp_path):
    losses = []
    for mode in ("off", "on"):
        job = TrainJob.from_dict({
            "datasets": [str(path)], "target": "store", "inputs": ["rain", "warmth"], "static": ["height"],
            "window": 6, "warm_up": 0, "model": {"options": {"hidden": [4], "kernel": [3]}},
            "training": {"epochs": 1, "cache": mode},
        })  # fmt: skip
        run = RunFolder.create(tmp_path / mode, "train", job)
        assert execute(run) == 0, run.error()
        (metric,) = [
            event.values for event in run.events() if event.kind is EventKind.METRIC and "epoch" in event.values
        ]
        losses.append((metric["train_loss"], metric["validation_loss"]))
        said = texts(run.events())
        assert ("A raw copy of the dataset is made" in said) == (mode == "on")
        assert "Waiting for data took" in said and 0 <= metric["waiting_share"] <= 1
    assert losses[0] == losses[1] and cache_folder(path).exists()
