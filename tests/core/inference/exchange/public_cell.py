"""A plain transcription of the public PyTorch ConvLSTM (ndrplz/ConvLSTM_pytorch, MIT), to hold imports against."""

from __future__ import annotations

import torch
from torch import nn


class PublicCell(nn.Module):
    """One convolution over input and state; its rows are the gates i, f, o, g."""

    def __init__(self, input_dim, hidden_dim, kernel_size, bias):
        super().__init__()
        self.hidden_dim = hidden_dim
        padding = kernel_size[0] // 2, kernel_size[1] // 2
        self.conv = nn.Conv2d(input_dim + hidden_dim, 4 * hidden_dim, kernel_size, padding=padding, bias=bias)

    def forward(self, input_tensor, cur_state):
        h_cur, c_cur = cur_state
        combined_conv = self.conv(torch.cat([input_tensor, h_cur], dim=1))
        cc_i, cc_f, cc_o, cc_g = torch.split(combined_conv, self.hidden_dim, dim=1)
        i, f, o, g = torch.sigmoid(cc_i), torch.sigmoid(cc_f), torch.sigmoid(cc_o), torch.tanh(cc_g)
        c_next = f * c_cur + i * g
        return o * torch.tanh(c_next), c_next


class PublicModel(nn.Module):
    """Its stack of cells, with a batch normalisation after each where asked for, and a head on the last step."""

    def __init__(self, inputs, hidden, kernels, bias=True, norms=False, head=1):
        super().__init__()
        sizes = (inputs, *hidden)
        self.cell_list = nn.ModuleList(
            PublicCell(a, b, (k, k), bias) for a, b, k in zip(sizes, hidden, kernels)
        )  # fmt: skip
        self.norms = nn.ModuleList(nn.BatchNorm2d(size) for size in hidden) if norms else None
        self.out = nn.Conv2d(hidden[-1], head, 3, padding=1) if head else None

    def forward(self, x):
        """(B, T, C, H, W) -> (B, M, H, W)."""
        steps = list(x.unbind(1))
        for number, cell in enumerate(self.cell_list):
            h = c = x.new_zeros((len(x), cell.hidden_dim, *x.shape[3:]))
            outputs = []
            for step in steps:
                h, c = cell(step, (h, c))
                outputs.append(h if self.norms is None else self.norms[number](h))
            steps = outputs
        return steps[-1] if self.out is None else self.out(steps[-1])


def random_model(**options):
    """A model with random weights and statistics, in evaluation mode."""
    torch.manual_seed(3)
    model = PublicModel(**options).eval()
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                value.uniform_(0.3, 2.0) if name.endswith("running_var") else value.normal_(std=0.5)
    return model
