"""A tile with the exact halo gives what the whole frame gives there, and one cell less does not."""

from __future__ import annotations

import pytest
import torch

from freshet.core.inference.tiles import halo_of, tiles_of
from freshet.core.models import build_model
from freshet.core.models import near as near_module
from freshet.core.models.base import WHOLE_FRAME_PX
from freshet.core.models.carry import carrying_layers, from_maps, going_on, tensors_of, to_maps, with_tensors
from freshet.core.models.near import Region, predict_within

from .test_every_family import MAPS, make, run, sample

OPTIONS = [
    {"hidden": [5, 7], "kernel": [3], "head_kernel": 3, "normalisation": "batch"},
    {"hidden": [4], "kernel": [5], "peepholes": True},
    {"hidden": [4, 5, 3], "kernel": [3, 5, 1], "padding": "replicate", "mask_channels": True},
]
ROWS, COLUMNS, STEPS = 33, 27, 4


def build(options):
    model = build_model("convlstm", 2, 1, static_channels=1, leads=2, **options).eval()
    for norm in model.encoder_norms:
        if hasattr(norm, "running_mean"):
            torch.nn.init.normal_(norm.running_mean)
            torch.nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return model


def tiled(model, x, static, observed, halo, side, by_tile):
    """A frame put together from tiles."""
    found = None
    for tile in tiles_of(x.shape[-2:], side, halo, 0):
        parts = [None if maps is None else maps[(..., *tile.outer)] for maps in (x, static, observed)]
        maps = by_tile(*parts, tile.box)
        found = maps.new_full((*maps.shape[:-2], *x.shape[-2:]), torch.nan) if found is None else found
        found[(..., *tile.inner)] = maps
    return found


def inputs(model, dtype=torch.float64):
    torch.manual_seed(1)
    static = torch.randn(2, 1, ROWS, COLUMNS, dtype=dtype)
    observed = torch.rand(2, STEPS, 2, ROWS, COLUMNS) > 0.1
    return torch.randn(2, STEPS, 2, ROWS, COLUMNS, dtype=dtype), static, observed


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("last_steps", [1, 3])
@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("gradients", [False, True])
def test_a_halo_that_shrinks_from_step_to_step_is_exact(options, last_steps, stride, gradients):
    torch.manual_seed(0)
    model = build(options).double()
    x, static, observed = inputs(model)
    with torch.set_grad_enabled(gradients):
        found = tiled(
            model, x, static, observed, model.halo_px(STEPS), 4,
            lambda *parts: predict_within(model, *parts, last_steps, stride),
        )  # fmt: skip
    made = model(x, static, observed, last_steps=last_steps)
    whole = made["y_hat_steps"] if last_steps > 1 else made["y_hat"][:, None]
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-11)


@pytest.mark.parametrize("options", OPTIONS)
def test_a_halo_one_cell_short_is_not(options):
    torch.manual_seed(0)
    model = build(options).double()
    x, static, observed = inputs(model)
    whole = model(x, static, observed)["y_hat"][:, None]
    short = tiled(
        model, x, static, observed, model.halo_px(STEPS) - 1, 4, lambda *parts: predict_within(model, *parts)
    )  # fmt: skip
    assert (short - whole).abs().max() > 1e-9


def test_the_region_shrinks_by_the_kernel_at_each_step(monkeypatch):
    sizes = []
    compute = near_module.ConvLSTMCell.forward
    monkeypatch.setattr(
        near_module.ConvLSTMCell, "forward",
        lambda self, frame, *more: sizes.append(tuple(frame.shape[1:3])) or compute(self, frame, *more),
    )  # fmt: skip
    model = build({"hidden": [3], "kernel": [3], "head_kernel": 3, "peepholes": True})
    x = torch.randn(1, STEPS, 2, 41, 41)
    predict_within(model, x, torch.randn(1, 1, 41, 41), None, Region(18, 22, 18, 22), 1, 1)
    assert sizes == [(4 + 2 * (1 + STEPS - step),) * 2 for step in range(STEPS)]


IN_TILES = [name for name in MAPS if halo_of(make(name), 3) < WHOLE_FRAME_PX and name != "convlstm"]


@pytest.mark.parametrize("name", IN_TILES)
def test_tiles_of_every_family_equal_the_whole_frame(name):
    model = make(name).eval()
    x, more = sample(name, batch=1, height=31, width=29, window=3)
    halo = halo_of(model, x.shape[1])
    tiles = tiles_of((31, 29), 6, halo, 0)
    whole = run(model, x, more)["y_hat"]
    for tile in tiles:
        cut = {key: _cut(value, tile.outer, (31, 29)) for key, value in more.items()}
        part = run(model, x[(..., *tile.outer)], cut)["y_hat"][(..., *tile.box.slices)]
        torch.testing.assert_close(part, whole[(..., *tile.inner)], rtol=3e-6, atol=1e-6)


def _cut(value, outer, frame):
    is_maps = isinstance(value, torch.Tensor) and tuple(value.shape[-2:]) == frame
    return value[(..., *outer)] if is_maps else value


CARRYING = [name for name in MAPS if carrying_layers(make(name)) is not None]


def test_families_with_plain_states_carry_them_on():
    assert {"convlstm", "convgru", "lstm"} <= set(CARRYING)
    assert not {"convlstm-ed", "cnn", "exp-hydro", "ridge", "persistence"} & set(CARRYING)


@pytest.mark.parametrize("name", CARRYING)
def test_carried_states_give_what_one_pass_gives(name):
    model = make(name).eval()
    x, more = sample(name, batch=2, window=9)
    whole = model(x, **more, last_steps=9)["y_hat_steps"]
    layers, states, found = carrying_layers(model), None, []
    back, forth = from_maps(model), to_maps(model)
    for steps in (slice(0, 4), slice(4, 5), slice(5, 9)):
        part = {key: value[:, steps] if key == "observed" else value for key, value in more.items()}
        count = steps.stop - steps.start
        with torch.inference_mode(), going_on(layers, states) as last:
            made = model(x[:, steps], **part, last_steps=count)
        found.append(made["y_hat_steps"] if count > 1 else made["y_hat"][:, None])
        maps = [forth(tensor, *x.shape[-2:]) for tensor in tensors_of(last)]
        assert all(tensor.shape[-2:] == x.shape[-2:] for tensor in maps)
        states = with_tensors(last, (back(tensor) for tensor in maps))
    torch.testing.assert_close(torch.cat(found, dim=1), whole, rtol=1e-5, atol=1e-6)
