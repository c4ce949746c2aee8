"""From the layers of a Keras file to a :class:`ForeignModel`: ConvLSTM2D layers, each followed by a batch normalisation
or not, and an output layer or none. Everything else is refused by name.

Keras keeps kernels as (rows, columns, in, out) and the gates side by side as i, f, c, o.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ...contracts.errors import ModelFileError
from .foreign import GATES, HARD_SIXTH, ForeignLayer, ForeignModel, ForeignNorm, refused
from .keras_file import KerasFile, KerasLayer, read_keras

_ASLEEP = (
    "Dropout", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise", "GaussianDropout", "AlphaDropout",
    "ActivityRegularization",
)  # fmt: skip
_OUTPUTS = ("Conv2D", "Conv3D", "Dense")
_ONLY = "Import a model of ConvLSTM2D layers, batch normalisation and one output layer"


@dataclass
class _Reading:
    """What was read so far, bottom up."""

    path: Path
    version: str
    layers: list[ForeignLayer] = field(default_factory=list)
    sequences: bool = True  # whether the last layer gave all steps
    first: bool = False  # channels first
    head: Optional[tuple[np.ndarray, np.ndarray]] = None
    head_activation: str = "none"
    notes: list[str] = field(default_factory=list)

    def refuse(self, layer: KerasLayer, why: str, remedy: str = _ONLY, **more: str) -> ModelFileError:
        return refused(f"The layer '{layer.name}' ({layer.kind}) of {self.path.name}", why, remedy, **more)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def foreign_from_keras(path: Path) -> ForeignModel:
    """The model in a .keras or .h5 file; raises :class:`ModelFileError` that names the layer it cannot take."""
    file = read_keras(path)
    reading = _Reading(path, file.version)
    for layer in file.layers:
        _take(reading, layer)
    if not reading.layers:
        raise refused(str(path), "it has no ConvLSTM2D layer", _ONLY)
    if reading.sequences:
        reading.note("The model gives a map at every step of its window; the one of the last step is its prediction.")
    head, bias = reading.head if reading.head is not None else (None, None)
    if head is None:
        reading.note("There is no output layer: the states of the last ConvLSTM2D are the prediction.")
    window, grid = _built_for(file, reading.first)
    return ForeignModel(
        origin=f"Keras {file.version or 'of an unknown version'}: {path.name}",
        layers=tuple(reading.layers),
        head=head,
        head_bias=bias,
        head_activation=reading.head_activation,
        window=window,
        grid=grid,
        notes=tuple(reading.notes),
    )


def _take(reading: _Reading, layer: KerasLayer) -> None:
    if layer.kind == "InputLayer":
        return
    if layer.kind in _ASLEEP:
        reading.note("Layers of dropout or noise act in training only and are left out.")
    elif layer.kind == "ConvLSTM2D":
        _take_convlstm(reading, layer)
    elif layer.kind == "BatchNormalization":
        _take_norm(reading, layer)
    elif layer.kind in _OUTPUTS:
        _take_output(reading, layer)
    elif layer.kind in ("Activation", "ReLU"):
        name = _function(layer.config.get("activation")) if layer.kind == "Activation" else _plain_relu(reading, layer)
        if name != "linear":
            _set_output_activation(reading, layer, name)
    else:
        raise reading.refuse(layer, "Freshet's ConvLSTM has no such layer")


def _take_convlstm(reading: _Reading, layer: KerasLayer) -> None:
    config, weights = layer.config, layer.weights
    if reading.head is not None or layer.wrapped:
        raise reading.refuse(layer, "it stands after an output layer" if reading.head else "it is wrapped")
    for key, wanted, why in (
        ("padding", "same", "it makes the map smaller (padding)"),
        ("go_backwards", False, "it reads the window backwards"),
        ("return_state", False, "it gives its state beside its output"),
    ):
        if config.get(key, wanted) != wanted:
            raise reading.refuse(layer, why, expected=f"{key} {wanted}", got=str(config[key]))
    for key in ("strides", "dilation_rate"):
        if any(item != 1 for item in np.atleast_1d(config.get(key, 1))):
            raise reading.refuse(layer, f"its {key} is not 1", got=str(config[key]))
    if config.get("stateful"):
        reading.note("The model was built to carry its state on (stateful); in Freshet each window starts from zeros.")
    kernel, state = weights["kernel"], weights["recurrent_kernel"]
    hidden = state.shape[-2] if state.ndim == 4 else 0
    if kernel.ndim != 4 or state.shape != (*kernel.shape[:2], hidden, 4 * hidden) or kernel.shape[3] != 4 * hidden:
        raise reading.refuse(layer, "its weights have another shape than its class has", got=str(kernel.shape))
    _check_kernel(reading, layer, kernel.shape[:2])
    bias = weights.get("bias", np.zeros(4 * hidden, dtype=np.float32))
    if reading.layers and reading.layers[-1].hidden != kernel.shape[2] or bias.shape != (4 * hidden,):
        raise reading.refuse(layer, "its weights do not fit the layer before it", got=str(kernel.shape))
    reading.first = config.get("data_format") == "channels_first"
    reading.sequences = bool(config.get("return_sequences", False))
    reading.layers.append(
        ForeignLayer(
            name=layer.name,
            on_input=_by_gate(kernel.transpose(3, 2, 0, 1)),
            on_state=_by_gate(state.transpose(3, 2, 0, 1)),
            bias=_by_gate(bias),
            gate=_gate_function(reading, layer),
            activation=_state_function(reading, layer),
            dropout=float(config.get("dropout") or 0.0),
            recurrent_dropout=float(config.get("recurrent_dropout") or 0.0),
        )
    )


def _by_gate(values: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(GATES, np.split(values, 4)))


def _gate_function(reading: _Reading, layer: KerasLayer) -> str:
    name = _function(layer.config.get("recurrent_activation", "sigmoid"))
    if name == "sigmoid":
        return name
    if name != "hard_sigmoid":
        raise reading.refuse(
            layer, "its recurrent_activation has no counterpart", expected="sigmoid or hard_sigmoid", got=name
        )
    major = reading.version.split(".")[0]
    if not major.isdigit():
        raise reading.refuse(
            layer,
            "hard_sigmoid is 0.2 x + 0.5 up to Keras 2 and x/6 + 0.5 from Keras 3 on, and the file does not say which",
            "Load it with the Keras that trained it and save it again",
        )
    if int(major) >= 3:
        reading.note(
            "The gates' hard_sigmoid of Keras 3 (x/6 + 0.5) is written as Freshet's 0.2 x + 0.5 with weights of the "
            "gates 5/6 as large, which is the same."
        )
        return HARD_SIXTH
    return "hard-sigmoid"


def _state_function(reading: _Reading, layer: KerasLayer) -> str:
    name = _function(layer.config.get("activation", "tanh"))
    if name not in ("tanh", "relu"):
        raise reading.refuse(layer, "its activation has no counterpart", expected="tanh or relu", got=name)
    return name


def _take_norm(reading: _Reading, layer: KerasLayer) -> None:
    if not reading.layers or reading.head is not None:
        where = "after the output layer" if reading.head is not None else "before the first ConvLSTM2D"
        raise reading.refuse(
            layer, f"it stands {where}", "Put it into the scalers of the variables, or train without it"
        )
    last = reading.layers[-1]
    rank = 5 if reading.sequences and not layer.wrapped else 4
    axis = layer.config.get("axis", -1)
    axis = axis[0] if isinstance(axis, (list, tuple)) and len(axis) == 1 else axis
    place = rank - 3 if reading.first else rank - 1
    if axis not in (place, place - rank):
        raise reading.refuse(layer, "it does not normalise the channels", expected=f"axis {place}", got=f"axis {axis}")
    if last.norm is not None:
        raise reading.refuse(layer, "the layer before it is normalised already")
    ones = np.ones(last.hidden, dtype=np.float32)
    found = {"gamma": ones, "beta": 0.0 * ones, **layer.weights}
    if any(values.shape != ones.shape for values in found.values()):
        raise reading.refuse(layer, "its weights do not fit the layer before it")
    norm = ForeignNorm(
        found["gamma"], found["beta"], found["moving_mean"], found["moving_variance"],
        float(layer.config.get("epsilon", 1e-3)),
    )  # fmt: skip
    reading.layers[-1] = replace(last, norm=norm)


def _take_output(reading: _Reading, layer: KerasLayer) -> None:
    kernel = layer.weights["kernel"]
    if not reading.layers or reading.head is not None:
        where = "before the first ConvLSTM2D" if not reading.layers else "after another output layer"
        raise reading.refuse(layer, f"it stands {where}")
    if layer.kind == "Dense":
        if reading.first:
            raise reading.refuse(layer, "with channels first it mixes columns, not channels")
        kernel = kernel[None, None]
    else:
        _check_convolution(reading, layer)
    if layer.kind == "Conv3D":
        if kernel.shape[0] != 1:
            raise reading.refuse(layer, "its kernel joins several steps", expected="1 step", got=str(kernel.shape[0]))
        kernel = kernel[0]
    if kernel.ndim != 4 or kernel.shape[2] != reading.layers[-1].hidden:
        raise reading.refuse(layer, "its weights do not fit the layer before it", got=str(kernel.shape))
    _check_kernel(reading, layer, kernel.shape[:2])
    bias = layer.weights.get("bias", np.zeros(kernel.shape[3], dtype=np.float32))
    reading.head = (np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)), bias)
    name = _function(layer.config.get("activation", "linear"))
    if name != "linear":
        _set_output_activation(reading, layer, name)


def _check_convolution(reading: _Reading, layer: KerasLayer) -> None:
    config = layer.config
    size = [int(item) for item in np.atleast_1d(config.get("kernel_size", 1))]
    if config.get("padding", "valid") != "same" and max(size) > 1:
        raise reading.refuse(layer, "it makes the map smaller (padding)", expected="padding same")
    for key in ("strides", "dilation_rate", "groups"):
        if any(item != 1 for item in np.atleast_1d(config.get(key, 1))):
            raise reading.refuse(layer, f"its {key} is not 1", got=str(config[key]))


def _set_output_activation(reading: _Reading, layer: KerasLayer, name: str) -> None:
    if reading.head is None or reading.head_activation != "none" or name not in ("relu", "sigmoid"):
        raise reading.refuse(
            layer, "its activation has no counterpart", expected="linear, relu or sigmoid, after the output layer",
            got=name,
        )  # fmt: skip
    reading.head_activation = name


def _plain_relu(reading: _Reading, layer: KerasLayer) -> str:
    for key, usual in (("max_value", None), ("negative_slope", 0.0), ("threshold", 0.0)):
        if (layer.config.get(key) or usual) != usual:
            raise reading.refuse(layer, f"its {key} has no counterpart", got=str(layer.config[key]))
    return "relu"


def _check_kernel(reading: _Reading, layer: KerasLayer, size: tuple[int, ...]) -> None:
    if size[0] != size[1] or size[0] not in (1, 3, 5, 7, 9, 11):
        raise reading.refuse(
            layer, "its kernel has no counterpart", expected="a square of 1, 3, 5, 7, 9 or 11 cells a side",
            got=f"{size[0]} x {size[1]} cells",
        )  # fmt: skip


def _function(value: Any) -> str:
    """The name of an activation: a text, or the object that newer versions write."""
    if isinstance(value, Mapping):
        inner = value.get("config")
        value = inner if isinstance(inner, str) else value.get("class_name")
    return "linear" if value is None else str(value)


def _built_for(file: KerasFile, first: bool) -> tuple[Optional[int], Optional[tuple[int, int]]]:
    shape = file.input_shape
    if len(shape) != 5:
        return None, None
    rows, columns = shape[3:5] if first else shape[2:4]
    return shape[1], None if rows is None or columns is None else (rows, columns)
