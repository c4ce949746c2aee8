"""A small dataset whose target follows from its inputs, for tests of training, prediction and the worker."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from freshet.core.contracts import Grid
from freshet.core.data.store import VariableInfo, write_dataset


def rain_and_store(steps: int, rows: int, columns: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rain (T, H, W) in mm/d and a store (T, H, W) in mm that keeps 80 % a step."""
    rng = np.random.default_rng(seed)
    rain = rng.gamma(0.3, 10.0, (steps, rows, columns)).astype(np.float32)
    store = np.zeros_like(rain)
    for step in range(1, steps):
        store[step] = 0.8 * store[step - 1] + rain[step]
    return rain, store


def write_toy_dataset(
    path: Path,
    *,
    steps: int = 80,
    rows: int = 6,
    columns: int = 5,
    seed: int = 0,
    start: str = "2001-01-01",
    water: bool = False,
) -> Path:
    """Rain, temperature, elevation and the store, a mask without the last column, some missing observations.

    With ``water`` also potential evapotranspiration, and the runoff of the store, mm/d.
    """
    rain, store = rain_and_store(steps, rows, columns, seed)
    times = np.datetime64(start, "s") + np.arange(steps) * np.timedelta64(86400, "s")
    mask = np.ones((rows, columns), dtype=bool)
    mask[:, -1] = False
    store[:, ~mask] = np.nan
    store[::7, 0, 0] = np.nan
    warm = 10 + 8 * np.sin(np.arange(steps) / 58.0)[:, None, None] + np.zeros_like(rain)
    height = np.linspace(100, 900, rows * columns).reshape(rows, columns).astype(np.float32)

    def info(name, role, quantity, units, static=False):
        return VariableInfo(name, role, quantity, units, name.capitalize(), static, 0.0, 0.0, 1.0)

    more = {}
    if water:
        potential = np.maximum(0.15 * warm, 0.0).astype(np.float32)
        more["potential"] = (info("potential", "input", "pet", "mm/d"), potential)
        more["runoff"] = (info("runoff", "target", "runoff", "mm/d"), (0.2 * store).astype(np.float32))
    write_dataset(
        path,
        name=path.stem,
        grid=Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 1000.0, 1000.0, columns, rows),
        times=times,
        step_seconds=86400.0,
        dynamic={
            "rain": (info("rain", "input", "precipitation", "mm/d"), rain),
            "warmth": (info("warmth", "input", "temperature", "degC"), warm.astype(np.float32)),
            "store": (info("store", "target", "soil_water", "mm"), store),
            **more,
        },
        static={"height": (info("height", "static", "elevation", "m", True), height)},
        mask=mask,
        provenance={},
    )
    return path


def tiny_card(**changes):
    """A model card of a two-channel ConvLSTM that was never trained."""
    from freshet.core.contracts.model_card import ModelCard, VariableCard
    from freshet.core.contracts.models import resolve

    def variable(name, quantity, units, scaler):
        return VariableCard(
            name=name, quantity=quantity, units=units, label=name, scaler=scaler, minimum=0.0, maximum=50.0
        )

    values = {
        "title": "tiny",
        "family": "convlstm",
        "options": resolve("convlstm", {"hidden": [4], "kernel": [3]})[1],
        "inputs": (
            variable(
                "rain",
                "precipitation",
                "mm/d",
                {"kind": "standard", "shift": 3.0, "width": 5.0, "low": -1.0, "high": 9.0},
            ),
        ),
        "static": (
            variable(
                "height",
                "elevation",
                "m",
                {"kind": "standard", "shift": 500.0, "width": 200.0, "low": -2.0, "high": 2.0},
            ),
        ),
        "target": variable(
            "store", "soil_water", "mm", {"kind": "standard", "shift": 15.0, "width": 8.0, "low": -2.0, "high": 4.0}
        ),
        "season": True,
        "window": 5,
        "lead": 0,
        "leads": 1,
        "step_seconds": 86400.0,
        "cell_size": (1000.0, 1000.0),
    }
    return ModelCard(**{**values, **changes})
