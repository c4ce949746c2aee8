"""CNN-BiConvLSTM against its equations written with loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.contracts.errors import ConfigError
from freshet.core.models import build_model

from .loops import convolve, sigmoid, weights_of

tanh = np.tanh


def convlstm(w: dict, prefix: str, frames: list) -> list:
    size = len(w[prefix + "gates.bias"]) // 4
    h = c = np.zeros((size, *frames[0].shape[1:]))
    outputs = []
    for frame in frames:
        raw = convolve(np.concatenate([frame, h]), w[prefix + "gates.weight"], w[prefix + "gates.bias"])
        i, f, g, o = np.split(raw, 4)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)
        outputs.append(h)
    return outputs


@pytest.mark.parametrize(("cnn", "hidden"), [((3,), (4,)), ((3, 2), (4, 3))])
def test_equals_its_equations(cnn, hidden):
    torch.manual_seed(0)
    model = build_model("cnn-biconvlstm", 2, 1, static_channels=1, leads=2, cnn=cnn, hidden=hidden, head_kernel=3)
    model = model.double().eval()
    x, static = torch.randn(1, 4, 2, 5, 7, dtype=torch.float64), torch.randn(1, 1, 5, 7, dtype=torch.float64)
    observed = (torch.rand(x.shape) > 0.3).double()
    w = weights_of(model)
    frames = [np.concatenate([a, b, static[0].numpy()]) for a, b in zip(x[0].numpy(), observed[0].numpy())]
    for number in range(len(cnn)):
        kernel = (w[f"cnn.{number}.weight"], w[f"cnn.{number}.bias"])
        frames = [np.maximum(convolve(frame, *kernel), 0.0) for frame in frames]
    for number in range(len(hidden)):
        there = convlstm(w, f"layers.{number}.forwards.", frames)
        back = convlstm(w, f"layers.{number}.backwards.", frames[::-1])[::-1]
        frames = [np.concatenate(pair) for pair in zip(there, back)]
    expected = convolve(np.concatenate([there[-1], back[0]]), w["head.weight"], w["head.bias"])
    got = model(x, static, observed)["y_hat"][0, :, 0].detach().numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


def test_the_direction_of_time_matters_to_both_halves():
    torch.manual_seed(0)
    model = build_model("cnn-biconvlstm", 1, 1, cnn=(4,), hidden=(4,), mask_channels=False).double().eval()
    x = torch.randn(1, 5, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    model(x)["y_hat"].sum().backward()
    assert (x.grad.abs().sum(dim=(0, 2, 3, 4)) > 0).all()
    with torch.no_grad():  # swapping the two directions is reversing time
        turned = build_model("cnn-biconvlstm", 1, 1, cnn=(4,), hidden=(4,), mask_channels=False).double().eval()
        turned.load_state_dict(model.state_dict())
        layer = turned.layers[0]
        layer.forwards, layer.backwards = layer.backwards, layer.forwards
        turned.head.weight.copy_(torch.cat(model.head.weight.chunk(2, dim=1)[::-1], dim=1))
        torch.testing.assert_close(turned(x.flip(1))["y_hat"], model(x)["y_hat"])


def test_the_halo_is_not_larger_than_needed():
    torch.manual_seed(0)
    model = build_model("cnn-biconvlstm", 1, 1, cnn=(6, 6), hidden=(4, 4), mask_channels=False, head_kernel=3)
    model = model.double().eval()
    x = torch.randn(1, 2, 1, 41, 41, dtype=torch.float64)
    changed = x.clone()
    changed[..., 20, 20] += 3.0
    rows = torch.nonzero((model(x)["y_hat"] - model(changed)["y_hat"])[0, 0, 0].abs() > 0)[:, 0]
    assert int((rows - 20).abs().max()) == model.halo_px(2)


def test_the_backward_half_still_learns_behind_a_warm_up():
    torch.manual_seed(0)
    model = build_model("cnn-biconvlstm", 1, 1, cnn=(4,), hidden=(4, 4))
    model(torch.randn(1, 6, 1, 4, 4), warm_up=3)["y_hat"].sum().backward()
    assert all(value.grad is not None and value.grad.any() for value in model.parameters())


def test_neither_convolutions_nor_layers_may_lack():
    with pytest.raises(ConfigError, match="at least one convolution"):
        build_model("cnn-biconvlstm", 1, 1, cnn=())
    with pytest.raises(ConfigError, match="at least one layer"):
        build_model("cnn-biconvlstm", 1, 1, hidden=())
