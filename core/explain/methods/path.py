"""Integrated gradients (Sundararajan, Taly and Yan 2017, doi:10.48550/arXiv.1703.01365).

The contribution of an input is its distance from the baseline times the mean gradient along the straight path between
the two. Contributions add up to prediction - baseline prediction (completeness); what is missing is the residual.

The path is cut into pieces, each integrated by captum with two points of Gauss-Legendre. Completeness holds for every
piece, so the piece with the largest residual of its own is where a kink or a steep bend lies: it is halved, again and
again, until the points are spent. Where the whole then still leaves more than 1 %, the path is refined further, up to
:func:`most_points`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import numpy as np

from ..explained import Attribution
from .base import Parts, Problem, Settings, Step, Work

LIMIT = 0.01  # of |prediction - baseline prediction| may stay unexplained
_CANCELLED = 1e-4  # or of the sum of |totals|, where contributions of several variables cancel
_POINTS = 2  # of a piece
_FIRST_PIECES = 4  # 8 points: the first picture
_NOISE = 1e-6  # of the explained difference; a residual below says nothing
_KEPT_BYTES = 256 * 2**20


def most_points(steps: int) -> int:
    """Points beyond which the path is not refined, whatever the residual."""
    return max(256, 8 * steps)


def passes(problem: Problem, settings: Settings) -> tuple[int, int]:
    """(forward, gradient) passes, before any refinement beyond the points asked for."""
    first = _first(settings.steps)
    gradients = first * _POINTS + _splits(settings.steps) * 2 * _POINTS
    return first - 1 + _splits(settings.steps), gradients


def integrate(problem: Problem, settings: Settings) -> Work:
    """See the head of this module."""
    path = _Path(problem)
    count = _first(settings.steps)
    edges = np.linspace(0.0, 1.0, count + 1)
    for number in range(count):
        path.add(float(edges[number]), float(edges[number + 1]))
        whole = number + 1 == count
        yield Step(path.points, settings.steps, path.answer if whole else None)
    most = most_points(settings.steps)
    while path.points + 2 * _POINTS <= (settings.steps if path.settled() else most):
        path.halve()
        yield Step(min(path.points, settings.steps), settings.steps, path.answer)
    return path.answer()


@dataclass(frozen=True)
class _Piece:
    """From ``first`` to ``last`` of the path; ``explained`` is what its gradients make of it, ``parts`` are its mean
    gradients times its length.
    """

    first: float
    last: float
    explained: float
    parts: Optional[list[np.ndarray]]


class _Path:
    """The pieces of a path and what they add up to. ``points`` counts the gradients that were computed."""

    def __init__(self, problem: Problem) -> None:
        from captum.attr import IntegratedGradients

        self._problem = problem
        self._engine = IntegratedGradients(problem.function.near, multiply_by_inputs=False)
        self._slopes = [np.zeros(tuple(part.shape[1:])) for part in problem.inputs]
        self._moves = [part[0].detach().cpu().double().numpy() for part in problem.differences]
        self._values = {0.0: problem.baseline_prediction, 1.0: problem.prediction}
        self._pieces: list[_Piece] = []
        self._bytes = 0
        self.points = 0

    def add(self, first: float, last: float) -> None:
        """Integrate a piece and add it."""
        parts = self._integrated(first, last)
        explained = sum(float((part * move).sum(dtype=np.float64)) for part, move in zip(parts, self._moves))
        size = sum(part.nbytes for part in parts)
        keep = self._bytes + size <= _KEPT_BYTES
        self._bytes += size if keep else 0
        self._pieces.append(_Piece(first, last, explained, parts if keep else None))
        for total, part in zip(self._slopes, parts):
            total += part

    def halve(self) -> None:
        """Replace the piece with the largest residual, of equal ones the longest, by its halves."""
        least = _NOISE * abs(self._problem.prediction - self._problem.baseline_prediction)
        worst = max(self._pieces, key=lambda p: max(abs(self._residual(p)), least) * (1 + 1e-3 * (p.last - p.first)))
        self._pieces.remove(worst)
        parts = worst.parts
        if parts is None:
            parts = self._integrated(worst.first, worst.last)
        else:
            self._bytes -= sum(part.nbytes for part in parts)
        for total, part in zip(self._slopes, parts):
            total -= part
        middle = (worst.first + worst.last) / 2
        self.add(worst.first, middle)
        self.add(middle, worst.last)

    def settled(self) -> bool:
        """Whether the contributions add up."""
        difference = self._problem.prediction - self._problem.baseline_prediction
        totals = self._totals()
        left = difference - float(sum(total.sum() for total in totals))
        by_variable = sum(
            float(np.abs(total.sum(axis=(0, -2, -1) if total.ndim == 4 else (-2, -1))).sum()) for total in totals
        )
        return abs(left) <= max(LIMIT * abs(difference), _CANCELLED * by_variable, 1e-12)

    def answer(self) -> Attribution:
        """What the pieces add up to."""
        slopes = [slope.copy() for slope in self._slopes]
        return self._problem.answer(
            self._totals(), self.points, slopes=slopes, points=self.points, pieces=len(self._pieces)
        )

    def _totals(self) -> list[np.ndarray]:
        return [slope * move for slope, move in zip(self._slopes, self._moves)]

    def _integrated(self, first: float, last: float) -> list[np.ndarray]:
        """Mean gradients along a piece times its share of the path."""
        near, far = self._point(first), self._point(last)
        together = self._problem.at_once if self._problem.at_once < _POINTS else None
        found = self._engine.attribute(
            far, baselines=near, n_steps=_POINTS, method="gausslegendre", internal_batch_size=together
        )
        self.points += _POINTS
        return [(last - first) * part[0].detach().cpu().float().numpy() for part in found]

    def _point(self, share: float) -> Parts:
        problem = self._problem
        return tuple(b + share * (a - b) for a, b in zip(problem.inputs, problem.baselines))

    def _residual(self, piece: _Piece) -> float:
        """What the piece leaves unexplained. Asked for when the path is refined: the first picture need not wait."""
        return self._value(piece.last) - self._value(piece.first) - piece.explained

    def _value(self, share: float) -> float:
        if share not in self._values:
            self._values[share] = float(self._problem.at(self._point(share))[0])
        return self._values[share]


def _first(steps: int) -> int:
    return max(1, min(_FIRST_PIECES, steps // _POINTS))


def _splits(steps: int) -> int:
    return max(0, (steps - _first(steps) * _POINTS) // (2 * _POINTS))
