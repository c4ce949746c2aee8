"""EXP-HYDRO: its equations by loops, the water balance over a decade, gradients against finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from freshet.core.contracts.errors import ConfigError
from freshet.core.models import build_model
from freshet.core.models.exp_hydro import PARAMETERS

EXAMPLE = {"f": 0.07, "s_max": 200.0, "q_max": 20.0, "ddf": 2.0, "t_min": -1.0, "t_max": 1.0}


def with_parameters(model, values):
    """The model in double precision with these six parameters; infinity within the transform where at the edge."""
    low, high, _ = torch.tensor(list(PARAMETERS.values()), dtype=torch.float64).unbind(1)
    share = (torch.tensor([values[name] for name in PARAMETERS], dtype=torch.float64) - low) / (high - low)
    model = model.double()
    model.raw.data = torch.logit(share)
    return model


def weather(days: int, seed: int = 0, places: int = 1) -> torch.Tensor:
    """(1, days, 3, places, 1): rain, potential evaporation, temperature with a cold season."""
    rng = np.random.default_rng(seed)
    rain = rng.gamma(0.4, 8.0, (days, places))
    warmth = 6.0 - 12.0 * np.cos(2 * np.pi * np.arange(days) / 365.0)[:, None] + rng.normal(0.0, 3.0, (days, places))
    potential = np.clip(0.15 * warmth + 1.0, 0.0, None)
    return torch.from_numpy(np.stack([rain, potential, warmth], axis=1))[None, ..., None]


def above(x: float, smooth: bool) -> float:
    return 1.0 / (1.0 + math.exp(-10.0 * x)) if smooth else float(x > 0.0)


def ramp(x: float, smooth: bool) -> float:
    return (max(10.0 * x, 0.0) + math.log1p(math.exp(-abs(10.0 * x)))) / 10.0 if smooth else max(x, 0.0)


def slopes(state, day, p, smooth):
    """Right-hand side of the five equations: snow, soil, melted, evaporated, run off."""
    snow, soil = max(state[0], 0.0), max(state[1], 0.0)
    rain, potential, warmth = day
    falls_as_snow = rain * above(p["t_min"] - warmth, smooth)
    melt = min(snow, p["ddf"] * ramp(warmth - p["t_max"], smooth))
    over = ramp(soil - p["s_max"], smooth)
    evaporation = potential * (soil - over) / p["s_max"]
    runoff = p["q_max"] * math.exp(-p["f"] * (p["s_max"] - soil + over)) + over
    change = rain - falls_as_snow + melt - evaporation - runoff
    return np.array([falls_as_snow - melt, change, melt, evaporation, runoff])


def by_loops(days, p, smooth, count, start):
    """Runoff of each day and the last state, where no bucket runs dry."""
    state, h, runoffs = np.array([0.0, start * p["s_max"], 0.0, 0.0, 0.0]), 1.0 / count, []
    for day in days:
        before = state[4]
        for _ in range(count):
            k1 = slopes(state, day, p, smooth)
            k2 = slopes(state + 0.5 * h * k1, day, p, smooth)
            k3 = slopes(state + 0.5 * h * k2, day, p, smooth)
            k4 = slopes(state + h * k3, day, p, smooth)
            state = state + h * (k1 + 2.0 * k2 + 2.0 * k3 + k4) / 6.0
        runoffs.append(state[4] - before)
    return np.array(runoffs), state


@pytest.mark.parametrize("thresholds", ["smooth", "sharp"])
def test_it_equals_its_equations_written_as_loops(thresholds):
    options = {"thresholds": thresholds, "substeps": 3, "soil_start": 0.3}
    model, x = with_parameters(build_model("exp-hydro", 3, 1, **options), EXAMPLE), weather(400, places=2)
    result = model(x, last_steps=400)
    for place in range(2):
        runoffs, state = by_loops(x[0, :, :, place, 0].numpy(), EXAMPLE, thresholds == "smooth", 3, 0.3)
        found = result["y_hat_steps"][0, :, 0, 0, place, 0].detach().numpy()
        np.testing.assert_allclose(found, runoffs, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(result["storage"][0, :, place, 0].detach().numpy(), state[:2], rtol=1e-9, atol=1e-12)
        evaporated = result["totals"][0, 1, place, 0].item()
        np.testing.assert_allclose(evaporated, state[3], rtol=1e-9)
    assert state[2] > 10.0  # some snow came and went


def test_it_approaches_the_solution_of_the_differential_equations():
    from scipy.integrate import solve_ivp

    days = weather(60)[0, :, :, 0, 0].numpy()
    state, runoffs = np.array([0.0, 100.0, 0.0, 0.0, 0.0]), []
    for day in days:
        span = solve_ivp(lambda _, s, d=day: slopes(s, d, EXAMPLE, True), (0.0, 1.0), state, rtol=1e-9, atol=1e-9)
        runoffs.append(span.y[4, -1] - state[4])
        state = span.y[:, -1]
    for count, limit in ((4, 0.02), (32, 2e-4)):
        model = with_parameters(build_model("exp-hydro", 3, 1, substeps=count), EXAMPLE)
        found = model(weather(60), last_steps=60)["y_hat_steps"][0, :, 0, 0, 0, 0].detach().numpy()
        assert np.abs(found - runoffs).max() < limit


CORNERS = [[high if bit >> k & 1 else low for k, (low, high, _) in enumerate(PARAMETERS.values())] for bit in range(64)]


@pytest.mark.parametrize("thresholds", ["smooth", "sharp"])
@pytest.mark.parametrize("substeps", [1, 4])
def test_the_balance_closes_over_a_decade_for_the_corners_of_the_parameters(thresholds, substeps):
    """All 64 corners at once, as places whose static maps choose the parameters."""
    model = build_model("exp-hydro", 3, 1, static_channels=6, thresholds=thresholds, substeps=substeps).double()
    model.raw.data.zero_()
    model.regional.weight.data.copy_(torch.eye(6))
    low, high, _ = torch.tensor(list(PARAMETERS.values()), dtype=torch.float64).unbind(1)
    sides = torch.sign(torch.tensor(CORNERS, dtype=torch.float64) - (low + high) / 2)
    static = (60.0 * sides).t()[None, :, :, None]
    x = weather(3650, seed=3).expand(-1, -1, -1, 64, -1).clone()
    x[:, ::500, 0] = 400.0  # a deluge
    x[:, 7::500, 1] = 300.0  # more evaporation than there is water
    with torch.no_grad():
        result = model(x, static)
    came = result["totals"][0, 0] + result["initial"][0, 0]
    went = result["totals"][0, 1:].sum(dim=0) + result["storage"][0].sum(dim=0)
    assert float(((went - came) / result["totals"][0, 0]).abs().max()) < 1e-10
    assert float(result["storage"].min()) >= 0.0 and torch.isfinite(result["y_hat"]).all()
    last = result["inflow"][0, 0] + result["storage_before"][0].sum(dim=0)
    after = result["storage"][0].sum(dim=0) + result["evaporation"][0, 0] + result["runoff"][0, 0]
    torch.testing.assert_close(after, last, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("spread", [0.0, 1.0, 20.0])
def test_the_balance_closes_over_a_decade_to_a_millionth_in_single_precision(spread):
    torch.manual_seed(int(spread))
    model = build_model("exp-hydro", 3, 1)
    torch.nn.init.normal_(model.raw, std=spread)
    x = weather(3650, seed=4).float()
    with torch.no_grad():
        result = {key: value.double() for key, value in model(x).items()}
    rain = x[:, :, 0].double().sum()
    went = result["totals"][0, 1:].sum() + result["storage"].sum() - result["initial"].sum()
    assert abs(float((went - rain) / rain)) < 1e-6


@pytest.mark.parametrize("thresholds", ["smooth", "sharp"])
def test_gradients_equal_finite_differences(thresholds):
    model = build_model("exp-hydro", 3, 1, thresholds=thresholds, substeps=2)
    model, x = with_parameters(model, EXAMPLE), weather(500, seed=1)

    def total():
        return model(x, last_steps=300)["y_hat_steps"].square().sum()

    total().backward()
    exact, step = model.raw.grad.clone(), 1e-6
    for k, name in enumerate(PARAMETERS):
        with torch.no_grad():
            model.raw[k] += step
            more = total()
            model.raw[k] -= 2 * step
            less = total()
            model.raw[k] += step
        if thresholds == "smooth" or name != "t_min":
            assert abs(exact[k]) > 1e-4
        assert exact[k].item() == pytest.approx(((more - less) / (2 * step)).item(), rel=1e-4, abs=1e-5), name


def test_gradients_of_the_weather_equal_finite_differences():
    model = with_parameters(build_model("exp-hydro", 3, 1), EXAMPLE)
    x = weather(8, seed=2)
    x[:, :, :2] += 0.5  # off the kink at 0
    x = x.requires_grad_()
    assert torch.autograd.gradcheck(lambda values: model(values)["y_hat"], (x,), atol=1e-6)


def test_it_finds_parameters_that_made_the_runoff():
    torch.manual_seed(0)
    truth = {**EXAMPLE, "f": 0.03, "s_max": 300.0, "ddf": 3.0}
    options = {"substeps": 1, "soil_start": 0.8}
    x = weather(200, seed=5, places=2).float()
    with torch.no_grad():
        wanted = with_parameters(build_model("exp-hydro", 3, 1, **options), truth).float()(x, last_steps=150)
    wanted = wanted["y_hat_steps"]
    model = build_model("exp-hydro", 3, 1, **options)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.15)
    losses = []
    for _ in range(30):
        loss = (model(x, last_steps=150)["y_hat_steps"] - wanted).square().mean() / wanted.var()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0] and losses[-1] < 0.02


def test_the_places_of_the_inputs_and_of_a_missing_forcing():
    options = {"soil_start": 0.9}
    x = weather(30).float()
    mixed = torch.cat((torch.randn_like(x[:, :, :1]), x[:, :, [2, 0, 1]]), dim=2)
    plain = with_parameters(build_model("exp-hydro", 3, 1, **options), EXAMPLE).float()(x)["y_hat"]
    places = {"temperature_channel": 1, "mass_channel": 2, "pet_channel": 3}
    other = with_parameters(build_model("exp-hydro", 4, 1, **options, **places), EXAMPLE).float()
    torch.testing.assert_close(other(mixed)["y_hat"], plain)
    x[:, :, :2] = -x[:, :, :2]
    dry = with_parameters(build_model("exp-hydro", 3, 1), EXAMPLE).float()(x)
    assert not dry["inflow"].any() and not dry["evaporation"].any()


def test_an_hourly_step_gives_the_water_of_a_day():
    """24 equal hours are a day: rates are by day, amounts by step."""
    x = weather(20)
    day = with_parameters(build_model("exp-hydro", 3, 1, substeps=24), EXAMPLE)
    hour = with_parameters(build_model("exp-hydro", 3, 1, substeps=1, step_days=1 / 24), EXAMPLE)
    hours = x.repeat_interleave(24, dim=1)
    hours[:, :, :2] /= 24.0
    found = hour(hours, last_steps=480)["y_hat_steps"].unflatten(1, (20, 24)).sum(dim=2)
    torch.testing.assert_close(found, day(x, last_steps=20)["y_hat_steps"], rtol=1e-9, atol=1e-9)


def test_a_monthly_step_closes_and_stays_near_the_days():
    days = weather(360)
    months = days.unflatten(1, (12, 30)).mean(dim=2)
    even = months.repeat_interleave(30, dim=1)
    months[:, :, :2] *= 30.0
    options = {"soil_start": 0.9}
    slow = with_parameters(build_model("exp-hydro", 3, 1, step_days=30.0, **options), EXAMPLE)
    fast = with_parameters(build_model("exp-hydro", 3, 1, **options), EXAMPLE)
    found = slow(months, last_steps=12)["y_hat_steps"]
    expected = fast(even, last_steps=360)["y_hat_steps"].unflatten(1, (12, 30)).sum(dim=2)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_it_reads_other_water_where_asked():
    x = weather(40)
    models = {key: with_parameters(build_model("exp-hydro", 3, 1, reads=key), EXAMPLE) for key in
              ("runoff", "evaporation", "storage")}  # fmt: skip
    found = {key: model(x) for key, model in models.items()}
    torch.testing.assert_close(found["runoff"]["y_hat"][:, 0], found["runoff"]["runoff"])
    torch.testing.assert_close(found["evaporation"]["y_hat"][:, 0], found["runoff"]["evaporation"])
    torch.testing.assert_close(found["storage"]["y_hat"][:, 0, 0], found["runoff"]["storage"].sum(dim=1))


def test_six_parameters_and_what_is_refused():
    assert sum(value.numel() for value in build_model("exp-hydro", 3, 1).parameters()) == 6
    with pytest.raises(ConfigError, match="three different places among 2 inputs"):
        build_model("exp-hydro", 2, 1)
    with pytest.raises(ConfigError, match="three different places"):
        build_model("exp-hydro", 3, 1, mass_channel=1)
    with pytest.raises(ConfigError, match="one target"):
        build_model("exp-hydro", 3, 2)
    with pytest.raises(ConfigError, match="one lead"):
        build_model("exp-hydro", 3, 1, leads=2)
    with pytest.raises(ConfigError, match="substeps"):
        build_model("exp-hydro", 3, 1, substeps=0)
