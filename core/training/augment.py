"""Maps mirrored and turned by quarters while a model trains, with everything on them that has a direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Optional

import numpy as np
from torch import nn

from ..contracts.errors import ConfigError
from ..contracts.model_card import ModelCard, VariableCard
from ..data.scaling import Scaler
from ..data.windows import Batch
from .directions import Turn, codes_of_turn, directional_pairs, turned_angle, turned_codes, turned_vector
from .setup import TrainingSet

_SQUARE = 0.02  # by how much the sides of a cell may differ for a quarter turn
_ALONG_ROWS = 0.1  # by how much the width of the cells may change from north to south for a mirror


@dataclass(frozen=True)
class _Group:
    """What is turned along in the channels of one tensor of a batch: the variables and the first channel of each."""

    variables: tuple[VariableCard, ...]
    first: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]  # places of the eastward and the northward component
    angles: tuple[int, ...]
    codes: dict[int, tuple[int, ...]]  # place of a variable of codes -> the codes of the eight directions

    @property
    def still(self) -> bool:
        """Whether nothing of it points somewhere."""
        return not (self.pairs or self.angles or self.codes)


@dataclass(frozen=True)
class Augmentation:
    """How the batches of a training are shown anew; ``turns`` are those drawn from.

    Same seed, epoch and batch: same turn, so that a training that is taken up again sees what it would have seen.
    """

    turns: tuple[Turn, ...] = (Turn(),)
    dynamic: Optional[_Group] = None
    static: Optional[_Group] = None
    ahead: Optional[_Group] = None
    targets: Optional[_Group] = None

    def draw(self, seed: int, number: int) -> Turn:
        """The turn of batch ``number`` of an epoch with this ``seed``."""
        if len(self.turns) == 1:
            return self.turns[0]
        return self.turns[int(np.random.default_rng([seed, number]).integers(len(self.turns)))]

    def apply(self, batch: Batch, turn: Turn) -> Batch:
        """A batch whose maps are turned; the frame is (W, H) after a quarter. ``batch`` stays as it is."""
        if not (turn.mirrored or turn.quarters):
            return batch
        gone = None if batch.observed is None else (batch.x == 0.0) & ~batch.observed
        observed = turn.maps(batch.observed)
        return replace(
            batch,
            x=_turned(batch.x, self.dynamic, turn, gone),
            observed=None if observed is None else np.ascontiguousarray(_exchanged(observed, self.dynamic, turn)),
            static=_turned(batch.static, self.static, turn),
            y=_turned(batch.y, self.targets, turn),
            mask=turn.maps(batch.mask),
            ahead=_turned(batch.ahead, self.ahead, turn, None if batch.ahead is None else batch.ahead == 0.0),
        )

    def variance(self, variance: np.ndarray, turn: Turn) -> np.ndarray:
        """The variance (K, H, W) of the targets of a turned batch."""
        return np.ascontiguousarray(_exchanged(turn.maps(variance), self.targets, turn))

    @property
    def words(self) -> str:
        """A sentence on what is turned along; empty without an augmentation."""
        if len(self.turns) == 1:
            return ""
        names = [
            group.variables[place].name
            for group in (self.dynamic, self.static, self.ahead, self.targets)
            if group is not None
            for place in (*(n for pair in group.pairs for n in pair if n >= 0), *group.angles, *group.codes)
        ]
        along = f"{', '.join(names)} are turned along" if names else "no variable is known to have a direction"
        return f"Each batch is shown in one of {len(self.turns)} positions; {along}."


def augmentation_of(kind: str, module: nn.Module, sets: Sequence[TrainingSet]) -> Augmentation:
    """The augmentation ``kind`` of a training. Raises :class:`ConfigError` with the reason where the model, the grid or
    a variable forbids it.
    """
    if kind == "none":
        return Augmentation()
    _check_model(module, sets)
    turns = tuple(Turn(mirrored, quarters) for mirrored in (False, True) for quarters in (0, 2))
    if kind == "turns":
        turns = tuple(Turn(mirrored, quarters) for mirrored in (False, True) for quarters in range(4))
    for item in sets:
        _check_grid(item, quarter=kind == "turns")
    card = sets[0].card
    if card is None:
        raise ConfigError("The variables of this training are not known", remedy="Train without augmentation")
    quarter = kind == "turns"
    return Augmentation(
        turns,
        _group("inputs", card.inputs, quarter),
        _group("static maps", card.static, quarter, maps=_static_values(card, sets)),
        _group("variables known ahead", card.ahead, quarter),
        _group("variables to predict", card.targets, quarter),
    )


def _group(
    title: str,
    variables: Sequence[VariableCard],
    quarter: bool,
    maps: Optional[dict[str, np.ndarray]] = None,
) -> Optional[_Group]:
    if not variables:
        return None
    widths = [max(1, len(v.scaler.get("classes", ()))) if v.scaler.get("kind") == "one-hot" else 1 for v in variables]
    first = tuple(int(n) for n in np.cumsum([0, *widths[:-1]]))
    quantities = [v.quantity for v in variables]
    for place, variable in enumerate(variables):
        if variable.quantity == "flow_direction" and maps is None:
            raise ConfigError(
                f"'{variable.name}' is a flow direction among the {title}, which cannot be turned along",
                remedy="Use it as a static map, or train without augmentation",
            )
        if widths[place] > 1 and variable.quantity != "flow_direction" and _points(variable.quantity):
            raise ConfigError(
                f"'{variable.name}' points somewhere and is read as classes, which cannot be turned along",
                remedy="Choose another scaler for it, such as 'standard', or train without augmentation",
            )
    pairs = directional_pairs(title, [v.name for v in variables], quantities, quarter)
    angles = tuple(place for place, name in enumerate(quantities) if name == "aspect")
    codes = {
        place: codes_of_turn(variable.name, np.unique(maps[variable.name]))
        for place, variable in enumerate(variables)
        if variable.quantity == "flow_direction" and maps is not None
    }
    return _Group(tuple(variables), first, pairs, angles, codes)


def _points(name: str) -> bool:
    return name in ("aspect", "aspect_sin", "aspect_cos", "wind_u", "wind_v")


def _turned(
    maps: Optional[np.ndarray], group: Optional[_Group], turn: Turn, gone: Optional[np.ndarray] = None
) -> Optional[np.ndarray]:
    """Maps (..., channels, H, W) turned, with the values that point somewhere. Where ``gone``, of the same shape, the
    mean stands for a missing value, and stays.
    """
    if maps is None:
        return None
    moved = np.ascontiguousarray(turn.maps(maps))
    if group is None or group.still:
        return moved
    made, gone = moved.copy(), turn.maps(gone)
    scalers = [Scaler.from_dict(variable.scaler) for variable in group.variables]

    def own(place: int) -> Optional[np.ndarray]:
        return scalers[place].inverse(moved[..., group.first[place], :, :]) if place >= 0 else None

    def put(place: int, values: np.ndarray, source: int) -> None:
        scaled = scalers[place].transform(values)
        if gone is not None and scalers[source].kind != "min-max":  # whose 0 is a value like any other
            scaled = np.where(gone[..., group.first[source], :, :], np.float32(0.0), scaled)
        made[..., group.first[place], :, :] = scaled

    for pair in group.pairs:
        sources = pair[::-1] if turn.quarters % 2 else pair
        for place, source, values in zip(pair, sources, turned_vector(own(pair[0]), own(pair[1]), turn)):
            if place >= 0:
                put(place, values, source)
    for place in group.angles:
        put(place, turned_angle(own(place), turn), place)
    for place, ring in group.codes.items():
        first, scaler = group.first[place], scalers[place]
        if scaler.kind == "one-hot":
            for number, code in enumerate(turned_codes(np.array(scaler.classes), ring, turn)):
                made[..., first + scaler.classes.index(code), :, :] = moved[..., first + number, :, :]
        else:
            put(place, turned_codes(np.rint(own(place)), ring, turn), place)
    return made


def _exchanged(maps: np.ndarray, group: Optional[_Group], turn: Turn) -> np.ndarray:
    """After a quarter turn each component is made of the other, and so is what is known of it."""
    if turn.quarters % 2 == 0 or group is None or not group.pairs:
        return maps
    made = maps.copy()
    for east, north in group.pairs:
        one, two = group.first[east], group.first[north]
        made[..., one, :, :], made[..., two, :, :] = maps[..., two, :, :], maps[..., one, :, :]
    return made


def _static_values(card: ModelCard, sets: Sequence[TrainingSet]) -> dict[str, np.ndarray]:
    """The codes of each static map of flow directions, over all datasets."""
    found: dict[str, np.ndarray] = {}
    first = 0
    for variable in card.static:
        scaler = Scaler.from_dict(variable.scaler)
        if scaler.kind == "one-hot":
            found[variable.name] = np.array(scaler.classes)
        elif variable.quantity == "flow_direction":
            maps = [scaler.inverse(item.data.static[first]).ravel() for item in sets]
            found[variable.name] = np.unique(np.rint(np.concatenate(maps)))
        else:
            found[variable.name] = np.zeros(0)
        first += max(1, len(scaler.classes)) if scaler.kind == "one-hot" else 1
    return found


def _check_model(module: nn.Module, sets: Sequence[TrainingSet]) -> None:
    if any(item.data.gauges for item in sets):
        raise ConfigError(
            "The gauges of this model lie in fixed cells, so its maps cannot be mirrored or turned",
            remedy="Train without augmentation",
        )
    if getattr(module, "bound_to_grid", False) or hasattr(module, "prepare_from"):
        raise ConfigError(
            "This model learns where each cell of its grid lies, so its maps cannot be mirrored or turned",
            remedy="Train without augmentation, or choose a family that is not bound to its grid, such as convlstm",
        )
    if all(item.data.mask.size == 1 for item in sets):
        raise ConfigError("A frame of one cell has nothing to mirror or turn", remedy="Train without augmentation")


def _check_grid(item: TrainingSet, quarter: bool) -> None:
    """The cells of a grid in latitude and longitude are no squares, and change from row to row."""
    from ..data.terrain.cells import cell_sizes

    sizes = cell_sizes(item.data.grid)
    width, height = np.asarray(sizes.width_m), np.asarray(sizes.height_m)
    if quarter and max(abs(float((width / height).max()) - 1.0), abs(float((width / height).min()) - 1.0)) > _SQUARE:
        middle = len(width) // 2
        raise ConfigError(
            f"The cells of '{item.data.name}' are no squares, so its maps cannot be turned by a quarter",
            expected="cells as wide as high",
            got=f"{width[middle]:.6g} m by {height[middle]:.6g} m in the middle row",
            remedy="Choose the augmentation 'flips', or prepare the dataset on a grid in metres",
        )
    if float(width.max() / width.min()) - 1.0 > _ALONG_ROWS:
        raise ConfigError(
            f"The cells of '{item.data.name}' grow narrower towards the pole, so its maps cannot be mirrored",
            expected="widths that differ by at most 10 %",
            got=f"{width.min():.6g} m to {width.max():.6g} m",
            remedy="Prepare the dataset on a grid in metres, or train without augmentation",
        )
