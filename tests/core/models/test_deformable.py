"""Deformable ConvLSTM, with and without autocorrelation, against its equations written with loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from freshet.core.contracts.errors import ConfigError
from freshet.core.models import build_model
from freshet.core.models.autocorrelation import local_moran
from freshet.core.models.base import WHOLE_FRAME_PX
from freshet.core.models.deformable import DeformableConvolution

from .loops import convolve, sigmoid, weights_of

tanh = np.tanh


def randomise(model: torch.nn.Module, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(0.4 * torch.randn(value.shape, generator=generator))


def between(maps: np.ndarray, row: float, column: float) -> np.ndarray:
    """Values (C,) at a place between cells, bilinear, zero beyond the edge."""
    total = np.zeros(len(maps))
    top, left = math.floor(row), math.floor(column)
    for y in (top, top + 1):
        for x in (left, left + 1):
            if 0 <= y < maps.shape[1] and 0 <= x < maps.shape[2]:
                total += (1 - abs(row - y)) * (1 - abs(column - x)) * maps[:, y, x]
    return total


def deformed(w: dict, prefix: str, maps: np.ndarray, largest: float) -> np.ndarray:
    moves = convolve(maps, w[prefix + "offset.weight"], w[prefix + "offset.bias"])
    if largest:
        moves = largest * tanh(moves / largest)
    weight = w[prefix + "weight"]
    taps = weight.shape[-1] ** 2
    out = np.zeros((len(weight), *maps.shape[1:]))
    for row in range(maps.shape[1]):
        for column in range(maps.shape[2]):
            for tap in range(taps):
                down, right = divmod(tap, weight.shape[-1])
                place = (
                    row + down - weight.shape[-1] // 2 + moves[tap, row, column],
                    column + right - weight.shape[-1] // 2 + moves[taps + tap, row, column],
                )
                out[:, row, column] += weight[:, :, down, right] @ between(maps, *place)
    return out + w[prefix + "bias"][:, None, None] if prefix + "bias" in w else out


def step(w: dict, prefix: str, frame: np.ndarray, h: np.ndarray, c: np.ndarray, largest: float) -> tuple:
    gates = deformed(w, prefix + "input_gates.", frame, largest) + deformed(w, prefix + "state_gates.", h, largest)
    i, f, g, o = np.split(gates, 4)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def moran(maps: np.ndarray, known: np.ndarray, reach: int = 0) -> np.ndarray:
    """Cell by cell, from the definition."""
    out = np.zeros_like(maps)
    height, width = maps.shape
    for row in range(height):
        for column in range(width):
            if not known[row, column]:
                continue
            far = max(height, width) if reach == 0 else reach
            part = (slice(max(0, row - far), row + far + 1), slice(max(0, column - far), column + far + 1))
            seen = maps[part][known[part]]
            around = [
                maps[y, x] - seen.mean()
                for y in range(max(0, row - 1), min(height, row + 2))
                for x in range(max(0, column - 1), min(width, column + 2))
                if (y, x) != (row, column) and known[y, x]
            ]
            if around and seen.var() > 1e-12:
                out[row, column] = (maps[row, column] - seen.mean()) / seen.var() * np.mean(around)
    return out


@pytest.mark.parametrize("largest", [0.0, 1.5])
@pytest.mark.parametrize("kernel", [1, 3])
def test_two_layers_equal_their_equations(largest, kernel):
    model = build_model(
        "deform-convlstm", 2, 1, static_channels=1, leads=2, hidden=(3, 4), kernel=kernel, max_offset=largest
    ).double()
    randomise(model)
    x = torch.randn(1, 3, 2, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    static = torch.randn(1, 1, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    w = weights_of(model)
    states = [(np.zeros((size, 5, 7)),) * 2 for size in (3, 4)]
    for frame in x[0].numpy():
        maps = np.concatenate([frame, static[0].numpy()])
        for layer in range(2):
            states[layer] = step(w, f"layers.{layer}.", maps, *states[layer], largest)
            maps = states[layer][0]
    expected = convolve(maps, w["head.weight"], w["head.bias"])
    got = model.eval()(x, static)["y_hat"][0, :, 0].detach().numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-11)


def test_float32_equals_the_equations_to_five_digits():
    model = build_model("deform-convlstm", 2, 1, hidden=(3,))
    randomise(model)
    x = torch.randn(1, 3, 2, 6, 5, generator=torch.Generator().manual_seed(1))
    w, state = weights_of(model.double()), (np.zeros((3, 6, 5)),) * 2
    for frame in x[0].double().numpy():
        state = step(w, "layers.0.", frame, *state, 4.0)
    expected = convolve(state[0], w["head.weight"], w["head.bias"])
    got = model.float().eval()(x)["y_hat"][0, 0].detach().numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_without_displacement_it_is_a_plain_convolution():
    torch.manual_seed(0)
    part = DeformableConvolution(3, 4, 5, 0.0).double()
    maps = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    plain = torch.nn.functional.conv2d(maps, part.weight, part.bias, padding=2)
    torch.testing.assert_close(part(maps), plain, rtol=1e-12, atol=1e-12)


def test_gradients_also_of_the_displacements_equal_finite_differences():
    part = DeformableConvolution(2, 2, 3, 1.5).double()
    randomise(part)
    maps = torch.randn(2, 2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    weights = tuple(part.parameters())
    assert torch.autograd.gradcheck(lambda *_: part(maps), (maps, *weights))


def test_a_place_far_beyond_the_edge_reads_nothing():
    part = DeformableConvolution(1, 1, 3, 0.0, bias=False)
    with torch.no_grad():
        part.offset.bias.fill_(1e12)
    assert not part(torch.ones(1, 1, 4, 4)).any()


def test_autocorrelated_layers_equal_their_equations():
    model = build_model("deform-convlstm-sac", 2, 1, static_channels=1, hidden=(3, 3), max_offset=2.0).double()
    randomise(model)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, 3, 2, 5, 6, dtype=torch.float64, generator=generator)
    static = torch.randn(1, 1, 5, 6, dtype=torch.float64, generator=generator)
    observed = torch.rand(x.shape, generator=generator) > 0.2
    mask = torch.ones(1, 1, 5, 6, dtype=torch.float64)
    mask[..., :2, 0] = 0.0
    w = weights_of(model)
    states = [[np.zeros((3, 5, 6)), np.zeros((3, 5, 6)), np.zeros((2, 5, 6))] for _ in range(2)]
    for number, frame in enumerate(x[0].numpy()):
        known = observed[0, number].numpy() & (mask[0].numpy() > 0)
        index = np.stack([moran(a, b) for a, b in zip(frame, known)])
        index = np.sign(index) * np.log(1 + np.abs(index))
        maps = np.concatenate([frame, static[0].numpy()])
        for layer, (h, c, memory) in enumerate(states):
            prefix = f"layers.{layer}."
            h, c = step(w, prefix + "unit.", maps, h, c, 2.0)
            i, g = np.split(deformed(w, prefix + "relevance.", np.concatenate([index, memory]), 2.0), 2)
            index = (1 - sigmoid(i)) * index + sigmoid(i) * tanh(g)
            share = sigmoid(index.mean(axis=0))
            same = prefix + "match.weight"
            h = (1 - share) * (convolve(maps, w[same]) if same in w else maps) + share * h
            states[layer] = [h, c, index]
            maps = h
    expected = convolve(maps, w["head.weight"], w["head.bias"])
    got = model.eval()(x, static, observed, mask=mask)["y_hat"][0, 0].detach().numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("reach", [0, 1, 2])
def test_local_moran_equals_its_definition(reach):
    generator = torch.Generator().manual_seed(3)
    maps = torch.randn(2, 6, 7, dtype=torch.float64, generator=generator)
    known = torch.rand(2, 6, 7, generator=generator) > 0.3
    got = local_moran(maps, known.double(), reach).numpy()
    expected = np.stack([moran(a, b, reach) for a, b in zip(maps.numpy(), known.numpy())])
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


def test_local_moran_tells_clusters_from_outliers():
    maps = torch.zeros(8, 8)
    maps[1:4, 1:4] = 1.0
    maps[6, 6] = 1.0
    index = local_moran(maps)
    assert index[2, 2] > 1.0 and index[6, 6] < 0.0
    assert not local_moran(torch.full((4, 4), 0.1)).any()
    assert not local_moran(torch.full((4, 4), 0.1), reach=1).any()
    assert not local_moran(maps, torch.zeros(8, 8)).any()


def test_what_stands_in_missing_cells_does_not_change_the_index():
    maps, known = torch.randn(5, 5), torch.ones(5, 5)
    known[2, 3] = 0.0
    other = maps.clone()
    other[2, 3] = 99.0
    for reach in (0, 1):
        assert torch.equal(local_moran(maps, known, reach), local_moran(other, known, reach))


@pytest.mark.parametrize(("name", "options"), [("deform-convlstm", {}), ("deform-convlstm-sac", {"moran_reach": 1})])
def test_the_halo_is_not_larger_than_needed(name, options):
    model = build_model(name, 1, 1, hidden=(3, 3), max_offset=1.5, **options).double().eval()
    randomise(model)
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, DeformableConvolution):
                part.offset.bias.fill_(100.0)  # every tap as far down and right as it may
    halo = model.halo_px(2)
    size = 2 * halo + 3
    x = torch.randn(1, 2, 1, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    changed = x.clone()
    changed[..., -1, -1] += 3.0
    rows = torch.nonzero((model(x)["y_hat"] - model(changed)["y_hat"])[0, 0, 0].abs() > 0)
    assert int((size - 1 - rows).max()) == halo


def test_without_a_bound_the_whole_frame_is_needed():
    assert build_model("deform-convlstm", 1, 1, max_offset=0).halo_px(3) == WHOLE_FRAME_PX
    assert build_model("deform-convlstm-sac", 1, 1, max_offset=0, moran_reach=2).halo_px(3) == WHOLE_FRAME_PX
    assert build_model("deform-convlstm-sac", 1, 1).halo_px(3) == WHOLE_FRAME_PX


def test_a_tile_equals_the_whole_frame():
    model = build_model("deform-convlstm", 2, 1, hidden=(4,), max_offset=1.5).eval()
    randomise(model)
    halo = model.halo_px(2)
    x = torch.randn(1, 2, 2, 3 * halo, 4 * halo, generator=torch.Generator().manual_seed(1))
    whole, tile = model(x)["y_hat"], model(x[..., 1 : 2 * halo + 5, 2 : 2 * halo + 5])["y_hat"]
    torch.testing.assert_close(tile[..., halo:-halo, halo:-halo], whole[..., halo + 1 : halo + 5, halo + 2 : halo + 5])


def test_no_layer_and_a_negative_displacement_are_refused():
    with pytest.raises(ConfigError, match="at least one layer"):
        build_model("deform-convlstm", 2, 1, hidden=())
    with pytest.raises(ConfigError, match="max_offset"):
        build_model("deform-convlstm-sac", 2, 1, max_offset=-1.0)
