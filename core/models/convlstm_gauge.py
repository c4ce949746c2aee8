"""ConvLSTM for gauges: with spatial attention, or fully connected (Longyang et al. 2024, doi:10.1029/2024WR037878)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

import torch
from torch import Tensor, nn

from ..contracts.errors import ConfigError
from ..contracts.models import family
from .base import WHOLE_FRAME_PX, ForecastModel
from .stacked import ConvLSTMUnit, frames_of, unroll

_FAR_BELOW = -1e30  # logit of a cell outside the basin; finite, so that a mask without a cell gives no NaN


class SpatialAttention(nn.Module):
    r"""Cells weighed and added up, one sum for each of G gauges.

    .. math::
        a_g = \mathrm{softmax}_{cells}\big(v_g \cdot \tanh(U [H, s])\big), \quad
        q_{g}(i) = a_g(i)\, (w_{g} \cdot H(i)), \quad y_g = b_g + \sum_i q_g(i)

    over the cells i of the basin, with hidden state H and static maps s; ``w`` and ``b`` for each lead and target.
    """

    def __init__(self, hidden: int, static: int, channels: int, outputs: int, gauges: int) -> None:
        super().__init__()
        self.gauges = gauges
        self.seen = nn.Conv2d(hidden + static, channels, 1)
        self.score = nn.Conv2d(channels, gauges, 1, bias=False)
        self.contribution = nn.Conv2d(hidden, outputs * gauges, 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(outputs, gauges))

    def forward(self, state: Tensor, fixed: Optional[Tensor], inside: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sums (B, outputs, G), attention (B, G, H, W), contributions (B, outputs, G, H, W)."""
        seen = state if fixed is None else torch.cat((state, fixed.to(state.dtype)), dim=1)
        logits = self.score(torch.tanh(self.seen(seen)))
        logits = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
        logits = torch.where(inside > 0.0, logits, _FAR_BELOW)
        attention = torch.softmax(logits.flatten(2), dim=2).view_as(logits)
        contributions = self.contribution(state).unflatten(1, (-1, self.gauges)) * attention.unsqueeze(1)
        return contributions.sum(dim=(3, 4)) + self.bias, attention, contributions


class Connected(nn.Module):
    """A weight for every cell and channel: y = b + W vec(H). ``weight`` (outputs, hidden, rows, columns) has no cell
    before a grid is known: from the training data, from a file, or from the first map that is seen.
    """

    def __init__(self, hidden: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, hidden, 0, 0))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def bind(self, height: int, width: int) -> None:
        """Take this grid, or raise ConfigError where the weights are those of another one."""
        outputs, hidden, rows, columns = self.weight.shape
        if rows == 0:
            # In place, since an optimizer may hold the parameter already.
            self.weight.data = self.weight.data.new_empty((outputs, hidden, height, width))
            nn.init.normal_(self.weight, std=(hidden * height * width) ** -0.5)
        elif (rows, columns) != (height, width):
            raise ConfigError(
                "This model is bound to its grid: it has a weight for every cell",
                expected=f"{rows} x {columns} cells",
                got=f"{height} x {width} cells",
                remedy="Give maps of that grid, train a model for this one, or set convlstm-gauge.reading to attention",
            )

    def adopt(self, shape: tuple[int, ...]) -> None:
        """Make room for weights of a file. As views of one number: a header that lies takes no memory."""
        if len(shape) == 4 and shape[:2] == tuple(self.weight.shape[:2]):
            self.weight.data = self.weight.data.new_zeros((1, 1, 1, 1)).expand(shape)

    def forward(self, state: Tensor) -> Tensor:
        """(B, hidden, H, W) -> (B, outputs)."""
        return nn.functional.linear(state.flatten(1), self.weight.flatten(1), self.bias)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        held = state_dict.get(prefix + "weight")
        if held is not None:
            self.adopt(tuple(held.shape))
            self.weight.data = self.weight.data.clone()
        super()._load_from_state_dict(state_dict, prefix, *args)


class ConvLSTMGauge(ForecastModel):
    """ConvLSTM layers on maps, and one reading of the top state for the K targets at G gauges and L leads.

    ``reading`` attention (ConvLSTM-SA): see :class:`SpatialAttention`; connected (ConvLSTM-FC): see
    :class:`Connected`. The equations of the paper are not public; ours: attention is a softmax over the cells of the
    basin, so that its maps add up to one; it reads the static maps too, since a state alone does not know where it
    lies; all leads come from the last state. The paper feeds snowmelt and rain, one map a day.

    The first layer reads the dynamic input, with ``mask_channels`` the masks of observed input, and the static maps,
    all as 0 outside the basin's mask. Returned beside ``y_hat`` with attention: ``attention`` (B, G, H, W) of the last
    step, which adds up to 1 over the basin, and ``contribution`` (B, L, K, G, H, W), which adds up to the prediction
    but for the head's bias. Shapes, units and NaN policy: :mod:`core.models.base`.
    """

    uses_mask = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        static_channels: int = 0,
        leads: int = 1,
        gauges: int = 1,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, static_channels, leads, gauges)
        self.options = family("convlstm-gauge").complete(options)
        self.uses_static = self.static_channels > 0
        self.uses_observed = self.options["mask_channels"]
        inputs = self.in_channels * (2 if self.uses_observed else 1) + self.static_channels
        sizes = (inputs, *self.options["hidden"])
        self.layers = nn.ModuleList(ConvLSTMUnit(a, b, self.options["kernel"]) for a, b in zip(sizes, sizes[1:]))
        self.dropout = nn.Dropout2d(self.options["dropout"])
        self.attends = self.options["reading"] == "attention"
        series = self.leads * self.out_channels
        if self.attends:
            self.head = SpatialAttention(
                sizes[-1], self.static_channels, self.options["attention"], series, self.gauges
            )
        else:
            self.head = Connected(sizes[-1], series * self.gauges)

    def forward(
        self,
        x: Tensor,
        static: Optional[Tensor] = None,
        observed: Optional[Tensor] = None,
        last_steps: int = 1,
        warm_up: int = 0,
        mask: Optional[Tensor] = None,
    ) -> dict[str, Tensor]:
        """Predict; a connected reading raises ConfigError on a grid other than its own."""
        self.check_input(x, static, observed, last_steps)
        if not self.attends:
            self.head.bind(*x.shape[3:])
        inside = x.new_ones((1, 1, *x.shape[3:])) if mask is None else mask.to(x.dtype)
        fixed = static.to(x.dtype) * inside if self.uses_static else None
        frames = [frame * inside for frame in frames_of(x, fixed, observed, self.uses_observed)]
        for cell in self.layers:
            frames = [self.dropout(frame) for frame in unroll(cell, frames, warm_up)]
        result: dict[str, Tensor] = {}
        series = []
        for state in frames[-last_steps:]:
            if self.attends:
                found, result["attention"], contributions = self.head(state, fixed, inside)
                result["contribution"] = contributions.unflatten(1, (self.leads, self.out_channels))
            else:
                found = self.head(state * inside.to(state.dtype))
            series.append(found.reshape(len(x), self.leads, self.out_channels, self.gauges))
        result["y_hat"] = series[-1]
        if last_steps > 1:
            result["y_hat_steps"] = torch.stack(series, dim=1)
        return result

    def prepare_from(self, x: Tensor, mask: Optional[Tensor] = None) -> None:
        """Take the grid of the training data ``x`` (T, C, H, W) where a reading has a weight for every cell."""
        if not self.attends:
            self.head.bind(*x.shape[-2:])

    def adopt_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Make room for the weights in a model file, by the shapes of its tensors."""
        if not self.attends:
            self.head.adopt(tuple(shapes.get("head.weight", ())))

    def halo_px(self, window: int) -> int:
        """A gauge sees the whole frame."""
        return WHOLE_FRAME_PX
