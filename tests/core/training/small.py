"""A small training for tests: a model, its data and its settings, made anew at each call."""

from __future__ import annotations

import torch

from freshet.core.contracts import TrainJob
from freshet.core.data.store import Dataset
from freshet.core.training.model_file import build_from_card
from freshet.core.training.setup import build_card, splits_of, training_sets

DROPPING = {"options": {"hidden": [6], "kernel": [1], "dropout": 0.2, "recurrent_dropout": 0.2}}


def setting_up(paths, training=None, model=None, **changes):
    """(module, sets, configuration, card) of a training on datasets of :mod:`toy`."""
    values = {
        "datasets": [str(p) for p in paths],
        "target": "store",
        "inputs": ["rain"],
        "static": ["height"],
        "window": 10,
        "warm_up": 0,
        "model": model or {"options": {"hidden": [6], "kernel": [1]}},
        "training": {"threads": 1, "device": "cpu", **(training or {})},
        "scalers": {"rain": "standard"},
    }
    job = TrainJob.from_dict({**values, **changes})
    datasets = [Dataset.open(p) for p in job.datasets]
    splits = splits_of(datasets, job.split, job.window, job.lead, job.leads)
    card = build_card(job, datasets, splits)
    sets = training_sets(datasets, splits, card)
    for dataset in datasets:
        dataset.close()
    torch.manual_seed(job.training.seed)
    return build_from_card(card), sets, job.training, card


def same(one, two):
    """Whether two modules hold the same tensors, bit for bit."""
    pairs = zip(one.state_dict().items(), two.state_dict().items())
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)
