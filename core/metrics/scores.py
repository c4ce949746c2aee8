"""Scores of predicted against observed maps, gathered as they stream by: ``init / accumulate / merge / compute``.

All state is float64. Moments are merged as Chan, Golub and LeVeque (1983, DOI 10.1080/00031305.1983.10483115) do, so
that large means with a small variance lose no digits.

NaN policy: a pair counts only where both values are finite. A score that is not defined (no pair; NSE where the
observed variance is 0; KGE where either variance or the observed mean is 0) is NaN.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ..contracts.errors import DataError

SCORES = ("rmse", "mae", "bias", "nse", "kge", "kge_r", "kge_alpha", "kge_beta", "kge_2012", "kge_gamma", "count")
_STATE = ("count", "mean_p", "mean_o", "m2_p", "m2_o", "co", "square", "absolute")
_BLOCK_CELLS = 2**18  # computed at once
_CONSTANT = 1e-12  # a standard deviation below this share of the mean is rounding, not variance


class Scores:
    """Scores per cell of a grid ``shape`` (H, W) and pooled over all its cells.

    RMSE, MAE and bias (mean predicted - mean observed) are in the unit of the values. NSE is 1 - SSE/SST (Nash and
    Sutcliffe 1970, DOI 10.1016/0022-1694(70)90255-6); no R2 is given. KGE is 1 - sqrt((r-1)^2 + (alpha-1)^2 +
    (beta-1)^2) with alpha the ratio of standard deviations and beta that of means (Gupta et al. 2009, DOI
    10.1016/j.jhydrol.2009.08.003); ``kge_2012`` takes gamma, the ratio of coefficients of variation, in place of
    alpha (Kling et al. 2012, DOI 10.1016/j.jhydrol.2012.01.011).

    With a ``folder`` the state lies in files there and only blocks of rows are in memory: for grids whose 64 bytes a
    cell would be too many. Such scores are filled part by part (:meth:`put`).
    """

    def __init__(self, shape: tuple[int, int], folder: Optional[Path] = None) -> None:
        self.shape = tuple(shape)
        self._folder = folder
        self._state = {} if folder else {name: np.zeros(self.shape) for name in _STATE}
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            for name in _STATE:
                np.memmap(self._file(name), dtype=np.float64, mode="w+", shape=self.shape)  # zeros that take no room

    def accumulate(self, predicted: np.ndarray, observed: np.ndarray) -> None:
        """Add pairs: two arrays (t, H, W), or (H, W) for one step. Raises :class:`DataError` where shapes differ."""
        predicted, observed = np.asarray(predicted), np.asarray(observed)
        if predicted.shape != observed.shape or predicted.shape[-2:] != self.shape or predicted.ndim not in (2, 3):
            raise DataError(
                "Predicted and observed maps do not lie on the same grid",
                expected=f"(steps, {self.shape[0]}, {self.shape[1]}) for both",
                got=f"{predicted.shape} and {observed.shape}",
                remedy="Give both on the same grid and for the same dates",
            )
        values = (array.reshape(-1, *self.shape).astype(np.float64) for array in (predicted, observed))
        self._state = _combine(self._state, _moments(*values))

    def put(self, rows: slice, columns: slice, part: Scores) -> None:
        """Take over the pairs of a part of the grid, of which there were none."""
        held = self._held("r+")
        for name in _STATE:
            held[name][rows, columns] = part._state[name]

    def merge(self, other: Scores) -> None:
        """Take over the pairs of ``other``, gathered on the same grid elsewhere or at other times."""
        if other.shape != self.shape:
            raise DataError(
                "Scores of two grids cannot be merged",
                expected=str(self.shape),
                got=str(other.shape),
                remedy="Merge scores of one grid",
            )
        held = self._held("r+")
        for rows, theirs in other._blocks():
            for name, values in _combine({name: held[name][rows] for name in _STATE}, theirs).items():
                held[name][rows] = values

    def compute(self) -> dict[str, float]:
        """All :data:`SCORES` pooled over cells and steps. Holds the variance between cells: read it beside the median
        per cell.
        """
        pooled = functools.reduce(_combine, (_pool(state) for _, state in self._blocks()))
        return {name: float(value) for name, value in _scores(pooled).items()}

    def maps(self, names: Sequence[str] = SCORES) -> dict[str, np.ndarray]:
        """Scores per cell, float64 (H, W)."""
        found = {name: np.empty(self.shape) for name in names}
        for rows, state in self._blocks():
            values = _scores(state)
            for name, map_of in found.items():
                map_of[rows] = values[name]
        return found

    def median_per_cell(self) -> dict[str, float]:
        """Median over the cells in which a score is defined; NaN where there is none. ``count`` is the number of cells
        with pairs.
        """
        few = 1 if self._folder else len(SCORES)  # maps in memory at once
        medians = {}
        for start in range(0, len(SCORES), few):
            for name, values in self.maps(SCORES[start : start + few]).items():
                medians[name] = float((values > 0).sum()) if name == "count" else _median(values)
        return medians

    def to_dict(self) -> dict[str, Any]:
        """``{"pooled": {...}, "median_per_cell": {...}}`` as plain values for JSON; what is not defined is None."""
        return {"pooled": plain(self.compute()), "median_per_cell": plain(self.median_per_cell())}

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.f64"

    def _held(self, mode: str = "r") -> dict[str, np.ndarray]:
        """The state. Files are mapped anew each time, so that they leave the memory when it is done with."""
        if not self._folder:
            return self._state
        return {n: np.memmap(self._file(n), dtype=np.float64, mode=mode, shape=self.shape) for n in _STATE}

    def _blocks(self) -> Iterator[tuple[slice, dict[str, np.ndarray]]]:
        """The state by blocks of rows."""
        size = max(1, _BLOCK_CELLS // max(1, self.shape[1]))
        for start in range(0, self.shape[0], size):
            rows = slice(start, start + size)
            yield rows, {name: np.asarray(values[rows]) for name, values in self._held().items()}


def plain(values: dict[str, float]) -> dict[str, Optional[float]]:
    """Numbers for JSON: not finite ones become None, counts become whole."""
    return {n: (int(v) if n == "count" else v) if math.isfinite(v) else None for n, v in values.items()}


def skill(mse: float, reference_mse: float) -> float:
    """1 - MSE / MSE of a reference: 1 is perfect, 0 as good as the reference, below 0 worse. NaN where the reference
    is perfect.
    """
    return 1.0 - mse / reference_mse if reference_mse > 0 else math.nan


def _moments(predicted: np.ndarray, observed: np.ndarray) -> dict[str, np.ndarray]:
    """Moments of one batch (t, H, W), two-pass."""
    both = np.isfinite(predicted) & np.isfinite(observed)
    predicted, observed = np.where(both, predicted, 0.0), np.where(both, observed, 0.0)
    count = both.sum(axis=0).astype(np.float64)
    size = np.maximum(count, 1.0)
    mean_p, mean_o = predicted.sum(axis=0) / size, observed.sum(axis=0) / size
    error = predicted - observed
    from_p, from_o = np.where(both, predicted - mean_p, 0.0), np.where(both, observed - mean_o, 0.0)
    return {
        "count": count,
        "mean_p": mean_p,
        "mean_o": mean_o,
        "m2_p": (from_p**2).sum(axis=0),
        "m2_o": (from_o**2).sum(axis=0),
        "co": (from_p * from_o).sum(axis=0),
        "square": (error**2).sum(axis=0),
        "absolute": np.abs(error).sum(axis=0),
    }


def _combine(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    count = a["count"] + b["count"]
    size = np.maximum(count, 1.0)
    move_p, move_o = b["mean_p"] - a["mean_p"], b["mean_o"] - a["mean_o"]
    share, weight = b["count"] / size, a["count"] * b["count"] / size
    return {
        "count": count,
        "mean_p": a["mean_p"] + move_p * share,
        "mean_o": a["mean_o"] + move_o * share,
        "m2_p": a["m2_p"] + b["m2_p"] + move_p**2 * weight,
        "m2_o": a["m2_o"] + b["m2_o"] + move_o**2 * weight,
        "co": a["co"] + b["co"] + move_p * move_o * weight,
        "square": a["square"] + b["square"],
        "absolute": a["absolute"] + b["absolute"],
    }


def _pool(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The moments of all cells as one."""
    count = state["count"].sum()
    size = max(count, 1.0)
    mean_p, mean_o = (state["count"] * state["mean_p"]).sum() / size, (state["count"] * state["mean_o"]).sum() / size
    from_p, from_o = state["mean_p"] - mean_p, state["mean_o"] - mean_o
    pooled = {
        "count": count,
        "mean_p": mean_p,
        "mean_o": mean_o,
        "m2_p": (state["m2_p"] + state["count"] * from_p**2).sum(),
        "m2_o": (state["m2_o"] + state["count"] * from_o**2).sum(),
        "co": (state["co"] + state["count"] * from_p * from_o).sum(),
        "square": state["square"].sum(),
        "absolute": state["absolute"].sum(),
    }
    return {name: np.asarray(value) for name, value in pooled.items()}


def _scores(s: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    with np.errstate(divide="ignore", invalid="ignore"):
        count = np.where(s["count"] > 0, s["count"], np.nan)
        mean_p, mean_o = np.where(s["count"] > 0, s["mean_p"], np.nan), np.where(s["count"] > 0, s["mean_o"], np.nan)
        m2_p, m2_o = (_no_rounding(s[m], s[mean], count) for m, mean in (("m2_p", "mean_p"), ("m2_o", "mean_o")))
        r = s["co"] / np.sqrt(m2_p * m2_o)
        alpha = np.sqrt(s["m2_p"] / m2_o)
        beta = mean_p / np.where(mean_o == 0, np.nan, mean_o)
        gamma = alpha / np.where(beta == 0, np.nan, beta)
        return {
            "rmse": np.sqrt(s["square"] / count),
            "mae": s["absolute"] / count,
            "bias": mean_p - mean_o,
            "nse": 1.0 - s["square"] / m2_o,
            "kge": 1.0 - np.sqrt((r - 1) ** 2 + (alpha - 1) ** 2 + (beta - 1) ** 2),
            "kge_r": r,
            "kge_alpha": alpha,
            "kge_beta": beta,
            "kge_2012": 1.0 - np.sqrt((r - 1) ** 2 + (gamma - 1) ** 2 + (beta - 1) ** 2),
            "kge_gamma": gamma,
            "count": s["count"],
        }


def _no_rounding(m2: np.ndarray, mean: np.ndarray, count: np.ndarray) -> np.ndarray:
    """The sum of squares, NaN where it is 0 or nothing but rounding."""
    return np.where(np.sqrt(m2 / count) > _CONSTANT * np.abs(mean), m2, np.nan)


def _median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else math.nan
