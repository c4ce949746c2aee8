"""From a foreign model to Freshet's ConvLSTM with the same outputs, and the proof of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor, nn

from ...contracts.errors import ModelFileError
from ...contracts.models import family
from .foreign import HARD_SIXTH, ForeignLayer, ForeignModel, ForeignNorm, refused

FAMILY = "convlstm"
TOLERANCE = 1e-5  # of the largest output, or of 1 where that is smaller
_NORM_EPSILON = 1e-5  # of Freshet's batch normalisation
_KEPT_GATES = ("input", "forget", "candidate", "output")  # their order in Freshet's weights
_MOST_DROPOUT = 0.9
_PROOF_ROWS, _PROOF_COLUMNS, _PROOF_STEPS = 9, 7, 6


def options_of(model: ForeignModel) -> tuple[dict[str, Any], list[str]]:
    """Options of the family ``convlstm`` for a foreign model, and sentences on what was read how.

    Raises :class:`ModelFileError` where its layers have activations of several kinds.
    """
    gates = {"hard-sigmoid" if layer.gate == HARD_SIXTH else layer.gate for layer in model.layers}
    states = {layer.activation for layer in model.layers}
    for found, what in ((gates, "gates"), (states, "state")):
        if len(found) > 1:
            raise refused(
                model.origin, f"its layers have different activations of the {what}",
                "Import a model with the same in all layers", got=" and ".join(sorted(found)),
            )  # fmt: skip
    notes = []
    drops = {}
    for name in ("dropout", "recurrent_dropout"):
        given = sorted({getattr(layer, name) for layer in model.layers})
        drops[name] = min(max(given), _MOST_DROPOUT)
        if len(given) > 1 or given[-1] > _MOST_DROPOUT:
            notes.append(f"{name} is {drops[name]:g} in all layers if the model is trained further (given: {given}).")
    norms = [layer.norm for layer in model.layers]
    if any(norm is not None and norm.epsilon != _NORM_EPSILON for norm in norms):
        notes.append(
            "What batch normalisation adds to the variance is part of the variance now: the same as long as the model "
            "is not trained further, and nearly the same then."
        )
    head, _ = model.head_or_identity()
    options = {
        "hidden": tuple(layer.hidden for layer in model.layers),
        "kernel": tuple(layer.kernel for layer in model.layers),
        "normalisation": "batch" if any(norm is not None for norm in norms) else "none",
        "gate_activation": gates.pop(),
        "state_activation": states.pop(),
        "head_kernel": head.shape[-1],
        "head_activation": model.head_activation,
        **drops,
    }
    return family(FAMILY).complete(options), notes


def adopt_weights(module: nn.Module, model: ForeignModel, order: Sequence[int]) -> None:
    """Give ``module`` (of :func:`options_of`) the weights of a foreign model. ``order``: which of its input channels
    each channel of the module is.
    """
    found: dict[str, Tensor] = {}
    for number, layer in enumerate(model.layers):
        read = list(order) if number == 0 else slice(None)
        place = f"encoder.{number}."
        found[place + "weight_x"] = _gates(layer, {k: v[:, read] for k, v in layer.on_input.items()})
        found[place + "weight_h"] = _gates(layer, layer.on_state)
        found[place + "bias"] = _gates(layer, layer.bias)
        if module.options["normalisation"] == "batch":
            found.update(_norm(f"encoder_norms.{number}.", layer.norm, layer.hidden))
    head, bias = model.head_or_identity()
    found["head_weight"], found["head_bias"] = _tensor(head), _tensor(bias)
    module.load_state_dict(found)


def prove_equal(module: nn.Module, model: ForeignModel, order: Sequence[int], static_channels: int) -> float:
    """The largest difference between the module and the foreign model's own equations on random windows of two
    lengths, relative to the largest output (or to 1); raises :class:`ModelFileError` above :data:`TOLERANCE`.
    """
    rng = np.random.default_rng(0)
    module.eval()
    worst = 0.0
    for steps in (_PROOF_STEPS, 2):
        frames = rng.normal(size=(steps, model.inputs, _PROOF_ROWS, _PROOF_COLUMNS)).astype(np.float32)
        dynamic = len(order) - static_channels
        frames[:, list(order[dynamic:])] = frames[:1, list(order[dynamic:])]  # static maps do not change in time
        expected = model.predict(frames)
        ordered = torch.from_numpy(frames[:, list(order)])[None]
        static = ordered[:, 0, dynamic:] if static_channels else None
        with torch.inference_mode():
            given = module(ordered[:, :, :dynamic], static)["y_hat"][0].flatten(0, 1).numpy()
        worst = max(worst, float(np.abs(given - expected).max() / max(1.0, np.abs(expected).max())))
    if not worst <= TOLERANCE:
        raise ModelFileError(
            "The imported model does not give what the equations of its file give",
            expected=f"a difference of at most {TOLERANCE:g}",
            got=f"{worst:.2g}",
            remedy="Please report it with the file",
        )
    return worst


def _gates(layer: ForeignLayer, parts: Any) -> Tensor:
    """The gates one below the other in Freshet's order. x/6 + 0.5 = 0.2 (5/6 x) + 0.5, so 5/6 goes into the weights."""
    shrunk = 5.0 / 6.0 if layer.gate == HARD_SIXTH else 1.0
    factors = {name: 1.0 if name == "candidate" else shrunk for name in _KEPT_GATES}
    return _tensor(np.concatenate([np.asarray(parts[name], dtype=np.float64) * factors[name] for name in _KEPT_GATES]))


def _norm(place: str, norm: Optional[ForeignNorm], hidden: int) -> dict[str, Tensor]:
    """The parameters of a batch normalisation; of a layer that has none, those that change nothing."""
    if norm is None:
        ones = np.ones(hidden)
        norm = ForeignNorm(ones, 0.0 * ones, 0.0 * ones, ones - _NORM_EPSILON, _NORM_EPSILON)
    return {
        place + "weight": _tensor(norm.scale),
        place + "bias": _tensor(norm.shift),
        place + "running_mean": _tensor(norm.mean),
        place + "running_var": _tensor(np.asarray(norm.variance, dtype=np.float64) + norm.epsilon - _NORM_EPSILON),
        place + "num_batches_tracked": torch.tensor(0),
    }


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float32))
