"""Layers of torch that cannot be computed for several models at once, step by step with the same weights."""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor, nn


class SteppedLSTM(nn.LSTM):
    """``torch.nn.LSTM`` by its equations: sigmoid gates i, f, o, a candidate g, c' = f c + i g, h = o tanh(c')."""

    def forward(  # type: ignore[override]
        self, x: Tensor, state: Optional[tuple[Tensor, Tensor]] = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """x (N, T, inputs), state (layers, N, hidden) twice; gives the outputs of the top layer and the last state."""
        last = []
        for layer in range(self.num_layers):
            weights = [getattr(self, f"{kind}_l{layer}") for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            if state is None:
                h = x.new_zeros((x.shape[0], self.hidden_size))
                c = h
            else:
                h, c = state[0][layer], state[1][layer]
            inflow = x @ weights[0].T + weights[2] + weights[3]
            outputs = []
            for step in inflow.unbind(1):
                i, f, g, o = (step + h @ weights[1].T).chunk(4, dim=-1)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
                outputs.append(h)
            x = torch.stack(outputs, dim=1)
            last.append((h, c))
        return x, (torch.stack([h for h, _ in last]), torch.stack([c for _, c in last]))


def stepped(module: nn.Module) -> nn.Module:
    """``module`` with each plain LSTM in it replaced by one that goes step by step; names and sizes stay."""
    for part in list(module.modules()):
        for name, child in list(part.named_children()):
            plain = type(child) is nn.LSTM and child.batch_first and child.bias and not child.dropout
            if plain and not child.bidirectional and not child.proj_size:
                made = SteppedLSTM(child.input_size, child.hidden_size, child.num_layers, batch_first=True)
                setattr(part, name, made)
    return module
