"""A small run of each use, by the command; what fills gaps leaves filled maps and is judged where it was blind."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from toy import rain_and_store  # noqa: E402

from freshet.core.contracts.grid import Grid  # noqa: E402
from freshet.core.contracts.model_card import read_card  # noqa: E402
from freshet.core.contracts.run_folder import RunFolder  # noqa: E402
from freshet.core.contracts.uses import USE_NAMES  # noqa: E402
from freshet.core.data.store import Dataset  # noqa: E402
from freshet.core.inference.geotiff import read_series, write_map, write_series  # noqa: E402
from freshet.core.worker.cli import main  # noqa: E402

STEPS, ROWS, COLUMNS = 70, 8, 8
GRID = Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 1000.0, 1000.0, COLUMNS, ROWS)
DATES = np.datetime64("2001-01-01", "s") + np.arange(STEPS) * np.timedelta64(86400, "s")
TRAINING = {"epochs": 2, "threads": 1, "batch": 8}
JOBS = {
    "simulate": {"target": "reference", "inputs": ["satellite"], "window": 4, "warm_up": 0},
    "forecast": {"target": "reference", "inputs": ["reference"], "window": 4, "warm_up": 0},
    "merge-products": {"target": "reference", "inputs": ["satellite", "reanalysis"], "static": ["elevation"]},
    "correct-bias": {"target": "gauges", "inputs": ["satellite"], "static": ["elevation"]},
    "downscale": {"target": "reference", "inputs": ["reanalysis"], "static": ["elevation"]},
    "fill-gaps": {"target": "wet", "inputs": ["wet", "satellite"]},
    "nowcast-rain": {"target": "reference", "leads": 2},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Products, a reference, gauges in their cells and kept apart, soil moisture with gaps, elevation: prepared."""
    place = tmp_path_factory.mktemp("uses")
    rng = np.random.default_rng(3)
    rain, store = rain_and_store(STEPS, ROWS, COLUMNS)
    wet = store / store.max()
    wet[rng.random(wet.shape) < 0.3] = np.nan
    wet[30] = np.nan
    maps = {"satellite": 0.7 * rain, "reanalysis": rain + 0.5, "reference": rain, "wet": wet}
    for name, values in maps.items():
        write_series(place / f"{name}.tif", values, GRID, DATES, units="-" if name == "wet" else "mm/d", label=name)
    write_map(place / "elevation.tif", np.linspace(0, 900, 64).reshape(8, 8), GRID, units="m", label="elevation")
    for name, cells in (("gauges", (9, 22, 40, 41)), ("apart", (13, 50))):
        with open(place / f"{name}.csv", "w", encoding="utf-8", newline="") as stream:
            lines = csv.writer(stream)
            lines.writerow(["station", "date", "x", "y", "rain"])
            for day, values in zip(DATES, rain.reshape(STEPS, -1)):
                for cell in cells:
                    x, y = GRID.west + (cell % COLUMNS + 0.4) * 1000, GRID.north - (cell // COLUMNS + 0.7) * 1000
                    lines.writerow([f"G{cell}", str(day)[:10], x, y, f"{values[cell]:.3f}"])
    fall = {"quantity": "precipitation", "units": "mm/d"}
    spots = {**fall, "role": "target", "points": {"gridding": "cell"}, "crs": GRID.crs}
    sources = [
        *({"variable": n, "path": f"{n}.tif", **fall} for n in ("satellite", "reanalysis")),
        {"variable": "reference", "path": "reference.tif", "role": "input", **fall},
        {"variable": "gauges", "path": "gauges.csv", **spots},
        {"variable": "apart", "path": "apart.csv", **spots},
        {"variable": "wet", "path": "wet.tif", "quantity": "soil_moisture"},
        {"variable": "elevation", "path": "elevation.tif", "quantity": "elevation", "units": "m", "role": "static"},
    ]
    job = {"name": "uses", "sources": sources, "grid": {"like": "satellite"}, "output": "data.nc"}
    (place / "prepare.json").write_text(json.dumps(job))
    assert main(["prepare", str(place / "prepare.json"), "--run", str(place / "prepared"), "--quiet"]) == 0
    return place


def run(folder, verb, job, name, *more):
    (folder / f"{name}.json").write_text(json.dumps(job))
    assert main([verb, str(folder / f"{name}.json"), "--run", str(folder / name), "--quiet", *more]) == 0
    return folder / name / "results"


def train(folder, use, name="", **changes):
    job = {"datasets": ["data.nc"], "training": TRAINING, **JOBS[use], **changes}
    return run(folder, "train", job, name or use, "--use", use)


def test_gauges_stand_in_their_cells_and_do_not_narrow_the_mask(folder):
    with Dataset.open(folder / "data.nc") as dataset:
        assert dataset.mask.all() and not dataset.variables["gauges"].gauges
        held = np.isfinite(dataset.dynamic("gauges"))
        assert (np.flatnonzero(held.any(axis=0)) == [9, 22, 40, 41]).all() and held[:, 1, 1].all()
        rain = dataset.dynamic("reference")
        assert np.allclose(dataset.dynamic("gauges")[held], rain[held], atol=1e-3)
        assert dataset.variables["gauges"].resampling == "in the cells of the gauges"


@pytest.mark.parametrize("use", USE_NAMES)
def test_each_use_runs_and_its_card_remembers_it(folder, use):
    results = train(folder, use)
    card = read_card(results / "model.safetensors")
    assert card.use == use and card.target.name == JOBS[use]["target"]
    predicted = read_series(results / "predicted.tif").values
    assert np.isfinite(predicted).all()  # everywhere, also where no gauge is
    scores = json.loads((results / "scores.json").read_text())
    assert ("interpolation" in scores) == (use == "fill-gaps") and scores["model"]["pooled"]["rmse"] > 0


def test_a_use_by_its_key_is_that_by_its_option(folder):
    by_option = train(folder, "merge-products", "option")
    by_key = run(
        folder, "train", {"use": "merge-products", "datasets": ["data.nc"], "training": TRAINING,
                          **JOBS["merge-products"]}, "key",
    )  # fmt: skip
    first, second = (json.loads((path.parent / "job.json").read_text())["job"] for path in (by_option, by_key))
    assert first == second and first["use"] == "merge-products" and first["window"] == 3


def test_filled_maps_are_observed_where_observed_and_predicted_elsewhere(folder):
    results = train(folder, "fill-gaps", "filling")
    model = str(results / "model.safetensors")
    run(folder, "predict", {"model": model, "dataset": "data.nc", "period": {"start": "2001-01-20"}}, "fill")
    filled, predicted, observed = (
        read_series(folder / "fill" / "results" / f"{name}.tif") for name in ("filled", "predicted", "observed")
    )
    assert (filled.dates == predicted.dates).all() and np.datetime64("2001-01-31") in filled.dates
    rows = np.searchsorted(observed.dates, filled.dates)
    truth = observed.values[rows]
    seen = np.isfinite(truth)
    assert np.array_equal(filled.values[seen], truth[seen])
    assert np.array_equal(filled.values[~seen], predicted.values[~seen]) and np.isfinite(filled.values).all()
    assert (~seen).any() and not np.array_equal(predicted.values[seen], truth[seen])
    # The delta is where it was hidden, and nowhere else: a share of what was observed.
    delta = np.isfinite(read_series(folder / "fill" / "results" / "delta.tif").values)
    assert not (delta & ~seen).any()
    for judged, known in zip(delta, seen):
        assert judged.sum() == round(0.3 * known.sum())
    made = {item.kind: item for item in RunFolder(folder / "fill").artifacts()}
    assert made["filled"].path == "results/filled.tif" and "predicted elsewhere" in made["filled"].note


def test_evaluate_and_predict_judge_by_the_same_hidden_cells(folder):
    model = str(train(folder, "fill-gaps", "judged") / "model.safetensors")
    period = {"start": "2001-01-20", "end": "2001-02-20"}
    found = [
        json.loads((run(folder, verb, {"model": model, "dataset": "data.nc", "period": period}, f"by-{verb}")
                    / "scores.json").read_text())
        for verb in ("predict", "evaluate")
    ]  # fmt: skip
    for name in ("model", "interpolation", "persistence", "climatology"):
        assert found[0][name] == found[1][name]
    assert found[0]["skill"]["against_interpolation"] is not None
    assert "those hidden from it" in found[0]["inputs"]
    assert "Interpolation: linear in time" in (folder / "by-predict" / "report.html").read_text()


def test_a_corrected_product_is_judged_by_gauges_kept_apart(folder, capsys):
    model = str(train(folder, "correct-bias", "corrected") / "model.safetensors")
    results = run(folder, "evaluate", {"model": model, "dataset": "data.nc", "against": "apart"}, "apart-gauges")
    found = json.loads((results / "scores.json").read_text())
    predicted = read_series(folder / "corrected" / "results" / "predicted.tif")
    with Dataset.open(folder / "data.nc") as dataset:
        truth = dataset.dynamic("apart")[np.searchsorted(dataset.times, predicted.dates)]
    error = (predicted.values - truth)[np.isfinite(truth)]
    assert found["target"]["name"] == "apart" and found["model"]["pooled"]["count"] == error.size == 2 * len(truth)
    assert found["model"]["pooled"]["rmse"] == pytest.approx(float(np.sqrt(np.mean(error**2))), rel=1e-4)
    (folder / "wrong.json").write_text(json.dumps({"model": model, "dataset": "data.nc", "against": "wet"}))
    assert main(["evaluate", str(folder / "wrong.json"), "--run", str(folder / "wrong"), "--quiet"]) == 2
    assert "cannot be judged by 'wet'" in capsys.readouterr().err


def test_a_filling_can_be_explained_and_trained_further(folder):
    model = str(train(folder, "fill-gaps", "first") / "model.safetensors")
    job = {"model": model, "dataset": "data.nc", "date": "2001-02-10", "x": GRID.west + 3500, "y": GRID.north - 3500}
    results = run(folder, "explain", {**job, "steps": 4}, "why")
    assert list(results.glob("*.tif"))
    job = {"model": model, "datasets": ["data.nc"], "training": {**TRAINING, "epochs": 1}}
    card = read_card(run(folder, "finetune", job, "further") / "model.safetensors")
    assert (card.hidden_share, card.hiding, card.lead) == (0.3, "blocks", -3)
    assert (folder / "further" / "results" / "filled.tif").exists()


def test_the_command_lists_the_uses(capsys):
    assert main(["uses"]) == 0
    printed = capsys.readouterr().out
    assert all(f"{name}: " in printed for name in USE_NAMES) and "needs:" in printed
    assert main(["uses", "fill-gaps"]) == 0 and '"hidden_share": 0.3' in capsys.readouterr().out
    assert main(["uses", "upscale"]) == 2 and "There is no use 'upscale'" in capsys.readouterr().err


def test_what_a_use_lacks_is_one_sentence_and_exit_status_2(folder, capsys):
    (folder / "lacks.json").write_text(json.dumps({"datasets": ["data.nc"], "target": "reference", "inputs": ["wet"]}))
    assert main(["train", str(folder / "lacks.json"), "--use", "merge-products", "--run", str(folder / "no")]) == 2
    assert "correct-bias" in capsys.readouterr().err and not (folder / "no").exists()
    job = {"datasets": ["data.nc"], "target": "reference", "inputs": ["wet", "satellite"]}
    (folder / "lacks.json").write_text(json.dumps(job))
    assert main(["train", str(folder / "lacks.json"), "--use", "merge-products", "--run", str(folder / "no")]) == 2
    assert "two inputs or more of the quantity and unit of 'reference'" in capsys.readouterr().err
