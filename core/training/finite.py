"""Where a training left the finite numbers: the first variable, cell and date, found by looking at the batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

import numpy as np
import torch

from ..contracts.model_card import VariableCard
from ..data.scaling import Scaler
from ..data.timeline import shift
from ..data.windows import Batch
from .setup import TrainingSet

_EXTREME = 1e4  # scaled values beyond this are no weather


def first_culprit(item: TrainingSet, ends: np.ndarray, batch: Batch, predicted: Optional[torch.Tensor] = None) -> str:
    """In words: the earliest value of a batch that is infinite, or 10,000 standard deviations and more from the mean.

    ``batch`` holds the windows that end at ``ends``, as the dataset gives them. Where none of its values is, the first
    of ``predicted (B, N, L, K, *frame)`` that is no finite number, or that nothing was found.
    """
    found = [culprit for culprit in _values(item, ends, batch) if culprit is not None]
    if found:
        return min(found, key=lambda culprit: culprit[0])[1]
    if predicted is not None:
        values = predicted.detach().float().cpu().numpy()
        steps = _target_steps(item, ends, values.shape[1])
        worst = _first(item, values, steps, item.card.targets if item.card else (), "prediction", ~np.isfinite(values))
        if worst is not None:
            return f"{worst[1]}, though the values that the model read are ordinary"
    dates = item.data.times[ends]
    return (
        f"no unusual value in the windows of '{item.data.name}' that end {dates.min()} to {dates.max()}: the numbers "
        "grew in the model itself"
    )


def _values(item: TrainingSet, ends: np.ndarray, batch: Batch) -> Iterator[Optional[tuple[np.datetime64, str]]]:
    """The first culprit of each part of a batch."""
    data, card = item.data, item.card
    window = ends[:, None] + np.arange(1 - data.window, 1)[None, :]
    inputs = card.inputs if card else ()
    known = data.x.shape[1]
    yield _first(item, batch.x[:, :, :known], window, inputs, "input", _bad(batch.x[:, :, :known]))
    leads = _target_steps(item, ends, 1)[:, 0]
    if batch.ahead is not None:
        yield _first(item, batch.ahead, leads, card.ahead if card else (), "forecast", _bad(batch.ahead))
    if batch.y is not None:
        steps = _target_steps(item, ends, batch.y.shape[1])
        bad = _bad(batch.y) & ~np.isnan(batch.y)  # a missing target is no fault
        yield _first(item, batch.y, steps, card.targets if card else (), "target", bad)
    if batch.static is not None:
        yield _first_map(item, batch.static[0])


def _bad(values: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return ~(np.abs(values) < _EXTREME)


def _target_steps(item: TrainingSet, ends: np.ndarray, supervised: int) -> np.ndarray:
    """Steps of the record (B, N, L) that are predicted."""
    leads = item.data.lead + np.arange(item.data.leads)
    return (ends[:, None] + leads)[:, None, :] + np.arange(1 - supervised, 1)[None, :, None]


def _first(
    item: TrainingSet,
    values: np.ndarray,
    steps: np.ndarray,
    variables: tuple[VariableCard, ...],
    kind: str,
    bad: np.ndarray,
) -> Optional[tuple[np.datetime64, str]]:
    """Date and words of the earliest ``bad`` one of ``values`` (*steps.shape, channels, H, W); None without any."""
    places = np.argwhere(bad)
    if not len(places):
        return None
    dates = steps[tuple(places[:, : steps.ndim].T)]
    place = places[np.lexsort((places[:, -1], places[:, -2], places[:, -3], dates))[0]]
    channel, row, column = (int(n) for n in place[-3:])
    date = _date(item, int(steps[tuple(place[: steps.ndim])]))
    words = _said(kind, variables, channel, float(values[tuple(place)]))
    return date, f"{words} {_cell(item, row, column, kind in ('target', 'prediction'))} on {date}"


def _first_map(item: TrainingSet, maps: np.ndarray) -> Optional[tuple[np.datetime64, str]]:
    places = np.argwhere(_bad(maps))
    if not len(places):
        return None
    channel, row, column = (int(n) for n in places[0])
    owners = []
    for variable in item.card.static if item.card else ():
        owners += [variable] * max(1, len(variable.scaler.get("classes", ())))
    words = _said("static map", tuple(owners), channel, float(maps[channel, row, column]))
    return item.data.times[0], f"{words} {_cell(item, row, column, False)}, on all dates"


def _said(kind: str, variables: tuple[VariableCard, ...], channel: int, scaled: float) -> str:
    if channel >= len(variables):
        return f"{kind} {channel + 1} is {scaled:g} (scaled)"
    variable = variables[channel]
    if kind == "prediction":
        return f"the prediction of '{variable.name}' is {scaled:g}"
    with np.errstate(all="ignore"):
        value = float(Scaler.from_dict(variable.scaler).inverse(np.array([scaled], dtype=np.float32))[0])
    return f"'{variable.name}' is {value:.6g} {variable.units}, {scaled:.3g} scaled,"


def _cell(item: TrainingSet, row: int, column: int, of_target: bool) -> str:
    """Where a value lies, in words; rows and columns count from 1."""
    if of_target and item.data.gauges:
        ids = item.card.gauges if item.card else ()
        return f"at the gauge '{ids[column]}'" if column < len(ids) else f"at gauge {column + 1}"
    xs, ys = item.data.grid.centres()
    return f"in the cell at x {xs[column]:.8g}, y {ys[row]:.8g} (row {row + 1}, column {column + 1})"


def _date(item: TrainingSet, step: int) -> np.datetime64:
    times = item.data.times
    if 0 <= step < len(times):
        return times[step]
    edge = 0 if step < 0 else len(times) - 1
    return shift(times[edge : edge + 1], np.array([step - edge]), item.data.step_seconds)[0]
