"""Learning rates over a training, each against its equation or torch's own."""

from __future__ import annotations

import math

import pytest
import torch

from freshet.core.contracts import ConfigError, TrainingConfig
from freshet.core.training.schedules import Plateau, learning_rate, make_optimizer


def test_constant_and_cosine():
    constant = TrainingConfig(schedule="constant", learning_rate=0.3)
    assert [learning_rate(constant, e, e / 20) for e in (0.0, 7.5, 19.9)] == [0.3] * 3
    cosine = TrainingConfig(schedule="cosine", learning_rate=0.3)
    assert learning_rate(cosine, 0.0, 0.0) == pytest.approx(0.3)
    assert learning_rate(cosine, 10.0, 0.5) == pytest.approx(0.3 * (0.02 + 0.98 * 0.5))
    assert learning_rate(cosine, 20.0, 1.0) == pytest.approx(0.3 * 0.02)


def test_steps_are_those_of_torch():
    config = TrainingConfig(schedule="step", schedule_epochs=3, schedule_factor=0.1, learning_rate=0.5)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    theirs = torch.optim.lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.1)
    for epoch in range(10):
        for part in (0.0, 0.5):
            assert learning_rate(config, epoch + part, 0.0) == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()


def test_the_plateau_falls_where_that_of_torch_does():
    losses = [5.0, 4.0, 4.0, 4.1, 4.2, 3.9, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 3.0, 3.0]
    config = TrainingConfig(schedule="plateau", schedule_epochs=2, schedule_factor=0.5, learning_rate=1.0, patience=9)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, threshold=0.0)
    plateau, rates = Plateau(), []
    for loss in losses:
        plateau.see(loss, config.schedule_epochs)
        theirs.step(loss)
        rates.append(learning_rate(config, 0.0, 0.0, plateau.falls))
        assert rates[-1] == pytest.approx(optimizer.param_groups[0]["lr"])
    assert len(set(rates)) == 4


def test_one_cycle_is_that_of_torch():
    config = TrainingConfig(schedule="one-cycle", learning_rate=0.2)
    steps = 1001
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.2, total_steps=steps, pct_start=0.3 + 0.7 / steps, cycle_momentum=False
    )
    for number in range(steps):
        assert learning_rate(config, 0.0, number / (steps - 1)) == pytest.approx(
            theirs.get_last_lr()[0], rel=1e-2, abs=1e-6
        )
        if number < steps - 1:
            optimizer.step()
            theirs.step()


def test_a_warm_up_rises_to_the_rate_of_the_schedule():
    config = TrainingConfig(schedule="constant", learning_rate=1.0, rate_warm_up=2.0)
    rates = [learning_rate(config, n / 5, 0.0, step=1 / 5) for n in range(12)]
    assert rates[:10] == pytest.approx([(n + 1) / 10 for n in range(10)]) and rates[10:] == [1.0, 1.0]


def test_adamw_decays_apart_from_the_gradient():
    def after(kind):
        torch.manual_seed(0)
        layer = torch.nn.Linear(2, 1)
        start = layer.weight.detach().clone()
        optimizer = make_optimizer(layer, TrainingConfig(optimizer=kind, learning_rate=0.1, weight_decay=0.5))
        (1000.0 * layer(torch.ones(1, 2))).sum().backward()
        optimizer.step()
        return start, layer.weight.detach()

    start, moved = after("adamw")
    torch.testing.assert_close(
        moved, start * (1 - 0.1 * 0.5) - 0.1
    )  # the first step of Adam is the sign of the gradient
    start, moved = after("adam")
    torch.testing.assert_close(moved, start - 0.1, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schedule": "plateau", "schedule_epochs": 5}, "stop before the learning rate falls"),
        ({"schedule": "one-cycle", "rate_warm_up": 1.0}, "a rise of its own"),
        ({"rate_warm_up": 20.0}, "never reach its height"),
        ({"loss": "kge", "accumulate": 2}, "taken over a whole batch"),
        ({"schedule": "linear"}, "one of constant, cosine, step, plateau, one-cycle"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        TrainingConfig(**changes)


def test_a_plateau_survives_infinity():
    plateau = Plateau()
    plateau.see(math.inf, 1)
    plateau.see(1.0, 1)
    assert (plateau.best, plateau.waited, plateau.falls) == (1.0, 0, 0)
