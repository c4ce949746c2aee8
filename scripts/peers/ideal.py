"""The ideal that a recurrent network cannot pass: its convolutions alone, all steps of a layer at once.

One channels-last convolution a layer over (batch x steps) maps of input and state side by side, one gradient by data
and one by weight, and the output convolution; no recurrence, no gates, no normalisation, no optimizer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


class IdealConvolutions:
    """Convolutions of a ConvLSTM with layers of ``hidden`` channels, in ``kind`` (float32 or bfloat16)."""

    def __init__(
        self, batch: int, steps: int, channels: int, rows: int, columns: int, hidden: Sequence[int],
        kind: torch.dtype, device: str = "cpu", kernel: int = 3,
    ) -> None:  # fmt: skip
        sizes = (channels, *hidden)
        widths = [(sizes[k] + hidden[k], 4 * hidden[k], batch * steps) for k in range(len(hidden))]
        widths.append((hidden[-1], 1, batch))  # the output convolution
        self.padding = kernel // 2

        def noise(*shape: int) -> Tensor:
            made = torch.randn(shape, device=device, dtype=torch.float32).to(kind)
            return made.contiguous(memory_format=torch.channels_last)

        self.layers = [
            (noise(number, wide, rows, columns), noise(out, wide, kernel, kernel), noise(number, out, rows, columns))
            for wide, out, number in widths
        ]

    @torch.no_grad()
    def forward(self) -> None:
        """The forward convolutions."""
        for maps, weight, _ in self.layers:
            F.conv2d(maps, weight, padding=self.padding)

    @torch.no_grad()
    def step(self) -> None:
        """The forward convolutions and both gradients of each."""
        self.forward()
        around = [self.padding] * 2
        for maps, weight, gradient in self.layers:
            torch.ops.aten.convolution_backward(
                gradient, maps, weight, None, [1, 1], around, [1, 1], False, [0, 0], 1, [True, True, False]
            )
