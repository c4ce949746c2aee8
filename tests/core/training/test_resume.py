"""A training that is taken up again equals one that never stopped, wherever it stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from small import DROPPING, same, setting_up  # noqa: E402
from toy import write_toy_dataset  # noqa: E402

from freshet.core.contracts import EventKind, RunError, RunFolder, RunState, TrainJob  # noqa: E402
from freshet.core.training.checkpoint import load_whole_checkpoint  # noqa: E402
from freshet.core.training.loop import fit  # noqa: E402
from freshet.core.training.model_file import load_model  # noqa: E402
from freshet.core.worker.main import execute  # noqa: E402

EVERYTHING = {
    "epochs": 3, "batch": 5, "averaging": 0.9, "augment": "turns", "optimizer": "adamw", "weight_decay": 0.01,
    "rate_warm_up": 0.5, "learning_rate": 0.01,
}  # fmt: skip


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    return [write_toy_dataset(folder / "a.nc", seed=1), write_toy_dataset(folder / "b.nc", rows=5, columns=7, steps=70)]


def story(events):
    """What the epochs told, but for the time."""
    metrics = [e.values for e in events if e.kind is EventKind.METRIC]
    return [{k: v for k, v in values.items() if k not in ("seconds", "waiting_share")} for values in metrics]


def stopped(events, count):
    """The first ``count`` events; the training is cancelled after them."""
    seen = []
    for event in events:
        seen.append(event)
        if len(seen) == count:
            break
    events.close()
    return seen


def finished(events):
    """Whether the last thing that was told, but for messages, is an epoch."""
    told = [event.kind for event in events if event.kind is not EventKind.MESSAGE]
    return bool(told) and told[-1] is EventKind.METRIC


@pytest.mark.parametrize(
    ("training", "model"),
    [
        ({"epochs": 3, "batch": 5}, DROPPING),
        (EVERYTHING, DROPPING),
        ({**EVERYTHING, "accumulate": 3, "batch": 2, "averaging": 0.0}, DROPPING),
        (
            {"epochs": 5, "batch": 8, "schedule": "plateau", "schedule_epochs": 1, "patience": 5, "learning_rate": 0.3},
            {"options": {"hidden": [4], "kernel": [3], "normalisation": "batch"}},
        ),
    ],
)
def test_cancelled_at_any_batch_it_ends_the_same_bit_for_bit(paths, tmp_path, training, model):
    module, sets, config, _ = setting_up(paths, training, model)
    events = list(fit(module, sets, config, tmp_path / "whole"))
    rng = np.random.default_rng(7)
    seen, tries, again = [], 0, None
    while not again or not finished(again) or len(story(seen)) < len(story(events)):
        part, sets, _, _ = setting_up(paths, training, model)
        torch.manual_seed(int(rng.integers(1000)))  # what a new process has drawn before does not matter
        again = stopped(fit(part, sets, config, tmp_path / "parts"), int(rng.integers(3, 22)))
        seen, tries = seen + again, tries + 1
        assert tries < 200
    part, sets, _, _ = setting_up(paths, training, model)
    seen += list(fit(part, sets, config, tmp_path / "parts"))
    assert tries > 3 and any("batch" in e.values.get("text", "") and "Continued" in e.values["text"] for e in seen)
    assert story(seen) == story(events) and same(part, module)


def test_cancelled_while_it_validates_it_ends_the_same(paths, tmp_path):
    training = {"epochs": 2, "batch": 4, "averaging": 0.8}
    module, sets, config, _ = setting_up(paths[:1], training, DROPPING)
    events = list(fit(module, sets, config, tmp_path / "whole"))
    ticks = [n for n, e in enumerate(events) if e.values.get("level") == "tick"]
    part, sets, _, _ = setting_up(paths[:1], training, DROPPING)
    seen = stopped(fit(part, sets, config, tmp_path / "parts"), ticks[1] + 1)
    state, beside = load_whole_checkpoint(tmp_path / "parts" / "last.safetensors", part)
    assert state["epoch"] == 0 and state["pieces"] == len(beside["losses"]) > 0
    part, sets, _, _ = setting_up(paths[:1], training, DROPPING)
    seen += list(fit(part, sets, config, tmp_path / "parts"))
    assert story(seen) == story(events) and same(part, module)


def test_averaged_weights_are_saved_as_best_and_raw_ones_kept(paths, tmp_path):
    module, sets, config, _ = setting_up(paths[:1], {"epochs": 1, "averaging": 0.99, "learning_rate": 0.02})
    list(fit(module, sets, config, tmp_path))
    raw, *_ = setting_up(paths[:1])
    _, beside = load_whole_checkpoint(tmp_path / "last.safetensors", raw)
    assert not same(raw, module)
    for name, value in module.state_dict().items():
        assert torch.equal(value, beside[f"average.{name}"])


def test_the_place_is_kept_every_so_many_minutes(paths, tmp_path):
    now = [0.0]

    def clock():
        now[0] += 1.0
        return now[0]

    module, sets, config, _ = setting_up(paths[:1], {"epochs": 1, "batch": 4, "checkpoint_minutes": 0.05})
    places = []
    for event in fit(module, sets, config, tmp_path, clock=clock):
        if event.kind is EventKind.PROGRESS and (tmp_path / "last.safetensors").exists():
            other, *_ = setting_up(paths[:1])
            places.append(load_whole_checkpoint(tmp_path / "last.safetensors", other)[0]["pieces"])
    assert len(set(places)) >= 2 and places == sorted(places) and 0 < places[0] < places[-1]
    rare = setting_up(paths[:1], {"epochs": 1, "batch": 4, "checkpoint_minutes": 1000})
    for event in fit(*rare[:3], tmp_path / "rare", clock=clock):
        assert event.kind is not EventKind.PROGRESS or not (tmp_path / "rare" / "last.safetensors").exists()


def test_the_time_that_was_spent_counts_on(paths, tmp_path):
    now = [0.0]

    def clock():
        now[0] += 1.0
        return now[0]

    training = {"epochs": 1000, "batch": 8, "patience": 1000, "time_limit_minutes": 2.0}
    module, sets, config, _ = setting_up(paths[:1], training)
    whole = story(fit(module, sets, config, tmp_path / "whole", clock=clock))
    module, sets, config, _ = setting_up(paths[:1], training)
    first = stopped(fit(module, sets, config, tmp_path / "parts", clock=clock), 12)
    module, sets, config, _ = setting_up(paths[:1], training)
    rest = list(fit(module, sets, config, tmp_path / "parts", clock=clock))
    assert abs(len(story(first + rest)) - len(whole)) <= 1 and len(whole) >= 2
    module, sets, config, _ = setting_up(paths[:1], training)
    assert not story(fit(module, sets, config, tmp_path / "parts", clock=clock)), "the time was up already"


def test_a_checkpoint_of_other_data_or_other_batches_is_refused(paths, tmp_path):
    module, sets, config, _ = setting_up(paths[:1], {"epochs": 2, "batch": 4})
    stopped(fit(module, sets, config, tmp_path), 5)
    module, sets, config, _ = setting_up(paths[:1], {"epochs": 2, "batch": 2})
    with pytest.raises(RunError, match=r"other ones. Expected: seed 1, batch 4.*Found: seed 1, batch 2"):
        list(fit(module, sets, config, tmp_path))
    module, sets, config, _ = setting_up(paths[:1], {"epochs": 2, "batch": 4})
    sets[0].data.x[:] *= 1.1
    with pytest.raises(RunError, match="made with other data"):
        list(fit(module, sets, config, tmp_path))
    module, sets, config, _ = setting_up(paths[:1], {"epochs": 2, "batch": 4})
    sets[0].data.x[:] *= np.float32(1.0 + 1e-6)  # as another machine may have it
    list(fit(module, sets, config, tmp_path))


def test_a_checkpoint_of_an_older_freshet_is_continued(paths, tmp_path):
    from freshet.core.training.checkpoint import save_checkpoint

    module, sets, config, _ = setting_up(paths[:1], {"epochs": 2})
    for name in ("last", "best"):
        state = {"epoch": 1, "best_loss": 9.0, "best_epoch": 1, "history": []}
        save_checkpoint(tmp_path / f"{name}.safetensors", module, torch.optim.Adam(module.parameters()), state)
    told = story(fit(module, sets, config, tmp_path))
    assert [values["epoch"] for values in told] == [2]


def test_a_run_that_a_person_cancels_in_an_epoch_gives_the_same_model(paths, tmp_path):
    def finished(folder, stops):
        job = TrainJob.from_dict(
            {
                "datasets": [str(paths[0])], "target": "store", "inputs": ["rain"], "static": ["height"], "window": 8,
                "warm_up": 0, "model": {"options": {"hidden": [4], "dropout": 0.2}},
                "training": {"epochs": 2, "batch": 4, "threads": 1, "device": "cpu", "averaging": 0.9},
            }
        )  # fmt: skip
        run = RunFolder.create(folder, "train", job)
        for stop in stops:
            count = [0]

            def watch(event, stop=stop, count=count):
                count[0] += event.kind is EventKind.PROGRESS
                if count[0] == stop:
                    run.request_cancel()

            assert execute(run, watch) == 3 and run.state() is RunState.CANCELLED
            assert (run.checkpoints / "last.safetensors").exists()
        assert execute(run) == 0, run.error()
        return run

    whole, parts = finished(tmp_path / "whole", []), finished(tmp_path / "parts", [5, 4, 9])
    texts = [e.values.get("text", "") for e in parts.events() if "Continued after epoch 0, batch" in str(e.values)]
    assert len(texts) >= 2 and len(set(texts)) == len(texts), "each try goes on from its own place"
    assert same(load_model(whole.model_file)[0], load_model(parts.model_file)[0])


KILLED = """
import json, os, signal, sys
sys.path[:0] = [{here!r}, {parent!r}, {tests!r}]
import conftest
from pathlib import Path
from small import DROPPING, setting_up
from freshet.core.contracts import files
from freshet.core.training.loop import fit

renames, end = [0], int(sys.argv[1])
replace = os.replace

def dying(source, target):
    renames[0] += 1
    if renames[0] == end:
        os.kill(os.getpid(), signal.SIGKILL)  # the file is written, its name not yet given
    replace(source, target)

files.os.replace = dying
now = [0.0]

def clock():
    now[0] += 1.0
    return now[0]

module, sets, config, _ = setting_up([Path({path!r})], json.loads({training!r}), DROPPING)
for event in fit(module, sets, config, Path({run!r}), clock=clock):
    pass
"""


def test_killed_while_it_writes_a_checkpoint_it_ends_the_same(paths, tmp_path):
    training = {"epochs": 2, "batch": 4, "checkpoint_minutes": 0.04, "averaging": 0.9, "augment": "flips"}
    module, sets, config, _ = setting_up(paths[:1], training, DROPPING)
    events = list(fit(module, sets, config, tmp_path / "whole"))
    values = {
        "here": str(HERE),
        "parent": str(HERE.parent),
        "tests": str(HERE.parent.parent),
        "path": str(paths[0]),
        "run": str(tmp_path / "run"),
    }
    code = KILLED.format(training=json.dumps(training), **values)
    for end in (4, 5):
        done = subprocess.run([sys.executable, "-c", code, str(end)], capture_output=True, text=True)
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert len(list((tmp_path / "run").glob(".*.part*"))) == 1
    part, sets, _, _ = setting_up(paths[:1], training, DROPPING)
    seen = list(fit(part, sets, config, tmp_path / "run"))
    assert any("Continued after epoch 0, batch" in e.values.get("text", "") for e in seen)
    assert story(seen) == story(events) and same(part, module)
    assert not list((tmp_path / "run").glob(".*.part*"))
