"""The worked examples of docs/uses.md: each use of a model on made data, beside the simple alternative.

Writes everything below build/uses and the pictures into docs/pictures. `scripts/uses.py NAME ...` makes some of them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

import numpy as np
import uses_data
from uses_picture import draw

from freshet.core.data.store import Dataset
from freshet.core.inference.geotiff import read_series

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "uses"
PICTURES = ROOT / "docs" / "pictures"
TRAINING = {"threads": 1, "seed": 1, "patience": 100, "batch": 8}


def main() -> int:
    """Make the examples that are named, or all."""
    wanted = sys.argv[1:] or list(EXAMPLES)
    unknown = [name for name in wanted if name not in EXAMPLES]
    if unknown:
        sys.stderr.write(f"There is no example '{unknown[0]}'. There are: {', '.join(EXAMPLES)}.\n")
        return 2
    kept = OUT / "figures.json"
    figures = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    for name in wanted:
        begin = time.monotonic()
        say(f"\n{name}")
        folder = OUT / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        figures[name] = EXAMPLES[name](folder)
        say(f"  {time.monotonic() - begin:.0f} s")
    kept.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0


def merge_products(folder: Path) -> dict[str, Any]:
    """Two rain products merged against a reference."""
    made = uses_data.basin()
    held = uses_data.write_products(made, folder)
    rain = {"quantity": "precipitation", "units": "mm/d"}
    sources = [
        {"variable": "satellite", "path": "satellite.tif", **rain},
        {"variable": "reanalysis", "path": "reanalysis.tif", **rain},
        {"variable": "reference", "path": "reference.tif", "role": "target", **rain},
        ELEVATION,
    ]
    prepare(folder, sources, like="reference")
    train(folder, {
        "use": "merge-products", "target": "reference", "inputs": ["satellite", "reanalysis"],
        "static": ["elevation"], "training": {"epochs": 12},
    })  # fmt: skip
    predicted, index = predicted_maps(folder, made)
    truth, products = held["truth"][index], [held["satellite"][index], held["reanalysis"][index]]
    maps = {
        "reference": truth, "satellite": products[0], "reanalysis": products[1], "mean of both": sum(products) / 2,
        "merged": predicted,
    }  # fmt: skip
    day = int(np.argmax(truth.mean(axis=(1, 2))))
    picture("merge-products", maps, day, "mm/d", "YlGnBu")
    return table({name: scores(values, truth) for name, values in maps.items() if name != "reference"}, "mm/d")


def correct_bias(folder: Path) -> dict[str, Any]:
    """A product corrected by 12 gauges, judged at 6 others and at all cells."""
    made = uses_data.basin()
    held = uses_data.write_gauges(made, folder)
    rain = {"quantity": "precipitation", "units": "mm/d"}
    gauges = {"role": "target", "points": {"gridding": "cell"}, "crs": made.crs, **rain}
    sources = [
        {"variable": "product", "path": "product.tif", **rain},
        {"variable": "gauges", "path": "gauges.csv", **gauges},
        {"variable": "kept_apart", "path": "kept_apart.csv", **gauges},
        ELEVATION,
    ]
    prepare(folder, sources, like="product")
    run = train(folder, {
        "use": "correct-bias", "target": "gauges", "inputs": ["product"], "static": ["elevation"],
        "training": {"epochs": 16},
    })  # fmt: skip
    model = str(run / "results" / "model.safetensors")
    freshet(folder, "evaluate", {"model": model, "dataset": "data.nc", "against": "kept_apart"})
    apart = json.loads((folder / "runs" / "evaluate" / "results" / "scores.json").read_text(encoding="utf-8"))
    say(f"  'freshet evaluate' by the gauges kept apart: RMSE {apart['model']['pooled']['rmse']:.2f} mm/d")
    predicted, index = predicted_maps(folder, made)
    truth, product = held["truth"][index], held["product"][index]
    before = np.arange(len(made.dates)) < index[0]
    cells = held["train"]
    sums = [values[before].reshape(before.sum(), -1)[:, cells].sum() for values in (held["truth"], held["product"])]
    maps = {"truth": truth, "product": product, "one factor": product * (sums[0] / sums[1]), "corrected": predicted}
    day = int(np.argmax(truth.mean(axis=(1, 2))))
    picture("correct-bias", maps, day, "mm/d", "YlGnBu", gauges=(held["train"], held["apart"]))
    rows = {name: values for name, values in maps.items() if name != "truth"}
    at = {f"{name}, 6 gauges": scores(at_cells(v, held["apart"]), at_cells(truth, held["apart"]))
          for name, v in rows.items()}  # fmt: skip
    return table({**at, **{f"{name}, all cells": scores(v, truth) for name, v in rows.items()}}, "mm/d")


def downscale(folder: Path) -> dict[str, Any]:
    """Coarse air temperature brought to fine cells by the fine elevation."""
    made = uses_data.basin()
    held = uses_data.write_coarse(made, folder)
    air = {"quantity": "temperature", "units": "degC"}
    sources = [
        {"variable": "coarse", "path": "coarse.tif", "resampling": "bilinear", **air},
        {"variable": "fine", "path": "fine.tif", "role": "target", **air},
        ELEVATION,
    ]
    prepare(folder, sources, like="fine")
    train(folder, {
        "use": "downscale", "target": "fine", "inputs": ["coarse"], "static": ["elevation"],
        "training": {"epochs": 40, "batch": 4},
    })  # fmt: skip
    predicted, index = predicted_maps(folder, made)
    truth, coarse = held["truth"][index], held["coarse"]
    with Dataset.open(folder / "data.nc") as dataset:
        bilinear = dataset.dynamic("coarse")[index]
    rate = lapse_rate(coarse[: index[0]], made.elevation_m)
    by_rate = bilinear + rate * (made.elevation_m - coarsely(made.elevation_m))
    blocks = np.repeat(np.repeat(coarse[index], uses_data.COARSE, axis=1), uses_data.COARSE, axis=2)
    maps = {
        "fine, the truth": truth, "coarse": blocks, "bilinear": bilinear, "bilinear, lapse rate": by_rate,
        "downscaled": predicted,
    }  # fmt: skip
    picture("downscale", maps, int(np.argmin(truth.mean(axis=(1, 2)))), "degC", "RdYlBu_r")
    return table({name: scores(v, truth) for name, v in maps.items() if name != "fine, the truth"}, "degC")


def fill_gaps(folder: Path) -> dict[str, Any]:
    """Soil moisture under clouds, filled and judged where it was hidden, and against the truth where it was missing."""
    made = uses_data.basin()
    held = uses_data.write_clouds(made, folder)
    sources = [
        {"variable": "soil_moisture", "path": "soil_moisture.tif", "quantity": "soil_moisture", "role": "target"},
        {"variable": "precipitation", "path": "precipitation.tif", "quantity": "precipitation"},
    ]
    prepare(folder, sources, like="soil_moisture")
    run = train(folder, {
        "use": "fill-gaps", "target": "soil_moisture", "inputs": ["soil_moisture", "precipitation"],
        "training": {"epochs": 12},
    })  # fmt: skip
    found = json.loads((run / "results" / "scores.json").read_text(encoding="utf-8"))
    rows = {f"{name}, where hidden": (found[key]["pooled"]["rmse"], found[key]["pooled"]["bias"])
            for key, name in (("climatology", "climatology"), ("interpolation", "linear in time"),
                              ("model", "filled"))}  # fmt: skip
    predicted, index = predicted_maps(folder, made, "filled")
    truth, seen = held["truth"][index], held["seen"][index]
    linear = linear_in_time(held["seen"])[index]
    maps = {"truth": truth, "seen": seen, "linear in time": linear, "filled": predicted}
    hidden = np.isnan(seen) & np.isfinite(truth)
    day = best_day(hidden, made.basin_mask, linear, truth)
    picture("fill-gaps", maps, day, "-", "YlGnBu")
    for name in ("linear in time", "filled"):
        rows[f"{name}, under the clouds"] = scores(np.where(hidden, maps[name], np.nan), truth)
    return table(rows, "-")


def nowcast_rain(folder: Path) -> dict[str, Any]:
    """An hour of moving rain, ten minutes a step."""
    held = uses_data.write_rain(folder)
    sources = [{"variable": "rain", "path": "rain.tif", "quantity": "rain_rate", "units": "mm/h", "role": "target"}]
    prepare(folder, sources, like="rain")
    run = train(folder, {"use": "nowcast-rain", "target": "rain", "training": NOWCAST})
    simple = train(folder, {"use": "nowcast-rain", "target": "rain", "model": {"family": "advection"}}, "advection")
    by_lead = {}
    for name, path in (("advection", simple), ("nowcast", run)):
        found = json.loads((path / "results" / "scores.json").read_text(encoding="utf-8"))["by_lead"]
        by_lead[name] = [lead["model"]["pooled"]["rmse"] for lead in found]
        by_lead["persistence"] = [lead["persistence"]["pooled"]["rmse"] for lead in found]
    for name, values in by_lead.items():
        say(f"  {name:12s} RMSE by lead " + "  ".join(f"{value:.2f}" for value in values) + " mm/h")
    lead = 3
    maps, dates = {}, None
    for name, path in (("advection", simple), ("nowcast", run)):
        series = read_series(path / "results" / f"predicted_lead{lead}.tif")
        maps[name], dates = series.values, series.dates
    steps = ((dates - np.datetime64("2021-06-01", "s")) / np.timedelta64(600, "s")).astype(int)
    truth = held["truth"][steps]
    shown = {"observed": truth, "persistence": held["truth"][steps - lead], **maps}
    picture("nowcast-rain", shown, int(np.argmax(truth.mean(axis=(1, 2)))), "mm/h", "YlGnBu", note="30 minutes ahead")
    return by_lead


ELEVATION = {"variable": "elevation", "path": "elevation.tif", "quantity": "elevation", "units": "m", "role": "static"}
NOWCAST = {"epochs": 16, "window_stride": 4, "batch": 4}
EXAMPLES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "merge-products": merge_products,
    "correct-bias": correct_bias,
    "downscale": downscale,
    "fill-gaps": fill_gaps,
    "nowcast-rain": nowcast_rain,
}


def prepare(folder: Path, sources: list[dict], like: str) -> None:
    """One dataset of the files of an example."""
    job = {"name": folder.name, "sources": sources, "grid": {"like": like}, "output": "data.nc"}
    freshet(folder, "prepare", job)


def train(folder: Path, job: dict[str, Any], name: str = "train") -> Path:
    """Train as the job says; gives the run's folder."""
    job = {**job, "datasets": ["data.nc"], "training": {**TRAINING, **job.get("training", {})}}
    return freshet(folder, "train", job, name)


def freshet(folder: Path, verb: str, job: dict[str, Any], name: str = "") -> Path:
    """One verb of the command, as a person calls it."""
    path, run = folder / f"{name or verb}.json", folder / "runs" / (name or verb)
    path.write_text(json.dumps(job, indent=2), encoding="utf-8")
    command = [str(Path(sys.executable).parent / "freshet"), verb, str(path), "--run", str(run), "--quiet"]
    subprocess.run(command, check=True)
    return run


def predicted_maps(folder: Path, made: Any, kind: str = "predicted") -> tuple[np.ndarray, np.ndarray]:
    """Maps of the test period (n, H, W) and which days they are (n,)."""
    series = read_series(folder / "runs" / "train" / "results" / f"{kind}.tif")
    return series.values, np.searchsorted(made.dates.astype("datetime64[s]"), series.dates)


def at_cells(maps: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Values (n, G) of some cells by their flat index."""
    return maps.reshape(len(maps), -1)[:, cells]


def scores(values: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """RMSE and bias over all that both have."""
    error = (values - truth)[np.isfinite(values) & np.isfinite(truth)]
    return float(np.sqrt(np.mean(error**2))), float(error.mean())


def lapse_rate(coarse: np.ndarray, elevation: np.ndarray) -> float:
    """Degrees a metre by regression over the coarse cells: what one knows without fine maps."""
    size = uses_data.COARSE
    height = elevation.reshape(coarse.shape[1], size, coarse.shape[2], size).mean(axis=(1, 3))
    return float(np.polyfit(height.ravel(), coarse.mean(axis=0).ravel(), 1)[0])


def coarsely(elevation: np.ndarray) -> np.ndarray:
    """The elevation as the coarse cells have it, bilinear between their centres, as the coarse maps are."""
    from scipy.ndimage import map_coordinates

    size = uses_data.COARSE
    rows, columns = elevation.shape
    coarse = elevation.reshape(rows // size, size, columns // size, size).mean(axis=(1, 3))
    place = np.meshgrid(*((np.arange(n) + 0.5) / size - 0.5 for n in elevation.shape), indexing="ij")
    return map_coordinates(coarse, place, order=1, mode="nearest")


def linear_in_time(seen: np.ndarray) -> np.ndarray:
    """Each cell interpolated linearly between the days on which it was seen."""
    days, out = np.arange(len(seen)), np.full(seen.shape, np.nan)
    for row, column in zip(*np.nonzero(np.isfinite(seen).any(axis=0))):
        values = seen[:, row, column]
        known = np.isfinite(values)
        out[:, row, column] = np.interp(days, days[known], values[known])
    return out


def best_day(hidden: np.ndarray, mask: np.ndarray, simple: np.ndarray, truth: np.ndarray) -> int:
    """A day with about half of the basin missing, on which the weather changed."""
    share = hidden[:, mask].mean(axis=1)
    error = np.nanmean(np.abs(np.where(hidden, simple - truth, np.nan))[:, mask], axis=1)
    return int(np.nanargmax(np.where((share > 0.4) & (share < 0.8), error, -1.0)))


def table(rows: dict[str, tuple[float, float]], units: str) -> dict[str, Any]:
    """Print RMSE and bias of each; gives them."""
    for name, (rmse, bias) in rows.items():
        say(f"  {name:34s} RMSE {rmse:7.4f}   bias {bias:8.4f} {units}")
    return {name: list(values) for name, values in rows.items()}


def picture(
    name: str, maps: dict[str, np.ndarray], day: int, units: str, ramp: str, note: str = "",
    gauges: Optional[tuple[np.ndarray, np.ndarray]] = None,
) -> None:  # fmt: skip
    """One date of all maps side by side, into the documentation."""
    draw(PICTURES / f"use-{name}.png", {key: values[day] for key, values in maps.items()}, units, ramp, note, gauges)


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
