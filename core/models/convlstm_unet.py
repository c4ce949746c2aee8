"""A U-Net whose levels remember: a ConvLSTM at each resolution. Maps are (B, channels, H, W)."""

from __future__ import annotations

from typing import Any, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..contracts.models import family
from .base import WHOLE_FRAME_PX, ForecastModel
from .stacked import ConvLSTMUnit, frames_of, head_predictions, unroll


class ConvLSTMUNet(ForecastModel):
    r"""ConvLSTM layers from fine to coarse, then convolutions from coarse to fine.

    .. math::
        H^1_t = \mathrm{ConvLSTM}_1(X_t), \quad H^{l+1}_t = \mathrm{ConvLSTM}_{l+1}(\mathrm{max}_{2 \times 2}(H^l_t))

        D^n_t = H^n_t, \quad D^l_t = \mathrm{ReLU}(W_l * [U_l D^{l+1}_t, H^l_t] + b_l), \quad Y_t = W * D^1_t + b

    ``U`` is a transposed 2 x 2 convolution that doubles the resolution; n levels, one for each entry of ``hidden``.
    After the U-Net (Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28), with the convolutions on its way down
    replaced by ConvLSTM layers (Shi et al. 2015, doi:10.48550/arXiv.1506.04214). Several forms of it exist; ours:
    memory on the way down only, so that the way up is computed for the predicted steps alone.

    A grid whose sides are no multiples of ``2^(n - 1)`` is continued at its lower and right edge by its last row and
    column, and the prediction is cut to it. The first layer reads the dynamic input, with ``mask_channels`` the masks
    of observed input, and the static maps. Shapes, units and NaN policy: :mod:`core.models.base`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, static_channels: int = 0, leads: int = 1, **options: Any
    ) -> None:
        super().__init__(in_channels, out_channels, static_channels, leads)
        self.options = family("convlstm-unet").complete(options)
        self.uses_static = self.static_channels > 0
        self.uses_observed = self.options["mask_channels"]
        hidden, kernel = self.options["hidden"], self.options["kernel"]
        sizes = (self.in_channels * (2 if self.uses_observed else 1) + self.static_channels, *hidden)
        self.down = nn.ModuleList(ConvLSTMUnit(a, b, kernel) for a, b in zip(sizes, hidden))
        pairs = list(zip(hidden, hidden[1:]))
        self.widen = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 2, stride=2) for fine, coarse in pairs)
        self.join = nn.ModuleList(nn.Conv2d(2 * fine, fine, kernel, padding=kernel // 2) for fine, _ in pairs)
        self.dropout = nn.Dropout2d(self.options["dropout"])
        kernel = self.options["head_kernel"]
        self.head = nn.Conv2d(hidden[0], self.leads * self.out_channels, kernel, padding=kernel // 2)

    def forward(
        self,
        x: Tensor,
        static: Optional[Tensor] = None,
        observed: Optional[Tensor] = None,
        last_steps: int = 1,
        warm_up: int = 0,
    ) -> dict[str, Tensor]:
        """Predict; see :mod:`core.models.base`."""
        self.check_input(x, static, observed, last_steps)
        frames = frames_of(x, static if self.uses_static else None, observed, self.uses_observed)
        height, width = x.shape[3:]
        multiple = 2 ** len(self.join)
        edge = (0, -width % multiple, 0, -height % multiple)
        frames = [F.pad(frame, edge, mode="replicate") for frame in frames]
        levels = []
        for number, cell in enumerate(self.down):
            frames = [F.max_pool2d(frame, 2) for frame in frames] if number else frames
            frames = [self.dropout(frame) for frame in unroll(cell, frames, warm_up)]
            levels.append(frames[-last_steps:])
        heads = [self.head(self._up(step))[..., :height, :width] for step in zip(*levels)]
        return head_predictions(heads, self.leads, self.out_channels)

    def halo_px(self, window: int) -> int:
        """The coarse levels part the grid into blocks that begin at its corner: a tile would part it otherwise."""
        return WHOLE_FRAME_PX

    def _up(self, levels: tuple[Tensor, ...]) -> Tensor:
        maps = levels[-1]
        for widen, join, skip in reversed(list(zip(self.widen, self.join, levels))):
            maps = F.relu(join(torch.cat((widen(maps), skip.to(maps.dtype)), dim=1)))
        return maps
