"""A mass-conserving ConvLSTM: every cell holds storages of water, and no weight can make or lose a drop.

The idea of the mass-conserving LSTM (Hoedt et al. 2021, doi:10.48550/arXiv.2101.05186), carried over to maps: what a
cell gives away sideways arrives next door. Everything but precipitation only steers.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..contracts.models import family
from .base import ForecastModel

FATES = 4  # stay, evaporate, run off, move
# Where moving water goes: the eight neighbours, row by row, and in the middle (place 4) the cell's own storages.
PLACES = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1))
OWN = PLACES.index((0, 0))
HEAD = 32  # features of the reading head
LARGEST_START = 12.0  # log mm; beyond, an adversarial start value would overflow


class _Basin(NamedTuple):
    """The P cells inside the basin, of all samples: only they are computed.

    ``inside`` (B, H, W), 1 in the basin, else 0; ``cells`` (P,) place of each among all cells (B H W), in rising order,
    or None where that is every cell; ``origin`` (9, P) place among (9 P) of the water that a cell gets from each
    side, 9 P for none; ``closed`` (9, P), 1 where the place that water leaves for is outside.
    """

    inside: Tensor
    cells: Optional[Tensor]
    origin: Tensor
    closed: Tensor

    def rows(self, maps: Tensor) -> Tensor:
        """(B, H, W, C) -> (P, C)."""
        flat = maps.reshape(-1, maps.shape[-1])
        return flat if self.cells is None else flat.index_select(0, self.cells)

    def maps(self, rows: Tensor) -> Tensor:
        """(..., P) -> (..., B, H, W), 0 outside the basin."""
        if self.cells is not None:
            empty = rows.new_zeros((*rows.shape[:-1], self.inside.numel()))
            rows = empty.index_copy(rows.dim() - 1, self.cells, rows)
        return rows.unflatten(-1, self.inside.shape)


class _Step(NamedTuple):
    """A step, mm: ``storage`` (N, P) after it; ``rain``, ``evaporation``, ``runoff`` and what was ``lost`` over the
    boundary (P,); what was ``leaving`` (9, P) for each place; and what steered it, ``hidden`` (P, hidden).
    """

    storage: Tensor
    rain: Tensor
    evaporation: Tensor
    runoff: Tensor
    lost: Tensor
    leaving: Tensor
    hidden: Tensor


class MassConservingConvLSTM(ForecastModel):
    r"""N storages a cell, in mm.

    At each step, with precipitation ``x`` (mm, never below 0) and storages ``c`` (N, mm):

    .. math::
        m_n = c_n + i_n x, \quad (s_n, e_n, r_n, v_n) = m_n \, \text{fates}_n, \quad
        a = \sum_d \text{shift}_d(w_d \sum_n v_n), \quad c'_n = s_n + j_n a

    A storage's water stays, evaporates, runs off or moves: to one of the eight neighbours or to the cell's own
    storages (nine places ``w``). What arrives is spread over the storages by ``j``, as precipitation is by ``i``.
    ``i``, ``j``, the fates of each storage and ``w`` are softmaxes of ``W_l h + b_l``, steered by

    .. math:: h = \text{relu}(W_x * x_{all} + W_c \log(1 + c) + b)

    where x_all holds all inputs and the static maps. What would leave the grid or the basin's mask is boundary
    outflow. So in each cell and step

    ``x + sum(c) + lateral in = sum(c') + evaporation + runoff + lateral out``

    where lateral out holds the boundary outflow, for any weights. The closure is exact but for rounding.

    ``x`` of the contract holds the precipitation as channel ``mass_channel`` in mm a step, unscaled; the steering sees
    it as log(1 + x). Missing precipitation is 0 mm, so a window with gaps conserves what was given, not what fell. The
    output is the runoff, the evaporation or the stored water in mm (``reads``), or of all of them
    (``head``): ``W_o relu(W_f [log(1 + c'), log(1 + e), log(1 + r), h] + b_f) + b_o``, whose unit is that of the scaled
    target and which conserves nothing by itself.

    Returned beside ``y_hat``: ``storage`` (B, N, H, W) at the end of the window, ``storage_before`` (B, N, H, W) before
    its last step, and as (B, H, W), mm in the last step, ``inflow``, ``evaporation``, ``runoff``, ``lateral_in``,
    ``lateral_out`` and ``boundary`` (the part of lateral out that left the basin); ``totals`` (B, 4): inflow,
    evaporation, runoff and boundary outflow of the whole window, summed over the basin, and ``initial`` (B,), the
    water stored before it. All of it, ``y_hat`` too, is 0 outside the mask.

    The form was chosen by trials of a minute or 200 updates each, mostly with one seed. Soil moisture of the Moselle:
    relu instead of tanh raised the NSE from 0.91 to 0.95, storages that begin with 1 to 55 mm instead of nearly empty
    from 0.962 to 0.969; an initial content from static maps did not help. Runoff of the example basin, where seeds
    differ by 0.05: a matrix of shares between the storages in each cell, as in MC-LSTM, gave 0.750 against 0.752 for
    more than one and a half times the time; shares of saturation instead of log(1 + c) 0.708, and 0.725 without the
    neighbours' storages in the steering, which was given up for its speed.
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
        self.splits = (count, count, FATES * count, len(PLACES))
        self.steering = nn.Conv2d(
            self.in_channels + self.static_channels, hidden, self.options["kernel"], padding=self.radius
        )
        self.wetness = nn.Linear(count, hidden, bias=False)
        self.logits = nn.Linear(hidden, sum(self.splits))
        self.start = nn.Parameter(torch.empty(count))
        if self.options["reads"] == "head":
            self.features = nn.Linear(count + 2 + hidden, HEAD)
            self.head = nn.Linear(HEAD, self.out_channels * self.leads)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start values: water mostly stays where it is, in each storage for another time."""
        nn.init.xavier_uniform_(self.steering.weight)
        nn.init.zeros_(self.steering.bias)
        nn.init.xavier_uniform_(self.logits.weight, gain=0.5)
        with torch.no_grad():
            inflow, arrival, fate, places = self.logits.bias.split(self.splits)
            for bias in (inflow, arrival, places):
                bias.zero_()
            # Storages begin with different memories, from about 2 to about 50 steps.
            stay = torch.linspace(0.5, 4.5, self.storages)
            fate.copy_(torch.stack((stay, *[torch.full_like(stay, -1.0)] * (FATES - 1))).flatten())
            # The slower, the fuller at the begin of a window, from 1 to 55 mm: begun nearly empty, they learned worse.
            self.start.copy_(torch.linspace(0.0, 4.0, self.storages))

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
        inside = x.new_ones((1, *x.shape[3:])) if mask is None else (mask[:, 0] > 0).to(x.dtype)
        basin = _basin(inside.expand(len(x), -1, -1))
        fixed = self._fixed(static, basin)
        content = torch.exp(self.start.clamp(max=LARGEST_START))
        storage = initial = content[:, None].expand(-1, basin.origin.shape[1])
        totals, outputs = 0.0, []
        for number, frame in enumerate(x.unbind(1)):
            with torch.set_grad_enabled(torch.is_grad_enabled() and number >= warm_up):
                before, step = storage, self._step(frame, storage, fixed, basin)
                storage = step.storage
                totals = totals + torch.stack((step.rain, step.evaporation, step.runoff, step.lost))
            if number >= x.shape[1] - last_steps:
                outputs.append(self._read(step))
        steps = basin.maps(torch.stack(outputs)).permute(0, 2, 1, 3, 4).unflatten(2, (self.leads, self.out_channels))
        result = {"y_hat": steps[-1], **self._balance(before, step, basin)}
        result["totals"] = basin.maps(totals).sum(dim=(2, 3)).t()
        result["initial"] = basin.maps(initial).sum(dim=(0, 2, 3))
        if last_steps > 1:
            result["y_hat_steps"] = steps.transpose(0, 1)
        return result

    def halo_px(self, window: int) -> int:
        """Water moves by one cell a step; the inputs that steer it are read ``radius`` cells around."""
        return window + self.radius

    def _fixed(self, static: Optional[Tensor], basin: _Basin) -> tuple[Tensor, Tensor]:
        """The steering's weights that read changing maps, channels-last, and what static maps and bias contribute at
        all steps: (P, hidden), or (hidden,) without static maps.
        """
        weight, fixed = self.steering.weight.split((self.in_channels, self.static_channels), dim=1)
        weight = weight.contiguous(memory_format=torch.channels_last)
        if static is None or not self.uses_static:
            return weight, self.steering.bias
        maps = F.conv2d(static * basin.inside[:, None], fixed, self.steering.bias, padding=self.radius)
        return weight, basin.rows(maps.permute(0, 2, 3, 1))

    def _step(self, frame: Tensor, storage: Tensor, fixed: tuple[Tensor, Tensor], basin: _Basin) -> _Step:
        """One step of ``frame`` (B, C, H, W) and ``storage`` (N, P)."""
        maps, rain = self._seen(frame, basin)
        inputs = F.conv2d(maps.permute(0, 3, 1, 2), fixed[0], padding=self.radius).permute(0, 2, 3, 1)
        wetness = torch.addmm(fixed[1], torch.log1p(storage).t(), self.wetness.weight.t())
        hidden = basin.rows(inputs).add_(wetness).relu_()
        # Storages first from here on, so that each share is one block of memory and each softmax a plain loop over it.
        logits = torch.addmm(self.logits.bias[:, None], self.logits.weight, hidden.t())
        # In the type of the storages: under autocast 16 bits would leak.
        inflow, arrival, fates, places = logits.to(storage.dtype).split(self.splits)
        water = torch.addcmul(storage, torch.softmax(inflow, dim=0), rain)
        stay, *gone = (torch.softmax(fates.unflatten(0, (FATES, -1)), dim=0) * water).unbind(0)
        evaporation, runoff, moving = (part.sum(dim=0) for part in gone)
        leaving = torch.softmax(places, dim=0) * moving
        storage = torch.addcmul(stay, torch.softmax(arrival, dim=0), _arriving(leaving, basin))
        lost = (leaving * basin.closed).sum(dim=0)
        return _Step(storage, rain, evaporation, runoff, lost, leaving, hidden)

    def _seen(self, frame: Tensor, basin: _Basin) -> tuple[Tensor, Tensor]:
        """What steers (B, H, W, C), 0 outside the mask, and the precipitation (P,) in mm."""
        at, frame = self.mass_channel, frame.permute(0, 2, 3, 1)
        rain = frame[..., at : at + 1].clamp(min=0.0)
        maps = torch.cat((frame[..., :at], torch.log1p(rain), frame[..., at + 1 :]), dim=-1)
        # Nothing outside the mask may steer a cell within it.
        return maps * basin.inside[..., None], basin.rows(rain)[:, 0]

    def _read(self, step: _Step) -> Tensor:
        """(L K, P)"""
        reads = self.options["reads"]
        if reads == "storage":
            return step.storage.sum(dim=0, keepdim=True)
        if reads != "head":
            return getattr(step, reads)[None]
        water = torch.log1p(torch.cat((step.storage, torch.stack((step.evaporation, step.runoff)))))
        by_water, by_hidden = self.features.weight.split((len(water), step.hidden.shape[1]), dim=1)
        features = torch.addmm(self.features.bias[:, None], by_water, water) + by_hidden @ step.hidden.t()
        return torch.addmm(self.head.bias[:, None], self.head.weight, features.relu_())

    def _balance(self, before: Tensor, step: _Step, basin: _Basin) -> dict[str, Tensor]:
        """Storages (B, N, H, W) and the balance of a step in maps (B, H, W), mm."""
        sideways = step.leaving.clone()
        sideways[OWN] = 0.0
        rows = {
            "inflow": step.rain,
            "evaporation": step.evaporation,
            "runoff": step.runoff,
            "lateral_in": _arriving(sideways, basin),
            "lateral_out": sideways.sum(dim=0),
            "boundary": step.lost,
        }
        maps = {name: basin.maps(values) for name, values in rows.items()}
        storages = {"storage": step.storage, "storage_before": before}
        return {**maps, **{name: basin.maps(values).transpose(0, 1) for name, values in storages.items()}}


def _basin(inside: Tensor) -> _Basin:
    """Who is whose neighbour in the basin ``inside`` (B, H, W)."""
    height, width = inside.shape[1:]
    cells = inside.flatten().nonzero()[:, 0]
    count = len(cells)
    number = cells.new_full((inside.numel(),), -1)
    number[cells] = torch.arange(count, device=cells.device)
    around = F.pad(number.view(inside.shape), (1, 1, 1, 1), value=-1)
    beside = [around[:, 1 + y : 1 + y + height, 1 + x : 1 + x + width].flatten()[cells] for y, x in PLACES]
    # What left for place k came from the cell at the opposite place.
    origin = [torch.where(here >= 0, k * count + here, len(PLACES) * count) for k, here in enumerate(beside[::-1])]
    closed = (torch.stack(beside) < 0).to(inside.dtype)
    return _Basin(inside, None if count == inside.numel() else cells, torch.stack(origin), closed)


def _arriving(leaving: Tensor, basin: _Basin) -> Tensor:
    """Water (P,) that arrives in each cell, of what leaves (9, P)."""
    with_none = torch.cat((leaving.flatten(), leaving.new_zeros(1)))
    return with_none.index_select(0, basin.origin.flatten()).view_as(leaving).sum(dim=0)


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
