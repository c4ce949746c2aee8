"""What is computed around a place alone equals the whole frame there, and so do its gradients."""

from __future__ import annotations

import pytest
import torch

from freshet.core.models import build_model
from freshet.core.models import near as near_module
from freshet.core.models.near import Region, narrows, predict_near

ROWS, COLUMNS, STEPS = 20, 16, 12
OPTIONS = [
    {"hidden": [5, 7], "kernel": [3]},
    {"hidden": [4], "kernel": [5], "head_kernel": 3, "peepholes": True, "normalisation": "batch"},
    {"hidden": [4, 5, 3], "kernel": [3, 5, 1], "padding": "replicate", "mask_channels": True},
]
BOXES = [Region(9, 10, 7, 8), Region(0, 1, 0, 1), Region(19, 20, 15, 16), Region(3, 9, 8, 16), Region(0, 20, 0, 16)]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("box", BOXES)
def test_prediction_and_gradient_are_those_of_the_whole_frame(options, box):
    torch.manual_seed(0)
    model = build_model("convlstm", 2, 1, static_channels=2, leads=2, **options).eval().double()
    x = torch.randn(2, STEPS, 2, ROWS, COLUMNS, dtype=torch.float64, requires_grad=True)
    static = torch.randn(2, 2, ROWS, COLUMNS, dtype=torch.float64, requires_grad=True)
    observed = torch.rand(2, STEPS, 2, ROWS, COLUMNS) > 0.1
    inside = (..., slice(box.top, box.bottom), slice(box.left, box.right))
    whole, found = model(x, static, observed)["y_hat"], predict_near(model, x, static, observed, box)
    assert found.shape == whole.shape
    torch.testing.assert_close(found[inside], whole[inside], rtol=0, atol=1e-12)
    assert int((found != 0).sum()) == found[inside].numel()
    weights = torch.randn_like(whole[inside])
    ours, theirs = (torch.autograd.grad((y[inside] * weights).sum(), (x, static)) for y in (found, whole))
    for one, other in zip(ours, theirs):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    assert ours[0].abs().sum() > 0


def test_less_is_computed_than_the_whole_frame(monkeypatch):
    sizes = []
    cut = near_module.ConvLSTMCell._gates
    monkeypatch.setattr(
        near_module.ConvLSTMCell, "_gates",
        lambda self, frame, state, context: sizes.append(frame.shape[1:3]) or cut(self, frame, state, context),
    )  # fmt: skip
    model = build_model("convlstm", 1, 1, hidden=[2], kernel=[3]).eval()
    predict_near(model, torch.randn(1, STEPS, 1, ROWS, COLUMNS), None, None, Region(9, 10, 7, 8))
    assert len(sizes) == STEPS and sizes[-1][0] <= 9
    assert all(later[0] <= earlier[0] and later[1] <= earlier[1] for earlier, later in zip(sizes, sizes[1:]))


def test_models_that_read_the_whole_frame_are_left_whole():
    kinds = {
        "plain": ("convlstm", {}), "decoder": ("convlstm", {"output": "encoder-decoder"}),
        "group": ("convlstm", {"normalisation": "group"}), "attention": ("sa-convlstm", {}), "gru": ("convgru", {}),
    }  # fmt: skip
    found = {
        name: narrows(build_model(family, 1, 1, hidden=[4], **options)) for name, (family, options) in kinds.items()
    }
    assert found == {"plain": True, "decoder": False, "group": False, "attention": False, "gru": False}
