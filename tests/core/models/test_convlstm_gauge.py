"""ConvLSTM for gauges: attention and full connection by loops, maps of attention, the grid that a twin is bound to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.contracts.errors import ConfigError
from freshet.core.models import build_model

from .loops import convolve, sigmoid, weights_of


def last_state(w, frames, layers):
    """Top hidden state after all frames (T, C, H, W), by the equations of the ConvLSTM."""
    for layer in range(layers):
        weight, bias = w[f"layers.{layer}.gates.weight"], w[f"layers.{layer}.gates.bias"]
        hidden = len(bias) // 4
        h = c = np.zeros((hidden, *frames[0].shape[1:]))
        outputs = []
        for frame in frames:
            i, f, g, o = np.split(convolve(np.concatenate([frame, h]), weight, bias), 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            outputs.append(h)
        frames = outputs
    return frames[-1]


def data(batch=2, rows=5, columns=4):
    torch.manual_seed(3)
    x, static = torch.randn(batch, 4, 2, rows, columns).double(), torch.randn(batch, 1, rows, columns).double()
    inside = (torch.rand(1, 1, rows, columns) > 0.4).double()
    return x, static, inside


def frames_by_hand(x, static, inside):
    return [np.concatenate([frame.numpy(), static.numpy()]) * inside[0].numpy() for frame in x]


def test_attention_equals_its_equations_written_as_loops():
    torch.manual_seed(0)
    options = {"hidden": (4, 3), "attention": 5}
    model = build_model("convlstm-gauge", 2, 2, static_channels=1, gauges=3, leads=2, **options).double().eval()
    torch.nn.init.normal_(model.head.bias)
    x, static, inside = data()
    result, w = model(x, static, mask=inside), weights_of(model)
    basin = inside[0, 0].numpy() > 0
    for sample in range(2):
        state = last_state(w, frames_by_hand(x[sample], static[sample], inside), 2)
        fixed = static[sample].numpy() * inside[0].numpy()
        expected = w["head.bias"].reshape(2, 2, 3).copy()
        attention = np.zeros((3, *basin.shape))
        for gauge in range(3):
            total = 0.0
            for row, column in zip(*np.nonzero(basin)):
                seen = np.concatenate([state[:, row, column], fixed[:, row, column]])
                raised = np.tanh(w["head.seen.weight"][:, :, 0, 0] @ seen + w["head.seen.bias"])
                attention[gauge, row, column] = np.exp(w["head.score.weight"][gauge, :, 0, 0] @ raised)
                total += attention[gauge, row, column]
            attention[gauge] /= total
            for output in range(4):
                reads = w["head.contribution.weight"][output * 3 + gauge, :, 0, 0]
                summed = sum(attention[gauge, r, c] * (reads @ state[:, r, c]) for r, c in zip(*np.nonzero(basin)))
                expected[output // 2, output % 2, gauge] += summed
        np.testing.assert_allclose(result["y_hat"][sample].detach().numpy(), expected, rtol=1e-9)
        np.testing.assert_allclose(result["attention"][sample].detach().numpy(), attention, rtol=1e-9, atol=1e-15)


def test_attention_adds_up_to_one_in_the_basin_and_contributions_to_the_prediction():
    model = build_model("convlstm-gauge", 2, 1, static_channels=1, gauges=2, hidden=(3,)).double().eval()
    x, static, inside = data()
    result = model(x, static, mask=inside, last_steps=3)
    ones = torch.ones(2, 2, dtype=torch.float64)
    torch.testing.assert_close((result["attention"] * inside).sum(dim=(2, 3)), ones)
    assert (result["attention"] >= 0.0).all()
    torch.testing.assert_close(result["contribution"].sum(dim=(4, 5)) + model.head.bias, result["y_hat"])
    assert not torch.allclose(result["attention"][:, 0], result["attention"][:, 1], atol=1e-4)


@pytest.mark.parametrize("reading", ["attention", "connected"])
def test_cells_outside_the_mask_have_no_influence(reading):
    model = build_model("convlstm-gauge", 2, 1, static_channels=1, gauges=2, hidden=(3,), reading=reading)
    model = model.double().eval()
    x, static, inside = data()
    before = model(x, static, mask=inside)["y_hat"]
    x, static = torch.where(inside > 0, x, 77.0), torch.where(inside > 0, static, -50.0)
    torch.testing.assert_close(model(x, static, mask=inside)["y_hat"], before, rtol=0, atol=0)
    assert torch.isfinite(model(x, static, mask=torch.zeros_like(inside))["y_hat"]).all()


def test_the_connected_twin_equals_its_equations_and_is_bound_to_its_grid():
    torch.manual_seed(1)
    model = build_model("convlstm-gauge-fc", 2, 1, static_channels=1, gauges=3, hidden=(4,)).double().eval()
    x, static, inside = data()
    result, w = model(x, static, mask=inside)["y_hat"], weights_of(model)
    assert w["head.weight"].shape == (3, 4, 5, 4)
    for sample in range(2):
        state = last_state(w, frames_by_hand(x[sample], static[sample], inside), 1) * inside[0].numpy()
        expected = [(w["head.weight"][k] * state).sum() + w["head.bias"][k] for k in range(3)]
        np.testing.assert_allclose(result[sample, 0, 0].detach().numpy(), expected, rtol=1e-9)
    with pytest.raises(ConfigError, match="bound to its grid"):
        model(*data(rows=6)[:2])


def test_the_connected_twin_learns_with_an_optimizer_that_is_older_than_its_weights():
    model = build_model("convlstm-gauge-fc", 2, 1, gauges=2, hidden=(4,))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    x = data()[0].float()
    model.prepare_from(x[0], torch.ones(5, 4))
    target, losses = torch.randn(2, 1, 1, 2), []
    for _ in range(60):
        loss = (model(x)["y_hat"] - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]
    again = build_model("convlstm-gauge-fc", 2, 1, gauges=2, hidden=(4,))
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(x)["y_hat"], model(x)["y_hat"])
    optimizer.step()  # the loaded weights are a copy
    assert not torch.equal(again(x)["y_hat"], model(x)["y_hat"])


def test_a_connected_twin_makes_room_for_what_a_file_holds():
    model = build_model("convlstm-gauge-fc", 2, 1, gauges=2, hidden=(4,))
    model.adopt_shapes({"head.weight": (2, 4, 7, 9)})
    assert model.state_dict()["head.weight"].shape == (2, 4, 7, 9)
    model.adopt_shapes({"head.weight": (2, 5, 7, 9)})  # of another model: left for the loader to refuse
    assert model.state_dict()["head.weight"].shape == (2, 4, 7, 9)


def test_maps_are_refused():
    with pytest.raises(ConfigError, match="cannot predict maps"):
        build_model("convlstm-gauge", 2, 1)
