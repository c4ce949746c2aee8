"""The variable catalogue: what Freshet knows of each quantity before it has seen a value.

Units inside a dataset, how to aggregate and resample, the plausible range, the default scaler, the colour ramp and how
it is stretched. The table stands in :mod:`.catalogue`, the guesses in :mod:`.guessing`.
"""

from __future__ import annotations

from .catalogue import CATALOGUE
from .errors import ConfigError
from .guessing import fits, guess_quantity
from .quantity import AGGREGATIONS, KINDS, RESAMPLINGS, SCALERS, STRETCHES, Quantity

__all__ = [
    "AGGREGATIONS",
    "CATALOGUE",
    "KINDS",
    "RESAMPLINGS",
    "SCALERS",
    "STRETCHES",
    "Quantity",
    "fits",
    "guess_quantity",
    "quantity",
    "quantity_names",
]

_BY_NAME = {entry.name: entry for entry in CATALOGUE}


def quantity(name: str) -> Quantity:
    """The catalogue's entry called ``name``; an unknown one raises :class:`ConfigError` that lists those there are."""
    if name not in _BY_NAME:
        raise ConfigError(
            f"The variable catalogue has no quantity '{name}'",
            expected=", ".join(_BY_NAME),
            remedy="Choose one of these; 'other' fits what none of them names",
        )
    return _BY_NAME[name]


def quantity_names() -> tuple[str, ...]:
    """All names of the catalogue, in its order."""
    return tuple(_BY_NAME)
