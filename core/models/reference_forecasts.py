"""Persistence and climatology as models: what a forecast has to beat, behind the contract of all others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional

import torch
from torch import Tensor

from ..contracts.errors import ConfigError
from ..contracts.models import family
from .base import WHOLE_FRAME_PX, ForecastModel
from .lagged import last_observed
from .learning import LearnedModel, Samples

_DAYS = 366
_TWO_YEARS_DAYS = 2 * 365
_ROUNDING = 1e-3  # days; the share of the year comes in float32


class Persistence(ForecastModel):
    r"""The last observed value of the target stays (Murphy 1992, doi:10.1175/1520-0434(1992)007<0692:CPATLC>2.0.CO;2).

    .. math:: \hat y_l(i) = x_k(i, t^*), \quad t^* = \max \{t \le T : x_k(i, t) \text{ observed}\}

    for all leads l; input k = ``target_channel`` is the target itself in the same scaled unit, -1 the first inputs in
    order. A cell that was never observed in the window keeps what stands for it at the last step. Shapes, units and NaN
    policy: :mod:`core.models.base`.
    """

    uses_observed = True
    several_steps = False

    def __init__(
        self, in_channels: int, out_channels: int, static_channels: int = 0, leads: int = 1, **options: Any
    ) -> None:
        super().__init__(in_channels, out_channels, static_channels, leads)
        self.options = family("persistence").complete(options)
        self.places = target_places("persistence", self.options["target_channel"], in_channels, out_channels)

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
        seen = None if observed is None else observed[:, :, self.places]
        last = last_observed(x[:, :, self.places], seen)
        return {"y_hat": last.unsqueeze(1).expand(-1, self.leads, -1, -1, -1).contiguous()}

    def halo_px(self, window: int) -> int:
        """A cell knows nothing of its neighbours."""
        return 0


def target_places(name: str, asked: tuple[int, ...], inputs: int, targets: int) -> list[int]:
    """Place of each target among the inputs; ConfigError where ``asked`` does not give one for each."""
    places = list(range(targets)) if tuple(asked) == (-1,) else list(asked)
    if len(places) != targets or min(places) < 0 or max(places) >= inputs:
        raise ConfigError(
            f"{name} carries on the past of its targets, which must be among its inputs",
            expected=f"{targets} place{'s' * (targets > 1)} from 0 to {inputs - 1}",
            got=", ".join(map(str, places)),
            remedy=f"Add the target to the inputs, or correct {name}.target_channel",
        )
    return places


class Climatology(LearnedModel):
    r"""The mean of each cell or gauge at this time of the year (Murphy 1992,
    doi:10.1175/1520-0434(1992)007<0692:CPATLC>2.0.CO;2).

    .. math:: \hat y(i, d) = \mathrm{mean} \{y(i, t) : t \in \text{training}, |d(t) - d| \le D\}

    with day of the year d, round the turn of the year, and D = ``days``. Under two years of training, from the first
    date to the last, and at a cell without a value around that day: the mean of all its dates; at a cell without any:
    0, the mean. ``maps`` (366 or 1, K, H, W), or (.., K, 1, G) of gauges, hold it, so that the model is bound to its
    grid. Two datasets of one grid, such as sequences, are one. The hour of the day is not told apart. Shapes, units and
    NaN policy: :mod:`core.models.base`.
    """

    uses_time_of_year = True
    bound_to_grid = True
    grows = {"maps": 0}

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
        self.options = family("climatology").complete(options)
        self.register_buffer("maps", torch.zeros(1, self.out_channels, 1, max(1, self.gauges)))

    def forward(
        self,
        x: Tensor,
        static: Optional[Tensor] = None,
        observed: Optional[Tensor] = None,
        last_steps: int = 1,
        warm_up: int = 0,
        time_of_year: Optional[Tensor] = None,
    ) -> dict[str, Tensor]:
        """Predict; ConfigError on another grid than that of the training, and without the dates of the targets."""
        self.check_input(x, static, observed, last_steps)
        if len(self.maps) == 1:
            found = self.maps.expand(len(x) * self.leads, -1, -1, -1)
        elif time_of_year is None or tuple(time_of_year.shape) != (len(x), self.leads):
            raise ConfigError(
                "A climatology needs the dates of what it predicts",
                expected=f"the time of the year, shape {(len(x), self.leads)}",
                got="none" if time_of_year is None else f"shape {tuple(time_of_year.shape)}",
                remedy="Give the share of the year that has passed at each predicted step",
            )
        else:
            found = self.maps[_day(time_of_year.flatten())]
        found = found.unflatten(0, (len(x), self.leads))
        if self.gauges:
            return {"y_hat": found[:, :, :, 0].contiguous()}
        if tuple(found.shape[3:]) not in ((1, 1), tuple(x.shape[3:])):
            raise ConfigError(
                "A climatology is bound to its grid: it is a mean of every cell",
                expected=f"{found.shape[3]} x {found.shape[4]} cells",
                got=f"{x.shape[3]} x {x.shape[4]} cells",
                remedy="Give maps of that grid, or train a model for this one",
            )
        return {"y_hat": found.expand(*found.shape[:3], *x.shape[3:]).contiguous()}

    def halo_px(self, window: int) -> int:
        """A tile is not the grid that the means are bound to."""
        return WHOLE_FRAME_PX

    @torch.no_grad()
    def learn(self, samples: Samples, seed: int) -> Iterator[float]:
        """Two passes over the targets: how long the training is, and the means."""
        days = [part.days for part in samples.targets()]
        span = max(part.max() for part in days) - min(part.min() for part in days) + _shortest(days)
        groups = _DAYS if span >= _TWO_YEARS_DAYS else 1
        total = count = torch.zeros(())
        for number, part in enumerate(samples.targets(), start=1):
            y = torch.from_numpy(part.y)
            if number == 1:
                total = torch.zeros((groups, *y.shape[1:]), dtype=torch.float64)
                count = torch.zeros(total.shape)
            seen = torch.isfinite(y)
            day = _day(torch.from_numpy(part.time_of_year)) if groups > 1 else torch.zeros(len(y), dtype=torch.long)
            total.index_add_(0, day, torch.nan_to_num(y).double() * seen)
            count.index_add_(0, day, seen.float())
            yield number / len(days)
        self.keep(maps=_means(total, count, self.options["days"]))


def _day(time_of_year: Tensor) -> Tensor:
    """Day of the year from 0 to 365: in a common year the 60th day is the 1st of March, in a leap year the 29th of
    February.
    """
    return (time_of_year * _DAYS + _ROUNDING).long().clamp(0, _DAYS - 1)


def _shortest(days: list) -> float:
    """The step in days: the least distance of two dates."""
    steps = [float((part[1:] - part[:-1]).min()) for part in days if len(part) > 1]
    return max(0.0, min(steps, default=0.0))


def _means(total: Tensor, count: Tensor, around: int) -> Tensor:
    """Sums and numbers (groups, K, H, W) of each day to means within ``around`` days of it, (groups, K, H, W)."""
    whole = total.sum(dim=0) / count.double().sum(dim=0)
    found = torch.empty_like(count)
    for day in range(len(total)):
        near = torch.arange(day - around, day + around + 1).remainder(len(total)).unique()
        mean = total[near].sum(dim=0) / count[near].double().sum(dim=0)
        found[day] = torch.nan_to_num(torch.where(torch.isfinite(mean), mean, whole))
    return found
