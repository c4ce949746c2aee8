"""Memory: measured exactly, foreseen from a part of a frame, refused before the start, and told where it ran out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from small import setting_up  # noqa: E402
from toy import write_toy_dataset  # noqa: E402

from freshet.core.contracts import RunError  # noqa: E402
from freshet.core.training import memory  # noqa: E402
from freshet.core.training.fitting import fit_module  # noqa: E402
from freshet.core.training.losses import loss_of  # noqa: E402
from freshet.core.training.memory import out_of_memory, peak_of  # noqa: E402
from freshet.core.training.probe import Probe, Way  # noqa: E402
from freshet.core.worker.libraries import LARGE_PAGES  # noqa: E402

MB = 10**6
CHILD = """
import ctypes, resource, sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import conftest
import torch
from small import setting_up
from freshet.core.training.device import keep_memory
from freshet.core.training.losses import loss_of
from freshet.core.training.probe import Probe, Way

def held(key):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) * 1024

keep_memory()
model = {"options": {"hidden": [32, 32], "kernel": [3, 3]}}
module, sets, config, _ = setting_up([sys.argv[3]], {"batch": 4}, model, window=8)
probe, way = Probe(module, sets, config, "cpu", 0, loss_of(config, sets)), Way(sys.argv[4], sys.argv[5] == "recompute")
with probe.restored():
    foreseen = probe.need(way).of(4, probe.cells, way.recompute)
    whole, _ = probe.pieces(4)
    ctypes.CDLL(None).malloc_trim(0)
    before = held("VmRSS")
    with open("/proc/self/clear_refs", "w") as handle:
        handle.write("5")
    for _ in range(2):
        probe._learn(whole, way)
    print(foreseen, held("VmHWM") - before)
"""


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    return write_toy_dataset(tmp_path_factory.mktemp("toy") / "wide.nc", rows=112, columns=128, steps=40)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_toy_dataset(tmp_path_factory.mktemp("toy") / "small.nc", seed=1)


@pytest.mark.parametrize("way", [memory._recorded, memory._counted])
def test_the_peak_is_what_is_held_at_once(way):
    def run():
        one = torch.zeros(MB // 4)
        two = one + 1
        del one
        three = torch.cat([two, two])
        del two
        return three.sum()

    found = way(run)
    assert 3 * MB <= found < 3 * MB + 1000 and way(run) == found


def test_what_a_pass_keeps_for_its_gradient_counts():
    weight, x = torch.ones(1000, requires_grad=True), torch.ones(1000, 1000)

    def run():
        (torch.tanh(x * weight) ** 2).sum().backward()

    kept = peak_of(run)
    with torch.no_grad():
        plain = peak_of(lambda: (torch.tanh(x * weight) ** 2).sum())
    assert plain == pytest.approx(8 * MB, rel=0.01) and kept > 11 * MB


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measures by files of Linux")
@pytest.mark.parametrize("way", [("float32", "plain"), ("float32", "recompute"), ("bfloat16", "plain")])
def test_the_foreseen_peak_is_near_what_the_process_takes(wide, way):
    command = [sys.executable, "-c", CHILD, str(HERE.parents[1]), str(HERE), str(wide), *way]
    as_the_worker = {**os.environ, LARGE_PAGES: "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=as_the_worker)
    assert done.returncode == 0, done.stderr
    foreseen, taken = (int(word) for word in done.stdout.split())
    assert 0.6 * foreseen < taken < 1.05 * foreseen, f"{foreseen / MB:.0f} MB foreseen, {taken / MB:.0f} MB taken"


def test_a_part_of_a_frame_foretells_the_whole(wide):
    module, sets, config, _ = setting_up([wide], {"batch": 2}, {"options": {"hidden": [12], "kernel": [3]}}, window=6)
    probe = Probe(module, sets, config, "cpu", 0, loss_of(config, sets))
    with probe.restored():
        need = probe.need(Way())
        learned, judged = probe._peaks(Way(), 1, 112, 128)
    assert need._at(need.learned, 1, probe.cells) == pytest.approx(learned, rel=0.15)
    assert need._at(need.judged, 1, probe.cells) == pytest.approx(judged, rel=0.1)


def test_attention_over_a_frame_grows_with_its_square(tmp_path):
    path = write_toy_dataset(tmp_path / "square.nc", rows=66, columns=66, steps=40)
    model = {"family": "sa-convlstm", "options": {"hidden": [4]}}
    module, sets, config, _ = setting_up([path], {"batch": 1}, model, window=3)
    probe = Probe(module, sets, config, "cpu", 0, loss_of(config, sets))
    assert probe.whole_frames
    with probe.restored():
        need = probe.need(Way())
        learned, _ = probe._peaks(Way(), 1, 66, 66)
    assert need.by_window and need._at(need.learned, 1, 66 * 66) == pytest.approx(learned, rel=0.15)


@pytest.mark.parametrize(
    ("error", "known"),
    [
        (RuntimeError("[enforce fail at alloc_cpu.cpp:119] . DefaultCPUAllocator: can't allocate memory: you"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (MemoryError(), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_an_allocation_that_fails_is_known_by_its_words(error, known):
    assert out_of_memory(error) is known


@pytest.mark.parametrize("error", [torch.cuda.OutOfMemoryError("CUDA out of memory. Tried 2 GiB."), MemoryError()])
def test_memory_that_runs_out_in_training_is_a_sentence(small, tmp_path, error):
    module, sets, config, _ = setting_up([small], {"epochs": 1, "batch": 6})

    def fails(*inputs, **more):
        raise error

    module.forward = fails
    with pytest.raises(RunError) as told:
        list(fit_module(module, sets, config, tmp_path))
    text = str(told.value)
    assert "was not enough" in text and "a batch of 3 with 2 batches a step" in text and "recompute" in text
    assert ("the GPU" in text) == isinstance(error, torch.cuda.OutOfMemoryError)


def test_another_fault_stays_what_it_is(small, tmp_path):
    module, sets, config, _ = setting_up([small], {"epochs": 1})

    def fails(*inputs, **more):
        raise RuntimeError("shapes do not match")

    module.forward = fails
    with pytest.raises(RuntimeError, match="shapes do not match"):
        list(fit_module(module, sets, config, tmp_path))


LIMITED = """
import resource, sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import conftest
from freshet.core.contracts import RunFolder
from freshet.core.worker.main import execute
from freshet.core.worker import train
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + 1500 * 2**20, resource.RLIM_INFINITY))
print(execute(RunFolder(sys.argv[3])))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a process")
def test_a_run_that_would_not_fit_ends_in_a_sentence_before_it_begins(wide, tmp_path):
    from freshet.core.contracts import RunFolder, TrainJob

    job = TrainJob.from_dict(
        {
            "datasets": [str(wide)], "target": "store", "inputs": ["rain"], "window": 16, "warm_up": 0,
            "model": {"family": "sa-convlstm", "options": {"hidden": [8]}},
            "training": {"epochs": 1, "threads": 1, "device": "cpu", "batch": 2},
        }
    )  # fmt: skip
    run = RunFolder.create_at(tmp_path / "run", "train", job)
    command = [sys.executable, "-c", LIMITED, str(HERE.parents[1]), str(HERE), str(run.path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.strip() == "2", done.stderr
    text = str(run.error())
    assert "The memory is not enough for this training" in text and "2 windows of 16 steps" in text, text
    assert not list(run.checkpoints.glob("*"))
