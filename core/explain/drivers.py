"""The dominant driver: cell by cell the variable that moved the prediction of a date most, and its margin.

Contributions of a variable hold all its cells and steps together. By integrated gradients they are

.. math:: C_v(i) = \\int_0^1 D_v f_i(x' + \\alpha (x - x')) d\\alpha

with ``D_v`` the derivative of cell i along the distance of variable v from the baseline x': one tangent a variable and
point of the path serves all cells. They add up to prediction - baseline prediction in every cell.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np
import torch
from torch import Tensor

from ..contracts import DriversJob
from ..contracts.events import Event
from ..contracts.question_checks import check_baseline, check_drivers
from ..contracts.run_folder import RunFolder
from ..inference.artifacts import message, progress
from .asking import Subject, Window, cost_event, labels_of, subject_of, training_steps, window_of
from .baselines import build_question
from .dates import find_end
from .memory import peak_bytes
from .place import place_of_polygon
from .session import Session
from .tangents import CellValues, Tangents, nodes

_WARN_SHARE = 0.05
_TANGENT_COST = 1.2  # passes that each of several tangents costs beyond the one that they share: 0.8 to 2.1
_CELL_STEPS_AT_ONCE = 500_000  # cells x steps x variables whose states are held at once


@dataclass(frozen=True)
class Drivers:
    """Contributions float64 (V, H, W) of ``names`` in the target's unit, NaN outside ``cells`` bool (H, W); predictions
    with the input and with the baseline (H, W). ``attributed`` are the variables that the baseline changes.
    """

    names: tuple[str, ...]
    contributions: np.ndarray
    prediction: np.ndarray
    baseline_prediction: np.ndarray
    cells: np.ndarray
    exact: bool = True

    @property
    def driver(self) -> np.ndarray:
        """int (H, W): 1, 2 ... the place of the variable with the largest |contribution|; 0 where there is none."""
        sizes = np.nan_to_num(np.abs(self.contributions))
        return np.where(sizes.max(axis=0) > 0, 1 + sizes.argmax(axis=0), 0)

    @property
    def margin(self) -> np.ndarray:
        """float64 (H, W): |first| - |second| as a share of the sum over all variables, 0 to 1; NaN where there is no
        driver.
        """
        sizes = np.sort(np.nan_to_num(np.abs(self.contributions)), axis=0)
        total = sizes.sum(axis=0)
        second = sizes[-2] if len(sizes) > 1 else np.zeros_like(total)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.cells & (total > 0), (sizes[-1] - second) / total, np.nan)

    @property
    def residual(self) -> np.ndarray:
        """float64 (H, W): what the contributions leave unexplained, in the target's unit."""
        return self.prediction - self.baseline_prediction - self.contributions.sum(axis=0)


def drivers(job: DriversJob, run: RunFolder, session: Optional[Session] = None) -> Iterator[Event]:
    """``driver.tif`` (a class a variable), ``margin.tif``, ``contribution_<variable>.tif``, ``drivers.csv``, ``.json``,
    ``.png``, ``.svg`` and ``report.html``. With ``cost_only`` nothing but a message.

    A ``session`` keeps model and dataset loaded from one question to the next.

    Raises :class:`ModelFileError` for a model of gauges, or one without gradients where the method needs them, and the
    :class:`FreshetError` family where date or polygon do not fit.
    """
    from .drivers_files import write

    yield progress(0.0, "Reading the model and the dataset")
    with subject_of(job, run, session) as subject:
        check_drivers(subject.card, job.method)
        check_baseline(job.baseline, subject.card)
        end = find_end(subject.data.times, subject.data.step_seconds, subject.card, job.date, subject.lead)
        cells = subject.data.mask
        if job.polygon:
            cells = place_of_polygon(subject.data.grid, cells, job.polygon).weights > 0
        question = build_question(job.baseline, subject.card, subject.data, end, training_steps(subject))
        rows, columns = np.nonzero(cells)
        box = (int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1)
        window = window_of(subject, question, box)
        found = yield from measure(subject, window, cells, job.method, job.steps, job.cost_only)
        if found is None:
            return
        yield from _judge(found, job, subject)
        yield from write(subject, found, end, job, run)


def measure(
    subject: Subject, window: Window, cells: np.ndarray, method: str, steps: int, cost_only: bool = False
) -> Generator[Event, None, Optional[Drivers]]:
    """The contributions of every variable at all ``cells`` bool (H, W). Tells the cost first, from the time of a pass;
    None after that with ``cost_only``.
    """
    reduce = CellValues(cells[window.rows, window.columns], subject.scaler, subject.lead, subject.target)
    tangents = Tangents(subject.module, reduce, window.names, window.around)
    names = _names(window)
    first: list[Tensor] = []
    held = peak_bytes(lambda: first.append(tangents.value(window.inputs)))
    prediction = first[0]
    begin = time.monotonic()
    baseline_prediction = tangents.value(window.baselines)
    passes, pieces = _passes(method, steps, len(names))
    seconds = (time.monotonic() - begin) * passes
    moved = [number for number, name in enumerate(names) if _moves(_direction(window, name))]
    groups = _groups(moved, window.inputs[0][0, :, 0].numel(), method)
    points = f" at {steps} points" if method == "integrated-gradients" else ""
    # A tangent is as large as what it is the tangent of, and all of a group are held at once.
    shared = 1 + max(map(len, groups), default=0) if method != "occlusion" else 1
    yield cost_event(f"{int(cells.sum())} cells, {len(names)} variables{points}", seconds, held * shared)
    if cost_only:
        return None
    found, done = np.zeros((len(names), int(cells.sum()))), 0
    for place, weight in _path(method, steps):
        point = [b + place * (a - b) for a, b in zip(window.inputs, window.baselines)]
        for group in groups:
            directions = [_direction(window, names[number]) for number in group]
            if method == "occlusion":
                without = [a - d for a, d in zip(window.inputs, directions[0])]
                parts: Tensor = (prediction - tangents.value(without))[None]
            else:
                parts = tangents.along_all(point, directions)
            found[group] += weight * parts.cpu().numpy()
            done += len(group)
            share = done / max(1, pieces * len(moved) // len(names))
            yield progress(0.05 + 0.85 * min(1.0, share), f"{done} parts of {len(moved)} variables")
    return _spread_out(subject, names, found, prediction, baseline_prediction, cells, tangents.exact)


def _groups(moved: Sequence[int], size: int, method: str) -> list[Sequence[int]]:
    """The variables whose derivatives are computed together, by the cells x steps of the window."""
    together = max(1, _CELL_STEPS_AT_ONCE // size) if method != "occlusion" else 1
    return [moved[start : start + together] for start in range(0, len(moved), together)]


def _names(window: Window) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for owners in window.owners for name in owners))


def _direction(window: Window, name: str) -> list[Tensor]:
    """Input less baseline in the channels of one variable, 0 elsewhere."""
    parts = []
    for part, base, owners in zip(window.inputs, window.baselines, window.owners):
        own = torch.tensor([owner == name for owner in owners], dtype=part.dtype, device=part.device)
        parts.append((part - base) * own[:, None, None])
    return parts


def _moves(direction: Sequence[Tensor]) -> bool:
    """False where the baseline leaves a variable as it is."""
    return any(bool(part.any()) for part in direction)


def _path(method: str, steps: int) -> list[tuple[float, float]]:
    return nodes(steps) if method == "integrated-gradients" else [(1.0, 1.0)]


def _passes(method: str, steps: int, variables: int) -> tuple[float, int]:
    """Passes of the model that a method costs, and its pieces."""
    pieces = variables * (steps if method == "integrated-gradients" else 1)
    return float(pieces) if method == "occlusion" else pieces * (_TANGENT_COST + 1 / variables), pieces


def _spread_out(
    subject: Subject, names: tuple[str, ...], found: np.ndarray, prediction: Tensor, baseline: Tensor,
    cells: np.ndarray, exact: bool,
) -> Drivers:  # fmt: skip
    maps = np.full((len(names) + 2, *cells.shape), np.nan)
    maps[:, cells] = np.concatenate([found, prediction.cpu().numpy()[None], baseline.cpu().numpy()[None]])
    return Drivers(names, maps[:-2], maps[-2], maps[-1], cells, exact)


def residual_shares(found: Drivers) -> np.ndarray:
    """|residual| of each cell over the larger of |prediction - baseline prediction| and the sum of |contributions|."""
    explained = np.abs(found.prediction - found.baseline_prediction)[found.cells]
    explained = np.maximum(explained, np.abs(found.contributions).sum(axis=0)[found.cells])
    left = np.abs(found.residual)[found.cells]
    return np.divide(left, explained, out=np.zeros_like(left), where=explained > 0)


def _judge(found: Drivers, job: DriversJob, subject: Subject) -> Iterator[Event]:
    counts = driver_counts(found)
    labels, total = labels_of(subject.card), sum(counts.values())
    words = (
        [f"{labels[name]} in {100 * count / total:.0f} %" for name, count in counts.items() if count] if total else []
    )
    yield message(f"Drivers of {int(found.cells.sum())} cells: {', '.join(words) or 'none'}.")
    if not found.exact:
        yield message("A layer of this model has no tangent; differences in double precision took its place.")
    high = float(np.quantile(residual_shares(found), 0.95))
    if job.method == "integrated-gradients" and high > _WARN_SHARE:
        yield message(
            f"In one of twenty cells more than {100 * high:.0f} % stays unexplained. Raise the steps, now {job.steps}.",
            "warning",
        )


def driver_counts(found: Drivers) -> dict[str, int]:
    """Cells that each variable dominates, the most first."""
    classes = found.driver[found.cells]
    counts = {name: int((classes == number).sum()) for number, name in enumerate(found.names, start=1)}
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def mean_sizes(found: Drivers, names: Sequence[str]) -> dict[str, float]:
    """Mean |contribution| of each variable over the cells, in the target's unit."""
    sizes = np.abs(found.contributions)[:, found.cells].mean(axis=1)
    return dict(zip(names, (float(size) for size in sizes)))
