"""A tiny dataset and a saved, untrained model for the tests of explanations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from freshet.core.contracts.grid import Grid
from freshet.core.contracts.model_card import ModelCard, VariableCard
from freshet.core.contracts.result_jobs import ExplainJob
from freshet.core.data.scaling import Scaler
from freshet.core.data.store import VariableInfo, write_dataset
from freshet.core.training.model_file import build_from_card, save_model

GRID = Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 1000.0, 1000.0, 9, 8)
TIMES = np.datetime64("2001-02-20", "s") + np.arange(20) * np.timedelta64(86400, "s")
TIMES = np.concatenate([TIMES[:12], TIMES[13:]])  # 2001-03-04 is missing
MASK = np.ones(GRID.shape, dtype=bool)
MASK[0] = False
CELL = {"x": 4_004_500.0, "y": 2_995_500.0}  # row 4, column 4
WINDOW = 4


def values() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    shape = (len(TIMES), *GRID.shape)
    rain = np.maximum(0.0, rng.normal(1.0, 4.0, shape)).astype(np.float32)
    rain[6, 4, 3] = np.nan
    return {
        "rain": rain,
        "temp": rng.normal(8.0, 5.0, shape).astype(np.float32),
        "sm": rng.uniform(0.2, 0.9, shape).astype(np.float32),
        "dem": rng.uniform(100.0, 900.0, GRID.shape).astype(np.float32),
    }


def write_world(folder: Path, **changes) -> tuple[Path, Path]:
    """Paths of a dataset and of a model; ``changes`` replace fields of the card."""
    v = values()
    dataset, model = folder / "basin.nc", folder / "model.safetensors"
    write_dataset(
        dataset, name="Tiny", grid=GRID, times=TIMES, step_seconds=86400.0, mask=MASK, provenance={},
        dynamic={
            "rain": (VariableInfo("rain", "input", "precipitation", "mm/d", "Precipitation"), v["rain"]),
            "temp": (VariableInfo("temp", "input", "temperature", "degC", "Air temperature"), v["temp"]),
            "sm": (VariableInfo("sm", "target", "soil_moisture", "-", "Soil moisture"), v["sm"]),
        },
        static={"dem": (VariableInfo("dem", "static", "elevation", "m", "Elevation"), v["dem"])},
    )  # fmt: skip
    card = make_card(v, **changes)
    torch.manual_seed(11)
    module = build_from_card(card)
    save_model(model, module, card)
    return dataset, model


def make_card(v: dict[str, np.ndarray], **changes) -> ModelCard:
    def variable(name, quantity, units, label, kind):
        return VariableCard(name, quantity, units, label, Scaler.fit(kind, v[name]).to_dict())

    fields = {
        "title": "Tiny model", "family": "convlstm", "options": {"hidden": [4], "mask_channels": True},
        "inputs": (
            variable("rain", "precipitation", "mm/d", "Precipitation", "log1p"),
            variable("temp", "temperature", "degC", "Air temperature", "min-max"),
        ),
        "static": (variable("dem", "elevation", "m", "Elevation", "standard"),),
        "target": variable("sm", "soil_moisture", "-", "Soil moisture", "yeo-johnson"),
        "season": True, "window": WINDOW, "lead": 1, "leads": 2, "step_seconds": 86400.0, "cell_size": (1000.0, 1000.0),
    }  # fmt: skip
    return ModelCard(**{**fields, **changes})


def make_job(dataset: Path, model: Path, **changes) -> ExplainJob:
    fields = dict(dataset=str(dataset), model=str(model), date="2001-02-28", device="cpu", steps=12, **CELL)
    return ExplainJob(**{**fields, **changes})
