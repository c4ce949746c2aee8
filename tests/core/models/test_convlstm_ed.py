"""ConvLSTM encoder-decoder: equations by loops with inputs known ahead, scheduled sampling, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.contracts.errors import ConfigError
from freshet.core.models import build_model

from . import reference

LEADS, AHEAD = 3, 2


def make(targets=1, static=1, ahead=AHEAD, leads=LEADS, **options):
    torch.manual_seed(0)
    options = {"hidden": (4, 3), "head_kernel": 3, **options}
    sizes = {"static_channels": static, "leads": leads, "ahead_channels": ahead}
    model = build_model("convlstm-ed", 2, targets, **sizes, **options).double()
    torch.nn.init.normal_(model.head_bias)
    return model


def data(batch=2, rows=5, columns=4, targets=1):
    torch.manual_seed(2)
    x = torch.randn(batch, 4, 2, rows, columns).double()
    static = torch.randn(batch, 1, rows, columns).double()
    ahead = torch.randn(batch, LEADS, AHEAD, rows, columns).double()
    return x, static, ahead, torch.randn(batch, LEADS, targets, rows, columns).double()


def by_loops(model, x, static, ahead, told=None):
    """(B, L, K, H, W): the layers of the encoder one after the other, then one step a lead. ``told`` (B, L, K, H, W):
    what the decoder reads in place of its own predictions.
    """
    x, static, ahead = x.numpy(), static.numpy(), ahead.numpy()
    frames = np.concatenate([x, np.repeat(static[:, None], x.shape[1], axis=1)], axis=2).transpose(1, 0, 2, 3, 4)
    states = []
    for cell in model.encoder:
        frames, c = reference.layer(frames, reference.cell_parameters(cell))
        states.append([frames[-1], c])
    previous = np.zeros((len(x), model.out_channels, *x.shape[3:]))
    predictions = []
    for lead in range(model.leads):
        if lead and told is not None:
            previous = told[:, lead - 1]
        parts = ([previous] if model.feeds_back else []) + [ahead[:, lead], static]
        maps = np.concatenate(parts, axis=1)
        for cell, state in zip(model.decoder, states):
            weights = {**reference.cell_parameters(cell), "h0": state[0], "c0": state[1]}
            outputs, state[1] = reference.layer(maps[None], weights)
            maps = state[0] = outputs[0]
        previous = reference.head(model, maps)
        predictions.append(previous)
    return np.stack(predictions, axis=1)


@pytest.mark.parametrize("decoder_input", ["previous", "none"])
def test_it_equals_its_equations_written_as_loops(decoder_input):
    model = make(targets=2, decoder_input=decoder_input).eval()
    x, static, ahead, _ = data()
    found = model(x, static, ahead=ahead)["y_hat"].detach().numpy()
    np.testing.assert_allclose(found, by_loops(model, x, static, ahead), rtol=1e-8, atol=1e-10)


def test_with_the_whole_truth_each_lead_goes_on_from_the_truth_before_it():
    model = make().train()
    x, static, ahead, truth = data()
    told = model(x, static, ahead=ahead, truth=truth, sampling=1.0)["y_hat"].detach().numpy()
    np.testing.assert_allclose(told, by_loops(model, x, static, ahead, truth.numpy()), rtol=1e-8, atol=1e-10)
    own = model(x, static, ahead=ahead, truth=truth, sampling=0.0)["y_hat"]
    np.testing.assert_allclose(own.detach().numpy(), by_loops(model, x, static, ahead), rtol=1e-8, atol=1e-10)
    model.eval()
    alone = model(x, static, ahead=ahead, truth=truth, sampling=1.0)["y_hat"]
    assert torch.equal(alone, own)  # no truth outside training


def test_missing_truth_keeps_the_prediction():
    model = make().train()
    x, static, ahead, truth = data()
    nothing = torch.full_like(truth, float("nan"))
    own = model(x, static, ahead=ahead)["y_hat"]
    assert torch.equal(model(x, static, ahead=ahead, truth=nothing, sampling=1.0)["y_hat"], own)
    truth[..., 2:, :] = float("nan")
    part = model(x, static, ahead=ahead, truth=truth, sampling=1.0)["y_hat"]
    assert torch.isfinite(part).all() and not torch.equal(part, own)
    part.sum().backward()
    assert all(torch.isfinite(value.grad).all() for value in model.parameters())


def test_about_the_share_of_samples_and_leads_reads_the_truth():
    model = make(leads=2, hidden=(2,), ahead=0, static=0).train()
    x = torch.randn(1, 2, 2, 3, 3).double().expand(400, -1, -1, -1, -1)
    truth = torch.full((400, 2, 1, 3, 3), 5.0).double()
    own = model(x)["y_hat"][:, 1]
    drawn = model(x, truth=truth, sampling=0.3)["y_hat"][:, 1]
    told = (drawn - own).abs().amax(dim=(1, 2, 3)) > 1e-9
    assert 0.2 < told.double().mean().item() < 0.4
    torch.manual_seed(4)
    first = model(x, truth=truth, sampling=0.3)["y_hat"]
    torch.manual_seed(4)
    assert torch.equal(model(x, truth=truth, sampling=0.3)["y_hat"], first)


def test_what_is_known_ahead_acts_from_its_own_lead_on():
    model = make().eval()
    x, static, ahead, _ = data()
    before = model(x, static, ahead=ahead)["y_hat"]
    ahead[:, 1] += 1.0
    after = model(x, static, ahead=ahead)["y_hat"]
    assert torch.equal(after[:, 0], before[:, 0])
    assert not torch.equal(after[:, 1], before[:, 1]) and not torch.equal(after[:, 2], before[:, 2])


def test_every_parameter_has_a_gradient_also_at_one_lead_without_anything_to_read():
    for leads, static, ahead in ((1, 0, 0), (1, 1, 2), (3, 0, 0)):
        model = make(leads=leads, static=static, ahead=ahead).train()
        x, fixed, known, _ = data()
        more = {"ahead": known[:, :leads]} if ahead else {}
        model(x, fixed if static else None, **more)["y_hat"].square().sum().backward()
        assert [name for name, value in model.named_parameters() if not value.grad.any()] == []


def test_without_anything_ahead_it_is_the_encoder_decoder_of_the_convlstm():
    model = make(ahead=0).eval()
    twin = build_model(
        "convlstm", 2, 1, static_channels=1, leads=LEADS, hidden=(4, 3), head_kernel=3, output="encoder-decoder"
    ).double()
    twin.load_state_dict(model.state_dict())
    x, static, _, _ = data()
    assert torch.equal(twin.eval()(x, static)["y_hat"], model(x, static)["y_hat"])
    assert model.halo_px(4) == twin.halo_px(4)


def test_cells_beyond_the_halo_have_no_influence_through_what_is_known_ahead():
    model = make(static=0, hidden=(3,), head_kernel=1).eval()
    halo = model.halo_px(2)
    size = 2 * halo + 3
    x, ahead = torch.randn(1, 2, 2, size, size).double(), torch.randn(1, LEADS, AHEAD, size, size).double()
    before = model(x, ahead=ahead)["y_hat"][..., halo + 1, halo + 1]
    for maps in (x, ahead):
        maps[..., 0, :] += 50.0
        maps[..., :, -1] += 50.0
    assert torch.equal(model(x, ahead=ahead)["y_hat"][..., halo + 1, halo + 1], before)


def test_what_does_not_fit_is_refused():
    model = make()
    x, static, ahead, truth = data()
    with pytest.raises(ConfigError, match="input that is known ahead"):
        model(x, static)
    with pytest.raises(ConfigError, match="input that is known ahead"):
        model(x, static, ahead=ahead[:, :2])
    with pytest.raises(ConfigError, match="truth"):
        model(x, static, ahead=ahead, truth=truth[:, :, :, 1:], sampling=0.5)
    with pytest.raises(ConfigError, match="convlstm-ed.kernel"):
        build_model("convlstm-ed", 2, 1, hidden=(3,), kernel=(3, 3))
    with pytest.raises(ConfigError, match="no option 'output'"):
        build_model("convlstm-ed", 2, 1, output="many-to-one")
    with pytest.raises(ConfigError, match="convlstm-ed"):
        build_model("convgru", 2, 1, ahead_channels=1)
