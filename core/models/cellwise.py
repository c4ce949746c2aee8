"""Models of one place: every cell on its own, or the mean of the basin for gauges. LSTM and MC-LSTM.

A map of H x W cells is H W basins that share the weights; a lumped basin is a grid of one cell. For gauges the inputs
are averaged over the basin's mask first.
"""

from __future__ import annotations

from typing import Any, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..contracts.errors import ConfigError
from ..contracts.models import family
from .base import WHOLE_FRAME_PX, ForecastModel


class CellwiseModel(ForecastModel):
    """Flattens maps to sequences (N, T, channels), lets :meth:`run` predict (N, last_steps, L K P), and puts the maps
    together again; P is the number of gauges, or 1 for maps.

    Channels: dynamic inputs, with ``mask_channels`` their masks, static maps (repeated at each step).
    """

    name = ""
    uses_mask = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        static_channels: int = 0,
        leads: int = 1,
        gauges: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, static_channels, leads, gauges)
        self.options = family(self.name).complete(options)
        self.uses_static = self.static_channels > 0
        self.uses_observed = bool(self.options.get("mask_channels", False))
        self.inputs = self.in_channels * (2 if self.uses_observed else 1) + self.static_channels
        self.outputs = self.leads * self.out_channels * max(1, self.gauges)

    def run(self, sequences: Tensor, last_steps: int, warm_up: int) -> tuple[Tensor, dict[str, Tensor]]:
        """(N, T, inputs) -> (N, last_steps, outputs), and further results of shape (N, ...)."""
        raise NotImplementedError

    def forward(
        self,
        x: Tensor,
        static: Optional[Tensor] = None,
        observed: Optional[Tensor] = None,
        last_steps: int = 1,
        warm_up: int = 0,
        mask: Optional[Tensor] = None,
    ) -> dict[str, Tensor]:
        """Predict; see :mod:`core.models.base`."""
        self.check_input(x, static, observed, last_steps)
        parts = [x]
        if self.uses_observed:
            parts.append(torch.ones_like(x) if observed is None else observed.to(x.dtype))
        if self.uses_static:
            parts.append(static.to(x.dtype).unsqueeze(1).expand(-1, x.shape[1], -1, -1, -1))
        maps = torch.cat(parts, dim=2)
        if self.gauges:
            maps = basin_mean(maps, mask)
        batch, height, width = len(maps), *maps.shape[3:]
        found, more = self.run(maps.permute(0, 3, 4, 1, 2).flatten(0, 2), last_steps, warm_up)
        found = found.reshape(batch, height, width, last_steps, self.leads, self.out_channels, -1)
        if self.gauges:
            steps = found[:, 0, 0]
        else:
            steps = found[..., 0].permute(0, 3, 4, 5, 1, 2)
        result = {"y_hat": steps[:, -1]}
        if last_steps > 1:
            result["y_hat_steps"] = steps
        for key, value in more.items():
            result[key] = value.reshape(batch, height, width, -1).permute(0, 3, 1, 2)
        return result

    def halo_px(self, window: int) -> int:
        """A cell knows nothing of its neighbours; a basin's mean knows all of them."""
        return WHOLE_FRAME_PX if self.gauges else 0


def check_one_runoff(model: CellwiseModel) -> None:
    """ConfigError unless ``model`` is asked for one target at one lead and at most one gauge."""
    if model.out_channels > 1 or model.leads > 1 or model.gauges > 1:
        raise ConfigError(
            f"{model.name} gives the runoff of a basin at the last step only",
            expected="one target, one lead, one gauge at most",
            got=f"{model.out_channels} targets, {model.leads} leads, {model.gauges} gauges",
            remedy="Choose lstm, or one target and one lead",
        )


def basin_mean(maps: Tensor, mask: Optional[Tensor]) -> Tensor:
    """(B, T, C, H, W) -> (B, T, C, 1, 1): the mean over the cells of the mask (1 or B, 1, H, W)."""
    if mask is None:
        return maps.mean(dim=(3, 4), keepdim=True)
    weights = mask.to(maps.dtype).unsqueeze(1)
    weights = weights / weights.sum(dim=(3, 4), keepdim=True).clamp(min=1.0)
    return (maps * weights).sum(dim=(3, 4), keepdim=True)


class LSTM(CellwiseModel):
    """Stacked LSTM layers and a linear head: equations (1)-(7) of the review, with PyTorch's two biases a gate.

    Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735. As of the water-balance paper (hidden 50, six
    inputs): 11,651 parameters. The forget gate starts with a bias of ``forget_bias``. No gradient goes through the
    first ``warm_up`` steps. cuDNN's kernels have no backward pass in evaluation mode; :mod:`core.explain` knows.
    """

    name = "lstm"

    def __init__(self, *sizes: Any, **options: Any) -> None:
        super().__init__(*sizes, **options)
        hidden, layers = self.options["hidden_size"], self.options["layers"]
        self.lstm = nn.LSTM(self.inputs, hidden, layers, batch_first=True)
        self.dropout = nn.Dropout(self.options["dropout"])
        self.head = nn.Linear(hidden, self.outputs)
        for name, bias in self.lstm.named_parameters():
            if name.startswith("bias_ih"):
                nn.init.constant_(bias.data[hidden : 2 * hidden], self.options["forget_bias"])

    def run(self, sequences: Tensor, last_steps: int, warm_up: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`CellwiseModel`."""
        outputs = lstm_outputs(self.lstm, sequences, last_steps, warm_up)
        return self.head(self.dropout(outputs)), {}


def lstm_outputs(lstm: nn.LSTM, sequences: Tensor, last_steps: int, warm_up: int) -> Tensor:
    """(N, T, inputs) -> (N, last_steps, hidden); no gradient goes through the first ``warm_up`` steps."""
    warm_up = min(warm_up, sequences.shape[1] - last_steps)
    state = None
    if warm_up > 0:
        with torch.no_grad():
            _, state = lstm(sequences[:, :warm_up])
    outputs, _ = lstm(sequences[:, max(0, warm_up) :], state)
    return outputs[:, -last_steps:]


class MCLSTM(CellwiseModel):
    r"""The mass-conserving LSTM (Hoedt et al. 2021, doi:10.48550/arXiv.2101.05186).

    .. math::
        i = \mathrm{softmax}(W_i z), \quad o = \sigma(W_o z), \quad R = \mathrm{softmax}_{rows}(W_R z), \quad
        z = [\log(1 + x), a, c / (1 + |c|_1), 1]

        m = R c + i x, \quad c' = (1 - o) \circ m, \quad h = o \circ m, \quad y = \sum_{k \ge 2} h_k

    ``x`` is precipitation in mm a step (channel ``mass_channel``, unscaled, never below 0), ``a`` all other inputs; the
    columns of R add up to one. The first storage collects what evaporates or is lost otherwise. The gates see the
    logarithm of the rain (the papers: the rain itself), so that a storm does not saturate them. The storages are
    normalised sample by sample: over the batch, as in public versions, a sample would depend on its neighbours. The
    softmax in place of a normalised ReLU cannot give a column of zeros, which would destroy water. With six inputs and
    20 storages: 11,880 parameters. Returned beside ``y_hat``: ``storage``, ``storage_before`` (B, N, H, W),
    ``evaporation``, ``runoff`` and ``inflow`` (B, 1, H, W) of the last step, mm. One target and one lead.
    """

    name = "mc-lstm"

    def __init__(self, *sizes: Any, **options: Any) -> None:
        super().__init__(*sizes, **options)
        self.storages, self.mass_channel = self.options["storages"], max(0, self.options["mass_channel"])
        check_one_runoff(self)
        count = self.storages
        self.inflow = nn.Linear(self.inputs + count, count)
        self.outflow = nn.Linear(self.inputs + count, count)
        self.redistribution = nn.Linear(self.inputs + count, count * count)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start values: water stays where it is (identity redistribution, closed output gates)."""
        with torch.no_grad():
            for gate in (self.inflow, self.outflow, self.redistribution):
                nn.init.orthogonal_(gate.weight)
                nn.init.zeros_(gate.bias)
            self.outflow.bias.fill_(-3.0)
            self.redistribution.weight.mul_(0.1)
            self.redistribution.bias.copy_(4.0 * torch.eye(self.storages).flatten())

    def run(self, sequences: Tensor, last_steps: int, warm_up: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`CellwiseModel`."""
        at, count = self.mass_channel, self.storages
        storage = sequences.new_zeros((len(sequences), count))
        runoffs, flux = [], {}
        for number, frame in enumerate(sequences.unbind(1)):
            with torch.set_grad_enabled(torch.is_grad_enabled() and number >= warm_up):
                rain = frame[:, at : at + 1].clamp(min=0.0)
                scale = 1.0 + storage.sum(dim=1, keepdim=True)
                seen = torch.cat((frame[:, :at], torch.log1p(rain), frame[:, at + 1 :], storage / scale), dim=1)
                before, (storage, out) = storage, self._step(seen, rain, storage)
            runoffs.append(out[:, 1:].sum(dim=1) if count > 1 else out[:, 0])
            gone = out[:, :1] if count > 1 else torch.zeros_like(out)
            flux = {"inflow": rain, "evaporation": gone, "runoff": runoffs[-1][:, None], "storage_before": before}
        return torch.stack(runoffs[-last_steps:], dim=1).unsqueeze(2), {**flux, "storage": storage}

    def _step(self, seen: Tensor, rain: Tensor, storage: Tensor) -> tuple[Tensor, Tensor]:
        """New storages and what left each of them, both (N, storages), mm; in the storages' own type."""
        kind, count = storage.dtype, self.storages
        inflow = F.softmax(self.inflow(seen).to(kind), dim=1)
        gate = torch.sigmoid(self.outflow(seen).to(kind))
        spread = F.softmax(self.redistribution(seen).to(kind).unflatten(1, (count, count)), dim=1)
        # A sum of products, not a matrix product: autocast would run that in 16 bits, and water would leak.
        water = (spread * storage.unsqueeze(1)).sum(dim=2) + inflow * rain
        out = gate * water
        return water - out, out
