"""GCCL against its equations written with loops, and the links that it finds."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from freshet.core.contracts.errors import ConfigError, ModelFileError
from freshet.core.models import build_model
from freshet.core.models.rows import indexed_rows, weighted_rows
from freshet.core.training.model_file import build_from_card, load_model, save_model

from .loops import convolve, sigmoid, weights_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from toy import tiny_card  # noqa: E402

tanh = np.tanh


def gated(raw: np.ndarray, c: np.ndarray) -> tuple:
    i, f, g, o = np.split(raw, 4)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def linked_mean(maps: np.ndarray, sources: np.ndarray, shares: np.ndarray) -> np.ndarray:
    flat, out = maps.reshape(len(maps), -1), np.zeros((len(maps), maps[0].size))
    for cell in range(flat.shape[1]):
        for source, share in zip(sources[cell], shares[cell]):
            out[:, cell] += share * flat[:, source]
    return out.reshape(maps.shape)


def best_links(series: np.ndarray, count: int) -> np.ndarray:
    """(T, cells) -> dense weights (cells, cells) of the ``count`` best positive correlations, rows adding up to 1."""
    cells = series.shape[1]
    dense = np.zeros((cells, cells))
    for one in range(cells):
        found = {}
        for other in range(cells):
            if other != one and series[:, one].std() > 0 and series[:, other].std() > 0:
                found[other] = np.corrcoef(series[:, one], series[:, other])[0, 1]
        for other in sorted(found, key=found.get)[-count:]:
            dense[one, other] = max(0.0, found[other])
        dense[one] /= dense[one].sum() or 1.0
    return dense


def dense(graph) -> np.ndarray:
    out = np.zeros((graph.cells, graph.cells))
    for cell in range(graph.cells):
        for source, share in zip(graph.sources[cell].tolist(), graph.shares[cell].tolist()):
            out[cell, source] += share
    return out


@pytest.mark.parametrize("hops", [1, 2])
def test_two_layers_equal_their_equations(hops):
    torch.manual_seed(0)
    model = build_model("gccl", 2, 1, static_channels=1, leads=2, hidden=(3, 4), links=3, hops=hops).double().eval()
    model.prepare_from(torch.randn(20, 2, 5, 6, dtype=torch.float64))
    x, static = torch.randn(1, 4, 2, 5, 6, dtype=torch.float64), torch.randn(1, 1, 5, 6, dtype=torch.float64)
    w, links = weights_of(model), (model.graph.sources.numpy(), model.graph.shares.numpy())
    states = [[np.zeros((size, 5, 6)) for _ in range(4)] for size in (3, 4)]
    for frame in x[0].numpy():
        maps = np.concatenate([frame, static[0].numpy()])
        for layer, (h, c, far_h, far_c) in enumerate(states):
            prefix = f"layers.{layer}."
            kernel = (w[prefix + "local.gates.weight"], w[prefix + "local.gates.bias"])
            h, c = gated(convolve(np.concatenate([maps, h]), *kernel), c)
            seen = [np.concatenate([maps, far_h])]
            for _ in range(hops):
                seen.append(linked_mean(seen[-1], *links))
            kernel = (w[prefix + "linked.gates.weight"], w[prefix + "linked.gates.bias"])
            far_h, far_c = gated(convolve(np.concatenate(seen), *kernel), far_c)
            states[layer] = [h, c, far_h, far_c]
            maps = convolve(np.concatenate([h, far_h]), w[prefix + "join.weight"], w[prefix + "join.bias"])
    expected = convolve(maps, w["head.weight"], w["head.bias"])
    got = model(x, static)["y_hat"][0, :, 0].detach().numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-11)


def test_links_are_the_best_correlations():
    series = torch.randn(40, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    series[:, 5] = 0.7  # never varies: no link
    model = build_model("gccl", 1, 1, links=3).double()
    model.fit_graph(series)
    np.testing.assert_allclose(dense(model.graph), best_links(series.numpy(), 3), rtol=1e-9, atol=1e-12)
    assert not dense(model.graph)[5].any() and not dense(model.graph)[:, 5].any()


def test_several_inputs_link_by_their_mean_correlation():
    x = torch.randn(30, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    x[:, 1] = 5.0 + 100.0 * x[:, 1]  # another unit must not weigh more
    model = build_model("gccl", 2, 1, links=11)
    model.prepare_from(x)
    pairs = [np.corrcoef(x[:, channel].flatten(1).double().numpy().T) for channel in range(2)]
    mean = np.clip((pairs[0] + pairs[1]) / 2, 0.0, None)
    np.fill_diagonal(mean, 0.0)
    np.testing.assert_allclose(dense(model.graph), mean / mean.sum(axis=1, keepdims=True), rtol=1e-3, atol=1e-5)
    one = build_model("gccl", 2, 1, links=2, graph_channel=1)
    one.prepare_from(x)
    series = x[:, 1].flatten(1).double().numpy()
    np.testing.assert_allclose(dense(one.graph), best_links(series, 2), rtol=1e-3, atol=1e-5)


def test_cells_outside_the_mask_and_missing_steps_take_no_part():
    x = torch.randn(30, 1, 3, 4, generator=torch.Generator().manual_seed(0))
    x[4, 0, 1, 1] = float("nan")
    mask = torch.ones(1, 1, 3, 4)
    mask[..., 0, :] = 0
    model = build_model("gccl", 1, 1, links=20)
    model.prepare_from(x, mask)
    weights = dense(model.graph)
    assert np.isfinite(weights).all() and not weights[:4].any() and not weights[:, :4].any()
    assert weights[5].any() and weights[:, 5].any()


def test_without_a_fit_the_nearest_cells_are_linked():
    model = build_model("gccl", 1, 1, links=8)
    model(torch.zeros(1, 1, 1, 4, 5))
    weights = dense(model.graph)
    assert set(np.flatnonzero(weights[6])) == {0, 1, 2, 5, 7, 10, 11, 12}
    assert set(np.flatnonzero(weights[0])) == {1, 5, 6}
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-6)


def test_far_cells_that_go_along_reach_each_other_in_one_step():
    torch.manual_seed(0)
    model = build_model("gccl", 1, 1, hidden=(4,), links=1).eval()
    series = torch.randn(50, 1, 1, 30)
    series[..., 29] = series[..., 0]
    model.prepare_from(series)
    x = torch.randn(1, 1, 1, 1, 30)
    changed = x.clone()
    changed[..., 29] += 1.0
    assert (model(x)["y_hat"] - model(changed)["y_hat"])[0, 0, 0, 0, 0] != 0.0


def test_another_grid_is_refused():
    model = build_model("gccl", 1, 1)
    model.prepare_from(torch.randn(9, 1, 4, 6))
    with pytest.raises(ConfigError, match="bound to its grid") as caught:
        model(torch.zeros(1, 2, 1, 6, 4))
    assert "4 x 6" in str(caught.value) and "6 x 4" in str(caught.value)


def test_series_and_inputs_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="cannot be fitted to this input"):
        build_model("gccl", 2, 1, graph_channel=2)
    model = build_model("gccl", 2, 1, graph_channel=1)
    with pytest.raises(ConfigError, match="cannot be fitted to these maps"):
        model.prepare_from(torch.randn(9, 1, 4, 6))
    with pytest.raises(ConfigError, match="do not fit the grid"):
        model.fit_graph(torch.randn(9, 5), size=(2, 3))


def test_a_model_file_keeps_the_links(tmp_path):
    card = tiny_card(family="gccl", options={"hidden": [4], "links": 3})
    module = build_from_card(card)
    module.prepare_from(torch.randn(12, len(card.inputs), 4, 5))
    save_model(tmp_path / "model.safetensors", module, card)
    again, _ = load_model(tmp_path / "model.safetensors")
    for one, two in zip(module.state_dict().values(), again.state_dict().values()):
        assert torch.equal(one, two)
    other = tiny_card(family="gccl", options={"hidden": [4], "links": 4})
    save_model(tmp_path / "other.safetensors", module, other)
    with pytest.raises(ModelFileError, match="do not fit"):
        load_model(tmp_path / "other.safetensors")


def test_links_to_cells_that_are_not_there_are_refused():
    model, other = build_model("gccl", 1, 1), build_model("gccl", 1, 1)
    model.prepare_from(torch.randn(9, 1, 4, 6))
    held = model.state_dict()
    held["graph.sources"][3, 0] = 24
    with pytest.raises(RuntimeError, match="cells that the grid does not have"):
        other.load_state_dict(held)


def test_both_ways_to_add_rows_are_equal():
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(7, 3, generator=generator)
    places, shares = torch.randint(0, 7, (5, 4), generator=generator), torch.rand(5, 4, generator=generator)
    torch.testing.assert_close(weighted_rows(table, places, shares), indexed_rows(table, places, shares))
