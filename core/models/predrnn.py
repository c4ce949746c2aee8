"""PredRNN (Wang et al. 2017, NeurIPS 30) and PredRNN++ (Wang et al. 2018, doi:10.48550/arXiv.1804.06300).

Both add to the memory C of each layer a second one, M, that climbs through the layers of a step and enters the bottom
layer of the next: a zigzag, so that detail seen at the top is there again at the bottom. All layers have the same
number of channels. Maps are (B, channels, H, W); states start at zero.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

import torch
from torch import Tensor, nn

from ..contracts.models import family
from .base import ForecastModel
from .gating import memory_update
from .stacked import frames_of, head_predictions, laid_out


class LayerState(NamedTuple):
    """Output ``h`` and memory ``c`` of one layer, each (B, hidden, H, W)."""

    h: Tensor
    c: Tensor


class SpatioTemporalCell(nn.Module):
    r"""The ST-LSTM unit of PredRNN.

    .. math::
        i, f = \sigma(W * [X, H]), \quad g = \tanh(W * [X, H]), \quad C' = f \circ C + i \circ g

        i', f' = \sigma(W' * [X, M]), \quad g' = \tanh(W' * [X, M]), \quad M' = f' \circ M + i' \circ g'

        o = \sigma(W_o * [X, H, C', M'] + b_o), \quad H' = o \circ \tanh(W_{1 \times 1} * [C', M'])
    """

    def __init__(self, inputs: int, hidden: int, kernel: int, forget_bias: float) -> None:
        super().__init__()
        self.forget_bias, pad = forget_bias, kernel // 2
        self.time_gates = nn.Conv2d(inputs + hidden, 3 * hidden, kernel, padding=pad)
        self.space_gates = nn.Conv2d(inputs + hidden, 3 * hidden, kernel, padding=pad)
        self.output_gate = nn.Conv2d(inputs + 3 * hidden, hidden, kernel, padding=pad)
        self.mix = nn.Conv2d(2 * hidden, hidden, 1, bias=False)

    def forward(self, frame: Tensor, state: LayerState, memory: Tensor) -> tuple[LayerState, Tensor]:
        """One step: the new state of the layer, and M for the layer above."""
        c = memory_update(self.time_gates(torch.cat((frame, state.h), dim=1)), state.c, self.forget_bias)
        memory = memory_update(self.space_gates(torch.cat((frame, memory), dim=1)), memory, self.forget_bias)
        o = torch.sigmoid(self.output_gate(torch.cat((frame, state.h, c, memory), dim=1)))
        return LayerState(o * torch.tanh(self.mix(torch.cat((c, memory), dim=1))), c), memory

    @staticmethod
    def spread(x: float, h: float, c: float, m: float, radius: int) -> tuple[tuple[float, float], float]:
        """Cells from which a step's input has reached h, c and M, given those of the step before."""
        c, m = max(c, max(x, h) + radius), max(x, m) + radius
        return (max(x, h, c, m) + radius, c), m


class CausalCell(nn.Module):
    r"""The causal LSTM of PredRNN++: the memory M is updated after C and sees it.

    .. math::
        g, i, f = (\tanh, \sigma, \sigma)(W_1 * [X, H, C]), \quad C' = f \circ C + i \circ g

        g', i', f' = (\tanh, \sigma, \sigma)(W_2 * [X, C', M]), \quad M' = f' \circ \tanh(W_3 * M) + i' \circ g'

        o = \tanh(W_4 * [X, C', M']), \quad H' = o \circ \tanh(W_5 * [C', M'])

    ``W_5`` is 1 x 1, ``W_3`` has the kernel of the gates.
    """

    def __init__(self, inputs: int, hidden: int, kernel: int, forget_bias: float) -> None:
        super().__init__()
        self.forget_bias, pad = forget_bias, kernel // 2
        self.time_gates = nn.Conv2d(inputs + 2 * hidden, 3 * hidden, kernel, padding=pad)
        self.space_gates = nn.Conv2d(inputs + 2 * hidden, 3 * hidden, kernel, padding=pad)
        self.climb = nn.Conv2d(hidden, hidden, kernel, padding=pad, bias=False)
        self.output_gate = nn.Conv2d(inputs + 2 * hidden, hidden, kernel, padding=pad)
        self.mix = nn.Conv2d(2 * hidden, hidden, 1, bias=False)

    def forward(self, frame: Tensor, state: LayerState, memory: Tensor) -> tuple[LayerState, Tensor]:
        """One step: the new state of the layer, and M for the layer above."""
        gates = self.time_gates(torch.cat((frame, state.h, state.c), dim=1))
        c = memory_update(gates, state.c, self.forget_bias, "gif")
        gates = self.space_gates(torch.cat((frame, c, memory), dim=1))
        memory = memory_update(gates, torch.tanh(self.climb(memory)), self.forget_bias, "gif")
        o = torch.tanh(self.output_gate(torch.cat((frame, c, memory), dim=1)))
        return LayerState(o * torch.tanh(self.mix(torch.cat((c, memory), dim=1))), c), memory

    @staticmethod
    def spread(x: float, h: float, c: float, m: float, radius: int) -> tuple[tuple[float, float], float]:
        """Cells from which a step's input has reached h, c and M, given those of the step before."""
        c = max(x, h, c) + radius
        m = max(x, c, m) + radius
        return (max(x, c, m) + radius, c), m


class GradientHighway(nn.Module):
    r"""The gradient highway unit of PredRNN++: a short way for gradients through time.

    .. math::
        P = \tanh(W_p * [X, Z]), \quad S = \sigma(W_s * [X, Z]), \quad Z' = S \circ P + (1 - S) \circ Z
    """

    def __init__(self, hidden: int, kernel: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(2 * hidden, 2 * hidden, kernel, padding=kernel // 2)

    def forward(self, frame: Tensor, highway: Tensor) -> Tensor:
        """The new Z (B, hidden, H, W), which is also the output."""
        p, s = self.gates(torch.cat((frame, highway), dim=1)).chunk(2, dim=1)
        return highway + torch.sigmoid(s) * (torch.tanh(p) - highway)


class PredRNN(ForecastModel):
    """Stacked ST-LSTM units with the zigzag memory, and an output convolution for all leads at once.

    The paper rolls its predictions forward by feeding them back; here many-to-one gives all leads from the last step,
    as the other map families do. Input as in :class:`core.models.stacked.StackedMaps`.
    """

    name = "predrnn"
    unit: type[nn.Module] = SpatioTemporalCell
    highway_after: Optional[int] = None  # the layer behind which a gradient highway lies

    def __init__(
        self, in_channels: int, out_channels: int, static_channels: int = 0, leads: int = 1, **options: Any
    ) -> None:
        super().__init__(in_channels, out_channels, static_channels, leads)
        self.options = family(self.name).complete(options)
        self.uses_static = self.static_channels > 0
        self.uses_observed = self.options["mask_channels"]
        inputs = self.in_channels * (2 if self.uses_observed else 1) + self.static_channels
        self.hidden, kernel = self.options["channels"], self.options["kernel"]
        sizes = [inputs] + [self.hidden] * (self.options["layers"] - 1)
        self.units = nn.ModuleList(self.unit(s, self.hidden, kernel, self.options["forget_bias"]) for s in sizes)
        self.highway = GradientHighway(self.hidden, kernel) if self.highway_after is not None else None
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
        """Predict; see :mod:`core.models.base`."""
        self.check_input(x, static, observed, last_steps)
        frames = frames_of(x, static if self.uses_static else None, observed, self.uses_observed)
        frames, zeros = (
            [laid_out(frame) for frame in frames],
            laid_out(x.new_zeros((len(x), self.hidden, *x.shape[3:]))),
        )
        states, memory, highway = [LayerState(zeros, zeros)] * len(self.units), zeros, zeros
        outputs = []
        for number, frame in enumerate(frames):
            with torch.set_grad_enabled(torch.is_grad_enabled() and number >= warm_up):
                top, states, memory, highway = self._step(frame, states, memory, highway)
            outputs.append(top)
        heads = [self.head(top) for top in outputs[-last_steps:]]
        return head_predictions(heads, self.leads, self.out_channels)

    def halo_px(self, window: int) -> int:
        """Follows how far an input has spread into each state, step by step; states of zeros hold none."""
        none, radius = float("-inf"), self.options["kernel"] // 2
        states, memory, highway = [(none, none)] * len(self.units), none, none
        for _ in range(window):
            frame = 0.0
            for number, unit in enumerate(self.units):
                states[number], memory = unit.spread(frame, *states[number], memory, radius)
                frame = states[number][0]
                if number == self.highway_after:
                    frame = highway = max(frame, highway) + radius
        return int(frame) + self.options["head_kernel"] // 2

    def _step(
        self, frame: Tensor, states: list, memory: Tensor, highway: Tensor
    ) -> tuple[Tensor, list, Tensor, Tensor]:
        new = []
        for number, (unit, state) in enumerate(zip(self.units, states)):
            state, memory = unit(frame, state, memory)
            new.append(state)
            frame = state.h
            if number == self.highway_after and self.highway is not None:
                frame = highway = self.highway(frame, highway)
        return frame, new, memory, highway


class PredRNNPlus(PredRNN):
    """Stacked causal LSTM units with a gradient highway behind the bottom layer; else as :class:`PredRNN`."""

    name = "predrnn++"
    unit = CausalCell
    highway_after = 0
