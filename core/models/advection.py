"""Nowcasting by advection: the last map moves on with its motion."""

from __future__ import annotations

from typing import Any, Optional

import torch
from torch import Tensor

from ..contracts.errors import ConfigError
from ..contracts.models import family
from .base import WHOLE_FRAME_PX, ForecastModel
from .lagged import last_observed
from .optical_flow import blurred, motion, moved_on
from .reference_forecasts import target_places


class Advection(ForecastModel):
    r"""Optical flow between the last maps of the target, and the last one moved on with it.

    .. math:: \hat y_l = G_{b\,l} * x_k(T) \circ \phi^{-l}

    with the flow :math:`\phi` of :func:`core.models.optical_flow.motion` over the last ``frames`` steps and ``reach``
    cells, steady and without growth or decay (Lagrangian persistence: Bowler et al. 2004,
    doi:10.1016/j.jhydrol.2003.11.011; Germann and Zawadzki 2002). They find the motion in blocks and smooth it by the
    equation of continuity; ours finds it at each cell with a Gaussian weight, so that rotation and shear follow, and
    smooths it by confidence. A Gaussian of ``blur`` cells for each step l ahead takes away what is too small to last
    (after Seed 2003, doi:10.1175/1520-0450(2003)042<0381:ADASSA>2.0.CO;2, who finds scales and their lifetimes from
    the maps). Leads are ``first_lead``, ``first_lead`` + 1 and so on; each target k moves by its own flow.

    Works in scaled units, which best follow the logarithm of the rain. What comes from outside the observed area is
    not known; there the last observed value stays. Returned beside ``y_hat``: ``motion`` (B, K, 2, H, W), cells a
    step to the east and to the south, rows counted southward. In float32 whatever autocast says; no gradient leads to
    the input. Shapes, units and NaN policy: :mod:`core.models.base`.
    """

    uses_observed = True
    several_steps = False

    def __init__(
        self, in_channels: int, out_channels: int, static_channels: int = 0, leads: int = 1, **options: Any
    ) -> None:
        super().__init__(in_channels, out_channels, static_channels, leads)
        self.options = family("advection").complete(options)
        self.places = target_places("advection", self.options["target_channel"], in_channels, out_channels)

    @torch.no_grad()
    def forward(
        self,
        x: Tensor,
        static: Optional[Tensor] = None,
        observed: Optional[Tensor] = None,
        last_steps: int = 1,
        warm_up: int = 0,
    ) -> dict[str, Tensor]:
        """Predict; raises ConfigError where the window is shorter than the maps that show the motion."""
        self.check_input(x, static, observed, last_steps)
        frames = self.options["frames"]
        if x.shape[1] < frames:
            raise ConfigError(
                "The window is too short for this model",
                expected=f"at least {frames} steps, from which the motion is taken",
                got=f"{x.shape[1]} steps",
                remedy="Lengthen the window, or lower advection.frames",
            )
        seen = None if observed is None else observed[:, :, self.places]
        with torch.autocast(x.device.type, enabled=False):
            maps = x[:, :, self.places].float()
            fallback = last_observed(maps, seen).flatten(0, 1)[:, None]
            known = torch.ones_like(maps) if seen is None else (seen > 0).float()
            # Each target is a sample of its own: (B K, frames, H, W).
            maps, known = (held[:, -frames:].transpose(1, 2).flatten(0, 1) for held in (maps, known))
            moves = motion(maps, known, self.options["reach"])
            found = self._leads(maps[:, -1:], known[:, -1:], moves, fallback)
        shape = (len(x), self.out_channels)
        return {"y_hat": found.unflatten(0, shape).transpose(1, 2), "motion": moves.unflatten(0, shape)}

    def _leads(self, last: Tensor, known: Tensor, moves: Tensor, fallback: Tensor) -> Tensor:
        """(B K, L, H, W)."""
        first = self.options["first_lead"]
        steps = first + self.leads - 1
        maps, there = (held[:, first - 1 :] for held in moved_on(last, known, moves, steps))
        maps = torch.where(there, maps, fallback)
        return torch.cat(
            [blurred(maps[:, k : k + 1], self.options["blur"] * (first + k)) for k in range(self.leads)], dim=1
        )

    def halo_px(self, window: int) -> int:
        """Motions are smoothed far, and their damping knows the whole frame."""
        return WHOLE_FRAME_PX
