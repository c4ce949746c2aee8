"""What a training knows of values beforehand, gathered block by block, is what all at once would tell."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from small import setting_up  # noqa: E402
from toy import write_toy_dataset  # noqa: E402

from freshet.core.contracts import TrainJob  # noqa: E402
from freshet.core.data import lazy  # noqa: E402
from freshet.core.data.store import Dataset  # noqa: E402
from freshet.core.training import cell_facts as module  # noqa: E402
from freshet.core.training.cell_facts import cell_facts, training_values  # noqa: E402
from freshet.core.training.setup import splits_of  # noqa: E402


@pytest.fixture(params=[2**25, 500])
def path(tmp_path, monkeypatch, request):
    """A dataset, looked at as a whole and in blocks of a few steps."""
    monkeypatch.setattr(lazy, "BLOCK_BYTES", request.param)
    return write_toy_dataset(tmp_path / "toy.nc")


def test_count_variance_and_mean_of_each_cell(path):
    _, (item,), _, _ = setting_up([path])
    steps = item.split.train_steps
    facts, values = cell_facts(item.data, steps), item.data.y[steps].astype(np.float64)
    assert np.array_equal(facts.count, np.isfinite(values).sum(axis=0))
    known = facts.count > 0
    assert known.any() and not known.all() and np.array_equal(facts.cells, known.any(axis=0))
    np.testing.assert_allclose(facts.variance[known], np.nanvar(values[:, known], axis=0), rtol=1e-6)
    assert (facts.variance[~known] == 0).all()
    np.testing.assert_allclose(facts.mean, [np.nanmean(values)], rtol=1e-6)
    assert item.target_mean == facts.mean


def values_of(path, name):
    job = TrainJob.from_dict({"datasets": [str(path)], "target": "store", "inputs": ["rain"], "window": 5})
    dataset = Dataset.open(path)
    splits = splits_of([dataset], job.split, 5, 0, 1)
    return training_values(name, [dataset], splits), dataset, splits[0].train_steps


@pytest.mark.parametrize("name", ["rain", "store", "height"])
def test_values_that_fit_a_scaler_are_those_of_training_inside_the_mask(path, name):
    found, dataset, steps = values_of(path, name)
    if name == "height":
        assert np.array_equal(found, dataset.static_map("height")[dataset.mask])
    else:
        assert np.array_equal(found, dataset.observed(name)[steps][:, dataset.mask].ravel(), equal_nan=True)


def test_of_very_many_values_a_share_stands_for_all_with_their_extremes(path, monkeypatch):
    every, _, _ = values_of(path, "rain")
    monkeypatch.setattr(module, "_MOST_VALUES", 300)
    some, _, _ = values_of(path, "rain")
    assert 200 < len(some) < 400 < len(every)
    assert (some.min(), some.max()) == (every.min(), every.max())
    assert abs(some.mean() - every.mean()) < 0.3 * every.std()
