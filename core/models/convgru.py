"""ConvGRU (Ballas et al. 2016, doi:10.48550/arXiv.1511.06432)."""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor, nn

from .stacked import StackedMaps, laid_out


class ConvGRUCell(nn.Module):
    r"""One ConvGRU layer.

    .. math::
        z = \sigma(W_z * [x, h] + b_z), \quad r = \sigma(W_r * [x, h] + b_r)

        \tilde h = \tanh(W * [x, r \circ h] + b), \quad h' = (1 - z) \circ h + z \circ \tilde h

    The state starts at zero. Orthogonal start of the weights, as usual for gated units.
    """

    def __init__(self, inputs: int, hidden: int, kernel: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.gates = nn.Conv2d(inputs + hidden, 2 * hidden, kernel, padding=kernel // 2)
        self.candidate = nn.Conv2d(inputs + hidden, hidden, kernel, padding=kernel // 2)
        for convolution in (self.gates, self.candidate):
            nn.init.orthogonal_(convolution.weight)
            nn.init.zeros_(convolution.bias)

    def forward(self, frame: Tensor, state: Optional[Tensor]) -> tuple[Tensor, Tensor]:
        """One step: (B, inputs, H, W) and (B, hidden, H, W) or None to the new state, twice."""
        if state is None:
            state = laid_out(frame.new_zeros((len(frame), self.hidden, *frame.shape[2:])))
        state = state.to(frame.dtype)
        update, reset = torch.sigmoid(self.gates(torch.cat((frame, state), dim=1))).chunk(2, dim=1)
        candidate = torch.tanh(self.candidate(torch.cat((frame, reset * state), dim=1)))
        new = state + update * (candidate - state)
        return new, new


class ConvGRU(StackedMaps):
    """Stacked ConvGRU layers and an output convolution; see :class:`StackedMaps`."""

    name = "convgru"

    def make_cell(self, inputs: int, hidden: int) -> nn.Module:
        """A :class:`ConvGRUCell`."""
        return ConvGRUCell(inputs, hidden, self.options["kernel"])

    def halo_px(self, window: int) -> int:
        """The candidate reads ``r h`` and the gate ``r`` its own neighbourhood: two radii a step and layer, but one
        at the first step, whose state is zero.
        """
        radius, layers = self.options["kernel"] // 2, len(self.layers)
        reach = layers if window == 1 else 2 * (window + layers - 2) + 1
        return radius * reach + self.options["head_kernel"] // 2
