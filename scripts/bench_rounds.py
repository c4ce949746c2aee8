"""The arithmetic of the benchmarks: interleaved rounds, median and least, ratios, fitted exponents."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Optional

import numpy as np


def interleaved(
    calls: Mapping[str, Callable[[], float]], rounds: int, warm_up: int = 2, told: Optional[str] = None
) -> dict[str, list[float]]:
    """What each call gives (seconds), ``rounds`` times after ``warm_up`` rounds that do not count.

    Each round calls all, each round begins with another, so that whatever disturbs the machine meets all alike.
    """
    names = list(calls)
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(warm_up + rounds):
        for place in range(len(names)):
            name = names[(number + place) % len(names)]
            value = calls[name]()
            if number >= warm_up:
                found[name].append(value)
        if told:
            print(f"{told}: round {number + 1} of {warm_up + rounds}", flush=True)
    return found


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median and least of some measurements, and how many they are."""
    return {"median": rounded(statistics.median(values)), "min": rounded(min(values)), "rounds": len(values)}


def ratio(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    """How many times as much: by the medians and by the least of both."""
    return {
        "median": rounded(statistics.median(above) / statistics.median(below)),
        "min": rounded(min(above) / min(below)),
    }


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The p of ``value = a size^p`` by least squares of the logarithms."""
    return round(float(np.polyfit(np.log(sizes), np.log(values), 1)[0]), 2)


def rounded(value: float, digits: int = 4) -> float:
    """To so many digits that count."""
    return float(f"{value:.{digits}g}")
