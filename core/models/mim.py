"""Memory in Memory (Wang et al. 2019, doi:10.48550/arXiv.1811.07490): PredRNN whose forget gate is two memories.

Maps are (B, channels, H, W); states start at zero.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Optional

import torch
from torch import Tensor, nn

from ..contracts.models import family
from .base import ForecastModel
from .gating import memory_update
from .predrnn import LayerState, SpatioTemporalCell
from .stacked import frames_of, head_predictions, laid_out


class MemoryUnit(nn.Module):
    r"""MIM-N and MIM-S: an LSTM whose gates read a map and a memory.

    .. math::
        (g, i, f) = (\tanh, \sigma, \sigma)(W_x * X + W_h * R + b), \quad N' = f \circ N + i \circ g

        o = \sigma(W_{xo} * X + W_{ho} * Q + b_o), \quad D = o \circ \tanh(N')

    MIM-N (non-stationary): X is the difference of the output of the layer below since the step before, R is N and Q is
    N'. MIM-S (stationary): X is D of MIM-N, R the memory C of the layer, and Q holds C and N' (there called S).
    """

    def __init__(self, hidden: int, kernel: int, stationary: bool, forget_bias: float) -> None:
        super().__init__()
        self.stationary, self.forget_bias, pad = stationary, forget_bias, kernel // 2
        self.gates = nn.Conv2d(2 * hidden, 3 * hidden, kernel, padding=pad)
        self.output_gate = nn.Conv2d((3 if stationary else 2) * hidden, hidden, kernel, padding=pad)

    def forward(self, maps: Tensor, memory: Tensor, layer_memory: Optional[Tensor] = None) -> tuple[Tensor, Tensor]:
        """X, N and for MIM-S C, each (B, hidden, H, W), to D and N'."""
        read = layer_memory if self.stationary else memory
        gates = self.gates(torch.cat((maps, read.to(maps.dtype)), dim=1))
        memory = memory_update(gates, memory, self.forget_bias, "gif")
        seen = (maps, layer_memory, memory) if self.stationary else (maps, memory)
        return torch.sigmoid(self.output_gate(torch.cat(seen, dim=1))) * torch.tanh(memory), memory


class MIMState(NamedTuple):
    """Output and memories (B, hidden, H, W) of a MIM layer: ``c`` as in PredRNN, ``n`` of MIM-N, ``s`` of MIM-S."""

    h: Tensor
    c: Tensor
    n: Tensor
    s: Tensor


class MIMCell(nn.Module):
    r"""The MIM unit: ST-LSTM (:class:`core.models.predrnn.SpatioTemporalCell`) with MIM-N and MIM-S in place of the
    forget gate of C.

    .. math::
        D, N' = \mathrm{MIMN}(X - X^-, N), \quad F, S' = \mathrm{MIMS}(D, C, S), \quad C' = F + i \circ g

    with ``X^-`` the input of the step before. At the first step there is none, and the difference is 0.
    """

    def __init__(self, hidden: int, kernel: int, forget_bias: float) -> None:
        super().__init__()
        self.forget_bias, pad = forget_bias, kernel // 2
        self.changes = MemoryUnit(hidden, kernel, False, forget_bias)
        self.rest = MemoryUnit(hidden, kernel, True, forget_bias)
        self.time_gates = nn.Conv2d(2 * hidden, 2 * hidden, kernel, padding=pad)
        self.space_gates = nn.Conv2d(2 * hidden, 3 * hidden, kernel, padding=pad)
        self.output_gate = nn.Conv2d(4 * hidden, hidden, kernel, padding=pad)
        self.mix = nn.Conv2d(2 * hidden, hidden, 1, bias=False)

    def forward(self, frame: Tensor, change: Tensor, state: MIMState, memory: Tensor) -> tuple[MIMState, Tensor]:
        """One step: input, its difference since the step before, state and M to the new state and M."""
        difference, n = self.changes(change, state.n)
        kept, s = self.rest(difference, state.s, state.c)
        i, g = self.time_gates(torch.cat((frame, state.h), dim=1)).chunk(2, dim=1)
        c = kept + torch.sigmoid(i) * torch.tanh(g)
        memory = memory_update(self.space_gates(torch.cat((frame, memory), dim=1)), memory, self.forget_bias)
        o = torch.sigmoid(self.output_gate(torch.cat((frame, state.h, c, memory), dim=1)))
        return MIMState(o * torch.tanh(self.mix(torch.cat((c, memory), dim=1))), c, n, s), memory

    @staticmethod
    def spread(x: float, change: float, state: tuple, m: float, radius: int) -> tuple[tuple, float]:
        """Cells from which a step's input has reached h, c, n, s and M, given those of the step before."""
        h, c, n, s = state
        n = max(change, n) + radius
        difference = max(change, n) + radius
        s = max(s, max(difference, c) + radius)
        kept = max(difference, c, s) + radius
        c, m = max(kept, max(x, h) + radius), max(x, m) + radius
        return (max(x, h, c, m) + radius, c, n, s), m


class MIM(ForecastModel):
    """An ST-LSTM layer, MIM layers above it and the zigzag memory M of PredRNN, and an output convolution for all leads
    at once. Input as in :class:`core.models.stacked.StackedMaps`.

    The gates of MIM-N and MIM-S are convolutions of their memories, as in the paper; the public code has a weight for
    each cell there, which would bind a model to the size of its grid, and keeps S from one batch to the next.
    """

    def __init__(
        self, in_channels: int, out_channels: int, static_channels: int = 0, leads: int = 1, **options: Any
    ) -> None:
        super().__init__(in_channels, out_channels, static_channels, leads)
        self.options = family("mim").complete(options)
        self.uses_static = self.static_channels > 0
        self.uses_observed = self.options["mask_channels"]
        inputs = self.in_channels * (2 if self.uses_observed else 1) + self.static_channels
        self.hidden, kernel, bias = (self.options[name] for name in ("channels", "kernel", "forget_bias"))
        self.bottom = SpatioTemporalCell(inputs, self.hidden, kernel, bias)
        self.units = nn.ModuleList(MIMCell(self.hidden, kernel, bias) for _ in range(self.options["layers"] - 1))
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
        states = [LayerState(zeros, zeros), *(MIMState(zeros, zeros, zeros, zeros) for _ in self.units)]
        memory, tops = zeros, []
        for number, frame in enumerate(frames):
            with torch.set_grad_enabled(torch.is_grad_enabled() and number >= warm_up):
                states, memory = self._step(frame, states, memory, first=number == 0)
            tops.append(states[-1].h)
        heads = [self.head(top) for top in tops[-last_steps:]]
        return head_predictions(heads, self.leads, self.out_channels)

    def halo_px(self, window: int) -> int:
        """Follows how far an input has spread into each state, step by step; states of zeros hold none."""
        none, radius = -math.inf, self.options["kernel"] // 2
        bottom, states, memory = (none, none), [(none,) * 4] * len(self.units), none
        for number in range(window):
            before = [bottom[0], *(state[0] for state in states)]
            bottom, memory = self.bottom.spread(0.0, *bottom, memory, radius)
            frame = bottom[0]
            for layer, unit in enumerate(self.units):
                change = max(frame, before[layer]) if number else none
                states[layer], memory = unit.spread(frame, change, states[layer], memory, radius)
                frame = states[layer][0]
        return int(frame) + self.options["head_kernel"] // 2

    def _step(self, frame: Tensor, states: list, memory: Tensor, first: bool) -> tuple[list, Tensor]:
        bottom, memory = self.bottom(frame, states[0], memory)
        new = [bottom]
        for unit, below, state in zip(self.units, states, states[1:]):
            h = new[-1].h
            state, memory = unit(h, torch.zeros_like(h) if first else h - below.h, state, memory)
            new.append(state)
        return new, memory
