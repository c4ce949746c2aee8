"""The computation: closed forms, completeness, causality."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.data.scaling import Scaler
from freshet.core.explain.integrated_gradients import PlaceMean, attribute, unscale
from freshet.core.models import build_model
from freshet.core.models.base import ForecastModel

T, C, S, H, W = 5, 3, 2, 7, 8


class Linear(ForecastModel):
    """y = a number a cell that is linear in every input, also those of the neighbour to the east."""

    uses_static = True

    def __init__(self) -> None:
        super().__init__(C, 1, S, 1)
        generator = torch.Generator().manual_seed(1)
        self.here = torch.randn(T, C, generator=generator)
        self.east = torch.randn(T, C, generator=generator)
        self.fixed = torch.randn(S, generator=generator)

    def forward(self, x, static=None, observed=None, last_steps=1):
        own = torch.einsum("ntchw,tc->nhw", x, self.here)
        moved = torch.einsum("ntchw,tc->nhw", torch.roll(x, -1, dims=-1), self.east)
        return {"y_hat": (own + moved + torch.einsum("nshw,s->nhw", static, self.fixed))[:, None, None]}


def _inputs(seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(T, C, H, W, generator=generator), torch.randn(S, H, W, generator=generator)


def _run(
    module, x, static, weights, scaler, *, steps=8, at_once=3, observed=None, baseline_x=None, baseline_static=None
):
    baseline_x = torch.zeros_like(x) if baseline_x is None else baseline_x
    baseline_static = torch.zeros_like(static) if baseline_static is None and static is not None else baseline_static
    work = attribute(
        module, x, static, observed, PlaceMean(weights, scaler), baseline_x, baseline_static, steps, at_once
    )
    shares = []
    while True:
        try:
            shares.append(next(work))
        except StopIteration as end:
            return end.value, shares


def _at(*cells):
    weights = np.zeros((H, W))
    for row, column in cells:
        weights[row, column] = 1 / len(cells)
    return weights


LINEAR_SCALER = Scaler("standard", shift=0.4, width=2.5)
CURVED = Scaler("yeo-johnson", shift=1.0, width=0.7, exponent=0.4, low=-3.0, high=3.0)


def test_a_linear_model_gives_its_closed_form():
    module, (x, static) = Linear(), _inputs()
    base, base_static = torch.full_like(x, 0.3), torch.full_like(static, -0.2)
    found, _ = _run(module, x, static, _at((2, 3)), LINEAR_SCALER, baseline_x=base, baseline_static=base_static)
    expected = np.zeros((T, C, H, W))
    expected[:, :, 2, 3] = (module.here * (x - base)[:, :, 2, 3] * 2.5).numpy()
    expected[:, :, 2, 4] = (module.east * (x - base)[:, :, 2, 4] * 2.5).numpy()
    np.testing.assert_allclose(found.x, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.static[:, 2, 3], module.fixed * (static - base_static)[:, 2, 3] * 2.5, rtol=1e-4)
    assert np.count_nonzero(found.static) == S and abs(found.residual) < 1e-5


def test_a_polygon_equals_the_mean_of_its_cells_where_the_inverse_is_linear():
    module, (x, static) = Linear(), _inputs()
    cells = [(1, 1), (1, 2), (4, 6)]
    together, _ = _run(module, x, static, _at(*cells), LINEAR_SCALER)
    single = [_run(module, x, static, _at(cell), LINEAR_SCALER)[0] for cell in cells]
    np.testing.assert_allclose(together.x, np.mean([one.x for one in single], axis=0), atol=1e-5)
    assert together.prediction == pytest.approx(np.mean([one.prediction for one in single]), abs=1e-6)


def _convlstm(**options):
    torch.manual_seed(5)
    return build_model("convlstm", C, 1, static_channels=S, leads=1, hidden=(6,), **options).eval()


@pytest.mark.parametrize("scaler", [LINEAR_SCALER, CURVED, Scaler("log1p", 1.0, 0.5, 1.0, -3.0, 3.0), Scaler("none")])
def test_contributions_of_a_convlstm_add_up_within_a_hundredth(scaler):
    x, static = _inputs(3)
    found, _ = _run(_convlstm(), 2 * x, static, _at((3, 4), (3, 5)), scaler, steps=64, at_once=8)
    difference = found.prediction - found.baseline_prediction
    assert abs(difference) > 1e-4
    assert abs(found.residual) < 0.01 * abs(difference)


def test_few_steps_leave_a_larger_residual_than_many():
    x, static = _inputs(3)
    few, many = (_run(_convlstm(), 12 * x, static, _at((3, 4)), CURVED, steps=n, at_once=1)[0] for n in (2, 64))
    assert abs(many.residual) < 0.2 * abs(few.residual)


def test_the_number_of_points_at_once_does_not_change_the_answer():
    x, static = _inputs(3)
    one, four = (_run(_convlstm(), x, static, _at((3, 4)), CURVED, steps=62, at_once=n)[0] for n in (1, 4))
    np.testing.assert_allclose(one.x, four.x, atol=1e-4 * np.abs(four.x).max())


def test_progress_rises_to_one_in_as_many_pieces_as_batches():
    x, static = _inputs()
    _, shares = _run(Linear(), x, static, _at((2, 3)), LINEAR_SCALER, steps=8, at_once=3)
    assert shares == [3 / 8, 6 / 8, 1.0]


def test_cells_beyond_the_halo_contribute_exactly_nothing():
    torch.manual_seed(2)
    module = build_model("convlstm", C, 1, leads=1, hidden=(4,)).eval()
    x, _ = _inputs(1)
    window = 2
    found, _ = _run(module, x[:window], None, _at((3, 1)), CURVED)
    halo = module.halo_px(window)
    rows, columns = np.mgrid[:H, :W]
    beyond = np.maximum(abs(rows - 3), abs(columns - 1)) > halo
    assert beyond.any() and (found.x[..., beyond] == 0).all() and (found.x[..., ~beyond] != 0).any()
    assert found.static is None


def test_masks_of_missing_input_change_the_answer_and_get_no_contribution():
    module, (x, static) = _convlstm(mask_channels=True), _inputs(4)
    observed = torch.ones(T, C, H, W, dtype=torch.bool)
    all_seen, _ = _run(module, x, static, _at((3, 4)), CURVED, observed=observed)
    observed[2, 1] = False
    x[2, 1] = 0
    missing, _ = _run(module, x, static, _at((3, 4)), CURVED, observed=observed)
    assert missing.prediction != all_seen.prediction and (missing.x[2, 1] == 0).all() and missing.x.shape == x.shape


@pytest.mark.parametrize("kind", ["none", "standard", "min-max", "log1p", "yeo-johnson"])
@pytest.mark.parametrize("exponent", [-1.2, 0.0, 0.6, 2.0, 3.1])
def test_the_inverse_equals_that_of_the_scaler_also_where_it_clips(kind, exponent):
    scaler = Scaler(kind, 0.3, 0.8, exponent, -2.0, 2.5) if kind != "none" else Scaler("none")
    scaled = np.linspace(-9, 9, 301)
    tensor = torch.from_numpy(scaled).requires_grad_()
    mine = unscale(scaler, tensor)
    np.testing.assert_allclose(mine.detach().numpy(), scaler.inverse(scaled), rtol=2e-6, atol=1e-6)
    mine.sum().backward()
    assert torch.isfinite(tensor.grad).all()
