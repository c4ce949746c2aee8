"""Finished parts: taken over by the same job, anew after a change, kept after a fault, a cancel and a kill."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from freshet.core.contracts.errors import DataError
from freshet.core.data import parts as parts_module
from freshet.core.data.parts import Bits, Block, Layout, VariableParts, parts_folder
from freshet.core.data.prepare import prepare

from .source_files import job, random_maps, run, source, texts, write_folder, write_tif

LAYOUT = Layout((10, 7, 5), 4, 3)


def _filled(folder: Path, mark: str = "one") -> tuple[VariableParts, np.ndarray]:
    parts, values = VariableParts.begin(folder, [mark], LAYOUT), random_maps(10, 7, 5)
    for block in LAYOUT.blocks():
        parts.write(block, values[block.start : block.stop, block.first : block.last], {"name": block.name})
    return parts, values


def test_blocks_cover_a_variable_strip_by_strip():
    seen = np.zeros(LAYOUT.shape, dtype=int)
    blocks = LAYOUT.blocks()
    for block in blocks:
        seen[block.start : block.stop, block.first : block.last] += 1
    assert (seen == 1).all() and [block.first for block in blocks] == sorted(block.first for block in blocks)
    assert len({block.name for block in blocks}) == len(blocks) == 9


def test_what_is_written_is_read_back_in_any_cut(tmp_path):
    parts, values = _filled(tmp_path / "v")
    np.testing.assert_array_equal(parts.read(1, 9, 2, 7), values[1:9, 2:7])
    assert parts.done(Block(4, 8, 3, 6)) == {"name": "4-3"}


def test_the_same_fingerprint_takes_over_and_another_starts_anew(tmp_path):
    _filled(tmp_path / "v")
    again = VariableParts.begin(tmp_path / "v", ["two", "one"], LAYOUT)
    assert all(again.done(block) for block in LAYOUT.blocks())
    larger = VariableParts.begin(tmp_path / "v", ["one"], Layout(LAYOUT.shape, 10, 7))
    assert larger.layout == LAYOUT, "blocks that are there keep their size where it is not too large"
    for mark, layout in (("two", LAYOUT), ("one", Layout(LAYOUT.shape, 1, 1)), ("one", Layout((10, 7, 6), 4, 3))):
        _filled(tmp_path / "w")
        anew = VariableParts.begin(tmp_path / "w", [mark], layout)
        assert anew.layout == layout and not any(anew.done(block) for block in layout.blocks())


def test_a_block_without_a_whole_marker_counts_as_missing(tmp_path):
    parts, _ = _filled(tmp_path / "v")
    marker = tmp_path / "v" / "done" / "4-3.json"
    marker.write_text(marker.read_text()[:-3])
    assert parts.done(Block(4, 8, 3, 6)) is None and parts.done(Block(0, 4, 3, 6)) is not None


def test_a_part_that_is_damaged_is_named(tmp_path):
    parts, _ = _filled(tmp_path / "v")
    for path in (tmp_path / "v" / "values").rglob("*"):
        if path.is_file() and path.name != "zarr.json":
            path.write_bytes(b"no longer what it was")
    with pytest.raises(DataError, match="cannot be read again.*Remove this folder"):
        parts.read(0, 10, 0, 7)


def test_bits_come_back():
    mask = np.random.default_rng(1).random((7, 13)) > 0.5
    bits = Bits(mask.shape)
    for first, last in ((0, 2), (2, 7)):
        bits.add(first, last, Bits.text(mask[first:last]))
    np.testing.assert_array_equal(bits.mask(), mask)
    bits.add(0, 7, Bits.text(~mask))
    assert bits.mask().all()


def _two(tmp_path, **options):
    rain = source(write_folder(tmp_path / "a", random_maps(6)))
    snow = source(write_folder(tmp_path / "b", random_maps(6, seed=2)), "snow", quantity="snow", units="mm")
    return job(tmp_path, rain, snow, **options)


def _stopped_after(prepared, text: str) -> None:
    events = prepare(prepared)
    for event in events:
        if event.values.get("text", "").startswith(text):
            break
    events.close()


def test_a_cancelled_run_is_gone_on_with_and_gives_the_same(tmp_path):
    prepared = _two(tmp_path)
    whole, _ = run(prepared)
    expected = whole.fingerprint()
    whole.close()
    os.unlink(prepared.output)
    _stopped_after(prepared, "Writing rain")
    assert parts_folder(prepared.output).is_dir() and not os.path.exists(prepared.output)
    dataset, events = run(prepared)
    assert "2 of 2 blocks were there already" in texts(events)
    assert dataset.fingerprint() == expected and not parts_folder(prepared.output).exists()
    dataset.close()


def test_only_the_variable_that_changed_is_made_anew(tmp_path):
    prepared = _two(tmp_path)
    _stopped_after(prepared, "Writing rain")
    changed = random_maps(6, seed=9)
    write_folder(tmp_path / "b", changed)
    dataset, events = run(prepared)
    assert "1 of 2 blocks were there already" in texts(events)
    with dataset:
        np.testing.assert_array_equal(dataset.dynamic("snow"), changed)
    _stopped_after(prepared, "Writing rain")
    other = prepared.replace(sources=(prepared.sources[0].replace(units="mm/h"), prepared.sources[1]))
    dataset, events = run(other)
    assert "1 of 2 blocks were there already" in texts(events)
    with dataset:
        np.testing.assert_allclose(dataset.dynamic("rain"), 24 * random_maps(6), rtol=1e-6)


def _with_a_broken_map(tmp_path, maps):
    """A folder whose last map but two opens, but cannot be decoded."""
    folder = write_folder(tmp_path / "f", maps, compress="deflate")
    broken = sorted(folder.iterdir())[-3]
    content = broken.read_bytes()
    half = len(content) // 2
    broken.write_bytes(content[:half] + b"\xff" * 3000 + content[half + 3000 :])
    return folder, broken


def test_a_map_that_cannot_be_decoded_is_named_with_its_date_and_what_is_done_is_kept(tmp_path):
    maps = random_maps(60, 200, 200)
    folder, broken = _with_a_broken_map(tmp_path, maps)
    prepared = job(tmp_path, source(folder), memory_mb=64, threads=1)
    with pytest.raises(DataError, match="'rain': the raster cannot be read") as caught:
        list(prepare(prepared))
    assert broken.name in caught.value.got and "date 2001-04-25" in caught.value.got
    assert "keep its date as a gap" in caught.value.remedy and "a new run goes on from there" in caught.value.remedy
    write_tif(broken, maps[-3])
    dataset, events = run(prepared)
    with dataset:
        np.testing.assert_array_equal(dataset.dynamic("rain"), maps)
    assert "blocks were there already" in texts(events), "the blocks without that file are kept"


def test_a_map_that_cannot_be_decoded_may_be_a_gap(tmp_path):
    maps = random_maps(60, 200, 200)
    folder, _ = _with_a_broken_map(tmp_path, maps)
    with pytest.raises(DataError):
        list(prepare(job(tmp_path, source(folder), memory_mb=64, threads=1)))
    dataset, events = run(job(tmp_path, source(folder, unreadable="gap"), memory_mb=64, threads=1))
    assert "blocks were there already" in texts(events)
    maps[-3] = np.nan
    with dataset:
        np.testing.assert_array_equal(dataset.dynamic("rain"), maps)
    assert "1 of 60 steps has a map without a single value: 2001-04-25" in texts(events, "warning")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disc_is_told_with_figures_and_the_work_goes_on_later(tmp_path, monkeypatch, code):
    prepared = _two(tmp_path)
    original, count = VariableParts._array, []

    def full(self, name):
        count.append(name)
        if len(count) > 1:
            raise OSError(code, os.strerror(code))
        return original(self, name)

    monkeypatch.setattr(VariableParts, "_array", full)
    with pytest.raises(DataError, match="The disc is full.*MB free in .*Free space.*a new run goes on from there"):
        list(prepare(prepared))
    monkeypatch.undo()
    dataset, events = run(prepared)
    dataset.close()
    assert "1 of 2 blocks were there already" in texts(events)


def test_too_little_room_is_said_before_the_work_begins(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    prepared = _two(tmp_path)
    with pytest.raises(DataError, match="not enough room on the disc.*about .* MB.*free in"):
        list(prepare(prepared))
    assert not parts_folder(prepared.output).exists()


def test_the_room_that_is_needed_is_said(tmp_path):
    _, events = run(_two(tmp_path))
    assert "are needed on the disc while the dataset is made" in texts(events)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_without_rights_is_said(tmp_path):
    locked = tmp_path / "out"
    locked.mkdir()
    locked.chmod(0o500)
    with pytest.raises(DataError, match="cannot be written.*ask for the right"):
        list(prepare(_two(tmp_path)))


def test_an_error_of_the_disc_that_is_not_fullness_speaks_of_the_folder(tmp_path):
    with pytest.raises(DataError, match="cannot be written.*Permission denied"):
        with parts_module.writing(tmp_path):
            raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "x"))


def test_a_killed_run_is_gone_on_with(tmp_path):
    """The process is killed without warning in the middle of the blocks."""
    maps = random_maps(60, 300, 300)
    write_folder(tmp_path / "f", maps)
    prepared = job(tmp_path, source(tmp_path / "f"), memory_mb=64, checksums=False, threads=1)
    (tmp_path / "job.json").write_text(json.dumps(prepared.to_dict()))
    code = (
        "import json, sys, time\n"
        "from freshet.core.contracts import PrepareJob\n"
        "from freshet.core.data.prepare import prepare\n"
        f"job = PrepareJob.from_dict(json.load(open({str(tmp_path / 'job.json')!r})))\n"
        "for event in prepare(job):\n"
        "    if event.values.get('text', '').startswith('rain: 2 of'):\n"
        "        print('two', flush=True)\n"
        "        time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"two\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    time.sleep(0.1)
    dataset, events = run(prepared)
    assert " blocks were there already" in texts(events)
    with dataset:
        np.testing.assert_array_equal(dataset.dynamic("rain"), maps)
