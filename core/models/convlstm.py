"""The ConvLSTM family: maps in, maps out (Shi et al. 2015, doi:10.48550/arXiv.1506.04214)."""

from __future__ import annotations

from typing import Any, Callable, Optional

import torch
from torch import Tensor, nn

from ..contracts.errors import ConfigError
from ..contracts.models import family
from .base import WHOLE_FRAME_PX, ForecastModel
from .cells import ConvLSTMCell, State, convolve
from .sequence import plain, run_layer


class ConvLSTM(ForecastModel):
    """Stacked ConvLSTM layers and one output convolution.

    ``many-to-one``: the output layer turns the last state of the top layer into all L leads of the K targets at once.
    ``encoder-decoder``: as many decoder layers start from the encoder's final states and run L steps; each step reads
    the prediction of the lead before (zeros at the first), or nothing, and the static maps; the output layer gives the
    K targets.

    The first layer reads at each step the dynamic input, with ``mask_channels`` the masks of observed input, and the
    static maps, in this order. Normalisation follows each layer over (steps x B) maps. With batch normalisation the
    samples of a batch depend on each other in training, never in evaluation. Shapes, units and NaN policy:
    :mod:`core.models.base`; options: the catalogue in :mod:`core.contracts.models`; bad sizes and options raise
    ConfigError.
    """

    name = "convlstm"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        static_channels: int = 0,
        leads: int = 1,
        ahead_channels: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, static_channels, leads, ahead_channels=ahead_channels)
        self.options = family(self.name).complete(options)
        self.uses_static = self.static_channels > 0
        self.uses_observed = self.options["mask_channels"]
        self.decodes = self.options.get("output", "encoder-decoder") == "encoder-decoder"
        self.several_steps = not self.decodes
        self.feeds_back = self._feeds_back()
        dynamic = self.in_channels * (2 if self.uses_observed else 1)
        self.encoder = self._cells(dynamic)
        # The decoder reads the encoder's states, not its top output: a norm there would have no effect.
        self.encoder_norms = self._norms(len(self.encoder) - 1 if self.decodes else len(self.encoder))
        if self.decodes:
            self.decoder = self._cells((self.out_channels if self.feeds_back else 0) + self.ahead_channels)
            self.decoder_norms = self._norms(len(self.decoder))
        self._add_head()

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
        frames, fixed = self._frames(x, observed), self._fixed(x, static)
        if self.decodes:
            return {"y_hat": self._decode(self._encode(frames, fixed, 0, warm_up)[1], fixed)}
        top, _ = self._encode(frames, fixed, last_steps, warm_up)
        maps = self._head(top.flatten(0, 1)).permute(0, 3, 1, 2)
        steps = maps.reshape(last_steps, x.shape[0], self.leads, self.out_channels, *x.shape[3:])
        result = {"y_hat": steps[-1]}
        if last_steps > 1:
            result["y_hat_steps"] = steps.transpose(0, 1)
        return result

    def halo_px(self, window: int) -> int:
        """Cells around a tile that its prediction depends on.

        With equal kernels of radius r, many-to-one: r (T - 1 + layers) + radius of the output kernel.
        """
        if self.options["normalisation"] == "group":
            return WHOLE_FRAME_PX
        radii = [cell.radius for cell in self.encoder]
        head = self.options["head_kernel"] // 2
        halo = sum(radii) + (window - 1) * max(radii) + head
        if not self.decodes:
            return halo
        # One more step through the states; then for each further lead the longer way: the states, or the prediction
        # fed back through all layers.
        further = max(max(radii), head + sum(radii)) if self.feeds_back else max(radii)
        return halo + max(radii) + (self.leads - 1) * further

    def _feeds_back(self) -> bool:
        """Whether the decoder reads the prediction of the lead before."""
        return self.decodes and self.options["decoder_input"] == "previous"

    def _cells(self, in_channels: int) -> nn.ModuleList:
        names = (
            "peepholes",
            "gate_activation",
            "state_activation",
            "forget_bias",
            "dropout",
            "recurrent_dropout",
            "padding",
        )
        common = {name: self.options[name] for name in names}
        hidden = self.options["hidden"]
        kernels = self.options["kernel"] * (len(hidden) if len(self.options["kernel"]) == 1 else 1)
        inputs = (in_channels, *hidden[:-1])
        return nn.ModuleList(
            ConvLSTMCell(inputs[k], hidden[k], kernels[k], static_channels=0 if k else self.static_channels, **common)
            for k in range(len(hidden))
        )

    def _norms(self, layers: int) -> nn.ModuleList:
        make = {"none": lambda _: nn.Identity(), "batch": nn.BatchNorm2d, "group": _group_norm}
        return nn.ModuleList(make[self.options["normalisation"]](size) for size in self.options["hidden"][:layers])

    def _add_head(self) -> None:
        kernel = self.options["head_kernel"]
        maps = self.out_channels * (1 if self.decodes else self.leads)
        self.head_weight = nn.Parameter(torch.empty(maps, self.options["hidden"][-1], kernel, kernel))
        self.head_bias = nn.Parameter(torch.zeros(maps))
        nn.init.xavier_uniform_(self.head_weight)

    def _fixed(self, x: Tensor, static: Optional[Tensor]) -> Optional[Tensor]:
        """Static maps (B, H, W, S), or None where the model has none."""
        return static.to(x.dtype).permute(0, 2, 3, 1).contiguous() if self.uses_static else None

    def _frames(self, x: Tensor, observed: Optional[Tensor]) -> Tensor:
        """(B, T, C, H, W) -> (T, B, H, W, C), the masks appended as channels where the model reads them."""
        frames = x.permute(1, 0, 3, 4, 2)
        if not self.uses_observed:
            return frames.contiguous()
        masks = torch.ones_like(frames) if observed is None else observed.to(x.dtype).permute(1, 0, 3, 4, 2)
        return torch.cat((frames, masks), dim=-1)

    def _encode(
        self, frames: Tensor, static: Optional[Tensor], last_steps: int, warm_up: int
    ) -> tuple[Optional[Tensor], list[State]]:
        """Top outputs of the ``last_steps`` last steps (None for 0) and the final state of each layer."""
        states, ours = [], False
        for k, cell in enumerate(self.encoder):
            top = k == len(self.encoder) - 1
            last = max(1, last_steps) if top else 0
            outputs, state = _run(cell, frames, static if k == 0 else None, warm_up, last, ours)
            states.append(state)
            if top and last_steps == 0:
                return None, states
            frames = _normalise(self.encoder_norms[k], outputs)
            ours = frames is not outputs and plain(self.encoder_norms[k])
        return frames, states

    def _decode(
        self,
        states: list[State],
        static: Optional[Tensor],
        read: Callable[[int, Tensor], Tensor] = lambda lead, previous: previous,
    ) -> Tensor:
        """Unroll the leads: (B, L, K, H, W). ``read`` makes the input of a lead (B, H, W, channels) from its number and
        the prediction before it.
        """
        like = states[0].c
        contexts = [cell.begin(like, static if k == 0 else None) for k, cell in enumerate(self.decoder)]
        previous = like.new_zeros((*like.shape[:3], self.out_channels))
        predictions = []
        for lead in range(self.leads):
            maps = read(lead, previous)
            for k, cell in enumerate(self.decoder):
                states[k] = cell(maps if cell.in_channels else None, states[k], contexts[k])
                maps = _normalise(self.decoder_norms[k], states[k].h.unsqueeze(0)).squeeze(0)
            previous = self._head(maps)
            predictions.append(previous)
        return torch.stack(predictions, dim=1).permute(0, 1, 4, 2, 3)

    def _head(self, maps: Tensor) -> Tensor:
        """(N, H, W, hidden) -> (N, H, W, maps out)."""
        radius = self.options["head_kernel"] // 2
        maps = convolve(maps, self.head_weight, self.head_bias, radius, self.options["padding"])
        activation = self.options["head_activation"]
        return maps if activation == "none" else getattr(torch, activation)(maps)


def _run(
    cell: ConvLSTMCell, frames: Tensor, static: Optional[Tensor], warm_up: int, last: int, use_up: bool
) -> tuple[Tensor, State]:
    """All steps of one layer from a state of zeros: the outputs (last, B, H, W, hidden) of the ``last`` steps, of all
    for 0, and the final state. ``use_up``: nobody else reads the ``frames``.
    """
    context = cell.begin(frames[0], static)
    layer = cell.whole(context, frames)
    if layer is not None:
        outputs, h, c = run_layer(layer, frames, None, warm_up, last, use_up)
        return outputs, State(h, c)
    # unbind, never frames[t]: the backward pass of an index writes zeros of the whole sequence's size at every step.
    state, outputs = None, []
    for number, frame in enumerate(frames.unbind(0)):
        with torch.set_grad_enabled(torch.is_grad_enabled() and number >= warm_up):
            state = cell(frame, state, context)
        outputs.append(state.h)
    return torch.stack(outputs[-last:]), state


def _normalise(norm: nn.Module, sequence: Tensor) -> Tensor:
    """Apply ``norm`` to (T, B, H, W, C) as T x B maps."""
    if isinstance(norm, nn.Identity):
        return sequence
    if isinstance(norm, nn.BatchNorm2d) and norm.training and sequence[..., 0].numel() == 1:
        raise ConfigError(
            "Batch normalisation cannot be trained on a single value",
            expected="more than one cell or more than one window in each batch",
            got="one window on a grid of one cell",
            remedy="Use larger batches without a remainder of one window, or another normalisation",
        )
    planes = sequence.flatten(0, 1).permute(0, 3, 1, 2)
    return norm(planes).permute(0, 2, 3, 1).contiguous().unflatten(0, sequence.shape[:2])


def _group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation: at most 32 groups, at least 4 channels each.

    Wu and He 2018, doi:10.1007/978-3-030-01261-8_1.
    """
    most = min(32, max(1, channels // 4))
    return nn.GroupNorm(next(groups for groups in range(most, 0, -1) if channels % groups == 0), channels)
