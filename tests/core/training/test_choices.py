"""What a training chooses for itself: what is measured, told, kept, overruled; and that trying changes nothing."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from small import DROPPING, same, setting_up  # noqa: E402
from toy import write_toy_dataset  # noqa: E402

from freshet.core.contracts import EventKind, RunError, RunFolder, TrainJob  # noqa: E402
from freshet.core.contracts.errors import EngineError  # noqa: E402
from freshet.core.contracts.machine import say_bytes  # noqa: E402
from freshet.core.training import choosing, device, memory_plan  # noqa: E402
from freshet.core.training.checkpoint import read_state  # noqa: E402
from freshet.core.training.choices import Choices, kept_choices, plain_choices  # noqa: E402
from freshet.core.training.choosing import choose  # noqa: E402
from freshet.core.training.loop import fit  # noqa: E402
from freshet.core.training.losses import loss_of  # noqa: E402
from freshet.core.training.probe import Probe, Way  # noqa: E402
from freshet.core.worker.main import execute  # noqa: E402


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    return [write_toy_dataset(folder / "a.nc", rows=20, columns=18, seed=1)]


@pytest.fixture
def measured(monkeypatch):
    """Every training is worth measuring, on a processor that has bfloat16, and takes these seconds."""
    seconds = {("float32", False): 0.2, ("bfloat16", False): 0.1}
    losses = {"float32": 1.0, "bfloat16": 1.004}
    tried = []

    def timed(self, way, windows, crop=0):
        tried.append((way, windows))
        return seconds[(way.precision, way.recompute)] * windows, losses[way.precision]

    monkeypatch.setattr(choosing, "_WORTH", 0.0)
    monkeypatch.setattr(Probe, "precisions", ("bfloat16",), raising=False)
    monkeypatch.setattr("freshet.core.training.probe.faster_precisions", lambda device: ("bfloat16",))
    monkeypatch.setattr(Probe, "seconds", timed)
    timed.seconds, timed.losses, timed.tried = seconds, losses, tried
    return timed


def free(monkeypatch, count):
    monkeypatch.setattr(choosing, "device_memory", lambda device: count)


def probe_of(paths, training=None, model=None, **changes):
    module, sets, config, _ = setting_up(paths, training, model, **changes)
    return Probe(module, sets, config, "cpu", 0, loss_of(config, sets)), config


def chosen(paths, training=None, model=None, **changes):
    probe, config = probe_of(paths, training, model, **changes)
    events = choose(probe, config, "cpu")
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


def words(choices, name):
    return next(item.sentence for item in choices.items if item.name == name)


def test_a_small_training_measures_nothing_and_says_so(paths):
    found = chosen(paths)
    assert (found.batch, found.accumulate, found.crop) == (4, 1, 0) and not found.figures
    assert words(found, "precision") == "Precision float32: too small to be worth measuring."
    assert words(found, "batch") == "Batch 4: asked for."


def test_bfloat16_is_taken_where_it_is_faster_and_near(paths, measured):
    found = chosen(paths)
    assert found.precision is torch.bfloat16
    assert words(found, "precision") == "Precision bfloat16: 400 ms a batch against 800 ms in float32."
    assert found.figures["seconds_float32"] == 0.8 and found.figures["seconds_bfloat16"] == 0.4
    measured.losses["bfloat16"] = 1.05
    found = chosen(paths)
    assert found.precision is torch.float32 and "a first loss of 1.05 in place of 1" in words(found, "precision")
    measured.losses["bfloat16"], measured.seconds[("bfloat16", False)] = 1.0, 0.19
    found = chosen(paths)
    assert found.precision is torch.float32 and "gains too little" in words(found, "precision")


@pytest.mark.parametrize("asked", ["float32", "bfloat16"])
def test_an_asked_precision_is_taken_and_nothing_timed(paths, measured, asked):
    found = chosen(paths, {"precision": asked})
    assert words(found, "precision") == f"Precision {asked}: asked for." and not measured.tried


def test_tf32_is_refused_where_there_is_no_gpu(paths):
    with pytest.raises(EngineError, match="tf32 is one of NVIDIA's GPUs"):
        chosen(paths, {"precision": "tf32"})


def test_the_batch_grows_while_that_gains(paths, measured, monkeypatch):
    gains = {4: 0.100, 8: 0.080, 16: 0.078}
    monkeypatch.setattr(Probe, "seconds", lambda self, way, windows, crop=0: (gains[windows] * windows, 1.0))
    monkeypatch.setattr(choosing, "_FEWEST_STEPS", 1)
    found = chosen(paths, {"batch": 0, "precision": "float32"})
    assert found.batch == 8
    assert words(found, "batch") == "Batch 8: a window takes 100 ms with 4, 80 ms with 8, 78 ms with 16."
    monkeypatch.setattr(choosing, "_FEWEST_STEPS", 1000)
    found = chosen(paths, {"batch": 0, "precision": "float32"})
    assert found.batch == 4 and "100 ms with 4; a larger one would leave few steps an epoch" in words(found, "batch")


def test_a_batch_of_none_is_four_where_nothing_is_measured(paths, tmp_path):
    module, sets, config, _ = setting_up(paths, {"batch": 0, "epochs": 1})
    list(fit(module, sets, config, tmp_path / "auto"))
    other, sets, config, _ = setting_up(paths, {"batch": 4, "epochs": 1})
    list(fit(other, sets, config, tmp_path / "four"))
    assert same(module, other)


def test_too_little_memory_takes_the_batch_in_parts_that_give_the_same(paths, monkeypatch, tmp_path):
    probe, _ = probe_of(paths, {"batch": 6})
    with probe.restored():
        need = probe.need(Way())
    three, six = need.of(3, probe.cells), need.of(6, probe.cells)
    free(monkeypatch, int((three + 0.3 * (six - three)) / memory_plan._SHARE))
    found = chosen(paths, {"batch": 6})
    assert (found.batch, found.accumulate) == (3, 2)
    assert "Batch 6: in 2 parts of 3, since at once it would take about" in words(found, "batch")
    module, sets, config, _ = setting_up(paths, {"batch": 6, "epochs": 2})
    events = list(fit(module, sets, config, tmp_path / "parts"))
    assert any("in 2 parts of 3" in e.values.get("text", "") for e in events)
    monkeypatch.undo()
    whole, sets, config, _ = setting_up(paths, {"batch": 6, "epochs": 2})
    list(fit(whole, sets, config, tmp_path / "whole"))
    for one, two in zip(module.parameters(), whole.parameters()):
        assert torch.allclose(one, two, atol=1e-5)


def test_gates_are_computed_again_before_a_normalised_batch_is_split(paths, monkeypatch):
    model = {"options": {"hidden": [24], "kernel": [3], "normalisation": "batch"}}
    probe, _ = probe_of(paths, {"batch": 32}, model, window=20)
    with probe.restored():
        plain, again = probe.need(Way()), probe.need(Way(recompute=True))
    much, little = plain.of(32, probe.cells), again.of(32, probe.cells, recompute=True)
    assert little < 0.9 * much
    free(monkeypatch, int((little + 0.5 * (0.95 * much - little)) / memory_plan._SHARE))
    found = chosen(paths, {"batch": 32}, model, window=20)
    assert found.value("memory") == "recompute" and found.engine.recompute and found.batch == 32
    assert "gates are computed again, so that a batch takes about" in words(found, "memory")
    found = chosen(paths, {"batch": 32, "memory": "plain"}, model, window=20)
    assert found.batch < 32 and not found.engine.recompute
    assert "each part is normalised by itself" in words(found, "batch")


def test_a_crop_is_the_last_that_is_tried(tmp_path, monkeypatch):
    path = write_toy_dataset(tmp_path / "wide.nc", rows=96, columns=112, steps=70)
    probe, _ = probe_of([path], {"batch": 1}, {"options": {"hidden": [8], "kernel": [3]}})
    with probe.restored():
        need = probe.need(Way())
    again = Way(recompute=True)
    with probe.restored():
        least = min(need.of(1, probe.cells), probe.need(again).of(1, probe.cells, recompute=True))
    room = need.of(1, 67 * 67)  # more than 64 need, as what libraries keep differs a little from time to time
    assert least > room
    free(monkeypatch, int(room / memory_plan._SHARE))
    found = chosen([path], {"batch": 1}, {"options": {"hidden": [8], "kernel": [3]}})
    assert found.crop == 64 and "Crop 64: whole maps would take about" in words(found, "crop")
    assert found.config(probe.config).crop == 64


def test_what_does_not_fit_is_refused_with_what_would(paths, monkeypatch, tmp_path):
    model = {"options": {"hidden": [32], "kernel": [3]}}
    asked = {"batch": 64, "memory": "plain", "loss": "kge", "precision": "float32"}
    probe, _ = probe_of(paths, asked, model)
    with probe.restored():
        whole = probe.need(Way()).of(64, probe.cells)
    free(monkeypatch, int(0.45 * whole))
    with pytest.raises(RunError) as refused:
        chosen(paths, asked, model)
    text = str(refused.value)
    assert "The memory is not enough for this training" in text and f"{say_bytes(int(0.45 * whole))} free" in text
    said = re.search(r"about (\d+) MB for a batch of 64 windows of 10 steps, maps of 20 x 18 cells", text)
    assert said and float(said[1]) * 1e6 == pytest.approx(whole, rel=0.05)
    module, sets, config, _ = setting_up(paths, asked, model)
    with pytest.raises(RunError, match="not enough"):
        list(fit(module, sets, config, tmp_path))
    assert not list(tmp_path.glob("*.safetensors")), "refused before anything is written"
    assert re.search(r"What would fit: a window of about \d+ steps", text), "KGE is taken over a whole batch"


def test_a_refusal_names_the_settings_that_would_fit(paths, monkeypatch):
    model = {"options": {"hidden": [24], "kernel": [3], "normalisation": "batch"}}
    asked = {"batch": 32, "memory": "plain", "loss": "kge", "precision": "float32"}
    monkeypatch.setattr("freshet.core.training.probe.faster_precisions", lambda device: ("bfloat16",))
    probe, _ = probe_of(paths, asked, model, window=20)
    with probe.restored():
        plain, again = probe.need(Way()).of(32, probe.cells), probe.need(Way(recompute=True)).of(32, probe.cells, True)
    free(monkeypatch, int((again + 0.5 * (0.95 * plain - again)) / memory_plan._SHARE))
    with pytest.raises(RunError, match=r"What would fit: memory recompute; or precision bfloat16"):
        chosen(paths, asked, model, window=20)


def test_a_refusal_says_how_long_a_window_would_fit_where_nothing_else_does(paths, monkeypatch):
    model = {"options": {"hidden": [48], "kernel": [3]}}
    probe, _ = probe_of(paths, {"batch": 1}, model, window=24)
    with probe.restored():
        least = min(probe.need(Way(p, r)).of(1, probe.cells, r) for p in ("float32", "bfloat16") for r in (False, True))
    free(monkeypatch, int(0.6 * least))
    with pytest.raises(RunError, match=r"a window of about \d+ steps"):
        chosen(paths, {"batch": 1}, model, window=24)


@pytest.mark.parametrize("taken", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "model", [None, DROPPING, {"options": {"hidden": [4], "kernel": [3], "normalisation": "batch"}}]
)
def test_trying_changes_nothing_of_what_is_learned(paths, monkeypatch, tmp_path, model, taken):
    training = {"epochs": 2, "precision": taken}
    plain, sets, config, _ = setting_up(paths, training, model)
    list(fit(plain, sets, config, tmp_path / "plain"))
    monkeypatch.setattr(choosing, "_WORTH", 0.0)
    monkeypatch.setattr("freshet.core.training.probe.faster_precisions", lambda device: ("bfloat16",))
    monkeypatch.setattr(choosing, "_CLOSE", 1e9)
    real = Probe.seconds

    def timed(self, way, windows, crop=0):
        return (0.1 if way.precision == taken else 0.2), real(self, way, windows, crop)[1]

    monkeypatch.setattr(Probe, "seconds", timed)
    tried, sets, config, _ = setting_up(paths, {**training, "precision": "auto"}, model)
    events = fit(tried, sets, config, tmp_path / "tried")
    told = [next(events)]
    random, threads = torch.get_rng_state(), torch.get_num_threads()
    while "choices" not in told[-1].values:
        told.append(next(events))
    assert torch.equal(torch.get_rng_state(), random) and torch.get_num_threads() == threads
    list(events)
    assert any(event.values.get("level") == "tick" for event in told)
    kept = read_state(tmp_path / "tried" / "last.safetensors")["choices"]
    assert kept["figures"]["seconds_bfloat16"] > 0.0 and Choices.from_dict(kept).value("precision") == taken
    assert same(plain, tried)


def test_a_real_trial_measures_both_precisions(paths, monkeypatch):
    monkeypatch.setattr(choosing, "_WORTH", 0.0)
    monkeypatch.setattr("freshet.core.training.probe.faster_precisions", lambda device: ("bfloat16",))
    monkeypatch.setattr(choosing, "_CLOSE", 0.0)  # so the first losses have to differ
    found = chosen(paths)
    assert found.precision is torch.float32 and "bfloat16 gives a first loss of" in words(found, "precision")


def test_a_training_that_is_taken_up_keeps_the_choices_of_its_begin(paths, measured, tmp_path):
    module, sets, config, _ = setting_up(paths, {"epochs": 2})
    events = fit(module, sets, config, tmp_path)
    for event in events:
        if event.kind is EventKind.PROGRESS:
            break
    events.close()
    measured.seconds[("bfloat16", False)] = 9.0  # would choose otherwise now
    count = len(measured.tried)
    fresh, sets, config, _ = setting_up(paths, {"epochs": 2})
    told = [e.values["text"] for e in fit(fresh, sets, config, tmp_path) if e.kind is EventKind.MESSAGE]
    assert len(measured.tried) == count and any("as at the begin. Precision bfloat16: 400 ms" in text for text in told)
    assert read_state(tmp_path / "last.safetensors")["choices"]["figures"]["seconds_float32"] == 0.8


def test_what_a_person_asks_for_otherwise_later_is_taken(paths, measured):
    _, _, config, _ = setting_up(paths)
    kept = chosen(paths).to_dict()
    assert json.loads(json.dumps(kept)) == kept and Choices.from_dict(kept).to_dict() == kept
    assert kept_choices(kept, config).precision is torch.bfloat16
    again = kept_choices(kept, config.replace(precision="float32", batch=2))
    assert again.precision is torch.float32 and again.batch == 2
    assert kept_choices(kept, config.replace(memory="recompute")).engine.recompute
    old = kept_choices({}, config)  # a checkpoint of an earlier version
    assert old == plain_choices(config) and old.precision is torch.float32


def test_the_run_folder_and_the_report_tell_the_choices(paths, tmp_path):
    job = TrainJob.from_dict(
        {
            "datasets": [str(paths[0])], "target": "store", "inputs": ["rain"], "window": 6, "warm_up": 0,
            "model": {"options": {"hidden": [2], "kernel": [1]}},
            "training": {"epochs": 1, "threads": 1, "device": "cpu", "hoisting": "off"},
        }
    )  # fmt: skip
    run = RunFolder.create_at(tmp_path / "run", "train", job)
    assert execute(run) == 0, run.error()
    values = json.loads(run.choices_file.read_text(encoding="utf-8"))
    sentences = [item["sentence"] for item in values["choices"]]
    assert "Threads 1: asked for." in sentences and "Inputs at once off: asked for." in sentences
    log = [event.values["text"] for event in run.events() if event.kind is EventKind.MESSAGE]
    assert any(all(sentence in text for sentence in sentences) for text in log)
    assert any("Disc: about" in text and "of checkpoints" in text for text in log)
    assert not any("choices" in event.values for event in run.events())
    report = run.report_file.read_text(encoding="utf-8")
    assert "Computed with" in report and "too small to be worth measuring" in report


@pytest.mark.parametrize(("there", "threads"), [(1, 1), (2, 2), (3, 2), (16, 15)])
def test_one_core_is_left_to_qgis(monkeypatch, there, threads):
    monkeypatch.setattr(device, "cores", lambda: there)
    assert device.choose_threads(0)[0] == threads and device.choose_threads(5) == (5, "asked for")


def test_processes_that_train_together_share_the_cores(monkeypatch):
    monkeypatch.setattr(device, "cores", lambda: 8)
    monkeypatch.setattr(device, "processes_here", lambda: 3)
    assert device.choose_threads(0) == (2, "8 cores for 3 processes")


def test_half_of_the_threads_are_taken_where_they_are_faster(paths, measured, monkeypatch):
    monkeypatch.setattr(device, "cores", lambda: 9)
    monkeypatch.setattr(Probe, "seconds", lambda self, way, windows, crop=0: (0.01 * torch.get_num_threads(), 1.0))
    before = torch.get_num_threads()
    try:
        found = chosen(paths, {"threads": 0, "precision": "float32"})
        assert torch.get_num_threads() == 4 == found.value("threads")
    finally:
        torch.set_num_threads(before)
    assert words(found, "threads") == "Threads 4: 40 ms a batch against 80 ms with 8."
