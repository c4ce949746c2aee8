"""The mass-conserving ConvLSTM: its equations by loops, and the water balance for any weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from freshet.core.contracts.errors import ConfigError
from freshet.core.models import build_model

PLACES = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
FLUXES = ("evaporation", "runoff", "lateral_in", "lateral_out", "boundary")


def make(storages: int = 3, static: int = 1, **options):
    torch.manual_seed(0)
    return build_model("mc-convlstm", 3, 1, static_channels=static, storages=storages, hidden=5, **options).double()


def sample(batch: int = 2, window: int = 6, height: int = 5, width: int = 7, rain: float = 10.0) -> tuple:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, window, 3, height, width, generator=generator, dtype=torch.float64)
    x[:, :, 0] = torch.rand(x[:, :, 0].shape, generator=generator, dtype=torch.float64) * rain
    static = torch.randn(batch, 1, height, width, generator=generator, dtype=torch.float64)
    mask = (torch.rand(1, 1, height, width, generator=generator) > 0.3).double()
    return x, static, mask


def by_loops(model, x: np.ndarray, static: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    """One window (T, C, H, W) by the equations, cell by cell, in plain Python."""
    weights = {name: value.detach().numpy() for name, value in model.named_parameters()}
    count, (steps, _, height, width) = model.storages, x.shape
    storage = np.exp(weights["start"])[:, None, None] * mask * np.ones((1, height, width))
    flux, hidden = {}, np.zeros((len(weights["steering.bias"]), height, width))
    for t in range(steps):
        rain = np.maximum(x[t, 0], 0.0) * mask
        seen = np.concatenate([np.log1p(rain)[None], x[t, 1:], static]) * mask
        padded = np.pad(seen, ((0, 0), (1, 1), (1, 1)))
        flux = {name: np.zeros((height, width)) for name in FLUXES}
        new, arrived, arrival = np.zeros_like(storage), np.zeros((height, width)), {}
        for row in range(height):
            for column in range(width):
                patch = padded[:, row : row + 3, column : column + 3]
                steer = (weights["steering.weight"] * patch).sum(axis=(1, 2, 3)) + weights["steering.bias"]
                steer = steer + weights["wetness.weight"] @ np.log1p(storage[:, row, column])
                steer = hidden[:, row, column] = np.maximum(steer, 0.0)
                logits = weights["logits.weight"] @ steer + weights["logits.bias"]
                inflow, arrival[row, column] = softmax(logits[:count]), softmax(logits[count : 2 * count])
                fates, where = logits[2 * count : 6 * count].reshape(4, count), softmax(logits[6 * count :])
                for number in range(count):
                    water = storage[number, row, column] + inflow[number] * rain[row, column]
                    stay, gone, off, away = softmax(fates[:, number]) * water
                    new[number, row, column] = stay
                    flux["evaporation"][row, column] += gone
                    flux["runoff"][row, column] += off
                    for share, (dy, dx) in zip(where, PLACES):
                        y, z = row + dy, column + dx
                        if (dy, dx) == (0, 0):
                            arrived[row, column] += away * share
                            continue
                        flux["lateral_out"][row, column] += away * share
                        if 0 <= y < height and 0 <= z < width and mask[y, z]:
                            arrived[y, z] += away * share
                            flux["lateral_in"][y, z] += away * share
                        else:
                            flux["boundary"][row, column] += away * share
        for row, column in arrival:
            new[:, row, column] += arrival[row, column] * arrived[row, column]
        storage = new
    water = np.log1p(np.concatenate([storage, flux["evaporation"][None], flux["runoff"][None]]))
    maps = np.concatenate([water, hidden])
    maps = np.einsum("fc,chw->fhw", weights["features.weight"], maps) + weights["features.bias"][:, None, None]
    read = np.einsum("of,fhw->ohw", weights["head.weight"], np.maximum(maps, 0.0)) + weights["head.bias"][:, None, None]
    return {**flux, "storage": storage, "y_hat": read[None] * mask}


def softmax(values: np.ndarray) -> np.ndarray:
    raised = [math.exp(value - max(values)) for value in values]
    return np.array(raised) / sum(raised)


def balance_error(result: dict, mask: torch.Tensor) -> float:
    """Largest closure error of a cell in the last step, relative to the water there."""
    before, after = result["storage_before"].sum(dim=1), result["storage"].sum(dim=1)
    came = result["inflow"] + before + result["lateral_in"]
    went = after + result["evaporation"] + result["runoff"] + result["lateral_out"]
    return float(((came - went).abs() / (1.0 + came)).max())


def test_equals_its_equations_written_as_loops():
    model, (x, static, mask) = make(), sample()
    result = model(x, static, mask=mask)
    for number in range(len(x)):
        truth = by_loops(model, x[number].numpy(), static[number].numpy(), mask[0, 0].numpy())
        for name, expected in truth.items():
            np.testing.assert_allclose(result[name][number].detach().numpy(), expected, rtol=1e-10, atol=1e-12)


ADVERSARIAL = {
    "as drawn": lambda model: None,
    "large weights": lambda model: [p.data.mul_(50.0) for p in model.parameters()],
    "all logits negative": lambda model: (model.logits.weight.data.zero_(), model.logits.bias.data.fill_(-1e4)),
    "zero storage": lambda model: model.start.data.fill_(-1e4),
    "everything moves": lambda model: model.logits.bias.data[-9 - 3 : -9].fill_(1e3),
    "random": lambda model: [torch.nn.init.normal_(p, std=20.0) for p in model.parameters()],
}


@pytest.mark.parametrize("weights", ADVERSARIAL)
@pytest.mark.parametrize("rain", [0.0, 1.0, 1e6])
@pytest.mark.parametrize(("kind", "limit"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_the_water_balance_closes_for_any_weights(weights, rain, kind, limit):
    model = make()
    ADVERSARIAL[weights](model)
    model = model.to(kind)
    x, static, mask = (item.to(kind) for item in sample(window=12, rain=rain))
    for where in (None, mask):
        with torch.no_grad():
            result = model(x, static, mask=where)
        assert all(torch.isfinite(value).all() for value in result.values())
        assert balance_error(result, where) <= limit
        spent = result["storage"].sum(dim=(1, 2, 3)) + result["totals"][:, 1:].sum(dim=1)
        given = result["initial"] + result["totals"][:, 0]
        torch.testing.assert_close(spent, given, rtol=10 * limit, atol=limit)
        assert min(float(result[name].min()) for name in ("storage", "runoff", "evaporation", "boundary")) >= 0.0


@pytest.mark.parametrize("weights", ADVERSARIAL)
def test_the_balance_closes_under_autocast(weights):
    model = make()
    ADVERSARIAL[weights](model)
    model = model.float()
    x, static, mask = (item.float() for item in sample(window=12))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        result = model(x, static, mask=mask)
    assert result["storage"].dtype == torch.float32
    assert balance_error(result, mask) <= 1e-5
    spent = result["storage"].sum(dim=(1, 2, 3)) + result["totals"][:, 1:].sum(dim=1)
    torch.testing.assert_close(spent, result["initial"] + result["totals"][:, 0], rtol=1e-4, atol=1e-5)


def test_each_sample_may_have_its_own_mask():
    model, (x, static, mask) = make(), sample(batch=3)
    masks = torch.cat((mask, torch.ones_like(mask), torch.zeros_like(mask)))
    together = model(x, static, mask=masks, last_steps=2)
    for k in range(3):
        alone = model(x[k : k + 1], static[k : k + 1], mask=masks[k : k + 1], last_steps=2)
        for name, value in alone.items():
            torch.testing.assert_close(together[name][k : k + 1], value, rtol=1e-12, atol=1e-14)
    assert not together["y_hat"][2].any() and not together["totals"][2].any()


def test_no_mask_is_a_basin_that_fills_the_grid():
    model, (x, static, mask) = make(), sample()
    whole, none = model(x, static, mask=torch.ones_like(mask)), model(x, static)
    for name, value in none.items():
        torch.testing.assert_close(whole[name], value, rtol=0, atol=0)


def test_negative_rain_adds_and_takes_nothing():
    model, (x, static, mask) = make(), sample()
    x[:, :, 0] = -5.0
    assert float(model(x, static, mask=mask)["totals"][:, 0].detach().abs().max()) == 0.0


def test_a_sample_does_not_depend_on_its_batch():
    model, (x, static, mask) = make(), sample(batch=3)
    together = model(x, static, mask=mask)["y_hat"]
    alone = torch.cat([model(x[k : k + 1], static[k : k + 1], mask=mask)["y_hat"] for k in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-14)


def test_cells_outside_the_mask_have_no_influence():
    model, (x, static, mask) = make(), sample()
    other_x, other_static = x.clone(), static.clone()
    outside = mask[0, 0] == 0
    other_x[..., outside] = 99.0
    other_static[..., outside] = -99.0
    one, other = model(x, static, mask=mask), model(other_x, other_static, mask=mask)
    inside = mask[0, 0] == 1
    torch.testing.assert_close(one["y_hat"][..., inside], other["y_hat"][..., inside], rtol=0, atol=0)
    assert not any(value[..., outside].any() for name, value in one.items() if name not in ("totals", "initial"))


@pytest.mark.parametrize("reads", ["runoff", "evaporation", "storage"])
def test_a_flux_as_prediction_is_the_flux_of_the_balance(reads):
    model, (x, static, mask) = make(reads=reads), sample()
    result = model(x, static, mask=mask, last_steps=2)
    expected = result["storage"].sum(dim=1) if reads == "storage" else result[reads]
    torch.testing.assert_close(result["y_hat"][:, 0, 0], expected, rtol=0, atol=0)
    shorter = model(x[:, :-1], static, mask=mask)["y_hat"]
    torch.testing.assert_close(result["y_hat_steps"][:, 0], shorter, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_the_halo_is_exact(kernel):
    model, (x, static, _) = make(kernel=kernel), sample(window=2, height=15, width=15)
    halo = model.halo_px(2)
    changed = x.clone()
    changed[:, 0, :, 7, 7] += 3.0
    difference = (model(x, static)["y_hat"] - model(changed, static)["y_hat"])[0, 0, 0].abs()
    rows, columns = torch.nonzero(difference > 0, as_tuple=True)
    assert int(max((rows - 7).abs().max(), (columns - 7).abs().max())) == halo


@pytest.mark.parametrize("options", [{}, {"reads": "runoff"}])
def test_every_parameter_gets_a_gradient(options):
    model, (x, static, mask) = make(**options).train(), sample()
    result = model(x, static, mask=mask)
    (result["y_hat"].square().mean() + result["y_hat"].mean()).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_contradictions_are_refused():
    with pytest.raises(ConfigError, match="mass_channel"):
        build_model("mc-convlstm", 2, 1, mass_channel=2)
    with pytest.raises(ConfigError, match="reads to head"):
        build_model("mc-convlstm", 2, 1, leads=2, reads="runoff")
