"""The map that sharpens: what a training predicts for one date after each epoch, beside what was observed."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np

from .charts import Chart
from .text import date_words, tr

FILE_NAME = "live.npz"


@dataclass(frozen=True)
class LiveMaps:
    """Both maps (H, W) in scaled units, NaN outside and where missing, and the date that they show (ISO text)."""

    predicted: np.ndarray
    observed: np.ndarray
    date: str

    def shared_range(self) -> Optional[tuple[float, float]]:
        """2nd and 98th percentile of both maps together, so that one range serves both; None without a value."""
        values = np.concatenate([self.predicted.ravel(), self.observed.ravel()])
        values = values[np.isfinite(values)]
        if not values.size:
            return None
        low, high = np.percentile(values, (2, 98))
        return float(low), float(high if high > low else low + 1.0)


def read_live(path: Path) -> Optional[LiveMaps]:
    """The maps in ``path``, or None where there are none yet or the file is not what it should be."""
    try:
        with np.load(path, allow_pickle=False) as found:
            predicted, observed = (np.asarray(found[name], dtype=float) for name in ("predicted", "observed"))
            date = str(found["date"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if predicted.ndim != 2 or predicted.shape != observed.shape:
        return None
    return LiveMaps(predicted, observed, date)


class LiveChart(Chart):
    """Predicted and observed side by side with one range and one colour bar."""

    def paint(self, figure: Any, data: tuple[LiveMaps, int]) -> None:
        """Draw ``(maps, epoch)``."""
        maps, epoch = data
        panels = figure.subplots(1, 2)
        span = maps.shared_range()
        limits = {"vmin": span[0], "vmax": span[1]} if span else {}
        for axes, values, words in (
            (panels[0], maps.predicted, tr("predicted")),
            (panels[1], maps.observed, tr("observed")),
        ):
            image = axes.imshow(values, cmap="YlGnBu", interpolation="nearest", **limits)
            axes.set_title(words, fontsize=8, loc="left")
            axes.set_axis_off()
        bar = figure.colorbar(image, ax=list(panels), shrink=0.85, aspect=14)
        bar.ax.tick_params(labelsize=7)
        bar.ax.set_title(tr("(scaled)"), fontsize=7)
        words = tr("{date}, after epoch {epoch}").format(date=date_words(maps.date), epoch=epoch)
        figure.suptitle(words, fontsize=8, x=0.01, ha="left")
