"""Random masks: what the prediction loses where the input around random cells is drawn towards the baseline. They need
no gradients, see all variables and steps at once, and tell cells apart.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..explained import Attribution
from .base import Problem, Settings, Step, Work

_HALF = 0.5  # share of a RISE mask that is kept


def gaussian(problem: Problem, settings: Settings) -> Work:
    """Gaussian perturbation, after the heat maps of Anderson and Radic (2022, doi:10.5194/hess-26-795-2022):
    ``samples`` bumps with a width of ``sigma`` cells at random places; the heat of a cell is the mean loss of the
    bumps, each weighted by its height there.

    Theirs adds the bump to the input and takes the size of the change; this one draws the input towards the baseline by
    the height of the bump and keeps the sign, so that the heat has the target's unit.
    """
    rng = np.random.default_rng(settings.seed)
    rows, columns = np.mgrid[: problem.frame[0], : problem.frame[1]]
    heat, weight = np.zeros(problem.frame), np.zeros(problem.frame)

    def answer(done: int) -> Attribution:
        return problem.heat(
            _over(heat, weight)[None], done, sigma=settings.sigma, seed=settings.seed, samples=done
        )  # fmt: skip

    for start in range(0, settings.samples, problem.at_once):
        count = min(problem.at_once, settings.samples - start)
        bumps = []
        for _ in range(count):
            row, column = rng.uniform(-0.5, problem.frame[0] - 0.5), rng.uniform(-0.5, problem.frame[1] - 0.5)
            bumps.append(np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * settings.sigma**2)))
        lost = problem.prediction - _with(problem, 1.0 - np.stack(bumps))
        for bump, loss in zip(bumps, lost):
            heat += loss * bump
            weight += bump
        done = start + count
        yield Step(done, settings.samples, lambda done=done: answer(done))
    return answer(settings.samples)


def rise(problem: Problem, settings: Settings) -> Work:
    """RISE (Petsiuk et al. 2018, doi:10.48550/arXiv.1806.07421): smooth random masks, cells of ``block`` cells each
    kept or set to the baseline, shifted at random; the heat of a cell is the slope of the prediction over what the
    masks keep of it.

    The paper takes the mean of the prediction times the mask; without its mean over all masks that carries the
    prediction itself into every cell.
    """
    rng = np.random.default_rng(settings.seed)
    sums = {name: np.zeros(problem.frame) for name in ("mask", "square", "product")}
    values: list[float] = []

    def answer(done: int) -> Attribution:
        mean = float(np.mean(values))
        variance = sums["square"] / done - (sums["mask"] / done) ** 2
        slope = _over(sums["product"] / done - mean * sums["mask"] / done, variance)
        return problem.heat(
            slope[None], done, block=settings.block, kept=_HALF, seed=settings.seed, samples=done
        )  # fmt: skip

    for start in range(0, settings.samples, problem.at_once):
        count = min(problem.at_once, settings.samples - start)
        masks = np.stack([random_mask(rng, problem.frame, settings.block) for _ in range(count)])
        found = _with(problem, masks)
        values += found.tolist()
        sums["mask"] += masks.sum(axis=0)
        sums["square"] += (masks**2).sum(axis=0)
        sums["product"] += (found[:, None, None] * masks).sum(axis=0)
        yield Step(start + count, settings.samples, lambda done=start + count: answer(done))
    return answer(settings.samples)


def passes(problem: Problem, settings: Settings) -> tuple[int, int]:
    """(forward, gradient) passes."""
    return settings.samples, 0


def random_mask(rng: np.random.Generator, frame: tuple[int, int], block: int) -> np.ndarray:
    """(H, W) in 0..1: random cells of ``block`` cells, made smooth by bilinear interpolation, shifted at random."""
    coarse = tuple(-(-size // block) + 1 for size in frame)
    kept = torch.from_numpy((rng.random(coarse) < _HALF).astype(np.float64))[None, None]
    size = tuple(cells * block for cells in coarse)
    fine = torch.nn.functional.interpolate(kept, size=size, mode="bilinear", align_corners=False)[0, 0].numpy()
    top, left = (int(rng.integers(0, whole - part + 1)) for whole, part in zip(size, frame))
    return fine[top : top + frame[0], left : left + frame[1]]


def _with(problem: Problem, kept: np.ndarray) -> np.ndarray:
    """Predictions (n,) where the share ``kept`` (n, H, W) of the distance from the baseline is left."""
    shares = torch.from_numpy(kept.astype(np.float32)).to(problem.inputs[0].device)
    parts: list[Tensor] = []
    for base, difference in zip(problem.baselines, problem.differences):
        share = shares[:, None, None] if base.dim() == 5 else shares[:, None]
        parts.append(base + share * difference)
    return problem.at(tuple(parts)).numpy()


def _over(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """The quotient, 0 where nothing was seen."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 1e-12)
