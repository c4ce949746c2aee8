"""What the ConvLSTM family promises besides its equations."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from freshet.core.contracts.errors import ConfigError
from freshet.core.contracts.models import FAMILIES, family, resolve
from freshet.core.models import REGISTRY, build_model, list_models
from freshet.core.models.base import WHOLE_FRAME_PX

KINDS = [
    {},
    {"normalisation": "batch", "hidden": (8, 4), "head_kernel": 3, "peepholes": True},
    {"normalisation": "group", "gate_activation": "hard-sigmoid", "padding": "replicate"},
    {"output": "encoder-decoder", "hidden": (4, 4), "normalisation": "batch", "mask_channels": True},
    {"output": "encoder-decoder", "decoder_input": "none", "hidden": (4, 4), "normalisation": "group"},
]


def make(options: dict, **more):
    torch.manual_seed(0)
    return build_model("convlstm", 2, 1, static_channels=2, leads=2, **{"hidden": (8,), **options, **more})


def sample(batch: int = 3, window: int = 4, height: int = 6, width: int = 5) -> tuple:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(batch, window, 2, height, width, generator=generator)
    return x, torch.randn(batch, 2, height, width, generator=generator)


def count(parameters) -> int:
    return sum(item.numel() for item in parameters)


def test_the_wflow_preset_has_the_parameters_of_the_published_table():
    model = build_model("convlstm-wflow", 4, 1)
    statistics = [item for norm in model.encoder_norms for item in (norm.running_mean, norm.running_var)]
    norms = [count(norm.parameters()) + 2 * norm.num_features for norm in model.encoder_norms]
    head = model.head_weight.numel() + model.head_bias.numel()
    assert [count(cell.parameters()) for cell in model.encoder] == [41_600, 221_440]
    assert (norms, head) == ([128, 256], 577)
    assert count(model.parameters()) == 263_809
    assert count(model.parameters()) + count(statistics) == 264_001


def test_start_values_follow_keras():
    cell = build_model("convlstm", 3, 1, hidden=(6,), forget_bias=1.5).encoder[0]
    assert cell.bias.tolist() == [0.0] * 6 + [1.5] * 6 + [0.0] * 12
    rows = cell.weight_h.detach().flatten(1)
    torch.testing.assert_close(rows @ rows.T, torch.eye(24), rtol=0, atol=1e-5)
    assert cell.weight_x.abs().max() <= (6 / (9 * 3 + 9 * 24)) ** 0.5


@pytest.mark.parametrize("options", KINDS)
def test_a_sample_does_not_depend_on_its_batch_in_evaluation(options):
    model = make(options).eval()
    x, static = sample()
    together = model(x, static)["y_hat"]
    alone = torch.cat([model(x[k : k + 1], static[k : k + 1])["y_hat"] for k in range(len(x))])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", KINDS)
def test_every_parameter_gets_a_gradient(options):
    model = make(options, dropout=0.1, recurrent_dropout=0.1).train()
    x, static = sample()
    model(x, static)["y_hat"].square().mean().backward()
    still = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert still == []


@pytest.mark.parametrize("options", KINDS)
def test_runs_on_grids_of_another_size_and_in_double_precision(options):
    model = make(options).eval()
    for height, width in ((6, 5), (1, 1), (11, 3)):
        x, static = sample(height=height, width=width)
        assert model(x, static)["y_hat"].shape == (3, 2, 1, height, width)
    assert model.double()(x.double(), static.double())["y_hat"].dtype == torch.float64


@pytest.mark.parametrize("options", KINDS)
def test_bfloat16_autocast_stays_near_float32_and_trains(options):
    model = make(options)
    x, static = sample()
    exact = model(x, static)["y_hat"]
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(x, static)["y_hat"]
    assert (rough.float() - exact).norm() / exact.norm() < 0.05
    rough.float().square().mean().backward()
    assert all(torch.isfinite(value.grad).all() for value in model.parameters())


def test_the_memory_stays_in_float32_under_autocast():
    cell = make({}).encoder[0]
    frames = torch.randn(2, 1, 4, 4, 2)
    with torch.autocast("cpu", torch.bfloat16):
        context = cell.begin(frames[0], torch.randn(1, 4, 4, 2))
        first = cell(frames[0], None, context)
        second = cell(frames[1], first, context)
    assert [first.h.dtype, second.h.dtype] == [torch.bfloat16] * 2
    assert [first.c.dtype, second.c.dtype] == [torch.float32] * 2


def test_overfits_one_small_batch():
    torch.manual_seed(0)
    model = build_model("convlstm", 2, 1, hidden=(12,))
    x, _ = sample(batch=2)
    target = x[:, 0, :1, :, :].unsqueeze(1)  # the oldest step: only the memory knows it
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        loss = (model(x)["y_hat"] - target).square().mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02 * target.var().item()


def test_dropout_acts_in_training_only():
    model = make({}, dropout=0.5, recurrent_dropout=0.5)
    x, static = sample()
    assert not torch.equal(model.train()(x, static)["y_hat"], model(x, static)["y_hat"])
    assert torch.equal(model.eval()(x, static)["y_hat"], model(x, static)["y_hat"])


HALOS = [
    ({"hidden": (3,)}, 3),
    ({"hidden": (3, 3), "head_kernel": 3}, 5),
    ({"hidden": (3, 3), "kernel": (5, 3), "head_kernel": 1}, 7),
    ({"hidden": (3, 3), "normalisation": "batch"}, 4),
    ({"hidden": (3,), "output": "encoder-decoder", "decoder_input": "none"}, 5),
    ({"hidden": (3, 3), "output": "encoder-decoder", "head_kernel": 3}, 9),
]


@pytest.mark.parametrize(("options", "expected"), HALOS)
def test_the_halo_is_exact(options, expected):
    window, width = 3, 2 * expected + 5
    torch.manual_seed(0)
    model = build_model("convlstm", 1, 1, leads=2, **options).double().eval()
    x = torch.randn(1, window, 1, 3, width, dtype=torch.float64)
    before = model(x)["y_hat"]
    changed = x.clone()
    changed[..., 0] += 1.0
    moved = (model(changed)["y_hat"] != before).flatten(0, -2).any(dim=0)
    assert model.halo_px(window) == expected
    assert moved[: expected + 1].all()
    assert not moved[expected + 1 :].any()


def test_group_normalisation_asks_for_the_whole_frame():
    assert make({"normalisation": "group"}).halo_px(3) == WHOLE_FRAME_PX


def test_tells_what_it_reads():
    plain = build_model("convlstm", 2, 1)
    full = build_model("convlstm", 2, 1, static_channels=1, mask_channels=True)
    assert (plain.uses_static, plain.uses_observed) == (False, False)
    assert (full.uses_static, full.uses_observed) == (True, True)
    x, static = sample()
    torch.testing.assert_close(plain(x, static, torch.zeros_like(x))["y_hat"], plain(x)["y_hat"])


REFUSED = [
    ("convlstmm", {}, "convlstm, convlstm-wflow"),
    ("convlstm", {"hiden": (8,)}, "'hiden'"),
    ("convlstm", {"kernel": 4}, "1, 3, 5"),
    ("convlstm", {"kernel": (3, 4), "hidden": (8, 8)}, "kernel[1]"),
    ("convlstm", {"kernel": (3, 3, 3), "hidden": (8, 8)}, "2 sizes"),
    ("convlstm", {"hidden": ()}, "at least one layer"),
    ("convlstm", {"hidden": (0,)}, "at least 1"),
    ("convlstm", {"dropout": 1.0}, "at most 0.9"),
    ("convlstm", {"recurrent_dropout": -0.1}, "at least 0"),
    ("convlstm", {"normalisation": "layer"}, "none, batch, group"),
    ("convlstm", {"leads": 0}, "leads"),
    ("convlstm", {"static_channels": -1}, "static_channels"),
]


@pytest.mark.parametrize(("name", "options", "hint"), REFUSED)
def test_refuses_what_it_cannot_build_with_a_sentence(name, options, hint):
    with pytest.raises(ConfigError) as caught:
        build_model(name, 2, 1, **options)
    assert hint in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("sizes", [(0, 1), (2, 0), (2.5, 1), (True, 1)])
def test_refuses_impossible_numbers_of_channels(sizes):
    with pytest.raises(ConfigError, match="whole number"):
        build_model("convlstm", *sizes)


def test_refuses_input_that_does_not_fit():
    x, static = sample()
    model = make({"mask_channels": True})
    cases = [
        ((x[:, :, :1], static), "dynamic input"),
        ((x[:, :0], static), "dynamic input"),
        ((x[0], static), "dynamic input"),
        ((x, None), "static input"),
        ((x, static[..., :-1]), "static input"),
        ((x, static, x[:, 1:]), "mask of observed input"),
        ((x, static, None, 5), "1 to 4 steps"),
        ((x, static, None, 0), "1 to 4 steps"),
    ]
    for arguments, hint in cases:
        with pytest.raises(ConfigError, match=hint):
            model(*arguments)
    with pytest.raises(ConfigError, match="many-to-one"):
        make({"output": "encoder-decoder"})(x, static, last_steps=2)


def test_batch_normalisation_of_a_single_value_is_refused_in_training_only():
    model = make({"normalisation": "batch"})
    x, static = sample(batch=1, window=1, height=1, width=1)
    with pytest.raises(ConfigError, match="single value"):
        model.train()(x, static)
    assert model.eval()(x, static)["y_hat"].shape == (1, 2, 1, 1, 1)


def test_a_preset_gives_way_to_options_and_completes_the_rest():
    name, options = resolve("convlstm-wflow", {"dropout": 0.3, "kernel": 5})
    assert name == "convlstm"
    assert (options["dropout"], options["kernel"]) == (0.3, (5,))
    assert (options["hidden"], options["forget_bias"]) == ((32, 64), 1.0)
    assert resolve(name, options) == (name, options)
    assert family("convlstm-wflow") is family("convlstm")


def test_every_option_explains_itself_and_every_preset_is_valid():
    for item in FAMILIES:
        assert item.label and item.summary
        for option in item.options:
            assert option.rule.label and option.rule.help
        for preset in item.presets:
            resolve(preset.name)


def test_the_registry_holds_families_of_the_catalogue_only():
    assert set(REGISTRY) <= {item.name for item in FAMILIES}
    assert {"convlstm", "convlstm-wflow"} <= set(list_models())


def test_listing_models_loads_no_torch():
    root = __file__.rsplit("core", 1)[0]
    code = "import conftest, sys, freshet.core.models as m; m.list_models(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_warm_up_changes_no_prediction_and_lets_no_gradient_through():
    torch.manual_seed(0)
    model = build_model("convlstm", 2, 1, hidden=(3, 4))
    x = torch.randn(1, 7, 2, 5, 4, requires_grad=True)
    whole, warmed = model(x)["y_hat"], model(x, warm_up=4)["y_hat"]
    assert torch.equal(whole, warmed)
    gradient = torch.autograd.grad(warmed.sum(), x)[0]
    assert (gradient[:, :4] == 0).all() and (gradient[:, 4:] != 0).any()
