"""The state_dict of a model that is built on the public PyTorch cell (ndrplz/ConvLSTM_pytorch): one convolution a layer
reads input and state side by side, its rows hold the gates as i, f, o, g; no peepholes.

Only tensors are read (``weights_only``): a file that holds Python objects, as ``torch.save(model)`` makes it, could run
a program of its maker when it is opened, and is refused.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ...contracts.errors import EngineError, ModelFileError
from .foreign import ForeignLayer, ForeignModel, ForeignNorm, refused

_ORDER = ("input", "forget", "output", "candidate")
_CELL = re.compile(r"^(?P<prefix>.*?)cell_list\.(?P<number>\d+)\.conv\.(?P<part>weight|bias)$")
_NORM = ("weight", "bias", "running_mean", "running_var")
_ENVELOPES = ("state_dict", "model_state_dict", "model")
_EPSILON = 1e-5  # of BatchNorm2d; a state_dict does not hold it
_SAFE_TORCH = (2, 6)  # before, a file could run a program even so (CVE-2025-32434)
_SAVE = "Save the weights alone, with torch.save(model.state_dict(), 'model.pt')"


def foreign_from_pytorch(path: Path) -> ForeignModel:
    """The model in a .pt or .pth file; raises :class:`ModelFileError` where it holds more than tensors, or no such
    cell.
    """
    tensors = _tensors(path, _load(path))
    layers, rest = _layers(path, tensors)
    layers, rest, notes = _with_norms(path, layers, rest)
    head, bias, more = _head(path, layers, rest)
    return ForeignModel(
        origin=f"PyTorch: {path.name}",
        layers=tuple(layers),
        head=head,
        head_bias=bias,
        notes=(
            "A state_dict holds no activations: sigmoid for the gates and tanh for the state are taken, as in the "
            "public cell, and none after the output layer.",
            *notes,
            *more,
        ),
    )


def _load(path: Path) -> Any:
    import torch

    if tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2]) < _SAFE_TORCH:
        raise EngineError(
            "This engine's PyTorch cannot read such files safely",
            expected="2.6 or newer",
            got=torch.__version__,
            remedy="Install the engine anew from the engine page",
        )
    refusal = torch.serialization.pickle.UnpicklingError  # what weights_only raises for anything but tensors
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(str(path), map_location="cpu", weights_only=True)  # nosec: tensors only
    except (refusal, OSError, RuntimeError, ValueError, EOFError, LookupError, TypeError, AttributeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: BaseException) -> ModelFileError:
    said = str(error).strip().splitlines()
    return ModelFileError(
        f"{path} is not loaded: it is damaged, or holds Python objects beside its weights, which could run a program "
        "when they are opened",
        expected="a state_dict, tensors by their names",
        got=f"{type(error).__name__}: {said[0][:120] if said else 'nothing more is said'}",
        remedy=_SAVE,
    )


def _tensors(path: Path, loaded: Any) -> dict[str, np.ndarray]:
    """float32 arrays by name, also of a checkpoint that holds the state_dict among other entries."""
    import torch

    for name in _ENVELOPES:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
    if not isinstance(loaded, Mapping):
        raise refused(str(path), "it holds no state_dict", _SAVE, got=type(loaded).__name__)
    found = {}
    for name, value in loaded.items():
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            continue  # counters such as num_batches_tracked
        if value.layout != torch.strided or value.device.type == "meta":
            raise refused(str(path), f"'{name}' is no plain tensor", _SAVE)
        found[str(name)] = value.detach().to(torch.float32).numpy()
        if not np.isfinite(found[str(name)]).all():
            raise refused(str(path), f"'{name}' holds weights that are not finite", "Import another checkpoint")
    return found


def _layers(path: Path, tensors: Mapping[str, np.ndarray]) -> tuple[list[ForeignLayer], dict[str, np.ndarray]]:
    """The ConvLSTM layers, bottom first, and the tensors that are not theirs."""
    cells: dict[int, dict[str, np.ndarray]] = {}
    prefixes, rest = set(), {}
    for name, value in tensors.items():
        match = _CELL.match(name)
        if match is None:
            rest[name] = value
            continue
        prefixes.add(match["prefix"])
        cells.setdefault(int(match["number"]), {})[match["part"]] = value
    if len(prefixes) != 1 or sorted(cells) != list(range(len(cells))):
        raise refused(
            str(path),
            "it is not one stack of the public ConvLSTM cell",
            "Import a model that is built on ndrplz/ConvLSTM_pytorch",
            expected="cell_list.0.conv.weight, cell_list.1.conv.weight ...",
            got=", ".join(list(tensors)[:6]) or "no weights",
        )
    layers: list[ForeignLayer] = []
    for number in range(len(cells)):
        before = layers[-1].hidden if layers else None
        layers.append(_layer(path, f"cell_list.{number}", cells[number], before))
    return layers, rest


def _layer(path: Path, name: str, parts: Mapping[str, np.ndarray], before: Optional[int]) -> ForeignLayer:
    weight = parts.get("weight", np.zeros(0))
    hidden = len(weight) // 4
    inputs = weight.shape[1] - hidden if weight.ndim == 4 else 0
    bias = parts.get("bias", np.zeros(4 * hidden, dtype=np.float32))
    fits = weight.ndim == 4 and len(weight) == 4 * hidden > 0 and bias.shape == (4 * hidden,) and inputs > 0
    if not fits or (before is not None and inputs != before):
        raise refused(
            str(path), f"the shape of '{name}.conv.weight' is not that of the public cell",
            "Import a model that is built on ndrplz/ConvLSTM_pytorch",
            expected="4 x hidden rows; hidden columns beside those of its input", got=str(weight.shape),
        )  # fmt: skip
    _check_kernel(path, name, weight)
    return ForeignLayer(
        name=name,
        on_input=_by_gate(weight[:, :inputs]),
        on_state=_by_gate(weight[:, inputs:]),
        bias=_by_gate(bias),
    )


def _by_gate(values: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(_ORDER, np.split(values, 4)))


def _check_kernel(path: Path, name: str, weight: np.ndarray) -> None:
    if weight.shape[2] != weight.shape[3] or weight.shape[2] not in (1, 3, 5, 7, 9, 11):
        raise refused(
            str(path), f"the kernel of '{name}' has no counterpart", "Import a model with another kernel",
            expected="a square of 1, 3, 5, 7, 9 or 11 cells a side", got=f"{weight.shape[2]} x {weight.shape[3]} cells",
        )  # fmt: skip


def _with_norms(
    path: Path, layers: list[ForeignLayer], rest: Mapping[str, np.ndarray]
) -> tuple[list[ForeignLayer], dict[str, np.ndarray], list[str]]:
    """Batch normalisations: one for each layer in the order of the file, or none."""
    stems = [name[: -len(".running_mean")] for name in rest if name.endswith(".running_mean")]
    used = {f"{stem}.{part}" for stem in stems for part in _NORM}
    left = {name: value for name, value in rest.items() if name not in used}
    if not stems:
        return layers, left, []
    sizes = [len(rest[f"{stem}.running_mean"]) for stem in stems]
    if sizes != [layer.hidden for layer in layers]:
        raise refused(
            str(path), "it is not clear which layer its batch normalisations follow", "Import a model with one a layer",
            expected=f"one for each of {len(layers)} layers", got=", ".join(stems),
        )  # fmt: skip
    done = []
    for layer, stem in zip(layers, stems):
        ones = np.ones(layer.hidden, dtype=np.float32)
        scale, shift = rest.get(f"{stem}.weight", ones), rest.get(f"{stem}.bias", 0.0 * ones)
        norm = ForeignNorm(scale, shift, rest[f"{stem}.running_mean"], rest[f"{stem}.running_var"], _EPSILON)
        done.append(replace(layer, norm=norm))
    note = f"Batch normalisations are taken to follow the layers in the order of the file ({', '.join(stems)})."
    return done, left, [note]


def _head(
    path: Path, layers: list[ForeignLayer], rest: Mapping[str, np.ndarray]
) -> tuple[Optional[np.ndarray], Optional[np.ndarray], list[str]]:
    """The output convolution: the one other weight that reads the top layer's states."""
    if not rest:
        return None, None, ["There is no output layer: the states of the last layer are the prediction."]
    hidden = layers[-1].hidden
    kernels = [name for name, value in rest.items() if value.ndim == 4 and value.shape[1] == hidden]
    stem = kernels[0][: -len(".weight")] if len(kernels) == 1 and kernels[0].endswith(".weight") else ""
    extra = [name for name in rest if name not in (f"{stem}.weight", f"{stem}.bias")]
    if not stem or extra:
        raise refused(
            str(path), "it has further weights whose place is not known", _SAVE,
            expected=f"beside the cells one output convolution that reads {hidden} channels",
            got=", ".join(extra or kernels),
        )  # fmt: skip
    weight = rest[f"{stem}.weight"]
    _check_kernel(path, stem, weight)
    bias = rest.get(f"{stem}.bias", np.zeros(len(weight), dtype=np.float32))
    if bias.shape != (len(weight),):
        raise refused(str(path), f"the bias of '{stem}' does not fit its weight", _SAVE, got=str(bias.shape))
    return weight, bias, [f"'{stem}' is taken for the output convolution on the last step of the top layer."]
