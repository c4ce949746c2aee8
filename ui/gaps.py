"""Gaps of series: what is missing is not drawn, and what stands alone is seen."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ..core.contracts.steps import advance


def broken(line: Any) -> tuple[list, list]:
    """Dates and values (NaN: missing) of a series (``dates``, ``values``, ``step_seconds``), with a missing value
    wherever steps have no date at all, so that nothing is drawn across.
    """
    values = [float("nan") if value is None else float(value) for value in line.values]
    gaps = sorted(later - earlier for earlier, later in zip(line.dates, line.dates[1:]))
    if not gaps:
        return list(line.dates), values
    step = line.step_seconds or gaps[len(gaps) // 2].total_seconds()
    dates, kept = [line.dates[0]], [values[0]]
    for earlier, later, value in zip(line.dates, line.dates[1:], values[1:]):
        if later > advance(earlier, 1, step) + 0.5 * timedelta(seconds=step):
            dates.append(advance(earlier, 1, step))
            kept.append(float("nan"))
        dates.append(later)
        kept.append(value)
    return dates, kept


def alone(values: list) -> list:
    """Places of values without a neighbour, which a line would not show."""
    known = [False, *(value == value for value in values), False]
    return [i for i in range(len(values)) if known[i + 1] and not known[i] and not known[i + 2]]
