"""The bad input that a person can hand to Freshet, in one list for all three faces: command line, Processing, dialogs.

``FAULTS`` names each fault with its verb and the words that its sentence must hold; :func:`job_of` gives its job.
The files are made by :func:`make_files` with the engine's Python; tests inside QGIS start this file as a program:
``bad_input.py FOLDER``. Sources that are odd and read all the same are in ``odd_input.py``. Only the standard library
is imported at module level, so that both sides can read the lists.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def beside(name: str) -> Any:
    """A module of this folder, which is no package since both sides load it by its path."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).resolve().parent / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bad_files = beside("bad_files")
odd_input = beside("odd_input")
WEST, NORTH, STEPS, make_files = bad_files.WEST, bad_files.NORTH, bad_files.STEPS, bad_files.make_files


@dataclass(frozen=True)
class Fault:
    """One fault: what is wrong, and words that the sentence shown must hold (the offender and the remedy)."""

    name: str
    verb: str
    words: tuple[str, ...]

    @property
    def output(self) -> str:
        """Name of the dataset that its job would make; each fault has its own, since finished parts lie beside it."""
        return self.name.replace(" ", "_") + ".nc"


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
    Fault(
        "longitude and latitude exchanged in rasters",
        "prepare",
        ("'bad'", "longitude and latitude seem to be exchanged", "119.4 to 120", "rain_2001-02-27.tif", "Exchange"),
    ),
    Fault(
        "longitude and latitude exchanged in a NetCDF file",
        "prepare",
        ("'bad': the values of 'lat' are no latitudes", "exchanged", "120 to 120.5", "Exchange the names"),
    ),
    Fault("an unknown unit", "prepare", ("'bad': The unit 'furlongs' is not known", "mm/6h", "Give the unit")),
    Fault(
        "a unit of something else",
        "prepare",
        ("'bad': The unit 'K' cannot be converted to 'mm/d'", "temperature", "Correct the unit"),
    ),
    Fault(
        "millimetres said to be metres",
        "prepare",
        (
            "'bad': 93% of the values are not plausible for precipitation",
            "0 to 2000 mm/d",
            "after conversion from m/d",
            "mm given as m",
        ),
    ),
    Fault(
        "a date twice in a folder",
        "prepare",
        (
            "'bad': the date 2001-03-01 occurs twice",
            "rain_2001-03-01.tif and rain_2001-03-01_again.tif",
            "Remove one of the two",
            "first, last or mean",
        ),
    ),
    Fault(
        "a date twice in a NetCDF file",
        "prepare",
        ("'bad': the date 2001-03-01 occurs twice", "step 3 and step 4", "first, last or mean"),
    ),
    Fault(
        "a date twice in the bands",
        "prepare",
        ("'bad': the date 2001-03-01 occurs twice", "band 3 and band 4", "first, last or mean"),
    ),
    Fault(
        "a file in the middle that is no raster",
        "prepare",
        ("'bad': the raster cannot be read", "rain_2001-03-02.tif", "date 2001-03-02", "Replace this file", "as a gap"),
    ),
    Fault(
        "a file in the middle that is cut short",
        "prepare",
        ("'bad': the raster cannot be read", "rain_2001-03-02.tif", "date 2001-03-02", "Replace this file", "as a gap"),
    ),
    Fault(
        "a band that is cut short",
        "prepare",
        ("'bad': the raster cannot be read", "cut_bands.tif, band 8", "date 2001-03-06", "Replace this file"),
    ),
    Fault(
        "a NetCDF file in the middle that is cut short",
        "prepare",
        ("'bad': the NetCDF file cannot be read", "rain_2.nc", "Replace it", "as gaps"),
    ),
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
    Fault(
        "a model of gauges asked for maps",
        "train",
        ("'cnn-lstm' cannot predict 'store', which is a map", "a family that predicts maps: convlstm", "Choose one"),
    ),
    Fault(
        "a model of maps asked for gauges",
        "train",
        ("'convgru' cannot predict 'flow', which is a series at gauges", "lstm", "or another target: rain, store"),
    ),
    Fault(
        "a water balance of two gauges",
        "train",
        ("'flow' has 2 gauges", "a water balance has one outlet", "such as lstm"),
    ),
    Fault(
        "a window shorter than the model needs",
        "train",
        ("The window is shorter than 'cnn' needs", "at least 6 steps", "Lengthen the window to 6 steps", "cnn.frames"),
    ),
    Fault(
        "more supervised steps than the window has",
        "train",
        ("More steps are supervised than the window has", "at most 5", "Lower 'supervised steps'"),
    ),
    Fault(
        "an option out of range",
        "train",
        ("convlstm.hidden[0] is not usable", "at least 1 channels", "Found: 0", "Correct"),
    ),
    Fault(
        "a model of other gauges",
        "predict",
        ("'others' has other gauges than the model predicts", "upper, outlet", "a, b, c", "Prepare a dataset"),
    ),
    Fault(
        "a model of gauges to explain",
        "explain",
        ("The model predicts 2 gauges, not maps", "one of its gauges: upper, outlet", "gauge"),
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
    "no CRS in a raster": ("nowhere", {}),
    "no CRS in a NetCDF file": ("nowhere.nc", {}),
    "no overlap in space": ("far", {}),
    "no overlap in time": ("late", {}),
    "longitude and latitude exchanged in rasters": ("exchanged", {}),
    "longitude and latitude exchanged in a NetCDF file": ("exchanged.nc", {}),
    "an unknown unit": ("good", {"units": "furlongs"}),
    "a unit of something else": ("good", {"units": "K"}),
    "millimetres said to be metres": ("good", {"units": "m/d"}),
    "a date twice in a folder": ("doubled", {}),
    "a date twice in a NetCDF file": ("doubled.nc", {}),
    "a date twice in the bands": ("doubled.tif", {}),
    "a file in the middle that is no raster": ("broken", {}),
    "a file in the middle that is cut short": ("cut", {}),
    "a band that is cut short": ("cut_bands.tif", {}),
    "a NetCDF file in the middle that is cut short": ("cut_netcdf", {}),
    "an input all missing": ("missing", {}),
    "a target all missing": ("missing", {"role": "target"}),
    "a constant input": ("constant", {}),
    "a constant target": ("constant", {"role": "target"}),
}
# What the job of each fault of ``train`` says in place of a good one.
_TASKS: dict[str, dict[str, Any]] = {
    "no file of a dataset": {"datasets": ["does_not_exist.nc"]},
    "the target among the inputs": {"inputs": ["rain", "store"]},
    "a window longer than the series": {"window": 5 * STEPS},
    "a model of gauges asked for maps": {"model": {"family": "cnn-lstm"}},
    "a model of maps asked for gauges": {"model": {"family": "convgru"}, "target": "flow"},
    "a water balance of two gauges": {"model": {"family": "mc-lstm"}, "target": "flow"},
    "a window shorter than the model needs": {"model": {"family": "cnn", "options": {"frames": 6}}},
    "more supervised steps than the window has": {"supervised_steps": 6},
    "an option out of range": {"model": {"family": "convlstm", "options": {"hidden": [0]}}},
}
_MODELS = {
    "a model of other gauges": "gauge_model",
    "a model of gauges to explain": "gauge_model",
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
_DATASETS = {
    "a model's window longer than the series": "short.nc",
    "a model of other gauges": "others.nc",
    "a model of gauges to explain": "gauged.nc",
}
_TEMPORARY = re.compile(r"\.[0-9a-f]{8}\.part(\.|$)")
OUTPUT = "result"  # the folder, below the one of the files, that must stay empty but for finished parts


def job_of(fault: Fault, folder: Path) -> dict[str, Any]:
    """The job of a fault as a job file holds it, over the files in ``folder``."""
    if fault.verb == "prepare":
        return _prepare(fault, folder)
    if fault.verb == "train":
        return _train(fault, folder)
    job: dict[str, Any] = {"model": str(folder / f"{_MODELS[fault.name]}.safetensors")}
    if fault.verb == "finetune":
        return {**job, "datasets": [str(folder / "good.nc")], "training": {"epochs": 1, "threads": 1}}
    job["dataset"] = str(folder / _DATASETS.get(fault.name, "good.nc"))
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
        own = {"WINDOW": job["window"], "EPOCHS": 1, "SUPERVISED_STEPS": job["training"]["supervised_steps"]}
        model = {"FAMILY": job["model"]["family"], "OPTIONS": json.dumps(job["model"]["options"])}
        return {**values, **own, **model}
    if fault.verb == "finetune":
        return {"MODEL": job["model"], "DATASETS": job["datasets"], "EPOCHS": 1}
    values = {"MODEL": job["model"], "DATASET": job["dataset"]}
    if fault.verb == "explain":
        values.update(DATE=job["date"], POINT=f"{job['x']},{job['y']} [EPSG:3035]")
    return values


def half_written(folder: Path) -> list[str]:
    """Names below ``folder`` of results, and of parts of results, that a failed job has no right to leave. Finished
    blocks of a dataset, in ``NAME.nc.parts`` beside it, may stay.
    """
    parts = [path for path in folder.rglob("*") if _TEMPORARY.search(path.name)]
    places = [folder / OUTPUT, *folder.rglob("results")]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    results = [path for path in files if not any(parent.name.endswith(".nc.parts") for parent in path.parents)]
    return sorted(str(path.relative_to(folder)) for path in {*parts, *results})


def _prepare(fault: Fault, folder: Path) -> dict[str, Any]:
    name, more = _SOURCES[fault.name]
    bad = {**bad_files.good_source(folder), "variable": "bad", "path": str(folder / name), "role": "input", **more}
    output = str(folder / OUTPUT / fault.output)
    return {"name": "Bad", "sources": [bad_files.good_source(folder), bad], "grid": {"like": "good"}, "output": output}


def _train(fault: Fault, folder: Path) -> dict[str, Any]:
    task = _TASKS[fault.name]
    gauged = "gauges" in fault.name
    return {
        "datasets": [str(folder / name) for name in task.get("datasets", ["gauged.nc" if gauged else "good.nc"])],
        "target": task.get("target", "store"),
        "inputs": task.get("inputs", ["rain"]),
        "window": task.get("window", 5),
        "model": {"options": {}, **task.get("model", {"family": "convlstm"})},
        "training": {"epochs": 1, "threads": 1, "supervised_steps": task.get("supervised_steps", 1)},
    }


if __name__ == "__main__":
    make_files(Path(sys.argv[1]))
