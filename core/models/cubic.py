"""CubicRNN (Fan et al. 2019, doi:10.1609/aaai.v33i01.33018263): one axis for time, one for space, one for the output.

Maps are (B, channels, H, W); states start at zero.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Optional

import torch
from torch import Tensor, nn

from ..contracts.errors import ConfigError
from ..contracts.models import family
from .base import ForecastModel
from .gating import lstm_update, start_gates
from .sequence import map_type
from .stacked import frames_of, head_predictions, laid_out


class Branch(NamedTuple):
    """Output ``h`` and memory ``c`` of a branch, each (B, hidden, H, W)."""

    h: Tensor
    c: Tensor


class CubicCell(nn.Module):
    r"""The CubicLSTM unit: a temporal and a spatial branch that read the same, and an output branch over both.

    .. math::
        (i, f, g, o) = W_t * [X, H_t, H_s] + b_t, \quad C_t' = \sigma(f) \circ C_t + \sigma(i) \circ \tanh(g), \quad
        H_t' = \sigma(o) \circ \tanh(C_t')

        (i, f, g, o) = W_s * [X, H_t, H_s] + b_s, \quad C_s' = \sigma(f) \circ C_s + \sigma(i) \circ \tanh(g), \quad
        H_s' = \sigma(o) \circ \tanh(C_s')

        Y = W_y * [H_t', H_s'] + b_y

    The temporal branch comes from the step before, the spatial one from the frame before within the step. Without
    ``output`` there is no Y: above the top layer only the last frame's is read.
    """

    def __init__(self, inputs: int, hidden: int, kernels: tuple[int, int, int], output: bool) -> None:
        super().__init__()
        time, space, out = kernels
        self.time_gates = nn.Conv2d(inputs + 2 * hidden, 4 * hidden, time, padding=time // 2)
        self.space_gates = nn.Conv2d(inputs + 2 * hidden, 4 * hidden, space, padding=space // 2)
        self.output = nn.Conv2d(2 * hidden, hidden, out, padding=out // 2) if output else None
        start_gates(self.time_gates.weight, self.time_gates.bias)
        start_gates(self.space_gates.weight, self.space_gates.bias)

    def forward(self, frame: Tensor, time: Branch, space: Branch) -> tuple[Optional[Tensor], Branch, Branch]:
        """One unit: (B, inputs, H, W) and both branches to Y and the new branches."""
        seen = torch.cat((frame, time.h, space.h), dim=1)
        time = Branch(*lstm_update(self.time_gates(seen), time.c))
        space = Branch(*lstm_update(self.space_gates(seen), space.c))
        return None if self.output is None else self.output(torch.cat((time.h, space.h), dim=1)), time, space


class CubicRNN(ForecastModel):
    """Units in three axes, and an output convolution for all leads at once.

    At each step the last ``frames`` maps stand side by side, the oldest first. The temporal branch of the unit for each
    place in that row and each layer goes on to the same unit in the next step; the spatial branch runs along the row
    within the step, from zeros; the output branch climbs through the layers. The top output of the newest map gives the
    prediction. The row is full for the first time at step ``frames``: a window must be as long.

    The public code of the authors passes the spatial branch on to the next step as well, and lets the rows share one
    temporal branch; here the axes are as the paper draws them. The paper feeds predictions back; here many-to-one gives
    all leads from the last step. The first layer reads the dynamic input, with ``mask_channels`` the masks of observed
    input, and the static maps. Shapes, units and NaN policy: :mod:`core.models.base`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, static_channels: int = 0, leads: int = 1, **options: Any
    ) -> None:
        super().__init__(in_channels, out_channels, static_channels, leads)
        self.options = family("cubic").complete(options)
        self.uses_static = self.static_channels > 0
        self.uses_observed = self.options["mask_channels"]
        inputs = self.in_channels * (2 if self.uses_observed else 1) + self.static_channels
        self.hidden, self.frames, layers = (self.options[name] for name in ("channels", "frames", "layers"))
        self.kernels = tuple(self.options[name] for name in ("time_kernel", "kernel", "output_kernel"))
        self.cells = nn.ModuleList(
            nn.ModuleList(
                CubicCell(
                    self.hidden if layer else inputs,
                    self.hidden,
                    self.kernels,
                    output=layer < layers - 1 or place == self.frames - 1,
                )
                for layer in range(layers)
            )
            for place in range(self.frames)
        )
        kernel = self.options["head_kernel"]
        self.head = nn.Conv2d(self.hidden, self.leads * self.out_channels, kernel, padding=kernel // 2)

    def forward(
        self,
        x: Tensor,
        static: Optional[Tensor] = None,
        observed: Optional[Tensor] = None,
        last_steps: int = 1,
        warm_up: int = 0,
    ) -> dict[str, Tensor]:
        """Predict; raises ConfigError where the window is shorter than the row of frames and the supervised steps."""
        self.check_input(x, static, observed, last_steps)
        if x.shape[1] < self.frames + last_steps - 1:
            raise ConfigError(
                "The window is too short for this model",
                expected=f"at least {self.frames + last_steps - 1} steps: {self.frames} maps side by side"
                + (f" at each of {last_steps} supervised steps" if last_steps > 1 else ""),
                got=f"{x.shape[1]} steps",
                remedy="Lengthen the window, or lower cubic.frames",
            )
        maps = frames_of(x, static if self.uses_static else None, observed, self.uses_observed)
        zeros = x.new_zeros((len(x), self.hidden, *x.shape[3:]))
        if map_type(x) is torch.float32:  # in 16 bits the kernels of five and more cells were faster the other way
            maps, zeros = [laid_out(frame) for frame in maps], laid_out(zeros)
        times = [[Branch(zeros, zeros)] * len(row) for row in self.cells]
        tops = []
        for number in range(self.frames - 1, len(maps)):
            with torch.set_grad_enabled(torch.is_grad_enabled() and number >= warm_up):
                tops.append(self._step(maps[number - self.frames + 1 : number + 1], times, Branch(zeros, zeros)))
        heads = [self.head(top) for top in tops[-last_steps:]]
        return head_predictions(heads, self.leads, self.out_channels)

    def halo_px(self, window: int) -> int:
        """Follows how far an input has spread into each branch, step by step; branches of zeros hold none."""
        time_radius, space_radius, out_radius = (kernel // 2 for kernel in self.kernels)
        times = [[-math.inf] * len(row) for row in self.cells]
        reach = 0.0
        for _ in range(max(1, window - self.frames + 1)):
            spaces = [-math.inf] * len(self.cells[0])
            for row in times:
                reach = 0.0
                for layer, time in enumerate(row):
                    seen = max(reach, time, spaces[layer])
                    row[layer], spaces[layer] = seen + time_radius, seen + space_radius
                    reach = max(row[layer], spaces[layer]) + out_radius
        return int(reach) + self.options["head_kernel"] // 2

    def _step(self, maps: list[Tensor], times: list[list[Branch]], zeros: Branch) -> Tensor:
        """One step: renews ``times`` and gives the top output of the newest map."""
        spaces = [zeros] * len(self.cells[0])
        for frame, row, branches in zip(maps, self.cells, times):
            for layer, cell in enumerate(row):
                frame, branches[layer], spaces[layer] = cell(frame, branches[layer], spaces[layer])
        return frame
