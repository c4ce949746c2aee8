"""The sequence kernel of ConvLSTM layers against the same cell, step by step in torch's own functions."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch

from freshet.core.models import build_model, engine, sequence, sequence_kernel, side_by_side
from freshet.core.models.cells import ConvLSTMCell, State

DOUBLE = torch.float64


def of_steps(cell, frames, start=None, warm_up=0, static=None):
    """Outputs (T, B, H, W, hidden) and the final state, step by step."""
    context, state, outputs = cell.begin(frames[0], static), start, []
    for number, frame in enumerate(frames.unbind(0)):
        with torch.set_grad_enabled(torch.is_grad_enabled() and number >= warm_up):
            state = cell(frame, state, context)
        outputs.append(state.h)
    return torch.stack(outputs), *state


def of_kernel(cell, frames, start=None, warm_up=0, static=None, last=0):
    layer = cell.whole(cell.begin(frames[0], static), frames)
    assert layer is not None
    return sequence.run_layer(layer, frames, start, warm_up, last)


def problem(static=0, started=False, kernel=3, size=(5, 2, 7, 6), channels=(3, 5), kind=DOUBLE):
    """A cell, frames, start and static maps, all with a gradient."""
    torch.manual_seed(0)
    steps, batch, rows, columns = size
    cell = ConvLSTMCell(channels[0], channels[1], kernel, static_channels=static).to(kind)

    def maps(*shape):
        return torch.randn(*shape, dtype=kind, requires_grad=True)

    frames = maps(steps, batch, rows, columns, channels[0])
    start = State(*(maps(batch, rows, columns, channels[1]) for _ in range(2))) if started else None
    fixed = maps(batch, rows, columns, static) if static else None
    return cell, frames, start, fixed


def gradients(found, inputs):
    """Of a loss that weighs every number of all results differently."""
    generator = torch.Generator().manual_seed(1)
    loss = sum((part * torch.randn(part.shape, generator=generator, dtype=DOUBLE)).sum() for part in found)
    return [
        torch.zeros_like(item) if grad is None else grad
        for item, grad in zip(inputs, torch.autograd.grad(loss, inputs, allow_unused=True))
    ]


def agree(found, expected, rtol):
    """Relative to the largest number of each tensor."""
    for one, other in zip(found, expected):
        torch.testing.assert_close(one, other, rtol=0, atol=rtol * max(1e-3, float(other.detach().abs().max())))


WAYS = [
    dict(zip(("static", "started", "recompute", "hoist", "warm_up"), values))
    for values in itertools.product((0, 2), (False, True), (False, True), ("on", "off"), (0, 2))
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(str(value) for value in way.values()))
@pytest.mark.parametrize(("groups", "group_bytes"), [(1, 2**20), (2, 2**20), (2, 0)])
def test_outputs_states_and_gradients_equal_those_of_single_steps(way, groups, group_bytes, monkeypatch):
    parts = [slice(None)] if groups == 1 else [slice(0, 1), slice(1, 2)]
    monkeypatch.setattr(sequence, "groups_of", lambda *_: parts)
    monkeypatch.setattr(sequence, "_GROUP_BYTES", group_bytes)  # 0: a gradient of the weights for each step alone
    cell, frames, start, fixed = problem(way["static"], way["started"])
    inputs = [frames, *cell.parameters(), *(start or ()), *([] if fixed is None else [fixed])]
    expected = of_steps(cell, frames, start, way["warm_up"], fixed)
    with engine.using(recompute=way["recompute"], hoist=way["hoist"]):
        found = of_kernel(cell, frames, start, way["warm_up"], fixed)
    agree(found, expected, 1e-14)
    agree(gradients(found, inputs), gradients(expected, inputs), 1e-12)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(str(value) for value in way.values()))
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("last", [0, 1])
def test_an_input_that_is_used_up_gives_the_same_gradients(way, groups, last, monkeypatch):
    monkeypatch.setattr(sequence, "groups_of", lambda *_: [slice(None)] if groups == 1 else [slice(0, 1), slice(1, 2)])
    monkeypatch.setattr(sequence, "_GROUP_BYTES", 0)  # as on all but the smallest maps
    cell, frames, start, fixed = problem(way["static"], way["started"])
    inputs = [frames, *cell.parameters(), *(start or ()), *([] if fixed is None else [fixed])]
    outputs, *state = of_steps(cell, frames, start, way["warm_up"], fixed)
    expected = gradients([outputs[-last:], *state], inputs)
    own = 1.0 * frames  # a result that nobody else reads
    before = own.detach().clone()
    with engine.using(recompute=way["recompute"], hoist=way["hoist"]):
        layer = cell.whole(cell.begin(frames[0], fixed), own)
        found = sequence.run_layer(layer, own, start, way["warm_up"], last, use_up=True)
    agree(found, [outputs[-last:], *state], 1e-14)
    agree(gradients(found, inputs), expected, 1e-12)
    assert torch.equal(own, before) is not way["recompute"], "its room is taken where memory is spared, else not"


def test_a_second_way_back_through_an_input_that_was_used_up_is_told():
    cell, frames, _, _ = problem(size=(4, 2, 64, 64), channels=(3, 8), kind=torch.float32)
    own = 1.0 * frames
    with engine.using(recompute=True):
        loss = sequence.run_layer(cell.whole(cell.begin(own[0]), own), own, use_up=True)[0].sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="goes back once"):
        loss.backward()


@pytest.mark.parametrize("normalisation", ["none", "batch", "group"])
@pytest.mark.parametrize("hooked", [False, True])
def test_a_model_that_spares_memory_learns_the_same(normalisation, hooked, monkeypatch):
    monkeypatch.setattr(sequence, "_GROUP_BYTES", 0)  # as on all but the smallest maps
    plans, apply = [], sequence_kernel.Sequence.apply
    monkeypatch.setattr(
        sequence_kernel.Sequence, "apply", lambda plan, *given: plans.append(plan) or apply(plan, *given)
    )
    torch.manual_seed(0)
    model = build_model("convlstm", 2, 1, hidden=(8, 6), normalisation=normalisation)
    x, seen, found = torch.randn(2, 4, 2, 40, 40), [], []
    if hooked:
        model.encoder_norms[0].register_forward_hook(lambda *given: seen.append(given[-1]))
    for recompute in (False, True):
        model.zero_grad()
        with engine.using(recompute=recompute):
            loss = model(x)["y_hat"].square().sum()
        kept = [item.detach().clone() for item in seen]
        loss.backward()
        assert all(torch.equal(one, other) for one, other in zip(seen, kept)), "what a hook looks at is left alone"
        found.append([parameter.grad.clone() for parameter in model.parameters()])
    agree(*found, 1e-5)
    own = normalisation != "none" and not hooked
    assert [plan.use_up for plan in plans] == [False, False, False, own], "the maps that a normalisation made for us"


@pytest.mark.parametrize("size", [(1, 1, 1, 1), (1, 3, 4, 5), (3, 1, 1, 7), (4, 3, 9, 1), (2, 1, 3, 3)])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("channels", [(1, 1), (4, 3), (2, 16)])
def test_odd_sizes(size, kernel, channels):
    cell, frames, _, _ = problem(kernel=kernel, size=size, channels=channels)
    inputs = [frames, *cell.parameters()]
    found, expected = of_kernel(cell, frames), of_steps(cell, frames)
    agree(found, expected, 1e-14)
    agree(gradients(found, inputs), gradients(expected, inputs), 1e-12)


@pytest.mark.parametrize("recompute", [False, True])
def test_gradients_are_those_of_finite_differences(recompute):
    cell, frames, start, _ = problem(started=True, size=(3, 1, 3, 2), channels=(2, 2))
    layer = (cell.weight_x, cell.weight_h, cell.bias)

    def function(frames, h, c, *layer):
        with engine.using(recompute=recompute):
            return sequence.run_layer(sequence.Layer(*layer), frames, (h, c))

    # A second way back computes the gates anew: the same but for rounding.
    assert torch.autograd.gradcheck(function, (frames, *start, *layer), nondet_tol=1e-12)


@pytest.mark.parametrize("last", [1, 3])
def test_the_last_outputs_alone(last):
    cell, frames, _, _ = problem()
    whole, some = of_kernel(cell, frames), of_kernel(cell, frames, last=last)
    assert some[0].shape[0] == last
    torch.testing.assert_close(some[0], whole[0][-last:], rtol=0, atol=0)
    inputs = [frames, *cell.parameters()]
    agree(gradients(some, inputs), gradients((whole[0][-last:], *whole[1:]), inputs), 1e-13)


def test_a_gradient_that_is_not_contiguous():
    cell, frames, _, _ = problem(size=(3, 2, 6, 6))
    inputs = [frames, *cell.parameters()]
    found = []
    for function in (of_kernel, of_steps):
        outputs = function(cell, frames)[0]
        # Turned, every second column, one row for all: none of these gradients is laid out as the outputs are.
        loss = (outputs.transpose(2, 3)[..., ::2] ** 2).sum() + outputs.sum() + 3.0 * outputs[:, :, :, 1].mean()
        found.append(torch.autograd.grad(loss, inputs))
    agree(found[0], found[1], 1e-12)


def test_a_batch_that_is_a_view_with_gaps():
    cell, _, _, _ = problem()
    wide = torch.randn(2, 9, 4, 6, 8, dtype=DOUBLE)
    frames = wide.permute(1, 0, 2, 3, 4)[::2, :, :, ::2, 2:5]
    assert not frames.is_contiguous()
    agree(of_kernel(cell, frames), of_steps(cell, frames), 1e-14)


@pytest.mark.parametrize("warm_up", [0, 2])
def test_prediction_without_gradients_equals_that_with(warm_up):
    cell, frames, start, fixed = problem(2, True, kind=torch.float32)
    expected = of_kernel(cell, frames, start, warm_up, fixed)
    with torch.inference_mode():
        found = of_kernel(cell, frames, start, warm_up, fixed)
    for one, other in zip(found, expected):
        assert torch.equal(one, other)


@pytest.mark.parametrize("recompute", [False, True])
def test_float32_and_bfloat16_are_as_close_as_their_digits_allow(recompute):
    cell, frames, _, fixed = problem(2, size=(8, 2, 12, 10), channels=(4, 16), kind=torch.float32)
    inputs = [frames, *cell.parameters(), fixed]
    wide = copy.deepcopy(cell).double()
    more = [frames.detach().double().requires_grad_(), *wide.parameters(), fixed.detach().double().requires_grad_()]
    exact = of_steps(wide, more[0], static=more[-1])
    slopes = gradients(exact, more)
    with engine.using(recompute=recompute):
        found = of_kernel(cell, frames, static=fixed)
        agree([part.double() for part in found], exact, 1e-6)
        agree([part.double() for part in gradients(found, inputs)], slopes, 1e-5)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            narrow = of_kernel(cell, frames, static=fixed)
    assert [part.dtype for part in narrow] == [torch.bfloat16, torch.bfloat16, torch.float32]
    agree([part.double() for part in narrow], exact, 1e-2)
    found = gradients(narrow, inputs)
    assert all(one.dtype is torch.float32 for one in found)
    for one, other in zip(found, slopes):
        assert float((one.double() - other).norm() / other.norm()) < 1e-2


def test_bfloat16_is_no_farther_from_the_truth_than_single_steps():
    cell, frames, _, _ = problem(size=(8, 2, 12, 10), channels=(4, 16), kind=torch.float32)
    exact = of_steps(copy.deepcopy(cell).double(), frames.detach().double())[0]
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        errors = [float((way(cell, frames)[0].double() - exact).norm()) for way in (of_kernel, of_steps)]
    assert errors[0] <= 1.1 * errors[1]


def test_the_same_bits_each_time():
    cell, frames, _, _ = problem(size=(4, 4, 16, 16), channels=(3, 8), kind=torch.float32)
    inputs = [frames, *cell.parameters()]
    first, again = (gradients(of_kernel(cell, frames), inputs) for _ in range(2))
    for one, other in zip(first, again):
        assert torch.equal(one, other)


def test_a_second_backward_pass_gives_the_same():
    cell, frames, _, _ = problem()
    loss = (of_kernel(cell, frames)[0] ** 2).sum()
    inputs = [frames, *cell.parameters()]
    first, again = (torch.autograd.grad(loss, inputs, retain_graph=True) for _ in range(2))
    agree(again, first, 1e-13)


def test_second_derivatives_are_refused_in_words_and_given_by_single_steps():
    cell, frames, _, _ = problem(size=(2, 1, 3, 3))
    (slope,) = torch.autograd.grad((of_kernel(cell, frames)[0] ** 2).sum(), frames, create_graph=True)
    with pytest.raises(RuntimeError, match="first derivatives only.*kernel='steps'"):
        slope.sum().backward()
    model = build_model("convlstm", 2, 1, hidden=(3,))
    x = torch.randn(1, 3, 2, 4, 4, requires_grad=True)
    with engine.using(kernel="steps"):
        (slope,) = torch.autograd.grad((model(x)["y_hat"] ** 2).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(slope.sum(), x)
    assert float(second.abs().sum()) > 0.0


@pytest.mark.parametrize(
    "options",
    [
        {"peepholes": True},
        {"gate_activation": "hard-sigmoid"},
        {"state_activation": "relu"},
        {"padding": "replicate"},
        {"dropout": 0.5},
        {"recurrent_dropout": 0.5},
    ],
    ids=str,
)
def test_options_that_the_kernel_does_not_know_go_step_by_step(options):
    cell = ConvLSTMCell(2, 3, 3, **options)
    frames = torch.randn(2, 1, 4, 4, 2)
    assert cell.whole(cell.begin(frames[0]), frames) is None
    masked = "dropout" in str(options)
    cell.eval()
    assert (cell.whole(cell.begin(frames[0]), frames) is not None) is masked


def test_a_hook_on_a_cell_sees_every_step():
    model, seen = build_model("convlstm", 2, 1, hidden=(3, 4)).eval(), []
    x = torch.randn(1, 5, 2, 4, 4)
    plain = model(x)["y_hat"]
    handle = model.encoder[1].register_forward_hook(lambda *_: seen.append(1))
    hooked = model(x)["y_hat"]
    handle.remove()
    assert len(seen) == 5
    torch.testing.assert_close(hooked, plain, rtol=0, atol=1e-6)


def test_other_ways_of_differentiating_go_step_by_step():
    model = build_model("convlstm", 2, 1, hidden=(3, 4)).eval()
    x, direction = torch.randn(2, 3, 2, 4, 5), torch.randn(2, 3, 2, 4, 5)

    def function(x):
        return model(x)["y_hat"]

    step = 1e-3
    with torch.no_grad():
        slope = (function(x + step * direction) - function(x - step * direction)) / (2 * step)
        with torch.autograd.forward_ad.dual_level():
            dual = function(torch.autograd.forward_ad.make_dual(x, direction))
            tangent = torch.autograd.forward_ad.unpack_dual(dual).tangent
        torch.testing.assert_close(tangent, slope, rtol=1e-2, atol=1e-4)
        torch.testing.assert_close(torch.func.jvp(function, (x,), (direction,))[1], tangent)
        mapped = torch.func.vmap(lambda one: function(one[None])[0])(x)
        torch.testing.assert_close(mapped, function(x), rtol=0, atol=1e-6)
    whole = torch.func.grad(lambda x: function(x).sum())(x)
    y = x.clone().requires_grad_()
    torch.testing.assert_close(whole, torch.autograd.grad(function(y).sum(), y)[0], rtol=0, atol=1e-5)


def test_the_graph_of_an_export_is_that_of_single_steps():
    model = build_model("convlstm", 2, 1, hidden=(3,)).eval()
    x = torch.randn(1, 3, 2, 4, 4)
    program = torch.export.export(model, (x,), strict=False)
    assert "Sequence" not in str(program.graph)
    torch.testing.assert_close(program.module()(x)["y_hat"], model(x)["y_hat"], rtol=0, atol=1e-6)


def test_recomputing_keeps_a_third_of_what_is_kept_otherwise():
    cell, frames, _, _ = problem(size=(16, 1, 16, 16), channels=(8, 8), kind=torch.float32)

    def kept(recompute, last=0):
        with engine.using(recompute=recompute):
            node = of_kernel(cell, frames, last=last)[0].grad_fn
        held = [*node.saved_tensors, *(gate for part in node.gates for gate in part.values())]
        storages = [item.untyped_storage() for item in held if item is not None]
        return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())

    # Input, output and memory of 8 channels each against these and 32 of gates.
    assert kept(True) / kept(False) == pytest.approx(24 / 56, rel=0.05)
    # The gates of the last of 16 steps are kept where the way back begins there at once.
    assert kept(True, last=1) / kept(False, last=1) == pytest.approx((24 + 32 / 16) / 56, rel=0.05)


def test_the_settings():
    assert engine.current() == engine.Engine("auto", False, "auto")
    with engine.using(recompute=True), engine.using(hoist="on") as inner:
        assert inner == engine.current() == engine.Engine("auto", True, "on")
        assert engine.hoists()
    assert engine.current() == engine.Engine()
    for wrong in ({"kernel": "fast"}, {"hoist": "yes"}):
        with pytest.raises(ValueError, match="is one of"):
            engine.Engine(**wrong)
    assert not engine.hoists(), "no grid was faster with it"


@pytest.mark.parametrize(
    ("threads", "batch", "groups"),
    [(1, 4, 1), (2, 4, 2), (2, 3, 1), (2, 1, 1), (4, 4, 4), (4, 2, 2), (3, 4, 1), (2, 21, 2)],
)
def test_windows_are_divided_where_all_threads_stay_at_work(threads, batch, groups, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    parts = side_by_side.groups_of(batch, 2**30)
    assert len(parts) == groups
    assert [number for part in parts for number in range(batch)[part]] == list(range(batch))
    assert len(side_by_side.groups_of(batch, 1)) == 1, "too small to divide"
    assert len(side_by_side.groups_of(batch, 2**30, "cuda")) == 1


def test_threads_of_groups_share_those_of_torch_and_leave_its_setting():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        found = side_by_side.side_by_side(lambda _: (torch.get_num_threads(), torch.is_grad_enabled()), [(0,), (1,)])
        assert found == [(2, False)] * 2
        assert torch.get_num_threads() == 4
        with pytest.raises(ZeroDivisionError):
            side_by_side.side_by_side(lambda n: 1 / n, [(1,), (0,)])
    finally:
        torch.set_num_threads(before)


def test_a_model_gives_the_same_with_and_without_the_kernel():
    torch.manual_seed(0)
    model = build_model("convlstm", 3, 2, static_channels=2, hidden=(4, 6), mask_channels=True, normalisation="batch")
    x, static, y = torch.randn(3, 6, 3, 8, 9), torch.randn(3, 2, 8, 9), torch.randn(3, 2, 1, 2, 8, 9)
    results = []
    for kernel in ("steps", "sequence"):
        module = copy.deepcopy(model)
        with engine.using(kernel=kernel):
            found = module(x, static, last_steps=2, warm_up=1)["y_hat_steps"]
        ((found - y) ** 2).mean().backward()
        results.append([found.detach(), *(parameter.grad for parameter in module.parameters())])
    agree(results[1], results[0], 1e-5)


def test_every_step_with_a_state_shares_a_gradient_of_the_weights_where_steps_are_small(monkeypatch):
    from freshet.core.models import sequence_backward

    calls = []
    original = sequence_backward.Backward._convolution

    def counted(self, slopes, maps, weight, which):
        calls.append((which, len(maps)))
        return original(self, slopes, maps, weight, which)

    monkeypatch.setattr(sequence_backward.Backward, "_convolution", counted)
    cell, frames, _, _ = problem(size=(6, 2, 4, 4))
    of_kernel(cell, frames)[0].sum().backward()
    assert [maps for which, maps in calls if which == 1] == [10, 2], "the first step reads no state"
    assert sequence_kernel.Plan(torch.float32, 1).group == 1
