"""Values that stand for missing without being declared: found in a sample, taken out of the maps, told to the person.

A value is suspected only where it cannot be a measurement: one that people use as a mark and that is not plausible for
the quantity, or lies far from all others; or one exact value that comes back again and again outside of a plausible
range in which the rest lies. Values that differ from each other, by a wrong unit for example, are no marks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Union

import numpy as np

from ..contracts.variables import Quantity, quantity

# Marks in files of models, satellites and gauges. Those of the second list may well be measured, so they must come back
# and stand further off.
_MARKS = (-9999.0, -9999.9, -9999.99, -99999.0, -999999.0, -9999999.0, -32768.0, -32767.0, -2147483648.0, -2147483647.0,
          -8888.0, -7777.0, -999.0, -999.9, -999.99, -99.0, -99.9, -99.99, -1.2345)  # fmt: skip
_SMALL_MARKS = (-1.0, -128.0, 127.0, 254.0, 255.0, 999.0, 999.9, 9999.0, 9999.9, 99999.0, 32767.0, 65534.0, 65535.0,
                2147483647.0)  # fmt: skip
_HUGE = 1e19  # 1e20, 9.96921e36, 3.4e38 and their like
_UNBOUNDED = 1e9  # a quantity with such bounds says nothing of what is plausible
_SHARE = 0.001  # of the sample, from which a value comes back again and again
_AGAIN = 3  # times that such a value has to be there, so that one odd value of a small sample is none
_MOST_CODES = 12  # marks of one file; more are no marks
_FEWEST_VALUES = 10  # different plausible values, below which nobody can say what stands out
_SLIGHT = 0.05  # of the range of the rest; what lies closer may be noise or saturation


@dataclass(frozen=True)
class _Rest:
    """What is no mark by its looks: how many, different values, range, and the share within what is plausible."""

    values: np.ndarray
    low: float
    high: float
    plausible: float

    @property
    def spread(self) -> float:
        return self.high - self.low

    def distance(self, value: float) -> float:
        """From ``value`` to the nearest of them."""
        return float(np.abs(self.values - value).min()) if self.values.size else np.inf


def suspects(
    sample: np.ndarray, kind: Union[Quantity, str], scale: float = 1.0, offset: float = 0.0
) -> tuple[float, ...]:
    """Values of ``sample`` (any shape, NaN left out) that stand for missing in the source, rising.

    ``kind`` is the quantity or its name; ``scale`` and ``offset`` take the source's unit to the quantity's (see
    :func:`units.convert`), so that its plausible range can be compared.
    """
    entry = quantity(kind) if isinstance(kind, str) else kind
    flat = np.asarray(sample, dtype=np.float64).ravel()
    values, counts = np.unique(flat[np.isfinite(flat)], return_counts=True)
    if not values.size:
        return ()
    huge = np.abs(values) >= _HUGE
    marks, small = _listed(values, _MARKS), _listed(values, _SMALL_MARKS)
    low, high = _bounds(entry, scale, offset)
    shares = counts / counts.sum()
    rest = _rest(values[~(huge | marks | small)], counts[~(huge | marks | small)], low, high)
    found = [float(value) for value in values[huge]]
    for value, share in zip(values[marks], shares[marks]):
        far = rest.distance(value) > (1.0 if share > _SHARE else 10.0) * rest.spread
        if far or _stands_out(value, rest, low, high):
            found.append(float(value))
    for value, share in zip(values[small], shares[small]):
        far = rest.values.size > 1 and rest.distance(value) > 3.0 * rest.spread and value != -1.0
        if share > _SHARE and (_stands_out(value, rest, low, high) or far):
            found.append(float(value))
    return tuple(sorted({*found, *_repeated(values[counts >= _AGAIN], shares[counts >= _AGAIN], rest, low, high)}))


def replace(values: np.ndarray, marks: Iterable[float]) -> np.ndarray:
    """``values`` as float32 with NaN in place of the ``marks``; the array itself where there is nothing to do."""
    marks = tuple(marks)
    result = np.asarray(values, dtype=np.float32)
    hit = _listed(result, marks) if marks else np.zeros(0, dtype=bool)
    if not hit.any():
        return result
    return np.where(hit, np.float32(np.nan), result)


def sentences(sample: np.ndarray, marks: Iterable[float]) -> list[str]:
    """What to tell of the ``marks`` that were found in ``sample``."""
    flat = np.asarray(sample, dtype=np.float64).ravel()
    flat = flat[~np.isnan(flat)]
    shares = [(mark, float(_listed(flat, (mark,)).mean()) if flat.size else 0.0) for mark in marks]
    return [
        f"The value {mark:.7g} ({_percent(share)} of a sample) is taken as missing; it is not declared."
        for mark, share in shares
    ]


def _listed(values: np.ndarray, marks: tuple[float, ...]) -> np.ndarray:
    """Where ``values`` are one of ``marks``, as close as float32 tells them apart."""
    hit = np.zeros(values.shape, dtype=bool)
    for mark in marks:
        hit |= np.abs(values - mark) <= 5e-7 * abs(mark)
    return hit


def _bounds(entry: Quantity, scale: float, offset: float) -> tuple[float, float]:
    """What is plausible, in the unit of the source; infinite where the quantity does not say."""
    if entry.kind == "class" or max(abs(entry.minimum), abs(entry.maximum)) >= _UNBOUNDED:
        return -np.inf, np.inf
    low, high = sorted(((entry.minimum - offset) / scale, (entry.maximum - offset) / scale))
    return low, high


def _rest(values: np.ndarray, counts: np.ndarray, low: float, high: float) -> _Rest:
    if not values.size:
        return _Rest(values, 0.0, 0.0, 1.0)
    # A packed zero may be a hair below it.
    slack = 1e-3 * min(float(values[-1] - values[0]), high - low)
    inside = (values >= low - slack) & (values <= high + slack)
    plausible = float(counts[inside].sum() / counts.sum())
    return _Rest(values, float(values[0]), float(values[-1]), plausible)


def _stands_out(value: float, rest: _Rest, low: float, high: float) -> bool:
    """Whether a mark lies where no value can be while the rest lies where values can, with none beside it there."""
    if low <= value <= high or rest.plausible < 0.5:
        return False
    slack = 1e-3 * min(rest.spread, high - low)
    beside = rest.values < low - slack if value < low else rest.values > high + slack
    return not beside.any() or rest.distance(value) >= _SLIGHT * rest.spread


def _repeated(values: np.ndarray, shares: np.ndarray, rest: _Rest, low: float, high: float) -> list[float]:
    """Exact values that come back outside of what is plausible, few and well apart from it."""
    inside = rest.values[(rest.values >= low) & (rest.values <= high)]
    if inside.size < _FEWEST_VALUES:
        return []
    spread = float(inside[-1] - inside[0])
    outside = np.isin(values, rest.values) & ((values < low - _SLIGHT * spread) | (values > high + _SLIGHT * spread))
    if outside.sum() > _MOST_CODES:
        return []
    return [float(value) for value in values[outside & (shares > _SHARE)]]


def _percent(share: float) -> str:
    if share >= 0.01:
        return f"{share * 100:.0f} %"
    return f"{share * 100:.1f} %" if share >= 0.001 else "less than 0.1 %"
