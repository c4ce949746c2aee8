"""Checkpoints: tensors as safetensors, the rest as JSON in its header; written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

import torch
from torch import Tensor, nn

from ..contracts.errors import RunError
from ..contracts.files import whole_file

_STATE_KEY = "freshet_checkpoint"
_BESIDE = "beside."  # before the names of further tensors


def save_checkpoint(
    path: Path,
    module: nn.Module,
    optimizer: Optional[torch.optim.Optimizer],
    state: dict[str, Any],
    beside: Optional[Mapping[str, Tensor]] = None,
) -> None:
    """Weights, the moments of an optimizer, ``state`` (plain JSON values: epoch, best loss ...), and the tensors
    ``beside``.
    """
    from safetensors.torch import save_file

    tensors = {f"model.{name}": _own(value) for name, value in module.state_dict().items()}
    moments_of = {} if optimizer is None else optimizer.state_dict()["state"]
    for index, moments in moments_of.items():
        for name, value in moments.items():
            tensors[f"optimizer.{index}.{name}"] = _own(torch.as_tensor(value))
    tensors.update({f"{_BESIDE}{name}": _own(value) for name, value in (beside or {}).items()})
    with whole_file(path) as temporary:
        save_file(tensors, str(temporary), metadata={_STATE_KEY: json.dumps(state)})


def load_checkpoint(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> dict[str, Any]:
    """Load what :func:`save_checkpoint` wrote into ``module`` and ``optimizer``; gives ``state``."""
    return load_whole_checkpoint(path, module, optimizer)[0]


def load_whole_checkpoint(
    path: Path, module: nn.Module, optimizer: Optional[torch.optim.Optimizer] = None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """As :func:`load_checkpoint`, with the tensors that were kept beside. Raises :class:`RunError` where the file
    cannot be read.
    """
    state, tensors = _read(path)
    module.load_state_dict({n[len("model.") :]: v for n, v in tensors.items() if n.startswith("model.")})
    if optimizer is not None:
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, index, key = name.split(".", 2)
                moments.setdefault(int(index), {})[key] = value
        optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return state, {n[len(_BESIDE) :]: v for n, v in tensors.items() if n.startswith(_BESIDE)}


def read_state(path: Path) -> dict[str, Any]:
    """The ``state`` alone of a checkpoint. Raises :class:`RunError` where the file cannot be read."""
    return _read(path, tensors=False)[0]


def _read(path: Path, tensors: bool = True) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as handle:
            state = json.loads(handle.metadata()[_STATE_KEY])
            names = handle.keys() if tensors else ()
            return state, {name: handle.get_tensor(name) for name in names}
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise RunError(
            f"The checkpoint {path} cannot be read", got=str(error), remedy="Train again from the start"
        ) from error


def _own(value: Tensor) -> Tensor:
    """A copy on the processor, since tensors that share memory cannot be written."""
    return value.detach().cpu().contiguous().clone()
