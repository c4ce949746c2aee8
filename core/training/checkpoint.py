"""Checkpoints: tensors as safetensors, the rest as JSON in its header; written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

import torch
from torch import nn

from ..contracts.errors import RunError
from ..contracts.files import whole_file

_STATE_KEY = "freshet_checkpoint"


def save_checkpoint(
    path: Path, module: nn.Module, optimizer: Optional[torch.optim.Optimizer], state: dict[str, Any]
) -> None:
    """Weights, the moments of an optimizer, and ``state`` (plain JSON values: epoch, best loss ...)."""
    from safetensors.torch import save_file

    tensors = {
        f"model.{name}": value.detach().cpu().contiguous().clone() for name, value in module.state_dict().items()
    }
    moments_of = {} if optimizer is None else optimizer.state_dict()["state"]
    for index, moments in moments_of.items():
        for name, value in moments.items():
            tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value).detach().cpu().contiguous().clone()
    with whole_file(path) as temporary:
        save_file(tensors, str(temporary), metadata={_STATE_KEY: json.dumps(state)})


def load_checkpoint(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> dict[str, Any]:
    """Load what :func:`save_checkpoint` wrote into ``module`` and ``optimizer``; gives ``state``."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as handle:
            state = json.loads(handle.metadata()[_STATE_KEY])
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118 (a method of the reader)
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise RunError(
            f"The checkpoint {path} cannot be read", got=str(error), remedy="Train again from the start"
        ) from error
    module.load_state_dict({n[len("model.") :]: v for n, v in tensors.items() if n.startswith("model.")})
    if optimizer is not None:
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, index, key = name.split(".", 2)
                moments.setdefault(int(index), {})[key] = value
        optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return state
