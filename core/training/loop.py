"""The training loop: a generator of events, so that whoever watches can follow and stop it between two batches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

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
from .checkpoint import load_checkpoint
from .course import Course, Keeper
from .device import choose_device, choose_precision, choose_threads
from .distributed import Ranks
from .finite import first_culprit
from .judging import validate, write_live_maps
from .losses import loss_of
from .schedules import learning_rate, make_optimizer
from .setup import TrainingSet
from .work import Work, predict_batch, tensor_of

__all__ = ["Work", "batches_of", "fit", "predict_batch", "tensor_of", "validate", "write_live_maps"]


def fit(
    module: nn.Module,
    sets: Sequence[TrainingSet],
    config: TrainingConfig,
    checkpoints: Path,
    warm_up: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Event]:
    """Train ``module`` in place; at the end it holds the weights of the best epoch by validation loss.

    ``warm_up``: first steps of each window through which no gradient goes. ``clock`` gives the seconds that the time
    limit and the schedule count (``time.process_time`` for processor time). Yields METRIC after each epoch (``epoch,
    train_loss, validation_loss, validation_nse, best_epoch, learning_rate, seconds``) and PROGRESS after each batch.
    Losses are in units of the scaled target. An existing ``checkpoints/last`` is continued where it stopped, also in
    the middle of an epoch: a resumed training equals an uninterrupted one. It is written after each epoch, every
    ``checkpoint_minutes``, and where this generator is closed. With averaged weights these are judged and saved as the
    best, and the raw ones are trained on.
    Raises :class:`RunError` that names variable, cell and date where the loss is no longer finite; the best checkpoint
    stays. :class:`ConfigError` where the loss or the augmentation does not fit model or data.
    """
    training = yield from begin(module, sets, config, checkpoints, warm_up, clock)
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
) -> Generator[Event, None, Training]:
    """Choose device and precision, and give the training at its begin, or where it stopped."""
    device, why_device = choose_device(config.device)
    precision, why_precision = choose_precision(config.precision, device)
    torch.set_num_threads(choose_threads(config.threads))
    augmentation, loss = augmentation_of(config.augment, module, sets), loss_of(config, sets)
    yield _message(f"Device {why_device}. Precision {why_precision}. {augmentation.words}".strip())
    module.to(device)
    ranks = Ranks.join(device)
    clock = ranks.clock(clock, config.time_limit_minutes is not None)
    optimizer = make_optimizer(module, config)
    keeper = Keeper(
        checkpoints, Work(module, sets, config, device, precision, warm_up, clock(), clock, loss, ranks), optimizer
    )
    if keeper.last.exists():
        course = keeper.resume()
        yield _message(_continued(course))
    else:
        _learn_links(module, sets)
        course = keeper.begin()
    ranks.check_same(course.epoch, course.pieces)
    ranks.share_model(module)
    return Training(keeper, course, optimizer, augmentation)


class Training:
    """A training under way."""

    def __init__(
        self, keeper: Keeper, course: Course, optimizer: torch.optim.Optimizer, augmentation: Augmentation
    ) -> None:
        self._keeper, self._course, self._optimizer, self._augmentation = keeper, course, optimizer, augmentation
        self._work = keeper.work

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
            yield from self.judge()
            yield Event(EventKind.METRIC, course.history[-1])

    def judge(self) -> Iterator[Event]:
        """Close an epoch whose batches are done: validate, and write the checkpoints."""
        work, course = self._work, self._course
        with averaged(work.module, self._keeper.average):
            validation_loss, validation_nse = yield from validate(work)
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
            }
        )
        course.pieces, course.losses = 0, []

    def _train_epoch(self) -> Iterator[tuple[float, str]]:
        """The rest of an epoch; gives the share of it that is done, and words, after each batch."""
        work, course, config = self._work, self._course, self._work.config
        if course.pieces == 0:
            torch.manual_seed(self.seed + work.ranks.seed_offset)
        pieces = self.pieces()
        work.module.train()
        for piece in pieces[course.pieces :]:
            value = self._learn(piece)
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

    def _learn(self, piece: Piece) -> float:
        """Gradients of one piece, and a step of the optimizer where it is the last of its step; gives its loss."""
        work = self._work
        batch, variance, sampling = self.begin_piece(piece)
        predicted = work.predict(batch, work.config.supervised_steps, sampling)
        predicted, target = work.ranks.whole(len(piece.ends), predicted, work.to_device(batch.y))
        total, count = work.loss.parts(predicted, target, variance)
        whole = piece.first and piece.last
        work.ranks.backward(total / count.clamp(min=1) if whole else total)
        return self.end_piece(piece, total, count)

    def begin_piece(self, piece: Piece) -> tuple[Batch, torch.Tensor, float]:
        """What one piece is made of: its batch, the variance of the cells, the share that a decoder reads the truth. At
        the first piece of a step the learning rate is set.
        """
        work, course, config, optimizer = self._work, self._course, self._work.config, self._optimizer
        item, position = work.sets[piece.index], course.epoch + piece.begin
        if piece.first:
            rate = learning_rate(config, position, work.fraction(position), course.plateau.falls, piece.length)
            for group in optimizer.param_groups:
                group["lr"] = rate
            course.rate = rate
            optimizer.zero_grad(set_to_none=True)
        turn = self._augmentation.draw(self.seed, piece.step)
        ends = work.ranks.part(piece.ends)
        batch = self._augmentation.apply(item.data.batch(ends, config.supervised_steps, self.seed), turn)
        variance = work.to_device(self._augmentation.variance(item.variance, turn))
        return batch, variance, config.sampling * (1.0 - work.fraction(position))

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
        work, item = self._work, self._work.sets[piece.index]
        batch = item.data.batch(piece.ends, work.config.supervised_steps, self.seed)
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


def _continued(course: Course) -> str:
    place = f", batch {course.pieces}" if course.pieces else ""
    return f"Continued after epoch {course.epoch}{place}."


def _message(text: str) -> Event:
    return Event(EventKind.MESSAGE, {"level": "info", "text": text})
