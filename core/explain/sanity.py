"""Two checks that an attribution cannot flatter: the same on a model with randomised weights (Adebayo et al. 2018,
doi:10.48550/arXiv.1810.03292), and the deletion curve (Samek et al. 2017, doi:10.1109/TNNLS.2016.2599820).
"""

from __future__ import annotations

import copy
import csv
import dataclasses
import io
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
import torch
from torch import nn

from .explained import Attribution
from .methods import Method, Problem, Settings, Step
from .methods.base import Parts

_STAGES = 16  # points of the deletion curve
_ORDERS = 4  # random ones
DELETIONS = _STAGES * (1 + _ORDERS)


@dataclass(frozen=True)
class Sanity:
    """``correlation``: rank correlation of contributions with those of a model with randomised weights, over all inputs
    that contribute to one of them, None where one is constant; ``of_sizes`` that of their sizes, which large inputs
    make alike in any model. ``shares`` of the inputs deleted, the prediction then in the order of
    attribution and the mean (and lowest, highest) of random orders, as shares of prediction - baseline prediction; the
    ``area`` between the curves, above 0 where the attributed inputs count more.
    """

    correlation: Optional[float]
    of_sizes: Optional[float]
    shares: np.ndarray
    attributed: np.ndarray
    random: np.ndarray
    area: Optional[float]

    def facts(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "rank_correlation_randomised": self.correlation,
            "rank_correlation_of_sizes_randomised": self.of_sizes,
            "deletion_area": self.area,
        }

    def table(self) -> str:
        """CSV text: share deleted, what is left of the difference in the order of attribution and in random order."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["share_deleted", "attributed_first", "random_mean", "random_low", "random_high"])
        rows = zip(
            self.shares, self.attributed, self.random.mean(axis=0), self.random.min(axis=0), self.random.max(axis=0)
        )
        writer.writerows([repr(float(value)) for value in row] for row in rows)
        return text.getvalue()


def check(problem: Problem, found: Attribution, method: Method, settings: Settings) -> Generator[Step, None, Sanity]:
    """Run the method on the randomised model, then delete; yields as a method does."""
    module = randomised(problem.function.module, settings.seed)
    other = dataclasses.replace(problem, function=problem.function.of(module))
    ends = [float(other.at(parts)[0]) for parts in (other.inputs, other.baselines)]
    other = dataclasses.replace(other, prediction=ends[0], baseline_prediction=ends[1])
    of = 2 * DELETIONS
    work = method.run(other, settings)
    while True:
        try:
            step = next(work)
            yield Step(round(DELETIONS * min(1.0, step.done / max(step.of, 1))), of)
        except StopIteration as end:
            blind = end.value
            break
    own, others = _values(found), _values(blind)
    either = (own != 0) | (others != 0)  # what lies beyond the halo is 0 in any model
    own, others = own[either], others[either]
    correlations = (rank_correlation(own, others), rank_correlation(np.abs(own), np.abs(others)))
    curves = []
    orders = [_order(problem, found), *(_random_order(problem, settings.seed + n) for n in range(_ORDERS))]
    for number, order in enumerate(orders):
        curve = []
        for share in _shares()[1:-1]:
            curve.append(float(problem.at(_deleted(problem, order, share))[0]))
            yield Step(DELETIONS + len(curve) + number * _STAGES, of)
        curves.append([problem.prediction, *curve, problem.baseline_prediction])
    return _sanity(problem, correlations, np.array(curves))


def randomised(module: nn.Module, seed: int) -> nn.Module:
    """A copy whose weights are shuffled within each tensor: nothing that was learned is left, but their sizes are."""
    other = copy.deepcopy(module).eval()
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for value in other.parameters():
            if value.numel() > 1:
                order = torch.randperm(value.numel(), generator=generator).to(value.device)
                value.copy_(value.flatten()[order].reshape(value.shape))
                signs = torch.randint(0, 2, value.shape, generator=generator).to(value.device) * 2 - 1
                value.mul_(signs)  # shuffled weights of one sign would still act as one
    return other.requires_grad_(False)


def rank_correlation(one: np.ndarray, other: np.ndarray) -> Optional[float]:
    """Spearman's, with mean ranks for ties; None where one of them is constant."""
    from scipy.stats import rankdata

    a, b = rankdata(one), rankdata(other)
    if not len(a) or a.std() == 0 or b.std() == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _values(found: Attribution) -> np.ndarray:
    return np.concatenate([part.ravel() for part in found.parts])


def _shares() -> np.ndarray:
    """From nothing to all, finer at the begin, where the most attributed inputs go."""
    return np.concatenate([[0.0], np.geomspace(0.002, 1.0, _STAGES + 1)])


def _order(problem: Problem, found: Attribution) -> list[np.ndarray]:
    """The rank of each element of each part: 0 goes first, the one that most moved the prediction off the baseline."""
    sign = 1.0 if problem.prediction >= problem.baseline_prediction else -1.0
    values = []
    for name, part in zip(problem.names, problem.inputs):
        held = found.heat if found.heat is not None else getattr(found, name)
        shape = tuple(part.shape[1:])
        if found.heat is not None:
            held = held[:, None] if len(shape) == 4 else held.mean(axis=0)[None]
            held = held.mean(axis=0, keepdims=True) if held.ndim == 4 and name == "ahead" else held
        values.append(np.broadcast_to(held, shape).ravel())
    return _ranks(problem, np.concatenate(values) * sign)


def _random_order(problem: Problem, seed: int) -> list[np.ndarray]:
    size = sum(part[0].numel() for part in problem.inputs)
    return _ranks(problem, np.random.default_rng(seed).random(size))


def _ranks(problem: Problem, values: np.ndarray) -> list[np.ndarray]:
    """Only what the baseline changes can be deleted; the others come last and change nothing."""
    moves = np.concatenate([(part != 0).cpu().numpy().ravel() for part in problem.differences])
    order = np.lexsort((-values, ~moves))
    ranks = np.empty(len(values))
    ranks[order] = np.arange(len(values)) / max(int(moves.sum()), 1)
    sizes = np.cumsum([part[0].numel() for part in problem.inputs])[:-1]
    return [
        ranked.reshape(tuple(part.shape[1:])) for ranked, part in zip(np.split(ranks, sizes), problem.inputs)
    ]  # fmt: skip


def _deleted(problem: Problem, order: list[np.ndarray], share: float) -> Parts:
    return tuple(
        torch.where(torch.from_numpy(ranks < share).to(part.device)[None], base, part)
        for ranks, part, base in zip(order, problem.inputs, problem.baselines)
    )


def _sanity(problem: Problem, correlations: tuple[Optional[float], Optional[float]], curves: np.ndarray) -> Sanity:
    difference = problem.prediction - problem.baseline_prediction
    scale = difference if abs(difference) > 1e-12 else 1.0
    left = (curves - problem.baseline_prediction) / scale
    shares = _shares()
    between = left[1:].mean(axis=0) - left[0]
    area = float(((between[1:] + between[:-1]) / 2 * np.diff(shares)).sum())
    return Sanity(*correlations, shares, left[0], left[1:], area if abs(difference) > 1e-12 else None)
