"""Recorded work of a batch: the same as computed anew, and computed anew wherever it cannot be recorded."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from small import same, setting_up  # noqa: E402
from toy import write_toy_dataset  # noqa: E402

from freshet.core.contracts import EventKind  # noqa: E402
from freshet.core.training import captured, choosing  # noqa: E402
from freshet.core.training.captured import Captured, measured  # noqa: E402
from freshet.core.training.choices import Choice, plain_choices  # noqa: E402
from freshet.core.training.loop import fit  # noqa: E402
from freshet.core.training.losses import loss_of  # noqa: E402
from freshet.core.training.probe import Probe, Way  # noqa: E402

NORMALISED = {"options": {"hidden": [4], "kernel": [3], "normalisation": "batch"}}
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU of NVIDIA")


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return [write_toy_dataset(tmp_path_factory.mktemp("toy") / "a.nc", seed=1)]


class Recorder:
    """Stands for a graph of CUDA where there is none: three passes to warm up, one that is recorded, then replays."""

    def __init__(self) -> None:
        self.passes, self.replays = 0, 0

    def __call__(self, run):
        for _ in range(4):
            run()
            self.passes += 1

        def replay():
            self.replays += 1
            run()

        return replay


@pytest.fixture
def recorder(monkeypatch):
    """Trainings replay what was recorded, though the device is a processor."""
    found = Recorder()
    monkeypatch.setattr(captured, "recorded", found)
    known = plain_choices

    def with_capture(probe, config, device, ranks=None):
        yield from ()
        return known(config).with_choice(Choice("threads", 1, "asked for")).with_choice(Choice("capture", "on", "-"))

    monkeypatch.setattr("freshet.core.training.loop.choose", with_capture)
    return found


@pytest.mark.parametrize("model", [None, NORMALISED])
def test_replayed_batches_teach_what_computed_ones_do(paths, tmp_path, recorder, model, monkeypatch):
    training = {"epochs": 3, "batch": 5}
    replayed, sets, config, _ = setting_up(paths, training, model)
    story = [e.values for e in fit(replayed, sets, config, tmp_path / "replayed") if e.kind is EventKind.METRIC]
    windows = len(sets[0].split.train)
    assert recorder.passes == 4 and recorder.replays == 3 * (windows // 5) and windows % 5
    monkeypatch.setattr("freshet.core.training.loop.choose", choosing.choose)
    computed, sets, config, _ = setting_up(paths, training, model)
    other = [e.values for e in fit(computed, sets, config, tmp_path / "computed") if e.kind is EventKind.METRIC]
    for one, two in zip(replayed.state_dict().values(), computed.state_dict().values()):
        assert torch.allclose(one, two, atol=1e-6)
    assert [v["train_loss"] for v in story] == pytest.approx([v["train_loss"] for v in other], rel=1e-5)


def test_steps_in_parts_are_computed_as_always(paths, tmp_path, recorder):
    module, sets, config, _ = setting_up(paths, {"epochs": 1, "batch": 4, "accumulate": 2})
    list(fit(module, sets, config, tmp_path))
    assert recorder.passes == 0


def test_what_cannot_be_recorded_is_computed_as_always_and_changes_nothing(paths, tmp_path, recorder, monkeypatch):
    def fails(run):
        run()
        raise RuntimeError("operation not permitted when stream is capturing\nmore words")

    monkeypatch.setattr(captured, "recorded", fails)
    made = []
    monkeypatch.setattr("freshet.core.training.loop.Captured", lambda work: made.append(Captured(work)) or made[0])
    module, sets, config, _ = setting_up(paths, {"epochs": 2}, NORMALISED)
    told = [e.values.get("text", "") for e in fit(module, sets, config, tmp_path / "failed")]
    assert made[0].fault == "operation not permitted when stream is capturing"
    assert sum("recording failed (operation not permitted when stream is capturing)" in text for text in told) == 1
    monkeypatch.setattr("freshet.core.training.loop.choose", choosing.choose)
    other, sets, config, _ = setting_up(paths, {"epochs": 2}, NORMALISED)
    list(fit(other, sets, config, tmp_path / "plain"))
    assert same(module, other), "running means and random numbers are what they were"


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_training_of_a_gpu_goes_on_without_one(paths, tmp_path, monkeypatch):
    module, sets, config, _ = setting_up(paths, {"epochs": 2, "capture": "on"})
    known = plain_choices(config).with_choice(Choice("capture", "on", "kept"))
    monkeypatch.setattr("freshet.core.training.loop.kept_choices", lambda kept, config: known)
    told = [e.values.get("text", "") for e in fit(module, sets, config, tmp_path, known=known)]
    assert sum("recording failed" in text for text in told) == 1


def tried(paths, training=None, model=None):
    module, sets, config, _ = setting_up(paths, training, model)
    probe = Probe(module, sets, config, "cpu", 0, loss_of(config, sets))
    with probe.restored():
        return measured(*probe.pieces(4), probe.work(Way(), 4), "float32")


def test_it_is_chosen_only_where_it_is_faster(paths, recorder, monkeypatch):
    times = iter([0.010, 0.002, 0.002, 0.010])
    monkeypatch.setattr(captured, "_seconds", lambda device, run: next(times))
    found = tried(paths)
    assert (found.value, found.why) == ("on", "2 ms a batch against 10 ms step by step")
    assert tried(paths).value == "off"


def test_it_is_not_chosen_where_it_gives_something_else_or_fails(paths, monkeypatch):
    def wrong(run):
        def replay():
            run()
            for parameter in run.__self__._parameters:
                parameter.grad *= 1.01

        return replay

    monkeypatch.setattr(captured, "recorded", wrong)
    found = tried(paths)
    assert found.value == "off" and "replayed gradients differ by 1.0%" in found.why

    def fails(run):
        raise RuntimeError("CUDA error: operation not permitted")

    monkeypatch.setattr(captured, "recorded", fails)
    found = tried(paths)
    assert found.value == "off" and "recording failed (CUDA error: operation not permitted)" in found.why


@cuda
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_a_graph_of_cuda_teaches_what_single_kernels_do(paths, tmp_path, monkeypatch, precision):
    monkeypatch.setattr(choosing, "_WORTH", 0.0)
    training = {"epochs": 3, "batch": 5, "device": "cuda", "precision": precision}
    modules = []
    for way in ("on", "off"):
        module, sets, config, _ = setting_up(paths, {**training, "capture": way}, NORMALISED)
        told = [e.values.get("text", "") for e in fit(module, sets, config, tmp_path / way)]
        assert any("Captured graphs on: asked for" in text for text in told) == (way == "on"), told
        modules.append(module.to("cpu"))
    for one, two in zip(modules[0].parameters(), modules[1].parameters()):
        assert torch.allclose(one, two, atol=1e-3 if precision == "float32" else 2e-2)


@cuda
def test_the_memory_of_a_gpu_is_foreseen(paths):
    module, sets, config, _ = setting_up(paths, {"device": "cuda"})
    probe = Probe(module.to("cuda"), sets, config, "cuda", 0, loss_of(config, sets))
    with probe.restored():
        need = probe.need(Way())
        learned, _ = probe._peaks(Way(), 4, *sets[0].data.mask.shape)
    assert need._at(need.learned, 4, probe.cells) == pytest.approx(learned, rel=0.2)
