"""Choosing how a training computes: by two batches that are tried on a copy of the model, by the memory there is.

A training too small to be worth measuring takes the defaults, so short ones stay the same everywhere. Several processes
of one training measure together and choose alike.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any, Optional

import torch

from ..contracts.errors import EngineError
from ..contracts.events import Event, EventKind
from ..contracts.machine import say_bytes
from ..contracts.training_config import TrainingConfig
from ..models import engine as recurrent
from ..models.cells import ConvLSTMCell
from .choices import ASKED, MEASURED, MEMORY, RULE, Choice, Choices, asked_of, set_threads
from .device import now
from .distributed import Ranks, processes_here
from .memory import device_memory
from .memory_plan import Plan, Planner
from .probe import Probe, Way

_WORTH = 5e12  # operations of a training: some ten seconds on two cores
_EPOCHS = 10  # that count for it
_FASTER = 1.1  # what a narrower precision, a larger batch or other threads must gain
_CLOSE = 1e-2  # relative difference of a loss in two precisions
_FIRST_BATCH, _LARGEST_BATCH, _FEWEST_STEPS = 4, 64, 50
_MANY_THREADS = 4


def choose(
    probe: Probe, config: TrainingConfig, device: str, ranks: Optional[Ranks] = None
) -> Generator[Event, None, Choices]:
    """The choices of a new training. Yields ticks between batches, so that a person can cancel.

    Raises :class:`RunError` where the memory is not enough for it, with what would fit, and :class:`EngineError` for a
    precision that the device has not.
    """
    return (yield from _Chooser(probe, config, device, ranks or Ranks()).run())


class _Chooser:
    def __init__(self, probe: Probe, config: TrainingConfig, device: str, ranks: Ranks) -> None:
        self._probe, self._config, self._device, self._ranks = probe, config, device, ranks
        self._items: list[Choice] = []
        self._figures: dict[str, Any] = {}
        free = device_memory(device)
        if free is not None:
            free = int(-ranks.most(-free / (processes_here() if device == "cpu" else 1))[0])
        self._planner = Planner(probe, config, free, ranks)
        least = -int(ranks.most(-float(len(probe.precisions)))[0])
        self._precisions = probe.precisions[:least]  # what all machines of this training compute by themselves
        self._batch = config.batch or _FIRST_BATCH

    def run(self) -> Generator[Event, None, Choices]:
        config = self._config
        if config.precision == "tf32" and not self._device.startswith("cuda"):
            raise EngineError(
                "The precision tf32 is one of NVIDIA's GPUs", got=f"device {self._device}", remedy="Choose another one"
            )
        self._items.append(set_threads(config))
        long = self._probe.operations() * min(config.epochs, _EPOCHS) >= _WORTH
        if self._planner.roughly and not long:
            return self._small()
        with self._probe.restored():
            yield _tick()
            plans = yield from self._plans()
            precision, seconds = yield from self._precision(plans, long)
            plan = plans[precision]
            if not config.batch and long:
                plan = yield from self._larger(plan, seconds)
            self._told_batch(plan)
            if long:
                yield from self._fewer_threads(plan)
                yield from self._captured(plan)
        made = self._made(plan)
        torch.set_num_threads(int(made.value("threads")))
        return made

    def _small(self) -> Choices:
        config, why = self._config, "too small to be worth measuring"
        asked = config.precision != "auto"
        self._add("precision", config.precision if asked else "float32", "asked for" if asked else why, asked)
        recompute = config.memory == "recompute"
        way = Way(config.precision if asked else "float32", recompute, config.hoisting)
        plan = Plan(way, self._batch, config.accumulate, config.crop, 0, 0)
        if config.memory != "auto":
            self._add("memory", config.memory, "asked for", True)
        self._told_batch(plan)
        return self._made(plan)

    def _plans(self) -> Generator[Event, None, dict[str, Plan]]:
        """For each precision that comes into question, how the batch fits."""
        config = self._config
        names = ("float32", *self._precisions) if config.precision == "auto" else (config.precision,)
        plans = {}
        for name in names:
            plan = self._planner.plan(name, self._batch)
            if plan is not None:
                plans[name] = plan
            yield _tick()
        if not plans:
            raise self._planner.refusal(names, self._batch)
        return plans

    def _precision(self, plans: dict[str, Plan], long: bool) -> Generator[Event, None, tuple[str, float]]:
        """The fastest that gives the loss of float32; its seconds a piece, 0 where nothing was timed."""
        config = self._config
        if config.precision != "auto":
            self._add("precision", config.precision, "asked for", True)
            return config.precision, 0.0
        if "float32" not in plans:
            name = next(iter(plans))
            self._add("precision", name, "float32 does not fit into the memory", False, MEMORY)
            return name, 0.0
        if not long or len(plans) == 1:
            lacks = f"this {'processor' if self._device == 'cpu' else 'GPU'} computes no narrower one by itself"
            self._add("precision", "float32", lacks if long else "the training is short", False)
            return "float32", 0.0
        size, crop = min(plan.batch for plan in plans.values()), _smaller(plans.values())
        found: dict[str, tuple[float, float]] = {}
        for name, plan in plans.items():
            found[name] = yield from self._timed(plan.way, size, crop)
        return self._fastest(found)

    def _fastest(self, found: dict[str, tuple[float, float]]) -> tuple[str, float]:
        base, loss = found["float32"]
        best, why = "float32", ""
        for name, (seconds, value) in found.items():
            self._figures[f"seconds_{name}"] = seconds
            if name == "float32":
                continue
            if abs(value - loss) > _CLOSE * abs(loss) + 1e-6:
                why = why or f"{name} gives a first loss of {value:.3g} in place of {loss:.3g}"
            elif seconds * _FASTER < base and seconds < found[best][0]:
                best = name
            else:
                why = why or f"{_ms(base)} a batch; {name}, with {_ms(seconds)}, gains too little"
        if best != "float32":
            why = f"{_ms(found[best][0])} a batch against {_ms(base)} in float32"
        self._items.append(Choice("precision", best, why, MEASURED))
        return best, found[best][0]

    def _larger(self, plan: Plan, seconds: float) -> Generator[Event, None, Plan]:
        """The smallest batch beyond which little is gained, where no batch was asked for."""
        if plan.batch != self._batch or plan.crop:
            return plan
        way, batch = plan.way, plan.batch
        each = (seconds or (yield from self._timed(way, batch))[0]) / batch
        self._figures["seconds_a_window"] = {str(batch): each}
        while batch < _LARGEST_BATCH and self._probe.steps_an_epoch / (2 * batch) >= _FEWEST_STEPS:
            if not self._planner.fits(way, 2 * batch):
                break
            found = (yield from self._timed(way, 2 * batch))[0] / (2 * batch)
            self._figures["seconds_a_window"][str(2 * batch)] = found
            if found * _FASTER > each:
                break
            batch, each = 2 * batch, found
        self._batch = batch
        return self._planner.plan(way.precision, batch) or plan

    def _told_batch(self, plan: Plan) -> None:
        """Memory, batch and crop in words."""
        config, free = self._config, self._planner.free
        each, total = self._figures.get("seconds_a_window"), plan.batch * plan.accumulate
        room = "" if free is None else f" of {say_bytes(free)} that are free"
        if plan.whole:
            name = "bytes_at_most" if self._planner.roughly else "bytes_needed"
            self._figures.update({name: plan.needed, "bytes_whole_batch": plan.whole, "bytes_free": free})
            self._told_memory(plan, room)
        self._told_hoisting()
        if plan.accumulate > config.accumulate:
            why = (
                f"in {plan.accumulate} parts of {plan.batch}, since at once it would take about {say_bytes(plan.whole)}"
            )
            own = "; each part is normalised by itself" if self._probe.normalises_batches else ""
            self._add("batch", total, f"{why}{room}{own}", False, MEMORY)
        elif config.batch:
            self._add("batch", config.batch, "asked for", True)
        elif each:
            sizes = ", ".join(f"{_ms(value)} with {size}" for size, value in each.items())
            why = f"a window takes {sizes}"
            if str(2 * plan.batch) not in each:
                why += "; a larger one would leave few steps an epoch, or does not fit into the memory"
            self._add("batch", plan.batch, why, False, MEASURED)
        else:
            self._add("batch", plan.batch, "the default where nothing is measured", False)
        if plan.crop and not config.crop:
            self._add("crop", plan.crop, f"whole maps would take about {say_bytes(plan.whole)}{room}", False, MEMORY)
        elif plan.crop:
            self._add("crop", plan.crop, "asked for", True)

    def _told_memory(self, plan: Plan, room: str) -> None:
        needed = f"{'less than' if self._planner.roughly else 'about'} {say_bytes(plan.needed)}"
        if self._config.memory != "auto":
            self._add("memory", self._config.memory, f"asked for; a batch takes {needed}{room}", True)
        elif plan.way.recompute:
            why = f"gates are computed again, so that a batch takes {needed}{room}, not {say_bytes(plan.whole)}"
            self._add("memory", "recompute", why, False, MEMORY)
        else:
            self._add("memory", "plain", f"a batch takes {needed}{room}", False)

    def _told_hoisting(self) -> None:
        """What the engine will do by itself, or what was asked for."""
        recurs = any(isinstance(part, ConvLSTMCell) for part in self._probe.module.modules())
        if self._config.hoisting != "auto":
            self._add("hoisting", self._config.hoisting, "asked for", True)
        elif recurs:
            self._items.append(Choice("hoisting", "auto", recurrent.NO_HOIST, RULE))

    def _fewer_threads(self, plan: Plan) -> Generator[Event, None, None]:
        """Half of the threads where these are as fast, as on cores that share their arithmetic."""
        most = torch.get_num_threads()
        if self._config.threads or most < _MANY_THREADS or self._ranks.count > 1 or self._device != "cpu":
            return
        all_of_them = (yield from self._timed(plan.way, plan.batch, plan.crop))[0]
        torch.set_num_threads(most // 2)
        half = (yield from self._timed(plan.way, plan.batch, plan.crop))[0]
        torch.set_num_threads(most)
        if half * _FASTER < all_of_them:
            why = f"{_ms(half)} a batch against {_ms(all_of_them)} with {most}"
            self._items = [item for item in self._items if item.name != "threads"]
            self._items.insert(0, Choice("threads", most // 2, why, MEASURED))

    def _captured(self, plan: Plan) -> Generator[Event, None, None]:
        """Whether work is recorded and replayed: on CUDA alone, in one process."""
        if not self._device.startswith("cuda") or self._config.capture == "off" or self._ranks.count > 1:
            return
        from .captured import measured

        yield _tick()
        work = self._probe.work(plan.way, plan.batch)
        self._items.append(measured(*self._probe.pieces(plan.batch, plan.crop), work, plan.way.precision))

    def _timed(self, way: Way, windows: int, crop: int = 0) -> Generator[Event, None, tuple[float, float]]:
        """Seconds and first loss, of the slowest process."""
        begin = now(self._device)
        seconds, loss = self._probe.seconds(way, -(-windows // self._ranks.count), crop)
        self._figures["probing_seconds"] = self._figures.get("probing_seconds", 0.0) + now(self._device) - begin
        yield _tick()
        slowest = self._ranks.most(seconds)[0]
        return slowest, self._ranks.sums(loss)[0] / self._ranks.count

    def _add(self, name: str, value: Any, why: str, asked: bool, by: str = RULE) -> None:
        self._items.append(Choice(name, value, why, ASKED if asked else by))

    def _made(self, plan: Plan) -> Choices:
        if not any(item.name == "memory" for item in self._items) and plan.way.recompute:
            self._add("memory", "recompute", "asked for", True)
        figures = {name: _rounded(value) for name, value in self._figures.items()}
        return Choices(tuple(self._items), plan.batch, plan.accumulate, plan.crop, asked_of(self._config), figures)


def _smaller(plans: Iterable[Plan]) -> int:
    """The smallest crop of several plans; 0 where all show whole frames."""
    return min((plan.crop for plan in plans if plan.crop), default=0)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _ms(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1.0 else f"{1000 * seconds:.3g} ms"


def _tick() -> Event:
    return Event(EventKind.MESSAGE, {"level": "tick", "text": ""})
