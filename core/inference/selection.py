"""Which windows a prediction or a judgement takes, and what to say of data that the model has not seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Optional

import numpy as np

from ..contracts import PeriodConfig
from ..contracts.errors import DataError
from ..contracts.model_card import ModelCard, VariableCard
from ..data.splits import period_steps
from ..data.store import Dataset
from ..data.windows import WindowData
from .artifacts import display_units
from .geotiff import iso

_BLOCK_BYTES = 32 * 2**20
_MARGIN = 0.01  # of the range seen: rounding, not another climate


def choose_ends(
    data: WindowData, card: ModelCard, dataset: Dataset, period: PeriodConfig, *, need_target: bool
) -> tuple[np.ndarray, str]:
    """Last input steps of the windows whose targets all lie in ``period``, and why these, as a sentence.

    An open period takes the test period of the card where that lies inside the record, else all dates. Raises
    :class:`DataError` where no window is left.
    """
    ends = data.valid_ends(need_target=need_target)
    period, why = effective_period(data.times, periods_of(card, dataset), period)
    targets = data.target_times(ends)
    inside = period_steps(targets.reshape(-1), period).reshape(targets.shape).all(axis=1)
    if not inside.any():
        raise DataError(
            "No date of the period can be predicted",
            expected=f"dates from {iso(targets.min())} to {iso(targets.max())}; {card.window} input steps each",
            got=f"{period.start or 'the begin'} to {period.end or 'the end'}",
            remedy="Choose a period within these dates",
        )
    return ends[inside], why


def periods_of(card: ModelCard, dataset: Dataset) -> Mapping[str, Any]:
    """First and last date of the periods that a model knows of this dataset. Of another basin those of all its training
    data; of a sequence that it has not met none, since dates of events and simulations say nothing of each other.
    """
    known = card.periods_by_dataset.get(dataset.fingerprint())
    if known is not None:
        return known
    return {} if dataset.sequence else card.periods


def effective_period(
    times: np.ndarray, periods: Mapping[str, Any], period: PeriodConfig
) -> tuple[PeriodConfig, str]:  # fmt: skip
    """The period asked for; without one the test period of ``periods`` if inside ``times``, else an open one."""
    if period.start or period.end:
        return period, "The period that was asked for."
    if "test" in periods:
        first, last = (np.datetime64(text, "s") for text in periods["test"])
        if times[0] <= first and last <= times[-1]:
            return PeriodConfig(*periods["test"]), "The test period of the model, which its training has not seen."
    return period, "All dates of the dataset, since no test period of the model lies inside it."


def overlap_with_training(dates: np.ndarray, card: ModelCard, dataset: Dataset) -> str:
    """A sentence where dates of the same dataset were trained on, else empty."""
    if not any(text.endswith(dataset.fingerprint()) for text in card.datasets):
        return ""
    periods = periods_of(card, dataset)
    for name in ("train", "validation"):
        if name in periods:
            count = int(period_steps(dates, PeriodConfig(*periods[name])).sum())
            if count:
                which = "training" if name == "train" else name
                return f"{count} of {len(dates)} dates lie in the {which} period of the model: scores there flatter it."
    return ""


def outside_ranges(dataset: Dataset, card: ModelCard, data: WindowData, ends: np.ndarray) -> Iterator[str]:
    """A sentence for each input that leaves, inside the mask and over the steps used, the range seen in training."""
    first, stop = int(ends.min()) - card.window + 1, int(ends.max()) + 1
    size = steps_at_once(dataset)
    for variable in card.inputs:
        blocks = (
            dataset.dynamic(variable.name, start, min(stop, start + size))[:, data.mask]
            for start in range(first, stop, size)
        )
        sentence = _outside(blocks, variable)
        if sentence:
            yield sentence
    for variable in card.static:
        sentence = _outside([dataset.static_map(variable.name)[data.mask]], variable)
        if sentence:
            yield sentence


def steps_at_once(dataset: Dataset) -> int:
    """Steps of a variable that are read at once where all of them would fill the memory."""
    return max(1, _BLOCK_BYTES // (4 * dataset.grid.rows * dataset.grid.columns))


def _outside(blocks: Iterable[np.ndarray], card: VariableCard) -> Optional[str]:
    name, units = card.label or card.name, display_units(card.units)
    margin = _MARGIN * (card.maximum - card.minimum) + 1e-6 * max(abs(card.maximum), abs(card.minimum))
    count, beyond, low, high = 0, 0, np.inf, -np.inf
    for values in blocks:
        values = values[np.isfinite(values)]
        if values.size:
            count += values.size
            beyond += int(((values < card.minimum - margin) | (values > card.maximum + margin)).sum())
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    if count == 0:
        return f"{name} has no value in this period; the model is given its mean instead."
    if not beyond:
        return None
    return (
        f"{name} lies outside what the model has seen: here {low:.4g} to {high:.4g} {units}, "
        f"in training {card.minimum:.4g} to {card.maximum:.4g} {units} "
        f"({share_words(beyond / count)} of the values lie outside)."
    )


def share_words(share: float) -> str:
    """A share in per cent; a tiny one is not shown as none."""
    return "less than 0.1 %" if 0 < share < 0.001 else f"{100 * share:.1f} %"
