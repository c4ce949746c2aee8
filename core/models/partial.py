"""Masked and partial ConvLSTM: input with gaps updates the state only where something was observed."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .gating import lstm_update, start_gates
from .stacked import StackedMaps, frames_of, head_predictions


class PartialConvolution(nn.Module):
    r"""A convolution that reads only what is known, and makes up for the rest (Liu et al. 2018,
    doi:10.1007/978-3-030-01252-6_6).

    .. math:: y(p) = \sum_c \frac{k^2}{\sum_n m_c(p + p_n)} \sum_n w_{c,n} \, m_c(p + p_n) \, x_c(p + p_n)

    A channel of which nothing is known around a cell adds nothing there. Beyond the edge nothing is known. Ours: each
    channel is made up for on its own (the paper divides by the share over all channels, which is the same where they
    have one mask), so that a variable without gaps stays as it is beside one with gaps.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, maps: Tensor, mask: Tensor) -> Tensor:
        """(B, inputs, H, W) and their mask (B, inputs or 1, H, W), 1 where known -> (B, outputs, H, W)."""
        radius = self.kernel // 2
        share = F.avg_pool2d(mask, self.kernel, stride=1, padding=radius)
        gain = torch.where(share > 0.0, 1.0 / torch.where(share > 0.0, share, 1.0), 0.0)
        known = maps * mask
        if mask.shape[1] == 1:
            return F.conv2d(known, self.weight, padding=radius) * gain
        patches = F.unfold(known, self.kernel, padding=radius).unflatten(1, (maps.shape[1], -1))
        patches = (patches * gain.flatten(2)[:, :, None]).flatten(1, 2)
        return (self.weight.flatten(1) @ patches).unflatten(2, maps.shape[2:])


class PartialState(NamedTuple):
    """Output and memory (B, hidden, H, W) of a layer, and where they have ever been updated (B, 1, H, W)."""

    h: Tensor
    c: Tensor
    known: Tensor


class Fresh(NamedTuple):
    """What a layer reads at a step: maps (B, inputs, H, W), where they are known (B, inputs or 1, H, W), and where
    there is something new (B, 1, H, W).
    """

    maps: Tensor
    mask: Tensor
    new: Tensor


class PartialUnit(nn.Module):
    r"""A ConvLSTM step that updates its state only where there is something new.

    .. math::
        \hat H, \hat C = \mathrm{ConvLSTM}(X, H, C), \quad H' = U \circ \hat H + (1 - U) \circ H, \quad
        C' = U \circ \hat C + (1 - U) \circ C

    ``partial``: the convolutions of input and state are partial ones, and U is 1 where anything new lies within the
    kernel; a state that was never updated counts as unknown. ``masked``: the convolutions are plain, with 0 for what is
    not known, and U is 1 where the cell itself has something new.
    """

    def __init__(self, inputs: int, hidden: int, kernel: int, partial: bool) -> None:
        super().__init__()
        self.partial, self.kernel = partial, kernel
        self.input_gates = PartialConvolution(inputs, 4 * hidden, kernel)
        self.state_gates = PartialConvolution(hidden, 4 * hidden, kernel)
        self.bias = nn.Parameter(torch.zeros(4 * hidden))
        start_gates(self.input_gates.weight, self.bias)

    def forward(self, fresh: Fresh, state: Optional[PartialState]) -> tuple[Fresh, PartialState]:
        """One step: what the layer above reads, and the new state."""
        update = F.max_pool2d(fresh.new, self.kernel, 1, self.kernel // 2) if self.partial else fresh.new
        gates = self._convolve(self.input_gates, fresh.maps, fresh.mask) + self.bias[:, None, None]
        if state is None:
            h, c = lstm_update(gates, None)
            state = PartialState(update * h, update * c, update)
        else:
            gates = gates + self._convolve(self.state_gates, state.h, state.known)
            h, c = lstm_update(gates, state.c)
            h, c = torch.where(update > 0.0, h, state.h), torch.where(update > 0.0, c, state.c)
            state = PartialState(h, c, torch.maximum(state.known, update))
        return Fresh(state.h, state.known, update), state

    def _convolve(self, convolution: PartialConvolution, maps: Tensor, mask: Tensor) -> Tensor:
        if self.partial:
            return convolution(maps, mask)
        return F.conv2d(maps * mask, convolution.weight, padding=self.kernel // 2)


class PartialConvLSTM(StackedMaps):
    """Stacked layers of :class:`PartialUnit` and an output convolution, for input with gaps.

    After Son and Jang 2020, doi:10.1109/ACCESS.2020.3022774 (partial), and Patra and Chu 2024,
    doi:10.3389/frwa.2024.1471258 (masked). A step updates a cell where any of the dynamic inputs is observed; ours,
    since the papers have one variable. Static maps and the masks of ``mask_channels`` count as known everywhere, but
    are nothing new. What stands in ``x`` where ``observed`` is 0 has no influence. Trained by a loss that leaves out
    missing targets, it needs no complete truth.
    """

    name = "partial-convlstm"

    def __init__(
        self, in_channels: int, out_channels: int, static_channels: int = 0, leads: int = 1, **options: Any
    ) -> None:
        super().__init__(in_channels, out_channels, static_channels, leads, **options)
        self.reads_masks, self.uses_observed = self.uses_observed, True

    def make_cell(self, inputs: int, hidden: int) -> nn.Module:
        """A layer that updates where there is something new."""
        return PartialUnit(inputs, hidden, self.options["kernel"], self.options["update"] == "partial")

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
        known = torch.ones_like(x) if observed is None else observed.to(x.dtype)
        frames = frames_of(x, static if self.uses_static else None, known, self.reads_masks)
        states: list[Optional[PartialState]] = [None] * len(self.layers)
        tops = []
        for number, (frame, mask) in enumerate(zip(frames, known.unbind(1))):
            rest = frame.shape[1] - mask.shape[1]
            masks = torch.cat((mask, mask.new_ones((len(mask), rest, *mask.shape[2:]))), dim=1)
            fresh = Fresh(frame, masks, mask.amax(dim=1, keepdim=True))
            with torch.set_grad_enabled(torch.is_grad_enabled() and number >= warm_up):
                for layer, cell in enumerate(self.layers):
                    fresh, states[layer] = cell(fresh, states[layer])
                    fresh = fresh._replace(maps=self.dropout(fresh.maps))
            tops.append(fresh.maps)
        heads = [self.head(top) for top in tops[-last_steps:]]
        return head_predictions(heads, self.leads, self.out_channels)
