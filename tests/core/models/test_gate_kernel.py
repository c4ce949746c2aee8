"""The gates that families share, and what families make of kernels, against torch's own functions step by step."""

from __future__ import annotations

import copy

import pytest
import torch

from freshet.core.models import build_model, engine
from freshet.core.models.gating import lstm_update, memory_update
from freshet.core.models.stacked import ConvLSTMUnit, laid_out, unroll

FAMILIES = {
    "convlstm": {"hidden": (4, 6), "normalisation": "group"},
    "convlstm-ed": {"hidden": (4, 6)},
    "convlstm-gauge": {"hidden": (4,)},
    "convgru": {"hidden": (4, 6)},
    "convlstm-unet": {"hidden": (4, 6)},
    "predrnn": {"channels": 4, "layers": 2},
    "predrnn++": {"channels": 4, "layers": 2},
    "mim": {"channels": 4, "layers": 2},
    "cubic": {"channels": 4, "layers": 2, "frames": 2},
    "a-convlstm": {"hidden": (4, 6)},
    "cbam-convlstm": {"hidden": (4, 6)},
    "sa-convlstm": {"hidden": (4,)},
    "msa-convlstm": {"hidden": (4,), "heads": 2},
    "deform-convlstm": {"hidden": (4,)},
    "deform-convlstm-sac": {"hidden": (4,)},
    "gccl": {"hidden": (4,)},
    "partial-convlstm": {"hidden": (4,)},
    "cnn-biconvlstm": {"hidden": (4,), "cnn": (4,)},
}


def both_ways(function, inputs):
    """Results and gradients by a kernel, and step by step."""
    found = []
    for kernel in ("auto", "steps"):
        with engine.using(kernel=kernel):
            results = function()
        results = results if isinstance(results, (tuple, list)) else (results,)
        generator = torch.Generator().manual_seed(1)
        loss = sum((part * torch.randn(part.shape, generator=generator, dtype=part.dtype)).sum() for part in results)
        slopes = torch.autograd.grad(loss, inputs, allow_unused=True)
        found.append([part.detach() for part in results] + [part for part in slopes if part is not None])
    return found


def agree(found, expected, rtol):
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        assert one.dtype is other.dtype
        torch.testing.assert_close(one, other, rtol=0, atol=rtol * max(1e-3, float(other.abs().max())))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("given", ["h", "c", "both"])
def test_an_update_and_its_gradients_equal_torchs_own(layout, started, given):
    torch.manual_seed(0)
    gates = torch.randn(2, 12, 5, 4, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    c = torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True) if started else None
    chosen = {"h": slice(0, 1), "c": slice(1, 2), "both": slice(0, 2)}[given]
    inputs = [gates] + [c] * started
    found, expected = both_ways(lambda: lstm_update(gates * 1.0, c)[chosen], inputs)
    agree(found, expected, 1e-13)


@pytest.mark.parametrize("order", ["ifg", "gif"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_memory_and_its_gradients_equal_torchs_own(order, layout):
    torch.manual_seed(0)
    gates = torch.randn(2, 9, 5, 4, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    c = torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    found, expected = both_ways(lambda: memory_update(gates * 1.0, c, 0.7, order), [gates, c])
    agree(found, expected, 1e-13)


def test_gates_that_are_a_view_stay_as_they_are():
    whole = torch.randn(2, 5, 4, 12)
    before = whole.clone()
    lstm_update(whole.permute(0, 3, 1, 2), None)
    memory_update(whole.permute(0, 3, 1, 2), torch.randn(2, 4, 5, 4), 1.0)
    assert torch.equal(whole, before)


def test_a_gradient_of_another_layout():
    torch.manual_seed(0)
    gates = torch.randn(2, 12, 6, 4, dtype=torch.float64, requires_grad=True)
    c = torch.randn(2, 3, 6, 4, dtype=torch.float64, requires_grad=True)

    def function():
        h, new = lstm_update(gates * 1.0, c)
        return h.transpose(1, 3)[:, ::2].square(), new[:, :, :1].expand(-1, -1, 5, -1)

    found, expected = both_ways(function, [gates, c])
    agree(found, expected, 1e-13)


@pytest.mark.parametrize("warm_up", [0, 2])
def test_a_unit_gives_the_same_by_the_kernel(warm_up):
    torch.manual_seed(0)
    unit = ConvLSTMUnit(3, 4, 3).double()
    frames = [torch.randn(2, 3, 6, 5, dtype=torch.float64, requires_grad=True) for _ in range(4)]
    found, expected = both_ways(lambda: unroll(unit, frames, warm_up), [*unit.parameters(), *frames[warm_up:]])
    agree(found, expected, 1e-12)
    calls = []
    handle = unit.register_forward_hook(lambda *_: calls.append(1))
    hooked = unroll(unit, frames, warm_up)
    handle.remove()
    assert len(calls) == 4
    agree([part.detach() for part in hooked], expected[:4], 1e-12)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("bits", [32, 16])
def test_every_family_gives_the_same_with_and_without_kernels(name, bits):
    torch.manual_seed(0)
    more = {"gauges": 2} if name == "convlstm-gauge" else {}
    model = build_model(
        name, 2, 1, static_channels=1, leads=2 if name == "convlstm-ed" else 1, **more, **FAMILIES[name]
    )
    x, static = torch.randn(2, 4, 2, 8, 9), torch.randn(2, 1, 8, 9)
    model(x, static)  # graphs and weights that take their size from the first map
    results = []
    for kernel in ("auto", "steps"):
        module = copy.deepcopy(model)
        with engine.using(kernel=kernel), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bits == 16):
            found = module(x, static)["y_hat"].float()
        found.square().sum().backward()
        results.append([found.detach(), *(p.grad for p in module.parameters() if p.grad is not None)])
    if bits == 32:
        agree(results[0], results[1], 1e-4)
    else:
        for one, other in zip(*results):
            assert float((one - other).norm()) <= 0.05 * float(other.norm()) + 1e-4


def test_maps_lie_channels_last_but_under_a_transform():
    maps = torch.randn(2, 3, 4, 5)
    assert laid_out(maps).is_contiguous(memory_format=torch.channels_last)
    mapped = torch.func.vmap(lambda one: laid_out(one[None])[0])(maps)
    assert torch.equal(mapped, maps)
