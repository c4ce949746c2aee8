"""Batches that are tried before a training, on a copy of the model, to learn what they cost.

The model, its random numbers and the threads are afterwards what they were, so the training that follows is bit for bit
the one without a trial.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..contracts.training_config import TrainingConfig
from ..data.windows import Batch
from ..models.base import WHOLE_FRAME_PX
from ..models.engine import Engine
from .batches import with_target
from .device import allow_tf32, dtype_of, faster_precisions, now
from .losses import Loss
from .memory import peak_of
from .setup import TrainingSet
from .work import Work, judged_at_once, predict_batch

_SIDE = 64  # cells of the part of a frame by which memory is measured
_MOST_TIMES, _LONG_SECONDS = 3, 1.5  # batches that are timed, and how long a one is enough
# For what libraries take for themselves and for memory in pieces. Maps of 16 bits are many blocks of some MB, of which
# each begins a page of 2 MB of its own: up to 1.34 times what torch counts was measured, in 32 bits up to 1.1.
_SLACK, _SLACK_HALF = 1.2, 1.4
_FLOOR = 128 * 2**20  # libraries of the processor keep as much between two batches
_BEFOREHAND = 2  # batches that are made while one is computed


@dataclass(frozen=True)
class Way:
    """How a batch is computed."""

    precision: str = "float32"
    recompute: bool = False
    hoist: str = "auto"

    @property
    def engine(self) -> Engine:
        """For the recurrent layers."""
        return Engine(recompute=self.recompute, hoist=self.hoist)


@dataclass(frozen=True)
class Need:
    """Bytes that a training takes beyond what it has already: ``kept`` all the time, and for a piece of n windows of a
    frame of N cells a polynomial of n N, or n times one of N (``by_window``); ``judged`` the same without gradients.
    ``fed``: of the batches that are made beforehand, a window and cell. ``slack``: times as much is foreseen.
    """

    kept: float
    learned: tuple[float, ...]
    judged: tuple[float, ...]
    fed: float = 0.0
    by_window: bool = False
    slack: float = _SLACK

    def of(self, windows: int, cells: int, recompute: bool = False) -> int:
        """At the most at once, with some slack."""
        learned = self._at(self.learned, windows, cells)
        judged = self._at(self.judged, judged_at_once(windows, recompute), cells)
        fed = _BEFOREHAND * self.fed * windows * cells
        return int(self.slack * (self.kept + fed + max(learned, judged)) + _FLOOR)

    def _at(self, terms: tuple[float, ...], windows: int, cells: int) -> float:
        if self.by_window:
            return windows * float(np.polyval(terms, cells))
        return float(np.polyval(terms, windows * cells))


class Probe:
    """A copy of ``module`` on which batches of ``sets`` are tried. Close it by :meth:`restored`."""

    def __init__(
        self,
        module: nn.Module,
        sets: Sequence[TrainingSet],
        config: TrainingConfig,
        device: str,
        warm_up: int,
        loss: Loss,
    ) -> None:
        self.module, self.sets, self.config = module, sets, config
        self._device, self._warm_up, self._loss = device, warm_up, loss
        self._copy: Optional[nn.Module] = None
        self.precisions = faster_precisions(device)
        learning = [item for item in sets if len(item.split.train)]
        self.item = max(learning or list(sets), key=lambda item: item.data.mask.size)
        ends = with_target(self.item, self.item.split.train, config.supervised_steps)
        self.ends = ends if len(ends) else self.item.data.valid_ends(need_target=True)

    @property
    def cells(self) -> int:
        """Of the largest frame."""
        return int(self.item.data.mask.size)

    @property
    def steps_an_epoch(self) -> float:
        """Windows of an epoch, of all datasets."""
        return sum(len(item.split.train) for item in self.sets) / self.config.window_stride

    @property
    def normalises_batches(self) -> bool:
        """Whether a batch in parts is another batch."""
        return any(isinstance(part, _BatchNorm) for part in self.module.modules())

    @property
    def whole_frames(self) -> bool:
        """Whether the model needs all cells of its frame at once."""
        halo = self.module.halo_px(self.item.data.window)
        return halo >= WHOLE_FRAME_PX or bool(self.item.data.gauges) or hasattr(self.module, "prepare_from")

    @contextlib.contextmanager
    def restored(self) -> Iterator[Probe]:
        """Random numbers and threads are at the end what they were."""
        states, threads = [torch.get_rng_state()], torch.get_num_threads()
        on_gpu = self._device.startswith("cuda")
        if on_gpu:
            states.append(torch.cuda.get_rng_state())
        elif self._device == "mps":
            states.append(torch.mps.get_rng_state())
        self._copy = copy.deepcopy(self.module).train()
        try:
            yield self
        finally:
            self._copy = None
            torch.set_rng_state(states[0])
            if on_gpu:
                torch.cuda.set_rng_state(states[1])
                torch.cuda.empty_cache()
            elif self._device == "mps":
                torch.mps.set_rng_state(states[1])
            torch.set_num_threads(threads)

    def rough_bytes(self, windows: int) -> float:
        """A number that a training hardly exceeds: six maps a channel of each layer, step and window, and as many of
        all pairs of cells where a model may look at these.
        """
        maps = sum(p.shape[0] for p in self.module.parameters() if p.dim() > 1)
        if self.whole_frames:
            maps += self.cells
        return 24.0 * maps * self.cells * self.item.data.window * windows + self._kept()

    def operations(self) -> float:
        """Of an epoch, forward and backward, as if each weight met each cell at each step."""
        weights = sum(p.numel() for p in self.module.parameters() if p.requires_grad)
        return 6.0 * weights * self.cells * self.item.data.window * self.steps_an_epoch

    def need(self, way: Way) -> Need:
        """Measured on parts of the frame, or on one and two windows where it is small or cannot be cut."""
        rows, columns = self.item.data.mask.shape
        small = rows * columns <= _SIDE * _SIDE
        cut = not self.item.data.gauges and not hasattr(self.module, "prepare_from")
        if small or not cut or getattr(self.module, "bound_to_grid", False):
            sizes, by_window = [(1, rows, columns), (2, rows, columns)], False
        elif self.whole_frames:  # what looks at all pairs of cells grows with their square
            sizes = [(1, min(rows, side), min(columns, side)) for side in (_SIDE // 4, 3 * _SIDE // 8, _SIDE // 2)]
            by_window = True
        else:
            sizes = [(1, min(rows, side), min(columns, side)) for side in (_SIDE // 2, _SIDE)]
            by_window = False
        amounts = [float(windows * r * c) for windows, r, c in sizes]
        found = [self._peaks(way, *size) for size in sizes]
        learned, judged = (_line(amounts, [pair[place] for pair in found]) for place in (0, 1))
        slack = _SLACK if way.precision in ("float32", "tf32") else _SLACK_HALF
        return Need(self._kept(), learned, judged, self.item.data.bytes_per_window / self.cells, by_window, slack)

    def seconds(self, way: Way, windows: int, crop: int = 0) -> tuple[float, float]:
        """Of a piece of so many windows, and the loss of the first one; long pieces are timed once."""
        allow_tf32(way.precision, self._device)
        torch.manual_seed(self.config.seed)  # so that dropout does not tell one way from another
        (batch, _), loss, times = self.pieces(windows, crop), 0.0, []
        while len(times) < _MOST_TIMES and (len(times) < 2 or min(times) < _LONG_SECONDS):
            begin = now(self._device)
            value = self._learn(batch, way)
            times.append(now(self._device) - begin)
            loss = value if len(times) == 1 else loss
            if times[0] > 4 * _LONG_SECONDS:
                break
        return min(times), loss

    def pieces(self, windows: int, crop: int = 0) -> tuple[Batch, np.ndarray]:
        """So many windows of the frame or of a crop, and the variance of the cells (K, *frame)."""
        ends = np.resize(self.ends[np.linspace(0, len(self.ends) - 1, windows).astype(int)], windows)
        rows, columns = (min(size, crop or size) for size in self.item.data.mask.shape)
        batch = self._batch(ends, rows, columns)
        return batch, self._variance(batch)

    def work(self, way: Way, batch: int) -> Work:
        """That of a training of the copy."""
        config = self.config.replace(batch=batch)
        how = (self._device, dtype_of(way.precision), self._warm_up, 0.0, time.monotonic, self._loss)
        return Work(self._copy, self.sets, config, *how, engine=way.engine)

    def _peaks(self, way: Way, windows: int, rows: int, columns: int) -> tuple[int, int]:
        batch = self._batch(np.resize(self.ends[:windows], windows), rows, columns)

        def judge() -> None:
            with torch.inference_mode():
                self._predict(batch, way, 1)

        self._learn(batch, way)  # the first one may keep something for those that follow
        learned = peak_of(lambda: self._learn(batch, way), self._device)
        self._copy.eval()
        judged = peak_of(judge, self._device)
        self._copy.train()
        return learned, judged

    def _learn(self, batch: Batch, way: Way) -> float:
        """Gradients of one batch; gives its loss."""
        self._copy.zero_grad(set_to_none=True)
        variance = self._variance(batch)
        predicted = self._predict(batch, way, self.config.supervised_steps)
        target, variance = (torch.from_numpy(np.ascontiguousarray(a)).to(self._device) for a in (batch.y, variance))
        total, count = self._loss.parts(predicted, target, variance)
        value = total / count.clamp(min=1)
        value.backward()
        return float(value.detach())

    def _variance(self, batch: Batch) -> np.ndarray:
        """Of the cells of a batch, which begins at the first row and column."""
        if self.item.data.gauges:
            return self.item.variance
        return self.item.variance[..., : batch.y.shape[-2], : batch.y.shape[-1]]

    def _predict(self, batch: Batch, way: Way, steps: int) -> torch.Tensor:
        more: dict[str, Any] = {"sampling": self.config.sampling, "engine": way.engine}
        return predict_batch(self._copy, batch, self._device, dtype_of(way.precision), steps, self._warm_up, **more)

    def _batch(self, ends: np.ndarray, rows: Optional[int] = None, columns: Optional[int] = None) -> Batch:
        data = self.item.data
        if rows is not None and (rows, columns) != data.mask.shape:
            data = data.part(slice(0, rows), slice(0, columns))
        batch = data.batch(ends, self.config.supervised_steps, self.config.seed)
        return dataclasses.replace(batch, x=np.ascontiguousarray(batch.x))

    def _kept(self) -> float:
        """Moments of the optimizer and averaged weights."""
        weights = sum(p.numel() * p.element_size() for p in self.module.parameters() if p.requires_grad)
        return weights * (2 + bool(self.config.averaging))


def _line(amounts: Sequence[float], peaks: Sequence[float]) -> tuple[float, ...]:
    """The polynomial through all points, highest power first, without terms below 0."""
    terms = np.polyfit(amounts, peaks, len(amounts) - 1)
    return tuple(float(max(term, 0.0)) for term in terms)
