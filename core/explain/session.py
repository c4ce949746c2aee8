"""A model and a dataset that stay loaded from one question to the next, and what of them a question needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
from torch import nn

from ..contracts.errors import DataError
from ..contracts.model_card import ModelCard
from ..contracts.result_jobs import ExplainJob
from ..contracts.training_job import PeriodConfig
from ..data.splits import period_steps
from ..data.store import Dataset
from ..data.windows import WindowData, build_window_data, gauge_places
from ..inference.selection import periods_of
from ..training.device import choose_device
from ..training.model_file import load_model
from .place import Place, place_of_basin, place_of_cell, place_of_gauge, place_of_polygon, place_of_series

_MOST_MEMBERS = 8


@dataclass(frozen=True)
class Held:
    """Scaled windows of a dataset, and ``train`` bool (T,), the steps of the model's training period; ``train_known``
    is False where the model never saw this dataset, and all steps stand in.
    """

    data: WindowData
    train: np.ndarray
    train_known: bool

    def training_ends(self) -> np.ndarray:
        """Ends of the windows that lie within the training period; of all windows where there is none."""
        ends = self.data.valid_ends()
        inside = self.train[ends] & self.train[ends - self.data.window + 1]
        return ends[inside] if inside.any() else ends


class Session:
    """Keeps the last model and the last dataset; a file that has changed is read again. ``kept`` holds what questions
    leave for the next one on the same model and dataset, by keys of their own.
    """

    def __init__(self) -> None:
        self._model: tuple[Any, Any] = (None, None)
        self._held: tuple[Any, Any] = (None, None)
        self.kept: dict[Any, Any] = {}
        self._members: dict[str, Session] = {}

    def member(self, path: str) -> Session:
        """A session for another model of the same question; a handful of them are kept."""
        if path not in self._members and len(self._members) >= _MOST_MEMBERS:
            self._members.pop(next(iter(self._members)))
        return self._members.setdefault(path, Session())

    def model(self, path: str, device: str) -> tuple[nn.Module, ModelCard, str, str]:
        """Module, card, device and the words for it."""
        chosen, why = choose_device(device)
        key = (_state_of(path), chosen)
        if key != self._model[0] or key[0] is None:
            module, card = load_model(path, chosen)
            module.requires_grad_(False)
            self._model = (key, (module, card))
            self.kept.clear()
            self._members.clear()
        return (*self._model[1], chosen, why)

    def held(self, dataset: Dataset, card: ModelCard) -> Held:
        """The windows of an open dataset."""
        key = (dataset.fingerprint(), card.to_json())
        if key != self._held[0]:
            self._held = (key, _held(dataset, card))
            self.kept.clear()
        return self._held[1]


def place_for(job: ExplainJob, card: ModelCard, dataset: Dataset) -> Place:
    """The place that is asked about. Raises :class:`DataError` where it holds no prediction."""
    grid, mask = dataset.grid, dataset.mask
    if card.gauges:
        if not (job.gauge or job.basin):
            raise DataError(
                f"The model predicts {len(card.gauges)} gauges, not maps",
                expected=f"one of its gauges: {', '.join(card.gauges[:20])}",
                got="a polygon" if job.polygon else "a cell",
                remedy="Choose a gauge, or the basin for the mean of all gauges",
            )
        return place_of_series(grid, card.gauges, _cells_of_gauges(card, dataset), job.gauge)
    if job.gauge:
        return place_of_gauge(grid, mask, dataset.gauges, job.gauge)
    if job.basin:
        return place_of_basin(mask)
    if job.polygon:
        return place_of_polygon(grid, mask, job.polygon)
    return place_of_cell(grid, mask, job.x, job.y)


def _held(dataset: Dataset, card: ModelCard) -> Held:
    data = build_window_data(dataset, card)
    periods = periods_of(card, dataset)
    train = np.zeros(len(data.times), dtype=bool)
    if periods.get("train"):
        train = period_steps(data.times, PeriodConfig(*periods["train"]))
    known = bool(train.any())
    return Held(data, train if known else np.ones(len(data.times), dtype=bool), known)


def _cells_of_gauges(card: ModelCard, dataset: Dataset) -> list[tuple[int, int]]:
    if dataset.gauges is None:
        return [(-1, -1)] * len(card.gauges)
    places = gauge_places(dataset, card)
    return [(int(dataset.gauges.rows[place]), int(dataset.gauges.columns[place])) for place in places]


def _state_of(path: str) -> Optional[tuple[str, int, int]]:
    try:
        state = Path(path).stat()
    except OSError:
        return None
    return str(path), state.st_mtime_ns, state.st_size
