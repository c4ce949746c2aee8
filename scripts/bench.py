"""Measurements: ``bench.py [--quick] [--rounds N] [PART...]``; all parts by default. Tables as text on screen and in
build/bench/, all figures as JSON there; ``bench_page.py`` takes them into docs/benchmarks.md.

Against the peers, in interleaved rounds: ``equality``, ``models``, ``memory``: see ``bench_models.py``; ``ranks``,
``whole``, ``families``, ``cost``, ``tiles``, ``gpu``: see the script of that name; ``loading``, ``data``: see
``bench_data.py``.
``--quick`` looks at these on smaller sizes in few rounds, within minutes; its figures are a hint.

``demo``: the time of ``make demo`` once everything is installed. ``steps``: a training step of the thesis's network
and of the demo's, side by side in float32 and bfloat16, median and minimum of seven interleaved rounds. ``cancel``:
from the request to the end of the worker. ``qgis``: gaps between ticks of a 20 ms timer in a real QGIS while a
training runs beside it, against the same without.
``click``: see ``bench_click.py``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bench_rows

from freshet.core.worker.libraries import tell_libraries

# Before torch is loaded, and for all competitors: threads that spin while they wait would cost those beside them.
tell_libraries()
ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "bench"
ROUNDS, QUICK_ROUNDS = 7, 3


def main(arguments: list[str]) -> int:
    """Run the parts named, print and keep what comes out. Status 1 where a part could not be measured."""
    options = argparse.ArgumentParser()
    options.add_argument("parts", nargs="*", metavar="PART")
    options.add_argument("--quick", action="store_true")
    options.add_argument("--rounds", type=int, default=ROUNDS)
    asked = options.parse_args(arguments)
    parts = quick_parts() if asked.quick else all_parts(asked.rounds)
    unknown = [name for name in asked.parts if name not in parts]
    if unknown:
        options.error(f"no part {', '.join(unknown)}; there are {', '.join(parts)}")
    OUT.mkdir(parents=True, exist_ok=True)
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    found: dict[str, Any] = {"machine": machine()}
    if asked.quick:
        found["machine"]["note"] = "a quick look: smaller sizes, few rounds"
    print(json.dumps(found["machine"]), flush=True)
    for name in asked.parts or parts:
        begin = time.monotonic()
        found[name] = measured(parts[name])
        found[name]["took_s"] = round(time.monotonic() - begin)
        print(f"{name}: {json.dumps(found[name], indent=2)}", flush=True)
        # After each part, so that a run which is broken off leaves what it has.
        (OUT / f"bench-{stamp}.json").write_text(json.dumps(found, indent=2), encoding="utf-8")
        (OUT / f"bench-{stamp}.txt").write_text(table(found), encoding="utf-8")
    print(table(found))
    print(OUT / f"bench-{stamp}.json")
    return int(any("failed" in part for part in found.values()))


def all_parts(rounds: int) -> dict[str, Callable[[], dict[str, Any]]]:
    """Every part by its name."""
    import bench_cost
    import bench_families
    import bench_models
    import bench_ranks
    import bench_whole

    return {
        "equality": bench_models.equality,
        "models": lambda: bench_models.models(rounds),
        "memory": lambda: bench_models.memory(3),
        "families": lambda: bench_families.families(rounds),
        "ranks": lambda: bench_ranks.ranks(rounds),
        "whole": bench_whole.whole,
        "tiles": lambda: tiles(rounds),
        "loading": loading,
        "cost": bench_cost.cost,
        "gpu": lambda: gpu(rounds),
        "data": data,
        "steps": steps,
        "demo": demo,
        "cancel": cancel,
        "click": click,
        "qgis": qgis,
    }


def quick_parts() -> dict[str, Callable[[], dict[str, Any]]]:
    """The comparisons with the peers on smaller sizes, in few rounds."""
    import bench_models
    import bench_networks
    import bench_ranks
    import bench_whole

    small = bench_models.quick(bench_networks.LARGE)
    return {
        "equality": bench_models.equality,
        "models": lambda: bench_models.models(QUICK_ROUNDS, large=small),
        "memory": lambda: bench_models.memory(1, small, ("memory", "memory_half", "memory_recompute")),
        "ranks": lambda: bench_ranks.ranks(QUICK_ROUNDS),
        "whole": lambda: bench_whole.whole((1,), 1, days=150),
        "gpu": lambda: gpu(QUICK_ROUNDS),
    }


def measured(part: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a part gives, or the reason why it gave nothing."""
    try:
        return part()
    except subprocess.CalledProcessError as error:
        words = error.stderr or error.stdout or b""
        words = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
        return {"failed": f"{error} {words[-2000:]}"}
    except (RuntimeError, OSError, ImportError, ValueError, KeyError, SystemExit) as error:
        return {"failed": f"{type(error).__name__}: {error}"}


def table(found: dict[str, Any]) -> str:
    """The promised figures beside those measured, and parts that failed."""
    failed = [f"{name} failed: {part['failed']}\n" for name, part in found.items() if "failed" in part]
    return "".join([bench_rows.text_table(bench_rows.gathered(found)), *failed])


def machine() -> dict[str, Any]:
    """Processor, cores, versions, date."""
    import numpy
    import torch

    model = [
        line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {
        "date": datetime.date.today().isoformat(),
        "processor": model[0] if model else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "load": round(os.getloadavg()[0], 1),
        "peers": peers_words(),
    }


def peers_words() -> str:
    """Versions of Keras and TensorFlow that the environment of the peers gets."""
    lines = (ROOT / "requirements" / "peers-keras.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    return f"Keras {pins['keras']}, TensorFlow {pins['tensorflow-cpu']}"


def demo() -> dict[str, Any]:
    """Seconds of the demo, and the scores that it ends with."""
    begin = time.monotonic()
    subprocess.run([sys.executable, str(ROOT / "scripts" / "demo.py")], check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - begin
    scores = json.loads((ROOT / "build/demo/runs/train/results/scores.json").read_text(encoding="utf-8"))
    return {
        "seconds": round(seconds, 1),
        "limit_s": 480,
        **{f"nse_{n}": scores[n]["pooled"]["nse"] for n in ("model", "persistence", "climatology")},
    }


def steps() -> dict[str, Any]:
    """Milliseconds of one training step, interleaved; ratios are against the first column."""
    cases = {
        "thesis network, batch 4, 8 steps, 46x43": ("convlstm-wflow", {}, (4, 8, 4, 46, 43)),
        "demo network, batch 4, 30 steps, 40x32": ("convlstm", {"hidden": [16], "kernel": [3]}, (4, 30, 4, 40, 32)),
    }
    return {title: _interleaved(name, options, shape) for title, (name, options, shape) in cases.items()}


def _interleaved(name: str, options: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    import torch

    from freshet.core.models import build_model

    torch.manual_seed(0)
    model = build_model(name, shape[2], 1, **options).train()
    optimizer = torch.optim.Adam(model.parameters())
    x, y = torch.randn(shape), torch.randn(shape[0], 1, 1, *shape[3:])
    times: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    for number in range(ROUNDS + 1):
        for kind, kept in times.items():
            begin = time.perf_counter()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == "bfloat16"):
                predicted = model(x)["y_hat"]
            loss = torch.nn.functional.mse_loss(predicted.float(), y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            if number:
                kept.append(1000 * (time.perf_counter() - begin))
    found = {
        kind: {"median_ms": round(statistics.median(v), 1), "min_ms": round(min(v), 1)} for kind, v in times.items()
    }
    ratio = statistics.median(times["float32"]) / statistics.median(times["bfloat16"])
    return {**found, "bfloat16_speed_of_float32": round(ratio, 2)}


def cancel() -> dict[str, Any]:
    """Seconds from the request to cancel until the worker has ended, in the middle of a training; seven times."""
    from freshet.core.contracts import EventKind, RunFolder, TrainJob

    seconds = []
    for number in range(ROUNDS):
        job = TrainJob.from_dict({**_demo_training(), "title": f"cancel {number}"})
        run = RunFolder.create(OUT / "runs", "train", job)
        worker = subprocess.Popen([sys.executable, "-I", str(ROOT / "core/worker/launch.py"), str(run.path)])
        while not any(event.kind is EventKind.PROGRESS and event.values["fraction"] > 0 for event in run.events()):
            time.sleep(0.05)
        time.sleep(0.3 + 0.1 * number)
        begin = time.monotonic()
        run.request_cancel()
        worker.wait()
        seconds.append(time.monotonic() - begin)
    return {"median_s": round(statistics.median(seconds), 2), "max_s": round(max(seconds), 2), "limit_s": 1.5}


def click() -> dict[str, Any]:
    """Explaining one cell with the model loaded: to the first picture, to the answer."""
    import bench_click

    return bench_click.measure(ROUNDS)


def data() -> dict[str, Any]:
    """The import: warping against rioxarray, memory of 40 GB, the first page for 10,000 files."""
    import bench_data

    return bench_data.measure(["warp", "memory", "scan"])


def loading() -> dict[str, Any]:
    """A stack of rasters into one array, against rioxarray."""
    import bench_data

    try:
        found = bench_data.measure(["load"])
    except subprocess.CalledProcessError as error:
        missing = {"missing": f"rioxarray cannot be installed here, or a command failed: {error}"}
        return {"rows": {"load_rasters": missing, "load_cache": missing}}
    load = found["load"]
    rows = {"load_rasters": load["times_rioxarray"], "load_cache": load["cache_times_rioxarray"]}
    return {"rows": rows, **found}


def tiles(rounds: int) -> dict[str, Any]:
    """Prediction by tiles against the whole frame."""
    import bench_tiles

    return bench_tiles.measure(rounds)


def gpu(rounds: int) -> dict[str, Any]:
    """On a GPU, where one is there."""
    import bench_gpu

    return bench_gpu.gpu(rounds)


def qgis() -> dict[str, Any]:
    """Gaps of a 20 ms timer in a real QGIS, at rest and beside a training; from click to idle of a cancel.

    Twice: the demo's training, and one with an epoch, and so two charts to draw, every few seconds.
    """
    return {"usual": _in_qgis(1), "short epochs": _in_qgis(40)}


def _in_qgis(window_stride: int) -> dict[str, Any]:
    training = _demo_training()
    training["training"]["window_stride"] = window_stride
    job = OUT / "train.json"
    job.write_text(json.dumps(training), encoding="utf-8")
    environment = {**os.environ, "FRESHET_BENCH_JOB": str(job), "FRESHET_BENCH_OUT": str(OUT / "qgis.json")}
    command = [str(ROOT / "tests/gui/run.sh"), str(ROOT / "scripts/bench_qgis.py"), str(OUT / "gui")]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return json.loads((OUT / "qgis.json").read_text(encoding="utf-8"))


def _demo_training() -> dict[str, Any]:
    """The demo's training without an end; the demo is run where its dataset is missing."""
    dataset = ROOT / "build/demo/basin.nc"
    if not dataset.exists():
        demo()
    return {
        "datasets": [str(dataset)],
        "target": "soil_moisture",
        "inputs": ["precipitation", "temperature", "pet"],
        "static": ["elevation"],
        "window": 30,
        "model": {"options": {"hidden": [16]}},
        "training": {"epochs": 10000, "patience": 10000, "supervised_steps": 15},
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
