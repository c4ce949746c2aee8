"""Models that Keras itself saved, with the outputs that it gave (made by scripts/check_exchange.py), and a dataset."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from freshet.core.contracts.grid import Grid
from freshet.core.data.store import VariableInfo, write_dataset

PACK = Path(__file__).with_name("keras_models.zip")
ROWS, COLUMNS, STEPS = 6, 5, 40


@pytest.fixture(scope="session")
def keras_models(tmp_path_factory):
    """Paths by name, and the outputs (M, H, W) by name."""
    folder = tmp_path_factory.mktemp("keras")
    with zipfile.ZipFile(PACK) as archive:
        archive.extractall(folder)
    outputs = json.loads((folder / "outputs.json").read_text())
    return {name: (folder / name, np.array(values)) for name, values in outputs.items()}


@pytest.fixture(scope="session")
def window():
    """The window that the outputs belong to, (T, C, H, W)."""
    frames = np.random.default_rng(1).normal(size=(1, 6, ROWS, COLUMNS, 3)).astype(np.float32)
    return np.ascontiguousarray(frames[0].transpose(0, 3, 1, 2))


@pytest.fixture(scope="session")
def dataset_path(tmp_path_factory):
    """Rain and warmth in time, a height that does not change, two targets."""
    rng = np.random.default_rng(4)
    maps = {
        "rain": ("precipitation", "mm/d", rng.gamma(0.5, 6.0, (STEPS, ROWS, COLUMNS))),
        "warmth": ("temperature", "degC", rng.normal(10.0, 6.0, (STEPS, ROWS, COLUMNS))),
        "store": ("soil_water", "mm", rng.gamma(3.0, 9.0, (STEPS, ROWS, COLUMNS))),
        "wet": ("soil_moisture", "-", rng.uniform(0.0, 1.0, (STEPS, ROWS, COLUMNS))),
    }
    height = np.linspace(100.0, 900.0, ROWS * COLUMNS, dtype="f4").reshape(ROWS, COLUMNS)
    path = tmp_path_factory.mktemp("basin") / "basin.nc"
    write_dataset(
        path,
        name="Basin",
        grid=Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 1000.0, 1000.0, COLUMNS, ROWS),
        times=np.datetime64("2001-01-01", "s") + np.arange(STEPS) * np.timedelta64(86400, "s"),
        step_seconds=86400.0,
        dynamic={
            name: (VariableInfo(name, "input", kind, units, name), values.astype("f4"))
            for name, (kind, units, values) in maps.items()
        },
        static={"height": (VariableInfo("height", "static", "elevation", "m", "Height", static=True), height)},
        mask=np.ones((ROWS, COLUMNS), dtype=bool),
        provenance={},
    )
    return path
