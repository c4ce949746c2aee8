"""The ConvLSTM cell: equations (9)-(14) of the review, with optional peepholes.

Inside the models, maps are kept channels-last as (B, H, W, C), sequences as (T, B, H, W, C): each step is one block of
memory and a convolution reads it without copying.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .sequence import Layer, plain, usable

# Gates lie side by side in the rows of the weights in this order: input, forget, candidate, output (i, f, g, o).
GATES = 4


class State(NamedTuple):
    """Hidden state ``h`` and memory ``c`` of one layer, each (B, H, W, hidden)."""

    h: Tensor
    c: Tensor


class Context(NamedTuple):
    """What stays the same at all steps of one sequence.

    ``weight_x`` (4 hidden, in_channels, k, k) is the part of the input weights that reads changing input, or None;
    ``weight`` that part and the state's weights side by side. ``base`` (B, H, W, 4 hidden) is the contribution of
    static maps and bias, or None without static maps. The dropout masks ``input_mask`` (B, H, W, 4, in_channels) and
    ``state_mask`` (B, H, W, 4, hidden) are None outside training.
    """

    weight_x: Optional[Tensor]
    weight: Tensor
    base: Optional[Tensor]
    input_mask: Optional[Tensor]
    state_mask: Optional[Tensor]


class ConvLSTMCell(nn.Module):
    """One ConvLSTM layer.

    .. math::
        i_t = σ(W_{xi} * X_t + W_{hi} * H_{t-1} + b_i),  f_t = σ(W_{xf} * X_t + W_{hf} * H_{t-1} + b_f)

        g_t = tanh(W_{xg} * X_t + W_{hg} * H_{t-1} + b_g),  o_t = σ(W_{xo} * X_t + W_{ho} * H_{t-1} + b_o)

        C_t = i_t ∘ g_t + f_t ∘ C_{t-1},  H_t = o_t ∘ tanh(C_t)

    ``*`` is the cross-correlation that deep learning calls convolution, ``∘`` the product cell by cell. With
    peepholes, i and f gain ``w ∘ C_{t-1}`` and o gains ``w ∘ C_t`` inside σ (Shi et al. 2015,
    doi:10.48550/arXiv.1506.04214). There w is a full (hidden, H, W) tensor; here it is one weight per channel, equal
    at all cells, so that the layer fits a grid of any size. ``state_activation`` relu takes the place of both tanh.

    One bias; forget bias ``forget_bias``; Glorot start for the input, orthogonal start for the state (as in Keras).
    Dropout draws one mask per sequence, gate, cell and channel (as in Keras). No NaN is expected or handled.

    Parameters
    ----------
    in_channels, static_channels : int
        Channels that change with time and channels that do not; mathematically one concatenated input. Their sum may
        be 0.
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
        state_activation: str = "tanh",
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
        self.squash = torch.relu if state_activation == "relu" else torch.tanh
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
        """Prepare a sequence: draw its dropout masks and convolve the static maps, once since they do not change.

        ``like`` (B, H, W, any) gives sizes, device and type; ``static`` (B, H, W, static_channels).
        """
        split = (self.in_channels, self.static_channels)
        mask = self._mask(like, sum(split), self.dropout)
        state_mask = self._mask(like, self.hidden, self.recurrent_dropout)
        weight, base = self.weight_x, None
        if self.static_channels:
            weight, fixed_weight = weight.split(split, dim=1)
            mask, fixed_mask = (None, None) if mask is None else mask.split(split, dim=-1)
            base = self._convolve([(static, fixed_mask)], fixed_weight, self.bias)
        if self.in_channels == 0:
            return Context(None, self.weight_h, base, None, state_mask)
        return Context(weight, torch.cat((weight, self.weight_h), dim=1), base, mask, state_mask)

    def forward(self, frame: Optional[Tensor], state: Optional[State], context: Context) -> State:
        """One step. ``frame`` (B, H, W, in_channels), None without changing input; ``state`` None stands for zeros."""
        i, f, g, o = self._gates(frame, state, context).split(self.hidden, dim=-1)
        if self.peephole is not None and state is not None:
            i, f = i + self.peephole[0] * state.c, f + self.peephole[1] * state.c
        c = self._gate(i) * self.squash(g)
        if state is not None:
            c = c + self._gate(f) * state.c
        elif c.dtype in (torch.bfloat16, torch.float16):
            # Under autocast the gates are 16 bits wide but the memory stays float32, or small increments would be lost.
            c = c.float()
        if self.peephole is not None:
            o = o + self.peephole[2] * c
        return State((self._gate(o) * self.squash(c)).to(g.dtype), c)

    def whole(self, context: Context, frames: Tensor) -> Optional[Layer]:
        """What a kernel computes all steps (T, B, H, W, in_channels) of a sequence with at once; None where it knows
        not every option of the cell, or may not be used here: then the cell goes step by step.
        """
        unknown = self.peephole is not None or self.hard or self.squash is not torch.tanh
        padded = self.padding != "zeros" and self.radius > 0
        masked = context.input_mask is not None or context.state_mask is not None
        if unknown or padded or masked or context.weight_x is None or not plain(self):
            return None
        layer = Layer(context.weight_x, self.weight_h, self.bias if context.base is None else None, context.base)
        return layer if usable(frames, *layer) else None

    def _gates(self, frame: Optional[Tensor], state: Optional[State], context: Context) -> Tensor:
        """(B, H, W, 4 hidden) before the activations.

        One convolution reads input and state side by side. Convolving the input of all steps at once beforehand was
        slower or at best equal: its result outgrows the caches, and its backward pass writes it once more.
        """
        weight = context.weight
        if state is None:
            parts, weight = [(frame, context.input_mask)], context.weight_x
        elif frame is None:
            parts = [(state.h, context.state_mask)]
        else:
            parts = [(frame.to(state.h.dtype), context.input_mask), (state.h, context.state_mask)]
        if context.base is None:
            return self._convolve(parts, weight, self.bias)
        return self._convolve(parts, weight, None) + context.base

    def _gate(self, x: Tensor) -> Tensor:
        return (0.2 * x + 0.5).clamp(0.0, 1.0) if self.hard else torch.sigmoid(x)

    def _mask(self, like: Tensor, channels: int, rate: float) -> Optional[Tensor]:
        if not self.training or rate == 0.0 or channels == 0:
            return None
        keep = torch.empty((*like.shape[:3], GATES, channels), dtype=like.dtype, device=like.device)
        return keep.bernoulli_(1.0 - rate).div_(1.0 - rate)

    def _convolve(self, parts: list, weight: Tensor, bias: Optional[Tensor]) -> Tensor:
        """Convolve pairs of maps (B, H, W, C) and mask, side by side.

        With a mask, each gate reads its own masked copy.
        """
        if all(mask is None for _, mask in parts):
            maps, groups = torch.cat([maps for maps, _ in parts], dim=-1), 1
        else:
            copies = [_copies(maps, mask) for maps, mask in parts]
            maps, groups = torch.cat(copies, dim=-1).flatten(-2), GATES
        return convolve(maps, weight, bias, self.radius, self.padding, groups)


def _copies(maps: Tensor, mask: Optional[Tensor]) -> Tensor:
    """(B, H, W, C) -> (B, H, W, 4, C), a copy for each gate."""
    maps = maps.unsqueeze(-2)
    return maps.expand(*maps.shape[:3], GATES, -1) if mask is None else maps * mask.to(maps.dtype)


def convolve(
    maps: Tensor, weight: Tensor, bias: Optional[Tensor], radius: int, padding: str = "zeros", groups: int = 1
) -> Tensor:
    """Convolution of the same size on channels-last maps: (N, H, W, C) -> (N, H, W, channels out), contiguous."""
    planes = maps.permute(0, 3, 1, 2)
    if padding == "replicate" and radius:
        planes = F.pad(planes, (radius, radius, radius, radius), mode="replicate")
        radius = 0
    return F.conv2d(planes, weight, bias, padding=radius, groups=groups).permute(0, 2, 3, 1).contiguous()
