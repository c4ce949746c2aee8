"""The model catalogue: every family as data. Dialogs, algorithms, help and the engine's registry read it.

A family is added in :mod:`.families` (what it is, which options it has) and in one file of :mod:`core.models` (how it
computes).
"""

from __future__ import annotations

from typing import Any, Optional, get_origin

from .errors import ConfigError
from .families import attention, conserving, gaps, gauges, geometry, lumped, recurrent, simple, spatiotemporal
from .families.base import Family, Option, Preset

__all__ = ["FAMILIES", "Family", "Option", "Preset", "family", "model_names", "resolve"]

FAMILIES: tuple[Family, ...] = (
    *recurrent.FAMILIES,
    *spatiotemporal.FAMILIES,
    *attention.FAMILIES,
    *geometry.FAMILIES,
    *gaps.FAMILIES,
    *gauges.FAMILIES,
    *lumped.FAMILIES,
    *conserving.FAMILIES,
    *simple.FAMILIES,
)


def family(name: str) -> Family:
    """The family called ``name``, or the family of the preset called ``name``; ConfigError lists the valid names."""
    return _find(name)[0]


def model_names() -> tuple[str, ...]:
    """Names that :func:`resolve` knows: each family, followed by its presets."""
    return tuple(name for item in FAMILIES for name in (item.name, *(preset.name for preset in item.presets)))


def resolve(name: str, options: Optional[dict[str, Any]] = None) -> tuple[str, dict[str, Any]]:
    """Name of the family and all its options, checked.

    A preset's options replace the family's defaults, and ``options`` replace the preset's. A single number stands for
    a list of one. Raises ConfigError for an unknown name or option and for a value out of range.
    """
    found, preset = _find(name)
    merged = {**(preset.options if preset else {}), **(options or {})}
    lists = {option.name for option in found.options if get_origin(option.type) is tuple}
    for key in lists & set(merged):
        if isinstance(merged[key], (int, float)) and not isinstance(merged[key], bool):
            merged[key] = (merged[key],)
    return found.name, found.complete(merged)


def _find(name: str) -> tuple[Family, Optional[Preset]]:
    for item in FAMILIES:
        if item.name == name:
            return item, None
        for preset in item.presets:
            if preset.name == name:
                return item, preset
    raise ConfigError(
        f"There is no model called '{name}'",
        expected=", ".join(model_names()),
        remedy="Choose one of these names",
    )
