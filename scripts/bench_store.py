"""NetCDF against Zarr for the dataset: ``bench_store.py [steps]``, by hand; 365 steps of 512 x 512 cells by default.

One interleaved run of five rounds: each layout is written, then read whole, in windows of 30 steps, in single steps,
and as the series of single cells; medians, and ratios to the layout that Freshet writes. Then size and number of files,
and what the GDAL that QGIS uses (/usr/bin/python3) makes of each: whether it reads it at all, in how many layers, and
the time to change the date on a map and to read the series under a click.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "bench" / "store"
ROUNDS, SIDE, BLOCK = 5, 512, 8
CHUNKS = (16, 128, 128)
READS = ("whole", "windows", "steps", "cells")
_GDAL = """
import json, sys, time
from osgeo import gdal
gdal.UseExceptions()
found = {"gdal": gdal.__version__}
try:
    raster = gdal.Open(sys.argv[1])
    parts = raster.GetSubDatasets()
    found["layers"] = max(1, len(parts))
    raster = gdal.Open(parts[0][0]) if parts else raster
    found["bands"] = raster.RasterCount
    begin = time.perf_counter()
    for band in range(1, min(30, raster.RasterCount) + 1):
        raster.GetRasterBand(band).ReadAsArray()
    found["ms_a_date"] = round((time.perf_counter() - begin) / min(30, raster.RasterCount) * 1e3, 1)
    if raster.RasterCount > 1:
        raster = gdal.Open(sys.argv[1])
        begin = time.perf_counter()
        raster.ReadAsArray(300, 200, 1, 1)
        found["ms_a_series"] = round((time.perf_counter() - begin) * 1e3, 1)
except RuntimeError as error:
    found["fault"] = str(error)[:120]
print(json.dumps(found))
"""


class Layout:
    """One way to keep the maps: where, how it is written, how the array is opened."""

    def __init__(self, name: str, kind: str, chunks: tuple[int, int, int], **options: Any) -> None:
        self.name, self.kind, self.chunks, self.options = name, kind, chunks, options
        self.path = OUT / f"{name.replace(' ', '_')}.{'nc' if kind != 'zarr' else 'zarr'}"

    def write(self, maps: np.ndarray) -> None:
        """Write all maps in blocks, as the import does."""
        if self.kind == "freshet":
            _write_freshet(self.path, maps)
        elif self.kind == "zarr":
            _write_zarr(self.path, maps, self.chunks, self.options)
        else:
            _write_netcdf(self.path, maps, self.chunks, self.options)

    def opened(self, read: Callable[[Any], Any]) -> Any:
        """Open, read, close."""
        if self.kind == "zarr":
            import zarr

            return read(zarr.open_group(self.path, mode="r")["rain"])
        import netCDF4

        with netCDF4.Dataset(str(self.path)) as handle:
            handle.set_auto_maskandscale(False)
            return read(handle["rain"])

    def size(self) -> tuple[float, int]:
        """Megabytes and number of files."""
        files = [p for p in self.path.rglob("*") if p.is_file()] if self.path.is_dir() else [self.path]
        return round(sum(p.stat().st_size for p in files) / 1e6, 1), len(files)


def main(arguments: list[str]) -> int:
    """Measure and print."""
    steps = int(arguments[0]) if arguments else 365
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    layouts = _layouts()
    times = _measure(layouts, _maps(steps))
    ours = times["freshet"]
    for layout in layouts:
        found = {key: f"{seconds:.3f} s ({seconds / ours[key]:.2f})" for key, seconds in times[layout.name].items()}
        megabytes, files = layout.size()
        print(f"{layout.name}: {json.dumps({**found, 'MB': megabytes, 'files': files, 'QGIS': _in_gdal(layout)})}")
    shutil.rmtree(OUT)
    return 0


def _layouts() -> list[Layout]:
    deflated = {"zlib": True, "complevel": 1, "shuffle": True}
    found = [
        Layout("freshet", "freshet", CHUNKS),
        Layout("netcdf a map a chunk", "netcdf", (1, SIDE, SIDE), **deflated),
        Layout("netcdf 32 x 64 x 64", "netcdf", (32, 64, 64), **deflated),
        Layout("netcdf zstd", "netcdf", CHUNKS, compression="zstd", complevel=3, shuffle=True),
        Layout("netcdf not compressed", "netcdf", CHUNKS),
        Layout("zarr 3", "zarr", CHUNKS, zarr_format=3),
    ]
    import numcodecs

    blosc = numcodecs.Blosc("zstd", clevel=1, shuffle=1)
    return [*found, Layout("zarr 2", "zarr", CHUNKS, zarr_format=2, compressors=blosc)]


def _maps(steps: int) -> np.ndarray:
    """Fields like rain: half of the cells dry, all digits used in the others."""
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(1)
    maps = np.empty((steps, SIDE, SIDE), dtype=np.float32)
    for step in range(steps):
        maps[step] = np.maximum(gaussian_filter(random.normal(size=(SIDE, SIDE)), 6) * 40, 0)
    return maps


def _measure(layouts: list[Layout], maps: np.ndarray) -> dict[str, dict[str, float]]:
    random = np.random.default_rng(2)
    starts = random.integers(0, max(1, len(maps) - 30), 6)
    steps, cells = random.integers(0, len(maps), 12), random.integers(0, SIDE, (8, 2))
    reads: dict[str, Callable[[Any], Any]] = {
        "whole": lambda array: array[:],
        "windows": lambda array: [array[start : start + 30] for start in starts],
        "steps": lambda array: [array[step] for step in steps],
        "cells": lambda array: [array[:, row, column] for row, column in cells],
    }
    seconds: dict[str, dict[str, list[float]]] = {x.name: {key: [] for key in ("write", *READS)} for x in layouts}
    for _ in range(ROUNDS):
        for layout in layouts:
            own = seconds[layout.name]
            own["write"].append(_time(lambda layout=layout: layout.write(maps)))
            for key, read in reads.items():
                own[key].append(_time(lambda layout=layout, read=read: layout.opened(read)))
    for layout in layouts:
        if not np.array_equal(layout.opened(lambda array: array[-1]), maps[-1]):
            raise SystemExit(f"{layout.name} gives other values back")
    return {name: {key: statistics.median(taken) for key, taken in own.items()} for name, own in seconds.items()}


def _time(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _write_freshet(path: Path, maps: np.ndarray) -> None:
    from freshet.core.contracts import Grid
    from freshet.core.data.store import DatasetWriter, VariableInfo

    times = np.datetime64("2001-01-01", "s") + np.arange(len(maps)) * np.timedelta64(86400, "s")
    grid = Grid("EPSG:3035", 4_000_000.0, 3_000_000.0, 1000.0, 1000.0, SIDE, SIDE)
    info = VariableInfo("rain", "input", "precipitation", "mm/d", "Rain")
    with DatasetWriter(path, name="n", grid=grid, times=times, step_seconds=86400.0, variables=[info]) as writer:
        for start in range(0, len(maps), BLOCK):
            writer.append("rain", maps[start : start + BLOCK])
        writer.finish(np.ones((SIDE, SIDE), dtype=bool), {})


def _write_netcdf(path: Path, maps: np.ndarray, chunks: tuple[int, int, int], options: dict[str, Any]) -> None:
    import netCDF4

    with netCDF4.Dataset(str(path), "w") as handle:
        handle.set_auto_maskandscale(False)
        for name, size in zip(("time", "y", "x"), maps.shape):
            handle.createDimension(name, size)
        variable = handle.createVariable("rain", "f4", ("time", "y", "x"), chunksizes=chunks, **options)
        variable.set_var_chunk_cache(2**26)
        for start in range(0, len(maps), BLOCK):
            variable[start : start + BLOCK] = maps[start : start + BLOCK]


def _write_zarr(path: Path, maps: np.ndarray, chunks: tuple[int, int, int], options: dict[str, Any]) -> None:
    """In blocks of whole chunks: Zarr would read and write its files again for less."""
    import zarr

    shutil.rmtree(path, ignore_errors=True)
    options = dict(options)
    group = zarr.open_group(path, mode="w", zarr_format=options.pop("zarr_format"))
    array = group.create_array("rain", shape=maps.shape, chunks=chunks, dtype="f4", **options)
    for start in range(0, len(maps), chunks[0]):
        array[start : start + chunks[0]] = maps[start : start + chunks[0]]


def _in_gdal(layout: Layout) -> dict[str, Any]:
    name = str(layout.path) if layout.kind == "zarr" else f'NETCDF:"{layout.path}":rain'
    # netCDF4 tells its children where it keeps filters that QGIS's GDAL does not have.
    environment = {key: value for key, value in os.environ.items() if key != "HDF5_PLUGIN_PATH"}
    command = ["/usr/bin/python3", "-c", _GDAL, name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout else {"fault": done.stderr.strip()[-200:]}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
