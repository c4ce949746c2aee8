"""Everything of one dataset that a model sees, scaled, in memory or read on demand, and the windows cut from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Callable, Optional

import numpy as np

from ..contracts.dates import format_step
from ..contracts.errors import DataError
from ..contracts.grid import Grid
from ..contracts.machine import free_memory
from ..contracts.model_card import ModelCard
from ..contracts.units import normalise
from .caching import SHARE_OF_MEMORY
from .hiding import Hiding, nearest_source
from .lazy import NEVER, LazyKnown, LazyMaps, Maps, Reader, blocks, cut_maps
from .model_maps import (
    check_is_map,
    continued,
    gauge_places,
    inputs_in_memory,
    inputs_on_demand,
    static_maps,
    target_values,
    targets_in_memory,
    targets_on_demand,
)
from .sources.base import Window, subgrid
from .splits import window_ends
from .store import Dataset
from .timeline import shift

__all__ = [
    "Batch", "Buffers", "WindowData", "build_window_data", "check_is_map", "continued", "gauge_places", "season_of",
    "target_values", "time_of_year", "window_data_bytes",
]  # fmt: skip

Buffers = Callable[[str, tuple[int, ...], type], np.ndarray]  # an array to write into: its name, shape and kind


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
    With ``hiding`` batches lack a share of what was observed, and their targets are that alone. Where the data do not
    fit into memory, ``x``, ``observed``, ``ahead`` and maps of ``y`` are :class:`core.data.lazy.LazyMaps`.
    """

    name: str
    grid: Grid
    times: np.ndarray
    step_seconds: float
    window: int
    lead: int
    leads: int
    x: Maps
    observed: Optional[Maps]
    season: Optional[np.ndarray]
    static: Optional[np.ndarray]
    y: Optional[Maps]
    mask: np.ndarray
    ahead: Optional[Maps] = None
    gauges: int = 0
    hiding: Optional[Hiding] = None

    @property
    def target_mask(self) -> np.ndarray:
        """bool of the frame of a target: the basin, or all gauges."""
        return np.ones((1, self.gauges), dtype=bool) if self.gauges else self.mask

    @property
    def lazy(self) -> bool:
        """Whether the maps are read on demand."""
        return isinstance(self.x, LazyMaps)

    @property
    def nbytes(self) -> int:
        """Bytes that the arrays take, or would take in memory."""
        return sum(maps.nbytes for maps in (self.x, self.observed, self.static, self.y, self.ahead) if maps is not None)

    @property
    def bytes_per_window(self) -> int:
        """Bytes of a batch of one window."""
        step = sum(maps.nbytes for maps in (self.x, self.observed) if maps is not None) // len(self.times)
        ahead = sum(maps.nbytes for maps in (self.y, self.ahead) if maps is not None) // len(self.times)
        return self.window * step + self.leads * ahead

    @cached_property
    def target_steps(self) -> np.ndarray:
        """bool (T,): the steps at which at least one target was observed."""
        found = np.zeros(len(self.times), dtype=bool)
        for steps in () if self.y is None else blocks(len(found), self.y.shape[1:]):
            found[steps] = np.isfinite(self.y[steps]).any(axis=(1, 2, 3))
        return found

    def part(self, rows: slice, columns: slice) -> WindowData:
        """The same for a part of the frame: views of what lies in memory, of the rest nothing is read before it is
        asked for. Series at gauges stay whole.
        """
        (top, bottom, _), (left, right, _) = rows.indices(self.grid.rows), columns.indices(self.grid.columns)
        return replace(
            self,
            grid=subgrid(self.grid, Window(top, left, bottom - top, right - left)),
            x=cut_maps(self.x, rows, columns),
            observed=cut_maps(self.observed, rows, columns),
            static=cut_maps(self.static, rows, columns),
            y=self.y if self.gauges else cut_maps(self.y, rows, columns),
            ahead=cut_maps(self.ahead, rows, columns),
            mask=self.mask[rows, columns],
            hiding=None if self.hiding is None else self.hiding.cut(slice(top, bottom), slice(left, right)),
        )

    def valid_ends(self, *, need_target: bool = False) -> np.ndarray:
        """Last input step of every window that bridges no gap. What is known ahead has to lie within the record."""
        need_target = need_target or self.ahead is not None
        return window_ends(self.times, self.step_seconds, self.window, self.lead, self.leads, need_target=need_target)

    def target_times(self, ends: np.ndarray) -> np.ndarray:
        """datetime64[s] (n, L): the dates that windows ending at ``ends`` predict, also past the end of the record."""
        steps = self.lead + np.arange(self.leads)
        return shift(self.times[ends][:, None], steps[None, :], self.step_seconds)

    def batch(
        self, ends: np.ndarray, supervised_steps: int = 1, seed: Optional[int] = None, buffers: Optional[Buffers] = None
    ) -> Batch:
        """Windows that end at ``ends``; targets of the last ``supervised_steps`` steps of each. ``seed`` of what is
        hidden in training; without it that is fixed by the date. A window alone is a view that cannot be written to,
        where that can be; several are copied once, into ``buffers`` where there are some.
        """
        seasons = 0 if self.season is None else 2
        x = self._windows("x", self.x, ends, seasons, buffers)
        observed = None if self.observed is None else self._windows("observed", self.observed, ends, seasons, buffers)
        y = self.targets(ends, supervised_steps)
        if self.hiding is not None:
            hidden, channels = self._hidden_steps(ends, seed), self.x.shape[1]
            self.hiding.apply(x[:, :, :channels], observed[:, :, :channels], hidden)
            if y is not None:
                y[~self._judged(ends, hidden)[:, None]] = np.nan
        size = len(ends)
        static = None if self.static is None else np.broadcast_to(self.static[None], (size, *self.static.shape))
        mask = self.mask[None, None].astype(np.float32)
        ahead = None if self.ahead is None else self.ahead[self._target_steps(ends)]
        return Batch(x, observed, static, y, mask, ahead, time_of_year(self.target_times(ends)))

    def _windows(self, name: str, maps: Maps, ends: np.ndarray, seasons: int, buffers: Optional[Buffers]) -> np.ndarray:
        """The windows (B, T, C + seasons, H, W) that end at ``ends``, of values or of what is known of them."""
        spans = [slice(int(end) + 1 - self.window, int(end) + 1) for end in ends]
        channels, lazy = maps.shape[1], isinstance(maps, LazyMaps)
        if len(spans) == 1 and not (seasons or lazy or self.hiding):
            view = maps[None, spans[0]]
            view.flags.writeable = False
            return view
        shape = (len(spans), self.window, channels + seasons, *maps.shape[2:])
        out = np.empty(shape, maps.dtype) if buffers is None else buffers(name, shape, maps.dtype.type)
        for number, span in enumerate(spans):
            if lazy:
                maps.into(out[number, :, :channels], span)
            else:
                out[number, :, :channels] = maps[span]
            if seasons:
                values = self.season[span] if name == "x" else np.ones((self.window, seasons), dtype=bool)
                out[number, :, channels:] = values[:, :, None, None]
        return out

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

    def targets(self, ends: np.ndarray, supervised_steps: int = 1) -> Optional[np.ndarray]:
        """Scaled targets (B, N, L, K, *frame) of windows that end at ``ends``: a new array, NaN where missing."""
        if self.y is None:
            return None
        back = np.arange(1 - supervised_steps, 1)
        index = self._target_steps(ends)[:, None, :] + back[None, :, None]
        inside = (index >= 0) & (index < len(self.times))
        y = self.y[np.where(inside, index, 0)]
        y[~inside] = np.nan
        return y


def build_window_data(dataset: Dataset, card: ModelCard, memory: Optional[int] = None) -> WindowData:
    """A dataset as a model needs it, with the scalers of its card: read into memory where the arrays take at most
    ``memory`` bytes (None: half of what is free), else read on demand.

    Raises :class:`DataError` where a variable is missing, has another unit, or the step differs.
    """
    _check_fit(dataset, card)
    filling = {v.name for v in card.targets} if card.hidden_share else set()
    lazy = window_data_bytes(dataset, card) > (_memory_for_data() if memory is None else memory)
    inputs = inputs_on_demand if lazy else inputs_in_memory
    x, observed = inputs(dataset, card.inputs, filling)
    y = targets_on_demand(dataset, card) if lazy and not card.gauges else targets_in_memory(dataset, card)
    return WindowData(
        name=dataset.name,
        grid=dataset.grid,
        times=dataset.times,
        step_seconds=dataset.step_seconds,
        window=card.window,
        lead=card.lead,
        leads=card.leads,
        x=x,
        observed=observed,
        season=season_of(dataset.times) if card.season else None,
        static=static_maps(dataset, card),
        y=y,
        mask=dataset.mask,
        ahead=inputs(dataset, card.ahead)[0] if card.ahead else None,
        gauges=len(card.gauges),
        hiding=_hiding(dataset, card, y) if filling else None,
    )


def window_data_bytes(dataset: Dataset, card: ModelCard) -> int:
    """Bytes that the arrays of :func:`build_window_data` take in memory; nothing is read for that."""
    cells = len(dataset.times) * dataset.grid.rows * dataset.grid.columns
    targets = 0 if card.gauges else len(card.targets)
    return cells * (5 * len(card.inputs) + 4 * len(card.ahead) + (5 if card.hidden_share else 4) * targets)


def _memory_for_data() -> int:
    free = free_memory()
    return 2**62 if free is None else int(SHARE_OF_MEMORY * free)


def _hiding(dataset: Dataset, card: ModelCard, y: Maps) -> Hiding:
    names, reader = [v.name for v in card.inputs], Reader(dataset)
    sources = [nearest_source(reader.coverage(v.name, observed=True) > NEVER) for v in card.targets]
    channels = tuple(names.index(v.name) for v in card.targets)
    known = LazyKnown(y) if isinstance(y, LazyMaps) else np.isfinite(y)
    return Hiding(card.hidden_share, card.hiding, channels, known, np.stack(sources))


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
