"""Losses over observed cells."""

from __future__ import annotations

import pytest
import torch

from freshet.core.contracts import ConfigError
from freshet.core.training.losses import masked_loss

PREDICTED = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
TARGET = torch.tensor([[0.0, float("nan")], [3.0, 2.0]])


def test_the_mean_is_over_observed_cells_only():
    assert masked_loss("mse", PREDICTED, TARGET) == pytest.approx((1 + 0 + 4) / 3)
    assert masked_loss("mae", PREDICTED, TARGET) == pytest.approx((1 + 0 + 2) / 3)


def test_one_minus_nse_weighs_each_cell_by_its_variance():
    variance = torch.tensor([[0.99, 1.0], [1.0, 3.99]])
    assert masked_loss("nse", PREDICTED, TARGET, variance) == pytest.approx((1 / 1.0 + 0 + 4 / 4.0) / 3)


def test_missing_targets_give_no_gradient_and_no_nan():
    predicted = PREDICTED.clone().requires_grad_()
    masked_loss("mse", predicted, TARGET).backward()
    assert predicted.grad[0, 1] == 0 and torch.isfinite(predicted.grad).all()
    predicted.grad = None
    masked_loss("mse", predicted, torch.full((2, 2), float("nan"))).backward()
    assert (predicted.grad == 0).all()


def test_unknown_losses_and_a_missing_variance_are_refused():
    with pytest.raises(ConfigError, match="no loss 'rmse'"):
        masked_loss("rmse", PREDICTED, TARGET)
    with pytest.raises(ConfigError, match="variance"):
        masked_loss("nse", PREDICTED, TARGET)
