"""The verb import-model: what the file does not say comes from job and dataset, or is asked for in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from freshet.core.contracts import (
    ConfigError,
    DataError,
    EventKind,
    ImportModelJob,
    PeriodConfig,
    PredictJob,
    RunFolder,
)
from freshet.core.data.store import Dataset
from freshet.core.inference.exchange.importing import import_model, read_foreign
from freshet.core.inference.predict import predict
from freshet.core.training.model_file import load_model
from freshet.core.worker.cli import main

SCALERS = {
    "rain": {"kind": "standard", "mean": 3.0, "std": 5.0},
    "warmth": {"kind": "min-max", "minimum": -10.0, "maximum": 30.0},
    "height": "standard",
    "store": {"kind": "log1p", "mean": 1.5, "std": 0.8},
    "wet": {"kind": "none"},
}


def job_of(keras_models, dataset_path, name="thesis-keras3.keras", **changes):
    values = {
        "source": str(keras_models[name][0]),
        "dataset": str(dataset_path),
        "channels": ("rain", "height", "warmth"),
        "target": "store",
        "scalers": {key: SCALERS[key] for key in ("rain", "warmth", "height", "store")},
        "lead": 1,
        "window": 5,
        **changes,
    }
    return ImportModelJob(**values)


def run_job(job, folder):
    run = RunFolder.create(folder, "import-model", job)
    events = list(import_model(job, run))
    return run, [event.values["text"] for event in events if event.kind is EventKind.MESSAGE]


def test_the_model_file_predicts_what_keras_would(keras_models, dataset_path, tmp_path):
    """From raw values: scaled by hand, in the order of the training, through the equations of the file, scaled back."""
    job = job_of(keras_models, dataset_path, period=PeriodConfig("2001-01-01", "2001-01-20"), licence="CC BY 4.0")
    run, texts = run_job(job, tmp_path)
    module, card = load_model(run.model_file)
    assert [v.name for v in card.inputs] == ["rain", "warmth"] and [v.name for v in card.static] == ["height"]
    assert (card.window, card.lead, card.leads, card.season) == (5, 1, 1, False)
    assert card.licence == "CC BY 4.0" and card.training["imported"].startswith("Keras 3.")
    assert card.periods == {"train": ["2001-01-01T00:00:00", "2001-01-20T00:00:00"]}
    assert card.parameters == sum(p.numel() for p in module.parameters())
    assert any("fitted anew" in text and "'height'" in text for text in texts)
    assert any("Random windows of two lengths" in text for text in texts)

    with Dataset.open(dataset_path) as dataset:
        rain, warmth, height = dataset.dynamic("rain"), dataset.dynamic("warmth"), dataset.static_map("height")
        known = dataset.dynamic("store")[:20]
    fixed = np.broadcast_to((height - height.mean(dtype=float)) / height.std(dtype=float), rain.shape)
    scaled = np.stack([(rain - 3.0) / 5.0, fixed, (warmth + 10.0) / 40.0], axis=1)
    expected = read_foreign(Path(job.source))
    scaled_out = expected.predict(scaled[10:15].astype(np.float32))[0]
    by_hand = np.expm1(scaled_out * 0.8 + 1.5)

    asked = PredictJob(str(run.model_file), str(dataset_path), PeriodConfig("2001-01-16", "2001-01-16"), device="cpu")
    made = RunFolder.create(tmp_path, "predict", asked)
    list(predict(asked, made))
    import rasterio

    with rasterio.open(made.results / "predicted.tif") as maps:
        found = maps.read(1)
    low, high = (np.log1p(known.min()) - 1.5) / 0.8, (np.log1p(known.max()) - 1.5) / 0.8
    inside = (scaled_out > low - 0.4 * (high - low)) & (scaled_out < high + 0.4 * (high - low))
    assert inside.any() and np.allclose(found[inside], by_hand[inside], rtol=1e-4)


@pytest.mark.parametrize("name", ["options-keras2.h5", "options-keras3.keras"])
def test_two_maps_are_two_targets_or_two_leads(keras_models, dataset_path, tmp_path, name):
    scalers = {key: SCALERS[key] for key in ("rain", "warmth", "wet", "store")}
    common = {"window": None, "channels": ("rain", "warmth", "wet"), "scalers": scalers}
    run, _ = run_job(job_of(keras_models, dataset_path, name, also=("wet",), **common), tmp_path)
    module, card = load_model(run.model_file)
    assert [v.name for v in card.targets] == ["store", "wet"] and (card.leads, card.window) == (1, 6)
    run, _ = run_job(job_of(keras_models, dataset_path, name, **common), tmp_path)
    assert load_model(run.model_file)[1].leads == 2
    with torch.inference_mode():
        assert module(torch.zeros(1, 4, 3, 9, 8))["y_hat"].shape == (1, 1, 2, 9, 8)


def test_scalers_from_a_file(keras_models, dataset_path, tmp_path):
    path = tmp_path / "scalers.json"
    path.write_text(json.dumps({**SCALERS, "unused": {"kind": "none"}}), encoding="utf-8")
    job = job_of(keras_models, dataset_path, scalers={"rain": "none"}, scalers_file=str(path))
    run, _ = run_job(job, tmp_path)
    card = load_model(run.model_file)[1]
    assert card.inputs[0].scaler["kind"] == "none" and card.target.scaler["shift"] == 1.5
    assert card.inputs[1].scaler == {
        "kind": "min-max", "shift": -10.0, "width": 40.0, "low": pytest.approx(card.inputs[1].scaler["low"]),
        "high": pytest.approx(card.inputs[1].scaler["high"]),
    }  # fmt: skip
    path.write_text("[1]", encoding="utf-8")
    with pytest.raises(ConfigError, match="holds no scalers"):
        run_job(job, tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        run_job(job.replace(scalers_file=str(tmp_path / "none.json")), tmp_path)


def test_a_one_hot_map_takes_as_many_channels_as_classes(keras_models, dataset_path, tmp_path):
    scalers = {"rain": "standard", "height": {"kind": "one-hot", "classes": [100.0, 900.0]}, "store": "standard"}
    job = job_of(keras_models, dataset_path, channels=("height", "rain"), scalers=scalers)
    module, card = load_model(run_job(job, tmp_path)[0].model_file)
    assert card.static_channels == 2 and module.in_channels == 1


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"scalers": {"rain": SCALERS["rain"]}}, "not known how 'height', 'warmth', 'store' was scaled"),
        ({"window": None}, "does not say how many steps"),
        ({"channels": ("rain", "warmth"), "scalers": SCALERS}, "which the model does not use"),
        ({"channels": ("rain", "warmth"), "scalers": dict.fromkeys(("rain", "warmth", "store"), "none")}, "as many"),
        ({"channels": ("rain", "warmth", "wind")}, "no variable 'wind'"),
        ({"also": ("wet",), "scalers": SCALERS}, "do not fit the targets"),
        ({"target": "height"}, "cannot be predicted"),
        ({"period": PeriodConfig("1990-01-01", "1990-12-31")}, "holds no date"),
        ({"channels": ("height",), "scalers": {"height": "none", "store": "none"}}, "Only static maps"),
    ],
)
def test_what_is_missing_is_asked_for(keras_models, dataset_path, tmp_path, changes, words):
    with pytest.raises((ConfigError, DataError), match=words):
        run_job(job_of(keras_models, dataset_path, **changes), tmp_path)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"lead": None}, "which step"),
        ({"channels": ()}, "which variables"),
        ({"channels": ("rain", "rain")}, "twice"),
        ({"source": ""}, "No model to import"),
        ({"scalers": {"rain": "best"}}, "not known"),
        ({"scalers": {"rain": {"kind": "standard", "mean": 1.0}}}, "not complete"),
        ({"scalers": {"rain": {"kind": "standard", "mean": 1.0, "std": 0.0}}}, "cannot be used"),
        ({"scalers": {"rain": {"kind": "min-max", "minimum": "a", "maximum": 1}}}, "cannot be used"),
        ({"scalers": {"rain": {"kind": "one-hot", "classes": []}}}, "cannot be used"),
        ({"scalers": {"rain": 3}}, "not clear"),
    ],
)
def test_a_job_that_cannot_be_is_refused(keras_models, dataset_path, changes, words):
    with pytest.raises(ConfigError, match=words):
        job_of(keras_models, dataset_path, **changes)


def test_another_grid_is_said(keras_models, dataset_path, tmp_path):
    _, texts = run_job(job_of(keras_models, dataset_path), tmp_path)
    assert not any("was built for" in text for text in texts)  # 6 x 5, as the dataset
    foreign = read_foreign(keras_models["thesis-keras3.keras"][0])
    assert foreign.grid == (6, 5)


def test_the_command_takes_paths_beside_the_job_file(keras_models, dataset_path, tmp_path, capfd):
    values = job_of(keras_models, dataset_path).to_dict()
    (tmp_path / "model.keras").write_bytes(keras_models["thesis-keras3.keras"][0].read_bytes())
    (tmp_path / "scalers.json").write_text(json.dumps(values.pop("scalers")), encoding="utf-8")
    values.update(source="model.keras", scalers_file="scalers.json")
    (tmp_path / "job.json").write_text(json.dumps(values), encoding="utf-8")
    status = main(["import-model", str(tmp_path / "job.json"), "--run", str(tmp_path / "run")])
    assert status == 0 and "model: results/model.safetensors" in capfd.readouterr().out
    assert RunFolder(tmp_path / "run").model_file.is_file()
