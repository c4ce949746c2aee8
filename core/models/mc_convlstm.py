"""A mass-conserving ConvLSTM: every cell holds storages of water, and no weight can make or lose a drop.

The idea of the mass-conserving LSTM (Hoedt et al. 2021, doi:10.48550/arXiv.2101.05186), carried over to maps: what a
cell gives away sideways arrives next door. Everything but precipitation only steers.
"""

from __future__ import annotations

from typing import Any, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..contracts.models import family
from .base import ForecastModel

FATES = 4  # stay, evaporate, run off, move
NEIGHBOURS = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0))
_INFLOW, _REDISTRIBUTION, _FATE, _DIRECTION = range(4)


class MassConservingConvLSTM(ForecastModel):
    r"""N storages a cell, in mm.

    At each step, with precipitation ``x`` (mm, never below 0) and storages ``c`` (N, mm):

    .. math::
        m = R c + i x, \quad (s, e, r, v) = \text{fates}(m), \quad c' = s + \sum_d \text{shift}_d(w_d v)

    ``i`` (N) and the columns of ``R`` (N, N), the four fates of each storage and the eight directions ``w`` are
    softmaxes of maps that a convolution makes of all inputs, the static maps and the storages themselves. What would
    leave the grid or the basin's mask is boundary outflow. So in each cell and step

    ``x + sum(c) + lateral in = sum(c') + evaporation + runoff + lateral out``

    where lateral out holds the boundary outflow, for any weights. The closure is exact but for rounding.

    ``x`` of the contract holds the precipitation as channel ``mass_channel`` in mm a step, unscaled; the steering sees
    it as log(1 + x). Missing precipitation is 0 mm, so a window with gaps conserves what was given, not what fell. The
    output is the runoff, the evaporation or the stored water in mm (``reads``), or a linear head over all of them
    (``head``), whose unit is that of the scaled target and which conserves nothing by itself.

    Returned beside ``y_hat``: ``storage`` (B, N, H, W) at the end of the window, ``storage_before`` (B, N, H, W) before
    its last step, and as (B, H, W), mm in the last step, ``inflow``, ``evaporation``, ``runoff``, ``lateral_in``,
    ``lateral_out`` and ``boundary`` (the part of lateral out that left the basin); ``totals`` (B, 4): inflow,
    evaporation, runoff and boundary outflow of the whole window, summed over the basin, and ``initial`` (B,), the
    water stored before it. 0 outside the mask.
    """

    uses_mask = True

    def __init__(
        self, in_channels: int, out_channels: int, static_channels: int = 0, leads: int = 1, **options: Any
    ) -> None:
        super().__init__(in_channels, out_channels, static_channels, leads)
        self.options = family("mc-convlstm").complete(options)
        self.uses_static = self.static_channels > 0
        self.storages, self.mass_channel = self.options["storages"], max(0, self.options["mass_channel"])
        _check_sizes(self.in_channels, self.out_channels, self.leads, self.options)
        self.radius = self.options["kernel"] // 2
        hidden, count = self.options["hidden"], self.storages
        inputs = self.in_channels + self.static_channels + count
        self.splits = (count, count * count, FATES * count, len(NEIGHBOURS))
        self.steering = nn.Conv2d(inputs, hidden, self.options["kernel"], padding=self.radius)
        self.logits = nn.Conv2d(hidden, sum(self.splits), 1)
        self.start = nn.Parameter(torch.full((count,), -2.0))
        if self.options["reads"] == "head":
            self.head = nn.Conv2d(count + 2 + hidden, self.out_channels * self.leads, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start values: water mostly stays where it is (identity redistribution, fate 'stay')."""
        nn.init.xavier_uniform_(self.steering.weight)
        nn.init.zeros_(self.steering.bias)
        nn.init.xavier_uniform_(self.logits.weight, gain=0.5)
        with torch.no_grad():
            inflow, redistribution, fate, direction = self.logits.bias.split(self.splits)
            inflow.zero_()
            direction.zero_()
            redistribution.copy_(4.0 * torch.eye(self.storages).flatten())
            # Storages begin with different memories, from about 2 to about 50 steps.
            stay = torch.linspace(0.5, 4.5, self.storages)
            fate.copy_(torch.stack((stay, *[torch.full_like(stay, -1.0)] * (FATES - 1))).flatten())

    def forward(
        self,
        x: Tensor,
        static: Optional[Tensor] = None,
        observed: Optional[Tensor] = None,
        last_steps: int = 1,
        warm_up: int = 0,
        mask: Optional[Tensor] = None,
    ) -> dict[str, Tensor]:
        """Predict; see :mod:`core.models.base` and the head of this class. ``mask`` (B, 1, H, W) or (1, 1, H, W), 1
        inside the basin; None means everywhere.
        """
        self.check_input(x, static, observed, last_steps)
        inside = x.new_ones((1, 1, *x.shape[3:])) if mask is None else mask.to(x.dtype)
        fixed = x.new_zeros((len(x), 0, *x.shape[3:])) if static is None else static.to(x.dtype)
        storage = F.softplus(self.start)[None, :, None, None] * inside * x.new_ones((len(x), 1, 1, 1))
        initial, totals, outputs, flux = storage.sum(dim=(1, 2, 3)), 0.0, [], {}
        for number, frame in enumerate(x.unbind(1)):
            with torch.set_grad_enabled(torch.is_grad_enabled() and number >= warm_up):
                before, (storage, flux, hidden) = storage, self._step(frame, fixed, storage, inside)
                totals = totals + _totals(flux)
            if number >= x.shape[1] - last_steps:
                outputs.append(self._read(storage, flux, hidden))
        result = {"y_hat": outputs[-1], "storage": storage, "storage_before": before, **flux}
        result.update(totals=totals, initial=initial)
        if last_steps > 1:
            result["y_hat_steps"] = torch.stack(outputs, dim=1)
        return result

    def halo_px(self, window: int) -> int:
        """At each step water moves by one cell, and the steering reads ``radius`` cells around."""
        return window * (self.radius + 1)

    def _step(
        self, frame: Tensor, fixed: Tensor, storage: Tensor, inside: Tensor
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """One step: new storages (B, N, H, W), its fluxes (B, H, W), and the steering maps (B, hidden, H, W)."""
        at = self.mass_channel
        rain = frame[:, at : at + 1].clamp(min=0.0) * inside
        seen = torch.cat((frame[:, :at], torch.log1p(rain), frame[:, at + 1 :], fixed), dim=1)
        # Nothing outside the mask may steer a cell within it.
        hidden = torch.tanh(self.steering(torch.cat((seen, torch.log1p(storage)), dim=1) * inside))
        shares = self._shares(hidden, storage.dtype)
        # A sum of products, not einsum: autocast would run that in 16 bits, and water would leak.
        water = (shares[_REDISTRIBUTION] * storage.unsqueeze(1)).sum(dim=2) + shares[_INFLOW] * rain
        stay, evaporation, runoff, moving = (shares[_FATE] * water.unsqueeze(1)).unbind(1)
        arriving, boundary = _move(moving, shares[_DIRECTION], inside)
        flux = {
            "inflow": rain[:, 0],
            "evaporation": evaporation.sum(dim=1),
            "runoff": runoff.sum(dim=1),
            "lateral_in": arriving.sum(dim=1),
            "lateral_out": moving.sum(dim=1),
            "boundary": boundary,
        }
        return stay + arriving, flux, hidden

    def _shares(self, hidden: Tensor, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """Inflow (B, N, H, W), redistribution (B, N to, N from, H, W), fates (B, 4, N, H, W), directions (B, 8, H, W);
        each adds up to 1 over its first axis after B. In the type of the storages: under autocast 16 bits would leak.
        """
        count = self.storages
        logits = self.logits(hidden).to(dtype).split(self.splits, dim=1)
        shape = hidden.shape[2:]
        return (
            torch.softmax(logits[_INFLOW], dim=1),
            torch.softmax(logits[_REDISTRIBUTION].reshape(-1, count, count, *shape), dim=1),
            torch.softmax(logits[_FATE].reshape(-1, FATES, count, *shape), dim=1),
            torch.softmax(logits[_DIRECTION], dim=1),
        )

    def _read(self, storage: Tensor, flux: dict[str, Tensor], hidden: Tensor) -> Tensor:
        """(B, L, K, H, W)"""
        reads = self.options["reads"]
        if reads == "storage":
            return storage.sum(dim=1)[:, None, None]
        if reads != "head":
            return flux[reads][:, None, None]
        maps = (storage, flux["evaporation"].unsqueeze(1), flux["runoff"].unsqueeze(1))
        maps = self.head(torch.cat((torch.log1p(torch.cat(maps, dim=1)), hidden), dim=1))
        return maps.unflatten(1, (self.leads, self.out_channels))


def _move(moving: Tensor, shares: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Water that arrives (B, N, H, W), and what each cell sent over the boundary (B, H, W).

    ``moving`` (B, N, H, W) leaves its cell by ``shares`` (B, 8, H, W).
    """
    height, width = moving.shape[2:]
    arriving = torch.zeros_like(moving)
    boundary = moving.new_zeros((len(moving), height, width))
    padded = F.pad(inside, (1, 1, 1, 1))
    for number, (dy, dx) in enumerate(NEIGHBOURS):
        leaving = moving * shares[:, number : number + 1]
        open_there = padded[:, :, 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        boundary = boundary + (leaving * (1.0 - open_there)).sum(dim=1)
        going = F.pad(leaving * open_there, (1, 1, 1, 1))
        arriving = arriving + going[:, :, 1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width]
    return arriving, boundary


def _totals(flux: dict[str, Tensor]) -> Tensor:
    """Inflow, evaporation, runoff, boundary outflow of a step over the basin: (B, 4), mm times cells."""
    return torch.stack([flux[n].sum(dim=(1, 2)) for n in ("inflow", "evaporation", "runoff", "boundary")], dim=1)


def _check_sizes(inputs: int, targets: int, leads: int, options: dict[str, Any]) -> None:
    from ..contracts.errors import ConfigError

    if options["mass_channel"] >= inputs:
        raise ConfigError(
            "mc-convlstm.mass_channel names an input that is not there",
            expected=f"0 to {inputs - 1}, the place of precipitation among the inputs",
            got=str(options["mass_channel"]),
            remedy="Correct the number, or put precipitation first among the inputs",
        )
    if options["reads"] != "head" and (targets > 1 or leads > 1):
        raise ConfigError(
            f"mc-convlstm gives one target at the last step as its {options['reads']}",
            expected="one target and one lead",
            got=f"{targets} targets, {leads} leads",
            remedy="Set mc-convlstm.reads to head",
        )
