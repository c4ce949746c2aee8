"""A year, or more, of daily maps that a network can learn: rain, evaporation and temperature fill and drain a store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

INPUTS = ("rain", "pet", "temperature", "discharge")
_KEPT, _SPREAD, _SMOOTHING = 0.9, 0.2, 3  # a day: share of the store that stays, share that neighbours exchange


def year(rows: int, columns: int, days: int = 365, seed: int = 0) -> dict[str, np.ndarray]:
    """Maps (T, H, W) float32: the inputs (mm/d, mm/d, degC, m3/s, the last one a value for all cells) and ``store``,
    mm.
    """
    rng = np.random.default_rng(seed)
    wet = rng.random(days) < 0.4
    rain = _smooth(rng.gamma(0.6, 8.0, (days, rows, columns))) * wet[:, None, None]
    season = np.sin(2 * np.pi * (np.arange(days) - 105) / 365.25)[:, None, None]
    temperature = 9 + 9 * season + _smooth(rng.normal(0, 4, (days, rows, columns)))
    pet = np.maximum(0.15 * temperature, 0.05)
    store = np.empty_like(rain)
    held = np.full((rows, columns), 60.0)
    discharge = np.empty(days)
    for day in range(days):
        held = _KEPT * ((1 - _SPREAD) * held + _SPREAD * _smooth(held[None])[0]) + rain[day]
        held = np.maximum(held - pet[day] * np.minimum(held / 50.0, 1.0), 0.0)
        store[day], discharge[day] = held, 0.1 * held.mean()
    flat = np.broadcast_to(discharge[:, None, None], rain.shape)
    maps = {"rain": rain, "pet": pet, "temperature": temperature, "discharge": flat, "store": store}
    return {name: values.astype(np.float32) for name, values in maps.items()}


def training_of(path: Path, rows: int, columns: int, days: int, hidden: Sequence[int], window: int, **training: Any):
    """(card, sets, configuration) of a training on such maps, whose dataset is written to ``path``: the network of the
    thesis with these sizes.
    """
    from freshet.core.contracts import TrainJob
    from freshet.core.data.store import Dataset
    from freshet.core.training.setup import build_card, splits_of, training_sets

    if not path.exists():
        _write(path, rows, columns, days)
    options = {"hidden": list(hidden), "kernel": [3], "normalisation": "batch", "head_kernel": 3}
    job = TrainJob.from_dict(
        {
            "datasets": [str(path)], "target": "store", "inputs": list(INPUTS), "window": window, "warm_up": 0,
            "model": {"options": options}, "training": {"device": "cpu", **training},
        }
    )  # fmt: skip
    with Dataset.open(path) as dataset:
        splits = splits_of([dataset], job.split, job.window, job.lead, job.leads)
        card = build_card(job, [dataset], splits)
        return card, training_sets([dataset], splits, card), job.training


def _write(path: Path, rows: int, columns: int, days: int) -> None:
    from freshet.core.contracts import Grid
    from freshet.core.data.store import VariableInfo, write_dataset

    kinds = {
        "rain": ("input", "precipitation", "mm/d"), "pet": ("input", "pet", "mm/d"),
        "temperature": ("input", "temperature", "degC"), "discharge": ("input", "discharge", "m3/s"),
        "store": ("target", "soil_water", "mm"),
    }  # fmt: skip
    maps = year(rows, columns, days)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_dataset(
        path, name=path.stem, grid=Grid("EPSG:3035", 4e6, 3e6, 1000.0, 1000.0, columns, rows), step_seconds=86400.0,
        times=np.datetime64("2001-01-01", "s") + np.arange(days) * np.timedelta64(86400, "s"),
        dynamic={
            name: (VariableInfo(name, role, kind, units, name, False, 0.0, 0.0, 1.0), maps[name])
            for name, (role, kind, units) in kinds.items()
        },
        static={}, mask=np.ones((rows, columns), dtype=bool), provenance={},
    )  # fmt: skip


def _smooth(maps: np.ndarray) -> np.ndarray:
    """Mean over neighbours, along rows and columns; the edges repeat."""
    radius = _SMOOTHING // 2
    for axis in (-2, -1):
        widths = [(0, 0)] * maps.ndim
        widths[axis] = (radius, radius)
        padded = np.pad(maps, widths, mode="edge")
        parts = [np.take(padded, np.arange(k, k + maps.shape[axis]), axis=axis) for k in range(_SMOOTHING)]
        maps = np.mean(parts, axis=0)
    return maps
