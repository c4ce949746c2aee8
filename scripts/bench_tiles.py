"""Prediction in tiles of 256 cells against the whole frame: ``bench_tiles.py [--rounds N]``, or part of ``bench.py``.

The thesis's network over 8 steps, float32, a frame of 512 x 512 cells, in interleaved rounds. The memory of a tile is
what torch holds at once beyond weights and input; ``process_mib`` is by how much a process grows that predicts one tile
and nothing else, which holds what the allocator keeps too. ``carried``: the time of dates predicted by windows, as a
multiple of that of one pass that carries the states on.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

from freshet.core.worker.libraries import tell_libraries

tell_libraries()

import torch  # noqa: E402
from bench_rounds import interleaved, ratio, rounded, summary  # noqa: E402

from freshet.core.inference.tiles import TILE_PX, tiles_of  # noqa: E402
from freshet.core.models import build_model  # noqa: E402
from freshet.core.models.carry import carrying_layers, going_on  # noqa: E402
from freshet.core.models.near import Region, predict_within  # noqa: E402
from freshet.core.training.memory import peak_of  # noqa: E402

STEPS, CHANNELS, SIDE = 8, 4, 512
DATES, SMALL_SIDE = 32, 64


def network() -> torch.nn.Module:
    """The network of the thesis."""
    torch.manual_seed(0)
    sizes = {"hidden": [32, 64], "kernel": [3], "normalisation": "batch", "head_kernel": 3}
    return build_model("convlstm", CHANNELS, 1, **sizes).eval()


def tiled(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The last step (1, 1, 1, 1, H, W), put together from tiles."""
    found = x.new_empty((1, 1, 1, 1, *x.shape[-2:]))
    for tile in tiles_of(x.shape[-2:], TILE_PX, model.halo_px(x.shape[1]), 0):
        found[(..., *tile.inner)] = predict_within(model, x[(..., *tile.outer)], None, None, tile.box)
    return found


def measure(rounds: int) -> dict[str, Any]:
    """All figures."""
    model = network()
    with torch.inference_mode():
        x = torch.randn(1, STEPS, CHANNELS, SIDE, SIDE)
        difference = float((tiled(model, x) - model(x)["y_hat"]).abs().max())
        times = interleaved({"whole": _timed(lambda: model(x)), "tiles": _timed(lambda: tiled(model, x))}, rounds, 1)
        carried = interleaved(_ways_of_dates(model), rounds, 1)
    held = tile_bytes() / 2**20
    command = [sys.executable, str(Path(__file__).resolve()), "--memory"]
    grown = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    rows = {
        "tiles_equal": {"value": difference},
        "tiles_time": ratio(times["tiles"], times["whole"]),
        "tiles_mib": {"value": rounded(held)},
    }
    return {
        "rows": rows,
        "seconds": {name: summary(values) for name, values in times.items()},
        "process_mib": rounded(grown),
        "carried": ratio(carried["windows"], carried["carried"]),
    }


def tile_bytes() -> int:
    """What torch holds at once for one tile within a larger frame."""
    model, x, box = _one_tile()
    with torch.inference_mode():
        return peak_of(lambda: predict_within(model, x, None, None, box))


def grown_mib() -> float:
    """By how much the peak of this process grows in one tile."""
    model, x, box = _one_tile()
    with torch.inference_mode():
        predict_within(model, x[..., :40, :40].contiguous(), None, None, Region(10, 30, 10, 30))
        before = _peak_mib()
        predict_within(model, x, None, None, box)
        return _peak_mib() - before


def _one_tile() -> tuple[torch.nn.Module, torch.Tensor, Region]:
    model = network()
    halo = model.halo_px(STEPS)
    side = TILE_PX + 2 * halo
    return model, torch.randn(1, STEPS, CHANNELS, side, side), Region(halo, halo + TILE_PX, halo, halo + TILE_PX)


def _ways_of_dates(model: torch.nn.Module) -> dict[str, Callable[[], float]]:
    """``DATES`` dates of a small basin, by windows and by one pass."""
    x = torch.randn(1, STEPS - 1 + DATES, CHANNELS, SMALL_SIDE, SMALL_SIDE)
    windows = torch.cat([x[:, date : date + STEPS] for date in range(DATES)])

    def by_windows() -> None:
        for part in windows.split(8):
            model(part)

    def carried() -> None:
        with going_on(carrying_layers(model)):
            model(x, last_steps=DATES)

    return {"windows": _timed(by_windows), "carried": _timed(carried)}


def _timed(work: Callable[[], Any]) -> Callable[[], float]:
    def run() -> float:
        begin = time.perf_counter()
        work()
        return time.perf_counter() - begin

    return run


def _peak_mib() -> float:
    """Of this process since it began; what ``getrusage`` says is at least the peak of the process that started it."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return float("nan")
    line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    if "--memory" in sys.argv:
        print(grown_mib())
    else:
        wanted = int(sys.argv[sys.argv.index("--rounds") + 1]) if "--rounds" in sys.argv else 7
        print(json.dumps(measure(wanted), indent=2))
