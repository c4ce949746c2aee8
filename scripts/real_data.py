"""The main job on real packs, by the command: ``real_data.py PACK DATA_FOLDER OUT_FOLDER [MINUTES] [SEED] [KEY=VALUE
...]``; PACK is moselle or rhine.

Prepares, trains, judges on the last 20 % of the time, prints the scores beside persistence and climatology. The packs
are not part of Freshet.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

STATIC_MOSELLE = {
    "elevation": ("elevation_m_4km.tif", "elevation"),
    "slope": ("slope_deg_4km.tif", "slope"),
    "soil": ("soil_class_4km.tif", "soil_class"),
    "leaf_area": ("lai_class_4km.tif", "class_map"),
    "land_cover": ("landcover_1991_4km.tif", "land_cover"),
    "geology": ("geology_class_4km.tif", "class_map"),
}


def moselle(data: Path, out: Path, minutes: float, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Soil moisture of the day from rain, temperature and PET of the last 30 days and static maps."""
    source = str(data / "mhm_moselle" / "mhm_moselle_4km_1990_1993.nc")
    dynamic = {"pre": "precipitation", "tavg": "temperature", "pet": "pet", "sm_l1": "soil_moisture"}
    sources = [
        {
            "variable": name,
            "layer": name,
            "path": source,
            "quantity": kind,
            "role": "target" if name == "sm_l1" else "input",
        }
        for name, kind in dynamic.items()
    ]
    for name, (file, kind) in STATIC_MOSELLE.items():
        path = str(data / "mhm_moselle" / "static" / file)
        sources.append({"variable": name, "path": path, "quantity": kind, "role": "static"})
    prepare = {
        "name": "Moselle 4 km, daily 1990-1993",
        "sources": sources,
        "grid": {"like": "sm_l1"},
        "output": str(out / "moselle.nc"),
    }
    train = {
        "title": "Soil moisture of the Moselle",
        "datasets": [str(out / "moselle.nc")],
        "target": "sm_l1",
        "inputs": ["pre", "tavg", "pet"],
        "static": list(STATIC_MOSELLE),
        "window": 30,
        "model": {"family": "convlstm", "options": {"hidden": [24], "kernel": [3]}},
        "training": {
            "epochs": 200, "patience": 200, "batch": 4, "learning_rate": 0.005, "supervised_steps": 20,
            "window_stride": 5,
            "time_limit_minutes": minutes, "seed": seed,
        },
    }  # fmt: skip
    return prepare, train


def rhine(data: Path, out: Path, minutes: float, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """log1p of the water entering the river from four folders of dated GeoTIFFs."""
    kinds = {"precipitation": "precipitation", "pet": "pet", "temperature": "temperature", "inwater": "inwater"}
    folder = data / "wflow_rhine"
    sources = [
        {
            "variable": name,
            "path": str(folder / name),
            "quantity": kind,
            "role": "target" if name == "inwater" else "input",
        }
        for name, kind in kinds.items()
    ]
    for name, kind in (("dem_m", "elevation"), ("streamorder", "class_map"), ("landuse", "land_cover")):
        sources.append(
            {"variable": name, "path": str(folder / "static" / f"{name}.tif"), "quantity": kind, "role": "static"}
        )
    prepare = {
        "name": "Rhine upstream of Lobith, daily 1995",
        "sources": sources,
        "grid": {"like": "inwater"},
        "output": str(out / "rhine.nc"),
    }
    train = {
        "title": "Water entering the rivers of the Rhine",
        "datasets": [str(out / "rhine.nc")],
        "target": "inwater",
        "inputs": ["precipitation", "pet", "temperature"],
        "static": ["dem_m", "streamorder", "landuse"],
        "window": 10,
        "scalers": {"inwater": "log1p"},
        "model": {"family": "convlstm", "options": {"hidden": [16], "kernel": [3]}},
        "training": {
            "epochs": 200, "patience": 200, "batch": 2, "learning_rate": 0.005, "supervised_steps": 5,
            "window_stride": 3,
            "time_limit_minutes": minutes, "seed": seed,
        },
    }  # fmt: skip
    return prepare, train


def main(arguments: list[str]) -> int:
    """Run one pack."""
    pack, data, out = arguments[0], Path(arguments[1]).resolve(), Path(arguments[2]).resolve()
    minutes = float(arguments[3]) if len(arguments) > 3 else 15.0
    seed = int(arguments[4]) if len(arguments) > 4 else 1
    prepare, train = {"moselle": moselle, "rhine": rhine}[pack](data, out, minutes, seed)
    for text in arguments[5:]:
        key, _, value = text.partition("=")
        group, _, name = key.rpartition(".")
        (train[group] if group else train)[name] = json.loads(value)
    out.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for verb, job in (("prepare", prepare), ("train", train)):
        file = out / f"{pack}-{verb}.json"
        file.write_text(json.dumps(job, indent=2), encoding="utf-8")
        run = out / f"{pack}-{verb}-{stamp}"
        subprocess.run([str(Path(sys.executable).parent / "freshet"), verb, str(file), "--run", str(run)], check=True)
    scores = json.loads((run / "results" / "scores.json").read_text(encoding="utf-8"))
    print(f"{pack}, seed {seed}: {time.monotonic() - begin:.0f} s in all; test period {scores['period']}")
    for name in ("model", "persistence", "climatology"):
        pooled, median = scores[name]["pooled"], scores[name]["median_per_cell"]
        print(f"  {name:12s} NSE pooled {pooled['nse']:.4f}  median {median['nse']:.4f}  RMSE {pooled['rmse']:.5f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
