"""On the example basin the truth is known: a model that routes its rain exactly is attributed to the cells that feed a
gauge, with their travel times as delays. (``scripts/explain_proof.py`` asks the same of a model that has learnt.)
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.data.example_basin import generate_basin
from freshet.core.data.scaling import Scaler
from freshet.core.explain.contributions import Clock, Contribution
from freshet.core.explain.explained import Explained, PlaceMean, Surroundings
from freshet.core.explain.lags import delays
from freshet.core.explain.methods import Problem
from freshet.core.explain.region import influence, top_share
from freshet.core.explain.sanity import rank_correlation
from freshet.core.models.base import ForecastModel

from .linear import run
from .world import make_card, values

WINDOW = 8


class Routing(ForecastModel):
    """Discharge of one gauge: the rain of each cell arrives after its travel time, and overflows a threshold."""

    def __init__(self, travel: np.ndarray) -> None:
        super().__init__(1, 1, gauges=1)
        lags = np.arange(WINDOW - 1, -1, -1)[:, None, None]
        arrives = np.clip(1.0 - np.abs(lags - np.nan_to_num(travel, nan=-9.0)), 0.0, None)
        self.arrives = torch.from_numpy(arrives.astype(np.float32))

    def forward(self, x, static=None, observed=None, last_steps=1, warm_up=0):
        flow = torch.einsum("nthw,thw->n", x[:, :, 0], self.arrives)
        return {"y_hat": torch.nn.functional.softplus(flow / 20.0 - 3.0)[:, None, None, None]}


@pytest.fixture(scope="module")
def basin():
    return generate_basin(seed=1, days=400)


@pytest.mark.parametrize("gauge", [1, 2, 3])
@pytest.mark.parametrize("method", ["integrated-gradients", "gradient", "smoothgrad"])
def test_top_cells_lie_upstream_and_delays_rank_as_travel_times_do(basin, gauge, method):
    area, travel = basin.contributing[gauge], basin.gauge_travel_time_days[gauge]
    end = WINDOW + int(np.argmax(basin.gauge_discharge_m3s[WINDOW:, gauge]))
    rain = torch.from_numpy(basin.precipitation_mm[end - WINDOW + 1 : end + 1].astype(np.float32))[None, :, None]
    function = Explained(Routing(travel), PlaceMean(np.ones((1, 1)), Scaler("none")), ("x",), Surroundings())
    dry = torch.zeros_like(rain)
    ends = [float(function(x)[0]) for x in (rain, dry)]
    problem = Problem(function, (rain,), (dry,), ((0,),), *ends, at_once=2)
    answer, _ = run(method, problem, steps=16, samples=8)
    rows = [Contribution("rain", "Rain", "Rain", answer.x[:, 0], False, slopes=answer.slopes["x"][:, 0])]
    sizes = influence(rows)
    count = int(0.2 * basin.basin_mask.sum())
    top = np.argsort(-np.where(basin.basin_mask, sizes, -1.0), axis=None)[:count]
    chance = area[basin.basin_mask].mean()
    ratio = area.ravel()[top].mean() / chance
    assert ratio >= min(2.0, 0.95 / chance)  # the area of the first branch is more than half of the basin
    assert not top_share(sizes, 1.0)[~area].any()
    clock = Clock(list(range(WINDOW - 1, -1, -1)), [""] * WINDOW, [], [])
    found = delays(rows, clock, make_card(values()))
    seen = np.isfinite(found.middle) & area
    assert seen.sum() > 0.5 * area.sum()
    for delay in (found.middle, found.peak):
        assert rank_correlation(delay[seen], travel[seen]) > 0.9
