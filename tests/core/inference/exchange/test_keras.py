"""Imported Keras models give what Keras gave; what has no counterpart is refused by name."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
import torch

from freshet.core.contracts import ModelFileError
from freshet.core.inference.exchange import keras_file
from freshet.core.inference.exchange.foreign import GATES, HARD_SIXTH
from freshet.core.inference.exchange.imported import adopt_weights, options_of, prove_equal
from freshet.core.inference.exchange.importing import read_foreign
from freshet.core.models import build_model

NAMES = [f"{kind}-keras{version}.{suffix}" for kind in ("thesis", "options") for version in (2, 3)
         for suffix in ("keras", "h5")]  # fmt: skip


def module_of(foreign, order=None, static=0):
    options, _ = options_of(foreign)
    order = list(range(foreign.inputs)) if order is None else order
    dynamic = foreign.inputs - static
    module = build_model("convlstm", dynamic, foreign.maps, static_channels=static, **options)
    adopt_weights(module, foreign, order)
    return module.eval()


def outputs(module, window, static=None):
    with torch.inference_mode():
        return module(torch.from_numpy(window)[None], static)["y_hat"][0].flatten(0, 1).numpy()


def altered(source, target, change):
    """A copy of a .keras file whose configuration went through ``change``."""
    with zipfile.ZipFile(source) as given, zipfile.ZipFile(target, "w") as made:
        for name in given.namelist():
            content = given.read(name)
            if name in ("config.json", "metadata.json"):
                values = json.loads(content)
                change(name, values)
                content = json.dumps(values).encode()
            made.writestr(name, content)
    return target


@pytest.mark.parametrize("name", NAMES)
def test_outputs_equal_those_of_keras(keras_models, window, name):
    path, expected = keras_models[name]
    foreign = read_foreign(path)
    assert np.abs(outputs(module_of(foreign), window) - expected).max() < 1e-5
    assert np.abs(foreign.predict(window) - expected).max() < 1e-5
    assert expected.std() > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_each_gate_and_layer_matters(keras_models, window, name):
    """The proof notices two gates that are exchanged, in any layer."""
    path, expected = keras_models[name]
    foreign = read_foreign(path)
    for layer in foreign.layers:
        for parts in (layer.on_input, layer.on_state):
            for one, other in (("input", "forget"), ("candidate", "output")):
                parts[one], parts[other] = parts[other], parts[one]
                assert np.abs(foreign.predict(window) - expected).max() > 1e-4
                parts[one], parts[other] = parts[other], parts[one]


def test_what_the_files_say_of_themselves(keras_models):
    thesis = read_foreign(keras_models["thesis-keras3.keras"][0])
    assert [(x.hidden, x.kernel, x.gate, x.activation) for x in thesis.layers] == [
        (3, 3, "sigmoid", "tanh"), (4, 3, "sigmoid", "tanh"),
    ]  # fmt: skip
    assert thesis.window is None and thesis.grid == (6, 5) and thesis.maps == 1
    assert thesis.layers[0].dropout == 0.1 and thesis.layers[0].norm.epsilon == 0.001
    assert read_foreign(keras_models["thesis-keras2.h5"][0]).layers[0].gate == "hard-sigmoid"
    options = read_foreign(keras_models["options-keras3.h5"][0])
    assert [layer.gate for layer in options.layers] == [HARD_SIXTH] * 2 and options.window == 6
    assert options.head_activation == "sigmoid" and options.layers[1].norm is None
    assert any("5/6" in note for note in options.notes) and any("last step" in note for note in options.notes)
    assert options_of(options)[0]["recurrent_dropout"] == 0.2


@pytest.mark.parametrize("order, static", [([2, 0, 1], 0), ([0, 2, 1], 1), ([1, 2, 0], 2)])
def test_channels_can_be_put_in_another_order(keras_models, window, order, static):
    path, _ = keras_models["thesis-keras3.keras"]
    foreign = read_foreign(path)
    module = module_of(foreign, order, static)
    fixed = window.copy()
    fixed[:, order[3 - static :]] = fixed[:1, order[3 - static :]]
    ordered = fixed[:, order]
    maps = torch.from_numpy(ordered[:1, 3 - static :]) if static else None
    found = outputs(module, np.ascontiguousarray(ordered[:, : 3 - static]), maps)
    assert np.abs(found - foreign.predict(fixed)).max() < 1e-6
    assert prove_equal(module, foreign, order, static) < 1e-6


def test_the_proof_fails_where_weights_are_wrong(keras_models):
    foreign = read_foreign(keras_models["thesis-keras2.keras"][0])
    module = module_of(foreign)
    with torch.no_grad():
        module.encoder[1].bias[0] += 0.01
    with pytest.raises(ModelFileError, match="does not give what the equations"):
        prove_equal(module, foreign, range(3), 0)


def test_layers_are_found_by_name_and_by_order(keras_models, tmp_path, window):
    """Keras 3 notes the names of the layers; older files count the layers of a class in the order of the model."""
    path, expected = keras_models["thesis-keras3.keras"]

    def rename(name, values):
        if name == "config.json":
            for layer in values["config"]["layers"]:
                layer["config"]["name"] = "no_such_" + layer["config"]["name"]

    assert np.abs(read_foreign(altered(path, tmp_path / "a.keras", rename)).predict(window) - expected).max() < 1e-5


def layer_changes(kind, **changes):
    def change(name, values):
        if name == "config.json":
            for layer in values["config"]["layers"]:
                inner = layer["config"].get("layer", layer)
                if inner["class_name"] == kind:
                    inner["config"].update(changes)
                    break

    return change


@pytest.mark.parametrize(
    "change, words",
    [
        (layer_changes("ConvLSTM2D", padding="valid"), "makes the map smaller"),
        (layer_changes("ConvLSTM2D", go_backwards=True), "backwards"),
        (layer_changes("ConvLSTM2D", strides=[2, 2]), "strides is not 1"),
        (layer_changes("ConvLSTM2D", dilation_rate=[2, 2]), "dilation_rate is not 1"),
        (layer_changes("ConvLSTM2D", activation="elu"), "tanh or relu.*elu"),
        (layer_changes("ConvLSTM2D", recurrent_activation="tanh"), "sigmoid or hard_sigmoid"),
        (layer_changes("BatchNormalization", axis=2), "does not normalise the channels"),
        (layer_changes("Conv2D", activation="softmax"), "linear, relu or sigmoid"),
        (layer_changes("Conv2D", padding="valid"), "makes the map smaller"),
        (lambda n, v: v.update(keras_version="") if n == "metadata.json" else layer_changes(
            "ConvLSTM2D", recurrent_activation="hard_sigmoid")(n, v), "does not say which"),
        (lambda n, v: n == "config.json" and v["config"]["layers"].pop(1), "before the first ConvLSTM2D"),
        (lambda n, v: n == "config.json" and v["config"]["layers"].pop(3), "normalised already|do not fit"),
        (lambda n, v: n == "config.json" and v["config"]["layers"][2].update(class_name="LayerNormalization"),
         "LayerNormalization.*no such layer"),
        (lambda n, v: n == "config.json" and v["config"].pop("layers"), "lists no layers"),
    ],
)  # fmt: skip
def test_what_has_no_counterpart_is_refused_by_name(keras_models, tmp_path, change, words):
    path = altered(keras_models["thesis-keras3.keras"][0], tmp_path / "other.keras", change)
    with pytest.raises(ModelFileError, match=words):
        module_of(read_foreign(path))


def test_a_branching_model_is_refused(keras_models, tmp_path):
    def branch(name, values):
        if name == "config.json":
            layers = values["config"]["layers"]
            layers[-1]["inbound_nodes"][0]["args"] = layers[1]["inbound_nodes"][0]["args"]

    path = altered(keras_models["options-keras3.keras"][0], tmp_path / "branch.keras", branch)
    with pytest.raises(ModelFileError, match="branch or join"):
        read_foreign(path)


def test_layers_of_different_activations_are_refused(keras_models, tmp_path):
    change = layer_changes("ConvLSTM2D", activation="relu")
    path = altered(keras_models["thesis-keras3.keras"][0], tmp_path / "mixed.keras", change)
    with pytest.raises(ModelFileError, match="different activations of the state"):
        options_of(read_foreign(path))


@pytest.mark.parametrize("name", ["thesis-keras3.keras", "thesis-keras2.h5"])
def test_damaged_files_are_refused_in_a_sentence(keras_models, tmp_path, name):
    content = keras_models[name][0].read_bytes()
    path = tmp_path / name
    for part in (content[: len(content) // 2], content[:100], content[:-10]):
        path.write_bytes(part)
        with pytest.raises(ModelFileError):
            read_foreign(path)
    with pytest.raises(ModelFileError, match="SavedModel"):
        read_foreign(tmp_path)


def test_weights_alone_are_refused(keras_models, tmp_path):
    path = tmp_path / "model.weights.h5"
    with zipfile.ZipFile(keras_models["thesis-keras3.keras"][0]) as archive:
        path.write_bytes(archive.read("model.weights.h5"))
    with pytest.raises(ModelFileError, match=r"no whole Keras model.*model\.save"):
        read_foreign(path)
    other = tmp_path / "other.keras"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("hello.txt", "no model")
    with pytest.raises(ModelFileError, match="no Keras model"):
        read_foreign(other)


def test_gates_have_four_names():
    assert GATES == ("input", "forget", "candidate", "output")


class _Group:
    """A group of an HDF5 file as the reader sees it."""

    def __init__(self, groups=(), variables=(), name=None):
        self.groups, self.variables, self._name = dict(groups), dict(variables), name

    def ncattrs(self):
        return [] if self._name is None else ["name"]

    def getncattr(self, name):
        return self._name


def test_weights_lie_where_other_systems_and_older_versions_put_them():
    """Windows wrote the path as one name with backslashes, Keras 2.12 another folder."""
    windows = _Group({"layers\\conv_lstm2d": _Group({"cell\\vars": _Group(variables={"0": 1, "1": 2, "2": 3})})})
    assert {place: found for place, found, _ in keras_file._walk(windows) if found is not None} == {
        "layers/conv_lstm2d/cell/vars/0": 1, "layers/conv_lstm2d/cell/vars/1": 2, "layers/conv_lstm2d/cell/vars/2": 3,
    }  # fmt: skip
    named = _Group({"layers": _Group({"conv_lstm2d_1": _Group({"vars": _Group(name="upper")})})})
    assert [item for item in keras_file._walk(named) if item[2]] == [("layers/conv_lstm2d_1/vars", None, "upper")]
    layers = [keras_file.KerasLayer("ConvLSTM2D", name, {}, {}) for name in ("lower", "upper", "top")]
    assert keras_file._places(layers, {}) == ["layers/conv_lstm2d", "layers/conv_lstm2d_1", "layers/conv_lstm2d_2"]
    assert keras_file._places(layers, {"lower": "layers/x"})[0] == "layers/x"


def test_weights_of_keras_2_12_are_found(monkeypatch, tmp_path):
    layer = keras_file.KerasLayer("Conv2D", "out", {}, {})
    folder = "_layer_checkpoint_dependencies/conv2d/vars"
    arrays = {f"{folder}/0": "kernel", f"{folder}/1": "bias"}
    monkeypatch.setattr(keras_file, "read_array", lambda variable, file: variable)
    found = keras_file._by_order(layer, "layers/conv2d", arrays, tmp_path)
    assert found == {"kernel": "kernel", "bias": "bias"}
    with pytest.raises(ModelFileError, match="not where Keras puts them"):
        keras_file._by_order(layer, "layers/conv2d_1", arrays, tmp_path)
