"""The families with attention against their equations written with loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freshet.core.contracts.errors import ConfigError
from freshet.core.models import build_model

from .loops import convolve, sigmoid, weights_of

tanh = np.tanh


def softmax(values: np.ndarray, axis: int = -1) -> np.ndarray:
    raised = np.exp(values - values.max(axis=axis, keepdims=True))
    return raised / raised.sum(axis=axis, keepdims=True)


def convlstm(w: dict, frame: np.ndarray, h: np.ndarray, c: np.ndarray, prefix: str = "") -> tuple:
    size = len(h)
    raw = convolve(np.concatenate([frame, h]), w[prefix + "gates.weight"], w[prefix + "gates.bias"])
    i, f, g, o = (raw[k * size : (k + 1) * size] for k in range(4))
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def run(name: str, step, **options) -> None:
    """One layer, odd sizes, random weights: the model against ``step(weights, frame, state) -> (output, state)``."""
    torch.manual_seed(0)
    model = build_model(name, 2, 1, leads=2, hidden=(4,), **options).double().eval()
    x = torch.randn(1, 3, 2, 5, 7, dtype=torch.float64)
    state = None
    for frame in x[0].numpy():
        output, state = step(weights_of(model.layers[0]), frame, state)
    expected = convolve(output, model.head.weight.detach().numpy(), model.head.bias.detach().numpy())
    np.testing.assert_allclose(model(x)["y_hat"][0, :, 0].detach().numpy(), expected, rtol=1e-9, atol=1e-11)


def cbam(w: dict, frame: np.ndarray, state) -> tuple:
    h, c = state if state is not None else (np.zeros((4, *frame.shape[1:])),) * 2
    h, c = convlstm(w, frame, h, c, "unit.")

    def mlp(pooled: np.ndarray) -> np.ndarray:
        narrow = np.maximum(w["channels.narrow.weight"] @ pooled + w["channels.narrow.bias"], 0.0)
        return w["channels.widen.weight"] @ narrow + w["channels.widen.bias"]

    weighted = h * sigmoid(mlp(h.mean(axis=(1, 2))) + mlp(h.max(axis=(1, 2))))[:, None, None]
    pooled = np.stack([weighted.mean(axis=0), weighted.max(axis=0)])
    cells = sigmoid(convolve(pooled, w["cells.convolution.weight"], w["cells.convolution.bias"]))
    return weighted * cells, (h, c)


def point(w: dict, name: str, maps: np.ndarray) -> np.ndarray:
    """A 1 x 1 convolution of (C, n)."""
    return w[f"memory.{name}.weight"][:, :, 0, 0] @ maps + w[f"memory.{name}.bias"][:, None]


def pooled(maps: np.ndarray, shape: tuple, sizes: tuple) -> np.ndarray:
    """(C, n) -> means over parts of the map; a part reaches from floor(k n / s) to ceil((k + 1) n / s)."""
    if not sizes:
        return maps
    grid, parts = maps.reshape(len(maps), *shape), []
    for size in sizes:
        for row in range(size):
            for column in range(size):
                (top, bottom), (left, right) = (
                    (k * n // size, -(-(k + 1) * n // size)) for k, n in ((row, shape[0]), (column, shape[1]))
                )
                parts.append(grid[:, top:bottom, left:right].mean(axis=(1, 2)))
    return np.stack(parts, axis=1)


def self_attention(heads: int, sizes: tuple):
    def attend(query: np.ndarray, key: np.ndarray, value: np.ndarray) -> np.ndarray:
        out = np.empty((len(value), query.shape[1]))
        narrow, wide = len(query) // heads, len(value) // heads
        for head in range(heads):
            q, k = (item[head * narrow : (head + 1) * narrow] for item in (query, key))
            v = value[head * wide : (head + 1) * wide]
            for cell in range(query.shape[1]):
                score = q[:, cell] @ k / (1.0 if heads == 1 else np.sqrt(narrow))
                out[head * wide : (head + 1) * wide, cell] = v @ softmax(score)
        return out

    def step(w: dict, frame: np.ndarray, state) -> tuple:
        shape = frame.shape[1:]
        zeros = np.zeros((4, *shape))
        h, c, memory = state if state is not None else (zeros, zeros, np.zeros((4, shape[0] * shape[1])))
        h, c = convlstm(w, frame, h, c, "unit.")
        flat = h.reshape(4, -1)
        query = point(w, "query", flat)
        found = [
            attend(query, *(pooled(point(w, f"{kind}_{part}", maps), shape, sizes) for part in ("key", "value")))
            for kind, maps in (("hidden", flat), ("memory", memory))
        ]
        z = point(w, "mix", np.concatenate(found))
        i, g, o = np.split(point(w, "gates", np.concatenate([z, flat])), 3)
        memory = (1 - sigmoid(i)) * memory + sigmoid(i) * tanh(g)
        h = (sigmoid(o) * memory).reshape(4, *shape)
        return h, (h, c, memory)

    return step


def test_cbam_equals_its_equations():
    run("cbam-convlstm", cbam, attention_kernel=3)


def test_self_attention_memory_equals_its_equations():
    run("sa-convlstm", self_attention(1, ()), attended=3)


@pytest.mark.parametrize("pyramid", [(), (1, 2, 3)])
def test_heads_and_pyramid_equal_their_equations(pyramid):
    run("msa-convlstm", self_attention(2, pyramid), heads=2, attended=4, pyramid=pyramid)


def test_input_and_time_attention_equal_their_equations():
    torch.manual_seed(0)
    model = build_model("a-convlstm", 3, 1, hidden=(4,), attention=5).double().eval()
    x = torch.randn(1, 4, 3, 5, 7, dtype=torch.float64)
    result, w = model(x), weights_of(model)
    h = c = np.zeros((4, 5, 7))
    outputs = []
    for number, frame in enumerate(x[0].numpy()):
        seen = np.concatenate([frame.mean(axis=(1, 2)), h.mean(axis=(1, 2))])
        hidden = tanh(w["channel_hidden.weight"] @ seen + w["channel_hidden.bias"])
        alpha = softmax(w["channel_score.weight"] @ hidden + w["channel_score.bias"])
        np.testing.assert_allclose(result["channel_attention"][0, number].detach().numpy(), alpha, rtol=1e-9)
        h, c = convlstm(w, frame * (3 * alpha)[:, None, None], h, c, "layers.0.")
        outputs.append(h)
    scores = [
        float(w["step_score.weight"][0] @ tanh(w["step_hidden.weight"] @ o.mean(axis=(1, 2)) + w["step_hidden.bias"]))
        for o in outputs
    ]
    beta = softmax(np.array(scores))
    top = sum(weight * output for weight, output in zip(beta, outputs))
    expected = convolve(top, w["head.weight"], w["head.bias"])
    np.testing.assert_allclose(result["y_hat"][0, 0].detach().numpy(), expected, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(result["step_attention"][0].detach().numpy(), beta, rtol=1e-9)


def test_heads_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(ConfigError, match="heads does not divide"):
        build_model("msa-convlstm", 2, 1, hidden=(6,), heads=4)
