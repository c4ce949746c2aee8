"""The main job from end to end, without a screen: data, training, prediction, delta, attribution, maps in QGIS, a
project to open.

Runs on the basin that Freshet brings along, through the command and the files that a user has. Everything lands in
build/demo.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "demo"
QGIS_PYTHON = os.environ.get("QGIS_PYTHON", "/usr/bin/python3")
TRAINING_MINUTES = float(os.environ.get("FRESHET_DEMO_MINUTES", "2"))
DAYS = 1095


def main() -> int:
    """Run all steps; the exit status is that of the first which fails."""
    begin = time.monotonic()
    if OUT.exists():
        shutil.rmtree(OUT)
    (OUT / "jobs").mkdir(parents=True)
    say("1 of 6  A basin: terrain, storms, snow, soil, groundwater, rivers")
    basin = write_basin()
    say("2 of 6  Its files onto one grid and one clock")
    freshet("prepare", prepare_job())
    say(
        f"3 of 6  A ConvLSTM learns soil moisture from rain, temperature, PET, elevation ({TRAINING_MINUTES:g} minutes)"
    )
    freshet("train", train_job())
    say("4 of 6  The saved model predicts the test period")
    freshet(
        "predict", {"model": str(model_file()), "dataset": str(OUT / "basin.nc"), "title": "Soil moisture, demo basin"}
    )
    say("5 of 6  What drove one prediction?")
    freshet("explain", explain_job(basin))
    say("6 of 6  Maps in QGIS")
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "XDG_RUNTIME_DIR": str(OUT)}
    subprocess.run([QGIS_PYTHON, str(ROOT / "scripts" / "demo_maps.py"), str(OUT)], check=True, env=environment)
    tell_scores(time.monotonic() - begin)
    return 0


def write_basin():
    """Generate the basin and write the files that a user would have."""
    from freshet.core.data.example_basin import generate_basin
    from freshet.core.data.example_basin import write_basin as write

    basin = generate_basin(seed=1, days=DAYS)
    write(basin, OUT / "files")
    return basin


def prepare_job() -> dict:
    """Several kinds of source: dated GeoTIFFs, a multi-band GeoTIFF, NetCDF, a static map of finer cells."""
    files = "../files"
    return {
        "name": "Demo basin, 2 km, daily",
        "sources": [
            {"variable": "precipitation", "path": f"{files}/precipitation", "quantity": "precipitation"},
            {"variable": "temperature", "path": f"{files}/temperature.tif", "quantity": "temperature"},
            {"variable": "pet", "path": f"{files}/pet.nc", "quantity": "pet"},
            {
                "variable": "soil_moisture",
                "path": f"{files}/soil_moisture.nc",
                "quantity": "soil_moisture",
                "role": "target",
            },
            {"variable": "elevation", "path": f"{files}/elevation.tif", "quantity": "elevation", "role": "static"},
        ],
        "grid": {"like": "soil_moisture"},
        "mask": f"{files}/basin.geojson",
        "output": "../basin.nc",
    }


def train_job() -> dict:
    """A small ConvLSTM, the last fifth of the time held out."""
    return {
        "title": "Soil moisture from rain, temperature and PET",
        "datasets": ["../basin.nc"],
        "target": "soil_moisture",
        "inputs": ["precipitation", "temperature", "pet"],
        "static": ["elevation"],
        "window": 30,
        "model": {"family": "convlstm", "options": {"hidden": [16], "kernel": [3]}},
        "training": {
            "epochs": 100, "patience": 100, "batch": 4, "learning_rate": 0.005, "supervised_steps": 15,
            "window_stride": 4,
            "time_limit_minutes": TRAINING_MINUTES,
        },
    }  # fmt: skip


def explain_job(basin) -> dict:
    """The wettest day of the test period, at the cell of the basin with the most rain on it."""
    import numpy as np

    begin = int(0.8 * DAYS) + 40
    rain = np.where(basin.basin_mask, basin.precipitation_mm[begin:], np.nan)
    day, row, column = np.unravel_index(np.nanargmax(rain), rain.shape)
    date = np.datetime64(basin.dates[begin + int(day)], "D")
    x, y = cell_centre(basin, int(row), int(column))
    return {
        "model": str(model_file()),
        "dataset": str(OUT / "basin.nc"),
        "date": str(date),
        "x": x,
        "y": y,
        "title": f"Why, on {date}",
    }


def cell_centre(basin, row: int, column: int) -> tuple[float, float]:
    """Coordinates of a cell's centre."""
    return basin.west_m + (column + 0.5) * basin.resolution_m, basin.north_m - (row + 0.5) * basin.resolution_m


def freshet(verb: str, job: dict) -> None:
    """One verb of the command, as a user calls it."""
    path = OUT / "jobs" / f"{verb}.json"
    path.write_text(json.dumps(job, indent=2), encoding="utf-8")
    command = [str(Path(sys.executable).parent / "freshet"), verb, str(path), "--run", str(OUT / "runs" / verb)]
    subprocess.run(command, check=True)


def model_file() -> Path:
    """Where the training leaves its model."""
    return OUT / "runs" / "train" / "results" / "model.safetensors"


def tell_scores(seconds: float) -> None:
    """Print the scores of the test period beside the baselines, and where to look."""
    scores = json.loads((OUT / "runs" / "train" / "results" / "scores.json").read_text(encoding="utf-8"))
    say(f"\nTest period {scores['period']['start']} to {scores['period']['end']}, soil moisture")
    for name in ("model", "persistence", "climatology"):
        pooled, median = scores[name]["pooled"], scores[name]["median_per_cell"]
        say(f"  {name:12s} NSE {pooled['nse']:6.3f}   median of cells {median['nse']:6.3f}   RMSE {pooled['rmse']:.4f}")
    say("  (persistence knows yesterday's soil moisture, the model only the weather of the last 90 days,")
    say("   60 of them to warm up)")
    say(f"\nProject to open in QGIS: {OUT / 'freshet-demo.qgz'}\nPicture of the maps:     {OUT / 'maps.png'}")
    say(
        f"Report:                  {OUT / 'runs' / 'train' / 'report.html'}\nAll of it took {seconds / 60:.1f} minutes."
    )


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
