"""ConvLSTM with attention: CBAM-ConvLSTM, SA-ConvLSTM, MSA-ConvLSTM, A-ConvLSTM. Maps are (B, channels, H, W)."""

from __future__ import annotations

from typing import Any, Optional

import torch
from torch import Tensor, nn

from ..contracts.errors import ConfigError
from .attention import ChannelAttention, SelfAttentionMemory, SpatialAttention
from .base import WHOLE_FRAME_PX
from .sequence import plain
from .stacked import ConvLSTMUnit, StackedMaps, frames_of, head_predictions, unroll


class CBAMConvLSTM(StackedMaps):
    """ConvLSTM layers whose output passes channel, then spatial attention (CBAM, Woo et al. 2018,
    doi:10.1007/978-3-030-01234-2_1), as Tian et al. 2023 merge precipitation products.

    The papers leave open where the module sits: here behind each layer, outside the recurrence, so that the state
    itself stays that of the plain layer.
    """

    name = "cbam-convlstm"

    def make_cell(self, inputs: int, hidden: int) -> nn.Module:
        """A ConvLSTM layer with the two attentions behind it."""
        return _AttendedUnit(inputs, hidden, self.options["kernel"], self.options["attention_kernel"])

    def halo_px(self, window: int) -> int:
        """Channel attention pools over the whole map."""
        return WHOLE_FRAME_PX


class _AttendedUnit(nn.Module):
    def __init__(self, inputs: int, hidden: int, kernel: int, attention_kernel: int) -> None:
        super().__init__()
        self.unit = ConvLSTMUnit(inputs, hidden, kernel)
        self.channels, self.cells = ChannelAttention(hidden), SpatialAttention(attention_kernel)

    def forward(self, frame: Tensor, state: Any) -> tuple[Tensor, Any]:
        h, state = self.unit(frame, state)
        return self._attended(h), state

    def unrolled(self, frames: list[Tensor], warm_up: int) -> Optional[list[Tensor]]:
        """Outputs of all steps; the attentions lie outside the recurrence."""
        if not plain(self):
            return None
        outputs = []
        for number, h in enumerate(unroll(self.unit, frames, warm_up)):
            with torch.set_grad_enabled(torch.is_grad_enabled() and number >= warm_up):
                outputs.append(self._attended(h))
        return outputs

    def _attended(self, h: Tensor) -> Tensor:
        h = h * self.channels(h)
        return h * self.cells(h)


class SAConvLSTM(StackedMaps):
    """ConvLSTM layers with self-attention memory (Lin et al. 2020, doi:10.1609/aaai.v34i07.6819); see
    :class:`core.models.attention.SelfAttentionMemory`. The attended output is the hidden state of the next step.
    """

    name = "sa-convlstm"
    channels_last = False  # attention reads map by map

    def make_cell(self, inputs: int, hidden: int) -> nn.Module:
        """A ConvLSTM layer whose hidden state is attended."""
        attended = self.options["attended"] or max(1, hidden // 2)
        memory = SelfAttentionMemory(hidden, attended, self._heads(hidden, attended), self._pooling())
        return _SelfAttendedUnit(ConvLSTMUnit(inputs, hidden, self.options["kernel"]), memory)

    def halo_px(self, window: int) -> int:
        """Every cell attends to all."""
        return WHOLE_FRAME_PX

    def _heads(self, hidden: int, attended: int) -> int:
        return 1

    def _pooling(self) -> tuple[int, ...]:
        return ()


class _SelfAttendedUnit(nn.Module):
    def __init__(self, unit: ConvLSTMUnit, memory: SelfAttentionMemory) -> None:
        super().__init__()
        self.unit, self.memory = unit, memory

    def forward(self, frame: Tensor, state: Optional[tuple]) -> tuple[Tensor, tuple]:
        kept, memory = (None, None) if state is None else state
        h, (_, c) = self.unit(frame, kept)
        h, memory = self.memory(h, torch.zeros_like(h) if memory is None else memory)
        return h, ((h, c), memory)


class MSAConvLSTM(SAConvLSTM):
    """SA-ConvLSTM with several attention heads and keys and values from spatial pyramid pooling (Zheng et al. 2024,
    evapotranspiration). The paper's code is not public; how pyramid and heads meet is ours: each head asks the pooled
    parts of the map, so that the cost grows with the number of cells, not with its square.
    """

    name = "msa-convlstm"

    def _heads(self, hidden: int, attended: int) -> int:
        heads = self.options["heads"]
        if hidden % heads or attended % heads:
            raise ConfigError(
                "msa-convlstm.heads does not divide the channels",
                expected=f"a divisor of {hidden} (hidden) and {attended} (attended channels)",
                got=str(heads),
                remedy="Choose 1, 2 or 4 heads, or channels that they divide",
            )
        return heads

    def _pooling(self) -> tuple[int, ...]:
        return tuple(self.options["pyramid"])


class AConvLSTM(StackedMaps):
    r"""ConvLSTM with attention over input channels at each step and over the steps of the window (Fang et al. 2023,
    merging precipitation products). The paper's code is not public and its equations leave the scores open; ours:

    .. math::
        \alpha_t = \mathrm{softmax}_c(W_2 \tanh(W_1 [\bar X_t, \bar H_{t-1}])), \quad X'_t = C \alpha_t \circ X_t

        \beta_t = \mathrm{softmax}_{t \le T}(v^T \tanh(W_3 \bar H_t)), \quad H = \sum_t \beta_t H_t

    where the bar is the mean over the map, C the number of channels (so that equal weights change nothing), and H goes
    to the output convolution. A prediction from an earlier step weighs the steps up to it only.
    """

    name = "a-convlstm"

    def __init__(
        self, in_channels: int, out_channels: int, static_channels: int = 0, leads: int = 1, **options: Any
    ) -> None:
        super().__init__(in_channels, out_channels, static_channels, leads, **options)
        sizes, width = self.options["hidden"], self.options["attention"]
        inputs = self.in_channels * (2 if self.uses_observed else 1) + self.static_channels
        self.channel_hidden = nn.Linear(inputs + sizes[0], width)
        self.channel_score = nn.Linear(width, inputs)
        self.step_hidden = nn.Linear(sizes[-1], width)
        self.step_score = nn.Linear(width, 1, bias=False)

    def make_cell(self, inputs: int, hidden: int) -> nn.Module:
        """A plain ConvLSTM layer."""
        return ConvLSTMUnit(inputs, hidden, self.options["kernel"])

    def halo_px(self, window: int) -> int:
        """The attentions look at means over the whole map."""
        return WHOLE_FRAME_PX

    def forward(
        self,
        x: Tensor,
        static: Optional[Tensor] = None,
        observed: Optional[Tensor] = None,
        last_steps: int = 1,
        warm_up: int = 0,
    ) -> dict[str, Tensor]:
        """Predict; also returns ``channel_attention`` (B, T, channels) and ``step_attention`` (B, T)."""
        self.check_input(x, static, observed, last_steps)
        frames = frames_of(x, static if self.uses_static else None, observed, self.uses_observed)
        frames, channel_weights = self._bottom(frames, warm_up)
        for cell in self.layers[1:]:
            frames = unroll(cell, [self.dropout(frame) for frame in frames], warm_up)
        tops = torch.stack(frames, dim=1)
        scores = self.step_score(torch.tanh(self.step_hidden(tops.mean(dim=(3, 4)))))[:, :, 0]
        steps = []
        for number in range(len(frames) - last_steps, len(frames)):
            weights = torch.softmax(scores[:, : number + 1], dim=1)
            steps.append(self.head(self.dropout((weights[:, :, None, None, None] * tops[:, : number + 1]).sum(dim=1))))
        result = head_predictions(steps, self.leads, self.out_channels)
        return {**result, "channel_attention": channel_weights, "step_attention": weights}

    def _bottom(self, frames: list[Tensor], warm_up: int) -> tuple[list[Tensor], Tensor]:
        cell, state, outputs, kept = self.layers[0], None, [], []
        h = frames[0].new_zeros((len(frames[0]), cell.hidden, 1, 1))
        for number, frame in enumerate(frames):
            with torch.set_grad_enabled(torch.is_grad_enabled() and number >= warm_up):
                seen = torch.cat((frame.mean(dim=(2, 3)), h.mean(dim=(2, 3)).to(frame.dtype)), dim=1)
                weights = torch.softmax(self.channel_score(torch.tanh(self.channel_hidden(seen))), dim=1)
                h, state = cell(frame * (weights * frame.shape[1])[:, :, None, None], state)
            outputs.append(h)
            kept.append(weights)
        return outputs, torch.stack(kept, dim=1)
