"""The fast ConvLSTM equals the plain transcription of its equations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.models import build_model

from . import reference as ref

TOLERANCE = 1e-6


def randomise(model: torch.nn.Module, seed: int = 0) -> None:
    """Random values in every parameter, also in those that start at zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(0.3 * torch.randn(value.shape, generator=generator))


def inputs(channels: int, static: int = 0, batch: int = 2, window: int = 5, height: int = 7, width: int = 9) -> tuple:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, window, channels, height, width, generator=generator)
    maps = torch.randn(batch, static, height, width, generator=generator) if static else None
    return x, maps


def expected_many_to_one(model, x, static=None, sigma=ref.sigmoid) -> np.ndarray:
    frames = x.double().numpy().transpose(1, 0, 2, 3, 4)
    if static is not None:
        repeated = np.broadcast_to(static.double().numpy(), (len(frames), *static.shape))
        frames = np.concatenate([frames, repeated], axis=2)
    for cell in model.encoder:
        frames, _ = ref.layer(frames, ref.cell_parameters(cell), sigma)
    y = ref.head(model, frames[-1])
    return y.reshape(len(x), model.leads, model.out_channels, *x.shape[3:])


@pytest.mark.parametrize("kernel", [1, 3, (5, 3)])
@pytest.mark.parametrize("peepholes", [False, True])
@pytest.mark.parametrize("gate", ["sigmoid", "hard-sigmoid"])
def test_two_layers_with_static_maps_equal_the_equations(kernel, peepholes, gate):
    model = build_model(
        "convlstm", 3, 2, static_channels=2, leads=2, hidden=(4, 3), kernel=kernel, peepholes=peepholes,
        gate_activation=gate, head_kernel=3,
    )  # fmt: skip
    randomise(model)
    x, static = inputs(3, 2)
    sigma = ref.hard_sigmoid if gate == "hard-sigmoid" else ref.sigmoid
    expected = expected_many_to_one(model, x, static, sigma)
    np.testing.assert_allclose(model(x, static)["y_hat"].detach().numpy(), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_one_cell_grid_and_one_channel_equal_the_equations():
    model = build_model("convlstm", 1, 1, hidden=(1,))
    randomise(model)
    x, _ = inputs(1, height=1, width=1)
    np.testing.assert_allclose(model(x)["y_hat"].detach().numpy(), expected_many_to_one(model, x), atol=TOLERANCE)


def test_gradients_equal_those_of_numerical_differences():
    model = build_model(
        "convlstm", 2, 1, static_channels=1, hidden=(2, 2), peepholes=True, output="encoder-decoder", leads=2
    ).double()
    randomise(model)
    x, static = inputs(2, 1, batch=1, window=3, height=3, width=2)
    x, static = x.double().requires_grad_(), static.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: model(a, b)["y_hat"], (x, static))


def test_masks_of_observed_input_are_channels_after_the_dynamic_ones():
    model = build_model("convlstm", 2, 1, hidden=(3,), mask_channels=True)
    randomise(model)
    x, _ = inputs(2)
    observed = (torch.rand(x.shape, generator=torch.Generator().manual_seed(2)) > 0.4).float()
    expected = expected_many_to_one(model, torch.cat((x, observed), dim=2))
    np.testing.assert_allclose(model(x, observed=observed)["y_hat"].detach().numpy(), expected, atol=TOLERANCE)
    torch.testing.assert_close(model(x)["y_hat"], model(x, observed=torch.ones_like(x))["y_hat"])
    torch.testing.assert_close(model(x, observed=observed > 0)["y_hat"], model(x, observed=observed)["y_hat"])


def test_dropout_is_one_mask_per_sequence_and_gate(monkeypatch):
    model = build_model("convlstm", 2, 1, static_channels=1, hidden=(3,), dropout=0.3, recurrent_dropout=0.4)
    check_masks(model, monkeypatch)


@pytest.mark.parametrize("only", ["dropout", "recurrent_dropout"])
def test_either_dropout_works_without_the_other(only):
    model = build_model("convlstm", 2, 1, static_channels=1, hidden=(3,), **{only: 0.5})
    x, static = inputs(2, 1)
    for mask_rate in ("dropout", "recurrent_dropout"):
        setattr(model.encoder[0], mask_rate, 0.0)
    exact = model(x, static)["y_hat"]
    setattr(model.encoder[0], only, 1e-12)  # a mask of ones: the path with masks must give what the path without gives
    torch.testing.assert_close(model(x, static)["y_hat"], exact, rtol=TOLERANCE, atol=TOLERANCE)


def check_masks(model, monkeypatch) -> None:
    randomise(model)
    x, static = inputs(2, 1)
    drawn = []
    cell = model.encoder[0]
    draw = cell._mask
    monkeypatch.setattr(cell, "_mask", lambda *args: drawn.append(draw(*args)) or drawn[-1])
    y = model.train()(x, static)["y_hat"].detach().numpy()
    assert len(drawn) == 2
    input_masks, state_masks = (mask.double().numpy().transpose(3, 0, 4, 1, 2) for mask in drawn)
    assert set(np.unique(input_masks.round(4))) == {0.0, round(1 / 0.7, 4)}
    repeated = static[:, None].expand(-1, x.shape[1], -1, -1, -1)
    frames = torch.cat((x, repeated), dim=2).double().numpy().transpose(1, 0, 2, 3, 4)
    out, _ = ref.layer(frames, ref.cell_parameters(cell), input_masks=input_masks, state_masks=state_masks)
    np.testing.assert_allclose(y[:, 0], ref.head(model, out[-1]), atol=TOLERANCE)


@pytest.mark.parametrize("decoder_input", ["previous", "none"])
@pytest.mark.parametrize("static_channels", [0, 2])
def test_encoder_decoder_equals_a_plain_loop(decoder_input, static_channels):
    leads, targets = 3, 2
    model = build_model(
        "convlstm", 2, targets, static_channels=static_channels, leads=leads, hidden=(3, 4), peepholes=True,
        head_kernel=3, output="encoder-decoder", decoder_input=decoder_input,
    )  # fmt: skip
    randomise(model)
    x, static = inputs(2, static_channels)
    y = model(x, static)["y_hat"]
    assert y.shape == (2, leads, targets, 7, 9)
    expected = expected_encoder_decoder(model, x, static, decoder_input == "previous")
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=TOLERANCE, atol=TOLERANCE)


def expected_encoder_decoder(model, x, static, feeds_back) -> np.ndarray:
    batch, window, _, height, width = x.shape
    fixed = np.zeros((batch, 0, height, width)) if static is None else static.double().numpy()
    frames = np.stack([np.concatenate([x[:, t].double().numpy(), fixed], axis=1) for t in range(window)])
    states = []
    for cell in model.encoder:
        frames, c = ref.layer(frames, ref.cell_parameters(cell))
        states.append((frames[-1], c))
    previous = np.zeros((batch, model.out_channels if feeds_back else 0, height, width))
    predictions = []
    for _ in range(model.leads):
        maps = np.concatenate([previous, fixed], axis=1)
        for k, cell in enumerate(model.decoder):
            parameters = ref.cell_parameters(cell)
            parameters.setdefault("weight_x", np.zeros((len(parameters["bias"]), 0, 1, 1)))
            parameters["h0"], parameters["c0"] = states[k]
            out, c = ref.layer(maps[None], parameters)
            maps, states[k] = out[0], (out[0], c)
        predictions.append(ref.head(model, maps))
        previous = predictions[-1][:, : previous.shape[1]]
    return np.stack(predictions, axis=1)


def test_an_earlier_step_equals_the_model_on_the_truncated_window():
    model = build_model("convlstm", 2, 2, static_channels=1, leads=2, hidden=(4, 3), normalisation="batch").eval()
    randomise(model)
    x, static = inputs(2, 1, window=6)
    result = model(x, static, last_steps=4)
    assert result["y_hat_steps"].shape == (2, 4, 2, 2, 7, 9)
    for k in range(4):
        truncated = model(x[:, : 6 - k], static)["y_hat"]
        torch.testing.assert_close(result["y_hat_steps"][:, 3 - k], truncated, rtol=TOLERANCE, atol=TOLERANCE)
    torch.testing.assert_close(result["y_hat_steps"][:, -1], result["y_hat"], rtol=0, atol=0)


def test_replicate_padding_keeps_a_constant_map_constant_and_zeros_do_not():
    x = torch.ones(1, 3, 1, 5, 6)
    for padding, spread in (("replicate", False), ("zeros", True)):
        model = build_model("convlstm", 1, 1, hidden=(3,), kernel=5, head_kernel=3, padding=padding)
        randomise(model)
        y = model(x)["y_hat"]
        assert bool((y.max() - y.min()) > 1e-4) is spread
