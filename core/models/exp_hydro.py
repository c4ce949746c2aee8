"""EXP-HYDRO: two buckets and six parameters, as a differentiable model of one place."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..contracts.errors import ConfigError
from .cellwise import CellwiseModel, check_one_runoff

# Parameter -> least value, greatest value, start value (those that the authors' code searches and shows).
PARAMETERS: dict[str, tuple[float, float, float]] = {
    "f": (0.0, 0.1, 0.07),  # 1/mm, decline of the outflow with the deficit of the soil
    "s_max": (100.0, 1500.0, 200.0),  # mm, capacity of the soil
    "q_max": (10.0, 50.0, 20.0),  # mm/d, outflow of a full soil
    "ddf": (0.0, 5.0, 2.0),  # mm/(d K), melt by degree
    "t_min": (-3.0, 0.0, -1.0),  # degC, below which it snows
    "t_max": (0.0, 3.0, 1.0),  # degC, above which snow melts
}
SHARPNESS = 10.0  # of smooth thresholds, 1/K and 1/mm
_SPREAD = 0.2  # of the start values before the transform, so that seeds differ
# Classical Runge-Kutta: how far along the slope before it each stage looks, and its weight.
_STAGES = ((0.0, 1 / 6), (0.5, 1 / 3), (0.5, 1 / 3), (1.0, 1 / 6))


class _Weather(NamedTuple):
    """Rates of a step, each (N,), mm/d: snowfall, rainfall, potential evaporation, melt of a deep snowpack."""

    snowfall: Tensor
    rainfall: Tensor
    potential: Tensor
    melt: Tensor


class _Water(NamedTuple):
    """What a step leaves and what flowed in it, each (N,), mm."""

    snow: Tensor
    soil: Tensor
    melt: Tensor
    evaporation: Tensor
    runoff: Tensor


class ExpHydro(CellwiseModel):
    r"""EXP-HYDRO (Patil and Stieglitz 2014, doi:10.1002/hyp.9660; equation (11) of the water-balance paper).

    .. math::
        \dot S_0 = P_s - M, \quad \dot S_1 = P_r + M - E - Q

        P_s = P\,[T < T_{min}], \quad P_r = P - P_s, \quad M = \min(S_0 / 1\,d,\ D\,(T - T_{max})^+)

        E = E_p \min(1, S_1 / S_{max}), \quad Q = Q_{max}\, e^{-f (S_{max} - S_1)^+} + (S_1 - S_{max})^+ / 1\,d

    with snow S0 and soil S1 in mm, rates in mm/d. Smooth ``thresholds`` replace the step [x > 0] by
    :math:`\sigma(10 x)` and the ramp :math:`x^+` by its integral, so that every parameter has a gradient; a sharp
    ``t_min`` has none. The six parameters are learned through a sigmoid that keeps them in the range that the authors'
    code searches (``PARAMETERS``). Ours: static maps shift them place by place, linearly before the sigmoid.

    Weather is constant within a step. ``substeps`` steps a day of classical Runge-Kutta integrate the fluxes together
    with the storages, so that what flows is what the storages lose (the authors' code reports the fluxes of the last
    stage, which do not add up to the change of its storages). Ours: no substep takes more than there is, so that
    storages never fall below 0 for any parameters. The window begins without snow and with the share ``soil_start`` of
    the soil's capacity.

    ``x`` holds precipitation and potential evaporation in mm a step (below 0: none) and the temperature in degC, all
    unscaled, at ``mass_channel``, ``pet_channel``, ``temperature_channel``; -1 means 0, 1, 2. Further inputs are not
    read. ``y_hat`` is the runoff, the evaporation or the stored water (``reads``). Beside it (B, k, H, W), mm:
    ``storage``, ``storage_before`` (snow, soil), and of the last step ``inflow``, ``evaporation``, ``runoff``,
    ``melt``; ``totals`` of the window (inflow, evaporation, runoff) and ``initial``, the water stored before it.
    One target and one lead.
    """

    name = "exp-hydro"

    def __init__(self, *sizes: Any, **options: Any) -> None:
        super().__init__(*sizes, **options)
        check_one_runoff(self)
        names = ("mass_channel", "pet_channel", "temperature_channel")
        asked = [self.options[name] for name in names]
        self.places = [place if at < 0 else at for place, at in enumerate(asked)]
        if max(self.places) >= self.in_channels or len(set(self.places)) < len(names):
            raise ConfigError(
                "exp-hydro reads precipitation, potential evaporation and temperature",
                expected=f"three different places among {self.in_channels} inputs",
                got=", ".join(f"{name} {at}" for name, at in zip(names, self.places)),
                remedy="Add the missing input, or correct the places",
            )
        self.raw = nn.Parameter(torch.empty(len(PARAMETERS)))
        if self.static_channels:
            self.regional = nn.Linear(self.static_channels, len(PARAMETERS), bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start values: those of the authors' example, spread a little; the same at all places."""
        with torch.no_grad():
            low, high, start = _ranges(self.raw)
            share = (start - low) / (high - low)
            self.raw.copy_(torch.logit(share) + _SPREAD * torch.randn(len(PARAMETERS)))
            if self.static_channels:
                nn.init.zeros_(self.regional.weight)

    def parameters_at(self, static: Tensor) -> dict[str, Tensor]:
        """The six parameters in their units, each (N,), at N places with static inputs (N, S)."""
        low, high, _ = _ranges(self.raw)
        raw = self.raw.expand(len(static), -1)
        if self.static_channels:
            raw = raw + self.regional(static).to(raw.dtype)
        values = low + (high - low) * torch.sigmoid(raw)
        return dict(zip(PARAMETERS, values.unbind(1)))

    def run(self, sequences: Tensor, last_steps: int, warm_up: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`CellwiseModel`."""
        parameters = self.parameters_at(sequences[:, 0, self.in_channels :])
        soil = self.options["soil_start"] * parameters["s_max"]
        snow = torch.zeros_like(soil)
        initial, found, flows = (snow + soil)[:, None], [], []
        for number, frame in enumerate(sequences.unbind(1)):
            with torch.set_grad_enabled(torch.is_grad_enabled() and number >= warm_up):
                rain, potential = (frame[:, at].clamp(min=0.0) for at in self.places[:2])
                weather = self._weather(rain, potential, frame[:, self.places[2]], parameters)
                before = torch.stack((snow, soil), dim=1)
                water = self._step(snow, soil, weather, parameters)
                snow, soil = water.snow, water.soil
                flows.append(torch.stack((rain, water.evaporation, water.runoff), dim=1))
            found.append(snow + soil if self.options["reads"] == "storage" else getattr(water, self.options["reads"]))
        inflow, evaporation, runoff = flows[-1].unsqueeze(2).unbind(1)
        return torch.stack(found[-last_steps:], dim=1).unsqueeze(2), {
            "storage": torch.stack((snow, soil), dim=1),
            "storage_before": before,
            "inflow": inflow,
            "evaporation": evaporation,
            "runoff": runoff,
            "melt": water.melt[:, None],
            "totals": torch.stack(flows).sum(dim=0),
            "initial": initial,
        }

    def _weather(self, rain: Tensor, potential: Tensor, warmth: Tensor, parameters: dict[str, Tensor]) -> _Weather:
        """Rates in mm/d from amounts of a step in mm and its temperature."""
        days = self.options["step_days"]
        snowing = self._above(parameters["t_min"] - warmth)
        melt = parameters["ddf"] * self._ramp(warmth - parameters["t_max"])
        return _Weather(rain * snowing / days, rain * (1.0 - snowing) / days, potential / days, melt)

    def _step(self, snow: Tensor, soil: Tensor, weather: _Weather, parameters: dict[str, Tensor]) -> _Water:
        """Integrate over one step of the data."""
        days = self.options["step_days"]
        count = max(1, math.ceil(self.options["substeps"] * days - 1e-6))
        flows = [torch.zeros_like(soil)] * 3
        for _ in range(count):
            snow, soil, *more = self._substep(snow, soil, weather, parameters, days / count)
            flows = [flow + part for flow, part in zip(flows, more)]
        return _Water(snow, soil, *flows)

    def _substep(
        self, snow: Tensor, soil: Tensor, weather: _Weather, parameters: dict[str, Tensor], days: float
    ) -> _Water:
        ahead, sums = (snow, soil), [torch.zeros_like(soil)] * 3
        for number, (_, weight) in enumerate(_STAGES):
            melt, evaporation, runoff = rates = self._rates(*ahead, weather, parameters)
            sums = [total.add(rate, alpha=weight * days) for total, rate in zip(sums, rates)]
            if number + 1 < len(_STAGES):
                reach = _STAGES[number + 1][0] * days
                change = weather.rainfall + melt - evaporation - runoff
                ahead = snow.add(weather.snowfall - melt, alpha=reach), soil.add(change, alpha=reach)
        pack = snow + days * weather.snowfall
        melt = torch.minimum(sums[0], pack)
        # In this order rounding can neither make a storage negative nor part a flux from what the storage loses.
        held = soil + days * weather.rainfall + melt
        leaving = sums[1] + sums[2]
        share = torch.where(leaving > held, held / leaving.clamp(min=1e-30), torch.ones_like(held))
        evaporation = torch.minimum(share * sums[1], held)
        runoff = torch.minimum(share * sums[2], held - evaporation)
        return _Water(pack - melt, held - evaporation - runoff, melt, evaporation, runoff)

    def _rates(
        self, snow: Tensor, soil: Tensor, weather: _Weather, parameters: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Melt, evaporation and runoff, mm/d. A stage may look below 0, where nothing flows but what q_max gives."""
        capacity = parameters["s_max"]
        soil = soil.clamp(min=0.0)
        surplus = self._ramp(soil - capacity)
        filled = soil - surplus
        runoff = torch.addcmul(surplus, parameters["q_max"], torch.exp(parameters["f"] * (filled - capacity)))
        return torch.minimum(snow.clamp(min=0.0), weather.melt), weather.potential * filled / capacity, runoff

    def _above(self, x: Tensor) -> Tensor:
        """1 where x is above 0, else 0."""
        return torch.sigmoid(SHARPNESS * x) if self.options["thresholds"] == "smooth" else (x > 0.0).to(x.dtype)

    def _ramp(self, x: Tensor) -> Tensor:
        """x above 0, else 0."""
        return F.softplus(x, beta=SHARPNESS) if self.options["thresholds"] == "smooth" else x.clamp(min=0.0)


def _ranges(like: Tensor) -> tuple[Tensor, ...]:
    """Least, greatest and start values of the parameters, each (6,)."""
    return like.new_tensor(list(PARAMETERS.values())).unbind(1)
