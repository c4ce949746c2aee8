"""How a batch is brought into the memory there is: in parts, with gates computed again, on crops; or what would fit.

Nothing here changes what is learned but crops, and parts of a batch where a model normalises over batches; both come
last, and are said.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from ..contracts.errors import RunError
from ..contracts.machine import say_bytes
from ..contracts.training_config import TrainingConfig
from .distributed import Ranks
from .probe import Need, Probe, Way

_SHARE = 0.9  # of what is free
_SMALL_SHARE = 0.1  # of it: what is roughly below need not be measured
_GAIN = 0.95  # what recomputing has to make of a need to be worth its time
_SMALLEST, _STEP = 32, 16  # side of a crop, in cells


@dataclass(frozen=True)
class Plan:
    """``batch`` windows at once, ``accumulate`` times; ``crop`` 0 for whole frames. ``needed`` bytes; ``whole`` what
    the batch takes at once as it was asked for.
    """

    way: Way
    batch: int
    accumulate: int
    crop: int
    needed: int
    whole: int


class Planner:
    """Plans of one training, for ``free`` bytes (None: unknown, so all fits) of each of its processes, which plan
    alike: what the one that takes most has measured counts.
    """

    def __init__(self, probe: Probe, config: TrainingConfig, free: Optional[int], ranks: Ranks) -> None:
        self.probe, self.config, self.free = probe, config, free
        self._ranks = ranks
        self._needs: dict[Way, Need] = {}
        self.roughly = free is None or probe.rough_bytes(config.batch or 4) <= _SMALL_SHARE * free

    @property
    def limit(self) -> float:
        """Bytes that may be taken."""
        return math.inf if self.free is None else _SHARE * self.free

    def plan(self, precision: str, batch: int) -> Optional[Plan]:
        """The first way that fits, in the order of what it costs; None where none does."""
        for plan in self._plans(precision, batch, self.config.memory, self.config.crop):
            if plan.needed <= self.limit:
                return plan
        return None

    def refusal(self, precisions: tuple[str, ...], batch: int) -> RunError:
        """What is needed, what is there, and what would fit, whatever was asked for."""
        rows, columns = self.probe.item.data.mask.shape
        window = self.probe.item.data.window
        asked = next(iter(self._plans(precisions[0], batch, self.config.memory, self.config.crop)))
        frame = f"crops of {asked.crop} x {asked.crop} cells" if asked.crop else f"maps of {rows} x {columns} cells"
        return RunError(
            "The memory is not enough for this training",
            expected=f"about {say_bytes(asked.whole)} for a batch of {batch} windows of {window} steps, {frame}",
            got=f"{say_bytes(self.free or 0)} free",
            remedy=self._would_fit(batch),
        )

    def fits(self, way: Way, batch: int, crop: int = 0) -> bool:
        """Whether a batch fits at once."""
        return self._needed(way, batch, crop) <= self.limit

    def _plans(self, precision: str, batch: int, memory: str, crop: int) -> Iterator[Plan]:
        whole = self._needed(Way(precision, memory == "recompute", self.config.hoisting), batch, crop)
        ways = [Way(precision, value, self.config.hoisting) for value in _recomputing(memory)]
        split = self.config.loss != "kge"
        same = split and not self.probe.normalises_batches

        def made(way: Way, part: int) -> Plan:
            parts = batch // part
            return Plan(way, part, self.config.accumulate * parts, crop, self._needed(way, part, crop), whole)

        first, parts = ways[0], _parts(batch)
        yield made(first, batch)
        if same:
            yield from (made(first, part) for part in parts)
        for way in ways[1:]:
            if self._needed(way, batch, crop) > _GAIN * whole:
                ways.remove(way)  # a family that keeps all it needs anyway
                continue
            yield made(way, batch)
            if same:
                yield from (made(way, part) for part in parts)
        if split and not same:
            yield from (made(way, part) for way in ways for part in parts)
        if crop == 0 and not self.probe.whole_frames:
            yield from self._crops(first, batch, whole)

    def _crops(self, way: Way, batch: int, whole: int) -> Iterator[Plan]:
        side = _SMALLEST if math.isinf(self.limit) else self._side(way, batch)
        if side >= _SMALLEST:
            yield Plan(way, batch, self.config.accumulate, side, self._needed(way, batch, side), whole)

    def _side(self, way: Way, batch: int) -> int:
        """The largest crop that fits."""
        side = min(self.probe.item.data.mask.shape) // _STEP * _STEP
        while side >= _SMALLEST and self._needed(way, batch, side) > self.limit:
            side -= _STEP
        return side

    def _needed(self, way: Way, batch: int, crop: int) -> int:
        if self.roughly:
            return int(self.probe.rough_bytes(-(-batch // self._ranks.count)))
        if way not in self._needs:
            need = self.probe.need(way)
            most = (self._ranks.most(*terms) for terms in (need.learned, need.judged))
            self._needs[way] = dataclasses.replace(need, **dict(zip(("learned", "judged"), most)))
        cells = min(self.probe.cells, crop * crop) if crop else self.probe.cells
        return self._needs[way].of(-(-batch // self._ranks.count), cells, way.recompute)

    def _would_fit(self, batch: int) -> str:
        """Up to three ways, each by the names of its settings; else the longest window."""
        found: list[str] = []
        least = math.inf
        for precision in dict.fromkeys(("float32", *self.probe.precisions)):
            for plan in self._plans(precision, batch, "auto", 0):
                least = min(least, plan.needed)
                words = self._words(plan, batch)
                if plan.needed <= self.limit and words and words not in found:
                    found.append(words)
                    break
        if found:
            return "What would fit: " + "; or ".join(found[:3])
        window = self.probe.item.data.window
        steps = int(window * self.limit / least)
        if steps >= 2:
            return f"What would fit: a window of about {steps} steps with its warm-up, or a model with fewer channels"
        return "Choose a smaller grid, a shorter window or a model with fewer channels, or close other programs"

    def _words(self, plan: Plan, batch: int) -> str:
        words = []
        if plan.way.precision not in ("float32", self.config.precision):
            words.append(f"precision {plan.way.precision}")
        if plan.way.recompute and self.config.memory != "recompute":
            words.append("memory recompute")
        if plan.batch != batch:
            words.append(f"batch {plan.batch} with {plan.accumulate} batches a step")
        if plan.crop:
            words.append(f"crop {plan.crop}")
        return ", ".join(words)


def _recomputing(memory: str) -> list[bool]:
    return {"auto": [False, True], "plain": [False], "recompute": [True]}[memory]


def _parts(batch: int) -> list[int]:
    """Smaller batches that make up this one exactly, the largest first."""
    return [part for part in range(batch - 1, 0, -1) if batch % part == 0]
