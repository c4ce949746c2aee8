"""Convolutional networks: a plain one over the last maps, and one that feeds an LSTM for gauges."""

from __future__ import annotations

from typing import Any, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..contracts.errors import ConfigError
from ..contracts.models import family
from .base import WHOLE_FRAME_PX, ForecastModel
from .cellwise import lstm_outputs
from .stacked import frames_of, head_predictions


class CNN(ForecastModel):
    r"""Convolutions over the last ``frames`` maps side by side, and one output convolution for all leads at once.

    .. math::
        o_l^j = \mathrm{ReLU}\Big(b_l^j + \sum_{k=1}^{M_{l-1}} w_l^{jk} * x_l^k\Big), \quad
        (w * x)(i, j) = \sum_m \sum_n x(i + m, j + n)\, w(m, n)

    which are equations (8) and (15) of the review with their slips mended: the sum runs over the channels of the layer
    before, each with a kernel of its own; there is a bias for each kernel, and the sum over the kernel's cells is
    written out. As everywhere in deep learning the kernel is not turned round. No pooling, since maps come out. The
    first layer reads the dynamic input of each frame, oldest first, with ``mask_channels`` the masks of observed
    input, and the static maps once. There is no memory to warm up: earlier steps are not read. Shapes, units and NaN
    policy: :mod:`core.models.base`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, static_channels: int = 0, leads: int = 1, **options: Any
    ) -> None:
        super().__init__(in_channels, out_channels, static_channels, leads)
        self.options = family("cnn").complete(options)
        self.uses_static = self.static_channels > 0
        self.uses_observed = self.options["mask_channels"]
        self.frames, kernel, head = (self.options[name] for name in ("frames", "kernel", "head_kernel"))
        inputs = self.frames * self.in_channels * (2 if self.uses_observed else 1) + self.static_channels
        sizes = (inputs, *self.options["hidden"])
        self.layers = nn.ModuleList(nn.Conv2d(a, b, kernel, padding=kernel // 2) for a, b in zip(sizes, sizes[1:]))
        self.dropout = nn.Dropout2d(self.options["dropout"])
        self.head = nn.Conv2d(sizes[-1], self.leads * self.out_channels, head, padding=head // 2)

    def forward(
        self,
        x: Tensor,
        static: Optional[Tensor] = None,
        observed: Optional[Tensor] = None,
        last_steps: int = 1,
        warm_up: int = 0,
    ) -> dict[str, Tensor]:
        """Predict; raises ConfigError where the window is shorter than the frames and the supervised steps."""
        self.check_input(x, static, observed, last_steps)
        if x.shape[1] < self.frames + last_steps - 1:
            raise ConfigError(
                "The window is too short for this model",
                expected=f"at least {self.frames + last_steps - 1} steps: {self.frames} maps side by side"
                + (f" at each of {last_steps} supervised steps" if last_steps > 1 else ""),
                got=f"{x.shape[1]} steps",
                remedy="Lengthen the window, or lower cnn.frames",
            )
        maps = frames_of(x, None, observed, self.uses_observed)
        fixed = [static.to(x.dtype)] if self.uses_static else []
        heads = []
        for end in range(len(maps) - last_steps + 1, len(maps) + 1):
            seen = torch.cat((*maps[end - self.frames : end], *fixed), dim=1)
            for layer in self.layers:
                seen = self.dropout(F.relu(layer(seen)))
            heads.append(self.head(seen))
        return head_predictions(heads, self.leads, self.out_channels)

    def halo_px(self, window: int) -> int:
        """The radii of all layers; the window does not matter."""
        return len(self.layers) * (self.options["kernel"] // 2) + self.options["head_kernel"] // 2


class CNNLSTM(ForecastModel):
    r"""A CNN of every frame, stacked LSTM layers, and one linear head (Li et al. 2023,
    doi:10.1016/j.jhydrol.2023.129401).

    .. math:: z_t = \mathrm{CNN}(X_t), \quad h_t = \mathrm{LSTM}(z_t, h_{t-1}, c_{t-1}), \quad y = W h_T + b

    The head gives K targets at G gauges for L leads: one number for a single task, two for discharge and evaporation
    at once. The CNN is a chain of convolutions with strides, each followed by a ReLU (ours: the paper names none). The
    paper shrinks a map to one cell (``pooling`` none): the last kernel covers what is left, so that it is fully
    connected and one size of grid fits. The table of its sizes follows only with paddings that the text lacks; the
    presets hold them. ``pooling`` mean takes the mean of what is left and fits any grid.

    The CNN reads the dynamic input, with ``mask_channels`` the masks of observed input, and the static maps, all as 0
    outside the basin's mask. LSTM as PyTorch's, with two biases a gate: 256 parameters more than in Keras. Shapes,
    units and NaN policy: :mod:`core.models.base`. cuDNN's LSTM has no backward pass in evaluation mode;
    :mod:`core.explain` knows.
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
        self.options = family("cnn-lstm").complete(options)
        self.uses_static = self.static_channels > 0
        self.uses_observed = self.options["mask_channels"]
        channels, hidden = self.options["channels"], self.options["hidden_size"]
        inputs = self.in_channels * (2 if self.uses_observed else 1) + self.static_channels
        shapes = [self._pairs(key) for key in ("kernel", "stride", "padding")]
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, *shape) for a, b, *shape in zip((inputs, *channels), channels, *shapes)
        )
        self.lstm = nn.LSTM(channels[-1], hidden, self.options["layers"], batch_first=True)
        self.dropout = nn.Dropout(self.options["dropout"])
        self.head = nn.Linear(hidden, self.leads * self.out_channels * self.gauges)

    def forward(
        self,
        x: Tensor,
        static: Optional[Tensor] = None,
        observed: Optional[Tensor] = None,
        last_steps: int = 1,
        warm_up: int = 0,
        mask: Optional[Tensor] = None,
    ) -> dict[str, Tensor]:
        """Predict; raises ConfigError on a grid that the convolutions do not fit."""
        self.check_input(x, static, observed, last_steps)
        self._check_grid(*x.shape[3:])
        frames = torch.stack(frames_of(x, static if self.uses_static else None, observed, self.uses_observed), dim=1)
        if mask is not None:
            frames = frames * mask.to(frames.dtype).unsqueeze(1)
        warm_up = max(0, min(warm_up, x.shape[1] - last_steps))
        with torch.no_grad():
            warm = self._rows(frames[:, :warm_up])
        rows = torch.cat((warm, self._rows(frames[:, warm_up:])), dim=1)
        found = self.head(self.dropout(lstm_outputs(self.lstm, rows, last_steps, warm_up)))
        steps = found.unflatten(2, (self.leads, self.out_channels, self.gauges))
        result = {"y_hat": steps[:, -1]}
        if last_steps > 1:
            result["y_hat_steps"] = steps
        return result

    def halo_px(self, window: int) -> int:
        """A gauge sees the whole frame."""
        return WHOLE_FRAME_PX

    def sizes(self, rows: int, columns: int) -> list[tuple[int, int]]:
        """Rows and columns of a map of this size after each convolution; below 1 where it does not fit."""
        found = []
        for layer in self.layers:
            rows, columns = (
                (size + 2 * padding - kernel) // stride + 1
                for size, kernel, stride, padding in zip(
                    (rows, columns), layer.kernel_size, layer.stride, layer.padding
                )
            )
            found.append((rows, columns))
        return found

    def _pairs(self, key: str) -> list[tuple[int, int]]:
        """Rows and columns of each convolution."""
        count = len(self.options["channels"])
        sides = (self.options[f"{key}_{side}"] for side in ("rows", "columns"))
        return list(zip(*(side * count if len(side) == 1 else side for side in sides)))

    def _rows(self, frames: Tensor) -> Tensor:
        """(B, T, channels, H, W) -> (B, T, channels of the last convolution)."""
        if frames.shape[1] == 0:
            return frames.new_zeros((len(frames), 0, self.options["channels"][-1]))
        maps = frames.flatten(0, 1)
        for layer in self.layers:
            maps = F.relu(layer(maps))
        return maps.mean(dim=(2, 3)).unflatten(0, frames.shape[:2])

    def _check_grid(self, height: int, width: int) -> None:
        sizes = self.sizes(height, width)
        whole = self.options["pooling"] == "none"
        if min(min(pair) for pair in sizes) < 1 or (whole and sizes[-1] != (1, 1)):
            chain = ", ".join(f"{max(0, rows)} x {max(0, columns)}" for rows, columns in sizes)
            raise ConfigError(
                f"The convolutions do not fit a grid of {height} x {width} cells",
                expected="one cell after the last convolution" if whole else "at least one cell after each convolution",
                got=chain,
                remedy="Set cnn-lstm.pooling to mean, change kernels, strides or paddings, or give another grid",
            )
