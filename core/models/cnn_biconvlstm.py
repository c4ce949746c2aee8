"""A CNN before a bidirectional ConvLSTM, for missing frames (Gao et al. 2021, doi:10.3390/app11041491)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..contracts.models import family
from .base import ForecastModel
from .stacked import ConvLSTMUnit, frames_of, unroll


class Bidirectional(nn.Module):
    """Two ConvLSTM layers over the same sequence, one forwards and one backwards in time."""

    def __init__(self, inputs: int, hidden: int, kernel: int) -> None:
        super().__init__()
        self.forwards, self.backwards = ConvLSTMUnit(inputs, hidden, kernel), ConvLSTMUnit(inputs, hidden, kernel)

    def forward(self, frames: Sequence[Tensor], warm_up: int) -> tuple[list[Tensor], list[Tensor]]:
        """Outputs (B, hidden, H, W) of both directions at all steps, oldest first.

        Only the forward direction has a warm-up: the backward one ends in those steps, and without their gradients it
        would learn nothing.
        """
        there = unroll(self.forwards, frames, warm_up)
        return there, unroll(self.backwards, frames[::-1])[::-1]


class CNNBiConvLSTM(ForecastModel):
    r"""Convolutions of each frame, bidirectional ConvLSTM layers over the window, and an output convolution.

    .. math::
        F_t = \mathrm{ReLU}(W_n * \dots \mathrm{ReLU}(W_1 * X_t)), \quad
        \overrightarrow H_t = \mathrm{ConvLSTM}(F_t, \overrightarrow H_{t-1}), \quad
        \overleftarrow H_t = \mathrm{ConvLSTM}(F_t, \overleftarrow H_{t+1}), \quad
        Y = W * [\overrightarrow H_T, \overleftarrow H_1]

    A layer above reads both directions of the one below side by side. The prediction reads the last state of each
    direction, so that both have seen the whole window: it depends on later frames as on earlier ones, and there is one
    a window. The paper reconstructs all frames of a window at once; here it is the step that the lead names.

    The first convolution reads the dynamic input, with ``mask_channels`` the masks of observed input, and the static
    maps. Shapes, units and NaN policy: :mod:`core.models.base`.
    """

    several_steps = False

    def __init__(
        self, in_channels: int, out_channels: int, static_channels: int = 0, leads: int = 1, **options: Any
    ) -> None:
        super().__init__(in_channels, out_channels, static_channels, leads)
        self.options = family("cnn-biconvlstm").complete(options)
        self.uses_static = self.static_channels > 0
        self.uses_observed = self.options["mask_channels"]
        inputs = self.in_channels * (2 if self.uses_observed else 1) + self.static_channels
        kernel, hidden = self.options["kernel"], self.options["hidden"]
        widths = (inputs, *self.options["cnn"])
        self.cnn = nn.ModuleList(nn.Conv2d(a, b, kernel, padding=kernel // 2) for a, b in zip(widths, widths[1:]))
        widths = (widths[-1], *(2 * size for size in hidden))
        self.layers = nn.ModuleList(Bidirectional(width, size, kernel) for width, size in zip(widths, hidden))
        self.dropout = nn.Dropout2d(self.options["dropout"])
        kernel = self.options["head_kernel"]
        self.head = nn.Conv2d(2 * hidden[-1], self.leads * self.out_channels, kernel, padding=kernel // 2)

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
        frames = [self._features(frame) for frame in frames]
        there, back = self.layers[0](frames, warm_up)
        for layer in self.layers[1:]:
            there, back = layer([self.dropout(torch.cat(pair, dim=1)) for pair in zip(there, back)], warm_up)
        ends = self.dropout(torch.cat((there[-1], back[0]), dim=1))
        return {"y_hat": self.head(ends).unflatten(1, (self.leads, self.out_channels))}

    def halo_px(self, window: int) -> int:
        """With radius r: r (convolutions + T layers) + radius of the output kernel. The way that reaches farthest goes
        through the whole window and back, once a layer.
        """
        radius = self.options["kernel"] // 2
        return radius * (len(self.cnn) + window * len(self.layers)) + self.options["head_kernel"] // 2

    def _features(self, frame: Tensor) -> Tensor:
        for convolution in self.cnn:
            frame = F.relu(convolution(frame))
        return frame
