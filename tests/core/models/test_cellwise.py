"""LSTM and MC-LSTM of one place: published counts, equations by loops, the water balance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.contracts.errors import ConfigError
from freshet.core.models import build_model

from .loops import sigmoid, weights_of


def softmax(values: np.ndarray) -> np.ndarray:
    raised = np.exp(values - values.max())
    return raised / raised.sum()


def parameters(model) -> int:
    return sum(value.numel() for value in model.parameters())


def test_the_published_numbers_of_parameters():
    assert parameters(build_model("mc-lstm", 6, 1)) == 11_880
    assert parameters(build_model("lstm-water-balance", 6, 1)) == 11_651


def test_lstm_equals_its_equations_written_as_loops():
    torch.manual_seed(0)
    model = build_model("lstm", 2, 1, static_channels=1, hidden_size=4, leads=2).double().eval()
    x, static = torch.randn(1, 5, 2, 3, 2, dtype=torch.float64), torch.randn(1, 1, 3, 2, dtype=torch.float64)
    w, result = weights_of(model), model(x, static)["y_hat"]
    for row in range(3):
        for column in range(2):
            h = c = np.zeros(4)
            for step in range(5):
                frame = np.concatenate([x[0, step, :, row, column].numpy(), static[0, :, row, column].numpy()])
                raw = w["lstm.weight_ih_l0"] @ frame + w["lstm.bias_ih_l0"]
                i, f, g, o = np.split(raw + w["lstm.weight_hh_l0"] @ h + w["lstm.bias_hh_l0"], 4)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
            expected = w["head.weight"] @ h + w["head.bias"]
            np.testing.assert_allclose(result[0, :, 0, row, column].detach().numpy(), expected, rtol=1e-10)


def mc_lstm(model, sequence: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Runoff, storages and losses after one sequence (T, inputs), precipitation first."""
    w, count = weights_of(model), model.storages
    c, out = np.zeros(count), np.zeros(count)
    for frame in sequence:
        rain = max(frame[0], 0.0)
        z = np.concatenate([[np.log1p(rain)], frame[1:], c / (1.0 + np.abs(c).sum())])
        inflow = softmax(w["inflow.weight"] @ z + w["inflow.bias"])
        gate = sigmoid(w["outflow.weight"] @ z + w["outflow.bias"])
        raw = (w["redistribution.weight"] @ z + w["redistribution.bias"]).reshape(count, count)
        spread = np.stack([softmax(raw[:, k]) for k in range(count)], axis=1)
        water = spread @ c + inflow * rain
        out = gate * water
        c = water - out
    return out[1:].sum(), c, out[0]


def test_mc_lstm_equals_its_equations_written_as_loops():
    torch.manual_seed(0)
    model = build_model("mc-lstm", 3, 1, storages=4).double().eval()
    x = torch.randn(2, 6, 3, 2, 3, dtype=torch.float64) * 3
    result = model(x)
    for place in np.ndindex(2, 2, 3):
        sample, row, column = place
        runoff, storage, lost = mc_lstm(model, x[sample, :, :, row, column].numpy())
        np.testing.assert_allclose(result["y_hat"][sample, 0, 0, row, column].item(), runoff, rtol=1e-10)
        np.testing.assert_allclose(result["storage"][sample, :, row, column].detach().numpy(), storage, rtol=1e-10)
        np.testing.assert_allclose(result["evaporation"][sample, 0, row, column].item(), lost, rtol=1e-10)


@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0])
@pytest.mark.parametrize(("kind", "limit"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_mc_lstm_closes_its_balance_for_any_weights(spread, kind, limit):
    torch.manual_seed(1)
    model = build_model("mc-lstm", 3, 1, storages=5).to(kind)
    for value in model.parameters():
        torch.nn.init.normal_(value, mean=-1.0 if spread else -1e4, std=spread)
    x = torch.randn(2, 30, 3, 1, 1, dtype=kind)
    x[:, :, 0] = 100.0 * x[:, :, 0].abs()
    with torch.no_grad():
        result = model(x)
        came = result["inflow"] + result["storage_before"].sum(dim=1, keepdim=True)
        went = result["storage"].sum(dim=1, keepdim=True) + result["evaporation"] + result["runoff"]
        torch.testing.assert_close(went, came, rtol=limit, atol=limit)
        whole = model(x, last_steps=30)["y_hat_steps"].sum(dim=1)
    assert torch.isfinite(whole).all() and float(result["storage"].min()) >= 0.0


def test_a_gauge_reads_the_mean_of_the_mask():
    torch.manual_seed(0)
    model = build_model("lstm", 2, 1, gauges=3, hidden_size=4).eval()
    x, mask = torch.randn(2, 4, 2, 3, 5), (torch.rand(1, 1, 3, 5) > 0.5).float()
    mean = (x * mask).sum(dim=(3, 4), keepdim=True) / mask.sum()
    torch.testing.assert_close(model(x, mask=mask)["y_hat"], model(mean)["y_hat"])
    x[..., mask[0, 0] == 0] = 1e3
    torch.testing.assert_close(model(x, mask=mask)["y_hat"], model(mean)["y_hat"])


def test_what_mc_lstm_cannot_give_is_refused():
    with pytest.raises(ConfigError, match="one target"):
        build_model("mc-lstm", 3, 2)
    with pytest.raises(ConfigError, match="one lead"):
        build_model("mc-lstm", 3, 1, leads=2)
