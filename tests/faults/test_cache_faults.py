"""The cache beside a dataset where the disc is small or the folder is not one's own: a sentence, nothing half-written,
and a training that goes on without it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core"))
from toy import write_toy_dataset  # noqa: E402

FRESHET = str(Path(sys.executable).parent / "freshet")
NOBODY = 65534
QUIET = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
# Makes a cache on a small disc of its own, gives the disc more room, and makes it again.
_ON_A_SMALL_DISC = """
mount -t tmpfs -o size=160k tmpfs "$2" || exit 99
cp "$1" "$2/toy.nc" || exit 99
"$3" cache "$2/toy.nc" --make >"$4/first.out" 2>"$4/first.err"; echo $? >"$4/first.rc"
ls -AR "$2" >"$4/first.ls"
mount -o remount,size=4m "$2" || exit 99
"$3" cache "$2/toy.nc" --make >"$4/second.out" 2>"$4/second.err"; echo $? >"$4/second.rc"
"""


def job_of(path: Path, **training) -> dict:
    return {
        "datasets": [str(path)], "target": "store", "inputs": ["rain"], "window": 5, "warm_up": 0,
        "model": {"options": {"hidden": [2], "kernel": [1]}}, "training": {"epochs": 1, "threads": 1, **training},
    }  # fmt: skip


def _mounts(own: list[str], place: Path) -> bool:
    trial = [*own, "mount", "-t", "tmpfs", "tmpfs", str(place)]
    return bool(shutil.which("unshare")) and subprocess.run(trial, capture_output=True, check=False).returncode == 0


def test_a_small_disc_is_told_before_anything_is_written(tmp_path):
    path = write_toy_dataset(tmp_path / "toy.nc", rows=10, columns=10)  # 96 kB of maps; 58 kB are left beside the file
    disc, saved = tmp_path / "disc", tmp_path / "saved"
    disc.mkdir()
    saved.mkdir()
    alone = next((own for own in (["unshare", "-m"], ["unshare", "-Urm"]) if _mounts(own, disc)), None)
    if alone is None:
        pytest.skip("no small disc can be mounted here")
    command = [*alone, "sh", "-c", _ON_A_SMALL_DISC, "sh", str(path), str(disc), FRESHET, str(saved)]
    done = subprocess.run(command, env=QUIET, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert (saved / "first.rc").read_text().strip() == "2" and (saved / "second.rc").read_text().strip() == "0"
    sentence = (saved / "first.err").read_text()
    assert len(sentence.strip().splitlines()) == 1
    for word in ("not enough room on the disc for the cache", "96 kB", "Free space", "freshet cache"):
        assert word in sentence, sentence
    assert ".f32" not in (saved / "first.ls").read_text() and ".part" not in (saved / "first.ls").read_text()
    assert "3 of 3 maps in time" in (saved / "second.out").read_text()


@pytest.fixture
def not_ours():
    """A dataset in a folder in which nobody may write, and the words before a command that is run as nobody."""
    folder = Path(tempfile.mkdtemp(prefix="freshet-cache-"))
    folder.chmod(0o777)
    (folder / "data").mkdir()
    path = write_toy_dataset(folder / "data" / "toy.nc")
    before: tuple[str, ...] = ()
    if os.geteuid() == 0:
        before = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        trial = [*before, sys.executable, "-c", "import torch"]
        if not shutil.which("setpriv") or subprocess.run(trial, capture_output=True, check=False).returncode:
            shutil.rmtree(folder)
            pytest.skip("the engine cannot be run as nobody here")
    (folder / "data").chmod(0o555)
    yield folder, path, before
    (folder / "data").chmod(0o777)
    shutil.rmtree(folder)


def test_beside_a_dataset_of_others_no_cache_is_made_and_the_training_goes_on(not_ours):
    folder, path, before = not_ours
    asked = subprocess.run([*before, FRESHET, "cache", str(path), "--make"], env=QUIET, capture_output=True, text=True)
    assert asked.returncode == 2 and "The folder beside the dataset cannot be written" in asked.stderr
    job = folder / "job.json"
    job.write_text(json.dumps(job_of(path, cache="on")))
    command = [*before, FRESHET, "train", str(job), "--run", str(folder / "run")]
    done = subprocess.run(command, env=QUIET, capture_output=True, text=True, cwd=folder, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "No cache is made" in done.stdout and "The work goes on without it" in done.stdout
    assert sorted(item.name for item in (folder / "data").iterdir()) == ["toy.nc"]


def test_a_dataset_that_is_prepared_anew_loses_the_cache_of_the_old_one(prepare, tmp_path):
    import numpy as np
    import rasterio
    from affine import Affine

    (tmp_path / "rain").mkdir()
    place = {"crs": "EPSG:3035", "transform": Affine(1000, 0, 4_000_000, 0, -1000, 3_000_000), "nodata": -9999.0}
    for day in range(1, 6):
        with rasterio.open(tmp_path / "rain" / f"rain_2001-01-0{day}.tif", "w", driver="GTiff", width=6, height=4,
                           count=1, dtype="float32", **place) as handle:  # fmt: skip
            handle.write(np.full((4, 6), float(day), dtype=np.float32), 1)
    source = {"variable": "rain", "path": str(tmp_path / "rain"), "quantity": "precipitation", "units": "mm/d"}
    job = {"name": "Set", "sources": [source], "grid": {"like": "rain"}, "output": str(tmp_path / "set.nc")}
    prepare.made(job)
    command = [FRESHET, "cache", str(tmp_path / "set.nc")]
    subprocess.run([*command, "--make"], check=True, env=QUIET, capture_output=True)
    assert (tmp_path / "set.nc.cache").is_dir()
    prepare.made({**job, "name": "Other"})
    assert not (tmp_path / "set.nc.cache").exists()
