"""Measurements of the import: ``bench_data.py [load] [warp] [memory] [scan]``; called by ``bench.py data``.

``load``: 365 GeoTIFFs of 512 x 512 into one array, and the same maps from the cache of a dataset, against rioxarray's
concatenation of the same files and against reading and inflating their bytes with two threads. ``warp``: 40 frames to
another CRS and grid, against rioxarray's reprojection, with the largest difference. ``memory``: a stack of 40 GB
(sparse files) prepared; peak of resident memory and time. ``scan``: seconds until the first page of the import table of
10,000 files, in QGIS's Python. All ratios come from one interleaved run of seven rounds.
"""

from __future__ import annotations

import json
import os
import statistics
import struct
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "bench" / "data"
PEERS = ROOT / "build" / "peers"
ROUNDS = 7
FILES, SIDE = 365, 512
FRAMES = 40
SPARSE_FILES, SPARSE_SIDE = 40, 16384  # 1 GiB a file


def main(wanted: list[str]) -> int:
    """Run the parts named and print what comes out."""
    found = measure(wanted)
    print(json.dumps(found, indent=2))
    return 0


def measure(wanted: list[str]) -> dict[str, Any]:
    """All parts, or those named."""
    parts = {"load": load, "warp": warp, "memory": memory, "scan": scan}
    OUT.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, part in parts.items():
        if name in wanted or not wanted:
            found[name] = part()
            print(f"{name}: {json.dumps(found[name])}", flush=True)
    return found


def load() -> dict[str, Any]:
    """Seconds to hold the stack in one array."""
    _peers()
    import rioxarray
    import xarray

    from freshet.core.contracts import SourceConfig
    from freshet.core.data import Dataset, open_source

    folder = OUT / "stack"
    paths = _stack(folder)

    def ours() -> np.ndarray:
        config = SourceConfig(variable="rain", path=str(folder), quantity="precipitation")
        with open_source(config) as source:
            return source.read(0, FILES)

    def peer() -> np.ndarray:
        maps = [rioxarray.open_rasterio(path) for path in paths]
        return xarray.concat(maps, dim="time").values[:, 0]

    def inflated() -> int:
        with ThreadPoolExecutor(2) as pool:
            return sum(pool.map(_inflate, paths))

    dataset = _cached(OUT / "stack.nc", ours)

    def cached() -> np.ndarray:
        with Dataset.open(dataset) as held:
            return held.dynamic("rain")

    truth = peer()
    if not (np.array_equal(ours(), truth) and np.array_equal(cached(), truth)):
        raise SystemExit("the loaders disagree")
    times = _interleaved({"freshet": ours, "rioxarray": peer, "inflating the bytes": inflated, "cache": cached})
    return {
        **times,
        "times_rioxarray": _ratio(times, "rioxarray", "freshet"),
        "of_inflating": _ratio(times, "freshet", "inflating the bytes"),
        "cache_times_rioxarray": _ratio(times, "rioxarray", "cache"),
        "wanted": {"times_rioxarray": ">= 4.5", "of_inflating": "<= 1.2", "cache_times_rioxarray": ">= 11"},
    }


def _cached(path: Path, maps: Callable[[], np.ndarray]) -> Path:
    """A dataset of the same maps, with its cache."""
    from freshet.core.contracts import Grid
    from freshet.core.data import Dataset, VariableInfo, write_dataset
    from freshet.core.data.caching import ready_caches

    if not path.exists():
        info = VariableInfo(name="rain", quantity="precipitation", units="mm/d")
        times = np.datetime64("2001-01-01", "s") + np.arange(FILES) * np.timedelta64(86400, "s")
        write_dataset(
            path, name="stack", grid=Grid("EPSG:3035", 4e6, 3e6, 1000.0, 1000.0, SIDE, SIDE), times=times,
            step_seconds=86400.0, dynamic={"rain": (info, maps())}, static={}, mask=np.ones((SIDE, SIDE), dtype=bool),
            provenance={},
        )  # fmt: skip
    with Dataset.open(path) as dataset:
        list(ready_caches([dataset], ["rain"], "on"))
    return path


def warp() -> dict[str, Any]:
    """Seconds to bring 40 frames of 600 x 600 cells from degrees onto a grid of 300 m."""
    _peers()
    import rioxarray  # noqa: F401 (its accessor)
    import xarray
    from rasterio.enums import Resampling
    from rasterio.transform import Affine

    from freshet.core.contracts import Grid
    from freshet.core.data.harmonise import Regridder

    source = Grid("EPSG:4326", 5.0, 51.0, 0.005, 0.005, 600, 600)
    target = Grid("EPSG:3035", 3_900_000.0, 3_050_000.0, 300.0, 300.0, 700, 900)
    maps = np.random.default_rng(1).gamma(0.5, 4.0, (FRAMES, 600, 600)).astype(np.float32)
    xs, ys = source.centres()
    cube = xarray.DataArray(maps, dims=("time", "y", "x"), coords={"y": ys, "x": xs}).rio.write_crs(source.crs)
    cube = cube.rio.write_nodata(np.nan)
    found = {}
    for method in ("nearest", "bilinear"):

        def ours(method: str = method) -> np.ndarray:
            return _warped(Regridder(source, target, method), maps)

        def peer(method: str = method, **more: float) -> np.ndarray:
            where = {"transform": Affine(*target.transform), "shape": target.shape}
            return cube.rio.reproject(target.crs, resampling=Resampling[method], **where, **more).values

        # GDAL shifts cells by up to an eighth of a cell unless told to be exact.
        mine, theirs = ours(), peer(tolerance=0.0)
        both = np.isfinite(mine) & np.isfinite(theirs)
        times = _interleaved({"freshet": ours, "rioxarray": peer})
        found[method] = {
            **times,
            "times_rioxarray": _ratio(times, "rioxarray", "freshet"),
            "cells_missing_in_one_only": float(np.mean(np.isfinite(mine) != np.isfinite(theirs))),
            "median_difference": float(np.median(np.abs(mine - theirs)[both])),
            "share_of_cells_alike": float(np.mean(np.abs(mine - theirs)[both] <= 1e-4)),
            "wanted": {"times_rioxarray": ">= 3"},
        }
    return found


def memory() -> dict[str, Any]:
    """Peak of resident memory, MB, while 40 GB are prepared by the command as a person would."""
    folder = OUT / "sparse"
    _sparse_stack(folder)
    job = {
        "name": "forty gigabytes",
        "sources": [{"variable": "rain", "path": str(folder), "quantity": "precipitation", "units": "mm/d"}],
        "output": str(OUT / "sparse.nc"),
        "grid": {"like": "rain"},
        "checksums": False,
    }
    (OUT / "sparse.json").write_text(json.dumps(job), encoding="utf-8")
    begin = time.monotonic()
    program = (
        "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, code)"
    )
    command = [sys.executable, "-c", program, str(Path(sys.executable).parent / "freshet"), "prepare"]
    done = subprocess.run([*command, str(OUT / "sparse.json")], check=True, capture_output=True, text=True)
    peak, code = done.stdout.splitlines()[-1].split()
    if code != "0":
        raise SystemExit(f"prepare failed: {done.stdout[-2000:]} {done.stderr[-2000:]}")
    size = SPARSE_FILES * SPARSE_SIDE**2 * 4 / 1e9
    (OUT / "sparse.nc").unlink()
    return {"stack_gb": round(size, 1), "peak_mb": round(int(peak) / 1024), "seconds": round(time.monotonic() - begin)}


def scan() -> dict[str, Any]:
    """Seconds until the first page for 10,000 files is there, median of seven; measured inside QGIS's Python."""
    folder = OUT / "many"
    _many_files(folder)
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": ""}
    command = ["/usr/bin/python3", str(ROOT / "scripts" / "bench_scan.py"), str(folder), str(ROUNDS)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def _warped(regrid: Callable[[np.ndarray], np.ndarray], maps: np.ndarray) -> np.ndarray:
    """All maps with two threads that share the weights, as `prepare` has them."""
    first = regrid(maps[:1])
    out = np.empty((len(maps), *first.shape[1:]), dtype=np.float32)

    def fill(number: int) -> None:
        out[number] = regrid(maps[number : number + 1])[0]

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(fill, range(len(maps))))
    return out


def _interleaved(calls: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(ROUNDS + 1):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            if number:
                seconds[name].append(time.perf_counter() - begin)
    return {n: {"median_s": round(statistics.median(v), 3), "min_s": round(min(v), 3)} for n, v in seconds.items()}


def _ratio(times: dict[str, Any], one: str, other: str) -> dict[str, float]:
    return {key[:-2]: round(times[one][key] / times[other][key], 2) for key in ("median_s", "min_s")}


def _stack(folder: Path) -> list[str]:
    """The GeoTIFFs, deflated, of fields like rain: half of the cells dry."""
    import rasterio
    from rasterio.transform import Affine
    from scipy.ndimage import gaussian_filter

    folder.mkdir(parents=True, exist_ok=True)
    days = np.arange(np.datetime64("2001-01-01"), np.datetime64("2001-01-01") + FILES)
    paths = [folder / f"rain_{day}.tif" for day in days]
    random = np.random.default_rng(1)
    profile = {
        "driver": "GTiff", "width": SIDE, "height": SIDE, "count": 1, "dtype": "float32", "crs": "EPSG:3035",
        "transform": Affine(1000, 0, 4_000_000, 0, -1000, 3_000_000), "nodata": -9999.0, "compress": "deflate",
    }  # fmt: skip
    for path in paths:
        if not path.exists():
            field = gaussian_filter(random.normal(size=(SIDE, SIDE)), 6) * 40
            with rasterio.open(path, "w", **profile) as handle:
                handle.write(np.maximum(field, 0).astype(np.float32), 1)
    return [str(path) for path in paths]


def _sparse_stack(folder: Path) -> None:
    """Files that are large to read and small on the disc; a patch of each holds values."""
    import rasterio
    from rasterio.transform import Affine
    from rasterio.windows import Window

    folder.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff", "width": SPARSE_SIDE, "height": SPARSE_SIDE, "count": 1, "dtype": "float32",
        "crs": "EPSG:3035", "transform": Affine(100, 0, 4_000_000, 0, -100, 3_000_000), "tiled": True,
        "blockxsize": 512, "blockysize": 512, "sparse_ok": True, "bigtiff": "yes",
    }  # fmt: skip
    random = np.random.default_rng(1)
    for number in range(SPARSE_FILES):
        path = folder / f"rain_2001-{1 + number // 28:02d}-{1 + number % 28:02d}.tif"
        if not path.exists():
            with rasterio.open(path, "w", **profile) as handle:
                handle.write(random.gamma(0.5, 4.0, (512, 512)).astype(np.float32), 1, window=Window(0, 0, 512, 512))


def _many_files(folder: Path) -> None:
    """10,000 links to one small raster, hourly names."""
    first = Path(_stack(OUT / "stack")[0])
    folder.mkdir(parents=True, exist_ok=True)
    hours = np.datetime64("2001-01-01T00") + np.arange(10_000)
    for hour in hours:
        path = folder / f"rain_{str(hour).replace('T', '_')}00.tif"
        if not path.is_symlink():
            path.symlink_to(first)


def _inflate(path: str) -> int:
    """Bytes of a deflated GeoTIFF, read and inflated and nothing else; the least that any reader has to do."""
    data = Path(path).read_bytes()
    order = "<" if data[:2] == b"II" else ">"
    entries = struct.unpack_from(order + "I", data, 4)[0]
    count = struct.unpack_from(order + "H", data, entries)[0]
    tags = {}
    for number in range(count):
        tag, kind, length, value = struct.unpack_from(order + "HHII", data, entries + 2 + 12 * number)
        code = {3: "H", 4: "I"}.get(kind)
        if tag in (273, 279) and code:
            inline = length * struct.calcsize(code) <= 4
            place = entries + 10 + 12 * number if inline else value
            tags[tag] = struct.unpack_from(f"{order}{length}{code}", data, place)
    return sum(len(zlib.decompress(data[o : o + n])) for o, n in zip(tags[273], tags[279]))


def _peers() -> None:
    """The peers, installed beside the engine where they are not yet."""
    if not (PEERS / "rioxarray").exists():
        command = [sys.executable, "-I", "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(PEERS)]
        subprocess.run([*command, "-r", str(ROOT / "requirements" / "peers.txt")], check=True)
    if str(PEERS) not in sys.path:
        sys.path.append(str(PEERS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
