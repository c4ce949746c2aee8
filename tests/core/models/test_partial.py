"""Partial and masked ConvLSTM against their equations written with loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.contracts.errors import ConfigError
from freshet.core.models import build_model
from freshet.core.models.partial import PartialConvolution

from .loops import convolve, sigmoid, weights_of

tanh = np.tanh


def partial_convolve(maps: np.ndarray, mask: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Cell by cell: each channel weighed up by the share of it that is known; beyond the edge nothing is."""
    size, radius = weight.shape[-1], weight.shape[-1] // 2
    pad = ((0, 0), (radius, radius), (radius, radius))
    maps, mask = np.pad(maps, pad), np.pad(mask, pad)
    out = np.zeros((len(weight), maps.shape[1] - 2 * radius, maps.shape[2] - 2 * radius))
    for row in range(out.shape[1]):
        for column in range(out.shape[2]):
            for channel in range(len(maps)):
                seen = mask[channel, row : row + size, column : column + size]
                if seen.sum():
                    patch = maps[channel, row : row + size, column : column + size] * seen
                    out[:, row, column] += size**2 / seen.sum() * (weight[:, channel] * patch).sum(axis=(1, 2))
    return out


def near(mask: np.ndarray, radius: int) -> np.ndarray:
    out = np.zeros_like(mask)
    for row in range(mask.shape[1]):
        for column in range(mask.shape[2]):
            part = mask[0, max(0, row - radius) : row + radius + 1, max(0, column - radius) : column + radius + 1]
            out[0, row, column] = part.max()
    return out


def by_loops(model, x: np.ndarray, observed: np.ndarray, static: np.ndarray, update: str) -> np.ndarray:
    w, radius = weights_of(model), model.options["kernel"] // 2
    sizes = model.options["hidden"]
    states = [[np.zeros((n, *x.shape[2:])), np.zeros((n, *x.shape[2:])), np.zeros((1, *x.shape[2:]))] for n in sizes]
    for frame, seen in zip(x, observed):
        maps, mask = np.concatenate([frame, static]), np.concatenate([seen, np.ones_like(static)])
        new = seen.max(axis=0, keepdims=True)
        for layer, (h, c, known) in enumerate(states):
            prefix = f"layers.{layer}."
            weights = [w[prefix + "input_gates.weight"], w[prefix + "state_gates.weight"]]
            parts = [(maps, np.broadcast_to(mask, maps.shape)), (h, np.broadcast_to(known, h.shape))]
            if update == "partial":
                new = near(new, radius)
                raw = sum(partial_convolve(*part, weight) for part, weight in zip(parts, weights))
            else:
                raw = sum(convolve(part[0] * part[1], weight) for part, weight in zip(parts, weights))
            i, f, g, o = np.split(raw + w[prefix + "bias"][:, None, None], 4)
            next_c = sigmoid(f) * c + sigmoid(i) * tanh(g)
            h = new * sigmoid(o) * tanh(next_c) + (1 - new) * h
            states[layer] = [h, new * next_c + (1 - new) * c, np.maximum(known, new)]
            maps, mask = h, states[layer][2]
    return convolve(maps, w["head.weight"], w["head.bias"])


def gaps(share: float, shape: tuple, seed: int = 1) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) > share


@pytest.mark.parametrize("update", ["partial", "masked"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_two_layers_equal_their_equations(update, share):
    torch.manual_seed(0)
    model = build_model("partial-convlstm", 2, 1, static_channels=1, leads=2, hidden=(3, 4), update=update)
    model = model.double().eval()
    x, static = torch.randn(1, 4, 2, 6, 7, dtype=torch.float64), torch.randn(1, 1, 6, 7, dtype=torch.float64)
    observed = gaps(share, x.shape)
    expected = by_loops(model, x[0].numpy(), observed[0].double().numpy(), static[0].numpy(), update)
    got = model(x, static, observed)["y_hat"][0, :, 0].detach().numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("update", ["partial", "masked"])
def test_what_stands_in_the_gaps_has_no_influence(update):
    torch.manual_seed(0)
    model = build_model("partial-convlstm", 2, 1, update=update, mask_channels=True).eval()
    x = torch.randn(2, 4, 2, 6, 7)
    observed = gaps(0.5, x.shape)
    other = torch.where(observed, x, torch.full_like(x, 1e3))
    assert torch.equal(model(x, None, observed)["y_hat"], model(other, None, observed)["y_hat"])


@pytest.mark.parametrize("update", ["partial", "masked"])
def test_steps_without_any_observation_change_nothing(update):
    torch.manual_seed(0)
    model = build_model("partial-convlstm", 2, 1, hidden=(4, 3), update=update).eval()
    x = torch.randn(1, 6, 2, 6, 7)
    observed = torch.ones_like(x)
    observed[:, 3:] = 0.0
    after = model(x, None, observed)["y_hat"]
    assert torch.equal(after, model(x[:, :3], None, observed[:, :3])["y_hat"])


def test_only_observed_cells_are_updated_when_masked():
    torch.manual_seed(0)
    model = build_model("partial-convlstm", 1, 1, hidden=(4,), update="masked").eval()
    x = torch.randn(1, 2, 1, 5, 5)
    observed = torch.ones_like(x)
    observed[:, 1] = 0.0
    before = model(x[:, :1])["y_hat"]
    observed[:, 1, :, 2, 2] = 1.0
    moved = model(x, None, observed)["y_hat"] != before
    assert moved.nonzero().tolist() == [[0, 0, 0, 2, 2]]


def test_a_constant_field_with_gaps_gives_what_the_whole_field_gives():
    part = PartialConvolution(1, 2, 3)
    known = gaps(0.6, (1, 1, 8, 8)).float()
    torch.nn.init.constant_(part.weight, 0.5)
    expected = 9.0 * torch.nn.functional.max_pool2d(known, 3, 1, 1)
    torch.testing.assert_close(part(torch.full((1, 1, 8, 8), 2.0), known), expected.expand(1, 2, 8, 8))


def test_a_channel_without_gaps_is_not_weighed_up_for_one_with_gaps():
    torch.manual_seed(0)
    part = PartialConvolution(2, 3, 3)
    maps, mask = torch.randn(1, 2, 6, 6), torch.ones(1, 2, 6, 6)
    mask[:, 1] = 0.0
    alone = torch.nn.functional.conv2d(maps[:, :1], part.weight[:, :1], padding=1)
    torch.testing.assert_close(part(maps, mask)[..., 1:-1, 1:-1], alone[..., 1:-1, 1:-1], rtol=1e-5, atol=1e-6)


def test_it_learns_from_targets_with_gaps():
    torch.manual_seed(0)
    model = build_model("partial-convlstm", 1, 1, hidden=(8,))
    truth = torch.randn(64, 1, 1, 6, 6).repeat(1, 5, 1, 1, 1)
    observed = gaps(0.5, truth.shape)
    target, seen = truth[:, -1:], gaps(0.5, truth[:, -1:].shape, seed=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(150):
        away = (model(truth * observed, None, observed)["y_hat"][:, 0] - target[:, 0])[seen[:, 0]]
        losses.append(away.square().mean())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    unseen = (model(truth * observed, None, observed)["y_hat"][:, 0] - target[:, 0])[~seen[:, 0]]
    assert losses[-1] < 0.2 * losses[0] and unseen.square().mean() < 0.4 * losses[0]


def test_it_has_as_many_parameters_as_a_plain_convlstm():
    sizes = [
        sum(value.numel() for value in build_model(name, 4, 1, hidden=(32, 64)).parameters())
        for name in ("partial-convlstm", "convlstm")
    ]
    assert sizes[0] == sizes[1]


def test_an_unknown_update_is_refused():
    with pytest.raises(ConfigError, match="update"):
        build_model("partial-convlstm", 1, 1, update="some")
