"""Shapley values of variables (Shapley 1953; sampling: Castro et al. 2009, doi:10.1016/j.cor.2008.04.004), by captum:
what a variable adds to the prediction, averaged over random orders in which the variables come in. They add up to
prediction - baseline prediction in every order.
"""

from __future__ import annotations

import numpy as np
import torch

from ..explained import Attribution
from .base import Parts, Problem, Settings, Step, Work
from .gradients import seeded


def sampled(problem: Problem, settings: Settings) -> Work:
    """``samples`` orders; neither steps nor cells are told apart. One order is a piece of the work.

    captum sees the variables as switches, one number each: its masks of features would be walked through element by
    element of every map.
    """
    from captum.attr import ShapleyValueSampling

    numbers = _numbered(problem)
    count = 1 + max(max(owners) for owners in numbers)
    engine = ShapleyValueSampling(lambda switches: problem.function(*_switched(problem, numbers, switches)))
    device = problem.inputs[0].device
    switches, total, squares = torch.ones(1, count, device=device), np.zeros(count), np.zeros(count)

    def answer(done: int) -> Attribution:
        mean = total / done
        spread = np.sqrt(np.maximum(squares / done - mean**2, 0.0) / max(done - 1, 1))
        return problem.answer(
            [_first_channels(part, owners, mean) for part, owners in zip(problem.inputs, numbers)], done * (count + 1),
            seed=settings.seed, samples=done, standard_error=[float(value) for value in spread],
        )  # fmt: skip

    for number in range(settings.samples):
        with seeded(settings.seed, number), torch.no_grad():
            found = engine.attribute(switches, n_samples=1, perturbations_per_eval=problem.at_once)
        values = found[0].double().cpu().numpy()
        total += values
        squares += values**2
        yield Step(number + 1, settings.samples, lambda done=number + 1: answer(done))
    return answer(settings.samples)


def passes(problem: Problem, settings: Settings) -> tuple[int, int]:
    """(forward, gradient) passes."""
    return settings.samples * (1 + len({owner for owners in problem.owners for owner in owners})), 0


def _numbered(problem: Problem) -> list[tuple[int, ...]]:
    """``owners`` with numbers from 0 without a gap."""
    known = {owner: number for number, owner in enumerate(dict.fromkeys(o for own in problem.owners for o in own))}
    return [tuple(known[owner] for owner in owners) for owners in problem.owners]


def _switched(problem: Problem, numbers: list[tuple[int, ...]], switches: torch.Tensor) -> Parts:
    """Inputs of N points; a variable whose switch (N, variables) is 0 stands at its baseline."""
    parts = []
    for base, difference, owners in zip(problem.baselines, problem.differences, numbers):
        kept = switches[:, list(owners)]
        kept = kept[:, None, :, None, None] if base.dim() == 5 else kept[:, :, None, None]
        parts.append(base + kept * difference)
    return tuple(parts)


def _first_channels(part: torch.Tensor, owners: tuple[int, ...], values: np.ndarray) -> np.ndarray:
    """(1, C, 1, 1) or (S, 1, 1): a variable's value at its first channel."""
    found = np.zeros(len(owners))
    for owner in dict.fromkeys(owners):
        found[owners.index(owner)] = values[owner]
    return found[None, :, None, None] if part.dim() == 5 else found[:, None, None]
