"""A disc that is full: before the work, in the middle of it, while the file is written. Nothing half-written bears the
final name, the sentence says what to do, and with more room the next run goes on from what is finished.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from freshet.core.data.store import Dataset

resource = pytest.importorskip("resource", reason="limits of a process are a matter of Unix")

STEPS, SIDE = 32, 256  # 8 MB of noise
# Runs a job in OUT of a small disc of its own, gives the disc more room, runs it again and brings all out.
_ON_A_SMALL_DISC = """
set -u
small=$1 large=$2 out=$3 saved=$4; shift 4
mkdir -p "$out" && mount -t tmpfs -o size="$small" tmpfs "$out" || exit 99
"$@" "$saved/first" 2>"$saved/first.err"; echo $? >"$saved/first.rc"
ls -A "$out" >"$saved/first.ls"; find "$out" -path '*done/[!.]*.json' | wc -l >"$saved/first.done"
mount -o remount,size="$large" "$out" || exit 99
"$@" "$saved/second" >"$saved/second.out" 2>"$saved/second.err"; echo $? >"$saved/second.rc"
ls -A "$out" >"$saved/second.ls"; cp "$out/stack.nc" "$saved/"
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory) -> Path:
    """Maps of noise, but for the first, the middle and the last, whose zeros mislead the estimate of the room."""
    folder = tmp_path_factory.mktemp("stack") / "rain"
    folder.mkdir()
    maps = np.random.default_rng(1).gamma(0.5, 4.0, (STEPS, SIDE, SIDE)).astype(np.float32)
    maps[[0, STEPS // 2 - 1, STEPS // 2, -1]] = 0
    place = {"crs": "EPSG:3035", "transform": Affine(1000, 0, 4_000_000, 0, -1000, 3_000_000), "nodata": -9999.0}
    shape = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 1, "dtype": "float32"}
    for number, single in enumerate(maps):
        with rasterio.open(folder / f"rain_2001-01-{number + 1:02d}.tif" if number < 31 else
                           folder / "rain_2001-02-01.tif", "w", **place, **shape) as handle:  # fmt: skip
            handle.write(single, 1)
    return folder


def _job(stack: Path, output: Path) -> dict:
    source = {"variable": "rain", "path": str(stack), "quantity": "precipitation", "units": "mm/d"}
    return {
        "name": "Stack", "sources": [source], "grid": {"like": "rain"}, "output": str(output), "threads": 1,
        "memory_mb": 64, "checksums": False, "measure_error": False,
    }  # fmt: skip


def _own_mounts(place: Path) -> list[str]:
    """The command that gives a process mounts of its own; the test is left out where that is not allowed."""
    for command in (["unshare", "-m"], ["unshare", "-Urm"]):
        trial = [*command, "mount", "-t", "tmpfs", "tmpfs", str(place)]
        if shutil.which("unshare") and subprocess.run(trial, capture_output=True, check=False).returncode == 0:
            return command
    pytest.skip("no small disc can be mounted here")


def _on_a_small_disc(prepare, stack: Path, folder: Path, small: str) -> dict[str, str]:
    """Run the job on a disc of the size ``small``, then again with more room: what each said, left and made."""
    saved, out = folder / "saved", folder / "out"
    saved.mkdir()
    job = folder / "job.json"
    job.write_text(json.dumps(_job(stack, out / "stack.nc")), encoding="utf-8")
    command = [str(Path(sys.executable).parent / "freshet"), "prepare", str(job), "--run"]
    shell = [*_own_mounts(saved), "sh", "-c", _ON_A_SMALL_DISC, "sh", small, "64m", str(out), str(saved), *command]
    done = subprocess.run(shell, capture_output=True, text=True, env=prepare.environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return {path.name: path.read_text().strip() for path in saved.iterdir() if path.is_file() and path.suffix != ".nc"}


def _check_made(found: dict[str, str], folder: Path, stack: Path) -> None:
    assert found["second.rc"] == "0", found["second.err"]
    assert found["second.ls"] == "stack.nc", "the parts are gone"
    done = int(found["first.done"])
    assert (f"info: {done} of " in found["second.out"]) == (done > 0)
    with Dataset.open(folder / "saved" / "stack.nc") as dataset:
        values = dataset.dynamic("rain")
    for number, path in enumerate(sorted(stack.iterdir())):
        with rasterio.open(path) as handle:
            np.testing.assert_array_equal(values[number], handle.read(1))


def _check_refused(found: dict[str, str], *words: str) -> None:
    assert found["first.rc"] == "2" and len(found["first.err"].splitlines()) == 1
    assert [word for word in words if word not in found["first.err"]] == [], found["first.err"]


def _check_kept(found: dict[str, str], folder: Path) -> None:
    """Finished blocks are kept, which is said, and nothing else."""
    assert (
        f"What is finished is kept in {folder}/out/stack.nc.parts; a new run goes on from there" in found["first.err"]
    )
    assert found["first.ls"] == "stack.nc.parts" and int(found["first.done"]) > 0


def test_a_disc_that_is_too_small_is_refused_before_the_work(prepare, stack, tmp_path):
    found = _on_a_small_disc(prepare, stack, tmp_path, "1m")
    remedy = "Free space there, choose another folder, a shorter period or larger cells"
    _check_refused(found, "There is not enough room on the disc for the dataset", f"free in {tmp_path}/out", remedy)
    assert found["first.ls"] == "" and found["first.done"] == "0"
    _check_made(found, tmp_path, stack)


def test_a_disc_that_runs_full_in_the_middle(prepare, stack, tmp_path):
    found = _on_a_small_disc(prepare, stack, tmp_path, "4m")
    remedy = "Free space there, or choose another folder for the dataset, and start again"
    _check_refused(found, "The disc is full", "MB free in", f"{tmp_path}/out", "No space left", remedy)
    _check_kept(found, tmp_path)
    _check_made(found, tmp_path, stack)


def test_a_disc_that_runs_full_while_the_file_is_written(prepare, stack, tmp_path):
    found = _on_a_small_disc(prepare, stack, tmp_path, "10m")
    remedy = "Free space there, or choose another folder for the dataset"
    _check_refused(found, "The dataset 'stack.nc' could not be written", f"free in {tmp_path}/out", remedy)
    _check_kept(found, tmp_path)
    _check_made(found, tmp_path, stack)


@pytest.mark.parametrize(
    ("limit", "words"), [(4096, "The disc is full"), (150_000, "The disc is full"), (4_500_000, "could not be written")]
)
def test_files_that_may_not_grow_are_a_full_disc(prepare, stack, tmp_path, limit, words):
    """The same by a limit on the size of files, where no disc can be mounted: of log, blocks, or dataset."""
    job = _job(stack, tmp_path / "out" / "stack.nc")
    sentence = prepare.refused(job, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert words in sentence and "Free space there" in sentence
    left = [path.name for path in (tmp_path / "out").iterdir()] if (tmp_path / "out").exists() else []
    assert left in ([], ["stack.nc.parts"])
    assert bool(left) == ("a new run goes on from there" in sentence)
    prepare.made(job)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["stack.nc"]
