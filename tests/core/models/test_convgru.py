"""ConvGRU against its equations written as loops."""

from __future__ import annotations

import numpy as np
import torch

from freshet.core.models import build_model

from .loops import convolve, sigmoid


def by_loops(model, x: np.ndarray) -> np.ndarray:
    frames = list(x)
    for cell in model.layers:
        w = {name: value.detach().numpy() for name, value in cell.named_parameters()}
        state, outputs = np.zeros((cell.hidden, *x.shape[2:])), []
        for frame in frames:
            gates = sigmoid(convolve(np.concatenate([frame, state]), w["gates.weight"], w["gates.bias"]))
            z, r = gates[: cell.hidden], gates[cell.hidden :]
            seen = np.concatenate([frame, r * state])
            state = (1 - z) * state + z * np.tanh(convolve(seen, w["candidate.weight"], w["candidate.bias"]))
            outputs.append(state)
        frames = outputs
    return convolve(frames[-1], model.head.weight.detach().numpy(), model.head.bias.detach().numpy())


def test_equals_its_equations_written_as_loops():
    for options in ({"hidden": (5,)}, {"hidden": (4, 3), "kernel": 5, "head_kernel": 3}):
        torch.manual_seed(0)
        model = build_model("convgru", 2, 1, leads=2, **options).double().eval()
        x = torch.randn(1, 4, 2, 7, 5, dtype=torch.float64)
        expected = by_loops(model, x[0].numpy())
        np.testing.assert_allclose(model(x)["y_hat"][0, :, 0].detach().numpy(), expected, rtol=1e-10, atol=1e-12)


def test_the_halo_is_not_larger_than_needed():
    model = build_model("convgru", 1, 1, hidden=(4, 4)).double().eval()
    x = torch.randn(1, 3, 1, 41, 41, dtype=torch.float64)
    changed = x.clone()
    changed[:, 0, :, 20, 20] += 3.0
    rows = torch.nonzero((model(x)["y_hat"] - model(changed)["y_hat"])[0, 0, 0].abs() > 0)[:, 0]
    assert int((rows - 20).abs().max()) == model.halo_px(3)
