"""The bad input that a person can hand to Freshet, in one list for all three faces: command line, Processing, dialogs.

``FAULTS`` names each fault with its verb and the words that its sentence must hold; :func:`job_of` gives its job.
The files are made by :func:`make_files` with the engine's Python; tests inside QGIS start this file as a program:
``bad_input.py FOLDER``. Only the standard library is imported at module level, so that both sides can read the list.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DAY = 86400
WEST, NORTH, CELL, ROWS, COLUMNS, STEPS = 4_000_000.0, 3_000_000.0, 1000.0, 6, 5, 60
START = "2001-02-27"


@dataclass(frozen=True)
class Fault:
    """One fault: what is wrong, and words that the sentence shown must hold (the offender and the remedy)."""

    name: str
    verb: str
    words: tuple[str, ...]


FAULTS = (
    Fault(
        "no file of a source",
        "prepare",
        ("'bad': there is no such file or folder", "does_not_exist", "Choose the source again"),
    ),
    Fault("no file of a dataset", "train", ("dataset does not exist", "does_not_exist.nc", "Prepare it")),
    Fault("no file of a model", "predict", ("does_not_exist.safetensors", "Choose a saved model")),
    Fault("no dates in a folder", "prepare", ("'bad'", "no file name in the folder holds a date", "first date")),
    Fault("no dates in the bands", "prepare", ("'bad'", "bands of the raster have no dates", "first date")),
    Fault("no dates in a NetCDF file", "prepare", ("'bad'", "has no dates", "first date")),
    Fault("two calendars", "prepare", ("different calendars", "'bad': 360_day", "calendar")),
    Fault("no CRS in a raster", "prepare", ("'bad'", "no coordinate reference system", "Assign")),
    Fault("no CRS in a NetCDF file", "prepare", ("'bad'", "no coordinate reference system", "Assign")),
    Fault(
        "no overlap in space",
        "prepare",
        (
            "'bad' does not overlap the grid in space",
            "4500000, 2994000, 4505000, 3000000",
            "choose a source of this area",
        ),
    ),
    Fault("no overlap in time", "prepare", ("do not overlap in time", "'bad': 2010-01-01", "Choose")),
    Fault("an input all missing", "prepare", ("'bad' is missing everywhere", "missing value")),
    Fault("a target all missing", "prepare", ("'bad' is missing everywhere", "missing value")),
    Fault("a constant input", "prepare", ("'bad' has the same value, 3, everywhere", "Leave it out")),
    Fault("a constant target", "prepare", ("'bad' has the same value, 3, everywhere", "Leave it out")),
    Fault(
        "the target among the inputs", "train", ("'store' is also an input, without a lag", "Remove it from the inputs")
    ),
    Fault(
        "a window longer than the series", "train", ("'good'", "window is longer than the series", "Shorten the window")
    ),
    Fault("a model's window longer than the series", "predict", ("window is longer than the series", "longer dataset")),
    Fault(
        "a truncated model",
        "predict",
        ("truncated.safetensors", "truncated or has been altered", "Copy the file again"),
    ),
    Fault("an altered model", "predict", ("altered.safetensors", "has been altered", "Copy the file again")),
    Fault("an altered model card", "predict", ("altered_card.safetensors", "has been altered", "Copy the file again")),
    Fault(
        "a model of another program", "predict", ("foreign.safetensors", "not a Freshet model", "trained with Freshet")
    ),
    Fault("a text instead of a model", "predict", ("text.safetensors", "not a Freshet model", "trained with Freshet")),
    Fault(
        "a truncated model to fine-tune",
        "finetune",
        ("truncated.safetensors", "truncated or has been altered", "Copy the file again"),
    ),
    Fault("an altered model to explain", "explain", ("altered.safetensors", "has been altered", "Copy the file again")),
    Fault(
        "a model of another program to evaluate",
        "evaluate",
        ("foreign.safetensors", "not a Freshet model", "trained with Freshet"),
    ),
)

# The bad source of each fault of ``prepare``: its file, and what is said of it beside that.
_SOURCES: dict[str, tuple[str, dict[str, Any]]] = {
    "no file of a source": ("does_not_exist", {}),
    "no dates in a folder": ("undated", {}),
    "no dates in the bands": ("undated.tif", {}),
    "no dates in a NetCDF file": ("undated.nc", {}),
    "two calendars": ("calendar.nc", {}),
    "no CRS in a raster": ("nowhere", {}),
    "no CRS in a NetCDF file": ("nowhere.nc", {}),
    "no overlap in space": ("far", {}),
    "no overlap in time": ("late", {}),
    "an input all missing": ("missing", {}),
    "a target all missing": ("missing", {"role": "target"}),
    "a constant input": ("constant", {}),
    "a constant target": ("constant", {"role": "target"}),
}
_MODELS = {
    "no file of a model": "does_not_exist",
    "a model's window longer than the series": "model",
    "a truncated model": "truncated",
    "an altered model": "altered",
    "an altered model card": "altered_card",
    "a model of another program": "foreign",
    "a text instead of a model": "text",
    "a truncated model to fine-tune": "truncated",
    "an altered model to explain": "altered",
    "a model of another program to evaluate": "foreign",
}
OUTPUT = "result"  # the folder, below the one of the files, that must stay empty


def job_of(fault: Fault, folder: Path) -> dict[str, Any]:
    """The job of a fault as a job file holds it, over the files in ``folder``."""
    if fault.verb == "prepare":
        return _prepare(fault, folder)
    if fault.verb == "train":
        return _train(fault, folder)
    job: dict[str, Any] = {"model": str(folder / f"{_MODELS[fault.name]}.safetensors")}
    if fault.verb == "finetune":
        return {**job, "datasets": [str(folder / "good.nc")], "training": {"epochs": 1, "threads": 1}}
    job["dataset"] = str(folder / ("short.nc" if "window" in fault.name else "good.nc"))
    return {**job, "date": "2001-04-20", "x": WEST + 1500, "y": NORTH - 1500} if fault.verb == "explain" else job


def parameters_of(fault: Fault, folder: Path) -> dict[str, Any]:
    """The same job as values of the Processing algorithm ``freshet:<verb>``."""
    import json

    job = job_of(fault, folder)
    if fault.verb == "prepare":
        sources = json.dumps(job["sources"])
        return {"NAME": job["name"], "SOURCES": sources, "GRID_LIKE": "good", "DATASET": job["output"]}
    if fault.verb == "train":
        values = {"DATASETS": job["datasets"], "TARGET": job["target"], "INPUTS": ", ".join(job["inputs"])}
        return {**values, "WINDOW": job["window"], "EPOCHS": 1}
    if fault.verb == "finetune":
        return {"MODEL": job["model"], "DATASETS": job["datasets"], "EPOCHS": 1}
    values = {"MODEL": job["model"], "DATASET": job["dataset"]}
    if fault.verb == "explain":
        values.update(DATE=job["date"], POINT=f"{job['x']},{job['y']} [EPSG:3035]")
    return values


def half_written(folder: Path) -> list[str]:
    """Names below ``folder`` of results, and of parts of results, that a failed job has no right to leave."""
    parts = [path for path in folder.rglob("*") if ".part" in path.name]
    places = [folder / OUTPUT, *folder.rglob("results")]
    results = [path for place in places for path in place.rglob("*") if path.is_file()]
    return sorted(str(path.relative_to(folder)) for path in {*parts, *results})


def _prepare(fault: Fault, folder: Path) -> dict[str, Any]:
    name, more = _SOURCES[fault.name]
    good = {"variable": "good", "path": str(folder / "good"), "quantity": "precipitation", "units": "mm/d"}
    bad = {**good, "variable": "bad", "path": str(folder / name), "role": "input", **more}
    return {"name": "Bad", "sources": [good, bad], "grid": {"like": "good"}, "output": str(folder / OUTPUT / "bad.nc")}


def _train(fault: Fault, folder: Path) -> dict[str, Any]:
    missing, among = "no file" in fault.name, "among" in fault.name
    return {
        "datasets": [str(folder / ("does_not_exist.nc" if missing else "good.nc"))],
        "target": "store",
        "inputs": ["rain", "store"] if among else ["rain"],
        "window": 5 if among or missing else 5 * STEPS,
        "training": {"epochs": 1, "threads": 1},
    }


# -- the files; from here on with the engine's Python


def make_files(folder: Path) -> None:
    """Make the good and the bad files of all faults in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    import numpy as np

    maps = np.random.default_rng(1).uniform(0, 20, (8, ROWS, COLUMNS)).astype(np.float32)
    _write_folder(folder / "good", maps)
    _write_folder(folder / "nowhere", maps, crs=None)
    _write_folder(folder / "far", maps, west=WEST + 500 * CELL)
    _write_folder(folder / "late", maps, start="2010-01-01")
    _write_folder(folder / "missing", np.full_like(maps, np.nan))
    _write_folder(folder / "constant", np.full_like(maps, 3.0))
    _write_tif(folder / "undated" / "one.tif", maps[:1])
    _write_tif(folder / "undated" / "two.tif", maps[1:2])
    _write_tif(folder / "undated.tif", maps)
    _write_netcdf(folder / "undated.nc", maps[:1], dated=False)
    _write_netcdf(folder / "calendar.nc", maps, calendar="360_day")
    _write_netcdf(folder / "nowhere.nc", maps, crs=False)
    _write_dataset(folder / "good.nc", STEPS)
    _write_dataset(folder / "short.nc", 6)
    _write_models(folder)


def _write_folder(folder: Path, maps: Any, start: str = START, **options: Any) -> None:
    import numpy as np

    for number, single in enumerate(maps):
        date = np.datetime64(start) + number
        _write_tif(folder / f"rain_{date}.tif", single[None], **options)


def _write_tif(path: Path, maps: Any, crs: Any = "EPSG:3035", west: float = WEST) -> None:
    import numpy as np
    import rasterio
    from affine import Affine

    path.parent.mkdir(parents=True, exist_ok=True)
    shape = {"count": maps.shape[0], "height": maps.shape[1], "width": maps.shape[2], "nodata": -9999.0}
    transform = Affine(CELL, 0, west, 0, -CELL, NORTH)
    with rasterio.open(path, "w", driver="GTiff", dtype="float32", crs=crs, transform=transform, **shape) as handle:
        handle.write(np.where(np.isnan(maps), -9999.0, maps).astype(np.float32))


def _write_netcdf(path: Path, maps: Any, calendar: str = "standard", crs: bool = True, dated: bool = True) -> None:
    import netCDF4
    import numpy as np
    from rasterio.crs import CRS

    dims = ("time", "y", "x") if dated else ("y", "x")
    with netCDF4.Dataset(str(path), "w") as handle:
        for name, size in zip(("time", "y", "x"), maps.shape):
            if name in dims:
                handle.createDimension(name, size)
        if dated:
            time = handle.createVariable("time", "f8", ("time",))
            time.units, time.calendar = f"days since {START} 00:00:00", calendar
            time[:] = np.arange(len(maps))
        handle.createVariable("y", "f8", ("y",))[:] = NORTH - (np.arange(ROWS) + 0.5) * CELL
        handle.createVariable("x", "f8", ("x",))[:] = WEST + (np.arange(COLUMNS) + 0.5) * CELL
        variable = handle.createVariable("rain", "f4", dims, fill_value=-9999.0)
        variable.units = "mm d-1"
        if crs:
            handle.createVariable("crs", "i4", ()).crs_wkt = CRS.from_epsg(3035).to_wkt()
            variable.grid_mapping = "crs"
        variable[:] = maps if dated else maps[0]


def _write_dataset(path: Path, steps: int) -> None:
    """Rain, and a store that keeps 80 % of itself and gains the rain."""
    import numpy as np

    from freshet.core.contracts import Grid
    from freshet.core.data.store import VariableInfo, write_dataset

    rain = np.random.default_rng(2).gamma(0.3, 10.0, (steps, ROWS, COLUMNS)).astype(np.float32)
    store = np.zeros_like(rain)
    for step in range(1, steps):
        store[step] = 0.8 * store[step - 1] + rain[step]
    write_dataset(
        path, name=path.stem, grid=Grid("EPSG:3035", WEST, NORTH, CELL, CELL, COLUMNS, ROWS),
        times=np.datetime64(START, "s") + np.arange(steps) * np.timedelta64(DAY, "s"), step_seconds=float(DAY),
        dynamic={
            "rain": (VariableInfo("rain", "input", "precipitation", "mm/d", "Rain"), rain),
            "store": (VariableInfo("store", "target", "soil_water", "mm", "Store"), store),
        },
        static={}, mask=np.ones((ROWS, COLUMNS), dtype=bool), provenance={},
    )  # fmt: skip


def _write_models(folder: Path) -> None:
    """A good model and the bad ones made from it."""
    import numpy as np
    from safetensors.numpy import save_file

    from freshet.core.contracts import ModelConfig, TrainJob
    from freshet.core.data.store import Dataset
    from freshet.core.training.model_file import build_from_card, save_model
    from freshet.core.training.setup import build_card, splits_of

    path, window = str(folder / "good.nc"), 8
    model = ModelConfig("convlstm", {"hidden": [2]})
    job = TrainJob(datasets=(path,), target="store", inputs=("rain",), window=window, model=model)
    with Dataset.open(path) as dataset:
        card = build_card(job, [dataset], splits_of([dataset], job.split, window, 0, 1))
    save_model(folder / "model.safetensors", build_from_card(card), card)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "truncated.safetensors").write_bytes(whole[: len(whole) * 2 // 3])
    (folder / "altered.safetensors").write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    # A window of 7 in place of 8: the card still reads well, only the checksum tells.
    changed = whole.replace(b'\\"window\\": 8', b'\\"window\\": 7').replace(b'\\"window\\":8', b'\\"window\\":7')
    if changed == whole:
        raise RuntimeError("the card of the model names no window of 8")
    (folder / "altered_card.safetensors").write_bytes(changed)
    save_file({"weight": np.ones((2, 2), dtype=np.float32)}, str(folder / "foreign.safetensors"))
    (folder / "text.safetensors").write_text("This is no model, but a text that was given the name of one.\n")


if __name__ == "__main__":
    make_files(Path(sys.argv[1]))
