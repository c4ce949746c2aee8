"""The verb export-model: the graph gives what the model gives, at other lengths and on other grids; what is missing is
said. Where the libraries of ONNX are not installed, what comes before the file is tested alone.
"""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
import torch

from freshet.core.contracts import EngineError, EventKind, ExportModelJob, ModelFileError, RunFolder
from freshet.core.contracts.model_card import CARD_KEY, ModelCard, VariableCard
from freshet.core.contracts.models import resolve
from freshet.core.inference.exchange import onnx_graph
from freshet.core.inference.exchange.exporting import export_model
from freshet.core.inference.exchange.imported import adopt_weights, options_of
from freshet.core.inference.exchange.importing import read_foreign
from freshet.core.inference.exchange.onnx_graph import Size, Way, random_inputs, sizes_to_check, ways_of
from freshet.core.inference.exchange.open_steps import with_open_steps
from freshet.core.training.model_file import build_from_card, save_model

HAS_ONNX = all(importlib.util.find_spec(name) is not None for name in ("onnx", "onnxscript"))
needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason="the libraries of ONNX are not installed")
FAMILIES = {
    "convlstm": {"hidden": (3, 2), "kernel": (3, 5), "normalisation": "batch", "peepholes": True, "head_kernel": 3,
                 "mask_channels": True, "padding": "replicate", "state_activation": "relu"},
    "convlstm-ed": {"hidden": (3,)},
    "convgru": {"hidden": (3, 2), "mask_channels": True},
    "cbam-convlstm": {"hidden": (4,)},
}  # fmt: skip


def card_of(family, options=None, inputs=2, **changes):
    def variable(name):
        return VariableCard(name=name, quantity="precipitation", units="mm/d", scaler={"kind": "none"})

    values = {
        "title": "A model",
        "family": family,
        "options": {k: list(v) if isinstance(v, tuple) else v for k, v in resolve(family, options or {})[1].items()},
        "inputs": tuple(variable(f"input {number}") for number in range(inputs)),
        "static": (variable("height"),),
        "target": variable("flow"),
        "season": False,
        "window": 5,
        "lead": 0,
        "leads": 1,
    }
    return ModelCard(**{**values, **changes})


def random_module(card):
    torch.manual_seed(1)
    module = build_from_card(card).eval()
    with torch.no_grad():
        for value in module.parameters():
            value.normal_(std=0.3)
    return module


def saved(path, card, module=None):
    save_model(path, random_module(card) if module is None else module, card)
    return path


def export(path, folder, **changes):
    run = RunFolder.create(folder, "export-model", ExportModelJob(model=str(path), **changes))
    events = list(export_model(run.job(), run))
    assert events[-1].values["kind"] == "onnx" and events[-1].values["path"] == "results/model.onnx"
    return run, " ".join(event.values["text"] for event in events if event.kind is EventKind.MESSAGE)


@pytest.mark.parametrize(
    "family, steps", [("convlstm", 1), ("convlstm", 6), ("convlstm-ed", 3), ("convgru", 2), ("cbam-convlstm", 5)]
)
def test_a_model_with_open_steps_gives_the_same(family, steps):
    ahead = (card_of("cnn").target,) if family == "convlstm-ed" else ()
    card = card_of(family, FAMILIES[family], leads=2, ahead=ahead)
    module = random_module(card)
    inputs = random_inputs(module, card, Size(2, steps, 6, 5))
    x, more = inputs["x"], {name: value for name, value in inputs.items() if name != "x"}
    with torch.no_grad():
        expected, found = module(x, **more)["y_hat"], with_open_steps(module)(x, **more)["y_hat"]
    assert (found - expected).abs().max() < 1e-5 * max(1.0, float(expected.abs().max()))
    assert float(expected.std()) > 1e-3


def test_the_most_general_way_comes_first():
    opened = card_of("convlstm", {"hidden": (2,)})
    ways = ways_of(random_module(opened), opened)
    assert [(way.open_steps, way.open_grid) for way in ways] == [(True, True), (False, True), (False, False)]
    plain = card_of("cnn")
    assert [way.open_steps for way in ways_of(random_module(plain), plain)] == [False, False]
    size = Size(2, 4, 8, 7)
    assert len(sizes_to_check(ways[0], size)) == 4 and len(sizes_to_check(ways[-1], size)) == 2
    assert any(item.steps == 7 for item in sizes_to_check(ways[0], size))


def test_missing_libraries_are_said(tmp_path, monkeypatch):
    path = saved(tmp_path / "model.safetensors", card_of("convlstm", {"hidden": (2,)}))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match="pip install onnx onnxscript onnxruntime"):
        export(path, tmp_path)


def test_a_file_that_gives_something_else_is_refused(tmp_path, monkeypatch):
    card = card_of("convlstm", {"hidden": (2,)})
    module = random_module(card)
    size = Size(2, 4, 8, 7)

    def run_by(change):
        def run(inputs):
            with torch.inference_mode():
                x, static = (torch.from_numpy(inputs[name]) for name in ("x", "static"))
                return change(module(x, static)["y_hat"].numpy())

        return lambda path: (run, "a program")

    monkeypatch.setattr(onnx_graph, "runner_of", run_by(lambda y: y))
    assert onnx_graph.largest_difference(tmp_path, module, card, [size]) == (0.0, "a program")
    for change in (lambda y: y + 1e-3, lambda y: y[:1], lambda y: y * np.nan):
        monkeypatch.setattr(onnx_graph, "runner_of", run_by(change))
        with pytest.raises(ModelFileError, match="does not give what the model gives"):
            onnx_graph.largest_difference(tmp_path, module, card, [size])


@needs_onnx
def test_an_imported_model_is_exported_and_gives_what_keras_gave(keras_models, window, tmp_path):
    source, expected = keras_models["thesis-keras2.h5"]
    foreign = read_foreign(source)
    card = card_of("convlstm", options_of(foreign)[0], inputs=3, static=())
    module = build_from_card(card)
    adopt_weights(module, foreign, range(3))
    run, told = export(saved(tmp_path / "model.safetensors", card, module), tmp_path, rows=8, columns=7)
    assert "any number of steps on any grid" in told and "7 steps, 8 x 7 cells" in told and "13 x 9" in told
    call, _ = onnx_graph.runner_of(run.results / "model.onnx")
    found = call({"x": window[None]})[0, 0]
    assert np.abs(found - expected).max() < 1e-5
    import onnx

    made = onnx.load(run.results / "model.onnx")
    kept = {item.key: item.value for item in made.metadata_props}
    assert ModelCard.from_dict(json.loads(kept[CARD_KEY])) == card
    assert [item.name for item in made.graph.input] == ["x"] and [o.name for o in made.graph.output] == ["y_hat"]
    from onnx.reference import ReferenceEvaluator

    again = ReferenceEvaluator(str(run.results / "model.onnx")).run(None, {"x": window[None]})[0][0, 0]
    assert np.abs(again - expected).max() < 1e-5


@needs_onnx
def test_a_family_with_a_fixed_window_says_so(tmp_path):
    path = saved(tmp_path / "model.safetensors", card_of("cnn", window=4, static=()))
    run, told = export(path, tmp_path, rows=8, columns=8)
    assert "windows of 4 steps, no others" in told and (run.results / "model.onnx").is_file()


@needs_onnx
def test_what_cannot_be_exported_leaves_no_file(tmp_path, monkeypatch):
    path = saved(tmp_path / "model.safetensors", card_of("convlstm", {"hidden": (2,)}))

    def fails(*_, **__):
        raise RuntimeError("no such operator")

    monkeypatch.setattr(torch.onnx, "export", fails)
    with pytest.raises(ModelFileError, match=r"cannot be written.*no such operator"):
        export(path, tmp_path)
    assert list(tmp_path.rglob("*.onnx")) == []


def test_a_way_is_plain_data():
    way = Way(torch.nn.Identity(), True, False)
    assert way.open_steps and not way.open_grid
