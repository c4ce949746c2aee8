"""The maps of one dataset as a model sees them: scaled, without NaN among the inputs; in memory, or read on demand.

Symbols: T steps, C channels, A variables known ahead, K targets, H rows, W columns, G gauges.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Optional

import numpy as np

from ..contracts.errors import DataError
from ..contracts.model_card import ModelCard, VariableCard
from .hiding import nearest_source
from .lazy import ALWAYS, NEVER, Channel, LazyMaps, Nothing, Reader, Seen, TargetMaps, blocks, scaler_of
from .scaling import Scaler
from .store import Dataset


def inputs_in_memory(
    dataset: Dataset, variables: Sequence[VariableCard], filling: Collection[str] = ()
) -> tuple[np.ndarray, Optional[np.ndarray]]:
    """Scaled values (T, C, H, W) without NaN, and which of them were observed, bool; None where all were. Of the
    variables ``filling`` what was filled before counts as missing: it may have been made of what is hidden.
    """
    shape = (len(dataset.times), len(variables), *dataset.grid.shape)
    x, observed = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=bool)
    for channel, variable in enumerate(variables):
        scaler, known = scaler_of(variable), np.zeros(dataset.grid.shape, dtype=bool)
        for steps in blocks(shape[0], shape[2:], dataset.chunk_steps(variable.name)):
            values = dataset.window(variable.name, steps, observed=variable.name in filling)
            seen, flags = np.isfinite(values), dataset.flags(variable.name, steps)
            known |= seen.any(axis=0)
            observed[steps, channel] = seen if flags is None else seen & ~flags
            x[steps, channel] = scaler.transform(values)
        _complete(x[:, channel], known)
    return x, None if observed.all() and not filling else observed


def _complete(maps: np.ndarray, known: np.ndarray) -> None:
    """Continue ``maps`` (T, H, W) into cells that are not ``known``, and set what is missing to 0; in place."""
    source = source_of(known)
    for steps in blocks(len(maps), maps.shape[1:]):
        part = maps[steps]
        if source is not None:
            part[:] = part.reshape(len(part), -1)[:, source].reshape(part.shape)
        np.nan_to_num(part, copy=False, nan=0.0, posinf=0.0, neginf=0.0)


def source_of(known: np.ndarray) -> Optional[np.ndarray]:
    """int (H*W,): the cell that gives each its value (see :func:`continued`); None where each has its own."""
    return None if known.all() or not known.any() else nearest_source(known)


def inputs_on_demand(
    dataset: Dataset, variables: Sequence[VariableCard], filling: Collection[str] = ()
) -> tuple[LazyMaps, Optional[LazyMaps]]:
    """As :func:`inputs_in_memory`, read when asked for. Of each variable is found out, from its cache or by one
    reading, which cells ever have a value, and which always.
    """
    reader, x, seen, complete = Reader(dataset), [], [], not filling
    for variable in variables:
        only = variable.name in filling
        coverage = reader.coverage(variable.name, only)
        complete &= coverage.min() == ALWAYS and not dataset.has_filled(variable.name)
        x.append(Channel(reader, variable.name, scaler_of(variable), only, source_of(coverage > NEVER)))
        seen.append(Seen(reader, variable.name, scaler_of(variable)))
    return LazyMaps.of(x), None if complete else LazyMaps.of(seen, bool)


def targets_in_memory(dataset: Dataset, card: ModelCard) -> Optional[np.ndarray]:
    """Scaled targets (T, K, *frame), or None where the dataset lacks the first; all NaN where it lacks another."""
    if card.target.name not in dataset.variables:
        return None
    frame = (1, len(card.gauges)) if card.gauges else dataset.grid.shape
    y = np.full((len(dataset.times), len(card.targets), *frame), np.nan, dtype=np.float32)
    for place, target in enumerate(card.targets):
        if target.name not in dataset.variables:
            continue
        if card.gauges:
            y[:, place] = scaler_of(target).transform(target_values(dataset, card, target))
            continue
        check_is_map(dataset, target.name)
        lazy = TargetMaps(Reader(dataset), target.name, scaler_of(target), mask=dataset.mask)
        for steps in blocks(len(y), frame, dataset.chunk_steps(target.name)):
            y[steps, place] = lazy.read(steps, slice(None), slice(None))
    return y


def targets_on_demand(dataset: Dataset, card: ModelCard) -> Optional[LazyMaps]:
    """As :func:`targets_in_memory` for maps, read when asked for."""
    if card.target.name not in dataset.variables:
        return None
    reader, channels = Reader(dataset), []
    for target in card.targets:
        if target.name in dataset.variables:
            check_is_map(dataset, target.name)
            channels.append(TargetMaps(reader, target.name, scaler_of(target), mask=dataset.mask))
        else:
            channels.append(Nothing(reader, target.name, scaler_of(target)))
    return LazyMaps.of(channels)


def static_maps(dataset: Dataset, card: ModelCard) -> Optional[np.ndarray]:
    """Scaled static maps (S, H, W) without NaN, or None."""
    if not card.static:
        return None
    return np.concatenate([_static_channels(dataset.static_map(v.name), v) for v in card.static])


def target_values(dataset: Dataset, card: ModelCard, target: VariableCard) -> np.ndarray:
    """Observed values of a target in its unit, float32 (T, *frame), NaN where missing, filled or outside the mask.

    For a model of gauges (T, 1, G): the series of its gauges, or the mean of a map over the basin, the same at each.
    Raises :class:`DataError` where the dataset has other gauges, or a series where the model gives maps.
    """
    if not card.gauges:
        check_is_map(dataset, target.name)
        maps = dataset.observed(target.name)
        maps[:, ~dataset.mask] = np.nan
        return maps
    if not dataset.variables[target.name].gauges:
        inside = dataset.observed(target.name)[:, dataset.mask]
        count = np.isfinite(inside).sum(axis=1, keepdims=True)
        mean = np.nansum(inside, axis=1, keepdims=True, dtype=np.float64) / np.maximum(count, 1)
        return np.repeat(np.where(count > 0, mean, np.nan), len(card.gauges), axis=1)[:, None].astype(np.float32)
    return dataset.observed(target.name)[:, None, gauge_places(dataset, card)]


def gauge_places(dataset: Dataset, card: ModelCard) -> list[int]:
    """The place in ``dataset.gauges`` of each gauge of the model: by id, or in their order where none of the ids is
    there but their number is the same (another basin). Raises :class:`DataError` for anything else.
    """
    ids = list(dataset.gauges.ids) if dataset.gauges else []
    if all(name in ids for name in card.gauges):
        return [ids.index(name) for name in card.gauges]
    if len(ids) == len(card.gauges) and not set(ids) & set(card.gauges):
        return list(range(len(ids)))
    raise DataError(
        f"The dataset '{dataset.name}' has other gauges than the model predicts",
        expected=", ".join(card.gauges[:10]),
        got=", ".join(ids[:10]) or "none",
        remedy="Prepare a dataset with these gauges, or with as many of another basin",
    )


def check_is_map(dataset: Dataset, name: str) -> None:
    """Raise :class:`DataError` for a series at gauges, which a model of maps can neither read nor predict."""
    if dataset.variables[name].gauges:
        maps = [info.name for info in dataset.variables.values() if not info.gauges]
        raise DataError(
            f"'{name}' of '{dataset.name}' is a series at {len(dataset.gauges or ())} gauges, not a map",
            expected=f"a map, such as {', '.join(maps)}",
            remedy="Choose a map, or prepare the dataset with a gridding other than 'gauges'",
        )


def continued(maps: np.ndarray, known: np.ndarray) -> np.ndarray:
    """``maps (..., H, W)`` with each cell that is not ``known (H, W)`` taking the value of the nearest known one.

    For cells that never have a value, as outside a basin: a convolution at the border would otherwise see mean
    weather there, which made a rim of wrong predictions. They stay unobserved. Without any known cell the maps come
    back as they are.
    """
    if known.all() or not known.any():
        return maps
    from scipy.ndimage import distance_transform_edt

    rows, columns = distance_transform_edt(~known, return_distances=False, return_indices=True)
    return maps[..., rows, columns]


def _static_channels(values: np.ndarray, card: VariableCard) -> np.ndarray:
    whole = continued(values, np.isfinite(values))
    return np.nan_to_num(Scaler.from_dict(card.scaler).channels(whole), nan=0.0, posinf=0.0, neginf=0.0)
