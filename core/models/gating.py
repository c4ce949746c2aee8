"""The update of an LSTM memory, for families that make the gates in their own way."""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor, nn


def lstm_update(gates: Tensor, c: Optional[Tensor]) -> tuple[Tensor, Tensor]:
    r"""New output and memory (B, hidden, ...) from gates (B, 4 hidden, ...) before their activations, and the memory.

    .. math:: C' = \sigma(f) \circ C + \sigma(i) \circ \tanh(g), \quad H' = \sigma(o) \circ \tanh(C')

    The gates lie side by side as i, f, g, o; ``c`` None stands for zeros. A new memory is at least float32, or small
    increments would be lost in 16 bits.
    """
    i, f, g, o = gates.chunk(4, dim=1)
    new = torch.sigmoid(i) * torch.tanh(g)
    if c is not None:
        new = new + torch.sigmoid(f) * c
    elif new.dtype in (torch.bfloat16, torch.float16):
        new = new.float()
    return torch.sigmoid(o) * torch.tanh(new), new


def start_gates(weight: Tensor, bias: Tensor, forget_bias: float = 1.0) -> None:
    """Start values of weights (4 hidden, ...) and bias (4 hidden,): Glorot, zero, and ``forget_bias`` for f."""
    nn.init.xavier_uniform_(weight)
    nn.init.zeros_(bias)
    nn.init.constant_(bias.view(4, -1)[1], forget_bias)
