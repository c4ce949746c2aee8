"""Deformable ConvLSTM (Xu et al. 2024), with and without spatial autocorrelation. Maps are (B, channels, H, W)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .autocorrelation import damped, local_moran
from .base import WHOLE_FRAME_PX
from .gating import lstm_update, start_gates
from .rows import weighted_rows
from .stacked import StackedMaps, frames_of, head_predictions, unroll


class DeformableConvolution(nn.Module):
    r"""A convolution whose taps move to where it pays.

    .. math:: y(p) = \sum_n W_n \, x(p + p_n + \Delta_n(p)) + b, \quad \Delta = V * x + d

    ``p_n`` runs over the square neighbourhood; between cells ``x`` is interpolated bilinearly, beyond the edge it is 0.
    Dai et al. 2017, doi:10.1109/ICCV.2017.89. V and d start at zero, that is as a plain convolution.

    Ours: with ``max_offset`` m > 0 (cells) the displacement is ``m tanh(Δ / m)``, so that what a cell sees has an end
    and large maps can be computed in tiles. With 0 it is free, as in the paper.

    The displacement is split into whole cells and a rest before the place is added, so that the result is the same bits
    wherever a map begins.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, max_offset: float, bias: bool = True) -> None:
        super().__init__()
        self.kernel, self.max_offset = kernel, max_offset
        self.offset = nn.Conv2d(inputs, 2 * kernel * kernel, kernel, padding=kernel // 2)
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)
        nn.init.xavier_uniform_(self.weight)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        moves = self.offset(maps).to(self.weight.dtype)
        if self.max_offset > 0.0:
            moves = self.max_offset * torch.tanh(moves / self.max_offset)
        taps = sample(maps.to(self.weight.dtype), moves.unflatten(1, (2, -1)), self.kernel)
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)
        return F.linear(taps.flatten(3), weight, self.bias).permute(0, 3, 1, 2)

    def reach(self) -> int:
        """Cells that it sees to each side."""
        return self.kernel // 2 + math.ceil(self.max_offset) if self.max_offset > 0.0 else WHOLE_FRAME_PX


def sample(maps: Tensor, moves: Tensor, kernel: int) -> Tensor:
    """Values of ``maps`` (B, C, H, W) at the taps of a square kernel, moved by ``moves`` (B, 2, k k, H, W).

    Taps run row by row; moves hold rows (down), then columns (right), in cells. Returns (B, H, W, k k, C).
    """
    batch, channels, height, width = maps.shape
    # Four rows for each tap, weighted bilinearly, of a table of the cells of all maps with a rim of zeros. A
    # grid_sample is faster but loses places to rounding, the more the larger the map.
    whole = moves.detach().floor()
    down, right = (moves - whole).unbind(1)
    whole = whole.clamp(-2 * max(height, width) - kernel, 2 * max(height, width) + kernel).long()
    taps = torch.arange(kernel, device=maps.device) - kernel // 2
    taps_down, taps_right = taps.repeat_interleave(kernel)[:, None, None], taps.repeat(kernel)[:, None, None]
    rows = whole[:, 0] + taps_down + torch.arange(height, device=maps.device)[:, None]
    columns = whole[:, 1] + taps_right + torch.arange(width, device=maps.device)
    starts = torch.arange(batch, device=maps.device)[:, None, None, None] * (height + 2)
    corners, weights = [], []
    for row, share_row in ((rows, 1.0 - down), (rows + 1, down)):
        line = (starts + row.clamp(-1, height) + 1) * (width + 2)
        for column, share_column in ((columns, 1.0 - right), (columns + 1, right)):
            corners.append(line + column.clamp(-1, width) + 1)
            weights.append(share_row * share_column)
    table = F.pad(maps, (1, 1, 1, 1)).permute(0, 2, 3, 1).reshape(-1, channels)
    places, shares = (torch.stack(parts, dim=-1).permute(0, 2, 3, 1, 4).reshape(-1, 4) for parts in (corners, weights))
    return weighted_rows(table, places, shares).view(batch, height, width, kernel * kernel, channels)


class DeformableUnit(nn.Module):
    """A ConvLSTM step, equations (9)-(14) of :mod:`core.models.cells`, whose two convolutions, of the input and of the
    state, are deformable, each with displacements of its own.

    The paper normalises layers over the map and keeps peepholes for every cell, which would bind a model to the size of
    its grid; neither is here.
    """

    def __init__(self, inputs: int, hidden: int, kernel: int, max_offset: float) -> None:
        super().__init__()
        self.input_gates = DeformableConvolution(inputs, 4 * hidden, kernel, max_offset)
        self.state_gates = DeformableConvolution(hidden, 4 * hidden, kernel, max_offset, bias=False)
        start_gates(self.input_gates.weight, self.input_gates.bias)

    def forward(self, frame: Tensor, state: Optional[tuple[Tensor, Tensor]]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One step: (B, inputs, H, W) and the state to the output and the new state (h, c)."""
        h, c = (None, None) if state is None else state
        gates = self.input_gates(frame)
        h, c = lstm_update(gates if h is None else gates + self.state_gates(h), c)
        return h, (h, c)


class DeformConvLSTM(StackedMaps):
    """Stacked deformable ConvLSTM layers and an output convolution; see :class:`DeformableUnit`.

    Xu et al. 2024, Computers & Geosciences 184, 105536 (DConvLSTM). Their public code takes plain and deformable layers
    in turn; here every layer is deformable.
    """

    name = "deform-convlstm"
    channels_last = False  # sampling reads map by map

    def make_cell(self, inputs: int, hidden: int) -> nn.Module:
        """A deformable ConvLSTM layer."""
        return DeformableUnit(inputs, hidden, self.options["kernel"], self.options["max_offset"])

    def reach(self) -> int:
        """The kernel's radius and the largest displacement."""
        return self.options["kernel"] // 2 + math.ceil(self.options["max_offset"])

    def halo_px(self, window: int) -> int:
        """As of a ConvLSTM with the wider reach; the whole frame where displacements are free."""
        return super().halo_px(window) if self.options["max_offset"] > 0.0 else WHOLE_FRAME_PX


class AutocorrelatedUnit(nn.Module):
    r"""A deformable ConvLSTM step and a memory M of spatial autocorrelation, which decides how far the layer's output
    counts beside its input.

    .. math::
        i, g = \sigma(W_i *_d [A, M]), \tanh(W_g *_d [A, M]), \quad M' = (1 - i) \circ A + i \circ g

        H'' = (1 - \sigma(M')) \circ X + \sigma(M') \circ H'

    ``A`` is the local Moran's index of the input at the bottom, and M' of the layer below above it; ``*_d`` a
    deformable convolution, H' the output of the deformable ConvLSTM step, H'' that of the layer and its next state.

    Ours, where the paper has one variable and layers of equal width: A and M hold one map for each input, and the mean
    over them goes into the gate; X passes a 1 x 1 convolution where its channels are not as many as the layer's.
    """

    def __init__(self, inputs: int, hidden: int, indices: int, kernel: int, max_offset: float) -> None:
        super().__init__()
        self.unit = DeformableUnit(inputs, hidden, kernel, max_offset)
        self.relevance = DeformableConvolution(2 * indices, 2 * indices, kernel, max_offset)
        self.match = nn.Identity() if inputs == hidden else nn.Conv2d(inputs, hidden, 1, bias=False)

    def forward(self, pair: tuple[Tensor, Tensor], state: Optional[tuple]) -> tuple[tuple[Tensor, Tensor], tuple]:
        """One step: input (B, inputs, H, W) and A (B, indices, H, W) to output, M', and the state."""
        frame, index = pair
        kept, memory = (None, torch.zeros_like(index)) if state is None else state
        h, (_, c) = self.unit(frame, kept)
        i, g = self.relevance(torch.cat((index, memory), dim=1)).chunk(2, dim=1)
        i = torch.sigmoid(i)
        memory = (1.0 - i) * index + i * torch.tanh(g)
        share = torch.sigmoid(memory.mean(dim=1, keepdim=True))
        h = (1.0 - share) * self.match(frame) + share * h
        return (h, memory), ((h, c), memory)


class DeformConvLSTMSAC(DeformConvLSTM):
    """Deformable ConvLSTM with spatial autocorrelation (DConvLSTM-SAC, Xu et al. 2024, Computers & Geosciences 184,
    105536); see :class:`AutocorrelatedUnit` and :func:`core.models.autocorrelation.local_moran`.

    The index is taken of every dynamic input at every step, over the cells that are observed and inside the basin. It
    is passed on as ``sign(I) log(1 + |I|)``, since it has no bounds and the paper does not say how it is scaled.
    """

    name = "deform-convlstm-sac"
    uses_mask = True

    def __init__(
        self, in_channels: int, out_channels: int, static_channels: int = 0, leads: int = 1, **options: Any
    ) -> None:
        super().__init__(in_channels, out_channels, static_channels, leads, **options)
        self.reads_masks, self.uses_observed = self.uses_observed, True

    def make_cell(self, inputs: int, hidden: int) -> nn.Module:
        """A deformable ConvLSTM layer with a memory of autocorrelation."""
        return AutocorrelatedUnit(inputs, hidden, self.in_channels, self.options["kernel"], self.options["max_offset"])

    def forward(
        self,
        x: Tensor,
        static: Optional[Tensor] = None,
        observed: Optional[Tensor] = None,
        last_steps: int = 1,
        warm_up: int = 0,
        mask: Optional[Tensor] = None,
    ) -> dict[str, Tensor]:
        """Predict; ``mask`` (1 or B, 1, H, W) is 1 inside the basin, None is everywhere."""
        self.check_input(x, static, observed, last_steps)
        indices = damped(local_moran(x, _known(x, observed, mask), self.options["moran_reach"]))
        frames = frames_of(x, static if self.uses_static else None, observed, self.reads_masks)
        pairs: Sequence[tuple[Tensor, Tensor]] = list(zip(frames, indices.unbind(1)))
        for cell in self.layers:
            pairs = [(self.dropout(h), memory) for h, memory in unroll(cell, pairs, warm_up)]
        heads = [self.head(h) for h, _ in pairs[-last_steps:]]
        return head_predictions(heads, self.leads, self.out_channels)

    def halo_px(self, window: int) -> int:
        """Follows how far an input has spread into state and memory, step by step; the whole frame where displacements
        are free or the index is taken over the whole map.
        """
        if self.options["max_offset"] == 0.0 or self.options["moran_reach"] == 0:
            return WHOLE_FRAME_PX
        reach, none = self.reach(), -math.inf
        states = [(none, none)] * len(self.layers)
        for _ in range(window):
            h, index = 0.0, float(self.options["moran_reach"])
            for number, (before, memory) in enumerate(states):
                index = max(index, memory) + reach
                h = max(h, before) + reach
                h = max(h, index)
                states[number] = (h, index)
        return int(h) + self.options["head_kernel"] // 2


def _known(x: Tensor, observed: Optional[Tensor], mask: Optional[Tensor]) -> Optional[Tensor]:
    """1 where a value counts, like ``x``; None for everywhere."""
    known = None if observed is None else observed.to(x.dtype)
    if mask is None:
        return known
    inside = mask.to(x.dtype)[:, None]
    return inside.expand_as(x) if known is None else known * inside
