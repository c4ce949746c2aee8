"""What regressions see of a window: last values and running means of each cell, or of the basin's mean."""

from __future__ import annotations

from typing import Any, Optional

import torch
from torch import Tensor

from ..contracts.errors import ConfigError, RunError
from ..contracts.models import family
from .base import WHOLE_FRAME_PX
from .cellwise import basin_mean
from .learning import LearnedModel, Sample


class LaggedModel(LearnedModel):
    """Base of models that predict each cell from features of that cell; for gauges, from their means over the basin.

    Features, each for all C dynamic inputs: the values of the last ``lags`` steps, newest first; the means of the last
    ``means`` steps; with ``window_mean`` the mean of the window. With ``mask_channels`` means are those of the observed
    values, and there follow the masks of the last ``lags`` steps, the observed shares of each mean, and the last
    observed value. Static maps stand at the end. Their number F follows from the options alone: a mean that is longer
    than the window is 0 everywhere, so that nothing is learned from it. The L K outputs of a cell, or L K G of a basin,
    are counted with the lead outermost.
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
        self.uses_observed = self.options["mask_channels"]
        averages = len(self.options["means"]) + int(self.options["window_mean"])
        seen = self.options["lags"] + averages
        self.inputs = self.in_channels * (2 * seen + 1 if self.uses_observed else seen) + self.static_channels
        self.outputs = self.leads * self.out_channels * max(1, self.gauges)

    def predict(self, features: Tensor) -> Tensor:
        """(B, F, H, W) -> (B, outputs, H, W)."""
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
        """Predict in float32; raises ConfigError where the window is shorter than the lags."""
        self.check_input(x, static, observed, last_steps)
        with torch.autocast(x.device.type, enabled=False):
            found = self.predict(self.features(x, static, observed, mask))
        found = found.unflatten(1, (self.leads, self.out_channels, -1))
        return {"y_hat": found[..., 0, 0] if self.gauges else found[:, :, :, 0]}

    def features(
        self, x: Tensor, static: Optional[Tensor], observed: Optional[Tensor], mask: Optional[Tensor]
    ) -> Tensor:
        """float32 (B, F, H, W), or (B, F, 1, 1) for gauges; see the head of the class."""
        lags = self.options["lags"]
        if x.shape[1] < lags:
            raise ConfigError(
                "The window is too short for this model",
                expected=f"at least {lags} steps: so many last values are read",
                got=f"{x.shape[1]} steps",
                remedy=f"Lengthen the window, or lower {self.name}.lags",
            )
        x = x.float()
        parts = [x[:, -1 - lag] for lag in range(lags)]
        if self.uses_observed:
            seen = torch.ones_like(x) if observed is None else (observed > 0).float()
            shares = [self._mean(seen, steps) for steps in self._spans()]
            values = [self._mean(x * seen, steps) for steps in self._spans()]
            parts += [value / share.clamp(min=1e-6) for value, share in zip(values, shares)]
            parts += [seen[:, -1 - lag] for lag in range(lags)] + shares + [last_observed(x, seen)]
        else:
            parts += [self._mean(x, steps) for steps in self._spans()]
        if self.uses_static:
            parts.append(static.float())
        found = torch.cat(parts, dim=1)
        return basin_mean(found.unsqueeze(1), mask)[:, 0] if self.gauges else found

    def rows(self, sample: Sample) -> tuple[Tensor, Tensor]:
        """Features (B, F, H, W) and targets (B, outputs, H, W) of a sample; one cell for gauges. Raises RunError where
        an input is so large that its mean is no number.
        """
        features = self.features(sample.x, sample.static, sample.observed, sample.mask)
        if not bool(torch.isfinite(features).all()):
            raise RunError(
                "The means of the inputs leave the finite numbers",
                got=f"values up to {float(sample.x.abs().max()):g}, scaled",
                remedy="Look for extreme values in the inputs, or give them a scaler such as standard",
            )
        y = sample.y.float()
        return features, y.flatten(1)[..., None, None] if self.gauges else y.flatten(1, 2)

    def halo_px(self, window: int) -> int:
        """A cell knows nothing of its neighbours; a basin's mean knows all of them."""
        return WHOLE_FRAME_PX if self.gauges else 0

    def _spans(self) -> tuple[int, ...]:
        """Lengths of the means in steps; 0 is the whole window."""
        return (*self.options["means"], *((0,) if self.options["window_mean"] else ()))

    def _mean(self, maps: Tensor, steps: int) -> Tensor:
        window = maps.shape[1]
        if steps > window or (steps == window and self.options["window_mean"]):
            return torch.zeros_like(maps[:, 0])
        return maps[:, -steps:].mean(dim=1)


def last_observed(x: Tensor, observed: Optional[Tensor]) -> Tensor:
    """(B, T, C, H, W) -> (B, C, H, W): the value of each cell at the last step at which it was observed; where it
    never was, what stands for it at the last step.
    """
    if observed is None:
        return x[:, -1]
    number = torch.arange(1, x.shape[1] + 1, device=x.device).view(1, -1, 1, 1, 1)
    last = ((observed > 0) * number).amax(dim=1, keepdim=True)
    last = torch.where(last > 0, last, x.shape[1]) - 1
    return x.gather(1, last)[:, 0]
