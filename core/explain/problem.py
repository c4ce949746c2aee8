"""From a window, a place, a lead and a target to a problem that the methods can work on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Callable, Optional

import numpy as np
import torch
from torch import Tensor, nn

from ..contracts.model_card import SEASON_CHANNELS, ModelCard
from ..data.scaling import Scaler
from ..data.windows import WindowData
from ..models.near import Region
from .baselines import Question
from .explained import Attribution, Explained, PlaceMean, Surroundings
from .methods.base import Parts, Problem
from .place import Place

_POINTS_AT_ONCE = 2  # pieces stay short, so that a cancel is heard soon
_CELL_STEPS_AT_ONCE = 250_000  # cells x steps whose states the backward pass keeps at once


@dataclass(frozen=True)
class Framed:
    """A problem within the halo of a place, and where that lies in the frame of the dataset."""

    problem: Problem
    rows: slice
    columns: slice
    shape: tuple[int, int]

    def put_back(self, found: Attribution) -> Attribution:
        """The answer on the whole frame; cells beyond the halo have no influence and get 0."""
        parts = {
            name: None if getattr(found, name) is None else self._whole(getattr(found, name))
            for name in ("x", "static", "ahead", "heat")
        }
        return Attribution(
            parts["x"], parts["static"], found.prediction, found.baseline_prediction, parts["ahead"], parts["heat"],
            found.passes, found.facts, {name: self._whole(slope) for name, slope in found.slopes.items()},
        )  # fmt: skip

    def _whole(self, part: np.ndarray) -> np.ndarray:
        if part.shape[-2:] == (1, 1) and self.problem.frame != (1, 1):
            return part  # cells are not told apart
        whole = np.zeros((*part.shape[:-2], *self.shape))
        whole[..., self.rows, self.columns] = part
        return whole


def build_problem(
    module: nn.Module,
    card: ModelCard,
    question: Question,
    place: Place,
    mask: np.ndarray,
    device: str,
    *,
    lead: int = 0,
    target: int = 0,
    background: Optional[Callable[[int], Question]] = None,
) -> Framed:
    """``lead`` and ``target`` are places in the model's output; ``background(n)`` gives the n-th window that expected
    gradients start from. Two passes give the prediction and that of the baseline.
    """
    shape = question.x.shape[-2:]
    rows, columns = reach(place, module.halo_px(card.window), shape)

    def tensor(array: Optional[np.ndarray]) -> Optional[Tensor]:
        if array is None:
            return None
        cut = array[..., rows, columns] if array.ndim >= 3 else array
        return torch.from_numpy(np.array(cut, order="C")).to(device)

    names = parts_of(module, question)
    static, ahead = tensor(question.static), tensor(question.ahead)
    around = Surroundings(
        tensor(question.observed), tensor(mask[None, None].astype(np.float32)), tensor(question.time_of_year),
        None if "static" in names else static, None if "ahead" in names else ahead,
    )  # fmt: skip
    weights = place.frame if card.gauges else place.weights[rows, columns]
    reduce = PlaceMean(weights, Scaler.from_dict(card.targets[target].scaler), lead, target)
    function = Explained(module, reduce, names, around, _box(place, rows, columns))

    def parts(held: Question, prefix: str) -> Parts:
        return tuple(tensor(getattr(held, prefix + name))[None] for name in names)

    inputs, baselines = parts(question, ""), parts(question, "baseline_")
    cells = (rows.stop - rows.start) * (columns.stop - columns.start)
    at_once = max(1, min(_POINTS_AT_ONCE, _CELL_STEPS_AT_ONCE // (question.x.shape[0] * cells)))
    begin = time.monotonic()
    with torch.no_grad():
        prediction, baseline_prediction = (float(function.near(*held)[0]) for held in (inputs, baselines))
    seconds = (time.monotonic() - begin) / 2
    problem = Problem(
        function, inputs, baselines, owners(card, names), prediction, baseline_prediction, at_once,
        None if background is None else lambda number: parts(background(number), "baseline_"), seconds,
    )  # fmt: skip
    return Framed(problem, rows, columns, shape)


def _box(place: Place, rows: slice, columns: slice) -> Optional[Region]:
    """Where the place lies in the cut frame; None for gauges that the model predicts."""
    if place.series is not None:
        return None
    top, bottom, left, right = place.box
    return Region(top - rows.start, bottom - rows.start, left - columns.start, right - columns.start)


def parts_of(module: nn.Module, question: Question) -> tuple[str, ...]:
    """What the model reads and can be varied."""
    names = ["x"]
    if question.static is not None and getattr(module, "uses_static", True):
        names.append("static")
    if question.ahead is not None and getattr(module, "uses_ahead", False):
        names.append("ahead")
    return tuple(names)


def owners(card: ModelCard, names: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """For each part the number of the variable of each channel: inputs, the season, static maps, known ahead."""
    dynamic = list(range(len(card.inputs)))
    first = len(dynamic)
    if card.season:
        dynamic += [first] * len(SEASON_CHANNELS)
        first += 1
    static = [
        first + number
        for number, (_, channels) in enumerate(card.static_slices())
        for _ in range(channels.start, channels.stop)
    ]
    first += len(card.static)
    held = {"x": dynamic, "static": static, "ahead": [first + number for number in range(len(card.ahead))]}
    return tuple(tuple(held[name]) for name in names)


def reach(place: Place, halo_px: int, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns that the prediction at the place depends on."""
    if place.series is not None:
        return slice(0, shape[0]), slice(0, shape[1])
    top, bottom, left, right = place.box
    return (
        slice(max(0, top - halo_px), min(shape[0], bottom + halo_px)),
        slice(max(0, left - halo_px), min(shape[1], right + halo_px)),
    )


def background_of(data: WindowData, question: Question, ends: np.ndarray, seed: int) -> Callable[[int], Question]:
    """Windows drawn from those that end at ``ends``, as baselines of ``question``; its missing cells stay the same."""
    order = np.random.default_rng(seed).permutation(ends)

    def window(number: int) -> Question:
        batch = data.batch(order[[number % len(order)]])
        x = batch.x[0] if question.observed is None else np.where(question.observed, batch.x[0], question.x)
        return Question(
            question.x, question.static, question.observed, x, question.static, question.ahead,
            None if batch.ahead is None else batch.ahead[0], question.time_of_year,
        )  # fmt: skip

    return window
