"""Several models of one kind, each from its own seed: trained as one batched model where that is faster, else one after
another.

The batched model is made with ``torch.func``: the weights of all members lie in one tensor each, a member's own
parameters being views into it, and ``vmap`` computes all of them at once. Everything else of a training (order,
learning rate, clipping, optimizer, averaging, judging, checkpoints) is done for each member by its own
:class:`core.training.loop.Training`, so a member equals a model that was trained alone with its seed, and an ensemble
that was stopped may go on in either way. Symbols: K members, B windows, as in :class:`core.data.windows.Batch`.
"""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..contracts.errors import ConfigError, FreshetError
from ..contracts.events import Event, EventKind
from ..contracts.machine import say_bytes
from ..contracts.training_config import TrainingConfig
from ..data.windows import Batch
from .checkpoint import read_state
from .choices import Choices
from .course import last_of
from .device import now
from .distributed import process_count
from .fitting import fit_module, needs_epochs
from .loop import Training, begin
from .memory import device_memory, peak_of
from .setup import TrainingSet
from .stack import Stack
from .work import Work

_TRIED = 2  # batches by which both ways are measured
_CLOSE = 1e-2  # relative difference of a loss that is computed both ways, in any precision
_MEMORY_SHARE = 0.7  # of what is free
_BOOTSTRAP = 77  # apart from all other random numbers of a seed


@dataclass(frozen=True)
class Member:
    """A model to train: its module, what it learns from and how, and where its checkpoints lie."""

    module: nn.Module
    sets: Sequence[TrainingSet]
    config: TrainingConfig
    folder: Path


def fit_members(
    members: Sequence[Member], warm_up: int = 0, clock: Callable[[], float] = time.monotonic
) -> Iterator[Event]:
    """Train all members in place; each then holds its best weights.

    Yields the events of :func:`core.training.loop.fit`; METRIC has the mean of the members' numbers after each epoch
    where they are trained as one, else those of the ``member`` that is trained, its epochs counted on from those of the
    members before. Says which way was taken, and why.
    """
    reason = _cannot(members)
    if not reason:
        trainings = yield from _begun(members, warm_up, clock)
        reason, words = _measured(trainings)
        if not reason:
            yield _message(words)
            yield from _as_one(trainings)
            return
    yield _message(f"The {len(members)} members are trained one after another: {reason}.")
    yield from _one_by_one(members, warm_up, clock)


def bootstrapped(sets: Sequence[TrainingSet], block: int, seed: int) -> list[TrainingSet]:
    """The same data with training windows drawn anew: blocks of ``block`` windows in a row, with repetition, as many
    windows as before (moving blocks, Künsch 1989, doi:10.1214/aos/1176347265). Validation and scalers stay.

    Raises :class:`ConfigError` where a dataset has fewer windows than a block.
    """
    rng = np.random.default_rng([_BOOTSTRAP, seed])
    drawn = []
    for item in sets:
        ends = item.split.train
        if len(ends) and block > len(ends):
            raise ConfigError(
                f"The blocks of the bootstrap are longer than the training of '{item.data.name}'",
                expected=f"at most {len(ends)} steps",
                got=f"{block}",
                remedy="Shorten the blocks, or train without bootstrap",
            )
        if len(ends):
            starts = rng.integers(0, len(ends) - block + 1, size=-(-len(ends) // block))
            places = (starts[:, None] + np.arange(block)).ravel()[: len(ends)]
            ends = np.sort(ends[places])
        drawn.append(dataclasses.replace(item, split=dataclasses.replace(item.split, train=ends)))
    return drawn


def _cannot(members: Sequence[Member]) -> str:
    """Why the members cannot be trained as one, from what is known beforehand; empty where they may."""
    first = members[0]
    if len(members) == 1:
        return "there is one"
    if not needs_epochs(first.module):
        return "their family learns at once"
    if process_count() > 1:
        return "each is shared by several processes"
    if len(first.sets) > 1:
        return "they meet the datasets in different orders"
    return ""


def _one_by_one(members: Sequence[Member], warm_up: int, clock: Callable[[], float]) -> Iterator[Event]:
    epochs, count = 0, len(members)
    for number, member in enumerate(members):
        limit, config = member.config.time_limit_minutes, member.config
        if limit is not None:  # the time is that of all of them
            config = config.replace(time_limit_minutes=max(0.01, limit / count))
        last, known = 0, _choices_of(members[0]) if number else None
        for event in fit_module(member.module, member.sets, config, member.folder, warm_up, clock, known):
            values = event.values
            if event.kind is EventKind.PROGRESS:
                text = f"Member {number + 1} of {count}: {values['text']}"
                event = Event(event.kind, {"fraction": (number + values["fraction"]) / count, "text": text})
            elif event.kind is EventKind.METRIC:
                last = values["epoch"]
                more = {"epoch": epochs + last, "best_epoch": epochs + values["best_epoch"], "member": number + 1}
                event = Event(event.kind, {**values, **more})
            elif values.get("level") == "info":
                event = Event(event.kind, {**values, "text": f"Member {number + 1}: {values['text']}"})
            yield event
        epochs += last


def _begun(
    members: Sequence[Member], warm_up: int, clock: Callable[[], float]
) -> Generator[Event, None, list[Training]]:
    """The trainings at their begin, or where each stopped; an epoch that was broken off is ended alone."""
    trainings = []
    for number, member in enumerate(members):
        known = Choices.from_dict(trainings[0].course.choices) if trainings else None
        events = begin(member.module, member.sets, member.config, member.folder, warm_up, clock, known)
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                trainings.append(end.value)
                break
            if number == 0:
                yield event
    for training in trainings:
        for event in training.epochs() if training.course.pieces else ():
            if event.kind is EventKind.METRIC:
                break
            yield event
    return trainings


def _choices_of(member: Member) -> Optional[Choices]:
    """What a member chose at its begin; None where it is trained without choices."""
    kept = read_state(last_of(member.folder)).get("choices")
    return Choices.from_dict(kept) if kept else None


def _as_one(trainings: Sequence[Training]) -> Iterator[Event]:
    """All epochs that are left, those of the members that are not over as one."""
    while True:
        active = [training for training in trainings if not training.over]
        if not active:
            break
        if active[0].course.epoch and active[0].work.out_of_time():
            yield _message("Stopped at the time limit.")
            break
        yield from _epoch(active, len(trainings))
        for training in active:
            yield from training.judge()
        yield Event(EventKind.METRIC, _mean_metric([training.course.history[-1] for training in active]))
    for training in trainings:
        training.close()
        for parameter in training.work.module.parameters():
            parameter.data = parameter.data.clone()  # no view into the stack any more
            parameter.grad = None


def _epoch(active: Sequence[Training], members: int) -> Iterator[Event]:
    """The batches of one epoch of the ``active`` members."""
    first, pieces = active[0], [training.pieces() for training in active]
    work, epoch = first.work, first.course.epoch
    stack = Stack([training.work.module for training in active])
    for training in active:
        training.work.module.train()
    for number, group in enumerate(zip(*pieces), start=1):
        values = [
            training.end_piece(piece, total, count)
            for training, piece, (total, count) in zip(active, group, stack.learn(active, group))
        ]
        place = f"Epoch {epoch + 1} of {work.config.epochs}, batch {number} of {len(pieces[0])}"
        text = f"{members} members: {place}, mean loss {np.mean(values):.4g}"
        yield Event(EventKind.PROGRESS, {"fraction": work.fraction(epoch + number / len(pieces[0])), "text": text})


def _measured(trainings: Sequence[Training]) -> tuple[str, str]:
    """``(reason, words)``: why not as one, else in words what is gained. Copies are measured, on two batches."""
    unlike = _unlike(trainings)
    if unlike:
        return unlike, ""
    copies = [_copied(training) for training in trainings]
    pieces = [training.pieces()[:_TRIED] for training in trainings]
    states = torch.random.get_rng_state()
    try:
        alone, expected, held = _alone(trainings[0], copies[0], pieces[0])
        need, free = held * len(trainings), device_memory(trainings[0].work.device)
        if free is not None and need > _MEMORY_SHARE * free:
            return (
                f"as one they would take about {say_bytes(need)} of the {say_bytes(free)} of memory that are free",
                "",
            )
        together, found = _stacked(trainings, copies, pieces)
    except FreshetError:
        raise
    except (RuntimeError, NotImplementedError, ValueError, TypeError) as error:
        return f"their family cannot be computed as one ({_why(error)})", ""
    finally:
        torch.random.set_rng_state(states)
    if not np.allclose(found, expected, rtol=_CLOSE, atol=1e-6):
        return "as one their family gives another loss", ""
    one_by_one = alone * len(trainings)
    if together >= one_by_one:
        return f"a batch of all takes {together:.3g} s as one, {one_by_one:.3g} s in a row", ""
    room = "" if free is None else f"; memory: about {say_bytes(need)} of {say_bytes(free)}"
    words = f"a batch of all takes {together:.3g} s in place of {one_by_one:.3g} s{room}"
    return "", f"The {len(trainings)} members are trained as one model: {words}."


def _unlike(trainings: Sequence[Training]) -> str:
    """Why batches of the members cannot be computed side by side; empty where they can. The one of an epoch that is
    smaller comes at another place for each.
    """
    pieces = [training.pieces() for training in trainings]
    if len({tuple((piece.first, piece.last) for piece in some) for some in pieces}) > 1:
        return "their steps are made of different numbers of batches"
    uneven = len({tuple(len(piece.ends) for piece in some) for some in pieces}) > 1
    if uneven and any(isinstance(part, _BatchNorm) for part in trainings[0].work.module.modules()):
        return "batches that are filled up to one size would change their batch normalisation"
    return ""


def _why(error: Exception) -> str:
    text = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
    return "it draws random numbers, as dropout does" if "random operation" in text else text


def _alone(training: Training, module: nn.Module, pieces: Sequence[Any]) -> tuple[float, list[float], int]:
    """Seconds of the faster batch, losses, and bytes that a batch holds step by step, as it is computed for all."""
    work, times, losses = dataclasses.replace(training.work, module=module), [], []
    device = work.device

    def learn(work: Work, batch: Batch, variance: Tensor, sampling: float) -> None:
        predicted = work.predict(batch, work.config.supervised_steps, sampling)
        total, count = work.loss.parts(predicted, work.to_device(batch.y), variance)
        (total / count.clamp(min=1)).backward()
        losses.append(float(total.detach() / count.clamp(min=1)))

    for piece in pieces:
        made = training.begin_piece(piece)
        begin_s = now(device)
        learn(work, *made)
        times.append(now(device) - begin_s)
    by_steps = dataclasses.replace(work, engine=dataclasses.replace(work.engine, kernel="steps"))
    return min(times), losses[:1], peak_of(lambda: learn(by_steps, *made), device)


def _stacked(
    trainings: Sequence[Training], modules: Sequence[nn.Module], pieces: Sequence[Sequence[Any]]
) -> tuple[float, list[float]]:
    """Seconds of the faster batch of all, and the loss of the first member in the first one."""
    stack, times, losses, device = Stack(modules), [], [], trainings[0].work.device
    for group in zip(*pieces):
        begin_s = now(device)
        found = stack.learn(trainings, group)
        losses.append(float(found[0][0] / found[0][1].clamp(min=1)))
        times.append(now(device) - begin_s)
    return min(times), losses[:1]


def _copied(training: Training) -> nn.Module:
    return copy.deepcopy(training.work.module).train()


def _mean_metric(histories: Sequence[dict]) -> dict:
    """The numbers of an epoch, as means over the members."""
    first = histories[0]
    means = {
        name: float(np.mean([values[name] for values in histories]))
        for name in ("train_loss", "validation_loss", "validation_nse")
    }
    return {**first, **means, "members": len(histories)}


def _message(text: str) -> Event:
    return Event(EventKind.MESSAGE, {"level": "info", "text": text})
