"""Options that many families share, each with its one explanation."""

from __future__ import annotations

from typing import Any

from ..config import Rule
from ..errors import ConfigError
from .base import Option

KERNELS = (1, 3, 5, 7, 9, 11)


def hidden(default: tuple[int, ...] = (24,)) -> Option:
    """Channels per layer, bottom layer first."""
    return Option(
        "hidden",
        tuple[int, ...],
        default,
        Rule(
            label="Channels per layer",
            help="Number of state channels of each layer, bottom layer first; as many numbers as layers (32, 64 means "
            "two). More channels remember more and take longer.",
            unit="channels",
            minimum=1,
            maximum=1024,
        ),
    )


def kernel(default: int = 3) -> Option:
    """Side of the square neighbourhood."""
    return Option(
        "kernel",
        int,
        default,
        Rule(
            label="Kernel size",
            help="Side of the neighbourhood that a cell sees at each step; an odd number.",
            unit="cells",
            choices=KERNELS,
        ),
    )


def head_kernel(default: int = 1) -> Option:
    """Side of the neighbourhood of the output layer."""
    return Option(
        "head_kernel",
        int,
        default,
        Rule(
            label="Kernel size of the output",
            help="Side of the neighbourhood that the output layer reads from the last state; an odd number.",
            unit="cells",
            choices=KERNELS,
        ),
    )


def mask_channels(default: bool = False) -> Option:
    """Whether masks of observed input are input themselves."""
    return Option(
        "mask_channels",
        bool,
        default,
        Rule(
            label="Masks as input",
            help="Add a channel per input that is 1 where the input was observed and 0 where it was missing.",
        ),
    )


def dropout(default: float = 0.0) -> Option:
    """Dropout between layers."""
    return Option(
        "dropout",
        float,
        default,
        Rule(
            label="Dropout",
            help="Share of each layer's output that is set to zero in training.",
            minimum=0.0,
            maximum=0.9,
        ),
    )


def whole(name: str, default: int, label: str, help: str, minimum: int, maximum: int, **rule: Any) -> Option:
    """A whole number between two bounds."""
    return Option(name, int, default, Rule(label=label, help=help, minimum=minimum, maximum=maximum, **rule))


def number(name: str, default: float, label: str, help: str, minimum: float, maximum: float, **rule: Any) -> Option:
    """A number between two bounds."""
    return Option(name, float, default, Rule(label=label, help=help, minimum=minimum, maximum=maximum, **rule))


def choice(name: str, default: Any, label: str, help: str, choices: tuple, **rule: Any) -> Option:
    """One of several words or numbers."""
    return Option(name, type(default), default, Rule(label=label, help=help, choices=choices, **rule))


def check_layers(family: str) -> Any:
    """A check that at least one layer is asked for."""

    def check(options: dict[str, Any]) -> None:
        if not options["hidden"]:
            raise ConfigError(
                f"{family} needs at least one layer",
                expected=f"{family}.hidden with one number of channels per layer",
                got="an empty list",
                remedy="Give for instance 24, or 32, 64",
            )

    return check
