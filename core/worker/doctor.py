"""The doctor: proves that the engine can work, and says in a sentence what is wrong where it cannot."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator

from ..contracts.errors import EngineError
from ..contracts.events import Artifact, Event, EventKind
from ..contracts.files import write_text
from ..contracts.jobs import DoctorJob
from ..contracts.run_folder import RunFolder

LIBRARIES = ("numpy", "torch", "xarray", "netCDF4", "rasterio", "safetensors", "captum", "scipy", "matplotlib")


def doctor(job: DoctorJob, run: RunFolder) -> Iterator[Event]:
    """Import every library, run a kernel on each device; the findings go to ``results/doctor.json``.

    Raises :class:`EngineError` that names the libraries which are missing or broken, or the device that does not work.
    """
    found, broken = {}, {}
    for number, name in enumerate(LIBRARIES):
        yield Event(EventKind.PROGRESS, {"fraction": number / (len(LIBRARIES) + 1), "text": f"Looking at {name}"})
        try:
            found[name] = str(getattr(importlib.import_module(name), "__version__", "there"))
        except (ImportError, OSError) as error:  # a broken binary library raises OSError
            broken[name] = str(error).splitlines()[0]
    if broken:
        raise EngineError(
            "The engine's Python lacks libraries: " + ", ".join(broken),
            got="; ".join(f"{name}: {fault}" for name, fault in broken.items()),
            remedy="Install the engine anew from the engine page, or install these libraries into that Python",
        )
    devices = _prove_devices(job.device)
    if all(devices.values()):
        raise EngineError(
            f"The device '{job.device}' does not work",
            got="; ".join(devices.values()),
            remedy="Choose 'cpu' or another device",
        )
    write_text(run.results / "doctor.json", json.dumps({"libraries": found, "devices": devices}, indent=2))
    yield Event(
        EventKind.ARTIFACT, Artifact(kind="table", path="results/doctor.json", title="What the engine has").to_dict()
    )
    yield Event(EventKind.MESSAGE, {"level": "info", "text": _sentence(devices)})


def _prove_devices(asked: str) -> dict[str, str]:
    """Device name -> empty text where it works, else why not."""
    import torch

    from ..training.device import proves_itself

    names = ["cpu", "cuda", "mps"] if asked == "auto" else [asked]
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    why_not = {"cuda": "no NVIDIA GPU, or an engine built without CUDA", "mps": "no Apple GPU", "cpu": ""}
    return {name: proves_itself(name) if there[name] else why_not[name] for name in names}


def _sentence(devices: dict[str, str]) -> str:
    works = [name for name, fault in devices.items() if not fault]
    rest = [f"{name}: {fault}" for name, fault in devices.items() if fault]
    return f"Works: {', '.join(works)}." + (f" Does not: {'; '.join(rest)}." if rest else "")
