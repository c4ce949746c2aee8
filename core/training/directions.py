"""What a mirror and a quarter turn do to values that point somewhere: vectors, angles, codes of flow directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from ..contracts.errors import ConfigError

# Codes of the eight directions from east on, against the clock: E, NE, N, NW, W, SW, S, SE.
_ESRI = (1, 128, 64, 32, 16, 8, 4, 2)
_LDD = (6, 9, 8, 7, 4, 1, 2, 3)
_STILL_ESRI = (0, -1, 247, 255)  # no direction: where water leaves, pits, missing
_STILL_LDD = (0, 5, 255)
# Eastward and northward component; both of the same kind belong together.
_COMPONENTS = (("wind_u", "wind_v", "eastward wind", "northward wind"),
               ("aspect_sin", "aspect_cos", "sine of the aspect", "cosine of the aspect"))  # fmt: skip


@dataclass(frozen=True)
class Turn:
    """A mirror from east to west if ``mirrored``, then ``quarters`` turns against the clock."""

    mirrored: bool = False
    quarters: int = 0

    def maps(self, values: Optional[np.ndarray]) -> Optional[np.ndarray]:
        """Maps (..., H, W), row 0 in the north, moved; None stays None."""
        if values is None:
            return None
        moved = values[..., ::-1] if self.mirrored else values
        return np.rot90(moved, self.quarters, axes=(-2, -1))

    def direction(self, number: int) -> int:
        """Where one of the eight directions, counted from east against the clock, comes to point."""
        return ((4 - number if self.mirrored else number) + 2 * self.quarters) % 8


def turned_vector(
    east: Optional[np.ndarray], north: Optional[np.ndarray], turn: Turn
) -> tuple[Optional[np.ndarray], Optional[np.ndarray]]:
    """The components of moved vectors. One of them may be None where no odd number of quarters mixes the two."""
    if turn.mirrored and east is not None:
        east = -east
    for _ in range(turn.quarters % 4):
        east, north = None if north is None else -north, east
    return east, north


def turned_angle(degrees: np.ndarray, turn: Turn) -> np.ndarray:
    """Angles from north with the clock, 0 to 360; negative ones, which say flat, stay."""
    flat = degrees < -0.5
    moved = -degrees if turn.mirrored else degrees
    return np.where(flat, degrees, (moved - 90.0 * turn.quarters) % 360.0).astype(np.float32)


def codes_of_turn(name: str, codes: np.ndarray) -> tuple[int, ...]:
    """Those ``codes`` of a map of flow directions that name the eight directions, from east on against the clock.

    Raises :class:`ConfigError` where it is not clear which directions they name, or one of the eight is missing.
    """
    there = {int(code) for code in codes if np.isfinite(code)}
    esri, ldd = there - set(_STILL_ESRI), there - set(_STILL_LDD)
    if esri and esri <= set(_ESRI) and max(esri) > 9:
        ring = _ESRI
    elif 9 in there and ldd <= set(_LDD):
        ring = _LDD
    else:
        raise ConfigError(
            f"It is not clear which directions the codes of '{name}' name, so it cannot be turned along",
            expected=f"codes of ESRI ({', '.join(map(str, sorted(_ESRI)))}) or of PCRaster (1 to 9)",
            got=", ".join(str(code) for code in sorted(there)[:12]),
            remedy="Prepare the flow direction with Freshet's terrain maps, or train without augmentation",
        )
    missing = sorted(set(ring) - there)
    if missing:
        raise ConfigError(
            f"'{name}' lacks some of the eight directions, which a turned map would need",
            expected="all eight directions in the basin",
            got=f"no cell with the code {', '.join(map(str, missing))}",
            remedy="Leave out the flow direction, or train without augmentation",
        )
    return ring


def turned_codes(codes: np.ndarray, ring: tuple[int, ...], turn: Turn) -> np.ndarray:
    """Codes after a turn; those that are not in the ``ring`` of :func:`codes_of_turn` stay."""
    made = np.array(codes)
    for number, code in enumerate(ring):
        made[codes == code] = ring[turn.direction(number)]
    return made


def directional_pairs(
    title: str, names: Sequence[str], quantities: Sequence[str], quarter: bool
) -> tuple[tuple[int, int], ...]:
    """Places of eastward and northward components that belong together, -1 for one that is not there.

    With quarter turns both have to be there once. Raises :class:`ConfigError` in words where not.
    """
    pairs: list[tuple[int, int]] = []
    for east, north, east_words, north_words in _COMPONENTS:
        easts = [place for place, name in enumerate(quantities) if name == east]
        norths = [place for place, name in enumerate(quantities) if name == north]
        if not quarter:
            pairs += [(place, -1) for place in easts] + [(-1, place) for place in norths]
        elif len(easts) == 1 and len(norths) == 1:
            pairs.append((easts[0], norths[0]))
        elif easts or norths:
            found = [names[place] for place in (*easts, *norths)]
            raise ConfigError(
                f"A quarter turn makes the {east_words} the {north_words} and the other way round, and the {title} do "
                "not hold one of each",
                got=", ".join(found),
                remedy="Add the other component, choose the augmentation 'flips', or leave it out",
            )
    return tuple(pairs)
