"""What a prediction is compared with: every input at its mean, at the mean of its time of the year, or the same window
without precipitation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from ..contracts.model_card import ModelCard, VariableCard
from ..contracts.question_checks import PRECIPITATION
from ..data.scaling import Scaler
from ..data.windows import WindowData, time_of_year

_CENTRED = ("standard", "log1p", "yeo-johnson")  # scalers that put the training mean at 0
_NEAR_DAYS = 15.5  # days before and after a date whose mean is its climatology: 15 and a leap day's shift
_YEAR_DAYS = 365.2425
WORDS = {
    "mean": "every input at its mean",
    "dry": "the same window without precipitation",
    "climatology": "every input at the mean of its time of the year",
}


@dataclass(frozen=True)
class Question:
    """One window and its baseline, scaled float32: ``x``, ``baseline_x`` (T, C, H, W), ``static``, ``baseline_static``
    (S, H, W) or None, ``observed`` bool (T, C, H, W) or None, ``ahead``, ``baseline_ahead`` (L, A, H, W) or None,
    ``time_of_year`` (L,). Missing cells are the same in both, so they contribute 0.
    """

    x: np.ndarray
    static: Optional[np.ndarray]
    observed: Optional[np.ndarray]
    baseline_x: np.ndarray
    baseline_static: Optional[np.ndarray]
    ahead: Optional[np.ndarray] = None
    baseline_ahead: Optional[np.ndarray] = None
    time_of_year: Optional[np.ndarray] = None


def build_question(
    kind: str, card: ModelCard, data: WindowData, end: int, train: Optional[np.ndarray] = None
) -> Question:
    """The window that ends at step ``end`` and its baseline of ``kind``: "mean", "dry" or "climatology".

    ``train`` bool (T,): the steps whose means are taken; None takes all.
    """
    batch = data.batch(np.array([end]))
    x, observed = batch.x[0], None if batch.observed is None else batch.observed[0]
    static = None if batch.static is None else np.ascontiguousarray(batch.static[0])
    ahead = None if batch.ahead is None else batch.ahead[0]
    train = np.ones(len(data.times), dtype=bool) if train is None or not train.any() else train
    window = data.times[end - data.window + 1 : end + 1]
    baseline = _series_baseline(kind, card.inputs, x, (data.x, data.observed), data, window, train)
    if kind == "mean":
        # The season's channels stay at 0: the mean of sine and cosine over the year.
        baseline[:, len(card.inputs) :] = 0.0
    if observed is not None:
        baseline = np.where(observed, baseline, x)
    baseline_static = _static_means(card, static, data.mask) if kind == "mean" and static is not None else static
    baseline_ahead = None
    if ahead is not None:
        targets = data.target_times(np.array([end]))[0]
        baseline_ahead = _series_baseline(kind, card.ahead, ahead, (data.ahead, None), data, targets, train)
    return Question(
        x, static, observed, baseline, baseline_static, ahead, baseline_ahead, batch.time_of_year[0]
    )  # fmt: skip


def changed_by(kind: str, variable: VariableCard) -> bool:
    """Whether the baseline changes a variable in time."""
    return kind != "dry" or variable.quantity == PRECIPITATION


def _series_baseline(
    kind: str,
    variables: Sequence[VariableCard],
    values: np.ndarray,
    record: tuple[np.ndarray, Optional[np.ndarray]],
    data: WindowData,
    times: np.ndarray,
    train: np.ndarray,
) -> np.ndarray:
    """Baseline of ``values`` (n, channels, H, W) of the dates ``times``; ``record`` holds all steps and which of them
    were observed. Channels beyond ``variables`` stay as they are.
    """
    baseline = values.copy()
    for channel, variable in enumerate(variables):
        if kind == "dry":
            if variable.quantity == PRECIPITATION:
                baseline[:, channel] = Scaler.from_dict(variable.scaler).transform(np.zeros(1))[0]
            continue
        seen = None if record[1] is None else record[1][train, channel]
        if kind == "mean":
            baseline[:, channel] = _centre(variable, record[0][train, channel], seen, data.mask)
        else:
            baseline[:, channel] = _climatology(variable, record[0][train, channel], seen, data, times, train)
    return baseline


def _climatology(
    variable: VariableCard,
    values: np.ndarray,
    observed: Optional[np.ndarray],
    data: WindowData,
    times: np.ndarray,
    train: np.ndarray,
) -> np.ndarray:
    """Scaled (n, H, W): the mean of the variable, in its unit, over the training steps around the same day of the year;
    over all of them where the record has none there.
    """
    scaler = Scaler.from_dict(variable.scaler)
    plain = scaler.inverse(values).astype(np.float64)
    weights = np.ones_like(plain) if observed is None else observed.astype(np.float64)
    apart = np.abs(time_of_year(times)[:, None] - time_of_year(data.times[train])[None, :])
    near = np.minimum(apart, 1.0 - apart) * _YEAR_DAYS <= max(_NEAR_DAYS, data.step_seconds / 86400.0 / 2)
    near[~near.any(axis=1)] = True
    means = np.empty((len(times), *data.mask.shape))
    for row, steps in enumerate(near):
        count, total = weights[steps].sum(axis=0), (plain[steps] * weights[steps]).sum(axis=0)
        alone = plain[steps].mean(axis=0)
        means[row] = np.where(count > 0, total / np.maximum(count, 1.0), alone)
    return scaler.transform(means)


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
