"""What a family, an option and a preset of the model catalogue are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Optional

from ..config import Rule, check_value
from ..errors import ConfigError


@dataclass(frozen=True)
class Option:
    """One option of a family: name, Python type, default and rule.

    Types: ``int``, ``float``, ``bool``, ``str`` or ``tuple[int, ...]``.
    """

    name: str
    type: Any
    default: Any
    rule: Rule


@dataclass(frozen=True)
class Preset:
    """Options of a family under a name of their own, with the work that they come from."""

    name: str
    label: str
    help: str
    options: dict


@dataclass(frozen=True)
class Family:
    """A model family.

    ``uses_static``, ``uses_observed``, ``uses_mask`` and ``uses_ahead`` tell whether it reads static maps, masks of
    missing input, the basin mask, and inputs that are known ahead; ``mass_input`` that precipitation enters as an
    amount of water, unscaled. ``gives`` says what it predicts: "maps", "gauges" (one series a gauge) or both.
    ``any_grid`` is False where a trained model is bound to the size of its grid, ``one_cell`` True where it treats
    every cell on its own, so that a map is many basins. ``least_window`` is the shortest window that it can read, or
    ``window_option`` names the option that says so. ``learns`` is "gradient" (epoch by epoch), "at once" (fitted in one
    pass) or "nothing"; ``differentiable`` is False where no gradient leads to its input, ``several_steps`` where it
    predicts from the end of a window only. ``raw_inputs`` names further inputs that enter unscaled: the option with its
    place, and its quantity (a flux enters as an amount of water a step). ``uses_truth`` tells whether a decoder
    reads its own predictions, or the truth at times. ``check`` raises ConfigError where options that are valid one by
    one contradict each other.
    """

    name: str
    label: str
    summary: str
    paper: str
    doi: str
    options: tuple[Option, ...]
    presets: tuple[Preset, ...] = ()
    uses_static: bool = True
    uses_observed: bool = True
    uses_mask: bool = False
    mass_input: bool = False
    raw_inputs: tuple[tuple[str, str], ...] = ()
    uses_ahead: bool = False
    uses_truth: bool = False
    gives: tuple[str, ...] = ("maps",)
    any_grid: bool = True
    one_cell: bool = False
    least_window: int = 1
    window_option: str = ""
    learns: str = "gradient"
    several_leads: bool = True
    several_steps: bool = True
    differentiable: bool = True
    check: Optional[Callable[[dict[str, Any]], None]] = None

    def shortest_window(self, options: dict[str, Any]) -> int:
        """Steps that a window needs with these options, all of them given."""
        return max(self.least_window, int(options.get(self.window_option, 1)))

    def complete(self, options: dict[str, Any]) -> dict[str, Any]:
        """All options: those given, checked, and the defaults of the others. Unknown ones are refused by name."""
        known = {option.name: option for option in self.options}
        unknown = sorted(set(options) - set(known))
        if unknown:
            raise ConfigError(
                f"Model family '{self.name}' has no option {', '.join(repr(name) for name in unknown)}",
                expected=", ".join(known) or "no options",
                remedy="Remove the option or correct its spelling",
            )
        complete = {
            name: check_value(option.type, options.get(name, option.default), option.rule, f"{self.name}.{name}")
            for name, option in known.items()
        }
        if self.check is not None:
            self.check(complete)
        return complete
