"""The gradient at the input, its mean over noise (SmoothGrad), and its mean over paths from other days (expected
gradients), each times the distance from the baseline.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ..explained import Attribution
from .base import Parts, Problem, Settings, Step, Work

_LEAST_RANGE = 1e-3  # scaled units: a variable that is constant in the window gets next to no noise


def gradient(problem: Problem, settings: Settings) -> Work:
    """Saliency (Simonyan et al. 2013, doi:10.48550/arXiv.1312.6034) times input - baseline: the tangent's answer."""
    from captum.attr import Saliency

    found = Saliency(problem.function).attribute(varied(problem.inputs), abs=False)
    yield Step(1, 1)
    return problem.answer(
        [(g * d)[0] for g, d in zip(found, problem.differences)], 1, slopes=[g[0] for g in found]
    )  # fmt: skip


def gradient_passes(problem: Problem, settings: Settings) -> tuple[int, int]:
    """(forward, gradient) passes."""
    return 0, 1


def smoothgrad(problem: Problem, settings: Settings) -> Work:
    """SmoothGrad (Smilkov et al. 2017, doi:10.48550/arXiv.1706.03825): the mean gradient over inputs with Gaussian
    noise, whose standard deviation is ``noise`` times the range of each variable in the window.

    captum's tunnel has one width for a whole tensor; here it varies ``v`` in ``input + v width``, where ``width`` is
    the range of each variable. Missing cells get no noise worth the name.
    """
    from captum.attr import NoiseTunnel, Saliency

    widths = tuple(_ranges(part) for part in problem.inputs)

    def around(*moves: Tensor) -> Tensor:
        return problem.function(*(x + v * w for x, v, w in zip(problem.inputs, moves, widths)))

    engine = NoiseTunnel(Saliency(around))
    nothing = varied(tuple(torch.zeros_like(part) for part in problem.inputs))
    totals = [torch.zeros_like(part, dtype=torch.float64, device="cpu") for part in problem.inputs]

    def answer(count: int) -> Attribution:
        slopes = [(t / count).float()[0] / w[0].cpu() for t, w in zip(totals, widths)]
        return problem.answer(
            [slope * d[0].cpu() for slope, d in zip(slopes, problem.differences)], count, slopes=slopes,
            noise=settings.noise, seed=settings.seed, samples=count,
        )  # fmt: skip

    for number in range(settings.samples):
        with seeded(settings.seed, number):
            found = engine.attribute(
                nothing, nt_type="smoothgrad", nt_samples=1, stdevs=float(settings.noise), abs=False
            )
        for total, part in zip(totals, found):
            total += part.detach().cpu()
        yield Step(number + 1, settings.samples, lambda count=number + 1: answer(count))
    return answer(settings.samples)


def sampled_passes(problem: Problem, settings: Settings) -> tuple[int, int]:
    """(forward, gradient) passes of a method with a gradient a sample."""
    return 0, settings.samples


def expected(problem: Problem, settings: Settings) -> Work:
    """Expected gradients (Erion et al. 2021, doi:10.1038/s42256-021-00343-w), captum's GradientShap without noise: the
    baseline is not one window but many of the training period, each with one random point of its path. Contributions
    add up to the prediction less the mean prediction of these windows, the better the more samples.
    """
    from captum.attr import GradientShap

    engine = GradientShap(problem.function, multiply_by_inputs=False)
    totals, slopes = ([np.zeros(tuple(part.shape[1:])) for part in problem.inputs] for _ in range(2))
    starts: list[float] = []

    def answer(count: int) -> Attribution:
        return problem.answer(
            [total / count for total in totals], count, float(np.mean(starts[:count])),
            [slope / count for slope in slopes],
            seed=settings.seed, samples=count, background_spread=float(np.std(starts[:count])),
        )  # fmt: skip

    for number in range(settings.samples):
        window = problem.background(number)
        starts.append(float(problem.at(window)[0]))
        with seeded(settings.seed, number):
            found = engine.attribute(problem.inputs, baselines=window, n_samples=1, stdevs=0.0)
        for total, slope, part, whole, start in zip(totals, slopes, found, problem.inputs, window):
            moved = part[0].detach().cpu().double().numpy()
            slope += moved
            total += moved * (whole - start)[0].cpu().double().numpy()
        yield Step(number + 1, settings.samples, lambda count=number + 1: answer(count))
    return answer(settings.samples)


def expected_passes(problem: Problem, settings: Settings) -> tuple[int, int]:
    """(forward, gradient) passes."""
    return settings.samples, settings.samples


@contextlib.contextmanager
def seeded(seed: int, number: int) -> Iterator[None]:
    """The random numbers of the ``number``-th sample of ``seed``, whatever came before and however many are computed
    at once; the generators of the program go on afterwards as if nothing had been drawn.
    """
    own = (seed * 1_000_003 + number) % 2**32
    before = np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(own)
        np.random.seed(own)  # captum draws its points of a path from numpy's own generator
        try:
            yield
        finally:
            np.random.set_state(before)


def varied(parts: Parts) -> Parts:
    """The same values as tensors that gradients lead to."""
    return tuple(part.detach().requires_grad_() for part in parts)


def _ranges(part: Tensor) -> Tensor:
    """Range of each channel, of the shape of ``part`` (1, T, C, H, W) or (1, S, H, W) for broadcasting."""
    axes = (1, -2, -1) if part.dim() == 5 else (-2, -1)
    return (part.amax(axes, keepdim=True) - part.amin(axes, keepdim=True)).clamp(min=_LEAST_RANGE)
