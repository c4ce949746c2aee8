"""Ridge regression from sums that are gathered batch by batch, so that no feature has to be kept."""

from __future__ import annotations

from typing import Optional

import numpy as np

PENALTIES = tuple(10.0**power for power in range(-6, 3))
_CONSTANT = 1e-9  # a feature whose spread is below this share of its size is constant


class Sums:
    """Sums of products of C features (and a 1) and O outputs over rows; float64. A row of an output counts where that
    output is finite.
    """

    def __init__(self, features: int, outputs: int) -> None:
        size = features + 1
        self.products = np.zeros((outputs, size, size))
        self.mixed = np.zeros((outputs, size))
        self.squares = np.zeros(outputs)
        self.counts = np.zeros(outputs, dtype=np.int64)

    def add(self, features: np.ndarray, outputs: np.ndarray) -> None:
        """Rows (n, C) and (n, O)."""
        rows = with_one(features)
        shared: Optional[np.ndarray] = None
        for number, values in enumerate(outputs.astype(np.float64).T):
            known = np.isfinite(values)
            if known.all():
                shared = rows.T @ rows if shared is None else shared
                product, own = shared, rows
            else:
                own, values = rows[known], values[known]
                product = own.T @ own
            self.products[number] += product
            self.mixed[number] += own.T @ values
            self.squares[number] += values @ values
            self.counts[number] += len(values)

    def __add__(self, other: Sums) -> Sums:
        whole = Sums(self.mixed.shape[1] - 1, len(self.counts))
        for name in ("products", "mixed", "squares", "counts"):
            setattr(whole, name, getattr(self, name) + getattr(other, name))
        return whole

    def fit(self, penalty: float) -> np.ndarray:
        """Weights (O, C + 1), the intercept last, of standardised features: the penalty is the same for all, and 0 is
        ordinary least squares. NaN for an output without two values.
        """
        return np.stack([self._fit(number, penalty) for number in range(len(self.counts))])

    def error(self, weights: np.ndarray) -> np.ndarray:
        """Sum of squared errors (O,) of weights on these rows."""
        linear = np.einsum("oc,oc->o", weights, self.mixed)
        square = np.einsum("oc,ocd,od->o", weights, self.products, weights)
        return np.maximum(0.0, self.squares - 2 * linear + square)

    def _fit(self, number: int, penalty: float) -> np.ndarray:
        count, size = self.counts[number], self.mixed.shape[1]
        if count < 2:
            return np.full(size, np.nan)
        product, mixed = self.products[number] / count, self.mixed[number] / count
        means, level = product[:-1, -1], mixed[-1]
        spread = product[:-1, :-1] - np.outer(means, means)
        widths = np.sqrt(np.maximum(np.diag(spread), 0.0))
        alive = widths > _CONSTANT * np.maximum(np.abs(means), 1e-300)
        safe = np.where(alive, widths, 1.0)
        related = np.where(alive, (mixed[:-1] - means * level) / safe, 0.0)
        matrix = np.where(np.outer(alive, alive), spread / np.outer(safe, safe), 0.0)
        matrix[np.diag_indices(size - 1)] += penalty
        found = np.linalg.lstsq(matrix, related, rcond=1e-10)[0] / safe
        return np.append(found, level - means @ found)


def with_one(features: np.ndarray) -> np.ndarray:
    """(n, C) to float64 (n, C + 1), a 1 behind the features."""
    return np.concatenate([features.astype(np.float64), np.ones((len(features), 1))], axis=1)


def choose_penalty(early: Sums, late: Sums, given: Optional[float] = None) -> tuple[float, float]:
    """The penalty that, fitted on ``early``, errs least on ``late``, summed over the outputs by their variance; and its
    share of that variance left unexplained. ``given`` is taken as it is.
    """
    scale = np.maximum(late.error(_mean_only(late)), 1e-300)
    best = (0.0, np.inf)
    for penalty in PENALTIES if given is None else (given,):
        left = float(np.nanmean(late.error(early.fit(penalty)) / scale))
        if left < best[1] or not np.isfinite(best[1]):
            best = (penalty, left)
    return best


def _mean_only(sums: Sums) -> np.ndarray:
    weights = np.zeros_like(sums.mixed)
    weights[:, -1] = sums.mixed[:, -1] / np.maximum(sums.counts, 1)
    return weights
