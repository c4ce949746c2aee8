"""Blocks: their size, their values, their memory; on threads and on a cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.warp
import rasterio.windows
from affine import Affine

from freshet.core.contracts import GridConfig
from freshet.core.contracts.errors import DataError
from freshet.core.contracts.grid import Grid
from freshet.core.data.blocks import Budget, make_stream, plan_layout
from freshet.core.data.clock import Clock
from freshet.core.data.parts import Block
from freshet.core.data.prepare import prepare
from freshet.core.data.regrid import Regridder
from freshet.core.data.sources import open_source
from freshet.core.data.store_format import chunk_shape

from .source_files import CELL, NORTH, START, WEST, job, random_maps, run, source, texts, write_folder, write_netcdf

SMALL = Budget(made=4 * 3 * 5 * 23, read=4 * 2 * 900, geometry=10**5, threads=2)


@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic", "conservative"])
@pytest.mark.parametrize("crs", ["EPSG:3035", "EPSG:25832"])
def test_blocks_of_any_size_hold_the_values_of_the_whole(tmp_path, method, crs):
    maps = random_maps(12, 40, 30)
    maps[3, 10:20, 5:9] = np.nan
    folder = write_folder(tmp_path / "f", maps)
    west, north = rasterio.warp.transform("EPSG:3035", crs, [WEST + 2000], [NORTH - 3000])
    target = Grid(crs, west[0], north[0], 700.0, 900.0, 23, 21)
    with open_source(source(folder, resampling=method)) as opened:
        stream = make_stream(opened, target, Clock(START, 86400.0, 12))
        layout = plan_layout(stream, SMALL)
        assert layout.rows < target.rows and layout.cells * 4 <= SMALL.made
        found = np.full(stream.shape, -1.0, dtype=np.float32)
        for block in layout.blocks():
            found[block.start : block.stop, block.first : block.last] = stream.values(block, SMALL.read)
        expected = Regridder(opened.grid, target, method)(maps)
    np.testing.assert_array_equal(found, expected)
    assert np.isfinite(expected).any()


def test_steps_of_many_maps_are_read_in_pieces(tmp_path):
    rates = random_maps(24 * 6)
    path = write_netcdf(tmp_path / "h.nc", {"r": rates}, step_hours=1)
    with open_source(source(path)) as opened:
        stream = make_stream(opened, opened.grid, Clock(START, 86400.0, 6))
        reads = []
        original = opened.read
        opened.read = lambda start, stop, window=None: reads.append(stop - start) or original(start, stop, window)
        values = stream.values(Block(0, 6, 0, 4), read_bytes=4 * 24 * 7)
    assert max(reads) == 7
    np.testing.assert_allclose(values, rates.reshape(6, 24, 4, 6).mean(axis=1), rtol=1e-5)


def test_blocks_follow_the_chunks_of_the_file_and_the_memory_that_is_given(tmp_path):
    folder = write_folder(tmp_path / "f", random_maps(2))
    for size, memory in ((300, 64), (2000, 64), (6000, 256), (16384, 1024)):
        grid = Grid("EPSG:3035", WEST, NORTH, 6 * CELL / size, 4 * CELL / size, size, size)
        prepared = job(tmp_path, source(folder), memory_mb=memory, threads=2)
        with open_source(source(folder)) as opened:
            stream = make_stream(opened, grid, Clock(START, 86400.0, 2))
            stream.clock = Clock(START, 86400.0, 5000)
            layout = plan_layout(stream, Budget.of(prepared))
        depth = chunk_shape(5000, size, size)[0]
        assert layout.cells * 4 <= memory * 2**20 / 3 / 8
        assert layout.steps % depth == 0 or layout.steps < depth
        assert layout.rows == size or layout.rows & (layout.rows - 1) == 0


def _sparse(folder: Path, count: int, side: int) -> Path:
    """Files that are large to read and small on the disc."""
    folder.mkdir()
    for day in range(count):
        with rasterio.open(
            folder / f"rain_2001-01-{day + 1:02d}.tif", "w", driver="GTiff", width=side, height=side, count=1,
            dtype="float32", crs="EPSG:3035", transform=Affine(100, 0, WEST, 0, -100, NORTH), tiled=True,
            blockxsize=512, blockysize=512, sparse_ok=True, bigtiff="yes",
        ) as handle:  # fmt: skip
            window = rasterio.windows.Window(512, 512, 512, 512)
            handle.write(random_maps(1, 512, 512, seed=day)[0], 1, window=window)
    return folder


_MEASURED = """
import json, sys
from freshet.core.contracts import PrepareJob
from freshet.core.data.prepare import prepare
for event in prepare(PrepareJob.from_dict(json.load(open(sys.argv[1])))):
    pass
# Not ru_maxrss: that keeps the peak of the process that started this one.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is measured in kB on Linux alone")
def test_a_stack_of_two_gigabytes_takes_bounded_memory(tmp_path):
    folder = _sparse(tmp_path / "f", 8, 8192)
    prepared = job(tmp_path, source(folder), memory_mb=128, checksums=False)
    (tmp_path / "job.json").write_text(json.dumps(prepared.to_dict()))
    command = [sys.executable, "-c", _MEASURED, str(tmp_path / "job.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak = int(done.stdout.split()[-1]) / 1024
    print(f"peak of resident memory: {peak:.0f} MB for a stack of 2 GB")
    assert peak < 700


def test_a_frame_larger_than_the_memory_comes_in_strips_onto_another_grid(tmp_path):
    """One map of 270 MB, with 64 MB to work in, averaged onto coarse cells of another CRS."""
    folder = _sparse(tmp_path / "f", 2, 8192)
    west, north = rasterio.warp.transform("EPSG:3035", "EPSG:25832", [WEST + 20_000], [NORTH - 20_000])
    grid = GridConfig(
        crs="EPSG:25832", resolution=2000.0, extent=(west[0], north[0] - 700_000, west[0] + 700_000, north[0])
    )
    prepared = job(tmp_path, source(folder), grid=grid, memory_mb=64, checksums=False)
    (tmp_path / "job.json").write_text(json.dumps(prepared.to_dict()))
    command = [sys.executable, "-c", _MEASURED, str(tmp_path / "job.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak = int(done.stdout.split()[-1]) / 1024
    print(f"peak of resident memory: {peak:.0f} MB for a frame of 270 MB")
    assert peak < 700


def test_a_cluster_gives_the_same_dataset(tmp_path):
    from distributed import LocalCluster

    maps = random_maps(40, 30, 30)
    maps[5] = np.nan
    rain = source(write_folder(tmp_path / "f", maps), fill="linear")
    near = source(write_netcdf(tmp_path / "a.nc", {"r": random_maps(40, 10, 10)}, cell=3 * CELL), "near")
    plain = job(tmp_path, rain, near, memory_mb=64)
    dataset, _ = run(plain)
    expected = dataset.fingerprint()
    dataset.close()
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        dataset, events = run(plain.replace(cluster=cluster.scheduler_address))
        with dataset:
            assert dataset.fingerprint() == expected
        folder = tmp_path / "f"
        broken = sorted(folder.iterdir())[7]
        broken.write_bytes(broken.read_bytes()[:600])
        with pytest.raises(DataError) as caught:
            list(prepare(plain.replace(cluster=cluster.scheduler_address)))
        assert broken.name in str(caught.value) and caught.value.remedy
    assert "rain" in texts(events)


def test_an_address_without_a_scheduler_is_a_sentence(tmp_path, monkeypatch):
    from freshet.core.data import runner

    monkeypatch.setattr(runner, "_CONNECT_SECONDS", 1)
    prepared = job(tmp_path, source(write_folder(tmp_path / "f", random_maps(3))))
    for address in ("tcp://127.0.0.1:1", "nowhere"):
        with pytest.raises(DataError, match=f"No dask scheduler answers at '{address}'.*leave it empty"):
            list(prepare(prepared.replace(cluster=address)))
