"""The error that interpolation brings: of gauges by leaving each out in turn, of maps by coarsening and restoring."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from ..contracts.grid import Grid
from .gauge_places import GaugePlaces
from .gridding import NEIGHBOURS, inverse_distance, patterns
from .harmonise import Regridder
from .kriging import FEWEST, System, Variogram, fit_variogram
from .sources.stations import Stations

LABELS = {
    "idw": "inverse distance",
    "kriging": "kriging",
    "nearest": "the nearest gauge",
    "mean": "the mean of all gauges",
}
MAX_STEPS = 1000
_NUMBERS = 2**22


@dataclass(frozen=True)
class Score:
    """How estimates miss what was observed, in the unit of the values. ``bias`` is estimate minus observation;
    ``correlation`` is Pearson's. NaN where there is nothing to compare.
    """

    rmse: float
    mae: float
    bias: float
    correlation: float
    count: int


@dataclass(frozen=True)
class Report:
    """Leaving each gauge out: scores of ``method`` and its alternatives over all gauges, and of ``method`` for each
    gauge. ``steps`` of ``record_steps`` were looked at, evenly spread.
    """

    method: str
    scores: dict[str, Score]
    stations: dict[str, Score]
    steps: int
    record_steps: int

    @property
    def score(self) -> Score:
        """The score of the method in use."""
        return self.scores[self.method]

    @property
    def best(self) -> str:
        """The method with the least RMSE."""
        return min(self.scores, key=lambda name: (math.isnan(self.scores[name].rmse), self.scores[name].rmse))

    def sentence(self, name: str, unit: str = "") -> str:
        """What was found, for a person."""
        unit = f" {unit}" if unit not in ("", "-") else ""
        if not self.score.count:
            return f"'{name}': the error of interpolation cannot be measured: no step has two gauges with values."
        spread = "all" if self.steps == self.record_steps else f"{self.steps} of {self.record_steps}"
        others = ", ".join(f"{LABELS[one]} by {self.scores[one].rmse:.3g}" for one in self.scores if one != self.method)
        mine = f"{LABELS[self.method]} misses it by {self.score.rmse:.3g}{unit} (RMSE; bias {self.score.bias:+.2g})"
        best = "" if self.best == self.method else f" Best here: {LABELS[self.best]}."
        return (
            f"'{name}': each of {len(self.stations)} gauges left out in turn in {spread} steps, {mine}; {others}.{best}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, NaN as None."""
        return {
            "method": self.method,
            "best": self.best,
            "steps": self.steps,
            "record_steps": self.record_steps,
            "scores": {name: _plain(score) for name, score in self.scores.items()},
            "stations": {name: _plain(score) for name, score in self.stations.items()},
        }


@dataclass(frozen=True)
class ResamplingError:
    """Error of resampling in the unit of the maps, over ``count`` values. ``wrong_share`` is the share of cells that
    differ, for classes (NaN for other maps); ``meaning`` says in a sentence what was compared.
    """

    rmse: float
    mae: float
    bias: float
    count: int
    wrong_share: float
    meaning: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, NaN as None."""
        return _plain(self)


def leave_one_out(
    stations: Stations,
    values: np.ndarray,
    method: str,
    crs: str,
    *,
    variogram: Optional[Variogram] = None,
    minimum: Optional[float] = None,
    max_steps: int = MAX_STEPS,
) -> Report:
    """Estimate each gauge from all others that have a value in the step, by ``method`` ("idw", "kriging" or
    "everywhere", which is the mean) and by the alternatives: inverse distance, kriging, nearest gauge, mean.

    ``values`` (T, G) NaN missing; distances are those of CRS ``crs``. Gauges without a place are left out, those at one
    place are one. Of a long record ``max_steps`` steps are taken, evenly spread. The variogram is that of the whole
    record (``variogram``, else fitted here): it has seen the gauge that is left out. Estimates of kriging below
    ``minimum`` become it. Kriging is left out where no variogram can be fitted; where it is ``method``, inverse
    distance stands for it.
    """
    places = GaugePlaces(stations, crs)
    record = len(values)
    gathered = places.gather(values)
    variogram = variogram or fit_variogram(places.distances, gathered)
    if record > max_steps:
        gathered = gathered[np.unique(np.linspace(0, record - 1, max_steps).round().astype(np.int64))]
    order = np.argsort(places.distances + np.diag(np.full(len(places), -1.0)), axis=1, kind="stable")[:, 1:]
    apart = np.take_along_axis(places.distances, order, axis=1)
    estimates = {"idw": np.full(gathered.shape, np.nan), "nearest": np.full(gathered.shape, np.nan)}
    size = max(1, _NUMBERS // max(1, len(places) ** 2))
    for start in range(0, len(gathered) if len(places) > 1 else 0, size):
        block = slice(start, start + size)
        estimates["idw"][block], estimates["nearest"][block] = _by_neighbours(gathered[block], order, apart)
    estimates["mean"] = _means(gathered)
    if variogram is not None:
        estimates["kriging"] = _kriged(gathered, places.distances, variogram, minimum, estimates["idw"])
    chosen = "mean" if method == "everywhere" else method if method in estimates else "idw"
    scores = {name: score(estimates[name], gathered) for name in LABELS if name in estimates}
    each = {name: score(estimates[chosen][:, i], gathered[:, i]) for i, name in enumerate(places.ids)}
    return Report(chosen, scores, each, len(gathered), record)


def score(estimate: np.ndarray, observed: np.ndarray) -> Score:
    """Score over all values that both arrays (any shape) have."""
    both = np.isfinite(estimate) & np.isfinite(observed)
    e, o = estimate[both].astype(np.float64), observed[both].astype(np.float64)
    if not len(e):
        return Score(math.nan, math.nan, math.nan, math.nan, 0)
    miss = e - o
    spread = float(np.std(e) * np.std(o))
    correlation = float(np.mean((e - e.mean()) * (o - o.mean())) / spread) if spread > 0 else math.nan
    return Score(float(np.sqrt(np.mean(miss**2))), float(np.abs(miss).mean()), float(miss.mean()), correlation, len(e))


def coarsen_restore(
    maps: np.ndarray,
    source: Grid,
    target: Grid,
    method: str,
    regridder: Callable[[Grid, Grid, str], Callable[[np.ndarray], np.ndarray]] = Regridder,
) -> Optional[ResamplingError]:
    """The error of bringing maps (t, H, W) from ``source`` to ``target`` with ``method``; no finer truth is needed.

    - Where the cells of the target are k times as fine (k at least 1.5, rounded), the maps are averaged onto cells k
      times as large (of classes: the most frequent one) and restored to their own grid with the method. That is the
      error of the same refinement one scale up; one scale down it is mostly smaller.
    - Else the maps are brought to the target and back, both with the method: what the dataset no longer tells of them.

    Cells that either way leaves missing do not count. None where the grids are the same, or too small to be coarsened.
    """
    there = regridder(source, target, method)
    if getattr(there, "same", False):
        return None
    finer = 1.0 / there.ratio
    factor = round(finer)
    if factor < 2:
        restored = regridder(target, source, method)(there(maps))
        return _compared(maps, restored, method, f"brought to cells of {_size(target)} and back")
    rows, columns = source.rows // factor, source.columns // factor
    if rows < 2 or columns < 2:
        return None
    coarse = Grid(source.crs, source.west, source.north, source.cell_x * factor, source.cell_y * factor, columns, rows)
    inner = Grid(source.crs, source.west, source.north, source.cell_x, source.cell_y, columns * factor, rows * factor)
    maps = maps[:, : inner.rows, : inner.columns]
    gathered = regridder(inner, coarse, "mode" if method == "mode" else "average")(maps)
    restored = regridder(coarse, inner, method)(gathered)
    return _compared(maps, restored, method, f"gathered to cells of {_size(coarse)} and restored")


def _compared(maps: np.ndarray, restored: np.ndarray, method: str, how: str) -> ResamplingError:
    found = score(restored, maps)
    both = np.isfinite(restored) & np.isfinite(maps)
    classes = method == "mode" and both.any()
    wrong = float((restored[both] != maps[both].astype(restored.dtype)).mean()) if classes else math.nan
    meaning = f"The maps {how} ({method}), against themselves."
    return ResamplingError(found.rmse, found.mae, found.bias, found.count, wrong, meaning)


def _size(grid: Grid) -> str:
    return f"{grid.cell_x:.6g}" if math.isclose(grid.cell_x, grid.cell_y) else f"{grid.cell_x:.6g} x {grid.cell_y:.6g}"


def _by_neighbours(values: np.ndarray, order: np.ndarray, apart: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverse distance and the nearest gauge: (n, U) each, from gauges in rising distance (U, U - 1)."""
    others = values[:, order]
    here = np.isfinite(others)
    used = here & (np.cumsum(here, axis=2) <= NEIGHBOURS)
    weight = inverse_distance(np.broadcast_to(apart, used.shape), used)
    any_left = here.any(axis=2)
    idw = np.where(any_left, (weight * np.where(used, others, 0.0)).sum(axis=2), np.nan)
    first = np.take_along_axis(others, np.argmax(here, axis=2)[..., None], axis=2)[..., 0]
    return idw, np.where(any_left, first, np.nan)


def _means(values: np.ndarray) -> np.ndarray:
    present = np.isfinite(values)
    others = present.sum(axis=1, keepdims=True) - present
    total = np.where(present, values, 0.0)
    out = np.full(values.shape, np.nan)
    np.divide(total.sum(axis=1, keepdims=True) - total, others, out=out, where=others > 0)
    return out


def _kriged(
    values: np.ndarray, distances: np.ndarray, variogram: Variogram, minimum: Optional[float], instead: np.ndarray
) -> np.ndarray:
    """Kriging without the gauge itself; inverse distance where fewer than four others are left, as in the maps."""
    out = instead.copy()
    for present, steps in patterns(values, FEWEST + 1):
        system = System(distances[np.ix_(present, present)], variogram)
        out[np.ix_(steps, present)] = system.left_out(values[np.ix_(steps, present)])
    if minimum is not None:
        np.maximum(out, minimum, out=out, where=np.isfinite(out))
    return out


def _plain(values: Any) -> dict[str, Any]:
    return {name: None if isinstance(one, float) and math.isnan(one) else one for name, one in vars(values).items()}
