"""What is made of finished parts: gaps filled, means over what lies upstream. Blocks again, wherever they run."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import asdict, dataclass
from typing import Any, Optional

import numpy as np

from ..contracts.dataset_job import SourceConfig, TerrainConfig
from ..contracts.errors import FreshetError
from ..contracts.grid import Grid
from ..contracts.variables import Quantity, quantity
from .blocks import Budget, Outcome
from .clock import Clock
from .filling import Climatology, Filled, fill_linear, fill_nearest, fill_space
from .parts import Block, Layout, VariableParts
from .tally import count_block

_LINEAR_BYTES, _SPACE_BYTES, _CLIMATE_BYTES = 40, 100, 30  # a cell (and mean) while it is worked on


@dataclass(frozen=True)
class FillRecipe:
    """How the gaps of a variable are filled: plain values that travel to other processes.

    ``lacking`` bool (T,) are steps that the source's calendar does not have: filled linearly in any case. ``mask`` bool
    (H, W) are the cells that are filled in space.
    """

    source: VariableParts
    target: VariableParts
    way: str
    limit: int
    lacking: np.ndarray
    quantity: Quantity
    clock: Clock
    mask: Optional[np.ndarray] = None

    @property
    def longest_lacking(self) -> int:
        """Steps of the longest run that the calendar lacks."""
        return _longest_run(self.lacking)

    @property
    def reach(self) -> int:
        """Steps on either side that a block needs to see."""
        return max(self.longest_lacking, self.limit if self.way == "linear" else 0)


@dataclass(frozen=True)
class UpstreamRecipe:
    """How the mean over what lies upstream of each cell is made of a variable."""

    source: VariableParts
    target: VariableParts
    terrain: TerrainConfig
    grid: Grid
    quantity: str


def needs_filling(config: SourceConfig, lacking: np.ndarray) -> bool:
    """Whether a variable needs the pass at all."""
    return config.fill != "none" or bool(lacking.any())


def fill_layout(config: SourceConfig, lacking: np.ndarray, source: Layout, budget: Budget, clock: Clock) -> Layout:
    """Blocks of the filled variable: the source's steps, of its rows as many as the way of filling has room for."""
    total, height, width = source.shape
    reach = max(_longest_run(lacking), config.fill_limit if config.fill == "linear" else 0)
    steps = min(total, source.steps + 2 * reach)
    need = steps * _LINEAR_BYTES
    if config.fill == "climatology":
        need += Climatology((1, 1), clock.step_seconds).groups * _CLIMATE_BYTES
    if config.fill == "space":
        need = max(need, steps * 12 + _SPACE_BYTES)
    rows = int(np.clip(2 * budget.read // (need * width), 1, source.rows))
    return Layout(source.shape, source.steps, rows if rows == source.rows else 1 << (rows.bit_length() - 1))


def fill_fingerprint(base: str, config: SourceConfig, lacking: np.ndarray, mask: Optional[np.ndarray]) -> str:
    """SHA-256 of all that the filled values depend on."""
    digest = hashlib.sha256(f"{base}{config.fill}{config.fill_limit}".encode())
    digest.update(np.packbits(lacking).tobytes())
    digest.update(b"" if mask is None else np.packbits(mask).tobytes())
    return digest.hexdigest()


def fill_tasks(recipe: FillRecipe) -> list[tuple]:
    """The tasks that are still to be done. A climatology is gathered over all steps of a strip first."""
    todo = [block for block in recipe.target.layout.blocks() if recipe.target.done(block) is None]
    if recipe.way != "climatology":
        return [(fill_block, (recipe, block)) for block in todo]
    return [(fill_strip, (recipe, first)) for first in sorted({block.first for block in todo})]


def fill_block(recipe: FillRecipe, block: Block) -> list[Outcome]:
    """Fill one block, linearly in time or in space."""
    try:
        return [_filled(recipe, block, None)]
    except FreshetError as error:
        return [Outcome(block, error=error)]


def fill_strip(recipe: FillRecipe, first: int) -> list[Outcome]:
    """Fill all blocks of the strip that begins at row ``first`` with the mean of that time of the year."""
    blocks = [block for block in recipe.target.layout.blocks() if block.first == first]
    try:
        shape = (blocks[0].last - first, recipe.source.layout.shape[2])
        climate = Climatology(shape, recipe.clock.step_seconds)
        times = recipe.clock.times
        for block in blocks:
            climate.add(recipe.source.read(block.start, block.stop, first, block.last), times[block.start : block.stop])
        return [_filled(recipe, block, climate) for block in blocks if recipe.target.done(block) is None]
    except FreshetError as error:
        return [Outcome(blocks[0], error=error)]


def fill_series(values: np.ndarray, config: SourceConfig, lacking: np.ndarray, kind: Quantity, clock: Clock) -> Filled:
    """Series (T, G) with gaps filled in time, and where."""
    maps, flags = _lacking(values[:, None, :], lacking, kind)
    if config.fill == "linear":
        maps, more = _line(kind)(maps, config.fill_limit)
        flags = flags | more
    if config.fill == "climatology":
        climate = Climatology((1, values.shape[1]), clock.step_seconds)
        climate.add(values[:, None, :], clock.times)
        maps, more = climate.fill(maps, clock.times)
        flags = flags | more
    return maps[:, 0], flags[:, 0]


def upstream_block(recipe: UpstreamRecipe, block: Block) -> list[Outcome]:
    """Make the upstream mean of some whole maps."""
    try:
        values = recipe.source.read(block.start, block.stop, 0, recipe.grid.rows)
        means = network_of(recipe.terrain, recipe.grid).upstream_mean(values)
        counts = {**count_block(means, quantity(recipe.quantity)), "empty": []}
        recipe.target.write(block, means, counts)
    except FreshetError as error:
        return [Outcome(block, error=error)]
    return [Outcome(block, counts)]


def _filled(recipe: FillRecipe, block: Block, climate: Optional[Climatology]) -> Outcome:
    total, height, _ = recipe.source.layout.shape
    rows = min(recipe.limit, height) if recipe.way == "space" else 0
    start, stop = max(0, block.start - recipe.reach), min(total, block.stop + recipe.reach)
    first, last = max(0, block.first - rows), min(height, block.last + rows)
    values = recipe.source.read(start, stop, first, last)
    values, flags = _lacking(values, recipe.lacking[start:stop], recipe.quantity)
    if recipe.way == "linear":
        values, more = _line(recipe.quantity)(values, recipe.limit)
        flags |= more
    steps = slice(block.start - start, block.stop - start)
    values, flags = values[steps], flags[steps]
    if recipe.way == "space":
        reach = min(recipe.limit, max(recipe.source.layout.shape[1:]))
        mask = None if recipe.mask is None else recipe.mask[first:last]
        values, more = fill_space(values, reach, mask, nearest=recipe.quantity.kind == "class")
        flags = flags | more
    if climate is not None:
        values, more = climate.fill(values, recipe.clock.times[block.start : block.stop])
        flags = flags | more
    inner = slice(block.first - first, block.last - first)
    values, flags = np.ascontiguousarray(values[:, inner]), np.ascontiguousarray(flags[:, inner])
    counts = {**count_block(values, recipe.quantity), "empty": [], "filled": int(flags.sum())}
    recipe.target.write(block, values, counts, flags)
    return Outcome(block, counts)


def _lacking(values: np.ndarray, lacking: np.ndarray, kind: Quantity) -> Filled:
    """Only the steps that the calendar lacks, linearly."""
    flags = np.zeros(values.shape, dtype=bool)
    if not lacking.any():
        return values, flags
    filled, where = _line(kind)(values, _longest_run(lacking))
    values = values.copy()
    values[lacking], flags[lacking] = filled[lacking], where[lacking]
    return values, flags


def _line(kind: Quantity):
    return fill_nearest if kind.kind == "class" else fill_linear


def _longest_run(flags: np.ndarray) -> int:
    padded = np.concatenate(([False], flags, [False]))
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0


_networks: dict[str, Any] = {}
_lock = threading.Lock()


def network_of(config: TerrainConfig, grid: Grid) -> Any:
    """The flow network of a grid, once a process; only the latest is kept."""
    from .terrain import network_for

    key = _key(config, grid)
    with _lock:
        if key not in _networks:
            _networks.clear()
            _networks[key] = network_for(config, grid)
        return _networks[key]


def keep_network(config: TerrainConfig, grid: Grid, network: Any) -> None:
    """Let the tasks of this process use a network that is there already."""
    with _lock:
        _networks.clear()
        _networks[_key(config, grid)] = network


def _key(config: TerrainConfig, grid: Grid) -> str:
    return json.dumps([config.to_dict(), asdict(grid)], sort_keys=True)
