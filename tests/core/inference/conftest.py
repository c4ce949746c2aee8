"""A small made-up basin, a model for it, and runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.contracts import ModelConfig, TrainJob
from freshet.core.contracts.grid import Grid
from freshet.core.contracts.run_folder import RunFolder
from freshet.core.data.store import Dataset, VariableInfo, write_dataset
from freshet.core.training.model_file import build_from_card, save_model
from freshet.core.training.setup import build_card, splits_of

STEPS, ROWS, COLUMNS = 120, 14, 11
GRID = Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 4000.0, 4000.0, COLUMNS, ROWS)


def make_dataset(
    path,
    *,
    target=True,
    shift=0.0,
    steps=STEPS,
    step_seconds=86400,
    rain_units="mm/d",
    leave_out=(),
    gap_at=None,
    blind=False,
    start="2001-01-01",
):
    """Rain, temperature, elevation and a soil moisture that follows the rain. ``shift`` warms the basin."""
    rng = np.random.default_rng(3)
    times = np.datetime64(start, "s") + (np.arange(steps) * step_seconds).astype("timedelta64[s]")
    if gap_at is not None:
        times[gap_at:] += np.timedelta64(10 * step_seconds, "s")
    rain = (rng.gamma(0.4, 8.0, (steps, 1, 1)) * rng.uniform(0.5, 1.5, (1, ROWS, COLUMNS))).astype("f4")
    warmth = (
        10 + 8 * np.sin(np.arange(steps) / 58)[:, None, None] + rng.normal(0, 1, (steps, ROWS, COLUMNS)) + shift
    ).astype("f4")
    moisture = np.zeros((steps, ROWS, COLUMNS), dtype="f4")
    level = np.full((ROWS, COLUMNS), 0.5)
    for step in range(steps):
        level = np.clip(0.9 * level + 0.01 * rain[step], 0, 1)
        moisture[step] = level
    mask = np.ones((ROWS, COLUMNS), dtype=bool)
    mask[:3, :4] = False
    moisture[:, ~mask] = np.nan
    if blind:
        moisture[:] = np.nan
    dynamic = {
        "rain": (VariableInfo("rain", "input", "precipitation", rain_units, "Precipitation"), rain),
        "warmth": (VariableInfo("warmth", "input", "temperature", "degC", "Air temperature"), warmth),
    }
    if target:
        dynamic["sm"] = (VariableInfo("sm", "target", "soil_moisture", "-", "Soil moisture"), moisture)
    for name in leave_out:
        del dynamic[name]
    heights = np.linspace(100, 900, ROWS * COLUMNS, dtype="f4").reshape(ROWS, COLUMNS)
    static = {"dem": (VariableInfo("dem", "static", "elevation", "m", "Elevation", static=True), heights)}
    write_dataset(
        path,
        name="Test basin",
        grid=GRID,
        times=times,
        step_seconds=step_seconds,
        dynamic=dynamic,
        static=static,
        mask=mask,
        provenance={},
    )
    return path


def make_model(path, dataset_path, *, lead=0, leads=1, window=6, inputs=("rain", "warmth")):
    """An untrained model with its card."""
    options = {} if leads == 1 else {"output": "encoder-decoder"}
    job = TrainJob(
        datasets=(str(dataset_path),),
        target="sm",
        inputs=inputs,
        static=("dem",),
        window=window,
        lead=lead,
        leads=leads,
        model=ModelConfig("convlstm", {"hidden": [4], **options}),
        title="A model",
    )
    with Dataset.open(dataset_path) as dataset:
        card = build_card(job, [dataset], splits_of([dataset], job.split, window, lead, leads))
    torch.manual_seed(5)
    module = build_from_card(card)
    save_model(path, module, card)
    return path


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("inference")


@pytest.fixture(scope="session")
def dataset_path(place):
    return make_dataset(place / "basin.nc")


@pytest.fixture(scope="session")
def model_path(place, dataset_path):
    return make_model(place / "model.safetensors", dataset_path)


@pytest.fixture
def new_run(tmp_path):
    def make(verb, job):
        return RunFolder.create(tmp_path, verb, job)

    return make
