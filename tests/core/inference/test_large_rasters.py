"""Rasters that do not fit in memory as a whole: computed, written and judged in parts, and equal to the whole."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import rasterio
import torch

from freshet.core.contracts import ConfigError, EvaluateJob, PeriodConfig, PredictJob, RunError
from freshet.core.contracts.run_folder import RunFolder
from freshet.core.data.store import Dataset
from freshet.core.inference import predictor as predictor_module
from freshet.core.inference import reference as reference_module
from freshet.core.inference import room as room_module
from freshet.core.inference import tiles as tiles_module
from freshet.core.inference import writing as writing_module
from freshet.core.inference.carried import segments_of
from freshet.core.inference.evaluate import evaluate
from freshet.core.inference.making import Making
from freshet.core.inference.pieces import folder_of
from freshet.core.inference.predict import predict
from freshet.core.inference.predictor import Predictor
from freshet.core.inference.room import Frame, choose_tiles
from freshet.core.metrics.scores import Scores
from freshet.core.models import build_model

from .conftest import make_model

PERIOD = PeriodConfig("2001-03-01", "2001-04-20")


@pytest.fixture(scope="module")
def model(place, dataset_path):
    """A window so short that the halo is smaller than the frame."""
    return make_model(place / "two.safetensors", dataset_path, window=2)


@pytest.fixture
def small_parts(monkeypatch):
    """Tiles of 4 cells (16 is the least that a person may ask for), few dates, rows and scores in memory at once."""
    monkeypatch.setattr("freshet.core.inference.predict.rounded_px", lambda side: side and 4)
    monkeypatch.setattr("freshet.core.inference.evaluate.rounded_px", lambda side: side and 4)
    monkeypatch.setattr(tiles_module, "_PIECE_BYTES", 4 * 2 * 100 * 12)
    monkeypatch.setattr(reference_module, "_PART_BYTES", 2 * 4 * 13_000)
    monkeypatch.setattr(writing_module, "_SCORES_BYTES", 0)
    monkeypatch.setattr("freshet.core.metrics.scores._BLOCK_CELLS", 30)


def run_of(folder, verb, job) -> RunFolder:
    run = RunFolder.create(folder, verb, job)
    for event in {"predict": predict, "evaluate": evaluate}[verb](job, run):
        run.append(event)
    return run


def bands(path):
    with rasterio.open(path) as source:
        return source.read(masked=True).filled(np.nan), source.descriptions


def same_files(one: RunFolder, other: RunFolder, names, **tolerance):
    for name in names:
        values, words = bands(one.results / name)
        others, other_words = bands(other.results / name)
        assert words == other_words, name
        np.testing.assert_allclose(values, others, err_msg=name, **tolerance)


def near(one, other, tolerance):
    """Two nested documents of scores."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            near(one[key], other[key], tolerance)
    elif isinstance(one, list):
        for a, b in zip(one, other):
            near(a, b, tolerance)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=tolerance, abs=tolerance)
    else:
        assert one == other


MAPS = ("predicted.tif", "observed.tif", "delta.tif", "score_nse.tif", "score_rmse.tif", "score_kge.tif")


def test_a_prediction_in_parts_is_that_of_whole_frames(model, dataset_path, tmp_path, request):
    job = PredictJob(str(model), str(dataset_path), PERIOD, "cpu")
    whole = run_of(tmp_path, "predict", job)
    request.getfixturevalue("small_parts")
    parts = run_of(tmp_path, "predict", job.replace(tile=16))
    told = [event.values["text"] for event in parts.events() if event.kind.value in ("message", "progress")]
    assert any(text.startswith("12 tiles of 4 x 4 cells, each with a halo of") for text in told), told
    assert any("tile 12 of 12" in text for text in told)
    same_files(whole, parts, MAPS, rtol=1e-5, atol=1e-6)
    near(*(json.loads(run.scores_file.read_text()) for run in (whole, parts)), 1e-5)
    assert not (parts.checkpoints / "maps" / "run").exists()
    ranges = [[(a.minimum, a.maximum) for a in run.artifacts() if a.kind == "predicted"] for run in (whole, parts)]
    np.testing.assert_allclose(*ranges, rtol=0.02)


def test_judging_in_parts_gives_the_scores_of_whole_frames(model, dataset_path, tmp_path, request):
    job = EvaluateJob(str(model), str(dataset_path), PERIOD, "cpu")
    whole = run_of(tmp_path, "evaluate", job)
    request.getfixturevalue("small_parts")
    parts = run_of(tmp_path, "evaluate", job.replace(tile=16))
    same_files(whole, parts, MAPS[3:], rtol=1e-4, atol=1e-5)
    near(*(json.loads(run.scores_file.read_text()) for run in (whole, parts)), 1e-5)


def test_each_tile_reads_its_input_once_for_many_dates(model, dataset_path, monkeypatch):
    reads = []
    cut = tiles_module.WindowData.part
    monkeypatch.setattr(
        tiles_module.WindowData, "part", lambda self, *where: reads.append(where) or cut(self, *where)
    )  # fmt: skip
    with Predictor(model, dataset_path, "cpu", tile_px=4) as predictor:
        ends = predictor.data.valid_ends()[:40]
        for tile in predictor.tiles:
            groups = list(predictor.chunks(tile, ends))
            assert [len(group) for group in groups] == [40]
            found = [part.ends for group in groups for part in predictor.judged_on(tile, group)]
            np.testing.assert_array_equal(np.concatenate(found), ends)
    assert len(reads) == len(predictor.tiles) == 12


def test_maps_of_tiles_from_data_read_on_demand_equal_those_in_memory(model, dataset_path):
    from freshet.core.data.windows import build_window_data

    with Dataset.open(dataset_path) as dataset, Predictor(model, dataset, "cpu", tile_px=4) as held:
        data = build_window_data(dataset, held.card, memory=0)
        assert data.lazy and not held.data.lazy
        with Predictor(model, dataset, "cpu", tile_px=4, data=data) as lazy:
            ends = held.data.valid_ends()[3:20]
            for tile in held.tiles:
                one, other = (next(p.judged_on(tile, ends)).maps for p in (held, lazy))
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("tile_px", [0, 4])
@pytest.mark.parametrize("together", [3, 64])
def test_carrying_on_equals_one_pass_over_all_dates(place, dataset_path, tmp_path, monkeypatch, tile_px, together):
    path = make_model(place / f"carry{tile_px}{together}.safetensors", dataset_path, window=4)
    for name in ("STEPS_IN_TILES", "STEPS_OF_FRAMES"):
        monkeypatch.setattr(f"freshet.core.inference.making.{name}", together if tile_px == 0 else 2)
    monkeypatch.setattr(predictor_module, "choose_tiles", lambda *a: room_module.Chosen(tile_px, 1))
    with Predictor(path, dataset_path, "cpu", carry="carry") as predictor:
        ends = np.r_[predictor.data.valid_ends()[5:40], predictor.data.valid_ends()[50:52]]
        making = Making(predictor, ends, tmp_path / "pieces")
        for number in range(len(predictor.tiles)):
            list(making.compute(number))
        found = np.stack([making.map_of(place) for place in range(len(ends))])
        expected = []
        for end in ends:
            begin = ends[0] if end < 50 else ends[35]
            longer = predictor.card.replace(window=4 + int(end - begin))
            with Predictor((predictor.module, longer), predictor.dataset, "cpu", data=None) as one:
                expected.append(next(one.predict(np.array([end])))[1][0])
    assert predictor.carries and "carried on over all dates" in predictor.why_carried
    np.testing.assert_allclose(found, np.stack(expected), rtol=1e-5, atol=1e-6)


def test_a_pass_that_was_broken_off_goes_on_with_the_same_maps(place, dataset_path, tmp_path, monkeypatch):
    path = make_model(place / "carry.safetensors", dataset_path, window=4)
    monkeypatch.setattr("freshet.core.inference.making.STEPS_OF_FRAMES", 5)
    with Predictor(path, dataset_path, "cpu", carry="carry") as predictor:
        ends = predictor.data.valid_ends()[:33]
        whole, broken = (Making(predictor, ends, tmp_path / name) for name in "ab")
        list(whole.compute(0))
        for number, _ in enumerate(broken.compute(0)):
            if number == 4:
                break
        again = Making(predictor, ends, tmp_path / "b")
        assert "4 of 7 pieces were there already" in again.words
        calls = []
        compute = type(again.carried)._compute
        monkeypatch.setattr(
            type(again.carried), "_compute", lambda self, *more: calls.append(more[0]) or compute(self, *more)
        )  # fmt: skip
        list(again.compute(0))
        assert [call.first for call in calls] == [18, 23, 28, 33], "the segment that was not finished is made anew"
        for place_of in range(len(ends)):
            np.testing.assert_array_equal(again.map_of(place_of), whole.map_of(place_of))


def test_a_pass_begins_with_the_first_window_and_after_each_gap():
    found = segments_of(np.array([9, 10, 11, 12, 20]), 4, 3)
    assert [(s.first, s.last, s.begins, list(s.ends)) for s in found] == [
        (6, 8, True, []), (9, 11, False, [9, 10, 11]), (12, 12, False, [12]), (17, 19, True, []), (20, 20, False, [20]),
    ]  # fmt: skip
    assert [(s.first, s.begins) for s in segments_of(np.arange(5), 1, 4)] == [(0, True), (4, False)]


def test_a_model_that_cannot_carry_on_says_so(place, dataset_path):
    path = make_model(place / "leads.safetensors", dataset_path, leads=2, window=3)
    with pytest.raises(ConfigError, match="cannot carry its memory on"):
        Predictor(path, dataset_path, "cpu", carry="carry")


def test_windows_may_be_asked_of_a_model_that_runs_through(model, dataset_path):
    with Predictor(model, dataset_path, "cpu") as plain:
        through = (plain.module, plain.card.replace(run_through=True))
        ends = plain.data.valid_ends()[4:20]
        maps = np.concatenate([maps for _, maps in plain.predict(ends)])
        with Predictor(through, plain.dataset, "cpu", carry="window") as windows:
            np.testing.assert_array_equal(np.concatenate([maps for _, maps in windows.predict(ends)]), maps)
        with Predictor(through, plain.dataset, "cpu") as passes:
            assert np.nanmax(np.abs(np.concatenate([maps for _, maps in passes.predict(ends)]) - maps)) > 1e-6


def broken_off(job, run, after):
    """Let a job go as far as its ``after``-th progress."""
    events = predict(job, run)
    seen = 0
    for event in events:
        seen += event.kind.value == "progress"
        if seen == after:
            events.close()
            return
    raise AssertionError("it came to its end")


def test_a_prediction_that_was_broken_off_goes_on(model, dataset_path, tmp_path, request, monkeypatch):
    request.getfixturevalue("small_parts")
    job = PredictJob(str(model), str(dataset_path), PERIOD, "cpu", tile=16)
    whole = run_of(tmp_path, "predict", job)
    run = RunFolder.create(tmp_path, "predict", job)
    broken_off(job, run, 250)
    assert not list(run.results.glob("*.tif")) and not list(run.results.glob(".*.tif"))
    there = len(list(folder_of(run).glob("*.npz")))
    assert there > 3
    computed = []
    forward = Predictor._forward
    monkeypatch.setattr(
        Predictor, "_forward", lambda self, *given: computed.append(len(given[2])) or forward(self, *given)
    )  # fmt: skip
    events = list(predict(job, run))
    words = [event.values["text"] for event in events if event.kind.value == "message"]
    every = sum(computed)
    assert any(f"{there} of " in text and "the work goes on from there" in text for text in words)
    assert 0 < every < 12 * 51
    for name in MAPS:
        assert (run.results / name).read_bytes() == (whole.results / name).read_bytes(), name
    assert json.loads(run.scores_file.read_text()) == json.loads(whole.scores_file.read_text())
    assert not folder_of(run).exists()


def test_what_was_computed_for_something_else_is_not_taken(model, dataset_path, tmp_path):
    with Predictor(model, dataset_path, "cpu") as predictor:
        ends = predictor.data.valid_ends()[:20]
        first = Making(predictor, ends, tmp_path / "pieces")
        list(first.compute(0))
        assert Making(predictor, ends, tmp_path / "pieces").words
        assert not Making(predictor, ends[1:], tmp_path / "pieces").words
        list(Making(predictor, ends, tmp_path / "pieces").compute(0))
        with torch.no_grad():
            next(predictor.module.parameters()).add_(1.0)
        assert not Making(predictor, ends, tmp_path / "pieces").words


def test_a_piece_that_is_torn_is_made_anew(model, dataset_path, tmp_path):
    with Predictor(model, dataset_path, "cpu") as predictor:
        ends = predictor.data.valid_ends()[:20]
        making = Making(predictor, ends, tmp_path / "pieces")
        list(making.compute(0))
        maps = [found.maps for found in making.read(0)]
        (piece,) = making.pieces.folder.glob("*.npz")
        piece.write_bytes(piece.read_bytes()[:-2000])
        np.testing.assert_array_equal(next(iter(making.read(0))).maps, maps[0])
        assert making.read_piece(0, making.groups[0][0]) is not None


def test_scores_in_files_are_those_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("freshet.core.metrics.scores._BLOCK_CELLS", 20)
    rng = np.random.default_rng(2)
    predicted, observed = rng.normal(size=(2, 9, 13, 7))
    observed[:, 4] = np.nan
    held, on_disc = Scores((13, 7)), Scores((13, 7), tmp_path / "scores")
    held.accumulate(predicted, observed)
    for rows in (slice(0, 5), slice(5, 13)):
        for columns in (slice(0, 4), slice(4, 7)):
            part = Scores((rows.stop - rows.start, columns.stop - columns.start))
            part.accumulate(predicted[:, rows, columns], observed[:, rows, columns])
            on_disc.put(rows, columns, part)
    for name, values in held.maps().items():
        np.testing.assert_allclose(on_disc.maps((name,))[name], values, rtol=1e-12)
    near(held.to_dict(), on_disc.to_dict(), 1e-12)
    on_disc.merge(held)
    assert on_disc.compute()["count"] == 2 * held.compute()["count"]
    assert on_disc.compute()["rmse"] == pytest.approx(held.compute()["rmse"], rel=1e-12)


FRAME = Frame((3000, 2000), 11, 8, 8)


def with_memory(monkeypatch, free):
    monkeypatch.setattr(room_module, "device_memory", lambda device: free)


def test_the_largest_tile_that_fits_is_taken(monkeypatch):
    module = build_model("convlstm", 2, 1, hidden=[16], kernel=[3]).eval()
    sides = []
    for free in (2**36, 2 * 10**8, 10**8):
        with_memory(monkeypatch, free)
        sides.append(choose_tiles(module, FRAME, 0, 512 * 512, "cpu").tile_px)
    assert sides[0] == 256 and sides == sorted(sides, reverse=True) and sides[-1] < 256
    few = dataclasses.replace(FRAME, shape=(300, 300))
    with_memory(monkeypatch, 2**36)
    assert choose_tiles(module, few, 0, 512 * 512, "cpu") == room_module.Chosen(0, 8)
    assert choose_tiles(module, few, 64, 512 * 512, "cpu").tile_px == 64
    with_memory(monkeypatch, 6 * 10**8)
    fewer = choose_tiles(module, few, 0, 512 * 512, "cpu")
    assert fewer.tile_px == 0 and fewer.batch < 8 and "in place of 8" in fewer.why


def test_too_little_memory_is_said_before_the_start_with_what_would_fit(monkeypatch):
    module = build_model("convlstm", 2, 1, hidden=[16], kernel=[3]).eval()
    with_memory(monkeypatch, 10**8)
    with pytest.raises(RunError) as caught:
        choose_tiles(module, FRAME, 2048, 512 * 512, "cpu")
    assert "100 MB free" in caught.value.got and "Choose tiles of 256 cells" in caught.value.remedy
    with_memory(monkeypatch, 10**6)
    with pytest.raises(RunError, match="not enough memory"):
        choose_tiles(module, FRAME, 0, 512 * 512, "cpu")
    group = build_model("convlstm", 2, 1, hidden=[16], kernel=[3], normalisation="group").eval()
    with_memory(monkeypatch, 10**8)
    with pytest.raises(RunError) as caught:
        choose_tiles(group, dataclasses.replace(FRAME, halo_px=group.halo_px(8)), 0, 512 * 512, "cpu")
    assert "reads the whole frame" in caught.value.remedy


STEPS = 96
SLOPE = """
import sys
import netCDF4
from freshet.core.contracts import PeriodConfig, PredictJob
from freshet.core.contracts.run_folder import RunFolder
from freshet.core.data import windows
from freshet.core.inference import artifacts, reference, selection, tiles, writing
from freshet.core.inference.predict import predict
from freshet.core.metrics import scores

windows.SHARE_OF_MEMORY = 0.0  # as where the record does not fit; and all that is fixed small beside the rasters
reference._PART_BYTES, tiles._PIECE_BYTES, selection._BLOCK_BYTES = 2**23, 2**22, 2**21
writing._SCORES_BYTES, scores._BLOCK_CELLS, artifacts._SAMPLE = 0, 2**13, 100_000
netCDF4.set_chunk_cache(2**22)  # else up to 64 MB of each variable stay decoded, here nearly the whole record

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024

job = PredictJob(sys.argv[1], sys.argv[2], PeriodConfig("2001-03-01", "2001-03-10"), device="cpu", tile=128)
run = RunFolder.create(sys.argv[3], "predict", job)
for event in predict(job, run):
    pass
print(peak())
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs the peak of a process's memory")
def test_memory_grows_by_far_less_than_the_rasters_do(tmp_path):
    from freshet.core.training.model_file import save_model

    peaks, cells = [], []
    for side in (128, 512):
        dataset, model, card = large_world(tmp_path, side)
        save_model(tmp_path / f"{side}.safetensors", model, card)
        command = [sys.executable, "-c", SLOPE, str(tmp_path / f"{side}.safetensors"), str(dataset), str(tmp_path)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "MALLOC_ARENA_MAX": "1"}
        found = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
        assert found.returncode == 0, found.stderr
        peaks.append(float(found.stdout.split()[-1]))
        cells.append(side * side)
    growth = (peaks[1] - peaks[0]) * 2**20 / (cells[1] - cells[0])
    found = f"{growth:.0f} bytes a cell, peaks {peaks} MiB; the record has {STEPS} steps of 3 maps"
    assert growth < 0.25 * 4 * STEPS * 3, found


def large_world(folder, side):
    """A square basin on disc that is read on demand, a model for it and its card."""
    from freshet.core.contracts import ModelConfig, TrainJob
    from freshet.core.contracts.grid import Grid
    from freshet.core.data.store import VariableInfo, write_dataset
    from freshet.core.training.model_file import build_from_card
    from freshet.core.training.setup import build_card, splits_of

    rng, steps = np.random.default_rng(1), STEPS
    times = np.datetime64("2001-01-01", "s") + (np.arange(steps) * 86400).astype("timedelta64[s]")
    maps = {
        name: np.tile(rng.integers(0, 50, (steps, 64, 64)).astype(np.float32), (1, side // 64, side // 64))
        for name in ("rain", "warmth", "sm")
    }
    kinds = {"rain": ("input", "precipitation", "mm/d"), "warmth": ("input", "temperature", "degC"),
             "sm": ("target", "soil_moisture", "-")}  # fmt: skip
    write_dataset(
        folder / f"{side}.nc", name="Large", grid=Grid("EPSG:3035", 4e6, 3e6, 1000.0, 1000.0, side, side), times=times,
        step_seconds=86400, mask=np.ones((side, side), dtype=bool), provenance={}, static={},
        dynamic={name: (VariableInfo(name, *kinds[name], name), values) for name, values in maps.items()},
    )  # fmt: skip
    job = TrainJob(
        datasets=(str(folder / f"{side}.nc"),), target="sm", inputs=("rain", "warmth"), window=3,
        model=ModelConfig("convlstm", {"hidden": [4], "kernel": [3]}), title="Large",
    )  # fmt: skip
    with Dataset.open(folder / f"{side}.nc") as dataset:
        card = build_card(job, [dataset], splits_of([dataset], job.split, 3, 0, 1))
    torch.manual_seed(0)
    return folder / f"{side}.nc", build_from_card(card), card
