"""Ordinary kriging of many steps at the same gauges, with one variogram for the whole record.

The variogram is a climatological one (Bastin et al. 1984, doi:10.1029/WR020i004p00463; Lebel and Bastin 1985,
doi:10.1016/0022-1694(85)90007-4): the squared differences between two gauges, each step's divided by the variance of
that step, are averaged over the record, gathered by distance, and a model is fitted to them with pykrige. So the
variogram is free of units, wet and dry steps count alike, and weights are the same for all steps with the same gauges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

FEWEST = 4  # gauges that kriging needs
_LAGS = (6, 15)  # classes of distance, at least and at most
_PAIRS = 20  # pairs of gauges that a further class needs
_MODELS = ("spherical", "exponential")
_ZERO = 1e-10  # as in pykrige: a distance below is none


@dataclass(frozen=True)
class Variogram:
    """A model of pykrige with partial sill, range (in metres, or units of the CRS) and nugget. A ``relative`` one has
    to be multiplied by the variance of a step.
    """

    model: str
    partial_sill: float
    range: float
    nugget: float
    relative: bool = True

    def __call__(self, distance: np.ndarray) -> np.ndarray:
        """Semivariance (any shape); 0 at no distance, where an observation is exact, else with the nugget."""
        from pykrige import variogram_models

        function = getattr(variogram_models, f"{self.model}_variogram_model")
        values = function([self.partial_sill, self.range, self.nugget], np.asarray(distance, dtype=np.float64))
        return np.where(distance > _ZERO, values, 0.0)


def fit_variogram(distances: np.ndarray, values: np.ndarray) -> Optional[Variogram]:
    """The climatological variogram of values (T, G), NaN missing, at gauges whose distances are (G, G).

    The better of a spherical and an exponential model, by the sum of squared residuals. None where there are fewer than
    four gauges, or too few steps that vary in space, to fit one.
    """
    from pykrige import core

    pairs = _mean_differences(values)
    upper = np.triu_indices(len(distances), 1)
    apart, semivariance = distances[upper], pairs[upper]
    seen = np.isfinite(semivariance)
    if len(distances) < FEWEST or seen.sum() < _LAGS[0] or not semivariance[seen].max() > 0:
        return None
    lags, means = _by_distance(apart[seen], semivariance[seen])
    if len(lags) < 3:
        return None
    best, least = None, np.inf
    for model in _MODELS:
        function = _function(model)
        scale = float(lags.max())  # least squares needs numbers of one size
        sill, reach, nugget = core._calculate_variogram_model(lags / scale, means, model, function, False)
        trial = Variogram(model, float(sill), max(float(reach), 1e-6) * scale, float(nugget))
        residual = float(((trial(lags) - means) ** 2).sum())
        if residual < least and trial.partial_sill + trial.nugget > 0:
            best, least = trial, residual
    return best


class System:
    """The kriging system of p gauges, factorised once: distances (p, p)."""

    def __init__(self, distances: np.ndarray, variogram: Variogram) -> None:
        from scipy.linalg import lu_factor

        self.count = len(distances)
        self._matrix = np.ones((self.count + 1, self.count + 1))
        self._matrix[:-1, :-1] = -variogram(distances)
        self._matrix[-1, -1] = 0.0
        self._factors = lu_factor(self._matrix)

    def coefficients(self, values: np.ndarray) -> np.ndarray:
        """Dual coefficients (p + 1, n) of values (n, p): :func:`right_side` times these is the estimate."""
        return self._solve(np.vstack([values.T, np.zeros(len(values))]))

    def weights(self, right: np.ndarray) -> np.ndarray:
        """Weights (c, p) of the gauges at c places whose right sides are (c, p + 1); each row sums to 1."""
        return self._solve(right.T)[:-1].T

    def variance(self, right: np.ndarray) -> np.ndarray:
        """Kriging variance (c,) at c places, never below 0."""
        return np.maximum(-(self._solve(right.T) * right.T).sum(axis=0), 0.0)

    def left_out(self, values: np.ndarray) -> np.ndarray:
        """Estimate (n, p) of each gauge from all others, by the inverse of the whole system (Dubrule 1983,
        doi:10.1007/BF01033232).
        """
        inverse = self._solve(np.eye(self.count + 1))
        residual = (inverse[:-1, :-1] @ values.T) / np.diag(inverse)[:-1, None]
        return values - residual.T

    def _solve(self, right: np.ndarray) -> np.ndarray:
        from scipy.linalg import lu_solve

        return lu_solve(self._factors, right)


def right_side(distances: np.ndarray, variogram: Variogram) -> np.ndarray:
    """Right sides (c, G + 1) of places whose distances to the gauges are (c, G)."""
    right = np.ones((len(distances), distances.shape[1] + 1))
    right[:, :-1] = -variogram(distances)
    return right


def _function(model: str) -> Any:
    from pykrige import variogram_models

    return getattr(variogram_models, f"{model}_variogram_model")


def _mean_differences(values: np.ndarray) -> np.ndarray:
    """Half the mean squared difference of each two gauges (G, G), each step divided by its variance; NaN where two are
    never present together.
    """
    count = values.shape[1]
    total, steps = np.zeros((count, count)), np.zeros((count, count))
    for start in range(0, len(values), 1024):
        block = np.asarray(values[start : start + 1024], dtype=np.float64)
        present = np.isfinite(block)
        enough = present.sum(axis=1) >= FEWEST
        block, present = block[enough], present[enough]
        if not len(block):
            continue
        spread = np.nanvar(block, axis=1, ddof=1)
        block, present, spread = block[spread > 0], present[spread > 0], spread[spread > 0]
        scaled = (block - np.nanmean(block, axis=1, keepdims=True)) / np.sqrt(spread)[:, None] if len(block) else block
        scaled, present = np.where(present, scaled, 0.0), present.astype(np.float64)
        squares = (scaled**2).T @ present
        total += squares + squares.T - 2 * scaled.T @ scaled
        steps += present.T @ present
    out = np.full((count, count), np.nan)
    np.divide(0.5 * total, steps, out=out, where=steps > 0)
    return out


def _by_distance(apart: np.ndarray, semivariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean distance and mean semivariance of classes of equal width, as pykrige gathers them: six, more where there are
    many pairs; empty ones are left out.
    """
    classes = int(np.clip(len(apart) // _PAIRS, *_LAGS))
    edges = np.linspace(apart.min(), apart.max(), classes + 1)
    place = np.clip(np.searchsorted(edges, apart, side="right") - 1, 0, classes - 1)
    count = np.bincount(place, minlength=classes)
    filled = count > 0
    lags = np.bincount(place, apart, classes)[filled] / count[filled]
    return lags, np.bincount(place, semivariance, classes)[filled] / count[filled]
