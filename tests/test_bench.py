"""The benchmarks: their arithmetic, the promises that they print, the peers, the page that follows from the figures."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
PROMISED = [  # group, what is asked, whether more is better
    ("float32 training step, thesis model", [(1.17, True), (1.05, True), (0.90, True)]),
    ("float32 training step, 128x128", [(1.10, True), (1.00, True)]),
    ("bfloat16 training step, thesis model", [(2.0, True), (1.15, True), (0.78, True)]),
    ("prediction", [(1.15, True), (1.00, True), (2.0, True)]),
    (
        "peak memory in training, 128x128",
        [(0.70, False), (0.47, False), (0.33, False), (1.3, False)],
    ),
    ("equality to the public cell, same weights", [(1e-6, False), (1e-4, False), (1e-2, False)]),
    ("loading 365 GeoTIFFs", [(4.5, True), (11.0, True)]),
    ("tiles of 256 against the whole frame", [(1e-6, False), (1.02, False), (200.0, False)]),
    ("two ranks of one thread", [(0.97, True)]),
    ("a whole training against Keras, three seeds", [(0.6, False), (0.6, False), (1.0, False)]),
    ("waiting for data", [(0.02, False)]),
    ("GPU", [(3.0, True), (2.0, True), (3.0, False)]),
]


@pytest.fixture(autouse=True)
def scripts_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    for name in [name for name in sys.modules if name.split(".")[0].startswith(("bench", "peers"))]:
        del sys.modules[name]


@pytest.fixture
def tiny():
    from bench_networks import THESIS

    return replace(THESIS, title="tiny", batch=2, steps=3, rows=7, columns=6, hidden=(4, 6))


def test_every_promise_has_its_row():
    from bench_rows import KEYS, ROWS

    found = {}
    for row in ROWS:
        if row.asked is not None:
            found.setdefault(row.group, []).append((row.asked, row.at_least))
    assert found == dict(PROMISED)
    assert len(set(KEYS)) == len(KEYS)


def test_medians_ratios_and_exponents():
    from bench_rounds import exponent, ratio, summary

    assert summary([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "rounds": 3}
    assert summary([1.0, 2.0, 4.0, 9.0])["median"] == 3.0
    assert ratio([4.0, 2.0, 6.0], [1.0, 2.0, 8.0]) == {"median": 2.0, "min": 2.0}
    assert ratio([1.0], [3.0])["median"] == 0.3333
    assert exponent([1, 10, 100], [7.0, 70.0, 700.0]) == 1.0
    assert exponent([2, 4, 8], [3 * 4, 3 * 16, 3 * 64]) == 2.0
    assert exponent([1, 4, 16], [5.0, 5.0, 5.0]) == 0.0


def test_rounds_take_turns_and_the_first_do_not_count():
    from bench_rounds import interleaved

    order, values = [], iter(range(100))

    def call(name):
        order.append(name)
        return float(next(values))

    found = interleaved({name: lambda name=name: call(name) for name in "abc"}, rounds=2, warm_up=1)
    assert "".join(order) == "abcbcacab"
    assert found == {"a": [5.0, 7.0], "b": [3.0, 8.0], "c": [4.0, 6.0]}


@pytest.mark.parametrize(
    "at_least, result, words",
    [
        (True, {"median": 1.5, "min": 1.4}, "reached"),
        (True, {"median": 1.49, "min": 1.51}, "not reached; by the least, reached"),
        (True, {"median": 1.49, "min": 1.4}, "not reached"),
        (False, {"median": 1.5, "min": 1.6}, "reached"),
        (False, {"median": 1.51, "min": 1.5}, "not reached; by the least, reached"),
        (False, {"value": 1.6}, "not reached"),
        (True, {"missing": "no GPU is at hand"}, "not measured: no GPU is at hand"),
    ],
)
def test_reached_goes_by_the_medians(at_least, result, words):
    from bench_rows import Row, verdict

    assert verdict(Row("x", "g", "t", 1.5, at_least), result) == words
    assert verdict(Row("x", "g", "t", None, at_least), result) == (words if "missing" in result else "")


def test_tables_say_asked_measured_and_reached():
    from bench_rows import ROWS, gathered, markdown_table, text_table

    part = {
        "step_public": {"median": 1.234, "min": 1.1},
        "tiles_mib": {"value": 250.4},
        "equal_output": {"value": 2e-7},
    }
    rows = gathered({"machine": {"cores": 2}, "one": {"rows": part}, "two": {}})
    text, page = text_table(rows), markdown_table(rows)
    assert "at least 1.17      1.23 (1.10)            reached" in text
    assert "| at most 200 MiB | 250 MiB | **not reached** |" in page
    assert "| at most 1.0e-06 | 2.0e-07 | reached |" in page
    assert text.count("not measured: not part of this run") == len(ROWS) - 3
    with pytest.raises(KeyError, match="wrong_name"):
        gathered({"one": {"rows": {"wrong_name": {"value": 1.0}}}})


def test_a_part_that_fails_says_why_and_the_others_are_kept():
    import bench

    def broken():
        raise RuntimeError("the disc is full")

    found = {"machine": {}, "one": bench.measured(broken), "two": bench.measured(lambda: {"rows": {}})}
    assert found["one"] == {"failed": "RuntimeError: the disc is full"} and found["two"] == {"rows": {}}
    assert "one failed: RuntimeError: the disc is full" in bench.table(found)
    child = bench.measured(
        lambda: subprocess.run([sys.executable, "-c", "import nothing_such"], check=True, capture_output=True)
    )
    assert "nothing_such" in child["failed"]


def test_the_public_cell_computes_what_freshet_computes(tiny):
    from bench_models import equality

    found = equality(tiny)
    assert found["rows"]["equal_output"]["value"] < 1e-6
    assert found["rows"]["equal_gradients"]["value"] < 1e-4
    assert 0 < found["rows"]["equal_half"]["value"] < 0.02


def test_the_public_cell_refuses_weights_of_other_sizes(tiny):
    from bench_networks import network
    from peers.public_cell import PublicConvLSTM

    with pytest.raises(RuntimeError, match="size mismatch"):
        PublicConvLSTM(tiny.channels, (4, 7)).take_weights(network(tiny))


def test_gates_change_places_and_back():
    from peers.public_cell import regated

    rows = torch.arange(8.0)[:, None]
    assert regated(rows).flatten().tolist() == [0, 1, 2, 3, 6, 7, 4, 5]
    assert torch.equal(regated(regated(rows)), rows)


def test_the_ideal_computes_as_many_products_as_the_network(tiny):
    from bench_networks import Program
    from torch.utils.flop_counter import FlopCounterMode

    counts = []
    for name in ("ideal float32", "public float32"):
        program = Program(name, tiny)
        with FlopCounterMode(display=False) as counter:
            program.predict()
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 0
    with FlopCounterMode(display=False) as counter:
        Program("ideal float32", tiny).step()
    assert counter.get_total_flops() == 3 * counts[0]


@pytest.mark.parametrize("name", ["freshet float32", "recompute float32", "public bfloat16"])
def test_a_step_learns(tiny, name):
    from bench_networks import Program, noise

    program = Program(name, tiny)
    losses = [program.learn(*noise(tiny)) for _ in range(5)]
    assert losses[-1] < losses[0] and np.isfinite(losses).all()
    assert program.step() > 0 and program.predict() > 0


def test_competitors_answer_from_processes_of_their_own(tiny):
    from bench_networks import Competitor, calls_of, environment_of

    from freshet.core.worker.libraries import LARGE_PAGES

    names = ["freshet float32", "public float32", "keras float32"]
    with calls_of(tiny, names, None, "step") as calls:
        assert list(calls) == names[:2] and all(call() > 0 for call in calls.values())
    assert environment_of("recompute float32")[LARGE_PAGES] == "1" and LARGE_PAGES not in environment_of(names[1])
    with Competitor("nobody float32", tiny) as broken, pytest.raises(RuntimeError, match="without an answer"):
        broken.seconds("dance")


HELD = """
import sys
sys.path.insert(0, {scripts!r})
from peers.resident import forget_peak, peak, resident
before = resident()
forget_peak()
held = b"1" * (40 * 2**20)
most = peak() - before
del held
forget_peak()
print(most, peak() - before)
"""


def test_memory_is_counted_from_before():
    # in a process of its own: in this one the array might lie in memory that was freed, not given back
    program = HELD.format(scripts=str(ROOT / "scripts"))
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    most, left = (float(word) for word in found.stdout.split())
    assert 39 < most < 60 and left < 20


def test_the_roofline_of_one_layer_by_hand():
    from bench_gpu import roofline
    from bench_networks import Case

    case = Case("x", batch=1, steps=2, channels=3, rows=5, columns=7, hidden=(4,))
    cells, products = 70, 2.0 * 70 * 7 * 16 * 9
    gates = 70 * (2 * (16 + 4) + 8 * 4 + 2 * (2 * 16 + 4) + 12 * 4)
    assert roofline(case, 1.0, 1e30) == pytest.approx(3 * 2 * cells * (7 + 16) + gates)
    assert roofline(case, 1e30, 1.0) == pytest.approx(3 * products)


ALONE = """
import runpy, sys
from importlib.machinery import ModuleSpec
class Missing:
    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self) if name in {names!r} else None
    def create_module(self, spec):
        raise ImportError(spec.name + " is not there")
    def exec_module(self, module):
        pass
sys.meta_path.insert(0, Missing())
sys.path.insert(0, {scripts!r})
import bench_gpu
from pathlib import Path
bench_gpu.OUT = Path({out!r})
sys.exit(bench_gpu.main(["--device", "cpu", "--rounds", "1"]))
"""


def test_the_gpu_part_needs_torch_and_numpy_alone(tmp_path):
    libraries = [
        line.split("==")[0] for line in (ROOT / "requirements/engine.txt").read_text().splitlines() if "==" in line
    ]
    names = {{"scikit-learn": "sklearn"}.get(name, name) for name in libraries} - {"numpy"}
    program = ALONE.format(names=names, scripts=str(ROOT / "scripts"), out=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    found = json.loads((tmp_path / "bench-gpu.json").read_text(encoding="utf-8"))
    assert found["gpu"]["rows"]["gpu_step"]["median"] > 0, done.stderr
    assert found["gpu"]["128x128"]["roofline_s"] > 0
    assert "no GPU" in found["machine"]["gpu"]
    assert found["gpu"]["thesis model"]["captured"], "the recorder is imported, and says that there is no GPU"


def test_without_a_gpu_the_rows_say_so(monkeypatch):
    import bench_gpu

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    rows = bench_gpu.gpu(1)["rows"]
    assert set(rows) == set(bench_gpu.KEYS) and all(row == {"missing": "no GPU is at hand"} for row in rows.values())


def test_a_peer_that_cannot_be_installed_is_left_out_with_a_sentence(tmp_path, monkeypatch):
    from peers import environment

    wanted = tmp_path / "peers.txt"
    wanted.write_text("--no-index\nno-such-library-at-all==1\n", encoding="utf-8")
    monkeypatch.setattr(environment, "REQUIREMENTS", wanted)
    monkeypatch.setattr(environment, "PLACE", tmp_path / "env")
    with pytest.raises(environment.PeerMissing, match="cannot be installed here.*no-such-library-at-all"):
        environment.peers_python()
    assert not (tmp_path / "env" / "made-from.txt").exists()


def test_the_peers_are_pinned():
    lines = (ROOT / "requirements/peers-keras.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins and all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in pins)
    from bench import peers_words

    assert re.fullmatch(r"Keras [\d.]+, TensorFlow [\d.]+", peers_words())


def test_a_peer_that_dies_is_left_out_with_a_sentence(tmp_path, monkeypatch):
    from peers import environment

    program = tmp_path / "peer.py"
    program.write_text("import sys; print('{\"versions\": {}}', flush=True); sys.stdin.readline(); sys.exit(3)")
    monkeypatch.setattr(environment, "peers_python", lambda: sys.executable)
    monkeypatch.setattr(environment, "PROGRAM", program)
    monkeypatch.setattr(environment, "LOG", tmp_path / "log")
    with environment.KerasPeer(1) as keras:
        with pytest.raises(environment.PeerMissing, match="status 3"):
            keras.ask(step="x")


def test_the_maps_can_be_learned_and_are_the_same_each_time():
    from bench_world import year

    maps, again = year(8, 7, 60), year(8, 7, 60)
    assert all(np.array_equal(maps[name], again[name]) and np.isfinite(maps[name]).all() for name in maps)
    store, rain, pet = (maps[name].astype(float) for name in ("store", "rain", "pet"))
    # The store of a day follows from that of the day before, up to what neighbours exchange.
    before = 0.9 * store[:-1] + rain[1:]
    follows = np.maximum(before - pet[1:] * np.minimum(before / 50.0, 1.0), 0.0)
    assert np.corrcoef(follows[:, 2:-2, 2:-2].ravel(), store[1:, 2:-2, 2:-2].ravel())[0, 1] > 0.99
    assert np.ptp(maps["discharge"], axis=(1, 2)).max() == 0.0


def test_both_trainings_see_the_same_windows(tmp_path, monkeypatch, tiny):
    import bench_whole

    monkeypatch.setattr(bench_whole, "OUT", tmp_path)
    _, (item,), config = bench_whole._training(tiny, 80, epochs=1)
    with np.load(bench_whole._arrays(tiny, 80)) as arrays:
        assert np.array_equal(arrays["x"], item.data.x) and arrays["y"].shape == (80, tiny.rows, tiny.columns)
        assert np.array_equal(arrays["train"], item.split.train)
        end = arrays["train"][5]
        batch = item.data.batch(np.array([end]))
        assert np.array_equal(arrays["x"][end - tiny.steps + 1 : end + 1], batch.x[0])
        assert np.array_equal(arrays["y"][end], batch.y[0, 0, 0, 0])
    assert (config.batch, config.learning_rate, config.schedule) == (2, 1e-3, "constant")
    found = bench_whole.train(1, 1, tiny, 80)
    assert 0 < found["mse"] < 10 and found["said"]


def test_a_newer_run_takes_the_place_of_its_parts_alone():
    from bench_page import merged

    kept = merged(
        {}, {"machine": {"date": "a"}, "models": {"rounds": 7}, "memory": {"case": "x"}, "demo": {"seconds": 1}}
    )
    kept = merged(kept, {"machine": {"date": "b"}, "memory": {"case": "y"}, "models": {"failed": "no"}})
    assert kept == {
        "models": {"rounds": 7}, "memory": {"case": "y"},
        "machines": {"models": {"date": "a"}, "memory": {"date": "b"}},
    }  # fmt: skip


def test_the_page_shows_the_figures_kept(tmp_path):
    page = tmp_path / "benchmarks.md"
    text = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    page.write_text(text, encoding="utf-8")
    subprocess.run([sys.executable, str(ROOT / "scripts/bench_page.py"), "--page", str(page)], check=True)
    assert page.read_text(encoding="utf-8") == text, "run scripts/bench_page.py again"
    from bench_rows import ROWS

    assert all(row.title in text for row in ROWS)
    kept = json.loads((ROOT / "docs/benchmarks.json").read_text(encoding="utf-8"))
    assert kept["machines"] and all(machine["date"] and machine["torch"] for machine in kept["machines"].values())


def test_the_section_tells_every_part():
    from bench_page import BEGIN, END, section, with_section

    time = {"median": 0.2, "min": 0.1}
    kept = {
        "machines": {"models": {"date": "2026-11-21", "processor": "P", "cores": 2, "capability": "AVX512", "load": 0.1,
                                "python": "3.11", "torch": "2.13", "numpy": "2.2", "peers": "Keras 3"}},
        "models": {"rounds": 7, "threads": 2, "rows": {"step_keras": {"median": 1.2, "min": 1.3}},
                   "training step, thesis model": {"case": "the case", "keras float32": time}},
        "memory": {"case": "large", "rounds": 3, "rows": {}, "public float32": {"mib": 1234.5}},
        "whole": {"seeds": [1, 2], "freshet": [{"seconds": 10.0, "mib": 400.0, "mse": 0.5, "said": ["bfloat16."]}] * 2,
                  "keras": [{"seconds": 20.0, "mib": 900.0, "mse": 0.25}], "rows": {}},
        "cost": {"cells": {"label": "cells", "case": "c", "sizes": [1, 4], "seconds": [1.0, 4.0], "mib": [2.0, 3.0],
                           "exponents": {"seconds": 1.0, "mib": 0.29}, "expected": {"seconds": 1, "mib": 1}}},
    }  # fmt: skip
    text = section(kept)
    for words in (
        "- models: 2026-11-21, P, 2 cores (AVX512)", "| training step, thesis model | keras float32 | 200 | 100 |",
        "| public float32 | 1234 |", "| 1 | 10.0 s | 20.0 s | 400 | 900 | 0.5000 | 0.2500 |", "| 2 | 10.0 s | - |",
        "Freshet chose: bfloat16.", "| cells | memory, MiB | 1, 4 | 2, 3 | 0.29 | 1 |",
        "| at least 1.05 | 1.20 (1.30) | reached |",
    ):  # fmt: skip
        assert words in text, words
    assert with_section(f"a\n{BEGIN}\nold\n{END}\nb", "new\n") == f"a\n{BEGIN}\nnew\n{END}\nb"
    with pytest.raises(ValueError):
        with_section("no marks", "new")


def test_the_chart_is_drawn(tmp_path):
    from bench_cost_picture import draw

    axis = {"label": "cells", "sizes": [1, 4, 16], "seconds": [1.0, 4.0, 16.0], "mib": [2.0, 3.0, 9.0]}
    axis["exponents"] = {"seconds": 1.0, "mib": 0.5}
    draw({"cells": axis, "years": axis}, tmp_path / "cost.png")
    data = (tmp_path / "cost.png").read_bytes()
    assert data[:4] == b"\x89PNG" and len(data) < 200_000


def test_points_of_the_cost_differ_in_their_axis_alone():
    from bench_cost import AXES, EXPECTED, SMALL, YEARS, case_of

    assert set(AXES) == set(EXPECTED) and all(len(values) >= 5 for _, values in AXES.values())
    assert case_of("cells", 96, SMALL, YEARS) == replace(SMALL, rows=96, columns=96)
    assert case_of("window", 64, SMALL, YEARS) == replace(SMALL, steps=64)
    assert case_of("channels", 8, SMALL, YEARS) == replace(SMALL, hidden=(8,))
    assert case_of("years", 16, SMALL, YEARS) == YEARS
