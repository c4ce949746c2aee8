"""The training loop: a generator of events, so that whoever watches can follow and stop it between two batches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from torch import nn

from ..contracts.errors import RunError
from ..contracts.events import Event, EventKind
from ..contracts.training_config import TrainingConfig
from ..data.windows import Batch
from .augment import Augmentation, augmentation_of
from .averaging import averaged
from .batches import Piece, batches_of, pieces_of
from .captured import Captured
from .checkpoint import load_checkpoint, read_state
from .choices import Choices, kept_choices, set_threads, told
from .choosing import choose
from .course import Course, Keeper, last_of
from .crops import check_crop, crop_words
from .device import allow_tf32, choose_device, keep_memory
from .distributed import Ranks
from .feeding import Feeder, Waiting
from .finite import first_culprit
from .judging import validate, write_live_maps
from .losses import loss_of
from .probe import Probe
from .schedules import learning_rate, make_optimizer
from .setup import TrainingSet
from .shown import Showing
from .work import Work, predict_batch, tensor_of

__all__ = ["Work", "batches_of", "fit", "predict_batch", "tensor_of", "validate", "write_live_maps"]


def fit(
    module: nn.Module,
    sets: Sequence[TrainingSet],
    config: TrainingConfig,
    checkpoints: Path,
    warm_up: int = 0,
    clock: Callable[[], float] = time.monotonic,
    known: Optional[Choices] = None,
) -> Iterator[Event]:
    """Train ``module`` in place; at the end it holds the weights of the best epoch by validation loss.

    ``warm_up``: first steps of each window through which no gradient goes. ``clock`` gives the seconds that the time
    limit and the schedule count (``time.process_time`` for processor time). Yields METRIC after each epoch (``epoch,
    train_loss, validation_loss, validation_nse, best_epoch, learning_rate, seconds, waiting_share``) and PROGRESS after
    each batch; ``waiting_share`` is the share of the epoch's time in which the model waited for data. Losses are in
    units of the scaled target. An existing ``checkpoints/last`` is continued where it stopped, also in the middle of an
    epoch: a resumed training equals an uninterrupted one. It is written after each epoch, every ``checkpoint_minutes``,
    and where this generator is closed. With averaged weights these are judged and saved as the best, and the raw ones
    are trained on.
    Raises :class:`RunError` that names variable, cell and date where the loss is no longer finite; the best checkpoint
    stays. :class:`ConfigError` where the loss or the augmentation does not fit model or data.
    """
    training = yield from begin(module, sets, config, checkpoints, warm_up, clock, known)
    try:
        yield from training.epochs()
    except GeneratorExit:
        training.keep()  # a cancelled training is taken up again at this batch
        raise
    training.close()


def begin(
    module: nn.Module,
    sets: Sequence[TrainingSet],
    config: TrainingConfig,
    checkpoints: Path,
    warm_up: int,
    clock: Callable[[], float],
    known: Optional[Choices] = None,
) -> Generator[Event, None, Training]:
    """Choose how to compute, and give the training at its begin, or where it stopped.

    ``known``: choices that are taken as they are, those of another model of the same kind.
    """
    device, why_device = choose_device(config.device)
    keep_memory()
    augmentation, loss = augmentation_of(config.augment, module, sets), loss_of(config, sets)
    ranks, last = Ranks.join(device), last_of(checkpoints)
    module.to(device)
    clock = ranks.clock(clock, config.time_limit_minutes is not None)
    begin_s, goes_on = clock(), last.exists()
    state = read_state(last) if goes_on else {"epoch": -1}
    ranks.check_same(state["epoch"], state.get("pieces", 0))
    yield _message(f"Device {why_device}. {augmentation.words}".strip())
    if not goes_on:
        _learn_links(module, sets)
    if goes_on or known is not None:
        choices = kept_choices(state.get("choices") if goes_on else known.to_dict(), config)
        choices = choices.with_choice(set_threads(config, choices))
    else:
        choices = yield from choose(Probe(module, sets, config, device, warm_up, loss), config, device, ranks)
    yield told(choices, goes_on)
    allow_tf32(str(choices.value("precision")), device)
    config = choices.config(config)
    check_crop(config, module, sets)
    if crop_words(module, config, sets):
        yield _message(crop_words(module, config, sets))
    work = Work(module, sets, config, device, choices.precision, warm_up, begin_s, clock, loss, ranks, choices.engine)
    optimizer = make_optimizer(module, config)
    keeper = Keeper(checkpoints, work, optimizer)
    if goes_on:
        course = keeper.resume()
        yield _message(_continued(course))
    else:
        course = keeper.begin()
    course.choices = choices.to_dict()
    ranks.share_model(module)
    captured = Captured(keeper.work) if choices.value("capture") == "on" else None
    return Training(keeper, course, optimizer, augmentation, captured)


class Training:
    """A training under way."""

    def __init__(
        self,
        keeper: Keeper,
        course: Course,
        optimizer: torch.optim.Optimizer,
        augmentation: Augmentation,
        captured: Optional[Captured] = None,
    ) -> None:
        self._captured = captured
        self._keeper, self._course, self._optimizer, self._augmentation = keeper, course, optimizer, augmentation
        self._work, self._waiting = keeper.work, Waiting()
        work = self._work
        self._showing = Showing(work.module, work.sets, work.config, augmentation, work.ranks)

    @property
    def work(self) -> Work:
        """What it works with."""
        return self._work

    @property
    def course(self) -> Course:
        """Where it stands."""
        return self._course

    @property
    def over(self) -> bool:
        """Whether all epochs are done, or those that gained nothing are too many."""
        course, config = self._course, self._work.config
        return course.epoch >= config.epochs or course.epoch - course.best_epoch >= config.patience

    def epochs(self) -> Iterator[Event]:
        """All epochs that are left."""
        work, course = self._work, self._course
        while not self.over:
            if course.pieces == 0 and course.epoch and work.out_of_time():
                yield _message("Stopped at the time limit.")
                break
            for share, text in self._train_epoch():
                yield Event(EventKind.PROGRESS, {"fraction": work.fraction(course.epoch + share), "text": text})
            if self._captured is not None and self._captured.fault:
                yield _message(f"Each batch is computed step by step: recording failed ({self._captured.fault}).")
                self._captured = None
            yield from self.judge()
            yield Event(EventKind.METRIC, course.history[-1])
        yield from self._told_waiting()

    def _told_waiting(self) -> Iterator[Event]:
        """How long the training waited for data, over all epochs of which that is known."""
        shares = [values["waiting_share"] for values in self._course.history if "waiting_share" in values]
        if shares:
            yield _message(f"Waiting for data took {_share_words(float(np.mean(shares)))} of the epochs' time.")

    def judge(self) -> Iterator[Event]:
        """Close an epoch whose batches are done: validate, and write the checkpoints."""
        work, course = self._work, self._course
        with averaged(work.module, self._keeper.average):
            validation_loss, validation_nse = yield from validate(work, self._waiting)
            self._close_epoch(validation_loss, validation_nse)
            if course.best_epoch == course.epoch:
                self._keeper.keep_best(course)
            if work.ranks.first:
                write_live_maps(self._keeper.last.parent / "live.npz", work)
        self._keeper.keep_last(course)

    def keep(self) -> None:
        """Write where it stands, when it is broken off."""
        self._work.ranks.leave()
        self._keeper.keep_last(self._course)

    def close(self) -> None:
        """Give the module the weights of the best epoch."""
        if self._work.ranks.first:
            load_checkpoint(self._keeper.best, self._work.module)
        self._work.module.eval()

    def _close_epoch(self, validation_loss: float, validation_nse: float) -> None:
        """Write an epoch into the course."""
        course = self._course
        course.epoch += 1
        if validation_loss < course.best_loss:
            course.best_loss, course.best_epoch = validation_loss, course.epoch
        course.plateau.see(validation_loss, self._work.config.schedule_epochs)
        course.history.append(
            {
                "epoch": course.epoch,
                "train_loss": float(np.mean(course.losses)),
                "validation_loss": validation_loss,
                "validation_nse": validation_nse,
                "best_epoch": course.best_epoch,
                "learning_rate": course.rate,
                "seconds": round(self._work.seconds, 1),
                "waiting_share": round(self._waiting.share(), 5),
            }
        )
        self._waiting.again()
        course.pieces, course.losses = 0, []

    def _train_epoch(self) -> Iterator[tuple[float, str]]:
        """The rest of an epoch; gives the share of it that is done, and words, after each batch."""
        work, course, config = self._work, self._course, self._work.config
        if course.pieces == 0:
            torch.manual_seed(self.seed + work.ranks.seed_offset)
        pieces, seed = self.pieces(), self.seed
        left = pieces[course.pieces :]
        work.module.train()
        with Feeder(
            left, lambda piece, buffers: self._showing.make(piece, seed, buffers), self._waiting, work.device
        ) as feeder:
            for piece, made in zip(left, feeder):
                value = self._learn(piece, made)
                course.pieces += 1
                if self._keeper.due():
                    self._keeper.keep_last(course)
                place = f"Epoch {course.epoch + 1} of {config.epochs}, batch {course.pieces} of {len(pieces)}"
                yield course.pieces / len(pieces), f"{place}, loss {value:.4g}"

    @property
    def seed(self) -> int:
        """What the order, the hidden cells, the turns and the dropout of this epoch follow from."""
        return (self._work.config.seed * 1_000_003 + self._course.epoch) % (2**31)

    def pieces(self) -> list[Piece]:
        """All of this epoch."""
        return pieces_of(self._work.sets, self._work.config, np.random.default_rng(self.seed))

    def _learn(self, piece: Piece, made: tuple[Batch, np.ndarray]) -> float:
        """Gradients of one piece, and a step of the optimizer where it is the last of its step; gives its loss."""
        work = self._work
        batch, variance, sampling = self.begin_piece(piece, made)
        whole = piece.first and piece.last
        if self._captured is not None:
            found = self._captured.learn(batch, variance, sampling, whole)
            if found is not None:
                return self.end_piece(piece, *found)
        predicted = work.predict(batch, work.config.supervised_steps, sampling)
        predicted, target = work.ranks.whole(len(piece.ends), predicted, work.to_device(batch.y))
        total, count = work.loss.parts(predicted, target, variance)
        work.ranks.backward(total / count.clamp(min=1) if whole else total)
        return self.end_piece(piece, total, count)

    def begin_piece(
        self, piece: Piece, made: Optional[tuple[Batch, np.ndarray]] = None
    ) -> tuple[Batch, torch.Tensor, float]:
        """What one piece is made of: its batch, the variance of the cells, the share that a decoder reads the truth. At
        the first piece of a step the learning rate is set. ``made`` is what was made beforehand.
        """
        work, course, config, optimizer = self._work, self._course, self._work.config, self._optimizer
        position = course.epoch + piece.begin
        if piece.first:
            rate = learning_rate(config, position, work.fraction(position), course.plateau.falls, piece.length)
            for group in optimizer.param_groups:
                group["lr"] = rate
            course.rate = rate
            optimizer.zero_grad(set_to_none=True)
        work.ranks.part(piece.ends)
        if made is None:
            with self._waiting.measured():
                made = self._showing.make(piece, self.seed)
        batch, variance = made
        return batch, work.to_device(variance), config.sampling * (1.0 - work.fraction(position))

    def end_piece(self, piece: Piece, total: torch.Tensor, count: torch.Tensor) -> float:
        """A step of the optimizer with the gradients at hand, where the piece is the last of its step. Gives the loss
        of the piece, from its sum and count.
        """
        course, whole = self._course, piece.first and piece.last
        value = (total / count.clamp(min=1)).item()
        if not whole:
            course.gathered = [course.gathered[0] + total.item(), course.gathered[1] + int(count)]
        norm = self._step(whole) if piece.last and math.isfinite(value) else 0.0
        if not (math.isfinite(value) and math.isfinite(norm)):
            raise self._left(piece, value)
        if piece.last:
            course.losses.append(value if whole else course.gathered[0] / max(1, course.gathered[1]))
            course.gathered = [0.0, 0.0]
        return value

    def _step(self, whole: bool) -> float:
        """Clip, and step where the norm of the gradient is finite; gives the norm. Of a step in several pieces the
        gradients are those of the sum so far.
        """
        module, config = self._work.module, self._work.config
        if not whole:
            for parameter in module.parameters():
                if parameter.grad is not None:
                    parameter.grad.div_(max(1, self._course.gathered[1]))
        norm = float(nn.utils.clip_grad_norm_(module.parameters(), config.clip_norm))
        if math.isfinite(norm):
            self._optimizer.step()
            if self._keeper.average is not None:
                self._keeper.average.update(module)
        return norm

    def _left(self, piece: Piece, value: float) -> RunError:
        """The sentence for a loss or a gradient that is no finite number."""
        work = self._work
        item, batch = self._showing.seen(piece, self.seed)
        with torch.no_grad():
            predicted = work.predict(batch, work.config.supervised_steps)
        what = f"a loss of {value:g}" if not math.isfinite(value) else "a gradient without a finite norm"
        return RunError(
            "The training left the finite numbers",
            got=f"{what} in epoch {self._course.epoch + 1}; {first_culprit(item, piece.ends, batch, predicted)}",
            remedy="Correct or mask such a value, or lower the learning rate; the best model is kept",
        )


def _learn_links(module: nn.Module, sets: Sequence[TrainingSet]) -> None:
    """What a family takes from the training period once, such as the links of a graph; its checkpoints keep it."""
    if hasattr(module, "prepare_from"):
        first = sets[0]
        module.prepare_from(torch.from_numpy(first.data.x[first.split.train_steps]), torch.from_numpy(first.data.mask))


def _share_words(share: float) -> str:
    """A share in per cent."""
    return f"{100 * share:.1f} %" if share >= 0.001 else "less than 0.1 %"


def _continued(course: Course) -> str:
    place = f", batch {course.pieces}" if course.pieces else ""
    return f"Continued after epoch {course.epoch}{place}."


def _message(text: str) -> Event:
    return Event(EventKind.MESSAGE, {"level": "info", "text": text})
