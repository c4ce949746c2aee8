"""Data that are read on demand equal those in memory, whole and in parts, with and without a cache."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from toy import write_toy_dataset  # noqa: E402

from freshet.core.contracts import RunFolder, TrainJob  # noqa: E402
from freshet.core.contracts.grid import Grid  # noqa: E402
from freshet.core.contracts.model_card import read_card  # noqa: E402
from freshet.core.data import windows  # noqa: E402
from freshet.core.data.caching import ready_caches  # noqa: E402
from freshet.core.data.lazy import LazyMaps  # noqa: E402
from freshet.core.data.store import Dataset, VariableInfo, write_dataset  # noqa: E402
from freshet.core.data.windows import build_window_data, window_data_bytes  # noqa: E402
from freshet.core.training.setup import build_card, splits_of  # noqa: E402
from freshet.core.worker.main import execute  # noqa: E402

ENDS = np.array([20, 33, 34])


@pytest.fixture(scope="module")
def gappy(tmp_path_factory):
    """A dataset with cells that never have a value, gaps, and filled values."""
    rng = np.random.default_rng(3)
    grid, times = Grid("EPSG:3035", 0.0, 0.0, 1000.0, 1000.0, 9, 11), np.arange(60).astype("datetime64[D]")
    rain, flow = (rng.gamma(0.5, 4.0, (60, 11, 9)).astype(np.float32) for _ in range(2))
    rain[:, :3, :4] = np.nan  # never known
    rain[7, 5, 5] = flow[9:12, 4, 4] = np.nan
    filled = np.zeros(rain.shape, dtype=bool)
    filled[20:25, 6] = True
    mask = np.ones((11, 9), dtype=bool)
    mask[:2] = False
    path = tmp_path_factory.mktemp("gappy") / "gappy.nc"
    info = {name: VariableInfo(name=name, quantity="precipitation", units="mm/d") for name in ("rain", "flow")}
    height = VariableInfo(name="height", quantity="elevation", units="m", static=True, role="static")
    write_dataset(
        path, name="gappy", grid=grid, times=times, step_seconds=86400.0,
        dynamic={"rain": (info["rain"], rain), "flow": (info["flow"], flow)},
        static={"height": (height, rng.normal(size=(11, 9)).astype(np.float32))}, mask=mask, provenance={},
        filled={"rain": filled},
    )  # fmt: skip
    return path


def job_of(path, **changes):
    values = {"datasets": [str(path)], "target": "flow", "inputs": ["rain"], "static": ["height"], "window": 5}
    return TrainJob.from_dict({**values, **changes})


def both(path, job, cached):
    """The windows of a dataset in memory and on demand."""
    dataset = Dataset.open(path)
    card = build_card(job, [dataset], splits_of([dataset], job.split, job.window, job.lead, job.leads))
    whole = build_window_data(dataset, card)
    if cached:
        list(ready_caches([dataset], ["rain", "flow", "store", "warmth"], "on"))
    return dataset, whole, build_window_data(dataset, card, memory=0)


def same(one, two):
    assert (one is None) == (two is None)
    if one is not None:
        assert one.dtype == two.dtype and np.array_equal(one, two, equal_nan=one.dtype != bool)


def alike(one, two):
    for name in ("x", "observed", "static", "y", "mask", "ahead", "time_of_year"):
        same(getattr(one, name), getattr(two, name))


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"season": True, "lead": 1, "leads": 2},
        {"ahead": ["rain"], "lead": 1, "model": {"family": "convlstm-ed"}},
        {"target": "rain", "inputs": ["flow", "rain"], "use": "fill-gaps"},
    ],
)
def test_windows_on_demand_equal_those_in_memory(gappy, tmp_path, cached, changes):
    path = Path(shutil.copy(gappy, tmp_path / "copy.nc"))
    dataset, whole, lazy = both(path, job_of(path, **changes), cached)
    assert lazy.lazy and not whole.lazy and (dataset.cache.maps("rain") is not None) == cached
    for data, other in ((whole, lazy), (whole.part(slice(1, 8), slice(2, 7)), lazy.part(slice(1, 8), slice(2, 7)))):
        for ends in (ENDS, ENDS[:1]):
            supervised = 1 if data.hiding else 2
            alike(data.batch(ends, supervised), other.batch(ends, supervised))
            alike(data.batch(ends, 1, seed=5), other.batch(ends, 1, seed=5))
        assert data.grid == other.grid and np.array_equal(data.target_steps, other.target_steps)
    assert window_data_bytes(dataset, _card_of(dataset, job_of(path, **changes))) >= whole.x.nbytes


def _card_of(dataset, job):
    return build_card(job, [dataset], splits_of([dataset], job.split, job.window, job.lead, job.leads))


def test_a_part_of_a_part_is_where_it_should_be(gappy):
    _, whole, lazy = both(gappy, job_of(gappy), False)
    for data in (whole, lazy):
        inner = data.part(slice(2, 10), slice(1, None)).part(slice(3, 6), slice(0, 4))
        same(np.asarray(inner.x), np.asarray(whole.x)[..., 5:8, 1:5])
        same(inner.mask, whole.mask[5:8, 1:5])
        assert (inner.grid.north, inner.grid.west, inner.grid.shape) == (-5000.0, 1000.0, (3, 4))


def test_cells_without_any_value_take_the_nearest_from_outside_the_part(gappy):
    _, whole, lazy = both(gappy, job_of(gappy), False)
    corner = (slice(0, 2), slice(0, 2))  # nothing is known in it
    same(lazy.part(*corner).x[:], whole.x[..., 0:2, 0:2])
    assert np.ptp(whole.x[..., 0:2, 0:2]) > 0


@pytest.mark.parametrize(
    "key",
    [
        3, slice(4, 9), np.array([7, 2, 2, 50]), np.arange(60) % 7 == 0, (slice(None), 0), (5, 0),
        ENDS[:, None] + [-1, 0],
        (slice(None), 0, np.eye(11, 9, dtype=bool)),
        (slice(3, 20), slice(0, 1), slice(2, 5), slice(None, 4)), (np.array([4, 1]), 0), (Ellipsis, slice(1, 3)),
        (slice(0, 4), slice(0, 1), np.array([1, 3]), np.array([2, 2])), (-1, 0, 3, 4), np.array([], dtype=int),
    ],
)  # fmt: skip
def test_lazy_maps_are_indexed_like_an_array(gappy, key):
    _, whole, lazy = both(gappy, job_of(gappy), False)
    same(np.asarray(lazy.x[key]), np.asarray(whole.x[key]))
    assert isinstance(lazy.x, LazyMaps) and lazy.x.shape == whole.x.shape and len(lazy.x) == len(whole.x)
    assert lazy.nbytes == whole.nbytes and lazy.bytes_per_window == whole.bytes_per_window


def test_what_is_missing_nowhere_has_no_flags_on_demand_either(tmp_path):
    path = write_toy_dataset(tmp_path / "toy.nc")
    job = job_of(path, target="store", inputs=["warmth"], window=8)
    for cached in (False, True):
        _, whole, lazy = both(path, job, cached)
        assert (whole.observed is None) == (lazy.observed is None)


def test_one_window_is_a_view_that_nobody_can_write_into(gappy):
    _, whole, _ = both(gappy, job_of(gappy), False)
    batch = whole.batch(ENDS[:1])
    assert np.shares_memory(batch.x, whole.x) and np.shares_memory(batch.observed, whole.observed)
    with pytest.raises(ValueError, match="read-only"):
        batch.x[:] = 0.0
    assert not np.shares_memory(whole.batch(ENDS).x, whole.x)


def test_batches_are_written_into_the_buffers_given(gappy):
    _, whole, lazy = both(gappy, job_of(gappy, season=True), False)
    kept = {}

    def buffers(name, shape, kind):
        return kept.setdefault(name, np.empty(shape, kind))

    for data in (whole, lazy):
        first = data.batch(ENDS, buffers=buffers)
        assert first.x is kept["x"] and first.observed is kept["observed"]
        alike(first, data.batch(ENDS))


def test_data_on_demand_outlive_the_dataset_that_gave_them(gappy):
    dataset, whole, lazy = both(gappy, job_of(gappy), False)
    dataset.close()
    alike(whole.batch(ENDS), lazy.batch(ENDS))


@pytest.mark.parametrize("family", ["convlstm", "ridge"])
def test_a_run_with_too_little_memory_for_the_data_gives_the_same_scores(tmp_path, monkeypatch, family):
    path = write_toy_dataset(tmp_path / "toy.nc")
    options = {"hidden": [4], "kernel": [3]} if family == "convlstm" else {}
    job = job_of(
        path, target="store", inputs=["rain", "warmth"], warm_up=0, model={"family": family, "options": options},
        training={"epochs": 1, "threads": 1, "cache": "off"},
    )  # fmt: skip
    scores = []
    for place in ("memory", "demand"):
        if place == "demand":
            monkeypatch.setattr(windows, "_memory_for_data", lambda: 0)
        run = RunFolder.create(tmp_path / place, "train", job)
        assert execute(run) == 0, run.error()
        scores.append(read_card(run.model_file).scores)
    assert scores[0] and scores[0] == scores[1]
