"""The ConvLSTM cell: equations (9)-(14) of the review, with optional peepholes.

Inside the models, maps are kept channels-last as (B, H, W, C), sequences as (T, B, H, W, C): each step is one block of memory and
a convolution reads it without copying.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Gates lie side by side in the rows of the weights in this order: input, forget, candidate, output (i, f, g, o).
GATES = 4


class State(NamedTuple):
    """Hidden state ``h`` and memory ``c`` of one layer, each (B, H, W, hidden)."""

    h: Tensor
    c: Tensor


class Context(NamedTuple):
    """What stays the same at all steps of one sequence.

    ``base`` (B, H, W, 4 hidden) is the contribution of static maps and bias, or None without static maps. The dropout masks
    ``input_mask`` (B, H, W, 4, channels) and ``state_mask`` (B, H, W, 4, hidden) are None outside training.
    """

    base: Optional[Tensor]
    input_mask: Optional[Tensor]
    state_mask: Optional[Tensor]


class ConvLSTMCell(nn.Module):
    """One ConvLSTM layer.

    .. math::
        i_t = σ(W_{xi} * X_t + W_{hi} * H_{t-1} + b_i),  f_t = σ(W_{xf} * X_t + W_{hf} * H_{t-1} + b_f)

        g_t = tanh(W_{xg} * X_t + W_{hg} * H_{t-1} + b_g),  o_t = σ(W_{xo} * X_t + W_{ho} * H_{t-1} + b_o)

        C_t = i_t ∘ g_t + f_t ∘ C_{t-1},  H_t = o_t ∘ tanh(C_t)

    ``*`` is the cross-correlation that deep learning calls convolution, ``∘`` the product cell by cell. With peepholes, i and f
    gain ``w ∘ C_{t-1}`` and o gains ``w ∘ C_t`` inside σ (Shi et al. 2015, doi:10.48550/arXiv.1506.04214). There w is a full
    (hidden, H, W) tensor; here it is one weight per channel, equal at all cells, so that the layer fits a grid of any size.

    One bias; forget bias ``forget_bias``; Glorot start for the input, orthogonal start for the state (as in Keras). Dropout
    draws one mask per sequence, gate, cell and channel (as in Keras). No NaN is expected or handled.

    Parameters
    ----------
    in_channels, static_channels : int
        Channels that change with time and channels that do not; mathematically one concatenated input. Their sum may be 0.
    hidden, kernel : int
        State channels; side of the square kernel (odd).
    """

    def __init__(
        self,
        in_channels: int,
        hidden: int,
        kernel: int,
        *,
        static_channels: int = 0,
        peepholes: bool = False,
        gate_activation: str = "sigmoid",
        forget_bias: float = 1.0,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        padding: str = "zeros",
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.static_channels = static_channels
        self.hidden = hidden
        self.radius = kernel // 2
        self.hard = gate_activation == "hard-sigmoid"
        self.forget_bias = forget_bias
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.padding = padding
        inputs = in_channels + static_channels
        self.weight_x = nn.Parameter(torch.empty(GATES * hidden, inputs, kernel, kernel)) if inputs else None
        self.weight_h = nn.Parameter(torch.empty(GATES * hidden, hidden, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(GATES * hidden))
        self.peephole = nn.Parameter(torch.empty(3, hidden)) if peepholes else None  # rows: i, f, o
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the start values anew."""
        if self.weight_x is not None:
            nn.init.xavier_uniform_(self.weight_x)
        nn.init.orthogonal_(self.weight_h)
        nn.init.zeros_(self.bias)
        nn.init.constant_(self.bias[self.hidden : 2 * self.hidden], self.forget_bias)
        if self.peephole is not None:
            nn.init.zeros_(self.peephole)

    def begin(self, like: Tensor, static: Optional[Tensor] = None) -> Context:
        """Prepare a sequence: draw its dropout masks and convolve the static maps once, since they do not change with time.

        ``like`` (B, H, W, any) gives sizes, device and type; ``static`` (B, H, W, static_channels).
        """
        channels = self.in_channels + self.static_channels
        mask = self._mask(like, channels, self.dropout)
        state_mask = self._mask(like, self.hidden, self.recurrent_dropout)
        if not self.static_channels:
            return Context(None, mask, state_mask)
        split = (self.in_channels, self.static_channels)
        moving, fixed = (None, None) if mask is None else mask.split(split, dim=-1)
        base = self._convolve(static, self.weight_x.split(split, dim=1)[1], self.bias, fixed)
        return Context(base, moving, state_mask)

    def drive(self, frames: Tensor, context: Context) -> Tensor:
        """Input-to-state part of the gates, bias included: ``frames`` (T, B, H, W, in_channels) -> (T, B, H, W, 4 hidden)."""
        steps, batch = frames.shape[:2]
        if self.static_channels:
            weight = self.weight_x.split((self.in_channels, self.static_channels), dim=1)[0]
            gates = self._convolve(frames, weight, None, context.input_mask).unflatten(0, (steps, batch))
            return gates.add_(context.base)  # in place: no second tensor of this size, and nothing needs the first
        return self._convolve(frames, self.weight_x, self.bias, context.input_mask).unflatten(0, (steps, batch))

    def rest(self, like: Tensor, context: Context) -> Tensor:
        """What :meth:`drive` gives for one step without any changing input, broadcastable to (B, H, W, 4 hidden)."""
        return self.bias.expand(*like.shape[:3], -1) if context.base is None else context.base

    def step(self, drive: Tensor, state: Optional[State], context: Context) -> State:
        """One step. ``drive`` (B, H, W, 4 hidden); ``state`` None stands for zeros and saves their convolution."""
        gates = drive
        if state is not None:
            gates = drive + self._convolve(state.h, self.weight_h, None, context.state_mask)
        i, f, g, o = gates.split(self.hidden, dim=-1)
        if self.peephole is not None and state is not None:
            i, f = i + self.peephole[0] * state.c, f + self.peephole[1] * state.c
        c = self._gate(i) * torch.tanh(g)
        if state is not None:
            # Under autocast the gates are bfloat16 but the memory stays float32, or small increments would be lost.
            c = c + self._gate(f) * state.c
        elif c.dtype == torch.bfloat16:
            c = c.float()
        if self.peephole is not None:
            o = o + self.peephole[2] * c
        o = self._gate(o)
        return State((o * torch.tanh(c)).to(drive.dtype), c)

    def _gate(self, x: Tensor) -> Tensor:
        return (0.2 * x + 0.5).clamp(0.0, 1.0) if self.hard else torch.sigmoid(x)

    def _mask(self, like: Tensor, channels: int, rate: float) -> Optional[Tensor]:
        if not self.training or rate == 0.0 or channels == 0:
            return None
        keep = torch.empty((*like.shape[:3], GATES, channels), dtype=like.dtype, device=like.device)
        return keep.bernoulli_(1.0 - rate).div_(1.0 - rate)

    def _convolve(self, maps: Tensor, weight: Tensor, bias: Optional[Tensor], mask: Optional[Tensor]) -> Tensor:
        """(..., B, H, W, C) -> (all leading axes, H, W, 4 hidden). With a mask, each gate reads its own masked copy."""
        groups = 1
        if mask is not None:
            maps = (maps.unsqueeze(-2) * mask).flatten(-2)
            groups = GATES
        return convolve(maps.flatten(0, -4), weight, bias, self.radius, self.padding, groups)


def convolve(
    maps: Tensor, weight: Tensor, bias: Optional[Tensor], radius: int, padding: str = "zeros", groups: int = 1
) -> Tensor:
    """Convolution of the same size on channels-last maps: (N, H, W, C) -> (N, H, W, channels out), contiguous."""
    planes = maps.permute(0, 3, 1, 2)
    if padding == "replicate" and radius:
        planes = F.pad(planes, (radius, radius, radius, radius), mode="replicate")
        radius = 0
    return F.conv2d(planes, weight, bias, padding=radius, groups=groups).permute(0, 2, 3, 1).contiguous()
