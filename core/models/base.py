"""The contract of every model.

Symbols: B batch, T window (steps), L leads, C dynamic channels, S static channels, A channels known ahead, K targets,
G gauges, H rows (north first), W columns.

``forward(x, static=None, observed=None, last_steps=1, warm_up=0, **more) -> dict``

- ``x`` (B, T, C, H, W): scaled dynamic input, oldest step first. No NaN: what is missing is 0 already and told by
  ``observed``.
- ``static`` (B, S, H, W) or None: scaled static maps, constant over the window.
- ``observed`` (B, T, C, H, W) or None: 1 where ``x`` was observed, 0 where it was missing; None means all observed.
- ``last_steps``: how many of the last window steps give a prediction. Training uses more than one to supervise several
  steps of one window at the price of one.
- ``warm_up``: how many of the first window steps only fill the memory: they count in the prediction, but no gradient
  goes back through them, which saves two thirds of their time and nearly all of their memory.

``more`` holds what the family's class attributes ask for, and nothing else:

- ``mask`` (1 or B, 1, H, W), 1 inside the basin, where ``uses_mask``.
- ``ahead`` (B, L, A, H, W), inputs that are known ahead, such as a weather forecast, where ``uses_ahead``.
- ``time_of_year`` (B, L), the share of the year that has passed at the predicted date (0 at the begin of 1 January),
  where ``uses_time_of_year``.
- ``truth`` (B, L, K, H, W), the scaled target with NaN where missing, and ``sampling``, the share of leads (0 to 1) at
  which the decoder reads it instead of its own prediction, where ``uses_truth``; in training only.

Returned: ``y_hat`` (B, L, K, H, W) in scaled units, or (B, L, K, G) from a model built for G gauges; with
``last_steps`` > 1 also ``y_hat_steps`` (B, last_steps, L, K, H, W) or (B, last_steps, L, K, G), whose entry
``-1 - k`` is the prediction of the window without its last k steps, so that entry -1 equals ``y_hat``. A family may
add keys of its own.

A model reads ``static`` only if ``uses_static`` and ``observed`` only if ``uses_observed``; otherwise they are
ignored. Map models run on grids of any size unless their family's ``any_grid`` is False; in evaluation mode a sample
does not depend on the others of its batch.
"""

from __future__ import annotations

from typing import Optional

from torch import Tensor, nn

from ..contracts.errors import ConfigError

WHOLE_FRAME_PX = 1_000_000
"""A halo that no grid reaches: the output at one cell depends on the whole frame, which must then be one tile."""


class ForecastModel(nn.Module):
    """Base of all models: keeps the sizes and checks the input against them.

    Parameters
    ----------
    in_channels, out_channels : int
        Dynamic inputs C and targets K.
    static_channels, leads : int
        Static maps S and lead steps L.
    gauges : int
        Gauges G that the model predicts; 0 means maps.
    ahead_channels : int
        Inputs A that are known ahead; 0 for none.
    """

    uses_static: bool = False
    uses_observed: bool = False
    uses_mask: bool = False
    uses_ahead: bool = False
    uses_truth: bool = False
    uses_time_of_year: bool = False
    several_steps: bool = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        static_channels: int = 0,
        leads: int = 1,
        gauges: int = 0,
        ahead_channels: int = 0,
    ) -> None:
        super().__init__()
        self.in_channels = _size("in_channels", in_channels, 1)
        self.out_channels = _size("out_channels", out_channels, 1)
        self.static_channels = _size("static_channels", static_channels, 0)
        self.leads = _size("leads", leads, 1)
        self.gauges = _size("gauges", gauges, 0)
        self.ahead_channels = _size("ahead_channels", ahead_channels, 0)

    def forward(
        self,
        x: Tensor,
        static: Optional[Tensor] = None,
        observed: Optional[Tensor] = None,
        last_steps: int = 1,
        warm_up: int = 0,
    ) -> dict[str, Tensor]:
        """Predict; see the head of this module for shapes."""
        raise NotImplementedError

    def halo_px(self, window: int) -> int:
        """Cells around a tile that its prediction depends on, for a window of ``window`` steps.

        Exact: a cell one further away has no influence. ``WHOLE_FRAME_PX`` where the whole frame has.
        """
        raise NotImplementedError

    def check_input(self, x: Tensor, static: Optional[Tensor], observed: Optional[Tensor], last_steps: int) -> None:
        """Raise ConfigError where shapes do not fit the model or ``last_steps`` does not fit the window."""
        if x.dim() != 5 or x.shape[2] != self.in_channels or 0 in x.shape:
            raise _shape("dynamic input", f"(B, T, {self.in_channels}, H, W)", x)
        batch, window, _, height, width = x.shape
        if self.uses_static:
            expected = (batch, self.static_channels, height, width)
            if static is None or tuple(static.shape) != expected:
                raise _shape("static input", str(expected), static)
        if self.uses_observed and observed is not None and observed.shape != x.shape:
            raise _shape("mask of observed input", str(tuple(x.shape)), observed)
        if not 1 <= last_steps <= window:
            raise ConfigError(
                "The number of supervised steps does not fit the window",
                expected=f"1 to {window} steps",
                got=str(last_steps),
                remedy="Supervise fewer steps or lengthen the window",
            )
        if last_steps > 1 and not self.several_steps:
            raise ConfigError(
                "This model predicts from the last step of the window only",
                expected="1 supervised step",
                got=str(last_steps),
                remedy="Supervise one step, or choose a many-to-one model",
            )

    def check_leads(self, x: Tensor, ahead: Optional[Tensor], truth: Optional[Tensor]) -> None:
        """Raise ConfigError where inputs known ahead are missing, or they or the truth do not fit ``x``."""
        for what, maps, channels in (
            ("input that is known ahead", ahead, self.ahead_channels),
            ("truth", truth, self.out_channels),
        ):
            expected = (len(x), self.leads, channels, *x.shape[3:])
            needed = maps is not None if what == "truth" else channels > 0
            if needed and (maps is None or tuple(maps.shape) != expected):
                raise _shape(what, str(expected), maps)


def _size(name: str, value: int, minimum: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ConfigError(
            f"The model cannot be built with this {name}",
            expected=f"a whole number of at least {minimum}",
            got=repr(value),
            remedy="Correct the number of inputs, targets, static maps or leads",
        )
    return value


def _shape(what: str, expected: str, tensor: Optional[Tensor]) -> ConfigError:
    return ConfigError(
        f"The {what} does not fit the model",
        expected=f"shape {expected}",
        got="none" if tensor is None else f"shape {tuple(tensor.shape)}",
        remedy="Give the variables that the model was built for, all on one grid",
    )
