"""The public PyTorch ConvLSTM, written out plainly from its published design (ndrplz/ConvLSTM_pytorch): maps with
channels first, one convolution over input and state side by side, gates i, f, o, g cut from its result, sequences
stacked after each layer. With the batch normalisation and the output convolution that the network of a basin needs.

Only torch is imported, so a machine with a bare torch can measure against it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PublicCell(nn.Module):
    """One step of one layer: input (B, C, H, W) and state (h, c), each (B, hidden, H, W), to the next state."""

    def __init__(self, in_channels: int, hidden: int, kernel: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.conv = nn.Conv2d(in_channels + hidden, 4 * hidden, kernel, padding=kernel // 2)

    def forward(self, frame: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The next (h, c)."""
        h, c = state
        i, f, o, g = torch.split(self.conv(torch.cat([frame, h], dim=1)), self.hidden, dim=1)
        i, f, o, g = torch.sigmoid(i), torch.sigmoid(f), torch.sigmoid(o), torch.tanh(g)
        c = f * c + i * g
        return o * torch.tanh(c), c


class PublicConvLSTM(nn.Module):
    """Layers of :class:`PublicCell`, batch normalisation after each where asked for, an output convolution on the last
    step: (B, T, C, H, W) to (B, 1, 1, H, W).
    """

    def __init__(self, in_channels: int, hidden: Sequence[int], kernel: int = 3, normalised: bool = True) -> None:
        super().__init__()
        sizes = (in_channels, *hidden)
        self.cells = nn.ModuleList(PublicCell(sizes[k], sizes[k + 1], kernel) for k in range(len(hidden)))
        self.norms = nn.ModuleList(nn.BatchNorm2d(size) if normalised else nn.Identity() for size in hidden)
        self.head = nn.Conv2d(hidden[-1], 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """The prediction of the last step."""
        batch, steps, _, rows, columns = x.shape
        current = x
        for number, cell in enumerate(self.cells):
            h = c = torch.zeros(batch, cell.hidden, rows, columns, device=x.device)
            outputs = []
            for t in range(steps):
                h, c = cell(current[:, t], (h, c))
                outputs.append(h)
            current = torch.stack(outputs, dim=1)
            if number < len(self.cells) - 1:
                current = self.norms[number](current.flatten(0, 1)).unflatten(0, (batch, steps))
        return self.head(self.norms[-1](h)).unsqueeze(1)

    @torch.no_grad()
    def take_weights(self, model: nn.Module) -> None:
        """The weights of a Freshet ConvLSTM of the same sizes, whose gates lie in the order i, f, g, o. Raises
        RuntimeError where a size differs.
        """
        state = {}
        for number, theirs in enumerate(model.encoder):
            state[f"cells.{number}.conv.weight"] = regated(torch.cat((theirs.weight_x, theirs.weight_h), dim=1))
            state[f"cells.{number}.conv.bias"] = regated(theirs.bias)
        for number, norm in enumerate(model.encoder_norms):
            state.update({f"norms.{number}.{name}": value for name, value in norm.state_dict().items()})
        state.update({"head.weight": model.head_weight, "head.bias": model.head_bias})
        self.load_state_dict(state)


def regated(rows: Tensor) -> Tensor:
    """Rows in the order of the gates i, f, g, o to i, f, o, g, or back (the exchange is its own inverse)."""
    i, f, third, fourth = rows.chunk(4)
    return torch.cat((i, f, fourth, third))
