"""Parts of large maps: where they lie, what of them counts, and that judging by parts is judging the whole."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from small import same, setting_up  # noqa: E402
from toy import write_toy_dataset  # noqa: E402

from freshet.core.contracts import ConfigError, EventKind  # noqa: E402
from freshet.core.contracts.training_config import TrainingConfig  # noqa: E402
from freshet.core.training.crops import (  # noqa: E402
    check_crop,
    crop_margin,
    crop_side,
    crop_words,
    judging_crops,
    training_crop,
)
from freshet.core.training.judging import validate  # noqa: E402
from freshet.core.training.loop import fit  # noqa: E402
from freshet.core.training.losses import loss_of  # noqa: E402
from freshet.core.training.work import Work  # noqa: E402

THREE = {"options": {"hidden": [4], "kernel": [3]}}  # with a window of 3 the halo is 3 cells


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_toy_dataset(tmp_path_factory.mktemp("toy") / "wide.nc", rows=26, columns=37, steps=60)


def world(path, training=None, **changes):
    return setting_up([path], training, THREE, **{"window": 3, **changes})


def spans(crop):
    return (crop.rows, crop.counted_rows), (crop.columns, crop.counted_columns)


def test_a_crop_lies_in_the_frame_and_leaves_out_what_is_near_a_cut_edge(path):
    module, (item,), _, _ = world(path)
    ends, margins, starts = item.split.train[:2], set(), set()
    for seed in range(80):
        crop = training_crop(module, item, ends, 16, seed, 1)
        for (shown, counted), size in zip(spans(crop), (26, 37)):
            assert shown.stop - shown.start == 16 and 0 <= shown.start and shown.stop <= size
            assert counted.start == shown.start + (3 if shown.start else 0)
            assert counted.stop == shown.stop - (3 if shown.stop < size else 0)
            margins |= {counted.start - shown.start, shown.stop - counted.stop}
        starts.add((crop.rows.start, crop.columns.start))
        y = crop.leave_out(crop.data(item.data).targets(ends, 1))
        assert np.isfinite(y).any()
    assert margins == {0, 3} and len(starts) > 30
    assert {row for row, _ in starts} >= {0, 10} and {column for _, column in starts} >= {0}


def test_the_margin_is_the_halo_but_never_more_than_a_quarter(path):
    module, (item,), _, _ = world(path)
    assert [crop_margin(module, item.data, side) for side in (64, 16, 12, 8)] == [3, 3, 3, 2]
    assert "the model's halo)" in crop_words(module, TrainingConfig(crop=16), [item])
    assert "a quarter of the crop; the model's halo is 3" in crop_words(module, TrainingConfig(crop=8), [item])
    assert crop_words(module, TrainingConfig(), [item]) == crop_words(module, TrainingConfig(crop=40), [item]) == ""


def test_the_place_follows_from_seed_and_windows_alone(path):
    module, (item,), _, _ = world(path)
    ends = item.split.train
    one = training_crop(module, item, ends[:3], 12, 5, 1)
    assert one == training_crop(module, item, ends[:3], 12, 5, 1)
    assert len({str(training_crop(module, item, ends[:3], 12, seed, 1)) for seed in range(20)}) > 10
    assert len({str(training_crop(module, item, ends[n : n + 3], 12, 5, 1)) for n in range(20)}) > 10


def test_a_single_observed_cell_is_found(path):
    module, (item,), _, _ = world(path)
    ends = item.split.train[10:12]
    y = np.full(item.data.y.shape, np.nan, dtype=np.float32)
    y[ends[1], 0, 21, 33] = 1.0  # on one date, where the places of all other dates say nothing of it
    sparse = dataclasses.replace(item, data=dataclasses.replace(item.data, y=y))
    for seed in range(20):
        crop = training_crop(module, sparse, ends, 8, seed, 1)
        assert crop.counted_rows.start <= 21 < crop.counted_rows.stop
        assert crop.counted_columns.start <= 33 < crop.counted_columns.stop


def test_judging_crops_count_each_cell_once(path):
    module, (item,), _, _ = world(path)
    everywhere = dataclasses.replace(item, cells=None)
    for side in (8, 12, 16, 30):
        counted = np.zeros((26, 37), dtype=int)
        for crop in judging_crops(module, everywhere, side):
            counted[crop.counted_rows, crop.counted_columns] += 1
            assert all(shown.stop - shown.start <= max(side, 26) for shown, _ in spans(crop))
        assert (counted == 1).all()
    known = judging_crops(module, item, 8)
    assert 0 < len(known) <= len(judging_crops(module, everywhere, 8))
    none = dataclasses.replace(item, cells=np.zeros((26, 37), dtype=bool))
    assert judging_crops(module, none, 8) == []


@pytest.mark.parametrize("loss", ["mse", "nse", "kge"])
def test_judged_by_crops_as_large_as_the_halo_asks_it_is_the_score_of_the_whole(path, loss):
    module, sets, config, _ = world(path, {"loss": loss})
    found = []
    for crop in (0, 16):
        own = config.replace(crop=crop)
        work = Work(
            module, sets, own, "cpu", torch.float32, 0, 0.0, lambda: 0.0, loss_of(own, sets)
        )  # fmt: skip
        events = validate(work)
        while True:
            try:
                next(events)
            except StopIteration as end:
                found.append(end.value)
                break
    assert found[0] == pytest.approx(found[1], rel=2e-5, abs=2e-6)


def test_of_too_many_crops_the_same_ones_are_judged_in_each_epoch(path):
    from freshet.core.training.judging import _jobs

    module, (item,), config, _ = world(path, {"crop": 4, "batch": 1})
    work = Work(module, [item], config, "cpu", torch.float32, 0, 0.0, lambda: 0.0, loss_of(config, [item]))
    ends = item.split.validation
    jobs, again = _jobs(work, item, ends), _jobs(work, item, ends)
    every = -(-len(ends) // 2) * len(judging_crops(module, item, 4))
    assert len(jobs) == 4 * 48 // 2 < every
    assert [(job.ends.tolist(), job.crop) for job in jobs] == [(job.ends.tolist(), job.crop) for job in again]
    assert len({str(job.crop) for job in jobs}) > 40


def test_a_crop_beyond_the_frame_changes_nothing(path, tmp_path):
    results = []
    for crop in (0, 37, 500):
        module, sets, config, _ = world(path, {"epochs": 1, "crop": crop})
        assert crop_side(config, sets[0].data) == 0
        list(fit(module, sets, config, tmp_path / str(crop)))
        results.append(module)
    assert same(results[0], results[1]) and same(results[0], results[2])


def test_a_cropped_training_learns_and_goes_on_where_it_was_stopped(path, tmp_path):
    training = {"epochs": 3, "crop": 12, "learning_rate": 0.02, "augment": "turns", "batch": 4}
    module, sets, config, _ = world(path, training)
    events = list(fit(module, sets, config, tmp_path / "whole"))
    metrics = [event.values for event in events if event.kind is EventKind.METRIC]
    assert metrics[-1]["validation_loss"] < metrics[0]["validation_loss"]
    assert any("12 x 12 cells" in event.values.get("text", "") for event in events)
    live = np.load(tmp_path / "whole" / "live.npz")
    assert live["predicted"].shape == live["observed"].shape == (12, 12)
    part, sets, _, _ = world(path, training)
    stopped = fit(part, sets, config, tmp_path / "parts")
    seen = 0
    for event in stopped:
        seen += event.kind is EventKind.PROGRESS
        if seen == 5:
            break
    stopped.close()
    part, sets, _, _ = world(path, training)
    list(fit(part, sets, config, tmp_path / "parts"))
    assert same(module, part)


def test_models_that_need_whole_maps_refuse(path):
    module, sets, config, _ = world(path)
    check_crop(config.replace(crop=8), module, sets)
    with pytest.raises(ConfigError, match="too small"):
        check_crop(config.replace(crop=3), module, sets)

    class Whole(torch.nn.Module):
        def halo_px(self, window):
            return 1_000_000

    class Bound(Whole):
        bound_to_grid = True

        def halo_px(self, window):
            return 0

    for other in (Whole(), Bound()):
        check_crop(config, other, sets)
        with pytest.raises(ConfigError, match="needs whole maps"):
            check_crop(config.replace(crop=8), other, sets)
    gauges = [dataclasses.replace(sets[0], data=dataclasses.replace(sets[0].data, gauges=2))]
    with pytest.raises(ConfigError, match="model of gauges"):
        check_crop(config.replace(crop=8), module, gauges)


def test_a_crop_of_data_on_demand_reads_the_same(path):
    from freshet.core.data.store import Dataset
    from freshet.core.data.windows import build_window_data

    module, (item,), _, card = world(path)
    with Dataset.open(path) as dataset:
        lazy = dataclasses.replace(item, data=build_window_data(dataset, card, memory=0))
        ends = item.split.train[4:7]
        crop = training_crop(module, item, ends, 12, 9, 1)
        assert crop == training_crop(module, lazy, ends, 12, 9, 1)
        one, two = crop.data(item.data).batch(ends), crop.data(lazy.data).batch(ends)
    assert np.array_equal(one.x, two.x) and np.array_equal(one.y, two.y, equal_nan=True)
