"""Links between the cells of a grid, from the correlation of their series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

import torch
from torch import Tensor, nn

from ..contracts.errors import ConfigError
from .rows import weighted_rows

_BLOCK = 2**24  # correlations held at a time


class CorrelationGraph(nn.Module):
    """Weighted links from each cell to at most ``links`` others, kept with the weights of the model.

    Buffers: ``sources (cells, links)`` and ``shares (cells, links)``: which cells a cell looks at, and how much; the
    shares of a cell add up to 1, or to 0 where it has no link. ``size (2,)``: rows and columns of the grid, 0 0 where
    unknown. Without a fit, the first grid that is seen links each cell with those nearest to it.
    """

    def __init__(self, links: int) -> None:
        super().__init__()
        self.links = links
        self.register_buffer("sources", torch.zeros((0, links), dtype=torch.int64))
        self.register_buffer("shares", torch.zeros((0, links)))
        self.register_buffer("size", torch.zeros(2, dtype=torch.int64))

    @property
    def cells(self) -> int:
        """Number of cells; 0 before a grid is known."""
        return len(self.sources)

    def bind(self, height: int, width: int) -> None:
        """Take this grid, or raise ConfigError where the links are those of another one."""
        if self.cells == 0:
            self._take(*_nearest(height, width, self.links), (height, width))
        elif self.cells != height * width or self.size.tolist() not in ([height, width], [0, 0]):
            rows, columns = self.size.tolist()
            raise ConfigError(
                "This model is bound to its grid: its links join certain cells",
                expected=f"{rows} x {columns} cells" if rows else f"{self.cells} cells",
                got=f"{height} x {width} cells",
                remedy="Give maps of that grid, train a model for this one, or choose a family that runs on any grid",
            )

    def fit(self, series: Tensor, mask: Optional[Tensor] = None, size: Optional[tuple[int, int]] = None) -> None:
        """Link each cell with those whose series correlate best with its own (Pearson).

        ``series`` (T, cells), NaN where missing: such a step counts as the cell's mean. ``mask`` (cells,) is 0 where a
        cell takes no part. ``size``: rows and columns. A cell without variation, or without a positive correlation,
        has no link.
        """
        if series.dim() != 2 or (size is not None and size[0] * size[1] != series.shape[1]):
            raise ConfigError(
                "The series do not fit the grid",
                expected="shape (steps, cells)" + (f" with {size[0] * size[1]} cells" if size else ""),
                got=f"shape {tuple(series.shape)}",
                remedy="Give one series for each cell of the grid",
            )
        unit = standard(series.to(self.shares))
        if mask is not None:
            unit = unit * (mask.reshape(-1).to(unit) > 0)
        cells = unit.shape[1]
        most = min(self.links, cells)
        sources = torch.zeros((cells, self.links), dtype=torch.int64, device=unit.device)
        weights = torch.zeros((cells, self.links), dtype=unit.dtype, device=unit.device)
        for rows in torch.arange(cells, device=unit.device).split(max(1, _BLOCK // cells)):
            correlation = unit[:, rows].t() @ unit
            correlation[torch.arange(len(rows), device=rows.device), rows] = 0.0
            weights[rows, :most], sources[rows, :most] = correlation.topk(most, dim=1)
        # Rounding gives unrelated cells a correlation of 1e-8, which would become a full share if it were the only one.
        weights = torch.where(weights > 1e-6, weights, 0.0)
        total = weights.sum(dim=1, keepdim=True)
        self._take(sources, weights / torch.where(total > 0.0, total, 1.0), size or (0, 0))

    def mean(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) -> the mean over the linked cells, by their shares, of the same shape and at least float32."""
        batch, channels, height, width = maps.shape
        table = maps.to(self.shares.dtype).flatten(2).permute(2, 0, 1).flatten(1)
        found = weighted_rows(table, self.sources, self.shares)
        return found.view(height, width, batch, channels).permute(2, 3, 0, 1)

    def adopt(self, shapes: Mapping[str, tuple[int, ...]], prefix: str) -> None:
        """Make room for links of the shapes that a model file tells, before they are read from it."""
        held = shapes.get(prefix + "sources", ())
        if len(held) == 2 and held[1] == self.links and shapes.get(prefix + "shares") == held:
            # Views of one number: a header that lies about its shapes takes no memory.
            self._take(self.sources.new_zeros((1, 1)).expand(held), self.shares.new_zeros((1, 1)).expand(held), (0, 0))

    def _take(self, sources: Tensor, shares: Tensor, size: tuple[int, int]) -> None:
        self.sources = sources.to(self.sources.device)
        self.shares = shares.to(self.shares)
        self.size = torch.tensor(size, dtype=torch.int64, device=self.size.device)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        self.adopt({name: tuple(value.shape) for name, value in state_dict.items()}, prefix)
        self.sources, self.shares = self.sources.clone(), self.shares.clone()
        sources = state_dict.get(prefix + "sources")
        if sources is not None and sources.numel() and not 0 <= int(sources.min()) <= int(sources.max()) < len(sources):
            args[-1].append(f"{prefix}sources names cells that the grid does not have")
        super()._load_from_state_dict(state_dict, prefix, *args)


def standard(series: Tensor) -> Tensor:
    """(T, cells) -> deviations from each cell's mean, of length 1; 0 where NaN and where a cell does not vary."""
    known = torch.isfinite(series)
    values = torch.where(known, series, 0.0)
    mean = values.sum(dim=0) / known.sum(dim=0).clamp(min=1)
    away = torch.where(known, values - mean, 0.0)
    length = away.square().sum(dim=0).sqrt()
    floor = 1e-6 * (mean.abs() + 1e-30) * len(series) ** 0.5
    return torch.where(length > floor, away / torch.where(length > floor, length, 1.0), 0.0)


def _nearest(height: int, width: int, links: int) -> tuple[Tensor, Tensor]:
    """Links of each cell with the ``links`` places nearest to it, by equal shares, without those beyond the edge."""
    reach = int(links**0.5) + 1
    around = [(row, column) for row in range(-reach, reach + 1) for column in range(-reach, reach + 1)]
    around.remove((0, 0))
    around.sort(key=lambda place: (place[0] ** 2 + place[1] ** 2, place))
    moves = torch.tensor(around[:links])
    rows = torch.arange(height)[:, None, None] + moves[:, 0]
    columns = torch.arange(width)[None, :, None] + moves[:, 1]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    sources = torch.where(inside, rows * width + columns, 0).reshape(-1, links)
    shares = inside.reshape(-1, links).float()
    return sources, shares / shares.sum(dim=1, keepdim=True).clamp(min=1.0)
