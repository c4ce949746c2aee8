"""Everything of one dataset that a model sees, scaled, in memory, and the windows cut from it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Optional

import numpy as np

from ..contracts.dates import format_step
from ..contracts.errors import DataError
from ..contracts.grid import Grid
from ..contracts.model_card import ModelCard, VariableCard
from ..contracts.units import normalise
from .hiding import Hiding, nearest_source
from .scaling import Scaler
from .splits import window_ends
from .store import Dataset
from .timeline import shift


@dataclass(frozen=True)
class Batch:
    """One batch. B windows of T steps, C channels (season included), S static maps, N supervised steps, L leads, K
    targets, A inputs known ahead, H rows, W columns; ``frame`` is (H, W), or (1, G) where G gauges are predicted.

    ``x (B, T, C, H, W)`` float32 without NaN; ``observed`` like ``x``, or None where nothing is missing; ``static (B,
    S, H, W)`` or None; ``y (B, N, L, K, *frame)`` scaled, NaN where there is no observation, or None where the dataset
    has no target; ``mask (1, 1, H, W)`` float32, 1 inside the basin; ``ahead (B, L, A, H, W)`` or None;
    ``time_of_year (B, L)`` float32, the share of the year that has passed at the target.
    """

    x: np.ndarray
    observed: Optional[np.ndarray]
    static: Optional[np.ndarray]
    y: Optional[np.ndarray]
    mask: Optional[np.ndarray] = None
    ahead: Optional[np.ndarray] = None
    time_of_year: Optional[np.ndarray] = None


@dataclass(frozen=True)
class WindowData:
    """Scaled arrays of one dataset: ``x (T, C, H, W)`` with 0 (the mean) for missing and the nearest value in cells
    that never have one, ``observed`` bool (False also where a value was filled) or None, ``season (T, 2)`` or None,
    ``static (S, H, W)``, ``y (T, K, *frame)`` with NaN for missing, filled and outside the mask, or None, ``ahead
    (T, A, H, W)`` like ``x`` or None. ``frame`` is that of a target: (H, W), or (1, G) for ``gauges`` G > 0.
    With ``hiding`` batches lack a share of what was observed, and their targets are that alone.
    """

    name: str
    grid: Grid
    times: np.ndarray
    step_seconds: float
    window: int
    lead: int
    leads: int
    x: np.ndarray
    observed: Optional[np.ndarray]
    season: Optional[np.ndarray]
    static: Optional[np.ndarray]
    y: Optional[np.ndarray]
    mask: np.ndarray
    ahead: Optional[np.ndarray] = None
    gauges: int = 0
    hiding: Optional[Hiding] = None

    @property
    def target_mask(self) -> np.ndarray:
        """bool of the frame of a target: the basin, or all gauges."""
        return np.ones((1, self.gauges), dtype=bool) if self.gauges else self.mask

    def valid_ends(self, *, need_target: bool = False) -> np.ndarray:
        """Last input step of every window that bridges no gap. What is known ahead has to lie within the record."""
        need_target = need_target or self.ahead is not None
        return window_ends(self.times, self.step_seconds, self.window, self.lead, self.leads, need_target=need_target)

    def target_times(self, ends: np.ndarray) -> np.ndarray:
        """datetime64[s] (n, L): the dates that windows ending at ``ends`` predict, also past the end of the record."""
        steps = self.lead + np.arange(self.leads)
        return shift(self.times[ends][:, None], steps[None, :], self.step_seconds)

    def batch(self, ends: np.ndarray, supervised_steps: int = 1, seed: Optional[int] = None) -> Batch:
        """Windows that end at ``ends``; targets of the last ``supervised_steps`` steps of each. ``seed`` of what is
        hidden in training; without it that is fixed by the date.
        """
        index = ends[:, None] + np.arange(1 - self.window, 1)[None, :]
        size, window = index.shape
        x = self.x[index]
        observed = None if self.observed is None else self.observed[index]
        y = self._targets(ends, supervised_steps)
        if self.hiding is not None:
            hidden = self._hidden_steps(ends, seed)
            self.hiding.apply(x, observed, hidden)
            if y is not None:
                y[~self._judged(ends, hidden)[:, None]] = np.nan
        if self.season is not None:
            rows, columns = self.mask.shape
            maps = np.broadcast_to(self.season[index][:, :, :, None, None], (size, window, 2, rows, columns))
            x = np.concatenate([x, maps], axis=2)
            if observed is not None:
                observed = np.concatenate([observed, np.ones_like(maps, dtype=bool)], axis=2)
        static = None if self.static is None else np.broadcast_to(self.static[None], (size, *self.static.shape))
        mask = self.mask[None, None].astype(np.float32)
        ahead = None if self.ahead is None else self.ahead[self._target_steps(ends)]
        return Batch(x, observed, static, y, mask, ahead, time_of_year(self.target_times(ends)))

    def hidden(self, ends: np.ndarray) -> Optional[np.ndarray]:
        """bool (n, L, K, H, W): the observed targets that :meth:`batch` hides without a seed, by which a filling model
        is judged; None for other models.
        """
        return None if self.hiding is None else self._judged(ends, self._hidden_steps(ends, None))

    def at_use(self) -> WindowData:
        """The same with everything that was observed given."""
        return self if self.hiding is None else replace(self, hiding=self.hiding.at_use())

    def _hidden_steps(self, ends: np.ndarray, seed: Optional[int]) -> np.ndarray:
        index = ends[:, None] + np.arange(1 - self.window, 1)[None, :]
        return self.hiding.draw(index, self._places(), self.target_times(ends)[:, 0], seed)

    def _places(self) -> np.ndarray:
        return self.window - 1 + self.lead + np.arange(self.leads)

    def _judged(self, ends: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        return self.hiding.targets(self._target_steps(ends), hidden[:, self._places()])

    def _target_steps(self, ends: np.ndarray) -> np.ndarray:
        return ends[:, None] + self.lead + np.arange(self.leads)[None, :]

    def _targets(self, ends: np.ndarray, supervised_steps: int) -> Optional[np.ndarray]:
        if self.y is None:
            return None
        back = np.arange(1 - supervised_steps, 1)
        index = self._target_steps(ends)[:, None, :] + back[None, :, None]
        inside = (index >= 0) & (index < len(self.times))
        y = self.y[np.where(inside, index, 0)]
        y[~inside] = np.nan
        return y


def build_window_data(dataset: Dataset, card: ModelCard) -> WindowData:
    """Read a dataset as a model needs it, with the scalers of its card.

    Raises :class:`DataError` where a variable is missing, has another unit, or the step differs.
    """
    _check_fit(dataset, card)
    filling = {v.name for v in card.targets} if card.hidden_share else set()
    x, observed = _dynamic_channels(dataset, card.inputs, filling)
    complete = bool(observed.all()) and not filling
    static = None
    if card.static:
        static = np.concatenate([_static_channels(dataset.static_map(v.name), v) for v in card.static])
    y = _targets(dataset, card)
    return WindowData(
        name=dataset.name,
        grid=dataset.grid,
        times=dataset.times,
        step_seconds=dataset.step_seconds,
        window=card.window,
        lead=card.lead,
        leads=card.leads,
        x=x,
        observed=None if complete else observed,
        season=season_of(dataset.times) if card.season else None,
        static=static,
        y=y,
        mask=dataset.mask,
        ahead=_dynamic_channels(dataset, card.ahead)[0] if card.ahead else None,
        gauges=len(card.gauges),
        hiding=_hiding(dataset, card, y) if filling else None,
    )


def _hiding(dataset: Dataset, card: ModelCard, y: np.ndarray) -> Hiding:
    names = [v.name for v in card.inputs]
    sources = [nearest_source(np.isfinite(dataset.observed(v.name)).any(axis=0)) for v in card.targets]
    channels = tuple(names.index(v.name) for v in card.targets)
    return Hiding(card.hidden_share, card.hiding, channels, np.isfinite(y), np.stack(sources))


def _dynamic_channels(
    dataset: Dataset, variables: tuple[VariableCard, ...], filling: Collection[str] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Scaled values (T, C, H, W) without NaN, and which of them were observed, bool. Of the variables ``filling`` what
    was filled before counts as missing: it may have been made of what is hidden.
    """
    read = [dataset.observed if v.name in filling else dataset.dynamic for v in variables]
    x = np.stack([_scaled(values(v.name), v) for values, v in zip(read, variables)], axis=1)
    observed = np.isfinite(x)
    for channel, variable in enumerate(variables):
        x[:, channel] = continued(x[:, channel], observed[:, channel].any(axis=0))
        filled = dataset.filled(variable.name)
        if filled is not None:
            observed[:, channel] &= ~filled
    np.nan_to_num(x, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return x, observed


def _targets(dataset: Dataset, card: ModelCard) -> Optional[np.ndarray]:
    """Scaled targets (T, K, *frame), or None where the dataset lacks the first; all NaN where it lacks another."""
    if card.target.name not in dataset.variables:
        return None
    shape = (len(dataset.times), 1, len(card.gauges)) if card.gauges else (len(dataset.times), *dataset.grid.shape)
    return np.stack(
        [
            _scaled(target_values(dataset, card, v), v) if v.name in dataset.variables
            else np.full(shape, np.nan, dtype=np.float32)
            for v in card.targets
        ],
        axis=1,
    )  # fmt: skip


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


def season_of(times: np.ndarray) -> np.ndarray:
    """Sine and cosine of the time of the year, float32 (T, 2); the year's length is the mean one, 365.2425 days."""
    seconds = (times - times.astype("datetime64[Y]").astype("datetime64[s]")).astype(np.float64)
    angle = 2.0 * np.pi * seconds / (365.2425 * 86400.0)
    return np.stack([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32)


def time_of_year(times: np.ndarray) -> np.ndarray:
    """float32 of the shape of ``times``: the share of the year that has passed; 0 at the begin of 1 January."""
    year = times.astype("datetime64[Y]").astype("datetime64[s]")
    following = (times.astype("datetime64[Y]") + 1).astype("datetime64[s]")
    return ((times - year) / (following - year)).astype(np.float32)


def _scaled(values: np.ndarray, card: VariableCard) -> np.ndarray:
    return Scaler.from_dict(card.scaler).transform(values)


def _check_fit(dataset: Dataset, card: ModelCard) -> None:
    needed = {v.name: v for v in (*card.inputs, *card.static, *card.ahead)}
    missing = [f"{v.name} ({v.units})" for v in needed.values() if v.name not in dataset.variables]
    if missing:
        there = ", ".join(f"{v.name} ({v.units})" for v in dataset.variables.values())
        raise DataError(
            f"The dataset '{dataset.name}' lacks what the model needs: {', '.join(missing)}",
            expected=", ".join(f"{v.name} ({v.units})" for v in needed.values()),
            got=there,
            remedy="Prepare a dataset that holds these variables under these names",
        )
    for variable in needed.values():
        check_is_map(dataset, variable.name)
        held = dataset.variables[variable.name]
        if normalise(held.units) != normalise(variable.units):
            raise DataError(
                f"'{variable.name}' has another unit than the model was trained with",
                expected=variable.units or "-",
                got=held.units or "-",
                remedy="Prepare the dataset again with the unit of the source given",
            )
    if abs(dataset.step_seconds - card.step_seconds) > 0.5:
        raise DataError(
            "The dataset's step differs from the model's",
            expected=format_step(card.step_seconds),
            got=format_step(dataset.step_seconds),
            remedy="Prepare the dataset with the model's step",
        )
