"""Attention modules that several families share. Maps are (B, channels, H, W)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ChannelAttention(nn.Module):
    r"""Weights of channels from their mean and largest value over the map, by one shared perceptron.

    .. math:: M_c(F) = \sigma(\mathrm{MLP}(\mathrm{mean}(F)) + \mathrm{MLP}(\max(F)))

    Woo et al. 2018 (CBAM), doi:10.1007/978-3-030-01234-2_1, equation 2; ``reduction`` narrows the hidden layer.
    """

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        narrow = max(1, channels // reduction)
        self.narrow, self.widen = nn.Linear(channels, narrow), nn.Linear(narrow, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) -> weights (B, C, 1, 1) between 0 and 1."""
        return torch.sigmoid(self._mlp(maps.mean(dim=(2, 3))) + self._mlp(maps.amax(dim=(2, 3))))[:, :, None, None]

    def _mlp(self, pooled: Tensor) -> Tensor:
        return self.widen(F.relu(self.narrow(pooled)))


class SpatialAttention(nn.Module):
    r"""Weights of cells from the mean and largest value over the channels.

    .. math:: M_s(F) = \sigma(W * [\mathrm{mean}_c(F), \max_c(F)])

    Woo et al. 2018 (CBAM), equation 3; the kernel is 7 there.
    """

    def __init__(self, kernel: int = 7) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 1, kernel, padding=kernel // 2)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) -> weights (B, 1, H, W) between 0 and 1."""
        pooled = torch.cat((maps.mean(dim=1, keepdim=True), maps.amax(dim=1, keepdim=True)), dim=1)
        return torch.sigmoid(self.convolution(pooled))


class SelfAttentionMemory(nn.Module):
    r"""The self-attention memory of SA-ConvLSTM: every cell asks all cells of the hidden state and of a memory M.

    .. math::
        Z_h = V_h \, \mathrm{softmax}(Q_h^T K_h)^T, \quad Z_m = V_m \, \mathrm{softmax}(Q_h^T K_m)^T, \quad
        Z = W_z * [Z_h, Z_m]

        i' = \sigma(W_i * [Z, H]), \quad g' = \tanh(W_g * [Z, H]), \quad o' = \sigma(W_o * [Z, H])

        M' = (1 - i') \circ M + i' \circ g', \quad \hat H = o' \circ M'

    Q, K, V are 1 x 1 convolutions of H and M. Lin et al. 2020, doi:10.1609/aaai.v34i07.6819. With ``heads`` > 1 the
    channels of Q, K and V are split among that many attentions (Vaswani et al. 2017), scaled by the root of their
    width; with one, as in the paper, there is no scale. Time and memory grow with the square of the number of cells.
    """

    def __init__(self, hidden: int, attended: int, heads: int = 1, pooling: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.heads, self.pooling = heads, pooling
        self.query = nn.Conv2d(hidden, attended, 1)
        self.hidden_key, self.hidden_value = nn.Conv2d(hidden, attended, 1), nn.Conv2d(hidden, hidden, 1)
        self.memory_key, self.memory_value = nn.Conv2d(hidden, attended, 1), nn.Conv2d(hidden, hidden, 1)
        self.mix = nn.Conv2d(2 * hidden, hidden, 1)
        self.gates = nn.Conv2d(2 * hidden, 3 * hidden, 1)

    def forward(self, h: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """h and M (B, hidden, H, W) -> the attended output and the new M."""
        query = self.query(h)
        from_hidden = self._attend(query, self.hidden_key(h), self.hidden_value(h))
        from_memory = self._attend(query, self.memory_key(memory), self.memory_value(memory))
        z = self.mix(torch.cat((from_hidden, from_memory), dim=1))
        i, g, o = self.gates(torch.cat((z, h), dim=1)).chunk(3, dim=1)
        memory = memory + torch.sigmoid(i) * (torch.tanh(g) - memory)
        return torch.sigmoid(o) * memory, memory

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        scale = 1.0 if self.heads == 1 else None
        key, value = (pyramid(maps, self.pooling) for maps in (key, value))
        parts = [
            maps.unflatten(1, (self.heads, -1)).transpose(2, 3).contiguous() for maps in (query.flatten(2), key, value)
        ]
        found = F.scaled_dot_product_attention(*parts, scale=scale)
        return found.transpose(2, 3).flatten(1, 2).unflatten(2, query.shape[2:])


def pyramid(maps: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """(B, C, H, W) -> (B, C, n): all cells, or with ``sizes`` the means over 1 x 1, 2 x 2 ... parts of the map side by
    side (spatial pyramid pooling, He et al. 2015, doi:10.1109/TPAMI.2015.2389824).
    """
    if not sizes:
        return maps.flatten(2)
    return torch.cat([F.adaptive_avg_pool2d(maps, size).flatten(2) for size in sizes], dim=2)
