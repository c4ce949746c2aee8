"""Stacks of recurrent layers on maps, many-to-one: what most map families share around their cells.

Here maps are (B, channels, H, W). A cell is a module with ``cell(frame, state) -> (output, state)``, where ``frame``
(B, in_channels, H, W), ``output`` (B, hidden, H, W) and ``state`` is None before the first step and whatever the cell
likes afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..contracts.models import family
from .base import ForecastModel
from .gating import lstm_update
from .sequence import Layer, plain, run_layer, usable


class StackedMaps(ForecastModel):
    """Layers of :meth:`make_cell` and one output convolution that gives all L leads of the K targets.

    The first layer reads at each step the dynamic input, with ``mask_channels`` the masks of observed input, and the
    static maps, in this order. Subclasses set ``name`` and make cells; options ``hidden`` and ``head_kernel`` are
    needed, ``mask_channels`` and ``dropout`` understood. Shapes, units and NaN policy: :mod:`core.models.base`.
    """

    name = ""
    channels_last: bool = True  # how maps lie in memory

    def __init__(
        self, in_channels: int, out_channels: int, static_channels: int = 0, leads: int = 1, **options: Any
    ) -> None:
        super().__init__(in_channels, out_channels, static_channels, leads)
        self.options = family(self.name).complete(options)
        self.uses_static = self.static_channels > 0
        self.uses_observed = bool(self.options.get("mask_channels", False))
        inputs = self.in_channels * (2 if self.uses_observed else 1) + self.static_channels
        sizes = (inputs, *self.options["hidden"])
        self.layers = nn.ModuleList(self.make_cell(a, b) for a, b in zip(sizes, sizes[1:]))
        kernel = self.options["head_kernel"]
        self.dropout = nn.Dropout2d(self.options.get("dropout", 0.0))
        self.head = nn.Conv2d(sizes[-1], self.leads * self.out_channels, kernel, padding=kernel // 2)

    def make_cell(self, inputs: int, hidden: int) -> nn.Module:
        """A layer that reads ``inputs`` channels and gives ``hidden``."""
        raise NotImplementedError

    def reach(self) -> int:
        """Cells that a layer sees to each side within one step."""
        return self.options["kernel"] // 2

    def halo_px(self, window: int) -> int:
        """With layers of reach r: r (T - 1 + layers) + radius of the output kernel."""
        return self.reach() * (window - 1 + len(self.layers)) + self.options["head_kernel"] // 2

    def forward(
        self,
        x: Tensor,
        static: Optional[Tensor] = None,
        observed: Optional[Tensor] = None,
        last_steps: int = 1,
        warm_up: int = 0,
    ) -> dict[str, Tensor]:
        """Predict; see :mod:`core.models.base`."""
        self.check_input(x, static, observed, last_steps)
        frames = frames_of(x, static if self.uses_static else None, observed, self.uses_observed)
        if self.channels_last:
            frames = [laid_out(frame) for frame in frames]
        for cell in self.layers:
            frames = [self.dropout(frame) for frame in unroll(cell, frames, warm_up)]
        heads = [self.head(frame) for frame in frames[-last_steps:]]
        return head_predictions(heads, self.leads, self.out_channels)


def head_predictions(steps: Sequence[Tensor], leads: int, targets: int) -> dict[str, Tensor]:
    """Maps (B, L K, H, W) of the last steps, oldest first, as the contract wants them."""
    shaped = [maps.unflatten(1, (leads, targets)) for maps in steps]
    result = {"y_hat": shaped[-1]}
    if len(shaped) > 1:
        result["y_hat_steps"] = torch.stack(shaped, dim=1)
    return result


def frames_of(x: Tensor, static: Optional[Tensor], observed: Optional[Tensor], with_masks: bool) -> list[Tensor]:
    """The steps of ``x`` (B, T, C, H, W), each with its mask and the static maps: T of (B, channels, H, W)."""
    parts = [x]
    if with_masks:
        parts.append(torch.ones_like(x) if observed is None else observed.to(x.dtype))
    if static is not None:
        parts.append(static.to(x.dtype).unsqueeze(1).expand(-1, x.shape[1], -1, -1, -1))
    return list((torch.cat(parts, dim=2) if len(parts) > 1 else x).unbind(1))


def laid_out(maps: Tensor) -> Tensor:
    """``maps`` (B, C, H, W) with the channels of a cell side by side in memory, in which convolutions are fastest; as
    they are where a transform does not know how maps lie.
    """
    return maps.contiguous(memory_format=torch.channels_last) if usable(maps) else maps


def unroll(cell: nn.Module, frames: Sequence[Tensor], warm_up: int = 0) -> list[Tensor]:
    """Outputs of a cell at all steps; no gradient goes through the first ``warm_up`` of them.

    A cell may have a method ``unrolled(frames, warm_up)`` that computes all steps at once, or gives None.
    """
    whole = getattr(cell, "unrolled", None)
    found = None if whole is None else whole(frames, warm_up)
    if found is not None:
        return found
    state, outputs = None, []
    for number, frame in enumerate(frames):
        with torch.set_grad_enabled(torch.is_grad_enabled() and number >= warm_up):
            output, state = cell(frame, state)
        outputs.append(output)
    return outputs


class ConvLSTMUnit(nn.Module):
    """The plain ConvLSTM step, equations (9)-(14) of :mod:`core.models.cells`, for families that add something to it.

    ``unit(frame, state) -> (h, (h, c))`` with zeros before the first step; one bias, forget bias 1.
    """

    def __init__(self, inputs: int, hidden: int, kernel: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.gates = nn.Conv2d(inputs + hidden, 4 * hidden, kernel, padding=kernel // 2)
        nn.init.xavier_uniform_(self.gates.weight)
        nn.init.zeros_(self.gates.bias)
        nn.init.constant_(self.gates.bias[hidden : 2 * hidden], 1.0)

    def forward(self, frame: Tensor, state: Optional[tuple[Tensor, Tensor]]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One step: (B, inputs, H, W) and the state to the output and the new state (h, c)."""
        if state is None:
            weight, padding = self.gates.weight, self.gates.padding
            gates, c = F.conv2d(frame, weight[:, : -self.hidden], self.gates.bias, padding=padding), None
        else:
            h, c = state
            gates = self.gates(torch.cat((frame, h.to(frame.dtype)), dim=1))
        h, c = lstm_update(gates, c)
        return h, (h, c)

    def unrolled(self, frames: Sequence[Tensor], warm_up: int) -> Optional[list[Tensor]]:
        """Outputs of all steps by a kernel; None where it may not be used here."""
        weight = self.gates.weight
        if not plain(self, self.gates) or not usable(*frames, weight):
            return None
        inputs = weight.shape[1] - self.hidden
        layer = Layer(*weight.split((inputs, self.hidden), dim=1), self.gates.bias)
        outputs, _, _ = run_layer(layer, torch.stack([frame.permute(0, 2, 3, 1) for frame in frames]), None, warm_up)
        return [step.permute(0, 3, 1, 2) for step in outputs.unbind(0)]
