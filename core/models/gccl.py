"""GCCL: ConvLSTM and graph ConvLSTM side by side (Pan et al. 2025, doi:10.1016/j.jhydrol.2024.132572)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Optional

import torch
from torch import Tensor, nn

from ..contracts.errors import ConfigError
from .base import WHOLE_FRAME_PX
from .gating import lstm_update, start_gates
from .graph import CorrelationGraph, standard
from .sequence import plain
from .stacked import ConvLSTMUnit, StackedMaps, frames_of, head_predictions, unroll


class GraphUnit(nn.Module):
    r"""A graph ConvLSTM step (Seo et al. 2018, doi:10.1007/978-3-030-04167-0_33): the gates of an LSTM read what
    reaches a cell over its links.

    .. math:: (i, f, g, o) = \sum_{k=0}^{K} \Theta_k P^k [X, H] + b, \quad C' = \sigma(f) \circ C + \sigma(i) \circ
        \tanh(g), \quad H' = \sigma(o) \circ \tanh(C')

    ``P`` is the mean over the linked cells, K the number of ``hops``. Polynomials of P up to K are the same functions
    as the Chebyshev polynomials of the graph's Laplacian there, in another basis. No peepholes.
    """

    def __init__(self, inputs: int, hidden: int, hops: int) -> None:
        super().__init__()
        self.hops = hops
        self.gates = nn.Conv2d((hops + 1) * (inputs + hidden), 4 * hidden, 1)
        start_gates(self.gates.weight, self.gates.bias)
        self.hidden = hidden

    def forward(
        self, frame: Tensor, state: Optional[tuple[Tensor, Tensor]], graph: CorrelationGraph
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One step: (B, inputs, H, W) and the state to the output and the new state (h, c)."""
        h, c = (frame.new_zeros((len(frame), self.hidden, *frame.shape[2:])), None) if state is None else state
        reached = [torch.cat((frame, h.to(frame.dtype)), dim=1)]
        for _ in range(self.hops):
            reached.append(graph.mean(reached[-1]))
        h, c = lstm_update(self.gates(torch.cat(reached, dim=1)), c)
        return h, (h, c)


class _LocalAndLinked(nn.Module):
    """A ConvLSTM step and a graph ConvLSTM step of the same input, joined by a 1 x 1 convolution."""

    def __init__(self, inputs: int, hidden: int, kernel: int, hops: int) -> None:
        super().__init__()
        self.local, self.linked = ConvLSTMUnit(inputs, hidden, kernel), GraphUnit(inputs, hidden, hops)
        self.join = nn.Conv2d(2 * hidden, hidden, 1)

    def forward(self, frame: Tensor, state: Optional[tuple], graph: CorrelationGraph) -> tuple[Tensor, tuple]:
        near, far = (None, None) if state is None else state
        local, near = self.local(frame, near)
        linked, far = self.linked(frame, far, graph)
        return self.join(torch.cat((local, linked), dim=1)), (near, far)

    def outputs(self, frames: list[Tensor], warm_up: int, graph: CorrelationGraph) -> list[Tensor]:
        """Of all steps: the two branches meet behind the recurrence only."""
        if not plain(self):
            return unroll(partial(self, graph=graph), frames, warm_up)
        local = unroll(self.local, frames, warm_up)
        linked = unroll(partial(self.linked, graph=graph), frames, warm_up)
        joined = []
        for number, pair in enumerate(zip(local, linked)):
            with torch.set_grad_enabled(torch.is_grad_enabled() and number >= warm_up):
                joined.append(self.join(torch.cat(pair, dim=1)))
        return joined


class GCCL(StackedMaps):
    """Layers in which a ConvLSTM sees the neighbours and a graph ConvLSTM the cells whose series go along, wherever
    they lie; and an output convolution.

    The links come from the Pearson correlation of the cells' series, as in the paper; ours, where it is not public:
    each cell keeps its ``links`` best positive correlations, as shares that add up to 1, and each layer joins its two
    branches by a 1 x 1 convolution.

    The links are fitted once, before training, by :meth:`prepare_from`, and are saved with the weights. So a model is
    bound to its grid. Without a fit, each cell is linked with those nearest to it.
    """

    name = "gccl"

    def __init__(
        self, in_channels: int, out_channels: int, static_channels: int = 0, leads: int = 1, **options: Any
    ) -> None:
        super().__init__(in_channels, out_channels, static_channels, leads, **options)
        if self.options["graph_channel"] >= self.in_channels:
            raise ConfigError(
                "The links cannot be fitted to this input",
                expected=f"gccl.graph_channel from 0 to {self.in_channels - 1}, or -1 for all inputs",
                got=str(self.options["graph_channel"]),
                remedy="Count the dynamic inputs from 0",
            )
        self.graph = CorrelationGraph(self.options["links"])

    def make_cell(self, inputs: int, hidden: int) -> nn.Module:
        """A ConvLSTM and a graph ConvLSTM side by side."""
        return _LocalAndLinked(inputs, hidden, self.options["kernel"], self.options["hops"])

    def fit_graph(self, series: Tensor, mask: Optional[Tensor] = None, size: Optional[tuple[int, int]] = None) -> None:
        """Fit the links to ``series`` (T, cells) of the training period; see :meth:`CorrelationGraph.fit`."""
        self.graph.fit(series, mask, size)

    def prepare_from(self, x: Tensor, mask: Optional[Tensor] = None) -> None:
        """Fit the links to the scaled dynamic inputs ``x`` (T, C, H, W) of the training period.

        ``mask`` (..., H, W) is 0 where a cell takes no part. With ``graph_channel`` -1 the correlation is the mean over
        the inputs. NaN is missing.
        """
        chosen = self.options["graph_channel"]
        if x.dim() != 4 or x.shape[1] <= chosen:
            raise ConfigError(
                "The links cannot be fitted to these maps",
                expected=f"shape (steps, {self.in_channels}, rows, columns)",
                got=f"shape {tuple(x.shape)}",
                remedy="Give the dynamic inputs of the training period",
            )
        channels = range(x.shape[1]) if chosen < 0 else (chosen,)
        series = torch.cat([standard(x[:, channel].flatten(1).float()) for channel in channels])
        self.fit_graph(series, mask, (x.shape[2], x.shape[3]))

    def adopt_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Make room for the links in a model file, by the shapes of its tensors."""
        self.graph.adopt(shapes, "graph.")

    def halo_px(self, window: int) -> int:
        """Links reach anywhere."""
        return WHOLE_FRAME_PX

    def forward(
        self,
        x: Tensor,
        static: Optional[Tensor] = None,
        observed: Optional[Tensor] = None,
        last_steps: int = 1,
        warm_up: int = 0,
    ) -> dict[str, Tensor]:
        """Predict; raises ConfigError on a grid other than that of the links."""
        self.check_input(x, static, observed, last_steps)
        self.graph.bind(*x.shape[3:])
        frames = frames_of(x, static if self.uses_static else None, observed, self.uses_observed)
        for cell in self.layers:
            frames = [self.dropout(frame) for frame in cell.outputs(frames, warm_up, self.graph)]
        heads = [self.head(frame) for frame in frames[-last_steps:]]
        return head_predictions(heads, self.leads, self.out_channels)
