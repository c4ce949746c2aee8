"""The members of an ensemble as one model: its prediction is the mean of theirs, in the target's unit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Union

import numpy as np
import torch
from torch import Tensor, nn

from ..contracts.ensemble_file import read_ensemble
from ..contracts.errors import ModelFileError
from ..contracts.model_card import ModelCard, read_card
from ..data.scaling import Scaler

_STRAIGHT = ("standard", "min-max", "none", "amount")
_MUST_AGREE = ("inputs", "static", "target", "also", "ahead", "gauges", "season", "lead", "leads", "step_seconds")


class Members(nn.Module):
    """Several modules with the same inputs, targets and scalers. Facts of the module, such as its halo, are those of
    the first one, whose family all share.

    The mean is taken in the unit of the target: where its scaler is curved, the mean of scaled values would lie lower.
    """

    def __init__(self, modules: Sequence[nn.Module], card: ModelCard) -> None:
        super().__init__()
        self.members = nn.ModuleList(modules)
        self._scalers = [Scaler.from_dict(target.scaler) for target in card.targets]

    def forward(self, *inputs: Any, **more: Any) -> dict[str, Tensor]:
        """``y_hat``, and ``y_hat_steps`` where the members give them: the mean of theirs, scaled."""
        found = [member(*inputs, **more) for member in self.members]
        return {
            name: self._mean(torch.stack([result[name].float() for result in found]))
            for name in ("y_hat", "y_hat_steps")
            if name in found[0]
        }

    def _mean(self, values: Tensor) -> Tensor:
        """Mean over the first axis of (M, B, ..., L, K, *frame)."""
        if all(scaler.kind in _STRAIGHT for scaler in self._scalers):
            return values.mean(dim=0)
        axis = -2 if getattr(self, "gauges", 0) else -3
        parts = torch.movedim(values, axis, 0).detach().cpu().numpy()
        means = [
            scaler.transform(scaler.inverse(part).mean(axis=0, dtype=np.float64))
            for scaler, part in zip(self._scalers, parts)
        ]
        return torch.movedim(torch.from_numpy(np.stack(means)), 0, axis).to(values.device)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("members")[0], name)


def load_members(path: Union[str, Path], device: str = "cpu") -> tuple[Members, ModelCard]:
    """The members of an ensemble's description, in evaluation mode, and the card that stands for all.

    Raises :class:`ModelFileError` where one cannot be read, or differs from the first in what it reads or gives.
    """
    from .model_file import load_model

    _, paths = read_ensemble(path)
    loaded = [load_model(member, device) for member in paths]
    first = loaded[0][1]
    for member, (_, card) in zip(paths, loaded):
        different = [name for name in (*_MUST_AGREE, "family") if getattr(card, name) != getattr(first, name)]
        if different:
            raise ModelFileError(
                f"The members of {path} do not fit together",
                expected=f"the same {different[0]} in all of them",
                got=f"another one in {member.name}",
                remedy="Put models of one training together",
            )
    return Members([module for module, _ in loaded], first).to(device).eval(), read_card(path)
