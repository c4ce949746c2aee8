"""A model file: one .safetensors file with the weights, and the model card in its header. No pickle is ever loaded."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Union

import torch
from torch import nn

from ..contracts.ensemble_file import is_ensemble
from ..contracts.errors import ModelFileError
from ..contracts.files import whole_file
from ..contracts.model_card import CARD_KEY, DIGEST_KEY, ModelCard, read_card, read_header
from ..models import build_model


def build_from_card(card: ModelCard) -> nn.Module:
    """An untrained module of the card's family, options and channels."""
    return build_model(
        card.family,
        card.in_channels,
        len(card.targets),
        static_channels=card.static_channels,
        leads=card.leads,
        gauges=len(card.gauges),
        ahead_channels=len(card.ahead),
        **card.options,
    )


def save_model(path: Union[str, Path], module: nn.Module, card: ModelCard) -> None:
    """Write weights and card, whole or not at all. The header keeps a SHA-256 over both, so an altered byte is
    noticed.
    """
    from safetensors.torch import save_file

    text = card.to_json()
    tensors = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    with whole_file(path) as temporary:
        save_file(tensors, str(temporary), metadata={CARD_KEY: text, DIGEST_KEY: _digest(tensors, text)})


def load_model(path: Union[str, Path], device: str = "cpu") -> tuple[nn.Module, ModelCard]:
    """The module, in evaluation mode on ``device``, and its card; of an ensemble's description all of its members as
    one module.

    Raises :class:`ModelFileError` where the file is truncated, altered, not ours, or its weights do not fit the
    declared family.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if is_ensemble(path):
        from .members import load_members

        return load_members(path, device)
    card = read_card(path)
    expected = read_header(path)["__metadata__"].get(DIGEST_KEY, "")
    module = build_from_card(card)
    _check_shapes(Path(path), module)
    try:
        tensors = load_file(str(path))
    except SafetensorError as error:
        raise ModelFileError(
            f"The model file {path} cannot be read", got=str(error), remedy="Copy it again from its source"
        ) from error
    if _digest(tensors, read_header(path)["__metadata__"][CARD_KEY]) != expected:
        raise ModelFileError(
            f"The model file {path} has been altered since it was saved",
            expected="the checksum in its header",
            got="another one",
            remedy="Copy the file again from where it was saved",
        )
    module.load_state_dict(tensors)
    return module.to(device).eval(), card


def _check_shapes(path: Path, module: nn.Module) -> None:
    """Compare the header with the declared model before a byte of weights is read."""
    held = {n: tuple(entry["shape"]) for n, entry in read_header(path).items() if n != "__metadata__"}
    if hasattr(module, "adopt_shapes"):  # what a family learned of its grid has a size that its options do not tell
        module.adopt_shapes(held)
    needed = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    wrong = sorted(name for name in held.keys() | needed.keys() if held.get(name) != needed.get(name))
    if wrong:
        raise ModelFileError(
            f"The weights in {path} do not fit the model that its card describes",
            expected=f"{wrong[0]} of shape {needed.get(wrong[0], 'none')}",
            got=f"{held.get(wrong[0], 'none')}",
            remedy="Use a file saved by Freshet",
        )


def _digest(tensors: dict[str, torch.Tensor], text: str) -> str:
    total = hashlib.sha256(text.encode("utf-8"))
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        total.update(name.encode("utf-8") + struct.pack("<q", value.numel()))
        total.update(value.reshape(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b"")
    return total.hexdigest()
