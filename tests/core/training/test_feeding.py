"""Batches that are made beforehand are those of a loop without a thread, whatever happens on the way."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from toy import write_toy_dataset  # noqa: E402

from freshet.core.contracts import EventKind, RunError, TrainJob  # noqa: E402
from freshet.core.contracts.training_config import TrainingConfig  # noqa: E402
from freshet.core.data.store import Dataset  # noqa: E402
from freshet.core.data.windows import Batch, build_window_data  # noqa: E402
from freshet.core.training.augment import Augmentation  # noqa: E402
from freshet.core.training.batches import pieces_of  # noqa: E402
from freshet.core.training.distributed import Ranks  # noqa: E402
from freshet.core.training.feeding import Feeder, Waiting  # noqa: E402
from freshet.core.training.loop import fit  # noqa: E402
from freshet.core.training.model_file import build_from_card  # noqa: E402
from freshet.core.training.setup import build_card, splits_of, training_sets  # noqa: E402
from freshet.core.training.shown import Showing  # noqa: E402


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    path = write_toy_dataset(tmp_path_factory.mktemp("toy") / "toy.nc")
    job = TrainJob.from_dict({
        "datasets": [str(path)], "target": "store", "inputs": ["rain", "warmth"], "static": ["height"], "window": 6,
        "season": True, "warm_up": 0, "model": {"options": {"hidden": [4], "kernel": [3]}},
    })  # fmt: skip
    dataset = Dataset.open(path)
    splits = splits_of([dataset], job.split, job.window, job.lead, job.leads)
    card = build_card(job, [dataset], splits)
    return dataset, card, training_sets([dataset], splits, card)


def test_batches_come_in_order_and_equal_those_without_a_thread(world):
    _, _, sets = world
    config = TrainingConfig(batch=5, accumulate=2)
    showing = Showing(None, sets, config, Augmentation(), Ranks())
    pieces, waiting, count = pieces_of(sets, config, np.random.default_rng(1)), Waiting(), 0
    with Feeder(pieces, lambda piece, buffers: showing.make(piece, 7, buffers), waiting) as feeder:
        for piece, (batch, variance) in zip(pieces, feeder):
            expected, spread = showing.make(piece, 7)
            for name in ("x", "observed", "static", "y", "mask", "time_of_year"):
                one, two = getattr(batch, name), getattr(expected, name)
                assert (one is None and two is None) or np.array_equal(one, two, equal_nan=one.dtype != bool)
            assert np.array_equal(variance, spread)
            count += 1
    assert count == len(pieces) > 3 and waiting.seconds > 0 and 0 < waiting.share() <= 1


def test_two_buffers_are_written_in_turn_and_the_current_one_is_left_alone():
    begun, arrays = [], []

    def make(job, buffers):
        begun.append(job)
        values = buffers("x", (3 if job % 2 else 4, 1), np.float32)
        values[:] = job
        return values

    with Feeder(range(6), make, Waiting()) as feeder:
        for job, values in enumerate(feeder):
            deadline = time.monotonic() + 30
            while len(begun) < min(job + 2, 6) and time.monotonic() < deadline:
                time.sleep(0.001)
            assert len(begun) == min(job + 2, 6)  # the next one, and no more
            assert (values == job).all()
            arrays.append(values)
    assert np.shares_memory(arrays[0], arrays[2]) and not np.shares_memory(arrays[0], arrays[1])


def test_what_goes_wrong_is_raised_where_its_batch_would_have_come():
    def make(job, buffers):
        if job == 2:
            raise RunError("The dataset is gone", remedy="Bring it back")
        return job

    seen = []
    with pytest.raises(RunError, match="is gone"), Feeder(range(5), make, Waiting()) as feeder:
        for value in feeder:
            seen.append(value)
    assert seen == [0, 1]


def test_a_loop_that_is_left_ends_the_thread():
    with Feeder(range(100), lambda job, buffers: job, Waiting()) as feeder:
        for value in feeder:
            if value == 3:
                break
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("freshet-feeder")]


def test_no_jobs_no_batches():
    with Feeder([], lambda job, buffers: job, Waiting()) as feeder:
        assert list(feeder) == []


def test_slow_data_are_waited_for_and_the_share_says_so():
    def make(job, buffers):
        time.sleep(0.02)
        return job

    waiting = Waiting()
    with Feeder(range(5), make, waiting) as feeder:
        for _ in feeder:
            pass
    assert waiting.share() > 0.5 and waiting.seconds >= 0.08
    waiting.again()
    assert waiting.seconds == 0 and waiting.share() == 0


def test_a_training_on_demand_equals_one_in_memory_bit_for_bit(world, tmp_path):
    dataset, card, sets = world
    lazy = build_window_data(dataset, card, memory=0)
    weights, told = [], []
    for place, data in (("memory", sets[0].data), ("demand", lazy)):
        torch.manual_seed(3)
        module = build_from_card(card)
        own = [type(sets[0])(data, sets[0].split, sets[0].variance, card, sets[0].cells)]
        events = list(fit(module, own, TrainingConfig(epochs=2, batch=8, threads=1), tmp_path / place))
        metrics = [event.values for event in events if event.kind is EventKind.METRIC]
        told.append([(m["train_loss"], m["validation_loss"], m["validation_nse"]) for m in metrics])
        weights.append(torch.cat([value.flatten().float() for value in module.state_dict().values()]))
        assert all(0 <= m["waiting_share"] <= 1 for m in metrics) and lazy.lazy
    assert told[0] == told[1] and torch.equal(*weights)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_reach_a_gpu_through_pinned_memory(world):
    _, _, sets = world
    config = TrainingConfig(batch=5)
    showing = Showing(None, sets, config, Augmentation(), Ranks())
    pieces = pieces_of(sets, config, np.random.default_rng(1))
    with Feeder(pieces, lambda piece, buffers: showing.make(piece, 7, buffers), Waiting(), "cuda") as feeder:
        for piece, (batch, _) in zip(pieces, feeder):
            expected = showing.make(piece, 7)[0]
            assert isinstance(batch, Batch) and batch.x.is_cuda
            assert np.array_equal(batch.x.cpu().numpy(), expected.x)
            assert np.array_equal(batch.y.cpu().numpy(), expected.y, equal_nan=True)
