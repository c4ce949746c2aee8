"""A model that is linear in every input, whose attributions are known, and problems made of it."""

from __future__ import annotations

import numpy as np
import torch

from freshet.core.data.scaling import Scaler
from freshet.core.explain.explained import Explained, PlaceMean, Surroundings
from freshet.core.explain.methods import METHODS, Problem, Settings
from freshet.core.models.base import ForecastModel

T, C, S, L, A, H, W = 5, 3, 2, 2, 1, 7, 8
OWNERS = ((0, 1, 1), (2, 3), (4,))  # channels 1 and 2 are one variable, as the season's two are
SCALER = Scaler("standard", shift=0.4, width=2.5)
PLACE = ((2, 3), (4, 6))


class Linear(ForecastModel):
    """y = a number a cell and lead that is linear in every input, also in those of the cell to the east."""

    uses_static = True
    uses_ahead = True

    def __init__(self) -> None:
        super().__init__(C, 1, S, L, ahead_channels=A)
        generator = torch.Generator().manual_seed(1)
        self.here = torch.nn.Parameter(torch.randn(L, T, C, generator=generator))
        self.east = torch.nn.Parameter(torch.randn(L, T, C, generator=generator))
        self.fixed = torch.nn.Parameter(torch.randn(L, S, generator=generator))
        self.later = torch.nn.Parameter(torch.randn(L, L, A, generator=generator))

    def forward(self, x, static=None, observed=None, last_steps=1, warm_up=0, ahead=None):
        y = torch.einsum("ntchw,ltc->nlhw", x, self.here)
        y = y + torch.einsum("ntchw,ltc->nlhw", torch.roll(x, -1, dims=-1), self.east)
        y = y + torch.einsum("nshw,ls->nlhw", static, self.fixed)
        return {"y_hat": (y + torch.einsum("nmahw,lma->nlhw", ahead, self.later))[:, :, None]}


def weights_of(*cells) -> np.ndarray:
    weights = np.zeros((H, W))
    for row, column in cells:
        weights[row, column] = 1 / len(cells)
    return weights


def inputs(seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    shapes = ((1, T, C, H, W), (1, S, H, W), (1, L, A, H, W))
    return tuple(torch.randn(shape, generator=generator) for shape in shapes)


def make_problem(module=None, parts=None, baselines=None, *, lead: int = 1, at_once: int = 2, place=PLACE, **more):
    module, parts = module or Linear(), parts or inputs()
    baselines = tuple(torch.full_like(part, 0.3) for part in parts) if baselines is None else baselines
    names = ("x", "static", "ahead")[: len(parts)]
    function = Explained(module.eval(), PlaceMean(weights_of(*place), SCALER, lead), names, Surroundings())
    with torch.no_grad():
        ends = [float(function(*held)[0]) for held in (parts, baselines)]
    return Problem(function, parts, baselines, OWNERS[: len(parts)], *ends, at_once=at_once, **more)


def truth(problem: Problem, lead: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Contribution of every element: weight times distance from the baseline, in the target's unit."""
    module = problem.function.module
    moved = [difference[0].double().numpy() for difference in problem.differences]
    slope = weights_of(*PLACE) * SCALER.width
    east = np.roll(slope, 1, axis=-1)
    here, near = (getattr(module, name)[lead].detach().double().numpy()[..., None, None] for name in ("here", "east"))
    x = moved[0] * (here * slope + near * east)
    static = moved[1] * module.fixed[lead].detach().double().numpy()[:, None, None] * slope
    ahead = moved[2] * module.later[lead].detach().double().numpy()[..., None, None] * slope
    return x, static, ahead


def run(name: str, problem: Problem, **settings):
    """The answer of a method, and its steps."""
    steps, work = [], METHODS[name].run(problem, Settings(**settings))
    while True:
        try:
            steps.append(next(work))
        except StopIteration as end:
            return end.value, steps
