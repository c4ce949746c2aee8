"""Whole Keras models: the zip of today (.keras) and the HDF5 file of older versions (.h5). Only JSON and arrays are
read; nothing of the file is executed.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...contracts.config import parse_json
from ...contracts.errors import ModelFileError
from .foreign import refused
from .hdf5 import array_at, attribute, damaged, group_at, names_in, opened_hdf5, read_array

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_MOST_JSON, _MOST_WEIGHTS = 2**26, 2**31  # bytes of a member of the zip when unpacked
_FOLDERS = ("layers", "_layer_checkpoint_dependencies")
_WHOLE = "Save the whole model with model.save('model.keras') and import that file"


@dataclass(frozen=True)
class KerasLayer:
    """One layer: its class, its configuration, and its weights by their Keras names (kernel, gamma ...)."""

    kind: str
    name: str
    config: Mapping[str, Any]
    weights: Mapping[str, np.ndarray]
    wrapped: bool = False  # in TimeDistributed: at every step alike


@dataclass(frozen=True)
class KerasFile:
    """The layers in the order in which they are computed, and the version of Keras that saved them."""

    path: Path
    version: str
    layers: tuple[KerasLayer, ...]
    input_shape: tuple


def read_keras(path: Path) -> KerasFile:
    """Read either kind of file. Raises :class:`ModelFileError` where it is damaged, not whole, or branches."""
    if zipfile.is_zipfile(path):
        return _read_zip(path)
    return _read_hdf5(path)


def _read_zip(path: Path) -> KerasFile:
    try:
        with zipfile.ZipFile(path) as archive:
            config = parse_json(_member(archive, CONFIG, _MOST_JSON, path).decode("utf-8"), f"{CONFIG} in {path}")
            metadata = parse_json(_member(archive, METADATA, _MOST_JSON, path).decode("utf-8"), f"{METADATA} in {path}")
            content = _member(archive, WEIGHTS, _MOST_WEIGHTS, path)
    except (OSError, zipfile.BadZipFile, zlib.error, UnicodeDecodeError) as error:
        raise damaged(path, str(error)) from error
    described = _layers_of(config, path)
    with opened_hdf5(path, content) as root:
        arrays = {place: variable for place, variable, _ in _walk(root)}
        named = {str(name): place.rsplit("/", 1)[0] for place, _, name in _walk(root) if name is not None}
        layers = [
            _with_weights(item, _by_order(item, place, arrays, path))
            for item, place in zip(described, _places(described, named))
        ]
    return KerasFile(path, str(metadata.get("keras_version", "")), tuple(layers), _input_shape(config))


def _read_hdf5(path: Path) -> KerasFile:
    with opened_hdf5(path) as root:
        text = attribute(root, "model_config")
        weights = group_at(root, "model_weights")
        if text is None or weights is None:
            raise ModelFileError(
                f"{path} holds no whole Keras model",
                expected="the layers and their weights (model_config, model_weights)",
                got="weights alone, or another kind of HDF5 file",
                remedy=_WHOLE,
            )
        config = parse_json(str(text), f"The model configuration in {path}")
        layers = []
        for item in _layers_of(config, path):
            group = group_at(weights, item.name)
            names = [] if group is None else names_in(group, "weight_names")
            found = {_last(name): array_at(group, name, path) for name in names if _last(name) in _weight_names(item)}
            layers.append(_with_weights(item, found))
        version = attribute(root, "keras_version") or attribute(weights, "keras_version") or ""
        return KerasFile(path, str(version), tuple(layers), _input_shape(config))


def _member(archive: zipfile.ZipFile, name: str, most: int, path: Path) -> bytes:
    if name not in archive.namelist():
        raise refused(str(path), f"it is no Keras model, since it has no {name}", _WHOLE)
    size = archive.getinfo(name).file_size
    if size > most:
        raise refused(str(path), f"{name} would take {size / 2**20:.0f} MiB", "Import a smaller model")
    return archive.read(name)


def _walk(group: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Path and variable of every array; path, None and name for each group that says the name of its layer."""
    if place.endswith("vars"):
        name = attribute(group, "name")
        yield place, None, name
    for name, variable in group.variables.items():
        yield f"{place}/{name}".replace("\\", "/").lstrip("/"), variable, None
    for name, below in group.groups.items():
        yield from _walk(below, f"{place}/{name}".replace("\\", "/").lstrip("/"))


def _places(layers: list[KerasLayer], named: Mapping[str, str]) -> list[str]:
    """Where each layer's weights lie: by its name where the file tells names, else by the class and its number, since
    Keras numbers the layers of a class anew when it saves ('conv_lstm2d' may hold what the model calls otherwise).
    """
    counts: Counter = Counter()
    places = []
    for layer in layers:
        base = _snake("TimeDistributed" if layer.wrapped else layer.kind)
        number = counts[base]
        counts[base] += 1
        places.append(named.get(layer.name) or f"{_FOLDERS[0]}/{base}{f'_{number}' if number else ''}")
    return places


def _by_order(layer: KerasLayer, place: str, arrays: Mapping[str, Any], path: Path) -> dict[str, np.ndarray]:
    names = _weight_names(layer)
    inner = {"ConvLSTM2D": "/cell"}.get(layer.kind, "/layer" if layer.wrapped else "")
    known = place.split("/", 1)[1] if "/" in place else place
    found = {}
    for number, name in enumerate(names):
        options = [f"{folder}/{known}{inner}/vars/{number}" for folder in _FOLDERS]
        variable = next((arrays[item] for item in options if arrays.get(item) is not None), None)
        if variable is None:
            raise damaged(path, f"the weights of the layer '{layer.name}' are not where Keras puts them")
        found[name] = read_array(variable, path)
    return found


def _weight_names(layer: KerasLayer) -> tuple[str, ...]:
    """The weights that a layer of this kind and configuration has, in Keras's order."""
    bias = ("bias",) if layer.config.get("use_bias", True) else ()
    if layer.kind == "ConvLSTM2D":
        return ("kernel", "recurrent_kernel", *bias)
    if layer.kind in ("Conv2D", "Conv3D", "Dense"):
        return ("kernel", *bias)
    if layer.kind == "BatchNormalization":
        scale = ("gamma",) if layer.config.get("scale", True) else ()
        shift = ("beta",) if layer.config.get("center", True) else ()
        return (*scale, *shift, "moving_mean", "moving_variance")
    return ()


def _with_weights(layer: KerasLayer, weights: Mapping[str, np.ndarray]) -> KerasLayer:
    lacking = [name for name in _weight_names(layer) if name not in weights]
    if lacking:
        raise refused(f"The layer '{layer.name}'", f"its weights '{lacking[0]}' are not in the file", _WHOLE)
    return KerasLayer(layer.kind, layer.name, layer.config, dict(weights), layer.wrapped)


def _layers_of(config: Any, path: Path) -> list[KerasLayer]:
    """The layers without their weights, in the order in which one feeds the next."""
    inner = config.get("config") if isinstance(config, dict) else None
    entries = inner.get("layers") if isinstance(inner, dict) else inner
    if not isinstance(entries, list) or not all(_is_layer(item) for item in entries):
        raise refused(str(path), "its configuration lists no layers", _WHOLE)
    if isinstance(inner, dict) and any(item.get("inbound_nodes") for item in entries):
        entries = _chain(entries, path)
    return [_layer(item) for item in entries]


def _is_layer(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("class_name"), str) and isinstance(item.get("config"), dict)


def _layer(item: Mapping[str, Any]) -> KerasLayer:
    name = str(item["config"].get("name", item.get("name", "")))
    inner = item["config"].get("layer")
    if item["class_name"] == "TimeDistributed" and _is_layer(inner):
        return KerasLayer(inner["class_name"], name, inner["config"], {}, wrapped=True)
    return KerasLayer(item["class_name"], name, item["config"], {})


def _chain(entries: list[dict], path: Path) -> list[dict]:
    """The layers of a functional model as one chain, or :class:`ModelFileError` where it branches or joins."""
    by_source: dict[str, dict] = {}
    first = []
    for item in entries:
        sources = list(dict.fromkeys(_sources(item.get("inbound_nodes"))))
        if not sources:
            first.append(item)
        elif len(sources) > 1 or sources[0] in by_source:
            raise refused(
                str(path),
                f"its layers branch or join at '{item['config'].get('name')}'",
                "Import a model whose layers follow one another",
            )
        else:
            by_source[sources[0]] = item
    if len(first) != 1:
        raise refused(str(path), f"it has {len(first)} inputs", "Import a model with one input")
    chain = first
    while chain[-1]["config"].get("name") in by_source:
        chain.append(by_source.pop(chain[-1]["config"]["name"]))
    if by_source:
        raise refused(str(path), "its layers are no single chain", "Import a model whose layers follow one another")
    return chain


def _sources(nodes: Any) -> Iterator[str]:
    """Names of the layers that feed one: ["name", 0, 0, {}] of Keras 2, "keras_history" of Keras 3."""
    if isinstance(nodes, dict):
        history = nodes.get("keras_history")
        if isinstance(history, list) and history:
            yield str(history[0])
        for value in nodes.values():
            yield from _sources(value)
    elif isinstance(nodes, list):
        if len(nodes) >= 3 and isinstance(nodes[0], str) and isinstance(nodes[1], int):
            yield nodes[0]
        else:
            for value in nodes:
                yield from _sources(value)


def _input_shape(config: Mapping[str, Any]) -> tuple:
    """(batch, steps, ...) as the model was built, with None for what is open; empty where the file does not say."""
    inner = config["config"]
    entries = inner.get("layers", []) if isinstance(inner, dict) else inner
    for item in entries[:1]:
        for key in ("batch_shape", "batch_input_shape"):
            if isinstance(item["config"].get(key), list):
                return tuple(item["config"][key])
    built = inner.get("build_input_shape") if isinstance(inner, dict) else None
    return tuple(built) if isinstance(built, list) else ()


def _snake(name: str) -> str:
    """As Keras names a class in its files: ConvLSTM2D -> conv_lstm2d."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1].split(":")[0]
