"""Weighted sums of rows of a table, which interpolate maps and follow links."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def weighted_rows(table: Tensor, places: Tensor, shares: Tensor) -> Tensor:
    """``out[n] = sum_k shares[n, k] table[places[n, k]]``: (R, C), (N, K), (N, K) -> (N, C).

    As an embedding bag, which holds none of the N K rows that it adds up; where a device lacks that, by plain indexing.
    """
    if table.device.type in ("cpu", "cuda"):
        return F.embedding_bag(places, table, mode="sum", per_sample_weights=shares)
    return indexed_rows(table, places, shares)


def indexed_rows(table: Tensor, places: Tensor, shares: Tensor) -> Tensor:
    """The same by plain indexing."""
    return (table[places] * shares[..., None]).sum(dim=1)
