"""Several processes train together, started as a person starts them: the result is that of one."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from toy import write_toy_dataset  # noqa: E402

from freshet.core.contracts import EventKind, RunError, RunFolder, RunState, TrainJob  # noqa: E402
from freshet.core.training.checkpoint import load_checkpoint  # noqa: E402
from freshet.core.training.distributed import Ranks, told_in_words  # noqa: E402
from freshet.core.training.model_file import build_from_card, load_model  # noqa: E402
from freshet.core.training.shared_norm import SharedBatchNorm  # noqa: E402
from freshet.core.worker.beside import heard_to_the_end, told_of_the_end  # noqa: E402
from freshet.core.worker.main import execute  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
LAUNCH = ROOT / "core" / "worker" / "launch.py"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_toy_dataset(tmp_path_factory.mktemp("toy") / "toy.nc", steps=44)


def job_of(dataset, **training):
    values = {
        "datasets": [str(dataset)], "target": "store", "inputs": ["rain"], "static": ["height"], "window": 5,
        "warm_up": 0, "training": {"batch": 5, "threads": 1, "device": "cpu", "epochs": 2, **training},
        "model": {"options": {"hidden": [3, 2], "kernel": [3], "normalisation": "batch"}},
    }  # fmt: skip
    return TrainJob.from_dict(values)


def together(run, script=LAUNCH, arguments=None):
    own = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "MASTER_PORT")}
    return subprocess.Popen(
        [*TORCHRUN, str(script), *(arguments or [str(run.path)])],
        env={**own, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def metrics(run):
    return [event.values for event in run.events() if event.kind is EventKind.METRIC]


@pytest.mark.parametrize(
    "training",
    [
        {"patience": 9},
        {"loss": "kge", "averaging": 0.9, "epochs": 1},
        {"loss": "mae", "accumulate": 2, "batch": 3, "epochs": 1},
    ],
    ids=["mse", "kge-averaged", "mae-accumulated"],
)
def test_two_processes_give_what_one_gives(dataset, tmp_path, training):
    job = job_of(dataset, **training)
    one, two = (RunFolder.create_at(tmp_path / name, "train", job) for name in ("one", "two"))
    process = together(two)
    assert execute(one) == 0, one.error()
    words, _ = process.communicate(timeout=300)
    assert process.returncode == 0 and two.state() is RunState.DONE, words
    alone, shared = metrics(one), metrics(two)
    assert len(alone) == len(shared), "one process tells the story"
    for a, b in zip(alone, shared):
        for name in ("train_loss", "validation_loss", "validation_nse"):
            assert b[name] == pytest.approx(a[name], abs=1e-5)
    weights = [load_model(run.model_file)[0].state_dict() for run in (one, two)]
    for name, value in weights[0].items():
        assert weights[1][name].double().numpy() == pytest.approx(value.double().numpy(), abs=1e-5), name
    assert any("2 processes train together" in e.values.get("text", "") for e in two.events())
    assert not list(two.path.rglob("*.part*"))


MEASURING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import conftest
from freshet.core.contracts import RunFolder
from freshet.core.training import choosing, probe
from freshet.core.training.distributed import process_number
from freshet.core.worker.beside import leave
from freshet.core.worker.main import execute

choosing._WORTH = 0.0
probe.faster_precisions = lambda device: ("bfloat16",) if process_number() == 0 or len(sys.argv) < 4 else ()
def seconds(self, way, windows, crop=0):
    return (0.3 if process_number() == 0 and way.precision == "bfloat16" else 0.1), 1.0

probe.Probe.seconds = seconds
leave(execute(RunFolder(sys.argv[2])))
"""


@pytest.mark.parametrize("more", [[], ["one without bfloat16"]])
def test_all_processes_choose_alike(dataset, tmp_path, more):
    run, script = RunFolder.create_at(tmp_path / "run", "train", job_of(dataset, epochs=1)), tmp_path / "measuring.py"
    script.write_text(MEASURING)
    process = together(run, script, [str(ROOT / "tests"), str(run.path), *more])
    words, _ = process.communicate(timeout=300)
    assert process.returncode == 0 and run.state() is RunState.DONE, words
    told = " ".join(event.values["text"] for event in run.events() if event.kind is EventKind.MESSAGE)
    # The slower process decides: 0.3 s in bfloat16, though 0.1 s in the other one.
    wanted = (
        "computes no narrower one" if more else "Precision float32: 100 ms a batch; bfloat16, with 300 ms, gains too"
    )
    assert wanted in told, told


def test_a_process_that_dies_ends_the_run_with_a_sentence(dataset, tmp_path):
    run = RunFolder.create_at(tmp_path / "run", "train", job_of(dataset, epochs=100000, patience=100000))
    process = together(run)
    begin = time.monotonic()
    while not metrics(run):
        assert time.monotonic() - begin < 120 and process.poll() is None, run.events()
        time.sleep(0.05)
    first = next(event.values["pid"] for event in run.events() if event.kind is EventKind.HELLO)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (other,) = (int(pid) for pid in children if int(pid) != first)
    os.kill(other, signal.SIGKILL)
    assert process.wait(timeout=120) != 0
    assert run.state() is RunState.FAILED and "process" in str(run.error()), run.error()
    assert "start the run again" in str(run.error())
    module = build_from_card_of(run, dataset)
    state = load_checkpoint(run.checkpoints / "last.safetensors", module)
    assert state["epoch"] >= 1


def test_the_end_from_outside_waits_until_a_fault_is_told(monkeypatch):
    """torchrun ends the others once one has died, which these may have noticed by themselves a moment before."""
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    ended = []
    before = signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    try:
        with heard_to_the_end():
            with pytest.raises(RunError, match="lost"), told_of_the_end():
                raise RunError("a process was lost")
            signal.raise_signal(signal.SIGTERM)  # while the fault is being written
            assert not ended
        signal.raise_signal(signal.SIGTERM)
        assert ended, "afterwards the process can be ended as before"
        with heard_to_the_end(), pytest.raises(RunError, match="from outside"), told_of_the_end():
            signal.raise_signal(signal.SIGTERM)
        with heard_to_the_end(), told_of_the_end():
            pass
        signal.raise_signal(signal.SIGTERM)
        assert len(ended) == 2
    finally:
        signal.signal(signal.SIGTERM, before)


def build_from_card_of(run, dataset):
    from freshet.core.worker.train import opened

    with opened(run.job()) as ready:
        return build_from_card(ready.card)


LEAVING = """
import atexit, sys
sys.path.insert(0, sys.argv[1])
import conftest
from freshet.core.worker.beside import leave
atexit.register(print, "the interpreter ended")
print("written")
leave(3)
"""


def test_one_of_several_skips_the_end_of_the_interpreter(tmp_path):
    script = tmp_path / "leaving.py"
    script.write_text(LEAVING)
    for shared, words in (({}, "written the interpreter ended"), ({"TORCHELASTIC_RUN_ID": "x"}, "written")):
        found = subprocess.run(
            [sys.executable, str(script), str(ROOT / "tests")], capture_output=True, text=True,
            env={**os.environ, "WORLD_SIZE": "2", **shared},
        )  # fmt: skip
        assert found.returncode == 3 and found.stdout.split() == words.split(), found.stderr


def test_other_verbs_are_refused_under_torchrun(tmp_path, monkeypatch):
    from freshet.core.contracts import DoctorJob

    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    run = RunFolder.create_at(tmp_path / "run", "doctor", DoctorJob())
    assert execute(run) == 2 and "done by one process" in str(run.error())


def test_the_parts_of_a_batch_are_all_of_it_and_none_is_empty():
    for size in (1, 2, 5, 8):
        ends = np.arange(10, 10 + size)
        parts = [Ranks(number, 3).part(ends) for number in range(3)]
        assert min(map(len, parts)) == 1 or size >= 6
        counted = [part for part, own in zip(parts, np.array_split(ends, 3)) if len(own)]
        assert np.array_equal(np.concatenate(counted), ends)


def test_alone_nothing_changes():
    ranks = Ranks()
    value = torch.ones(3, requires_grad=True)
    (whole,) = ranks.whole(3, value)
    assert whole is value and ranks.sums(1.0, 2.0) == (1.0, 2.0) and ranks.share([1, 2]) == [1, 2] and ranks.first
    ranks.backward((whole * 2).sum())
    assert value.grad.tolist() == [2.0, 2.0, 2.0]


def test_the_shared_normalisation_is_that_of_torch(monkeypatch):
    monkeypatch.setattr("torch.distributed.all_reduce", lambda *_, **__: None)  # one process: its sums are the sums
    torch.manual_seed(0)
    x = torch.randn(4, 3, 5, 2, dtype=torch.float64)
    ours, theirs = nn.BatchNorm2d(3).double(), nn.BatchNorm2d(3).double()
    shared = SharedBatchNorm.of(ours, None)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    for norm, values in ((shared, a), (theirs, b)):
        (norm(values) ** 3).sum().backward()
    assert a.grad.numpy() == pytest.approx(b.grad.numpy(), abs=1e-10)
    assert shared.running_var is ours.running_var and int(ours.num_batches_tracked) == 1
    assert ours.running_var.numpy() == pytest.approx(theirs.running_var.numpy(), abs=1e-10)
    assert torch.allclose(shared.eval()(x), theirs.eval()(x), atol=1e-10)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("affine", [True, False])
def test_the_shared_normalisation_takes_the_batch_of_all_and_leaves_out_what_counts_for_nothing(
    monkeypatch, affine, layout
):
    rng = np.random.default_rng(5)
    parts = [torch.from_numpy(rng.normal(40.0, 2.0, (windows, 3, 5, 2))) for windows in (3, 2, 1)]
    whole = torch.cat(parts[:2]).requires_grad_()
    plain = nn.BatchNorm2d(3, affine=affine).double()
    norms = [SharedBatchNorm.of(copy.deepcopy(plain), None) for _ in parts]
    norms[2].counts = False
    (plain(whole) ** 3).sum().backward()
    found = as_processes(monkeypatch, norms, [part.contiguous(memory_format=layout) for part in parts])
    assert torch.allclose(torch.cat([onto_x for onto_x, _ in found[:2]]), whole.grad, rtol=1e-8, atol=1e-8)
    assert not found[2][0].any()
    for norm in norms:
        assert torch.allclose(norm.running_mean, plain.running_mean, rtol=1e-10)
        assert torch.allclose(norm.running_var, plain.running_var, rtol=1e-10)
    if affine:
        assert torch.allclose(found[0][1] + found[1][1], plain.weight.grad, rtol=1e-9)


def as_processes(monkeypatch, norms, parts):
    """Gradients for x and weight of threads that stand for processes; the last one's answers are not in the loss."""
    meeting, sent = threading.Barrier(len(parts), timeout=60), [None] * len(parts)

    def all_reduce(values, group=None):
        sent[int(threading.current_thread().name)] = values
        meeting.wait()
        total = sum(value.clone() for value in sent)
        meeting.wait()
        values.copy_(total)
        meeting.wait()

    def work(number):
        x = parts[number].clone().requires_grad_()
        (float(norms[number].counts) * (norms[number](x) ** 3).sum()).backward()
        return x.grad, None if norms[number].weight is None else norms[number].weight.grad

    monkeypatch.setattr("torch.distributed.all_reduce", all_reduce)
    results = [None] * len(parts)
    threads = [
        threading.Thread(target=lambda n=n: results.__setitem__(n, work(n)), name=str(n)) for n in range(len(parts))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def test_faults_of_the_network_are_told_in_words_and_others_left(monkeypatch):
    def broken(text):
        raise RuntimeError(text)
        yield

    with pytest.raises(RuntimeError, match="shapes"):
        list(told_in_words(broken("shapes differ")))
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RunError, match="One of the 2 processes"):
        list(told_in_words(broken("[gloo/transport/tcp/pair.cc:534] Connection closed by peer")))
    with pytest.raises(RuntimeError, match="shapes"):
        list(told_in_words(broken("shapes differ")))
