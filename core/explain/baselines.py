"""What a prediction is compared with: every input at its mean, or the same window without precipitation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import numpy as np

from ..contracts.errors import ConfigError
from ..contracts.model_card import ModelCard, VariableCard
from ..data.scaling import Scaler
from ..data.windows import WindowData

PRECIPITATION = "precipitation"
_CENTRED = ("standard", "log1p", "yeo-johnson")  # scalers that put the training mean at 0
WORDS = {"mean": "every input at its mean", "dry": "the same window without precipitation"}


@dataclass(frozen=True)
class Question:
    """One window and its baseline, scaled float32: ``x``, ``baseline_x`` (T, C, H, W), ``static``, ``baseline_static``
    (S, H, W) or None, ``observed`` bool (T, C, H, W) or None. Missing cells are the same in both, so they contribute 0.
    """

    x: np.ndarray
    static: Optional[np.ndarray]
    observed: Optional[np.ndarray]
    baseline_x: np.ndarray
    baseline_static: Optional[np.ndarray]


def check_baseline(kind: str, card: ModelCard) -> None:
    """Raise :class:`ConfigError` where the model reads no precipitation that could be taken away."""
    if kind == "dry" and not any(variable.quantity == PRECIPITATION for variable in card.inputs):
        raise ConfigError(
            "A sequence without rain is no baseline for this model",
            expected="an input of the quantity 'precipitation'",
            got=", ".join(f"{v.name} ({v.quantity})" for v in card.inputs),
            remedy="Compare with the mean instead",
        )


def build_question(kind: str, card: ModelCard, data: WindowData, end: int) -> Question:
    """The window that ends at step ``end`` and its baseline of ``kind``, "mean" or "dry"."""
    batch = data.batch(np.array([end]))
    x, observed = batch.x[0], None if batch.observed is None else batch.observed[0]
    static = None if batch.static is None else np.ascontiguousarray(batch.static[0])
    if kind == "dry":
        baseline, baseline_static = x.copy(), static
        for channel, variable in enumerate(card.inputs):
            if variable.quantity == PRECIPITATION:
                baseline[:, channel] = Scaler.from_dict(variable.scaler).transform(np.zeros(1))[0]
    else:
        # The season's channels stay at 0: the mean of sine and cosine over the year.
        baseline = np.zeros_like(x)
        for channel, variable in enumerate(card.inputs):
            seen = None if data.observed is None else data.observed[:, channel]
            baseline[:, channel] = _centre(variable, data.x[:, channel], seen, data.mask)
        baseline_static = None if static is None else _static_means(card, static, data.mask)
    if observed is not None:
        baseline = np.where(observed, baseline, x)
    return Question(x, static, observed, baseline, baseline_static)


def _static_means(card: ModelCard, static: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Per channel; of a map of classes the share of the basin that each class has."""
    owners = [variable for variable, channels in card.static_slices() for _ in range(channels.start, channels.stop)]
    means = [_centre(variable, values[None], None, mask) for variable, values in zip(owners, static)]
    return np.broadcast_to(np.array(means, dtype=np.float32)[:, None, None], static.shape).copy()


def _centre(variable: VariableCard, values: np.ndarray, observed: Optional[np.ndarray], mask: np.ndarray) -> float:
    """The mean in scaled units: 0 for scalers that centre, else that of the basin's observed values (t, H, W)."""
    if variable.scaler.get("kind") in _CENTRED:
        return 0.0
    taken = np.broadcast_to(mask, values.shape) if observed is None else mask & observed
    return float(values[taken].mean(dtype=np.float64)) if taken.any() else 0.0
