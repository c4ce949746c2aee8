"""A ``freshet prepare`` that is killed, cancelled or refused on its way: what is finished is taken over by the next."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from freshet.core.data.store import Dataset

STEPS, ROWS, COLUMNS = 48, 300, 400
CUT = 30  # neither among the maps of which a sample is taken before the work begins, nor in the first block


@pytest.fixture(scope="module")
def stack(tmp_path_factory) -> Path:
    """A folder of daily maps."""
    folder = tmp_path_factory.mktemp("stack") / "rain"
    folder.mkdir()
    maps = np.random.default_rng(1).gamma(0.5, 4.0, (STEPS, ROWS, COLUMNS)).astype(np.float32)
    place = {"crs": "EPSG:3035", "transform": Affine(1000, 0, 4_000_000, 0, -1000, 3_000_000), "nodata": -9999.0}
    shape = {"driver": "GTiff", "width": COLUMNS, "height": ROWS, "count": 1, "dtype": "float32"}
    for number, single in enumerate(maps):
        with rasterio.open(_file(folder, number), "w", **place, **shape) as handle:
            handle.write(single, 1)
    return folder


def _file(folder: Path, number: int) -> Path:
    return folder / f"rain_{np.datetime64('2001-01-01') + number}.tif"


def _job(stack: Path, output: Path, **more) -> dict:
    """Many small blocks: one thread, the least memory, a finer grid."""
    source = {"variable": "rain", "path": str(stack), "quantity": "precipitation", "units": "mm/d", **more}
    return {
        "name": "Stack", "sources": [source], "grid": {"like": "rain", "resolution": 600.0}, "output": str(output),
        "threads": 1, "memory_mb": 64, "checksums": False, "measure_error": False,
    }  # fmt: skip


@pytest.fixture(scope="module")
def whole(stack, tmp_path_factory) -> str:
    """Fingerprint and values of the dataset whose making was not interrupted."""
    from freshet.core.contracts.jobs import job_from_dict
    from freshet.core.data.prepare import prepare

    output = tmp_path_factory.mktemp("whole") / "whole.nc"
    list(prepare(job_from_dict("prepare", _job(stack, output))))
    return _fingerprint(output)


def _fingerprint(output: Path) -> str:
    with Dataset.open(output) as dataset:
        return dataset.fingerprint() + hashlib.sha256(dataset.dynamic("rain").tobytes()).hexdigest()


def _finished(output: Path) -> int:
    """Blocks with a marker; what a killed run left of one begins with a dot."""
    return len(list(output.with_name(output.name + ".parts").rglob("done/[!.]*.json")))


def _taken_over(text: str) -> tuple[int, int]:
    """Blocks that were there already, and all blocks."""
    match = re.search(r"info: (\d+) of (\d+) blocks were there already; the work goes on from there", text)
    return (int(match.group(1)), int(match.group(2))) if match else (0, 0)


def _goes_on(prepare, job: dict, finished: int, whole: str) -> None:
    """The next run takes over what is finished, and its result is that of a run that was not interrupted."""
    output = Path(job["output"])
    there, every = _taken_over(prepare.made(job))
    assert there == finished and every > there
    assert _fingerprint(output) == whole
    assert sorted(path.name for path in output.parent.iterdir()) == [output.name]


def _interrupted(prepare, wait, job: dict, end) -> int:
    """Start a job and end it by ``end()`` of its process once some more of its blocks are finished: how many are."""
    output = Path(job["output"])
    enough = _finished(output) + 3
    process = prepare.start(job)
    wait(process, lambda: _finished(output) >= enough)
    end(process)
    process.wait(60)
    assert enough <= _finished(output) and not output.exists()
    return _finished(output)


def test_a_run_that_was_killed_is_taken_up_again(prepare, wait, stack, whole, tmp_path):
    job = _job(stack, tmp_path / "out" / "stack.nc")
    for _ in range(
        2
    ):  # killed twice: the second run goes on from the blocks of the first, the third from those of both
        finished = _interrupted(prepare, wait, job, lambda process: process.send_signal(signal.SIGKILL))
    _goes_on(prepare, job, finished, whole)


def test_a_run_that_was_cancelled_is_taken_up_again(prepare, wait, stack, whole, tmp_path):
    job = _job(stack, tmp_path / "out" / "stack.nc")
    finished = _interrupted(prepare, wait, job, lambda process: (tmp_path / "run_1" / "cancel").touch())
    assert '"cancelled"' in (tmp_path / "run_1" / "events.jsonl").read_text()
    _goes_on(prepare, job, finished, whole)


def test_a_run_that_was_killed_while_the_file_was_written_leaves_nothing_under_its_name(
    prepare, wait, stack, whole, tmp_path
):
    output = tmp_path / "out" / "stack.nc"
    job = _job(stack, output)
    process = prepare.start(job)
    wait(process, lambda: list(output.parent.glob(".stack.*.part.nc")))
    process.kill()
    process.wait(60)
    assert not output.exists()
    there, every = _taken_over(prepare.made(job))
    assert there == every > 0
    assert _fingerprint(output) == whole
    assert [path.name for path in output.parent.iterdir()] == ["stack.nc"], "what the killed run left is gone too"


def test_after_a_broken_file_was_replaced_the_run_goes_on_from_what_is_finished(prepare, stack, whole, tmp_path):
    folder = Path(shutil.copytree(stack, tmp_path / "in" / "rain"))
    output, broken = tmp_path / "out" / "stack.nc", _file(folder, CUT)
    good = broken.read_bytes()
    broken.write_bytes(good[: len(good) // 2])
    sentence = prepare.refused(_job(folder, output))
    assert "'rain': the raster cannot be read" in sentence and f"{broken.name}, band 1" in sentence
    assert "date 2001-01-31" in sentence and "Replace this file" in sentence
    assert f"What is finished is kept in {output}.parts; a new run goes on from there" in sentence
    assert not output.exists()
    finished = _finished(output)
    assert 0 < finished < STEPS
    again = prepare.refused(_job(folder, output))
    assert again == sentence and _finished(output) >= finished
    finished = _finished(output)
    broken.write_bytes(good)
    os.utime(broken)
    _goes_on(prepare, _job(folder, output), finished, whole)


def test_a_broken_file_may_be_a_gap_after_all(prepare, stack, tmp_path):
    folder = Path(shutil.copytree(stack, tmp_path / "in" / "rain"))
    output, broken = tmp_path / "out" / "stack.nc", _file(folder, CUT)
    broken.write_bytes(broken.read_bytes()[: ROWS * COLUMNS])
    prepare.refused(_job(folder, output))
    finished = _finished(output)
    told = prepare.made(_job(folder, output, unreadable="gap"))
    assert 0 < finished == _taken_over(told)[0], "the choice changes no block that could be read"
    assert f"warning: 'rain': {broken.name} of 2001-01-31 cannot be read" in told
    with Dataset.open(output) as dataset:
        missing = np.isnan(dataset.dynamic("rain"))
    assert missing[CUT].any() and not np.delete(missing, CUT, axis=0).any()
